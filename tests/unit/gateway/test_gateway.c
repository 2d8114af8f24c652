/* SPDX-License-Identifier: Apache-2.0 */
/* What clients see: replies, their order, reads and writes on one connection, refusals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/gateway/fixture.h"

static void
run_three_ways(struct fake_node *node, const struct step *steps, size_t count)
{
	const int fd = client_open(node);

	for (size_t i = 0; i < count; i++) {
		client_send(fd, steps[i].send);
		client_expect(fd, steps[i].expect);
	}
	close(fd);
	/* Once more as one pipeline, and then byte by byte: the same replies. */
	for (int way = 0; way < 2; way++) {
		const int other = client_open(node);
		client_send(other, "DEL k l n s t\r\n");
		char line[32];
		client_read_line(other, line, sizeof(line));
		for (size_t i = 0; i < count; i++) {
			const size_t bytes = strlen(steps[i].send);
			for (size_t at = 0; way == 1 && at < bytes; at++)
				client_send_bytes(other, steps[i].send + at, 1);
			if (way == 0)
				client_send(other, steps[i].send);
		}
		for (size_t i = 0; i < count; i++)
			client_expect(other, steps[i].expect);
		close(other);
	}
}

#define RUN_THREE_WAYS(node, steps) run_three_ways(node, steps, sizeof(steps) / sizeof(steps[0]))

static void
test_replies_resp2(void **context)
{
	static const struct step steps[] = {
		{ "PING\r\n", "+PONG\r\n" },
		{ "*2\r\n$4\r\nping\r\n$2\r\nhi\r\n", "$2\r\nhi\r\n" },
		{ "ECHO \"a b\"\r\n", "$3\r\na b\r\n" },
		{ "SELECT 0\r\n", "+OK\r\n" },
		{ "SELECT 1\r\n", "-ERR DB index is out of range\r\n" },
		{ "SELECT x\r\n", "-ERR invalid DB index\r\n" },
		{ "GET k\r\n", "$-1\r\n" },
		{ "SET k v\r\n", "+OK\r\n" },
		{ "GET k\r\n", "$1\r\nv\r\n" },
		{ "SET k v EY 10\r\n", "-ERR syntax error\r\n" },
		{ "SET k w NX\r\n", "$-1\r\n" },
		{ "SET k w NX XX\r\n", "-ERR syntax error\r\n" },
		{ "SET k w KEEPTTL KEEP\r\n", "-ERR syntax error\r\n" },
		{ "GET k\r\n", "$1\r\nv\r\n" },
	};

	RUN_THREE_WAYS(*context, steps);
}

static void
test_integers(void **context)
{
	static const struct step steps[] = {
		{ "INCR n\r\n", ":1\r\n" },
		{ "INCRBY n 41\r\n", ":42\r\n" },
		{ "DECR n\r\n", ":41\r\n" },
		{ "DECRBY n 40\r\n", ":1\r\n" },
		{ "GET n\r\n", "$1\r\n1\r\n" },
		{ "INCRBY n x\r\n", "-ERR value is not an integer or out of range\r\n" },
		{ "DECRBY n -9223372036854775808\r\n", "-ERR decrement would overflow\r\n" },
		{ "INCRBY n 9223372036854775807\r\n",
		  "-ERR increment or decrement would overflow\r\n" },
		{ "SET s text\r\n", "+OK\r\n" },
		{ "INCR s\r\n", "-ERR value is not an integer or out of range\r\n" },
		{ "SET t 20\r\n", "+OK\r\n" },
		{ "TERN.INCRBY t -50 MIN 0\r\n", "-BOUND value 20 delta -50 min 0\r\n" },
		{ "TERN.INCRBY t 50 MIN 0 MAX 60\r\n", "-BOUND value 20 delta 50 max 60\r\n" },
		{ "TERN.INCRBY t 50 max 70 min 0\r\n", ":70\r\n" },
		{ "TERN.INCRBY t -70 MIN 0\r\n", ":0\r\n" },
		{ "TERN.INCRBY t 5\r\n", ":5\r\n" },
		{ "TERN.INCRBY t 5 MIN\r\n", "-ERR syntax error\r\n" },
		{ "TERN.INCRBY t 5 MIN 1 MIN 2\r\n", "-ERR syntax error\r\n" },
		{ "TERN.INCRBY t 5 LOW 1\r\n", "-ERR syntax error\r\n" },
		{ "TERN.INCRBY t 5 MAX x\r\n", "-ERR value is not an integer or out of range\r\n" },
		{ "TERN.INCRBY t\r\n",
		  "-ERR wrong number of arguments for 'tern.incrby' command\r\n" },
	};

	RUN_THREE_WAYS(*context, steps);
}

