/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that measure: options in, reports out. The measuring itself is control/bench. */
#include <stdlib.h>
#include <string.h>

#include "control/bench/run.h"
#include "control/cli/bench_options.h"
#include "control/config/config_units.h"
#include "hw/platform/platform.h"

/* ---- options ---- */

enum admin_exit
bench_number(struct cli *cli, enum cli_option_id id, uint64_t fallback, uint64_t min, uint64_t max,
	     uint64_t *value)
{
	const char *text = cli->values[id];
	char *end;

	*value = fallback;
	if (!text)
		return ADMIN_EXIT_OK;
	const bool is_digits = text[0] >= '0' && text[0] <= '9' && strlen(text) < 20;
	*value = strtoull(text, &end, 10);
	if (is_digits && *end == 0 && *value >= min && *value <= max)
		return ADMIN_EXIT_OK;
	return cli_fail(cli, ADMIN_EXIT_USAGE, "--%s \"%.32s\", allowed %llu to %llu",
			cli_options[id].name, text, (unsigned long long)min,
			(unsigned long long)max);
}

enum admin_exit
bench_duration(struct cli *cli, uint64_t fallback_ns, uint64_t max_ns, uint64_t *ns)
{
	const char *text = cli->values[CLI_DURATION];

	*ns = fallback_ns;
	if (!text || (config_parse_ns(text, ns) && *ns >= 10000000 && *ns <= max_ns))
		return ADMIN_EXIT_OK;
	return cli_fail(cli, ADMIN_EXIT_USAGE, "--duration \"%.32s\", allowed 10ms to %llus", text,
			(unsigned long long)(max_ns / 1000000000));
}

static enum admin_exit
value_bytes_of(struct cli *cli, struct bench_run_config *config)
{
	const char *text = cli->values[CLI_VALUE_SIZE];
	uint64_t bytes = BENCH_UNIQUE_BYTES;

	/* A plain number is bytes: the unit may be left out here. */
	if (text && text[0] != 0 && strspn(text, "0123456789") == strlen(text) && strlen(text) < 9)
		bytes = strtoull(text, NULL, 10);
	else if (text && !config_parse_bytes(text, &bytes))
		bytes = 0;
	if (bytes == 0 || bytes > BENCH_VALUE_BYTES_MAX)
		return cli_fail(cli, ADMIN_EXIT_USAGE, "--value-size \"%.32s\", allowed 1 to %u",
				text, BENCH_VALUE_BYTES_MAX);
	if (config->history && bytes < BENCH_UNIQUE_BYTES)
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"--history needs values that differ: --value-size at least %u",
				BENCH_UNIQUE_BYTES);
	config->value_bytes = (uint32_t)bytes;
	return ADMIN_EXIT_OK;
}

static enum admin_exit
read_run_options(struct cli *cli, struct bench_run_config *config)
{
	uint64_t connections, pipeline;
	const char *mix = cli->values[CLI_MIX], *reads = cli->values[CLI_READS];
	enum admin_exit code = bench_number(cli, CLI_RATE, 0, 1, BENCH_RATE_MAX, &config->rate);

	if (!code)
		code =
		    bench_number(cli, CLI_CONNECTIONS, 64, 1, BENCH_CONNECTIONS_MAX, &connections);
	if (!code)
		code = bench_number(cli, CLI_PIPELINE, 1, 1, BENCH_PIPELINE_MAX, &pipeline);
	if (!code)
		code = bench_number(cli, CLI_KEYS, 100000, 1, BENCH_KEYS_MAX, &config->keys);
	if (!code)
		code =
		    bench_duration(cli, 5000000000ull, BENCH_DURATION_NS_MAX, &config->duration_ns);
	config->history = cli->values[CLI_HISTORY];
	if (!code)
		code = value_bytes_of(cli, config);
	if (!code && !bench_parse_mix(mix ? mix : "set=1", config->weights))
		code = cli_fail(cli, ADMIN_EXIT_USAGE,
				"--mix \"%.64s\", allowed a list like \"set=8,get=1,incr=1\"", mix);
	if (!code && reads && !bench_parse_reads(reads, config))
		code = cli_fail(cli, ADMIN_EXIT_USAGE,
				"--reads \"%.32s\", allowed linearizable, session, stale:MS (1 to "
				"3600000), snapshot, dirty",
				reads);
	if (code)
		return code;
	config->connections = (uint32_t)connections;
	config->pipeline = (uint32_t)pipeline;
	config->seed = platform_random_u64();
	/* A history must not meet values of an earlier run. */
	if (config->history)
		(void)snprintf(config->prefix, sizeof(config->prefix),
			       "bench:%08llx:", (unsigned long long)(config->seed >> 32));
	else
		(void)snprintf(config->prefix, sizeof(config->prefix), "bench:");
	return ADMIN_EXIT_OK;
}

