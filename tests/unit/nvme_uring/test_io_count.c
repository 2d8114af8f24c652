/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "hw/nvme_uring/io_count.h"

static void
test_buckets_hold_what_falls_into_them(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < IO_BUCKETS; i++) {
		const uint64_t last = io_bucket_ns(i);
		assert_int_equal(io_bucket(last), i);
		if (i + 1 < IO_BUCKETS) {
			assert_int_equal(io_bucket(last + 1), i + 1);
			assert_true(io_bucket_ns(i + 1) > last);
			/* Beyond the first steps a bucket is an eighth of its octave at most. */
			if (i >= 8)
				assert_true(io_bucket_ns(i + 1) - last <= last / 8 + 1);
		}
	}
	assert_int_equal(io_bucket(0), 0);
	assert_int_equal(io_bucket(UINT64_MAX), IO_BUCKETS - 1);
	/* Ten minutes are told apart from longer ones. */
	assert_true(io_bucket(600000000000) < IO_BUCKETS - 1);
}

static void
test_kinds_are_counted_apart(void **state)
{
	static struct io_cell cell;
	struct io_counts counts;

	(void)state;
	io_begin(&cell);
	io_begin(&cell);
	io_begin(&cell);
	io_end(&cell, DISK_WRITE, 8192, 50000, true);
	io_end(&cell, DISK_READ, 4096, 70000, true);
	io_read(&cell, &counts);
	assert_int_equal(counts.in_flight, 1);
	assert_int_equal(counts.writes.count, 1);
	assert_int_equal(counts.writes.bytes, 8192);
	assert_int_equal(counts.writes.ns, 50000);
	assert_int_equal(counts.writes.buckets[io_bucket(50000)], 1);
	assert_int_equal(counts.reads.count, 1);
	assert_int_equal(counts.reads.bytes, 4096);
	assert_int_equal(counts.reads.buckets[io_bucket(70000)], 1);
	assert_int_equal(counts.reads.buckets[io_bucket(50000)], 0);
	io_end(&cell, DISK_WRITE, 4096, 1, false);
	io_read(&cell, &counts);
	assert_int_equal(counts.in_flight, 0);
	assert_int_equal(counts.writes.errors, 1);
	assert_int_equal(counts.writes.count, 1);
	assert_int_equal(counts.writes.buckets[0], 0);
	assert_int_equal(counts.reads.errors, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets_hold_what_falls_into_them),
		cmocka_unit_test(test_kinds_are_counted_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
