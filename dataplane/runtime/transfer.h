/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint goes from one node to another; private to this room.
 *
 * Receiver: core says which one (INSTALL). Its parts are asked for one after the other, a window of
 * units at a time, each chunk is checked by its hash and written to the slot that an own checkpoint
 * would go to (checkpoint.h); what lies there already, from before a crash or from another master,
 * is taken over. When all are durable and give the root that the header names, the header page is
 * written; what of the own log may be a divergent tail is named on the divergent ring, and that is
 * emptied, which means that it is in files; core agrees once more; and the superblock names the
 * checkpoint, and the block behind which the log begins now, in one write. Until that is durable
 * all is as it was; after it the node starts anew (RUNTIME_RESTART), as it would after a crash.
 *
 * Sender: answers what is asked, a few frames a turn, from the checkpoints that its superblock
 * names. While somebody fetches one, its slot is not written to and the log behind it is kept, as
 * long as the log has room (RUNTIME_LOG_KEPT); and clients are slowed down so that it has (flow.h).
 *
 * Also here: the superblock of a node that lost its storage, on its way back (core/rejoin.c).
 */
#ifndef TERN_RUNTIME_TRANSFER_H
#define TERN_RUNTIME_TRANSFER_H

#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/wire/checkpoint.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/part.h"

struct runtime;
struct core_effect;

enum transfer_phase {
	TRANSFER_NONE = 0,
	TRANSFER_WAIT,  /* for the checkpoint that is being written here */
	TRANSFER_LOOK,  /* whether a chunk lies in the slot already */
	TRANSFER_FETCH, /* a part comes */
	TRANSFER_WRITE, /* it goes to the slot */
	TRANSFER_SEAL,  /* the header page does */
	TRANSFER_TAIL,  /* the own log is saved */
	TRANSFER_NAME,  /* the superblock is written */
};

struct transfer {
	enum transfer_phase phase;
	uint16_t node; /* who has it */
	struct block_meta meta;
	struct checkpoint_hdr hdr;
	struct hash128 root; /* over the chunks that are in the slot */
	uint32_t slot, part, pages, units;
	uint64_t have[(PART_UNITS_MAX + 63) / 64];
	uint32_t have_count, asked_first, asked_end;
	uint64_t asked_ns, heard_ns; /* 0: not asked */
	uint64_t export_next, export_last;
	bool is_fresh;      /* nothing of it lies in the slot */
	bool is_in_flight;  /* the device has the buffer, which is the checkpointer's */
	bool is_dirty;      /* the superblock is to be written */
	bool is_last_write; /* and with that this incarnation is over */
	bool is_being_written;
	uint64_t refused_index; /* this node has no room for it */
	uint64_t parts_taken, parts_found, parts_bad, parts_sent, refused; /* since the start */
};

struct transfer_source {
	uint8_t *buffer;     /* one part */
	struct part_id held; /* log_index 0: none */
	uint32_t pages;
	uint32_t distrust; /* columns that the last read left out */
	bool is_bad;       /* what is held is not right: it is read again without others */
	bool is_reading, is_wanted;
	struct part_ask ask;
	uint16_t node;      /* that is served */
	uint64_t asked_ns;  /* by it, the last time; 0: never */
	uint32_t slot;      /* that it fetches */
	uint64_t bad_index; /* this one cannot be read back whole */
};

/* How far somebody has got who fetches a checkpoint. */
struct source_progress {
	uint16_t node;
	uint64_t asked_ns;    /* the last time */
	uint64_t behind;      /* pages of the log area behind what it fetches */
	uint64_t page, pages; /* of the checkpoint: asked for last, and in all */
};

/* INSTALL and REJOIN. */
void transfer_install(struct runtime *rt, const struct core_effect *effect);
void transfer_rejoin(struct runtime *rt, const struct core_effect *effect);
/* The log was matched, or this node is master: it is not needed any more. */
void transfer_drop(struct runtime *rt);
/* Something is to be waited for soon, so the loop must not sleep long. */
bool transfer_is_busy(const struct runtime *rt);
uint64_t transfer_deadline_ns(const struct runtime *rt);
bool transfer_turn(struct runtime *rt);
/* The superblock names what lies in the slot, as soon as it is written. */
void transfer_name(struct runtime *rt);
void transfer_on_part(struct runtime *rt, const struct frame_hdr *hdr, const uint8_t *body);
/* @err: OK; or CORRUPT, of a read that came to nothing. */
void transfer_on_completion(struct runtime *rt, enum tern_err err);

bool transfer_wants_superblock(const struct runtime *rt);
void transfer_superblock_begun(struct runtime *rt);
/* True: this incarnation is over. */
bool transfer_superblock_done(struct runtime *rt);

/* ---- sender ---- */

void source_on_ask(struct runtime *rt, const struct frame_hdr *hdr, const uint8_t *body);
void source_on_completion(struct runtime *rt, enum tern_err err);
bool source_turn(struct runtime *rt);
/* False: nothing is kept for anybody. */
bool source_progress(const struct runtime *rt, struct source_progress *progress);

#endif
