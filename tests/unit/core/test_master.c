/* SPDX-License-Identifier: Apache-2.0 */
/* A master and a witness: single steps. */
#include "tests/unit/core/rig.h"

/* ---- the master ---- */

static void
append(struct rig *rig, enum block_kind kind, uint32_t epoch)
{
	const struct core_view *view = core_view(rig->core);
	const uint64_t index = view->last_index + 1;

	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_APPENDED,
					       .block = { index, view->term, epoch, kind,
							  rig_chain_of(index, view->term) } }),
	    TERN_OK);
}

static void
make_durable(struct rig *rig, uint64_t index)
{
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_DURABLE, .index = index }),
	    TERN_OK);
}

static struct msg
progress(uint32_t boot_no, uint64_t term, enum msg_append_status status, uint64_t probe_index,
	 uint64_t index)
{
	return (struct msg){ .kind = MSG_APPEND_ACK,
			     .sender = PEER,
			     .boot_no = boot_no,
			     .term = term,
			     .append_ack = { .status = status,
					     .probe_index = probe_index,
					     .received_index = index,
					     .durable_index = index,
					     .last_index = index } };
}

/* Elected by the other data node, with @count blocks of term 1 and its barrier above them; the
 * other one holds all but the barrier. */
static struct rig *
rig_master_unheard(uint64_t count)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);
	struct msg ack = { .kind = MSG_PREVOTE_ACK, .sender = PEER, .boot_no = 1, .term = 1 };

	config.term = 1;
	rig_start(rig, &config);
	rig_recover(rig, count, 1);
	for (int i = 0; i < 100 && rig_sent(rig, MSG_PREVOTE) == NULL; i++)
		rig_tick(rig, MS);
	ack.vote_ack.for_term = 2;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	rig_persist(rig);
	ack.kind = MSG_VOTE_ACK;
	ack.term = 2;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_APPEND_BARRIER)->epoch, 0);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_DUPLEX);
	append(rig, BLOCK_BARRIER, 0);
	assert_int_equal(rig_sent(rig, MSG_APPEND)->append.prev_index, count);
	assert_int_equal(rig_deliver(rig, progress(1, 2, MSG_APPEND_MATCHED, count, count)),
			 TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_STREAM_START)->index, count + 1);
	return rig;
}

static void
answer_first_round(struct rig *rig, uint32_t boot_no, uint64_t term)
{
	assert_int_equal(rig_deliver(rig, (struct msg){ .kind = MSG_HEARTBEAT_ACK,
							.sender = PEER,
							.boot_no = boot_no,
							.term = term,
							.heartbeat_ack = { .round = 1 } }),
			 TERN_OK);
}

/* Only who says that it forgot nothing is counted. */
static struct rig *
rig_master(uint64_t count)
{
	struct rig *rig = rig_master_unheard(count);

	answer_first_round(rig, 1, 2);
	return rig;
}

static void
answer_round(struct rig *rig, uint16_t sender)
{
	const struct msg *beat = rig_sent(rig, MSG_HEARTBEAT);
	struct msg ack = { .kind = MSG_HEARTBEAT_ACK, .sender = sender, .boot_no = 1 };

	if (beat == NULL)
		return;
	ack.term = beat->term;
	ack.heartbeat_ack.round = beat->heartbeat.round;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
}

/* P12 */
static void
test_blocks_of_an_older_term_are_not_counted(void **state)
{
	struct rig *rig = rig_master(3);

	(void)state;
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	make_durable(rig, 4);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	assert_false(core_view(rig->core)->is_serving);
	assert_int_equal(rig_deliver(rig, progress(1, 2, MSG_APPEND_PROGRESS, 0, 4)), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_COMMIT)->index, 4);
	assert_true(core_view(rig->core)->is_serving);
	rig_free(rig);
}

