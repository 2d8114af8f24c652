/* SPDX-License-Identifier: Apache-2.0 */
/* Appending, sealing, walking, the ring's and the area's limits. */
#include "dataplane/base/bits.h"
#include "tests/unit/cmdlog/rig.h"

#include <string.h>

#define SMALL_MAX 16384u

static void
test_seal_and_walk(void **state)
{
	/* Value sizes around the places where a command meets a page's end. */
	static const uint32_t sizes[] = {
		0, 1, 7, 8, 24, 100, 1000, 3840, 3968, 4000, 9000, 16000
	};
	struct rig rig;
	uint64_t number = 0;

	(void)state;
	rig_make(&rig, SMALL_MAX + 512, 256, 1000);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const uint64_t first = number;
		const uint32_t count =
		    3 * (sizes[i] + 100) < CMDLOG_BLOCK_BYTES_TARGET - PAGE_BYTES ? 3 : 1;
		for (uint32_t n = 0; n < count; n++)
			assert_int_equal(rig_append(&rig, number++, sizes[i]), TERN_OK);
		assert_int_equal(cmdlog_open_count(rig.log), count);
		const struct block_meta meta = rig_seal(&rig, 5, 2);
		assert_int_equal(meta.log_index, i + 1);
		assert_int_equal(meta.term, 5);
		assert_int_equal(meta.epoch, 2);
		const uint8_t *block = cmdlog_resident(rig.log, meta.log_index);
		assert_non_null(block);
		assert_int_equal(rig_walk(&rig, block, first), count);
		assert_int_equal(cmdlog_check_read(rig.log, meta.log_index, block), TERN_OK);
		rig_flush(&rig, 0);
		cmdlog_set_applied(rig.log, meta.log_index);
	}
	rig_free(&rig);
}

static void
test_many_small_commands_straddle(void **state)
{
	struct rig rig;
	uint64_t number = 0;

	(void)state;
	rig_make(&rig, SMALL_MAX, 256, 1000);
	while (rig_append(&rig, number, 40 + (uint32_t)number % 60) == TERN_OK)
		number++;
	assert_true(number > CMDLOG_BLOCK_BYTES_TARGET / 160);
	/* The block reached its target: it is sealed, and the command fits into the next one. */
	rig_seal(&rig, 1, 0);
	assert_int_equal(rig_walk(&rig, cmdlog_resident(rig.log, 1), 0), number);
	assert_int_equal(rig_append(&rig, number, 40), TERN_OK);
	struct cmdlog_location location;
	assert_true(cmdlog_locate(rig.log, 1, &location));
	assert_int_equal(location.pages, CMDLOG_BLOCK_BYTES_TARGET / PAGE_BYTES);
	assert_int_equal(location.first_cell, UINT64_MAX);
	rig_free(&rig);
}

static void
test_largest_command(void **state)
{
	const uint32_t max = 1024 * 1024 + 256;
	struct rig rig;

	(void)state;
	rig_make(&rig, max, 2200, 4000);
	for (uint64_t i = 0; i < 12; i++) { /* laps the ring */
		assert_int_equal(rig_append(&rig, 2 * i, 100), TERN_OK);
		/* A large command gets a block of its own. */
		assert_int_equal(rig_append(&rig, 2 * i + 1, 1024 * 1024), TERN_ERR_QUEUE_FULL);
		const uint64_t small = rig_seal(&rig, 1, 0).log_index;
		assert_int_equal(rig_append(&rig, 2 * i + 1, 1024 * 1024), TERN_OK);
		assert_int_equal(rig_append(&rig, 9, 5000), TERN_ERR_QUEUE_FULL);
		const uint64_t large = rig_seal(&rig, 1, 0).log_index;
		assert_int_equal(rig_walk(&rig, cmdlog_resident(rig.log, small), 2 * i), 1);
		assert_int_equal(rig_walk(&rig, cmdlog_resident(rig.log, large), 2 * i + 1), 1);
		rig_flush(&rig, 0);
		cmdlog_set_applied(rig.log, large);
	}
	assert_int_equal(rig_append(&rig, 1, max), TERN_ERR_TOO_LARGE);
	for (uint64_t i = 1; i <= 24; i++) {
		struct cmdlog_location location;
		assert_true(cmdlog_locate(rig.log, i, &location));
		const uint8_t *bytes = rig_block_at(&rig, &location);
		assert_int_equal(cmdlog_check_read(rig.log, i, bytes), TERN_OK);
		assert_int_equal(rig_walk(&rig, bytes, i - 1), 1);
	}
	assert_null(cmdlog_resident(rig.log, 1));
	assert_non_null(cmdlog_resident(rig.log, 24));
	rig_free(&rig);
}

