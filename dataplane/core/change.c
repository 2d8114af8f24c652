/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/change.h"

#include "dataplane/core/core_internal.h"
#include "dataplane/core/members.h"
#include "dataplane/core/peer.h"

static const struct core_peer *
change_peer(const struct core *core, uint16_t node_id)
{
	for (uint32_t i = 0; i < core->peer_count; i++)
		if (core->peers[i].id == node_id)
			return &core->peers[i];
	return NULL;
}

static bool
change_is_well(const struct core *core, const struct core_peer *peer)
{
	return peer != NULL && peer->is_matched && peer->is_whole &&
	       !peer_is_silent(core, peer, peer_patience_ns(core, peer)) &&
	       (peer->health & (MSG_HEALTH_DISK_STALLED | MSG_HEALTH_APPLY_STALLED)) == 0;
}

/* Two voters and a learner become three. */
static enum core_change
change_judge_entry(const struct core *core, uint64_t entering)
{
	const struct core_peer *peer;

	if ((core->members.learners & entering) == 0)
		return CORE_CHANGE_BEHIND;
	peer = change_peer(core, (uint16_t)__builtin_ctzll(entering));
	if (!change_is_well(core, peer))
		return CORE_CHANGE_SILENT;
	return peer->durable_index + CORE_CAUGHT_UP_BLOCKS < core->commit_index
		   ? CORE_CHANGE_BEHIND
		   : CORE_CHANGE_ALLOWED;
}

/* Three voters become two, and the witness has a vote. */
static enum core_change
change_judge_exit(const struct core *core, uint64_t staying)
{
	const uint64_t other = staying & ~core_bit(core->config.node_id);
	const struct core_peer *witness = change_peer(core, core->members.witness_id);

	if (witness == NULL)
		return CORE_CHANGE_VOTERS;
	if (core_count(other) != 1)
		return CORE_CHANGE_SELF;
	if (!change_is_well(core, change_peer(core, (uint16_t)__builtin_ctzll(other))) ||
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
change_judge_loss(const struct core *core, const struct membership *next, uint64_t leaving)
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
change_judge_second(const struct core *core, const struct membership *next, uint64_t entering)
{
	const struct core_peer *witness = change_peer(core, core->members.witness_id);
	const enum core_change entry = change_judge_entry(core, entering);

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
change_judge_voters(const struct core *core, const struct membership *next)
{
	const uint64_t now = core->members.voters;
	const uint64_t entering = next->voters & ~now, leaving = now & ~next->voters;

	if ((core->members.witness_gen & MEMBERSHIP_WITNESS_OUT) != 0)
		return CORE_CHANGE_WITNESS_OUT;
	if (core_count(now) == 2 && core_count(leaving) == 1 && entering == 0)
		return change_judge_loss(core, next, leaving);
	if (core->phase != CORE_PHASE_NORMAL)
		return CORE_CHANGE_DEGRADED;
	if (core_count(now) == 1 && core_count(entering) == 1 && leaving == 0)
		return change_judge_second(core, next, entering);
	if (core_count(now) == 2 && core_count(entering) == 1 && leaving == 0)
		return change_judge_entry(core, entering);
	if (core_count(now) == 3 && core_count(leaving) == 1 && entering == 0)
		return change_judge_exit(core, next->voters);
	return CORE_CHANGE_VOTERS;
}

/* Both steps are changes of one vote, so a quorum of before and one of after have a data node in
 * common. All copies have to be there: until the next witness has entered nothing commits without
 * either of a pair. */
static enum core_change
change_judge_witness(const struct core *core, const struct membership *next)
{
	if (core->phase != CORE_PHASE_NORMAL)
		return CORE_CHANGE_DEGRADED;
	if (core->commit_index < core->barrier_index)
		return CORE_CHANGE_NOT_MASTER;
	for (uint32_t i = 0; i < core->peer_count; i++)
		if (core_count(core->data) == 2 && core_is_voter(core, core->peers[i].id) &&
		    !change_is_well(core, &core->peers[i]))
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
		return change_judge_witness(core, next);
	return next->voters == now->voters ? CORE_CHANGE_ALLOWED : change_judge_voters(core, next);
}

uint64_t
core_stream_index(const struct core *core, uint16_t node)
{
	INVARIANT(core->role == CORE_MASTER);
	if (core_is_voter(core, node) || core_has_member_bug(core, CORE_MEMBER_BUG_AHEAD))
		return core->last_index;
	return core->commit_index;
}
