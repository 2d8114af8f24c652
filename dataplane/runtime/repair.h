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
};

/* The log is whole. If it is so from the checkpoint on only, it begins there from now on. */
void repair_anchored(struct runtime *rt);
/* The log is damaged: makes the best of it. False: this node must not start. */
bool repair_begin(struct runtime *rt, struct cmdlog_recovery *recovery);
/* A master is about to give blocks. */
void repair_accept(struct runtime *rt);
/* It is not about to, any more. */
void repair_accept_stop(struct runtime *rt);
void repair_superblock_begun(struct runtime *rt);
void repair_superblock_done(struct runtime *rt);

#endif
