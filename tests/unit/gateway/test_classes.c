/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of acknowledgement and of reads, as a connection asks for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/state/hold.h"
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
}

/* A block of a later term is committed, and what was accepted is not below it: it is lost, and the
 * read goes on without. What is accepted in that term is waited for again. */
static void
test_a_read_does_not_wait_for_what_is_lost(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);

	client_send(fd, "SET k v\r\n");
	client_expect(fd, "+OK\r\n");
	node->is_publish_held = true;
	client_send(fd, "TERN.CLASS async\r\nSET k w\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n+ACCEPTED 5 2 0\r\n");
	fake_publish_commit(node, true, 1, 5, 1);
	client_expect_nothing(fd);
	/* It may be there yet. */
	fake_publish_commit(node, true, 1, 6, 2);
	client_expect_nothing(fd);
	fake_publish_commit(node, true, 1, 6, 1);
	client_expect(fd, "$1\r\nv\r\n");
	client_send(fd, "TERN.POSITION\r\n");
	client_expect(fd, ":1\r\n");
	node->terms_later = 2;
	client_send(fd, "SET k x\r\nGET k\r\n");
	client_expect(fd, "+ACCEPTED 7 3 0\r\n");
	client_expect_nothing(fd);
	node->is_publish_held = false;
	client_expect(fd, "$1\r\nx\r\n");
	close(fd);
}

/* ---- what reads are answered from ---- */

static void
test_positions(void **context)
{
	static const struct step steps[] = {
		{ "TERN.POSITION\r\n", ":0\r\n" },
		{ "SET k v\r\n", "+OK\r\n" },
		{ "TERN.POSITION\r\n", ":1\r\n" },
		{ "SET k w\r\n", "+OK\r\n" },
		{ "GET k\r\n", "$1\r\nw\r\n" },
		{ "TERN.POSITION\r\n", ":2\r\n" },
		{ "TERN.READ\r\n", "*3\r\n$12\r\nlinearizable\r\n:0\r\n:2\r\n" },
		{ "READONLY 50\r\n", "+OK\r\n" },
		{ "TERN.READ\r\n", "*3\r\n$5\r\nstale\r\n:50\r\n:2\r\n" },
		{ "TERN.READ SESSION 7\r\n", "+OK\r\n" },
		{ "TERN.READ\r\n", "*3\r\n$7\r\nsession\r\n:7\r\n:2\r\n" },
		{ "TERN.READ STALE 90\r\n", "+OK\r\n" },
		{ "TERN.READ\r\n", "*3\r\n$5\r\nstale\r\n:90\r\n:2\r\n" },
		{ "TERN.READ DIRTY\r\n", "+OK\r\n" },
		{ "RESET\r\n", "+RESET\r\n" },
		{ "TERN.READ\r\n", "*3\r\n$12\r\nlinearizable\r\n:0\r\n:2\r\n" },
	};
	static const char *const wrong[] = {
		"DIRTY now",       "SESSION",       "SESSION -1", "SESSION 1 -1",
		"SESSION 1 60001", "SESSION 1 1 1", "STALE",      "STALE 0",
		"STALE 3600001",   "SNAPSHOT 0",    "SNAPSHOT x", "SNAPSHOT 1 1",
		"LINEARIZABLE 1",  "NEWEST",
	};
	const int fd = client_open(*context), other = client_open(*context);

	RUN(fd, steps);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char line[64];
		(void)snprintf(line, sizeof(line), "TERN.READ %s\r\n", wrong[i]);
		client_send(fd, line);
		client_expect(fd, "-ERR syntax: TERN.READ [LINEARIZABLE | SESSION position "
				  "[wait-ms] | STALE ms | SNAPSHOT [position] | DIRTY]\r\n");
	}
	client_send(other, "TERN.POSITION\r\nGET k\r\nTERN.POSITION\r\n");
	client_expect(other, ":0\r\n$1\r\nw\r\n:2\r\n");
	close(other);
	close(fd);
}

/* A node whose state is not as far waits, and says so when the time is over; who is master does not
 * matter. */
