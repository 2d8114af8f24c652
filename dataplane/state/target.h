/* SPDX-License-Identifier: Apache-2.0 */
/* A key as a command meets it: what it holds, what it is charged for, and the ways to change it.
 * Owner: the state's writer. */
#ifndef TERN_STATE_TARGET_H
#define TERN_STATE_TARGET_H

#include "dataplane/state/state_internal.h"

struct target {
	struct command_arg key;
	uint64_t hash;
	struct entry *entry;     /* NULL: never seen, or reclaimed */
	struct version *version; /* NULL: no live value */
};

/* The key that @command names, or the first one: it has one (INVARIANT). */
struct command_arg target_key(const struct command *command);
/* A key that has expired by the time of the block is ended here, and is absent. */
struct target target_of(struct state *state, struct state_position at, struct command_arg key);
/* 0: never, or no key. */
uint64_t target_expires_ns(const struct target *target);
/* What the logical size grows by when @target becomes @value; 0 when it shrinks. */
uint64_t target_growth(const struct target *target, const struct value *value);
/* False: over the capacity, and @reply says so. */
bool target_has_capacity(struct state *state, uint64_t growth, struct reply *reply);
void target_put(struct state *state, const struct target *target, struct state_position at,
		const struct value *value);
/* @target is live (INVARIANT). */
void target_end(struct state *state, const struct target *target, struct state_position at);
/* Answers what @target held before the command. The bytes stay where they are until the writer's
 * next call, if whatever replaces them is put with keeps_old. */
void target_lend(const struct target *target, struct reply *reply);

/* apply_op.c: any operation but those of sessions and MULTI, and what has expired before it. */
void apply_op(struct state *state, struct state_position at, const struct command *command,
	      struct reply *reply);

/* apply_multi.c */
void apply_multi(struct state *state, struct state_position at, const struct command *command,
		 struct reply *reply);

/* apply_expiry.c */
void apply_expire(struct state *state, struct state_position at, const struct command *command,
		  struct reply *reply);
void apply_persist(struct state *state, struct state_position at, const struct command *command,
		   struct reply *reply);
/* The expiry that an argument of @command means, by its flags and the time of the block; 0: it has
 * passed. */
uint64_t
expiry_of(const struct state *state, const struct command *command, struct command_arg arg);
/* Ends keys that have expired, in order of (expiry, key), at most @keys_max. Returns how many. */
uint32_t expiry_turn(struct state *state, struct state_position at, uint32_t keys_max);

/* apply_integer.c */
void apply_add(struct state *state, struct state_position at, const struct command *command,
	       struct reply *reply);

#endif
