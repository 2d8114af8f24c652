/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/heal.h"

#include "dataplane/base/invariant.h"
#include "dataplane/runtime/runtime_internal.h"

#define NS_PER_S 1000000000u

/* ---- the table ---- */

void
heal_note_group(struct runtime *rt, struct stripe_address address)
{
	struct healer *heal = &rt->heal;

	if (heal->groups == NULL)
		return;
	INVARIANT(heal->head - heal->tail < heal->groups_max);
	heal->groups[heal->head++ % heal->groups_max] = address;
}

static void
release(struct runtime *rt, uint64_t cell)
{
	struct healer *heal = &rt->heal;

	heal->release_cell = 0;
	storage_release(rt, cell);
	while (heal->tail != heal->head &&
	       heal->groups[heal->tail % heal->groups_max].first_cell < cell)
		heal->tail++;
}

void
heal_release(struct runtime *rt, uint64_t cell)
{
	/* What is being repaired is not written over. */
	if (rt->heal.phase == HEAL_LOG && rt->heal.is_busy)
		rt->heal.release_cell = cell;
	else
		release(rt, cell);
}

void
heal_open(struct runtime *rt)
{
	if (rt->heal.groups != NULL)
		rt->heal.left = stripe_store_returned(rt->store);
}

/* ---- the log ---- */

static bool
is_device_lost(const struct runtime *rt)
{
	return (stripe_store_stats(rt->store).rebuilding_devices & STRIPE_BIT(rt->heal.device)) ==
	       0;
}

static void
stop(struct runtime *rt, enum status_job_state state)
{
	rt->heal.left &= ~STRIPE_BIT(rt->heal.device);
	rt->heal.phase = HEAL_IDLE;
	if (rt->heal.job != NULL)
		job_end(rt, rt->heal.job, state);
	rt->heal.job = NULL;
}

static void
progress(struct runtime *rt, uint64_t cell)
{
	const struct healer *heal = &rt->heal;

	job_progress(rt, heal->job, cell - min_u64(cell, heal->begun_cell) + heal->blob_pages,
		     heal->end_cell - heal->begun_cell + heal->blob_pages);
}

static bool
begin(struct runtime *rt)
{
	struct healer *heal = &rt->heal;

	/* A damaged log stays as it is until a master has something to give. */
	if (heal->left == 0 || !repair_may_take(rt))
		return false;
	heal->device = (uint32_t)__builtin_ctz(heal->left);
	const enum tern_err err = stripe_store_rebuild_begin(rt->store, heal->device);
	if (err == TERN_ERR_BUSY)
		return false;
	if (err != TERN_OK) {
		stop(rt, STATUS_JOB_FAILED);
		return true;
	}
	heal->phase = HEAL_LOG;
	heal->next = heal->begun_at = heal->tail;
	heal->end = heal->head;
	heal->end_cell = stripe_store_stats(rt->store).next_cell;
	heal->begun_cell = heal->end == heal->next
			       ? heal->end_cell
			       : heal->groups[heal->next % heal->groups_max].first_cell;
	heal->blob_pages = 0;
	heal->job = job_begin(rt, STATUS_JOB_REBUILD, (uint8_t)heal->device, heal->rate_bytes_s);
	heal->pause_until_ns = rt->now_ns;
	return true;
}

/* So that it takes no more than its share of the devices. */
static void
pace(struct runtime *rt, uint32_t pages)
{
	rt->heal.pause_until_ns =
	    rt->now_ns + (uint64_t)pages * PAGE_BYTES * NS_PER_S / rt->heal.rate_bytes_s;
}

static bool
log_turn(struct runtime *rt)
{
	struct healer *heal = &rt->heal;

	heal->next = max_u64(heal->next, heal->tail);
	if (heal->next >= heal->end) {
		progress(rt, heal->end_cell);
		heal->phase = HEAL_WAIT;
		return true;
	}
	const struct stripe_address address = heal->groups[heal->next % heal->groups_max];
	progress(rt, address.first_cell);
	if (stripe_store_repair(rt->store, address, storage_user_make(USER_HEAL, 0, 0),
				rt->now_ns) != TERN_OK)
		return false;
	stripe_store_submit(rt->store);
	heal->is_busy = true;
	pace(rt, address.group_pages);
	return true;
}

/* ---- checkpoints ---- */

/* The slot does not hold any more what it held when it was begun with. */
static bool
is_slot_taken(const struct runtime *rt)
{
	const struct healer *heal = &rt->heal;
	const struct superblock_checkpoint *now = &rt->superblock.shards[0].checkpoints[heal->slot];

	return checkpoint_is_written_to(rt, heal->slot) || transfer_is_written_to(rt, heal->slot) ||
	       now->log_index != heal->record.log_index;
}

static bool
slot_turn(struct runtime *rt, uint32_t slot)
{
	struct healer *heal = &rt->heal;

	heal->slot = slot;
	if (slot >= SUPERBLOCK_CHECKPOINTS) {
		heal->phase = HEAL_END;
		return true;
	}
	heal->record = rt->superblock.shards[0].checkpoints[slot];
	heal->item = heal->distrust = 0;
	if (heal->record.log_index != 0 && !is_slot_taken(rt))
		heal->phase = HEAL_READ;
	else
		heal->slot++;
	return true;
}

static void
slot_end(struct healer *heal)
{
	heal->slot++;
	heal->phase = HEAL_SLOT;
}

