/* SPDX-License-Identifier: Apache-2.0 */
/* Episodes: faults that begin, last for a while and end. */
#include "tests/sim/sim.h"
#include "tests/sim/sim_hazard.h"

/* The numbers of what happens once, and the salt of an episode's end. */
#define NUMBER_HEAL (SIM_EPISODES_MAX * SIM_EPISODE_ROUNDS)
#define NUMBER_END  (2u * NUMBER_HEAL)

#define LOSE_TIMERS 6u /* until the others have elected one of them, most of the time */

/* Whatever is drawn for episode @number depends on the seed and on it alone. */
static void
fault_seed(struct sim *sim, uint32_t number)
{
	prng_seed(&sim->fault_prng, (sim->seed + 1) * 0x9e3779b97f4a7c15ULL ^ number);
}

static bool
fault_chance(struct sim *sim, uint32_t ppm)
{
	return prng_below(&sim->fault_prng, 1000000) < ppm;
}

/* Log-uniform in [low, low * 2^octaves). */
static uint64_t
draw_log(struct sim *sim, uint64_t low, uint32_t octaves)
{
	const uint64_t shift = prng_below(&sim->fault_prng, octaves);

	return (low << shift) + prng_below(&sim->fault_prng, low << shift);
}

static uint32_t
pick_data_node(struct sim *sim)
{
	const struct sim_node *master = sim_master(sim);
	const bool is_master = fault_chance(sim, 500000);
	const uint32_t node = (uint32_t)prng_below(&sim->fault_prng, sim->data_count);

	return is_master && master != NULL ? master->index : node;
}

static uint32_t
pick_other(struct sim *sim, uint32_t node)
{
	if (sim->node_count == 1)
		return node;
	return (node + 1 + (uint32_t)prng_below(&sim->fault_prng, sim->node_count - 1)) %
	       sim->node_count;
}

/* Two data nodes. */
static void
pick_data_pair(struct sim *sim, struct sim_episode *episode)
{
	episode->node = 0;
	episode->other = 1;
	if (sim->data_count <= 2)
		return;
	episode->node = (uint32_t)prng_below(&sim->fault_prng, sim->data_count);
	episode->other =
	    (episode->node + 1 + (uint32_t)prng_below(&sim->fault_prng, sim->data_count - 1)) %
	    sim->data_count;
}

/* Another data node than @node; its id. */
static uint16_t
pick_target(struct sim *sim, const struct sim_node *node)
{
	uint32_t step = 1;

	if (sim->data_count > 2)
		step += (uint32_t)prng_below(&sim->fault_prng, sim->data_count - 1);
	return sim->nodes[(node->index + step) % sim->data_count].id;
}

/* Cuts or heals what @episode names. */
static void
episode_cut(struct sim *sim, const struct sim_episode *episode, int delta)
{
	const uint32_t a = episode->node, b = episode->other;

	for (uint32_t path = 0; path < SIM_PATHS; path++) {
		if (episode->class_ == SIM_FAULT_CUT_PATH && path != episode->path)
			continue;
		sim_net_cut(sim, path, a, b, delta);
		if (episode->class_ != SIM_FAULT_ONE_WAY)
			sim_net_cut(sim, path, b, a, delta);
		for (uint32_t c = 0; c < sim->node_count; c++) {
			if ((episode->class_ != SIM_FAULT_ISOLATE &&
			     episode->class_ != SIM_FAULT_LOSE_TAIL) ||
			    c == a || c == b)
				continue;
			sim_net_cut(sim, path, a, c, delta);
			sim_net_cut(sim, path, c, a, delta);
		}
	}
}

static void
data_port_set(struct sim_node *node, bool is_up)
{
	node->ports[0].is_up = is_up;
	if (node->life == SIM_NODE_UP) {
		runtime_set_data_port(node->runtime, is_up);
		sim_node_wake(node, node->sim->now_ns);
	}
}

static void
restart(struct sim_node *node)
{
	if (node->life == SIM_NODE_DOWN)
		return;
	sim_node_crash(node);
	sim_node_start(node);
}

/* Its devices answer again. */
static void
unhang(struct sim_node *node)
{
	if (node->disk.is_waited_for)
		sim_node_start(node);
}

static void
hang_others(struct sim *sim, const struct sim_node *node, uint64_t until_ns)
{
	for (uint32_t i = 0; i < sim->data_count; i++) {
		if (i == node->index)
			continue;
		sim->nodes[i].disk.stuck_until_ns = until_ns;
		if (until_ns == 0)
			unhang(&sim->nodes[i]);
	}
}

