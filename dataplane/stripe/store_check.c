/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblock copies of the devices that count, verified. Between two updates each of them is
 * good, or blank in the pair that a new device has not got to yet; both of the newest pair say the
 * sequence that is durable. What is not so is written anew: an update goes to the older pair, so
 * two of them write all copies again, and the newest good one is never written over.
 */
#include "dataplane/stripe/store_internal.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

static uint8_t *
pages_of(const struct stripe_store *store, uint32_t device)
{
	return store->check.pages + (size_t)device * SUPERBLOCK_COPIES * PAGE_BYTES;
}

/* A device that was given up may yet write there. */
static bool
is_lent(const struct stripe_store *store, uint32_t device)
{
	const uint8_t *pages = pages_of(store, device);

	for (uint32_t i = 0; i < store->request_count; i++)
		if (store->requests[i].owner == OWNER_ORPHAN &&
		    store->requests[i].disk.bytes == pages)
			return true;
	return false;
}

enum tern_err
stripe_store_super_check(struct stripe_store *store, uint64_t user)
{
	struct stripe_check *check = &store->check;

	INVARIANT(store->phase == START_DONE && !store->scan.is_running);
	if (store->is_stopped)
		return TERN_ERR_IO;
	if (check->is_reading || check->is_rewriting || check->is_done || store->super.is_flying ||
	    store->super.is_dirty || store->super.rewrites != 0)
		return TERN_ERR_BUSY;
	check->is_reading = true;
	check->is_void = false;
	check->user = user;
	check->unread = 0;
	for (uint32_t device = 0; device < store->devices; device++) {
		const struct disk_request request = {
			.kind = DISK_READ,
			.device = device,
			.bytes = pages_of(store, device),
			.length = SUPERBLOCK_COPIES * PAGE_BYTES,
		};
		check->bad[device] = 0;
		if ((store->failed & STRIPE_BIT(device)) != 0 || is_lent(store, device)) {
			check->unread |= STRIPE_BIT(device);
			continue;
		}
		check->pending |= STRIPE_BIT(device);
		stripe_request(store, OWNER_CHECK, 0, &request);
	}
	return TERN_OK;
}

void
stripe_check_request_done(struct stripe_store *store, uint32_t device, enum tern_err err)
{
	store->check.pending &= ~STRIPE_BIT(device);
	if (err != TERN_OK)
		store->check.unread |= STRIPE_BIT(device);
}

/* Copies of a device that are not what they must be. */
static uint32_t
copies_judge(const struct stripe_store *store, uint32_t device)
{
	const struct superblock *durable = &store->super.durable;
	uint32_t bad = 0, newest = 0;

	for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
		struct superblock copy;
		const enum tern_err err = superblock_decode(
		    pages_of(store, device) + (size_t)i * SUPERBLOCK_BYTES, &copy);
		const bool is_ours = err == TERN_OK && copy.device == device &&
				     copy.cluster_id == durable->cluster_id &&
				     copy.sequence <= durable->sequence;
		bad += !is_ours && err != TERN_ERR_BLANK;
		newest += is_ours && copy.sequence == durable->sequence;
	}
	/* A pair of them was written last. */
	const uint32_t missing = SUPERBLOCK_COPIES / 2 - min_u32(newest, SUPERBLOCK_COPIES / 2);
	return max_u32(bad, missing);
}

/* Everything was read. */
static void
copies_end(struct stripe_store *store)
{
	struct stripe_check *check = &store->check;
	uint32_t bad = 0;

	check->is_reading = false;
	check->is_done = check->is_void;
	if (check->is_void)
		return;
	for (uint32_t device = 0; device < store->devices; device++) {
		const uint32_t bit = STRIPE_BIT(device);
		if ((store->failed & bit) != 0)
			continue;
		/* One that cannot be read, and still takes writes, may be well after them. */
		check->bad[device] = (check->unread & bit) == 0
					 ? copies_judge(store, device)
					 : (is_lent(store, device) ? 0 : SUPERBLOCK_COPIES);
		store->device_stats[device].verified +=
		    (check->unread & bit) == 0 ? SUPERBLOCK_COPIES : 0;
		store->device_stats[device].bad += check->bad[device];
		bad += check->bad[device];
	}
	store->stats.bad_pages += bad;
	check->is_rewriting = bad != 0;
	check->is_done = bad == 0;
	store->super.rewrites = bad != 0 ? 2 : 0;
}

void
stripe_check_turn(struct stripe_store *store)
{
	struct stripe_check *check = &store->check;

	if (check->is_reading && check->pending == 0)
		copies_end(store);
	if (!check->is_rewriting || store->super.rewrites != 0 || store->super.is_flying)
		return;
	for (uint32_t device = 0; device < store->devices; device++)
		if ((store->failed & STRIPE_BIT(device)) == 0)
			store->device_stats[device].repaired += check->bad[device];
	check->is_rewriting = false;
	check->is_done = true;
}

bool
stripe_check_collect(struct stripe_store *store, struct stripe_completion *completion)
{
	struct stripe_check *check = &store->check;

	if (!check->is_done && !(store->is_stopped && (check->is_reading || check->is_rewriting)))
		return false;
	*completion = (struct stripe_completion){
		.kind = STRIPE_DONE_SUPER,
		.err = store->is_stopped ? TERN_ERR_IO
		       : check->is_void  ? TERN_ERR_BUSY
					 : TERN_OK,
		.user = check->user,
	};
	check->is_done = check->is_reading = check->is_rewriting = false;
	return true;
}
