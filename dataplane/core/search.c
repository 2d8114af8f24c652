/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/search.h"

#include "dataplane/core/effect.h"

static uint64_t
max_index(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void
search_begin(struct core *core, struct core_peer *peer)
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
	search_probe(core, peer);
}

void
search_probe(struct core *core, struct core_peer *peer)
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
search_forget(struct core *core, struct core_peer *peer)
{
	if (peer->is_matched)
		core_emit(core, CORE_EFFECT_STREAM_STOP)->node = peer->id;
	peer->is_matched = false;
}

static void
search_conflict(struct core *core, struct core_peer *peer, const struct msg_append_ack *ack)
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

void
search_go_on(struct core *core, struct core_peer *peer, const struct msg_append_ack *ack)
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
		search_conflict(core, peer, ack);
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
	search_probe(core, peer);
}
