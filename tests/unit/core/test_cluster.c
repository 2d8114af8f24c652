/* SPDX-License-Identifier: Apache-2.0 */
/* Scripted schedules: each row of the fault table (protocol section 13) that two data nodes and a
 * witness can show, hand-over, reads. */
#include "tests/support/check.h"
#include "tests/unit/core/checker.h"

#define SECOND (1000 * MS)

struct pair {
	struct cluster *cluster;
	uint16_t master, other;
};

/* A cluster in DUPLEX with some blocks committed. */
static struct pair
duplex_with(uint64_t seed, uint32_t bugs)
{
	struct pair pair = { .cluster = cluster_new(seed, bugs) };

	for (int i = 0; i < 100 && pair.master == 0; i++) {
		cluster_run(pair.cluster, 10 * MS);
		for (uint16_t id = NODE_A; id <= NODE_B; id++)
			if (cluster_view(pair.cluster, id)->is_serving)
				pair.master = id;
	}
	assert_int_not_equal(pair.master, 0);
	pair.other = (uint16_t)(NODE_A + NODE_B - pair.master);
	for (int i = 0; i < 20; i++) {
		const uint64_t index = cluster_write(pair.cluster, pair.master);
		assert_int_not_equal(index, 0);
		assert_true(cluster_committed(pair.cluster, pair.other, index, SECOND));
	}
	assert_int_equal(cluster_view(pair.cluster, pair.master)->mode, CORE_MODE_DUPLEX);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->epoch, 0);
	return pair;
}

static struct pair
duplex(uint64_t seed)
{
	return duplex_with(seed, 0);
}

static void
end(struct pair pair)
{
	check_logs(pair.cluster);
	assert_string_equal(pair.cluster->breach, "");
	cluster_free(pair.cluster);
}

static void
end_converged(struct pair pair)
{
	cluster_run(pair.cluster, SECOND);
	check_converged(pair.cluster);
	end(pair);
}

static void
write_some(struct pair pair, uint16_t master, int count)
{
	uint64_t index = 0;

	for (int i = 0; i < count; i++) {
		index = cluster_write(pair.cluster, master);
		assert_int_not_equal(index, 0);
		cluster_run(pair.cluster, MS);
	}
	assert_true(cluster_committed(pair.cluster, master, index, SECOND));
}

static bool
is_master(struct pair pair, uint16_t node)
{
	return cluster_view(pair.cluster, node)->role == CORE_MASTER;
}

static void
test_birth_and_commit(void **state)
{
	const struct pair pair = duplex(1);
	const struct core_view *a = cluster_view(pair.cluster, pair.master);
	const struct core_view *b = cluster_view(pair.cluster, pair.other);

	(void)state;
	assert_int_equal(a->copies, 2);
	assert_int_equal(a->rset, 1u << NODE_A | 1u << NODE_B);
	assert_int_equal(a->term, 1);
	assert_int_equal(b->mode, CORE_MODE_REPLICA);
	assert_int_equal(b->master_id, pair.master);
	assert_int_equal(pair.cluster->commands_committed, 20);
	cluster_run(pair.cluster, 3 * SECOND);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->term, 1);
	end_converged(pair);
}

static void
test_replica_dies_and_returns(void **state)
{
	const struct pair pair = duplex(2);
	const struct core_view *view;

	(void)state;
	cluster_crash(pair.cluster, pair.other);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, 200 * MS));
	view = cluster_view(pair.cluster, pair.master);
	assert_int_equal(view->epoch, 1);
	assert_int_equal(view->copies, 1);
	assert_int_equal(view->rset, 1u << pair.master | 1u << NODE_W);
	assert_int_equal(pair.cluster->nodes[NODE_W].reg.last_epoch, 1);
	assert_int_equal(pair.cluster->nodes[NODE_W].reg.rset, view->rset);
	write_some(pair, pair.master, 200);
	cluster_start(pair.cluster, pair.other);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_DUPLEX, 2 * SECOND));
	write_some(pair, pair.master, 10);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->epoch, 2);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->duplex_returns, 1);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->term, 1);
	end_converged(pair);
}