static void
test_session(void **context)
{
	struct fake_node *node = *context;
	const int writer = client_open(node), fd = client_open(node);

	node->is_publish_held = true;
	client_send(writer, "TERN.CLASS async\r\nSET k v\r\nTERN.POSITION\r\n");
	client_expect(writer, "+OK\r\n+ACCEPTED 5 1 0\r\n:1\r\n");
	client_send(fd, "TERN.READ SESSION 1 50\r\nGET k\r\nTERN.READ SESSION 0\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n-POSITION the state here is at 0, 1 is asked for\r\n"
			  "+OK\r\n$-1\r\n");
	fake_publish_role(node, false, 0);
	node->is_not_master = true;
	client_send(fd, "TERN.READ SESSION 1 20000\r\nGET k\r\nEXISTS k none\r\n");
	client_expect(fd, "+OK\r\n");
	node->is_publish_held = false;
	client_expect(fd, "$1\r\nv\r\n:1\r\n");
	client_send(fd, "TERN.POSITION\r\nTERN.READ LINEARIZABLE\r\nGET k\r\n");
	client_expect(fd, ":1\r\n+OK\r\n"
			  "-MASTERDOWN Link with MASTER is down and no replica may answer.\r\n");
	close(fd);
	close(writer);
}

static void
test_snapshot(void **context)
{
	const int writer = client_open(*context), fd = client_open(*context);
	const int third = client_open(*context);

	client_send(writer, "MSET k 1 l 1\r\n");
	client_expect(writer, "+OK\r\n");
	client_send(fd, "TERN.READ SNAPSHOT\r\nGET k\r\n");
	client_expect(fd, ":1\r\n$1\r\n1\r\n");
	client_send(writer, "SET k 2\r\nDEL l\r\nSET m 2\r\nSET k 3\r\nDBSIZE\r\n");
	client_expect(writer, "+OK\r\n:1\r\n+OK\r\n+OK\r\n:2\r\n");
	client_send(fd, "MGET k l m\r\nDBSIZE\r\nKEYS *\r\nTERN.READ\r\n");
	client_expect(fd, "*3\r\n$1\r\n1\r\n$1\r\n1\r\n$-1\r\n:2\r\n"
			  "*2\r\n$1\r\nk\r\n$1\r\nl\r\n"
			  "*3\r\n$8\r\nsnapshot\r\n:1\r\n:1\r\n");
	/* By its position from another connection; and what is not there yet. */
	client_send(third, "TERN.READ SNAPSHOT 1\r\nGET l\r\nTERN.READ SNAPSHOT 99\r\nGET k\r\n");
	client_expect(third, ":1\r\n$1\r\n1\r\n"
			     "-POSITION the state here is at 5, 99 is asked for\r\n$1\r\n3\r\n");
	/* A transaction may rest on it: what has changed since is in conflict. */
	client_send(fd, "WATCH k\r\nMULTI\r\nSET k 9\r\nEXEC\r\n");
	client_expect(fd, "+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n");
	client_send(fd, "READWRITE\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n$1\r\n3\r\n");
	/* Nobody keeps it any more. */
	client_send(writer, "SET k 4\r\n");
	client_expect(writer, "+OK\r\n");
	for (int i = 0; i < 20; i++) {
		client_send(writer, "GET k\r\n");
		client_expect(writer, "$1\r\n4\r\n");
	}
	client_send(third, "TERN.READ SNAPSHOT 1\r\nGET k\r\n");
	client_expect(third, "-SNAPSHOT position 1 is not kept here any more\r\n$1\r\n4\r\n");
	close(third);
	close(fd);
	close(writer);
}

/* So many, each until its connection lets go of it, ends, or its time is over. */
static void
test_snapshots_are_bounded(void **context)
{
	int fds[STATE_HOLDS_MAX];
	char line[256];
	struct fake_node *node = *context;
	const int writer = client_open(node), more = client_open(node);

	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		fds[i] = client_open(node);
		client_send(writer, "INCR n\r\n");
		client_read_line(writer, line, sizeof(line));
		client_send(fds[i], "TERN.READ SNAPSHOT\r\n");
		(void)snprintf(line, sizeof(line), ":%u\r\n", i + 1);
		client_expect(fds[i], line);
	}
	client_send(writer, "INCR n\r\n");
	client_read_line(writer, line, sizeof(line));
	client_send(more, "TERN.READ SNAPSHOT\r\nGET n\r\n");
	(void)snprintf(line, sizeof(line),
		       "-BUSY all %u snapshots that this node keeps are in use: end one ",
		       STATE_HOLDS_MAX);
	client_expect(more, line);
	client_expect(more, "where it was taken (TERN.READ LINEARIZABLE), or try again, for each "
			    "has its time\r\n");
	client_read_line(more, line, sizeof(line));
	client_read_line(more, line, sizeof(line));
	close(fds[0]);
	do {
		client_send(more, "TERN.READ SNAPSHOT\r\n");
		client_read_line(more, line, sizeof(line));
	} while (line[0] == '-');
	for (uint32_t i = 1; i < STATE_HOLDS_MAX; i++) {
		client_send(fds[i], "GET n\r\n");
		(void)snprintf(line, sizeof(line), "$1\r\n%u\r\n", i + 1);
		client_expect(fds[i], line);
		close(fds[i]);
	}
	close(more);
	close(writer);
}

