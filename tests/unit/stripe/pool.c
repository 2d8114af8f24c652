/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/stripe/pool.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/wire/superblock_update.h"

static void *
take(size_t bytes)
{
	void *memory = aligned_alloc(PAGE_BYTES, align_up_u64(bytes + 1, PAGE_BYTES));

	assert_non_null(memory);
	return memset(memory, 0, bytes);
}

/* ---- the port ---- */

static enum tern_err
port_queue(void *self, const struct disk_request *request)
{
	struct pool *pool = self;
	const struct pool_device *device = &pool->devices[request->device];
	uint32_t used = 0, slot = POOL_REQUESTS;

	assert_true(device->image != NULL && !device->is_absent);
	assert_int_equal(request->offset % DISK_PAGE_BYTES, 0);
	assert_int_equal((uintptr_t)request->bytes % DISK_PAGE_BYTES, 0);
	assert_true(request->length != 0 && request->length % DISK_PAGE_BYTES == 0);
	assert_true(request->length <= 2u << 20);
	assert_true(request->offset + request->length <= device->bytes);
	for (uint32_t i = 0; i < POOL_REQUESTS; i++) {
		used += pool->requests[i].is_used;
		if (!pool->requests[i].is_used && slot == POOL_REQUESTS)
			slot = i;
	}
	if (used >= pool->queue_max)
		return TERN_ERR_QUEUE_FULL;
	pool->requests[slot] = (struct pool_request){ *request, true };
	return TERN_OK;
}

static void
port_submit(void *self)
{
	(void)self;
}

static bool
has_bad_page(struct pool_device *device, const struct disk_request *request)
{
	const uint64_t first = request->offset / PAGE_BYTES;

	for (uint64_t page = first; page < first + request->length / PAGE_BYTES; page++) {
		if (request->kind == DISK_WRITE)
			device->is_bad[page] = 0;
		else if (device->is_bad[page] != 0)
			return true;
	}
	return false;
}

static void
request_apply(struct pool_device *device, const struct disk_request *request)
{
	if (request->kind == DISK_WRITE)
		memcpy(device->image + request->offset, request->bytes, request->length);
	else
		memcpy(request->bytes, device->image + request->offset, request->length);
}

static uint32_t
port_poll(void *self, struct disk_completion *completions, uint32_t max)
{
	struct pool *pool = self;
	const uint32_t from = (uint32_t)prng_below(&pool->prng, POOL_REQUESTS);
	uint32_t count = 0;

	for (uint32_t i = 0; i < POOL_REQUESTS && count < max; i++) {
		struct pool_request *one = &pool->requests[(from + i) % POOL_REQUESTS];
		struct pool_device *device = &pool->devices[one->request.device];
		if (!one->is_used || device->is_hung || prng_below(&pool->prng, 2) == 0)
			continue;
		const bool is_write = one->request.kind == DISK_WRITE;
		device->writes += is_write;
		if (is_write && device->fail_at != 0 && device->writes >= device->fail_at)
			device->is_failing = true;
		const bool is_failed = device->is_failing || has_bad_page(device, &one->request);
		if (!is_failed)
			request_apply(device, &one->request);
		one->is_used = false;
		pool->steps++;
		completions[count++] = (struct disk_completion){
			.user = one->request.user,
			.device = one->request.device,
			.kind = one->request.kind,
			.err = is_failed ? TERN_ERR_IO : TERN_OK,
			.length = one->request.length,
		};
	}
	return count;
}

static const struct disk_ops pool_ops = {
	.queue = port_queue,
	.submit = port_submit,
	.poll = port_poll,
};

/* ---- the pool note ---- */

static void
note_write(void *self, const struct pool_note *note)
{
	struct pool_notes *notes = self;
	uint8_t bytes[POOL_NOTE_BYTES];

	assert_false(notes->is_flying);
	pool_note_encode(bytes, note);
	assert_int_equal(pool_note_decode(bytes, sizeof(bytes), &notes->flight), TERN_OK);
	notes->is_flying = true;
	notes->writes++;
}

