/* SPDX-License-Identifier: Apache-2.0 */
/* What the ring is told of a request, as block I/O or as an NVMe command, and what it says of it
 * afterwards. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/uio.h>

#include "dataplane/base/invariant.h"
#include "hw/nvme_uring/nvme_internal.h"

bool
nvme_is_dsync(const struct nvme *nvme, const struct nvme_device *device)
{
	switch (nvme->config.durability) {
	case NVME_DURABILITY_AUTO:
		return !(device->is_block && device->is_write_through);
	case NVME_DURABILITY_DSYNC:
		return true;
	case NVME_DURABILITY_NONE:
		return false;
	}
	return true;
}

/* The registered buffer that holds the request's bytes; -1: none does. */
static int
buffer_find(const struct nvme *nvme, const struct disk_request *request)
{
	for (uint32_t i = 0; nvme->is_buffers_registered && i < nvme->config.buffer_count; i++) {
		const uintptr_t base = (uintptr_t)nvme->config.buffers[i].base;
		const uintptr_t at = (uintptr_t)request->bytes;
		if (at >= base && at - base <= nvme->config.buffers[i].bytes &&
		    request->length <= nvme->config.buffers[i].bytes - (at - base))
			return (int)i;
	}
	return -1;
}

static void
block_fill(const struct nvme *nvme, struct io_uring_sqe *sqe, int fd,
	   const struct disk_request *request)
{
	const int buffer = buffer_find(nvme, request);
	const bool is_write = request->kind == DISK_WRITE;

	if (is_write && buffer >= 0)
		io_uring_prep_write_fixed(sqe, fd, request->bytes, request->length, request->offset,
					  buffer);
	else if (is_write)
		io_uring_prep_write(sqe, fd, request->bytes, request->length, request->offset);
	else if (buffer >= 0)
		io_uring_prep_read_fixed(sqe, fd, request->bytes, request->length, request->offset,
					 buffer);
	else
		io_uring_prep_read(sqe, fd, request->bytes, request->length, request->offset);
	if (is_write && nvme_is_dsync(nvme, &nvme->devices[request->device]))
		sqe->rw_flags = RWF_DSYNC;
}

/* Memory is named in the command, registered or not, and pinned each time: not every kernel that
 * takes commands takes them on registered memory. */
static void
command_fill(const struct nvme *nvme, struct io_uring_sqe *sqe, int fd,
	     const struct disk_request *request)
{
	const struct nvme_device *device = &nvme->devices[request->device];
	struct nvme_uring_cmd command;

	nvme_command_make(&command, &device->target, request, nvme_is_dsync(nvme, device));
	memset(sqe, 0, sizeof(union nvme_sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = NVME_URING_CMD_IO;
	memcpy(sqe->cmd, &command, sizeof(command));
}

void
nvme_sqe_fill(const struct nvme *nvme, struct io_uring_sqe *sqe, const struct disk_request *request)
{
	const struct nvme_device *device = &nvme->devices[request->device];

	if (nvme->is_passthrough)
		command_fill(nvme, sqe, device->command_fd, request);
	else
		block_fill(nvme, sqe, device->fd, request);
}

int32_t
nvme_cqe_result(const struct nvme *nvme, const struct io_uring_cqe *cqe, uint32_t length)
{
	return nvme->is_passthrough ? nvme_command_result(cqe->res, length) : cqe->res;
}

bool
nvme_sqe_is_forced(const struct nvme *nvme, uint32_t number, const struct io_uring_sqe *sqe)
{
	const struct nvme_device *device = &nvme->devices[number];
	struct nvme_uring_cmd command;

	if (device->is_block && device->is_write_through)
		return true;
	if (!nvme->is_passthrough)
		return (sqe->rw_flags & RWF_DSYNC) != 0;
	memcpy(&command, sqe->cmd, sizeof(command));
	return nvme_command_is_forced(&command);
}

bool
nvme_write_is_forced(const void *disk, const struct disk_request *request)
{
	const struct nvme *nvme = disk;
	union nvme_sqe whole = { 0 };

	INVARIANT(request->kind == DISK_WRITE && request->device < NVME_DEVICES_MAX);
	/* It will fail, and nobody may keep it. */
	if (nvme->devices[request->device].is_absent)
		return true;
	nvme_sqe_fill(nvme, &whole.sqe, request);
	return nvme_sqe_is_forced(nvme, request->device, &whole.sqe);
}
