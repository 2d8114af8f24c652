/* SPDX-License-Identifier: Apache-2.0 */
/* What a birth of storage, or a restore, left that was ended half-way. No node can start with it,
 * and none ever has: the same verb may go over it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/node_birth.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/superblock_io.h"

/* As a birth wrote it, or the restore that fills the pool. A start of the node would have raised
 * boot_no, and a loss before that the sequence. */
static bool
is_unused(const struct superblock *found)
{
	const bool is_first = found->sequence == 1 || found->sequence == found->born_ns;

	return superblock_is_filling(found) ? found->boot_no <= 1 : found->boot_no == 0 && is_first;
}

/* False: it is in use, cannot be read, is a block device that is not there, or is neither blank nor
 * a device of this pool that was not used. @is_blank: nothing was written to it yet, or a file is
 * not there. @is_made: what is there was made by a birth: it holds an unused superblock, or is a
 * blank file of the size that it gives. A blank block device may be anybody's by now. */
static bool
device_is_left(const struct node_config *config, uint32_t number, struct superblock *found,
	       bool *is_blank, bool *is_made)
{
	const char *path = config->devices[number].path;
	struct stat facts;
	uint32_t good_mask;
	uint64_t bytes;
	char why[256];
	int fd;

	*is_made = false;
	*is_blank = stat(path, &facts) != 0;
	if (*is_blank)
		return errno == ENOENT && !node_is_device_name(path);
	if (nvme_device_open(path, true, &fd, &bytes, why, sizeof(why)))
		return false;
	const enum tern_err err = superblock_read(fd, found, &good_mask);
	(void)close(fd);
	*is_blank = err == TERN_ERR_BLANK;
	*is_made = !*is_blank || (S_ISREG(facts.st_mode) &&
				  node_is_birth_file(config, number, (uint64_t)facts.st_size));
	return *is_blank ||
	       (err == TERN_OK && is_unused(found) && found->node_id == config->id &&
		found->device == number && found->k + found->m == config->device_count &&
		(config->cluster_id == 0 || found->cluster_id == config->cluster_id));
}

/* All that there is of a pool is unused, and it is not whole, or a restore was about to fill it.
 * The note of the pool is the first that a birth removes, and only a node that runs writes it.
 * @made: mask of what the birth made. */
static bool
is_unfinished(const struct node_config *config, uint32_t *made)
{
	char note[NODE_CONFIG_PATH_MAX + 16];
	struct superblock first = { 0 }, found;
	uint32_t present = 0;
	bool is_filling = false, is_blank, is_made;

	*made = 0;
	node_config_note_path(config, note, sizeof(note));
	if (access(note, F_OK) == 0 || errno != ENOENT)
		return false;
	for (uint32_t i = 0; i < config->device_count; i++) {
		if (!device_is_left(config, i, &found, &is_blank, &is_made))
			return false;
		*made |= is_made ? UINT32_C(1) << i : 0;
		if (is_blank)
			continue;
		if (present++ == 0)
			first = found;
		if (found.cluster_id != first.cluster_id || found.born_ns != first.born_ns)
			return false;
		is_filling = is_filling || superblock_is_filling(&found);
	}
	return present != 0 && (present < config->device_count || is_filling);
}

enum admin_exit
node_birth_take_back(const struct node_config *config, uint32_t devices, char *text,
		     size_t text_bytes)
{
	enum admin_exit code = ADMIN_EXIT_OK;
	struct stat facts;

	for (uint32_t i = 0; i < config->device_count; i++) {
		const char *path = config->devices[i].path;
		if ((devices >> i & 1) == 0 || stat(path, &facts) != 0)
			continue;
		if (S_ISBLK(facts.st_mode)) {
			if (nvme_prepare_device(path, SUPERBLOCK_AREA_PAGES * SUPERBLOCK_BYTES,
						text, text_bytes))
				code = ADMIN_EXIT_CONFIG;
		} else if (unlink(path) != 0) {
			(void)snprintf(text, text_bytes, "%s cannot be removed: %s", path,
				       strerror(errno));
			code = ADMIN_EXIT_CONFIG;
		}
	}
	return code;
}

enum admin_exit
node_unfinished_clear(const struct node_config *config, char *text, size_t text_bytes)
{
	uint32_t made;

	if (config->kind != NODE_DATA || !is_unfinished(config, &made))
		return ADMIN_EXIT_OK;
	return node_birth_take_back(config, made, text, text_bytes);
}
