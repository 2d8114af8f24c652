/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/bench/raw.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/platform/platform.h"

#define FILE_BYTES (128ull << 20)

struct writer {
	pthread_t thread;
	pthread_barrier_t *barrier;
	uint64_t duration_ns;
	struct nvme *nvme;
	struct disk_port port;
	uint8_t *buffer; /* BENCH_LARGE_BYTES, never changed: what is written does not matter */
	uint64_t offset;
	uint32_t in_flight;
	struct histogram small;
	uint64_t small_count, large_bytes, small_ns, large_ns;
	bool is_failed;
	char text[256];
};

bool
bench_disk_open(struct bench_disk *disk, const char *directory, uint32_t writers, char *text,
		size_t text_bytes)
{
	*disk = (struct bench_disk){ .directory = directory };
	for (uint32_t i = 0; i < writers && i < BENCH_WRITERS_MAX; i++) {
		if (!bench_scratch_open(&disk->files[i], directory, "bench-raw", FILE_BYTES, text,
					text_bytes)) {
			bench_disk_close(disk);
			return false;
		}
		disk->writers++;
	}
	return true;
}

void
bench_disk_close(struct bench_disk *disk)
{
	for (uint32_t i = 0; i < disk->writers; i++)
		bench_scratch_close(&disk->files[i]);
	disk->writers = 0;
}

static void
queue_write(struct writer *writer, uint32_t bytes)
{
	if (writer->offset + bytes > FILE_BYTES)
		writer->offset = 0;
	const struct disk_request request = { .kind = DISK_WRITE,
					      .offset = writer->offset,
					      .bytes = writer->buffer,
					      .length = bytes };
	if (writer->port.ops->queue(writer->port.disk, &request) != TERN_OK) {
		writer->is_failed = true;
		(void)snprintf(writer->text, sizeof(writer->text), "a write was refused");
		return;
	}
	writer->offset += bytes;
	writer->in_flight++;
}

/* Waits for at least one completion; returns how many came. The loop yields as the daemons' does:
 * a poller that spins beside such writes slows all of them down. */
static uint32_t
await(struct writer *writer)
{
	struct disk_completion done[BENCH_LARGE_DEPTH];
	uint32_t count = 0;

	writer->port.ops->submit(writer->port.disk);
	while (count == 0 && writer->in_flight != 0) {
		count = writer->port.ops->poll(writer->port.disk, done, BENCH_LARGE_DEPTH);
		if (count == 0)
			(void)sched_yield();
	}
	for (uint32_t i = 0; i < count; i++) {
		if (done[i].err == TERN_OK)
			continue;
		writer->is_failed = true;
		(void)snprintf(writer->text, sizeof(writer->text), "a write failed");
	}
	writer->in_flight -= count;
	return count;
}

static void
write_small(struct writer *writer)
{
	const uint64_t begin_ns = platform_monotonic_ns();
	uint64_t now_ns = begin_ns;

	while (now_ns - begin_ns < writer->duration_ns && !writer->is_failed) {
		const uint64_t from_ns = now_ns;
		queue_write(writer, BENCH_SMALL_BYTES);
		writer->small_count += await(writer);
		now_ns = platform_monotonic_ns();
		histogram_add(&writer->small, now_ns - from_ns);
	}
	writer->small_ns = now_ns - begin_ns;
}

static void
write_large(struct writer *writer)
{
	const uint64_t begin_ns = platform_monotonic_ns();
	uint64_t now_ns = begin_ns;

	while (now_ns - begin_ns < writer->duration_ns && !writer->is_failed) {
		while (writer->in_flight < BENCH_LARGE_DEPTH && !writer->is_failed)
			queue_write(writer, BENCH_LARGE_BYTES);
		writer->large_bytes += (uint64_t)await(writer) * BENCH_LARGE_BYTES;
		now_ns = platform_monotonic_ns();
	}
	writer->large_ns = now_ns - begin_ns;
	while (writer->in_flight != 0)
		(void)await(writer);
}

