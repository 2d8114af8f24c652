/* SPDX-License-Identifier: Apache-2.0 */
/* The node's devices and spares before there is a store that bears the loss of some of them: their
 * caches are flushed, and the newest superblock is found. */
#include "control/daemon/ternd.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/daemon/patient.h"
#include "dataplane/wire/superblock_update.h"
#include "hw/nvme_uring/superblock_io.h"
#include "hw/platform/platform.h"

#define FLUSH_WHY "its cache cannot be flushed, so what it holds may be lost at a power cut"

/* Of one device, on a thread of its own. */
struct look {
	struct superblock found;
	enum tern_err flushed, err;
	const struct nvme *nvme;
	uint32_t device;
	int fd;
};

static void *
look_work(void *memory)
{
	struct look *look = memory;
	uint32_t good_copies;

	/* First: a start builds on all that it reads. */
	look->flushed = nvme_device_flush(look->nvme, look->device);
	look->err = look->flushed;
	if (look->flushed == TERN_OK)
		look->err = superblock_read(look->fd, &look->found, &good_copies);
	return NULL;
}

/* *@out NULL: the device is absent. NO_MEMORY: there is no memory or no thread for it. */
static enum tern_err
look_begin(const struct ternd *node, uint32_t device, struct patient *patient, struct look **out)
{
	const uint64_t patience_ns =
	    node->config.parity == 0 ? PATIENT_FOR_EVER : node->config.disk.hang_ns;
	struct look *look;

	*out = NULL;
	if (nvme_device_err(node->nvme, device) != TERN_OK)
		return TERN_OK;
	look = calloc(1, sizeof(*look));
	if (look == NULL)
		return TERN_ERR_NO_MEMORY;
	look->nvme = node->nvme;
	look->device = device;
	look->fd = nvme_device_fd(node->nvme, device);
	if (patient_begin(patient, look_work, look, patience_ns) != TERN_OK) {
		free(look);
		return TERN_ERR_NO_MEMORY;
	}
	*out = look;
	return TERN_OK;
}

static const char *
path_of(const struct ternd *node, uint32_t device)
{
	const struct node_config *config = &node->config;

	return device < config->device_count ? config->devices[device].path
					     : config->spares[device - config->device_count].path;
}

/* What is known of them so far. */
struct search {
	uint32_t ours; /* mask of those that hold a superblock of this node; of them: */
	uint8_t device[NVME_DEVICES_MAX];
	uint64_t born_ns[NVME_DEVICES_MAX], sequence[NVME_DEVICES_MAX];
	uint32_t silent; /* mask of those that have not answered yet */
	struct superblock *newest;
	uint64_t cluster_id;  /* 0: of any */
	bool is_any, is_ours; /* *newest is one; of this node */
	enum tern_err worst;  /* unless it is one: of the node's own devices */
	uint32_t which;
};

/* What is of another node counts only where there is nothing else: the store says then what is
 * wrong with it. */
static void
found_take(const struct ternd *node, uint32_t device, const struct superblock *found,
	   struct search *search)
{
	const bool is_ours = found->node_id == node->config.id &&
			     (search->cluster_id == 0 || found->cluster_id == search->cluster_id);

	if (!is_ours && (search->is_ours || device >= node->config.device_count))
		return;
	if (is_ours) {
		search->cluster_id = found->cluster_id;
		search->ours |= 1u << device;
		search->device[device] = found->device;
		search->born_ns[device] = found->born_ns;
		search->sequence[device] = found->sequence;
	}
	if (!search->is_any || is_ours != search->is_ours ||
	    superblock_counts_more(found, search->newest))
		*search->newest = *found;
	search->is_any = true;
	search->is_ours = is_ours;
}

static void
worst_note(const struct ternd *node, uint32_t device, enum tern_err err, struct search *search)
{
	/* One that is silent says nothing of what the others are. */
	if (device < node->config.device_count &&
	    (search->worst == TERN_ERR_NOT_FOUND ||
	     (search->worst == TERN_ERR_BUSY && err != TERN_ERR_BUSY))) {
		search->worst = err;
		search->which = device;
	}
}

