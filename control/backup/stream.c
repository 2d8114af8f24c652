/* SPDX-License-Identifier: Apache-2.0 */
#include "control/backup/stream.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/wire/bytes.h"

size_t
backup_stream_bytes(const struct backup_hdr *hdr)
{
	return (size_t)max_u32(hdr->block_pages_max, CHECKPOINT_CHUNK_PAGES) * PAGE_BYTES;
}

static void
expect(struct backup_stream *stream, enum backup_stream_phase phase, uint64_t pages)
{
	stream->phase = phase;
	stream->have = 0;
	stream->need = (size_t)pages * PAGE_BYTES;
	INVARIANT(stream->need <= backup_stream_bytes(stream->hdr));
}

static void
expect_block(struct backup_stream *stream)
{
	if (stream->last_index == stream->hdr->last_index)
		expect(stream, BACKUP_STREAM_END, 0);
	else
		expect(stream, BACKUP_STREAM_BLOCK_HEAD, 1);
}

void
backup_stream_begin(struct backup_stream *stream, const struct backup_hdr *hdr,
		    const struct backup_sink *sink, void *buffer)
{
	*stream = (struct backup_stream){ .hdr = hdr, .sink = sink, .buffer = buffer };
	if (hdr->first_index != 0)
		expect(stream, BACKUP_STREAM_CHECKPOINT, 1);
	else
		expect_block(stream);
}

/* ---- the checkpoint ---- */

static void
expect_chunk(struct backup_stream *stream)
{
	expect(stream, BACKUP_STREAM_CHUNK,
	       checkpoint_chunk_pages(stream->checkpoint.stream_bytes, stream->number));
}

static enum tern_err
take_checkpoint(struct backup_stream *stream)
{
	const struct backup_hdr *hdr = stream->hdr;
	struct checkpoint_hdr *checkpoint = &stream->checkpoint;

	if (checkpoint_hdr_decode(stream->buffer, checkpoint) != TERN_OK ||
	    checkpoint->cluster_id != hdr->cluster_id || checkpoint->shard != hdr->shard ||
	    checkpoint->meta.log_index != hdr->first_index || checkpoint->chunk_count == 0 ||
	    checkpoint_pages(checkpoint->stream_bytes) != hdr->checkpoint_pages)
		return TERN_ERR_CORRUPT;
	if (checkpoint->machine_version > CMDLOG_MACHINE_VERSION)
		return TERN_ERR_VERSION;
	stream->last_index = checkpoint->meta.log_index;
	stream->term = checkpoint->meta.term;
	stream->page_end = checkpoint->page_end;
	stream->time_ns = checkpoint->block_time_ns;
	stream->chain = checkpoint->meta.chain;
	expect_chunk(stream);
	return stream->sink->checkpoint(stream->sink->context, stream->buffer, checkpoint);
}

static enum tern_err
take_chunk(struct backup_stream *stream)
{
	const struct checkpoint_hdr *checkpoint = &stream->checkpoint;
	const uint32_t pages = (uint32_t)(stream->need / PAGE_BYTES);
	struct checkpoint_chunk chunk;

	if (checkpoint_chunk_open(stream->buffer, pages, &chunk) != TERN_OK ||
	    chunk.cluster_id != checkpoint->cluster_id || chunk.shard != checkpoint->shard ||
	    chunk.log_index != checkpoint->meta.log_index || chunk.number != stream->number)
		return TERN_ERR_CORRUPT;
	stream->root = checkpoint_root_add(stream->root, chunk.hash);
	stream->number++;
	if (stream->number < checkpoint->chunk_count)
		expect_chunk(stream);
	else if (hash128_equal(stream->root, checkpoint->root))
		expect_block(stream);
	else
		return TERN_ERR_CORRUPT;
	return stream->sink->chunk(stream->sink->context, stream->buffer, pages, &chunk);
}

/* ---- blocks ---- */

static bool
page_is_of_block(const uint8_t *page, uint32_t number, const struct block_hdr *hdr,
		 uint64_t cluster_id, uint16_t shard)
{
	const uint32_t left = hdr->payload_bytes - number * PAGE_PAYLOAD_BYTES;
	struct page_content content;

	return page_content_open(page, &content) == TERN_OK && content.cluster_id == cluster_id &&
	       content.shard == shard && content.term == hdr->term && content.epoch == hdr->epoch &&
	       content.log_index == hdr->log_index && content.page_in_block == number &&
	       content.used_bytes == min_u32(left, PAGE_PAYLOAD_BYTES) &&
	       bytes_are_zero(page + PAGE_PAYLOAD_OFFSET + content.used_bytes,
			      PAGE_PAYLOAD_BYTES - content.used_bytes);
}

