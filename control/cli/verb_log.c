/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/admin/admin_client.h"
#include "control/cli/cli.h"

#define VERIFY_TIMEOUT_MS 60000u
#define VERIFY_TRIES      20u

/* ---- verify ---- */

struct verdict {
	bool is_self_equal; /* each node's scan equals what it keeps */
	bool is_reached;    /* every data node answered */
	bool is_compared;   /* all stood at one index */
	bool is_pair_equal; /* and their hashes are equal there */
	json_int_t index;
};

static bool
same_text(const json_t *a, const char *key_a, const json_t *b, const char *key_b)
{
	const char *x = json_string_value(json_object_get(a, key_a));
	const char *y = json_string_value(json_object_get(b, key_b));

	return x && y && strcmp(x, y) == 0;
}

static json_t *
verify_node(const struct cluster_node *node, uint32_t timeout_ms)
{
	char text[512];
	json_t *entry = NULL;

	if (admin_call(node->admin_socket, "log-verify", NULL, timeout_ms, &entry, text,
		       sizeof(text)))
		return json_pack("{s:s,s:s}", "name", node->name, "error", text);
	(void)json_object_set_new(entry, "name", json_string(node->name));
	return entry;
}

static json_t *
verify_once(const struct cluster *cluster, uint32_t timeout_ms, struct verdict *verdict)
{
	json_t *nodes = json_array();
	const json_t *first = NULL;

	*verdict = (struct verdict){ true, true, true, true, 0 };
	for (uint32_t i = 0; i < cluster->node_count; i++) {
		if (cluster->nodes[i].is_witness)
			continue;
		json_t *entry = verify_node(&cluster->nodes[i], timeout_ms);
		(void)json_array_append_new(nodes, entry);
		if (json_object_get(entry, "error")) {
			verdict->is_reached = false;
			continue;
		}
		const bool is_equal = same_text(entry, "hash", entry, "scan");
		(void)json_object_set_new(entry, "equal", json_boolean(is_equal));
		verdict->is_self_equal = verdict->is_self_equal && is_equal;
		if (!first) {
			first = entry;
			verdict->index = json_integer_value(json_object_get(entry, "index"));
		} else if (json_integer_value(json_object_get(entry, "index")) != verdict->index) {
			verdict->is_compared = false;
		} else if (!same_text(entry, "scan", first, "scan")) {
			verdict->is_pair_equal = false;
		}
	}
	verdict->is_compared = verdict->is_compared && verdict->is_reached;
	return nodes;
}

static enum admin_exit
verdict_code(const struct verdict *verdict)
{
	if (!verdict->is_self_equal || (verdict->is_compared && !verdict->is_pair_equal))
		return ADMIN_EXIT_CRITICAL;
	if (!verdict->is_reached)
		return ADMIN_EXIT_DEGRADED;
	return verdict->is_compared ? ADMIN_EXIT_OK : ADMIN_EXIT_UNKNOWN;
}

static const char *
verdict_text(const struct verdict *verdict)
{
	if (!verdict->is_self_equal)
		return "MISMATCH: a node's state is not what it applied";
	if (verdict->is_compared && !verdict->is_pair_equal)
		return "MISMATCH: the nodes differ at the same index";
	if (!verdict->is_reached)
		return "incomplete: a data node did not answer";
	return verdict->is_compared ? "equal"
				    : "not compared: the nodes never stood at the same index; try "
				      "again when fewer writes come in";
}

static void
print_verify(FILE *out, const json_t *nodes, const struct verdict *verdict)
{
	static const char *const heads[] = { "NODE", "INDEX", "KEPT", "SCANNED", "EQUAL" };
	struct cli_table table = { 0 };

	cli_table_row(&table, 5, heads);
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *kept = json_string_value(json_object_get(entry, "hash"));
		const char *scan = json_string_value(json_object_get(entry, "scan"));
		const char *error = json_string_value(json_object_get(entry, "error"));
		char index[24];
		(void)snprintf(index, sizeof(index), "%" PRId64,
			       (int64_t)json_integer_value(json_object_get(entry, "index")));
		const char *const cells[] = { json_string_value(json_object_get(entry, "name")),
					      error ? "-" : index, kept ? kept : "-",
					      scan ? scan : "-",
					      error ? error
					      : json_is_true(json_object_get(entry, "equal"))
						  ? "yes"
						  : "NO" };
		cli_table_row(&table, 5, cells);
	}
	cli_table_print(&table, out);
	(void)fprintf(out, "%s\n", verdict_text(verdict));
}

