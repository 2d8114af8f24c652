/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What client libraries send when they connect, and what they need to see. Recorded from redis-cli
 * and redis-benchmark 7.0.15, redis-py 4.3.4, ioredis 6.0.0 and node-redis 6.3.1; those of redis-py
 * 8 and go-redis 9 were written down from what they are known to send.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/gateway/fixture.h"

#define HELLO_BODY(proto)                                                                         \
	"$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:" proto  \
	"\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n" \
	"$7\r\nmodules\r\n*0\r\n"
#define HELLO2 "*14\r\n" HELLO_BODY("2")
#define HELLO3 "%7\r\n" HELLO_BODY("3")

struct exchange {
	const char *send;
	const char *expect; /* NULL: any one well-formed reply that is no error */
};

struct handshake {
	const char *client;
	struct exchange exchanges[8];
};

static const struct handshake handshakes[] = {
	{ "redis-cli -3",
	  { { "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", HELLO3 },
	    { "*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\n1\r\n", "+OK\r\n" } } },
	{ "redis-cli, interactive",
	  { { "*2\r\n$7\r\nCOMMAND\r\n$4\r\nDOCS\r\n", NULL },
	    { "*1\r\n$7\r\nCOMMAND\r\n", NULL },
	    { "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n", "+OK\r\n" } } },
	{ "redis-benchmark",
	  { { "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$4\r\nsave\r\n"
	      "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$10\r\nappendonly\r\n",
	      "*2\r\n$4\r\nsave\r\n$0\r\n\r\n*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n" },
	    { "PING\r\n", "+PONG\r\n" } } },
	{ "redis-py 4",
	  { { "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n", "+OK\r\n" },
	    { "*1\r\n$4\r\nINFO\r\n", NULL },
	    { "*1\r\n$4\r\nROLE\r\n", NULL } } },
	{ "redis-py 8",
	  { { "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", HELLO3 },
	    { "*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$8\r\nLIB-NAME\r\n$8\r\nredis-py\r\n"
	      "*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$7\r\nLIB-VER\r\n$5\r\n8.0.0\r\n",
	      "+OK\r\n+OK\r\n" },
	    { "*3\r\n$6\r\nCLIENT\r\n$19\r\nMAINT_NOTIFICATIONS\r\n$2\r\nON\r\n",
	      "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n" },
	    { "*2\r\n$3\r\nGET\r\n$4\r\nnone\r\n", "_\r\n" } } },
	{ "go-redis 9",
	  { { "*2\r\n$5\r\nhello\r\n$1\r\n3\r\n", HELLO3 },
	    { "*4\r\n$6\r\nclient\r\n$7\r\nsetinfo\r\n$8\r\nLIB-NAME\r\n$19\r\n"
	      "go-redis(,go1.22.1)\r\n"
	      "*4\r\n$6\r\nclient\r\n$7\r\nsetinfo\r\n$7\r\nLIB-VER\r\n$5\r\n9.7.0\r\n",
	      "+OK\r\n+OK\r\n" },
	    { "*3\r\n$6\r\nclient\r\n$7\r\nsetname\r\n$2\r\nme\r\n", "+OK\r\n" } } },
	{ "ioredis 6",
	  { { "*2\r\n$5\r\nhello\r\n$1\r\n3\r\n", HELLO3 },
	    { "*3\r\n$6\r\nclient\r\n$7\r\nsetname\r\n$2\r\nme\r\n", "+OK\r\n" },
	    { "*4\r\n$6\r\nclient\r\n$7\r\nSETINFO\r\n$7\r\nLIB-VER\r\n$5\r\n6.0.0\r\n",
	      "+OK\r\n" },
	    { "*4\r\n$6\r\nclient\r\n$7\r\nSETINFO\r\n$8\r\nLIB-NAME\r\n$7\r\nioredis\r\n",
	      "+OK\r\n" },
	    { "*1\r\n$4\r\ninfo\r\n", NULL } } },
	{ "node-redis 6, RESP2",
	  { { "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n*4\r\n$6\r\nCLIENT\r\n$7\r\n"
	      "SETINFO\r\n$7\r\nLIB-VER\r\n$5\r\n6.3.1\r\n*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n"
	      "$8\r\nLIB-NAME\r\n$10\r\nnode-redis\r\n",
	      "+OK\r\n+OK\r\n+OK\r\n" } } },
	{ "node-redis 6, RESP3",
	  { { "*4\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n*4\r\n$6\r\nCLIENT\r\n"
	      "$7\r\nSETINFO\r\n$7\r\nLIB-VER\r\n$5\r\n6.3.1\r\n*4\r\n$6\r\nCLIENT\r\n$7\r\n"
	      "SETINFO\r\n$8\r\nLIB-NAME\r\n$10\r\nnode-redis\r\n",
	      HELLO3 "+OK\r\n+OK\r\n" } } },
	{ "memtier",
	  { { "*2\r\n$5\r\nHELLO\r\n$1\r\n2\r\n", HELLO2 },
	    { "*2\r\n$3\r\nGET\r\n$4\r\nnone\r\n", "$-1\r\n" } } },
};

