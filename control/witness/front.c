/* SPDX-License-Identifier: Apache-2.0 */
#include "control/witness/front.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/witness/front_internal.h"
#include "hw/net_kernel/net_sockaddr.h"
#include "hw/platform/platform.h"
#include "hw/platform/worker.h"

#define WATCH_MS        10 /* while somebody waits for +switch-master */
#define ACCEPT_PAUSE_MS 100
#define ASKED_MS        1 /* while an answer waits for a sign of life of the master */

struct front {
	struct front_shared shared;
	struct front_client *clients; /* fd -1: free */
	uint32_t clients_count, subscribers_count;
	struct pollfd fds[FRONT_CONNECTIONS_MAX + 2];
	struct resp_arg args[FRONT_ARGS_MAX];
	uint8_t unquoted[RESP_INLINE_BYTES_MAX];
	struct sentinel_watch watch;
	int listen_fd;
	bool is_accept_paused;
	struct worker worker;
};

static void
drop(struct front *front, struct front_client *client)
{
	if (client->subs.count > 0)
		front->subscribers_count--;
	close(client->fd);
	client->fd = -1;
	front->clients_count--;
}

static void
accept_one(struct front *front)
{
	static const char full[] = "-ERR max number of clients reached: close some, or ask a data "
				   "node\r\n";
	const int fd = accept4(front->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		/* Out of descriptors: the listener would be ready for ever. */
		front->is_accept_paused = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
		return;
	}
	platform_tcp_watch(fd);
	for (uint32_t i = 0; i < FRONT_CONNECTIONS_MAX; i++) {
		struct front_client *client = &front->clients[i];
		if (client->fd >= 0)
			continue;
		front_client_open(&front->shared, client, fd);
		front->clients_count++;
		return;
	}
	(void)send(fd, full, sizeof(full) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

/* False: the connection has ended. */
static bool
flush(struct front_client *client)
{
	while (client->sent < client->out.used) {
		const ssize_t bytes =
		    send(client->fd, client->out.data + client->sent,
			 client->out.used - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (bytes < 0)
			return errno == EAGAIN || errno == EINTR;
		client->sent += (size_t)bytes;
	}
	client->sent = client->out.used = 0;
	return !client->is_ending;
}

/* Takes requests one by one, each when the reply before it has left. False: it has ended. */
static bool
advance(struct front *front, struct front_client *client)
{
	const struct resp_limits limits = { .bulk_bytes_max = FRONT_INPUT_BYTES / 2,
					    .request_bytes_max = FRONT_INPUT_BYTES,
					    .args_max = FRONT_ARGS_MAX };
	const struct resp_room room = { front->args, front->unquoted };
	struct resp_request request;

	while (flush(client)) {
		if (client->out.used > 0)
			return true;
		const enum resp_result result = resp_parse(&client->parser, &limits, &room,
							   client->in, client->in_used, &request);
		if (result == RESP_MORE)
			return client->in_used < FRONT_INPUT_BYTES;
		if (result == RESP_ERROR) {
			resp_error(&client->out, request.error);
			client->is_ending = true;
			continue;
		}
		const bool was_subscriber = client->subs.count > 0;
		if (request.args_count > 0 &&
		    !front_request(&front->shared, client, request.args, request.args_count))
			return true;
		client->in_used -= (uint32_t)request.bytes;
		memmove(client->in, client->in + request.bytes, client->in_used);
		if (was_subscriber != (client->subs.count > 0))
			front->subscribers_count += was_subscriber ? UINT32_MAX : 1;
	}
	return false;
}

/* Without room only after an error or a hang-up, and then it has ended as well. */
static void
receive(struct front *front, struct front_client *client)
{
	const ssize_t got = recv(client->fd, client->in + client->in_used,
				 FRONT_INPUT_BYTES - client->in_used, MSG_DONTWAIT);

	if (got > 0)
		client->in_used += (uint32_t)got;
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) || !advance(front, client))
		drop(front, client);
}

static void
tell_switch(struct front *front)
{
	char text[SENTINEL_EVENT_BYTES];

	if (!sentinel_switched(front->shared.sentinel, &front->watch, platform_monotonic_ns(),
			       text))
		return;
	for (uint32_t i = 0; i < FRONT_CONNECTIONS_MAX; i++) {
		struct front_client *client = &front->clients[i];
		if (client->fd < 0 || client->subs.count == 0)
			continue;
		subscribe_publish(&client->subs, "+switch-master", text, &client->out);
		/* Half a message would be worse than a closed connection. */
		if (client->out.is_full || !flush(client))
			drop(front, client);
	}
}

/* Nothing more is taken while a reply has not left, or while there is no room: a request that waits
 * stands at the front of what came behind it. */
static short
events_of(const struct front_client *client)
{
	if (client->out.used > 0)
		return POLLOUT;
	return client->in_used < FRONT_INPUT_BYTES ? POLLIN : 0;
}

static void
turn(struct front *front)
{
	struct pollfd *fds = front->fds;
	int wait_ms = front->is_accept_paused ? ACCEPT_PAUSE_MS : -1;
	bool is_asked = false;

	fds[0] = (struct pollfd){ .fd = front->worker.stop_fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = front->is_accept_paused ? -1 : front->listen_fd,
				  .events = POLLIN };
	for (uint32_t i = 0; i < FRONT_CONNECTIONS_MAX; i++) {
		const struct front_client *client = &front->clients[i];
		/* poll leaves descriptors below zero alone. */
		fds[i + 2] = (struct pollfd){ .fd = client->fd, .events = events_of(client) };
		is_asked |= client->fd >= 0 && client->asked_ns != 0;
	}
	if (front->subscribers_count > 0)
		wait_ms = WATCH_MS;
	if (is_asked)
		wait_ms = ASKED_MS;
	(void)poll(fds, FRONT_CONNECTIONS_MAX + 2, wait_ms);
	/* Without subscribers too, so that the first one hears of changes from then on. */
	tell_switch(front);
	for (uint32_t i = 0; i < FRONT_CONNECTIONS_MAX; i++) {
		struct front_client *client = &front->clients[i];
		const short events = fds[i + 2].revents;
		if (client->fd < 0 || client->fd != fds[i + 2].fd)
			continue;
		if (events == 0 && client->asked_ns == 0)
			continue;
		if (((events & POLLOUT) != 0 || client->asked_ns != 0) && !advance(front, client))
			drop(front, client);
		else if ((events & (POLLIN | POLLERR | POLLHUP)) != 0)
			receive(front, client);
	}
	front->is_accept_paused = false;
	if ((fds[1].revents & POLLIN) != 0)
		accept_one(front);
}

static void
run(void *context)
{
	struct front *front = context;

	while (!worker_is_stopping(&front->worker))
		turn(front);
}

static void
release(struct front *front)
{
	for (uint32_t i = 0; front->clients != NULL && i < FRONT_CONNECTIONS_MAX; i++) {
		if (front->clients[i].fd >= 0)
			close(front->clients[i].fd);
	}
	if (front->listen_fd >= 0)
		close(front->listen_fd);
	worker_close(&front->worker);
	free(front->clients);
	free(front);
}

static bool
open_listener(struct front *front, const struct inet_addr *ip, uint16_t port)
{
	union net_sockaddr address;
	const socklen_t bytes = net_sockaddr_make(&address, ip, port);
	const int one = 1;

	front->listen_fd = net_sockaddr_socket(ip, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
	return front->listen_fd >= 0 &&
	       setsockopt(front->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	       bind(front->listen_fd, &address.any, bytes) == 0 &&
	       listen(front->listen_fd, 128) == 0;
}

static bool
start_thread(struct front *front)
{
	const struct worker_work work = { .name = "tern-sentinel", .run = run, .context = front };

	return worker_start(&front->worker, &work) == TERN_OK;
}

enum tern_err
front_start(const struct sentinel *sentinel, const struct inet_addr *ip, uint16_t port,
	    int listen_fd, const char *tern_version, struct front **out, char *why,
	    size_t why_bytes)
{
	struct front *front = calloc(1, sizeof(*front));

	*out = NULL;
	if (front == NULL) {
		snprintf(why, why_bytes, "resp: no memory");
		return TERN_ERR_NO_MEMORY;
	}
	front->listen_fd = listen_fd > 0 ? listen_fd : -1;
	front->shared = (struct front_shared){ .sentinel = sentinel,
					       .tern_version = tern_version,
					       .port = port,
					       .started_ns = platform_monotonic_ns() };
	front->clients = calloc(FRONT_CONNECTIONS_MAX, sizeof(*front->clients));
	front->worker = WORKER_CLOSED;
	for (uint32_t i = 0; front->clients != NULL && i < FRONT_CONNECTIONS_MAX; i++)
		front->clients[i].fd = -1;
	if (front->clients == NULL || worker_open(&front->worker) != TERN_OK ||
	    (front->listen_fd < 0 && !open_listener(front, ip, port)) || !start_thread(front)) {
		snprintf(why, why_bytes, "resp: cannot listen on port %u: %s", port,
			 strerror(errno));
		release(front);
		return TERN_ERR_IO;
	}
	*out = front;
	return TERN_OK;
}

void
front_stop(struct front *front)
{
	worker_stop(&front->worker);
	release(front);
}
