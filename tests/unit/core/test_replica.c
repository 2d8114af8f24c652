/* SPDX-License-Identifier: Apache-2.0 */
/* A node that follows: what it answers to single messages, and what it must refuse. */
#include "tests/unit/core/rig.h"

/* ---- start ---- */

static void
test_configurations_that_contradict(void **state)
{
	struct rig *rig = rig_new();
	struct core *core;

	(void)state;
	for (int i = 0; i < 12; i++) {
		struct core_config config = rig_config_of(rig);

		switch (i) {
		case 0:
			config.node_id = 0;
			break;
		case 1:
			config.node_id = 9;
			break; /* no data node */
		case 2:
			config.data_nodes = 0;
			break;
		case 3:
			config.witness_id = 0;
			break; /* an even set needs one */
		case 4:
			config.witness_id = PEER;
			break;
		case 5:
			config.is_witness = true;
			break;
		case 6:
			config.timers.heartbeat_ns = 0;
			break;
		case 7:
			config.timers.elect_max_ns = 49 * MS;
			break;
		case 8:
			config.timers.solo_ns = 60 * MS;
			break;
		case 9:
			config.history = NULL;
			break;
		case 10:
			config.data_nodes |= 0x1ff0;
			break;
		default:
			config.boot_no = 0;
			break;
		}
		assert_int_equal(core_init(rig->memory, &config, &core), TERN_ERR_CONFIG);
	}
	rig_free(rig);
}

static void
test_effective_timers(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	(void)state;
	config.timers.heartbeat_ns = 6 * MS; /* eight of them are more than T_solo */
	rig_start(rig, &config);
	assert_int_equal(core_view(rig->core)->solo_ns, 48 * MS);
	assert_int_equal(core_view(rig->core)->elect_min_ns, 80 * MS);
	rig_free(rig);
}

static void
test_recovered_log(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);
	struct block_meta meta = { 1, 2, 0, BLOCK_BARRIER, rig_chain_of(1, 2) };

	(void)state;
	config.term = 2;
	config.history_count = 1;
	rig_start(rig, &config);
	meta.log_index = 2;
	assert_int_equal(core_recover_block(rig->core, &meta, 0), TERN_ERR_MALFORMED);
	meta.log_index = 1;
	assert_int_equal(core_recover_block(rig->core, &meta, 2), TERN_ERR_MALFORMED);
	meta.term = 3; /* a block of a term that this node never wrote down */
	assert_int_equal(core_recover_block(rig->core, &meta, 0), TERN_ERR_CORRUPT);
	meta.term = 2;
	assert_int_equal(core_recover_block(rig->core, &meta, 1), TERN_OK);
	meta.log_index = 2;
	assert_int_equal(core_recover_block(rig->core, &meta, 0), TERN_ERR_QUEUE_FULL);
	assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_TICK }), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_COMMIT)->index, 1);
	assert_true(core_block_meta(rig->core, 1, &meta));
	assert_false(core_block_meta(rig->core, 2, &meta));
	assert_false(core_block_meta(rig->core, 0, &meta));
	rig_free(rig);
}

static void
test_time_never_goes_back(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = rig_config_of(rig);

	(void)state;
	rig_start(rig, &config);
	rig->now_ns -= 1;
	expect_assert_failure((void)rig_step(rig, (struct core_event){ .kind = CORE_EVENT_TICK }));
	rig_free(rig);
}

