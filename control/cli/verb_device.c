/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of every data node: state, what it means, what to do next. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/admin/admin_client.h"
#include "control/cli/cli.h"
#include "control/cli/device_look.h"
#include "control/config/node_config.h"

#define WORN_PCT           90u
#define REPLACE_TIMEOUT_MS 10000u

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "?";
}

static json_int_t
number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static bool
is_set(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

/* "node a  4+2  DEGRADED: 1 of 2 losses used, one more device may fail" */
static void
print_head(FILE *out, const json_t *entry, const json_t *pool)
{
	const json_int_t m = number_of(pool, "m"), left = number_of(pool, "losses_left");

	(void)fprintf(out, "node %s  %" PRId64 "+%" PRId64 "  ", text_of(entry, "name"),
		      (int64_t)number_of(pool, "k"), (int64_t)m);
	if (is_set(pool, "stopped") || is_set(entry, "storage_failed"))
		(void)fprintf(out,
			      "FAILED: more was lost than it bears; it acknowledges nothing\n");
	else if (is_set(pool, "degraded"))
		(void)fprintf(out,
			      "DEGRADED: %" PRId64 " of %" PRId64 " losses used, %" PRId64
			      " more may fail\n",
			      (int64_t)(m - left), (int64_t)m, (int64_t)left);
	else if (m == 0)
		(void)fprintf(out, "ok, no redundancy on this node\n");
	else
		(void)fprintf(out, "ok, %" PRId64 " may fail\n", (int64_t)m);
}

/* What this machine says of the device at a path; a node of another machine is asked there. */
static void
facts_of(const json_t *device, struct device_facts *facts)
{
	const char *path = text_of(device, "path");

	if (device_facts_read("", path, facts) == TERN_OK)
		device_facts_ask_controller(path, facts);
}

static void
count_cell(const json_t *object, const char *key, char out[CLI_CELL_MAX])
{
	(void)snprintf(out, CLI_CELL_MAX, "%" PRId64, (int64_t)number_of(object, key));
}

static void
device_row(struct cli_table *table, const json_t *device)
{
	const json_t *io = json_object_get(device, "io");
	char position[CLI_CELL_MAX], size[32], life[32] = "-", temperature[32] = "-";
	char reads[CLI_CELL_MAX], writes[CLI_CELL_MAX];
	struct device_facts facts;

	facts_of(device, &facts);
	count_cell(device, "position", position);
	count_cell(io, "read_errors", reads);
	count_cell(io, "write_errors", writes);
	device_size_text((uint64_t)number_of(device, "bytes"), size);
	if (facts.has_smart) {
		(void)snprintf(life, sizeof(life), "%u %%", facts.smart.wear_pct);
		(void)snprintf(temperature, sizeof(temperature), "%dC",
			       (int)facts.smart.temperature_c);
	}
	const char *const cells[] = { position,
				      text_of(device, "state"),
				      size,
				      facts.serial[0] != 0 ? facts.serial : "-",
				      life,
				      temperature,
				      reads,
				      writes,
				      text_of(device, "path") };
	cli_table_row(table, 9, cells);
}

static void
print_devices(FILE *out, const json_t *pool, int only)
{
	static const char *const heads[] = { "DEVICE", "STATE", "SIZE",  "SERIAL", "WORN",
					     "TEMP",   "R ERR", "W ERR", "PATH" };
	const json_t *devices = json_object_get(pool, "devices");
	struct cli_table table = { 0 };

	cli_table_row(&table, 9, heads);
	for (size_t i = 0; i < json_array_size(devices); i++)
		if (only < 0 || (size_t)only == i)
			device_row(&table, json_array_get(devices, i));
	cli_table_print(&table, out);
}

static const char *
state_meaning(const char *state)
{
	return strcmp(state, "ok") == 0 ? "it takes part in everything"
	       : strcmp(state, "rebuilding") == 0
		   ? "it is given what it missed, and does not count before it has all of it"
		   : "it is not asked any more; what it misses is made anew when it comes back at "
		     "a "
		     "start of the node, or is replaced";
}

/* A device that still serves and says that it will not for long. */
static void
print_advice(FILE *out, const json_t *entry, const json_t *pool)
{
	const json_t *devices = json_object_get(pool, "devices");

	for (size_t i = 0; i < json_array_size(devices); i++) {
		struct device_facts facts;
		facts_of(json_array_get(devices, i), &facts);
		if (!facts.has_smart ||
		    (facts.smart.critical_warning == 0 && facts.smart.wear_pct < WORN_PCT))
			continue;
		(void)fprintf(
		    out,
		    "device %zu %s: replace it soon; `tern device can-remove %s %zu` "
		    "tells whether the node bears it now\n",
		    i, facts.smart.critical_warning != 0 ? "raises a critical warning" : "is worn",
		    text_of(entry, "name"), i);
	}
}

/* What was seen of trouble, and the next step. */
static void
print_foot(FILE *out, const json_t *entry, const json_t *pool)
{
	const json_int_t errors = number_of(pool, "read_errors");
	const json_int_t bad = number_of(pool, "bad_pages");
	const json_int_t hung = number_of(pool, "hung_requests");

	if (errors != 0 || bad != 0 || hung != 0)
		(void)fprintf(out,
			      "since the start: %" PRId64 " reads failed, %" PRId64
			      " pages were not what they must be, %" PRId64
			      " requests were never answered\n",
			      (int64_t)errors, (int64_t)bad, (int64_t)hung);
	const json_int_t total = number_of(pool, "rebuild_total");
	const json_t *devices = json_object_get(pool, "devices");
	for (size_t i = 0; i < json_array_size(devices) && total != 0; i++)
		if (strcmp(text_of(json_array_get(devices, i), "state"), "rebuilding") == 0)
			(void)fprintf(
			    out, "rebuild of device %zu: %" PRId64 " of %" PRId64 " write groups\n",
			    i, (int64_t)number_of(pool, "rebuild_done"), (int64_t)total);
	if (is_set(pool, "stopped") || is_set(entry, "storage_failed"))
		(void)fprintf(out,
			      "next: bring a device back that only lost its connection and start "
			      "the node again, or give the node new storage (tern node "
			      "rejoin)\n");
	else if (is_set(pool, "degraded"))
		(void)fprintf(out, "next: docs/how-to/replace-a-failed-device.md\n");
}

static json_t *
data_node(const json_t *status, size_t index, const json_t **pool)
{
	json_t *entry = json_array_get(json_object_get(status, "nodes"), index);

	*pool = json_object_get(entry, "pool");
	return json_is_object(*pool) ? entry : NULL;
}

/* OK; DEGRADED: devices are lost; CRITICAL: a node has lost more than it bears. */
static enum admin_exit
pools_judge(const json_t *status)
{
	enum admin_exit health = ADMIN_EXIT_OK;
	const json_t *pool;

	for (size_t i = 0; i < json_array_size(json_object_get(status, "nodes")); i++) {
		const json_t *entry = data_node(status, i, &pool);
		if (entry && (is_set(pool, "stopped") || is_set(entry, "storage_failed")))
			return ADMIN_EXIT_CRITICAL;
		if (entry && is_set(pool, "degraded"))
			health = ADMIN_EXIT_DEGRADED;
	}
	return health;
}

static json_t *
pools_json(const json_t *status)
{
	json_t *nodes = json_array();
	const json_t *pool;

	for (size_t i = 0; i < json_array_size(json_object_get(status, "nodes")); i++) {
		const json_t *entry = data_node(status, i, &pool);
		if (entry)
			(void)json_array_append_new(
			    nodes, json_pack("{s:s,s:b,s:O}", "node", text_of(entry, "name"),
					     "storage_failed", (int)is_set(entry, "storage_failed"),
					     "pool", pool));
	}
	return json_pack("{s:s,s:o}", "api", "device-list/v1", "nodes", nodes);
}

static enum admin_exit
ask(struct cli *cli, json_t **status)
{
	struct cluster cluster;
	enum admin_exit health;
	const enum admin_exit code = cluster_find(cli, &cluster);

	if (!code)
		*status = cluster_status(&cluster, cli->timeout_ms, &health);
	return code;
}

enum admin_exit
verb_device_list(struct cli *cli)
{
	json_t *status;
	const json_t *pool;
	const enum admin_exit code = ask(cli, &status);

	if (code)
		return code;
	const json_t *nodes = json_object_get(status, "nodes");
	for (size_t i = 0; i < json_array_size(nodes) && !cli->is_json; i++) {
		const json_t *entry = data_node(status, i, &pool);
		const json_t *silent = json_array_get(nodes, i);
		if (json_object_get(silent, "error"))
			(void)fprintf(cli->out, "node %s  does not answer: %s\n",
				      text_of(silent, "name"), text_of(silent, "error"));
		if (!entry)
			continue;
		print_head(cli->out, entry, pool);
		print_devices(cli->out, pool, -1);
		print_foot(cli->out, entry, pool);
		print_advice(cli->out, entry, pool);
	}
	if (cli->is_json)
		cli_print_json(cli, pools_json(status));
	const enum admin_exit health = pools_judge(status);
	json_decref(status);
	return health;
}

struct chosen {
	const json_t *entry, *pool; /* of the node */
	json_t *device;
	int number;
};

/* NODE DEVICE */
static enum admin_exit
choose(struct cli *cli, const json_t *status, struct chosen *chosen)
{
	const json_t *nodes = json_object_get(status, "nodes");
	char *end;

	*chosen = (struct chosen){ 0 };
	for (size_t i = 0; i < json_array_size(nodes) && !chosen->entry; i++) {
		const json_t *one = data_node(status, i, &chosen->pool);
		if (one && strcmp(text_of(one, "name"), cli->arguments[0]) == 0)
			chosen->entry = one;
	}
	if (!chosen->entry)
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"no data node \"%.32s\" that answers; `tern status` shows all",
				cli->arguments[0]);
	const json_t *devices = json_object_get(chosen->pool, "devices");
	const size_t count = json_array_size(devices);
	const unsigned long number = strtoul(cli->arguments[1], &end, 10);
	if (end == cli->arguments[1] || *end != 0 || number >= count)
		return cli_fail(cli, ADMIN_EXIT_USAGE, "device \"%.32s\" of %s, allowed 0 to %zu",
				cli->arguments[1], cli->arguments[0], count - 1);
	chosen->device = json_array_get(devices, number);
	chosen->number = (int)number;
	return ADMIN_EXIT_OK;
}