static void
test_many_keys(void **context)
{
	static const struct step steps[] = {
		{ "MSET k 1 l 2\r\n", "+OK\r\n" },
		{ "MSET k 1 l\r\n", "-ERR wrong number of arguments for 'mset' command\r\n" },
		{ "MGET k none l\r\n", "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n" },
		{ "EXISTS k l none k\r\n", ":3\r\n" },
		{ "DBSIZE\r\n", ":2\r\n" },
		{ "DEL k none\r\n", ":1\r\n" },
		{ "EXISTS k\r\n", ":0\r\n" },
		{ "DEL l\r\n", ":1\r\n" },
		{ "DBSIZE\r\n", ":0\r\n" },
		{ "GET \"\"\r\n", "-ERR a key has 1 to 1024 bytes\r\n" },
		{ "MSET \"\" 1\r\n", "-ERR a key has 1 to 1024 bytes\r\n" },
		{ "DEL \"\"\r\n", "-ERR a key has 1 to 1024 bytes\r\n" },
		{ "GET\r\n", "-ERR wrong number of arguments for 'get' command\r\n" },
		{ "GET a b\r\n", "-ERR wrong number of arguments for 'get' command\r\n" },
	};

	RUN_THREE_WAYS(*context, steps);
}

static void
test_resp3(void **context)
{
	static const struct step steps[] = {
		{ "HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n" },
		{ "HELLO x\r\n", "-ERR Protocol version is not an integer or out of range\r\n" },
		{ "HELLO 3 SETNAME\r\n", "-ERR Syntax error in HELLO option\r\n" },
		{ "GET none\r\n", "$-1\r\n" },
	};
	static const struct step after[] = {
		{ "GET none\r\n", "_\r\n" },
		{ "MGET none\r\n", "*1\r\n_\r\n" },
		{ "CONFIG GET save\r\n", "%1\r\n$4\r\nsave\r\n$0\r\n\r\n" },
		{ "CONFIG GET appendonly\r\n", "%1\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n" },
		{ "CONFIG GET maxclients\r\n", "%0\r\n" },
		{ "CLIENT GETNAME\r\n", "$2\r\nme\r\n" },
		{ "RESET\r\n", "+RESET\r\n" },
		{ "GET none\r\n", "$-1\r\n" },
		{ "CONFIG GET maxclients\r\n", "*0\r\n" },
		{ "CONFIG GET save\r\n", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n" },
		{ "CLIENT GETNAME\r\n", "$-1\r\n" },
	};
	char line[128];

	RUN_THREE_WAYS(*context, steps);
	const int fd = client_open(*context);
	client_send(fd, "HELLO 3 SETNAME me\r\n");
	client_expect(fd, "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n"
			  "$5\r\nproto\r\n:3\r\n$2\r\nid\r\n");
	client_read_line(fd, line, sizeof(line));
	assert_int_equal(line[0], ':');
	client_expect(fd, "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
			  "$7\r\nmodules\r\n*0\r\n");
	for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		client_send(fd, after[i].send);
		client_expect(fd, after[i].expect);
	}
	client_send(fd, "HELLO 2\r\n");
	client_expect(fd, "*14\r\n");
	close(fd);
}

