/* SPDX-License-Identifier: Apache-2.0 */
/* What the core shows of itself. */
#include "dataplane/core/core_internal.h"

enum core_mode
view_mode(const struct core *core)
{
	struct block_meta last;

	if (core->role == CORE_WITNESS)
		return CORE_MODE_WITNESS;
	if (core->role == CORE_MASTER) {
		if (core->data_count == 1)
			return CORE_MODE_SOLO;
		if (core->data_count % 2 != 0)
			return CORE_MODE_MAJORITY;
		if (core->phase == CORE_PHASE_NORMAL)
			return CORE_MODE_DUPLEX;
		return core->is_registered ? CORE_MODE_SOLO : CORE_MODE_REGISTERING;
	}
	if (core->role != CORE_FOLLOWER || core->master_id == 0)
		return CORE_MODE_NONE;
	/* The barrier of the master's epoch in our log is what makes us part of its in-sync set. */
	last = history_last(core);
	if (core->match == CORE_MATCH_DONE && last.term == core->term &&
	    last.epoch >= core->master_epoch)
		return CORE_MODE_REPLICA;
	return CORE_MODE_CATCHUP;
}

static uint32_t
view_copies(const struct core *core)
{
	if (core->role != CORE_MASTER)
		return 0;
	if (core->data_count % 2 != 0)
		return core->quorum;
	if (core->phase == CORE_PHASE_NORMAL)
		return core->data_count / 2 + 1;
	return core->is_registered ? core->data_count / 2 : 0;
}

static void
view_peer_indexes(const struct core *core, uint64_t *indexes)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < CORE_NODES_MAX; i++)
		indexes[i] = 0;
	if (core->role != CORE_MASTER)
		return;
	for (uint32_t i = 0; i < core->peer_count; i++) {
		if (core->peers[i].is_witness)
			continue;
		/* Peers lie in id order; self takes its place among them. */
		if (count < CORE_NODES_MAX && core->config.node_id < core->peers[i].id &&
		    (i == 0 || core->peers[i - 1].id < core->config.node_id))
			indexes[count++] = core->durable_index;
		if (count < CORE_NODES_MAX)
			indexes[count++] = core->peers[i].durable_index;
	}
	if (count < core->data_count && count < CORE_NODES_MAX)
		indexes[count] = core->durable_index;
}

/* Returns whether something changed that ROLE reports. */
bool
view_refresh(struct core *core)
{
	struct core_view *view = &core->view;
	const struct core_view before = *view;
	const struct block_meta last = history_last(core);
	const bool is_master = core->role == CORE_MASTER;

	view->role = core->role;
	view->mode = view_mode(core);
	view->master_id = core->master_id;
	view->is_serving = master_is_serving(core);
	view->term = core->term;
	view->epoch = is_master ? core->epoch : core->master_epoch;
	view->rset = is_master ? core->rset : 0;
	view->last_index = core->last_index;
	view->received_index = core->last_index;
	view->durable_index = core->durable_index;
	view->commit_index = core->commit_index;
	view->applied_index = core->applied_index;
	view->last_term = last.term;
	view->last_epoch = last.epoch;
	view->last_chain = last.chain;
	view->commit_chain = history_chain(core, core->commit_index);
	view->copies = view_copies(core);
	if (core->role == CORE_WITNESS) {
		view->rset = core->reg.rset;
		view->last_term = core->reg.last_term;
		view->last_epoch = core->reg.last_epoch;
	}
	view_peer_indexes(core, view->peer_durable_index);
	return before.role != view->role || before.mode != view->mode ||
	       before.master_id != view->master_id || before.is_serving != view->is_serving ||
	       before.term != view->term || before.epoch != view->epoch;
}

const struct core_view *
core_view(const struct core *core)
{
	return &core->view;
}

bool
core_block_meta(const struct core *core, uint64_t log_index, struct block_meta *meta)
{
	return history_get(core, log_index, meta);
}
