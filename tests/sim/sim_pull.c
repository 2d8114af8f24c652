/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committed blocks from any node (protocol section 12). When all is healed, one link alone is cut
 * and stays so: that between the master and one of two other members. Service goes on, and the node
 * that hears no master has to come to what was committed a while after the cut, within a bound, by
 * the third one: with blocks of its log, or where that begins behind them, its checkpoint.
 */
#include "tests/sim/sim.h"

static void
cut(struct sim *sim, int delta)
{
	const uint32_t node = sim->pull.node - 1, master = sim->pull.master - 1;

	for (uint32_t path = 0; path < SIM_PATHS; path++) {
		sim_net_cut(sim, path, node, master, delta);
		sim_net_cut(sim, path, master, node, delta);
	}
}

/* Volatile logs take no checkpoint; and who forgot waits for a master. */
static bool
is_possible(struct sim *sim)
{
	const struct sim_node *master = sim_master(sim);

	if (sim->data_count != 3 || sim->swarm.volatile_mask != 0 || master == NULL ||
	    (sim->options.topology != SIM_TOPOLOGY_3 &&
	     sim->options.topology != SIM_TOPOLOGY_2W_GUEST) ||
	    sim_limits_without(&sim->options.limits, SIM_FAULT_CUT_PAIR))
		return false;
	for (uint32_t i = 0; i < sim->data_count; i++)
		if (!sim_is_member(sim, &sim->nodes[i]) || sim->nodes[i].life != SIM_NODE_UP ||
		    sim->nodes[i].view.is_forgetful)
			return false;
	return true;
}

bool
sim_pull_takes(struct sim *sim)
{
	struct prng prng;

	prng_seed(&prng, sim->seed ^ UINT64_C(0x70756c6c00000000));
	if (prng_below(&prng, 2) == 0 || !is_possible(sim))
		return false;
	const uint32_t master = sim_master(sim)->index;
	const uint32_t node = (master + 1 + (uint32_t)prng_below(&prng, 2)) % sim->data_count;
	sim->pull = (struct sim_pull){
		.node = node + 1,
		.master = master + 1,
		.since_ns = sim->now_ns,
	};
	sim_say(sim, "node %u is cut off the master, node %u", node + 1, master + 1);
	cut(sim, 1);
	return true;
}

bool
sim_pull_is_done(struct sim *sim)
{
	struct sim_pull *pull = &sim->pull;
	const uint64_t bound_ns = 40 * sim->swarm.timer_ns + 400 * SIM_MS; /* before all others */

	if (pull->node == 0)
		return true;
	const struct sim_node *node = &sim->nodes[pull->node - 1];
	if (pull->index == 0) {
		if (sim->now_ns < pull->since_ns + 2 * sim->swarm.timer_ns)
			return false;
		pull->index = sim_check_commit_max(sim);
		pull->index_ns = sim->now_ns;
	}
	if (node->life == SIM_NODE_UP && node->view.applied_index >= pull->index) {
		sim_count(sim, SIM_COUNT_pulled_up);
		return true;
	}
	if (sim->now_ns >= pull->index_ns + bound_ns)
		sim_fail(sim, "pull",
			 "node %u, cut off the master, has applied %llu; committed was %llu",
			 pull->node, (unsigned long long)node->view.applied_index,
			 (unsigned long long)pull->index);
	return false;
}

void
sim_pull_heal(struct sim *sim)
{
	if (sim->pull.node == 0)
		return;
	cut(sim, -1);
	sim->pull.node = 0;
}
