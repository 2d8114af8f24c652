/* SPDX-License-Identifier: Apache-2.0 */
/* The store: starts and refusals, writes, reads, devices that fail and hang, the area's end. */
#include "tests/unit/stripe/pool.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/crc32c.h"
#include "dataplane/base/le.h"
#include "dataplane/wire/superblock_update.h"

static const struct stripe_geometry geometries[] = { { 1, 0 }, { 1, 1 }, { 2, 1 },
						     { 4, 2 }, { 3, 3 }, { 5, 0 } };
#define GEOMETRIES (sizeof(geometries) / sizeof(geometries[0]))

static void
write_some(struct pool *pool, uint32_t groups)
{
	for (uint32_t i = 0; i < groups; i++) {
		const uint32_t pages =
		    1 + (uint32_t)prng_below(&pool->prng, i % 4 == 0 ? POOL_GROUP_PAGES : 5);
		while (pool_write(pool, pages) == TERN_ERR_QUEUE_FULL)
			pool_turn(pool);
	}
	pool_drain(pool);
}

static void
test_write_read_and_find_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		struct pool pool;
		pool_make(&pool, geometries[i], i);
		pool.queue_max = 3; /* a port that is mostly full */
		pool_up(&pool);
		for (uint32_t boot = 0; boot < 3; boot++) {
			write_some(&pool, 15);
			pool_read_all(&pool);
			pool_crash(&pool);
			pool_up(&pool);
			assert_int_equal(stripe_store_scan_stats(pool.store)->groups_unreadable, 0);
			assert_int_equal(stripe_store_scan_stats(pool.store)->groups_missing, 0);
			pool_read_all(&pool);
		}
		assert_int_equal(stripe_store_superblock(pool.store)->boot_no, 4);
		assert_int_equal(stripe_store_stats(pool.store).reads_degraded, 0);
		pool_free(&pool);
	}
}

/* k = 1, m = 0 writes what today's log writes: one page after the other from cell 0. */
static void
test_plain_pool_is_a_plain_log(void **state)
{
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 1, 0 }, 1);
	pool_up(&pool);
	assert_int_equal(pool_write(&pool, 3), TERN_OK);
	assert_int_equal(pool_write(&pool, 2), TERN_OK);
	pool_drain(&pool);
	for (uint32_t i = 0; i < 5; i++) {
		const uint8_t *page =
		    pool.devices[0].image + (size_t)(POOL_FIRST_PAGE + i) * PAGE_BYTES;
		const struct page_identity expected = {
			.cluster_id = POOL_CLUSTER,
			.node_id = POOL_NODE,
			.boot_no = 1,
			.pool_gen = 1,
			.group_seq = i < 3 ? 1 : 2,
			.first_cell = i < 3 ? 0 : 3,
			.own_cell = i,
			.group_pages = i < 3 ? 3 : 2,
			.k = 1,
		};
		uint8_t bytes[PAGE_IDENTITY_BYTES];
		page_identity_encode(bytes, &expected);
		assert_memory_equal(page, bytes, sizeof(bytes));
	}
	pool_free(&pool);
}

/* A run of cells is what the device holds there, whatever groups it is of. A page of it that cannot
 * be read is zero; one of which nothing can be read is an error. */
static void
test_a_run_of_groups(void **state)
{
	static const uint8_t zeros[PAGE_BYTES];
	_Alignas(4096) static uint8_t bytes[POOL_GROUP_PAGES * PAGE_BYTES];
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 1, 0 }, 1);
	pool_up(&pool);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(pool_write(&pool, 7), TERN_OK);
	pool_drain(&pool);
	const uint8_t *log = pool.devices[0].image + (size_t)POOL_FIRST_PAGE * PAGE_BYTES;
	for (uint32_t first = 0; first < 21; first++) {
		const uint32_t pages = min_u32(POOL_GROUP_PAGES, 21 - first);
		assert_int_equal(pool_read_run(&pool, first, pages, bytes), TERN_OK);
		assert_memory_equal(bytes, log + (size_t)first * PAGE_BYTES,
				    (size_t)pages * PAGE_BYTES);
	}
	for (uint32_t page = 8; page < 20; page++)
		pool.devices[0].is_bad[POOL_FIRST_PAGE + page] = 1;
	assert_int_equal(pool_read_run(&pool, 6, 15, bytes), TERN_OK);
	for (uint32_t i = 0; i < 15; i++)
		assert_memory_equal(bytes + (size_t)i * PAGE_BYTES,
				    i < 2 || i == 14 ? log + (size_t)(6 + i) * PAGE_BYTES : zeros,
				    PAGE_BYTES);
	assert_int_equal(pool_read_run(&pool, 8, 12, bytes), TERN_ERR_CORRUPT);
	assert_int_equal(pool_read_run(&pool, 9, 1, bytes), TERN_ERR_CORRUPT);
	assert_int_equal(stripe_store_stats(pool.store).failed_devices, 0);
	pool_free(&pool);
}

