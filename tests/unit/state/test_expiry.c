/* SPDX-License-Identifier: Apache-2.0 */
/* Expiry: by the time of blocks, the same on every machine, and what it leaves behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/state/machine.h"

#define CAPACITY (1u << 20)
#define SECOND   1000000000ll

static struct machine *
start(void)
{
	static struct machine machine;

	machine_start(&machine, &(struct machine_options){ 8u << 20, CAPACITY, 1, 16, 0 });
	machine.time_ns = 1000 * (uint64_t)SECOND;
	return &machine;
}

static struct reply
timed(struct machine *m, enum command_op op, uint8_t flags, const char *key, const char *value,
      int64_t time)
{
	const le64 le = le64_make((uint64_t)time);
	struct command_arg args[3] = { machine_text(key) };
	uint32_t count = 1;

	if (value != NULL)
		args[count++] = machine_text(value);
	args[count++] = (struct command_arg){ le.bytes, 8 };
	return machine_apply(m, op, flags, 0, 0, 0, args, count);
}

static struct reply
set_in(struct machine *m, const char *key, const char *value, int64_t in_ns)
{
	return timed(m, COMMAND_SET, COMMAND_EXPIRE_IN, key, value, in_ns);
}

static struct reply
expire(struct machine *m, uint8_t flags, const char *key, int64_t time)
{
	return timed(m, COMMAND_EXPIRE, flags, key, NULL, time);
}

static struct reply
one_key(struct machine *m, enum command_op op, uint8_t flags, const char *key)
{
	const struct command_arg args[] = { machine_text(key) };

	return machine_apply(m, op, flags, 0, 0, 0, args, 1);
}

/* The expiry relative to the time of the block; 0: none; -1: no key. */
static int64_t
left(struct machine *m, const char *key)
{
	const struct reply reply = one_key(m, COMMAND_EXPIRY, 0, key);

	if (reply.kind == REPLY_NULL)
		return -1;
	assert_int_equal(reply.kind, REPLY_EXPIRY);
	assert_int_equal(reply.delta, m->time_ns);
	return reply.value == 0 ? 0 : reply.value - reply.delta;
}

static struct reply
tick(struct machine *m)
{
	return machine_apply(m, COMMAND_TICK, 0, 0, 0, 0, NULL, 0);
}

static void
test_absent_from_its_time_on(void **context)
{
	struct machine *m = start();
	char text[64];
	(void)context;

	set_in(m, "k", "v", 5 * SECOND);
	set_in(m, "n", "7", 5 * SECOND);
	machine_set(m, "for ever", "v");
	assert_int_equal(left(m, "k"), 5 * SECOND);
	assert_int_equal(left(m, "for ever"), 0);
	assert_int_equal(left(m, "none"), -1);
	machine_block(m);
	machine_check_hash(m);
	assert_int_equal(machine_get(m, "k", text).expires_ns, m->time_ns + 5 * SECOND);
	assert_int_equal(state_stats(m->state).expiries, 2);
	assert_int_equal(state_expiry_next_ns(m->state), m->time_ns + 5 * SECOND);
	/* One ns before; an integer keeps its expiry. */
	m->time_ns += 5 * SECOND - 1;
	assert_int_equal(machine_add(m, "n", 1).value, 8);
	assert_int_equal(left(m, "k"), 1);
	assert_int_equal(left(m, "n"), 1);
	machine_block(m);
	assert_int_equal(machine_get(m, "k", text).type, STATE_BYTES);
	/* And at it. The view is of a block with a command, whatever that does. */
	m->time_ns += 1;
	machine_set(m, "other", "v");
	machine_block(m);
	machine_check_hash(m);
	assert_int_equal(machine_get(m, "k", text).type, STATE_NONE);
	assert_int_equal(machine_get(m, "n", text).type, STATE_NONE);
	assert_int_equal(left(m, "k"), -1);
	assert_int_equal(machine_add(m, "n", 1).value, 1);
	assert_int_equal(left(m, "n"), 0);
	machine_block(m);
	machine_check_hash(m);
	assert_int_equal(state_stats(m->state).keys, 3);
	assert_int_equal(state_stats(m->state).expiries, 0);
	assert_int_equal(state_stats(m->state).expired, 2);
	assert_int_equal(state_expiry_next_ns(m->state), UINT64_MAX);
	machine_stop(m);
}

