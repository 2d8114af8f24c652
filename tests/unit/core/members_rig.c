/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/members_rig.h"

struct core_config
members_config_of(struct rig *rig, uint16_t self)
{
	struct core_config config = rig_config_of(rig);

	config.node_id = self;
	config.known_nodes = 1u << SELF | 1u << PEER | 1u << GUEST;
	config.term = 1;
	return config;
}

struct membership
members_of(uint64_t index, uint64_t learners)
{
	return (struct membership){ .config_index = index,
				    .voters = 1u << SELF | 1u << PEER,
				    .learners = learners,
				    .witness_id = WITNESS,
				    .witness_gen = 1 };
}

enum tern_err
members_append(struct rig *rig, enum block_kind kind, const struct membership *next,
	       const struct membership *before)
{
	const struct core_view *view = core_view(rig->core);
	const uint64_t index = view->last_index + 1;

	return rig_step(rig, (struct core_event){ .kind = CORE_EVENT_APPENDED,
						  .block = { index, view->term, view->epoch, kind,
							     rig_chain_of(index, view->term) },
						  .next = next,
						  .before = before });
}

void
members_answer(struct rig *rig, uint16_t sender, enum msg_append_status status,
	       uint64_t probe_index, uint64_t index)
{
	const struct msg ack = { .kind = MSG_APPEND_ACK,
				 .sender = sender,
				 .boot_no = 1,
				 .term = 2,
				 .append_ack = { .status = status,
						 .probe_index = probe_index,
						 .received_index = index,
						 .durable_index = index,
						 .last_index = index } };

	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
}

void
members_answer_round(struct rig *rig, uint16_t sender)
{
	const struct msg *beat = rig_sent(rig, MSG_HEARTBEAT);
	struct msg ack = { .kind = MSG_HEARTBEAT_ACK, .sender = sender, .boot_no = 1, .term = 2 };

	assert_non_null(beat);
	ack.heartbeat_ack.round = beat->heartbeat.round;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
}

/* Until a round begins. */
void
members_beat(struct rig *rig)
{
	do
		rig_tick(rig, MS);
	while (rig_sent(rig, MSG_HEARTBEAT) == NULL);
}

static struct rig *
master_of(uint32_t lease_drift_ppm, uint64_t late_ns)
{
	struct rig *rig = rig_new();
	struct core_config config = members_config_of(rig, SELF);
	struct msg ack = { .kind = MSG_PREVOTE_ACK, .sender = PEER, .boot_no = 1, .term = 1 };

	config.timers.has_leases = lease_drift_ppm != 0;
	config.timers.clock_drift_ppm = lease_drift_ppm;
	if (late_ns != 0)
		config.timers.late_ns = late_ns;
	rig_start(rig, &config);
	for (int i = 0; i < 100 && rig_sent(rig, MSG_PREVOTE) == NULL; i++)
		rig_tick(rig, MS);
	ack.vote_ack.for_term = 2;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	rig_persist(rig);
	ack.kind = MSG_VOTE_ACK;
	ack.term = 2;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	members_answer_round(rig, PEER);
	assert_int_equal(members_append(rig, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	members_answer(rig, PEER, MSG_APPEND_MATCHED, 0, 0);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_DUPLEX);
	return rig;
}

/* Of term 2, its barrier is block 1; PEER is matched and has said that it forgot nothing. */
struct rig *
members_master_unserving(void)
{
	return master_of(0, 0);
}

struct rig *
members_master_with_leases(uint32_t drift_ppm)
{
	return master_of(drift_ppm, 0);
}

void
members_durable(struct rig *rig, uint64_t index)
{
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_DURABLE, .index = index }),
	    TERN_OK);
}

void
members_commit_blocks(struct rig *rig, uint64_t index)
{
	members_durable(rig, index);
	members_answer(rig, PEER, MSG_APPEND_PROGRESS, 0, index);
	assert_int_equal(core_view(rig->core)->commit_index, index);
}

struct rig *
members_master_that_waits(uint64_t late_ns)
{
	struct rig *rig = master_of(0, late_ns);

	members_commit_blocks(rig, 1);
	return rig;
}

struct rig *
members_master(void)
{
	struct rig *rig = members_master_unserving();

	members_commit_blocks(rig, 1);
	assert_true(core_view(rig->core)->is_serving);
	return rig;
}

bool
members_is_sent_to(const struct rig *rig, uint16_t node, enum msg_kind kind)
{
	for (uint32_t i = 0; i < rig->effects.count; i++) {
		const struct core_effect *effect = &rig->effects.list[i];
		if (effect->kind == CORE_EFFECT_SEND && effect->node == node &&
		    effect->msg.kind == kind)
			return true;
	}
	return false;
}

enum msg_vote_refusal
members_asked(struct rig *rig, uint64_t granted, uint64_t last_term, uint32_t last_epoch)
{
	struct msg vote = rig_vote(MSG_PREVOTE, PEER, 2, 9, last_term, 7);

	vote.vote.votes_granted = granted;
	vote.vote.last_epoch = last_epoch;
	rig_tick(rig, 200 * MS);
	assert_int_equal(rig_deliver(rig, vote), TERN_OK);
	return rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.refusal;
}

bool
members_is_taken(struct rig *rig, enum msg_register_what what, uint32_t epoch, uint64_t rset,
		 uint64_t config_index)
{
	const struct msg request = { .kind = MSG_REGISTER,
				     .sender = SELF,
				     .boot_no = 1,
				     .term = 2,
				     .register_ = { .what = what,
						    .witness_gen = 1,
						    .epoch = epoch,
						    .rset = rset,
						    .config_index = config_index,
						    .config_chain = { config_index, 5 } } };

	assert_int_equal(rig_deliver(rig, request), TERN_OK);
	if (rig_effect_of(rig, CORE_EFFECT_PERSIST_REGISTER) != NULL)
		rig_persist(rig);
	return rig_sent(rig, MSG_REGISTER_ACK) != NULL &&
	       rig_sent(rig, MSG_REGISTER_ACK)->register_ack.is_accepted;
}