static void
test_unknown_is_kept_open(void **context)
{
	static const struct step steps[] = {
		{ "HSET h f v\r\n",
		  "-ERR unknown command 'HSET', with args beginning with: 'h' 'f' 'v' \r\n" },
		{ "*1\r\n$3\r\n\r\nx\r\n",
		  "-ERR unknown command '??x', with args beginning with: \r\n" },
		{ "CLIENT TRACKING on\r\n",
		  "-ERR unknown subcommand 'TRACKING'. Try CLIENT HELP.\r\n" },
		{ "CLIENT MAINT_NOTIFICATIONS on\r\n",
		  "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n" },
		{ "CLIENT SETINFO LIB-NAME x\r\n", "+OK\r\n" },
		{ "CLIENT SETINFO LIB-VER 1.0\r\n", "+OK\r\n" },
		{ "CLIENT SETINFO other 1.0\r\n", "-ERR Unrecognized option 'other'\r\n" },
		{ "CLIENT SETNAME \"a b\"\r\n",
		  "-ERR Client names cannot contain spaces, newlines or special characters.\r\n" },
		{ "CLIENT SETNAME\r\n",
		  "-ERR wrong number of arguments for 'client|setname' command\r\n" },
		{ "CONFIG SET save 1\r\n", "-ERR unknown subcommand 'SET'. Try CONFIG HELP.\r\n" },
		{ "\r\n*0\r\nPING\r\n", "+PONG\r\n" },
	};

	RUN_THREE_WAYS(*context, steps);
}

/* Requests in one pipeline; the lcore answers the newest first. */
static void
test_order_with_reversed_completions(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);
	char text[64];

	node->is_held = true;
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "INCRBY key%d %d\r\n", i, i);
		client_send(fd, text);
	}
	client_send(fd, "GET key7\r\nMGET key8 key9\r\nPING\r\nINCRBY key7 1\r\nGET key7\r\n");
	/* The reads share read points: one, or more when the pipeline came in pieces. */
	fake_await_held(node, 101);
	fake_release(node);
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), ":%d\r\n", i);
		client_expect(fd, text);
	}
	client_expect(fd, "$1\r\n7\r\n*2\r\n$1\r\n8\r\n$1\r\n9\r\n+PONG\r\n:8\r\n$1\r\n8\r\n");
	close(fd);
}

/* The write must not be executed before the read that was sent first. */
static void
test_write_waits_for_earlier_read(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node), other = client_open(node);

	client_send(fd, "SET k old\r\n");
	client_expect(fd, "+OK\r\n");
	const uint64_t writes = node->writes_taken;
	node->is_held = true;
	client_send(fd, "GET k\r\nSET k new\r\nGET k\r\n");
	fake_await_held(node, 1);
	for (int i = 0; i < 20; i++) {
		client_send(other, "PING\r\n");
		client_expect(other, "+PONG\r\n");
	}
	assert_int_equal(node->writes_taken, writes);
	fake_release(node);
	client_expect(fd, "$3\r\nold\r\n+OK\r\n$3\r\nnew\r\n");
	close(fd);
	close(other);
}

/* The lcore may say that a write is done a moment before readers see it. */
static void
test_read_waits_until_own_write_is_visible(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node), other = client_open(node);
	char byte;

	client_send(fd, "SET k old\r\n");
	client_expect(fd, "+OK\r\n");
	node->is_publish_held = true;
	client_send(fd, "SET k new\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n");
	for (int i = 0; i < 20; i++) {
		client_send(other, "GET other\r\n");
		client_expect(other, "$-1\r\n");
	}
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	node->is_publish_held = false;
	client_expect(fd, "$3\r\nnew\r\n");
	close(fd);
	close(other);
}

static void
test_reads_share_a_read_point(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);
	char pipeline[10 * 1000];

	for (int i = 0; i < 1000; i++)
		memcpy(pipeline + i * 10, "GET none\r\n", 10);
	client_send_bytes(fd, pipeline, sizeof(pipeline));
	for (int i = 0; i < 1000; i++)
		client_expect(fd, "$-1\r\n");
	/* 10,000 bytes come in few pieces; each piece costs one. */
	assert_true(node->reads_taken >= 1 && node->reads_taken <= 100);
	struct gateway_stats stats;
	gateway_stats(node->gateway, &stats);
	assert_int_equal(stats.reads, 1000);
	assert_int_equal(stats.read_points, node->reads_taken);
	close(fd);
}

