/* SPDX-License-Identifier: Apache-2.0 */
/* Kills either side of a memif under load, again and again: the survivor lives, and traffic
 * returns. The rounds may be set by TERN_KILL_ROUNDS. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/base/prng.h"
#include "tests/support/check.h"
#include "tests/unit/nic_dpdk/nic_node.h"

#define ROUNDS           60u
#define IDLE_PORT_ROUNDS 12u
#define WARM_ROUNDS      6u

static uint64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void
kill_rounds(uint32_t rounds, bool has_idle_port)
{
	static struct node_pair pair;
	uint64_t opened_us = 0, linked_us = 0, linked_us_max = 0;
	uint64_t descriptors[3] = { 0 };
	struct prng prng;

	prng_seed(&prng, 7);
	pair_open(&pair, 8972);
	pair.is_heavy = true;
	pair.has_idle_port = has_idle_port;
	pair_start(&pair, NODE_A);
	pair_start(&pair, NODE_B);
	assert_true(pair_wait_traffic(&pair, 100));
	for (uint32_t round = 0; round < rounds; round++) {
		/* First one side is killed many times, then the other, then at random, so that each
		 * survivor sees a series of them. */
		const uint32_t third = round * 3 / rounds;
		const uint32_t victim = third == 0 ? NODE_B
					: third == 1
					    ? NODE_A
					    : (uint32_t)prng_between(&prng, NODE_A, NODE_B);
		const uint32_t other = NODE_A + NODE_B - victim;

		pair_sleep_ms((uint32_t)prng_below(&prng, 20));
		(void)pair_kill(&pair, victim);
		if (prng_below(&prng, 2) == 0)
			pair_sleep_ms((uint32_t)prng_below(&prng, 50));
		assert_true(pair_is_alive(&pair, other));
		const uint64_t start = now_us();
		pair_start(&pair, victim);
		while (atomic_load(&pair.pages[victim]->phase) == NODE_STARTING &&
		       pair_is_alive(&pair, victim))
			pair_sleep_ms(1);
		const uint64_t opened = now_us();
		assert_true(pair_wait_traffic(&pair, 200));
		const uint64_t linked = now_us();
		opened_us += opened - start;
		linked_us += linked - opened;
		if (linked - opened > linked_us_max)
			linked_us_max = linked - opened;
		assert_int_equal(atomic_load(&pair.pages[NODE_A]->bad), 0);
		assert_int_equal(atomic_load(&pair.pages[NODE_B]->bad), 0);
		if (round == WARM_ROUNDS || (third != 0 && round == rounds / 3 + WARM_ROUNDS))
			descriptors[other] = atomic_load(&pair.pages[other]->descriptors);
		if (third < 2 && descriptors[other] != 0)
			/* A survivor does not collect descriptors (a few come and go). */
			assert_true(atomic_load(&pair.pages[other]->descriptors) <=
				    descriptors[other] + 4);
	}
	(void)printf("kills=%u open_ms=%" PRIu64 " link_ms=%" PRIu64 " link_ms_max=%" PRIu64 "\n",
		     rounds, opened_us / rounds / 1000, linked_us / rounds / 1000,
		     linked_us_max / 1000);
	assert_int_equal(pair_stop(&pair, NODE_A), 0);
	assert_int_equal(pair_stop(&pair, NODE_B), 0);
	pair_close(&pair);
}

static void
test_kill(void **state)
{
	const char *asked = getenv("TERN_KILL_ROUNDS");

	(void)state;
	kill_rounds(asked != NULL ? (uint32_t)strtoul(asked, NULL, 10) : ROUNDS, false);
}

/* With another port that is down the interrupt thread is held all the time. */
static void
test_kill_beside_idle_port(void **state)
{
	(void)state;
	kill_rounds(IDLE_PORT_ROUNDS, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_kill),
					    cmocka_unit_test(test_kill_beside_idle_port) };

	pair_need_memif();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
