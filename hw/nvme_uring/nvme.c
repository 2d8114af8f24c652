/* SPDX-License-Identifier: Apache-2.0 */
/* The data path: one io_uring, requests in slots, completions in batches. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "hw/nvme_uring/nvme_internal.h"
#include "hw/platform/platform.h"

#define CQE_BATCH 64u

static void
devices_close(struct nvme *nvme)
{
	for (uint32_t i = 0; i < nvme->config.device_count + nvme->added_count; i++) {
		struct nvme_device *device = &nvme->devices[i];
		if (device->fd >= 0)
			close(device->fd);
		if (device->command_fd >= 0)
			close(device->command_fd);
		device->fd = device->command_fd = -1;
	}
}

static enum tern_err
device_open(struct nvme *nvme, uint32_t number, const char *path, uint64_t until_ns, char *err_text,
	    size_t err_bytes)
{
	struct nvme_device *device = &nvme->devices[number];
	const enum tern_err err = nvme_device_probe(path, until_ns, device, err_text, err_bytes);

	if (err != TERN_OK)
		return err;
	if (device->is_volatile && !nvme->config.is_volatile_allowed) {
		nvme_explain(err_text, err_bytes,
			     "lives in RAM and loses everything at a power cut; say "
			     "disk.allow_volatile = true if that is meant",
			     path, 0);
		return TERN_ERR_UNSUPPORTED;
	}
	return TERN_OK;
}

static enum tern_err
devices_open(struct nvme *nvme, char *err_text, size_t err_bytes)
{
	/* For all of them: who has one has the others. */
	const uint64_t until_ns = platform_monotonic_ns() + NVME_CLAIM_NS;
	uint32_t absent_count = 0;

	for (uint32_t i = 0; i < NVME_DEVICES_MAX; i++)
		nvme->devices[i] = NVME_DEVICE_CLOSED;
	for (uint32_t i = 0; i < nvme->config.device_count; i++) {
		struct nvme_device *device = &nvme->devices[i];
		const bool is_spare = i >= nvme->config.device_count - nvme->config.spare_count;
		const enum tern_err err =
		    device_open(nvme, i, nvme->config.paths[i], until_ns, err_text, err_bytes);
		if (err == TERN_OK)
			continue;
		if (!is_spare && ++absent_count > nvme->config.absent_max)
			return err;
		device->is_absent = true;
		device->absent_err = err;
		device->bytes = 0;
		snprintf(device->why, sizeof(device->why), "%s", err_text);
	}
	return TERN_OK;
}

/* Made when something of it changes, for the data thread formats no text. */
void
nvme_facts_make(struct nvme *nvme)
{
	struct disk_facts *facts = &nvme->facts;
	bool is_volatile = false;

	*facts = (struct disk_facts){
		.device_count = nvme->config.device_count,
		.device_bytes = UINT64_MAX,
		.is_direct = true,
		.is_dsync = true,
		.is_registered = nvme->is_buffers_registered,
		.is_polled = nvme->is_polled,
		.is_passthrough = nvme->is_passthrough,
	};
	for (uint32_t i = 0; i < nvme->config.device_count; i++) {
		const struct nvme_device *device = &nvme->devices[i];
		if (device->is_absent)
			continue;
		if (i < nvme->config.device_count - nvme->config.spare_count)
			facts->device_bytes = min_u64(facts->device_bytes, device->bytes);
		facts->is_direct = facts->is_direct && device->is_direct;
		facts->is_dsync = facts->is_dsync && nvme_is_dsync(nvme, device);
		facts->is_volatile_cache = facts->is_volatile_cache || !device->is_write_through;
		is_volatile = is_volatile || device->is_volatile;
	}
	if (facts->device_bytes == UINT64_MAX)
		facts->device_bytes = 0;
	const char *forced = nvme->is_passthrough ? " FUA" : " RWF_DSYNC";
	snprintf(facts->mode, sizeof(facts->mode), "io_uring%s%s%s%s",
		 nvme->is_polled       ? "-iopoll"
		 : nvme->is_ring_plain ? "-plain"
				       : "",
		 nvme->is_passthrough ? " passthrough"
		 : facts->is_direct   ? " O_DIRECT"
				      : " buffered",
		 facts->is_dsync                                   ? forced
		 : nvme->config.durability == NVME_DURABILITY_NONE ? " UNFLUSHED"
								   : " write-through",
		 is_volatile ? " VOLATILE" : "");
}

