/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a backup: whole streams come out as they went in, cut anywhere or changed anywhere
 * they are refused, and nothing that was not checked is handed out. Also the pages, and
 * compression. */
#include "tests/support/check.h"

#include <stdlib.h>
#include <string.h>

#include "control/backup/pack.h"
#include "dataplane/base/prng.h"
#include "tests/unit/backup/sample.h"

static struct sample sample;

struct seen {
	uint32_t checkpoints, chunks, blocks;
	uint64_t last_index;
	uint32_t fail_at; /* the n-th part is refused; 0: none */
};

static enum tern_err
count_part(struct seen *seen)
{
	const uint32_t count = seen->checkpoints + seen->chunks + seen->blocks;

	return count == seen->fail_at ? TERN_ERR_IO : TERN_OK;
}

static enum tern_err
see_checkpoint(void *context, uint8_t *page, const struct checkpoint_hdr *hdr)
{
	struct seen *seen = context;

	(void)page;
	assert_int_equal(hdr->meta.log_index, sample.hdr.first_index);
	seen->checkpoints++;
	return count_part(seen);
}

static enum tern_err
see_chunk(void *context, uint8_t *bytes, uint32_t pages, const struct checkpoint_chunk *chunk)
{
	struct seen *seen = context;

	(void)bytes;
	assert_int_equal(chunk->number, seen->chunks);
	assert_true(pages >= 1 && pages <= CHECKPOINT_CHUNK_PAGES);
	seen->chunks++;
	return count_part(seen);
}

static enum tern_err
see_block(void *context, uint8_t *bytes, const struct block_hdr *hdr, struct hash128 chain)
{
	struct seen *seen = context;

	(void)bytes;
	seen->blocks++;
	assert_int_equal(hdr->log_index, sample.hdr.first_index + seen->blocks);
	assert_true(hash128_equal(chain, sample.chains[seen->blocks]));
	seen->last_index = hdr->log_index;
	return count_part(seen);
}

/* Feeds @count bytes in pieces of @piece. */
static enum tern_err
feed(const struct backup_hdr *hdr, const uint8_t *bytes, size_t count, size_t piece,
     struct seen *seen)
{
	const struct backup_sink sink = { seen, see_checkpoint, see_chunk, see_block };
	void *buffer = aligned_alloc(PAGE_BYTES, backup_stream_bytes(hdr));
	struct backup_stream stream;
	enum tern_err err = TERN_OK;

	assert_non_null(buffer);
	backup_stream_begin(&stream, hdr, &sink, buffer);
	while (count != 0 && err == TERN_OK) {
		const size_t some = count < piece ? count : piece;
		err = backup_stream_add(&stream, bytes, some);
		bytes += some;
		count -= some;
	}
	if (err == TERN_OK)
		err = backup_stream_end(&stream);
	free(buffer);
	return err;
}

static void
test_whole(void **state)
{
	static const size_t pieces[] = { 1, 100, 4096, 65536, 1u << 30 };
	static const uint64_t firsts[] = { 0, 1, 500 };
	const uint32_t bytes = CHECKPOINT_CHUNK_PAYLOAD_MAX + 9000;
	const uint32_t chunks =
	    (bytes + CHECKPOINT_CHUNK_PAYLOAD_MAX - 1) / CHECKPOINT_CHUNK_PAYLOAD_MAX;

	(void)state;
	for (size_t f = 0; f < 3; f++) {
		sample_make(&sample, firsts[f], bytes, SAMPLE_BLOCKS);
		for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
			struct seen seen = { 0 };
			assert_int_equal(
			    feed(&sample.hdr, sample.bytes, sample.count, pieces[i], &seen),
			    TERN_OK);
			assert_int_equal(seen.checkpoints, firsts[f] != 0);
			assert_int_equal(seen.chunks, firsts[f] != 0 ? chunks : 0);
			assert_int_equal(seen.blocks, SAMPLE_BLOCKS);
			assert_int_equal(seen.last_index, sample.hdr.last_index);
		}
	}
}

