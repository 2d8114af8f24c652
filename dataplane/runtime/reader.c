/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks that have left the ring are read back from the store, a window of consecutive blocks at a
 * time. Blocks are mostly asked for one behind the other: while the blocks of one window are used,
 * the other windows are read behind it, all at the same time, so that a replica that catches up is
 * not held to one device read after another.
 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

/* The block's bytes in the window, or NULL. */
static const uint8_t *
window_block(const struct runtime *rt, const struct reader_window *window,
	     const struct cmdlog_location *location)
{
	const uint8_t *bytes = window->bytes;

	for (uint32_t i = 0; window->state != WINDOW_EMPTY && i < window->part_count; i++) {
		const struct storage_part *part = &window->parts[i];
		/* Of one group, and on one device, pages lie at consecutive cells. */
		const uint64_t page =
		    location->first_cell + location->page - (part->first_cell + part->page);
		if ((storage_is_one_device(rt) || part->first_cell == location->first_cell) &&
		    page < part->pages && location->pages <= part->pages - page)
			return bytes + page * PAGE_BYTES;
		bytes += (size_t)part->pages * PAGE_BYTES;
	}
	return NULL;
}

/* Nothing of it will be asked for any more if blocks are asked for in order. */
static bool
window_is_spent(const struct reader_window *window, uint64_t log_index)
{
	return window->state == WINDOW_EMPTY ||
	       (window->state == WINDOW_READY && window->last_index < log_index);
}

/* The block at @next lies behind the part, where the same read gets it. */
static bool
is_next(const struct runtime *rt, const struct storage_part *part,
	const struct cmdlog_location *next)
{
	if (next->first_cell == part->first_cell)
		return next->page == part->page + part->pages;
	return storage_is_one_device(rt) && next->first_cell != UINT64_MAX &&
	       next->first_cell + next->page == part->first_cell + part->page + part->pages &&
	       next->first_cell % rt->superblock.log_pages != 0;
}

/* Blocks from @first on that one read gives; @is_narrow: only that one. Returns the last one; 0:
 * the first is not in the store. */
static uint64_t
part_make(const struct runtime *rt, uint64_t first, uint32_t pages_max, bool is_narrow,
	  struct stripe_address *at, struct storage_part *part)
{
	struct cmdlog_location next;
	uint64_t last = first;

	if (!cmdlog_locate(rt->log, first, &next) || next.first_cell == UINT64_MAX ||
	    next.pages > pages_max)
		return 0;
	*at = (struct stripe_address){ next.first_cell, next.group_pages };
	*part = (struct storage_part){ next.first_cell, next.page, next.pages };
	while (!is_narrow && cmdlog_locate(rt->log, last + 1, &next) && is_next(rt, part, &next) &&
	       part->pages + next.pages <= pages_max) {
		part->pages += next.pages;
		last++;
	}
	return last;
}

/* What a window that holds @pages has room for at block @log_index: alone it may be a larger one.
 */
static uint32_t
room_for(const struct runtime *rt, uint32_t pages, uint64_t log_index)
{
	struct cmdlog_location first;

	if (pages != 0)
		return pages < RUNTIME_READER_PAGES ? RUNTIME_READER_PAGES - pages : 0;
	return cmdlog_locate(rt->log, log_index, &first)
		   ? max_u32(first.pages, RUNTIME_READER_PAGES)
		   : 0;
}

/* Reads block @log_index, which is in the store, and as many of those that lie behind it as fit.
 * False: nothing can be read now. */
static bool
window_read(struct runtime *rt, struct reader *reader, uint32_t reader_id, uint32_t number,
	    uint64_t log_index)
{
	struct reader_window *window = &reader->windows[number];
	uint32_t pages = 0;

	INVARIANT(window->state != WINDOW_READING);
	window->state = WINDOW_EMPTY;
	window->part_count = window->pending = 0;
	window->is_bad = false;
	window->first_index = window->last_index = log_index;
	while (window->part_count < RUNTIME_READER_PARTS) {
		struct storage_part *part = &window->parts[window->part_count];
		struct stripe_address at;
		const uint64_t first = window->last_index + (window->part_count != 0);
		const bool is_narrow = first <= reader->narrow_index;
		if (is_narrow && window->part_count != 0)
			break;
		const uint64_t last =
		    part_make(rt, first, room_for(rt, pages, first), is_narrow, &at, part);
		if (last == 0 ||
		    storage_part_read(rt, part, at, window->bytes + (size_t)pages * PAGE_BYTES,
				      storage_user_make(USER_READER, reader_id, number)) != TERN_OK)
			break;
		pages += part->pages;
		window->part_count++;
		window->pending++;
		window->last_index = last;
	}
	if (window->part_count == 0)
		return false;
	window->state = WINDOW_READING;
	reader->ahead_index = window->last_index + 1;
	return true;
}