static void
test_unused_bytes_are_zero(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, SMALL_MAX, 128, 1000);
	rig_block(&rig, 1, 0, 8);
	const uint8_t *page = cmdlog_resident(rig.log, 1);
	struct page_content content;
	assert_int_equal(page_content_open(page, &content), TERN_OK);
	for (uint32_t i = content.used_bytes; i < PAGE_PAYLOAD_BYTES; i++)
		assert_int_equal(page[PAGE_PAYLOAD_OFFSET + i], 0);
	rig_free(&rig);
}

static void
test_time_rises_and_chain_links(void **state)
{
	struct rig rig;
	struct hash128 chain = { 0 };
	uint64_t time_ns = 0;

	(void)state;
	rig_make(&rig, SMALL_MAX, 256, 1000);
	static const uint64_t walls[] = { 100, 50, 100, 101, 7 };
	for (size_t i = 0; i < 5; i++) {
		const struct cmdlog_seal seal = { .term = 1 + i,
						  .kind = BLOCK_BARRIER,
						  .wall_ns = walls[i],
						  .commit_index = i / 2 };
		struct block_meta meta;
		struct block_hdr hdr;
		assert_int_equal(cmdlog_seal(rig.log, &seal, &meta), TERN_OK);
		const uint8_t *payload = cmdlog_resident(rig.log, i + 1) + PAGE_PAYLOAD_OFFSET;
		assert_int_equal(block_hdr_decode(payload, &hdr), TERN_OK);
		assert_true(hdr.time_ns > time_ns);
		assert_true(hash128_equal(hdr.prev_chain, chain));
		assert_int_equal(hdr.page_lsn, i);
		assert_int_equal(hdr.commit_index, i / 2);
		time_ns = hdr.time_ns;
		chain = meta.chain;
	}
	assert_int_equal(time_ns, 104);
	rig_free(&rig);
}

static void
test_discard_forgets_the_open_block(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, SMALL_MAX, 128, 1000);
	assert_int_equal(rig_append(&rig, 77, 5000), TERN_OK);
	cmdlog_open_discard(rig.log);
	assert_int_equal(cmdlog_open_count(rig.log), 0);
	rig_block(&rig, 1, 5, 10);
	assert_int_equal(rig_walk(&rig, cmdlog_resident(rig.log, 1), 5), 1);
	rig_free(&rig);
}

