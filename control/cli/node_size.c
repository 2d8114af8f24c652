/* SPDX-License-Identifier: Apache-2.0 */
/* How large the parts of a node's storage are. */
#include <string.h>
#include <sys/stat.h>

#include "control/cli/cli.h"
#include "control/cli/node_birth.h"
#include "dataplane/base/bits.h"
#include "dataplane/stripe/place.h"
#include "dataplane/wire/checkpoint.h"

struct stripe_geometry
node_geometry(const struct node_config *config)
{
	return (struct stripe_geometry){ config->device_count - config->parity, config->parity };
}

uint64_t
node_checkpoint_bytes(const struct node_config *config)
{
	const uint64_t stream = config->state.capacity_bytes + CHECKPOINT_RECORD_BYTES;

	if (config->is_log_volatile)
		return 0;
	const uint64_t pages = stripe_place_end(node_geometry(config), checkpoint_pages(stream));
	return align_up_u64(SUPERBLOCK_CHECKPOINTS * pages * SUPERBLOCK_BYTES, 1u << 20);
}

bool
node_is_device_name(const char *path)
{
	return strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/shm/", 9) != 0;
}

bool
node_is_birth_file(const struct node_config *config, uint32_t number, uint64_t bytes)
{
	const uint64_t size =
	    config->is_log_volatile ? NODE_VOLATILE_BYTES : config->devices[number].bytes;

	return bytes == size || bytes == size + node_checkpoint_bytes(config);
}

/* A file is as long as it was made, whatever state.capacity is by now. */
uint64_t
node_device_bytes(const struct node_config *config)
{
	bool is_any_file = false, is_any_missing = false, is_any_block = false;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < config->device_count; i++) {
		const struct node_config_device *device = &config->devices[i];
		struct stat facts;
		const bool is_there = stat(device->path, &facts) == 0;
		const bool is_file = is_there && S_ISREG(facts.st_mode);
		bytes = max_u64(bytes, device->bytes);
		if (is_file)
			bytes = max_u64(bytes, (uint64_t)facts.st_size);
		is_any_file = is_any_file || is_file;
		is_any_block = is_any_block || node_is_device_name(device->path) ||
			       (is_there && S_ISBLK(facts.st_mode));
		is_any_missing =
		    is_any_missing || (!is_there && !node_is_device_name(device->path));
	}
	/* Beside a block device files hold checkpoints within devices[].size. */
	if (is_any_missing && !is_any_file && !is_any_block)
		bytes += node_checkpoint_bytes(config);
	return bytes;
}
