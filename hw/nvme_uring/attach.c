/* SPDX-License-Identifier: Apache-2.0 */
/* Making the ring, polled where that is asked for and works. */
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

#define RING_TRIES   100u
#define RING_WAIT_NS 50000000
#define PROBE_NS     2000000000ull

/* 0 or a negative errno. An ordinary user's locked memory is counted over all processes, and the
 * kernel gives back that of a ring that was closed a moment ago only after a while: wait for it. */
static int
ring_make(struct nvme *nvme, uint32_t depth, uint32_t more_flags)
{
	const struct timespec pause = { .tv_nsec = RING_WAIT_NS };
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_TASKRUN_FLAG | more_flags,
	};
	int result = -ENOMEM;

	for (uint32_t i = 0; i < RING_TRIES && result == -ENOMEM; i++) {
		if (i != 0)
			(void)nanosleep(&pause, NULL);
		result = io_uring_queue_init_params(depth, &nvme->ring, &params);
		if (result == -EINVAL && !nvme->is_ring_plain &&
		    more_flags == 0) { /* a kernel before 6.1 */
			nvme->is_ring_plain = true;
			params = (struct io_uring_params){ 0 };
			result = io_uring_queue_init_params(depth, &nvme->ring, &params);
		}
	}
	return result;
}

/* ---- a polled ring ---- */

/* One request, polled to its end. 0, a negative errno, or -ETIME: it never ended. */
static int32_t
probe_one(struct nvme *nvme, const struct disk_request *request)
{
	const uint64_t until_ns = platform_monotonic_ns() + PROBE_NS;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&nvme->ring);
	struct io_uring_cqe *cqe = NULL;

	INVARIANT(sqe != NULL);
	nvme_sqe_fill(nvme, sqe, request);
	const int submitted = io_uring_submit(&nvme->ring);
	if (submitted < 0)
		return submitted;
	while (io_uring_peek_batch_cqe(&nvme->ring, &cqe, 1) == 0) {
		if (platform_monotonic_ns() > until_ns)
			return -ETIME;
		(void)io_uring_get_events(&nvme->ring);
	}
	const int32_t result = nvme_cqe_result(nvme, cqe, request->length);
	io_uring_cq_advance(&nvme->ring, 1);
	return result < 0 ? result : (uint32_t)result == request->length ? 0 : -ENODATA;
}

/* What a command reads at the beginning of a device is what the block device has there: its
 * superblock, which is no other device's. -EXDEV: it is not. */
static int32_t
probe_same(struct nvme *nvme, uint32_t number, uint8_t *bytes)
{
	const struct disk_request first = {
		.kind = DISK_READ, .device = number, .bytes = bytes, .length = DISK_PAGE_BYTES
	};
	uint8_t *other = bytes + DISK_PAGE_BYTES;
	const int32_t result = probe_one(nvme, &first);

	if (result != 0)
		return result;
	if (pread(nvme->devices[number].fd, other, DISK_PAGE_BYTES, 0) != (ssize_t)DISK_PAGE_BYTES)
		return -EIO;
	return memcmp(bytes, other, DISK_PAGE_BYTES) == 0 ? 0 : -EXDEV;
}

/* A device reads and writes a page when it is polled, and reads what is the longest request, in
 * pieces. What is written is what was read there. A device may take the one and refuse the other: a
 * file of ext4 on a disk without queues to poll refuses the read and takes the write, at half the
 * speed. And one that has no such queues may take both: Linux 6.1 then quietly ends them by
 * interrupts, so what the device says of itself counts first. */
