/* SPDX-License-Identifier: Apache-2.0 */
/* Replies leave in the order of the requests, as far as the lcore has answered. */
#include "control/gateway/connection_internal.h"
#include "control/gateway/refusal.h"
#include "control/gateway/reply.h"

#include <stdio.h>

#include "dataplane/base/bits.h"

static void
answer_write(struct connection *conn, const struct slot *slot)
{
	if (slot->is_exec)
		multi_reply(conn, &conn->out, &slot->reply);
	else
		gateway_write_reply(&conn->out, &slot->reply);
	if (conn->out.is_full)
		gateway_close(conn->gateway, conn);
	connection_note_write(conn, slot);
	conn->last_write_copies = slot->copies;
	conn->has_written |= !slot->is_forwarded;
}

/* Where it stands is all that is known of it, and no copy is counted. What this connection reads
 * waits until the block has committed, or is lost. */
static void
answer_accepted(struct connection *conn, const struct slot *slot)
{
	char text[80];

	(void)snprintf(text, sizeof(text), "ACCEPTED %llu %llu %u", (unsigned long long)slot->term,
		       (unsigned long long)slot->log_index, slot->position_slot);
	resp_simple(&conn->out, text);
	if (conn->out.is_full)
		gateway_close(conn->gateway, conn);
	connection_note_write(conn, slot);
	conn->last_write_copies = 0;
	conn->has_written |= !slot->is_forwarded;
}

/* Another node is master, or none: this one will not answer this client again. */
static void
note_refusal(struct connection *conn, const struct slot *slot)
{
	const struct gateway *gateway = conn->gateway;

	if (slot->outcome == SUBMIT_REFUSED_NOT_MASTER && slot->master_id != gateway->node_id &&
	    (conn->was_master || conn->has_written))
		conn->is_leaving = true;
}

bool
connection_answer(struct connection *conn)
{
	struct gateway *gateway = conn->gateway;
	struct read_view view = { 0 };
	bool has_moved = false;

	while (conn->end == CONNECTION_OPEN && !connection_is_idle(conn) &&
	       connection_output_waiting(conn) < OUTPUT_WAIT_BYTES) {
		const struct slot *slot = connection_slot_at(conn, conn->slot_first);
		const size_t mark = conn->out.used;
		if (!slot->is_ready)
			break;
		if (slot->outcome == SUBMIT_UNKNOWN) {
			/* Neither an error nor a success would be true. */
			conn->end = CONNECTION_DRAINING;
			gateway_count(&gateway->counters.unknown_closes, 1);
			break;
		}
		if (slot->outcome == SUBMIT_ACCEPTED) {
			answer_accepted(conn, slot);
		} else if (slot->outcome != SUBMIT_DONE) {
			gateway_refusal(gateway, &conn->out, slot);
			gateway_count(&gateway->counters.refusals, 1);
			note_refusal(conn, slot);
			if (conn->out.is_full)
				gateway_close(gateway, conn);
		} else if (slot->kind == SLOT_WRITE) {
			answer_write(conn, slot);
		} else if (!connection_read(conn, slot, &view)) {
			break;
		}
		if (slot->is_silent && conn->end == CONNECTION_OPEN)
			conn->out.used = mark;
		if (slot->is_exec)
			multi_drop(conn);
		connection_slot_pop(conn);
		has_moved = true;
	}
	connection_read_end(conn, &view);
	return has_moved;
}
