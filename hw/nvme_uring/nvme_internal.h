/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of the adapter; only files of this room include this. */
#ifndef TERN_HW_NVME_URING_NVME_INTERNAL_H
#define TERN_HW_NVME_URING_NVME_INTERNAL_H

#include <liburing.h>

#include "hw/device_facts/device_facts.h"
#include "hw/nvme_uring/io_count.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/nvme_command.h"

#define NVME_SLOT_NONE       UINT32_MAX
#define NVME_PIECE_BYTES_MIN (64u * 1024u) /* what takes less at once is not polled */
#define NVME_RING_MAX        4096u         /* of a polled one, in pieces */
#define NVME_CLAIM_NS        2000000000ull /* so long others have to let go of their devices */
#define NVME_DEVICE_CLOSED   ((struct nvme_device){ .fd = -1, .command_fd = -1 })

/* What is known of a device at start-up. */
struct nvme_device {
	int fd;                    /* holds the lock, as long as a request names it, too */
	int command_fd;            /* takes NVMe commands; -1: not open */
	struct nvme_target target; /* of these */
	uint64_t bytes;
	bool is_direct;        /* read back from the descriptor */
	bool is_block;         /* a block device, not a file */
	bool is_volatile;      /* lives in RAM: nothing survives a power cut */
	bool is_write_through; /* a block device that says it has no volatile cache */
	bool can_poll;         /* it says so, and of it piece_bytes are known */
	bool is_failed;        /* a write failed: what the device holds is not known */
	bool is_absent;
	enum tern_err absent_err; /* why it is absent, and in words */
	char why[256];
	/* What it takes without the kernel having to cut it, wherever the memory lies; no piece
	 * crosses a multiple of chunk_bytes, counted from start_bytes before the device. 0: not
	 * known; none. */
	uint32_t piece_bytes, chunk_bytes;
	uint64_t start_bytes;
};

/* A request in flight. */
struct nvme_slot {
	uint64_t user;
	uint64_t begin_ns;
	uint32_t device, length, next;
	uint32_t pieces, moved; /* not yet ended; bytes of those that have */
	int32_t error;          /* of a piece */
	enum disk_request_kind kind;
	bool is_durable;
};

struct nvme {
	struct nvme_config config;
	size_t arena_bytes; /* of this structure and its slots */
	struct nvme_device devices[NVME_DEVICES_MAX];
	uint32_t added_count; /* behind config.device_count; of the thread that adds */
	struct io_uring ring;
	bool is_polled;      /* the ring: without events */
	bool is_passthrough; /* the ring: of commands */
	char iopoll_why[256], passthrough_why[DEVICE_WHY_MAX];
	bool is_attached, is_ring_plain, is_buffers_registered;
	int event_fd;
	uint32_t free_head; /* slots that are free */
	uint32_t dead_head; /* slots whose device had failed before they were taken */
	struct disk_stats stats;
	struct io_cell io[NVME_DEVICES_MAX];
	struct disk_facts facts; /* once it is attached */
	struct nvme_slot slots[];
};

/* A place in a ring of commands, whose other half is theirs. */
union nvme_sqe {
	struct io_uring_sqe sqe;
	uint8_t bytes[2 * sizeof(struct io_uring_sqe)];
};

/* Opens and describes one device for reading and writing, and makes it ours; waits until @until_ns
 * for others to let go. It is ours until the descriptor is closed and no request is under way that
 * names it: a request holds the descriptor that it names, whereas what is registered with the ring
 * would be held for all devices until the last request of any of them has ended. So nothing is
 * registered, and nobody writes here before what a killed process wrote has come to its end
 * (docs/decisions/lock-ends-with-the-requests.md). */
TERN_CHECKED enum tern_err
nvme_device_probe(const char *path, uint64_t until_ns, struct nvme_device *device, char *err_text,
		  size_t err_bytes);
/* How many of the @length bytes at @offset are a piece. */
uint32_t nvme_piece_bytes(const struct nvme_device *device, uint64_t offset, uint32_t length);
/* Of the facts: when something of them changed. */
void nvme_facts_make(struct nvme *nvme);
/* Whether writes of the device are forced through its cache. */
bool nvme_is_dsync(const struct nvme *nvme, const struct nvme_device *device);
/* Tells the ring what a request is. @sqe: of a ring of commands, union nvme_sqe. */
void nvme_sqe_fill(const struct nvme *nvme, struct io_uring_sqe *sqe,
		   const struct disk_request *request);
/* Judged by what the kernel is told of this very write, not by what was meant. */
bool nvme_sqe_is_forced(const struct nvme *nvme, uint32_t device, const struct io_uring_sqe *sqe);
/* Of a completion: bytes moved, or a negative errno. */
int32_t nvme_cqe_result(const struct nvme *nvme, const struct io_uring_cqe *cqe, uint32_t length);

/* passthrough.c. Opens what takes commands of every device, where that is asked for. UNSUPPORTED:
 * it is required, and @err_text says why not. */
TERN_CHECKED enum tern_err
nvme_passthrough_open(struct nvme *nvme, char *err_text, size_t err_bytes);
/* Whether the ring may be made for commands. */
bool nvme_passthrough_is_open(const struct nvme *nvme);
/* They are not used: @what is in the way, of a device or of all (NVME_DEVICES_MAX). UNSUPPORTED
 * where they are required. */
TERN_CHECKED enum tern_err
nvme_passthrough_give_up(struct nvme *nvme, uint32_t device, const char *what, char *err_text,
			 size_t err_bytes);
/* A sentence for people: what, the device, and errno's text when @error is not 0. */
void nvme_explain(char *err_text, size_t err_bytes, const char *what, const char *path, int error);

#endif