/* Expired keys are absent for every operation, though nothing has removed them yet. */
static void
test_absent_for_every_operation(void **context)
{
	struct machine *m = start();
	char name[24];
	(void)context;

	/* More than one command removes by itself, and these come before "k". */
	for (int i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "before%d", i);
		set_in(m, name, "v", SECOND);
	}
	const struct {
		enum command_op op;
		uint8_t flags;
		const char *value;
		enum reply_kind kind;
		int64_t integer;
	} cases[] = {
		{ COMMAND_SET, COMMAND_IF_PRESENT, "w", REPLY_NULL, 0 },
		{ COMMAND_SET, COMMAND_IF_ABSENT, "w", REPLY_OK, 0 },
		{ COMMAND_SET, COMMAND_GET_OLD, "w", REPLY_NULL, 0 },
		{ COMMAND_SET, COMMAND_KEEP_EXPIRY, "w", REPLY_OK, 0 },
		{ COMMAND_MSET, COMMAND_IF_ABSENT, "w", REPLY_INTEGER, 1 },
		{ COMMAND_APPEND, 0, "w", REPLY_INTEGER, 1 },
		{ COMMAND_DELETE, 0, NULL, REPLY_INTEGER, 0 },
		{ COMMAND_DELETE, COMMAND_GET_OLD, NULL, REPLY_NULL, 0 },
		{ COMMAND_GET, 0, NULL, REPLY_NULL, 0 },
		{ COMMAND_EXISTS, 0, NULL, REPLY_INTEGER, 0 },
		{ COMMAND_LENGTH, 0, NULL, REPLY_INTEGER, 0 },
		{ COMMAND_PERSIST, 0, NULL, REPLY_INTEGER, 0 },
		{ COMMAND_EXPIRY, 0, NULL, REPLY_NULL, 0 },
	};
	const size_t count = sizeof(cases) / sizeof(cases[0]);
	for (size_t i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "k%zu", i);
		set_in(m, name, "value", 2 * SECOND);
	}
	machine_block(m);
	m->time_ns += 3 * (uint64_t)SECOND;
	for (size_t i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "k%zu", i);
		const struct command_arg args[] = {
			machine_text(name),
			machine_text(cases[i].value == NULL ? "" : cases[i].value)
		};
		const struct reply reply = machine_apply(m, cases[i].op, cases[i].flags, 0, 0, 0,
							 args, cases[i].value == NULL ? 1 : 2);
		if (reply.kind != cases[i].kind || reply.value != cases[i].integer)
			fail_msg("case %zu: kind %d, %lld", i, reply.kind, (long long)reply.value);
		if (cases[i].value != NULL && reply.kind != REPLY_NULL)
			assert_int_equal(left(m, name), 0);
	}
	machine_block(m);
	machine_check_hash(m);
	machine_stop(m);
}

