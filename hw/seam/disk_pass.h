/* SPDX-License-Identifier: Apache-2.0 */
/* A disk port that stands in front of another one, and what it leaves to that: its structure begins
 * with a struct disk_pass. */
#ifndef TERN_SEAM_DISK_PASS_H
#define TERN_SEAM_DISK_PASS_H

#include "hw/seam/disk_ops.h"

struct disk_pass {
	struct disk_port inner;
};

static inline enum tern_err
disk_pass_queue(const struct disk_pass *pass, const struct disk_request *request)
{
	return pass->inner.ops->queue(pass->inner.disk, request);
}

static inline uint32_t
disk_pass_poll(const struct disk_pass *pass, struct disk_completion *completions, uint32_t max)
{
	return pass->inner.ops->poll(pass->inner.disk, completions, max);
}

/* Of struct disk_ops, as they are. */

static inline void
disk_pass_submit(void *disk)
{
	const struct disk_pass *pass = disk;

	pass->inner.ops->submit(pass->inner.disk);
}

static inline int
disk_pass_wait_fd(void *disk)
{
	const struct disk_pass *pass = disk;

	return pass->inner.ops->wait_fd(pass->inner.disk);
}

static inline void
disk_pass_facts(void *disk, struct disk_facts *facts)
{
	const struct disk_pass *pass = disk;

	pass->inner.ops->facts(pass->inner.disk, facts);
}

static inline void
disk_pass_stats(void *disk, struct disk_stats *stats)
{
	const struct disk_pass *pass = disk;

	pass->inner.ops->stats(pass->inner.disk, stats);
}

#endif
