/* SPDX-License-Identifier: Apache-2.0 */
/* Scrub and rebuild: how they go, and what is wanted of them. */
#include <inttypes.h>
#include <string.h>

#include "control/admin/admin_client.h"
#include "control/cli/cli.h"
#include "control/config/config_units.h"

#define ASK_TIMEOUT_MS 5000u

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "?";
}

static int64_t
number_of(const json_t *object, const char *key)
{
	return (int64_t)json_integer_value(json_object_get(object, key));
}

/* ---- to do something ---- */

struct wanted {
	const char *api, *verb;
	const char *action; /* NULL: the verb says it */
	uint64_t bytes_s;   /* 0: none is meant */
	const char *done;   /* said of a node */
};

static enum admin_exit
ask_node(struct cli *cli, const struct cluster_node *node, const struct wanted *wanted,
	 json_t *answers)
{
	json_t *arguments = json_object(), *result = NULL;
	char text[512] = "it is not on this machine";
	enum admin_exit code = ADMIN_EXIT_UNREACHABLE;

	if (wanted->action)
		(void)json_object_set_new(arguments, "action", json_string(wanted->action));
	if (wanted->bytes_s)
		(void)json_object_set_new(arguments, "bytes_per_second",
					  json_integer((json_int_t)wanted->bytes_s));
	if (node->admin_socket[0])
		code = admin_call(node->admin_socket, wanted->verb, arguments,
				  cli->timeout_ms ? cli->timeout_ms : ASK_TIMEOUT_MS, &result, text,
				  sizeof(text));
	json_t *answer = json_pack("{s:s,s:b}", "node", node->name, "ok", code == ADMIN_EXIT_OK);
	if (code)
		(void)json_object_set_new(answer, "error", json_string(text));
	else if (number_of(result, "job") != 0)
		(void)json_object_set_new(answer, "job", json_integer(number_of(result, "job")));
	(void)json_array_append_new(answers, answer);
	if (code)
		(void)fprintf(cli->err, "tern: %s: %s\n", node->name, text);
	else if (!cli->is_json)
		(void)fprintf(cli->out, "%s: %s\n", node->name, wanted->done);
	json_decref(arguments);
	json_decref(result);
	return code;
}

/* One node, or all data nodes. The exit code is that of the first that did not do it. */
static enum admin_exit
ask_nodes(struct cli *cli, const char *only, const struct wanted *wanted)
{
	struct cluster cluster;
	enum admin_exit code = cluster_find(cli, &cluster);
	bool has_any = false;

	if (code)
		return code;
	json_t *answers = json_array();
	for (uint32_t i = 0; i < cluster.node_count; i++) {
		const struct cluster_node *node = &cluster.nodes[i];
		if (node->is_witness || (only && strcmp(only, node->name) != 0))
			continue;
		const enum admin_exit one = ask_node(cli, node, wanted, answers);
		code = code ? code : one;
		has_any = true;
	}
	if (has_any && cli->is_json)
		cli_print_json(cli, json_pack("{s:s,s:s,s:O}", "api", wanted->api, "action",
					      wanted->action ? wanted->action : "rate", "nodes",
					      answers));
	json_decref(answers);
	if (has_any)
		return code;
	return cli_fail(cli, ADMIN_EXIT_USAGE, "no data node \"%.32s\"; `tern status` shows all",
			only ? only : "");
}

static enum admin_exit
scrub_ask(struct cli *cli, const char *action, const char *done)
{
	const struct wanted wanted = { "device-scrub/v1", "scrub", action, 0, done };

	return ask_nodes(cli, cli->arguments[0], &wanted);
}

enum admin_exit
verb_device_scrub_start(struct cli *cli)
{
	return scrub_ask(cli, "start", "the scrub has begun");
}

enum admin_exit
verb_device_scrub_pause(struct cli *cli)
{
	return scrub_ask(cli, "pause", "the scrub is paused");
}

