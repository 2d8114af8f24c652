/* SPDX-License-Identifier: Apache-2.0 */
/* `tern bench replicate`: what is measured (verb_replicate.c) and how it is told
 * (replicate_report.c). */
#ifndef TERN_CLI_REPLICATE_H
#define TERN_CLI_REPLICATE_H

#include "control/cli/bench_options.h"
#include "control/cli/dev.h"

#define REPLICATE_POINTS_MAX 16u

struct replicate_point {
	char name[40];
	uint32_t command_bytes, block_commands, in_flight;
	bool is_memory; /* commands of class memory */
};

struct replicate_series {
	double rate[BENCH_RUNS_MAX], p50[BENCH_RUNS_MAX], p99[BENCH_RUNS_MAX];
	double block_mean[BENCH_RUNS_MAX], p999[BENCH_RUNS_MAX], max[BENCH_RUNS_MAX];
	uint32_t run[BENCH_RUNS_MAX]; /* whose floor it stands beside */
	uint32_t count;
};

struct replicate {
	struct cli *cli;
	struct cluster cluster;
	struct bench_floor floor;
	uint64_t runs, keys, duration_ns;
	bool has_durable, has_memory; /* classes that are measured */
	bool is_log_volatile;
	struct replicate_point points[REPLICATE_POINTS_MAX];
	struct replicate_series series[REPLICATE_POINTS_MAX];
	uint32_t point_count;
	bool has_size[2]; /* of commands: small, large */
	json_t *loads, *voids;
	int copies;           /* that an answer waits for */
	uint32_t data_count;  /* nodes, each of which writes all commands of a load that counts */
	uint32_t frame_bytes; /* UDP payload that a frame of the data port carries */
};

/* The master's name, mode, and so on, in one report with the medians of all series. */
json_t *replicate_report(const struct replicate *r);
/* The same for people. */
void replicate_print(struct cli *cli, const struct replicate *r, const json_t *report);

/* What each stage of @after's data nodes cost since @before, in cycles a command: {"a":
 * {"append": 12.5, ...}, ...}. */
json_t *replicate_cycles(const json_t *before, const json_t *after, json_int_t commands);

#endif
