/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a connection need of each other. Owner: the gateway thread. */
#ifndef TERN_GATEWAY_CONNECTION_INTERNAL_H
#define TERN_GATEWAY_CONNECTION_INTERNAL_H

#include "control/gateway/gateway_internal.h"

static inline struct slot *
connection_slot_at(const struct connection *conn, uint64_t sequence)
{
	return &conn->slots[sequence & (conn->slots_capacity - 1)];
}

/* Bytes that the client has not been sent yet. */
static inline size_t
connection_output_waiting(const struct connection *conn)
{
	return conn->out.used - conn->out_sent;
}

/* connection_slots.c: the oldest slot is answered. */
void connection_slot_pop(struct connection *conn);
/* The queue's memory, and the replies in it. */
void connection_slots_free(struct connection *conn);

/* connection_io.c */
bool connection_output_grow(struct resp_writer *writer, size_t capacity);
/* A reply that begins at @mark found no room: takes it back and says so instead. */
void connection_output_settle(struct connection *conn, size_t mark);
/* Sends what the socket takes. */
void connection_flush(struct connection *conn);
/* Whether connection_receive would find room. It grows only for a request that is not whole. */
bool connection_input_has_room(const struct connection *conn);
/* Gives a large buffer back when it is empty. */
void connection_input_shrink(struct connection *conn);

/* connection_read.c. A view lasts for as many answers as it fits. */
struct read_view {
	bool is_open, is_judged;
	uint64_t applied_index;
	struct node_status status; /* is_judged: what was known when the view began, or before */
};

/* On a connection that said READONLY a node that follows a master answers from what it has
 * applied: @wrong is set when it follows none. False: this read takes the ordinary way. */
bool connection_read_is_local(struct connection *conn, const char **wrong);
/* Answers the read @slot, or refuses it as too old. False: the state is not as far as it needs. */
bool connection_read(struct connection *conn, const struct slot *slot, struct read_view *view);
void connection_read_end(struct connection *conn, struct read_view *view);

/* connection_answer.c: answers from the head of the queue as far as the lcore has answered; true
 * when it got further. */
bool connection_answer(struct connection *conn);

/* connection_take.c: takes the requests that are whole, as far as there is room for them; true when
 * it got further. */
bool connection_take(struct connection *conn);

#endif
