/* SPDX-License-Identifier: Apache-2.0 */
/* The log area is RAM and says so; every other page goes to the real port, which is a fake here
 * that keeps its pages across a "restart" of the adapter. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/prng.h"
#include "hw/ram_disk/ram_disk.h"
#include "tests/support/check.h"

#define AREA_PAGES  16u /* before the log */
#define LOG_PAGES   64u
#define PAGES_MAX   4u
#define FAKE_QUEUE  8u
#define DEPTH       8u
#define STEPS       10000u
#define BATCH       6u
#define PAGE(bytes) ((uint64_t)(bytes)*DISK_PAGE_BYTES)

/* A device of AREA_PAGES pages, two of them; a request completes at the second poll. */
struct fake {
	uint8_t pages[2][AREA_PAGES][DISK_PAGE_BYTES];
	struct disk_request requests[FAKE_QUEUE];
	uint32_t count, submitted, ripe, fail_device;
	struct disk_stats stats;
};

static enum tern_err
fake_queue(void *disk, const struct disk_request *request)
{
	struct fake *fake = disk;

	assert_true(request->offset + request->length <= PAGE(AREA_PAGES));
	if (fake->count == FAKE_QUEUE)
		return TERN_ERR_QUEUE_FULL;
	fake->requests[fake->count++] = *request;
	return TERN_OK;
}

static void
fake_submit(void *disk)
{
	struct fake *fake = disk;

	fake->submitted = fake->count;
}

static uint32_t
fake_poll(void *disk, struct disk_completion *completions, uint32_t max)
{
	struct fake *fake = disk;
	uint32_t count = 0;

	while (count < max && fake->ripe > 0) {
		const struct disk_request r = fake->requests[0];
		uint8_t *at = (uint8_t *)fake->pages[r.device] + r.offset;
		const bool is_failed = r.kind == DISK_WRITE && r.device + 1 == fake->fail_device;
		if (r.kind == DISK_READ)
			memcpy(r.bytes, at, r.length);
		else if (!is_failed)
			memcpy(at, r.bytes, r.length);
		completions[count++] =
		    (struct disk_completion){ .user = r.user,
					      .device = r.device,
					      .kind = r.kind,
					      .err = is_failed ? TERN_ERR_IO : TERN_OK,
					      .length = r.length };
		memmove(fake->requests, fake->requests + 1, sizeof(r) * --fake->count);
		fake->submitted--;
		fake->ripe--;
		fake->stats.writes += r.kind == DISK_WRITE && !is_failed;
		fake->stats.durable_writes += r.kind == DISK_WRITE && !is_failed;
		fake->stats.errors += is_failed;
	}
	fake->ripe = fake->submitted;
	return count;
}

static int
fake_wait_fd(void *disk)
{
	(void)disk;
	return 77;
}

static void
fake_facts(void *disk, struct disk_facts *facts)
{
	(void)disk;
	*facts = (struct disk_facts){ .device_count = 2,
				      .device_bytes = PAGE(AREA_PAGES),
				      .is_direct = true,
				      .is_dsync = true,
				      .mode = "io_uring O_DIRECT RWF_DSYNC" };
}

static void
fake_stats(void *disk, struct disk_stats *stats)
{
	const struct fake *fake = disk;

	*stats = fake->stats;
	stats->in_flight = fake->count;
}

static const struct disk_ops fake_ops = {
	.queue = fake_queue,
	.submit = fake_submit,
	.poll = fake_poll,
	.wait_fd = fake_wait_fd,
	.facts = fake_facts,
	.stats = fake_stats,
};

struct rig {
	struct fake *fake;
	struct ram_disk *ram;
	struct disk_port port;
	uint8_t *buffer; /* of DEPTH + FAKE_QUEUE requests */
	char text[256];
};

struct extent {
	uint32_t device, pages;
	uint64_t page;
};

static const struct ram_disk_config sound = { .log_offset = PAGE(AREA_PAGES),
					      .log_bytes = PAGE(LOG_PAGES),
					      .queue_depth = DEPTH };

