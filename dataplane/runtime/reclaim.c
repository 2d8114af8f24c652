/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

struct superblock_base
reclaim_base(const struct cmdlog_base *base)
{
	return (struct superblock_base){
		.log_index = base->meta.log_index,
		.term = base->meta.term,
		.page_end = base->page_end,
		.time_ns = base->time_ns,
		.next_cell = base->next_cell,
		.epoch = base->meta.epoch,
		.kind = (uint8_t)base->meta.kind,
		.chain = base->meta.chain,
		.boot_no = base->boot_no,
		.group_seq = base->group_seq,
	};
}

static uint64_t
limit_of(const struct runtime *rt, const struct cmdlog_stats *stats)
{
	uint64_t limit = 0;

	if (stats->used_pages > stats->area_pages / 4 * 3 || loss_is_in_log(rt))
		limit = checkpoint_start_index(rt);
	else if (stats->used_pages > stats->area_pages / 2)
		limit = checkpoint_fallback_index(rt);
	if (stats->used_pages <= stats->area_pages / 10 * 9 && rt->config.divergent != NULL &&
	    !ring_is_empty(rt->config.divergent))
		limit = 0;
	if (stats->used_pages <= stats->area_pages / 16 * RUNTIME_LOG_KEPT && !loss_is_in_log(rt))
		/* A master need not have told it in a block: where the log is full, nobody writes
		 * one. */
		limit = min_u64(limit, max_u64(stats->common_index, peers_common_index(rt)));
	return min_u64(min_u64(limit, hold_index(rt)), state_committed_index(rt->config.state));
}

/* Writes a superblock for some gain only. */
static bool
is_worth_it(const struct runtime *rt, const struct cmdlog_stats *stats,
	    const struct cmdlog_base *base)
{
	const uint64_t gain = base->next_cell - rt->superblock.shards[0].base.next_cell;

	return gain >= stats->area_pages / 16 ||
	       (loss_is_in_log(rt) && base->meta.log_index >= rt->loss.index) ||
	       stats->used_pages > stats->area_pages / 10 * 9;
}

/* Behind which block the log may begin. Not of a log that came to harm, before the superblock says
 * so: with its end for the base nothing would be left of what is lost behind that, and the next
 * start would find a whole log. */
static bool
is_reclaimable(const struct runtime *rt, struct cmdlog_base *base)
{
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	const uint64_t limit = min_u64(limit_of(rt, &stats), stats.durable_index);

	if (rt->cut.is_pending || rt->reclaim.base_index != 0 || hold_by_transfer(rt) ||
	    !loss_is_settled(rt))
		return false;
	if (limit <= stats.base_index)
		return false;
	const bool is_there = cmdlog_base_at(rt->log, limit, base);
	INVARIANT(is_there && base->next_cell != UINT64_MAX);
	return is_worth_it(rt, &stats, base);
}

/* Names a later base in the superblock; when that is durable the log before it goes. */
bool
reclaim_turn(struct runtime *rt)
{
	struct cmdlog_base base;

	if (rt->checkpoint.phase == CHECKPOINT_OFF || rt->is_storage_failed ||
	    !is_reclaimable(rt, &base))
		return false;
	rt->superblock.shards[0].base = reclaim_base(&base);
	rt->reclaim.base_index = base.meta.log_index;
	rt->meta.is_dirty = true;
	return true;
}

void
reclaim_superblock_begun(struct runtime *rt)
{
	rt->reclaim.is_written = rt->reclaim.base_index != 0;
}

void
reclaim_superblock_done(struct runtime *rt)
{
	struct reclaimer *reclaim = &rt->reclaim;

	if (!reclaim->is_written)
		return;
	cmdlog_reclaim(rt->log, reclaim->base_index);
	groups_release(rt, rt->superblock.shards[0].base.next_cell);
	core_reclaim(rt->core, reclaim->base_index);
	loss_reclaimed(rt, reclaim->base_index);
	*reclaim = (struct reclaimer){ 0 };
}

bool
reclaim_is_near(const struct runtime *rt)
{
	struct cmdlog_base base;

	if (rt->checkpoint.phase == CHECKPOINT_OFF || rt->is_storage_failed)
		return false;
	if (rt->reclaim.base_index != 0 || is_reclaimable(rt, &base))
		return true;
	return checkpoint_is_coming(rt) && !hold_by_transfer(rt) && loss_is_settled(rt) &&
	       hold_index(rt) > cmdlog_stats(rt->log).base_index;
}
