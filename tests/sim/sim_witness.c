/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topology witness: two data nodes, and an operator who is no careful man. The witness's register
 * is lost at any moment, or he takes it for lost; what he makes in its place is lost again before
 * it has entered; and registers that had been lost come back, in the place of the one that is
 * right, for a while. He replaces the witness again and again, asks nodes that are no masters, and
 * while a copy is away. What told a register that it has entered reaches the next one, too, which
 * was made when that one was lost. In the end the right register is there, and has a vote.
 *
 * Nothing is checked here: that a register of another generation does no harm is what all the other
 * checkers say. They look at the newest one, wherever it lies.
 */
#include "tests/sim/sim_witness.h"

#include <string.h>

#include "dataplane/wire/frame.h"
#include "dataplane/wire/msg.h"
#include "tests/sim/sim.h"

#define ASIDE_MAX   8u
#define TOLD_MAX    8u
#define NUMBER_TOLD (3u * SIM_EPISODES_MAX + 64u) /* behind those of sim_aim.c */

enum step { STEP_NONE = 0, STEP_OUT, STEP_IN };

struct sim_witness {
	struct prng prng;
	uint64_t gap_ns;
	struct witness_register best, aside[ASIDE_MAX], right;
	uint32_t aside_count, swapped, told, left_alone;
	struct sim_late entry; /* the newest REGISTER by which one entered */
	uint32_t boot_no;      /* the highest that any register had */
	bool is_early;         /* he begins with a loss, and has it replaced before anything else */
	bool is_unwanted;      /* the register on the machine is to be replaced */
	bool is_swapped;       /* an old one is on the machine, and right lies aside */
	enum step step;
};

static bool
is_on(const struct sim *sim)
{
	return sim->options.topology == SIM_TOPOLOGY_WITNESS;
}

void
sim_witness_create(struct sim *sim)
{
	struct sim_witness *witness = sim_take(sizeof(*witness));

	sim->witness = witness;
	prng_seed(&witness->prng, (sim->seed + 13) * 0x9fb21c651e98df25ULL);
	if (!is_on(sim))
		return;
	witness->gap_ns =
	    prng_between(&witness->prng, sim->swarm.timer_ns / 2, sim->swarm.timer_ns * 8);
	witness->is_early = prng_below(&witness->prng, 2) == 0;
	sim_push(sim, prng_below(&witness->prng, witness->gap_ns), SIM_EVENT_MEMBER, 0, 0);
}

static struct sim_node *
machine(struct sim *sim)
{
	return &sim->nodes[sim->data_count];
}

void
sim_witness_written(struct sim *sim, const struct witness_register *reg)
{
	if (reg->witness_gen >= sim->witness->best.witness_gen)
		sim->witness->best = *reg;
}

const struct witness_register *
sim_witness_register(const struct sim *sim)
{
	if (sim_aside_register(sim) != NULL)
		return sim_aside_register(sim);
	return is_on(sim) && sim->witness->best.sequence != 0
		   ? &sim->witness->best
		   : &sim->nodes[sim->data_count].reg.durable;
}

/* ---- registers that come and go ---- */

/* Data nodes drop what an earlier start sent. So that nothing rests on that, whatever is put on the
 * machine starts with a higher number than all before. */
static void
put(struct sim *sim, const struct witness_register *reg)
{
	struct sim_witness *witness = sim->witness;
	struct sim_node *node = machine(sim);

	sim_node_crash(node);
	if (node->reg.durable.boot_no > witness->boot_no)
		witness->boot_no = node->reg.durable.boot_no;
	node->reg.durable = *reg;
	node->reg.durable.boot_no = witness->boot_no + (uint32_t)prng_between(&witness->prng, 1, 9);
	sim_node_start(node);
}

static void
lose(struct sim *sim)
{
	struct sim_witness *witness = sim->witness;
	struct sim_node *node = machine(sim);
	const struct witness_register fresh = {
		.sequence = 1,
		.cluster_id = sim->cluster_id,
		.generation = node->reg.durable.generation,
		.witness_id = sim_witness_id(sim),
	};

	sim_say(sim, "the register of generation %u is lost", node->reg.durable.witness_gen);
	sim_node_crash(node); /* it may end what is being written */
	if (node->reg.durable.witness_gen != 0)
		witness->aside[witness->aside_count++ % ASIDE_MAX] = node->reg.durable;
	put(sim, &fresh);
	witness->is_unwanted = true;
	sim_count(sim, SIM_COUNT_witnesses_lost);
}

