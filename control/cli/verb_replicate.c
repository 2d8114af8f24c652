/* SPDX-License-Identifier: Apache-2.0 */
/* `tern bench replicate`: the floor of the machine and Tern on top of it, in turns, in one run. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/admin/admin_client.h"
#include "control/cli/replicate.h"
#include "dataplane/base/bits.h"
#include "hw/platform/platform.h"

#define KEYS_DEFAULT    (1u << 20)
#define KEYS_MIN        1024u
#define CALL_TIMEOUT_MS 10000u
#define LOAD_GRACE_NS   60000000000ull
#define SETTLE_NS       30000000000ull
#define POLL_NS         10000000
#define SMALL_COMMAND   64u
#define LARGE_COMMAND   1024u
#define COMMAND_OTHER   56u  /* of a command: all but the value */
#define KEY_CHARGE      128u /* of a key with its name, in the limits of the state */

static const struct replicate_point all_points[] = {
	{ "64 B one in flight", SMALL_COMMAND, 0, 1, false },
	{ "1 KiB one in flight", LARGE_COMMAND, 0, 1, false },
	{ "64 B blocks of 1", SMALL_COMMAND, 1, 256, false },
	{ "64 B blocks of 16", SMALL_COMMAND, 16, 4096, false },
	{ "64 B full blocks", SMALL_COMMAND, 0, 16384, false },
	{ "1 KiB blocks of 1", LARGE_COMMAND, 1, 256, false },
	{ "1 KiB blocks of 16", LARGE_COMMAND, 16, 1024, false },
	{ "1 KiB full blocks", LARGE_COMMAND, 0, 4096, false },
};
#define POINTS (sizeof(all_points) / sizeof(all_points[0]))
static_assert(2 * POINTS <= REPLICATE_POINTS_MAX, "both classes");

static void
pause_poll(void)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };

	(void)nanosleep(&pause, NULL);
}

static json_int_t
integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static bool
is_data(const json_t *entry)
{
	const char *kind = json_string_value(json_object_get(entry, "kind"));

	return kind && strcmp(kind, "data") == 0;
}

static bool
is_field_equal(const json_t *a, const json_t *b, const char *key)
{
	return json_equal(json_object_get(a, key), json_object_get(b, key));
}

/* ---- the cluster at rest ---- */

static bool
is_settled(const json_t *status)
{
	const json_t *nodes = json_object_get(status, "nodes"), *first = NULL;

	if (!cluster_master(status))
		return false;
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		if (!is_data(entry))
			continue;
		if (integer(entry, "last_index") != integer(entry, "applied_index"))
			return false;
		if (first && !is_field_equal(first, entry, "applied_index"))
			return false;
		first = first ? first : entry;
	}
	return first != NULL;
}

/* Status once every data node has applied the same position. NULL: reported. */
static json_t *
settle(struct replicate *r)
{
	const uint64_t until_ns = platform_monotonic_ns() + SETTLE_NS;
	enum admin_exit health;

	for (;;) {
		json_t *status = cluster_status(&r->cluster, 0, &health);
		if (is_settled(status))
			return status;
		json_decref(status);
		if (platform_monotonic_ns() > until_ns)
			break;
		pause_poll();
	}
	(void)cli_fail(r->cli, ADMIN_EXIT_DEGRADED,
		       "the data nodes do not come to the same position; see `tern status`");
	return NULL;
}

/* After a load: every data node has counted every command, and their states are equal. */
static enum admin_exit
check_copies(struct replicate *r, const json_t *before, const json_t *after, json_int_t commands,
	     bool *is_counted)
{
	const json_t *from = json_object_get(before, "nodes");
	const json_t *to = json_object_get(after, "nodes"), *first = NULL;

	*is_counted = true;
	for (size_t i = 0; i < json_array_size(to); i++) {
		const json_t *entry = json_array_get(to, i);
		if (!is_data(entry))
			continue;
		*is_counted &= integer(entry, "commands_applied") -
				   integer(json_array_get(from, i), "commands_applied") ==
			       commands;
		if (first && !is_field_equal(first, entry, "state_hash"))
			return cli_fail(r->cli, ADMIN_EXIT_CRITICAL,
					"state hashes differ after a load; see `tern log verify`");
		first = entry;
	}
	return ADMIN_EXIT_OK;
}

static bool
is_unchanged(const json_t *before, const json_t *after)
{
	static const char *const keys[] = { "name", "mode", "term", "epoch", "copies" };
	const json_t *from = cluster_master(before), *to = cluster_master(after);

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!is_field_equal(from, to, keys[i]))
			return false;
	return true;
}

