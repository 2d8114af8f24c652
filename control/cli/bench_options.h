/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of `tern bench` share. */
#ifndef TERN_CLI_BENCH_OPTIONS_H
#define TERN_CLI_BENCH_OPTIONS_H

#include "control/bench/raw.h"
#include "control/cli/cli.h"

#define BENCH_RUNS_MAX 25u

/* The number of option @id, or @fallback. USAGE: reported. */
enum admin_exit bench_number(struct cli *cli, enum cli_option_id id, uint64_t fallback,
			     uint64_t min, uint64_t max, uint64_t *value);
/* --duration, at most @max_ns, whole seconds. USAGE: reported. */
enum admin_exit
bench_duration(struct cli *cli, uint64_t fallback_ns, uint64_t max_ns, uint64_t *ns);
#define BENCH_DURATION_NS_MAX 3600000000000ull
#define BENCH_FLOOR_NS_MAX    (BENCH_PORT_MS_MAX * 1000000ull) /* where the floor is measured */
/* A table of the measures of @report. */
void bench_print_measures(struct cli *cli, const json_t *report);

/* ---- the floor, measured once in every run ---- */

struct bench_floor {
	struct bench_disk disk;
	char program[NODE_CONFIG_PATH_MAX + 64];
	uint64_t duration_ns;
	uint32_t count;
	char mode[64];
	double small_p50[BENCH_RUNS_MAX], small_p99[BENCH_RUNS_MAX], small_rate[BENCH_RUNS_MAX];
	double large_rate[BENCH_RUNS_MAX];
	struct bench_port_result ports[BENCH_RUNS_MAX];
};

/* Makes the files in @directory for @writers. Reports what fails. */
enum admin_exit bench_floor_open(struct cli *cli, struct bench_floor *floor, const char *directory,
				 uint32_t writers, uint64_t duration_ns);
/* One more run. Reports what fails. */
enum admin_exit bench_floor_run(struct cli *cli, struct bench_floor *floor);
/* Adds the medians to @report, and "floor" with what was measured how. */
void bench_floor_report(const struct bench_floor *floor, json_t *report);
void bench_floor_close(struct bench_floor *floor);

#endif
