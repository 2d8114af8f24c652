/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage seam: asynchronous, durable page writes and reads on one or more devices. Implemented
 * by hw/nvme_uring, by hw/ram_disk on top of it, and by the simulator.
 *
 * Contract: a request that was taken (TERN_OK) gives exactly one completion; one that was refused
 * gives none. A completed write is durable: it survives a power cut; a port of which that is not
 * true for the log area says so (facts.is_volatile) and is only used where the operator asked for
 * it. So is what reads find of earlier writes: whoever opens the devices flushes their caches
 * first, for a write that never completed may be in one. Requests complete in any order. Buffers
 * are borrowed until the completion. A failed write is never retried by the adapter. Thread: one
 * owner.
 */
#ifndef TERN_HW_SEAM_DISK_OPS_H
#define TERN_HW_SEAM_DISK_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"

#define DISK_PAGE_BYTES 4096u

enum disk_request_kind { DISK_WRITE = 1, DISK_READ };

struct disk_request {
	enum disk_request_kind kind;
	uint32_t device; /* 0.. */
	uint64_t offset; /* bytes, a multiple of DISK_PAGE_BYTES */
	uint8_t *bytes;  /* DISK_PAGE_BYTES aligned */
	uint32_t length; /* a multiple of DISK_PAGE_BYTES, at most 2 MiB */
	uint64_t user;   /* returned in the completion */
};

struct disk_completion {
	uint64_t user;
	uint32_t device;
	enum disk_request_kind kind;
	enum tern_err err; /* TERN_OK, or TERN_ERR_IO: this device failed this request */
	uint32_t length;
};

struct disk_facts {
	uint32_t device_count;
	uint64_t device_bytes;  /* of the smallest that is there, no spare; 0: none is */
	bool is_direct;         /* O_DIRECT is set on the descriptor (read back by F_GETFL) */
	bool is_volatile_cache; /* the device has a volatile write cache (or it is unknown) */
	bool is_volatile;       /* the log area is RAM: gone with the process */
	bool is_dsync;          /* writes carry RWF_DSYNC, or as NVMe commands the FUA bit */
	bool is_registered;     /* buffers are registered with io_uring */
	bool is_polled;         /* completions are found by polling the device; wait_fd is -1 */
	bool is_passthrough;    /* requests go as NVMe commands, past the block layer */
	char mode[64];          /* what status shows: "io_uring O_DIRECT RWF_DSYNC" */
};

struct disk_stats {
	uint64_t writes, write_bytes, reads, read_bytes, errors, in_flight, in_flight_high;
	uint64_t durable_writes; /* writes that were flushed or forced through */
};

struct disk_ops {
	/* Queues a request. QUEUE_FULL: nothing taken, poll first. */
	enum tern_err (*queue)(void *disk, const struct disk_request *request);
	/* Hands queued requests to the device. Never blocks. */
	void (*submit)(void *disk);
	/* Collects up to @max completions. Never blocks. */
	uint32_t (*poll)(void *disk, struct disk_completion *completions, uint32_t max);
	/* A descriptor that is readable if a completion waits, or becomes so with the next one;
	 * asked for before each sleep. -1: poll only. */
	int (*wait_fd)(void *disk);
	void (*facts)(void *disk, struct disk_facts *facts);
	void (*stats)(void *disk, struct disk_stats *stats);
};

struct disk_port {
	const struct disk_ops *ops;
	void *disk;
};

#endif
