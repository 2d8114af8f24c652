/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

uint32_t
peers_slot(const struct runtime *rt, uint16_t node)
{
	for (uint32_t i = 0; i < rt->stream_count; i++)
		if (rt->stream_nodes[i] == node)
			return i;
	return UINT32_MAX;
}

bool
peers_are_known(const struct runtime *rt, uint64_t voters, uint16_t witness_id)
{
	const struct runtime_config *config = &rt->config;

	return voters != 0 && (voters & ~config->data_nodes) == 0 &&
	       witness_id == config->witness_id;
}

uint64_t
peers_common_index(const struct runtime *rt)
{
	const struct core_view *view = core_view(rt->core);
	const uint64_t voters = view->members.voters | view->committed_members.voters;
	uint64_t index = view->commit_index;
	uint32_t at = 0;

	/* A copy that ends with its process will ask for all of it again. */
	if (view->is_volatile || view->role != CORE_MASTER)
		return 0;
	for (uint64_t known = view->known_nodes; known != 0; known &= known - 1, at++)
		if ((voters >> __builtin_ctzll(known) & 1) != 0)
			index = min_u64(index, view->peer_durable_index[at]);
	return index;
}

/* ---- messages ---- */

void
peers_acknowledge(struct runtime *rt)
{
	if (!rt->has_ack)
		return;
	rt->has_ack = false;
	rt->ack.append_ack.credit_end_page = cmdlog_credit_end_page(rt->log);
	rt->credit_sent = rt->ack.append_ack.credit_end_page;
	link_send(&rt->link, rt->ack_node, rt->ack_paths, rt->ack_term, &rt->ack);
}

void
peers_send(struct runtime *rt, const struct core_effect *effect)
{
	const uint32_t slot = peers_slot(rt, effect->node);

	if (effect->msg.kind == MSG_HEARTBEAT && slot != UINT32_MAX)
		rt->beats[slot] = effect->msg;
	if (effect->msg.kind != MSG_APPEND_ACK) {
		link_send(&rt->link, effect->node, effect->paths, effect->msg.term, &effect->msg);
		return;
	}
	/* Progress acknowledgements of one turn are one frame: the last says it all. */
	if (rt->has_ack &&
	    (effect->msg.append_ack.status != MSG_APPEND_PROGRESS ||
	     rt->ack.append_ack.status != MSG_APPEND_PROGRESS || rt->ack_node != effect->node))
		peers_acknowledge(rt);
	rt->has_ack = true;
	rt->ack = effect->msg;
	rt->ack_node = effect->node;
	rt->ack_paths = effect->paths;
	rt->ack_term = effect->msg.term;
}