/* What @say says of the device that the command names. */
static enum admin_exit
say_of_chosen(struct cli *cli, enum admin_exit (*say)(struct cli *cli, const struct chosen *chosen))
{
	struct chosen chosen;
	json_t *status;
	enum admin_exit code = ask(cli, &status);

	if (code)
		return code;
	code = choose(cli, status, &chosen);
	if (!code)
		code = say(cli, &chosen);
	json_decref(status);
	return code;
}

static enum admin_exit
show(struct cli *cli, const struct chosen *chosen)
{
	const json_t *entry = chosen->entry, *disk = json_object_get(entry, "disk");
	const char *state = text_of(chosen->device, "state");
	const char *unpolled = text_of(disk, "polled_why_not");
	const char *uncommanded = text_of(disk, "passthrough_why_not");
	struct device_facts facts;

	facts_of(chosen->device, &facts);
	if (cli->is_json) {
		cli_print_json(cli, json_pack("{s:s,s:s,s:O,s:O,s:o}", "api", "device/v1", "node",
					      text_of(entry, "name"), "device", chosen->device,
					      "disk", disk, "facts", device_facts_json(&facts)));
	} else {
		print_head(cli->out, entry, chosen->pool);
		print_devices(cli->out, chosen->pool, chosen->number);
		(void)fprintf(cli->out, "  %s: %s\n", state, state_meaning(state));
		device_facts_print(cli->out, &facts);
		(void)fprintf(cli->out, "  the node     %s\n", text_of(entry, "disk_mode"));
		if (unpolled[0] != 0 && unpolled[0] != '?')
			(void)fprintf(cli->out, "  not polled   %s\n", unpolled);
		if (uncommanded[0] != 0 && uncommanded[0] != '?')
			(void)fprintf(cli->out, "  block I/O    %s\n", uncommanded);
		print_foot(cli->out, entry, chosen->pool);
	}
	return strcmp(state, "ok") == 0 ? ADMIN_EXIT_OK : ADMIN_EXIT_DEGRADED;
}

