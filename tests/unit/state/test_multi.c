/* SPDX-License-Identifier: Apache-2.0 */
/* MULTI: conditions by version, parts with their replies, all or nothing at one position. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/wire/reply.h"
#include "tests/unit/state/machine.h"

#define CAPACITY (1u << 20)
#define PARTS    64u

/* The parts of one MULTI as they are added. */
struct build {
	uint8_t bytes[400000];
	uint32_t used, count;
	struct command_arg args[4096];
};

static struct build build;

static struct machine *
start(void)
{
	static struct machine machine;

	machine_start(&machine, &(struct machine_options){ 8u << 20, CAPACITY, 1, 16, 0 });
	build.used = build.count = 0;
	return &machine;
}

static void
part(enum command_op op, uint8_t flags, const struct command_arg *args, uint32_t count)
{
	struct command_writer writer;
	uint32_t bytes = 0;

	command_begin(&writer, build.bytes + build.used,
		      (uint32_t)sizeof(build.bytes) - build.used);
	for (uint32_t i = 0; i < count; i++)
		command_add_arg(&writer, args[i].data, args[i].bytes);
	assert_int_equal(command_end(&writer, op, flags, 0, 0, 0, &bytes), TERN_OK);
	build.args[build.count++] = (struct command_arg){ build.bytes + build.used, bytes };
	build.used += bytes;
}

static void
part_texts(enum command_op op, uint8_t flags, const char *a, const char *b)
{
	const struct command_arg args[] = { machine_text(a), machine_text(b == NULL ? "" : b) };

	part(op, flags, args, b == NULL ? 1 : 2);
}

static void
part_add(const char *key, int64_t delta)
{
	const le64 le = le64_make((uint64_t)delta);
	const struct command_arg args[] = { machine_text(key), { le.bytes, 8 } };

	part(COMMAND_ADD, 0, args, 2);
}

static void
check(const char *key, struct state_position at)
{
	const le64 index = le64_make(at.log_index), slot = le64_make(at.slot);
	const struct command_arg args[] = { machine_text(key),
					    { index.bytes, 8 },
					    { slot.bytes, 8 } };

	part(COMMAND_CHECK, 0, args, at.log_index == 0 ? 1 : 3);
}

static struct reply
execute_in(struct machine *m, uint64_t client_id, uint64_t seq)
{
	const struct reply reply =
	    machine_apply(m, COMMAND_MULTI, 0, client_id, seq, (uint16_t)(seq == 0 ? 0 : seq - 1),
			  build.args, build.count);

	build.used = build.count = 0;
	return reply;
}

static struct reply
execute(struct machine *m)
{
	return execute_in(m, 0, 0);
}

static uint32_t
replies_of(const struct reply *reply, struct reply *out)
{
	struct reply_cursor cursor = { reply->data, reply->data + reply->bytes };
	uint32_t count = 0;

	assert_int_equal(reply->kind, REPLY_ARRAY);
	while (reply_list_next(&cursor, &out[count]))
		count++;
	assert_ptr_equal(cursor.at, cursor.end);
	return count;
}

static struct state_position
version_of(struct machine *m, const char *key)
{
	char text[64];

	return machine_get(m, key, text).version;
}

static void
expect_text(const struct reply *reply, const char *text)
{
	assert_int_equal(reply->kind, REPLY_BYTES);
	assert_int_equal(reply->bytes, strlen(text));
	assert_memory_equal(reply->data, text, reply->bytes);
}