enum admin_exit
verb_log_verify(struct cli *cli)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	const uint32_t timeout_ms = cli->timeout_ms ? cli->timeout_ms : VERIFY_TIMEOUT_MS;
	struct cluster cluster;
	struct verdict verdict;

	if (cli->values[CLI_DEEP])
		return verb_log_deep(cli);
	enum admin_exit code = cluster_find(cli, &cluster);
	if (code)
		return code;
	json_t *nodes = verify_once(&cluster, timeout_ms, &verdict);
	/* Under load the nodes are asked at different indexes: ask until they agree by chance. */
	for (uint32_t i = 1; i < VERIFY_TRIES && verdict_code(&verdict) == ADMIN_EXIT_UNKNOWN;
	     i++) {
		json_decref(nodes);
		(void)nanosleep(&pause, NULL);
		nodes = verify_once(&cluster, timeout_ms, &verdict);
	}
	code = verdict_code(&verdict);
	if (!cli->is_json) {
		print_verify(cli->out, nodes, &verdict);
		json_decref(nodes);
		return code;
	}
	cli_print_json(cli, json_pack("{s:s,s:s,s:b,s:I,s:o}", "api", "log-verify/v1", "result",
				      verdict_text(&verdict), "compared", (int)verdict.is_compared,
				      "index", verdict.index, "nodes", nodes));
	return code;
}

/* ---- divergent tails ---- */

struct tail {
	char node[NODE_CONFIG_NAME_MAX];
	char path[NODE_CONFIG_PATH_MAX + 300];
};

struct tails {
	struct tail *list;
	uint32_t count, room;
};

