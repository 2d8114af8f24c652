/* SPDX-License-Identifier: Apache-2.0 */
/* The replica: bytes placed out of order, every kind of wrong block refused. */
#include "tests/unit/cmdlog/rig.h"

#include <string.h>

#define MAX 16384u

struct pair {
	struct rig master, replica;
};

static void
pair_make(struct pair *pair)
{
	rig_make(&pair->master, MAX, 128, 1000);
	rig_make(&pair->replica, MAX, 160, 1000); /* another ring: other places, same bytes */
	pair->replica.image.node_id = RIG_NODE + 1;
	(void)rig_recover(&pair->replica, 0);
}

static void
pair_free(struct pair *pair)
{
	rig_free(&pair->master);
	rig_free(&pair->replica);
}

/* Copies the content parts of one block in pieces, the last one first. Identity parts
 * do not travel. Returns the block's pages. */
static uint32_t
transfer(struct pair *pair, uint64_t log_index)
{
	struct cmdlog_location location;
	const uint8_t *block = cmdlog_resident(pair->master.log, log_index);

	assert_true(cmdlog_locate(pair->master.log, log_index, &location));
	for (uint32_t page = location.pages; page-- > 0;) {
		uint8_t *to =
		    cmdlog_place(pair->replica.log, location.page_lsn + page, 1, PAGE_BYTES);
		assert_non_null(to);
		const uint8_t *from = block + (size_t)page * PAGE_BYTES;
		for (uint32_t piece = 5; piece-- > 0;) {
			const uint32_t at = PAGE_IDENTITY_BYTES + piece * 984;
			memcpy(to + at, from + at, piece == 4 ? PAGE_BYTES - at : 984);
		}
	}
	return location.pages;
}

/* Like transfer, of a block of one page, as much as fragments carry; @is_spoilt: after others that
 * came to nothing. */
static void
transfer_short(struct pair *pair, uint64_t log_index, uint32_t payload_bytes, bool is_spoilt)
{
	const uint32_t bytes = PAGE_CONTENT_HDR_BYTES + payload_bytes;
	const uint8_t *from = cmdlog_resident(pair->master.log, log_index);
	struct cmdlog_location location;

	assert_true(cmdlog_locate(pair->master.log, log_index, &location));
	assert_int_equal(location.pages, 1);
	if (is_spoilt) {
		uint8_t *spoilt = cmdlog_place(pair->replica.log, location.page_lsn, 2, 3000);
		assert_non_null(spoilt);
		memset(spoilt + PAGE_IDENTITY_BYTES, 0xee, PAGE_BYTES - PAGE_IDENTITY_BYTES);
		memset(spoilt + PAGE_BYTES + PAGE_IDENTITY_BYTES, 0xee, 3000);
	}
	uint8_t *to = cmdlog_place(pair->replica.log, location.page_lsn, 1, bytes);
	assert_non_null(to);
	memcpy(to + PAGE_IDENTITY_BYTES, from + PAGE_IDENTITY_BYTES, bytes);
}

/* What lies behind the used bytes of a page is zero on both nodes, whatever the ring held there:
 * longer blocks, one that was thrown away, fragments that came to nothing. */
static void
test_tails(void **state)
{
	static const uint8_t zeros[PAGE_PAYLOAD_BYTES];
	struct pair pair;
	struct block_meta meta;

	(void)state;
	pair_make(&pair);
	for (uint64_t i = 0; i < 1000; i++) {
		const uint32_t value_bytes = (uint32_t)(i * 7919 % 3000);
		struct cmdlog_location location;
		struct block_hdr hdr;

		if (i % 5 == 4) {
			assert_int_equal(rig_append(&pair.master, i, 9000), TERN_OK);
			cmdlog_open_discard(pair.master.log);
		}
		(void)rig_block(&pair.master, 1, i, value_bytes);
		const uint8_t *block = cmdlog_resident(pair.master.log, i + 1);
		assert_int_equal(block_hdr_decode(block + PAGE_PAYLOAD_OFFSET, &hdr), TERN_OK);
		transfer_short(&pair, i + 1, hdr.payload_bytes, i % 7 == 6);
		assert_int_equal(cmdlog_accept(pair.replica.log, 1, 1, &meta), TERN_OK);
		const uint8_t *copy = cmdlog_resident(pair.replica.log, i + 1);
		assert_memory_equal(block + PAGE_PAYLOAD_OFFSET + hdr.payload_bytes, zeros,
				    PAGE_PAYLOAD_BYTES - hdr.payload_bytes);
		assert_memory_equal(block + PAGE_IDENTITY_BYTES, copy + PAGE_IDENTITY_BYTES,
				    PAGE_BYTES - PAGE_IDENTITY_BYTES);
		assert_true(cmdlog_locate(pair.replica.log, i + 1, &location));
		rig_flush(&pair.master, 0);
		rig_flush(&pair.replica, 0);
		cmdlog_set_applied(pair.master.log, i + 1);
		cmdlog_set_applied(pair.replica.log, i + 1);
		log_image_reclaim(&pair.master.image, pair.master.log, i);
		log_image_reclaim(&pair.replica.image, pair.replica.log, i);
	}
	pair_free(&pair);
}