static void
test_nonsense_is_refused(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = rig_config_of(rig);
	struct core_event event = { .kind = CORE_EVENT_DURABLE, .index = 1 };

	(void)state;
	rig_start(rig, &config);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(9, 1, 1)), TERN_ERR_MALFORMED);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(SELF, 1, 1)), TERN_ERR_MALFORMED);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 1, 2, 0, 0)),
			 TERN_ERR_MALFORMED);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, WITNESS, 1, 1, 0, 0)),
			 TERN_ERR_MALFORMED);
	assert_int_equal(rig_step(rig, event), TERN_ERR_MALFORMED);
	event.kind = CORE_EVENT_APPLIED;
	assert_int_equal(rig_step(rig, event), TERN_ERR_MALFORMED);
	event.kind = CORE_EVENT_CUT_DONE;
	assert_int_equal(rig_step(rig, event), TERN_ERR_MALFORMED);
	event.kind = CORE_EVENT_META_DURABLE;
	assert_int_equal(rig_step(rig, event), TERN_ERR_MALFORMED);
	event.kind = CORE_EVENT_RECEIVED;
	assert_int_equal(rig_step(rig, event), TERN_ERR_MALFORMED);
	event.kind = CORE_EVENT_APPENDED;
	assert_int_equal(rig_step(rig, event), TERN_ERR_NOT_MASTER);
	event.kind = CORE_EVENT_READ;
	assert_int_equal(rig_step(rig, event), TERN_ERR_NOT_MASTER);
	assert_int_equal(rig->effects.count, 0);
	assert_int_equal(core_view(rig->core)->term, 0);
	rig_free(rig);
}

/* ---- votes of a data node ---- */

static void
test_vote_is_durable_before_it_is_given(void **state)
{
	struct rig *rig = rig_new();
	const struct core_config config = rig_config_of(rig);
	const struct core_effect *effect;

	(void)state;
	rig_start(rig, &config);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 4, 4, 0, 0)), TERN_OK);
	assert_null(rig_sent(rig, MSG_VOTE_ACK));
	effect = rig_effect_of(rig, CORE_EFFECT_PERSIST_META);
	assert_int_equal(effect->term, 4);
	assert_int_equal(effect->voted_for, PEER);
	rig_persist(rig);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_GRANTED);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->term, 4);
	/* The same request again needs no write. */
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 4, 4, 0, 0)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_GRANTED);
	assert_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_META));
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 3, 3, 0, 0)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_TERM);
	rig_free(rig);
}

static void
test_log_rule(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	(void)state;
	config.term = 3;
	rig_start(rig, &config);
	rig_recover(rig, 5, 3);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_PREVOTE, PEER, 3, 4, 3, 4)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_LOG);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_PREVOTE, PEER, 3, 4, 2, 9)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_LOG);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_PREVOTE, PEER, 9, 10, 3, 5)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.refusal, MSG_VOTE_GRANTED);
	/* Nothing of all that was adopted. */
	assert_int_equal(core_view(rig->core)->term, 3);
	assert_null(rig_effect_of(rig, CORE_EFFECT_PERSIST_META));
	/* A VOTE refused by the log rule is of a term that exists. */
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 4, 4, 3, 4)), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_PERSIST_META)->voted_for, 0);
	rig_persist(rig);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_LOG);
	assert_int_equal(core_view(rig->core)->term, 4);
	rig_free(rig);
}

/* Its own vote hangs on its disk: whoever lacks its blocks must not take it for dead. */
static void
test_log_rule_while_a_term_is_written(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);
	struct msg ack = { .kind = MSG_PREVOTE_ACK, .sender = WITNESS, .boot_no = 1, .term = 3 };

	(void)state;
	config.term = 3;
	rig_start(rig, &config);
	rig_recover(rig, 5, 3);
	rig_tick(rig, 85 * MS);
	ack.vote_ack.for_term = 4;
	ack.vote_ack.refusal = MSG_VOTE_GRANTED;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_PERSIST_META)->term, 4);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_PREVOTE, PEER, 2, 3, 3, 4)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_LOG);
	/* Nobody hears of a term that may be gone after a crash. */
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->term, 3);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 5, 5, 3, 4)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_LOG);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->term, 3);
	assert_int_equal(core_view(rig->core)->term, 4);
	/* Whatever else there is to say waits for the disk. */
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_PREVOTE, PEER, 3, 4, 3, 5)), TERN_OK);
	assert_null(rig_sent(rig, MSG_PREVOTE_ACK));
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 5, 5, 3, 5)), TERN_OK);
	assert_null(rig_sent(rig, MSG_VOTE_ACK));
	rig_free(rig);
}

