/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool note of k <= m devices. Every choice of devices is lost while the node is stopped, and
 * every set that is found alone starts or is refused as it must be: with a note that is current,
 * and with none, a torn one, another pool's and an old one. And the node is crashed at every step
 * of a loss: whatever set starts then holds all that was acknowledged, and once it has gone on, no
 * other one starts that does not.
 */
#include "tests/unit/stripe/pool_sets.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"

static const struct stripe_geometry mirrors[] = {
	{ 1, 1 }, { 1, 2 }, { 1, 3 }, { 2, 2 }, { 2, 3 }, { 3, 3 },
};
#define MIRRORS (sizeof(mirrors) / sizeof(mirrors[0]))

static bool is_thorough; /* with any argument: more steps of more of them */

/* ---- lost while the node is stopped ---- */

static void
stopped_pool(struct pool *pool, struct stripe_geometry geometry, uint64_t seed)
{
	pool_make(pool, geometry, seed);
	pool_up(pool);
	pool_write_some(pool, 3);
	pool_crash(pool);
}

/* It starts without them, and goes on; they alone are refused; all together are whole again. */
static void
lose_stopped(struct stripe_geometry geometry, uint32_t lost)
{
	struct pool pool;

	stopped_pool(&pool, geometry, lost);
	const uint32_t all = pool_all(&pool);
	pool_only(&pool, all & ~lost);
	pool_up(&pool);
	pool_check_recorded(&pool, lost);
	assert_int_equal(pool.notes.there.out, lost);
	pool_write_some(&pool, 3);
	pool_read_all(&pool);
	pool_crash(&pool);
	pool_only(&pool, lost);
	const enum stripe_start alone = pool_start(&pool);
	if (pool_count(lost) < geometry.k) {
		assert_int_equal(alone, STRIPE_START_TOO_FEW);
	} else {
		assert_int_equal(alone, STRIPE_START_LEFT_BEHIND);
		assert_int_equal(stripe_store_start_device(pool.store), __builtin_ctz(lost));
	}
	pool_only(&pool, all);
	pool_up(&pool);
	for (uint32_t left = lost; left != 0; left &= left - 1)
		assert_true(pool_replace(&pool, (uint32_t)__builtin_ctz(left)));
	pool_write_some(&pool, 2);
	for (uint32_t turn = 0; turn < 50; turn++)
		pool_turn(&pool);
	assert_int_equal(pool.notes.there.out, 0);
	/* And the other way round. */
	pool_crash(&pool);
	pool_only(&pool, pool_count(lost) >= geometry.k ? lost : all & ~lost);
	pool_up(&pool);
	pool_read_all(&pool);
	pool_free(&pool);
}

static void
test_every_loss_while_it_is_stopped(void **state)
{
	uint32_t cases = 0;

	(void)state;
	for (size_t i = 0; i < (is_thorough ? MIRRORS : 4); i++)
		for (uint32_t lost = 1; lost < STRIPE_BIT(stripe_devices(mirrors[i])); lost++) {
			if (pool_count(lost) > mirrors[i].m)
				continue;
			lose_stopped(mirrors[i], lost);
			cases++;
		}
	/* 2, 3 + 3, 4 + 6 + 4, 4 + 6; 5 + 10 + 10, 6 + 15 + 20 */
	assert_int_equal(cases, 2 + 6 + 14 + 10 + (is_thorough ? 25 + 41 : 0));
}

/* Of a note that says nothing, so few devices do not start; all of them do, and note it anew. */
static void
refuse_with(struct stripe_geometry geometry, uint32_t lost, enum tern_err err,
	    const struct pool_note *note, enum stripe_start expected)
{
	struct pool pool;

	stopped_pool(&pool, geometry, lost + 77);
	pool_up(&pool); /* once more, for what is an old note */
	pool_crash(&pool);
	const uint32_t all = pool_all(&pool);
	pool.notes.err = err;
	if (note != NULL)
		pool.notes.there = *note;
	pool_only(&pool, all & ~lost);
	const bool is_few = stripe_devices(geometry) - pool_count(lost) <= geometry.m;
	const enum stripe_start verdict = pool_start(&pool);
	assert_int_equal(verdict, is_few ? expected : STRIPE_START_READY);
	if (is_few)
		assert_int_equal(stripe_store_start_device(pool.store), __builtin_ctz(lost));
	pool_crash(&pool);
	pool_only(&pool, all);
	pool_up(&pool);
	assert_int_equal(pool.notes.err, TERN_OK);
	pool_crash(&pool);
	pool_only(&pool, all & ~lost);
	pool_up(&pool);
	pool_read_all(&pool);
	pool_free(&pool);
}

