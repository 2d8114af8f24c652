/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tcp_end.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/support/check.h"

#define DESCRIPTORS_MAX 4096

static bool
is_same(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return a->sin_family == b->sin_family && a->sin_port == b->sin_port &&
	       a->sin_addr.s_addr == b->sin_addr.s_addr;
}

/* The one whose peer is @client. */
static int
find(int client)
{
	struct sockaddr_in mine = { 0 }, there = { 0 };
	socklen_t bytes = sizeof(mine);

	assert_int_equal(getsockname(client, (struct sockaddr *)&mine, &bytes), 0);
	for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
		bytes = sizeof(there);
		if (getpeername(fd, (struct sockaddr *)&there, &bytes) == 0 &&
		    is_same(&mine, &there))
			return fd;
	}
	fail_msg("nobody has the other end");
	return -1;
}

static int
option(int fd, int level, int name)
{
	socklen_t bytes = sizeof(int);
	int value = -1;

	assert_int_equal(getsockopt(fd, level, name, &value, &bytes), 0);
	return value;
}

void
tcp_end_check_watched(int client)
{
	const int fd = find(client);
	const int idle_s = option(fd, IPPROTO_TCP, TCP_KEEPIDLE);
	const int asked_s =
	    option(fd, IPPROTO_TCP, TCP_KEEPINTVL) * option(fd, IPPROTO_TCP, TCP_KEEPCNT);

	assert_true(option(fd, SOL_SOCKET, SO_KEEPALIVE) != 0);
	assert_true(option(fd, IPPROTO_TCP, TCP_NODELAY) != 0);
	assert_int_equal(idle_s, 60);
	assert_int_equal(idle_s + asked_s, 120);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 120000);
}