static bool
read_turn(struct runtime *rt)
{
	struct healer *heal = &rt->heal;
	const uint64_t page =
	    heal->item == 0 ? 0 : 1 + (uint64_t)(heal->item - 1) * CHECKPOINT_CHUNK_PAGES;
	const uint32_t pages =
	    heal->item == 0 ? 1 : checkpoint_chunk_pages(heal->hdr.stream_bytes, heal->item - 1);

	if (is_slot_taken(rt)) {
		slot_end(heal);
		return true;
	}
	heal->blob = storage_blob(rt, heal->record.first_page, page, heal->buffer, pages);
	heal->blob.user = storage_user_make(USER_HEAL, 0, 0);
	if (stripe_store_blob_read(rt->store, &heal->blob, heal->distrust, rt->now_ns) != TERN_OK)
		return false;
	stripe_store_submit(rt->store);
	heal->is_busy = true;
	heal->phase = HEAL_VERIFY;
	return true;
}

static bool
is_item_good(struct runtime *rt)
{
	struct healer *heal = &rt->heal;
	struct checkpoint_chunk chunk;

	if (heal->is_read_bad)
		return false;
	if (heal->item == 0)
		return checkpoint_hdr_decode(heal->buffer, &heal->hdr) == TERN_OK &&
		       heal->hdr.meta.log_index == heal->record.log_index;
	return checkpoint_chunk_open(heal->buffer, heal->blob.pages, &chunk) == TERN_OK &&
	       chunk.log_index == heal->record.log_index && chunk.number == heal->item - 1;
}

static bool
verify_turn(struct runtime *rt)
{
	struct healer *heal = &rt->heal;

	if (!is_item_good(rt)) {
		/* A checkpoint that cannot be read is none; the other one may be. */
		if (stripe_blob_distrust_next(runtime_geometry(rt), &heal->distrust))
			heal->phase = HEAL_READ;
		else
			slot_end(heal);
		return true;
	}
	/* Whoever writes to this slot has to wait for this write. */
	if (is_slot_taken(rt)) {
		slot_end(heal);
		return true;
	}
	if (stripe_store_blob_write(rt->store, &heal->blob, rt->now_ns) != TERN_OK)
		return false;
	stripe_store_submit(rt->store);
	heal->is_busy = true;
	heal->phase = HEAL_WRITE;
	pace(rt, heal->blob.pages);
	return true;
}

static bool
write_turn(struct runtime *rt)
{
	struct healer *heal = &rt->heal;

	heal->blob_pages += stripe_group_cells(runtime_geometry(rt), heal->blob.pages);
	progress(rt, heal->end_cell);
	heal->distrust = 0;
	heal->phase = HEAL_READ;
	if (heal->item++ == heal->hdr.chunk_count)
		slot_end(heal);
	return true;
}

/* ---- the end ---- */

static bool
end_turn(struct runtime *rt)
{
	const enum tern_err err = stripe_store_rebuild_end(rt->store, rt->heal.device);

	if (err == TERN_ERR_BUSY)
		return false;
	rt->heal.rebuilt += err == TERN_OK;
	stop(rt, err == TERN_OK ? STATUS_JOB_DONE : STATUS_JOB_FAILED);
	return true;
}

static bool
phase_turn(struct runtime *rt)
{
	struct healer *heal = &rt->heal;

	switch (heal->phase) {
	case HEAL_IDLE:
		return begin(rt);
	case HEAL_LOG:
		return log_turn(rt);
	case HEAL_WAIT:
		heal->slot = 0;
		if (rt->checkpoint.phase <= CHECKPOINT_IDLE && !transfer_is_active(rt))
			heal->phase = HEAL_SLOT;
		return false;
	case HEAL_SLOT:
		return slot_turn(rt, heal->slot);
	case HEAL_READ:
		return read_turn(rt);
	case HEAL_VERIFY:
		return verify_turn(rt);
	case HEAL_WRITE:
		return write_turn(rt);
	case HEAL_END:
		return end_turn(rt);
	}
	return false;
}

bool
heal_turn(struct runtime *rt)
{
	struct healer *heal = &rt->heal;

	if (heal->left == 0 || heal->is_busy || rt->is_storage_failed ||
	    rt->now_ns < heal->pause_until_ns)
		return false;
	/* The others know it as failed; the next start tries again. */
	if (heal->phase != HEAL_IDLE && is_device_lost(rt)) {
		stop(rt, STATUS_JOB_FAILED);
		return true;
	}
	return phase_turn(rt);
}

void
heal_set_rate(struct runtime *rt, uint64_t bytes_s)
{
	INVARIANT(bytes_s != 0);
	rt->heal.rate_bytes_s = bytes_s;
	if (rt->heal.job != NULL)
		rt->heal.job->rate_max_bytes_s = bytes_s;
}

void
heal_on_completion(struct runtime *rt, enum tern_err err)
{
	struct healer *heal = &rt->heal;

	INVARIANT(heal->is_busy);
	heal->is_busy = false;
	heal->is_read_bad = err != TERN_OK;
	if (heal->phase != HEAL_LOG)
		return;
	/* What is torn stays torn. */
	heal->unreadable += err == TERN_ERR_CORRUPT;
	heal->next++;
	if (heal->release_cell != 0)
		release(rt, heal->release_cell);
}
