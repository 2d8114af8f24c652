/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "control/cli/replicate.h"

/* In the order of a command's way; whatever else a node counts comes behind. */
static const char *const stages[] = { "append", "seal",    "send",  "receive",
				      "verify", "persist", "apply", "checkpoint",
				      "reply",  "other",   "idle" };
#define STAGES (sizeof(stages) / sizeof(stages[0]))

static json_int_t
integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

json_t *
replicate_cycles(const json_t *before, const json_t *after, json_int_t commands)
{
	const json_t *from = json_object_get(before, "nodes"),
		     *to = json_object_get(after, "nodes");
	json_t *nodes = json_object();

	for (size_t i = 0; i < json_array_size(to) && commands != 0; i++) {
		const json_t *entry = json_array_get(to, i);
		const char *name = json_string_value(json_object_get(entry, "name")), *stage;
		json_t *now = json_object_get(entry, "cycles"), *node = json_object();
		const json_t *was = json_object_get(json_array_get(from, i), "cycles"), *value;
		json_object_foreach(now, stage, value)
		{
			const json_int_t cycles = json_integer_value(value) - integer(was, stage);
			(void)json_object_set_new(node, stage,
						  json_real((double)cycles / (double)commands));
		}
		if (now && name)
			(void)json_object_set_new(nodes, name, node);
		else
			json_decref(node);
	}
	return nodes;
}

static void
add(json_t *report, const struct replicate_point *point, const char *what, const char *unit,
    enum bench_better better, const double *values, uint32_t count)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s%s%s", point->name, what[0] ? " " : "", what);
	bench_measure_median(report, text, unit, better, values, count);
}

/* Bytes of UDP payload a second that the raw port moved in run @i in frames as large as the
 * cluster's. */
static double
port_bytes(const struct replicate *r, uint32_t i)
{
	const bool is_jumbo = r->frame_bytes > BENCH_FRAME_LONG;
	const struct bench_port_result *port = &r->floor.ports[i];

	return (is_jumbo ? port->jumbo_frames_per_s : port->long_frames_per_s) *
	       ((is_jumbo ? BENCH_FRAME_JUMBO : BENCH_FRAME_LONG) - BENCH_PORT_HDR_BYTES);
}

enum ratio { RATIO_DEVICE, RATIO_PORT, RATIO_DEVICE_P50, MINUS_DEVICE_P50, RATIO_PORT_P50 };

/* Of each load that counts, beside the floor of its own run. */
static void
add_beside(const struct replicate *r, uint32_t number, enum ratio ratio, const char *what,
	   json_t *report)
{
	const struct replicate_point *point = &r->points[number];
	const struct replicate_series *series = &r->series[number];
	const bool is_higher = ratio == RATIO_DEVICE || ratio == RATIO_PORT;
	double values[BENCH_RUNS_MAX];

	for (uint32_t i = 0; i < series->count; i++) {
		const uint32_t run = series->run[i];
		const double bytes = series->rate[i] * point->command_bytes;
		switch (ratio) {
		case RATIO_DEVICE:
			values[i] = bytes * r->data_count / r->floor.large_rate[run];
			break;
		case RATIO_PORT:
			values[i] = bytes / port_bytes(r, run);
			break;
		case RATIO_DEVICE_P50:
			values[i] = series->p50[i] / r->floor.small_p50[run];
			break;
		case MINUS_DEVICE_P50:
			values[i] = series->p50[i] - r->floor.small_p50[run];
			break;
		case RATIO_PORT_P50:
			values[i] = series->p50[i] / r->floor.ports[run].short_p50_ns;
			break;
		}
	}
	add(report, point, what, ratio == MINUS_DEVICE_P50 ? "ns" : "times",
	    is_higher ? BENCH_HIGHER : BENCH_LOWER, values, series->count);
}

static void
report_point(const struct replicate *r, uint32_t number, json_t *report)
{
	const struct replicate_point *point = &r->points[number];
	const struct replicate_series *series = &r->series[number];
	const uint32_t count = series->count;
	double bytes[BENCH_RUNS_MAX];

	if (count == 0)
		return;
	for (uint32_t i = 0; i < count; i++)
		bytes[i] = series->rate[i] * point->command_bytes;
	add(report, point, "", "commands/s", BENCH_HIGHER, series->rate, count);
	add(report, point, "bytes", "bytes/s", BENCH_HIGHER, bytes, count);
	add(report, point, "p50", "ns", BENCH_LOWER, series->p50, count);
	add(report, point, "p99", "ns", BENCH_LOWER, series->p99, count);
	add(report, point, "p99.9", "ns", BENCH_LOWER, series->p999, count);
	add(report, point, "max", "ns", BENCH_LOWER, series->max, count);
	if (point->in_flight == 1) {
		add_beside(r, number, RATIO_PORT_P50, "p50 / port", report);
		if (point->is_memory)
			return;
		add_beside(r, number, RATIO_DEVICE_P50, "p50 / device", report);
		add_beside(r, number, MINUS_DEVICE_P50, "p50 - device", report);
		return;
	}
	add(report, point, "commands a block", "commands", BENCH_HIGHER, series->block_mean, count);
	/* Every data node writes, and the floor is that of as many writers together. */
	if (!r->is_log_volatile && r->data_count == r->floor.disk.writers)
		add_beside(r, number, RATIO_DEVICE, "of the device", report);
	add_beside(r, number, RATIO_PORT, "of the port", report);
}

