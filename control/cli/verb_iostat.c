/* SPDX-License-Identifier: Apache-2.0 */
/* What the devices of the data nodes do. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/admin/admin_client.h"
#include "control/cli/cli.h"
#include "control/config/config_units.h"

#define ASK_MS      1000u
#define BUCKETS_MAX 1024u
#define PERMILLE    990u
#define COLUMNS     13u

/* The value below which PERMILLE of what came between two readings lies; 0: nothing came. Lists of
 * [ns, count], rising; what is in @before is in @after too. */
static uint64_t
latency_at(const json_t *before, const json_t *after)
{
	uint64_t counts[BUCKETS_MAX], limits[BUCKETS_MAX], total = 0, seen = 0;
	const size_t count = json_array_size(after);
	size_t at = 0;

	for (size_t i = 0; i < count && i < BUCKETS_MAX; i++) {
		const json_t *one = json_array_get(after, i);
		limits[i] = (uint64_t)json_integer_value(json_array_get(one, 0));
		counts[i] = (uint64_t)json_integer_value(json_array_get(one, 1));
		const json_t *old = json_array_get(before, at);
		if (old && (uint64_t)json_integer_value(json_array_get(old, 0)) == limits[i]) {
			const uint64_t then = (uint64_t)json_integer_value(json_array_get(old, 1));
			counts[i] -= then < counts[i] ? then : counts[i];
			at++;
		}
		total += counts[i];
	}
	for (size_t i = 0; i < count && i < BUCKETS_MAX; i++) {
		seen += counts[i];
		if (total != 0 && seen * 1000 >= total * PERMILLE)
			return limits[i];
	}
	return 0;
}

static uint64_t
grown(const json_t *before, const json_t *after, const char *key)
{
	const json_int_t then = json_integer_value(json_object_get(before, key));
	const json_int_t now = json_integer_value(json_object_get(after, key));

	return now > then ? (uint64_t)(now - then) : 0;
}

/* One device over one interval: what is counted, per second where @seconds is not 0. */
static json_t *
device_json(const json_t *before, const json_t *after, double seconds)
{
	static const char *const kinds[] = { "read", "write" };
	char key[32];
	json_t *object = json_pack("{s:O,s:O,s:O}", "position", json_object_get(after, "position"),
				   "path", json_object_get(after, "path"), "in_flight",
				   json_object_get(after, "in_flight"));

	for (uint32_t i = 0; i < 2; i++) {
		(void)snprintf(key, sizeof(key), "%ss", kinds[i]);
		const uint64_t count = grown(before, after, key);
		(void)json_object_set_new(object, key, json_integer((json_int_t)count));
		(void)snprintf(key, sizeof(key), "%s_bytes", kinds[i]);
		const uint64_t bytes = grown(before, after, key);
		(void)json_object_set_new(object, key, json_integer((json_int_t)bytes));
		(void)snprintf(key, sizeof(key), "%s_errors", kinds[i]);
		const uint64_t errors = grown(before, after, key);
		(void)json_object_set_new(object, key, json_integer((json_int_t)errors));
		(void)snprintf(key, sizeof(key), "%s_ns", kinds[i]);
		const uint64_t ns = grown(before, after, key);
		(void)snprintf(key, sizeof(key), "%s_mean_ns", kinds[i]);
		(void)json_object_set_new(object, key,
					  json_integer(count == 0 ? 0 : (json_int_t)(ns / count)));
		(void)snprintf(key, sizeof(key), "%s_latency", kinds[i]);
		const uint64_t p99 =
		    latency_at(json_object_get(before, key), json_object_get(after, key));
		(void)snprintf(key, sizeof(key), "%s_p99_ns", kinds[i]);
		(void)json_object_set_new(object, key, json_integer((json_int_t)p99));
		if (seconds > 0) {
			(void)snprintf(key, sizeof(key), "%ss_per_s", kinds[i]);
			(void)json_object_set_new(object, key, json_real((double)count / seconds));
			(void)snprintf(key, sizeof(key), "%s_bytes_per_s", kinds[i]);
			(void)json_object_set_new(object, key, json_real((double)bytes / seconds));
		}
	}
	return object;
}

