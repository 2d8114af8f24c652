/* SPDX-License-Identifier: Apache-2.0 */
/* Forced promotion: when a person's word is taken, the first block of a generation, and who was
 * left out. */
#include "dataplane/core/force.h"
#include "tests/unit/core/rig.h"

#define WINDOW (1000 * MS)

static enum core_force
judge(struct rig *rig)
{
	return core_judge_force(rig->core);
}

/* A replica of term 5 with four durable blocks, whose master fell silent long ago. */
static struct rig *
rig_left_alone(void)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	config.term = 5;
	rig_start(rig, &config);
	rig_recover(rig, 4, 3);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_DURABLE, .index = 4 }), TERN_OK);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 5, 1)), TERN_OK);
	return rig;
}

/* Candidacies go on; every write of a term is completed. */
static void
pass(struct rig *rig, uint64_t span_ns)
{
	for (uint64_t ns = 0; ns < span_ns; ns += MS) {
		rig_tick(rig, MS);
		if (rig_effect_of(rig, CORE_EFFECT_PERSIST_META) != NULL)
			rig_persist(rig);
	}
}

static struct msg
refusal(uint16_t sender, uint64_t for_term, enum msg_vote_refusal why)
{
	return (struct msg){ .kind = MSG_PREVOTE_ACK,
			     .sender = sender,
			     .boot_no = 1,
			     .term = 5,
			     .vote_ack = { .for_term = for_term, .refusal = why } };
}

static void
test_nobody_must_be_there(void **state)
{
	struct rig *rig = rig_left_alone();

	(void)state;
	assert_int_equal(judge(rig), CORE_FORCE_MASTER);
	pass(rig, 200 * MS);
	assert_int_equal(judge(rig), CORE_FORCE_EARLY);
	assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_FORCE }),
			 TERN_ERR_BUSY);
	pass(rig, WINDOW);
	assert_int_equal(judge(rig), CORE_FORCE_ALLOWED);
	/* A witness that might elect it; then one that refuses what it holds. */
	assert_int_equal(rig_deliver(rig, refusal(WITNESS, 6, MSG_VOTE_REFUSED_QUIET)), TERN_OK);
	assert_int_equal(judge(rig), CORE_FORCE_QUORUM);
	assert_int_equal(rig_deliver(rig, refusal(WITNESS, 6, MSG_VOTE_REFUSED_LOG)), TERN_OK);
	assert_int_equal(judge(rig), CORE_FORCE_ALLOWED);
	/* The other data node, whatever it says. */
	assert_int_equal(rig_deliver(rig, refusal(PEER, 6, MSG_VOTE_REFUSED_LOG)), TERN_OK);
	assert_int_equal(judge(rig), CORE_FORCE_QUORUM);
	pass(rig, WINDOW + 100 * MS);
	assert_int_equal(judge(rig), CORE_FORCE_ALLOWED);
	rig_free(rig);
}

static void
test_who_may_be_forced(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 5; i++) {
		struct rig *rig = rig_new();
		struct core_config config = rig_config_of(rig);
		static const enum core_force wanted[] = { CORE_FORCE_LACKS, CORE_FORCE_LACKS,
							  CORE_FORCE_NO_VOTER, CORE_FORCE_LAST,
							  CORE_FORCE_SUPERSEDED };
		config.is_log_volatile = i == 0;
		config.is_forgetful = i == 1;
		if (i == 2) {
			config.data_nodes = 1u << PEER | 1u << 4;
			config.known_nodes = config.data_nodes | 1u << SELF;
		}
		config.generation.number = i == 3 ? GENERATION_NUMBER_MAX : 2;
		config.generation.id = 9;
		config.is_superseded = i == 4;
		config.is_first_boot = i != 1;
		rig_start(rig, &config);
		pass(rig, WINDOW + 300 * MS);
		assert_int_equal(judge(rig), wanted[i]);
		rig_free(rig);
	}
}

static void
test_what_is_not_durable_is_waited_for(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = rig_config_of(rig);

	(void)state;
	rig_start(rig, &config);
	rig_tick(rig, MS);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 5, 1)), TERN_OK);
	rig_persist(rig);
	assert_int_equal(rig_deliver(rig, rig_probe(5, 0, 0, 0, 0)), TERN_OK);
	const struct core_event received = { .kind = CORE_EVENT_RECEIVED,
					     .block = { 1, 5, 0, BLOCK_COMMANDS,
							rig_chain_of(1, 5) } };
	assert_int_equal(rig_step(rig, received), TERN_OK);
	rig_tick(rig, WINDOW + 300 * MS);
	assert_int_equal(judge(rig), CORE_FORCE_BUSY);
	rig_free(rig);
}

static void
test_from_then_on_it_is_silent(void **state)
{
	struct rig *rig = rig_left_alone();

	(void)state;
	pass(rig, WINDOW + 300 * MS);
	assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_FORCE }), TERN_OK);
	assert_int_equal(rig->effects.count != 0 && rig_effect_of(rig, CORE_EFFECT_SEND) != NULL,
			 0);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 9, 7)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_SEND));
	assert_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_META));
	rig_tick(rig, 500 * MS);
	assert_int_equal(core_view(rig->core)->role, CORE_FOLLOWER);
	assert_int_not_equal(judge(rig), CORE_FORCE_ALLOWED);
	rig_free(rig);
}

