/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/refill.h"

#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/runtime/runtime_internal.h"

static bool
has_bug(const struct runtime *rt, enum core_member_bug bug)
{
	return (rt->config.member_bugs & (uint32_t)bug) != 0; /* tests only */
}

static bool
group_open(struct runtime *rt, struct stripe_address address)
{
	struct refill *refill = &rt->refill;
	struct cmdlog_group_blocks blocks;

	if (refill->phase != REFILL_IDLE || !loss_is_settled(rt) || rt->is_storage_failed ||
	    rt->cut.is_pending || address.group_pages > CMDLOG_HOLE_PAGES_MAX ||
	    address.first_cell >= stripe_store_oldest_in_flight(rt->store) ||
	    !cmdlog_group_blocks(rt->log, address.first_cell, address.group_pages, &blocks) ||
	    !blocks.is_all)
		return false;
	pull_drop(rt); /* the buffer is taken */
	refill->phase = REFILL_BLOCK;
	refill->address = address;
	refill->blocks = blocks;
	refill->is_walk = false;
	refill->wanted_index = 0;
	refill->index = blocks.first_index;
	refill->page = 0;
	return true;
}

bool
refill_begin(struct runtime *rt, struct stripe_address address)
{
	if (!group_open(rt, address))
		return false;
	rt->refill.is_walk = true;
	return true;
}

bool
refill_has(const struct runtime *rt, uint64_t log_index)
{
	const struct refill *refill = &rt->refill;

	return refill->phase != REFILL_IDLE && log_index >= refill->blocks.first_index &&
	       log_index <= refill->blocks.last_index;
}

/* Block @log_index cannot be read. True: who needs it has to wait; when nothing can be done loss.c
 * is told. */
static bool
group_want(struct runtime *rt, uint64_t log_index)
{
	struct refill *refill = &rt->refill;
	struct cmdlog_location at;

	if (refill_has(rt, log_index)) {
		refill->wanted_index = max_u64(refill->wanted_index, log_index);
		return true;
	}
	/* It is found again as long as it is needed here. */
	if (refill->phase != REFILL_IDLE)
		return log_index > rt->applied_index;
	if (!cmdlog_locate(rt->log, log_index, &at) || at.first_cell == UINT64_MAX ||
	    at.first_cell + 1 == refill->filled_cell ||
	    !group_open(rt, (struct stripe_address){ at.first_cell, at.group_pages }))
		return false;
	refill->wanted_index = log_index;
	return true;
}

void
refill_found(struct runtime *rt, uint64_t log_index)
{
	rt->refill.blocks_found++;
	if (!group_want(rt, log_index))
		loss_note(rt, log_index, true);
}

uint64_t
refill_deadline_ns(const struct runtime *rt)
{
	return rt->refill.phase == REFILL_ASK ? want_deadline_ns(rt, &rt->refill.want) : UINT64_MAX;
}

enum verdict {
	FILLED = 1,
	LOST, /* nobody has it */
	MOOT, /* nobody needs it any more */
};

static void
end(struct runtime *rt, enum verdict verdict)
{
	struct refill *refill = &rt->refill;

	INVARIANT(refill->phase != REFILL_IDLE && !refill->is_in_flight);
	refill->phase = REFILL_IDLE;
	refill->filled += verdict == FILLED;
	refill->hopeless += verdict == LOST;
	/* What is bad once more when it is read is not worth a third time. */
	if (verdict == FILLED && refill->wanted_index != 0)
		refill->filled_cell = refill->address.first_cell + 1;
	if (verdict == LOST && refill->wanted_index != 0)
		loss_note(rt, refill->wanted_index, true);
	if (verdict == LOST && refill->is_walk)
		loss_note(rt, refill->blocks.last_index, false);
	if (refill->is_walk)
		heal_on_refilled(rt, verdict == FILLED);
}

/* ---- blocks ---- */

static uint8_t *
block_bytes(const struct refill *refill, const struct runtime *rt)
{
	return rt->mend.buffer + (size_t)refill->page * PAGE_BYTES;
}

/* The block that is looked for, at its place in the group. False: the log was cut meanwhile. */
static bool
block_at(const struct runtime *rt, struct cmdlog_location *at)
{
	const struct refill *refill = &rt->refill;

	return cmdlog_locate(rt->log, refill->index, at) &&
	       at->first_cell == refill->address.first_cell && at->page == refill->page;
}

static void
block_next(struct refill *refill, const struct cmdlog_location *at)
{
	refill->index++;
	refill->page += at->pages;
	refill->phase = REFILL_BLOCK;
}

static bool
block_turn(struct runtime *rt)
{
	struct refill *refill = &rt->refill;
	struct cmdlog_location at;

	if (!block_at(rt, &at)) {
		end(rt, MOOT);
		return true;
	}
	const uint8_t *resident = cmdlog_resident(rt->log, refill->index);
	if (resident != NULL) {
		memcpy(block_bytes(refill, rt), resident, (size_t)at.pages * PAGE_BYTES);
		block_next(refill, &at);
		return true;
	}
	const struct storage_part part = { at.first_cell, at.page, at.pages };
	if (storage_part_read(rt, &part, refill->address, block_bytes(refill, rt),
			      storage_user_make(USER_REFILL, 0, 0)) != TERN_OK)
		return false;
	stripe_store_submit(rt->store);
	refill->phase = REFILL_READ;
	refill->is_in_flight = true;
	return true;
}

