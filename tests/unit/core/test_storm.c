/* SPDX-License-Identifier: Apache-2.0 */
/* Random schedules: nothing is ever lost with all rules in force, and each rule that is dropped is
 * missed within a bounded number of seeds. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/check.h"
#include "tests/unit/core/cluster.h"

#define SEEDS         CHECK_SEEDS(300u)
#define SEEDS_BUG_MAX 500u
#define STORM_NS      (2000 * MS)

struct totals {
	uint64_t elections, solo_entries, duplex_returns, truncations, crashes, cuts, pauses, hangs,
	    transfers, commits, reads_ready, reads_failed;
};

static bool
storm_is_safe(uint64_t seed, uint32_t bugs, struct totals *totals, char *breach)
{
	struct cluster *cluster = cluster_new(seed, bugs);
	bool is_safe;

	cluster_storm(cluster, STORM_NS);
	cluster_count(cluster);
	totals->elections += cluster->elections;
	totals->solo_entries += cluster->solo_entries;
	totals->duplex_returns += cluster->duplex_returns;
	totals->truncations += cluster->truncations;
	totals->crashes += cluster->crashes;
	totals->cuts += cluster->cuts;
	totals->pauses += cluster->pauses;
	totals->hangs += cluster->hangs;
	totals->transfers += cluster->transfers;
	totals->commits += cluster->commands_committed;
	totals->reads_ready += cluster->reads_ready;
	totals->reads_failed += cluster->reads_failed;
	is_safe = cluster->breach[0] == 0;
	(void)snprintf(breach, 256, "%s", cluster->breach);
	cluster_free(cluster);
	return is_safe;
}

static void
test_storms_are_safe(void **state)
{
	const char *only = getenv("TERN_CORE_SEED");
	const uint64_t first = only == NULL ? 1 : strtoull(only, NULL, 10);
	const uint64_t last = only == NULL ? SEEDS : first;
	struct totals totals = { 0 };
	char breach[256];

	(void)state;
	for (uint64_t seed = first; seed <= last; seed++)
		if (!storm_is_safe(seed, 0, &totals, breach))
			fail_msg("seed %llu: %s", (unsigned long long)seed, breach);
	print_message("elections %llu solo %llu returns %llu truncations %llu crashes %llu "
		      "cuts %llu pauses %llu hangs %llu transfers %llu commits %llu reads %llu "
		      "failed reads %llu\n",
		      (unsigned long long)totals.elections, (unsigned long long)totals.solo_entries,
		      (unsigned long long)totals.duplex_returns,
		      (unsigned long long)totals.truncations, (unsigned long long)totals.crashes,
		      (unsigned long long)totals.cuts, (unsigned long long)totals.pauses,
		      (unsigned long long)totals.hangs, (unsigned long long)totals.transfers,
		      (unsigned long long)totals.commits, (unsigned long long)totals.reads_ready,
		      (unsigned long long)totals.reads_failed);
	if (only != NULL)
		return;
	assert_true(totals.elections > SEEDS && totals.solo_entries > SEEDS);
	assert_true(totals.duplex_returns > SEEDS / 2 && totals.truncations > SEEDS / 10);
	assert_true(totals.transfers > 0 && totals.hangs > 0 && totals.pauses > 0);
	assert_true(totals.commits > 100 * SEEDS);
	assert_true(totals.reads_ready > SEEDS && totals.reads_failed > 0);
}

static void
expect_breach(uint32_t bug, const char *name)
{
	struct totals totals = { 0 };
	char breach[256];

	for (uint64_t seed = 1; seed <= SEEDS_BUG_MAX; seed++) {
		if (storm_is_safe(seed, bug, &totals, breach))
			continue;
		print_message("%s: seed %llu: %s\n", name, (unsigned long long)seed, breach);
		return;
	}
	fail_msg("%s was not noticed within %u seeds", name, SEEDS_BUG_MAX);
}

#define BUG_TEST(name, bug)               \
	static void name(void **state)    \
	{                                 \
		(void)state;              \
		expect_breach(bug, #bug); \
	}
BUG_TEST(test_p1_is_noticed, CORE_BUG_P1_STALE_VOTE)
BUG_TEST(test_p2_is_noticed, CORE_BUG_P2_EARLY_SOLO)
BUG_TEST(test_p3_is_noticed, CORE_BUG_P3_NO_SUBSET)
BUG_TEST(test_p5_is_noticed, CORE_BUG_P5_EARLY_ACK)
BUG_TEST(test_p6_is_noticed, CORE_BUG_P6_REGISTER_FIRST)
BUG_TEST(test_p12_is_noticed, CORE_BUG_P12_OLD_EPOCH)
BUG_TEST(test_missing_read_round_is_noticed, CORE_BUG_NO_READ_ROUND)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_storms_are_safe),
		cmocka_unit_test(test_p1_is_noticed),
		cmocka_unit_test(test_p2_is_noticed),
		cmocka_unit_test(test_p3_is_noticed),
		cmocka_unit_test(test_p5_is_noticed),
		cmocka_unit_test(test_p6_is_noticed),
		cmocka_unit_test(test_p12_is_noticed),
		cmocka_unit_test(test_missing_read_round_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