enum tern_err
backup_block_check(const uint8_t *bytes, uint32_t pages, uint64_t cluster_id, uint16_t shard,
		   const struct backup_position *before, struct block_hdr *hdr,
		   struct hash128 *block_chain_out)
{
	const enum tern_err err = block_hdr_decode(bytes + PAGE_PAYLOAD_OFFSET, hdr);

	if (err != TERN_OK)
		return err;
	if (hdr->machine_version > CMDLOG_MACHINE_VERSION)
		return TERN_ERR_VERSION;
	if (hdr->pages != pages || hdr->pages != block_pages(hdr->payload_bytes) ||
	    hdr->shard != shard || hdr->log_index != before->index + 1 ||
	    hdr->page_lsn != before->page_end || hdr->time_ns <= before->time_ns ||
	    !hash128_equal(hdr->prev_chain, before->chain))
		return TERN_ERR_CORRUPT;
	for (uint32_t i = 0; i < pages; i++) {
		if (!page_is_of_block(bytes + (size_t)i * PAGE_BYTES, i, hdr, cluster_id, shard))
			return TERN_ERR_CORRUPT;
	}
	if (!hash128_equal(block_content_hash(bytes, hdr->payload_bytes), hdr->content_hash))
		return TERN_ERR_CORRUPT;
	*block_chain_out = block_chain(bytes + PAGE_PAYLOAD_OFFSET);
	return TERN_OK;
}

/* How long it is; all else is checked when it is whole. */
static enum tern_err
take_block_head(struct backup_stream *stream)
{
	struct block_hdr hdr;
	const enum tern_err err = block_hdr_decode(stream->buffer + PAGE_PAYLOAD_OFFSET, &hdr);

	if (err != TERN_OK)
		return err;
	if (hdr.pages == 0 || hdr.pages > stream->hdr->block_pages_max)
		return TERN_ERR_CORRUPT;
	stream->phase = BACKUP_STREAM_BLOCK;
	stream->need = (size_t)hdr.pages * PAGE_BYTES;
	return TERN_OK;
}

static enum tern_err
take_block(struct backup_stream *stream)
{
	const uint32_t pages = (uint32_t)(stream->need / PAGE_BYTES);
	const struct backup_position before = { stream->last_index, stream->page_end,
						stream->time_ns, stream->chain };
	struct block_hdr hdr;
	enum tern_err err = backup_block_check(stream->buffer, pages, stream->hdr->cluster_id,
					       stream->hdr->shard, &before, &hdr, &stream->chain);

	for (uint32_t i = 0; i < pages && err == TERN_OK; i++) {
		if (!bytes_are_zero(stream->buffer + (size_t)i * PAGE_BYTES, PAGE_IDENTITY_BYTES))
			err = TERN_ERR_CORRUPT;
	}
	if (err != TERN_OK)
		return err;
	stream->last_index = hdr.log_index;
	stream->page_end += pages;
	stream->time_ns = hdr.time_ns;
	stream->term = hdr.term;
	stream->log_pages += pages;
	expect_block(stream);
	return stream->sink->block(stream->sink->context, stream->buffer, &hdr, stream->chain);
}

static enum tern_err
take(struct backup_stream *stream)
{
	switch (stream->phase) {
	case BACKUP_STREAM_CHECKPOINT:
		return take_checkpoint(stream);
	case BACKUP_STREAM_CHUNK:
		return take_chunk(stream);
	case BACKUP_STREAM_BLOCK_HEAD:
		return take_block_head(stream);
	case BACKUP_STREAM_BLOCK:
		return take_block(stream);
	case BACKUP_STREAM_END:
		break;
	}
	return TERN_ERR_CORRUPT;
}

enum tern_err
backup_stream_add(struct backup_stream *stream, const uint8_t *bytes, size_t count)
{
	enum tern_err err = TERN_OK;

	while (count != 0 && err == TERN_OK) {
		if (stream->phase == BACKUP_STREAM_END)
			return TERN_ERR_CORRUPT;
		const size_t some = min_u64(count, stream->need - stream->have);
		memcpy(stream->buffer + stream->have, bytes, some);
		stream->have += some;
		bytes += some;
		count -= some;
		/* A block of one page is whole with its head. */
		while (err == TERN_OK && stream->have == stream->need &&
		       stream->phase != BACKUP_STREAM_END)
			err = take(stream);
	}
	return err;
}

enum tern_err
backup_stream_end(const struct backup_stream *stream)
{
	const struct backup_hdr *hdr = stream->hdr;

	return stream->phase == BACKUP_STREAM_END && stream->last_index == hdr->last_index &&
		       hash128_equal(stream->chain, hdr->chain) && stream->term == hdr->last_term &&
		       stream->log_pages == hdr->log_pages && stream->time_ns == hdr->last_time_ns
		   ? TERN_OK
		   : TERN_ERR_CORRUPT;
}
