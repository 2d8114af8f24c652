/* SPDX-License-Identifier: Apache-2.0 */
/* What makes the log durable: its write groups, in order; private to this room. */
#ifndef TERN_RUNTIME_PERSIST_H
#define TERN_RUNTIME_PERSIST_H

#include <stdbool.h>
#include <stdint.h>

struct runtime;

/* Starts what can be started, the superblock included (meta.h). True: there was something. */
bool persist_turn(struct runtime *rt);
/* The group in @slot is durable; @begin_ns: the low half of the time at which it was handed over.
 * Returns up to which block the log is now, which persist_tell is to be called with. */
uint64_t persist_group_done(struct runtime *rt, uint32_t slot, uint32_t begin_ns);
/* The core hears that the log is durable up to there. */
void persist_tell(struct runtime *rt, uint64_t durable_index);

#endif
