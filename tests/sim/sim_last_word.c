/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_last_word.h"

#include "dataplane/base/invariant.h"
#include "dataplane/wire/farewell.h"
#include "tests/sim/sim.h"

#define ROUNDS 2u /* as ternd's has */

void
sim_last_word_draw(struct sim *sim)
{
	struct sim_last_word *word = &sim->aim.last_word;

	prng_seed(&word->prng, sim->seed ^ UINT64_C(0x1a57000000000000));
	word->is_on = prng_below(&word->prng, 2) == 0 && sim->node_count > 1 &&
		      !sim_limits_without(&sim->options.limits, SIM_OWN_FAREWELL);
}

static void
say(struct sim_node *node, const struct farewell *farewell, uint16_t to, uint32_t number)
{
	struct sim_port *port = &node->ports[1];
	struct net_frame frame;

	if (sim_net_ops.tx_alloc(port, to, &frame, 1) != 1)
		return;
	INVARIANT(frame.capacity >= FAREWELL_FRAME_BYTES_MAX);
	frame.length = farewell_seal(frame.bytes, farewell, to, number);
	(void)sim_net_ops.tx_burst(port, &frame, 1);
}

void
sim_last_word_crash(struct sim_node *node)
{
	struct sim *sim = node->sim;
	uint32_t number = 0;

	if (!sim->aim.last_word.is_on || node->life != SIM_NODE_UP || !sim_node_is_data(node) ||
	    node->is_restarting)
		return;
	const struct farewell farewell = runtime_farewell(node->runtime);
	if (!farewell.is_master || prng_below(&sim->aim.last_word.prng, 4) == 0)
		return;
	sim_count(sim, SIM_COUNT_last_words);
	sim_say(sim, "farewell is said for node %u, term %llu", node->id,
		(unsigned long long)farewell.term);
	for (uint32_t i = 0; i < ROUNDS * sim->node_count; i++) {
		const uint16_t to = (uint16_t)(i % sim->node_count + 1);
		if ((farewell.members >> to & 1) != 0)
			say(node, &farewell, to, number++);
	}
}

void
sim_last_word_turn(struct sim_node *node)
{
	const uint16_t master = node->before.master_id;

	if (node->view.farewells > node->before.farewells && master != 0 &&
	    node->sim->nodes[master - 1].life != SIM_NODE_UP)
		sim_count(node->sim, SIM_COUNT_last_words_heard);
}
