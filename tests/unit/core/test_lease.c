/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: what a voter promises, and how long a master reads on the strength of that. */
#include "tests/unit/core/members_rig.h"

#define DRIFT_PPM  100000u
#define PROMISE_NS (50 * MS / MSG_PROMISE_UNIT_NS * MSG_PROMISE_UNIT_NS)
#define LEASE_NS   (PROMISE_NS * 8 / 10)

/* ---- the voter ---- */

/* One of three, follows PEER in term 3 and has just answered it. */
static struct rig *
voter_bound(void)
{
	struct rig *rig = rig_new();
	struct core_config config = members_config_of(rig, SELF);
	struct msg beat = rig_heartbeat(PEER, 3, 1);

	config.data_nodes = 1u << SELF | 1u << PEER | 1u << GUEST;
	config.witness_id = 0;
	config.term = 3;
	rig_start(rig, &config);
	beat.heartbeat.asks_promise = 1;
	assert_int_equal(rig_deliver(rig, beat), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_HEARTBEAT_ACK)->heartbeat_ack.promise_units,
			 PROMISE_NS / MSG_PROMISE_UNIT_NS);
	return rig;
}

static enum msg_vote_refusal
asked(struct rig *rig, uint64_t for_term, bool is_hand_over)
{
	struct msg vote = rig_vote(MSG_VOTE, GUEST, for_term, for_term, 9, 9);

	vote.vote.is_hand_over = is_hand_over;
	assert_int_equal(rig_deliver(rig, vote), TERN_OK);
	if (rig_sent(rig, MSG_VOTE_ACK) == NULL)
		rig_persist(rig);
	return rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal;
}

static void
test_a_promise_outlives_its_term(void **state)
{
	struct rig *rig = voter_bound();
	const struct msg other = { .kind = MSG_VOTE_ACK, .sender = GUEST, .boot_no = 1, .term = 5 };

	(void)state;
	rig_tick(rig, MS);
	assert_int_equal(rig_deliver(rig, other), TERN_OK);
	rig_persist(rig);
	assert_int_equal(core_view(rig->core)->term, 5);
	assert_int_equal(asked(rig, 5, false), MSG_VOTE_REFUSED_MASTER);
	rig->now_ns += 49 * MS;
	assert_int_equal(asked(rig, 5, false), MSG_VOTE_REFUSED_MASTER);
	rig->now_ns += MS;
	assert_int_equal(asked(rig, 5, false), MSG_VOTE_GRANTED);
	rig_free(rig);
}

static void
test_a_hand_over_is_exempt(void **state)
{
	struct rig *rig = voter_bound();

	(void)state;
	assert_int_equal(asked(rig, 4, false), MSG_VOTE_REFUSED_MASTER);
	assert_int_equal(asked(rig, 4, true), MSG_VOTE_GRANTED);
	rig_free(rig);
}

/* The clock of that step may have been read before the heartbeat came. */
static void
test_a_promise_counts_from_the_next_reading(void **state)
{
	struct rig *rig = voter_bound();

	(void)state;
	rig->now_ns += 60 * MS;
	assert_int_equal(asked(rig, 4, false), MSG_VOTE_REFUSED_MASTER);
	rig->now_ns += 50 * MS - 1;
	assert_int_equal(asked(rig, 4, false), MSG_VOTE_REFUSED_MASTER);
	rig->now_ns += 1;
	assert_int_equal(asked(rig, 4, false), MSG_VOTE_GRANTED);
	rig_free(rig);
}

static void
test_who_is_not_asked_promises_nothing(void **state)
{
	struct rig *rig = voter_bound();
	const struct msg farewell = {
		.kind = MSG_FAREWELL, .sender = PEER, .boot_no = 1, .term = 3
	};

	(void)state;
	rig_tick(rig, 60 * MS);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 3, 2)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_HEARTBEAT_ACK)->heartbeat_ack.promise_units, 0);
	assert_int_equal(asked(rig, 4, false), MSG_VOTE_REFUSED_MASTER);
	assert_int_equal(rig_deliver(rig, farewell), TERN_OK);
	assert_int_equal(asked(rig, 4, false), MSG_VOTE_GRANTED);
	rig_free(rig);
}

