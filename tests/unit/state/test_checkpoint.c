/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories, and a checkpoint somewhere in the middle, written in small pieces while the
 * machine goes on: a machine restored from it has the same hash, writes the same bytes, and from
 * then on answers every command of the rest as the first one did.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/le.h"
#include "dataplane/base/prng.h"
#include "dataplane/state/checkpoint.h"
#include "tests/unit/state/machine.h"

#define KEYS         40u
#define ORDERS       3000u
#define ROUNDS       24u
#define STREAM_BYTES (8u << 20)
#define MINUTE_NS    (60ULL * 1000000000ULL)

struct order {
	uint64_t log_index, time_ns, client_id, seq;
	enum command_op op;
	uint8_t flags;
	uint16_t window;
	uint32_t args_count;
	struct command_arg args[4];
	char name[2][16];
	le64 numbers[2];
	struct reply reply;
	uint64_t reply_hash;
};

struct stream {
	uint8_t *bytes;
	uint32_t count;
	uint64_t log_index;
	struct checkpoint_state image;
};

struct history {
	struct prng prng;
	struct machine subject;
	struct order orders[ORDERS];
	uint32_t count;
	uint64_t clients;
	struct stream middle, again, last;
	uint64_t restored_sessions, restored_expiries, evicted, sessions_used;
};

static uint8_t long_text[6000];

static uint32_t
roll(struct history *h, uint64_t sides)
{
	return (uint32_t)prng_below(&h->prng, sides);
}

static struct reply
order_apply(struct machine *m, struct order *order)
{
	m->time_ns = order->time_ns;
	return machine_apply(m, order->op, order->flags, order->client_id, order->seq,
			     order->window, order->args, order->args_count);
}

static uint64_t
data_hash(const struct reply *reply)
{
	return reply_has_data(reply) ? hash64(reply->data, reply->bytes) : 0;
}

static void
add_key(struct history *h, struct order *order)
{
	char *name = order->name[order->args_count == 0 ? 0 : 1];

	(void)snprintf(name, 16, "%.*s%u", (int)roll(h, 3), "ab", roll(h, KEYS));
	order->args[order->args_count++] = machine_text(name);
}

static void
add_text(struct history *h, struct order *order)
{
	const uint32_t bytes = roll(h, 6) == 0 ? roll(h, sizeof(long_text)) : roll(h, 90);

	order->args[order->args_count++] = (struct command_arg){ long_text, bytes };
}

static void
add_number(struct order *order, uint32_t which, uint64_t number)
{
	order->numbers[which] = le64_make(number);
	order->args[order->args_count++] = (struct command_arg){ order->numbers[which].bytes, 8 };
}

static void
fill_write(struct history *h, struct order *order)
{
	switch (roll(h, 8)) {
	case 0:
		order->op = COMMAND_DELETE;
		add_key(h, order);
		return;
	case 1:
		order->op = COMMAND_APPEND;
		add_key(h, order);
		order->args[order->args_count++] = (struct command_arg){ long_text, roll(h, 5) };
		return;
	case 2:
		order->op = COMMAND_EXPIRE;
		order->flags = COMMAND_EXPIRE_IN;
		add_key(h, order);
		add_number(order, 0, 1 + roll(h, 40));
		return;
	case 3:
		order->op = COMMAND_SET;
		order->flags = COMMAND_EXPIRE_IN;
		add_key(h, order);
		add_text(h, order);
		add_number(order, 0, 1 + roll(h, 2) * 20 * MINUTE_NS);
		return;
	case 4:
	case 5:
		order->op = COMMAND_ADD;
		add_key(h, order);
		add_number(order, 0, roll(h, 1000));
		return;
	default:
		order->op = COMMAND_SET;
		order->flags = roll(h, 3) == 0 ? COMMAND_GET_OLD : 0;
		add_key(h, order);
		add_text(h, order);
		return;
	}
}

