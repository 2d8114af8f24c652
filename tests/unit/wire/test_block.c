/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks over pages, storage that is blank or foreign, fragments at their limits. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/crc32c.h"
#include "dataplane/base/le.h"
#include "dataplane/wire/fragment.h"
#include "dataplane/wire/page.h"
#include "dataplane/wire/superblock.h"
#include "dataplane/wire/witness_register.h"
#include "tests/support/check.h"

#define PAGES 5u

/* The content hash is that of the payload stream, wherever page borders fall. */
static void
test_content_hash(void **context)
{
	uint8_t *block = calloc(PAGES, PAGE_BYTES);
	uint8_t *stream = malloc((size_t)PAGES * PAGE_PAYLOAD_BYTES);
	(void)context;

	assert_non_null(block);
	assert_non_null(stream);
	for (uint32_t i = 0; i < PAGES * PAGE_PAYLOAD_BYTES; i++) {
		stream[i] = (uint8_t)(i * 31 + i / 256);
		block[i / PAGE_PAYLOAD_BYTES * PAGE_BYTES + PAGE_PAYLOAD_OFFSET +
		      i % PAGE_PAYLOAD_BYTES] = stream[i];
	}
	static const uint32_t lengths[] = { 128,  129,  1000, 3967,  3968,
					    3969, 7936, 7937, 12000, PAGES * 3968 };
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const struct hash128 expected =
		    hash128(stream + BLOCK_HDR_BYTES, lengths[i] - BLOCK_HDR_BYTES);
		assert_true(hash128_equal(block_content_hash(block, lengths[i]), expected));
		assert_int_equal(block_pages(lengths[i]), (lengths[i] + 3967) / 3968);
	}
	/* The local part of a page does not count. */
	const struct hash128 before = block_content_hash(block, 12000);
	memset(block + PAGE_BYTES, 0xff, PAGE_PAYLOAD_OFFSET);
	assert_true(hash128_equal(block_content_hash(block, 12000), before));
	block[PAGE_BYTES + PAGE_PAYLOAD_OFFSET] ^= 1;
	assert_false(hash128_equal(block_content_hash(block, 12000), before));
	free(block);
	free(stream);
}

static struct block_hdr
barrier(uint64_t log_index, struct hash128 prev_chain)
{
	return (struct block_hdr){ .kind = BLOCK_BARRIER,
				   .log_index = log_index,
				   .term = 4,
				   .epoch = 2,
				   .payload_bytes = BLOCK_HDR_BYTES,
				   .pages = 1,
				   .time_ns = log_index,
				   .prev_chain = prev_chain };
}

/* The chain hash ties a block to all before it. */
static void
test_chain(void **context)
{
	struct hash128 chain[2][4] = { { { 0, 0 } }, { { 0, 0 } } };
	uint8_t payload[BLOCK_HDR_BYTES];
	(void)context;

	for (uint64_t history = 0; history < 2; history++) {
		for (uint64_t i = 1; i < 4; i++) {
			struct block_hdr hdr = barrier(i, chain[history][i - 1]);
			hdr.time_ns += i == 1 ? history : 0; /* the histories part at block 1 */
			block_hdr_encode(payload, &hdr);
			chain[history][i] = block_chain(payload);
			const struct block_meta meta = block_meta_of(&hdr, chain[history][i]);
			assert_int_equal(meta.log_index, i);
			assert_int_equal(meta.term, 4);
			assert_int_equal(meta.epoch, 2);
			assert_int_equal(meta.kind, BLOCK_BARRIER);
			assert_true(hash128_equal(meta.chain, chain[history][i]));
		}
	}
	for (int i = 1; i < 4; i++)
		assert_false(hash128_equal(chain[0][i], chain[1][i]));
}

static void
test_block_header_refusals(void **context)
{
	uint8_t payload[BLOCK_HDR_BYTES];
	struct block_hdr hdr = barrier(5, (struct hash128){ 1, 2 });
	(void)context;

	hdr.commit_index = 5; /* a block does not know of its own commit */
	expect_assert_failure(block_hdr_encode(payload, &hdr));
	hdr.commit_index = 4;
	hdr.pages = 2;
	expect_assert_failure(block_hdr_encode(payload, &hdr));
	hdr.pages = 1;
	hdr.log_index = 0;
	expect_assert_failure(block_hdr_encode(payload, &hdr));
}

