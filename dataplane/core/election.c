/* SPDX-License-Identifier: Apache-2.0 */
/* Elections among data nodes: timeouts, PREVOTE and VOTE on both sides (protocol sections 5, 7). */
#include "dataplane/core/commit.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/election.h"
#include "dataplane/core/health.h"
#include "dataplane/core/hear.h"
#include "dataplane/core/match.h"
#include "dataplane/core/members.h"
#include "dataplane/core/role.h"

/* What keeps a node from being a candidate at all. A candidate's whole log is durable. */
static bool
election_is_able(const struct core *core)
{
	return core_is_voter(core, core->config.node_id) && !core->is_leaving &&
	       !core->is_stopping && !core->is_storage_failed && !core->is_meta_pending &&
	       !core->is_quarantined && !core->is_forgetful && !core->is_superseded &&
	       !memory_is_unsure(core) && core->match != CORE_MATCH_CUTTING &&
	       core->now_ns >= core->quiet_until_ns && core->durable_index == core->last_index &&
	       !core_is_stalled(core);
}

/* ---- asking ---- */

static void
election_ask(struct core *core, struct core_peer *peer)
{
	const struct block_meta last = history_last(core);
	struct msg *msg = core_send(core, peer, core->is_voting ? MSG_VOTE : MSG_PREVOTE);

	msg->vote.for_term = core->is_voting ? core->term : core->term + 1;
	msg->vote.last_term = last.term;
	msg->vote.last_epoch = last.epoch;
	msg->vote.last_index = last.log_index;
	msg->vote.votes_granted = core->votes;
	/* The witness is told of those votes only that its register knows. */
	if (peer->is_witness)
		msg->vote.votes_granted &= members_pair(core)->data;
	msg->vote.witness_gen = core->members.witness_gen;
	msg->vote.is_hand_over = core->is_hand_over;
	if (peer->asked_ns == 0)
		peer->asked_ns = core->now_ns;
}

/* The witness is asked last. A candidate that is not of its pair has a vote of the pair first: no
 * votes are a subset of any rset. With two data nodes at once, but only when this node has not
 * restarted since it last followed or was a master; otherwise every data node has answered first,
 * or has been silent for T_elect_max since it was asked. */
static bool
election_may_ask_witness(const struct core *core)
{
	const struct core_rule *pair = members_pair(core);

	INVARIANT(pair != NULL);
	if ((pair->data & core_bit(core->config.node_id)) == 0)
		return (core->votes & pair->data) != 0 ||
		       core_has_member_bug(core, CORE_MEMBER_BUG_EMPTY_VOTES);
	if (pair->count == 2 && core->has_followed)
		return true;
	for (uint32_t i = 0; i < core->peer_count; i++) {
		const struct core_peer *peer = &core->peers[i];

		if (!core_is_voter(core, peer->id) || peer->has_answered)
			continue;
		if (peer->asked_ns == 0 || core->now_ns - peer->asked_ns < core->elect_max_ns)
			return false;
	}
	return true;
}

static void
election_ask_all(struct core *core)
{
	const uint64_t wanted = core->voters & ~core->votes;

	INVARIANT(core->role == CORE_CANDIDATE);
	core->ask_ns = core->now_ns + core->config.timers.heartbeat_ns;
	for (uint32_t i = 0; i < core->peer_count; i++) {
		struct core_peer *peer = &core->peers[i];

		if ((wanted & core_bit(peer->id)) == 0)
			continue;
		if (peer->is_witness && !election_may_ask_witness(core))
			continue;
		election_ask(core, peer);
	}
}

static void
election_begin_phase(struct core *core, bool is_voting)
{
	core->role = CORE_CANDIDATE;
	core->master_id = 0;
	core->is_voting = is_voting;
	core->votes = core_bit(core->config.node_id);
	core->log_refusals = 0;
	for (uint32_t i = 0; i < core->peer_count; i++)
		core->peers[i].has_answered = false;
	hear_arm(core);
}

