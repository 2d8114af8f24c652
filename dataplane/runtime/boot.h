/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of a node (runtime_boot_turn), private to this room: boot.c goes through its phases,
 * recover.c through the checkpoints, and what either reads is counted by boot_read.c.
 */
#ifndef TERN_RUNTIME_BOOT_H
#define TERN_RUNTIME_BOOT_H

#include "dataplane/base/err.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/runtime/checkpoint.h"
#include "dataplane/runtime/runtime.h"
#include "dataplane/stripe/store.h"

struct boot {
	enum {
		BOOT_STORE = 0, /* which devices count */
		BOOT_NUMBER,    /* boot_no + 1 */
		BOOT_CHECKPOINT,
		BOOT_SCAN,
		BOOT_REPAIR,
		BOOT_RECORDS,
		BOOT_DONE
	} phase;
	enum stripe_start store;
	struct recover recover;
	uint64_t checkpoints_bad; /* named by the superblock, and not whole */
	uint8_t *buffer;          /* a chunk of a checkpoint */
	uint32_t in_flight;
	bool is_failed;
	/* The last read of a checkpoint, to be done again without some columns. */
	struct stripe_blob blob;
	uint32_t distrust;
	struct stripe_scanned scanned;
	bool has_scanned;
	/* The last groups that were found, by their count: they may have been in flight when the
	 * node ended, so they are made whole before anybody hears of them. */
	struct stripe_address recent[STRIPE_GROUPS_MAX];
	bool is_recent_whole[STRIPE_GROUPS_MAX];
	uint64_t recent_count, repaired_count;
	struct cmdlog_recovery recovery;
	/* BOOT_RECORDS: of the recovered log; its newest configuration, and the one before that,
	 * which is committed. */
	uint64_t next_index, last_index, commit_floor;
	struct membership newest, committed;
	bool has_record, has_members;
	bool has_named;       /* the log, or what it begins behind, has what the superblock names */
	uint32_t pages_over;  /* of the largest block that the limit does not allow; 0: none */
	uint64_t export_next; /* of the tail that the scan is at; 0: none */
	enum runtime_boot verdict; /* 0: not yet known */
};

/* ---- boot_read.c ---- */
/* Reads @pages pages at @page of the checkpoint at @first_page into the boot buffer. False: it
 * cannot be done. */
bool boot_read(struct runtime *rt, uint64_t first_page, uint64_t page, uint32_t pages);
/* What was read is not right: reads it again in another way. False: all ways were tried. */
bool boot_read_again(struct runtime *rt);
/* A request of the start is done: the next turn goes on, or gives up. */
void boot_on_completion(struct runtime *rt, enum tern_err err);

/* ---- recover.c ---- */
enum recover_verdict {
	RECOVER_MORE = 1, /* call again when what was read is there */
	RECOVER_DONE,     /* the log is read from the superblock's base on, or its first cell */
	RECOVER_REFUSED,  /* this configuration has no room for the state */
	RECOVER_FAILED,
};
enum recover_verdict recover_turn(struct runtime *rt);

#endif
