/* SPDX-License-Identifier: Apache-2.0 */
#include "control/config/node_config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/config/config_reader.h"
#include "control/config/config_units.h"
#include "dataplane/base/bits.h"

#define INCLUDES_MAX 32u /* files that are looked through before libconfig reads them */

/* ---- unknown keys ---- */

static enum tern_err
unknown_key(struct config_reader *reader, const config_setting_t *setting, const char *full,
	    const char *nearest, uint32_t distance)
{
	if (nearest && distance <= 3)
		return config_fail(reader, setting, full, "unknown key, did you mean \"%s\"?",
				   nearest);
	return config_fail(reader, setting, full,
			   "unknown key; the reference of the node file lists all of them");
}

static void
consider(const char *word, const char *candidate, const char **nearest, uint32_t *distance)
{
	const uint32_t d = config_distance(word, candidate);

	if (d < *distance) {
		*distance = d;
		*nearest = candidate;
	}
}

static const char *const plain_roots[] = { "schema", "nodes", "devices",
					   "spares", "ports", "description" };

/* A top-level word is a key, or the group of keys that begin with it and a dot. */
static bool
is_root_known(const char *word, bool *is_group, bool is_profile)
{
	const size_t bytes = strlen(word);

	*is_group = false;
	for (size_t i = 0; i < sizeof(plain_roots) / sizeof(plain_roots[0]); i++) {
		const bool is_node_only = strcmp(word, "nodes") == 0 ||
					  strcmp(word, "devices") == 0 ||
					  strcmp(word, "spares") == 0;
		if (strcmp(word, plain_roots[i]) == 0)
			return !(is_profile && is_node_only);
	}
	for (size_t i = 0; i < config_key_count; i++) {
		const char *path = config_keys[i].path;
		if (is_profile && !config_keys[i].is_profile)
			continue;
		if (strcmp(path, word) == 0)
			return true;
		if (strncmp(path, word, bytes) == 0 && path[bytes] == '.') {
			*is_group = true;
			return true;
		}
	}
	return false;
}

static enum tern_err
unknown_root(struct config_reader *reader, const config_setting_t *setting, bool is_profile)
{
	const char *word = config_setting_name(setting), *nearest = NULL;
	static const char *const groups[] = { "node", "timers", "poll",    "memory", "disk",
					      "log",  "state",  "gateway", "policy", "sentinel" };
	uint32_t distance = UINT32_MAX;
	bool is_group;

	if (is_profile && is_root_known(word, &is_group, false))
		return config_fail(reader, setting, word,
				   "belongs in the node file, not in a hardware profile");
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		consider(word, groups[i], &nearest, &distance);
	for (size_t i = 0; i < sizeof(plain_roots) / sizeof(plain_roots[0]); i++)
		consider(word, plain_roots[i], &nearest, &distance);
	for (size_t i = 0; i < config_key_count; i++) {
		if (!strchr(config_keys[i].path, '.'))
			consider(word, config_keys[i].path, &nearest, &distance);
	}
	return unknown_key(reader, setting, word, nearest, distance);
}

static enum tern_err
check_group(struct config_reader *reader, const config_setting_t *group)
{
	const char *prefix = config_setting_name(group);
	const size_t prefix_bytes = strlen(prefix);
	const int count = config_setting_length(group);

	if (!config_setting_is_group(group))
		return config_fail(reader, group, prefix, "must be a group: %s = { ... };", prefix);
	for (int i = 0; i < count; i++) {
		const config_setting_t *child = config_setting_get_elem(group, (unsigned int)i);
		const char *word = config_setting_name(child), *nearest = NULL;
		uint32_t distance = UINT32_MAX;
		char full[128];
		for (size_t k = 0; k < config_key_count && distance != 0; k++) {
			const char *path = config_keys[k].path;
			if (strncmp(path, prefix, prefix_bytes) == 0 && path[prefix_bytes] == '.')
				consider(word, path + prefix_bytes + 1, &nearest, &distance);
		}
		(void)snprintf(full, sizeof(full), "%.31s.%.64s", prefix, word);
		if (distance != 0)
			return unknown_key(reader, child, full, nearest, distance);
	}
	return TERN_OK;
}