static void
block_ask(struct runtime *rt, const struct cmdlog_location *at)
{
	struct refill *refill = &rt->refill;
	struct block_meta meta;
	const bool has_meta = cmdlog_meta(rt->log, refill->index, &meta);

	INVARIANT(has_meta);
	want_begin(&refill->want, refill->index, meta.chain,
		   block_bytes(refill, rt) + (size_t)at->pages * PAGE_BYTES, at->pages);
	refill->want.heard_ns = rt->now_ns;
	refill->phase = REFILL_ASK;
}

static void
block_read(struct runtime *rt, enum tern_err err)
{
	struct refill *refill = &rt->refill;
	struct cmdlog_location at;

	if (!block_at(rt, &at))
		end(rt, MOOT);
	else if (err == TERN_OK &&
		 cmdlog_check_read(rt->log, refill->index, block_bytes(refill, rt)) == TERN_OK)
		block_next(refill, &at);
	else if (rt->stream_count == 0)
		end(rt, LOST);
	else
		block_ask(rt, &at);
}

bool
refill_on_part(struct runtime *rt, const struct frame_hdr *hdr, const struct part_hdr *part,
	       const uint8_t *bytes)
{
	return rt->refill.phase == REFILL_ASK && want_take(rt, &rt->refill.want, hdr, part, bytes);
}

static bool
ask_turn(struct runtime *rt)
{
	struct refill *refill = &rt->refill;
	struct block_want *want = &refill->want;
	struct cmdlog_location at;

	const bool is_there = block_at(rt, &at);
	if (!is_there || !want_is_answered(rt, want)) {
		end(rt, is_there ? LOST : MOOT);
		return true;
	}
	if (!want_is_whole(want))
		return want_ask(rt, want);
	if (want->pages != at.pages ||
	    (!has_bug(rt, CORE_MEMBER_BUG_REFILL_UNCHECKED) &&
	     cmdlog_check_read(rt->log, refill->index, block_bytes(refill, rt)) != TERN_OK)) {
		refill->parts_bad++;
		want_again(rt, want);
		return true;
	}
	refill->blocks_fetched++;
	block_next(refill, &at);
	return true;
}

/* ---- the group ---- */

static bool
write_turn(struct runtime *rt)
{
	struct refill *refill = &rt->refill;
	struct cmdlog_group_blocks now;
	const bool is_there = cmdlog_group_blocks(rt->log, refill->address.first_cell,
						  refill->address.group_pages, &now);

	if (!is_there || !now.is_all || now.first_index != refill->blocks.first_index ||
	    now.last_index != refill->blocks.last_index || now.boot_no != refill->blocks.boot_no ||
	    now.group_seq != refill->blocks.group_seq) {
		end(rt, MOOT);
		return true;
	}
	INVARIANT(refill->page == refill->address.group_pages);
	if (has_bug(rt, CORE_MEMBER_BUG_REFILL_SKIPS)) {
		end(rt, FILLED);
		return true;
	}
	const struct stripe_refill write = {
		.address = refill->address,
		.bytes = rt->mend.buffer,
		.boot_no = now.boot_no,
		.group_seq = now.group_seq,
		/* If no page of it says so: whether it began a branch is not known any more, so
		 * it did; and what lies before it was acknowledged, for it is here. */
		.branch_group = 1,
		.acked_floor = now.first_index - 1,
		.user = storage_user_make(USER_REFILL, 0, 0),
	};
	if (stripe_store_refill(rt->store, &write, rt->now_ns) != TERN_OK)
		return false;
	stripe_store_submit(rt->store);
	refill->phase = REFILL_WRITE;
	refill->is_in_flight = true;
	return true;
}

bool
refill_turn(struct runtime *rt)
{
	struct refill *refill = &rt->refill;

	if (refill->phase == REFILL_IDLE || refill->is_in_flight)
		return false;
	if (rt->is_storage_failed) {
		end(rt, MOOT);
		return true;
	}
	if (refill->phase == REFILL_ASK)
		return ask_turn(rt);
	INVARIANT(refill->phase == REFILL_BLOCK);
	return refill->index > refill->blocks.last_index ? write_turn(rt) : block_turn(rt);
}

void
refill_on_completion(struct runtime *rt, enum tern_err err)
{
	struct refill *refill = &rt->refill;

	INVARIANT(refill->is_in_flight);
	refill->is_in_flight = false;
	if (refill->phase == REFILL_READ)
		block_read(rt, err);
	else
		end(rt, err == TERN_OK ? FILLED : MOOT); /* or storage failed */
	groups_release_held(rt);
}
