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

#include "dataplane/base/invariant.h"
#include "hw/nvme_uring/nvme_internal.h"
#include "hw/platform/platform.h"

#define RING_TRIES   100u
#define RING_WAIT_NS 50000000
#define PROBE_NS     2000000000ull

/* 0 or a negative errno. An ordinary user's locked memory is counted over all processes, and the
 * kernel gives back that of a ring that was closed a moment ago only after a while: wait for it. */
static int
ring_make(struct nvme *nvme, uint32_t depth, bool is_polled)
{
	const struct timespec pause = { .tv_nsec = RING_WAIT_NS };
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_TASKRUN_FLAG | (is_polled ? IORING_SETUP_IOPOLL : 0),
	};
	int result = -ENOMEM;

	for (uint32_t i = 0; i < RING_TRIES && result == -ENOMEM; i++) {
		if (i != 0)
			(void)nanosleep(&pause, NULL);
		result = io_uring_queue_init_params(depth, &nvme->ring, &params);
		if (result == -EINVAL && !nvme->is_ring_plain &&
		    !is_polled) { /* a kernel before 6.1 */
			nvme->is_ring_plain = true;
			params = (struct io_uring_params){ 0 };
			result = io_uring_queue_init_params(depth, &nvme->ring, &params);
		}
	}
	return result;
}

/* ---- a polled ring ---- */

/* One request, polled to its end. Bytes moved, a negative errno, or -ETIME: it never ended. */
static int32_t
probe_one(struct nvme *nvme, uint32_t number, enum disk_request_kind kind, uint8_t *page)
{
	const uint64_t until_ns = platform_monotonic_ns() + PROBE_NS;
	const struct disk_request request = {
		.kind = kind,
		.device = number,
		.offset = nvme->config.probe_offset,
		.bytes = page,
		.length = DISK_PAGE_BYTES,
	};
	struct io_uring_sqe *sqe = io_uring_get_sqe(&nvme->ring);
	struct io_uring_cqe *cqe = NULL;

	INVARIANT(sqe != NULL);
	nvme_sqe_fill(nvme, sqe, &request);
	if (io_uring_submit(&nvme->ring) < 0)
		return -EIO;
	while (io_uring_peek_batch_cqe(&nvme->ring, &cqe, 1) == 0) {
		if (platform_monotonic_ns() > until_ns)
			return -ETIME;
		(void)io_uring_get_events(&nvme->ring);
	}
	const int32_t result = cqe->res;
	io_uring_cq_advance(&nvme->ring, 1);
	return result;
}

/* Every device reads and writes a page when it is polled. What is written is what was read there. A
 * device may take the one and refuse the other: a file of ext4 on a disk without queues to poll
 * refuses the read and takes the write, at half the speed. */
static bool
probe_all(struct nvme *nvme)
{
	uint8_t *page = platform_arena_map(DISK_PAGE_BYTES);
	int32_t result = page == NULL ? -ENOMEM : (int32_t)DISK_PAGE_BYTES;
	uint32_t number = 0;

	for (; number < nvme->config.device_count && result == (int32_t)DISK_PAGE_BYTES; number++) {
		if (nvme->devices[number].is_absent)
			continue;
		result = probe_one(nvme, number, DISK_READ, page);
		if (result == (int32_t)DISK_PAGE_BYTES)
			result = probe_one(nvme, number, DISK_WRITE, page);
	}
	/* What never ended may still write there. */
	if (page != NULL && result != -ETIME)
		platform_arena_unmap(page, DISK_PAGE_BYTES);
	if (result == (int32_t)DISK_PAGE_BYTES)
		return true;
	char reason[96] = "";
	const char *text = result >= 0 ? "short" : strerror_r(-result, reason, sizeof(reason));
	snprintf(nvme->iopoll_why, sizeof(nvme->iopoll_why),
		 "device %u does not do it (%s): an NVMe device needs queues for it "
		 "(nvme.poll_queues), and Tern the device itself or a partition of it",
		 number == 0 ? 0 : number - 1, text);
	return false;
}

/* True: the ring is there, polled. False: it is not there, and why. */
static bool
polled_ring_make(struct nvme *nvme, uint32_t depth)
{
	if (nvme->config.iopoll == NVME_IOPOLL_OFF)
		return false;
	const int result = ring_make(nvme, depth, true);
	if (result != 0) {
		snprintf(nvme->iopoll_why, sizeof(nvme->iopoll_why),
			 "the kernel makes no such ring (errno %d)", -result);
		return false;
	}
	if (nvme->config.iopoll == NVME_IOPOLL_FORCED || probe_all(nvme))
		return true;
	io_uring_queue_exit(&nvme->ring);
	return false;
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
	int fds[NVME_DEVICES_MAX];
	const uint32_t depth = nvme->config.queue_depth;

	INVARIANT(!nvme->is_attached);
	nvme->is_polled = polled_ring_make(nvme, depth);
	const int result = nvme->is_polled ? 0 : ring_make(nvme, depth, false);
	if (result != 0) {
		nvme_explain(err_text, err_bytes, "the kernel refuses it", "io_uring", -result);
		return TERN_ERR_UNSUPPORTED;
	}
	const enum tern_err err = event_make(nvme, err_text, err_bytes);
	if (err != TERN_OK)
		return err;
	for (uint32_t i = 0; i < nvme->config.device_count; i++)
		fds[i] = nvme->devices[i].fd;
	nvme->is_files_registered =
	    io_uring_register_files(&nvme->ring, fds, nvme->config.device_count) == 0;
	for (uint32_t i = 0; i < nvme->config.buffer_count; i++)
		buffers[i] = (struct iovec){ .iov_base = nvme->config.buffers[i].base,
					     .iov_len = nvme->config.buffers[i].bytes };
	/* Refused beyond RLIMIT_MEMLOCK; requests then name their memory themselves. */
	nvme->is_buffers_registered =
	    nvme->config.buffer_count != 0 &&
	    io_uring_register_buffers(&nvme->ring, buffers, nvme->config.buffer_count) == 0;
	nvme->is_attached = true;
	nvme_facts_make(nvme);
	return TERN_OK;
}
