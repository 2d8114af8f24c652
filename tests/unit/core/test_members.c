/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as a function of the log, and learners: single steps. */
#include "dataplane/core/change.h"
#include "tests/unit/core/rig.h"

#define GUEST 4

static struct core_config
config_of(struct rig *rig, uint16_t self)
{
	struct core_config config = rig_config_of(rig);

	config.node_id = self;
	config.known_nodes = 1u << SELF | 1u << PEER | 1u << GUEST;
	config.term = 1;
	return config;
}

static struct membership
members(uint64_t index, uint64_t learners)
{
	return (struct membership){ .config_index = index,
				    .voters = 1u << SELF | 1u << PEER,
				    .learners = learners,
				    .witness_id = WITNESS,
				    .witness_gen = 1 };
}

/* ---- a master ---- */

static enum tern_err
append(struct rig *rig, enum block_kind kind, const struct membership *next,
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

static void
answer(struct rig *rig, uint16_t sender, enum msg_append_status status, uint64_t probe_index,
       uint64_t index)
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

static void
answer_round(struct rig *rig, uint16_t sender)
{
	const struct msg *beat = rig_sent(rig, MSG_HEARTBEAT);
	struct msg ack = { .kind = MSG_HEARTBEAT_ACK, .sender = sender, .boot_no = 1, .term = 2 };

	assert_non_null(beat);
	ack.heartbeat_ack.round = beat->heartbeat.round;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
}

/* Until a round begins. */
static void
beat(struct rig *rig)
{
	do
		rig_tick(rig, MS);
	while (rig_sent(rig, MSG_HEARTBEAT) == NULL);
}

/* Of term 2, its barrier is block 1; PEER is matched and has said that it forgot nothing. */
static struct rig *
master_unserving(void)
{
	struct rig *rig = rig_new();
	const struct core_config config = config_of(rig, SELF);
	struct msg ack = { .kind = MSG_PREVOTE_ACK, .sender = PEER, .boot_no = 1, .term = 1 };

	rig_start(rig, &config);
	for (int i = 0; i < 100 && rig_sent(rig, MSG_PREVOTE) == NULL; i++)
		rig_tick(rig, MS);
	ack.vote_ack.for_term = 2;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	rig_persist(rig);
	ack.kind = MSG_VOTE_ACK;
	ack.term = 2;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	answer_round(rig, PEER);
	assert_int_equal(append(rig, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	answer(rig, PEER, MSG_APPEND_MATCHED, 0, 0);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_DUPLEX);
	return rig;
}

static void
durable(struct rig *rig, uint64_t index)
{
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_DURABLE, .index = index }),
	    TERN_OK);
}

static void
commit(struct rig *rig, uint64_t index)
{
	durable(rig, index);
	answer(rig, PEER, MSG_APPEND_PROGRESS, 0, index);
	assert_int_equal(core_view(rig->core)->commit_index, index);
}

static struct rig *
master(void)
{
	struct rig *rig = master_unserving();

	commit(rig, 1);
	assert_true(core_view(rig->core)->is_serving);
	return rig;
}

static bool
is_sent_to(const struct rig *rig, uint16_t node, enum msg_kind kind)
{
	for (uint32_t i = 0; i < rig->effects.count; i++) {
		const struct core_effect *effect = &rig->effects.list[i];
		if (effect->kind == CORE_EFFECT_SEND && effect->node == node &&
		    effect->msg.kind == kind)
			return true;
	}
	return false;
}

static void
test_judgement(void **state)
{
	struct rig *rig = master_unserving();
	const struct membership birth = members(0, 0), with = members(0, 1u << GUEST);
	struct membership wrong = members(0, 1u << 9);

	(void)state;
	assert_int_equal(core_judge_change(rig->core, &with), CORE_CHANGE_NOT_MASTER);
	commit(rig, 1);
	assert_int_equal(core_judge_change(rig->core, &with), CORE_CHANGE_ALLOWED);
	assert_int_equal(core_judge_change(rig->core, &birth), CORE_CHANGE_NOTHING);
	assert_int_equal(core_judge_change(rig->core, &wrong), CORE_CHANGE_UNKNOWN);
	wrong = birth;
	wrong.voters |= 1u << GUEST;
	assert_int_equal(core_judge_change(rig->core, &wrong), CORE_CHANGE_VOTERS);
	wrong = birth;
	wrong.witness_gen = 2;
	assert_int_equal(core_judge_change(rig->core, &wrong), CORE_CHANGE_VOTERS);
	rig_free(rig);
}

