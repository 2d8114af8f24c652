/* SPDX-License-Identifier: Apache-2.0 */
/* What is published above the commit, one rule a test: who sees it, what a rollback takes back, and
 * what is kept for it. */
#include <stdio.h>
#include <string.h>

#include "dataplane/state/state_internal.h"
#include "tests/unit/state/machine.h"

static const struct machine_options small = {
	.arena_bytes = 8u << 20, .capacity_bytes = 2u << 20, .hash_seed = 5, .sessions_max = 2
};

#define IDLE_NS (601ULL * 1000000000ULL)

static uint64_t
open_session(struct machine *m)
{
	const struct reply reply = machine_apply(m, COMMAND_SESSION_OPEN, 0, 0, 0, 0, NULL, 0);

	return reply.kind == REPLY_SESSION ? (uint64_t)reply.value : 0;
}

static struct reply
touch(struct machine *m, uint64_t session, uint64_t seq)
{
	const le64 one = le64_make(1);
	const struct command_arg args[] = { machine_text("touched"), { one.bytes, 8 } };

	return machine_apply(m, COMMAND_ADD, 0, session, seq, 0, args, 2);
}

static int64_t
provisional_integer(struct machine *m, const char *key)
{
	(void)state_read_begin_provisional(m->reader);
	const int64_t integer = state_read_get(m->reader, key, (uint32_t)strlen(key)).integer;
	assert_true(state_read_end_provisional(m->reader));
	return integer;
}

static void
test_two_kinds_of_view(void **context)
{
	struct machine m;
	uint64_t index = 0;
	char text[64];
	(void)context;

	machine_start(&m, &small);
	machine_add(&m, "n", 1);
	machine_block(&m);
	const uint64_t hash = state_hash(m.state);
	machine_add(&m, "n", 1);
	machine_set(&m, "new", "x");
	machine_publish(&m);
	machine_add(&m, "n", 1);
	machine_publish(&m);
	assert_int_equal(state_applied_index(m.state), 3);
	assert_int_equal(state_committed_index(m.state), 1);
	assert_int_equal(state_read_begin(m.reader), 1);
	assert_int_equal(state_read_get(m.reader, "n", 1).integer, 1);
	assert_int_equal(state_read_get(m.reader, "new", 3).type, STATE_NONE);
	assert_int_equal(state_read_key_count(m.reader), 1);
	assert_int_equal(state_read_hash(m.reader, &index), hash);
	assert_int_equal(state_hash_scan(m.reader), hash);
	state_read_end(m.reader);
	assert_int_equal(state_read_begin_provisional(m.reader), 3);
	assert_int_equal(state_read_get(m.reader, "n", 1).integer, 3);
	assert_int_equal(state_read_get(m.reader, "n", 1).version.log_index, 3);
	assert_int_equal(state_read_key_count(m.reader), 2);
	assert_int_equal(state_hash_scan(m.reader), state_hash(m.state));
	assert_true(state_read_end_provisional(m.reader));
	state_commit(m.state, 2);
	assert_int_equal(machine_get(&m, "n", text).integer, 2);
	state_commit(m.state, 2);
	state_commit(m.state, 3);
	machine_check_hash(&m);
	machine_stop(&m);
}

static void
test_ends_do_not_mix(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	state_read_begin_provisional(m.reader);
	expect_assert_failure(state_read_end(m.reader));
	assert_true(state_read_end_provisional(m.reader));
	state_read_begin(m.reader);
	expect_assert_failure((void)!state_read_end_provisional(m.reader));
	state_read_end(m.reader);
	machine_stop(&m);
}

static void
test_refused_positions(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	for (int i = 0; i < 5; i++)
		machine_publish(&m);
	state_commit(m.state, 3);
	expect_assert_failure(state_commit(m.state, 2));
	expect_assert_failure(state_commit(m.state, 6));
	expect_assert_failure(state_rollback(m.state, 2));
	expect_assert_failure(state_rollback(m.state, 6));
	state_rollback(m.state, 5);
	state_rollback(m.state, 3);
	expect_assert_failure(state_commit(m.state, 4));
	expect_assert_failure(state_rollback(m.state, 4));
	assert_int_equal(state_applied_index(m.state), 3);
	machine_stop(&m);
}

