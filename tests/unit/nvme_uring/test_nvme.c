/* SPDX-License-Identifier: Apache-2.0 */
/* The port on a real file, with O_DIRECT. Skipped where the file system refuses that. */
#include "tests/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hw/nvme_uring/lossy.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/nvme_internal.h"
#include "hw/nvme_uring/superblock_io.h"
#include "hw/platform/platform.h"

#define PATH       "test-device"
#define FILE_BYTES (8u << 20)
#define RING_BYTES (1u << 20)

static char err_text[256];

/* Flushes that were asked for, of a device whose flushes fail or do not. */
static uint32_t flushes;
static bool is_flush_failing;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int
__wrap_fdatasync(int fd)
{
	flushes++;
	if (!is_flush_failing)
		return __real_fdatasync(fd);
	errno = EIO;
	return -1;
}

static int
setup(void **state)
{
	(void)state;
	unlink(PATH);
	return nvme_create_file(PATH, FILE_BYTES, err_text, sizeof(err_text)) == TERN_OK ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	return unlink(PATH);
}

static struct nvme *
port_make(enum nvme_durability durability, uint32_t depth, uint8_t *ring)
{
	const struct nvme_config config = {
		.paths = { PATH },
		.device_count = 1,
		.queue_depth = depth,
		.is_volatile_allowed = true,
		.is_dev = true,
		.durability = durability,
		.buffers = { { .base = ring, .bytes = 2 * RING_BYTES } },
		.buffer_count = ring == NULL ? 0 : 1,
	};
	struct nvme *nvme = NULL;

	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_OK);
	assert_int_equal(nvme_attach(nvme, err_text, sizeof(err_text)), TERN_OK);
	return nvme;
}

static void
wait_for(struct disk_port port, struct disk_completion *completions, uint32_t count)
{
	uint32_t have = 0;

	port.ops->submit(port.disk);
	while (have < count) {
		struct pollfd fd = { .fd = port.ops->wait_fd(port.disk), .events = POLLIN };
		have += port.ops->poll(port.disk, completions + have, count - have);
		/* The descriptor must wake us: a lost wake-up ends the test here. */
		if (have < count)
			assert_int_equal(poll(&fd, 1, 60000), 1);
	}
	assert_int_equal(have, count);
}

static enum tern_err
one(struct disk_port port, enum disk_request_kind kind, uint64_t offset, uint8_t *bytes,
    uint32_t length)
{
	const struct disk_request request = {
		.kind = kind, .offset = offset, .bytes = bytes, .length = length, .user = 42
	};
	struct disk_completion completion;

	assert_int_equal(port.ops->queue(port.disk, &request), TERN_OK);
	wait_for(port, &completion, 1);
	assert_int_equal(completion.user, 42);
	assert_int_equal(completion.kind, kind);
	assert_int_equal(completion.length, length);
	return completion.err;
}

static void
test_created_file_is_whole(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(PATH, &st), 0);
	assert_int_equal(st.st_size, FILE_BYTES);
	assert_true((uint64_t)st.st_blocks * 512 >= FILE_BYTES);
	assert_int_equal(nvme_create_file(PATH, FILE_BYTES, err_text, sizeof(err_text)),
			 TERN_ERR_BUSY);
	assert_non_null(strstr(err_text, PATH ": exists already"));
	assert_int_equal(nvme_create_file("other", 4096, err_text, sizeof(err_text)),
			 TERN_ERR_CONFIG);
	assert_int_equal(
	    nvme_create_file("no-such-directory/x", FILE_BYTES, err_text, sizeof(err_text)),
	    TERN_ERR_NOT_FOUND);
	assert_int_equal(
	    nvme_create_file("/dev/no-such-device", FILE_BYTES, err_text, sizeof(err_text)),
	    TERN_ERR_NOT_FOUND);
	assert_int_equal(access("/dev/no-such-device", F_OK), -1);
	assert_int_equal(nvme_prepare_device(PATH, 0, err_text, sizeof(err_text)), TERN_ERR_CONFIG);
}

