/* SPDX-License-Identifier: Apache-2.0 */
/* From datagrams to requests at the lcore. */
#include <arpa/inet.h>
#include <string.h>

#include "control/endpoint/endpoint_internal.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"

/* Of an age that is asked for. */
#define STALE_MS_MAX 3600000u
/* Of waiting for a position: there are few places for that, and one datagram brings many reads.
 * Whoever wants to wait longer asks again, which costs a datagram a second. */
#define WAIT_MS_MAX 1000u

static void
answer_early(struct endpoint *endpoint, const struct peer_name *peer, enum native_what what,
	     uint64_t id, enum native_outcome outcome)
{
	const struct native_reply reply = { .what = what, .outcome = outcome, .id = id };

	if (outcome == NATIVE_BUSY)
		endpoint_count(&endpoint->counters.busy);
	endpoint_reply(endpoint, peer, &reply);
}

/* Read points keep places of their own. */
static bool
has_room(const struct endpoint *endpoint)
{
	return endpoint->flights_used + ENDPOINT_BATCHES_MAX < endpoint->channel->in_flight_max;
}

/* The record of @command in the ring, published; false: no room. */
static bool
submit(struct endpoint *endpoint, uint64_t tag, const uint8_t *command, uint32_t bytes)
{
	const struct submit_request request = {
		.tag = tag,
		.kind = SUBMIT_WRITE,
		.command_bytes = bytes,
	};

	if (sizeof(request) + bytes + 16 > endpoint->channel->requests.size / 2)
		return false;
	uint8_t *record =
	    ring_reserve(&endpoint->channel->requests, (uint32_t)(sizeof(request) + bytes));
	if (record == NULL)
		return false;
	memcpy(record, &request, sizeof(request));
	memcpy(record + sizeof(request), command, bytes);
	ring_publish(&endpoint->channel->requests);
	endpoint->has_published = true;
	return true;
}

static struct flight *
flight_take(struct endpoint *endpoint)
{
	INVARIANT(endpoint->flights_free < endpoint->channel->in_flight_max);
	struct flight *flight = &endpoint->flights[endpoint->flights_free];
	endpoint->flights_free = flight->next;
	endpoint->flights_used++;
	return flight;
}

/* What libtern and forwarding gateways send: every answer to it has a fixed length. */
static bool
is_offered(const struct command *command)
{
	const bool is_write = command->op == COMMAND_SET || command->op == COMMAND_MSET ||
			      command->op == COMMAND_DELETE || command->op == COMMAND_ADD ||
			      command->op == COMMAND_APPEND || command->op == COMMAND_EXPIRE ||
			      command->op == COMMAND_PERSIST ||
			      command->op == COMMAND_SESSION_CLOSE;

	/* Outside a session a datagram that comes twice would run twice. */
	return is_write && command->client_id != 0 && (command->flags & COMMAND_GET_OLD) == 0;
}

static void
take_command(struct endpoint *endpoint, const struct peer_name *peer, const uint8_t *bytes,
	     uint32_t length)
{
	struct command command;
	struct command_hdr_le hdr;

	memcpy(&hdr, bytes, sizeof(hdr));
	if (command_decode(bytes, length, &command) != TERN_OK || !is_offered(&command)) {
		answer_early(endpoint, peer, NATIVE_WHAT_WRITE, le64_get(hdr.seq),
			     NATIVE_MALFORMED);
		return;
	}
	const uint32_t bucket = endpoint_bucket(command.client_id, command.seq);
	for (uint32_t i = endpoint->buckets[bucket]; i != ENDPOINT_NONE;
	     i = endpoint->flights[i].next) {
		struct flight *other = &endpoint->flights[i];
		if (other->client_id == command.client_id && other->id == command.seq) {
			other->peer = *peer;
			endpoint_count(&endpoint->counters.duplicates);
			return;
		}
	}
	if (!has_room(endpoint) || !submit(endpoint, endpoint->flights_free, bytes, length)) {
		answer_early(endpoint, peer, NATIVE_WHAT_WRITE, command.seq, NATIVE_BUSY);
		return;
	}
	const uint32_t index = endpoint->flights_free;
	struct flight *flight = flight_take(endpoint);
	*flight = (struct flight){
		.next = endpoint->buckets[bucket],
		.peer = *peer,
		.client_id = command.client_id,
		.id = command.seq,
	};
	endpoint->buckets[bucket] = index;
	endpoint_count(&endpoint->counters.writes);
}

