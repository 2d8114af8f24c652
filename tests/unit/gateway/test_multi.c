/* SPDX-License-Identifier: Apache-2.0 */
/* MULTI, EXEC, DISCARD, WATCH, UNWATCH: what is queued, what is refused, what EXEC answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/gateway/fixture.h"

#define ABORTED "-EXECABORT Transaction discarded because of previous errors.\r\n"

static void
test_every_kind(void **context)
{
	static const struct step steps[] = {
		{ "MULTI\r\n", "+OK\r\n" },
		{ "SET a one\r\n", "+QUEUED\r\n" },
		{ "GET a\r\n", "+QUEUED\r\n" },
		{ "MGET a none n\r\n", "+QUEUED\r\n" },
		{ "INCRBY n 7\r\n", "+QUEUED\r\n" },
		{ "MGET n a\r\n", "+QUEUED\r\n" },
		{ "EXISTS a n none a\r\n", "+QUEUED\r\n" },
		{ "STRLEN a\r\n", "+QUEUED\r\n" },
		{ "TYPE a\r\n", "+QUEUED\r\n" },
		{ "TYPE none\r\n", "+QUEUED\r\n" },
		{ "UNWATCH\r\n", "+QUEUED\r\n" },
		{ "SET a two GET\r\n", "+QUEUED\r\n" },
		{ "SET a two NX\r\n", "+QUEUED\r\n" },
		{ "INCR a\r\n", "+QUEUED\r\n" },
		{ "TERN.INCRBY n -9 MIN 0\r\n", "+QUEUED\r\n" },
		{ "MSET b 1 c 2\r\n", "+QUEUED\r\n" },
		{ "DEL b c none\r\n", "+QUEUED\r\n" },
		{ "EXEC\r\n", "*16\r\n+OK\r\n$3\r\none\r\n*3\r\n$3\r\none\r\n$-1\r\n$-1\r\n:7\r\n"
			      "*2\r\n$1\r\n7\r\n$3\r\none\r\n:3\r\n:3\r\n+string\r\n+none\r\n"
			      "+OK\r\n$3\r\none\r\n$-1\r\n"
			      "-ERR value is not an integer or out of range\r\n"
			      "-BOUND value 7 delta -9 min 0\r\n+OK\r\n:2\r\n" },
		{ "MGET a n b\r\n", "*3\r\n$3\r\ntwo\r\n$1\r\n7\r\n$-1\r\n" },
		{ "EXEC\r\n", "-ERR EXEC without MULTI\r\n" },
	};
	struct fake_node *node = *context;
	const int fd = client_open(node);
	const uint64_t before = node->writes_taken;

	RUN(fd, steps);
	assert_int_equal(node->writes_taken, before + 1); /* one command of the log */
	close(fd);
}

static void
test_resp3(void **context)
{
	static const struct step steps[] = {
		{ "MULTI\r\nGET none\r\nMGET none\r\nEXEC\r\n",
		  "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n_\r\n*1\r\n_\r\n" },
		{ "WATCH k\r\nSET k 1\r\nMULTI\r\nGET k\r\nEXEC\r\n",
		  "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n_\r\n" },
	};
	const int fd = client_open(*context);
	char line[256];

	client_send(fd, "HELLO 3\r\nPING\r\n");
	do
		client_read_line(fd, line, sizeof(line));
	while (strcmp(line, "+PONG\r\n") != 0);
	RUN(fd, steps);
	close(fd);
}

