/* SPDX-License-Identifier: Apache-2.0 */
/* Operations and their replies, capacity, and which values count as integers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/state/machine.h"

static const struct machine_options small = { .arena_bytes = 4u << 20,
					      .capacity_bytes = 1u << 20,
					      .sessions_max = 16 };

static void
test_set_get_delete(void **context)
{
	struct machine m;
	char text[64];
	(void)context;

	machine_start(&m, &small);
	assert_int_equal(machine_set(&m, "a", "one").kind, REPLY_OK);
	assert_int_equal(machine_set(&m, "b", "").kind, REPLY_OK);
	assert_int_equal(machine_get(&m, "a", text).type, STATE_NONE); /* not yet published */
	machine_block(&m);
	struct state_value value = machine_get(&m, "a", text);
	assert_int_equal(value.type, STATE_BYTES);
	assert_string_equal(text, "one");
	assert_int_equal(value.version.log_index, 1);
	assert_int_equal(value.version.slot, 1);
	assert_int_equal(machine_get(&m, "b", text).type, STATE_BYTES);
	assert_string_equal(text, "");
	assert_int_equal(machine_get(&m, "c", text).type, STATE_NONE);
	assert_int_equal(machine_get(&m, "", text).type, STATE_NONE);

	const struct command_arg keys[] = { machine_text("a"), machine_text("x"), machine_text("b"),
					    machine_text("a") };
	const struct reply reply = machine_apply(&m, COMMAND_DELETE, 0, 0, 0, 0, keys, 4);
	assert_int_equal(reply.kind, REPLY_INTEGER);
	assert_int_equal(reply.value, 2);
	machine_block(&m);
	assert_int_equal(machine_get(&m, "a", text).type, STATE_NONE);
	assert_int_equal(state_stats(m.state).keys, 0);
	assert_int_equal(state_stats(m.state).logical_bytes, 0);
	assert_int_equal(state_hash(m.state), 0);
	machine_check_hash(&m);
	machine_stop(&m);
}

static void
test_mset_is_one_position(void **context)
{
	struct machine m;
	char text[64];
	(void)context;

	machine_start(&m, &small);
	const struct command_arg pairs[] = { machine_text("k"), machine_text("1"),
					     machine_text("l"), machine_text("2"),
					     machine_text("k"), machine_text("three") };
	assert_int_equal(machine_apply(&m, COMMAND_MSET, 0, 0, 0, 0, pairs, 6).kind, REPLY_OK);
	machine_block(&m);
	const struct state_value k = machine_get(&m, "k", text);
	assert_string_equal(text, "three"); /* the last one of a key counts */
	const struct state_value l = machine_get(&m, "l", text);
	assert_string_equal(text, "2");
	assert_int_equal(k.version.log_index, l.version.log_index);
	assert_int_equal(k.version.slot, l.version.slot);
	assert_int_equal(state_stats(m.state).keys, 2);
	machine_check_hash(&m);
	machine_stop(&m);
}

struct add_case {
	const char *before; /* NULL: no such key */
	int64_t delta;
	uint8_t flags;
	int64_t min, max;
	enum reply_kind kind;
	int64_t value; /* INTEGER: the result */
	bool is_max;
};