enum tern_err
config_check_keys(struct config_reader *reader, const config_setting_t *root, bool is_profile)
{
	const int count = config_setting_length(root);

	for (int i = 0; i < count; i++) {
		const config_setting_t *child = config_setting_get_elem(root, (unsigned int)i);
		bool is_group;
		enum tern_err err = TERN_OK;
		if (!is_root_known(config_setting_name(child), &is_group, is_profile))
			err = unknown_root(reader, child, is_profile);
		else if (is_group)
			err = check_group(reader, child);
		if (err)
			return err;
	}
	return TERN_OK;
}

enum tern_err
config_check_list_keys(struct config_reader *reader, const config_setting_t *element,
		       const char *list, const struct config_key *keys, size_t count)
{
	if (!config_setting_is_group(element))
		return config_fail(reader, element, list, "every entry must be a group { ... }");
	for (int i = 0; i < config_setting_length(element); i++) {
		const config_setting_t *child = config_setting_get_elem(element, (unsigned int)i);
		const char *nearest = NULL;
		uint32_t distance = UINT32_MAX;
		char full[128];
		for (size_t k = 0; k < count && distance != 0; k++)
			consider(config_setting_name(child), keys[k].path, &nearest, &distance);
		(void)snprintf(full, sizeof(full), "%s[].%.64s", list, config_setting_name(child));
		if (distance != 0)
			return unknown_key(reader, child, full, nearest, distance);
	}
	return TERN_OK;
}

/* ---- reading ---- */

static enum tern_err
read_list(struct config_reader *reader, const char *list, const struct config_key *keys,
	  size_t key_count, void *base, size_t element_bytes, uint32_t max, uint32_t *count)
{
	const config_setting_t *setting = config_find(reader, list);
	const int length = setting ? config_setting_length(setting) : 0;

	*count = 0;
	if (!setting)
		return TERN_OK;
	if (!config_setting_is_list(setting))
		return config_fail(reader, setting, list, "must be a list: %s = ( { ... }, ... );",
				   list);
	if (length > (int)max)
		return config_fail(reader, setting, list, "%d entries, allowed at most %u", length,
				   max);
	for (int i = 0; i < length; i++) {
		const config_setting_t *element = config_setting_get_elem(setting, (unsigned int)i);
		uint8_t *at = (uint8_t *)base + (size_t)i * element_bytes;
		enum tern_err err = config_check_list_keys(reader, element, list, keys, key_count);
		for (size_t k = 0; k < key_count && !err; k++) {
			const config_setting_t *value =
			    config_setting_get_member(element, keys[k].path);
			if (!value && !keys[k].fallback)
				return config_fail(reader, element, keys[k].path,
						   "missing in this entry of %s", list);
			err = config_read_key(reader, &keys[k], value, at);
		}
		if (err)
			return err;
	}
	*count = (uint32_t)length;
	return TERN_OK;
}

static enum tern_err
read_scalars(struct config_reader *reader)
{
	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];
		enum tern_err err =
		    config_read_key(reader, key, config_find(reader, key->path), reader->config);
		if (err)
			return err;
	}
	return TERN_OK;
}

static enum tern_err
read_lists(struct config_reader *reader)
{
	struct node_config *config = reader->config;
	enum tern_err err =
	    read_list(reader, "nodes", config_node_keys, config_node_key_count, config->nodes,
		      sizeof(config->nodes[0]), NODE_CONFIG_NODES_MAX, &config->node_count);
	if (!err)
		err = read_list(reader, "devices", config_device_keys, config_device_key_count,
				config->devices, sizeof(config->devices[0]),
				NODE_CONFIG_DEVICES_MAX, &config->device_count);
	if (!err)
		err = read_list(reader, "spares", config_spare_keys, config_spare_key_count,
				config->spares, sizeof(config->spares[0]), NODE_CONFIG_SPARES_MAX,
				&config->spare_count);
	if (!err)
		err = read_list(reader, "ports", config_port_keys, config_port_key_count,
				config->ports, sizeof(config->ports[0]), NODE_CONFIG_PORTS_MAX,
				&config->port_count);
	return err;
}

