/* SPDX-License-Identifier: Apache-2.0 */
#include "hw/nvme_uring/nvme_command.h"

#include <errno.h>

#include "dataplane/base/invariant.h"

#define OPCODE_WRITE 0x01u
#define OPCODE_READ  0x02u
#define FUA          (1u << 30) /* of command dword 12 */
#define BLOCKS_MAX   0x10000u   /* told less one, in 16 bits */

/* Status: type in bits 8 to 10, code in the low eight; above them, whether it is worth another try
 * and that more is known, which nobody here asks. */
#define STATUS_BITS     0x7ff
#define STATUS_TYPE(s)  ((s) >> 8)
#define TYPE_PATH       3 /* the way to the device, not the device */
#define INVALID_OPCODE  0x001
#define INVALID_FIELD   0x002
#define ABORTED         0x007 /* by request: the driver's, when it took too long */
#define QUEUE_DELETED   0x008 /* a reset */
#define NO_NAMESPACE    0x00b
#define WRITE_PROTECTED 0x020
#define OUT_OF_RANGE    0x080
#define FULL            0x081

void
nvme_command_make(struct nvme_uring_cmd *command, const struct nvme_target *target,
		  const struct disk_request *request, bool is_forced)
{
	INVARIANT(target->lba_bytes != 0 && DISK_PAGE_BYTES % target->lba_bytes == 0);
	INVARIANT(request->length != 0 && request->length % target->lba_bytes == 0);
	INVARIANT(request->offset % target->lba_bytes == 0);
	const uint32_t blocks = request->length / target->lba_bytes;
	const uint64_t first = request->offset / target->lba_bytes;
	const bool is_write = request->kind == DISK_WRITE;

	INVARIANT(blocks <= BLOCKS_MAX);
	*command = (struct nvme_uring_cmd){
		.opcode = is_write ? OPCODE_WRITE : OPCODE_READ,
		.nsid = target->name_space,
		.addr = (uint64_t)(uintptr_t)request->bytes,
		.data_len = request->length,
		.cdw10 = (uint32_t)first,
		.cdw11 = (uint32_t)(first >> 32),
		.cdw12 = (blocks - 1) | (is_write && is_forced ? FUA : 0),
		.timeout_ms = NVME_COMMAND_MS_MAX,
	};
}

bool
nvme_command_is_forced(const struct nvme_uring_cmd *command)
{
	return command->opcode == OPCODE_WRITE && (command->cdw12 & FUA) != 0;
}

int32_t
nvme_command_result(int32_t result, uint32_t length)
{
	const int32_t status = result & STATUS_BITS;

	if (result == 0)
		return (int32_t)length;
	if (result == -EINTR) /* the driver ended it, in a reset */
		return -ENODEV;
	if (result < 0)
		return result;
	if (STATUS_TYPE(status) == TYPE_PATH)
		return -ENODEV;
	switch (status) {
	case INVALID_OPCODE:
	case INVALID_FIELD:
		return -EINVAL;
	case ABORTED:
		return -ETIMEDOUT;
	case QUEUE_DELETED:
	case NO_NAMESPACE:
		return -ENODEV;
	case WRITE_PROTECTED:
		return -EROFS;
	case OUT_OF_RANGE:
	case FULL:
		return -ENOSPC;
	default:
		return -EIO;
	}
}