static enum tern_err
note_poll(void *self)
{
	struct pool_notes *notes = self;

	assert_true(notes->is_flying);
	if (notes->is_slow)
		return TERN_ERR_BUSY;
	notes->is_flying = false;
	if (notes->is_failing)
		return TERN_ERR_IO;
	notes->there = notes->flight;
	notes->err = TERN_OK;
	return TERN_OK;
}

static const struct note_ops pool_note_ops = { .write = note_write, .poll = note_poll };

static void
note_crash(struct pool *pool)
{
	struct pool_notes *notes = &pool->notes;

	if (notes->is_flying && prng_below(&pool->prng, 2) == 0) {
		notes->there = notes->flight;
		notes->err = TERN_OK;
	}
	notes->is_flying = false;
}

/* ---- devices ---- */

struct superblock
pool_superblock(const struct pool *pool, uint32_t device)
{
	return (struct superblock){
		.sequence = 1,
		.cluster_id = POOL_CLUSTER,
		.generation = { 1, 0 },
		.node_id = POOL_NODE,
		.pool_gen = 1,
		.k = (uint8_t)pool->geometry.k,
		.m = (uint8_t)pool->geometry.m,
		.device = (uint8_t)device,
		.log_first_page = POOL_FIRST_PAGE,
		.log_pages = POOL_AREA_PAGES,
		.shard_count = 1,
		.shards = { { .voters = 6 } },
	};
}

void
pool_superblock_write(struct pool *pool, uint32_t device, const struct superblock *superblock)
{
	uint8_t pages[SUPERBLOCK_UPDATE_BYTES], *image = pool->devices[device].image;
	struct superblock newest = { 0 };
	uint32_t good;

	if (superblock_choose(image, &newest, &good) != TERN_OK)
		newest.sequence = 0;
	superblock_update_encode(pages, superblock);
	memcpy(image + (size_t)superblock_next_copy(image, &newest) * SUPERBLOCK_BYTES, pages,
	       sizeof(pages));
}

struct superblock
pool_newest(const struct pool *pool, uint32_t device)
{
	struct superblock superblock = { 0 };
	uint32_t good;

	assert_int_equal(superblock_choose(pool->devices[device].image, &superblock, &good),
			 TERN_OK);
	return superblock;
}

void
pool_check_recorded(const struct pool *pool, uint32_t failed)
{
	for (uint32_t device = 0; device < stripe_devices(pool->geometry); device++) {
		if ((failed & STRIPE_BIT(device)) != 0)
			continue;
		const struct superblock superblock = pool_newest(pool, device);
		assert_int_equal(superblock.failed_devices & failed, failed);
		assert_true(superblock.pool_gen > (uint32_t)__builtin_popcount(failed));
	}
}

void
pool_spoil(struct pool *pool, uint32_t device, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		pool->devices[device]
		    .is_bad[POOL_FIRST_PAGE + prng_below(&pool->prng, POOL_AREA_PAGES)] = 1;
}

void
pool_rot(struct pool *pool, uint32_t device, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t page = POOL_FIRST_PAGE + prng_below(&pool->prng, POOL_AREA_PAGES);
		uint8_t *bytes = pool->devices[device].image + page * PAGE_BYTES;
		switch (prng_below(&pool->prng, 3)) {
		case 0:
			memset(bytes, 0, PAGE_BYTES);
			break;
		case 1: /* a page of another place */
			memcpy(bytes,
			       pool->devices[device].image +
				   (POOL_FIRST_PAGE + prng_below(&pool->prng, POOL_AREA_PAGES)) *
				       PAGE_BYTES,
			       PAGE_BYTES);
			break;
		default: /* a bit of what is covered by a sum */
			bytes[prng_below(&pool->prng, 129)] ^= 4;
			break;
		}
	}
}

