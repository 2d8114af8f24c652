/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/stripe/store_internal.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

uint64_t
stripe_slot_offset(const struct stripe_store *store, const struct stripe_read_slot *slot,
		   uint32_t column, uint32_t row)
{
	if (slot->is_blob)
		return (slot->blob_page + row) * PAGE_BYTES;
	return stripe_cell_offset(store, stripe_cell_at(&slot->image.layout, column, row));
}

void
stripe_slot_read_column(struct stripe_store *store, uint32_t index, uint32_t column, uint32_t row,
			uint32_t end)
{
	struct stripe_read_slot *slot = &store->reads[index];
	const struct stripe_layout *layout = &slot->image.layout;
	const uint32_t device = stripe_column_device(layout, column);
	const struct disk_request request = {
		.kind = DISK_READ,
		.device = device,
		.offset = stripe_slot_offset(store, slot, column, row),
		.bytes = stripe_image_page(&slot->image, column, row),
		.length = (end - row) * PAGE_BYTES,
	};

	slot->pending |= STRIPE_BIT(device);
	stripe_request(store, OWNER_READ, index, &request);
}

void
stripe_slot_read_whole(struct stripe_store *store, uint32_t index)
{
	struct stripe_read_slot *slot = &store->reads[index];
	const struct stripe_layout *layout = &slot->image.layout;

	slot->state = READ_WHOLE;
	slot->image.absent = 0;
	store->stats.reads_degraded += !slot->is_repair && !slot->is_blob;
	for (uint32_t column = 0; column < store->devices; column++) {
		const uint32_t pages = stripe_column_pages(layout, column);
		if (pages == 0)
			continue;
		if ((store->failed & STRIPE_BIT(stripe_column_device(layout, column))) != 0)
			slot->image.absent |= STRIPE_BIT(column);
		else
			stripe_slot_read_column(store, index, column, 0, pages);
	}
}

uint32_t
stripe_slot_take(struct stripe_store *store, const struct stripe_group_read *ask)
{
	uint32_t index = 0;

	while (index < store->read_slots && store->reads[index].state != READ_FREE)
		index++;
	/* See stripe_hangs_are_borne. */
	INVARIANT(index < store->read_slots);
	struct stripe_read_slot *slot = &store->reads[index];
	slot->ask = *ask;
	slot->is_repair = slot->is_blob = slot->is_refill = false;
	slot->pending = slot->orphans = 0;
	stripe_image_begin(store, &slot->image, ask->address.first_cell, ask->address.group_pages);
	return index;
}

enum tern_err
stripe_slot_admit(struct stripe_store *store, const struct stripe_group_read *ask, uint64_t now_ns,
		  uint32_t *index)
{
	INVARIANT(store->phase == START_DONE && !store->scan.is_running);
	INVARIANT(ask->pages >= 1 && ask->page < ask->address.group_pages &&
		  ask->pages <= ask->address.group_pages - ask->page);
	INVARIANT(ask->address.group_pages <= store->config.group_pages_max);
	store->now_ns = max_u64(store->now_ns, now_ns);
	if (store->is_stopped)
		return TERN_ERR_IO;
	if (store->reads_active == store->config.reads_max)
		return TERN_ERR_QUEUE_FULL;
	store->reads_active++;
	*index = stripe_slot_take(store, ask);
	return TERN_OK;
}
