/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/invariant.h"
#include "dataplane/runtime/heal.h"
#include "dataplane/runtime/runtime_internal.h"

#define NS_PER_S 1000000000u

/* ---- begin, end, progress ---- */

void
heal_walk_begin(struct runtime *rt, struct heal_walk *walk, enum status_job_kind kind,
		uint8_t device)
{
	const struct healer *heal = &rt->heal;

	INVARIANT(walk->phase == HEAL_IDLE && walk->job == NULL);
	walk->phase = HEAL_LOG;
	walk->next = walk->begun_at = heal->tail;
	walk->end = heal->head;
	walk->end_cell = stripe_store_stats(rt->store).next_cell;
	walk->begun_cell = walk->end == walk->next
			       ? walk->end_cell
			       : heal->groups[walk->next % heal->groups_max].first_cell;
	walk->blob_pages = 0;
	walk->pause_until_ns = rt->now_ns;
	walk->job = job_begin(rt, kind, device, walk->rate_bytes_s);
}

void
heal_walk_end(struct runtime *rt, struct heal_walk *walk, enum status_job_state state)
{
	walk->phase = HEAL_IDLE;
	if (walk->job != NULL)
		job_end(rt, walk->job, state);
	walk->job = NULL;
}

static void
progress(struct runtime *rt, struct heal_walk *walk, uint64_t cell)
{
	/* What was released meanwhile need not be looked at. */
	job_progress(rt, walk->job,
		     max_u64(cell, walk->begun_cell) - walk->begun_cell + walk->blob_pages,
		     walk->end_cell - walk->begun_cell + walk->blob_pages);
}

/* So that it takes no more than its share of the devices. */
static void
pace(struct runtime *rt, struct heal_walk *walk, uint32_t cells)
{
	walk->pause_until_ns =
	    rt->now_ns + (uint64_t)cells * PAGE_BYTES * NS_PER_S / walk->rate_bytes_s;
}

static void
request_begun(struct runtime *rt, struct heal_walk *walk)
{
	stripe_store_submit(rt->store);
	rt->heal.busy = walk;
	heal_tally_begin(rt, walk);
}

/* What was torn stays torn. */
static bool
is_hurt(const struct runtime *rt, const struct heal_walk *walk, enum tern_err err)
{
	const struct healer *heal = &rt->heal;

	return walk->phase == HEAL_LOG && err == TERN_ERR_CORRUPT &&
	       !heal->groups[walk->next % heal->groups_max].is_torn;
}

void
heal_walk_on_completion(struct runtime *rt, struct heal_walk *walk, enum tern_err err)
{
	struct healer *heal = &rt->heal;

	heal->is_read_bad = err != TERN_OK;
	if (is_hurt(rt, walk, err)) {
		const struct heal_group group = heal->groups[walk->next % heal->groups_max];
		heal->hurt = walk;
		heal->hurt_address = (struct stripe_address){ group.first_cell, group.pages };
	} else {
		heal->unreadable += walk->phase == HEAL_LOG && err == TERN_ERR_CORRUPT;
		heal_tally_end(rt, walk);
	}
	if (walk->phase == HEAL_SUPER && err != TERN_ERR_BUSY)
		walk->phase = HEAL_END;
	if (walk->phase == HEAL_LOG)
		walk->next++;
}

/* ---- the log ---- */

static bool
log_turn(struct runtime *rt, struct heal_walk *walk)
{
	const struct healer *heal = &rt->heal;

	walk->next = max_u64(walk->next, heal->tail);
	if (walk->next >= walk->end) {
		progress(rt, walk, walk->end_cell);
		walk->slot = 0;
		walk->phase = walk->is_scrub ? HEAL_SLOT : HEAL_WAIT;
		return true;
	}
	const struct heal_group group = heal->groups[walk->next % heal->groups_max];
	const struct stripe_address address = { group.first_cell, group.pages };
	progress(rt, walk, address.first_cell);
	const uint32_t bug =
	    walk->is_scrub ? CORE_MEMBER_BUG_SCRUB_SKIPS : CORE_MEMBER_BUG_REBUILD_SKIPS;
	const bool is_skipped =
	    (rt->config.member_bugs & bug) != 0 && walk->next % 8 == 0; /* tests only */
	if ((walk->is_scrub && group.is_torn) || is_skipped) {
		walk->next++;
		return true;
	}
	/* A rebuild begins when no group is in flight that was begun without the device. */
	if (address.first_cell >= stripe_store_oldest_in_flight(rt->store))
		return false;
	if (stripe_store_repair(rt->store, address, storage_user_make(USER_HEAL, 0, 0),
				rt->now_ns) != TERN_OK)
		return false;
	request_begun(rt, walk);
	pace(rt, walk, stripe_group_cells(runtime_geometry(rt), group.pages));
	return true;
}

/* ---- checkpoints ---- */

/* The slot does not hold any more what it held when it was begun with. */
static bool
is_slot_taken(const struct runtime *rt, const struct heal_walk *walk)
{
	const struct superblock_checkpoint *now = &rt->superblock.shards[0].checkpoints[walk->slot];

	return hold_slot_by_checkpoint(rt, walk->slot) || hold_slot_by_transfer(rt, walk->slot) ||
	       checkpoint_is_torn(rt, walk->slot) || now->log_index != walk->record.log_index;
}

