/* SPDX-License-Identifier: Apache-2.0 */
/* What a device carries, and whether it may go. */
#include "control/cli/device_look.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/wire/superblock_update.h"
#include "hw/device_facts/signature.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/superblock_io.h"

#define DEVICE_BYTES_MIN (4u << 20)

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void
name_to_wipe(const char *path, const struct device_facts *facts, char *out, size_t out_bytes)
{
	const bool is_disk = facts->kind == DEVICE_BLOCK && !facts->is_loop && !facts->is_partition;

	if (is_disk && facts->serial[0] != 0 && !device_serial_is_shared("", facts))
		(void)snprintf(out, out_bytes, "%s", facts->serial);
	else if (facts->kind == DEVICE_BLOCK && !facts->is_loop && facts->by_id[0] != 0)
		(void)snprintf(out, out_bytes, "%s", last_part(facts->by_id));
	else
		(void)snprintf(out, out_bytes, "%s", path);
}

static bool
is_named(const char *path, const struct device_look *look, const char *name, size_t bytes)
{
	const char *by_id = look->facts.by_id;
	const char *const names[] = { look->wipe_by, by_id, last_part(by_id) };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i][0] != 0 && strlen(names[i]) == bytes &&
		    memcmp(names[i], name, bytes) == 0)
			return true;
	return strcmp(look->wipe_by, path) == 0 && strlen(path) == bytes &&
	       memcmp(path, name, bytes) == 0;
}

static void
add_carried(struct device_look *look, const char *what)
{
	const size_t used = strlen(look->carries);

	(void)snprintf(look->carries + used, sizeof(look->carries) - used, "%s%s", used ? ", " : "",
		       what);
}

/* Tern's own superblock, and what nothing knows. */
static void
look_for_superblock(const char *path, bool has_signature, struct device_look *look)
{
	char text[256];
	uint32_t good_mask;
	uint64_t bytes;
	int fd;

	if (nvme_device_open(path, false, &fd, &bytes, text, sizeof(text)) != TERN_OK)
		return;
	const enum tern_err err = superblock_read(fd, &look->superblock, &good_mask);
	(void)close(fd);
	look->is_tern = err == TERN_OK;
	if (look->is_tern) {
		(void)snprintf(text, sizeof(text),
			       "Tern's storage (device %u of node %u, cluster %016" PRIx64 ")",
			       look->superblock.device, look->superblock.node_id,
			       look->superblock.cluster_id);
		add_carried(look, text);
	} else if (err == TERN_ERR_CORRUPT || err == TERN_ERR_VERSION) {
		add_carried(look, "Tern's storage, damaged or of another version");
	} else if (err != TERN_ERR_BLANK && !has_signature) {
		add_carried(look, "data that nothing here knows");
	}
}

static void
refuse(struct device_look *look, const char *why)
{
	look->fit = DEVICE_FIT_NO;
	(void)snprintf(look->why, sizeof(look->why), "%s", why);
}

/* What no wipe can change. */
static bool
is_unfit(const char *path, struct device_look *look)
{
	char who[DEVICE_WHY_MAX];

	if (look->facts.kind == DEVICE_OTHER)
		refuse(look, "it is neither a file nor a block device");
	else if (look->facts.is_read_only)
		refuse(look, "it is read-only");
	else if (look->facts.kind == DEVICE_BLOCK && look->facts.bytes < DEVICE_BYTES_MIN)
		refuse(look, "it is smaller than 4MiB");
	else if (look->facts.logical_bytes > DISK_PAGE_BYTES)
		refuse(look, "its sectors are larger than 4096 bytes");
	else if (device_is_in_use("", path, &look->facts, who, sizeof(who)))
		refuse(look, who);
	return look->fit == DEVICE_FIT_NO;
}

void
device_look(const char *path, struct device_look *look)
{
	uint32_t count = 0;

	memset(look, 0, sizeof(*look));
	look->fit = DEVICE_FIT_FREE;
	const enum tern_err err = device_facts_read("", path, &look->facts);
	name_to_wipe(path, &look->facts, look->wipe_by, sizeof(look->wipe_by));
	if (err == TERN_ERR_NOT_FOUND)
		return;
	if (err) {
		refuse(look, "it cannot be examined");
		return;
	}
	if (look->facts.kind == DEVICE_FILE || look->facts.kind == DEVICE_BLOCK) {
		if (signature_find(path, look->carries, sizeof(look->carries), &count)) {
			/* Whoever uses it is the better reason. */
			if (!is_unfit(path, look))
				refuse(look, look->carries);
			look->carries[0] = 0;
			return;
		}
		look_for_superblock(path, count != 0, look);
		if (look->facts.kind == DEVICE_FILE && look->carries[0] == 0)
			add_carried(look, "a file");
	}
	if (!is_unfit(path, look) && look->carries[0] != 0)
		look->fit = DEVICE_FIT_WIPE;
}

static const char *
fit_name(enum device_fit fit)
{
	switch (fit) {
	case DEVICE_FIT_FREE:
		return "yes";
	case DEVICE_FIT_WIPE:
		return "wipe";
	case DEVICE_FIT_NO:
		return "no";
	}
	return "no";
}

