/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A position as a token: one client writes, another one reads at a replica and sees it.
 *
 *	session ADDRESSES KEY VALUE
 *
 * ADDRESSES: as for counter. Prints what was read, where, and how old it was at most.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tern.h>

static int
failed(const char *what, int error, const struct tern_result *result)
{
	if (error == 0 && result->status == TERN_DONE)
		return 0;
	fprintf(stderr, "%s: %s\n", what,
		error != 0 ? strerror(-error) : tern_reason_text(result->reason));
	return 1;
}

/* The token is a number: it may as well go from one machine to another with a message. */
static int
read_at_replica(struct tern_client *reader, const char *key, uint64_t token)
{
	const struct tern_request get = { .op = TERN_GET,
					  .key = key,
					  .key_bytes = (uint32_t)strlen(key),
					  .reads = TERN_READS_SESSION,
					  .position = token };
	struct tern_result result = { 0 };
	char value[256];

	const int error = tern_read(reader, &get, value, sizeof(value), &result);
	if (failed("read", error, &result))
		return 1;
	printf("%.*s at node %u, position %" PRIu64,
	       (int)(result.value_bytes < sizeof(value) ? result.value_bytes : sizeof(value)),
	       value, result.node, result.log_index);
	if (result.age_us_max == UINT64_MAX)
		printf(", age not known\n");
	else
		printf(", %" PRIu64 " us old at most\n", result.age_us_max);
	return 0;
}

int
main(int argc, char **argv)
{
	struct tern_options options = { .deadline_ms = 5000 };
	struct tern_client *writer, *reader;
	struct tern_result result = { 0 };
	char why[128];

	if (argc != 4) {
		fprintf(stderr, "usage: session ADDRESSES KEY VALUE\n");
		return 2;
	}
	options.addresses = argv[1];
	if (tern_open(&options, &writer, why, sizeof(why)) != 0 ||
	    tern_open(&options, &reader, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	const int error = tern_set(writer, argv[2], (uint32_t)strlen(argv[2]), argv[3],
				   (uint32_t)strlen(argv[3]), &result);
	int status = failed("write", error, &result);
	if (status == 0)
		status = read_at_replica(reader, argv[2], tern_position(writer));
	tern_close(reader);
	tern_close(writer);
	return status;
}