static void
election_give_up(struct core *core)
{
	core->role = CORE_FOLLOWER;
	core->master_id = 0;
	core->is_hand_over = false;
	hear_arm(core);
}

static bool
election_has_quorum(const struct core *core)
{
	return members_are_quorum(core, core->votes);
}

/* term++ and the vote for oneself; VOTE goes out when both are durable. */
static void
election_begin_vote(struct core *core, bool is_hand_over)
{
	INVARIANT(core->role != CORE_MASTER);
	INVARIANT(core->durable_index == core->last_index);
	INVARIANT(is_hand_over || !lease_binds(core, core->config.node_id));
	match_forget(core);
	election_begin_phase(core, true);
	core->is_hand_over = is_hand_over;
	core->has_heard = false;
	core->term++;
	core->voted_for = core->config.node_id;
	core->master_epoch = 0;
	core->round_answered = 0;
	role_persist_meta(core);
}

void
election_meta_durable(struct core *core)
{
	INVARIANT(core->is_voting);
	INVARIANT(core->voted_for == core->config.node_id);
	hear_arm(core);
	if (election_has_quorum(core)) {
		master_begin(core);
		return;
	}
	election_ask_all(core);
}

static void
election_timeout(struct core *core)
{
	if (!election_is_able(core) || lease_binds(core, core->config.node_id)) {
		if (core->role == CORE_CANDIDATE)
			election_give_up(core);
		/* It will be nobody's master, and says at least that it has none. */
		if (!core_is_voter(core, core->config.node_id)) {
			core->master_id = 0;
			hear_arm(core);
			return;
		}
		/* Flushing, quiet or bound: look again soon. */
		core->election_ns = core->now_ns + core->config.timers.heartbeat_ns;
		return;
	}
	core->is_hand_over = false;
	election_begin_phase(core, false);
	if (election_has_quorum(core))
		election_begin_vote(core, false);
	else
		election_ask_all(core);
}

/* The master said that it is one no more, or it was said for it because its process has died:
 * nobody has to wait for its silence. */
void
election_farewell(struct core *core, const struct core_peer *peer)
{
	if (!core->has_heard || core->heard_id != peer->id)
		return;
	core->has_heard = false;
	core->view.farewells++;
	if (core->role == CORE_FOLLOWER)
		core->election_ns = core->now_ns + prng_below(&core->prng, core->elect_min_ns / 4);
}

/* The target skips PREVOTE. When it is not ready yet, the master asks again. */
void
election_hand_over(struct core *core, const struct core_peer *peer, const struct msg *msg)
{
	if (core->role != CORE_FOLLOWER || core->master_id != peer->id ||
	    core->match != CORE_MATCH_DONE)
		return;
	if (core->last_index < msg->transfer.last_index || !election_is_able(core))
		return;
	election_begin_vote(core, true);
}

void
election_poll(struct core *core)
{
	if (core->is_meta_pending || core->is_storage_failed)
		return;
	if (core->now_ns >= core->election_ns) {
		election_timeout(core);
		return;
	}
	if (core->role != CORE_CANDIDATE)
		return;
	if (!core->is_voting && election_has_quorum(core) && election_is_able(core)) {
		election_begin_vote(core, false);
		return;
	}
	if (core->now_ns >= core->ask_ns)
		election_ask_all(core);
}

/* Where the witness votes, one data node with a longer log ends the candidacy: that log may hold
 * what only it and the master had. Among an odd number of copies a quorum of votes is proof enough,
 * and the node with the longer log may be one whose disk hangs, which nobody can elect. */
static bool
election_is_hopeless(const struct core *core)
{
	for (uint32_t i = 0; i < core->rule_count; i++) {
		const struct core_rule *rule = &core->rules[i];
		if (core_rule_has_witness(rule)
			? (rule->data & core->log_refusals) != 0
			: core_count(rule->voters & ~core->log_refusals) < rule->quorum)
			return true;
	}
	return false;
}

/* Somebody knows of a committed configuration: whoever holds that very block knows it too. True:
 * other rules hold from now on. */