static void
take_open(struct endpoint *endpoint, const struct peer_name *peer, uint64_t number)
{
	uint8_t bytes[COMMAND_HDR_BYTES];
	struct command_writer writer;
	uint32_t length = 0;

	/* A session of the branch that was given up may be somebody else's in the cluster. */
	if (endpoint_is_left_out(endpoint)) {
		answer_early(endpoint, peer, NATIVE_WHAT_OPEN, number, NATIVE_NOT_MASTER);
		return;
	}
	for (uint32_t i = 0; i < ENDPOINT_OPENINGS && number != 0; i++) {
		const struct opening *opening = &endpoint->openings[i];
		if (opening->number != number)
			continue;
		const struct native_reply reply = {
			.what = NATIVE_WHAT_OPEN,
			.outcome = NATIVE_DONE,
			.id = number,
			.log_index = opening->log_index,
			.reply = { .kind = REPLY_SESSION,
				   .is_repeat = true,
				   .value = (int64_t)opening->client_id },
		};
		if (opening->client_id != 0)
			endpoint_reply(endpoint, peer, &reply);
		endpoint_count(&endpoint->counters.duplicates);
		return;
	}
	command_begin(&writer, bytes, sizeof(bytes));
	if (number == 0 ||
	    command_end(&writer, COMMAND_SESSION_OPEN, 0, 0, 0, 0, &length) != TERN_OK) {
		answer_early(endpoint, peer, NATIVE_WHAT_OPEN, number, NATIVE_MALFORMED);
		return;
	}
	/* Nothing is durable where logs are volatile, and a session is worth no more. */
	if (endpoint->status.is_log_volatile)
		command_set_class(bytes, COMMAND_MEMORY);
	if (!has_room(endpoint) || !submit(endpoint, endpoint->flights_free, bytes, length)) {
		answer_early(endpoint, peer, NATIVE_WHAT_OPEN, number, NATIVE_BUSY);
		return;
	}
	struct flight *flight = flight_take(endpoint);
	*flight = (struct flight){ .is_open = true, .peer = *peer, .id = number };
	endpoint->openings[endpoint->opening_next++ % ENDPOINT_OPENINGS] =
	    (struct opening){ .number = number };
	endpoint_count(&endpoint->counters.opens);
}

static void
waiter_make(const struct endpoint *endpoint, const struct peer_name *peer,
	    const struct native_read *read, struct read_waiter *waiter)
{
	const uint64_t wait_ns = min_u32(read->limit_ms, WAIT_MS_MAX) * 1000000ull;
	const uint64_t stale_ns = min_u32(read->limit_ms, STALE_MS_MAX) * 1000000ull;

	waiter->peer = *peer;
	waiter->id = read->id;
	waiter->is_memory = read->is_memory;
	waiter->reads = read->reads;
	waiter->position = read->position;
	waiter->until_ns = platform_monotonic_ns() + wait_ns;
	/* 0, no bound, is the largest of all. */
	waiter->stale_ns_max = min_u64(stale_ns - 1, endpoint->stale_ns_max - 1) + 1;
	waiter->key_bytes = read->key_bytes;
	memcpy(waiter->key, read->key, read->key_bytes);
}

/* A master has nobody who tells it how old its state is: it makes sure. */
static bool
is_local(const struct endpoint *endpoint, const struct native_read *read)
{
	return read->reads != NATIVE_READS_LINEARIZABLE &&
	       (read->reads != NATIVE_READS_STALE || endpoint->status.role != CORE_MASTER);
}

static void
take_read(struct endpoint *endpoint, const struct peer_name *peer, const struct native_read *read)
{
	struct read_waiter local;

	if (is_local(endpoint, read)) {
		waiter_make(endpoint, peer, read, &local);
		endpoint_read_local(endpoint, &local);
		endpoint_count(&endpoint->counters.local_reads);
		return;
	}
	if (endpoint->waiter_end - endpoint->waiter_first == ENDPOINT_READS_MAX) {
		answer_early(endpoint, peer, NATIVE_WHAT_READ, read->id, NATIVE_BUSY);
		return;
	}
	waiter_make(endpoint, peer, read,
		    &endpoint->waiters[endpoint->waiter_end++ % ENDPOINT_READS_MAX]);
	endpoint_count(&endpoint->counters.reads);
}

