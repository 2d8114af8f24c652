/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_aside.h"

#include "dataplane/base/bits.h"
#include "tests/sim/sim.h"

#define REGISTER_PPM 200000u /* of starts */
#define STRIKES_MAX  4u
#define NUMBER_ASIDE (3u * SIM_EPISODES_MAX + 208u) /* behind those of sim_lease.c */

static void
register_place(struct sim *sim, const struct witness_register *reg)
{
	struct sim_node *node = &sim->nodes[sim->data_count];
	const uint32_t boot_no = node->reg.durable.boot_no;

	/* Data nodes drop what an earlier start sent; nothing is to rest on that. */
	node->reg.durable = *reg;
	node->reg.durable.boot_no = max_u32(boot_no, reg->boot_no);
}

/* It has committed what the other copy, which lives, does not hold, and the witness knows. */
static bool
is_moment(const struct sim_node *node)
{
	const struct sim *sim = node->sim;
	const struct sim_aside *aside = &sim->aside;

	if (sim->options.topology != SIM_TOPOLOGY_2W || aside->is_aside || aside->is_due ||
	    aside->strikes == STRIKES_MAX || node->life != SIM_NODE_UP ||
	    node->view.mode != CORE_MODE_SOLO || !node->view.is_serving ||
	    node->view.term == aside->struck_term || !sim_aim_has(sim, SIM_OWN_WRONG_START))
		return false;
	const struct sim_node *other = &sim->nodes[1 - node->index];
	return other->life == SIM_NODE_UP && other->view.last_index < node->view.commit_index &&
	       sim->nodes[sim->data_count].life == SIM_NODE_UP;
}

void
sim_aside_turn(struct sim_node *node)
{
	struct sim *sim = node->sim;

	if (!is_moment(node))
		return;
	sim->aside.struck_term = node->view.term;
	sim_push(sim, sim->now_ns, SIM_EVENT_FAULT, node->index, SIM_FAULT_TOKEN_ASIDE);
}

void
sim_aside_strike(struct sim *sim, struct sim_node *node)
{
	struct sim_aside *aside = &sim->aside;
	struct sim_node *witness = &sim->nodes[sim->data_count];

	aside->struck_term = 0;
	if (!is_moment(node))
		return;
	aside->struck_term = node->view.term;
	aside->is_due = true;
	sim_count(sim, SIM_COUNT_wrong_registers_aimed);
	sim_node_crash(witness);
	sim_node_start(witness);
	sim_fault_strike(sim, NUMBER_ASIDE + aside->strikes++, SIM_HAZARD_RESTART, node->index,
			 6 * node->view.elect_max_ns);
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
	struct witness_register other = fresh;
	const bool is_due = aside->is_due;

	aside->is_due = false;
	/* Elsewhere changes of the members bring generations of their own. */
	if (aside->is_aside || node->reg.durable.boot_no == 0 ||
	    (sim->options.topology != SIM_TOPOLOGY_2W && sim->options.topology != SIM_TOPOLOGY_3 &&
	     sim->options.topology != SIM_TOPOLOGY_2W_GUEST) ||
	    (prng_below(prng, 1000000) >= REGISTER_PPM && !is_due))
		return;
	other.witness_gen =
	    node->reg.durable.witness_gen + (uint32_t)prng_between(prng, 1, UINT32_MAX / 2);
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
