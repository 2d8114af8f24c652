/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All is whole, and no client writes. After a while the superblock has to cover what no later write
 * group does: then the newest block of one node rots, and the node starts. Alone it has to refuse;
 * otherwise it has no vote until the others have given it the block again (P5, liveness). Which
 * node that is comes from a generator of its own.
 */
#include "tests/sim/sim_idle.h"

#include "dataplane/base/bits.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_hazard.h"

#define IDLE_TIMEOUTS 8u  /* times T_elect_max; the product takes half of that */
#define GIVE_UP       60u /* timers: somebody writes on and on */
#define IDLE_SALT     0x1d1e0f100ca11ab5ULL

static uint64_t
written(const struct sim *sim, uint64_t *elect_max_ns)
{
	uint64_t sum = 0;

	*elect_max_ns = 0;
	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		sum += node->durable.log_index + ((uint64_t)node->incarnation << 32);
		*elect_max_ns = max_u64(*elect_max_ns, node->view.elect_max_ns);
	}
	return sum;
}

/* The others have all that was ever acknowledged, and can give it. */
static bool
is_possible(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		if (node->life != SIM_NODE_UP || node->is_log_volatile || node->has_lost_storage ||
		    node->view.is_forgetful || node->disk.rot.is_on || sim_wrong_is_on(node))
			return false;
	}
	return sim_disk_drives(&sim->nodes[0].disk) == 1 && !sim->options.is_lying_disk &&
	       !sim->options.is_beyond && sim->options.point_of == 0;
}

static void
strike(struct sim *sim)
{
	struct prng prng;

	prng_seed(&prng, sim->seed ^ IDLE_SALT);
	const uint32_t first = (uint32_t)prng_below(&prng, sim->data_count);
	for (uint32_t i = 0; i < sim->data_count; i++) {
		struct sim_node *node = &sim->nodes[(first + i) % sim->data_count];
		if ((sim_voters(sim) >> node->id & 1) == 0)
			continue;
		sim_node_crash(node);
		if (sim_hazard_rot_newest(sim, node)) {
			sim->idle.victim = 1 + node->index;
			sim_count(sim, SIM_COUNT_rot_idle);
		}
		sim_node_start(node);
		return;
	}
}

/* A node alone has nobody to get it from. */
static bool
is_over(struct sim *sim)
{
	const struct sim_node *node = &sim->nodes[sim->idle.victim - 1];

	if (sim->data_count == 1)
		return node->life != SIM_NODE_BOOTING;
	return node->life == SIM_NODE_UP && !node->view.is_forgetful;
}

bool
sim_idle_act(struct sim *sim)
{
	struct sim_idle *idle = &sim->idle;
	uint64_t elect_max_ns;

	if (idle->victim != 0)
		return is_over(sim);
	const uint64_t now = written(sim, &elect_max_ns);
	if (idle->since_ns == 0 || idle->written != now)
		idle->since_ns = sim->now_ns;
	idle->written = now;
	if (!is_possible(sim) || sim->now_ns > sim->phase_since_ns + GIVE_UP * sim->swarm.timer_ns)
		return true;
	if (sim->now_ns < idle->since_ns + IDLE_TIMEOUTS * elect_max_ns)
		return false;
	sim_phase_begins(sim);
	strike(sim);
	return idle->victim == 0;
}
