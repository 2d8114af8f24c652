/* SPDX-License-Identifier: Apache-2.0 */
/* What the core shows of itself. */
#include "dataplane/core/core_internal.h"
#include "dataplane/core/hear.h"
#include "dataplane/core/members.h"
#include "dataplane/core/round.h"

enum core_mode
view_mode(const struct core *core)
{
	struct block_meta last;

	if (core->is_superseded)
		return CORE_MODE_SUPERSEDED;
	if (core->role == CORE_WITNESS)
		return CORE_MODE_WITNESS;
	if (core->role == CORE_MASTER) {
		if (members_pair(core) == NULL && core->rules[0].count != 2)
			return core->rules[0].count == 1 ? CORE_MODE_SOLO : CORE_MODE_MAJORITY;
		if (core->phase == CORE_PHASE_NORMAL)
			return CORE_MODE_DUPLEX;
		return core->is_registered ? CORE_MODE_SOLO : CORE_MODE_REGISTERING;
	}
	if (core->role != CORE_FOLLOWER || core->master_id == 0)
		return CORE_MODE_NONE;
	if (!core_is_voter(core, core->config.node_id))
		return core->match == CORE_MATCH_DONE ? CORE_MODE_LEARNER : CORE_MODE_CATCHUP;
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
	const struct core_rule *pair = members_pair(core);

	if (core->role != CORE_MASTER)
		return 0;
	if (pair == NULL)
		return core->rules[0].quorum;
	if (core->phase == CORE_PHASE_NORMAL)
		return pair->count / 2 + 1;
	return core->is_registered ? pair->count / 2 : 0;
}

static void
view_peer_index(struct core_view *view, uint32_t at, uint64_t durable, uint64_t received,
		uint32_t boot_no)
{
	INVARIANT(at < CORE_NODES_MAX);
	view->peer_durable_index[at] = durable;
	view->peer_received_index[at] = received;
	view->peer_boot_no[at] = boot_no;
}

/* Peers lie in id order; self takes its place among them. */
static void
view_peer_indexes(struct core *core)
{
	uint32_t count = 0;
	bool is_self_done = false;

	for (uint32_t i = 0; i < CORE_NODES_MAX; i++)
		view_peer_index(&core->view, i, 0, 0, 0);
	if (core->role != CORE_MASTER)
		return;
	for (uint32_t i = 0; i <= core->peer_count; i++) {
		const struct core_peer *peer = i < core->peer_count ? &core->peers[i] : NULL;

		if (!is_self_done && (peer == NULL || core->config.node_id < peer->id)) {
			is_self_done = true;
			view_peer_index(&core->view, count++, core->durable_index, core->last_index,
					core->config.boot_no);
		}
		if (peer != NULL && !peer->is_witness)
			view_peer_index(&core->view, count++, peer->durable_index,
					peer->received_index, peer->boot_no);
	}
	INVARIANT(count == core_count(core->config.known_nodes));
}

/* A durable copy that is counted lies in memory. */
static bool
view_is_volatile(const struct core *core)
{
	if (core->config.is_log_volatile)
		return true;
	for (uint32_t i = 0; core->role == CORE_MASTER && i < core->peer_count; i++)
		if ((core->rset & core_bit(core->peers[i].id)) != 0 &&
		    (core->peers[i].health & MSG_HEALTH_VOLATILE) != 0)
			return true;
	return false;
}

static uint64_t
view_until_ns(const struct core *core)
{
	uint64_t since_ns = 0;

	if (core->master_id == 0)
		return 0;
	if (core->role == CORE_MASTER)
		since_ns = round_confirmed_ns(core);
	else if (core->has_heard && core->heard_id == core->master_id)
		since_ns = core->heard_ns;
	return since_ns != 0 ? since_ns + core->elect_min_ns : 0;
}

/* The mark becomes true once everything is applied that was committed when its heartbeat left. */
static void
view_freshness(struct core *core)
{
	const bool is_replica = core->role == CORE_FOLLOWER && core->master_id != 0;
	const uint64_t shown =
	    core->applied_index < core->commit_index ? core->applied_index : core->commit_index;

	if (!is_replica || core->view.term != core->term) {
		core->view.fresh_ns = core->view.echo_ns = 0;
		core->fresh_mark_ns = 0;
		return;
	}
	if (core->fresh_mark_ns == 0 ||
	    (shown < core->fresh_index && !core_has_bug(core, CORE_BUG_STALE_EARLY)))
		return;
	if (core->fresh_mark_ns > core->view.fresh_ns)
		core->view.fresh_ns = core->fresh_mark_ns;
	core->fresh_mark_ns = 0;
}

/* Returns whether something changed that ROLE reports. */
bool
view_refresh(struct core *core)
{
	struct core_view *view = &core->view;
	const struct core_view before = *view;
	const struct block_meta last = history_last(core);
	const bool is_master = core->role == CORE_MASTER;

	view_freshness(core);
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
	view->memory_commit_index = core->memory_commit_index;
	view->is_forgetful = core->is_forgetful;
	view->is_volatile = view_is_volatile(core);
	view->applied_index = core->applied_index;
	view->last_term = last.term;
	view->last_epoch = last.epoch;
	view->last_chain = last.chain;
	view->commit_chain = history_chain(core, core->commit_index);
	view->members = core->members;
	view->committed_members = core->committed_members;
	view->is_joint = core_is_joint(core);
	view->copies = view_copies(core);
	view->is_quarantined = core->is_quarantined;
	if (core->role == CORE_WITNESS) {
		view->members.witness_gen = core->config.witness_gen;
		view->rset = core->reg.rset;
		view->last_term = core->reg.last_term;
		view->last_epoch = core->reg.last_epoch;
	}
	view_peer_indexes(core);
	view->view_until_ns = view_until_ns(core);
	view->lease_until_ns = lease_until_ns(core);
	view->hear_ns = hear_patience_ns(core);
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
