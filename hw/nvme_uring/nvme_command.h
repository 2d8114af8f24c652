/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes as NVMe commands: built from a request, and judged by what came back. Pure. The
 * caller has checked that the request lies within the namespace; nobody else will but the device.
 *
 * Thread: any.
 */
#ifndef TERN_HW_NVME_URING_NVME_COMMAND_H
#define TERN_HW_NVME_URING_NVME_COMMAND_H

#include <linux/nvme_ioctl.h>
#include <stdbool.h>
#include <stdint.h>

#include "hw/seam/disk_ops.h"

/* As long as the block layer gives a request: then the driver aborts it, and the next time resets
 * the controller. */
#define NVME_COMMAND_MS_MAX 30000u

/* The namespace that commands go to. */
struct nvme_target {
	uint32_t name_space; /* its number at the controller */
	uint32_t lba_bytes;  /* a divisor of DISK_PAGE_BYTES */
};

/* @is_forced: a write goes through the volatile cache (FUA). At most 65536 blocks (INVARIANT). */
void nvme_command_make(struct nvme_uring_cmd *command, const struct nvme_target *target,
		       const struct disk_request *request, bool is_forced);
bool nvme_command_is_forced(const struct nvme_uring_cmd *command);

/* @result: of the completion: 0, the device's status, or a negative errno of the kernel's. Returns
 * @length, or a negative errno: -EIO: the device could not (its medium); -ETIMEDOUT: it took too
 * long; -ENODEV: it is gone, or its controller was reset; -EINVAL: it does not know such a
 * command; -ENOSPC: it is smaller; -EROFS: it is not to be written. */
int32_t nvme_command_result(int32_t result, uint32_t length);

#endif