static void
page_put(struct pool *pool, uint32_t boot_no, uint64_t first_cell, uint32_t pages, uint64_t cell)
{
	const struct page_identity identity = {
		.cluster_id = POOL_CLUSTER,
		.node_id = POOL_NODE,
		.boot_no = boot_no,
		.pool_gen = 1,
		.group_seq = 1,
		.first_cell = first_cell,
		.own_cell = cell,
		.group_pages = pages,
		.acked_floor = boot_no,
		.k = 1,
	};
	const struct page_content content = {
		.cluster_id = POOL_CLUSTER,
		.term = 1,
		.log_index = 1,
		.used_bytes = PAGE_PAYLOAD_BYTES,
	};
	uint8_t *page = pool->devices[0].image + (POOL_FIRST_PAGE + cell) * PAGE_BYTES;

	memset(page, 0, PAGE_BYTES);
	page_content_seal(page, &content);
	page_identity_encode(page, &identity);
}

/* A log of before: the second boot began behind the last page seen, inside the cells that a torn
 * group would have taken. New groups go behind all of them. */
static void
test_a_group_inside_a_torn_one(void **state)
{
	struct stripe_scanned scanned;
	enum stripe_scan_state scan = STRIPE_SCAN_MORE;
	uint32_t found = 0;
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 1, 0 }, 1);
	page_put(&pool, 1, 0, 9, 0);
	page_put(&pool, 1, 0, 9, 1);
	for (uint32_t i = 0; i < 3; i++)
		page_put(&pool, 2, 2, 3, 2 + i);
	assert_int_equal(pool_start(&pool), STRIPE_START_READY);
	stripe_store_scan_begin(pool.store, 0);
	for (uint32_t turn = 0; turn < 1000 && scan != STRIPE_SCAN_DONE; turn++) {
		scan = stripe_store_scan(pool.store, pool.now_ns += 1000, &scanned);
		if (scan != STRIPE_SCAN_GROUP)
			continue;
		assert_int_equal(scanned.group.boot_no, ++found);
		assert_int_equal(scanned.is_whole, found == 2);
		/* Without parity what is there of it can be used. */
		assert_non_null(scanned.bytes);
		assert_int_equal(scanned.bytes[0] != 0, true);
		assert_int_equal(scanned.bytes[2 * PAGE_BYTES] != 0, found == 2);
	}
	assert_int_equal(found, 2);
	assert_int_equal(stripe_store_scan_stats(pool.store)->acked_floor, 2);
	assert_int_equal(stripe_store_scan_stats(pool.store)->end_cell, 9);
	pool_free(&pool);
}

static void
test_every_loss_is_borne(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		const uint32_t devices = stripe_devices(geometries[i]), m = geometries[i].m;
		for (uint32_t lost = 1; lost < STRIPE_BIT(devices); lost++) {
			struct pool pool;
			if ((uint32_t)__builtin_popcount(lost) > m + 1)
				continue;
			pool_make(&pool, geometries[i], lost);
			pool_up(&pool);
			write_some(&pool, 8);
			pool_crash(&pool);
			for (uint32_t device = 0; device < devices; device++)
				pool.devices[device].is_absent = (lost & STRIPE_BIT(device)) != 0;
			if ((uint32_t)__builtin_popcount(lost) > m) {
				assert_int_equal(pool_start(&pool), STRIPE_START_TOO_FEW);
				pool_free(&pool);
				continue;
			}
			/* A mirror of two, one of them gone: which half is this? */
			if (devices - (uint32_t)__builtin_popcount(lost) <= m) {
				pool.notes.is_off = true;
				assert_int_equal(pool_start(&pool), STRIPE_START_STALE);
				pool.notes.is_off = false;
			}
			pool_up(&pool);
			pool_check_recorded(&pool, lost);
			pool_read_all(&pool);
			write_some(&pool, 8);
			pool_read_all(&pool);
			pool_crash(&pool);
			/* What was recorded as failed stays so, present or not. */
			for (uint32_t device = 0; device < devices; device++)
				pool.devices[device].is_absent = false;
			pool_up(&pool);
			assert_int_equal(stripe_store_stats(pool.store).failed_devices, lost);
			assert_int_equal(stripe_store_stats(pool.store).losses_left,
					 m - (uint32_t)__builtin_popcount(lost));
			pool_read_all(&pool);
			pool_free(&pool);
		}
	}
}

