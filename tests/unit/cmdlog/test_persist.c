/* SPDX-License-Identifier: Apache-2.0 */
/* Write groups: merging, cells, identity parts, completions out of order, the group behind a cut.
 */
#include "dataplane/base/bits.h"
#include "tests/unit/cmdlog/rig.h"

#include <string.h>

#define MAX         16384u
#define GROUP_PAGES (CMDLOG_GROUP_BYTES_MAX / PAGE_BYTES)

static void
test_blocks_are_merged(void **state)
{
	struct log_group group;
	struct rig rig;

	(void)state;
	rig_make(&rig, MAX, 256, 2000);
	for (uint64_t i = 0; i < 3 + GROUP_PAGES + 2; i++)
		rig_block(&rig, 1, i, 100);
	assert_true(rig_group_next(&rig, 3, 0, &group));
	assert_int_equal(cmdlog_group_done(rig.log, group.slot), 3);
	assert_int_equal(group.first_index, 1);
	assert_int_equal(group.last_index, 3);
	assert_int_equal(group.cell, 0);
	assert_int_equal(group.pages, 3);
	assert_ptr_equal(group.bytes, cmdlog_resident(rig.log, 1));
	assert_true(rig_group_next(&rig, UINT64_MAX, 0, &group));
	assert_int_equal(group.first_index, 4);
	assert_int_equal(group.pages, GROUP_PAGES);
	assert_int_equal(group.cell, 3);
	assert_true(rig_group_next(&rig, UINT64_MAX, 0, &group));
	assert_int_equal(group.last_index, 3 + GROUP_PAGES + 2);
	assert_false(rig_group_next(&rig, UINT64_MAX, 0, &group));
	assert_int_equal(cmdlog_groups_in_flight(rig.log), 2);
	rig_free(&rig);
}

static void
test_identity_of_every_page(void **state)
{
	struct log_group group;
	struct rig rig;

	(void)state;
	rig_make(&rig, MAX, 256, 2000);
	rig_block(&rig, 1, 0, 100);
	rig_flush(&rig, 0);
	for (uint64_t i = 1; i < 6; i++)
		rig_block(&rig, 1, i, 6000);
	/* A floor beyond what is durable here cannot be true. */
	assert_true(rig_group_next(&rig, UINT64_MAX, 99, &group));
	assert_int_equal(group.pages, min_u32(10, GROUP_PAGES));
	for (uint32_t i = 0; i < group.pages; i++) {
		struct page_identity identity;
		const uint8_t *page = group.bytes + (size_t)i * PAGE_BYTES;
		assert_int_equal(page_identity_decode(page, &identity), TERN_OK);
		assert_int_equal(identity.cluster_id, RIG_CLUSTER);
		assert_int_equal(identity.node_id, RIG_NODE);
		assert_int_equal(identity.boot_no, 1);
		assert_int_equal(identity.group_seq, 2);
		assert_int_equal(identity.group_pages, group.pages);
		assert_int_equal(identity.first_cell, 1);
		assert_int_equal(identity.own_cell, 1 + i);
		assert_int_equal(identity.acked_floor, 1);
		assert_int_equal(identity.branch_group, 2);
		assert_int_equal(identity.k, 1);
		assert_int_equal(identity.m, 0);
	}
	rig_free(&rig);
}

static void
test_completions_out_of_order(void **state)
{
	static const uint32_t orders[][4] = {
		{ 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 0, 3, 2 }, { 2, 3, 0, 1 }, { 0, 3, 1, 2 }
	};
	struct log_group groups[5];
	struct rig rig;
	uint64_t index = 0;

	(void)state;
	rig_make(&rig, MAX, 256, 2000);
	index = rig_block(&rig, 1, 0, 100).log_index;
	rig_flush(&rig, 0); /* the first group of a boot is alone */
	cmdlog_set_applied(rig.log, index);
	for (size_t n = 0; n < sizeof(orders) / sizeof(orders[0]); n++) {
		bool is_done[4] = { false };
		for (uint32_t i = 0; i < 4; i++) {
			index = rig_block(&rig, 1, i, 100).log_index;
			assert_true(rig_group_next(&rig, index, 0, &groups[i]));
		}
		rig_block(&rig, 1, 9, 100);
		assert_false(rig_group_next(&rig, UINT64_MAX, 0, &groups[4]));
		for (uint32_t i = 0; i < 4; i++) {
			uint64_t durable = index - 4;
			is_done[orders[n][i]] = true;
			for (uint32_t k = 0; k < 4 && is_done[k]; k++)
				durable = groups[k].last_index;
			assert_int_equal(cmdlog_group_done(rig.log, groups[orders[n][i]].slot),
					 durable);
			assert_int_equal(cmdlog_stats(rig.log).durable_index, durable);
		}
		rig_flush(&rig, 0);
		cmdlog_set_applied(rig.log, index);
	}
	rig_free(&rig);
}