static void
test_ring_full(void **state)
{
	struct rig rig;
	uint64_t number = 0;

	(void)state;
	rig_make(&rig, SMALL_MAX, 128, 1000);
	while (rig_append(&rig, number, 3000) == TERN_OK) {
		rig_seal(&rig, 1, 0);
		number++;
	}
	assert_int_equal(number, 128); /* one page each */
	assert_int_equal(cmdlog_stats(rig.log).ring_full, 1);
	/* Not even a barrier may overwrite what is not durable. */
	const struct cmdlog_seal barrier = { .term = 1, .kind = BLOCK_BARRIER };
	struct block_meta meta;
	assert_int_equal(cmdlog_seal(rig.log, &barrier, &meta), TERN_ERR_QUEUE_FULL);
	assert_int_equal(cmdlog_credit_end_page(rig.log), 128);

	/* Durable, not applied: barriers pass, commands wait. */
	rig_flush(&rig, 0);
	assert_int_equal(rig_append(&rig, number, 3000), TERN_ERR_QUEUE_FULL);
	assert_int_equal(cmdlog_credit_end_page(rig.log), 128 + 64);
	assert_int_equal(cmdlog_seal(rig.log, &barrier, &meta), TERN_OK);
	assert_null(cmdlog_resident(rig.log, 1));
	assert_non_null(cmdlog_resident(rig.log, 2));

	cmdlog_set_applied(rig.log, 10);
	for (int i = 0; i < 9; i++) /* ten pages came free, one went to the barrier */
		rig_block(&rig, 1, number++, 3000);
	assert_int_equal(rig_append(&rig, number, 3000), TERN_ERR_QUEUE_FULL);
	rig_free(&rig);
}

static void
test_area_keeps_a_reserve(void **state)
{
	struct rig rig;
	uint64_t number = 0;
	enum tern_err err;

	(void)state;
	rig_make(&rig, SMALL_MAX, 128, 200);
	while ((err = rig_append(&rig, number, 3000)) == TERN_OK) {
		number++;
		rig_seal(&rig, 1, 0);
		rig_flush(&rig, number);
		cmdlog_set_applied(rig.log, number);
	}
	assert_int_equal(err, TERN_ERR_LOG_FULL);
	assert_int_equal(number, 190);
	assert_true(cmdlog_has_reserve(rig.log, 10));
	assert_false(cmdlog_has_reserve(rig.log, 11));
	for (int i = 0; i < 9; i++) {
		rig_barrier(&rig, 2, 0);
		rig_flush(&rig, number);
	}
	/* A record that the log's going on rests on is no client's command. */
	assert_int_equal(rig_append(&rig, number, 100), TERN_ERR_LOG_FULL);
	assert_int_equal(rig_append_reserved(&rig, number, 100), TERN_OK);
	rig_seal(&rig, 2, 0);
	rig_flush(&rig, number + 9);
	assert_int_equal(rig_append_reserved(&rig, number, 100), TERN_ERR_LOG_FULL);
	const struct cmdlog_seal barrier = { .term = 2, .kind = BLOCK_BARRIER };
	struct block_meta meta;
	cmdlog_set_applied(rig.log, 200);
	assert_int_equal(cmdlog_seal(rig.log, &barrier, &meta), TERN_ERR_LOG_FULL);
	assert_int_equal(cmdlog_stats(rig.log).end_cell, 200);
	rig_free(&rig);
}

static void
test_superseded_cells_count(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, SMALL_MAX, 128, 100);
	for (uint64_t i = 0; i < 90; i++)
		rig_block(&rig, 1, i, 3000);
	rig_flush(&rig, 0);
	cmdlog_cut(rig.log, 10);
	for (uint64_t i = 0; i < 5; i++)
		rig_block(&rig, 2, i, 3000);
	assert_int_equal(rig_append(&rig, 9, 3000), TERN_ERR_LOG_FULL);
	/* What was cut before it was written takes no cells. */
	cmdlog_cut(rig.log, 10);
	for (uint64_t i = 0; i < 5; i++)
		rig_block(&rig, 3, i, 3000);
	assert_int_equal(rig_append(&rig, 9, 3000), TERN_ERR_LOG_FULL);
	rig_free(&rig);
}