/* An operator takes devices out, between and beside writes, up to what the node bears. */
static void
test_devices_are_taken_out(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 40; seed++) {
		struct pool pool;
		pool_make(&pool, (struct stripe_geometry){ 4, 2 }, seed);
		pool_up(&pool);
		for (uint32_t i = 0; i < seed % 5; i++)
			(void)pool_write(&pool, 1 + i % 9);
		for (uint32_t i = 0; i < seed % 7; i++)
			pool_turn(&pool); /* with requests of it under way, or without */
		const uint32_t first = (uint32_t)(seed % 6), second = (first + 2) % 6;
		assert_int_equal(stripe_store_fail(pool.store, 6), TERN_ERR_NOT_FOUND);
		assert_int_equal(stripe_store_fail(pool.store, first), TERN_OK);
		assert_int_equal(stripe_store_fail(pool.store, first), TERN_ERR_NOT_FOUND);
		for (uint32_t i = 0; i < 6; i++)
			if (pool_write(&pool, 1 + i) == TERN_ERR_QUEUE_FULL)
				pool_turn(&pool);
		assert_int_equal(stripe_store_fail(pool.store, second), TERN_OK);
		assert_int_equal(stripe_store_stats(pool.store).losses_left, 0);
		/* One more and it could not read what it acknowledged. */
		assert_int_equal(stripe_store_fail(pool.store, (first + 1) % 6), TERN_ERR_BUSY);
		assert_false(stripe_store_stats(pool.store).is_stopped);
		pool_drain(&pool);
		pool_check_recorded(&pool, STRIPE_BIT(first) | STRIPE_BIT(second));
		pool_read_all(&pool);
		pool_crash(&pool);
		pool_up(&pool);
		pool_read_all(&pool);
		assert_true(pool_replace(&pool, first));
		assert_int_equal(stripe_store_stats(pool.store).losses_left, 1);
		assert_int_equal(stripe_store_fail(pool.store, (first + 1) % 6), TERN_OK);
		pool_drain(&pool);
		pool_read_all(&pool);
		pool_free(&pool);
	}
}

/* Fails at the n-th write, n = 1...: nobody hears of a group before the others know. */
static void
test_a_device_fails_at_every_write(void **state)
{
	(void)state;
	for (uint32_t victim = 0; victim < 6; victim++) {
		for (uint64_t at = 1; at < 14; at++) {
			struct pool pool;
			pool_make(&pool, (struct stripe_geometry){ 4, 2 }, at);
			pool.devices[victim].fail_at = at;
			pool_up(&pool);
			for (uint32_t i = 0; i < 20; i++) {
				while (pool_write(&pool, 1 + i % 9) == TERN_ERR_QUEUE_FULL)
					pool_turn(&pool);
				pool_turn(&pool);
				/* A group that was acknowledged lacks nothing that is not
				 * recorded. */
				for (uint32_t g = 0; g < pool.group_count; g++) {
					const struct pool_group *group = &pool.groups[g];
					const struct stripe_layout layout = stripe_layout_make(
					    pool.geometry, group->address.first_cell,
					    group->address.group_pages);
					const uint32_t column =
					    stripe_device_column(&layout, victim);
					if (!group->is_acked ||
					    stripe_column_pages(&layout, column) == 0)
						continue;
					const struct stripe_place place = stripe_cell_place(
					    pool.geometry, stripe_cell_at(&layout, column, 0),
					    POOL_AREA_PAGES);
					struct page_identity identity;
					const bool is_there =
					    page_identity_decode(
						pool.devices[victim].image +
						    (POOL_FIRST_PAGE + place.page) * PAGE_BYTES,
						&identity) == TERN_OK;
					if (!is_there)
						pool_check_recorded(&pool, STRIPE_BIT(victim));
				}
			}
			pool_drain(&pool);
			assert_true(pool.devices[victim].is_failing);
			pool_check_recorded(&pool, STRIPE_BIT(victim));
			assert_int_equal(stripe_store_stats(pool.store).losses_left, 1);
			pool_read_all(&pool);
			pool_crash(&pool);
			pool_up(&pool);
			pool_read_all(&pool);
			pool_free(&pool);
		}
	}
}

/* The same of what the superblock carries: a vote in which a device took no part. */
static void
test_a_device_fails_in_an_update(void **state)
{
	(void)state;
	for (uint32_t victim = 0; victim < 6; victim++) {
		for (uint64_t seed = 0; seed < 20; seed++) {
			struct pool pool;
			pool_make(&pool, (struct stripe_geometry){ 4, 2 }, seed);
			pool_up(&pool);
			pool.devices[victim].fail_at = pool.devices[victim].writes + 1;
			struct superblock superblock = *stripe_store_superblock(pool.store);
			superblock.shards[0].term = 41;
			superblock.shards[0].voted_for = 2;
			superblock.generation = (struct generation){ 2, 9 };
			superblock.fork.notice.is_known = true;
			superblock.fork.notice.log_index = 42;
			pool.is_update_done = false;
			stripe_store_update(pool.store, &superblock, 0);
			for (uint32_t turn = 0; turn < 500 && !pool.is_update_done; turn++)
				pool_turn(&pool);
			assert_true(pool.is_update_done);
			pool_check_recorded(&pool, STRIPE_BIT(victim));
			for (uint32_t device = 0; device < 6; device++) {
				const struct superblock newest = pool_newest(&pool, device);
				if (device == victim)
					continue;
				assert_int_equal(newest.shards[0].term, 41);
				assert_int_equal(newest.generation.id, 9);
				assert_int_equal(newest.fork.notice.log_index, 42);
			}
			pool_free(&pool);
		}
	}
}

