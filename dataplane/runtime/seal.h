/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of this node as master: the open one is closed, and the core takes it. Private to this
 * room. */
#ifndef TERN_RUNTIME_SEAL_H
#define TERN_RUNTIME_SEAL_H

#include "dataplane/base/err.h"
#include "dataplane/wire/page.h"

struct runtime;

/* Seals the open block (or a barrier) and reports it as APPENDED. */
enum tern_err seal_block(struct runtime *rt, enum block_kind kind);
/* Seals the barrier that is wanted; a GEN block that is due comes before it. */
TERN_CHECKED enum tern_err seal_barrier(struct runtime *rt);
/* For struct dispatch_handlers: the same, if one is wanted; it waits only while the ring is full.
 */
void seal_wanted_barrier(struct runtime *rt);

#endif