json_t *
device_look_json(const char *path, const struct device_look *look)
{
	json_t *object = json_pack("{s:s,s:s,s:s,s:s,s:s}", "path", path, "carries", look->carries,
				   "usable", fit_name(look->fit), "why", look->why, "wipe_by",
				   look->fit == DEVICE_FIT_WIPE ? look->wipe_by : "");

	if (look->is_tern)
		(void)json_object_set_new(
		    object, "tern",
		    json_pack("{s:o,s:i,s:i,s:i,s:i}", "cluster_id",
			      json_sprintf("%016" PRIx64, look->superblock.cluster_id), "node_id",
			      (int)look->superblock.node_id, "device", (int)look->superblock.device,
			      "k", (int)look->superblock.k, "m", (int)look->superblock.m));
	(void)json_object_set_new(object, "facts", device_facts_json(&look->facts));
	return object;
}

enum admin_exit
device_look_refuse(const char *path, char *text, size_t text_bytes)
{
	struct device_look look;

	device_look(path, &look);
	if (look.facts.kind != DEVICE_BLOCK)
		return ADMIN_EXIT_OK;
	if (look.fit == DEVICE_FIT_NO)
		(void)snprintf(text, text_bytes, "%s cannot be had: %s", path, look.why);
	else if (look.fit == DEVICE_FIT_WIPE && !look.is_tern)
		(void)snprintf(text, text_bytes,
			       "%s carries %s, and is left alone; if that may go, say `--wipe %s`",
			       path, look.carries, look.wipe_by);
	else
		return ADMIN_EXIT_OK;
	return ADMIN_EXIT_REFUSED;
}

/* ---- wiping ---- */

bool
device_look_is_own(const struct node_config *config, const struct device_look *look)
{
	return look->is_tern && look->superblock.node_id == config->id &&
	       (config->cluster_id == 0 || look->superblock.cluster_id == config->cluster_id);
}

/* A bit for each device that @list names. */
static enum admin_exit
names_find(const struct node_config *config, uint32_t first, uint32_t count, const char *list,
	   bool is_own_kept, uint32_t *mask, char *text, size_t text_bytes)
{
	struct device_look look;

	*mask = 0;
	for (const char *name = list; *name != 0;) {
		const size_t bytes = strcspn(name, ",");
		bool is_found = false;
		for (uint32_t i = first; i < first + count && !is_found; i++) {
			const char *path = config->devices[i].path;
			device_look(path, &look);
			is_found = is_named(path, &look, name, bytes);
			if (!is_found)
				continue;
			*mask |= 1u << i;
			if (look.fit == DEVICE_FIT_NO)
				(void)snprintf(text, text_bytes, "%s cannot be had: %s", path,
					       look.why);
			else if (is_own_kept && device_look_is_own(config, &look))
				(void)snprintf(text, text_bytes,
					       "%s holds storage of this very node, and what it "
					       "promised; --wipe does not take that: move it away",
					       path);
			else
				continue;
			return ADMIN_EXIT_REFUSED;
		}
		if (!is_found) {
			(void)snprintf(text, text_bytes,
				       "--wipe %.*s: none of the devices that this is about is "
				       "called so; `tern device scan` shows the names",
				       (int)bytes, name);
			return ADMIN_EXIT_USAGE;
		}
		name += bytes + (name[bytes] == ',');
	}
	return ADMIN_EXIT_OK;
}

/* Nothing is wiped for a verb that would then be refused for the sake of another device. */
static enum admin_exit
others_refuse(const struct node_config *config, uint32_t first, uint32_t count, uint32_t mask,
	      char *text, size_t text_bytes)
{
	struct device_look look;

	for (uint32_t i = first; i < first + count; i++) {
		const char *path = config->devices[i].path;
		if ((mask >> i & 1) != 0)
			continue;
		device_look(path, &look);
		if (look.fit == DEVICE_FIT_FREE)
			continue;
		if (look.fit == DEVICE_FIT_NO)
			(void)snprintf(text, text_bytes, "%s cannot be had: %s; nothing was wiped",
				       path, look.why);
		else
			(void)snprintf(text, text_bytes,
				       "%s carries %s, and --wipe does not name it (`--wipe %s`); "
				       "nothing was wiped",
				       path, look.carries, look.wipe_by);
		return ADMIN_EXIT_REFUSED;
	}
	return ADMIN_EXIT_OK;
}

static enum admin_exit
wipe_one(const char *path, char *text, size_t text_bytes)
{
	struct device_look look;

	device_look(path, &look);
	if (look.facts.kind == DEVICE_ABSENT)
		return ADMIN_EXIT_OK;
	if (look.facts.kind == DEVICE_FILE) {
		if (unlink(path) == 0)
			return ADMIN_EXIT_OK;
		(void)snprintf(text, text_bytes, "%s cannot be removed: %s", path, strerror(errno));
		return ADMIN_EXIT_FAILED;
	}
	if (signature_wipe(path, text, text_bytes) ||
	    nvme_prepare_device(path, SUPERBLOCK_AREA_PAGES * SUPERBLOCK_BYTES, text, text_bytes))
		return ADMIN_EXIT_FAILED;
	return ADMIN_EXIT_OK;
}

enum admin_exit
device_wipe(const struct node_config *config, uint32_t first, uint32_t count, const char *list,
	    bool is_own_kept, char *text, size_t text_bytes)
{
	uint32_t mask;
	enum admin_exit code =
	    names_find(config, first, count, list, is_own_kept, &mask, text, text_bytes);

	if (!code)
		code = others_refuse(config, first, count, mask, text, text_bytes);

	for (uint32_t i = first; i < first + count && !code; i++)
		if ((mask >> i & 1) != 0)
			code = wipe_one(config->devices[i].path, text, text_bytes);
	return code;
}
