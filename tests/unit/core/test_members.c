/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as a function of the log, and learners: single steps. */
#include "tests/unit/core/members_rig.h"

static void
test_judgement(void **state)
{
	struct rig *rig = members_master_unserving();
	const struct membership birth = members_of(0, 0), with = members_of(0, 1u << GUEST);
	struct membership wrong = members_of(0, 1u << 9);

	(void)state;
	assert_int_equal(core_judge_change(rig->core, &with), CORE_CHANGE_NOT_MASTER);
	members_commit_blocks(rig, 1);
	assert_int_equal(core_judge_change(rig->core, &with), CORE_CHANGE_ALLOWED);
	assert_int_equal(core_judge_change(rig->core, &birth), CORE_CHANGE_NOTHING);
	assert_int_equal(core_judge_change(rig->core, &wrong), CORE_CHANGE_UNKNOWN);
	wrong = birth;
	wrong.voters |= 1u << GUEST; /* no learner */
	assert_int_equal(core_judge_change(rig->core, &wrong), CORE_CHANGE_BEHIND);
	wrong.voters = 1u << SELF;
	assert_int_equal(core_judge_change(rig->core, &wrong), CORE_CHANGE_THERE);
	wrong = birth;
	wrong.witness_gen = 2;
	assert_int_equal(core_judge_change(rig->core, &wrong), CORE_CHANGE_VOTERS);
	rig_free(rig);
}

static void
test_a_change_is_effective_when_appended(void **state)
{
	struct rig *rig = members_master();
	const struct membership birth = members_of(0, 0), with = members_of(2, 1u << GUEST);
	const struct membership away = members_of(3, 0);

	(void)state;
	assert_int_equal(members_append(rig, BLOCK_CONFIG, NULL, NULL), TERN_ERR_MALFORMED);
	assert_int_equal(members_append(rig, BLOCK_COMMANDS, &with, &birth), TERN_ERR_MALFORMED);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &away, &birth), TERN_ERR_MALFORMED);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &with, &with), TERN_ERR_MALFORMED);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &with, &birth), TERN_OK);
	assert_true(members_is_sent_to(rig, GUEST, MSG_APPEND));
	assert_int_equal(core_view(rig->core)->members.config_index, 2);
	assert_int_equal(core_view(rig->core)->committed_members.config_index, 0);
	/* One at a time. */
	assert_int_equal(core_judge_change(rig->core, &away), CORE_CHANGE_IN_PROGRESS);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &away, &with), TERN_ERR_MALFORMED);
	members_commit_blocks(rig, 2);
	assert_int_equal(core_view(rig->core)->committed_members.learners, 1u << GUEST);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &away, &with), TERN_OK);
	members_beat(rig);
	assert_false(members_is_sent_to(rig, GUEST, MSG_HEARTBEAT));
	rig_free(rig);
}

/* A learner is heard, given what is committed, and counts for nothing. */
static void
test_a_learner_counts_for_nothing(void **state)
{
	struct rig *rig = members_master();
	const struct membership birth = members_of(0, 0), with = members_of(2, 1u << GUEST);

	(void)state;
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &with, &birth), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_APPEND)->append.prev_index, 1);
	members_answer(rig, GUEST, MSG_APPEND_CONFLICT, 1, 0);
	assert_int_equal(rig_sent(rig, MSG_APPEND)->append.prev_index, 0);
	members_answer(rig, GUEST, MSG_APPEND_MATCHED, 0, 0);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_STREAM_START)->node, GUEST);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_STREAM_START)->index, 1);
	assert_int_equal(core_stream_index(rig->core, GUEST), 1);
	assert_int_equal(core_stream_index(rig->core, PEER), 2);
	members_beat(rig);
	assert_true(members_is_sent_to(rig, GUEST, MSG_HEARTBEAT));
	members_answer_round(rig, GUEST);
	members_durable(rig, 2);
	members_answer(rig, GUEST, MSG_APPEND_PROGRESS, 0, 2);
	assert_int_equal(core_view(rig->core)->commit_index, 1);
	assert_int_equal(core_view(rig->core)->memory_commit_index, 1);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_TRANSFER, .node = GUEST }),
	    TERN_ERR_BUSY);
	members_answer(rig, PEER, MSG_APPEND_PROGRESS, 0, 2);
	assert_int_equal(core_view(rig->core)->commit_index, 2);
	assert_int_equal(core_stream_index(rig->core, GUEST), 2);
	/* Its silence is nobody's loss. */
	for (int i = 0; i < 100; i++) {
		rig_tick(rig, 3 * MS);
		if (rig_sent(rig, MSG_HEARTBEAT) != NULL)
			members_answer_round(rig, PEER);
	}
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_DUPLEX);
	rig_free(rig);
}

