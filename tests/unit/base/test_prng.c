/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/prng.h"

#include "tests/support/check.h"

/* Of the authors' xoshiro256** for the state 1, 2, 3, 4. */
static void
test_xoshiro_values(void **context)
{
	static const uint64_t expected[] = {
		11520u,
		0u,
		1509978240u,
		1215971899390074240u,
		1216172134540287360u,
		607988272756665600u,
		16172922978634559625u,
		8476171486693032832u,
		10595114339597558777u,
		2904607092377533576u,
	};
	struct prng prng = { { 1, 2, 3, 4 } };
	(void)context;

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_int_equal(prng_next(&prng), expected[i]);
}

/* Of splitmix64 for the seed 1234567. */
static void
test_seed_values(void **context)
{
	struct prng prng;
	(void)context;

	prng_seed(&prng, 1234567);
	assert_int_equal(prng.s[0], 6457827717110365317u);
	assert_int_equal(prng.s[1], 3203168211198807973u);
	assert_int_equal(prng.s[2], 9817491932198370423u);
	assert_int_equal(prng.s[3], 4593380528125082431u);
}

static void
test_ranges(void **context)
{
	uint32_t counts[10] = { 0 };
	struct prng prng;
	(void)context;

	prng_seed(&prng, 1);
	assert_int_equal(prng_below(&prng, 0), 0);
	assert_int_equal(prng_below(&prng, 1), 0);
	assert_int_equal(prng_between(&prng, 7, 7), 7);
	for (uint32_t i = 0; i < 100000; i++) {
		const uint64_t value = prng_between(&prng, 100, 109);
		assert_in_range(value, 100, 109);
		counts[value - 100]++;
	}
	/* 10000 expected, standard deviation 95: nine of them either way. */
	for (uint32_t i = 0; i < 10; i++)
		assert_in_range(counts[i], 9150, 10850);
}

static void
test_equal_seeds_equal_runs(void **context)
{
	struct prng a, b, c;
	uint32_t same = 0;
	(void)context;

	prng_seed(&a, 42);
	prng_seed(&b, 42);
	prng_seed(&c, 43);
	for (uint32_t i = 0; i < 1000; i++) {
		const uint64_t value = prng_next(&a);
		assert_int_equal(value, prng_next(&b));
		same += value == prng_next(&c);
	}
	assert_int_equal(same, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xoshiro_values),
		cmocka_unit_test(test_seed_values),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_equal_seeds_equal_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
