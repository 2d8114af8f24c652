/* SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/bench/stripe.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/base/prng.h"
#include "dataplane/stripe/store.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/superblock_io.h"
#include "hw/platform/platform.h"

#define FILE_BYTES      (64u << 20)
#define AREA_PAGES      (FILE_BYTES / PAGE_BYTES - SUPERBLOCK_AREA_PAGES)
#define GROUP_PAGES_MAX 16u
#define COMPLETIONS_MAX 64u
#define NODE_ID         1u

static const uint32_t sizes[BENCH_STRIPE_SIZES] = { 1024, 16384, 65536 };

/* Groups that the store has. */
struct in_flight {
	bool is_used;
	uint64_t first_cell;
};

struct subject {
	struct stripe_geometry geometry;
	struct nvme *nvme;
	struct disk_port port;
	struct stripe_store *store;
	void *store_memory;
	size_t store_bytes;
	/* For each group in flight GROUP_PAGES_MAX pages, and behind them all the same again for
	 * what the devices alone are given for parity. */
	uint8_t *buffers;
	size_t buffer_bytes;
	struct in_flight groups[BENCH_STRIPE_GROUPS];
	uint32_t group_count;
	uint64_t raw_cell; /* of the group whose requests are made next */
	uint32_t raw_column, raw_slot, raw_in_flight;
	bool is_failed;
};

struct tally {
	uint64_t blocks, pages, ns;
};

/* ---- files ---- */

bool
bench_stripe_open(struct bench_stripe *bench, const char *directory, uint32_t devices, char *text,
		  size_t text_bytes)
{
	INVARIANT(devices >= 1 && devices <= STRIPE_DEVICES_MAX);
	*bench = (struct bench_stripe){ 0 };
	for (uint32_t i = 0; i < devices; i++) {
		if (!bench_scratch_open(&bench->files[i], directory, "bench-disk", FILE_BYTES, text,
					text_bytes)) {
			bench_stripe_close(bench);
			return false;
		}
		bench->devices++;
	}
	return true;
}

void
bench_stripe_close(struct bench_stripe *bench)
{
	for (uint32_t i = 0; i < bench->devices; i++)
		bench_scratch_close(&bench->files[i]);
	bench->devices = 0;
}

/* ---- a store on them ---- */

static bool
superblocks_write(const struct subject *subject, char *text, size_t text_bytes)
{
	struct superblock superblock = {
		.sequence = 1,
		.cluster_id = platform_random_u64() | 1, /* what earlier stores left is foreign */
		.generation = { 1, 0 },
		.node_id = NODE_ID,
		.pool_gen = 1,
		.k = (uint8_t)subject->geometry.k,
		.m = (uint8_t)subject->geometry.m,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = AREA_PAGES,
		.checkpoint_first_page = FILE_BYTES / PAGE_BYTES,
		.shard_count = 1,
		.shards = { { .voters = STRIPE_BIT(NODE_ID) } },
	};

	for (uint32_t i = 0; i < stripe_devices(subject->geometry); i++) {
		superblock.device = (uint8_t)i;
		if (superblock_write_all(nvme_device_fd(subject->nvme, i), &superblock) !=
		    TERN_OK) {
			(void)snprintf(text, text_bytes, "a superblock was not written");
			return false;
		}
	}
	return true;
}

/* Runs the store's start and scan, as a daemon does. */
static bool
store_begin(struct subject *subject, char *text, size_t text_bytes)
{
	struct stripe_store *store = subject->store;
	struct stripe_scanned scanned;
	struct stripe_completion done;
	enum stripe_start start = STRIPE_START_MORE;
	enum stripe_scan_state scan = STRIPE_SCAN_MORE;

	while (start == STRIPE_START_MORE)
		start = stripe_store_start(store, platform_monotonic_ns());
	(void)snprintf(text, text_bytes, "the store does not start: %s", stripe_start_text(start));
	if (start != STRIPE_START_READY)
		return false;
	struct superblock superblock = *stripe_store_superblock(store);
	superblock.boot_no++;
	stripe_store_update(store, &superblock, 0);
	while (stripe_store_poll(store, platform_monotonic_ns(), &done, 1) == 0)
		(void)sched_yield();
	(void)snprintf(text, text_bytes, "the store's area cannot be read");
	if (done.err != TERN_OK)
		return false;
	stripe_store_scan_begin(store, 0);
	while (scan == STRIPE_SCAN_MORE || scan == STRIPE_SCAN_GROUP)
		scan = stripe_store_scan(store, platform_monotonic_ns(), &scanned);
	if (scan != STRIPE_SCAN_DONE)
		return false;
	/* Whatever was found there is of no interest. */
	stripe_store_release(store, stripe_store_stats(store).next_cell);
	return true;
}

