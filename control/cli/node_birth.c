/* SPDX-License-Identifier: Apache-2.0 */
/* Birth: the only code that creates storage. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/device_look.h"
#include "control/cli/node_birth.h"
#include "dataplane/base/bits.h"
#include "dataplane/wire/superblock_update.h"
#include "hw/file_store/register_store.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/superblock_io.h"
#include "hw/platform/platform.h"

#define NS_PER_S UINT64_C(1000000000)

/* What all devices of a new pool say. */
struct birth {
	uint64_t cluster_id;
	struct generation generation;
	enum superblock_join join;
	uint64_t sequence; /* that the superblocks begin with */
	uint64_t born_ns;
	bool is_filled; /* by a restore */
	/* Checkpoints lie behind devices[].size, for all devices are files. Otherwise at its end,
	 * on files too: the log area of all devices is the same. */
	bool is_area_behind;
};

bool
node_birth_cluster_id(uint64_t *cluster_id)
{
	for (int i = 0; i < 8; i++) {
		if (getrandom(cluster_id, sizeof(*cluster_id), 0) != (ssize_t)sizeof(*cluster_id))
			return false;
		if (*cluster_id != 0)
			return true;
	}
	return false;
}

static enum admin_exit
witness_birth(const struct node_config *config, uint64_t cluster_id,
	      const struct generation *generation, char *text, size_t text_bytes)
{
	const struct witness_register birth = {
		.sequence = 1,
		.cluster_id = cluster_id,
		.generation = *generation,
		.witness_gen = 1,
		.witness_id = config->id,
	};
	const enum tern_err err = register_store_create(config->register_file, &birth);

	if (err == TERN_ERR_BUSY)
		(void)snprintf(text, text_bytes,
			       "%s exists: storage is created once. Start tern-witness with it, or "
			       "move it away if this witness never served",
			       config->register_file);
	else if (err)
		(void)snprintf(text, text_bytes, "%s cannot be created: %s", config->register_file,
			       tern_err_text(err));
	return err ? ADMIN_EXIT_CONFIG : ADMIN_EXIT_OK;
}

/* Within devices[].size checkpoints have room if that leaves half of it to the log. */
static void
fill_superblock(const struct node_config *config, uint32_t number, const struct birth *birth,
		struct superblock *superblock)
{
	const struct stripe_geometry geometry = node_geometry(config);
	const uint64_t bytes = config->devices[number].bytes;
	uint64_t area = node_checkpoint_bytes(config);
	if (!birth->is_area_behind && area > bytes / 2)
		area = 0;
	const uint64_t pages = (birth->is_area_behind ? bytes : bytes - area) / SUPERBLOCK_BYTES;

	*superblock = (struct superblock){
		.sequence = birth->sequence,
		.cluster_id = birth->cluster_id,
		.generation = birth->generation,
		.node_id = config->id,
		.pool_gen = 1,
		.tail_cell = birth->is_filled ? 1 : 0, /* superblock_is_filling */
		.born_ns = birth->born_ns,
		.k = (uint8_t)geometry.k,
		.m = (uint8_t)geometry.m,
		.device = (uint8_t)number,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = pages - SUPERBLOCK_AREA_PAGES,
		.checkpoint_first_page = pages,
		.checkpoint_pages = area / SUPERBLOCK_BYTES,
		.shard_count = 1,
	};
	superblock->shards[0] = (struct shard_record){
		.join = birth->join,
		.voters = config->data_nodes,
		.witness_id = config->witness_id,
		.witness_gen = config->witness_id != 0 ? 1 : 0,
	};
}

static enum admin_exit
exists(const char *path, char *text, size_t text_bytes)
{
	(void)snprintf(text, text_bytes,
		       "%s holds storage already: it is created once. Start ternd with it, or move "
		       "it away if this node never served",
		       path);
	return ADMIN_EXIT_CONFIG;
}

