/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tern log verify --deep`: the whole log, and the newest checkpoint, read back from the device of
 * a running node at a bounded rate; private to this room.
 *
 * Of every block from the log's begin up to the index that was asked for: checksums of all pages,
 * content hash, and the chain hash recomputed from block to block, against what the index holds.
 * Blocks that are not yet durable are not looked at. What cannot be read is counted and named, and
 * told to refill_found, which replaces it; a checkpoint that is not whole is given to nobody any
 * more. Pages and parity that nobody reads are the scrub's.
 */
#ifndef TERN_RUNTIME_DEEP_H
#define TERN_RUNTIME_DEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/runtime/status.h"
#include "dataplane/wire/checkpoint.h"

struct runtime;

struct deep {
	uint8_t *buffer; /* a block, or a chunk */
	struct status_deep told;
	bool is_reading, is_stale, is_read, is_read_bad, is_retried;
	uint64_t pause_until_ns;
	uint64_t index;        /* of the block that is read */
	struct hash128 before; /* the chain hash of the block before it, as it was read */
	bool has_before;
	/* The checkpoint, and its next part: 0 is the header. */
	struct checkpoint_hdr hdr;
	struct hash128 root;
	uint32_t slot, part, distrust;
	uint64_t record_index;
};

/* Begins anew, up to block @end_index. Returns the number of the run. */
uint64_t deep_start(struct runtime *rt, uint64_t end_index);
bool deep_turn(struct runtime *rt);
uint64_t deep_deadline_ns(const struct runtime *rt);
void deep_on_read(struct runtime *rt, enum tern_err err);

#endif
