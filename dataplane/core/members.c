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
 * Voters change one at a time, from two with a witness to three or back, and jointly: until the
 * block commits, blocks commit and masters are elected by the rule of either configuration. The
 * rules are those of tests/model/joint.pml, which names what each of them is for.
 */
#include "dataplane/core/change.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/members.h"
#include "dataplane/core/peer.h"

uint64_t
members_voters(const struct membership *members)
{
	if (!membership_has_witness(members))
		return members->voters;
	return members->voters | core_bit(members->witness_id);
}

static struct core_rule
rule_of(const struct membership *members)
{
	const uint64_t voters = members_voters(members);

	return (struct core_rule){
		.data = members->voters,
		.voters = voters,
		.count = core_count(members->voters),
		.quorum = core_count(voters) / 2 + 1,
	};
}

/* From the append of a block that changes the voters until its commit both rules hold. */
static void
members_derive(struct core *core)
{
	core->rule_count = 0;
	if (core_is_joint(core) && !core_has_member_bug(core, CORE_MEMBER_BUG_ONE_STEP))
		core->rules[core->rule_count++] = rule_of(&core->committed_members);
	core->rules[core->rule_count++] = rule_of(&core->members);
	core->data = core->voters = 0;
	for (uint32_t i = 0; i < core->rule_count; i++) {
		core->data |= core->rules[i].data;
		core->voters |= core->rules[i].voters;
	}
}

const struct core_rule *
members_pair(const struct core *core)
{
	for (uint32_t i = 0; i < core->rule_count; i++)
		if (core_rule_has_witness(&core->rules[i]))
			return &core->rules[i];
	return NULL;
}

