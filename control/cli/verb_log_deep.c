/* SPDX-License-Identifier: Apache-2.0 */
/* `tern log verify --deep`: every data node reads its log and its newest checkpoint back. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "control/admin/admin_client.h"
#include "control/cli/cli.h"

#define CALL_TIMEOUT_MS 10000u
#define POLL_NS         200000000
#define MISSES_MAX      25u /* answers that know nothing of the run: five seconds */
#define NODES_MAX       16u

struct deep_run {
	const struct cluster_node *nodes[NODES_MAX];
	json_t *entries[NODES_MAX]; /* the newest answer, or what went wrong */
	json_int_t numbers[NODES_MAX];
	bool is_over[NODES_MAX];
	uint32_t misses[NODES_MAX];
	uint32_t count;
	json_int_t end_index;
};

static json_int_t
number_of(const json_t *entry, const char *key)
{
	return json_integer_value(json_object_get(entry, key));
}

static bool
has_text(const json_t *entry, const char *key, const char *text)
{
	const char *value = json_string_value(json_object_get(entry, key));

	return value && strcmp(value, text) == 0;
}

static void
fail_node(struct deep_run *run, uint32_t i, const char *text)
{
	json_decref(run->entries[i]);
	run->entries[i] = json_pack("{s:s,s:s}", "name", run->nodes[i]->name, "error", text);
	run->is_over[i] = true;
}

/* The newest block that all nodes which answer have committed. */
static void
ask_ends(struct deep_run *run)
{
	for (uint32_t i = 0; i < run->count; i++) {
		char text[512];
		json_t *status = NULL;
		if (admin_call(run->nodes[i]->admin_socket, "status", NULL, CALL_TIMEOUT_MS,
			       &status, text, sizeof(text))) {
			fail_node(run, i, text);
			continue;
		}
		const json_int_t commit = number_of(status, "commit_index");
		if (run->end_index == 0 || commit < run->end_index)
			run->end_index = commit;
		json_decref(status);
	}
}

static void
begin(struct deep_run *run)
{
	for (uint32_t i = 0; i < run->count; i++) {
		char text[512];
		json_t *answer = NULL;
		if (run->is_over[i])
			continue;
		json_t *arguments = json_pack("{s:I}", "end", run->end_index);
		if (admin_call(run->nodes[i]->admin_socket, "log-deep", arguments, CALL_TIMEOUT_MS,
			       &answer, text, sizeof(text)))
			fail_node(run, i, text);
		else
			run->numbers[i] = number_of(answer, "number");
		json_decref(arguments);
		json_decref(answer);
	}
}

/* False: all are done. */
static bool
look(struct deep_run *run)
{
	bool is_any_left = false;

	for (uint32_t i = 0; i < run->count; i++) {
		char text[512];
		json_t *answer = NULL;
		if (run->is_over[i])
			continue;
		if (admin_call(run->nodes[i]->admin_socket, "log-deep", NULL, CALL_TIMEOUT_MS,
			       &answer, text, sizeof(text))) {
			fail_node(run, i, text);
			continue;
		}
		/* Not yet told, or told by a later start. */
		if (number_of(answer, "number") < run->numbers[i] &&
		    (run->entries[i] != NULL || ++run->misses[i] > MISSES_MAX)) {
			json_decref(answer);
			fail_node(run, i, "began anew meanwhile; run it again");
			continue;
		}
		if (number_of(answer, "number") >= run->numbers[i]) {
			json_decref(run->entries[i]);
			run->entries[i] = answer;
			run->is_over[i] = has_text(answer, "state", "done");
		} else {
			json_decref(answer);
		}
		is_any_left = is_any_left || !run->is_over[i];
	}
	return is_any_left;
}

