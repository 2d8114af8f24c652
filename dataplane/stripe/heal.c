/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/stripe/heal.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/bytes.h"

uint8_t *
stripe_image_page(const struct stripe_image *image, uint32_t column, uint32_t row)
{
	const struct stripe_layout *layout = &image->layout;

	INVARIANT(row < stripe_column_pages(layout, column));
	if (stripe_column_is_parity(layout, column))
		return image->parity + ((size_t)column * layout->rows + row) * PAGE_BYTES;
	return image->data + (size_t)(stripe_column_first(layout, column) + row) * PAGE_BYTES;
}

void
stripe_image_identify(struct stripe_image *image, uint32_t columns)
{
	for (uint32_t column = 0; column < stripe_devices(image->layout.geometry); column++) {
		if ((columns & STRIPE_BIT(column)) == 0)
			continue;
		const uint32_t rows = stripe_column_pages(&image->layout, column);
		for (uint32_t row = 0; row < rows; row++)
			stripe_identity_write(&image->layout, &image->group, column, row,
					      stripe_image_page(image, column, row));
	}
}

/* ---- what group it is ---- */

/* Whether the page at (@column, @row) is one of a group with the image's address. */
static bool
page_names(const struct stripe_image *image, uint64_t cluster_id, uint16_t node_id, uint32_t column,
	   uint32_t row, struct page_identity *identity)
{
	struct stripe_layout layout;
	uint32_t own_row;

	return page_identity_decode(stripe_image_page(image, column, row), identity) == TERN_OK &&
	       identity->cluster_id == cluster_id && identity->node_id == node_id &&
	       identity->own_cell == stripe_cell_at(&image->layout, column, row) &&
	       identity->first_cell == image->layout.first_cell &&
	       identity->group_pages == image->layout.pages &&
	       stripe_identity_layout(image->layout.geometry, identity, &layout, &own_row) ==
		   TERN_OK;
}

bool
stripe_image_find(struct stripe_image *image, uint64_t cluster_id, uint16_t node_id)
{
	uint32_t votes = 0; /* Boyer and Moore's majority vote */
	bool has_any = false;

	for (uint32_t column = 0; column < stripe_devices(image->layout.geometry); column++) {
		const uint32_t rows = (image->absent & STRIPE_BIT(column)) != 0
					  ? 0
					  : stripe_column_pages(&image->layout, column);
		for (uint32_t row = 0; row < rows; row++) {
			struct page_identity identity;
			if (!page_names(image, cluster_id, node_id, column, row, &identity))
				continue;
			if (votes == 0)
				image->group = identity;
			votes =
			    votes == 0 || stripe_identity_is_same_group(&image->group, &identity)
				? votes + 1
				: votes - 1;
			has_any = true;
		}
	}
	return has_any;
}

/* ---- one page ---- */

static bool
content_is_good(const struct stripe_image *image, const uint8_t *page, uint32_t *used_bytes)
{
	struct page_content content;

	if (page_content_open(page, &content) != TERN_OK ||
	    content.cluster_id != image->group.cluster_id)
		return false;
	*used_bytes = content.used_bytes;
	return true;
}

static bool
padding_is_zero(const uint8_t *page, uint32_t used_bytes)
{
	return bytes_are_zero(page + PAGE_PAYLOAD_OFFSET + used_bytes,
			      PAGE_PAYLOAD_BYTES - used_bytes);
}

static void
page_is_bad(struct stripe_healed *healed, uint32_t column)
{
	healed->bad_pages++;
	healed->bad_of[column]++;
	healed->bad_columns |= STRIPE_BIT(column);
}

/* Whether a page that was read is good. Padding behind good content is put right at once, for what
 * it must be is known. */
static bool
page_judge(struct stripe_image *image, uint32_t column, uint32_t row, struct stripe_healed *healed)
{
	uint8_t *page = stripe_image_page(image, column, row);
	uint32_t used_bytes;

	if (!stripe_identity_is(&image->layout, &image->group, column, row, page))
		return false;
	if (stripe_column_is_parity(&image->layout, column))
		return true;
	if (!content_is_good(image, page, &used_bytes))
		return false;
	if (!padding_is_zero(page, used_bytes)) {
		memset(page + PAGE_PAYLOAD_OFFSET + used_bytes, 0, PAGE_PAYLOAD_BYTES - used_bytes);
		page_is_bad(healed, column);
	}
	return true;
}

void
stripe_image_clear_bad(struct stripe_image *image)
{
	const uint32_t m = image->layout.geometry.m;
	struct stripe_healed healed = { 0 };

	for (uint32_t column = m; column < stripe_devices(image->layout.geometry); column++) {
		const bool is_absent = (image->absent & STRIPE_BIT(column)) != 0;
		for (uint32_t row = 0; row < stripe_column_pages(&image->layout, column); row++)
			if (is_absent || !page_judge(image, column, row, &healed))
				memset(stripe_image_page(image, column, row), 0, PAGE_BYTES);
	}
}

void
stripe_image_clear_padding(struct stripe_image *image)
{
	for (uint32_t number = 0; number < image->layout.pages; number++) {
		uint8_t *page = image->data + (size_t)number * PAGE_BYTES;
		uint32_t used_bytes;
		if (content_is_good(image, page, &used_bytes))
			memset(page + PAGE_PAYLOAD_OFFSET + used_bytes, 0,
			       PAGE_PAYLOAD_BYTES - used_bytes);
	}
}