static void
test_notes_that_say_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < (is_thorough ? MIRRORS : 3); i++)
		for (uint32_t lost = 1; lost < STRIPE_BIT(stripe_devices(mirrors[i])); lost++) {
			const struct stripe_geometry geometry = mirrors[i];
			struct pool_note note = {
				.cluster_id = POOL_CLUSTER,
				.sequence = 1,
				.boot_no = 1, /* and the superblocks say 2 */
				.pool_gen = 9,
				.node_id = POOL_NODE,
				.k = (uint8_t)geometry.k,
				.m = (uint8_t)geometry.m,
			};
			if (pool_count(lost) > geometry.m)
				continue;
			refuse_with(geometry, lost, TERN_ERR_NOT_FOUND, NULL, STRIPE_START_STALE);
			refuse_with(geometry, lost, TERN_ERR_CORRUPT, NULL,
				    STRIPE_START_NOTE_CORRUPT);
			refuse_with(geometry, lost, TERN_OK, &note, STRIPE_START_NOTE_OLD);
			note.boot_no = 2;
			note.pool_gen = 0;
			refuse_with(geometry, lost, TERN_OK, &note, STRIPE_START_NOTE_OLD);
			note.pool_gen = 1;
			note.node_id++;
			refuse_with(geometry, lost, TERN_OK, &note, STRIPE_START_NOTE_FOREIGN);
		}
}

/* Devices that are older than the note: copies of what they were, or what stood there before. */
static void
test_a_device_that_is_older_than_the_note(void **state)
{
	struct pool_saved saved;
	struct pool pool;

	(void)state;
	stopped_pool(&pool, (struct stripe_geometry){ 1, 1 }, 5);
	pool_save(&pool, &saved);
	pool_up(&pool);
	pool_crash(&pool);
	pool_up(&pool);
	pool_write_some(&pool, 1);
	pool_crash(&pool);
	memcpy(pool.devices[1].image, saved.images[1], pool.devices[1].bytes);
	pool_only(&pool, 2);
	assert_int_equal(pool_start(&pool), STRIPE_START_LEFT_BEHIND);
	assert_int_equal(stripe_store_start_device(pool.store), 1);
	/* As if it had missed one start only. */
	pool.notes.there.boot_no--;
	assert_int_equal(pool_start(&pool), STRIPE_START_LEFT_BEHIND);
	pool_only(&pool, 1);
	pool.notes.there.boot_no++;
	pool_up(&pool);
	pool_read_all(&pool);
	pool_forget(&saved);
	pool_free(&pool);
}

/* ---- a crash at every step of a loss ---- */

static void
crash_in_losses(const struct stripe_geometry geometry, uint32_t step)
{
	for (uint32_t lost = 1; lost < STRIPE_BIT(stripe_devices(geometry)); lost++) {
		if (pool_count(lost) > geometry.m)
			continue;
		for (uint32_t turns = 1 + lost % step; turns <= 24; turns += step)
			pool_crash_in_a_loss(geometry, lost, turns % 3, turns);
	}
}

static void
test_a_crash_at_every_step_of_a_loss(void **state)
{
	(void)state;
	crash_in_losses((struct stripe_geometry){ 1, 1 }, is_thorough ? 1 : 3);
	crash_in_losses((struct stripe_geometry){ 1, 2 }, is_thorough ? 1 : 23);
	if (!is_thorough)
		return;
	crash_in_losses((struct stripe_geometry){ 2, 2 }, 4);
	crash_in_losses((struct stripe_geometry){ 1, 3 }, 7);
}

/* While a device is counted in again, and the one that was there all the time fails: each then says
 * that the other is out. Only the note knows. */