/* Reads one whole reply, nested as it may be, into @text. */
static void
read_reply(int fd, char *text, size_t room)
{
	size_t used = 0;

	for (long left = 1; left > 0; left--) {
		char *line = text + used;
		client_read_line(fd, line, room - used);
		used += strlen(line);
		const long count = strtol(line + 1, NULL, 10);
		assert_non_null(strchr("+:$*%~=_", line[0]));
		if (line[0] == '*' || line[0] == '~')
			left += count;
		if (line[0] == '%')
			left += 2 * count;
		for (long i = 0; (line[0] == '$' || line[0] == '=') && i < count + 2;) {
			const ssize_t got =
			    read(fd, text + used,
				 (size_t)(count + 2 - i) < room - used - 1 ? (size_t)(count + 2 - i)
									   : room - used - 1);
			assert_true(got > 0);
			i += got;
			used += (size_t)got;
			text[used] = 0;
		}
	}
}

static void
test_handshakes(void **context)
{
	char *text = malloc(1u << 16);

	(void)context;
	for (size_t i = 0; i < sizeof(handshakes) / sizeof(handshakes[0]); i++) {
		struct fake_node *node = node_start();
		const int fd = client_open(node);
		for (const struct exchange *at = handshakes[i].exchanges; at->send != NULL; at++) {
			client_send(fd, at->send);
			if (at->expect != NULL)
				client_expect(fd, at->expect);
			else
				read_reply(fd, text, 1u << 16);
		}
		client_send(fd, "PING\r\n");
		client_expect(fd, "+PONG\r\n");
		close(fd);
		node_free(node);
	}
	free(text);
}

static void
expect_fields(const char *text, const char *const *fields)
{
	for (; *fields != NULL; fields++) {
		const char *at = strstr(text, *fields);
		if (at == NULL || at == text || at[-1] != '\n')
			fail_msg("no line begins with '%s' in: %s", *fields, text);
	}
}

