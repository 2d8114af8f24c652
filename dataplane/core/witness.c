/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness: one small register, votes, and answers to rounds (protocol section 8). The register
 * is durable before anything is answered that depends on it; while a write is under way every
 * message is dropped, for all senders repeat.
 */
#include "dataplane/core/bypass.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/hear.h"
#include "dataplane/core/members.h"

static void
witness_persist(struct core *core)
{
	struct core_effect *effect;

	INVARIANT(!core->is_meta_pending);
	INVARIANT(core->term >= core->reg.term);
	core->reg.sequence++;
	core->reg.boot_no = core->config.boot_no;
	core->reg.term = core->term;
	core->reg.voted_for = core->voted_for;
	core->is_meta_pending = true;
	core->meta_since_ns = core->now_ns;
	effect = core_emit(core, CORE_EFFECT_PERSIST_REGISTER);
	effect->op_id = ++core->op_id;
	effect->reg = core->reg;
}

/* P13: what it granted stays granted in a generation that is over; it answers nothing more. */
void
witness_supersede(struct core *core)
{
	INVARIANT(core->role == CORE_WITNESS);
	core->has_reply = false;
	if (core->reg.duty == WITNESS_SUPERSEDED || core->is_meta_pending ||
	    core->is_storage_failed)
		return;
	core->reg.duty = WITNESS_SUPERSEDED;
	witness_persist(core);
}

/* P1, P3: position(candidate) > last, or equal and every vote granted is of the in-sync set. */
static bool
witness_position_ok(const struct core *core, const struct msg_vote *vote)
{
	const struct witness_register *reg = &core->reg;

	if (core_has_bug(core, CORE_BUG_P1_STALE_VOTE))
		return true;
	if (reg->last_term == 0)
		return true; /* only at birth */
	if (vote->last_term != reg->last_term)
		return vote->last_term > reg->last_term;
	if (vote->last_epoch != reg->last_epoch)
		return vote->last_epoch > reg->last_epoch;
	if (core_has_bug(core, CORE_BUG_P3_NO_SUBSET))
		return true;
	/* No votes are a subset of anything. */
	if (vote->votes_granted == 0 && !core_has_member_bug(core, CORE_MEMBER_BUG_EMPTY_VOTES))
		return false;
	return (vote->votes_granted & ~reg->rset) == 0;
}

/* Beside an odd number of copies it observes: by birth, or retired by a configuration. */
static bool
witness_has_vote(const struct core *core)
{
	if (core->reg.duty == WITNESS_BY_BIRTH)
		return (core->voters & core_bit(core->config.node_id)) != 0;
	return core->reg.duty == WITNESS_ENTERED;
}

/* What retired it: a candidate that holds that very block takes it as committed. */
static void
witness_tell(const struct core *core, struct msg *ack)
{
	if (core->reg.duty != WITNESS_RETIRED ||
	    core_has_member_bug(core, CORE_MEMBER_BUG_NO_ANSWER))
		return;
	ack->vote_ack.config_index = core->reg.config_index;
	ack->vote_ack.config_chain = core->reg.config_chain;
}

/* P4: peers know a newer witness_gen, so this register was replaced and may be an old copy: refuse
 * everything from now on. The alarm is raised at the end of the step. */
static void
witness_note_gen(struct core *core, uint32_t witness_gen)
{
	/* One that is only allotted may never come to be. */
	if (witness_gen > core->config.witness_gen && core->config.witness_gen != 0 &&
	    (witness_gen & MEMBERSHIP_WITNESS_OUT) == 0 &&
	    !core_has_member_bug(core, CORE_MEMBER_BUG_ANY_WITNESS))
		core->config.is_amnesiac = true;
}

/* A new generation for this register, whatever it was before: see witness_judge_entry. */
static bool
witness_is_entry(const struct core *core, const struct msg *msg)
{
	const uint32_t gen = msg->register_.witness_gen;

	return msg->kind == MSG_REGISTER && msg->register_.what == MSG_REGISTER_ENTER &&
	       gen > core->config.witness_gen && gen < MEMBERSHIP_WITNESS_OUT;
}

