/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/backup/sample.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/base/prng.h"
#include "dataplane/cmdlog/cmdlog.h"

struct making {
	struct sample *sample;
	struct prng prng;
	struct backup_position last;
};

static uint8_t *
room(struct making *making, uint32_t pages)
{
	struct sample *sample = making->sample;
	uint8_t *at = sample->bytes + sample->count;

	INVARIANT(sample->count + (size_t)pages * PAGE_BYTES <= sizeof(sample->bytes));
	sample->count += (size_t)pages * PAGE_BYTES;
	return at;
}

/* Half random, half zeros: it can be compressed, and not to nothing. */
static void
noise(struct making *making, uint8_t *at, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (i / 64) % 2 == 0 ? (uint8_t)prng_next(&making->prng) : 0;
}

static void
checkpoint_make(struct making *making, uint64_t index, uint32_t stream_bytes)
{
	struct checkpoint_hdr hdr = {
		.cluster_id = SAMPLE_CLUSTER,
		.machine_version = CMDLOG_MACHINE_VERSION,
		.meta = { .log_index = index,
			  .term = 3,
			  .epoch = 1,
			  .kind = BLOCK_COMMANDS,
			  .chain = hash128(&index, sizeof(index)) },
		.page_end = index * 2,
		.block_time_ns = 1000 + index,
		.voters = 6,
		.state = { .time_ns = 1000 + index,
			   .hash = 99,
			   .key_count = 5,
			   .client_id_next = 1,
			   .capacity_bytes = 1u << 20,
			   .value_bytes_max = 4096,
			   .sessions_max = 4 },
		.stream_bytes = stream_bytes,
		.chunk_count = (uint32_t)checkpoint_chunks(stream_bytes),
	};
	uint8_t *page = room(making, 1);

	for (uint32_t number = 0; number < hdr.chunk_count; number++) {
		const uint32_t pages = checkpoint_chunk_pages(stream_bytes, number);
		struct checkpoint_chunk chunk = {
			.cluster_id = SAMPLE_CLUSTER,
			.log_index = index,
			.number = number,
			.payload_bytes = (uint32_t)min_u64(
			    stream_bytes - (uint64_t)number * CHECKPOINT_CHUNK_PAYLOAD_MAX,
			    CHECKPOINT_CHUNK_PAYLOAD_MAX),
		};
		uint8_t *at = room(making, pages);
		noise(making, at + CHECKPOINT_CHUNK_HDR_BYTES, chunk.payload_bytes);
		const uint32_t sealed = checkpoint_chunk_seal(at, &chunk);
		INVARIANT(sealed == pages);
		hdr.root = checkpoint_root_add(hdr.root, chunk.hash);
	}
	checkpoint_hdr_encode(page, &hdr);
	making->last =
	    (struct backup_position){ index, hdr.page_end, hdr.block_time_ns, hdr.meta.chain };
	making->sample->hdr.first_time_ns = hdr.block_time_ns;
	making->sample->hdr.checkpoint_pages = checkpoint_pages(stream_bytes);
}

static void
pages_seal(const struct block_hdr *hdr, uint8_t *block)
{
	for (uint32_t i = 0; i < hdr->pages; i++) {
		const struct page_content content = {
			.cluster_id = SAMPLE_CLUSTER,
			.term = hdr->term,
			.log_index = hdr->log_index,
			.epoch = hdr->epoch,
			.page_in_block = i,
			.used_bytes = min_u32(hdr->payload_bytes - i * PAGE_PAYLOAD_BYTES,
					      PAGE_PAYLOAD_BYTES),
		};
		page_content_seal(block + (size_t)i * PAGE_BYTES, &content);
	}
}

static void
block_make(struct making *making, uint32_t payload_bytes)
{
	struct backup_hdr *sample_hdr = &making->sample->hdr;
	struct block_hdr hdr = {
		.kind = BLOCK_COMMANDS,
		.machine_version = CMDLOG_MACHINE_VERSION,
		.log_index = making->last.index + 1,
		.term = 3 + making->last.index / 10,
		.epoch = 1,
		.command_count = 1,
		.payload_bytes = payload_bytes,
		.pages = block_pages(payload_bytes),
		.page_lsn = making->last.page_end,
		.time_ns = making->last.time_ns + 7,
		.commit_index = making->last.index,
		.prev_chain = making->last.chain,
	};
	uint8_t *block = room(making, hdr.pages);
	uint32_t left = payload_bytes;

	for (uint32_t i = 0; i < hdr.pages; i++) {
		const uint32_t bytes = min_u32(left, PAGE_PAYLOAD_BYTES);
		noise(making, block + (size_t)i * PAGE_BYTES + PAGE_PAYLOAD_OFFSET, bytes);
		left -= bytes;
	}
	hdr.content_hash = block_content_hash(block, payload_bytes);
	block_hdr_encode(block + PAGE_PAYLOAD_OFFSET, &hdr);
	pages_seal(&hdr, block);
	making->last =
	    (struct backup_position){ hdr.log_index, hdr.page_lsn + hdr.pages, hdr.time_ns,
				      block_chain(block + PAGE_PAYLOAD_OFFSET) };
	if (sample_hdr->first_time_ns == 0)
		sample_hdr->first_time_ns = hdr.time_ns;
	sample_hdr->log_pages += hdr.pages;
	sample_hdr->block_pages_max = max_u32(sample_hdr->block_pages_max, hdr.pages);
	sample_hdr->last_term = hdr.term;
}

void
sample_make(struct sample *sample, uint64_t first_index, uint32_t stream_bytes, uint32_t blocks)
{
	struct making making = { .sample = sample };

	memset(sample, 0, sizeof(*sample));
	prng_seed(&making.prng, first_index + stream_bytes);
	if (first_index != 0)
		checkpoint_make(&making, first_index, stream_bytes);
	sample->chains[0] = making.last.chain;
	for (uint32_t i = 1; i <= blocks; i++) {
		block_make(&making, BLOCK_HDR_BYTES + 8 + i % 7 * 1700);
		sample->chains[i] = making.last.chain;
	}
	sample->hdr.cluster_id = SAMPLE_CLUSTER;
	sample->hdr.node_id = 1;
	sample->hdr.machine_version = CMDLOG_MACHINE_VERSION;
	sample->hdr.created_s = 1000000000;
	sample->hdr.first_index = first_index;
	sample->hdr.last_index = making.last.index;
	sample->hdr.commit_index = making.last.index;
	sample->hdr.last_time_ns = making.last.time_ns;
	sample->hdr.chain = making.last.chain;
	sample->hdr.capacity_bytes = 1u << 20;
	sample->hdr.value_bytes_max = 4096;
	sample->hdr.sessions_max = 4;
}
