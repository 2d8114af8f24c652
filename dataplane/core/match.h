/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of this node's log is known to be its master's, and what it acknowledges of that
 * (protocol section 7): nothing before the whole log is a prefix of the master's in this very term.
 * A tail that is of another history is cut, on evidence only. Private to this room.
 */
#ifndef TERN_CORE_MATCH_H
#define TERN_CORE_MATCH_H

#include "dataplane/core/core_internal.h"

/* What was compared in this term counts no more: no blocks are taken before it is compared anew. */
void match_forget(struct core *core);
uint64_t match_durable(const struct core *core);
/* An acknowledgement to @peer, its indexes filled in. Lends the result until the next effect. */
struct msg_append_ack *
match_ack(struct core *core, const struct core_peer *peer, enum msg_append_status status);
/* To the master, if one is known. Matched only (INVARIANT). */
void match_send_progress(struct core *core);
/* The block at @prev_index, of @peer's probe, is not the one of this log, or not there. */
void match_conflict(struct core *core, const struct core_peer *peer, uint64_t prev_index);
void match_accept(struct core *core, const struct core_peer *peer, uint64_t probe_index);
/* By what @peer said: this log holds a block after @prev_index (INVARIANT), which is another one.
 */
void match_cut(struct core *core, const struct core_peer *peer, uint64_t prev_index);
/* The CUT effect is done. MALFORMED: none was under way to @index. */
TERN_CHECKED enum tern_err match_cut_done(struct core *core, uint64_t index);

#endif
