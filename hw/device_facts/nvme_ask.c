/* SPDX-License-Identifier: Apache-2.0 */
/* Three admin commands that read: Identify Controller, Identify Namespace, Get Log Page. The kernel
 * lets root send them through the namespace's own descriptor. */
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hw/device_facts/device_facts.h"

#define ADMIN_GET_LOG_PAGE 0x02u
#define ADMIN_IDENTIFY     0x06u
#define IDENTIFY_NAMESPACE 0u
#define IDENTIFY_CTRL      1u
#define LOG_SMART          2u
#define EVERY_NAMESPACE    UINT32_MAX
#define ANSWER_MS          2000u

static bool
ask(int fd, uint8_t opcode, uint32_t name_space, uint32_t cdw10, uint8_t *bytes, uint32_t length)
{
	struct nvme_admin_cmd command = {
		.opcode = opcode,
		.nsid = name_space,
		.addr = (uint64_t)(uintptr_t)bytes,
		.data_len = length,
		.cdw10 = cdw10,
		.timeout_ms = ANSWER_MS,
	};

	memset(bytes, 0, length);
	return ioctl(fd, NVME_IOCTL_ADMIN_CMD, &command) == 0;
}

/* The controller's word counts more than what the kernel copied from it earlier. */
static void
controller_take(struct device_facts *facts)
{
	const struct nvme_page_controller *controller = &facts->controller;

	facts->has_controller = true;
	facts->has_volatile_cache = controller->has_volatile_cache ? DEVICE_YES : DEVICE_NO;
	(void)snprintf(facts->serial, sizeof(facts->serial), "%s", controller->serial);
	(void)snprintf(facts->model, sizeof(facts->model), "%s", controller->model);
	(void)snprintf(facts->firmware, sizeof(facts->firmware), "%s", controller->firmware);
}

void
device_facts_ask_controller(const char *path, struct device_facts *facts)
{
	alignas(4096) uint8_t page[NVME_PAGE_IDENTIFY_BYTES];
	const uint32_t smart_dwords = NVME_PAGE_SMART_BYTES / 4 - 1; /* one less than they are */

	if (facts->kind != DEVICE_BLOCK || strncmp(facts->disk, "nvme", 4) != 0)
		return;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	const int name_space = ioctl(fd, NVME_IOCTL_ID);
	if (name_space > 0) {
		if (ask(fd, ADMIN_IDENTIFY, 0, IDENTIFY_CTRL, page, sizeof(page))) {
			nvme_page_controller_decode(page, &facts->controller);
			controller_take(facts);
		}
		facts->has_namespace = ask(fd, ADMIN_IDENTIFY, (uint32_t)name_space,
					   IDENTIFY_NAMESPACE, page, sizeof(page)) &&
				       nvme_page_namespace_decode(page, &facts->name_space);
		if (ask(fd, ADMIN_GET_LOG_PAGE, EVERY_NAMESPACE, LOG_SMART | smart_dwords << 16,
			page, NVME_PAGE_SMART_BYTES)) {
			nvme_page_smart_decode(page, &facts->smart);
			facts->has_smart = true;
		}
	}
	(void)close(fd);
}
