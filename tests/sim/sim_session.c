/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads that ask nobody: of any node, whatever its role. A node whose committed state is at or
 * after a position shows all that was known there (a session's token); and a position that is held
 * shows the same for as long as it is, to the last key and session.
 */
#include <stdio.h>

#include "tests/sim/sim_client.h"

#define SNAPSHOT_EVERY 64u

static void
check_token(struct sim *sim, struct sim_node *node, uint32_t key, const struct floor *floor)
{
	char text[24];
	const uint32_t bytes = (uint32_t)snprintf(text, sizeof(text), "r%u", key);
	const uint64_t view = state_read_begin(node->reader);
	const struct state_position at = state_read_get(node->reader, text, bytes).version;

	state_read_end(node->reader);
	if (view < floor->at.log_index)
		return; /* it would have to wait */
	sim_count(sim, SIM_COUNT_session_reads);
	if (at.log_index < floor->at.log_index ||
	    (at.log_index == floor->at.log_index && at.slot < floor->at.slot))
		sim_fail(sim, "session",
			 "node %u at block %llu shows r%u of (%llu,%u), and (%llu,%u) was known",
			 node->id, (unsigned long long)view, key, (unsigned long long)at.log_index,
			 at.slot, (unsigned long long)floor->at.log_index, floor->at.slot);
}

static void
check_snapshot(struct sim *sim, struct sim_node *node)
{
	uint64_t index = 0;

	if (!node->has_hold) {
		node->has_hold = state_hold_begin(node->state, 0, &node->hold) == TERN_OK;
		return;
	}
	if (state_read_begin_held(node->reader, &node->hold)) {
		const uint64_t hash = state_read_hash(node->reader, &index);
		const uint64_t scanned = state_hash_scan(node->reader);
		const bool is_ended = state_read_is_ended(node->reader);
		state_read_end(node->reader);
		sim_count(sim, SIM_COUNT_snapshots);
		if (scanned != hash && !is_ended)
			sim_fail(sim, "session", "node %u: a snapshot of block %llu has changed",
				 node->id, (unsigned long long)index);
	}
	state_hold_end(node->state, &node->hold);
	node->has_hold = false;
}

void
sim_session_look(struct sim *sim, uint32_t key, const struct floor *floor)
{
	const uint64_t number = sim->client->looks++;
	struct sim_node *node = &sim->nodes[number % sim->data_count];

	if (node->life != SIM_NODE_UP)
		return;
	check_token(sim, node, key, floor);
	if (number / sim->data_count % SNAPSHOT_EVERY == 0)
		check_snapshot(sim, node);
}
