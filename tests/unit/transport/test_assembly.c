/* SPDX-License-Identifier: Apache-2.0 */
/* What the receiver asks for again, and when. */
#include "tests/support/check.h"

#include <stdlib.h>

#include "dataplane/base/bits.h"
#include "dataplane/transport/transport_internal.h"

#define FETCH_AFTER_NS 200000u
#define UNITS          6u

static struct assembly *
assembly_make(void)
{
	const struct assembly_config config = { .block_pages_max = 4,
						.blocks_max = 16,
						.fetch_after_ns = FETCH_AFTER_NS };
	void *memory = aligned_alloc(64, align_up_u64(assembly_bytes(&config), 64));
	struct assembly *assembly;

	assert_non_null(memory);
	assembly_init(memory, &config, &assembly);
	assembly_accept(assembly, 1, 0);
	return assembly;
}

/* @units units of block @log_index come, which is two pages long, as all are. */
static void
units_come(struct assembly *assembly, uint64_t log_index, uint32_t units, uint64_t now_ns)
{
	const struct fragment_hdr fragment = { .log_index = log_index,
					       .page_lsn = (log_index - 1) * 2,
					       .block_pages = 2,
					       .block_units = UNITS,
					       .unit_count = units,
					       .last_unit_bytes = 100 };

	assert_int_equal(assembly_offer(assembly, &fragment, 500, now_ns), ASSEMBLY_TAKE);
	assembly_mark(assembly, &fragment);
}

static void
block_come(struct assembly *assembly, uint64_t log_index, uint64_t now_ns)
{
	struct assembly_block block;

	units_come(assembly, log_index, UNITS, now_ns);
	assert_true(assembly_next(assembly, &block));
	assert_int_equal(block.log_index, log_index);
}

/* Block @log_index, of which nothing is there, is asked for at @due_ns, and not before. */
static void
check_due(struct assembly *assembly, uint64_t log_index, uint64_t due_ns)
{
	struct fetch fetch;

	assert_false(assembly_fetch(assembly, 0, due_ns - 1, &fetch));
	assert_true(assembly_fetch(assembly, 0, due_ns, &fetch));
	assert_int_equal(fetch.range_count, 1);
	assert_int_equal(fetch.ranges[0].log_index, log_index);
	assert_int_equal(fetch.ranges[0].unit_count, 0);
}

/* A block for which there is no room is asked for again, each time later; though all of it comes
 * each time. */
static void
test_no_room_is_not_asked_for_at_full_speed(void **state)
{
	struct assembly *assembly = assembly_make();
	uint64_t now_ns = 1000;

	(void)state;
	for (uint32_t n = 1; n <= 300; n++) {
		block_come(assembly, 1, now_ns);
		assembly_defer(assembly, now_ns);
		now_ns += (uint64_t)FETCH_AFTER_NS << min_u32(n, ASSEMBLY_BACKOFF_MAX);
		check_due(assembly, 1, now_ns);
	}
	assert_int_equal(assembly_stats(assembly).blocks_deferred, 300);
	assert_int_equal(assembly_stats(assembly).blocks_rejected, 0);
	free(assembly);
}

/* One that is damaged is wanted at once, and so is what follows a block that found room at last. */
static void
test_what_is_wanted_at_once(void **state)
{
	struct assembly *assembly = assembly_make();
	struct fetch fetch;
	uint64_t now_ns = 1000;

	(void)state;
	for (uint32_t n = 0; n < 3; n++) {
		block_come(assembly, 1, now_ns);
		assembly_defer(assembly, now_ns);
	}
	block_come(assembly, 1, now_ns);
	assembly_reject(assembly, now_ns);
	now_ns += FETCH_AFTER_NS;
	check_due(assembly, 1, now_ns);
	block_come(assembly, 1, now_ns);
	assembly_defer(assembly, now_ns);
	block_come(assembly, 1, now_ns);
	assembly_take(assembly);
	units_come(assembly, 2, 1, now_ns);
	assert_true(assembly_fetch(assembly, 0, now_ns + FETCH_AFTER_NS, &fetch));
	assert_int_equal(fetch.ranges[0].log_index, 2);
	assert_int_equal(fetch.ranges[0].unit_first, 1);
	free(assembly);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_room_is_not_asked_for_at_full_speed),
		cmocka_unit_test(test_what_is_wanted_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