static bool
wait_turn(const struct runtime *rt, struct heal_walk *walk)
{
	walk->slot = 0;
	if (rt->checkpoint.phase <= CHECKPOINT_IDLE && !hold_by_transfer(rt))
		walk->phase = HEAL_SLOT;
	return false;
}

static bool
slot_turn(struct runtime *rt, struct heal_walk *walk)
{
	if (walk->slot >= SUPERBLOCK_CHECKPOINTS) {
		walk->phase = walk->is_scrub ? HEAL_SUPER : HEAL_END;
		return true;
	}
	walk->record = rt->superblock.shards[0].checkpoints[walk->slot];
	walk->item = walk->distrust = 0;
	if (walk->record.log_index != 0 && !is_slot_taken(rt, walk))
		walk->phase = HEAL_READ;
	else
		walk->slot++;
	return true;
}

static void
slot_end(struct heal_walk *walk)
{
	walk->slot++;
	walk->phase = HEAL_SLOT;
}

static bool
read_turn(struct runtime *rt, struct heal_walk *walk)
{
	const uint64_t page =
	    walk->item == 0 ? 0 : 1 + (uint64_t)(walk->item - 1) * CHECKPOINT_CHUNK_PAGES;
	const uint32_t pages =
	    walk->item == 0 ? 1 : checkpoint_chunk_pages(walk->hdr.stream_bytes, walk->item - 1);

	if (is_slot_taken(rt, walk)) {
		slot_end(walk);
		return true;
	}
	walk->blob = storage_blob(rt, walk->record.first_page, page, rt->heal.buffer, pages);
	walk->blob.user = storage_user_make(USER_HEAL, 0, 0);
	if (stripe_store_blob_read(rt->store, &walk->blob, walk->distrust, rt->now_ns) != TERN_OK)
		return false;
	request_begun(rt, walk);
	walk->phase = HEAL_VERIFY;
	return true;
}

static bool
is_item_good(struct runtime *rt, struct heal_walk *walk)
{
	struct checkpoint_chunk chunk;

	if (rt->heal.is_read_bad)
		return false;
	if (walk->item == 0)
		return checkpoint_hdr_decode(rt->heal.buffer, &walk->hdr) == TERN_OK &&
		       walk->hdr.meta.log_index == walk->record.log_index;
	return checkpoint_chunk_open(rt->heal.buffer, walk->blob.pages, &chunk) == TERN_OK &&
	       chunk.log_index == walk->record.log_index && chunk.number == walk->item - 1;
}

/* No choice of columns gives an item that is right. */
static void
item_lost(struct runtime *rt, struct heal_walk *walk)
{
	const uint32_t cells = stripe_group_cells(runtime_geometry(rt), walk->blob.pages);

	walk->job->found += cells;
	/* A checkpoint that cannot be read is none: it gives way to a new one, of the same state.
	 */
	if (checkpoint_hurt(rt, walk->slot))
		walk->job->replaced += cells;
	else
		walk->job->unrepairable += cells;
	slot_end(walk);
}

static bool
verify_turn(struct runtime *rt, struct heal_walk *walk)
{
	if (!is_item_good(rt, walk)) {
		if (stripe_blob_distrust_next(runtime_geometry(rt), &walk->distrust))
			walk->phase = HEAL_READ;
		else if (is_slot_taken(rt, walk))
			slot_end(walk);
		else
			item_lost(rt, walk);
		return true;
	}
	/* Whoever writes to this slot has to wait for this repair. */
	if (is_slot_taken(rt, walk)) {
		slot_end(walk);
		return true;
	}
	if (stripe_store_blob_repair(rt->store, &walk->blob, rt->now_ns) != TERN_OK)
		return false;
	request_begun(rt, walk);
	walk->phase = HEAL_WRITE;
	pace(rt, walk, 2 * stripe_group_cells(runtime_geometry(rt), walk->blob.pages));
	return true;
}

static bool
write_turn(struct runtime *rt, struct heal_walk *walk)
{
	walk->blob_pages += stripe_group_cells(runtime_geometry(rt), walk->blob.pages);
	progress(rt, walk, walk->end_cell);
	walk->distrust = 0;
	walk->phase = HEAL_READ;
	if (walk->item++ == walk->hdr.chunk_count)
		slot_end(walk);
	return true;
}

/* ---- superblocks ---- */

static bool
super_turn(struct runtime *rt, struct heal_walk *walk)
{
	if (stripe_store_super_check(rt->store, storage_user_make(USER_HEAL, 0, 0)) != TERN_OK)
		return false;
	request_begun(rt, walk);
	return true;
}

bool
heal_walk_turn(struct runtime *rt, struct heal_walk *walk)
{
	switch (walk->phase) {
	case HEAL_IDLE:
	case HEAL_END:
		break;
	case HEAL_LOG:
		return log_turn(rt, walk);
	case HEAL_WAIT:
		return wait_turn(rt, walk);
	case HEAL_SLOT:
		return slot_turn(rt, walk);
	case HEAL_READ:
		return read_turn(rt, walk);
	case HEAL_VERIFY:
		return verify_turn(rt, walk);
	case HEAL_WRITE:
		return write_turn(rt, walk);
	case HEAL_SUPER:
		return super_turn(rt, walk);
	}
	INVARIANT(false);
	return false;
}
