/* SPDX-License-Identifier: Apache-2.0 */
/* Times to live: every command that gives, takes, tells or keeps one, and the idle node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/gateway/fixture.h"

static long long
integer(int fd, const char *command)
{
	char line[64];

	client_send(fd, command);
	client_send(fd, "\r\n");
	client_read_line(fd, line, sizeof(line));
	assert_int_equal(line[0], ':');
	return strtoll(line + 1, NULL, 10);
}

/* Far from now, so that it does not matter how long the test takes. */
static void
test_commands(void **context)
{
	static const struct step steps[] = {
		{ "SET k v EX 1000000\r\n", "+OK\r\n" },
		{ "PERSIST k\r\nPERSIST k\r\nTTL k\r\nPTTL k\r\n", ":1\r\n:0\r\n:-1\r\n:-1\r\n" },
		{ "TTL none\r\nPTTL none\r\nEXPIRETIME none\r\n", ":-2\r\n:-2\r\n:-2\r\n" },
		{ "SET k v PXAT 9000000000123\r\nPEXPIRETIME k\r\n", "+OK\r\n:9000000000123\r\n" },
		{ "EXPIRETIME k\r\n", ":9000000000\r\n" },
		{ "SET k v EXAT 9000000001\r\nPEXPIRETIME k\r\n", "+OK\r\n:9000000001000\r\n" },
		{ "SET k w KEEPTTL\r\nEXPIRETIME k\r\n", "+OK\r\n:9000000001\r\n" },
		{ "APPEND k x\r\nEXPIRETIME k\r\n", ":2\r\n:9000000001\r\n" },
		{ "GETSET k w\r\nEXPIRETIME k\r\n", "$2\r\nwx\r\n:-1\r\n" },
		{ "EXPIREAT k 9000000002\r\nEXPIRETIME k\r\n", ":1\r\n:9000000002\r\n" },
		{ "PEXPIREAT k 9000000003001\r\nPEXPIRETIME k\r\n", ":1\r\n:9000000003001\r\n" },
		{ "EXPIREAT none 9000000002\r\n", ":0\r\n" },
		{ "EXPIREAT k 9000000001 GT\r\nEXPIREAT k 9000000004 gt\r\n", ":0\r\n:1\r\n" },
		{ "EXPIREAT k 9000000005 LT\r\nEXPIREAT k 9000000003 LT XX\r\n", ":0\r\n:1\r\n" },
		{ "EXPIREAT k 9000000005 NX\r\nEXPIRETIME k\r\n", ":0\r\n:9000000003\r\n" },
		{ "GETEX k\r\nEXPIRETIME k\r\n", "$1\r\nw\r\n:9000000003\r\n" },
		{ "GETEX k EXAT 9000000006\r\nEXPIRETIME k\r\n", "$1\r\nw\r\n:9000000006\r\n" },
		{ "GETEX k PERSIST\r\nEXPIRETIME k\r\n", "$1\r\nw\r\n:-1\r\n" },
		{ "GETEX none EX 5\r\n", "$-1\r\n" },
		{ "INCR n\r\nEXPIREAT n 9000000000\r\nINCR n\r\nEXPIRETIME n\r\n",
		  ":1\r\n:1\r\n:2\r\n:9000000000\r\n" },
		{ "SET n 7\r\nEXPIRETIME n\r\n", "+OK\r\n:-1\r\n" },
		{ "SET k v NX EX 10\r\n", "$-1\r\n" },
		{ "SET k x XX GET PXAT 9000000000000\r\n", "$1\r\nw\r\n" },
		{ "EXPIRETIME k\r\nGET k\r\n", ":9000000000\r\n$1\r\nx\r\n" },
		/* What has passed deletes. */
		{ "EXPIRE k 0\r\nEXISTS k\r\n", ":1\r\n:0\r\n" },
		{ "SET k v\r\nPEXPIREAT k 1\r\nGET k\r\n", "+OK\r\n:1\r\n$-1\r\n" },
		{ "SET k v\r\nEXPIRE k -5\r\nGET k\r\n", "+OK\r\n:1\r\n$-1\r\n" },
		{ "SET k v EXAT 1\r\nGET k\r\n", "+OK\r\n$-1\r\n" },
		/* In a transaction. */
		{ "MULTI\r\nSETEX k 100 v\r\nTTL k\r\nPTTL k\r\nEXPIREAT k 9000000000\r\n"
		  "EXPIRETIME k\r\nPEXPIRETIME k\r\nPERSIST k\r\nTTL k\r\nTTL none\r\nGETEX k EX "
		  "5\r\n"
		  "TTL k\r\nEXEC\r\n",
		  "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
		  "+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*11\r\n+OK\r\n:100\r\n"
		  ":100000\r\n:1\r\n:9000000000\r\n:9000000000000\r\n:1\r\n:-1\r\n:-2\r\n"
		  "$1\r\nv\r\n:5\r\n" },
	};
	const int fd = client_open(*context);

	RUN(fd, steps);
	client_send(fd, "SETEX k 1000 v\r\nPSETEX p 1000000 v\r\n");
	client_expect(fd, "+OK\r\n+OK\r\n");
	assert_in_range(integer(fd, "TTL k"), 900, 1000);
	assert_in_range(integer(fd, "PTTL k"), 900000, 1000000);
	assert_in_range(integer(fd, "TTL p"), 900, 1000);
	client_send(fd, "EXPIRE k 2000\r\nPEXPIRE p 3000000\r\n");
	client_expect(fd, ":1\r\n:1\r\n");
	assert_in_range(integer(fd, "TTL k"), 1900, 2000);
	assert_in_range(integer(fd, "TTL p"), 2900, 3000);
	char line[64];
	client_send(fd, "INFO keyspace\r\n");
	client_read_line(fd, line, sizeof(line));
	client_read_line(fd, line, sizeof(line));
	client_read_line(fd, line, sizeof(line));
	/* The number of keys is the status's: the fake node's. */
	assert_string_equal(line, "db0:keys=4,expires=2,avg_ttl=0\r\n");
	close(fd);
}