enum tern_err
nvme_open(const struct nvme_config *config, struct nvme **out, char *err_text, size_t err_bytes)
{
	if (config->device_count < 1 || config->device_count > NVME_DEVICES_MAX ||
	    config->queue_depth < 1 || config->queue_depth > NVME_QUEUE_DEPTH_MAX ||
	    config->buffer_count > NVME_BUFFERS_MAX) {
		nvme_explain(err_text, err_bytes, "counts out of range", "storage", 0);
		return TERN_ERR_CONFIG;
	}
	if (config->durability == NVME_DURABILITY_NONE && !config->is_dev) {
		nvme_explain(err_text, err_bytes, "writes without a flush need dev = true",
			     "storage", 0);
		return TERN_ERR_CONFIG;
	}
	const size_t bytes = sizeof(struct nvme) + config->queue_depth * sizeof(struct nvme_slot);
	struct nvme *nvme = platform_arena_map(bytes);
	if (nvme == NULL) {
		nvme_explain(err_text, err_bytes, "no memory", "storage", 0);
		return TERN_ERR_NO_MEMORY;
	}
	nvme->config = *config;
	nvme->arena_bytes = bytes;
	for (uint32_t i = 0; i < config->queue_depth; i++)
		nvme->slots[i].next = i + 1 < config->queue_depth ? i + 1 : NVME_SLOT_NONE;
	nvme->free_head = 0;
	nvme->dead_head = NVME_SLOT_NONE;
	enum tern_err err = devices_open(nvme, err_text, err_bytes);
	if (err == TERN_OK)
		err = nvme_passthrough_open(nvme, err_text, err_bytes);
	if (err != TERN_OK) {
		nvme_close(nvme);
		return err;
	}
	nvme_facts_make(nvme);
	*out = nvme;
	return TERN_OK;
}

enum tern_err
nvme_device_add(struct nvme *nvme, const char *path, uint32_t *number, uint64_t *bytes,
		char *err_text, size_t err_bytes)
{
	*number = nvme->config.device_count + nvme->added_count;
	if (*number == NVME_DEVICES_MAX) {
		nvme_explain(err_text, err_bytes, "no room for one more device before a restart",
			     path, 0);
		return TERN_ERR_CONFIG;
	}
	if (nvme->is_polled) {
		nvme_explain(err_text, err_bytes,
			     "no device is added while completions are polled (disk.iopoll), for "
			     "it was not tried; list it under `spares` and start the node again",
			     path, 0);
		return TERN_ERR_CONFIG;
	}
	struct nvme_device *device = &nvme->devices[*number];
	enum tern_err err = device_open(
	    nvme, *number, path, platform_monotonic_ns() + NVME_CLAIM_NS, err_text, err_bytes);
	if (err == TERN_OK) {
		err = nvme_device_flush(nvme, *number);
		if (err != TERN_OK)
			nvme_explain(err_text, err_bytes, "its cache cannot be flushed", path, 0);
	}
	if (err == TERN_OK) {
		nvme->added_count++;
		*bytes = device->bytes;
		return TERN_OK;
	}
	if (device->fd >= 0)
		close(device->fd);
	*device = NVME_DEVICE_CLOSED;
	return err;
}

void
nvme_close(struct nvme *nvme)
{
	if (nvme == NULL)
		return;
	if (nvme->is_attached) {
		io_uring_queue_exit(&nvme->ring);
		if (nvme->event_fd >= 0)
			close(nvme->event_fd);
	}
	devices_close(nvme);
	platform_arena_unmap(nvme, nvme->arena_bytes);
}

int
nvme_device_fd(const struct nvme *nvme, uint32_t device)
{
	INVARIANT(device < NVME_DEVICES_MAX);
	return nvme->devices[device].is_absent ? -1 : nvme->devices[device].fd;
}

enum tern_err
nvme_device_flush(const struct nvme *nvme, uint32_t device)
{
	INVARIANT(device < NVME_DEVICES_MAX && nvme->devices[device].fd >= 0);
	return fdatasync(nvme->devices[device].fd) == 0 ? TERN_OK : TERN_ERR_IO;
}

void
nvme_device_omit(struct nvme *nvme, uint32_t number, const char *why)
{
	INVARIANT(number < nvme->config.device_count && !nvme->is_attached);
	struct nvme_device *device = &nvme->devices[number];

	device->is_absent = true;
	device->absent_err = TERN_ERR_IO;
	device->bytes = 0;
	snprintf(device->why, sizeof(device->why), "%s", why);
	nvme_facts_make(nvme);
}

uint64_t
nvme_device_bytes(const struct nvme *nvme, uint32_t device, const char **why)
{
	INVARIANT(device < NVME_DEVICES_MAX);
	*why = nvme->devices[device].why;
	return nvme->devices[device].bytes;
}

enum tern_err
nvme_device_err(const struct nvme *nvme, uint32_t device)
{
	INVARIANT(device < NVME_DEVICES_MAX);
	return nvme->devices[device].absent_err;
}

