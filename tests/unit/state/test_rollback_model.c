/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random applying, publishing, committing, rolling back and reading on one machine, against a naive
 * copy: after each rollback a fresh machine is given the blocks that are left, and from then on
 * both must answer every command alike. Each view is compared with a plain table of the values at
 * its position, when it begins, while it grows old, and after it failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/prng.h"
#include "tests/unit/state/machine.h"

#define KEYS       24u
#define ARGS       6u
#define TEXT       80u
#define BLOCKS     256u /* of one history */
#define COMMANDS   4096u
#define STEPS      1500u
#define ROUNDS     16u
#define VIEWS      3u
#define KINDS      (REPLY_EXPIRY + 1u)
#define MINUTES_NS (60ULL * 1000000000ULL)

struct order {
	uint64_t log_index, time_ns, client_id, seq;
	enum command_op op;
	uint8_t flags;
	uint16_t window;
	uint32_t args_count;
	uint32_t bytes[ARGS];
	uint8_t args[ARGS][TEXT];
};

/* All that a reader may see at one position. */
struct table {
	uint64_t hash, key_count;
	struct {
		enum state_type type;
		uint32_t bytes;
		int64_t integer;
		uint64_t expires_ns;
		uint8_t data[TEXT * 4];
	} keys[KEYS];
};

struct held {
	struct state_reader *reader;
	uint64_t view, lowest; /* rolled back to, while it was open */
	bool is_open, is_provisional;
};

struct model {
	struct prng prng;
	struct machine subject, copy;
	struct order orders[COMMANDS];
	uint32_t orders_count;
	struct table tables[BLOCKS];
	struct held held[VIEWS];
	uint64_t seed;
	bool has_grace;
	uint64_t kinds[KINDS], repeats, failed, dropped_blocks;
};

static uint32_t
roll(struct model *model, uint64_t sides)
{
	return (uint32_t)prng_below(&model->prng, sides);
}

static void
key_name(uint32_t k, char *name)
{
	(void)snprintf(name, TEXT, "%.*s%u", (int)(k % 5), "pre-", k);
}

static struct reply
order_apply(struct machine *m, const struct order *order)
{
	struct command_arg args[ARGS];

	for (uint32_t i = 0; i < order->args_count; i++)
		args[i] = (struct command_arg){ order->args[i], order->bytes[i] };
	m->time_ns = order->time_ns;
	return machine_apply(m, order->op, order->flags, order->client_id, order->seq,
			     order->window, args, order->args_count);
}

static void
add_key(struct model *model, struct order *order)
{
	char name[TEXT];

	key_name(roll(model, KEYS), name);
	order->bytes[order->args_count] = (uint32_t)strlen(name);
	memcpy(order->args[order->args_count++], name, TEXT);
}

static void
add_text(struct model *model, struct order *order)
{
	const char *texts[] = {
		"17",
		"-3",
		"some text",
		"",
		"a longer text, to fill memory up",
		"so long that a change of its expiry does not copy it but shares it"
	};
	const char *text = texts[roll(model, 6)];

	order->bytes[order->args_count] = (uint32_t)strlen(text);
	memcpy(order->args[order->args_count++], text, strlen(text));
}

static void
add_integer(struct order *order, int64_t integer)
{
	const le64 le = le64_make((uint64_t)integer);

	order->bytes[order->args_count] = 8;
	memcpy(order->args[order->args_count++], le.bytes, 8);
}

/* Times are short: some blocks later the key has expired. */
static void
fill_expiry(struct model *model, struct order *order)
{
	const int64_t in_ns = 1 + (int64_t)roll(model, 6);

	add_key(model, order);
	order->flags = COMMAND_EXPIRE_IN;
	switch (roll(model, 6)) {
	case 0:
		order->op = COMMAND_PERSIST;
		order->flags = 0;
		return;
	case 1:
		order->op = COMMAND_EXPIRY;
		order->flags = 0;
		return;
	case 2:
		order->op = COMMAND_SET;
		order->flags = COMMAND_KEEP_EXPIRY;
		add_text(model, order);
		return;
	case 3:
		order->op = COMMAND_SET;
		add_text(model, order);
		break;
	default:
		order->op = COMMAND_EXPIRE;
		order->flags |= roll(model, 2) == 0 ? COMMAND_GET_OLD : 0;
		break;
	}
	add_integer(order, roll(model, 4) == 0 ? (int64_t)MINUTES_NS : in_ns);
}