void
sim_witness_sent(struct sim *sim, uint8_t path, uint32_t from, uint32_t to, const uint8_t *frame,
		 uint32_t bytes)
{
	struct sim_late *entry = &sim->witness->entry;
	struct frame_hdr hdr;
	struct msg msg;

	if (!is_on(sim) || sim_node_is_data(&sim->nodes[to]) || bytes <= FRAME_HDR_BYTES ||
	    bytes > SIM_LATE_BYTES_MAX || frame[FRAME_HDR_BYTES] != MSG_REGISTER)
		return;
	if (frame_open(frame, bytes, &hdr) != TERN_OK || hdr.kind != FRAME_MESSAGE ||
	    msg_decode(frame + FRAME_HDR_BYTES, hdr.body_bytes, &msg) != TERN_OK ||
	    msg.kind != MSG_REGISTER || msg.register_.what != MSG_REGISTER_ENTER)
		return;
	entry->length = bytes;
	entry->path = path;
	entry->from = (uint8_t)from;
	memcpy(entry->bytes, frame, bytes);
}

/* A master rests on the register alone, for a moment. */
void
sim_witness_turn(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct sim_witness *witness = sim->witness;

	if (!is_on(sim) || sim->faults.is_healed || witness->entry.length == 0 ||
	    node->view.role != CORE_MASTER || node->view.mode != CORE_MODE_SOLO ||
	    node->before.mode == CORE_MODE_SOLO || witness->told == TOLD_MAX ||
	    prng_below(&witness->prng, 4) == 0)
		return;
	sim_push(sim, sim->now_ns + prng_below(&witness->prng, sim->swarm.timer_ns / 2),
		 SIM_EVENT_MEMBER, 3, node->index);
}

/* The register is lost, and that master with it, for as long as a voter that restarts is silent and
 * then some. What had made that one the witness comes once more, to what is made in its place. */
void
sim_witness_lose_twice(struct sim *sim, uint64_t index)
{
	struct sim_witness *witness = sim->witness;
	const struct sim_node *master = &sim->nodes[index];

	if (sim->faults.is_healed || witness->is_swapped || master->view.mode != CORE_MODE_SOLO)
		return;
	lose(sim);
	sim_net_late(sim, &witness->entry, (uint8_t)sim->data_count);
	sim_fault_strike(sim, NUMBER_TOLD + witness->told++, SIM_FAULT_CRASH_DATA, master->index,
			 4 * sim->swarm.timer_ns);
	sim_count(sim, SIM_COUNT_witnesses_told_late);
}

static void
swap(struct sim *sim)
{
	struct sim_witness *witness = sim->witness;
	const uint32_t count = witness->aside_count < ASIDE_MAX ? witness->aside_count : ASIDE_MAX;
	const struct witness_register *old;

	witness->swapped = (uint32_t)prng_below(&witness->prng, count);
	old = &witness->aside[witness->swapped];
	sim_say(sim, "the register of generation %u is back", old->witness_gen);
	sim_node_crash(machine(sim));
	witness->right = machine(sim)->reg.durable;
	witness->is_swapped = true;
	put(sim, old);
	sim_count(sim, SIM_COUNT_witnesses_returned);
}

static void
swap_back(struct sim *sim)
{
	sim_say(sim, "the right register is put back");
	sim_node_crash(machine(sim));
	sim->witness->aside[sim->witness->swapped] = machine(sim)->reg.durable;
	sim->witness->is_swapped = false;
	put(sim, &sim->witness->right);
}

static void
meddle(struct sim *sim)
{
	struct sim_witness *witness = sim->witness;
	/* Seldom while he is at it, or he would never be done. */
	const uint64_t die = prng_below(&witness->prng, witness->step == STEP_NONE ? 10 : 60);

	struct sim_node *master = sim_master(sim);

	if (witness->is_early) {
		/* The first register that lies aside is that of the birth. */
		if (witness->aside_count == 0 && master != NULL)
			lose(sim);
		return;
	}
	if (witness->is_swapped && die < 4) {
		swap_back(sim);
	} else if (!witness->is_swapped && witness->aside_count != 0 && master != NULL &&
		   master->view.mode == CORE_MODE_SOLO && die < 5) {
		/* The only copy rests, for a moment, and whom an old register would elect lacks
		 * what it has. */
		swap(sim);
		sim_node_crash(master);
		sim_node_start(master);
		sim_count(sim, SIM_COUNT_crashes);
	} else if (!witness->is_swapped && die < 2) {
		lose(sim);
	} else if (!witness->is_swapped && die < 4 && witness->aside_count != 0) {
		swap(sim);
	}
}

/* ---- the operator ---- */

static const struct membership *
known(struct sim *sim)
{
	const struct sim_node *master = sim_master(sim);

	return master == NULL ? NULL : &master->view.committed_members;
}

