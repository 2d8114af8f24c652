/* SPDX-License-Identifier: Apache-2.0 */
/* The witness's RESP listener: what it says, what it refuses, and its bounds. */
#include "tests/support/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/witness/front.h"
#include "dataplane/core/core.h"
#include "hw/platform/platform.h"
#include "tests/support/tcp_end.h"

struct fixture {
	struct status_cell cell;
	struct sentinel sentinel;
	struct front *front;
	uint16_t port;
};

static void
publish(struct fixture *f, uint16_t master_id)
{
	const struct node_status status = { .cluster_id = 7,
					    .node_id = 3,
					    .master_id = master_id,
					    .role = CORE_FOLLOWER,
					    .mode = CORE_MODE_WITNESS,
					    .term = 5,
					    .view_until_ns = master_id == 0 ? 0 : UINT64_MAX };

	status_publish(&f->cell, &status);
}

static int
start(void **context)
{
	struct fixture *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);
	const struct sockaddr_in any = { .sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in got;
	socklen_t bytes = sizeof(got);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const struct inet_addr loopback = inet_addr_v4(INADDR_LOOPBACK);
	char why[256];

	memset(f, 0, sizeof(*f));
	f->sentinel = (struct sentinel){
		.master_name = "tern",
		.self_id = 3,
		.nodes_count = 3,
		.nodes = { { .id = 1, .port = 7001, .name = "a", .host = "127.0.0.1" },
			   { .id = 2, .port = 7002, .name = "b", .host = "10.0.0.2" },
			   { .id = 3,
			     .port = 7003,
			     .is_witness = true,
			     .name = "w",
			     .host = "127.0.0.1" } },
		.status = &f->cell,
	};
	publish(f, 1);
	/* Its own listener, so that the port is known and free. */
	assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&got, &bytes), 0);
	f->port = ntohs(got.sin_port);
	assert_int_equal(
	    front_start(&f->sentinel, &loopback, f->port, fd, "test", &f->front, why, sizeof(why)),
	    TERN_OK);
	*context = f;
	return 0;
}

static int
stop(void **context)
{
	struct fixture *f = *context;

	front_stop(f->front);
	free(f);
	return 0;
}