static enum admin_exit
add_address(struct cli *cli, struct bench_run_config *config, const char *text)
{
	if (config->address_count == BENCH_ADDRESSES_MAX ||
	    !bench_parse_address(text, &config->addresses[config->address_count]))
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"\"%.64s\" is no address like 127.0.0.1:7001 or [::1]:7001, or "
				"there are over %u",
				text, BENCH_ADDRESSES_MAX);
	config->address_count++;
	return ADMIN_EXIT_OK;
}

static enum admin_exit
read_addresses(struct cli *cli, const struct cluster *cluster, struct bench_run_config *config)
{
	const char *text = cli->values[CLI_ADDRESS];
	enum admin_exit code = ADMIN_EXIT_OK;

	for (uint32_t i = 0; i < cluster->node_count && !text && !code; i++) {
		if (cluster->nodes[i].resp[0] != 0)
			code = add_address(cli, config, cluster->nodes[i].resp);
	}
	while (text && *text != 0 && !code) {
		const size_t bytes = strcspn(text, ",");
		char one[64];
		(void)snprintf(one, sizeof(one), "%.*s", (int)(bytes < 63 ? bytes : 63), text);
		code = add_address(cli, config, one);
		text += bytes + (text[bytes] == ',');
	}
	if (!code && config->address_count == 0)
		code = cli_fail(cli, ADMIN_EXIT_USAGE,
				"no address to put load on; give --dir, --node-file or --address");
	return code;
}

/* ---- what the cluster says before and after ---- */

/* {"mode","term","epoch","copies","master"} of the master that serves; null: none. */
static json_t *
cluster_summary(const struct cluster *cluster)
{
	static const char *const keys[] = { "name", "mode", "term", "epoch", "copies" };
	enum admin_exit health;
	json_t *status = cluster_status(cluster, 0, &health), *summary = json_object();
	const json_t *master = cluster_master(status);

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && master; i++)
		(void)json_object_set(summary, i == 0 ? "master" : keys[i],
				      json_object_get(master, keys[i]));
	json_decref(status);
	if (master)
		return summary;
	json_decref(summary);
	return json_null();
}

/* Takes @before and @after. A report whose mode or epoch changed is void. */
static void
add_cluster(json_t *report, json_t *before, json_t *after)
{
	json_t *reasons = json_array();

	if (json_is_null(before))
		(void)json_array_append_new(reasons, json_string("no master served before"));
	else if (!json_equal(before, after))
		(void)json_array_append_new(reasons,
					    json_string("master, mode, term or epoch changed"));
	(void)json_object_set_new(report, "void", reasons);
	(void)json_object_set_new(report, "cluster",
				  json_pack("{s:o,s:o}", "before", before, "after", after));
}

/* ---- output for people ---- */

static void
format_value(double value, const char *unit, char out[CLI_CELL_MAX])
{
	if (strcmp(unit, "ns") == 0 && value >= 1e6)
		(void)snprintf(out, CLI_CELL_MAX, "%.2f ms", value / 1e6);
	else if (strcmp(unit, "ns") == 0)
		(void)snprintf(out, CLI_CELL_MAX, "%.1f us", value / 1e3);
	else if (value >= 1e6)
		(void)snprintf(out, CLI_CELL_MAX, "%.2f M %s", value / 1e6, unit);
	else
		(void)snprintf(out, CLI_CELL_MAX, "%.*f %s", value < 100 ? 2 : 0, value, unit);
}

#define RANGE_MAX (2 * CLI_CELL_MAX + 8) /* two cells and what is between them */

/* "(lowest .. highest)" of a measure's values; empty where there is one. */
static void
format_range(const json_t *measure, char range[RANGE_MAX])
{
	const json_t *values = json_object_get(measure, "values");
	const char *unit = json_string_value(json_object_get(measure, "unit"));
	char low[CLI_CELL_MAX], high[CLI_CELL_MAX];
	double lowest = 0, highest = 0;

	range[0] = '\0';
	for (size_t i = 0; i < json_array_size(values); i++) {
		const double value = json_number_value(json_array_get(values, i));
		lowest = i == 0 || value < lowest ? value : lowest;
		highest = i == 0 || value > highest ? value : highest;
	}
	if (json_array_size(values) < 2)
		return;
	format_value(lowest, unit, low);
	format_value(highest, unit, high);
	(void)snprintf(range, RANGE_MAX, "(%s .. %s)", low, high);
}

void
bench_print_measures(struct cli *cli, const json_t *report)
{
	const json_t *measures = json_object_get(report, "measures");
	struct cli_table table = { 0 };

	for (size_t i = 0; i < json_array_size(measures); i++) {
		const json_t *measure = json_array_get(measures, i);
		char value[CLI_CELL_MAX], range[RANGE_MAX];
		const char *cells[] = { json_string_value(json_object_get(measure, "name")), value,
					range };
		format_value(json_number_value(json_object_get(measure, "value")),
			     json_string_value(json_object_get(measure, "unit")), value);
		format_range(measure, range);
		cli_table_row(&table, 3, cells);
	}
	cli_table_print(&table, cli->out);
}

