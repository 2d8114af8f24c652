/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a front end gets through its channel: refusals, full queues, and what becomes of sealed
 * commands when mastership ends.
 */
#include "tests/unit/runtime/alone.h"

#include <stdio.h>
#include <string.h>

/* No copy of the superblock is left that a build could start with which cannot read this log. */
static void
test_storage_of_an_earlier_version(void **context)
{
	struct alone *alone = *context;
	struct superblock superblock;

	for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
		const uint8_t *copy = alone->device->image + i * PAGE_BYTES;
		assert_int_equal(superblock_decode(copy, &superblock), TERN_OK);
		assert_int_equal(superblock.format, SUPERBLOCK_FORMAT);
		assert_int_equal(superblock.boot_no, 1);
	}
}

/* What the newest superblock copy says of it; @sequence: its number. */
static struct superblock_floor
floor_on_device(const struct alone *alone, uint64_t *sequence)
{
	struct superblock newest = { 0 };

	for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
		struct superblock superblock;
		assert_int_equal(
		    superblock_decode(alone->device->image + i * PAGE_BYTES, &superblock), TERN_OK);
		if (superblock.sequence > newest.sequence)
			newest = superblock;
	}
	*sequence = newest.sequence;
	return newest.shards[0].floor;
}

/* Of the block that was written last no group says that it was acknowledged. */
static void
test_an_idle_log_tells_its_floor(void **context)
{
	struct alone *alone = *context;
	uint64_t before, sequence;

	alone_become_master(alone);
	for (uint64_t i = 0; i < 2; i++) {
		alone_expect(alone, alone_set(alone, "k", 1), SUBMIT_DONE);
		const uint64_t last = runtime_view(alone->runtime)->last_index;
		const uint64_t told = floor_on_device(alone, &before).log_index;
		assert_true(told < last);
		alone_turns(alone, 4000);
		const struct superblock_floor floor = floor_on_device(alone, &sequence);
		assert_int_equal(floor.log_index, last);
		assert_int_equal(floor.boot_no, 1);
		assert_int_equal(floor.group_seq, 2 + i);
		assert_int_equal(sequence, before + 1);
		/* Once. */
		alone_turns(alone, 20000);
		assert_int_equal(floor_on_device(alone, &sequence).log_index, last);
		assert_int_equal(sequence, before + 1);
	}
}

static void
test_no_master_no_service(void **context)
{
	struct alone *alone = *context;

	alone_expect(alone, alone_set(alone, "k", 1), SUBMIT_REFUSED_NOT_MASTER);
	alone_expect(alone, alone_ask(alone, SUBMIT_READ, NULL, 0), SUBMIT_REFUSED_NOT_MASTER);
	alone_expect(alone, alone_ask(alone, SUBMIT_TRANSFER, NULL, 0), SUBMIT_REFUSED_NOT_MASTER);
	assert_false(runtime_view(alone->runtime)->is_serving);
}

static void
test_what_is_wrong_is_refused(void **context)
{
	struct alone *alone = *context;
	const uint8_t noise[64] = { 0xff, 0xff, 0xff };

	alone_become_master(alone);
	const uint64_t last = runtime_view(alone->runtime)->last_index;
	alone_expect(alone, alone_ask(alone, SUBMIT_WRITE, noise, sizeof(noise)),
		     SUBMIT_REFUSED_MALFORMED);
	alone_expect(alone, alone_set(alone, "k", 2 * ALONE_COMMAND_MAX), SUBMIT_REFUSED_TOO_LARGE);
	/* Nobody to hand over to. */
	assert_int_not_equal(
	    alone_answer(alone, alone_ask(alone, SUBMIT_TRANSFER, NULL, 0)).outcome, SUBMIT_DONE);
	assert_int_equal(runtime_view(alone->runtime)->last_index, last);
	/* And service goes on: a refusal leaves nothing behind. */
	const uint64_t tag = alone_set(alone, "k", 1);
	const struct submit_completion done = alone_answer(alone, tag);
	assert_int_equal(done.outcome, SUBMIT_DONE);
	assert_int_equal(done.log_index, last + 1);
	assert_int_equal(done.slot, 0);
	const struct submit_completion read =
	    alone_answer(alone, alone_ask(alone, SUBMIT_READ, NULL, 0));
	assert_int_equal(read.outcome, SUBMIT_DONE);
	assert_true(read.log_index >= done.log_index);
}

