/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage seam (hw/seam/disk_ops.h) on io_uring: O_DIRECT reads and writes on block devices or
 * preallocated files, several in flight; a completed write is durable. The only room that includes
 * liburing.h.
 *
 * Where that is asked for and every device is a namespace that takes them, requests go as NVMe
 * commands past the block layer (passthrough.c); the block device stays open and ours all the
 * while.
 *
 * How a write becomes durable: with RWF_DSYNC (a command: with the FUA bit), except on a block
 * device that says its cache is written through (sysfs queue/write_cache). A file always gets
 * RWF_DSYNC, because nobody can tell from its descriptor whether its extents were written before.
 *
 * Order of calls: nvme_open in the start-up thread (opens and locks the devices, maps all memory),
 * then nvme_attach once in the thread that will own the port (io_uring's SINGLE_ISSUER binds the
 * ring to the thread that makes it), then the port's operations, by that thread only. wait_fd,
 * facts and stats too. wait_fd is asked for right before each sleep: it is readable if a completion
 * waits to be taken, or from the next one on, and what was taken before wakes nobody.
 * nvme_close comes when the owner has polled everything home, or has ended.
 *
 * Invariants: a request that was taken gives exactly one completion; requests in flight <=
 * queue_depth; after the first failed write of a device every later write to it fails as well, for
 * what the device still holds is not known.
 */
#ifndef TERN_HW_NVME_URING_NVME_H
#define TERN_HW_NVME_URING_NVME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "hw/nvme_uring/io_count.h"
#include "hw/seam/disk_ops.h"

#define NVME_DEVICES_MAX       24u
#define NVME_BUFFERS_MAX       4u
#define NVME_QUEUE_DEPTH_MAX   1024u
#define NVME_REQUEST_BYTES_MAX (2u * 1024u * 1024u)

struct nvme; /* fields in nvme_internal.h */

enum nvme_durability {
	NVME_DURABILITY_AUTO = 0, /* what the device needs, see above */
	NVME_DURABILITY_DSYNC,    /* RWF_DSYNC on every write */
	NVME_DURABILITY_NONE,     /* never: breaks the seam's promise. Tests only, needs is_dev */
};

/* Completions found by polling the device (IORING_SETUP_IOPOLL): no interrupts, and no event to
 * sleep on: wait_fd is -1. For owners that never sleep. All devices or none. */
enum nvme_iopoll {
	NVME_IOPOLL_OFF = 0,
	NVME_IOPOLL_TRY,    /* if every device reads and writes a page that way */
	NVME_IOPOLL_FORCED, /* without trying. Tests only */
};

/* Requests as NVMe commands on polled rings. All devices or none. */
enum nvme_passthrough {
	NVME_PASSTHROUGH_OFF = 0,
	NVME_PASSTHROUGH_TRY,      /* if every device takes them; otherwise block I/O */
	NVME_PASSTHROUGH_REQUIRED, /* otherwise UNSUPPORTED */
};

struct nvme_config {
	const char *paths[NVME_DEVICES_MAX];
	uint32_t device_count;
	uint32_t queue_depth;     /* requests in flight on all devices; 1..NVME_QUEUE_DEPTH_MAX */
	uint32_t absent_max;      /* so many may be missing, in use by others or unusable; their
				   * requests fail */
	uint32_t spare_count;     /* of device_count, the last ones: any of them may be absent */
	bool is_volatile_allowed; /* take RAM devices and files on RAM file systems */
	bool is_dev;
	enum nvme_durability durability;
	enum nvme_iopoll iopoll;
	enum nvme_passthrough passthrough;
	/* TRY: a page of every device that nothing else uses; it is read, and written back. */
	uint64_t probe_offset;
	/* Memory that most requests lie in (the log ring). Registered with the kernel when
	 * RLIMIT_MEMLOCK allows; otherwise used as it is, and the facts say so. A ring that is
	 * mapped twice is given as one buffer of twice its bytes. */
	struct {
		void *base;
		size_t bytes;
	} buffers[NVME_BUFFERS_MAX];
	uint32_t buffer_count;
};

/* Opens and locks the devices. @err_text: a sentence for people when this fails, naming the device.
 * NOT_FOUND; BUSY: another process uses it, or requests of one that has ended
 * are under way (after two seconds of waiting for all); UNSUPPORTED: no
 * O_DIRECT, or volatile and not allowed, or commands are required and not taken; CONFIG: counts or
 * sizes; IO; NO_MEMORY. */