/* ---- one load ---- */

static enum admin_exit
master_node(const struct replicate *r, const json_t *status, const struct cluster_node **node)
{
	const char *name = json_string_value(json_object_get(cluster_master(status), "name"));

	*node = name ? cluster_named(&r->cluster, name) : NULL;
	return *node ? ADMIN_EXIT_OK
		     : cli_fail(r->cli, ADMIN_EXIT_UNREACHABLE,
				"the master, \"%.32s\", is none of the nodes of this cluster",
				name ? name : "");
}

/* A result that waits keeps others from starting. Who has started that load is gone: it was ended,
 * or gave up. Where none waits this does nothing. */
static void
forget_load(const struct cluster_node *node)
{
	json_t *result = NULL;
	char text[512];

	(void)admin_call(node->admin_socket, "load-result", NULL, CALL_TIMEOUT_MS, &result, text,
			 sizeof(text));
	json_decref(result);
}

/* Starts a load on @node and waits for its result. */
static enum admin_exit
run_load(struct replicate *r, const struct cluster_node *node, const struct replicate_point *point,
	 uint64_t duration_ns, json_t **out)
{
	const uint64_t until_ns = platform_monotonic_ns() + duration_ns + LOAD_GRACE_NS;
	json_t *arguments = json_pack(
	    "{s:i,s:i,s:i,s:I,s:I,s:s}", "command_bytes", (int)point->command_bytes,
	    "block_commands", (int)point->block_commands, "in_flight", (int)point->in_flight,
	    "duration_ms", (json_int_t)(duration_ns / 1000000), "keys", (json_int_t)r->keys,
	    "class", point->is_memory ? "memory" : "durable");
	json_t *result = NULL;
	char text[512];

	forget_load(node);
	enum admin_exit code = admin_call(node->admin_socket, "load-start", arguments,
					  CALL_TIMEOUT_MS, &result, text, sizeof(text));

	json_decref(arguments);
	while (!code && json_is_true(json_object_get(result, "running"))) {
		json_decref(result);
		result = NULL;
		pause_poll();
		if (platform_monotonic_ns() > until_ns) {
			code = ADMIN_EXIT_FAILED;
			(void)snprintf(text, sizeof(text), "the load does not end");
			break;
		}
		code = admin_call(node->admin_socket, "load-result", NULL, CALL_TIMEOUT_MS, &result,
				  text, sizeof(text));
	}
	*out = result;
	return code ? cli_fail(r->cli, code, "%s: %s", node->name, text) : ADMIN_EXIT_OK;
}

/* What makes a load useless, with the next step. */
static enum admin_exit
check_load(struct replicate *r, const json_t *result)
{
	const json_t *outcomes = json_object_get(result, "outcomes");

	if (integer(outcomes, "log_full") != 0)
		return cli_fail(r->cli, ADMIN_EXIT_REFUSED,
				"the log is full; start a new cluster with a larger `tern dev up "
				"--log-size`, or give fewer --runs or a shorter --duration");
	if (integer(result, "bad_replies") != 0)
		return cli_fail(r->cli, ADMIN_EXIT_REFUSED,
				"the state is over state.capacity; raise it, or give fewer --keys");
	return ADMIN_EXIT_OK;
}

static void
note(struct replicate *r, const struct replicate_point *point, const json_t *result)
{
	struct replicate_series *series = &r->series[point - r->points];
	const json_t *latency = json_object_get(result, "latency");
	const uint32_t at = series->count++;

	series->run[at] = r->floor.count - 1;
	series->rate[at] = (double)integer(json_object_get(result, "outcomes"), "done") * 1e9 /
			   (double)(integer(result, "elapsed_ns") + 1);
	series->p50[at] = (double)integer(latency, "p50");
	series->p99[at] = (double)integer(latency, "p99");
	series->p999[at] = (double)integer(latency, "p999");
	series->max[at] = (double)integer(latency, "max");
	series->block_mean[at] =
	    (double)integer(json_object_get(result, "outcomes"), "done") /
	    (double)(integer(result, "blocks") ? integer(result, "blocks") : 1);
	r->copies = (int)integer(result, "copies_min");
}