/* A master that says farewell has no lease any more, but whoever says so for it cannot know. */
static void
test_a_farewell_ends_no_promise(void **state)
{
	struct rig *rig = voter_bound();
	const struct msg farewell = {
		.kind = MSG_FAREWELL, .sender = PEER, .boot_no = 1, .term = 3
	};

	(void)state;
	rig_tick(rig, MS);
	assert_int_equal(rig_deliver(rig, farewell), TERN_OK);
	assert_int_equal(asked(rig, 4, false), MSG_VOTE_REFUSED_MASTER);
	for (int i = 0; i < 48; i++) {
		rig_tick(rig, MS);
		assert_null(rig_sent(rig, MSG_PREVOTE));
	}
	for (int i = 0; i < 10 && rig_sent(rig, MSG_PREVOTE) == NULL; i++)
		rig_tick(rig, MS);
	assert_non_null(rig_sent(rig, MSG_PREVOTE));
	rig_free(rig);
}

static void
test_the_witness_promises_too(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = rig_witness_of(rig);
	const struct msg farewell = {
		.kind = MSG_FAREWELL, .sender = SELF, .boot_no = 1, .term = 2
	};
	struct msg beat = rig_heartbeat(SELF, 2, 1), vote = rig_vote(MSG_PREVOTE, PEER, 2, 3, 9, 9);

	(void)state;
	rig_start(rig, &config);
	beat.heartbeat.asks_promise = 1;
	assert_int_equal(rig_deliver(rig, beat), TERN_OK);
	rig_persist(rig);
	assert_int_equal(rig_deliver(rig, beat), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_HEARTBEAT_ACK)->heartbeat_ack.promise_units,
			 PROMISE_NS / MSG_PROMISE_UNIT_NS);
	assert_int_equal(rig_deliver(rig, farewell), TERN_OK);
	rig_tick(rig, MS);
	rig->now_ns += 50 * MS - 1;
	assert_int_equal(rig_deliver(rig, vote), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_MASTER);
	rig->now_ns += 1;
	assert_int_equal(rig_deliver(rig, vote), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.refusal, MSG_VOTE_GRANTED);
	rig_free(rig);
}

/* ---- the master ---- */

static uint64_t
lease_of(const struct rig *rig)
{
	return core_view(rig->core)->lease_until_ns;
}

static void
answer_of(struct rig *rig, uint16_t sender, uint64_t round, uint32_t promise_units)
{
	const struct msg ack = {
		.kind = MSG_HEARTBEAT_ACK,
		.sender = sender,
		.boot_no = 1,
		.term = 2,
		.heartbeat_ack = { .round = round, .promise_units = promise_units },
	};

	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
}

/* A round begins, and @sender answers it at once. Returns when it left. */
static uint64_t
round_answered(struct rig *rig, uint16_t sender)
{
	members_beat(rig);
	const struct msg *beat = rig_sent(rig, MSG_HEARTBEAT);
	assert_int_equal(beat->heartbeat.asks_promise, 1);
	answer_of(rig, sender, beat->heartbeat.round, PROMISE_NS / MSG_PROMISE_UNIT_NS);
	return rig->now_ns;
}

static void
ask(struct rig *rig, bool may_lease)
{
	assert_int_equal(
	    rig_step(rig,
		     (struct core_event){ .kind = CORE_EVENT_READ, .op_id = 9, .flag = may_lease }),
	    TERN_OK);
}

static void
test_a_lease_counts_from_when_the_round_left(void **state)
{
	struct rig *rig = members_master_with_leases(DRIFT_PPM);
	uint64_t left_ns, round;

	(void)state;
	/* Before a block of this term has committed there is none. */
	(void)round_answered(rig, PEER);
	assert_int_equal(lease_of(rig), 0);
	members_commit_blocks(rig, 1);
	members_beat(rig);
	round = rig_sent(rig, MSG_HEARTBEAT)->heartbeat.round;
	left_ns = rig->now_ns;
	rig_tick(rig, 2 * MS);
	answer_of(rig, WITNESS, round, PROMISE_NS / MSG_PROMISE_UNIT_NS);
	assert_int_equal(lease_of(rig), left_ns + LEASE_NS);
	/* Who promises less is good for less, and nobody for more than is known here. */
	members_beat(rig);
	round = rig_sent(rig, MSG_HEARTBEAT)->heartbeat.round;
	answer_of(rig, WITNESS, round, 1);
	assert_int_equal(lease_of(rig), left_ns + LEASE_NS);
	answer_of(rig, PEER, round, MSG_PROMISE_UNITS_MAX);
	assert_int_equal(lease_of(rig), rig->now_ns + 40 * MS);
	rig_free(rig);
}

