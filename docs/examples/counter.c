/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shortest program: one request at a time.
 *
 *	counter ADDRESSES KEY
 *
 * ADDRESSES: the `client` addresses of the data nodes, "127.0.0.1:7301,127.0.0.1:7302"; `tern dev
 *up -o json` prints them. Adds one to the key and prints the new value.
 */
#include <stdio.h>
#include <string.h>

#include <tern.h>

int
main(int argc, char **argv)
{
	struct tern_options options = { .deadline_ms = 5000 };
	struct tern_client *client;
	struct tern_result result;
	char why[128];

	if (argc != 3) {
		fprintf(stderr, "usage: counter ADDRESSES KEY\n");
		return 2;
	}
	options.addresses = argv[1];
	if (tern_open(&options, &client, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	const int failed =
	    tern_add(client, argv[2], (uint32_t)strlen(argv[2]), 1, NULL, NULL, &result);
	tern_close(client);
	if (failed != 0) {
		fprintf(stderr, "%s\n", strerror(-failed));
		return 1;
	}
	if (result.status != TERN_DONE) {
		fprintf(stderr, "%s: %s\n", tern_status_text(result.status),
			tern_reason_text(result.reason));
		return 1;
	}
	printf("%lld\n", (long long)result.integer);
	return 0;
}
