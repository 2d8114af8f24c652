/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit index rises, and the configuration with it: the one that the newest CONFIG block names
 * is effective from its append on, and the only one once that block has committed (members.c).
 * On a master, nodes that enter or leave by it are met and let go. Private to this room; all of it
 * within core_step, or while the log is recovered.
 */
#ifndef TERN_CORE_COMMIT_H
#define TERN_CORE_COMMIT_H

#include "dataplane/core/core_internal.h"

/* All up to @index, which this log holds (INVARIANT), is committed. commit_index never falls. */
void commit_to(struct core *core, uint64_t index);
/* Somebody says so of the block with @chain: believed if it is the one of this log. */
void commit_if_held(struct core *core, uint64_t index, struct hash128 chain);
/* commit_index has risen: the newest configuration may be committed by that. */
void commit_members(struct core *core);
/* The last block of the log is a CONFIG block that says @next, checked: that is effective from now
 * on, and @before is committed. Borrows both until return. */
void commit_take_members(struct core *core, const struct membership *next,
			 const struct membership *before);

#endif
