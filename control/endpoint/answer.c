/* SPDX-License-Identifier: Apache-2.0 */
/* From completions of the lcore to datagrams. */
#include <arpa/inet.h>
#include <string.h>

#include "control/endpoint/endpoint_internal.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"

/* ---- datagrams ---- */

static void
out_send(struct endpoint *endpoint, struct out_frame *out, enum native_kind kind)
{
	const struct node_status *status = &endpoint->status;
	const bool is_self = status->master_id == endpoint->node_id;
	const struct native_hdr hdr = {
		.kind = kind,
		.node = endpoint->node_id,
		.master = is_self && !status->is_serving ? 0 : status->master_id,
		.cluster_id = status->cluster_id,
		.token = out->peer.token,
		.term = status->term,
	};
	union net_sockaddr to;
	const socklen_t to_bytes = net_sockaddr_make(&to, &out->peer.ip, out->peer.port);
	const uint32_t bytes = native_seal(&out->writer, &hdr);

	if (sendto(endpoint->fd, out->bytes, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, &to.any,
		   to_bytes) < 0)
		endpoint_count(&endpoint->counters.send_drops);
	out->writer.frame = NULL;
}

/* The frame for @peer under way, or a new one. */
static struct out_frame *
out_for(struct endpoint *endpoint, const struct peer_name *peer)
{
	struct out_frame *unused = NULL;

	for (uint32_t i = 0; i < ENDPOINT_OUT_MAX; i++) {
		struct out_frame *out = &endpoint->outs[i];
		if (out->writer.frame == NULL)
			unused = unused == NULL ? out : unused;
		else if (peer_name_equal(&out->peer, peer))
			return out;
	}
	if (unused == NULL) {
		unused = &endpoint->outs[endpoint->out_next++ % ENDPOINT_OUT_MAX];
		out_send(endpoint, unused, NATIVE_REPLY);
	}
	unused->peer = *peer;
	native_begin(&unused->writer, unused->bytes, sizeof(unused->bytes));
	return unused;
}

void
endpoint_reply(struct endpoint *endpoint, const struct peer_name *peer,
	       const struct native_reply *reply)
{
	struct out_frame *out = out_for(endpoint, peer);

	if (out->writer.item_count != 0 &&
	    out->writer.used + native_reply_bytes(reply) > NATIVE_PACK_BYTES) {
		out_send(endpoint, out, NATIVE_REPLY);
		native_begin(&out->writer, out->bytes, sizeof(out->bytes));
	}
	const bool has_room = native_add_reply(&out->writer, reply);
	INVARIANT(has_room); /* one reply always fits an empty frame */
}

void
endpoint_send_master(struct endpoint *endpoint, const struct peer_name *peer)
{
	struct out_frame *out = out_for(endpoint, peer);

	/* A frame has one kind: what was gathered leaves first. */
	if (out->writer.item_count != 0)
		out_send(endpoint, out, NATIVE_REPLY);
	native_begin(&out->writer, out->bytes, sizeof(out->bytes));
	for (uint32_t i = 0; i < endpoint->node_count; i++) {
		const bool has_room = native_add_node(&out->writer, &endpoint->nodes[i]);
		INVARIANT(has_room);
	}
	out_send(endpoint, out, NATIVE_MASTER);
}

void
endpoint_flush(struct endpoint *endpoint)
{
	for (uint32_t i = 0; i < ENDPOINT_OUT_MAX; i++) {
		if (endpoint->outs[i].writer.frame != NULL)
			out_send(endpoint, &endpoint->outs[i], NATIVE_REPLY);
	}
}

/* ---- completions ---- */

