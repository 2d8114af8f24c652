/* SPDX-License-Identifier: Apache-2.0 */
#include "control/admin/admin_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "hw/platform/platform.h"

static uint64_t
now_ms(void)
{
	return platform_monotonic_ns() / 1000000;
}

/* Waits for @events until @deadline; false: it passed. */
static bool
wait_for(int fd, short events, uint64_t deadline)
{
	const uint64_t now = now_ms();
	struct pollfd wait = { .fd = fd, .events = events };

	if (now >= deadline)
		return false;
	const int ready = poll(&wait, 1, (int)(deadline - now));
	return ready > 0 || (ready < 0 && errno == EINTR);
}

static bool
send_line(int fd, const char *line, uint64_t deadline)
{
	size_t count = strlen(line);

	while (count > 0) {
		const ssize_t sent = send(fd, line, count, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			line += sent;
			count -= (size_t)sent;
		} else if ((sent < 0 && errno != EAGAIN && errno != EINTR) ||
			   !wait_for(fd, POLLOUT, deadline)) {
			return false;
		}
	}
	return true;
}

/* The reply's line without its end, allocated; NULL: none in time. */
static char *
receive_line(int fd, uint64_t deadline)
{
	size_t used = 0, room = 65536;
	char *line = malloc(room);

	while (line && used < ADMIN_REPLY_MAX) {
		if (used + 1 >= room) {
			char *larger = realloc(line, room * 2);
			if (!larger)
				break;
			line = larger;
			room *= 2;
		}
		const ssize_t got = recv(fd, line + used, room - used - 1, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			break;
		if (got < 0) {
			if (!wait_for(fd, POLLIN, deadline))
				break;
			continue;
		}
		char *end = memchr(line + used, '\n', (size_t)got);
		used += (size_t)got;
		if (end) {
			*end = 0;
			return line;
		}
	}
	free(line);
	return NULL;
}

static int
connect_socket(const char *path, uint64_t deadline)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const size_t bytes = strlen(path);

	if (bytes == 0 || bytes >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, bytes + 1);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* EAGAIN: the backlog is full, which only time mends. */
	while (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		const struct timespec pause = { .tv_nsec = 5000000 };
		const int reason = errno;
		if (reason != EAGAIN || now_ms() >= deadline) {
			(void)close(fd);
			errno = reason;
			return -1;
		}
		(void)nanosleep(&pause, NULL);
	}
	return fd;
}

static char *
exchange(const char *path, const char *verb, const json_t *arguments, uint64_t deadline, char *text,
	 size_t text_bytes)
{
	json_t *request = json_pack("{s:s,s:s}", "api", ADMIN_API, "verb", verb);
	char *line = NULL, *reply = NULL;
	const int fd = connect_socket(path, deadline);

	if (fd < 0) {
		(void)snprintf(text, text_bytes, "%s: nobody answers: %s", path, strerror(errno));
		json_decref(request);
		return NULL;
	}
	if (arguments) {
		json_t *copy = json_copy((json_t *)(uintptr_t)arguments);
		(void)json_object_update_missing(request, copy);
		json_decref(copy);
	}
	line = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	if (line && send_line(fd, line, deadline) && send_line(fd, "\n", deadline))
		reply = receive_line(fd, deadline);
	if (!reply)
		(void)snprintf(text, text_bytes, "%s: no reply in time", path);
	free(line);
	(void)close(fd);
	return reply;
}

enum admin_exit
admin_call(const char *socket_path, const char *verb, const json_t *arguments, uint32_t timeout_ms,
	   json_t **result, char *text, size_t text_bytes)
{
	enum admin_exit code = ADMIN_EXIT_UNREACHABLE;

	*result = NULL;
	char *line =
	    exchange(socket_path, verb, arguments, now_ms() + timeout_ms, text, text_bytes);
	if (!line)
		return code;
	json_t *reply = json_loads(line, 0, NULL);
	free(line);
	json_t *inner = json_object_get(reply, "result");
	const char *api = json_string_value(json_object_get(reply, "api"));
	if (!api || strcmp(api, ADMIN_API) != 0) {
		(void)snprintf(text, text_bytes, "%s: the reply is not " ADMIN_API, socket_path);
	} else if (json_is_true(json_object_get(reply, "ok")) && inner) {
		*result = json_incref(inner);
		code = ADMIN_EXIT_OK;
	} else {
		const char *why = json_string_value(json_object_get(reply, "error"));
		const json_int_t exit = json_integer_value(json_object_get(reply, "exit"));
		(void)snprintf(text, text_bytes, "%s", why ? why : "refused without a reason");
		code = exit > 0 && exit <= ADMIN_EXIT_CONFIG ? (enum admin_exit)exit
							     : ADMIN_EXIT_FAILED;
	}
	json_decref(reply);
	return code;
}
