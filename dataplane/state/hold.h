/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A committed position that is kept for readers beyond one view: every view that begins through a
 * hold shows the state at exactly that position.
 *
 * A hold is no RCU section: its owner may block, and the writer never waits for it. When the
 * versions that it keeps crowd the arena the writer takes it back, and views that would begin
 * through it are refused from then on; one that has begun stays whole.
 *
 * Limits: STATE_HOLDS_MAX of a state. A position can be taken as long as nothing of it was
 * reclaimed and it is one of the last STATE_PUBLISHED_KEPT; without a hold that is soon over where
 * keys are overwritten.
 *
 * Threads: any; a hold belongs to one.
 */
#ifndef TERN_STATE_HOLD_H
#define TERN_STATE_HOLD_H

#include "dataplane/state/state.h"

#ifdef TERN_TINY_LIMITS
#define STATE_HOLDS_MAX 2u
#else
#define STATE_HOLDS_MAX 8u
#endif

struct state_hold { /* the owner's; to be read only by hold.c */
	uint32_t place;
	uint64_t stamp, hash, key_count, time_ns, expiry_count;
};

/* Takes the committed position @log_index, 0: the newest one. On an error nothing is taken.
 * QUEUE_FULL: all are in use. BUSY: not committed here yet. NOT_FOUND: not kept here any more. */
TERN_CHECKED enum tern_err
state_hold_begin(struct state *state, uint64_t log_index, struct state_hold *hold);
void state_hold_end(struct state *state, struct state_hold *hold);
uint64_t state_hold_index(const struct state_hold *hold);

/* As state_read_begin, at the position of @hold; it ends by state_read_end. False: the writer has
 * taken the hold back, and no view is open. */
TERN_CHECKED bool state_read_begin_held(struct state_reader *reader, const struct state_hold *hold);

#endif