static void
test_former_incarnations_are_refused(void **state)
{
	struct rig *rig = rig_master(3);

	(void)state;
	make_durable(rig, 4);
	assert_int_equal(rig_deliver(rig, progress(2, 2, MSG_APPEND_PROGRESS, 0, 4)), TERN_OK);
	assert_non_null(rig_effect_of(rig, CORE_EFFECT_STREAM_STOP));
	assert_int_equal(rig_sent(rig, MSG_APPEND)->append.prev_index, 3);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	assert_int_equal(rig_deliver(rig, progress(1, 2, MSG_APPEND_PROGRESS, 0, 4)),
			 TERN_ERR_STALE_TERM);
	assert_int_equal(rig_deliver(rig, progress(1, 2, MSG_APPEND_MATCHED, 3, 4)),
			 TERN_ERR_STALE_TERM);
	/* An answer to another probe, and one that reaches beyond the log. */
	assert_int_equal(rig_deliver(rig, progress(2, 2, MSG_APPEND_MATCHED, 2, 4)), TERN_OK);
	assert_int_equal(rig_deliver(rig, progress(2, 2, MSG_APPEND_MATCHED, 3, 9)), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	assert_int_equal(rig_deliver(rig, progress(2, 2, MSG_APPEND_MATCHED, 3, 4)), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	answer_first_round(rig, 2, 2);
	assert_int_equal(core_view(rig->core)->commit_index, 4);
	rig_free(rig);
}

static void
test_steps_into_solo(void **state)
{
	struct rig *rig = rig_master(3);
	struct msg ack = { .kind = MSG_REGISTER_ACK, .sender = WITNESS, .boot_no = 1, .term = 2 };

	(void)state;
	make_durable(rig, 4);
	assert_int_equal(rig_deliver(rig, progress(1, 2, MSG_APPEND_PROGRESS, 0, 4)), TERN_OK);
	for (int i = 0; i < 60 && rig_effect_of(rig, CORE_EFFECT_APPEND_BARRIER) == NULL; i++) {
		answer_round(rig, WITNESS);
		rig_tick(rig, MS);
	}
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_APPEND_BARRIER)->epoch, 1);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_REGISTERING);
	append(rig, BLOCK_BARRIER, 1);
	rig_tick(rig, 5 * MS);
	assert_null(rig_sent(rig, MSG_REGISTER)); /* P6 */
	make_durable(rig, 5);
	assert_int_equal(rig_sent(rig, MSG_REGISTER)->register_.epoch, 1);
	assert_int_equal(rig_sent(rig, MSG_REGISTER)->register_.last_index, 5);
	assert_int_equal(core_view(rig->core)->commit_index, 4); /* P2 */
	ack.register_ack.is_accepted = true;
	ack.register_ack.epoch = 0; /* of an older epoch */
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_REGISTERING);
	ack.register_ack.epoch = 1;
	ack.register_ack.is_accepted = false;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 4);
	ack.register_ack.is_accepted = true;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_SOLO);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_COMMIT)->index, 5);
	rig_free(rig);
}

/* Nobody answers: there is no register to be had, and the term ends by itself. */
static void
test_isolated_master_does_not_degrade(void **state)
{
	struct rig *rig = rig_master(3);

	(void)state;
	make_durable(rig, 4);
	rig_tick(rig, 45 * MS);
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_DUPLEX);
	assert_int_equal(core_view(rig->core)->epoch, 0);
	rig_tick(rig, 15 * MS);
	assert_int_not_equal(core_view(rig->core)->role, CORE_MASTER);
	assert_int_equal(core_view(rig->core)->term, 2);
	rig_free(rig);
}

/* In the middle of a burst the epoch stays, whatever the time is. */
static void
test_sealing_changes_no_epoch(void **state)
{
	struct rig *rig = rig_master_unheard(3);

	(void)state;
	make_durable(rig, 4);
	for (int i = 0; i < 55; i++) {
		rig->now_ns += MS;
		append(rig, BLOCK_COMMANDS, 0);
		if (i < 50)
			continue;
		assert_int_equal(core_view(rig->core)->role, CORE_MASTER);
		assert_true(core_deadline_ns(rig->core) <= rig->now_ns);
	}
	rig_tick(rig, MS);
	assert_int_not_equal(core_view(rig->core)->role, CORE_MASTER);
	rig_free(rig);
}

