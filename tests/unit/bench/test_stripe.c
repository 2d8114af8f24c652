/* SPDX-License-Identifier: Apache-2.0 */
/* The store beside its devices: what is counted is what is written, for every geometry and size.
 * Times are not looked at. */
#include "control/bench/stripe.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"

#define DURATION_NS 1000000u

static char text[512];

static void
check_point(struct stripe_geometry geometry, const struct bench_stripe_point *point)
{
	const double pages = stripe_group_cells(geometry, point->group_pages);
	const double written = point->blocks_per_s * pages * PAGE_BYTES;

	assert_true(point->blocks_per_s > 0 && point->raw_bytes_per_s > 0);
	assert_true(point->group_pages * PAGE_BYTES >= point->block_bytes);
	assert_true(written > point->device_bytes_per_s * 0.999);
	assert_true(written < point->device_bytes_per_s * 1.001);
}

static void
test_geometries(void **state)
{
	static const struct stripe_geometry geometries[] = {
		{ 1, 0 }, { 1, 1 }, { 2, 1 }, { 3, 2 }, { 1, 0 }
	};
	struct bench_stripe bench;
	struct bench_stripe_result result;

	(void)state;
	assert_true(bench_stripe_open(&bench, ".", 5, text, sizeof(text)));
	/* One after the other on the same files: none minds what another one left there. */
	for (size_t i = 0; i < sizeof(geometries) / sizeof(geometries[0]); i++) {
		if (!bench_stripe_measure(&bench, geometries[i], DURATION_NS, &result, text,
					  sizeof(text)))
			fail_msg("%u+%u: %s", geometries[i].k, geometries[i].m, text);
		for (uint32_t size = 0; size < BENCH_STRIPE_SIZES; size++)
			check_point(geometries[i], &result.points[size]);
		assert_non_null(strstr(result.mode, "O_DIRECT"));
		assert_true(result.writes > 0 && result.writes == result.durable_writes);
	}
	bench_stripe_close(&bench);
	(void)snprintf(text, sizeof(text), "bench-disk-%d", (int)getpid());
	assert_int_not_equal(access(text, F_OK), 0);
}

static void
test_no_directory(void **state)
{
	struct bench_stripe bench;

	(void)state;
	assert_false(bench_stripe_open(&bench, "./nowhere", 3, text, sizeof(text)));
	assert_non_null(strstr(text, "nowhere"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_geometries),
		cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