/* An outage is no slow answer: a peer that was away is not given more patience than a slow one. */
static void
test_outage_teaches_no_patience(void **state)
{
	const struct pair pair = duplex(22);

	(void)state;
	cluster_cut(pair.cluster, pair.master, pair.other, true);
	cluster_run(pair.cluster, 60 * SECOND);
	cluster_heal(pair.cluster);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_DUPLEX, 2 * SECOND));
	cluster_run(pair.cluster, 4 * SECOND);
	cluster_crash(pair.cluster, pair.other);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, 60 * MS));
	end(pair);
}

static void
test_master_dies_and_returns_with_a_tail(void **state)
{
	const struct pair pair = duplex(3);
	uint64_t tail;

	(void)state;
	/* Blocks that reach the master's device only. */
	cluster_cut(pair.cluster, pair.master, pair.other, true);
	for (int i = 0; i < 5; i++) {
		assert_int_not_equal(cluster_write(pair.cluster, pair.master), 0);
		cluster_run(pair.cluster, 2 * MS);
	}
	tail = cluster_view(pair.cluster, pair.master)->durable_index;
	assert_true(tail >= cluster_view(pair.cluster, pair.master)->commit_index + 4);
	cluster_crash(pair.cluster, pair.master);
	cluster_heal(pair.cluster);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_SOLO, SECOND));
	assert_int_equal(cluster_view(pair.cluster, pair.other)->term, 2);
	/* Straight to the degraded epoch 0: nobody waits for the dead one. */
	assert_int_equal(cluster_view(pair.cluster, pair.other)->epoch, 0);
	write_some(pair, pair.other, 20);
	cluster_start(pair.cluster, pair.master);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_DUPLEX, 2 * SECOND));
	assert_int_equal(cluster_view(pair.cluster, pair.master)->truncations, 1);
	end_converged(pair);
}

static void
test_link_between_data_nodes_is_cut(void **state)
{
	const struct pair pair = duplex(4);

	(void)state;
	cluster_cut(pair.cluster, pair.master, pair.other, true);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, 200 * MS));
	write_some(pair, pair.master, 50);
	cluster_run(pair.cluster, SECOND);
	assert_true(is_master(pair, pair.master));
	assert_false(is_master(pair, pair.other));
	/* P9: it could not even raise the term. */
	assert_int_equal(cluster_view(pair.cluster, pair.other)->term, 1);
	assert_int_equal(pair.cluster->nodes[NODE_W].reg.term, 1);
	/* The witness goes too: registered SOLO goes on, the other stays locked out. */
	cluster_cut(pair.cluster, pair.master, NODE_W, true);
	cluster_run(pair.cluster, SECOND);
	write_some(pair, pair.master, 10);
	assert_false(is_master(pair, pair.other));
	cluster_heal(pair.cluster);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_DUPLEX, 2 * SECOND));
	end_converged(pair);
}

static void
test_master_is_cut_from_both(void **state)
{
	const struct pair pair = duplex(5);
	uint64_t committed;

	(void)state;
	cluster_cut(pair.cluster, pair.master, pair.other, true);
	cluster_cut(pair.cluster, pair.master, NODE_W, true);
	committed = pair.cluster->committed_max;
	for (int i = 0; i < 5; i++)
		assert_int_not_equal(cluster_write(pair.cluster, pair.master), 0);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_SOLO, SECOND));
	assert_false(is_master(pair, pair.master));
	assert_true(cluster_view(pair.cluster, pair.master)->commit_index <= committed + 1);
	write_some(pair, pair.other, 20);
	cluster_heal(pair.cluster);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_DUPLEX, 2 * SECOND));
	assert_int_equal(cluster_view(pair.cluster, pair.master)->truncations, 1);
	end_converged(pair);
}

