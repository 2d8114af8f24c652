/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tail was cut, and what has superseded it is shorter: then a page of a block that only the tail
 * had rots, and the node starts. Nothing that counts is lost, so it has its vote (`damaged`); and
 * the page stays as it is.
 */
#include "tests/sim/sim_dead.h"

#include "tests/sim/sim.h"
#include "tests/sim/sim_hazard.h"

#define OWN_FACTOR UINT64_C(0x9e3779b97f4a7c15)
#define DEAD_SALT  UINT64_C(0xdeadb10c)

void
sim_dead_create(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->data_count; i++)
		prng_seed(&sim->nodes[i].dead.prng, (sim->seed + i) * OWN_FACTOR ^ DEAD_SALT);
}

void
sim_dead_cut(struct sim_node *node, uint64_t last_index)
{
	if (sim_aim_has(node->sim, SIM_OWN_ROT_DEAD))
		node->dead.last_index = last_index;
}

static bool
is_whole(const struct sim_node *node)
{
	return !node->is_log_volatile && !node->has_lost_storage && !node->view.is_forgetful &&
	       !node->disk.rot.is_on && !sim_wrong_is_on(node) && sim_disk_drives(&node->disk) == 1;
}

/* At each block that is durable, until the log is as long again. */
void
sim_dead_turn(struct sim_node *node)
{
	struct sim_dead *dead = &node->dead;
	struct sim *sim = node->sim;

	if (dead->last_index == 0 || node->view.durable_index <= node->before.durable_index)
		return;
	if (node->view.last_index + 1 >= dead->last_index) {
		dead->last_index = 0;
		return;
	}
	if (prng_below(&dead->prng, 2) == 0)
		sim_push(sim, sim->now_ns, SIM_EVENT_FAULT, node->index, SIM_FAULT_TOKEN_DEAD);
}

void
sim_dead_strike(struct sim *sim, struct sim_node *node)
{
	if (node->life != SIM_NODE_UP || node->dead.last_index == 0 || !is_whole(node) ||
	    !sim_aim_has(sim, SIM_OWN_ROT_DEAD))
		return;
	const uint64_t last_index = node->view.last_index;
	node->dead.last_index = 0;
	/* What was on its way may be torn, and then be lacking: it was not acknowledged. */
	if (node->view.durable_index != last_index)
		return;
	sim_node_crash(node);
	if (sim_hazard_rot_behind(sim, node, last_index, &node->dead.prng)) {
		sim_count(sim, SIM_COUNT_rot_dead);
		node->dead.is_struck = true;
	}
	sim_node_start(node);
}

void
sim_dead_ready(struct sim_node *node)
{
	if (!node->dead.is_struck)
		return;
	node->dead.is_struck = false;
	node->disk.rot.is_on = node->disk.rot.is_for_good = false;
	if (node->view.is_forgetful)
		sim_fail(node->sim, "damaged",
			 "node %u: a tail that was cut has come to harm, and it has no vote",
			 node->id);
}
