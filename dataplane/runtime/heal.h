/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes on behind the log's back to keep its devices whole; private to this room. Two walks
 * through all that is stored: first the write groups, the superseded ones too, because a scan reads
 * them; then the checkpoints that the superblock names.
 *
 *	rebuild  of a device that was recorded as failed and is there again, or of one that takes
 *	         its place: a spare, as soon as the record is durable, or what an operator names.
 *From the beginning it takes part in all writes; at the end of the walk it counts again. After a
 *crash the next start begins anew scrub    reads every page of every device that counts, the
 *superblocks last, and makes good what is not what it must be
 *
 * One of them moves at a time, the rebuild first; each at no more than its rate. What both do to a
 * group or a chunk is one repair: read all, verify, write again what is wrong and nothing else.
 *
 * Groups are known from the scan, and from when they were written: a table of all that lie in the
 * area. What is still being written is not walked over: it is verified when it is complete. What
 * was torn when the node started is torn for good, and no finding.
 */
#ifndef TERN_RUNTIME_HEAL_H
#define TERN_RUNTIME_HEAL_H

#include "dataplane/runtime/status.h"
#include "dataplane/runtime/submit.h"
#include "dataplane/stripe/store_repair.h"
#include "dataplane/wire/checkpoint.h"

struct runtime;

enum heal_phase {
	HEAL_IDLE = 0,
	HEAL_LOG,
	HEAL_WAIT,   /* rebuild: for checkpoints that were begun without the device, own and others'
		      */
	HEAL_SLOT,   /* which is next */
	HEAL_READ,   /* an item of it: its header, a chunk */
	HEAL_VERIFY, /* what was read */
	HEAL_WRITE,  /* what of it is wrong */
	HEAL_SUPER,  /* scrub: the superblocks */
	HEAL_END,
};

struct heal_group { /* one that lies in the area */
	uint64_t first_cell;
	uint32_t pages;
	bool is_torn;
};

struct heal_sums { /* of all devices */
	uint64_t bad, repaired, unrepairable, refilled;
};

struct heal_walk {
	bool is_scrub;
	enum heal_phase phase;
	uint64_t next, end, begun_at; /* of the table */
	uint64_t begun_cell, end_cell;
	uint64_t blob_pages; /* gone through, of checkpoints, on all devices */
	uint64_t pause_until_ns;
	uint64_t rate_bytes_s;  /* what it may take of the devices */
	struct status_job *job; /* NULL: nothing is under way */
	struct heal_sums sums;  /* when its request was begun */

	uint32_t slot, item, distrust; /* item 0: the header; then chunk item - 1 */
	struct superblock_checkpoint record;
	struct checkpoint_hdr hdr;
	struct stripe_blob blob;
};

struct healer {
	struct heal_group *groups; /* ring: of the area, in order */
	uint64_t groups_max, head, tail;

	struct heal_walk rebuild, scrub;
	struct heal_walk *busy; /* a request of this one is under way; NULL: none is */
	uint64_t release_cell;  /* cells before it wait for the repair under way; 0: none */
	uint8_t *buffer;        /* a chunk, of the walk that has an item in hand */
	bool is_read_bad;
	/* A group that was found to be lost, until it is put together again, or cannot be. */
	struct heal_walk *hurt; /* who found it; NULL: there is none */
	struct stripe_address hurt_address;
	bool is_refilling;

	uint32_t device, left;        /* rebuild. left: mask of those that are still to be done */
	uint64_t rebuilt, unreadable; /* devices, and groups on the way */
	uint64_t spares_taken;

	bool is_scrub_wanted;                /* one of an earlier start, which goes on */
	bool is_scrub_over;                  /* cancelled; its request is not yet done */
	uint64_t scrub_interval_ns;          /* 0: by hand only */
	uint64_t scrub_due_ns;               /* when the next one begins by itself */
	uint64_t scrubs, scrub_unrepairable; /* that ended; pages, of the newest */
};

/* Looks for devices that came back: once, at the end of the boot. */
void heal_open(struct runtime *rt);
/* Where the scrub is, for the next start. */
void heal_scrub_status(const struct runtime *rt, struct status_pool *pool);
bool heal_turn(struct runtime *rt);
/* When a turn has something to do that now waits; UINT64_MAX: never. */
uint64_t heal_deadline_ns(const struct runtime *rt);
void heal_on_completion(struct runtime *rt, enum tern_err err);
/* From the next group on. */
void heal_set_rate(struct heal_walk *walk, uint64_t bytes_s);
/* Of enum submit_job, one that steers the scrub. @id: of the job that it is about. 0: done. */
enum submit_job_refusal heal_scrub_steer(struct runtime *rt, enum submit_job what, uint64_t *id);

/* The port's device @drive, a spare of @bytes, takes the place of @device, which is recorded as
 * failed, and is rebuilt. Errors as of stripe_store_replace. */
TERN_CHECKED enum tern_err
heal_replace(struct runtime *rt, uint32_t device, uint32_t drive, uint64_t bytes);

/* ---- heal_walk.c ---- */

void heal_walk_begin(struct runtime *rt, struct heal_walk *walk, enum status_job_kind kind,
		     uint8_t device);
void heal_walk_end(struct runtime *rt, struct heal_walk *walk, enum status_job_state state);
/* One step. HEAL_IDLE, HEAL_END: none (INVARIANT). */
bool heal_walk_turn(struct runtime *rt, struct heal_walk *walk);
/* It has an item in hand: another walk would take its buffer. */
static inline bool
heal_walk_is_inside(const struct heal_walk *walk)
{
	return walk->phase == HEAL_READ || walk->phase == HEAL_VERIFY || walk->phase == HEAL_WRITE;
}
/* Its request is done. */
void heal_walk_on_completion(struct runtime *rt, struct heal_walk *walk, enum tern_err err);

/* ---- heal_tally.c ---- */

/* A request of @walk begins: what it, or what comes of it, is good for is counted from here. */
void heal_tally_begin(struct runtime *rt, struct heal_walk *walk);
/* It is over: counts it for the walk's job, if that is still there. */
void heal_tally_end(struct runtime *rt, struct heal_walk *walk);
/* The same for a group that was hurt, of which nothing more will come. */
void heal_tally_hurt(struct runtime *rt, bool is_filled);
/* The group that a walk waited for was put together again, or cannot be. */
void heal_on_refilled(struct runtime *rt, bool is_filled);

#endif