static enum tern_err
default_path(struct config_reader *reader, char *out, size_t out_bytes, const char *key,
	     const char *dir, const char *name)
{
	if (out[0] != 0)
		return TERN_OK;
	const int bytes = snprintf(out, out_bytes, "%s/%s", dir, name);
	if (bytes < 0 || (size_t)bytes >= out_bytes)
		return config_fail(reader, NULL, key,
				   "the default \"%s/%s\" is %d bytes long, allowed at most %zu; "
				   "give a shorter one",
				   dir, name, bytes, out_bytes - 1);
	return TERN_OK;
}

static enum tern_err
fill_paths(struct config_reader *reader)
{
	struct node_config *c = reader->config;
	enum tern_err err = default_path(reader, c->storage_dir, sizeof(c->storage_dir), "storage",
					 "/var/lib/tern", c->name);
	if (!err)
		err = default_path(reader, c->run_dir, sizeof(c->run_dir), "run", "/run/tern",
				   c->name);
	if (!err)
		err = default_path(reader, c->admin_socket, sizeof(c->admin_socket), "admin",
				   c->run_dir, "admin.sock");
	if (!err)
		err = default_path(reader, c->register_file, sizeof(c->register_file), "storage",
				   c->storage_dir, "register");
	if (!err)
		err = default_path(reader, c->divergent_dir, sizeof(c->divergent_dir), "storage",
				   c->storage_dir, "divergent");
	if (!err && c->device_count == 0 && c->kind == NODE_DATA) {
		c->device_count = 1;
		c->devices[0].bytes = 2ull << 30;
		err = default_path(reader, c->devices[0].path, sizeof(c->devices[0].path),
				   "devices", c->storage_dir, "device0");
	}
	return err;
}

/* Files that are still to be looked through. */
struct includes {
	char paths[INCLUDES_MAX][NODE_CONFIG_PATH_MAX];
	uint32_t count;
};

/* An @include in one line of @path. CONFIG: it names no file. */
static enum tern_err
take_include(struct config_reader *reader, struct includes *includes, const char *line,
	     const char *path, unsigned int number)
{
	char name[NODE_CONFIG_PATH_MAX], full[2 * NODE_CONFIG_PATH_MAX + 2];
	struct stat facts;

	if (sscanf(line, " @include \"%511[^\"]\"", name) != 1)
		return TERN_OK;
	(void)snprintf(full, sizeof(full), "%s%s%s", name[0] == '/' ? "" : reader->dir,
		       name[0] == '/' ? "" : "/", name);
	const int failed = stat(full, &facts) != 0 ? errno : 0;
	if (failed != 0 || !S_ISREG(facts.st_mode)) {
		(void)snprintf(reader->text, reader->text_bytes,
			       "%s:%u: @include: %s: %s; paths begin at the node file's directory",
			       path, number, full, failed ? strerror(failed) : "is no file");
		return TERN_ERR_CONFIG;
	}
	for (uint32_t i = 0; i < includes->count; i++)
		if (strcmp(includes->paths[i], full) == 0)
			return TERN_OK;
	if (includes->count < INCLUDES_MAX && strlen(full) < NODE_CONFIG_PATH_MAX)
		memcpy(includes->paths[includes->count++], full, strlen(full) + 1);
	return TERN_OK;
}

/* Where an @include names a directory or nothing: the scanner of libconfig would end the process,
 * or not say what it looked for. */
static enum tern_err
check_includes(struct config_reader *reader, const char *path)
{
	struct includes *includes = calloc(1, sizeof(*includes));
	enum tern_err err = includes ? TERN_OK : TERN_ERR_NO_MEMORY;
	char line[1024];

	if (includes)
		(void)snprintf(includes->paths[includes->count++], NODE_CONFIG_PATH_MAX, "%s",
			       path);
	for (uint32_t i = 0; !err && i < includes->count; i++) {
		FILE *stream = fopen(includes->paths[i], "re");
		for (unsigned int number = 1; stream && !err && fgets(line, sizeof(line), stream);
		     number++)
			err = take_include(reader, includes, line, includes->paths[i], number);
		if (stream)
			(void)fclose(stream);
	}
	free(includes);
	return err;
}

