/* SPDX-License-Identifier: Apache-2.0 */
/* The master's side: commands stream into the open block, which lies behind the last sealed one. */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog_internal.h"
#include "dataplane/wire/command.h"

/* First page_lsn for which a client command has no room now: nothing that is not applied is pushed
 * out by a command. */
static uint64_t
command_end_page(const struct cmdlog *log)
{
	const uint64_t kept = min_u64(log->durable_index, log->applied_index);
	return max_u64(log->resident_start, cmdlog_page_end(log, kept)) + log->ring_pages;
}

/* Copies bytes into the payload stream of the block that starts at the page @block. */
static void
stream_put(uint8_t *block, uint32_t offset, const uint8_t *bytes, uint32_t count)
{
	uint32_t in_page = offset % PAGE_PAYLOAD_BYTES;
	uint8_t *page = block + (size_t)(offset / PAGE_PAYLOAD_BYTES) * PAGE_BYTES;

	while (count != 0) {
		const uint32_t part = min_u32(count, PAGE_PAYLOAD_BYTES - in_page);
		memcpy(page + PAGE_PAYLOAD_OFFSET + in_page, bytes, part);
		bytes += part;
		count -= part;
		page += PAGE_BYTES;
		in_page = 0;
	}
}

/* Room for the open block to have @pages pages. */
static enum tern_err
open_grow(struct cmdlog *log, uint32_t pages, bool is_reserve)
{
	if (log->open_count != 0 && pages > CMDLOG_BLOCK_BYTES_TARGET / PAGE_BYTES)
		return TERN_ERR_QUEUE_FULL;
	if (!cmdlog_area_has_room(log, pages, is_reserve))
		return TERN_ERR_LOG_FULL;
	if (log->next_page_lsn + pages > command_end_page(log)) {
		log->stats.ring_full++;
		return TERN_ERR_QUEUE_FULL;
	}
	cmdlog_touch(log, log->next_page_lsn + pages);
	log->open_pages = pages;
	log->open_block = cmdlog_page(log, log->next_page_lsn);
	return TERN_OK;
}

static enum tern_err
open_put(struct cmdlog *log, const uint8_t *command, uint32_t bytes, bool is_reserve,
	 uint64_t *log_index, uint32_t *slot)
{
	INVARIANT(command_bytes_peek(command) == bytes);
	INVARIANT(!log->scan.is_running);
	if (bytes > log->config.command_bytes_max)
		return TERN_ERR_TOO_LARGE;
	const uint32_t offset = log->open_bytes == 0 ? BLOCK_HDR_BYTES : log->open_bytes;
	const uint32_t pages = block_pages(offset + bytes);

	if (pages > log->open_pages) {
		const enum tern_err err = open_grow(log, pages, is_reserve);
		if (err != TERN_OK)
			return err;
	}
	stream_put(log->open_block, offset, command, bytes);
	const uint8_t class_ = command[offsetof(struct command_hdr_le, class_)];
	if (class_ > log->open_class)
		log->open_class = class_;
	log->open_bytes = offset + bytes;
	*log_index = log->last_index + 1;
	*slot = log->open_count++;
	return TERN_OK;
}

enum tern_err
cmdlog_append(struct cmdlog *log, const uint8_t *command, uint32_t bytes, uint64_t *log_index,
	      uint32_t *slot)
{
	return open_put(log, command, bytes, false, log_index, slot);
}

enum tern_err
cmdlog_append_reserved(struct cmdlog *log, const uint8_t *record, uint32_t bytes,
		       uint64_t *log_index, uint32_t *slot)
{
	INVARIANT(log->open_count == 0);
	return open_put(log, record, bytes, true, log_index, slot);
}

bool
cmdlog_has_reserve(const struct cmdlog *log, uint64_t pages)
{
	return cmdlog_area_has_room(log, pages, true);
}

uint32_t
cmdlog_open_count(const struct cmdlog *log)
{
	return log->open_count;
}

static void
open_end(struct cmdlog *log)
{
	log->open_bytes = 0;
	log->open_pages = 0;
	log->open_count = 0;
	log->open_class = 0;
}