static void
test_writes_are_read_back(void **state)
{
	static const uint32_t depths[] = { 1, 4, 64 };
	struct disk_completion done[64];
	struct disk_facts facts;
	struct disk_stats stats;

	(void)state;
	for (size_t d = 0; d < 3; d++) {
		uint8_t *ring = platform_ring_map(RING_BYTES);
		struct nvme *nvme = port_make(NVME_DURABILITY_AUTO, depths[d], ring);
		const struct disk_port port = nvme_port(nvme);
		uint64_t seen = 0;

		for (uint32_t i = 0; i < RING_BYTES; i++)
			ring[i] = (uint8_t)(i * 31 + i / 4096 + d);
		for (uint32_t i = 0; i < depths[d]; i++) {
			/* The last one crosses from one map of the ring to the other. */
			const struct disk_request request = {
				.kind = DISK_WRITE,
				.offset = (uint64_t)i * 8192,
				.bytes = ring + RING_BYTES - 4096 - (size_t)i * 8192,
				.length = 8192,
				.user = i,
			};
			assert_int_equal(port.ops->queue(port.disk, &request), TERN_OK);
		}
		const struct disk_request over = { .kind = DISK_WRITE,
						   .bytes = ring,
						   .length = 4096 };
		assert_int_equal(port.ops->queue(port.disk, &over), TERN_ERR_QUEUE_FULL);
		wait_for(port, done, depths[d]);
		for (uint32_t i = 0; i < depths[d]; i++) {
			assert_int_equal(done[i].err, TERN_OK);
			seen |= 1ULL << done[i].user;
		}
		assert_true(seen == (depths[d] == 64 ? UINT64_MAX : (1ULL << depths[d]) - 1));
		uint8_t *outside = platform_arena_map(8192); /* in no registered buffer */
		for (uint32_t i = 0; i < depths[d]; i++) {
			assert_int_equal(one(port, DISK_READ, (uint64_t)i * 8192, outside, 8192),
					 TERN_OK);
			assert_memory_equal(outside, ring + RING_BYTES - 4096 - (size_t)i * 8192,
					    8192);
		}
		port.ops->facts(port.disk, &facts);
		assert_true(facts.is_direct && facts.is_dsync);
		assert_int_equal(facts.device_bytes, FILE_BYTES);
		assert_non_null(strstr(facts.mode, "O_DIRECT RWF_DSYNC"));
		port.ops->stats(port.disk, &stats);
		assert_int_equal(stats.writes, depths[d]);
		assert_int_equal(stats.durable_writes, depths[d]);
		assert_int_equal(stats.reads, depths[d]);
		assert_int_equal(stats.in_flight, 0);
		assert_int_equal(stats.in_flight_high, depths[d]);
		platform_arena_unmap(outside, 8192);
		nvme_close(nvme);
		platform_ring_unmap(ring, RING_BYTES);
	}
}

