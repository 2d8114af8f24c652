/* SPDX-License-Identifier: Apache-2.0 */
/* Class memory in the core: what counts, what a restart takes back, rollback, volatile logs. */
#include "tests/support/check.h"
#include "tests/unit/core/checker.h"

#define SECOND (1000 * MS)

struct pair {
	struct cluster *cluster;
	uint16_t master, other;
};

static bool
serves(struct cluster *cluster, uint16_t node)
{
	return cluster->nodes[node].is_up && cluster_view(cluster, node)->is_serving;
}

static struct pair
pair_of(struct cluster *cluster, uint64_t span_ns)
{
	struct pair pair = { .cluster = cluster };

	for (uint64_t at_ns = 0; at_ns < span_ns && pair.master == 0; at_ns += MS) {
		cluster_run(cluster, MS);
		for (uint16_t id = NODE_A; id <= NODE_B; id++)
			if (serves(cluster, id))
				pair.master = id;
	}
	pair.other = (uint16_t)(NODE_A + NODE_B - pair.master);
	return pair;
}

static struct pair
duplex_with(uint64_t seed, uint32_t bugs)
{
	const struct pair pair = pair_of(cluster_new(seed, bugs), SECOND);

	assert_int_not_equal(pair.master, 0);
	for (int i = 0; i < 20; i++) {
		const uint64_t index = cluster_write(pair.cluster, pair.master);
		assert_true(cluster_committed(pair.cluster, pair.other, index, SECOND));
	}
	return pair;
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

static bool
memory_committed(struct pair pair, uint64_t index, uint64_t span_ns)
{
	for (uint64_t at_ns = 0; at_ns < span_ns; at_ns += MS / 10) {
		cluster_run(pair.cluster, MS / 10);
		if (cluster_view(pair.cluster, pair.master)->memory_commit_index >= index)
			return true;
	}
	return false;
}

/* Both devices hang: nothing is durable, but both have received it. */
static uint64_t
write_memory_only(struct pair pair)
{
	uint64_t index;

	cluster_run(pair.cluster, 20 * MS);
	cluster_hang(pair.cluster, pair.master, true);
	cluster_hang(pair.cluster, pair.other, true);
	index = cluster_write(pair.cluster, pair.master);
	assert_int_not_equal(index, 0);
	assert_true(memory_committed(pair, index, 20 * MS));
	assert_true(cluster_view(pair.cluster, pair.master)->commit_index < index);
	cluster_run(pair.cluster, MS);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->applied_index, index);
	return index;
}

/* Without the luck that a write under way at a crash is kept. */
static void
crash_losing(struct pair pair, uint16_t node)
{
	pair.cluster->nodes[node].is_writing = false;
	cluster_crash(pair.cluster, node);
}

static void
test_received_twice_is_enough(void **state)
{
	const struct pair pair = duplex_with(1, 0);
	const uint64_t index = write_memory_only(pair);

	(void)state;
	assert_true(cluster_view(pair.cluster, pair.other)->applied_index < index);
	cluster_hang(pair.cluster, pair.master, false);
	cluster_hang(pair.cluster, pair.other, false);
	assert_true(cluster_committed(pair.cluster, pair.other, index, 100 * MS));
	assert_int_equal(pair.cluster->rollbacks, 0);
	end_converged(pair);
}

/* The master dies with what nobody flushed: the replica has it, flushes it and is elected with it.
 * The former master, back early and without it, is not. */
static void
test_memory_survives_the_master(void **state)
{
	const struct pair pair = duplex_with(2, 0);
	const uint64_t index = write_memory_only(pair);
	const struct hash128 chain = pair.cluster->nodes[pair.master].log[index].meta.chain;

	(void)state;
	crash_losing(pair, pair.master);
	assert_true(pair.cluster->nodes[pair.master].durable < index);
	cluster_start(pair.cluster, pair.master);
	/* Its device hangs on beyond every patience, so that only the log rule keeps it in. */
	cluster_run(pair.cluster, 250 * MS);
	assert_false(serves(pair.cluster, pair.master));
	cluster_hang(pair.cluster, pair.other, false);
	assert_true(cluster_committed(pair.cluster, pair.other, index, SECOND));
	assert_true(hash128_equal(pair.cluster->nodes[pair.other].log[index].meta.chain, chain));
	end_converged(pair);
}

