/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of write groups: one node's k + m devices behind the storage seam, as one log area.
 *
 * Owns: which devices count (superblocks, pool generation, what is recorded as failed), cells and
 * identity parts of write groups, parity, what of a group is durable, reads that reconstruct, and
 * the scan that finds the groups again. Does not own: what the pages say (cmdlog), terms and votes
 * (core; the store carries them in the superblock), device requests (the seam), what lies outside
 * the log area (blobs: checkpoints).
 *
 * Rules, in the words of the design:
 *
 * durable: a group is complete when every device that has a column of it and is not recorded as
 * failed holds that column, and every device that took no part is recorded as failed on all the
 * others. The same holds of a superblock update.
 *
 * failed: a device that fails or hangs (config.device_hang_ns) is recorded as failed, pool
 * generation + 1, on every remaining device. It is never asked again, and returns only by a
 * rebuild, of itself or of a spare in its place. More than m failed: the store stops, completes
 * everything with IO.
 * start: at least k devices not recorded as failed are readable, and more than m are present, or
 * every absent one is recorded as failed, or the pool note says that those that are here were not
 * left behind. What is absent and not recorded is recorded before the store is ready.
 * note: with k <= m no superblock records a device as failed before the pool note says that it is
 * out (config.notes). If that cannot be written, it is one loss too many.
 * cells: a group goes behind all groups ever seen on any device, torn ones too; over other pages.
 *
 * Memory of reads: a read goes into the store's own memory and is copied when it is good, so that a
 * device that hangs can never write into what the caller has reused; a buffer with an unfinished
 * request of a failed device is not used again. Only a run (stripe_store_read_run), where the one
 * device there is takes the store with it, goes straight to the caller. Memory of writes is the
 * caller's: what a failed device still takes from it does not matter.
 *
 * Invariants: groups in flight <= groups_max; a cell is given out once; a device stops being failed
 * only by a rebuild; the superblock's sequence differs by at most one between devices not recorded
 * as failed.
 *
 * Thread: one owner. Pure but for the port's calls: no clock (now_ns comes with the calls and never
 * falls), no allocation after stripe_store_init, no globals.
 */
#ifndef TERN_STRIPE_STORE_H
#define TERN_STRIPE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/stripe/heal.h"
#include "dataplane/wire/superblock.h"
#include "hw/seam/disk_ops.h"
#include "hw/seam/note_ops.h"

#define STRIPE_GROUPS_MAX 16u /* write groups in flight */
#define STRIPE_READS_MAX  16u /* reads in flight */

struct stripe_store; /* fields in store_internal.h */

struct stripe_store_config {
	struct disk_port disk;
	struct stripe_geometry geometry;
	uint64_t cluster_id; /* 0: whatever the devices say, if they agree */
	uint16_t node_id;
	/* The port's devices: the pool's positions, then spare ones. 0: it is absent. */
	uint64_t device_bytes[STRIPE_DRIVES_MAX];
	uint32_t spare_count;     /* 0..STRIPE_SPARES_MAX; absent ones may come later */
	uint32_t group_pages_max; /* of the largest group */
	uint32_t groups_max;      /* in flight, 1..STRIPE_GROUPS_MAX */
	uint32_t reads_max;       /* in flight, 1..STRIPE_READS_MAX */
	uint32_t scan_rows;       /* pages of each device that the scan reads at once */
	uint64_t device_hang_ns;  /* T_dev; 0: devices may take as long as they like */
	/* The pool note, for k <= m: who keeps it, and what was found: OK: @note; or why not. */
	struct note_port notes;
	enum tern_err note_err;
	struct pool_note note;
	bool forgets_spares, notes_late, takes_old_note; /* tests only: bugs */
};

/* Bytes of memory for this configuration; 0: it is out of range. */
size_t stripe_store_bytes(const struct stripe_store_config *config);
/* @memory: that many bytes, page aligned, borrowed for ever. CONFIG: out of range. */
TERN_CHECKED enum tern_err stripe_store_init(void *memory, const struct stripe_store_config *config,
					     struct stripe_store **store);

/* ---- start ---- */

enum stripe_start {
	STRIPE_START_MORE = 0, /* requests are under way: call again */
	STRIPE_START_READY,
	STRIPE_START_BLANK,        /* no device was ever written */
	STRIPE_START_BLANK_DEVICE, /* this one, and it is not recorded as failed */
	STRIPE_START_FOREIGN,      /* this device is of another cluster, node or kind of data */
	STRIPE_START_VERSION,      /* its format is not known to this build */
	STRIPE_START_CORRUPT,      /* none of its superblock copies is good */
	STRIPE_START_SWAPPED,      /* it belongs to another place of this pool */
	STRIPE_START_CLONED,       /* it is a copy of another device, or an old copy of itself */
	STRIPE_START_GEOMETRY,     /* its pool has another k + m */
	STRIPE_START_TOO_SMALL,    /* it ends before its log area does */
	STRIPE_START_TOO_FEW,      /* fewer than k devices can be read */
	/* At most m are present, maybe the half that was left behind. The pool note: */
	STRIPE_START_STALE,        /* nobody keeps one, or there is none */
	STRIPE_START_NOTE_CORRUPT, /* it cannot be read */
	STRIPE_START_NOTE_FOREIGN, /* it is of another pool */
	STRIPE_START_NOTE_OLD,     /* the devices know of more than it does */
	STRIPE_START_LEFT_BEHIND,  /* it says so of this device, and too few are left */
	STRIPE_START_NOTE_IO,      /* it cannot be written, and a device is to be recorded */
	STRIPE_START_IO,           /* more than m devices failed while starting */
};
/* A sentence for people. What it is about is stripe_store_start_device. */
const char *stripe_start_text(enum stripe_start verdict);
/* Devices that are recorded as failed and were there at the start all the same: blank, or what they
 * were in this pool. A mask. */
