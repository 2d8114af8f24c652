/* SPDX-License-Identifier: Apache-2.0 */
/* CLIENT INFO, LIST, KILL, REPLY; COMMAND; the fields of INFO that clients parse. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/gateway/fixture.h"

static uint32_t
lines_of(const char *text)
{
	uint32_t count = 0;

	for (; *text != 0; text++)
		count += *text == '\n' ? 1 : 0;
	return count;
}

static void
test_list(void **context)
{
	struct fake_node *node = node_start();
	const int one = client_open(node), two = client_open(node);
	char text[8192];

	(void)context;
	client_send(two,
		    "CLIENT SETNAME worker\r\nCLIENT SETINFO LIB-NAME lib\r\nCLIENT NO-EVICT on\r\n"
		    "GET a\r\nSUBSCRIBE +switch-master\r\n");
	client_expect(two, "+OK\r\n+OK\r\n+OK\r\n$-1\r\n*3\r\n$9\r\nsubscribe\r\n"
			   "$14\r\n+switch-master\r\n:1\r\n");
	client_send(one, "CLIENT LIST\r\n");
	client_read_bulk(one, text, sizeof(text));
	assert_int_equal(lines_of(text), 2);
	expect_has(text, " name=worker ");
	expect_has(text, " flags=Pe db=0 sub=1 psub=0 ");
	expect_has(text, " cmd=subscribe user=default redir=-1 resp=2 lib-name=lib lib-ver=\n");
	expect_has(text, " laddr=127.0.0.1:");
	client_send(one, "CLIENT LIST TYPE normal\r\n");
	client_read_bulk(one, text, sizeof(text));
	assert_int_equal(lines_of(text), 1);
	expect_has(text, " cmd=client ");
	client_send(one, "CLIENT LIST TYPE replica\r\nCLIENT LIST ID 2 77\r\nCLIENT INFO\r\n");
	client_read_bulk(one, text, sizeof(text));
	assert_string_equal(text, "");
	client_read_bulk(one, text, sizeof(text));
	assert_int_equal(lines_of(text), 1);
	expect_has(text, "id=2 ");
	client_read_bulk(one, text, sizeof(text));
	expect_has(text, "id=1 ");
	client_send(one, "CLIENT LIST TYPE what\r\nCLIENT LIST ID\r\nCLIENT what\r\n");
	client_expect(one, "-ERR syntax error\r\n-ERR syntax error\r\n"
			   "-ERR unknown subcommand 'what'. Try CLIENT HELP.\r\n");
	close(one);
	close(two);
	node_free(node);
}

static void
test_kill(void **context)
{
	struct fake_node *node = node_start();
	const int one = client_open(node), two = client_open(node), three = client_open(node);
	char text[1024], line[256];

	(void)context;
	client_send(two, "PING\r\n");
	client_expect(two, "+PONG\r\n");
	client_send(three, "PING\r\n");
	client_expect(three, "+PONG\r\n");
	client_send(one, "CLIENT KILL ID 77\r\nCLIENT KILL 127.0.0.1:1\r\nCLIENT KILL ID\r\n"
			 "CLIENT KILL ID x\r\nCLIENT KILL TYPE pubsub\r\n");
	client_expect(one,
		      ":0\r\n-ERR No such client\r\n-ERR No such client\r\n-ERR syntax error\r\n"
		      ":0\r\n");
	client_send(one, "CLIENT KILL ID 2\r\n");
	client_expect(one, ":1\r\n");
	client_expect_end(two);
	client_send(one, "CLIENT LIST ID 3\r\n");
	client_read_bulk(one, text, sizeof(text));
	const char *address = strstr(text, "addr=") + 5;
	snprintf(line, sizeof(line), "CLIENT KILL ADDR %.*s\r\n", (int)strcspn(address, " "),
		 address);
	client_send(one, line);
	client_expect(one, ":1\r\n");
	client_expect_end(three);
	/* Itself only when asked: after the reply. */
	client_send(one, "CLIENT KILL TYPE normal\r\n");
	client_expect(one, ":0\r\n");
	client_send(one, "CLIENT KILL TYPE normal SKIPME no\r\n");
	client_expect(one, ":1\r\n");
	client_expect_end(one);
	node_free(node);
}

