/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scrub and rebuild. A repair writes in place: whole columns, of which every page has either these
 * very bytes already or is bad, so a write that is torn makes nothing worse.
 *
 * A device that is rebuilt is written to like the others from the begin on, and read by nobody.
 * Groups that were there before are repaired one by one, so at the end it holds all there is. It
 * gets superblocks from the begin on as well: when the one that counts it in is cut short by a
 * crash, it is at most one behind, like everybody else.
 */
#include "dataplane/stripe/store_internal.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

enum tern_err
stripe_store_repair(struct stripe_store *store, struct stripe_address address, uint64_t user,
		    uint64_t now_ns)
{
	const struct stripe_group_read ask = {
		.address = address,
		.pages = address.group_pages,
		.user = user,
	};

	uint32_t index;
	const enum tern_err err = stripe_slot_admit(store, &ask, now_ns, &index);

	if (err != TERN_OK)
		return err;
	store->stats.repairs++;
	store->reads[index].is_repair = true;
	stripe_slot_read_whole(store, index);
	return TERN_OK;
}

/* Pages of a column that were asked for and not given are as bad as wrong ones. */
static void
unread_count(const struct stripe_store *store, const struct stripe_image *image,
	     struct stripe_healed *healed)
{
	for (uint32_t column = 0; column < store->devices; column++) {
		const uint32_t device = stripe_column_device(&image->layout, column);
		const uint32_t pages = stripe_column_pages(&image->layout, column);
		if ((image->absent & STRIPE_BIT(column)) == 0 ||
		    (store->failed & STRIPE_BIT(device)) != 0 || pages == 0)
			continue;
		healed->bad_pages += pages;
		healed->bad_of[column] += pages;
		healed->bad_columns |= STRIPE_BIT(column);
	}
}

static void
device_stats_note(struct stripe_store *store, const struct stripe_image *image,
		  const struct stripe_healed *healed, bool is_repaired)
{
	for (uint32_t column = 0; column < store->devices; column++) {
		const uint32_t device = stripe_column_device(&image->layout, column);
		struct stripe_device_stats *stats = &store->device_stats[device];
		if ((store->failed & STRIPE_BIT(device)) != 0)
			continue;
		stats->verified += stripe_column_pages(&image->layout, column);
		stats->bad += healed->bad_of[column];
		stats->repaired += is_repaired ? healed->bad_of[column] : 0;
		stats->unrepairable += is_repaired ? 0 : healed->bad_of[column];
	}
	store->stats.bad_pages += healed->bad_pages;
}

/* Writes the columns of @wanted that have a device. */
static void
columns_write(struct stripe_store *store, uint32_t index, uint32_t wanted)
{
	struct stripe_read_slot *slot = &store->reads[index];
	struct stripe_image *image = &slot->image;

	slot->state = READ_REPAIR;
	for (uint32_t column = 0; column < store->devices; column++) {
		const uint32_t device = stripe_column_device(&image->layout, column);
		const uint32_t pages = stripe_column_pages(&image->layout, column);
		const bool is_wanted = (wanted & STRIPE_BIT(column)) != 0;
		if (pages == 0 || !is_wanted || (stripe_writable(store) & STRIPE_BIT(device)) == 0)
			continue;
		const struct disk_request request = {
			.kind = DISK_WRITE,
			.device = device,
			.offset = stripe_slot_offset(store, slot, column, 0),
			.bytes = stripe_image_page(image, column, 0),
			.length = pages * PAGE_BYTES,
		};
		slot->pending |= STRIPE_BIT(device);
		stripe_request(store, OWNER_READ, index, &request);
		store->stats.repaired_columns++;
	}
}

bool
stripe_repair_begin(struct stripe_store *store, uint32_t index, enum tern_err *err)
{
	struct stripe_image *image = &store->reads[index].image;
	struct stripe_healed healed;

	*err = stripe_heal(store->code, image, &healed);
	unread_count(store, image, &healed);
	if (*err == TERN_OK)
		(void)stripe_parity_heal(store->code, image, store->repair_parity, &healed);
	device_stats_note(store, image, &healed, *err == TERN_OK);
	if (*err != TERN_OK)
		return false;
	/* Bad pages of a column that could not be read are written, too: a device may give a page
	 * back only after it was written again. */
	columns_write(store, index, healed.bad_columns | image->absent);
	return true;
}

void
stripe_repair_lost(struct stripe_store *store, uint32_t index)
{
	const struct stripe_image *image = &store->reads[index].image;
	struct stripe_healed healed = { 0 };

	for (uint32_t column = 0; column < store->devices; column++) {
		const uint32_t pages = stripe_column_pages(&image->layout, column);
		if ((image->absent & STRIPE_BIT(column)) == 0)
			healed.bad_of[column] = pages;
		healed.bad_pages += healed.bad_of[column];
	}
	unread_count(store, image, &healed);
	device_stats_note(store, image, &healed, false);
}