uint32_t stripe_store_returned(const struct stripe_store *store);

/* The port's device at a position: itself, or one that replaced it. */
uint32_t stripe_store_drive(const struct stripe_store *store, uint32_t device);
/* Spare devices that are there, blank and unused: a mask of the port's devices. */
uint32_t stripe_store_spares(const struct stripe_store *store);

/* Reads the superblocks, decides who counts, and brings every device that counts up to the newest
 * one. Call until it is not MORE; it polls the port. A verdict but READY is final. */
enum stripe_start stripe_store_start(struct stripe_store *store, uint64_t now_ns);
/* The device that a verdict is about; UINT32_MAX: none in particular. */
uint32_t stripe_store_start_device(const struct stripe_store *store);
/* What the devices agreed on. Lent; changes with updates. */
const struct superblock *stripe_store_superblock(const struct stripe_store *store);

/* ---- the scan: once, after the start and before the first write ---- */

enum stripe_scan_state {
	STRIPE_SCAN_MORE = 1, /* requests are under way: call again */
	STRIPE_SCAN_GROUP,
	STRIPE_SCAN_DONE,
	STRIPE_SCAN_FAILED, /* more than m devices failed */
};

/* One group, in the order of cells, which is that of (boot_no, group_seq). */
struct stripe_scanned {
	struct page_identity group;
	/* Its data pages, lent until the next call. NULL: it cannot be read whole. Without parity,
	 * where every page stands for itself, those that can be read, and zeros for the others. */
	const uint8_t *bytes;
	bool is_whole;
	uint32_t decoded_pages;
};

struct stripe_scan_stats {
	uint64_t groups, groups_unreadable, groups_degraded; /* degraded: pages were decoded */
	uint64_t groups_missing; /* numbers of a boot between two groups that were never seen */
	uint64_t pages_bad, pages_foreign; /* foreign: of no group, and not blank */
	uint64_t acked_floor;              /* the highest that any page says */
	uint64_t end_cell;                 /* behind every group that was seen */
	uint64_t pages_later; /* of later laps: the log went past first_cell long ago */
	uint32_t pages_over;  /* of the largest over group_pages_max, left out; 0: none */
};

/* @first_cell: nothing before it is needed (the log was reclaimed up to there). A group that lies
 * across it is given out, too. FAILED also when so many pages of a row cannot be read that a group
 * may have stayed unseen. */
void stripe_store_scan_begin(struct stripe_store *store, uint64_t first_cell);
enum stripe_scan_state
stripe_store_scan(struct stripe_store *store, uint64_t now_ns, struct stripe_scanned *scanned);
const struct stripe_scan_stats *stripe_store_scan_stats(const struct stripe_store *store);

/* ---- writing ---- */

/* Where a group lies: what an index keeps to read its pages again. */
struct stripe_address {
	uint64_t first_cell;
	uint32_t group_pages;
};

struct stripe_group_write {
	uint8_t *bytes; /* @pages pages, page aligned; their identity parts are written now, then
			 * they must not change until the completion */
	uint32_t pages; /* 1..group_pages_max */
	uint64_t acked_floor;
	uint32_t branch_group; /* see struct page_identity_le */
	uint64_t user;         /* returned in the completion */
};
/* Takes a group: cells, parity, requests. QUEUE_FULL: groups_max are in flight. LOG_FULL: no cells
 * left in front of what is still needed. IO: the store has stopped. */
TERN_CHECKED enum tern_err
stripe_store_write(struct stripe_store *store, const struct stripe_group_write *write,
		   uint64_t now_ns, struct stripe_address *address);
/* Cells that groups may still take, whatever their sizes up to @pages_max: without what may stay
 * unused at the end of the area. */
uint64_t stripe_store_room(const struct stripe_store *store, uint32_t pages_max);
/* The largest group that fits in front of the area's end. */
uint32_t stripe_store_fit(const struct stripe_store *store);
/* The number of the last group that was taken in this boot; 0: none was. */
uint64_t stripe_store_group_seq(const struct stripe_store *store);
/* Hands everything that waits to the port. stripe_store_poll does so, too. */
void stripe_store_submit(struct stripe_store *store);
/* Cells before @cell are not needed any more. Never falls. No group there is being repaired
 * (INVARIANT). */
