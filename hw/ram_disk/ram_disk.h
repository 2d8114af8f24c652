/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage seam (hw/seam/disk_ops.h) with the log area in RAM: for benchmarks of class memory,
 * and for clusters whose other copies are all the durability that is wanted. A write is complete
 * when it is in this process's memory, and gone when the process ends: the facts say so
 * (is_volatile, mode "ram ..."), and after a restart the log area reads as never written.
 *
 * Only the log area. Term, vote and boot number have to survive, so every other page of a device is
 * read and written through a real port, whose promises hold for it. A request lies wholly on one
 * side (INVARIANT).
 *
 * Requests for RAM complete in order, at the next poll, at most RAM_DISK_POLL_BYTES (or one
 * request) a poll. A device whose real port failed a write fails every later write to its RAM as
 * well. wait_fd is that of the real port: what waits for a poll here never signals, so an owner
 * with requests in flight polls, and sleeps only when it has none.
 *
 * Limits: queue_depth requests for RAM in flight. Owner: the thread that owns the real port.
 */
#ifndef TERN_HW_RAM_DISK_RAM_DISK_H
#define TERN_HW_RAM_DISK_RAM_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "hw/seam/disk_ops.h"

#define RAM_DISK_QUEUE_DEPTH_MAX 1024u
#define RAM_DISK_DEVICES_MAX     16u
#define RAM_DISK_POLL_BYTES      (1u << 20)

struct ram_disk; /* fields in ram_disk.c */

struct ram_disk_config {
	uint64_t log_offset, log_bytes; /* of each device; multiples of DISK_PAGE_BYTES */
	uint32_t queue_depth;           /* 1..RAM_DISK_QUEUE_DEPTH_MAX */
};

/* Takes all memory now, zeroed. The inner port stays the caller's and is used by nobody else.
 * @err_text: a sentence for people. CONFIG: sizes; NO_MEMORY. */
TERN_CHECKED enum tern_err
ram_disk_open(const struct ram_disk_config *config, struct disk_port inner,
	      struct ram_disk **ram_disk, char *err_text, size_t err_bytes);
struct disk_port ram_disk_port(struct ram_disk *ram_disk);
/* NULL is allowed. Forgets the log. */
void ram_disk_close(struct ram_disk *ram_disk);

#endif