static json_t *
node_json(const json_t *before, const json_t *after)
{
	const double seconds = before ? (double)grown(before, after, "time_ns") / 1e9 : 0;
	const json_t *devices = json_object_get(after, "devices");
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(devices); i++)
		(void)json_array_append_new(
		    list, device_json(json_array_get(json_object_get(before, "devices"), i),
				      json_array_get(devices, i), seconds));
	return json_pack("{s:O,s:o,s:o}", "node", json_object_get(after, "name"), "interval_s",
			 before ? json_real(seconds) : json_null(), "devices", list);
}

static void
time_cell(const json_t *device, const char *key, char out[CLI_CELL_MAX])
{
	const double us = (double)json_integer_value(json_object_get(device, key)) / 1e3;

	(void)snprintf(out, CLI_CELL_MAX,
		       us <= 0      ? "-"
		       : us < 10000 ? "%.0fus"
				    : "%.0fms",
		       us < 10000 ? us : us / 1e3);
}

static void
number_cell(const json_t *device, const char *key, char out[CLI_CELL_MAX])
{
	(void)snprintf(out, CLI_CELL_MAX, "%" PRId64,
		       (int64_t)json_integer_value(json_object_get(device, key)));
}

/* Count, bytes, mean, p99 and errors of one kind of request. */
static void
kind_cells(const json_t *device, const char *kind, char (*cells)[CLI_CELL_MAX])
{
	char key[32];

	(void)snprintf(key, sizeof(key), "%ss", kind);
	number_cell(device, key, cells[0]);
	(void)snprintf(key, sizeof(key), "%s_bytes", kind);
	(void)snprintf(cells[1], CLI_CELL_MAX, "%.1f",
		       (double)json_integer_value(json_object_get(device, key)) / 1e6);
	(void)snprintf(key, sizeof(key), "%s_mean_ns", kind);
	time_cell(device, key, cells[2]);
	(void)snprintf(key, sizeof(key), "%s_p99_ns", kind);
	time_cell(device, key, cells[3]);
	(void)snprintf(key, sizeof(key), "%s_errors", kind);
	number_cell(device, key, cells[4]);
}

static void
print_report(FILE *out, const json_t *nodes)
{
	static const char *const heads[] = { "NODE", "DEVICE", "READS",  "MB", "MEAN",
					     "P99",  "ERR",    "WRITES", "MB", "MEAN",
					     "P99",  "ERR",    "QUEUE" };
	struct cli_table table = { 0 };

	cli_table_row(&table, COLUMNS, heads);
	for (size_t n = 0; n < json_array_size(nodes); n++) {
		const json_t *node = json_array_get(nodes, n);
		const json_t *devices = json_object_get(node, "devices");
		for (size_t i = 0; i < json_array_size(devices); i++) {
			const json_t *device = json_array_get(devices, i);
			char cells[COLUMNS][CLI_CELL_MAX];
			const char *row[COLUMNS];
			(void)snprintf(cells[0], CLI_CELL_MAX, "%s",
				       json_string_value(json_object_get(node, "node")));
			number_cell(device, "position", cells[1]);
			kind_cells(device, "read", &cells[2]);
			kind_cells(device, "write", &cells[7]);
			number_cell(device, "in_flight", cells[12]);
			for (uint32_t c = 0; c < COLUMNS; c++)
				row[c] = cells[c];
			cli_table_row(&table, COLUMNS, row);
		}
	}
	cli_table_print(&table, out);
}

/* The readings of all data nodes that answer, by their place in the cluster. */
static uint32_t
ask_all(const struct cluster *cluster, const char *only, uint32_t timeout_ms,
	json_t *readings[NODE_CONFIG_NODES_MAX], char *text, size_t text_bytes)
{
	uint32_t answered = 0;

	for (uint32_t i = 0; i < cluster->node_count; i++) {
		const struct cluster_node *node = &cluster->nodes[i];
		readings[i] = NULL;
		if (node->is_witness || node->admin_socket[0] == 0 ||
		    (only && strcmp(only, node->name) != 0))
			continue;
		answered += admin_call(node->admin_socket, "device-io", NULL, timeout_ms,
				       &readings[i], text, text_bytes) == ADMIN_EXIT_OK;
	}
	return answered;
}

