/* SPDX-License-Identifier: Apache-2.0 */
/* The newest superblock of the node's devices, before there is a store that bears the loss of some
 * of them. */
#include "control/daemon/ternd.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/daemon/patient.h"
#include "dataplane/wire/superblock_update.h"
#include "hw/nvme_uring/superblock_io.h"
#include "hw/platform/platform.h"

/* Of one device, on a thread of its own. */
struct look {
	struct superblock found;
	enum tern_err err;
	int fd;
};

static void *
look_work(void *memory)
{
	struct look *look = memory;
	uint32_t good_copies;

	look->err = superblock_read(look->fd, &look->found, &good_copies);
	return NULL;
}

/* NULL: the device is absent, or there is no thread or memory for it. */
static struct look *
look_begin(const struct ternd *node, uint32_t device, struct patient *patient)
{
	const uint64_t patience_ns =
	    node->config.parity == 0 ? PATIENT_FOR_EVER : node->config.disk.hang_ns;
	const int fd = nvme_device_fd(node->nvme, device);
	struct look *look = fd < 0 ? NULL : calloc(1, sizeof(*look));

	if (look == NULL)
		return NULL;
	look->fd = fd;
	if (patient_begin(patient, look_work, look, patience_ns) == TERN_OK)
		return look;
	free(look);
	return NULL;
}

/* What was found. BUSY: the device is silent; the store will find that, too, and bear it. */
static enum tern_err
look_end(const struct ternd *node, uint32_t device, struct patient *patient, struct look *look,
	 struct superblock *found)
{
	if (!patient_end(patient)) {
		platform_diag(
		    PLATFORM_WARNING,
		    "device_silent node=%s device=%u path=%s: its superblock did not come "
		    "within disk.hang; the start goes on without it",
		    node->config.name, device, node->config.devices[device].path);
		return TERN_ERR_BUSY;
	}
	const enum tern_err err = look->err;
	*found = look->found;
	free(look);
	return err;
}

enum tern_err
superblocks_read(const struct ternd *node, struct superblock *superblock, char *why,
		 size_t why_bytes)
{
	struct patient patients[NVME_DEVICES_MAX];
	struct look *looks[NVME_DEVICES_MAX];
	enum tern_err worst = TERN_ERR_NOT_FOUND;
	uint32_t which = 0;

	/* All at once: several may be silent, and are so for one time of patience together. */
	for (uint32_t i = 0; i < node->config.device_count; i++)
		looks[i] = look_begin(node, i, &patients[i]);
	for (uint32_t i = 0; i < node->config.device_count; i++) {
		struct superblock found;
		if (looks[i] == NULL)
			continue;
		const enum tern_err err = look_end(node, i, &patients[i], looks[i], &found);
		if (err == TERN_OK &&
		    (worst != TERN_OK || superblock_counts_more(&found, superblock)))
			*superblock = found;
		/* One that is silent says nothing of what the others are. */
		if (worst != TERN_OK && (err != TERN_ERR_BUSY || worst == TERN_ERR_NOT_FOUND)) {
			worst = err;
			which = i;
		}
	}
	if (worst == TERN_ERR_BUSY)
		snprintf(why, why_bytes,
			 "%s: the device does not answer; look at it and at its cabling, and start "
			 "again: what it holds may be whole",
			 node->config.devices[which].path);
	else if (worst != TERN_OK)
		snprintf(why, why_bytes, "%s: the superblock is %s" TERND_STORAGE_NEXT_STEP,
			 node->config.devices[which].path, tern_err_text(worst));
	return worst;
}