static void
fill_write(struct model *model, struct order *order)
{
	const uint32_t count = 1 + roll(model, 3);

	switch (roll(model, 8)) {
	case 6:
	case 7:
		fill_expiry(model, order);
		break;
	case 0:
		order->op = COMMAND_DELETE;
		for (uint32_t i = 0; i < count; i++)
			add_key(model, order);
		break;
	case 1:
		order->op = COMMAND_MSET;
		for (uint32_t i = 0; i < count; i++) {
			add_key(model, order);
			add_text(model, order);
		}
		break;
	case 2:
		order->op = COMMAND_APPEND;
		add_key(model, order);
		add_text(model, order);
		break;
	case 3:
		order->op = COMMAND_SET;
		order->flags = roll(model, 2) == 0 ? COMMAND_GET_OLD : 0;
		add_key(model, order);
		add_text(model, order);
		break;
	default:
		order->op = COMMAND_ADD;
		add_key(model, order);
		add_integer(order, (int64_t)roll(model, 100) - 50);
		if (roll(model, 2) == 0) {
			order->flags = COMMAND_HAS_MIN;
			add_integer(order, -20);
		}
		break;
	}
}

/* Sessions by any number that was or will be given: most are known, some not yet, some no more. */
static void
fill(struct model *model, struct order *order)
{
	const uint64_t newest = state_stats(model->copy.state).sessions + 8;
	const uint32_t what = roll(model, 40);

	memset(order, 0, sizeof(*order));
	order->log_index = model->copy.at.log_index;
	order->time_ns = model->copy.time_ns;
	order->client_id = roll(model, 2) == 0 ? 0 : 1 + roll(model, newest);
	order->seq = order->client_id == 0 ? 0 : 1 + roll(model, 40);
	order->window = order->seq == 0 ? 0 : (uint16_t)roll(model, order->seq);
	if (what == 0 || (what < 12 && newest < 12)) {
		order->op = COMMAND_SESSION_OPEN;
		order->client_id = order->seq = order->window = 0;
	} else if (what == 1) {
		order->op = COMMAND_SESSION_CLOSE;
		order->client_id = 1 + roll(model, newest);
		order->seq = order->window = 0;
	} else {
		fill_write(model, order);
	}
}

static void
apply_one(struct model *model)
{
	struct order *order = &model->orders[model->orders_count];
	uint8_t data[TEXT * 4];

	if (model->orders_count == COMMANDS)
		return;
	fill(model, order);
	const struct reply a = order_apply(&model->subject, order);
	assert_in_range(a.bytes, 0, sizeof(data));
	if (a.kind == REPLY_BYTES && a.bytes != 0)
		memcpy(data, a.data, a.bytes);
	const struct reply b = order_apply(&model->copy, order);
	assert_int_equal(a.kind, b.kind);
	assert_int_equal(a.value, b.value);
	assert_int_equal(a.delta, b.delta);
	assert_int_equal(a.bound, b.bound);
	assert_int_equal(a.is_repeat, b.is_repeat);
	assert_int_equal(a.bytes, b.bytes);
	if (b.kind == REPLY_BYTES && b.bytes != 0)
		assert_memory_equal(data, b.data, b.bytes);
	model->kinds[a.kind]++;
	model->repeats += a.is_repeat;
	model->orders_count++;
}

static void
check_same(struct model *model)
{
	const struct state_stats a = state_stats(model->subject.state);
	const struct state_stats b = state_stats(model->copy.state);

	assert_int_equal(state_hash(model->subject.state), state_hash(model->copy.state));
	assert_int_equal(a.keys, b.keys);
	assert_int_equal(a.sessions, b.sessions);
	assert_int_equal(a.logical_bytes, b.logical_bytes);
	assert_int_equal(a.expiries, b.expiries);
	assert_int_equal(state_expiry_next_ns(model->subject.state),
			 state_expiry_next_ns(model->copy.state));
	assert_int_equal(model->subject.at.log_index, model->copy.at.log_index);
}

/* Of the copy, where everything is committed. */
static void
table_write(struct machine *copy, struct table *table)
{
	uint64_t index = 0;
	char name[TEXT];

	memset(table, 0, sizeof(*table));
	(void)state_read_begin(copy->reader);
	table->hash = state_read_hash(copy->reader, &index);
	table->key_count = state_read_key_count(copy->reader);
	for (uint32_t k = 0; k < KEYS; k++) {
		key_name(k, name);
		const struct state_value value =
		    state_read_get(copy->reader, name, (uint32_t)strlen(name));
		assert_in_range(value.bytes, 0, sizeof(table->keys[k].data));
		table->keys[k].type = value.type;
		table->keys[k].bytes = value.bytes;
		table->keys[k].integer = value.integer;
		table->keys[k].expires_ns = value.expires_ns;
		if (value.bytes != 0)
			memcpy(table->keys[k].data, value.data, value.bytes);
	}
	state_read_end(copy->reader);
}

