/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable 4 KiB writes to an NVMe namespace in two ways: through the block device (O_DIRECT,
 * RWF_DSYNC, registered file and buffer, as hw/nvme_uring does) and by NVMe commands of our own
 * (IORING_OP_URING_CMD on the character device, with the FUA bit). The two take turns. Figures as
 * JSON, one line a run; what was written is read back and compared, unless the device is one that
 * keeps nothing. Runs inside the guest.
 * usage: passthrough BLOCK CHARACTER REQUESTS RUNS [polled] [keeps-nothing]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <linux/nvme_ioctl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES  4096u
#define DEPTH_MAX   8u
#define NVME_WRITE  1u
#define NVME_FUA    (1u << 30)
#define REGION      1024u /* pages */
#define SQE_BYTES   128u  /* with IORING_SETUP_SQE128 */
#define RUNS_MAX    64u
#define REQUEST_MAX 10000000u

struct way {
	const char *name;
	bool is_command;
	struct io_uring ring;
};

struct bench {
	int block_fd, character_fd, name_space;
	uint32_t lba_bytes;
	uint8_t *pages; /* one for each request in flight */
	uint32_t requests;
	bool is_polled, keeps_nothing;
};

__attribute__((format(printf, 1, 2), noreturn)) static void
fail(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)vfprintf(stderr, format, list);
	va_end(list);
	(void)fputc('\n', stderr);
	exit(1);
}

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Of all processors together, as long as the guest runs; the kernel counts it in steps of 10 ms. */
static uint64_t
idle_ns(void)
{
	unsigned long long user, nice, system, idle, waiting;
	FILE *file = fopen("/proc/stat", "re");

	if (file == NULL || fscanf(file, "cpu %llu %llu %llu %llu %llu", &user, &nice, &system,
				   &idle, &waiting) != 5)
		fail("/proc/stat cannot be read");
	(void)fclose(file);
	return (idle + waiting) * 10000000u;
}

static void
way_open(struct bench *bench, struct way *way)
{
	const struct iovec pages = { bench->pages, (size_t)DEPTH_MAX * PAGE_BYTES };
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 (bench->is_polled ? IORING_SETUP_IOPOLL : 0) |
			 (way->is_command ? IORING_SETUP_SQE128 | IORING_SETUP_CQE32 : 0),
	};
	int result = io_uring_queue_init_params(DEPTH_MAX, &way->ring, &params);

	if (result == 0)
		result = io_uring_register_files(
		    &way->ring, way->is_command ? &bench->character_fd : &bench->block_fd, 1);
	/* Commands on registered memory came with Linux 6.2. */
	if (result == 0 && !way->is_command)
		result = io_uring_register_buffers(&way->ring, &pages, 1);
	if (result != 0)
		fail("%s: io_uring: %s", way->name, strerror(-result));
}

static void
write_queue(const struct bench *bench, struct way *way, uint32_t slot, uint64_t number)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&way->ring);
	uint8_t *page = bench->pages + (size_t)slot * PAGE_BYTES;
	const uint64_t offset = number % REGION * PAGE_BYTES;

	if (sqe == NULL)
		fail("%s: no room in the ring", way->name);
	memcpy(page, &number, sizeof(number));
	if (way->is_command) {
		const uint32_t blocks = PAGE_BYTES / bench->lba_bytes;
		const uint64_t first = offset / bench->lba_bytes;
		const struct nvme_uring_cmd command = {
			.opcode = NVME_WRITE,
			.nsid = (uint32_t)bench->name_space,
			.addr = (uint64_t)(uintptr_t)page,
			.data_len = PAGE_BYTES,
			.cdw10 = (uint32_t)first,
			.cdw11 = (uint32_t)(first >> 32),
			.cdw12 = (blocks - 1) | NVME_FUA,
		};
		memset(sqe, 0, SQE_BYTES);
		sqe->opcode = IORING_OP_URING_CMD;
		sqe->cmd_op = NVME_URING_CMD_IO;
		memcpy(sqe->cmd, &command, sizeof(command));
	} else {
		io_uring_prep_write_fixed(sqe, 0, page, PAGE_BYTES, offset, 0);
		sqe->rw_flags = RWF_DSYNC;
	}
	sqe->fd = 0;
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, slot);
}

/* Keeps @depth writes in flight until all have ended. */
static void
writes_do(const struct bench *bench, struct way *way, uint32_t depth, uint64_t first)
{
	const int32_t good = way->is_command ? 0 : (int32_t)PAGE_BYTES;
	uint32_t begun = 0, ended = 0;

	for (; begun < depth; begun++)
		write_queue(bench, way, begun, first + begun);
	while (ended < bench->requests) {
		struct io_uring_cqe *cqe = NULL;
		const int submitted = io_uring_submit_and_wait(&way->ring, 1);
		if (submitted < 0)
			fail("%s: submit: %s", way->name, strerror(-submitted));
		while (io_uring_peek_cqe(&way->ring, &cqe) == 0) {
			const uint32_t slot = (uint32_t)io_uring_cqe_get_data64(cqe);
			if (cqe->res != good)
				fail("%s: a write ended with %d", way->name, cqe->res);
			io_uring_cqe_seen(&way->ring, cqe);
			ended++;
			if (begun < bench->requests)
				write_queue(bench, way, slot, first + begun++);
		}
	}
}