static void
print_cluster(struct cli *cli, const json_t *report)
{
	const json_t *after = json_object_get(json_object_get(report, "cluster"), "after");
	const json_t *reasons = json_object_get(report, "void");
	const char *mode = json_string_value(json_object_get(after, "mode"));

	(void)fprintf(cli->out, "mode %s, epoch %lld, copies %lld\n", mode ? mode : "unknown",
		      (long long)json_integer_value(json_object_get(after, "epoch")),
		      (long long)json_integer_value(json_object_get(after, "copies")));
	for (size_t i = 0; i < json_array_size(reasons); i++)
		(void)fprintf(cli->out, "VOID %s\n", json_string_value(json_array_get(reasons, i)));
}

/* ---- verbs ---- */

enum admin_exit
verb_bench_run(struct cli *cli)
{
	struct bench_run_result *result = malloc(sizeof(*result));
	struct bench_run_config config = { 0 };
	struct cluster cluster = { 0 };
	char text[512];
	enum admin_exit code = result ? read_run_options(cli, &config) : ADMIN_EXIT_FAILED;

	/* With addresses alone the load may come from a machine that has no node file. */
	if (!code &&
	    (!cli->values[CLI_ADDRESS] || cli->values[CLI_DIR] || cli->values[CLI_NODE_FILE]))
		code = cluster_find(cli, &cluster);
	if (!code)
		code = read_addresses(cli, &cluster, &config);
	json_t *before = code || cluster.node_count == 0 ? NULL : cluster_summary(&cluster);
	if (!code && !bench_run(&config, result, text, sizeof(text)))
		code = cli_fail(cli, ADMIN_EXIT_FAILED, "%s", text);
	if (code) {
		json_decref(before);
		free(result);
		return code;
	}
	json_t *report = bench_run_report(&config, result);
	if (before)
		add_cluster(report, before, cluster_summary(&cluster));
	if (cli->is_json) {
		cli_print_json(cli, report);
	} else {
		bench_print_measures(cli, report);
		(void)fprintf(cli->out,
			      "ok %llu, refused %llu, unknown %llu, not sent %llu, longest gap "
			      "%.1f ms\n",
			      (unsigned long long)result->ok, (unsigned long long)result->fail,
			      (unsigned long long)result->unknown,
			      (unsigned long long)result->unsent, (double)result->gap_max_ns / 1e6);
		if (before)
			print_cluster(cli, report);
		json_decref(report);
	}
	free(result);
	return ADMIN_EXIT_OK;
}

static void
print_comparison(struct cli *cli, const json_t *result)
{
	static const char *const heads[] = { "MEASURE", "A", "B", "B/A", "" };
	const json_t *rows = json_object_get(result, "rows");
	const json_t *differences = json_object_get(result, "differences");
	struct cli_table table = { 0 };

	cli_table_row(&table, 5, heads);
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);
		const char *unit = json_string_value(json_object_get(row, "unit"));
		const char *better = json_string_value(json_object_get(row, "better"));
		const double ratio = json_number_value(json_object_get(row, "ratio"));
		const double x = json_number_value(json_object_get(row, "a"));
		const double y = json_number_value(json_object_get(row, "b"));
		const bool is_better = strcmp(better, "lower") == 0 ? y < x : y > x;
		char a[CLI_CELL_MAX], b[CLI_CELL_MAX], times[CLI_CELL_MAX] = "-";
		if (json_is_number(json_object_get(row, "ratio")))
			(void)snprintf(times, sizeof(times), "%.2f", ratio);
		format_value(x, unit, a);
		format_value(y, unit, b);
		const char *const cells[] = { json_string_value(json_object_get(row, "name")), a, b,
					      times, is_better ? "better" : "" };
		cli_table_row(&table, 5, cells);
	}
	cli_table_print(&table, cli->out);
	for (size_t i = 0; i < json_array_size(differences); i++)
		(void)fprintf(cli->out, "differs: %s\n",
			      json_string_value(json_array_get(differences, i)));
}

enum admin_exit
verb_bench_compare(struct cli *cli)
{
	json_t *reports[2] = { NULL, NULL }, *result = NULL;
	enum admin_exit code = ADMIN_EXIT_OK;
	char text[256];

	for (int i = 0; i < 2 && !code; i++) {
		json_error_t why;
		reports[i] = json_load_file(cli->arguments[i], 0, &why);
		if (!reports[i])
			code = cli_fail(cli, ADMIN_EXIT_USAGE, "%s:%d: %s", cli->arguments[i],
					why.line, why.text);
	}
	if (!code) {
		result = bench_compare(reports[0], reports[1], text, sizeof(text));
		if (!result)
			code = cli_fail(cli, ADMIN_EXIT_USAGE, "%s", text);
	}
	if (result && cli->is_json)
		cli_print_json(cli, result);
	else if (result)
		print_comparison(cli, result);
	if (result && !cli->is_json)
		json_decref(result);
	json_decref(reports[0]);
	json_decref(reports[1]);
	return code;
}