static void
test_paused_master_accuses_nobody(void **state)
{
	struct rig *rig = rig_master(3);

	(void)state;
	make_durable(rig, 4);
	for (int i = 0; i < 5; i++) {
		rig->now_ns += 400 * MS;
		assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_TICK }),
				 TERN_OK);
		assert_int_equal(core_view(rig->core)->role, CORE_MASTER);
		assert_int_equal(core_view(rig->core)->epoch, 0);
	}
	rig_free(rig);
}

static void
test_one_vote_a_term(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	(void)state;
	config.data_nodes |= 1u << 4;
	rig_start(rig, &config);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, 4, 2, 2, 0, 0)), TERN_OK);
	rig_persist(rig);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_GRANTED);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 2, 2, 0, 0)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_VOTED);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_PREVOTE, PEER, 1, 2, 0, 0)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_VOTED);
	rig_free(rig);
}

/* ---- the witness ---- */

static void
test_witness_position_rule(void **state)
{
	static const struct {
		uint64_t term;
		uint32_t epoch;
		uint64_t votes;
		enum msg_vote_refusal refusal;
	} cases[] = {
		{ 2, 9, 1u << SELF, MSG_VOTE_REFUSED_LOG },
		{ 3, 0, 1u << SELF, MSG_VOTE_REFUSED_LOG },
		{ 3, 1, 1u << SELF, MSG_VOTE_GRANTED },
		{ 3, 1, 1u << PEER, MSG_VOTE_REFUSED_LOG },
		{ 3, 1, 1u << SELF | 1u << PEER, MSG_VOTE_REFUSED_LOG },
		{ 3, 2, 1u << PEER, MSG_VOTE_GRANTED },
		{ 4, 0, 1u << PEER, MSG_VOTE_GRANTED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *rig = rig_new();
		struct core_config config = rig_witness_of(rig);
		struct msg request = rig_vote(MSG_VOTE, SELF, 5, 5, cases[i].term, 100);

		config.reg.term = 4;
		config.reg.last_term = 3;
		config.reg.last_epoch = 1;
		config.reg.rset = 1u << SELF | 1u << WITNESS;
		rig_start(rig, &config);
		request.vote.last_epoch = cases[i].epoch;
		request.vote.votes_granted = cases[i].votes;
		assert_int_equal(rig_deliver(rig, request), TERN_OK);
		assert_null(rig_sent(rig, MSG_VOTE_ACK));
		assert_int_equal(rig_effect_of(rig, CORE_EFFECT_PERSIST_REGISTER)->reg.term, 5);
		rig_persist(rig);
		assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, cases[i].refusal);
		rig_free(rig);
	}
}

static void
test_witness_register(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = rig_witness_of(rig);
	struct msg request = {
		.kind = MSG_REGISTER,
		.sender = SELF,
		.boot_no = 1,
		.term = 2,
		.register_ = { .witness_gen = 1, .epoch = 1, .rset = 1u << SELF | 1u << WITNESS }
	};

	(void)state;
	rig_start(rig, &config);
	assert_int_equal(rig_deliver(rig, request), TERN_OK);
	assert_null(rig_sent(rig, MSG_REGISTER_ACK));
	/* While it writes it says nothing to anybody. */
	assert_int_equal(rig_deliver(rig, rig_heartbeat(SELF, 2, 1)), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	assert_int_equal(rig_deliver(rig, request), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	rig->effects.count = 0;
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_META_DURABLE, .op_id = 1 }),
	    TERN_OK);
	assert_true(rig_sent(rig, MSG_REGISTER_ACK)->register_ack.is_accepted);
	/* Idempotent, without another write; not with another set; not backwards. */
	assert_int_equal(rig_deliver(rig, request), TERN_OK);
	assert_true(rig_sent(rig, MSG_REGISTER_ACK)->register_ack.is_accepted);
	request.register_.rset = 1u << PEER | 1u << WITNESS;
	assert_int_equal(rig_deliver(rig, request), TERN_OK);
	assert_false(rig_sent(rig, MSG_REGISTER_ACK)->register_ack.is_accepted);
	request.register_.epoch = 0;
	assert_int_equal(rig_deliver(rig, request), TERN_OK);
	assert_false(rig_sent(rig, MSG_REGISTER_ACK)->register_ack.is_accepted);
	request.register_.epoch = 2;
	request.register_.witness_gen = 0;
	assert_int_equal(rig_deliver(rig, request), TERN_OK);
	assert_false(rig_sent(rig, MSG_REGISTER_ACK)->register_ack.is_accepted);
	request.register_.witness_gen = 1;
	request.term = 1;
	assert_int_equal(rig_deliver(rig, request), TERN_OK);
	assert_false(rig_sent(rig, MSG_REGISTER_ACK)->register_ack.is_accepted);
	assert_int_equal(rig_sent(rig, MSG_REGISTER_ACK)->term, 2);
	/* A live master is protected, and the term with it. */
	assert_int_equal(rig_deliver(rig, rig_heartbeat(SELF, 2, 5)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_HEARTBEAT_ACK)->heartbeat_ack.round, 5);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 9, 9, 8, 8)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_MASTER);
	assert_int_equal(core_view(rig->core)->term, 2);
	rig->now_ns += 60 * MS;
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 9, 9, 8, 8)), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_PERSIST_REGISTER)->reg.voted_for, PEER);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_PERSIST_REGISTER)->reg.sequence, 3);
	rig_free(rig);
}

