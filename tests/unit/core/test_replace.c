/* SPDX-License-Identifier: Apache-2.0 */
/* One witness in the place of another: single steps. */
#include "tests/unit/core/members_rig.h"

static struct membership
generation(uint64_t index, uint32_t witness_gen)
{
	struct membership next = members_of(index, 0);

	next.witness_gen = witness_gen;
	return next;
}

static void
answer_entry(struct rig *rig, uint32_t boot_no, uint32_t epoch, uint64_t config_index,
	     bool is_accepted)
{
	const struct msg ack = { .kind = MSG_REGISTER_ACK,
				 .sender = WITNESS,
				 .boot_no = boot_no,
				 .term = 2,
				 .register_ack = { .what = MSG_REGISTER_ENTER,
						   .epoch = epoch,
						   .is_accepted = is_accepted,
						   .rset = 1u << SELF | 1u << PEER,
						   .config_index = config_index } };

	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
}

static const struct msg_register *
entry_asked(struct rig *rig)
{
	rig->effects.count = 0;
	for (int i = 0; i < 10 && rig_sent(rig, MSG_REGISTER) == NULL; i++)
		rig_tick(rig, MS);
	assert_non_null(rig_sent(rig, MSG_REGISTER));
	return &rig_sent(rig, MSG_REGISTER)->register_;
}

static uint32_t
beat_to(const struct rig *rig, uint16_t node)
{
	for (uint32_t i = 0; i < rig->effects.count; i++) {
		const struct core_effect *effect = &rig->effects.list[i];
		if (effect->kind == CORE_EFFECT_SEND && effect->node == node &&
		    effect->msg.kind == MSG_HEARTBEAT)
			return effect->msg.heartbeat.witness_gen;
	}
	return UINT32_MAX;
}

static void
test_a_witness_is_replaced_in_two_steps(void **state)
{
	const struct membership birth = generation(0, 1), in = generation(4, 2);
	const struct membership out = generation(2, 2 | MEMBERSHIP_WITNESS_OUT);
	const struct membership again = generation(4, 3 | MEMBERSHIP_WITNESS_OUT);
	const struct membership skipped = generation(2, 3 | MEMBERSHIP_WITNESS_OUT);
	struct membership two_changes = out;
	struct rig *rig = members_master_unserving();

	(void)state;
	assert_int_equal(core_judge_change(rig->core, &out), CORE_CHANGE_NOT_MASTER);
	members_commit_blocks(rig, 1);
	two_changes.learners = 1u << GUEST;
	assert_int_equal(core_judge_change(rig->core, &two_changes), CORE_CHANGE_VOTERS);
	assert_int_equal(core_judge_change(rig->core, &skipped), CORE_CHANGE_VOTERS);
	assert_int_equal(core_judge_change(rig->core, &in), CORE_CHANGE_VOTERS);
	assert_int_equal(core_judge_change(rig->core, &out), CORE_CHANGE_ALLOWED);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &out, &birth), TERN_OK);
	/* Both copies, and no witness. */
	members_durable(rig, 2);
	assert_int_equal(core_view(rig->core)->commit_index, 1);
	members_commit_blocks(rig, 2);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_DUPLEX);
	assert_int_equal(core_judge_change(rig->core, &again), CORE_CHANGE_ALLOWED);
	assert_int_equal(core_judge_change(rig->core, &in), CORE_CHANGE_ENTERING);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_ENTER, .next = &in }), TERN_OK);
	assert_int_equal(members_append(rig, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	members_commit_blocks(rig, 3);
	/* Who is there; that one, and no other, takes the generation. */
	assert_int_equal(entry_asked(rig)->peer_boot_no, 0);
	assert_int_equal(entry_asked(rig)->witness_gen, 2);
	answer_entry(rig, 8, 1, 0, false); /* of something before */
	assert_int_equal(entry_asked(rig)->peer_boot_no, 0);
	answer_entry(rig, 9, 1, 2, false);
	assert_int_equal(entry_asked(rig)->peer_boot_no, 9);
	answer_entry(rig, 10, 1, 2, false);
	assert_int_equal(entry_asked(rig)->peer_boot_no, 9);
	assert_int_equal(core_judge_change(rig->core, &in), CORE_CHANGE_ENTERING);
	answer_entry(rig, 9, 1, 2, true);
	assert_int_equal(core_judge_change(rig->core, &in), CORE_CHANGE_ALLOWED);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &in, &out), TERN_OK);
	members_commit_blocks(rig, 4);
	members_beat(rig);
	assert_int_equal(beat_to(rig, WITNESS), 2);
	assert_int_equal(beat_to(rig, PEER), 0);
	rig_free(rig);
}

