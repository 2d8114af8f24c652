/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generations of a cluster (docs/reference/protocol.md, section 12). A cluster is born with
 * generation 1. Each promotion of a node that a person forces, without a quorum, begins the next
 * one: the number rises by one, and the id is drawn at random, so that two nodes which are forced
 * apart are two clusters for ever. Nodes take no frame of another generation but one: a notice, by
 * which a node that was left behind learns that it was.
 */
#ifndef TERN_WIRE_GENERATION_H
#define TERN_WIRE_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"

#define GENERATION_NUMBER_MAX   65535u
#define GENERATION_NOTICE_BYTES 48u
/* The first term of generation n is not below (n - 1) << GENERATION_TERM_SHIFT: no block of one
 * generation has the term of one of another. */
#define GENERATION_TERM_SHIFT 32u

struct generation {
	uint32_t number; /* from 1 */
	uint32_t id;     /* 0: of birth */
};

static inline bool
generation_is_sound(const struct generation *generation)
{
	return generation->number != 0 && generation->number <= GENERATION_NUMBER_MAX &&
	       (generation->number == 1) == (generation->id == 0);
}

static inline bool
generation_equal(const struct generation *a, const struct generation *b)
{
	return a->number == b->number && a->id == b->id;
}

/* Where a generation left the history of the one before it. All zero: not known. */
struct generation_notice {
	bool is_known;
	uint32_t parent_id;    /* id of the one before */
	uint64_t log_index;    /* the last block of before; 0: the log was empty */
	uint64_t commit_index; /* what the forced node knew to be committed, at most log_index */
	struct hash128 chain;  /* of block log_index */
};

/* @out: GENERATION_NOTICE_BYTES. */
void generation_notice_encode(uint8_t *out, const struct generation_notice *notice);
/* MALFORMED: length, ranges, what must be zero. */
TERN_CHECKED enum tern_err
generation_notice_decode(const uint8_t *bytes, uint32_t length, struct generation_notice *notice);

/* As text, for people: "2-0123abcd". */
#define GENERATION_TEXT_BYTES 16u
void generation_print(const struct generation *generation, char out[GENERATION_TEXT_BYTES]);
/* False: it is none. */
bool generation_parse(const char *text, struct generation *generation);

#endif