/* One of its devices is the target from now on. */
static struct sim_disk *
struck(struct sim_node *node)
{
	sim_disk_aim(&node->disk);
	return &node->disk;
}

static void
begin_node(struct sim *sim, struct sim_episode *episode, uint64_t length_ns)
{
	struct sim_node *node = &sim->nodes[episode->node];

	switch ((enum sim_fault_kind)episode->class_) {
	case SIM_FAULT_CRASH_DATA:
	case SIM_FAULT_CRASH_WITNESS:
		sim_count(sim,
			  sim_node_is_data(node) ? SIM_COUNT_crashes : SIM_COUNT_witness_crashes);
		sim_node_crash(node);
		break;
	case SIM_FAULT_CRASH_ALL:
		sim_count(sim, SIM_COUNT_crashes_of_all);
		for (uint32_t i = 0; i < sim->node_count; i++)
			sim_node_crash(&sim->nodes[i]);
		break;
	case SIM_FAULT_PAUSE:
		sim_count(sim, SIM_COUNT_pauses);
		node->paused_until_ns = sim->now_ns + length_ns;
		/* What came meanwhile waits for it, or was more than its ports could keep. */
		if (fault_chance(sim, 500000))
			node->deaf_until_ns = node->paused_until_ns;
		break;
	case SIM_FAULT_DISK_SLOW:
		sim_count(sim, SIM_COUNT_disk_slow);
		struck(node)->slow_factor = draw_log(sim, 4, 8); /* up to 1,024 */
		break;
	case SIM_FAULT_DISK_STUCK:
		sim_count(sim, SIM_COUNT_disk_stuck);
		struck(node)->stuck_until_ns =
		    length_ns == UINT64_MAX ? UINT64_MAX : sim->now_ns + length_ns;
		break;
	case SIM_FAULT_DISK_ERROR:
		struck(node)->fail_next = 1;
		node->disk.fail_how = SIM_FAIL_NOTHING;
		break;
	case SIM_FAULT_DATA_PORT:
		sim_count(sim, SIM_COUNT_data_port_downs);
		data_port_set(node, false);
		break;
	case SIM_FAULT_SWITCHOVER:
		if (node->life == SIM_NODE_UP && node->view.role == CORE_MASTER) {
			sim_count(sim, SIM_COUNT_switchovers);
			sim_client_switchover(sim, node, pick_target(sim, node));
		}
		break;
	case SIM_FAULT_STOP:
		if (node->life == SIM_NODE_UP) {
			sim_count(sim, SIM_COUNT_graceful_stops);
			runtime_stop(node->runtime);
			sim_node_wake(node, sim->now_ns);
		}
		break;
	case SIM_FAULT_LOSE_TAIL:
		sim_count(sim, SIM_COUNT_lost_tails);
		for (uint32_t i = 0; i < sim->data_count; i++) {
			if (i != node->index)
				restart(&sim->nodes[i]);
		}
		break;
	case SIM_FAULT_LOSE_MASTER:
		sim_count(sim, SIM_COUNT_lost_masters);
		hang_others(sim, node, sim->now_ns + length_ns);
		restart(node);
		break;
	case SIM_FAULT_CUT_PAIR:
	case SIM_FAULT_CUT_PATH:
	case SIM_FAULT_ONE_WAY:
	case SIM_FAULT_ISOLATE:
	case SIM_FAULT_KINDS:
		break;
	}
}

/* Each direction of each pair has to be cut in some seed. */
static void
count_one_way(struct sim *sim, const struct sim_episode *episode)
{
	static const enum sim_count_kind kinds[3][3] = {
		{ SIM_COUNT_one_way_cuts, SIM_COUNT_one_way_1_2, SIM_COUNT_one_way_1_3 },
		{ SIM_COUNT_one_way_2_1, SIM_COUNT_one_way_cuts, SIM_COUNT_one_way_2_3 },
		{ SIM_COUNT_one_way_3_1, SIM_COUNT_one_way_3_2, SIM_COUNT_one_way_cuts },
	};

	if (episode->node < 3 && episode->other < 3)
		sim_count(sim, kinds[episode->node][episode->other]);
}

