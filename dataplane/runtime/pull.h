/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committed blocks from a node that is not the master (core/seek.c); private to this room.
 *
 * Core names the node, and index and chain hash of the next few blocks. They are asked for one by
 * one (want.h), of that node first. Each is checked against its chain hash, content included,
 * before it goes to the ring, where a block of a master would have been put together.
 *
 * In the buffer of mend.h, which has ended when this begins; refill.c takes it away when it needs
 * it, and core names the blocks again.
 */
#ifndef TERN_RUNTIME_PULL_H
#define TERN_RUNTIME_PULL_H

#include "dataplane/runtime/want.h"
#include "dataplane/wire/msg.h"

struct runtime;
struct core_effect;

struct pull {
	uint32_t count; /* blocks that are named, the one that is asked for included */
	struct hash128 chains[MSG_NEXT_MAX];
	struct block_want want;
	uint64_t blocks_taken, parts_bad; /* since the start */
};

/* PULL. */
void pull_want(struct runtime *rt, const struct core_effect *effect);
void pull_drop(struct runtime *rt);
bool pull_turn(struct runtime *rt);
bool pull_is_busy(const struct runtime *rt);
uint64_t pull_deadline_ns(const struct runtime *rt); /* UINT64_MAX: none */
/* False: it is none of what was asked for. */
bool pull_on_part(struct runtime *rt, const struct frame_hdr *hdr, const struct part_hdr *part,
		  const uint8_t *bytes);

#endif
