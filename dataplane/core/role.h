/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of term and role, as every other file may bring them about: what a role that ends leaves
 * behind, and that a term is written before anybody hears of it. How a node becomes a candidate is
 * in election.c, how one becomes master in master.c. Private to this room.
 */
#ifndef TERN_CORE_ROLE_H
#define TERN_CORE_ROLE_H

#include "dataplane/core/core_internal.h"

/* Writes term and voted_for; one write at a time (INVARIANT). */
void role_persist_meta(struct core *core);
/* A message of a higher term: takes it, stops being anything, writes it with the vote. */
void role_adopt_term(struct core *core, uint64_t term, uint16_t voted_for);
/* Master (INVARIANT): it is one no more. Reads fail, streams end. */
void role_step_down(struct core *core);
/* This node leads and follows nobody any more, and what it was about to answer is not said. The
 * caller notes why, which keeps it so. */
void role_fall_silent(struct core *core);

#endif