static void
test_expire_and_persist(void **context)
{
	struct machine *m = start();
	const uint8_t in = COMMAND_EXPIRE_IN, at = COMMAND_EXPIRE_AT;
	(void)context;

	assert_int_equal(expire(m, in, "k", SECOND).value, 0);
	assert_int_equal(one_key(m, COMMAND_PERSIST, 0, "k").value, 0);
	machine_set(m, "k", "value");
	assert_int_equal(one_key(m, COMMAND_PERSIST, 0, "k").value, 0);
	assert_int_equal(expire(m, in, "k", 10).value, 1);
	assert_int_equal(left(m, "k"), 10);
	assert_int_equal(expire(m, at, "k", (int64_t)m->time_ns + 20).value, 1);
	assert_int_equal(left(m, "k"), 20);
	assert_int_equal(one_key(m, COMMAND_PERSIST, 0, "k").value, 1);
	assert_int_equal(left(m, "k"), 0);
	/* Conditions; none is later than any. */
	const struct {
		uint8_t flags;
		int64_t before, in;
		int64_t reply;
	} cases[] = {
		{ COMMAND_IF_ABSENT, 0, 10, 1 },
		{ COMMAND_IF_ABSENT, 10, 20, 0 },
		{ COMMAND_IF_PRESENT, 0, 10, 0 },
		{ COMMAND_IF_PRESENT, 10, 20, 1 },
		{ COMMAND_IF_LATER, 0, 10, 0 },
		{ COMMAND_IF_LATER, 10, 20, 1 },
		{ COMMAND_IF_LATER, 10, 10, 0 },
		{ COMMAND_IF_LATER, 10, 5, 0 },
		{ COMMAND_IF_SOONER, 0, 10, 1 },
		{ COMMAND_IF_SOONER, 10, 20, 0 },
		{ COMMAND_IF_SOONER, 10, 10, 0 },
		{ COMMAND_IF_SOONER, 10, 5, 1 },
		{ COMMAND_IF_SOONER | COMMAND_IF_PRESENT, 0, 5, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].before == 0)
			machine_set(m, "c", "value");
		else
			set_in(m, "c", "value", cases[i].before);
		const struct reply reply = expire(m, in | cases[i].flags, "c", cases[i].in);
		if (reply.value != cases[i].reply)
			fail_msg("case %zu: %lld", i, (long long)reply.value);
		assert_int_equal(left(m, "c"), reply.value == 1 ? cases[i].in : cases[i].before);
	}
	/* A time that has passed deletes; a relative one may be far away. */
	assert_int_equal(expire(m, in, "k", 0).value, 1);
	assert_int_equal(left(m, "k"), -1);
	machine_set(m, "k", "1");
	assert_int_equal(expire(m, at, "k", (int64_t)m->time_ns).value, 1);
	assert_int_equal(left(m, "k"), -1);
	machine_set(m, "k", "1");
	assert_int_equal(expire(m, in, "k", INT64_MAX).value, 1);
	assert_int_equal(left(m, "k"), INT64_MAX - (int64_t)m->time_ns);
	assert_int_equal(expire(m, in, "k", INT64_MIN).value, 1);
	assert_int_equal(left(m, "k"), -1);
	assert_int_equal(timed(m, COMMAND_SET, at, "k", "v", 1).kind, REPLY_OK);
	assert_int_equal(left(m, "k"), -1);
	machine_block(m);
	machine_check_hash(m);
	machine_stop(m);
}

/* What SET and its kind do with an expiry. */
static void
test_kept_or_dropped(void **context)
{
	struct machine *m = start();
	(void)context;

	set_in(m, "k", "1", 30);
	timed(m, COMMAND_SET, COMMAND_KEEP_EXPIRY, "k", NULL, 2);
	assert_int_equal(left(m, "k"), 30);
	const struct command_arg append[] = { machine_text("k"), machine_text("2") };
	machine_apply(m, COMMAND_APPEND, 0, 0, 0, 0, append, 2);
	assert_int_equal(left(m, "k"), 30);
	machine_apply(m, COMMAND_MSET, 0, 0, 0, 0, append, 2);
	assert_int_equal(left(m, "k"), 0);
	set_in(m, "k", "1", 30);
	machine_set(m, "k", "1");
	assert_int_equal(left(m, "k"), 0);
	machine_block(m);
	machine_check_hash(m);
	machine_stop(m);
}

/* The value comes with the change of its expiry: GETEX. */
static void
test_old_values(void **context)
{
	struct machine *m = start();
	const uint8_t get_in = COMMAND_EXPIRE_IN | COMMAND_GET_OLD;
	static char value[1001];
	(void)context;

	memset(value, 'v', 1000);
	for (uint32_t bytes = 1; bytes <= 1000; bytes *= 10) {
		char text[1001];
		(void)snprintf(text, sizeof(text), "%.*s", (int)bytes, value);
		machine_set(m, "k", text);
		for (int round = 0; round < 3; round++) {
			struct reply reply = expire(m, get_in, "k", 10 + round);
			assert_int_equal(reply.kind, REPLY_BYTES);
			assert_int_equal(reply.bytes, bytes);
			assert_memory_equal(reply.data, text, bytes);
			assert_int_equal(left(m, "k"), 10 + round);
			if (round == 1)
				machine_block(m);
		}
		struct reply reply = one_key(m, COMMAND_PERSIST, COMMAND_GET_OLD, "k");
		assert_int_equal(reply.bytes, bytes);
		assert_memory_equal(reply.data, text, bytes);
		reply = expire(m, get_in, "k", -5);
		assert_memory_equal(reply.data, text, bytes);
		assert_int_equal(left(m, "k"), -1);
		machine_block(m);
		machine_check_hash(m);
	}
	assert_int_equal(expire(m, get_in, "k", 10).kind, REPLY_NULL);
	machine_add(m, "n", 5);
	assert_int_equal(expire(m, get_in, "n", 10).kind, REPLY_DECIMAL);
	machine_stop(m);
}

