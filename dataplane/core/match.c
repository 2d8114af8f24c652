/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/match.h"

#include "dataplane/core/effect.h"
#include "dataplane/core/members.h"
#include "dataplane/core/peer.h"

/* A cut under way goes on whatever happens; everything else of the match is gone. */
void
match_forget(struct core *core)
{
	if (core->match == CORE_MATCH_DONE) {
		core_emit(core, CORE_EFFECT_ACCEPT_STOP);
		core->match = CORE_MATCH_NONE;
	}
	core->seek.is_untold = false;
}

/* The durable index that this node may promise: of a log that was matched in this term. */
uint64_t
match_durable(const struct core *core)
{
	if (core->match != CORE_MATCH_DONE)
		return 0;
	/* P5 */
	return core_has_bug(core, CORE_BUG_P5_EARLY_ACK) ? core->last_index : core->durable_index;
}

struct msg_append_ack *
match_ack(struct core *core, const struct core_peer *peer, enum msg_append_status status)
{
	struct msg_append_ack *ack = &core_send(core, peer, MSG_APPEND_ACK)->append_ack;

	ack->status = status;
	ack->epoch = core->master_epoch;
	ack->last_index = core->last_index;
	ack->applied_index = core->applied_index;
	ack->durable_index = match_durable(core);
	if (core->match == CORE_MATCH_DONE)
		ack->received_index = core->last_index;
	return ack;
}

/* Progress travels with the data; heartbeats repeat it on every path. */
void
match_send_progress(struct core *core)
{
	const struct core_peer *peer = core_peer(core, core->heard_id);

	INVARIANT(core->match == CORE_MATCH_DONE);
	if (core->master_id == 0 || peer == NULL)
		return;
	match_ack(core, peer, MSG_APPEND_PROGRESS);
	core->out->list[core->out->count - 1].paths = CORE_PATH_DATA;
}

void
match_conflict(struct core *core, const struct core_peer *peer, uint64_t prev_index)
{
	const uint64_t at = prev_index < core->last_index ? prev_index : core->last_index;
	const uint64_t first = history_first_of_term(core, at);
	struct msg_append_ack *ack = match_ack(core, peer, MSG_APPEND_CONFLICT);
	struct block_meta meta;

	ack->probe_index = prev_index;
	ack->conflict_index = first;
	if (history_get(core, first, &meta)) {
		ack->conflict_term = meta.term;
		ack->conflict_chain = meta.chain;
	}
}

/* The whole log is a prefix of the master's: take its blocks from here on. */
void
match_accept(struct core *core, const struct core_peer *peer, uint64_t probe_index)
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
	match_ack(core, peer, MSG_APPEND_MATCHED)->probe_index = probe_index;
}

/* Evidence of divergence: prev is equal and the block after it is not. I9: never at or below
 * commit_index: a master that wants that holds another history, and this node is quarantined until
 * it starts again. Never a block of the current term, which only a broken master could
 * contradict. */
void
match_cut(struct core *core, const struct core_peer *peer, uint64_t prev_index)
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
	match_forget(core);
	memory_cut(core, prev_index);
	core->match = CORE_MATCH_CUTTING;
	core->match_term = core->term;
	core->cut_index = prev_index;
	core_emit(core, CORE_EFFECT_CUT)->index = prev_index;
}

enum tern_err
match_cut_done(struct core *core, uint64_t index)
{
	struct core_peer *peer;

	if (core->match != CORE_MATCH_CUTTING || index != core->cut_index)
		return TERN_ERR_MALFORMED;
	history_cut(core, index);
	members_cut(core, index);
	core->match = CORE_MATCH_NONE;
	core->view.truncations++;
	peer = core_peer(core, core->master_id);
	if (core->role == CORE_FOLLOWER && peer != NULL && !core->is_meta_pending &&
	    core->match_term == core->term)
		match_accept(core, peer, index);
	return TERN_OK;
}
