/* SPDX-License-Identifier: Apache-2.0 */
/* Groups that lost more than their parity makes good, and whose pages others gave. */
#include "tests/unit/stripe/pool.h"

#include <stdlib.h>
#include <string.h>

static const struct stripe_geometry geometries[] = {
	{ 1, 0 }, { 3, 0 }, { 1, 1 }, { 2, 1 }, { 1, 2 }, { 2, 2 }, { 3, 2 }, { 4, 2 },
};
#define GEOMETRIES (sizeof(geometries) / sizeof(geometries[0]))

static void
write_some(struct pool *pool, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t pages = 1 + (uint32_t)prng_below(&pool->prng, 9);
		enum tern_err err = TERN_ERR_QUEUE_FULL;
		for (uint32_t k = 0; k < 5000 && err == TERN_ERR_QUEUE_FULL; k++) {
			err = pool_write(pool, pages);
			pool_turn(pool);
		}
		assert_int_equal(err, TERN_OK);
	}
	pool_drain(pool);
}

static uint8_t *
page_of(struct pool *pool, const struct stripe_layout *layout, uint32_t column, uint32_t row)
{
	const struct stripe_place place =
	    stripe_cell_place(pool->geometry, stripe_cell_at(layout, column, row), POOL_AREA_PAGES);

	return pool->devices[place.device].image + (POOL_FIRST_PAGE + place.page) * PAGE_BYTES;
}

/* Every page of the group, in one of three ways; or all but some whose identity part stays.
 * @is_any_left: some page still says of what group it is. */
static void
ruin(struct pool *pool, uint32_t group, bool is_any_left)
{
	const struct stripe_address *address = &pool->groups[group].address;
	const struct stripe_layout layout =
	    stripe_layout_make(pool->geometry, address->first_cell, address->group_pages);

	for (uint32_t column = 0; column < stripe_devices(pool->geometry); column++)
		for (uint32_t row = 0; row < stripe_column_pages(&layout, column); row++) {
			uint8_t *page = page_of(pool, &layout, column, row);
			const uint64_t kind = is_any_left ? 2 : prng_below(&pool->prng, 2);
			if (kind == 0)
				memset(page, 0, PAGE_BYTES);
			else if (kind == 1)
				memset(page, 0x77, PAGE_BYTES);
			else
				memset(page + PAGE_IDENTITY_BYTES + 1, 0x77, 100);
		}
}

/* What the index of the node knows, and what others give: no identity parts. */
static struct stripe_refill
refill_of(const struct pool *pool, uint32_t number)
{
	const struct pool_group *group = &pool->groups[number];
	const size_t bytes = (size_t)group->address.group_pages * PAGE_BYTES;
	struct page_identity identity;
	struct stripe_refill refill = {
		.address = group->address,
		.bytes = aligned_alloc(PAGE_BYTES, bytes),
		.user = 77,
	};

	assert_non_null(refill.bytes);
	memcpy(refill.bytes, group->bytes, bytes);
	for (uint32_t page = 0; page < group->address.group_pages; page++) {
		struct page_content content;
		uint8_t *at = refill.bytes + (size_t)page * PAGE_BYTES;
		memset(at, 0, PAGE_IDENTITY_BYTES);
		/* Nobody who checks a block looks behind its bytes. */
		assert_int_equal(page_content_open(at, &content), TERN_OK);
		if (content.used_bytes < PAGE_PAYLOAD_BYTES)
			at[PAGE_BYTES - 1] = 0x33;
	}
	assert_int_equal(page_identity_decode(group->bytes, &identity), TERN_OK);
	refill.boot_no = identity.boot_no;
	refill.branch_group = identity.branch_group;
	refill.group_seq = identity.group_seq;
	refill.acked_floor = identity.acked_floor;
	return refill;
}

static void
refill(struct pool *pool, uint32_t number)
{
	const struct stripe_refill what = refill_of(pool, number);

	assert_int_equal(stripe_store_refill(pool->store, &what, pool->now_ns), TERN_OK);
	assert_int_equal(pool_answer(pool), TERN_OK);
	free(what.bytes);
}

/* What the devices themselves can give. */
static enum tern_err
repair(struct pool *pool, uint32_t number)
{
	assert_int_equal(
	    stripe_store_repair(pool->store, pool->groups[number].address, 77, pool->now_ns),
	    TERN_OK);
	return pool_answer(pool);
}

/* Of all devices together. */
struct sums {
	uint64_t refilled, unrepairable;
};

static struct sums
sums_of(const struct pool *pool)
{
	const struct stripe_device_stats *stats = stripe_store_device_stats(pool->store);
	struct sums sums = { 0 };

	for (uint32_t i = 0; i < stripe_devices(pool->geometry); i++) {
		sums.refilled += stats[i].refilled;
		sums.unrepairable += stats[i].unrepairable;
	}
	return sums;
}

