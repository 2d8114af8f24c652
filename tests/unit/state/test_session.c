/* SPDX-License-Identifier: Apache-2.0 */
/* Exactly once: windows, repeats, trims, closing and expiry. */
#include <string.h>

#include "dataplane/state/checkpoint.h"
#include "dataplane/wire/generation.h"
#include "tests/unit/state/machine.h"

static const struct machine_options small = { .arena_bytes = 4u << 20,
					      .capacity_bytes = 1u << 20,
					      .sessions_max = 3 };

static struct reply
add_in(struct machine *m, uint64_t client_id, uint64_t seq, uint16_t open_window, int64_t delta)
{
	const le64 le = le64_make((uint64_t)delta);
	const struct command_arg args[] = { machine_text("n"), { le.bytes, 8 } };

	return machine_apply(m, COMMAND_ADD, 0, client_id, seq, open_window, args, 2);
}

static struct reply
open_session(struct machine *m)
{
	return machine_apply(m, COMMAND_SESSION_OPEN, 0, 0, 0, 0, NULL, 0);
}

static struct reply
close_session(struct machine *m, uint64_t client_id)
{
	return machine_apply(m, COMMAND_SESSION_CLOSE, 0, client_id, 0, 0, NULL, 0);
}

static int64_t
counter(struct machine *m)
{
	char text[64];

	return machine_get(m, "n", text).integer;
}

