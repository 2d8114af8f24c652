/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A write group of a running node of which more is lost than its parity makes good, put together
 * again from what this node has in memory or can still read, and from blocks that other nodes give;
 * private to this room.
 *
 * A scrub, a rebuild or a read finds it. Every block that lies in it is looked for in the log ring,
 * then on the devices, then with one data node after the other, by (log_index, chain): what has
 * that chain hash is that very block. When all of them are here, the group is written in place
 * where it is not what it must be. Nobody stops for this: who needs one of these blocks waits.
 *
 * It cannot be done with blocks that are not all in the log (some were superseded, or the log
 * begins behind them), nor when nobody has one of them: then loss.c is told, and a checkpoint
 * takes the place of what is lost.
 *
 * One group at a time, in the buffer of mend.h, which has ended when this begins.
 */
#ifndef TERN_RUNTIME_REFILL_H
#define TERN_RUNTIME_REFILL_H

#include "dataplane/cmdlog/mend.h"
#include "dataplane/runtime/want.h"
#include "dataplane/stripe/store.h"

struct runtime;

enum refill_phase {
	REFILL_IDLE = 0,
	REFILL_BLOCK, /* the next one is looked for */
	REFILL_READ,  /* on the devices */
	REFILL_ASK,   /* with others */
	REFILL_WRITE,
};

struct refill {
	enum refill_phase phase;
	struct stripe_address address;
	struct cmdlog_group_blocks blocks;
	bool is_walk;          /* one waits for it */
	uint64_t wanted_index; /* and who reads this block; 0: nobody */
	bool is_in_flight;
	uint64_t index; /* of the block that is looked for */
	uint32_t page;  /* of the group, where it begins */
	struct block_want want;
	uint64_t filled_cell;    /* of the group put together last for a read, plus one */
	uint64_t filled;         /* groups, since the start */
	uint64_t hopeless;       /* of which nobody had all blocks */
	uint64_t blocks_fetched; /* from other nodes */
	uint64_t parts_bad;
	uint64_t blocks_found; /* that could not be read */
};

/* For a walk, which is told by heal_on_refilled. False: it cannot be done. */
bool refill_begin(struct runtime *rt, struct stripe_address address);
/* Block @log_index of the log of a running node cannot be read. It is looked for elsewhere, if that
 * can be done; and if not, or nobody has it, it is lost (loss.h). */
void refill_found(struct runtime *rt, uint64_t log_index);
/* It lies in the group that is being put together. */
bool refill_has(const struct runtime *rt, uint64_t log_index);
bool refill_turn(struct runtime *rt);
uint64_t refill_deadline_ns(const struct runtime *rt);
/* False: it is none of what was asked for. */
bool refill_on_part(struct runtime *rt, const struct frame_hdr *hdr, const struct part_hdr *part,
		    const uint8_t *bytes);
void refill_on_completion(struct runtime *rt, enum tern_err err);

#endif
