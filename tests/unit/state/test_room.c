/* SPDX-License-Identifier: Apache-2.0 */
/* Room: no block takes more of the arena than is asked for before it is applied, a full arena has
 * so much, and nobody waits for what does not come. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/base/bits.h"
#include "dataplane/state/state_internal.h"
#include "tests/unit/state/machine.h"

#define TIME_NS    1000000u
#define PARTS_MAX  COMMAND_ARGS_MAX
#define PART_BYTES 64u
#define MIB        (UINT64_C(1) << 20)

struct block {
	struct machine m;
	uint64_t bytes; /* of its commands so far */
	struct command_arg args[PARTS_MAX];
	uint8_t text[PARTS_MAX][PART_BYTES];
	uint64_t open_first; /* id of the first session */
};

static void
run(struct block *block, enum command_op op, uint8_t flags, uint64_t client_id,
    const struct command_arg *args, uint32_t count)
{
	uint64_t bytes = COMMAND_HDR_BYTES;

	for (uint32_t i = 0; i < count; i++)
		bytes += sizeof(le32) + args[i].bytes;
	block->bytes += align_up_u64(bytes, 8);
	const struct reply reply =
	    machine_apply(&block->m, op, flags, client_id,
			  client_id == 0 ? 0 : block->m.at.log_index, 0, args, count);
	assert_int_not_equal(reply.kind, REPLY_OUT_OF_MEMORY);
}

/* Short keys, each another one: 1 byte, then 2. */
static struct command_arg
key_of(struct block *block, uint32_t number)
{
	uint8_t *text = block->text[number % PARTS_MAX];
	const uint32_t bytes = number < 256 ? 1 : 2;

	text[0] = (uint8_t)number;
	text[1] = (uint8_t)(number >> 8);
	return (struct command_arg){ text, bytes };
}

static void
set_long(struct block *block, struct command_arg key, uint32_t value_bytes)
{
	static const uint8_t zeros[65536];
	const struct command_arg args[] = { key, { zeros, value_bytes } };

	run(block, COMMAND_SET, 0, 0, args, 2);
}

static void
set_expiring(struct block *block, struct command_arg key, uint64_t expires_ns)
{
	const le64 expiry = le64_make(expires_ns);
	const struct command_arg args[] = { key, { NULL, 0 }, { expiry.bytes, 8 } };

	run(block, COMMAND_SET, COMMAND_EXPIRE_AT, 0, args, 3);
}

/* ---- what is there before the block, and the block ---- */

static void
nothing(struct block *block)
{
	(void)block;
}

static void
have_expired(struct block *block)
{
	for (uint32_t i = 0; i < 4096; i++)
		set_expiring(block, key_of(block, i), TIME_NS + 1);
}

static void
have_long(struct block *block)
{
	for (uint32_t i = 0; i < 4096; i++)
		set_long(block, key_of(block, i), 1000);
}

static void
have_sessions(struct block *block)
{
	block->open_first = block->m.state->client_id_next;
	for (uint32_t i = 0; i < 2048; i++)
		run(block, COMMAND_SESSION_OPEN, 0, 0, NULL, 0);
}

static void
mset(struct block *block)
{
	for (uint32_t i = 0; i < PARTS_MAX; i += 2) {
		block->args[i] = key_of(block, i / 2);
		block->args[i + 1] = (struct command_arg){ NULL, 0 };
	}
	run(block, COMMAND_MSET, 0, 0, block->args, PARTS_MAX);
}

static void
delete_all(struct block *block)
{
	for (uint32_t i = 0; i < PARTS_MAX; i++)
		block->args[i] = key_of(block, i);
	run(block, COMMAND_DELETE, 0, 0, block->args, PARTS_MAX);
}

static void
exist_all(struct block *block)
{
	for (uint32_t i = 0; i < PARTS_MAX; i++)
		block->args[i] = key_of(block, i);
	run(block, COMMAND_EXISTS, 0, 0, block->args, PARTS_MAX);
}