static void
take_items(struct endpoint *endpoint, const struct peer_name *peer, const struct native_hdr *hdr,
	   struct native_cursor cursor)
{
	struct native_read read;
	const uint8_t *command;
	uint64_t number;
	uint32_t bytes;

	switch (hdr->kind) {
	case NATIVE_WHO_IS_MASTER:
		endpoint_send_master(endpoint, peer);
		return;
	case NATIVE_OPEN:
		while (native_next_open(&cursor, &number))
			take_open(endpoint, peer, number);
		return;
	case NATIVE_SUBMIT:
		while (native_next_command(&cursor, &command, &bytes))
			take_command(endpoint, peer, command, bytes);
		return;
	case NATIVE_READ:
		while (native_next_read(&cursor, &read))
			take_read(endpoint, peer, &read);
		return;
	case NATIVE_MASTER:
	case NATIVE_REPLY:
		/* Only nodes say this, and never to a node. */
		endpoint_count(&endpoint->counters.malformed);
		return;
	}
}

void
endpoint_take(struct endpoint *endpoint, const uint8_t *frame, uint32_t bytes,
	      const union net_sockaddr *from)
{
	struct native_hdr hdr;

	endpoint_count(&endpoint->counters.frames);
	if (native_open(frame, bytes, &hdr) != TERN_OK) {
		endpoint_count(&endpoint->counters.malformed);
		return;
	}
	if (hdr.cluster_id != 0 && hdr.cluster_id != endpoint->status.cluster_id) {
		endpoint_count(&endpoint->counters.foreign);
		return;
	}
	struct peer_name peer = { .token = hdr.token };
	if (!net_sockaddr_read(from, &peer.ip, &peer.port)) {
		endpoint_count(&endpoint->counters.malformed);
		return;
	}
	take_items(endpoint, &peer, &hdr, native_items(frame, &hdr));
}

static bool
submit_read_point(struct endpoint *endpoint, uint64_t batch, uint16_t flags)
{
	struct submit_request *record =
	    ring_reserve(&endpoint->channel->requests, sizeof(struct submit_request));

	if (record == NULL) {
		endpoint->needs_retry = true;
		return false;
	}
	*record = (struct submit_request){
		.tag = ENDPOINT_TAG_READ | batch,
		.kind = SUBMIT_READ,
		.flags = flags,
	};
	ring_publish(&endpoint->channel->requests);
	endpoint->has_published = true;
	return true;
}

/* Those that were answered by a lease that was over when it was looked at: now by a round. */
static void
submit_overtaken(struct endpoint *endpoint)
{
	endpoint->has_overtaken = false;
	for (uint64_t i = endpoint->batch_first; i != endpoint->batch_end; i++) {
		struct read_batch *batch = &endpoint->batches[i % ENDPOINT_BATCHES_MAX];
		if (!batch->is_overtaken)
			continue;
		batch->is_overtaken = !submit_read_point(endpoint, i, 0);
		endpoint->has_overtaken |= batch->is_overtaken;
	}
}

void
endpoint_publish(struct endpoint *endpoint)
{
	if (endpoint->has_overtaken)
		submit_overtaken(endpoint);
	/* The read point is asked for after every read that shares it was taken: whatever was
	 * answered before one of them was sent is visible at it. */
	if (endpoint->waiter_submitted != endpoint->waiter_end &&
	    endpoint->batch_end - endpoint->batch_first < ENDPOINT_BATCHES_MAX &&
	    submit_read_point(endpoint, endpoint->batch_end, SUBMIT_MAY_LEASE)) {
		endpoint->batches[endpoint->batch_end++ % ENDPOINT_BATCHES_MAX] =
		    (struct read_batch){ .waiter_end = endpoint->waiter_end };
		endpoint->waiter_submitted = endpoint->waiter_end;
	}
	if (endpoint->has_published) {
		endpoint->has_published = false;
		wake_up(endpoint->channel->lcore_wake);
	}
}
