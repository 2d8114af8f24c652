/* SPDX-License-Identifier: Apache-2.0 */
/* What a scrub finds and writes again: pages of the log, blobs, superblocks; and what a rebuild
 * leaves on the device. */
#include "tests/unit/stripe/pool.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/wire/superblock_update.h"

static const struct stripe_geometry geometries[] = {
	{ 1, 1 }, { 2, 1 }, { 1, 2 }, { 2, 2 }, { 3, 2 }, { 4, 2 },
};
#define GEOMETRIES (sizeof(geometries) / sizeof(geometries[0]))

#define BLOB_PAGE  (POOL_FIRST_PAGE + POOL_AREA_PAGES - 16u) /* nothing else is there */
#define BLOB_PAGES 13u

static void
write_some(struct pool *pool, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		(void)pool_write(pool, 1 + (uint32_t)prng_below(&pool->prng, POOL_GROUP_PAGES));
		pool_turn(pool);
	}
	pool_drain(pool);
}

static uint64_t
sum(const struct pool *pool, size_t member)
{
	const struct stripe_device_stats *stats = stripe_store_device_stats(pool->store);
	uint64_t total = 0;

	for (uint32_t i = 0; i < stripe_devices(pool->geometry); i++)
		total += *(const uint64_t *)(const void *)((const uint8_t *)&stats[i] + member);
	return total;
}
#define SUM(pool, member) sum(pool, offsetof(struct stripe_device_stats, member))

/* Findings are counted where they are, once, and repaired ones only there. */
static void
test_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		struct pool pool;
		pool_make(&pool, geometries[i], i);
		pool_up(&pool);
		write_some(&pool, 20);
		pool_scrub(&pool);
		assert_true(SUM(&pool, verified) > 20);
		assert_int_equal(SUM(&pool, bad), 0);
		/* One page of every group on one device: that is all that is written again. */
		uint64_t writes[STRIPE_DEVICES_MAX];
		uint32_t bad = 0;
		for (uint32_t k = 0; k < pool.group_count; k++) {
			const uint64_t cell = pool.groups[k].address.first_cell;
			const uint64_t page =
			    stripe_cell_place(pool.geometry, cell, POOL_AREA_PAGES).page;
			if (cell % stripe_devices(pool.geometry) != 0)
				continue;
			pool.devices[0].image[(POOL_FIRST_PAGE + page) * PAGE_BYTES + 70] ^= 4;
			bad++;
		}
		for (uint32_t k = 0; k < stripe_devices(pool.geometry); k++)
			writes[k] = pool.devices[k].writes;
		pool_scrub(&pool);
		const struct stripe_device_stats *stats = stripe_store_device_stats(pool.store);
		assert_true(bad != 0);
		assert_int_equal(stats[0].bad, bad);
		assert_int_equal(stats[0].repaired, bad);
		assert_int_equal(SUM(&pool, bad), bad);
		assert_int_equal(SUM(&pool, unrepairable), 0);
		assert_int_equal(pool.devices[0].writes, writes[0] + bad);
		for (uint32_t k = 1; k < stripe_devices(pool.geometry); k++)
			assert_int_equal(pool.devices[k].writes, writes[k]);
		for (uint32_t k = 0; k < stripe_devices(pool.geometry); k++)
			pool_check_layout(&pool, k);
		pool_free(&pool);
	}
}