/* ---- a replica ---- */

static enum tern_err
receive(struct rig *rig, uint64_t term, enum block_kind kind, const struct membership *next,
	const struct membership *before)
{
	const uint64_t index = core_view(rig->core)->last_index + 1;

	return rig_step(
	    rig, (struct core_event){ .kind = CORE_EVENT_RECEIVED,
				      .block = { index, term, 0, kind, rig_chain_of(index, term) },
				      .next = next,
				      .before = before });
}

static struct rig *
follower(const struct core_config *config, struct rig *rig)
{
	rig_start(rig, config);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 1, 1)), TERN_OK);
	assert_int_equal(rig_deliver(rig, rig_probe(1, 0, 0, 1, 9)), TERN_OK);
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_ACCEPT));
	return rig;
}

static void
test_a_cut_takes_the_configuration_along(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = members_config_of(rig, SELF);
	const struct membership birth = members_of(0, 0), with = members_of(2, 1u << GUEST);

	(void)state;
	follower(&config, rig);
	assert_int_equal(receive(rig, 1, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &with, &birth), TERN_OK);
	assert_int_equal(core_view(rig->core)->members.learners, 1u << GUEST);
	members_durable(rig, 2);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 2, 1)), TERN_OK);
	rig_persist(rig);
	assert_int_equal(rig_deliver(rig, rig_probe(2, 1, 1, 2, 2)), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_CUT)->index, 1);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_CUT_DONE, .index = 1 }), TERN_OK);
	assert_int_equal(core_view(rig->core)->members.learners, 0);
	assert_int_equal(core_view(rig->core)->members.config_index, 0);
	rig_free(rig);
}

/* Its commit_index lags behind, and the second change says that the first is committed. */
static void
test_the_change_before_is_committed(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = members_config_of(rig, SELF);
	const struct membership birth = members_of(0, 0), with = members_of(2, 1u << GUEST);
	const struct membership away = members_of(3, 0);

	(void)state;
	follower(&config, rig);
	assert_int_equal(receive(rig, 1, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &with, &birth), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &away, &birth), TERN_ERR_MALFORMED);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &away, &with), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 2);
	assert_int_equal(core_view(rig->core)->committed_members.config_index, 2);
	rig_free(rig);
}

