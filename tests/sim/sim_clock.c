/* SPDX-License-Identifier: Apache-2.0 */
/* The event queue (a binary heap, ties broken by the order of pushing) and the nodes' clocks. */
#include <stdlib.h>

#include "tests/sim/sim.h"

static bool
is_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

void
sim_push(struct sim *sim, uint64_t at_ns, enum sim_event_kind kind, uint32_t node, uint64_t token)
{
	struct sim_queue *queue = &sim->queue;

	if (queue->count == queue->capacity) {
		queue->capacity = queue->capacity == 0 ? 1024 : 2 * queue->capacity;
		queue->heap = realloc(queue->heap, queue->capacity * sizeof(*queue->heap));
		if (queue->heap == NULL)
			abort();
	}
	const struct sim_event event = {
		.at_ns = at_ns < sim->now_ns ? sim->now_ns : at_ns,
		.sequence = queue->sequence++,
		.token = token,
		.kind = kind,
		.node = node,
	};
	uint32_t at = queue->count++;
	while (at != 0) {
		const uint32_t parent = (at - 1) / 2;
		if (!is_before(&event, &queue->heap[parent]))
			break;
		queue->heap[at] = queue->heap[parent];
		at = parent;
	}
	queue->heap[at] = event;
}

/* The node whose turn is next; NULL: nobody waits for one. A node is woken, and woken for sooner,
 * far more often than anything else happens: in the heap most turns would be of no use any more. */
static struct sim_node *
next_turn(struct sim *sim)
{
	struct sim_node *next = NULL;

	for (uint32_t i = 0; i < sim->node_count; i++) {
		struct sim_node *node = &sim->nodes[i];
		if (node->turn_at_ns == UINT64_MAX)
			continue;
		if (next == NULL || node->turn_at_ns < next->turn_at_ns ||
		    (node->turn_at_ns == next->turn_at_ns &&
		     node->turn_sequence < next->turn_sequence))
			next = node;
	}
	return next;
}

static bool
pop_turn(struct sim *sim, struct sim_event *event)
{
	const struct sim_queue *queue = &sim->queue;
	const struct sim_node *node = next_turn(sim);

	if (node == NULL)
		return false;
	*event = (struct sim_event){
		.at_ns = node->turn_at_ns,
		.sequence = node->turn_sequence,
		.kind = SIM_EVENT_TURN,
		.node = node->index,
	};
	return queue->count == 0 || is_before(event, &queue->heap[0]);
}

bool
sim_pop(struct sim *sim, struct sim_event *event)
{
	struct sim_queue *queue = &sim->queue;

	if (pop_turn(sim, event))
		return true;
	if (queue->count == 0)
		return false;
	*event = queue->heap[0];
	const struct sim_event last = queue->heap[--queue->count];
	uint32_t at = 0;
	for (;;) {
		uint32_t child = 2 * at + 1;
		if (child >= queue->count)
			break;
		if (child + 1 < queue->count &&
		    is_before(&queue->heap[child + 1], &queue->heap[child]))
			child++;
		if (!is_before(&queue->heap[child], &last))
			break;
		queue->heap[at] = queue->heap[child];
		at = child;
	}
	queue->heap[at] = last;
	return true;
}

uint64_t
sim_local_ns(const struct sim_node *node, uint64_t global_ns)
{
	if (node->is_clock_frozen || global_ns <= node->clock_base_ns)
		return node->clock_local_ns;
	const uint64_t since = global_ns - node->clock_base_ns;
	const int64_t drift = (int64_t)since * node->clock_drift_ppm / 1000000;

	return node->clock_local_ns + since + (uint64_t)drift;
}

uint64_t
sim_global_ns(const struct sim_node *node, uint64_t local_ns)
{
	if (local_ns <= node->clock_local_ns)
		return node->clock_base_ns;
	if (node->is_clock_frozen)
		return UINT64_MAX;
	const uint64_t since = local_ns - node->clock_local_ns;
	const uint64_t rate = (uint64_t)(1000000 + node->clock_drift_ppm); /* in a million */
	uint64_t global =
	    node->clock_base_ns + since / rate * 1000000 + since % rate * 1000000 / rate;
	/* Off by what rounding does: a nanosecond or two. */
	while (global > node->clock_base_ns && sim_local_ns(node, global - 1) >= local_ns)
		global--;
	while (sim_local_ns(node, global) < local_ns)
		global++;
	return global;
}

void
sim_clock_rate(struct sim_node *node, int64_t drift_ppm, bool is_frozen)
{
	const uint64_t now_ns = node->sim->now_ns;

	node->clock_local_ns = sim_local_ns(node, now_ns);
	node->clock_base_ns = now_ns;
	node->clock_drift_ppm = drift_ppm;
	node->is_clock_frozen = is_frozen;
	sim_node_wake(node, now_ns); /* what it waits for may come sooner now, or not at all */
}

static uint64_t
clock_monotonic_ns(void *clock)
{
	const struct sim_node *node = clock;

	return sim_local_ns(node, node->sim->now_ns);
}

static uint64_t
clock_wall_ns(void *clock)
{
	const struct sim_node *node = clock;

	return 1700000000000000000ULL + node->sim->now_ns + (uint64_t)node->wall_skew_ns;
}

/* Nothing of a run may depend on what the code costs. */
static uint64_t
clock_cycles(void *clock)
{
	(void)clock;
	return 0;
}

const struct clock_ops sim_clock_ops = {
	.monotonic_ns = clock_monotonic_ns,
	.wall_ns = clock_wall_ns,
	.cycles = clock_cycles,
};