void
pool_make(struct pool *pool, struct stripe_geometry geometry, uint64_t seed)
{
	memset(pool, 0, sizeof(*pool));
	prng_seed(&pool->prng, seed);
	pool->geometry = geometry;
	pool->queue_max = POOL_REQUESTS;
	pool->groups = take(POOL_GROUPS_MAX * sizeof(pool->groups[0]));
	pool->config = (struct stripe_store_config){
		.disk = { &pool_ops, pool },
		.geometry = geometry,
		.cluster_id = POOL_CLUSTER,
		.node_id = POOL_NODE,
		.group_pages_max = POOL_GROUP_PAGES,
		.groups_max = 4,
		.reads_max = 2,
		.scan_rows = 64,
		.device_hang_ns = POOL_HANG_NS,
	};
	pool->notes.err = TERN_ERR_NOT_FOUND;
	for (uint32_t device = 0; device < stripe_devices(geometry); device++) {
		const struct superblock superblock = pool_superblock(pool, device);
		pool->devices[device].bytes =
		    (uint64_t)(POOL_FIRST_PAGE + POOL_AREA_PAGES) * PAGE_BYTES;
		pool->devices[device].image = take(pool->devices[device].bytes);
		pool->devices[device].is_bad = take(pool->devices[device].bytes / PAGE_BYTES);
		pool_superblock_write(pool, device, &superblock);
	}
	pool->memory = take(stripe_store_bytes(&pool->config));
}

void
pool_add_spares(struct pool *pool, uint32_t count)
{
	const uint32_t first = stripe_devices(pool->geometry);

	for (uint32_t i = first; i < first + count; i++) {
		pool->devices[i].bytes = pool->devices[0].bytes;
		pool->devices[i].image = take(pool->devices[i].bytes);
		pool->devices[i].is_bad = take(pool->devices[i].bytes / PAGE_BYTES);
	}
	pool->config.spare_count = count;
	free(pool->memory);
	pool->memory = take(stripe_store_bytes(&pool->config));
}

void
pool_free(struct pool *pool)
{
	for (uint32_t device = 0; device < STRIPE_DRIVES_MAX; device++) {
		free(pool->devices[device].image);
		free(pool->devices[device].is_bad);
	}
	for (uint32_t i = 0; i < pool->group_count; i++)
		free(pool->groups[i].bytes);
	free(pool->groups);
	free(pool->memory);
}

enum stripe_start
pool_start_for(struct pool *pool, uint32_t turns)
{
	enum stripe_start verdict = STRIPE_START_MORE;

	for (uint32_t device = 0; device < STRIPE_DRIVES_MAX; device++)
		pool->config.device_bytes[device] =
		    pool->devices[device].is_absent ? 0 : pool->devices[device].bytes;
	pool->config.notes.ops = pool->notes.is_off ? NULL : &pool_note_ops;
	pool->config.notes.notes = &pool->notes;
	pool->config.note_err = pool->notes.err;
	pool->config.note = pool->notes.there;
	assert_int_equal(stripe_store_init(pool->memory, &pool->config, &pool->store), TERN_OK);
	for (uint32_t turn = 0; turn < turns && verdict == STRIPE_START_MORE; turn++) {
		pool->now_ns += 1000 + prng_below(&pool->prng, 20000);
		verdict = stripe_store_start(pool->store, pool->now_ns);
	}
	assert_true(strlen(stripe_start_text(verdict)) > 4);
	return verdict;
}

enum stripe_start
pool_start(struct pool *pool)
{
	const enum stripe_start verdict = pool_start_for(pool, 10000);

	assert_int_not_equal(verdict, STRIPE_START_MORE);
	return verdict;
}

static struct {
	uint32_t count; /* not yet taken note of */
	enum tern_err err;
} read_answer;

