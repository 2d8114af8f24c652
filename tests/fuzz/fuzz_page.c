/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of the log and the commands in a block. The input fills the identity part, the content
 * header, the block header and the payload of a block of up to PAGES_MAX pages; in a second try all
 * CRCs are put right. The walk over the commands must stay in the block's pages, which are copied
 * to a place of their exact size.
 */
#include <stdlib.h>

#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/wire/command.h"
#include "tests/fuzz/fuzz.h"

#define PAGES_MAX     3u
#define SCRATCH_BYTES 8192u

static void
try_identity(const uint8_t *page)
{
	uint8_t again[PAGE_IDENTITY_BYTES];
	struct page_identity identity;

	if (page_identity_decode(page, &identity) != TERN_OK)
		return;
	page_identity_encode(again, &identity);
	REQUIRE(memcmp(again, page, sizeof(again)) == 0);
}

static void
try_content(const uint8_t *page)
{
	uint8_t again[PAGE_BYTES];
	struct page_content content;

	if (page_content_open(page, &content) != TERN_OK)
		return;
	REQUIRE(content.used_bytes >= 1 && content.used_bytes <= PAGE_PAYLOAD_BYTES);
	memcpy(again, page, PAGE_BYTES);
	page_content_seal(again, &content);
	REQUIRE(memcmp(again, page, PAGE_BYTES) == 0);
}

static void
try_block(const uint8_t *block, uint32_t pages)
{
	uint8_t again[BLOCK_HDR_BYTES], *scratch;
	struct cmdlog_cursor cursor;
	struct block_hdr hdr;
	struct command command;
	const uint8_t *bytes;
	uint32_t length, slot, count = 0;

	if (block_hdr_decode(block + PAGE_PAYLOAD_OFFSET, &hdr) != TERN_OK)
		return;
	block_hdr_encode(again, &hdr);
	REQUIRE(memcmp(again, block + PAGE_PAYLOAD_OFFSET, sizeof(again)) == 0);
	if (hdr.pages > pages)
		return;
	uint8_t *exact = malloc((size_t)hdr.pages * PAGE_BYTES);
	scratch = malloc(SCRATCH_BYTES);
	REQUIRE(exact != NULL && scratch != NULL);
	memcpy(exact, block, (size_t)hdr.pages * PAGE_BYTES);
	(void)block_content_hash(exact, hdr.payload_bytes);
	if (cmdlog_cursor_begin(&cursor, exact, scratch, SCRATCH_BYTES, &hdr) == TERN_OK) {
		while (cmdlog_cursor_next(&cursor, &bytes, &length, &slot)) {
			REQUIRE(slot == count++);
			REQUIRE(length >= COMMAND_HDR_BYTES && length % 8 == 0);
			if (command_decode(bytes, length, &command) == TERN_OK)
				REQUIRE(command.end <= bytes + length);
		}
		REQUIRE(count <= hdr.command_count && cursor.offset <= hdr.payload_bytes);
	}
	free(exact);
	free(scratch);
}

static void
try_pages(const uint8_t *block, uint32_t pages)
{
	for (uint32_t i = 0; i < pages; i++) {
		try_identity(block + (size_t)i * PAGE_BYTES);
		try_content(block + (size_t)i * PAGE_BYTES);
	}
	try_block(block, pages);
}

static void
put_crcs(uint8_t *block, uint32_t pages)
{
	fuzz_put_crc(block, PAGE_PAYLOAD_OFFSET, PAGE_PAYLOAD_OFFSET + 4, BLOCK_HDR_BYTES - 4);
	for (uint32_t i = 0; i < pages; i++) {
		uint8_t *page = block + (size_t)i * PAGE_BYTES;
		struct page_content_le content;

		fuzz_put_crc(page, 0, 4, PAGE_IDENTITY_BYTES - 4);
		memcpy(&content, page + PAGE_IDENTITY_BYTES, sizeof(content));
		if (le32_get(content.used_bytes) <= PAGE_PAYLOAD_BYTES)
			fuzz_put_crc(page, PAGE_IDENTITY_BYTES, PAGE_IDENTITY_BYTES + 4,
				     PAGE_CONTENT_HDR_BYTES - 4 + le32_get(content.used_bytes));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t block[PAGES_MAX * PAGE_BYTES] = { 0 };

	memcpy(block, data, bytes < sizeof(block) ? bytes : sizeof(block));
	try_pages(block, PAGES_MAX);
	put_crcs(block, PAGES_MAX);
	try_pages(block, PAGES_MAX);
	return 0;
}
