/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints that come to harm under a running node: the log that a start would need instead is
 * kept, and what is written goes over the one that is of no use.
 */
#include "tests/unit/runtime/alone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/runtime/runtime_internal.h"

#define VALUE_BYTES 3000u

/* ---- a node on its own ---- */

static struct cmdlog_stats
log_of(const struct alone *alone)
{
	return cmdlog_stats(alone->runtime->log);
}

static const struct superblock_checkpoint *
record_of(const struct alone *alone, uint32_t slot)
{
	return &alone->runtime->superblock.shards[0].checkpoints[slot];
}

/* Returns at which position. */
static uint64_t
write_one(struct alone *alone)
{
	const struct submit_completion done =
	    alone_answer(alone, alone_set(alone, "k", VALUE_BYTES));

	assert_int_equal(done.outcome, SUBMIT_DONE);
	return done.log_index;
}

/* Until both slots hold one, and nothing is being written. */
static void
write_two_checkpoints(struct alone *alone)
{
	const struct checkpointer *c = &alone->runtime->checkpoint;

	for (uint32_t i = 0; i < ALONE_LOG_PAGES && c->written < 2; i++)
		(void)write_one(alone);
	alone_turns(alone, 100);
	assert_int_equal(c->phase, CHECKPOINT_IDLE);
	assert_true(c->older_index != 0 && c->newest_index > c->older_index);
}

static void
checkpoint_harm(struct alone *alone, uint32_t slot)
{
	const uint64_t page = ALONE_SLOTS_PAGE + slot * ALONE_SLOT_PAGES + 1;

	alone->device->image[page * PAGE_BYTES + 100] ^= 1;
}

/* A scrub finds it; what is written to the slots from then on stays under way. */
static void
harm_find(struct alone *alone)
{
	const struct checkpointer *c = &alone->runtime->checkpoint;

	assert_true(runtime_scrub_begin(alone->runtime));
	for (uint32_t i = 0; i < ALONE_TURNS_MAX && c->hurt == 0; i++)
		alone_turns(alone, 1);
	assert_int_not_equal(c->hurt, 0);
	alone->device->held_from = ALONE_SLOTS_PAGE * PAGE_BYTES;
}

/* Writes until more of the log area is in use than @share percent, or no more goes. The position of
 * the last one that was acknowledged. */
static uint64_t
fill(struct alone *alone, uint64_t share)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < ALONE_LOG_PAGES; i++) {
		const struct cmdlog_stats stats = log_of(alone);
		if (stats.used_pages * 100 > stats.area_pages * share)
			break;
		const uint64_t tag = alone_set(alone, "k", VALUE_BYTES);
		const struct submit_completion done = alone_answer(alone, tag);
		if (done.outcome != SUBMIT_DONE)
			break;
		last = done.log_index;
	}
	alone_turns(alone, 100);
	return last;
}

/* After a power cut the node starts, and has what it acknowledged. */
static void
crash_and_check(struct alone *alone, uint64_t log_index)
{
	assert_int_equal(alone_restart(alone), RUNTIME_BOOT_READY);
	alone_become_master(alone);
	alone_turns(alone, 10);
	struct state_reader *reader = state_reader_open(alone->state);
	assert_true(state_read_begin(reader) >= log_index);
	const struct state_value value = state_read_get(reader, "k", 1);
	assert_int_equal(value.version.log_index, log_index);
	state_read_end(reader);
	state_reader_close(reader);
}

/* The log is full, and nothing takes the place of the newest one yet. */
static void
test_the_log_behind_the_older_one_is_kept(void **context)
{
	struct alone *alone = *context;
	struct checkpointer *c = &alone->runtime->checkpoint;

	alone_become_master(alone);
	write_two_checkpoints(alone);
	const uint64_t older = c->older_index, newest = c->newest_index;
	checkpoint_harm(alone, c->newest_slot);
	harm_find(alone);
	const uint64_t last = fill(alone, 100);
	assert_true(last > newest);
	assert_true(log_of(alone).used_pages * 4 > log_of(alone).area_pages * 3);
	assert_true(log_of(alone).base_index <= older);
	crash_and_check(alone, last);
	assert_int_equal(alone->runtime->boot.recover.hdr.meta.log_index, older);
	/* And goes on, as if nothing had been. */
	for (uint32_t i = 0; i < 4 * ALONE_LOG_PAGES; i++)
		(void)write_one(alone);
	assert_true(log_of(alone).base_index > newest);
}