/* A block device must carry nothing; a file must not exist. Writes nothing. */
static enum admin_exit
check_device(const struct node_config *config, uint32_t number, bool *is_file, char *text,
	     size_t text_bytes)
{
	const struct node_config_device *device = &config->devices[number];
	struct superblock found;
	struct stat facts;
	uint32_t good_mask;
	uint64_t bytes;
	int fd;

	*is_file = stat(device->path, &facts) != 0;
	if (*is_file)
		return ADMIN_EXIT_OK;
	if (!S_ISBLK(facts.st_mode))
		return exists(device->path, text, text_bytes);
	if (config->is_log_volatile) {
		(void)snprintf(text, text_bytes,
			       "%s is a block device, but volatile = true keeps no more than a "
			       "superblock there: name a file",
			       device->path);
		return ADMIN_EXIT_CONFIG;
	}
	const enum admin_exit code = device_look_refuse(device->path, text, text_bytes);
	if (code)
		return code;
	if (nvme_device_open(device->path, true, &fd, &bytes, text, text_bytes))
		return ADMIN_EXIT_CONFIG;
	const enum tern_err err = superblock_read(fd, &found, &good_mask);
	(void)close(fd);
	return err == TERN_ERR_BLANK ? ADMIN_EXIT_OK : exists(device->path, text, text_bytes);
}

/* A block device is cleared, of which the first @block_bytes are used. */
static enum admin_exit
prepare_device(const struct node_config *config, uint32_t number, uint64_t block_bytes,
	       bool *is_file, char *text, size_t text_bytes)
{
	const struct node_config_device *device = &config->devices[number];
	const enum admin_exit code = check_device(config, number, is_file, text, text_bytes);

	if (code)
		return code;
	if (!*is_file) {
		const enum tern_err err =
		    nvme_prepare_device(device->path, block_bytes, text, text_bytes);
		const size_t used = strlen(text);
		if (err == TERN_ERR_CONFIG)
			(void)snprintf(text + used, text_bytes - used,
				       "; it takes %llu MiB: choose a larger one",
				       (unsigned long long)(block_bytes >> 20));
		return err ? ADMIN_EXIT_CONFIG : ADMIN_EXIT_OK;
	}
	const uint64_t bytes = config->is_log_volatile ? NODE_VOLATILE_BYTES : device->bytes;
	const enum tern_err err = nvme_create_file(device->path, bytes, text, text_bytes);
	if (err == TERN_ERR_IO) {
		const size_t used = strlen(text);
		(void)snprintf(text + used, text_bytes - used,
			       "; it takes %llu MiB: make room, or devices[].size (`tern dev up "
			       "--log-size`) smaller, or choose another path",
			       (unsigned long long)(bytes >> 20));
	}
	return err ? ADMIN_EXIT_CONFIG : ADMIN_EXIT_OK;
}

/* Zeros, no superblock yet, and as long as @bytes: what the pool uses of each of its devices. */
static enum admin_exit
blank_birth(const struct node_config *config, uint32_t number, uint64_t bytes, bool *is_file,
	    char *text, size_t text_bytes)
{
	const struct node_config_device *device = &config->devices[number];
	const enum admin_exit code =
	    prepare_device(config, number, bytes, is_file, text, text_bytes);

	if (code || !*is_file || bytes <= device->bytes)
		return code;
	if (nvme_reserve_file(device->path, bytes, text, text_bytes) == TERN_OK)
		return ADMIN_EXIT_OK;
	/* What was made just now and holds nothing does not stay in the way of the next try. */
	(void)unlink(device->path);
	return ADMIN_EXIT_CONFIG;
}

static enum admin_exit
superblock_birth(const struct node_config *config, uint32_t number, const struct birth *birth,
		 char *text, size_t text_bytes)
{
	const char *path = config->devices[number].path;
	struct superblock superblock;
	uint64_t bytes;
	int fd;

	if (nvme_device_open(path, true, &fd, &bytes, text, text_bytes))
		return ADMIN_EXIT_CONFIG;
	fill_superblock(config, number, birth, &superblock);
	const enum tern_err err = superblock_write_all(fd, &superblock);
	(void)close(fd);
	if (err)
		(void)snprintf(text, text_bytes, "%s: superblock not written: %s", path,
			       tern_err_text(err));
	return err ? ADMIN_EXIT_CONFIG : ADMIN_EXIT_OK;
}

