/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block that is asked for by (log_index, chain), of one data node after the other, a few units
 * at a time; and how parts of anything are asked for. Private to this room. A block is answered by
 * mend_source.c of whoever has it. What came is to be checked by whoever wanted it.
 */
#ifndef TERN_RUNTIME_WANT_H
#define TERN_RUNTIME_WANT_H

#include "dataplane/base/hash.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/part.h"

struct runtime;

struct block_want {
	uint64_t index;
	struct hash128 chain;
	uint8_t *end;       /* its bytes go in front of this */
	uint32_t pages_max; /* it has at most so many */
	uint32_t peer;      /* that is asked, by stream; kept from one block to the next */
	uint32_t pages;     /* 0: nothing came yet */
	uint32_t have_count;
	uint64_t have[(PART_BLOCK_UNITS_MAX + 63) / 64];
	uint64_t asked_ns, heard_ns; /* asked_ns 0: not yet */
	uint32_t asked_end;
};

/* Asks @node for units of a part. False: no frame was to be had, which is as good as lost. */
bool want_send(struct runtime *rt, uint16_t node, const struct part_ask *what);

void want_begin(struct block_want *want, uint64_t log_index, struct hash128 chain, uint8_t *end,
		uint32_t pages_max);
/* What came was not it: begins anew, with another peer. */
void want_again(struct runtime *rt, struct block_want *want);
/* Asks for what is missing, if it is time to. True: it did. */
bool want_ask(struct runtime *rt, struct block_want *want);
/* False: it is none of what was asked for. */
bool want_take(struct runtime *rt, struct block_want *want, const struct frame_hdr *hdr,
	       const struct part_hdr *part, const uint8_t *bytes);
bool want_is_whole(const struct block_want *want);
/* Something came lately. */
bool want_is_answered(const struct runtime *rt, const struct block_want *want);
/* UINT64_MAX: nothing was asked for. */
uint64_t want_deadline_ns(const struct runtime *rt, const struct block_want *want);

#endif
