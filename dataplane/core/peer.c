/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/peer.h"

#define PATIENCE_MAX 4u /* times T_solo */

struct core_peer *
core_peer(struct core *core, uint16_t node_id)
{
	for (uint32_t i = 0; i < core->peer_count; i++)
		if (core->peers[i].id == node_id)
			return &core->peers[i];
	return NULL;
}

/* No answer, on any path, to a round sent more than @span_ns ago. */
bool
peer_is_silent(const struct core *core, const struct core_peer *peer, uint64_t span_ns)
{
	return peer->probe_round != 0 && core->now_ns - peer->probe_ns > span_ns;
}

/* How long this peer may be silent before it counts as lost: T_solo, or four times the longest wait
 * of late, at most PATIENCE_MAX times T_solo. On a shared host answers come in bursts; giving up on
 * a replica that is merely slow costs the second copy. */
uint64_t
peer_patience_ns(const struct core *core, const struct core_peer *peer)
{
	const uint64_t wanted_ns = 4 * peer->worst_answer_ns;
	const uint64_t most_ns = PATIENCE_MAX * core->solo_ns;

	if (wanted_ns <= core->solo_ns)
		return core->solo_ns;
	return wanted_ns < most_ns ? wanted_ns : most_ns;
}

bool
peer_has_lost_contact(const struct core *core, const struct core_peer *peer)
{
	return peer_is_silent(core, peer, peer_patience_ns(core, peer));
}

/* Blocks are outstanding and the acknowledged index has not moved for this node's T_late. */
bool
peer_is_late(const struct core *core, const struct core_peer *peer)
{
	INVARIANT(!peer->is_witness);
	return peer->durable_index < core->last_index &&
	       core->now_ns - peer->progress_ns > core_late_ns(&core->config.timers, peer->id);
}

bool
peer_is_lost(const struct core *core, const struct core_peer *peer)
{
	/* A peer that lost its log is lost to the set until it holds it again. */
	return peer_has_lost_contact(core, peer) || peer_is_late(core, peer) ||
	       peer->has_forgotten || (peer->health & MSG_HEALTH_FORGETFUL && !peer->is_whole);
}
