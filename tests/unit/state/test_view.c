/* SPDX-License-Identifier: Apache-2.0 */
/* Views at their position, order, and memory that comes back. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/state/machine.h"

static const struct machine_options small = {
	.arena_bytes = 8u << 20, .capacity_bytes = 2u << 20, .hash_seed = 5, .sessions_max = 16
};

static void
test_view_stays(void **context)
{
	struct machine m;
	uint64_t index = 0;
	(void)context;

	machine_start(&m, &small);
	machine_add(&m, "n", 1);
	machine_set(&m, "gone", "here");
	machine_block(&m);
	struct state_reader *old = state_reader_open(m.state);
	assert_non_null(old);
	assert_int_equal(state_read_begin(old), 1);
	const uint64_t hash = state_read_hash(old, &index);
	machine_delete(&m, "gone");
	machine_set(&m, "later", "x");
	for (int i = 0; i < 300; i++) {
		machine_add(&m, "n", 1);
		machine_add(&m, "n", 1);
		machine_block(&m);
	}
	struct state_value value = state_read_get(old, "n", 1);
	assert_int_equal(value.integer, 1);
	assert_int_equal(value.version.log_index, 1);
	value = state_read_get(old, "gone", 4);
	assert_int_equal(value.type, STATE_BYTES);
	assert_memory_equal(value.data, "here", 4);
	assert_int_equal(state_read_get(old, "later", 5).type, STATE_NONE);
	assert_int_equal(state_read_key_count(old), 2);
	assert_int_equal(state_hash_scan(old), hash);
	state_read_end(old);
	assert_int_equal(state_read_begin(old), 301);
	assert_int_equal(state_read_get(old, "n", 1).integer, 601);
	assert_int_equal(state_read_get(old, "gone", 4).type, STATE_NONE);
	assert_int_equal(state_read_key_count(old), 2);
	state_read_end(old);
	state_reader_close(old);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* A view before anything was published is empty, also when commands are applied under it. */
static void
test_view_of_nothing(void **context)
{
	struct machine m;
	uint64_t index = 1;
	(void)context;

	machine_start(&m, &small);
	assert_int_equal(state_read_begin(m.reader), 0);
	machine_set(&m, "a", "1");
	machine_block(&m);
	assert_int_equal(state_read_get(m.reader, "a", 1).type, STATE_NONE);
	assert_int_equal(state_read_hash(m.reader, &index), 0);
	assert_int_equal(index, 0);
	assert_int_equal(state_hash_scan(m.reader), 0);
	assert_int_equal(state_read_key_count(m.reader), 0);
	state_read_end(m.reader);
	machine_stop(&m);
}

static void
test_readers_are_bounded(void **context)
{
	struct state_reader *readers[3];
	struct machine m;
	(void)context;

	machine_start(&m, &small); /* has one of four */
	for (int i = 0; i < 3; i++) {
		readers[i] = state_reader_open(m.state);
		assert_non_null(readers[i]);
	}
	assert_null(state_reader_open(m.state));
	state_reader_close(readers[1]);
	readers[1] = state_reader_open(m.state);
	assert_non_null(readers[1]);
	/* Views of one thread may overlap. */
	state_read_begin(readers[0]);
	state_read_begin(readers[1]);
	state_read_end(readers[0]);
	assert_int_equal(state_read_get(readers[1], "a", 1).type, STATE_NONE);
	expect_assert_failure(state_reader_close(readers[1]));
	state_read_end(readers[1]);
	expect_assert_failure(state_read_get(readers[1], "a", 1));
	for (int i = 0; i < 3; i++)
		state_reader_close(readers[i]);
	machine_stop(&m);
}

static const char *const names[] = { "",   "a",    "aa",   "ab",   "b",
				     "ba", "\x7f", "\x80", "\xff", "\xff\xff" };

static void
test_range_order(void **context)
{
	const uint32_t count = sizeof(names) / sizeof(names[0]);
	struct state_value value;
	const uint8_t *key = NULL;
	uint32_t key_bytes = 0;
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	for (uint32_t i = 1; i < count; i++)
		machine_set(&m, names[1 + (i * 5) % (count - 1)], "v");
	machine_delete(&m, "ab");
	machine_block(&m);
	state_read_begin(m.reader);
	const uint8_t *from = (const uint8_t *)"";
	uint32_t from_bytes = 0, seen = 0;
	bool is_after = false;
	for (uint32_t i = 1; i < count; i++) {
		if (strcmp(names[i], "ab") == 0)
			continue;
		assert_true(state_read_next(m.reader, from, from_bytes, is_after, &key, &key_bytes,
					    &value));
		assert_int_equal(key_bytes, strlen(names[i]));
		assert_memory_equal(key, names[i], key_bytes);
		from = key;
		from_bytes = key_bytes;
		is_after = true;
		seen++;
	}
	assert_false(state_read_next(m.reader, from, from_bytes, true, &key, &key_bytes, &value));
	assert_true(state_read_next(m.reader, from, from_bytes, false, &key, &key_bytes, &value));
	assert_int_equal(seen, state_read_key_count(m.reader));
	/* From a key that is not there, and from one that was deleted. */
	assert_true(state_read_next(m.reader, "aaa", 3, true, &key, &key_bytes, &value));
	assert_int_equal(key[0], 'b');
	assert_int_equal(key_bytes, 1);
	assert_true(state_read_next(m.reader, "ab", 2, false, &key, &key_bytes, &value));
	assert_int_equal(key[0], 'b');
	state_read_end(m.reader);
	machine_stop(&m);
}