/* The core is told the time before it judges, and may answer with a barrier: that opens a block of
 * its own. */
static void
test_force_finds_no_open_block(void **context)
{
	struct alone *alone = *context;

	alone_become_master(alone);
	const uint64_t last = runtime_view(alone->runtime)->last_index;
	const uint64_t write = alone_set(alone, "k", 1);
	const uint64_t force = alone_ask(alone, SUBMIT_FORCE, NULL, 0);
	const struct submit_completion refused = alone_answer(alone, force);
	assert_int_equal(refused.outcome, SUBMIT_REFUSED_FORCE);
	assert_int_equal(refused.change, CORE_FORCE_MASTER);
	assert_int_equal(refused.log_index, last + 2); /* behind the block of the write */
	const struct submit_completion done = alone_answer(alone, write);
	assert_int_equal(done.outcome, SUBMIT_DONE);
	assert_int_equal(done.log_index, last + 1);
}

/* While the device holds its writes the channel fills up; nothing is answered, nothing is lost. */
static void
test_full_queues_wait(void **context)
{
	struct alone *alone = *context;
	char key[16];

	alone_become_master(alone);
	alone->device->is_held = true;
	for (uint32_t i = 0; i < ALONE_IN_FLIGHT_MAX; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		alone_set(alone, key, 3000);
		alone_turns(alone, 3);
	}
	assert_true(ring_is_empty(&alone->channel.completions));
	assert_false(ring_is_empty(&alone->channel.requests));
	assert_int_equal(state_stats(alone->state).keys, 0);
	alone->device->is_held = false;
	uint64_t before = 0;
	for (uint32_t i = 0; i < ALONE_IN_FLIGHT_MAX; i++) {
		const struct submit_completion done = alone_answer(alone, i + 1);
		const uint64_t place = done.log_index << 16 | done.slot;
		assert_int_equal(done.outcome, SUBMIT_DONE);
		assert_true(place > before);
		before = place;
	}
	assert_int_equal(state_stats(alone->state).keys, ALONE_IN_FLIGHT_MAX);
}

static void
test_a_full_log_refuses_writes_only(void **context)
{
	struct alone *alone = *context;
	uint32_t outcome = SUBMIT_DONE, count = 0;

	alone_become_master(alone);
	for (; count < ALONE_LOG_PAGES + 1 && outcome == SUBMIT_DONE; count++)
		outcome = alone_answer(alone, alone_set(alone, "k", 3000)).outcome;
	assert_int_equal(outcome, SUBMIT_REFUSED_LOG_FULL);
	assert_true(count > ALONE_LOG_PAGES * 9 / 10 && count < ALONE_LOG_PAGES);
	alone_expect(alone, alone_ask(alone, SUBMIT_READ, NULL, 0), SUBMIT_DONE);
	alone_expect(alone, alone_set(alone, "k", 3000), SUBMIT_REFUSED_LOG_FULL);
}

/* Sets one of @keys keys after the other, as many at once as the channel takes. Returns how many of
 * @count were refused, for a full log; the others are done. */
static uint32_t
set_many(struct alone *alone, uint32_t keys, uint32_t count)
{
	uint32_t refused = 0;
	char key[16];

	for (uint32_t done = 0; done < count; done += ALONE_IN_FLIGHT_MAX) {
		for (uint32_t i = 0; i < ALONE_IN_FLIGHT_MAX; i++) {
			snprintf(key, sizeof(key), "k%u", i % keys);
			alone_set(alone, key, 3000);
		}
		for (uint32_t i = 0; i < ALONE_IN_FLIGHT_MAX; i++) {
			const uint32_t outcome = alone_next_answer(alone).outcome;
			if (outcome != SUBMIT_DONE)
				assert_int_equal(outcome, SUBMIT_REFUSED_LOG_FULL);
			refused += outcome != SUBMIT_DONE;
		}
	}
	return refused;
}