static void
test_parts_see_each_other(void **context)
{
	struct machine *m = start();
	struct reply replies[PARTS], reply;
	(void)context;

	machine_set(m, "a", "one");
	machine_block(m);
	part_texts(COMMAND_GET, 0, "a", NULL);
	part_texts(COMMAND_SET, COMMAND_GET_OLD, "a", "two");
	part_texts(COMMAND_GET, 0, "a", NULL);
	part_texts(COMMAND_LENGTH, 0, "a", NULL);
	part_texts(COMMAND_EXISTS, 0, "a", "n");
	part_add("n", -12);
	part_texts(COMMAND_GET, 0, "n", NULL);
	part_texts(COMMAND_LENGTH, 0, "n", NULL);
	part_texts(COMMAND_EXISTS, 0, "a", "n");
	part_texts(COMMAND_DELETE, COMMAND_GET_OLD, "a", NULL);
	part_texts(COMMAND_GET, 0, "a", NULL);
	part_texts(COMMAND_LENGTH, 0, "a", NULL);
	part_add("b", 1);
	part_texts(COMMAND_SET, 0, "b", "text");
	part_add("b", 1);
	part_texts(COMMAND_APPEND, 0, "b", "s");
	reply = execute(m);
	assert_int_equal(replies_of(&reply, replies), 16);
	expect_text(&replies[0], "one");
	expect_text(&replies[1], "one");
	expect_text(&replies[2], "two");
	assert_int_equal(replies[3].value, 3);
	assert_int_equal(replies[4].value, 1);
	assert_int_equal(replies[5].value, -12);
	assert_int_equal(replies[6].kind, REPLY_DECIMAL);
	assert_int_equal(replies[6].value, -12);
	assert_int_equal(replies[7].value, 3);
	assert_int_equal(replies[8].value, 2);
	expect_text(&replies[9], "two");
	assert_int_equal(replies[10].kind, REPLY_NULL);
	assert_int_equal(replies[11].value, 0);
	assert_int_equal(replies[13].kind, REPLY_OK);
	assert_int_equal(replies[14].kind, REPLY_NOT_INTEGER); /* and the others are done */
	assert_int_equal(replies[15].value, 5);
	machine_block(m);
	machine_check_hash(m);
	/* One position for all. */
	assert_int_equal(version_of(m, "n").log_index, version_of(m, "b").log_index);
	assert_int_equal(version_of(m, "n").slot, version_of(m, "b").slot);
	machine_stop(m);
}

