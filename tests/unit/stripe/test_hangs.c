/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spares in the place of devices that have not answered: what these still read or write is memory
 * that nobody else uses, and there is always enough of it.
 */
#include <stdlib.h>

#include "dataplane/stripe/layout.h"
#include "dataplane/stripe/store_internal.h"
#include "tests/unit/stripe/pool.h"

#define READS     2u /* as many as the pool's configuration allows at once */
#define TURNS_MAX 5000u

static void
write_some(struct pool *pool, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		(void)pool_write(pool, 4 + (uint32_t)prng_below(&pool->prng, 8));
		pool_turn(pool);
	}
	pool_drain(pool);
}

/* A group of which the devices of @wanted hold data. */
static const struct stripe_address *
group_on(const struct pool *pool, uint32_t wanted)
{
	for (uint32_t i = 0; i < pool->group_count; i++) {
		const struct stripe_address *at = &pool->groups[i].address;
		const struct stripe_layout layout =
		    stripe_layout_make(pool->geometry, at->first_cell, at->group_pages);
		uint32_t holders = 0;
		for (uint32_t column = pool->geometry.m; column < 3; column++)
			if (stripe_column_pages(&layout, column) != 0)
				holders |= STRIPE_BIT(stripe_column_device(&layout, column));
		if (pool->groups[i].is_acked && (holders & wanted) == wanted)
			return at;
	}
	fail_msg("no group with data on devices %x", wanted);
	return NULL;
}

static void
reads_begin(struct pool *pool, const struct stripe_address *at, uint8_t *bytes)
{
	for (uint32_t i = 0; i < READS; i++) {
		const struct stripe_group_read read = {
			.address = *at,
			.pages = at->group_pages,
			.bytes = bytes + (size_t)i * POOL_GROUP_PAGES * PAGE_BYTES,
			.user = 77,
		};
		assert_int_equal(stripe_store_read(pool->store, &read, pool->now_ns), TERN_OK);
	}
}

/* What stands at @device never answers the reads that are under way; the others do. */
static void
hang_with_reads(struct pool *pool, uint32_t device, uint8_t *bytes)
{
	const struct stripe_address *at = group_on(pool, STRIPE_BIT(device));

	pool->devices[stripe_store_drive(pool->store, device)].is_hung = true;
	reads_begin(pool, at, bytes);
	for (uint32_t i = 0; i < READS; i++)
		assert_int_equal(pool_answer(pool), TERN_OK);
	assert_memory_equal(bytes, bytes + (size_t)POOL_GROUP_PAGES * PAGE_BYTES,
			    at->group_pages * PAGE_BYTES);
	const uint32_t other = stripe_store_drive(pool->store, (device + 1) % 3);
	for (uint32_t turn = 0; turn < TURNS_MAX &&
				(pool_newest(pool, other).failed_devices & STRIPE_BIT(device)) == 0;
	     turn++)
		pool_turn(pool);
	assert_int_equal(stripe_store_stats(pool->store).failed_devices, STRIPE_BIT(device));
}

/* One device after another hangs with all reads in it, and none comes back: the second loss is
 * borne like the first, and the third device is not made a part before one of them has answered. */
static void
test_hang_after_hang(void **state)
{
	uint8_t *bytes = aligned_alloc(PAGE_BYTES, (size_t)READS * POOL_GROUP_PAGES * PAGE_BYTES);
	struct pool pool;

	(void)state;
	assert_non_null(bytes);
	pool_make(&pool, (struct stripe_geometry){ 2, 1 }, 3);
	pool_add_spares(&pool, 2);
	pool_up(&pool);
	write_some(&pool, 8);
	hang_with_reads(&pool, 1, bytes);
	assert_int_equal(stripe_store_replace(pool.store, 1, 3, pool.devices[0].bytes), TERN_OK);
	assert_true(pool_rebuild(&pool, 1));
	assert_int_equal(stripe_store_stats(pool.store).hung_requests, READS);

	hang_with_reads(&pool, 0, bytes);
	assert_int_equal(stripe_store_stats(pool.store).hung_requests, 2 * READS);
	assert_int_equal(stripe_store_replace(pool.store, 0, 4, pool.devices[1].bytes), TERN_OK);
	for (uint32_t turn = 0; turn < 200; turn++) {
		pool_turn(&pool);
		assert_int_equal(stripe_store_rebuild_begin(pool.store, 0), TERN_ERR_BUSY);
	}
	pool_read_all(&pool);

	pool.devices[1].is_hung = false;
	assert_true(pool_rebuild(&pool, 0));
	assert_int_equal(stripe_store_stats(pool.store).hung_requests, READS);
	hang_with_reads(&pool, 2, bytes);
	pool_read_all(&pool);
	pool_free(&pool);
	free(bytes);
}

