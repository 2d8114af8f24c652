/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committed blocks from any node that has them (protocol section 12). A node that has not heard a
 * master for as long as it is patient with one asks the other data nodes in turn: "up to low_index
 * I know what is committed; what is committed at index?" Whoever knows low_index as well answers
 * with the chain there and those of the next blocks, of what it knows to be committed and of
 * nothing else; or, if its log begins behind low_index, names its newest checkpoint.
 *
 * What is asked for is the end of the own log, and while that is of another history bisects down to
 * where the two part. Equal chain: the own log up to there is committed. Equal up to one block and
 * another one behind it: what this node has from there on can never commit, and is cut, which is
 * the evidence that a master's probe gives (section 7). Behind the end of the own log: the runtime
 * gets the blocks by index and chain, and each is appended, and committed, when it is here.
 *
 * Why that is safe. What is committed is in the log of every master to come, and in that of a
 * master of this term; so the log stays what it might have become by following one, and a match
 * found in this term stays true. Nothing is acknowledged to anybody by it: a block counts as a copy
 * when the log was matched in the term of the master that counts, as ever. A vote is judged by the
 * log's end, which only comes nearer to that of a master; and a block of a degraded epoch gives no
 * claim to the witness's vote to a node outside of rset, whoever it came from (section 5). A higher
 * term is taken from an answer as from any message; a question changes nothing where it is asked,
 * or a node that was cut off could unseat a master that it does not hear. Terms along the log stay
 * at or below this node's own: whoever knows a block to be committed has its term.
 *
 * Here: when to ask, the question, and the blocks that came of it. What is made of a question, and
 * of its answer, is in sought.c.
 */
#include "dataplane/core/seek.h"

#include "dataplane/core/commit.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/core_pull.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/hear.h"
#include "dataplane/core/match.h"
#include "dataplane/core/members.h"
#include "dataplane/core/peer.h"

#define SEEK_BEATS 2u /* heartbeats between two questions that lead to nothing */

/* A forgetful node may yet find what it had, on its own device or with others that have it block by
 * block, and has its vote then. It gives that up for a master only. */
static bool
may_seek(const struct core *core)
{
	return (core->role == CORE_FOLLOWER ||
		(core->role == CORE_CANDIDATE && !core->is_voting)) &&
	       !core->is_meta_pending && !core->is_storage_failed && !core->is_leaving &&
	       !core->is_quarantined && !core->is_forgetful && !core->config.is_rejoining &&
	       core->match != CORE_MATCH_CUTTING;
}

bool
seek_is_due(const struct core *core)
{
	const uint64_t since_ns =
	    core->heard_ns > core->started_ns ? core->heard_ns : core->started_ns;

	return may_seek(core) && core->now_ns - since_ns >= hear_patience_ns(core);
}

uint64_t
seek_deadline_ns(const struct core *core)
{
	return seek_is_due(core) ? core->seek.ask_ns : UINT64_MAX;
}

/* ---- asking ---- */

void
seek_ask(struct core *core, const struct core_peer *peer)
{
	struct core_seek *seek = &core->seek;
	const uint64_t low = core->commit_index;
	struct msg_seek *ask = &core_send(core, peer, MSG_SEEK)->seek;

	if (seek->high <= low || seek->high > core->last_index)
		seek->high = 0;
	ask->low_index = low;
	ask->low_chain = history_chain(core, low);
	ask->index = seek->high == 0 ? core->last_index : low + (seek->high - low) / 2;
	seek->ask_ns = core->now_ns + SEEK_BEATS * core->config.timers.heartbeat_ns;
}

void
seek_poll(struct core *core)
{
	struct core_seek *seek = &core->seek;

	if (!seek_is_due(core)) {
		seek->high = 0;
		return;
	}
	if (core->now_ns < seek->ask_ns)
		return;
	seek->ask_ns = core->now_ns + SEEK_BEATS * core->config.timers.heartbeat_ns;
	if (core_has_member_bug(core, CORE_MEMBER_BUG_SEEK_NOTHING))
		return;
	for (uint32_t i = 0; i < core->peer_count; i++) {
		seek->peer = (seek->peer + 1) % core->peer_count;
		if (core->peers[seek->peer].is_witness)
			continue;
		seek_ask(core, &core->peers[seek->peer]);
		return;
	}
}

/* ---- blocks ---- */

bool
seek_takes(const struct core *core, uint64_t log_index, struct hash128 chain)
{
	const struct core_seek *seek = &core->seek;

	return may_seek(core) && log_index == core->last_index + 1 &&
	       log_index >= seek->pull_index && log_index - seek->pull_index < seek->pull_count &&
	       hash128_equal(seek->pull[log_index - seek->pull_index], chain);
}

/* A master that is heard sends the next one itself. */
bool
core_takes_pulled(const struct core *core, uint64_t log_index, struct hash128 chain)
{
	return seek_is_due(core) && seek_takes(core, log_index, chain);
}

/* Blocks of a master that was matched come behind the last one. */
static void
seek_accept_again(struct core *core)
{
	struct core_effect *effect;

	if (core->match != CORE_MATCH_DONE)
		return;
	core->seek.is_untold = true;
	effect = core_emit(core, CORE_EFFECT_ACCEPT);
	effect->node = core->heard_id;
	effect->index = core->last_index + 1;
	effect->term = core->term;
}

void
seek_installing(struct core *core)
{
	core->seek.is_untold = core->match == CORE_MATCH_DONE;
}

/* Its stream goes by what was acknowledged, and while it was away nothing was. What is being
 * fetched in place of the log is not needed any more. */
void
seek_end(struct core *core)
{
	if (!core->seek.is_untold)
		return;
	INVARIANT(core->match == CORE_MATCH_DONE);
	seek_accept_again(core);
	core->seek.is_untold = false;
	match_send_progress(core);
}

void
seek_pulled(struct core *core)
{
	struct core_seek *seek = &core->seek;

	commit_to(core, core->last_index);
	seek_accept_again(core);
	if (core->last_index + 1 < seek->pull_index + seek->pull_count || !seek_is_due(core))
		return;
	const struct core_peer *peer = core_peer(core, seek->pull_node);
	INVARIANT(peer != NULL);
	seek_ask(core, peer);
}
