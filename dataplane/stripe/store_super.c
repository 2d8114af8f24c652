/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who counts. A device that is not recorded as failed took part in every superblock update that
 * counted, so its sequence is the newest or the one before; one that is further behind is an old
 * copy, or was left behind and must not be believed.
 */
#include "dataplane/stripe/store_internal.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

/* ---- updates ---- */

/* Memory of one drive, whatever its position: one that was replaced may still read or write its
 * own. */
static uint8_t *
copies_of(const struct stripe_store *store, uint32_t drive)
{
	return store->super.pages + (size_t)drive * SUPERBLOCK_COPIES * PAGE_BYTES;
}

/* Writes super.flight to the devices of @devices. */
static void
flight_begin(struct stripe_store *store, uint32_t devices)
{
	struct stripe_super *super = &store->super;

	INVARIANT(!super->is_flying && devices != 0);
	super->is_flying = super->is_flight_good = true;
	super->pending = devices;
	for (uint32_t device = 0; device < store->devices; device++) {
		if ((devices & STRIPE_BIT(device)) == 0)
			continue;
		struct superblock superblock = super->flight;
		superblock.device = (uint8_t)device;
		uint8_t *copies = copies_of(store, store->drive[device]);
		superblock_update_encode(copies, &superblock);
		struct disk_request request = {
			.kind = DISK_WRITE,
			.device = device,
			.offset = (uint64_t)store->next_copy[device] * PAGE_BYTES,
			.bytes = copies,
			.length = SUPERBLOCK_UPDATE_BYTES,
		};
		if ((store->fresh & STRIPE_BIT(device)) != 0) {
			/* Nothing that it held before may be newer than this. */
			memset(request.bytes + SUPERBLOCK_UPDATE_BYTES, 0, SUPERBLOCK_UPDATE_BYTES);
			request.offset = 0;
			request.length = SUPERBLOCK_COPIES * PAGE_BYTES;
			store->next_copy[device] = 0;
			store->fresh &= ~STRIPE_BIT(device);
		}
		store->next_copy[device] = superblock_other_copy(store->next_copy[device]);
		stripe_request(store, OWNER_SUPER, 0, &request);
	}
}

void
stripe_super_done(struct stripe_store *store, uint32_t device, enum tern_err err)
{
	struct stripe_super *super = &store->super;

	super->pending &= ~STRIPE_BIT(device);
	if (store->phase == START_READING) {
		if (err != TERN_OK)
			store->unreadable |= STRIPE_BIT(device);
		return;
	}
	/* One that is being rebuilt does not count yet. */
	if (err != TERN_OK && (super->flight.failed_devices & STRIPE_BIT(device)) == 0)
		super->is_flight_good = false;
	if (super->pending != 0)
		return;
	super->is_flying = false;
	/* A flight in which a device took no part counts only when it says so itself. */
	if (!super->is_flight_good)
		return;
	super->durable = super->flight;
	if (super->has_flight_update)
		super->is_update_done = true;
	super->has_flight_update = false;
}

void
stripe_super_turn(struct stripe_store *store)
{
	struct stripe_super *super = &store->super;

	const bool may_begin = stripe_note_turn(store);
	if ((!super->is_dirty && super->rewrites == 0) || super->is_flying || store->is_stopped ||
	    !may_begin)
		return;
	/* Nobody waits for a check: it begins again. */
	store->check.is_void = store->check.is_reading;
	super->is_dirty = false;
	super->rewrites -= super->rewrites != 0;
	super->wanted.sequence++;
	super->flight = super->wanted;
	super->has_flight_update = super->has_update && !super->is_update_done;
	flight_begin(store, stripe_writable(store));
}

void
stripe_store_update(struct stripe_store *store, const struct superblock *superblock, uint64_t user)
{
	struct stripe_super *super = &store->super;

	INVARIANT(store->phase == START_DONE && !super->has_update);
	INVARIANT(superblock->boot_no >= super->wanted.boot_no);
	super->wanted.boot_no = superblock->boot_no;
	super->wanted.generation = superblock->generation;
	super->wanted.fork = superblock->fork;
	super->wanted.tail_cell = superblock->tail_cell;
	super->wanted.shard_count = superblock->shard_count;
	memcpy(super->wanted.shards, superblock->shards, sizeof(super->wanted.shards));
	super->has_update = true;
	super->update_user = user;
	super->is_dirty = true;
}