static void
test_quiet_period_and_live_master(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);
	struct msg request = rig_vote(MSG_VOTE, PEER, 7, 7, 0, 0);

	(void)state;
	config.boot_no = 2;
	config.is_first_boot = false;
	rig_start(rig, &config);
	/* P10 */
	assert_int_equal(rig_deliver(rig, request), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_QUIET);
	assert_int_equal(core_view(rig->core)->term, 0);
	rig_tick(rig, 81 * MS);
	request.vote.for_term = request.term = 0;
	assert_int_equal(rig_deliver(rig, rig_heartbeat(WITNESS, 0, 1)), TERN_ERR_MALFORMED);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 7, 7, 0, 0)), TERN_OK);
	rig_persist(rig);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_GRANTED);
	rig_free(rig);

	/* Three data nodes: a master is heard, a third node asks. */
	rig = rig_new();
	config = rig_config_of(rig);
	config.data_nodes |= 1u << 4;
	config.term = 1;
	rig_start(rig, &config);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 1, 1)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_HEARTBEAT_ACK)->heartbeat_ack.round, 1);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, 4, 2, 2, 0, 0)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_MASTER);
	assert_int_equal(core_view(rig->core)->term, 1);
	/* The second copy of a round is not answered again. */
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 1, 1)), TERN_OK);
	assert_null(rig_sent(rig, MSG_HEARTBEAT_ACK));
	/* Hand-over waives the live master, and only that. */
	struct msg request_hand_over = rig_vote(MSG_VOTE, 4, 2, 2, 0, 0);
	request_hand_over.vote.is_hand_over = true;
	assert_int_equal(rig_deliver(rig, request_hand_over), TERN_OK);
	rig_persist(rig);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_GRANTED);
	rig_free(rig);
}

static void
test_farewell_clears_the_master(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);
	const struct msg farewell = {
		.kind = MSG_FAREWELL, .sender = PEER, .boot_no = 1, .term = 1
	};
	struct msg of_another = farewell;

	(void)state;
	config.data_nodes |= 1u << 4;
	config.term = 1;
	rig_start(rig, &config);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 1, 1)), TERN_OK);
	of_another.sender = 4;
	assert_int_equal(rig_deliver(rig, of_another), TERN_OK);
	assert_int_equal(core_view(rig->core)->farewells, 0);
	/* It comes twice, and counts once. */
	assert_int_equal(rig_deliver(rig, farewell), TERN_OK);
	assert_int_equal(rig_deliver(rig, farewell), TERN_OK);
	assert_int_equal(core_view(rig->core)->farewells, 1);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_PREVOTE, 4, 1, 2, 0, 0)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_PREVOTE_ACK)->vote_ack.refusal, MSG_VOTE_GRANTED);
	rig_free(rig);
}

static void
test_candidate_learns_the_commit_index(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);
	struct msg ack = { .kind = MSG_PREVOTE_ACK, .sender = PEER, .boot_no = 1, .term = 3 };

	(void)state;
	config.term = 3;
	rig_start(rig, &config);
	rig_recover(rig, 5, 3);
	rig_tick(rig, 85 * MS);
	assert_int_equal(core_view(rig->core)->role, CORE_CANDIDATE);
	ack.vote_ack.for_term = 4;
	ack.vote_ack.refusal = MSG_VOTE_REFUSED_QUIET;
	ack.vote_ack.commit_index = 4;
	ack.vote_ack.commit_chain = rig_chain_of(4, 2); /* another block 4 */
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	ack.vote_ack.commit_chain = rig_chain_of(4, 3);
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 4);
	/* The log rule ends the candidacy. */
	ack.vote_ack.refusal = MSG_VOTE_REFUSED_LOG;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->role, CORE_FOLLOWER);
	assert_int_equal(core_view(rig->core)->term, 3);
	rig_free(rig);
}