/* Publishing stops at the end of the ring, and the ring is all there: to its far end and back. */
static void
test_bound_of_running_ahead(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	for (uint32_t i = 1; i < STATE_PUBLISHED_KEPT; i++) {
		assert_true(state_may_publish(m.state, i));
		machine_add(&m, "n", 1);
		machine_publish(&m);
	}
	assert_false(state_may_publish(m.state, STATE_PUBLISHED_KEPT));
	expect_assert_failure(state_publish(m.state, STATE_PUBLISHED_KEPT));
	state_commit(m.state, 1);
	assert_true(state_may_publish(m.state, STATE_PUBLISHED_KEPT));
	assert_false(state_may_publish(m.state, STATE_PUBLISHED_KEPT + 1));
	assert_int_equal(provisional_integer(&m, "n"), STATE_PUBLISHED_KEPT - 1);
	machine_rollback(&m, 1);
	assert_int_equal(provisional_integer(&m, "n"), 1);
	for (uint32_t i = 2; i <= STATE_PUBLISHED_KEPT; i++) {
		assert_true(state_may_publish(m.state, i));
		machine_add(&m, "n", 10);
		machine_publish(&m);
	}
	assert_false(state_may_publish(m.state, STATE_PUBLISHED_KEPT + 1));
	state_commit(m.state, STATE_PUBLISHED_KEPT);
	assert_int_equal(provisional_integer(&m, "n"), 1 + 10 * (STATE_PUBLISHED_KEPT - 1));
	machine_check_hash(&m);
	machine_stop(&m);
}

/* To before the first block: nothing was ever there. */
static void
test_rollback_to_nothing(void **context)
{
	struct machine m;
	char text[64];
	(void)context;

	machine_start(&m, &small);
	for (uint32_t round = 0; round < 3; round++) {
		assert_int_equal(open_session(&m), 1);
		assert_int_equal(touch(&m, 1, 1).value, 1);
		machine_set(&m, "a", "1");
		machine_publish(&m);
		machine_delete(&m, "a");
		machine_set(&m, "b", "1");
		machine_rollback(&m, 0);
		const struct state_stats stats = state_stats(m.state);
		assert_int_equal(stats.keys + stats.sessions + stats.logical_bytes, 0);
		assert_int_equal(state_hash(m.state), 0);
		assert_int_equal(machine_get(&m, "a", text).type, STATE_NONE);
		state_reclaim_turn(m.state, false);
		assert_int_equal(state_stats(m.state).arena_used_bytes, 0);
	}
	machine_check_hash(&m);
	machine_stop(&m);
}

/* A value that was overwritten above the commit is kept, though no view needs it. */
static void
test_commit_holds_versions(void **context)
{
	struct machine m;
	char text[64];
	(void)context;

	machine_start(&m, &small);
	machine_set(&m, "a", "first");
	machine_set(&m, "gone", "here");
	machine_block(&m);
	for (int i = 0; i < 5; i++) {
		machine_set(&m, "a", "later");
		machine_set(&m, "gone", "again");
		machine_delete(&m, "gone");
		machine_publish(&m);
		state_reclaim_turn(m.state, false);
	}
	assert_int_equal(state_stats(m.state).versions_reclaimed, 0);
	machine_rollback(&m, 1);
	state_reclaim_turn(m.state, false);
	(void)machine_get(&m, "a", text);
	assert_string_equal(text, "first");
	(void)machine_get(&m, "gone", text);
	assert_string_equal(text, "here");
	machine_check_hash(&m);
	assert_int_equal(state_stats(m.state).versions_live, 2);
	assert_int_equal(state_stats(m.state).versions_rolled_back, 15);
	machine_stop(&m);
}

