/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store under faults, from seeds: devices fail and hang, singly and together, at any write;
 * crashes at any step; pages rot or cannot be read on up to m devices; devices stay away. What was
 * acknowledged is found again whole after every start, as long as no more than m devices of the
 * pool are hurt.
 *
 * usage: [FIRST_SEED COUNT]
 */
#include "tests/unit/stripe/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"

static uint64_t seed_first = 1, seed_count = 150;

/* What happened in all seeds together. */
static struct {
	uint64_t groups, groups_degraded, reads_degraded, bad_pages, hung, torn, missing, decoded,
	    rebuilt;
} seen;

static void
note(const struct pool *pool)
{
	const struct stripe_store_stats stats = stripe_store_stats(pool->store);
	const struct stripe_scan_stats *scan = stripe_store_scan_stats(pool->store);

	seen.groups += stats.groups;
	seen.groups_degraded += stats.groups_degraded;
	seen.reads_degraded += stats.reads_degraded;
	seen.bad_pages += stats.bad_pages;
	seen.hung += stats.hung_requests;
	seen.torn += scan->groups_unreadable;
	seen.missing += scan->groups_missing;
	seen.decoded += scan->groups_degraded;
}

/* Devices that are recorded as failed by anybody, or were hurt in any way. */
static uint32_t
hurt_of(const struct pool *pool, uint32_t rotten)
{
	uint32_t hurt = rotten;

	for (uint32_t device = 0; device < stripe_devices(pool->geometry); device++) {
		const struct pool_device *one = &pool->devices[device];
		hurt |= (uint32_t)pool_newest(pool, device).failed_devices;
		if (one->is_absent || one->is_failing || one->is_hung || one->fail_at != 0)
			hurt |= STRIPE_BIT(device);
	}
	return hurt;
}

/* Hurts one more device if the pool bears it. */
static void
hurt_one(struct pool *pool, uint32_t rotten)
{
	const uint32_t device = (uint32_t)prng_below(&pool->prng, stripe_devices(pool->geometry));
	const uint32_t hurt = hurt_of(pool, rotten) | STRIPE_BIT(device);

	if ((uint32_t)__builtin_popcount(hurt) > pool->geometry.m)
		return;
	switch (prng_below(&pool->prng, 3)) {
	case 0:
		pool->devices[device].is_failing = true;
		break;
	case 1:
		pool->devices[device].is_hung = true;
		break;
	default:
		pool->devices[device].fail_at =
		    pool->devices[device].writes + 1 + prng_below(&pool->prng, 6);
		break;
	}
}

/* Sometimes a failed device is replaced, and rebuilt while more happens, or scrubbed. */
static void
heal_some(struct pool *pool, uint32_t *rotten)
{
	const uint32_t failed = stripe_store_stats(pool->store).failed_devices;

	if (prng_below(&pool->prng, 2) == 0) {
		pool_scrub(pool);
		*rotten = 0;
	}
	for (uint32_t device = 0; device < stripe_devices(pool->geometry); device++) {
		if ((failed & STRIPE_BIT(device)) == 0 || pool->devices[device].is_absent ||
		    prng_below(&pool->prng, 3) != 0)
			continue;
		if (pool_replace(pool, device)) {
			*rotten &= ~STRIPE_BIT(device);
			seen.rebuilt++;
		}
	}
	/* Pages that no group has are not written again, and may still not be read. */
	for (uint32_t device = 0; device < stripe_devices(pool->geometry); device++)
		if (pool_has_bad_pages(pool, device))
			*rotten |= STRIPE_BIT(device);
}

/* One life of the process: writes and reads, until a crash at some step. */
static void
live(struct pool *pool, uint32_t rotten)
{
	const uint64_t end = pool->steps + 1 + prng_below(&pool->prng, 150);

	for (uint32_t turn = 0; turn < 400 && pool->steps < end; turn++) {
		if (prng_below(&pool->prng, 2) == 0)
			(void)pool_write(pool, 1 + (uint32_t)prng_below(
						       &pool->prng, prng_below(&pool->prng, 4) == 0
									? POOL_GROUP_PAGES
									: 4));
		if (prng_below(&pool->prng, 40) == 0)
			hurt_one(pool, rotten);
		if (pool->group_count != 0 && prng_below(&pool->prng, 10) == 0) {
			const uint32_t group = (uint32_t)prng_below(&pool->prng, pool->group_count);
			if (pool->groups[group].is_acked &&
			    pool->groups[group].address.first_cell >= pool->release_cell)
				assert_int_equal(pool_read(pool, group, 0,
							   pool->groups[group].address.group_pages),
						 TERN_OK);
		}
		pool_turn(pool);
		assert_false(stripe_store_stats(pool->store).is_stopped);
	}
}