/* Reads that a hung device holds count although they still wait for a slow one: when that answers
 * they need other memory. */
static void
test_hang_beside_a_slow_one(void **state)
{
	uint8_t *bytes = aligned_alloc(PAGE_BYTES, (size_t)READS * POOL_GROUP_PAGES * PAGE_BYTES);
	struct pool pool;

	(void)state;
	assert_non_null(bytes);
	pool_make(&pool, (struct stripe_geometry){ 2, 1 }, 6);
	pool_add_spares(&pool, 2);
	pool_up(&pool);
	write_some(&pool, 8);
	hang_with_reads(&pool, 1, bytes);
	assert_int_equal(stripe_store_replace(pool.store, 1, 3, pool.devices[0].bytes), TERN_OK);
	assert_true(pool_rebuild(&pool, 1));
	assert_true(stripe_hangs_are_borne(pool.store, 1));
	pool.devices[0].is_hung = pool.devices[2].is_hung = true;
	reads_begin(&pool, group_on(&pool, STRIPE_BIT(0) | STRIPE_BIT(2)), bytes);
	for (uint32_t turn = 0;
	     turn < TURNS_MAX && stripe_store_stats(pool.store).failed_devices == 0; turn++)
		pool_turn(&pool);
	assert_int_equal(stripe_store_stats(pool.store).hung_requests, 2 * READS);
	assert_false(stripe_hangs_are_borne(pool.store, 1));
	pool.devices[0].is_hung = pool.devices[2].is_hung = false;
	for (uint32_t i = 0; i < READS; i++)
		assert_int_equal(pool_answer(&pool), TERN_OK);
	pool_free(&pool);
	free(bytes);
}

/* The superblock write that was under way with a device when a spare took its place is done at
 * last, from memory of its own: nothing later gets there with it. */
static void
test_late_superblock(void **state)
{
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 2, 1 }, 4);
	pool_add_spares(&pool, 1);
	pool_up(&pool);
	write_some(&pool, 4);
	pool.devices[1].is_hung = true;
	const struct superblock before = pool_newest(&pool, 1);
	struct superblock update = *stripe_store_superblock(pool.store);
	update.shards[0].term++;
	stripe_store_update(pool.store, &update, 5);
	for (uint32_t turn = 0;
	     turn < TURNS_MAX && (pool_newest(&pool, 0).failed_devices & STRIPE_BIT(1)) == 0;
	     turn++)
		pool_turn(&pool);
	pool_drain(&pool);
	pool_check_recorded(&pool, STRIPE_BIT(1));
	assert_int_equal(stripe_store_replace(pool.store, 1, 3, pool.devices[0].bytes), TERN_OK);
	assert_true(pool_rebuild(&pool, 1));
	pool_drain(&pool);

	pool.devices[1].is_hung = false;
	for (uint32_t turn = 0;
	     turn < TURNS_MAX && stripe_store_stats(pool.store).hung_requests != 0; turn++)
		pool_turn(&pool);
	assert_int_equal(stripe_store_stats(pool.store).hung_requests, 0);
	const struct superblock late = pool_newest(&pool, 1);
	assert_int_equal(late.sequence, before.sequence + 1);
	assert_int_equal(late.shards[0].term, update.shards[0].term);
	assert_int_equal(late.failed_devices, 0);
	pool_free(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hang_after_hang),
		cmocka_unit_test(test_hang_beside_a_slow_one),
		cmocka_unit_test(test_late_superblock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