static void
test_errors(void **context)
{
	static const struct step steps[] = {
		{ "SET k v EX 0\r\n", "-ERR invalid expire time in 'set' command\r\n" },
		{ "SET k v PX -1\r\n", "-ERR invalid expire time in 'set' command\r\n" },
		{ "SET k v EX 9223372037\r\n", "-ERR invalid expire time in 'set' command\r\n" },
		{ "SET k v EX x\r\n", "-ERR value is not an integer or out of range\r\n" },
		{ "SET k v EX\r\n", "-ERR syntax error\r\n" },
		{ "SET k v EX 1 PX 1\r\n", "-ERR syntax error\r\n" },
		{ "SET k v EX 1 KEEPTTL\r\n", "-ERR syntax error\r\n" },
		{ "SET k v KEEPTTL EX 1\r\n", "-ERR syntax error\r\n" },
		{ "SETEX k 0 v\r\n", "-ERR invalid expire time in 'setex' command\r\n" },
		{ "PSETEX k -1 v\r\n", "-ERR invalid expire time in 'psetex' command\r\n" },
		{ "GETEX k EX 0\r\n", "-ERR invalid expire time in 'getex' command\r\n" },
		{ "GETEX k EX 1 PERSIST\r\n", "-ERR syntax error\r\n" },
		{ "GETEX k PERSIST PERSIST\r\n", "-ERR syntax error\r\n" },
		{ "GETEX k KEEPTTL\r\n", "-ERR syntax error\r\n" },
		{ "EXPIRE k x\r\n", "-ERR value is not an integer or out of range\r\n" },
		{ "EXPIRE k 9223372036854775807\r\n",
		  "-ERR invalid expire time in 'expire' command\r\n" },
		{ "EXPIRE k 1 ODD\r\n", "-ERR Unsupported option ODD\r\n" },
		{ "EXPIRE k 1 NX GT\r\n",
		  "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n" },
		{ "EXPIRE k 1 GT LT\r\n",
		  "-ERR GT and LT options at the same time are not compatible\r\n" },
		{ "TERN.SESSION OPEN\r\nTERN.ONCE 1 1 SET k v EXAT 9000000000\r\n",
		  ":1\r\n+OK\r\n" },
		{ "TERN.ONCE 1 2 EXPIRE k 100\r\nTERN.ONCE 1 2 EXPIRE k 100\r\n", ":1\r\n:1\r\n" },
		{ "TERN.ONCE 1 3 GETEX k\r\n",
		  "-ERR TERN.ONCE takes no command with such options\r\n" },
	};
	const int fd = client_open(*context);

	RUN(fd, steps);
	close(fd);
}