static void
test_witness_dies(void **state)
{
	const struct pair pair = duplex(6);

	(void)state;
	cluster_crash(pair.cluster, NODE_W);
	cluster_run(pair.cluster, SECOND);
	write_some(pair, pair.master, 20);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->term, 1);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->epoch, 0);
	/* The two can still elect. */
	cluster_pause(pair.cluster, pair.master, 500 * MS);
	cluster_run(pair.cluster, 490 * MS);
	cluster_run(pair.cluster, SECOND);
	assert_true(is_master(pair, pair.master) != is_master(pair, pair.other));
	cluster_start(pair.cluster, NODE_W);
	end_converged(pair);
}

static void
test_solo_master_dies(void **state)
{
	const struct pair pair = duplex(7);

	(void)state;
	cluster_crash(pair.cluster, pair.other);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, 200 * MS));
	write_some(pair, pair.master, 20);
	cluster_crash(pair.cluster, pair.master);
	cluster_start(pair.cluster, pair.other);
	cluster_run(pair.cluster, 2 * SECOND);
	assert_false(is_master(pair, pair.other));
	assert_int_equal(pair.cluster->nodes[NODE_W].reg.voted_for, pair.master);
	cluster_start(pair.cluster, pair.master);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_DUPLEX, 2 * SECOND));
	end_converged(pair);
}

static void
test_all_restart(void **state)
{
	const struct pair pair = duplex(8);
	const uint64_t committed = pair.cluster->committed_max;

	(void)state;
	for (uint16_t i = NODE_A; i <= NODE_W; i++)
		cluster_crash(pair.cluster, i);
	cluster_run(pair.cluster, SECOND);
	for (uint16_t i = NODE_A; i <= NODE_W; i++)
		cluster_start(pair.cluster, i);
	cluster_run(pair.cluster, SECOND);
	assert_true(pair.cluster->committed_max > committed);
	end_converged(pair);
}

static void
test_hand_over(void **state)
{
	const struct pair pair = duplex(9);
	struct core_event event = { .kind = CORE_EVENT_TRANSFER, .node = pair.other };

	(void)state;
	assert_int_equal(cluster_event(pair.cluster, pair.other, &event), TERN_ERR_NOT_MASTER);
	event.node = NODE_W;
	assert_int_equal(cluster_event(pair.cluster, pair.master, &event), TERN_ERR_BUSY);
	event.node = pair.other;
	assert_int_equal(cluster_event(pair.cluster, pair.master, &event), TERN_OK);
	assert_false(cluster_view(pair.cluster, pair.master)->is_serving);
	assert_int_equal(cluster_event(pair.cluster, pair.master, &event), TERN_ERR_BUSY);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_DUPLEX, 100 * MS));
	assert_int_equal(cluster_view(pair.cluster, pair.other)->term, 2);
	assert_int_equal(cluster_view(pair.cluster, pair.other)->solo_entries, 0);
	write_some(pair, pair.other, 5);
	end_converged(pair);
}

static void
test_hand_over_that_fails(void **state)
{
	const struct pair pair = duplex(10);
	struct core_event event = { .kind = CORE_EVENT_TRANSFER, .node = pair.other };

	(void)state;
	/* The target hears the request, but its own votes reach nobody. */
	for (uint32_t path = 0; path < PATHS; path++)
		pair.cluster->cut[pair.other][NODE_W][path] = true;
	cluster_hang(pair.cluster, pair.other, true);
	assert_int_equal(cluster_event(pair.cluster, pair.master, &event), TERN_OK);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, SECOND));
	write_some(pair, pair.master, 5);
	cluster_hang(pair.cluster, pair.other, false);
	cluster_heal(pair.cluster);
	end_converged(pair);
}

static void
test_graceful_stop_hands_over(void **state)
{
	const struct pair pair = duplex(11);
	struct core_event event = { .kind = CORE_EVENT_STOP };

	(void)state;
	assert_int_equal(cluster_event(pair.cluster, pair.master, &event), TERN_OK);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_DUPLEX, 100 * MS));
	cluster_crash(pair.cluster, pair.master);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_SOLO, SECOND));
	/* P7: the last one is asked to stop as well, and changes nothing. */
	cluster_start(pair.cluster, pair.master);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_DUPLEX, 2 * SECOND));
	cluster_crash(pair.cluster, pair.master);
	assert_int_equal(cluster_event(pair.cluster, pair.other, &event), TERN_OK);
	cluster_run(pair.cluster, SECOND);
	assert_int_equal(cluster_view(pair.cluster, pair.other)->solo_entries, 1);
	end(pair);
}

