/* SPDX-License-Identifier: Apache-2.0 */
/* Positions that are held for reads: what they show, when they can be had, when they are taken
 * back. */
#include "dataplane/state/hold.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/base/prng.h"
#include "tests/unit/state/machine.h"

static const struct machine_options small = {
	.arena_bytes = 8u << 20, .capacity_bytes = 2u << 20, .hash_seed = 5, .sessions_max = 16
};

static void
blocks(struct machine *m, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		machine_add(m, "n", 1);
		machine_block(m);
	}
}

/* Views come and go, the publications of the position are long gone, and it is what it was. */
static void
test_hold_stays(void **context)
{
	struct state_hold hold;
	struct machine m;
	uint64_t index = 0;
	(void)context;

	machine_start(&m, &small);
	machine_set(&m, "gone", "here");
	blocks(&m, 1);
	assert_int_equal(state_hold_begin(m.state, 0, &hold), TERN_OK);
	assert_int_equal(state_hold_index(&hold), 1);
	machine_delete(&m, "gone");
	machine_set(&m, "later", "x");
	blocks(&m, 2 * STATE_PUBLISHED_KEPT);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(state_read_begin_held(m.reader, &hold));
		assert_int_equal(state_read_get(m.reader, "n", 1).integer, 1);
		assert_int_equal(state_read_get(m.reader, "gone", 4).type, STATE_BYTES);
		assert_int_equal(state_read_get(m.reader, "later", 5).type, STATE_NONE);
		assert_int_equal(state_read_key_count(m.reader), 2);
		const uint64_t hash = state_read_hash(m.reader, &index);
		assert_int_equal(index, 1);
		assert_int_equal(state_hash_scan(m.reader), hash);
		state_read_end(m.reader);
		blocks(&m, 10);
	}
	const uint64_t before = state_stats(m.state).versions_live;
	state_hold_end(m.state, &hold);
	expect_assert_failure(state_hold_end(m.state, &hold));
	blocks(&m, 10);
	assert_true(state_stats(m.state).versions_live < before);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* An older position can be had while nothing of it is gone, a later one never. */
static void
test_which_positions(void **context)
{
	struct state_hold hold, old;
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	blocks(&m, 1);
	machine_set(&m, "a", "1");
	machine_block(&m);
	machine_set(&m, "b", "1");
	machine_block(&m); /* 3: nothing of 2 was overwritten */
	assert_int_equal(state_hold_begin(m.state, 2, &hold), TERN_OK);
	assert_true(state_read_begin_held(m.reader, &hold));
	assert_int_equal(state_read_get(m.reader, "b", 1).type, STATE_NONE);
	assert_int_equal(state_read_key_count(m.reader), 2);
	state_read_end(m.reader);
	blocks(&m, 5);
	/* It keeps itself, and what is newer. */
	assert_int_equal(state_hold_begin(m.state, 4, &old), TERN_OK);
	state_hold_end(m.state, &old);
	state_hold_end(m.state, &hold);
	blocks(&m, 5);
	assert_int_equal(state_hold_begin(m.state, 4, &old), TERN_ERR_NOT_FOUND);
	const uint64_t last = m.at.log_index - 1;
	assert_int_equal(state_hold_begin(m.state, last + 1, &old), TERN_ERR_BUSY);
	/* What is published may be rolled back. */
	machine_add(&m, "n", 1);
	machine_publish(&m);
	assert_int_equal(state_hold_begin(m.state, last + 1, &old), TERN_ERR_BUSY);
	assert_int_equal(state_hold_begin(m.state, last, &old), TERN_OK);
	machine_rollback(&m, last);
	blocks(&m, 3);
	assert_true(state_read_begin_held(m.reader, &old));
	assert_int_equal(state_read_get(m.reader, "n", 1).integer, 11);
	state_read_end(m.reader);
	state_hold_end(m.state, &old);
	machine_stop(&m);
}

static void
test_holds_are_bounded(void **context)
{
	struct state_hold holds[STATE_HOLDS_MAX], more;
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		blocks(&m, 1);
		assert_int_equal(state_hold_begin(m.state, 0, &holds[i]), TERN_OK);
	}
	assert_int_equal(state_hold_begin(m.state, 0, &more), TERN_ERR_QUEUE_FULL);
	state_hold_end(m.state, &holds[0]);
	assert_int_equal(state_hold_begin(m.state, 0, &more), TERN_OK);
	assert_int_equal(state_hold_index(&more), STATE_HOLDS_MAX);
	for (uint32_t i = 1; i < STATE_HOLDS_MAX; i++) {
		assert_true(state_read_begin_held(m.reader, &holds[i]));
		assert_int_equal(state_read_get(m.reader, "n", 1).integer, i + 1);
		state_read_end(m.reader);
		state_hold_end(m.state, &holds[i]);
	}
	state_hold_end(m.state, &more);
	machine_stop(&m);
}