static void
publish(struct model *model)
{
	const uint64_t log_index = model->copy.at.log_index;

	if (log_index + 1 >= BLOCKS || !state_may_publish(model->subject.state, log_index))
		return;
	machine_publish(&model->subject);
	machine_block(&model->copy);
	check_same(model);
	table_write(&model->copy, &model->tables[log_index]);
	/* Two blocks may have one time, and a session may sleep for long. */
	if (roll(model, 4) != 0)
		model->copy.time_ns += 1 + (roll(model, 8) == 0 ? 11 * MINUTES_NS : 0);
}

static void
commit(struct model *model)
{
	const uint64_t committed = state_committed_index(model->subject.state);
	const uint64_t published = state_applied_index(model->subject.state);

	state_commit(model->subject.state, committed + roll(model, published - committed + 1));
}

static void
copy_start(struct model *model)
{
	machine_start(&model->copy,
		      &(struct machine_options){ 4u << 20, 12u << 10, model->seed, 5, 0 });
}

/* A machine that applied only what is at or below @log_index. */
static void
copy_replay(struct model *model, uint64_t log_index)
{
	uint64_t time_ns = model->copy.time_ns;
	uint32_t kept = 0;

	machine_stop(&model->copy);
	copy_start(model);
	while (model->copy.at.log_index <= log_index) {
		while (kept < model->orders_count &&
		       model->orders[kept].log_index == model->copy.at.log_index)
			(void)order_apply(&model->copy, &model->orders[kept++]);
		machine_block(&model->copy);
	}
	model->orders_count = kept;
	/* Another master may be behind in time, never behind the block before. */
	if (kept > 0 && roll(model, 2) == 0)
		time_ns = model->orders[kept - 1].time_ns + 1;
	model->copy.time_ns = time_ns;
}

static void
rollback(struct model *model)
{
	const uint64_t committed = state_committed_index(model->subject.state);
	const uint64_t published = state_applied_index(model->subject.state);
	const uint64_t to = committed + roll(model, published - committed + 1);

	machine_rollback(&model->subject, to);
	copy_replay(model, to);
	model->dropped_blocks += published - to;
	for (uint32_t i = 0; i < VIEWS; i++) {
		struct held *held = &model->held[i];
		if (held->is_open && to < held->lowest)
			held->lowest = to;
	}
	check_same(model);
	(void)state_read_begin_provisional(model->subject.reader);
	assert_int_equal(state_hash_scan(model->subject.reader), state_hash(model->copy.state));
	assert_true(state_read_end_provisional(model->subject.reader));
}

/* A failed view reads what was left of it when it failed, whatever was written since; but its time
 * is its own, and some of that has expired by then. */
static void
view_check(struct model *model, const struct held *held)
{
	const bool is_failed = held->lowest < held->view;
	const struct table *table = &model->tables[is_failed ? held->lowest : held->view];
	uint64_t index = 0;
	char name[TEXT];

	assert_int_equal(state_read_is_failed(held->reader), is_failed);
	for (uint32_t k = 0; k < KEYS; k++) {
		key_name(k, name);
		const struct state_value value =
		    state_read_get(held->reader, name, (uint32_t)strlen(name));
		if (is_failed && table->keys[k].expires_ns != 0 &&
		    table->keys[k].expires_ns <= state_read_time_ns(held->reader)) {
			assert_int_equal(value.type, STATE_NONE);
			continue;
		}
		assert_int_equal(value.type, table->keys[k].type);
		assert_int_equal(value.expires_ns, table->keys[k].expires_ns);
		assert_int_equal(value.bytes, table->keys[k].bytes);
		assert_int_equal(value.integer, table->keys[k].integer);
		if (value.bytes != 0)
			assert_memory_equal(value.data, table->keys[k].data, value.bytes);
	}
	assert_int_equal(state_hash_scan(held->reader), table->hash);
	if (is_failed)
		return;
	assert_int_equal(state_read_hash(held->reader, &index), table->hash);
	assert_int_equal(index, held->view);
	assert_int_equal(state_read_key_count(held->reader), table->key_count);
}

static void
view_end(struct model *model, struct held *held)
{
	const bool is_failed = held->lowest < held->view;

	view_check(model, held);
	held->is_open = false;
	if (held->is_provisional) {
		assert_int_equal(state_read_end_provisional(held->reader), !is_failed);
		model->failed += is_failed;
	} else {
		assert_false(is_failed);
		state_read_end(held->reader);
	}
}