static void
tick(struct block *block)
{
	run(block, COMMAND_TICK, 0, 0, NULL, 0);
}

static void
expiring(struct block *block)
{
	for (uint32_t i = 0; i < 1024; i++)
		set_expiring(block, key_of(block, i), 10 * TIME_NS);
}

static void
expire(struct block *block)
{
	const le64 expiry = le64_make(10 * TIME_NS);

	for (uint32_t i = 0; i < 1024; i++) {
		const struct command_arg args[] = { key_of(block, i), { expiry.bytes, 8 } };
		run(block, COMMAND_EXPIRE, COMMAND_EXPIRE_AT, 0, args, 2);
	}
}

static void
use_sessions(struct block *block)
{
	for (uint32_t i = 0; i < 1638; i++) {
		const struct command_arg key = key_of(block, i % 256);
		run(block, COMMAND_DELETE, 0, block->open_first + i, &key, 1);
	}
}

/* One object in a slab of each class. */
static void
all_classes(struct block *block)
{
	uint32_t number = 0;

	for (uint32_t bytes = 17; bytes <= 20480; bytes += bytes < 256 ? 16 : bytes / 4)
		set_long(block, key_of(block, number++), bytes);
}

static void
long_keys(struct block *block)
{
	static uint8_t name[COMMAND_KEY_BYTES_MAX];
	const le64 expiry = le64_make(10 * TIME_NS);

	for (uint32_t i = 0; i < 60; i++) {
		const struct command_arg args[] = { { name, sizeof(name) },
						    { NULL, 0 },
						    { expiry.bytes, 8 } };
		name[0] = (uint8_t)i;
		run(block, COMMAND_SET, COMMAND_EXPIRE_AT, 0, args, 3);
	}
}

static void
append_one(struct block *block)
{
	for (uint32_t i = 0; i < 1365; i++) {
		const struct command_arg args[] = { key_of(block, i), { block->text[i], 1 } };
		run(block, COMMAND_APPEND, 0, 0, args, 2);
	}
}

static void
append_parts(struct block *block, uint32_t first)
{
	struct command_writer writer;
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < PARTS_MAX; i++) {
		uint8_t name[2] = { (uint8_t)(first + i), (uint8_t)((first + i) >> 8) };
		command_begin(&writer, block->text[i], PART_BYTES);
		command_add_arg(&writer, name, first + i < 256 ? 1 : 2);
		command_add_arg(&writer, "x", 1);
		assert_int_equal(command_end(&writer, COMMAND_APPEND, 0, 0, 0, 0, &bytes), TERN_OK);
		block->args[i] = (struct command_arg){ block->text[i], bytes };
	}
	run(block, COMMAND_MULTI, 0, 0, block->args, PARTS_MAX);
}

static void
append_multi(struct block *block)
{
	append_parts(block, 0);
}

/* The capacity is no more than what is there needs, so that results of APPEND are short and what is
 * reserved for them does not make up for something else. */
static const struct {
	const char *name;
	void (*before)(struct block *block);
	void (*commands)(struct block *block);
	uint32_t capacity_mib;
} blocks[] = {
	{ "MSET of new keys", nothing, mset, 1 },
	{ "MSET of keys that have expired", have_expired, mset, 1 },
	{ "MSET of what was longer", have_long, mset, 5 },
	{ "DELETE of keys that have expired", have_expired, delete_all, 1 },
	{ "DELETE", have_long, delete_all, 5 },
	{ "EXISTS of keys that have expired", have_expired, exist_all, 1 },
	{ "TICK", have_expired, tick, 1 },
	{ "SET with an expiry", nothing, expiring, 1 },
	{ "SET of keys that have expired", have_expired, expiring, 1 },
	{ "EXPIRE", have_long, expire, 6 },
	{ "SESSION_OPEN", nothing, have_sessions, 2 },
	{ "commands in sessions", have_sessions, use_sessions, 2 },
	{ "values of all classes", nothing, all_classes, 1 },
	{ "long keys", nothing, long_keys, 1 },
	{ "APPEND", have_long, append_one, 16 },
	{ "MULTI of APPEND", have_long, append_multi, 16 },
};

