/* SPDX-License-Identifier: Apache-2.0 */
/* What force.c and the other files of this room offer one another; private to it. */
#ifndef TERN_CORE_BYPASS_H
#define TERN_CORE_BYPASS_H

#include "dataplane/core/core_internal.h"
#include "dataplane/core/force.h"

/* The GEN block, which comes before the first barrier of a generation. */
bool force_is_gen(const struct core *core, const struct core_event *event);
/* A message of @peer came in: who is there, and what was said to be committed. */
void force_note(struct core *core, struct core_peer *peer, const struct msg *msg);
/* At the end of each step. */
void force_note_master(struct core *core);
/* BUSY: core_judge_force says why not. */
TERN_CHECKED enum tern_err force_take(struct core *core);
void force_superseded(struct core *core);

/* witness.c: as soon as no other write is under way. */
void witness_supersede(struct core *core);

#endif
