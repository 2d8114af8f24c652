/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes pages to a block device through hw/nvme_uring, reads them back, and says in JSON what
 * became of them. Destroys what the device holds there. Runs inside the guest.
 * usage: disk_run DEVICE [iopoll=off|try|forced] [passthrough=off|try|required] [first=PAGE]
 *                 [count=REQUESTS] [pages=N] [depth=N] [rounds=N] [round=N] [read-only]
 *   pages: of each request; rounds=0: until a write fails, at most a minute; round: the number of
 *   the first, which is part of what is written; read-only: a run with the same numbers wrote.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hw/nvme_uring/nvme.h"
#include "hw/platform/platform.h"

#define DEPTH_MAX  64u
#define LONGEST_NS 60000000000ull

struct run {
	const char *path;
	enum nvme_iopoll iopoll;
	enum nvme_passthrough passthrough;
	bool is_read_only;
	uint64_t first, count, pages, depth, rounds, round;
	struct disk_port port;
	uint8_t *bytes; /* so many pages for each request in flight */
	size_t request_bytes;
	uint64_t page_of[DEPTH_MAX];
	bool is_busy[DEPTH_MAX];
	uint64_t ok[2], failed[2], mismatches, rounds_done; /* writes, reads */
	uint64_t ns[2];                                     /* of the last pass */
	int64_t first_failed[2];
};

static void
page_fill(uint8_t *bytes, uint64_t page, uint64_t round)
{
	for (uint32_t i = 0; i < DISK_PAGE_BYTES / 8; i++) {
		const uint64_t word = (page + 1) * 0x9e3779b97f4a7c15ull + round * 1048583 + i;
		memcpy(bytes + (size_t)i * 8, &word, 8);
	}
}

static void
request_fill(const struct run *run, uint8_t *bytes, uint64_t page, uint64_t round)
{
	for (uint64_t i = 0; i < run->pages; i++)
		page_fill(bytes + i * DISK_PAGE_BYTES, page + i, round);
}

static bool
is_as_written(const struct run *run, const uint8_t *bytes, uint64_t page, uint64_t round)
{
	uint8_t want[DISK_PAGE_BYTES];

	for (uint64_t i = 0; i < run->pages; i++) {
		page_fill(want, page + i, round);
		if (memcmp(want, bytes + i * DISK_PAGE_BYTES, DISK_PAGE_BYTES) != 0)
			return false;
	}
	return true;
}

static void
completion_take(struct run *run, const struct disk_completion *done, uint64_t round)
{
	const uint64_t page = run->page_of[done->user];
	const uint32_t kind = done->kind == DISK_WRITE ? 0 : 1;

	run->is_busy[done->user] = false;
	if (done->err != TERN_OK) {
		if (run->failed[kind]++ == 0)
			run->first_failed[kind] = (int64_t)page;
		return;
	}
	run->ok[kind]++;
	if (kind == 0)
		return;
	run->mismatches +=
	    !is_as_written(run, run->bytes + done->user * run->request_bytes, page, round);
}

/* Each page once. False: something never ended. */
static bool
pass(struct run *run, enum disk_request_kind kind, uint64_t round)
{
	struct disk_completion done[DEPTH_MAX];
	const uint64_t begin_ns = platform_monotonic_ns();
	uint64_t next = 0, ended = 0;

	while (ended < run->count) {
		for (uint32_t i = 0; i < run->depth && next < run->count; i++) {
			uint8_t *bytes = run->bytes + i * run->request_bytes;
			if (run->is_busy[i])
				continue;
			run->page_of[i] = run->first + next * run->pages;
			if (kind == DISK_WRITE)
				request_fill(run, bytes, run->page_of[i], round);
			else
				memset(bytes, 0, run->request_bytes);
			const struct disk_request request = {
				.kind = kind,
				.offset = run->page_of[i] * DISK_PAGE_BYTES,
				.bytes = bytes,
				.length = (uint32_t)run->request_bytes,
				.user = i,
			};
			if (run->port.ops->queue(run->port.disk, &request) != TERN_OK)
				break;
			run->is_busy[i] = true;
			next++;
		}
		run->port.ops->submit(run->port.disk);
		const uint32_t got = run->port.ops->poll(run->port.disk, done, DEPTH_MAX);
		for (uint32_t i = 0; i < got; i++)
			completion_take(run, &done[i], round);
		ended += got;
		if (platform_monotonic_ns() - begin_ns > LONGEST_NS)
			return false;
	}
	run->ns[kind == DISK_WRITE ? 0 : 1] = platform_monotonic_ns() - begin_ns;
	return true;
}

static bool
argument_take(struct run *run, const char *text)
{
	static const char *const polls[] = { "iopoll=off", "iopoll=try", "iopoll=forced" };
	static const char *const ways[] = { "passthrough=off", "passthrough=try",
					    "passthrough=required" };
	struct {
		const char *name;
		uint64_t *value;
	} numbers[] = { { "first=", &run->first },   { "count=", &run->count },
			{ "pages=", &run->pages },   { "depth=", &run->depth },
			{ "rounds=", &run->rounds }, { "round=", &run->round } };

	for (uint32_t i = 0; i < 3; i++) {
		if (strcmp(text, polls[i]) == 0) {
			run->iopoll = (enum nvme_iopoll)i;
			return true;
		}
		if (strcmp(text, ways[i]) == 0) {
			run->passthrough = (enum nvme_passthrough)i;
			return true;
		}
	}
	if (strcmp(text, "read-only") == 0) {
		run->is_read_only = true;
		return true;
	}
	for (uint32_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const size_t length = strlen(numbers[i].name);
		char *end;
		if (strncmp(text, numbers[i].name, length) != 0)
			continue;
		*numbers[i].value = strtoull(text + length, &end, 10);
		return *end == 0 && end != text + length;
	}
	return false;
}