static const struct add_case add_cases[] = {
	{ NULL, 5, 0, 0, 0, REPLY_INTEGER, 5, false },
	{ NULL, 0, 0, 0, 0, REPLY_INTEGER, 0, false },
	{ NULL, -1, COMMAND_HAS_MIN, 0, 0, REPLY_BOUND, 0, false },
	{ "20", -50, COMMAND_HAS_MIN, 0, 0, REPLY_BOUND, 20, false },
	{ "20", -20, COMMAND_HAS_MIN, 0, 0, REPLY_INTEGER, 0, false },
	{ "20", 5, COMMAND_HAS_MAX, 0, 24, REPLY_BOUND, 20, true },
	{ "20", 4, COMMAND_HAS_MAX, 0, 24, REPLY_INTEGER, 24, false },
	{ "20", 1, COMMAND_HAS_MIN | COMMAND_HAS_MAX, 0, 30, REPLY_INTEGER, 21, false },
	{ "20", 11, COMMAND_HAS_MIN | COMMAND_HAS_MAX, 0, 30, REPLY_BOUND, 20, true },
	{ "20", -21, COMMAND_HAS_MIN | COMMAND_HAS_MAX, 0, 30, REPLY_BOUND, 20, false },
	{ "-7", 3, COMMAND_HAS_MIN, 0, 0, REPLY_BOUND, -7, false },
	{ "9223372036854775807", 1, 0, 0, 0, REPLY_OVERFLOW, 0, false },
	{ "9223372036854775807", 1, COMMAND_HAS_MAX, 0, INT64_MAX, REPLY_BOUND, INT64_MAX, true },
	{ "9223372036854775807", 1, COMMAND_HAS_MIN, 0, 0, REPLY_OVERFLOW, 0, false },
	{ "9223372036854775807", -1, 0, 0, 0, REPLY_INTEGER, INT64_MAX - 1, false },
	{ "-9223372036854775808", -1, 0, 0, 0, REPLY_OVERFLOW, 0, false },
	{ "-9223372036854775808", -1, COMMAND_HAS_MIN, INT64_MIN, 0, REPLY_BOUND, INT64_MIN,
	  false },
	{ "-9223372036854775808", INT64_MAX, 0, 0, 0, REPLY_INTEGER, -1, false },
	{ "9223372036854775808", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "-9223372036854775809", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "18446744073709551616", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "99999999999999999999", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "0", 1, 0, 0, 0, REPLY_INTEGER, 1, false },
	{ "-1", 1, 0, 0, 0, REPLY_INTEGER, 0, false },
	{ "", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "-", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "-0", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "+1", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "01", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "-01", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ " 1", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "1 ", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "1a", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
	{ "--1", 1, 0, 0, 0, REPLY_NOT_INTEGER, 0, false },
};

static void
check_add(struct machine *m, const struct add_case *c)
{
	const le64 delta = le64_make((uint64_t)c->delta), min = le64_make((uint64_t)c->min),
		   max = le64_make((uint64_t)c->max);
	struct command_arg args[4] = { machine_text("n"), { delta.bytes, 8 } };
	uint32_t count = 2;
	char text[64] = "";

	if (c->before != NULL)
		assert_int_equal(machine_set(m, "n", c->before).kind, REPLY_OK);
	machine_block(m);
	if ((c->flags & COMMAND_HAS_MIN) != 0)
		args[count++] = (struct command_arg){ min.bytes, 8 };
	if ((c->flags & COMMAND_HAS_MAX) != 0)
		args[count++] = (struct command_arg){ max.bytes, 8 };
	const struct reply reply = machine_apply(m, COMMAND_ADD, c->flags, 0, 0, 0, args, count);
	machine_block(m);
	assert_int_equal(reply.kind, c->kind);
	assert_false(reply.is_repeat);
	const struct state_value after = machine_get(m, "n", text);
	if (c->kind == REPLY_INTEGER) {
		assert_int_equal(reply.value, c->value);
		assert_int_equal(after.type, STATE_INTEGER);
		assert_int_equal(after.integer, c->value);
	} else if (c->before == NULL) {
		assert_int_equal(after.type, STATE_NONE);
	} else {
		assert_int_equal(after.type, STATE_BYTES);
		assert_string_equal(text, c->before);
	}
	if (c->kind == REPLY_BOUND) {
		assert_int_equal(reply.value, c->value);
		assert_int_equal(reply.delta, c->delta);
		assert_int_equal(reply.bound, c->is_max ? c->max : c->min);
		assert_int_equal(reply.is_max, c->is_max);
	}
	machine_check_hash(m);
}

static void
test_add_table(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(add_cases) / sizeof(add_cases[0]); i++) {
		struct machine m;
		machine_start(&m, &small);
		check_add(&m, &add_cases[i]);
		machine_stop(&m);
	}
}

static void
test_integer_and_bytes_differ(void **context)
{
	struct machine a, b;
	(void)context;

	machine_start(&a, &small);
	machine_start(&b, &small);
	machine_set(&a, "n", "7");
	machine_add(&b, "n", 7);
	machine_block(&a);
	machine_block(&b);
	assert_int_not_equal(state_hash(a.state), state_hash(b.state));
	machine_add(&a, "n", 0);
	machine_block(&a);
	assert_int_equal(state_hash(a.state), state_hash(b.state));
	machine_stop(&a);
	machine_stop(&b);
}

/* Fills two machines that differ in all that must not matter; both refuse the same commands. */
static void
test_capacity_is_equal_everywhere(void **context)
{
	struct machine a, b;
	uint32_t refused = 0;
	(void)context;

	machine_start(&a, &(struct machine_options){ 4u << 20, 200000, 1, 4, 0 });
	machine_start(&b, &(struct machine_options){ 9u << 20, 200000, 99, 4, 0 });
	b.has_readers = true; /* and nobody ends grace periods for it */
	for (uint32_t i = 0; i < 3000; i++) {
		char key[32], value[512];
		memset(value, 'v', sizeof(value));
		value[(i * 37) % 500] = '\0';
		(void)snprintf(key, sizeof(key), "key-%u", (i * 7919) % 1500);
		struct reply x, y;
		if (i % 11 == 3) {
			x = machine_delete(&a, key);
			y = machine_delete(&b, key);
		} else {
			x = machine_set(&a, key, value);
			y = machine_set(&b, key, value);
		}
		assert_int_equal(x.kind, y.kind);
		assert_int_equal(x.value, y.value);
		refused += x.kind == REPLY_OUT_OF_MEMORY;
		if (i % 50 == 49) {
			machine_block(&a);
			machine_block(&b);
			assert_int_equal(state_hash(a.state), state_hash(b.state));
		}
	}
	assert_in_range(refused, 500, 2900);
	assert_int_equal(state_stats(a.state).out_of_memory, refused);
	assert_int_equal(state_stats(a.state).logical_bytes, state_stats(b.state).logical_bytes);
	machine_check_hash(&a);
	machine_check_hash(&b);
	machine_stop(&a);
	machine_stop(&b);
}

