/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What elections rest on, as it can be seen on the wire: whoever becomes master of a term was
 * granted votes in it that are a quorum of every configuration that it goes by (I14). And of the
 * witness: at an equal position it grants only with a vote of those that its register names (I8).
 */
#include "dataplane/wire/frame.h"
#include "dataplane/wire/msg.h"
#include "tests/sim/sim.h"

#define TERMS 8u /* of one candidate, that its votes are kept of */

struct sim_votes {
	struct {
		uint64_t term, nodes; /* mask */
	} of[SIM_DATA_MAX][TERMS];
};

static unsigned long long
llu(uint64_t value)
{
	return value;
}

void
sim_votes_create(struct sim *sim)
{
	sim->votes = sim_take(sizeof(*sim->votes));
}

static uint64_t *
votes_of(struct sim *sim, const struct sim_node *candidate, uint64_t term)
{
	const uint32_t at = (uint32_t)(term % TERMS);

	if (sim->votes->of[candidate->index][at].term != term) {
		sim->votes->of[candidate->index][at].term = term;
		sim->votes->of[candidate->index][at].nodes = UINT64_C(1) << candidate->id;
	}
	return &sim->votes->of[candidate->index][at].nodes;
}

/* The witness has granted it. */
static void
check_witness(struct sim *sim, const struct sim_node *witness, const struct sim_node *candidate,
	      uint64_t term)
{
	const struct witness_register *reg = &witness->reg.durable;
	const struct core_view *view = &candidate->view;
	const uint64_t named = reg->rset & sim_data_mask(sim);

	if ((sim->options.topology != SIM_TOPOLOGY_JOINT &&
	     sim->options.topology != SIM_TOPOLOGY_EXCHANGE) ||
	    candidate->life != SIM_NODE_UP || view->role != CORE_CANDIDATE || view->term != term ||
	    reg->last_term == 0 || view->last_term != reg->last_term ||
	    view->last_epoch != reg->last_epoch)
		return;
	if ((*votes_of(sim, candidate, term) & named) == 0)
		sim_fail(
		    sim, "I8",
		    "the witness grants node %u term %llu at the position that it holds itself, "
		    "(%llu,%u) rset %llx, and none of those voted for it",
		    candidate->id, llu(term), llu(reg->last_term), reg->last_epoch, llu(reg->rset));
}

void
sim_votes_sent(struct sim *sim, uint32_t from, uint32_t to, const uint8_t *frame, uint32_t bytes)
{
	struct frame_hdr hdr;
	struct msg msg;

	if (!sim_node_is_data(&sim->nodes[to]) || bytes <= FRAME_HDR_BYTES ||
	    frame[FRAME_HDR_BYTES] != MSG_VOTE_ACK)
		return;
	if (frame_open(frame, bytes, &hdr) != TERN_OK || hdr.kind != FRAME_MESSAGE ||
	    msg_decode(frame + FRAME_HDR_BYTES, hdr.body_bytes, &msg) != TERN_OK ||
	    msg.kind != MSG_VOTE_ACK || msg.vote_ack.refusal != MSG_VOTE_GRANTED)
		return;
	if (!sim_node_is_data(&sim->nodes[from]))
		check_witness(sim, &sim->nodes[from], &sim->nodes[to], msg.vote_ack.for_term);
	*votes_of(sim, &sim->nodes[to], msg.vote_ack.for_term) |= UINT64_C(1)
								  << sim->nodes[from].id;
}

static void
check_quorum(struct sim_node *node, const struct membership *members)
{
	const uint64_t witness =
	    membership_has_witness(members) ? UINT64_C(1) << members->witness_id : 0;
	const uint64_t voters = members->voters | witness;
	const uint64_t votes = *votes_of(node->sim, node, node->view.term);

	if (sim_bits(votes & voters) < sim_bits(voters) / 2 + 1)
		sim_fail(
		    node->sim, "I14",
		    "node %u is master of term %llu with votes %llx; configuration %llu has the "
		    "voters %llx",
		    node->id, llu(node->view.term), llu(votes), llu(members->config_index),
		    llu(voters));
}

void
sim_votes_turn(struct sim_node *node)
{
	const struct core_view *view = &node->view, *before = &node->before;

	if (view->role != CORE_MASTER ||
	    (before->role == CORE_MASTER && before->term == view->term))
		return;
	check_quorum(node, &view->members);
	/* A step of the witness is a change of one vote, and not joint. */
	if (view->is_joint)
		check_quorum(node, &view->committed_members);
}