static void
test_works_without_locked_memory(void **state)
{
	(void)state;
	const pid_t child = fork();
	if (child == 0) {
		/* Room for io_uring itself, not for a ring of 2 MiB. */
		const struct rlimit none = { 1 << 20, 1 << 20 };
		struct disk_facts facts;
		uint8_t *ring = platform_ring_map(RING_BYTES);
		/* An ordinary user: the limit does not hold for root. */
		if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
		    (geteuid() == 0 && (chmod(PATH, 0666) != 0 || setuid(65534) != 0)))
			_exit(2);
		struct nvme *nvme = port_make(NVME_DURABILITY_AUTO, 4, ring);
		const struct disk_port port = nvme_port(nvme);
		port.ops->facts(port.disk, &facts);
		const bool is_good =
		    one(port, DISK_WRITE, 0, ring, 4096) == TERN_OK && !facts.is_registered;
		_exit(is_good ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
test_a_failed_write_is_final(void **state)
{
	uint8_t *page = platform_arena_map(4096);
	struct disk_stats stats;

	(void)state;
	struct nvme *nvme = port_make(NVME_DURABILITY_DSYNC, 4, NULL);
	const struct disk_port port = nvme_port(nvme);
	assert_int_equal(one(port, DISK_READ, FILE_BYTES, page, 4096), TERN_ERR_IO);
	assert_int_equal(one(port, DISK_WRITE, 4096, page, 4096), TERN_OK);
	/* Behind the device's back the file gets shorter: a read there is short. */
	assert_int_equal(truncate(PATH, 4096), 0);
	assert_int_equal(one(port, DISK_READ, 8192, page, 4096), TERN_ERR_IO);
	assert_int_equal(one(port, DISK_WRITE, FILE_BYTES, page, 4096), TERN_ERR_IO);
	assert_int_equal(one(port, DISK_WRITE, 0, page, 4096), TERN_ERR_IO);
	assert_int_equal(one(port, DISK_READ, 0, page, 4096), TERN_OK);
	port.ops->stats(port.disk, &stats);
	assert_int_equal(stats.errors, 4);
	assert_int_equal(stats.writes, 1);
	struct io_counts io;
	nvme_device_io(nvme, 0, &io);
	assert_int_equal(io.writes.count, 1);
	assert_int_equal(io.writes.errors + io.reads.errors, 4);
	assert_int_equal(io.reads.count, 1);
	assert_int_equal(io.in_flight, 0);
	assert_true(io.writes.ns != 0);
	nvme_close(nvme);
	platform_arena_unmap(page, 4096);
}

/* Nothing here can poll both ways: what is asked for is tried, told, and done the other way. */
static void
test_iopoll_falls_back(void **state)
{
	uint8_t *page = platform_arena_map(4096), *back = platform_arena_map(4096);
	struct nvme_config config = { .paths = { PATH },
				      .device_count = 1,
				      .queue_depth = 4,
				      .is_volatile_allowed = true,
				      .iopoll = NVME_IOPOLL_TRY,
				      .probe_offset = 8192 };
	struct disk_facts facts;
	struct nvme *nvme = NULL;

	(void)state;
	/* What lies where it is tried is there afterwards. */
	memset(page, 0x5a, 4096);
	struct nvme *plain = port_make(NVME_DURABILITY_AUTO, 4, NULL);
	assert_int_equal(one(nvme_port(plain), DISK_WRITE, 8192, page, 4096), TERN_OK);
	nvme_close(plain);
	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_OK);
	assert_int_equal(nvme_attach(nvme, err_text, sizeof(err_text)), TERN_OK);
	const struct disk_port port = nvme_port(nvme);
	port.ops->facts(port.disk, &facts);
	if (facts.is_polled) { /* this machine can */
		assert_int_equal(port.ops->wait_fd(port.disk), -1);
		assert_string_equal(nvme_iopoll_why(nvme), "");
	} else {
		assert_non_null(strstr(nvme_iopoll_why(nvme), "device 0"));
		assert_int_equal(one(port, DISK_READ, 8192, back, 4096), TERN_OK);
		assert_memory_equal(page, back, 4096);
	}
	nvme_close(nvme);
	platform_arena_unmap(page, 4096);
	platform_arena_unmap(back, 4096);
}

/* A file takes no NVMe commands: block I/O in their place, and it is told; or nothing at all. */
static void
test_passthrough_is_refused(void **state)
{
	struct nvme_config config = { .paths = { PATH },
				      .device_count = 1,
				      .queue_depth = 4,
				      .is_volatile_allowed = true,
				      .passthrough = NVME_PASSTHROUGH_TRY,
				      .probe_offset = 8192 };
	uint8_t *page = platform_arena_map(4096);
	struct disk_facts facts;
	struct nvme *nvme = NULL;

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		config.iopoll = i == 0 ? NVME_IOPOLL_OFF : NVME_IOPOLL_TRY;
		assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_OK);
		assert_int_equal(nvme_attach(nvme, err_text, sizeof(err_text)), TERN_OK);
		const struct disk_port port = nvme_port(nvme);
		port.ops->facts(port.disk, &facts);
		assert_false(facts.is_passthrough);
		assert_null(strstr(facts.mode, "passthrough"));
		assert_non_null(
		    strstr(nvme_passthrough_why(nvme), i == 0 ? "only where completions are polled"
							      : PATH " is no block device"));
		if (!facts.is_polled)
			assert_int_equal(one(port, DISK_WRITE, 8192, page, 4096), TERN_OK);
		nvme_close(nvme);
	}
	config.passthrough = NVME_PASSTHROUGH_REQUIRED;
	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)),
			 TERN_ERR_UNSUPPORTED);
	assert_non_null(strstr(err_text, PATH " is no block device"));
	assert_non_null(strstr(err_text, "\"auto\""));
	platform_arena_unmap(page, 4096);
}

/* A polled ring: completions come when they are asked for, whatever they say. */
static void
test_a_polled_ring_gives_every_completion(void **state)
{
	uint8_t *page = platform_arena_map(4096);
	const struct nvme_config config = { .paths = { PATH },
					    .device_count = 1,
					    .queue_depth = 8,
					    .is_volatile_allowed = true,
					    .iopoll = NVME_IOPOLL_FORCED };
	struct disk_completion done[8];
	struct disk_stats stats;
	struct disk_facts facts;
	struct nvme *nvme = NULL;
	uint32_t have = 0;

	(void)state;
	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_OK);
	if (nvme_attach(nvme, err_text, sizeof(err_text)) != TERN_OK)
		fail_msg("%s", err_text);
	const struct disk_port port = nvme_port(nvme);
	port.ops->facts(port.disk, &facts);
	assert_true(facts.is_polled);
	assert_non_null(strstr(facts.mode, "io_uring-iopoll"));
	assert_int_equal(port.ops->wait_fd(port.disk), -1);
	for (uint32_t i = 0; i < 8; i++) {
		const struct disk_request request = { .kind = DISK_WRITE,
						      .offset = (uint64_t)i * 4096,
						      .bytes = page,
						      .length = 4096,
						      .user = i };
		assert_int_equal(port.ops->queue(port.disk, &request), TERN_OK);
	}
	port.ops->submit(port.disk);
	const uint64_t until_ns = platform_monotonic_ns() + 60000000000;
	while (have < 8 && platform_monotonic_ns() < until_ns)
		have += port.ops->poll(port.disk, done + have, 8 - have);
	assert_int_equal(have, 8);
	/* A device that refuses to be polled says so of each request. */
	port.ops->stats(port.disk, &stats);
	assert_int_equal(stats.writes + stats.errors, 8);
	assert_int_equal(stats.in_flight, 0);
	nvme_close(nvme);
	platform_arena_unmap(page, 4096);
}

