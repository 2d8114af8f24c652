/* SPDX-License-Identifier: Apache-2.0 */
/* What is a command and what is not. */
#include "dataplane/wire/command.h"

#include <string.h>

#include "dataplane/wire/reply.h"
#include "tests/support/check.h"

static uint8_t buffer[1u << 16];

struct shape {
	enum command_op op;
	uint8_t flags;
	uint64_t client_id, seq;
	uint16_t open_window;
	uint32_t arg_count, arg_bytes[5];
	enum tern_err err;
};

static const struct shape shapes[] = {
	{ COMMAND_SET, 0, 0, 0, 0, 2, { 1, 0 }, TERN_OK },
	{ COMMAND_SET, 0, 0, 0, 0, 2, { 1024, 10 }, TERN_OK },
	{ COMMAND_SET, 0, 0, 0, 0, 2, { 1025, 10 }, TERN_ERR_MALFORMED },
	{ COMMAND_SET, 0, 0, 0, 0, 2, { 0, 10 }, TERN_ERR_MALFORMED },
	{ COMMAND_SET, 0, 0, 0, 0, 1, { 1 }, TERN_ERR_MALFORMED },
	{ COMMAND_SET, 0, 0, 0, 0, 3, { 1, 1, 1 }, TERN_ERR_MALFORMED },
	{ COMMAND_SET, COMMAND_HAS_MIN, 0, 0, 0, 2, { 1, 1 }, TERN_ERR_MALFORMED },
	{ COMMAND_SET, COMMAND_KEEP_EXPIRY, 0, 0, 0, 2, { 1, 1 }, TERN_OK },
	{ COMMAND_SET,
	  COMMAND_KEEP_EXPIRY | COMMAND_EXPIRE_IN,
	  0,
	  0,
	  0,
	  3,
	  { 1, 1, 8 },
	  TERN_ERR_MALFORMED },
	{ COMMAND_SET,
	  COMMAND_EXPIRE_AT | COMMAND_EXPIRE_IN,
	  0,
	  0,
	  0,
	  3,
	  { 1, 1, 8 },
	  TERN_ERR_MALFORMED },
	{ COMMAND_SET, COMMAND_EXPIRE_IN, 0, 0, 0, 3, { 1, 1, 8 }, TERN_OK },
	{ COMMAND_SET,
	  COMMAND_EXPIRE_AT | COMMAND_IF_PRESENT | COMMAND_GET_OLD,
	  0,
	  0,
	  0,
	  3,
	  { 1, 0, 8 },
	  TERN_OK },
	{ COMMAND_SET, COMMAND_EXPIRE_IN, 0, 0, 0, 3, { 1, 1, 7 }, TERN_ERR_MALFORMED },
	{ COMMAND_SET, COMMAND_EXPIRE_IN, 0, 0, 0, 2, { 1, 1 }, TERN_ERR_MALFORMED },
	{ COMMAND_MSET, COMMAND_EXPIRE_IN, 0, 0, 0, 2, { 1, 1 }, TERN_ERR_MALFORMED },
	{ COMMAND_EXPIRE, COMMAND_EXPIRE_IN, 0, 0, 0, 2, { 1, 8 }, TERN_OK },
	{ COMMAND_EXPIRE, COMMAND_EXPIRE_AT | COMMAND_GET_OLD, 0, 0, 0, 2, { 1, 8 }, TERN_OK },
	{ COMMAND_EXPIRE,
	  COMMAND_EXPIRE_AT | COMMAND_IF_LATER | COMMAND_IF_PRESENT,
	  0,
	  0,
	  0,
	  2,
	  { 1, 8 },
	  TERN_OK },
	{ COMMAND_EXPIRE, COMMAND_EXPIRE_AT | COMMAND_IF_ABSENT, 0, 0, 0, 2, { 1, 8 }, TERN_OK },
	{ COMMAND_EXPIRE,
	  COMMAND_EXPIRE_AT | COMMAND_IF_ABSENT | COMMAND_IF_SOONER,
	  0,
	  0,
	  0,
	  2,
	  { 1, 8 },
	  TERN_ERR_MALFORMED },
	{ COMMAND_EXPIRE,
	  COMMAND_EXPIRE_AT | COMMAND_IF_LATER | COMMAND_IF_SOONER,
	  0,
	  0,
	  0,
	  2,
	  { 1, 8 },
	  TERN_ERR_MALFORMED },
	{ COMMAND_EXPIRE,
	  COMMAND_EXPIRE_AT | COMMAND_IF_LATER | COMMAND_GET_OLD,
	  0,
	  0,
	  0,
	  2,
	  { 1, 8 },
	  TERN_ERR_MALFORMED },
	{ COMMAND_EXPIRE,
	  COMMAND_EXPIRE_AT | COMMAND_EXPIRE_IN,
	  0,
	  0,
	  0,
	  2,
	  { 1, 8 },
	  TERN_ERR_MALFORMED },
	{ COMMAND_EXPIRE,
	  COMMAND_EXPIRE_AT | COMMAND_KEEP_EXPIRY,
	  0,
	  0,
	  0,
	  2,
	  { 1, 8 },
	  TERN_ERR_MALFORMED },
	{ COMMAND_EXPIRE, 0, 0, 0, 0, 2, { 1, 8 }, TERN_ERR_MALFORMED },
	{ COMMAND_EXPIRE, COMMAND_EXPIRE_IN, 0, 0, 0, 2, { 0, 8 }, TERN_ERR_MALFORMED },
	{ COMMAND_EXPIRE, COMMAND_EXPIRE_IN, 0, 0, 0, 2, { 1, 4 }, TERN_ERR_MALFORMED },
	{ COMMAND_PERSIST, 0, 0, 0, 0, 1, { 1 }, TERN_OK },
	{ COMMAND_PERSIST, COMMAND_GET_OLD, 0, 0, 0, 1, { 1 }, TERN_OK },
	{ COMMAND_PERSIST, COMMAND_EXPIRE_IN, 0, 0, 0, 1, { 1 }, TERN_ERR_MALFORMED },
	{ COMMAND_EXPIRY, 0, 0, 0, 0, 1, { 1 }, TERN_OK },
	{ COMMAND_EXPIRY, 0, 0, 0, 0, 2, { 1, 1 }, TERN_ERR_MALFORMED },
	{ COMMAND_TICK, 0, 0, 0, 0, 0, { 0 }, TERN_OK },
	{ COMMAND_TICK, 0, 0, 0, 0, 1, { 1 }, TERN_ERR_MALFORMED },
	{ COMMAND_TICK, 0, 5, 1, 0, 0, { 0 }, TERN_ERR_MALFORMED },
	{ COMMAND_SET, COMMAND_IF_ABSENT, 0, 0, 0, 2, { 1, 1 }, TERN_OK },
	{ COMMAND_SET, COMMAND_IF_PRESENT | COMMAND_GET_OLD, 0, 0, 0, 2, { 1, 1 }, TERN_OK },
	{ COMMAND_SET,
	  COMMAND_IF_PRESENT | COMMAND_IF_ABSENT,
	  0,
	  0,
	  0,
	  2,
	  { 1, 1 },
	  TERN_ERR_MALFORMED },
	{ COMMAND_MSET, COMMAND_IF_ABSENT, 0, 0, 0, 2, { 1, 1 }, TERN_OK },
	{ COMMAND_MSET, COMMAND_IF_PRESENT, 0, 0, 0, 2, { 1, 1 }, TERN_ERR_MALFORMED },
	{ COMMAND_DELETE, COMMAND_GET_OLD, 0, 0, 0, 1, { 5 }, TERN_OK },
	{ COMMAND_DELETE, COMMAND_GET_OLD, 0, 0, 0, 2, { 5, 5 }, TERN_ERR_MALFORMED },
	{ COMMAND_ADD, COMMAND_GET_OLD, 0, 0, 0, 2, { 5, 8 }, TERN_ERR_MALFORMED },
	{ COMMAND_APPEND, 0, 0, 0, 0, 2, { 5, 0 }, TERN_OK },
	{ COMMAND_APPEND, 0, 0, 0, 0, 2, { 0, 5 }, TERN_ERR_MALFORMED },
	{ COMMAND_APPEND, 0, 0, 0, 0, 1, { 5 }, TERN_ERR_MALFORMED },
	{ COMMAND_APPEND, COMMAND_GET_OLD, 0, 0, 0, 2, { 5, 5 }, TERN_ERR_MALFORMED },
	{ COMMAND_GET, 0, 0, 0, 0, 1, { 5 }, TERN_OK },
	{ COMMAND_GET, 0, 0, 0, 0, 2, { 5, 5 }, TERN_ERR_MALFORMED },
	{ COMMAND_LENGTH, 0, 0, 0, 0, 1, { 5 }, TERN_OK },
	{ COMMAND_LENGTH, COMMAND_GET_OLD, 0, 0, 0, 1, { 5 }, TERN_ERR_MALFORMED },
	{ COMMAND_EXISTS, 0, 0, 0, 0, 3, { 5, 1, 1024 }, TERN_OK },
	{ COMMAND_EXISTS, 0, 0, 0, 0, 0, { 0 }, TERN_ERR_MALFORMED },
	{ COMMAND_EXISTS, 0, 0, 0, 0, 2, { 5, 0 }, TERN_ERR_MALFORMED },
	{ COMMAND_CHECK, 0, 0, 0, 0, 1, { 5 }, TERN_ERR_MALFORMED }, /* only in a MULTI */
	{ COMMAND_MULTI, 0, 0, 0, 0, 0, { 0 }, TERN_ERR_MALFORMED },
	{ COMMAND_MULTI, 0, 0, 0, 0, 1, { 40 }, TERN_ERR_MALFORMED },
	{ (enum command_op)0, 0, 0, 0, 0, 0, { 0 }, TERN_ERR_VERSION },
	{ (enum command_op)99, 0, 0, 0, 0, 0, { 0 }, TERN_ERR_VERSION },
	{ COMMAND_SET, 0, 0, 1, 0, 2, { 1, 1 }, TERN_ERR_MALFORMED }, /* seq, no session */
	{ COMMAND_SET, 0, 1, 5, 6, 2, { 1, 1 }, TERN_ERR_MALFORMED }, /* window before 0 */
	{ COMMAND_SET, 0, 1, 5, 5, 2, { 1, 1 }, TERN_OK },
	{ COMMAND_MSET, 0, 0, 0, 0, 4, { 1, 0, 2, 100 }, TERN_OK },
	{ COMMAND_MSET, 0, 0, 0, 0, 3, { 1, 0, 2 }, TERN_ERR_MALFORMED },
	{ COMMAND_MSET, 0, 0, 0, 0, 0, { 0 }, TERN_ERR_MALFORMED },
	{ COMMAND_MSET, 0, 0, 0, 0, 4, { 1, 0, 0, 100 }, TERN_ERR_MALFORMED },
	{ COMMAND_DELETE, 0, 0, 0, 0, 1, { 5 }, TERN_OK },
	{ COMMAND_DELETE, 0, 0, 0, 0, 0, { 0 }, TERN_ERR_MALFORMED },
	{ COMMAND_DELETE, 0, 0, 0, 0, 2, { 5, 0 }, TERN_ERR_MALFORMED },
	{ COMMAND_ADD, 0, 0, 0, 0, 2, { 5, 8 }, TERN_OK },
	{ COMMAND_ADD, 0, 0, 0, 0, 2, { 5, 7 }, TERN_ERR_MALFORMED },
	{ COMMAND_ADD, 0, 0, 0, 0, 3, { 5, 8, 8 }, TERN_ERR_MALFORMED },
	{ COMMAND_ADD, COMMAND_HAS_MAX, 0, 0, 0, 3, { 5, 8, 8 }, TERN_OK },
	{ COMMAND_ADD, COMMAND_HAS_MAX, 0, 0, 0, 2, { 5, 8 }, TERN_ERR_MALFORMED },
	{ COMMAND_ADD, 3, 0, 0, 0, 4, { 5, 8, 8, 8 }, TERN_OK },
	{ COMMAND_ADD, 3, 0, 0, 0, 4, { 5, 8, 8, 9 }, TERN_ERR_MALFORMED },
	{ COMMAND_SESSION_OPEN, 0, 0, 0, 0, 0, { 0 }, TERN_OK },
	{ COMMAND_SESSION_OPEN, 0, 1, 0, 0, 0, { 0 }, TERN_ERR_MALFORMED },
	{ COMMAND_SESSION_OPEN, 0, 0, 0, 0, 1, { 1 }, TERN_ERR_MALFORMED },
	{ COMMAND_SESSION_CLOSE, 0, 1, 0, 0, 0, { 0 }, TERN_OK },
	{ COMMAND_SESSION_CLOSE, 0, 0, 0, 0, 0, { 0 }, TERN_ERR_MALFORMED },
};

