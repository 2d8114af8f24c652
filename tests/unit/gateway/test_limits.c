/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds: each is reached, and what does not fit is refused or waits, as the header says. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/tcp_end.h"
#include "tests/unit/gateway/fixture.h"

static struct gateway_stats
stats_of(const struct fake_node *node)
{
	struct gateway_stats stats;

	gateway_stats(node->gateway, &stats);
	return stats;
}

static void
send_bulk(int fd, const char *head, size_t bytes, char fill)
{
	char *value = malloc(bytes + 2);
	char text[64];

	snprintf(text, sizeof(text), "$%zu\r\n", bytes);
	client_send(fd, head);
	client_send(fd, text);
	memset(value, fill, bytes);
	memcpy(value + bytes, "\r\n", 2);
	client_send_bytes(fd, value, bytes + 2);
	free(value);
}

static void
expect_bulk(int fd, size_t bytes, char fill)
{
	char *value = malloc(bytes + 2);
	char text[64];

	snprintf(text, sizeof(text), "$%zu\r\n", bytes);
	client_expect(fd, text);
	memset(value, fill, bytes);
	memcpy(value + bytes, "\r\n", 2);
	client_expect_bytes(fd, value, bytes + 2);
	free(value);
}

static void
test_connection_limit(void **context)
{
	struct fake_node *node = node_make();
	int fds[3];

	(void)context;
	node->connections_max = 3;
	fake_start(node);
	for (int i = 0; i < 3; i++) {
		fds[i] = client_open(node);
		client_send(fds[i], "PING\r\n");
		client_expect(fds[i], "+PONG\r\n");
		tcp_end_check_watched(fds[i]);
	}
	int more = client_open(node);
	client_expect(more, "-ERR max number of clients reached: close some, or raise "
			    "gateway.connections_max\r\n");
	client_expect_end(more);
	assert_int_equal(stats_of(node).connections_refused, 1);
	client_send(fds[1], "QUIT\r\n");
	client_expect(fds[1], "+OK\r\n");
	client_expect_end(fds[1]);
	while (stats_of(node).connections_now != 2)
		;
	more = client_open(node);
	client_send(more, "PING\r\n");
	client_expect(more, "+PONG\r\n");
	close(more);
	close(fds[0]);
	close(fds[2]);
	node_free(node);
}

/* Reads and writes in turns, with little room: none is refused, order is kept. */
static void
mixed(uint32_t in_flight_max, uint32_t ring_bytes)
{
	struct fake_node *node = node_make();
	char text[64];
	int fds[4];

	node->in_flight_max = in_flight_max;
	node->request_ring_bytes = ring_bytes;
	node->shuffle_seed = 5;
	fake_start(node);
	for (int c = 0; c < 4; c++) {
		fds[c] = client_open(node);
		for (int i = 0; i < 300; i++) {
			snprintf(text, sizeof(text), "INCRBY key%d 1\r\nGET key%d\r\n", c, c);
			client_send(fds[c], text);
		}
	}
	for (int i = 1; i <= 300; i++) {
		for (int c = 0; c < 4; c++) {
			const int digits = snprintf(NULL, 0, "%d", i);
			snprintf(text, sizeof(text), ":%d\r\n$%d\r\n%d\r\n", i, digits, i);
			client_expect(fds[c], text);
		}
	}
	assert_true(stats_of(node).in_flight_high <= in_flight_max);
	for (int c = 0; c < 4; c++)
		close(fds[c]);
	node_free(node);
}

/* Pure writes of many connections: parked at the limit of writes in flight. */
static void
writes_wait(uint32_t in_flight_max, uint32_t ring_bytes)
{
	struct fake_node *node = node_make();
	char text[64];
	int fds[6];

	node->in_flight_max = in_flight_max;
	node->request_ring_bytes = ring_bytes;
	fake_start(node);
	node->is_held = true;
	for (int c = 0; c < 6; c++) {
		fds[c] = client_open(node);
		for (int i = 0; i < 500; i++) {
			snprintf(text, sizeof(text), "INCRBY key%d 1\r\n", c);
			client_send(fds[c], text);
		}
	}
	while (stats_of(node).parks < 6)
		;
	/* A client that gives up while it waits. */
	close(fds[5]);
	fake_release(node);
	for (int i = 1; i <= 500; i++) {
		for (int c = 0; c < 5; c++) {
			snprintf(text, sizeof(text), ":%d\r\n", i);
			client_expect(fds[c], text);
		}
	}
	assert_true(stats_of(node).in_flight_high <= in_flight_max);
	for (int c = 0; c < 5; c++)
		close(fds[c]);
	node_free(node);
}