/* The node ended while it was being forced: the later generation counts, and goes to all. */
static void
test_a_generation_is_on_some(void **state)
{
	(void)state;
	for (uint32_t late = 0; late < 6; late++) {
		struct pool pool;
		pool_make(&pool, (struct stripe_geometry){ 4, 2 }, late);
		pool_up(&pool);
		pool_crash(&pool);
		for (uint32_t device = 0; device < 6; device++) {
			struct superblock superblock = pool_newest(&pool, device);
			if (device == late)
				continue;
			superblock.sequence++;
			superblock.generation = (struct generation){ 2, 9 };
			pool_superblock_write(&pool, device, &superblock);
		}
		pool_up(&pool);
		assert_int_equal(stripe_store_superblock(pool.store)->generation.number, 2);
		for (uint32_t device = 0; device < 6; device++)
			assert_int_equal(pool_newest(&pool, device).generation.id, 9);
		pool_free(&pool);
	}
}

static void
test_a_device_hangs(void **state)
{
	(void)state;
	for (uint32_t victim = 0; victim < 3; victim++) {
		struct pool pool;
		pool_make(&pool, (struct stripe_geometry){ 2, 1 }, victim);
		pool_up(&pool);
		write_some(&pool, 4);
		pool.devices[victim].is_hung = true;
		const uint64_t before = pool.now_ns;
		const uint32_t first = pool.group_count;
		assert_int_equal(pool_write(&pool, 6), TERN_OK);
		pool_turn(&pool);
		for (uint32_t turn = 0; turn < 20; turn++)
			pool_turn(&pool);
		assert_true(pool.groups[first].is_acked == false ||
			    pool.now_ns - before > POOL_HANG_NS);
		pool_drain(&pool);
		assert_true(pool.groups[first].is_acked);
		assert_true(pool.now_ns - before > POOL_HANG_NS);
		pool_check_recorded(&pool, STRIPE_BIT(victim));
		assert_true(stripe_store_stats(pool.store).hung_requests >= 1);
		pool_read_all(&pool);
		/* It comes back to life: what it still had to do does no harm. */
		pool.devices[victim].is_hung = false;
		write_some(&pool, 4);
		assert_int_equal(stripe_store_stats(pool.store).hung_requests, 0);
		pool_read_all(&pool);
		pool_free(&pool);
	}
}

/* A read hangs; the answer comes from the others, and memory that the device may still write into
 * is not used until it has. */
static void
test_a_read_hangs(void **state)
{
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 2, 2 }, 5);
	pool_up(&pool);
	write_some(&pool, 6);
	for (uint32_t i = 0; i < 2; i++) {
		const struct stripe_layout layout =
		    stripe_layout_make(pool.geometry, pool.groups[0].address.first_cell,
				       pool.groups[0].address.group_pages);
		pool.devices[stripe_column_device(&layout, 2 + i)].is_hung = true;
		assert_int_equal(pool_read(&pool, 0, 0, pool.groups[0].address.group_pages),
				 TERN_OK);
		assert_int_equal(stripe_store_stats(pool.store).hung_requests, 1 + i);
		pool_read_all(&pool);
	}
	for (uint32_t device = 0; device < 4; device++)
		pool.devices[device].is_hung = false;
	pool_read_all(&pool);
	for (uint32_t turn = 0; turn < 100; turn++)
		pool_turn(&pool);
	assert_int_equal(stripe_store_stats(pool.store).hung_requests, 0);
	pool_read_all(&pool);
	pool_free(&pool);
}

static void
test_one_failure_too_many(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		struct pool pool;
		pool_make(&pool, geometries[i], 9);
		pool_up(&pool);
		write_some(&pool, 3);
		const uint32_t before = pool.group_count;
		for (uint32_t device = 0; device <= geometries[i].m; device++)
			pool.devices[device].is_failing = true;
		/* A group that takes all devices. */
		assert_int_equal(pool_write(&pool, POOL_GROUP_PAGES), TERN_OK);
		pool_drain(&pool);
		assert_true(pool.groups[before].is_failed);
		assert_true(stripe_store_stats(pool.store).is_stopped);
		assert_int_equal(pool_write(&pool, 1), TERN_ERR_IO);
		assert_int_equal(pool_read(&pool, 0, 0, 1), TERN_ERR_IO);
		pool_free(&pool);
	}
}

/* ---- scrub and rebuild ---- */