static void
order_fill(struct history *h, struct order *order)
{
	const uint32_t what = roll(h, 24);

	memset(order, 0, sizeof(*order));
	order->log_index = h->subject.at.log_index;
	order->time_ns = h->subject.time_ns;
	if (what == 0 || h->clients == 0) {
		order->op = COMMAND_SESSION_OPEN;
	} else if (what == 1) {
		order->op = COMMAND_SESSION_CLOSE;
		order->client_id = 1 + roll(h, h->clients);
	} else {
		if (roll(h, 3) != 0) {
			order->client_id = 1 + roll(h, h->clients + 1);
			order->seq = 1 + roll(h, 400);
			order->window = (uint16_t)min_u64(order->seq - 1, roll(h, 256));
		}
		fill_write(h, order);
	}
}

static void
go_on(struct history *h)
{
	if (roll(h, 5) == 0) {
		machine_publish(&h->subject);
		/* Commit one block late now and then: the position is a committed one. */
		if (roll(h, 4) != 0) {
			state_commit(h->subject.state, h->subject.at.log_index - 1);
			state_reclaim_turn(h->subject.state, false);
		}
		h->subject.time_ns += 1 + (roll(h, 30) == 0 ? 11 * MINUTE_NS : roll(h, 3));
		return;
	}
	if (h->count == ORDERS)
		return;
	struct order *order = &h->orders[h->count++];
	order_fill(h, order);
	order->reply = order_apply(&h->subject, order);
	order->reply_hash = data_hash(&order->reply);
	order->reply.data = NULL;
	if (order->reply.kind == REPLY_SESSION)
		h->clients = (uint64_t)order->reply.value;
	h->sessions_used += order->seq != 0 && order->reply.kind == REPLY_OK;
}

static void
settle(struct machine *m)
{
	machine_block(m);
}

/* @h NULL: in one go. */
static void
stream_write(struct history *h, struct machine *m, struct stream *stream)
{
	bool is_done = false;

	stream->count = 0;
	stream->log_index = state_committed_index(m->state);
	state_checkpoint_begin(m->state, &stream->image);
	while (!is_done) {
		const uint32_t room = h == NULL ? STREAM_BYTES : 1 + roll(h, 300);
		const uint32_t entries = h == NULL ? UINT32_MAX : 1 + roll(h, 4);
		assert_in_range(stream->count, 0, STREAM_BYTES - 301);
		stream->count += state_checkpoint_next(
		    m->state, stream->bytes + stream->count,
		    (uint32_t)min_u64(room, STREAM_BYTES - stream->count), entries, &is_done);
		assert_false(state_checkpoint_is_ended(m->state));
		for (uint32_t i = h == NULL ? 0 : roll(h, 8); i > 0; i--)
			go_on(h);
	}
	state_checkpoint_end(m->state);
}

static void
machine_begin(struct history *h, struct machine *m)
{
	machine_start(m, &(struct machine_options){ .arena_bytes = 16u << 20,
						    .capacity_bytes = 200u << 10,
						    .hash_seed = prng_next(&h->prng),
						    .sessions_max = 6 });
}

static void
restore(struct history *h, struct machine *m, const struct stream *stream)
{
	machine_begin(h, m);
	assert_int_equal(state_restore_begin(m->state, stream->log_index, &stream->image), TERN_OK);
	for (uint32_t at = 0; at < stream->count;) {
		const uint32_t piece =
		    (uint32_t)min_u64(1 + roll(h, roll(h, 2) == 0 ? 9 : 900), stream->count - at);
		/* Of its own length, so that a sanitizer sees a read behind it. */
		uint8_t *copy = malloc(piece);
		assert_non_null(copy);
		memcpy(copy, stream->bytes + at, piece);
		assert_int_equal(state_restore_bytes(m->state, copy, piece), TERN_OK);
		free(copy);
		at += piece;
	}
	assert_int_equal(state_restore_finish(m->state), TERN_OK);
	m->at = (struct state_position){ .log_index = stream->log_index + 1 };
	machine_check_hash(m);
}

static void
stream_equal(const struct stream *a, const struct stream *b)
{
	assert_int_equal(a->log_index, b->log_index);
	assert_memory_equal(&a->image, &b->image, sizeof(a->image));
	assert_int_equal(a->count, b->count);
	assert_memory_equal(a->bytes, b->bytes, a->count);
}