/* Commands that come faster than the log is freed wait for that. */
static void
test_a_log_that_is_freed_refuses_nothing(void **context)
{
	struct alone *alone = *context;

	alone_become_master(alone);
	assert_int_equal(set_many(alone, 1, 10 * ALONE_LOG_PAGES), 0);
}

/* The state has no room in a checkpoint: nothing frees the log, and nobody waits for it. */
static void
test_a_log_that_cannot_be_freed_refuses(void **context)
{
	struct alone *alone = *context;

	alone_become_master(alone);
	assert_true(set_many(alone, 4, 2 * ALONE_LOG_PAGES) > 0);
	alone_expect(alone, alone_ask(alone, SUBMIT_READ, NULL, 0), SUBMIT_DONE);
}

/* A checkpoint that does not get on: writes wait a second for it, then they are refused, and what
 * is behind them has its turn. */
static void
test_a_log_that_is_not_freed_in_time_refuses(void **context)
{
	struct alone *alone = *context;
	uint64_t tag = 0;

	alone_become_master(alone);
	alone->device->held_from = ALONE_SLOTS_PAGE * PAGE_BYTES;
	for (uint32_t i = 0; i < ALONE_LOG_PAGES && ring_is_empty(&alone->channel.requests); i++) {
		tag = alone_set(alone, "k", 3000);
		alone_turns(alone, 20);
		if (ring_is_empty(&alone->channel.requests))
			alone_expect(alone, tag, SUBMIT_DONE);
	}
	assert_false(ring_is_empty(&alone->channel.requests));
	const uint64_t read = alone_ask(alone, SUBMIT_READ, NULL, 0);
	alone_turns(alone, 5000);
	assert_true(ring_is_empty(&alone->channel.completions));
	alone_expect(alone, tag, SUBMIT_REFUSED_LOG_FULL);
	alone_expect(alone, read, SUBMIT_DONE);
	alone->device->held_from = 0;
	alone_turns(alone, 100);
	alone_expect(alone, alone_set(alone, "k", 3000), SUBMIT_DONE);
}

/* The device fails under sealed commands: nobody knows what it kept, so they are UNKNOWN and never
 * refused; what comes later is refused. Every request gets its one completion. */
static void
test_sealed_commands_are_unknown_after_a_fall(void **context)
{
	struct alone *alone = *context;

	alone_become_master(alone);
	alone_expect(alone, alone_set(alone, "before", 10), SUBMIT_DONE);
	alone->device->is_held = true;
	const uint64_t sealed = alone_set(alone, "sealed", 10);
	alone_turns(alone, 5);
	const uint64_t last = runtime_view(alone->runtime)->last_index;
	alone->device->is_held = false;
	alone->device->is_broken = true;
	alone_expect(alone, sealed, SUBMIT_UNKNOWN);
	alone_expect(alone, alone_set(alone, "later", 10), SUBMIT_REFUSED_NOT_MASTER);
	alone_expect(alone, alone_ask(alone, SUBMIT_READ, NULL, 0), SUBMIT_REFUSED_NOT_MASTER);
	alone_turns(alone, 5000);
	assert_true(ring_is_empty(&alone->channel.completions));
	assert_int_equal(runtime_view(alone->runtime)->last_index, last);
	assert_int_not_equal(runtime_view(alone->runtime)->role, CORE_MASTER);
}

