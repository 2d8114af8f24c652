/* SPDX-License-Identifier: Apache-2.0 */
/* Committed blocks from a node that is no master: who asks, what is told, what is made of it. */
#include "tests/unit/core/rig.h"

#include "dataplane/core/core_pull.h"

#define THIRD 4

/* One of three copies, in term 5, with blocks 1..@count of term 3, of which two are committed; it
 * heard a master, and hears none any more. */
static struct rig *
rig_cut_off_as(uint64_t count, bool is_forgetful)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	config.data_nodes = 1u << SELF | 1u << PEER | 1u << THIRD;
	config.witness_id = 0;
	config.term = 5;
	config.is_forgetful = is_forgetful;
	rig_start(rig, &config);
	rig_recover(rig, count, 3);
	struct msg beat = rig_heartbeat(PEER, 5, 1);
	beat.heartbeat.commit_index = 2;
	beat.heartbeat.commit_chain = rig_chain_of(2, 3);
	assert_int_equal(rig_deliver(rig, beat), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 2);
	return rig;
}

static struct rig *
rig_cut_off(uint64_t count)
{
	return rig_cut_off_as(count, false);
}

static const struct msg *
next_question(struct rig *rig)
{
	for (uint32_t i = 0; i < 1000; i++) {
		rig_tick(rig, MS);
		if (rig_sent(rig, MSG_SEEK) != NULL)
			return rig_sent(rig, MSG_SEEK);
	}
	return NULL;
}

/* Block @index of @term is committed, and @next behind it, of the same term. */
static struct msg
sought(uint64_t index, uint64_t term, uint32_t next)
{
	struct msg msg = { .kind = MSG_SOUGHT,
			   .sender = THIRD,
			   .boot_no = 1,
			   .term = 5,
			   .sought = { .is_known = true,
				       .index = index,
				       .chain = rig_chain_of(index, term),
				       .next_count = next,
				       .commit_index = index + next } };

	for (uint32_t i = 0; i < next; i++)
		msg.sought.next[i] = rig_chain_of(index + 1 + i, term);
	return msg;
}

static struct core_event
pulled(uint64_t index, uint64_t term)
{
	return (struct core_event){ .kind = CORE_EVENT_RECEIVED,
				    .flag = true,
				    .block = { index, term, 0, BLOCK_COMMANDS,
					       rig_chain_of(index, term) } };
}

static void
test_asks_only_without_a_master(void **state)
{
	struct rig *rig = rig_cut_off(4);

	(void)state;
	for (uint64_t round = 2; round < 200; round++) {
		assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 5, round)), TERN_OK);
		assert_null(rig_sent(rig, MSG_SEEK));
		rig_tick(rig, 5 * MS);
		assert_null(rig_sent(rig, MSG_SEEK));
	}
	const struct msg *ask = next_question(rig);
	assert_non_null(ask);
	assert_int_equal(ask->seek.low_index, 2);
	assert_true(hash128_equal(ask->seek.low_chain, rig_chain_of(2, 3)));
	assert_int_equal(ask->seek.index, 4);
	/* An answer that comes when a master is there again is of no use any more. */
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 5, 500)), TERN_OK);
	assert_int_equal(rig_deliver(rig, sought(4, 3, 2)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_PULL));
	assert_int_equal(core_view(rig->core)->commit_index, 2);
	rig_free(rig);
}

static void
test_both_others_are_asked(void **state)
{
	struct rig *rig = rig_cut_off(4);
	uint64_t asked = 0;

	(void)state;
	for (uint32_t i = 0; i < 6; i++) {
		assert_non_null(next_question(rig));
		for (uint32_t e = 0; e < rig->effects.count; e++)
			if (rig->effects.list[e].kind == CORE_EFFECT_SEND &&
			    rig->effects.list[e].msg.kind == MSG_SEEK)
				asked |= UINT64_C(1) << rig->effects.list[e].node;
	}
	assert_int_equal(asked, 1u << PEER | 1u << THIRD);
	rig_free(rig);
}

static void
test_what_is_held_is_committed_and_what_follows_is_pulled(void **state)
{
	struct rig *rig = rig_cut_off(4);

	(void)state;
	assert_non_null(next_question(rig));
	assert_int_equal(rig_deliver(rig, sought(4, 3, 2)), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 4);
	const struct core_effect *effect = rig_effect_of(rig, CORE_EFFECT_PULL);
	assert_non_null(effect);
	assert_int_equal(effect->node, THIRD);
	assert_int_equal(effect->index, 5);
	assert_int_equal(effect->msg.sought.next_count, 2);
	/* Nothing but that very block, the next one first. */
	assert_false(core_takes_pulled(rig->core, 6, rig_chain_of(6, 3)));
	assert_false(core_takes_pulled(rig->core, 5, rig_chain_of(5, 4)));
	assert_int_equal(rig_step(rig, pulled(5, 4)), TERN_ERR_MALFORMED);
	assert_true(core_takes_pulled(rig->core, 5, rig_chain_of(5, 3)));
	assert_int_equal(rig_step(rig, pulled(5, 3)), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_PERSIST)->index, 5);
	assert_int_equal(core_view(rig->core)->commit_index, 5);
	assert_true(core_takes_pulled(rig->core, 6, rig_chain_of(6, 3)));
	assert_int_equal(rig_step(rig, pulled(6, 3)), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 6);
	/* And on, at once. Nothing of it is acknowledged: the log was not matched in this term. */
	assert_non_null(rig_sent(rig, MSG_SEEK));
	assert_null(rig_sent(rig, MSG_APPEND_ACK));
	assert_false(core_takes_pulled(rig->core, 7, rig_chain_of(7, 3)));
	rig_free(rig);
}

