/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that lost its storage and comes back under its old id (protocol section 11), up to the
 * point at which it is merely forgetful (memory.c).
 *
 * It does not know its term, its vote and its boot_no. So it asks all other voters, and does
 * nothing else, until each has answered: what term they are in, durably, and the highest boot_no
 * that they heard of it. It then begins anew with the highest of these terms, with its vote in it
 * used up, and with a boot_no above all that were heard.
 *
 * Why that is enough. Let t' be the highest term in which the node had voted for another, or had
 * acknowledged anything to a master M'. If M', or the candidate, is another node, it holds t'
 * durably, for terms are durable before they are used. If the node was M' itself, a quorum had
 * elected it, and with it at least one other voter, which holds t' durably. Terms never fall. So t'
 * is not above the highest term of all others, whenever they are asked after the loss; it gives no
 * further vote in that term, and none below it. That is what the proof in memory.c rests on.
 *
 * One voter that is away keeps it waiting: nobody else may know of t'. Two that lost their storage
 * wait for each other: what they had promised together is not known any more.
 */
#include "dataplane/core/core_internal.h"

static uint64_t
rejoin_missing(const struct core *core)
{
	return core->voters & ~core_bit(core->config.node_id) & ~core->rejoin.answered;
}

void
rejoin_begin(struct core *core)
{
	core->rejoin.nonce = prng_next(&core->prng);
	core->rejoin.ask_ns = core->now_ns;
}

void
rejoin_poll(struct core *core)
{
	const uint64_t missing = rejoin_missing(core);

	INVARIANT(core->config.is_rejoining && core->role == CORE_FOLLOWER);
	core->view.rejoin_missing = missing;
	if (core->is_leaving || core->now_ns < core->rejoin.ask_ns)
		return;
	core->rejoin.ask_ns = core->now_ns + 4 * core->config.timers.heartbeat_ns;
	for (uint32_t i = 0; i < core->peer_count; i++)
		if ((missing & core_bit(core->peers[i].id)) != 0)
			core_send(core, &core->peers[i], MSG_REJOIN)->rejoin.nonce =
			    core->rejoin.nonce;
}

static void
rejoin_answered(struct core *core, const struct core_peer *peer, const struct msg *msg)
{
	struct core_effect *effect;

	if (msg->rejoin_ack.nonce != core->rejoin.nonce || core->is_leaving)
		return;
	core->rejoin.answered |= core_bit(peer->id);
	if (msg->term > core->rejoin.term)
		core->rejoin.term = msg->term;
	if (msg->rejoin_ack.peer_boot_no > core->rejoin.boot_no)
		core->rejoin.boot_no = msg->rejoin_ack.peer_boot_no;
	if (rejoin_missing(core) != 0 || core->rejoin.boot_no == UINT32_MAX)
		return;
	core->is_leaving = true;
	effect = core_emit(core, CORE_EFFECT_REJOIN);
	effect->term = core->rejoin.term;
	effect->voted_for = core->config.node_id;
	effect->index = core->rejoin.boot_no;
}

/* A witness that lost its register knows no term, and a node that asks itself knows none either. */
enum tern_err
rejoin_message(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	struct msg *ack;

	INVARIANT(!core->is_meta_pending);
	if (msg->kind == MSG_REJOIN_ACK) {
		if (core->config.is_rejoining)
			rejoin_answered(core, peer, msg);
		return TERN_OK;
	}
	if (peer->is_witness)
		return TERN_ERR_MALFORMED;
	if (core->config.is_rejoining || core->config.is_amnesiac)
		return TERN_OK;
	ack = core_send(core, peer, MSG_REJOIN_ACK);
	ack->rejoin_ack.nonce = msg->rejoin.nonce;
	ack->rejoin_ack.peer_boot_no = peer->heard_boot_no;
	return TERN_OK;
}
