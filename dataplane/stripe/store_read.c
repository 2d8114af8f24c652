/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/stripe/store_internal.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

/* Rows of @column that hold pages [page, page + pages) of the group; false: none. */
static bool
column_rows(const struct stripe_read_slot *slot, uint32_t column, uint32_t *row, uint32_t *end)
{
	const struct stripe_layout *layout = &slot->image.layout;
	const uint32_t first = stripe_column_first(layout, column);
	const uint32_t last = first + stripe_column_pages(layout, column);
	const uint32_t from = max_u32(first, slot->ask.page);
	const uint32_t to = min_u32(last, slot->ask.page + slot->ask.pages);

	if (from >= to)
		return false;
	*row = from - first;
	*end = to - first;
	return true;
}

static void
part_begin(struct stripe_store *store, uint32_t index)
{
	struct stripe_read_slot *slot = &store->reads[index];
	const uint32_t m = store->geometry.m;
	uint32_t row, end;

	for (uint32_t column = m; column < store->devices; column++) {
		const uint32_t device = stripe_column_device(&slot->image.layout, column);
		if (column_rows(slot, column, &row, &end) &&
		    (store->failed & STRIPE_BIT(device)) != 0) {
			stripe_slot_read_whole(store, index);
			return;
		}
	}
	slot->state = READ_PART;
	for (uint32_t column = m; column < store->devices; column++) {
		if (column_rows(slot, column, &row, &end))
			stripe_slot_read_column(store, index, column, row, end);
	}
}

enum tern_err
stripe_store_read(struct stripe_store *store, const struct stripe_group_read *read, uint64_t now_ns)
{
	uint32_t index;
	const enum tern_err err = stripe_slot_admit(store, read, now_ns, &index);

	if (err != TERN_OK)
		return err;
	store->stats.reads++;
	part_begin(store, index);
	return TERN_OK;
}

enum tern_err
stripe_store_read_run(struct stripe_store *store, const struct stripe_run_read *run,
		      uint64_t now_ns)
{
	const struct stripe_group_read ask = {
		.address = { run->first_cell, run->pages },
		.pages = run->pages,
		.bytes = run->bytes,
		.user = run->user,
	};
	const uint64_t lap = stripe_lap_cells(store);
	uint32_t index;

	INVARIANT(store->devices == 1);
	INVARIANT(run->first_cell / lap == (run->first_cell + run->pages - 1) / lap);
	const enum tern_err err = stripe_slot_admit(store, &ask, now_ns, &index);
	if (err != TERN_OK)
		return err;
	const struct disk_request request = {
		.kind = DISK_READ,
		.offset = stripe_cell_offset(store, run->first_cell),
		.bytes = run->bytes,
		.length = run->pages * PAGE_BYTES,
	};
	store->stats.reads++;
	store->reads[index].state = READ_RUN;
	store->reads[index].pending = STRIPE_BIT(0);
	stripe_request(store, OWNER_READ, index, &request);
	return TERN_OK;
}

/* A failed device may yet write into this memory: begins again in another. */
static void
read_again_elsewhere(struct stripe_store *store, struct stripe_read_slot *slot)
{
	const struct stripe_read_slot old = *slot;

	slot->state = READ_QUARANTINE;
	const uint32_t index = stripe_slot_take(store, &old.ask);
	store->reads[index].is_repair = old.is_repair;
	store->reads[index].is_blob = old.is_blob;
	store->reads[index].is_refill = old.is_refill;
	store->reads[index].refill = old.refill;
	store->reads[index].blob_page = old.blob_page;
	store->reads[index].distrust = old.distrust;
	stripe_slot_read_whole(store, index);
}

void
stripe_read_request_done(struct stripe_store *store, uint32_t index, uint32_t device,
			 enum tern_err err)
{
	struct stripe_read_slot *slot = &store->reads[index];

	INVARIANT((slot->pending & STRIPE_BIT(device)) != 0);
	slot->pending &= ~STRIPE_BIT(device);
	if (err != TERN_OK && slot->state == READ_RUN)
		slot->image.absent = STRIPE_BIT(0);
	else if (err != TERN_OK && slot->state != READ_REPAIR)
		slot->image.absent |= STRIPE_BIT(stripe_device_column(&slot->image.layout, device));
}

