/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases (protocol section 9): for a time a master may answer reads without a round, because a
 * quorum of voters has promised to help nobody else to be elected; and that promise.
 *
 * A lease counts from when the heartbeat left that was answered, on the master's clock, and is
 * shorter than the promise by twice the drift. A promise counts from the first reading of the
 * voter's clock after it was given, and outlives terms: only a hand-over is exempt from it, and who
 * has offered one takes no lease in that term any more.
 *
 * Spans are in nanoseconds of the node's own clock. Private to this room; thread as in core.h.
 */
#ifndef TERN_CORE_LEASE_H
#define TERN_CORE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/core.h"

struct core_lease {
	/* As voter. */
	uint16_t promised_id; /* to this master; 0: to nobody */
	bool is_given;        /* in this step: it counts from the next reading of the clock */
	uint64_t promised_until_ns;
	/* As master. */
	bool has_offered;                 /* TRANSFER_NOW, in this term */
	uint64_t since_round;             /* answers to rounds up to this one count for no lease */
	uint64_t ends_ns[CORE_NODES_MAX]; /* by peer: what its answers are good for; 0: nothing */
};

/* The voter answers a heartbeat of @master_id that asks for a promise. Returns promise_units. */
uint32_t lease_promise(struct core *core, uint16_t master_id);
/* What was promised before the clock was read as @now_ns counts from now on. */
void lease_pass_time(struct core *core, uint64_t now_ns);
/* This voter may not help @candidate, which may be itself. */
bool lease_binds(const struct core *core, uint16_t candidate);

/* This node has become master. */
void lease_begin(struct core *core);
/* The master's configuration has changed: who promised before may be another one by now. */
void lease_forget(struct core *core);
/* peers[at] has answered a round of this term. */
void lease_answered(struct core *core, uint32_t at, const struct msg_heartbeat_ack *ack);
/* Until when this node may answer reads without a round; 0: it may not. */
uint64_t lease_until_ns(const struct core *core);

#endif