/* The planted bug: it is elected by a voter that looks at its flushed log only. */
static void
test_voter_that_compares_its_durable_log_loses_it(void **state)
{
	const struct pair pair = duplex_with(2, CORE_BUG_VOTE_DURABLE_LOG);
	const uint64_t index = write_memory_only(pair);
	const struct hash128 chain = pair.cluster->nodes[pair.master].log[index].meta.chain;

	(void)state;
	crash_losing(pair, pair.master);
	cluster_start(pair.cluster, pair.master);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, SECOND));
	cluster_hang(pair.cluster, pair.other, false);
	assert_true(cluster_committed(pair.cluster, pair.master, index, SECOND));
	assert_false(hash128_equal(pair.cluster->nodes[pair.master].log[index].meta.chain, chain));
	cluster_free(pair.cluster);
}

/* One copy in memory is none. */
static void
test_solo_waits_for_the_flush(void **state)
{
	const struct pair pair = duplex_with(3, 0);
	uint64_t index;

	(void)state;
	cluster_crash(pair.cluster, pair.other);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_SOLO, SECOND));
	cluster_run(pair.cluster, 20 * MS);
	cluster_hang(pair.cluster, pair.master, true);
	index = cluster_write(pair.cluster, pair.master);
	assert_int_not_equal(index, 0);
	assert_false(memory_committed(pair, index, 50 * MS));
	cluster_hang(pair.cluster, pair.master, false);
	assert_true(memory_committed(pair, index, 50 * MS));
	assert_int_equal(cluster_view(pair.cluster, pair.master)->commit_index, index);
	cluster_start(pair.cluster, pair.other);
	end_converged(pair);
}

/* What the replica had received went with it: what was answered stays, what was not waits until it
 * has received it again. */
static void
test_restarted_replica_counts_anew(void **state)
{
	const struct pair pair = duplex_with(4, 0);
	const uint64_t index = write_memory_only(pair);
	uint64_t next;

	(void)state;
	crash_losing(pair, pair.other);
	next = cluster_write(pair.cluster, pair.master);
	assert_int_equal(next, index + 1);
	cluster_run(pair.cluster, MS);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->memory_commit_index, index);
	cluster_start(pair.cluster, pair.other);
	cluster_hang(pair.cluster, pair.other, true);
	assert_true(memory_committed(pair, next, 50 * MS));
	assert_true(pair.cluster->nodes[pair.other].last >= next);
	assert_true(cluster_view(pair.cluster, pair.master)->commit_index < index);
	cluster_hang(pair.cluster, pair.master, false);
	cluster_hang(pair.cluster, pair.other, false);
	end_converged(pair);
}

/* Two faults: the replica restarts without what it received, and the master, which alone holds it,
 * is away. What it had applied is rolled back when it returns, and it is said. */
static void
test_rollback(void **state)
{
	const struct pair pair = duplex_with(5, 0);
	const uint64_t index = write_memory_only(pair);

	(void)state;
	crash_losing(pair, pair.other);
	cluster_cut(pair.cluster, pair.master, NODE_W, true);
	cluster_cut(pair.cluster, pair.master, pair.other, true);
	cluster_start(pair.cluster, pair.other);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_SOLO, SECOND));
	assert_int_equal(cluster_view(pair.cluster, pair.master)->applied_index, index);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->role, CORE_FOLLOWER);
	cluster_heal(pair.cluster);
	cluster_hang(pair.cluster, pair.master, false);
	cluster_run(pair.cluster, 200 * MS);
	assert_int_equal(pair.cluster->rollbacks, 1);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->rollbacks, 1);
	assert_int_equal(cluster_view(pair.cluster, pair.master)->memory_commits_lost, 1);
	assert_int_equal(pair.cluster->nodes[pair.master].alarms[CORE_ALARM_MEMORY_COMMITS_LOST],
			 1);
	end_converged(pair);
}