static void
read_finish(struct stripe_store *store, struct stripe_read_slot *slot, enum tern_err err)
{
	if (err == TERN_OK && !slot->is_repair && slot->state != READ_RUN)
		memcpy(slot->ask.bytes, slot->image.data + (size_t)slot->ask.page * PAGE_BYTES,
		       (size_t)slot->ask.pages * PAGE_BYTES);
	if (err == TERN_ERR_CORRUPT)
		store->stats.reads_corrupt++;
	if (slot->is_blob && slot->is_repair)
		store->is_blob_repaired = false;
	for (uint32_t i = 0; i < STRIPE_READS_MAX; i++) {
		if (store->done_read[i].is_full)
			continue;
		store->done_read[i].is_full = true;
		store->done_read[i].completion = (struct stripe_completion){
			.kind = slot->is_repair ? STRIPE_DONE_REPAIR
				: slot->is_blob ? STRIPE_DONE_BLOB_READ
						: STRIPE_DONE_READ,
			.err = err,
			.user = slot->ask.user,
		};
		break;
	}
	slot->state = slot->orphans == 0 ? READ_FREE : READ_QUARANTINE;
}

/* The pages that were asked for are there and good, and of one group. */
static bool
part_is_good(const struct stripe_store *store, const struct stripe_read_slot *slot)
{
	struct page_identity group = { 0 };
	bool has_group = false;

	if (slot->image.absent != 0)
		return false;
	for (uint32_t page = slot->ask.page; page < slot->ask.page + slot->ask.pages; page++) {
		const uint8_t *bytes = slot->image.data + (size_t)page * PAGE_BYTES;
		struct page_identity identity;
		struct page_content content;
		struct stripe_layout layout;
		uint32_t column, row;
		stripe_page_find(&slot->image.layout, page, &column, &row);
		if (!stripe_page_is_ours(store, bytes,
					 stripe_cell_at(&slot->image.layout, column, row),
					 &identity, &layout) ||
		    identity.first_cell != slot->image.layout.first_cell ||
		    identity.group_pages != slot->image.layout.pages ||
		    (has_group && !stripe_identity_is_same_group(&identity, &group)) ||
		    page_content_open(bytes, &content) != TERN_OK)
			return false;
		group = identity;
		has_group = true;
	}
	return true;
}

static void
whole_end(struct stripe_store *store, uint32_t index)
{
	struct stripe_read_slot *slot = &store->reads[index];
	struct stripe_healed healed;
	enum tern_err repair_err;

	if (slot->is_blob && slot->is_repair) {
		stripe_blob_repair_begin(store, index);
		return;
	}
	if (slot->is_blob) {
		read_finish(store, slot, stripe_blob_end(store, slot));
		return;
	}
	if (slot->is_refill) {
		stripe_refill_begin(store, index);
		return;
	}
	if (!stripe_image_find(&slot->image, store->super.wanted.cluster_id,
			       store->config.node_id)) {
		if (slot->is_repair)
			stripe_repair_lost(store, index);
		read_finish(store, slot, TERN_ERR_CORRUPT);
		return;
	}
	if (slot->is_repair) {
		if (!stripe_repair_begin(store, index, &repair_err))
			read_finish(store, slot, repair_err);
		return;
	}
	const enum tern_err err = stripe_heal(store->code, &slot->image, &healed);
	store->stats.bad_pages += healed.bad_pages;
	read_finish(store, slot, err);
}

void
stripe_read_turn(struct stripe_store *store, uint32_t index)
{
	struct stripe_read_slot *slot = &store->reads[index];

	if (slot->state == READ_FREE || slot->state == READ_QUARANTINE || slot->pending != 0)
		return;
	if (store->is_stopped) {
		read_finish(store, slot, TERN_ERR_IO);
		return;
	}
	if (slot->state == READ_REPAIR) {
		read_finish(store, slot, TERN_OK);
		return;
	}
	if (slot->state == READ_RUN) {
		read_finish(store, slot, slot->image.absent == 0 ? TERN_OK : TERN_ERR_CORRUPT);
		return;
	}
	if (slot->orphans != 0) {
		read_again_elsewhere(store, slot);
		return;
	}
	if (slot->state == READ_WHOLE) {
		whole_end(store, index);
		return;
	}
	/* Without parity the caller is told what the device said. */
	if (part_is_good(store, slot))
		read_finish(store, slot, TERN_OK);
	else
		stripe_slot_read_whole(store, index);
}

uint32_t
stripe_reads_collect(struct stripe_store *store, struct stripe_completion *completions,
		     uint32_t max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < STRIPE_READS_MAX && count < max; i++) {
		if (!store->done_read[i].is_full)
			continue;
		store->done_read[i].is_full = false;
		store->reads_active--;
		completions[count++] = store->done_read[i].completion;
	}
	return count;
}
