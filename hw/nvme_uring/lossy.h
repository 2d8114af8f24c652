/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that betrays, for tests with real processes: a disk_ops port around another one that
 * keeps writes in this process's memory, so that SIGKILL loses them as a power cut would. Reads see
 * what is held. Used only when the node file says `dev = true`.
 *
 * LOSE_UNFLUSHED: a device with a volatile cache. A write that is forced through (is_forced, asked
 *	for each) passes; others complete at once and are held.
 * LYING: every write completes at once, is counted as durable, and is held.
 * What is held is written through after hold_ns, or sooner when the memory is full.
 */
#ifndef TERN_HW_NVME_URING_LOSSY_H
#define TERN_HW_NVME_URING_LOSSY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "hw/seam/clock_ops.h"
#include "hw/seam/disk_ops.h"

enum lossy_mode { LOSSY_LOSE_UNFLUSHED = 1, LOSSY_LYING };

struct lossy_config {
	enum lossy_mode mode;
	uint64_t hold_ns;    /* UINT64_MAX: until the memory is full */
	uint64_t held_bytes; /* memory for held writes; at least 4 MiB */
	struct clock_port clock;
	/* What the inner port tells the device of @write; nvme_write_is_forced. */
	bool (*is_forced)(const void *inner_disk, const struct disk_request *write);
};

struct lossy; /* fields in lossy.c */

/* NO_MEMORY, CONFIG. The inner port stays the caller's and is used by nobody else. */
TERN_CHECKED enum tern_err
lossy_open(const struct lossy_config *config, struct disk_port inner, struct lossy **lossy);
struct disk_port lossy_port(struct lossy *lossy);
/* Forgets what is held. */
void lossy_close(struct lossy *lossy);

#endif