static void
test_no_block_takes_more(void **context)
{
	struct block *block = calloc(1, sizeof(*block));
	(void)context;

	assert_non_null(block);
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		machine_start(&block->m, &(struct machine_options){
					     .arena_bytes = 128u << 20,
					     .capacity_bytes = blocks[i].capacity_mib * MIB,
					     .sessions_max = 8192 });
		const struct state *state = block->m.state;
		block->m.time_ns = TIME_NS;
		blocks[i].before(block);
		machine_block(&block->m);
		block->m.time_ns = TIME_NS + 2;
		block->bytes = 0;
		const uint64_t before = state->arena.pages_free;
		blocks[i].commands(block);
		const uint64_t taken = before - state->arena.pages_free;
		const uint64_t most = room_pages(state, block->bytes);
		if (taken > most)
			fail_msg("%s: %llu bytes take %llu pages, %llu were asked for",
				 blocks[i].name, (unsigned long long)block->bytes,
				 (unsigned long long)taken, (unsigned long long)most);
		machine_block(&block->m);
		machine_check_hash(&block->m);
		machine_stop(&block->m);
	}
	free(block);
}

/* ---- thousands of results of APPEND at once ---- */

#define LONG_KEYS   (2 * PARTS_MAX)
#define MULTI_PAGES (PARTS_MAX / 4 * 5) /* 4 results of 4 KiB lie in 5 pages */

/* Old versions are held, and the arena is as full as makes the last of the blocks that fit by a
 * sixteenth of it not fit at all. */
static void
fill(struct block *block)
{
	struct state *state = block->m.state;
	uint32_t number = 0;

	for (uint32_t i = 0; i < LONG_KEYS; i++)
		set_long(block, key_of(block, i), 4080);
	machine_block(&block->m);
	while (state->arena.pages_free % MULTI_PAGES < 3200 ||
	       state->arena.pages_free % MULTI_PAGES > 4900) {
		set_long(block, key_of(block, 20000 + number++), 3000);
		machine_block(&block->m);
	}
}

static void
test_multi_of_longest_appends(void **context)
{
	struct block *block = calloc(1, sizeof(*block));
	struct machine *m = &block->m;
	struct state_hold hold;
	uint32_t done = 0, turns = 0;
	(void)context;

	machine_start(
	    m, &(struct machine_options){ .arena_bytes = state_arena_bytes(64 * MIB, 1 * MIB),
					  .capacity_bytes = 64 * MIB,
					  .sessions_max = 4 });
	block->m.time_ns = TIME_NS;
	fill(block);
	assert_int_equal(state_append_bytes_max(m->state), 4096);
	assert_int_equal(state_hold_begin(m->state, 0, &hold), TERN_OK);
	/* As a turn does it: all that is committed, then reclaim once. */
	for (; done < 20 && turns < 200; turns++) {
		for (; done < 20 && state_has_room(m->state, 54 * ARENA_PAGE_BYTES); done++) {
			append_parts(block, done % 2 * PARTS_MAX);
			machine_publish(m);
			state_commit(m->state, m->at.log_index - 1);
		}
		state_reclaim_turn(m->state, false);
	}
	assert_int_equal(done, 20);
	assert_in_range(state_stats(m->state).views_ended, 1, 1);
	assert_false(state_read_begin_held(m->reader, &hold));
	state_hold_end(m->state, &hold);
	machine_block(m);
	machine_check_hash(m);
	machine_stop(m);
	free(block);
}

/* ---- a full arena ---- */