static void
test_amnesiac_witness(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_witness_of(rig);

	(void)state;
	config.is_amnesiac = true;
	rig_start(rig, &config);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 9, 9, 8, 8)), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_ALARM)->alarm, CORE_ALARM_WITNESS_AMNESIA);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_WITNESS);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(SELF, 2, 5)), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	rig_free(rig);
}

/* P4: peers that know a newer witness_gen speak of another register than this one. */
static void
test_witness_of_an_older_generation(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = rig_witness_of(rig);
	struct msg vote = rig_vote(MSG_VOTE, PEER, 9, 9, 8, 8);

	(void)state;
	rig_start(rig, &config);
	vote.vote.witness_gen = 2;
	assert_int_equal(rig_deliver(rig, vote), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_ALARM)->alarm, CORE_ALARM_WITNESS_AMNESIA);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_WITNESS);
	/* From then on it serves nobody, whatever they say. */
	vote.vote.witness_gen = 1;
	assert_int_equal(rig_deliver(rig, vote), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_WITNESS);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(SELF, 9, 5)), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	rig_free(rig);
}

/* ---- the master's own data port ---- */

/* Serves in DUPLEX; both peers have answered. */
static struct rig *
rig_serving(void)
{
	struct rig *rig = rig_master(3);

	make_durable(rig, 4);
	assert_int_equal(rig_deliver(rig, progress(1, 2, MSG_APPEND_PROGRESS, 0, 4)), TERN_OK);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_APPLIED, .index = 4 }), TERN_OK);
	assert_true(core_view(rig->core)->is_serving);
	return rig;
}

/* Ticks for @span_ns while both peers answer every round, the data node with @health. Returns
 * whether TRANSFER_NOW was sent. */
static bool
run_with_answers(struct rig *rig, uint64_t span_ns, uint32_t health)
{
	bool has_asked = false;

	for (uint64_t at = 0; at < span_ns; at += MS) {
		struct msg ack = { .kind = MSG_HEARTBEAT_ACK, .boot_no = 1 };
		const struct msg *beat;

		rig_tick(rig, MS);
		has_asked = has_asked || rig_sent(rig, MSG_TRANSFER_NOW) != NULL;
		beat = rig_sent(rig, MSG_HEARTBEAT);
		if (beat == NULL)
			continue;
		ack.term = beat->term;
		ack.heartbeat_ack.round = beat->heartbeat.round;
		ack.sender = WITNESS;
		assert_int_equal(rig_deliver(rig, ack), TERN_OK);
		ack.sender = PEER;
		ack.heartbeat_ack.health = health;
		ack.heartbeat_ack.received_index = ack.heartbeat_ack.durable_index = 4;
		assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	}
	return has_asked;
}

