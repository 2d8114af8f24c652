/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of a log that falls idle (protocol section 11); private to this room. Write groups say
 * what was durable before them, so the last ones are covered by none: rot of the newest page would
 * be taken for a write that was cut short. Once nothing has been written for a while the superblock
 * says what is durable, and behind which group: for the scan that is a floor as if the next group
 * had carried it, and it is given up like those with a tail that is cut.
 */
#ifndef TERN_RUNTIME_FLOOR_H
#define TERN_RUNTIME_FLOOR_H

#include <stdint.h>

struct runtime;

struct floor {
	uint64_t told_index; /* by a group or the superblock */
	uint64_t written_ns; /* when a group became durable last */
};

/* The log is about to be scanned, and was. */
void floor_boot_begin(struct runtime *rt);
void floor_boot_end(struct runtime *rt);
/* A group that carries @acked_floor is written; one is durable. */
void floor_group_begun(struct runtime *rt, uint64_t acked_floor);
void floor_group_done(struct runtime *rt);
/* The log was cut to @keep_index. */
void floor_cut(struct runtime *rt, uint64_t keep_index);
/* The log begins anew, or this node has forgotten what it had: nothing is said. */
void floor_drop(struct runtime *rt);
/* Says so in the superblock, if it is time. */
void floor_turn(struct runtime *rt);
uint64_t floor_deadline_ns(const struct runtime *rt);

#endif
