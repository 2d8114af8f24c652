/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks that have left the ring are read back from the device, a window of consecutive cells at a
 * time: blocks mostly lie one behind the other, so one read serves many, and while one window is
 * used the next is already being read.
 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

static bool
window_holds(const struct reader_window *window, uint64_t cell, uint32_t pages)
{
	return window->state != WINDOW_EMPTY && cell >= window->first_cell &&
	       cell + pages <= window->first_cell + window->pages;
}

/* Cells that are certainly written: up to the end of the newest durable block. */
static uint64_t
durable_end(const struct runtime *rt)
{
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	struct cmdlog_location location;

	if (!cmdlog_locate(rt->log, stats.durable_index, &location) || location.cell == UINT64_MAX)
		return 0;
	return location.cell + location.pages;
}

static void
window_read(struct runtime *rt, struct reader_window *window, uint32_t reader_id, uint32_t number,
	    uint64_t cell, uint32_t pages)
{
	INVARIANT(window->state != WINDOW_READING);
	window->state = WINDOW_EMPTY;
	if (storage_queue(rt, DISK_READ, rt->superblock.log_first_page + cell, window->bytes, pages,
			  storage_user_make(USER_READER, reader_id, number)) != TERN_OK)
		return;
	window->state = WINDOW_READING;
	window->first_cell = cell;
	window->pages = pages;
}

/* Reads on behind @window into the other one, unless it is there already or busy. */
static void
read_ahead(struct runtime *rt, struct reader *reader, uint32_t reader_id, uint32_t used)
{
	const struct reader_window *window = &reader->windows[used];
	const uint32_t other = 1 - used;
	const uint64_t next = window->first_cell + window->pages;
	const uint64_t end = durable_end(rt);

	if (reader->windows[other].state == WINDOW_READING ||
	    window_holds(&reader->windows[other], next, 1) || next >= end)
		return;
	window_read(rt, &reader->windows[other], reader_id, other, next,
		    (uint32_t)min_u64(RUNTIME_READER_PAGES, end - next));
}

const uint8_t *
reader_block(struct runtime *rt, struct reader *reader, uint32_t reader_id, uint64_t log_index)
{
	const uint8_t *resident = cmdlog_resident(rt->log, log_index);
	struct cmdlog_location location;

	if (resident != NULL)
		return resident;
	if (rt->is_storage_failed || !cmdlog_locate(rt->log, log_index, &location) ||
	    location.cell == UINT64_MAX)
		return NULL;
	for (uint32_t i = 0; i < RUNTIME_READER_WINDOWS; i++) {
		struct reader_window *window = &reader->windows[i];
		if (!window_holds(window, location.cell, location.pages))
			continue;
		if (window->state == WINDOW_READING)
			return NULL;
		const uint8_t *bytes =
		    window->bytes + (location.cell - window->first_cell) * PAGE_BYTES;
		if (cmdlog_check_read(rt->log, log_index, bytes) != TERN_OK) {
			storage_fail(rt);
			return NULL;
		}
		reader->last_used = i;
		read_ahead(rt, reader, reader_id, i);
		return bytes;
	}
	uint32_t number = 1 - reader->last_used;
	if (reader->windows[number].state == WINDOW_READING)
		number = reader->last_used;
	if (reader->windows[number].state == WINDOW_READING)
		return NULL;
	const uint64_t ahead = max_u64(durable_end(rt), location.cell + location.pages);
	const uint64_t pages =
	    min_u64(max_u64(RUNTIME_READER_PAGES, location.pages), ahead - location.cell);
	window_read(rt, &reader->windows[number], reader_id, number, location.cell,
		    (uint32_t)pages);
	return NULL;
}

void
reader_on_completion(struct runtime *rt, uint32_t reader_id, uint32_t number, bool is_good)
{
	struct reader *reader =
	    reader_id == CORE_NODES_MAX ? &rt->apply_reader : &rt->stream_readers[reader_id];
	struct reader_window *window = &reader->windows[number];

	INVARIANT(window->state == WINDOW_READING);
	window->state = is_good ? WINDOW_READY : WINDOW_EMPTY;
}