static void
test_reads(void **state)
{
	const struct pair pair = duplex(12);

	(void)state;
	assert_int_equal(cluster_read(pair.cluster, pair.other), 0);
	for (int i = 0; i < 20; i++)
		assert_int_not_equal(cluster_read(pair.cluster, pair.master), 0);
	assert_int_equal(pair.cluster->reads_ready, 0);
	cluster_run(pair.cluster, 2 * MS);
	assert_int_equal(pair.cluster->reads_ready, 20);
	/* One of the two others is enough. */
	cluster_cut(pair.cluster, pair.master, NODE_W, true);
	assert_int_not_equal(cluster_read(pair.cluster, pair.master), 0);
	cluster_run(pair.cluster, 5 * MS);
	assert_int_equal(pair.cluster->reads_ready, 21);
	/* Nobody answers: no answer to the client either, until the master gives up. */
	cluster_cut(pair.cluster, pair.master, pair.other, true);
	cluster_run(pair.cluster, 1 * MS);
	assert_int_not_equal(cluster_read(pair.cluster, pair.master), 0);
	cluster_run(pair.cluster, 10 * MS);
	assert_int_equal(pair.cluster->reads_ready + pair.cluster->reads_failed, 21);
	cluster_run(pair.cluster, SECOND);
	assert_int_equal(pair.cluster->reads_failed, 1);
	cluster_heal(pair.cluster);
	end_converged(pair);
}

static void
test_solo_reads_need_nobody(void **state)
{
	const struct pair pair = duplex(13);

	(void)state;
	cluster_crash(pair.cluster, pair.other);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, 200 * MS));
	write_some(pair, pair.master, 1);
	cluster_cut(pair.cluster, pair.master, NODE_W, true);
	assert_int_not_equal(cluster_read(pair.cluster, pair.master), 0);
	assert_int_equal(pair.cluster->reads_ready, 1);
	end(pair);
}

/* A master sleeps, another takes a write, the first wakes up with a read already there and hears
 * nobody yet. */
static void
read_after_pause(struct pair pair)
{
	cluster_pause(pair.cluster, pair.master, 300 * MS);
	cluster_cut(pair.cluster, pair.master, pair.other, true);
	cluster_cut(pair.cluster, pair.master, NODE_W, true);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_SOLO, 290 * MS));
	write_some(pair, pair.other, 3);
	cluster_offer_read(pair.cluster, pair.master);
	cluster_run(pair.cluster, SECOND);
}

static void
test_paused_master_reads_nothing_old(void **state)
{
	(void)state;
	for (uint64_t seed = 100; seed < 120; seed++) {
		const struct pair pair = duplex(seed);

		read_after_pause(pair);
		assert_int_equal(pair.cluster->reads_ready, 0);
		assert_int_equal(pair.cluster->reads_failed, 1);
		cluster_heal(pair.cluster);
		end_converged(pair);
	}
}

static void
test_missing_read_round_reads_old(void **state)
{
	const struct pair pair = duplex_with(100, CORE_BUG_NO_READ_ROUND);

	(void)state;
	read_after_pause(pair);
	assert_string_not_equal(pair.cluster->breach, "");
	cluster_free(pair.cluster);
}

static void
test_many_reads_are_bounded(void **state)
{
	const struct pair pair = duplex(14);
	struct core_event event = { .kind = CORE_EVENT_READ };
	struct core_effects effects;

	(void)state;
	event.now_ns = pair.cluster->now_ns;
	enum tern_err err = TERN_OK;
	uint32_t taken = 0;
	for (event.op_id = 1001; taken <= 1024 && err == TERN_OK; event.op_id++, taken++)
		err = core_step(pair.cluster->nodes[pair.master].core, &event, &effects);
	assert_int_equal(err, TERN_ERR_QUEUE_FULL);
	assert_true(taken > 20);
	assert_int_equal(effects.count, 0);
	cluster_free(pair.cluster);
}