const struct superblock *
stripe_store_superblock(const struct stripe_store *store)
{
	return &store->super.wanted;
}

/* ---- start ---- */

const char *
stripe_start_text(enum stripe_start verdict)
{
	switch (verdict) {
	case STRIPE_START_MORE:
		return "not yet known";
	case STRIPE_START_READY:
		return "ready";
	case STRIPE_START_BLANK:
		return "no device was ever written: make the storage with tern node init";
	case STRIPE_START_BLANK_DEVICE:
		return "the device is blank and not recorded as failed: if it is a replacement, "
		       "say so with tern device replace";
	case STRIPE_START_FOREIGN:
		return "the device belongs to another cluster or node, or holds something else";
	case STRIPE_START_VERSION:
		return "the device has a format that this build does not know";
	case STRIPE_START_CORRUPT:
		return "no copy of the device's superblock is good: replace the device";
	case STRIPE_START_SWAPPED:
		return "the device belongs to another place of this pool: put the devices into the "
		       "order in which they were made";
	case STRIPE_START_CLONED:
		return "the device is a copy of another one, or an old copy of itself: it was not "
		       "there when the pool was written";
	case STRIPE_START_GEOMETRY:
		return "the device was made for another k + m or another log area";
	case STRIPE_START_TOO_SMALL:
		return "the device ends before its log area does";
	case STRIPE_START_TOO_FEW:
		return "more devices are missing than the redundancy bears: bring them back, or "
		       "give the node new storage with `tern node rejoin`";
	case STRIPE_START_STALE:
		return "so few devices are here that the others may have gone on without them, and "
		       "there is no pool note (`pool` in the storage directory) that knows better: "
		       "bring the missing ones back, or give the node new storage with `tern node "
		       "rejoin`";
	case STRIPE_START_NOTE_CORRUPT:
		return "so few devices are here that the others may have gone on without them, and "
		       "the pool note (`pool` in the storage directory) cannot be read: bring the "
		       "missing ones back, or give the node new storage with `tern node rejoin`";
	case STRIPE_START_NOTE_FOREIGN:
		return "so few devices are here that the others may have gone on without them, and "
		       "the pool note (`pool` in the storage directory) is of another pool: put "
		       "back the right one, bring the missing devices back, or give the node new "
		       "storage with `tern node rejoin`";
	case STRIPE_START_NOTE_OLD:
		return "so few devices are here that the others may have gone on without them, and "
		       "the pool note (`pool` in the storage directory) is older than what is on "
		       "them: bring the missing ones back, or give the node new storage with `tern "
		       "node rejoin`; never put an old copy of that file back";
	case STRIPE_START_LEFT_BEHIND:
		return "the others went on without this device, as the pool note (`pool` in the "
		       "storage directory) says: bring back those that are missing; with them it "
		       "is filled again";
	case STRIPE_START_NOTE_IO:
		return "a device is missing, and the pool note (`pool` in the storage directory) "
		       "cannot be written: make room or repair that disk, or bring the device "
		       "back";
	case STRIPE_START_IO:
		return "devices failed while starting";
	}
	return "unknown";
}

uint32_t
stripe_store_start_device(const struct stripe_store *store)
{
	return store->verdict_device;
}

static enum stripe_start
refuse(struct stripe_store *store, enum stripe_start verdict, uint32_t device)
{
	store->verdict = verdict;
	store->verdict_device = device;
	return verdict;
}

static void
superblocks_read(struct stripe_store *store)
{
	store->phase = START_READING;
	for (uint32_t device = 0; device < store->devices + store->config.spare_count; device++) {
		const struct disk_request request = {
			.kind = DISK_READ,
			.device = device,
			.bytes = copies_of(store, device),
			.length = SUPERBLOCK_COPIES * PAGE_BYTES,
		};
		if (store->config.device_bytes[device] < request.length) {
			store->unreadable |= STRIPE_BIT(device);
			continue;
		}
		store->super.pending |= STRIPE_BIT(device);
		stripe_request(store, OWNER_SUPER, 0, &request);
	}
}

/* What a device says of itself. */
struct claim {
	enum tern_err err;
	struct superblock superblock;
	uint32_t copies; /* mask of good ones */
};

