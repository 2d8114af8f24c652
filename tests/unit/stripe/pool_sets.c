/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/stripe/pool_sets.h"

#include <stdlib.h>
#include <string.h>

uint32_t
pool_count(uint32_t mask)
{
	return (uint32_t)__builtin_popcount(mask);
}

uint32_t
pool_all(const struct pool *pool)
{
	return STRIPE_BIT(stripe_devices(pool->geometry)) - 1;
}

void
pool_write_some(struct pool *pool, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		enum tern_err err = TERN_ERR_QUEUE_FULL;
		for (uint32_t k = 0; k < 5000 && err == TERN_ERR_QUEUE_FULL; k++) {
			err = pool_write(pool, 1 + (uint32_t)prng_below(&pool->prng, 9));
			pool_turn(pool);
		}
		assert_int_equal(err, TERN_OK);
	}
	pool_drain(pool);
}

void
pool_only(struct pool *pool, uint32_t present)
{
	for (uint32_t device = 0; device < stripe_devices(pool->geometry); device++)
		pool->devices[device].is_absent = (present >> device & 1) == 0;
}

static void *
copy_of(const void *bytes, size_t count)
{
	void *copy = malloc(count + 1);

	assert_non_null(copy);
	return memcpy(copy, bytes, count);
}

void
pool_save(const struct pool *pool, struct pool_saved *saved)
{
	*saved = (struct pool_saved){ .pool = *pool };
	for (uint32_t i = 0; i < stripe_devices(pool->geometry); i++)
		saved->images[i] = copy_of(pool->devices[i].image, pool->devices[i].bytes);
	saved->groups = copy_of(pool->groups, pool->group_count * sizeof(pool->groups[0]));
}

void
pool_put_back(struct pool *pool, const struct pool_saved *saved)
{
	for (uint32_t i = saved->pool.group_count; i < pool->group_count; i++)
		free(pool->groups[i].bytes);
	*pool = saved->pool;
	for (uint32_t i = 0; i < stripe_devices(pool->geometry); i++)
		memcpy(pool->devices[i].image, saved->images[i], pool->devices[i].bytes);
	memcpy(pool->groups, saved->groups, pool->group_count * sizeof(pool->groups[0]));
}

void
pool_forget(struct pool_saved *saved)
{
	for (uint32_t i = 0; i < STRIPE_DEVICES_MAX; i++)
		free(saved->images[i]);
	free(saved->groups);
}

void
pool_go_on(struct pool *pool)
{
	assert_true(pool_recover(pool));
	pool_read_all(pool);
	pool_write_some(pool, 2);
	pool_read_all(pool);
}

uint32_t
pool_every_set(struct pool *pool, const struct pool_saved *saved)
{
	struct pool_saved later;
	uint32_t started = 0;

	for (uint32_t first = 1; first <= pool_all(pool); first++) {
		pool_put_back(pool, saved);
		pool_only(pool, first);
		if (pool_start(pool) != STRIPE_START_READY)
			continue;
		started++;
		pool_go_on(pool);
		pool_crash(pool);
		pool_save(pool, &later);
		for (uint32_t second = 1; second <= pool_all(pool); second++) {
			pool_put_back(pool, &later);
			pool_only(pool, second);
			if (pool_start(pool) == STRIPE_START_READY)
				pool_go_on(pool);
			pool_crash(pool);
		}
		pool_forget(&later);
	}
	pool_put_back(pool, saved);
	pool_only(pool, pool_all(pool));
	return started;
}

void
pool_crash_in_a_loss(struct stripe_geometry geometry, uint32_t lost, uint32_t gap, uint32_t turns)
{
	struct pool_saved saved;
	struct pool pool;
	uint32_t later = 0;

	pool_make(&pool, geometry, lost * 100 + turns);
	pool_up(&pool);
	pool_write_some(&pool, 2);
	for (uint32_t left = lost; left != 0; left &= left - 1) {
		struct pool_device *device = &pool.devices[__builtin_ctz(left)];
		device->fail_at = device->writes + 1 + later;
		later += gap;
	}
	for (uint32_t turn = 0; turn < turns; turn++) {
		/* The note is slow now and then, so that the crash finds it on its way. */
		pool.notes.is_slow = prng_below(&pool.prng, 3) != 0;
		if (turn % 2 == 0 && !stripe_store_stats(pool.store).is_stopped)
			(void)pool_write(&pool, 1 + turn % 3);
		pool_turn(&pool);
	}
	pool.notes.is_slow = false;
	pool_crash(&pool);
	for (uint32_t i = 0; i < stripe_devices(geometry); i++)
		pool.devices[i].is_failing = false;
	pool_save(&pool, &saved);
	/* All of them, if nothing else. */
	assert_true(pool_every_set(&pool, &saved) != 0);
	pool_forget(&saved);
	pool_free(&pool);
}
