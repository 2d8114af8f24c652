/* SPDX-License-Identifier: Apache-2.0 */
/* `tern bench ec`: the erasure code beside ISA-L called raw. */
#include <stdlib.h>
#include <string.h>

#include "control/bench/ec.h"
#include "control/cli/bench_options.h"
#include "control/config/config_units.h"

struct ec_runs {
	uint32_t count;
	struct bench_ec_result results[BENCH_RUNS_MAX];
};

static enum admin_exit
geometry_of(struct cli *cli, struct stripe_geometry *geometry)
{
	const char *text = cli->values[CLI_EC] ? cli->values[CLI_EC] : "4+2";

	if (config_parse_geometry(text, &geometry->k, &geometry->m) &&
	    stripe_geometry_is_valid(*geometry) && geometry->m >= 1)
		return ADMIN_EXIT_OK;
	return cli_fail(cli, ADMIN_EXIT_USAGE,
			"--ec \"%.32s\", allowed K+M such as 4+2, K 1 to %u, M 1 to %u", text,
			STRIPE_K_MAX, STRIPE_M_MAX);
}

/* Medians of our rate, of the raw one and of their quotient in each run. */
static void
report_point(json_t *report, const struct ec_runs *runs, uint32_t index)
{
	const struct bench_ec_point *first = &runs->results[0].points[index];
	double ours[BENCH_RUNS_MAX], raw[BENCH_RUNS_MAX], ratio[BENCH_RUNS_MAX];
	char name[64];

	for (uint32_t run = 0; run < runs->count; run++) {
		const struct bench_ec_point *point = &runs->results[run].points[index];
		ours[run] = point->bytes_per_s;
		raw[run] = point->raw_bytes_per_s;
		ratio[run] = point->has_raw ? ours[run] / raw[run] : 0;
	}
	bench_measure(report, first->name, "bytes/s", BENCH_HIGHER,
		      bench_median(ours, runs->count));
	if (!first->has_raw)
		return;
	(void)snprintf(name, sizeof(name), "%s, raw", first->name);
	bench_measure(report, name, "bytes/s", BENCH_HIGHER, bench_median(raw, runs->count));
	(void)snprintf(name, sizeof(name), "%s, of raw", first->name);
	bench_measure(report, name, "of raw", BENCH_HIGHER, bench_median(ratio, runs->count));
}

static void
report_print(struct cli *cli, struct stripe_geometry geometry, uint64_t duration_ns,
	     const struct ec_runs *runs)
{
	json_t *report = bench_report(
	    "ec", json_pack("{s:i,s:i,s:I,s:i}", "k", (int)geometry.k, "m", (int)geometry.m,
			    "duration_ns", (json_int_t)duration_ns, "runs", (int)runs->count));

	for (uint32_t i = 0; i < runs->results[0].point_count; i++)
		report_point(report, runs, i);
	if (cli->is_json) {
		cli_print_json(cli, report);
	} else {
		bench_print_measures(cli, report);
		json_decref(report);
	}
}

enum admin_exit
verb_bench_ec(struct cli *cli)
{
	struct ec_runs *runs = calloc(1, sizeof(*runs));
	struct stripe_geometry geometry;
	uint64_t duration_ns, count;
	char text[128];
	enum admin_exit code =
	    runs ? geometry_of(cli, &geometry) : cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");

	if (!code)
		code = bench_duration(cli, 50000000, BENCH_DURATION_NS_MAX, &duration_ns);
	if (!code)
		code = bench_number(cli, CLI_RUNS, 5, 1, BENCH_RUNS_MAX, &count);
	while (!code && runs->count < count) {
		if (!bench_ec_measure(geometry, duration_ns, &runs->results[runs->count++], text,
				      sizeof(text)))
			code = cli_fail(cli, ADMIN_EXIT_FAILED, "%s", text);
	}
	if (!code)
		report_print(cli, geometry, duration_ns, runs);
	free(runs);
	return code;
}
