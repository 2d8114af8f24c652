/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_aside.h"

#include "dataplane/base/bits.h"
#include "tests/sim/sim.h"

#define REGISTER_PPM 200000u /* of starts */

static void
register_place(struct sim *sim, const struct witness_register *reg)
{
	struct sim_node *node = &sim->nodes[sim->data_count];
	const uint32_t boot_no = node->reg.durable.boot_no;

	/* Data nodes drop what an earlier start sent; nothing is to rest on that. */
	node->reg.durable = *reg;
	node->reg.durable.boot_no = max_u32(boot_no, reg->boot_no);
}

void
sim_aside_start(struct sim_node *node, struct prng *prng)
{
	struct sim *sim = node->sim;
	struct sim_aside *aside = &sim->aside;
	const struct witness_register fresh = {
		.sequence = 1,
		.cluster_id = sim->cluster_id,
		.generation = node->reg.durable.generation,
		.witness_id = sim_witness_id(sim),
	};
	struct witness_register other = node->reg.durable;

	/* Elsewhere changes of the members bring generations of their own. */
	if (aside->is_aside || node->reg.durable.boot_no == 0 ||
	    (sim->options.topology != SIM_TOPOLOGY_2W && sim->options.topology != SIM_TOPOLOGY_3 &&
	     sim->options.topology != SIM_TOPOLOGY_2W_GUEST) ||
	    prng_below(prng, 1000000) >= REGISTER_PPM)
		return;
	other.witness_gen += (uint32_t)prng_between(prng, 1, UINT32_MAX / 2);
	aside->right = node->reg.durable;
	aside->is_aside = true;
	const bool is_fresh = prng_below(prng, 2) == 0;
	register_place(sim, is_fresh ? &fresh : &other);
	sim_say(sim, "the witness starts with another register, generation %x",
		node->reg.durable.witness_gen);
	sim_count(sim, is_fresh ? SIM_COUNT_wrong_fresh_registers : SIM_COUNT_wrong_witness_gens);
	sim_push(sim, sim->now_ns + 1 + prng_below(prng, 8 * sim->swarm.timer_ns), SIM_EVENT_ASIDE,
		 node->index, 0);
}

void
sim_aside_end(struct sim *sim)
{
	struct sim_aside *aside = &sim->aside;
	struct sim_node *node = &sim->nodes[sim->data_count];

	if (!aside->is_aside)
		return;
	sim_say(sim, "the right register is put back");
	sim_node_crash(node);
	aside->is_aside = false;
	register_place(sim, &aside->right);
	sim_node_start(node);
}

const struct witness_register *
sim_aside_register(const struct sim *sim)
{
	return sim->aside.is_aside ? &sim->aside.right : NULL;
}
