/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Catching up from a checkpoint (protocol section 12): the master's offer to a node whose log ends
 * before its own begins, or leaves its history there; and what that node asks itself before it
 * gives its log up for it.
 *
 * Let p be the offered position, committed, of chain h. What this node acknowledged and others may
 * count on is a prefix of the committed history. Up to p the checkpoint holds all of it. Beyond p
 * its log may hold some only if that log holds block p with chain h: then it keeps its log, and the
 * ordinary search finds p. If its block p has another chain, whatever lies behind it descends from
 * a block that can never commit: a divergent tail, which is saved and given up as by a cut. Term
 * and vote stay as they are. Nothing at or below commit_index is ever given up for less (I9).
 *
 * From the moment at which the installation begins to be made durable until the node starts anew
 * from it, this node is silent.
 */
#include "dataplane/core/core_internal.h"

/* ---- master ---- */

void
core_note_checkpoint(struct core *core, const struct block_meta *meta)
{
	INVARIANT(meta->log_index <= core->commit_index);
	core->checkpoint = *meta;
}

void
install_offer(struct core *core, const struct core_peer *peer)
{
	const bool is_wanted =
	    peer->needs_checkpoint || core_has_bug(core, CORE_BUG_INSTALL_OVER_TAIL);
	struct msg_checkpoint *offer;

	INVARIANT(core->role == CORE_MASTER && !peer->is_witness);
	if (!is_wanted || core->checkpoint.log_index == 0)
		return;
	offer = &core_send(core, peer, MSG_CHECKPOINT)->checkpoint;
	offer->log_index = core->checkpoint.log_index;
	offer->term = core->checkpoint.term;
	offer->epoch = core->checkpoint.epoch;
	offer->kind = (uint32_t)core->checkpoint.kind;
	offer->chain = core->checkpoint.chain;
	offer->commit_index = core->commit_index;
}

/* The log begins, by now, behind what a peer lacks that was fed from it. */
void
install_check_reach(struct core *core)
{
	for (uint32_t i = 0; i < core->peer_count; i++) {
		struct core_peer *peer = &core->peers[i];

		if (peer->is_witness || !peer->is_matched ||
		    peer->received_index >= core->base_index)
			continue;
		replicate_stop(core, peer);
		replicate_begin(core, peer);
	}
}

/* ---- replica ---- */

static bool
install_is_allowed(const struct core *core, const struct block_meta *meta)
{
	if (core_has_bug(core, CORE_BUG_INSTALL_OVER_TAIL))
		return meta->log_index > core->base_index;
	if (meta->log_index <= core->commit_index)
		return false;
	return meta->log_index > core->last_index ||
	       !history_holds(core, meta->log_index, meta->chain);
}

enum tern_err
install_offered(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	const struct msg_checkpoint *offer = &msg->checkpoint;
	const struct block_meta meta = {
		.log_index = offer->log_index,
		.term = offer->term,
		.epoch = offer->epoch,
		.kind = (enum block_kind)offer->kind,
		.chain = offer->chain,
	};
	struct core_effect *effect;

	if (offer->log_index == 0 || offer->log_index > offer->commit_index ||
	    offer->term > msg->term || offer->kind < BLOCK_COMMANDS || offer->kind > BLOCK_CONFIG)
		return TERN_ERR_MALFORMED;
	if (core->match == CORE_MATCH_CUTTING || !install_is_allowed(core, &meta))
		return TERN_OK;
	/* Within its term a master that offers this has nothing more to send from its log. */
	replica_forget_match(core);
	effect = core_emit(core, CORE_EFFECT_INSTALL);
	effect->node = peer->id;
	effect->term = core->term;
	effect->block = meta;
	return TERN_OK;
}

/* It lies in its slot, whole. Since it was offered, the log may have been matched after all. */
enum tern_err
install_begin(struct core *core, const struct block_meta *meta)
{
	struct core_effect *effect;

	if (core->role != CORE_FOLLOWER || core->is_meta_pending || core->is_storage_failed ||
	    core->is_leaving || core->is_superseded || core->match == CORE_MATCH_CUTTING)
		return TERN_ERR_BUSY;
	if (!install_is_allowed(core, meta) ||
	    (core->match == CORE_MATCH_DONE && !core_has_bug(core, CORE_BUG_INSTALL_OVER_TAIL)))
		return TERN_ERR_MALFORMED;
	replica_forget_match(core);
	if (core->memory_commit_index > core->commit_index) {
		core_alarm(core, CORE_ALARM_MEMORY_COMMITS_LOST, core->config.node_id);
		effect = &core->out->list[core->out->count - 1];
		effect->index = core->commit_index + 1;
		effect->index_to = core->memory_commit_index;
		core->view.memory_commits_lost += core->memory_commit_index - core->commit_index;
	}
	core->is_leaving = true;
	return TERN_OK;
}