/* Why a load measures nothing; NULL: it does. */
static const char *
why_void(const struct replicate_point *point, const json_t *result, bool is_counted, bool is_same)
{
	const json_int_t done = integer(json_object_get(result, "outcomes"), "done");

	if (json_is_true(json_object_get(result, "sessionless")))
		return "no session could be opened";
	if (!point->is_memory && integer(result, "durable") != done)
		return "not every command was durable";
	/* Where mastership was lost, commands whose outcome nobody knows are counted, too. */
	if (!is_same)
		return "master, mode, term or epoch changed";
	return is_counted ? NULL : "not every command was counted on every node, or others wrote";
}

/* One load of @point, checked. With @duration_ns 0 it writes every key once and is not noted. */
static enum admin_exit
measure(struct replicate *r, const struct replicate_point *point, uint64_t duration_ns)
{
	json_t *before = settle(r), *after = NULL, *result = NULL;
	const struct cluster_node *node = NULL;
	enum admin_exit code = before ? master_node(r, before, &node) : ADMIN_EXIT_DEGRADED;
	bool is_counted = false;

	if (!code)
		code = run_load(r, node, point, duration_ns, &result);
	if (!code)
		code = check_load(r, result);
	if (!code)
		after = settle(r);
	if (!code && !after)
		code = ADMIN_EXIT_DEGRADED;
	if (!code)
		code = check_copies(r, before, after,
				    integer(json_object_get(result, "outcomes"), "done") +
					2 * integer(result, "sessions"),
				    &is_counted);
	if (!code && duration_ns != 0) {
		const char *why = why_void(point, result, is_counted, is_unchanged(before, after));
		if (why)
			(void)json_array_append_new(r->voids,
						    json_sprintf("%s: %s", point->name, why));
		else
			note(r, point, result);
		(void)json_object_set_new(result, "point", json_string(point->name));
		(void)json_object_set_new(
		    result, "cycles_by_stage",
		    replicate_cycles(before, after,
				     integer(json_object_get(result, "outcomes"), "done")));
		(void)json_object_set_new(result, "good", json_boolean(!why));
		(void)json_array_append(r->loads, result);
	}
	json_decref(before);
	json_decref(after);
	json_decref(result);
	return code;
}

/* ---- all of them ---- */

static enum admin_exit
check_room(struct replicate *r)
{
	json_t *status = settle(r);
	const json_t *master = status ? cluster_master(status) : NULL;
	r->frame_bytes = (uint32_t)integer(json_object_get(master, "data_port"), "frame_bytes_max");
	const uint64_t bytes = (r->has_size[0] ? SMALL_COMMAND : 0) +
			       (r->has_size[1] ? LARGE_COMMAND : 0); /* of a key's commands */
	const uint64_t need =
	    r->keys * (bytes + (r->has_size[0] + r->has_size[1]) * (KEY_CHARGE - COMMAND_OTHER));
	const uint64_t has = (uint64_t)integer(json_object_get(master, "state_limits"), "capacity");
	const uint64_t log =
	    (uint64_t)(integer(master, "log_area_bytes") - integer(master, "log_used_bytes"));
	enum admin_exit code = master ? ADMIN_EXIT_OK : ADMIN_EXIT_DEGRADED;

	r->is_log_volatile = json_is_true(json_object_get(master, "log_volatile"));
	if (!code && r->is_log_volatile && r->has_durable)
		code = cli_fail(r->cli, ADMIN_EXIT_REFUSED,
				"the logs of this cluster are in RAM, so no command is durable; "
				"give --class memory");
	if (!code && has < need + need / 64)
		code = cli_fail(r->cli, ADMIN_EXIT_REFUSED,
				"%llu keys need state.capacity \"%lluMiB\", the cluster has "
				"\"%lluMiB\"; `tern dev up --profile` with such a one, or --keys",
				(unsigned long long)r->keys,
				(unsigned long long)((need + need / 64) >> 20) + 1,
				(unsigned long long)(has >> 20));
	if (!code && log < 2 * r->keys * bytes)
		code = cli_fail(r->cli, ADMIN_EXIT_REFUSED,
				"the log has %llu MiB left, writing all keys needs twice %llu MiB; "
				"`tern dev up --log-size`, or --keys",
				(unsigned long long)(log >> 20),
				(unsigned long long)(r->keys * bytes >> 20));
	json_decref(status);
	return code;
}