static bool
port_open(struct subject *subject, const struct bench_stripe *bench, char *text, size_t text_bytes)
{
	const uint32_t devices = stripe_devices(subject->geometry);
	struct nvme_config config = {
		.device_count = devices,
		.queue_depth = min_u32(NVME_QUEUE_DEPTH_MAX, 2 * BENCH_STRIPE_GROUPS * devices),
		.buffers = { { subject->buffers, subject->buffer_bytes },
			     { subject->store_memory, subject->store_bytes } },
		.buffer_count = 2,
	};

	for (uint32_t i = 0; i < devices; i++)
		config.paths[i] = bench->files[i].path;
	if (nvme_open(&config, &subject->nvme, text, text_bytes) != TERN_OK)
		return false;
	if (!superblocks_write(subject, text, text_bytes) ||
	    nvme_attach(subject->nvme, text, text_bytes) != TERN_OK)
		return false;
	subject->port = nvme_port(subject->nvme);
	return true;
}

/* The most parity that a group has. */
static size_t
parity_pages(struct stripe_geometry geometry)
{
	return (size_t)geometry.m * div_up_u64(GROUP_PAGES_MAX, geometry.k);
}

static bool
memory_map(struct subject *subject, const struct stripe_store_config *config)
{
	struct prng prng;

	subject->buffer_bytes =
	    BENCH_STRIPE_GROUPS * (GROUP_PAGES_MAX + parity_pages(subject->geometry)) * PAGE_BYTES;
	subject->buffers = platform_arena_map(subject->buffer_bytes);
	subject->store_bytes = stripe_store_bytes(config);
	subject->store_memory = platform_arena_map(subject->store_bytes);
	if (subject->buffers == NULL || subject->store_memory == NULL)
		return false;
	prng_seed(&prng, 1);
	for (size_t at = 0; at < subject->buffer_bytes; at += sizeof(uint64_t)) {
		const uint64_t value = prng_next(&prng);
		memcpy(subject->buffers + at, &value, sizeof(value));
	}
	return true;
}

static bool
subject_open(struct subject *subject, const struct bench_stripe *bench, char *text,
	     size_t text_bytes)
{
	struct stripe_store_config config = {
		.geometry = subject->geometry,
		.node_id = NODE_ID,
		.group_pages_max = GROUP_PAGES_MAX,
		.groups_max = BENCH_STRIPE_GROUPS,
		.reads_max = 1,
		.scan_rows = 256,
	};

	for (uint32_t i = 0; i < stripe_devices(subject->geometry); i++)
		config.device_bytes[i] = FILE_BYTES;
	(void)snprintf(text, text_bytes, "out of memory");
	if (!memory_map(subject, &config) || !port_open(subject, bench, text, text_bytes))
		return false;
	config.disk = subject->port;
	(void)snprintf(text, text_bytes, "the store cannot be made");
	if (stripe_store_init(subject->store_memory, &config, &subject->store) != TERN_OK)
		return false;
	return store_begin(subject, text, text_bytes);
}

static void
subject_close(struct subject *subject)
{
	nvme_close(subject->nvme);
	if (subject->store_memory != NULL)
		platform_arena_unmap(subject->store_memory, subject->store_bytes);
	if (subject->buffers != NULL)
		platform_arena_unmap(subject->buffers, subject->buffer_bytes);
}

/* ---- the store ---- */

/* The area is gone round: what is not in flight any more gives way. */
static void
release_done(struct subject *subject)
{
	uint64_t cell = stripe_store_stats(subject->store).next_cell;

	for (uint32_t i = 0; i < BENCH_STRIPE_GROUPS; i++) {
		if (subject->groups[i].is_used)
			cell = min_u64(cell, subject->groups[i].first_cell);
	}
	stripe_store_release(subject->store, cell);
}