/* Its superblock, or the others, said what the configuration is; its log ends before that. */
static void
test_a_node_that_forgot_is_given_it_again(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = members_config_of(rig, SELF);
	const struct membership birth = members_of(0, 0), with = members_of(2, 1u << GUEST);
	const struct membership away = members_of(3, 0), other = members_of(3, 1u << GUEST);
	const struct membership late = members_of(4, 1u << GUEST);

	(void)state;
	config.is_forgetful = true;
	config.is_first_boot = false;
	config.boot_no = 2;
	config.config_index = 3;
	follower(&config, rig);
	assert_int_equal(receive(rig, 1, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &with, &birth), TERN_OK);
	assert_int_equal(core_view(rig->core)->members.config_index, 3);
	assert_int_equal(core_view(rig->core)->members.learners, 0);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &other, &with), TERN_ERR_MALFORMED);
	/* Whoever asks it is not told of a block that its log does not hold. */
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_PREVOTE, PEER, 1, 2, 1, 9)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_QUIET);
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.config_index, 0);
	/* A cut below it leaves it, for it is committed. */
	members_durable(rig, 2);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 2, 1)), TERN_OK);
	rig_persist(rig);
	assert_int_equal(rig_deliver(rig, rig_probe(2, 1, 1, 2, 9)), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_CUT)->index, 1);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_CUT_DONE, .index = 1 }), TERN_OK);
	assert_int_equal(core_view(rig->core)->members.config_index, 3);
	assert_int_equal(rig_deliver(rig, rig_probe(2, 1, 1, 2, 9)), TERN_OK);
	assert_int_equal(receive(rig, 2, BLOCK_CONFIG, &with, &birth), TERN_OK);
	assert_int_equal(receive(rig, 2, BLOCK_COMMANDS, NULL, NULL), TERN_ERR_MALFORMED);
	assert_int_equal(receive(rig, 2, BLOCK_CONFIG, &away, &with), TERN_OK);
	assert_int_equal(core_view(rig->core)->members.config_index, 3);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	assert_int_equal(receive(rig, 2, BLOCK_CONFIG, &late, &away), TERN_OK);
	assert_int_equal(core_view(rig->core)->members.config_index, 4);
	assert_int_equal(core_view(rig->core)->committed_members.config_index, 3);
	assert_int_equal(core_view(rig->core)->commit_index, 3);
	rig_free(rig);
}

/* Of the last step: all but questions for committed blocks, which anybody may have. */
static uint32_t
effects_of_note(const struct rig *rig)
{
	return rig->effects.count - (rig_sent(rig, MSG_SEEK) != NULL);
}

/* A node that is no voter stands for nothing, answers VOTE as any other, and knows when it is
 * alone.
 */
static void
test_no_voter_never_stands(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = members_config_of(rig, GUEST);

	(void)state;
	follower(&config, rig);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_LEARNER);
	for (int i = 0; i < 2000; i++) {
		rig_tick(rig, MS);
		assert_int_equal(effects_of_note(rig),
				 i == 0 ? effects_of_note(rig)
					: rig_effect_of(rig, CORE_EFFECT_ROLE) != NULL);
	}
	assert_int_equal(core_view(rig->core)->role, CORE_FOLLOWER);
	assert_int_equal(core_view(rig->core)->master_id, 0);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, SELF, 2, 2, 1, 1)), TERN_OK);
	rig_persist(rig);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_GRANTED);
	assert_int_equal(
	    rig_deliver(
		rig,
		(struct msg){ .kind = MSG_TRANSFER_NOW, .sender = SELF, .boot_no = 1, .term = 2 }),
	    TERN_OK);
	assert_int_equal(core_view(rig->core)->role, CORE_FOLLOWER);
	rig_free(rig);
}

/* A guest's own idea of the birth is its node file's; the log knows better. A voter's is not. */
static void
test_a_guest_learns_of_the_birth(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = members_config_of(rig, GUEST);
	struct membership birth = members_of(0, 0), with = members_of(2, 1u << GUEST);

	(void)state;
	birth.witness_gen = with.witness_gen = 7;
	follower(&config, rig);
	assert_int_equal(receive(rig, 1, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &with, &birth), TERN_OK);
	assert_int_equal(core_view(rig->core)->committed_members.witness_gen, 7);
	rig_free(rig);
	rig = rig_new();
	config = members_config_of(rig, SELF);
	follower(&config, rig);
	assert_int_equal(receive(rig, 1, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &with, &birth), TERN_ERR_MALFORMED);
	rig_free(rig);
}

