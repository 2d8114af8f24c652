/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step: an event comes in, is handed to the file whose matter it is, and what has become due is
 * done. The only way in, and above everything else here.
 */
#include "dataplane/core/bypass.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/election.h"
#include "dataplane/core/health.h"
#include "dataplane/core/hear.h"
#include "dataplane/core/match.h"
#include "dataplane/core/peer.h"
#include "dataplane/core/role.h"
#include "dataplane/core/round.h"
#include "dataplane/core/sought.h"

/* ---- events ---- */

static enum tern_err
step_message_current(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	const bool is_master = core->role == CORE_MASTER;

	INVARIANT(msg->term == core->term);
	switch (msg->kind) {
	case MSG_HEARTBEAT:
		if (is_master || peer->is_witness)
			return TERN_ERR_MALFORMED;
		replica_heartbeat(core, peer, msg);
		return TERN_OK;
	case MSG_APPEND:
		if (is_master || peer->is_witness)
			return TERN_ERR_MALFORMED;
		return replica_append(core, peer, msg);
	case MSG_HEARTBEAT_ACK:
		return is_master ? round_answered(core, peer, msg) : TERN_OK;
	case MSG_APPEND_ACK:
		return is_master && !peer->is_witness ? replicate_ack(core, peer, msg) : TERN_OK;
	case MSG_REGISTER_ACK:
		if (is_master)
			master_register_ack(core, peer, msg);
		return TERN_OK;
	case MSG_VOTE_ACK:
		election_answer(core, peer, msg);
		return TERN_OK;
	case MSG_TRANSFER_NOW:
		election_hand_over(core, peer, msg);
		return TERN_OK;
	case MSG_FAREWELL:
		election_farewell(core, peer);
		return TERN_OK;
	case MSG_RECOGNIZED:
		if (is_master || peer->is_witness)
			return TERN_ERR_MALFORMED;
		memory_recognized(core, &msg->recognized);
		return TERN_OK;
	case MSG_CHECKPOINT:
		if (is_master || peer->is_witness)
			return TERN_ERR_MALFORMED;
		return install_offered(core, peer, msg);
	case MSG_REJOIN:
	case MSG_REJOIN_ACK:
	case MSG_SEEK:
	case MSG_SOUGHT:
	case MSG_PREVOTE:
	case MSG_PREVOTE_ACK:
	case MSG_VOTE:
	case MSG_REGISTER:
		break;
	}
	return TERN_ERR_MALFORMED;
}

/* Any message of a higher term: adopt it and write it; the sender repeats what it had to say.
 * Requests for votes are judged first, for a refused one may change nothing. */
static enum tern_err
step_message(struct core *core, const struct msg *msg)
{
	struct core_peer *peer;
	bool was_candidate;

	if (msg == NULL || msg->term > CORE_TERM_MAX ||
	    (msg->boot_no == 0) != (msg->kind == MSG_REJOIN))
		return TERN_ERR_MALFORMED;
	peer = core_peer(core, msg->sender);
	if (peer == NULL)
		return TERN_ERR_MALFORMED;
	if (msg->boot_no > peer->heard_boot_no)
		peer->heard_boot_no = msg->boot_no;
	force_note(core, peer, msg);
	if (core_is_deaf(core)) {
		if (msg->kind == MSG_PREVOTE || msg->kind == MSG_VOTE)
			election_request_early(core, peer, msg);
		return TERN_OK;
	}
	if (msg->kind == MSG_REJOIN || msg->kind == MSG_REJOIN_ACK)
		return rejoin_message(core, peer, msg);
	if (core->config.is_rejoining)
		return TERN_OK;
	if (core->role == CORE_WITNESS)
		return witness_message(core, peer, msg);
	if (msg->kind == MSG_PREVOTE || msg->kind == MSG_VOTE)
		return election_request(core, peer, msg);
	if (msg->kind == MSG_SEEK)
		return sought_asked(core, peer, msg);
	if (msg->term > core->term) {
		was_candidate = core->role == CORE_CANDIDATE;
		role_adopt_term(core, msg->term, 0);
		hear_arm(core);
		/* A candidate that was merely behind in terms tries again soon. */
		if (was_candidate && (msg->kind == MSG_PREVOTE_ACK || msg->kind == MSG_VOTE_ACK))
			core->election_ns =
			    core->now_ns + prng_below(&core->prng, core->elect_min_ns / 2);
		return TERN_OK;
	}
	/* A voter whose term is lower may grant a PREVOTE: the term asked for is what counts. And
	 * it may refuse a VOTE without adopting its term (quiet, forgetful, live master): it has
	 * answered, and the witness can be asked. */
	if (msg->kind == MSG_PREVOTE_ACK || (msg->kind == MSG_VOTE_ACK && msg->term < core->term &&
					     msg->vote_ack.refusal != MSG_VOTE_GRANTED)) {
		election_answer(core, peer, msg);
		return TERN_OK;
	}
	/* What is committed is so in any term. */
	if (msg->kind == MSG_SOUGHT)
		return sought_answered(core, peer, msg);
	if (msg->term < core->term) {
		replica_refuse_term(core, peer, msg);
		return TERN_OK;
	}
	return step_message_current(core, peer, msg);
}

