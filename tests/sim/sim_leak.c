/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_leak.h"

#include "dataplane/state/checkpoint.h"
#include "tests/sim/sim.h"

/* Of what an entry takes besides what counts as its size: its links, and what rounding adds. */
#define ENTRY_BYTES 192u
#define SPARE_BYTES (64u * 1024u)

static void
check_frames(struct sim_node *node)
{
	uint32_t received = 0, begun = 0;

	for (uint32_t path = 0; path < SIM_PATHS; path++) {
		received += sim_net_lent(&node->ports[path], false);
		begun += sim_net_lent(&node->ports[path], true);
	}
	/* One to each peer may be kept for what comes next, on the data path. */
	if (received != 0 || begun >= node->sim->node_count)
		sim_fail(node->sim, "leak",
			 "node %u keeps %u frames that it received and %u that it began", node->id,
			 received, begun);
}

/* Every entry has one version when nobody looks at older ones, and another one if it shares that
 * one's bytes (whose expiry was changed). */
static void
check_state(struct sim_node *node)
{
	const struct state_stats stats = state_stats(node->state);
	const uint64_t entries = stats.keys + stats.sessions;

	if (node->has_hold || state_checkpoint_is_begun(node->state))
		return;
	sim_count(node->sim, SIM_COUNT_leaks_sought);
	if (stats.versions_live < entries || stats.versions_live > entries + entries / 16 + 16)
		sim_fail(node->sim, "leak", "node %u has %llu versions of %llu entries", node->id,
			 (unsigned long long)stats.versions_live, (unsigned long long)entries);
	const uint64_t bound =
	    stats.logical_bytes + stats.logical_bytes / 4 + ENTRY_BYTES * entries + SPARE_BYTES;
	if (stats.arena_used_bytes > bound)
		sim_fail(node->sim, "leak",
			 "node %u has %llu bytes of memory for %llu of %llu entries", node->id,
			 (unsigned long long)stats.arena_used_bytes,
			 (unsigned long long)stats.logical_bytes, (unsigned long long)entries);
}

bool
sim_leak_is_settled(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->data_count; i++)
		if (sim->nodes[i].life == SIM_NODE_UP &&
		    state_checkpoint_is_begun(sim->nodes[i].state))
			return false;
	return true;
}

void
sim_leak_check(struct sim_node *node)
{
	check_frames(node);
	check_state(node);
}
