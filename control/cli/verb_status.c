/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "control/admin/admin_client.h"
#include "control/cli/cli.h"

#define SWITCHOVER_TIMEOUT_MS 10000u

/* The value of @key as text for a cell: "-" when unknown. */
static const char *
cell(const json_t *entry, const char *key, char out[CLI_CELL_MAX])
{
	const json_t *value = json_object_get(entry, key);

	if (json_is_string(value) && json_string_length(value) != 0)
		(void)snprintf(out, CLI_CELL_MAX, "%s", json_string_value(value));
	else if (json_is_integer(value))
		(void)snprintf(out, CLI_CELL_MAX, "%" PRId64, (int64_t)json_integer_value(value));
	else
		(void)snprintf(out, CLI_CELL_MAX, "-");
	return out;
}

/* What the table shows of @entry under @key: a witness has a port of its own kind, and no log,
 * copies or device. */
static const char *
node_cell(const json_t *entry, const char *key, char out[CLI_CELL_MAX])
{
	static const char *const data_only[] = { "last_index",    "durable_index", "commit_index",
						 "applied_index", "copies",        "disk_mode" };
	const char *kind = json_string_value(json_object_get(entry, "kind"));

	if (!kind || strcmp(kind, "witness") != 0)
		return cell(entry, key, out);
	for (size_t i = 0; i < sizeof(data_only) / sizeof(data_only[0]); i++)
		if (strcmp(key, data_only[i]) == 0)
			return "-";
	return cell(entry, strcmp(key, "port_driver") == 0 ? "mgmt_driver" : key, out);
}

static void
print_columns(FILE *out, const json_t *status, const char *const *heads, const char *const *keys,
	      uint32_t columns, bool is_data_only)
{
	static const char *const witness = "witness";
	struct cli_table table = { 0 };
	char texts[CLI_COLUMNS_MAX][CLI_CELL_MAX];
	const char *cells[CLI_COLUMNS_MAX];
	const json_t *nodes = json_object_get(status, "nodes");

	cli_table_row(&table, columns, heads);
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *kind = json_string_value(json_object_get(entry, "kind"));
		if (is_data_only && kind && strcmp(kind, witness) == 0)
			continue;
		for (uint32_t c = 0; c < columns; c++)
			cells[c] = node_cell(entry, keys[c], texts[c]);
		cli_table_row(&table, columns, cells);
	}
	cli_table_print(&table, out);
}

/* "net_memif0,role=..." -> "net_memif0" */
static const char *
short_name(const char *device, char out[CLI_CELL_MAX])
{
	(void)snprintf(out, CLI_CELL_MAX, "%.*s", device ? (int)strcspn(device, ",") : 0,
		       device ? device : "");
	return out;
}

static const char *
number_cell(const json_t *object, const char *key, char out[CLI_CELL_MAX])
{
	(void)snprintf(out, CLI_CELL_MAX, "%lld",
		       (long long)json_integer_value(json_object_get(object, key)));
	return out;
}

/* "b c": the nodes to which frames leave by the port. */
static const char *
used_cell(const json_t *port, char out[CLI_CELL_MAX])
{
	const json_t *used = json_object_get(port, "used_for");
	size_t at = 0;

	(void)snprintf(out, CLI_CELL_MAX, "-");
	for (size_t i = 0; i < json_array_size(used) && at < CLI_CELL_MAX; i++) {
		const char *name = json_string_value(json_array_get(used, i));
		const int bytes =
		    snprintf(out + at, CLI_CELL_MAX - at, "%s%s", i ? " " : "", name ? name : "?");
		at += bytes > 0 ? (size_t)bytes : 0;
	}
	return out;
}

/* The sum of the drops that begin so. */
static const char *
drops_cell(const json_t *port, const char *prefix, char out[CLI_CELL_MAX])
{
	json_t *drops = json_object_get(port, "drops");
	long long sum = 0;
	const char *key;
	json_t *value;

	json_object_foreach(drops, key, value) if (strncmp(key, prefix, strlen(prefix)) == 0) sum +=
	    (long long)json_integer_value(value);
	(void)snprintf(out, CLI_CELL_MAX, "%lld", sum);
	return out;
}

