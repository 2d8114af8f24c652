/* SPDX-License-Identifier: Apache-2.0 */
/* What `tern bench` reads (replies, options, reports) and what it computes from it. */
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/bench/ec.h"
#include "control/bench/run.h"
#include "tests/support/check.h"

static void
test_whole_replies(void **state)
{
	static const struct {
		const char *bytes;
		char kind;
		const char *text;
		int64_t integer;
	} cases[] = {
		{ "+OK\r\n", '+', "OK", 0 },
		{ "-MOVED 0 127.0.0.1:7001\r\n", '-', "MOVED 0 127.0.0.1:7001", 0 },
		{ ":42\r\n", ':', "42", 42 },
		{ ":-7\r\n", ':', "-7", -7 },
		{ "$5\r\nva\r\nl\r\n", '$', NULL, 0 },
		{ "$0\r\n\r\n", '$', "", 0 },
		{ "$-1\r\n", '_', NULL, 0 },
		{ "_\r\n", '_', "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t bytes = strlen(cases[i].bytes);
		struct bench_reply reply;

		assert_int_equal(bench_reply_parse(cases[i].bytes, bytes, &reply), bytes);
		assert_int_equal(reply.kind, cases[i].kind);
		assert_int_equal(reply.integer, cases[i].integer);
		if (cases[i].text != NULL) {
			assert_int_equal(reply.bytes, strlen(cases[i].text));
			assert_memory_equal(reply.text, cases[i].text, reply.bytes);
		}
		/* Every part of it is "not whole yet", whatever follows is not touched. */
		for (size_t k = 0; k < bytes; k++)
			assert_int_equal(bench_reply_parse(cases[i].bytes, k, &reply), 0);
		char twice[128];
		(void)snprintf(twice, sizeof(twice), "%s%s", cases[i].bytes, cases[i].bytes);
		assert_int_equal(bench_reply_parse(twice, 2 * bytes, &reply), bytes);
	}
}

static void
test_bad_replies(void **state)
{
	static const char *const cases[] = { "OK\r\n",       "\r\n",
					     "+OK\n",        ":\r\n",
					     ":1x\r\n",      ":99999999999999999999\r\n",
					     "$-2\r\n",      "$x\r\n",
					     "$1\r\nabc",    "$900000000000\r\n",
					     "*1\r\n:1\r\n", "_x\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench_reply reply;
		assert_int_equal(bench_reply_parse(cases[i], strlen(cases[i]), &reply), -1);
	}
}

static void
test_mix(void **state)
{
	uint32_t weights[BENCH_KIND_COUNT];
	static const char *const bad[] = { "",       "set=0", "put=1",      "set=",
					   "set=1,", "set=x", "set=-1",     "se=1",
					   "sett",   ",set",  "set=9999999" };

	(void)state;
	assert_true(bench_parse_mix("set=8,get=1,incr=3", weights));
	assert_int_equal(weights[BENCH_SET], 8);
	assert_int_equal(weights[BENCH_GET], 1);
	assert_int_equal(weights[BENCH_INCR], 3);
	assert_true(bench_parse_mix("get", weights));
	assert_int_equal(weights[BENCH_SET], 0);
	assert_int_equal(weights[BENCH_GET], 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(bench_parse_mix(bad[i], weights));
}

static void
test_reads(void **state)
{
	static const char *const bad[] = { "",         "stale",  "stale:",       "stale:0",
					   "stale:-1", "dirty:", "session:5",    "stale:10x",
					   "lin",      "dirt",   "stale:3600001" };
	struct bench_run_config config = { 0 };

	(void)state;
	for (int reads = 0; reads < BENCH_READS_COUNT; reads++) {
		if (reads == BENCH_READS_STALE)
			continue;
		assert_true(bench_parse_reads(bench_reads_names[reads], &config));
		assert_int_equal(config.reads, reads);
	}
	assert_true(bench_parse_reads("stale:250", &config));
	assert_int_equal(config.reads, BENCH_READS_STALE);
	assert_int_equal(config.stale_ms_max, 250);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(bench_parse_reads(bad[i], &config));
}

static void
test_address(void **state)
{
	struct sockaddr_storage address;
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&address;
	static const char *const bad[] = { "",           "127.0.0.1",    "127.0.0.1:0",
					   "host:1",     "127.0.0.1:",   "127.0.0.1:1x",
					   "127.0.0.1:", "127.0.0.1:-1", "127.0.0.1:65536",
					   "::1:7001",   "[::1]",        "[127.0.0.1]:7001",
					   "[::1:7001",  "[]:7001",      ":7001" };

	(void)state;
	assert_true(bench_parse_address("127.0.0.1:7001", &address));
	assert_int_equal(v4->sin_family, AF_INET);
	assert_int_equal(v4->sin_port, htons(7001));
	assert_int_equal(v4->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_true(bench_parse_address("[::1]:7002", &address));
	assert_int_equal(v6->sin6_family, AF_INET6);
	assert_int_equal(v6->sin6_port, htons(7002));
	assert_memory_equal(&v6->sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(bench_parse_address(bad[i], &address));
}

/* A server that answers one request and is gone. */
static void *
dying_server(void *argument)
{
	const int listener = *(const int *)argument, fd = accept(listener, NULL, NULL);
	char request[512];

	(void)close(listener);
	if (recv(fd, request, sizeof(request), 0) > 0)
		(void)send(fd, "+OK\r\n", 5, MSG_NOSIGNAL);
	(void)recv(fd, request, sizeof(request), 0);
	(void)close(fd);
	return NULL;
}

/* Who dies early shows it: in the throughput, and in the latency of what was never answered. */
static void
test_dead_server(void **state)
{
	static struct bench_run_result result;
	struct bench_run_config config = {
		.address_count = 1,
		.connections = 1,
		.pipeline = 1,
		.weights = { [BENCH_SET] = 1 },
		.keys = 1,
		.value_bytes = BENCH_UNIQUE_BYTES,
		.duration_ns = 100000000,
	};
	struct sockaddr_in *address = (struct sockaddr_in *)(void *)&config.addresses[0];
	socklen_t bytes = sizeof(*address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;
	char text[256];

	(void)state;
	*address =
	    (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	assert_int_equal(bind(listener, (struct sockaddr *)address, bytes), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)address, &bytes), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, dying_server, &listener), 0);
	assert_true(bench_run(&config, &result, text, sizeof(text)));
	(void)pthread_join(thread, NULL);
	assert_int_equal(result.ok, 1);
	assert_int_equal(result.unknown, 1);
	assert_true(result.elapsed_ns >= config.duration_ns);
	assert_int_equal(result.all.total_count, 2);
	assert_int_equal(result.kinds[BENCH_SET].total_count, 2);
}

/* What is measured beside ISA-L gives the same bytes. */
static void
test_ec(void **state)
{
	static const struct stripe_geometry geometries[] = { { 1, 1 }, { 3, 2 }, { 16, 4 } };
	static struct bench_ec_result result;
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(geometries) / sizeof(geometries[0]); i++) {
		if (!bench_ec_measure(geometries[i], 1, &result, text, sizeof(text)))
			fail_msg("%u+%u: %s", geometries[i].k, geometries[i].m, text);
		for (uint32_t point = 0; point < result.point_count; point++)
			assert_true(result.points[point].bytes_per_s > 0);
	}
}

static json_t *
sample(const char *kind, double throughput, double p50, const char *extra)
{
	json_t *report = bench_report(kind, json_pack("{s:i}", "keys", 7));

	bench_measure(report, "throughput", "requests/s", BENCH_HIGHER, throughput);
	bench_measure(report, "p50", "ns", BENCH_LOWER, p50);
	bench_measure(report, extra, "ns", BENCH_LOWER, 0);
	return report;
}

static void
test_compare(void **state)
{
	json_t *a = sample("run", 100, 50, "both"), *b = sample("run", 150, 25, "other");
	char text[128];

	(void)state;
	(void)json_object_set_new(json_object_get(b, "config"), "keys", json_integer(8));
	(void)json_object_set_new(b, "void", json_pack("[s]", "epoch changed"));
	json_t *result = bench_compare(a, b, text, sizeof(text));
	assert_non_null(result);
	const json_t *rows = json_object_get(result, "rows");
	assert_int_equal(json_array_size(rows), 2);
	assert_true(json_real_value(json_object_get(json_array_get(rows, 0), "ratio")) == 1.5);
	assert_true(json_real_value(json_object_get(json_array_get(rows, 1), "ratio")) == 0.5);
	/* "both" here, "other" there, another number of keys, one void report. */
	assert_int_equal(json_array_size(json_object_get(result, "differences")), 4);
	json_decref(result);
	result = bench_compare(a, a, text, sizeof(text));
	assert_int_equal(json_array_size(json_object_get(result, "differences")), 0);
	json_decref(result);
	/* All that a report says, and whichever of the two says it; not how many were answered. */
	json_t *more = json_deep_copy(a);
	(void)json_object_update_new(
	    more, json_pack("{s:{s:i,s:i},s:{s:s},s:{s:s,s:i,s:i},s:{s:{s:i},s:{s:s,s:i}}}",
			    "counts", "ok", 7, "unknown", 3, "floor", "port", "none", "disk",
			    "mode", "buffered", "writes", 2, "durable_writes", 1, "cluster",
			    "before", "term", 4, "after", "mode", "SOLO", "term", 5));
	result = bench_compare(a, more, text, sizeof(text));
	/* unknown, port, mode of the disk, mode of the cluster. */
	assert_int_equal(json_array_size(json_object_get(result, "differences")), 4);
	json_decref(result);
	json_t *durable = json_deep_copy(more);
	(void)json_object_set_new(json_object_get(durable, "disk"), "writes", json_integer(1));
	result = bench_compare(more, durable, text, sizeof(text));
	assert_int_equal(json_array_size(json_object_get(result, "differences")), 1);
	json_decref(result);
	json_decref(durable);
	json_decref(more);
	result = bench_compare(a, a, text, sizeof(text));
	/* Nothing is divided by zero. */
	assert_true(json_is_null(
	    json_object_get(json_array_get(json_object_get(result, "rows"), 2), "ratio")));
	json_decref(result);
	json_decref(b);
	b = sample("raw", 1, 1, "both");
	assert_null(bench_compare(a, b, text, sizeof(text)));
	assert_non_null(strstr(text, "kind"));
	json_decref(b);
	b = json_pack("{s:s}", "api", "status/v1");
	assert_null(bench_compare(a, b, text, sizeof(text)));
	assert_non_null(strstr(text, "second"));
	json_decref(a);
	json_decref(b);
}

/* What is not finite is no measure, and is none of the measure before it. */
static void
test_not_finite(void **state)
{
	const double good[] = { 1, 2, 3 }, bad[] = { 9, INFINITY, INFINITY };
	json_t *report = bench_report("raw", json_object());
	const json_t *measures = json_object_get(report, "measures");

	(void)state;
	bench_measure_median(report, "good", "ns", BENCH_LOWER, good, 3);
	bench_measure_median(report, "bad", "ns", BENCH_LOWER, bad, 3);
	assert_int_equal(json_array_size(measures), 1);
	const json_t *values = json_object_get(json_array_get(measures, 0), "values");
	assert_int_equal(json_array_size(values), 3);
	assert_true(json_real_value(json_array_get(values, 2)) == 3);
	json_decref(report);
}

static void
test_latency(void **state)
{
	static struct histogram histogram;
	double odd[] = { 5, 1, 9 }, even[] = { 4, 1, 9, 2 };
	json_t *report = bench_report("run", json_object());

	(void)state;
	bench_measure_latency(report, "empty", &histogram);
	assert_int_equal(json_array_size(json_object_get(report, "measures")), 0);
	for (uint64_t i = 1; i <= 1000; i++)
		histogram_add(&histogram, i * 1000);
	bench_measure_latency(report, "set", &histogram);
	assert_int_equal(json_array_size(json_object_get(report, "measures")), 5);
	json_t *latency = bench_latency_json(&histogram);
	assert_int_equal(json_integer_value(json_object_get(latency, "max_ns")), 1000000);
	const json_int_t p50 = json_integer_value(json_object_get(latency, "p50_ns"));
	assert_true(p50 >= 500000 && p50 <= 520000);
	json_decref(latency);
	json_decref(report);
	assert_true(bench_median(odd, 3) == 5);
	assert_true(bench_median(even, 4) == 3);
	assert_true(bench_median(even, 0) == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_replies), cmocka_unit_test(test_bad_replies),
		cmocka_unit_test(test_mix),           cmocka_unit_test(test_address),
		cmocka_unit_test(test_reads),         cmocka_unit_test(test_compare),
		cmocka_unit_test(test_latency),       cmocka_unit_test(test_dead_server),
		cmocka_unit_test(test_not_finite),    cmocka_unit_test(test_ec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
