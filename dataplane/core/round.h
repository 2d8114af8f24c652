/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds of heartbeats: the master sends one to all, and who has answered it knew of no later term
 * when it did (protocol sections 6, 9). They say how the peers are, and until when this node is
 * known to be the only master. As master only. Times are in nanoseconds of this node's clock, 0:
 * never. Private to this room.
 */
#ifndef TERN_CORE_ROUND_H
#define TERN_CORE_ROUND_H

#include "dataplane/core/core_internal.h"

void round_start(struct core *core);
/* HEARTBEAT_ACK of this term. MALFORMED: of no round that was sent. STALE_TERM: of a former
 * incarnation of the peer. */
TERN_CHECKED enum tern_err
round_answered(struct core *core, struct core_peer *peer, const struct msg *msg);
/* By a quorum, that round or a later one. */
bool round_is_answered(const struct core *core, uint64_t round);
/* When the newest round that a quorum has answered was sent; 0: there was none. */
uint64_t round_confirmed_ns(const struct core *core);

#endif