static void
test_recovery(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = members_config_of(rig, SELF);
	const struct membership birth = members_of(0, 0), with = members_of(2, 1u << GUEST);
	const struct block_meta first = { 1, 1, 0, BLOCK_BARRIER, rig_chain_of(1, 1) };
	const struct block_meta second = { 2, 1, 0, BLOCK_CONFIG, rig_chain_of(2, 1) };

	(void)state;
	rig_start(rig, &config);
	assert_int_equal(core_recover_block(rig->core, &first, 0), TERN_OK);
	assert_int_equal(core_recover_members(rig->core, &with, &birth), TERN_ERR_MALFORMED);
	assert_int_equal(core_recover_block(rig->core, &second, 0), TERN_OK);
	assert_int_equal(core_recover_members(rig->core, &with, &with), TERN_ERR_MALFORMED);
	assert_int_equal(core_recover_members(rig->core, &with, &birth), TERN_OK);
	assert_int_equal(core_view(rig->core)->members.learners, 1u << GUEST);
	assert_int_equal(core_view(rig->core)->committed_members.learners, 0);
	assert_int_equal(core_recover_members(rig->core, &with, &birth), TERN_ERR_MALFORMED);
	/* And what storage says of it. */
	config.learners = 1u << GUEST;
	config.config_index = 2;
	rig_start(rig, &config);
	assert_int_equal(core_view(rig->core)->members.config_index, 2);
	config.learners = 1u << 9; /* not known here, and no harm */
	rig_start(rig, &config);
	config.learners = 0;
	config.data_nodes |= 1u << 9;
	struct core *core;
	assert_int_equal(core_init(rig->memory, &config, &core), TERN_ERR_CONFIG);
	config.data_nodes &= ~(1u << 9);
	config.learners = 1u << PEER;
	assert_int_equal(core_init(rig->memory, &config, &core), TERN_ERR_CONFIG);
	rig_free(rig);
}

/* ---- voters ---- */

static struct membership
three(uint64_t index)
{
	struct membership all = members_of(index, 0);

	all.voters |= 1u << GUEST;
	return all;
}

/* @rig, a master, gets a learner: GUEST holds all of it, and blocks 1 and 2 are committed. */
static struct rig *
with_learner(struct rig *rig)
{
	const struct membership birth = members_of(0, 0), with = members_of(2, 1u << GUEST);

	assert_int_equal(members_append(rig, BLOCK_CONFIG, &with, &birth), TERN_OK);
	members_answer(rig, GUEST, MSG_APPEND_CONFLICT, 1, 0);
	members_answer(rig, GUEST, MSG_APPEND_MATCHED, 0, 0);
	members_beat(rig);
	members_answer_round(rig, GUEST);
	members_commit_blocks(rig, 2);
	return rig;
}

static struct rig *
master_with_learner(void)
{
	return with_learner(members_master());
}

static void
three_and_told(bool is_accepted)
{
	struct rig *rig = master_with_learner();
	const struct membership with = members_of(2, 1u << GUEST), all = three(3);
	struct msg ack = { .kind = MSG_REGISTER_ACK, .sender = WITNESS, .boot_no = 1, .term = 2 };
	const struct msg *sent;

	assert_int_equal(core_judge_change(rig->core, &all), CORE_CHANGE_ALLOWED);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &all, &with), TERN_OK);
	assert_true(core_view(rig->core)->is_joint);
	assert_int_equal(core_stream_index(rig->core, GUEST), 3);
	members_durable(rig, 3);
	members_answer(rig, GUEST, MSG_APPEND_PROGRESS, 0, 3);
	assert_int_equal(core_view(rig->core)->commit_index, 2); /* three would do */
	members_answer(rig, PEER, MSG_APPEND_PROGRESS, 0, 3);
	assert_int_equal(core_view(rig->core)->commit_index, 3);
	assert_false(core_view(rig->core)->is_joint);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_MAJORITY);
	/* Now any two of three. */
	assert_int_equal(members_append(rig, BLOCK_COMMANDS, NULL, NULL), TERN_OK);
	members_durable(rig, 4);
	members_answer(rig, GUEST, MSG_APPEND_PROGRESS, 0, 4);
	assert_int_equal(core_view(rig->core)->commit_index, 4);
	/* The witness is told until it has said that it knows. */
	members_beat(rig);
	sent = rig_sent(rig, MSG_REGISTER);
	assert_non_null(sent);
	assert_int_equal(sent->register_.what, MSG_REGISTER_RETIRE);
	assert_int_equal(sent->register_.config_index, 3);
	assert_true(hash128_equal(sent->register_.config_chain, rig_chain_of(3, 2)));
	ack.register_ack.what = MSG_REGISTER_RETIRE;
	ack.register_ack.is_accepted = is_accepted;
	ack.register_ack.config_index = 2; /* of another one */
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	members_beat(rig);
	assert_non_null(rig_sent(rig, MSG_REGISTER));
	ack.register_ack.config_index = 3;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	for (int i = 0; i < 10; i++) {
		rig_tick(rig, MS);
		assert_null(rig_sent(rig, MSG_REGISTER));
	}
	rig_free(rig);
}