enum admin_exit
verb_device_show(struct cli *cli)
{
	return say_of_chosen(cli, show);
}

/* Whether a node would bear the loss of a device now: pulled, or failed. */
static enum admin_exit
say_if_borne(struct cli *cli, const struct chosen *chosen)
{
	const char *name = text_of(chosen->entry, "name");
	const char *state = text_of(chosen->device, "state");
	const bool is_lost = strcmp(state, "ok") != 0;
	const json_int_t left = number_of(chosen->pool, "losses_left");
	const bool is_borne = is_lost || left > 0;

	if (cli->is_json)
		cli_print_json(cli, json_pack("{s:s,s:s,s:i,s:b,s:I}", "api",
					      "device-can-remove/v1", "node", name, "device",
					      chosen->number, "borne", (int)is_borne, "losses_left",
					      (json_int_t)(is_lost ? left : left - 1)));
	else if (is_lost)
		(void)fprintf(cli->out, "yes: device %d is %s, nothing rests on it\n",
			      chosen->number, state);
	else if (is_borne)
		(void)fprintf(cli->out,
			      "yes: without device %d the node bears %" PRId64 " more losses\n",
			      chosen->number, (int64_t)(left - 1));
	else
		(void)fprintf(cli->out,
			      "no: without device %d node %s has less than it can read "
			      "from; it would stop acknowledging\n",
			      chosen->number, name);
	return is_borne ? ADMIN_EXIT_OK : ADMIN_EXIT_REFUSED;
}