static void
run_seed(uint64_t seed)
{
	static const struct stripe_geometry geometries[] = { { 1, 0 }, { 1, 1 }, { 1, 2 }, { 2, 1 },
							     { 3, 2 }, { 4, 2 }, { 8, 3 } };
	const struct stripe_geometry geometry = geometries[seed % 7];
	uint32_t rotten = 0;
	struct pool pool;

	pool_make(&pool, geometry, seed);
	pool.queue_max = 1 + (uint32_t)prng_below(&pool.prng, 64);
	if (pool.queue_max < 24) /* what hangs keeps its place */
		pool.config.device_hang_ns = POOL_HANG_NS * 2;
	pool.queue_max = max_u32(pool.queue_max, 32);
	pool_up(&pool);
	for (uint32_t boot = 0; boot < 6; boot++) {
		live(&pool, rotten);
		note(&pool);
		pool_crash(&pool);
		const uint32_t hurt = hurt_of(&pool, rotten);
		const uint32_t device = (uint32_t)prng_below(&pool.prng, stripe_devices(geometry));
		const uint32_t more = hurt | STRIPE_BIT(device);
		/* Rot on one more device, or one that stays away; or crash while starting. */
		if ((uint32_t)__builtin_popcount(more) <= geometry.m) {
			if (prng_below(&pool.prng, 2) == 0) {
				pool_rot(&pool, device, 40);
				pool_spoil(&pool, device, 20);
				rotten |= STRIPE_BIT(device);
			} else if (stripe_devices(geometry) - (uint32_t)__builtin_popcount(more) >
				   geometry.m) {
				pool.devices[device].is_absent = true;
			}
		}
		for (uint32_t d = 0; d < stripe_devices(geometry); d++) {
			/* A failing device of which nobody knows yet is like an absent one. */
			if (pool.devices[d].is_failing &&
			    stripe_devices(geometry) - (uint32_t)__builtin_popcount(more) <=
				geometry.m)
				pool.devices[d].is_failing = false;
		}
		const uint32_t begun = (uint32_t)prng_below(&pool.prng, 3);
		for (uint32_t i = 0; i < begun; i++) {
			assert_int_equal(pool_start(&pool), STRIPE_START_READY);
			pool_crash(&pool);
		}
		pool_up(&pool);
		pool_read_all(&pool);
		heal_some(&pool, &rotten);
	}
	pool_free(&pool);
}

static void
test_seeds(void **state)
{
	(void)state;
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		(void)printf("seed %llu\n", (unsigned long long)seed);
		(void)fflush(stdout);
		run_seed(seed);
	}
	(void)printf("groups %llu, degraded %llu, reads degraded %llu, bad pages %llu, hung %llu, "
		     "found torn %llu, missing %llu, decoded %llu, rebuilt %llu\n",
		     (unsigned long long)seen.groups, (unsigned long long)seen.groups_degraded,
		     (unsigned long long)seen.reads_degraded, (unsigned long long)seen.bad_pages,
		     (unsigned long long)seen.hung, (unsigned long long)seen.torn,
		     (unsigned long long)seen.missing, (unsigned long long)seen.decoded,
		     (unsigned long long)seen.rebuilt);
	if (seed_count >= 100)
		assert_true(seen.groups_degraded != 0 && seen.reads_degraded != 0 &&
			    seen.bad_pages != 0 && seen.hung != 0 && seen.torn != 0 &&
			    seen.missing != 0 && seen.decoded != 0 && seen.rebuilt != 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_seeds) };

	if (argc == 3) {
		seed_first = strtoull(argv[1], NULL, 10);
		seed_count = strtoull(argv[2], NULL, 10);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