/* After a scrub all pages of the log are what they were, on every device. */
static void
test_scrub(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		const uint32_t devices = stripe_devices(geometries[i]);
		uint8_t *before[STRIPE_DEVICES_MAX];
		struct pool pool;
		if (geometries[i].m == 0)
			continue;
		pool_make(&pool, geometries[i], i);
		pool_up(&pool);
		write_some(&pool, 40);
		const size_t bytes = pool.devices[0].bytes;
		const uint64_t rows = stripe_store_stats(pool.store).next_cell / devices;
		for (uint32_t device = 0; device < devices; device++) {
			before[device] = malloc(bytes);
			assert_non_null(before[device]);
			memcpy(before[device], pool.devices[device].image, bytes);
		}
		for (uint32_t device = 0; device < geometries[i].m; device++) {
			pool_rot(&pool, device, 150);
			/* Rot that no sum covers, of pages that may be parity. */
			for (uint64_t page = 0; page < rows; page += 3)
				pool.devices[device]
				    .image[(POOL_FIRST_PAGE + page) * PAGE_BYTES + 2000] ^= 1;
		}
		pool_scrub(&pool);
		assert_true(stripe_store_stats(pool.store).bad_pages != 0);
		for (uint32_t device = 0; device < devices; device++) {
			assert_memory_equal(
			    pool.devices[device].image + POOL_FIRST_PAGE * PAGE_BYTES,
			    before[device] + POOL_FIRST_PAGE * PAGE_BYTES, rows * PAGE_BYTES);
			free(before[device]);
		}
		const uint64_t bad = stripe_store_stats(pool.store).bad_pages;
		pool_scrub(&pool);
		assert_int_equal(stripe_store_stats(pool.store).bad_pages, bad);
		pool_free(&pool);
	}
}

/* Pages that cannot be read, on every device, never two of one row: a bad page costs itself, not
 * the window or the column that it is read with. A scrub writes them again. */
static void
test_pages_that_cannot_be_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		const uint32_t devices = stripe_devices(geometries[i]);
		struct pool pool;
		if (geometries[i].m == 0)
			continue;
		pool_make(&pool, geometries[i], i);
		pool_up(&pool);
		write_some(&pool, 40);
		/* Rows of a group are rows of the devices, up to one. */
		for (uint64_t row = 0; row < POOL_AREA_PAGES; row += 2)
			pool.devices[row / 2 % devices].is_bad[POOL_FIRST_PAGE + row] = 1;
		pool_crash(&pool);
		for (uint32_t device = 0; device < devices; device++)
			pool.devices[device].is_bad[device % SUPERBLOCK_COPIES] = 1;
		pool_up(&pool);
		assert_int_equal(stripe_store_stats(pool.store).failed_devices, 0);
		pool_read_all(&pool);
		assert_true(stripe_store_stats(pool.store).read_errors != 0);
		pool_scrub(&pool);
		const uint64_t errors = stripe_store_stats(pool.store).read_errors;
		pool_read_all(&pool);
		assert_int_equal(stripe_store_stats(pool.store).read_errors, errors);
		pool_free(&pool);
	}
}

/* Each device in turn fails, is replaced and rebuilt; then any m others are lost. */
static void
test_rebuild(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		const uint32_t devices = stripe_devices(geometries[i]), m = geometries[i].m;
		for (uint32_t victim = 0; victim < devices && m != 0; victim++) {
			struct pool pool;
			pool_make(&pool, geometries[i], i * 10 + victim);
			pool_up(&pool);
			write_some(&pool, 6);
			assert_int_equal(stripe_store_rebuild_begin(pool.store, victim),
					 TERN_ERR_CONFIG);
			pool.devices[victim].is_failing = true;
			assert_int_equal(pool_write(&pool, POOL_GROUP_PAGES), TERN_OK);
			write_some(&pool, 6);
			pool_check_recorded(&pool, STRIPE_BIT(victim));
			assert_true(pool_replace(&pool, victim));
			assert_int_equal(stripe_store_stats(pool.store).losses_left, m);
			write_some(&pool, 6);
			pool_crash(&pool);
			pool_up(&pool);
			assert_int_equal(stripe_store_scan_stats(pool.store)->groups_degraded, 0);
			assert_int_equal(stripe_store_stats(pool.store).failed_devices, 0);
			/* Now the others go. */
			for (uint32_t lost = 0; lost < m; lost++)
				pool.devices[(victim + 1 + lost) % devices].is_failing = true;
			pool_read_all(&pool);
			pool_free(&pool);
		}
	}
}