static void
view_begin(struct model *model, struct held *held)
{
	held->is_open = true;
	held->is_provisional = roll(model, 3) != 0;
	held->lowest = UINT64_MAX;
	held->view = held->is_provisional ? state_read_begin_provisional(held->reader)
					  : state_read_begin(held->reader);
	assert_int_equal(held->view, held->is_provisional
					 ? state_applied_index(model->subject.state)
					 : state_committed_index(model->subject.state));
	view_check(model, held);
}

static void
view_turn(struct model *model)
{
	struct held *held = &model->held[roll(model, VIEWS)];

	if (!held->is_open)
		view_begin(model, held);
	else if (roll(model, 3) == 0)
		view_end(model, held);
	else
		view_check(model, held);
}

static void
reclaim(struct model *model)
{
	bool is_view_open = false;

	state_reclaim_turn(model->subject.state, model->has_grace);
	for (uint32_t i = 0; i < VIEWS; i++)
		is_view_open |= model->held[i].is_open;
	/* The views are of this thread, which must not wait for itself. */
	if (model->has_grace && !is_view_open)
		(void)state_grace_period(model->subject.state);
}

static void
step(struct model *model)
{
	switch (roll(model, 24)) {
	case 0:
		rollback(model);
		break;
	case 1:
	case 2:
		commit(model);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
		publish(model);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		view_turn(model);
		break;
	case 12:
	case 13:
		reclaim(model);
		break;
	default:
		apply_one(model);
		break;
	}
}

/* Nothing is kept but what is live, and it takes what it takes in the copy. */
static void
check_nothing_is_kept(struct model *model)
{
	for (uint32_t i = 0; i < VIEWS; i++) {
		if (model->held[i].is_open)
			view_end(model, &model->held[i]);
	}
	machine_rollback(&model->subject, state_applied_index(model->subject.state));
	copy_replay(model, state_applied_index(model->subject.state));
	state_commit(model->subject.state, state_applied_index(model->subject.state));
	for (uint32_t i = 0; i < 8; i++) {
		reclaim(model);
		state_reclaim_turn(model->copy.state, false);
	}
	const struct state_stats a = state_stats(model->subject.state);
	const struct state_stats b = state_stats(model->copy.state);
	/* And those whose bytes another one shares. */
	assert_in_range(a.versions_live, a.keys + a.sessions, 2 * a.keys + a.sessions);
	assert_int_equal(a.versions_live, b.versions_live);
	assert_int_equal(a.arena_used_bytes, b.arena_used_bytes);
	check_same(model);
}

static void
run(struct model *model, uint64_t seed)
{
	const struct machine_options options = { 4u << 20, 12u << 10, seed, 5, 0 };

	model->seed = seed;

	prng_seed(&model->prng, seed);
	model->has_grace = seed % 2 == 0;
	model->orders_count = 0;
	memset(model->tables, 0, sizeof(model->tables));
	machine_start(&model->subject, &options);
	copy_start(model);
	for (uint32_t i = 0; i < VIEWS; i++) {
		model->held[i] = (struct held){ .reader = state_reader_open(model->subject.state) };
		assert_non_null(model->held[i].reader);
	}
	for (uint32_t i = 0; i < STEPS; i++)
		step(model);
	check_nothing_is_kept(model);
	for (uint32_t i = 0; i < VIEWS; i++)
		state_reader_close(model->held[i].reader);
	machine_stop(&model->subject);
	machine_stop(&model->copy);
}

static void
test_rollback_model(void **context)
{
	struct model *model = calloc(1, sizeof(*model));
	(void)context;

	assert_non_null(model);
	for (uint64_t seed = 1; seed <= ROUNDS; seed++)
		run(model, seed);
	/* The dice reached what they are for. */
	assert_in_range(model->failed, 20, UINT64_MAX);
	assert_in_range(model->dropped_blocks, 500, UINT64_MAX);
	assert_in_range(model->repeats, 20, UINT64_MAX);
	assert_in_range(model->kinds[REPLY_OUT_OF_MEMORY], 20, UINT64_MAX);
	assert_in_range(model->kinds[REPLY_SESSION], 20, UINT64_MAX);
	assert_in_range(model->kinds[REPLY_SESSION_UNKNOWN], 20, UINT64_MAX);
	assert_in_range(model->kinds[REPLY_TOO_OLD], 20, UINT64_MAX);
	assert_in_range(model->kinds[REPLY_BYTES], 20, UINT64_MAX);
	assert_in_range(model->kinds[REPLY_BOUND], 20, UINT64_MAX);
	assert_in_range(model->kinds[REPLY_EXPIRY], 20, UINT64_MAX);
	free(model);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rollback_model) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
