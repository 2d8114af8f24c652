/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/floor.h"

#include "dataplane/base/bits.h"
#include "dataplane/cmdlog/base_of.h"
#include "dataplane/runtime/runtime_internal.h"

#define FLOOR_TIMEOUTS 4u /* times T_elect_max, without a write */

static struct superblock_floor *
floor_of(struct runtime *rt)
{
	return &rt->superblock.shards[0].floor;
}

void
floor_boot_begin(struct runtime *rt)
{
	const struct cmdlog_floor floor = cmdlog_floor_of(floor_of(rt));

	/* A log that ends with its process was not meant. */
	if (!rt->config.is_log_volatile)
		cmdlog_set_floor(rt->log, &floor);
}

void
floor_boot_end(struct runtime *rt)
{
	const struct cmdlog_recovery *found = &rt->boot.recovery;

	rt->floor = (struct floor){
		.told_index = rt->is_damaged ? 0 : min_u64(found->acked_floor, found->last_index),
		.written_ns = rt->now_ns,
	};
}

void
floor_group_begun(struct runtime *rt, uint64_t acked_floor)
{
	rt->floor.told_index = max_u64(rt->floor.told_index, acked_floor);
}

void
floor_group_done(struct runtime *rt)
{
	rt->floor.written_ns = rt->now_ns;
}

/* What superseded the tail may become durable before the superblock says less: the scan sees that
 * a branch began behind @keep_index. */
void
floor_cut(struct runtime *rt, uint64_t keep_index)
{
	struct superblock_floor *floor = floor_of(rt);

	/* Of a log that came to harm only the write that says FORGETFUL takes it back. */
	if (!loss_is_settled(rt))
		return;
	rt->floor.told_index = min_u64(rt->floor.told_index, keep_index);
	if (floor->log_index <= keep_index)
		return;
	floor->log_index = keep_index;
	rt->meta.is_dirty = true;
}

void
floor_drop(struct runtime *rt)
{
	*floor_of(rt) = (struct superblock_floor){ 0 };
	rt->floor.told_index = 0;
}

static bool
is_wanted(const struct runtime *rt)
{
	/* Every turn asks: under load the first answer is enough. The last superblock of an
	 * incarnation is that of the log to come. */
	if (cmdlog_groups_in_flight(rt->log) != 0 || rt->transfer.is_last_write ||
	    rt->config.is_log_volatile || rt->is_storage_failed || rt->cut.is_pending ||
	    !loss_is_settled(rt) || runtime_has_bug(rt, CORE_BUG_NO_FLOOR) ||
	    (rt->config.own_bugs & RUNTIME_BUG_IDLE_FLOOR) != 0)
		return false;
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	return stats.durable_index > max_u64(rt->floor.told_index, stats.base_index);
}

uint64_t
floor_deadline_ns(const struct runtime *rt)
{
	if (!is_wanted(rt))
		return UINT64_MAX;
	return rt->floor.written_ns + FLOOR_TIMEOUTS * core_view(rt->core)->elect_max_ns;
}

void
floor_turn(struct runtime *rt)
{
	if (rt->now_ns < floor_deadline_ns(rt))
		return;
	rt->floor.told_index = cmdlog_stats(rt->log).durable_index;
	*floor_of(rt) = (struct superblock_floor){
		.log_index = rt->floor.told_index,
		.group_seq = stripe_store_group_seq(rt->store),
		.boot_no = rt->superblock.boot_no,
	};
	rt->meta.is_dirty = true;
}
