/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/sought.h"

#include "dataplane/core/commit.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/match.h"
#include "dataplane/core/members.h"

static void
sought_tell(const struct core *core, const struct msg_seek *ask, struct msg_sought *sought)
{
	const uint64_t most = core_has_member_bug(core, CORE_MEMBER_BUG_SEEK_AHEAD)
				  ? core->last_index
				  : core->commit_index;

	sought->commit_index = most;
	if (ask->low_index < core->base_index && core->checkpoint.log_index != 0) {
		sought->checkpoint_index = core->checkpoint.log_index;
		sought->checkpoint_term = core->checkpoint.term;
		sought->checkpoint_epoch = core->checkpoint.epoch;
		sought->checkpoint_kind = (uint32_t)core->checkpoint.kind;
		sought->checkpoint_chain = core->checkpoint.chain;
	}
	if (ask->low_index < core->base_index || ask->low_index > most ||
	    !hash128_equal(history_chain(core, ask->low_index), ask->low_chain))
		return;
	uint64_t index = ask->index < most ? ask->index : most;
	if (index < ask->low_index)
		index = ask->low_index;
	sought->is_known = true;
	sought->index = index;
	sought->chain = history_chain(core, index);
	while (index < most && sought->next_count < MSG_NEXT_MAX)
		sought->next[sought->next_count++] = history_chain(core, ++index);
}

/* Of a node that is no member here it is not known whether it is one elsewhere. And a master
 * contradicts what this one takes for committed: it tells nobody of it. */
enum tern_err
sought_asked(struct core *core, const struct core_peer *peer, const struct msg *msg)
{
	if (peer->is_witness)
		return TERN_ERR_MALFORMED;
	if (!core_is_replica(core, peer->id) || core->is_quarantined)
		return TERN_OK;
	sought_tell(core, &msg->seek, &core_send(core, peer, MSG_SOUGHT)->sought);
	return TERN_OK;
}

static void
sought_pull(struct core *core, const struct core_peer *peer, uint64_t index,
	    const struct hash128 *chains, uint32_t count)
{
	struct core_seek *seek = &core->seek;
	struct core_effect *effect = core_emit(core, CORE_EFFECT_PULL);

	INVARIANT(count >= 1 && count <= MSG_NEXT_MAX && index == core->last_index + 1);
	seek->pull_index = effect->index = index;
	seek->pull_count = effect->msg.sought.next_count = count;
	seek->pull_node = effect->node = peer->id;
	for (uint32_t i = 0; i < count; i++)
		seek->pull[i] = effect->msg.sought.next[i] = chains[i];
}

/* Where the own log has another block than the committed one. With a log that was matched in this
 * term that cannot be, whoever says so. */
static void
sought_cut(struct core *core, const struct core_peer *peer, uint64_t keep_index)
{
	if (core->match != CORE_MATCH_NONE || keep_index < core->commit_index)
		return;
	core->seek.high = 0;
	match_cut(core, peer, keep_index);
	/* It says nothing of a master. */
	core->match_term = 0;
}

/* Up to sought->index the own log is committed. */
static void
sought_go_on(struct core *core, struct core_peer *peer, const struct msg_sought *sought)
{
	for (uint32_t i = 0; i < sought->next_count; i++) {
		const uint64_t index = sought->index + 1 + i;
		if (index > core->last_index) {
			sought_pull(core, peer, index, &sought->next[i], sought->next_count - i);
			return;
		}
		if (!history_holds(core, index, sought->next[i])) {
			sought_cut(core, peer, index - 1);
			return;
		}
		commit_to(core, index);
	}
	/* There is more of it, maybe. */
	if (sought->next_count != 0)
		seek_ask(core, peer);
}

enum tern_err
sought_answered(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	const struct msg_sought *sought = &msg->sought;

	if (peer->is_witness || sought->index > sought->commit_index ||
	    sought->next_count > sought->commit_index - sought->index)
		return TERN_ERR_MALFORMED;
	if (!seek_is_due(core))
		return TERN_OK;
	if (!sought->is_known)
		return install_sought(core, peer, msg);
	if (sought->index < core->commit_index || sought->index > core->last_index)
		return TERN_OK; /* of a log that is not the one that was asked about */
	if (!history_holds(core, sought->index, sought->chain) &&
	    !core_has_member_bug(core, CORE_MEMBER_BUG_SEEK_ANY_CHAIN)) {
		if (sought->index == core->commit_index)
			return TERN_OK;
		core->seek.high = sought->index;
		seek_ask(core, peer);
		return TERN_OK;
	}
	commit_to(core, sought->index);
	sought_go_on(core, peer, sought);
	return TERN_OK;
}