/* The last writes of a run lie where they were meant to. */
static void
writes_check(const struct bench *bench, const struct way *way, uint64_t first)
{
	uint8_t *page = bench->pages;
	const uint32_t looked = bench->requests < REGION ? bench->requests : REGION;

	for (uint32_t i = 0; i < looked; i++) {
		const uint64_t number = first + bench->requests - 1 - i;
		uint64_t found;
		if (pread(bench->block_fd, page, PAGE_BYTES,
			  (off_t)(number % REGION * PAGE_BYTES)) != (ssize_t)PAGE_BYTES)
			fail("%s: what was written cannot be read", way->name);
		memcpy(&found, page, sizeof(found));
		if (found != number)
			fail("%s: page %llu holds write %llu, not %llu", way->name,
			     (unsigned long long)(number % REGION), (unsigned long long)found,
			     (unsigned long long)number);
	}
}

static void
run(const struct bench *bench, struct way *way, uint32_t depth, uint64_t first)
{
	const uint64_t idle = idle_ns(), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	const uint64_t begin = clock_ns(CLOCK_MONOTONIC);

	writes_do(bench, way, depth, first);
	const uint64_t wall_ns = clock_ns(CLOCK_MONOTONIC) - begin;
	const uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	const uint64_t rest_ns = idle_ns() - idle;
	if (!bench->keeps_nothing)
		writes_check(bench, way, first);
	printf("{\"way\":\"%s\",\"depth\":%u,\"ns\":%.0f,\"thread_cpu_ns\":%.0f,"
	       "\"idle_ns\":%.0f}\n",
	       way->name, depth, (double)wall_ns / bench->requests,
	       (double)cpu_ns / bench->requests, (double)rest_ns / bench->requests);
}

static void
bench_open(struct bench *bench, const char *block, const char *character)
{
	int lba_bytes = 0;

	bench->block_fd = open(block, O_RDWR | O_DIRECT | O_CLOEXEC);
	bench->character_fd = open(character, O_RDWR | O_CLOEXEC);
	if (bench->block_fd < 0 || bench->character_fd < 0)
		fail("%s or %s cannot be opened", block, character);
	bench->name_space = ioctl(bench->character_fd, NVME_IOCTL_ID);
	if (bench->name_space <= 0 || bench->name_space != ioctl(bench->block_fd, NVME_IOCTL_ID) ||
	    ioctl(bench->block_fd, BLKSSZGET, &lba_bytes) != 0 || lba_bytes <= 0)
		fail("%s and %s are not one namespace", block, character);
	bench->lba_bytes = (uint32_t)lba_bytes;
	bench->pages = mmap(NULL, (size_t)DEPTH_MAX * PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (bench->pages == MAP_FAILED)
		fail("no memory");
}

static void
arguments_take(struct bench *bench, int argc, char **argv, unsigned long *runs)
{
	const unsigned long requests = argc >= 5 ? strtoul(argv[3], NULL, 10) : 0;
	bool is_good = requests >= DEPTH_MAX && requests <= REQUEST_MAX;

	*runs = argc >= 5 ? strtoul(argv[4], NULL, 10) : 0;
	*bench = (struct bench){ .requests = (uint32_t)requests };
	for (int i = 5; i < argc; i++) {
		if (strcmp(argv[i], "polled") == 0)
			bench->is_polled = true;
		else if (strcmp(argv[i], "keeps-nothing") == 0)
			bench->keeps_nothing = true;
		else
			is_good = false;
	}
	if (!is_good || *runs < 1 || *runs > RUNS_MAX)
		fail("usage: passthrough BLOCK CHARACTER REQUESTS RUNS [polled] [keeps-nothing]");
}

int
main(int argc, char **argv)
{
	static const uint32_t depths[] = { 1, DEPTH_MAX };
	struct way ways[] = { { .name = "block" }, { .name = "command", .is_command = true } };
	struct bench bench;
	unsigned long runs;
	uint64_t first = 0;

	arguments_take(&bench, argc, argv, &runs);
	bench_open(&bench, argv[1], argv[2]);
	for (uint32_t i = 0; i < 2; i++)
		way_open(&bench, &ways[i]);
	for (unsigned long turn = 0; turn < runs; turn++)
		for (uint32_t d = 0; d < 2; d++)
			for (uint32_t i = 0; i < 2; i++, first += bench.requests)
				run(&bench, &ways[i], depths[d], first);
	return 0;
}