void
pool_crash(struct pool *pool)
{
	read_answer.count = 0;
	note_crash(pool);
	for (uint32_t i = 0; i < POOL_REQUESTS; i++) {
		struct pool_request *one = &pool->requests[i];
		struct pool_device *device = &pool->devices[one->request.device];
		const uint64_t fate = prng_below(&pool->prng, 4); /* lost, torn, torn, done */
		if (!one->is_used)
			continue;
		one->is_used = false;
		for (uint32_t at = 0; at < one->request.length; at += PAGE_BYTES) {
			if (one->request.kind != DISK_WRITE || fate == 0 ||
			    (fate != 3 && prng_below(&pool->prng, 2) == 0))
				continue;
			/* A page may be torn, too. */
			const size_t bytes = fate != 3 && prng_below(&pool->prng, 4) == 0
						 ? 512 * prng_below(&pool->prng, 8)
						 : PAGE_BYTES;
			memcpy(device->image + one->request.offset + at, one->request.bytes + at,
			       bytes);
		}
	}
	for (uint32_t i = 0; i < pool->group_count; i++) {
		if (!pool->groups[i].is_acked)
			pool->groups[i].is_failed = true; /* never heard of again */
	}
	for (uint32_t device = 0; device < stripe_devices(pool->geometry); device++) {
		pool->devices[device].is_hung = false;
		pool->devices[device].fail_at = 0;
	}
}

/* ---- pages ---- */

/* Page @number of the log: everything about it follows from the number. */
static void
page_fill(uint8_t *page, uint32_t number)
{
	struct page_content content = {
		.cluster_id = POOL_CLUSTER,
		.term = 1,
		.log_index = number + 1,
		.used_bytes =
		    number % 3 == 0 ? 1 + number % PAGE_PAYLOAD_BYTES : PAGE_PAYLOAD_BYTES,
	};
	struct prng prng;

	prng_seed(&prng, number);
	memset(page, 0, PAGE_BYTES);
	for (uint32_t i = 0; i + 8 <= content.used_bytes; i += 8) {
		const uint64_t value = prng_next(&prng);
		memcpy(page + PAGE_PAYLOAD_OFFSET + i, &value, 8);
	}
	page_content_seal(page, &content);
}

static void
page_check(const uint8_t *page, uint32_t number)
{
	uint8_t good[PAGE_BYTES];

	page_fill(good, number);
	assert_memory_equal(page + PAGE_IDENTITY_BYTES, good + PAGE_IDENTITY_BYTES,
			    PAGE_BYTES - PAGE_IDENTITY_BYTES);
}

enum tern_err
pool_write(struct pool *pool, uint32_t pages)
{
	struct pool_group *group = &pool->groups[pool->group_count];

	assert_true(pool->group_count < POOL_GROUPS_MAX);
	*group = (struct pool_group){
		.bytes = take((size_t)pages * PAGE_BYTES),
		.first_number = pool->number,
		.acked_floor = pool->acked,
		.boot_no = stripe_store_superblock(pool->store)->boot_no,
	};
	for (uint32_t i = 0; i < pages; i++)
		page_fill(group->bytes + (size_t)i * PAGE_BYTES, pool->number + i);
	const struct stripe_group_write write = {
		.bytes = group->bytes,
		.pages = pages,
		.acked_floor = group->acked_floor,
		.user = pool->group_count,
	};
	const enum tern_err err =
	    stripe_store_write(pool->store, &write, pool->now_ns, &group->address);
	if (err != TERN_OK) {
		free(group->bytes);
		group->bytes = NULL;
		return err;
	}
	pool->number += pages;
	pool->group_count++;
	return TERN_OK;
}