static void
test_a_lease_answers_until_it_ends(void **state)
{
	struct rig *rig = members_master_with_leases(DRIFT_PPM);
	const struct core_effect *ready;

	(void)state;
	members_commit_blocks(rig, 1);
	const uint64_t left_ns = round_answered(rig, PEER);
	/* Sent before the read, which a round would not serve. */
	ask(rig, true);
	ready = rig_effect_of(rig, CORE_EFFECT_READ_READY);
	assert_non_null(ready);
	assert_true(ready->is_leased);
	assert_int_equal(ready->index, 1);
	assert_null(rig_sent(rig, MSG_HEARTBEAT));
	ask(rig, false);
	assert_null(rig_effect_of(rig, CORE_EFFECT_READ_READY));
	answer_of(rig, PEER, rig_sent(rig, MSG_HEARTBEAT)->heartbeat.round, 0);
	ready = rig_effect_of(rig, CORE_EFFECT_READ_READY);
	assert_false(ready->is_leased);
	assert_int_equal(core_view(rig->core)->reads_leased, 1);
	assert_int_equal(core_view(rig->core)->reads_proven, 1);
	rig->now_ns = left_ns + LEASE_NS - 1;
	ask(rig, true);
	assert_true(rig_effect_of(rig, CORE_EFFECT_READ_READY)->is_leased);
	rig->now_ns = left_ns + LEASE_NS;
	ask(rig, true);
	assert_null(rig_effect_of(rig, CORE_EFFECT_READ_READY));
	rig_free(rig);
}

static void
test_without_leases_nobody_is_asked(void **state)
{
	struct rig *rig = members_master();

	(void)state;
	members_beat(rig);
	assert_int_equal(rig_sent(rig, MSG_HEARTBEAT)->heartbeat.asks_promise, 0);
	answer_of(rig, PEER, rig_sent(rig, MSG_HEARTBEAT)->heartbeat.round, 762);
	assert_int_equal(lease_of(rig), 0);
	ask(rig, true);
	assert_null(rig_effect_of(rig, CORE_EFFECT_READ_READY));
	rig_free(rig);
}

static void
hand_over(struct rig *rig)
{
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_TRANSFER, .node = PEER }),
	    TERN_OK);
	assert_int_equal(lease_of(rig), 0);
}

/* The message that offers the place may arrive at any time: it ends leases for the whole term. */
static void
test_an_offer_ends_leases(void **state)
{
	struct rig *rig = members_master_with_leases(DRIFT_PPM);
	bool was_offered = false;

	(void)state;
	members_commit_blocks(rig, 1);
	(void)round_answered(rig, PEER);
	assert_int_not_equal(lease_of(rig), 0);
	hand_over(rig);
	for (int i = 0; i < 200; i++) {
		rig_tick(rig, MS);
		was_offered |= rig_sent(rig, MSG_TRANSFER_NOW) != NULL;
		if (rig_sent(rig, MSG_HEARTBEAT) != NULL)
			answer_of(rig, PEER, rig_sent(rig, MSG_HEARTBEAT)->heartbeat.round, 762);
		assert_int_equal(lease_of(rig), 0);
	}
	assert_true(was_offered);
	assert_true(core_view(rig->core)->is_serving);
	rig_free(rig);
}

static void
test_a_hand_over_that_was_not_offered(void **state)
{
	struct rig *rig = members_master_with_leases(DRIFT_PPM);

	(void)state;
	members_commit_blocks(rig, 1);
	/* PEER lacks this one. */
	assert_int_equal(members_append(rig, BLOCK_COMMANDS, NULL, NULL), TERN_OK);
	hand_over(rig);
	for (int i = 0; i < 200 && !core_view(rig->core)->is_serving; i++) {
		assert_int_equal(lease_of(rig), 0);
		rig_tick(rig, MS);
		assert_null(rig_sent(rig, MSG_TRANSFER_NOW));
		if (rig_sent(rig, MSG_HEARTBEAT) != NULL)
			answer_of(rig, PEER, rig_sent(rig, MSG_HEARTBEAT)->heartbeat.round, 762);
	}
	assert_true(core_view(rig->core)->is_serving);
	(void)round_answered(rig, PEER);
	assert_int_not_equal(lease_of(rig), 0);
	rig_free(rig);
}

