/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_point.h"

#include "dataplane/base/bits.h"
#include "tests/sim/sim.h"

#define EPISODES_MAX 32u
#define NUMBER_POINT (3u * SIM_EPISODES_MAX + 128u) /* behind those of sim_witness.c */
#define COUNT_MAX    4u                             /* K */
#define BOOT_CHANCE  4u                             /* of so many begin with a restart */
#define DOWN_TIMERS  4u                             /* with --crash-point, at most */

enum token { TOKEN_NEXT = 0, TOKEN_START };

struct point_of_node {
	enum { POINT_QUIET = 0, POINT_ARMED, POINT_DYING, POINT_LAST_TURN } state;
	enum sim_point_kind kind;
	enum sim_point_moment moment;
	uint32_t left; /* points until then */
	bool is_back_at_once;
};

struct sim_point {
	struct prng prng;
	struct point_of_node nodes[SIM_NODES_MAX];
	uint32_t episodes;
	uint64_t seen; /* of the node that options.point names */
};

static struct point_of_node *
point_of(const struct sim_node *node)
{
	return &node->sim->point->nodes[node->index];
}

/* ---- the drawn ones ---- */

void
sim_point_create(struct sim *sim)
{
	struct sim_point *point = sim_take(sizeof(*point));

	sim->point = point;
	prng_seed(&point->prng, (sim->seed + 17) * UINT64_C(0xc2b2ae3d27d4eb4f));
	if (sim_aim_has(sim, SIM_HAZARD_CRASH_AT_WRITE))
		sim_push(sim, prng_below(&point->prng, 2 * sim->swarm.gap_ns), SIM_EVENT_POINT, 0,
			 TOKEN_NEXT);
}

static uint32_t
pick_node(struct sim *sim)
{
	const struct sim_node *master = sim_master(sim);
	struct prng *prng = &sim->point->prng;
	const uint64_t die = prng_below(prng, 4);
	const uint32_t any = (uint32_t)prng_below(prng, sim->data_count);

	if (die == 0 && sim->node_count > sim->data_count)
		return sim->data_count;
	return die <= 2 && master != NULL ? master->index : any;
}

static void
next(struct sim *sim)
{
	struct sim_point *point = sim->point;

	if (!sim_aim_has(sim, SIM_HAZARD_CRASH_AT_WRITE) || point->episodes == EPISODES_MAX)
		return;
	const uint64_t low = sim->swarm.timer_ns / 4 << prng_below(&point->prng, 4);
	const uint32_t node = pick_node(sim);
	/* A register is written seldom. */
	const uint64_t length_ns =
	    (low + prng_below(&point->prng, low)) * (node < sim->data_count ? 1 : 8);
	sim_push(sim,
		 sim->now_ns + sim->swarm.gap_ns / 4 +
		     prng_below(&point->prng, 2 * sim->swarm.gap_ns),
		 SIM_EVENT_POINT, 0, TOKEN_NEXT);
	sim_fault_strike(sim, NUMBER_POINT + point->episodes++, SIM_HAZARD_CRASH_AT_WRITE, node,
			 length_ns * sim->options.limits.strength / SIM_STRENGTH_FULL);
}

void
sim_point_event(struct sim *sim, uint32_t node, uint64_t token)
{
	if (token == TOKEN_START)
		sim_node_start(&sim->nodes[node]);
	else
		next(sim);
}

static enum sim_point_kind
draw_kind(struct sim *sim, const struct sim_node *node)
{
	static const enum sim_point_kind kinds[8] = {
		SIM_POINT_LOG,        SIM_POINT_LOG,        SIM_POINT_LOG,
		SIM_POINT_SUPERBLOCK, SIM_POINT_SUPERBLOCK, SIM_POINT_CHECKPOINT,
		SIM_POINT_CHECKPOINT, SIM_POINT_NOTE,
	};
	const struct stripe_geometry geometry = sim->swarm.geometry;
	const enum sim_point_kind kind = kinds[prng_below(&sim->fault_prng, 8)];

	if (!sim_node_is_data(node))
		return SIM_POINT_REGISTER;
	if ((kind == SIM_POINT_CHECKPOINT && sim->swarm.checkpoint_pages == 0) ||
	    (kind == SIM_POINT_NOTE && geometry.k > geometry.m))
		return SIM_POINT_SUPERBLOCK;
	return kind;
}

void
sim_point_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];
	struct point_of_node *point = point_of(node);

	*point = (struct point_of_node){
		.state = POINT_ARMED,
		.kind = draw_kind(sim, node),
		.moment = (enum sim_point_moment)prng_below(&sim->fault_prng, SIM_POINT_MOMENTS),
		.left = (uint32_t)prng_between(&sim->fault_prng, 1,
					       sim_node_is_data(node) ? COUNT_MAX : 1),
		.is_back_at_once = prng_below(&sim->fault_prng, 2) == 0,
	};
	if (prng_below(&sim->fault_prng, BOOT_CHANCE) != 0)
		return;
	const struct point_of_node kept = *point;
	sim_count(sim, SIM_COUNT_restarts);
	sim_node_crash(node);
	*point = kept;
	sim_node_start(node);
}

