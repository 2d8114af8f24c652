/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions of SET and MSET, replies that carry what was there, APPEND, and walks by bucket. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/state/machine.h"

/* APPEND makes values of at most 16 MiB / 16384 = 1024 bytes. */
static const struct machine_options options = { .arena_bytes = 64u << 20,
						.capacity_bytes = 16u << 20,
						.sessions_max = 16 };

static struct reply
run(struct machine *m, enum command_op op, uint8_t flags, const char *key, const char *value)
{
	const struct command_arg args[] = { machine_text(key), value != NULL
								   ? machine_text(value)
								   : (struct command_arg){ 0 } };

	return machine_apply(m, op, flags, 0, 0, 0, args, value != NULL ? 2 : 1);
}

static void
expect_bytes(const struct reply *reply, const char *text)
{
	assert_int_equal(reply->kind, REPLY_BYTES);
	assert_int_equal(reply->bytes, strlen(text));
	assert_memory_equal(reply->data, text, strlen(text));
}

static void
check_value(struct machine *m, const char *key, const char *text)
{
	char out[64];

	machine_block(m);
	assert_int_equal(machine_get(m, key, out).type, text == NULL ? STATE_NONE : STATE_BYTES);
	if (text != NULL)
		assert_string_equal(out, text);
	machine_check_hash(m);
}

static void
test_set_conditions(void **context)
{
	const uint8_t old = COMMAND_GET_OLD;
	struct machine m;
	struct reply reply;
	(void)context;

	machine_start(&m, &options);
	assert_int_equal(run(&m, COMMAND_SET, COMMAND_IF_PRESENT, "k", "a").kind, REPLY_NULL);
	check_value(&m, "k", NULL);
	assert_int_equal(run(&m, COMMAND_SET, COMMAND_IF_ABSENT, "k", "a").kind, REPLY_OK);
	assert_int_equal(run(&m, COMMAND_SET, COMMAND_IF_ABSENT, "k", "b").kind, REPLY_NULL);
	check_value(&m, "k", "a");
	assert_int_equal(run(&m, COMMAND_SET, COMMAND_IF_PRESENT, "k", "c").kind, REPLY_OK);
	/* In the same block and of the same size: the old bytes must outlive the write. */
	reply = run(&m, COMMAND_SET, old, "k", "d");
	expect_bytes(&reply, "c");
	reply = run(&m, COMMAND_SET, old | COMMAND_IF_ABSENT, "k", "e");
	expect_bytes(&reply, "d");
	check_value(&m, "k", "d");
	assert_int_equal(run(&m, COMMAND_SET, old, "new", "1").kind, REPLY_NULL);
	assert_int_equal(run(&m, COMMAND_SET, old | COMMAND_IF_PRESENT, "none", "1").kind,
			 REPLY_NULL);
	check_value(&m, "none", NULL);
	check_value(&m, "new", "1");
	machine_add(&m, "n", 42);
	reply = run(&m, COMMAND_SET, old, "n", "x");
	assert_int_equal(reply.kind, REPLY_DECIMAL);
	assert_int_equal(reply.value, 42);
	check_value(&m, "n", "x");
	machine_stop(&m);
}

static void
test_delete_returns_what_was_there(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &options);
	machine_set(&m, "k", "value");
	const struct reply reply = run(&m, COMMAND_DELETE, COMMAND_GET_OLD, "k", NULL);
	expect_bytes(&reply, "value");
	assert_int_equal(run(&m, COMMAND_DELETE, COMMAND_GET_OLD, "k", NULL).kind, REPLY_NULL);
	check_value(&m, "k", NULL);
	assert_int_equal(state_stats(m.state).keys, 0);
	assert_int_equal(state_stats(m.state).logical_bytes, 0);
	machine_stop(&m);
}

static void
test_mset_if_absent(void **context)
{
	const struct command_arg pairs[] = { machine_text("a"), machine_text("1"),
					     machine_text("b"), machine_text("2") };
	struct machine m;
	(void)context;

	machine_start(&m, &options);
	machine_set(&m, "b", "old");
	struct reply reply = machine_apply(&m, COMMAND_MSET, COMMAND_IF_ABSENT, 0, 0, 0, pairs, 4);
	assert_int_equal(reply.kind, REPLY_INTEGER);
	assert_int_equal(reply.value, 0);
	check_value(&m, "a", NULL);
	machine_delete(&m, "b");
	reply = machine_apply(&m, COMMAND_MSET, COMMAND_IF_ABSENT, 0, 0, 0, pairs, 4);
	assert_int_equal(reply.value, 1);
	check_value(&m, "a", "1");
	check_value(&m, "b", "2");
	machine_stop(&m);
}