/* The data ports one by one, where a node has several. */
static void
print_ports(FILE *out, const json_t *status)
{
	static const char *const heads[] = { "NODE", "PORT", "UP",      "USED FOR",
					     "RX",   "TX",   "RX DROP", "TX DROP" };
	const json_t *nodes = json_object_get(status, "nodes");
	struct cli_table table = { 0 };
	char texts[6][CLI_CELL_MAX];
	bool is_any = false;

	cli_table_row(&table, 8, heads);
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const json_t *ports = json_object_get(entry, "ports");
		const char *name = json_string_value(json_object_get(entry, "name"));
		for (size_t k = 0; json_array_size(ports) > 1 && k < json_array_size(ports); k++) {
			const json_t *port = json_array_get(ports, k);
			const char *device = json_string_value(json_object_get(port, "device"));
			const char *const cells[] = { name ? name : "?",
						      short_name(device, texts[0]),
						      json_is_true(json_object_get(port, "up"))
							  ? "yes"
							  : "no",
						      used_cell(port, texts[1]),
						      number_cell(port, "rx_frames", texts[2]),
						      number_cell(port, "tx_frames", texts[3]),
						      drops_cell(port, "rx_", texts[4]),
						      drops_cell(port, "tx_", texts[5]) };
			cli_table_row(&table, 8, cells);
			is_any = true;
		}
	}
	if (is_any)
		cli_table_print(&table, out);
}

/* A node with new storage, and what it is at. */
static void
print_joining(FILE *out, const json_t *entry, const char *name)
{
	const json_t *missing = json_object_get(entry, "rejoin_waits_for");
	const json_int_t transfer = json_integer_value(json_object_get(entry, "transfer_index"));

	if (json_is_true(json_object_get(entry, "rejoining"))) {
		(void)fprintf(out, "%s: has new storage; asks what it had promised:", name);
		for (size_t i = 0; i < json_array_size(missing); i++)
			(void)fprintf(out, " %s", json_string_value(json_array_get(missing, i)));
		(void)fprintf(out, " must answer\n");
	}
	if (transfer != 0)
		(void)fprintf(
		    out, "%s: fetches the checkpoint of block %lld: part %lld of %lld\n", name,
		    (long long)transfer,
		    (long long)json_integer_value(json_object_get(entry, "transfer_parts")),
		    (long long)json_integer_value(json_object_get(entry, "transfer_parts_all")));
	if (json_is_true(json_object_get(entry, "tail_unsaved")))
		(void)fprintf(out,
			      "%s: a divergent tail is not saved yet; if this stays, see to room "
			      "and rights of its storage directory: until then it takes no "
			      "checkpoint\n",
			      name);
	if (json_integer_value(json_object_get(entry, "transfers_refused")) != 0)
		(void)fprintf(out,
			      "%s: needs a checkpoint and cannot take it: compare "
			      "state.capacity, devices and the list of nodes with the other "
			      "nodes\n",
			      name);
}

static void
print_problems(FILE *out, const json_t *status)
{
	const json_t *nodes = json_object_get(status, "nodes");
	const json_t *warnings = json_object_get(status, "warnings");

	for (size_t i = 0; i < json_array_size(warnings); i++)
		(void)fprintf(out, "WARN %s\n", json_string_value(json_array_get(warnings, i)));
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *name = json_string_value(json_object_get(entry, "name"));
		const char *why = json_string_value(json_object_get(entry, "error"));
		if (why)
			(void)fprintf(out, "%s: %s\n", name ? name : "?", why);
		if (json_is_true(json_object_get(entry, "storage_failed")))
			(void)fprintf(out,
				      "%s: its storage failed; it promises nothing until it is "
				      "replaced\n",
				      name ? name : "?");
		print_joining(out, entry, name ? name : "?");
	}
}

/* Replicas whose T_late is their own, as their master has it. */
static void
print_late(FILE *out, const json_t *status)
{
	const json_t *nodes = json_object_get(status, "nodes");
	json_t *peer;
	const char *name;

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *role = json_string_value(json_object_get(entry, "role"));
		const json_int_t common = json_integer_value(
		    json_object_get(json_object_get(entry, "timers"), "t_late_ns"));
		if (!role || strcmp(role, "master") != 0)
			continue;
		json_object_foreach(json_object_get(entry, "peers"), name, peer)
		{
			const json_int_t own =
			    json_integer_value(json_object_get(peer, "t_late_ns"));
			if (own != 0 && own != common)
				(void)fprintf(out, "%s: %s, late after %lld ms\n", name,
					      json_string_value(json_object_get(peer, "replica")),
					      (long long)own / 1000000);
		}
	}
}

/* " 3 foreign" for every counter of @keys in @counters that is not zero. */
static void
append_counts(char *text, size_t text_bytes, const json_t *counters, const char *const *keys,
	      uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const json_int_t value = json_integer_value(json_object_get(counters, keys[i]));
		const size_t used = strlen(text);
		if (value != 0)
			(void)snprintf(text + used, text_bytes - used, "%s %lld %s",
				       used ? "," : "", (long long)value, keys[i]);
	}
}

