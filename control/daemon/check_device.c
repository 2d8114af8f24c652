/* SPDX-License-Identifier: Apache-2.0 */
#include "control/daemon/ternd.h"

#include <stdio.h>

#include "hw/device_facts/device_facts.h"

/* A device with a volatile cache that the kernel was told not to flush: RWF_DSYNC would be dropped
 * above it, and every promise with it. */
enum tern_err
ternd_check_device(const struct node_config *config, const char *path, char *why, size_t why_bytes)
{
	char reason[DEVICE_WHY_MAX];
	struct device_facts facts;

	if (config->disk.durability != DISK_DURABILITY_AUTO ||
	    device_facts_read("", path, &facts) != TERN_OK)
		return TERN_OK; /* what is not there, nvme_open tells */
	device_facts_ask_controller(path, &facts);
	if (device_durability(&facts, reason, sizeof(reason)) != DEVICE_DURABLE_UNSAFE)
		return TERN_OK;
	snprintf(why, why_bytes, "%.256s: %s", path, reason);
	return TERN_ERR_CONFIG;
}