static enum native_outcome
outcome_of(const struct submit_completion *completion)
{
	switch ((enum submit_outcome)completion->outcome) {
	case SUBMIT_DONE:
		return NATIVE_DONE;
	case SUBMIT_ACCEPTED:
		return NATIVE_ACCEPTED;
	case SUBMIT_REFUSED_NOT_MASTER:
		return NATIVE_NOT_MASTER;
	case SUBMIT_REFUSED_LOG_FULL:
		return NATIVE_LOG_FULL;
	case SUBMIT_REFUSED_TOO_LARGE:
		return NATIVE_TOO_LARGE;
	case SUBMIT_REFUSED_BUSY:
		return NATIVE_BUSY;
	case SUBMIT_REFUSED_MALFORMED:
		return NATIVE_MALFORMED;
	case SUBMIT_REFUSED_CLASS:
		return NATIVE_CLASS;
	case SUBMIT_REFUSED_CHANGE: /* only to who asks for changes */
	case SUBMIT_REFUSED_JOB:
	case SUBMIT_REFUSED_FORCE:
	case SUBMIT_UNKNOWN:
		break;
	}
	return NATIVE_UNKNOWN;
}

static void
unlink_write(struct endpoint *endpoint, uint32_t index)
{
	const struct flight *flight = &endpoint->flights[index];
	uint32_t *at = &endpoint->buckets[endpoint_bucket(flight->client_id, flight->id)];

	while (*at != index) {
		INVARIANT(*at != ENDPOINT_NONE);
		at = &endpoint->flights[*at].next;
	}
	*at = flight->next;
}

static void
settle_opening(struct endpoint *endpoint, uint64_t number,
	       const struct submit_completion *completion)
{
	const bool is_open =
	    completion->outcome == SUBMIT_DONE && completion->reply.kind == REPLY_SESSION;

	for (uint32_t i = 0; i < ENDPOINT_OPENINGS; i++) {
		struct opening *opening = &endpoint->openings[i];
		if (opening->number != number)
			continue;
		opening->client_id = is_open ? (uint64_t)completion->reply.value : 0;
		opening->log_index = completion->log_index;
		if (!is_open)
			opening->number = 0;
	}
}

static void
complete_flight(struct endpoint *endpoint, const struct submit_completion *completion)
{
	const uint32_t index = (uint32_t)completion->tag;

	INVARIANT(completion->tag < endpoint->channel->in_flight_max);
	INVARIANT(endpoint->flights_used > 0);
	struct flight *flight = &endpoint->flights[index];
	const struct native_reply reply = {
		.what = flight->is_open ? NATIVE_WHAT_OPEN : NATIVE_WHAT_WRITE,
		.outcome = outcome_of(completion),
		.id = flight->id,
		.term = completion->term,
		.log_index = completion->log_index,
		.slot = completion->slot,
		.reply = completion->reply,
		.copies = completion->copies,
		.is_memory = completion->class_ == COMMAND_MEMORY,
	};
	if (flight->is_open)
		settle_opening(endpoint, flight->id, completion);
	else
		unlink_write(endpoint, index);
	endpoint_reply(endpoint, &flight->peer, &reply);
	flight->next = endpoint->flights_free;
	endpoint->flights_free = index;
	endpoint->flights_used--;
}

struct native_reply
endpoint_read_reply(struct endpoint *endpoint, const struct read_waiter *waiter, uint64_t index)
{
	const struct state_value value =
	    state_read_get(endpoint->reader, waiter->key, waiter->key_bytes);
	struct native_reply reply = {
		.what = NATIVE_WHAT_READ,
		.outcome = NATIVE_DONE,
		.id = waiter->id,
		.log_index = index,
		.is_memory = waiter->is_memory,
	};

	switch (value.type) {
	case STATE_NONE:
		reply.type = NATIVE_VALUE_NONE;
		break;
	case STATE_BYTES:
		reply.type = NATIVE_VALUE_BYTES;
		reply.value = value.data;
		reply.value_bytes = value.bytes;
		if (value.bytes > NATIVE_VALUE_BYTES_MAX)
			reply.outcome = NATIVE_TOO_LARGE;
		break;
	case STATE_INTEGER:
		reply.type = NATIVE_VALUE_INTEGER;
		reply.integer = value.integer;
		break;
	}
	return reply;
}

/* A view of its own, for what it shows may be rolled back while it is read. So the value is copied,
 * and told only if the view was good to its end. */