/* It has answered. One that cannot be flushed is as good as absent. */
static void
look_end(const struct ternd *node, uint32_t device, struct look *look, struct search *search)
{
	search->silent &= ~(1u << device);
	if (look->flushed != TERN_OK)
		nvme_device_omit(node->nvme, device, FLUSH_WHY);
	if (look->err == TERN_OK)
		found_take(node, device, &look->found, search);
	else
		worst_note(node, device, look->err, search);
	free(look);
}

/* Whether the drive stands at the place that its superblock names: nobody newer does. */
static bool
is_in_place(const struct search *search, uint32_t drive)
{
	if ((search->ours >> drive & 1) == 0 || search->born_ns[drive] != search->newest->born_ns)
		return false;
	for (uint32_t i = 0; i < NVME_DEVICES_MAX; i++)
		if ((search->ours >> i & 1) != 0 && search->device[i] == search->device[drive] &&
		    search->born_ns[i] == search->born_ns[drive] &&
		    search->sequence[i] > search->sequence[drive])
			return false;
	return true;
}

/* Whether those that have not answered are needed, and would do. The store bears the loss of as
 * many as there is parity for; one more is waited for, as it would be later on. */
static bool
is_waited_for(const struct ternd *node, const struct search *search)
{
	const uint32_t wanted = node->config.device_count - node->config.parity;
	uint32_t places = 0;

	if (!search->is_ours || search->silent == 0)
		return false;
	for (uint32_t i = 0; i < NVME_DEVICES_MAX; i++)
		if (is_in_place(search, i) &&
		    (search->newest->failed_devices >> search->device[i] & 1) == 0)
			places |= 1u << search->device[i];
	const uint32_t count = (uint32_t)__builtin_popcount(places);
	return count < wanted && count + (uint32_t)__builtin_popcount(search->silent) >= wanted;
}

/* Those that were silent for as long as they may be. What one of them says later was not flushed:
 * this start goes on without it. */
static void
silent_end(const struct ternd *node, struct patient *patients, struct look **looks,
	   struct search *search)
{
	for (uint32_t i = 0; i < NVME_DEVICES_MAX; i++) {
		if ((search->silent >> i & 1) == 0)
			continue;
		const bool is_needed = is_waited_for(node, search);
		platform_diag(PLATFORM_WARNING,
			      "device_silent node=%s device=%u path=%s: it neither flushed its "
			      "cache nor gave its superblock within disk.hang; %s",
			      node->config.name, i, path_of(node, i),
			      is_needed ? "without it there are too few: it is waited for"
					: "the start goes on without it");
		if (is_needed) {
			patient_wait_for_ever(&patients[i]);
			look_end(node, i, looks[i], search);
			continue;
		}
		patient_leave(&patients[i]);
		search->silent &= ~(1u << i);
		nvme_device_omit(node->nvme, i, "does not answer");
		worst_note(node, i, TERN_ERR_BUSY, search);
	}
}

/* All at once: several may be silent, and are so for one time of patience together. Spares say
 * which of them stands where; what else is on them says nothing of the node. */
static enum tern_err
search_all(const struct ternd *node, struct search *search)
{
	const uint32_t count = node->config.device_count + node->config.spare_count;
	struct patient patients[NVME_DEVICES_MAX];
	struct look *looks[NVME_DEVICES_MAX];
	enum tern_err err = TERN_OK;

	for (uint32_t i = 0; i < count && err == TERN_OK; i++) {
		err = look_begin(node, i, &patients[i], &looks[i]);
		if (err == TERN_OK && looks[i] != NULL)
			search->silent |= 1u << i;
	}
	for (uint32_t i = 0; i < count; i++)
		if ((search->silent >> i & 1) != 0 && patient_wait(&patients[i]))
			look_end(node, i, looks[i], search);
	if (err != TERN_OK)
		search->is_any = search->is_ours = false;
	silent_end(node, patients, looks, search);
	return err;
}