/* Nothing that a register of another generation says counts, not even that it lives: who has the
 * right one may have elected another master meanwhile. */
static bool
witness_is_meant(struct core *core, const struct msg *msg)
{
	if (witness_is_entry(core, msg))
		return true;
	if (msg->kind == MSG_VOTE || msg->kind == MSG_PREVOTE) {
		witness_note_gen(core, msg->vote.witness_gen);
		return true; /* the answer says it */
	}
	if (msg->kind == MSG_REGISTER)
		witness_note_gen(core, msg->register_.witness_gen);
	if (msg->kind == MSG_HEARTBEAT) {
		witness_note_gen(core, msg->heartbeat.witness_gen);
		if (msg->heartbeat.witness_gen != core->config.witness_gen &&
		    !core_has_member_bug(core, CORE_MEMBER_BUG_ANY_WITNESS))
			return false;
	}
	/* Made in place of a register that was lost, and not entered yet. */
	return !core->config.is_amnesiac && core->config.witness_gen != 0;
}

static enum msg_vote_refusal
witness_judge(const struct core *core, const struct msg *msg)
{
	const struct msg_vote *vote = &msg->vote;

	if (core->config.is_amnesiac || core->config.witness_gen == 0)
		return MSG_VOTE_REFUSED_WITNESS;
	if (vote->witness_gen != core->config.witness_gen &&
	    !core_has_member_bug(core, CORE_MEMBER_BUG_ANY_WITNESS))
		return MSG_VOTE_REFUSED_WITNESS;
	if (!witness_has_vote(core))
		return MSG_VOTE_REFUSED_WITNESS;
	if (vote->for_term < core->term)
		return MSG_VOTE_REFUSED_TERM;
	if (core->now_ns < core->quiet_until_ns)
		return MSG_VOTE_REFUSED_QUIET;
	if (!vote->is_hand_over &&
	    (hear_lives(core, msg->sender) || lease_binds(core, msg->sender)))
		return MSG_VOTE_REFUSED_MASTER;
	if (!witness_position_ok(core, vote))
		return MSG_VOTE_REFUSED_LOG;
	if (vote->for_term == core->term && core->voted_for != 0 && core->voted_for != msg->sender)
		return MSG_VOTE_REFUSED_VOTED;
	return MSG_VOTE_GRANTED;
}

static void
witness_prevote(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	struct msg *ack = core_send(core, peer, MSG_PREVOTE_ACK);

	ack->vote_ack.for_term = msg->vote.for_term;
	ack->vote_ack.refusal = witness_judge(core, msg);
	witness_tell(core, ack);
}

/* A vote refused for the quiet period, a live master or the witness itself changes nothing, the
 * term included: one isolated candidate would otherwise block the next REGISTER. */
static void
witness_vote(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	const enum msg_vote_refusal refusal = witness_judge(core, msg);
	const bool is_new_term =
	    refusal != MSG_VOTE_REFUSED_WITNESS && refusal != MSG_VOTE_REFUSED_QUIET &&
	    refusal != MSG_VOTE_REFUSED_MASTER && msg->vote.for_term > core->term;
	const bool is_new_vote =
	    refusal == MSG_VOTE_GRANTED && (is_new_term || core->voted_for != msg->sender);
	struct msg *ack;

	if (is_new_term) {
		core->term = msg->vote.for_term;
		core->voted_for = 0;
		core->master_id = 0;
		core->has_heard = false; /* the master of an older term is none */
	}
	if (refusal == MSG_VOTE_GRANTED)
		core->voted_for = msg->sender;
	if (is_new_term || is_new_vote) {
		witness_persist(core);
		core->has_reply = true;
		core->reply_node = peer->id;
		core->reply = (struct msg){ .kind = MSG_VOTE_ACK };
		ack = &core->reply;
	} else {
		ack = core_send(core, peer, MSG_VOTE_ACK);
	}
	ack->vote_ack.for_term = msg->vote.for_term;
	ack->vote_ack.refusal = refusal;
	witness_tell(core, ack);
}

