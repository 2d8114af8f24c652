/* SPDX-License-Identifier: Apache-2.0 */
/* The Sentinel calls and +switch-master on a data node: what is said, and when nothing is said. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/gateway/gateway_internal.h"
#include "hw/platform/platform.h"
#include "tests/support/check.h"
#include "tests/unit/gateway/fixture.h"

static struct node_status
status_of(uint16_t master_id)
{
	return (struct node_status){ .cluster_id = 7,
				     .node_id = 1,
				     .master_id = master_id,
				     .role = master_id == 1 ? CORE_MASTER : CORE_FOLLOWER,
				     .mode = master_id == 1 ? CORE_MODE_DUPLEX : CORE_MODE_REPLICA,
				     .is_serving = master_id == 1,
				     .rset = 6,
				     .copies = 2,
				     .term = 5,
				     .commit_index = 70,
				     .view_until_ns = UINT64_MAX };
}

static void
publish(struct fake_node *node, const struct node_status *status)
{
	status_publish(&node->cell, status);
}

static struct fake_node *
start(void)
{
	struct fake_node *node = node_start();
	const struct node_status status = status_of(1);

	publish(node, &status);
	return node;
}

#define ASK_ADDRESS "SENTINEL get-master-addr-by-name tern\r\n"
#define ADDRESS_A   "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7001\r\n"
#define ADDRESS_B   "*2\r\n$8\r\n10.0.0.2\r\n$4\r\n7002\r\n"
#define NOBODY      "*-1\r\n"
#define NO_SUCH_NAME                                                                          \
	"-ERR No such master with that name: this cluster's is 'tern' (sentinel.master_name)" \
	"\r\n"

static void
test_address(void **context)
{
	struct fake_node *node = start();
	const int fd = client_open(node);
	struct node_status status = status_of(2);

	(void)context;
	client_send(fd, ASK_ADDRESS);
	client_expect(fd, ADDRESS_A);
	publish(node, &status);
	client_send(fd, ASK_ADDRESS);
	client_expect(fd, ADDRESS_B);
	client_send(fd, "SENTINEL GET-MASTER-ADDR-BY-NAME other\r\n");
	client_expect(fd, NOBODY);
	client_send(fd, "SENTINEL master other\r\n");
	client_expect(fd, NO_SUCH_NAME);
	client_send(fd, "HELLO 3\r\nSENTINEL get-master-addr-by-name other\r\nPING\r\n");
	char line[256] = "";
	for (uint32_t i = 0; i < 40 && strcmp(line, "_\r\n") != 0; i++)
		client_read_line(fd, line, sizeof(line));
	client_expect(fd, "+PONG\r\n");
	close(fd);
	node_free(node);
}

/* Each way of not knowing, alone: an old view, a master that does not serve, no master, a master
 * that no configuration names. */
static void
test_no_view(void **context)
{
	struct fake_node *node = start();
	const int fd = client_open(node);

	(void)context;
	for (int way = 0; way < 5; way++) {
		struct node_status status = status_of(way == 0 ? 2 : 1);
		if (way <= 1)
			status.view_until_ns = 1;
		else if (way == 2)
			status.is_serving = false;
		else if (way == 3)
			status.master_id = 0;
		else
			status.master_id = 9;
		publish(node, &status);
		client_send(fd, ASK_ADDRESS);
		client_expect(fd, NOBODY);
		client_send(fd, "SENTINEL MASTERS\r\nSENTINEL MASTER tern\r\n");
		client_expect(fd, "*0\r\n" NOBODY);
		client_send(fd, "SENTINEL REPLICAS tern\r\nSENTINEL SLAVES tern\r\n");
		client_expect(fd, "*0\r\n*0\r\n");
		client_send(fd, "SENTINEL CKQUORUM tern\r\n");
		client_expect(fd, "-NOQUORUM this node hears no master now; see `tern status`\r\n");
	}
	close(fd);
	node_free(node);
}

/* A view that another node's heartbeat gave before the question does not answer it; what is heard
 * afterwards does, and so does the end of the view. */