static void
test_stalled_disk_of_the_master(void **state)
{
	const struct pair pair = duplex(15);

	(void)state;
	cluster_hang(pair.cluster, pair.master, true);
	assert_int_not_equal(cluster_write(pair.cluster, pair.master), 0);
	cluster_run(pair.cluster, SECOND);
	assert_false(is_master(pair, pair.master));
	assert_int_equal(pair.cluster->nodes[pair.master].alarms[CORE_ALARM_STALLED], 1);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_SOLO, SECOND));
	write_some(pair, pair.other, 10);
	cluster_hang(pair.cluster, pair.master, false);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_DUPLEX, 2 * SECOND));
	end_converged(pair);
}

/* What is committed and not applied is no service either. */
static void
test_stalled_apply_of_the_master(void **state)
{
	const struct pair pair = duplex(17);

	(void)state;
	cluster_idle(pair.cluster, pair.master, true);
	const uint64_t index = cluster_write(pair.cluster, pair.master);
	assert_true(cluster_committed(pair.cluster, pair.master, index, 100 * MS));
	cluster_run(pair.cluster, SECOND);
	assert_false(is_master(pair, pair.master));
	assert_int_equal(pair.cluster->nodes[pair.master].alarms[CORE_ALARM_STALLED], 1);
	assert_true(is_master(pair, pair.other));
	write_some(pair, pair.other, 10);
	cluster_idle(pair.cluster, pair.master, false);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_DUPLEX, 2 * SECOND));
	end_converged(pair);
}

static void
test_late_replica(void **state)
{
	const struct pair pair = duplex(16);

	(void)state;
	cluster_hang(pair.cluster, pair.other, true);
	assert_int_not_equal(cluster_write(pair.cluster, pair.master), 0);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, 400 * MS));
	write_some(pair, pair.master, 50);
	cluster_run(pair.cluster, SECOND);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->epoch, 1);
	cluster_hang(pair.cluster, pair.other, false);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_DUPLEX, SECOND));
	end_converged(pair);
}

/* T_late is the replica's own: the one that is waited for longer still holds its commits when the
 * other one would be given up. */
static void
test_late_replicas_differ(void **state)
{
	struct pair pair = { .cluster = cluster_new(23, 0) };
	const uint64_t late_ns[] = { [NODE_A] = 260 * MS, [NODE_B] = 60 * MS };

	(void)state;
	for (uint16_t i = NODE_A; i <= NODE_W; i++)
		cluster_crash(pair.cluster, i);
	for (uint16_t i = NODE_A; i <= NODE_B; i++)
		pair.cluster->late_ns[i] = late_ns[i];
	for (uint16_t i = NODE_A; i <= NODE_W; i++)
		cluster_start(pair.cluster, i);
	cluster_run(pair.cluster, SECOND);
	for (int round = 0; round < 2; round++) {
		pair.master = is_master(pair, NODE_A) ? NODE_A : NODE_B;
		pair.other = (uint16_t)(NODE_A + NODE_B - pair.master);
		assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_DUPLEX, SECOND));
		const uint64_t commit = cluster_view(pair.cluster, pair.master)->commit_index;
		cluster_hang(pair.cluster, pair.other, true);
		assert_int_not_equal(cluster_write(pair.cluster, pair.master), 0);
		cluster_run(pair.cluster, late_ns[pair.other] - 40 * MS);
		assert_int_equal(cluster_view(pair.cluster, pair.master)->mode, CORE_MODE_DUPLEX);
		assert_int_equal(cluster_view(pair.cluster, pair.master)->commit_index, commit);
		assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, 100 * MS));
		write_some(pair, pair.master, 5);
		cluster_hang(pair.cluster, pair.other, false);
		assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_DUPLEX, SECOND));
		/* The other way round. */
		if (round == 0) {
			cluster_crash(pair.cluster, pair.master);
			cluster_run(pair.cluster, SECOND);
			cluster_start(pair.cluster, pair.master);
		}
	}
	end_converged(pair);
}