static void
test_in_flight_limit(void **context)
{
	(void)context;
	writes_wait(16, 0);
	writes_wait(64, 0);
}

static void
test_request_ring_full(void **context)
{
	(void)context;
	writes_wait(1024, 1024);
}

static void
test_mixed_under_tiny_limits(void **context)
{
	(void)context;
	mixed(16, 1024);
}

/* What the ring can never take is refused; the connection goes on. */
static void
test_too_large(void **context)
{
	struct fake_node *node = node_make();

	(void)context;
	node->request_ring_bytes = 4096;
	node->value_bytes_max = 8000;
	node->command_bytes_max = 9000;
	fake_start(node);
	const int fd = client_open(node);
	client_send(fd, "INCR n\r\n");
	send_bulk(fd, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", 4000, 'x');
	send_bulk(fd, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", 1000, 'y');
	client_send(fd, "GET k\r\n");
	client_expect(fd, ":1\r\n-ERR the command is larger than this server's limit: as it is "
			  "logged it has 4048 bytes, at most 2008; split it, or raise "
			  "log.command_max\r\n+OK\r\n");
	expect_bulk(fd, 1000, 'y');
	/* A value over its limit is refused, whole; a request over its own ends the connection. */
	send_bulk(fd, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", 8001, 'z');
	client_expect(fd, "-ERR value is too large: 8001 bytes, at most 8000\r\n");
	send_bulk(fd, "*5\r\n$4\r\nMSET\r\n$1\r\nk\r\n$1\r\nv\r\n$1\r\nl\r\n", 8500, 'z');
	client_expect(fd, "-ERR value is too large: 8500 bytes, at most 8000\r\n");
	client_send(fd, "GET k\r\n");
	expect_bulk(fd, 1000, 'y');
	client_send(fd, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9001\r\n");
	client_expect(fd, "-ERR Protocol error: invalid bulk length\r\n");
	client_expect_end(fd);
	const int other = client_open(node);
	send_bulk(other, "*3\r\n$3\r\nSET\r\n", 5000, 'x');
	client_send(other, "$5000\r\n");
	client_expect(other, "-ERR Protocol error: invalid bulk length\r\n");
	client_expect_end(other);
	assert_int_equal(stats_of(node).protocol_errors, 2);
	node_free(node);
}

/* The largest request there is, with keys that fill it, grows the buffer to its cap and back. */
static void
test_largest_request(void **context)
{
	struct fake_node *node = node_make();

	(void)context;
	fake_start(node);
	const int fd = client_open(node);
	const size_t bytes = 512u << 10;
	send_bulk(fd, "*5\r\n$4\r\nMSET\r\n$1\r\nk\r\n", bytes, 'a');
	send_bulk(fd, "$1\r\nl\r\n", bytes - 4096, 'b');
	client_send(fd, "MGET k l\r\n");
	client_expect(fd, "+OK\r\n*2\r\n");
	expect_bulk(fd, bytes, 'a');
	expect_bulk(fd, bytes - 4096, 'b');
	client_send(fd, "PING\r\n");
	client_expect(fd, "+PONG\r\n");
	assert_true(stats_of(node).buffers_bytes < 128u << 10);
	/* 4096 arguments are taken, one more is not. */
	char text[64];
	client_send(fd, "*4097\r\n$4\r\nMGET\r\n");
	for (int i = 0; i < 4096; i++)
		client_send(fd, "$1\r\nx\r\n");
	client_expect(fd, "*4096\r\n");
	for (int i = 0; i < 4096; i++)
		client_expect(fd, "$-1\r\n");
	snprintf(text, sizeof(text), "*%d\r\n", 4098);
	client_send(fd, text);
	client_expect(fd, "-ERR Protocol error: invalid multibulk length\r\n");
	client_expect_end(fd);
	node_free(node);
}

/* A client that sends and does not read: memory stays bounded, others are served, and once it reads
 * it gets everything. */
static void
test_slow_reader(void **context)
{
	enum { VALUE = 200000, GETS = 400 };
	struct fake_node *node = node_make();

	(void)context;
	fake_start(node);
	const int fd = client_open(node), other = client_open(node);
	send_bulk(fd, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", VALUE, 'v');
	client_expect(fd, "+OK\r\n");
	for (int i = 0; i < GETS; i++)
		client_send(fd, "GET k\r\n");
	for (int i = 0; i < 200; i++) {
		client_send(other, "INCR n\r\nGET none\r\n");
		char line[32];
		client_read_line(other, line, sizeof(line));
		client_expect(other, "$-1\r\n");
		/* What waits is at most the mark, one reply, and room to grow. */
		assert_true(stats_of(node).buffers_bytes < 2u << 20);
	}
	for (int i = 0; i < GETS; i++)
		expect_bulk(fd, VALUE, 'v');
	client_send(fd, "PING\r\n");
	client_expect(fd, "+PONG\r\n");
	close(fd);
	close(other);
	node_free(node);
}

/* Never reads and never stops sending: the input stops being taken. */
static void
test_flood_without_reading(void **context)
{
	struct fake_node *node = node_make();
	char block[4096];
	size_t sent_total = 0;

	(void)context;
	fake_start(node);
	const int fd = client_open(node), other = client_open(node);
	for (size_t i = 0; i + 8 <= sizeof(block); i += 8)
		memcpy(block + i, "PING  \r\n", 8);
	for (int quiet = 0; quiet < 50 && sent_total < (1u << 28);) {
		const ssize_t sent = send(fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_true(sent > 0 || errno == EAGAIN);
		sent_total += sent > 0 ? (size_t)sent : 0;
		quiet = sent > 0 ? 0 : quiet + 1;
		client_send(other, "PING\r\n");
		client_expect(other, "+PONG\r\n");
	}
	assert_true(sent_total < 1u << 28);
	assert_true(stats_of(node).buffers_bytes < 2u << 20);
	close(fd);
	close(other);
	node_free(node);
}

static void
test_reply_over_the_output_limit(void **context)
{
	struct fake_node *node = node_make();
	static const char error[] = "-ERR the reply is larger than this server's output limit\r\n";

	(void)context;
	node->output_bytes_max = 8192;
	fake_start(node);
	const int fd = client_open(node);
	send_bulk(fd, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", 3000, 'v');
	client_expect(fd, "+OK\r\n");
	client_send(fd, "MGET k k\r\n");
	client_expect(fd, "*2\r\n");
	expect_bulk(fd, 3000, 'v');
	expect_bulk(fd, 3000, 'v');
	client_send(fd, "MGET k k k\r\nPING\r\nMGET k k k\r\n");
	client_expect(fd, error);
	client_expect(fd, "+PONG\r\n");
	client_expect(fd, error);
	close(fd);
	node_free(node);
}

/* All buffers together have a budget: who would go over it is closed, the others go on. */
static void
test_buffers_budget(void **context)
{
	struct fake_node *node = node_make();
	int fds[8];
	char *half = malloc(400u << 10);

	(void)context;
	node->buffers_bytes_max = 1u << 20;
	fake_start(node);
	const int calm = client_open(node);
	client_send(calm, "PING\r\n");
	client_expect(calm, "+PONG\r\n");
	memset(half, 'x', 400u << 10);
	for (int i = 0; i < 8; i++) {
		fds[i] = client_open(node);
		client_send(fds[i], "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000\r\n");
		/* May be cut off while it sends. */
		for (size_t at = 0; at < 400u << 10;) {
			const ssize_t sent =
			    send(fds[i], half + at, (400u << 10) - at, MSG_NOSIGNAL);
			if (sent <= 0)
				break;
			at += (size_t)sent;
		}
		assert_true(stats_of(node).buffers_bytes <= 1u << 20);
		/* The first one has its buffer before the others come. */
		while (i == 0 && stats_of(node).buffers_bytes < 512u << 10)
			;
	}
	while (stats_of(node).buffers_refused == 0 || stats_of(node).connections_total < 9)
		;
	while (stats_of(node).connections_now == 9)
		;
	client_send(calm, "SET a 1\r\nGET a\r\n");
	client_expect(calm, "+OK\r\n$1\r\n1\r\n");
	client_send_bytes(fds[0], half, 500000 - (400u << 10));
	client_send(fds[0], "\r\n");
	client_expect(fds[0], "+OK\r\n");
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	while (stats_of(node).connections_now != 1)
		;
	assert_true(stats_of(node).buffers_bytes < 64u << 10);
	close(calm);
	free(half);
	node_free(node);
}

static int
client_pong(const struct fake_node *node)
{
	const int fd = client_open(node);

	client_send(fd, "PING\r\n");
	client_expect(fd, "+PONG\r\n");
	return fd;
}

/* Who finds no memory for a request that is here already goes on when there is some again, though
 * it sends nothing more. */
static void
test_a_request_waits_for_memory(void **context)
{
	struct fake_node *node = node_make();

	(void)context;
	fake_start(node);
	int fd = client_pong(node);
	const uint64_t calm_bytes = stats_of(node).buffers_bytes;
	client_send(fd, "GET a\r\n");
	client_expect(fd, "$-1\r\n");
	/* What a queue takes, and the list of those who share a read point. */
	const uint64_t queue_bytes = stats_of(node).buffers_bytes - calm_bytes;
	assert_in_range(queue_bytes, 100, 10000);
	close(fd);
	node_free(node);
	node = node_make();
	node->buffers_bytes_max = 2 * calm_bytes + 50;
	fake_start(node);
	const int hog = client_pong(node);
	fd = client_pong(node);
	client_send(fd, "GET a\r\n");
	while (stats_of(node).buffers_refused == 0)
		;
	client_expect_nothing(fd);
	close(hog);
	client_expect(fd, "$-1\r\n");
	close(fd);
	node_free(node);
}

static void
test_stop_with_work_in_flight(void **context)
{
	struct fake_node *node = node_make();

	(void)context;
	fake_start(node);
	const int fd = client_open(node), quiet = client_open(node);
	node->is_held = true;
	client_send(fd, "SET a 1\r\nGET a\r\nPING\r\n");
	fake_await_held(node, 2);
	node_free(node);
	client_expect_end(fd);
	client_expect_end(quiet);
}

static void
test_listener_handed_in(void **context)
{
	struct fake_node *node = node_make();
	const struct sockaddr_in address = { .sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	(void)context;
	node->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(node->listen_fd, (const struct sockaddr *)&address, sizeof(address)),
			 0);
	assert_int_equal(listen(node->listen_fd, 8), 0);
	fake_start(node);
	const int fd = client_open(node);
	client_send(fd, "PING\r\n");
	client_expect(fd, "+PONG\r\n");
	close(fd);
	node_free(node);
}

static void
test_refused_starts(void **context)
{
	struct fake_node *node = node_make();
	struct gateway *gateway = NULL;
	char why[256] = "";

	(void)context;
	fake_start(node);
	struct gateway_config config = {
		.listen_fd = -1,
		.bind_port = node->port,
		.channel = &node->channel,
		.state = node->state,
		.status = &node->cell,
		.node_name = "a",
	};
	assert_int_equal(gateway_start(&config, &gateway, why, sizeof(why)), TERN_ERR_IO);
	assert_non_null(strstr(why, "cannot listen on 127.0.0.1 port"));
	config.bind_port = 0;
	config.bind_host = "not an address";
	assert_int_equal(gateway_start(&config, &gateway, why, sizeof(why)), TERN_ERR_CONFIG);
	assert_non_null(strstr(why, "not an address"));
	config.bind_host = NULL;
	config.in_flight_max = 8;
	assert_int_equal(gateway_start(&config, &gateway, why, sizeof(why)), TERN_ERR_CONFIG);
	config.in_flight_max = 2000; /* over the channel's */
	assert_int_equal(gateway_start(&config, &gateway, why, sizeof(why)), TERN_ERR_CONFIG);
	config.in_flight_max = 0;
	/* The state machine of the fake node has one reader, which is in use. */
	assert_int_equal(gateway_start(&config, &gateway, why, sizeof(why)), TERN_ERR_NO_MEMORY);
	assert_non_null(strstr(why, "reader"));
	assert_null(gateway);
	node_free(node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection_limit),
		cmocka_unit_test(test_in_flight_limit),
		cmocka_unit_test(test_request_ring_full),
		cmocka_unit_test(test_mixed_under_tiny_limits),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_largest_request),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_flood_without_reading),
		cmocka_unit_test(test_reply_over_the_output_limit),
		cmocka_unit_test(test_buffers_budget),
		cmocka_unit_test(test_a_request_waits_for_memory),
		cmocka_unit_test(test_stop_with_work_in_flight),
		cmocka_unit_test(test_listener_handed_in),
		cmocka_unit_test(test_refused_starts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