static void
test_unknown_outcome_closes(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);
	struct gateway_stats stats;

	client_send(fd,
		    "SET a 1\r\nGET a\r\nINCR n\r\nSET !unknown 1\r\nSET b 2\r\nGET b\r\nPING\r\n");
	client_expect(fd, "+OK\r\n$1\r\n1\r\n:1\r\n");
	client_expect_end(fd);
	gateway_stats(node->gateway, &stats);
	assert_int_equal(stats.unknown_closes, 1);
	/* A batch in flight, answered newest first: what came before is still delivered. */
	const int again = client_open(node);
	/* Behind what the first connection left at the lcore. */
	client_send(again, "GET none\r\n");
	client_expect(again, "$-1\r\n");
	node->is_held = true;
	client_send(again, "SET a 1\r\nINCR n\r\nSET !unknown 1\r\nSET b 2\r\nINCR n\r\n");
	fake_await_held(node, 5);
	fake_release(node);
	client_expect(again, "+OK\r\n:2\r\n");
	client_expect_end(again);
}

/* Unread input must not turn the end into a reset, which could swallow replies on their way. */
static void
test_end_is_orderly(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);
	char byte, pings[65536];

	node->is_held = true;
	client_send(fd, "SET a 1\r\nSET !unknown 1\r\n");
	for (size_t i = 0; i + 8 <= sizeof(pings); i += 8)
		memcpy(pings + i, "PING  \r\n", 8);
	client_send_bytes(fd, pings, sizeof(pings));
	fake_await_held(node, 2);
	fake_release(node);
	client_expect(fd, "+OK\r\n");
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
}

static void
test_refusals(void **context)
{
	static const struct step steps[] = {
		{ "SET !full 1\r\n", "-LOGFULL the command log is full (95 %): no writes until "
				     "there is room again, reads are served\r\n" },
		{ "SET !busy 1\r\n",
		  "-BUSY the server's queues are full, it was not executed: try again\r\n" },
		{ "SET !large 1\r\n",
		  "-ERR the command is larger than this server's limit: split it, or raise "
		  "log.command_max, 1048576 bytes here\r\n" },
		{ "SET !malformed 1\r\n", "-ERR the command was refused as malformed\r\n" },
		{ "SET k 1\r\n", "+OK\r\n" },
		{ "GET k\r\n", "$1\r\n1\r\n" },
	};

	RUN_THREE_WAYS(*context, steps);
}

static void
test_replica(void **context)
{
	struct fake_node *node = *context;
	static const char readonly[] = "-READONLY You can't write against a read only replica.\r\n";
	static const char again[] = "-TRYAGAIN the master takes no writes just now, try again\r\n";
	static const char down[] =
	    "-MASTERDOWN Link with MASTER is down and no replica may answer.\r\n";

	/* Before the client comes: one of a former master would be let go. */
	node->is_not_master = true;
	node->master_id = 2;
	fake_publish_role(node, false, 2);
	const int fd = client_open(node);
	client_send(fd, "SET k v\r\nGET k\r\nMGET a b\r\nDBSIZE\r\nPING\r\n");
	client_expect(fd, readonly);
	client_expect(fd, "-MOVED 0 10.0.0.2:7002\r\n-MOVED 0 10.0.0.2:7002\r\n"
			  "-MOVED 0 10.0.0.2:7002\r\n+PONG\r\n");
	client_send(fd, "ROLE\r\n");
	client_expect(fd,
		      "*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.2\r\n:7002\r\n$9\r\nconnected\r\n:69\r\n");
	client_send(fd, "WAIT 1 0\r\n");
	client_expect(fd, "-ERR WAIT cannot be used with replica instances. Please also note that "
			  "writes to replicas are refused.\r\n");
	/* Nobody leads; and a master that does not serve names itself. */
	for (uint16_t master = 0; master < 2; master++) {
		node->master_id = master;
		fake_publish_role(node, false, 0);
		client_send(fd, "GET k\r\nSET k v\r\n");
		client_expect(fd, down);
		client_expect(fd, master == 0 ? readonly : again);
	}
	client_send(fd, "ROLE\r\n");
	client_expect(fd, "*5\r\n$5\r\nslave\r\n$0\r\n\r\n:0\r\n$7\r\nconnect\r\n:69\r\n");
	node->is_not_master = false;
	client_send(fd, "SET k v\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n$1\r\nv\r\n");
	close(fd);
}

