/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "control/gateway/gateway_internal.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

#define NONE UINT32_MAX

void
gateway_flights_init(struct gateway *gateway)
{
	for (uint32_t i = 0; i < gateway->in_flight_max; i++)
		gateway->flights[i].next_free = i + 1 < gateway->in_flight_max ? i + 1 : NONE;
	gateway->flights_free = 0;
	gateway->batch_open = READ_BATCHES_MAX;
}

static uint64_t
flight_take(struct gateway *gateway)
{
	const uint32_t index = gateway->flights_free;

	INVARIANT(index < gateway->in_flight_max);
	struct flight *flight = &gateway->flights[index];
	INVARIANT(!flight->is_used);
	gateway->flights_free = flight->next_free;
	flight->is_used = true;
	flight->generation++;
	gateway->flights_used++;
	if (gateway->flights_used > gateway_counter(&gateway->counters.in_flight_high))
		gateway_count(&gateway->counters.in_flight_high, 1);
	return (uint64_t)flight->generation << 32 | index;
}

static void
flight_give(struct gateway *gateway, uint32_t index)
{
	struct flight *flight = &gateway->flights[index];

	INVARIANT(flight->is_used);
	INVARIANT(gateway->flights_used > 0);
	flight->is_used = false;
	flight->next_free = gateway->flights_free;
	gateway->flights_free = index;
	gateway->flights_used--;
}

uint64_t
gateway_plan_bytes(const struct write_plan *plan)
{
	uint64_t bytes = COMMAND_HDR_BYTES + (uint64_t)plan->encoded_bytes;

	for (uint32_t i = 0; i < plan->args_count; i++)
		bytes += sizeof(le32) + (uint64_t)plan->args[i].bytes;
	bytes += plan->integers_count * (sizeof(le32) + sizeof(int64_t));
	return align_up_u64(bytes, 8);
}

uint64_t
gateway_plan_reply_bytes(const struct gateway *gateway, const struct write_plan *plan)
{
	return (plan->flags & COMMAND_GET_OLD) != 0 ? gateway->value_bytes_max : plan->reply_bytes;
}

enum command_class
gateway_plan_class(const struct connection *conn, const struct write_plan *plan)
{
	if (plan->is_memory)
		return COMMAND_MEMORY;
	return conn == NULL ? COMMAND_DURABLE : (enum command_class)conn->class_;
}

void
gateway_plan_encode(const struct write_plan *plan, uint8_t *out, uint32_t bytes)
{
	struct command_writer writer;
	uint32_t written = 0;

	command_begin(&writer, out, bytes);
	for (uint32_t i = 0; i < plan->args_count; i++)
		command_add_arg(&writer, plan->args[i].data, plan->args[i].bytes);
	for (uint32_t i = 0; i < plan->integers_count; i++)
		command_add_i64(&writer, plan->integers[i]);
	command_add_encoded(&writer, plan->encoded, plan->encoded_bytes, plan->encoded_count);
	const enum tern_err err = command_end(&writer, plan->op, plan->flags, plan->client_id,
					      plan->seq, plan->open_window, &written);
	INVARIANT(err == TERN_OK && written == bytes);
}

enum flight_result
gateway_submit_write(struct gateway *gateway, const struct connection *conn,
		     const struct write_plan *plan)
{
	const uint64_t need = gateway_plan_bytes(plan);
	const uint64_t reply_bytes = gateway_plan_reply_bytes(gateway, plan);

	if (need > gateway->write_bytes_max || reply_bytes > gateway->channel->reply_bytes_max)
		return FLIGHT_TOO_LARGE;
	if (gateway->reply_bytes_used + reply_bytes > gateway->channel->reply_bytes_max)
		return FLIGHT_NO_ROOM;
	/* Read points keep places of their own: writes alone never keep a read waiting. */
	if (gateway->writes_used + READ_BATCHES_MAX >= gateway->in_flight_max)
		return FLIGHT_NO_ROOM;
	uint8_t *record = ring_reserve(&gateway->channel->requests,
				       (uint32_t)(sizeof(struct submit_request) + need));
	if (record == NULL)
		return FLIGHT_NO_ROOM;

	gateway_plan_encode(plan, record + sizeof(struct submit_request), (uint32_t)need);
	command_set_class(record + sizeof(struct submit_request), gateway_plan_class(conn, plan));
	const uint64_t tag = flight_take(gateway);
	struct flight *flight = &gateway->flights[(uint32_t)tag];
	flight->is_read = false;
	flight->reply_bytes = (uint32_t)reply_bytes;
	gateway->reply_bytes_used += reply_bytes;
	flight->is_tick = conn == NULL;
	flight->conn_index = conn == NULL ? 0 : conn->index;
	flight->conn_generation = conn == NULL ? 0 : conn->generation;
	flight->slot = conn == NULL ? 0 : conn->slot_end;
	gateway->writes_used++;
	gateway->writes_submitted++;
	const struct submit_request request = {
		.tag = tag,
		.kind = SUBMIT_WRITE,
		.command_bytes = (uint32_t)need,
	};
	memcpy(record, &request, sizeof(request));
	ring_publish(&gateway->channel->requests);
	gateway->has_published = true;
	gateway_count(&gateway->counters.writes, 1);
	return FLIGHT_TAKEN;
}