bool
endpoint_answer_provisional(struct endpoint *endpoint, const struct read_waiter *waiter,
			    uint64_t need, uint64_t age_ns)
{
	const uint64_t index = state_read_begin_provisional(endpoint->reader);
	struct native_reply reply = endpoint_read_reply(endpoint, waiter, index);

	reply.age_ns = age_ns;
	if (reply.outcome == NATIVE_DONE && reply.type == NATIVE_VALUE_BYTES) {
		memcpy(endpoint->value, reply.value, reply.value_bytes);
		reply.value = endpoint->value;
	}
	if (!state_read_end_provisional(endpoint->reader) || index < need)
		return false;
	endpoint_reply(endpoint, &waiter->peer, &reply);
	return true;
}

/* Answers what it can of a batch whose read point is known; false: the state is not as far. */
static bool
answer_reads(struct endpoint *endpoint, const struct read_batch *batch)
{
	const uint64_t need = batch->completion.log_index;
	uint64_t applied_index = 0;
	bool is_open = false, is_good = true;

	for (; endpoint->waiter_first != batch->waiter_end; endpoint->waiter_first++) {
		const struct read_waiter *waiter =
		    &endpoint->waiters[endpoint->waiter_first % ENDPOINT_READS_MAX];
		if (waiter->is_memory) {
			if (is_open)
				state_read_end(endpoint->reader);
			is_open = false;
			is_good = endpoint_answer_provisional(endpoint, waiter, need, 0);
		} else {
			if (!is_open)
				applied_index = state_read_begin(endpoint->reader);
			is_open = true;
			is_good = applied_index >= need;
			const struct native_reply reply =
			    endpoint_read_reply(endpoint, waiter, applied_index);
			if (is_good)
				endpoint_reply(endpoint, &waiter->peer, &reply);
		}
		if (!is_good)
			break;
	}
	if (is_open)
		state_read_end(endpoint->reader);
	return is_good;
}

/* Answers the oldest batch; false: it has to wait. */
static bool
answer_batch(struct endpoint *endpoint)
{
	const struct read_batch *batch =
	    &endpoint->batches[endpoint->batch_first % ENDPOINT_BATCHES_MAX];
	const enum native_outcome outcome = outcome_of(&batch->completion);

	if (endpoint->batch_first == endpoint->batch_end || !batch->is_answered)
		return false;
	if (outcome == NATIVE_DONE && !answer_reads(endpoint, batch)) {
		endpoint->needs_retry = true;
		return false;
	}
	for (; endpoint->waiter_first != batch->waiter_end; endpoint->waiter_first++) {
		const struct read_waiter *waiter =
		    &endpoint->waiters[endpoint->waiter_first % ENDPOINT_READS_MAX];
		const struct native_reply refusal = { .what = NATIVE_WHAT_READ,
						      .outcome = outcome,
						      .id = waiter->id };
		endpoint_reply(endpoint, &waiter->peer, &refusal);
	}
	endpoint->batch_first++;
	return true;
}

void
endpoint_complete(struct endpoint *endpoint)
{
	/* Bounded by the requests in flight. */
	for (uint32_t i = 0; i < endpoint->channel->in_flight_max; i++) {
		uint32_t bytes = 0;
		const struct submit_completion *completion =
		    ring_peek(&endpoint->channel->completions, &bytes);
		if (completion == NULL)
			break;
		INVARIANT(bytes >= sizeof(*completion));
		if ((completion->tag & ENDPOINT_TAG_READ) != 0) {
			const uint64_t number = completion->tag & ~ENDPOINT_TAG_READ;
			struct read_batch *batch =
			    &endpoint->batches[number % ENDPOINT_BATCHES_MAX];
			INVARIANT(number >= endpoint->batch_first && number < endpoint->batch_end);
			/* P11: this thread may have slept since the lcore looked. */
			batch->is_overtaken =
			    completion->outcome == SUBMIT_DONE && completion->is_leased &&
			    !status_lease_holds(endpoint->cell, platform_monotonic_ns());
			batch->is_answered = !batch->is_overtaken;
			endpoint->has_overtaken |= batch->is_overtaken;
			batch->completion = *completion;
		} else {
			complete_flight(endpoint, completion);
		}
		ring_consume(&endpoint->channel->completions);
	}
	while (answer_batch(endpoint))
		;
}