static void
test_a_joint_commit_needs_both(void **state)
{
	(void)state;
	three_and_told(true);
	/* It had entered for a change that did not come. */
	three_and_told(false);
}

/* Three become two: the witness first. */
static void
test_the_witness_enters_first(void **state)
{
	struct rig *rig = master_with_learner();
	const struct membership with = members_of(2, 1u << GUEST), all = three(3);
	struct membership two = members_of(0, 1u << GUEST);
	struct msg ack = { .kind = MSG_REGISTER_ACK, .sender = WITNESS, .boot_no = 1, .term = 2 };
	const struct msg *sent;

	(void)state;
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &all, &with), TERN_OK);
	members_answer(rig, GUEST, MSG_APPEND_PROGRESS, 0, 3);
	members_commit_blocks(rig, 3);
	two.voters = 1u << PEER | 1u << GUEST;
	two.learners = 0;
	assert_int_equal(core_judge_change(rig->core, &two), CORE_CHANGE_SELF);
	two = members_of(5, 1u << GUEST);
	assert_int_equal(core_judge_change(rig->core, &two), CORE_CHANGE_ENTERING);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_ENTER, .next = &two }), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_APPEND_BARRIER)->epoch, 1);
	assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_APPENDED,
							    .block = { 4, 2, 1, BLOCK_BARRIER,
								       rig_chain_of(4, 2) } }),
			 TERN_OK);
	members_beat(rig);
	assert_null(rig_sent(rig, MSG_REGISTER)); /* its barrier has not committed */
	members_commit_blocks(rig, 4);
	for (int i = 0; i < 10 && rig_sent(rig, MSG_REGISTER) == NULL; i++)
		rig_tick(rig, MS);
	sent = rig_sent(rig, MSG_REGISTER);
	assert_non_null(sent);
	assert_int_equal(sent->register_.what, MSG_REGISTER_ENTER);
	assert_int_equal(sent->register_.epoch, 1);
	assert_int_equal(sent->register_.rset, 1u << SELF | 1u << PEER);
	assert_int_equal(sent->register_.config_index, 3);
	assert_int_equal(core_judge_change(rig->core, &two), CORE_CHANGE_ENTERING);
	ack.register_ack.what = MSG_REGISTER_ENTER;
	ack.register_ack.is_accepted = true;
	ack.register_ack.epoch = 1;
	ack.register_ack.rset = sent->register_.rset;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_judge_change(rig->core, &two), CORE_CHANGE_ALLOWED);
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &two, &all), TERN_OK);
	members_durable(rig, 5);
	members_answer(rig, GUEST, MSG_APPEND_PROGRESS, 0, 5);
	assert_int_equal(core_view(rig->core)->commit_index, 4);
	members_answer(rig, PEER, MSG_APPEND_PROGRESS, 0, 5);
	assert_int_equal(core_view(rig->core)->commit_index, 5);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_DUPLEX);
	rig_free(rig);
}