/* What the kernel itself says of a read, a write and a flush of the first page: 0 or an errno. What
 * was there is there again. */
static void
kernel_print(const struct run *run)
{
	const struct iovec page = { run->bytes, DISK_PAGE_BYTES };
	const off_t offset = (off_t)(run->first * DISK_PAGE_BYTES);
	const int fd = open(run->path, O_RDWR | O_DIRECT | O_CLOEXEC);

	if (fd < 0) {
		printf(",\"kernel\":null");
		return;
	}
	const int read = preadv2(fd, &page, 1, offset, 0) < 0 ? errno : 0;
	const int written = pwritev2(fd, &page, 1, offset, RWF_DSYNC) < 0 ? errno : 0;
	const int flushed = fsync(fd) < 0 ? errno : 0;
	close(fd);
	printf(",\"kernel\":{\"write\":%d,\"flush\":%d,\"read\":%d}", written, flushed, read);
}

static void
report(const struct run *run, const struct nvme *nvme, bool has_ended)
{
	struct disk_facts facts;
	struct disk_stats stats;

	run->port.ops->facts(run->port.disk, &facts);
	run->port.ops->stats(run->port.disk, &stats);
	printf("{\"mode\":\"%s\",\"polled\":%s,\"polled_why_not\":\"%s\"", facts.mode,
	       facts.is_polled ? "true" : "false", nvme_iopoll_why(nvme));
	/* Its sentence may hold quotes. */
	printf(",\"passthrough\":%s,\"passthrough_why_not\":\"",
	       facts.is_passthrough ? "true" : "false");
	for (const char *c = nvme_passthrough_why(nvme); *c != 0; c++)
		printf(*c == '"' ? "\\%c" : "%c", *c);
	printf("\",\"has_ended\":%s,\"volatile_cache\":%s,\"wait_fd\":%d,\"rounds\":%" PRIu64,
	       has_ended ? "true" : "false", facts.is_volatile_cache ? "true" : "false",
	       run->port.ops->wait_fd(run->port.disk), run->rounds_done);
	for (uint32_t kind = 0; kind < 2; kind++)
		printf(",\"%s\":{\"ok\":%" PRIu64 ",\"failed\":%" PRIu64
		       ",\"first_failed\":%" PRId64 "},\"%s_ns\":%" PRIu64,
		       kind == 0 ? "writes" : "reads", run->ok[kind], run->failed[kind],
		       run->first_failed[kind], kind == 0 ? "write" : "read",
		       run->ns[kind] / run->count);
	printf(",\"mismatches\":%" PRIu64 ",\"durable_writes\":%" PRIu64 ",\"errors\":%" PRIu64,
	       run->mismatches, stats.durable_writes, stats.errors);
	kernel_print(run);
	printf("}\n");
}

int
main(int argc, char **argv)
{
	struct run run = {
		.count = 64, .pages = 1, .depth = 8, .rounds = 1, .first_failed = { -1, -1 }
	};
	struct nvme *nvme = NULL;
	char text[256] = "no memory";
	bool is_good = argc >= 2, has_ended = true;

	for (int i = 2; i < argc && is_good; i++)
		is_good = argument_take(&run, argv[i]);
	run.request_bytes = run.pages * DISK_PAGE_BYTES;
	is_good = is_good && run.count != 0 && run.depth != 0 && run.depth <= DEPTH_MAX;
	if (!is_good || run.pages == 0 || run.request_bytes > NVME_REQUEST_BYTES_MAX) {
		fprintf(stderr, "usage: see the head of disk_run.c\n");
		return 2;
	}
	run.path = argv[1];
	run.bytes = platform_arena_map(run.depth * run.request_bytes);
	const struct nvme_config config = {
		.paths = { run.path },
		.device_count = 1,
		.queue_depth = DEPTH_MAX,
		.iopoll = run.iopoll,
		.passthrough = run.passthrough,
		.probe_offset = run.first * DISK_PAGE_BYTES,
		.buffers = { { run.bytes, run.depth * run.request_bytes } },
		.buffer_count = 1,
	};
	if (run.bytes == NULL || nvme_open(&config, &nvme, text, sizeof(text)) != TERN_OK ||
	    nvme_attach(nvme, text, sizeof(text)) != TERN_OK) {
		fprintf(stderr, "%s\n", text);
		return 1;
	}
	run.port = nvme_port(nvme);
	const uint64_t until_ns = platform_monotonic_ns() + LONGEST_NS;
	for (uint64_t done = 0; has_ended && (run.rounds == 0 || done < run.rounds); done++) {
		const uint64_t round = run.round + done;
		has_ended = run.is_read_only || pass(&run, DISK_WRITE, round);
		if (run.rounds == 0 && (run.failed[0] != 0 || platform_monotonic_ns() > until_ns))
			break;
		has_ended = has_ended && pass(&run, DISK_READ, round);
		run.rounds_done = done + 1;
	}
	report(&run, nvme, has_ended);
	/* What has not ended may still write into the pages. */
	return has_ended ? 0 : 1;
}
