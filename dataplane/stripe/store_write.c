/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/stripe/store_internal.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

/* Encoding this many pages takes longer than to wake the devices once more. */
#define OVERLAP_PAGES 32u

static void
column_write(struct stripe_store *store, const struct stripe_image *image, uint32_t slot,
	     uint32_t column, uint64_t offset)
{
	const uint64_t cell = stripe_cell_at(&image->layout, column, 0);
	const struct disk_request request = {
		.kind = DISK_WRITE,
		.device = stripe_column_device(&image->layout, column),
		.offset = offset != UINT64_MAX ? offset : stripe_cell_offset(store, cell),
		.bytes = stripe_image_page(image, column, 0),
		.length = stripe_column_pages(&image->layout, column) * PAGE_BYTES,
	};

	stripe_request(store, OWNER_GROUP, slot, &request);
}

/* The columns of [@first, @end) that have pages: to every device that takes part. */
static void
columns_write(struct stripe_store *store, const struct stripe_image *image, uint32_t number,
	      uint32_t first, uint32_t end, uint64_t offset)
{
	struct stripe_group_slot *slot = &store->groups[number];
	const uint32_t empty = stripe_columns_empty(&image->layout);

	for (uint32_t column = first; column < end; column++) {
		const uint32_t bit = STRIPE_BIT(stripe_column_device(&image->layout, column));
		if ((empty & STRIPE_BIT(column)) != 0)
			continue;
		if ((stripe_writable(store) & bit) == 0) {
			slot->missing |= bit;
			continue;
		}
		slot->pending |= bit;
		column_write(store, image, number, column, offset);
	}
}

void
stripe_group_begin(struct stripe_store *store, uint32_t number, struct stripe_image *image,
		   uint64_t offset)
{
	const uint32_t m = store->geometry.m, parity = STRIPE_BIT(m) - 1;
	const bool is_blob = store->groups[number].is_blob;

	/* Parity covers the contents only: identity parts lie over it. */
	if (!is_blob)
		stripe_image_identify(image, ~parity);
	columns_write(store, image, number, m, store->devices, offset);
	if (m == 0)
		return;
	/* The devices work while parity is computed, where that takes longer than to tell them. */
	if (image->layout.pages >= OVERLAP_PAGES)
		stripe_requests_push(store);
	stripe_encode(store->code, &image->layout, image->data, image->parity);
	if (!is_blob)
		stripe_image_identify(image, parity);
	columns_write(store, image, number, 0, m, offset);
}

enum tern_err
stripe_store_write(struct stripe_store *store, const struct stripe_group_write *write,
		   uint64_t now_ns, struct stripe_address *address)
{
	uint32_t number = 0;
	uint64_t first_cell;

	INVARIANT(store->phase == START_DONE && !store->scan.is_running);
	INVARIANT(write->pages >= 1 && write->pages <= store->config.group_pages_max);
	INVARIANT(((uintptr_t)write->bytes & (PAGE_BYTES - 1)) == 0);
	INVARIANT(store->super.durable.boot_no != 0);
	store->now_ns = max_u64(store->now_ns, now_ns);
	if (store->is_stopped)
		return TERN_ERR_IO;
	while (number < store->config.groups_max && store->groups[number].is_used)
		number++;
	if (number == store->config.groups_max)
		return TERN_ERR_QUEUE_FULL;
	if (stripe_cell_fit(store->geometry, store->next_cell, write->pages,
			    store->super.wanted.log_pages, &first_cell) != TERN_OK)
		return TERN_ERR_LOG_FULL;
	const uint64_t end = first_cell + stripe_group_cells(store->geometry, write->pages);
	if (end - store->release_cell > stripe_lap_cells(store))
		return TERN_ERR_LOG_FULL;
	struct stripe_image image = {
		.group = {
			.cluster_id = store->super.wanted.cluster_id,
			.node_id = store->config.node_id,
			.boot_no = store->super.durable.boot_no,
			.pool_gen = store->super.wanted.pool_gen,
			.group_seq = ++store->group_seq,
			.acked_floor = write->acked_floor,
			.branch_group = write->branch_group,
			.first_cell = first_cell,
			.group_pages = write->pages,
			.k = (uint8_t)store->geometry.k,
			.m = (uint8_t)store->geometry.m,
		},
		.data = write->bytes,
		.parity = store->groups[number].parity,
	};
	stripe_image_begin(store, &image, first_cell, write->pages);
	store->groups[number] = (struct stripe_group_slot){
		.is_used = true,
		.first_cell = first_cell,
		.user = write->user,
		.parity = image.parity,
	};
	store->next_cell = end;
	*address = (struct stripe_address){ first_cell, write->pages };
	stripe_group_begin(store, number, &image, UINT64_MAX);
	store->stats.groups++;
	store->stats.group_pages += image.layout.pages;
	store->stats.parity_pages += image.layout.cells - image.layout.pages;
	store->stats.groups_degraded += store->groups[number].missing != 0;
	return TERN_OK;
}