static const char *
judge(const struct deep_run *run, enum admin_exit *code)
{
	const json_t *first = NULL;
	bool is_bad = false, is_unequal = false, is_apart = false, is_failed = false;

	for (uint32_t i = 0; i < run->count; i++) {
		const json_t *entry = run->entries[i];
		if (json_object_get(entry, "error") || !run->is_over[i]) {
			is_failed = true;
			continue;
		}
		is_bad = is_bad || number_of(entry, "damaged") != 0 ||
			 json_is_true(json_object_get(entry, "checkpoint_bad"));
		is_apart = is_apart || number_of(entry, "end_index") != run->end_index ||
			   number_of(entry, "first_index") > run->end_index;
		const char *chain = json_string_value(json_object_get(entry, "chain"));
		if (first && !is_apart && !is_bad && chain)
			is_unequal = is_unequal || !has_text(first, "chain", chain);
		first = first ? first : entry;
	}
	*code = ADMIN_EXIT_CRITICAL;
	if (is_bad)
		return "DAMAGED: what was named cannot be read; blocks are being replaced, run it "
		       "again";
	if (is_unequal)
		return "MISMATCH: the nodes' logs differ";
	*code = ADMIN_EXIT_DEGRADED;
	if (is_failed)
		return "incomplete: a data node did not answer, or not to the end";
	*code = is_apart ? ADMIN_EXIT_UNKNOWN : ADMIN_EXIT_OK;
	return is_apart ? "not compared: the logs do not reach a common block; run it again"
			: "equal";
}

/* What is damaged of a node, in a word or a few numbers. */
static void
damage_text(const json_t *entry, char *out, size_t room)
{
	const json_t *list = json_object_get(entry, "damaged_blocks");
	int at = 0;

	if (json_object_get(entry, "error")) {
		(void)snprintf(out, room, "%s", json_string_value(json_object_get(entry, "error")));
		return;
	}
	(void)snprintf(out, room, "none");
	for (size_t i = 0; i < json_array_size(list) && at >= 0 && (size_t)at < room; i++)
		at += snprintf(out + at, room - (size_t)at, "%s%" PRId64, i ? "," : "",
			       (int64_t)json_integer_value(json_array_get(list, i)));
	if (json_is_true(json_object_get(entry, "checkpoint_bad")) && at >= 0 && (size_t)at < room)
		(void)snprintf(out + at, room - (size_t)at, "%scheckpoint", at ? "," : "");
}

static void
print_deep(FILE *out, const struct deep_run *run, const char *text)
{
	static const char *const heads[] = {
		"NODE", "FROM", "TO", "BYTES", "CHECKPOINT", "DAMAGED"
	};
	static const char *const keys[] = { "first_index", "end_index", "bytes",
					    "checkpoint_index" };
	struct cli_table table = { 0 };

	cli_table_row(&table, 6, heads);
	for (uint32_t i = 0; i < run->count; i++) {
		const json_t *entry = run->entries[i];
		char numbers[4][24], damage[512];
		for (uint32_t k = 0; k < 4; k++)
			(void)snprintf(numbers[k], sizeof(numbers[k]), "%" PRId64,
				       (int64_t)number_of(entry, keys[k]));
		damage_text(entry, damage, sizeof(damage));
		const char *const cells[] = { run->nodes[i]->name, numbers[0], numbers[1],
					      numbers[2],          numbers[3], damage };
		cli_table_row(&table, 6, cells);
	}
	cli_table_print(&table, out);
	(void)fprintf(out, "%s\n", text);
}

enum admin_exit
verb_log_deep(struct cli *cli)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	struct cluster cluster;
	struct deep_run run = { 0 };
	enum admin_exit code = cluster_find(cli, &cluster);

	if (code)
		return code;
	for (uint32_t i = 0; i < cluster.node_count && run.count < NODES_MAX; i++)
		if (!cluster.nodes[i].is_witness)
			run.nodes[run.count++] = &cluster.nodes[i];
	ask_ends(&run);
	begin(&run);
	/* As long as the logs take, or as the operator has said. */
	uint64_t left = cli->timeout_ms ? cli->timeout_ms / (POLL_NS / 1000000) + 1 : UINT64_MAX;
	while (look(&run) && left-- > 0)
		(void)nanosleep(&pause, NULL);
	const char *text = judge(&run, &code);
	json_t *nodes = json_array();
	for (uint32_t i = 0; i < run.count; i++)
		(void)json_array_append(nodes, run.entries[i]);
	if (cli->is_json)
		cli_print_json(cli,
			       json_pack("{s:s,s:s,s:I,s:O}", "api", "log-verify-deep/v1", "result",
					 text, "index", run.end_index, "nodes", nodes));
	else
		print_deep(cli->out, &run, text);
	json_decref(nodes);
	for (uint32_t i = 0; i < run.count; i++)
		json_decref(run.entries[i]);
	return code;
}
