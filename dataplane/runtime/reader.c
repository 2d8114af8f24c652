/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks that have left the ring are read back from the device, a window of consecutive cells at a
 * time. Blocks are mostly asked for one behind the other: while the blocks of one window are used,
 * the other windows are read behind it, all at the same time, so that a replica that catches up is
 * not held to one device read after another.
 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

static bool
window_holds(const struct reader_window *window, uint64_t cell, uint32_t pages)
{
	return window->state != WINDOW_EMPTY && cell >= window->first_cell &&
	       cell + pages <= window->first_cell + window->pages;
}

/* Nothing of it will be asked for any more if blocks are asked for in order. */
static bool
window_is_spent(const struct reader_window *window, uint64_t log_index)
{
	return window->state == WINDOW_EMPTY ||
	       (window->state == WINDOW_READY && window->last_index < log_index);
}

/* Reads block @log_index, which is on the device, and as many of those that lie behind it as fit.
 */
static void
window_read(struct runtime *rt, struct reader *reader, uint32_t reader_id, uint32_t number,
	    uint64_t log_index)
{
	struct reader_window *window = &reader->windows[number];
	struct cmdlog_location next;
	uint64_t last = log_index;

	INVARIANT(window->state != WINDOW_READING);
	window->state = WINDOW_EMPTY;
	if (rt->reads_in_flight == RUNTIME_READS_IN_FLIGHT_MAX ||
	    !cmdlog_locate(rt->log, log_index, &next) || next.cell == UINT64_MAX)
		return;
	window->first_cell = next.cell;
	window->pages = next.pages;
	while (cmdlog_locate(rt->log, last + 1, &next) &&
	       next.cell == window->first_cell + window->pages &&
	       window->pages + next.pages <= RUNTIME_READER_PAGES &&
	       cmdlog_area_page(rt->log, next.cell) != 0) {
		window->pages += next.pages;
		last++;
	}
	if (storage_queue(rt, DISK_READ,
			  rt->superblock.log_first_page +
			      cmdlog_area_page(rt->log, window->first_cell),
			  window->bytes, window->pages,
			  storage_user_make(USER_READER, reader_id, number)) != TERN_OK)
		return;
	rt->reads_in_flight++;
	window->state = WINDOW_READING;
	window->last_index = last;
	reader->ahead_index = last + 1;
}

/* Reads on behind @log_index, which is at hand, into the windows that are spent; not what the ring
 * still holds. */
static void
read_ahead(struct runtime *rt, struct reader *reader, uint32_t reader_id, uint64_t log_index)
{
	struct cmdlog_location location;

	if (reader->ahead_index <= log_index)
		reader->ahead_index = log_index + 1;
	for (uint32_t i = 0; i < RUNTIME_READER_WINDOWS; i++) {
		if (!window_is_spent(&reader->windows[i], log_index))
			continue;
		if (!cmdlog_locate(rt->log, reader->ahead_index, &location) ||
		    location.cell == UINT64_MAX ||
		    cmdlog_resident(rt->log, reader->ahead_index) != NULL)
			return;
		window_read(rt, reader, reader_id, i, reader->ahead_index);
	}
}

/* The window of block @log_index at @location, or NULL. */
static struct reader_window *
window_of(struct reader *reader, const struct cmdlog_location *location)
{
	for (uint32_t i = 0; i < RUNTIME_READER_WINDOWS; i++)
		if (window_holds(&reader->windows[i], location->cell, location->pages))
			return &reader->windows[i];
	return NULL;
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
	if (number != RUNTIME_READER_WINDOWS)
		window_read(rt, reader, reader_id, number, log_index);
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
	const struct reader_window *window = window_of(reader, &location);
	if (window == NULL)
		seek(rt, reader, reader_id, log_index);
	if (window == NULL || window->state == WINDOW_READING)
		return NULL;
	const uint8_t *bytes = window->bytes + (location.cell - window->first_cell) * PAGE_BYTES;
	if (cmdlog_check_read(rt->log, log_index, bytes) != TERN_OK) {
		storage_fail(rt);
		return NULL;
	}
	read_ahead(rt, reader, reader_id, log_index);
	return bytes;
}

void
reader_on_completion(struct runtime *rt, uint32_t reader_id, uint32_t number, bool is_good)
{
	struct reader *reader =
	    reader_id == CORE_NODES_MAX ? &rt->apply_reader : &rt->stream_readers[reader_id];
	struct reader_window *window = &reader->windows[number];

	INVARIANT(window->state == WINDOW_READING);
	INVARIANT(rt->reads_in_flight != 0);
	rt->reads_in_flight--;
	window->state = is_good ? WINDOW_READY : WINDOW_EMPTY;
}
