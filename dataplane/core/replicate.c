/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The master's side of the log: what replicas acknowledged, and what that commits (protocol
 * sections 5, 7).
 */
#include "dataplane/core/commit.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/members.h"
#include "dataplane/core/search.h"

/* ---- acknowledgements ---- */

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
		search_forget(core, peer);
		search_begin(core, peer);
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
		search_go_on(core, peer, ack);
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