static void
test_both_say_that_the_other_is_out(void **state)
{
	(void)state;
	for (uint32_t turns = is_thorough ? 1 : 3; turns <= 30; turns += is_thorough ? 1 : 4) {
		struct pool_saved saved;
		struct pool pool;

		pool_make(&pool, (struct stripe_geometry){ 1, 1 }, turns);
		pool_up(&pool);
		pool_write_some(&pool, 2);
		pool_crash(&pool);
		pool_only(&pool, 1);
		pool_up(&pool);
		pool_write_some(&pool, 2);
		pool_crash(&pool);
		pool_only(&pool, 3);
		pool_up(&pool);
		enum tern_err err = TERN_ERR_BUSY;
		for (uint32_t turn = 0; turn < 5000 && err == TERN_ERR_BUSY; turn++) {
			pool_turn(&pool);
			err = stripe_store_rebuild_begin(pool.store, 1);
		}
		assert_int_equal(err, TERN_OK);
		pool_scrub(&pool);
		for (err = TERN_ERR_BUSY; err == TERN_ERR_BUSY; pool_turn(&pool))
			err = stripe_store_rebuild_end(pool.store, 1);
		assert_int_equal(err, TERN_OK);
		pool.devices[0].is_failing = true;
		for (uint32_t turn = 0; turn < turns; turn++) {
			if (turn % 2 == 0 && !stripe_store_stats(pool.store).is_stopped)
				(void)pool_write(&pool, 1 + turn % 3);
			pool_turn(&pool);
		}
		pool_crash(&pool);
		pool.devices[0].is_failing = false;
		pool_save(&pool, &saved);
		assert_true(pool_every_set(&pool, &saved) != 0);
		pool_forget(&saved);
		pool_free(&pool);
	}
}

/* ---- a disk that cannot be written ---- */

static void
test_a_note_that_cannot_be_written(void **state)
{
	struct pool pool;

	(void)state;
	/* At a loss: it is one too many, and nothing is acknowledged. */
	pool_make(&pool, (struct stripe_geometry){ 1, 2 }, 3);
	pool_up(&pool);
	pool_write_some(&pool, 2);
	pool.notes.is_failing = true;
	pool.devices[1].is_failing = true;
	const uint32_t before = pool.group_count;
	for (uint32_t i = 0; i < 200 && !stripe_store_stats(pool.store).is_stopped; i++) {
		(void)pool_write(&pool, 3);
		pool_turn(&pool);
	}
	pool_drain(&pool);
	assert_true(stripe_store_stats(pool.store).is_stopped);
	assert_true(stripe_store_stats(pool.store).is_note_failed);
	assert_true(pool.group_count > before);
	for (uint32_t i = before; i < pool.group_count; i++)
		assert_true(pool.groups[i].is_failed);
	pool_crash(&pool);
	pool.devices[1].is_failing = false;
	/* At a start without anything new: it starts, and bears nothing. */
	pool_up(&pool);
	assert_int_equal(stripe_store_stats(pool.store).losses_left, 0);
	pool_write_some(&pool, 2);
	pool_crash(&pool);
	/* Nothing noted this start, so what was noted before does not count. */
	pool_only(&pool, 3);
	assert_int_equal(pool_start(&pool), STRIPE_START_NOTE_OLD);
	pool_crash(&pool);
	pool_only(&pool, 7);
	pool.notes.is_failing = false;
	pool_up(&pool);
	pool_crash(&pool);
	/* At a start without a device. */
	pool.notes.is_failing = true;
	pool_only(&pool, 5);
	assert_int_equal(pool_start(&pool), STRIPE_START_NOTE_IO);
	pool_crash(&pool);
	pool.notes.is_failing = false;
	pool_up(&pool);
	pool_read_all(&pool);
	pool_free(&pool);
}

/* Nothing is acknowledged while the note is on its way; it is when it is there. */
static void
test_nothing_counts_before_the_note(void **state)
{
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 1, 1 }, 3);
	pool_up(&pool);
	pool_write_some(&pool, 2);
	pool.notes.is_slow = true;
	pool.devices[1].is_failing = true;
	const uint32_t number = pool.group_count;
	assert_int_equal(pool_write(&pool, 2), TERN_OK);
	for (uint32_t turn = 0; turn < 300; turn++)
		pool_turn(&pool);
	assert_false(pool.groups[number].is_acked || pool.groups[number].is_failed);
	assert_int_equal(pool_newest(&pool, 0).failed_devices, 0);
	pool.notes.is_slow = false;
	pool_drain(&pool);
	assert_true(pool.groups[number].is_acked);
	pool_check_recorded(&pool, 2);
	pool_free(&pool);
}

