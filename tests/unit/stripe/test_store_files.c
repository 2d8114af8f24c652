/* SPDX-License-Identifier: Apache-2.0 */
/* The store on files, through the port that the daemon uses: O_DIRECT, durable writes. What is
 * written is found again after a restart, without one of the files, and after it was rebuilt. */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/bits.h"
#include "dataplane/stripe/store_repair.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/superblock_io.h"

#define FILES       4u /* 3 + 1 */
#define FILE_BYTES  (4u << 20)
#define FIRST_PAGE  16u
#define AREA_PAGES  (FILE_BYTES / PAGE_BYTES - FIRST_PAGE)
#define GROUPS      60u
#define GROUP_PAGES 64u
#define CLUSTER     7u

struct files {
	char paths[FILES][64];
	struct nvme *nvme;
	struct stripe_store *store;
	void *memory;
	uint8_t *bytes; /* of all groups */
	struct stripe_address addresses[GROUPS];
	uint32_t pages[GROUPS];
};

static char err_text[256];

static void *
take(size_t bytes)
{
	void *memory = aligned_alloc(PAGE_BYTES, align_up_u64(bytes, PAGE_BYTES));

	assert_non_null(memory);
	return memset(memory, 0, bytes);
}

static uint64_t
now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void
file_make(struct files *files, uint32_t number, bool has_superblock)
{
	const struct superblock superblock = {
		.sequence = 1,
		.cluster_id = CLUSTER,
		.generation = { 1, 0 },
		.node_id = 1,
		.pool_gen = 1,
		.k = FILES - 1,
		.m = 1,
		.device = (uint8_t)number,
		.log_first_page = FIRST_PAGE,
		.log_pages = AREA_PAGES,
		.shard_count = 1,
	};
	uint64_t bytes;
	int fd;

	(void)snprintf(files->paths[number], sizeof(files->paths[number]), "store-file-%d-%u",
		       (int)getpid(), number);
	unlink(files->paths[number]);
	assert_int_equal(
	    nvme_create_file(files->paths[number], FILE_BYTES, err_text, sizeof(err_text)),
	    TERN_OK);
	if (!has_superblock)
		return;
	assert_int_equal(
	    nvme_device_open(files->paths[number], true, &fd, &bytes, err_text, sizeof(err_text)),
	    TERN_OK);
	assert_int_equal(superblock_write_all(fd, &superblock), TERN_OK);
	assert_int_equal(close(fd), 0);
}

/* Polls until @count completions came, all of them good. */
static void
wait_for(struct files *files, uint32_t count)
{
	struct stripe_completion completions[8];
	uint32_t have = 0;

	while (have < count) {
		const uint32_t more = stripe_store_poll(files->store, now_ns(), completions, 8);
		for (uint32_t i = 0; i < more; i++)
			assert_int_equal(completions[i].err, TERN_OK);
		have += more;
	}
	assert_int_equal(have, count);
}

static void
scan(struct files *files, uint32_t groups)
{
	enum stripe_scan_state state = STRIPE_SCAN_MORE;
	struct stripe_scanned scanned;
	uint32_t found = 0;

	stripe_store_scan_begin(files->store, 0);
	while (state != STRIPE_SCAN_DONE) {
		state = stripe_store_scan(files->store, now_ns(), &scanned);
		assert_int_not_equal(state, STRIPE_SCAN_FAILED);
		if (state != STRIPE_SCAN_GROUP)
			continue;
		assert_non_null(scanned.bytes);
		assert_int_equal(scanned.group.first_cell, files->addresses[found].first_cell);
		assert_memory_equal(scanned.bytes,
				    files->bytes + (size_t)found * GROUP_PAGES * PAGE_BYTES,
				    (size_t)files->pages[found] * PAGE_BYTES);
		found++;
	}
	assert_int_equal(found, groups);
}