static void
test_cut_or_longer(void **state)
{
	static uint8_t longer[sizeof(sample.bytes) + PAGE_BYTES];
	struct seen seen = { 0 };

	(void)state;
	sample_make(&sample, 500, 9000, SAMPLE_BLOCKS);
	for (size_t count = 0; count < sample.count; count += PAGE_BYTES + 1000) {
		seen = (struct seen){ 0 };
		assert_int_equal(feed(&sample.hdr, sample.bytes, count, 65536, &seen),
				 TERN_ERR_CORRUPT);
	}
	memcpy(longer, sample.bytes, sample.count);
	seen = (struct seen){ 0 };
	assert_int_equal(feed(&sample.hdr, longer, sample.count + 1, 65536, &seen),
			 TERN_ERR_CORRUPT);
}

/* One bit anywhere: in identity parts, headers, payloads, padding. */
static void
test_flips(void **state)
{
	struct prng prng;

	(void)state;
	sample_make(&sample, 500, 9000, SAMPLE_BLOCKS);
	prng_seed(&prng, 11);
	for (uint32_t i = 0; i < 600; i++) {
		const size_t at = prng_next(&prng) % sample.count;
		const uint8_t bit = (uint8_t)(1u << (i % 8));
		struct seen seen = { 0 };
		sample.bytes[at] ^= bit;
		const enum tern_err err =
		    feed(&sample.hdr, sample.bytes, sample.count, 1u << 20, &seen);
		if (err == TERN_OK)
			fail_msg("byte %zu, bit %u is not noticed", at, bit);
		sample.bytes[at] ^= bit;
	}
}

/* Blocks left out, twice, or in another order; a header that says something else. */
static void
test_wrong(void **state)
{
	struct backup_hdr hdr;
	struct seen seen = { 0 };

	(void)state;
	sample_make(&sample, 0, 0, SAMPLE_BLOCKS);
	/* Block 7 has one page, and so has block 14. */
	size_t at[SAMPLE_BLOCKS + 1] = { 0 };
	for (uint32_t i = 1; i <= SAMPLE_BLOCKS; i++)
		at[i] = (i == 1 ? 0 : at[i - 1]) +
			(i == 1 ? 0
				: block_pages(BLOCK_HDR_BYTES + 8 + (i - 1) % 7 * 1700) *
				      (size_t)PAGE_BYTES);
	uint8_t page[PAGE_BYTES];
	memcpy(page, sample.bytes + at[7], PAGE_BYTES);
	memcpy(sample.bytes + at[7], sample.bytes + at[14], PAGE_BYTES);
	assert_int_equal(feed(&sample.hdr, sample.bytes, sample.count, 9999, &seen),
			 TERN_ERR_CORRUPT);
	assert_int_equal(seen.blocks, 6);
	memcpy(sample.bytes + at[7], page, PAGE_BYTES);
	for (uint32_t i = 0; i < 6; i++) {
		hdr = sample.hdr;
		seen = (struct seen){ 0 };
		if (i == 0)
			hdr.last_index++;
		else if (i == 1)
			hdr.chain.low++;
		else if (i == 2)
			hdr.last_term++;
		else if (i == 3)
			hdr.log_pages++;
		else if (i == 4)
			hdr.cluster_id++;
		else
			hdr.block_pages_max--;
		assert_int_equal(feed(&hdr, sample.bytes, sample.count, 9999, &seen),
				 TERN_ERR_CORRUPT);
	}
}

/* What the sink says ends it, whichever part it was. */
static void
test_sink(void **state)
{
	(void)state;
	sample_make(&sample, 500, 9000, SAMPLE_BLOCKS);
	for (uint32_t n = 1; n <= 2 + SAMPLE_BLOCKS; n++) {
		struct seen seen = { .fail_at = n };
		assert_int_equal(feed(&sample.hdr, sample.bytes, sample.count, 5000, &seen),
				 TERN_ERR_IO);
		assert_int_equal(seen.checkpoints + seen.chunks + seen.blocks, n);
	}
}

/* ---- pages ---- */

static struct backup_hdr
hdr_whole(void)
{
	struct backup_hdr hdr = sample.hdr;

	hdr.id = (struct hash128){ 11, 12 };
	hdr.geometry = (struct stripe_geometry){ 4, 2 };
	hdr.rows = 16;
	hdr.stripe_count = 3;
	hdr.stored_bytes = 2 * backup_stripe_bytes(&hdr) + 5;
	(void)memcpy(hdr.version, "0.1.0", 6);
	return hdr;
}