enum admin_exit
verb_device_scrub_resume(struct cli *cli)
{
	return scrub_ask(cli, "resume", "the scrub goes on");
}

enum admin_exit
verb_device_scrub_cancel(struct cli *cli)
{
	return scrub_ask(cli, "cancel", "the scrub ends here");
}

static enum admin_exit
rate_ask(struct cli *cli, struct wanted wanted)
{
	if (!config_parse_bytes(cli->arguments[0], &wanted.bytes_s) || wanted.bytes_s < 1024)
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"rate \"%.32s\": bytes a second with a unit, such as \"64MiB\", at "
				"least 1KiB",
				cli->arguments[0]);
	return ask_nodes(cli, cli->arguments[1], &wanted);
}

enum admin_exit
verb_device_scrub_rate(struct cli *cli)
{
	return rate_ask(cli, (struct wanted){ "device-scrub/v1", "scrub", "rate", 0,
					      "that is the scrub's rate until the next start" });
}

enum admin_exit
verb_device_rebuild_rate(struct cli *cli)
{
	return rate_ask(cli, (struct wanted){ "device-rebuild/v1", "rebuild-rate", NULL, 0,
					      "that is the rebuild's rate until the next start" });
}

/* ---- how they go ---- */

/* The newest job of that kind; NULL: there was none since the start. */
static const json_t *
job_find(const json_t *entry, const char *kind)
{
	const json_t *jobs = json_object_get(entry, "jobs"), *newest = NULL;

	for (size_t i = 0; i < json_array_size(jobs); i++)
		if (strcmp(text_of(json_array_get(jobs, i), "kind"), kind) == 0)
			newest = json_array_get(jobs, i);
	return newest;
}

static bool
is_under_way(const json_t *job)
{
	return strcmp(text_of(job, "state"), "running") == 0 ||
	       strcmp(text_of(job, "state"), "paused") == 0;
}

/* "running, 41 % of 1024 MiB, 62 MiB/s, 10 s left" */
static void
print_job(FILE *out, const json_t *job)
{
	const int64_t done = number_of(job, "done_units"), total = number_of(job, "total_units");
	const json_t *eta = json_object_get(job, "eta_ms");

	(void)fprintf(out, "%s", text_of(job, "state"));
	if (is_under_way(job))
		(void)fprintf(out, ", %" PRId64 " %%", total > 0 ? done * 100 / total : 0);
	(void)fprintf(out,
		      ", %" PRId64 " of %" PRId64 " pages, %" PRId64 " MiB/s (at most %" PRId64 ")",
		      done, total, number_of(job, "rate_bytes_s") >> 20,
		      number_of(job, "rate_max_bytes_s") >> 20);
	if (is_under_way(job) && json_is_integer(eta))
		(void)fprintf(out, ", %" PRId64 " s left", (number_of(job, "eta_ms") + 999) / 1000);
	(void)fprintf(out,
		      "\n  found %" PRId64 ", repaired %" PRId64 ", from a peer %" PRId64
		      ", checkpoint replaced %" PRId64 ", unrepairable %" PRId64 "\n",
		      number_of(job, "found"), number_of(job, "repaired"),
		      number_of(job, "repaired_from_peer"), number_of(job, "replaced"),
		      number_of(job, "unrepairable"));
}

static void
print_devices(FILE *out, const json_t *entry)
{
	static const char *const heads[] = { "DEVICE",   "STATE",     "VERIFIED",    "BAD",
					     "REPAIRED", "FROM PEER", "UNREPAIRABLE" };
	static const char *const keys[] = { "pages_verified", "pages_bad", "pages_repaired",
					    "pages_from_peer", "pages_unrepairable" };
	const json_t *devices = json_object_get(json_object_get(entry, "pool"), "devices");
	struct cli_table table = { 0 };

	cli_table_row(&table, 7, heads);
	for (size_t i = 0; i < json_array_size(devices); i++) {
		const json_t *device = json_array_get(devices, i);
		char cells[6][24];
		(void)snprintf(cells[0], sizeof(cells[0]), "%zu", i);
		for (size_t k = 0; k < 5; k++)
			(void)snprintf(cells[k + 1], sizeof(cells[0]), "%" PRId64,
				       number_of(device, keys[k]));
		const char *const row[] = { cells[0], text_of(device, "state"),
					    cells[1], cells[2],
					    cells[3], cells[4],
					    cells[5] };
		cli_table_row(&table, 7, row);
	}
	cli_table_print(&table, out);
}

