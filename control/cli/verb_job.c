/* SPDX-License-Identifier: Apache-2.0 */
/* What the nodes do in the background: rebuilds and scrubs of all nodes that answer, by ids that
 * say the node ("b-10003"). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/admin/admin_client.h"
#include "control/cli/cli.h"

#define ASK_MS    1000u
#define LOOK_MS   200u
#define BAR_CELLS 28u

struct job_place {
	const struct cluster_node *node;
	uint64_t number;
};

static json_int_t
number_of(const json_t *job, const char *key)
{
	return json_integer_value(json_object_get(job, key));
}

static const char *
text_of(const json_t *job, const char *key)
{
	const char *text = json_string_value(json_object_get(job, key));

	return text ? text : "?";
}

static bool
is_over(const json_t *job)
{
	return strcmp(text_of(job, "state"), "running") != 0 &&
	       strcmp(text_of(job, "state"), "paused") != 0;
}

/* "b-10003" */
static json_t *
job_name(const char *node, const json_t *job)
{
	return json_sprintf("%s-%" PRId64, node, (int64_t)number_of(job, "id"));
}

/* A copy that says its node and its id. */
static json_t *
job_copy(const char *node, const json_t *job)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)job);

	(void)json_object_set_new(copy, "job", job_name(node, job));
	(void)json_object_set_new(copy, "node", json_string(node));
	return copy;
}

/* ---- text ---- */

static double
part_done(const json_t *job)
{
	const json_int_t total = number_of(job, "total_units");

	if (strcmp(text_of(job, "state"), "done") == 0)
		return 1;
	return total <= 0 ? 0 : (double)number_of(job, "done_units") / (double)total;
}

static void
bar_text(double part, char out[BAR_CELLS + 3])
{
	const uint32_t full = (uint32_t)(part * BAR_CELLS);

	out[0] = '[';
	for (uint32_t i = 0; i < BAR_CELLS; i++)
		out[1 + i] = i < full ? '#' : i == full ? '>' : '.';
	out[BAR_CELLS + 1] = ']';
	out[BAR_CELLS + 2] = 0;
}

static void
left_text(const json_t *job, char out[32])
{
	const json_t *eta = json_object_get(job, "eta_ms");
	const int64_t s = json_is_integer(eta) ? (int64_t)json_integer_value(eta) / 1000 : -1;

	if (is_over(job))
		(void)snprintf(out, 32, "-");
	else if (s < 0)
		(void)snprintf(out, 32, "not known");
	else
		(void)snprintf(out, 32, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, s / 3600,
			       s / 60 % 60, s % 60);
}

static void
device_text(const json_t *job, char out[16])
{
	const json_t *device = json_object_get(job, "device");

	if (json_is_integer(device))
		(void)snprintf(out, 16, "%d", (int)json_integer_value(device));
	else
		(void)snprintf(out, 16, "all");
}

static void
print_jobs(FILE *out, const json_t *jobs)
{
	static const char *const heads[] = { "JOB",  "KIND", "DEVICE", "STATE",    "DONE",
					     "RATE", "LEFT", "FOUND",  "REPAIRED", "LOST" };
	struct cli_table table = { 0 };

	if (json_array_size(jobs) == 0) {
		(void)fprintf(out, "no jobs\n");
		return;
	}
	cli_table_row(&table, 10, heads);
	for (size_t i = 0; i < json_array_size(jobs); i++) {
		const json_t *job = json_array_get(jobs, i);
		char device[16], done[16], rate[32], left[32], counts[3][24];
		device_text(job, device);
		(void)snprintf(done, sizeof(done), "%.1f %%", 100 * part_done(job));
		(void)snprintf(rate, sizeof(rate), "%.1f MB/s",
			       (double)number_of(job, "rate_bytes_s") / 1e6);
		left_text(job, left);
		static const char *const keys[] = { "found", "repaired", "unrepairable" };
		for (uint32_t k = 0; k < 3; k++)
			(void)snprintf(counts[k], sizeof(counts[k]), "%" PRId64,
				       (int64_t)number_of(job, keys[k]));
		const char *const cells[] = { text_of(job, "job"),
					      text_of(job, "kind"),
					      device,
					      text_of(job, "state"),
					      done,
					      rate,
					      left,
					      counts[0],
					      counts[1],
					      counts[2] };
		cli_table_row(&table, 10, cells);
	}
	cli_table_print(&table, out);
}

