/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults that are aimed at a change of the voters, which is joint for a moment only. While faults
 * rage they strike at random moments of it. And when all is healed, one fault alone strikes at the
 * moment that the seed drew, and stays: service has to go on (I10, and nothing less than an
 * election and a commit shows it).
 */
#include "tests/sim/sim.h"

enum moment {
	MOMENT_APPENDED = 0, /* and a while later */
	MOMENT_FIRST_HELD,   /* one node besides the master holds the block, the other, which does
			      * not hear the master any more, does not */
	MOMENT_COMMITTED,    /* the master knows that it is committed, and nobody else does */
	MOMENTS,
};

enum aimed {
	AIMED_CRASH = 0,
	AIMED_ISOLATE,
	AIMED_CUT, /* off the data nodes; the witness still hears it */
	AIMED_KINDS,
};

struct sim_strike {
	struct prng prng;
	uint32_t strikes;
	bool is_open; /* the one fault waits for its moment */
	enum moment moment;
	uint32_t cut_node;             /* 1 + index; 0: none */
	uint32_t deaf_node, mute_node; /* the same: the former hears nothing of the latter */
};

void
sim_strike_create(struct sim *sim)
{
	sim->strike = sim_take(sizeof(*sim->strike));
	prng_seed(&sim->strike->prng, (sim->seed + 11) * 0xd6e8feb86659fd93ULL);
}

/* ---- off all other data nodes ---- */

static void
cut(struct sim *sim, uint32_t node, int delta)
{
	for (uint32_t path = 0; path < SIM_PATHS; path++)
		for (uint32_t other = 0; other < sim->data_count; other++) {
			if (other == node)
				continue;
			sim_net_cut(sim, path, node, other, delta);
			sim_net_cut(sim, path, other, node, delta);
		}
}

static void
deafen(struct sim *sim, int delta)
{
	const struct sim_strike *aim = sim->strike;

	for (uint32_t path = 0; path < SIM_PATHS; path++)
		sim_net_cut(sim, path, aim->mute_node - 1, aim->deaf_node - 1, delta);
}

void
sim_strike_heal(struct sim *sim)
{
	struct sim_strike *aim = sim->strike;

	if (aim->cut_node != 0)
		cut(sim, aim->cut_node - 1, -1);
	if (aim->deaf_node != 0)
		deafen(sim, -1);
	aim->cut_node = aim->deaf_node = 0;
}

static void
cut_off(struct sim *sim, uint32_t number, uint32_t node)
{
	const struct sim_limits *limits = &sim->options.limits;

	if (sim_limits_without(limits, SIM_FAULT_ISOLATE) || sim_limits_skips(limits, number) ||
	    (limits->spared >> node & 1) != 0 || sim->strike->cut_node != 0)
		return;
	sim_say(sim, "aimed: node %u is cut off the data nodes", node + 1);
	sim_count(sim, SIM_COUNT_aimed_cuts);
	sim->strike->cut_node = node + 1;
	cut(sim, node, 1);
}

static void
strike(struct sim *sim, uint32_t number, enum aimed kind, uint32_t node, uint64_t length_ns)
{
	if (kind == AIMED_CUT)
		cut_off(sim, number, node);
	else
		sim_fault_begin(sim, number,
				kind == AIMED_ISOLATE    ? SIM_FAULT_ISOLATE
				: node < sim->data_count ? SIM_FAULT_CRASH_DATA
							 : SIM_FAULT_CRASH_WITNESS,
				node, length_ns);
}

/* ---- the one fault ---- */

bool
sim_strike_takes(struct sim *sim)
{
	struct sim_strike *aim = sim->strike;

	if (sim->options.topology != SIM_TOPOLOGY_JOINT || prng_below(&aim->prng, 4) == 0)
		return false;
	aim->is_open = true;
	const uint64_t die = prng_below(&aim->prng, 5);
	aim->moment = die < 2 ? MOMENT_FIRST_HELD : die < 4 ? MOMENT_COMMITTED : MOMENT_APPENDED;
	sim_member_turn_about(sim);
	return true;
}

bool
sim_strike_is_open(const struct sim *sim)
{
	return sim->strike->is_open;
}

void
sim_strike_give_up(struct sim *sim)
{
	sim->strike->is_open = false;
	sim_strike_heal(sim);
}

static void
strike_alone(struct sim *sim, enum aimed kind, uint32_t node)
{
	struct sim_strike *aim = sim->strike;

	aim->is_open = false;
	sim_count(sim, SIM_COUNT_aimed_faults);
	strike(sim, SIM_EPISODES_MAX - 1, kind, node, UINT64_MAX);
	sim_phase_begins(sim);
}

void
sim_strike_now(struct sim *sim, uint64_t token)
{
	if (sim->strike->is_open)
		strike_alone(sim, (enum aimed)(token >> 8), (uint32_t)token & 255);
}

