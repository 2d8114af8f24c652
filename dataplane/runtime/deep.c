/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

#define NS_PER_S 1000000000u

uint64_t
deep_start(struct runtime *rt, uint64_t end_index)
{
	struct deep *deep = &rt->deep;
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	const uint64_t number = deep->told.number + 1;

	deep->told = (struct status_deep){
		.number = number,
		.state = STATUS_DEEP_LOG,
		.first_index = stats.base_index + 1,
		.next_index = stats.base_index + 1,
		.end_index = min_u64(end_index, stats.durable_index),
	};
	deep->has_before = false;
	deep->pause_until_ns = rt->now_ns;
	/* What is under way is of the run before. */
	deep->is_stale = deep->is_reading;
	deep->is_read = deep->is_retried = false;
	return number;
}

uint64_t
deep_deadline_ns(const struct runtime *rt)
{
	const struct deep *deep = &rt->deep;
	const bool is_running =
	    deep->told.state == STATUS_DEEP_LOG || deep->told.state == STATUS_DEEP_CHECKPOINT;

	return is_running && !deep->is_reading && !rt->is_storage_failed ? deep->pause_until_ns
									 : UINT64_MAX;
}

/* So that it takes no more than its share of the device. */
static void
read_begun(struct runtime *rt, uint32_t pages)
{
	struct deep *deep = &rt->deep;

	stripe_store_submit(rt->store);
	deep->is_reading = true;
	deep->told.pages += pages;
	deep->pause_until_ns =
	    rt->now_ns + (uint64_t)pages * PAGE_BYTES * NS_PER_S / RUNTIME_DEEP_BYTES_PER_S;
}

void
deep_on_read(struct runtime *rt, enum tern_err err)
{
	struct deep *deep = &rt->deep;

	INVARIANT(deep->is_reading);
	deep->is_reading = false;
	deep->is_read = !deep->is_stale;
	deep->is_stale = false;
	deep->is_read_bad = err != TERN_OK;
}

/* ---- the log ---- */

static void
block_bad(struct runtime *rt, uint64_t log_index)
{
	struct status_deep *told = &rt->deep.told;

	if (told->bad_count < STATUS_DEEP_BAD_MAX)
		told->bad[told->bad_count] = log_index;
	told->bad_count++;
	rt->deep.has_before = false;
	refill_found(rt, log_index);
}

static void
block_good(struct runtime *rt, const struct block_hdr *hdr)
{
	struct deep *deep = &rt->deep;

	/* What the index holds was checked against the block before it when it came. */
	if (deep->has_before && !hash128_equal(hdr->prev_chain, deep->before)) {
		block_bad(rt, hdr->log_index);
		return;
	}
	deep->before = block_chain(deep->buffer + PAGE_PAYLOAD_OFFSET);
	deep->has_before = true;
	deep->told.blocks++;
	deep->told.end_chain = deep->before;
}

static void
block_look(struct runtime *rt)
{
	struct deep *deep = &rt->deep;
	struct block_hdr hdr;

	deep->is_read = false;
	/* Meanwhile the log may begin behind it, or end before it. */
	if (deep->index <= cmdlog_stats(rt->log).base_index ||
	    deep->index > cmdlog_stats(rt->log).durable_index)
		return;
	const bool is_good = !deep->is_read_bad &&
			     cmdlog_check_read(rt->log, deep->index, deep->buffer) == TERN_OK &&
			     block_hdr_decode(deep->buffer + PAGE_PAYLOAD_OFFSET, &hdr) == TERN_OK;
	if (!is_good && !deep->is_retried) {
		deep->is_retried = true; /* it may have been read amiss */
		return;
	}
	deep->is_retried = false;
	if (is_good)
		block_good(rt, &hdr);
	else
		block_bad(rt, deep->index);
	deep->told.next_index = deep->index + 1;
}

static bool
log_turn(struct runtime *rt)
{
	struct deep *deep = &rt->deep;
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	struct cmdlog_location at;

	if (deep->is_read)
		block_look(rt);
	if (deep->told.next_index <= stats.base_index) {
		deep->told.next_index = stats.base_index + 1;
		deep->has_before = false;
	}
	deep->told.end_index = min_u64(deep->told.end_index, stats.durable_index);
	if (deep->told.next_index > deep->told.end_index ||
	    !cmdlog_locate(rt->log, deep->told.next_index, &at) || at.first_cell == UINT64_MAX) {
		deep->told.state = STATUS_DEEP_CHECKPOINT;
		deep->slot = SUPERBLOCK_CHECKPOINTS;
		return true;
	}
	const struct storage_part part = { at.first_cell, at.page, at.pages };
	const struct stripe_address address = { at.first_cell, at.group_pages };
	if (storage_part_read(rt, &part, address, deep->buffer,
			      storage_user_make(USER_DEEP, 0, 0)) != TERN_OK) {
		deep->pause_until_ns = rt->now_ns + RUNTIME_DEEP_RETRY_NS;
		return false;
	}
	deep->index = deep->told.next_index;
	read_begun(rt, at.pages);
	return true;
}