/* ---- finding ---- */

enum admin_exit
verb_job_list(struct cli *cli)
{
	json_t *jobs = json_array(), *silent = json_array();
	struct cluster cluster;
	enum admin_exit health;
	const enum admin_exit code = cluster_find(cli, &cluster);

	if (code) {
		json_decref(jobs);
		json_decref(silent);
		return code;
	}
	json_t *status = cluster_status(&cluster, cli->timeout_ms, &health);
	const json_t *nodes = json_object_get(status, "nodes");
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const json_t *list = json_object_get(entry, "jobs");
		if (json_object_get(entry, "error") && strcmp(text_of(entry, "kind"), "data") == 0)
			(void)json_array_append_new(silent, json_string(text_of(entry, "name")));
		for (size_t k = 0; k < json_array_size(list); k++)
			(void)json_array_append_new(
			    jobs, job_copy(text_of(entry, "name"), json_array_get(list, k)));
	}
	const bool is_whole = json_array_size(silent) == 0;
	if (cli->is_json) {
		cli_print_json(cli, json_pack("{s:s,s:O,s:O}", "api", "job-list/v1", "jobs", jobs,
					      "silent", silent));
	} else {
		print_jobs(cli->out, jobs);
		for (size_t i = 0; i < json_array_size(silent); i++)
			(void)fprintf(cli->out, "node %s does not answer\n",
				      json_string_value(json_array_get(silent, i)));
	}
	json_decref(status);
	json_decref(jobs);
	json_decref(silent);
	return is_whole ? ADMIN_EXIT_OK : ADMIN_EXIT_DEGRADED;
}

static enum admin_exit
place_find(struct cli *cli, struct cluster *cluster, struct job_place *place)
{
	const char *id = cli->arguments[0], *dash = strrchr(id, '-');
	char *end = NULL;
	const enum admin_exit code = cluster_find(cli, cluster);

	if (code)
		return code;
	*place = (struct job_place){ 0 };
	if (dash)
		place->number = strtoull(dash + 1, &end, 10);
	for (uint32_t i = 0; dash && i < cluster->node_count; i++) {
		const struct cluster_node *node = &cluster->nodes[i];
		if (!node->is_witness && strlen(node->name) == (size_t)(dash - id) &&
		    memcmp(node->name, id, (size_t)(dash - id)) == 0)
			place->node = node;
	}
	if (!place->node || end == dash + 1 || *end != 0)
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"\"%.48s\" is no job's id; `tern job list` shows them", id);
	return ADMIN_EXIT_OK;
}

/* The job as it is now: a new reference. @is_told: what fails is said. */
static enum admin_exit
job_ask(struct cli *cli, const struct job_place *place, bool is_told, json_t **job)
{
	json_t *status = NULL;
	char text[512];

	*job = NULL;
	enum admin_exit code = admin_call(place->node->admin_socket, "status", NULL, ASK_MS,
					  &status, text, sizeof(text));
	if (code)
		return is_told ? cli_fail(cli, code, "%s", text) : code;
	const json_t *list = json_object_get(status, "jobs");
	for (size_t i = 0; i < json_array_size(list) && !*job; i++) {
		const json_t *one = json_array_get(list, i);
		if ((uint64_t)number_of(one, "id") == place->number)
			*job = job_copy(place->node->name, one);
	}
	json_decref(status);
	if (*job)
		return ADMIN_EXIT_OK;
	return is_told ? cli_fail(cli, ADMIN_EXIT_REFUSED,
				  "%s has no job %s; a node keeps the last few, until it is "
				  "started again",
				  place->node->name, cli->arguments[0])
		       : ADMIN_EXIT_REFUSED;
}

