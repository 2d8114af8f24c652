/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that take the place of one that failed, while the node runs. Those that the node file
 * does not name are noted in <storage>/spares, a path a line, before they are used, so that the
 * next start looks at them too; which device stands where is said by the superblocks alone.
 */
#include "control/daemon/ternd.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hw/device_facts/signature.h"
#include "hw/file_store/register_store.h"
#include "hw/nvme_uring/superblock_io.h"
#include "hw/platform/platform.h"

#define LIST_NAME "spares"

/* All that the node knows besides its devices, with one more; "": none. */
static bool
list_write(const struct node_config *config, const char *added)
{
	char path[NODE_CONFIG_PATH_MAX + 16];
	char text[(NODE_CONFIG_SPARES_MAX + 1) * (NODE_CONFIG_PATH_MAX + 1)] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < config->spare_count; i++)
		at +=
		    (size_t)snprintf(text + at, sizeof(text) - at, "%s\n", config->spares[i].path);
	if (added[0] != '\0')
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\n", added);
	node_config_taken_path(config, path, sizeof(path));
	return at < sizeof(text) && file_store_write_atomic(path, text, at) == TERN_OK;
}

void
spares_save(const struct node_config *config)
{
	(void)!list_write(config, "");
}

/* Nothing of anybody lies on it. NULL: it is so. */
static const char *
why_not_blank(const char *path, char *text, size_t text_bytes)
{
	struct superblock found;
	uint32_t good_copies, count = 0;
	uint64_t bytes;
	int fd;

	if (nvme_device_open(path, false, &fd, &bytes, text, text_bytes) != TERN_OK)
		return text;
	const enum tern_err err = superblock_read(fd, &found, &good_copies);
	close(fd);
	if (err == TERN_ERR_BLANK && signature_find(path, text, text_bytes, &count) != TERN_OK)
		return text;
	return err == TERN_ERR_BLANK && count == 0
		   ? NULL
		   : "is not blank: `tern device scan` shows what it carries";
}

/* What is open as @fd is what lies at @path. */
static bool
is_open_as(int fd, const char *path)
{
	struct stat opened, there;

	if (fstat(fd, &opened) != 0 || stat(path, &there) != 0)
		return false;
	if (S_ISBLK(opened.st_mode) && S_ISBLK(there.st_mode))
		return opened.st_rdev == there.st_rdev;
	return opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

/* A spare that the node has open: since its start, or since an earlier request. NULL: it may be
 * had. */
static json_t *
known_find(struct ternd *node, const char *path, const struct status_pool *pool, uint32_t drive,
	   uint64_t *bytes)
{
	const char *why;
	char text[512];

	*bytes = nvme_device_bytes(node->nvme, drive, &why);
	if (*bytes == 0)
		return admin_refuse(ADMIN_EXIT_REFUSED, "%s was not there at the start: %s", path,
				    why);
	for (uint32_t i = 0; i < (uint32_t)pool->k + pool->m; i++)
		if (pool->drives[i] == drive)
			return admin_refuse(ADMIN_EXIT_REFUSED, "%s is device %u already", path, i);
	if (!is_open_as(nvme_device_fd(node->nvme, drive), path))
		return admin_refuse(
		    ADMIN_EXIT_REFUSED,
		    "%s was removed or exchanged since the node opened it, and what "
		    "lies there now is not what would be written to: take another "
		    "path, or start the node again",
		    path);
	if (ternd_check_device(&node->config, path, text, sizeof(text)) != TERN_OK)
		return admin_refuse(ADMIN_EXIT_CONFIG, "%s", text);
	/* How it is written to was found out when it was opened. */
	if ((node->unsafe_devices >> drive & 1) != 0)
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "%s did not keep what it acknowledged when the node started "
				    "(device_unsafe), and is written to as then: start the node "
				    "again",
				    path);
	return NULL;
}

