/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "control/bench/bench.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"

/* The value of the first line of /proc/cpuinfo that names the processor's model. */
static void
cpu_model(char *out, size_t out_bytes)
{
	FILE *stream = fopen("/proc/cpuinfo", "re");
	char line[256];

	(void)snprintf(out, out_bytes, "unknown");
	while (stream != NULL && fgets(line, sizeof(line), stream) != NULL) {
		const char *value = strchr(line, ':');
		if (strncmp(line, "model name", 10) != 0 || value == NULL)
			continue;
		(void)snprintf(out, out_bytes, "%s", value + 2);
		out[strcspn(out, "\n")] = '\0';
		break;
	}
	if (stream != NULL)
		(void)fclose(stream);
}

static json_t *
machine_json(void)
{
	struct utsname names = { .release = "unknown" };
	const time_t now = (time_t)(platform_wall_ns() / 1000000000u);
	struct tm date;
	char model[128], text[32] = "";

	cpu_model(model, sizeof(model));
	(void)uname(&names);
	if (gmtime_r(&now, &date) != NULL)
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &date);
	return json_pack("{s:s,s:i,s:s,s:s}", "cpu", model, "cpus", (int)platform_cpu_count(),
			 "kernel", names.release, "date", text);
}

json_t *
bench_report(const char *kind, json_t *config)
{
	return json_pack("{s:s,s:s,s:o,s:o,s:o}", "api", BENCH_API, "kind", kind, "machine",
			 machine_json(), "config", config, "measures", json_array());
}

/* NULL: @value is not finite, and no measure. */
static json_t *
measure_json(const char *name, const char *unit, enum bench_better better, double value)
{
	return json_pack("{s:s,s:s,s:s,s:f}", "name", name, "unit", unit, "better",
			 better == BENCH_LOWER ? "lower" : "higher", "value", value);
}

void
bench_measure(json_t *report, const char *name, const char *unit, enum bench_better better,
	      double value)
{
	(void)json_array_append_new(json_object_get(report, "measures"),
				    measure_json(name, unit, better, value));
}

void
bench_measure_median(json_t *report, const char *name, const char *unit, enum bench_better better,
		     const double *values, uint32_t count)
{
	double sorted[BENCH_VALUES_MAX];
	json_t *all = json_array();

	INVARIANT(count <= BENCH_VALUES_MAX);
	memcpy(sorted, values, count * sizeof(values[0]));
	json_t *measure = measure_json(name, unit, better, bench_median(sorted, count));
	for (uint32_t i = 0; i < count; i++)
		(void)json_array_append_new(all, json_real(values[i]));
	(void)json_object_set_new(measure, "values", all);
	(void)json_array_append_new(json_object_get(report, "measures"), measure);
}

void
bench_measure_latency(json_t *report, const char *prefix, const struct histogram *histogram)
{
	static const struct {
		const char *name;
		uint32_t permille;
	} points[] = { { "p50", 500 }, { "p90", 900 }, { "p99", 990 }, { "p99.9", 999 } };
	char name[64];

	if (histogram->total_count == 0)
		return;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		(void)snprintf(name, sizeof(name), "%s %s", prefix, points[i].name);
		bench_measure(report, name, "ns", BENCH_LOWER,
			      (double)histogram_at(histogram, points[i].permille));
	}
	(void)snprintf(name, sizeof(name), "%s max", prefix);
	bench_measure(report, name, "ns", BENCH_LOWER, (double)histogram->max);
}

json_t *
bench_latency_json(const struct histogram *histogram)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "count", (json_int_t)histogram->total_count,
			 "p50_ns", (json_int_t)histogram_at(histogram, 500), "p90_ns",
			 (json_int_t)histogram_at(histogram, 900), "p99_ns",
			 (json_int_t)histogram_at(histogram, 990), "p999_ns",
			 (json_int_t)histogram_at(histogram, 999), "max_ns",
			 (json_int_t)histogram->max);
}

static int
by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
bench_median(double *values, uint32_t count)
{
	if (count == 0)
		return 0;
	qsort(values, count, sizeof(values[0]), by_value);
	return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