enum admin_exit
node_spare_birth(const struct node_config *config, const char *path, bool *is_file, char *text,
		 size_t text_bytes)
{
	struct node_config *one = malloc(sizeof(*one));
	enum admin_exit code = ADMIN_EXIT_FAILED;

	(void)snprintf(text, text_bytes, "out of memory");
	if (!one)
		return code;
	*one = *config;
	(void)snprintf(one->devices[0].path, sizeof(one->devices[0].path), "%s", path);
	code = blank_birth(one, 0, node_device_bytes(config), is_file, text, text_bytes);
	free(one);
	return code;
}

/* ---- what the node had before ---- */

/* False: there is nothing, or nothing but zeros where a superblock goes. @found: if it is whole. */
static bool
holds_storage(const char *path, bool *is_whole, struct superblock *found)
{
	uint32_t good_mask;
	struct stat facts;
	uint64_t bytes;
	char why[256];
	int fd;

	*is_whole = false;
	if (stat(path, &facts) != 0)
		return false;
	if (nvme_device_open(path, false, &fd, &bytes, why, sizeof(why)))
		return true;
	const enum tern_err err = superblock_read(fd, found, &good_mask);
	(void)close(fd);
	*is_whole = err == TERN_OK;
	return err != TERN_ERR_BLANK || !S_ISBLK(facts.st_mode);
}

static enum admin_exit
refuse(char *text, size_t text_bytes, const char *format, const char *path)
{
	(void)snprintf(text, text_bytes, format, path);
	return ADMIN_EXIT_REFUSED;
}

/* Nothing that the node had is written over, on any of its devices. */
static enum admin_exit
refuse_storage(const struct node_config *config, const char *path, char *text, size_t text_bytes)
{
	struct superblock found;
	bool is_whole;

	if (!holds_storage(path, &is_whole, &found))
		return ADMIN_EXIT_OK;
	if (is_whole && found.shards[0].join == SUPERBLOCK_SUPERSEDED)
		return refuse(
		    text, text_bytes,
		    "%s holds what this node had when the cluster went on without it: move "
		    "it away and keep it until nobody needs its divergent tail (`tern log "
		    "divergent list`), and try again",
		    path);
	if (is_whole && found.node_id == config->id)
		return refuse(
		    text, text_bytes,
		    "%s holds this node's storage, and what it promised: start ternd with "
		    "it. Only if ternd says that it is damaged, or that too few devices are "
		    "left, move it away, keep it (it may be the last copy of something), and "
		    "try again",
		    path);
	return refuse(text, text_bytes,
		      "%s is there, and no storage that this node can start with: move it "
		      "away and keep it, or wipe the device if it may go",
		      path);
}

/* Refuses a spare that is not there, and is no file. */
static enum admin_exit
spares_check(const struct node_config *config, char *text, size_t text_bytes)
{
	for (uint32_t i = 0; i < config->spare_count; i++) {
		const char *path = config->spares[i].path;
		if (access(path, F_OK) == 0 || !node_is_device_name(path))
			continue;
		(void)snprintf(text, text_bytes,
			       "%s, a spare in the node file, is not there: connect it, or take it "
			       "out of the node file (`tern device remove`)",
			       path);
		return ADMIN_EXIT_CONFIG;
	}
	return ADMIN_EXIT_OK;
}

/* The same of what the node knows besides its own devices: a pool that it had may rest on it, and
 * would come back with it. What lies there of others never takes part in a start. */
enum admin_exit
node_spares_refuse(const struct node_config *config, char *text, size_t text_bytes)
{
	struct node_config *all = malloc(sizeof(*all));
	enum admin_exit code = ADMIN_EXIT_OK;

	if (!all) {
		(void)snprintf(text, text_bytes, "out of memory");
		return ADMIN_EXIT_FAILED;
	}
	*all = *config;
	node_config_load_taken(all);
	for (uint32_t i = 0; i < all->spare_count && !code; i++) {
		const char *path = all->spares[i].path;
		struct superblock found;
		bool is_whole;
		if (!holds_storage(path, &is_whole, &found) || !is_whole ||
		    found.node_id != config->id ||
		    (config->cluster_id != 0 && found.cluster_id != config->cluster_id))
			continue;
		code = refuse_storage(config, path, text, text_bytes);
		const size_t used = strlen(text);
		(void)snprintf(text + used, text_bytes - used,
			       "; it is a spare of this node, by its node file or by %s/spares",
			       config->storage_dir);
	}
	free(all);
	return code ? code : spares_check(config, text, text_bytes);
}