static void
test_blank_and_foreign(void **context)
{
	uint8_t *bytes = calloc(1, SUPERBLOCK_BYTES);
	struct page_identity identity;
	struct superblock superblock;
	struct witness_register reg;
	struct page_content content;
	(void)context;

	assert_non_null(bytes);
	assert_int_equal(page_identity_decode(bytes, &identity), TERN_ERR_BLANK);
	assert_int_equal(page_content_open(bytes, &content), TERN_ERR_CORRUPT);
	assert_int_equal(superblock_decode(bytes, &superblock), TERN_ERR_BLANK);
	assert_int_equal(witness_register_decode(bytes, &reg), TERN_ERR_BLANK);
	/* One byte of somebody else's, however far back, and it is not blank. */
	bytes[SUPERBLOCK_BYTES - 1] = 1;
	assert_int_equal(superblock_decode(bytes, &superblock), TERN_ERR_FOREIGN);
	bytes[WITNESS_REGISTER_BYTES - 1] = 1;
	assert_int_equal(witness_register_decode(bytes, &reg), TERN_ERR_FOREIGN);
	bytes[PAGE_IDENTITY_BYTES - 1] = 1;
	assert_int_equal(page_identity_decode(bytes, &identity), TERN_ERR_CORRUPT);
	free(bytes);
}

/* Formats 1 to 3 are read, and become format 4 when it is written; a later one is refused. */
static void
test_superblock_formats(void **context)
{
	uint8_t bytes[SUPERBLOCK_BYTES], again[SUPERBLOCK_BYTES];
	const struct superblock superblock = {
		.sequence = 7,
		.generation = { 1, 0 },
		.node_id = 2,
		.k = 1,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
	};
	struct superblock read;
	(void)context;

	superblock_encode(bytes, &superblock);
	assert_int_equal(superblock_decode(bytes, &read), TERN_OK);
	assert_int_equal(read.format, 4);
	for (uint8_t format = 0; format < 6; format++) {
		memcpy(again, bytes, sizeof(again));
		again[12] = format;
		const le32 crc = le32_make(crc32c(again + 12, sizeof(again) - 12));
		memcpy(again + 8, &crc, sizeof(crc));
		const bool is_known = format >= 1 && format <= 4;
		assert_int_equal(superblock_decode(again, &read),
				 is_known ? TERN_OK : TERN_ERR_VERSION);
		if (!is_known)
			continue;
		assert_int_equal(read.format, format);
		superblock_encode(again, &read);
		assert_memory_equal(again, bytes, sizeof(bytes));
	}
}

static void
test_fragment_limits(void **context)
{
	const struct fragment_hdr sound = { .log_index = 1,
					    .block_pages = 2,
					    .block_units = 4,
					    .unit_first = 2,
					    .unit_count = 2,
					    .last_unit_bytes = 1 };
	struct fragment_hdr bad[] = { sound, sound, sound, sound, sound, sound, sound, sound };
	uint8_t body[FRAGMENT_HDR_BYTES + 2 * FRAGMENT_UNIT_BYTES];
	struct fragment_hdr read;
	(void)context;

	fragment_encode(body, &sound);
	assert_int_equal(fragment_payload_bytes(&sound), FRAGMENT_UNIT_BYTES + 1);
	const uint32_t bytes = FRAGMENT_HDR_BYTES + FRAGMENT_UNIT_BYTES + 1;
	assert_int_equal(fragment_decode(body, bytes, &read), TERN_OK);
	assert_int_equal(fragment_decode(body, bytes - 1, &read), TERN_ERR_MALFORMED);
	assert_int_equal(fragment_decode(body, bytes + 1, &read), TERN_ERR_MALFORMED);
	struct fragment_hdr middle = sound;
	middle.unit_first = 1;
	assert_int_equal(fragment_payload_bytes(&middle), 2 * FRAGMENT_UNIT_BYTES);
	bad[0].log_index = 0;
	bad[1].block_pages = 0;
	bad[2].block_units = 3; /* would fit into one page less */
	bad[3].block_units = 7;
	bad[4].unit_count = 0;
	bad[5].unit_first = 3; /* runs past the block */
	bad[6].last_unit_bytes = 0;
	bad[7].last_unit_bytes = FRAGMENT_UNIT_BYTES + 1;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_assert_failure(fragment_encode(body, &bad[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_content_hash),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_block_header_refusals),
		cmocka_unit_test(test_blank_and_foreign),
		cmocka_unit_test(test_superblock_formats),
		cmocka_unit_test(test_fragment_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