void
cmdlog_open_discard(struct cmdlog *log)
{
	for (uint32_t i = 0; i < log->open_pages; i++)
		cmdlog_tail_raise(log, log->next_page_lsn + i, PAGE_PAYLOAD_BYTES);
	open_end(log);
}

/* Content headers of all pages, over bytes that are final. The unused end of the last page is made
 * zero, so that the block is the same on every node. */
static void
seal_pages(struct cmdlog *log, uint8_t *block, const struct block_hdr *hdr)
{
	struct page_content content = {
		.cluster_id = log->config.cluster_id,
		.shard = log->config.shard,
		.term = hdr->term,
		.epoch = hdr->epoch,
		.log_index = hdr->log_index,
	};
	uint32_t left = hdr->payload_bytes;

	for (uint32_t i = 0; i < hdr->pages; i++) {
		uint8_t *page = block + (size_t)i * PAGE_BYTES;
		content.page_in_block = i;
		content.used_bytes = min_u32(left, PAGE_PAYLOAD_BYTES);
		left -= content.used_bytes;
		cmdlog_tail_clear(log, hdr->page_lsn + i, content.used_bytes);
		page_content_seal(page, &content);
	}
	INVARIANT(left == 0);
}

enum tern_err
cmdlog_seal(struct cmdlog *log, const struct cmdlog_seal *seal, struct block_meta *meta)
{
	const bool is_barrier = seal->kind == BLOCK_BARRIER;
	const uint32_t payload = log->open_bytes == 0 ? BLOCK_HDR_BYTES : log->open_bytes;
	const uint32_t pages = block_pages(payload);

	INVARIANT(is_barrier ? log->open_count == 0 : log->open_count != 0);
	INVARIANT(!seal->is_gen || seal->kind == BLOCK_CONFIG);
	INVARIANT(seal->commit_index <= log->last_index);
	INVARIANT(seal->common_index <= seal->commit_index);
	INVARIANT(log->last_index == 0 ||
		  seal->term >= cmdlog_entry_at(log, log->last_index)->term);
	/* The pages of commands were accounted for when they were appended. */
	if (is_barrier) {
		if (!cmdlog_area_has_room(log, pages, true))
			return TERN_ERR_LOG_FULL;
		if (log->next_page_lsn + pages > cmdlog_credit_end_page(log)) {
			log->stats.ring_full++;
			return TERN_ERR_QUEUE_FULL;
		}
		cmdlog_touch(log, log->next_page_lsn + pages);
	}
	uint8_t *block = cmdlog_page(log, log->next_page_lsn);
	const uint64_t wall_ns = min_u64(seal->wall_ns, CMDLOG_WALL_NS_MAX);
	struct block_hdr hdr = {
		.kind = seal->kind,
		.class_ = is_barrier ? (uint8_t)COMMAND_DURABLE : log->open_class,
		.shard = log->config.shard,
		.machine_version = seal->is_gen ? BLOCK_RULES_IDS : BLOCK_RULES_FIRST,
		.log_index = log->last_index + 1,
		.term = seal->term,
		.epoch = seal->epoch,
		.page_lsn = log->next_page_lsn,
		.time_ns = max_u64(wall_ns, cmdlog_time(log, log->last_index) + 1),
		.commit_index = seal->commit_index,
		.common_index = seal->common_index,
		.command_count = log->open_count,
		.payload_bytes = payload,
		.pages = pages,
		.content_hash = block_content_hash(block, payload),
		.prev_chain = cmdlog_chain(log, log->last_index),
	};
	block_hdr_encode(block + PAGE_PAYLOAD_OFFSET, &hdr);
	seal_pages(log, block, &hdr);
	const struct hash128 chain = block_chain(block + PAGE_PAYLOAD_OFFSET);
	cmdlog_push(log, &hdr, chain, NULL, 0);
	open_end(log);
	log->stats.blocks_sealed++;
	*meta = block_meta_of(&hdr, chain);
	return TERN_OK;
}