/* A short command makes no long version: thousands of them on a long value in one block. Every
 * version is given back, and the bytes stay while a view sees them. */
static void
test_long_values_are_shared(void **context)
{
	struct machine *m = start();
	static char value[200001];
	char small[64];
	(void)context;

	memset(value, 'v', 200000);
	machine_set(m, "k", value);
	machine_set(m, "small", "1");
	machine_block(m);
	(void)state_read_begin(m->reader);
	const struct state_value seen = state_read_get(m->reader, "k", 1);
	const uint64_t used = state_stats(m->state).arena_used_bytes;
	for (int block = 0; block < 4; block++) {
		for (int i = 0; i < 2000; i++) {
			assert_int_equal(expire(m, COMMAND_EXPIRE_IN, "k", SECOND + i).value, 1);
			if (i % 3 == 0)
				assert_int_equal(one_key(m, COMMAND_PERSIST, 0, "k").value, 1);
		}
		assert_int_equal(one_key(m, COMMAND_LENGTH, 0, "k").value, 200000);
		machine_block(m);
	}
	assert_in_range(state_stats(m->state).arena_used_bytes, used, used + 4 * 700 * 192 + 4096);
	assert_int_equal(seen.bytes, 200000);
	assert_memory_equal(seen.data, value, 200000);
	state_read_end(m->reader);
	for (int i = 0; i < 40; i++) {
		machine_set(m, "small", "2");
		machine_block(m);
	}
	machine_check_hash(m);
	/* One version of each key is left, and its shared bytes. */
	assert_int_equal(state_stats(m->state).versions_live, 3);
	(void)state_read_begin(m->reader);
	const struct state_value again = state_read_get(m->reader, "k", 1);
	assert_int_equal(again.bytes, 200000);
	assert_memory_equal(again.data, value, 200000);
	state_read_end(m->reader);
	/* Gone with its time, and written over. */
	set_in(m, "j", value, SECOND);
	expire(m, COMMAND_EXPIRE_IN, "j", 2 * SECOND);
	machine_block(m);
	expire(m, COMMAND_EXPIRE_IN, "j", 3 * SECOND);
	machine_block(m);
	machine_set(m, "k", "short");
	m->time_ns += 10 * (uint64_t)SECOND;
	tick(m);
	machine_block(m);
	for (int i = 0; i < 40; i++) {
		machine_set(m, "small", "2");
		machine_block(m);
		(void)state_grace_period(m->state);
	}
	machine_check_hash(m);
	assert_int_equal(state_stats(m->state).versions_live, 2);
	assert_in_range(state_stats(m->state).arena_used_bytes, 1, 4096);
	assert_int_equal(machine_get(m, "k", small).type, STATE_BYTES);
	machine_stop(m);
}