void
stripe_repair_differences(struct stripe_store *store, uint32_t index,
			  const struct stripe_image *right, struct stripe_healed *healed)
{
	const struct stripe_image *image = &store->reads[index].image;

	unread_count(store, image, healed);
	for (uint32_t column = 0; column < store->devices; column++) {
		const bool is_absent = (image->absent & STRIPE_BIT(column)) != 0;
		for (uint32_t row = 0; row < stripe_column_pages(&image->layout, column); row++) {
			uint8_t *page = stripe_image_page(image, column, row);
			const uint8_t *good = stripe_image_page(right, column, row);
			if (!is_absent && memcmp(page, good, PAGE_BYTES) == 0)
				continue;
			memcpy(page, good, PAGE_BYTES);
			if (is_absent)
				continue;
			healed->bad_pages++;
			healed->bad_of[column]++;
			healed->bad_columns |= STRIPE_BIT(column);
		}
	}
	columns_write(store, index, healed->bad_columns | image->absent);
}

void
stripe_blob_repair_begin(struct stripe_store *store, uint32_t index)
{
	struct stripe_image right = store->reads[index].image;
	struct stripe_healed healed = { 0 };

	right.data = store->reads[index].ask.bytes;
	right.parity = store->repair_parity;
	stripe_encode(store->code, &right.layout, right.data, right.parity);
	stripe_repair_differences(store, index, &right, &healed);
	device_stats_note(store, &right, &healed, true);
}

enum tern_err
stripe_store_replace(struct stripe_store *store, uint32_t device, uint32_t drive, uint64_t bytes)
{
	const uint32_t bit = STRIPE_BIT(device);

	INVARIANT(store->phase == START_DONE && device < store->devices);
	if (drive < store->devices || drive >= store->devices + store->config.spare_count ||
	    !stripe_all_fits(&store->super.wanted, bytes))
		return TERN_ERR_NOT_FOUND;
	for (uint32_t i = 0; i < store->devices; i++)
		if (store->drive[i] == drive)
			return TERN_ERR_NOT_FOUND;
	/* What was there at the start was read then, and waits as a spare if it was blank. */
	if (store->config.device_bytes[drive] != 0 && (store->spares & STRIPE_BIT(drive)) == 0)
		return TERN_ERR_NOT_FOUND;
	if ((store->super.durable.failed_devices & store->failed & bit) == 0)
		return TERN_ERR_CONFIG;
	if ((store->rebuilding & bit) != 0)
		return TERN_ERR_BUSY;
	store->drive[device] = drive;
	store->spares &= ~STRIPE_BIT(drive);
	store->config.device_bytes[drive] = bytes;
	store->next_copy[device] = 0;
	if (!store->config.forgets_spares)
		store->super.wanted.failed_devices |= SUPERBLOCK_REPLACED(device);
	store->super.is_dirty = true;
	return TERN_OK;
}

enum tern_err
stripe_store_rebuild_begin(struct stripe_store *store, uint32_t device)
{
	const uint32_t bit = STRIPE_BIT(device);
	const struct superblock *superblock = &store->super.wanted;

	INVARIANT(store->phase == START_DONE && !store->scan.is_running);
	INVARIANT(device < store->devices);
	if (!stripe_all_fits(superblock, stripe_device_bytes(store, device)))
		return TERN_ERR_NOT_FOUND;
	if ((store->super.durable.failed_devices & store->failed & bit) == 0)
		return TERN_ERR_CONFIG;
	if ((store->rebuilding & bit) != 0)
		return TERN_ERR_BUSY;
	for (uint32_t i = 0; i < store->request_count; i++) {
		if (store->requests[i].owner != OWNER_FREE &&
		    store->requests[i].drive == store->drive[device])
			return TERN_ERR_BUSY;
	}
	/* A group that was begun without it would be missed by whoever repairs what is complete. */
	for (uint32_t i = 0; i <= store->config.groups_max; i++) {
		if (store->groups[i].is_used && (store->groups[i].missing & bit) != 0)
			return TERN_ERR_BUSY;
	}
	/* Devices that it took the place of may still keep what was under way with them. */
	const uint32_t rebuilding = (uint32_t)__builtin_popcount(store->rebuilding | bit);
	if (!stripe_hangs_are_borne(store, stripe_losses_left(store) + rebuilding))
		return TERN_ERR_BUSY;
	store->rebuilding |= bit;
	store->fresh |= bit;
	store->super.is_dirty = true; /* its first superblock */
	return TERN_OK;
}

enum tern_err
stripe_store_rebuild_end(struct stripe_store *store, uint32_t device)
{
	const uint32_t bit = STRIPE_BIT(device);

	if ((store->rebuilding & bit) == 0)
		return TERN_ERR_NOT_FOUND;
	/* Without its first superblock it could not be told from a stranger. */
	if ((store->fresh & bit) != 0 || store->super.is_flying)
		return TERN_ERR_BUSY;
	/* Counted in by an update of its own: one with the number of a start could not be told from
	 * what a start without the device makes. */
	if (store->super.has_update)
		return TERN_ERR_BUSY;
	store->rebuilding &= ~bit;
	store->failed &= ~bit;
	store->super.wanted.failed_devices &= ~(uint64_t)bit;
	if (store->drive[device] == device)
		store->super.wanted.failed_devices &= ~SUPERBLOCK_REPLACED(device);
	store->super.wanted.pool_gen++;
	store->super.is_dirty = true;
	return TERN_OK;
}