/* Requests that the kernel would have to cut are cut before: on a polled ring it would try them for
 * ever. Each still gives one completion, and what was written is there. */
static void
test_long_requests_on_a_polled_ring(void **state)
{
	const uint32_t bytes = NVME_REQUEST_BYTES_MAX, count = FILE_BYTES / NVME_REQUEST_BYTES_MAX;
	uint8_t *long_ones = platform_arena_map(FILE_BYTES);
	const struct nvme_config config = { .paths = { PATH },
					    .device_count = 1,
					    .queue_depth = 8,
					    .is_volatile_allowed = true,
					    .iopoll = NVME_IOPOLL_FORCED };
	struct disk_completion done[8];
	struct disk_stats stats;
	struct nvme *nvme = NULL;
	uint32_t have = 0, good = 0;
	uint8_t back[16];

	(void)state;
	for (uint32_t i = 0; i < FILE_BYTES; i++)
		long_ones[i] = (uint8_t)(i * 7 + i / 4096);
	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_OK);
	assert_int_equal(nvme_attach(nvme, err_text, sizeof(err_text)), TERN_OK);
	const struct disk_port port = nvme_port(nvme);
	for (uint32_t i = 0; i < count; i++) {
		const struct disk_request request = { .kind = DISK_WRITE,
						      .offset = (uint64_t)i * bytes,
						      .bytes = long_ones + (size_t)i * bytes,
						      .length = bytes,
						      .user = i };
		assert_int_equal(port.ops->queue(port.disk, &request), TERN_OK);
	}
	port.ops->submit(port.disk);
	const uint64_t until_ns = platform_monotonic_ns() + 60000000000;
	while (have < count && platform_monotonic_ns() < until_ns)
		have += port.ops->poll(port.disk, done + have, 8 - have);
	assert_int_equal(have, count);
	const int fd = open(PATH, O_RDONLY);
	for (uint32_t i = 0; i < count; i++) {
		/* This machine's device may refuse to be polled. */
		if (done[i].err != TERN_OK)
			continue;
		good++;
		assert_int_equal(done[i].length, bytes);
		const uint64_t end = (done[i].user + 1) * bytes - sizeof(back);
		assert_int_equal(pread(fd, back, sizeof(back), (off_t)end), sizeof(back));
		assert_memory_equal(back, long_ones + end, sizeof(back));
	}
	close(fd);
	port.ops->stats(port.disk, &stats);
	assert_int_equal(stats.writes, good);
	assert_int_equal(stats.writes + stats.errors, count);
	assert_int_equal(stats.in_flight, 0);
	nvme_close(nvme);
	platform_arena_unmap(long_ones, FILE_BYTES);
}

static void
test_pieces(void **state)
{
	const uint32_t page = DISK_PAGE_BYTES, mib = 1u << 20;
	const struct {
		struct nvme_device device;
		uint64_t offset;
		uint32_t length, piece;
	} cases[] = {
		{ { .piece_bytes = 0 }, 0, 2 * mib, 2 * mib },
		{ { .piece_bytes = 127 * page }, 0, 127 * page, 127 * page },
		{ { .piece_bytes = 127 * page }, page, 128 * page, 127 * page },
		{ { .piece_bytes = mib, .chunk_bytes = 32 * page }, 0, 64 * page, 32 * page },
		{ { .piece_bytes = mib, .chunk_bytes = 32 * page }, 31 * page, 8 * page, page },
		{ { .piece_bytes = mib, .chunk_bytes = 32 * page }, 33 * page, page, page },
		{ { .piece_bytes = 8 * page, .chunk_bytes = 32 * page }, 0, 64 * page, 8 * page },
		/* A partition that begins one page before the end of a chunk. */
		{ { .piece_bytes = mib, .chunk_bytes = 32 * page, .start_bytes = 31 * page },
		  0,
		  8 * page,
		  page },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    nvme_piece_bytes(&cases[i].device, cases[i].offset, cases[i].length),
		    cases[i].piece);
}