/* Block time passes the expiry: gone for reads, walks and conditions, before anything removed it.
 */
static void
test_expired(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);
	static const struct step before[] = {
		{ "SET a v EX 1000\r\nSET b v EX 1000\r\nSET c v EX 3000\r\n",
		  "+OK\r\n+OK\r\n+OK\r\n" },
		{ "WATCH a\r\n", "+OK\r\n" },
		{ "KEYS *\r\n", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n" },
	};
	static const struct step after[] = {
		{ "MGET a b c\r\nEXISTS a b c\r\nTTL a\r\nTYPE b\r\nSTRLEN b\r\n",
		  "*3\r\n$-1\r\n$-1\r\n$1\r\nv\r\n:1\r\n:-2\r\n+none\r\n:0\r\n" },
		{ "KEYS *\r\n", "*2\r\n$1\r\nc\r\n$1\r\nn\r\n" },
		{ "MULTI\r\nINCR n\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*-1\r\n" },
		{ "SET a w NX\r\nTTL a\r\n", "+OK\r\n:-1\r\n" },
	};

	RUN(fd, before);
	node->time_ahead_ns = 2000ull * 1000000000ull;
	client_send(fd, "INCR n\r\n");
	client_expect(fd, ":1\r\n");
	RUN(fd, after);
	close(fd);
}

/* Nobody writes: the master moves time by itself, a replica waits for its master. */
static void
test_idle(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);
	int reads = 0;

	client_send(fd, "SET l v EX 1000\r\nSET k v PX 30\r\n");
	client_expect(fd, "+OK\r\n+OK\r\n");
	do {
		usleep(1000);
		assert_in_range(reads, 0, 60000);
		reads++;
	} while (integer(fd, "EXISTS k") == 1);
	client_send(fd, "EXISTS l\r\n");
	client_expect(fd, ":1\r\n");
	/* Once gone it stays gone, and the node comes to rest. */
	const uint64_t writes = node->writes_taken;
	assert_int_equal(writes, 3); /* one TICK */
	client_send(fd, "GET k\r\n");
	client_expect(fd, "$-1\r\n");
	fake_publish_role(node, false, 2);
	client_send(fd, "SET k v PX 1\r\n"); /* the fake lcore takes it all the same */
	client_expect(fd, "+OK\r\n");
	usleep(300000);
	assert_int_equal(node->writes_taken, writes + 1);
	fake_publish_role(node, true, 1);
	for (reads = 0; integer(fd, "EXISTS k") == 1; reads++) {
		usleep(1000);
		assert_in_range(reads, 0, 60000);
	}
	close(fd);
}

/* Nobody writes, no key expires: the other nodes are told where their logs may begin. */
static void
test_news_of_the_log(void **context)
{
	struct fake_node *node = *context;
	struct node_status status;

	fake_publish_role(node, true, 1);
	usleep(400000);
	const uint64_t before = node->writes_taken;
	assert_int_equal(before, 0);
	status_read(&node->cell, &status);
	status.has_log_news = true;
	status_publish(&node->cell, &status);
	for (int i = 0; i < 60000 && node->writes_taken == before; i++)
		usleep(1000);
	assert_int_not_equal(node->writes_taken, before);
	status.has_log_news = false;
	status_publish(&node->cell, &status);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NODE_TEST(test_commands), NODE_TEST(test_errors),          NODE_TEST(test_expired),
		NODE_TEST(test_idle),     NODE_TEST(test_news_of_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
