/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sitting master, as replicas and the witness hear it: how long it may be silent before one of
 * them calls an election, or grants one. A node that shares its machine with others is silent now
 * and then because it was not scheduled; what lately was longest says what to expect of it. No rule
 * of safety rests on this: a voter may refuse for as long as it likes.
 */
#ifndef TERN_CORE_HEAR_H
#define TERN_CORE_HEAR_H

#include "dataplane/core/core_internal.h"

void hear_master(struct core *core, uint16_t master_id);
/* Sets anew when this node calls an election, unless it hears of somebody before. */
void hear_arm(struct core *core);
/* A silence that is no reason for an election, in ns. */
uint64_t hear_patience_ns(const struct core *core);
/* The master is not @candidate, and was heard within that patience. */
bool hear_lives(const struct core *core, uint16_t candidate);

#endif