void
sim_point_end(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	point_of(node)->state = POINT_QUIET;
	sim_node_start(node);
}

/* ---- points ---- */

static void
count(const struct sim_node *node, enum sim_point_kind kind, enum sim_point_moment moment)
{
	static const enum sim_count_kind kinds[SIM_POINT_KINDS][SIM_POINT_MOMENTS] = {
		[SIM_POINT_LOG] = { SIM_COUNT_crash_log_handed, SIM_COUNT_crash_log_durable,
				    SIM_COUNT_crash_log_seen },
		[SIM_POINT_SUPERBLOCK] = { SIM_COUNT_crash_superblock_handed,
					   SIM_COUNT_crash_superblock_durable,
					   SIM_COUNT_crash_superblock_seen },
		[SIM_POINT_CHECKPOINT] = { SIM_COUNT_crash_checkpoint_handed,
					   SIM_COUNT_crash_checkpoint_durable,
					   SIM_COUNT_crash_checkpoint_seen },
		[SIM_POINT_REGISTER] = { SIM_COUNT_crash_register_handed,
					 SIM_COUNT_crash_register_durable,
					 SIM_COUNT_crash_register_seen },
		[SIM_POINT_NOTE] = { SIM_COUNT_crash_note_handed, SIM_COUNT_crash_note_durable,
				     SIM_COUNT_crash_note_seen },
	};

	sim_count(node->sim, kinds[kind][moment]);
	sim_count(node->sim,
		  sim_node_is_data(node) ? SIM_COUNT_crashes : SIM_COUNT_witness_crashes);
}

static bool
is_named(const struct sim_node *node)
{
	switch (node->sim->options.point_of) {
	case SIM_POINT_OF_NOBODY:
		return false;
	case SIM_POINT_OF_MASTER:
		return sim_node_is_data(node) && node->view.role == CORE_MASTER;
	case SIM_POINT_OF_REPLICA:
		return sim_node_is_data(node) && node->view.role != CORE_MASTER;
	case SIM_POINT_OF_WITNESS:
		return !sim_node_is_data(node);
	}
	return false;
}

void
sim_point_at(struct sim_node *node, enum sim_point_kind kind, enum sim_point_moment moment)
{
	struct sim *sim = node->sim;
	struct point_of_node *point = point_of(node);
	bool is_it = false;

	if (is_named(node)) {
		is_it = ++sim->point->seen == sim->options.point;
		sim_count(sim, SIM_COUNT_points);
		point->is_back_at_once = false;
	} else if (point->state == POINT_ARMED && kind == point->kind && moment == point->moment) {
		is_it = --point->left == 0;
	}
	if (!is_it)
		return;
	sim_say(sim, "node %u crashes at a point of kind %d, moment %d", node->id, (int)kind,
		(int)moment);
	point->kind = kind;
	point->moment = moment;
	point->state = moment == SIM_POINT_SEEN ? POINT_LAST_TURN : POINT_DYING;
}

bool
sim_point_is_dying(const struct sim_node *node)
{
	return point_of(node)->state == POINT_DYING;
}

static void
die(struct sim_node *node)
{
	struct sim *sim = node->sim;
	const bool is_back_at_once = point_of(node)->is_back_at_once;

	/* What it had told the control thread of is read: that one needs no turn. */
	if (sim_node_is_data(node))
		sim_check_divergent(node);
	count(node, point_of(node)->kind, point_of(node)->moment);
	sim_node_crash(node);
	if (is_back_at_once)
		sim_node_start(node);
	else if (sim->options.point_of != SIM_POINT_OF_NOBODY)
		sim_push(sim,
			 sim->now_ns +
			     prng_below(&sim->point->prng, DOWN_TIMERS * sim->swarm.timer_ns),
			 SIM_EVENT_POINT, node->index, TOKEN_START);
}

bool
sim_point_is_dead(struct sim_node *node)
{
	if (point_of(node)->state != POINT_DYING)
		return false;
	die(node);
	return true;
}

bool
sim_point_is_over(struct sim_node *node)
{
	if (point_of(node)->state != POINT_LAST_TURN)
		return false;
	die(node);
	return true;
}

/* One that waits for its point waits for it in the next start, too. */
void
sim_point_crashed(struct sim_node *node)
{
	struct point_of_node *point = point_of(node);

	if (point->state != POINT_ARMED)
		point->state = POINT_QUIET;
}