/* One that the node does not know yet. NULL: it is open, and noted. */
static json_t *
new_open(struct ternd *node, const char *path, uint32_t *drive, uint64_t *bytes)
{
	struct node_config *config = &node->config;
	char text[512];

	if (ternd_check_device(config, path, text, sizeof(text)) != TERN_OK)
		return admin_refuse(ADMIN_EXIT_CONFIG, "%s", text);
	if (config->spare_count == NODE_CONFIG_SPARES_MAX)
		return admin_refuse(
		    ADMIN_EXIT_REFUSED,
		    "no room for more than %u devices besides the node's own before "
		    "a restart: name the newer ones in the node file",
		    NODE_CONFIG_SPARES_MAX);
	/* Noted first: a device that the pool rests on must be found by the next start. */
	if (!list_write(config, path))
		return admin_refuse(ADMIN_EXIT_FAILED, "%s/" LIST_NAME " cannot be written",
				    config->storage_dir);
	if (nvme_device_add(node->nvme, path, drive, bytes, text, sizeof(text)) != TERN_OK) {
		spares_save(config);
		return admin_refuse(ADMIN_EXIT_CONFIG, "%s", text);
	}
	(void)node_config_append_spare(config, path);
	return NULL;
}

/* Makes the device at @path, which is blank, one that the disk port has. NULL: it is; its number
 * and size. */
static json_t *
drive_find(struct ternd *node, const char *path, const struct status_pool *pool, uint32_t *drive,
	   uint64_t *bytes)
{
	const struct node_config *config = &node->config;
	json_t *refused = NULL;
	char text[512];
	uint32_t spare;

	const bool is_named = node_config_names_device(config, path, &spare);
	const bool is_known = spare < config->spare_count;
	if (is_named && !is_known)
		return admin_refuse(ADMIN_EXIT_REFUSED, "%s is one of the node's devices", path);
	*drive = config->device_count + spare;
	if (is_known)
		refused = known_find(node, path, pool, *drive, bytes);
	if (refused != NULL)
		return refused;
	const char *why = why_not_blank(path, text, sizeof(text));
	if (why != NULL)
		return admin_refuse(ADMIN_EXIT_CONFIG, "%s: %s", path, why);
	return is_known ? NULL : new_open(node, path, drive, bytes);
}

/* {"device":POSITION,"path":PATH} -> {"node","device","path"}: it is being rebuilt. */
json_t *
ternd_verb_device_replace(void *context, const json_t *request)
{
	struct ternd *node = context;
	const char *path = json_string_value(json_object_get(request, "path"));
	const json_int_t device = json_integer_value(json_object_get(request, "device"));
	struct submit_completion completion;
	struct node_status status;
	uint32_t drive;
	uint64_t bytes;

	status_read(node->status, &status);
	if (path == NULL || path[0] != '/' || device < 0 ||
	    device >= (json_int_t)node->config.device_count || node->config.parity == 0)
		return admin_refuse(ADMIN_EXIT_USAGE,
				    "a position of a node with parity and an absolute path");
	if ((status.pool.failed >> device & 1) == 0)
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "device %d counts: it has to be recorded as failed before "
				    "another one takes its place",
				    (int)device);
	json_t *refused = drive_find(node, path, &status.pool, &drive, &bytes);
	if (refused != NULL)
		return refused;
	const struct submit_request wanted = {
		.tag = ++node->admin_tag,
		.kind = SUBMIT_JOB,
		.node = (uint16_t)device,
		.flags = SUBMIT_JOB_REPLACE_BY(drive),
		.value = (uint32_t)min_u64(bytes >> 20, UINT32_MAX),
	};
	if (!ternd_submit_and_wait(node, &wanted, &completion))
		return admin_refuse(ADMIN_EXIT_UNKNOWN,
				    "the data thread did not answer; see `tern device list`");
	if (completion.outcome != SUBMIT_DONE)
		return ternd_job_refused(&completion);
	return json_pack("{s:s, s:I, s:s}", "node", node->config.name, "device", device, "path",
			 path);
}
