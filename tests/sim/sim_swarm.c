/* SPDX-License-Identifier: Apache-2.0 */
/* What a seed draws, and the phases of a run: faults first, then everything is healed and must come
 * back, then one node or link fails and service must go on. */
#include <stdio.h>

#include "dataplane/base/bits.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/wire/checkpoint.h"
#include "dataplane/wire/page.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_hazard.h"
#include "tests/sim/sim_leak.h"

#define PROGRESS_ACKS 10u

static uint32_t
draw_ppm(struct sim *sim, uint32_t chance_ppm, uint32_t low, uint32_t octaves)
{
	if (!sim_chance(sim, chance_ppm))
		return 0;
	const uint32_t scaled = low << prng_below(&sim->prng, octaves);
	return scaled + (uint32_t)prng_below(&sim->prng, scaled);
}

/* T_late of each replica's own: some are given up sooner than others, some are waited for. */
static void
draw_late(struct sim *sim)
{
	struct core_timers *timers = &sim->swarm.timers;

	for (uint32_t id = 1; id <= SIM_DATA_MAX; id++) {
		/* By the seed itself: earlier seeds keep their worlds. */
		const uint64_t dice = (sim->seed / 3 + id) % 6;
		timers->node_late_ns[id] = dice == 0   ? timers->late_ns / 4
					   : dice == 1 ? timers->late_ns * 4
						       : 0;
	}
}

static void
draw_timers(struct sim *sim)
{
	static const struct core_timers profiles[3] = {
		{ .heartbeat_ns = 3000000,
		  .solo_ns = 30000000,
		  .late_ns = 300000000,
		  .stall_ns = 500000000,
		  .elect_min_ns = 50000000,
		  .elect_max_ns = 80000000 },
		{ .heartbeat_ns = 1000000,
		  .solo_ns = 10000000,
		  .late_ns = 80000000,
		  .stall_ns = 120000000,
		  .elect_min_ns = 20000000,
		  .elect_max_ns = 32000000 },
		{ .heartbeat_ns = 500000,
		  .solo_ns = 4000000,
		  .late_ns = 30000000,
		  .stall_ns = 40000000,
		  .elect_min_ns = 8000000,
		  .elect_max_ns = 14000000 },
	};
	struct sim_swarm *swarm = &sim->swarm;

	swarm->timers = profiles[prng_below(&sim->prng, 3)];
	swarm->timer_ns = swarm->timers.elect_max_ns;
	draw_late(sim);
}

static void
draw_links(struct sim *sim)
{
	struct sim_swarm *swarm = &sim->swarm;

	for (uint32_t path = 0; path < SIM_PATHS; path++) {
		struct sim_link *link = &swarm->links[path];
		const uint64_t scale = path == 0 ? 5 * SIM_US : 30 * SIM_US;
		link->latency_ns = prng_between(&sim->prng, scale, 8 * scale);
		link->jitter_ns = prng_between(&sim->prng, 1, 4 * scale);
		link->loss_ppm = draw_ppm(sim, 500000, 200, 9);
		link->duplicate_ppm = draw_ppm(sim, 400000, 200, 8);
		link->corrupt_ppm = draw_ppm(sim, 300000, 100, 7);
		link->reorder_ppm = draw_ppm(sim, 500000, 500, 9);
		link->corrupt_before_ppm = draw_ppm(sim, 250000, 100, 7);
		link->replay_ppm = draw_ppm(sim, 400000, 200, 6);
		link->reorder_ns = prng_between(&sim->prng, 50 * SIM_US, swarm->timer_ns / 8);
	}
}

static void
draw_topology(struct sim *sim)
{
	switch (sim->options.topology) {
	case SIM_TOPOLOGY_2W:
	case SIM_TOPOLOGY_WITNESS:
		sim->data_count = 2;
		sim->node_count = 3;
		break;
	case SIM_TOPOLOGY_3:
		sim->data_count = 3;
		sim->node_count = sim_chance(sim, 500000) ? 4 : 3;
		break;
	case SIM_TOPOLOGY_FORCE:
		sim->data_count = sim_chance(sim, 600000) ? 2 : 3;
		sim->node_count =
		    sim->data_count == 2 || sim_chance(sim, 500000) ? sim->data_count + 1 : 3;
		break;
	case SIM_TOPOLOGY_1:
		sim->data_count = sim->node_count = 1;
		break;
	case SIM_TOPOLOGY_2W_GUEST:
	case SIM_TOPOLOGY_JOINT:
	case SIM_TOPOLOGY_EXCHANGE:
		sim->data_count = 3;
		sim->node_count = 4;
		break;
	}
}

