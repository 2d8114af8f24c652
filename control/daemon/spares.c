/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that take the place of one that failed, while the node runs. Those that the node file
 * does not name are noted in <storage>/spares, a path a line, before they are used, so that the
 * next start looks at them too; which device stands where is said by the superblocks alone.
 */
#include "control/daemon/ternd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* Nothing of anybody lies where a superblock goes. NULL: it is so. */
static const char *
why_not_blank(const char *path, char *text, size_t text_bytes)
{
	struct superblock found;
	uint32_t good_copies;
	uint64_t bytes;
	int fd;

	if (nvme_device_open(path, false, &fd, &bytes, text, text_bytes) != TERN_OK)
		return text;
	const enum tern_err err = superblock_read(fd, &found, &good_copies);
	close(fd);
	return err == TERN_ERR_BLANK ? NULL : "is not blank: it was in use before";
}

/* Makes the device at @path one that the disk port has. NULL: it is; its number and size. */
static json_t *
drive_find(struct ternd *node, const char *path, uint32_t *drive, uint64_t *bytes)
{
	struct node_config *config = &node->config;
	char text[512];
	const char *why;
	uint32_t spare;

	if (node_config_names_device(config, path, &spare) && spare == config->spare_count)
		return admin_refuse(ADMIN_EXIT_REFUSED, "%s is one of the node's devices", path);
	if (spare < config->spare_count) {
		*drive = config->device_count + spare;
		*bytes = nvme_device_bytes(node->nvme, *drive, &why);
		return *bytes != 0 ? NULL
				   : admin_refuse(ADMIN_EXIT_REFUSED,
						  "%s was not there at the start: %s", path, why);
	}
	why = why_not_blank(path, text, sizeof(text));
	if (why != NULL)
		return admin_refuse(ADMIN_EXIT_CONFIG, "%s: %s", path, why);
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
	if (nvme_device_add(node->nvme, path, drive, bytes, text, sizeof(text)) != TERN_OK)
		return admin_refuse(ADMIN_EXIT_CONFIG, "%s", text);
	(void)node_config_append_spare(config, path);
	return NULL;
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
	json_t *refused = drive_find(node, path, &drive, &bytes);
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