/* One more than is borne, in a group of one page: nothing is written, and it is said. */
static void
test_too_many(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		const uint32_t m = geometries[i].m;
		struct pool pool;
		pool_make(&pool, geometries[i], i);
		pool_up(&pool);
		assert_int_equal(pool_write(&pool, 1), TERN_OK);
		pool_drain(&pool);
		for (uint32_t k = 0; k <= m; k++) {
			const uint64_t cell = pool.groups[0].address.first_cell + k;
			const struct stripe_place place =
			    stripe_cell_place(pool.geometry, cell, POOL_AREA_PAGES);
			uint8_t *page = pool.devices[place.device].image +
					(POOL_FIRST_PAGE + place.page) * PAGE_BYTES;
			/* The identity of the data page stays, so that the group is known. */
			page[k < m ? 8 : 100] ^= 1;
		}
		assert_int_equal(
		    stripe_store_repair(pool.store, pool.groups[0].address, 77, pool.now_ns),
		    TERN_OK);
		assert_int_equal(pool_answer(&pool), TERN_ERR_CORRUPT);
		assert_int_equal(SUM(&pool, repaired), 0);
		assert_int_equal(SUM(&pool, unrepairable), m + 1);
		pool_free(&pool);
	}
}

/* ---- blobs ---- */

static uint8_t *
blob_make(uint32_t pages, uint8_t seed)
{
	uint8_t *bytes = aligned_alloc(PAGE_BYTES, (size_t)pages * PAGE_BYTES);

	assert_non_null(bytes);
	for (size_t i = 0; i < (size_t)pages * PAGE_BYTES; i++)
		bytes[i] = (uint8_t)(seed + i * 7 + i / 251);
	return bytes;
}

/* Whatever up to m devices hold of a blob becomes again what it was, and what is right is not
 * touched. */
static void
test_blob(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		const uint32_t devices = stripe_devices(geometries[i]);
		for (uint32_t bad = 0; bad < STRIPE_BIT(devices); bad++) {
			if ((uint32_t)__builtin_popcount(bad) > geometries[i].m)
				continue;
			uint8_t *before[STRIPE_DEVICES_MAX], *bytes = blob_make(BLOB_PAGES, 1);
			uint64_t writes[STRIPE_DEVICES_MAX];
			struct pool pool;
			pool_make(&pool, geometries[i], i);
			pool_up(&pool);
			const struct stripe_blob blob = {
				.first_page = BLOB_PAGE,
				.pages = BLOB_PAGES,
				.turn = bad,
				.bytes = bytes,
				.user = 77,
			};
			assert_int_equal(stripe_store_blob_write(pool.store, &blob, pool.now_ns),
					 TERN_OK);
			/* Two are never on their way at once. */
			assert_int_equal(stripe_store_blob_repair(pool.store, &blob, pool.now_ns),
					 TERN_ERR_QUEUE_FULL);
			assert_int_equal(pool_answer(&pool), TERN_OK);
			for (uint32_t k = 0; k < devices; k++) {
				before[k] = malloc(pool.devices[k].bytes);
				assert_non_null(before[k]);
				memcpy(before[k], pool.devices[k].image, pool.devices[k].bytes);
				writes[k] = pool.devices[k].writes;
				if ((bad >> k & 1) != 0)
					pool.devices[k].image[(BLOB_PAGE)*PAGE_BYTES + 9] ^= 1;
			}
			assert_int_equal(stripe_store_blob_repair(pool.store, &blob, pool.now_ns),
					 TERN_OK);
			assert_int_equal(stripe_store_blob_write(pool.store, &blob, pool.now_ns),
					 TERN_ERR_QUEUE_FULL);
			assert_int_equal(pool_answer(&pool), TERN_OK);
			assert_int_equal(SUM(&pool, bad), __builtin_popcount(bad));
			assert_int_equal(SUM(&pool, repaired), __builtin_popcount(bad));
			for (uint32_t k = 0; k < devices; k++) {
				assert_memory_equal(before[k], pool.devices[k].image,
						    pool.devices[k].bytes);
				assert_int_equal(pool.devices[k].writes,
						 writes[k] + (bad >> k & 1));
				free(before[k]);
			}
			pool_free(&pool);
			free(bytes);
		}
	}
}

/* ---- superblocks ---- */

static enum tern_err
super_check(struct pool *pool)
{
	enum tern_err err = TERN_ERR_BUSY;

	for (uint32_t turn = 0; turn < 5000 && err == TERN_ERR_BUSY; turn++) {
		pool_turn(pool);
		err = stripe_store_super_check(pool->store, 77);
	}
	assert_int_equal(err, TERN_OK);
	return pool_answer(pool);
}