static void
scrub_print(FILE *out, const json_t *entry, const json_t *job)
{
	(void)fprintf(out, "node %s  scrub: ", text_of(entry, "name"));
	if (job)
		print_job(out, job);
	else
		(void)fprintf(out, "none since the start; tern device scrub start\n");
	print_devices(out, entry);
	if (number_of(json_object_get(entry, "pool"), "scrub_unrepairable") != 0)
		(void)fprintf(out, "next: what is lost here is not lost on the other node: "
				   "docs/how-to/replace-a-failed-device.md\n");
}

static void
rebuild_print(FILE *out, const json_t *entry, const json_t *job)
{
	(void)fprintf(out, "node %s  rebuild: ", text_of(entry, "name"));
	if (!job) {
		(void)fprintf(out, "none since the start\n");
		return;
	}
	(void)fprintf(out, "device %" PRId64 " ", number_of(job, "device"));
	print_job(out, job);
}

/* DEGRADED: there is something that an operator must know of. */
static enum admin_exit
entry_judge(const json_t *entry, bool is_scrub)
{
	const json_t *pool = json_object_get(entry, "pool");
	const bool is_bad = is_scrub ? number_of(pool, "scrub_unrepairable") != 0
				     : json_is_true(json_object_get(pool, "degraded"));

	return is_bad ? ADMIN_EXIT_DEGRADED : ADMIN_EXIT_OK;
}

static enum admin_exit
show(struct cli *cli, bool is_scrub)
{
	const char *only = cli->arguments[0], *kind = is_scrub ? "scrub" : "rebuild";
	struct cluster cluster;
	enum admin_exit health, code = cluster_find(cli, &cluster);
	bool has_any = false;

	if (code)
		return code;
	json_t *status = cluster_status(&cluster, cli->timeout_ms, &health);
	const json_t *nodes = json_object_get(status, "nodes");
	json_t *list = json_array();
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		json_t *pool = json_object_get(entry, "pool");
		if (!json_is_object(pool) || (only && strcmp(only, text_of(entry, "name")) != 0))
			continue;
		const json_t *job = job_find(entry, kind);
		has_any = true;
		code = code ? code : entry_judge(entry, is_scrub);
		(void)json_array_append_new(
		    list, json_pack("{s:s,s:O?,s:O}", "node", text_of(entry, "name"), "job", job,
				    "devices", json_object_get(pool, "devices")));
		if (!cli->is_json && is_scrub)
			scrub_print(cli->out, entry, job);
		else if (!cli->is_json)
			rebuild_print(cli->out, entry, job);
	}
	if (has_any && cli->is_json)
		cli_print_json(
		    cli, json_pack("{s:s,s:O}", "api",
				   is_scrub ? "device-scrub-status/v1" : "device-rebuild-status/v1",
				   "nodes", list));
	json_decref(list);
	json_decref(status);
	if (has_any)
		return code;
	return cli_fail(cli, ADMIN_EXIT_UNREACHABLE,
			"no data node%s%.32s answers; `tern status` shows all", only ? " " : "",
			only ? only : "");
}

enum admin_exit
verb_device_scrub_status(struct cli *cli)
{
	return show(cli, true);
}

enum admin_exit
verb_device_rebuild_status(struct cli *cli)
{
	return show(cli, false);
}
