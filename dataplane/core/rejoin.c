/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that lost its storage and comes back under its old id (protocol section 11), up to the
 * point at which it is merely forgetful (memory.c).
 *
 * It does not know its term, its vote, its boot_no and the configuration. So it asks everybody, and
 * does nothing else, until all other voters have answered: what term they are in, durably, and the
 * highest boot_no that they heard of it. It then begins anew with the highest of these terms, with
 * its vote in it used up, and with a boot_no above all that were told; and above all that it can
 * have had, for others need not have answered: the runtime takes it from the clock (transfer.c).
 *
 * Why that is enough. Let t' be the highest term in which the node had voted for another, or had
 * acknowledged anything to a master M'. If M', or the candidate, is another node, it holds t'
 * durably, for terms are durable before they are used. If the node was M' itself, a quorum had
 * elected it, and with it at least one other voter, which holds t' durably. Terms never fall. So t'
 * is not above the highest term of all others, whenever they are asked after the loss; it gives no
 * further vote in that term, and none below it. That is what the proof in memory.c rests on.
 *
 * Who the voters are the answers say, and not the node file, which may be older than the last
 * change: those of the newest committed configuration that was named, and of all that were named as
 * behind one; and the witness says of its register whom it knows of, and what has to be named at
 * least. docs/decisions/rejoin-by-the-newest-configuration.md says why none is missed. A node
 * that forgot does not answer: it may not know of a configuration that it had helped to commit.
 *
 * One voter that is away keeps it waiting: nobody else may know of t'. Two that lost their storage
 * wait for each other: what they had promised together is not known any more.
 */
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/members.h"

/* A voter that the node file does not name is one that never answers. */
static uint64_t
rejoin_missing(const struct core *core)
{
	const struct core_rejoin *rejoin = &core->rejoin;
	uint64_t needed = core->voters, answered = rejoin->answered;

	if (rejoin->members.voters != 0)
		needed = members_voters(&rejoin->members);
	for (uint32_t i = 0; i < core->peer_count; i++)
		needed |= rejoin->next_voters[i];
	/* Somebody knows of one that the witness was told of. */
	if (rejoin->members.config_index < rejoin->told_index)
		needed |= core->config.known_nodes;
	/* With another witness than its node file's it would not start. */
	if (rejoin->members.voters != 0 && rejoin->members.witness_id != core->config.witness_id)
		needed |= core_bit(rejoin->members.witness_id);
	/* A register that was replaced does not know what its successor was told. */
	if (membership_has_witness(&rejoin->members) &&
	    rejoin->witness_gen != rejoin->members.witness_gen)
		answered &= ~core_bit(rejoin->members.witness_id);
	return needed & ~core_bit(core->config.node_id) & ~answered;
}

void
rejoin_begin(struct core *core)
{
	core->rejoin.nonce = prng_next(&core->prng);
	core->rejoin.ask_ns = core->now_ns;
}

/* Those that have answered are asked again: what they know of changes may be more by now. */
void
rejoin_poll(struct core *core)
{
	INVARIANT(core->config.is_rejoining && core->role == CORE_FOLLOWER);
	core->view.rejoin_missing = rejoin_missing(core);
	if (core->is_leaving || core->now_ns < core->rejoin.ask_ns)
		return;
	core->rejoin.ask_ns = core->now_ns + 4 * core->config.timers.heartbeat_ns;
	for (uint32_t i = 0; i < core->peer_count; i++)
		core_send(core, &core->peers[i], MSG_REJOIN)->rejoin.nonce = core->rejoin.nonce;
}

static enum tern_err
rejoin_take_members(struct core *core, const struct core_peer *peer,
		    const struct msg_rejoin_ack *ack)
{
	struct core_rejoin *rejoin = &core->rejoin;
	const struct membership members = {
		.config_index = ack->config_index,
		.voters = ack->voters,
		.learners = ack->learners,
		.witness_id = (uint16_t)ack->witness_id,
		.witness_gen = ack->witness_gen,
	};

	if (ack->voters == 0) {
		if (peer->is_witness && ack->config_index > rejoin->told_index)
			rejoin->told_index = ack->config_index;
		if (peer->is_witness)
			rejoin->witness_gen = ack->witness_gen;
		rejoin->next_voters[peer - core->peers] = ack->next_voters;
		return TERN_OK;
	}
	if (ack->witness_id > 63 || !membership_is_sound(&members))
		return TERN_ERR_MALFORMED;
	if (rejoin->members.voters == 0 || members.config_index > rejoin->members.config_index)
		rejoin->members = members;
	rejoin->next_voters[peer - core->peers] = ack->next_voters;
	return TERN_OK;
}

static enum tern_err
rejoin_answered(struct core *core, const struct core_peer *peer, const struct msg *msg)
{
	struct core_rejoin *rejoin = &core->rejoin;
	struct core_effect *effect;

	if (msg->rejoin_ack.nonce != rejoin->nonce || core->is_leaving)
		return TERN_OK;
	if (rejoin_take_members(core, peer, &msg->rejoin_ack) != TERN_OK)
		return TERN_ERR_MALFORMED;
	rejoin->answered |= core_bit(peer->id);
	if (msg->term > rejoin->term)
		rejoin->term = msg->term;
	if (msg->rejoin_ack.peer_boot_no > rejoin->boot_no)
		rejoin->boot_no = msg->rejoin_ack.peer_boot_no;
	if (rejoin->members.voters == 0 || rejoin_missing(core) != 0 ||
	    rejoin->members.config_index < rejoin->told_index || rejoin->boot_no == UINT32_MAX)
		return TERN_OK;
	core->is_leaving = true;
	effect = core_emit(core, CORE_EFFECT_REJOIN);
	effect->term = rejoin->term;
	effect->voted_for = core->config.node_id;
	effect->index = rejoin->boot_no;
	effect->members = rejoin->members;
	return TERN_OK;
}

static void
rejoin_tell_members(const struct core *core, struct msg_rejoin_ack *ack)
{
	const struct membership *members = &core->committed_members;

	/* The voters of its newest register, and that there is such a configuration, or a later
	 * one. */
	if (core->role == CORE_WITNESS) {
		ack->config_index = core->reg.config_index;
		ack->witness_gen = core->config.witness_gen;
		ack->next_voters = core->reg.rset;
		return;
	}
	if (members_is_guest(core))
		return;
	ack->config_index = members->config_index;
	ack->voters = members->voters;
	ack->learners = members->learners;
	ack->witness_id = members->witness_id;
	ack->witness_gen = members->witness_gen;
	if (core->members.config_index != members->config_index)
		ack->next_voters = members_voters(&core->members);
}

/* A witness that lost its register knows no term, and a node that asks itself knows none either. */
enum tern_err
rejoin_message(struct core *core, struct core_peer *peer, const struct msg *msg)
{
	struct msg *ack;

	INVARIANT(!core->is_meta_pending);
	if (msg->kind == MSG_REJOIN_ACK)
		return core->config.is_rejoining ? rejoin_answered(core, peer, msg) : TERN_OK;
	if (peer->is_witness)
		return TERN_ERR_MALFORMED;
	if (core->config.is_rejoining || core->config.is_amnesiac || core->is_forgetful ||
	    (core->role == CORE_WITNESS && core->config.witness_gen == 0))
		return TERN_OK;
	ack = core_send(core, peer, MSG_REJOIN_ACK);
	ack->rejoin_ack.nonce = msg->rejoin.nonce;
	ack->rejoin_ack.peer_boot_no = peer->heard_boot_no;
	rejoin_tell_members(core, &ack->rejoin_ack);
	return TERN_OK;
}
