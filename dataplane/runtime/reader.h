/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that have left the ring, read back from the device; private to this room. */
#ifndef TERN_RUNTIME_READER_H
#define TERN_RUNTIME_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/runtime/storage.h"

#define RUNTIME_READER_WINDOWS 4u
#define RUNTIME_READER_PARTS   4u

struct runtime;

/* Blocks of the log read back from the store, for one user (apply, or one stream). Windows of
 * consecutive blocks, so that some can be read while one is used. A part of a window lies in one
 * write group; on one device it may be a run of groups. Cells are written once, so what was read
 * stays true whatever happens to the log; the indexes only say what to read next. */
struct reader_window {
	uint8_t *bytes;
	struct storage_part parts[RUNTIME_READER_PARTS];
	uint32_t part_count, pending;
	uint64_t first_index, last_index;
	bool is_bad; /* some of it could not be read */
	enum { WINDOW_EMPTY = 0, WINDOW_READING, WINDOW_READY } state;
};
struct reader {
	struct reader_window windows[RUNTIME_READER_WINDOWS];
	uint64_t ahead_index; /* the first block that no window was read for */
	/* Up to there some block could not be read, so they are read one by one; and the one that
	 * was tried again. */
	uint64_t narrow_index, retried_index;
};

/* The block's bytes, from the ring or read back; NULL: a read is under way, ask again; or it cannot
 * be read, see refill_found. */
const uint8_t *
reader_block(struct runtime *rt, struct reader *reader, uint32_t reader_id, uint64_t log_index);
/* False: the store has stopped. */
bool
reader_on_completion(struct runtime *rt, uint32_t reader_id, uint32_t window, enum tern_err err);

#endif
