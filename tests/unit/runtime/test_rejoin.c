/* SPDX-License-Identifier: Apache-2.0 */
/* The number that a node with new storage goes on with: those that it is not told of may be higher
 * than those that it is. */
#include "tests/support/check.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/runtime/runtime_internal.h"

#define NS_PER_S 1000000000u

static uint64_t wall_ns;

static uint64_t
clock_wall_ns(void *clock)
{
	(void)clock;
	return wall_ns;
}

/* The boot_no in the superblock of a node whose own start is @own when the others have answered
 * that they heard of @heard. */
static uint32_t
rejoined(uint32_t own, uint32_t heard)
{
	static const struct clock_ops ops = { .wall_ns = clock_wall_ns };
	const struct core_effect effect = { .kind = CORE_EFFECT_REJOIN,
					    .term = 9,
					    .voted_for = 2,
					    .index = heard,
					    .members = { .voters = 0xe } };
	struct runtime *rt = aligned_alloc(64, align_up_u64(sizeof(*rt), 64));

	assert_non_null(rt);
	memset(rt, 0, sizeof(*rt));
	rt->config.clock = (struct clock_port){ &ops, NULL };
	rt->superblock.boot_no = own;
	rt->superblock.shards[0].join = SUPERBLOCK_REJOINING;
	transfer_rejoin(rt, &effect);
	const uint32_t boot_no = rt->superblock.boot_no;
	assert_int_equal(rt->superblock.shards[0].join, SUPERBLOCK_FORGETFUL);
	assert_int_equal(rt->superblock.shards[0].term, 9);
	assert_true(transfer_wants_superblock(rt));
	free(rt);
	return boot_no;
}

/* Nobody who must answer has heard of it, and somebody else has: start 17 is over. */
static void
test_begins_above_what_nobody_told(void **state)
{
	(void)state;
	wall_ns = 1700000000ull * NS_PER_S + 5;
	assert_int_equal(rejoined(1, 0), 1700000000);
	/* It rejoined before, and was told of more than the clock says. */
	assert_int_equal(rejoined(1, 1700000003), 1700000003);
	assert_int_equal(rejoined(1700000009, 1700000003), 1700000009);
}

static void
test_a_clock_that_says_nothing_of_use(void **state)
{
	(void)state;
	wall_ns = 0;
	assert_int_equal(rejoined(1, 17), 17);
	wall_ns = (1ull << 31) * NS_PER_S; /* half of all numbers would be used up */
	assert_int_equal(rejoined(1, 17), 17);
	wall_ns = UINT64_MAX;
	assert_int_equal(rejoined(3, 2), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_begins_above_what_nobody_told),
		cmocka_unit_test(test_a_clock_that_says_nothing_of_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