static int
connect_to(const struct fixture *f)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(f->port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct timeval patience = { .tv_sec = 20 };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void
say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Exactly @text comes next. */
static void
expect(int fd, const char *text)
{
	char got[1024] = "";

	assert_true(strlen(text) < sizeof(got));
	assert_int_equal(recv(fd, got, strlen(text), MSG_WAITALL), strlen(text));
	assert_string_equal(got, text);
}

/* All that comes until the end of the connection; its length. */
static size_t
read_to_end(int fd, char *out, size_t room)
{
	size_t have = 0;
	ssize_t got = 1;

	while (have + 1 < room && (got = recv(fd, out + have, room - 1 - have, 0)) > 0)
		have += (size_t)got;
	out[have] = 0;
	assert_int_equal(got, 0);
	return have;
}

#define ASK     "SENTINEL get-master-addr-by-name tern\r\n"
#define MASTER  "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7001\r\n"
#define OTHER   "*2\r\n$8\r\n10.0.0.2\r\n$4\r\n7002\r\n"
#define NOBODY  "*-1\r\n"
#define MESSAGE "tern 127.0.0.1 7001 10.0.0.2 7002"

static void
test_says_who_is_master(void **context)
{
	struct fixture *f = *context;
	const int fd = connect_to(f);

	say(fd, "PING\r\n" ASK);
	expect(fd, "+PONG\r\n" MASTER);
	tcp_end_check_watched(fd);
	publish(f, 2);
	say(fd, "*3\r\n$8\r\nSENTINEL\r\n$23\r\nget-master-addr-by-name\r\n$4\r\ntern\r\n");
	expect(fd, OTHER);
	/* What it knew is not what it knows. */
	publish(f, 0);
	say(fd, ASK);
	expect(fd, NOBODY);
	(void)close(fd);
}

/* Of a witness that follows node 1; its master was heard when view_until_ns says so. */
static struct node_status
follower_status(void)
{
	return (struct node_status){ .cluster_id = 7,
				     .node_id = 3,
				     .master_id = 1,
				     .role = CORE_FOLLOWER,
				     .mode = CORE_MODE_WITNESS,
				     .term = 5,
				     .effective_elect_min_ns = 3600000000000ull };
}

/* A heartbeat from before the question does not answer it. */
static void
test_waits_for_a_sign_of_life(void **context)
{
	struct fixture *f = *context;
	const int fd = connect_to(f), other = connect_to(f);
	struct node_status status = follower_status();
	char byte;

	status.view_until_ns = platform_monotonic_ns() + status.effective_elect_min_ns;
	status_publish(&f->cell, &status);
	say(fd, ASK "PING\r\n");
	for (uint32_t i = 0; i < 20; i++) {
		say(other, "PING\r\n");
		expect(other, "+PONG\r\n");
		(void)usleep(1000);
	}
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	status.view_until_ns = platform_monotonic_ns() + status.effective_elect_min_ns;
	status_publish(&f->cell, &status);
	expect(fd, MASTER "+PONG\r\n");
	say(fd, ASK);
	publish(f, 0);
	expect(fd, NOBODY);
	(void)close(other);
	(void)close(fd);
}

/* More than there is room for comes behind a question that waits: the rest is taken later. */
static void
test_takes_no_more_than_it_has_room_for(void **context)
{
	struct fixture *f = *context;
	const int fd = connect_to(f), other = connect_to(f);
	struct node_status status = follower_status();
	const uint32_t pings = 3000;
	char byte;

	status.view_until_ns = platform_monotonic_ns() + status.effective_elect_min_ns;
	status_publish(&f->cell, &status);
	say(fd, ASK);
	for (uint32_t i = 0; i < pings; i++)
		say(fd, "PING\r\n");
	for (uint32_t i = 0; i < 20; i++) {
		say(other, "PING\r\n");
		expect(other, "+PONG\r\n");
		(void)usleep(1000);
	}
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	status.view_until_ns = platform_monotonic_ns() + status.effective_elect_min_ns;
	status_publish(&f->cell, &status);
	expect(fd, MASTER);
	for (uint32_t i = 0; i < pings; i++)
		expect(fd, "+PONG\r\n");
	(void)close(other);
	(void)close(fd);
}

static void
test_holds_no_data(void **context)
{
	struct fixture *f = *context;
	const int fd = connect_to(f);
	char line[512] = "";

	say(fd, "GET k\r\n");
	expect(fd, "-");
	for (size_t i = 0; i + 1 < sizeof(line) && strchr(line, '\n') == NULL; i++)
		assert_int_equal(recv(fd, line + i, 1, MSG_WAITALL), 1);
	/* An error, and the connection stays. */
	say(fd, "PING\r\n");
	expect(fd, "+PONG\r\n");
	(void)close(fd);
}

static void
test_tells_of_a_switch(void **context)
{
	struct fixture *f = *context;
	char message[256];
	const int fd = connect_to(f);

	say(fd, "SUBSCRIBE +switch-master\r\n");
	expect(fd, "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n");
	publish(f, 2);
	snprintf(message, sizeof(message),
		 "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$%zu\r\n%s\r\n", strlen(MESSAGE),
		 MESSAGE);
	expect(fd, message);
	(void)close(fd);
}

/* The one beyond the bound is told so and closed; those before are served, and a place that becomes
 * free is given again. */
static void
test_connections_are_bounded(void **context)
{
	struct fixture *f = *context;
	int fds[FRONT_CONNECTIONS_MAX], fd;
	char text[256];

	for (uint32_t i = 0; i < FRONT_CONNECTIONS_MAX; i++) {
		fds[i] = connect_to(f);
		say(fds[i], "PING\r\n");
		expect(fds[i], "+PONG\r\n");
	}
	fd = connect_to(f);
	assert_int_not_equal(read_to_end(fd, text, sizeof(text)), 0);
	assert_non_null(strstr(text, "-ERR max number of clients reached"));
	(void)close(fd);
	say(fds[0], "QUIT\r\n");
	expect(fds[0], "+OK\r\n");
	assert_int_equal(read_to_end(fds[0], text, sizeof(text)), 0);
	fd = connect_to(f);
	say(fd, ASK);
	expect(fd, MASTER);
	(void)close(fd);
	for (uint32_t i = 0; i < FRONT_CONNECTIONS_MAX; i++)
		(void)close(fds[i]);
}

/* Noise, a length that no request of ours has, and a line without an end. */
static void
test_bad_input_ends_only_its_connection(void **context)
{
	struct fixture *f = *context;
	const int good = connect_to(f);
	char text[512], line[70000];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	const char *const bad[] = { "*1000000\r\n", "*1\r\n$-5\r\n", "*1\r\n$99999999\r\n", line };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const int fd = connect_to(f);
		/* It may be closed before all of it was taken. */
		(void)!send(fd, bad[i], strlen(bad[i]), MSG_NOSIGNAL);
		while (recv(fd, text, sizeof(text), 0) > 0)
			continue;
		(void)close(fd);
		say(good, ASK);
		expect(good, MASTER);
	}
	(void)close(good);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(test_waits_for_a_sign_of_life),
		TEST(test_takes_no_more_than_it_has_room_for),
		TEST(test_says_who_is_master),
		TEST(test_holds_no_data),
		TEST(test_tells_of_a_switch),
		TEST(test_connections_are_bounded),
		TEST(test_bad_input_ends_only_its_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