static void
test_out_of_memory_changes_nothing(void **context)
{
	struct machine m;
	char text[64], large[900];
	(void)context;

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	machine_start(&m, &(struct machine_options){ 4u << 20, 1500, 1, 4, 0 });
	assert_int_equal(machine_set(&m, "a", "1").kind, REPLY_OK);
	assert_int_equal(machine_set(&m, "b", large).kind, REPLY_OK);
	machine_block(&m);
	const uint64_t hash = state_hash(m.state);
	const struct command_arg pairs[] = { machine_text("a"), machine_text("2"),
					     machine_text("c"), machine_text(large) };
	assert_int_equal(machine_apply(&m, COMMAND_MSET, 0, 0, 0, 0, pairs, 4).kind,
			 REPLY_OUT_OF_MEMORY);
	assert_int_equal(machine_set(&m, "c", large).kind, REPLY_OUT_OF_MEMORY);
	machine_block(&m);
	assert_int_equal(state_hash(m.state), hash);
	/* What does not grow goes through, and freed room can be used again. */
	assert_int_equal(machine_set(&m, "a", "2").kind, REPLY_OK);
	assert_int_equal(machine_delete(&m, "b").value, 1);
	assert_int_equal(machine_set(&m, "c", large).kind, REPLY_OK);
	machine_block(&m);
	assert_int_equal(machine_get(&m, "a", text).type, STATE_BYTES);
	assert_string_equal(text, "2");
	machine_check_hash(&m);
	machine_stop(&m);
}

static void
test_value_limit(void **context)
{
	struct machine_options options = small;
	char text[3001];
	struct machine m;
	(void)context;

	memset(text, 'y', sizeof(text));
	text[3000] = '\0';
	options.value_bytes_max = 2999;
	machine_start(&m, &options);
	assert_int_equal(machine_set(&m, "k", text).kind, REPLY_OUT_OF_MEMORY);
	text[2999] = '\0';
	assert_int_equal(machine_set(&m, "k", text).kind, REPLY_OK);
	machine_stop(&m);
}

static void
test_config_is_checked(void **context)
{
	const size_t bytes = 4u << 20;
	struct state *state = NULL;
	void *arena = aligned_alloc(4096, bytes);
	(void)context;

	assert_non_null(arena);
	memset(arena, 0, bytes);
	const struct state_config sound = { .arena = arena,
					    .arena_bytes = bytes,
					    .capacity_bytes = bytes / 4,
					    .value_bytes_max = 100,
					    .sessions_max = 1,
					    .readers_max = 1 };
	struct state_config bad = sound;
	bad.capacity_bytes = bytes / 2 + 1;
	assert_int_equal(state_init(&bad, &state), TERN_ERR_CONFIG);
	bad = sound;
	bad.arena_bytes = 65536;
	bad.capacity_bytes = 1000;
	assert_int_equal(state_init(&bad, &state), TERN_ERR_CONFIG);
	bad = sound;
	bad.readers_max = 0;
	assert_int_equal(state_init(&bad, &state), TERN_ERR_CONFIG);
	bad = sound;
	bad.value_bytes_max = 1u << 30;
	assert_int_equal(state_init(&bad, &state), TERN_ERR_CONFIG);
	bad = sound;
	bad.arena = (uint8_t *)arena + 8;
	assert_int_equal(state_init(&bad, &state), TERN_ERR_CONFIG);
	assert_int_equal(state_init(&sound, &state), TERN_OK);
	free(arena);
}

static void
test_positions_rise(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	machine_set(&m, "a", "1");
	m.at.slot--;
	expect_assert_failure(machine_set(&m, "a", "2"));
	m.at.slot++;
	machine_block(&m);
	m.at.log_index--;
	expect_assert_failure(machine_set(&m, "a", "2"));
	expect_assert_failure(state_publish(m.state, m.at.log_index));
	machine_stop(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_get_delete),
		cmocka_unit_test(test_mset_is_one_position),
		cmocka_unit_test(test_add_table),
		cmocka_unit_test(test_integer_and_bytes_differ),
		cmocka_unit_test(test_capacity_is_equal_everywhere),
		cmocka_unit_test(test_out_of_memory_changes_nothing),
		cmocka_unit_test(test_value_limit),
		cmocka_unit_test(test_config_is_checked),
		cmocka_unit_test(test_positions_rise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