static enum tern_err
step_durable(struct core *core, uint64_t index)
{
	if (index > core->last_index)
		return TERN_ERR_MALFORMED;
	if (index <= core->durable_index)
		return TERN_OK;
	core->durable_index = index;
	core->disk_progress_ns = core->now_ns;
	if (core->match == CORE_MATCH_DONE)
		match_send_progress(core);
	return TERN_OK;
}

/* Ahead of commit_index on a master only. A node that was one keeps what it applied. */
static enum tern_err
step_applied(struct core *core, uint64_t index)
{
	const uint64_t most =
	    core->role == CORE_MASTER ? core->memory_commit_index : core->commit_index;

	if (index == core->applied_index)
		return TERN_OK;
	if (index > most || index < core->applied_index)
		return TERN_ERR_MALFORMED;
	if (index > core->applied_index)
		core->apply_progress_ns = core->now_ns;
	core->applied_index = index;
	return TERN_OK;
}

static enum tern_err
step_meta_durable(struct core *core, uint64_t op_id)
{
	struct core_peer *peer;

	if (!core->is_meta_pending || op_id != core->op_id)
		return TERN_ERR_MALFORMED;
	core->is_meta_pending = false;
	core->durable_term = core->term;
	if (core->has_reply) {
		core->has_reply = false;
		peer = core_peer(core, core->reply_node);
		INVARIANT(peer != NULL);
		core->reply.sender = core->config.node_id;
		core->reply.boot_no = core->config.boot_no;
		core->reply.term = core->term;
		*core_send(core, peer, core->reply.kind) = core->reply;
	}
	if (core->role == CORE_CANDIDATE)
		election_meta_durable(core);
	return TERN_OK;
}

static void
step_storage_failed(struct core *core)
{
	if (core->is_storage_failed)
		return;
	if (core->role == CORE_MASTER)
		master_farewell(core);
	role_fall_silent(core);
	core->is_storage_failed = true;
	core_alarm(core, CORE_ALARM_STORAGE_FAILED, core->config.node_id);
}

/* A witness knows messages, its writes and its failures; nothing else concerns it. */
static bool
step_event_is_known(const struct core *core, enum core_event_kind kind)
{
	if (core->role != CORE_WITNESS)
		return true;
	return kind == CORE_EVENT_TICK || kind == CORE_EVENT_MESSAGE ||
	       kind == CORE_EVENT_META_DURABLE || kind == CORE_EVENT_STORAGE_FAILED ||
	       kind == CORE_EVENT_STOP || kind == CORE_EVENT_SUPERSEDED;
}

static enum tern_err
step_dispatch(struct core *core, const struct core_event *event)
{
	if (!step_event_is_known(core, event->kind))
		return event->kind == CORE_EVENT_READ || event->kind == CORE_EVENT_TRANSFER
			   ? TERN_ERR_NOT_MASTER
			   : TERN_ERR_MALFORMED;
	switch (event->kind) {
	case CORE_EVENT_TICK:
		return TERN_OK;
	case CORE_EVENT_MESSAGE:
		return step_message(core, event->msg);
	case CORE_EVENT_APPENDED:
		return master_appended(core, event);
	case CORE_EVENT_RECEIVED:
		return replica_received(core, event);
	case CORE_EVENT_DURABLE:
		return step_durable(core, event->index);
	case CORE_EVENT_APPLIED:
		return step_applied(core, event->index);
	case CORE_EVENT_CUT_DONE:
		return match_cut_done(core, event->index);
	case CORE_EVENT_META_DURABLE:
		return step_meta_durable(core, event->op_id);
	case CORE_EVENT_STORAGE_FAILED:
		step_storage_failed(core);
		return TERN_OK;
	case CORE_EVENT_DATA_PORT:
		transfer_data_port(core, event->flag);
		return TERN_OK;
	case CORE_EVENT_READ:
		return read_take(core, event->op_id, event->flag);
	case CORE_EVENT_TRANSFER:
		return transfer_begin(core, event->node);
	case CORE_EVENT_ENTER:
		return event->next == NULL ? TERN_ERR_MALFORMED : master_enter(core, event->next);
	case CORE_EVENT_STOP:
		transfer_stop_node(core);
		return TERN_OK;
	case CORE_EVENT_FORCE:
		return force_take(core);
	case CORE_EVENT_SUPERSEDED:
		force_superseded(core);
		return TERN_OK;
	case CORE_EVENT_INSTALL:
		return install_begin(core, &event->block);
	}
	return TERN_ERR_MALFORMED;
}

