/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group that lost more than its parity makes good, from pages that others gave. All that can be
 * read of it is read once more, compared with what it must be, and what differs is written in
 * place: as with a repair, a write that is torn makes nothing worse.
 */
#include "dataplane/stripe/store_internal.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

enum tern_err
stripe_store_refill(struct stripe_store *store, const struct stripe_refill *refill, uint64_t now_ns)
{
	const struct stripe_address *address = &refill->address;
	const struct stripe_group_read ask = {
		.address = *address,
		.pages = address->group_pages,
		.bytes = refill->bytes,
		.user = refill->user,
	};
	uint32_t index;

	INVARIANT(((uintptr_t)refill->bytes & (PAGE_BYTES - 1)) == 0);
	INVARIANT(address->first_cell >= store->release_cell);
	INVARIANT(address->first_cell < stripe_store_oldest_in_flight(store));
	const enum tern_err err = stripe_slot_admit(store, &ask, now_ns, &index);
	if (err != TERN_OK)
		return err;
	store->stats.repairs++;
	store->reads[index].is_repair = store->reads[index].is_refill = true;
	store->reads[index].refill = (struct page_identity){
		.cluster_id = store->super.wanted.cluster_id,
		.node_id = store->config.node_id,
		.boot_no = refill->boot_no,
		.pool_gen = store->super.wanted.pool_gen,
		.group_seq = refill->group_seq,
		.acked_floor = refill->acked_floor,
		.branch_group = refill->branch_group,
		.first_cell = address->first_cell,
		.group_pages = address->group_pages,
		.k = (uint8_t)store->geometry.k,
		.m = (uint8_t)store->geometry.m,
	};
	stripe_slot_read_whole(store, index);
	return TERN_OK;
}

static void
stats_note(struct stripe_store *store, const struct stripe_image *image,
	   const struct stripe_healed *healed)
{
	for (uint32_t column = 0; column < store->devices; column++) {
		const uint32_t device = stripe_column_device(&image->layout, column);
		struct stripe_device_stats *stats = &store->device_stats[device];
		if ((store->failed & STRIPE_BIT(device)) != 0)
			continue;
		stats->refilled += healed->bad_of[column];
		stats->unrepairable -= min_u64(stats->unrepairable, healed->bad_of[column]);
	}
}

void
stripe_refill_begin(struct stripe_store *store, uint32_t index)
{
	struct stripe_read_slot *slot = &store->reads[index];
	struct stripe_image *image = &slot->image;
	struct stripe_healed healed = { 0 };

	/* As any page says that is left of it. */
	if (!stripe_image_find(image, store->super.wanted.cluster_id, store->config.node_id) ||
	    image->group.boot_no != slot->refill.boot_no ||
	    image->group.group_seq != slot->refill.group_seq)
		image->group = slot->refill;
	struct stripe_image right = *image;
	right.data = slot->ask.bytes;
	right.parity = store->repair_parity;
	stripe_image_clear_padding(&right);
	stripe_encode(store->code, &right.layout, right.data, right.parity);
	stripe_image_identify(&right, UINT32_MAX);
	stripe_repair_differences(store, index, &right, &healed);
	stats_note(store, &right, &healed);
}
