/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lives in memory only: blocks between commit_index and memory_commit_index, and the log of a
 * node whose log device is volatile (protocol sections 10, 11).
 *
 * Why a forgetful node is no voter, and when it is one again. Such a node may have acknowledged
 * blocks, as part of the quorum that committed them, which it does not hold any more. Were it to
 * vote, or to be elected, by what it holds now, a quorum could be found that does not know of them.
 *
 * It lacks nothing any more once RECOGNIZED of the master M of its own term t has named this very
 * incarnation (peer_boot_no) and a commit_index c whose block is of term t, and this node, matched
 * in t, holds all blocks up to c durably and knows them to be committed. For let j be a block that
 * committed because a former incarnation acknowledged it to the master M' of term t'. Terms are
 * durable here, so t' <= t.
 *
 * If t' < t: the quorum of j and the quorum that elected M share a voter. It acknowledged j before
 * it voted for M, for afterwards it would not have, and it was not forgetful when it voted. So M
 * held j when it was elected (log rule), and j lies below M's first block of term t, hence below c.
 *
 * If t' = t: M' is M. M named this incarnation, so it had dropped all that earlier ones had said
 * when it sent that. Whatever it committed on their word lies at or below c, and from then on it
 * counts this incarnation only.
 *
 * So the node holds every committed block that it ever acknowledged, as a replica does that was
 * merely away, and all rules for those apply to it. With two data nodes the master has gone SOLO
 * before (a forgetful peer is lost to the set), and what makes this node electable again is as ever
 * the NORMAL barrier, which no forgetful node is offered.
 *
 * A message to a former incarnation that is delivered late names another boot_no. A new master
 * means a new c. A forgetful node answers rounds as any other: that it adopted no higher term is
 * durable, and no election counts its vote.
 */
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/members.h"

void
memory_settle(struct core *core)
{
	core->memory_commit_index =
	    core->commit_index > core->applied_index ? core->commit_index : core->applied_index;
}

void
memory_raise(struct core *core, uint64_t index)
{
	INVARIANT(index <= core->last_index);
	if (index > core->memory_commit_index)
		core->memory_commit_index = index;
}

void
memory_cut(struct core *core, uint64_t keep_index)
{
	struct core_effect *effect;

	INVARIANT(core->role != CORE_MASTER);
	INVARIANT(keep_index >= core->commit_index);
	if (core->memory_commit_index > keep_index) {
		core_alarm(core, CORE_ALARM_MEMORY_COMMITS_LOST, core->config.node_id);
		effect = &core->out->list[core->out->count - 1];
		effect->index = keep_index + 1;
		effect->index_to = core->memory_commit_index;
		core->view.memory_commits_lost += core->memory_commit_index - keep_index;
	}
	if (core->applied_index > keep_index) {
		core->view.rollbacks++;
		if (!core_has_bug(core, CORE_BUG_NO_ROLLBACK))
			core_emit(core, CORE_EFFECT_ROLLBACK)->index = keep_index;
		core->applied_index = keep_index;
	}
	memory_settle(core);
}

/* ---- volatile logs ---- */

void
memory_recognized(struct core *core, const struct msg_recognized *msg)
{
	if (!core->is_forgetful || core->whole_term == core->term ||
	    msg->peer_boot_no != core->config.boot_no)
		return;
	core->whole_term = core->term;
	core->whole_index = msg->commit_index;
}

void
memory_recognize_peers(struct core *core)
{
	INVARIANT(core->role == CORE_MASTER);
	for (uint32_t i = 0; i < core->peer_count; i++) {
		const struct core_peer *peer = &core->peers[i];
		struct msg *msg;

		if (!core_is_replica(core, peer->id) || peer->is_whole ||
		    (peer->health & MSG_HEALTH_FORGETFUL) == 0)
			continue;
		msg = core_send(core, peer, MSG_RECOGNIZED);
		msg->recognized.peer_boot_no = peer->boot_no;
		msg->recognized.commit_index = core->commit_index;
	}
}

void
memory_poll(struct core *core)
{
	struct block_meta meta;

	if (!core->is_forgetful || core->whole_term != core->term || core->match != CORE_MATCH_DONE)
		return;
	INVARIANT(core->role != CORE_MASTER);
	if (core->durable_index < core->whole_index || core->commit_index < core->whole_index)
		return;
	/* Below the master's first block of this term its commit_index may lag behind. */
	if (history_get(core, core->whole_index, &meta) && meta.term == core->term)
		core->is_forgetful = false;
	else
		core->whole_term = 0;
}

void
memory_note_peer(struct core_peer *peer, uint32_t health)
{
	peer->health = health;
	/* Within one incarnation a node never forgets: a late message is not believed. */
	if ((health & MSG_HEALTH_FORGETFUL) == 0)
		peer->is_whole = true;
}

/* Among an odd number of copies a quorum of votes elects, whatever the others hold. A voter that
 * restarted may have lost received blocks that completed a memory commit, and together with one
 * that never had them it would be such a quorum. So until it has followed a master again it leaves
 * the election, for two T_elect_max beyond its quiet period, to those that did not restart; unless
 * all others agree. With a witness, the order of asking does the same (section 5). */
bool
memory_is_unsure(const struct core *core)
{
	bool is_odd = false;

	for (uint32_t i = 0; i < core->rule_count; i++)
		is_odd = is_odd || (core->rules[i].count % 2 != 0 && core->rules[i].count > 1);
	return is_odd && !core->config.is_first_boot && !core->has_followed &&
	       core->now_ns < core->quiet_until_ns + 2 * core->elect_max_ns;
}