/* A node that was itself paused accuses nobody: the timers of its peers, and those of its own
 * devices, start anew (protocol section 16). */
static void
step_pass_time(struct core *core, uint64_t now_ns)
{
	const uint64_t gap_ns = now_ns - core->now_ns;

	INVARIANT(now_ns >= core->now_ns);
	lease_pass_time(core, now_ns);
	core->now_ns = now_ns;
	if (core->role == CORE_WITNESS)
		return;
	if (gap_ns > core->solo_ns / 2 && core->role == CORE_MASTER) {
		for (uint32_t i = 0; i < core->peer_count; i++) {
			core->peers[i].probe_ns = now_ns;
			core->peers[i].progress_ns = now_ns;
		}
	}
	if (gap_ns > core->elect_min_ns / 2 && core->role != CORE_MASTER)
		hear_arm(core);
	if (gap_ns > core->config.timers.stall_ns / 2) {
		core->disk_progress_ns = now_ns;
		core->apply_progress_ns = now_ns;
		core->meta_since_ns = now_ns;
	}
}

/* ---- the step ---- */

/* APPENDED and READ come from the middle of a burst of client commands: role and epoch stay as they
 * are until the next event of another kind, so that the burst's open block stays valid. */
static void
step_poll(struct core *core, enum core_event_kind kind)
{
	const bool is_in_burst = kind == CORE_EVENT_APPENDED || kind == CORE_EVENT_READ;

	if (core->config.is_amnesiac && !core->has_told_amnesia) {
		core->has_told_amnesia = true;
		core_alarm(core, CORE_ALARM_WITNESS_AMNESIA, core->config.node_id);
	}
	if (core->is_superseded) {
		if (core->role == CORE_WITNESS)
			witness_supersede(core);
		return;
	}
	if (core->config.is_rejoining) {
		rejoin_poll(core);
		return;
	}
	switch (core->role) {
	case CORE_FOLLOWER:
	case CORE_CANDIDATE:
		election_poll(core);
		seek_poll(core);
		break;
	case CORE_MASTER:
	case CORE_WITNESS:
		break;
	}
	if (core->role == CORE_MASTER && !is_in_burst)
		master_poll(core);
	read_poll(core);
}

enum tern_err
core_step(struct core *core, const struct core_event *event, struct core_effects *effects)
{
	struct core_effect *effect;
	enum tern_err err;

	effects->count = 0;
	core->out = effects;
	step_pass_time(core, event->now_ns);
	err = step_dispatch(core, event);
	if (err != TERN_OK) {
		INVARIANT(effects->count == 0);
		core->out = NULL;
		return err;
	}
	step_poll(core, event->kind);
	memory_poll(core);
	if (core->commit_index > core->commit_told) {
		effect = core_emit(core, CORE_EFFECT_COMMIT);
		effect->index = core->commit_told = core->commit_index;
		if (core->memory_told < core->commit_told)
			core->memory_told = core->commit_told;
	}
	if (core->role == CORE_MASTER && core->memory_commit_index != core->memory_told) {
		effect = core_emit(core, CORE_EFFECT_MEMORY_COMMIT);
		effect->index = core->memory_told = core->memory_commit_index;
	}
	if (view_refresh(core)) {
		effect = core_emit(core, CORE_EFFECT_ROLE);
		effect->node = core->master_id;
		effect->term = core->term;
		effect->epoch = core->view.epoch;
	}
	force_note_master(core);
	INVARIANT(core->applied_index <= core->memory_commit_index);
	INVARIANT(core->commit_index <= core->memory_commit_index);
	INVARIANT(core->memory_commit_index <= core->last_index);
	INVARIANT(core->durable_index <= core->last_index);
	core->out = NULL;
	return TERN_OK;
}

uint64_t
core_deadline_ns(const struct core *core)
{
	uint64_t deadline_ns;

	if (core->role == CORE_WITNESS || core->is_storage_failed || core->is_superseded)
		return read_has_work(core) ? core->now_ns : UINT64_MAX;
	if (read_has_work(core))
		return core->now_ns;
	if (core->role == CORE_MASTER)
		return core->heartbeat_ns;
	if (core->config.is_rejoining)
		return core->is_leaving ? UINT64_MAX : core->rejoin.ask_ns;
	/* Regular calls tell a paused node from one that heard nothing. */
	deadline_ns = core->now_ns + core->elect_min_ns / 4;
	if (core->is_meta_pending)
		return deadline_ns;
	if (core->election_ns < deadline_ns)
		deadline_ns = core->election_ns;
	if (core->role == CORE_CANDIDATE && core->ask_ns < deadline_ns)
		deadline_ns = core->ask_ns;
	return seek_deadline_ns(core) < deadline_ns ? seek_deadline_ns(core) : deadline_ns;
}
