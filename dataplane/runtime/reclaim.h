/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reuse of the log that checkpoints cover; private to this room.
 *
 * The log is reclaimed no further than the newest checkpoint, and only when its room is needed:
 * down to the older checkpoint from one half of the area on, so that a damaged newest one is no
 * loss, down to the newest from three quarters on. One that is known not to be whole counts as
 * none: where it is the newest, the log behind the older one is kept until another has taken its
 * place. What some data node does not yet hold durably (beyond common_index) is kept until seven
 * eighths are used; who lacks it then gets a checkpoint (transfer.h), and what follows that is kept
 * for it. Cut tails that are not yet exported, and who fetches a checkpoint, are waited for until
 * nine tenths are used.
 *
 * The superblock first names the block behind which the log begins; once that is durable, what lies
 * before it is gone.
 */
#ifndef TERN_RUNTIME_RECLAIM_H
#define TERN_RUNTIME_RECLAIM_H

#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/wire/superblock.h"

struct runtime;

struct reclaimer {
	uint64_t base_index; /* named by no durable superblock yet; 0: none */
	bool is_written;     /* the superblock that names it is being written */
};

/* What the superblock says of the log's @base. */
struct superblock_base reclaim_base(const struct cmdlog_base *base);
/* True: a base is to be named. */
bool reclaim_turn(struct runtime *rt);
/* Part of the log goes soon, whether commands come or not: a base is being named, or a checkpoint
 * written. Where the log is full, writes wait for that before they are refused. */
bool reclaim_is_near(const struct runtime *rt);
void reclaim_superblock_begun(struct runtime *rt);
void reclaim_superblock_done(struct runtime *rt);

#endif