/* Among three copies one longer log is not enough to end a candidacy: its disk may hang. */
static void
test_candidate_outlives_one_log_refusal(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);
	struct msg ack = { .kind = MSG_PREVOTE_ACK, .sender = PEER, .boot_no = 1, .term = 3 };

	(void)state;
	config.data_nodes |= 1u << 4;
	config.term = 3;
	rig_start(rig, &config);
	rig_recover(rig, 5, 3);
	rig_tick(rig, 85 * MS);
	assert_int_equal(core_view(rig->core)->role, CORE_CANDIDATE);
	ack.vote_ack.for_term = 4;
	ack.vote_ack.refusal = MSG_VOTE_REFUSED_LOG;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->role, CORE_CANDIDATE);
	ack.sender = 4;
	ack.vote_ack.refusal = MSG_VOTE_GRANTED;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	rig_persist(rig);
	ack.kind = MSG_VOTE_ACK;
	ack.term = 4;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->role, CORE_MASTER);
	assert_int_equal(core_view(rig->core)->term, 4);
	rig_free(rig);
}

/* Two longer logs are a majority that will never grant. */
static void
test_candidate_yields_to_two_log_refusals(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);
	struct msg ack = { .kind = MSG_PREVOTE_ACK, .sender = PEER, .boot_no = 1, .term = 3 };

	(void)state;
	config.data_nodes |= 1u << 4;
	config.term = 3;
	rig_start(rig, &config);
	rig_recover(rig, 5, 3);
	rig_tick(rig, 85 * MS);
	ack.vote_ack.for_term = 4;
	ack.vote_ack.refusal = MSG_VOTE_REFUSED_LOG;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	ack.sender = 4;
	assert_int_equal(rig_deliver(rig, ack), TERN_OK);
	assert_int_equal(core_view(rig->core)->role, CORE_FOLLOWER);
	rig_free(rig);
}

/* ---- matching and cutting ---- */

/* A follower with blocks 1..3 of term 1 and a tail 4..5 of term 2, in term 5. */
static struct rig *
rig_with_tail(uint64_t commit_index)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	config.term = 5;
	rig_start(rig, &config);
	for (uint64_t i = 1; i <= 5; i++) {
		const uint64_t term = i <= 3 ? 1 : 2;
		const struct block_meta meta = { i, term, 0, BLOCK_COMMANDS,
						 rig_chain_of(i, term) };
		assert_int_equal(core_recover_block(rig->core, &meta, i == 5 ? commit_index : 0),
				 TERN_OK);
	}
	return rig;
}

static void
test_cut_needs_evidence(void **state)
{
	struct rig *rig = rig_with_tail(0);
	const struct msg_append_ack *ack;

	(void)state;
	/* prev differs: no cut, but where to look. */
	assert_int_equal(rig_deliver(rig, rig_probe(5, 5, 4, 5, 6)), TERN_OK);
	ack = &rig_sent(rig, MSG_APPEND_ACK)->append_ack;
	assert_int_equal(ack->status, MSG_APPEND_CONFLICT);
	assert_int_equal(ack->probe_index, 5);
	assert_int_equal(ack->last_index, 5);
	assert_int_equal(ack->conflict_index, 4);
	assert_int_equal(ack->conflict_term, 2);
	assert_int_equal(ack->durable_index, 0); /* nothing is promised to this master yet */
	/* The master's log ends below ours: that is no evidence. */
	assert_int_equal(rig_deliver(rig, rig_probe(5, 3, 1, 0, 3)), TERN_OK);
	ack = &rig_sent(rig, MSG_APPEND_ACK)->append_ack;
	assert_int_equal(ack->status, MSG_APPEND_MATCHED);
	assert_int_equal(ack->received_index, 3);
	assert_int_equal(ack->last_index, 5);
	assert_null(rig_effect_of(rig, CORE_EFFECT_CUT));
	/* The next block is equal: go on above it. */
	assert_int_equal(rig_deliver(rig, rig_probe(5, 2, 1, 1, 6)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_APPEND_ACK)->append_ack.received_index, 2);
	assert_null(rig_effect_of(rig, CORE_EFFECT_CUT));
	/* The next block differs. */
	assert_int_equal(rig_deliver(rig, rig_probe(5, 3, 1, 5, 6)), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_CUT)->index, 3);
	assert_null(rig_sent(rig, MSG_APPEND_ACK));
	/* Until the cut is done nothing is said about matching. */
	assert_int_equal(rig_deliver(rig, rig_probe(5, 3, 1, 5, 6)), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_CUT_DONE, .index = 3 }), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_ACCEPT)->index, 4);
	ack = &rig_sent(rig, MSG_APPEND_ACK)->append_ack;
	assert_int_equal(ack->status, MSG_APPEND_MATCHED);
	assert_int_equal(ack->probe_index, 3);
	assert_int_equal(ack->received_index, 3);
	assert_int_equal(ack->durable_index, 3);
	assert_int_equal(core_view(rig->core)->truncations, 1);
	rig_free(rig);
}