/* What a device holds in its cache is made durable, by the device. One that cannot do it is taken
 * for absent, or not taken at all where it comes later. */
static void
test_flush_before_it_is_used(void **state)
{
	const struct nvme_config config = { .paths = { PATH, "other-device" },
					    .device_count = 2,
					    .queue_depth = 8,
					    .is_volatile_allowed = true };
	struct disk_facts facts;
	struct nvme *nvme = NULL;
	const char *why = NULL;
	uint32_t number = 0;
	uint64_t bytes = 0;

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		const char *name = i == 0 ? "other-device" : "one-more";
		unlink(name);
		assert_int_equal(nvme_create_file(name, FILE_BYTES, err_text, sizeof(err_text)),
				 TERN_OK);
	}
	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_OK);
	flushes = 0;
	assert_int_equal(nvme_device_flush(nvme, 0), TERN_OK);
	assert_int_equal(flushes, 1);
	is_flush_failing = true;
	assert_int_equal(nvme_device_flush(nvme, 1), TERN_ERR_IO);
	nvme_device_omit(nvme, 1, "no flush");
	assert_int_equal(nvme_device_fd(nvme, 1), -1);
	assert_int_equal(nvme_device_bytes(nvme, 1, &why), 0);
	assert_string_equal(why, "no flush");
	assert_true(nvme_device_fd(nvme, 0) >= 0);
	const struct disk_port port = nvme_port(nvme);
	port.ops->facts(port.disk, &facts);
	assert_int_equal(facts.device_bytes, FILE_BYTES);
	assert_int_equal(nvme_attach(nvme, err_text, sizeof(err_text)), TERN_OK);
	assert_int_equal(
	    nvme_device_add(nvme, "one-more", &number, &bytes, err_text, sizeof(err_text)),
	    TERN_ERR_IO);
	assert_non_null(strstr(err_text, "cannot be flushed"));
	is_flush_failing = false;
	flushes = 0;
	assert_int_equal(
	    nvme_device_add(nvme, "one-more", &number, &bytes, err_text, sizeof(err_text)),
	    TERN_OK);
	assert_int_equal(flushes, 1);
	nvme_close(nvme);
	unlink("one-more");
	unlink("other-device");
}

/* A device comes while the port is in use: where completions are polled it would have to be tried
 * first, so it is refused; where that was tried in vain it is one like the others. */
static void
test_one_more_device(void **state)
{
	static const enum nvme_iopoll ways[] = { NVME_IOPOLL_FORCED, NVME_IOPOLL_TRY };
	uint8_t *page = platform_arena_map(4096), *back = platform_arena_map(4096);

	(void)state;
	unlink("one-more");
	assert_int_equal(nvme_create_file("one-more", FILE_BYTES, err_text, sizeof(err_text)),
			 TERN_OK);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct nvme_config config = { .paths = { PATH },
						    .device_count = 1,
						    .queue_depth = 8,
						    .is_volatile_allowed = true,
						    .iopoll = ways[i],
						    .probe_offset = 8192 };
		struct disk_facts facts;
		struct nvme *nvme = NULL;
		uint32_t number = 0;
		uint64_t bytes = 0;
		assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_OK);
		assert_int_equal(nvme_attach(nvme, err_text, sizeof(err_text)), TERN_OK);
		const struct disk_port port = nvme_port(nvme);
		port.ops->facts(port.disk, &facts);
		const enum tern_err err =
		    nvme_device_add(nvme, "one-more", &number, &bytes, err_text, sizeof(err_text));
		if (facts.is_polled) {
			assert_int_equal(err, TERN_ERR_CONFIG);
			assert_non_null(strstr(err_text, "disk.iopoll"));
			nvme_close(nvme);
			continue;
		}
		assert_int_equal(err, TERN_OK);
		assert_int_equal(number, 1);
		assert_int_equal(bytes, FILE_BYTES);
		struct disk_request request = { .kind = DISK_WRITE,
						.device = number,
						.offset = 4096,
						.bytes = page,
						.length = 4096 };
		struct disk_completion done;
		memset(page, 0x3c, 4096);
		assert_int_equal(port.ops->queue(port.disk, &request), TERN_OK);
		wait_for(port, &done, 1);
		assert_int_equal(done.err, TERN_OK);
		request.kind = DISK_READ;
		request.bytes = back;
		assert_int_equal(port.ops->queue(port.disk, &request), TERN_OK);
		wait_for(port, &done, 1);
		assert_int_equal(done.err, TERN_OK);
		assert_memory_equal(page, back, 4096);
		nvme_close(nvme);
	}
	unlink("one-more");
	platform_arena_unmap(page, 4096);
	platform_arena_unmap(back, 4096);
}

