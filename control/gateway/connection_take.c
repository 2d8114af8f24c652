/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a request: it is answered here, or goes to the lcore or to another node. What
 * finds no room there parks the connection, and the request stays in the input. */
#include "control/gateway/connection_internal.h"
#include "control/gateway/refusal.h"

#include "dataplane/base/invariant.h"

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
	connection_output_settle(conn, mark);
}

static struct slot *
read_slot_add(struct connection *conn, const struct gateway_command *command)
{
	struct slot *slot = connection_slot_add(conn, SLOT_READ);

	slot->command = command;
	slot->is_silent = reply_is_silent(conn);
	slot->is_exec = command == &multi_exec_read;
	if (slot->is_exec)
		multi_read_sent(conn);
	return slot;
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
	(void)read_slot_add(conn, command);
	return true;
}

static bool
take_local_read(struct connection *conn, const struct gateway_command *command)
{
	if (!connection_has_slot_room(conn))
		return false;
	struct slot *slot = read_slot_add(conn, command);
	slot->outcome = SUBMIT_DONE;
	slot->is_ready = true;
	slot->is_local = true;
	slot->taken_ns = conn->gateway->now_ns;
	gateway_count(&conn->gateway->counters.reads, 1);
	return true;
}

/* A read whose arguments are right: from what this node has applied, or at a read point. With
 * *@wrong set it is refused, otherwise true when it was taken. */
static bool
take_any_read(struct connection *conn, const struct gateway_command *command, const char **wrong)
{
	const bool is_local = connection_read_is_local(conn, wrong);

	if (*wrong != NULL)
		return false;
	return is_local ? take_local_read(conn, command) : take_read(conn, command);
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
	slot->class_ = (uint8_t)gateway_plan_class(conn, plan);
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
	const struct gateway_command *command = gateway_command_find(gateway, request->args[0]);
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
		const bool is_taken = wrong == NULL && take_any_read(conn, command, &wrong);
		if (wrong == NULL)
			return is_taken;
	} else if (may_submit && command->kind == GATEWAY_WRITE) {
		struct write_plan plan = { 0 };
		bool is_too_large = false;
		wrong = command->plan(&call, &plan);
		if (wrong == NULL && plan.is_read) {
			const bool is_taken = take_any_read(conn, &multi_exec_read, &wrong);
			if (wrong == NULL)
				return is_taken;
			multi_drop(conn); /* refused, and MULTI leaves nothing behind it */
		}
		const bool has_command = wrong == NULL && plan.op != 0;
		if (has_command && take_write(conn, command, &plan, &is_too_large))
			return true;
		if (has_command && !is_too_large)
			return false;
		if (is_too_large)
			wrong = gateway_too_large(gateway, &plan, forward_takes(gateway, &plan));
	}
	/* Everything else is answered here, in its turn. */
	if (!connection_is_idle(conn))
		return false;
	if (command != NULL && command->names_master && !gateway_may_say_master(conn, request))
		return false;
	run_local(conn, &call, command, wrong);
	return true;
}

bool
connection_take(struct connection *conn)
{
	struct gateway *gateway = conn->gateway;
	bool has_moved = false;

	conn->needs_more = false;
	while (conn->end == CONNECTION_OPEN && !conn->is_parked &&
	       connection_output_waiting(conn) < OUTPUT_WAIT_BYTES) {
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