uint64_t
stripe_store_room(const struct stripe_store *store, uint32_t pages_max)
{
	const uint64_t lap = stripe_lap_cells(store), used = store->next_cell - store->release_cell;
	const uint64_t left = used < lap ? lap - used : 0;
	const uint64_t before_end = lap - store->next_cell % lap;
	const uint64_t unused = stripe_group_cells(store->geometry, pages_max);

	if (left <= before_end)
		return left;
	/* Either all lies in front of the area's end, or one group may not fit there. */
	return max_u64(before_end, left > unused ? left - unused : 0);
}

uint32_t
stripe_store_fit(const struct stripe_store *store)
{
	const uint64_t lap = stripe_lap_cells(store), left = lap - store->next_cell % lap;
	const uint64_t rest = left % store->devices;
	const uint64_t full_rows = left / store->devices * store->geometry.k;

	return (uint32_t)min_u64(STRIPE_PAGES_MAX,
				 full_rows +
				     (rest > store->geometry.m ? rest - store->geometry.m : 0));
}

uint64_t
stripe_store_group_seq(const struct stripe_store *store)
{
	return store->group_seq;
}

uint64_t
stripe_store_oldest_in_flight(const struct stripe_store *store)
{
	uint64_t oldest = UINT64_MAX;

	for (uint32_t i = 0; i < store->config.groups_max; i++)
		if (store->groups[i].is_used)
			oldest = min_u64(oldest, store->groups[i].first_cell);
	return oldest;
}

void
stripe_store_submit(struct stripe_store *store)
{
	stripe_super_turn(store);
	stripe_requests_push(store);
}

void
stripe_store_release(struct stripe_store *store, uint64_t cell)
{
	INVARIANT(cell >= store->release_cell && cell <= store->next_cell);
	/* A repair would write over what comes there next. */
	for (uint32_t i = 0; i < store->read_slots; i++) {
		const struct stripe_read_slot *slot = &store->reads[i];
		INVARIANT(!slot->is_repair || slot->is_blob || slot->state == READ_FREE ||
			  slot->state == READ_QUARANTINE || slot->ask.address.first_cell >= cell);
	}
	store->release_cell = cell;
}

void
stripe_group_request_done(struct stripe_store *store, uint32_t index, uint32_t device,
			  enum tern_err err)
{
	struct stripe_group_slot *slot = &store->groups[index];

	INVARIANT(slot->is_used && (slot->pending & STRIPE_BIT(device)) != 0);
	slot->pending &= ~STRIPE_BIT(device);
	if (err != TERN_OK)
		slot->missing |= STRIPE_BIT(device);
}

uint32_t
stripe_groups_collect(struct stripe_store *store, struct stripe_completion *completions,
		      uint32_t max)
{
	const struct stripe_super *super = &store->super;
	/* Also in what is on its way: a rebuild may be about to take a record back. */
	const uint64_t in_flight =
	    super->is_flying ? super->flight.failed_devices : super->wanted.failed_devices;
	const uint32_t recorded =
	    (uint32_t)(super->durable.failed_devices & in_flight & super->wanted.failed_devices);
	uint32_t count = 0;

	for (uint32_t i = 0; i <= store->config.groups_max && count < max; i++) {
		struct stripe_group_slot *slot = &store->groups[i];
		if (!slot->is_used || slot->pending != 0)
			continue;
		/* Nobody hears of it before all remaining devices know who took no part. */
		if ((slot->missing & ~recorded) != 0 && !store->is_stopped)
			continue;
		slot->is_used = false;
		completions[count++] = (struct stripe_completion){
			.kind = slot->is_blob ? STRIPE_DONE_BLOB : STRIPE_DONE_GROUP,
			.err = store->is_stopped ? TERN_ERR_IO : TERN_OK,
			.user = slot->user,
		};
	}
	return count;
}