/* Asks for votes, with block 2 a change to three that is not committed. */
static struct rig *
candidate(uint16_t self)
{
	struct rig *rig = rig_new();
	struct core_config config = members_config_of(rig, self);
	struct membership birth = members_of(0, 1u << GUEST), all = three(2);

	config.learners = 1u << GUEST;
	follower(&config, rig);
	assert_int_equal(receive(rig, 1, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &all, &birth), TERN_OK);
	members_durable(rig, 2);
	for (int i = 0; i < 200 && rig_sent(rig, MSG_PREVOTE) == NULL; i++)
		rig_tick(rig, MS);
	assert_non_null(rig_sent(rig, MSG_PREVOTE));
	return rig;
}

static void
pre_vote(struct rig *rig, uint16_t sender, enum msg_vote_refusal refusal, uint64_t config_index,
	 struct hash128 chain)
{
	const struct msg ack = { .kind = MSG_PREVOTE_ACK,
				 .sender = sender,
				 .boot_no = 1,
				 .term = 1,
				 .vote_ack = { .for_term = 2,
					       .refusal = refusal,
					       .config_index = config_index,
					       .config_chain = chain } };

	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
}

static void
test_a_joint_election_needs_both(void **state)
{
	const struct hash128 none = { 0, 0 };
	struct rig *rig = candidate(SELF);

	(void)state;
	pre_vote(rig, WITNESS, MSG_VOTE_GRANTED, 0, none);
	assert_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_META)); /* the pair would do */
	pre_vote(rig, GUEST, MSG_VOTE_GRANTED, 0, none);
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_META));
	rig_free(rig);
	rig = candidate(SELF);
	pre_vote(rig, GUEST, MSG_VOTE_GRANTED, 0, none);
	assert_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_META)); /* the three would do */
	/* A retired witness, of another block and of this one. */
	pre_vote(rig, WITNESS, MSG_VOTE_REFUSED_WITNESS, 2, rig_chain_of(2, 9));
	assert_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_META));
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	pre_vote(rig, WITNESS, MSG_VOTE_REFUSED_WITNESS, 2, rig_chain_of(2, 1));
	assert_int_equal(core_view(rig->core)->commit_index, 2);
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_META));
	rig_free(rig);
}

/* A candidate that is not of the pair asks the witness behind a vote of the pair, and for that one.
 */
static void
test_who_is_not_of_the_pair_asks_late(void **state)
{
	struct rig *rig = candidate(GUEST);
	bool is_asked = false;

	(void)state;
	for (int i = 0; i < 20; i++) {
		is_asked = is_asked || members_is_sent_to(rig, WITNESS, MSG_PREVOTE);
		rig_tick(rig, MS);
	}
	assert_false(is_asked);
	pre_vote(rig, SELF, MSG_VOTE_REFUSED_QUIET, 0, (struct hash128){ 0, 0 });
	assert_false(members_is_sent_to(rig, WITNESS, MSG_PREVOTE));
	rig_free(rig);
}

static void
answer_beat(struct rig *rig, uint16_t sender, uint64_t round)
{
	struct msg ack = { .kind = MSG_HEARTBEAT_ACK, .sender = sender, .boot_no = 1, .term = 2 };

	ack.heartbeat_ack.round = round;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
}

/* GUEST is elected while the change is joint, and SELF, of the pair, is dead. It cannot go
 * degraded; PEER can. */