bool
members_are_quorum(const struct core *core, uint64_t mask)
{
	const bool is_new_enough = core_has_member_bug(core, CORE_MEMBER_BUG_COMMIT_ONLY);

	for (uint32_t i = is_new_enough ? core->rule_count - 1 : 0; i < core->rule_count; i++)
		if (core_count(mask & core->rules[i].voters) < core->rules[i].quorum)
			return false;
	return true;
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

/* One change at a time: of the learners and of one voter, or of the witness. */
static bool
members_is_step(const struct core *core, const struct membership *next,
		const struct membership *before)
{
	const struct generation *own = &core->config.generation;

	/* A GEN block is of this generation, or of one that it descends from. */
	if (next->begins.number != 0)
		return membership_is_forced(next, before) &&
		       (next->begins.number < own->number || generation_equal(&next->begins, own));
	if (next->witness_gen != before->witness_gen)
		return membership_is_witness_out(next, before) ||
		       membership_is_witness_in(next, before);
	return core_count(next->voters ^ before->voters) <= 1 &&
	       next->witness_id == before->witness_id;
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
	return members_is_step(core, next, before) ? TERN_OK : TERN_ERR_MALFORMED;
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
	uint64_t replicas;

	INVARIANT(next->config_index == core->last_index);
	/* Committed, or this change would not have begun. */
	core_commit_to(core, before->config_index);
	members_commit(core);
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
	members_meet(core, replicas);
	if (membership_is_witness_out(next, before))
		core->allotted_gen = next->witness_gen;
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

/* The voters of the newest configuration alone count from now on. */
void
members_commit(struct core *core)
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
	members_meet(core, replicas);
	if (core->phase == CORE_PHASE_NORMAL)
		core->rset = core->data;
	if (members_pair(core) == NULL)
		core->is_registered = false;
	core->is_entered = false;
	core->enter_voters = 0;
	core->enter_boot_no = 0;
}

/* ---- whether a change may begin ---- */

static const struct core_peer *
members_peer(const struct core *core, uint16_t node_id)
{
	for (uint32_t i = 0; i < core->peer_count; i++)
		if (core->peers[i].id == node_id)
			return &core->peers[i];
	return NULL;
}

static bool
members_is_well(const struct core *core, const struct core_peer *peer)
{
	return peer != NULL && peer->is_matched && peer->is_whole &&
	       !peer_is_silent(core, peer, peer_patience_ns(core, peer)) &&
	       (peer->health & (MSG_HEALTH_DISK_STALLED | MSG_HEALTH_APPLY_STALLED)) == 0;
}

/* Two voters and a learner become three. */
static enum core_change
members_judge_entry(const struct core *core, uint64_t entering)
{
	const struct core_peer *peer;

	if ((core->members.learners & entering) == 0)
		return CORE_CHANGE_BEHIND;
	peer = members_peer(core, (uint16_t)__builtin_ctzll(entering));
	if (!members_is_well(core, peer))
		return CORE_CHANGE_SILENT;
	return peer->durable_index + CORE_CAUGHT_UP_BLOCKS < core->commit_index
		   ? CORE_CHANGE_BEHIND
		   : CORE_CHANGE_ALLOWED;
}

/* Three voters become two, and the witness has a vote. */
static enum core_change
members_judge_exit(const struct core *core, uint64_t staying)
{
	const uint64_t other = staying & ~core_bit(core->config.node_id);
	const struct core_peer *witness = members_peer(core, core->members.witness_id);

	if (witness == NULL)
		return CORE_CHANGE_VOTERS;
	if (core_count(other) != 1)
		return CORE_CHANGE_SELF;
	if (!members_is_well(core, members_peer(core, (uint16_t)__builtin_ctzll(other))) ||
	    peer_is_silent(core, witness, peer_patience_ns(core, witness)))
		return CORE_CHANGE_SILENT;
	if (core_has_member_bug(core, CORE_MEMBER_BUG_REGISTER_LATE))
		return CORE_CHANGE_ALLOWED;
	return core->is_entered && core->enter_voters == staying ? CORE_CHANGE_ALLOWED
								 : CORE_CHANGE_ENTERING;
}

/* One of two voters is dead for good, and the other one is registered as the only copy. It is so
 * already that nobody else is electable and nothing else counted; from the commit on it is by the
 * configuration. */
static enum core_change
members_judge_loss(const struct core *core, const struct membership *next, uint64_t leaving)
{
	if (leaving == core_bit(core->config.node_id))
		return CORE_CHANGE_SELF;
	if ((next->learners & leaving) != 0)
		return CORE_CHANGE_VOTERS;
	if (core->phase == CORE_PHASE_NORMAL)
		return CORE_CHANGE_THERE;
	return core->is_registered && (core->rset & leaving) == 0 &&
		       core->commit_index >= core->barrier_index
		   ? CORE_CHANGE_ALLOWED
		   : CORE_CHANGE_DEGRADED;
}

/* One voter and a learner become a pair, and the witness has a vote. */
static enum core_change
members_judge_second(const struct core *core, const struct membership *next, uint64_t entering)
{
	const struct core_peer *witness = members_peer(core, core->members.witness_id);
	const enum core_change entry = members_judge_entry(core, entering);

	if (witness == NULL)
		return CORE_CHANGE_VOTERS;
	if (entry != CORE_CHANGE_ALLOWED)
		return entry;
	if (peer_is_silent(core, witness, peer_patience_ns(core, witness)))
		return CORE_CHANGE_SILENT;
	if (core_has_member_bug(core, CORE_MEMBER_BUG_REGISTER_LATE))
		return CORE_CHANGE_ALLOWED;
	return core->is_entered && core->enter_voters == next->voters ? CORE_CHANGE_ALLOWED
								      : CORE_CHANGE_ENTERING;
}

static enum core_change
members_judge_voters(const struct core *core, const struct membership *next)
{
	const uint64_t now = core->members.voters;
	const uint64_t entering = next->voters & ~now, leaving = now & ~next->voters;

	if ((core->members.witness_gen & MEMBERSHIP_WITNESS_OUT) != 0)
		return CORE_CHANGE_WITNESS_OUT;
	if (core_count(now) == 2 && core_count(leaving) == 1 && entering == 0)
		return members_judge_loss(core, next, leaving);
	if (core->phase != CORE_PHASE_NORMAL)
		return CORE_CHANGE_DEGRADED;
	if (core_count(now) == 1 && core_count(entering) == 1 && leaving == 0)
		return members_judge_second(core, next, entering);
	if (core_count(now) == 2 && core_count(entering) == 1 && leaving == 0)
		return members_judge_entry(core, entering);
	if (core_count(now) == 3 && core_count(leaving) == 1 && entering == 0)
		return members_judge_exit(core, next->voters);
	return CORE_CHANGE_VOTERS;
}

/* Both steps are changes of one vote, so a quorum of before and one of after have a data node in
 * common. All copies have to be there: until the next witness has entered nothing commits without
 * either of a pair. */
static enum core_change
members_judge_witness(const struct core *core, const struct membership *next)
{
	if (core->phase != CORE_PHASE_NORMAL)
		return CORE_CHANGE_DEGRADED;
	if (core->commit_index < core->barrier_index)
		return CORE_CHANGE_NOT_MASTER;
	for (uint32_t i = 0; i < core->peer_count; i++)
		if (core_count(core->data) == 2 && core_is_voter(core, core->peers[i].id) &&
		    !members_is_well(core, &core->peers[i]))
			return CORE_CHANGE_SILENT;
	if (membership_is_witness_out(next, &core->members))
		return CORE_CHANGE_ALLOWED;
	if (!membership_is_witness_in(next, &core->members))
		return CORE_CHANGE_VOTERS;
	/* Another master may have had a register enter by that generation. */
	if (core->members.witness_gen != core->allotted_gen)
		return CORE_CHANGE_AGAIN;
	if (core_has_member_bug(core, CORE_MEMBER_BUG_REGISTER_LATE))
		return CORE_CHANGE_ALLOWED;
	return core->is_entered && core->enter_voters == next->voters ? CORE_CHANGE_ALLOWED
								      : CORE_CHANGE_ENTERING;
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
	if (((next->voters | next->learners) & ~core->config.known_nodes) != 0)
		return CORE_CHANGE_UNKNOWN;
	if (!membership_is_sound(next) || next->witness_id != now->witness_id)
		return CORE_CHANGE_VOTERS;
	if (next->witness_gen != now->witness_gen)
		return members_judge_witness(core, next);
	return next->voters == now->voters ? CORE_CHANGE_ALLOWED : members_judge_voters(core, next);
}

uint64_t
core_stream_index(const struct core *core, uint16_t node)
{
	INVARIANT(core->role == CORE_MASTER);
	if (core_is_voter(core, node) || core_has_member_bug(core, CORE_MEMBER_BUG_AHEAD))
		return core->last_index;
	return core->commit_index;
}
