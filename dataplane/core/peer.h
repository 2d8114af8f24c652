/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other nodes: one by its id, and, on a master, which of them may be counted on. What a replica
 * thinks of its master is in hear.h. Spans are in nanoseconds of this node's clock. Private to this
 * room.
 */
#ifndef TERN_CORE_PEER_H
#define TERN_CORE_PEER_H

#include "dataplane/core/core_internal.h"

/* NULL: there is none, or it is this node. Lends the result for as long as the core lives. */
struct core_peer *core_peer(struct core *core, uint16_t node_id);

bool peer_is_silent(const struct core *core, const struct core_peer *peer, uint64_t span_ns);
uint64_t peer_patience_ns(const struct core *core, const struct core_peer *peer);
/* Silent for longer than that. */
bool peer_has_lost_contact(const struct core *core, const struct core_peer *peer);
bool peer_is_late(const struct core *core, const struct core_peer *peer);
/* Silent, late, or its log is gone: not to be counted on. */
bool peer_is_lost(const struct core *core, const struct core_peer *peer);

#endif