static void
begin_cut(struct sim *sim, struct sim_episode *episode)
{
	switch ((enum sim_fault_kind)episode->class_) {
	case SIM_FAULT_CUT_PAIR:
		sim_count(sim, SIM_COUNT_partitions);
		break;
	case SIM_FAULT_CUT_PATH:
		sim_count(sim, SIM_COUNT_path_cuts);
		break;
	case SIM_FAULT_ONE_WAY:
		sim_count(sim, SIM_COUNT_one_way_cuts);
		count_one_way(sim, episode);
		break;
	case SIM_FAULT_ISOLATE:
	case SIM_FAULT_LOSE_TAIL:
		sim_count(sim, SIM_COUNT_isolations);
		break;
	case SIM_FAULT_CRASH_DATA:
	case SIM_FAULT_CRASH_WITNESS:
	case SIM_FAULT_CRASH_ALL:
	case SIM_FAULT_PAUSE:
	case SIM_FAULT_DISK_SLOW:
	case SIM_FAULT_DISK_STUCK:
	case SIM_FAULT_DISK_ERROR:
	case SIM_FAULT_DATA_PORT:
	case SIM_FAULT_SWITCHOVER:
	case SIM_FAULT_STOP:
	case SIM_FAULT_LOSE_MASTER:
	case SIM_FAULT_KINDS:
		return;
	}
	episode_cut(sim, episode, 1);
}

static bool
is_left_out(const struct sim *sim, const struct sim_episode *episode)
{
	const struct sim_limits *limits = &sim->options.limits;

	return sim_limits_without(limits, episode->class_) ||
	       sim_limits_skips(limits, episode->number) ||
	       (limits->spared >> episode->node & 1) != 0;
}

/* The links that @episode is about. */
static void
pick_links(struct sim *sim, struct sim_episode *episode)
{
	episode->other = pick_other(sim, episode->node);
	episode->path = (uint32_t)prng_below(&sim->fault_prng, SIM_PATHS);
	if (episode->class_ == SIM_FAULT_CUT_PATH && episode->path == 0)
		pick_data_pair(sim, episode); /* the witness has no data port */
	else if (episode->class_ == SIM_FAULT_CUT_PAIR && fault_chance(sim, 400000))
		pick_data_pair(sim, episode);
}

static bool
is_of_crashes(uint32_t class_)
{
	return class_ == SIM_FAULT_CRASH_DATA || class_ == SIM_FAULT_CRASH_WITNESS ||
	       class_ == SIM_FAULT_CRASH_ALL || class_ == SIM_FAULT_STOP ||
	       class_ == SIM_HAZARD_CRASH_TWO || class_ == SIM_HAZARD_ROT_ALL ||
	       class_ == SIM_HAZARD_RESTART_LOOP || class_ == SIM_HAZARD_RESTART ||
	       class_ == SIM_HAZARD_CRASH_AT_WRITE;
}

void
sim_fault_begin(struct sim *sim, uint32_t number, uint32_t class_, uint32_t node,
		uint64_t length_ns)
{
	for (uint32_t i = 0; i < SIM_EPISODES; i++) {
		struct sim_episode *episode = &sim->faults.episodes[i];
		if (episode->is_on)
			continue;
		*episode = (struct sim_episode){
			.is_on = true,
			.class_ = class_,
			.number = number,
			.node = node,
		};
		pick_links(sim, episode);
		episode->is_left_out = is_left_out(sim, episode);
		if (length_ns != UINT64_MAX)
			sim_push(sim, sim->now_ns + length_ns, SIM_EVENT_HEAL, 0, i);
		if (episode->is_left_out)
			return;
		sim_count(sim, SIM_COUNT_episodes_struck);
		sim_say(sim, "fault %u: %s, node %u (other %u, path %u) for %llu us", number,
			sim_class_name(class_), episode->node + 1, episode->other + 1,
			episode->path, (unsigned long long)(length_ns / SIM_US));
		if (sim_memory_is_fault(sim, class_) && !is_of_crashes(class_))
			sim_memory_fault(sim); /* crashes count one by one */
		if (class_ >= SIM_FAULT_KINDS) {
			sim_hazard_begin(sim, episode);
		} else {
			begin_node(sim, episode, length_ns);
			begin_cut(sim, episode);
		}
		return;
	}
}

void
sim_fault_strike(struct sim *sim, uint32_t number, uint32_t class_, uint32_t node,
		 uint64_t length_ns)
{
	fault_seed(sim, number);
	sim_fault_begin(sim, number, class_, node, length_ns);
}

static uint64_t
draw_length_ns(struct sim *sim)
{
	return draw_log(sim, sim->swarm.timer_ns / 16, 8) * sim->options.limits.strength /
	       SIM_STRENGTH_FULL;
}

