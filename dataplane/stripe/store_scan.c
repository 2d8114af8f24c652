/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scan reads the area once, in the order of cells, a window of rows of all devices at a time. A
 * group is known by any of its pages: each says which cells the group takes. It is put together
 * from the window, healed, and lent to the caller; the next one is looked for behind its cells, or,
 * when it could not be read, behind its first one, for a group that was cut short may have been
 * followed inside the cells that it would have taken.
 */
#include "dataplane/stripe/store_internal.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

void
stripe_store_scan_begin(struct stripe_store *store, uint64_t first_cell)
{
	struct stripe_scan *scan = &store->scan;

	INVARIANT(store->phase == START_DONE && !scan->is_running && store->group_seq == 0);
	scan->is_running = true;
	scan->first_cell = scan->cursor = scan->stats.end_cell = first_cell;
	scan->row = scan->seen_row = first_cell / store->devices;
	scan->end_of_area = first_cell + stripe_lap_cells(store);
	store->release_cell = first_cell;
}

const struct stripe_scan_stats *
stripe_store_scan_stats(const struct stripe_store *store)
{
	return &store->scan.stats;
}

/* ---- windows ---- */

static uint8_t *
window_of(const struct stripe_store *store, uint32_t device)
{
	return store->scan.windows + (size_t)device * store->config.scan_rows * PAGE_BYTES;
}

static uint64_t
window_end_row(const struct stripe_store *store)
{
	return store->scan.row + store->scan.rows;
}

/* The page of a cell that lies in the window; NULL: its device could not be read. */
static const uint8_t *
window_page(const struct stripe_store *store, uint64_t cell)
{
	const uint32_t device = (uint32_t)(cell % store->devices);
	const uint64_t row = cell / store->devices;

	INVARIANT(row >= store->scan.row && row < window_end_row(store));
	if ((store->scan.absent & STRIPE_BIT(device)) != 0)
		return NULL;
	return window_of(store, device) + (size_t)(row - store->scan.row) * PAGE_BYTES;
}

/* Asks for the window that begins at @row. It ends with the lap, and with the area. */
static void
window_read(struct stripe_store *store, uint64_t row)
{
	struct stripe_scan *scan = &store->scan;
	const uint64_t area = store->super.wanted.log_pages;
	const uint64_t end = div_up_u64(scan->end_of_area, store->devices);
	const uint64_t left = min_u64(area - row % area, end - row);

	scan->row = row;
	scan->rows = (uint32_t)min_u64(store->config.scan_rows, left);
	scan->absent = store->failed;
	scan->has_window = true;
	memset(scan->unread, 0, sizeof(scan->unread));
	for (uint32_t device = 0; device < store->devices; device++) {
		const struct disk_request request = {
			.kind = DISK_READ,
			.device = device,
			.offset = (store->super.wanted.log_first_page + row % area) * PAGE_BYTES,
			.bytes = window_of(store, device),
			.length = scan->rows * PAGE_BYTES,
		};
		if ((store->failed & STRIPE_BIT(device)) != 0)
			continue;
		scan->pending |= STRIPE_BIT(device);
		stripe_request(store, OWNER_SCAN, 0, &request);
	}
}

void
stripe_scan_request_done(struct stripe_store *store, uint32_t device, enum tern_err err)
{
	store->scan.pending &= ~STRIPE_BIT(device);
	if (err != TERN_OK)
		store->scan.absent |= STRIPE_BIT(device);
}

void
stripe_scan_page_unread(struct stripe_store *store, const struct stripe_request *request)
{
	const uint32_t device = request->disk.device;
	const ptrdiff_t at = request->disk.bytes - window_of(store, device);

	store->scan.unread[at / PAGE_BYTES] |= STRIPE_BIT(device);
}

/* In every row of the window so many pages were read that no group of which any page was durable
 * can stay unseen. */
static bool
window_is_sure(const struct stripe_store *store)
{
	const struct stripe_scan *scan = &store->scan;

	for (uint32_t row = 0; row < scan->rows; row++) {
		const uint32_t lost = scan->unread[row] | scan->absent;
		if ((uint32_t)__builtin_popcount(lost) > store->geometry.m)
			return false;
	}
	return true;
}

/* ---- groups ---- */

/* A page of this store that lies in the right place, in another lap. */
static bool
is_other_lap(const struct stripe_store *store, const uint8_t *page, uint64_t cell, uint64_t *own)
{
	struct page_identity other;

	if (page_identity_decode(page, &other) != TERN_OK || other.own_cell == cell ||
	    other.own_cell % stripe_lap_cells(store) != cell % stripe_lap_cells(store) ||
	    other.cluster_id != store->super.wanted.cluster_id ||
	    other.node_id != store->config.node_id)
		return false;
	*own = other.own_cell;
	return true;
}

/* Takes note of the page at @cell. True: it is of a group that was not given out, and the window
 * holds or can hold all of it. */
static bool
page_look(struct stripe_store *store, uint64_t cell, struct page_identity *identity,
	  struct stripe_layout *layout)
{
	struct stripe_scan *scan = &store->scan;
	const uint8_t *page = window_page(store, cell);