/* Blocks 3 to 20 are of a history that came to nothing: it is cut where the two part. */
static void
test_a_tail_is_cut_on_evidence_only(void **state)
{
	struct rig *rig = rig_cut_off(20);
	const struct msg *ask = next_question(rig);
	uint64_t parts_at = 0;

	(void)state;
	for (uint32_t i = 0; i < 12 && ask != NULL; i++) {
		const uint64_t index = ask->seek.index;
		/* Up to block 7 it is the committed one. */
		const struct msg answer = index <= 7 ? sought(index, 3, 0) : sought(index, 4, 0);
		struct msg told = answer;
		told.sought.commit_index = 40;
		told.sought.next_count = MSG_NEXT_MAX;
		for (uint32_t n = 0; n < MSG_NEXT_MAX; n++)
			told.sought.next[n] =
			    rig_chain_of(index + 1 + n, index + 1 + n <= 7 ? 3 : 4);
		assert_int_equal(rig_deliver(rig, told), TERN_OK);
		if (rig_effect_of(rig, CORE_EFFECT_CUT) != NULL) {
			parts_at = rig_effect_of(rig, CORE_EFFECT_CUT)->index;
			break;
		}
		ask = rig_sent(rig, MSG_SEEK);
	}
	assert_int_equal(parts_at, 7);
	assert_int_equal(core_view(rig->core)->commit_index, 7);
	/* While it is being cut nobody is asked, and no block taken. */
	rig_tick(rig, 100 * MS);
	assert_null(rig_sent(rig, MSG_SEEK));
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_CUT_DONE, .index = 7 }), TERN_OK);
	/* It says nothing of a master: the log counts for nobody as matched. */
	assert_null(rig_effect_of(rig, CORE_EFFECT_ACCEPT));
	assert_int_equal(core_view(rig->core)->last_index, 7);
	rig_free(rig);
}

static void
test_committed_blocks_are_never_cut(void **state)
{
	struct rig *rig = rig_cut_off(4);

	(void)state;
	assert_non_null(next_question(rig));
	struct msg told = sought(2, 3, 1);
	assert_int_equal(rig_deliver(rig, sought(2, 4, 1)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_CUT));
	assert_null(rig_effect_of(rig, CORE_EFFECT_PULL));
	/* Nor blocks of the own term, which only a broken node could contradict. */
	told = sought(4, 3, 0);
	assert_int_equal(rig_deliver(rig, told), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 4);
	rig_free(rig);
}

/* With a log that was matched in this term, blocks of the master go on behind those pulled. */
static void
test_a_match_stays(void **state)
{
	struct rig *rig = rig_cut_off(4);

	(void)state;
	assert_int_equal(rig_deliver(rig, rig_probe(5, 4, 3, 3, 4)), TERN_OK);
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_ACCEPT));
	assert_non_null(next_question(rig));
	assert_int_equal(rig_deliver(rig, sought(4, 3, 1)), TERN_OK);
	assert_int_equal(rig_step(rig, pulled(5, 3)), TERN_OK);
	const struct core_effect *effect = rig_effect_of(rig, CORE_EFFECT_ACCEPT);
	assert_non_null(effect);
	assert_int_equal(effect->node, PEER);
	assert_int_equal(effect->index, 6);
	/* It is told as soon as it is heard again: its stream goes by that. */
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 5, 9)), TERN_OK);
	const struct msg *ack = rig_sent(rig, MSG_APPEND_ACK);
	assert_non_null(ack);
	assert_int_equal(ack->append_ack.received_index, 5);
	rig_free(rig);
}

static void
test_only_what_is_committed_is_told(void **state)
{
	struct rig *rig = rig_cut_off(9);
	struct msg ask = { .kind = MSG_SEEK,
			   .sender = THIRD,
			   .boot_no = 1,
			   .term = 9,
			   .seek = {
			       .low_index = 1, .low_chain = rig_chain_of(1, 3), .index = 8 } };

	(void)state;
	assert_int_equal(rig_deliver(rig, ask), TERN_OK);
	const struct msg *told = rig_sent(rig, MSG_SOUGHT);
	assert_non_null(told);
	assert_true(told->sought.is_known);
	assert_int_equal(told->sought.index, 2);
	assert_int_equal(told->sought.next_count, 0);
	assert_int_equal(told->sought.commit_index, 2);
	/* A question unseats nobody. */
	assert_int_equal(core_view(rig->core)->term, 5);
	assert_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_META));
	/* Who is further, or of another history, is told nothing. */
	ask.seek.low_index = 3;
	ask.seek.low_chain = rig_chain_of(3, 3);
	assert_int_equal(rig_deliver(rig, ask), TERN_OK);
	assert_false(rig_sent(rig, MSG_SOUGHT)->sought.is_known);
	ask.seek.low_index = 1;
	ask.seek.low_chain = rig_chain_of(1, 4);
	assert_int_equal(rig_deliver(rig, ask), TERN_OK);
	assert_false(rig_sent(rig, MSG_SOUGHT)->sought.is_known);
	/* A stranger is not answered. */
	ask.sender = 9;
	assert_int_equal(rig_deliver(rig, ask), TERN_ERR_MALFORMED);
	rig_free(rig);
}

