/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/bits.h"

bool
loss_has_helpers(const struct runtime *rt)
{
	return (rt->superblock.shards[0].voters & ~(UINT64_C(1) << rt->config.node_id)) != 0;
}

bool
loss_is_settled(const struct runtime *rt)
{
	return !rt->is_damaged || rt->repair.is_saved;
}

/* ---- holes that a start found ---- */

bool
loss_has_holes(const struct runtime *rt)
{
	return rt->is_damaged && !rt->repair.is_named && rt->stream_count != 0 &&
	       !runtime_has_bug(rt, CORE_BUG_NO_MEND) && rt->mend.hole < cmdlog_hole_count(rt->log);
}

bool
loss_is_mendable(const struct runtime *rt)
{
	const struct mend *mend = &rt->mend;

	if (mend->is_in_flight || mend->filled != 0)
		return true;
	return loss_has_holes(rt) &&
	       (!mend->is_begun || mend->is_written_to || want_is_answered(rt, &mend->want));
}

/* ---- blocks that a running node finds ---- */

/* Who has applied the block needs it only for others: they are given a checkpoint that covers it,
 * and the log begins behind that. Who has not ends, and begins anew with a damaged log, which
 * others help to make whole. A node alone has nobody to help it: its storage has failed. */
void
loss_note(struct runtime *rt, uint64_t log_index, bool is_needed)
{
	struct loss *loss = &rt->loss;

	if (log_index <= rt->applied_index && storage_has_checkpoints(rt)) {
		loss->index = max_u64(loss->index, log_index);
		return;
	}
	if (!is_needed)
		return;
	loss->is_restart_wanted = loss_has_helpers(rt) && !rt->config.is_log_volatile;
	storage_fail(rt);
}

bool
loss_is_in_log(const struct runtime *rt)
{
	return rt->loss.index > cmdlog_stats(rt->log).base_index;
}

void
loss_reclaimed(struct runtime *rt, uint64_t base_index)
{
	if (rt->loss.index <= base_index)
		rt->loss.index = 0;
}

bool
loss_turn(struct runtime *rt)
{
	/* Nothing is promised or given any more, so what is begun comes to its end. */
	if (!rt->loss.is_restart_wanted || cmdlog_groups_in_flight(rt->log) != 0 ||
	    rt->meta.is_writing || rt->heal.busy != NULL || rt->checkpoint.is_writing ||
	    rt->transfer.is_in_flight || rt->mend.is_in_flight || rt->refill.is_in_flight)
		return false;
	rt->is_over = true;
	return true;
}