static bool
election_learn(struct core *core, const struct msg_vote_ack *ack)
{
	const uint64_t before = core->committed_members.config_index;

	if (ack->config_index == 0)
		return false;
	commit_if_held(core, ack->config_index, ack->config_chain);
	if (core_has_member_bug(core, CORE_MEMBER_BUG_ANY_BLOCK))
		commit_to(core, core->members.config_index);
	return core->committed_members.config_index != before;
}

void
election_answer(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	const bool is_vote = msg->kind == MSG_VOTE_ACK;
	const struct msg_vote_ack *ack = &msg->vote_ack;
	bool is_first, has_learned;

	if (core->role != CORE_CANDIDATE || core->is_voting != is_vote)
		return;
	if (ack->for_term != (is_vote ? core->term : core->term + 1))
		return;
	is_first = !peer->has_answered;
	peer->has_answered = true;
	peer->asked_ns = 0;
	if (!peer->is_witness)
		commit_if_held(core, ack->commit_index, ack->commit_chain);
	has_learned = election_learn(core, ack);
	if (!core_is_voter(core, core->config.node_id)) {
		election_give_up(core);
		return;
	}
	if (ack->refusal == MSG_VOTE_REFUSED_LOG && core_is_voter(core, peer->id)) {
		core->log_refusals |= core_bit(peer->id);
		if (election_is_hopeless(core)) {
			election_give_up(core);
			return;
		}
	}
	if (ack->refusal != MSG_VOTE_GRANTED) {
		/* A data node's first answer opens the way to the witness. */
		if ((is_first && !peer->is_witness && !core->has_followed) || has_learned)
			core->ask_ns = core->now_ns;
		if (!has_learned)
			return;
	} else {
		core->votes |= core_bit(peer->id);
	}
	if (!election_has_quorum(core))
		return;
	if (is_vote)
		master_begin(core);
	else if (election_is_able(core))
		election_begin_vote(core, false);
}

/* ---- answering ---- */

static bool
election_master_lives(const struct core *core, uint16_t candidate)
{
	return core->role == CORE_MASTER || hear_lives(core, candidate) ||
	       lease_binds(core, candidate);
}

/* The end of the log that a candidate's is compared with: contiguous and verified, flushed or not,
 * for what was received may have completed a memory commit. */
static struct block_meta
election_own_last(const struct core *core)
{
	struct block_meta last = history_last(core);

	if (core_has_bug(core, CORE_BUG_VOTE_DURABLE_LOG) &&
	    !history_get(core, core->durable_index, &last))
		last = (struct block_meta){ 0 };
	return last;
}

/* A restarted voter among an odd number grants at first only what all others have granted. */
static bool
election_is_left_to_others(const struct core *core, const struct msg_vote *vote)
{
	const uint64_t others = core->data & ~core_bit(core->config.node_id);

	return memory_is_unsure(core) && (others & ~vote->votes_granted) != 0;
}

static bool
election_is_mute(const struct core *core)
{
	return core->now_ns < core->quiet_until_ns || core->is_quarantined || core->is_forgetful ||
	       core->is_superseded;
}

static bool
election_is_behind(const struct core *core, const struct msg_vote *vote)
{
	const struct block_meta last = election_own_last(core);

	return vote->last_term < last.term ||
	       (vote->last_term == last.term && vote->last_index < last.log_index);
}

static enum msg_vote_refusal
election_judge(const struct core *core, const struct msg *msg)
{
	const struct msg_vote *vote = &msg->vote;

	if (vote->for_term < core->term)
		return MSG_VOTE_REFUSED_TERM;
	if (election_is_mute(core) || election_is_left_to_others(core, vote))
		return MSG_VOTE_REFUSED_QUIET;
	if (core_has_member_bug(core, CORE_MEMBER_BUG_NAMED_ONLY) &&
	    !core_is_voter(core, core->config.node_id))
		return MSG_VOTE_REFUSED_QUIET;
	if (!vote->is_hand_over && election_master_lives(core, msg->sender))
		return MSG_VOTE_REFUSED_MASTER;
	if (election_is_behind(core, vote))
		return MSG_VOTE_REFUSED_LOG;
	if (vote->for_term == core->term && core->voted_for != 0 && core->voted_for != msg->sender)
		return MSG_VOTE_REFUSED_VOTED;
	return MSG_VOTE_GRANTED;
}