static void
set_port(struct rig *rig, bool is_up)
{
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_DATA_PORT, .flag = is_up }),
	    TERN_OK);
}

static void
test_dead_port_hands_over(void **state)
{
	struct rig *rig = rig_serving();

	(void)state;
	assert_false(run_with_answers(rig, 100 * MS, 0));
	set_port(rig, false);
	assert_true(run_with_answers(rig, 60 * MS, 0));
	assert_false(core_view(rig->core)->is_serving);
	/* Nothing came of it: the master serves again, and does not try for ever. */
	(void)run_with_answers(rig, 200 * MS, 0);
	assert_true(core_view(rig->core)->is_serving);
	assert_false(run_with_answers(rig, 300 * MS, 0));
	assert_int_equal(core_view(rig->core)->mode, CORE_MODE_DUPLEX);
	rig_free(rig);
}

/* A cut cable takes both ports down, a short outage is over before it counts: no hand-over. */
static void
test_dead_cable_hands_nothing_over(void **state)
{
	struct rig *rig = rig_serving();

	(void)state;
	set_port(rig, false);
	assert_false(run_with_answers(rig, 300 * MS, MSG_HEALTH_DATA_PORT_DOWN));
	set_port(rig, true);
	set_port(rig, false);
	assert_false(run_with_answers(rig, 20 * MS, 0));
	set_port(rig, true);
	assert_false(run_with_answers(rig, 300 * MS, 0));
	assert_true(core_view(rig->core)->is_serving);
	rig_free(rig);
}

/* The peer died with its port: what it said before is no word on its health. */
static void
test_dead_port_needs_an_answer(void **state)
{
	struct rig *rig = rig_serving();

	(void)state;
	assert_false(run_with_answers(rig, 100 * MS, 0));
	set_port(rig, false);
	for (uint64_t at = 0; at < 200 * MS; at += MS) {
		rig_tick(rig, MS);
		assert_null(rig_sent(rig, MSG_TRANSFER_NOW));
		answer_round(rig, WITNESS);
	}
	rig_free(rig);
}

/* ---- farewell ---- */

static void
test_failed_storage_says_farewell(void **state)
{
	struct rig *rig = rig_serving();

	(void)state;
	assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_STORAGE_FAILED }),
			 TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_FAREWELL)->term, 2);
	assert_int_equal(core_view(rig->core)->role, CORE_FOLLOWER);
	rig_free(rig);
}

/* ---- other sizes: quorums come from the configuration ---- */

static void
test_one_data_node(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	(void)state;
	config.data_nodes = 1u << SELF;
	config.witness_id = 0;
	rig_start(rig, &config);
	for (int i = 0; i < 100 && rig_effect_of(rig, CORE_EFFECT_PERSIST_META) == NULL; i++)
		rig_tick(rig, MS);
	rig_persist(rig);
	assert_int_equal(core_view(rig->core)->role, CORE_MASTER);
	assert_false(core_view(rig->core)->is_serving);
	assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_APPENDED,
							    .block = { 1, 1, 0, BLOCK_BARRIER,
								       rig_chain_of(1, 1) } }),
			 TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_DURABLE, .index = 1 }), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_COMMIT)->index, 1);
	assert_true(core_view(rig->core)->is_serving);
	assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_READ, .op_id = 9 }),
			 TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_READ_READY)->index, 1);
	rig_free(rig);
}