static void
test_header(void **state)
{
	uint8_t page[PAGE_BYTES], column;
	struct backup_hdr found;

	(void)state;
	sample_make(&sample, 500, 9000, SAMPLE_BLOCKS);
	const struct backup_hdr hdr = hdr_whole();
	for (uint32_t i = 0; i < 12; i++) {
		backup_hdr_encode(page, &hdr, (uint8_t)(i / 2), i % 2 != 0);
		assert_int_equal(backup_hdr_decode(page, &found, &column), TERN_OK);
		assert_int_equal(column, i / 2);
		assert_true(backup_hdr_equal(&hdr, &found));
	}
	for (size_t at = 0; at < PAGE_BYTES; at++) {
		page[at] ^= 0x40;
		assert_int_not_equal(backup_hdr_decode(page, &found, &column), TERN_OK);
		page[at] ^= 0x40;
	}
	memset(page, 0, sizeof(page));
	assert_int_equal(backup_hdr_decode(page, &found, &column), TERN_ERR_BLANK);
}

/* ---- compression ---- */

struct sponge {
	uint8_t *bytes;
	size_t count, room;
};

static enum tern_err
soak(void *context, const uint8_t *bytes, size_t count)
{
	struct sponge *sponge = context;

	if (sponge->count + count > sponge->room)
		return TERN_ERR_TOO_LARGE;
	memcpy(sponge->bytes + sponge->count, bytes, count);
	sponge->count += count;
	return TERN_OK;
}

static enum tern_err
unpack(const uint8_t *bytes, size_t count, size_t piece, struct sponge *out)
{
	const struct backup_drain drain = { out, soak };
	struct backup_unpacker *unpacker = backup_unpacker_open(&drain);
	enum tern_err err = TERN_OK;

	assert_non_null(unpacker);
	for (size_t at = 0; at < count && err == TERN_OK; at += piece)
		err = backup_unpacker_add(unpacker, bytes + at,
					  count - at < piece ? count - at : piece);
	if (err == TERN_OK)
		err = backup_unpacker_end(unpacker);
	backup_unpacker_close(unpacker);
	return err;
}

static void
test_pack(void **state)
{
	static uint8_t packed[sizeof(sample.bytes) + 65536], plain[sizeof(sample.bytes)];
	struct sponge in = { packed, 0, sizeof(packed) }, out = { plain, 0, sizeof(plain) };
	const struct backup_drain drain = { &in, soak };
	struct backup_packer *packer = backup_packer_open(&drain);

	(void)state;
	sample_make(&sample, 500, 9000, SAMPLE_BLOCKS);
	assert_non_null(packer);
	assert_int_equal(backup_packer_add(packer, sample.bytes, 5000), TERN_OK);
	backup_packer_reset(packer);
	in.count = 0;
	for (size_t at = 0; at < sample.count; at += PAGE_BYTES)
		assert_int_equal(backup_packer_add(packer, sample.bytes + at, PAGE_BYTES), TERN_OK);
	assert_int_equal(backup_packer_end(packer), TERN_OK);
	backup_packer_close(packer);
	assert_true(in.count < sample.count);
	for (size_t piece = 7; piece < 1000000; piece *= 10) {
		out.count = 0;
		assert_int_equal(unpack(packed, in.count, piece, &out), TERN_OK);
		assert_int_equal(out.count, sample.count);
		assert_memory_equal(plain, sample.bytes, sample.count);
	}
	for (size_t count = 0; count < in.count; count += 2003) {
		out.count = 0;
		assert_int_equal(unpack(packed, count, 4096, &out), TERN_ERR_CORRUPT);
	}
	for (size_t at = 0; at < in.count; at += 1009) {
		out.count = 0;
		packed[at] ^= 4;
		assert_int_not_equal(unpack(packed, in.count, 4096, &out), TERN_OK);
		packed[at] ^= 4;
	}
	out.count = 0;
	assert_int_equal(unpack(packed, in.count + 1, 1u << 20, &out), TERN_ERR_CORRUPT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole), cmocka_unit_test(test_cut_or_longer),
		cmocka_unit_test(test_flips), cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_sink),  cmocka_unit_test(test_header),
		cmocka_unit_test(test_pack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
