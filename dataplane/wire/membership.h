/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a shard, and the CONFIG block that carries one
 *(docs/reference/log-format.md).
 *
 *	CONFIG block = block header 128 | one record of MEMBERSHIP_BYTES
 *
 * The record names the configuration that is effective from this block on and the one before it:
 * from its append until its commit both count (protocol section 12), and a node that replays its
 * log from the beginning learns from the first record what the cluster was born with. It begins
 * like a command, so that the walk over a block's commands finds it, and is none.
 *
 * A GEN block is a CONFIG block whose record has format 2: one voter of before goes on alone, by
 *the word of a person, in a new generation of the cluster.
 */
#ifndef TERN_WIRE_MEMBERSHIP_H
#define TERN_WIRE_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/wire/generation.h"

#define MEMBERSHIP_BYTES 96u

struct membership {
	uint64_t config_index;     /* log_index of the block that set it; 0: birth */
	uint64_t voters, learners; /* masks of data node ids */
	uint16_t witness_id;       /* 0: none */
	uint32_t witness_gen;
	/* Of what a GEN block says (generation.h): the one that it begins, and from which. Number
	 * 0: the block is an ordinary one. */
	struct generation begins;
	uint32_t parent_id;
};

/* A bit of witness_gen: the generation is allotted to a register that shall enter, and until it has
 * no witness has a vote, and no other may take that number (protocol section 12). */
#define MEMBERSHIP_WITNESS_OUT 0x80000000u

/* Equal but for config_index, and for whether a GEN block says it. */
bool membership_equal(const struct membership *a, const struct membership *b);
/* Voters there are; nobody is voter and learner, and the witness neither; an even number of voters
 * has a witness; ids are 1..63. */
bool membership_is_sound(const struct membership *membership);
/* Its voters are of an even number, and the register of its generation has entered. */
bool membership_has_witness(const struct membership *membership);
/* The two steps in which one witness is put in the place of another: nothing but the generation
 * changes; out: to the next one, allotted; in: that one has a vote. */
bool membership_is_witness_out(const struct membership *next, const struct membership *before);
bool membership_is_witness_in(const struct membership *next, const struct membership *before);
/* What a GEN block may say: one voter of before alone. */
bool membership_is_forced(const struct membership *next, const struct membership *before);

/* @out: MEMBERSHIP_BYTES. next->config_index is not written: it is the block's log_index. Both are
 * sound (INVARIANT). */
void
membership_encode(uint8_t *out, const struct membership *next, const struct membership *before);
/* MALFORMED: length, ranges, what must be zero, a configuration that is not sound. VERSION. Sets
 * next->config_index to 0. */
TERN_CHECKED enum tern_err membership_decode(const uint8_t *record, uint32_t bytes,
					     struct membership *next, struct membership *before);

/* The same for the record in the CONFIG block whose first page lies at @block, header verified;
 * next->config_index is its log_index. MALFORMED also: another kind of block, more than that one
 * record, or one that says it follows itself or a later block. */
TERN_CHECKED enum tern_err
membership_of_block(const uint8_t *block, struct membership *next, struct membership *before);

#endif