/* The replacement fails at every write of its rebuild: it is out again, and nobody is hurt. */
static void
test_a_rebuild_that_fails(void **state)
{
	(void)state;
	for (uint64_t at = 1; at < 12; at++) {
		struct pool pool;
		pool_make(&pool, (struct stripe_geometry){ 4, 2 }, at);
		pool_up(&pool);
		write_some(&pool, 6);
		pool.devices[3].is_failing = true;
		assert_int_equal(pool_write(&pool, POOL_GROUP_PAGES), TERN_OK);
		pool_drain(&pool);
		pool.devices[3].is_failing = false;
		memset(pool.devices[3].image, 0, pool.devices[3].bytes);
		pool.devices[3].fail_at = pool.devices[3].writes + at;
		assert_int_equal(stripe_store_rebuild_begin(pool.store, 3), TERN_OK);
		assert_int_equal(stripe_store_rebuild_begin(pool.store, 3), TERN_ERR_BUSY);
		const struct superblock superblock = *stripe_store_superblock(pool.store);
		pool.is_update_done = false;
		stripe_store_update(pool.store, &superblock, 0);
		for (uint32_t turn = 0; turn < 500 && !pool.is_update_done; turn++)
			pool_turn(&pool);
		assert_true(pool.is_update_done);
		pool_scrub(&pool);
		write_some(&pool, 12);
		if (pool.devices[3].is_failing) {
			assert_int_equal(stripe_store_rebuild_end(pool.store, 3),
					 TERN_ERR_NOT_FOUND);
			pool_check_recorded(&pool, STRIPE_BIT(3));
		}
		pool_read_all(&pool);
		assert_false(stripe_store_stats(pool.store).is_stopped);
		pool_crash(&pool);
		pool_up(&pool);
		pool_read_all(&pool);
		pool_free(&pool);
	}
}

/* ---- starts ---- */

static const struct refusal {
	const char *what;
	enum stripe_start verdict;
	uint32_t device;
} refusals[] = {
	{ "all blank", STRIPE_START_BLANK, UINT32_MAX },
	{ "one blank", STRIPE_START_BLANK_DEVICE, 2 },
	{ "other data", STRIPE_START_FOREIGN, 1 },
	{ "torn to pieces", STRIPE_START_CORRUPT, 5 },
	{ "swapped", STRIPE_START_SWAPPED, 1 },
	{ "cloned", STRIPE_START_CLONED, 2 },
	{ "too small", STRIPE_START_TOO_SMALL, 0 },
	{ "three gone", STRIPE_START_TOO_FEW, UINT32_MAX },
	{ "later format", STRIPE_START_VERSION, 2 },
	/* From here on: a superblock that is good in itself. */
	{ "other cluster", STRIPE_START_FOREIGN, 1 },
	{ "other node", STRIPE_START_FOREIGN, 3 },
	{ "other generation of the cluster", STRIPE_START_FOREIGN, 3 },
	{ "old copy", STRIPE_START_CLONED, 4 },
	{ "of a later start that the others did not see", STRIPE_START_CLONED, 4 },
	{ "other geometry", STRIPE_START_GEOMETRY, 0 },
	{ "other area", STRIPE_START_GEOMETRY, 3 },
};
#define REFUSALS_SUPERBLOCK 9u
#define REFUSALS            (sizeof(refusals) / sizeof(refusals[0]))
#define COPIES_BYTES        ((size_t)SUPERBLOCK_COPIES * PAGE_BYTES)

static void
bend_superblock(struct pool *pool, uint32_t number, uint32_t device)
{
	struct superblock superblock = pool_newest(pool, device);

	switch (number - REFUSALS_SUPERBLOCK) {
	case 0:
		superblock.cluster_id++;
		break;
	case 1:
		superblock.node_id++;
		break;
	case 2:
		superblock.generation.number++;
		superblock.generation.id++;
		break;
	case 3:
		superblock.sequence -= 2;
		break;
	case 4:
		superblock.sequence--;
		superblock.pool_gen = superblock_next_era(superblock.pool_gen);
		break;
	case 5:
		superblock.k = 3;
		break;
	default:
		superblock.log_pages--;
		break;
	}
	memset(pool->devices[device].image, 0, COPIES_BYTES);
	pool_superblock_write(pool, device, &superblock);
}

static void
bend_device(struct pool *pool, uint32_t number, uint32_t device)
{
	uint8_t *image = pool->devices[device == UINT32_MAX ? 0 : device].image;

	for (uint32_t d = 0; d < 6 && number == 0; d++)
		memset(pool->devices[d].image, 0, COPIES_BYTES);
	for (uint32_t d = 0; d < 3 && number == 7; d++)
		pool->devices[d].is_absent = true;
	if (number == 1)
		memset(image, 0, COPIES_BYTES);
	if (number == 2)
		memset(image, 0x55, COPIES_BYTES);
	if (number == 4) {
		pool->devices[1].image = pool->devices[2].image;
		pool->devices[2].image = image;
	}
	if (number == 5)
		memcpy(image, pool->devices[0].image, COPIES_BYTES);
	if (number == 6)
		pool->devices[0].bytes -= PAGE_BYTES;
	for (uint32_t copy = 0; copy < SUPERBLOCK_COPIES && (number == 3 || number == 8); copy++) {
		uint8_t *page = image + (size_t)copy * PAGE_BYTES;
		page[number == 3 ? 300 : 12] ^= 8; /* 12: the format, under a good sum */
		const le32 sum = le32_make(crc32c(page + 12, PAGE_BYTES - 12));
		if (number == 8)
			memcpy(page + 8, &sum, sizeof(sum));
	}
}