static void
test_out_of_order(void **state)
{
	struct pair pair;
	struct block_meta meta, sealed[40];
	uint64_t number = 0;

	(void)state;
	pair_make(&pair);
	for (uint64_t i = 0; i < 40; i += 4) {
		uint32_t pages[4];
		for (uint64_t n = 0; n < 4; n++)
			sealed[i + n] =
			    rig_block(&pair.master, 1, number++, (uint32_t)(100 + 3000 * n));
		for (uint64_t n = 4; n-- > 0;) /* later blocks first */
			pages[n] = transfer(&pair, i + n + 1);
		for (uint64_t n = 0; n < 4; n++) {
			assert_int_equal(cmdlog_accept(pair.replica.log, pages[n], 1, &meta),
					 TERN_OK);
			assert_memory_equal(&meta, &sealed[i + n], sizeof(meta));
			assert_int_equal(rig_walk(&pair.replica,
						  cmdlog_resident(pair.replica.log, i + n + 1),
						  i + n),
					 1);
		}
		rig_flush(&pair.master, 0);
		rig_flush(&pair.replica, 0);
		cmdlog_set_applied(pair.master.log, i + 4);
		cmdlog_set_applied(pair.replica.log, i + 4);
	}
	const struct cmdlog_stats a = cmdlog_stats(pair.master.log);
	const struct cmdlog_stats b = cmdlog_stats(pair.replica.log);
	assert_true(hash128_equal(a.last_chain, b.last_chain));
	assert_int_equal(b.blocks_accepted, 40);
	assert_int_equal(b.blocks_refused, 0);
	/* The pages differ in nothing but the identity part. */
	for (uint64_t cell = 0; cell < a.end_cell; cell++) {
		const uint8_t *on_master = rig_cell(&pair.master, cell);
		const uint8_t *on_replica = rig_cell(&pair.replica, cell);
		assert_memory_equal(on_master + PAGE_IDENTITY_BYTES,
				    on_replica + PAGE_IDENTITY_BYTES,
				    PAGE_BYTES - PAGE_IDENTITY_BYTES);
		assert_memory_not_equal(on_master, on_replica, PAGE_IDENTITY_BYTES);
	}
	pair_free(&pair);
}

static void
test_credit_window(void **state)
{
	struct pair pair;
	struct block_meta meta;

	(void)state;
	pair_make(&pair);
	struct cmdlog *log = pair.replica.log;
	assert_int_equal(cmdlog_credit_end_page(log), 160);
	assert_null(cmdlog_place(log, 160, 1, PAGE_BYTES));
	assert_null(cmdlog_place(log, 159, 2, PAGE_BYTES));
	assert_null(cmdlog_place(log, UINT64_MAX, 2, PAGE_BYTES));
	assert_null(cmdlog_place(log, 0, 0, PAGE_BYTES));
	assert_non_null(cmdlog_place(log, 159, 1, PAGE_BYTES));
	rig_block(&pair.master, 1, 0, 9000);
	const uint32_t pages = transfer(&pair, 1);
	assert_int_equal(cmdlog_accept(log, pages, 1, &meta), TERN_OK);
	assert_null(
	    cmdlog_place(log, pages - 1, 1, PAGE_BYTES)); /* verified: never written again */
	assert_int_equal(cmdlog_credit_end_page(log), 160);
	rig_flush(&pair.replica, 0);
	assert_int_equal(cmdlog_credit_end_page(log), 160); /* durable, not applied */
	cmdlog_set_applied(log, 1);
	assert_int_equal(cmdlog_credit_end_page(log), 160 + pages);
	pair_free(&pair);
}

