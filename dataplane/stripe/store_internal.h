/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of the store; only files of this room include this.
 *
 *	store_create.c memory; who is told of what
 *	store_poll.c   polls, what they have done, and counts
 *	store_super.c  start, superblock updates
 *	store_note.c   the pool note, for k <= m
 *	store_scan.c   finding the groups again
 *	store_write.c  write groups
 *	store_read.c   reads: begun, and ended by what they are for
 *	store_repair.c scrub and rebuild
 *	store_refill.c pages that others gave
 *	store_blob.c   pages outside the log area
 *	store_check.c  superblock copies, verified
 *	store_slot.c   slots of reads, and what is asked for in them
 *	store_request.c requests to devices, and devices that fail
 *	store_hang.c   room for what devices keep that never answer
 *	store_cell.c   where cells lie, and whose pages are
 */
#ifndef TERN_STRIPE_STORE_INTERNAL_H
#define TERN_STRIPE_STORE_INTERNAL_H

#include "dataplane/stripe/store_repair.h"
#include "dataplane/stripe/store_request.h"
#include "dataplane/stripe/store_slot.h"

#include "dataplane/wire/superblock_update.h"

#define STRIPE_SCAN_BLANK_ROWS 8192u /* this many without a page of the log end a scan */

struct stripe_group_slot {
	bool is_used;
	uint32_t pending; /* devices with a request under way */
	uint32_t missing; /* devices that have a column and took no part */
	uint64_t first_cell;
	uint64_t user;
	uint8_t *parity;
	bool is_blob;
};

struct stripe_super {
	struct superblock wanted;  /* what is to be durable */
	struct superblock durable; /* what is, on every device that counts */
	bool is_dirty;             /* wanted is more than was last handed out */
	uint32_t rewrites;         /* so many updates are to come, even if nothing is new */
	bool is_flying, is_flight_good, has_flight_update;
	struct superblock flight;
	uint32_t pending; /* devices */
	bool has_update;
	bool is_update_done;
	uint64_t update_user;
	uint8_t *pages; /* SUPERBLOCK_COPIES pages a device */
};

/* Superblock copies are read, then, if need be, written anew. */
struct stripe_check {
	bool is_reading, is_rewriting, is_done;
	bool is_void;             /* an update began while it was reading */
	uint32_t pending, unread; /* devices */
	uint64_t user;
	uint32_t bad[STRIPE_DEVICES_MAX]; /* copies, of what is being rewritten */
	uint8_t *pages;                   /* SUPERBLOCK_COPIES pages a device */
};

enum stripe_start_phase { START_READ = 0, START_READING, START_SETTLE, START_RECORD, START_DONE };

struct stripe_scan {
	bool is_running, has_window;
	uint64_t first_cell, end_of_area; /* cells */
	uint64_t row;                     /* of the window, counted over all laps */
	uint32_t rows;
	uint32_t pending, absent; /* devices */
	uint64_t cursor;          /* cells before it are done */
	uint64_t last_first;      /* first cell of the group that was last given out */
	bool has_last;
	uint64_t blank_rows;
	uint64_t seen_row; /* behind the last row that held a page */
	struct page_identity last;
	struct stripe_image image;
	uint8_t *windows;                      /* scan_rows pages a device */
	uint32_t unread[STRIPE_SCAN_ROWS_MAX]; /* devices of which this row could not be read */
	struct stripe_scan_stats stats;
};

struct stripe_note {
	bool is_kept;     /* this pool needs one, and there is somebody who keeps it */
	bool is_flying;   /* and the port writes it */
	bool is_failed;   /* what is there is not known, and it is not written again */
	uint32_t boot_no; /* of this start */
	struct pool_note flight;
	struct pool_note durable; /* boot_no 0: nothing of this start; out: for sure */
};

struct stripe_store {
	struct stripe_store_config config;
	struct stripe_code *code;
	struct stripe_geometry geometry;
	uint32_t devices;                  /* k + m */
	uint32_t drive[STRIPE_DRIVES_MAX]; /* the port's device at a position; spares: themselves */
	uint32_t spares;                   /* mask of drives: blank and unused */
	uint64_t now_ns, polled_ns;
	uint64_t patience_ns, hang_checked_ns; /* by the time that devices had */
	bool is_stopped;
	uint32_t failed; /* mask: recorded or to be recorded */
	/* Of these: devices that are written to again. And of these: not yet a superblock. */
	uint32_t rebuilding, fresh;
	uint8_t *repair_parity; /* of the group that is being compared */

	enum stripe_start_phase phase;
	enum stripe_start verdict;
	uint32_t verdict_device, unreadable, returned;
	uint32_t next_copy[STRIPE_DEVICES_MAX]; /* superblock copies that may be written over */
	uint64_t sequence[STRIPE_DEVICES_MAX];
	struct stripe_super super;
	struct stripe_note note;
	struct stripe_check check;
	bool is_blob_repaired; /* now: no blob is written meanwhile */
	struct stripe_device_stats device_stats[STRIPE_DEVICES_MAX];

	struct stripe_scan scan;

	uint64_t next_cell, release_cell, group_seq;
	struct stripe_group_slot
	    groups[STRIPE_GROUPS_MAX + 1]; /* the one behind groups_max: blobs */
	uint32_t read_slots, reads_active;
	struct stripe_read_slot reads[STRIPE_READS_MAX * (2 + STRIPE_M_MAX)];
	struct {
		struct stripe_completion completion;
		bool is_full;
	} done_read[STRIPE_READS_MAX];

	uint32_t request_count, free_head, wait_head, wait_tail;
	struct stripe_request *requests;
	const struct stripe_owners *owners;
	struct stripe_store_stats stats;
};