static void
test_append(void **context)
{
	char long_text[1025];
	struct machine m;
	(void)context;

	machine_start(&m, &options);
	assert_int_equal(run(&m, COMMAND_APPEND, 0, "k", "ab").value, 2);
	assert_int_equal(run(&m, COMMAND_APPEND, 0, "k", "").value, 2);
	/* Grows in place within its block, in new memory beyond it: the result is the same. */
	for (int i = 0; i < 20; i++) {
		assert_int_equal(run(&m, COMMAND_APPEND, 0, "k", "c").value, 3 + i);
		if (i % 3 == 0)
			machine_block(&m);
	}
	check_value(&m, "k", "abcccccccccccccccccccc");
	machine_add(&m, "n", -12);
	assert_int_equal(run(&m, COMMAND_APPEND, 0, "n", "3").value, 4);
	check_value(&m, "n", "-123");
	assert_int_equal(machine_add(&m, "n", 1).value, -122);
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[1024] = '\0';
	assert_int_equal(run(&m, COMMAND_APPEND, 0, "long", long_text).value, 1024);
	const uint64_t bytes = state_stats(m.state).logical_bytes;
	assert_int_equal(run(&m, COMMAND_APPEND, 0, "long", "y").kind, REPLY_OUT_OF_MEMORY);
	assert_int_equal(state_stats(m.state).logical_bytes, bytes);
	machine_block(&m);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* Every key of a block gets a long version from a short command: the slack must be enough. */
static void
test_append_keeps_room(void **context)
{
	static const char filler[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab";
	const struct machine_options tight = { .arena_bytes = 64u << 20,
					       .capacity_bytes = 30u << 20,
					       .sessions_max = 4 };
	struct machine m;
	char key[16];
	(void)context;

	machine_start(&m, &tight);
	(void)state_read_begin(m.reader); /* holds every version from here on */
	for (uint32_t round = 0; round < 40; round++) {
		for (uint32_t i = 0; i < 1300; i++) {
			(void)snprintf(key, sizeof(key), "k%u", i);
			if (i == 0)
				for (int turn = 0; turn < 8 && !state_has_room(m.state, 65536);
				     turn++) {
					if (state_read_is_ended(m.reader)) {
						state_read_end(m.reader);
						(void)state_read_begin(m.reader);
					}
					state_reclaim_turn(m.state, true);
				}
			(void)run(&m, COMMAND_APPEND, 0, key, filler);
		}
		machine_block(&m);
	}
	state_read_end(m.reader);
	machine_block(&m);
	machine_check_hash(&m);
	machine_stop(&m);
}

static void
test_session_keeps_short_bytes(void **context)
{
	const char *longer = "more than twenty-four bytes of value";
	struct machine m;
	(void)context;

	machine_start(&m, &options);
	const struct reply open = machine_apply(&m, COMMAND_SESSION_OPEN, 0, 0, 0, 0, NULL, 0);
	assert_int_equal(open.kind, REPLY_SESSION);
	const uint64_t id = (uint64_t)open.value;
	machine_set(&m, "k", "short");
	const struct command_arg first[] = { machine_text("k"), machine_text(longer) };
	const struct command_arg second[] = { machine_text("k"), machine_text("z") };
	for (int way = 0; way < 2; way++) {
		const struct reply reply =
		    machine_apply(&m, COMMAND_SET, COMMAND_GET_OLD, id, 1, 0, first, 2);
		expect_bytes(&reply, "short");
		assert_int_equal(reply.is_repeat, way == 1);
		machine_block(&m);
		machine_check_hash(&m);
	}
	struct reply reply = machine_apply(&m, COMMAND_SET, COMMAND_GET_OLD, id, 2, 1, second, 2);
	expect_bytes(&reply, longer);
	const uint64_t at = m.at.log_index;
	machine_block(&m);
	reply = machine_apply(&m, COMMAND_SET, COMMAND_GET_OLD, id, 2, 1, second, 2);
	assert_int_equal(reply.kind, REPLY_DONE);
	assert_int_equal(reply.value, at);
	assert_true(reply.is_repeat);
	check_value(&m, "k", "z");
	machine_stop(&m);
}

static void
test_buckets_hold_every_key_once(void **context)
{
	static uint8_t seen[2000];
	struct machine m;
	char name[16];
	(void)context;

	machine_start(&m, &options);
	for (uint32_t i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		machine_set(&m, name, "v");
	}
	machine_delete(&m, "77");
	(void)machine_apply(&m, COMMAND_SESSION_OPEN, 0, 0, 0, 0, NULL, 0);
	machine_block(&m);
	memset(seen, 0, sizeof(seen));
	(void)state_read_begin(m.reader);
	for (uint64_t bucket = 0; bucket < state_scan_buckets(m.state); bucket++) {
		const void *position = NULL;
		const uint8_t *key;
		uint32_t bytes;
		while ((position = state_read_bucket(m.reader, bucket, position, &key, &bytes)) !=
		       NULL) {
			assert_in_range(bytes, 1, 4);
			memcpy(name, key, bytes);
			name[bytes] = '\0';
			seen[atoi(name)]++;
		}
	}
	state_read_end(m.reader);
	for (uint32_t i = 0; i < 2000; i++)
		assert_int_equal(seen[i], i != 77);
	machine_stop(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_conditions),
		cmocka_unit_test(test_delete_returns_what_was_there),
		cmocka_unit_test(test_mset_if_absent),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_append_keeps_room),
		cmocka_unit_test(test_session_keeps_short_bytes),
		cmocka_unit_test(test_buckets_hold_every_key_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