static uint32_t
shape_write(const struct shape *shape)
{
	static const uint8_t data[2000] = { 'k' };
	struct command_writer writer;
	uint32_t bytes = 0;

	command_begin(&writer, buffer, sizeof(buffer));
	for (uint32_t i = 0; i < shape->arg_count; i++)
		command_add_arg(&writer, data, shape->arg_bytes[i]);
	assert_int_equal(command_end(&writer, shape->op, shape->flags, shape->client_id, shape->seq,
				     shape->open_window, &bytes),
			 TERN_OK);
	return bytes;
}

static void
test_shapes(void **context)
{
	struct command command;
	(void)context;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const uint32_t bytes = shape_write(&shapes[i]);
		assert_int_equal(bytes % 8, 0);
		assert_int_equal(command_bytes_peek(buffer), bytes);
		const enum tern_err err = command_decode(buffer, bytes, &command);
		if (err != shapes[i].err)
			fail_msg("shape %zu: %s", i, tern_err_text(err));
		if (err == TERN_OK) {
			assert_int_equal(command.op, shapes[i].op);
			assert_int_equal(command.args_count, shapes[i].arg_count);
			assert_int_equal(command.bytes, bytes);
		}
	}
}

/* ---- MULTI ---- */

struct part {
	enum command_op op;
	uint8_t flags;
	uint64_t client_id;
	uint32_t arg_count, arg_bytes[3];
};