/* ---- volatile logs ---- */

static struct pair
duplex_volatile(uint64_t seed, bool is_master_volatile)
{
	const struct pair pair = duplex_with(seed, 0);

	pair.cluster->nodes[pair.other].is_log_volatile = true;
	pair.cluster->nodes[pair.master].is_log_volatile = is_master_volatile;
	return pair;
}

static void
test_forgetful_replica_comes_back(void **state)
{
	const struct pair pair = duplex_volatile(6, true);

	(void)state;
	cluster_crash(pair.cluster, pair.other);
	cluster_start(pair.cluster, pair.other);
	assert_int_equal(cluster_view(pair.cluster, pair.other)->last_index, 0);
	assert_true(cluster_view(pair.cluster, pair.other)->is_forgetful);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_REGISTERING, SECOND));
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_REPLICA, SECOND));
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_DUPLEX, SECOND));
	assert_false(cluster_view(pair.cluster, pair.other)->is_forgetful);
	/* It is a full member again: the master dies, and it goes on. */
	cluster_run(pair.cluster, 50 * MS);
	cluster_crash(pair.cluster, pair.master);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_SOLO, SECOND));
	cluster_start(pair.cluster, pair.master);
	end_converged(pair);
}

/* Whoever runs the node has to know: with logs of two kinds nothing is durable on both. */
static void
test_two_kinds_of_logs(void **state)
{
	const struct pair pair = duplex_volatile(12, false);

	(void)state;
	assert_false(cluster_view(pair.cluster, pair.other)->is_mixed);
	cluster_crash(pair.cluster, pair.other);
	cluster_start(pair.cluster, pair.other);
	assert_true(cluster_until(pair.cluster, pair.other, CORE_MODE_REPLICA, SECOND));
	assert_true(cluster_view(pair.cluster, pair.other)->is_mixed);
	assert_false(cluster_view(pair.cluster, pair.master)->is_mixed);
	end_converged(pair);
}

/* It must not elect, nor be elected, before it holds everything again. */
static void
test_forgetful_replica_is_no_voter(void **state)
{
	const struct pair pair = duplex_volatile(7, false);

	(void)state;
	cluster_crash(pair.cluster, pair.other);
	cluster_crash(pair.cluster, pair.master);
	cluster_start(pair.cluster, pair.other);
	cluster_run(pair.cluster, 2 * SECOND);
	assert_false(serves(pair.cluster, pair.other));
	assert_int_not_equal(cluster_view(pair.cluster, pair.other)->role, CORE_CANDIDATE);
	/* The one that remembers comes back, and everything is there. */
	cluster_start(pair.cluster, pair.master);
	assert_true(cluster_until(pair.cluster, pair.master, CORE_MODE_DUPLEX, SECOND));
	end_converged(pair);
}

/* Nobody remembers: nobody is elected, for ever. */
static void
test_all_forgot(void **state)
{
	const struct pair pair = duplex_volatile(8, true);

	(void)state;
	cluster_crash(pair.cluster, pair.other);
	cluster_crash(pair.cluster, pair.master);
	cluster_start(pair.cluster, pair.other);
	cluster_start(pair.cluster, pair.master);
	cluster_run(pair.cluster, 5 * SECOND);
	assert_false(serves(pair.cluster, pair.other));
	assert_false(serves(pair.cluster, pair.master));
	end(pair);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_received_twice_is_enough),
		cmocka_unit_test(test_memory_survives_the_master),
		cmocka_unit_test(test_voter_that_compares_its_durable_log_loses_it),
		cmocka_unit_test(test_solo_waits_for_the_flush),
		cmocka_unit_test(test_restarted_replica_counts_anew),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_forgetful_replica_comes_back),
		cmocka_unit_test(test_two_kinds_of_logs),
		cmocka_unit_test(test_forgetful_replica_is_no_voter),
		cmocka_unit_test(test_all_forgot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