/* The writer never waits for an owner: it takes back what keeps too much, and a view through it
 * that has begun is told to end, as any other. */
static void
test_crowded_hold_is_taken_back(void **context)
{
	char value[2048];
	struct state_hold hold;
	struct machine m;
	uint32_t count = 0;
	(void)context;

	machine_start(&m, &small);
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	machine_set(&m, "k", "old");
	machine_block(&m);
	assert_int_equal(state_hold_begin(m.state, 0, &hold), TERN_OK);
	for (; state_stats(m.state).views_ended == 0 && count < 10000; count++) {
		assert_true(state_has_room(m.state, 2100));
		machine_set(&m, "k", value);
		machine_block(&m);
	}
	assert_in_range(count, 1000, 9999);
	assert_false(state_read_begin_held(m.reader, &hold));
	for (uint32_t i = 0; i < 10000; i++) {
		assert_true(state_has_room(m.state, 2100));
		machine_set(&m, "k", value);
		machine_block(&m);
	}
	/* Its place is the owner's until that gives it back. */
	state_hold_end(m.state, &hold);
	assert_int_equal(state_hold_begin(m.state, 0, &hold), TERN_OK);
	assert_true(state_read_begin_held(m.reader, &hold));
	state_read_end(m.reader);
	state_hold_end(m.state, &hold);
	machine_stop(&m);
}

struct kept {
	bool is_used;
	struct state_hold hold;
	uint64_t hash, keys;
};

static void
take_one(struct machine *m, struct prng *prng, struct kept *kept)
{
	const uint64_t last = m->at.log_index - 1;
	const uint64_t back = prng_below(prng, 4);
	const uint64_t index = prng_below(prng, 2) == 0 || back >= last ? 0 : last - back;

	if (state_hold_begin(m->state, index, &kept->hold) != TERN_OK)
		return;
	kept->is_used = true;
	assert_true(state_read_begin_held(m->reader, &kept->hold));
	uint64_t at = 0;
	kept->hash = state_read_hash(m->reader, &at);
	kept->keys = state_read_key_count(m->reader);
	assert_int_equal(at, index == 0 ? last : index);
	assert_int_equal(state_hash_scan(m->reader), kept->hash);
	state_read_end(m->reader);
}

static void
write_some(struct machine *m, struct prng *prng)
{
	for (uint64_t i = prng_below(prng, 6); i > 0; i--) {
		char key[16];
		(void)snprintf(key, sizeof(key), "k%u", (uint32_t)prng_below(prng, 40));
		if (prng_below(prng, 3) == 0)
			(void)machine_delete(m, key);
		else
			(void)machine_set(m, key, "something longer than eight");
	}
}

/* Random writes, rollbacks, and holds of all ages: each shows the state of its position, to the
 * last key and session, for as long as it is there. */
static void
test_holds_by_the_model(void **context)
{
	struct kept kept[STATE_HOLDS_MAX] = { 0 };
	uint32_t taken = 0, checked = 0;
	struct machine m;
	struct prng prng;
	(void)context;

	machine_start(&m, &small);
	prng_seed(&prng, 77);
	for (uint32_t round = 0; round < 20000; round++) {
		struct kept *one = &kept[prng_below(&prng, STATE_HOLDS_MAX)];
		write_some(&m, &prng);
		if (prng_below(&prng, 10) == 0 && m.at.log_index > 1) {
			const uint64_t committed = state_committed_index(m.state);
			machine_publish(&m);
			write_some(&m, &prng);
			machine_rollback(&m, committed);
		} else {
			machine_block(&m);
		}
		if (prng_below(&prng, 8) != 0)
			continue;
		if (!one->is_used) {
			take_one(&m, &prng, one);
			taken += one->is_used;
			continue;
		}
		assert_true(state_read_begin_held(m.reader, &one->hold));
		assert_int_equal(state_hash_scan(m.reader), one->hash);
		assert_int_equal(state_read_key_count(m.reader), one->keys);
		state_read_end(m.reader);
		checked++;
		if (prng_below(&prng, 3) == 0) {
			state_hold_end(m.state, &one->hold);
			one->is_used = false;
		}
	}
	assert_in_range(taken, 100, UINT32_MAX);
	assert_in_range(checked, 500, UINT32_MAX);
	machine_stop(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hold_stays),
		cmocka_unit_test(test_which_positions),
		cmocka_unit_test(test_holds_are_bounded),
		cmocka_unit_test(test_crowded_hold_is_taken_back),
		cmocka_unit_test(test_holds_by_the_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