static void
test_late_probes_do_no_harm(void **state)
{
	struct rig *rig = rig_with_tail(0);
	struct core_event event = { .kind = CORE_EVENT_RECEIVED };

	(void)state;
	assert_int_equal(rig_deliver(rig, rig_probe(5, 3, 1, 5, 4)), TERN_OK);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_CUT_DONE, .index = 3 }), TERN_OK);
	for (uint64_t i = 4; i <= 8; i++) {
		event.block = (struct block_meta){ i, 5, 0, BLOCK_COMMANDS, rig_chain_of(i, 5) };
		assert_int_equal(rig_step(rig, event), TERN_OK);
		assert_int_equal(rig_effect_of(rig, CORE_EFFECT_PERSIST)->index, i);
		assert_int_equal(rig_sent(rig, MSG_APPEND_ACK)->append_ack.received_index, i);
		assert_int_equal(rig_sent(rig, MSG_APPEND_ACK)->append_ack.durable_index, 3);
	}
	/* Probes from before the cut, from a shorter log, and contradicting ones. */
	const struct msg late[] = { rig_probe(5, 3, 1, 5, 4), rig_probe(5, 2, 1, 1, 4),
				    rig_probe(5, 4, 5, 0, 4), rig_probe(5, 5, 4, 5, 6),
				    rig_probe(5, 4, 5, 9, 6), rig_probe(5, 0, 0, 1, 4) };
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		assert_int_equal(rig_deliver(rig, late[i]), TERN_OK);
		assert_null(rig_effect_of(rig, CORE_EFFECT_CUT));
		assert_null(rig_effect_of(rig, CORE_EFFECT_ACCEPT));
		assert_int_equal(core_view(rig->core)->last_index, 8);
	}
	/* A probe of a term that is over teaches its sender the newer one. */
	assert_int_equal(rig_deliver(rig, rig_probe(4, 3, 1, 5, 4)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_HEARTBEAT_ACK)->term, 5);
	assert_int_equal(rig_deliver(rig, rig_probe(5, 7, 1, 5, 4)), TERN_ERR_MALFORMED);
	rig_free(rig);
}

/* What only a broken master could say: it committed what another one makes us cut. */
static void
test_no_commit_in_a_tail_under_cut(void **state)
{
	struct rig *rig = rig_with_tail(0);
	struct msg beat = rig_heartbeat(PEER, 5, 1);

	(void)state;
	assert_int_equal(rig_deliver(rig, rig_probe(5, 3, 1, 5, 4)), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_CUT)->index, 3);
	beat.heartbeat.commit_index = 4;
	beat.heartbeat.commit_chain = rig_chain_of(4, 2);
	assert_int_equal(rig_deliver(rig, beat), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 0);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_CUT_DONE, .index = 3 }), TERN_OK);
	assert_int_equal(core_view(rig->core)->last_index, 3);
	rig_free(rig);
}

/* The term after the highest one would be 0. */
static void
test_absurd_terms_are_refused(void **state)
{
	struct rig *rig = rig_with_tail(0);

	(void)state;
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, UINT64_MAX, 1)), TERN_ERR_MALFORMED);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, UINT64_MAX, UINT64_MAX, 9, 9)),
			 TERN_ERR_MALFORMED);
	assert_int_equal(core_view(rig->core)->term, 5);
	rig_free(rig);
}

