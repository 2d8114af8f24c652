/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/gateway/gateway_internal.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"

/* In one round, so that clients at work are not kept waiting. */
#ifdef TERN_TINY_LIMITS
#define EVENTS_MAX  2
#define ACCEPTS_MAX 1u
#else
#define EVENTS_MAX  256
#define ACCEPTS_MAX 64u
#endif
#define TICK_MS         100 /* while something waits for the clock */
#define WATCH_MS        10  /* while somebody waits for +switch-master */
#define RETRY_MS        1
#define ROUND_WAIT_MS   1
#define ACCEPT_PAUSE_NS 100000000ull

/* Takes the dead out of the lists, then frees them. */
static void
reap(struct gateway *gateway)
{
	struct connection *next;

	if (gateway->dead_first == NULL)
		return;
	struct connection *parked = gateway->parked_first;
	gateway->parked_first = gateway->parked_last = NULL;
	for (; parked != NULL; parked = next) {
		next = parked->parked_next;
		parked->is_parked = false;
		if (parked->end != CONNECTION_DEAD)
			gateway_park(gateway, parked);
	}
	struct connection *dirty = gateway->dirty_first;
	gateway->dirty_first = gateway->dirty_last = NULL;
	for (; dirty != NULL; dirty = next) {
		next = dirty->dirty_next;
		dirty->is_dirty = false;
		if (dirty->end != CONNECTION_DEAD)
			gateway_dirty(gateway, dirty);
	}
	struct connection *dead = gateway->dead_first;
	gateway->dead_first = NULL;
	for (; dead != NULL; dead = next) {
		struct connection_entry *entry = &gateway->connections[dead->index];
		next = dead->dead_next;
		INVARIANT(entry->conn == dead);
		entry->conn = NULL;
		entry->generation++;
		entry->next_free = gateway->connections_free;
		gateway->connections_free = dead->index;
		gateway->connections_count--;
		connection_free(dead);
	}
	atomic_store_explicit(&gateway->counters.connections_now, gateway->connections_count,
			      memory_order_relaxed);
}

static void
refuse(struct gateway *gateway, int fd)
{
	const char text[] = "-ERR max number of clients reached: close some, or raise "
			    "gateway.connections_max\r\n";

	gateway_count(&gateway->counters.connections_refused, 1);
	if (send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		shutdown(fd, SHUT_WR);
	close(fd);
}

static bool
watch_new(struct gateway *gateway, struct connection *conn)
{
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.u64 = (uint64_t)conn->generation << 32 | conn->index,
	};

	platform_tcp_watch(conn->fd);
	conn->events = EPOLLIN;
	return epoll_ctl(gateway->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) == 0;
}

static void
adopt(struct gateway *gateway, int fd)
{
	const uint32_t index = gateway->connections_free;

	gateway_count(&gateway->counters.connections_total, 1);
	if (gateway->connections_count == gateway->connections_max) {
		refuse(gateway, fd);
		return;
	}
	INVARIANT(index < gateway->connections_max);
	struct connection_entry *entry = &gateway->connections[index];
	INVARIANT(entry->conn == NULL);
	struct connection *conn = connection_open(gateway, fd, index, entry->generation);
	if (conn == NULL) {
		refuse(gateway, fd);
		return;
	}
	gateway->connections_free = entry->next_free;
	gateway->connections_count++;
	entry->conn = conn;
	atomic_store_explicit(&gateway->counters.connections_now, gateway->connections_count,
			      memory_order_relaxed);
	if (!watch_new(gateway, conn))
		gateway_close(gateway, conn);
}

static void
listener_watch(struct gateway *gateway, bool is_accepting)
{
	struct epoll_event event = {
		.events = is_accepting ? (uint32_t)EPOLLIN : 0,
		.data.u64 = gateway->connections_max,
	};

	gateway->is_accepting = is_accepting;
	const int result = epoll_ctl(gateway->epoll_fd, EPOLL_CTL_MOD, gateway->listen_fd, &event);
	INVARIANT(result == 0);
}

static void
accept_all(struct gateway *gateway, uint64_t now_ns)
{
	for (uint32_t i = 0; i < ACCEPTS_MAX; i++) {
		const int fd =
		    accept4(gateway->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			adopt(gateway, fd);
			continue;
		}
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return;
		/* Out of descriptors or memory: the listener would be ready for ever. */
		listener_watch(gateway, false);
		gateway->accept_again_ns = now_ns + ACCEPT_PAUSE_NS;
		return;
	}
}

