/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rolling a divergent tail back: first everything that was received is made durable (it is to be
 * kept), then the tail's place on the device is told to the control thread that exports it, then
 * the log is cut and the core hears of it.
 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

void
cut_begin(struct runtime *rt, uint64_t keep_index)
{
	INVARIANT(!rt->cut.is_pending);
	INVARIANT(keep_index >= rt->commit_index);
	rt->cut = (struct cut){ .is_pending = true, .keep_index = keep_index };
	assembly_stop(rt->assembly);
	rt->has_worked = true;
}

bool
cut_turn(struct runtime *rt)
{
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	const uint64_t keep = rt->cut.keep_index;

	if (!rt->cut.is_pending || cmdlog_groups_in_flight(rt->log) != 0 || rt->is_storage_failed)
		return false;
	if (stats.durable_index < stats.last_index && !rt->cut.is_flushed) {
		/* persist_turn starts the rest in this turn; if it cannot, the area is full. */
		rt->cut.is_flushed = !persist_turn(rt);
		return true;
	}
	if (rt->cut.export_next == 0)
		rt->cut.export_next = keep + 1;
	/* The cut waits until the whole tail is named on the ring. */
	if (!divergent_export(rt, &rt->cut.export_next, stats.last_index,
			      core_view(rt->core)->term))
		return false;
	if (keep < stats.last_index)
		cmdlog_cut(rt->log, keep);
	floor_cut(rt, keep);
	rt->persist_index = min_u64(rt->persist_index, keep);
	rt->cut.is_pending = false;
	const struct core_event done = { .kind = CORE_EVENT_CUT_DONE,
					 .now_ns = rt->now_ns,
					 .index = keep };
	const struct core_event durable = { .kind = CORE_EVENT_DURABLE,
					    .now_ns = rt->now_ns,
					    .index = cmdlog_stats(rt->log).durable_index };
	if (durable.index != 0 && durable.index > core_view(rt->core)->durable_index &&
	    dispatch(rt, &durable) != TERN_OK)
		rt->link.drops.core_refused++;
	if (dispatch(rt, &done) != TERN_OK)
		rt->link.drops.core_refused++;
	return true;
}