static void
test_never_cut_below_commit(void **state)
{
	struct rig *rig = rig_with_tail(4);

	(void)state;
	assert_int_equal(rig_deliver(rig, rig_probe(5, 3, 1, 5, 6)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_CUT));
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_ALARM)->alarm, CORE_ALARM_CUT_BELOW_COMMIT);
	assert_null(rig_sent(rig, MSG_APPEND_ACK));
	/* Quarantined: said once, no vote for anybody, no candidacy. */
	assert_true(core_view(rig->core)->is_quarantined);
	assert_int_equal(rig_deliver(rig, rig_probe(5, 3, 1, 5, 6)), TERN_OK);
	assert_null(rig_effect_of(rig, CORE_EFFECT_ALARM));
	rig_tick(rig, 300 * MS);
	assert_int_equal(core_view(rig->core)->role, CORE_FOLLOWER);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 9, 9, 8, 8)), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.refusal, MSG_VOTE_REFUSED_QUIET);
	assert_int_equal(core_view(rig->core)->term, 5);
	/* Nor does anybody hear of it what it took for committed. */
	assert_int_equal(core_view(rig->core)->commit_index, 4);
	assert_int_equal(rig_sent(rig, MSG_VOTE_ACK)->vote_ack.commit_index, 0);
	rig_free(rig);
}

static void
test_storage_failure_ends_all_promises(void **state)
{
	struct rig *rig = rig_with_tail(0);

	(void)state;
	assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_STORAGE_FAILED }),
			 TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_ALARM)->alarm, CORE_ALARM_STORAGE_FAILED);
	assert_int_equal(rig_deliver(rig, rig_vote(MSG_VOTE, PEER, 9, 9, 9, 9)), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 5, 1)), TERN_OK);
	assert_int_equal(rig->effects.count, 0);
	rig_tick(rig, 500 * MS);
	assert_int_equal(core_view(rig->core)->role, CORE_FOLLOWER);
	assert_true(core_deadline_ns(rig->core) == UINT64_MAX);
	rig_free(rig);
}

static void
test_never_cut_the_current_term(void **state)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	(void)state;
	config.term = 5;
	rig_start(rig, &config);
	rig_recover(rig, 4, 5);
	assert_int_equal(rig_deliver(rig, rig_probe(5, 2, 5, 9, 6)), TERN_OK);
	assert_int_equal(rig->effects.count, 1); /* the view */
	assert_int_equal(core_view(rig->core)->last_index, 4);
	rig_free(rig);
}

static void
test_durable_is_acknowledged(void **state)
{
	struct rig *rig = rig_with_tail(0);
	struct core_event event = { .kind = CORE_EVENT_RECEIVED,
				    .block = { 6, 5, 0, BLOCK_COMMANDS, rig_chain_of(6, 5) } };

	(void)state;
	assert_int_equal(rig_step(rig, event), TERN_ERR_MALFORMED); /* nothing is matched yet */
	assert_int_equal(rig_deliver(rig, rig_probe(5, 5, 2, 5, 6)), TERN_OK);
	assert_int_equal(rig_effect_of(rig, CORE_EFFECT_ACCEPT)->index, 6);
	assert_int_equal(rig_step(rig, event), TERN_OK);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_DURABLE, .index = 6 }), TERN_OK);
	assert_int_equal(rig_sent(rig, MSG_APPEND_ACK)->append_ack.durable_index, 6);
	assert_int_equal(rig_sent(rig, MSG_APPEND_ACK)->append_ack.status, MSG_APPEND_PROGRESS);
	rig_free(rig);
}

/* ---- how old the state here can be (protocol section 9) ---- */

static uint64_t
stale_ns(const struct rig *rig)
{
	const struct core_view *view = core_view(rig->core);

	return core_stale_ns(view->fresh_ns, view->echo_ns, view->elect_min_ns, rig->now_ns);
}

/* A heartbeat of term 5 that echoes what this node sent at @echo_ns. */
static struct msg
echoing(uint64_t round, uint64_t echo_ns, uint64_t age_ns, uint64_t commit_index)
{
	struct msg beat = rig_heartbeat(PEER, 5, round);

	beat.heartbeat.echo_ns = echo_ns;
	beat.heartbeat.echo_boot_no = 1;
	beat.heartbeat.confirmed_age_ns = age_ns;
	beat.heartbeat.commit_index = commit_index;
	beat.heartbeat.commit_chain = rig_chain_of(commit_index, 5);
	return beat;
}