/* Without a witness none crashes; a node alone has no links and nobody to hand over to. */
static bool
is_possible(const struct sim *sim, uint32_t class_)
{
	if (class_ == SIM_FAULT_CRASH_WITNESS)
		return sim->node_count > sim->data_count;
	if ((class_ == SIM_HAZARD_OLD_IMAGE || class_ == SIM_HAZARD_MISDIRECTED) &&
	    !sim->options.is_beyond)
		return false;
	/* A voter that is alone has nobody to get its blocks from, and does not start. */
	if (class_ == SIM_HAZARD_ROT_ALL && sim->options.topology == SIM_TOPOLOGY_EXCHANGE)
		return false;
	if (sim->swarm.volatile_mask != 0 && sim_hazard_is_of_log(class_))
		return false; /* there is no log at rest to damage */
	if (sim->node_count > 1)
		return true;
	return class_ != SIM_FAULT_CUT_PAIR && class_ != SIM_FAULT_CUT_PATH &&
	       class_ != SIM_FAULT_ONE_WAY && class_ != SIM_FAULT_ISOLATE &&
	       class_ != SIM_FAULT_SWITCHOVER && class_ != SIM_FAULT_LOSE_TAIL &&
	       class_ != SIM_FAULT_LOSE_MASTER && class_ != SIM_HAZARD_CRASH_TWO &&
	       class_ != SIM_HAZARD_LOSE_STORAGE && class_ != SIM_HAZARD_ROT_ALL &&
	       class_ != SIM_HAZARD_BURST && class_ != SIM_HAZARD_FLAP;
}

/* Some seeds have a few classes, some most of them: rare ones meet each other, and common ones are
 * not always there. */
static void
draw_weights(struct sim *sim)
{
	static const uint32_t shares_ppm[3] = { 150000, 400000, 500000 };
	struct sim_swarm *swarm = &sim->swarm;
	const uint32_t share_ppm = shares_ppm[prng_below(&sim->prng, 3)];

	for (uint32_t i = 0; i < SIM_EPISODE_CLASSES; i++) {
		if ((i == SIM_HAZARD_DEVICE_GONE && !sim->options.has_columns) ||
		    i == SIM_HAZARD_CRASH_AT_WRITE)
			continue;
		/* Hazards are many: half as often, so that the plain faults stay common. */
		const uint32_t ppm = i < SIM_FAULT_KINDS ? share_ppm : share_ppm / 2;
		const uint32_t weight =
		    sim_chance(sim, ppm) ? (uint32_t)prng_between(&sim->prng, 1, 10) : 0;
		swarm->weights[i] = is_possible(sim, i) ? weight : 0;
		swarm->weight_sum += swarm->weights[i];
	}
	if (swarm->weight_sum == 0) {
		swarm->weights[SIM_FAULT_CRASH_DATA] = 1;
		swarm->weight_sum = 1;
	}
}

static void
draw_sizes(struct sim *sim)
{
	struct sim_swarm *swarm = &sim->swarm;

	swarm->units_per_frame = sim_chance(sim, 500000) ? 1 : 6;
	swarm->command_bytes_max = 4096u << prng_below(&sim->prng, 3);
	swarm->value_bytes_max = swarm->command_bytes_max;
	const uint32_t block =
	    block_pages(BLOCK_HDR_BYTES + CMDLOG_BLOCK_BYTES_TARGET + swarm->command_bytes_max) + 1;
	swarm->ring_bytes =
	    ((uint64_t)block * 8 + prng_below(&sim->prng, (uint64_t)block * 4)) * PAGE_BYTES;
	swarm->is_log_small = sim_chance(sim, 100000);
	swarm->log_pages = swarm->is_log_small ? prng_between(&sim->prng, 300, 900)
					       : prng_between(&sim->prng, 6000, 8000);
	swarm->think_factor = 1;
	swarm->state_capacity = sim_chance(sim, 100000) ? 128u * 1024u : 10u * 1024u * 1024u;
	swarm->groups_in_flight_max = (uint32_t)prng_between(&sim->prng, 1, 8);
}

