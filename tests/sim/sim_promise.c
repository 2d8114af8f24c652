/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P10, at the only place where it can be seen: on the wire. A voter that restarts has forgotten
 * whom it promised to follow, so it grants nobody anything for a whole election timeout. No
 * history of blocks tells whether it did: durable votes, the log rule and the witness's register
 * prevent a loss without it, too, as long as nothing is answered on the strength of a lease.
 */
#include "dataplane/wire/frame.h"
#include "dataplane/wire/msg.h"
#include "tests/sim/sim.h"

void
sim_promise_sent(struct sim_node *from, const uint8_t *frame, uint32_t bytes)
{
	struct sim *sim = from->sim;
	const uint64_t now_ns = sim_local_ns(from, sim->now_ns);
	const uint64_t quiet_ns = sim->swarm.timers.elect_max_ns;
	struct frame_hdr hdr;
	struct msg msg;

	/* The first start of all has nothing to forget. */
	if (from->life != SIM_NODE_UP || from->incarnation <= 1 ||
	    now_ns >= from->core_start_ns + quiet_ns)
		return;
	if (frame_open(frame, bytes, &hdr) != TERN_OK || hdr.kind != FRAME_MESSAGE ||
	    msg_decode(frame + FRAME_HDR_BYTES, hdr.body_bytes, &msg) != TERN_OK ||
	    (msg.kind != MSG_VOTE_ACK && msg.kind != MSG_PREVOTE_ACK))
		return;
	/* A start that ended before its number was durable has promised nothing: this is the first
	 * again. */
	if (hdr.boot_no == 1)
		return;
	sim_count(sim, SIM_COUNT_votes_asked_in_quiet);
	if (msg.vote_ack.refusal == MSG_VOTE_GRANTED)
		sim_fail(sim, "P10",
			 "node %u grants a vote for term %llu %llu us after its start, and has to "
			 "be silent for %llu us",
			 from->id, (unsigned long long)msg.vote_ack.for_term,
			 (unsigned long long)((now_ns - from->core_start_ns) / SIM_US),
			 (unsigned long long)(quiet_ns / SIM_US));
}