static void
witness_register_fill(const struct core *core, struct msg *ack, const struct msg_register *want,
		      bool is_accepted)
{
	ack->register_ack.what = want->what;
	ack->register_ack.epoch = want->epoch;
	ack->register_ack.is_accepted = is_accepted;
	ack->register_ack.held_term = core->reg.last_term;
	ack->register_ack.held_epoch = core->reg.last_epoch;
	ack->register_ack.rset = want->rset;
	ack->register_ack.config_index = want->config_index;
}

enum witness_verdict { WITNESS_REFUSES = 0, WITNESS_HAS_IT, WITNESS_TAKES_IT };

/* A retired witness has no epochs. */
static enum witness_verdict
witness_judge_epoch(const struct core *core, const struct msg *msg)
{
	const struct msg_register *want = &msg->register_;
	const struct witness_register *reg = &core->reg;
	const bool is_same = reg->last_term == msg->term && reg->last_epoch == want->epoch &&
			     reg->rset == want->rset;
	const bool is_newer = reg->last_term < msg->term ||
			      (reg->last_term == msg->term && reg->last_epoch < want->epoch);

	if (reg->duty == WITNESS_RETIRED && want->what == MSG_REGISTER_EPOCH)
		return WITNESS_REFUSES;
	if (is_newer)
		return WITNESS_TAKES_IT;
	return is_same ? WITNESS_HAS_IT : WITNESS_REFUSES;
}

/* What it held was of another generation and counts no more. Its new one it has for itself: the
 * master that allotted it gives it to this incarnation only, see master_meet_witness. */
static enum witness_verdict
witness_judge_entry(const struct core *core, const struct msg_register *want)
{
	return want->peer_boot_no == core->config.boot_no ||
		       core_has_member_bug(core, CORE_MEMBER_BUG_ANY_REGISTER)
		   ? WITNESS_TAKES_IT
		   : WITNESS_REFUSES;
}

/* Of two changes the later one counts, whichever is heard last. */
static enum witness_verdict
witness_judge_register(const struct core *core, const struct msg *msg)
{
	const struct msg_register *want = &msg->register_;
	const struct witness_register *reg = &core->reg;

	if (witness_is_entry(core, msg))
		return witness_judge_entry(core, want);
	if (want->witness_gen != core->config.witness_gen)
		return WITNESS_REFUSES;
	switch (want->what) {
	case MSG_REGISTER_EPOCH:
		break;
	case MSG_REGISTER_ENTER:
		if (want->config_index < reg->config_index)
			return WITNESS_REFUSES;
		break;
	case MSG_REGISTER_RETIRE:
		if (want->config_index > reg->config_index)
			return WITNESS_TAKES_IT;
		return want->config_index == reg->config_index && reg->duty == WITNESS_RETIRED
			   ? WITNESS_HAS_IT
			   : WITNESS_REFUSES;
	}
	return witness_judge_epoch(core, msg);
}

static void
witness_take_register(struct core *core, const struct msg *msg)
{
	const struct msg_register *want = &msg->register_;
	struct witness_register *reg = &core->reg;

	if (want->what != MSG_REGISTER_EPOCH) {
		reg->duty = want->what == MSG_REGISTER_ENTER ? WITNESS_ENTERED : WITNESS_RETIRED;
		reg->config_index = want->config_index;
		reg->config_chain = want->config_chain;
	}
	if (want->what == MSG_REGISTER_RETIRE)
		return;
	core->config.witness_gen = reg->witness_gen = want->witness_gen;
	core->config.is_amnesiac = core->has_told_amnesia = false;
	reg->last_term = msg->term;
	reg->last_epoch = want->epoch;
	reg->rset = want->rset;
	reg->last_index = want->last_index;
	reg->chain = want->chain;
	core->voted_for = msg->sender;
}

