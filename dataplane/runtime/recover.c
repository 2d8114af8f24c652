/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start-up from a checkpoint: the newest one that the superblock names and that is whole, or else
 * the older one. All of it is checked before the first byte goes to the state machine. The log is
 * read from its base, for its peers may need what lies before the checkpoint. Where no checkpoint
 * is whole it must begin with the first block.
 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/state/checkpoint.h"

static bool
chunk_read(struct runtime *rt, uint32_t number)
{
	struct recover *r = &rt->boot.recover;
	const struct superblock_checkpoint *record = &rt->superblock.shards[0].checkpoints[r->slot];

	r->number = number;
	return boot_read(rt, record->first_page, 1 + (uint64_t)number * CHECKPOINT_CHUNK_PAGES,
			 checkpoint_chunk_pages(r->hdr.stream_bytes, number));
}

static bool
is_in_area(const struct runtime *rt, const struct superblock_checkpoint *record)
{
	const uint64_t first = rt->superblock.checkpoint_first_page;
	const uint64_t pages = rt->superblock.checkpoint_pages;

	return record->first_page >= first && record->pages != 0 &&
	       storage_blob_end(rt, record->pages) <= pages &&
	       record->first_page - first <= pages - storage_blob_end(rt, record->pages);
}

/* Reads the header of the newest one that was not yet tried. */
static enum recover_verdict
choose(struct runtime *rt)
{
	const struct superblock_checkpoint *slots = rt->superblock.shards[0].checkpoints;
	struct recover *r = &rt->boot.recover;
	uint32_t best = SUPERBLOCK_CHECKPOINTS;

	for (uint32_t i = 0; i < SUPERBLOCK_CHECKPOINTS; i++) {
		if ((r->tried >> i & 1) == 0 && slots[i].log_index != 0 &&
		    is_in_area(rt, &slots[i]) &&
		    (best == SUPERBLOCK_CHECKPOINTS || slots[i].log_index > slots[best].log_index))
			best = i;
	}
	if (best == SUPERBLOCK_CHECKPOINTS)
		return RECOVER_DONE;
	r->tried |= 1u << best;
	r->slot = best;
	r->step = RECOVER_HEADER;
	return boot_read(rt, slots[best].first_page, 0, 1) ? RECOVER_MORE : RECOVER_FAILED;
}

static enum recover_verdict
next_one(struct runtime *rt)
{
	if (boot_read_again(rt))
		return RECOVER_MORE;
	/* From now on nothing rests on it: its slot is the next one to be written. */
	rt->superblock.shards[0].checkpoints[rt->boot.recover.slot] =
	    (struct superblock_checkpoint){ 0 };
	rt->boot.checkpoints_bad++;
	rt->boot.recover.step = RECOVER_CHOOSE;
	return choose(rt);
}

static enum recover_verdict
take_header(struct runtime *rt)
{
	struct recover *r = &rt->boot.recover;
	const struct superblock_checkpoint *record = &rt->superblock.shards[0].checkpoints[r->slot];
	const struct checkpoint_hdr *hdr = &r->hdr;

	if (checkpoint_hdr_decode(rt->boot.buffer, &r->hdr) != TERN_OK ||
	    hdr->cluster_id != rt->superblock.cluster_id || hdr->shard != rt->config.shard ||
	    hdr->meta.log_index != record->log_index || hdr->meta.term != record->term ||
	    !hash128_equal(hdr->meta.chain, record->chain) ||
	    checkpoint_pages(hdr->stream_bytes) != record->pages)
		return next_one(rt);
	r->root = (struct hash128){ 0 };
	r->step = RECOVER_VERIFY;
	return chunk_read(rt, 0) ? RECOVER_MORE : RECOVER_FAILED;
}

static bool
is_chunk_good(struct runtime *rt, struct checkpoint_chunk *chunk)
{
	const struct recover *r = &rt->boot.recover;

	return checkpoint_chunk_open(rt->boot.buffer,
				     checkpoint_chunk_pages(r->hdr.stream_bytes, r->number),
				     chunk) == TERN_OK &&
	       chunk->cluster_id == r->hdr.cluster_id && chunk->shard == r->hdr.shard &&
	       chunk->log_index == r->hdr.meta.log_index && chunk->number == r->number;
}

static enum recover_verdict
verify(struct runtime *rt)
{
	struct recover *r = &rt->boot.recover;
	struct checkpoint_chunk chunk;

	if (!is_chunk_good(rt, &chunk))
		return next_one(rt);
	r->root = checkpoint_root_add(r->root, chunk.hash);
	if (r->number + 1 < r->hdr.chunk_count)
		return chunk_read(rt, r->number + 1) ? RECOVER_MORE : RECOVER_FAILED;
	if (!hash128_equal(r->root, r->hdr.root))
		return next_one(rt);
	if (state_restore_begin(rt->config.state, r->hdr.meta.log_index, &r->hdr.state) != TERN_OK)
		return RECOVER_REFUSED;
	r->step = RECOVER_RESTORE;
	return chunk_read(rt, 0) ? RECOVER_MORE : RECOVER_FAILED;
}

static enum recover_verdict
restore(struct runtime *rt)
{
	struct recover *r = &rt->boot.recover;
	struct checkpoint_chunk chunk;

	if (!is_chunk_good(rt, &chunk) && boot_read_again(rt))
		return RECOVER_MORE;
	/* It was good a moment ago, and part of it is in the state machine by now. */
	if (!is_chunk_good(rt, &chunk) ||
	    state_restore_bytes(rt->config.state, rt->boot.buffer + CHECKPOINT_CHUNK_HDR_BYTES,
				chunk.payload_bytes) != TERN_OK)
		return RECOVER_FAILED;
	if (r->number + 1 < r->hdr.chunk_count)
		return chunk_read(rt, r->number + 1) ? RECOVER_MORE : RECOVER_FAILED;
	if (state_restore_finish(rt->config.state) != TERN_OK)
		return RECOVER_FAILED;
	r->is_restored = true;
	return RECOVER_DONE;
}

enum recover_verdict
recover_turn(struct runtime *rt)
{
	switch (rt->boot.recover.step) {
	case RECOVER_CHOOSE:
		return choose(rt);
	case RECOVER_HEADER:
		return take_header(rt);
	case RECOVER_VERIFY:
		return verify(rt);
	case RECOVER_RESTORE:
		return restore(rt);
	}
	return RECOVER_FAILED;
}
