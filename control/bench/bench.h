/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Benchmarks that `tern bench` runs: a RESP load (run.h), the raw device and the raw port of this
 * machine (raw.h), Tern beside them (replicate.h), and the comparison of two reports.
 *
 * A report is one JSON object, "api":"bench/v1":
 *
 *	{"api":"bench/v1","kind":"run","machine":{...},"config":{...},
 *	 "measures":[{"name":"set p50","unit":"ns","better":"lower","value":1200}, ...], ...}
 *
 * Whatever a report has besides, its measures are what two reports are compared by. Numbers are
 * reported, never judged: no exit code depends on a time.
 */
#ifndef TERN_BENCH_BENCH_H
#define TERN_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "dataplane/base/histogram.h"

#define BENCH_API "bench/v1"

enum bench_better { BENCH_HIGHER = 0, BENCH_LOWER };

/* A new report with the machine it was made on. @config: taken always. */
json_t *bench_report(const char *kind, json_t *config);
/* Adds one measure to @report, unless @value is not finite. */
void bench_measure(json_t *report, const char *name, const char *unit, enum bench_better better,
		   double value);
/* Adds the median of @count values, unless it is not finite, and beside it all of them: "values".
 * They stay as they are. */
void bench_measure_median(json_t *report, const char *name, const char *unit,
			  enum bench_better better, const double *values, uint32_t count);
/* Adds p50, p90, p99, p99.9 and max of @histogram, named "@prefix p50" and so on, when it is not
 * empty. */
void bench_measure_latency(json_t *report, const char *prefix, const struct histogram *histogram);
/* {"count","p50_ns","p90_ns","p99_ns","p999_ns","max_ns"}. */
json_t *bench_latency_json(const struct histogram *histogram);
/* The median of @count values, which are put in order; 0 when there are none. */
double bench_median(double *values, uint32_t count);
#define BENCH_VALUES_MAX 101u /* of bench_measure_median */

/* Puts measures of two reports side by side: a new report of kind "compare" with "rows"
 * [{name, unit, better, a, b, ratio}] and "differences" [texts]: what else is not equal in machine,
 * config, floor, disk, cluster and counts (but for what differs between any two runs, such as
 * dates, terms and how many were answered), so that nobody compares two machines, or a load with
 * one that was refused, without knowing. NULL: @text says what is wrong with them. */
json_t *bench_compare(const json_t *a, const json_t *b, char *text, size_t text_bytes);

#endif
