/* SPDX-License-Identifier: Apache-2.0 */
/* A turn of a connection: it goes on with what it has in its input, its queue and its output. */
#include "control/gateway/connection_internal.h"

#include <sys/epoll.h>
#include <sys/socket.h>

/* What is left to do once nothing more can be answered, taken or sent now. */
static void
settle(struct connection *conn, uint64_t now_ns)
{
	struct gateway *gateway = conn->gateway;
	const bool is_flushed = connection_output_waiting(conn) == 0;

	if (conn->end == CONNECTION_DRAINING && is_flushed) {
		/* Closing with unread input would cut off replies that are still on their way. */
		if (conn->is_eof || shutdown(conn->fd, SHUT_WR) != 0) {
			gateway_close(gateway, conn);
			return;
		}
		conn->end = CONNECTION_LINGERING;
		conn->linger_end_ns = now_ns + CONNECTION_LINGER_NS;
		gateway->lingering_count++;
	}
	if (conn->end == CONNECTION_OPEN && conn->is_eof && is_flushed && !conn->is_parked &&
	    connection_is_idle(conn)) {
		gateway_close(gateway, conn);
		return;
	}
	if (conn->end == CONNECTION_OPEN)
		connection_input_shrink(conn);
}

static void
watch(struct connection *conn)
{
	uint32_t events = 0;

	if (conn->end == CONNECTION_LINGERING ||
	    (conn->end == CONNECTION_OPEN && !conn->is_eof && connection_input_has_room(conn)))
		events |= EPOLLIN;
	if (connection_output_waiting(conn) > 0)
		events |= EPOLLOUT;
	if (events == conn->events)
		return;
	struct epoll_event event = {
		.events = events,
		.data.u64 = (uint64_t)conn->generation << 32 | conn->index,
	};
	if (epoll_ctl(conn->gateway->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event) != 0)
		gateway_close(conn->gateway, conn);
	conn->events = events;
}

void
connection_advance(struct connection *conn, uint64_t now_ns)
{
	/* Each turn takes or answers a request that is already here, or sends. */
	for (;;) {
		bool has_moved = false;
		if (conn->end == CONNECTION_OPEN) {
			has_moved = connection_answer(conn);
			has_moved |= connection_take(conn);
		}
		if (has_moved && connection_output_waiting(conn) < OUTPUT_WAIT_BYTES)
			continue;
		if (conn->is_leaving && conn->end == CONNECTION_OPEN && connection_is_idle(conn))
			conn->end = CONNECTION_DRAINING;
		const bool was_full = connection_output_waiting(conn) >= OUTPUT_WAIT_BYTES;
		connection_flush(conn);
		if (conn->end == CONNECTION_DEAD)
			return;
		if (!was_full || connection_output_waiting(conn) >= OUTPUT_WAIT_BYTES)
			break;
	}
	settle(conn, now_ns);
	if (conn->end != CONNECTION_DEAD)
		watch(conn);
}