static void
print_duplicate(FILE *out, const char *name, const json_t *drops)
{
	if (json_integer_value(json_object_get(drops, "duplicate_id")) != 0)
		(void)fprintf(out,
			      "%s: another node sends under this node's id: two node files have "
			      "the same node.id, stop the one that was started last and correct "
			      "its file\n",
			      name ? name : "?");
}

/* Datagrams that no node and no client of this cluster sends: dropped, and worth a look. What is
 * not for us at all (`rx_not_ours`) is on every network, and is not told here. */
static void
print_foreign(FILE *out, const json_t *status)
{
	static const char *const client[] = { "malformed", "foreign" };
	static const char *const port[] = { "rx_malformed", "rx_unknown_peer" };
	static const char *const frames[] = { "malformed",       "version",
					      "foreign_cluster", "stale_generation",
					      "wrong_shard",     "wrong_receiver",
					      "duplicate_id",    "unknown_sender",
					      "block_corrupt",   "block_too_large" };
	static const struct {
		const char *key, *inner, *where;
		const char *const *keys;
		uint32_t count;
	} kinds[] = { { "client_port", NULL, "at the client port", client, 2 },
		      { "mgmt_port", "drops", "at the mgmt port", port, 2 },
		      { "data_port", "drops", "at the data ports", port, 2 },
		      { "drops", NULL, "as frames of nodes", frames, 10 } };
	const json_t *nodes = json_object_get(status, "nodes");

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *name = json_string_value(json_object_get(entry, "name"));
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			const json_t *counters = json_object_get(entry, kinds[k].key);
			char text[256] = "";
			if (kinds[k].inner)
				counters = json_object_get(counters, kinds[k].inner);
			append_counts(text, sizeof(text), counters, kinds[k].keys, kinds[k].count);
			if (text[0] != 0)
				(void)fprintf(out, "%s: dropped %s:%s\n", name ? name : "?",
					      kinds[k].where, text);
		}
		print_duplicate(out, name, json_object_get(entry, "drops"));
	}
}

enum admin_exit
verb_status(struct cli *cli)
{
	static const char *const heads[] = { "NODE",    "ROLE",   "MODE",    "TERM",
					     "EPOCH",   "LAST",   "DURABLE", "COMMIT",
					     "APPLIED", "COPIES", "PORT",    "DISK" };
	static const char *const keys[] = { "name",          "role",         "mode",
					    "term",          "epoch",        "last_index",
					    "durable_index", "commit_index", "applied_index",
					    "copies",        "port_driver",  "disk_mode" };
	struct cluster cluster;
	enum admin_exit health;
	enum admin_exit code = cluster_find(cli, &cluster);

	if (code)
		return code;
	json_t *status = cluster_status(&cluster, cli->timeout_ms, &health);
	if (cli->is_json) {
		cli_print_json(cli, status);
		return health;
	}
	(void)fprintf(cli->out, "cluster %s: %s\n",
		      json_is_string(json_object_get(status, "cluster_id"))
			  ? json_string_value(json_object_get(status, "cluster_id"))
			  : "unknown",
		      json_string_value(json_object_get(status, "health")));
	print_columns(cli->out, status, heads, keys, sizeof(heads) / sizeof(heads[0]), false);
	print_ports(cli->out, status);
	print_late(cli->out, status);
	print_problems(cli->out, status);
	print_foreign(cli->out, status);
	json_decref(status);
	return health;
}

enum admin_exit
verb_log_status(struct cli *cli)
{
	static const char *const heads[] = { "NODE",   "LAST",       "RECEIVED", "DURABLE",
					     "COMMIT", "APPLIED",    "USED",     "AREA",
					     "BEGIN",  "CHECKPOINT", "CUTS",     "CHAIN" };
	static const char *const keys[] = {
		"name",           "last_index",       "received_index", "durable_index",
		"commit_index",   "applied_index",    "log_used_bytes", "log_area_bytes",
		"log_base_index", "checkpoint_index", "truncations",    "chain"
	};
	struct cluster cluster;
	enum admin_exit health;
	enum admin_exit code = cluster_find(cli, &cluster);

	if (code)
		return code;
	json_t *status = cluster_status(&cluster, cli->timeout_ms, &health);
	const uint32_t columns = sizeof(heads) / sizeof(heads[0]);
	if (!cli->is_json) {
		print_columns(cli->out, status, heads, keys, columns, true);
		print_problems(cli->out, status);
		json_decref(status);
		return health;
	}
	json_t *logs = json_array();
	const json_t *nodes = json_object_get(status, "nodes");
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *kind = json_string_value(json_object_get(entry, "kind"));
		json_t *log = json_object();
		if (kind && strcmp(kind, "witness") == 0) {
			json_decref(log);
			continue;
		}
		for (uint32_t c = 0; c < columns; c++)
			(void)json_object_set(log, keys[c], json_object_get(entry, keys[c]));
		(void)json_array_append_new(logs, log);
	}
	json_decref(status);
	cli_print_json(cli, json_pack("{s:s,s:o}", "api", "log-status/v1", "nodes", logs));
	return health;
}

