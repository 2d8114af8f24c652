/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many requests under way: takes COUNT times 1 from an account that must not fall below zero, 64 at
 * a time, and prints what became of them. Kill the master while it runs: no withdrawal is lost and
 * none is made twice.
 *
 *	transfer ADDRESSES ACCOUNT COUNT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern.h>

#define UNDER_WAY_MAX 64u

struct tally {
	unsigned long done, bound, other;
};

static void
note(void *context, const struct tern_result *result)
{
	struct tally *tally = context;

	if (result->status == TERN_DONE)
		tally->done++;
	else if (result->reason == TERN_REASON_BOUND)
		tally->bound++;
	else
		tally->other++;
}

int
main(int argc, char **argv)
{
	struct tern_options options = { .deadline_ms = 30000 };
	struct tern_client *client;
	struct tally tally = { 0 };
	char why[128];

	if (argc != 4) {
		fprintf(stderr, "usage: transfer ADDRESSES ACCOUNT COUNT\n");
		return 2;
	}
	options.addresses = argv[1];
	if (tern_open(&options, &client, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	const struct tern_request withdrawal = {
		.op = TERN_ADD,
		.key = argv[2],
		.key_bytes = (uint32_t)strlen(argv[2]),
		.delta = -1,
		.has_min = true,
		.min = 0,
		.done = note,
		.context = &tally,
	};
	unsigned long left = strtoul(argv[3], NULL, 10);
	while (left != 0 || tern_pending(client) != 0) {
		while (left != 0 && tern_pending(client) < UNDER_WAY_MAX &&
		       tern_submit(client, &withdrawal) == 0)
			left--;
		(void)tern_poll(client, -1);
	}
	tern_close(client);
	printf("done %lu, refused at zero %lu, other %lu\n", tally.done, tally.bound, tally.other);
	return tally.other == 0 ? 0 : 1;
}
