/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_lease.h"

#include "dataplane/wire/frame.h"
#include "dataplane/wire/msg.h"
#include "tests/sim/sim.h"

#define STRIKES_MAX  8u
#define NUMBER_LEASE (3u * SIM_EPISODES_MAX + 192u) /* behind those of sim_point.c */
#define NARROW_PPM   1000u
#define WIDE_PPM     CORE_DRIFT_PPM_MAX

static bool
has_leases(const struct sim *sim)
{
	return sim->swarm.timers.has_leases;
}

void
sim_lease_draw(struct sim *sim)
{
	struct sim_swarm *swarm = &sim->swarm;
	struct sim_lease *lease = &sim->aim.lease;

	prng_seed(&lease->prng, sim->seed ^ UINT64_C(0x1ea5e0000000));
	if (prng_below(&lease->prng, 3) != 0)
		return;
	lease->is_wide = prng_below(&lease->prng, 2) != 0;
	swarm->timers.has_leases = true;
	swarm->timers.clock_drift_ppm = lease->is_wide ? WIDE_PPM : NARROW_PPM;
	/* Nothing is promised where a clock stands still. */
	swarm->weight_sum -= swarm->weights[SIM_HAZARD_CLOCK_FROZEN];
	swarm->weights[SIM_HAZARD_CLOCK_FROZEN] = 0;
	if (swarm->weight_sum == 0)
		swarm->weight_sum = swarm->weights[SIM_FAULT_CRASH_DATA] = 1;
	sim->has_broken_clock = lease->is_wide;
}

/* One data node is as slow as is allowed for, and the others are nearly as fast. */
void
sim_lease_clocks(struct sim *sim)
{
	struct sim_lease *lease = &sim->aim.lease;

	if (!has_leases(sim) || !lease->is_wide)
		return;
	lease->slow = (uint32_t)prng_below(&lease->prng, sim->data_count);
	for (uint32_t i = 0; i < sim->node_count; i++) {
		const int64_t ppm = (int64_t)prng_between(&lease->prng, WIDE_PPM * 3 / 4, WIDE_PPM);
		sim->nodes[i].clock_drift_ppm = i == lease->slow ? -(int64_t)WIDE_PPM : ppm;
	}
}

static bool
holds(const struct sim_node *node)
{
	return node->life == SIM_NODE_UP && sim_node_is_data(node) &&
	       sim_local_ns(node, node->sim->now_ns) < node->view.lease_until_ns;
}

/* I11. A person's word (topology force) is above it. */
static void
check(const struct sim_node *holder, const struct sim_node *master)
{
	struct sim *sim = holder->sim;

	if (holder == master || !holds(holder) || master->life != SIM_NODE_UP ||
	    master->view.role != CORE_MASTER || master->view.term <= holder->view.term ||
	    master->view.generation.number != holder->view.generation.number)
		return;
	sim_fail(
	    sim, "I11",
	    "node %u is master of term %llu while the lease of node %u, of term %llu, runs for "
	    "another %llu us of its clock",
	    master->id, (unsigned long long)master->view.term, holder->id,
	    (unsigned long long)holder->view.term,
	    (unsigned long long)((holder->view.lease_until_ns - sim_local_ns(holder, sim->now_ns)) /
				 SIM_US));
}

static bool
may_strike(const struct sim *sim)
{
	return has_leases(sim) && !sim->faults.is_healed && sim->node_count > 1 &&
	       sim->aim.lease.strikes < STRIKES_MAX && !sim->aim.lease.is_striking &&
	       !sim_limits_without(&sim->options.limits, SIM_OWN_LEASE);
}

/* Not from within a turn. */
static void
strike_soon(struct sim_node *node, enum sim_lease_kind kind)
{
	struct sim *sim = node->sim;

	sim->aim.lease.is_striking = true;
	sim->aim.lease.kind = kind;
	sim_push(sim, sim->now_ns, SIM_EVENT_FAULT, node->index, SIM_FAULT_TOKEN_LEASE);
}

void
sim_lease_turn(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct sim_lease *lease = &sim->aim.lease;

	if (!has_leases(sim))
		return;
	for (uint32_t i = 0; i < sim->data_count; i++) {
		check(node, &sim->nodes[i]);
		check(&sim->nodes[i], node);
	}
	if (lease->next_ns == 0 && holds(node))
		lease->next_ns =
		    sim->now_ns + prng_below(&lease->prng, 8 * node->view.elect_max_ns);
}

/* A heartbeat: whoever answers it is not heard in time. A hand-over: whoever takes the place is not
 * heard at all. */
void
sim_lease_sent(struct sim_node *from, const uint8_t *frame, uint32_t bytes)
{
	struct sim *sim = from->sim;
	struct sim_lease *lease = &sim->aim.lease;
	struct frame_hdr hdr;
	struct msg msg;

	if (!may_strike(sim) || frame_open(frame, bytes, &hdr) != TERN_OK ||
	    hdr.kind != FRAME_MESSAGE ||
	    msg_decode(frame + FRAME_HDR_BYTES, hdr.body_bytes, &msg) != TERN_OK)
		return;
	if (msg.kind == MSG_TRANSFER_NOW && from->deaf_until_ns <= sim->now_ns) {
		sim_count(sim, SIM_COUNT_lease_cuts);
		from->deaf_until_ns = sim->now_ns + 2 * from->view.elect_max_ns;
	} else if (msg.kind == MSG_HEARTBEAT && lease->next_ns != 0 &&
		   sim->now_ns >= lease->next_ns && holds(from) &&
		   (!lease->is_wide || from->index == lease->slow))
		strike_soon(from, (enum sim_lease_kind)prng_below(&lease->prng, SIM_LEASE_KINDS));
}

/* Its links are cut when the answers to its heartbeat are there: it hears of nothing else. */
static void
sleep_and_cut(struct sim *sim, struct sim_node *node, uint32_t number, uint64_t length_ns)
{
	sim_fault_strike(sim, number, SIM_FAULT_PAUSE, node->index, length_ns);
	node->deaf_until_ns = 0;
	sim->aim.lease.kind = SIM_LEASE_CUT;
	sim->aim.lease.is_striking = true;
	sim_push(sim, sim->now_ns + node->view.solo_ns / 2, SIM_EVENT_FAULT, node->index,
		 SIM_FAULT_TOKEN_LEASE);
}

void
sim_lease_strike(struct sim *sim, struct sim_node *node)
{
	struct sim_lease *lease = &sim->aim.lease;
	const uint32_t number = NUMBER_LEASE + lease->strikes++;
	const uint64_t length_ns = 2 * node->view.elect_max_ns;

	lease->is_striking = false;
	lease->next_ns = sim->now_ns + 4 * length_ns + prng_below(&lease->prng, 8 * length_ns);
	if (node->life != SIM_NODE_UP || node->view.role != CORE_MASTER || sim->faults.is_healed)
		return;
	sim_count(sim, SIM_COUNT_lease_cuts);
	switch (lease->kind) {
	case SIM_LEASE_CUT:
		sim_fault_strike(sim, number, SIM_FAULT_ISOLATE, node->index, 2 * length_ns);
		break;
	case SIM_LEASE_SLEEP:
		sleep_and_cut(sim, node, number, length_ns);
		break;
	case SIM_LEASE_HAND_OVER:
		sim_fault_strike(sim, number, SIM_FAULT_SWITCHOVER, node->index, length_ns);
		break;
	case SIM_LEASE_KINDS:
		break;
	}
}
