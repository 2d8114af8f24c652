/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints of a running node; private to this room.
 *
 * A checkpoint is begun where the log crosses a multiple of interval_pages, which is the same block
 * on every node, when that block is committed and none is being written. It goes to the slot that
 * does not hold the newest one (or, where that one cannot be read any more and the older one can,
 * to that one's), chunk by chunk in the background, then its header, then the superblock names it.
 * Only then is it there, and the log before it may go (reclaim.h). With the first chunk what lay in
 * the slot is gone: from then on nothing rests on it. The superblock still names it, and a start
 * finds by its hashes that it is not whole.
 */
#ifndef TERN_RUNTIME_CHECKPOINT_H
#define TERN_RUNTIME_CHECKPOINT_H

#include "dataplane/wire/checkpoint.h"
#include "dataplane/wire/superblock.h"

struct runtime;

enum checkpoint_phase {
	CHECKPOINT_OFF = 0, /* storage has no room for checkpoints */
	CHECKPOINT_IDLE,
	CHECKPOINT_CHUNKS,
	CHECKPOINT_HEADER,
	CHECKPOINT_LOG,        /* its last block is not yet durable here */
	CHECKPOINT_SUPERBLOCK, /* which is being written */
};

struct checkpointer {
	enum checkpoint_phase phase;
	uint64_t interval_pages, slot_pages;
	uint8_t *buffer; /* one chunk */

	uint32_t slot;
	struct checkpoint_hdr hdr;
	uint32_t fill; /* payload bytes in the buffer */
	bool is_stream_done, is_sealed, is_writing;
	uint32_t pages;       /* of the sealed chunk */
	uint64_t paced_page;  /* the end of the log when the last turn was paced */
	uint32_t entries_max; /* of a turn in which no log grows; more after each that was ended */

	bool is_name_written;               /* the superblock that names it is being written */
	uint64_t newest_index, older_index; /* of what the durable superblock names; 0: none */
	uint32_t newest_slot;               /* of newest_index */
	/* Masks of slots. What the superblock names there cannot be read whole any more; was
	 * written over since, if only in part; was not looked at by the start, which had no need
	 * to: a crash may have come upon who wrote over it. */
	uint32_t hurt, torn, unread;
	uint64_t durable_ns;     /* when the newest came to be; 0: before this start */
	uint64_t written, ended; /* counted since the start */
	uint64_t failing;        /* ended since the newest came to be */
};

/* The checkpoint in @slot cannot be read whole any more: another one takes its place as soon as may
 * be. False: this node writes none. */
bool checkpoint_hurt(struct runtime *rt, uint32_t slot);
/* Boot: the superblock names none any more that is not whole. */
void checkpoint_open(struct runtime *rt);
/* Instead of state_commit: begins a checkpoint on the way, if one is due. */
void checkpoint_commit(struct runtime *rt, uint64_t log_index);
/* A bounded piece of work; true: it did something. */
bool checkpoint_turn(struct runtime *rt);
/* One is being written, or will be as soon as may be, without another command. */
bool checkpoint_is_coming(const struct runtime *rt);
/* True: none is being written and none will be begun, nor a base named, before hold_by_transfer
 * is over; a slot and the buffer are free. */
bool checkpoint_stand_aside(struct runtime *rt);
/* The log behind it, from @next_cell on. */
struct superblock_base checkpoint_base(const struct checkpoint_hdr *hdr, uint64_t next_cell);
/* The slot of the newest one, and that which the next one goes to. */
uint32_t checkpoint_newest_slot(const struct runtime *rt);
uint32_t checkpoint_slot_choose(const struct runtime *rt);
/* A write goes to @slot: what lay there is not a checkpoint any more, until a new one is named. */
void checkpoint_slot_begun(struct runtime *rt, uint32_t slot);
bool checkpoint_is_torn(const struct runtime *rt, uint32_t slot);
/* From which one the next start would begin, and from which one if that came to harm: of those that
 * are whole as far as this node knows, so that the log behind it is to be kept. 0: from none, and
 * so all of the log is. */
uint64_t checkpoint_start_index(const struct runtime *rt);
uint64_t checkpoint_fallback_index(const struct runtime *rt);
void checkpoint_on_completion(struct runtime *rt);
void checkpoint_superblock_begun(struct runtime *rt);
void checkpoint_superblock_done(struct runtime *rt);

/* Where the boot stands with the checkpoints that it found. */
enum recover_step { RECOVER_CHOOSE = 0, RECOVER_HEADER, RECOVER_VERIFY, RECOVER_RESTORE };
struct recover {
	enum recover_step step;
	uint32_t slot, tried; /* mask of slots */
	struct checkpoint_hdr hdr;
	uint32_t number; /* of the chunk being read */
	struct hash128 root;
	bool is_restored; /* hdr is that of what the state machine holds */
};

#endif