static enum tern_err
multi_decode(const struct part *parts, uint32_t count)
{
	static const uint8_t data[2000] = { 'k' };
	static uint8_t inner[4096];
	struct command_writer writer, part;
	struct command command;
	uint32_t bytes = 0;

	command_begin(&writer, buffer, sizeof(buffer));
	for (uint32_t i = 0; i < count; i++) {
		command_begin(&part, inner, sizeof(inner));
		for (uint32_t a = 0; a < parts[i].arg_count; a++)
			command_add_arg(&part, data, parts[i].arg_bytes[a]);
		assert_int_equal(command_end(&part, parts[i].op, parts[i].flags, parts[i].client_id,
					     0, 0, &bytes),
				 TERN_OK);
		command_add_arg(&writer, inner, bytes);
	}
	assert_int_equal(command_end(&writer, COMMAND_MULTI, 0, 7, 3, 0, &bytes), TERN_OK);
	return command_decode(buffer, bytes, &command);
}

/* An expiry of SET is a time to come, or a time. */
static void
test_set_expiry(void **context)
{
	static const int64_t times[] = { INT64_MIN, -1, 0, 1, INT64_MAX };
	struct command_writer writer;
	struct command command;
	uint32_t bytes = 0;
	(void)context;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		command_begin(&writer, buffer, sizeof(buffer));
		command_add_arg(&writer, "k", 1);
		command_add_arg(&writer, "v", 1);
		command_add_i64(&writer, times[i]);
		assert_int_equal(
		    command_end(&writer, COMMAND_SET, COMMAND_EXPIRE_IN, 0, 0, 0, &bytes), TERN_OK);
		assert_int_equal(command_decode(buffer, bytes, &command),
				 times[i] < 1 ? TERN_ERR_MALFORMED : TERN_OK);
	}
}