static void
election_fill_ack(const struct core *core, struct msg *ack, const struct msg *msg,
		  enum msg_vote_refusal refusal)
{
	const uint64_t config_index = core->committed_members.config_index;

	ack->vote_ack.for_term = msg->vote.for_term;
	ack->vote_ack.refusal = refusal;
	/* What it takes for committed a master contradicts. */
	if (core->is_quarantined)
		return;
	ack->vote_ack.commit_index = core->commit_index;
	ack->vote_ack.commit_chain = history_chain(core, core->commit_index);
	/* The chain of a block before the log's begin is not known any more. Who lacks blocks of
	 * after that is refused by the log rule, whatever it holds to be committed; who holds them
	 * all learns it by commit_index. And a node that forgot may know a configuration that its
	 * log does not reach. */
	if (config_index == 0 || config_index < core->base_index || config_index > core->last_index)
		return;
	ack->vote_ack.config_index = config_index;
	ack->vote_ack.config_chain = history_chain(core, config_index);
}

static void
election_vote(struct core *core, struct core_peer *peer, const struct msg *msg,
	      enum msg_vote_refusal refusal)
{
	const bool is_changing =
	    refusal != MSG_VOTE_REFUSED_QUIET && refusal != MSG_VOTE_REFUSED_MASTER;
	const bool is_new_term = is_changing && msg->vote.for_term > core->term;
	const bool is_new_vote =
	    refusal == MSG_VOTE_GRANTED && (is_new_term || core->voted_for != msg->sender);

	if (is_new_term) {
		role_adopt_term(core, msg->vote.for_term, is_new_vote ? msg->sender : 0);
		hear_arm(core);
	} else if (is_new_vote) {
		election_give_up(core);
		core->voted_for = msg->sender;
		role_persist_meta(core);
	}
	if (core->is_meta_pending) {
		core->has_reply = true;
		core->reply_node = peer->id;
		core->reply = (struct msg){ .kind = MSG_VOTE_ACK };
		election_fill_ack(core, &core->reply, msg, refusal);
		return;
	}
	election_fill_ack(core, core_send(core, peer, MSG_VOTE_ACK), msg, refusal);
}

/* PREVOTE changes nothing here, whatever it says. A VOTE that is refused for the quiet period or a
 * live master changes nothing either. */
enum tern_err
election_request(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	const bool is_vote = msg->kind == MSG_VOTE;
	enum msg_vote_refusal refusal;

	INVARIANT(!core->is_meta_pending);
	if (peer->is_witness || (is_vote && msg->vote.for_term != msg->term))
		return TERN_ERR_MALFORMED;
	refusal = election_judge(core, msg);
	if (is_vote)
		election_vote(core, peer, msg, refusal);
	else
		election_fill_ack(core, core_send(core, peer, MSG_PREVOTE_ACK), msg, refusal);
	return TERN_OK;
}

/* The disk may take its time, or hang. Silence would open the way to the witness for a candidate
 * that restarted and lacks what only this node still holds. The refusal promises nothing. */
void
election_request_early(struct core *core, const struct core_peer *peer, const struct msg *msg)
{
	const bool is_vote = msg->kind == MSG_VOTE;

	if (core->role == CORE_WITNESS || peer->is_witness || core->is_storage_failed ||
	    core->is_leaving || core->config.is_rejoining || election_is_mute(core) ||
	    (is_vote && msg->vote.for_term != msg->term) || !election_is_behind(core, &msg->vote))
		return;
	election_fill_ack(core,
			  core_send_early(core, peer, is_vote ? MSG_VOTE_ACK : MSG_PREVOTE_ACK),
			  msg, MSG_VOTE_REFUSED_LOG);
}