static void
test_errors(void **context)
{
	static const struct step steps[] = {
		{ "DISCARD\r\n", "-ERR DISCARD without MULTI\r\n" },
		{ "UNWATCH\r\n", "+OK\r\n" },
		/* These spoil nothing. */
		{ "MULTI\r\n", "+OK\r\n" },
		{ "MULTI\r\n", "-ERR MULTI calls can not be nested\r\n" },
		{ "WATCH k\r\n", "-ERR WATCH inside MULTI is not allowed\r\n" },
		{ "INCR n\r\n", "+QUEUED\r\n" },
		{ "EXEC\r\n", "*1\r\n:1\r\n" },
		/* These do. */
		{ "MULTI\r\n", "+OK\r\n" },
		{ "INCR n\r\n", "+QUEUED\r\n" },
		{ "NONE x\r\n", "-ERR unknown command 'NONE', with args beginning with: 'x' \r\n" },
		{ "INCR n\r\n", "+QUEUED\r\n" },
		{ "EXEC\r\n", ABORTED },
		{ "MULTI\r\nGET\r\nEXEC\r\n",
		  "+OK\r\n-ERR wrong number of arguments for 'get' command\r\n" ABORTED },
		{ "MULTI\r\nSET n 5 ODD\r\nEXEC\r\n", "+OK\r\n-ERR syntax error\r\n" ABORTED },
		{ "MULTI\r\nDBSIZE\r\nEXEC\r\n",
		  "+OK\r\n-ERR 'dbsize' is not allowed in a transaction\r\n" ABORTED },
		{ "MULTI\r\nPING\r\nEXEC\r\n",
		  "+OK\r\n-ERR 'ping' is not allowed in a transaction\r\n" ABORTED },
		{ "MULTI\r\nTERN.ONCE 1 1 INCR n\r\nEXEC\r\n",
		  "+OK\r\n-ERR 'tern.once' is not allowed in a transaction\r\n" ABORTED },
		{ "EXEC\r\n", "-ERR EXEC without MULTI\r\n" },
		/* Nothing queued. */
		{ "MULTI\r\nEXEC\r\n", "+OK\r\n*0\r\n" },
		{ "MULTI\r\nUNWATCH\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n" },
		{ "MULTI\r\nINCR n\r\nDISCARD\r\nGET n\r\n",
		  "+OK\r\n+QUEUED\r\n+OK\r\n$1\r\n1\r\n" },
		{ "MULTI\r\nINCR n\r\nRESET\r\nGET n\r\nEXEC\r\n",
		  "+OK\r\n+QUEUED\r\n+RESET\r\n$1\r\n1\r\n-ERR EXEC without MULTI\r\n" },
	};
	const int fd = client_open(*context);

	RUN(fd, steps);
	client_send(fd, "MULTI\r\nINCR n\r\nQUIT\r\nEXEC\r\n");
	client_expect(fd, "+OK\r\n+QUEUED\r\n+OK\r\n");
	client_expect_end(fd);
	const int other = client_open(*context);
	client_send(other, "GET n\r\n");
	client_expect(other, "$1\r\n1\r\n");
	close(other);
}

static void
test_watch(void **context)
{
	const int fd = client_open(*context), other = client_open(*context);
	/* What is watched, what the other connection does meanwhile, what EXEC then says. */
	static const struct {
		const char *watch, *other, *other_expect, *exec;
	} cases[] = {
		{ "WATCH k none\r\n", "GET k\r\n", "$1\r\n1\r\n", "*1\r\n:1\r\n" },
		{ "WATCH none n\r\n", "SET k 1\r\n", "+OK\r\n", "*1\r\n:2\r\n" },
		{ "WATCH none k\r\n", "SET k 1\r\n", "+OK\r\n", "*-1\r\n" },
		{ "WATCH k none2\r\n", "SET none2 1\r\n", "+OK\r\n", "*-1\r\n" },
		{ "WATCH none2\r\n", "DEL none2\r\n", ":1\r\n", "*-1\r\n" },
		{ "WATCH k k\r\n", "INCR k\r\n", ":2\r\n", "*-1\r\n" },
		{ "WATCH k\r\n", "INCR k\r\n", ":3\r\n", "*-1\r\n" },
		/* EXEC, UNWATCH and DISCARD forget what was watched. */
		{ "GET none\r\n", "INCR k\r\n", ":4\r\n", "*1\r\n:3\r\n" },
		{ "WATCH k\r\nUNWATCH\r\n", "INCR k\r\n", ":5\r\n", "*1\r\n:4\r\n" },
		{ "WATCH k\r\nMULTI\r\nDISCARD\r\n", "INCR k\r\n", ":6\r\n", "*1\r\n:5\r\n" },
		{ "WATCH k\r\nMULTI\r\nNO\r\nEXEC\r\n", "INCR k\r\n", ":7\r\n", "*1\r\n:6\r\n" },
	};
	static const char *const greetings[] = {
		"+OK\r\n",
		"+OK\r\n",
		"+OK\r\n",
		"+OK\r\n",
		"+OK\r\n",
		"+OK\r\n",
		"+OK\r\n",
		"$-1\r\n",
		"+OK\r\n+OK\r\n",
		"+OK\r\n+OK\r\n+OK\r\n",
		("+OK\r\n+OK\r\n-ERR unknown command 'NO', with args beginning with: \r\n" ABORTED),
	};

	client_send(fd, "SET k 1\r\n");
	client_expect(fd, "+OK\r\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		client_send(fd, cases[i].watch);
		client_expect(fd, greetings[i]);
		client_send(fd, "MULTI\r\nINCR n\r\n");
		client_expect(fd, "+OK\r\n+QUEUED\r\n");
		client_send(other, cases[i].other);
		client_expect(other, cases[i].other_expect);
		client_send(fd, "EXEC\r\n");
		client_expect(fd, cases[i].exec);
	}
	/* Nothing but conditions. */
	client_send(fd, "WATCH k\r\nMULTI\r\nEXEC\r\nWATCH k\r\nINCR k\r\nMULTI\r\nEXEC\r\n");
	client_expect(fd, "+OK\r\n+OK\r\n*0\r\n+OK\r\n:8\r\n+OK\r\n*-1\r\n");
	close(fd);
	close(other);
}

