/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adds one to a key through libtern, many times and with many requests under way, and says how each
 * ended: for tests that kill the master meanwhile.
 *
 *	once_client --addresses H:P,H:P --key K [--window N] [--rate N] [--seconds S] [--deadline-ms
 *N]
 *
 * At most --rate new requests a second, so that a test's log is not filled by a fast machine; until
 * SIGTERM or the end of the time; then waits for what is under way, and reads the key.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/client/tern.h"
#include "tests/support/run.h"

struct tally {
	unsigned long long submitted, done, refused, unknown;
	long long highest;
};

static void
note(void *context, const struct tern_result *result)
{
	struct tally *tally = context;

	if (result->status == TERN_DONE)
		tally->done++;
	else if (result->status == TERN_REFUSED)
		tally->refused++;
	else
		tally->unknown++;
	if (result->has_integer && result->integer > tally->highest)
		tally->highest = result->integer;
	if (result->status != TERN_DONE)
		fprintf(stderr, "%s: %s\n", tern_status_text(result->status),
			tern_reason_text(result->reason));
}

static double
seconds(void)
{
	return (double)run_now_ns() / 1e9;
}

static int
report(struct tern_client *client, const struct tally *tally, const char *key)
{
	struct tern_result result = { 0 };
	struct tern_stats stats;
	char value[32];

	if (tern_get(client, key, (uint32_t)strlen(key), value, sizeof(value), &result) != 0 ||
	    result.status != TERN_DONE) {
		fprintf(stderr, "get: %s\n", tern_reason_text(result.reason));
		return 1;
	}
	tern_stats(client, &stats);
	printf("{\"submitted\": %llu, \"done\": %llu, \"refused\": %llu, \"unknown\": %llu, "
	       "\"highest\": %lld, \"value\": %lld, \"masters\": %llu, \"sessions\": %llu, "
	       "\"resends\": %llu}\n",
	       tally->submitted, tally->done, tally->refused, tally->unknown, tally->highest,
	       result.has_integer ? (long long)result.integer : -1,
	       (unsigned long long)stats.masters, (unsigned long long)stats.sessions,
	       (unsigned long long)stats.resends);
	return 0;
}

int
main(int argc, char **argv)
{
	struct tern_options options = { .deadline_ms = 60000 };
	struct tern_client *client;
	struct tally tally = { 0 };
	const char *key = NULL;
	unsigned long window = 200;
	double rate = 1e9; /* as many as there is room for */
	double end = seconds() + 600;
	char why[128];

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--addresses") == 0)
			options.addresses = argv[i + 1];
		else if (strcmp(argv[i], "--key") == 0)
			key = argv[i + 1];
		else if (strcmp(argv[i], "--window") == 0)
			window = strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--rate") == 0)
			rate = strtod(argv[i + 1], NULL);
		else if (strcmp(argv[i], "--seconds") == 0)
			end = seconds() + strtod(argv[i + 1], NULL);
		else if (strcmp(argv[i], "--deadline-ms") == 0)
			options.deadline_ms = (uint32_t)strtoul(argv[i + 1], NULL, 10);
	}
	if (key == NULL || options.addresses == NULL || window == 0) {
		fprintf(stderr, "usage: once_client --addresses H:P,... --key K [options]\n");
		return 2;
	}
	run_until_signal();
	if (tern_open(&options, &client, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	const struct tern_request request = { .op = TERN_ADD,
					      .key = key,
					      .key_bytes = (uint32_t)strlen(key),
					      .delta = 1,
					      .done = note,
					      .context = &tally };
	const double start = seconds();
	for (double now = start; !run_is_over() && now < end; now = seconds()) {
		while (tern_pending(client) < window &&
		       (double)tally.submitted < rate * (now - start) &&
		       tern_submit(client, &request) == 0)
			tally.submitted++;
		(void)tern_poll(client, 10);
	}
	while (tern_pending(client) != 0)
		(void)tern_poll(client, 100);
	const int status = report(client, &tally, key);
	tern_close(client);
	return status;
}