static int32_t
probe_device(struct nvme *nvme, uint32_t number, uint8_t *bytes)
{
	const struct nvme_device *device = &nvme->devices[number];
	const uint32_t most = (uint32_t)min_u64(NVME_REQUEST_BYTES_MAX, device->bytes);
	struct disk_request request = { .kind = DISK_READ, .device = number, .bytes = bytes };
	int32_t result = device->can_poll ? 0 : -EOPNOTSUPP;

	if (result == 0 && nvme->is_passthrough)
		result = probe_same(nvme, number, bytes);
	for (uint32_t done = 0; most - done >= DISK_PAGE_BYTES && result == 0;) {
		request.offset = done;
		request.length =
		    nvme_piece_bytes(device, done, most - done - most % DISK_PAGE_BYTES);
		result = probe_one(nvme, &request);
		done += request.length;
	}
	request.offset = nvme->config.probe_offset;
	request.length = DISK_PAGE_BYTES;
	if (result == 0)
		result = probe_one(nvme, &request);
	request.kind = DISK_WRITE;
	return result == 0 ? probe_one(nvme, &request) : result;
}

/* Whether all devices are used as the ring is made; false: @number is not, and @why. */
static bool
probe_all(struct nvme *nvme, uint32_t *number, char *why, size_t why_bytes)
{
	uint8_t *bytes = platform_arena_map(NVME_REQUEST_BYTES_MAX);
	int32_t result = bytes == NULL ? -ENOMEM : 0;

	for (uint32_t i = 0; i < nvme->config.device_count && result == 0; i++) {
		*number = i;
		if (!nvme->devices[i].is_absent)
			result = probe_device(nvme, i, bytes);
		/* Whose medium fails takes commands; what becomes of the device is the pool's to
		 * say. */
		if (nvme->is_passthrough && result == -EIO)
			result = 0;
	}
	/* What never ended may still write there. */
	if (bytes != NULL && result != -ETIME)
		platform_arena_unmap(bytes, NVME_REQUEST_BYTES_MAX);
	char reason[96] = "";
	if (result != 0)
		snprintf(why, why_bytes, "%s", strerror_r(-result, reason, sizeof(reason)));
	return result == 0;
}

/* So many pieces may wait to be handed over: all requests, each as long as it may be, cut at its
 * device's limit and in every chunk that it touches. */
static uint32_t
polled_ring_entries(const struct nvme *nvme, uint32_t depth)
{
	const uint32_t longest = NVME_REQUEST_BYTES_MAX;
	uint32_t pieces = 1;

	for (uint32_t i = 0; i < nvme->config.device_count; i++) {
		const struct nvme_device *device = &nvme->devices[i];
		const uint32_t by_limit =
		    device->piece_bytes == 0 ? 1 : longest / device->piece_bytes + 1;
		const uint32_t by_chunk =
		    device->chunk_bytes == 0 ? 0 : longest / device->chunk_bytes + 2;
		pieces = max_u32(pieces, by_limit + by_chunk);
	}
	return min_u32(depth * pieces, NVME_RING_MAX);
}

/* True: the ring is there, polled. False: it is not there, and why. */
static bool
polled_ring_make(struct nvme *nvme, uint32_t depth)
{
	char why[96];
	uint32_t number = 0;

	if (nvme->config.iopoll == NVME_IOPOLL_OFF)
		return false;
	const int result = ring_make(nvme, polled_ring_entries(nvme, depth), IORING_SETUP_IOPOLL);
	if (result != 0) {
		snprintf(nvme->iopoll_why, sizeof(nvme->iopoll_why),
			 "the kernel makes no such ring (errno %d)", -result);
		return false;
	}
	if (nvme->config.iopoll == NVME_IOPOLL_FORCED || probe_all(nvme, &number, why, sizeof(why)))
		return true;
	snprintf(nvme->iopoll_why, sizeof(nvme->iopoll_why),
		 "device %u does not do it (%s): an NVMe device needs queues for it "
		 "(nvme.poll_queues), and Tern the device itself or a partition of it",
		 number, why);
	io_uring_queue_exit(&nvme->ring);
	return false;
}

/* A command names the character device, and what keeps others away is the block device: the ring
 * holds that until all its commands have ended. 0 or a negative errno. */
static int
locks_hold(struct nvme *nvme)
{
	int fds[NVME_DEVICES_MAX];

	for (uint32_t i = 0; i < nvme->config.device_count; i++)
		fds[i] = nvme->devices[i].fd;
	return io_uring_register_files(&nvme->ring, fds, nvme->config.device_count);
}

