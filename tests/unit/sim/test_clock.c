/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <stdlib.h>

#include "dataplane/base/prng.h"
#include "tests/support/check.h"

#define DRIFT_MAX_PPM 300000

static uint64_t wakes;

/* Of sim_node.c: whoever sets a clock wakes its node. */
void
sim_node_wake(struct sim_node *node, uint64_t at_ns)
{
	assert_int_equal(at_ns, node->sim->now_ns);
	wakes++;
}

struct rig {
	struct sim *sim;
	struct sim_node *node;
	struct prng prng;
};

static int
rig_make(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->sim = calloc(1, sizeof(*rig->sim));
	assert_non_null(rig->sim);
	rig->node = &rig->sim->nodes[0];
	rig->node->sim = rig->sim;
	rig->node->turn_at_ns = UINT64_MAX;
	rig->sim->node_count = 1;
	prng_seed(&rig->prng, 1);
	wakes = 0;
	*state = rig;
	return 0;
}

static int
rig_free(void **state)
{
	struct rig *rig = *state;

	free(rig->sim->queue.heap);
	free(rig->sim);
	free(rig);
	return 0;
}

/* A timer rings at the first instant at which the clock shows its time, whatever the drift, and
 * however long the clock has drifted. */
static void
test_timers_ring_when_they_are_due(void **state)
{
	struct rig *rig = *state;

	for (int64_t drift = -DRIFT_MAX_PPM; drift <= DRIFT_MAX_PPM; drift += 777) {
		rig->sim->now_ns += 1 + prng_below(&rig->prng, 1000000000);
		sim_clock_rate(rig->node, drift, false);
		for (uint32_t i = 0; i < 50; i++) {
			const uint64_t local = rig->node->clock_local_ns + 1 +
					       prng_below(&rig->prng, 1ull << (10 + i % 32));
			const uint64_t at = sim_global_ns(rig->node, local);
			assert_true(sim_local_ns(rig->node, at) >= local);
			assert_true(at > rig->sim->now_ns);
			assert_true(sim_local_ns(rig->node, at - 1) < local);
		}
	}
	assert_true(wakes > 700);
}

/* A clock that is set to another rate shows at that instant what it showed before. */
static void
test_a_clock_never_jumps(void **state)
{
	struct rig *rig = *state;
	uint64_t before = 0;

	for (uint32_t i = 0; i < 10000; i++) {
		rig->sim->now_ns += prng_below(&rig->prng, 10000000);
		const uint64_t shown = sim_clock_ops.monotonic_ns(rig->node);
		assert_true(shown >= before);
		sim_clock_rate(rig->node,
			       (int64_t)prng_below(&rig->prng, 2 * DRIFT_MAX_PPM) - DRIFT_MAX_PPM,
			       prng_below(&rig->prng, 8) == 0);
		assert_int_equal(sim_clock_ops.monotonic_ns(rig->node), shown);
		before = shown;
	}
}

static void
test_a_clock_that_stands(void **state)
{
	struct rig *rig = *state;

	rig->sim->now_ns = 5000;
	sim_clock_rate(rig->node, 0, true);
	rig->sim->now_ns = 9000;
	assert_int_equal(sim_clock_ops.monotonic_ns(rig->node), 5000);
	assert_int_equal(sim_global_ns(rig->node, 5000), 5000);
	assert_int_equal(sim_global_ns(rig->node, 5001), UINT64_MAX);
	sim_clock_rate(rig->node, 0, false);
	assert_int_equal(sim_global_ns(rig->node, 5001), 9001);
}

/* What is due first comes first; at one instant, what was asked for first. */
static void
test_events_come_in_order(void **state)
{
	struct rig *rig = *state;
	struct sim_event event, last = { 0 };
	uint64_t popped = 0;

	for (uint64_t i = 0; i < 5000; i++)
		sim_push(rig->sim, prng_below(&rig->prng, 500), SIM_EVENT_FAULT, 0, i);
	rig->node->turn_at_ns = 250;
	rig->node->turn_sequence = rig->sim->queue.sequence;
	while (sim_pop(rig->sim, &event)) {
		assert_true(
		    event.at_ns > last.at_ns ||
		    (event.at_ns == last.at_ns && (popped == 0 || event.sequence > last.sequence)));
		if (event.kind == SIM_EVENT_TURN) {
			assert_int_equal(event.at_ns, 250);
			rig->node->turn_at_ns = UINT64_MAX;
		}
		last = event;
		popped++;
	}
	assert_int_equal(popped, 5001);
	/* What was asked for in the past comes now. */
	rig->sim->now_ns = 1000;
	sim_push(rig->sim, 10, SIM_EVENT_FAULT, 0, 0);
	assert_true(sim_pop(rig->sim, &event));
	assert_int_equal(event.at_ns, 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_timers_ring_when_they_are_due, rig_make,
						rig_free),
		cmocka_unit_test_setup_teardown(test_a_clock_never_jumps, rig_make, rig_free),
		cmocka_unit_test_setup_teardown(test_a_clock_that_stands, rig_make, rig_free),
		cmocka_unit_test_setup_teardown(test_events_come_in_order, rig_make, rig_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
