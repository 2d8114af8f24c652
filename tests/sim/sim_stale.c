/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica says how old a read of it can be: what was answered to anybody, in class durable,
 * longer ago than that must be in the state it shows. Judged by the simulation's own clock, at
 * every turn of a replica; between turns neither the state nor what is known of its age changes.
 */
#include "tests/sim/sim_stale.h"

#include "tests/sim/sim.h"

#define ANSWERS_MAX 262144u

struct answer { /* the highest block that was answered by then */
	uint64_t at_ns, log_index;
};

struct sim_stale {
	uint32_t count;
	struct answer answers[ANSWERS_MAX];
};

void
sim_stale_create(struct sim *sim)
{
	sim->stale = sim_take(sizeof(*sim->stale));
}

void
sim_stale_answered(struct sim *sim, uint64_t log_index)
{
	struct sim_stale *stale = sim->stale;

	if (stale->count != 0 && stale->answers[stale->count - 1].log_index >= log_index)
		return;
	if (stale->count == ANSWERS_MAX)
		sim_fail(sim, "sim", "too many answers for the checker");
	stale->answers[stale->count++] =
	    (struct answer){ .at_ns = sim->now_ns, .log_index = log_index };
}

/* The highest block that was answered at or before @at_ns. */
static struct answer
answered_by(const struct sim_stale *stale, uint64_t at_ns)
{
	uint32_t low = 0, high = stale->count;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;
		if (stale->answers[middle].at_ns <= at_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? (struct answer){ 0 } : stale->answers[low - 1];
}

void
sim_stale_turn(struct sim_node *node)
{
	const struct core_view *view = &node->view;
	struct sim *sim = node->sim;

	if (view->role != CORE_FOLLOWER || sim->has_broken_clock)
		return;
	const uint64_t age_ns = core_stale_ns(view->fresh_ns, view->echo_ns, view->elect_min_ns,
					      sim_local_ns(node, sim->now_ns));
	if (age_ns == UINT64_MAX) {
		sim_count(sim, SIM_COUNT_ages_unknown);
		return;
	}
	if (age_ns > sim->now_ns)
		return;
	const struct answer answer = answered_by(sim->stale, sim->now_ns - age_ns);
	const uint64_t shown = state_committed_index(node->state);
	sim_count(sim, SIM_COUNT_ages_checked);
	if (shown < answer.log_index)
		sim_fail(sim, "stale",
			 "node %u shows block %llu and says it is %llu us old; block %llu was "
			 "answered %llu us ago",
			 node->id, (unsigned long long)shown, (unsigned long long)age_ns / SIM_US,
			 (unsigned long long)answer.log_index,
			 (unsigned long long)(sim->now_ns - answer.at_ns) / SIM_US);
}