static void
rig_open(struct rig *rig)
{
	const struct disk_port inner = { .ops = &fake_ops, .disk = rig->fake };

	assert_int_equal(ram_disk_open(&sound, inner, &rig->ram, rig->text, sizeof(rig->text)),
			 TERN_OK);
	rig->port = ram_disk_port(rig->ram);
}

static void
rig_make(struct rig *rig)
{
	rig->fake = calloc(1, sizeof(*rig->fake));
	rig->buffer = aligned_alloc(DISK_PAGE_BYTES, PAGE(PAGES_MAX * (DEPTH + FAKE_QUEUE)));
	assert_non_null(rig->fake);
	assert_non_null(rig->buffer);
	rig_open(rig);
}

static void
rig_end(struct rig *rig)
{
	ram_disk_close(rig->ram);
	free(rig->fake);
	free(rig->buffer);
}

static enum tern_err
queue(struct rig *rig, enum disk_request_kind kind, uint32_t device, uint64_t page, uint32_t pages,
      uint32_t slot)
{
	const struct disk_request request = { .kind = kind,
					      .device = device,
					      .offset = PAGE(page),
					      .bytes = rig->buffer + PAGE(slot * PAGES_MAX),
					      .length = (uint32_t)PAGE(pages),
					      .user = slot + 1000 };

	return rig->port.ops->queue(rig->port.disk, &request);
}

/* Polls until there is one completion; its error. */
static enum tern_err
finish_one(struct rig *rig, uint32_t slot)
{
	struct disk_completion done;

	rig->port.ops->submit(rig->port.disk);
	for (uint32_t i = 0; i < 3; i++) {
		if (rig->port.ops->poll(rig->port.disk, &done, 1) == 0)
			continue;
		assert_int_equal(done.user, slot + 1000);
		return done.err;
	}
	fail();
	return TERN_ERR_IO;
}

static enum tern_err
one(struct rig *rig, enum disk_request_kind kind, uint32_t device, uint64_t page)
{
	assert_int_equal(queue(rig, kind, device, page, 1, 0), TERN_OK);
	return finish_one(rig, 0);
}

static void
test_says_what_it_is(void **context)
{
	struct disk_facts facts;
	struct rig rig;
	(void)context;

	rig_make(&rig);
	rig.port.ops->facts(rig.port.disk, &facts);
	assert_true(facts.is_volatile);
	assert_false(facts.is_dsync);
	assert_false(facts.is_direct);
	assert_int_equal(facts.device_count, 2);
	assert_int_equal(facts.device_bytes, PAGE(AREA_PAGES + LOG_PAGES));
	assert_string_equal(facts.mode, "ram VOLATILE, superblock on io_uring O_DIRECT RWF_DSYNC");
	assert_int_equal(rig.port.ops->wait_fd(rig.port.disk), 77);
	rig_end(&rig);
}

static void
test_refuses_bad_sizes(void **context)
{
	struct ram_disk_config config = sound;
	struct rig rig;
	(void)context;

	rig_make(&rig);
	const struct disk_port inner = { .ops = &fake_ops, .disk = rig.fake };
	struct ram_disk *other = NULL;
	config.log_bytes = 0;
	assert_int_equal(ram_disk_open(&config, inner, &other, rig.text, sizeof(rig.text)),
			 TERN_ERR_CONFIG);
	config.log_bytes = PAGE(1) + 1;
	assert_int_equal(ram_disk_open(&config, inner, &other, rig.text, sizeof(rig.text)),
			 TERN_ERR_CONFIG);
	config = sound;
	config.queue_depth = RAM_DISK_QUEUE_DEPTH_MAX + 1;
	assert_int_equal(ram_disk_open(&config, inner, &other, rig.text, sizeof(rig.text)),
			 TERN_ERR_CONFIG);
	config = sound;
	config.log_bytes = UINT64_C(1) << 50;
	assert_int_equal(ram_disk_open(&config, inner, &other, rig.text, sizeof(rig.text)),
			 TERN_ERR_NO_MEMORY);
	assert_non_null(strstr(rig.text, "MiB of memory"));
	rig_end(&rig);
}