static void
check_copies(const struct pool *pool, uint32_t device)
{
	for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
		struct superblock copy;
		assert_int_equal(
		    superblock_decode(pool->devices[device].image + (size_t)i * SUPERBLOCK_BYTES,
				      &copy),
		    TERN_OK);
		assert_int_equal(copy.device, device);
	}
}

/* Every copy alone, and the whole newest pair as a lost update leaves it. */
static void
test_superblocks(void **state)
{
	(void)state;
	for (uint32_t copy = 0; copy <= SUPERBLOCK_COPIES; copy++) {
		struct pool pool;
		pool_make(&pool, (struct stripe_geometry){ 2, 1 }, copy);
		uint8_t *old = malloc(SUPERBLOCK_COPIES * PAGE_BYTES);
		assert_non_null(old);
		pool_up(&pool);
		memcpy(old, pool.devices[1].image, SUPERBLOCK_COPIES * PAGE_BYTES);
		struct superblock next = *stripe_store_superblock(pool.store);
		next.tail_cell = 5;
		pool.is_update_done = false;
		stripe_store_update(pool.store, &next, 1);
		for (uint32_t turn = 0; turn < 5000 && !pool.is_update_done; turn++)
			pool_turn(&pool);
		assert_int_equal(super_check(&pool), TERN_OK);
		assert_int_equal(SUM(&pool, bad), 0);
		if (copy == SUPERBLOCK_COPIES)
			memcpy(pool.devices[1].image, old, SUPERBLOCK_COPIES * PAGE_BYTES);
		else
			pool.devices[1].image[copy * PAGE_BYTES + 77] ^= 1;
		assert_int_equal(super_check(&pool), TERN_OK);
		const uint64_t bad = copy == SUPERBLOCK_COPIES ? 2 : 1;
		assert_int_equal(stripe_store_device_stats(pool.store)[1].bad, bad);
		assert_int_equal(stripe_store_device_stats(pool.store)[1].repaired, bad);
		assert_int_equal(SUM(&pool, bad), bad);
		for (uint32_t device = 0; device < 3; device++)
			check_copies(&pool, device);
		assert_int_equal(pool_newest(&pool, 1).sequence, pool_newest(&pool, 0).sequence);
		assert_int_equal(super_check(&pool), TERN_OK);
		assert_int_equal(SUM(&pool, bad), bad);
		pool_crash(&pool);
		pool_up(&pool);
		free(old);
		pool_free(&pool);
	}
}

/* ---- rebuild ---- */

/* A device that was lost and rebuilt holds, byte for byte, what the layout says, what was written
 * before it was lost, while it was, and during the rebuild. Then every choice of m others may be
 * lost, and all is there. */
static void
test_rebuilt_is_equal(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		const uint32_t devices = stripe_devices(geometries[i]);
		for (uint32_t lost = 0; lost < STRIPE_BIT(devices); lost++) {
			if ((uint32_t)__builtin_popcount(lost) != geometries[i].m)
				continue;
			struct pool pool;
			pool_make(&pool, geometries[i], lost);
			pool_up(&pool);
			write_some(&pool, 10);
			for (uint32_t k = 0; k < devices; k++)
				pool.devices[k].is_failing = (lost >> k & 1) != 0;
			write_some(&pool, 6);
			for (uint32_t k = 0; k < devices; k++)
				if ((lost >> k & 1) != 0)
					assert_true(pool_replace(&pool, k));
			pool_drain(&pool);
			for (uint32_t k = 0; k < devices; k++)
				pool_check_layout(&pool, k);
			for (uint32_t other = 0; other < STRIPE_BIT(devices); other++) {
				if ((uint32_t)__builtin_popcount(other) != geometries[i].m)
					continue;
				pool_crash(&pool);
				uint8_t *kept[STRIPE_DEVICES_MAX];
				for (uint32_t k = 0; k < devices; k++) {
					kept[k] = malloc(pool.devices[k].bytes);
					assert_non_null(kept[k]);
					memcpy(kept[k], pool.devices[k].image,
					       pool.devices[k].bytes);
					pool.devices[k].is_absent = (other >> k & 1) != 0;
				}
				/* So few may be there that they must not go on by themselves. */
				if (geometries[i].k > geometries[i].m) {
					pool_up(&pool);
					pool_read_all(&pool);
					pool_crash(&pool);
				}
				for (uint32_t k = 0; k < devices; k++) {
					pool.devices[k].is_absent = false;
					memcpy(pool.devices[k].image, kept[k],
					       pool.devices[k].bytes);
					free(kept[k]);
				}
				pool_up(&pool);
			}
			pool_free(&pool);
		}
	}
}

