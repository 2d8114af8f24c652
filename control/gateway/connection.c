/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's life, its queue of slots, and the turn of its work. */
#include "control/gateway/connection_internal.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/gateway/info.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

struct connection *
connection_open(struct gateway *gateway, int fd, uint32_t index, uint32_t generation)
{
	struct connection *conn = gateway_resize(gateway, NULL, 0, sizeof(*conn));

	if (conn == NULL)
		return NULL;
	*conn = (struct connection){
		.gateway = gateway,
		.fd = fd,
		.index = index,
		.generation = generation,
		.client_id = gateway->next_client_id++,
		.out = { .grow = connection_output_grow, .protocol = 2 },
		.needs_more = true,
		.was_master = info_is_master(gateway),
		.opened_ns = gateway->now_ns,
		.request_ns = gateway->now_ns,
	};
	return conn;
}

void
connection_unsubscribe(struct connection *conn)
{
	struct gateway *gateway = conn->gateway;

	if (conn->subs.count > 0) {
		INVARIANT(gateway->subscribers_count > 0);
		gateway->subscribers_count--;
	}
	conn->subs = (struct subscriptions){ 0 };
}

static void
slot_reply_free(struct connection *conn, struct slot *slot)
{
	uint8_t *copy = (uint8_t *)(uintptr_t)slot->reply.data;

	if (copy != NULL)
		gateway_resize(conn->gateway, copy, slot->reply.bytes, 0);
	slot->reply.data = NULL;
}

void
connection_free(struct connection *conn)
{
	struct gateway *gateway = conn->gateway;

	connection_unsubscribe(conn);
	multi_drop(conn);
	gateway_hold_drop(conn);
	close(conn->fd);
	gateway_resize(gateway, conn->in, conn->in_capacity, 0);
	gateway_resize(gateway, conn->out.data, conn->out.capacity, 0);
	for (uint64_t i = conn->slot_first; i < conn->slot_end; i++)
		slot_reply_free(conn, &conn->slots[i & (conn->slots_capacity - 1)]);
	gateway_resize(gateway, conn->slots, conn->slots_capacity * sizeof(*conn->slots), 0);
	gateway_resize(gateway, conn, sizeof(*conn), 0);
}

/* ---- the queue of slots ---- */

bool
connection_slot_reply(struct connection *conn, struct slot *slot, const struct reply *reply,
		      const uint8_t *data)
{
	INVARIANT(slot->kind == SLOT_WRITE);
	slot->reply = *reply;
	slot->reply.data = NULL;
	if (!reply_has_data(reply) || reply->bytes == 0)
		return true;
	uint8_t *copy = gateway_resize(conn->gateway, NULL, 0, reply->bytes);
	if (copy == NULL)
		return false;
	memcpy(copy, data, reply->bytes);
	slot->reply.data = copy;
	return true;
}

struct slot *
connection_slot(struct connection *conn, uint64_t sequence)
{
	/* Once the connection ends, what is still at the lcore answers nobody. */
	if (conn->end != CONNECTION_OPEN || sequence < conn->slot_first)
		return NULL;
	INVARIANT(sequence < conn->slot_end);
	return connection_slot_at(conn, sequence);
}

bool
connection_has_slot_room(struct connection *conn)
{
	const uint64_t used = conn->slot_end - conn->slot_first;

	INVARIANT(used <= conn->slots_capacity);
	if (used < conn->slots_capacity)
		return true;
	if (conn->slots_capacity == CONNECTION_SLOTS_MAX)
		return false;
	const uint32_t to = max_u32(conn->slots_capacity * 2, CONNECTION_SLOTS_MIN);
	struct slot *slots = gateway_resize(conn->gateway, NULL, 0, to * sizeof(*slots));
	if (slots == NULL)
		return false;
	for (uint64_t i = conn->slot_first; i < conn->slot_end; i++)
		slots[i & (to - 1)] = *connection_slot_at(conn, i);
	gateway_resize(conn->gateway, conn->slots, conn->slots_capacity * sizeof(*slots), 0);
	conn->slots = slots;
	conn->slots_capacity = to;
	return true;
}

struct slot *
connection_slot_add(struct connection *conn, enum slot_kind kind)
{
	INVARIANT(conn->slot_end - conn->slot_first < conn->slots_capacity);
	INVARIANT(kind == SLOT_READ || conn->reads_pending == 0);
	struct slot *slot = connection_slot_at(conn, conn->slot_end++);
	*slot = (struct slot){ .kind = kind, .stream_at = conn->parse_at };
	if (kind == SLOT_READ && conn->reads_pending++ == 0)
		conn->reads_at = conn->parse_at;
	return slot;
}

void
connection_slot_pop(struct connection *conn)
{
	INVARIANT(conn->slot_first < conn->slot_end);
	struct slot *slot = connection_slot_at(conn, conn->slot_first++);
	slot_reply_free(conn, slot);
	if (slot->kind == SLOT_READ && --conn->reads_pending > 0)
		conn->reads_at = connection_slot_at(conn, conn->slot_first)->stream_at;
	conn->forwards_pending -= slot->is_forwarded;
}

/* ---- a turn ---- */

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
