/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that other nodes do not have, named on the divergent ring (struct divergent_record) for
 * whoever saves them; private to this room. */
#ifndef TERN_RUNTIME_DIVERGENT_H
#define TERN_RUNTIME_DIVERGENT_H

#include <stdbool.h>
#include <stdint.h>

struct runtime;

/* Names the blocks from *@next to @last, as cut in @cut_term, and moves *@next on. False: the ring
 * is full, call again. */
bool divergent_export(struct runtime *rt, uint64_t *next, uint64_t last, uint64_t cut_term);

#endif
