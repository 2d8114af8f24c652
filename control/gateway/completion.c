/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back from the lcore, to the connections and others that wait for it. */
#include "control/gateway/gateway_internal.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"

static struct connection *
connection_at(struct gateway *gateway, uint32_t index, uint32_t generation)
{
	INVARIANT(index < gateway->connections_max);
	const struct connection_entry *entry = &gateway->connections[index];

	return entry->generation == generation ? entry->conn : NULL;
}

static void
complete_slot(struct gateway *gateway, struct connection *conn, uint64_t sequence,
	      const struct submit_completion *completion)
{
	struct slot *slot = connection_slot(conn, sequence);

	if (slot == NULL)
		return;
	INVARIANT(!slot->is_ready);
	slot->is_ready = true;
	slot->outcome = (uint8_t)completion->outcome;
	slot->master_id = completion->master_id;
	slot->copies = completion->copies;
	slot->term = completion->term;
	slot->log_index = completion->log_index;
	slot->position_slot = completion->slot;
	if (slot->kind == SLOT_WRITE &&
	    !connection_slot_reply(conn, slot, &completion->reply, submit_reply_data(completion))) {
		/* It was done, and there is no memory to say so: this connection gives way. */
		gateway_close(gateway, conn);
		return;
	}
	gateway_dirty(gateway, conn);
}

void
gateway_complete_slot(struct gateway *gateway, uint32_t conn_index, uint32_t conn_generation,
		      uint64_t sequence, const struct submit_completion *completion)
{
	struct connection *conn = connection_at(gateway, conn_index, conn_generation);

	if (conn != NULL)
		complete_slot(gateway, conn, sequence, completion);
}

static void
complete_read(struct gateway *gateway, uint32_t index, const struct submit_completion *completion)
{
	struct read_batch *batch = &gateway->batches[index];

	INVARIANT(batch->is_used && batch->is_submitted);
	/* P11: this thread, or all of the process, may have slept since the lcore looked. */
	if (completion->outcome == SUBMIT_DONE && completion->is_leased &&
	    !status_lease_holds(gateway->status, platform_monotonic_ns())) {
		batch->is_submitted = false;
		batch->is_overtaken = gateway->has_overtaken = true;
		gateway_count(&gateway->counters.leases_overtaken, 1);
		return;
	}
	for (uint32_t i = 0; i < batch->waiters_count; i++) {
		const struct read_waiter *waiter = &batch->waiters[i];
		struct connection *conn = connection_at(gateway, waiter->index, waiter->generation);
		if (conn == NULL)
			continue;
		for (uint64_t at = waiter->slot_first; at < waiter->slot_end; at++)
			complete_slot(gateway, conn, at, completion);
	}
	batch->is_used = false;
}

static void
complete_write(struct gateway *gateway, const struct flight *flight,
	       const struct submit_completion *completion)
{
	INVARIANT(gateway->reply_bytes_used >= flight->reply_bytes);
	gateway->reply_bytes_used -= flight->reply_bytes;
	gateway->writes_used--;
	gateway->writes_completed++;
	if (flight->is_tick) {
		gateway_tick_done(gateway, completion->outcome == SUBMIT_DONE);
		return;
	}
	gateway_complete_slot(gateway, flight->conn_index, flight->conn_generation, flight->slot,
			      completion);
}

bool
gateway_complete(struct gateway *gateway)
{
	bool has_one = false;

	/* Bounded by the requests in flight. */
	for (uint32_t i = 0; i < gateway->in_flight_max; i++) {
		uint32_t bytes = 0;
		const struct submit_completion *completion =
		    ring_peek(&gateway->channel->completions, &bytes);
		if (completion == NULL)
			break;
		INVARIANT(bytes >= sizeof(*completion));
		INVARIANT(!reply_has_data(&completion->reply) ||
			  bytes == sizeof(*completion) + completion->reply.bytes);
		const uint32_t index = (uint32_t)completion->tag;
		INVARIANT(index < gateway->in_flight_max);
		struct flight *flight = &gateway->flights[index];
		INVARIANT(flight->is_used);
		INVARIANT(flight->generation == (uint32_t)(completion->tag >> 32));
		if (flight->is_read) {
			complete_read(gateway, flight->batch, completion);
		} else {
			complete_write(gateway, flight, completion);
		}
		gateway_flight_give(gateway, index);
		ring_consume(&gateway->channel->completions);
		has_one = true;
	}
	gateway_rounds_complete(gateway);
	return has_one;
}