/* Called with msg->term equal to the witness's term. */
static void
witness_register(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	const enum witness_verdict verdict = witness_judge_register(core, msg);

	INVARIANT(msg->term == core->term);
	if (verdict != WITNESS_TAKES_IT) {
		witness_register_fill(core, core_send(core, peer, MSG_REGISTER_ACK),
				      &msg->register_, verdict == WITNESS_HAS_IT);
		return;
	}
	witness_take_register(core, msg);
	witness_persist(core);
	core->has_reply = true;
	core->reply_node = peer->id;
	core->reply = (struct msg){ .kind = MSG_REGISTER_ACK };
	witness_register_fill(core, &core->reply, &msg->register_, true);
}

static void
witness_heartbeat(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	struct msg *ack = core_send(core, peer, MSG_HEARTBEAT_ACK);

	if (msg->term == core->term) {
		hear_master(core, msg->sender);
		core->master_id = msg->sender;
		core->master_epoch = msg->heartbeat.epoch;
		if (msg->heartbeat.asks_promise != 0)
			ack->heartbeat_ack.promise_units = lease_promise(core, msg->sender);
	}
	ack->heartbeat_ack.epoch = msg->heartbeat.epoch;
	ack->heartbeat_ack.round = msg->heartbeat.round;
}

/* REGISTER and HEARTBEAT come from masters only: their term is adopted at once. */
static void
witness_master_message(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	if (msg->term > core->term) {
		core->term = msg->term;
		core->voted_for = 0;
		core->master_id = 0;
		core->has_heard = false;
		if (msg->kind == MSG_REGISTER &&
		    witness_judge_register(core, msg) == WITNESS_TAKES_IT) {
			witness_register(core, peer, msg);
			return;
		}
		witness_persist(core);
		return;
	}
	if (msg->kind == MSG_HEARTBEAT) {
		witness_heartbeat(core, peer, msg);
		return;
	}
	if (msg->term < core->term) {
		witness_register_fill(core, core_send(core, peer, MSG_REGISTER_ACK),
				      &msg->register_, false);
		return;
	}
	witness_register(core, peer, msg);
}

enum tern_err
witness_message(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	INVARIANT(core->role == CORE_WITNESS);
	INVARIANT(!core->is_meta_pending);
	if (peer->is_witness)
		return TERN_ERR_MALFORMED;
	/* P4: a witness that lost its register must never answer as if it held an empty one. */
	if (!witness_is_meant(core, msg))
		return TERN_OK;
	switch (msg->kind) {
	case MSG_PREVOTE:
		witness_prevote(core, peer, msg);
		return TERN_OK;
	case MSG_VOTE:
		if (msg->vote.for_term != msg->term)
			return TERN_ERR_MALFORMED;
		witness_vote(core, peer, msg);
		return TERN_OK;
	case MSG_REGISTER:
	case MSG_HEARTBEAT:
		witness_master_message(core, peer, msg);
		return TERN_OK;
	case MSG_FAREWELL:
		if (msg->term == core->term && core->heard_id == msg->sender && core->has_heard) {
			core->has_heard = false;
			core->view.farewells++;
		}
		return TERN_OK;
	case MSG_HEARTBEAT_ACK:
	case MSG_APPEND:
	case MSG_APPEND_ACK:
	case MSG_PREVOTE_ACK:
	case MSG_VOTE_ACK:
	case MSG_REGISTER_ACK:
	case MSG_TRANSFER_NOW:
	case MSG_RECOGNIZED:
	case MSG_CHECKPOINT:
	case MSG_REJOIN:
	case MSG_REJOIN_ACK:
	case MSG_SEEK:
	case MSG_SOUGHT:
		break;
	}
	return TERN_ERR_MALFORMED;
}