static struct rig *
rig_following(void)
{
	struct rig *rig = rig_new();
	struct core_config config = rig_config_of(rig);

	config.term = 5;
	rig_start(rig, &config);
	rig_recover(rig, 4, 5);
	rig_tick(rig, 20 * MS);
	assert_int_equal(stale_ns(rig), UINT64_MAX);
	return rig;
}

static void
test_age_is_that_of_the_echo(void **state)
{
	struct rig *rig = rig_following();
	const uint64_t start_ns = rig->now_ns;

	(void)state;
	assert_int_equal(rig_deliver(rig, echoing(1, 0, 0, 0)), TERN_OK);
	const uint64_t sent_ns = rig_sent(rig, MSG_HEARTBEAT_ACK)->heartbeat_ack.sent_ns;
	assert_int_equal(sent_ns, start_ns);
	assert_int_equal(stale_ns(rig), UINT64_MAX); /* no echo yet */
	/* The heartbeat was long under way: what counts is when its echo was sent. */
	rig_tick(rig, 10 * MS);
	assert_int_equal(rig_deliver(rig, echoing(2, sent_ns, 3 * MS, 0)), TERN_OK);
	assert_int_equal(stale_ns(rig), 13 * MS + 13 * MS / CORE_CLOCK_DRIFT);
	/* An older echo that comes late takes nothing back. */
	assert_int_equal(rig_deliver(rig, echoing(1, sent_ns - 5 * MS, 0, 0)), TERN_OK);
	assert_int_equal(stale_ns(rig), 13 * MS + 13 * MS / CORE_CLOCK_DRIFT);
	/* Without a further echo for T_elect it is not known any more. */
	rig_tick(rig, core_view(rig->core)->elect_min_ns + MS);
	assert_int_equal(stale_ns(rig), UINT64_MAX);
	rig_free(rig);
}

static void
test_age_waits_for_what_was_committed(void **state)
{
	struct rig *rig = rig_following();

	(void)state;
	rig_tick(rig, 5 * MS);
	assert_int_equal(rig_deliver(rig, echoing(1, rig->now_ns - MS, 0, 3)), TERN_OK);
	assert_int_equal(core_view(rig->core)->commit_index, 3);
	assert_int_equal(stale_ns(rig), UINT64_MAX);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_APPLIED, .index = 2 }), TERN_OK);
	assert_int_equal(stale_ns(rig), UINT64_MAX);
	assert_int_equal(
	    rig_step(rig, (struct core_event){ .kind = CORE_EVENT_APPLIED, .index = 3 }), TERN_OK);
	assert_int_equal(stale_ns(rig), MS + MS / CORE_CLOCK_DRIFT);
	rig_free(rig);
}

static void
test_age_of_nothing_that_can_be_trusted(void **state)
{
	struct rig *rig = rig_following();
	struct msg beat = echoing(1, rig->now_ns, MSG_AGE_UNKNOWN, 0);

	(void)state;
	assert_int_equal(rig_deliver(rig, beat), TERN_OK); /* no round of this master's is known */
	assert_int_equal(stale_ns(rig), UINT64_MAX);
	beat = echoing(2, rig->now_ns + MS, 0, 0); /* of the future */
	assert_int_equal(rig_deliver(rig, beat), TERN_OK);
	assert_int_equal(stale_ns(rig), UINT64_MAX);
	beat = echoing(3, rig->now_ns, 0, 0); /* of another incarnation's clock */
	beat.heartbeat.echo_boot_no = 2;
	assert_int_equal(rig_deliver(rig, beat), TERN_OK);
	assert_int_equal(stale_ns(rig), UINT64_MAX);
	beat = echoing(4, rig->now_ns, 0, 0);
	assert_int_equal(rig_deliver(rig, beat), TERN_OK);
	assert_int_equal(stale_ns(rig), 0);
	/* A new term begins without any. */
	beat = echoing(1, 0, 0, 0);
	beat.term = 6;
	assert_int_equal(rig_deliver(rig, beat), TERN_OK);
	assert_int_equal(stale_ns(rig), UINT64_MAX);
	rig_free(rig);
}