static bool
is_of_this_node(const struct stripe_store *store, const struct superblock *superblock,
		uint64_t cluster_id)
{
	return superblock->node_id == store->config.node_id &&
	       (cluster_id == 0 || superblock->cluster_id == cluster_id);
}

/* The superblock of this node that counts; NULL: there is none. */
static const struct superblock *
newest_find(const struct stripe_store *store, const struct claim *claims)
{
	const struct superblock *newest = NULL;
	uint64_t cluster_id = store->config.cluster_id;

	for (uint32_t device = 0; device < store->devices + store->config.spare_count; device++) {
		const struct superblock *one = &claims[device].superblock;
		if (claims[device].err != TERN_OK || !is_of_this_node(store, one, cluster_id))
			continue;
		cluster_id = one->cluster_id;
		if (newest == NULL || superblock_counts_more(one, newest))
			newest = one;
	}
	return newest;
}

/* A device that is not recorded as failed and could be read: READY when it is what it should be. */
static enum stripe_start
device_judge(const struct stripe_store *store, const struct claim *claims, uint32_t device,
	     const struct superblock *newest)
{
	const struct claim *claim = &claims[store->drive[device]];
	const struct superblock *own = &claim->superblock;

	if (claim->err != TERN_OK)
		return claim->err == TERN_ERR_BLANK     ? STRIPE_START_BLANK_DEVICE
		       : claim->err == TERN_ERR_FOREIGN ? STRIPE_START_FOREIGN
		       : claim->err == TERN_ERR_VERSION ? STRIPE_START_VERSION
							: STRIPE_START_CORRUPT;
	/* A later generation that was being written when the node ended is on some only. */
	const bool is_torn = own->generation.number < newest->generation.number &&
			     own->sequence + 1 == newest->sequence;
	if (!is_of_this_node(store, own, newest->cluster_id) ||
	    (!generation_equal(&own->generation, &newest->generation) && !is_torn))
		return STRIPE_START_FOREIGN;
	if (own->k != store->geometry.k || own->m != store->geometry.m ||
	    own->log_first_page != newest->log_first_page || own->log_pages != newest->log_pages ||
	    own->log_pages == 0)
		return STRIPE_START_GEOMETRY;
	if (own->device != device) {
		const bool is_twice = own->device < store->devices &&
				      claims[own->device].err == TERN_OK &&
				      claims[own->device].superblock.device == own->device;
		return is_twice ? STRIPE_START_CLONED : STRIPE_START_SWAPPED;
	}
	if (own->born_ns != newest->born_ns || own->sequence + 1 < newest->sequence)
		return STRIPE_START_CLONED;
	if (!stripe_area_fits(own, stripe_device_bytes(store, device)))
		return STRIPE_START_TOO_SMALL;
	return STRIPE_START_READY;
}

/* What is wrong when no device is of this node. */
static enum stripe_start
nothing_of_ours(struct stripe_store *store, const struct claim *claims)
{
	uint32_t blank_count = 0;

	for (uint32_t device = 0; device < store->devices; device++) {
		if ((store->unreadable & STRIPE_BIT(device)) != 0)
			continue;
		if (claims[device].err == TERN_ERR_BLANK) {
			blank_count++;
			continue;
		}
		const enum tern_err err = claims[device].err;
		return refuse(store,
			      err == TERN_ERR_CORRUPT   ? STRIPE_START_CORRUPT
			      : err == TERN_ERR_VERSION ? STRIPE_START_VERSION
							: STRIPE_START_FOREIGN,
			      device);
	}
	return refuse(store, blank_count != 0 ? STRIPE_START_BLANK : STRIPE_START_TOO_FEW,
		      STRIPE_NONE);
}

uint32_t
stripe_store_returned(const struct stripe_store *store)
{
	return store->returned;
}

uint32_t
stripe_store_drive(const struct stripe_store *store, uint32_t device)
{
	INVARIANT(device < store->devices);
	return store->drive[device];
}

uint32_t
stripe_store_spares(const struct stripe_store *store)
{
	return store->spares;
}