/* A node that was started anew in between counts from its start. */
static bool
is_later(const json_t *before, const json_t *after)
{
	const json_t *old = json_array_get(json_object_get(before, "devices"), 0);
	const json_t *new = json_array_get(json_object_get(after, "devices"), 0);

	return before && json_integer_value(json_object_get(new, "writes")) >=
			     json_integer_value(json_object_get(old, "writes"));
}

static void
report(struct cli *cli, const struct cluster *cluster, json_t *const *before, json_t *const *after)
{
	json_t *nodes = json_array();

	for (uint32_t i = 0; i < cluster->node_count; i++)
		if (after[i])
			(void)json_array_append_new(
			    nodes,
			    node_json(is_later(before[i], after[i]) ? before[i] : NULL, after[i]));
	if (cli->is_json) {
		cli_print_json(cli,
			       json_pack("{s:s,s:o}", "api", "device-iostat/v1", "nodes", nodes));
	} else {
		print_report(cli->out, nodes);
		json_decref(nodes);
	}
	(void)fflush(cli->out);
}

static enum admin_exit
options_take(struct cli *cli, uint64_t *interval_ns, uint64_t *count)
{
	const char *interval = cli->values[CLI_INTERVAL], *times = cli->values[CLI_COUNT];
	char *end;

	if (interval && (!config_parse_ns(interval, interval_ns) || *interval_ns < 10000000 ||
			 *interval_ns > 3600000000000ull))
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"--interval \"%.32s\": allowed 10ms to 3600s", interval);
	*count = interval && !times ? UINT64_MAX : 1;
	if (!times)
		return ADMIN_EXIT_OK;
	*count = strtoull(times, &end, 10);
	if (end == times || *end != 0 || *count == 0 || times[0] == '-')
		return cli_fail(cli, ADMIN_EXIT_USAGE, "--count \"%.32s\": allowed 1 and more",
				times);
	if (*count > 1 && *interval_ns == 0)
		*interval_ns = 1000000000;
	return ADMIN_EXIT_OK;
}

enum admin_exit
verb_device_iostat(struct cli *cli)
{
	json_t *readings[2][NODE_CONFIG_NODES_MAX] = { 0 };
	const uint32_t timeout_ms = cli->timeout_ms ? cli->timeout_ms : ASK_MS;
	uint64_t interval_ns = 0, count = 1;
	struct cluster cluster;
	char text[512] = "no data node of this name can be asked from here";
	enum admin_exit code = options_take(cli, &interval_ns, &count);

	if (!code)
		code = cluster_find(cli, &cluster);
	if (code)
		return code;
	const char *only = cli->arguments[0];
	if (interval_ns != 0)
		(void)ask_all(&cluster, only, timeout_ms, readings[0], text, sizeof(text));
	const struct timespec pause = { .tv_sec = (time_t)(interval_ns / 1000000000),
					.tv_nsec = (long)(interval_ns % 1000000000) };
	/* As many as were asked for, or until somebody interrupts it. */
	for (uint64_t i = 0; i < count && !code; i++) {
		json_t **before = readings[i % 2], **after = readings[(i + 1) % 2];
		if (interval_ns != 0)
			(void)nanosleep(&pause, NULL);
		for (uint32_t k = 0; k < cluster.node_count; k++)
			json_decref(after[k]);
		if (ask_all(&cluster, only, timeout_ms, after, text, sizeof(text)) == 0)
			code = cli_fail(cli, ADMIN_EXIT_UNREACHABLE, "%s", text);
		else
			report(cli, &cluster, before, after);
	}
	for (uint32_t k = 0; k < 2 * NODE_CONFIG_NODES_MAX; k++)
		json_decref(readings[k / NODE_CONFIG_NODES_MAX][k % NODE_CONFIG_NODES_MAX]);
	return code;
}
