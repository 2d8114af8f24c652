/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/histogram.h"

#include <stdlib.h>

#include "dataplane/base/prng.h"
#include "tests/support/check.h"

static int
compare_u64(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
test_empty_and_one(void **context)
{
	static struct histogram h;
	(void)context;

	assert_int_equal(histogram_at(&h, 0), 0);
	assert_int_equal(histogram_at(&h, 1000), 0);
	histogram_add(&h, 12345678);
	assert_int_equal(histogram_at(&h, 0), 12345678);
	assert_int_equal(histogram_at(&h, 500), 12345678);
	assert_int_equal(histogram_at(&h, 1000), 12345678);
	assert_int_equal(h.max, 12345678);
	expect_assert_failure(histogram_at(&h, 1001));
}

static void
test_small_values_are_exact(void **context)
{
	static struct histogram h;
	(void)context;

	for (uint64_t value = 1; value <= 60; value++)
		histogram_add(&h, value);
	assert_int_equal(histogram_at(&h, 500), 30);
	assert_int_equal(histogram_at(&h, 1000), 60);
	assert_int_equal(histogram_at(&h, 1), 1);
	assert_int_equal(h.total_count, 60);
}

/* Alone in a histogram with a larger one, each value is told at most 1/32 too high, never too low.
 */
static void
test_every_magnitude(void **context)
{
	static struct histogram h;
	(void)context;

	for (uint32_t shift = 0; shift < 64; shift++) {
		for (uint64_t step = 0; step < 64; step++) {
			const uint64_t low = 1ULL << shift;
			const uint64_t value = low + (shift > 6 ? (low >> 6) * step : step % low);
			h = (struct histogram){ 0 };
			histogram_add(&h, value);
			histogram_add(&h, UINT64_MAX);
			const uint64_t told = histogram_at(&h, 500);
			assert_true(told >= value);
			assert_true(told - value <= value / 32);
			assert_int_equal(histogram_at(&h, 1000), UINT64_MAX);
		}
	}
}

static void
test_percentiles_of_random_values(void **context)
{
	static struct histogram h, parts[2];
	const uint32_t count = 20000;
	uint64_t *values = malloc(count * sizeof(*values));
	struct prng prng;
	(void)context;

	assert_non_null(values);
	prng_seed(&prng, 5);
	for (uint32_t i = 0; i < count; i++) {
		values[i] = prng_next(&prng) >> prng_between(&prng, 20, 60);
		histogram_add(&parts[i % 2], values[i]);
	}
	histogram_merge(&h, &parts[0]);
	histogram_merge(&h, &parts[1]);
	qsort(values, count, sizeof(*values), compare_u64);
	assert_int_equal(h.total_count, count);
	assert_int_equal(h.max, values[count - 1]);
	for (uint32_t permille = 1; permille <= 1000; permille++) {
		const uint64_t exact = values[(count * (uint64_t)permille + 999) / 1000 - 1];
		const uint64_t told = histogram_at(&h, permille);
		assert_true(told >= exact && told - exact <= exact / 32);
	}
	free(values);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_and_one),
		cmocka_unit_test(test_small_values_are_exact),
		cmocka_unit_test(test_every_magnitude),
		cmocka_unit_test(test_percentiles_of_random_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