/* ---- how long the master may be silent ---- */

static void
beats(struct rig *rig, uint64_t *round, uint64_t span_ns, uint64_t each_ns)
{
	for (uint64_t passed_ns = 0; passed_ns < span_ns; passed_ns += each_ns) {
		rig_tick(rig, each_ns);
		assert_int_equal(rig_deliver(rig, rig_heartbeat(PEER, 5, ++*round)), TERN_OK);
	}
}

static bool
is_campaigning_after(struct rig *rig, uint64_t span_ns)
{
	for (uint64_t passed_ns = 0; passed_ns < span_ns; passed_ns += MS)
		rig_tick(rig, MS);
	return core_view(rig->core)->role == CORE_CANDIDATE;
}

/* One that was silent for long, and lived, is given twice as long for a while. */
static void
test_patience_follows_the_master(void **state)
{
	struct rig *rig = rig_following();
	const uint64_t elect_min_ns = core_view(rig->core)->elect_min_ns;
	const uint64_t elect_max_ns = core_view(rig->core)->elect_max_ns;
	uint64_t round = 0;

	(void)state;
	beats(rig, &round, 30 * MS, 3 * MS);
	assert_int_equal(core_view(rig->core)->hear_ns, elect_min_ns);
	assert_false(is_campaigning_after(rig, elect_min_ns - MS));
	beats(rig, &round, 30 * MS, 3 * MS);
	assert_int_equal(core_view(rig->core)->hear_ns, 2 * (elect_min_ns - MS + 3 * MS));
	assert_false(is_campaigning_after(rig, 2 * elect_min_ns));
	beats(rig, &round, 10 * 1000 * MS, 3 * MS);
	assert_int_equal(core_view(rig->core)->hear_ns, elect_min_ns);
	assert_true(is_campaigning_after(rig, elect_max_ns + MS));
	rig_free(rig);
}

/* Of an outage no more is learnt than of a silence of twice T_elect_min. */
static void
test_patience_has_an_end(void **state)
{
	struct rig *rig = rig_following();
	const uint64_t elect_min_ns = core_view(rig->core)->elect_min_ns;
	uint64_t round = 0;

	(void)state;
	beats(rig, &round, 30 * MS, 3 * MS);
	assert_true(is_campaigning_after(rig, 1000 * MS));
	beats(rig, &round, 3 * MS, 3 * MS);
	assert_int_equal(core_view(rig->core)->hear_ns, 4 * elect_min_ns);
	assert_true(is_campaigning_after(rig, 6 * elect_min_ns));
	rig_free(rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patience_follows_the_master),
		cmocka_unit_test(test_patience_has_an_end),
		cmocka_unit_test(test_age_is_that_of_the_echo),
		cmocka_unit_test(test_age_waits_for_what_was_committed),
		cmocka_unit_test(test_age_of_nothing_that_can_be_trusted),
		cmocka_unit_test(test_configurations_that_contradict),
		cmocka_unit_test(test_effective_timers),
		cmocka_unit_test(test_recovered_log),
		cmocka_unit_test(test_time_never_goes_back),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_vote_is_durable_before_it_is_given),
		cmocka_unit_test(test_log_rule),
		cmocka_unit_test(test_log_rule_while_a_term_is_written),
		cmocka_unit_test(test_quiet_period_and_live_master),
		cmocka_unit_test(test_farewell_clears_the_master),
		cmocka_unit_test(test_candidate_learns_the_commit_index),
		cmocka_unit_test(test_candidate_outlives_one_log_refusal),
		cmocka_unit_test(test_candidate_yields_to_two_log_refusals),
		cmocka_unit_test(test_cut_needs_evidence),
		cmocka_unit_test(test_late_probes_do_no_harm),
		cmocka_unit_test(test_never_cut_below_commit),
		cmocka_unit_test(test_no_commit_in_a_tail_under_cut),
		cmocka_unit_test(test_absurd_terms_are_refused),
		cmocka_unit_test(test_storage_failure_ends_all_promises),
		cmocka_unit_test(test_never_cut_the_current_term),
		cmocka_unit_test(test_durable_is_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
