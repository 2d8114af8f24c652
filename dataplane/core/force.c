/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P13: a verb that bypasses the quorum begins another generation, and generations never mix. The
 * comparison itself is made where frames come in (runtime/link.c): the core never sees a message of
 * another generation.
 *
 * What may be lost is what the others committed and this node does not hold: nobody here can know
 * how much that is. What it holds above commit_index may be such a commit too, so all of it is kept
 * and commits with the GEN block.
 */
#include "dataplane/core/force.h"

#include "dataplane/core/bypass.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/health.h"
#include "dataplane/core/match.h"
#include "dataplane/core/members.h"
#include "dataplane/core/role.h"

#define FORCE_TIMEOUTS   8u /* times T_elect_max */
#define FORCE_SILENCE_NS 1000000000u

uint64_t
core_force_silence_ns(const struct core *core)
{
	const uint64_t span_ns = FORCE_TIMEOUTS * core->elect_max_ns;

	return span_ns > FORCE_SILENCE_NS ? span_ns : FORCE_SILENCE_NS;
}

void
force_note(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	uint64_t told = 0;

	peer->spoke_ns = core->now_ns;
	if (msg->kind == MSG_HEARTBEAT)
		told = msg->heartbeat.commit_index;
	if (msg->kind == MSG_PREVOTE_ACK || msg->kind == MSG_VOTE_ACK) {
		peer->refusal = (uint32_t)msg->vote_ack.refusal;
		told = msg->vote_ack.commit_index;
	}
	if (told > core->told_commit_index)
		core->told_commit_index = told;
}

void
force_note_master(struct core *core)
{
	if (core->role == CORE_MASTER)
		core->led_ns = core->now_ns;
	else if (core->master_id != 0 && core->has_heard)
		core->led_ns = core->heard_ns;
}

static bool
force_is_there(const struct core *core, const struct core_peer *peer)
{
	if (peer->spoke_ns == 0 || core->now_ns - peer->spoke_ns >= core_force_silence_ns(core))
		return false;
	/* A witness that refuses this log, or everything, elects nobody here. */
	return !peer->is_witness ||
	       (peer->refusal != MSG_VOTE_REFUSED_LOG && peer->refusal != MSG_VOTE_REFUSED_WITNESS);
}

/* With these it could be elected, or they could elect another one. */
static bool
force_has_quorum(const struct core *core)
{
	uint64_t there = core_bit(core->config.node_id);

	for (uint32_t i = 0; i < core->peer_count; i++)
		if (force_is_there(core, &core->peers[i]))
			there |= core_bit(core->peers[i].id);
	return members_are_quorum(core, there);
}

enum core_force
core_judge_force(const struct core *core)
{
	if (core->is_superseded)
		return CORE_FORCE_SUPERSEDED;
	if (core->is_storage_failed)
		return CORE_FORCE_STORAGE;
	if (core->role == CORE_WITNESS || !core_is_voter(core, core->config.node_id))
		return CORE_FORCE_NO_VOTER;
	/* A log that ends with its process would not be there at the next start. */
	if (core->is_forgetful || core->config.is_rejoining || core->is_quarantined ||
	    core->config.is_log_volatile)
		return CORE_FORCE_LACKS;
	if (core->config.generation.number >= GENERATION_NUMBER_MAX)
		return CORE_FORCE_LAST;
	if (core_has_member_bug(core, CORE_MEMBER_BUG_FORCE_ANY_TIME) &&
	    core->role == CORE_FOLLOWER && !core_is_deaf(core) &&
	    core->match != CORE_MATCH_CUTTING && core->durable_index == core->last_index)
		return CORE_FORCE_ALLOWED;
	if (core->now_ns - core->led_ns < core_force_silence_ns(core))
		return core->master_id != 0 ? CORE_FORCE_MASTER : CORE_FORCE_EARLY;
	if (force_has_quorum(core))
		return CORE_FORCE_QUORUM;
	return core_is_deaf(core) || core->match == CORE_MATCH_CUTTING ||
		       core->durable_index != core->last_index
		   ? CORE_FORCE_BUSY
		   : CORE_FORCE_ALLOWED;
}

enum tern_err
force_take(struct core *core)
{
	if (core_judge_force(core) != CORE_FORCE_ALLOWED)
		return TERN_ERR_BUSY;
	INVARIANT(core->role != CORE_MASTER);
	match_forget(core);
	core->role = CORE_FOLLOWER;
	core->master_id = 0;
	core->is_leaving = true;
	return TERN_OK;
}

/* Nobody is told: whoever still follows has other things to hear from the later generation. */
void
force_superseded(struct core *core)
{
	if (core->is_superseded)
		return;
	role_fall_silent(core);
	core->is_superseded = true;
	core_alarm(core, CORE_ALARM_SUPERSEDED, core->config.node_id);
}

void
core_force_facts(const struct core *core, struct core_force_facts *facts)
{
	*facts = (struct core_force_facts){
		.masterless_ns = core->now_ns - core->led_ns,
		.told_commit_index = core->told_commit_index > core->commit_index
					 ? core->told_commit_index
					 : core->commit_index,
		.peer_count = core->peer_count,
	};
	for (uint32_t i = 0; i < core->peer_count; i++) {
		const struct core_peer *peer = &core->peers[i];

		facts->peers[i].node = peer->id;
		facts->peers[i].was_heard = peer->spoke_ns != 0;
		facts->peers[i].silent_ns = peer->spoke_ns != 0 ? core->now_ns - peer->spoke_ns : 0;
	}
}

bool
core_is_gen_due(const struct core *core)
{
	return core->config.generation.number > 1 && !core->is_forgetful &&
	       !core->config.is_rejoining && core->members.config_index == core->last_index + 1;
}

bool
force_is_gen(const struct core *core, const struct core_event *event)
{
	return core_is_gen_due(core) && event->block.kind == BLOCK_CONFIG && event->next != NULL &&
	       generation_equal(&event->next->begins, &core->config.generation);
}
