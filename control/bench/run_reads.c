/* SPDX-License-Identifier: Apache-2.0 */
/* What the reads of a run are answered from: chosen on each connection before its first request. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/bench/run_internal.h"

#define STALE_MS_MAX 3600000u

const char *const bench_reads_names[BENCH_READS_COUNT] = { "linearizable", "session", "stale",
							   "snapshot", "dirty" };

bool
bench_parse_reads(const char *text, struct bench_run_config *config)
{
	const size_t name = strcspn(text, ":");
	int reads = 0;
	char *end;

	while (reads < BENCH_READS_COUNT && (strlen(bench_reads_names[reads]) != name ||
					     strncmp(bench_reads_names[reads], text, name) != 0))
		reads++;
	if (reads == BENCH_READS_COUNT || (text[name] == ':') != (reads == BENCH_READS_STALE))
		return false;
	config->reads = (enum bench_reads)reads;
	if (reads != BENCH_READS_STALE)
		return true;
	const char *number = text + name + 1;
	const unsigned long ms = strtoul(number, &end, 10);
	config->stale_ms_max = (uint32_t)ms;
	return *number >= '0' && *number <= '9' && *end == '\0' && ms >= 1 && ms <= STALE_MS_MAX;
}

/* Reads alone are answered by any node, and all of them are put to use. What writes has to be at
 * the master. */
uint32_t
run_reads_address(const struct run *run, uint32_t index)
{
	const struct bench_run_config *config = run->config;
	const bool is_any = config->reads != BENCH_READS_LINEARIZABLE &&
			    config->weights[BENCH_GET] == run->weight_sum;

	return is_any ? index % run->address_count : 0;
}

static size_t
encode(const struct run *run, const struct connection *connection)
{
	const enum bench_reads reads = run->config->reads;
	const char *name = bench_reads_names[reads];
	char *out = connection->out;
	const size_t room = run->out_bytes;
	char argument[24] = "";
	int bytes;

	if (reads == BENCH_READS_STALE)
		(void)snprintf(argument, sizeof(argument), "%" PRIu32, run->config->stale_ms_max);
	else if (reads == BENCH_READS_SESSION)
		(void)snprintf(argument, sizeof(argument), "0");
	else if (reads == BENCH_READS_SNAPSHOT && connection->snapshot != 0)
		(void)snprintf(argument, sizeof(argument), "%" PRIu64, connection->snapshot);
	if (argument[0] == '\0')
		bytes = snprintf(out, room, "*2\r\n$9\r\nTERN.READ\r\n$%zu\r\n%s\r\n", strlen(name),
				 name);
	else
		bytes = snprintf(out, room, "*3\r\n$9\r\nTERN.READ\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
				 strlen(name), name, strlen(argument), argument);
	return (size_t)bytes;
}

void
run_reads_begin(struct run *run, struct connection *connection)
{
	const uint32_t address = connection->address;

	connection->state = CONNECTION_OPEN;
	if (run->config->reads == BENCH_READS_LINEARIZABLE)
		return;
	connection->state = CONNECTION_WAITING;
	connection->snapshot = run->snapshots[address];
	if (run->config->reads == BENCH_READS_SNAPSHOT && connection->snapshot == 0) {
		if (run->askers[address] != NULL)
			return;
		run->askers[address] = connection;
	}
	connection->state = CONNECTION_CHOOSING;
	connection->out_used = encode(run, connection);
}

bool
run_reads_answered(struct run *run, const struct connection *connection,
		   const struct bench_reply *reply)
{
	run_reads_lost(run, connection);
	if (reply->kind == ':' && reply->integer > 0)
		run->snapshots[connection->address] = (uint64_t)reply->integer;
	if (reply->kind != '-')
		return true;
	run_count_error(run->result, reply);
	run_reads_refused(run, connection, reply);
	return false;
}

/* Only a position that is gone is asked for anew: any other refusal is one of the moment. */
void
run_reads_refused(struct run *run, const struct connection *connection,
		  const struct bench_reply *reply)
{
	uint64_t *snapshot = &run->snapshots[connection->address];

	if (*snapshot == connection->snapshot && reply->bytes >= 8 &&
	    strncmp(reply->text, "SNAPSHOT", 8) == 0)
		*snapshot = 0;
}

void
run_reads_lost(struct run *run, const struct connection *connection)
{
	if (run->askers[connection->address] == connection)
		run->askers[connection->address] = NULL;
}