/* Reads on behind @log_index, which is at hand, into the windows that are spent; not what the ring
 * still holds. */
static void
read_ahead(struct runtime *rt, struct reader *reader, uint32_t reader_id, uint64_t log_index)
{
	struct cmdlog_location location;
	bool has_any = false;

	if (reader->ahead_index <= log_index)
		reader->ahead_index = log_index + 1;
	for (uint32_t i = 0; i < RUNTIME_READER_WINDOWS; i++) {
		if (!window_is_spent(&reader->windows[i], log_index))
			continue;
		if (!cmdlog_locate(rt->log, reader->ahead_index, &location) ||
		    location.first_cell == UINT64_MAX ||
		    cmdlog_resident(rt->log, reader->ahead_index) != NULL)
			break;
		has_any |= window_read(rt, reader, reader_id, i, reader->ahead_index);
	}
	/* The device does not wait for the next turn. */
	if (has_any)
		stripe_store_submit(rt->store);
}

/* The reader begins anew at @log_index: what it read ahead was for another place. */
static void
seek(struct runtime *rt, struct reader *reader, uint32_t reader_id, uint64_t log_index)
{
	uint32_t number = RUNTIME_READER_WINDOWS;

	for (uint32_t i = 0; i < RUNTIME_READER_WINDOWS; i++) {
		if (reader->windows[i].state == WINDOW_READING)
			continue;
		reader->windows[i].state = WINDOW_EMPTY;
		number = i;
	}
	if (number != RUNTIME_READER_WINDOWS &&
	    window_read(rt, reader, reader_id, number, log_index))
		stripe_store_submit(rt->store);
}

/* What was read is not block @log_index. It may have been read amiss. */
static void
block_bad(struct runtime *rt, struct reader *reader, uint64_t log_index)
{
	reader->narrow_index = max_u64(reader->narrow_index, log_index);
	if (reader->retried_index == log_index)
		refill_found(rt, log_index);
	reader->retried_index = log_index;
}

const uint8_t *
reader_block(struct runtime *rt, struct reader *reader, uint32_t reader_id, uint64_t log_index)
{
	const uint8_t *resident = cmdlog_resident(rt->log, log_index);
	struct cmdlog_location location;

	if (resident != NULL)
		return resident;
	if (rt->is_storage_failed || log_index == rt->loss.index || refill_has(rt, log_index) ||
	    !cmdlog_locate(rt->log, log_index, &location) || location.first_cell == UINT64_MAX)
		return NULL;
	struct reader_window *window = NULL;
	const uint8_t *bytes = NULL;
	for (uint32_t i = 0; i < RUNTIME_READER_WINDOWS && bytes == NULL; i++) {
		window = &reader->windows[i];
		bytes = window_block(rt, window, &location);
	}
	if (bytes == NULL)
		seek(rt, reader, reader_id, log_index);
	if (bytes == NULL || window->state == WINDOW_READING)
		return NULL;
	if (cmdlog_check_read(rt->log, log_index, bytes) != TERN_OK) {
		window->state = WINDOW_EMPTY;
		block_bad(rt, reader, log_index);
		return NULL;
	}
	read_ahead(rt, reader, reader_id, log_index);
	return bytes;
}

bool
reader_on_completion(struct runtime *rt, uint32_t reader_id, uint32_t number, enum tern_err err)
{
	struct reader *reader =
	    reader_id == CORE_NODES_MAX ? &rt->apply_reader : &rt->stream_readers[reader_id];
	struct reader_window *window = &reader->windows[number];

	INVARIANT(window->state == WINDOW_READING && window->pending != 0);
	window->is_bad |= err != TERN_OK;
	if (--window->pending != 0)
		return err == TERN_OK || err == TERN_ERR_CORRUPT;
	window->state = window->is_bad ? WINDOW_EMPTY : WINDOW_READY;
	/* What lies before the base may have been written over meanwhile. */
	if (window->is_bad && window->last_index > cmdlog_stats(rt->log).base_index) {
		if (window->first_index == window->last_index)
			block_bad(rt, reader, window->first_index);
		reader->narrow_index = max_u64(reader->narrow_index, window->last_index);
	}
	return err == TERN_OK || err == TERN_ERR_CORRUPT;
}