void
nvme_device_io(const struct nvme *nvme, uint32_t device, struct io_counts *counts)
{
	INVARIANT(device < NVME_DEVICES_MAX);
	io_read(&nvme->io[device], counts);
}

/* The part of @request at @done that is given to the kernel as one. */
static struct disk_request
piece_of(const struct nvme *nvme, const struct disk_request *request, uint32_t done)
{
	struct disk_request piece = *request;

	piece.offset += done;
	piece.bytes += done;
	piece.length -= done;
	if (nvme->is_polled)
		piece.length =
		    nvme_piece_bytes(&nvme->devices[request->device], piece.offset, piece.length);
	return piece;
}

static uint32_t
pieces_count(const struct nvme *nvme, const struct disk_request *request)
{
	uint32_t count = 0;

	for (uint32_t done = 0; done < request->length; count++)
		done += piece_of(nvme, request, done).length;
	return count;
}

/* There is room for all of them. Whether a write is forced. */
static bool
pieces_fill(struct nvme *nvme, const struct disk_request *request, uint32_t index)
{
	bool is_forced = request->kind == DISK_WRITE;

	for (uint32_t done = 0; done < request->length;) {
		const struct disk_request piece = piece_of(nvme, request, done);
		struct io_uring_sqe *sqe = io_uring_get_sqe(&nvme->ring);
		INVARIANT(sqe != NULL);
		nvme_sqe_fill(nvme, sqe, &piece);
		is_forced = is_forced && nvme_sqe_is_forced(nvme, request->device, sqe);
		io_uring_sqe_set_data64(sqe, index | (uint64_t)piece.length << 32);
		done += piece.length;
	}
	return is_forced;
}

static enum tern_err
port_queue(void *disk, const struct disk_request *request)
{
	struct nvme *nvme = disk;
	bool is_forced = false;
	uint32_t pieces = 0;

	INVARIANT(nvme->is_attached && request->device < NVME_DEVICES_MAX);
	INVARIANT(request->offset % DISK_PAGE_BYTES == 0 &&
		  ((uintptr_t)request->bytes & (DISK_PAGE_BYTES - 1)) == 0);
	INVARIANT(request->length != 0 && request->length % DISK_PAGE_BYTES == 0 &&
		  request->length <= NVME_REQUEST_BYTES_MAX);
	const struct nvme_device *device = &nvme->devices[request->device];
	const bool is_write = request->kind == DISK_WRITE;
	const bool is_dead = (device->is_failed && is_write) || request->offset > device->bytes ||
			     request->length > device->bytes - request->offset;

	if (nvme->free_head == NVME_SLOT_NONE)
		return TERN_ERR_QUEUE_FULL;
	const uint32_t index = nvme->free_head;
	struct nvme_slot *slot = &nvme->slots[index];
	if (!is_dead) {
		pieces = pieces_count(nvme, request);
		if (io_uring_sq_space_left(&nvme->ring) < pieces)
			return TERN_ERR_QUEUE_FULL;
		is_forced = pieces_fill(nvme, request, index);
	}
	nvme->free_head = slot->next;
	*slot = (struct nvme_slot){
		.user = request->user,
		.begin_ns = platform_monotonic_ns(),
		.device = request->device,
		.length = request->length,
		.next = NVME_SLOT_NONE,
		.pieces = pieces,
		.kind = request->kind,
		.is_durable = is_forced,
	};
	if (is_dead) {
		slot->next = nvme->dead_head;
		nvme->dead_head = index;
	}
	nvme->stats.in_flight++;
	io_begin(&nvme->io[request->device]);
	nvme->stats.in_flight_high = max_u64(nvme->stats.in_flight_high, nvme->stats.in_flight);
	return TERN_OK;
}

static void
port_submit(void *disk)
{
	struct nvme *nvme = disk;

	/* What the kernel does not take now stays in the ring and is offered again by the next
	 * poll. */
	if (io_uring_sq_ready(&nvme->ring) != 0)
		(void)io_uring_submit(&nvme->ring);
}

/* A piece has ended; true: all of its request have, and @result is that of the whole. */
static bool
piece_end(struct nvme *nvme, uint32_t index, int32_t *result)
{
	struct nvme_slot *slot = &nvme->slots[index];

	INVARIANT(slot->pieces != 0);
	slot->pieces--;
	if (*result >= 0)
		slot->moved += (uint32_t)*result;
	else if (slot->error == 0)
		slot->error = *result;
	*result = slot->error != 0 ? slot->error : (int32_t)slot->moved;
	return slot->pieces == 0;
}

