/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblock of a running node: term and vote, which somebody waits for, go first; then, in one
 * write, all else that is new in it. Whoever has something new in it (checkpoint.h, reclaim.h,
 * transfer.h, repair.h) is told when the write begins, and when it is durable. Private to this
 * room.
 */
#ifndef TERN_RUNTIME_META_H
#define TERN_RUNTIME_META_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/runtime/limits.h"

struct core_effect;
struct runtime;

struct pending_meta {
	uint64_t op_id, term;
	uint16_t voted_for;
};

struct meta_writer {
	struct pending_meta queue[RUNTIME_METAS_MAX];
	uint32_t head, count;
	bool
	    is_dirty; /* rt->superblock says what none that was begun does, besides term and vote */
	bool is_writing;
	bool is_news; /* the one being written is for that, or for a transfer */
};

/* PERSIST_META: a term and a vote are to be written, in this order. */
void meta_queue(struct runtime *rt, const struct core_effect *effect);
/* Begins the next write, if something is to be written and none is under way. True: it did. */
bool meta_turn(struct runtime *rt);
/* The write under way is durable. */
void meta_on_completion(struct runtime *rt);

#endif
