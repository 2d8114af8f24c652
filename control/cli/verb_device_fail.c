/* SPDX-License-Identifier: Apache-2.0 */
/* A device is taken out of a running node on purpose. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/admin/admin_client.h"
#include "control/cli/cli.h"

#define FAIL_TIMEOUT_MS 10000u
#define LOOK_MS         50u

static const struct cluster_node *
node_named(const struct cluster *cluster, const char *name)
{
	for (uint32_t i = 0; i < cluster->node_count; i++)
		if (!cluster->nodes[i].is_witness && strcmp(cluster->nodes[i].name, name) == 0)
			return &cluster->nodes[i];
	return NULL;
}

/* A new reference; NULL: it does not answer. */
static json_t *
device_ask(const struct cluster_node *node, unsigned long device)
{
	json_t *status = NULL;
	char text[256];

	if (admin_call(node->admin_socket, "status", NULL, LOOK_MS * 20, &status, text,
		       sizeof(text)))
		return NULL;
	json_t *one =
	    json_array_get(json_object_get(json_object_get(status, "pool"), "devices"), device);
	json_incref(one);
	json_decref(status);
	return one;
}

/* The superblocks of the others say so, so no start of the node takes it for whole; or a spare
 * stands in its place already, which comes after that. */
static bool
is_recorded(const struct cluster_node *node, unsigned long device, const char *path)
{
	json_t *one = device_ask(node, device);
	const char *now = json_string_value(json_object_get(one, "path"));
	const bool is_out = one && (json_is_true(json_object_get(one, "recorded")) ||
				    (now && path && strcmp(now, path) != 0));

	json_decref(one);
	return is_out;
}

static bool
wait_recorded(const struct cluster_node *node, unsigned long device, const char *path,
	      uint32_t timeout_ms)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };

	for (uint32_t waited = 0; waited < timeout_ms; waited += LOOK_MS) {
		if (is_recorded(node, device, path))
			return true;
		(void)nanosleep(&pause, NULL);
	}
	return false;
}

enum admin_exit
verb_device_fail(struct cli *cli)
{
	const uint32_t timeout_ms = cli->timeout_ms ? cli->timeout_ms : FAIL_TIMEOUT_MS;
	struct cluster cluster;
	char text[512], *end;
	json_t *result = NULL;
	enum admin_exit code = cluster_find(cli, &cluster);

	if (code)
		return code;
	const struct cluster_node *node = node_named(&cluster, cli->arguments[0]);
	const unsigned long device = strtoul(cli->arguments[1], &end, 10);
	if (!node || node->admin_socket[0] == 0)
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"no data node \"%.32s\" that can be asked from here; `tern "
				"status` shows all",
				cli->arguments[0]);
	if (end == cli->arguments[1] || *end != 0)
		return cli_fail(cli, ADMIN_EXIT_USAGE, "device \"%.32s\": a position, from 0",
				cli->arguments[1]);
	json_t *before = device_ask(node, device);
	const char *path = json_string_value(json_object_get(before, "path"));
	json_t *arguments = json_pack("{s:I}", "device", (json_int_t)device);
	code = admin_call(node->admin_socket, "device-fail", arguments, timeout_ms, &result, text,
			  sizeof(text));
	json_decref(arguments);
	json_decref(result);
	if (code) {
		json_decref(before);
		return cli_fail(cli, code, "%s", text);
	}
	const bool is_known = wait_recorded(node, device, path, timeout_ms);
	json_decref(before);
	if (!is_known)
		return cli_fail(cli, ADMIN_EXIT_UNKNOWN,
				"device %lu of %s is out, but that is not recorded on the others "
				"yet; `tern device list` shows it",
				device, node->name);
	if (cli->is_json)
		cli_print_json(cli, json_pack("{s:s,s:s,s:I}", "api", "device-fail/v1", "node",
					      node->name, "device", (json_int_t)device));
	else
		(void)fprintf(cli->out,
			      "device %lu of %s is out and may be pulled; a spare takes its "
			      "place, or itself, made whole, if it is there at the node's next "
			      "start\n",
			      device, node->name);
	return ADMIN_EXIT_OK;
}