/* ---- pools ---- */

/* What was noted of an earlier pool is of no use to this one. */
static enum admin_exit
forget(const char *path, char *text, size_t text_bytes)
{
	if (unlink(path) == 0 || errno == ENOENT)
		return ADMIN_EXIT_OK;
	(void)snprintf(text, text_bytes, "%s cannot be removed: %s", path, strerror(errno));
	return ADMIN_EXIT_CONFIG;
}

static enum admin_exit
note_forget(const struct node_config *config, char *text, size_t text_bytes)
{
	char path[NODE_CONFIG_PATH_MAX + 16];

	node_config_note_path(config, path, sizeof(path));
	return forget(path, text, text_bytes);
}

static enum admin_exit
taken_forget(const struct node_config *config, char *text, size_t text_bytes)
{
	char path[NODE_CONFIG_PATH_MAX + 16];

	node_config_taken_path(config, path, sizeof(path));
	return forget(path, text, text_bytes);
}

/* One that is there already was made by `device add`, or is a block device that has to be blank
 * when it is needed. */
static enum admin_exit
spares_birth(const struct node_config *config, char *text, size_t text_bytes)
{
	enum admin_exit code = ADMIN_EXIT_OK;

	for (uint32_t i = 0; i < config->spare_count && !code; i++) {
		bool is_file;
		if (access(config->spares[i].path, F_OK) == 0)
			continue;
		code = node_spare_birth(config, config->spares[i].path, &is_file, text, text_bytes);
	}
	return code;
}

/* All or nothing: every device is looked at before the first is written to, and what was made for a
 * pool that did not come to be is taken back. Clearing large devices takes hours: their superblocks
 * go last, so that what ends it before leaves devices that are blank, and within them leaves what
 * node_unfinished_clear knows. The list of what came into the pool before goes behind them: as long
 * as there is no new pool the old one rests on it. */
static enum admin_exit
pool_birth(const struct node_config *config, const struct birth *birth, char *text,
	   size_t text_bytes)
{
	bool is_file[NODE_CONFIG_DEVICES_MAX] = { false };
	struct birth placed = *birth;
	enum admin_exit code = node_spares_refuse(config, text, text_bytes);
	uint32_t made = 0;
	char why[256];

	if (!code)
		code = node_unfinished_clear(config, text, text_bytes);
	placed.is_area_behind = true;
	for (uint32_t i = 0; i < config->device_count && !code; i++) {
		code = check_device(config, i, &is_file[i], text, text_bytes);
		placed.is_area_behind = placed.is_area_behind && is_file[i];
	}
	if (!code)
		code = note_forget(config, text, text_bytes);
	while (made < config->device_count && !code) {
		const uint64_t bytes = config->devices[made].bytes +
				       (placed.is_area_behind ? node_checkpoint_bytes(config) : 0);
		code = blank_birth(config, made, bytes, &is_file[made], text, text_bytes);
		made += !code;
	}
	if (!code)
		code = spares_birth(config, text, text_bytes);
	for (uint32_t i = 0; i < config->device_count && !code; i++)
		code = superblock_birth(config, i, &placed, text, text_bytes);
	if (!code)
		code = taken_forget(config, text, text_bytes);
	if (code)
		(void)node_birth_take_back(config, (UINT32_C(1) << made) - 1, why, sizeof(why));
	return code;
}

/* What comes after what was lost is numbered by the clock. */
static enum admin_exit
clock_refuse(const char *path, char *text, size_t text_bytes)
{
	const uint64_t now_s = platform_wall_ns() / NS_PER_S;

	return now_s != 0 && now_s <= INT32_MAX
		   ? ADMIN_EXIT_OK
		   : refuse(text, text_bytes, "%s: the clock of this machine is not set", path);
}