static inline uint32_t
stripe_all_devices(const struct stripe_store *store)
{
	return STRIPE_BIT(store->devices) - 1;
}

static inline uint64_t
stripe_lap_cells(const struct stripe_store *store)
{
	return store->super.wanted.log_pages * store->devices;
}

/* Devices that are written to. */
static inline uint32_t
stripe_writable(const struct stripe_store *store)
{
	return stripe_all_devices(store) & (~store->failed | store->rebuilding);
}

/* Of the device at a position. */
static inline uint64_t
stripe_device_bytes(const struct stripe_store *store, uint32_t device)
{
	return store->config.device_bytes[store->drive[device]];
}

/* A request came back, or never will (@err not TERN_OK). */
void stripe_super_done(struct stripe_store *store, uint32_t device, enum tern_err err);
void stripe_scan_request_done(struct stripe_store *store, uint32_t device, enum tern_err err);
/* A page of the scan's window that cannot be read. */
void stripe_scan_page_unread(struct stripe_store *store, const struct stripe_request *request);
void stripe_group_request_done(struct stripe_store *store, uint32_t index, uint32_t device,
			       enum tern_err err);
void stripe_read_request_done(struct stripe_store *store, uint32_t index, uint32_t device,
			      enum tern_err err);

void stripe_check_request_done(struct stripe_store *store, uint32_t device, enum tern_err err);
/* Moves a check of the superblocks on. */
void stripe_check_turn(struct stripe_store *store);
bool stripe_check_collect(struct stripe_store *store, struct stripe_completion *completion);

/* Begins the next superblock update when there is something to say. */
void stripe_super_turn(struct stripe_store *store);
/* What the pool note says of a start with these devices, which are at most m: READY: nobody can
 * have gone on without them. Otherwise what is wrong; LEFT_BEHIND: *device. */
enum stripe_start stripe_note_judge(const struct stripe_store *store, uint32_t readable,
				    const struct superblock *newest, uint32_t *device);
/* It calls out so many that no set of devices has begun by it: all of them together are what they
 * were when it was written. */
bool stripe_note_lets_none(const struct stripe_store *store);
/* Moves the pool note on. False: what the superblocks are to say has to wait for it. */
bool stripe_note_turn(struct stripe_store *store);
/* So many more devices may fail. */
uint32_t stripe_losses_left(const struct stripe_store *store);
/* So many devices may hang at once, and so many requests are at most under way with one: groups, a
 * blob, reads, a superblock, a check of superblocks. */
uint32_t stripe_hangs_of(const struct stripe_store_config *config);
uint32_t stripe_device_requests_of(const struct stripe_store_config *config);
/* Whether there is room for what @hangs more devices may keep when they hang. */
bool stripe_hangs_are_borne(const struct stripe_store *store, uint32_t hangs);
/* Reads on. */
void stripe_read_turn(struct stripe_store *store, uint32_t index);
/* A group of which all that could be read was read: makes it good and begins to write. True: it
 * goes on; false: it is finished with *@err. */
bool stripe_repair_begin(struct stripe_store *store, uint32_t index, enum tern_err *err);
/* None of what was read says what group it is: takes note of it. */
void stripe_repair_lost(struct stripe_store *store, uint32_t index);
/* The same of a blob whose right bytes are slot->ask.bytes. */
void stripe_blob_repair_begin(struct stripe_store *store, uint32_t index);
/* The same of a group whose right pages are slot->ask.bytes. */
void stripe_refill_begin(struct stripe_store *store, uint32_t index);
/* Writes what of slot->image is not what @right says, and what is absent. Takes note in @healed,
 * which is that of nothing yet, of what was read and wrong. */
void stripe_repair_differences(struct stripe_store *store, uint32_t index,
			       const struct stripe_image *right, struct stripe_healed *healed);
/* Encodes, and asks for every column whose device counts; notes the others as missing. @offset: of
 * row 0 on each device; UINT64_MAX: by the cells. */
void stripe_group_begin(struct stripe_store *store, uint32_t number, struct stripe_image *image,
			uint64_t offset);
/* All that can be read of a blob was read. */
enum tern_err stripe_blob_end(struct stripe_store *store, struct stripe_read_slot *slot);
/* Completed groups, updates and reads, as far as there is room. */
uint32_t stripe_groups_collect(struct stripe_store *store, struct stripe_completion *completions,
			       uint32_t max);
uint32_t stripe_reads_collect(struct stripe_store *store, struct stripe_completion *completions,
			      uint32_t max);

/* Fills the image of a group from its address and identity, for memory that is already there. */
void stripe_image_begin(const struct stripe_store *store, struct stripe_image *image,
			uint64_t first_cell, uint32_t pages);
/* Whether @page is of this store, at @cell, and says so consistently. Its group may be longer than
 * group_pages_max, and then than any memory here: it was written under another limit. */
bool stripe_page_is_written(const struct stripe_store *store, const uint8_t *page, uint64_t cell,
			    struct page_identity *identity, struct stripe_layout *layout);
/* The same, of a group that is not longer. */
bool stripe_page_is_ours(const struct stripe_store *store, const uint8_t *page, uint64_t cell,
			 struct page_identity *identity, struct stripe_layout *layout);
/* The byte offset on its device of a cell. */
uint64_t stripe_cell_offset(const struct stripe_store *store, uint64_t cell);
/* Whether the log area fits on a device of @bytes. */
bool stripe_area_fits(const struct superblock *superblock, uint64_t bytes);
/* The same of all that the pool has on a device: also the checkpoints. Asked of what comes in; one
 * that counts already goes on as long as it can. */
bool stripe_all_fits(const struct superblock *superblock, uint64_t bytes);

#endif
