/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hand-over: the master stops serving, lets the target catch up and asks it to campaign at once
 * (TRANSFER_NOW, in NORMAL mode only). When nothing comes of it the master serves again. An
 * operator asks for it, or a stop, or the master's own data port that is dead, or a joint change in
 * which the master is none of the pair and one of the pair is lost. What the target does then is in
 * election.c.
 */
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/members.h"
#include "dataplane/core/peer.h"

/* While a change is joint, a master may be none of the pair: it cannot go degraded. */
static bool
transfer_is_outsider(const struct core *core)
{
	const struct core_rule *pair = members_pair(core);

	return pair != NULL && (pair->data & core_bit(core->config.node_id)) == 0;
}

/* While a change is joint the place is given to no other for an operator's sake. A master that is
 * none of the pair gives it to one that is, and need not have committed anything before. */
static bool
transfer_is_due(const struct core *core, const struct core_peer *peer)
{
	if (transfer_is_outsider(core))
		return (members_pair(core)->data & core_bit(peer->id)) != 0;
	return !core_is_joint(core) && core->has_committed;
}

static bool
transfer_is_possible(const struct core *core, const struct core_peer *peer)
{
	return core->phase == CORE_PHASE_NORMAL && !core->is_barrier_pending &&
	       transfer_is_due(core, peer) && core_is_voter(core, peer->id) && peer->is_matched &&
	       peer->is_whole && !peer_is_silent(core, peer, peer_patience_ns(core, peer)) &&
	       (peer->health & (MSG_HEALTH_DISK_STALLED | MSG_HEALTH_APPLY_STALLED)) == 0;
}

static void
transfer_set(struct core *core, uint16_t node_id)
{
	core->transfer_id = node_id;
	core->transfer_end_ns = core->now_ns + 2 * core->elect_max_ns;
}

enum tern_err
transfer_begin(struct core *core, uint16_t node_id)
{
	const struct core_peer *peer = core_peer(core, node_id);

	if (core->role != CORE_MASTER)
		return TERN_ERR_NOT_MASTER;
	if (peer == NULL || core->transfer_id != 0 || !transfer_is_possible(core, peer))
		return TERN_ERR_BUSY;
	transfer_set(core, node_id);
	return TERN_OK;
}

/* P7: a node that stops hands over if it can, and otherwise changes nothing. */
void
transfer_stop_node(struct core *core)
{
	core->is_stopping = true;
	if (core->role == CORE_CANDIDATE && !core->is_meta_pending) {
		core->role = CORE_FOLLOWER;
		core->master_id = 0;
	}
	if (core->role != CORE_MASTER || core->transfer_id != 0)
		return;
	for (uint32_t i = 0; i < core->peer_count; i++) {
		if (transfer_is_possible(core, &core->peers[i])) {
			transfer_set(core, core->peers[i].id);
			return;
		}
	}
}

void
transfer_data_port(struct core *core, bool is_up)
{
	if (!is_up && !core->is_data_port_down) {
		core->port_down_ns = core->now_ns;
		core->port_round = core->round + 1;
	}
	core->is_data_port_down = !is_up;
}

/* Our data port has been down for a while and a replica that holds our whole log has said since, on
 * the other path, that its own is up: it does better as master. A dead cable or a dead peer takes
 * both ports down, or leaves no answer: then the rules for a silent or late replica hold. Tried
 * once for each time that the port goes down. */
static void
transfer_check_port(struct core *core)
{
	if (!core->is_data_port_down || core->port_round == 0 || core->transfer_id != 0 ||
	    core->is_stopping || core->now_ns - core->port_down_ns < core->solo_ns)
		return;
	for (uint32_t i = 0; i < core->peer_count; i++) {
		const struct core_peer *peer = &core->peers[i];

		if (peer->answered_round < core->port_round ||
		    (peer->health & MSG_HEALTH_DATA_PORT_DOWN) != 0 ||
		    peer->durable_index != core->last_index || !transfer_is_possible(core, peer))
			continue;
		core->port_round = 0;
		transfer_set(core, peer->id);
		return;
	}
}

/* A master that is none of the pair, and one of the pair is lost: nothing commits until it is back,
 * for only the other one can go degraded. */
static void
transfer_check_pair(struct core *core)
{
	const struct core_peer *heir = NULL;
	bool has_lost = false;

	if (!transfer_is_outsider(core) || core->transfer_id != 0 || core->is_stopping)
		return;
	for (uint32_t i = 0; i < core->peer_count; i++) {
		const struct core_peer *peer = &core->peers[i];

		if ((members_pair(core)->data & core_bit(peer->id)) == 0)
			continue;
		if (peer_is_lost(core, peer))
			has_lost = true;
		else if (transfer_is_possible(core, peer))
			heir = peer;
	}
	if (has_lost && heir != NULL)
		transfer_set(core, heir->id);
}

void
transfer_poll(struct core *core, bool is_heartbeat_due)
{
	const struct core_peer *peer;

	transfer_check_port(core);
	transfer_check_pair(core);
	if (core->transfer_id == 0)
		return;
	peer = core_peer(core, core->transfer_id);
	INVARIANT(peer != NULL);
	if (core->now_ns >= core->transfer_end_ns || !transfer_is_possible(core, peer)) {
		core->transfer_id = 0;
		return;
	}
	if (is_heartbeat_due && peer->durable_index == core->last_index) {
		core->lease.has_offered = true;
		core_send(core, peer, MSG_TRANSFER_NOW)->transfer.last_index = core->last_index;
	}
}
