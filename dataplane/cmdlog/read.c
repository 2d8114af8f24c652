/* SPDX-License-Identifier: Apache-2.0 */
/* Checking what was read back, walking the commands of a block. */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog_internal.h"
#include "dataplane/wire/command.h"

enum tern_err
cmdlog_check_read(const struct cmdlog *log, uint64_t log_index, const uint8_t *bytes)
{
	struct block_hdr hdr;

	if (log_index <= log->base_index || log_index > log->last_index)
		return TERN_ERR_NOT_FOUND;
	const struct cmdlog_entry *entry = cmdlog_entry_at(log, log_index);
	/* Whatever else is wrong with what a device returned, it is not the block that was written.
	 */
	if (cmdlog_block_verify(log, bytes, entry->pages, &hdr) != TERN_OK ||
	    !hash128_equal(block_chain(bytes + PAGE_PAYLOAD_OFFSET), entry->chain) ||
	    !hash128_equal(block_content_hash(bytes, hdr.payload_bytes), hdr.content_hash))
		return TERN_ERR_CORRUPT;
	/* The chain hash covers the whole header. */
	INVARIANT(hdr.log_index == log_index && hdr.page_lsn == entry->page_lsn);
	return TERN_OK;
}

enum tern_err
cmdlog_cursor_begin(struct cmdlog_cursor *cursor, const uint8_t *block, uint8_t *scratch,
		    uint32_t scratch_bytes, struct block_hdr *hdr)
{
	const enum tern_err err = block_hdr_decode(block + PAGE_PAYLOAD_OFFSET, hdr);

	if (err != TERN_OK)
		return err;
	if (hdr->machine_version > CMDLOG_MACHINE_VERSION)
		return TERN_ERR_VERSION;
	*cursor = (struct cmdlog_cursor){
		.block = block,
		.offset = BLOCK_HDR_BYTES,
		.payload_bytes = hdr->payload_bytes,
		.command_count = hdr->command_count,
		.scratch = scratch,
		.scratch_bytes = scratch_bytes,
	};
	return TERN_OK;
}

bool
cmdlog_cursor_next(struct cmdlog_cursor *cursor, const uint8_t **command, uint32_t *bytes,
		   uint32_t *slot)
{
	INVARIANT(cursor->offset >= BLOCK_HDR_BYTES && cursor->offset % 8 == 0);
	if (cursor->slot >= cursor->command_count ||
	    cursor->payload_bytes - cursor->offset < COMMAND_HDR_BYTES)
		return false;
	/* Commands start at multiples of 8, and so does every page's payload end: the length of a
	 * command never straddles. */
	uint32_t in_page = cursor->offset % PAGE_PAYLOAD_BYTES;
	const uint8_t *page =
	    cursor->block + (size_t)(cursor->offset / PAGE_PAYLOAD_BYTES) * PAGE_BYTES;
	const uint8_t *start = page + PAGE_PAYLOAD_OFFSET + in_page;
	const uint32_t length = command_bytes_peek(start);

	if (length == 0 || length > cursor->payload_bytes - cursor->offset)
		return false;
	if (length <= PAGE_PAYLOAD_BYTES - in_page) {
		*command = start;
	} else {
		if (length > cursor->scratch_bytes)
			return false;
		for (uint32_t have = 0; have < length; page += PAGE_BYTES, in_page = 0) {
			const uint32_t part = min_u32(length - have, PAGE_PAYLOAD_BYTES - in_page);
			memcpy(cursor->scratch + have, page + PAGE_PAYLOAD_OFFSET + in_page, part);
			have += part;
		}
		*command = cursor->scratch;
	}
	*bytes = length;
	*slot = cursor->slot++;
	cursor->offset += length;
	return true;
}