/* The node after its start: alone, and its configuration is that of the next block. */
static struct rig *
rig_forced(void)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	config.term = 1ull << 32;
	config.data_nodes = 1u << SELF;
	config.known_nodes = 1u << SELF | 1u << PEER;
	config.config_index = 5;
	config.generation = (struct generation){ 2, 77 };
	rig_start(rig, &config);
	rig_recover(rig, 4, 3);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_DURABLE, .index = 4 }), TERN_OK);
	assert_true(core_is_gen_due(rig->core));
	for (uint32_t i = 0; i < 400 && core_view(rig->core)->role != CORE_MASTER; i++)
		pass(rig, MS);
	assert_int_equal(core_view(rig->core)->role, CORE_MASTER);
	return rig;
}

static struct core_event
append(uint64_t log_index, enum block_kind kind, const struct membership *next,
       const struct membership *before)
{
	const uint64_t term = (1ull << 32) + 1;

	return (struct core_event){ .kind = CORE_EVENT_APPENDED,
				    .block = { log_index, term, 0, kind,
					       rig_chain_of(log_index, term) },
				    .next = next,
				    .before = before };
}

static void
test_the_first_block_says_the_generation(void **state)
{
	struct rig *rig = rig_forced();
	const struct membership before = { .voters = 1u << SELF | 1u << PEER,
					   .witness_id = WITNESS,
					   .witness_gen = 1 };
	struct membership next = { .config_index = 5,
				   .voters = 1u << SELF,
				   .witness_id = WITNESS,
				   .witness_gen = 1,
				   .begins = { 2, 78 } };

	(void)state;
	/* No barrier before it, no commands, no configuration of another generation. */
	assert_int_equal(rig_step(rig, append(5, BLOCK_BARRIER, NULL, NULL)), TERN_ERR_MALFORMED);
	assert_int_equal(rig_step(rig, append(5, BLOCK_COMMANDS, NULL, NULL)), TERN_ERR_MALFORMED);
	assert_int_equal(rig_step(rig, append(5, BLOCK_CONFIG, &next, &before)),
			 TERN_ERR_MALFORMED);
	next.begins.id = 77;
	assert_int_equal(rig_step(rig, append(5, BLOCK_CONFIG, &next, &before)), TERN_OK);
	assert_false(core_is_gen_due(rig->core));
	assert_false(core_view(rig->core)->is_serving);
	assert_int_equal(rig_step(rig, append(6, BLOCK_BARRIER, NULL, NULL)), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_DURABLE, .index = 6 }), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 6);
	assert_true(core_view(rig->core)->is_serving);
	rig_free(rig);
}

static void
test_who_is_left_out_says_nothing_more(void **state)
{
	struct rig *rig = rig_left_alone();
	const struct core_event told = { .kind = CORE_EVENT_SUPERSEDED };

	(void)state;
	assert_int_equal(rig_step(rig, told), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_ALARM)->alarm, CORE_ALARM_SUPERSEDED);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_SUPERSEDED);
	assert_int_equal(core_view(rig->core)->master_id, 0);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 9, 7)), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	for (uint32_t i = 0; i < 2; i++) {
		const enum msg_kind kind = i == 0 ? MSG_PREVOTE : MSG_VOTE;
		assert_int_equal(rig_deliver(rig, rig_vote(kind, PEER, 9, 9, 1, 1)), TERN_OK);
		assert_int_equal(rig->effects.count, 0);
	}
	rig_tick(rig, 1000 * MS);
	assert_int_equal(core_view(rig->core)->role, CORE_FOLLOWER);
	assert_int_equal(core_deadline_ns(rig->core), UINT64_MAX);
	rig_free(rig);
}

static void
test_a_witness_that_is_left_out_writes_it_down(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = rig_witness_of(rig);
	const struct core_event told = { .kind = CORE_EVENT_SUPERSEDED };

	(void)state;
	rig_start(rig, &config);
	/* In the middle of a vote: it is not answered. */
	struct msg vote = rig_vote(MSG_VOTE, SELF, 6, 6, 5, 9);
	assert_int_equal(rig_deliver(rig, vote), TERN_OK);
	const uint64_t op_id = rig_effect_of(rig, CORE_EFFECT_PERSIST_REGISTER)->op_id;
	assert_int_equal(rig_step(rig, told), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_REGISTER));
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_META_DURABLE, .op_id = op_id }),
	    TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_SEND));
	const struct core_effect *effect = rig_effect_of(rig, CORE_EFFECT_PERSIST_REGISTER);
	assert_non_null(effect);
	assert_int_equal(effect->reg.duty, WITNESS_SUPERSEDED);
	rig_persist(rig);
	assert_int_equal(rig_deliver(rig, vote), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	rig_free(rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_must_be_there),
		cmocka_unit_test(test_who_may_be_forced),
		cmocka_unit_test(test_what_is_not_durable_is_waited_for),
		cmocka_unit_test(test_from_then_on_it_is_silent),
		cmocka_unit_test(test_the_first_block_says_the_generation),
		cmocka_unit_test(test_who_is_left_out_says_nothing_more),
		cmocka_unit_test(test_a_witness_that_is_left_out_writes_it_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
