/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a connection: its input buffer, its output buffer, its socket. */
#include "control/gateway/connection_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

/* ---- input ---- */

/* The first byte that is still needed. */
static uint64_t
input_floor(const struct connection *conn)
{
	return conn->reads_pending > 0 ? conn->reads_at : conn->parse_at;
}

static void
input_compact(struct connection *conn)
{
	const uint64_t drop = input_floor(conn) - conn->in_at;

	INVARIANT(drop <= conn->in_used);
	if (drop == 0)
		return;
	conn->in_used -= (uint32_t)drop;
	conn->in_at += drop;
	if (conn->in_used > 0)
		memmove(conn->in, conn->in + drop, conn->in_used);
}

bool
connection_input_has_room(const struct connection *conn)
{
	return conn->in_used < conn->in_capacity || input_floor(conn) > conn->in_at ||
	       (conn->needs_more && conn->in_capacity < conn->gateway->input_bytes_max);
}

static bool
input_make_room(struct connection *conn)
{
	const struct gateway *gateway = conn->gateway;

	if (conn->in_used == conn->in_capacity || input_floor(conn) == conn->in_at + conn->in_used)
		input_compact(conn);
	if (conn->in_used < conn->in_capacity)
		return true;
	if (!conn->needs_more || conn->in_capacity >= gateway->input_bytes_max)
		return false;
	const uint32_t to = min_u32(max_u32(conn->in_capacity * 2, CONNECTION_INPUT_BYTES),
				    gateway->input_bytes_max);
	uint8_t *in = gateway_resize(conn->gateway, conn->in, conn->in_capacity, to);
	if (in == NULL) {
		/* The budget of all connections is used up: this one gives way. */
		gateway_close(conn->gateway, conn);
		return false;
	}
	conn->in = in;
	conn->in_capacity = to;
	return true;
}

static void
linger_receive(struct connection *conn)
{
	uint8_t unread[4096];
	const ssize_t got = recv(conn->fd, unread, sizeof(unread), MSG_DONTWAIT);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		gateway_close(conn->gateway, conn);
}

void
connection_receive(struct connection *conn)
{
	if (conn->end == CONNECTION_LINGERING) {
		linger_receive(conn);
		return;
	}
	if (conn->end != CONNECTION_OPEN || conn->is_eof || !input_make_room(conn))
		return;
	const ssize_t got = recv(conn->fd, conn->in + conn->in_used,
				 conn->in_capacity - conn->in_used, MSG_DONTWAIT);
	if (got > 0)
		conn->in_used += (uint32_t)got;
	else if (got == 0)
		conn->is_eof = true;
	else if (errno != EAGAIN && errno != EINTR)
		gateway_close(conn->gateway, conn);
}

void
connection_input_shrink(struct connection *conn)
{
	if (conn->in_capacity <= BUFFER_KEEP_BYTES ||
	    input_floor(conn) != conn->in_at + conn->in_used)
		return;
	input_compact(conn);
	gateway_resize(conn->gateway, conn->in, conn->in_capacity, 0);
	conn->in = NULL;
	conn->in_capacity = 0;
	conn->needs_more = true;
}

/* ---- output ---- */

bool
connection_output_grow(struct resp_writer *writer, size_t capacity)
{
	struct connection *conn =
	    (struct connection *)(void *)((uint8_t *)writer - offsetof(struct connection, out));
	struct gateway *gateway = conn->gateway;
	size_t to = max_u64(writer->capacity * 2, CONNECTION_OUTPUT_BYTES);

	if (capacity > gateway->output_bytes_max)
		return false;
	to = min_u64(max_u64(to, capacity), gateway->output_bytes_max);
	uint8_t *data = gateway_resize(gateway, writer->data, writer->capacity, to);
	if (data == NULL)
		return false;
	writer->data = data;
	writer->capacity = to;
	return true;
}

void
connection_output_settle(struct connection *conn, size_t mark)
{
	if (!conn->out.is_full)
		return;
	conn->out.used = mark;
	conn->out.is_full = false;
	resp_error(&conn->out, "ERR the reply is larger than this server's output limit");
	if (conn->out.is_full)
		gateway_close(conn->gateway, conn);
}

void
connection_flush(struct connection *conn)
{
	struct resp_writer *out = &conn->out;

	if (conn->end == CONNECTION_DEAD || connection_output_waiting(conn) == 0)
		return;
	const ssize_t sent = send(conn->fd, out->data + conn->out_sent,
				  connection_output_waiting(conn), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			gateway_close(conn->gateway, conn);
		return;
	}
	conn->out_sent += (size_t)sent;
	if (conn->out_sent == out->used) {
		out->used = conn->out_sent = 0;
		if (out->capacity > BUFFER_KEEP_BYTES) {
			gateway_resize(conn->gateway, out->data, out->capacity, 0);
			out->data = NULL;
			out->capacity = 0;
		}
	} else if (conn->out_sent > out->used / 2) {
		/* Moved once for every time it halves: cheap even for a slow client. */
		memmove(out->data, out->data + conn->out_sent, connection_output_waiting(conn));
		out->used -= conn->out_sent;
		conn->out_sent = 0;
	}
}
