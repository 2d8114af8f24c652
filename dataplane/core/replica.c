/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replica: hearing a master, matching its log, cutting a divergent tail on evidence only,
 * taking blocks and acknowledging them (protocol section 7).
 */
#include "dataplane/core/commit.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/election.h"
#include "dataplane/core/health.h"
#include "dataplane/core/hear.h"
#include "dataplane/core/members.h"
#include "dataplane/core/peer.h"

/* A cut under way goes on whatever happens; everything else of the match is gone. */
void
replica_forget_match(struct core *core)
{
	if (core->match == CORE_MATCH_DONE) {
		core_emit(core, CORE_EFFECT_ACCEPT_STOP);
		core->match = CORE_MATCH_NONE;
	}
	core->seek.is_untold = false;
}

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
	election_arm(core);
}

/* The durable index that this node may promise: of a log that was matched in this term. */
static uint64_t
replica_durable(const struct core *core)
{
	if (core->match != CORE_MATCH_DONE)
		return 0;
	/* P5 */
	return core_has_bug(core, CORE_BUG_P5_EARLY_ACK) ? core->last_index : core->durable_index;
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
	ack->heartbeat_ack.durable_index = replica_durable(core);
	ack->heartbeat_ack.applied_index = core->applied_index;
	ack->heartbeat_ack.sent_ns = core->now_ns;
	if (beat->asks_promise != 0)
		ack->heartbeat_ack.promise_units = lease_promise(core, peer->id);
}

static struct msg_append_ack *
replica_ack(struct core *core, const struct core_peer *peer, enum msg_append_status status)
{
	struct msg_append_ack *ack = &core_send(core, peer, MSG_APPEND_ACK)->append_ack;

	ack->status = status;
	ack->epoch = core->master_epoch;
	ack->last_index = core->last_index;
	ack->applied_index = core->applied_index;
	ack->durable_index = replica_durable(core);
	if (core->match == CORE_MATCH_DONE)
		ack->received_index = core->last_index;
	return ack;
}

/* Progress travels with the data; heartbeats repeat it on every path. */
void
replica_send_progress(struct core *core)
{
	const struct core_peer *peer = core_peer(core, core->heard_id);

	INVARIANT(core->match == CORE_MATCH_DONE);
	if (core->master_id == 0 || peer == NULL)
		return;
	replica_ack(core, peer, MSG_APPEND_PROGRESS);
	core->out->list[core->out->count - 1].paths = CORE_PATH_DATA;
}

static void
replica_conflict(struct core *core, const struct core_peer *peer, uint64_t prev_index)
{
	const uint64_t at = prev_index < core->last_index ? prev_index : core->last_index;
	const uint64_t first = history_first_of_term(core, at);
	struct msg_append_ack *ack = replica_ack(core, peer, MSG_APPEND_CONFLICT);
	struct block_meta meta;

	ack->probe_index = prev_index;
	ack->conflict_index = first;
	if (history_get(core, first, &meta)) {
		ack->conflict_term = meta.term;
		ack->conflict_chain = meta.chain;
	}
}

/* The whole log is a prefix of the master's: take its blocks from here on. */
static void
replica_accept(struct core *core, const struct core_peer *peer, uint64_t probe_index)
{
	struct core_effect *effect;

	INVARIANT(core->match != CORE_MATCH_CUTTING);
	if (core->match != CORE_MATCH_DONE) {
		core->match = CORE_MATCH_DONE;
		effect = core_emit(core, CORE_EFFECT_ACCEPT);
		effect->node = peer->id;
		effect->index = core->last_index + 1;
		effect->term = core->term;
	}
	replica_ack(core, peer, MSG_APPEND_MATCHED)->probe_index = probe_index;
}

/* Evidence of divergence: prev is equal and the block after it is not. I9: never at or below
 * commit_index: a master that wants that holds another history, and this node is quarantined until
 * an operator has looked. Never a block of the current term, which only a broken master could
 * contradict. */
void
replica_cut(struct core *core, const struct core_peer *peer, uint64_t prev_index)
{
	struct block_meta next;

	if (!history_get(core, prev_index + 1, &next))
		INVARIANT(false);
	if (prev_index < core->commit_index) {
		if (!core->is_quarantined)
			core_alarm(core, CORE_ALARM_CUT_BELOW_COMMIT, peer->id);
		core->is_quarantined = true;
		return;
	}
	if (next.term >= core->term)
		return;
	replica_forget_match(core);
	memory_cut(core, prev_index);
	core->match = CORE_MATCH_CUTTING;
	core->match_term = core->term;
	core->cut_index = prev_index;
	core_emit(core, CORE_EFFECT_CUT)->index = prev_index;
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
			replica_cut(core, peer, probe->prev_index);
			return TERN_OK;
		}
		replica_conflict(core, peer, probe->prev_index);
		return TERN_OK;
	}
	commit_to(core, probe->commit_index < probe->prev_index ? probe->commit_index
								: probe->prev_index);
	if (core->match == CORE_MATCH_DONE || probe->prev_index == core->last_index) {
		replica_accept(core, peer, probe->prev_index);
		return TERN_OK;
	}
	if (probe->has_next && !history_holds(core, probe->prev_index + 1, probe->next_chain)) {
		replica_cut(core, peer, probe->prev_index);
		return TERN_OK;
	}
	ack = replica_ack(core, peer, MSG_APPEND_MATCHED);
	ack->probe_index = probe->prev_index;
	ack->received_index = probe->prev_index;
	return TERN_OK;
}

enum tern_err
replica_cut_done(struct core *core, uint64_t index)
{
	struct core_peer *peer;

	if (core->match != CORE_MATCH_CUTTING || index != core->cut_index)
		return TERN_ERR_MALFORMED;
	history_cut(core, index);
	core->match = CORE_MATCH_NONE;
	core->view.truncations++;
	peer = core_peer(core, core->master_id);
	if (core->role == CORE_FOLLOWER && peer != NULL && !core->is_meta_pending &&
	    core->match_term == core->term)
		replica_accept(core, peer, index);
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
		replica_send_progress(core);
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
