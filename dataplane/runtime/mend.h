/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single blocks of a damaged log, got back from any node that has them (protocol section 11);
 * private to this room.
 *
 * The scan names the holes (cmdlog/mend.h): for each the chain hash of its last block. That block
 * is asked for by (log_index, chain), of one data node after the other; it tells the chain hash of
 * the one before it, and so on down to what can be read here. Then the hole is closed where it is:
 * the pages are written in their cells, with the identity parts that they had. When that is done
 * for all holes that somebody could fill, the node starts anew (RUNTIME_RESTART) and finds the log
 * that it had: it is no forgetful one, and keeps its vote. As long as it lacks anything it is what
 * repair.c makes of it. A crash at any moment leaves a log that is at most as damaged as before.
 *
 * So two nodes that both lost blocks, at different places, make each other whole without a master,
 * which without their votes there could not be: blocks are given by whoever holds them, damaged or
 * not, of its log or found behind its own holes.
 *
 * A master that could give this node everything waits as long as there is hope; and once it has
 * begun to, nothing is mended any more.
 *
 * Without parity only; with parity the store repairs itself, up to m losses.
 */
#ifndef TERN_RUNTIME_MEND_H
#define TERN_RUNTIME_MEND_H

#include "dataplane/cmdlog/mend.h"
#include "dataplane/runtime/want.h"

struct runtime;

struct mend {
	uint8_t *buffer; /* the hole, from its end on; or a block that is pulled */
	uint32_t hole;   /* that is being filled */
	bool is_begun;
	struct block_want want; /* the block that is asked for */
	uint32_t end_page;      /* so many pages of the hole lie before its end */
	bool is_written_to;     /* all of the hole is here */
	uint32_t piece, piece_page;
	bool is_in_flight;
	uint32_t filled, hopeless;        /* holes */
	uint64_t blocks_taken, parts_bad; /* since the start */
};

/* Whoever asks, and what is read for it. */
struct mend_source {
	bool is_wanted, is_reading;
	uint16_t node;
	uint64_t asked_ns;
	struct part_ask ask;
	struct part_id held; /* log_index 0: none */
	struct cmdlog_location at;
	uint64_t blocks_given, blocks_bad; /* since the start */
};

bool mend_turn(struct runtime *rt);
bool mend_is_busy(const struct runtime *rt);
uint64_t mend_deadline_ns(const struct runtime *rt);
void mend_on_part(struct runtime *rt, const struct frame_hdr *hdr, const struct part_hdr *part,
		  const uint8_t *bytes);
void mend_on_written(struct runtime *rt);

/* ---- mend_source.c ---- */

void
mend_source_on_ask(struct runtime *rt, const struct frame_hdr *hdr, const struct part_ask *ask);
void mend_source_on_read(struct runtime *rt, enum tern_err err);
bool mend_source_turn(struct runtime *rt);

#endif