/* The data path alone is out: the other node is late, and the set does not flap. */
static void
test_data_path_is_cut(void **state)
{
	const struct pair pair = duplex(17);

	(void)state;
	pair.cluster->cut[NODE_A][NODE_B][0] = pair.cluster->cut[NODE_B][NODE_A][0] = true;
	cluster_run(pair.cluster, SECOND);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->mode, CORE_MODE_DUPLEX);
	assert_int_not_equal(cluster_write(pair.cluster, pair.master), 0);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, SECOND));
	cluster_run(pair.cluster, 2 * SECOND);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->epoch, 1);
	assert_false(is_master(pair, pair.other));
	assert_int_equal(cluster_view(pair.cluster, pair.other)->mode, CORE_MODE_CATCHUP);
	cluster_heal(pair.cluster);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_DUPLEX, SECOND));
	end_converged(pair);
}

static void
test_forgotten_acknowledgement(void **state)
{
	const struct pair pair = duplex(18);

	(void)state;
	/* P5: a device that lost what it had called durable. */
	cluster_crash(pair.cluster, pair.other);
	pair.cluster->nodes[pair.other].durable -= 5;
	cluster_start(pair.cluster, pair.other);
	cluster_run(pair.cluster, 25 * MS);
	assert_int_equal(pair.cluster->nodes[pair.master].alarms[CORE_ALARM_ACK_FORGOTTEN], 1);
	cluster_run(pair.cluster, SECOND);
	/* Degraded, and normal again, be it before the witness had answered. */
	assert_int_equal(cluster_view(pair.cluster, pair.master)->epoch, 2);
	end_converged(pair);
}

static void
test_witness_amnesia(void **state)
{
	const struct pair pair = duplex(19);

	(void)state;
	cluster_crash(pair.cluster, NODE_W);
	pair.cluster->nodes[NODE_W].is_amnesiac = true;
	cluster_start(pair.cluster, NODE_W);
	cluster_run(pair.cluster, 300 * MS);
	assert_int_equal(pair.cluster->nodes[NODE_W].alarms[CORE_ALARM_WITNESS_AMNESIA], 1);
	/* P4: it answers nothing, so nobody goes solo and nobody is elected with it. */
	cluster_crash(pair.cluster, pair.master);
	cluster_run(pair.cluster, 2 * SECOND);
	assert_false(is_master(pair, pair.other));
	cluster_start(pair.cluster, pair.master);
	end_converged(pair);
}

static void
test_min_copies(void **state)
{
	struct pair pair = { .cluster = cluster_new(20, 0) };

	(void)state;
	for (uint16_t i = NODE_A; i <= NODE_W; i++)
		cluster_crash(pair.cluster, i);
	pair.cluster->min_copies = 2;
	for (uint16_t i = NODE_A; i <= NODE_W; i++)
		cluster_start(pair.cluster, i);
	cluster_run(pair.cluster, SECOND);
	pair.master = is_master(pair, NODE_A) ? NODE_A : NODE_B;
	pair.other = (uint16_t)(NODE_A + NODE_B - pair.master);
	write_some(pair, pair.master, 5);
	cluster_crash(pair.cluster, pair.other);
	cluster_run(pair.cluster, SECOND);
	assert_true(is_master(pair, pair.master));
	assert_false(cluster_view(pair.cluster, pair.master)->is_serving);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->solo_entries, 0);
	cluster_start(pair.cluster, pair.other);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_DUPLEX, SECOND));
	write_some(pair, pair.master, 5);
	end_converged(pair);
}