static void
test_conditions(void **context)
{
	struct machine *m = start();
	(void)context;

	machine_set(m, "a", "1");
	machine_set(m, "c", "1");
	machine_block(m);
	const struct state_position a = version_of(m, "a"), c = version_of(m, "c");
	/* What each condition says, and whether it holds. */
	const struct {
		const char *key;
		struct state_position at;
		bool holds;
	} cases[] = {
		{ "a", a, true },
		{ "a", c, false },
		{ "a", { a.log_index + 1, a.slot }, false },
		{ "a", { 0 }, false },
		{ "b", { 0 }, true },
		{ "b", a, false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check("c", c); /* it always holds, and is not enough */
		check(cases[i].key, cases[i].at);
		part_add("n", 1);
		const struct reply reply = execute(m);
		assert_int_equal(reply.kind, cases[i].holds ? REPLY_ARRAY : REPLY_CONFLICT);
	}
	machine_block(m);
	char text[64];
	assert_int_equal(machine_get(m, "n", text).integer, 2);
	/* The same value written again is another version; so is a key that went and came. */
	machine_set(m, "a", "1");
	check("a", a);
	assert_int_equal(execute(m).kind, REPLY_CONFLICT);
	machine_delete(m, "c");
	machine_set(m, "c", "1");
	check("c", c);
	assert_int_equal(execute(m).kind, REPLY_CONFLICT);
	/* Conditions alone: an empty list. */
	machine_block(m);
	check("a", version_of(m, "a"));
	const struct reply reply = execute(m);
	assert_int_equal(reply.kind, REPLY_ARRAY);
	assert_int_equal(reply.bytes, 0);
	/* Two in one block: the second sees that the first has written. */
	const struct state_position now = version_of(m, "a");
	for (int i = 0; i < 2; i++) {
		check("a", now);
		part_texts(COMMAND_SET, 0, "a", "2");
		assert_int_equal(execute(m).kind, i == 0 ? REPLY_ARRAY : REPLY_CONFLICT);
	}
	machine_block(m);
	machine_check_hash(m);
	machine_stop(m);
}

/* Replies have room for a sixteenth of the capacity: a part that needs more is not done, writes
 * that return what they replace included; the others are. */
static void
test_replies_are_bounded(void **context)
{
	struct machine *m = start();
	static char value[40001];
	struct reply replies[PARTS], reply;
	(void)context;

	memset(value, 'x', 40000);
	assert_int_equal(state_multi_bytes_max(m->state), CAPACITY / 16);
	machine_set(m, "long", value);
	machine_set(m, "other", value);
	part_texts(COMMAND_GET, 0, "long", NULL);
	part_texts(COMMAND_GET, 0, "other", NULL);
	part_texts(COMMAND_DELETE, COMMAND_GET_OLD, "other", NULL);
	part_texts(COMMAND_SET, COMMAND_GET_OLD, "other", "short");
	part_add("n", 1);
	part_texts(COMMAND_SET, 0, "other", "short");
	part_texts(COMMAND_SET, COMMAND_GET_OLD, "other", "shorter");
	reply = execute(m);
	assert_int_equal(replies_of(&reply, replies), 7);
	assert_int_equal(replies[0].bytes, 40000);
	assert_int_equal(replies[1].kind, REPLY_TOO_LARGE);
	assert_int_equal(replies[2].kind, REPLY_TOO_LARGE);
	assert_int_equal(replies[3].kind, REPLY_TOO_LARGE);
	assert_int_equal(replies[4].value, 1);
	assert_int_equal(replies[5].kind, REPLY_OK);
	expect_text(&replies[6], "short");
	/* Even the items alone can be too many: then nothing is done. */
	for (uint32_t i = 0; i < CAPACITY / 16 / REPLY_ITEM_BYTES; i++)
		part_add("n", 1);
	reply = execute(m);
	assert_int_equal(reply.kind, REPLY_ARRAY);
	assert_int_equal(reply.bytes, CAPACITY / 16);
	for (uint32_t i = 0; i < CAPACITY / 16 / REPLY_ITEM_BYTES + 1; i++)
		part_add("n", 1);
	assert_int_equal(execute(m).kind, REPLY_TOO_LARGE);
	machine_block(m);
	char text[64];
	assert_int_equal(machine_get(m, "n", text).integer, 1 + CAPACITY / 16 / REPLY_ITEM_BYTES);
	machine_check_hash(m);
	machine_stop(m);
}

/* One number of a session for the whole. What it answered is not kept, that it was done is. */
static void
test_once(void **context)
{
	struct machine *m = start();
	struct reply reply;
	char text[64];
	(void)context;

	reply = machine_apply(m, COMMAND_SESSION_OPEN, 0, 0, 0, 0, NULL, 0);
	const uint64_t id = (uint64_t)reply.value;
	for (int i = 0; i < 2; i++) {
		part_add("n", 5);
		part_add("n", 5);
		reply = execute_in(m, id, 1);
		assert_int_equal(reply.kind, i == 0 ? REPLY_ARRAY : REPLY_DONE);
		assert_int_equal(reply.is_repeat, i == 1);
		machine_block(m);
	}
	/* A conflict is an answer, too: it stays one when the condition would hold. */
	for (int i = 0; i < 2; i++) {
		check("gone", (struct state_position){ 0 });
		part_add("n", 100);
		if (i == 0)
			machine_set(m, "gone", "not yet");
		else
			machine_delete(m, "gone");
		assert_int_equal(execute_in(m, id, 2).kind, REPLY_CONFLICT);
		machine_block(m);
	}
	assert_int_equal(machine_get(m, "n", text).integer, 10);
	for (uint64_t seq = 3; seq < 30; seq++) {
		part_add("n", 1);
		assert_int_equal(execute_in(m, id, seq).kind, REPLY_ARRAY);
	}
	part_add("n", 100);
	assert_int_equal(execute_in(m, id, 2).kind, REPLY_REFUSED);
	part_add("n", 100);
	assert_int_equal(execute_in(m, id, 1).kind, REPLY_DONE);
	machine_block(m);
	assert_int_equal(machine_get(m, "n", text).integer, 37);
	machine_check_hash(m);
	machine_stop(m);
}

/* A part over the capacity is refused, the others are not. */
static void
test_capacity(void **context)
{
	struct machine *m = start();
	static char value[60001];
	struct reply replies[PARTS], reply;
	char name[16];
	(void)context;

	memset(value, 'x', 60000);
	for (int i = 0; i < 16; i++) {
		(void)snprintf(name, sizeof(name), "k%d", i);
		assert_int_equal(machine_set(m, name, value).kind, REPLY_OK);
	}
	part_texts(COMMAND_SET, 0, "k0", "short");
	part_texts(COMMAND_SET, 0, "k0", value);
	part_texts(COMMAND_SET, 0, "more", value);
	part_texts(COMMAND_SET, 0, "more2", value);
	part_texts(COMMAND_DELETE, 0, "k1", NULL);
	part_texts(COMMAND_SET, 0, "more2", value);
	reply = execute(m);
	assert_int_equal(replies_of(&reply, replies), 6);
	assert_int_equal(replies[0].kind, REPLY_OK);
	assert_int_equal(replies[1].kind, REPLY_OK);
	assert_int_equal(replies[2].kind, REPLY_OK);
	assert_int_equal(replies[3].kind, REPLY_OUT_OF_MEMORY);
	assert_int_equal(replies[5].kind, REPLY_OK);
	machine_block(m);
	machine_check_hash(m);
	machine_stop(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_see_each_other),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_replies_are_bounded),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_capacity),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