/* ---- the newest checkpoint ---- */

static const struct superblock_checkpoint *
record_of(const struct runtime *rt)
{
	return &rt->superblock.shards[0].checkpoints[rt->deep.slot];
}

static bool
is_slot_kept(const struct runtime *rt)
{
	const struct deep *deep = &rt->deep;

	return record_of(rt)->log_index == deep->record_index &&
	       !hold_slot_by_checkpoint(rt, deep->slot) && !hold_slot_by_transfer(rt, deep->slot);
}

static bool
checkpoint_end(struct runtime *rt, bool is_bad)
{
	struct deep *deep = &rt->deep;

	deep->told.is_checkpoint_bad = is_bad;
	deep->told.state = STATUS_DEEP_DONE;
	if (is_bad) {
		rt->boot.checkpoints_bad++;
		(void)checkpoint_hurt(rt, deep->slot);
	}
	return true;
}

/* Whether the part in the buffer is what it must be. */
static bool
is_part_good(struct runtime *rt)
{
	struct deep *deep = &rt->deep;
	struct checkpoint_chunk chunk;

	if (deep->part == 0)
		return checkpoint_hdr_decode(deep->buffer, &deep->hdr) == TERN_OK &&
		       deep->hdr.meta.log_index == deep->record_index &&
		       hash128_equal(deep->hdr.meta.chain, record_of(rt)->chain) &&
		       checkpoint_pages(deep->hdr.stream_bytes) == record_of(rt)->pages;
	const uint32_t pages = part_pages(record_of(rt)->pages, deep->part);
	if (checkpoint_chunk_open(deep->buffer, pages, &chunk) != TERN_OK ||
	    chunk.log_index != deep->record_index || chunk.number != deep->part - 1)
		return false;
	deep->root = checkpoint_root_add(deep->root, chunk.hash);
	return true;
}

static bool
part_read(struct runtime *rt)
{
	struct deep *deep = &rt->deep;
	const uint32_t pages = part_pages(record_of(rt)->pages, deep->part);
	struct stripe_blob blob = storage_blob(rt, record_of(rt)->first_page,
					       part_first_page(deep->part), deep->buffer, pages);

	blob.user = storage_user_make(USER_DEEP, 0, 0);
	if (stripe_store_blob_read(rt->store, &blob, deep->distrust, rt->now_ns) != TERN_OK) {
		deep->pause_until_ns = rt->now_ns + RUNTIME_DEEP_RETRY_NS;
		return false;
	}
	read_begun(rt, pages);
	return true;
}

static bool
checkpoint_begin(struct runtime *rt)
{
	struct deep *deep = &rt->deep;

	deep->slot = checkpoint_newest_slot(rt);
	deep->record_index = record_of(rt)->log_index;
	deep->part = deep->distrust = 0;
	deep->root = (struct hash128){ 0 };
	deep->is_read = false;
	deep->told.checkpoint_index = deep->record_index;
	if (deep->record_index == 0)
		return checkpoint_end(rt, false); /* there is none yet */
	return part_read(rt);
}

static bool
checkpoint_look(struct runtime *rt)
{
	struct deep *deep = &rt->deep;

	/* A newer one has come to be. */
	if (deep->slot == SUPERBLOCK_CHECKPOINTS || !is_slot_kept(rt))
		return checkpoint_begin(rt);
	if (!deep->is_read)
		return part_read(rt);
	deep->is_read = false;
	if (deep->is_read_bad || !is_part_good(rt)) {
		if (stripe_blob_distrust_next(runtime_geometry(rt), &deep->distrust))
			return part_read(rt);
		return checkpoint_end(rt, true);
	}
	deep->distrust = 0;
	if (deep->part == deep->hdr.chunk_count)
		return checkpoint_end(rt, !hash128_equal(deep->root, deep->hdr.root));
	deep->part++;
	return part_read(rt);
}

bool
deep_turn(struct runtime *rt)
{
	const struct deep *deep = &rt->deep;

	if (deep->is_reading || rt->is_storage_failed || rt->now_ns < deep->pause_until_ns)
		return false;
	switch ((enum status_deep_state)deep->told.state) {
	case STATUS_DEEP_LOG:
		return log_turn(rt);
	case STATUS_DEEP_CHECKPOINT:
		return checkpoint_look(rt);
	case STATUS_DEEP_NONE:
	case STATUS_DEEP_DONE:
		break;
	}
	return false;
}
