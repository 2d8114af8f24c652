/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* accept4 */
#include "control/admin/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hw/platform/platform.h"
#include "hw/platform/worker.h"

#define ACCEPT_PAUSE_MS 100

/* Marks the object that admin_refuse makes; no result has a key like it. */
#define REFUSAL_KEY "\x01refused"

struct client {
	int fd; /* -1: free place */
	uint32_t used;
	char request[ADMIN_REQUEST_MAX];
};

struct admin {
	struct admin_options options;
	char socket_path[NODE_CONFIG_SOCKET_MAX];
	int listen_fd;
	bool is_accept_paused;
	struct worker worker;
	struct client clients[ADMIN_CLIENTS_MAX];
};

json_t *
admin_refuse(enum admin_exit code, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return json_pack("{s:b,s:s,s:i}", REFUSAL_KEY, 1, "error", text, "exit", (int)code);
}

static uint64_t
now_ms(void)
{
	return platform_monotonic_ns() / 1000000;
}

/* Sends all of it within ADMIN_SEND_MS; false: the client does not take it. */
static bool
send_all(int fd, const char *bytes, size_t count)
{
	const uint64_t deadline = now_ms() + ADMIN_SEND_MS;

	while (count > 0) {
		const ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			bytes += sent;
			count -= (size_t)sent;
			continue;
		}
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		const uint64_t now = now_ms();
		if (now >= deadline)
			return false;
		struct pollfd wait = { .fd = fd, .events = POLLOUT };
		if (poll(&wait, 1, (int)(deadline - now)) < 0 && errno != EINTR)
			return false;
	}
	return true;
}

static bool
send_reply(int fd, json_t *reply)
{
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	size_t bytes = text ? strlen(text) : 0;
	bool is_sent = false;

	if (bytes > 0 && bytes < ADMIN_REPLY_MAX) {
		text[bytes] = '\n'; /* in place of the end, which is not sent */
		is_sent = send_all(fd, text, bytes + 1);
	}
	free(text);
	json_decref(reply);
	return is_sent;
}

static json_t *
make_error(const char *text, int code)
{
	return json_pack("{s:s,s:b,s:s,s:i}", "api", ADMIN_API, "ok", 0, "error", text, "exit",
			 code);
}

/* Takes @result always. */
static json_t *
make_reply(json_t *result)
{
	if (!result)
		return make_error("internal error: the handler gave no answer", ADMIN_EXIT_FAILED);
	if (json_object_get(result, REFUSAL_KEY)) {
		json_t *reply =
		    make_error(json_string_value(json_object_get(result, "error")),
			       (int)json_integer_value(json_object_get(result, "exit")));
		json_decref(result);
		return reply;
	}
	return json_pack("{s:s,s:b,s:o}", "api", ADMIN_API, "ok", 1, "result", result);
}

static json_t *
answer(const struct admin *admin, const char *line, size_t bytes)
{
	json_error_t where;
	json_t *request = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &where);
	const char *api = json_string_value(json_object_get(request, "api"));
	const char *verb = json_string_value(json_object_get(request, "verb"));
	json_t *reply = NULL;

	if (!json_is_object(request)) {
		reply = make_error("the request is no JSON object on one line", ADMIN_EXIT_USAGE);
	} else if (!api || strcmp(api, ADMIN_API) != 0) {
		reply =
		    make_error("unknown \"api\"; this daemon speaks " ADMIN_API, ADMIN_EXIT_USAGE);
	} else if (!verb) {
		reply = make_error("the request has no \"verb\"", ADMIN_EXIT_USAGE);
	} else {
		for (uint32_t i = 0; i < admin->options.verb_count && !reply; i++) {
			const struct admin_verb *known = &admin->options.verbs[i];
			if (strcmp(known->name, verb) == 0)
				reply = make_reply(known->handle(admin->options.context, request));
		}
		if (!reply)
			reply = make_error("unknown verb for this kind of node", ADMIN_EXIT_USAGE);
	}
	json_decref(request);
	return reply;
}

static void
client_close(struct client *client)
{
	(void)close(client->fd);
	client->fd = -1;
	client->used = 0;
}

/* Answers every whole line that is there, and keeps the rest. */
static void
client_serve(struct admin *admin, struct client *client)
{
	const ssize_t got = recv(client->fd, client->request + client->used,
				 sizeof(client->request) - client->used, MSG_DONTWAIT);
	uint32_t start = 0;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		client_close(client);
		return;
	}
	client->used += (uint32_t)got;
	while (start < client->used) {
		char *line = client->request + start;
		const char *end = memchr(line, '\n', client->used - start);
		if (!end)
			break;
		if (!send_reply(client->fd, answer(admin, line, (size_t)(end - line)))) {
			client_close(client);
			return;
		}
		start += (uint32_t)(end - line) + 1;
	}
	memmove(client->request, client->request + start, client->used - start);
	client->used -= start;
	if (client->used == sizeof(client->request)) {
		(void)send_reply(client->fd,
				 make_error("the request line is too long", ADMIN_EXIT_USAGE));
		client_close(client);
	}
}

static void
accept_client(struct admin *admin)
{
	const int fd = accept4(admin->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		/* Out of descriptors or memory: the listener would be ready for ever. */
		admin->is_accept_paused =
		    errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
		return;
	}
	for (uint32_t i = 0; i < ADMIN_CLIENTS_MAX; i++) {
		if (admin->clients[i].fd < 0) {
			admin->clients[i].fd = fd;
			admin->clients[i].used = 0;
			return;
		}
	}
	(void)send_reply(
	    fd, make_error("busy: too many admin connections, try again", ADMIN_EXIT_FAILED));
	(void)close(fd);
}