/* Order, burst and bound of removal, without a look at the keys. */
static void
test_removal(void **context)
{
	struct machine *m = start();
	char name[16];
	(void)context;

	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "k%04d", i);
		/* Two share each time: then the key decides. */
		assert_int_equal(set_in(m, name, "", SECOND + i / 2).kind, REPLY_OK);
		if (i % 500 == 499)
			machine_block(m);
	}
	assert_int_equal(state_stats(m->state).expiries, 5000);
	m->time_ns += SECOND + 10; /* the first 22 */
	machine_set(m, "other", "v");
	assert_int_equal(state_stats(m->state).expiries, 5000 - 8);
	machine_block(m);
	machine_check_hash(m);
	assert_int_equal(state_expiry_next_ns(m->state), 1001 * SECOND + 4);
	assert_int_equal(state_stats(m->state).keys, 5001 - 8);
	assert_int_equal(tick(m).value, 14 - 8); /* 8 went before it was executed */
	assert_int_equal(tick(m).value, 0);
	machine_block(m);
	assert_int_equal(state_expiry_next_ns(m->state), 1001 * SECOND + 11);
	/* No more than 4096 in a block. */
	m->time_ns += (uint64_t)SECOND;
	assert_int_equal(tick(m).value, 4096 - 8);
	machine_set(m, "other", "v");
	assert_int_equal(tick(m).value, 0);
	assert_int_equal(state_stats(m->state).expiries, 5000 - 22 - 4096);
	machine_block(m);
	machine_check_hash(m);
	tick(m);
	machine_block(m);
	assert_int_equal(state_stats(m->state).expiries, 0);
	assert_int_equal(state_stats(m->state).keys, 1);
	machine_check_hash(m);
	machine_stop(m);
}

/* Expiries are charged: an EXPIRE may be over the capacity, and what has expired makes room. */
static void
test_capacity(void **context)
{
	struct machine *m = start();
	static char value[60001];
	char name[16];
	(void)context;

	memset(value, 'x', 60000);
	for (int i = 0; i < 17; i++) {
		(void)snprintf(name, sizeof(name), "k%d", i);
		assert_int_equal(machine_set(m, name, value).kind, REPLY_OK);
	}
	uint64_t logical = state_stats(m->state).logical_bytes;
	assert_int_equal(expire(m, COMMAND_EXPIRE_IN, "k0", 10).value, 1);
	assert_int_equal(state_stats(m->state).logical_bytes, logical + 64 + 2);
	assert_int_equal(one_key(m, COMMAND_PERSIST, 0, "k0").value, 1);
	assert_int_equal(state_stats(m->state).logical_bytes, logical);
	expire(m, COMMAND_EXPIRE_IN, "k0", 10);
	char fill[30000];
	logical = state_stats(m->state).logical_bytes;
	(void)snprintf(fill, sizeof(fill), "%.*s", (int)(CAPACITY - logical - 112 - 4 - 20), value);
	assert_int_equal(machine_set(m, "fill", fill).kind, REPLY_OK);
	assert_int_equal(expire(m, COMMAND_EXPIRE_IN, "k1", 10).kind, REPLY_OUT_OF_MEMORY);
	assert_int_equal(expire(m, COMMAND_EXPIRE_IN, "k0", 20).value, 1);
	assert_int_equal(machine_set(m, "more", value).kind, REPLY_OUT_OF_MEMORY);
	machine_block(m);
	m->time_ns += 20;
	assert_int_equal(machine_set(m, "more", value).kind, REPLY_OK);
	machine_block(m);
	machine_check_hash(m);
	machine_stop(m);
}

/* An older view sees what was there then, whatever has expired since. */
static void
test_older_views(void **context)
{
	struct machine *m = start();
	(void)context;

	set_in(m, "k", "v", SECOND);
	machine_block(m);
	(void)state_read_begin(m->reader);
	const uint64_t time_ns = state_read_time_ns(m->reader);
	assert_int_equal(time_ns, m->time_ns);
	m->time_ns += 2 * (uint64_t)SECOND;
	tick(m);
	machine_block(m);
	assert_int_equal(state_read_get(m->reader, "k", 1).type, STATE_BYTES);
	assert_int_equal(state_read_expiry_count(m->reader), 1);
	state_read_end(m->reader);
	(void)state_read_begin(m->reader);
	assert_int_equal(state_read_get(m->reader, "k", 1).type, STATE_NONE);
	assert_int_equal(state_read_expiry_count(m->reader), 0);
	assert_int_equal(state_read_time_ns(m->reader), m->time_ns);
	state_read_end(m->reader);
	machine_stop(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absent_from_its_time_on),
		cmocka_unit_test(test_absent_for_every_operation),
		cmocka_unit_test(test_expire_and_persist),
		cmocka_unit_test(test_kept_or_dropped),
		cmocka_unit_test(test_old_values),
		cmocka_unit_test(test_long_values_are_shared),
		cmocka_unit_test(test_removal),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_older_views),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