static void
handle_event(struct gateway *gateway, const struct epoll_event *event, uint64_t now_ns)
{
	const uint32_t index = (uint32_t)event->data.u64;
	const uint32_t generation = (uint32_t)(event->data.u64 >> 32);

	if (index == gateway->connections_max) {
		accept_all(gateway, now_ns);
		return;
	}
	if (index == gateway->connections_max + GATEWAY_FORWARD_NAME)
		forward_readable(gateway);
	if (index > gateway->connections_max)
		return; /* a wake-up: being awake is all it asks for */
	struct connection *conn = gateway->connections[index].conn;
	if (conn == NULL || conn->generation != generation || conn->end == CONNECTION_DEAD)
		return;
	if ((event->events & (EPOLLERR | EPOLLHUP)) != 0) {
		gateway_close(gateway, conn);
		return;
	}
	if ((event->events & EPOLLIN) != 0)
		connection_receive(conn);
	if (conn->end != CONNECTION_DEAD)
		gateway_dirty(gateway, conn);
}

static void
advance_dirty(struct gateway *gateway, uint64_t now_ns)
{
	struct connection *conn = gateway->dirty_first;

	/* Who becomes dirty meanwhile has its turn in the next round. */
	gateway->dirty_first = gateway->dirty_last = NULL;
	while (conn != NULL) {
		struct connection *next = conn->dirty_next;
		conn->is_dirty = false;
		if (conn->end != CONNECTION_DEAD)
			connection_advance(conn, now_ns);
		conn = next;
	}
}

static void
tick(struct gateway *gateway, uint64_t now_ns)
{
	if (!gateway->is_accepting && now_ns >= gateway->accept_again_ns)
		listener_watch(gateway, true);
	if (gateway->lingering_count == 0)
		return;
	for (uint32_t i = 0; i < gateway->connections_max; i++) {
		struct connection *conn = gateway->connections[i].conn;
		if (conn != NULL && conn->end == CONNECTION_LINGERING &&
		    now_ns >= conn->linger_end_ns)
			gateway_close(gateway, conn);
	}
}

static int
sleep_ms(struct gateway *gateway)
{
	if (!ring_is_empty(&gateway->channel->completions))
		return 0;
	if (gateway->needs_retry)
		return RETRY_MS;
	if (gateway->dirty_first != NULL)
		return 0;
	/* A read point that found no room in the ring: the lcore is busy emptying it. */
	if (gateway->batch_open != READ_BATCHES_MAX || gateway->has_overtaken)
		return RETRY_MS;
	const int wait_ms = forward_wait_ms(gateway, gateway_tick_wait_ms(gateway));
	if (gateway->subscribers_count > 0)
		return wait_ms < WATCH_MS ? wait_ms : WATCH_MS;
	return wait_ms > TICK_MS && (gateway->lingering_count > 0 || !gateway->is_accepting)
		   ? TICK_MS
		   : wait_ms;
}

/* Bounded: while writes cannot commit, everybody else is still served. */
static void
await_round(struct gateway *gateway)
{
	struct pollfd fds[2] = {
		{ .fd = gateway->channel->front_wake.fd, .events = POLLIN },
		{ .fd = gateway->worker.stop_fd, .events = POLLIN },
	};

	wake_prepare(&gateway->channel->front_wake);
	if (gateway_is_round_awaited(gateway))
		(void)poll(fds, 2, ROUND_WAIT_MS);
	wake_done(&gateway->channel->front_wake);
}

static void
turn(struct gateway *gateway)
{
	struct epoll_event events[EVENTS_MAX];

	if (gateway_is_round_awaited(gateway))
		await_round(gateway);
	wake_prepare(&gateway->channel->front_wake);
	int count = epoll_wait(gateway->epoll_fd, events, EVENTS_MAX, sleep_ms(gateway));
	wake_done(&gateway->channel->front_wake);
	const uint64_t now_ns = platform_monotonic_ns();

	gateway->now_ns = now_ns;
	gateway->needs_retry = false;
	if (gateway->subscribers_count > 0 && now_ns - gateway->watched_ns >= WATCH_MS * 1000000ull)
		gateway_watch(gateway);
	gateway_complete(gateway);
	forward_look(gateway);
	gateway_unpark(gateway);
	for (int i = 0; i < count; i++)
		handle_event(gateway, &events[i], now_ns);
	advance_dirty(gateway, now_ns);
	gateway_tick(gateway);
	gateway_holds_tick(gateway);
	gateway_publish(gateway);
	forward_turn(gateway);
	tick(gateway, now_ns);
	reap(gateway);
}

enum tern_err
gateway_begin(void *context)
{
	struct gateway *gateway = context;

	/* The reader belongs to the thread that opens it. */
	gateway->reader = state_reader_open(gateway->state);
	return gateway->reader != NULL ? TERN_OK : TERN_ERR_NO_MEMORY;
}

void
gateway_run(void *context)
{
	struct gateway *gateway = context;

	while (!worker_is_stopping(&gateway->worker))
		turn(gateway);
	for (uint32_t i = 0; i < gateway->connections_max; i++) {
		if (gateway->connections[i].conn != NULL)
			gateway_close(gateway, gateway->connections[i].conn);
	}
	reap(gateway);
	state_reader_close(gateway->reader);
}