	if (page == NULL || (page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0))
		return false;
	if (!stripe_page_is_written(store, page, cell, identity, layout)) {
		uint64_t own;
		/* What an earlier lap left is as good as blank. */
		if (is_other_lap(store, page, cell, &own)) {
			scan->stats.pages_later += own > cell;
			return false;
		}
		/* It may have been of a group that is lost, or rot where nothing was written to:
		 * the log goes on over it. */
		scan->stats.pages_foreign++;
		scan->seen_row = max_u64(scan->seen_row, cell / store->devices + 1);
		return false;
	}
	scan->seen_row = max_u64(scan->seen_row, cell / store->devices + 1);
	scan->stats.end_cell = max_u64(scan->stats.end_cell, layout->first_cell + layout->cells);
	scan->stats.acked_floor = max_u64(scan->stats.acked_floor, identity->acked_floor);
	if (identity->group_pages > store->config.group_pages_max) {
		scan->stats.pages_over = max_u32(scan->stats.pages_over, identity->group_pages);
		return false;
	}
	return layout->first_cell + layout->cells > scan->first_cell &&
	       (!scan->has_last || layout->first_cell > scan->last_first);
}

/* Puts the group together from the window and lends it. */
static void
group_give(struct stripe_store *store, const struct page_identity *identity,
	   const struct stripe_layout *layout, struct stripe_scanned *scanned)
{
	struct stripe_scan *scan = &store->scan;
	struct stripe_image *image = &scan->image;
	struct stripe_healed healed;

	image->group = *identity;
	image->layout = *layout;
	image->absent = 0;
	for (uint32_t column = 0; column < store->devices; column++) {
		const uint32_t rows = stripe_column_pages(layout, column);
		const uint8_t *from =
		    rows == 0 ? NULL : window_page(store, stripe_cell_at(layout, column, 0));
		if (from != NULL)
			memcpy(stripe_image_page(image, column, 0), from,
			       (size_t)rows * PAGE_BYTES);
		else if (rows != 0)
			image->absent |= STRIPE_BIT(column);
	}
	const bool is_whole = stripe_heal(store->code, image, &healed) == TERN_OK;
	if (!is_whole && store->geometry.m == 0)
		stripe_image_clear_bad(image);
	scan->stats.groups++;
	scan->stats.groups_unreadable += !is_whole;
	scan->stats.groups_degraded += is_whole && healed.decoded_pages != 0;
	scan->stats.pages_bad += healed.bad_pages;
	const bool is_same_boot = scan->has_last && scan->last.boot_no == identity->boot_no;
	const uint64_t expected = is_same_boot ? scan->last.group_seq + 1 : 1;
	if (identity->group_seq > expected)
		scan->stats.groups_missing += identity->group_seq - expected;
	scan->last = *identity;
	scan->last_first = layout->first_cell;
	scan->has_last = true;
	scan->cursor = max_u64(scan->cursor, is_whole ? layout->first_cell + layout->cells
						      : layout->first_cell + 1);
	*scanned = (struct stripe_scanned){
		.group = *identity,
		.bytes = is_whole || store->geometry.m == 0 ? image->data : NULL,
		.is_whole = is_whole,
		.decoded_pages = healed.decoded_pages,
	};
}

enum step { STEP_WINDOW = 1, STEP_GROUP, STEP_DONE };

/* Looks on from the cursor. STEP_WINDOW: the window at @row is needed. */
static enum step
scan_step(struct stripe_store *store, uint64_t *row, struct stripe_scanned *scanned)
{
	struct stripe_scan *scan = &store->scan;
	const uint64_t end = window_end_row(store) * store->devices;

	for (; scan->cursor < min_u64(end, scan->end_of_area); scan->cursor++) {
		struct page_identity identity;
		struct stripe_layout layout;
		if (!page_look(store, scan->cursor, &identity, &layout))
			continue;
		const uint64_t first_row = layout.first_cell / store->devices;
		const uint64_t last_row = (layout.first_cell + layout.cells - 1) / store->devices;
		if (first_row >= scan->row && last_row < window_end_row(store)) {
			group_give(store, &identity, &layout, scanned);
			return STEP_GROUP;
		}
		*row = first_row;
		/* A window that begins with it holds it, unless it would straddle the lap. */
		if (scan->row != first_row && first_row / store->super.wanted.log_pages ==
						  last_row / store->super.wanted.log_pages)
			return STEP_WINDOW;
		scan->stats.pages_foreign++;
	}
	*row = window_end_row(store);
	if (scan->cursor >= scan->end_of_area || *row - scan->seen_row >= STRIPE_SCAN_BLANK_ROWS)
		return STEP_DONE;
	return STEP_WINDOW;
}

enum stripe_scan_state
stripe_store_scan(struct stripe_store *store, uint64_t now_ns, struct stripe_scanned *scanned)
{
	struct stripe_scan *scan = &store->scan;
	uint64_t row = scan->row;

	INVARIANT(scan->is_running);
	stripe_requests_poll(store, now_ns);
	if (store->is_stopped)
		return STRIPE_SCAN_FAILED;
	if (scan->has_window && scan->pending == 0 && !window_is_sure(store))
		return STRIPE_SCAN_FAILED;
	if (scan->has_window && scan->pending == 0) {
		const enum step step = scan_step(store, &row, scanned);
		if (step == STEP_GROUP)
			return STRIPE_SCAN_GROUP;
		if (step == STEP_DONE) {
			scan->is_running = false;
			store->next_cell = scan->stats.end_cell;
			return STRIPE_SCAN_DONE;
		}
		scan->has_window = false;
	}
	if (!scan->has_window)
		window_read(store, row);
	stripe_super_turn(store);
	stripe_requests_push(store);
	return STRIPE_SCAN_MORE;
}