static bool
is_readable(struct disk_port port, int patience_ms)
{
	struct pollfd fd = { .fd = port.ops->wait_fd(port.disk), .events = POLLIN };

	return poll(&fd, 1, patience_ms) == 1;
}

/* One request never returns, of a device that failed. What others left on the descriptor is gone
 * once it was taken; what waits to be taken, and what comes, wakes the sleeper. */
static void
test_an_orphan_lets_its_owner_sleep(void **state)
{
	struct nvme *nvme = port_make(NVME_DURABILITY_AUTO, 8, NULL);
	const struct disk_port port = nvme_port(nvme);
	uint8_t *page = platform_arena_map(4096);
	const struct disk_request request = { .kind = DISK_WRITE, .bytes = page, .length = 4096 };
	struct disk_completion done;
	bool is_quiet = false;

	(void)state;
	nvme->stats.in_flight++;
	for (uint32_t round = 0; round < 3; round++) {
		assert_int_equal(port.ops->queue(port.disk, &request), TERN_OK);
		port.ops->submit(port.disk);
		assert_true(is_readable(port, 60000));
		assert_true(is_readable(port, 60000)); /* it was not taken yet */
		wait_for(port, &done, 1);
		/* The kernel may signal a little later than it lets the completion be seen. */
		for (uint32_t i = 0; i < 1000 && !is_quiet; i++)
			is_quiet = !is_readable(port, 0);
		assert_true(is_quiet);
		is_quiet = false;
	}
	nvme->devices[0].is_failed = true;
	assert_int_equal(port.ops->queue(port.disk, &request), TERN_OK);
	assert_true(is_readable(port, 0)); /* it fails at once */
	wait_for(port, &done, 1);
	assert_int_equal(done.err, TERN_ERR_IO);
	nvme->stats.in_flight--;
	nvme_close(nvme);
	platform_arena_unmap(page, 4096);
}

/* A request holds the descriptor that it names: so that has to be the one with the lock, and not
 * the ring's, which would hold it for every device at once. A second descriptor of the same open
 * file stands for a request that the kernel has not ended when its process is gone. */
static void
test_a_request_holds_the_lock(void **state)
{
	struct nvme *nvme = port_make(NVME_DURABILITY_AUTO, 8, NULL);
	uint8_t *page = platform_arena_map(4096);
	const struct disk_request request = { .kind = DISK_WRITE, .bytes = page, .length = 4096 };
	struct io_uring_sqe sqe = { 0 };
	uint64_t bytes;
	int other = -1;

	(void)state;
	nvme_sqe_fill(nvme, &sqe, &request);
	assert_int_equal(sqe.flags & IOSQE_FIXED_FILE, 0);
	const int held = dup(sqe.fd);
	assert_true(held >= 0);
	nvme_close(nvme);
	assert_int_equal(nvme_device_open(PATH, true, &other, &bytes, err_text, sizeof(err_text)),
			 TERN_ERR_BUSY);
	assert_non_null(strstr(err_text, "another process uses it, or one that has ended left"));
	close(held);
	assert_int_equal(nvme_device_open(PATH, true, &other, &bytes, err_text, sizeof(err_text)),
			 TERN_OK);
	close(other);
	platform_arena_unmap(page, 4096);
}

/* How small a spare is says nothing of the pool, nor does one that is not there. */
static void
test_a_spare_is_not_the_smallest(void **state)
{
	const struct nvme_config config = { .paths = { PATH, "one-more", "no-such-file" },
					    .device_count = 3,
					    .spare_count = 2,
					    .queue_depth = 8,
					    .is_volatile_allowed = true };
	struct disk_facts facts;
	struct nvme *nvme = NULL;

	(void)state;
	unlink("one-more");
	assert_int_equal(nvme_create_file("one-more", 1u << 20, err_text, sizeof(err_text)),
			 TERN_OK);
	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_OK);
	const struct disk_port port = nvme_port(nvme);
	port.ops->facts(port.disk, &facts);
	assert_int_equal(facts.device_bytes, FILE_BYTES);
	assert_int_equal(nvme_device_err(nvme, 1), TERN_OK);
	assert_int_equal(nvme_device_err(nvme, 2), TERN_ERR_NOT_FOUND);
	nvme_close(nvme);
	unlink("one-more");
}

