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
#include "dataplane/core/effect.h"
#include "dataplane/core/match.h"
#include "dataplane/core/search.h"

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
	offer->base_index = core->base_index;
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
		search_forget(core, peer);
		search_begin(core, peer);
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

static bool
install_is_sound(const struct block_meta *meta, uint64_t term, uint64_t commit_index)
{
	return meta->log_index != 0 && meta->log_index <= commit_index && meta->term <= term &&
	       meta->kind >= BLOCK_COMMANDS && meta->kind <= BLOCK_CONFIG;
}

static void
install_tell(struct core *core, const struct core_peer *peer, const struct block_meta *meta)
{
	struct core_effect *effect = core_emit(core, CORE_EFFECT_INSTALL);

	effect->node = peer->id;
	effect->term = core->term;
	effect->block = *meta;
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

	if (!install_is_sound(&meta, msg->term, offer->commit_index))
		return TERN_ERR_MALFORMED;
	if (core->match == CORE_MATCH_CUTTING || !install_is_allowed(core, &meta))
		return TERN_OK;
	/* What was matched in its term may have grown meanwhile with what another node gave: if the
	 * master's log reaches back to that, it goes on from there and has not heard of it yet. */
	if (core->match == CORE_MATCH_DONE && core->last_index >= offer->base_index)
		return TERN_OK;
	/* Otherwise it has nothing more to send from its log. */
	match_forget(core);
	install_tell(core, peer, &meta);
	return TERN_OK;
}

/* A master that was matched in this term may be heard again, and goes on from there: the match
 * stays until the installation begins. */
enum tern_err
install_sought(struct core *core, const struct core_peer *peer, const struct msg *msg)
{
	const struct msg_sought *sought = &msg->sought;
	const struct block_meta meta = {
		.log_index = sought->checkpoint_index,
		.term = sought->checkpoint_term,
		.epoch = sought->checkpoint_epoch,
		.kind = (enum block_kind)sought->checkpoint_kind,
		.chain = sought->checkpoint_chain,
	};

	INVARIANT(core->match != CORE_MATCH_CUTTING);
	if (meta.log_index == 0)
		return TERN_OK;
	if (!install_is_sound(&meta, msg->term, sought->commit_index))
		return TERN_ERR_MALFORMED;
	if (!install_is_allowed(core, &meta))
		return TERN_OK;
	seek_installing(core);
	install_tell(core, peer, &meta);
	return TERN_OK;
}

/* It lies in its slot, whole. Since it was offered, the log may have been matched after all. */
enum tern_err
install_begin(struct core *core, const struct block_meta *meta)
{
	struct core_effect *effect;

	/* Who merely asks for pre-votes has promised nothing, and may ask for ever. */
	const bool is_voting = core->role == CORE_CANDIDATE && core->is_voting;

	if (core->role == CORE_MASTER || is_voting || core->is_meta_pending ||
	    core->is_storage_failed || core->is_leaving || core->is_superseded ||
	    core->match == CORE_MATCH_CUTTING)
		return TERN_ERR_BUSY;
	if (!install_is_allowed(core, meta) ||
	    (core->match == CORE_MATCH_DONE && !seek_is_due(core) &&
	     !core_has_bug(core, CORE_BUG_INSTALL_OVER_TAIL)))
		return TERN_ERR_MALFORMED;
	match_forget(core);
	if (core->memory_commit_index > core->commit_index) {
		core_alarm(core, CORE_ALARM_MEMORY_COMMITS_LOST, core->config.node_id);
		effect = &core->out->list[core->out->count - 1];
		effect->index = core->commit_index + 1;
		effect->index_to = core->memory_commit_index;
		core->view.memory_commits_lost += core->memory_commit_index - core->commit_index;
	}
	core->role = CORE_FOLLOWER;
	core->is_leaving = true;
	return TERN_OK;
}