enum admin_exit
verb_device_can_remove(struct cli *cli)
{
	return say_of_chosen(cli, say_if_borne);
}

/* By its node file, or because it was asked to take it. */
static bool
node_knows(struct node_config *config, const char *path)
{
	uint32_t spare;

	node_config_load_taken(config);
	return node_config_names_device(config, path, &spare);
}

/* While the node runs: @path takes the place of the device. What the node knows it looks at itself;
 * the rest is made blank here. */
static enum admin_exit
replace_hot(struct cli *cli, struct node_config *config, unsigned long number, const char *path,
	    char *text, size_t text_bytes)
{
	const uint32_t timeout_ms = cli->timeout_ms ? cli->timeout_ms : REPLACE_TIMEOUT_MS;
	const bool is_known = node_knows(config, path);
	bool is_file = false;
	enum admin_exit code = ADMIN_EXIT_OK;
	json_t *result = NULL;

	if (path[0] != '/') {
		(void)snprintf(text, text_bytes, "\"%.200s\": an absolute path is needed", path);
		return ADMIN_EXIT_USAGE;
	}
	/* Before anything is made: is there somebody who takes it? */
	code =
	    admin_call(config->admin_socket, "status", NULL, timeout_ms, &result, text, text_bytes);
	json_decref(result);
	result = NULL;
	if (!code && !is_known)
		code = node_spare_birth(config, path, &is_file, text, text_bytes);
	if (code)
		return code;
	json_t *arguments = json_pack("{s:I,s:s}", "device", (json_int_t)number, "path", path);
	code = admin_call(config->admin_socket, "device-replace", arguments, timeout_ms, &result,
			  text, text_bytes);
	json_decref(arguments);
	json_decref(result);
	if (!code || code == ADMIN_EXIT_UNKNOWN || code == ADMIN_EXIT_UNREACHABLE || !is_file)
		return code;
	/* A refused file does not stay in the way of the next try; but what the node has open is
	 * what it would write to then, whatever lies at the path. */
	if (!node_knows(config, path)) {
		(void)unlink(path);
		return code;
	}
	const size_t used = strlen(text);
	(void)snprintf(text + used, text_bytes - used,
		       "; the node has %s as a spare now: leave it there, and ask again", path);
	return code;
}