void
pool_turn(struct pool *pool)
{
	struct stripe_completion completions[3];

	pool->now_ns += 1000 + prng_below(&pool->prng, 20000);
	const uint32_t count = stripe_store_poll(pool->store, pool->now_ns, completions, 3);
	for (uint32_t i = 0; i < count; i++) {
		const struct stripe_completion *one = &completions[i];
		switch (one->kind) {
		case STRIPE_DONE_GROUP: {
			struct pool_group *group = &pool->groups[one->user];
			assert_false(group->is_acked || group->is_failed);
			group->is_acked = one->err == TERN_OK;
			group->is_failed = !group->is_acked;
			if (group->is_acked)
				pool->acked = max_u64(pool->acked, group->first_number +
								       group->address.group_pages);
			break;
		}
		case STRIPE_DONE_UPDATE:
			pool->is_update_done = one->err == TERN_OK;
			break;
		case STRIPE_DONE_BLOB:
		case STRIPE_DONE_BLOB_READ:
		case STRIPE_DONE_READ:
		case STRIPE_DONE_REPAIR:
		case STRIPE_DONE_SUPER:
			assert_int_equal(one->user, 77);
			read_answer.count++;
			read_answer.err = one->err;
			break;
		}
	}
}

bool
pool_is_idle(const struct pool *pool)
{
	for (uint32_t i = 0; i < POOL_REQUESTS; i++) {
		if (pool->requests[i].is_used &&
		    !pool->devices[pool->requests[i].request.device].is_hung)
			return false;
	}
	for (uint32_t i = 0; i < pool->group_count; i++) {
		if (!pool->groups[i].is_acked && !pool->groups[i].is_failed)
			return false;
	}
	return true;
}

void
pool_drain(struct pool *pool)
{
	for (uint32_t turn = 0; turn < 5000 && !pool_is_idle(pool); turn++)
		pool_turn(pool);
	assert_true(pool_is_idle(pool));
}

enum tern_err
pool_answer(struct pool *pool)
{
	for (uint32_t turn = 0; turn < 5000 && read_answer.count == 0; turn++)
		pool_turn(pool);
	assert_int_not_equal(read_answer.count, 0);
	read_answer.count--;
	return read_answer.err;
}

enum tern_err
pool_read(struct pool *pool, uint32_t number, uint32_t page, uint32_t pages)
{
	const struct pool_group *group = &pool->groups[number];
	uint8_t *bytes = take((size_t)pages * PAGE_BYTES);
	const struct stripe_group_read read = {
		.address = group->address,
		.page = page,
		.pages = pages,
		.bytes = bytes,
		.user = 77,
	};

	enum tern_err err = stripe_store_read(pool->store, &read, pool->now_ns);
	if (err == TERN_OK) {
		err = pool_answer(pool);
	}
	for (uint32_t i = 0; err == TERN_OK && i < pages; i++)
		page_check(bytes + (size_t)i * PAGE_BYTES, group->first_number + page + i);
	free(bytes);
	return err;
}

enum tern_err
pool_read_run(struct pool *pool, uint64_t first_cell, uint32_t pages, uint8_t *bytes)
{
	const struct stripe_run_read run = {
		.first_cell = first_cell,
		.pages = pages,
		.bytes = bytes,
		.user = 77,
	};

	const enum tern_err err = stripe_store_read_run(pool->store, &run, pool->now_ns);
	if (err != TERN_OK)
		return err;
	return pool_answer(pool);
}

