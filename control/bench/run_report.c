/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "control/bench/run.h"

bool
bench_parse_address(const char *text, struct sockaddr_storage *address)
{
	const char *colon = strrchr(text, ':');
	const size_t bytes = colon != NULL ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN], *end;

	memset(address, 0, sizeof(*address));
	if (bytes < 2 || bytes >= sizeof(host))
		return false;
	const bool is_v6 = text[0] == '[' && text[bytes - 1] == ']';
	(void)snprintf(host, sizeof(host), "%.*s", (int)(bytes - (is_v6 ? 2 : 0)), text + is_v6);
	const unsigned long port = strtoul(colon + 1, &end, 10);
	if (colon[1] < '0' || colon[1] > '9' || port == 0 || port > 65535 || *end != '\0')
		return false;
	if (is_v6) {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)address;
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
	}
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)address;
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

bool
bench_parse_mix(const char *text, uint32_t weights[BENCH_KIND_COUNT])
{
	uint64_t sum = 0;

	memset(weights, 0, BENCH_KIND_COUNT * sizeof(weights[0]));
	while (*text != '\0') {
		const size_t name = strcspn(text, "=,");
		unsigned long weight = 1;
		int kind = 0;

		while (kind < BENCH_KIND_COUNT &&
		       (strlen(bench_kind_names[kind]) != name ||
			strncmp(bench_kind_names[kind], text, name) != 0))
			kind++;
		if (kind == BENCH_KIND_COUNT)
			return false;
		text += name;
		if (*text == '=') {
			char *end;
			weight = strtoul(text + 1, &end, 10);
			if (end == text + 1 || weight > 1000000)
				return false;
			text = end;
		}
		if (*text == ',' && text[1] != '\0')
			text++;
		else if (*text != '\0')
			return false;
		weights[kind] = (uint32_t)weight;
		sum += weight;
	}
	return sum != 0;
}

static json_t *
config_json(const struct bench_run_config *config)
{
	json_t *mix = json_object();

	for (int kind = 0; kind < BENCH_KIND_COUNT; kind++)
		(void)json_object_set_new(mix, bench_kind_names[kind],
					  json_integer((json_int_t)config->weights[kind]));
	json_t *object = json_pack(
	    "{s:s,s:I,s:i,s:i,s:I,s:i,s:I,s:o,s:s}", "loop", config->rate != 0 ? "open" : "closed",
	    "rate", (json_int_t)config->rate, "connections", (int)config->connections, "pipeline",
	    (int)config->pipeline, "keys", (json_int_t)config->keys, "value_bytes",
	    (int)config->value_bytes, "duration_ns", (json_int_t)config->duration_ns, "mix", mix,
	    "reads", bench_reads_names[config->reads]);
	if (config->reads == BENCH_READS_STALE)
		(void)json_object_set_new(object, "stale_ms",
					  json_integer((json_int_t)config->stale_ms_max));
	return object;
}

json_t *
bench_run_report(const struct bench_run_config *config, const struct bench_run_result *result)
{
	json_t *report = bench_report("run", config_json(config));
	json_t *latency = json_object(), *errors = json_object();

	if (result->elapsed_ns != 0)
		bench_measure(report, "throughput", "requests/s", BENCH_HIGHER,
			      (double)result->ok * 1e9 / (double)result->elapsed_ns);
	bench_measure_latency(report, "latency", &result->all);
	(void)json_object_set_new(latency, "all", bench_latency_json(&result->all));
	if (config->rate != 0) {
		bench_measure_latency(report, "service", &result->service);
		(void)json_object_set_new(latency, "service", bench_latency_json(&result->service));
	}
	for (int kind = 0; kind < BENCH_KIND_COUNT; kind++) {
		if (config->weights[kind] == 0)
			continue;
		bench_measure_latency(report, bench_kind_names[kind], &result->kinds[kind]);
		(void)json_object_set_new(latency, bench_kind_names[kind],
					  bench_latency_json(&result->kinds[kind]));
	}
	for (uint32_t i = 0; i < BENCH_ERRORS_MAX && result->errors[i].count != 0; i++)
		(void)json_object_set_new(errors, result->errors[i].code,
					  json_integer((json_int_t)result->errors[i].count));
	(void)json_object_set_new(report, "latency", latency);
	(void)json_object_set_new(
	    report, "counts",
	    json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "sent", (json_int_t)result->sent, "ok",
		      (json_int_t)result->ok, "fail", (json_int_t)result->fail, "unknown",
		      (json_int_t)result->unknown, "unsent", (json_int_t)result->unsent, "connects",
		      (json_int_t)result->connects, "gap_max_ns", (json_int_t)result->gap_max_ns));
	(void)json_object_set_new(report, "elapsed_ns",
				  json_integer((json_int_t)result->elapsed_ns));
	(void)json_object_set_new(report, "errors", errors);
	return report;
}
