/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write groups that lie in the log area, and the cells that the log may take; private to this
 * room. The table is a ring in struct healer, whose walks go through it: from the scan of the
 * boot, and from when groups are written, until their cells are released.
 */
#ifndef TERN_RUNTIME_GROUPS_H
#define TERN_RUNTIME_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/stripe/store.h"

struct runtime;

/* Cells that the log may take for sure. */
uint64_t groups_room(const struct runtime *rt);
/* A group lies in the area. */
void groups_note(struct runtime *rt, struct stripe_address address, bool is_torn);
/* Cells before @cell are not needed any more: it is durable that the log begins there. They go at
 * once, or when what is being repaired is done (hold.h). */
void groups_release(struct runtime *rt, uint64_t cell);
/* What waited for a write that is over. */
void groups_release_held(struct runtime *rt);

#endif