static void
test_role_and_wait(void **context)
{
	static const struct step steps[] = {
		{ "ROLE\r\n", "*3\r\n$6\r\nmaster\r\n:70\r\n*1\r\n*3\r\n$8\r\n10.0.0.2\r\n"
			      "$4\r\n7002\r\n$2\r\n70\r\n" },
		{ "WAIT 0 0\r\n", ":1\r\n" },
		{ "SET k v\r\n", "+OK\r\n" },
		{ "WAIT 1 100\r\n", ":1\r\n" },
		{ "WAIT 5 100\r\n", ":1\r\n" },
		{ "WAIT 1 -1\r\n", "-ERR timeout is negative\r\n" },
		{ "WAIT x 1\r\n", "-ERR value is not an integer or out of range\r\n" },
	};

	RUN_THREE_WAYS(*context, steps);
}

static void
test_quit_and_half_close(void **context)
{
	struct fake_node *node = *context;
	int fd = client_open(node);

	client_send(fd, "SET a 1\r\nQUIT\r\nSET a 2\r\n");
	client_expect(fd, "+OK\r\n+OK\r\n");
	client_expect_end(fd);
	/* A client that has sent everything still gets everything. */
	fd = client_open(node);
	node->is_held = true;
	client_send(fd, "INCR a\r\nGET a\r\nPING\r\nINCR");
	shutdown(fd, SHUT_WR);
	fake_await_held(node, 2);
	fake_release(node);
	client_expect(fd, ":2\r\n$1\r\n2\r\n+PONG\r\n");
	client_expect_end(fd);
}

static void
test_protocol_error_in_its_turn(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);

	node->is_held = true;
	client_send(fd, "SET a 1\r\nGET a\r\n*1\r\n$2147483648\r\nPING\r\n");
	fake_await_held(node, 2);
	fake_release(node);
	client_expect(fd, "+OK\r\n$1\r\n1\r\n-ERR Protocol error: invalid bulk length\r\n");
	client_expect_end(fd);
}

/* A slot of the table that is used again must not get the answers of who had it before. */
static void
test_answers_of_the_gone_are_dropped(void **context)
{
	struct fake_node *node = *context;
	int fd = client_open(node);
	struct gateway_stats stats;

	node->is_held = true;
	client_send(fd, "INCRBY a 5\r\nINCRBY a 5\r\nGET a\r\n");
	fake_await_held(node, 3);
	/* A reset: the gateway sees the end at once, with the requests still at the lcore. */
	const struct linger reset = { .l_onoff = 1 };
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(fd);
	do {
		gateway_stats(node->gateway, &stats);
	} while (stats.connections_now != 0);
	fd = client_open(node);
	client_send(fd, "INCRBY b 1\r\n");
	fake_await_held(node, 4);
	fake_release(node);
	client_expect(fd, ":1\r\n");
	client_send(fd, "GET a\r\nPING\r\n");
	client_expect(fd, "$2\r\n10\r\n+PONG\r\n");
	close(fd);
}

static void
test_binary(void **context)
{
	static const uint8_t set[] = "*3\r\n$3\r\nSET\r\n$3\r\n\0\r\n\r\n$6\r\n\0\r\n\xff*1\r\n";
	static const uint8_t get[] = "*2\r\n$3\r\nGET\r\n$3\r\n\0\r\n\r\n";
	static const uint8_t want[] = "$6\r\n\0\r\n\xff*1\r\n";
	const int fd = client_open(*context);

	client_send_bytes(fd, set, sizeof(set) - 1);
	client_expect(fd, "+OK\r\n");
	client_send_bytes(fd, get, sizeof(get) - 1);
	client_expect_bytes(fd, want, sizeof(want) - 1);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NODE_TEST(test_replies_resp2),
		NODE_TEST(test_integers),
		NODE_TEST(test_many_keys),
		NODE_TEST(test_resp3),
		NODE_TEST(test_unknown_is_kept_open),
		NODE_TEST(test_order_with_reversed_completions),
		NODE_TEST(test_write_waits_for_earlier_read),
		NODE_TEST(test_read_waits_until_own_write_is_visible),
		NODE_TEST(test_reads_share_a_read_point),
		NODE_TEST(test_unknown_outcome_closes),
		NODE_TEST(test_end_is_orderly),
		NODE_TEST(test_refusals),
		NODE_TEST(test_replica),
		NODE_TEST(test_role_and_wait),
		NODE_TEST(test_quit_and_half_close),
		NODE_TEST(test_protocol_error_in_its_turn),
		NODE_TEST(test_answers_of_the_gone_are_dropped),
		NODE_TEST(test_binary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