/* With checkpoints the log is so small that it is used again and again. */
static void
draw_checkpoints(struct sim *sim)
{
	struct sim_swarm *swarm = &sim->swarm;

	if (swarm->volatile_mask != 0 || !sim_chance(sim, 700000))
		return;
	swarm->checkpoint_pages = 2 * checkpoint_pages(swarm->state_capacity + 4096);
	swarm->log_pages = prng_between(&sim->prng, 300, swarm->is_log_small ? 500 : 1500);
}

/* Most seeds mix the classes; in a few the log of some nodes is in memory only. */
static void
draw_classes(struct sim *sim)
{
	struct sim_swarm *swarm = &sim->swarm;

	if (sim_chance(sim, 750000))
		swarm->memory_ppm = (uint32_t)prng_between(&sim->prng, 50000, 950000);
	if (sim->data_count == 1 || !sim_chance(sim, 120000))
		return;
	swarm->memory_ppm = 980000;
	swarm->volatile_mask = 1 + (uint32_t)prng_below(&sim->prng, (1u << sim->data_count) - 1);
	if (sim->options.topology == SIM_TOPOLOGY_JOINT ||
	    sim->options.topology == SIM_TOPOLOGY_EXCHANGE)
		swarm->volatile_mask = 0;
}

/* Without --ec one device a node, and nothing is drawn. */
static void
draw_devices(struct sim *sim)
{
	static const struct stripe_geometry geometries[] = {
		{ 1, 1 }, { 2, 1 }, { 4, 2 }, { 1, 2 }, { 3, 1 }, { 2, 0 },
	};
	const uint32_t count = sizeof(geometries) / sizeof(geometries[0]);
	struct sim_swarm *swarm = &sim->swarm;

	swarm->geometry = (struct stripe_geometry){ .k = 1 };
	if (!sim->options.has_columns)
		return;
	swarm->geometry = geometries[prng_below(&sim->prng, count)];
	if (swarm->geometry.k == 3 && sim->seed % 2 == 0)
		swarm->geometry = (struct stripe_geometry){ 2, 2 };
	if (sim->options.has_spares) {
		/* Every one of k 1..6, m 0..3, in turn. */
		swarm->geometry = (struct stripe_geometry){ 1 + (uint32_t)(sim->seed / 4 % 6),
							    (uint32_t)(sim->seed % 4) };
		swarm->spare_count =
		    swarm->geometry.m == 0 ? 0 : 1 + (uint32_t)(sim->seed / 24 % 2);
	}
	if (swarm->geometry.m != 0 && sim_chance(sim, 700000))
		swarm->device_hang_ns = swarm->timer_ns * prng_between(&sim->prng, 1, 8) / 2;
	/* Not drawn, so that seeds stay what they were. */
	if (sim->seed % 3 != 0)
		swarm->scrub_interval_ns = swarm->timer_ns * (2 + sim->seed % 11);
	/* About as many blocks as on one device. */
	swarm->log_pages = swarm->log_pages * (1 + swarm->geometry.m) / swarm->geometry.k;
}

static void
limit_rate(const struct sim *sim, uint32_t *ppm, enum sim_noise noise)
{
	const struct sim_limits *limits = &sim->options.limits;

	*ppm = sim_limits_without(limits, noise)
		   ? 0
		   : (uint32_t)((uint64_t)*ppm * limits->strength / SIM_STRENGTH_FULL);
}

/* What was drawn, less what the options leave out. */
static void
apply_limits(struct sim *sim)
{
	const struct sim_limits *limits = &sim->options.limits;
	struct sim_swarm *swarm = &sim->swarm;

	for (uint32_t path = 0; path < SIM_PATHS; path++) {
		struct sim_link *link = &swarm->links[path];
		limit_rate(sim, &link->loss_ppm, SIM_NOISE_LOSS);
		limit_rate(sim, &link->duplicate_ppm, SIM_NOISE_DUPLICATE);
		limit_rate(sim, &link->corrupt_ppm, SIM_NOISE_CORRUPT);
		limit_rate(sim, &link->reorder_ppm, SIM_NOISE_REORDER);
		limit_rate(sim, &link->corrupt_before_ppm, SIM_NOISE_CORRUPT_BEFORE);
		limit_rate(sim, &link->replay_ppm, SIM_NOISE_REPLAY);
	}
	if (limits->faults_us_max < swarm->faults_ns / SIM_US)
		swarm->faults_end_ns = limits->faults_us_max * SIM_US;
}

