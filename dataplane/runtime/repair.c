/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log that lost acknowledged blocks (protocol section 11). What can be read of it up to the
 * damage is kept; if the newest checkpoint covers more, the log begins behind that. Such a node is
 * forgetful: it has no vote and is counted for nothing until a master, elected without it, has
 * given it everything again. So whatever it may have acknowledged is in that master's log before
 * the first of its own blocks is superseded.
 *
 * Nothing on the device changes until a master has something to give: before the first block is
 * taken the superblock says that this node is forgetful, and where its log begins. If there is
 * none, because this node alone held the newest commits, its device stays what it is: whoever makes
 * it readable again, and starts the node, has a whole one.
 *
 * Before that, blocks that are lost one by one are got back one by one: see mend.h.
 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/base_of.h"

/* A superblock that is older than the log says nothing of terms and votes; and somebody else has to
 * have what is lost. */
static bool
is_possible(const struct runtime *rt, const struct cmdlog_recovery *recovery)
{
	return loss_has_helpers(rt) && !recovery->is_overwritten && !recovery->is_untrusted;
}

/* What lies before is given to nobody any more: who lacks it is given the checkpoint. */
void
repair_anchored(struct runtime *rt)
{
	struct repair *repair = &rt->repair;
	struct cmdlog_base base;

	if (!cmdlog_anchored_base(rt->log, &base))
		return;
	repair->base = rt->superblock.shards[0].base = reclaim_base(&base);
	repair->is_rebased = repair->is_anchored = repair->is_named = true;
	rt->transfer.is_dirty = true;
}

bool
repair_begin(struct runtime *rt, struct cmdlog_recovery *recovery)
{
	const struct checkpoint_hdr *hdr = &rt->boot.recover.hdr;
	struct repair *repair = &rt->repair;

	if (!is_possible(rt, recovery))
		return false;
	rt->is_damaged = rt->was_damaged = true;
	repair->base = rt->superblock.shards[0].base;
	struct cmdlog_base base;
	repair->is_rebased = repair->is_anchored = cmdlog_anchored_base(rt->log, &base);
	if (repair->is_rebased)
		repair->base = reclaim_base(&base);
	if (!rt->boot.recover.is_restored || hdr->meta.log_index <= recovery->last_index)
		return true;
	repair->is_rebased = true;
	repair->base = checkpoint_base(hdr, cmdlog_stats(rt->log).end_cell);
	base = cmdlog_base_of(&repair->base);
	cmdlog_rebase(rt->log, &base);
	recovery->last_index = recovery->commit_floor = hdr->meta.log_index;
	return true;
}

void
repair_accept(struct runtime *rt)
{
	struct shard_record *shard = &rt->superblock.shards[0];

	if (!rt->is_damaged || rt->repair.is_saved)
		return;
	rt->repair.is_accept_wanted = loss_is_mendable(rt);
	if (rt->repair.is_accept_wanted)
		return;
	shard->join = SUPERBLOCK_FORGETFUL;
	floor_drop(rt);
	if (rt->repair.is_rebased)
		shard->base = rt->repair.base;
	rt->repair.is_named = true;
	rt->transfer.is_dirty = true;
}

void
repair_accept_stop(struct runtime *rt)
{
	rt->repair.is_accept_wanted = false;
}

void
repair_superblock_begun(struct runtime *rt)
{
	rt->repair.is_being_saved = rt->repair.is_named;
}

void
repair_superblock_done(struct runtime *rt)
{
	struct repair *repair = &rt->repair;

	if (!repair->is_being_saved || repair->is_saved)
		return;
	repair->is_saved = true;
	/* Not before the superblock says so: until then a start may find more there. */
	if (repair->is_rebased)
		groups_release(rt, repair->base.next_cell);
}
