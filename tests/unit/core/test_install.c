/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint in place of the log, and a node that lost its storage. */
#include "tests/unit/core/rig.h"

static struct msg
offer(uint64_t term, uint64_t log_index, uint64_t of_term, uint64_t commit_index)
{
	return (struct msg){ .kind = MSG_CHECKPOINT,
			     .sender = PEER,
			     .boot_no = 1,
			     .term = term,
			     .checkpoint = { .log_index = log_index,
					     .term = of_term,
					     .kind = BLOCK_COMMANDS,
					     .chain = rig_chain_of(log_index, of_term),
					     .commit_index = commit_index,
					     .base_index = log_index } };
}

static struct core_event
install(uint64_t log_index, uint64_t of_term)
{
	return (struct core_event){ .kind = CORE_EVENT_INSTALL,
				    .block = { log_index, of_term, 0, BLOCK_COMMANDS,
					       rig_chain_of(log_index, of_term) } };
}

/* A replica of term 5 with blocks 1..@count of term 3, the first two of them committed. */
static struct rig *
rig_replica(uint64_t count)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	config.term = 5;
	rig_start(rig, &config);
	rig_recover(rig, count, 3);
	struct msg beat = rig_heartbeat(PEER, 5, 1);
	beat.heartbeat.commit_index = 2;
	beat.heartbeat.commit_chain = rig_chain_of(2, 3);
	assert_int_equal(rig_deliver(rig, beat), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 2);
	return rig;
}

static void
test_what_the_log_does_not_reach_is_fetched(void **state)
{
	struct rig *rig = rig_replica(4);

	(void)state;
	assert_int_equal(rig_deliver(rig, offer(5, 40, 4, 41)), TERN_OK);
	const struct core_effect *effect = rig_effect_of(rig, CORE_EFFECT_INSTALL);
	assert_non_null(effect);
	assert_int_equal(effect->node, PEER);
	assert_int_equal(effect->block.log_index, 40);
	assert_int_equal(effect->block.term, 4);
	/* Until it is to be made durable this node answers as ever; then nobody any more. */
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 5, 2)), TERN_OK);
	assert_non_null(rig_sent(rig, MSG_HEARTBEAT_ACK));
	assert_int_equal(rig_step(rig, install(40, 4)), TERN_OK);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 5, 3)), TERN_OK);
	assert_null(rig_sent(rig, MSG_HEARTBEAT_ACK));
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 6, 6, 9, 99)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_META));
	rig_tick(rig, 500 * MS);
	assert_int_equal(core_view(rig->core)->role, CORE_FOLLOWER);
	assert_int_equal(rig_step(rig, install(40, 4)), TERN_ERR_BUSY);
	rig_free(rig);
}

static void
test_uncommitted_and_old_ones_are_refused(void **state)
{
	struct rig *rig = rig_replica(4);

	(void)state;
	/* Not committed there. */
	assert_int_equal(rig_deliver(rig, offer(5, 40, 4, 39)), TERN_ERR_MALFORMED);
	/* Of a term that there was not yet; of no kind of block; of no block. */
	assert_int_equal(rig_deliver(rig, offer(5, 40, 6, 41)), TERN_ERR_MALFORMED);
	struct msg bad = offer(5, 40, 4, 41);
	bad.checkpoint.kind = 77;
	assert_int_equal(rig_deliver(rig, bad), TERN_ERR_MALFORMED);
	assert_int_equal(rig_deliver(rig, offer(5, 0, 4, 41)), TERN_ERR_MALFORMED);
	/* This node has committed as much. */
	assert_int_equal(rig_deliver(rig, offer(5, 2, 4, 41)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_INSTALL));
	/* Of a master that is none any more; of a witness. */
	assert_int_equal(rig_deliver(rig, offer(4, 40, 4, 41)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_INSTALL));
	bad = offer(5, 40, 4, 41);
	bad.sender = WITNESS;
	assert_int_equal(rig_deliver(rig, bad), TERN_ERR_MALFORMED);
	rig_free(rig);
}