/* ---- switchover ---- */

/* The node named, or a data node that is not master now: one that follows, if there is one. */
static const struct cluster_node *
choose_target(const struct cluster *cluster, const json_t *status, const char *to,
	      const char *master)
{
	const struct cluster_node *target = NULL;

	if (to)
		return cluster_named(cluster, to);
	for (uint32_t i = 0; i < cluster->node_count; i++) {
		const json_t *entry = json_array_get(json_object_get(status, "nodes"), i);
		const char *mode = json_string_value(json_object_get(entry, "mode"));
		if (cluster->nodes[i].is_witness || strcmp(cluster->nodes[i].name, master) == 0)
			continue;
		if (mode && strcmp(mode, "REPLICA") == 0)
			return &cluster->nodes[i];
		target = target ? target : &cluster->nodes[i];
	}
	return target;
}

/* Whether the node that @context names is the master that serves. */
static bool
is_master(const json_t *status, const void *context)
{
	const char *name = json_string_value(json_object_get(cluster_master(status), "name"));

	return name && strcmp(name, context) == 0;
}

static enum admin_exit
do_switchover(struct cli *cli, const struct cluster *cluster, const char *from,
	      const struct cluster_node *target)
{
	const uint32_t timeout_ms = cli->timeout_ms ? cli->timeout_ms : SWITCHOVER_TIMEOUT_MS;
	json_t *arguments = json_pack("{s:s}", "to", target->name), *result = NULL;
	char text[512];
	const enum admin_exit code =
	    admin_call(cluster_named(cluster, from)->admin_socket, "switchover", arguments,
		       timeout_ms, &result, text, sizeof(text));

	json_decref(arguments);
	json_decref(result);
	if (code == ADMIN_EXIT_UNREACHABLE)
		return cli_fail(cli, ADMIN_EXIT_UNKNOWN,
				"the master did not answer (%s); see `tern status`", text);
	if (code)
		return cli_fail(cli, code, "%s", text);
	json_t *status = cluster_wait(cluster, timeout_ms, is_master, target->name);
	if (!status)
		return cli_fail(
		    cli, ADMIN_EXIT_UNKNOWN,
		    "the hand-over began, but %s was not seen to serve in time; see `tern "
		    "status`",
		    target->name);
	json_decref(status);
	if (cli->is_json)
		cli_print_json(cli, json_pack("{s:s,s:s,s:s}", "api", "switchover/v1", "from", from,
					      "to", target->name));
	else
		(void)fprintf(cli->out, "%s is master now\n", target->name);
	return ADMIN_EXIT_OK;
}

enum admin_exit
verb_cluster_switchover(struct cli *cli)
{
	struct cluster cluster;
	enum admin_exit health;
	enum admin_exit code = cluster_find(cli, &cluster);

	if (code)
		return code;
	json_t *status = cluster_status(&cluster, 0, &health);
	const char *from = json_string_value(json_object_get(cluster_master(status), "name"));
	const struct cluster_node *target =
	    from ? choose_target(&cluster, status, cli->arguments[0], from) : NULL;
	if (!from)
		code = cli_fail(cli, ADMIN_EXIT_CRITICAL,
				"no master serves, so nobody can hand over; see `tern status`");
	else if (!cluster_named(&cluster, from))
		code = cli_fail(cli, ADMIN_EXIT_FAILED,
				"the master \"%s\" is not in the list of "
				"nodes; the node files disagree",
				from);
	else if (!target && !cli->arguments[0])
		code = cli_fail(cli, ADMIN_EXIT_REFUSED,
				"there is no other data node in this cluster to hand over to");
	else if (!target || target->is_witness)
		code = cli_fail(cli, ADMIN_EXIT_USAGE, "\"%s\" is no data node of this cluster",
				cli->arguments[0] ? cli->arguments[0] : "");
	else if (strcmp(target->name, from) == 0)
		code = cli_fail(cli, ADMIN_EXIT_REFUSED, "%s is master already", from);
	else
		code = do_switchover(cli, &cluster, from, target);
	json_decref(status);
	return code;
}
