/* SPDX-License-Identifier: Apache-2.0 */
/* The sender of checkpoints: see transfer.h. One node is served at a time. */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

#include "dataplane/base/invariant.h"

static const struct superblock_checkpoint *
record_of(const struct runtime *rt, uint32_t slot)
{
	return &rt->superblock.shards[0].checkpoints[slot];
}

/* The slot that holds it, by the superblock and durably; SUPERBLOCK_CHECKPOINTS: none does. */
static uint32_t
slot_of(const struct runtime *rt, const struct part_id *id)
{
	uint32_t slot = 0;

	while (slot < SUPERBLOCK_CHECKPOINTS &&
	       (record_of(rt, slot)->log_index != id->log_index ||
		!hash128_equal(record_of(rt, slot)->chain, id->chain)))
		slot++;
	if (slot < SUPERBLOCK_CHECKPOINTS &&
	    (hold_slot_by_checkpoint(rt, slot) || checkpoint_is_torn(rt, slot)))
		return SUPERBLOCK_CHECKPOINTS;
	return slot;
}

static bool
is_asked_lately(const struct runtime *rt)
{
	return rt->source.asked_ns != 0 &&
	       rt->now_ns - rt->source.asked_ns < RUNTIME_TRANSFER_PATIENCE * rt->config.resend_ns;
}

/* Copies that count come before learners, and before nodes that were removed, or not yet added. */
static uint32_t
rank_of(const struct runtime *rt, uint16_t node)
{
	if ((rt->members.voters >> node & 1) != 0)
		return 2;
	return (rt->members.learners >> node & 1) != 0 ? 1 : 0;
}

/* One at a time, until it has started from what it fetched: what it then needs of the log is kept
 * for it alone. */
static bool
may_be_served(const struct runtime *rt, uint16_t node)
{
	const uint16_t served = rt->source.node;

	if ((rt->config.own_bugs & RUNTIME_BUG_TURNS) != 0)
		return served == node || !is_asked_lately(rt);
	return served == node || !hold_by_source(rt) || rank_of(rt, node) > rank_of(rt, served);
}

/* Of the log area, behind that block. */
static uint64_t
pages_behind(const struct runtime *rt, uint64_t log_index)
{
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	struct cmdlog_base base;

	if (log_index <= stats.base_index)
		return stats.used_pages;
	if (!cmdlog_base_at(rt->log, log_index, &base) || base.next_cell == UINT64_MAX)
		return 0;
	return stats.end_cell - base.next_cell;
}

bool
source_progress(const struct runtime *rt, struct source_progress *progress)
{
	const struct transfer_source *source = &rt->source;
	const uint64_t log_index = hold_index(rt);

	if (log_index == UINT64_MAX)
		return false;
	*progress = (struct source_progress){
		.node = source->node,
		.asked_ns = source->asked_ns,
		.behind = pages_behind(rt, log_index),
		.page = part_first_page(source->ask.id.part),
		.pages = record_of(rt, source->slot)->pages,
	};
	return true;
}

void
source_on_ask(struct runtime *rt, const struct frame_hdr *hdr, const uint8_t *body)
{
	struct transfer_source *source = &rt->source;
	struct part_ask ask;

	if (part_ask_decode(body, hdr->body_bytes, &ask) != TERN_OK) {
		rt->link.drops.malformed++;
		return;
	}
	if (ask.id.part == PART_OF_BLOCK) {
		mend_source_on_ask(rt, hdr, &ask);
		return;
	}
	const uint32_t slot = slot_of(rt, &ask.id);
	if (peers_slot(rt, hdr->sender) == UINT32_MAX || slot == SUPERBLOCK_CHECKPOINTS ||
	    !may_be_served(rt, hdr->sender) || ask.id.log_index == source->bad_index ||
	    ask.unit_first + ask.unit_count >
		part_units(part_pages(record_of(rt, slot)->pages, ask.id.part))) {
		rt->link.drops.part_unwanted++;
		return;
	}
	source->node = hdr->sender;
	source->asked_ns = rt->now_ns;
	source->slot = slot;
	source->ask = ask;
	source->is_wanted = true;
}

static bool
is_held(const struct transfer_source *source, const struct part_id *id)
{
	return source->held.log_index == id->log_index && source->held.part == id->part &&
	       hash128_equal(source->held.chain, id->chain);
}

