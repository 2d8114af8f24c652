/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The master's side of the log: finding where a replica's log leaves its own by bisection over
 * chain hashes, what replicas acknowledged, and what that commits (protocol sections 5, 7).
 */
#include "dataplane/core/commit.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/members.h"

/* ---- matching ---- */

static uint64_t
max_index(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void
replicate_begin(struct core *core, struct core_peer *peer)
{
	INVARIANT(core->role == CORE_MASTER);
	INVARIANT(core->last_index > 0);
	peer->is_matched = peer->needs_checkpoint = false;
	peer->received_index = peer->durable_index = 0;
	peer->search_low = core->base_index;
	peer->search_high = core->last_index + 1;
	/* The likely places: just below the barrier, or where the peer was before it restarted. */
	peer->search_at = core->last_index - 1;
	if (peer->acked_durable_index > core->base_index &&
	    peer->acked_durable_index < core->last_index)
		peer->search_at = peer->acked_durable_index;
	replicate_probe(core, peer);
}

void
replicate_probe(struct core *core, struct core_peer *peer)
{
	struct msg *msg;

	if (peer->search_high == 0 || peer->is_matched)
		return; /* there is no barrier of this term yet */
	/* The log was reclaimed since. */
	peer->search_low = max_index(peer->search_low, core->base_index);
	peer->search_at = max_index(peer->search_at, core->base_index);
	INVARIANT(peer->search_at <= core->last_index);
	msg = core_send(core, peer, MSG_APPEND);
	msg->append.prev_index = peer->search_at;
	msg->append.prev_chain = history_chain(core, peer->search_at);
	msg->append.has_next = peer->search_at < core->last_index;
	if (msg->append.has_next)
		msg->append.next_chain = history_chain(core, peer->search_at + 1);
	msg->append.last_index = core->last_index;
	msg->append.commit_index = core->commit_index;
	msg->append.epoch = core->epoch;
}

void
replicate_stop(struct core *core, struct core_peer *peer)
{
	if (peer->is_matched)
		core_emit(core, CORE_EFFECT_STREAM_STOP)->node = peer->id;
	peer->is_matched = false;
}

/* Acknowledgements of a former incarnation say nothing any more; those of a new one start at
 * nothing until its log is matched again. */
bool
replicate_note_boot(struct core *core, struct core_peer *peer, uint32_t boot_no)
{
	if (boot_no == peer->boot_no)
		return true;
	if (boot_no < peer->boot_no)
		return false;
	if (core_has_bug(core, CORE_BUG_ACK_NO_BOOT) && peer->is_matched) {
		peer->boot_no = boot_no;
		return true;
	}
	peer->is_whole = false;
	peer->health = 0;
	peer->stamp_ns = 0;
	if (peer->boot_no != 0 && peer->search_high != 0) {
		replicate_stop(core, peer);
		replicate_begin(core, peer);
	}
	/* What it received is in this node's memory alone now: no memory reply before it has it
	 * again. What was applied was answered. */
	if (core_is_voter(core, peer->id))
		memory_settle(core);
	peer->boot_no = boot_no;
	return true;
}

/* P5: a peer that reports less durable than it acknowledged has forgotten something that may have
 * been committed on its word. */
static void
replicate_matched(struct core *core, struct core_peer *peer, const struct msg_append_ack *ack)
{
	struct core_effect *effect;

	if (ack->durable_index < peer->acked_durable_index && core_is_voter(core, peer->id)) {
		core_alarm(core, CORE_ALARM_ACK_FORGOTTEN, peer->id);
		peer->has_forgotten = true;
		peer->acked_durable_index = ack->durable_index;
	}
	peer->is_matched = true;
	peer->needs_checkpoint = false;
	peer->progress_ns = core->now_ns;
	replicate_progress(core, peer, ack->received_index, ack->durable_index);
	effect = core_emit(core, CORE_EFFECT_STREAM_START);
	effect->node = peer->id;
	effect->index = ack->received_index + 1;
}

static void
replicate_search_conflict(struct core *core, struct core_peer *peer,
			  const struct msg_append_ack *ack)
{
	const uint64_t at = peer->search_at;
	const bool is_short = ack->last_index < at;
	const uint64_t differs = is_short ? ack->last_index + 1 : at;
	const uint64_t first = ack->conflict_index;

	if (differs < peer->search_high)
		peer->search_high = differs;
	/* The first block of the term in question, as the replica holds it. */
	if (first != 0 && first < peer->search_high) {
		if (history_holds(core, first, ack->conflict_chain)) {
			if (first > peer->search_low)
				peer->search_low = first;
		} else {
			peer->search_high = first;
		}
	}
	if (is_short && ack->last_index >= peer->search_low && ack->last_index < peer->search_high)
		peer->search_at = ack->last_index;
	else
		peer->search_at = peer->search_low + (peer->search_high - peer->search_low) / 2;
}

static void
replicate_search(struct core *core, struct core_peer *peer, const struct msg_append_ack *ack)
{
	if (ack->status == MSG_APPEND_MATCHED) {
		/* It holds prev and the block after it, and more beyond: go up. */
		const uint64_t held = peer->search_at + (peer->search_at < core->last_index);
		if (held > peer->search_low)
			peer->search_low = held;
		if (peer->search_high <= peer->search_low)
			peer->search_high = core->last_index + 1;
		peer->search_at = peer->search_low + (peer->search_high - peer->search_low) / 2;
	} else {
		replicate_search_conflict(core, peer, ack);
	}
	/* What a peer says may contradict itself: then the search starts anew. */
	if (peer->search_high <= peer->search_low || peer->search_at >= peer->search_high ||
	    peer->search_at < peer->search_low) {
		const bool is_out_of_reach = peer->search_high <= core->base_index;
		peer->search_low = core->base_index;
		peer->search_high = core->last_index + 1;
		peer->search_at = core->base_index + (core->last_index - core->base_index) / 2;
		/* It lacks what this log no longer holds: only the beat asks again, and offers a
		 * checkpoint. */
		if (is_out_of_reach) {
			peer->needs_checkpoint = true;
			peer->search_at = core->base_index;
			return;
		}
	}
	replicate_probe(core, peer);
}

enum tern_err
replicate_ack(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	const struct msg_append_ack *ack = &msg->append_ack;

	if (!core_is_replica(core, peer->id))
		return TERN_OK;
	if (!replicate_note_boot(core, peer, msg->boot_no))
		return TERN_ERR_STALE_TERM;
	if (ack->status == MSG_APPEND_PROGRESS) {
		if (peer->is_matched)
			replicate_progress(core, peer, ack->received_index, ack->durable_index);
		return TERN_OK;
	}
	if (peer->is_matched || peer->search_high == 0 || ack->probe_index != peer->search_at)
		return TERN_OK;
	if (ack->durable_index > ack->received_index || ack->received_index > core->last_index)
		return TERN_OK;
	if (ack->status == MSG_APPEND_MATCHED && ack->received_index == ack->last_index)
		replicate_matched(core, peer, ack);
	else
		replicate_search(core, peer, ack);
	return TERN_OK;
}

/* ---- match[] and commit ---- */

void
replicate_progress(struct core *core, struct core_peer *peer, uint64_t received_index,
		   uint64_t durable_index)
{
	INVARIANT(peer->is_matched);
	if (received_index > core->last_index || durable_index > received_index)
		return;
	if (received_index > peer->received_index)
		peer->received_index = received_index;
	if (durable_index > peer->durable_index) {
		peer->durable_index = durable_index;
		peer->progress_ns = core->now_ns;
	}
	if (peer->durable_index > peer->acked_durable_index)
		peer->acked_durable_index = peer->durable_index;
}

/* Up to which block a copy of @nodes is held: durably, or at least in memory. A forgetful peer
 * counts for nothing. */
static uint64_t
replicate_held(const struct core *core, const struct core_peer *peer, uint64_t nodes,
	       bool is_durable)
{
	if (peer == NULL && (nodes & core_bit(core->config.node_id)) == 0)
		return 0;
	if (peer == NULL)
		return is_durable ? core->durable_index : core->last_index;
	if (core_has_member_bug(core, CORE_MEMBER_BUG_COUNTS) && core_is_replica(core, peer->id))
		return is_durable ? peer->durable_index : peer->received_index;
	if (peer->is_witness || !peer->is_whole || (nodes & core_bit(peer->id)) == 0)
		return 0;
	return is_durable ? peer->durable_index : peer->received_index;
}

/* The highest index that @copies of @nodes hold, or 0. */
static uint64_t
replicate_held_by(const struct core *core, uint32_t copies, uint64_t nodes, bool is_durable)
{
	uint64_t best = 0;

	INVARIANT(copies >= 1);
	for (uint32_t i = 0; i <= core->peer_count; i++) {
		const struct core_peer *peer = i == core->peer_count ? NULL : &core->peers[i];
		const uint64_t candidate = replicate_held(core, peer, nodes, is_durable);
		uint32_t count = replicate_held(core, NULL, nodes, is_durable) >= candidate;

		for (uint32_t j = 0; j < core->peer_count; j++)
			if (replicate_held(core, &core->peers[j], nodes, is_durable) >= candidate)
				count++;
		if (count >= copies && candidate > best)
			best = candidate;
	}
	return best;
}

/* Only blocks whose (term, epoch) is the current one are counted; earlier ones commit with them
 * (P12). */
static bool
replicate_is_countable(const struct core *core, uint64_t index)
{
	struct block_meta meta;

	if (!history_get(core, index, &meta))
		return false;
	return (meta.term == core->term && meta.epoch == core->epoch) ||
	       core_has_bug(core, CORE_BUG_P12_OLD_EPOCH);
}

/* Up to which block one rule is content. In a degraded epoch nothing counts before the witness has
 * acknowledged it (P2). Class memory counts the same set by what it received; one copy in memory is
 * none: where one data node is counted the flush is waited for, and 0 says that. */
static uint64_t
replicate_agreed(const struct core *core, const struct core_rule *rule, bool is_durable)
{
	const bool is_degraded = core_rule_has_witness(rule) && core->phase == CORE_PHASE_DEGRADED;
	const uint64_t nodes = is_degraded ? rule->data & core->rset : rule->data;
	const uint32_t copies = is_degraded ? rule->count / 2 : rule->count / 2 + 1;

	if (is_degraded && !core->is_registered && !core_has_bug(core, CORE_BUG_P2_EARLY_SOLO))
		return 0;
	if (is_durable || copies > 1)
		return replicate_held_by(core, copies, nodes, is_durable);
	return core_has_bug(core, CORE_BUG_SOLO_EARLY_MEMORY) ? core->last_index : 0;
}

/* And all rules. */
static uint64_t
replicate_index(const struct core *core, bool is_durable)
{
	const bool is_new_enough = core_has_member_bug(core, CORE_MEMBER_BUG_ELECTION_ONLY);
	uint64_t index = UINT64_MAX;

	for (uint32_t i = is_new_enough ? core->rule_count - 1 : 0; i < core->rule_count; i++) {
		const uint64_t agreed = replicate_agreed(core, &core->rules[i], is_durable);
		index = agreed < index ? agreed : index;
	}
	return index;
}

void
replicate_commit(struct core *core)
{
	uint64_t index;

	INVARIANT(core->role == CORE_MASTER || core->role == CORE_FOLLOWER);
	if (core->role != CORE_MASTER)
		return;
	index = replicate_index(core, true);
	if (index > core->commit_index && replicate_is_countable(core, index))
		commit_to(core, index);
	index = replicate_index(core, false);
	if (index > core->memory_commit_index && replicate_is_countable(core, index))
		memory_raise(core, index);
}