bool
sim_witness_can_vote(const struct sim *sim)
{
	if (sim_aside_register(sim) != NULL)
		return false;
	return !is_on(sim) ||
	       sim->nodes[sim->data_count].reg.durable.witness_gen == sim_member_witness_gen(sim);
}

bool
sim_witness_is_settled(struct sim *sim)
{
	const struct membership *members = known(sim);

	if (!is_on(sim))
		return true;
	return members != NULL && !sim->witness->is_unwanted && !sim->witness->is_swapped &&
	       membership_has_witness(members) &&
	       members->witness_gen == machine(sim)->reg.durable.witness_gen;
}

static void
ask(struct sim *sim)
{
	struct sim_witness *witness = sim->witness;
	const bool is_odd = prng_below(&witness->prng, 8) == 0 && !sim->faults.is_healed;
	const uint32_t other = (uint32_t)prng_below(&witness->prng, sim->data_count);
	struct submit_request request = { .kind = SUBMIT_CHANGE };
	struct sim_node *node = sim_master(sim);

	if (node == NULL || is_odd)
		node = &sim->nodes[other];
	if (witness->step == STEP_NONE)
		witness->step = STEP_OUT;
	request.flags =
	    witness->step == STEP_OUT ? SUBMIT_CHANGE_WITNESS_OUT : SUBMIT_CHANGE_WITNESS_IN;
	if (is_odd)
		request.flags = (uint16_t)prng_between(&witness->prng, SUBMIT_CHANGE_WITNESS_OUT,
						       SUBMIT_CHANGE_WITNESS_IN);
	sim_count(sim, SIM_COUNT_changes_asked);
	sim_client_change(sim, node, &request);
}

/* The new register is to be rested on: the other copy goes away for a while. */
static void
leave_alone(struct sim *sim)
{
	struct sim_witness *witness = sim->witness;
	const struct sim_node *master = sim_master(sim);

	if (sim->faults.is_healed || master == NULL || witness->left_alone == TOLD_MAX ||
	    prng_below(&witness->prng, 2) == 0)
		return;
	sim_fault_strike(sim, NUMBER_TOLD + TOLD_MAX + witness->left_alone++, SIM_FAULT_CRASH_DATA,
			 1 - master->index, 2 * sim->swarm.timer_ns);
}

void
sim_witness_operate(struct sim *sim)
{
	struct sim_witness *witness = sim->witness;
	const struct membership *members = known(sim);
	const uint64_t gap_ns =
	    witness->step == STEP_NONE ? witness->gap_ns : sim->swarm.timer_ns / 4;

	sim_push(sim, sim->now_ns + gap_ns / 8 + prng_below(&witness->prng, gap_ns),
		 SIM_EVENT_MEMBER, 0, 0);
	if (sim->phase == SIM_PHASE_OVER || sim->phase == SIM_PHASE_ONE_FAULT)
		return;
	if (sim->faults.is_healed && witness->is_swapped)
		swap_back(sim);
	else if (!sim->faults.is_healed)
		meddle(sim);
	/* It is in: what lies on the machine is what the cluster goes by. */
	if (members != NULL && membership_has_witness(members) && !witness->is_swapped &&
	    members->witness_gen == machine(sim)->reg.durable.witness_gen && witness->is_unwanted) {
		witness->is_unwanted = witness->is_early = false;
		witness->step = STEP_NONE;
		sim_count(sim, SIM_COUNT_witnesses_replaced);
		leave_alone(sim);
	}
	if (members != NULL && membership_has_witness(members) && !witness->is_swapped &&
	    members->witness_gen != machine(sim)->reg.durable.witness_gen)
		witness->is_unwanted = true;
	if (witness->is_unwanted || (members != NULL && !membership_has_witness(members)))
		ask(sim);
}

void
sim_witness_answered(struct sim *sim, const struct submit_request *request,
		     const struct submit_completion *completion)
{
	struct sim_witness *witness = sim->witness;

	if (completion->outcome == SUBMIT_REFUSED_CHANGE)
		sim_count(sim, SIM_COUNT_changes_refused);
	if (completion->outcome == SUBMIT_DONE) {
		sim_count(sim, SIM_COUNT_changes_begun);
		witness->step = request->flags == SUBMIT_CHANGE_WITNESS_OUT ? STEP_IN : STEP_NONE;
	} else if (completion->outcome != SUBMIT_REFUSED_CHANGE ||
		   (completion->change != SUBMIT_CHANGE_ENTERING &&
		    completion->change != SUBMIT_CHANGE_IN_PROGRESS) ||
		   prng_below(&witness->prng, 12) == 0) {
		/* Refused, or he has lost his patience: from the beginning. */
		witness->step = STEP_OUT;
	}
}