static json_t *
config_json(const struct replicate *r)
{
	return json_pack("{s:I,s:I,s:I,s:s,s:i}", "runs", (json_int_t)r->runs, "keys",
			 (json_int_t)r->keys, "duration_ns", (json_int_t)r->duration_ns, "class",
			 !r->has_memory    ? "durable"
			 : !r->has_durable ? "memory"
					   : "both",
			 "frame_bytes", (int)r->frame_bytes);
}

json_t *
replicate_report(const struct replicate *r)
{
	json_t *report = bench_report("replicate", config_json(r));
	enum admin_exit health;
	json_t *status = cluster_status(&r->cluster, 0, &health);
	const json_t *master = cluster_master(status);

	bench_floor_report(&r->floor, report);
	for (uint32_t i = 0; i < r->point_count; i++)
		report_point(r, i, report);
	(void)json_object_set_new(
	    report, "cluster",
	    json_pack("{s:O?,s:O?,s:O?,s:O?,s:O?,s:i}", "master", json_object_get(master, "name"),
		      "mode", json_object_get(master, "mode"), "term",
		      json_object_get(master, "term"), "epoch", json_object_get(master, "epoch"),
		      "disk_mode", json_object_get(master, "disk_mode"), "copies", r->copies));
	(void)json_object_set(report, "loads", r->loads);
	(void)json_object_set(report, "void", r->voids);
	json_decref(status);
	return report;
}

/* How large the blocks of each load were, in the last run. */
static void
print_blocks(struct cli *cli, const json_t *loads, size_t points)
{
	static const char *const heads[] = { "BLOCKS OF", "COUNT", "p50", "p90", "p99", "max" };
	static const char *const keys[] = { "count", "p50", "p90", "p99", "max" };
	const size_t count = json_array_size(loads);
	struct cli_table table = { 0 };

	cli_table_row(&table, 6, heads);
	for (size_t i = count > points ? count - points : 0; i < count; i++) {
		const json_t *load = json_array_get(loads, i);
		const json_t *sizes = json_object_get(load, "block_size");
		char texts[5][CLI_CELL_MAX];
		const char *cells[6] = { json_string_value(json_object_get(load, "point")) };
		for (size_t k = 0; k < 5; k++) {
			(void)snprintf(texts[k], sizeof(texts[k]), "%lld",
				       (long long)integer(sizes, keys[k]));
			cells[k + 1] = texts[k];
		}
		cli_table_row(&table, 6, cells);
	}
	cli_table_print(&table, cli->out);
}

/* The median over all runs of what @stage of @node cost in loads of @point; "load": making it. */
static double
cycles_of(const json_t *loads, const char *point, const char *node, const char *stage)
{
	double values[BENCH_RUNS_MAX];
	uint32_t count = 0;

	for (size_t i = 0; i < json_array_size(loads) && count < BENCH_RUNS_MAX; i++) {
		const json_t *load = json_array_get(loads, i);
		const char *name = json_string_value(json_object_get(load, "point"));
		if (!name || strcmp(name, point) != 0)
			continue;
		const json_t *nodes = json_object_get(load, "cycles_by_stage");
		values[count++] =
		    json_number_value(json_object_get(json_object_get(nodes, node), stage));
	}
	return bench_median(values, count);
}

/* Cycles a command, by stage, on each data node. */
static void
print_cycles(struct cli *cli, const struct replicate *r)
{
	const char *cells[STAGES + 2] = { "CYCLES A COMMAND", "NODE" };
	struct cli_table table = { 0 };

	memcpy(&cells[2], stages, sizeof(stages));
	cli_table_row(&table, STAGES + 2, cells);
	for (uint32_t i = 0; i < r->point_count; i++) {
		for (uint32_t k = 0; k < r->cluster.node_count; k++) {
			char texts[STAGES][CLI_CELL_MAX];
			const char *node = r->cluster.nodes[k].name;
			if (r->cluster.nodes[k].is_witness)
				continue;
			cells[0] = r->points[i].name;
			cells[1] = node;
			for (size_t s = 0; s < STAGES; s++) {
				(void)snprintf(
				    texts[s], sizeof(texts[s]), "%.0f",
				    cycles_of(r->loads, r->points[i].name, node, stages[s]));
				cells[s + 2] = texts[s];
			}
			cli_table_row(&table, STAGES + 2, cells);
		}
	}
	cli_table_print(&table, cli->out);
}

void
replicate_print(struct cli *cli, const struct replicate *r, const json_t *report)
{
	const json_t *cluster = json_object_get(report, "cluster");
	const json_t *voids = json_object_get(report, "void");
	const char *mode = json_string_value(json_object_get(cluster, "mode"));
	const char *disk = json_string_value(json_object_get(cluster, "disk_mode"));

	bench_print_measures(cli, report);
	print_blocks(cli, json_object_get(report, "loads"), r->point_count);
	print_cycles(cli, r);
	(void)fprintf(cli->out,
		      "mode %s, epoch %lld, copies %lld; log on %s; frames of %u bytes; medians of "
		      "%lld\n",
		      mode ? mode : "unknown", (long long)integer(cluster, "epoch"),
		      (long long)integer(cluster, "copies"), disk ? disk : "unknown",
		      r->frame_bytes,
		      (long long)integer(json_object_get(report, "config"), "runs"));
	for (size_t i = 0; i < json_array_size(voids); i++)
		(void)fprintf(cli->out, "VOID %s\n", json_string_value(json_array_get(voids, i)));
}