static void
test_isolated_solo_may_stop(void **state)
{
	struct pair pair = { .cluster = cluster_new(21, 0) };

	(void)state;
	for (uint16_t i = NODE_A; i <= NODE_W; i++)
		cluster_crash(pair.cluster, i);
	pair.cluster->solo_isolated_stop = true;
	for (uint16_t i = NODE_A; i <= NODE_W; i++)
		cluster_start(pair.cluster, i);
	cluster_run(pair.cluster, SECOND);
	pair.master = is_master(pair, NODE_A) ? NODE_A : NODE_B;
	pair.other = (uint16_t)(NODE_A + NODE_B - pair.master);
	cluster_crash(pair.cluster, pair.other);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, SECOND));
	cluster_cut(pair.cluster, pair.master, NODE_W, true);
	cluster_run(pair.cluster, SECOND);
	assert_false(is_master(pair, pair.master));
	cluster_heal(pair.cluster);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, SECOND));
	cluster_start(pair.cluster, pair.other);
	end_converged(pair);
}

/* Any one or two one-way cuts: safe, no rush of terms, and well again after healing. Service goes
 * on unless the one that is deaf or dumb to both others holds the only electable copy. */
static void
test_one_way_cuts(void **state)
{
	const uint16_t from[] = { NODE_A, NODE_B, NODE_A, NODE_W, NODE_B, NODE_W };
	const uint16_t to[] = { NODE_B, NODE_A, NODE_W, NODE_A, NODE_W, NODE_B };

	(void)state;
	for (uint32_t i = 0; i < 36; i++) {
		const uint32_t first = i / 6, second = i % 6;
		const struct pair pair = duplex(200 + i);
		uint64_t before;

		for (uint32_t path = 0; path < PATHS; path++) {
			pair.cluster->cut[from[first]][to[first]][path] = true;
			pair.cluster->cut[from[second]][to[second]][path] = true;
		}
		cluster_commands(pair.cluster, 4 * MS);
		cluster_run(pair.cluster, 2 * SECOND);
		before = pair.cluster->commands_committed;
		cluster_run(pair.cluster, 500 * MS);
		if (first == second && pair.cluster->commands_committed == before)
			fail_msg("one-way cut %u stops service", first);
		assert_true(cluster_view(pair.cluster, pair.master)->term < 8);
		assert_true(cluster_view(pair.cluster, pair.other)->term < 8);
		if (pair.cluster->commands_committed == before)
			print_message("cuts %u %u, master %u: no service\n", first, second,
				      pair.master);
		cluster_heal(pair.cluster);
		cluster_run(pair.cluster, SECOND);
		pair.cluster->command_period_ns = 0;
		end_converged(pair);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_birth_and_commit),
		cmocka_unit_test(test_replica_dies_and_returns),
		cmocka_unit_test(test_outage_teaches_no_patience),
		cmocka_unit_test(test_master_dies_and_returns_with_a_tail),
		cmocka_unit_test(test_link_between_data_nodes_is_cut),
		cmocka_unit_test(test_master_is_cut_from_both),
		cmocka_unit_test(test_witness_dies),
		cmocka_unit_test(test_solo_master_dies),
		cmocka_unit_test(test_all_restart),
		cmocka_unit_test(test_hand_over),
		cmocka_unit_test(test_hand_over_that_fails),
		cmocka_unit_test(test_graceful_stop_hands_over),
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_solo_reads_need_nobody),
		cmocka_unit_test(test_paused_master_reads_nothing_old),
		cmocka_unit_test(test_missing_read_round_reads_old),
		cmocka_unit_test(test_many_reads_are_bounded),
		cmocka_unit_test(test_stalled_disk_of_the_master),
		cmocka_unit_test(test_stalled_apply_of_the_master),
		cmocka_unit_test(test_late_replica),
		cmocka_unit_test(test_late_replicas_differ),
		cmocka_unit_test(test_data_path_is_cut),
		cmocka_unit_test(test_forgotten_acknowledgement),
		cmocka_unit_test(test_witness_amnesia),
		cmocka_unit_test(test_min_copies),
		cmocka_unit_test(test_isolated_solo_may_stop),
		cmocka_unit_test(test_one_way_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