static void *
writer_main(void *argument)
{
	struct writer *writer = argument;

	if (nvme_attach(writer->nvme, writer->text, sizeof(writer->text)) != TERN_OK)
		writer->is_failed = true;
	writer->port = nvme_port(writer->nvme);
	(void)pthread_barrier_wait(writer->barrier);
	write_small(writer);
	(void)pthread_barrier_wait(writer->barrier);
	write_large(writer);
	return NULL;
}

static bool
open_writer(struct writer *writer, const char *path)
{
	writer->buffer = platform_arena_map(BENCH_LARGE_BYTES);
	if (writer->buffer == NULL) {
		(void)snprintf(writer->text, sizeof(writer->text), "out of memory");
		return false;
	}
	const struct nvme_config config = {
		.paths = { path },
		.device_count = 1,
		.queue_depth = 2 * BENCH_LARGE_DEPTH,
		.buffers = { { writer->buffer, BENCH_LARGE_BYTES } },
		.buffer_count = 1,
	};
	return nvme_open(&config, &writer->nvme, writer->text, sizeof(writer->text)) == TERN_OK;
}

static void
collect(const struct writer *writer, struct bench_disk_result *result)
{
	struct disk_facts facts;

	histogram_merge(&result->small, &writer->small);
	result->small_writes_per_s +=
	    (double)writer->small_count * 1e9 / (double)(writer->small_ns + 1);
	result->large_bytes_per_s +=
	    (double)writer->large_bytes * 1e9 / (double)(writer->large_ns + 1);
	writer->port.ops->facts(writer->port.disk, &facts);
	(void)snprintf(result->mode, sizeof(result->mode), "%s", facts.mode);
}

/* Lets all writers run; they are open. */
static bool
run_writers(struct writer *writers, uint32_t count, uint64_t duration_ns)
{
	pthread_barrier_t barrier;
	uint32_t started = 0;

	if (pthread_barrier_init(&barrier, NULL, count) != 0)
		return false;
	for (; started < count; started++) {
		writers[started].barrier = &barrier;
		writers[started].duration_ns = duration_ns;
		/* The others would wait at the barrier for ever. */
		if (pthread_create(&writers[started].thread, NULL, writer_main,
				   &writers[started]) != 0)
			abort();
	}
	for (uint32_t i = 0; i < started; i++)
		(void)pthread_join(writers[i].thread, NULL);
	(void)pthread_barrier_destroy(&barrier);
	return true;
}

bool
bench_disk_measure(const struct bench_disk *disk, uint64_t duration_ns,
		   struct bench_disk_result *result, char *text, size_t text_bytes)
{
	struct writer *writers = calloc(disk->writers, sizeof(*writers));
	bool is_good = writers != NULL;
	uint32_t bad = 0;

	memset(result, 0, sizeof(*result));
	if (writers == NULL) {
		(void)snprintf(text, text_bytes, "out of memory");
		return false;
	}
	for (uint32_t i = 0; i < disk->writers && is_good; i++) {
		is_good = open_writer(&writers[i], disk->files[i].path);
		bad = i;
	}
	is_good = is_good && run_writers(writers, disk->writers, duration_ns);
	for (uint32_t i = 0; i < disk->writers && is_good; i++) {
		is_good = !writers[i].is_failed;
		bad = i;
		if (is_good)
			collect(&writers[i], result);
	}
	if (!is_good)
		(void)snprintf(text, text_bytes, "a file below %s: %s", disk->directory,
			       writers[bad].text);
	for (uint32_t i = 0; i < disk->writers; i++) {
		nvme_close(writers[i].nvme);
		if (writers[i].buffer != NULL)
			platform_arena_unmap(writers[i].buffer, BENCH_LARGE_BYTES);
	}
	free(writers);
	return is_good;
}
