/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of a connection's requests that wait for the lcore. */
#include "control/gateway/connection_internal.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

static void
slot_reply_free(struct connection *conn, struct slot *slot)
{
	uint8_t *copy = (uint8_t *)(uintptr_t)slot->reply.data;

	if (copy != NULL)
		gateway_resize(conn->gateway, copy, slot->reply.bytes, 0);
	slot->reply.data = NULL;
}

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
	if (slots == NULL) {
		/* The budget of all connections is used up; nothing else may ever wake this one. */
		gateway_park(conn->gateway, conn);
		return false;
	}
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

void
connection_slots_free(struct connection *conn)
{
	for (uint64_t i = conn->slot_first; i < conn->slot_end; i++)
		slot_reply_free(conn, &conn->slots[i & (conn->slots_capacity - 1)]);
	gateway_resize(conn->gateway, conn->slots, conn->slots_capacity * sizeof(*conn->slots), 0);
}
