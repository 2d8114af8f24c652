/* SPDX-License-Identifier: Apache-2.0 */
/* Elections among data nodes: timeouts, PREVOTE and VOTE on both sides (protocol sections 5, 7). */
#ifndef TERN_CORE_ELECTION_H
#define TERN_CORE_ELECTION_H

#include "dataplane/core/core_internal.h"

void election_arm(struct core *core);
bool election_is_able(const struct core *core);
void election_poll(struct core *core);
void election_begin_vote(struct core *core, bool is_hand_over);
void election_meta_durable(struct core *core);
TERN_CHECKED enum tern_err
election_request(struct core *core, struct core_peer *peer, const struct msg *msg);
/* The same while a term is being written: refused by the log, or no answer. */
void election_request_early(struct core *core, const struct core_peer *peer, const struct msg *msg);
void election_farewell(struct core *core, const struct core_peer *peer);
void election_answer(struct core *core, struct core_peer *peer, const struct msg *msg);

#endif
