/* SPDX-License-Identifier: Apache-2.0 */
/* Random commands against a naive map, on two machines with different seeds and arenas. After every
 * block: replies, hashes, scans and every key are equal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/prng.h"
#include "dataplane/wire/reply.h"
#include "tests/unit/state/machine.h"

#define KEYS     300u
#define SESSIONS 6u
#define BLOCKS   400u

struct model_key {
	enum state_type type;
	char text[64];
	int64_t integer;
	uint64_t expires_ns; /* 0: never */
};

struct model {
	struct model_key keys[KEYS];
	struct {
		uint64_t id, seq;
	} sessions[SESSIONS];
	struct prng prng;
	struct machine machines[2];
};

static void
key_name(uint32_t k, char *name)
{
	/* Lengths differ, and one may be the start of another. */
	(void)snprintf(name, 64, "%.*s%u", (int)(k % 7), "prefix-", k);
}

/* What a command at the time of the block finds. */
static struct model_key *
key_now(struct model *model, uint32_t k)
{
	struct model_key *key = &model->keys[k];

	if (key->expires_ns != 0 && key->expires_ns <= model->machines[0].time_ns)
		*key = (struct model_key){ .type = STATE_NONE };
	return key;
}

static struct reply
both(struct model *model, enum command_op op, uint8_t flags, uint64_t client_id, uint64_t seq,
     const struct command_arg *args, uint32_t count)
{
	const uint16_t window = (uint16_t)(seq > 20 ? 20 : seq == 0 ? 0 : seq - 1);
	const struct reply a =
	    machine_apply(&model->machines[0], op, flags, client_id, seq, window, args, count);
	const struct reply b =
	    machine_apply(&model->machines[1], op, flags, client_id, seq, window, args, count);

	assert_int_equal(a.kind, b.kind);
	assert_int_equal(a.value, b.value);
	assert_int_equal(a.delta, b.delta);
	assert_int_equal(a.bound, b.bound);
	assert_int_equal(a.is_max, b.is_max);
	assert_int_equal(a.is_repeat, b.is_repeat);
	assert_int_equal(a.bytes, b.bytes);
	if (a.bytes != 0)
		assert_memory_equal(a.data, b.data, a.bytes);
	return a;
}

static bool
model_integer(const struct model_key *key, int64_t *integer)
{
	char canonical[32], *end = NULL;

	*integer = key->type == STATE_INTEGER ? key->integer : 0;
	if (key->type != STATE_BYTES)
		return true;
	*integer = strtoll(key->text, &end, 10);
	(void)snprintf(canonical, sizeof(canonical), "%lld", (long long)*integer);
	return strcmp(canonical, key->text) == 0;
}

static void
model_set(struct model *model, uint64_t client_id, uint64_t seq)
{
	const uint32_t pairs = (uint32_t)prng_between(&model->prng, 1, 4);
	struct command_arg args[8];
	char names[4][64], texts[4][64];
	uint32_t keys[4];

	for (uint32_t i = 0; i < pairs; i++) {
		keys[i] = (uint32_t)prng_below(&model->prng, KEYS);
		key_name(keys[i], names[i]);
		if (prng_below(&model->prng, 2) == 0)
			(void)snprintf(texts[i], 64, "%d",
				       (int)prng_below(&model->prng, 2000) - 1000);
		else
			(void)snprintf(texts[i], 64, "%.*s", (int)prng_below(&model->prng, 40),
				       "the quick brown fox jumps over the lazy dog");
		args[2 * i] = machine_text(names[i]);
		args[2 * i + 1] = machine_text(texts[i]);
	}
	const struct reply reply = both(model, pairs == 1 ? COMMAND_SET : COMMAND_MSET, 0,
					client_id, seq, args, 2 * pairs);
	assert_int_equal(reply.kind, REPLY_OK);
	for (uint32_t i = 0; i < pairs; i++) {
		model->keys[keys[i]].type = STATE_BYTES;
		model->keys[keys[i]].expires_ns = 0;
		memcpy(model->keys[keys[i]].text, texts[i], 64);
	}
}