/* Everything in one packet, again and again: replies keep their order. */
static void
test_pipelined(void **context)
{
	const int fd = client_open(*context);

	for (int i = 0; i < 50; i++)
		client_send(fd, "INCR a\r\nWATCH a\r\nMULTI\r\nINCR a\r\nGET a\r\nEXEC\r\n"
				"GET a\r\n");
	for (int i = 0; i < 50; i++) {
		char text[256], two[16];
		const int one = 2 * i + 1;
		(void)snprintf(two, sizeof(two), "%d", one + 1);
		(void)snprintf(text, sizeof(text),
			       ":%d\r\n+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:%s\r\n"
			       "$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
			       one, two, strlen(two), two, strlen(two), two);
		client_expect(fd, text);
	}
	client_send(fd, "CLIENT REPLY OFF\r\nMULTI\r\nINCR a\r\nEXEC\r\nCLIENT REPLY ON\r\n"
			"GET a\r\n");
	client_expect(fd, "+OK\r\n$3\r\n101\r\n");
	close(fd);
}

static void
test_refused_by_the_lcore(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);
	static const struct step steps[] = {
		{ "MULTI\r\nINCR n\r\nSET !busy 1\r\nEXEC\r\n",
		  "+OK\r\n+QUEUED\r\n+QUEUED\r\n"
		  "-BUSY the server's queues are full, it was not executed: try again\r\n" },
		{ "EXISTS n\r\n", ":0\r\n" },
		{ "EXEC\r\n", "-ERR EXEC without MULTI\r\n" },
	};

	RUN(fd, steps);
	/* The same for a client of a node that is not master; it is let go afterwards. */
	node->master_id = 2;
	node->is_not_master = true;
	client_send(fd, "MULTI\r\nINCR n\r\nEXEC\r\n");
	client_expect(fd, "+OK\r\n+QUEUED\r\n"
			  "-READONLY You can't write against a read only replica.\r\n");
	client_expect_end(fd);
	node->is_not_master = false;
	const int other = client_open(node);
	client_send(other, "MULTI\r\nINCR n\r\nSET !unknown 1\r\nEXEC\r\n");
	client_expect(other, "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
	client_expect_end(other);
}

