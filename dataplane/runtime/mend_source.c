/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks for a node that lacks them, by (log_index, chain): see mend.h. Any role, damaged or not,
 * committed or not: they are the very blocks that the other one had, or it would not know their
 * chain. One node is served at a time, from the buffer that the boot used.
 */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

#include "dataplane/base/invariant.h"

void
mend_source_on_ask(struct runtime *rt, const struct frame_hdr *hdr, const struct part_ask *ask)
{
	struct mend_source *source = &rt->mend_source;
	const bool is_other = source->is_wanted && source->node != hdr->sender &&
			      rt->now_ns - source->asked_ns < rt->config.resend_ns;
	struct cmdlog_location at;

	if (peers_slot(rt, hdr->sender) == UINT32_MAX || is_other ||
	    !cmdlog_find(rt->log, ask->id.log_index, ask->id.chain, &at) ||
	    at.pages > PART_BLOCK_PAGES_MAX || rt->is_storage_failed) {
		rt->link.drops.part_unwanted++;
		return;
	}
	source->node = hdr->sender;
	source->asked_ns = rt->now_ns;
	source->ask = *ask;
	source->is_wanted = true;
}

static bool
is_held(const struct mend_source *source)
{
	const struct part_id *id = &source->ask.id;

	return source->held.log_index == id->log_index &&
	       hash128_equal(source->held.chain, id->chain);
}

static bool
block_read(struct runtime *rt)
{
	struct mend_source *source = &rt->mend_source;
	const struct cmdlog_location *at = &source->at;

	if (!cmdlog_find(rt->log, source->ask.id.log_index, source->ask.id.chain, &source->at)) {
		source->is_wanted = false;
		return false;
	}
	const struct storage_part part = { at->first_cell, at->page, at->pages };
	const struct stripe_address address = { at->first_cell, at->group_pages };
	if (storage_part_read(rt, &part, address, rt->boot.buffer,
			      storage_user_make(USER_MEND_SOURCE, 0, 0)) != TERN_OK)
		return false;
	stripe_store_submit(rt->store);
	source->held = source->ask.id;
	source->is_reading = true;
	return true;
}

/* It may have been written over, if it is no part of the log any more; or it cannot be read here,
 * either. */
void
mend_source_on_read(struct runtime *rt, enum tern_err err)
{
	struct mend_source *source = &rt->mend_source;
	struct block_hdr hdr;

	INVARIANT(source->is_reading);
	source->is_reading = false;
	if (err == TERN_OK &&
	    cmdlog_check_block(rt->log, source->held.log_index, source->held.chain, rt->boot.buffer,
			       source->at.pages, &hdr) == TERN_OK) {
		source->blocks_given++;
		return;
	}
	source->blocks_bad++;
	source->held = (struct part_id){ 0 };
	source->is_wanted = false;
}

static bool
unit_send(struct runtime *rt, uint32_t unit)
{
	const struct mend_source *source = &rt->mend_source;
	const struct part_hdr hdr = {
		.id = { source->held.log_index, source->held.chain, PART_OF_BLOCK },
		.pages = source->at.pages,
		.unit = unit,
		.bytes = part_unit_bytes(source->at.pages, unit),
	};
	struct net_frame frame;

	if (!link_bulk_begin(&rt->link, source->node, &frame))
		return false;
	INVARIANT(frame.capacity >= FRAME_HDR_BYTES + PART_HDR_BYTES + hdr.bytes);
	uint8_t *body = frame.bytes + FRAME_HDR_BYTES;
	part_hdr_encode(body, &hdr);
	memcpy(body + PART_HDR_BYTES, rt->boot.buffer + (size_t)unit * PART_UNIT_BYTES, hdr.bytes);
	link_bulk_end(&rt->link, &frame, FRAME_PART, core_view(rt->core)->term,
		      PART_HDR_BYTES + hdr.bytes, PART_HDR_BYTES + hdr.bytes);
	return true;
}

bool
mend_source_turn(struct runtime *rt)
{
	struct mend_source *source = &rt->mend_source;
	struct part_ask *ask = &source->ask;
	bool has_any = false;

	if (!source->is_wanted || source->is_reading || rt->is_storage_failed)
		return false;
	if (!is_held(source))
		return block_read(rt);
	const uint32_t units = part_units(source->at.pages);
	for (uint32_t i = 0; i < RUNTIME_TRANSFER_FRAMES_MAX && ask->unit_count != 0 &&
			     ask->unit_first < units && unit_send(rt, ask->unit_first);
	     i++) {
		ask->unit_first++;
		ask->unit_count--;
		has_any = true;
	}
	source->is_wanted = has_any && ask->unit_count != 0 && ask->unit_first < units;
	link_bulk_flush(&rt->link);
	return has_any;
}