static void
test_refusals_name_the_device(void **state)
{
	struct nvme_config config = { .paths = { "no-such-device" },
				      .device_count = 1,
				      .queue_depth = 4,
				      .is_volatile_allowed = true };
	struct nvme *nvme;
	int fd;
	uint64_t bytes;

	(void)state;
	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_ERR_NOT_FOUND);
	assert_non_null(strstr(err_text, "no-such-device: does not exist"));
	config.paths[0] = ".";
	assert_int_not_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_OK);
	config.paths[0] = PATH;
	config.durability = NVME_DURABILITY_NONE; /* without is_dev */
	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_ERR_CONFIG);
	config.durability = NVME_DURABILITY_AUTO;
	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_OK);
	assert_int_equal(nvme_device_open(PATH, true, &fd, &bytes, err_text, sizeof(err_text)),
			 TERN_ERR_BUSY);
	assert_int_equal(nvme_device_open(PATH, false, &fd, &bytes, err_text, sizeof(err_text)),
			 TERN_OK);
	assert_int_equal(bytes, FILE_BYTES);
	close(fd);
	nvme_close(nvme);
}

static void
test_ram_devices_need_leave(void **state)
{
	static const char path[] = "/dev/shm/tern-test-volatile";
	struct nvme_config config = { .paths = { path }, .device_count = 1, .queue_depth = 4 };
	struct disk_facts facts;
	struct nvme *nvme;

	(void)state;
	unlink(path);
	if (nvme_create_file(path, 1 << 20, err_text, sizeof(err_text)) != TERN_OK) {
		/* Kernels before 6.6 have no O_DIRECT there, and then it is refused with a reason.
		 */
		assert_non_null(strstr(err_text, "tern-test-volatile: "));
		return;
	}
	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)),
			 TERN_ERR_UNSUPPORTED);
	assert_non_null(strstr(err_text, "allow_volatile = true"));
	config.is_volatile_allowed = true;
	assert_int_equal(nvme_open(&config, &nvme, err_text, sizeof(err_text)), TERN_OK);
	const struct disk_port port = nvme_port(nvme);
	port.ops->facts(port.disk, &facts);
	assert_non_null(strstr(facts.mode, "VOLATILE"));
	nvme_close(nvme);
	unlink(path);
}

static void
test_superblocks_alternate(void **state)
{
	struct superblock sb = { .sequence = 1,
				 .cluster_id = 5,
				 .generation = { 1, 0 },
				 .node_id = 2,
				 .k = 1,
				 .log_first_page = 16,
				 .log_pages = 1000,
				 .shard_count = 1 };
	struct superblock read;
	uint64_t bytes;
	uint32_t mask = 99;
	int fd;

	(void)state;
	assert_int_equal(nvme_device_open(PATH, true, &fd, &bytes, err_text, sizeof(err_text)),
			 TERN_OK);
	assert_int_equal(superblock_read(fd, &read, &mask), TERN_ERR_BLANK);
	assert_int_equal(superblock_write_all(fd, &sb), TERN_OK);
	uint8_t *garbage = platform_arena_map(8192);
	memset(garbage, 0xdd, 8192);
	for (uint32_t i = 2; i < 12; i++) {
		assert_int_equal(superblock_read(fd, &read, &mask), TERN_OK);
		assert_int_equal(read.sequence, i - 1);
		assert_int_equal(mask, 0xf);
		/* A torn update destroys both copies of its pair, and the old one still counts. */
		sb.sequence = i;
		sb.boot_no = i;
		assert_int_equal(pwrite(fd, garbage, 8192, i % 2 == 1 ? 0 : 8192), 8192);
		assert_int_equal(superblock_read(fd, &read, &mask), TERN_OK);
		assert_int_equal(read.sequence, i - 1);
		assert_int_equal(mask, i % 2 == 1 ? 0xc : 0x3);
		assert_int_equal(superblock_write(fd, &sb), TERN_OK);
	}
	assert_int_equal(superblock_read(fd, &read, &mask), TERN_OK);
	assert_int_equal(read.boot_no, 11);
	assert_int_equal(pwrite(fd, garbage, 8192, 0), 8192);
	assert_int_equal(pwrite(fd, garbage, 8192, 8192), 8192);
	assert_int_equal(superblock_read(fd, &read, &mask), TERN_ERR_FOREIGN);
	assert_int_equal(mask, 0);
	platform_arena_unmap(garbage, 8192);
	close(fd);
}

/* Writes 32 pages through a lossy port in a process that then dies by SIGKILL. Gives the number of
 * pages that the file holds. */