/* Nothing is live that takes more than its charge and a half, with towers as they fall. */
static double
share_of(uint64_t bytes)
{
	return (double)arena_pages_for(bytes, 1 << 20) * ARENA_PAGE_BYTES / (1 << 20);
}

static double
entry_share(uint64_t key_bytes)
{
	double sum = 0, left = 1;

	for (uint32_t height = 1; height <= STATE_ORDER_LEVELS; height++) {
		const double part = height == STATE_ORDER_LEVELS ? left : left * 3 / 4;
		sum += part * share_of(sizeof(struct entry) + height * 8 + key_bytes);
		left -= part;
	}
	return sum;
}

static void
test_live_takes_half_more(void **context)
{
	static const uint32_t keys[] = { 1, 2, 3, 17, 100, 201, 233, 488, 700, 993, 1000, 1024 };
	double most = 0;
	(void)context;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const double plain = entry_share(keys[i]), place = entry_share(keys[i] + 8);
		for (uint32_t bytes = 0; bytes < 40000; bytes++) {
			const bool may_share = bytes > STATE_SHARE_BYTES_MIN;
			const double charge = STATE_KEY_CHARGE + keys[i] + bytes;
			const double longer = charge + STATE_EXPIRY_CHARGE + keys[i];
			const double value = share_of(version_size(bytes));
			const double with = share_of(version_size(bytes + 8));
			const double taken[] = {
				(plain + value) / charge,
				(plain + place + with) / longer,
				may_share ? (plain + with + share_of(version_size(8))) / charge : 0,
				may_share
				    ? (plain + place + with + share_of(version_size(16))) / longer
				    : 0,
			};
			for (uint32_t way = 0; way < 4; way++)
				most = taken[way] > most ? taken[way] : most;
		}
	}
	assert_true(most <= 1.5);
	assert_true(most > 1.49);
	/* A session, with its entry. */
	assert_true(share_of(version_size(904)) + share_of(96) <= 1.5 * STATE_SESSION_CHARGE);
}

/* The worst of them, up to the capacity: the largest block there is can be applied. */
static void
test_full_arena_has_room(void **context)
{
	struct block *block = calloc(1, sizeof(*block));
	struct machine *m = &block->m;
	const le64 expiry = le64_make(10 * TIME_NS);
	static const uint8_t zeros[2001];
	uint32_t count = 0;
	char name[16];
	(void)context;

	machine_start(
	    m, &(struct machine_options){ .arena_bytes = state_arena_bytes(64 * MIB, 1 * MIB),
					  .capacity_bytes = 64 * MIB,
					  .sessions_max = 4 });
	m->time_ns = TIME_NS;
	for (enum reply_kind kind = REPLY_OK; kind == REPLY_OK; count++) {
		(void)snprintf(name, sizeof(name), "%u", count);
		const struct command_arg args[] = { machine_text(name),
						    { zeros, sizeof(zeros) },
						    { expiry.bytes, 8 } };
		kind = machine_apply(m, COMMAND_SET, COMMAND_EXPIRE_AT, 0, 0, 0, args, 3).kind;
		if (kind == REPLY_OK)
			(void)machine_apply(m, COMMAND_PERSIST, 0, 0, 0, 0, args, 1);
		machine_block(m);
	}
	assert_in_range(count, 30000, 40000);
	assert_in_range(state_stats(m->state).arena_used_bytes, 76 * MIB, 96 * MIB);
	assert_true(state_fits_block(m->state, MIB + 8192));
	assert_true(m->state->arena.pages_free >= room_pages(m->state, MIB + 8192));
	machine_check_hash(m);
	machine_stop(m);
	free(block);
}