static void
model_delete(struct model *model, uint64_t client_id, uint64_t seq)
{
	const uint32_t count = (uint32_t)prng_between(&model->prng, 1, 5);
	struct command_arg args[5];
	char names[5][64];
	int64_t deleted = 0;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t k = (uint32_t)prng_below(&model->prng, KEYS);
		key_name(k, names[i]);
		args[i] = machine_text(names[i]);
		deleted += key_now(model, k)->type != STATE_NONE;
		model->keys[k] = (struct model_key){ .type = STATE_NONE };
	}
	const struct reply reply = both(model, COMMAND_DELETE, 0, client_id, seq, args, count);
	assert_int_equal(reply.kind, REPLY_INTEGER);
	assert_int_equal(reply.value, deleted);
}

static void
model_add(struct model *model, uint64_t client_id, uint64_t seq)
{
	const uint32_t k = (uint32_t)prng_below(&model->prng, KEYS);
	const int64_t delta = (int64_t)prng_below(&model->prng, 200) - 100;
	const uint8_t flags = (uint8_t)prng_below(&model->prng, 4);
	const int64_t min = -50, max = 700;
	const le64 encoded[3] = { le64_make((uint64_t)delta), le64_make((uint64_t)min),
				  le64_make((uint64_t)max) };
	struct command_arg args[4];
	char name[64];
	uint32_t count = 2;
	int64_t before = 0;

	key_name(k, name);
	args[0] = machine_text(name);
	args[1] = (struct command_arg){ encoded[0].bytes, 8 };
	if ((flags & COMMAND_HAS_MIN) != 0)
		args[count++] = (struct command_arg){ encoded[1].bytes, 8 };
	if ((flags & COMMAND_HAS_MAX) != 0)
		args[count++] = (struct command_arg){ encoded[2].bytes, 8 };
	const bool is_integer = model_integer(key_now(model, k), &before);
	const struct reply reply = both(model, COMMAND_ADD, flags, client_id, seq, args, count);
	if (!is_integer) {
		assert_int_equal(reply.kind, REPLY_NOT_INTEGER);
	} else if (((flags & COMMAND_HAS_MIN) != 0 && before + delta < min) ||
		   ((flags & COMMAND_HAS_MAX) != 0 && before + delta > max)) {
		assert_int_equal(reply.kind, REPLY_BOUND);
		assert_int_equal(reply.value, before);
	} else {
		assert_int_equal(reply.kind, REPLY_INTEGER);
		assert_int_equal(reply.value, before + delta);
		model->keys[k].type = STATE_INTEGER;
		model->keys[k].integer = before + delta;
	}
}

/* SET with an expiry, EXPIRE, PERSIST; some times have passed when they come. */
static void
model_expire(struct model *model, uint64_t client_id, uint64_t seq)
{
	const uint64_t now_ns = model->machines[0].time_ns;
	const uint32_t k = (uint32_t)prng_below(&model->prng, KEYS);
	const int64_t in = (int64_t)prng_below(&model->prng, 8000) - 1000;
	struct model_key *key = key_now(model, k);
	const bool was_there = key->type != STATE_NONE, did_expire = key->expires_ns != 0;
	const le64 le = le64_make((uint64_t)(in > 0 ? in : 1)), any = le64_make((uint64_t)in);
	char name[64];
	struct reply reply;

	key_name(k, name);
	const struct command_arg set[] = { machine_text(name),
					   machine_text("mortal"),
					   { le.bytes, 8 } };
	const struct command_arg expire[] = { machine_text(name), { any.bytes, 8 } };
	switch (prng_below(&model->prng, 3)) {
	case 0:
		reply = both(model, COMMAND_SET, COMMAND_EXPIRE_IN, client_id, seq, set, 3);
		assert_int_equal(reply.kind, REPLY_OK);
		*key = (struct model_key){ .type = STATE_BYTES,
					   .text = "mortal",
					   .expires_ns = now_ns + (uint64_t)(in > 0 ? in : 1) };
		return;
	case 1:
		reply = both(model, COMMAND_EXPIRE, COMMAND_EXPIRE_IN, client_id, seq, expire, 2);
		assert_int_equal(reply.value, was_there);
		if (was_there && in <= 0)
			*key = (struct model_key){ .type = STATE_NONE };
		else if (was_there)
			key->expires_ns = now_ns + (uint64_t)in;
		return;
	default:
		reply = both(model, COMMAND_PERSIST, 0, client_id, seq, set, 1);
		assert_int_equal(reply.value, was_there && did_expire);
		key->expires_ns = 0;
		return;
	}
}