static void
test_who_steps_down_has_none(void **state)
{
	struct rig *rig = members_master_with_leases(DRIFT_PPM);

	(void)state;
	members_commit_blocks(rig, 1);
	(void)round_answered(rig, PEER);
	assert_int_not_equal(lease_of(rig), 0);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 3, 1)), TERN_OK);
	assert_int_equal(lease_of(rig), 0);
	rig_free(rig);
}

/* Whoever promised before a change, or while it was not committed, may be another one by now. */
static void
test_a_change_begins_anew(void **state)
{
	struct rig *rig = members_master_with_leases(DRIFT_PPM);
	const struct membership before = members_of(0, 0), next = members_of(2, 1u << GUEST);

	(void)state;
	members_commit_blocks(rig, 1);
	members_beat(rig);
	const uint64_t old_round = rig_sent(rig, MSG_HEARTBEAT)->heartbeat.round;
	answer_of(rig, PEER, old_round, PROMISE_NS / MSG_PROMISE_UNIT_NS);
	assert_int_not_equal(lease_of(rig), 0);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &next, &before), TERN_OK);
	assert_int_equal(lease_of(rig), 0);
	answer_of(rig, WITNESS, old_round, PROMISE_NS / MSG_PROMISE_UNIT_NS);
	assert_int_equal(lease_of(rig), 0);
	(void)round_answered(rig, WITNESS);
	assert_int_not_equal(lease_of(rig), 0);
	members_commit_blocks(rig, 2);
	assert_int_equal(lease_of(rig), 0);
	(void)round_answered(rig, WITNESS);
	assert_int_not_equal(lease_of(rig), 0);
	rig_free(rig);
}

/* While a change is joint both rules hold. */
static void
test_a_joint_quorum(void **state)
{
	struct rig *rig = members_master_with_leases(DRIFT_PPM);
	const uint64_t guest = 1u << GUEST;
	struct membership before = members_of(0, 0), next = members_of(2, guest);

	(void)state;
	members_commit_blocks(rig, 1);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &next, &before), TERN_OK);
	members_answer(rig, GUEST, MSG_APPEND_CONFLICT, 1, 0);
	members_answer(rig, GUEST, MSG_APPEND_MATCHED, 0, 0);
	members_beat(rig);
	members_answer_round(rig, GUEST);
	members_commit_blocks(rig, 2);
	const uint64_t before_ns = round_answered(rig, WITNESS);
	assert_int_equal(lease_of(rig), before_ns + LEASE_NS);
	before = next;
	next.config_index = 3;
	next.voters |= guest;
	next.learners = 0;
	members_answer(rig, GUEST, MSG_APPEND_PROGRESS, 0, 2);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &next, &before), TERN_OK);
	assert_true(core_view(rig->core)->is_joint);
	assert_int_equal(lease_of(rig), 0);
	/* With SELF two of the pair's three voters, and one of the three. */
	const uint64_t left_ns = round_answered(rig, WITNESS);
	assert_int_equal(lease_of(rig), 0);
	assert_true(round_answered(rig, GUEST) > left_ns);
	assert_int_equal(lease_of(rig), left_ns + LEASE_NS);
	rig_free(rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_promise_outlives_its_term),
		cmocka_unit_test(test_a_hand_over_is_exempt),
		cmocka_unit_test(test_a_promise_counts_from_the_next_reading),
		cmocka_unit_test(test_who_is_not_asked_promises_nothing),
		cmocka_unit_test(test_a_farewell_ends_no_promise),
		cmocka_unit_test(test_the_witness_promises_too),
		cmocka_unit_test(test_a_lease_counts_from_when_the_round_left),
		cmocka_unit_test(test_a_lease_answers_until_it_ends),
		cmocka_unit_test(test_without_leases_nobody_is_asked),
		cmocka_unit_test(test_an_offer_ends_leases),
		cmocka_unit_test(test_a_hand_over_that_was_not_offered),
		cmocka_unit_test(test_who_steps_down_has_none),
		cmocka_unit_test(test_a_change_begins_anew),
		cmocka_unit_test(test_a_joint_quorum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
