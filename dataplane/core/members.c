/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as a function of the log (protocol section 12): the one that the newest CONFIG
 * block names is effective from its append on, committed or not, and goes with the block when a
 * tail is cut.
 *
 * A change begins only when the one before it has committed, so at most one of them is not, and the
 * record of each names the one before it. A node whose commit_index lags behind learns from that
 * record that the change before it is committed: its master has seen that, and this log is a prefix
 * of the master's.
 *
 * A node that forgot may have been started with a committed configuration that its log does not
 * reach yet. It is given the blocks up to there again, and they change nothing.
 *
 * Only learners are changed so far: voters, and so every quorum, stay as they were at birth.
 */
#include "dataplane/core/change.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/members.h"

uint64_t
members_voters(const struct membership *members)
{
	if (core_count(members->voters) % 2 != 0)
		return members->voters;
	return members->voters | core_bit(members->witness_id);
}

static void
members_derive(struct core *core)
{
	core->data_count = core_count(core->members.voters);
	core->voters = members_voters(&core->members);
	core->quorum = core_count(core->voters) / 2 + 1;
}

void
members_begin(struct core *core)
{
	const struct core_config *config = &core->config;

	core->members = (struct membership){
		.config_index = config->config_index,
		.voters = config->data_nodes,
		.learners = config->learners,
		.witness_id = config->witness_id,
		.witness_gen = config->witness_gen,
	};
	core->committed_members = core->members;
	members_derive(core);
}

/* A node that was made for a cluster that others had begun knows no more of its birth than its node
 * file said. */
bool
members_is_guest(const struct core *core)
{
	return core->members.config_index == 0 && !core_is_voter(core, core->config.node_id);
}

enum tern_err
members_check(const struct core *core, const struct block_meta *block,
	      const struct membership *next, const struct membership *before)
{
	/* One that is known to be committed can be none other. */
	if (block->kind != BLOCK_CONFIG)
		return next == NULL && before == NULL &&
			       block->log_index != core->members.config_index
			   ? TERN_OK
			   : TERN_ERR_MALFORMED;
	if (next == NULL || before == NULL || next->config_index != block->log_index)
		return TERN_ERR_MALFORMED;
	/* It is given again to a node that forgot, and that knows this configuration, or one behind
	 * it, as committed. */
	if (block->log_index < core->members.config_index)
		return TERN_OK;
	if (block->log_index == core->members.config_index)
		return membership_equal(next, &core->members) ? TERN_OK : TERN_ERR_MALFORMED;
	if (before->config_index != core->members.config_index || !membership_is_sound(next))
		return TERN_ERR_MALFORMED;
	if (!membership_equal(before, &core->members) && !members_is_guest(core))
		return TERN_ERR_MALFORMED;
	if (next->voters != before->voters || next->witness_id != before->witness_id ||
	    next->witness_gen != before->witness_gen)
		return TERN_ERR_MALFORMED;
	return TERN_OK;
}

/* A node that enters begins anew; one that leaves is sent nothing any more. */
static void
members_meet(struct core *core, uint64_t before)
{
	for (uint32_t i = 0; i < core->peer_count; i++) {
		struct core_peer *peer = &core->peers[i];
		const bool was_in = (before & core_bit(peer->id)) != 0;
		const bool is_in = core_is_replica(core, peer->id);

		if (peer->is_witness || was_in == is_in)
			continue;
		if (was_in)
			replicate_stop(core, peer);
		*peer = (struct core_peer){ .id = peer->id,
					    .heard_boot_no = peer->heard_boot_no,
					    .progress_ns = core->now_ns };
		if (is_in && core->barrier_index != 0)
			replicate_begin(core, peer);
	}
}

void
members_take(struct core *core, const struct membership *next, const struct membership *before)
{
	const uint64_t replicas = core->members.voters | core->members.learners;

	INVARIANT(next->config_index == core->last_index);
	/* Committed, or this change would not have begun. */
	core_commit_to(core, before->config_index);
	members_commit(core);
	INVARIANT(core->committed_members.config_index == before->config_index);
	core->committed_members = *before;
	core->members = *next;
	members_derive(core);
	if (core->role == CORE_MASTER)
		members_meet(core, replicas);
}

void
members_cut(struct core *core, uint64_t keep_index)
{
	INVARIANT(core->role != CORE_MASTER);
	if (core->members.config_index <= keep_index ||
	    core->members.config_index == core->committed_members.config_index)
		return;
	INVARIANT(core->committed_members.config_index <= keep_index);
	core->members = core->committed_members;
	members_derive(core);
}

void
members_commit(struct core *core)
{
	if (core->members.config_index <= core->commit_index)
		core->committed_members = core->members;
}

enum core_change
core_judge_change(const struct core *core, const struct membership *next)
{
	const struct membership *now = &core->members;

	if (core->role != CORE_MASTER || !core->has_committed || core->transfer_id != 0 ||
	    core->is_barrier_pending || core->is_stopping || core->is_storage_failed)
		return CORE_CHANGE_NOT_MASTER;
	if (now->config_index > core->commit_index)
		return CORE_CHANGE_IN_PROGRESS;
	if (membership_equal(now, next))
		return CORE_CHANGE_NOTHING;
	if (((next->voters | next->learners) & ~core->config.known_nodes) != 0 ||
	    !membership_is_sound(next))
		return CORE_CHANGE_UNKNOWN;
	if (next->voters != now->voters || next->witness_id != now->witness_id ||
	    next->witness_gen != now->witness_gen)
		return CORE_CHANGE_VOTERS;
	return CORE_CHANGE_ALLOWED;
}

uint64_t
core_stream_index(const struct core *core, uint16_t node)
{
	INVARIANT(core->role == CORE_MASTER);
	if (core_is_voter(core, node) || core_has_member_bug(core, CORE_MEMBER_BUG_AHEAD))
		return core->last_index;
	return core->commit_index;
}