static struct command_arg
part(uint8_t *out, enum command_op op, const char *key, const char *value)
{
	struct command_writer writer;
	uint32_t bytes = 0;

	command_begin(&writer, out, 256);
	command_add_arg(&writer, key, (uint32_t)strlen(key));
	if (value != NULL)
		command_add_arg(&writer, value, (uint32_t)strlen(value));
	assert_int_equal(command_end(&writer, op, 0, 0, 0, 0, &bytes), TERN_OK);
	return (struct command_arg){ out, bytes };
}

/* If one key is absent, another one is counted, deleted, and a third one is set and read. */
static void
model_multi(struct model *model, uint64_t client_id, uint64_t seq)
{
	uint8_t parts[5][256];
	char names[3][64];
	uint32_t keys[3];

	for (uint32_t i = 0; i < 3; i++) {
		keys[i] = (uint32_t)prng_below(&model->prng, KEYS);
		key_name(keys[i], names[i]);
	}
	const struct command_arg args[] = {
		part(parts[0], COMMAND_CHECK, names[0], NULL),
		part(parts[1], COMMAND_EXISTS, names[1], NULL),
		part(parts[2], COMMAND_DELETE, names[1], NULL),
		part(parts[3], COMMAND_SET, names[2], "in a transaction"),
		part(parts[4], COMMAND_GET, names[2], NULL),
	};
	const bool is_conflict = key_now(model, keys[0])->type != STATE_NONE;
	const bool was_there = key_now(model, keys[1])->type != STATE_NONE;
	const struct reply reply = both(model, COMMAND_MULTI, 0, client_id, seq, args, 5);
	assert_int_equal(reply.kind, is_conflict ? REPLY_CONFLICT : REPLY_ARRAY);
	if (is_conflict)
		return;
	struct reply_cursor cursor = { reply.data, reply.data + reply.bytes };
	struct reply one;
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(reply_list_next(&cursor, &one));
		if (i < 2)
			assert_int_equal(one.value, was_there);
	}
	assert_int_equal(one.bytes, strlen("in a transaction"));
	model->keys[keys[1]] = (struct model_key){ .type = STATE_NONE };
	model->keys[keys[2]] =
	    (struct model_key){ .type = STATE_BYTES, .text = "in a transaction" };
}

static void
model_session(struct model *model)
{
	const uint64_t s = prng_below(&model->prng, SESSIONS);
	const uint64_t id = model->sessions[s].id;

	if (id != 0)
		assert_int_equal(both(model, COMMAND_SESSION_CLOSE, 0, id, 0, NULL, 0).kind,
				 REPLY_OK);
	const struct reply reply = both(model, COMMAND_SESSION_OPEN, 0, 0, 0, NULL, 0);
	assert_int_equal(reply.kind, REPLY_SESSION);
	model->sessions[s].id = (uint64_t)reply.value;
	model->sessions[s].seq = 0;
	if (id != 0)
		assert_int_equal(both(model, COMMAND_DELETE, 0, id, 1,
				      &(struct command_arg){ (const uint8_t *)"x", 1 }, 1)
				     .kind,
				 REPLY_SESSION_UNKNOWN);
}

static void
model_command(struct model *model)
{
	const uint64_t s = prng_below(&model->prng, SESSIONS);
	uint64_t id = 0, seq = 0;

	if (prng_below(&model->prng, 2) == 0 && model->sessions[s].id != 0) {
		id = model->sessions[s].id;
		seq = ++model->sessions[s].seq;
		/* A repeat of an earlier one, whatever it says, does nothing. */
		if (seq > 1 && prng_below(&model->prng, 4) == 0) {
			const struct command_arg args[] = { machine_text("prefix6"),
							    machine_text("never") };
			const uint64_t old =
			    seq - 1 - prng_below(&model->prng, seq < 20 ? seq - 1 : 18);
			assert_true(both(model, COMMAND_SET, 0, id, old, args, 2).is_repeat);
		}
	}
	switch (prng_below(&model->prng, 24)) {
	case 20:
	case 21:
	case 22:
		model_expire(model, id, seq);
		break;
	case 23:
		model_multi(model, id, seq);
		break;
	case 0:
		if (id != 0)
			model->sessions[s].seq--;
		model_session(model);
		break;
	case 1:
	case 2:
	case 3:
	case 4:
		model_delete(model, id, seq);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		model_set(model, id, seq);
		break;
	default:
		model_add(model, id, seq);
		break;
	}
}