static void
test_multi(void **context)
{
	static const struct {
		struct part parts[3];
		uint32_t count;
		enum tern_err err;
	} cases[] = {
		{ { { COMMAND_SET, 0, 0, 2, { 1, 5 } } }, 1, TERN_OK },
		{ { { COMMAND_CHECK, 0, 0, 1, { 1 } } }, 1, TERN_OK },
		{ { { COMMAND_CHECK, 0, 0, 3, { 1, 8, 8 } },
		    { COMMAND_CHECK, 0, 0, 1, { 1 } },
		    { COMMAND_GET, 0, 0, 1, { 1 } } },
		  3,
		  TERN_OK },
		/* a condition behind a part */
		{ { { COMMAND_GET, 0, 0, 1, { 1 } }, { COMMAND_CHECK, 0, 0, 1, { 1 } } },
		  2,
		  TERN_ERR_MALFORMED },
		{ { { COMMAND_CHECK, 0, 0, 2, { 1, 8 } } }, 1, TERN_ERR_MALFORMED },
		{ { { COMMAND_CHECK, 0, 0, 3, { 1, 8, 4 } } }, 1, TERN_ERR_MALFORMED },
		{ { { COMMAND_CHECK, COMMAND_IF_ABSENT, 0, 1, { 1 } } }, 1, TERN_ERR_MALFORMED },
		/* a part with a session, of a session, of parts; unknown; broken */
		{ { { COMMAND_SET, 0, 7, 2, { 1, 5 } } }, 1, TERN_ERR_MALFORMED },
		{ { { COMMAND_SESSION_OPEN, 0, 0, 0, { 0 } } }, 1, TERN_ERR_MALFORMED },
		{ { { COMMAND_SESSION_CLOSE, 0, 7, 0, { 0 } } }, 1, TERN_ERR_MALFORMED },
		{ { { COMMAND_MULTI, 0, 0, 1, { 48 } } }, 1, TERN_ERR_MALFORMED },
		{ { { COMMAND_TICK, 0, 0, 0, { 0 } } }, 1, TERN_ERR_MALFORMED },
		{ { { COMMAND_EXPIRY, 0, 0, 1, { 1 } } }, 1, TERN_OK },
		{ { { (enum command_op)99, 0, 0, 1, { 1 } } }, 1, TERN_ERR_VERSION },
		{ { { COMMAND_SET, 0, 0, 2, { 1, 5 } }, { COMMAND_SET, 0, 0, 1, { 1 } } },
		  2,
		  TERN_ERR_MALFORMED },
	};
	(void)context;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const enum tern_err err = multi_decode(cases[i].parts, cases[i].count);
		if (err != cases[i].err)
			fail_msg("case %zu: %s", i, tern_err_text(err));
	}
}