static void
run(void *argument)
{
	struct admin *admin = argument;
	struct pollfd fds[2 + ADMIN_CLIENTS_MAX];

	if (admin->options.thread_begin)
		admin->options.thread_begin(admin->options.context);
	/* Ends when stop_fd becomes readable. */
	for (;;) {
		fds[0] = (struct pollfd){ .fd = admin->worker.stop_fd, .events = POLLIN };
		/* poll leaves descriptors below zero alone. */
		fds[1] = (struct pollfd){ .fd = admin->is_accept_paused ? -1 : admin->listen_fd,
					  .events = POLLIN };
		for (uint32_t i = 0; i < ADMIN_CLIENTS_MAX; i++)
			fds[2 + i] =
			    (struct pollfd){ .fd = admin->clients[i].fd, .events = POLLIN };
		if (poll(fds, 2 + ADMIN_CLIENTS_MAX,
			 admin->is_accept_paused ? ACCEPT_PAUSE_MS : -1) < 0)
			continue;
		if (fds[0].revents)
			break;
		for (uint32_t i = 0; i < ADMIN_CLIENTS_MAX; i++) {
			if (fds[2 + i].revents)
				client_serve(admin, &admin->clients[i]);
		}
		admin->is_accept_paused = false;
		if (fds[1].revents)
			accept_client(admin);
	}
	for (uint32_t i = 0; i < ADMIN_CLIENTS_MAX; i++) {
		if (admin->clients[i].fd >= 0)
			client_close(&admin->clients[i]);
	}
	if (admin->options.thread_end)
		admin->options.thread_end(admin->options.context);
}

/* ---- start and stop ---- */

/* A socket file whose process is gone is removed; one that answers is another daemon's. */
static enum tern_err
remove_dead(const struct sockaddr_un *address, char *text, size_t text_bytes)
{
	struct stat facts;

	if (lstat(address->sun_path, &facts) != 0)
		return TERN_OK;
	if (!S_ISSOCK(facts.st_mode)) {
		(void)snprintf(text, text_bytes,
			       "%s exists and is no socket; remove it or choose "
			       "another admin path",
			       address->sun_path);
		return TERN_ERR_IO;
	}
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const bool is_live =
	    fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
			errno == EAGAIN);
	if (fd >= 0)
		(void)close(fd);
	if (is_live) {
		(void)snprintf(text, text_bytes, "%s: another process answers there; stop it first",
			       address->sun_path);
		return TERN_ERR_BUSY;
	}
	(void)unlink(address->sun_path);
	return TERN_OK;
}

static enum tern_err
open_socket(struct admin *admin, char *text, size_t text_bytes)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	enum tern_err err;

	static_assert(sizeof(address.sun_path) == sizeof(admin->socket_path), "one limit");
	memcpy(address.sun_path, admin->socket_path, sizeof(admin->socket_path));
	err = remove_dead(&address, text, text_bytes);
	if (err)
		return err;
	admin->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (worker_open(&admin->worker) == TERN_OK && admin->listen_fd >= 0 &&
	    bind(admin->listen_fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
	    chmod(admin->socket_path, S_IRUSR | S_IWUSR) == 0 &&
	    listen(admin->listen_fd, (int)ADMIN_CLIENTS_MAX) == 0)
		return TERN_OK;
	(void)snprintf(text, text_bytes, "%s: cannot listen: %s", admin->socket_path,
		       strerror(errno));
	return TERN_ERR_IO;
}

static void
free_admin(struct admin *admin)
{
	if (admin->listen_fd >= 0)
		(void)close(admin->listen_fd);
	worker_close(&admin->worker);
	free(admin);
}

enum tern_err
admin_start(const struct admin_options *options, struct admin **out, char *text, size_t text_bytes)
{
	struct admin *admin = calloc(1, sizeof(*admin));
	const struct worker_work work = { .name = "tern-admin", .run = run, .context = admin };

	*out = NULL;
	if (!admin) {
		(void)snprintf(text, text_bytes, "out of memory");
		return TERN_ERR_NO_MEMORY;
	}
	admin->options = *options;
	admin->listen_fd = -1;
	admin->worker = WORKER_CLOSED;
	for (uint32_t i = 0; i < ADMIN_CLIENTS_MAX; i++)
		admin->clients[i].fd = -1;
	if (strlen(options->socket_path) >= sizeof(admin->socket_path)) {
		(void)snprintf(text, text_bytes, "%s: a socket path may have %zu bytes",
			       options->socket_path, sizeof(admin->socket_path) - 1);
		free_admin(admin);
		return TERN_ERR_CONFIG;
	}
	(void)snprintf(admin->socket_path, sizeof(admin->socket_path), "%s", options->socket_path);
	enum tern_err err = open_socket(admin, text, text_bytes);
	if (!err && worker_start(&admin->worker, &work) != TERN_OK) {
		(void)snprintf(text, text_bytes, "cannot start the admin thread");
		(void)unlink(admin->socket_path);
		err = TERN_ERR_NO_MEMORY;
	}
	if (err) {
		free_admin(admin);
		return err;
	}
	*out = admin;
	return TERN_OK;
}

void
admin_stop(struct admin *admin)
{
	if (!admin)
		return;
	worker_stop(&admin->worker);
	(void)unlink(admin->socket_path);
	free_admin(admin);
}
