/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup as it is read: the input is a page of one of its files, the compressed bytes, and the
 * stream that comes out of them; sums are put right in a second try. What is accepted as a page
 * comes out the same when it is encoded again, and nothing is handed out of order.
 */
#include <stdlib.h>

#include "control/backup/pack.h"
#include "control/backup/stream.h"
#include "tests/fuzz/fuzz.h"

#define STREAM_PAGES_MAX 16u
#define UNPACKED_MAX     (1u << 20)

static _Alignas(4096) uint8_t buffer[CHECKPOINT_CHUNK_BYTES + STREAM_PAGES_MAX * PAGE_BYTES];
static uint8_t stream_bytes[STREAM_PAGES_MAX * PAGE_BYTES];

static void
try_page(const uint8_t *page)
{
	uint8_t again[PAGE_BYTES], column;
	struct backup_page what;
	struct backup_hdr hdr;

	if (backup_page_open(page, &what) == TERN_OK) {
		REQUIRE(what.column < what.k + what.m && what.row < BACKUP_ROWS_MAX);
		memcpy(again, page, sizeof(again));
		backup_page_seal(again, &what);
		REQUIRE(memcmp(again, page, sizeof(again)) == 0);
	}
	if (backup_hdr_decode(page, &hdr, &column) != TERN_OK)
		return;
	REQUIRE(what.kind == BACKUP_PAGE_HEADER && hdr.first_index <= hdr.last_index);
	REQUIRE(backup_file_bytes(&hdr) / PAGE_BYTES > hdr.stripe_count);
	backup_hdr_encode(again, &hdr, column, what.stripe != 0);
	REQUIRE(memcmp(again, page, sizeof(again)) == 0);
}

struct seen {
	uint64_t first, last;
	uint32_t chunks;
	bool has_checkpoint;
};

static enum tern_err
see_checkpoint(void *context, uint8_t *page, const struct checkpoint_hdr *hdr)
{
	struct seen *seen = context;

	(void)page;
	REQUIRE(!seen->has_checkpoint && seen->first == hdr->meta.log_index);
	seen->has_checkpoint = true;
	seen->last = hdr->meta.log_index;
	return TERN_OK;
}

static enum tern_err
see_chunk(void *context, uint8_t *bytes, uint32_t pages, const struct checkpoint_chunk *chunk)
{
	struct seen *seen = context;

	(void)bytes;
	REQUIRE(seen->has_checkpoint && chunk->number == seen->chunks && pages != 0);
	seen->chunks++;
	return TERN_OK;
}

static enum tern_err
see_block(void *context, uint8_t *bytes, const struct block_hdr *hdr, struct hash128 chain)
{
	struct seen *seen = context;

	REQUIRE(hdr->log_index == seen->last + 1 && hdr->pages <= STREAM_PAGES_MAX);
	REQUIRE(hash128_equal(chain, block_chain(bytes + PAGE_PAYLOAD_OFFSET)));
	seen->last = hdr->log_index;
	return TERN_OK;
}

/* What a page may be, with sums that are right. */
static void
sums_put(uint8_t *page)
{
	le32 used;

	memcpy(&used, page + 104, sizeof(used));
	uint32_t bytes = le32_get(used);
	bytes = bytes > PAGE_PAYLOAD_BYTES ? PAGE_PAYLOAD_BYTES : bytes;
	fuzz_put_crc(page, PAGE_PAYLOAD_OFFSET, PAGE_PAYLOAD_OFFSET + 4, BLOCK_HDR_BYTES - 4);
	fuzz_put_crc(page, PAGE_IDENTITY_BYTES, PAGE_IDENTITY_BYTES + 4,
		     PAGE_CONTENT_HDR_BYTES - 4 + bytes);
}

/* The header says where the log begins and ends; all else it leaves to the stream. */
static void
try_stream(const uint8_t *data, size_t bytes, size_t piece, bool has_sums)
{
	struct backup_hdr hdr = { .cluster_id = 0x5ae1, .block_pages_max = STREAM_PAGES_MAX };
	struct seen seen = { 0 };
	const struct backup_sink sink = { &seen, see_checkpoint, see_chunk, see_block };
	struct checkpoint_hdr checkpoint;
	struct backup_stream stream;

	bytes = bytes > sizeof(stream_bytes) ? sizeof(stream_bytes) : bytes;
	memcpy(stream_bytes, data, bytes);
	if (has_sums && bytes >= PAGE_BYTES)
		fuzz_put_crc(stream_bytes, 8, 12, PAGE_BYTES - 12);
	if (bytes >= PAGE_BYTES && checkpoint_hdr_decode(stream_bytes, &checkpoint) == TERN_OK) {
		hdr.first_index = seen.first = checkpoint.meta.log_index;
		hdr.checkpoint_pages = checkpoint_pages(checkpoint.stream_bytes);
	} else if (has_sums) {
		for (size_t at = 0; at + PAGE_BYTES <= bytes; at += PAGE_BYTES)
			sums_put(stream_bytes + at);
	}
	hdr.last_index = hdr.first_index + 3;
	backup_stream_begin(&stream, &hdr, &sink, buffer);
	enum tern_err err = TERN_OK;
	for (size_t at = 0; at < bytes && err == TERN_OK; at += piece)
		err = backup_stream_add(&stream, stream_bytes + at,
					bytes - at < piece ? bytes - at : piece);
	if (err == TERN_OK && backup_stream_end(&stream) == TERN_OK)
		REQUIRE(seen.last == hdr.last_index);
}

static enum tern_err
count_bytes(void *context, const uint8_t *bytes, size_t count)
{
	size_t *total = context;

	(void)bytes;
	*total += count;
	return *total > UNPACKED_MAX ? TERN_ERR_TOO_LARGE : TERN_OK;
}

static void
try_unpack(const uint8_t *data, size_t bytes, size_t piece)
{
	size_t total = 0;
	const struct backup_drain drain = { &total, count_bytes };
	struct backup_unpacker *unpacker = backup_unpacker_open(&drain);
	enum tern_err err = TERN_OK;

	REQUIRE(unpacker != NULL);
	for (size_t at = 0; at < bytes && err == TERN_OK; at += piece)
		err = backup_unpacker_add(unpacker, data + at,
					  bytes - at < piece ? bytes - at : piece);
	if (err == TERN_OK)
		err = backup_unpacker_end(unpacker);
	backup_unpacker_close(unpacker);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const size_t piece = 1 + (bytes * 7) % 5000;
	uint8_t page[PAGE_BYTES] = { 0 };

	memcpy(page, data, bytes < sizeof(page) ? bytes : sizeof(page));
	try_page(page);
	fuzz_put_crc(page, 0, 4, PAGE_BYTES - 4);
	try_page(page);
	try_unpack(data, bytes, piece);
	try_stream(data, bytes, piece, false);
	try_stream(data, bytes, piece, true);
	return 0;
}
