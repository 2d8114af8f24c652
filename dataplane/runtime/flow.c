/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

/* The voter outside the in-sync set that is given blocks, by its slot; UINT32_MAX: none. */
static uint32_t
flow_slot(const struct runtime *rt, const struct core_view *view)
{
	if (view->role != CORE_MASTER || view->rset == 0)
		return UINT32_MAX;
	for (uint32_t i = 0; i < rt->stream_count; i++)
		if ((view->rset >> rt->stream_nodes[i] & 1) == 0 &&
		    (view->members.voters >> rt->stream_nodes[i] & 1) != 0 &&
		    stream_is_active(rt->streams[i]))
			return i;
	return UINT32_MAX;
}

/* One is served a checkpoint. */
static bool
is_transferred(const struct runtime *rt, const struct core_view *view,
	       struct source_progress *progress)
{
	const uint64_t away = view->members.voters & ~view->rset;

	return view->role == CORE_MASTER && view->rset != 0 && source_progress(rt, progress) &&
	       (away >> progress->node & 1) != 0 &&
	       (rt->config.own_bugs & RUNTIME_BUG_UNPACED) == 0;
}

static uint64_t
flow_allowed_pages(const struct runtime *rt, const struct flow *flow)
{
	return FLOW_BURST_PAGES + (flow->peer_page - flow->begin_peer) / 2 +
	       (rt->now_ns - flow->begin_ns) / FLOW_PAGE_NS;
}

/* It takes blocks. */
static bool
stream_holds(struct runtime *rt, const struct core_view *view, uint32_t slot)
{
	struct flow *flow = &rt->flow;
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	const uint16_t node = rt->stream_nodes[slot];
	/* This node has a place of its own among the peers of the view. */
	const uint64_t durable_index =
	    max_u64(view->peer_durable_index[slot + (node > rt->config.node_id)], stats.base_index);
	const uint64_t peer_page = cmdlog_page_end(rt->log, durable_index);
	const uint64_t page = cmdlog_page_end(rt->log, stats.last_index);

	if (!flow->is_active || flow->node != node || peer_page < flow->peer_page ||
	    rt->now_ns - flow->progress_ns > core_late_ns(&rt->config.timers, node)) {
		flow->is_active = true;
		flow->node = node;
		flow->begin_ns = flow->progress_ns = rt->now_ns;
		flow->begin_page = page;
		flow->begin_peer = flow->peer_page = peer_page;
	}
	if (peer_page > flow->peer_page) {
		flow->peer_page = peer_page;
		flow->progress_ns = rt->now_ns;
	}
	INVARIANT(page >= flow->begin_page);
	return page - flow->begin_page >= flow_allowed_pages(rt, flow);
}

/* It fetches a checkpoint, or starts from it. */
static bool
transfer_holds(struct runtime *rt, const struct source_progress *progress)
{
	struct flow *flow = &rt->flow;
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	const uint64_t share = stats.area_pages / RUNTIME_TRANSFER_SHARE;
	const bool is_late =
	    rt->now_ns - progress->asked_ns > core_late_ns(&rt->config.timers, progress->node);
	const uint64_t second =
	    is_late ? share : share * min_u64(progress->page, progress->pages) / progress->pages;

	if (progress->behind < share + second) {
		flow->is_over = false;
		return false;
	}
	if (!flow->is_over) {
		flow->is_over = true;
		flow->over_cell = stats.end_cell;
		flow->over_ns = rt->now_ns;
	}
	return stats.end_cell - flow->over_cell >= (rt->now_ns - flow->over_ns) / FLOW_PAGE_NS;
}

bool
flow_holds(struct runtime *rt)
{
	struct flow *flow = &rt->flow;
	const struct core_view *view = core_view(rt->core);
	const uint32_t slot = flow_slot(rt, view);
	struct source_progress progress;

	if (slot != UINT32_MAX) {
		flow->is_over = false;
		flow->is_held = stream_holds(rt, view, slot);
	} else if (is_transferred(rt, view, &progress)) {
		flow->is_active = false;
		flow->is_held = transfer_holds(rt, &progress);
	} else {
		flow->is_active = flow->is_over = flow->is_held = false;
	}
	return flow->is_held;
}