/* Arguments that lie encoded already come out as if they had been added one by one. */
static void
test_encoded_arguments(void **context)
{
	static uint8_t one[256], other[256];
	struct command_writer writer;
	uint32_t bytes = 0, other_bytes = 0;
	(void)context;

	command_begin(&writer, one, sizeof(one));
	command_add_arg(&writer, "k", 1);
	command_add_arg(&writer, "value", 5);
	assert_int_equal(command_end(&writer, COMMAND_SET, 0, 0, 0, 0, &bytes), TERN_OK);
	command_begin(&writer, other, sizeof(other));
	command_add_encoded(&writer, one + COMMAND_HDR_BYTES, 5, 1);
	command_add_encoded(&writer, NULL, 0, 0);
	command_add_encoded(&writer, one + COMMAND_HDR_BYTES + 5, 9, 1);
	assert_int_equal(command_end(&writer, COMMAND_SET, 0, 0, 0, 0, &other_bytes), TERN_OK);
	assert_int_equal(bytes, other_bytes);
	assert_memory_equal(one, other, bytes);
	command_begin(&writer, other, 40);
	command_add_encoded(&writer, one + COMMAND_HDR_BYTES, 9, 1);
	assert_int_equal(command_end(&writer, COMMAND_SET, 0, 0, 0, 0, &other_bytes),
			 TERN_ERR_TOO_LARGE);
	command_begin(&writer, other, sizeof(other));
	command_add_encoded(&writer, one, 0, COMMAND_ARGS_MAX + 1);
	assert_int_equal(command_end(&writer, COMMAND_SET, 0, 0, 0, 0, &other_bytes),
			 TERN_ERR_TOO_LARGE);
}

/* ---- lists of replies ---- */