/* False: all groups are in flight, or the store has failed. */
static bool
group_write(struct subject *subject, uint32_t pages)
{
	struct stripe_address address;
	uint32_t slot = 0;

	while (slot < BENCH_STRIPE_GROUPS && subject->groups[slot].is_used)
		slot++;
	if (slot == BENCH_STRIPE_GROUPS)
		return false;
	const struct stripe_group_write write = {
		.bytes = subject->buffers + (size_t)slot * GROUP_PAGES_MAX * PAGE_BYTES,
		.pages = pages,
		.branch_group = UINT32_MAX,
		.user = slot,
	};
	const uint64_t now_ns = platform_monotonic_ns();
	enum tern_err err = stripe_store_write(subject->store, &write, now_ns, &address);
	if (err == TERN_ERR_LOG_FULL) {
		release_done(subject);
		err = stripe_store_write(subject->store, &write, now_ns, &address);
	}
	if (err != TERN_OK) {
		subject->is_failed = true;
		return false;
	}
	subject->groups[slot] = (struct in_flight){ true, address.first_cell };
	subject->group_count++;
	return true;
}

/* Returns how many groups became durable; yields when none did, as the daemons' loop does. */
static uint32_t
groups_collect(struct subject *subject)
{
	struct stripe_completion done[COMPLETIONS_MAX];
	const uint32_t count =
	    stripe_store_poll(subject->store, platform_monotonic_ns(), done, COMPLETIONS_MAX);

	for (uint32_t i = 0; i < count; i++) {
		subject->is_failed = subject->is_failed || done[i].err != TERN_OK;
		subject->groups[done[i].user].is_used = false;
		subject->group_count--;
	}
	if (count == 0)
		(void)sched_yield();
	return count;
}

/* Until all that was begun is durable. */
static void
store_slice(struct subject *subject, uint32_t pages, struct tally *tally)
{
	const uint64_t begin_ns = platform_monotonic_ns();
	uint64_t now_ns = begin_ns, blocks = 0;

	while (now_ns - begin_ns < BENCH_STRIPE_SLICE_NS && !subject->is_failed) {
		while (group_write(subject, pages))
			continue;
		blocks += groups_collect(subject);
		now_ns = platform_monotonic_ns();
	}
	while (subject->group_count != 0)
		blocks += groups_collect(subject);
	tally->blocks += blocks;
	tally->pages += blocks * stripe_group_cells(subject->geometry, pages);
	tally->ns += platform_monotonic_ns() - begin_ns;
}

/* ---- the devices ---- */

/* What a column is written from: as much memory, and as far apart, as the store takes. */
static uint8_t *
raw_bytes(const struct subject *subject, const struct stripe_layout *layout, uint32_t column)
{
	const size_t groups = (size_t)BENCH_STRIPE_GROUPS * GROUP_PAGES_MAX;
	const size_t page =
	    stripe_column_is_parity(layout, column)
		? groups + subject->raw_slot * parity_pages(subject->geometry) +
		      (size_t)column * layout->rows
		: (size_t)subject->raw_slot * GROUP_PAGES_MAX + stripe_column_first(layout, column);

	return subject->buffers + page * PAGE_BYTES;
}

/* The next request that the store would make. False: the port is full. */
static bool
raw_write(struct subject *subject, uint32_t pages)
{
	uint64_t cell;
	const enum tern_err err =
	    stripe_cell_fit(subject->geometry, subject->raw_cell, pages, AREA_PAGES, &cell);

	INVARIANT(err == TERN_OK);
	const struct stripe_layout layout = stripe_layout_make(subject->geometry, cell, pages);
	const struct stripe_place place = stripe_cell_place(
	    subject->geometry, stripe_cell_at(&layout, subject->raw_column, 0), AREA_PAGES);
	const uint32_t column_pages = stripe_column_pages(&layout, subject->raw_column);
	const struct disk_request request = {
		.kind = DISK_WRITE,
		.device = place.device,
		.offset = (SUPERBLOCK_AREA_PAGES + place.page) * PAGE_BYTES,
		.bytes = raw_bytes(subject, &layout, subject->raw_column),
		.length = column_pages * PAGE_BYTES,
	};
	if (column_pages != 0) {
		if (subject->port.ops->queue(subject->port.disk, &request) != TERN_OK)
			return false;
		subject->raw_in_flight++;
	}
	subject->raw_cell = cell;
	if (++subject->raw_column == stripe_devices(subject->geometry)) {
		subject->raw_column = 0;
		subject->raw_slot = (subject->raw_slot + 1) % BENCH_STRIPE_GROUPS;
		subject->raw_cell = cell + layout.cells;
	}
	return true;
}