/* A committed tombstone was passed by the reclaim queue while there was a newer version; the
 * rollback of that version must not leave the key behind for ever. */
static void
test_tombstone_below_a_dropped_version(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	machine_set(&m, "a", "1");
	machine_block(&m);
	machine_delete(&m, "a");
	machine_publish(&m);
	machine_set(&m, "a", "2");
	machine_publish(&m);
	state_commit(m.state, 2);
	state_reclaim_turn(m.state, false); /* takes the "1" */
	assert_int_equal(state_stats(m.state).versions_live, 2);
	machine_rollback(&m, 2);
	state_reclaim_turn(m.state, false);
	assert_int_equal(state_stats(m.state).versions_live, 0);
	assert_int_equal(state_stats(m.state).arena_used_bytes, 0);
	machine_set(&m, "a", "3");
	machine_block(&m);
	machine_check_hash(&m);
	machine_stop(&m);
}

static void
test_sessions_come_back(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	assert_int_equal(open_session(&m), 1);
	assert_int_equal(open_session(&m), 2);
	assert_int_equal(touch(&m, 1, 1).value, 1);
	machine_block(&m);
	const uint64_t hash = state_hash(m.state);
	machine_apply(&m, COMMAND_SESSION_CLOSE, 0, 1, 0, 0, NULL, 0);
	assert_int_equal(open_session(&m), 3);
	assert_int_equal(touch(&m, 2, 1).value, 2);
	machine_publish(&m);
	assert_int_equal(touch(&m, 1, 2).kind, REPLY_SESSION_UNKNOWN);
	machine_rollback(&m, 1);
	assert_int_equal(state_hash(m.state), hash);
	machine_check_hash(&m);
	assert_true(touch(&m, 1, 1).is_repeat);
	assert_false(touch(&m, 2, 1).is_repeat); /* what was done above is not done */
	assert_int_equal(touch(&m, 3, 1).kind, REPLY_SESSION_UNKNOWN);
	machine_apply(&m, COMMAND_SESSION_CLOSE, 0, 2, 0, 0, NULL, 0);
	assert_int_equal(open_session(&m), 3);
	machine_block(&m);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* Which session is expired next is decided by the order of use, which has to come back exactly. */
static void
test_order_of_use_comes_back(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &(struct machine_options){ 8u << 20, 2u << 20, 5, 3, 0 });
	for (uint64_t i = 1; i <= 3; i++)
		assert_int_equal(open_session(&m), i);
	machine_block(&m);
	m.time_ns++;
	(void)touch(&m, 2, 1); /* from the middle: 1 3 2 */
	machine_publish(&m);
	m.time_ns += IDLE_NS;
	assert_int_equal(open_session(&m), 4); /* expires 1: 3 2 4 */
	machine_publish(&m);
	assert_int_equal(touch(&m, 1, 1).kind, REPLY_SESSION_UNKNOWN);
	machine_rollback(&m, 1); /* 1 2 3 */
	m.time_ns += IDLE_NS;
	assert_int_equal(open_session(&m), 4); /* expires 1 */
	assert_int_equal(touch(&m, 1, 1).kind, REPLY_SESSION_UNKNOWN);
	assert_int_equal(touch(&m, 2, 1).kind, REPLY_INTEGER);
	machine_publish(&m);
	m.time_ns += IDLE_NS;
	assert_int_equal(open_session(&m), 5); /* expires 3 */
	assert_int_equal(touch(&m, 3, 1).kind, REPLY_SESSION_UNKNOWN);
	assert_int_equal(touch(&m, 4, 1).kind, REPLY_INTEGER);
	machine_block(&m);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* The view fails, says so, and still reads something whole: what was left when it failed. */
static void
test_view_fails(void **context)
{
	struct state_reader *below, *committed;
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	machine_set(&m, "a", "committed");
	machine_block(&m);
	committed = state_reader_open(m.state);
	below = state_reader_open(m.state);
	assert_int_equal(state_read_begin_provisional(below), 1);
	machine_set(&m, "a", "provisional");
	machine_set(&m, "b", "new");
	machine_publish(&m);
	assert_int_equal(state_read_begin_provisional(m.reader), 2);
	assert_int_equal(state_read_begin(committed), 1);
	assert_false(state_read_is_failed(m.reader));
	machine_rollback(&m, 1);
	assert_true(state_read_is_failed(m.reader));
	assert_false(state_read_is_failed(below));
	assert_false(state_read_is_failed(committed));
	for (int i = 0; i < 20; i++) {
		machine_set(&m, "a", "other history");
		machine_set(&m, "a", "otherwise");
		machine_set(&m, "b", "other");
		machine_block(&m);
		assert_int_equal(state_read_get(m.reader, "a", 1).bytes, 9);
		assert_memory_equal(state_read_get(m.reader, "a", 1).data, "committed", 9);
		assert_int_equal(state_read_get(m.reader, "b", 1).type, STATE_NONE);
	}
	assert_false(state_read_end_provisional(m.reader));
	assert_int_equal(state_stats(m.state).views_failed, 1);
	assert_memory_equal(state_read_get(below, "a", 1).data, "committed", 9);
	assert_true(state_read_end_provisional(below));
	state_read_end(committed);
	/* Nothing is kept for views that are over, and a new one is good again. */
	machine_block(&m);
	assert_int_equal(state_stats(m.state).versions_live, 2);
	assert_int_equal(state_read_begin_provisional(m.reader), 22);
	assert_true(state_read_end_provisional(m.reader));
	state_reader_close(below);
	state_reader_close(committed);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* A reader may stand on what was dropped: with readers it waits for a grace period. */
static void
test_dropped_waits_for_grace(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	m.has_readers = true;
	machine_set(&m, "a", "1");
	machine_block(&m);
	machine_set(&m, "a", "2");
	machine_set(&m, "b", "2");
	machine_publish(&m);
	machine_rollback(&m, 1);
	state_reclaim_turn(m.state, true);
	assert_int_equal(state_stats(m.state).versions_live, 3);
	assert_true(state_grace_period(m.state));
	state_reclaim_turn(m.state, true);
	assert_int_equal(state_stats(m.state).versions_live, 1);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* More versions than one chunk of the undo record holds, in one block and over many. */
static void
test_long_undo_record(void **context)
{
	struct machine m;
	char key[32];
	(void)context;

	machine_start(&m, &small);
	machine_set(&m, "base", "x");
	machine_block(&m);
	const uint64_t hash = state_hash(m.state);
	const uint64_t used = state_stats(m.state).arena_used_bytes;
	for (uint32_t round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < 5 * STATE_UNDO_CHUNK; i++) {
			(void)snprintf(key, sizeof(key), "key-%u", i);
			machine_set(&m, key, "something");
			if (i % 1000 == 999)
				machine_publish(&m);
		}
		machine_rollback(&m, 1);
		state_reclaim_turn(m.state, false);
		assert_int_equal(state_hash(m.state), hash);
		assert_int_equal(state_stats(m.state).arena_used_bytes, used);
	}
	machine_check_hash(&m);
	machine_stop(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_kinds_of_view),
		cmocka_unit_test(test_ends_do_not_mix),
		cmocka_unit_test(test_refused_positions),
		cmocka_unit_test(test_bound_of_running_ahead),
		cmocka_unit_test(test_rollback_to_nothing),
		cmocka_unit_test(test_commit_holds_versions),
		cmocka_unit_test(test_tombstone_below_a_dropped_version),
		cmocka_unit_test(test_sessions_come_back),
		cmocka_unit_test(test_order_of_use_comes_back),
		cmocka_unit_test(test_view_fails),
		cmocka_unit_test(test_dropped_waits_for_grace),
		cmocka_unit_test(test_long_undo_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