void
sim_swarm_draw(struct sim *sim)
{
	struct sim_swarm *swarm = &sim->swarm;

	draw_topology(sim);
	draw_timers(sim);
	draw_links(sim);
	draw_sizes(sim);
	swarm->gap_ns = prng_between(&sim->prng, swarm->timer_ns / 2, swarm->timer_ns * 5);
	swarm->faults_ns = prng_between(&sim->prng, swarm->timer_ns * 20, swarm->timer_ns * 80);
	swarm->faults_end_ns = swarm->faults_ns;
	swarm->is_follow_up = sim_chance(sim, 500000);
	/* Slow disks make large write groups, and large groups tear. */
	const uint64_t write_ns_max = swarm->timer_ns / (sim_chance(sim, 300000) ? 16 : 100);
	swarm->write_ns = prng_between(&sim->prng, 20 * SIM_US, write_ns_max);
	swarm->read_ns = prng_between(&sim->prng, 10 * SIM_US, 80 * SIM_US);
	swarm->disk_jitter_ns = prng_between(&sim->prng, 1 * SIM_US, swarm->timer_ns / 100);
	swarm->register_ns = prng_between(&sim->prng, 20 * SIM_US, swarm->timer_ns / 50);
	swarm->turn_ns = prng_between(&sim->prng, 1 * SIM_US, 5 * SIM_US);
	swarm->think_ns = swarm->timer_ns / prng_between(&sim->prng, 8, 200);
	swarm->slots = (uint32_t)prng_between(&sim->prng, 3, 20);
	swarm->large_ppm = draw_ppm(sim, 800000, 20000, 6);
	swarm->solo_isolated_stop = sim_chance(sim, 200000);
	draw_classes(sim);
	draw_weights(sim);
	draw_checkpoints(sim);
	draw_devices(sim);
	sim->cluster_id = prng_next(&sim->prng) | 1;
	apply_limits(sim);
}

/* ---- phases ---- */

struct sim_node *
sim_master(struct sim *sim)
{
	struct sim_node *master = NULL;

	for (uint32_t i = 0; i < sim->data_count; i++) {
		struct sim_node *node = &sim->nodes[i];
		if (node->life == SIM_NODE_UP && node->view.role == CORE_MASTER &&
		    node->view.is_serving &&
		    (master == NULL || node->view.term > master->view.term))
			master = node;
	}
	return master;
}

uint64_t
sim_log_used(const struct sim *sim)
{
	uint64_t used = 0;

	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		if (node->life != SIM_NODE_UP)
			continue;
		const struct node_status *status = sim_node_status(node);
		if (status->log_area_bytes != 0)
			used = max_u64(used, status->log_used_bytes * 100 / status->log_area_bytes);
	}
	return used;
}

/* A log area of a data node is so full that client commands, or a replica's copies of superseded
 * blocks, no longer fit: without checkpoints that is where service ends; with them it has to go on.
 * Clients slow down before, unless the seed wants to see it. */
static bool
is_log_full(struct sim *sim)
{
	const uint64_t used = sim_log_used(sim);

	sim->swarm.think_factor = 1;
	if (!sim->swarm.is_log_small && sim->swarm.checkpoint_pages == 0 && used >= 25)
		sim->swarm.think_factor = used < 40 ? 3 : used < 55 ? 10 : 40;
	/* Nobody is slowed down for a learner, nor for who is cut off the master: whoever waits for
	 * one writes less than it can take. */
	if (sim->faults.is_healed && sim->pull.node != 0)
		sim->swarm.think_factor = 40;
	if (sim->faults.is_healed && !sim_member_is_settled(sim))
		sim->swarm.think_factor = 400;
	return sim->swarm.checkpoint_pages == 0 &&
	       (used > 93 || sim->counts.of[SIM_COUNT_log_full_refusals] != 0);
}