/* What --wipe names: what stands at the device's path while the node is stopped, or at @path. */
static enum admin_exit
replace_wipe(const struct cli *cli, const struct node_config *config, uint32_t number,
	     const char *path, char *text, size_t text_bytes)
{
	struct node_config *one = path ? malloc(sizeof(*one)) : NULL;
	enum admin_exit code = ADMIN_EXIT_OK;

	if (!path) {
		code = node_device_refuse(config, number, text, text_bytes);
		return code ? code
			    : device_wipe(config, number, 1, cli->values[CLI_WIPE], false, text,
					  text_bytes);
	}
	if (!one) {
		(void)snprintf(text, text_bytes, "out of memory");
		return ADMIN_EXIT_FAILED;
	}
	*one = *config;
	(void)snprintf(one->devices[0].path, sizeof(one->devices[0].path), "%s", path);
	code = device_wipe(one, 0, 1, cli->values[CLI_WIPE], true, text, text_bytes);
	free(one);
	return code;
}

static void
print_replaced(struct cli *cli, const struct node_config *config, unsigned long number,
	       const char *path, bool is_hot)
{
	if (cli->is_json)
		cli_print_json(cli, json_pack("{s:s,s:s,s:i,s:s,s:b}", "api", "device-replace/v1",
					      "node", config->name, "device", (int)number, "path",
					      path, "running", (int)is_hot));
	else if (is_hot)
		(void)fprintf(cli->out,
			      "%s is device %lu now and is being filled: tern device rebuild "
			      "status\nname it in the node file in place of %s\n",
			      path, number, config->devices[number].path);
	else
		(void)fprintf(cli->out,
			      "%s is blank; the node fills it in the background from its next "
			      "start on: tern device list\n",
			      path);
}

enum admin_exit
verb_device_replace(struct cli *cli)
{
	struct node_config *config = malloc(sizeof(*config));
	char text[NODE_CONFIG_PATH_MAX + 512], *end;
	const char *path = cli->arguments[1];
	enum admin_exit code = ADMIN_EXIT_OK;

	if (!config)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
	if (!cli->values[CLI_CONFIG])
		code = cli_fail(cli, ADMIN_EXIT_USAGE, "--config FILE is missing");
	else if (node_config_load(cli->values[CLI_CONFIG], config, text, sizeof(text)))
		code = cli_fail(cli, ADMIN_EXIT_CONFIG, "%s", text);
	const unsigned long number = code ? 0 : strtoul(cli->arguments[0], &end, 10);
	if (!code && (end == cli->arguments[0] || *end != 0 || number >= config->device_count ||
		      config->parity == 0))
		code = cli_fail(cli, ADMIN_EXIT_USAGE,
				"device \"%.32s\", allowed 0 to %u of a node with parity",
				cli->arguments[0],
				config->device_count == 0 ? 0 : config->device_count - 1);
	if (!code && cli->values[CLI_WIPE]) {
		code = replace_wipe(cli, config, (uint32_t)number, path, text, sizeof(text));
		if (code)
			(void)cli_fail(cli, code, "%s", text);
	}
	if (!code) {
		code = path ? replace_hot(cli, config, number, path, text, sizeof(text))
			    : node_device_birth(config, (uint32_t)number, text, sizeof(text));
		if (code)
			(void)cli_fail(cli, code, "%s", text);
	}
	if (!code)
		print_replaced(cli, config, number, path ? path : config->devices[number].path,
			       path != NULL);
	free(config);
	return code;
}