static void
test_one_that_takes_its_place_frees_the_log(void **context)
{
	struct alone *alone = *context;
	struct checkpointer *c = &alone->runtime->checkpoint;

	alone_become_master(alone);
	write_two_checkpoints(alone);
	const uint64_t older = c->older_index, newest = c->newest_index;
	const uint32_t slot = c->newest_slot;
	checkpoint_harm(alone, slot);
	harm_find(alone);
	(void)fill(alone, 100);
	assert_int_equal(c->slot, slot);
	assert_true(log_of(alone).base_index <= older);
	alone->device->held_from = 0;
	alone_turns(alone, 100);
	assert_int_equal(c->hurt, 0);
	assert_true(c->newest_index >= newest);
	uint64_t last = 0;
	for (uint32_t i = 0; i < 4 * ALONE_LOG_PAGES; i++)
		last = write_one(alone);
	assert_true(log_of(alone).base_index > newest);
	crash_and_check(alone, last);
}

/* The log behind that one is no way back, so none of it goes while there is room. */
static void
test_an_older_one_that_is_hurt_is_no_fallback(void **context)
{
	struct alone *alone = *context;
	const struct checkpointer *c = &alone->runtime->checkpoint;

	alone_become_master(alone);
	write_two_checkpoints(alone);
	checkpoint_harm(alone, 1 - c->newest_slot);
	harm_find(alone);
	const uint64_t newest = c->newest_index, base = log_of(alone).base_index;
	(void)fill(alone, 70);
	assert_int_equal(log_of(alone).base_index, base);
	const uint64_t last = fill(alone, 85);
	assert_int_equal(log_of(alone).base_index, newest);
	crash_and_check(alone, last);
}

/* Somebody fetches what lies in @slot: nothing is written over it while the log has room, unless it
 * is hurt. */
static void
fetch(struct alone *alone, uint32_t slot)
{
	alone->runtime->source.asked_ns = alone->now_ns;
	alone->runtime->source.slot = slot;
	alone->runtime->source.node = 9;
}

static void
test_one_that_is_fetched_is_replaced(void **context)
{
	struct alone *alone = *context;
	const struct checkpointer *c = &alone->runtime->checkpoint;

	alone_become_master(alone);
	write_two_checkpoints(alone);
	const uint32_t newest = c->newest_slot;
	fetch(alone, newest);
	checkpoint_harm(alone, newest);
	harm_find(alone);
	alone_turns(alone, 100);
	assert_true(c->is_writing && c->slot == newest);
	alone->device->held_from = 0;
	alone_turns(alone, 100);
	assert_int_equal(c->hurt, 0);
}

/* There is no older one, and the log begins with the first block. */
static void
test_all_of_the_log_is_kept(void **context)
{
	struct alone *alone = *context;
	const struct checkpointer *c = &alone->runtime->checkpoint;

	alone_become_master(alone);
	for (uint32_t i = 0; i < ALONE_LOG_PAGES && c->written == 0; i++)
		(void)write_one(alone);
	checkpoint_harm(alone, c->newest_slot);
	harm_find(alone);
	const uint64_t last = fill(alone, 100);
	assert_true(log_of(alone).used_pages * 4 > log_of(alone).area_pages * 3);
	assert_int_equal(log_of(alone).base_index, 0);
	crash_and_check(alone, last);
	assert_false(alone->runtime->boot.recover.is_restored);
}

