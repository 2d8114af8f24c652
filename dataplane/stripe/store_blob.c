/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of pages outside the log area, coded like groups. They carry no identity parts, so a column
 * that is wrong without saying so shows only in the owner's checksum over the whole; the owner then
 * asks again, each time without other columns.
 */
#include "dataplane/stripe/store_internal.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

enum tern_err
stripe_store_blob_write(struct stripe_store *store, const struct stripe_blob *blob, uint64_t now_ns)
{
	const uint32_t number = store->config.groups_max;
	struct stripe_group_slot *slot = &store->groups[number];
	struct stripe_image image = { .data = blob->bytes, .parity = slot->parity };

	INVARIANT(store->phase == START_DONE && !store->scan.is_running);
	INVARIANT(blob->pages >= 1 && blob->pages <= store->config.group_pages_max);
	INVARIANT(blob->first_page >= SUPERBLOCK_AREA_PAGES);
	store->now_ns = max_u64(store->now_ns, now_ns);
	if (store->is_stopped)
		return TERN_ERR_IO;
	if (slot->is_used || store->is_blob_repaired)
		return TERN_ERR_QUEUE_FULL;
	stripe_image_begin(store, &image, blob->turn % store->devices, blob->pages);
	*slot = (struct stripe_group_slot){
		.is_used = true,
		.user = blob->user,
		.parity = image.parity,
		.is_blob = true,
	};
	stripe_group_begin(store, number, &image, blob->first_page * PAGE_BYTES);
	return TERN_OK;
}

static enum tern_err
blob_admit(struct stripe_store *store, const struct stripe_blob *blob, uint64_t now_ns,
	   uint32_t *index)
{
	const struct stripe_group_read ask = {
		.address = { blob->turn % store->devices, blob->pages },
		.pages = blob->pages,
		.bytes = blob->bytes,
		.user = blob->user,
	};
	const enum tern_err err = stripe_slot_admit(store, &ask, now_ns, index);

	if (err != TERN_OK)
		return err;
	store->reads[*index].is_blob = true;
	store->reads[*index].blob_page = blob->first_page;
	store->reads[*index].distrust = 0;
	return TERN_OK;
}

enum tern_err
stripe_store_blob_read(struct stripe_store *store, const struct stripe_blob *blob,
		       uint32_t distrust, uint64_t now_ns)
{
	uint32_t index;
	const enum tern_err err = blob_admit(store, blob, now_ns, &index);

	if (err != TERN_OK)
		return err;
	store->reads[index].distrust = distrust;
	stripe_slot_read_whole(store, index);
	return TERN_OK;
}

enum tern_err
stripe_store_blob_repair(struct stripe_store *store, const struct stripe_blob *blob,
			 uint64_t now_ns)
{
	uint32_t index;

	/* Whoever writes there next waits: what is written again is what is there now. */
	if (store->groups[store->config.groups_max].is_used || store->is_blob_repaired)
		return TERN_ERR_QUEUE_FULL;
	const enum tern_err err = blob_admit(store, blob, now_ns, &index);
	if (err != TERN_OK)
		return err;
	store->is_blob_repaired = true;
	store->reads[index].is_repair = true;
	store->stats.repairs++;
	stripe_slot_read_whole(store, index);
	return TERN_OK;
}

enum tern_err
stripe_blob_end(struct stripe_store *store, struct stripe_read_slot *slot)
{
	struct stripe_image *image = &slot->image;
	const uint32_t parity = STRIPE_BIT(store->geometry.m) - 1;
	const uint32_t there = ~stripe_columns_empty(&image->layout) & stripe_all_devices(store);
	const uint32_t lost = (image->absent | slot->distrust) & there;
	const struct stripe_decode decode = {
		.lost = lost,
		.wanted = lost & ~parity,
		.end_row = image->layout.rows,
	};

	if ((lost & ~parity) == 0)
		return TERN_OK;
	if (stripe_decode(store->code, &image->layout, &decode, image->data, image->parity) !=
	    TERN_OK)
		return TERN_ERR_CORRUPT;
	return TERN_OK;
}

bool
stripe_blob_distrust_next(struct stripe_geometry geometry, uint32_t *distrust)
{
	const uint32_t end = STRIPE_BIT(stripe_devices(geometry));
	const uint32_t before = *distrust, count = (uint32_t)__builtin_popcount(before);

	if (before != 0) {
		/* The next larger number with as many bits. */
		const uint32_t low = before & (0u - before), ripple = before + low;
		const uint32_t next = ripple | ((before ^ ripple) / low) >> 2;
		if (next < end) {
			*distrust = next;
			return true;
		}
	}
	if (count + 1 > geometry.m)
		return false;
	*distrust = STRIPE_BIT(count + 1) - 1;
	return true;
}
