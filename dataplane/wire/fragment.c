/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/fragment.h"

#include <stdbool.h>

#include "dataplane/base/invariant.h"

static bool
fragment_is_sound(const struct fragment_hdr *fragment)
{
	const uint64_t units_max = (uint64_t)fragment->block_pages * FRAGMENT_UNITS_PER_PAGE;
	const uint64_t units_min = units_max - FRAGMENT_UNITS_PER_PAGE;

	return fragment->log_index != 0 && fragment->block_pages != 0 &&
	       fragment->block_units > units_min && fragment->block_units <= units_max &&
	       fragment->unit_count != 0 && fragment->unit_first < fragment->block_units &&
	       fragment->unit_count <= fragment->block_units - fragment->unit_first &&
	       fragment->last_unit_bytes != 0 && fragment->last_unit_bytes <= FRAGMENT_UNIT_BYTES;
}

uint32_t
fragment_payload_bytes(const struct fragment_hdr *fragment)
{
	const bool has_last = fragment->unit_first + fragment->unit_count == fragment->block_units;

	return has_last
		   ? (fragment->unit_count - 1) * FRAGMENT_UNIT_BYTES + fragment->last_unit_bytes
		   : fragment->unit_count * FRAGMENT_UNIT_BYTES;
}

void
fragment_encode(uint8_t *body, const struct fragment_hdr *fragment)
{
	const struct fragment_hdr_le le = {
		.log_index = le64_make(fragment->log_index),
		.page_lsn = le64_make(fragment->page_lsn),
		.block_units = le32_make(fragment->block_units),
		.unit_first = le32_make(fragment->unit_first),
		.unit_count = le16_make((uint16_t)fragment->unit_count),
		.last_unit_bytes = le16_make((uint16_t)fragment->last_unit_bytes),
		.block_pages = le32_make(fragment->block_pages),
		.commit_index = le64_make(fragment->commit_index),
	};

	INVARIANT(fragment_is_sound(fragment));
	INVARIANT(fragment->unit_count <= UINT16_MAX);
	memcpy(body, &le, sizeof(le));
}

enum tern_err
fragment_decode(const uint8_t *body, uint32_t body_bytes, struct fragment_hdr *fragment)
{
	struct fragment_hdr_le le;

	if (body_bytes < FRAGMENT_HDR_BYTES)
		return TERN_ERR_MALFORMED;
	memcpy(&le, body, sizeof(le));
	*fragment = (struct fragment_hdr){
		.log_index = le64_get(le.log_index),
		.page_lsn = le64_get(le.page_lsn),
		.commit_index = le64_get(le.commit_index),
		.block_pages = le32_get(le.block_pages),
		.block_units = le32_get(le.block_units),
		.unit_first = le32_get(le.unit_first),
		.unit_count = le16_get(le.unit_count),
		.last_unit_bytes = le16_get(le.last_unit_bytes),
	};
	if (!fragment_is_sound(fragment))
		return TERN_ERR_MALFORMED;
	if (body_bytes != FRAGMENT_HDR_BYTES + fragment_payload_bytes(fragment))
		return TERN_ERR_MALFORMED;
	return TERN_OK;
}

struct fetch_range_le {
	le64 log_index;
	le32 unit_first, unit_count;
};
struct fetch_hdr_le {
	le32 range_count, reserved;
};
static_assert(sizeof(struct fetch_range_le) == 16 && sizeof(struct fetch_hdr_le) == 8,
	      "frozen by format 1");

uint32_t
fetch_encode(uint8_t *body, const struct fetch *fetch)
{
	const struct fetch_hdr_le hdr = { .range_count = le32_make(fetch->range_count) };

	INVARIANT(fetch->range_count >= 1 && fetch->range_count <= FETCH_RANGES_MAX);
	memcpy(body, &hdr, sizeof(hdr));
	for (uint32_t i = 0; i < fetch->range_count; i++) {
		const struct fetch_range_le range = {
			.log_index = le64_make(fetch->ranges[i].log_index),
			.unit_first = le32_make(fetch->ranges[i].unit_first),
			.unit_count = le32_make(fetch->ranges[i].unit_count),
		};
		memcpy(body + sizeof(hdr) + i * sizeof(range), &range, sizeof(range));
	}
	return (uint32_t)(sizeof(hdr) + fetch->range_count * sizeof(struct fetch_range_le));
}

enum tern_err
fetch_decode(const uint8_t *body, uint32_t body_bytes, struct fetch *fetch)
{
	struct fetch_hdr_le hdr;

	if (body_bytes < sizeof(hdr))
		return TERN_ERR_MALFORMED;
	memcpy(&hdr, body, sizeof(hdr));
	const uint32_t count = le32_get(hdr.range_count);
	if (count == 0 || count > FETCH_RANGES_MAX || le32_get(hdr.reserved) != 0 ||
	    body_bytes != sizeof(hdr) + count * sizeof(struct fetch_range_le))
		return TERN_ERR_MALFORMED;
	fetch->range_count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct fetch_range_le le;
		memcpy(&le, body + sizeof(hdr) + i * sizeof(le), sizeof(le));
		const struct fetch_range range = { le64_get(le.log_index), le32_get(le.unit_first),
						   le32_get(le.unit_count) };
		if (range.log_index == 0 || (range.unit_count == 0 && range.unit_first != 0) ||
		    range.unit_first > UINT32_MAX - range.unit_count)
			return TERN_ERR_MALFORMED;
		fetch->ranges[i] = range;
	}
	return TERN_OK;
}