/* Another device came into its place, and this one is no part of the pool any more. */
static bool
is_left_behind(const struct stripe_store *store, const struct claim *claim, uint32_t device,
	       const struct superblock *newest)
{
	return store->drive[device] == device &&
	       (newest->failed_devices & SUPERBLOCK_REPLACED(device)) != 0 &&
	       claim->err == TERN_OK &&
	       is_of_this_node(store, &claim->superblock, newest->cluster_id) &&
	       claim->superblock.sequence + 1 < newest->sequence;
}

/* The spare that stood there is away, and what is in the place of what it replaced holds nothing of
 * this pool. */
static bool
is_spare_away(const struct stripe_store *store, const struct claim *claim, uint32_t device,
	      const struct superblock *newest)
{
	return store->drive[device] == device &&
	       (newest->failed_devices & SUPERBLOCK_REPLACED(device)) != 0 &&
	       claim->err == TERN_ERR_BLANK;
}

/* Whether a device that is recorded as failed may be written over: nothing of anybody else is on
 * it.
 */
static bool
is_returned(const struct stripe_store *store, const struct claim *claim, uint32_t device,
	    const struct superblock *newest)
{
	if ((store->unreadable & STRIPE_BIT(device)) != 0 ||
	    is_left_behind(store, claim, device, newest))
		return false;
	return claim->err == TERN_ERR_BLANK ||
	       (claim->err == TERN_OK && claim->superblock.device == device &&
		is_of_this_node(store, &claim->superblock, newest->cluster_id));
}

/* Spare ones that took the place of a device stand there again; blank ones wait for such a case.
 * From now on store->unreadable is of positions. */
static void
spares_place(struct stripe_store *store, const struct claim *claims,
	     const struct superblock *newest)
{
	const uint32_t end = store->devices + store->config.spare_count;
	uint32_t unreadable = 0;

	store->spares = 0;
	for (uint32_t drive = store->devices; drive < end; drive++) {
		const struct superblock *own = &claims[drive].superblock;
		if (claims[drive].err == TERN_ERR_BLANK &&
		    stripe_all_fits(newest, store->config.device_bytes[drive]))
			store->spares |= STRIPE_BIT(drive);
		if (claims[drive].err != TERN_OK ||
		    !is_of_this_node(store, own, newest->cluster_id) ||
		    own->born_ns != newest->born_ns || own->device >= store->devices)
			continue;
		const struct claim *other = &claims[store->drive[own->device]];
		if (other->err != TERN_OK ||
		    !is_of_this_node(store, &other->superblock, newest->cluster_id) ||
		    superblock_is_newer(own, &other->superblock))
			store->drive[own->device] = drive;
	}
	for (uint32_t device = 0; device < store->devices; device++)
		if ((store->unreadable & STRIPE_BIT(store->drive[device])) != 0 ||
		    ((newest->failed_devices & STRIPE_BIT(device)) == 0 &&
		     (is_left_behind(store, &claims[device], device, newest) ||
		      is_spare_away(store, &claims[device], device, newest))))
			unreadable |= STRIPE_BIT(device);
	store->unreadable = unreadable;
}

