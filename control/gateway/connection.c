/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/gateway/gateway_internal.h"
#include "control/gateway/info.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

static bool
output_grow(struct resp_writer *writer, size_t capacity)
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
		.out = { .grow = output_grow, .protocol = 2 },
		.needs_more = true,
		.was_master = info_is_master(gateway),
		.opened_ns = gateway->now_ns,
		.request_ns = gateway->now_ns,
	};
	return conn;
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

static void
slot_reply_free(struct connection *conn, struct slot *slot)
{
	uint8_t *copy = (uint8_t *)(uintptr_t)slot->reply.data;

	if (copy != NULL)
		gateway_resize(conn->gateway, copy, slot->reply.bytes, 0);
	slot->reply.data = NULL;
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

void
connection_free(struct connection *conn)
{
	struct gateway *gateway = conn->gateway;

	connection_unsubscribe(conn);
	multi_drop(conn);
	close(conn->fd);
	gateway_resize(gateway, conn->in, conn->in_capacity, 0);
	gateway_resize(gateway, conn->out.data, conn->out.capacity, 0);
	for (uint64_t i = conn->slot_first; i < conn->slot_end; i++)
		slot_reply_free(conn, &conn->slots[i & (conn->slots_capacity - 1)]);
	gateway_resize(gateway, conn->slots, conn->slots_capacity * sizeof(*conn->slots), 0);
	gateway_resize(gateway, conn, sizeof(*conn), 0);
}

/* ---- the queue of slots ---- */

static struct slot *
slot_at(const struct connection *conn, uint64_t sequence)
{
	return &conn->slots[sequence & (conn->slots_capacity - 1)];
}

struct slot *
connection_slot(struct connection *conn, uint64_t sequence)
{
	/* Once the connection ends, what is still at the lcore answers nobody. */
	if (conn->end != CONNECTION_OPEN || sequence < conn->slot_first)
		return NULL;
	INVARIANT(sequence < conn->slot_end);
	return slot_at(conn, sequence);
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
		slots[i & (to - 1)] = *slot_at(conn, i);
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
	struct slot *slot = slot_at(conn, conn->slot_end++);
	*slot = (struct slot){ .kind = kind, .stream_at = conn->parse_at };
	if (kind == SLOT_READ && conn->reads_pending++ == 0)
		conn->reads_at = conn->parse_at;
	return slot;
}

static void
slot_pop(struct connection *conn)
{
	INVARIANT(conn->slot_first < conn->slot_end);
	struct slot *slot = slot_at(conn, conn->slot_first++);
	slot_reply_free(conn, slot);
	if (slot->kind == SLOT_READ && --conn->reads_pending > 0)
		conn->reads_at = slot_at(conn, conn->slot_first)->stream_at;
	conn->forwards_pending -= slot->is_forwarded;
}

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

/* Whether connection_receive would find room. It grows only for a request that is not whole. */
static bool
input_has_room(const struct connection *conn)
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

/* ---- answers ---- */

static size_t
output_waiting(const struct connection *conn)
{
	return conn->out.used - conn->out_sent;
}

/* A reply that begins at @mark found no room: takes it back and says so instead. */
static void
output_settle(struct connection *conn, size_t mark)
{
	if (!conn->out.is_full)
		return;
	conn->out.used = mark;
	conn->out.is_full = false;
	resp_error(&conn->out, "ERR the reply is larger than this server's output limit");
	if (conn->out.is_full)
		gateway_close(conn->gateway, conn);
}

static void
run_read(struct connection *conn, const struct slot *slot)
{
	struct gateway *gateway = conn->gateway;
	struct resp_parser parser = { 0 };
	struct resp_request request;
	const uint64_t offset = slot->stream_at - conn->in_at;
	const size_t mark = conn->out.used;

	INVARIANT(slot->stream_at >= conn->in_at && offset < conn->in_used);
	const enum resp_result result =
	    resp_parse(&parser, &gateway->limits, &gateway->room, conn->in + offset,
		       conn->in_used - offset, &request);
	INVARIANT(result == RESP_REQUEST);
	struct command_call call = {
		.gateway = gateway,
		.conn = conn,
		.args = request.args,
		.args_count = request.args_count,
		.out = &conn->out,
		.reader = gateway->reader,
	};
	slot->command->run(&call);
	output_settle(conn, mark);
}

struct view {
	bool is_open, is_judged;
	uint64_t applied_index;
	struct node_status status; /* is_judged: what was known when the view began, or before */
};

static void
answer_later(struct connection *conn)
{
	conn->gateway->needs_retry = true;
	gateway_dirty(conn->gateway, conn);
}

/* Class memory: a view of its own for each, for it may fail. */
static bool
answer_memory_read(struct connection *conn, const struct slot *slot, uint64_t need)
{
	struct gateway *gateway = conn->gateway;
	const size_t mark = conn->out.used;
	const bool is_there = state_read_begin_provisional(gateway->reader) >= need;

	if (is_there)
		run_read(conn, slot);
	const bool is_good = state_read_end_provisional(gateway->reader);
	if ((is_there && is_good) || conn->end != CONNECTION_OPEN)
		return true;
	conn->out.used = mark;
	answer_later(conn);
	return false;
}

/* Replicas show what is durable: no read point stands before it. So does WATCH, on which more rests
 * than an answer: after a rollback another write may have the position of one that is gone. */
static bool
is_memory_read(const struct connection *conn, const struct slot *slot)
{
	return conn->is_memory && slot->log_index != 0 && slot->command->run != cmd_watch;
}

/* On a connection that said READONLY a node that follows a master answers from what it has
 * applied: @wrong is set when it follows none. False: this read takes the ordinary way. */
static bool
is_read_local(struct connection *conn, const char **wrong)
{
	struct node_status status;

	if (!conn->is_readonly)
		return false;
	status_read(conn->gateway->status, &status);
	if (status.role == CORE_MASTER)
		return false;
	if (status.mode != CORE_MODE_REPLICA || status.master_id == 0)
		*wrong = "MASTERDOWN Link with MASTER is down and no replica may answer.";
	return true;
}

/* False: the state is not as far as the read needs it. */
static bool
answer_read(struct connection *conn, const struct slot *slot, struct view *view)
{
	struct gateway *gateway = conn->gateway;
	const uint64_t need = max_u64(slot->log_index, conn->last_write_index);

	const bool is_memory = is_memory_read(conn, slot);

	if (view->is_open && (is_memory || view->applied_index < need)) {
		state_read_end(gateway->reader);
		view->is_open = false;
	}
	if (is_memory)
		return answer_memory_read(conn, slot, need);
	if (!view->is_open) {
		view->applied_index = state_read_begin(gateway->reader);
		view->is_open = true;
	}
	if (view->applied_index >= need) {
		run_read(conn, slot);
		return true;
	}
	/* A replica has not yet applied a write of this connection's that went to the master. One
	 * that follows nobody any more might never. */
	const char *wrong = NULL;
	if (slot->is_local && is_read_local(conn, &wrong) && wrong != NULL) {
		resp_error(&conn->out, wrong);
		return true;
	}
	answer_later(conn);
	return false;
}

/* What is known of the age of a replica's state is that of the state then: it is read before the
 * view of the state begins, and holds for every read that shares the view. */
static bool
is_too_stale(struct connection *conn, struct view *view)
{
	struct gateway *gateway = conn->gateway;
	/* 0, no bound, is the largest of all. */
	const uint64_t stale_ns_max =
	    min_u64(conn->stale_ns_max - 1, gateway->stale_ns_max - 1) + 1;

	if (stale_ns_max == 0)
		return false;
	if (!view->is_judged) {
		if (view->is_open)
			state_read_end(gateway->reader);
		view->is_open = false;
		view->is_judged = true;
		status_read(gateway->status, &view->status);
	}
	const uint64_t age_ns = status_stale_ns(&view->status, gateway_now_ns());
	if (age_ns <= stale_ns_max)
		return false;
	if (age_ns == UINT64_MAX)
		resp_error(&conn->out, "STALE how old the state here is, is not known");
	else
		gateway_error(&conn->out,
			      "STALE the state here may be %llu ms old, %llu ms are allowed",
			      (unsigned long long)div_up_u64(age_ns, 1000000),
			      (unsigned long long)(stale_ns_max / 1000000));
	return true;
}

static void
answer_write(struct connection *conn, const struct slot *slot)
{
	if (slot->is_exec)
		multi_reply(conn, &conn->out, &slot->reply);
	else
		gateway_write_reply(&conn->out, &slot->reply);
	if (conn->out.is_full)
		gateway_close(conn->gateway, conn);
	conn->last_write_index = max_u64(conn->last_write_index, slot->log_index);
	conn->last_write_copies = slot->copies;
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

/* Answers from the head of the queue as far as the lcore has answered; true when it got further. */
static bool
answer(struct connection *conn)
{
	struct gateway *gateway = conn->gateway;
	struct view view = { 0 };
	bool has_moved = false;

	while (conn->end == CONNECTION_OPEN && !connection_is_idle(conn) &&
	       output_waiting(conn) < OUTPUT_WAIT_BYTES) {
		const struct slot *slot = slot_at(conn, conn->slot_first);
		const size_t mark = conn->out.used;
		if (!slot->is_ready)
			break;
		if (slot->outcome == SUBMIT_UNKNOWN) {
			/* Neither an error nor a success would be true. */
			conn->end = CONNECTION_DRAINING;
			gateway_count(&gateway->counters.unknown_closes, 1);
			break;
		}
		if (slot->outcome != SUBMIT_DONE) {
			gateway_refusal(gateway, &conn->out, slot);
			gateway_count(&gateway->counters.refusals, 1);
			note_refusal(conn, slot);
			if (conn->out.is_full)
				gateway_close(gateway, conn);
		} else if (slot->kind == SLOT_WRITE) {
			answer_write(conn, slot);
		} else if ((!slot->is_local || !is_too_stale(conn, &view)) &&
			   !answer_read(conn, slot, &view)) {
			break;
		}
		if (slot->is_silent && conn->end == CONNECTION_OPEN)
			conn->out.used = mark;
		if (slot->is_exec)
			multi_drop(conn);
		slot_pop(conn);
		has_moved = true;
	}
	if (view.is_open)
		state_read_end(gateway->reader);
	return has_moved;
}

/* ---- requests ---- */

/* Of the request that is taken now; SKIP is used up by it. */
static bool
reply_is_silent(struct connection *conn)
{
	const bool is_silent = conn->reply_mode != CONNECTION_REPLY_ON;

	if (conn->reply_mode == CONNECTION_REPLY_SKIP)
		conn->reply_mode = CONNECTION_REPLY_ON;
	return is_silent;
}

/* Answered at once. CLIENT REPLY changes the mode for the requests after it, and what it answers
 * itself follows from the new mode. */
static void
run_local(struct connection *conn, struct command_call *call, const struct gateway_command *command,
	  const char *wrong)
{
	const size_t mark = conn->out.used;
	const uint8_t mode = conn->reply_mode;
	const bool has_arity =
	    command != NULL && gateway_command_arity_fits(command, call->args_count);
	const bool is_queued = multi_takes(call, command);

	if (subscribe_refuses(&conn->subs, &conn->out, call->args[0]))
		resp_error(&conn->out, "ERR only (P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT / "
				       "RESET are allowed while subscribed in RESP2");
	else if (command == NULL)
		gateway_unknown_command(call);
	else if (!has_arity)
		gateway_wrong_arity(call, command);
	else if (wrong != NULL)
		resp_error(&conn->out, wrong);
	else if (is_queued)
		multi_queue(call, command);
	else
		command->run(call);
	conn->multi.is_aborted |= is_queued && !has_arity;
	if (conn->reply_mode == mode ? reply_is_silent(conn)
				     : conn->reply_mode != CONNECTION_REPLY_ON) {
		conn->out.used = mark;
		conn->out.is_full = false;
	}
	output_settle(conn, mark);
}

/* Room at the lcore or in the queue: true when the request was taken. */
static bool
take_read(struct connection *conn, const struct gateway_command *command)
{
	if (!connection_has_slot_room(conn))
		return false;
	if (gateway_join_read(conn->gateway, conn) != FLIGHT_TAKEN) {
		gateway_park(conn->gateway, conn);
		return false;
	}
	struct slot *slot = connection_slot_add(conn, SLOT_READ);
	slot->command = command;
	slot->is_silent = reply_is_silent(conn);
	return true;
}

static bool
take_local_read(struct connection *conn, const struct gateway_command *command)
{
	if (!connection_has_slot_room(conn))
		return false;
	struct slot *slot = connection_slot_add(conn, SLOT_READ);
	slot->command = command;
	slot->outcome = SUBMIT_DONE;
	slot->is_ready = true;
	slot->is_local = true;
	slot->is_silent = reply_is_silent(conn);
	gateway_count(&conn->gateway->counters.reads, 1);
	return true;
}

static bool
take_write(struct connection *conn, const struct gateway_command *command,
	   const struct write_plan *plan, bool *is_too_large)
{
	/* A read that was sent before this write must not see it. */
	if (conn->reads_pending > 0 || !connection_has_slot_room(conn))
		return false;
	/* What is under way to another node together may be executed in any order: a connection's
	 * writes go there one by one. */
	const bool is_forwarded = forward_takes(conn->gateway, plan);
	if (conn->forwards_pending > 0 || (is_forwarded && !connection_is_idle(conn)))
		return false;
	const enum flight_result result = is_forwarded
					      ? forward_write(conn->gateway, conn, plan)
					      : gateway_submit_write(conn->gateway, conn, plan);
	*is_too_large = result == FLIGHT_TOO_LARGE;
	if (result == FLIGHT_NO_ROOM)
		gateway_park(conn->gateway, conn);
	if (result != FLIGHT_TAKEN)
		return false;
	struct slot *slot = connection_slot_add(conn, SLOT_WRITE);
	slot->is_forwarded = is_forwarded;
	conn->forwards_pending += is_forwarded;
	slot->command = command;
	slot->is_silent = reply_is_silent(conn);
	slot->is_exec = plan->op == COMMAND_MULTI;
	if (slot->is_exec)
		multi_sent(conn);
	return true;
}

/* True: the request is taken. False: it stays in the input until the queue or the lcore has room.
 */
static bool
take_request(struct connection *conn, const struct resp_request *request)
{
	struct gateway *gateway = conn->gateway;
	struct command_call call = {
		.gateway = gateway,
		.conn = conn,
		.args = request->args,
		.args_count = request->args_count,
		.out = &conn->out,
	};
	const struct gateway_command *command = gateway_command_find(request->args[0]);
	conn->last_command = command != NULL ? command : conn->last_command;
	/* Nothing but the subscription's own commands reaches the lcore from a subscriber, and
	 * nothing but EXEC in a transaction. */
	const bool may_submit = command != NULL &&
				gateway_command_arity_fits(command, request->args_count) &&
				!subscribe_refuses(&conn->subs, &conn->out, request->args[0]) &&
				!multi_takes(&call, command);
	const char *wrong = NULL;

	if (may_submit && command->kind == GATEWAY_READ) {
		wrong = command->check(&call);
		const bool is_local = wrong == NULL && is_read_local(conn, &wrong);
		if (wrong == NULL)
			return is_local ? take_local_read(conn, command) : take_read(conn, command);
	} else if (may_submit && command->kind == GATEWAY_WRITE) {
		struct write_plan plan = { 0 };
		bool is_too_large = false;
		wrong = command->plan(&call, &plan);
		const bool has_command = wrong == NULL && plan.op != 0;
		if (has_command && take_write(conn, command, &plan, &is_too_large))
			return true;
		if (has_command && !is_too_large)
			return false;
		if (is_too_large)
			wrong = "ERR the command is larger than this server's limit";
	}
	/* Everything else is answered here, in its turn. */
	if (!connection_is_idle(conn))
		return false;
	if (command != NULL && command->run == cmd_sentinel &&
	    !gateway_may_say_master(conn, request))
		return false;
	run_local(conn, &call, command, wrong);
	return true;
}

static bool
take(struct connection *conn)
{
	struct gateway *gateway = conn->gateway;
	bool has_moved = false;

	conn->needs_more = false;
	while (conn->end == CONNECTION_OPEN && !conn->is_parked &&
	       output_waiting(conn) < OUTPUT_WAIT_BYTES) {
		const uint64_t offset = conn->parse_at - conn->in_at;
		struct resp_request request;
		INVARIANT(offset <= conn->in_used);
		const enum resp_result result =
		    resp_parse(&conn->parser, &gateway->limits, &gateway->room,
			       conn->in_used > offset ? conn->in + offset : NULL,
			       conn->in_used - offset, &request);
		if (result == RESP_MORE) {
			conn->needs_more = true;
			break;
		}
		if (result == RESP_ERROR) {
			conn->parser = (struct resp_parser){ 0 };
			if (!connection_is_idle(conn))
				break;
			gateway_count(&gateway->counters.protocol_errors, 1);
			resp_error(&conn->out, request.error);
			conn->end = CONNECTION_DRAINING;
			return true;
		}
		if (request.args_count > 0) {
			if (!take_request(conn, &request))
				break;
			conn->request_ns = gateway->now_ns;
			gateway_count(&gateway->counters.requests_total, 1);
		}
		conn->parse_at += request.bytes;
		has_moved = true;
	}
	return has_moved;
}

/* ---- output ---- */

static void
flush(struct connection *conn)
{
	struct resp_writer *out = &conn->out;

	if (conn->end == CONNECTION_DEAD || output_waiting(conn) == 0)
		return;
	const ssize_t sent = send(conn->fd, out->data + conn->out_sent, output_waiting(conn),
				  MSG_DONTWAIT | MSG_NOSIGNAL);
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
		memmove(out->data, out->data + conn->out_sent, output_waiting(conn));
		out->used -= conn->out_sent;
		conn->out_sent = 0;
	}
}

static void
input_shrink(struct connection *conn)
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

/* What is left to do once nothing more can be answered, taken or sent now. */
static void
settle(struct connection *conn, uint64_t now_ns)
{
	struct gateway *gateway = conn->gateway;
	const bool is_flushed = output_waiting(conn) == 0;

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
		input_shrink(conn);
}

static void
watch(struct connection *conn)
{
	uint32_t events = 0;

	if (conn->end == CONNECTION_LINGERING ||
	    (conn->end == CONNECTION_OPEN && !conn->is_eof && input_has_room(conn)))
		events |= EPOLLIN;
	if (output_waiting(conn) > 0)
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
			has_moved = answer(conn);
			has_moved |= take(conn);
		}
		if (has_moved && output_waiting(conn) < OUTPUT_WAIT_BYTES)
			continue;
		if (conn->is_leaving && conn->end == CONNECTION_OPEN && connection_is_idle(conn))
			conn->end = CONNECTION_DRAINING;
		const bool was_full = output_waiting(conn) >= OUTPUT_WAIT_BYTES;
		flush(conn);
		if (conn->end == CONNECTION_DEAD)
			return;
		if (!was_full || output_waiting(conn) >= OUTPUT_WAIT_BYTES)
			break;
	}
	settle(conn, now_ns);
	if (conn->end != CONNECTION_DEAD)
		watch(conn);
}