/* The same of a ring of commands, whose places are twice as long. UNSUPPORTED: it is required. */
static enum tern_err
command_ring_make(struct nvme *nvme, uint32_t depth, char *err_text, size_t err_bytes)
{
	char why[96], what[256];
	uint32_t number = NVME_DEVICES_MAX;

	if (!nvme_passthrough_is_open(nvme))
		return TERN_OK;
	int result = ring_make(nvme, polled_ring_entries(nvme, depth),
			       IORING_SETUP_IOPOLL | IORING_SETUP_SQE128 | IORING_SETUP_CQE32);
	if (result == 0) {
		result = locks_hold(nvme);
		if (result != 0)
			io_uring_queue_exit(&nvme->ring);
	}
	if (result != 0) {
		snprintf(what, sizeof(what), "the kernel makes no ring of NVMe commands (errno %d)",
			 -result);
		return nvme_passthrough_give_up(nvme, number, what, err_text, err_bytes);
	}
	nvme->is_passthrough = nvme->is_polled = true;
	if (probe_all(nvme, &number, why, sizeof(why)))
		return TERN_OK;
	nvme->is_passthrough = nvme->is_polled = false;
	io_uring_queue_exit(&nvme->ring);
	snprintf(what, sizeof(what),
		 "does not take NVMe commands (%s): that needs Linux 6.1, and root (CAP_SYS_ADMIN) "
		 "or, from 6.2 on, the right to write to its character device",
		 why);
	return nvme_passthrough_give_up(nvme, number, what, err_text, err_bytes);
}

const char *
nvme_iopoll_why(const struct nvme *nvme)
{
	return nvme->iopoll_why;
}

/* ---- attach ---- */

/* A polled ring has no event: nothing tells of a completion but the poll itself. */
static enum tern_err
event_make(struct nvme *nvme, char *err_text, size_t err_bytes)
{
	nvme->event_fd = -1;
	if (nvme->is_polled)
		return TERN_OK;
	nvme->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (nvme->event_fd >= 0 && io_uring_register_eventfd(&nvme->ring, nvme->event_fd) == 0)
		return TERN_OK;
	nvme_explain(err_text, err_bytes, "no eventfd", "io_uring", errno);
	io_uring_queue_exit(&nvme->ring);
	if (nvme->event_fd >= 0)
		close(nvme->event_fd);
	return TERN_ERR_UNSUPPORTED;
}

enum tern_err
nvme_attach(struct nvme *nvme, char *err_text, size_t err_bytes)
{
	struct iovec buffers[NVME_BUFFERS_MAX];
	const uint32_t depth = nvme->config.queue_depth;

	INVARIANT(!nvme->is_attached);
	enum tern_err err = command_ring_make(nvme, depth, err_text, err_bytes);
	if (err != TERN_OK)
		return err;
	nvme->is_polled = nvme->is_passthrough || polled_ring_make(nvme, depth);
	const int result = nvme->is_polled ? 0 : ring_make(nvme, depth, 0);
	if (result != 0) {
		nvme_explain(err_text, err_bytes, "the kernel refuses it", "io_uring", -result);
		return TERN_ERR_UNSUPPORTED;
	}
	err = event_make(nvme, err_text, err_bytes);
	if (err != TERN_OK)
		return err;
	for (uint32_t i = 0; i < nvme->config.buffer_count; i++)
		buffers[i] = (struct iovec){ .iov_base = nvme->config.buffers[i].base,
					     .iov_len = nvme->config.buffers[i].bytes };
	/* Refused beyond RLIMIT_MEMLOCK; requests then name their memory themselves. Commands do so
	 * always. */
	nvme->is_buffers_registered =
	    nvme->config.buffer_count != 0 && !nvme->is_passthrough &&
	    io_uring_register_buffers(&nvme->ring, buffers, nvme->config.buffer_count) == 0;
	nvme->is_attached = true;
	nvme_facts_make(nvme);
	return TERN_OK;
}