/* Storage that takes the place of other storage of this node, which may turn up again: the pool
 * says when it was made, and its superblocks are numbered from the clock on, above all that an
 * earlier one can have come to (docs/decisions/new-storage-begins-at-the-clock.md). */
static enum admin_exit
birth_again(const struct node_config *config, uint64_t cluster_id,
	    const struct generation *generation, bool is_filled, char *text, size_t text_bytes)
{
	const uint64_t now_ns = platform_wall_ns();
	const struct birth birth = {
		.cluster_id = cluster_id,
		.generation = *generation,
		.join = SUPERBLOCK_REJOINING,
		.sequence = now_ns,
		.born_ns = now_ns,
		.is_filled = is_filled,
	};
	const enum admin_exit code = clock_refuse(config->devices[0].path, text, text_bytes);

	return code ? code : pool_birth(config, &birth, text, text_bytes);
}

enum admin_exit
node_device_birth(const struct node_config *config, uint32_t number, char *text, size_t text_bytes)
{
	bool is_file;
	const enum admin_exit code = node_device_refuse(config, number, text, text_bytes);

	if (code)
		return code;
	const uint64_t bytes = node_pool_bytes(config, number);
	return blank_birth(config, number, bytes != 0 ? bytes : node_device_bytes(config), &is_file,
			   text, text_bytes);
}

enum admin_exit
node_birth(const struct node_config *config, uint64_t cluster_id,
	   const struct generation *generation, char *text, size_t text_bytes)
{
	text[0] = 0;
	if (platform_directory_make(config->storage_dir) != TERN_OK) {
		(void)snprintf(text, text_bytes, "%s cannot be made: %s", config->storage_dir,
			       strerror(errno));
		return ADMIN_EXIT_CONFIG;
	}
	if (config->kind == NODE_WITNESS)
		return witness_birth(config, cluster_id, generation, text, text_bytes);
	const struct birth birth = {
		.cluster_id = cluster_id,
		.generation = *generation,
		.join = SUPERBLOCK_MEMBER,
		.sequence = 1,
	};
	return pool_birth(config, &birth, text, text_bytes);
}

enum admin_exit
node_birth_empty(const struct node_config *config, uint64_t cluster_id, char *text,
		 size_t text_bytes)
{
	static const struct generation birth = { 1, 0 };

	text[0] = 0;
	if (platform_directory_make(config->storage_dir) != TERN_OK) {
		(void)snprintf(text, text_bytes, "%s cannot be made: %s", config->storage_dir,
			       strerror(errno));
		return ADMIN_EXIT_CONFIG;
	}
	return birth_again(config, cluster_id, &birth, true, text, text_bytes);
}

/* ---- storage that was lost ---- */

/* What the lost register held nobody knows: so the new one is of no generation, and grants nothing
 * before a master has let it enter (`tern cluster replace-witness`). Data nodes drop what an
 * earlier start of a node sent, so its boot numbers begin above all that a lost one can have had.
 */
static enum admin_exit
witness_again(const struct node_config *config, uint64_t cluster_id,
	      const struct generation *generation, char *text, size_t text_bytes)
{
	const struct witness_register fresh = {
		.sequence = 1,
		.cluster_id = cluster_id,
		.generation = *generation,
		.witness_id = config->id,
		.boot_no = (uint32_t)(platform_wall_ns() / NS_PER_S),
	};

	if (platform_directory_make(config->storage_dir) != TERN_OK) {
		(void)snprintf(text, text_bytes, "%s cannot be made: %s", config->storage_dir,
			       strerror(errno));
		return ADMIN_EXIT_CONFIG;
	}
	const enum tern_err err = register_store_create(config->register_file, &fresh);
	if (err == TERN_ERR_BUSY)
		return refuse(
		    text, text_bytes,
		    "%s is there: start tern-witness with it. Only if tern-witness says "
		    "that it is damaged, or if it is a copy, move it away and keep it, and "
		    "try again",
		    config->register_file);
	if (err)
		(void)snprintf(text, text_bytes, "%s cannot be created: %s", config->register_file,
			       tern_err_text(err));
	return err ? ADMIN_EXIT_CONFIG : ADMIN_EXIT_OK;
}