/* Whatever may be configured: an arena of the size that is advised has room. */
static void
test_advised_arena_fits(void **context)
{
	static const uint64_t capacities[] = { 1,    2,    4,     8,      16,     31,  32,
					       33,   64,   127,   128,    129,    255, 256,
					       257,  259,  260,   300,    512,    513, 768,
					       1024, 8192, 65536, 262144, 1048576 };
	static const uint64_t lengths[] = { 4096,           MIB / 2, MIB,     2 * MIB,
					    2 * MIB + 4096, 3 * MIB, 16 * MIB };
	(void)context;

	for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
		for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
			const uint64_t bytes = state_arena_bytes(capacities[i] * MIB, lengths[k]);
			void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			assert_ptr_not_equal(memory, MAP_FAILED);
			const struct state_config config = {
				.arena = memory,
				.arena_bytes = bytes,
				.capacity_bytes = capacities[i] * MIB,
				.value_bytes_max = (uint32_t)max_u64(lengths[k], 4096) - 2048,
				.sessions_max = 1u << 20,
				.readers_max = 8,
			};
			struct state *state = NULL;
			assert_int_equal(state_init(&config, &state), TERN_OK);
			if (!state_fits_block(state, lengths[k] + lengths[k] / 50 + 65536))
				fail_msg("capacity %llu MiB, commands of %llu bytes",
					 (unsigned long long)capacities[i],
					 (unsigned long long)lengths[k]);
			assert_int_equal(munmap(memory, bytes), 0);
		}
	}
}

/* At the capacity of a default node: of results just over 16 KiB each takes 5 pages. */
static void
test_long_results_are_counted(void **context)
{
	const uint64_t bytes = state_arena_bytes(256 * MIB, MIB);
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	const struct state_config config = { .arena = memory,
					     .arena_bytes = bytes,
					     .capacity_bytes = 256 * MIB,
					     .value_bytes_max = MIB / 2,
					     .sessions_max = 4096,
					     .readers_max = 8 };
	struct state *state = NULL;
	(void)context;

	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(state_init(&config, &state), TERN_OK);
	assert_int_equal(state_append_bytes_max(state), 16384);
	assert_int_equal(bytes, 576 * MIB);
	for (uint64_t pages = 1; pages < 300; pages++) {
		const uint64_t block_bytes = pages * ARENA_PAGE_BYTES;
		const uint64_t appends = min_u64(block_bytes / 48, PARTS_MAX);
		assert_true(room_pages(state, block_bytes) >= 5 * appends);
	}
	assert_int_equal(munmap(memory, bytes), 0);
}

/* What is larger than the arena waits as long as memory may come back, and no longer. */
static void
test_nobody_waits_for_nothing(void **context)
{
	struct block *block = calloc(1, sizeof(*block));
	struct machine *m = &block->m;
	struct state_hold hold;
	(void)context;

	machine_start(m, &(struct machine_options){ .arena_bytes = 4u << 20,
						    .capacity_bytes = 1u << 20,
						    .sessions_max = 4 });
	assert_false(state_fits_block(m->state, 64 * MIB));
	assert_true(state_has_room(m->state, 64 * MIB));
	set_long(block, machine_text("k"), 100);
	machine_block(m);
	assert_int_equal(state_hold_begin(m->state, 0, &hold), TERN_OK);
	set_long(block, machine_text("k"), 200);
	machine_block(m);
	/* The owner of the hold is not asked for long. */
	assert_false(state_has_room(m->state, 64 * MIB));
	state_reclaim_turn(m->state, false);
	assert_int_equal(state_stats(m->state).views_ended, 1);
	state_reclaim_turn(m->state, false);
	assert_true(state_has_room(m->state, 64 * MIB));
	state_hold_end(m->state, &hold);
	machine_stop(m);
	free(block);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_block_takes_more),
		cmocka_unit_test(test_multi_of_longest_appends),
		cmocka_unit_test(test_live_takes_half_more),
		cmocka_unit_test(test_full_arena_has_room),
		cmocka_unit_test(test_advised_arena_fits),
		cmocka_unit_test(test_long_results_are_counted),
		cmocka_unit_test(test_nobody_waits_for_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