static void
test_waits_for_a_sign_of_life(void **context)
{
	struct fake_node *node = start();
	const int fd = client_open(node), other = client_open(node);
	struct node_status status = status_of(2);
	char byte;

	(void)context;
	status.effective_elect_min_ns = 3600000000000ull;
	status.view_until_ns = platform_monotonic_ns() + status.effective_elect_min_ns;
	publish(node, &status);
	client_send(fd, ASK_ADDRESS "PING\r\n");
	for (uint32_t i = 0; i < 20; i++) {
		client_send(other, "PING\r\n");
		client_expect(other, "+PONG\r\n");
		(void)usleep(1000);
	}
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	/* What asks for nobody's address is not kept waiting. */
	client_send(other, "SENTINEL CKQUORUM tern\r\n");
	client_expect(other, "+OK 2 usable Sentinels. Quorum and failover authorization can be "
			     "reached\r\n");
	status.view_until_ns = platform_monotonic_ns() + status.effective_elect_min_ns;
	publish(node, &status);
	client_expect(fd, ADDRESS_B "+PONG\r\n");
	client_send(fd, ASK_ADDRESS);
	status.view_until_ns = 1;
	publish(node, &status);
	client_expect(fd, NOBODY);
	close(other);
	close(fd);
	node_free(node);
}

/* Reads one RESP2 reply as flat text "a b c"; nested arrays are flattened. */
static void
read_flat(int fd, char *text, size_t room)
{
	char line[512];
	uint32_t left = 1;

	text[0] = 0;
	while (left > 0) {
		client_read_line(fd, line, sizeof(line));
		left--;
		if (line[0] == '*')
			left += (uint32_t)strtoul(line + 1, NULL, 10);
		if (line[0] != '$')
			continue;
		client_read_line(fd, line, sizeof(line));
		line[strcspn(line, "\r")] = 0;
		assert_true(strlen(text) + strlen(line) + 2 < room);
		strncat(text, line, room - strlen(text) - 1);
		strncat(text, " ", room - strlen(text) - 1);
	}
}

static void
test_entries(void **context)
{
	struct fake_node *node = start();
	const int fd = client_open(node);
	char text[4096];

	(void)context;
	client_send(fd, "SENTINEL MASTERS\r\n");
	read_flat(fd, text, sizeof(text));
	expect_has(text, "name tern ip 127.0.0.1 port 7001 ");
	expect_has(text, "flags master ");
	expect_has(text, "config-epoch 5 num-slaves 1 num-other-sentinels 1 quorum 2 ");
	client_send(fd, "SENTINEL REPLICAS tern\r\n");
	read_flat(fd, text, sizeof(text));
	expect_has(text, "name 10.0.0.2:7002 ip 10.0.0.2 port 7002 ");
	expect_has(text, "flags slave ");
	expect_has(text, "master-link-status ok master-host 127.0.0.1 master-port 7001 ");
	client_send(fd, "SENTINEL SENTINELS tern\r\n");
	read_flat(fd, text, sizeof(text));
	expect_has(text, "ip 10.0.0.2 port 7002 ");
	expect_has(text, "flags sentinel ");
	/* A master that commits alone: its replica must not be offered. */
	struct node_status solo = status_of(1);
	solo.rset = 2;
	publish(node, &solo);
	client_send(fd, "SENTINEL SLAVES tern\r\n");
	read_flat(fd, text, sizeof(text));
	expect_has(text, "flags s_down,slave,disconnected ");
	client_send(fd, "SENTINEL MYID\r\n");
	client_read_line(fd, text, sizeof(text));
	assert_string_equal(text, "$40\r\n");
	client_read_line(fd, text, sizeof(text));
	client_send(fd, "SENTINEL CKQUORUM tern\r\nSENTINEL FAILOVER tern\r\nSENTINEL what\r\n");
	client_expect(fd, "+OK 2 usable Sentinels. Quorum and failover authorization can be reached"
			  "\r\n");
	client_expect(fd, "-ERR the master is managed by tern: use `tern cluster switchover`\r\n");
	client_read_line(fd, text, sizeof(text));
	expect_has(text, "-ERR unknown SENTINEL call; there are MASTERS");
	close(fd);
	node_free(node);
}