/* Returns how many pages were written. */
static uint64_t
raw_collect(struct subject *subject)
{
	struct disk_completion done[COMPLETIONS_MAX];
	uint64_t pages = 0;

	subject->port.ops->submit(subject->port.disk);
	const uint32_t count = subject->port.ops->poll(subject->port.disk, done, COMPLETIONS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		subject->is_failed = subject->is_failed || done[i].err != TERN_OK;
		pages += done[i].length / PAGE_BYTES;
	}
	subject->raw_in_flight -= count;
	if (count == 0)
		(void)sched_yield();
	return pages;
}

static void
raw_slice(struct subject *subject, uint32_t pages, struct tally *tally)
{
	const struct stripe_layout layout = stripe_layout_make(subject->geometry, 0, pages);
	const uint32_t empty = (uint32_t)__builtin_popcount(stripe_columns_empty(&layout));
	const uint32_t most = BENCH_STRIPE_GROUPS * (stripe_devices(subject->geometry) - empty);
	const uint64_t begin_ns = platform_monotonic_ns();
	uint64_t now_ns = begin_ns;

	while (now_ns - begin_ns < BENCH_STRIPE_SLICE_NS && !subject->is_failed) {
		while (subject->raw_in_flight < most && raw_write(subject, pages))
			continue;
		tally->pages += raw_collect(subject);
		now_ns = platform_monotonic_ns();
	}
	while (subject->raw_in_flight != 0)
		tally->pages += raw_collect(subject);
	tally->ns += platform_monotonic_ns() - begin_ns;
	subject->raw_column = 0;
}

/* ---- measuring ---- */

static void
measure(struct subject *subject, uint32_t block_bytes, uint64_t duration_ns,
	struct bench_stripe_point *point)
{
	const uint32_t pages = (uint32_t)div_up_u64(block_bytes, PAGE_BYTES);
	struct tally store = { 0 }, raw = { 0 };

	while (store.ns < duration_ns && !subject->is_failed) {
		raw_slice(subject, pages, &raw);
		store_slice(subject, pages, &store);
	}
	*point = (struct bench_stripe_point){
		.block_bytes = block_bytes,
		.group_pages = pages,
		.blocks_per_s = (double)store.blocks * 1e9 / (double)(store.ns + 1),
		.device_bytes_per_s =
		    (double)store.pages * PAGE_BYTES * 1e9 / (double)(store.ns + 1),
		.raw_bytes_per_s = (double)raw.pages * PAGE_BYTES * 1e9 / (double)(raw.ns + 1),
	};
}

static void
tell_port(const struct subject *subject, struct bench_stripe_result *result)
{
	struct disk_facts facts;
	struct disk_stats stats;

	subject->port.ops->facts(subject->port.disk, &facts);
	subject->port.ops->stats(subject->port.disk, &stats);
	(void)snprintf(result->mode, sizeof(result->mode), "%s", facts.mode);
	result->writes = stats.writes;
	result->durable_writes = stats.durable_writes;
}

bool
bench_stripe_measure(const struct bench_stripe *bench, struct stripe_geometry geometry,
		     uint64_t duration_ns, struct bench_stripe_result *result, char *text,
		     size_t text_bytes)
{
	struct subject subject = { .geometry = geometry };

	INVARIANT(stripe_geometry_is_valid(geometry) && stripe_devices(geometry) <= bench->devices);
	*result = (struct bench_stripe_result){ 0 };
	bool is_good = subject_open(&subject, bench, text, text_bytes);
	for (uint32_t i = 0; i < BENCH_STRIPE_SIZES && is_good; i++) {
		measure(&subject, sizes[i], duration_ns, &result->points[i]);
		is_good = !subject.is_failed;
		(void)snprintf(text, text_bytes, "a write failed");
	}
	if (is_good)
		tell_port(&subject, result);
	subject_close(&subject);
	return is_good;
}