/* From the first byte on what lay in the slot does not count, here and after a start. */
static void
test_what_is_written_over_is_no_fallback(void **context)
{
	struct alone *alone = *context;
	const struct checkpointer *c = &alone->runtime->checkpoint;

	alone_become_master(alone);
	write_two_checkpoints(alone);
	const uint64_t newest = c->newest_index, older = c->older_index;
	const uint32_t slot = 1 - c->newest_slot;
	assert_int_equal(checkpoint_fallback_index(alone->runtime), older);
	alone->device->held_from = ALONE_SLOTS_PAGE * PAGE_BYTES;
	for (uint32_t i = 0; i < ALONE_LOG_PAGES / 4 && !c->is_writing; i++)
		(void)write_one(alone);
	assert_true(c->is_writing && c->slot == slot);
	assert_true(checkpoint_is_torn(alone->runtime, slot));
	assert_int_equal(checkpoint_start_index(alone->runtime), newest);
	assert_int_equal(checkpoint_fallback_index(alone->runtime), 0);
	/* No superblock said so before the crash. The start reads the other one only. */
	assert_int_equal(alone_restart(alone), RUNTIME_BOOT_READY);
	c = &alone->runtime->checkpoint;
	assert_int_equal(record_of(alone, slot)->log_index, older);
	assert_int_equal(checkpoint_start_index(alone->runtime), newest);
	assert_int_equal(checkpoint_fallback_index(alone->runtime), 0);
	alone_become_master(alone);
	for (uint32_t i = 0; i < ALONE_LOG_PAGES && c->written == 0; i++)
		(void)write_one(alone);
	assert_int_equal(c->written, 1);
	assert_int_equal(checkpoint_fallback_index(alone->runtime), newest);
}

/* The newest one comes to harm when one that is to go over the older one has been begun: that one
 * stays, if nothing was written yet. */
static void
test_one_that_was_begun_goes_elsewhere(void **context)
{
	struct alone *alone = *context;
	struct checkpointer *c = &alone->runtime->checkpoint;

	alone_become_master(alone);
	write_two_checkpoints(alone);
	const uint32_t newest = c->newest_slot;
	alone->device->held_from = ALONE_SLOTS_PAGE * PAGE_BYTES;
	for (uint32_t i = 0; i < ALONE_LOG_PAGES / 4 && c->phase != CHECKPOINT_CHUNKS; i++) {
		const uint64_t tag = alone_set(alone, "k", VALUE_BYTES);
		for (uint32_t j = 0; j < 100 && c->phase != CHECKPOINT_CHUNKS; j++)
			alone_turns(alone, 1);
		if (c->phase != CHECKPOINT_CHUNKS)
			alone_expect(alone, tag, SUBMIT_DONE);
	}
	assert_true(c->phase == CHECKPOINT_CHUNKS && !c->is_writing);
	assert_int_equal(c->slot, 1 - newest);
	assert_true(checkpoint_hurt(alone->runtime, newest));
	for (uint32_t i = 0; i < 100 && !c->is_writing; i++)
		alone_turns(alone, 1);
	assert_true(c->is_writing);
	assert_int_equal(c->slot, newest);
	assert_false(checkpoint_is_torn(alone->runtime, 1 - newest));
}

/* ---- which counts ---- */

struct standing {
	uint64_t slots[SUPERBLOCK_CHECKPOINTS];
	uint64_t base_index;
	uint32_t hurt, torn, unread;
	uint64_t start, fallback;
	uint32_t next_slot;
};

static const struct standing standings[] = {
	{ { 0, 0 }, 0, 0, 0, 0, 0, 0, 1 },
	{ { 10, 0 }, 0, 0, 0, 0, 10, 0, 1 },
	{ { 10, 0 }, 0, 1, 0, 0, 0, 0, 1 },
	{ { 10, 20 }, 5, 0, 0, 0, 20, 10, 0 },
	{ { 30, 20 }, 5, 0, 0, 0, 30, 20, 1 },
	/* The newest one is hurt. */
	{ { 10, 20 }, 5, 2, 0, 0, 10, 10, 1 },
	{ { 30, 20 }, 5, 1, 0, 0, 20, 20, 0 },
	{ { 10, 20 }, 10, 2, 0, 0, 10, 10, 1 },
	{ { 10, 20 }, 15, 2, 0, 0, 10, 10, 0 }, /* nobody can start from the older one */
	/* The older one is, or both. */
	{ { 10, 20 }, 5, 1, 0, 0, 20, 0, 0 },
	{ { 10, 20 }, 5, 3, 0, 0, 0, 0, 0 },
	/* The older one was written over; the newest one, which is hurt, is. */
	{ { 10, 20 }, 5, 0, 1, 0, 20, 0, 0 },
	{ { 10, 20 }, 5, 2, 1, 0, 0, 0, 0 },
	{ { 10, 20 }, 5, 2, 2, 0, 10, 10, 1 },
	/* Nobody has looked at the older one since the start: it may be whole. */
	{ { 10, 20 }, 5, 0, 0, 1, 20, 0, 0 },
	{ { 10, 20 }, 5, 2, 0, 1, 0, 0, 1 },
};