/* There is a master, and it has all copies that this topology promises. */
static bool
is_whole(struct sim *sim)
{
	static const enum core_mode modes[] = {
		[SIM_TOPOLOGY_2W] = CORE_MODE_DUPLEX,
		[SIM_TOPOLOGY_3] = CORE_MODE_MAJORITY,
		[SIM_TOPOLOGY_1] = CORE_MODE_SOLO,
		[SIM_TOPOLOGY_2W_GUEST] = CORE_MODE_DUPLEX,
		[SIM_TOPOLOGY_JOINT] = CORE_MODE_DUPLEX,
		[SIM_TOPOLOGY_WITNESS] = CORE_MODE_DUPLEX,
		[SIM_TOPOLOGY_EXCHANGE] = CORE_MODE_DUPLEX,
		[SIM_TOPOLOGY_FORCE] = CORE_MODE_DUPLEX,
	};
	const struct sim_node *master = sim_master(sim);
	enum core_mode mode = modes[sim->options.topology];

	if ((sim->options.topology == SIM_TOPOLOGY_JOINT ||
	     sim->options.topology == SIM_TOPOLOGY_FORCE) &&
	    sim_bits(sim_voters(sim)) == 3)
		mode = CORE_MODE_MAJORITY;
	return master != NULL && master->view.mode == mode && sim_member_is_settled(sim);
}

static bool
has_progress(const struct sim *sim)
{
	return sim->counts.of[SIM_COUNT_acknowledged_writes] >= sim->phase_acks + PROGRESS_ACKS;
}

void
sim_phase_begins(struct sim *sim)
{
	sim->phase_since_ns = sim->now_ns;
	sim->phase_acks = sim->counts.of[SIM_COUNT_acknowledged_writes];
}

static void
phase_enter(struct sim *sim, enum sim_phase phase)
{
	static const char *const texts[] = {
		[SIM_PHASE_FAULTS] = "faults",       [SIM_PHASE_HEALED] = "healed",
		[SIM_PHASE_DRAIN] = "drain",         [SIM_PHASE_ONE_FAULT] = "one fault",
		[SIM_PHASE_LAST_HEAL] = "last heal", [SIM_PHASE_LAST_DRAIN] = "last drain",
		[SIM_PHASE_IDLE] = "idle",           [SIM_PHASE_FORCE] = "force",
		[SIM_PHASE_OVER] = "over",
	};

	sim_say(sim, "phase: %s", texts[phase]);
	sim->phase = phase;
	sim_phase_begins(sim);
}

/* One node or one link fails and nothing else. */
static void
one_fault(struct sim *sim)
{
	static const enum sim_fault_kind kinds[5] = { SIM_FAULT_CRASH_DATA, SIM_FAULT_ISOLATE,
						      SIM_FAULT_CUT_PAIR, SIM_FAULT_ONE_WAY,
						      SIM_FAULT_DISK_STUCK };
	/* A hanging disk with the only longer log stops a pair, and must not stop three. */
	const uint32_t count = sim_bits(sim_voters(sim)) > 2 ? 5 : 4;
	const enum sim_fault_kind kind = kinds[prng_below(&sim->prng, count)];
	const uint32_t nodes = kind == SIM_FAULT_DISK_STUCK ? sim->data_count : sim->node_count;

	if (sim->node_count == 1) { /* its death ends service: it comes back at once */
		sim_count(sim, SIM_COUNT_crashes);
		sim_node_crash(&sim->nodes[0]);
		sim_node_start(&sim->nodes[0]);
		return;
	}
	sim_fault_begin(sim, SIM_EPISODES_MAX - 1, kind, (uint32_t)prng_below(&sim->prng, nodes),
			UINT64_MAX);
}

/* In it the slowest device writes two checkpoints, gives one, and starts from it. */
static uint64_t
phase_bound_ns(const struct sim *sim)
{
	return 150 * sim->swarm.timer_ns + 500 * SIM_MS;
}

/* The register that a node alone rested on, and the log of the other, which is up and knows that it
 * has forgotten. */
static bool
has_register_and_log_lost(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->data_count; i++)
		if (sim->nodes[i].life != SIM_NODE_UP)
			return false;
	return sim->counts.of[SIM_COUNT_witnesses_lost] != 0 &&
	       sim->counts.of[SIM_COUNT_rot_of_all] != 0;
}