static int
by_path(const void *a, const void *b)
{
	const struct tail *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static int
is_tail(const struct dirent *entry)
{
	const size_t bytes = strlen(entry->d_name);

	return bytes > 5 && strcmp(entry->d_name + bytes - 5, ".tail") == 0;
}

/* False: no memory. */
static bool
add_tail(struct tails *tails, const char *node, const char *dir, const char *name)
{
	if (tails->count == tails->room) {
		const uint32_t room = tails->room == 0 ? 64 : 2 * tails->room;
		struct tail *list = realloc(tails->list, room * sizeof(*list));
		if (!list)
			return false;
		tails->list = list;
		tails->room = room;
	}
	struct tail *tail = &tails->list[tails->count++];
	(void)snprintf(tail->node, sizeof(tail->node), "%s", node);
	(void)snprintf(tail->path, sizeof(tail->path), "%s/%.255s", dir, name);
	return true;
}

/* Of one node, in the order of their names. False: no memory. */
static bool
add_tails(struct tails *tails, const struct cluster_node *node)
{
	const uint32_t first = tails->count;
	char dir[NODE_CONFIG_PATH_MAX + 16];
	const struct dirent *entry;
	bool is_good = true;

	(void)snprintf(dir, sizeof(dir), "%s/divergent", node->storage_dir);
	DIR *stream = opendir(dir);
	while (stream && is_good && (entry = readdir(stream)))
		is_good = !is_tail(entry) || add_tail(tails, node->name, dir, entry->d_name);
	if (stream)
		(void)closedir(stream);
	if (tails->count != first)
		qsort(tails->list + first, tails->count - first, sizeof(tails->list[0]), by_path);
	return is_good;
}

/* Tails of every node on this machine: the number of a tail is its place in this order. */
static enum admin_exit
find_tails(struct cli *cli, struct tails *tails)
{
	struct cluster cluster;
	const enum admin_exit code = cluster_find(cli, &cluster);

	for (uint32_t i = 0; !code && i < cluster.node_count; i++) {
		const struct cluster_node *node = &cluster.nodes[i];
		if (!node->is_witness && node->storage_dir[0] != 0 && !add_tails(tails, node))
			return cli_fail(cli, ADMIN_EXIT_FAILED, "no memory for the list of tails");
	}
	return code;
}

/* The header line of a tail with the number of commands behind it; NULL: it cannot be read. */
static json_t *
read_tail(const struct tail *tail)
{
	FILE *stream = fopen(tail->path, "re");
	char *line = NULL;
	size_t room = 0;
	json_int_t commands = 0;
	json_t *header = NULL;

	if (!stream)
		return NULL;
	if (getline(&line, &room, stream) > 0)
		header = json_loads(line, 0, NULL);
	while (header && getline(&line, &room, stream) > 0)
		commands++;
	free(line);
	(void)fclose(stream);
	if (!json_is_object(header)) {
		json_decref(header);
		return NULL;
	}
	(void)json_object_set_new(header, "commands", json_integer(commands));
	return header;
}

static json_t *
tail_json(const struct tail *tail, uint32_t number)
{
	json_t *entry = json_pack("{s:i,s:s,s:s}", "number", (int)number, "node", tail->node,
				  "file", tail->path);
	json_t *header = read_tail(tail);

	if (header)
		(void)json_object_update_missing(entry, header);
	else
		(void)json_object_set_new(entry, "error", json_string("cannot be read"));
	json_decref(header);
	return entry;
}

static void
index_text(const json_t *entry, const char *key, char out[24])
{
	const json_t *value = json_object_get(entry, key);

	if (json_is_integer(value))
		(void)snprintf(out, 24, "%" PRId64, (int64_t)json_integer_value(value));
	else
		(void)snprintf(out, 24, "-");
}

enum admin_exit
verb_log_divergent_list(struct cli *cli)
{
	static const char *const heads[] = { "N", "NODE", "FROM", "TO", "COMMANDS", "FILE" };
	struct tails tails = { 0 };
	struct cli_table table = { 0 };
	const enum admin_exit code = find_tails(cli, &tails);
	json_t *list = json_array();

	cli_table_row(&table, 6, heads);
	for (uint32_t i = 0; !code && i < tails.count; i++) {
		json_t *entry = tail_json(&tails.list[i], i + 1);
		char number[16], commands[24], first[24], last[24];
		const char *name = strrchr(tails.list[i].path, '/') + 1;
		(void)snprintf(number, sizeof(number), "%u", i + 1);
		(void)snprintf(commands, sizeof(commands), "%" PRId64,
			       (int64_t)json_integer_value(json_object_get(entry, "commands")));
		index_text(entry, "first_index", first);
		index_text(entry, "last_index", last);
		const char *const cells[] = {
			number,
			tails.list[i].node,
			first,
			last,
			json_object_get(entry, "error") ? "unreadable" : commands,
			name
		};
		cli_table_row(&table, 6, cells);
		(void)json_array_append_new(list, entry);
	}
	free(tails.list);
	if (code) {
		json_decref(list);
		return code;
	}
	if (cli->is_json) {
		cli_print_json(cli,
			       json_pack("{s:s,s:o}", "api", "log-divergent/v1", "tails", list));
		return ADMIN_EXIT_OK;
	}
	if (tails.count > 0)
		cli_table_print(&table, cli->out);
	else
		(void)fprintf(cli->out, "no tail was rolled back\n");
	json_decref(list);
	return ADMIN_EXIT_OK;
}

static enum admin_exit
copy_tail(struct cli *cli, const struct tail *tail)
{
	const char *to = cli->values[CLI_TO];
	FILE *from = fopen(tail->path, "re");
	FILE *out = !to ? cli->out : from ? fopen(to, "wxe") : NULL;
	char bytes[65536];
	size_t got;
	bool is_good = true;

	if (!from || !out) {
		const int reason = errno;
		if (from)
			(void)fclose(from);
		return cli_fail(cli, ADMIN_EXIT_FAILED, "%s: %s%s", from ? to : tail->path,
				strerror(reason), reason == EEXIST ? "; choose another file" : "");
	}
	while (is_good && (got = fread(bytes, 1, sizeof(bytes), from)) > 0)
		is_good = fwrite(bytes, 1, got, out) == got;
	is_good = is_good && !ferror(from) && fflush(out) == 0;
	(void)fclose(from);
	if (to)
		is_good = fclose(out) == 0 && is_good;
	if (!is_good)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "the tail was not written whole: %s",
				strerror(errno));
	if (to && cli->is_json)
		cli_print_json(cli, json_pack("{s:s,s:s,s:s}", "api", "log-divergent-export/v1",
					      "node", tail->node, "to", to));
	return ADMIN_EXIT_OK;
}

enum admin_exit
verb_log_divergent_export(struct cli *cli)
{
	struct tails tails = { 0 };
	char *end = NULL;
	const long number = strtol(cli->arguments[0], &end, 10);
	enum admin_exit code = find_tails(cli, &tails);

	if (!code &&
	    (*end != 0 || end == cli->arguments[0] || number < 1 || number > (long)tails.count))
		code = cli_fail(
		    cli, ADMIN_EXIT_USAGE,
		    "no tail \"%.32s\", there are %u; `tern log divergent list` shows them",
		    cli->arguments[0], tails.count);
	if (!code)
		code = copy_tail(cli, &tails.list[number - 1]);
	free(tails.list);
	return code;
}
