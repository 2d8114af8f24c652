/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state as a stream of records (wire/checkpoint.h), and back: keys in byte order, sessions by
 * client_id, the end. The stream holds all that later replies can depend on, so a machine that was
 * restored answers, hashes and writes checkpoints as the one that it came from.
 *
 * Writing holds a registered position, which is a committed one: versions that it needs are kept as
 * for a view, without a view of a reader's or a pointer between two calls. When they crowd the
 * arena it is ended as any view is, and its owner begins again later. One at a time.
 *
 * Thread: the writer's. Pure.
 */
#ifndef TERN_STATE_CHECKPOINT_H
#define TERN_STATE_CHECKPOINT_H

#include "dataplane/state/state.h"
#include "dataplane/wire/checkpoint.h"

/* Registers the committed position. @image: what the header says of it. */
void state_checkpoint_begin(struct state *state, struct checkpoint_state *image);
/* The next up to @bytes_max bytes of the stream to @out, looking at no more than @entries_max keys
 * and sessions. Returns how many; 0 also when all that it looked at was not there at the position.
 * @is_done: that was the end. Not after the position was ended (INVARIANT). */
uint32_t state_checkpoint_next(struct state *state, uint8_t *out, uint32_t bytes_max,
			       uint32_t entries_max, bool *is_done);
bool state_checkpoint_is_begun(const struct state *state);
/* The position holds too much memory: end it. */
bool state_checkpoint_is_ended(const struct state *state);
void state_checkpoint_end(struct state *state);

/* Restores into a machine that never applied anything (INVARIANT): begin, bytes in order, in pieces
 * of any length, finish. Readers see nothing of it before finish, which publishes and commits
 * @log_index. CONFIG: more than this machine has room for (it does not fit). CORRUPT: what the
 * stream or @image says cannot be; the machine is then of no use any more. */
bool state_restore_fits(const struct state *state, const struct checkpoint_state *image);
TERN_CHECKED enum tern_err
state_restore_begin(struct state *state, uint64_t log_index, const struct checkpoint_state *image);
TERN_CHECKED enum tern_err
state_restore_bytes(struct state *state, const uint8_t *bytes, uint32_t count);
TERN_CHECKED enum tern_err state_restore_finish(struct state *state);

#endif