/* Alone, it has the witness's word for every commit. */
static void
test_no_witness_is_replaced_alone(void **state)
{
	const struct membership out = generation(2, 2 | MEMBERSHIP_WITNESS_OUT);
	struct rig *rig = members_master();

	(void)state;
	for (int i = 0; i < 200 && core_view(rig->core)->mode == CORE_MODE_DUPLEX; i++) {
		rig_tick(rig, MS);
		if (rig_sent(rig, MSG_HEARTBEAT) != NULL)
			members_answer_round(rig, WITNESS);
	}
	assert_int_equal(members_append(rig, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	assert_int_equal(core_judge_change(rig->core, &out), CORE_CHANGE_DEGRADED);
	rig_free(rig);
}

/* An earlier master may have had a register enter by that generation. */
static void
test_a_new_master_begins_again(void **state)
{
	const struct membership birth = generation(0, 1), in = generation(4, 2);
	const struct membership out = generation(2, 2 | MEMBERSHIP_WITNESS_OUT);
	const struct membership more = generation(4, 3 | MEMBERSHIP_WITNESS_OUT);
	struct rig *rig = members_master();
	struct msg beat_2 = rig_heartbeat(PEER, 3, 1);
	struct msg ack = { .kind = MSG_PREVOTE_ACK, .sender = PEER, .boot_no = 1, .term = 3 };

	(void)state;
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &out, &birth), TERN_OK);
	members_commit_blocks(rig, 2);
	assert_int_equal(rig_deliver(rig, beat_2), TERN_OK); /* another one, which falls silent */
	rig_persist(rig);
	rig->effects.count = 0;
	for (int i = 0; i < 300 && rig_sent(rig, MSG_PREVOTE) == NULL; i++)
		rig_tick(rig, MS);
	/* No witness has a vote. */
	for (int i = 0; i < 30; i++) {
		rig_tick(rig, MS);
		assert_false(members_is_sent_to(rig, WITNESS, MSG_PREVOTE));
	}
	ack.vote_ack.for_term = 4;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	rig_persist(rig);
	ack.kind = MSG_VOTE_ACK;
	ack.term = 4;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->role, CORE_MASTER);
	ack = (struct msg){ .kind = MSG_HEARTBEAT_ACK, .sender = PEER, .boot_no = 1, .term = 4 };
	ack.heartbeat_ack.round = rig_sent(rig, MSG_HEARTBEAT)->heartbeat.round;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(members_append(rig, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	members_durable(rig, 3);
	ack = (struct msg){ .kind = MSG_APPEND_ACK, .sender = PEER, .boot_no = 1, .term = 4 };
	ack.append_ack = (struct msg_append_ack){ .status = MSG_APPEND_MATCHED,
						  .probe_index = 2,
						  .received_index = 2,
						  .durable_index = 2,
						  .last_index = 2 };
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	ack.append_ack = (struct msg_append_ack){ .received_index = 3, .durable_index = 3 };
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 3);
	assert_int_equal(core_judge_change(rig->core, &in), CORE_CHANGE_AGAIN);
	assert_int_equal(core_judge_change(rig->core, &more), CORE_CHANGE_ALLOWED);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_ENTER, .next = &in }),
	    TERN_ERR_BUSY);
	rig_free(rig);
}

static bool
is_entered(struct rig *rig, uint32_t witness_gen, uint32_t peer_boot_no)
{
	const struct msg request = { .kind = MSG_REGISTER,
				     .sender = SELF,
				     .boot_no = 1,
				     .term = 2,
				     .register_ = { .what = MSG_REGISTER_ENTER,
						    .witness_gen = witness_gen,
						    .epoch = 3,
						    .rset = 1u << SELF | 1u << PEER,
						    .config_index = 4,
						    .peer_boot_no = peer_boot_no } };

	assert_int_equal(rig_deliver(rig, request), TERN_OK);
	if (rig_effect_of(rig, CORE_EFFECT_PERSIST_REGISTER) != NULL)
		rig_persist(rig);
	return rig_sent(rig, MSG_REGISTER_ACK) != NULL &&
	       rig_sent(rig, MSG_REGISTER_ACK)->register_ack.is_accepted;
}

