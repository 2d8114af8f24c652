/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node's log has lost, as far as others here have to know; private to this room. A start
 * finds holes (repair.c makes the best of them, mend.c fills them); a running node finds blocks
 * that it cannot read (refill.c looks for them elsewhere), and what nobody has is noted here.
 */
#ifndef TERN_RUNTIME_LOSS_H
#define TERN_RUNTIME_LOSS_H

#include <stdbool.h>
#include <stdint.h>

struct runtime;

struct loss {
	uint64_t index; /* cannot be read and is applied: a checkpoint takes its place. 0: none */
	bool is_restart_wanted;
};

/* There are other voters: they, or their successors, hold what this node may have acknowledged. */
bool loss_has_helpers(const struct runtime *rt);
/* The log is whole, or the superblock says that it was not: blocks may be taken. */
bool loss_is_settled(const struct runtime *rt);
/* There are holes that others may fill. */
bool loss_has_holes(const struct runtime *rt);
/* Somebody may still fill a hole, or one is being written to: a master has to wait. */
bool loss_is_mendable(const struct runtime *rt);
/* Nobody has block @log_index, which cannot be read here. @is_needed: somebody reads it. */
void loss_note(struct runtime *rt, uint64_t log_index, bool is_needed);
/* A block of the log is lost, so nobody is given the log that it is in. */
bool loss_is_in_log(const struct runtime *rt);
/* The log begins at @base_index now. */
void loss_reclaimed(struct runtime *rt, uint64_t base_index);
/* The node ends this incarnation, to find its log damaged. */
bool loss_turn(struct runtime *rt);

#endif