static void
test_reply_list(void **context)
{
	static const struct reply replies[] = {
		{ .kind = REPLY_OK },
		{ .kind = REPLY_INTEGER, .value = -7 },
		{ .kind = REPLY_BOUND, .is_max = true, .value = 1, .delta = 2, .bound = 3 },
		{ .kind = REPLY_BYTES, .bytes = 9, .data = (const uint8_t *)"nine byte" },
		{ .kind = REPLY_BYTES },
		{ .kind = REPLY_NULL },
	};
	const uint32_t count = sizeof(replies) / sizeof(replies[0]);
	struct reply_writer writer = { .out = buffer, .capacity = 6 * REPLY_ITEM_BYTES + 15 };
	struct reply reply;
	(void)context;

	for (uint32_t i = 0; i + 1 < count; i++)
		assert_true(reply_list_add(&writer, &replies[i]));
	assert_false(reply_list_add(&writer, &replies[count - 1]));
	writer.capacity++;
	assert_true(reply_list_add(&writer, &replies[count - 1]));
	assert_int_equal(writer.used, 6 * REPLY_ITEM_BYTES + 16);
	for (uint32_t end = 0; end <= writer.used; end++) {
		struct reply_cursor cursor = { buffer, buffer + end };
		uint32_t i = 0;
		for (; reply_list_next(&cursor, &reply); i++) {
			assert_int_equal(reply.kind, replies[i].kind);
			assert_int_equal(reply.is_max, replies[i].is_max);
			assert_int_equal(reply.value, replies[i].value);
			assert_int_equal(reply.delta, replies[i].delta);
			assert_int_equal(reply.bound, replies[i].bound);
			assert_int_equal(reply.bytes, replies[i].bytes);
			if (reply.bytes != 0)
				assert_memory_equal(reply.data, replies[i].data, reply.bytes);
		}
		if (end == writer.used)
			assert_int_equal(i, count);
	}
	/* Kind, flag, reserved, length, padding. */
	static const struct {
		uint32_t at;
		uint8_t byte;
	} wrong[] = { { 0, 0 }, { 0, REPLY_ARRAY }, { 0, 200 },   { 1, 2 },
		      { 2, 1 }, { 4, 1 },           { 100, 255 }, { 137, 1 } };
	for (size_t w = 0; w < sizeof(wrong) / sizeof(wrong[0]); w++) {
		struct reply_cursor cursor = { buffer, buffer + writer.used };
		const uint8_t kept = buffer[wrong[w].at];
		uint32_t read = 0;
		buffer[wrong[w].at] = wrong[w].byte;
		while (reply_list_next(&cursor, &reply))
			read++;
		assert_in_range(read, 0, 3);
		buffer[wrong[w].at] = kept;
	}
}

static void
test_lengths_and_padding(void **context)
{
	const struct shape shape = { COMMAND_SET, 0, 0, 0, 0, 2, { 3, 2 }, TERN_OK };
	const uint32_t bytes = shape_write(&shape);
	struct command command;
	(void)context;

	/* 32 + 4 + 3 + 4 + 2 = 45, padded to 48 with zeros, which are checked. */
	assert_int_equal(bytes, 48);
	for (uint32_t i = 45; i < 48; i++) {
		buffer[i] = 1;
		assert_int_equal(command_decode(buffer, bytes, &command), TERN_ERR_MALFORMED);
		buffer[i] = 0;
	}
	assert_int_equal(command_decode(buffer, bytes, &command), TERN_OK);
	assert_int_equal(command_decode(buffer, bytes + 8, &command), TERN_ERR_MALFORMED);
	/* Eight bytes more than it needs is another command's encoding, not this one's. */
	memset(buffer + bytes, 0, 8);
	const le32 longer = le32_make(bytes + 8);
	memcpy(buffer, &longer, sizeof(longer));
	assert_int_equal(command_decode(buffer, bytes + 8, &command), TERN_ERR_MALFORMED);
	/* No length of a command at all. */
	for (uint32_t i = 0; i < 200; i++) {
		const le32 le = le32_make(i);
		memcpy(buffer, &le, sizeof(le));
		assert_int_equal(command_bytes_peek(buffer), i >= 32 && i % 8 == 0 ? i : 0);
	}
}