static void
test_once(void **context)
{
	static const struct step steps[] = {
		{ "TERN.SESSION OPEN\r\n", ":1\r\n" },
		{ "TERN.ONCE 1 1 EXEC\r\n", "-ERR EXEC without MULTI\r\n" },
		{ "MULTI\r\nINCR n\r\nTERN.ONCE 1 1 EXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n" },
		{ "MULTI\r\nINCR n\r\nTERN.ONCE 1 1 EXEC\r\n", "+OK\r\n+QUEUED\r\n+DONE\r\n" },
		{ "WATCH n\r\nINCR n\r\nMULTI\r\nINCR n\r\nTERN.ONCE 1 2 EXEC\r\n",
		  "+OK\r\n:2\r\n+OK\r\n+QUEUED\r\n*-1\r\n" },
		{ "MULTI\r\nINCR n\r\nTERN.ONCE 1 2 EXEC\r\n", "+OK\r\n+QUEUED\r\n*-1\r\n" },
		{ "MULTI\r\nTERN.ONCE 1 3 EXEC\r\n",
		  "+OK\r\n-ERR TERN.ONCE takes no empty transaction\r\n" },
		{ "DISCARD\r\nGET n\r\n", "+OK\r\n$1\r\n2\r\n" },
		{ "TERN.SESSION CLOSE 1\r\n", "+OK\r\n" },
	};
	const int fd = client_open(*context);

	RUN(fd, steps);
	close(fd);
}