/* The oldest rules that apply a block: those that move the ids of sessions for GEN blocks only. */
static void
test_machine_versions(void **state)
{
	struct cmdlog_seal seal = { .term = 1, .kind = BLOCK_CONFIG };
	uint8_t copy[PAGE_BYTES], scratch[SMALL_MAX];
	struct cmdlog_cursor cursor;
	struct block_meta meta;
	struct block_hdr hdr;
	struct rig rig;

	(void)state;
	rig_make(&rig, SMALL_MAX, 128, 100);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(rig_append(&rig, i, 8), TERN_OK);
		seal.kind = i == 0 ? BLOCK_COMMANDS : BLOCK_CONFIG;
		seal.is_gen = i == 2;
		assert_int_equal(cmdlog_seal(rig.log, &seal, &meta), TERN_OK);
		const uint8_t *block = cmdlog_resident(rig.log, meta.log_index);
		assert_int_equal(
		    cmdlog_cursor_begin(&cursor, block, scratch, sizeof(scratch), &hdr), TERN_OK);
		assert_int_equal(hdr.machine_version, i == 2 ? BLOCK_RULES_IDS : BLOCK_RULES_FIRST);
	}
	assert_int_equal(BLOCK_RULES_FIRST, 1);
	assert_int_equal(BLOCK_RULES_IDS, 2);
	memcpy(copy, cmdlog_resident(rig.log, meta.log_index), sizeof(copy));
	hdr.machine_version = CMDLOG_MACHINE_VERSION + 1;
	block_hdr_encode(copy + PAGE_PAYLOAD_OFFSET, &hdr);
	assert_int_equal(cmdlog_cursor_begin(&cursor, copy, scratch, sizeof(scratch), &hdr),
			 TERN_ERR_VERSION);
	seal.kind = BLOCK_COMMANDS;
	assert_int_equal(rig_append(&rig, 3, 8), TERN_OK);
	expect_assert_failure((void)!cmdlog_seal(rig.log, &seal, &meta));
	rig_free(&rig);
}

static void
test_misuse_is_refused(void **state)
{
	const struct cmdlog_seal commands = { .term = 1, .kind = BLOCK_COMMANDS };
	const struct cmdlog_seal barrier = { .term = 1, .kind = BLOCK_BARRIER };
	struct log_group group;
	struct block_meta meta;
	struct rig rig;

	(void)state;
	rig_make(&rig, SMALL_MAX, 128, 100);
	expect_assert_failure((void)!cmdlog_seal(rig.log, &commands, &meta));
	rig_block(&rig, 2, 0, 8);
	expect_assert_failure((void)!cmdlog_seal(rig.log, &barrier, &meta)); /* the term falls */
	expect_assert_failure(cmdlog_group_done(rig.log, 0));
	assert_true(rig_group_next(&rig, 1, 0, &group));
	expect_assert_failure(cmdlog_cut(rig.log, 0)); /* a group is in flight */
	cmdlog_group_done(rig.log, group.slot);
	expect_assert_failure(cmdlog_group_done(rig.log, group.slot));
	cmdlog_set_applied(rig.log, 1);
	expect_assert_failure(cmdlog_cut(rig.log, 0)); /* it is applied */
	rig_free(&rig);

	rig_make(&rig, SMALL_MAX, 128, 100);
	const uint32_t largest = max_u32(block_pages(BLOCK_HDR_BYTES + SMALL_MAX),
					 CMDLOG_BLOCK_BYTES_TARGET / PAGE_BYTES);
	rig.config.ring_bytes = (8 * largest - 1) * PAGE_BYTES; /* not 8 largest blocks */
	struct cmdlog *log;
	assert_int_equal(cmdlog_init(rig.memory, &rig.config, &log), TERN_ERR_CONFIG);
	rig.config.ring_bytes = 128 * PAGE_BYTES;
	rig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seal_and_walk),
		cmocka_unit_test(test_many_small_commands_straddle),
		cmocka_unit_test(test_largest_command),
		cmocka_unit_test(test_unused_bytes_are_zero),
		cmocka_unit_test(test_time_rises_and_chain_links),
		cmocka_unit_test(test_discard_forgets_the_open_block),
		cmocka_unit_test(test_ring_full),
		cmocka_unit_test(test_area_keeps_a_reserve),
		cmocka_unit_test(test_superseded_cells_count),
		cmocka_unit_test(test_machine_versions),
		cmocka_unit_test(test_misuse_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
