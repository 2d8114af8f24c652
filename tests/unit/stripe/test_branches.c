/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that are missing while the others go on, k > m, where no pool note is kept: the
 * superblocks alone say what counts. What is missing may be one update ahead, and that update may
 * say anything; when it is back, what the others acknowledged without it is all there. And the node
 * is crashed at every step of a loss, of a start and of a return.
 */
#include "tests/unit/stripe/pool_sets.h"

#include "dataplane/base/bits.h"
#include "dataplane/wire/superblock_update.h"

/* What device 2 got, and nobody else, when the process ended. */
static const struct ahead {
	const char *what;
	uint32_t eras, changes, boots;
	uint32_t failed;
} aheads[] = {
	{ "an update like any other", 0, 0, 0, 0 },
	{ "of one loss", 0, 1, 0, 1 },
	{ "of two at once", 0, 2, 0, 3 },
	{ "of a return and a loss", 0, 2, 0, 1 },
	{ "of a start", 0, 0, 1, 0 },
	{ "of a start, and two losses in it", 0, 2, 1, 3 },
	{ "of a start that found two missing", 1, 2, 0, 3 },
	/* A node that takes a number from others begins far above its own. */
	{ "of a start with a number of others", 0, 2, 50, 3 },
};

static void
test_an_update_that_only_one_device_got(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(aheads) / sizeof(aheads[0]); i++) {
		const struct ahead *ahead = &aheads[i];
		struct pool pool;

		print_message("%s\n", ahead->what);
		pool_make(&pool, (struct stripe_geometry){ 4, 2 }, i);
		pool_up(&pool);
		pool_write_some(&pool, 3);
		pool_crash(&pool);
		struct superblock superblock = pool_newest(&pool, 2);
		superblock.sequence++;
		for (uint32_t era = 0; era < ahead->eras; era++)
			superblock.pool_gen = superblock_next_era(superblock.pool_gen);
		superblock.pool_gen += ahead->changes;
		superblock.boot_no += ahead->boots;
		superblock.failed_devices = ahead->failed;
		pool_superblock_write(&pool, 2, &superblock);
		pool_only(&pool, pool_all(&pool) & ~STRIPE_BIT(2));
		pool_up(&pool);
		pool_write_some(&pool, 6);
		const uint32_t boot_no = stripe_store_superblock(pool.store)->boot_no;
		pool_crash(&pool);
		pool_only(&pool, pool_all(&pool));
		pool_up(&pool); /* finds all of it */
		assert_int_equal(stripe_store_superblock(pool.store)->boot_no, boot_no + 1);
		pool_check_recorded(&pool, STRIPE_BIT(2));
		pool_read_all(&pool);
		assert_true(pool_rebuild(&pool, 2));
		pool_read_all(&pool);
		pool_free(&pool);
	}
}

/* It gets every update while it is rebuilt, and does not count. */
static void
test_an_update_that_only_a_rebuilt_device_got(void **state)
{
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 3, 2 }, 1);
	pool_up(&pool);
	pool_write_some(&pool, 2);
	pool.devices[0].is_failing = true;
	pool_write_some(&pool, 2);
	pool_check_recorded(&pool, STRIPE_BIT(0));
	pool_crash(&pool);
	pool.devices[0].is_failing = false;
	struct superblock superblock = pool_newest(&pool, 1);
	superblock.device = 0;
	superblock.sequence++;
	pool_superblock_write(&pool, 0, &superblock);
	pool_only(&pool, pool_all(&pool) & ~STRIPE_BIT(0));
	pool_up(&pool);
	pool_write_some(&pool, 4);
	const uint32_t boot_no = stripe_store_superblock(pool.store)->boot_no;
	pool_crash(&pool);
	pool_only(&pool, pool_all(&pool));
	pool_up(&pool);
	assert_int_equal(stripe_store_superblock(pool.store)->boot_no, boot_no + 1);
	pool_read_all(&pool);
	pool_free(&pool);
}

/* It was counted in again by an update that only it got. The others, which go on without it, begin
 * no era, for they know it as failed: their one update is the number of a start. */
static void
test_an_update_that_counts_its_device_in(void **state)
{
	static const struct stripe_geometry geometries[] = { { 1, 1 }, { 2, 1 }, { 3, 2 } };

	(void)state;
	for (uint32_t i = 0; i < 6; i++) {
		const struct stripe_geometry geometry = geometries[i / 2];
		const bool is_other_lost = i % 2 != 0; /* in the same update */
		struct pool pool;

		if (is_other_lost && geometry.k == 1)
			continue;
		pool_make(&pool, geometry, i);
		pool_up(&pool);
		pool_write_some(&pool, 3);
		pool_crash(&pool);
		struct superblock superblock = pool_newest(&pool, 0);
		superblock.sequence++;
		superblock.pool_gen++;
		superblock.failed_devices = 1;
		for (uint32_t k = 0; k < stripe_devices(geometry); k++) {
			superblock.device = (uint8_t)k;
			pool_superblock_write(&pool, k, &superblock);
		}
		superblock.device = 0;
		superblock.sequence++;
		superblock.pool_gen += is_other_lost ? 2 : 1;
		superblock.failed_devices = is_other_lost ? 2 : 0;
		pool_superblock_write(&pool, 0, &superblock);
		pool_only(&pool, pool_all(&pool) & ~STRIPE_BIT(0));
		pool_up(&pool);
		pool_write_some(&pool, 6);
		const uint32_t boot_no = stripe_store_superblock(pool.store)->boot_no;
		assert_true(pool_newest(&pool, 1).sequence == superblock.sequence);
		pool_crash(&pool);
		pool_only(&pool, pool_all(&pool));
		pool_up(&pool);
		assert_int_equal(stripe_store_superblock(pool.store)->boot_no, boot_no + 1);
		pool_check_recorded(&pool, STRIPE_BIT(0));
		pool_read_all(&pool);
		pool_free(&pool);
	}
}