/* Where it stands is said at once, without a result; it is executed there, when that commits. */
static void
test_async_is_accepted_at_a_position(void **context)
{
	struct alone *alone = *context;

	alone_become_master(alone);
	alone->device->is_held = true;
	const uint64_t last = runtime_view(alone->runtime)->last_index;
	const uint64_t durable = alone_set(alone, "durable", 1);
	const uint64_t first = alone_set_as(alone, "a", 1, COMMAND_ASYNC, 0);
	const uint64_t second = alone_set_as(alone, "b", 1, COMMAND_ASYNC, 0);
	const struct submit_completion one = alone_answer(alone, first),
				       two = alone_answer(alone, second);
	assert_int_equal(one.outcome, SUBMIT_ACCEPTED);
	assert_int_equal(two.outcome, SUBMIT_ACCEPTED);
	assert_int_equal(one.class_, COMMAND_ASYNC);
	assert_int_equal(one.reply.kind, 0);
	assert_int_equal(one.copies, 0);
	assert_int_equal(one.term, runtime_view(alone->runtime)->term);
	assert_int_equal(one.log_index, last + 1);
	assert_int_equal(one.slot, 1);
	assert_int_equal(two.slot, 2);
	alone_turns(alone, 20);
	assert_int_equal(state_stats(alone->state).keys, 0);
	assert_true(ring_is_empty(&alone->channel.completions));
	alone->device->is_held = false;
	const struct submit_completion done = alone_answer(alone, durable);
	assert_int_equal(done.outcome, SUBMIT_DONE);
	assert_int_equal(done.log_index, one.log_index);
	struct state_reader *reader = state_reader_open(alone->state);
	assert_true(state_read_begin(reader) >= one.log_index);
	const struct state_value value = state_read_get(reader, "b", 1);
	assert_int_equal(value.version.log_index, two.log_index);
	assert_int_equal(value.version.slot, two.slot);
	state_read_end(reader);
	state_reader_close(reader);
	alone_turns(alone, 20);
	assert_true(ring_is_empty(&alone->channel.completions)); /* one answer each */
}

/* They are open no longer than until they are accepted: there may be more of them than requests. */
static void
test_async_holds_no_place(void **context)
{
	struct alone *alone = *context;

	alone_become_master(alone);
	alone->device->is_held = true;
	for (uint32_t block = 0; block < 2; block++) {
		const uint64_t first = alone->tag + 1;
		for (uint32_t i = 0; i < ALONE_IN_FLIGHT_MAX; i++)
			alone_set_as(alone, "k", 8, COMMAND_ASYNC, 0);
		for (uint32_t i = 0; i < ALONE_IN_FLIGHT_MAX; i++)
			alone_expect(alone, first + i, SUBMIT_ACCEPTED);
	}
	assert_int_equal(state_stats(alone->state).keys, 0);
	alone->device->is_held = false;
	alone_expect(alone, alone_set(alone, "k", 8), SUBMIT_DONE);
}

static void
test_what_async_cannot_be(void **context)
{
	static const uint8_t flags[] = { COMMAND_IF_ABSENT, COMMAND_IF_PRESENT, COMMAND_GET_OLD };
	struct alone *alone = *context;
	uint8_t open[COMMAND_HDR_BYTES];
	struct command_writer writer;
	uint32_t bytes;

	alone_become_master(alone);
	const uint64_t last = runtime_view(alone->runtime)->last_index;
	for (size_t i = 0; i < sizeof(flags); i++)
		alone_expect(alone, alone_set_as(alone, "k", 1, COMMAND_ASYNC, flags[i]),
			     SUBMIT_REFUSED_CLASS);
	command_begin(&writer, open, sizeof(open));
	assert_int_equal(command_end(&writer, COMMAND_SESSION_OPEN, 0, 0, 0, 0, &bytes), TERN_OK);
	command_set_class(open, COMMAND_ASYNC);
	alone_expect(alone, alone_ask(alone, SUBMIT_WRITE, open, bytes), SUBMIT_REFUSED_CLASS);
	assert_int_equal(runtime_view(alone->runtime)->last_index, last);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, alone_start, alone_stop)
	const struct CMUnitTest tests[] = {
		TEST(test_storage_of_an_earlier_version),
		TEST(test_an_idle_log_tells_its_floor),
		TEST(test_no_master_no_service),
		TEST(test_what_is_wrong_is_refused),
		TEST(test_force_finds_no_open_block),
		TEST(test_full_queues_wait),
		TEST(test_a_full_log_refuses_writes_only),
		cmocka_unit_test_setup_teardown(test_a_log_that_is_freed_refuses_nothing,
						alone_start_with_checkpoints, alone_stop),
		cmocka_unit_test_setup_teardown(test_a_log_that_cannot_be_freed_refuses,
						alone_start_with_checkpoints, alone_stop),
		cmocka_unit_test_setup_teardown(test_a_log_that_is_not_freed_in_time_refuses,
						alone_start_with_checkpoints, alone_stop),
		TEST(test_sealed_commands_are_unknown_after_a_fall),
		TEST(test_async_is_accepted_at_a_position),
		TEST(test_async_holds_no_place),
		TEST(test_what_async_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