/* A master holds another block where this node has a committed one. */
static void
test_who_is_contradicted_tells_nothing(void **state)
{
	struct rig *rig = rig_cut_off(4);
	const struct msg ask = {
		.kind = MSG_SEEK,
		.sender = THIRD,
		.boot_no = 1,
		.term = 5,
		.seek = { .low_index = 1, .low_chain = rig_chain_of(1, 3), .index = 2 }
	};

	(void)state;
	assert_int_equal(rig_deliver(rig, ask), TERN_OK);
	assert_non_null(rig_sent(rig, MSG_SOUGHT));
	assert_int_equal(rig_deliver(rig, rig_probe(5, 1, 3, 4, 6)), TERN_OK);
	assert_true(core_view(rig->core)->is_quarantined);
	assert_int_equal(rig_deliver(rig, ask), TERN_OK);
	assert_null(rig_sent(rig, MSG_SOUGHT));
	rig_free(rig);
}

/* Whose log begins behind what is asked for names its checkpoint, and the other one takes it. */
static void
test_a_checkpoint_is_named(void **state)
{
	struct rig *rig = rig_cut_off(4);
	struct msg told = { .kind = MSG_SOUGHT,
			    .sender = THIRD,
			    .boot_no = 1,
			    .term = 5,
			    .sought = { .commit_index = 41,
					.checkpoint_index = 40,
					.checkpoint_term = 4,
					.checkpoint_kind = BLOCK_COMMANDS,
					.checkpoint_chain = rig_chain_of(40, 4) } };
	const struct core_event install = {
		.kind = CORE_EVENT_INSTALL,
		.block = { 40, 4, 0, BLOCK_COMMANDS, rig_chain_of(40, 4) },
	};

	(void)state;
	assert_int_equal(rig_deliver(rig, rig_probe(5, 4, 3, 3, 4)), TERN_OK);
	assert_non_null(next_question(rig));
	assert_int_equal(rig_deliver(rig, told), TERN_OK);
	const struct core_effect *effect = rig_effect_of(rig, CORE_EFFECT_INSTALL);
	assert_non_null(effect);
	assert_int_equal(effect->node, THIRD);
	assert_int_equal(effect->block.log_index, 40);
	/* The master is back before it is there: its log goes on where it was, and nothing is
	 * fetched any more. */
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 5, 7)), TERN_OK);
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_ACCEPT));
	assert_non_null(rig_sent(rig, MSG_APPEND_ACK));
	assert_int_equal(rig_step(rig, install), TERN_ERR_MALFORMED);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 5, 8)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_ACCEPT));
	assert_non_null(next_question(rig));
	told.sought.commit_index = 39;
	assert_int_equal(rig_deliver(rig, told), TERN_ERR_MALFORMED);
	assert_int_equal(rig_step(rig, install), TERN_OK);
	assert_null(next_question(rig));
	rig_free(rig);
}

/* Others may have what it lost, block by block; a checkpoint in its place would cost its vote. */
static void
test_who_forgot_waits_for_a_master(void **state)
{
	struct rig *rig = rig_cut_off_as(4, true);
	struct msg told = sought(4, 3, 2);

	(void)state;
	assert_null(next_question(rig));
	assert_int_equal(rig_deliver(rig, told), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_PULL));
	assert_int_equal(core_view(rig->core)->commit_index, 2);
	told.sought = (struct msg_sought){ .commit_index = 41,
					   .checkpoint_index = 40,
					   .checkpoint_term = 4,
					   .checkpoint_kind = BLOCK_COMMANDS,
					   .checkpoint_chain = rig_chain_of(40, 4) };
	assert_int_equal(rig_deliver(rig, told), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_INSTALL));
	rig_free(rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asks_only_without_a_master),
		cmocka_unit_test(test_both_others_are_asked),
		cmocka_unit_test(test_what_is_held_is_committed_and_what_follows_is_pulled),
		cmocka_unit_test(test_a_tail_is_cut_on_evidence_only),
		cmocka_unit_test(test_committed_blocks_are_never_cut),
		cmocka_unit_test(test_a_match_stays),
		cmocka_unit_test(test_only_what_is_committed_is_told),
		cmocka_unit_test(test_who_is_contradicted_tells_nothing),
		cmocka_unit_test(test_a_checkpoint_is_named),
		cmocka_unit_test(test_who_forgot_waits_for_a_master),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
