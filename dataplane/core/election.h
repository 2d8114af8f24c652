/* SPDX-License-Identifier: Apache-2.0 */
/* Elections among data nodes: timeouts, PREVOTE and VOTE on both sides (protocol sections 5, 7). */
#ifndef TERN_CORE_ELECTION_H
#define TERN_CORE_ELECTION_H

#include "dataplane/core/core_internal.h"

void election_poll(struct core *core);
void election_meta_durable(struct core *core);
TERN_CHECKED enum tern_err
election_request(struct core *core, struct core_peer *peer, const struct msg *msg);
/* The same while a term is being written: refused by the log, or no answer. */
void election_request_early(struct core *core, const struct core_peer *peer, const struct msg *msg);
void election_farewell(struct core *core, const struct core_peer *peer);
/* TRANSFER_NOW: the master wants this node to be elected in its place, at once. */
void election_hand_over(struct core *core, const struct core_peer *peer, const struct msg *msg);
void election_answer(struct core *core, struct core_peer *peer, const struct msg *msg);

#endif