static void
test_reply(void **context)
{
	struct fake_node *node = node_start();
	const int fd = client_open(node);

	(void)context;
	client_send(fd, "CLIENT REPLY SKIP\r\nSET a 1\r\nSET b 2\r\n");
	client_expect(fd, "+OK\r\n");
	client_send(fd,
		    "CLIENT REPLY OFF\r\nSET a 5\r\nGET a\r\nPING\r\nNOPE\r\nCLIENT REPLY SKIP\r\n"
		    "PING\r\nCLIENT REPLY ON\r\nGET a\r\n");
	client_expect(fd, "+OK\r\n$1\r\n5\r\n");
	client_send(fd, "CLIENT REPLY SKIP\r\nPING\r\nECHO x\r\nCLIENT REPLY what\r\n");
	client_expect(fd, "$1\r\nx\r\n-ERR syntax error\r\n");
	client_send(fd, "CLIENT REPLY OFF\r\nRESET\r\nPING\r\n");
	client_expect(fd, "+RESET\r\n+PONG\r\n");
	close(fd);
	node_free(node);
}

static void
test_command(void **context)
{
	struct fake_node *node = node_start();
	const int fd = client_open(node);

	(void)context;
	client_send(fd, "COMMAND INFO get nope\r\n");
	client_expect(
	    fd, "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"
		"*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*1\r\n"
		"+RO\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec"
		"\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\n"
		"range\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n"
		"$5\r\nlimit\r\n:0\r\n*0\r\n$-1\r\n");
	client_send(fd, "COMMAND LIST FILTERBY PATTERN pin?\r\nCOMMAND LIST FILTERBY MODULE m\r\n"
			"COMMAND LIST FILTERBY what x\r\n");
	client_expect(fd, "*1\r\n$4\r\nping\r\n*0\r\n-ERR syntax error\r\n");
	client_send(fd, "COMMAND DOCS config\r\n");
	client_expect(fd, "*2\r\n$6\r\nconfig\r\n*8\r\n$7\r\nsummary\r\n");
	close(fd);
	node_free(node);
}

/* Fields that client libraries and their tools look for, in each role. */
static void
test_info(void **context)
{
	static const char *const always[] = {
		"redis_version:",
		"redis_mode:standalone\r\n",
		"run_id:",
		"tcp_port:",
		"loading:0\r\n",
		"connected_clients:1\r\n",
		"used_memory:",
		"used_memory_rss:",
		"used_cpu_sys:",
		"cluster_enabled:0\r\n",
		"master_replid:",
		"master_repl_offset:70\r\n",
		"db0:keys=4,",
		"expired_keys:0\r\n",
		"# Endpoint\r\ntern_endpoint:1\r\ntern_endpoint_frames:11\r\n",
		"tern_endpoint_send_drops:9\r\n",
		"sentinel_masters:1\r\nsentinel_tilt:0\r\nmaster0:name=tern,status=ok,",
	};
	static const char *const replica[] = {
		"role:slave\r\n",           "master_host:10.0.0.2\r\n",
		"master_port:7002\r\n",     "master_link_status:up\r\n",
		"slave_repl_offset:69\r\n", "slave_priority:100\r\n",
		"replica_announced:1\r\n",  "tern_stale_bound_ms:-1\r\ntern_stale_max_ms:0\r\n",
	};
	struct fake_node *node = node_start();
	const int fd = client_open(node);
	char text[8192];

	(void)context;
	client_send(fd, "INFO\r\n");
	client_read_bulk(fd, text, sizeof(text));
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		expect_has(text, always[i]);
	expect_has(
	    text, "role:master\r\nconnected_slaves:1\r\nslave0:ip=10.0.0.2,port=7002,state=online");
	fake_publish_role(node, false, 2);
	client_send(fd, "INFO\r\n");
	client_read_bulk(fd, text, sizeof(text));
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		expect_has(text, always[i]);
	for (size_t i = 0; i < sizeof(replica) / sizeof(replica[0]); i++)
		expect_has(text, replica[i]);
	struct node_status status;
	struct timespec now;
	status_read(&node->cell, &status);
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	status.echo_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	status.fresh_ns = status.echo_ns - 20000000;
	status.effective_elect_min_ns = UINT64_MAX;
	status_publish(&node->cell, &status);
	client_send(fd, "INFO replication\r\n");
	client_read_bulk(fd, text, sizeof(text));
	assert_non_null(strstr(text, "tern_stale_bound_ms:"));
	assert_true(strtoll(strstr(text, "tern_stale_bound_ms:") + 20, NULL, 10) > 20);
	close(fd);
	node_free(node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),  cmocka_unit_test(test_kill),
		cmocka_unit_test(test_reply), cmocka_unit_test(test_command),
		cmocka_unit_test(test_info),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