/* What lies behind the offered block may have been acknowledged, if it is that block. */
static void
test_a_tail_that_may_count_is_kept(void **state)
{
	struct rig *rig = rig_replica(10);

	(void)state;
	assert_int_equal(rig_deliver(rig, offer(5, 8, 3, 20)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_INSTALL));
	assert_int_equal(rig_step(rig, install(8, 3)), TERN_ERR_MALFORMED);
	/* Another block 8: what follows it here can never commit. */
	assert_int_equal(rig_deliver(rig, offer(5, 8, 4, 20)), TERN_OK);
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_INSTALL));
	assert_int_equal(rig_step(rig, install(8, 4)), TERN_OK);
	rig_free(rig);
}

static void
test_a_log_that_was_matched_is_not_given_up(void **state)
{
	struct rig *rig = rig_replica(4);

	(void)state;
	assert_int_equal(rig_deliver(rig, offer(5, 40, 4, 41)), TERN_OK);
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_INSTALL));
	assert_int_equal(rig_deliver(rig, rig_probe(5, 4, 3, 4, 50)), TERN_OK);
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_ACCEPT));
	assert_int_equal(rig_step(rig, install(40, 4)), TERN_ERR_MALFORMED);
	/* A new term is being written: ask again. */
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 6, 1)), TERN_OK);
	const uint64_t op_id = rig_effect_of(rig, CORE_EFFECT_PERSIST_META)->op_id;
	assert_int_equal(rig_step(rig, install(40, 4)), TERN_ERR_BUSY);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_META_DURABLE, .op_id = op_id }),
	    TERN_OK);
	assert_int_equal(rig_step(rig, install(40, 4)), TERN_OK);
	rig_free(rig);
}

/* A probe and an offer leave together. Whose log has grown meanwhile, past where the master's
 * begins, is matched by the one, and loses that by the other only if it was not enough: nobody
 * would find the match again in this term. */
static void
test_an_offer_takes_no_match_from_who_has_enough(void **state)
{
	struct rig *rig = rig_replica(4);
	struct msg late = offer(5, 40, 4, 41);

	(void)state;
	assert_int_equal(rig_deliver(rig, rig_probe(5, 4, 3, 4, 50)), TERN_OK);
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_ACCEPT));
	late.checkpoint.base_index = 4;
	assert_int_equal(rig_deliver(rig, late), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_INSTALL));
	assert_null(rig_effect_of(rig, CORE_EFFECT_ACCEPT_STOP));
	late.checkpoint.base_index = 5;
	assert_int_equal(rig_deliver(rig, late), TERN_OK);
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_ACCEPT_STOP));
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_INSTALL));
	rig_free(rig);
}

/* Elected by the witness, with a log that begins behind block 30 and holds one more; the peer's
 * ends at 3. */
static void
test_a_master_offers_what_its_log_lacks(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);
	const struct block_meta base = { 30, 2, 0, BLOCK_COMMANDS, rig_chain_of(30, 2) };
	struct block_meta block = { 31, 2, 0, BLOCK_COMMANDS, rig_chain_of(31, 2) };
	struct msg ack = { .sender = PEER, .boot_no = 1, .term = 2 };

	(void)state;
	config.term = 2;
	rig_start(rig, &config);
	assert_int_equal(core_recover_base(rig->core, &base), TERN_OK);
	assert_int_equal(core_recover_block(rig->core, &block, 31), TERN_OK);
	for (int i = 0; i < 100 && rig_sent(rig, MSG_PREVOTE) == NULL; i++)
		rig_tick(rig, MS);
	ack.kind = MSG_PREVOTE_ACK;
	ack.vote_ack.for_term = 3;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	rig_persist(rig);
	ack.kind = MSG_VOTE_ACK;
	ack.term = 3;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	block = (struct block_meta){ 32, 3, 0, BLOCK_BARRIER, rig_chain_of(32, 3) };
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_APPENDED, .block = block }),
	    TERN_OK);
	const struct msg *probe = rig_sent(rig, MSG_APPEND);
	for (int i = 0; i < 8 && probe != NULL; i++) {
		ack = (struct msg){ .kind = MSG_APPEND_ACK,
				    .sender = PEER,
				    .boot_no = 1,
				    .term = 3,
				    .append_ack = { .status = MSG_APPEND_CONFLICT,
						    .probe_index = probe->append.prev_index,
						    .last_index = 3 } };
		assert_int_equal(rig_deliver(rig, ack), TERN_OK);
		probe = rig_sent(rig, MSG_APPEND);
	}
	/* There is none yet; then it is offered on every beat. */
	rig_tick(rig, 4 * MS);
	assert_null(rig_sent(rig, MSG_CHECKPOINT));
	core_note_checkpoint(rig->core, &base);
	const struct msg *offered = NULL;
	for (int i = 0; i < 4 && offered == NULL; i++) {
		rig_tick(rig, MS);
		offered = rig_sent(rig, MSG_CHECKPOINT);
	}
	assert_non_null(offered);
	assert_int_equal(offered->checkpoint.log_index, 30);
	assert_int_equal(offered->checkpoint.commit_index, 31);
	assert_int_equal(offered->checkpoint.base_index, 30);
	rig_free(rig);
}