static void
test_a_new_register_grants_nothing(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_witness_of(rig);
	struct msg beat_of = rig_heartbeat(SELF, 2, 5);

	(void)state;
	config.witness_gen = config.reg.witness_gen = 0;
	config.boot_no = 77;
	rig_start(rig, &config);
	/* It was not made a witness by anybody: no vote, no sign of life, no epoch. */
	assert_int_equal(members_asked(rig, 1u << PEER, 9, 0), MSG_VOTE_REFUSED_WITNESS);
	assert_null(rig_effect_of(rig, CORE_EFFECT_ALARM));
	assert_int_equal(rig_deliver(rig, beat_of), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	assert_false(members_is_taken(rig, MSG_REGISTER_EPOCH, 1, 1u << SELF | 1u << WITNESS, 0));
	assert_false(is_entered(rig, 2, 0));
	assert_false(is_entered(rig, 2, 0)); /* it says who it is */
	assert_int_equal(rig_sent(rig, MSG_REGISTER_ACK)->boot_no, 77);
	assert_false(is_entered(rig, 2, 76));
	assert_false(is_entered(rig, 2 | MEMBERSHIP_WITNESS_OUT, 77));
	assert_true(is_entered(rig, 2, 77));
	assert_int_equal(core_view(rig->core)->members.witness_gen, 2);
	/* Now it is one, of that generation only, and knows the epoch. */
	assert_int_equal(members_asked(rig, 1u << PEER, 2, 4), MSG_VOTE_REFUSED_WITNESS);
	beat_of.heartbeat.witness_gen = 2;
	assert_int_equal(rig_deliver(rig, beat_of), TERN_OK);
	assert_non_null(rig_sent(rig, MSG_HEARTBEAT_ACK));
	beat_of.heartbeat.witness_gen = 3 | MEMBERSHIP_WITNESS_OUT; /* may never be committed */
	beat_of.heartbeat.round++;
	assert_int_equal(rig_deliver(rig, beat_of), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	beat_of.heartbeat.witness_gen = 3;
	assert_int_equal(rig_deliver(rig, beat_of), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_ALARM)->alarm, CORE_ALARM_WITNESS_AMNESIA);
	rig_free(rig);
}

/* ---- a dead node of a pair ---- */

/* The epoch of the one that is alone: block 2 is its barrier, which the witness has acknowledged.
 */
static struct rig *
alone(void)
{
	struct rig *rig = members_master();
	const struct membership self = { .voters = 1u << SELF,
					 .witness_id = WITNESS,
					 .witness_gen = 1 };
	const struct msg ack = { .kind = MSG_REGISTER_ACK,
				 .sender = WITNESS,
				 .boot_no = 1,
				 .term = 2,
				 .register_ack = { .epoch = 1, .is_accepted = true } };

	assert_int_equal(core_judge_change(rig->core, &self), CORE_CHANGE_THERE);
	for (int i = 0; i < 200 && core_view(rig->core)->mode == CORE_MODE_DUPLEX; i++) {
		rig_tick(rig, MS);
		if (rig_sent(rig, MSG_HEARTBEAT) != NULL)
			members_answer_round(rig, WITNESS);
	}
	assert_int_equal(members_append(rig, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	members_durable(rig, 2);
	assert_int_equal(core_view(rig->core)->commit_index, 1);
	assert_int_equal(core_judge_change(rig->core, &self), CORE_CHANGE_DEGRADED);
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 2);
	return rig;
}

static void
test_who_is_alone_drops_the_lost_one(void **state)
{
	const struct membership birth = generation(0, 1);
	struct rig *rig = alone();
	struct membership next = {
		.config_index = 3, .voters = 1u << PEER, .witness_id = WITNESS, .witness_gen = 1
	};

	(void)state;
	assert_int_equal(core_judge_change(rig->core, &next), CORE_CHANGE_SELF);
	next.voters = 1u << SELF;
	next.learners = 1u << PEER;
	assert_int_equal(core_judge_change(rig->core, &next), CORE_CHANGE_VOTERS);
	next.learners = 0;
	assert_int_equal(core_judge_change(rig->core, &next), CORE_CHANGE_ALLOWED);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &next, &birth), TERN_OK);
	assert_true(core_view(rig->core)->is_joint);
	members_durable(rig, 3);
	assert_int_equal(core_view(rig->core)->commit_index, 3);
	assert_false(core_view(rig->core)->is_joint);
	/* A new epoch, by the rule of one copy. */
	rig->effects.count = 0;
	for (int i = 0; i < 10 && rig_effect_of(rig, CORE_EFFECT_APPEND_BARRIER) == NULL; i++)
		rig_tick(rig, MS);
	assert_int_equal(core_view(rig->core)->epoch, 2);
	assert_int_equal(members_append(rig, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	members_durable(rig, 4);
	assert_int_equal(core_view(rig->core)->commit_index, 4);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_SOLO);
	assert_int_equal(core_view(rig->core)->copies, 1);
	/* The lost one hears nothing any more, and takes no one's place without being a learner. */
	members_beat(rig);
	assert_false(members_is_sent_to(rig, PEER, MSG_HEARTBEAT));
	next = birth;
	assert_int_equal(core_judge_change(rig->core, &next), CORE_CHANGE_BEHIND);
	rig_free(rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_witness_is_replaced_in_two_steps),
		cmocka_unit_test(test_no_witness_is_replaced_alone),
		cmocka_unit_test(test_a_new_master_begins_again),
		cmocka_unit_test(test_a_new_register_grants_nothing),
		cmocka_unit_test(test_who_is_alone_drops_the_lost_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