static bool
read_part(struct runtime *rt)
{
	struct transfer_source *source = &rt->source;
	const struct superblock_checkpoint *record = record_of(rt, source->slot);
	const uint32_t part = source->ask.id.part, pages = part_pages(record->pages, part);
	struct stripe_blob blob =
	    storage_blob(rt, record->first_page, part_first_page(part), source->buffer, pages);

	blob.user = storage_user_make(USER_SOURCE, 0, 0);
	if (stripe_store_blob_read(rt->store, &blob, source->distrust, rt->now_ns) != TERN_OK)
		return false;
	stripe_store_submit(rt->store);
	source->held = source->ask.id;
	source->pages = pages;
	source->is_bad = false;
	source->is_reading = true;
	return true;
}

static bool
is_part_good(const struct transfer_source *source)
{
	struct checkpoint_chunk chunk;
	struct checkpoint_hdr hdr;

	if (source->held.part == 0)
		return checkpoint_hdr_decode(source->buffer, &hdr) == TERN_OK &&
		       hdr.meta.log_index == source->held.log_index;
	return checkpoint_chunk_open(source->buffer, source->pages, &chunk) == TERN_OK &&
	       chunk.log_index == source->held.log_index && chunk.number == source->held.part - 1;
}

/* What was read back is what was written, in one way or another, or this checkpoint is given to
 * nobody any more. */
void
source_on_completion(struct runtime *rt, enum tern_err err)
{
	struct transfer_source *source = &rt->source;

	INVARIANT(source->is_reading);
	source->is_reading = false;
	if (err == TERN_OK && is_part_good(source))
		return;
	source->is_bad = stripe_blob_distrust_next(runtime_geometry(rt), &source->distrust);
	if (source->is_bad)
		return;
	rt->boot.checkpoints_bad++;
	source->bad_index = source->held.log_index;
	if (record_of(rt, source->slot)->log_index == source->held.log_index &&
	    !hold_slot_by_checkpoint(rt, source->slot) && !checkpoint_is_torn(rt, source->slot))
		(void)checkpoint_hurt(rt, source->slot);
	source->held = (struct part_id){ 0 };
	source->is_wanted = false;
}

static bool
send_unit(struct runtime *rt, uint32_t unit)
{
	const struct transfer_source *source = &rt->source;
	const struct part_hdr hdr = {
		.id = source->held,
		.pages = source->pages,
		.unit = unit,
		.bytes = part_unit_bytes(source->pages, unit),
	};
	struct net_frame frame;

	if (!link_bulk_begin(&rt->link, source->node, &frame))
		return false;
	INVARIANT(frame.capacity >= FRAME_HDR_BYTES + PART_HDR_BYTES + hdr.bytes);
	uint8_t *body = frame.bytes + FRAME_HDR_BYTES;
	part_hdr_encode(body, &hdr);
	memcpy(body + PART_HDR_BYTES, source->buffer + (size_t)unit * PART_UNIT_BYTES, hdr.bytes);
	link_bulk_end(&rt->link, &frame, FRAME_PART, core_view(rt->core)->term,
		      PART_HDR_BYTES + hdr.bytes, PART_HDR_BYTES + hdr.bytes);
	return true;
}

bool
source_turn(struct runtime *rt)
{
	struct transfer_source *source = &rt->source;
	struct part_ask *ask = &source->ask;

	if (!source->is_wanted || source->is_reading || rt->is_storage_failed)
		return false;
	/* Its slot may have been written to since. */
	if (!is_asked_lately(rt) || slot_of(rt, &ask->id) != source->slot) {
		source->is_wanted = false;
		source->held = (struct part_id){ 0 };
		return false;
	}
	if (!is_held(source, &ask->id)) {
		source->distrust = 0;
		return read_part(rt);
	}
	if (source->is_bad)
		return read_part(rt);
	const uint32_t before = ask->unit_count;
	for (uint32_t i = 0; i < RUNTIME_TRANSFER_FRAMES_MAX && ask->unit_count != 0; i++) {
		if (!send_unit(rt, ask->unit_first))
			break;
		ask->unit_first++;
		ask->unit_count--;
		rt->transfer.parts_sent++;
	}
	source->is_wanted = ask->unit_count != 0;
	link_bulk_flush(&rt->link);
	return ask->unit_count != before;
}