static uint32_t
pages_left_by(enum lossy_mode mode, enum nvme_durability durability)
{
	int status;
	const pid_t child = fork();
	if (child == 0) {
		const struct lossy_config config = { .mode = mode,
						     .hold_ns = UINT64_MAX,
						     .held_bytes = 8u << 20,
						     .clock = platform_clock(),
						     .is_forced = nvme_write_is_forced };
		uint8_t *page = platform_arena_map(4096), *read = platform_arena_map(4096);
		struct lossy *lossy = NULL;
		if (lossy_open(&config, nvme_port(port_make(durability, 8, NULL)), &lossy) !=
		    TERN_OK)
			_exit(1);
		const struct disk_port port = lossy_port(lossy);
		for (uint32_t i = 0; i < 32; i++) {
			memset(page, (int)(i + 1), 4096);
			if (one(port, DISK_WRITE, i * 4096u, page, 4096) != TERN_OK ||
			    one(port, DISK_READ, i * 4096u, read, 4096) != TERN_OK ||
			    memcmp(page, read, 4096) != 0)
				_exit(2);
		}
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	uint32_t count = 0;
	uint8_t page[4096];
	const int fd = open(PATH, O_RDONLY);
	for (uint32_t i = 0; i < 32; i++) {
		assert_int_equal(pread(fd, page, 4096, i * 4096), 4096);
		count += page[0] == i + 1 && page[4095] == i + 1;
	}
	close(fd);
	return count;
}

static void
test_lossy_devices_lose_what_they_should(void **state)
{
	(void)state;
	assert_int_equal(pages_left_by(LOSSY_LYING, NVME_DURABILITY_DSYNC), 0);
	assert_int_equal(pages_left_by(LOSSY_LOSE_UNFLUSHED, NVME_DURABILITY_NONE), 0);
	assert_int_equal(pages_left_by(LOSSY_LOSE_UNFLUSHED, NVME_DURABILITY_DSYNC), 32);
}

static void
test_lossy_writes_through_when_memory_is_short(void **state)
{
	const struct lossy_config config = { .mode = LOSSY_LYING,
					     .hold_ns = UINT64_MAX,
					     .held_bytes = 4u << 20,
					     .clock = platform_clock(),
					     .is_forced = nvme_write_is_forced };
	uint8_t *page = platform_arena_map(65536), *read = platform_arena_map(65536);
	struct disk_stats stats;
	struct disk_facts facts;
	struct lossy *lossy = NULL;

	(void)state;
	struct nvme *nvme = port_make(NVME_DURABILITY_DSYNC, 8, NULL);
	assert_int_equal(lossy_open(&config, nvme_port(nvme), &lossy), TERN_OK);
	const struct disk_port port = lossy_port(lossy);
	uint32_t refused = 0;
	/* Three times as much as the memory holds, over the same places again and again. */
	for (uint32_t i = 0; i < 192;) {
		const struct disk_request request = { .kind = DISK_WRITE,
						      .offset = i % 64 * 65536u,
						      .bytes = page,
						      .length = 65536 };
		struct disk_completion done;
		memset(page, (int)(i + 1), 65536);
		if (port.ops->queue(port.disk, &request) == TERN_OK) {
			wait_for(port, &done, 1);
			assert_int_equal(done.err, TERN_OK);
			i++;
		} else {
			assert_int_equal(port.ops->poll(port.disk, &done, 1), 0);
			refused++;
		}
	}
	for (uint32_t i = 128; i < 192; i++) {
		assert_int_equal(one(port, DISK_READ, i % 64 * 65536u, read, 65536), TERN_OK);
		memset(page, (int)(i + 1), 65536);
		assert_memory_equal(read, page, 65536);
	}
	port.ops->stats(port.disk, &stats);
	assert_int_equal(stats.writes, 192);
	assert_int_equal(stats.durable_writes, 192); /* as it claims */
	nvme_port(nvme).ops->stats(nvme, &stats);
	assert_true(stats.writes >= 128 && stats.writes < 192);
	port.ops->facts(port.disk, &facts);
	assert_non_null(strstr(facts.mode, "LYING"));
	lossy_close(lossy);
	nvme_close(nvme);
	platform_arena_unmap(page, 65536);
	platform_arena_unmap(read, 65536);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_created_file_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writes_are_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_works_without_locked_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_failed_write_is_final, setup, teardown),
		cmocka_unit_test_setup_teardown(test_iopoll_falls_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_passthrough_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_more_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush_before_it_is_used, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_polled_ring_gives_every_completion, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_long_requests_on_a_polled_ring, setup,
						teardown),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test_setup_teardown(test_an_orphan_lets_its_owner_sleep, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_request_holds_the_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_spare_is_not_the_smallest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals_name_the_device, setup, teardown),
		cmocka_unit_test(test_ram_devices_need_leave),
		cmocka_unit_test_setup_teardown(test_superblocks_alternate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lossy_devices_lose_what_they_should, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_lossy_writes_through_when_memory_is_short,
						setup, teardown),
	};

	if (setup(NULL) != 0 && strstr(err_text, "O_DIRECT") != NULL)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
