/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/round.h"

#include "dataplane/core/effect.h"
#include "dataplane/core/health.h"
#include "dataplane/core/members.h"
#include "dataplane/core/peer.h"

#define PATIENCE_FADE 512u /* answers until the longest wait has faded to about a third */

bool
round_is_answered(const struct core *core, uint64_t round)
{
	uint64_t answered = core_bit(core->config.node_id);

	for (uint32_t i = 0; i < core->peer_count; i++)
		if (core->peers[i].answered_round >= round)
			answered |= core_bit(core->peers[i].id);
	return members_are_quorum(core, answered);
}

/* When the newest round was sent that a quorum of @rule has answered; 0: there was none. One node
 * alone is its own quorum. */
static uint64_t
round_rule_confirmed_ns(const struct core *core, const struct core_rule *rule)
{
	uint64_t answered[CORE_NODES_MAX] = { 0 };
	const bool is_of_it = (rule->voters & core_bit(core->config.node_id)) != 0;
	const uint32_t wanted = rule->quorum - is_of_it;
	uint32_t count = 0;

	if (wanted == 0)
		return core->now_ns;
	/* Sorted, newest first. */
	for (uint32_t i = 0; i < core->peer_count; i++) {
		const struct core_peer *peer = &core->peers[i];
		uint32_t at = count;
		if ((rule->voters & core_bit(peer->id)) == 0)
			continue;
		INVARIANT(peer->answered_ns <= core->now_ns);
		for (; at > 0 && answered[at - 1] < peer->answered_ns; at--)
			answered[at] = answered[at - 1];
		answered[at] = peer->answered_ns;
		count++;
	}
	return wanted <= count ? answered[wanted - 1] : 0;
}

uint64_t
round_confirmed_ns(const struct core *core)
{
	uint64_t confirmed_ns = UINT64_MAX;

	INVARIANT(core->role == CORE_MASTER);
	/* In registered SOLO nobody else is electable. */
	if (core->phase == CORE_PHASE_DEGRADED && core->is_registered && !core_is_joint(core))
		return core->now_ns;
	for (uint32_t i = 0; i < core->rule_count; i++) {
		const uint64_t ns = round_rule_confirmed_ns(core, &core->rules[i]);
		confirmed_ns = ns < confirmed_ns ? ns : confirmed_ns;
	}
	return confirmed_ns;
}

/* See struct msg_heartbeat. Before the term's own barrier has committed, commit_index may lack what
 * an earlier master had answered. */
static uint64_t
round_confirmed_age_ns(const struct core *core)
{
	const uint64_t confirmed_ns = round_confirmed_ns(core);

	return core->has_committed && confirmed_ns != 0 ? core->now_ns - confirmed_ns
							: MSG_AGE_UNKNOWN;
}

void
round_start(struct core *core)
{
	const uint64_t confirmed_age_ns = round_confirmed_age_ns(core);

	core->round++;
	core->round_sent_ns[core->round % CORE_ROUNDS_MAX] = core->now_ns;
	core->heartbeat_ns = core->now_ns + core->config.timers.heartbeat_ns;
	for (uint32_t i = 0; i < core->peer_count; i++) {
		struct core_peer *peer = &core->peers[i];
		struct msg *msg;

		if (!core_is_member(core, peer))
			continue;
		msg = core_send(core, peer, MSG_HEARTBEAT);
		msg->heartbeat.epoch = core->epoch;
		msg->heartbeat.health = core_health(core);
		msg->heartbeat.commit_index = core->commit_index;
		msg->heartbeat.commit_chain = history_chain(core, core->commit_index);
		msg->heartbeat.round = core->round;
		msg->heartbeat.echo_ns = peer->stamp_ns;
		msg->heartbeat.echo_boot_no = peer->stamp_ns != 0 ? peer->boot_no : 0;
		msg->heartbeat.confirmed_age_ns = confirmed_age_ns;
		msg->heartbeat.asks_promise = core->config.timers.has_leases;
		if (peer->is_witness)
			msg->heartbeat.witness_gen = core->members.witness_gen;
		if (peer->probe_round == 0) {
			peer->probe_round = core->round;
			peer->probe_ns = core->now_ns;
		}
	}
}

enum tern_err
round_answered(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	const struct msg_heartbeat_ack *ack = &msg->heartbeat_ack;

	if (ack->round == 0 || ack->round > core->round)
		return TERN_ERR_MALFORMED;
	if (!core_is_member(core, peer))
		return TERN_OK;
	if (!peer->is_witness && !replicate_note_boot(core, peer, msg->boot_no))
		return TERN_ERR_STALE_TERM;
	if (ack->round > peer->answered_round) {
		peer->answered_round = ack->round;
		if (core->round - ack->round < CORE_ROUNDS_MAX)
			peer->answered_ns = core->round_sent_ns[ack->round % CORE_ROUNDS_MAX];
	}
	lease_answered(core, (uint32_t)(peer - core->peers), ack);
	if (ack->sent_ns > peer->stamp_ns && !peer->is_witness)
		peer->stamp_ns = ack->sent_ns;
	if (peer->probe_round != 0 && ack->round >= peer->probe_round) {
		/* A peer that was away was not slow: an outage counts as the slowest answer. */
		const uint64_t gone_ns = core->now_ns - peer->probe_ns;
		const uint64_t waited_ns = gone_ns < core->solo_ns ? gone_ns : core->solo_ns;

		peer->probe_round = 0;
		peer->worst_answer_ns -= peer->worst_answer_ns / PATIENCE_FADE;
		if (waited_ns > peer->worst_answer_ns)
			peer->worst_answer_ns = waited_ns;
		if (core_is_voter(core, peer->id))
			core->view.solo_ns = peer_patience_ns(core, peer);
	}
	memory_note_peer(peer, ack->health);
	if (!peer->is_witness && peer->is_matched)
		replicate_progress(core, peer, ack->received_index, ack->durable_index);
	return TERN_OK;
}