void
pool_check_layout(struct pool *pool, uint32_t device)
{
	const uint32_t drive = stripe_store_drive(pool->store, device);
	const uint32_t m = pool->geometry.m;

	for (uint32_t i = 0; i < pool->group_count; i++) {
		const struct pool_group *group = &pool->groups[i];
		if (!group->is_acked || group->address.first_cell < pool->release_cell)
			continue;
		struct stripe_image image = {
			.layout = stripe_layout_make(pool->geometry, group->address.first_cell,
						     group->address.group_pages),
			.data = group->bytes,
		};
		const uint32_t column = stripe_device_column(&image.layout, device);
		void *memory = take(stripe_code_bytes());
		struct stripe_code *code;
		image.parity = take((size_t)(m * image.layout.rows + 1) * PAGE_BYTES);
		assert_int_equal(stripe_code_init(memory, pool->geometry, &code), TERN_OK);
		assert_int_equal(page_identity_decode(group->bytes, &image.group), TERN_OK);
		stripe_encode(code, &image.layout, image.data, image.parity);
		stripe_image_identify(&image, STRIPE_BIT(m) - 1);
		for (uint32_t row = 0; row < stripe_column_pages(&image.layout, column); row++) {
			const uint64_t page =
			    POOL_FIRST_PAGE +
			    stripe_cell_place(pool->geometry,
					      stripe_cell_at(&image.layout, column, row),
					      POOL_AREA_PAGES)
				.page;
			assert_memory_equal(pool->devices[drive].image + page * PAGE_BYTES,
					    stripe_image_page(&image, column, row), PAGE_BYTES);
		}
		free(image.parity);
		free(memory);
	}
}

void
pool_read_all(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->group_count; i++) {
		const struct stripe_address *address = &pool->groups[i].address;
		if (!pool->groups[i].is_acked || address->first_cell < pool->release_cell)
			continue;
		const uint32_t page = (uint32_t)prng_below(&pool->prng, address->group_pages);
		const uint32_t pages =
		    1 + (uint32_t)prng_below(&pool->prng, address->group_pages - page);
		assert_int_equal(pool_read(pool, i, page, pages), TERN_OK);
	}
}

void
pool_scrub(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->group_count; i++) {
		const struct stripe_address *address = &pool->groups[i].address;
		if (!pool->groups[i].is_acked || address->first_cell < pool->release_cell)
			continue;
		const enum tern_err err =
		    stripe_store_repair(pool->store, *address, 77, pool->now_ns);
		assert_int_equal(err, TERN_OK);
		assert_int_equal(pool_answer(pool), TERN_OK);
	}
}

bool
pool_rebuild(struct pool *pool, uint32_t device)
{
	enum tern_err err = TERN_ERR_BUSY;

	for (uint32_t turn = 0; turn < 5000 && err == TERN_ERR_BUSY; turn++) {
		pool_turn(pool);
		err = stripe_store_rebuild_begin(pool->store, device);
	}
	assert_int_equal(err, TERN_OK);
	pool_scrub(pool);
	/* What is written meanwhile goes to it at once, and is not repaired. */
	for (uint32_t i = 0; i < 6; i++) {
		(void)pool_write(pool, 1 + i * 2);
		pool_turn(pool);
	}
	err = TERN_ERR_BUSY;
	for (uint32_t turn = 0; turn < 5000 && err == TERN_ERR_BUSY; turn++) {
		pool_turn(pool);
		err = stripe_store_rebuild_end(pool->store, device);
	}
	for (uint32_t turn = 0;
	     turn < 5000 && err == TERN_OK &&
	     (stripe_store_stats(pool->store).failed_devices & STRIPE_BIT(device)) != 0;
	     turn++)
		pool_turn(pool);
	return err == TERN_OK && !stripe_store_stats(pool->store).is_stopped;
}

bool
pool_replace(struct pool *pool, uint32_t device)
{
	struct pool_device *one = &pool->devices[device];

	one->is_failing = one->is_hung = false;
	one->fail_at = 0;
	/* A blank one, one full of something, or the old one again. */
	const uint64_t kind = prng_below(&pool->prng, 3);
	if (kind != 2) {
		memset(one->image, kind == 0 ? 0 : 0x5a, one->bytes);
		memset(one->is_bad, 0, one->bytes / PAGE_BYTES);
	}
	if (kind == 1) { /* with a superblock that is newer than ours, of somebody else */
		struct superblock superblock = pool_superblock(pool, device);
		superblock.cluster_id++;
		superblock.sequence = 100000;
		pool_superblock_write(pool, device, &superblock);
	}
	return pool_rebuild(pool, device);
}