/* ---- new storage ---- */

#define THIRD  4
#define FOURTH 5

/* A data node names the pair and its witness, as of birth. */
static struct msg
answer(const struct msg *ask, uint16_t sender, uint64_t term, uint32_t peer_boot_no)
{
	struct msg msg = { .kind = MSG_REJOIN_ACK,
			   .sender = sender,
			   .boot_no = 1,
			   .term = term,
			   .rejoin_ack = { .nonce = ask->rejoin.nonce,
					   .peer_boot_no = peer_boot_no } };

	msg.rejoin_ack.witness_gen = 1;
	if (sender == WITNESS)
		return msg;
	msg.rejoin_ack.voters = 1u << SELF | 1u << PEER;
	msg.rejoin_ack.witness_id = WITNESS;
	return msg;
}

static void
test_all_others_are_asked_first(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	(void)state;
	config.is_rejoining = true;
	rig_start(rig, &config);
	assert_true(core_view(rig->core)->is_rejoining);
	rig_tick(rig, MS);
	const struct msg ask = *rig_sent(rig, MSG_REJOIN);
	assert_int_equal(core_view(rig->core)->rejoin_missing, 1u << PEER | 1u << WITNESS);
	/* It answers nobody anything, and is no candidate. */
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 7, 1)), TERN_OK);
	assert_null(rig_sent(rig, MSG_HEARTBEAT_ACK));
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 8, 8, 1, 1)), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	rig_tick(rig, 300 * MS);
	assert_int_equal(core_view(rig->core)->term, 0);
	/* The answer to another start does not count. */
	struct msg other = answer(&ask, PEER, 7, 4);
	other.rejoin_ack.nonce ^= 1;
	assert_int_equal(rig_deliver(rig, other), TERN_OK);
	assert_int_equal(rig_deliver(rig, answer(&ask, WITNESS, 9, 2)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_REJOIN));
	rig_tick(rig, MS);
	assert_int_equal(core_view(rig->core)->rejoin_missing, 1u << PEER);
	/* The register that others go by is another one, which may know of a higher term. */
	struct msg newer = answer(&ask, PEER, 7, 4);
	newer.rejoin_ack.witness_gen = 2;
	assert_int_equal(rig_deliver(rig, newer), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_REJOIN));
	rig_tick(rig, MS);
	assert_int_equal(core_view(rig->core)->rejoin_missing, 1u << WITNESS);
	rig_free(rig);
	rig = rig_new();
	config = rig_config_of(rig);
	config.is_rejoining = true;
	rig_start(rig, &config);
	rig_tick(rig, MS);
	const struct msg again = *rig_sent(rig, MSG_REJOIN);
	assert_int_equal(rig_deliver(rig, answer(&again, WITNESS, 9, 2)), TERN_OK);
	assert_int_equal(rig_deliver(rig, answer(&again, PEER, 7, 4)), TERN_OK);
	const struct core_effect *effect = rig_effect_of(rig, CORE_EFFECT_REJOIN);
	assert_non_null(effect);
	assert_int_equal(effect->term, 9);
	assert_int_equal(effect->voted_for, SELF); /* its vote of that term is used up */
	assert_int_equal(effect->index, 4);
	assert_int_equal(effect->members.voters, 1u << SELF | 1u << PEER);
	rig_free(rig);
}

static struct rig *
rig_rejoining(struct msg *ask)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	config.is_rejoining = true;
	config.known_nodes = config.data_nodes | 1u << THIRD;
	rig_start(rig, &config);
	rig_tick(rig, MS);
	*ask = *rig_sent(rig, MSG_REJOIN);
	return rig;
}

