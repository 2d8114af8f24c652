/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/commit.h"

#include "dataplane/core/members.h"
#include "dataplane/core/search.h"

/* A node that enters begins anew; one that leaves is sent nothing any more. */
static void
commit_meet_peers(struct core *core, uint64_t before)
{
	for (uint32_t i = 0; i < core->peer_count; i++) {
		struct core_peer *peer = &core->peers[i];
		const bool was_in = (before & core_bit(peer->id)) != 0;
		const bool is_in = core_is_replica(core, peer->id);

		if (peer->is_witness || was_in == is_in)
			continue;
		if (was_in)
			search_forget(core, peer);
		*peer = (struct core_peer){ .id = peer->id,
					    .heard_boot_no = peer->heard_boot_no,
					    .progress_ns = core->now_ns };
		if (is_in && core->barrier_index != 0)
			search_begin(core, peer);
	}
}

/* The voters of the newest configuration alone count from now on. */
void
commit_members(struct core *core)
{
	const uint64_t replicas = core->data | core->members.learners;

	if (core->members.config_index > core->commit_index ||
	    core->members.config_index == core->committed_members.config_index)
		return;
	core->committed_members = core->members;
	members_derive(core);
	if (core->role != CORE_MASTER)
		return;
	lease_forget(core);
	commit_meet_peers(core, replicas);
	if (core->phase == CORE_PHASE_NORMAL)
		core->rset = core->data;
	if (members_pair(core) == NULL)
		core->is_registered = false;
	core->is_entered = false;
	core->enter_voters = 0;
	core->enter_boot_no = 0;
}

void
commit_to(struct core *core, uint64_t index)
{
	INVARIANT(index <= core->last_index);
	INVARIANT(core->match != CORE_MATCH_CUTTING || index <= core->cut_index);
	if (index <= core->commit_index)
		return;
	if (core->commit_index <= core->applied_index)
		core->apply_progress_ns = core->now_ns;
	core->commit_index = index;
	memory_raise(core, index);
	commit_members(core);
}

void
commit_if_held(struct core *core, uint64_t index, struct hash128 chain)
{
	/* A tail that is being cut is held no more: a cut under way cannot be taken back. */
	if (core->match == CORE_MATCH_CUTTING && index > core->cut_index)
		return;
	if (history_holds(core, index, chain))
		commit_to(core, index);
}

void
commit_take_members(struct core *core, const struct membership *next,
		    const struct membership *before)
{
	uint64_t replicas;

	INVARIANT(next->config_index == core->last_index);
	/* Committed, or this change would not have begun. */
	commit_to(core, before->config_index);
	commit_members(core);
	INVARIANT(core->committed_members.config_index == before->config_index);
	core->committed_members = *before;
	replicas = core->data | core->members.learners;
	core->members = *next;
	/* That the block was a GEN block is not said by those that follow. */
	core->members.begins = (struct generation){ 0, 0 };
	core->members.parent_id = 0;
	members_derive(core);
	if (core->role != CORE_MASTER)
		return;
	lease_forget(core);
	commit_meet_peers(core, replicas);
	if (membership_is_witness_out(next, before))
		core->allotted_gen = next->witness_gen;
}