/* Applies what came after the checkpoint. */
static void
replay(struct history *h, struct machine *m)
{
	for (uint32_t i = 0; i < h->count; i++) {
		struct order *order = &h->orders[i];
		if (order->log_index <= h->middle.log_index)
			continue;
		while (m->at.log_index < order->log_index)
			settle(m);
		const struct reply reply = order_apply(m, order);
		assert_int_equal(reply.kind, order->reply.kind);
		assert_int_equal(reply.value, order->reply.value);
		assert_int_equal(reply.delta, order->reply.delta);
		assert_int_equal(reply.is_repeat, order->reply.is_repeat);
		assert_int_equal(reply.bytes, order->reply.bytes);
		assert_int_equal(data_hash(&reply), order->reply_hash);
	}
	while (m->at.log_index <= h->last.log_index)
		settle(m);
}

static void
run(struct history *h, uint64_t seed)
{
	struct machine restored;

	prng_seed(&h->prng, seed);
	h->count = 0;
	h->clients = 0;
	machine_begin(h, &h->subject);
	for (uint32_t i = 200 + roll(h, 1500); i > 0; i--)
		go_on(h);
	if (h->subject.at.slot != 0 || state_committed_index(h->subject.state) == 0)
		settle(&h->subject);
	else
		state_commit(h->subject.state, h->subject.at.log_index - 1);
	stream_write(h, &h->subject, &h->middle);
	for (uint32_t i = 0; i < 1000; i++)
		go_on(h);
	settle(&h->subject);
	stream_write(NULL, &h->subject, &h->last);

	restore(h, &restored, &h->middle);
	stream_write(NULL, &restored, &h->again);
	stream_equal(&h->middle, &h->again);
	replay(h, &restored);
	assert_int_equal(state_hash(restored.state), state_hash(h->subject.state));
	machine_check_hash(&restored);
	stream_write(NULL, &restored, &h->again);
	stream_equal(&h->last, &h->again);
	h->restored_sessions += h->middle.image.session_count;
	h->restored_expiries += h->middle.image.expiry_count;
	machine_stop(&restored);
	machine_stop(&h->subject);
}

static void
test_random_histories(void **context)
{
	struct history *h = calloc(1, sizeof(*h));
	(void)context;

	assert_non_null(h);
	for (uint32_t i = 0; i < sizeof(long_text); i++)
		long_text[i] = (uint8_t)('a' + i % 23);
	struct stream *streams[] = { &h->middle, &h->again, &h->last };
	for (uint32_t i = 0; i < 3; i++) {
		streams[i]->bytes = malloc(STREAM_BYTES);
		assert_non_null(streams[i]->bytes);
	}
	for (uint64_t seed = 1; seed <= ROUNDS; seed++)
		run(h, seed);
	/* The dice reached what they are for. */
	assert_in_range(h->restored_sessions, 40, UINT64_MAX);
	assert_in_range(h->restored_expiries, 40, UINT64_MAX);
	assert_in_range(h->sessions_used, 1000, UINT64_MAX);
	for (uint32_t i = 0; i < 3; i++)
		free(streams[i]->bytes);
	free(h);
}