static uint32_t
branch_group(const struct log_group *group)
{
	struct page_identity identity;

	assert_int_equal(page_identity_decode(group->bytes, &identity), TERN_OK);
	return identity.branch_group;
}

static void
test_the_group_behind_a_cut_is_alone(void **state)
{
	struct log_group group, next;
	struct rig rig;

	(void)state;
	rig_make(&rig, MAX, 256, 2000);
	for (uint64_t i = 0; i < 5; i++)
		rig_block(&rig, 1, i, 100);
	rig_flush(&rig, 5);
	cmdlog_cut(rig.log, 2);
	assert_int_equal(cmdlog_stats(rig.log).durable_index, 2);
	rig_block(&rig, 2, 3, 100);
	assert_true(rig_group_next(&rig, UINT64_MAX, 5, &group));
	assert_int_equal(group.cell, 5);
	assert_int_equal(branch_group(&group), 1);
	rig_block(&rig, 2, 4, 100);
	assert_false(rig_group_next(&rig, UINT64_MAX, 5, &next));
	assert_int_equal(cmdlog_group_done(rig.log, group.slot), 3);
	assert_true(rig_group_next(&rig, UINT64_MAX, 5, &group));
	rig_block(&rig, 2, 5, 100);
	assert_true(rig_group_next(&rig, UINT64_MAX, 5, &next));
	assert_int_equal(next.cell, 7);
	assert_int_equal(branch_group(&next), 3);
	/* A tail that was never written leaves nothing to supersede. */
	cmdlog_group_done(rig.log, group.slot);
	cmdlog_group_done(rig.log, next.slot);
	rig_block(&rig, 2, 6, 100);
	cmdlog_cut(rig.log, 5);
	for (uint32_t i = 0; i < 2; i++) {
		rig_block(&rig, 3, i, 100);
		assert_true(rig_group_next(&rig, UINT64_MAX, 5, &group));
		assert_int_equal(branch_group(&group), 4 + i);
	}
	rig_free(&rig);
}

/* Cutting far back must not make new blocks look as if the ring had lost them. */
static void
test_resident_after_a_long_cut(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, MAX, 128, 2000);
	for (uint64_t i = 1; i <= 100; i++)
		rig_block(&rig, 1, i, 100);
	rig_flush(&rig, 0);
	for (uint64_t i = 101; i <= 150; i++) { /* nothing is applied: barriers may push out */
		rig_barrier(&rig, 1, (uint32_t)i);
		rig_flush(&rig, 0);
	}
	cmdlog_cut(rig.log, 10);
	assert_null(cmdlog_resident(rig.log, 10));
	for (uint64_t i = 11; i <= 100; i++) {
		rig_block(&rig, 2, i, 100);
		assert_non_null(cmdlog_resident(rig.log, i));
		assert_int_equal(rig_walk(&rig, cmdlog_resident(rig.log, i), i), 1);
	}
	struct cmdlog_location location;
	assert_true(cmdlog_locate(rig.log, 10, &location));
	assert_int_equal(cmdlog_check_read(rig.log, 10, rig_block_at(&rig, &location)), TERN_OK);
	rig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_are_merged),
		cmocka_unit_test(test_identity_of_every_page),
		cmocka_unit_test(test_completions_out_of_order),
		cmocka_unit_test(test_the_group_behind_a_cut_is_alone),
		cmocka_unit_test(test_resident_after_a_long_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