/* Its node file is from before the third node was a voter. */
static void
test_the_answers_say_who_is_asked(void **state)
{
	struct msg ask;
	struct rig *rig = rig_rejoining(&ask);
	struct msg named = answer(&ask, PEER, 7, 4);

	(void)state;
	named.rejoin_ack.config_index = 20;
	named.rejoin_ack.voters |= 1u << THIRD;
	assert_int_equal(rig_deliver(rig, answer(&ask, WITNESS, 3, 2)), TERN_OK);
	assert_int_equal(rig_deliver(rig, named), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_REJOIN));
	rig_tick(rig, MS);
	assert_int_equal(core_view(rig->core)->rejoin_missing, 1u << THIRD);
	/* That one knows of an older one only; it is asked for its term all the same. */
	assert_int_equal(rig_deliver(rig, answer(&ask, THIRD, 9, 1)), TERN_OK);
	const struct core_effect *effect = rig_effect_of(rig, CORE_EFFECT_REJOIN);
	assert_non_null(effect);
	assert_int_equal(effect->term, 9);
	assert_int_equal(effect->members.config_index, 20);
	assert_int_equal(effect->members.voters, 1u << SELF | 1u << PEER | 1u << THIRD);
	rig_free(rig);
}

/* Nobody named one, it may be committed, or names a node that this one cannot ask: it waits. */
static void
test_too_few_are_not_enough(void **state)
{
	struct msg ask;
	struct rig *rig = rig_rejoining(&ask);
	struct msg named = answer(&ask, PEER, 7, 4);

	(void)state;
	named.rejoin_ack.voters = 0;
	named.rejoin_ack.witness_id = 0;
	assert_int_equal(rig_deliver(rig, named), TERN_OK);
	assert_int_equal(rig_deliver(rig, answer(&ask, WITNESS, 3, 2)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_REJOIN));
	named.rejoin_ack.voters = 1u << SELF | 1u << PEER;
	assert_int_equal(rig_deliver(rig, named), TERN_ERR_MALFORMED); /* and no witness */
	named.rejoin_ack.witness_id = WITNESS;
	named.rejoin_ack.next_voters = 1u << SELF | 1u << PEER | 1u << THIRD;
	assert_int_equal(rig_deliver(rig, named), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_REJOIN));
	named.rejoin_ack.next_voters = 1u << FOURTH;
	assert_int_equal(rig_deliver(rig, named), TERN_OK);
	assert_int_equal(rig_deliver(rig, answer(&ask, THIRD, 9, 1)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_REJOIN));
	rig_tick(rig, MS);
	assert_int_equal(core_view(rig->core)->rejoin_missing, 1u << FOURTH);
	rig_free(rig);
}

/* A machine that was removed long ago names the pair of before; the witness knows better. */
static void
test_what_the_witness_was_told_of_has_to_be_named(void **state)
{
	struct msg ask;
	struct rig *rig = rig_rejoining(&ask);
	struct msg told = answer(&ask, WITNESS, 3, 2), named = answer(&ask, THIRD, 9, 1);

	(void)state;
	told.rejoin_ack.config_index = 20;
	assert_int_equal(rig_deliver(rig, told), TERN_OK);
	assert_int_equal(rig_deliver(rig, answer(&ask, PEER, 7, 4)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_REJOIN));
	rig_tick(rig, MS);
	assert_int_equal(core_view(rig->core)->rejoin_missing, 1u << THIRD);
	named.rejoin_ack.config_index = 20;
	named.rejoin_ack.voters |= 1u << THIRD;
	assert_int_equal(rig_deliver(rig, named), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_REJOIN)->term, 9);
	rig_free(rig);

	/* And it names those that its register names. */
	rig = rig_rejoining(&ask);
	told = answer(&ask, WITNESS, 3, 2);
	told.rejoin_ack.next_voters = 1u << SELF | 1u << THIRD | 1u << WITNESS;
	assert_int_equal(rig_deliver(rig, told), TERN_OK);
	assert_int_equal(rig_deliver(rig, answer(&ask, PEER, 7, 4)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_REJOIN));
	assert_int_equal(rig_deliver(rig, answer(&ask, THIRD, 9, 1)), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_REJOIN)->term, 9);
	rig_free(rig);
}