/* Sessions that were used in one block are ousted in the order of their use. */
static void
test_order_of_use(void **context)
{
	struct history *h = calloc(1, sizeof(*h));
	struct machine a, b;
	(void)context;

	assert_non_null(h);
	h->middle.bytes = malloc(STREAM_BYTES);
	assert_non_null(h->middle.bytes);
	prng_seed(&h->prng, 1);
	machine_begin(h, &a);
	for (uint64_t id = 1; id <= 6; id++)
		assert_int_equal(machine_apply(&a, COMMAND_SESSION_OPEN, 0, 0, 0, 0, NULL, 0).value,
				 id);
	machine_block(&a);
	a.time_ns += 5;
	const uint64_t order[] = { 4, 2, 6, 1, 5, 3 };
	const struct command_arg args[] = { machine_text("k"), machine_text("v") };
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(machine_apply(&a, COMMAND_SET, 0, order[i], 1, 0, args, 2).kind,
				 REPLY_OK);
	machine_block(&a);
	stream_write(NULL, &a, &h->middle);
	restore(h, &b, &h->middle);
	b.time_ns = a.time_ns + 11 * MINUTE_NS;
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(machine_apply(&b, COMMAND_SESSION_OPEN, 0, 0, 0, 0, NULL, 0).kind,
				 REPLY_SESSION);
		assert_int_equal(machine_apply(&b, COMMAND_SET, 0, order[i], 1, 0, args, 2).kind,
				 REPLY_SESSION_UNKNOWN);
		machine_block(&b);
	}
	machine_stop(&a);
	machine_stop(&b);
	free(h->middle.bytes);
	free(h);
}

/* A machine that is too small, or a stream with a byte changed, is refused. */
static void
test_refused(void **context)
{
	struct history *h = calloc(1, sizeof(*h));
	struct machine m;
	(void)context;

	assert_non_null(h);
	h->middle.bytes = malloc(STREAM_BYTES);
	assert_non_null(h->middle.bytes);
	prng_seed(&h->prng, 7);
	machine_begin(h, &h->subject);
	for (uint32_t i = 0; i < 300; i++)
		go_on(h);
	settle(&h->subject);
	stream_write(NULL, &h->subject, &h->middle);
	machine_stop(&h->subject);
	for (uint32_t round = 0; round < 300; round++) {
		struct stream *stream = &h->middle;
		const uint32_t at = roll(h, stream->count);
		const uint8_t flip = (uint8_t)(1u << roll(h, 8));
		enum tern_err err;
		machine_begin(h, &m);
		err = state_restore_begin(m.state, stream->log_index, &stream->image);
		assert_int_equal(err, TERN_OK);
		stream->bytes[at] ^= flip;
		err = state_restore_bytes(m.state, stream->bytes, stream->count);
		if (err == TERN_OK)
			err = state_restore_finish(m.state);
		stream->bytes[at] ^= flip;
		/* Only where something was written and when, and the order of use, is not part of
		 * the hash: the chunks' hashes cover that. */
		if (err == TERN_OK)
			h->evicted++;
		else
			assert_int_equal(err, TERN_ERR_CORRUPT);
		machine_stop(&m);
	}
	assert_in_range(h->evicted, 0, 60);
	machine_begin(h, &m);
	h->middle.image.logical_bytes = 1u << 20;
	assert_int_equal(state_restore_begin(m.state, h->middle.log_index, &h->middle.image),
			 TERN_ERR_CONFIG);
	machine_stop(&m);
	free(h->middle.bytes);
	free(h);
}

/* A position that crowds the arena is ended, and the machine goes on. */
static void
test_crowded(void **context)
{
	struct machine m;
	struct checkpoint_state image;
	char key[16];
	(void)context;

	machine_start(&m, &(struct machine_options){ .arena_bytes = 4u << 20,
						     .capacity_bytes = 1u << 20,
						     .sessions_max = 1 });
	machine_block(&m);
	state_checkpoint_begin(m.state, &image);
	for (uint32_t i = 0; i < 100000 && !state_checkpoint_is_ended(m.state); i++) {
		(void)snprintf(key, sizeof(key), "%u", i % 50);
		assert_int_equal(machine_set(&m, key, "some value").kind, REPLY_OK);
		machine_publish(&m);
		state_commit(m.state, m.at.log_index - 1);
		state_reclaim_turn(m.state, false);
		assert_true(state_has_room(m.state, 100));
	}
	assert_true(state_checkpoint_is_ended(m.state));
	state_checkpoint_end(m.state);
	state_reclaim_turn(m.state, false);
	state_checkpoint_begin(m.state, &image);
	assert_int_equal(image.key_count, 50);
	assert_false(state_checkpoint_is_ended(m.state));
	machine_stop(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_histories),
		cmocka_unit_test(test_order_of_use),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_crowded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