/* A device was counted in a moment ago, and the note that says so is on its way when it is lost:
 * the old note calls it out, but this one may be there by the time that anybody looks. */
static void
test_a_loss_while_a_device_is_called_in(void **state)
{
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 1, 1 }, 3);
	pool_up(&pool);
	pool_crash(&pool);
	pool_only(&pool, 1);
	pool_up(&pool);
	pool_write_some(&pool, 2);
	pool_crash(&pool);
	pool_only(&pool, 3);
	pool_up(&pool);
	assert_int_equal(pool.notes.there.out, 2);
	pool.notes.is_slow = true;
	assert_true(pool_rebuild(&pool, 1));
	for (uint32_t turn = 0; turn < 50; turn++)
		pool_turn(&pool);
	assert_true(pool.notes.is_flying);
	pool.devices[1].is_failing = true;
	const uint32_t number = pool.group_count;
	assert_int_equal(pool_write(&pool, 2), TERN_OK);
	for (uint32_t turn = 0; turn < 300; turn++)
		pool_turn(&pool);
	assert_false(pool.groups[number].is_acked || pool.groups[number].is_failed);
	pool.notes.is_slow = false;
	pool_drain(&pool);
	assert_true(pool.groups[number].is_acked);
	pool_crash(&pool);
	pool.devices[1].is_failing = false;
	pool_only(&pool, 2);
	assert_int_equal(pool_start(&pool), STRIPE_START_LEFT_BEHIND);
	pool_free(&pool);
}

/* One that is an update behind gets it at the start, and fails then. The note has nothing newer to
 * go by than the update before. */
static void
test_a_loss_while_a_start_settles(void **state)
{
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 1, 1 }, 3);
	pool_up(&pool);
	pool_write_some(&pool, 2);
	pool_crash(&pool);
	struct superblock superblock = pool_newest(&pool, 0);
	superblock.sequence++;
	pool_superblock_write(&pool, 0, &superblock);
	pool.devices[1].fail_at = pool.devices[1].writes + 1;
	pool_up(&pool);
	assert_int_equal(pool.notes.there.out, 2);
	assert_int_equal(pool.notes.there.sequence, superblock.sequence - 1);
	pool_check_recorded(&pool, 2);
	pool_write_some(&pool, 2);
	pool_crash(&pool);
	pool.devices[1].is_failing = false;
	pool_only(&pool, 2);
	assert_int_equal(pool_start(&pool), STRIPE_START_LEFT_BEHIND);
	pool_only(&pool, 1);
	pool_up(&pool);
	pool_read_all(&pool);
	pool_free(&pool);
}

/* Others pay nothing. */
static void
test_more_than_m_need_none(void **state)
{
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 2, 1 }, 3);
	pool_up(&pool);
	pool_write_some(&pool, 2);
	pool.devices[1].is_failing = true;
	pool_write_some(&pool, 2);
	pool_check_recorded(&pool, 2);
	assert_int_equal(pool.notes.writes, 0);
	pool_free(&pool);
}

int
main(int argc, char **argv)
{
	(void)argv;
	is_thorough = argc > 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_loss_while_it_is_stopped),
		cmocka_unit_test(test_notes_that_say_nothing),
		cmocka_unit_test(test_a_device_that_is_older_than_the_note),
		cmocka_unit_test(test_a_crash_at_every_step_of_a_loss),
		cmocka_unit_test(test_both_say_that_the_other_is_out),
		cmocka_unit_test(test_a_note_that_cannot_be_written),
		cmocka_unit_test(test_nothing_counts_before_the_note),
		cmocka_unit_test(test_a_loss_while_a_device_is_called_in),
		cmocka_unit_test(test_a_loss_while_a_start_settles),
		cmocka_unit_test(test_more_than_m_need_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