bool
pool_has_bad_pages(const struct pool *pool, uint32_t device)
{
	const struct pool_device *one = &pool->devices[device];

	return memchr(one->is_bad, 1, one->bytes / PAGE_BYTES) != NULL;
}

/* ---- recovery ---- */

/* What a group that was found must be. Returns its number. */
static uint32_t
scanned_check(struct pool *pool, const struct stripe_scanned *scanned)
{
	for (uint32_t i = 0; i < pool->group_count; i++) {
		const struct pool_group *group = &pool->groups[i];
		if (group->address.first_cell != scanned->group.first_cell ||
		    group->boot_no != scanned->group.boot_no)
			continue;
		assert_int_equal(group->address.group_pages, scanned->group.group_pages);
		assert_int_equal(group->acked_floor, scanned->group.acked_floor);
		for (uint32_t page = 0; scanned->is_whole && page < group->address.group_pages;
		     page++)
			page_check(scanned->bytes + (size_t)page * PAGE_BYTES,
				   group->first_number + page);
		return i;
	}
	fail_msg("a group that was never written: cell %llu",
		 (unsigned long long)scanned->group.first_cell);
	return 0;
}

static bool
pool_scan(struct pool *pool)
{
	uint8_t *is_found = take(POOL_GROUPS_MAX);
	struct page_identity before = { 0 };
	struct stripe_scanned scanned;
	enum stripe_scan_state state = STRIPE_SCAN_MORE;
	uint64_t floor = 0;

	stripe_store_scan_begin(pool->store, pool->release_cell);
	for (uint32_t turn = 0; turn < 200000 && state < STRIPE_SCAN_DONE; turn++) {
		pool->now_ns += 1000 + prng_below(&pool->prng, 20000);
		state = stripe_store_scan(pool->store, pool->now_ns, &scanned);
		if (state != STRIPE_SCAN_GROUP)
			continue;
		const struct page_identity *group = &scanned.group;
		assert_true(
		    group->boot_no > before.boot_no ||
		    (group->boot_no == before.boot_no && group->group_seq > before.group_seq));
		assert_true(before.boot_no == 0 || group->first_cell > before.first_cell);
		before = *group;
		floor = max_u64(floor, group->acked_floor);
		const uint32_t number = scanned_check(pool, &scanned);
		if (scanned.is_whole)
			is_found[number] = 1;
	}
	assert_true(state == STRIPE_SCAN_DONE || state == STRIPE_SCAN_FAILED);
	for (uint32_t i = 0; state == STRIPE_SCAN_DONE && i < pool->group_count; i++) {
		const struct pool_group *group = &pool->groups[i];
		const uint64_t end = group->address.first_cell +
				     stripe_group_cells(pool->geometry, group->address.group_pages);
		if (!group->is_acked || group->address.first_cell < pool->release_cell)
			continue;
		assert_int_equal(is_found[i], 1);
		assert_true(end <= stripe_store_scan_stats(pool->store)->end_cell);
		assert_true(group->acked_floor <=
			    stripe_store_scan_stats(pool->store)->acked_floor);
	}
	assert_true(floor <= stripe_store_scan_stats(pool->store)->acked_floor);
	free(is_found);
	return state == STRIPE_SCAN_DONE;
}

bool
pool_recover(struct pool *pool)
{
	struct superblock superblock = *stripe_store_superblock(pool->store);

	superblock.boot_no++;
	pool->is_update_done = false;
	stripe_store_update(pool->store, &superblock, 0);
	for (uint32_t turn = 0; turn < 5000 && !pool->is_update_done; turn++) {
		pool_turn(pool);
		if (stripe_store_stats(pool->store).is_stopped)
			return false;
	}
	assert_true(pool->is_update_done);
	return pool_scan(pool);
}

void
pool_up(struct pool *pool)
{
	assert_int_equal(pool_start(pool), STRIPE_START_READY);
	assert_true(pool_recover(pool));
}