/* The fields that clients and their tools parse. */
static void
test_info(void **context)
{
	static const char *const master[] = {
		"redis_version:7",
		"server_name:tern\r\n",
		"tern_version:0.1.0\r\n",
		"redis_mode:standalone\r\n",
		"run_id:",
		"tcp_port:",
		"connected_clients:1\r\n",
		"used_memory:",
		"loading:0\r\n",
		"total_commands_processed:",
		"role:master\r\n",
		"connected_slaves:1\r\n",
		"slave0:ip=10.0.0.2,port=7002,state=online,offset=70,",
		"master_repl_offset:70\r\n",
		"db0:keys=4,",
		"# Tern\r\n",
		"mode:DUPLEX\r\n",
		"term:5\r\n",
		"epoch:6\r\n",
		"commit_index:70\r\n",
		NULL,
	};
	static const char *const replica[] = {
		"role:slave\r\n",
		"master_host:10.0.0.2\r\n",
		"master_port:7002\r\n",
		"master_link_status:up\r\n",
		"slave_repl_offset:69\r\n",
		"slave_priority:100\r\n",
		"replica_announced:1\r\n",
		"connected_slaves:0\r\n",
		NULL,
	};
	struct fake_node *node = node_make();
	char text[16384], again[16384];

	(void)context;
	fake_start(node);
	const int fd = client_open(node);
	client_send(fd, "INFO\r\n");
	read_reply(fd, text, sizeof(text));
	assert_int_equal(text[0], '$');
	expect_fields(text, master);
	const char *id = strstr(text, "run_id:") + 7;
	assert_int_equal(strspn(id, "0123456789abcdef"), 40);
	client_send(fd, "INFO server\r\n");
	read_reply(fd, again, sizeof(again));
	assert_memory_equal(strstr(again, "run_id:") + 7, id, 40);
	assert_null(strstr(again, "# Replication"));
	fake_publish_role(node, false, 2);
	client_send(fd, "HELLO 3\r\nINFO replication\r\n");
	read_reply(fd, text, sizeof(text));
	assert_non_null(strstr(text, "$4\r\nrole\r\n$7\r\nreplica\r\n"));
	read_reply(fd, text, sizeof(text));
	assert_int_equal(text[0], '=');
	assert_null(strstr(text, "# Server"));
	expect_fields(text, replica);
	close(fd);
	node_free(node);
}

/* One table: what COMMAND says is what there is. */
static void
test_command(void **context)
{
	struct fake_node *node = node_make();
	char text[65536], line[64];

	(void)context;
	fake_start(node);
	const int fd = client_open(node);
	client_send(fd, "COMMAND COUNT\r\n");
	client_read_line(fd, line, sizeof(line));
	const long count = strtol(line + 1, NULL, 10);
	assert_true(count >= 25);
	client_send(fd, "COMMAND\r\n");
	read_reply(fd, text, sizeof(text));
	assert_int_equal(strtol(text + 1, NULL, 10), count);
	client_send(fd, "COMMAND DOCS\r\n");
	read_reply(fd, text, sizeof(text));
	assert_int_equal(strtol(text + 1, NULL, 10), 2 * count);
	client_send(fd, "COMMAND DOCS get nothing\r\n");
	client_expect(fd, "*2\r\n$3\r\nget\r\n*6\r\n");
	for (int i = 0; i < 6; i++)
		read_reply(fd, text, sizeof(text));
	client_send(fd, "COMMAND INFO get nothing tern.incrby\r\n");
	client_expect(fd, "*3\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n"
			  ":1\r\n*3\r\n+@read\r\n+@string\r\n+@fast\r\n");
	for (int i = 0; i < 3; i++) /* tips, key specifications, subcommands */
		read_reply(fd, text, sizeof(text));
	client_expect(fd, "$-1\r\n*10\r\n$11\r\ntern.incrby\r\n:-3\r\n*2\r\n+write\r\n+fast\r\n"
			  ":1\r\n:1\r\n:1\r\n*3\r\n+@write\r\n+@string\r\n+@fast\r\n");
	for (int i = 0; i < 3; i++)
		read_reply(fd, text, sizeof(text));
	client_send(fd, "COMMAND LIST\r\n");
	read_reply(fd, text, sizeof(text));
	assert_int_equal(strtol(text + 1, NULL, 10), count);
	client_send(fd, "COMMAND GETKEYS get a\r\n");
	client_expect(fd, "-ERR unknown subcommand 'GETKEYS'. Try COMMAND HELP.\r\n");
	close(fd);
	node_free(node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshakes),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