/* Opens the files, @absent not, counts the boot and scans. */
static void
up(struct files *files, uint32_t absent, uint32_t groups)
{
	struct nvme_config nvme = {
		.device_count = FILES,
		.queue_depth = 64,
		.is_volatile_allowed = true,
		.is_dev = true,
	};
	struct stripe_store_config config = {
		.geometry = { FILES - 1, 1 },
		.cluster_id = CLUSTER,
		.node_id = 1,
		.group_pages_max = GROUP_PAGES,
		.groups_max = 4,
		.reads_max = 2,
		.scan_rows = 128,
	};
	enum stripe_start verdict = STRIPE_START_MORE;

	for (uint32_t i = 0; i < FILES; i++) {
		nvme.paths[i] = files->paths[i];
		config.device_bytes[i] = i == absent ? 0 : FILE_BYTES;
	}
	assert_int_equal(nvme_open(&nvme, &files->nvme, err_text, sizeof(err_text)), TERN_OK);
	assert_int_equal(nvme_attach(files->nvme, err_text, sizeof(err_text)), TERN_OK);
	config.disk = nvme_port(files->nvme);
	files->memory = take(stripe_store_bytes(&config));
	assert_int_equal(stripe_store_init(files->memory, &config, &files->store), TERN_OK);
	while (verdict == STRIPE_START_MORE)
		verdict = stripe_store_start(files->store, now_ns());
	assert_int_equal(verdict, STRIPE_START_READY);
	struct superblock superblock = *stripe_store_superblock(files->store);
	superblock.boot_no++;
	stripe_store_update(files->store, &superblock, 0);
	wait_for(files, 1);
	scan(files, groups);
}

static void
down(struct files *files)
{
	nvme_close(files->nvme);
	free(files->memory);
}

static void
groups_write(struct files *files)
{
	for (uint32_t i = 0; i < GROUPS; i++) {
		uint8_t *bytes = files->bytes + (size_t)i * GROUP_PAGES * PAGE_BYTES;
		files->pages[i] = 1 + i * 7 % GROUP_PAGES;
		for (uint32_t page = 0; page < files->pages[i]; page++) {
			const struct page_content content = {
				.cluster_id = CLUSTER,
				.term = 1,
				.log_index = i + 1,
				.page_in_block = page,
				.used_bytes = PAGE_PAYLOAD_BYTES,
			};
			memset(bytes + (size_t)page * PAGE_BYTES, (int)(i + page), PAGE_BYTES);
			page_content_seal(bytes + (size_t)page * PAGE_BYTES, &content);
		}
		const struct stripe_group_write write = {
			.bytes = bytes,
			.pages = files->pages[i],
			.user = i,
		};
		assert_int_equal(
		    stripe_store_write(files->store, &write, now_ns(), &files->addresses[i]),
		    TERN_OK);
		if (i % 4 == 3)
			wait_for(files, 4);
	}
}

static void
groups_read(struct files *files)
{
	uint8_t *bytes = take((size_t)GROUP_PAGES * PAGE_BYTES);

	for (uint32_t i = 0; i < GROUPS; i++) {
		const struct stripe_group_read read = {
			.address = files->addresses[i],
			.pages = files->pages[i],
			.bytes = bytes,
		};
		assert_int_equal(stripe_store_read(files->store, &read, now_ns()), TERN_OK);
		wait_for(files, 1);
		assert_memory_equal(bytes, files->bytes + (size_t)i * GROUP_PAGES * PAGE_BYTES,
				    (size_t)files->pages[i] * PAGE_BYTES);
	}
	free(bytes);
}

static void
test_files(void **state)
{
	static struct files files;
	struct stripe_completion none;

	(void)state;
	files.bytes = take((size_t)GROUPS * GROUP_PAGES * PAGE_BYTES);
	for (uint32_t i = 0; i < FILES; i++)
		file_make(&files, i, true);
	up(&files, UINT32_MAX, 0);
	groups_write(&files);
	groups_read(&files);
	assert_int_equal(stripe_store_stats(files.store).reads_degraded, 0);
	down(&files);
	up(&files, 2, GROUPS);
	groups_read(&files);
	assert_int_equal(stripe_store_stats(files.store).failed_devices, STRIPE_BIT(2));
	down(&files);
	/* Another file in its place. */
	file_make(&files, 2, false);
	up(&files, UINT32_MAX, GROUPS);
	assert_int_equal(stripe_store_rebuild_begin(files.store, 2), TERN_OK);
	for (uint32_t i = 0; i < GROUPS; i++) {
		assert_int_equal(stripe_store_repair(files.store, files.addresses[i], 0, now_ns()),
				 TERN_OK);
		wait_for(&files, 1);
	}
	assert_int_equal(stripe_store_rebuild_end(files.store, 2), TERN_OK);
	while (stripe_store_stats(files.store).failed_devices != 0)
		(void)stripe_store_poll(files.store, now_ns(), &none, 1);
	down(&files);
	up(&files, 0, GROUPS);
	groups_read(&files);
	assert_int_equal(stripe_store_stats(files.store).reads_corrupt, 0);
	down(&files);
	for (uint32_t i = 0; i < FILES; i++)
		unlink(files.paths[i]);
	free(files.bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_files) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