static enum tern_err
read_file(struct config_reader *reader, config_t *file, const char *path)
{
	FILE *stream = fopen(path, "re");

	if (!stream) {
		(void)snprintf(reader->text, reader->text_bytes, "%s: cannot be read: %s", path,
			       strerror(errno));
		return TERN_ERR_CONFIG;
	}
	/* The scanner of libconfig ends the process when it meets a directory. */
	struct stat facts;
	const bool is_file = fstat(fileno(stream), &facts) == 0 && S_ISREG(facts.st_mode);
	(void)fclose(stream);
	if (!is_file) {
		(void)snprintf(reader->text, reader->text_bytes,
			       "%s: is no file; name a node file or a hardware profile", path);
		return TERN_ERR_CONFIG;
	}
	config_set_include_dir(file, reader->dir);
	const enum tern_err err = check_includes(reader, path);
	if (err)
		return err;
	if (config_read_file(file, path) != CONFIG_TRUE) {
		const char *where = config_error_file(file);
		(void)snprintf(reader->text, reader->text_bytes, "%s:%d: %s", where ? where : path,
			       config_error_line(file), config_error_text(file));
		return TERN_ERR_CONFIG;
	}
	const config_setting_t *schema = config_lookup(file, "schema");
	if (schema && (config_setting_type(schema) != CONFIG_TYPE_INT ||
		       config_setting_get_int(schema) != NODE_CONFIG_SCHEMA ||
		       config_is_number_too_long(schema)))
		return config_fail(reader, schema, "schema",
				   "this build does not know it, allowed %d", NODE_CONFIG_SCHEMA);
	return TERN_OK;
}

static enum tern_err
read_profile(struct config_reader *reader)
{
	const config_setting_t *setting = config_lookup(&reader->node, "profile");

	for (size_t i = 0; i < config_key_count; i++) {
		if (strcmp(config_keys[i].path, "profile") != 0)
			continue;
		enum tern_err err =
		    config_read_key(reader, &config_keys[i], setting, reader->config);
		if (err)
			return err;
	}
	if (reader->config->profile[0] == 0)
		return TERN_OK;
	enum tern_err err = read_file(reader, &reader->profile, reader->config->profile);
	reader->has_profile = err == TERN_OK;
	if (!err)
		err = config_check_keys(reader, config_root_setting(&reader->profile), true);
	return err;
}

static enum tern_err
find_dir(struct config_reader *reader, char *full, size_t full_bytes)
{
	char *resolved = realpath(reader->path, NULL);

	if (!resolved || strlen(resolved) >= full_bytes) {
		(void)snprintf(reader->text, reader->text_bytes, "%s: cannot be read: %s",
			       reader->path, resolved ? "path too long" : strerror(errno));
		free(resolved);
		return TERN_ERR_CONFIG;
	}
	(void)snprintf(full, full_bytes, "%s", resolved);
	(void)snprintf(reader->dir, sizeof(reader->dir), "%s", resolved);
	free(resolved);
	char *slash = strrchr(reader->dir, '/');
	slash[slash == reader->dir ? 1 : 0] = 0;
	return TERN_OK;
}

enum tern_err
node_config_load(const char *path, struct node_config *config, char *text, size_t text_bytes)
{
	struct config_reader reader = {
		.path = path, .config = config, .text = text, .text_bytes = text_bytes
	};

	memset(config, 0, sizeof(*config));
	if (text_bytes > 0)
		text[0] = 0;
	config_init(&reader.node);
	config_init(&reader.profile);
	enum tern_err err = find_dir(&reader, config->file, sizeof(config->file));
	if (!err)
		err = read_file(&reader, &reader.node, path);
	if (!err)
		err = config_check_keys(&reader, config_root_setting(&reader.node), false);
	if (!err)
		err = read_profile(&reader);
	if (!err)
		err = read_scalars(&reader);
	if (!err)
		err = read_lists(&reader);
	if (!err)
		err = fill_paths(&reader);
	if (!err)
		err = config_check(&reader);
	config_destroy(&reader.node);
	config_destroy(&reader.profile);
	return err;
}