/* ---- spares ---- */

static void
lose(struct pool *pool, uint32_t device)
{
	pool->devices[device].is_failing = true;
	write_some(pool, 4);
	for (uint32_t turn = 0; turn < 5000 && (stripe_store_stats(pool->store).failed_devices &
						STRIPE_BIT(device)) == 0;
	     turn++)
		pool_turn(pool);
	assert_true((stripe_store_stats(pool->store).failed_devices & STRIPE_BIT(device)) != 0);
}

/* A spare in the place of a device: whole at the end, known at the next start, and the old device,
 * well again, is nobody's any more. Without the spare the position is absent, not a copy. */
static void
test_spare(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		const uint32_t devices = stripe_devices(geometries[i]);
		if (geometries[i].k < 2)
			continue; /* one half of a mirror does not go on alone */
		for (uint32_t device = 0; device < devices; device++) {
			struct pool pool;
			pool_make(&pool, geometries[i], device);
			pool_add_spares(&pool, 2);
			pool_up(&pool);
			assert_int_equal(stripe_store_spares(pool.store), 3u << devices);
			write_some(&pool, 10);
			assert_int_equal(stripe_store_replace(pool.store, device, devices + 1,
							      pool.devices[0].bytes),
					 TERN_ERR_CONFIG);
			lose(&pool, device);
			assert_int_equal(
			    stripe_store_replace(pool.store, device, devices + 1, PAGE_BYTES),
			    TERN_ERR_NOT_FOUND);
			assert_int_equal(stripe_store_replace(pool.store, device, devices + 1,
							      pool.devices[0].bytes),
					 TERN_OK);
			assert_int_equal(stripe_store_replace(pool.store, device, devices + 1,
							      pool.devices[0].bytes),
					 TERN_ERR_NOT_FOUND);
			assert_true(pool_rebuild(&pool, device));
			pool_drain(&pool);
			pool_check_layout(&pool, device);
			pool_crash(&pool);
			/* The old one is back, as it was. */
			pool.devices[device].is_failing = false;
			pool_up(&pool);
			assert_int_equal(stripe_store_drive(pool.store, device), devices + 1);
			assert_int_equal(stripe_store_returned(pool.store), 0);
			assert_int_equal(stripe_store_stats(pool.store).failed_devices, 0);
			assert_int_equal(stripe_store_spares(pool.store), 1u << devices);
			write_some(&pool, 10);
			for (uint32_t k = 0; k < devices; k++)
				pool_check_layout(&pool, k);
			pool_read_all(&pool);
			pool_crash(&pool);
			/* Now only the old one is there, or a blank one in its place. */
			if (device % 2 != 0)
				memset(pool.devices[device].image, 0, pool.devices[device].bytes);
			pool.devices[devices + 1].is_absent = true;
			pool_up(&pool);
			assert_int_equal(stripe_store_stats(pool.store).failed_devices,
					 STRIPE_BIT(device));
			assert_int_equal(stripe_store_returned(pool.store), 0);
			pool_read_all(&pool);
			write_some(&pool, 4);
			pool_free(&pool);
		}
	}
}

