/* SPDX-License-Identifier: Apache-2.0 */
/* The witness's register: one store at a time, durable when it is reported; a crash while a store
 * is under way leaves the old or the new one (two slots, so never half of one). */
#include "tests/sim/sim.h"

static void
register_apply(struct sim_register *reg)
{
	const struct witness_register before = reg->durable;

	reg->durable = reg->flying;
	sim_count(reg->node->sim, SIM_COUNT_register_updates);
	sim_check_register(reg->node->sim, &before, &reg->durable);
	sim_witness_written(reg->node->sim, &reg->durable);
}

static enum tern_err
register_store(void *store, const struct witness_register *reg, uint64_t op_id)
{
	struct sim_register *self = store;
	struct sim *sim = self->node->sim;
	const uint64_t mean = sim->swarm.register_ns;

	if (sim_point_is_dying(self->node))
		return TERN_OK;
	if (self->is_flying || self->is_done)
		sim_fail(sim, "register", "a second store was started before the first was polled");
	self->flying = *reg;
	self->op_id = op_id;
	self->is_flying = true;
	sim_push(sim, sim->now_ns + mean / 2 + prng_below(&sim->prng, mean), SIM_EVENT_REGISTER,
		 self->node->index, self->node->incarnation);
	sim_point_at(self->node, SIM_POINT_REGISTER, SIM_POINT_HANDED);
	return TERN_OK;
}

void
sim_register_complete(struct sim_register *reg)
{
	reg->is_flying = false;
	reg->is_done = true;
	register_apply(reg);
	sim_point_at(reg->node, SIM_POINT_REGISTER, SIM_POINT_DURABLE);
	if (sim_point_is_dead(reg->node))
		return;
	sim_node_wake(reg->node, reg->node->sim->now_ns);
}

void
sim_register_crash(struct sim_register *reg)
{
	if (reg->is_flying && sim_chance(reg->node->sim, 500000))
		register_apply(reg);
	reg->is_flying = false;
	reg->is_done = false;
}

static uint32_t
register_poll(void *store, uint64_t *op_ids, uint32_t max)
{
	struct sim_register *self = store;

	if (!self->is_done || max == 0)
		return 0;
	self->is_done = false;
	op_ids[0] = self->op_id;
	sim_point_at(self->node, SIM_POINT_REGISTER, SIM_POINT_SEEN);
	return 1;
}

const struct register_ops sim_register_ops = {
	.store = register_store,
	.poll = register_poll,
};
