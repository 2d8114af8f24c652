/* SPDX-License-Identifier: Apache-2.0 */
/* Spare devices of a node: into its node file, and out of it. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/device_look.h"
#include "control/config/node_config.h"
#include "hw/nvme_uring/nvme.h"

/* With what came in while the node ran. */
static struct node_config *
all_of(const struct node_config *config)
{
	struct node_config *all = malloc(sizeof(*all));

	if (all) {
		*all = *config;
		node_config_load_taken(all);
	}
	return all;
}

static enum admin_exit
load(struct cli *cli, struct node_config **config)
{
	char text[NODE_CONFIG_PATH_MAX + 512];
	enum admin_exit code = ADMIN_EXIT_OK;

	*config = malloc(sizeof(**config));
	if (!*config)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
	if (!cli->values[CLI_CONFIG])
		code = cli_fail(cli, ADMIN_EXIT_USAGE, "--config FILE is missing");
	else if (node_config_load(cli->values[CLI_CONFIG], *config, text, sizeof(text)))
		code = cli_fail(cli, ADMIN_EXIT_CONFIG, "%s", text);
	if (!code)
		return code;
	free(*config);
	*config = NULL;
	return code;
}

/* Two names of one device. */
static bool
is_same(const char *a, const char *b)
{
	char real_a[PATH_MAX], real_b[PATH_MAX];

	if (strcmp(a, b) == 0)
		return true;
	return realpath(a, real_a) && realpath(b, real_b) && strcmp(real_a, real_b) == 0;
}

/* The place of @path among @devices; @count: it is none of them. */
static uint32_t
place_of(const struct node_config_device *devices, uint32_t count, const char *path)
{
	uint32_t i = 0;

	while (i < count && !is_same(devices[i].path, path))
		i++;
	return i;
}

/* What the node file rules out, whatever the device is. */
static enum admin_exit
refuse_by_file(struct cli *cli, const struct node_config *config, const char *path)
{
	const uint32_t place = place_of(config->devices, config->device_count, path);

	if (config->kind == NODE_WITNESS || config->parity == 0)
		return cli_fail(cli, ADMIN_EXIT_REFUSED,
				"%s has no parity, so nothing could be made anew on a spare; k + m "
				"is chosen before `tern node init` and changed by giving the node "
				"new storage (`tern node rejoin`)",
				config->name);
	if (place < config->device_count)
		return cli_fail(cli, ADMIN_EXIT_REFUSED, "%s is device %u of %s already", path,
				place, config->name);
	if (place_of(config->spares, config->spare_count, path) < config->spare_count)
		return cli_fail(cli, ADMIN_EXIT_REFUSED, "%s is a spare of %s already", path,
				config->name);
	if (config->spare_count == NODE_CONFIG_SPARES_MAX)
		return cli_fail(cli, ADMIN_EXIT_REFUSED, "%s has %u spares, the most there can be",
				config->name, NODE_CONFIG_SPARES_MAX);
	return ADMIN_EXIT_OK;
}

/* What the node knows besides its node file, and what it has written itself and still rests on.
 * Writes nothing. */
static enum admin_exit
refuse_by_pool(struct cli *cli, const struct node_config *config, const struct device_look *look,
	       const char *path)
{
	struct node_config *all = all_of(config);
	char text[2 * NODE_CONFIG_PATH_MAX + 512] = "out of memory";
	enum admin_exit code = all ? ADMIN_EXIT_OK : ADMIN_EXIT_FAILED;

	if (all && place_of(all->spares, all->spare_count, path) < all->spare_count) {
		code = ADMIN_EXIT_REFUSED;
		(void)snprintf(text, sizeof(text),
			       "%s is known to %s already, for it came in while the node ran "
			       "(%s/spares): name it in the node file in the place of the device "
			       "that it replaced (`tern device list`)",
			       path, config->name, config->storage_dir);
	} else if (all && look->fit == DEVICE_FIT_WIPE && device_look_is_own(config, look)) {
		code = node_spare_refuse(all, path, &look->superblock, text, sizeof(text));
	}
	free(all);
	return code ? cli_fail(cli, code, "%s", text) : ADMIN_EXIT_OK;
}

/* Writes nothing. */
static enum admin_exit
refuse_by_look(struct cli *cli, const struct device_look *look, const char *path, uint64_t bytes)
{
	char has[32], needs[32];

	if (look->fit == DEVICE_FIT_NO)
		return cli_fail(cli, ADMIN_EXIT_REFUSED, "%s cannot be had: %s", path, look->why);
	if (look->facts.kind == DEVICE_BLOCK && look->facts.bytes < bytes) {
		device_size_text(look->facts.bytes, has);
		device_size_text(bytes, needs);
		return cli_fail(cli, ADMIN_EXIT_REFUSED, "%s has %s; the node's devices take %s",
				path, has, needs);
	}
	if (look->fit == DEVICE_FIT_WIPE && !cli->values[CLI_WIPE])
		return cli_fail(cli, ADMIN_EXIT_REFUSED,
				"%s carries %s, and is left alone; if that may go, say `--wipe %s`",
				path, look->carries, look->wipe_by);
	return ADMIN_EXIT_OK;
}