/* Whether it is there at @view_ns: the time of the last command, which need not have come in the
 * newest block. */
static bool
check_key(struct machine *m, const struct model_key *key, const char *name, uint64_t view_ns)
{
	char text[64];
	const struct state_value value = machine_get(m, name, text);
	const bool is_expired = key->expires_ns != 0 && key->expires_ns <= view_ns;

	assert_int_equal(value.type, is_expired ? STATE_NONE : key->type);
	if (value.type == STATE_NONE)
		return false;
	assert_int_equal(value.expires_ns, key->expires_ns);
	if (key->type == STATE_INTEGER)
		assert_int_equal(value.integer, key->integer);
	else if (key->type == STATE_BYTES)
		assert_string_equal(text, key->text);
	return true;
}

static uint64_t
view_time_ns(struct machine *m)
{
	(void)state_read_begin(m->reader);
	const uint64_t time_ns = state_read_time_ns(m->reader);
	state_read_end(m->reader);
	return time_ns;
}

static void
check_block(struct model *model)
{
	uint64_t live = 0;
	char name[64];

	for (uint32_t i = 0; i < 2; i++) {
		model->machines[i].time_ns += 1000;
		machine_block(&model->machines[i]);
		machine_check_hash(&model->machines[i]);
	}
	assert_int_equal(state_hash(model->machines[0].state),
			 state_hash(model->machines[1].state));
	const uint64_t view_ns = view_time_ns(&model->machines[0]);
	assert_int_equal(view_time_ns(&model->machines[1]), view_ns);
	for (uint32_t k = 0; k < KEYS; k++) {
		key_name(k, name);
		live += check_key(&model->machines[k % 2], &model->keys[k], name, view_ns);
	}
	/* What has expired may still be counted, but then it is next to be removed. */
	assert_in_range(state_stats(model->machines[0].state).keys, live, KEYS);
	if (state_expiry_next_ns(model->machines[0].state) > view_ns)
		assert_int_equal(state_stats(model->machines[0].state).keys, live);
	assert_int_equal(state_stats(model->machines[0].state).logical_bytes,
			 state_stats(model->machines[1].state).logical_bytes);
	/* The order holds every live key once. */
	struct state_reader *reader = model->machines[1].reader;
	struct state_value value;
	const uint8_t *key = (const uint8_t *)"";
	uint32_t bytes = 0;
	assert_int_equal(state_read_begin(reader), state_applied_index(model->machines[1].state));
	while (state_read_next(reader, key, bytes, true, &key, &bytes, &value))
		live--;
	state_read_end(reader);
	assert_int_equal(live, 0);
}

static void
test_model(void **context)
{
	struct model *model = calloc(1, sizeof(*model));
	(void)context;

	assert_non_null(model);
	prng_seed(&model->prng, 2024);
	machine_start(&model->machines[0],
		      &(struct machine_options){ 4u << 20, 1u << 20, 1, 64, 0 });
	machine_start(&model->machines[1],
		      &(struct machine_options){ 7u << 20, 1u << 20, 77, 64, 0 });
	model->machines[1].has_readers = true;
	for (uint32_t block = 0; block < BLOCKS; block++) {
		const uint64_t count = prng_below(&model->prng, 60);
		for (uint64_t i = 0; i < count; i++)
			model_command(model);
		check_block(model);
		if (block % 7 == 0)
			(void)state_grace_period(model->machines[1].state);
	}
	assert_in_range(state_stats(model->machines[0].state).versions_reclaimed, 1000, UINT64_MAX);
	assert_in_range(state_stats(model->machines[0].state).expired, 100, UINT64_MAX);
	machine_stop(&model->machines[0]);
	machine_stop(&model->machines[1]);
	free(model);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_model) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