TERN_CHECKED enum tern_err
nvme_open(const struct nvme_config *config, struct nvme **nvme, char *err_text, size_t err_bytes);
/* Makes the io_uring; the calling thread owns the port from now on. UNSUPPORTED: the kernel
 * refuses, also commands that are required. */
TERN_CHECKED enum tern_err nvme_attach(struct nvme *nvme, char *err_text, size_t err_bytes);
/* Opens and locks one more device while the port is in use, by any thread that is the only one to
 * do so. Its owner may ask for it as @number when it was told so. Errors as nvme_open; CONFIG:
 * there is no place left; IO also: it cannot be flushed. */
TERN_CHECKED enum tern_err nvme_device_add(struct nvme *nvme, const char *path, uint32_t *number,
					   uint64_t *bytes, char *err_text, size_t err_bytes);
struct disk_port nvme_port(struct nvme *nvme);
/* Why completions are not polled although that was to be tried; "": they are, or it was not. After
 * nvme_attach; lent until close. */
const char *nvme_iopoll_why(const struct nvme *nvme);
/* The same of NVMe commands, in a sentence that names the device. */
const char *nvme_passthrough_why(const struct nvme *nvme);
/* Makes durable what the device holds in its cache, before anything is built on what it reads: a
 * write that was under way when the node or the device failed may be there and no further, and
 * later writes are forced through by themselves only. Of a device that nvme_open opened;
 * nvme_device_add does it itself. Any thread, and as long as the device takes. IO. */
TERN_CHECKED enum tern_err nvme_device_flush(const struct nvme *nvme, uint32_t device);
/* Takes the device for absent, as if it could not be opened, before the port is attached. What it
 * is asked on other threads meanwhile goes on. @why: for people, copied. */
void nvme_device_omit(struct nvme *nvme, uint32_t device, const char *why);
/* The device's descriptor, for superblock_io before the port is in use; -1: it is absent. Lent
 * until nvme_close. */
int nvme_device_fd(const struct nvme *nvme, uint32_t device);
/* Bytes of a device; 0: it is absent, and @why says why (lent until close). */
uint64_t nvme_device_bytes(const struct nvme *nvme, uint32_t device, const char **why);
/* Why it is absent, as an error of nvme_open, or IO: it was omitted; OK: it is there. */
enum tern_err nvme_device_err(const struct nvme *nvme, uint32_t device);
/* What the device was asked since the port was attached. Any thread. */
void nvme_device_io(const struct nvme *nvme, uint32_t device, struct io_counts *counts);
/* Whether the kernel would be told to force this write through the device's cache, or need not be:
 * found by preparing the request as the port does. For lossy.h. @disk: of nvme_port. */
bool nvme_write_is_forced(const void *disk, const struct disk_request *write);
/* NULL is allowed. What is in flight gives no completion; the kernel keeps its memory pinned, and
 * its device locked. */
void nvme_close(struct nvme *nvme);

/* Creates a file of @bytes (a multiple of 1 MiB) that is written with zeros from end to end,
 * because a merely allocated one is slow and stalls, and makes file and name durable. BUSY: @path
 * exists already, it is left alone. NOT_FOUND: also below /dev, where only devices are meant.
 * UNSUPPORTED: no O_DIRECT there. IO: also no space; the unfinished file is removed. */
TERN_CHECKED enum tern_err
nvme_create_file(const char *path, uint64_t bytes, char *err_text, size_t err_bytes);
/* Makes a file that nvme_create_file made longer, to @bytes: what is new is reserved and reads as
 * zeros, but is not written. Errors as before; the file stays as long as it was on IO. */
TERN_CHECKED enum tern_err
nvme_reserve_file(const char *path, uint64_t bytes, char *err_text, size_t err_bytes);
/* Writes zeros over the first @bytes of a block device (all of it when 0) and flushes. Errors as
 * nvme_open; CONFIG: no block device, or smaller than @bytes. */
TERN_CHECKED enum tern_err
nvme_prepare_device(const char *path, uint64_t bytes, char *err_text, size_t err_bytes);

/* Opens one device O_DIRECT. @is_writable: also locks it against other processes. The caller closes
 * @fd. Errors as nvme_open. */
TERN_CHECKED enum tern_err nvme_device_open(const char *path, bool is_writable, int *fd,
					    uint64_t *bytes, char *err_text, size_t err_bytes);

#endif