static void
test_a_crash_at_every_step_of_a_loss(void **state)
{
	(void)state;
	for (uint32_t turns = 2; turns <= 14; turns += 2)
		pool_crash_in_a_loss((struct stripe_geometry){ 3, 2 }, 3u << turns % 4, turns % 3,
				     turns);
	for (uint32_t turns = 3; turns <= 9; turns += 3)
		pool_crash_in_a_loss((struct stripe_geometry){ 2, 1 }, 1, 0, turns);
}

/* ---- anything in any order ---- */

static uint32_t
some_of(struct pool *pool, uint32_t count_max)
{
	uint32_t count = (uint32_t)prng_below(&pool->prng, count_max + 1), set = 0;

	while (count-- != 0)
		set |=
		    STRIPE_BIT((uint32_t)prng_below(&pool->prng, stripe_devices(pool->geometry)));
	return set;
}

static void
live_for(struct pool *pool, uint32_t turns)
{
	for (uint32_t turn = 0; turn < turns; turn++) {
		if (turn % 2 == 0 && !stripe_store_stats(pool->store).is_stopped)
			(void)pool_write(pool, 1 + turn % 3);
		pool_turn(pool);
	}
}

/* All but the last groups are needed no more. */
static void
release_some(struct pool *pool)
{
	uint32_t kept = 0, i = pool->group_count;

	while (i != 0 && kept < 12)
		kept += pool->groups[--i].is_acked;
	if (kept < 12)
		return;
	pool->release_cell = max_u64(pool->release_cell, pool->groups[i].address.first_cell);
	stripe_store_release(pool->store, pool->release_cell);
}

/* It runs: devices return, and others are lost, and the process ends somewhere in it. */
static void
live(struct pool *pool)
{
	pool_go_on(pool);
	release_some(pool);
	const uint32_t failed = stripe_store_stats(pool->store).failed_devices;
	for (uint32_t i = 0; i < stripe_devices(pool->geometry); i++) {
		if ((failed >> i & 1) == 0 || pool->devices[i].is_absent)
			continue;
		/* Whole, or begun only; it may be no good for it. */
		if (prng_below(&pool->prng, 2) == 0)
			(void)pool_rebuild(pool, i);
		else if (stripe_store_rebuild_begin(pool->store, i) == TERN_OK)
			live_for(pool, (uint32_t)prng_below(&pool->prng, 10));
	}
	live_for(pool, (uint32_t)prng_below(&pool->prng, 20));
	const uint32_t lost = some_of(pool, pool->geometry.m);
	for (uint32_t i = 0; i < stripe_devices(pool->geometry); i++)
		pool->devices[i].is_failing = (lost >> i & 1) != 0;
	live_for(pool, (uint32_t)prng_below(&pool->prng, 20));
}

static void
test_starts_of_some(void **state)
{
	static const struct stripe_geometry geometries[] = {
		{ 4, 2 }, { 3, 2 }, { 2, 1 }, { 5, 3 }, { 1, 1 }, { 2, 2 },
	};
	uint32_t started = 0, cut = 0, refused = 0;

	(void)state;
	for (uint32_t seed = 0; seed < 300; seed++) {
		struct pool pool;

		pool_make(&pool, geometries[seed % 6], seed);
		pool_up(&pool);
		for (uint32_t episode = 0; episode < 8; episode++) {
			if (episode == 0)
				live(&pool);
			pool_crash(&pool);
			for (uint32_t i = 0; i < stripe_devices(pool.geometry); i++)
				pool.devices[i].is_failing = false;
			pool_only(&pool, pool_all(&pool) & ~some_of(&pool, pool.geometry.m));
			const bool is_cut = prng_below(&pool.prng, 2) == 0;
			const uint32_t turns =
			    is_cut ? (uint32_t)prng_below(&pool.prng, 12) : 10000;
			const enum stripe_start verdict = pool_start_for(&pool, turns);
			cut += verdict == STRIPE_START_MORE;
			started += verdict == STRIPE_START_READY;
			refused += verdict != STRIPE_START_MORE && verdict != STRIPE_START_READY;
			if (verdict == STRIPE_START_READY)
				live(&pool);
		}
		pool_crash(&pool);
		for (uint32_t i = 0; i < stripe_devices(pool.geometry); i++)
			pool.devices[i].is_failing = false;
		pool_only(&pool, pool_all(&pool));
		pool_up(&pool);
		pool_read_all(&pool);
		pool_free(&pool);
	}
	print_message("%u starts, %u cut short, %u refused\n", started, cut, refused);
	assert_true(started > 300 && cut > 300 && refused > 30);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_update_that_only_one_device_got),
		cmocka_unit_test(test_an_update_that_only_a_rebuilt_device_got),
		cmocka_unit_test(test_an_update_that_counts_its_device_in),
		cmocka_unit_test(test_a_crash_at_every_step_of_a_loss),
		cmocka_unit_test(test_starts_of_some),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