/* The superblock survives, the log does not. */
static void
test_what_survives(void **context)
{
	struct disk_stats stats;
	struct rig rig;
	(void)context;

	rig_make(&rig);
	memset(rig.buffer, 'x', DISK_PAGE_BYTES);
	assert_int_equal(one(&rig, DISK_WRITE, 1, 2), TERN_OK);
	assert_int_equal(one(&rig, DISK_WRITE, 1, AREA_PAGES + LOG_PAGES - 1), TERN_OK);
	rig.port.ops->stats(rig.port.disk, &stats);
	assert_int_equal(stats.writes, 2);
	assert_int_equal(stats.durable_writes, 1);
	assert_int_equal(stats.in_flight, 0);
	ram_disk_close(rig.ram);
	rig_open(&rig);
	assert_int_equal(one(&rig, DISK_READ, 1, 2), TERN_OK);
	assert_int_equal(rig.buffer[17], 'x');
	assert_int_equal(one(&rig, DISK_READ, 1, AREA_PAGES + LOG_PAGES - 1), TERN_OK);
	for (uint32_t i = 0; i < DISK_PAGE_BYTES; i++)
		assert_int_equal(rig.buffer[i], 0);
	rig_end(&rig);
}

static void
test_queue_is_bounded(void **context)
{
	struct disk_completion done[DEPTH];
	struct rig rig;
	(void)context;

	rig_make(&rig);
	memset(rig.buffer, 1, PAGE(PAGES_MAX * DEPTH));
	for (uint32_t i = 0; i < DEPTH; i++)
		assert_int_equal(queue(&rig, DISK_WRITE, 0, AREA_PAGES + i, 1, i), TERN_OK);
	assert_int_equal(queue(&rig, DISK_WRITE, 0, AREA_PAGES, 1, 0), TERN_ERR_QUEUE_FULL);
	/* The other side has a bound of its own. */
	assert_int_equal(queue(&rig, DISK_READ, 0, 0, 1, DEPTH), TERN_OK);
	rig.port.ops->submit(rig.port.disk);
	assert_int_equal(rig.port.ops->poll(rig.port.disk, done, 3), 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(done[i].user, i + 1000);
	assert_int_equal(queue(&rig, DISK_WRITE, 0, AREA_PAGES, 1, 0), TERN_OK);
	rig_end(&rig);
}

static void
test_crossing_is_a_bug(void **context)
{
	struct rig rig;
	(void)context;

	rig_make(&rig);
	expect_assert_failure((void)!queue(&rig, DISK_READ, 0, AREA_PAGES - 1, 2, 0));
	expect_assert_failure((void)!queue(&rig, DISK_READ, 0, AREA_PAGES + LOG_PAGES - 1, 2, 0));
	expect_assert_failure((void)!queue(&rig, DISK_READ, 2, 0, 1, 0));
	assert_int_equal(queue(&rig, DISK_READ, 0, AREA_PAGES - 1, 1, 0), TERN_OK);
	assert_int_equal(queue(&rig, DISK_READ, 0, AREA_PAGES, 1, 1), TERN_OK);
	rig_end(&rig);
}

/* A device that failed a write is suspect as a whole; the other one is not, and reads go on. */
static void
test_failed_device(void **context)
{
	struct disk_stats stats;
	struct rig rig;
	(void)context;

	rig_make(&rig);
	rig.fake->fail_device = 1; /* the first */
	memset(rig.buffer, 'y', DISK_PAGE_BYTES);
	assert_int_equal(one(&rig, DISK_WRITE, 0, AREA_PAGES), TERN_OK);
	assert_int_equal(one(&rig, DISK_WRITE, 0, 0), TERN_ERR_IO);
	memset(rig.buffer, 'z', DISK_PAGE_BYTES);
	assert_int_equal(one(&rig, DISK_WRITE, 0, AREA_PAGES), TERN_ERR_IO);
	assert_int_equal(one(&rig, DISK_WRITE, 1, AREA_PAGES), TERN_OK);
	assert_int_equal(one(&rig, DISK_READ, 0, AREA_PAGES), TERN_OK);
	assert_int_equal(rig.buffer[0], 'y');
	rig.port.ops->stats(rig.port.disk, &stats);
	assert_int_equal(stats.errors, 2);
	rig_end(&rig);
}

static uint8_t copy[2][AREA_PAGES + LOG_PAGES];

/* Queues one request in @slot; what it writes is in the copy from now on. */
static void
queue_random(struct rig *rig, struct prng *prng, bool is_write, uint32_t slot,
	     struct extent *extent)
{
	const uint32_t pages = (uint32_t)prng_between(prng, 1, PAGES_MAX);
	const bool is_log = prng_below(prng, 2) != 0;
	const uint8_t fill = (uint8_t)prng_below(prng, 256);
	const uint64_t page = is_log ? AREA_PAGES + prng_below(prng, LOG_PAGES - pages + 1)
				     : prng_below(prng, AREA_PAGES - pages + 1);

	*extent = (struct extent){ (uint32_t)prng_below(prng, 2), pages, page };
	memset(rig->buffer + PAGE(slot * PAGES_MAX), is_write ? fill : 0xa5, PAGE(pages));
	assert_int_equal(
	    queue(rig, is_write ? DISK_WRITE : DISK_READ, extent->device, page, pages, slot),
	    TERN_OK);
	if (is_write)
		memset(&copy[extent->device][page], fill, pages);
}

static void
check_read(const struct rig *rig, uint32_t slot, const struct extent *extent)
{
	for (uint32_t i = 0; i < extent->pages; i++) {
		const uint8_t *page = rig->buffer + PAGE(slot * PAGES_MAX + i);
		assert_int_equal(page[0], copy[extent->device][extent->page + i]);
		assert_int_equal(page[DISK_PAGE_BYTES - 1], page[0]);
	}
}

/* Random batches on both sides against a plain copy of two devices: each request that was taken
 * completes once, and reads see what was written before. */
static void
test_random_requests(void **context)
{
	struct disk_completion done[BATCH];
	struct extent extents[BATCH];
	struct prng prng;
	struct rig rig;
	(void)context;

	rig_make(&rig);
	prng_seed(&prng, 4);
	memset(copy, 0, sizeof(copy));
	for (uint32_t step = 0; step < STEPS; step++) {
		const uint32_t count = (uint32_t)prng_between(&prng, 1, BATCH);
		const bool is_write = prng_below(&prng, 2) != 0;
		uint32_t seen = 0, polls = 0;
		for (uint32_t i = 0; i < count; i++)
			queue_random(&rig, &prng, is_write, i, &extents[i]);
		rig.port.ops->submit(rig.port.disk);
		while (seen != (1u << count) - 1 && polls++ < 100) {
			const uint32_t got = rig.port.ops->poll(rig.port.disk, done, BATCH);
			for (uint32_t i = 0; i < got; i++) {
				const uint32_t slot = (uint32_t)done[i].user - 1000;
				assert_int_equal(done[i].err, TERN_OK);
				assert_int_equal(seen >> slot & 1, 0);
				seen |= 1u << slot;
				if (!is_write)
					check_read(&rig, slot, &extents[slot]);
			}
		}
		assert_int_equal(seen, (1u << count) - 1);
	}
	assert_int_equal(rig.port.ops->poll(rig.port.disk, done, 1), 0);
	rig_end(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says_what_it_is),   cmocka_unit_test(test_refuses_bad_sizes),
		cmocka_unit_test(test_what_survives),     cmocka_unit_test(test_queue_is_bounded),
		cmocka_unit_test(test_crossing_is_a_bug), cmocka_unit_test(test_failed_device),
		cmocka_unit_test(test_random_requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