/* A step of a rebuild, as soon as the store is free to take it. */
static void
step(struct pool *pool, enum tern_err (*take)(struct stripe_store *store, uint32_t device))
{
	enum tern_err err = TERN_ERR_BUSY;

	for (uint32_t turn = 0; turn < 5000 && err == TERN_ERR_BUSY; turn++) {
		pool_turn(pool);
		err = take(pool->store, 0);
	}
	assert_int_equal(err, TERN_OK);
}

/* Each group is put together, whatever is left of it, and becomes byte for byte what it was. */
static void
test_equal(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++)
		for (uint32_t left = 0; left < 2; left++) {
			struct pool pool;
			pool_make(&pool, geometries[i], i);
			pool_up(&pool);
			write_some(&pool, 12);
			for (uint32_t k = 0; k < pool.group_count; k += 3) {
				ruin(&pool, k, left != 0);
				assert_int_equal(repair(&pool, k), TERN_ERR_CORRUPT);
				const struct sums before = sums_of(&pool);
				assert_true(before.unrepairable != 0);
				refill(&pool, k);
				assert_true(sums_of(&pool).refilled > before.refilled);
				assert_int_equal(sums_of(&pool).unrepairable, 0);
			}
			for (uint32_t k = 0; k < stripe_devices(geometries[i]); k++)
				pool_check_layout(&pool, k);
			pool_read_all(&pool);
			/* Nothing is left to be done. */
			const uint64_t writes = pool.devices[0].writes;
			const uint64_t seen = sums_of(&pool).refilled;
			refill(&pool, 0);
			assert_int_equal(pool.devices[0].writes, writes);
			assert_int_equal(sums_of(&pool).refilled, seen);
			pool_free(&pool);
		}
}

/* A device that is being rebuilt gets its columns, too; pages that cannot be read are written. */
static void
test_with_rebuild(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		const struct stripe_geometry geometry = geometries[i];
		if (geometry.m == 0 || geometry.k < 2)
			continue;
		struct pool pool;
		pool_make(&pool, geometry, 100 + i);
		pool_up(&pool);
		write_some(&pool, 8);
		pool.devices[0].is_failing = true;
		write_some(&pool, 4);
		for (uint32_t turn = 0;
		     turn < 5000 && stripe_store_stats(pool.store).failed_devices == 0; turn++)
			pool_turn(&pool);
		for (uint32_t device = 1; device <= geometry.m; device++)
			memset(pool.devices[device].is_bad + POOL_FIRST_PAGE, 1, 8);
		memset(pool.devices[0].image, 0, pool.devices[0].bytes);
		pool.devices[0].is_failing = false;
		step(&pool, stripe_store_rebuild_begin);
		for (uint32_t k = 0; k < pool.group_count; k++)
			if (repair(&pool, k) == TERN_ERR_CORRUPT)
				refill(&pool, k);
		assert_true(sums_of(&pool).refilled != 0);
		step(&pool, stripe_store_rebuild_end);
		pool_drain(&pool);
		for (uint32_t k = 0; k < stripe_devices(geometry); k++) {
			assert_int_equal(
			    memchr(pool.devices[k].is_bad, 1, POOL_FIRST_PAGE + 8) != NULL, 0);
		}
		/* A group of which no page was left has another generation of the pool in its
		 * pages, on every device alike: all of it reads well, and nothing is bad. */
		const uint64_t bad = stripe_store_device_stats(pool.store)[0].bad;
		pool_scrub(&pool);
		pool_read_all(&pool);
		assert_int_equal(stripe_store_device_stats(pool.store)[0].bad, bad);
		pool_free(&pool);
	}
}

/* The process ends at any request of it: the next start finds every other group, and it can be
 * done again. */
static void
test_crash(void **state)
{
	(void)state;
	for (uint64_t steps = 1; steps < 30; steps++) {
		struct pool pool;
		pool_make(&pool, (struct stripe_geometry){ 2, 1 }, steps);
		pool_up(&pool);
		write_some(&pool, 8);
		ruin(&pool, 4, steps % 2 == 0);
		const struct stripe_refill what = refill_of(&pool, 4);
		const uint64_t end = pool.steps + steps;
		assert_int_equal(stripe_store_refill(pool.store, &what, pool.now_ns), TERN_OK);
		for (uint32_t turn = 0; turn < 200 && pool.steps < end; turn++)
			pool_turn(&pool);
		pool_crash(&pool);
		free(what.bytes);
		/* Until then it is what it was: lost. */
		pool.groups[4].is_acked = false;
		pool_up(&pool);
		pool.groups[4].is_acked = true;
		refill(&pool, 4);
		for (uint32_t k = 0; k < 3; k++)
			pool_check_layout(&pool, k);
		pool_read_all(&pool);
		pool_free(&pool);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_with_rebuild),
		cmocka_unit_test(test_crash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