/* Another process uses a device that counts, as far as is known: it may be this very node. What is
 * out, or was replaced, may be anybody's by now. */
static enum tern_err
refuse_used(const struct ternd *node, const struct search *search, char *why, size_t why_bytes)
{
	const uint64_t out = search->is_ours ? search->newest->failed_devices : 0;
	const char *reason;

	for (uint32_t i = 0; i < node->config.device_count; i++) {
		if (nvme_device_err(node->nvme, i) != TERN_ERR_BUSY ||
		    (out & (UINT64_C(1) << i | SUPERBLOCK_REPLACED(i))) != 0)
			continue;
		(void)nvme_device_bytes(node->nvme, i, &reason);
		snprintf(why, why_bytes, "%s" TERND_BUSY_NEXT_STEP, reason);
		return TERN_ERR_BUSY;
	}
	return TERN_OK;
}

/* False: it is out, was replaced, or waits as a spare. */
static bool
is_counted(const struct ternd *node, const struct search *search, uint32_t drive)
{
	const uint64_t out = search->newest->failed_devices;

	if (!search->is_ours)
		return true;
	if (drive < node->config.device_count)
		return (out & (UINT64_C(1) << drive | SUPERBLOCK_REPLACED(drive))) == 0;
	return is_in_place(search, drive) && (out >> search->device[drive] & 1) == 0;
}

/* CONFIG: a device that counts does not keep what it acknowledged. */
static enum tern_err
unsafe_find(const struct ternd *node, const struct search *search, uint32_t *unsafe, char *why,
	    size_t why_bytes)
{
	const uint32_t count = node->config.device_count + node->config.spare_count;

	*unsafe = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (nvme_device_err(node->nvme, i) != TERN_OK ||
		    ternd_check_device(&node->config, path_of(node, i), why, why_bytes) == TERN_OK)
			continue;
		if (is_counted(node, search, i))
			return TERN_ERR_CONFIG;
		*unsafe |= 1u << i;
		platform_diag(PLATFORM_WARNING, "device_unsafe node=%s why=%s", node->config.name,
			      why);
	}
	return TERN_OK;
}

enum tern_err
superblocks_read(const struct ternd *node, struct superblock *superblock, uint32_t *unsafe,
		 char *why, size_t why_bytes)
{
	struct search search = {
		.newest = superblock,
		.cluster_id = node->config.cluster_id,
		.worst = TERN_ERR_NOT_FOUND,
	};
	const char *reason;

	const enum tern_err begun = search_all(node, &search);
	if (begun != TERN_OK) {
		snprintf(why, why_bytes,
			 "no memory, or no thread, to look at all devices of the node: make room, "
			 "and start again");
		return begun;
	}
	const enum tern_err used = refuse_used(node, &search, why, why_bytes);
	if (used != TERN_OK)
		return used;
	if (search.is_any)
		return unsafe_find(node, &search, unsafe, why, why_bytes);
	const char *path = node->config.devices[search.which].path;
	if (search.worst == TERN_ERR_BUSY)
		snprintf(why, why_bytes,
			 "%s: the device does not answer; look at it and at its cabling, and start "
			 "again: what it holds may be whole",
			 path);
	else if (search.worst == TERN_ERR_IO &&
		 nvme_device_bytes(node->nvme, search.which, &reason) == 0)
		snprintf(why, why_bytes,
			 "%s: %s; look at the device and at its cabling, and start again", path,
			 reason);
	else if (search.worst == TERN_ERR_NOT_FOUND) {
		(void)nvme_device_bytes(node->nvme, search.which, &reason);
		snprintf(why, why_bytes,
			 "%s, and so it is with the node's other devices" TERND_STORAGE_NEXT_STEP,
			 reason);
	} else
		snprintf(why, why_bytes, "%s: the superblock is %s" TERND_STORAGE_NEXT_STEP, path,
			 tern_err_text(search.worst));
	return search.worst;
}