static void
phase_late(struct sim *sim, const char *wanted)
{
	char text[500];
	int used = 0;

	if (sim->now_ns < sim->phase_since_ns + phase_bound_ns(sim))
		return;
	/* Too many forgot: the rest is safe, and stands still, which an operator has to end. */
	if ((sim->swarm.volatile_mask != 0 || sim->counts.of[SIM_COUNT_storage_lost] != 0 ||
	     has_register_and_log_lost(sim)) &&
	    !sim_check_is_electable(sim, NULL)) {
		sim_count(sim, SIM_COUNT_forgotten_for_good);
		phase_enter(sim, SIM_PHASE_OVER);
		return;
	}
	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		const struct core_view *view = &node->view;
		const uint64_t base =
		    node->life == SIM_NODE_UP ? runtime_base_index(node->runtime) : 0;
		used += snprintf(
		    text + used, sizeof(text) - (size_t)used,
		    "; node %u: state %d role %d mode %d serving %d (%llu,%u) last "
		    "%llu durable %llu commit %llu base %llu voters %llx learners %llx",
		    i + 1, (int)node->life, (int)view->role, (int)view->mode, view->is_serving,
		    (unsigned long long)view->term, view->epoch,
		    (unsigned long long)view->last_index, (unsigned long long)view->durable_index,
		    (unsigned long long)view->commit_index, (unsigned long long)base,
		    (unsigned long long)view->members.voters,
		    (unsigned long long)view->members.learners);
		if (used >= (int)sizeof(text))
			break;
	}
	sim_fail(sim, "liveness", "%s%s", wanted, text);
}

/* All is done, and every node has had turns for what the last one left it. */
static bool
is_at_rest(struct sim *sim)
{
	if (!sim_client_is_idle(sim) || !sim_check_is_converged(sim) || !is_whole(sim) ||
	    !sim_leak_is_settled(sim))
		sim->drained_ns = 0;
	else if (sim->drained_ns == 0)
		sim->drained_ns = sim->now_ns;
	return sim->drained_ns != 0 && sim->now_ns - sim->drained_ns >= 2 * sim->swarm.timer_ns;
}

void
sim_phase_turn(struct sim *sim)
{
	if (is_log_full(sim) && sim->phase >= SIM_PHASE_HEALED) {
		sim_count(sim, SIM_COUNT_log_full_runs);
		phase_enter(sim, SIM_PHASE_OVER); /* safety was checked all along */
		return;
	}
	switch (sim->phase) {
	case SIM_PHASE_FAULTS:
		if (sim->now_ns < sim->swarm.faults_end_ns)
			break;
		phase_enter(sim, SIM_PHASE_HEALED);
		sim_fault_heal_all(sim);
		break;
	case SIM_PHASE_HEALED:
	case SIM_PHASE_LAST_HEAL:
		if (is_whole(sim) && has_progress(sim)) {
			phase_enter(sim, sim->phase == SIM_PHASE_HEALED ? SIM_PHASE_DRAIN
									: SIM_PHASE_LAST_DRAIN);
			sim_client_drain(sim);
		} else {
			phase_late(sim, "all is healed, but no whole master with progress");
		}
		break;
	case SIM_PHASE_DRAIN:
	case SIM_PHASE_LAST_DRAIN:
		if (!is_at_rest(sim)) {
			phase_late(sim, sim_client_is_idle(sim) ? "the nodes do not converge"
								: "clients wait without end");
			break;
		}
		sim_check_final(sim);
		if (sim->phase == SIM_PHASE_LAST_DRAIN) {
			sim_count(sim, SIM_COUNT_complete_runs);
			phase_enter(sim, sim->options.topology == SIM_TOPOLOGY_FORCE
					     ? SIM_PHASE_FORCE
					     : SIM_PHASE_IDLE);
			break;
		}
		phase_enter(sim, SIM_PHASE_ONE_FAULT);
		if (!sim_strike_takes(sim) && !sim_pull_takes(sim))
			one_fault(sim);
		sim_client_resume(sim);
		break;
	case SIM_PHASE_ONE_FAULT:
		if (sim_strike_is_open(sim)) {
			if (sim->now_ns < sim->phase_since_ns + phase_bound_ns(sim))
				break;
			sim_strike_give_up(sim);
			sim_phase_begins(sim);
			one_fault(sim);
		} else if (sim_pull_is_done(sim) && has_progress(sim) &&
			   sim->now_ns > sim->phase_since_ns + sim->swarm.timer_ns) {
			phase_enter(sim, SIM_PHASE_LAST_HEAL);
			sim_fault_heal_all(sim);
		} else {
			phase_late(sim, "one fault, and no progress");
		}
		break;
	case SIM_PHASE_IDLE:
		if (sim_idle_act(sim))
			phase_enter(sim, SIM_PHASE_OVER);
		else if (sim->idle.victim != 0)
			phase_late(sim, "the newest block of one node rotted");
		break;
	case SIM_PHASE_FORCE:
		if (sim_force_act(sim))
			phase_enter(sim, SIM_PHASE_OVER);
		break;
	case SIM_PHASE_OVER:
		break;
	}
}