enum admin_exit
node_rejoin_refuse(const struct node_config *config, char *text, size_t text_bytes)
{
	text[0] = 0;
	if (config->kind == NODE_DATA && is_pow2_u64(config->data_nodes))
		return refuse(text, text_bytes,
			      "%s held the only copy of the data: there is nobody to take it from",
			      config->devices[0].path);
	const bool is_data = config->kind == NODE_DATA;
	const enum admin_exit code = clock_refuse(
	    is_data ? config->devices[0].path : config->register_file, text, text_bytes);
	return code || !is_data ? code : node_spares_refuse(config, text, text_bytes);
}

enum admin_exit
node_rejoin(const struct node_config *config, uint64_t cluster_id,
	    const struct generation *generation, char *text, size_t text_bytes)
{
	enum admin_exit code = node_rejoin_refuse(config, text, text_bytes);

	if (!code && config->kind == NODE_WITNESS)
		return witness_again(config, cluster_id, generation, text, text_bytes);
	if (!code)
		code = node_unfinished_clear(config, text, text_bytes);
	for (uint32_t i = 0; i < config->device_count && !code; i++)
		code = refuse_storage(config, config->devices[i].path, text, text_bytes);
	if (code)
		return code;
	if (platform_directory_make(config->storage_dir) != TERN_OK) {
		(void)snprintf(text, text_bytes, "%s cannot be made: %s", config->storage_dir,
			       strerror(errno));
		return ADMIN_EXIT_CONFIG;
	}
	return birth_again(config, cluster_id, generation, false, text, text_bytes);
}

/* ---- what an unfinished birth left ---- */

static enum tern_err
device_is_unused(const char *path, uint64_t cluster_id, bool *is_unused, char *text,
		 size_t text_bytes)
{
	struct superblock found;
	uint32_t good_mask;
	uint64_t bytes;
	int fd;
	enum tern_err err = nvme_device_open(path, true, &fd, &bytes, text, text_bytes);

	if (err)
		return err;
	err = superblock_read(fd, &found, &good_mask);
	(void)close(fd);
	*is_unused = err == TERN_ERR_BLANK ||
		     (err == TERN_OK && found.cluster_id == cluster_id && found.boot_no == 0);
	return TERN_OK;
}

static enum tern_err
register_is_unused(const char *path, uint64_t cluster_id, bool *is_unused, char *text,
		   size_t text_bytes)
{
	struct register_store store;
	struct witness_register found;
	const enum tern_err err = register_store_open(&store, path, &found);

	if (err == TERN_OK)
		register_store_close(&store);
	else if (err == TERN_ERR_BUSY)
		(void)snprintf(text, text_bytes, "%s: another process uses it", path);
	if (err == TERN_ERR_BUSY)
		return err;
	*is_unused = err == TERN_ERR_BLANK ||
		     (err == TERN_OK && found.cluster_id == cluster_id && found.sequence == 1);
	return TERN_OK;
}

enum admin_exit
node_birth_clear(const char *path, bool is_witness, uint64_t cluster_id, char *text,
		 size_t text_bytes)
{
	struct stat facts;
	bool is_unused = false;
	enum tern_err err = TERN_OK;

	text[0] = 0;
	if (stat(path, &facts) != 0) {
		if (errno == ENOENT)
			return ADMIN_EXIT_OK;
		(void)snprintf(text, text_bytes, "%s: %s", path, strerror(errno));
		return ADMIN_EXIT_CONFIG;
	}
	if (S_ISREG(facts.st_mode) && facts.st_size == 0)
		is_unused = true; /* ended between the file's name and its first byte */
	else if (is_witness)
		err = register_is_unused(path, cluster_id, &is_unused, text, text_bytes);
	else
		err = device_is_unused(path, cluster_id, &is_unused, text, text_bytes);
	if (err == TERN_OK && !is_unused)
		(void)snprintf(text, text_bytes,
			       "%s holds storage that was used, or of another cluster", path);
	else if (err == TERN_OK && unlink(path) != 0)
		(void)snprintf(text, text_bytes, "%s cannot be removed: %s", path, strerror(errno));
	return text[0] == 0 ? ADMIN_EXIT_OK : ADMIN_EXIT_CONFIG;
}
