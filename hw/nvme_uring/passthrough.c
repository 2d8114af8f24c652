/* SPDX-License-Identifier: Apache-2.0 */
/* The character devices that take NVMe commands: found, opened, and checked to be the namespaces
 * that the block devices are. Start-up only. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hw/nvme_uring/nvme_internal.h"

bool
nvme_passthrough_is_open(const struct nvme *nvme)
{
	bool is_open = false;

	for (uint32_t i = 0; i < nvme->config.device_count; i++)
		is_open = is_open || nvme->devices[i].command_fd >= 0;
	return is_open;
}

const char *
nvme_passthrough_why(const struct nvme *nvme)
{
	return nvme->passthrough_why;
}

enum tern_err
nvme_passthrough_give_up(struct nvme *nvme, uint32_t device, const char *what, char *err_text,
			 size_t err_bytes)
{
	const bool is_of_one = device < NVME_DEVICES_MAX;

	for (uint32_t i = 0; i < nvme->config.device_count; i++) {
		if (nvme->devices[i].command_fd >= 0)
			close(nvme->devices[i].command_fd);
		nvme->devices[i].command_fd = -1;
	}
	snprintf(nvme->passthrough_why, sizeof(nvme->passthrough_why), "%s%s%s",
		 is_of_one ? nvme->config.paths[device] : "", is_of_one ? " " : "", what);
	if (nvme->config.passthrough != NVME_PASSTHROUGH_REQUIRED)
		return TERN_OK;
	snprintf(err_text, err_bytes,
		 "disk.passthrough = \"on\": %s; \"auto\" takes block I/O then",
		 nvme->passthrough_why);
	return TERN_ERR_UNSUPPORTED;
}

static bool
is_number(const struct stat *st, uint32_t major_number, uint32_t minor_number)
{
	return major(st->st_rdev) == major_number && minor(st->st_rdev) == minor_number;
}

/* Both descriptors are of the namespace that sysfs spoke of, in blocks of the same size. */
static bool
is_same(const struct nvme_device *device, const struct device_facts *facts,
	const struct device_command_node *node)
{
	const int name_space = (int)device->target.name_space;
	struct stat block, command;
	int lba_bytes = 0;

	return fstat(device->fd, &block) == 0 && S_ISBLK(block.st_mode) &&
	       is_number(&block, facts->major, facts->minor) &&
	       fstat(device->command_fd, &command) == 0 && S_ISCHR(command.st_mode) &&
	       is_number(&command, node->major, node->minor) && name_space > 0 &&
	       ioctl(device->command_fd, NVME_IOCTL_ID) == name_space &&
	       ioctl(device->fd, BLKSSZGET, &lba_bytes) == 0 &&
	       (uint32_t)lba_bytes == device->target.lba_bytes && device->bytes <= facts->bytes;
}

/* False: @why. */
static bool
commands_open(const char *path, struct nvme_device *device, char *why, size_t why_bytes)
{
	char node_path[DEVICE_NAME_MAX + 8], reason[96] = "";
	struct device_command_node node;
	struct device_facts facts;

	if (device_facts_read("", path, &facts) != TERN_OK) {
		snprintf(why, why_bytes, "cannot be examined");
		return false;
	}
	device_facts_ask_controller(path, &facts);
	if (!device_takes_commands("", &facts, &node, why, why_bytes))
		return false;
	snprintf(node_path, sizeof(node_path), "/dev/%s", node.name);
	device->command_fd = open(node_path, O_RDWR | O_CLOEXEC);
	if (device->command_fd < 0) {
		snprintf(why, why_bytes, "takes commands through %s, which cannot be opened: %s",
			 node_path, strerror_r(errno, reason, sizeof(reason)));
		return false;
	}
	const int name_space = ioctl(device->fd, NVME_IOCTL_ID);
	device->target =
	    (struct nvme_target){ .name_space = name_space > 0 ? (uint32_t)name_space : 0,
				  .lba_bytes = facts.logical_bytes };
	if (is_same(device, &facts, &node))
		return true;
	snprintf(why, why_bytes, "and %s are not the same namespace", node_path);
	return false;
}

enum tern_err
nvme_passthrough_open(struct nvme *nvme, char *err_text, size_t err_bytes)
{
	char why[DEVICE_WHY_MAX - 128];

	if (nvme->config.passthrough == NVME_PASSTHROUGH_OFF)
		return TERN_OK;
	if (nvme->config.iopoll == NVME_IOPOLL_OFF)
		return nvme_passthrough_give_up(
		    nvme, NVME_DEVICES_MAX,
		    "NVMe commands are used only where completions are polled (poll.mode = "
		    "\"busy\", disk.iopoll = \"auto\")",
		    err_text, err_bytes);
	for (uint32_t i = 0; i < nvme->config.device_count; i++)
		if (!nvme->devices[i].is_absent &&
		    !commands_open(nvme->config.paths[i], &nvme->devices[i], why, sizeof(why)))
			return nvme_passthrough_give_up(nvme, i, why, err_text, err_bytes);
	return TERN_OK;
}