static void
test_refusals(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < REFUSALS; i++) {
		struct pool pool;

		pool_make(&pool, (struct stripe_geometry){ 4, 2 }, i);
		pool_up(&pool);
		write_some(&pool, 2);
		pool_crash(&pool);
		pool_up(&pool);
		pool_crash(&pool);
		if (i >= REFUSALS_SUPERBLOCK)
			bend_superblock(&pool, i, refusals[i].device);
		else
			bend_device(&pool, i, refusals[i].device);
		const enum stripe_start verdict = pool_start(&pool);
		if (verdict != refusals[i].verdict)
			fail_msg("%s: %s", refusals[i].what, stripe_start_text(verdict));
		assert_int_equal(stripe_store_start_device(pool.store), refusals[i].device);
		pool_free(&pool);
	}
}

/* A device that missed an update gets it before anything new is written. */
static void
test_a_device_that_is_one_behind(void **state)
{
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 2, 1 }, 3);
	struct superblock newer = pool_superblock(&pool, 1);
	newer.sequence = 2;
	newer.shards[0].term = 7;
	pool_superblock_write(&pool, 1, &newer);
	assert_int_equal(pool_start(&pool), STRIPE_START_READY);
	for (uint32_t device = 0; device < 3; device++) {
		assert_int_equal(pool_newest(&pool, device).sequence, 2);
		assert_int_equal(pool_newest(&pool, device).shards[0].term, 7);
		assert_int_equal(pool_newest(&pool, device).device, device);
	}
	assert_int_equal(stripe_store_superblock(pool.store)->shards[0].term, 7);
	pool_free(&pool);
}

/* The stale half of a mirror: the other half went on alone. */
static void
test_a_stale_half_does_not_start(void **state)
{
	struct pool pool;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 1, 1 }, 3);
	pool_up(&pool);
	write_some(&pool, 2);
	pool.devices[0].is_failing = true;
	write_some(&pool, 2);
	pool_crash(&pool);
	pool.devices[0].is_failing = false;
	/* Device 1 knows that 0 failed, and starts alone. */
	pool.devices[0].is_absent = true;
	pool_up(&pool);
	pool_read_all(&pool);
	pool_crash(&pool);
	/* Device 0 does not know. */
	pool.devices[0].is_absent = false;
	pool.devices[1].is_absent = true;
	assert_int_equal(pool_start(&pool), STRIPE_START_LEFT_BEHIND);
	assert_int_equal(stripe_store_start_device(pool.store), 0);
	pool.notes.is_off = true;
	assert_int_equal(pool_start(&pool), STRIPE_START_STALE);
	/* Together they know. */
	pool.devices[1].is_absent = false;
	pool_up(&pool);
	assert_int_equal(stripe_store_stats(pool.store).failed_devices, 1);
	pool_read_all(&pool);
	pool_free(&pool);
}

/* ---- the area ---- */

static void
test_the_area_goes_round(void **state)
{
	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		struct pool pool;
		uint32_t released = 0;
		pool_make(&pool, geometries[i], i);
		pool_up(&pool);
		const uint64_t lap = (uint64_t)POOL_AREA_PAGES * stripe_devices(geometries[i]);
		for (uint32_t boot = 0; boot < 6; boot++) {
			while (stripe_store_stats(pool.store).next_cell <
			       (boot + 1) * lap * 2 / 3) {
				const enum tern_err err = pool_write(
				    &pool, 1 + (uint32_t)prng_below(&pool.prng, POOL_GROUP_PAGES));
				if (err == TERN_ERR_LOG_FULL) {
					/* Everything that is not the newest half may go. */
					released += (pool.group_count - released) / 2;
					pool.release_cell =
					    pool.groups[released].address.first_cell;
					stripe_store_release(pool.store, pool.release_cell);
				} else {
					assert_true(err == TERN_OK || err == TERN_ERR_QUEUE_FULL);
				}
				pool_turn(&pool);
			}
			pool_drain(&pool);
			pool_read_all(&pool);
			pool_crash(&pool);
			pool_up(&pool);
			pool_read_all(&pool);
		}
		assert_true(pool.release_cell > lap);
		pool_free(&pool);
	}
}

static void
test_the_area_is_full(void **state)
{
	struct pool pool;
	enum tern_err err;

	(void)state;
	pool_make(&pool, (struct stripe_geometry){ 2, 1 }, 1);
	pool_up(&pool);
	while ((err = pool_write(&pool, 7)) != TERN_ERR_LOG_FULL) {
		assert_true(err == TERN_OK || err == TERN_ERR_QUEUE_FULL);
		pool_turn(&pool);
	}
	pool_drain(&pool);
	assert_true(stripe_store_stats(pool.store).cells_left < 11);
	pool_crash(&pool);
	pool_up(&pool);
	pool_read_all(&pool);
	assert_int_equal(pool_write(&pool, 7), TERN_ERR_LOG_FULL);
	pool_free(&pool);
}