static void
churn(struct machine *m, uint32_t round)
{
	char key[40], value[200];

	memset(value, 'a' + (int)(round % 26), sizeof(value));
	for (uint32_t i = 0; i < 2000; i++) {
		(void)snprintf(key, sizeof(key), "key-%u-%u", i, i * i);
		value[(i * 13 + round) % 199] = '\0';
		assert_int_equal(machine_set(m, key, value).kind, REPLY_OK);
		value[(i * 13 + round) % 199] = 'z';
		if (i % 100 == 99)
			machine_block(m);
	}
	machine_check_hash(m);
	for (uint32_t i = 0; i < 2000; i++) {
		(void)snprintf(key, sizeof(key), "key-%u-%u", i, i * i);
		assert_int_equal(machine_delete(m, key).value, 1);
		if (i % 100 == 99)
			machine_block(m);
	}
}

static void
test_memory_comes_back(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	assert_int_equal(state_stats(m.state).arena_used_bytes, 0);
	for (uint32_t round = 0; round < 30; round++) {
		const struct reply session =
		    machine_apply(&m, COMMAND_SESSION_OPEN, 0, 0, 0, 0, NULL, 0);
		churn(&m, round);
		machine_apply(&m, COMMAND_SESSION_CLOSE, 0, (uint64_t)session.value, 0, 0, NULL, 0);
		machine_block(&m);
		machine_block(&m);
		assert_int_equal(state_stats(m.state).arena_used_bytes, 0);
		assert_int_equal(state_stats(m.state).versions_live, 0);
		assert_int_equal(state_stats(m.state).logical_bytes, 0);
		assert_int_equal(state_hash(m.state), 0);
	}
	machine_stop(&m);
}

/* With readers, an unlinked key waits for a grace period; the memory of versions does not. */
static void
test_grace_period(void **context)
{
	struct machine m;
	char key[32];
	(void)context;

	machine_start(&m, &small);
	m.has_readers = true;
	for (uint32_t i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		machine_set(&m, key, "value");
	}
	machine_block(&m);
	assert_false(state_grace_period(m.state));
	for (uint32_t i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		machine_delete(&m, key);
	}
	machine_block(&m);
	machine_block(&m);
	assert_int_equal(state_stats(m.state).versions_live, 100); /* tombstones */
	assert_int_not_equal(state_stats(m.state).arena_used_bytes, 0);
	assert_true(state_grace_period(m.state));
	assert_false(state_grace_period(m.state)); /* until the writer has taken them back */
	machine_block(&m);
	assert_int_equal(state_stats(m.state).versions_live, 0);
	assert_int_equal(state_stats(m.state).arena_used_bytes, 0);
	machine_set(&m, "k1", "again");
	machine_block(&m);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* A view holds what it needs until the arena gets crowded; then it is told to end. Nothing is lost
 * when it ends, and the writer was never refused. */
static void
test_crowded_view_is_ended(void **context)
{
	struct machine m;
	struct state_value value;
	const uint8_t *key = NULL;
	uint32_t key_bytes = 0, blocks = 0;
	char large[2000];
	(void)context;

	machine_start(&m, &(struct machine_options){ 4u << 20, 1u << 20, 0, 1, 0 });
	memset(large, 'q', sizeof(large));
	large[sizeof(large) - 1] = '\0';
	machine_set(&m, "a", "old");
	machine_block(&m);
	struct state_reader *reader = state_reader_open(m.state);
	assert_non_null(reader);
	state_read_begin(reader);
	for (; !state_read_is_ended(reader) && blocks < 10000; blocks++) {
		assert_true(state_has_room(m.state, 2100));
		assert_true(state_read_next(reader, "", 0, false, &key, &key_bytes, &value));
		machine_set(&m, "a", large);
		machine_block(&m);
	}
	assert_in_range(blocks, 500, 9999);
	assert_int_equal(state_stats(m.state).views_ended, 1);
	assert_false(state_read_next(reader, "", 0, false, &key, &key_bytes, &value));
	assert_int_equal(state_read_get(reader, "a", 1).bytes, 3); /* a point read still answers */
	while (state_has_room(m.state, 2100)) {
		machine_set(&m, "a", large);
		machine_block(&m);
	}
	state_read_end(reader);
	for (uint32_t i = 0; i < 20; i++)
		machine_block(&m);
	assert_true(state_has_room(m.state, 2100));
	assert_in_range(state_stats(m.state).versions_live, 1, 2);
	state_read_begin(reader);
	assert_false(state_read_is_ended(reader));
	assert_true(state_read_next(reader, "", 0, false, &key, &key_bytes, &value));
	assert_int_equal(value.bytes, sizeof(large) - 1);
	state_read_end(reader);
	state_reader_close(reader);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* One flipped bit of a value, behind the back of the machine, is seen by the scan and not by the
 * running hash. */
static void
test_scan_sees_a_flipped_bit(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	machine_set(&m, "a", "some value");
	machine_add(&m, "n", 17);
	machine_block(&m);
	state_read_begin(m.reader);
	const struct state_value value = state_read_get(m.reader, "a", 1);
	uint8_t *byte = (uint8_t *)(uintptr_t)value.data + 4;
	const uint64_t hash = state_hash(m.state);
	assert_int_equal(state_hash_scan(m.reader), hash);
	*byte ^= 0x10;
	assert_int_not_equal(state_hash_scan(m.reader), hash);
	*byte ^= 0x10;
	assert_int_equal(state_hash_scan(m.reader), hash);
	state_read_end(m.reader);
	machine_stop(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_view_stays),
		cmocka_unit_test(test_view_of_nothing),
		cmocka_unit_test(test_readers_are_bounded),
		cmocka_unit_test(test_range_order),
		cmocka_unit_test(test_memory_comes_back),
		cmocka_unit_test(test_grace_period),
		cmocka_unit_test(test_crowded_view_is_ended),
		cmocka_unit_test(test_scan_sees_a_flipped_bit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
