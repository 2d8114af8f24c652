/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

#define FLOW_PAGE_NS 1000000u /* 4 MB/s */

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

static uint64_t
flow_allowed_pages(const struct runtime *rt, const struct flow *flow)
{
	return FLOW_BURST_PAGES + (flow->peer_page - flow->begin_peer) / 2 +
	       (rt->now_ns - flow->begin_ns) / FLOW_PAGE_NS;
}

bool
flow_holds(struct runtime *rt)
{
	struct flow *flow = &rt->flow;
	const struct core_view *view = core_view(rt->core);
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	const uint32_t slot = flow_slot(rt, view);

	flow->is_held = false;
	if (slot == UINT32_MAX) {
		flow->is_active = false;
		return false;
	}
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
	flow->is_held = page - flow->begin_page >= flow_allowed_pages(rt, flow);
	return flow->is_held;
}