static struct runtime *
standing_make(const struct standing *standing)
{
	struct runtime *rt = aligned_alloc(64, align_up_u64(sizeof(*rt), 64));

	assert_non_null(rt);
	memset(rt, 0, sizeof(*rt));
	rt->superblock.checkpoint_first_page = 100;
	rt->superblock.checkpoint_pages = 8;
	rt->superblock.log_pages = ALONE_LOG_PAGES;
	rt->config.geometry.k = 1;
	for (uint32_t i = 0; i < SUPERBLOCK_CHECKPOINTS; i++)
		rt->superblock.shards[0].checkpoints[i].log_index = standing->slots[i];
	rt->superblock.shards[0].base.log_index = standing->base_index;
	rt->boot.recover.tried = 3;
	checkpoint_open(rt);
	for (uint32_t i = 0; i < SUPERBLOCK_CHECKPOINTS; i++)
		if ((standing->hurt >> i & 1) != 0)
			assert_true(checkpoint_hurt(rt, i));
	rt->checkpoint.torn = standing->torn;
	rt->checkpoint.unread = standing->unread;
	return rt;
}

static void
test_which_one_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(standings) / sizeof(standings[0]); i++) {
		struct runtime *rt = standing_make(&standings[i]);
		assert_int_equal(checkpoint_start_index(rt), standings[i].start);
		assert_int_equal(checkpoint_fallback_index(rt), standings[i].fallback);
		assert_int_equal(checkpoint_slot_choose(rt), standings[i].next_slot);
		free(rt);
	}
}

/* One of another node goes where an own one would. */
static void
test_where_a_transfer_goes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(standings) / sizeof(standings[0]); i++) {
		struct runtime *rt = standing_make(&standings[i]);
		rt->transfer.phase = TRANSFER_WAIT;
		assert_true(transfer_turn(rt));
		assert_int_equal(rt->transfer.phase, TRANSFER_FETCH);
		assert_int_equal(rt->transfer.slot, standings[i].next_slot);
		free(rt);
	}
}

/* The newest one comes to harm while the first part is on its way. */
static void
test_a_transfer_goes_elsewhere(void **state)
{
	const struct standing standing = { .slots = { 10, 20 }, .base_index = 5 };
	struct runtime *rt = standing_make(&standing);

	(void)state;
	rt->transfer.phase = TRANSFER_WAIT;
	assert_true(transfer_turn(rt));
	assert_int_equal(rt->transfer.slot, 0);
	assert_true(checkpoint_hurt(rt, 1));
	rt->transfer.part = 1;
	rt->transfer.phase = TRANSFER_WRITE;
	assert_true(transfer_turn(rt));
	assert_int_equal(rt->transfer.phase, TRANSFER_WAIT);
	assert_true(transfer_turn(rt));
	assert_int_equal(rt->transfer.phase, TRANSFER_FETCH);
	assert_int_equal(rt->transfer.slot, 1);
	assert_int_equal(rt->transfer.part, 0);
	free(rt);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, alone_start_with_checkpoints, alone_stop)
	const struct CMUnitTest tests[] = {
		TEST(test_the_log_behind_the_older_one_is_kept),
		TEST(test_one_that_takes_its_place_frees_the_log),
		TEST(test_an_older_one_that_is_hurt_is_no_fallback),
		TEST(test_one_that_is_fetched_is_replaced),
		TEST(test_all_of_the_log_is_kept),
		TEST(test_what_is_written_over_is_no_fallback),
		TEST(test_one_that_was_begun_goes_elsewhere),
		cmocka_unit_test(test_which_one_counts),
		cmocka_unit_test(test_where_a_transfer_goes),
		cmocka_unit_test(test_a_transfer_goes_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