static void
test_every_corrupt_byte_is_refused(void **state)
{
	struct pair pair;
	struct block_meta meta;
	uint32_t tried = 0;

	(void)state;
	pair_make(&pair);
	rig_block(&pair.master, 1, 0, 100);
	const uint32_t first = transfer(&pair, 1);
	assert_int_equal(cmdlog_accept(pair.replica.log, first, 1, &meta), TERN_OK);
	rig_block(&pair.master, 1, 1, 4500);
	const uint32_t pages = transfer(&pair, 2);
	assert_int_equal(pages, 2);
	uint8_t *block = cmdlog_place(pair.replica.log, 1, 2, PAGE_BYTES);
	for (uint32_t page = 0; page < 2; page++) {
		struct page_content content;
		uint8_t *at = block + (size_t)page * PAGE_BYTES;
		assert_int_equal(page_content_open(at, &content), TERN_OK);
		for (uint32_t i = PAGE_IDENTITY_BYTES; i < PAGE_PAYLOAD_OFFSET + content.used_bytes;
		     i++) {
			at[i] = (uint8_t)(at[i] ^ 1u << (i % 8));
			assert_int_not_equal(cmdlog_accept(pair.replica.log, 2, 1, &meta), TERN_OK);
			at[i] = (uint8_t)(at[i] ^ 1u << (i % 8));
			tried++;
		}
		/* Behind the used bytes and in the identity part lies nothing of the block. */
		at[0] ^= 1;
	}
	assert_int_equal(cmdlog_stats(pair.replica.log).blocks_refused, tried);
	assert_int_equal(cmdlog_stats(pair.replica.log).last_index, 1);
	block[PAGE_BYTES + 4095] = 0x77;
	assert_int_equal(cmdlog_accept(pair.replica.log, 2, 1, &meta), TERN_OK);
	assert_int_equal(block[PAGE_BYTES + 4095], 0);
	pair_free(&pair);
}

/* Makes the master's block anew with a changed header, CRCs right again. */
static void
reseal(uint8_t *page, const struct block_hdr *hdr, uint16_t shard, uint64_t cluster_id)
{
	const struct page_content content = {
		.cluster_id = cluster_id,
		.term = hdr->term,
		.log_index = hdr->log_index,
		.epoch = hdr->epoch,
		.used_bytes = hdr->payload_bytes,
		.shard = shard,
	};
	block_hdr_encode(page + PAGE_PAYLOAD_OFFSET, hdr);
	page_content_seal(page, &content);
}

static void
test_wrong_place_in_the_log(void **state)
{
	struct pair pair;
	struct block_meta meta;
	struct block_hdr good, hdr;
	uint8_t *page;

	(void)state;
	pair_make(&pair);
	rig_barrier(&pair.master, 3, 2);
	(void)transfer(&pair, 1);
	assert_int_equal(cmdlog_accept(pair.replica.log, 1, 3, &meta), TERN_OK);
	assert_int_equal(rig_append(&pair.master, 1, 100), TERN_OK);
	rig_seal(&pair.master, 3, 2);
	(void)transfer(&pair, 2);
	page = cmdlog_place(pair.replica.log, 1, 1, PAGE_BYTES);
	assert_int_equal(block_hdr_decode(page + PAGE_PAYLOAD_OFFSET, &good), TERN_OK);
#define REFUSED(change, error)                                                         \
	do {                                                                           \
		hdr = good;                                                            \
		change;                                                                \
		reseal(page, &hdr, 0, RIG_CLUSTER);                                    \
		assert_int_equal(cmdlog_accept(pair.replica.log, 1, 3, &meta), error); \
	} while (0)
	REFUSED(hdr.log_index = 3, TERN_ERR_CORRUPT);
	REFUSED(hdr.log_index = 1, TERN_ERR_CORRUPT);
	REFUSED(hdr.page_lsn = 2, TERN_ERR_CORRUPT);
	REFUSED(hdr.prev_chain.low ^= 1, TERN_ERR_CORRUPT);
	REFUSED(hdr.term = 4, TERN_ERR_STALE_TERM);
	REFUSED(hdr.term = 2, TERN_ERR_CORRUPT);
	REFUSED(hdr.epoch = 1, TERN_ERR_CORRUPT);
	REFUSED(hdr.time_ns = 1, TERN_ERR_CORRUPT);
	REFUSED(hdr.time_ns = UINT64_MAX, TERN_ERR_CORRUPT);
	REFUSED(hdr.shard = 1, TERN_ERR_FOREIGN);
	REFUSED(hdr.kind = BLOCK_BARRIER, TERN_ERR_CORRUPT);
#undef REFUSED
	reseal(page, &good, 1, RIG_CLUSTER);
	assert_int_equal(cmdlog_accept(pair.replica.log, 1, 3, &meta), TERN_ERR_FOREIGN);
	reseal(page, &good, 0, RIG_CLUSTER + 1);
	assert_int_equal(cmdlog_accept(pair.replica.log, 1, 3, &meta), TERN_ERR_FOREIGN);
	reseal(page, &good, 0, RIG_CLUSTER);
	assert_int_equal(cmdlog_accept(pair.replica.log, 2, 3, &meta), TERN_ERR_CORRUPT);
	assert_int_equal(cmdlog_accept(pair.replica.log, 0, 3, &meta), TERN_ERR_TOO_LARGE);
	assert_int_equal(cmdlog_accept(pair.replica.log, 17, 3, &meta), TERN_ERR_TOO_LARGE);
	assert_int_equal(cmdlog_accept(pair.replica.log, 1, 3, &meta), TERN_OK);
	pair_free(&pair);
}

