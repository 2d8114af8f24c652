/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated devices under a store, and a log of numbered pages on top of it that remembers what was
 * acknowledged. Everything comes from one seed.
 *
 * A device has an image that outlives crashes. Writes complete in any order; at a crash each write
 * in flight is lost, done or torn page by page. A device may fail, hang, lose writes or misdirect
 * them, and its pages may rot. The pool note is kept on a disk of its own, which is written whole
 * or not at all.
 */
#ifndef TERN_TESTS_UNIT_STRIPE_POOL_H
#define TERN_TESTS_UNIT_STRIPE_POOL_H

#include "tests/support/check.h"

#include "dataplane/base/prng.h"
#include "dataplane/stripe/store_repair.h"

#define POOL_CLUSTER     0x706f6f6cULL
#define POOL_NODE        1u
#define POOL_AREA_PAGES  400u
#define POOL_FIRST_PAGE  16u
#define POOL_GROUP_PAGES 24u
#define POOL_GROUPS_MAX  20000u
#define POOL_REQUESTS    512u
#define POOL_HANG_NS     1000000u

struct pool_device {
	uint8_t *image;
	uint64_t bytes;
	uint8_t *is_bad;  /* pages that cannot be read until they are written again */
	bool is_absent;   /* not there at the next start */
	bool is_failing;  /* every request fails */
	bool is_hung;     /* nothing completes */
	uint64_t writes;  /* that completed */
	uint64_t fail_at; /* of its writes, counted from 1; 0: none */
};

struct pool_request {
	struct disk_request request;
	bool is_used;
};

/* The disk of the pool note. A crash leaves the old one or the new one. */
struct pool_notes {
	bool is_off;     /* nobody keeps one */
	bool is_failing; /* every write fails */
	bool is_slow;    /* no write ends */
	enum tern_err err;
	struct pool_note there, flight;
	bool is_flying;
	uint64_t writes;
};

/* One group as it was written. */
struct pool_group {
	struct stripe_address address;
	uint8_t *bytes;        /* lent to the store until it is done */
	uint32_t first_number; /* of its first page */
	uint32_t boot_no;
	bool is_acked, is_failed;
	uint64_t acked_floor;
};

struct pool {
	struct prng prng;
	struct stripe_geometry geometry;
	struct pool_device devices[STRIPE_DRIVES_MAX];
	struct pool_request requests[POOL_REQUESTS];
	struct pool_notes notes;
	uint32_t queue_max; /* requests that the port takes */
	uint64_t now_ns;
	struct stripe_store *store;
	void *memory;
	struct stripe_store_config config;
	struct pool_group *groups;
	uint32_t group_count, number;
	uint64_t release_cell;
	uint64_t acked; /* highest number of pages acknowledged, plus one */
	bool is_update_done;
	uint64_t steps; /* requests that completed */
	bool is_trace_off;
};

/* Devices with superblocks, as a birth leaves them. */
void pool_make(struct pool *pool, struct stripe_geometry geometry, uint64_t seed);
/* Blank ones besides, before the first start. */
void pool_add_spares(struct pool *pool, uint32_t count);
void pool_free(struct pool *pool);
/* The superblock of a new device. */
struct superblock pool_superblock(const struct pool *pool, uint32_t device);
void pool_superblock_write(struct pool *pool, uint32_t device, const struct superblock *superblock);

/* A start of the store on what the devices hold. */
enum stripe_start pool_start(struct pool *pool);
/* The same, given up after so many turns: MORE, and nothing but a crash may follow. */
enum stripe_start pool_start_for(struct pool *pool, uint32_t turns);
/* boot_no + 1, durable, and the scan; every group that was acknowledged must be found whole. False:
 * the store has stopped. */
bool pool_recover(struct pool *pool);
/* A start that must succeed, and a recovery. */
void pool_up(struct pool *pool);
/* The process ends; writes in flight have any fate. */
void pool_crash(struct pool *pool);

/* Hands a group of @pages pages over. */
enum tern_err pool_write(struct pool *pool, uint32_t pages);
/* One turn: time passes, some requests complete, completions are taken note of. */
void pool_turn(struct pool *pool);
/* Turns until nothing is in flight. */
void pool_drain(struct pool *pool);
bool pool_is_idle(const struct pool *pool);
/* Reads a part of a group and compares it. Returns what the store says. */
enum tern_err pool_read(struct pool *pool, uint32_t group, uint32_t page, uint32_t pages);
/* Reads a run of cells of a pool of one device; @bytes: page aligned. */
enum tern_err pool_read_run(struct pool *pool, uint64_t first_cell, uint32_t pages, uint8_t *bytes);
/* Reads all groups that were acknowledged, not released. */
void pool_read_all(struct pool *pool);
/* Waits for the completion of what was begun with user 77. */
enum tern_err pool_answer(struct pool *pool);
/* The pages of a device that belong to groups which were acknowledged are, byte for byte, what the
 * layout says. */
void pool_check_layout(struct pool *pool, uint32_t device);
/* Repairs all of these groups. */
void pool_scrub(struct pool *pool);
/* Another device, with anything on it, in the place of a failed one; rebuilds it. False: it failed
 * again, or the store has stopped. */
bool pool_replace(struct pool *pool, uint32_t device);
/* Rebuilds what stands at that position. False: as above. */
bool pool_rebuild(struct pool *pool, uint32_t device);
/* The newest superblock of a device, as a start would see it. */
struct superblock pool_newest(const struct pool *pool, uint32_t device);
/* Devices that all others record as failed. */
void pool_check_recorded(const struct pool *pool, uint32_t failed);
bool pool_has_bad_pages(const struct pool *pool, uint32_t device);
/* Makes @count pages of the log of @device unreadable. */
void pool_spoil(struct pool *pool, uint32_t device, uint32_t count);
/* Damages @count pages of the log of @device. */
void pool_rot(struct pool *pool, uint32_t device, uint32_t count);

#endif
