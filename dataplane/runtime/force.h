/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generations of the cluster, as a data node's storage has them (core/force.h); private to this
 * room.
 *
 * Forced: one write of the superblock says the generation, a configuration of this node alone whose
 * block is the next one of the log, and where that is; then the node starts anew. Until its GEN
 * block stands in the log, every start finds that it is due.
 *
 * Superseded: the core falls silent at once; the superblock remembers it; and what the log holds
 * beyond the common history is named on the divergent ring, at every start again, for it is what
 * people have to look through before they give this storage up.
 */
#ifndef TERN_RUNTIME_FORCE_H
#define TERN_RUNTIME_FORCE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/core/force.h"
#include "dataplane/wire/superblock.h"

struct runtime;

struct force {
	bool is_superseded;    /* by this incarnation, or one before */
	bool is_exported;      /* all of it is named */
	uint64_t export_next;  /* 0: not begun */
	struct superblock old; /* tests only: see force_superblock */
};

/* Takes a person's word. @gen_id: random, not 0. Anything but ALLOWED: nothing was done. */
enum core_force force_begin(struct runtime *rt, uint32_t gen_id);
/* The log ends at @last_index, and its next block has to be the GEN block. */
bool force_is_gen_due(const struct runtime *rt, uint64_t last_index);
/* The scan found a tail again that had been cut before the node was forced, and that no block has
 * superseded: the GEN block does. */
void force_cut_back(struct runtime *rt, struct cmdlog_recovery *recovery);
/* What the superblock says. */
bool force_is_superseded(const struct runtime *rt);
/* After the superblock was read: what the link has to know. */
void force_boot(struct runtime *rt);
bool force_turn(struct runtime *rt);
/* What is written to the devices: the superblock, unless a test wants it otherwise. */
const struct superblock *force_superblock(struct runtime *rt);

#endif