static enum stripe_start
devices_judge(struct stripe_store *store)
{
	struct claim claims[STRIPE_DRIVES_MAX] = { 0 };

	for (uint32_t device = 0; device < store->devices + store->config.spare_count; device++) {
		struct claim *claim = &claims[device];
		claim->err = (store->unreadable & STRIPE_BIT(device)) != 0
				 ? TERN_ERR_IO
				 : superblock_choose(copies_of(store, device), &claim->superblock,
						     &claim->copies);
	}
	const struct superblock *newest = newest_find(store, claims);
	if (newest == NULL)
		return nothing_of_ours(store, claims);
	spares_place(store, claims, newest);
	/* What hung while it was read is absent, and recorded like all that are. */
	store->super.wanted = *newest;
	store->super.is_dirty = store->is_stopped = false;
	store->failed = (uint32_t)newest->failed_devices & stripe_all_devices(store);
	uint32_t readable = 0, behind_here = 0;
	for (uint32_t device = 0; device < store->devices; device++) {
		if ((store->failed & STRIPE_BIT(device)) != 0 &&
		    is_returned(store, &claims[store->drive[device]], device, newest))
			store->returned |= STRIPE_BIT(device);
		if (claims[store->drive[device]].err == TERN_OK)
			behind_here |= store->returned & STRIPE_BIT(device);
		if (((store->failed | store->unreadable) & STRIPE_BIT(device)) != 0)
			continue;
		const enum stripe_start verdict = device_judge(store, claims, device, newest);
		if (verdict != STRIPE_START_READY)
			return refuse(store, verdict, device);
		readable |= STRIPE_BIT(device);
		const uint32_t drive = store->drive[device];
		/* What counts is never ahead of the newest: then that one is no part of this. */
		if (claims[drive].superblock.sequence > newest->sequence)
			return refuse(store, STRIPE_START_CLONED, newest->device);
		store->sequence[device] = claims[drive].superblock.sequence;
		store->next_copy[device] =
		    superblock_next_copy(copies_of(store, drive), &claims[drive].superblock);
	}
	const uint32_t count = (uint32_t)__builtin_popcount(readable);
	const uint32_t absent = stripe_all_devices(store) & ~readable & ~store->failed;
	if (count < store->geometry.k)
		return refuse(store, STRIPE_START_TOO_FEW, STRIPE_NONE);
	if (count <= store->geometry.m) {
		const bool is_whole = (readable | behind_here) == stripe_all_devices(store);
		uint32_t behind = STRIPE_NONE;
		const enum stripe_start said = stripe_note_judge(store, readable, newest, &behind);
		/* These devices may say that the others are out, and the others that these are. If
		 * the note lets none of them begin alone, the newest superblock knows. */
		if (said == STRIPE_START_LEFT_BEHIND && !(is_whole && stripe_note_lets_none(store)))
			return refuse(store, said, behind);
		if (absent != 0 && said != STRIPE_START_READY)
			return refuse(store, said, (uint32_t)__builtin_ctz(absent));
	}
	store->unreadable = absent;
	store->note.boot_no = newest->boot_no + 1;
	return STRIPE_START_MORE;
}

/* Devices that missed the newest update get it as it is, so that nobody is ever two behind. */
static void
settle(struct stripe_store *store)
{
	uint32_t behind = 0;

	store->phase = START_SETTLE;
	for (uint32_t device = 0; device < store->devices; device++) {
		const uint32_t bit = STRIPE_BIT(device);
		if (((store->failed | store->unreadable) & bit) == 0 &&
		    store->sequence[device] != store->super.wanted.sequence)
			behind |= bit;
	}
	store->super.flight = store->super.wanted;
	/* Until the others have it, too, all that counts has at least the update before. */
	store->super.durable.sequence = store->super.wanted.sequence - 1;
	if (behind != 0)
		flight_begin(store, behind);
	else
		store->super.durable = store->super.wanted;
}

static void
absent_record(struct stripe_store *store)
{
	store->phase = START_RECORD;
	if (store->unreadable != 0)
		store->super.wanted.pool_gen = superblock_next_era(store->super.wanted.pool_gen);
	for (uint32_t device = 0; device < store->devices; device++) {
		if ((store->unreadable & STRIPE_BIT(device)) != 0)
			stripe_device_fail(store, device);
	}
}

enum stripe_start
stripe_store_start(struct stripe_store *store, uint64_t now_ns)
{
	struct stripe_super *super = &store->super;

	if (store->verdict != STRIPE_START_MORE)
		return store->verdict;
	if (store->phase == START_READ) {
		store->now_ns = now_ns;
		superblocks_read(store);
	}
	stripe_requests_push(store);
	stripe_requests_poll(store, now_ns);
	if (super->pending != 0 || super->is_flying)
		return STRIPE_START_MORE;
	if (store->phase == START_READING) {
		const enum stripe_start verdict = devices_judge(store);
		if (verdict != STRIPE_START_MORE)
			return verdict;
		settle(store);
	}
	if (store->phase == START_SETTLE && !super->is_flying)
		absent_record(store);
	/* A device that fails now is recorded in one more flight. */
	stripe_super_turn(store);
	if (store->is_stopped)
		return refuse(store, store->note.is_failed ? STRIPE_START_NOTE_IO : STRIPE_START_IO,
			      STRIPE_NONE);
	stripe_requests_push(store);
	if (store->phase != START_RECORD || super->is_dirty || super->is_flying ||
	    store->note.is_flying)
		return STRIPE_START_MORE;
	store->phase = START_DONE;
	return refuse(store, STRIPE_START_READY, STRIPE_NONE);
}