static void
test_a_snapshot_has_its_time(void **context)
{
	struct fake_node *node = node_make();
	char line[128];
	(void)context;

	node->snapshot_ns = 30000000;
	fake_start(node);
	const int fd = client_open(node);
	client_send(fd, "SET k v\r\nTERN.READ SNAPSHOT\r\n");
	client_expect(fd, "+OK\r\n:1\r\n");
	do {
		client_send(fd, "EXISTS k\r\n");
		client_read_line(fd, line, sizeof(line));
	} while (line[0] == ':');
	assert_string_equal(line, "-SNAPSHOT position 1 is not kept here any more\r\n");
	client_send(fd, "TERN.READ SNAPSHOT\r\n");
	client_expect(fd, ":1\r\n");
	close(fd);
	node_free(node);
}

/* What is executed and not committed is shown, and is no position to go on from. */
static void
test_dirty(void **context)
{
	struct fake_node *node = *context;
	const int writer = client_open(node), fd = client_open(node);

	client_send(fd, "SET k 1\r\n");
	client_expect(fd, "+OK\r\n");
	client_send(writer, "TERN.CLASS memory\r\nSET k 2\r\n");
	client_expect(writer, "+OK\r\n+OK\r\n");
	client_send(fd, "GET k\r\nTERN.READ DIRTY\r\nGET k\r\nTERN.READ\r\nTERN.POSITION\r\n");
	client_expect(fd, "$1\r\n1\r\n+OK\r\n$1\r\n2\r\n"
			  "*3\r\n$5\r\ndirty\r\n:0\r\n:2\r\n:1\r\n");
	/* Of a node that follows nobody as well. */
	fake_publish_role(node, false, 0);
	node->is_not_master = true;
	client_send(fd, "GET k\r\nTERN.READ SESSION 1\r\nGET k\r\n");
	client_expect(fd, "$1\r\n2\r\n+OK\r\n$1\r\n1\r\n");
	/* A session in class memory sees what was answered in it. */
	client_send(fd, "TERN.CLASS memory\r\nTERN.READ SESSION 2\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n+OK\r\n$1\r\n2\r\n");
	close(fd);
	close(writer);
}

/* What this node holds was given up, whatever its positions are. */
static void
test_left_out(void **context)
{
	static const char *const modes[] = { "SESSION 0", "STALE 1000", "DIRTY" };
	struct fake_node *node = *context;
	const int fd = client_open(node);
	char line[64];

	client_send(fd, "SET k v\r\n");
	client_expect(fd, "+OK\r\n");
	fake_publish_left_out(node);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		(void)snprintf(line, sizeof(line), "TERN.READ %s\r\nGET k\r\n", modes[i]);
		client_send(fd, line);
		client_expect(fd, "+OK\r\n-MASTERDOWN This node was left out when the cluster went "
				  "on without it: ask another one, and give this one new storage "
				  "by `tern node rejoin`.\r\n");
	}
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NODE_TEST(test_async),
		NODE_TEST(test_a_read_behind_async_ends),
		NODE_TEST(test_a_read_does_not_wait_for_what_is_lost),
		NODE_TEST(test_positions),
		NODE_TEST(test_session),
		NODE_TEST(test_snapshot),
		NODE_TEST(test_snapshots_are_bounded),
		cmocka_unit_test(test_a_snapshot_has_its_time),
		NODE_TEST(test_dirty),
		NODE_TEST(test_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