static void
test_who_knows_answers(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);
	const struct msg ask = { .kind = MSG_REJOIN, .sender = PEER, .rejoin = { 0xabcdef } };

	(void)state;
	config.term = 12;
	rig_start(rig, &config);
	struct msg beat = rig_heartbeat(PEER, 12, 1);
	beat.boot_no = 6;
	assert_int_equal(rig_deliver(rig, beat), TERN_OK);
	assert_int_equal(rig_deliver(rig, ask), TERN_OK);
	const struct msg *ack = rig_sent(rig, MSG_REJOIN_ACK);
	assert_non_null(ack);
	assert_int_equal(ack->term, 12);
	assert_int_equal(ack->rejoin_ack.nonce, 0xabcdef);
	assert_int_equal(ack->rejoin_ack.peer_boot_no, 6);
	assert_int_equal(ack->rejoin_ack.voters, 1u << SELF | 1u << PEER);
	assert_int_equal(ack->rejoin_ack.next_voters, 0);
	/* Whoever does not know its boot_no says nothing else, and the other way round. */
	beat.boot_no = 0;
	assert_int_equal(rig_deliver(rig, beat), TERN_ERR_MALFORMED);
	struct msg known = ask;
	known.boot_no = 7;
	assert_int_equal(rig_deliver(rig, known), TERN_ERR_MALFORMED);
	/* What is being written is not yet so. */
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 13, 1)), TERN_OK);
	assert_int_equal(rig_deliver(rig, ask), TERN_OK);
	assert_null(rig_sent(rig, MSG_REJOIN_ACK));
	rig_free(rig);

	rig = rig_new();
	config = rig_witness_of(rig);
	config.reg.term = 8;
	rig_start(rig, &config);
	assert_int_equal(rig_deliver(rig, ask), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_REJOIN_ACK)->term, 8);
	assert_int_equal(rig_sent(rig, MSG_REJOIN_ACK)->rejoin_ack.voters, 0);
	rig_free(rig);

	/* It may have forgotten a configuration as well. */
	rig = rig_new();
	config = rig_config_of(rig);
	config.is_forgetful = true;
	config.is_first_boot = false;
	rig_start(rig, &config);
	assert_int_equal(rig_deliver(rig, ask), TERN_OK);
	assert_null(rig_sent(rig, MSG_REJOIN_ACK));
	rig_free(rig);

	rig = rig_new();
	config = rig_witness_of(rig);
	config.is_amnesiac = true;
	rig_start(rig, &config);
	assert_int_equal(rig_deliver(rig, ask), TERN_OK);
	assert_null(rig_sent(rig, MSG_REJOIN_ACK));
	rig_free(rig);
}

static void
test_new_storage_has_no_vote(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	(void)state;
	config.is_forgetful = true;
	config.is_first_boot = false;
	config.boot_no = 5;
	config.term = 9;
	config.voted_for = SELF;
	rig_start(rig, &config);
	rig_tick(rig, 400 * MS);
	assert_int_equal(core_view(rig->core)->role, CORE_FOLLOWER);
	assert_int_equal(core_view(rig->core)->term, 9);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 10, 10, 9, 99)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_QUIET);
	rig_free(rig);
	/* Alone, or as a witness, there is nobody to ask. */
	rig = rig_new();
	config = rig_config_of(rig);
	config.is_rejoining = true;
	config.data_nodes = 1u << SELF;
	config.witness_id = 0;
	assert_int_equal(core_init(rig->memory, &config, &rig->core), TERN_ERR_CONFIG);
	config = rig_witness_of(rig);
	config.is_rejoining = true;
	assert_int_equal(core_init(rig->memory, &config, &rig->core), TERN_ERR_CONFIG);
	rig_free(rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_log_does_not_reach_is_fetched),
		cmocka_unit_test(test_uncommitted_and_old_ones_are_refused),
		cmocka_unit_test(test_a_tail_that_may_count_is_kept),
		cmocka_unit_test(test_a_log_that_was_matched_is_not_given_up),
		cmocka_unit_test(test_an_offer_takes_no_match_from_who_has_enough),
		cmocka_unit_test(test_a_master_offers_what_its_log_lacks),
		cmocka_unit_test(test_all_others_are_asked_first),
		cmocka_unit_test(test_the_answers_say_who_is_asked),
		cmocka_unit_test(test_too_few_are_not_enough),
		cmocka_unit_test(test_what_the_witness_was_told_of_has_to_be_named),
		cmocka_unit_test(test_who_knows_answers),
		cmocka_unit_test(test_new_storage_has_no_vote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