static void
test_who_is_not_of_the_pair_gives_way(void **state)
{
	const struct hash128 none = { 0, 0 };
	struct rig *rig = candidate(GUEST);
	struct msg vote = { .kind = MSG_VOTE_ACK, .sender = PEER, .boot_no = 1, .term = 2 };
	bool is_asked = false;

	(void)state;
	vote.vote_ack.for_term = 2;
	pre_vote(rig, PEER, MSG_VOTE_GRANTED, 0, none);
	for (int i = 0; i < 20 && !members_is_sent_to(rig, WITNESS, MSG_PREVOTE); i++)
		rig_tick(rig, MS);
	pre_vote(rig, WITNESS, MSG_VOTE_GRANTED, 0, none);
	rig_persist(rig);
	assert_int_equal(rig_deliver(rig, vote), TERN_OK);
	vote.sender = WITNESS;
	assert_int_equal(rig_deliver(rig, vote), TERN_OK);
	assert_int_equal(core_view(rig->core)->role, CORE_MASTER);
	answer_beat(rig, PEER, 1);
	assert_int_equal(members_append(rig, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	members_answer(rig, PEER, MSG_APPEND_MATCHED, 2, 2);
	members_durable(rig, 3);
	members_answer(rig, PEER, MSG_APPEND_PROGRESS, 0, 3);
	assert_int_equal(core_view(rig->core)->commit_index, 0); /* not both of the pair hold it */
	for (int i = 0; i < 200 && !is_asked; i++) {
		const struct msg *beat;
		rig_tick(rig, MS);
		is_asked = members_is_sent_to(rig, PEER, MSG_TRANSFER_NOW);
		assert_false(members_is_sent_to(rig, SELF, MSG_TRANSFER_NOW));
		beat = rig_sent(rig, MSG_HEARTBEAT);
		if (beat == NULL)
			continue;
		const uint64_t round = beat->heartbeat.round;
		answer_beat(rig, PEER, round);
		answer_beat(rig, WITNESS, round);
	}
	assert_true(is_asked);
	assert_int_equal(core_view(rig->core)->role, CORE_MASTER);
	rig_free(rig);
}

/* PEER is away: the epoch that the master goes on with; 0: it gives up. */
static uint32_t
epoch_answered_by(struct rig *rig, bool is_guest_there)
{
	while (core_view(rig->core)->role == CORE_MASTER) {
		const struct msg *beat;
		rig_tick(rig, MS);
		if (core_view(rig->core)->epoch != 0)
			return core_view(rig->core)->epoch;
		beat = rig_sent(rig, MSG_HEARTBEAT);
		if (beat == NULL)
			continue;
		const uint64_t round = beat->heartbeat.round;
		answer_beat(rig, WITNESS, round);
		if (is_guest_there && core_view(rig->core)->role == CORE_MASTER)
			answer_beat(rig, GUEST, round);
	}
	return 0;
}

/* The same while a change is joint. */
static uint32_t
epoch_without_peer(struct rig *rig, bool is_guest_there)
{
	const struct membership with = members_of(2, 1u << GUEST), all = three(3);

	assert_int_equal(members_append(rig, BLOCK_CONFIG, &all, &with), TERN_OK);
	return epoch_answered_by(rig, is_guest_there);
}

static void
test_a_joint_change_goes_on_degraded(void **state)
{
	struct rig *rig = master_with_learner();
	const struct msg *sent;

	(void)state;
	assert_int_equal(epoch_without_peer(rig, true), 1);
	assert_int_equal(members_append(rig, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	members_durable(rig, 4);
	for (int i = 0; i < 10 && rig_sent(rig, MSG_REGISTER) == NULL; i++)
		rig_tick(rig, MS);
	sent = rig_sent(rig, MSG_REGISTER);
	assert_non_null(sent);
	assert_int_equal(sent->register_.what, MSG_REGISTER_EPOCH);
	assert_int_equal(sent->register_.rset, 1u << SELF | 1u << WITNESS | 1u << GUEST);
	rig_free(rig);
	/* With nobody else it could not commit, and the witness would keep the others out. */
	rig = master_with_learner();
	assert_int_equal(epoch_without_peer(rig, false), 0);
	rig_free(rig);
}

/* GUEST has just acknowledged the block, PEER is the first to be given up, and both fell silent at
 * once: this master is cut off. */
static void
test_a_joint_change_does_not_go_on_alone(void **state)
{
	struct rig *rig = with_learner(members_master_that_waits(20 * MS));
	const struct membership with = members_of(2, 1u << GUEST), all = three(3);

	(void)state;
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &all, &with), TERN_OK);
	members_durable(rig, 3);
	members_answer(rig, GUEST, MSG_APPEND_PROGRESS, 0, 3);
	assert_int_equal(epoch_answered_by(rig, false), 0);
	rig_free(rig);
	/* Where GUEST goes on answering, it does. */
	rig = with_learner(members_master_that_waits(20 * MS));
	assert_int_equal(members_append(rig, BLOCK_CONFIG, &all, &with), TERN_OK);
	members_durable(rig, 3);
	members_answer(rig, GUEST, MSG_APPEND_PROGRESS, 0, 3);
	assert_int_equal(epoch_answered_by(rig, true), 1);
	rig_free(rig);
}

static void
test_the_witness_retires_and_enters(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_witness_of(rig);
	const uint64_t pair = 1u << SELF | 1u << PEER;

	(void)state;
	config.reg.term = 2;
	rig_start(rig, &config);
	assert_int_equal(members_asked(rig, 1u << PEER, 1, 0), MSG_VOTE_GRANTED);
	assert_true(members_is_taken(rig, MSG_REGISTER_EPOCH, 1, 1u << SELF | 1u << WITNESS, 0));
	assert_true(members_is_taken(rig, MSG_REGISTER_RETIRE, 1, 0, 4));
	assert_true(members_is_taken(rig, MSG_REGISTER_RETIRE, 1, 0, 4)); /* a copy */
	assert_int_equal(members_asked(rig, 1u << PEER, 2, 9), MSG_VOTE_REFUSED_WITNESS);
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.config_index, 4);
	assert_true(hash128_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.config_chain,
				  (struct hash128){ 4, 5 }));
	assert_false(members_is_taken(rig, MSG_REGISTER_EPOCH, 2, 1u << SELF | 1u << WITNESS, 0));
	assert_false(members_is_taken(rig, MSG_REGISTER_RETIRE, 1, 0, 3));
	assert_false(
	    members_is_taken(rig, MSG_REGISTER_ENTER, 2, pair, 3)); /* of before it retired */
	assert_true(members_is_taken(rig, MSG_REGISTER_ENTER, 2, pair, 4));
	assert_false(members_is_taken(rig, MSG_REGISTER_RETIRE, 2, 0, 4)); /* a late copy */
	assert_int_equal(members_asked(rig, 1u << PEER, 2, 1), MSG_VOTE_REFUSED_LOG);
	assert_int_equal(members_asked(rig, 1u << PEER, 2, 2), MSG_VOTE_GRANTED);
	assert_int_equal(members_asked(rig, 0, 2, 2), MSG_VOTE_REFUSED_LOG); /* no votes */
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.config_index, 0);
	rig_free(rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judgement),
		cmocka_unit_test(test_a_change_is_effective_when_appended),
		cmocka_unit_test(test_a_learner_counts_for_nothing),
		cmocka_unit_test(test_a_cut_takes_the_configuration_along),
		cmocka_unit_test(test_the_change_before_is_committed),
		cmocka_unit_test(test_a_node_that_forgot_is_given_it_again),
		cmocka_unit_test(test_no_voter_never_stands),
		cmocka_unit_test(test_a_guest_learns_of_the_birth),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_a_joint_commit_needs_both),
		cmocka_unit_test(test_the_witness_enters_first),
		cmocka_unit_test(test_a_joint_election_needs_both),
		cmocka_unit_test(test_who_is_not_of_the_pair_asks_late),
		cmocka_unit_test(test_who_is_not_of_the_pair_gives_way),
		cmocka_unit_test(test_a_joint_change_goes_on_degraded),
		cmocka_unit_test(test_a_joint_change_does_not_go_on_alone),
		cmocka_unit_test(test_the_witness_retires_and_enters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