/* What follows an episode strikes the master. */
void
sim_fault_follow_up(struct sim *sim, uint32_t number)
{
	const struct sim_node *master = sim_master(sim);

	fault_seed(sim, number);
	const uint64_t length_ns = draw_length_ns(sim);
	const enum sim_fault_kind kind =
	    fault_chance(sim, 500000) ? SIM_FAULT_CRASH_DATA : SIM_FAULT_ISOLATE;
	if (!sim->faults.is_healed && master != NULL &&
	    (sim->node_count > 1 || kind == SIM_FAULT_CRASH_DATA))
		sim_fault_begin(sim, number, kind, master->index, length_ns);
}

void
sim_fault_next(struct sim *sim)
{
	const struct sim_swarm *swarm = &sim->swarm;
	const uint32_t number = sim->faults.scheduled;

	if (sim->faults.is_healed || number + 1 >= SIM_EPISODES_MAX)
		return;
	sim->faults.scheduled++;
	sim_count(sim, SIM_COUNT_episodes);
	fault_seed(sim, number);
	uint64_t length_ns = draw_length_ns(sim);
	uint64_t die = prng_below(&sim->fault_prng, swarm->weight_sum);
	uint32_t kind = 0;
	for (; kind + 1 < SIM_EPISODE_CLASSES && die >= swarm->weights[kind]; kind++)
		die -= swarm->weights[kind];
	sim_push(sim,
		 sim->now_ns + swarm->gap_ns / 8 + prng_below(&sim->fault_prng, 2 * swarm->gap_ns),
		 SIM_EVENT_FAULT, 0, SIM_FAULT_TOKEN_NEXT);
	if (kind == SIM_FAULT_PAUSE) /* 1 ms to a minute, or until all is healed */
		length_ns =
		    draw_log(sim, SIM_MS, 16) * sim->options.limits.strength / SIM_STRENGTH_FULL;
	uint32_t node = pick_data_node(sim);
	if (kind == SIM_FAULT_CRASH_WITNESS)
		node = sim->data_count;
	else if (kind == SIM_HAZARD_LOSE_STORAGE && sim_master(sim) == &sim->nodes[node])
		node = (node + 1) % sim->data_count;
	else if ((kind == SIM_FAULT_PAUSE || kind == SIM_FAULT_ISOLATE ||
		  kind == SIM_FAULT_CUT_PAIR || kind == SIM_FAULT_ONE_WAY ||
		  sim_hazard_is_of_any(kind)) &&
		 sim->node_count > sim->data_count && fault_chance(sim, 250000))
		node = sim->data_count;
	if ((kind == SIM_FAULT_LOSE_TAIL || kind == SIM_FAULT_LOSE_MASTER) &&
	    swarm->memory_ppm != 0) {
		sim->faults.lose_kind = (enum sim_fault_kind)kind;
		sim->faults.lose_ns = length_ns;
		sim->faults.lose_number = number;
	} else {
		sim_fault_begin(sim, number, kind, node, length_ns);
	}
}

/* The others hold something that is not flushed: with hanging disks they cannot campaign, and their
 * refusal is all that is between the restarted master and its election. */
static bool
have_tails(const struct sim *sim, uint32_t node)
{
	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct core_view *view = &sim->nodes[i].view;
		if (i != node && (sim_voters(sim) >> sim->nodes[i].id & 1) != 0 &&
		    view->durable_index >= view->last_index)
			return false;
	}
	return true;
}

/* Of what the master has applied ahead, the others have something in memory only: when they
 * restart, it is the one that holds it, and will have to roll it back. */
static bool
would_lose(const struct sim *sim, uint32_t node)
{
	const uint64_t applied = sim->nodes[node].view.applied_index;

	for (uint32_t i = 0; i < sim->data_count; i++)
		if (i != node && sim->nodes[i].view.durable_index >= applied)
			return false;
	return true;
}

void
sim_fault_look(struct sim *sim, uint32_t node)
{
	const struct core_view *view = &sim->nodes[node].view;

	if (sim->faults.lose_ns == 0 || sim->faults.is_losing || view->role != CORE_MASTER ||
	    view->applied_index <= view->commit_index ||
	    !(sim->faults.lose_kind == SIM_FAULT_LOSE_MASTER ? have_tails(sim, node)
							     : would_lose(sim, node)))
		return;
	sim->faults.is_losing = true;
	sim_push(sim, sim->now_ns, SIM_EVENT_FAULT, node, SIM_FAULT_TOKEN_LOSE);
}

