/* SPDX-License-Identifier: Apache-2.0 */
/* A log that lost acknowledged blocks: see repair.c; private to this room. */
#ifndef TERN_RUNTIME_REPAIR_H
#define TERN_RUNTIME_REPAIR_H

#include <stdbool.h>

#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/wire/superblock.h"

struct runtime;

struct repair {
	struct superblock_base base;   /* that the log has now */
	bool is_rebased;               /* which is not that of the superblock */
	bool is_anchored;              /* by a checkpoint that lies behind a hole */
	bool is_accept_wanted;         /* a master waits, for blocks are being mended */
	bool is_named;                 /* the superblock is to say so, and that the node forgot */
	bool is_being_saved, is_saved; /* it does */

	/* A block that cannot be read and is applied: a checkpoint takes its place. 0: none. */
	uint64_t lost_index;
	bool is_restart_wanted;
	uint64_t blocks_found; /* since the start */
};

/* The log is whole. If it is so from the checkpoint on only, it begins there from now on. */
void repair_anchored(struct runtime *rt);
/* The log is damaged: makes the best of it. False: this node must not start. */
bool repair_begin(struct runtime *rt, struct cmdlog_recovery *recovery);
/* A master is about to give blocks. */
void repair_accept(struct runtime *rt);
/* It is not about to, any more. */
void repair_accept_stop(struct runtime *rt);
bool repair_may_take(const struct runtime *rt);
/* Block @log_index of the log of a running node cannot be read. It is looked for elsewhere. */
void repair_found(struct runtime *rt, uint64_t log_index);
/* Nor has anybody else it. @is_needed: somebody reads it. */
void repair_lost(struct runtime *rt, uint64_t log_index, bool is_needed);
/* A block of the log is lost, so nobody is given the log that it is in. */
bool repair_has_loss(const struct runtime *rt);
/* The log begins at @base_index now. */
void repair_reclaimed(struct runtime *rt, uint64_t base_index);
/* The node ends this incarnation, to find its log damaged. */
bool repair_turn(struct runtime *rt);
void repair_superblock_begun(struct runtime *rt);
void repair_superblock_done(struct runtime *rt);

#endif