/* A scan under a smaller limit than that under which the groups were written. */
static void
scan_under(struct pool *pool, uint32_t group_pages_max, struct stripe_scan_stats *stats)
{
	struct stripe_scanned scanned;
	enum stripe_scan_state state = STRIPE_SCAN_MORE;

	pool->config.group_pages_max = group_pages_max;
	assert_int_equal(pool_start(pool), STRIPE_START_READY);
	stripe_store_scan_begin(pool->store, 0);
	for (uint32_t turn = 0; turn < 10000 && state < STRIPE_SCAN_DONE; turn++) {
		pool->now_ns += 1000;
		state = stripe_store_scan(pool->store, pool->now_ns, &scanned);
		if (state == STRIPE_SCAN_GROUP)
			assert_true(scanned.group.group_pages <= group_pages_max);
	}
	assert_int_equal(state, STRIPE_SCAN_DONE);
	*stats = *stripe_store_scan_stats(pool->store);
	pool_crash(pool);
}

/* They are neither rot nor room, and the scan says that it left them out. */
static void
test_groups_of_another_limit(void **state)
{
	static const uint32_t sizes[] = { 5, POOL_GROUP_PAGES - 1, 7, POOL_GROUP_PAGES };

	(void)state;
	for (size_t i = 0; i < GEOMETRIES; i++) {
		struct stripe_scan_stats before, after;
		struct pool pool;

		pool_make(&pool, geometries[i], i);
		pool_up(&pool);
		for (uint32_t n = 0; n < 4; n++) {
			assert_int_equal(pool_write(&pool, sizes[n]), TERN_OK);
			pool_drain(&pool);
		}
		pool_crash(&pool);
		scan_under(&pool, POOL_GROUP_PAGES, &before);
		assert_int_equal(before.pages_over, 0);
		assert_int_equal(before.groups, 4);
		scan_under(&pool, 8, &after);
		assert_int_equal(after.pages_over, POOL_GROUP_PAGES);
		assert_int_equal(after.groups, 2);
		assert_int_equal(after.pages_foreign, 0);
		assert_int_equal(after.end_cell, before.end_cell);
		assert_int_equal(after.acked_floor, before.acked_floor);
		/* And nothing happened to them. */
		pool.config.group_pages_max = POOL_GROUP_PAGES;
		pool_up(&pool);
		pool_read_all(&pool);
		pool_free(&pool);
	}
}

static void
test_configurations(void **state)
{
	struct stripe_store_config good = {
		.geometry = { 4, 2 },
		.group_pages_max = 64,
		.groups_max = 4,
		.reads_max = 2,
		.scan_rows = 64,
	};

	(void)state;
	assert_true(stripe_store_bytes(&good) != 0);
#define REFUSED(field, value)                                  \
	do {                                                   \
		struct stripe_store_config bad = good;         \
		bad.field = value;                             \
		assert_int_equal(stripe_store_bytes(&bad), 0); \
	} while (0)
	REFUSED(geometry.k, 0);
	REFUSED(geometry.k, 17);
	REFUSED(geometry.m, 5);
	REFUSED(group_pages_max, 0);
	REFUSED(group_pages_max, 65536);
	REFUSED(group_pages_max, 400); /* over the window */
	REFUSED(groups_max, 0);
	REFUSED(groups_max, 17);
	REFUSED(reads_max, 0);
	REFUSED(reads_max, 17);
	REFUSED(scan_rows, 513);
#undef REFUSED
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_read_and_find_again),
		cmocka_unit_test(test_plain_pool_is_a_plain_log),
		cmocka_unit_test(test_a_run_of_groups),
		cmocka_unit_test(test_a_group_inside_a_torn_one),
		cmocka_unit_test(test_every_loss_is_borne),
		cmocka_unit_test(test_devices_are_taken_out),
		cmocka_unit_test(test_a_device_fails_at_every_write),
		cmocka_unit_test(test_a_device_fails_in_an_update),
		cmocka_unit_test(test_a_generation_is_on_some),
		cmocka_unit_test(test_a_device_hangs),
		cmocka_unit_test(test_a_read_hangs),
		cmocka_unit_test(test_one_failure_too_many),
		cmocka_unit_test(test_scrub),
		cmocka_unit_test(test_pages_that_cannot_be_read),
		cmocka_unit_test(test_rebuild),
		cmocka_unit_test(test_a_rebuild_that_fails),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_a_device_that_is_one_behind),
		cmocka_unit_test(test_a_stale_half_does_not_start),
		cmocka_unit_test(test_the_area_goes_round),
		cmocka_unit_test(test_the_area_is_full),
		cmocka_unit_test(test_groups_of_another_limit),
		cmocka_unit_test(test_configurations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