static void
test_three_data_nodes(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);
	struct msg ack = { .sender = 4, .boot_no = 1 };

	(void)state;
	config.data_nodes |= 1u << 4;
	rig_start(rig, &config);
	for (int i = 0; i < 100 && rig_sent(rig, MSG_PREVOTE) == NULL; i++)
		rig_tick(rig, MS);
	ack.kind = MSG_PREVOTE_ACK;
	ack.vote_ack.for_term = 1;
	ack.sender = WITNESS; /* an observer has no vote */
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->role, CORE_CANDIDATE);
	assert_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_META));
	ack.sender = 4;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_null(rig_sent(rig, MSG_VOTE)); /* not before term and vote are durable */
	rig_persist(rig);
	assert_non_null(rig_sent(rig, MSG_VOTE));
	ack.kind = MSG_VOTE_ACK;
	ack.term = 1;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->role, CORE_MASTER);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_APPEND_BARRIER)->term, 1);
	assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_APPENDED,
							    .block = { 1, 1, 0, BLOCK_BARRIER,
								       rig_chain_of(1, 1) } }),
			 TERN_OK);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_DURABLE, .index = 1 }), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	ack = (struct msg){ .kind = MSG_APPEND_ACK, .sender = PEER, .boot_no = 1, .term = 1 };
	ack.append_ack.status = MSG_APPEND_MATCHED;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_STREAM_START)->index, 1);
	ack.append_ack.status = MSG_APPEND_PROGRESS;
	ack.append_ack.received_index = 1;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 0); /* received is not durable */
	ack.append_ack.durable_index = 1;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	answer_first_round(rig, 1, 1);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_COMMIT)->index, 1);
	rig_free(rig);
}

/* What heartbeats say for the age of replica reads (protocol section 9). */
static void
test_heartbeats_echo_and_age(void **state)
{
	struct rig *rig = rig_master(3);
	const struct msg *beat;
	struct msg ack = { .kind = MSG_HEARTBEAT_ACK, .sender = PEER, .boot_no = 1, .term = 2 };

	(void)state;
	rig_tick(rig, 3 * MS);
	beat = rig_sent(rig, MSG_HEARTBEAT);
	assert_int_equal(beat->heartbeat.echo_ns, 0);
	/* Before its own barrier has committed it may lack what earlier masters answered. */
	assert_int_equal(beat->heartbeat.confirmed_age_ns, MSG_AGE_UNKNOWN);
	ack.heartbeat_ack.round = beat->heartbeat.round;
	ack.heartbeat_ack.sent_ns = 777;
	make_durable(rig, 4);
	assert_int_equal(rig_deliver(rig, progress(1, 2, MSG_APPEND_PROGRESS, 0, 4)), TERN_OK);
	assert_true(core_view(rig->core)->is_serving);
	const uint64_t sent_ns = rig->now_ns;
	rig_tick(rig, MS);
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	ack.heartbeat_ack.round--; /* an older answer that comes late changes nothing */
	ack.heartbeat_ack.sent_ns = 776;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	rig_tick(rig, 2 * MS);
	beat = rig_sent(rig, MSG_HEARTBEAT);
	assert_non_null(beat);
	assert_int_equal(beat->heartbeat.echo_ns, 777);
	assert_int_equal(beat->heartbeat.echo_boot_no, 1);
	assert_int_equal(beat->heartbeat.confirmed_age_ns, rig->now_ns - sent_ns);
	/* Another incarnation of the peer has another clock. */
	ack.boot_no = 2;
	ack.heartbeat_ack = (struct msg_heartbeat_ack){ .round = beat->heartbeat.round };
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	rig_tick(rig, 3 * MS);
	assert_int_equal(rig_sent(rig, MSG_HEARTBEAT)->heartbeat.echo_ns, 0);
	rig_free(rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_of_an_older_term_are_not_counted),
		cmocka_unit_test(test_former_incarnations_are_refused),
		cmocka_unit_test(test_steps_into_solo),
		cmocka_unit_test(test_isolated_master_does_not_degrade),
		cmocka_unit_test(test_sealing_changes_no_epoch),
		cmocka_unit_test(test_paused_master_accuses_nobody),
		cmocka_unit_test(test_one_vote_a_term),
		cmocka_unit_test(test_witness_position_rule),
		cmocka_unit_test(test_witness_register),
		cmocka_unit_test(test_amnesiac_witness),
		cmocka_unit_test(test_witness_of_an_older_generation),
		cmocka_unit_test(test_dead_port_hands_over),
		cmocka_unit_test(test_dead_cable_hands_nothing_over),
		cmocka_unit_test(test_dead_port_needs_an_answer),
		cmocka_unit_test(test_failed_storage_says_farewell),
		cmocka_unit_test(test_heartbeats_echo_and_age),
		cmocka_unit_test(test_one_data_node),
		cmocka_unit_test(test_three_data_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
