/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/stripe/store_internal.h"

#include "dataplane/base/invariant.h"

enum tern_err
stripe_store_fail(struct stripe_store *store, uint32_t device)
{
	INVARIANT(store->phase == START_DONE);
	if (device >= store->devices)
		return TERN_ERR_NOT_FOUND;
	const bool is_rebuilding = (store->rebuilding & STRIPE_BIT(device)) != 0;
	if ((store->failed & STRIPE_BIT(device)) != 0 && !is_rebuilding)
		return TERN_ERR_NOT_FOUND;
	if (!is_rebuilding && (store->is_stopped || stripe_losses_left(store) == 0))
		return TERN_ERR_BUSY;
	stripe_device_fail(store, device);
	INVARIANT(!store->is_stopped);
	return TERN_OK;
}

uint32_t
stripe_store_poll(struct stripe_store *store, uint64_t now_ns,
		  struct stripe_completion *completions, uint32_t max)
{
	INVARIANT(store->phase == START_DONE);
	stripe_requests_poll(store, now_ns);
	for (uint32_t i = 0; i < store->read_slots; i++)
		stripe_read_turn(store, i);
	stripe_check_turn(store);
	stripe_super_turn(store);
	stripe_requests_push(store);
	uint32_t count = 0;
	struct stripe_super *super = &store->super;
	if (count < max && super->has_update && (super->is_update_done || store->is_stopped)) {
		completions[count++] = (struct stripe_completion){
			.kind = STRIPE_DONE_UPDATE,
			.err = super->is_update_done ? TERN_OK : TERN_ERR_IO,
			.user = super->update_user,
		};
		super->has_update = super->is_update_done = false;
	}
	if (count < max && stripe_check_collect(store, &completions[count]))
		count++;
	count += stripe_groups_collect(store, completions + count, max - count);
	count += stripe_reads_collect(store, completions + count, max - count);
	return count;
}

struct stripe_store_stats
stripe_store_stats(const struct stripe_store *store)
{
	struct stripe_store_stats stats = store->stats;
	const uint64_t used = store->next_cell - store->release_cell;

	stats.failed_devices = (uint32_t)store->super.durable.failed_devices;
	stats.suspect_devices = store->failed & ~stats.failed_devices;
	stats.rebuilding_devices = store->rebuilding;
	stats.losses_left = stripe_losses_left(store);
	stats.is_note_failed = store->note.is_failed;
	stats.is_stopped = store->is_stopped;
	stats.next_cell = store->next_cell;
	stats.cells_left = used < stripe_lap_cells(store) ? stripe_lap_cells(store) - used : 0;
	return stats;
}

const struct stripe_device_stats *
stripe_store_device_stats(const struct stripe_store *store)
{
	return store->device_stats;
}