/* Ends a request; @result: bytes moved, or a negative errno. @now_ns: 0 is filled by the first. */
static struct disk_completion
slot_finish(struct nvme *nvme, uint32_t index, int32_t result, uint64_t *now_ns)
{
	struct nvme_slot *slot = &nvme->slots[index];
	const bool is_ok = result >= 0 && (uint32_t)result == slot->length;
	const struct disk_completion completion = {
		.user = slot->user,
		.device = slot->device,
		.kind = slot->kind,
		.err = is_ok ? TERN_OK : TERN_ERR_IO,
		.length = slot->length,
	};

	INVARIANT(nvme->stats.in_flight != 0);
	nvme->stats.in_flight--;
	if (*now_ns == 0)
		*now_ns = platform_monotonic_ns();
	io_end(&nvme->io[slot->device], slot->kind, slot->length, *now_ns - slot->begin_ns, is_ok);
	if (!is_ok) {
		nvme->stats.errors++;
		if (slot->kind == DISK_WRITE)
			nvme->devices[slot->device].is_failed = true;
	} else if (slot->kind == DISK_WRITE) {
		nvme->stats.writes++;
		nvme->stats.write_bytes += slot->length;
		nvme->stats.durable_writes += slot->is_durable;
	} else {
		nvme->stats.reads++;
		nvme->stats.read_bytes += slot->length;
	}
	slot->next = nvme->free_head;
	nvme->free_head = index;
	return completion;
}

/* The kernel says that completions wait to be run. */
static bool
has_events(const struct nvme *nvme)
{
	return (IO_URING_READ_ONCE(*nvme->ring.sq.kflags) &
		(IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static uint32_t
port_poll(void *disk, struct disk_completion *completions, uint32_t max)
{
	struct nvme *nvme = disk;
	struct io_uring_cqe *cqes[CQE_BATCH];
	uint32_t count = 0;
	uint64_t now_ns = 0;

	while (count < max && nvme->dead_head != NVME_SLOT_NONE) {
		const uint32_t index = nvme->dead_head;
		nvme->dead_head = nvme->slots[index].next;
		completions[count++] = slot_finish(nvme, index, -EIO, &now_ns);
	}
	if (nvme->stats.in_flight == 0)
		return count;
	port_submit(nvme);
	/* Completions are run by this thread, and only when the kernel says that some are waiting:
	 * asking each time costs a system call (4 KiB writes took 70 us in place of 52). A polled
	 * ring has to be asked: nobody else looks at the device. */
	if (nvme->is_polled || has_events(nvme))
		(void)io_uring_get_events(&nvme->ring);
	while (count < max) {
		const uint32_t want = min_u32(max - count, CQE_BATCH);
		const uint32_t got = io_uring_peek_batch_cqe(&nvme->ring, cqes, want);
		for (uint32_t i = 0; i < got; i++) {
			const uint64_t data = io_uring_cqe_get_data64(cqes[i]);
			const uint32_t index = (uint32_t)data;
			int32_t result = nvme_cqe_result(nvme, cqes[i], (uint32_t)(data >> 32));
			if (piece_end(nvme, index, &result))
				completions[count++] = slot_finish(nvme, index, result, &now_ns);
		}
		io_uring_cq_advance(&nvme->ring, got);
		if (got < want)
			break;
	}
	return count;
}

/* An eventfd, because a ring with DEFER_TASKRUN that is polled itself was seen to sleep through its
 * completions. It is drained here, off every reply's path: first drained, then looked, so that a
 * completion that comes meanwhile wakes the sleeper. Not when nothing is in flight, which may never
 * be: a request of a device that failed may never return. */
static int
port_wait_fd(void *disk)
{
	struct nvme *nvme = disk;
	uint64_t signals;

	if (!nvme->is_attached || nvme->event_fd < 0)
		return -1;
	(void)!read(nvme->event_fd, &signals, sizeof(signals));
	signals = 1;
	if (has_events(nvme) || io_uring_cq_ready(&nvme->ring) != 0 ||
	    nvme->dead_head != NVME_SLOT_NONE)
		(void)!write(nvme->event_fd, &signals, sizeof(signals));
	return nvme->event_fd;
}

static void
port_facts(void *disk, struct disk_facts *facts)
{
	const struct nvme *nvme = disk;
	*facts = nvme->facts;
}

static void
port_stats(void *disk, struct disk_stats *stats)
{
	const struct nvme *nvme = disk;
	*stats = nvme->stats;
}

static const struct disk_ops nvme_disk_ops = {
	.queue = port_queue,
	.submit = port_submit,
	.poll = port_poll,
	.wait_fd = port_wait_fd,
	.facts = port_facts,
	.stats = port_stats,
};

struct disk_port
nvme_port(struct nvme *nvme)
{
	return (struct disk_port){ .ops = &nvme_disk_ops, .disk = nvme };
}