static void
test_subscribe(void **context)
{
	struct fake_node *node = start();
	const int two = client_open(node), three = client_open(node);
	struct node_status status = status_of(2);

	(void)context;
	client_send(two, "SUBSCRIBE +switch-master\r\nPSUBSCRIBE [-+]s*\r\n");
	client_expect(two, "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n");
	client_expect(two, "*3\r\n$10\r\npsubscribe\r\n$6\r\n[-+]s*\r\n:2\r\n");
	client_send(two, "PSUBSCRIBE switch-master\r\nPUNSUBSCRIBE switch-master\r\n");
	client_expect(two, "*3\r\n$10\r\npsubscribe\r\n$13\r\nswitch-master\r\n:3\r\n"
			   "*3\r\n$12\r\npunsubscribe\r\n$13\r\nswitch-master\r\n:2\r\n");
	client_send(two, "SUBSCRIBE news\r\nGET a\r\nPING\r\n");
	client_expect(two, "-ERR there is no such channel: only Sentinel events, as "
			   "+switch-master, can be subscribed to\r\n");
	client_expect(two, "-ERR only (P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT / RESET are "
			   "allowed while subscribed in RESP2\r\n");
	client_expect(two, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
	client_send(three, "HELLO 3\r\nSUBSCRIBE +switch-master\r\nGET a\r\n");
	char line[128] = "";
	for (uint32_t i = 0; i < 40 && strcmp(line, ">3\r\n") != 0; i++)
		client_read_line(three, line, sizeof(line));
	client_expect(three, "$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n_\r\n");
	/* A view that runs out is no change; the other master is one, told once to each. */
	status.view_until_ns = 1;
	publish(node, &status);
	client_send(three, "PING\r\n");
	client_expect(three, "+PONG\r\n");
	status.view_until_ns = UINT64_MAX;
	publish(node, &status);
#define MESSAGE "$14\r\n+switch-master\r\n$33\r\ntern 127.0.0.1 7001 10.0.0.2 7002\r\n"
	client_expect(two, "*3\r\n$7\r\nmessage\r\n" MESSAGE);
	client_expect(two, "*4\r\n$8\r\npmessage\r\n$6\r\n[-+]s*\r\n" MESSAGE);
	client_expect(three, ">3\r\n$7\r\nmessage\r\n" MESSAGE);
	client_send(two, "UNSUBSCRIBE\r\nPUNSUBSCRIBE [-+]s*\r\nUNSUBSCRIBE\r\nPING\r\n");
	client_expect(two, "*3\r\n$11\r\nunsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n");
	client_expect(two, "*3\r\n$12\r\npunsubscribe\r\n$6\r\n[-+]s*\r\n:0\r\n");
	client_expect(two, "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n+PONG\r\n");
	close(two);
	close(three);
	node_free(node);
}

/* A client of a former master is told and let go; a client of a replica stays. */
static void
test_fenced(void **context)
{
	struct fake_node *node = start();
	const int of_master = client_open(node);
	struct node_status status = status_of(2);

	(void)context;
	client_send(of_master, "SET a 1\r\n");
	client_expect(of_master, "+OK\r\n");
	publish(node, &status);
	node->master_id = 2;
	node->is_not_master = true;
	const int of_replica = client_open(node);
	client_send(of_replica, "SET a 2\r\n");
	client_expect(of_replica, "-READONLY You can't write against a read only replica.\r\n");
	client_send(of_master, "SET a 3\r\nSET a 4\r\n");
	client_expect(of_master, "-READONLY You can't write against a read only replica.\r\n"
				 "-READONLY You can't write against a read only replica.\r\n");
	client_expect_end(of_master);
	client_send(of_replica, "PING\r\n");
	client_expect(of_replica, "+PONG\r\n");
	close(of_replica);
	node_free(node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address), cmocka_unit_test(test_no_view),
		cmocka_unit_test(test_entries), cmocka_unit_test(test_subscribe),
		cmocka_unit_test(test_fenced),  cmocka_unit_test(test_waits_for_a_sign_of_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
