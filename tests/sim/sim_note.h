/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk that a node boots from, with its pool note, for pools with k <= m. A write is slow now
 * and then, may fail, and leaves the old note or the new one at a crash. Before a start the note
 * may be lost, torn, or an old copy; devices may have gone while the node was stopped; and those
 * that were left behind may be all that is there, which has to be refused, whatever the note is.
 * All of it is drawn from a generator of its own.
 */
#ifndef TERN_TESTS_SIM_SIM_NOTE_H
#define TERN_TESTS_SIM_SIM_NOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/prng.h"
#include "hw/seam/note_ops.h"

#define SIM_NOTES_KEPT 64u

struct sim;
struct sim_node;
struct runtime_config;

struct sim_note {
	struct sim_node *node;
	struct prng prng;
	enum tern_err err; /* of @there */
	struct pool_note there, flight;
	struct pool_note old[SIM_NOTES_KEPT]; /* by the number of the start */
	enum { SIM_NOTE_IDLE = 0, SIM_NOTE_FLYING, SIM_NOTE_DONE } state;
	enum tern_err result;
	bool is_failing;          /* every write fails, until somebody repairs it */
	bool is_spoiled;          /* what is there is not what was written last */
	bool is_half, wants_half; /* only what was left behind is there; at the next start */
	uint32_t away;            /* devices that are hidden for that */
	enum tern_err kept_err;   /* what is put back afterwards */
	struct pool_note kept;
	uint32_t failed; /* devices that were recorded when the node was looked at last */
};

extern const struct note_ops sim_note_ops;
void sim_note_init(struct sim_node *node);
/* Before a start, and what the node is told of the note. */
void sim_note_start(struct sim_node *node);
void sim_note_configure(struct sim_node *node, struct runtime_config *config);
void sim_note_complete(struct sim_note *note);
void sim_note_crash(struct sim_node *node);
/* The storage was made anew. */
void sim_note_forget(struct sim_node *node);
/* The start has ended: true: it was refused, as it had to be, and the next one is to begin. */
bool sim_note_refused(struct sim_node *node, bool is_ready);
/* So few devices were there that the others may have gone on, and no note that knew better. */
bool sim_note_is_stale(struct sim_node *node);
/* After every turn. True: the node is to be crashed, and started at once. */
bool sim_note_turn(struct sim_node *node);
/* The disk is repaired. */
void sim_note_heal(struct sim_node *node);

#endif
