/* SPDX-License-Identifier: Apache-2.0 */
#include "control/backup/device.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/invariant.h"
#include "hw/nvme_uring/nvme.h"

/* A process that was killed holds its devices until all its threads are gone. */
#define BUSY_TRIES   40u
#define BUSY_WAIT_US 50000u

static bool
read_all(int fd, uint8_t *bytes, size_t count, uint64_t offset)
{
	while (count != 0) {
		const ssize_t done = pread(fd, bytes, count, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes += done;
		offset += (uint64_t)done;
		count -= (size_t)done;
	}
	return true;
}

static enum tern_err
device_queue(void *disk, const struct disk_request *request)
{
	struct backup_device *device = disk;
	const uint32_t at = (device->done_head + device->done_count) % BACKUP_REQUESTS_MAX;
	enum tern_err err = TERN_OK;

	INVARIANT(request->device < device->count);
	if (device->done_count == BACKUP_REQUESTS_MAX)
		return TERN_ERR_QUEUE_FULL;
	if (request->kind == DISK_READ) {
		const int fd = device->fds[request->device];
		if (fd < 0 || !read_all(fd, request->bytes, request->length, request->offset))
			err = TERN_ERR_IO;
		device->stats.reads++;
		device->stats.read_bytes += request->length;
	}
	device->done[at] = (struct disk_completion){
		.user = request->user,
		.device = request->device,
		.kind = request->kind,
		.err = err,
		.length = request->length,
	};
	device->done_count++;
	return TERN_OK;
}

static void
device_submit(void *disk)
{
	(void)disk;
}

static uint32_t
device_poll(void *disk, struct disk_completion *completions, uint32_t max)
{
	struct backup_device *device = disk;
	uint32_t count = 0;

	while (count < max && device->done_count != 0) {
		completions[count++] = device->done[device->done_head];
		device->done_head = (device->done_head + 1) % BACKUP_REQUESTS_MAX;
		device->done_count--;
	}
	return count;
}

static int
device_wait_fd(void *disk)
{
	(void)disk;
	return -1;
}

static void
device_facts(void *disk, struct disk_facts *facts)
{
	const struct backup_device *device = disk;

	*facts = (struct disk_facts){ .device_count = device->count, .is_direct = true };
	(void)snprintf(facts->mode, sizeof(facts->mode), "read only");
}

static void
device_stats(void *disk, struct disk_stats *stats)
{
	const struct backup_device *device = disk;

	*stats = device->stats;
}

struct disk_port
backup_device_port(struct backup_device *device)
{
	static const struct disk_ops ops = {
		.queue = device_queue,
		.submit = device_submit,
		.poll = device_poll,
		.wait_fd = device_wait_fd,
		.facts = device_facts,
		.stats = device_stats,
	};

	return (struct disk_port){ &ops, device };
}

static enum tern_err
drive_open(struct backup_device *device, uint32_t drive, const char *path, bool is_locked,
	   char *text, size_t text_bytes)
{
	enum tern_err err = TERN_ERR_BUSY;

	for (uint32_t tries = 0; tries < BUSY_TRIES && err == TERN_ERR_BUSY; tries++) {
		if (tries != 0)
			(void)usleep(BUSY_WAIT_US);
		err = nvme_device_open(path, is_locked, &device->fds[drive], &device->bytes[drive],
				       text, text_bytes);
	}
	if (err != TERN_OK) {
		device->fds[drive] = -1;
		device->bytes[drive] = 0;
	}
	return err;
}

enum tern_err
backup_device_open(struct backup_device *device, const struct node_config *config, bool is_locked,
		   char *text, size_t text_bytes)
{
	uint32_t absent = 0, spares = 0;
	char spare_text[NODE_CONFIG_PATH_MAX + 128];

	static_assert(STRIPE_DRIVES_MAX >= NODE_CONFIG_DEVICES_MAX + NODE_CONFIG_SPARES_MAX,
		      "each has a number");
	memset(device, 0, sizeof(*device));
	device->count = config->device_count + config->spare_count;
	for (uint32_t i = 0; i < device->count; i++)
		device->fds[i] = -1;
	for (uint32_t i = 0; i < config->spare_count; i++) {
		const enum tern_err err =
		    drive_open(device, config->device_count + i, config->spares[i].path, is_locked,
			       spare_text, sizeof(spare_text));
		spares += err == TERN_OK;
		if (err == TERN_ERR_BUSY) {
			(void)snprintf(text, text_bytes, "%s", spare_text);
			backup_device_close(device);
			return err;
		}
	}
	for (uint32_t i = 0; i < config->device_count; i++) {
		const enum tern_err err =
		    drive_open(device, i, config->devices[i].path, is_locked, text, text_bytes);
		if (err == TERN_OK)
			continue;
		/* Who stands where is found out by the store. */
		if (err == TERN_ERR_BUSY || ++absent > config->parity + spares) {
			backup_device_close(device);
			return err == TERN_ERR_BUSY ? err : TERN_ERR_NOT_FOUND;
		}
	}
	return TERN_OK;
}

void
backup_device_close(struct backup_device *device)
{
	for (uint32_t i = 0; i < device->count; i++) {
		if (device->fds[i] >= 0)
			(void)close(device->fds[i]);
		device->fds[i] = -1;
	}
	device->count = 0;
}