static bool
batch_open(struct gateway *gateway)
{
	if (gateway->batch_open != READ_BATCHES_MAX)
		return true;
	for (uint32_t i = 0; i < READ_BATCHES_MAX; i++) {
		struct read_batch *batch = &gateway->batches[i];
		if (!batch->is_used) {
			batch->is_used = true;
			batch->is_submitted = batch->is_overtaken = false;
			batch->waiters_count = 0;
			gateway->batch_open = i;
			return true;
		}
	}
	return false;
}

enum flight_result
gateway_join_read(struct gateway *gateway, const struct connection *conn)
{
	if (!batch_open(gateway))
		return FLIGHT_NO_ROOM;
	struct read_batch *batch = &gateway->batches[gateway->batch_open];
	INVARIANT(batch->is_used && !batch->is_submitted);
	struct read_waiter *last =
	    batch->waiters_count > 0 ? &batch->waiters[batch->waiters_count - 1] : NULL;
	gateway_count(&gateway->counters.reads, 1);
	if (last != NULL && last->index == conn->index && last->generation == conn->generation &&
	    last->slot_end == conn->slot_end) {
		last->slot_end++;
		return FLIGHT_TAKEN;
	}
	if (batch->waiters_count == batch->waiters_capacity) {
		const size_t before = batch->waiters_capacity * sizeof(*batch->waiters);
		const size_t after = before == 0 ? 16 * sizeof(*batch->waiters) : before * 2;
		void *waiters = gateway_resize(gateway, batch->waiters, before, after);
		if (waiters == NULL)
			return FLIGHT_NO_ROOM;
		batch->waiters = waiters;
		batch->waiters_capacity = (uint32_t)(after / sizeof(*batch->waiters));
	}
	batch->waiters[batch->waiters_count++] = (struct read_waiter){
		.index = conn->index,
		.generation = conn->generation,
		.slot_first = conn->slot_end,
		.slot_end = conn->slot_end + 1,
	};
	return FLIGHT_TAKEN;
}

/* The read point is asked for after every read that shares it was taken: whatever was answered
 * before one of them was sent is visible at it. */
static bool
submit_read_point(struct gateway *gateway, uint32_t index)
{
	struct read_batch *batch = &gateway->batches[index];
	struct submit_request *record =
	    ring_reserve(&gateway->channel->requests, sizeof(struct submit_request));

	/* No room: the next round tries again. */
	if (record == NULL)
		return false;
	const uint64_t tag = flight_take(gateway);
	struct flight *flight = &gateway->flights[(uint32_t)tag];
	flight->is_read = true;
	flight->batch = index;
	*record = (struct submit_request){
		.tag = tag,
		.kind = SUBMIT_READ,
		.flags = batch->is_overtaken ? 0 : SUBMIT_MAY_LEASE,
	};
	ring_publish(&gateway->channel->requests);
	batch->is_submitted = true;
	gateway->has_published = true;
	gateway_count(&gateway->counters.read_points, 1);
	return true;
}

/* Those that were answered by a lease that was over when it was looked at. */
static void
submit_overtaken(struct gateway *gateway)
{
	gateway->has_overtaken = false;
	for (uint32_t i = 0; i < READ_BATCHES_MAX; i++) {
		const struct read_batch *batch = &gateway->batches[i];
		if (batch->is_used && batch->is_overtaken && !batch->is_submitted &&
		    !submit_read_point(gateway, i))
			gateway->has_overtaken = true;
	}
}

/* Closes this round's writes. With all rounds under way they join the newest one. */
static void
round_end(struct gateway *gateway)
{
	const uint32_t count = gateway->rounds_count;
	const uint64_t before = count == 0 ? gateway->writes_completed : gateway->rounds[count - 1];

	if (gateway->writes_submitted <= before)
		return;
	if (count < WRITE_ROUNDS_MAX)
		gateway->rounds_count++;
	gateway->rounds[gateway->rounds_count - 1] = gateway->writes_submitted;
}

static void
rounds_complete(struct gateway *gateway)
{
	uint32_t done = 0;

	while (done < gateway->rounds_count && gateway->rounds[done] <= gateway->writes_completed)
		done++;
	gateway->rounds_count -= done;
	memmove(gateway->rounds, gateway->rounds + done,
		gateway->rounds_count * sizeof(gateway->rounds[0]));
}

bool
gateway_is_round_awaited(const struct gateway *gateway)
{
	return gateway->rounds_count == WRITE_ROUNDS_MAX &&
	       ring_is_empty(&gateway->channel->completions);
}

void
gateway_publish(struct gateway *gateway)
{
	round_end(gateway);
	if (gateway->has_overtaken)
		submit_overtaken(gateway);
	if (gateway->batch_open != READ_BATCHES_MAX &&
	    submit_read_point(gateway, gateway->batch_open))
		gateway->batch_open = READ_BATCHES_MAX;
	if (gateway->has_published) {
		gateway->has_published = false;
		wake_up(gateway->channel->lcore_wake);
	}
}

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
	    !status_lease_holds(gateway->status, gateway_now_ns())) {
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
		flight_give(gateway, index);
		ring_consume(&gateway->channel->completions);
		has_one = true;
	}
	rounds_complete(gateway);
	return has_one;
}
