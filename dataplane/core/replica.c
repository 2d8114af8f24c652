/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replica: hearing a master, answering its heartbeats and probes, taking blocks (protocol
 * section 7).
 */
#include "dataplane/core/commit.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/health.h"
#include "dataplane/core/hear.h"
#include "dataplane/core/match.h"
#include "dataplane/core/members.h"

static void
replica_follow(struct core *core, struct core_peer *peer)
{
	INVARIANT(core->role != CORE_MASTER);
	core->role = CORE_FOLLOWER;
	core->master_id = peer->id;
	core->has_followed = true;
	hear_master(core, peer->id);
	core->is_hand_over = false;
	peer->asked_ns = 0;
	hear_arm(core);
}

/* What this heartbeat says of the age of the state here (protocol section 9). When it left, an
 * acknowledgement that this node had sent at echo_ns was there already, and nobody else had been
 * master for confirmed_age_ns: so commit_index covers all that anybody had answered by that time.
 * How long the heartbeat was under way does not matter. */
static void
replica_note_echo(struct core *core, const struct msg_heartbeat *beat)
{
	const bool is_echo = beat->echo_ns != 0 && beat->echo_ns <= core->now_ns &&
			     beat->echo_boot_no == core->config.boot_no;

	if (!is_echo || beat->confirmed_age_ns >= beat->echo_ns)
		return;
	core->view.echo_ns = core->now_ns;
	/* One mark at a time: under load every heartbeat would otherwise move the target. */
	if (core->fresh_mark_ns != 0)
		return;
	core->fresh_index = beat->commit_index;
	core->fresh_mark_ns = core_has_bug(core, CORE_BUG_STALE_ARRIVAL)
				  ? core->now_ns
				  : beat->echo_ns - beat->confirmed_age_ns;
}

void
replica_heartbeat(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	const struct msg_heartbeat *beat = &msg->heartbeat;
	struct msg *ack;

	replica_follow(core, peer);
	core->master_epoch = beat->epoch;
	core->view.is_mixed =
	    ((beat->health & MSG_HEALTH_VOLATILE) != 0) != core->config.is_log_volatile;
	/* A matched log is a prefix of the master's, so all that is committed there is here. */
	if (core->match == CORE_MATCH_DONE)
		commit_to(core, beat->commit_index < core->last_index ? beat->commit_index
								      : core->last_index);
	else
		commit_if_held(core, beat->commit_index, beat->commit_chain);
	replica_note_echo(core, beat);
	seek_end(core);
	/* Each path brings a copy; the first one is answered on all paths. */
	if (beat->round <= core->round_answered)
		return;
	core->round_answered = beat->round;
	ack = core_send(core, peer, MSG_HEARTBEAT_ACK);
	ack->heartbeat_ack.epoch = beat->epoch;
	ack->heartbeat_ack.health = core_health(core);
	ack->heartbeat_ack.round = beat->round;
	if (core->match == CORE_MATCH_DONE)
		ack->heartbeat_ack.received_index = core->last_index;
	ack->heartbeat_ack.durable_index = match_durable(core);
	ack->heartbeat_ack.applied_index = core->applied_index;
	ack->heartbeat_ack.sent_ns = core->now_ns;
	if (beat->asks_promise != 0)
		ack->heartbeat_ack.promise_units = lease_promise(core, peer->id);
}

/* A probe. Answered by what is so at this moment; duplicates and late ones do no harm, for a cut
 * needs evidence and a match is only ever found, never lost, within a term. */
enum tern_err
replica_append(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	const struct msg_append *probe = &msg->append;
	struct msg_append_ack *ack;

	if (probe->prev_index > probe->last_index ||
	    probe->has_next != (probe->prev_index < probe->last_index))
		return TERN_ERR_MALFORMED;
	replica_follow(core, peer);
	core->master_epoch = probe->epoch;
	if (core->match == CORE_MATCH_CUTTING)
		return TERN_OK;
	if (!history_holds(core, probe->prev_index, probe->prev_chain)) {
		if (core_has_bug(core, CORE_BUG_CUT_UNPROVEN) &&
		    probe->prev_index < core->last_index && core->match == CORE_MATCH_NONE) {
			match_cut(core, peer, probe->prev_index);
			return TERN_OK;
		}
		match_conflict(core, peer, probe->prev_index);
		return TERN_OK;
	}
	commit_to(core, probe->commit_index < probe->prev_index ? probe->commit_index
								: probe->prev_index);
	if (core->match == CORE_MATCH_DONE || probe->prev_index == core->last_index) {
		match_accept(core, peer, probe->prev_index);
		return TERN_OK;
	}
	if (probe->has_next && !history_holds(core, probe->prev_index + 1, probe->next_chain)) {
		match_cut(core, peer, probe->prev_index);
		return TERN_OK;
	}
	ack = match_ack(core, peer, MSG_APPEND_MATCHED);
	ack->probe_index = probe->prev_index;
	ack->received_index = probe->prev_index;
	return TERN_OK;
}

enum tern_err
replica_received(struct core *core, const struct core_event *event)
{
	const struct block_meta *block = &event->block;
	const uint64_t before = core->last_index;
	const bool is_taken = event->flag ? seek_takes(core, block->log_index, block->chain)
					  : core->match == CORE_MATCH_DONE;
	enum tern_err err;

	if (!is_taken || block->term > core->term ||
	    members_check(core, block, event->next, event->before) != TERN_OK)
		return TERN_ERR_MALFORMED;
	err = history_append(core, block);
	if (err != TERN_OK)
		return err;
	if (core->durable_index == before)
		core->disk_progress_ns = core->now_ns;
	if (block->kind == BLOCK_CONFIG && block->log_index > core->members.config_index)
		commit_take_members(core, event->next, event->before);
	core_emit(core, CORE_EFFECT_PERSIST)->index = core->last_index;
	if (event->flag)
		seek_pulled(core);
	if (core->match == CORE_MATCH_DONE)
		match_send_progress(core);
	return TERN_OK;
}

/* A message of a term that is over: its sender learns the newer one, if it still matters. */
void
replica_refuse_term(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	INVARIANT(msg->term < core->term);
	if (peer->is_witness)
		return;
	if (msg->kind != MSG_HEARTBEAT && msg->kind != MSG_APPEND)
		return;
	core_send(core, peer, MSG_HEARTBEAT_ACK)->heartbeat_ack.epoch = 0;
}