void
sim_fault_lose(struct sim *sim, uint32_t node)
{
	const uint64_t elected_ns =
	    LOSE_TIMERS * sim->swarm.timer_ns * sim->options.limits.strength / SIM_STRENGTH_FULL;
	uint64_t length_ns = sim->faults.lose_ns;

	sim->faults.lose_ns = 0;
	sim->faults.is_losing = false;
	fault_seed(sim, sim->faults.lose_number ^ NUMBER_END);
	if (sim->faults.lose_kind == SIM_FAULT_LOSE_TAIL && fault_chance(sim, 500000))
		length_ns = max_u64(length_ns, elected_ns);
	if (!sim->faults.is_healed)
		sim_fault_begin(sim, sim->faults.lose_number, sim->faults.lose_kind, node,
				length_ns);
}

static void
end_node(struct sim *sim, const struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	switch ((enum sim_fault_kind)episode->class_) {
	case SIM_FAULT_CRASH_ALL:
		for (uint32_t i = 0; i < sim->node_count; i++)
			sim_node_start(&sim->nodes[i]);
		break;
	case SIM_FAULT_DISK_ERROR:
		if (node->disk.has_failed)
			sim_node_crash(node); /* it stopped by itself; somebody starts it again */
		node->disk.fail_next = 0;
		sim_node_start(node);
		break;
	case SIM_FAULT_STOP:
		sim_node_crash(node);
		sim_node_start(node);
		break;
	case SIM_FAULT_CRASH_DATA:
	case SIM_FAULT_CRASH_WITNESS:
		sim_node_start(node);
		break;
	case SIM_FAULT_DISK_SLOW:
		node->disk.slow_factor = 1;
		unhang(node);
		break;
	case SIM_FAULT_DISK_STUCK:
		node->disk.stuck_until_ns = 0;
		unhang(node);
		break;
	case SIM_FAULT_LOSE_MASTER:
		hang_others(sim, node, 0);
		break;
	case SIM_FAULT_DATA_PORT:
		data_port_set(node, true);
		break;
	case SIM_FAULT_PAUSE:
		node->paused_until_ns = 0;
		node->deaf_until_ns = 0;
		sim_node_wake(node, sim->now_ns);
		break;
	case SIM_FAULT_CUT_PAIR:
	case SIM_FAULT_CUT_PATH:
	case SIM_FAULT_ONE_WAY:
	case SIM_FAULT_ISOLATE:
	case SIM_FAULT_LOSE_TAIL:
		episode_cut(sim, episode, -1);
		break;
	case SIM_FAULT_SWITCHOVER:
	case SIM_FAULT_KINDS:
		break;
	}
}

void
sim_fault_end(struct sim *sim, uint64_t number)
{
	struct sim_episode *episode = &sim->faults.episodes[number];

	if (!episode->is_on)
		return;
	episode->is_on = false;
	fault_seed(sim, episode->number ^ NUMBER_END);
	if (!episode->is_left_out) {
		sim_say(sim, "fault %u ends", episode->number);
		if (episode->class_ >= SIM_FAULT_KINDS)
			sim_hazard_end(sim, episode);
		else
			end_node(sim, episode);
	}
	const uint32_t next = episode->number + SIM_EPISODES_MAX;
	if (sim->swarm.is_follow_up && !sim->faults.is_healed && fault_chance(sim, 400000) &&
	    next < NUMBER_HEAL)
		sim_push(sim, sim->now_ns + prng_below(&sim->fault_prng, sim->swarm.timer_ns / 2),
			 SIM_EVENT_FAULT, 0, SIM_FAULT_TOKEN_FOLLOW_UP + next);
}

void
sim_fault_repeat(struct sim *sim, uint64_t token)
{
	struct sim_episode *episode = &sim->faults.episodes[token % SIM_EPISODES];

	if (!episode->is_on || episode->number != token / SIM_EPISODES)
		return;
	fault_seed(sim, episode->number ^ (uint32_t)(sim->now_ns * 0x9e3779b1u) << 12);
	sim_hazard_repeat(sim, episode);
}

void
sim_fault_heal_all(struct sim *sim)
{
	fault_seed(sim, NUMBER_HEAL);
	const bool is_restart = fault_chance(sim, 400000) && sim->swarm.volatile_mask == 0;

	sim->faults.is_healed = true;
	sim_strike_heal(sim);
	sim_pull_heal(sim);
	for (uint32_t i = 0; i < SIM_EPISODES; i++)
		sim_fault_end(sim, i);
	for (uint32_t i = 0; i < sim->node_count; i++) {
		sim_note_heal(&sim->nodes[i]);
		sim_wrong_heal(&sim->nodes[i]);
		if (is_restart)
			sim_node_crash(&sim->nodes[i]);
		sim_node_start(&sim->nodes[i]);
	}
}