static void
test_writer_limits(void **context)
{
	struct command_writer writer;
	uint32_t bytes = 0;
	(void)context;

	command_begin(&writer, buffer, 40);
	command_add_arg(&writer, "abcd", 4);
	assert_int_equal(command_end(&writer, COMMAND_DELETE, 0, 0, 0, 0, &bytes), TERN_OK);
	assert_int_equal(bytes, 40);
	/* Sticky: a short argument after one that did not fit does not make it whole again. */
	command_begin(&writer, buffer, 48);
	command_add_arg(&writer, "abcdefghijklmnop", 16);
	command_add_arg(&writer, "a", 1);
	assert_int_equal(command_end(&writer, COMMAND_DELETE, 0, 0, 0, 0, &bytes),
			 TERN_ERR_TOO_LARGE);
	/* Padding needs room too. */
	command_begin(&writer, buffer, 39);
	command_add_arg(&writer, "abc", 3);
	assert_int_equal(command_end(&writer, COMMAND_DELETE, 0, 0, 0, 0, &bytes),
			 TERN_ERR_TOO_LARGE);
	command_begin(&writer, buffer, 31);
	assert_int_equal(command_end(&writer, COMMAND_SESSION_OPEN, 0, 0, 0, 0, &bytes),
			 TERN_ERR_TOO_LARGE);
	command_begin(&writer, buffer, sizeof(buffer));
	for (uint32_t i = 0; i < COMMAND_ARGS_MAX; i++)
		command_add_arg(&writer, "k", 1);
	assert_int_equal(command_end(&writer, COMMAND_DELETE, 0, 0, 0, 0, &bytes), TERN_OK);
	struct command command;
	assert_int_equal(command_decode(buffer, bytes, &command), TERN_OK);
	command_add_arg(&writer, "k", 1);
	assert_int_equal(command_end(&writer, COMMAND_DELETE, 0, 0, 0, 0, &bytes),
			 TERN_ERR_TOO_LARGE);
}

/* expect_assert_failure jumps: what lives across it must not be a local that changes. */
static void
check_integer(int64_t value)
{
	struct command_writer writer;
	struct command command;
	struct command_arg arg;
	uint32_t bytes = 0;

	command_begin(&writer, buffer, sizeof(buffer));
	command_add_arg(&writer, "n", 1);
	command_add_i64(&writer, value);
	assert_int_equal(command_end(&writer, COMMAND_ADD, 0, 0, 0, 0, &bytes), TERN_OK);
	assert_int_equal(command_decode(buffer, bytes, &command), TERN_OK);
	const uint8_t *cursor = command.args;
	assert_true(command_arg_next(&command, &cursor, &arg));
	expect_assert_failure(command_arg_i64(arg));
	assert_true(command_arg_next(&command, &cursor, &arg));
	assert_int_equal(command_arg_i64(arg), value);
	assert_false(command_arg_next(&command, &cursor, &arg));
}

static void
test_integers(void **context)
{
	static const int64_t values[] = { 0, 1, -1, INT64_MAX, INT64_MIN };
	(void)context;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		check_integer(values[i]);
}

/* What is of use without its result. */
static void
test_async(void **context)
{
	static const struct {
		enum command_op op;
		uint8_t flags;
		bool fits;
	} cases[] = {
		{ COMMAND_SET, 0, true },
		{ COMMAND_SET, COMMAND_EXPIRE_IN, true },
		{ COMMAND_SET, COMMAND_KEEP_EXPIRY, true },
		{ COMMAND_SET, COMMAND_IF_ABSENT, false },
		{ COMMAND_SET, COMMAND_IF_PRESENT, false },
		{ COMMAND_SET, COMMAND_GET_OLD, false },
		{ COMMAND_MSET, 0, true },
		{ COMMAND_MSET, COMMAND_IF_ABSENT, false },
		{ COMMAND_DELETE, 0, true },
		{ COMMAND_DELETE, COMMAND_GET_OLD, false },
		{ COMMAND_ADD, 0, true },
		{ COMMAND_ADD, COMMAND_HAS_MIN, false },
		{ COMMAND_ADD, COMMAND_HAS_MAX, false },
		{ COMMAND_APPEND, 0, true },
		{ COMMAND_EXPIRE, COMMAND_EXPIRE_AT, true },
		{ COMMAND_EXPIRE, COMMAND_EXPIRE_IN | COMMAND_IF_LATER, false },
		{ COMMAND_PERSIST, 0, true },
		{ COMMAND_SESSION_OPEN, 0, false },
		{ COMMAND_SESSION_CLOSE, 0, false },
		{ COMMAND_MULTI, 0, false },
		{ COMMAND_GET, 0, false },
		{ COMMAND_TICK, 0, false },
	};
	(void)context;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct command command = { .op = cases[i].op, .flags = cases[i].flags };
		assert_int_equal(command_fits_async(&command), cases[i].fits);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),        cmocka_unit_test(test_multi),
		cmocka_unit_test(test_set_expiry),    cmocka_unit_test(test_encoded_arguments),
		cmocka_unit_test(test_reply_list),    cmocka_unit_test(test_lengths_and_padding),
		cmocka_unit_test(test_writer_limits), cmocka_unit_test(test_integers),
		cmocka_unit_test(test_async),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