void stripe_store_release(struct stripe_store *store, uint64_t cell);

/* ---- the superblock ---- */

/* Makes durable on every device that counts: boot_no, generation and fork, tail hints and shard
 * records of @superblock; the store's own fields of it are ignored. One at a time (INVARIANT). */
void
stripe_store_update(struct stripe_store *store, const struct superblock *superblock, uint64_t user);

/* ---- reading ---- */

struct stripe_group_read {
	struct stripe_address address;
	uint32_t page, pages; /* of the group */
	uint8_t *bytes;       /* @pages pages, page aligned, borrowed until the completion */
	uint64_t user;
};
/* QUEUE_FULL: reads_max are in flight. IO: the store has stopped. */
TERN_CHECKED enum tern_err stripe_store_read(struct stripe_store *store,
					     const struct stripe_group_read *read, uint64_t now_ns);

/* Of one device: a run of cells, one behind the other, of whatever groups, within one lap. */
struct stripe_run_read {
	uint64_t first_cell;
	uint32_t pages; /* 1..group_pages_max */
	uint8_t *bytes; /* @pages pages, page aligned, borrowed until the completion; when the store
			 * has stopped, for ever */
	uint64_t user;
};
/* Reads a run. Nothing of it is checked: the caller knows what it must be. A page that cannot be
 * read is zero if others can; CORRUPT: none can. One device (INVARIANT). Errors as of a read. */
TERN_CHECKED enum tern_err
stripe_store_read_run(struct stripe_store *store, const struct stripe_run_read *run,
		      uint64_t now_ns);

/* ---- blobs: runs of pages outside the log area, which their owner checks ---- */

/* Coded like a group, but of opaque pages without identity parts. The owner gives out the place:
 * rows pages at the same page number of every device, and tells by a checksum of its own whether
 * what comes back is right. */
struct stripe_blob {
	uint64_t first_page; /* on each device */
	uint32_t pages;      /* 1..group_pages_max */
	uint32_t turn;       /* which device holds the first column: any number */
	uint8_t *bytes;      /* @pages pages, page aligned, borrowed until the completion */
	uint64_t user;
};
/* Completion STRIPE_DONE_BLOB, durable like a group. QUEUE_FULL: one is in flight. IO: the store
 * has stopped. */
TERN_CHECKED enum tern_err stripe_store_blob_write(struct stripe_store *store,
						   const struct stripe_blob *blob, uint64_t now_ns);
/* Completion STRIPE_DONE_BLOB_READ; CORRUPT: more than m columns cannot be read. @distrust: columns
 * that are not believed, see stripe_blob_distrust_next. Errors as of a read, whose slots it takes.
 */
TERN_CHECKED enum tern_err
stripe_store_blob_read(struct stripe_store *store, const struct stripe_blob *blob,
		       uint32_t distrust, uint64_t now_ns);
/* What came back was not right: which columns to leave out in the next try. 0 is the first; false:
 * all were tried. */
bool stripe_blob_distrust_next(struct stripe_geometry geometry, uint32_t *distrust);

/* Takes a device out on purpose, as if it had failed: it is recorded as failed, and not asked
 * again. NOT_FOUND: there is no such device, or it is out already. BUSY: the node would not bear
 * it. */
TERN_CHECKED enum tern_err stripe_store_fail(struct stripe_store *store, uint32_t device);

/* ---- completions ---- */

enum stripe_done {
	STRIPE_DONE_GROUP = 1,
	STRIPE_DONE_UPDATE,
	STRIPE_DONE_READ,
	STRIPE_DONE_REPAIR,
	STRIPE_DONE_BLOB,
	STRIPE_DONE_BLOB_READ,
	STRIPE_DONE_SUPER,
};

struct stripe_completion {
	enum stripe_done kind;
	enum tern_err err; /* IO: the store has stopped; CORRUPT (of a read): more than m pages of a
			    * row are lost */
	uint64_t user;
};
/* Moves everything on, hands requests to the port, and collects up to @max completions. */
uint32_t stripe_store_poll(struct stripe_store *store, uint64_t now_ns,
			   struct stripe_completion *completions, uint32_t max);

struct stripe_store_stats {
	uint32_t failed_devices;  /* recorded as failed, durably */
	uint32_t suspect_devices; /* and those of which this is not yet durable */
	uint32_t rebuilding_devices;
	uint32_t losses_left;   /* how many more devices may fail */
	bool is_note_failed;    /* so none may, though others would do */
	uint32_t hung_requests; /* of failed devices, never completed */
	bool is_stopped;
	uint64_t next_cell, cells_left;
	uint64_t groups, group_pages, parity_pages, groups_degraded; /* written */
	uint64_t reads, reads_degraded, reads_corrupt, read_errors, bad_pages;
	uint64_t repairs, repaired_columns;
};
struct stripe_store_stats stripe_store_stats(const struct stripe_store *store);

#endif
