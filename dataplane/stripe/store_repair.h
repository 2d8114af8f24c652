/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scrub and rebuild of the store of write groups: one group at a time, driven by the owner of the
 * index. What is written again is what belongs there, byte for byte, so a write that is torn makes
 * nothing worse. Thread, errors and completions as of store.h.
 */
#ifndef TERN_STRIPE_STORE_REPAIR_H
#define TERN_STRIPE_STORE_REPAIR_H

#include "dataplane/stripe/store.h"

/* Reads all of a group, makes good what is bad, and writes the columns that had bad pages again,
 * and those of devices that are being rebuilt. Completion STRIPE_DONE_REPAIR; CORRUPT: more than m
 * pages of a row are lost, nothing was written. Errors as of a read, whose slots it takes. */
TERN_CHECKED enum tern_err
stripe_store_repair(struct stripe_store *store, struct stripe_address address, uint64_t user,
		    uint64_t now_ns);
/* The same of a group of which more is lost than parity makes good, and whose pages others gave. */
struct stripe_refill {
	struct stripe_address address;
	uint8_t *bytes; /* all of its pages, page aligned, borrowed until the completion; their
			 * identity parts are written */
	/* What its identity parts say if none of them can be read: the rest follows from the place.
	 * They were the same, or said less of the floor. */
	uint32_t boot_no, branch_group;
	uint64_t group_seq, acked_floor;
	uint64_t user;
};
/* Completion STRIPE_DONE_REPAIR. The caller knows that the content of the pages is right. */
TERN_CHECKED enum tern_err stripe_store_refill(struct stripe_store *store,
					       const struct stripe_refill *refill, uint64_t now_ns);
/* The same of a blob whose bytes the owner has and knows to be right: what differs from them on a
 * device is written again. No blob is written meanwhile (QUEUE_FULL); QUEUE_FULL also when one is
 * being written. */
TERN_CHECKED enum tern_err
stripe_store_blob_repair(struct stripe_store *store, const struct stripe_blob *blob,
			 uint64_t now_ns);
/* Reads the superblock copies of every device that counts; if one is not what it must be, all are
 * written anew. Completion STRIPE_DONE_SUPER; BUSY: an update began meanwhile, which does not wait,
 * so nothing was found out. BUSY: an update is on its way, or another check. */
TERN_CHECKED enum tern_err stripe_store_super_check(struct stripe_store *store, uint64_t user);

/* What these saw on a device, in pages. */
struct stripe_device_stats {
	uint64_t verified, bad;
	uint64_t repaired;     /* of the bad ones: written again, and what they must be */
	uint64_t unrepairable; /* too much of their row is lost, and nobody gave them yet */
	uint64_t refilled;     /* others gave them */
};
/* Lent; STRIPE_DEVICES_MAX of them. */
const struct stripe_device_stats *stripe_store_device_stats(const struct stripe_store *store);

/* The first cell of the oldest group that was begun and is not complete; UINT64_MAX: there is none.
 */
uint64_t stripe_store_oldest_in_flight(const struct stripe_store *store);

/* From now on the port's device @drive is the one at position @device, which is recorded as failed,
 * for good: what was there is never asked again, and a later start knows. @bytes: of it. One that
 * was not there at the start is blank (the caller knows); one that was is taken only out of
 * stripe_store_spares. The rebuild begins it. NOT_FOUND: no such spare, too small, not blank at the
 * start, or used already; CONFIG: @device is not recorded as failed; BUSY: it is being rebuilt. */
TERN_CHECKED enum tern_err
stripe_store_replace(struct stripe_store *store, uint32_t device, uint32_t drive, uint64_t bytes);

/* Lets a device that is recorded as failed take part in writes again, without counting yet: it gets
 * superblocks, new groups, and what stripe_store_repair makes for it. What it held is of no
 * interest. When it fails it is out again, and nobody else notices. NOT_FOUND: it is absent or too
 * small; CONFIG: it is not recorded as failed; BUSY: requests of it never completed, groups
 * that were begun without it are in flight, or it is being rebuilt. */
TERN_CHECKED enum tern_err stripe_store_rebuild_begin(struct stripe_store *store, uint32_t device);
/* Every group that is still needed was repaired since the begin: the device counts from the next
 * superblock on. NOT_FOUND: it failed again meanwhile. BUSY: a superblock is on its way; call
 * again. */
TERN_CHECKED enum tern_err stripe_store_rebuild_end(struct stripe_store *store, uint32_t device);

#endif