/* A log that holds more uncommitted blocks than the ring can still take what commits them. */
static void
test_no_deadlock_without_apply(void **state)
{
	struct pair pair;
	struct block_meta meta;

	(void)state;
	pair_make(&pair);
	for (uint64_t i = 1; i <= 600; i++) {
		rig_block(&pair.master, 1, i, 3000);
		const uint32_t pages = transfer(&pair, i);
		assert_int_equal(cmdlog_accept(pair.replica.log, pages, 1, &meta), TERN_OK);
		rig_flush(&pair.master, 0);
		rig_flush(&pair.replica, 0);
		cmdlog_set_applied(pair.master.log, i);
	}
	for (uint64_t i = 1; i <= 600; i++) {
		struct cmdlog_location location;
		assert_true(cmdlog_locate(pair.replica.log, i, &location));
		const uint8_t *read = rig_block_at(&pair.replica, &location);
		const uint8_t *resident = cmdlog_resident(pair.replica.log, i);
		assert_int_equal(cmdlog_check_read(pair.replica.log, i, read), TERN_OK);
		assert_true((resident != NULL) == (i > 600 - 160));
		if (resident != NULL)
			assert_memory_equal(resident, read, PAGE_BYTES);
	}
	pair_free(&pair);
}

static void
test_check_read_finds_misdirected_and_changed(void **state)
{
	struct pair pair;
	struct rig *rig = &pair.master;

	(void)state;
	pair_make(&pair);
	for (uint64_t i = 1; i <= 3; i++)
		rig_block(rig, 1, i, 100);
	rig_flush(rig, 0);
	assert_int_equal(cmdlog_check_read(rig->log, 2, rig_cell(rig, 1)), TERN_OK);
	assert_int_equal(cmdlog_check_read(rig->log, 2, rig_cell(rig, 0)), TERN_ERR_CORRUPT);
	assert_int_equal(cmdlog_check_read(rig->log, 4, rig_cell(rig, 0)), TERN_ERR_NOT_FOUND);
	/* A changed payload with its page CRC made right again is caught by the content hash. */
	uint8_t *page = rig_cell(rig, 1);
	struct block_hdr hdr;
	assert_int_equal(block_hdr_decode(page + PAGE_PAYLOAD_OFFSET, &hdr), TERN_OK);
	page[PAGE_PAYLOAD_OFFSET + BLOCK_HDR_BYTES + 60] ^= 1;
	reseal(page, &hdr, 0, RIG_CLUSTER);
	assert_int_equal(cmdlog_check_read(rig->log, 2, page), TERN_ERR_CORRUPT);
	pair_free(&pair);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tails),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_credit_window),
		cmocka_unit_test(test_every_corrupt_byte_is_refused),
		cmocka_unit_test(test_wrong_place_in_the_log),
		cmocka_unit_test(test_no_deadlock_without_apply),
		cmocka_unit_test(test_check_read_finds_misdirected_and_changed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