/* Not in the middle of a turn. */
static void
strike_at(struct sim *sim, uint64_t at_ns, enum aimed kind, uint32_t node)
{
	sim_push(sim, at_ns, SIM_EVENT_MEMBER, 2, (uint64_t)kind << 8 | node);
}

/* A while later, mostly soon. */
static void
strike_later(struct sim *sim, uint32_t master)
{
	struct sim_strike *aim = sim->strike;
	const uint64_t span_ns = sim->swarm.timer_ns / 4 >> prng_below(&aim->prng, 12);
	const uint64_t die = prng_below(&aim->prng, 8);
	enum aimed kind = (enum aimed)prng_below(&aim->prng, AIMED_KINDS);
	uint32_t node = master;

	if (die == 0) {
		node = sim->data_count;
		kind = (enum aimed)prng_below(&aim->prng, AIMED_CUT);
	} else if (die < 4) {
		node = (master + 1 + (uint32_t)prng_below(&aim->prng, 2)) % sim->data_count;
	}
	strike_at(sim, sim->now_ns + prng_below(&aim->prng, span_ns + 1), kind, node);
}

/* What master there is, whoever serves. */
static const struct sim_node *
joint_master(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		if (node->life == SIM_NODE_UP && node->view.role == CORE_MASTER &&
		    node->view.is_joint)
			return node;
	}
	return NULL;
}

/* One of the others does not hear the master any more, mostly the one that comes or goes. */
static void
deafen_one(const struct sim_node *master)
{
	struct sim *sim = master->sim;
	struct sim_strike *aim = sim->strike;
	const struct core_view *view = &master->view;
	const uint64_t changing = view->members.voters ^ view->committed_members.voters;
	uint32_t node = (master->index + 1 + (uint32_t)prng_below(&aim->prng, 2)) % sim->data_count;

	if (prng_below(&aim->prng, 4) != 0 && changing != UINT64_C(1) << master->id)
		node = (uint32_t)__builtin_ctzll(changing) - 1;
	aim->mute_node = master->index + 1;
	aim->deaf_node = node + 1;
	deafen(sim, 1);
}

static void
look(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct sim_strike *aim = sim->strike;
	const struct core_view *view = &node->view, *before = &node->before;
	const bool is_master = view->role == CORE_MASTER;
	const struct sim_node *master = joint_master(sim);

	switch (aim->moment) {
	case MOMENT_APPENDED:
		if (is_master && view->is_joint && !before->is_joint)
			strike_later(sim, node->index);
		return;
	case MOMENT_FIRST_HELD:
		if (is_master && view->is_joint && !before->is_joint && aim->deaf_node == 0)
			deafen_one(node);
		if (!is_master && view->is_joint && !before->is_joint && master != NULL)
			strike_at(sim, sim->now_ns,
				  (enum aimed)prng_between(&aim->prng, AIMED_ISOLATE, AIMED_CUT),
				  master->index);
		return;
	case MOMENT_COMMITTED:
		if (is_master && !view->is_joint && before->is_joint && before->role == CORE_MASTER)
			strike_at(sim, sim->now_ns,
				  prng_below(&aim->prng, 2) != 0
				      ? AIMED_CUT
				      : (enum aimed)prng_below(&aim->prng, AIMED_CUT),
				  node->index);
		return;
	case MOMENTS:
		return;
	}
}

/* ---- among many faults ---- */

static void
strike_among(struct sim_node *master)
{
	struct sim *sim = master->sim;
	struct sim_strike *aim = sim->strike;
	const uint32_t number = 2 * SIM_EPISODES_MAX + aim->strikes;
	const uint64_t delay_ns = prng_below(&aim->prng, sim->swarm.timer_ns / 20);
	const uint64_t die = prng_below(&aim->prng, 4);

	if (sim->faults.is_healed || aim->strikes >= SIM_EPISODES_MAX || die == 0)
		return;
	aim->strikes++;
	if (die != 3) {
		sim_push(sim, sim->now_ns + delay_ns, SIM_EVENT_FAULT, 0,
			 SIM_FAULT_TOKEN_FOLLOW_UP + number);
		return;
	}
	const uint32_t other =
	    (master->index + 1 + (uint32_t)prng_below(&aim->prng, 2)) % sim->data_count;
	strike(sim, number, (enum aimed)prng_below(&aim->prng, AIMED_CUT), other,
	       sim->swarm.timer_ns / 4 + prng_below(&aim->prng, 4 * sim->swarm.timer_ns));
}

void
sim_strike_turn(struct sim_node *node)
{
	const struct core_view *view = &node->view;

	if (view->role == CORE_MASTER && view->is_joint && !node->before.is_joint)
		strike_among(node);
	if (node->sim->strike->is_open)
		look(node);
}