static void
test_a_change_is_effective_when_appended(void **state)
{
	struct rig *rig = master();
	const struct membership birth = members(0, 0), with = members(2, 1u << GUEST);
	const struct membership away = members(3, 0);

	(void)state;
	assert_int_equal(append(rig, BLOCK_CONFIG, NULL, NULL), TERN_ERR_MALFORMED);
	assert_int_equal(append(rig, BLOCK_COMMANDS, &with, &birth), TERN_ERR_MALFORMED);
	assert_int_equal(append(rig, BLOCK_CONFIG, &away, &birth), TERN_ERR_MALFORMED);
	assert_int_equal(append(rig, BLOCK_CONFIG, &with, &with), TERN_ERR_MALFORMED);
	assert_int_equal(append(rig, BLOCK_CONFIG, &with, &birth), TERN_OK);
	assert_true(is_sent_to(rig, GUEST, MSG_APPEND));
	assert_int_equal(core_view(rig->core)->members.config_index, 2);
	assert_int_equal(core_view(rig->core)->committed_members.config_index, 0);
	/* One at a time. */
	assert_int_equal(core_judge_change(rig->core, &away), CORE_CHANGE_IN_PROGRESS);
	assert_int_equal(append(rig, BLOCK_CONFIG, &away, &with), TERN_ERR_MALFORMED);
	commit(rig, 2);
	assert_int_equal(core_view(rig->core)->committed_members.learners, 1u << GUEST);
	assert_int_equal(append(rig, BLOCK_CONFIG, &away, &with), TERN_OK);
	beat(rig);
	assert_false(is_sent_to(rig, GUEST, MSG_HEARTBEAT));
	rig_free(rig);
}

/* A learner is heard, given what is committed, and counts for nothing. */
static void
test_a_learner_counts_for_nothing(void **state)
{
	struct rig *rig = master();
	const struct membership birth = members(0, 0), with = members(2, 1u << GUEST);

	(void)state;
	assert_int_equal(append(rig, BLOCK_CONFIG, &with, &birth), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_APPEND)->append.prev_index, 1);
	answer(rig, GUEST, MSG_APPEND_CONFLICT, 1, 0);
	assert_int_equal(rig_sent(rig, MSG_APPEND)->append.prev_index, 0);
	answer(rig, GUEST, MSG_APPEND_MATCHED, 0, 0);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_STREAM_START)->node, GUEST);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_STREAM_START)->index, 1);
	assert_int_equal(core_stream_index(rig->core, GUEST), 1);
	assert_int_equal(core_stream_index(rig->core, PEER), 2);
	beat(rig);
	assert_true(is_sent_to(rig, GUEST, MSG_HEARTBEAT));
	answer_round(rig, GUEST);
	durable(rig, 2);
	answer(rig, GUEST, MSG_APPEND_PROGRESS, 0, 2);
	assert_int_equal(core_view(rig->core)->commit_index, 1);
	assert_int_equal(core_view(rig->core)->memory_commit_index, 1);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_TRANSFER, .node = GUEST }),
	    TERN_ERR_BUSY);
	answer(rig, PEER, MSG_APPEND_PROGRESS, 0, 2);
	assert_int_equal(core_view(rig->core)->commit_index, 2);
	assert_int_equal(core_stream_index(rig->core, GUEST), 2);
	/* Its silence is nobody's loss. */
	for (int i = 0; i < 100; i++) {
		rig_tick(rig, 3 * MS);
		if (rig_sent(rig, MSG_HEARTBEAT) != NULL)
			answer_round(rig, PEER);
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
	const struct core_config config = config_of(rig, SELF);
	const struct membership birth = members(0, 0), with = members(2, 1u << GUEST);

	(void)state;
	follower(&config, rig);
	assert_int_equal(receive(rig, 1, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &with, &birth), TERN_OK);
	assert_int_equal(core_view(rig->core)->members.learners, 1u << GUEST);
	durable(rig, 2);
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
	const struct core_config config = config_of(rig, SELF);
	const struct membership birth = members(0, 0), with = members(2, 1u << GUEST);
	const struct membership away = members(3, 0);

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
	struct core_config config = config_of(rig, SELF);
	const struct membership birth = members(0, 0), with = members(2, 1u << GUEST);
	const struct membership away = members(3, 0), other = members(3, 1u << GUEST);
	const struct membership late = members(4, 1u << GUEST);

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
	/* A cut below it leaves it, for it is committed. */
	durable(rig, 2);
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

/* A node that is no voter stands for nothing, answers VOTE as any other, and knows when it is
 * alone.
 */
static void
test_no_voter_never_stands(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = config_of(rig, GUEST);

	(void)state;
	follower(&config, rig);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_LEARNER);
	for (int i = 0; i < 2000; i++) {
		rig_tick(rig, MS);
		assert_int_equal(rig->effects.count,
				 i == 0 ? rig->effects.count
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
	struct core_config config = config_of(rig, GUEST);
	struct membership birth = members(0, 0), with = members(2, 1u << GUEST);

	(void)state;
	birth.witness_gen = with.witness_gen = 7;
	follower(&config, rig);
	assert_int_equal(receive(rig, 1, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &with, &birth), TERN_OK);
	assert_int_equal(core_view(rig->core)->committed_members.witness_gen, 7);
	rig_free(rig);
	rig = rig_new();
	config = config_of(rig, SELF);
	follower(&config, rig);
	assert_int_equal(receive(rig, 1, BLOCK_BARRIER, NULL, NULL), TERN_OK);
	assert_int_equal(receive(rig, 1, BLOCK_CONFIG, &with, &birth), TERN_ERR_MALFORMED);
	rig_free(rig);
}

static void
test_recovery(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = config_of(rig, SELF);
	const struct membership birth = members(0, 0), with = members(2, 1u << GUEST);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
