/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/role.h"

#include "dataplane/core/effect.h"
#include "dataplane/core/hear.h"
#include "dataplane/core/match.h"
#include "dataplane/core/members.h"
#include "dataplane/core/search.h"

void
role_persist_meta(struct core *core)
{
	struct core_effect *effect = core_emit(core, CORE_EFFECT_PERSIST_META);

	INVARIANT(!core->is_meta_pending);
	INVARIANT(core->role != CORE_WITNESS);
	core->is_meta_pending = true;
	core->has_reply = false;
	core->meta_since_ns = core->now_ns;
	effect->op_id = ++core->op_id;
	effect->term = core->term;
	effect->voted_for = core->voted_for;
}

void
role_step_down(struct core *core)
{
	INVARIANT(core->role == CORE_MASTER);
	for (uint32_t i = 0; i < core->peer_count; i++)
		if (!core->peers[i].is_witness)
			search_forget(core, &core->peers[i]);
	read_fail_all(core);
	core->role = CORE_FOLLOWER;
	core->master_id = 0;
	core->has_heard = false;
	core->phase = CORE_PHASE_NORMAL;
	core->rset = 0;
	core->is_registered = core->has_committed = core->is_barrier_pending = false;
	core->barrier_index = 0;
	core->transfer_id = 0;
	core->master_epoch = core->epoch;
	memory_settle(core);
	hear_arm(core);
}

void
role_adopt_term(struct core *core, uint64_t term, uint16_t voted_for)
{
	INVARIANT(term > core->term);
	if (core->role == CORE_MASTER)
		role_step_down(core);
	match_forget(core);
	core->role = CORE_FOLLOWER;
	core->master_id = 0;
	core->has_heard = false;
	if (core_has_member_bug(core, CORE_MEMBER_BUG_LEASE_FORGOTTEN))
		core->lease.promised_id = 0;
	core->term = term;
	core->voted_for = voted_for;
	core->epoch = 0;
	core->master_epoch = 0;
	core->round_answered = 0;
	role_persist_meta(core);
}

void
role_fall_silent(struct core *core)
{
	if (core->role == CORE_MASTER)
		role_step_down(core);
	if (core->role != CORE_WITNESS) {
		match_forget(core);
		core->role = CORE_FOLLOWER;
	}
	core->master_id = 0;
	core->has_reply = false;
}
