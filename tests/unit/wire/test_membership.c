/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a CONFIG block, and the block that carries it. */
#include <string.h>

#include "dataplane/wire/membership.h"
#include "dataplane/wire/page.h"
#include "tests/support/check.h"

#define SET(index, voters, learners, id, gen)                 \
	{                                                     \
		index, voters, learners, id, gen, { 0, 0 }, 0 \
	}

static const struct membership birth = SET(0, 0x6, 0, 3, 1);
static const struct membership later = SET(7, 0x6, 0x30, 3, 1);

static void
test_soundness(void **state)
{
	static const struct membership sound[] = {
		SET(0, 0x2, 0, 0, 0),
		SET(0, 0x6, 0, 3, 1),
		SET(0, 0x16, 0x20, 0, 0),
		SET(0, 0x16, 0, 3, 1),
	};
	static const struct membership unsound[] = {
		SET(0, 0, 0, 3, 1),     SET(0, 0x6, 0, 0, 0),   SET(0, 0x7, 0, 0, 0),
		SET(0, 0x6, 0x2, 3, 1), SET(0, 0x6, 0x1, 3, 1), SET(0, 0x6, 0, 2, 1),
		SET(0, 0x6, 0x8, 3, 1), SET(0, 0x6, 0, 64, 1),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++)
		assert_true(membership_is_sound(&sound[i]));
	for (size_t i = 0; i < sizeof(unsound) / sizeof(unsound[0]); i++)
		assert_false(membership_is_sound(&unsound[i]));
	assert_true(membership_equal(&birth, &birth));
	assert_false(membership_equal(&birth, &later));
}

static void
test_record(void **state)
{
	uint8_t record[MEMBERSHIP_BYTES];
	struct membership next, before;

	(void)state;
	membership_encode(record, &birth, &later);
	assert_int_equal(membership_decode(record, MEMBERSHIP_BYTES, &next, &before), TERN_OK);
	assert_true(membership_equal(&next, &birth) && membership_equal(&before, &later));
	assert_int_equal(before.config_index, 7);
	for (uint32_t bytes = 0; bytes < MEMBERSHIP_BYTES; bytes++)
		assert_int_equal(membership_decode(record, bytes, &next, &before),
				 TERN_ERR_MALFORMED);
	/* Whatever bit is wrong: it is refused, or means something else. */
	for (uint32_t bit = 0; bit < 8 * MEMBERSHIP_BYTES; bit++) {
		uint8_t again[MEMBERSHIP_BYTES], other[MEMBERSHIP_BYTES];
		memcpy(other, record, sizeof(other));
		other[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (membership_decode(other, MEMBERSHIP_BYTES, &next, &before) != TERN_OK)
			continue;
		membership_encode(again, &next, &before);
		assert_memory_equal(again, other, MEMBERSHIP_BYTES);
	}
	record[8] = 3;
	assert_int_equal(membership_decode(record, MEMBERSHIP_BYTES, &next, &before),
			 TERN_ERR_VERSION);
}

static void
block_make(uint8_t *page, const struct block_hdr *hdr)
{
	membership_encode(page + PAGE_PAYLOAD_OFFSET + BLOCK_HDR_BYTES, &later, &birth);
	block_hdr_encode(page + PAGE_PAYLOAD_OFFSET, hdr);
}

static void
test_block(void **state)
{
	const struct block_hdr good = { .kind = BLOCK_CONFIG,
					.log_index = 9,
					.term = 1,
					.command_count = 1,
					.payload_bytes = BLOCK_HDR_BYTES + MEMBERSHIP_BYTES,
					.pages = 1 };
	uint8_t page[PAGE_BYTES] = { 0 };
	struct membership next, before;
	struct block_hdr hdr = good;

	(void)state;
	block_make(page, &hdr);
	assert_int_equal(membership_of_block(page, &next, &before), TERN_OK);
	assert_int_equal(next.config_index, 9);
	assert_true(membership_equal(&next, &later) && membership_equal(&before, &birth));
	hdr.kind = BLOCK_COMMANDS;
	block_make(page, &hdr);
	assert_int_equal(membership_of_block(page, &next, &before), TERN_ERR_MALFORMED);
	hdr = good;
	hdr.command_count = 2;
	block_make(page, &hdr);
	assert_int_equal(membership_of_block(page, &next, &before), TERN_ERR_MALFORMED);
	hdr = good;
	hdr.payload_bytes += 8;
	block_make(page, &hdr);
	assert_int_equal(membership_of_block(page, &next, &before), TERN_ERR_MALFORMED);
	/* A block that follows itself. */
	hdr = good;
	block_make(page, &hdr);
	membership_encode(page + PAGE_PAYLOAD_OFFSET + BLOCK_HDR_BYTES, &birth,
			  &(struct membership)SET(9, 0x6, 0, 3, 1));
	assert_int_equal(membership_of_block(page, &next, &before), TERN_ERR_MALFORMED);
	page[PAGE_PAYLOAD_OFFSET] ^= 1;
	assert_int_equal(membership_of_block(page, &next, &before), TERN_ERR_CORRUPT);
}

/* One voter of before alone, and nothing else. */
static void
test_forced(void **state)
{
	const struct membership good = {
		.voters = 0x4, .witness_id = 3, .witness_gen = 1, .begins = { 2, 9 }, .parent_id = 0
	};
	struct membership next, before, bad;
	uint8_t record[MEMBERSHIP_BYTES];

	(void)state;
	assert_true(membership_is_forced(&good, &birth));
	membership_encode(record, &good, &later);
	assert_int_equal(membership_decode(record, sizeof(record), &next, &before), TERN_OK);
	assert_true(generation_equal(&next.begins, &good.begins));
	assert_int_equal(before.config_index, 7);
	for (uint32_t i = 0; i < 7; i++) {
		bad = good;
		bad.voters = i == 0 ? 0x6 : i == 1 ? 0x10 : bad.voters;
		bad.learners = i == 2 ? 0x2 : 0;
		bad.witness_id = i == 3 ? 5 : 3;
		bad.witness_gen = i == 4 ? 2 : 1;
		bad.begins.number = i == 5 ? 1 : 2;
		bad.begins.id = i == 6 ? 0 : 9;
		assert_false(membership_is_forced(&bad, &birth));
	}
	/* A generation that is none, in a record that says so. */
	record[72] = 1;
	assert_int_equal(membership_decode(record, sizeof(record), &next, &before),
			 TERN_ERR_MALFORMED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_soundness),
		cmocka_unit_test(test_forced),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
