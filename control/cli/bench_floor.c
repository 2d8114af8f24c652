/* SPDX-License-Identifier: Apache-2.0 */
/* `tern bench raw`, and the floor that `tern bench replicate` measures in between. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/bench_options.h"
#include "control/cli/process.h"

enum admin_exit
bench_floor_open(struct cli *cli, struct bench_floor *floor, const char *directory,
		 uint32_t writers, uint64_t duration_ns)
{
	char text[512];

	memset(floor, 0, sizeof(*floor));
	floor->duration_ns = duration_ns;
	if (!process_find("tern-bench-port", floor->program, sizeof(floor->program)))
		return cli_fail(cli, ADMIN_EXIT_FAILED,
				"tern-bench-port was not found beside tern; build or install it");
	if (!bench_disk_open(&floor->disk, directory, writers, text, sizeof(text)))
		return cli_fail(cli, ADMIN_EXIT_FAILED, "%s", text);
	return ADMIN_EXIT_OK;
}

enum admin_exit
bench_floor_run(struct cli *cli, struct bench_floor *floor)
{
	struct bench_disk_result *result = malloc(sizeof(*result));
	const uint32_t run = floor->count;
	char text[512] = "out of memory";
	bool is_good =
	    result && run < BENCH_RUNS_MAX &&
	    bench_disk_measure(&floor->disk, floor->duration_ns, result, text, sizeof(text)) &&
	    bench_port_measure(floor->program, floor->duration_ns, &floor->ports[run], text,
			       sizeof(text));

	if (is_good) {
		floor->small_p50[run] = (double)histogram_at(&result->small, 500);
		floor->small_p99[run] = (double)histogram_at(&result->small, 990);
		floor->small_rate[run] = result->small_writes_per_s;
		floor->large_rate[run] = result->large_bytes_per_s;
		memcpy(floor->mode, result->mode, sizeof(floor->mode));
		floor->count++;
	}
	free(result);
	return is_good ? ADMIN_EXIT_OK : cli_fail(cli, ADMIN_EXIT_FAILED, "%s", text);
}

static void
add_port(json_t *report, const struct bench_floor *floor)
{
	static const struct {
		const char *name, *unit;
		enum bench_better better;
		size_t offset;
	} rows[] = {
#define ROW(name, unit, better, field) \
	{ name, unit, better, offsetof(struct bench_port_result, field) }
		ROW("port 64 B", "frames/s", BENCH_HIGHER, short_frames_per_s),
		ROW("port 64 B round trip p50", "ns", BENCH_LOWER, short_p50_ns),
		ROW("port 64 B round trip p99", "ns", BENCH_LOWER, short_p99_ns),
		ROW("port 1400 B", "frames/s", BENCH_HIGHER, long_frames_per_s),
		ROW("port 1400 B round trip p50", "ns", BENCH_LOWER, long_p50_ns),
		ROW("port 1400 B round trip p99", "ns", BENCH_LOWER, long_p99_ns),
		ROW("port 9014 B", "frames/s", BENCH_HIGHER, jumbo_frames_per_s),
#undef ROW
	};
	double values[BENCH_RUNS_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (uint32_t run = 0; run < floor->count; run++)
			memcpy(&values[run], (const char *)&floor->ports[run] + rows[i].offset,
			       sizeof(values[run]));
		bench_measure_median(report, rows[i].name, rows[i].unit, rows[i].better, values,
				     floor->count);
	}
}

void
bench_floor_report(const struct bench_floor *floor, json_t *report)
{
	uint32_t late = 0;

	for (uint32_t i = 0; i < floor->count; i++)
		late += floor->ports[i].late;
	bench_measure_median(report, "device 4 KiB p50", "ns", BENCH_LOWER, floor->small_p50,
			     floor->count);
	bench_measure_median(report, "device 4 KiB p99", "ns", BENCH_LOWER, floor->small_p99,
			     floor->count);
	bench_measure_median(report, "device 4 KiB", "writes/s", BENCH_HIGHER, floor->small_rate,
			     floor->count);
	bench_measure_median(report, "device 256 KiB", "bytes/s", BENCH_HIGHER, floor->large_rate,
			     floor->count);
	add_port(report, floor);
	(void)json_object_set_new(report, "floor",
				  json_pack("{s:i,s:s,s:i,s:i,s:s,s:i,s:i}", "writers",
					    (int)floor->disk.writers, "disk_mode", floor->mode,
					    "large_in_flight", (int)BENCH_LARGE_DEPTH, "runs",
					    (int)floor->count, "port", "net_memif, two processes",
					    "writers_in_flight", 1, "port_late", (int)late));
}

void
bench_floor_close(struct bench_floor *floor)
{
	bench_disk_close(&floor->disk);
}

enum admin_exit
verb_bench_raw(struct cli *cli)
{
	const char *directory = cli->values[CLI_DIR] ? cli->values[CLI_DIR] : ".";
	struct bench_floor *floor = malloc(sizeof(*floor));
	uint64_t duration_ns = 0, runs = 0;
	enum admin_exit code =
	    floor ? bench_duration(cli, 500000000, BENCH_FLOOR_NS_MAX, &duration_ns)
		  : cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");

	if (!code)
		code = bench_number(cli, CLI_RUNS, 5, 1, BENCH_RUNS_MAX, &runs);
	if (!code)
		code = bench_floor_open(cli, floor, directory, 2, duration_ns);
	if (code) {
		free(floor);
		return code;
	}
	for (uint64_t run = 0; run < runs && !code; run++)
		code = bench_floor_run(cli, floor);
	if (!code) {
		json_t *report = bench_report("raw", json_pack("{s:I,s:I,s:i}", "duration_ns",
							       (json_int_t)duration_ns, "runs",
							       (json_int_t)runs, "writers", 2));
		bench_floor_report(floor, report);
		if (cli->is_json) {
			cli_print_json(cli, report);
		} else {
			bench_print_measures(cli, report);
			json_decref(report);
		}
	}
	bench_floor_close(floor);
	free(floor);
	return code;
}
