/* SPDX-License-Identifier: Apache-2.0 */
/* What goes to the lcore: writes, and read points that reads share. */
#include <string.h>

#include "control/gateway/gateway_internal.h"
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

void
gateway_flight_give(struct gateway *gateway, uint32_t index)
{
	struct flight *flight = &gateway->flights[index];

	INVARIANT(flight->is_used);
	INVARIANT(gateway->flights_used > 0);
	flight->is_used = false;
	flight->next_free = gateway->flights_free;
	gateway->flights_free = index;
	gateway->flights_used--;
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

void
gateway_publish(struct gateway *gateway)
{
	gateway_round_end(gateway);
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