/* A file of this length, or a block device that is blank as far as the node goes. */
static enum admin_exit
make_blank(struct cli *cli, const struct node_config *config, const char *path, uint64_t bytes)
{
	struct node_config *one = calloc(1, sizeof(*one));
	char text[768] = "out of memory";
	enum admin_exit code = one ? ADMIN_EXIT_OK : ADMIN_EXIT_FAILED;
	struct device_look look;

	if (one && cli->values[CLI_WIPE]) {
		one->id = config->id;
		one->cluster_id = config->cluster_id;
		one->device_count = 1;
		(void)snprintf(one->devices[0].path, sizeof(one->devices[0].path), "%s", path);
		code = device_wipe(one, 0, 1, cli->values[CLI_WIPE], false, text, sizeof(text));
	}
	free(one);
	if (code)
		return cli_fail(cli, code, "%s", text);
	device_look(path, &look);
	const enum tern_err err = look.facts.kind == DEVICE_BLOCK
				      ? nvme_prepare_device(path, bytes, text, sizeof(text))
				      : nvme_create_file(path, bytes, text, sizeof(text));
	return err ? cli_fail(cli, ADMIN_EXIT_FAILED, "%s", text) : ADMIN_EXIT_OK;
}

/* The node file, while others may edit it too. @config: as it is then. */
static enum admin_exit
edit_file(struct cli *cli, const struct node_config_spares_edit *edit, struct node_config *config)
{
	char text[NODE_CONFIG_PATH_MAX + 512];

	return node_config_edit_spares(cli->values[CLI_CONFIG], edit, config, text, sizeof(text))
		   ? cli_fail(cli, ADMIN_EXIT_CONFIG, "%s", text)
		   : ADMIN_EXIT_OK;
}

static enum admin_exit
report(struct cli *cli, const char *api, const struct node_config *config, const char *path,
       const char *done)
{
	if (cli->is_json)
		cli_print_json(cli, json_pack("{s:s,s:s,s:s,s:i}", "api", api, "node", config->name,
					      "path", path, "spares", (int)config->spare_count));
	else
		(void)fprintf(cli->out, "%s %s; %s has %u spares from its next start on\n", path,
			      done, config->name, config->spare_count);
	return ADMIN_EXIT_OK;
}

/* As the caller's directory has it. */
static bool
absolute(const char *path, char out[NODE_CONFIG_PATH_MAX])
{
	char here[NODE_CONFIG_PATH_MAX] = "";

	if (path[0] != '/' && !getcwd(here, sizeof(here)))
		return false;
	const int bytes =
	    snprintf(out, NODE_CONFIG_PATH_MAX, "%s%s%s", here, path[0] != '/' ? "/" : "", path);
	return bytes > 0 && (size_t)bytes < NODE_CONFIG_PATH_MAX;
}

enum admin_exit
verb_device_add(struct cli *cli)
{
	char path[NODE_CONFIG_PATH_MAX], name[NODE_CONFIG_PATH_MAX];
	struct node_config_spares_edit edit = { .add = name, .is_trial = true };
	struct node_config *config;
	struct device_look look;
	enum admin_exit code = load(cli, &config);

	if (code)
		return code;
	if (!absolute(cli->arguments[0], path))
		code = cli_fail(cli, ADMIN_EXIT_USAGE, "the path is too long");
	if (!code)
		code = refuse_by_file(cli, config, path);
	const uint64_t bytes = node_device_bytes(config);
	if (!code) {
		device_look(path, &look);
		code = refuse_by_pool(cli, config, &look, path);
	}
	if (!code)
		code = refuse_by_look(cli, &look, path, bytes);
	if (!code) {
		/* The kernel's names change from start to start. */
		(void)snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1,
			       look.facts.by_id[0] != 0 ? look.facts.by_id : path);
		/* Before the device is written to, which takes hours. */
		code = edit_file(cli, &edit, config);
	}
	if (!code)
		code = make_blank(cli, config, name, bytes);
	edit.is_trial = false;
	if (!code)
		code = edit_file(cli, &edit, config);
	if (!code)
		code = report(cli, "device-add/v1", config, name, "is a spare");
	free(config);
	return code;
}

enum admin_exit
verb_device_remove(struct cli *cli)
{
	char path[NODE_CONFIG_PATH_MAX], name[NODE_CONFIG_PATH_MAX];
	struct node_config *config;
	enum admin_exit code = load(cli, &config);

	if (code)
		return code;
	if (!absolute(cli->arguments[0], path))
		code = cli_fail(cli, ADMIN_EXIT_USAGE, "the path is too long");
	const uint32_t device = place_of(config->devices, config->device_count, path);
	const uint32_t spare = place_of(config->spares, config->spare_count, path);
	if (!code && device < config->device_count)
		code =
		    cli_fail(cli, ADMIN_EXIT_REFUSED,
			     "%s is device %u of the %u + %u of %s, and k + m is for ever: `tern "
			     "device fail` takes it out, `tern device replace` puts another in "
			     "its place, `tern node rejoin` gives the node storage of another "
			     "kind",
			     path, device, config->device_count - config->parity, config->parity,
			     config->name);
	else if (!code && spare == config->spare_count)
		code = cli_fail(cli, ADMIN_EXIT_USAGE, "%s is no spare of %s", path, config->name);
	if (!code) {
		const struct node_config_spares_edit edit = { .remove = name };
		(void)snprintf(name, sizeof(name), "%s", config->spares[spare].path);
		code = edit_file(cli, &edit, config);
	}
	if (!code)
		code = report(cli, "device-remove/v1", config, path, "is no spare any more");
	free(config);
	return code;
}