/* The process ends at any request of the taking of a spare and its rebuild: the next start goes on
 * with the spare or begins anew, and nothing is lost. */
static void
test_spare_and_crash(void **state)
{
	(void)state;
	for (uint64_t steps = 1; steps < 60; steps += 2) {
		struct pool pool;
		pool_make(&pool, (struct stripe_geometry){ 2, 1 }, steps);
		pool_add_spares(&pool, 1);
		pool_up(&pool);
		write_some(&pool, 6);
		lose(&pool, 1);
		const uint64_t end = pool.steps + steps;
		assert_int_equal(stripe_store_replace(pool.store, 1, 3, pool.devices[0].bytes),
				 TERN_OK);
		enum tern_err err = TERN_ERR_BUSY;
		for (uint32_t k = 0; k < 5000 && err == TERN_ERR_BUSY && pool.steps < end; k++) {
			pool_turn(&pool);
			err = stripe_store_rebuild_begin(pool.store, 1);
		}
		for (uint32_t k = 0; err == TERN_OK && pool.steps < end && k < pool.group_count;
		     k++) {
			assert_int_equal(stripe_store_repair(pool.store, pool.groups[k].address, 77,
							     pool.now_ns),
					 TERN_OK);
			assert_int_equal(pool_answer(&pool), TERN_OK);
		}
		pool_crash(&pool);
		pool.devices[1].is_failing = false;
		pool_up(&pool);
		/* The record of the failure is durable; whoever stands there is not whole. */
		assert_int_equal(stripe_store_stats(pool.store).failed_devices, STRIPE_BIT(1));
		pool_read_all(&pool);
		if (stripe_store_drive(pool.store, 1) != 3)
			assert_int_equal(
			    stripe_store_replace(pool.store, 1, 3, pool.devices[0].bytes), TERN_OK);
		else
			assert_int_equal(stripe_store_returned(pool.store), STRIPE_BIT(1));
		assert_true(pool_rebuild(&pool, 1));
		pool_drain(&pool);
		pool_check_layout(&pool, 1);
		pool_free(&pool);
	}
}

/* Something that is not blank is left alone, whoever asks; what was not there at the start is blank
 * by the caller's word. */
static void
test_spare_that_carries_something(void **state)
{
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 2, 1 }, 1);
	pool_add_spares(&pool, 2);
	pool.devices[3].image[1080] = 0x53;
	pool.devices[4].is_absent = true;
	pool_up(&pool);
	pool.devices[4].is_absent = false; /* it came later */
	assert_int_equal(stripe_store_spares(pool.store), 0);
	write_some(&pool, 6);
	lose(&pool, 1);
	assert_int_equal(stripe_store_replace(pool.store, 1, 3, pool.devices[0].bytes),
			 TERN_ERR_NOT_FOUND);
	assert_int_equal(stripe_store_replace(pool.store, 1, 4, pool.devices[0].bytes), TERN_OK);
	assert_true(pool_rebuild(&pool, 1));
	pool_drain(&pool);
	pool_check_layout(&pool, 1);
	assert_int_equal(pool.devices[3].writes, 0);
	assert_int_equal(pool.devices[3].image[1080], 0x53);
	pool_free(&pool);
}

/* A spare has room for the log, and not for the checkpoints behind it: it waits for nothing, and
 * takes no place. Nor does what stood there, come back shorter. */
