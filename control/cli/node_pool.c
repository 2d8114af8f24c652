/* SPDX-License-Identifier: Apache-2.0 */
/* What the devices of a node that is stopped say of one of them: whether its pool needs it. */
#include <string.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "dataplane/base/bits.h"
#include "dataplane/wire/page.h"
#include "dataplane/wire/superblock_update.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/superblock_io.h"

#define BUSY_TRIES   40u
#define BUSY_WAIT_US 50000u

/* BUSY also when it is still so after two seconds: a process that was killed holds its devices
 * until all its threads are gone. */
static enum tern_err
superblock_of(const char *path, struct superblock *found, char *text, size_t text_bytes)
{
	enum tern_err err = TERN_ERR_BUSY;
	uint32_t good_mask;
	uint64_t bytes;
	int fd;

	for (uint32_t tries = 0; tries < BUSY_TRIES && err == TERN_ERR_BUSY; tries++) {
		if (tries != 0)
			(void)usleep(BUSY_WAIT_US);
		err = nvme_device_open(path, true, &fd, &bytes, text, text_bytes);
	}
	if (err)
		return err;
	err = superblock_read(fd, found, &good_mask);
	(void)close(fd);
	return err;
}

/* The superblock that counts of @all its devices and spares but @except, which nobody may use
 * meanwhile. */
static enum admin_exit
newest_of(const struct node_config *all, const char *except, struct superblock *newest, char *text,
	  size_t text_bytes)
{
	uint64_t cluster_id = all->cluster_id;
	bool is_found = false;

	for (uint32_t i = 0; i < all->device_count + all->spare_count; i++) {
		const char *path = i < all->device_count ? all->devices[i].path
							 : all->spares[i - all->device_count].path;
		struct superblock one;
		if (strcmp(path, except) == 0)
			continue;
		const enum tern_err err = superblock_of(path, &one, text, text_bytes);
		if (err == TERN_ERR_BUSY)
			return ADMIN_EXIT_REFUSED; /* text names it */
		/* It may be lost as well, or hold what is not this node's. */
		if (err || one.node_id != all->id ||
		    (cluster_id != 0 && one.cluster_id != cluster_id))
			continue;
		cluster_id = one.cluster_id;
		if (!is_found || superblock_counts_more(&one, newest))
			*newest = one;
		is_found = true;
	}
	if (is_found)
		return ADMIN_EXIT_OK;
	(void)snprintf(text, text_bytes, "none of the other devices can be read");
	return ADMIN_EXIT_CONFIG;
}

/* Those that came in while the node ran are asked, too: they know what failed since. */
static enum admin_exit
others_read(const struct node_config *config, const char *except, struct superblock *newest,
	    char *text, size_t text_bytes)
{
	struct node_config *all = malloc(sizeof(*all));

	if (!all) {
		(void)snprintf(text, text_bytes, "out of memory");
		return ADMIN_EXIT_FAILED;
	}
	*all = *config;
	node_config_load_taken(all);
	const enum admin_exit code = newest_of(all, except, newest, text, text_bytes);
	free(all);
	return code;
}

enum admin_exit
node_device_refuse(const struct node_config *config, uint32_t number, char *text, size_t text_bytes)
{
	struct superblock newest = { 0 };
	const enum admin_exit code =
	    others_read(config, config->devices[number].path, &newest, text, text_bytes);

	if (code)
		return code;
	if ((newest.failed_devices >> number & 1) == 0) {
		(void)snprintf(text, text_bytes,
			       "device %u is not recorded as failed: start the node once without "
			       "it, then replace it",
			       number);
		return ADMIN_EXIT_REFUSED;
	}
	return ADMIN_EXIT_OK;
}

uint64_t
node_pool_bytes(const struct node_config *config, uint32_t number)
{
	struct superblock newest = { 0 };
	char text[512];

	if (others_read(config, config->devices[number].path, &newest, text, sizeof(text)))
		return 0;
	return PAGE_BYTES * max_u64(newest.log_first_page + newest.log_pages,
				    newest.checkpoint_first_page + newest.checkpoint_pages);
}

/* A device that is not recorded as failed took part in every update of the superblocks, so it is at
 * most one behind; what is further behind, or is recorded as failed, takes part in no start. */
enum admin_exit
node_spare_refuse(const struct node_config *config, const char *path, const struct superblock *own,
		  char *text, size_t text_bytes)
{
	struct superblock newest = { 0 };
	const enum admin_exit code = others_read(config, path, &newest, text, text_bytes);
	char why[320];

	if (code) {
		(void)snprintf(why, sizeof(why), "%s", text);
		(void)snprintf(text, text_bytes,
			       "%s holds storage of this very node, and whether the node needs it "
			       "is found only while the node is stopped and its other devices are "
			       "there: %s",
			       path, why);
		return ADMIN_EXIT_REFUSED;
	}
	const bool is_out = (newest.failed_devices >> own->device & 1) != 0;
	const bool is_behind = own->sequence + 1 < newest.sequence;
	if (!superblock_is_newer(own, &newest) && (is_out || is_behind))
		return ADMIN_EXIT_OK;
	(void)snprintf(
	    text, text_bytes,
	    "%s is device %u of this node, which rests on it; --wipe does not take that: "
	    "`tern device fail` takes it out, `tern device replace` puts another in its "
	    "place",
	    path, own->device);
	return ADMIN_EXIT_REFUSED;
}
