/* SPDX-License-Identifier: Apache-2.0 */
/* `tern bench disk`: the store of write groups beside its raw devices. */
#include <stdlib.h>
#include <string.h>

#include "control/bench/stripe.h"
#include "control/cli/bench_options.h"
#include "control/config/config_units.h"

#define GEOMETRIES_MAX 4u

struct disk_runs {
	uint32_t geometry_count, count; /* count: runs of each */
	struct stripe_geometry geometries[GEOMETRIES_MAX];
	struct bench_stripe_result results[GEOMETRIES_MAX][BENCH_RUNS_MAX];
};

static enum admin_exit
geometries_of(struct cli *cli, struct disk_runs *runs)
{
	static const struct stripe_geometry usual[GEOMETRIES_MAX] = {
		{ 1, 0 }, { 1, 1 }, { 2, 1 }, { 4, 2 }
	};
	const char *text = cli->values[CLI_EC];

	runs->geometry_count = text ? 1 : GEOMETRIES_MAX;
	memcpy(runs->geometries, usual, sizeof(usual));
	if (!text || (config_parse_geometry(text, &runs->geometries[0].k, &runs->geometries[0].m) &&
		      stripe_geometry_is_valid(runs->geometries[0])))
		return ADMIN_EXIT_OK;
	return cli_fail(cli, ADMIN_EXIT_USAGE,
			"--ec \"%.32s\", allowed K+M such as 4+2, K 1 to %u, M 0 to %u", text,
			STRIPE_K_MAX, STRIPE_M_MAX);
}

static uint32_t
devices_of(const struct disk_runs *runs)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < runs->geometry_count; i++) {
		const uint32_t count = stripe_devices(runs->geometries[i]);
		most = count > most ? count : most;
	}
	return most;
}

/* The geometries take turns, so that what the machine does meanwhile meets all of them. */
static enum admin_exit
measure_all(struct cli *cli, struct disk_runs *runs, uint64_t count, uint64_t duration_ns)
{
	const char *directory = cli->values[CLI_DIR] ? cli->values[CLI_DIR] : ".";
	struct bench_stripe bench;
	char text[512];
	bool is_good = bench_stripe_open(&bench, directory, devices_of(runs), text, sizeof(text));

	if (!is_good)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "%s", text);
	for (; runs->count < count && is_good; runs->count++) {
		for (uint32_t i = 0; i < runs->geometry_count && is_good; i++)
			is_good = bench_stripe_measure(&bench, runs->geometries[i], duration_ns,
						       &runs->results[i][runs->count], text,
						       sizeof(text));
	}
	bench_stripe_close(&bench);
	return is_good ? ADMIN_EXIT_OK
		       : cli_fail(cli, ADMIN_EXIT_FAILED, "files below %s: %s", directory, text);
}

/* Medians of the store's rates, of the devices' and of their quotient in each run. */
static void
report_point(json_t *report, const struct disk_runs *runs, uint32_t geometry, uint32_t size)
{
	const struct stripe_geometry *what = &runs->geometries[geometry];
	const uint32_t kib = runs->results[geometry][0].points[size].block_bytes / 1024;
	double blocks[BENCH_RUNS_MAX], ours[BENCH_RUNS_MAX];
	double raw[BENCH_RUNS_MAX], ratio[BENCH_RUNS_MAX];
	char name[64];

	for (uint32_t run = 0; run < runs->count; run++) {
		const struct bench_stripe_point *point = &runs->results[geometry][run].points[size];
		blocks[run] = point->blocks_per_s;
		ours[run] = point->device_bytes_per_s;
		raw[run] = point->raw_bytes_per_s;
		ratio[run] = ours[run] / (raw[run] > 0 ? raw[run] : 1);
	}
	(void)snprintf(name, sizeof(name), "%u+%u, %u KiB", what->k, what->m, kib);
	bench_measure_median(report, name, "blocks/s", BENCH_HIGHER, blocks, runs->count);
	(void)snprintf(name, sizeof(name), "%u+%u, %u KiB, written", what->k, what->m, kib);
	bench_measure_median(report, name, "bytes/s", BENCH_HIGHER, ours, runs->count);
	(void)snprintf(name, sizeof(name), "%u+%u, %u KiB, raw", what->k, what->m, kib);
	bench_measure_median(report, name, "bytes/s", BENCH_HIGHER, raw, runs->count);
	(void)snprintf(name, sizeof(name), "%u+%u, %u KiB, of raw", what->k, what->m, kib);
	bench_measure_median(report, name, "of raw", BENCH_HIGHER, ratio, runs->count);
}

static void
report_print(struct cli *cli, const struct disk_runs *runs, uint64_t duration_ns)
{
	const struct bench_stripe_result *first = &runs->results[0][0];
	json_t *geometries = json_array();
	uint64_t writes = 0, durable_writes = 0;

	for (uint32_t i = 0; i < runs->geometry_count; i++) {
		char text[16];
		(void)snprintf(text, sizeof(text), "%u+%u", runs->geometries[i].k,
			       runs->geometries[i].m);
		(void)json_array_append_new(geometries, json_string(text));
		for (uint32_t run = 0; run < runs->count; run++) {
			writes += runs->results[i][run].writes;
			durable_writes += runs->results[i][run].durable_writes;
		}
	}
	json_t *report = bench_report(
	    "disk", json_pack("{s:o,s:I,s:i,s:i}", "geometries", geometries, "duration_ns",
			      (json_int_t)duration_ns, "runs", (int)runs->count, "groups_in_flight",
			      (int)BENCH_STRIPE_GROUPS));
	(void)json_object_set_new(report, "disk",
				  json_pack("{s:s,s:I,s:I}", "mode", first->mode, "writes",
					    (json_int_t)writes, "durable_writes",
					    (json_int_t)durable_writes));
	for (uint32_t i = 0; i < runs->geometry_count; i++) {
		for (uint32_t size = 0; size < BENCH_STRIPE_SIZES; size++)
			report_point(report, runs, i, size);
	}
	if (cli->is_json) {
		cli_print_json(cli, report);
		return;
	}
	bench_print_measures(cli, report);
	(void)fprintf(cli->out, "%s, %llu of %llu writes durable\n", first->mode,
		      (unsigned long long)durable_writes, (unsigned long long)writes);
	json_decref(report);
}

enum admin_exit
verb_bench_disk(struct cli *cli)
{
	struct disk_runs *runs = calloc(1, sizeof(*runs));
	uint64_t duration_ns, count;
	enum admin_exit code =
	    runs ? geometries_of(cli, runs) : cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");

	if (!code)
		code = bench_duration(cli, 200000000, BENCH_DURATION_NS_MAX, &duration_ns);
	if (!code)
		code = bench_number(cli, CLI_RUNS, 5, 1, BENCH_RUNS_MAX, &count);
	if (!code)
		code = measure_all(cli, runs, count, duration_ns);
	if (!code)
		report_print(cli, runs, duration_ns);
	free(runs);
	return code;
}