static void
test_spare_without_room_for_checkpoints(void **state)
{
	const uint64_t area_pages = 8;
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 2, 1 }, 1);
	const uint64_t short_bytes = pool.devices[0].bytes;
	for (uint32_t device = 0; device < 3; device++) {
		struct superblock superblock = pool_superblock(&pool, device);
		superblock.sequence = 2;
		superblock.checkpoint_first_page = superblock.log_first_page + superblock.log_pages;
		superblock.checkpoint_pages = area_pages;
		pool_superblock_write(&pool, device, &superblock);
		/* Nobody asks for what lies there. */
		pool.devices[device].bytes += area_pages * PAGE_BYTES;
	}
	pool_add_spares(&pool, 2);
	pool.devices[3].bytes = short_bytes;
	pool_up(&pool);
	assert_int_equal(stripe_store_spares(pool.store), 1u << 4);
	lose(&pool, 1);
	assert_int_equal(stripe_store_replace(pool.store, 1, 4, short_bytes), TERN_ERR_NOT_FOUND);
	pool.devices[1].is_failing = false;
	pool.devices[1].bytes = short_bytes;
	pool_crash(&pool);
	pool_up(&pool);
	assert_int_equal(stripe_store_rebuild_begin(pool.store, 1), TERN_ERR_NOT_FOUND);
	assert_int_equal(
	    stripe_store_replace(pool.store, 1, 4, short_bytes + area_pages * PAGE_BYTES), TERN_OK);
	pool_free(&pool);
}

/* Position 1 on a spare, and position 0 lost: what was left when the node was given new storage. */
static void
pool_of_before(struct pool *pool, struct stripe_geometry geometry)
{
	const uint32_t spare = stripe_devices(geometry);

	pool_make(pool, geometry, 5);
	pool_add_spares(pool, 1);
	pool_up(pool);
	write_some(pool, 6);
	lose(pool, 1);
	assert_int_equal(stripe_store_replace(pool->store, 1, spare, pool->devices[0].bytes),
			 TERN_OK);
	assert_true(pool_rebuild(pool, 1));
	lose(pool, 0);
	pool_drain(pool);
	pool_crash(pool);
}

/* A spare that stood in a pool which the node does not have any more comes back to the one that
 * took its place. That one counts because it was made later, however many eras the other had; were
 * it not known for that, the spare would be believed. */
static void
test_spare_of_an_earlier_pool(void **state)
{
	static const struct stripe_geometry of[] = { { 1, 1 }, { 2, 1 } };

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		const struct stripe_geometry geometry = of[i / 2];
		const uint32_t devices = stripe_devices(geometry);
		const bool is_above = i % 2 != 0;
		struct pool before, pool;

		pool_of_before(&before, geometry);
		struct superblock old = pool_newest(&before, devices);
		old.sequence++;
		old.pool_gen += 77u << SUPERBLOCK_ERA_SHIFT;
		pool_superblock_write(&before, devices, &old);
		pool_make(&pool, geometry, 7);
		pool_add_spares(&pool, 1);
		memcpy(pool.devices[devices].image, before.devices[devices].image,
		       before.devices[devices].bytes);
		for (uint32_t k = 0; k < devices && is_above; k++) {
			struct superblock new = pool_superblock(&pool, k);
			new.born_ns = new.sequence = UINT64_C(1700000000000000000);
			pool_superblock_write(&pool, k, &new);
		}
		const enum stripe_start verdict = pool_start(&pool);
		if (!is_above) {
			assert_true(verdict != STRIPE_START_READY ||
				    stripe_store_drive(pool.store, 1) == devices);
		} else {
			assert_int_equal(verdict, STRIPE_START_READY);
			assert_int_equal(stripe_store_drive(pool.store, 1), 1);
			assert_int_equal(stripe_store_spares(pool.store), 0);
			assert_int_equal(stripe_store_stats(pool.store).failed_devices, 0);
			assert_true(pool_recover(&pool));
			write_some(&pool, 6);
			pool_crash(&pool);
			pool_up(&pool);
			pool_read_all(&pool);
			assert_int_equal(pool.devices[devices].writes, 0);
		}
		pool_free(&pool);
		pool_free(&before);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_blob),
		cmocka_unit_test(test_superblocks),
		cmocka_unit_test(test_rebuilt_is_equal),
		cmocka_unit_test(test_spare),
		cmocka_unit_test(test_spare_and_crash),
		cmocka_unit_test(test_spare_that_carries_something),
		cmocka_unit_test(test_spare_without_room_for_checkpoints),
		cmocka_unit_test(test_spare_of_an_earlier_pool),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
