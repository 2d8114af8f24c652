/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that was recorded as failed and is there again at a start, blank or as it was, is made
 * whole in the background; private to this room.
 *
 * From the beginning it takes part in all writes. Then every write group that was there before is
 * repaired, the superseded ones too, because a scan reads them; then the checkpoints that the
 * superblock names; then it counts again. After a crash the next start begins anew.
 *
 * Groups are known from the scan, and from when they were written: a table of all that lie in the
 * area. Only with parity.
 */
#ifndef TERN_RUNTIME_HEAL_H
#define TERN_RUNTIME_HEAL_H

#include "dataplane/runtime/status.h"
#include "dataplane/stripe/store.h"
#include "dataplane/wire/checkpoint.h"

struct runtime;

enum heal_phase {
	HEAL_IDLE = 0,
	HEAL_LOG,
	HEAL_WAIT,   /* for checkpoints that were begun without the device, own and others' */
	HEAL_SLOT,   /* which is next */
	HEAL_READ,   /* an item of it: its header, a chunk */
	HEAL_VERIFY, /* what was read */
	HEAL_WRITE,
	HEAL_END,
};

struct healer {
	struct stripe_address *groups; /* ring: of the area, in order; NULL: no parity */
	uint64_t groups_max, head, tail;

	enum heal_phase phase;
	uint32_t device, left; /* left: mask of those that are still to be done */
	uint64_t next, end;    /* of the table */
	uint64_t begun_at;     /* where next began */
	uint64_t pause_until_ns;
	bool is_busy;          /* a repair, a read or a write is under way */
	uint64_t release_cell; /* cells before it wait for the repair under way; 0: none */

	uint8_t *buffer;               /* a chunk */
	uint32_t slot, item, distrust; /* item 0: the header; then chunk item - 1 */
	bool is_read_bad;
	struct superblock_checkpoint record;
	struct checkpoint_hdr hdr;
	struct stripe_blob blob;
	uint64_t rebuilt, unreadable; /* devices, and groups on the way */
	uint64_t rate_bytes_s;        /* what it may take of the devices */
	struct status_job *job;       /* NULL: no device is made whole */
	uint64_t begun_cell, end_cell, blob_pages;
};

/* A group lies in the area. */
void heal_note_group(struct runtime *rt, struct stripe_address address);
/* Cells before @cell are not needed any more: it is durable that the log begins there. */
void heal_release(struct runtime *rt, uint64_t cell);
/* Looks for devices that came back: once, at the end of the boot. */
void heal_open(struct runtime *rt);
bool heal_turn(struct runtime *rt);
/* From the next group on. */
void heal_set_rate(struct runtime *rt, uint64_t bytes_s);
void heal_on_completion(struct runtime *rt, enum tern_err err);

#endif
