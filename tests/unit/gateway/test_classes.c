/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of acknowledgement and of reads, as a connection asks for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/gateway/fixture.h"

#define NEEDS_RESULT                                                 \
	"-CLASS this command needs its result, and async has none: " \
	"TERN.CLASS durable or memory\r\n"

static void
test_async(void **context)
{
	static const struct step steps[] = {
		{ "TERN.CLASS\r\n", "$7\r\ndurable\r\n" },
		{ "TERN.CLASS never\r\n",
		  "-ERR syntax: TERN.CLASS [durable | memory | async]\r\n" },
		{ "SET n 1\r\n", "+OK\r\n" },
		{ "TERN.CLASS async\r\n", "+OK\r\n" },
		{ "TERN.CLASS\r\n", "$5\r\nasync\r\n" },
		{ "SET k v\r\n", "+ACCEPTED 5 2 0\r\n" },
		{ "INCR n\r\n", "+ACCEPTED 5 3 0\r\n" },
		/* On this connection it is seen, once it is committed. */
		{ "GET n\r\n", "$1\r\n2\r\n" },
		{ "WAIT 1 0\r\n", ":0\r\n" },
		{ "SET k v NX\r\n", NEEDS_RESULT },
		{ "GETSET k v\r\n", NEEDS_RESULT },
		{ "TERN.INCRBY n -50 MIN 0\r\n", NEEDS_RESULT },
		{ "TERN.SESSION OPEN\r\n", NEEDS_RESULT },
		{ "TERN.ONCE 1 1 SET k v\r\n",
		  "-CLASS TERN.ONCE is for who wants to know, and async has no result: "
		  "TERN.CLASS durable or memory\r\n" },
		{ "MULTI\r\n", "+OK\r\n" },
		{ "SET k w\r\n", "+QUEUED\r\n" },
		{ "EXEC\r\n", NEEDS_RESULT },
		/* Nothing of it is left. */
		{ "EXEC\r\n", "-ERR EXEC without MULTI\r\n" },
		{ "GET k\r\n", "$1\r\nv\r\n" },
		{ "RESET\r\n", "+RESET\r\n" },
		{ "SET k v\r\n", "+OK\r\n" },
		{ "WAIT 1 0\r\n", ":1\r\n" },
	};
	const int fd = client_open(*context);

	RUN(fd, steps);
	close(fd);
}

/* What was accepted may never be committed by a node that is master no more: the read that waits
 * for it is sent away. */
static void
test_a_read_behind_async_ends(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);

	node->is_publish_held = true;
	client_send(fd, "TERN.CLASS async\r\nSET k v\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n+ACCEPTED 5 1 0\r\n");
	fake_publish_role(node, false, 2);
	client_expect(fd, "-MOVED 0 10.0.0.2:7002\r\n");
	client_expect_end(fd);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NODE_TEST(test_async),
		NODE_TEST(test_a_read_behind_async_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