/* ---- verbs of one job ---- */

/* Prints it, takes it, and judges how it ended. */
static enum admin_exit
job_report(struct cli *cli, json_t *job)
{
	const char *state = text_of(job, "state");
	const bool is_bad = strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;

	if (cli->is_json) {
		cli_print_json(cli, json_pack("{s:s,s:O}", "api", "job/v1", "job", job));
	} else {
		json_t *one = json_pack("[O]", job);
		print_jobs(cli->out, one);
		json_decref(one);
	}
	json_decref(job);
	return is_bad ? ADMIN_EXIT_DEGRADED : ADMIN_EXIT_OK;
}

enum admin_exit
verb_job_show(struct cli *cli)
{
	struct cluster cluster;
	struct job_place place;
	json_t *job;
	enum admin_exit code = place_find(cli, &cluster, &place);

	if (!code)
		code = job_ask(cli, &place, true, &job);
	return code ? code : job_report(cli, job);
}

/* On a terminal: one line that is written over. */
static void
progress(struct cli *cli, const json_t *job)
{
	char bar[BAR_CELLS + 3], left[32];

	if (!isatty(fileno(cli->err)))
		return;
	bar_text(part_done(job), bar);
	left_text(job, left);
	(void)fprintf(cli->err, "\r%s %s %5.1f %%  %.1f MB/s  left %s  %s   ", text_of(job, "kind"),
		      bar, 100 * part_done(job), (double)number_of(job, "rate_bytes_s") / 1e6, left,
		      text_of(job, "state"));
	if (is_over(job))
		(void)fputc('\n', cli->err);
	(void)fflush(cli->err);
}

enum admin_exit
verb_job_wait(struct cli *cli)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };
	struct cluster cluster;
	struct job_place place;
	json_t *job = NULL;
	uint64_t waited_ms = 0;
	enum admin_exit code = place_find(cli, &cluster, &place);

	/* Without --timeout for as long as it takes. */
	while (!code) {
		code = job_ask(cli, &place, true, &job);
		if (code)
			break;
		progress(cli, job);
		if (is_over(job))
			return job_report(cli, job);
		if (cli->timeout_ms != 0 && waited_ms >= cli->timeout_ms)
			code = cli_fail(cli, ADMIN_EXIT_UNKNOWN,
					"%s is %s, %.1f %% done; it goes on", cli->arguments[0],
					text_of(job, "state"), 100 * part_done(job));
		json_decref(job);
		(void)nanosleep(&pause, NULL);
		waited_ms += LOOK_MS;
	}
	return code;
}

enum admin_exit
verb_job_cancel(struct cli *cli)
{
	struct cluster cluster;
	struct job_place place;
	json_t *job = NULL, *result = NULL;
	char text[512];
	enum admin_exit code = place_find(cli, &cluster, &place);

	if (!code)
		code = job_ask(cli, &place, true, &job);
	if (code)
		return code;
	if (is_over(job))
		code = cli_fail(cli, ADMIN_EXIT_REFUSED, "%s has ended: it is %s",
				cli->arguments[0], text_of(job, "state"));
	else if (strcmp(text_of(job, "kind"), "scrub") != 0)
		code = cli_fail(cli, ADMIN_EXIT_REFUSED,
				"%s is a %s and cannot be cancelled: until it is done the node "
				"bears one loss less; it can be made slower (`tern device rebuild "
				"rate`)",
				cli->arguments[0], text_of(job, "kind"));
	json_decref(job);
	if (code)
		return code;
	json_t *arguments = json_pack("{s:s}", "action", "cancel");
	code =
	    admin_call(place.node->admin_socket, "scrub", arguments,
		       cli->timeout_ms ? cli->timeout_ms : 5 * ASK_MS, &result, text, sizeof(text));
	json_decref(arguments);
	json_decref(result);
	if (code)
		return cli_fail(cli, code, "%s", text);
	code = job_ask(cli, &place, true, &job);
	if (code)
		return code;
	(void)job_report(cli, job);
	return ADMIN_EXIT_OK;
}
