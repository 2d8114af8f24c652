/* SPDX-License-Identifier: Apache-2.0 */
/* The replica's side: bytes are placed where they belong, then verified in place. */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog_internal.h"
#include "dataplane/wire/membership.h"

uint64_t
cmdlog_next_page_lsn(const struct cmdlog *log)
{
	return log->next_page_lsn;
}

uint8_t *
cmdlog_place(struct cmdlog *log, uint64_t page_lsn, uint32_t pages, uint32_t tail_bytes)
{
	const uint32_t tail = tail_bytes - min_u32(tail_bytes, PAGE_CONTENT_HDR_BYTES);

	INVARIANT(log->open_bytes == 0);
	if (pages == 0 || pages > log->ring_pages || page_lsn < log->next_page_lsn ||
	    page_lsn > UINT64_MAX - pages || page_lsn + pages > cmdlog_credit_end_page(log))
		return NULL;
	cmdlog_touch(log, page_lsn + pages);
	if (tail_bytes != 0) {
		for (uint32_t i = 0; i + 1 < pages; i++)
			cmdlog_tail_raise(log, page_lsn + i, PAGE_PAYLOAD_BYTES);
		cmdlog_tail_raise(log, page_lsn + pages - 1, min_u32(tail, PAGE_PAYLOAD_BYTES));
	}
	return cmdlog_page(log, page_lsn);
}

static enum tern_err
page_verify(const struct cmdlog *log, const uint8_t *page, const struct block_hdr *hdr,
	    uint32_t page_in_block, uint32_t used_bytes)
{
	struct page_content content;
	const enum tern_err err = page_content_open(page, &content);

	if (err != TERN_OK)
		return err;
	if (content.cluster_id != log->config.cluster_id || content.shard != log->config.shard)
		return TERN_ERR_FOREIGN;
	if (content.term != hdr->term || content.epoch != hdr->epoch ||
	    content.log_index != hdr->log_index || content.page_in_block != page_in_block ||
	    content.used_bytes != used_bytes)
		return TERN_ERR_CORRUPT;
	return TERN_OK;
}

enum tern_err
cmdlog_block_verify(const struct cmdlog *log, const uint8_t *bytes, uint32_t pages,
		    struct block_hdr *hdr)
{
	struct page_content first;
	enum tern_err err = page_content_open(bytes, &first);

	if (err != TERN_OK)
		return err;
	if (first.used_bytes < BLOCK_HDR_BYTES)
		return TERN_ERR_CORRUPT;
	err = block_hdr_decode(bytes + PAGE_PAYLOAD_OFFSET, hdr);
	if (err != TERN_OK)
		return err;
	if (hdr->shard != log->config.shard)
		return TERN_ERR_FOREIGN;
	if (hdr->pages != pages ||
	    (hdr->kind == BLOCK_BARRIER &&
	     (hdr->command_count != 0 || hdr->payload_bytes != BLOCK_HDR_BYTES)))
		return TERN_ERR_CORRUPT;
	uint32_t left = hdr->payload_bytes;
	for (uint32_t i = 0; i < pages; i++) {
		const uint32_t used = min_u32(left, PAGE_PAYLOAD_BYTES);
		err = page_verify(log, bytes + (size_t)i * PAGE_BYTES, hdr, i, used);
		if (err != TERN_OK)
			return err;
		left -= used;
	}
	INVARIANT(left == 0);
	if (hdr->kind != BLOCK_CONFIG)
		return TERN_OK;
	/* What it says has to be understood before it is part of a log. */
	struct membership next, before;
	err = membership_of_block(bytes, &next, &before);
	return err == TERN_ERR_MALFORMED ? TERN_ERR_CORRUPT : err;
}

static enum tern_err
accept_check(const struct cmdlog *log, const uint8_t *block, uint32_t pages, uint64_t term_max,
	     struct block_hdr *hdr)
{
	struct block_meta last = { 0 };
	(void)cmdlog_meta(log, log->last_index, &last);
	const enum tern_err err = cmdlog_block_verify(log, block, pages, hdr);

	if (err != TERN_OK)
		return err;
	if (hdr->term > term_max)
		return TERN_ERR_STALE_TERM;
	if (hdr->log_index != log->last_index + 1 || hdr->page_lsn != log->next_page_lsn ||
	    !hash128_equal(hdr->prev_chain, cmdlog_chain(log, log->last_index)) ||
	    hdr->term < last.term || (hdr->term == last.term && hdr->epoch < last.epoch) ||
	    hdr->time_ns <= cmdlog_time(log, log->last_index) || hdr->time_ns > CMDLOG_TIME_NS_MAX)
		return TERN_ERR_CORRUPT;
	if (!cmdlog_area_has_room(log, pages, true))
		return TERN_ERR_LOG_FULL;
	return TERN_OK;
}

enum tern_err
cmdlog_accept(struct cmdlog *log, uint32_t pages, uint64_t term_max, struct block_meta *meta)
{
	struct block_hdr hdr;

	INVARIANT(log->open_bytes == 0 && !log->scan.is_running);
	if (pages == 0 || pages > log->block_pages_max ||
	    log->next_page_lsn + pages > cmdlog_credit_end_page(log))
		return TERN_ERR_TOO_LARGE;
	uint8_t *block = cmdlog_page(log, log->next_page_lsn);
	const enum tern_err err = accept_check(log, block, pages, term_max, &hdr);
	if (err != TERN_OK) {
		log->stats.blocks_refused++;
		return err;
	}
	/* Neither CRC nor sender need cover what lies behind the used bytes. */
	const uint32_t used = hdr.payload_bytes - (pages - 1) * PAGE_PAYLOAD_BYTES;
	cmdlog_tail_clear(log, log->next_page_lsn + pages - 1, used);
	cmdlog_touch(log, log->next_page_lsn + pages);
	const struct hash128 chain = block_chain(block + PAGE_PAYLOAD_OFFSET);
	cmdlog_push(log, &hdr, chain, NULL, 0);
	log->stats.blocks_accepted++;
	*meta = block_meta_of(&hdr, chain);
	return TERN_OK;
}
