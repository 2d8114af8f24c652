/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that was acknowledged survives the loss of any m devices, of every small geometry and every
 * choice of them, together and one after the other, at every write; and what takes their places
 * becomes what they were, byte for byte.
 */
#include "tests/unit/stripe/pool.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/base/bits.h"

#define K_MAX 6u
#define M_MAX 3u

enum loss { TOGETHER = 0, ONE_BY_ONE, HUNG, LOSSES };

static void
write_more(struct pool *pool, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t pages = 1 + (uint32_t)prng_below(&pool->prng, 13);
		enum tern_err err = TERN_ERR_QUEUE_FULL;
		for (uint32_t k = 0; k < 5000 && err == TERN_ERR_QUEUE_FULL; k++) {
			err = pool_write(pool, pages);
			pool_turn(pool);
		}
		assert_int_equal(err, TERN_OK);
	}
}

/* From its write number @write on; in turn: each of the devices some writes after the one before.
 */
static void
lose(struct pool *pool, uint32_t lost, enum loss loss, uint64_t write)
{
	uint64_t later = 0;

	for (uint32_t left = lost; left != 0; left &= left - 1) {
		struct pool_device *device = &pool->devices[__builtin_ctz(left)];
		if (loss == HUNG && write == 0)
			device->is_hung = true;
		else if (write == 0)
			device->is_failing = true;
		else
			device->fail_at = device->writes + write + later;
		later += loss == ONE_BY_ONE ? 2 : 0;
	}
}

static bool
is_recorded(const struct pool *pool, uint32_t lost)
{
	return (stripe_store_stats(pool->store).failed_devices & lost) == lost;
}

/* Writes on until all of them are out; everything can be read, and after a crash still, with those
 * devices away. */
static void
go_on(struct pool *pool, uint32_t lost)
{
	for (uint32_t i = 0; i < 60 && !is_recorded(pool, lost); i++) {
		write_more(pool, 2);
		pool_drain(pool);
	}
	assert_true(is_recorded(pool, lost));
	assert_false(stripe_store_stats(pool->store).is_stopped);
	write_more(pool, 3);
	pool_drain(pool);
	pool_check_recorded(pool, lost);
	pool_read_all(pool);
	pool_crash(pool);
	for (uint32_t left = lost; left != 0; left &= left - 1)
		pool->devices[__builtin_ctz(left)].is_absent = true;
	pool_up(pool);
	pool_read_all(pool);
	write_more(pool, 2);
	pool_drain(pool);
}

static void
replace_all(struct pool *pool, uint32_t lost)
{
	pool_crash(pool);
	for (uint32_t left = lost; left != 0; left &= left - 1) {
		struct pool_device *device = &pool->devices[__builtin_ctz(left)];
		device->is_absent = device->is_failing = device->is_hung = false;
		device->fail_at = 0;
	}
	pool_up(pool);
	for (uint32_t left = lost; left != 0; left &= left - 1)
		assert_true(pool_replace(pool, (uint32_t)__builtin_ctz(left)));
	pool_drain(pool);
	assert_int_equal(stripe_store_stats(pool->store).losses_left, pool->geometry.m);
	for (uint32_t device = 0; device < stripe_devices(pool->geometry); device++)
		pool_check_layout(pool, device);
	pool_read_all(pool);
}

static void
one(struct stripe_geometry geometry, uint32_t lost, enum loss loss, uint64_t write)
{
	struct pool pool;

	pool_make(&pool, geometry, lost * 131u + write * 7 + (uint64_t)loss);
	pool_up(&pool);
	write_more(&pool, 3);
	lose(&pool, lost, loss, write);
	go_on(&pool, lost);
	replace_all(&pool, lost);
	pool_free(&pool);
}

/* Every choice of m devices of every geometry up to 6 + 3. */
static void
test_every_choice(void **state)
{
	uint32_t choices = 0;

	(void)state;
	for (uint32_t k = 1; k <= K_MAX; k++)
		for (uint32_t m = 1; m <= M_MAX; m++)
			for (uint32_t lost = 1; lost < STRIPE_BIT(k + m); lost++) {
				if ((uint32_t)__builtin_popcount(lost) != m)
					continue;
				one((struct stripe_geometry){ k, m }, lost,
				    (enum loss)(choices % LOSSES), choices % 5);
				choices++;
			}
	/* (2 + .. + 7) of one, and the same of two and three. */
	assert_int_equal(choices, 27 + 83 + 209);
}

/* Of the smallest ones, at every write, in every way. */
static void
test_every_write(void **state)
{
	static const struct stripe_geometry geometries[] = {
		{ 1, 1 }, { 2, 1 }, { 1, 2 }, { 2, 2 }, { 3, 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(geometries) / sizeof(geometries[0]); i++)
		for (uint32_t lost = 1; lost < STRIPE_BIT(stripe_devices(geometries[i])); lost++) {
			if ((uint32_t)__builtin_popcount(lost) > geometries[i].m)
				continue;
			for (uint64_t write = 1; write <= 9; write++)
				for (uint32_t loss = TOGETHER; loss <= ONE_BY_ONE; loss++)
					one(geometries[i], lost, (enum loss)loss, write);
		}
}

/* One more than is borne: nothing more is acknowledged, and it says so. */
static void
test_one_more(void **state)
{
	(void)state;
	for (uint32_t k = 1; k <= 4; k++)
		for (uint32_t m = 0; m <= 2; m++) {
			const struct stripe_geometry geometry = { k, m };
			struct pool pool;
			pool_make(&pool, geometry, k * 8 + m);
			pool_up(&pool);
			write_more(&pool, 4);
			pool_drain(&pool);
			lose(&pool, STRIPE_BIT(m + 1) - 1, TOGETHER, 0);
			const uint32_t before = pool.group_count;
			for (uint32_t i = 0; i < 200 && !stripe_store_stats(pool.store).is_stopped;
			     i++) {
				(void)pool_write(&pool, 8);
				pool_turn(&pool);
			}
			pool_drain(&pool);
			assert_true(stripe_store_stats(pool.store).is_stopped);
			for (uint32_t i = before; i < pool.group_count; i++)
				assert_true(pool.groups[i].is_failed);
			assert_int_equal(pool_write(&pool, 1), TERN_ERR_IO);
			pool_free(&pool);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_choice),
		cmocka_unit_test(test_every_write),
		cmocka_unit_test(test_one_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