static void
test_repeat_runs_once(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	const struct reply opened = open_session(&m);
	assert_int_equal(opened.kind, REPLY_SESSION);
	const uint64_t id = (uint64_t)opened.value;
	assert_int_equal(add_in(&m, id, 1, 0, 5).value, 5);
	struct reply again = add_in(&m, id, 1, 0, 5); /* in the same block */
	assert_true(again.is_repeat);
	assert_int_equal(again.kind, REPLY_INTEGER);
	assert_int_equal(again.value, 5);
	machine_block(&m);
	again = add_in(&m, id, 1, 0, 5);
	assert_true(again.is_repeat);
	assert_int_equal(again.value, 5);
	assert_false(add_in(&m, id, 2, 1, 1).is_repeat);
	machine_block(&m);
	assert_int_equal(counter(&m), 6);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* A refusal is an outcome too: the same one is told again, although the state has changed. */
static void
test_repeat_of_a_refusal(void **context)
{
	const le64 delta = le64_make((uint64_t)-50), min = le64_make(0);
	const struct command_arg args[] = { machine_text("n"),
					    { delta.bytes, 8 },
					    { min.bytes, 8 } };
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	const uint64_t id = (uint64_t)open_session(&m).value;
	machine_add(&m, "n", 20);
	struct reply reply = machine_apply(&m, COMMAND_ADD, COMMAND_HAS_MIN, id, 1, 0, args, 3);
	assert_int_equal(reply.kind, REPLY_BOUND);
	machine_block(&m);
	machine_add(&m, "n", 100);
	reply = machine_apply(&m, COMMAND_ADD, COMMAND_HAS_MIN, id, 1, 0, args, 3);
	assert_int_equal(reply.kind, REPLY_BOUND);
	assert_true(reply.is_repeat);
	assert_int_equal(reply.value, 20);
	assert_int_equal(reply.delta, -50);
	assert_int_equal(reply.bound, 0);
	machine_block(&m);
	assert_int_equal(counter(&m), 120);
	machine_stop(&m);
}

static void
test_any_order_in_the_window(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	const uint64_t id = (uint64_t)open_session(&m).value;
	for (uint64_t i = 0; i < 256; i++) {
		const uint64_t seq = 1 + (i * 91) % 256;
		assert_int_equal(add_in(&m, id, seq, (uint16_t)(seq - 1), 1).kind, REPLY_INTEGER);
	}
	machine_block(&m);
	assert_int_equal(counter(&m), 256);
	uint32_t kept = 0;
	for (uint64_t i = 0; i < 256; i++) {
		const uint64_t seq = 1 + (i * 91) % 256;
		const struct reply reply = add_in(&m, id, seq, (uint16_t)(seq - 1), 1);
		assert_true(reply.is_repeat);
		if (reply.kind == REPLY_INTEGER) {
			assert_int_equal(reply.value, (int64_t)i + 1);
			kept++;
		} else {
			assert_int_equal(reply.kind, REPLY_DONE);
			assert_int_equal(reply.value, 1);
		}
	}
	assert_int_equal(kept, 16);
	machine_block(&m);
	assert_int_equal(counter(&m), 256);
	machine_check_hash(&m);
	machine_stop(&m);
}

static void
test_trim_and_too_old(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	const uint64_t id = (uint64_t)open_session(&m).value;
	assert_int_equal(add_in(&m, id, 1, 0, 1).kind, REPLY_INTEGER);
	assert_int_equal(add_in(&m, id, 3, 2, 1).kind, REPLY_INTEGER);
	/* The client says that 5 is its lowest open one: 1 to 4 are over, also 2, which never ran.
	 */
	assert_int_equal(add_in(&m, id, 5, 0, 1).kind, REPLY_INTEGER);
	assert_int_equal(add_in(&m, id, 2, 0, 1).kind, REPLY_TOO_OLD);
	assert_int_equal(add_in(&m, id, 1, 0, 1).kind, REPLY_TOO_OLD);
	assert_int_equal(add_in(&m, id, 0, 0, 1).kind, REPLY_TOO_OLD);
	/* Beyond the window it moves, whatever the client says. */
	assert_int_equal(add_in(&m, id, 300, 299, 1).kind, REPLY_INTEGER);
	assert_int_equal(add_in(&m, id, 44, 0, 1).kind, REPLY_TOO_OLD);
	assert_int_equal(add_in(&m, id, 45, 0, 1).kind, REPLY_INTEGER);
	assert_true(add_in(&m, id, 300, 255, 1).is_repeat);
	/* Bits of a lap before are gone: 301 has the place of 45. */
	assert_false(add_in(&m, id, 301, 0, 1).is_repeat);
	/* A leap of more than a window, and the end of the number space. */
	assert_false(add_in(&m, id, 100301, 0, 1).is_repeat);
	assert_false(add_in(&m, id, UINT64_MAX - 1, 3, 1).is_repeat);
	assert_false(add_in(&m, id, UINT64_MAX, 3, 1).is_repeat);
	assert_true(add_in(&m, id, UINT64_MAX, 0, 1).is_repeat);
	assert_int_equal(add_in(&m, id, UINT64_MAX - 1, 0, 1).kind, REPLY_TOO_OLD);
	machine_block(&m);
	assert_int_equal(counter(&m), 9);
	machine_check_hash(&m);
	machine_stop(&m);
}

static void
test_unknown_and_closed(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	assert_int_equal(add_in(&m, 1, 1, 0, 1).kind, REPLY_SESSION_UNKNOWN);
	const uint64_t id = (uint64_t)open_session(&m).value;
	const uint64_t other = (uint64_t)open_session(&m).value;
	assert_int_not_equal(id, other);
	assert_int_equal(add_in(&m, id, 1, 0, 1).kind, REPLY_INTEGER);
	assert_int_equal(add_in(&m, other, 1, 0, 1).kind, REPLY_INTEGER);
	assert_int_equal(close_session(&m, id).kind, REPLY_OK);
	assert_int_equal(close_session(&m, id).kind, REPLY_SESSION_UNKNOWN);
	assert_int_equal(add_in(&m, id, 1, 0, 1).kind, REPLY_SESSION_UNKNOWN);
	machine_block(&m);
	assert_int_equal(add_in(&m, id, 2, 0, 1).kind, REPLY_SESSION_UNKNOWN);
	assert_int_equal(add_in(&m, other, 2, 0, 1).kind, REPLY_INTEGER);
	machine_block(&m);
	assert_int_equal(counter(&m), 3);
	assert_int_equal(state_stats(m.state).sessions, 1);
	machine_check_hash(&m);
	/* Numbers are never given twice. */
	assert_in_range((uint64_t)open_session(&m).value, other + 1, UINT64_MAX);
	assert_int_equal(close_session(&m, other).kind, REPLY_OK);
	machine_block(&m);
	machine_check_hash(&m);
	machine_stop(&m);
}

static void
test_table_full_and_expiry(void **context)
{
	const uint64_t idle_ns = 600ULL * 1000000000ULL;
	struct machine m;
	uint64_t ids[3];
	(void)context;

	machine_start(&m, &small);
	for (int i = 0; i < 3; i++)
		ids[i] = (uint64_t)open_session(&m).value;
	assert_int_equal(open_session(&m).kind, REPLY_OUT_OF_MEMORY);
	machine_block(&m);
	m.time_ns += idle_ns;
	assert_int_equal(add_in(&m, ids[0], 1, 0, 1).kind, REPLY_INTEGER);
	assert_int_equal(open_session(&m).kind, REPLY_OUT_OF_MEMORY); /* not longer than the time */
	machine_block(&m);
	m.time_ns += 1;
	assert_int_equal(open_session(&m).kind, REPLY_SESSION);
	/* The longest unused one went, not the first opened. */
	assert_int_equal(add_in(&m, ids[1], 1, 0, 1).kind, REPLY_SESSION_UNKNOWN);
	assert_true(add_in(&m, ids[0], 1, 0, 1).is_repeat);
	assert_int_equal(add_in(&m, ids[2], 1, 0, 1).kind, REPLY_INTEGER);
	machine_block(&m);
	assert_int_equal(state_stats(m.state).sessions, 3);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* A view sees the sessions of its position, while the writer goes on in the same ones. */
/* A refusal whose reply is no longer kept is still told from what was executed. */
static void
test_old_refusals(void **context)
{
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	const uint64_t id = (uint64_t)open_session(&m).value;
	const int64_t numbers[2] = { 5, 4 };
	const struct command_arg args[] = {
		machine_text("bounded"),
		{ (const uint8_t *)&numbers[0], 8 },
		{ (const uint8_t *)&numbers[1], 8 },
	};
	assert_int_equal(machine_apply(&m, COMMAND_ADD, COMMAND_HAS_MAX, id, 1, 0, args, 3).kind,
			 REPLY_BOUND);
	for (uint64_t seq = 2; seq < 30; seq++)
		add_in(&m, id, seq, (uint16_t)(seq - 1), 1);
	assert_int_equal(machine_apply(&m, COMMAND_ADD, COMMAND_HAS_MAX, id, 1, 0, args, 3).kind,
			 REPLY_REFUSED);
	assert_int_equal(add_in(&m, id, 2, 1, 1).kind, REPLY_DONE);
	/* The same place in the window, later: the mark is gone. */
	assert_int_equal(add_in(&m, id, 257, 0, 1).kind, REPLY_INTEGER);
	for (uint64_t seq = 258; seq < 280; seq++)
		add_in(&m, id, seq, (uint16_t)(seq - 257), 1);
	assert_int_equal(add_in(&m, id, 257, 0, 1).kind, REPLY_DONE);
	machine_block(&m);
	machine_check_hash(&m);
	machine_stop(&m);
}

static void
test_sessions_are_versioned(void **context)
{
	struct state_reader *reader;
	struct machine m;
	uint64_t index = 0;
	(void)context;

	machine_start(&m, &small);
	const uint64_t id = (uint64_t)open_session(&m).value;
	add_in(&m, id, 1, 0, 1);
	machine_block(&m);
	reader = state_reader_open(m.state);
	assert_non_null(reader);
	assert_int_equal(state_read_begin(reader), 1);
	const uint64_t before = state_read_hash(reader, &index);
	for (uint64_t seq = 2; seq < 40; seq++) {
		add_in(&m, id, seq, 0, 1);
		add_in(&m, id, seq, 0, 1);
		machine_block(&m);
		assert_int_equal(state_hash_scan(reader), before);
		assert_int_not_equal(state_hash(m.state), before);
	}
	close_session(&m, id);
	machine_block(&m);
	assert_int_equal(state_hash_scan(reader), before);
	state_read_end(reader);
	state_reader_close(reader);
	machine_check_hash(&m);
	machine_stop(&m);
}

/* `a` and `b` are one, then `a` goes on alone and is lost, and `b` begins the next generation: who
 * comes with a session of `a` is told that there is none, not what another client did. */
static void
test_generations_share_no_id(void **context)
{
	const uint64_t first = UINT64_C(2) << STATE_SESSION_ID_BITS;
	struct checkpoint_state image;
	struct machine a, b;
	(void)context;

	machine_start(&a, &small);
	machine_start(&b, &small);
	assert_int_equal(open_session(&a).value, 1);
	assert_int_equal(open_session(&b).value, 1);
	machine_block(&a);
	machine_block(&b);
	const uint64_t lost = (uint64_t)open_session(&a).value;
	assert_int_equal(lost, 2);
	state_begin_generation(b.state, 2); /* a block by itself */
	machine_block(&b);
	const uint64_t id = (uint64_t)open_session(&b).value;
	assert_int_equal(id, first);
	for (uint64_t seq = 1; seq < 10; seq++)
		assert_int_equal(add_in(&b, id, seq, 0, 1).kind, REPLY_INTEGER);
	assert_int_equal(add_in(&b, lost, 7, 0, 1).kind, REPLY_SESSION_UNKNOWN);
	assert_int_equal(add_in(&b, 1, 1, 0, 1).kind, REPLY_INTEGER); /* both had it */
	machine_block(&b);
	assert_int_equal(counter(&b), 10);
	machine_check_hash(&b);
	state_checkpoint_begin(b.state, &image);
	assert_int_equal(image.client_id_next, first + 1);
	state_checkpoint_end(b.state);
	machine_stop(&a);
	machine_stop(&b);
}

/* What is opened above the commit, and rolled back, leaves the generation's numbers as they were;
 * and none is given out twice if the same generation is said once more, or an earlier one. */
static void
test_numbers_of_a_generation(void **context)
{
	const uint64_t last = (uint64_t)GENERATION_NUMBER_MAX << STATE_SESSION_ID_BITS;
	struct machine m;
	(void)context;

	machine_start(&m, &small);
	state_begin_generation(m.state, GENERATION_NUMBER_MAX);
	machine_block(&m);
	for (uint32_t i = 0; i < 2; i++) {
		const struct reply opened = open_session(&m);
		assert_int_equal((uint64_t)opened.value, last);
		assert_true(opened.value > 0);
		assert_int_equal(add_in(&m, last, 1, 0, 1).kind, REPLY_INTEGER);
		machine_publish(&m);
		if (i == 0)
			machine_rollback(&m, 1);
	}
	state_commit(m.state, 2);
	machine_check_hash(&m);
	state_begin_generation(m.state, 3);
	state_begin_generation(m.state, GENERATION_NUMBER_MAX);
	assert_int_equal((uint64_t)open_session(&m).value, last + 1);
	expect_assert_failure(state_begin_generation(m.state, GENERATION_NUMBER_MAX + 1));
	machine_stop(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repeat_runs_once),
		cmocka_unit_test(test_repeat_of_a_refusal),
		cmocka_unit_test(test_any_order_in_the_window),
		cmocka_unit_test(test_trim_and_too_old),
		cmocka_unit_test(test_unknown_and_closed),
		cmocka_unit_test(test_table_full_and_expiry),
		cmocka_unit_test(test_sessions_are_versioned),
		cmocka_unit_test(test_old_refusals),
		cmocka_unit_test(test_generations_share_no_id),
		cmocka_unit_test(test_numbers_of_a_generation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