/* Columns whose page in @row is not there or not good. */
static uint32_t
row_judge(struct stripe_image *image, uint32_t row, struct stripe_healed *healed)
{
	uint32_t lost = 0;

	for (uint32_t column = 0; column < stripe_devices(image->layout.geometry); column++) {
		if (row >= stripe_column_pages(&image->layout, column))
			continue;
		if ((image->absent & STRIPE_BIT(column)) != 0) {
			lost |= STRIPE_BIT(column);
		} else if (!page_judge(image, column, row, healed)) {
			lost |= STRIPE_BIT(column);
			page_is_bad(healed, column);
		}
	}
	return lost;
}

/* ---- decoding and looking at what came out ---- */

/* The pages of @columns in @row verify. Their identity parts are not made yet. */
static bool
row_is_good(const struct stripe_image *image, uint32_t columns, uint32_t row)
{
	for (uint32_t left = columns; left != 0; left &= left - 1) {
		const uint32_t column = (uint32_t)__builtin_ctz(left);
		const uint8_t *page = stripe_image_page(image, column, row);
		uint32_t used_bytes;
		if (!content_is_good(image, page, &used_bytes) ||
		    !padding_is_zero(page, used_bytes))
			return false;
	}
	return true;
}

/* Tries @row without more and more of the parity. False: nothing gives pages that verify. */
static bool
row_hunt(struct stripe_code *code, struct stripe_image *image, uint32_t lost, uint32_t wanted,
	 uint32_t row, struct stripe_healed *healed)
{
	const uint32_t m = image->layout.geometry.m;

	for (uint32_t distrusted = 0; distrusted < STRIPE_BIT(m); distrusted++) {
		struct stripe_decode decode = {
			.lost = lost | distrusted,
			.wanted = wanted,
			.first_row = row,
			.end_row = row + 1,
		};
		if ((distrusted & lost) != 0)
			continue;
		if (stripe_decode(code, &image->layout, &decode, image->data, image->parity) !=
		    TERN_OK)
			continue;
		if (row_is_good(image, wanted, row)) {
			healed->distrusted |= distrusted;
			return true;
		}
	}
	return false;
}

/* Rows [first, end) have lost the same columns. */
static void
rows_heal(struct stripe_code *code, struct stripe_image *image, uint32_t lost, uint32_t first,
	  uint32_t end, struct stripe_healed *healed)
{
	const uint32_t m = image->layout.geometry.m;
	const uint32_t wanted = lost & ~(STRIPE_BIT(m) - 1); /* data */
	const struct stripe_decode decode = {
		.lost = lost,
		.wanted = wanted,
		.first_row = first,
		.end_row = end,
	};

	if (wanted == 0)
		return;
	if (stripe_decode(code, &image->layout, &decode, image->data, image->parity) != TERN_OK) {
		healed->unreadable_rows += end - first;
		return;
	}
	for (uint32_t row = first; row < end; row++) {
		if (!row_is_good(image, wanted, row) &&
		    !row_hunt(code, image, lost, wanted, row, healed)) {
			healed->unreadable_rows++;
			continue;
		}
		for (uint32_t left = wanted; left != 0; left &= left - 1) {
			const uint32_t column = (uint32_t)__builtin_ctz(left);
			stripe_identity_write(&image->layout, &image->group, column, row,
					      stripe_image_page(image, column, row));
			healed->decoded_pages++;
		}
	}
}

enum tern_err
stripe_heal(struct stripe_code *code, struct stripe_image *image, struct stripe_healed *healed)
{
	uint32_t run_first = 0, run_lost = 0;

	memset(healed, 0, sizeof(*healed));
	for (uint32_t row = 0; row < image->layout.rows; row++) {
		const uint32_t lost = row_judge(image, row, healed);
		if (lost == run_lost)
			continue;
		if (run_lost != 0)
			rows_heal(code, image, run_lost, run_first, row, healed);
		run_first = row;
		run_lost = lost;
	}
	if (run_lost != 0)
		rows_heal(code, image, run_lost, run_first, image->layout.rows, healed);
	return healed->unreadable_rows == 0 ? TERN_OK : TERN_ERR_CORRUPT;
}

uint32_t
stripe_parity_heal(const struct stripe_code *code, struct stripe_image *image, uint8_t *scratch,
		   struct stripe_healed *healed)
{
	struct stripe_image fresh = *image;
	const uint32_t m = image->layout.geometry.m;
	uint32_t bad_pages = 0;

	fresh.parity = scratch;
	stripe_encode(code, &fresh.layout, fresh.data, fresh.parity);
	stripe_image_identify(&fresh, STRIPE_BIT(m) - 1);
	for (uint32_t column = 0; column < m; column++) {
		const bool is_absent = (image->absent & STRIPE_BIT(column)) != 0;
		for (uint32_t row = 0; row < image->layout.rows; row++) {
			uint8_t *page = stripe_image_page(image, column, row);
			const uint8_t *good = stripe_image_page(&fresh, column, row);
			if (!is_absent && memcmp(page, good, PAGE_BYTES) == 0)
				continue;
			bad_pages += !is_absent;
			/* One whose identity part is wrong was counted when it was read. */
			if (!is_absent &&
			    stripe_identity_is(&image->layout, &image->group, column, row, page))
				page_is_bad(healed, column);
			memcpy(page, good, PAGE_BYTES);
		}
	}
	return bad_pages;
}