static enum admin_exit
run_all(struct replicate *r)
{
	const bool is_memory = !r->has_durable;
	const struct replicate_point fill[] = { { "fill", SMALL_COMMAND, 0, 16384, is_memory },
						{ "fill", LARGE_COMMAND, 0, 4096, is_memory } };
	enum admin_exit code = check_room(r);

	for (size_t i = 0; i < 2 && !code; i++)
		if (r->has_size[i])
			code = measure(r, &fill[i], 0);
	for (uint64_t run = 0; run < r->runs && !code; run++) {
		code = bench_floor_run(r->cli, &r->floor);
		for (uint32_t i = 0; i < r->point_count && !code; i++)
			code = measure(r, &r->points[i], r->duration_ns);
	}
	return code;
}

/* Those of one class after those of the other; of both, memory ones say so in their names. */
static enum admin_exit
choose_points(struct replicate *r)
{
	const char *class_ = r->cli->values[CLI_CLASS], *text = r->cli->values[CLI_POINTS];

	if (class_ && strcmp(class_, "durable") != 0 && strcmp(class_, "memory") != 0 &&
	    strcmp(class_, "both") != 0)
		return cli_fail(r->cli, ADMIN_EXIT_USAGE,
				"--class \"%.32s\", allowed durable, memory, both", class_);
	if (text && text[0] == 0)
		return cli_fail(r->cli, ADMIN_EXIT_USAGE, "--points \"\": part of a load's name");
	r->has_memory = class_ && strcmp(class_, "durable") != 0;
	r->has_durable = !class_ || strcmp(class_, "memory") != 0;
	for (size_t i = 0; i < 2 * POINTS; i++) {
		const bool is_memory = i >= POINTS;
		struct replicate_point *point = &r->points[r->point_count];
		if (is_memory ? !r->has_memory : !r->has_durable)
			continue;
		*point = all_points[i % POINTS];
		point->is_memory = is_memory;
		(void)snprintf(point->name, sizeof(point->name), "%s%s", is_memory ? "memory " : "",
			       all_points[i % POINTS].name);
		if (!text || strstr(point->name, text)) {
			r->has_size[point->command_bytes == LARGE_COMMAND] = true;
			r->point_count++;
		}
	}
	if (r->point_count == 0)
		return cli_fail(r->cli, ADMIN_EXIT_USAGE, "--points \"%.32s\" names no load",
				text ? text : "");
	return ADMIN_EXIT_OK;
}

static enum admin_exit
read_options(struct replicate *r)
{
	struct cli *cli = r->cli;
	enum admin_exit code = bench_duration(cli, 500000000, BENCH_FLOOR_NS_MAX, &r->duration_ns);

	if (!code)
		code = bench_number(cli, CLI_RUNS, 5, 1, BENCH_RUNS_MAX, &r->runs);
	if (!code)
		code = bench_number(cli, CLI_KEYS, KEYS_DEFAULT, KEYS_MIN, 1u << 28, &r->keys);
	if (!code && (r->keys & (r->keys - 1)) != 0)
		code = cli_fail(cli, ADMIN_EXIT_USAGE, "--keys %llu, allowed powers of two",
				(unsigned long long)r->keys);
	if (!code)
		code = choose_points(r);
	return code;
}

/* Where the device is measured: beside the logs of the nodes of this machine. */
static enum admin_exit
open_floor(struct replicate *r)
{
	const char *directory = NULL;

	for (uint32_t i = 0; i < r->cluster.node_count; i++) {
		if (r->cluster.nodes[i].is_witness)
			continue;
		r->data_count++;
		if (!directory && r->cluster.nodes[i].storage_dir[0] != 0)
			directory = r->cluster.nodes[i].storage_dir;
	}
	if (!directory)
		return cli_fail(r->cli, ADMIN_EXIT_USAGE,
				"no data node of this cluster has its storage on this machine");
	return bench_floor_open(r->cli, &r->floor, directory,
				min_u32(r->data_count, BENCH_WRITERS_MAX), r->duration_ns);
}

enum admin_exit
verb_bench_replicate(struct cli *cli)
{
	struct replicate *r = calloc(1, sizeof(*r));

	if (!r)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
	r->cli = cli;
	enum admin_exit code = read_options(r);
	if (!code)
		code = cluster_find(cli, &r->cluster);
	if (!code)
		code = open_floor(r);
	r->loads = json_array();
	r->voids = json_array();
	if (!code)
		code = run_all(r);
	if (!code) {
		json_t *report = replicate_report(r);
		if (cli->is_json) {
			cli_print_json(cli, report);
		} else {
			replicate_print(cli, r, report);
			json_decref(report);
		}
	}
	bench_floor_close(&r->floor);
	json_decref(r->loads);
	json_decref(r->voids);
	free(r);
	return code;
}
