/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame that is sent for a master that is no more: its FAREWELL, said by somebody who only
 * knows what it noted before (docs/reference/protocol.md, section 7).
 *
 * Pure: no state, any thread.
 */
#ifndef TERN_WIRE_FAREWELL_H
#define TERN_WIRE_FAREWELL_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/wire/frame.h"
#include "dataplane/wire/generation.h"
#include "dataplane/wire/msg.h"

#define FAREWELL_FRAME_BYTES_MAX (FRAME_HDR_BYTES + MSG_BYTES_MAX)

/* What a process has to say when it dies now. */
struct farewell {
	bool is_master; /* false: nothing */
	uint16_t node_id, shard;
	uint32_t boot_no;
	uint64_t cluster_id, term;
	uint64_t members; /* mask of the node ids that it is said to: all but node_id */
	struct generation generation;
};

/* Writes the frame to @receiver into @frame (FAREWELL_FRAME_BYTES_MAX of room) and returns its
 * length. @number: of the frame among the last words of this process, from 0 on. */
uint32_t
farewell_seal(uint8_t *frame, const struct farewell *farewell, uint16_t receiver, uint32_t number);

#endif