/* On a connection of class memory WATCH waits for what is durable; EXEC is of its class. */
static void
test_class_memory(void **context)
{
	const int fast = client_open(*context), safe = client_open(*context);

	client_send(fast, "TERN.CLASS memory\r\nSET k 1\r\n");
	client_expect(fast, "+OK\r\n+OK\r\n");
	client_send(fast, "WATCH k\r\nGET k\r\n");
	client_send(safe, "SET x 1\r\n");
	client_expect(safe, "+OK\r\n");
	client_expect(fast, "+OK\r\n$1\r\n1\r\n");
	client_send(fast, "MULTI\r\nINCR k\r\nGET k\r\nEXEC\r\nWATCH k\r\n");
	client_expect(fast, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n$1\r\n2\r\n");
	client_send(safe, "SET x 2\r\n");
	client_expect(safe, "+OK\r\n");
	client_expect(fast, "+OK\r\n");
	client_send(safe, "SET k 9\r\n");
	client_expect(safe, "+OK\r\n");
	client_send(fast, "MULTI\r\nINCR k\r\nEXEC\r\nGET k\r\n");
	client_expect(fast, "+OK\r\n+QUEUED\r\n*-1\r\n$1\r\n9\r\n");
	close(fast);
	close(safe);
}

/* A transaction is a command: it has the limit of one. */
static void
test_limits(void **context)
{
	struct fake_node node = { .command_bytes_max = 64 << 10, .value_bytes_max = 40000 };
	char head[64], *value = malloc(30003);
	(void)context;

	assert_non_null(value);
	fake_start(&node);
	const int fd = client_open(&node);
	memset(value, 'v', 30000);
	memcpy(value + 30000, "\r\n", 3);
	client_send(fd, "MULTI\r\n");
	client_expect(fd, "+OK\r\n");
	for (int i = 0; i < 3; i++) {
		(void)snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$1\r\n%d\r\n$30000\r\n", i);
		client_send(fd, head);
		client_send(fd, value);
		client_expect(fd, i < 2 ? "+QUEUED\r\n"
					: "-ERR the transaction is too large: at most 65536 bytes "
					  "and 4096 parts\r\n");
	}
	client_send(fd, "EXEC\r\nEXISTS 0 1 2\r\n");
	client_expect(fd, ABORTED ":0\r\n");
	/* Large values come back in one reply. */
	client_send(fd, "MULTI\r\n");
	client_expect(fd, "+OK\r\n");
	for (int i = 0; i < 2; i++) {
		(void)snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$1\r\n%d\r\n$30000\r\n", i);
		client_send(fd, head);
		client_send(fd, value);
	}
	client_send(fd, "MGET 0 1\r\nEXEC\r\n");
	client_expect(fd, "+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n+OK\r\n*2\r\n");
	for (int i = 0; i < 2; i++) {
		client_expect(fd, "$30000\r\n");
		client_expect(fd, value);
	}
	close(fd);
	fake_stop(&node);
	free(value);
}

/* Many small parts, up to as many as a command has arguments. */
static void
test_many_parts(void **context)
{
	const int fd = client_open(*context);

	client_send(fd, "MULTI\r\n");
	client_expect(fd, "+OK\r\n");
	for (int i = 0; i < 4096; i++)
		client_send(fd, "INCR n\r\n");
	for (int i = 0; i < 4096; i++)
		client_expect(fd, "+QUEUED\r\n");
	client_send(fd, "EXEC\r\n");
	client_expect(fd, "*4096\r\n");
	for (int i = 1; i <= 4096; i++) {
		char text[16];
		(void)snprintf(text, sizeof(text), ":%d\r\n", i);
		client_expect(fd, text);
	}
	client_send(fd, "MULTI\r\n");
	for (int i = 0; i < 4097; i++)
		client_send(fd, "INCR n\r\n");
	client_expect(fd, "+OK\r\n");
	for (int i = 0; i < 4096; i++)
		client_expect(fd, "+QUEUED\r\n");
	client_expect(fd, "-ERR the transaction is too large: at most 1048576 bytes and 4096 "
			  "parts\r\n");
	client_send(fd, "EXEC\r\nGET n\r\n");
	client_expect(fd, ABORTED "$4\r\n4096\r\n");
	close(fd);
}

/* Twelve forms of reads: from a view when they are alone, in the log beside a write. */
#define READS                                                                           \
	"MULTI\r\nGET a\r\nGET n\r\nMGET a none n\r\nEXISTS a n none a\r\nSTRLEN a\r\n" \
	"STRLEN n\r\nTYPE a\r\nTYPE none\r\nTTL none\r\nTTL a\r\nPEXPIRETIME e\r\n"     \
	"UNWATCH\r\n"
#define READS_QUEUED                                                                           \
	"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n" \
	"+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
#define READS_REPLIES                                                                       \
	"$3\r\none\r\n$2\r\n-7\r\n*3\r\n$3\r\none\r\n$-1\r\n$2\r\n-7\r\n:3\r\n:3\r\n:2\r\n" \
	"+string\r\n+none\r\n:-2\r\n:-1\r\n:9000000000000\r\n+OK\r\n"

static void
test_reads_alone(void **context)
{
	static const struct step steps[] = {
		{ "SET a one\r\nINCRBY n -7\r\nSET e v EXAT 9000000000\r\n",
		  "+OK\r\n:-7\r\n+OK\r\n" },
		{ READS "EXEC\r\n", READS_QUEUED "*12\r\n" READS_REPLIES },
		{ READS "INCR x\r\nEXEC\r\n",
		  READS_QUEUED "+QUEUED\r\n*13\r\n" READS_REPLIES ":1\r\n" },
		{ "WATCH none a\r\nMULTI\r\nGET n\r\nEXEC\r\n",
		  "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$2\r\n-7\r\n" },
		{ "WATCH none\r\nMULTI\r\nEXEC\r\n", "+OK\r\n+OK\r\n*0\r\n" },
		/* What was watched has changed: by a value, by nothing but a write, by coming. */
		{ "WATCH n a\r\nSET a two\r\nMULTI\r\nGET a\r\nEXEC\r\n",
		  "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n" },
		{ "WATCH n a\r\nSET a two\r\nMULTI\r\nGET a\r\nEXEC\r\n",
		  "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n" },
		{ "WATCH none\r\nSET none 1\r\nMULTI\r\nGET a\r\nEXEC\r\n",
		  "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n" },
		{ "WATCH none\r\nDEL none\r\nMULTI\r\nGET a\r\nEXEC\r\n",
		  "+OK\r\n:1\r\n+OK\r\n+QUEUED\r\n*-1\r\n" },
		/* Everything is forgotten, and under a number it is logged. */
		{ "EXEC\r\n", "-ERR EXEC without MULTI\r\n" },
		{ "TERN.SESSION OPEN\r\n", ":1\r\n" },
		{ "MULTI\r\nGET a\r\nTERN.ONCE 1 1 EXEC\r\n",
		  "+OK\r\n+QUEUED\r\n*1\r\n$3\r\ntwo\r\n" },
		{ "MULTI\r\nGET a\r\nTERN.ONCE 1 1 EXEC\r\n", "+OK\r\n+QUEUED\r\n+DONE\r\n" },
		/* One after the other in one stream, and a write behind them that they do not see.
		 */
		{ "MULTI\r\nGET a\r\nEXEC\r\nSET a 3\r\nMULTI\r\nGET a\r\nEXEC\r\nGET a\r\n",
		  "+OK\r\n+QUEUED\r\n*1\r\n$3\r\ntwo\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n"
		  "$1\r\n3\r\n$1\r\n3\r\n" },
	};
	struct fake_node *node = *context;
	const int fd = client_open(node);

	RUN(fd, steps);
	/* Writes, the transaction with INCR, those of the session; nothing else. */
	assert_int_equal(node->writes_taken, 3 + 1 + 4 + 1 + 2 + 1);
	close(fd);
}

/* At a replica such a transaction is a read like others. */
static void
test_reads_alone_at_a_replica(void **context)
{
	static const struct step steps[] = {
		{ "MULTI\r\nGET a\r\nEXEC\r\nEXEC\r\n",
		  "+OK\r\n+QUEUED\r\n-MOVED 0 10.0.0.2:7002\r\n-ERR EXEC without MULTI\r\n" },
		{ "READONLY\r\nMULTI\r\nGET a\r\nEXISTS a\r\nEXEC\r\n",
		  "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n1\r\n:1\r\n" },
		{ "MULTI\r\nGET a\r\nINCR a\r\nEXEC\r\n",
		  "+OK\r\n+QUEUED\r\n+QUEUED\r\n"
		  "-READONLY You can't write against a read only replica.\r\n" },
	};
	struct fake_node *node = *context;
	int fd = client_open(node);

	client_send(fd, "SET a 1\r\n");
	client_expect(fd, "+OK\r\n");
	close(fd);
	node->is_not_master = true;
	node->master_id = 2;
	fake_publish_role(node, false, 2);
	fd = client_open(node);
	RUN(fd, steps);
	client_send(fd, "MULTI\r\nGET a\r\n");
	client_expect(fd, "+OK\r\n+QUEUED\r\n");
	fake_publish_role(node, false, 0);
	client_send(fd, "EXEC\r\nEXEC\r\n");
	client_expect(fd, "-MASTERDOWN Link with MASTER is down and no replica may answer.\r\n"
			  "-ERR EXEC without MULTI\r\n");
	close(fd);
}

static uint64_t
bytes_when_all_are_gone(struct fake_node *node)
{
	struct gateway_stats stats;

	for (int i = 0; i < 60000; i++) {
		gateway_stats(node->gateway, &stats);
		if (stats.connections_now == 0)
			break;
		usleep(1000);
	}
	assert_int_equal(stats.connections_now, 0);
	return stats.buffers_bytes;
}

/* What was given to transactions is given back, however they end. */
static void
test_memory_comes_back(void **context)
{
	struct fake_node *node = *context;
	const int first = client_open(node);

	client_send(first, "GET k\r\n");
	client_expect(first, "$-1\r\n");
	close(first);
	const uint64_t before = bytes_when_all_are_gone(node);
	for (int i = 0; i < 20; i++) {
		const int fd = client_open(node);
		client_send(fd, "WATCH a b c\r\nMULTI\r\nINCR n\r\nINCR n\r\n");
		client_expect(fd, "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n");
		if (i % 2 == 0) {
			char line[64];
			client_send(fd, "EXEC\r\n");
			client_read_line(fd, line, sizeof(line));
			assert_string_equal(line, "*2\r\n");
		}
		close(fd);
	}
	assert_int_equal(bytes_when_all_are_gone(node), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NODE_TEST(test_every_kind),
		NODE_TEST(test_resp3),
		NODE_TEST(test_errors),
		NODE_TEST(test_watch),
		NODE_TEST(test_pipelined),
		NODE_TEST(test_refused_by_the_lcore),
		NODE_TEST(test_once),
		NODE_TEST(test_class_memory),
		cmocka_unit_test(test_limits),
		NODE_TEST(test_many_parts),
		NODE_TEST(test_reads_alone),
		NODE_TEST(test_reads_alone_at_a_replica),
		NODE_TEST(test_memory_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
