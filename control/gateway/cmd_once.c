/* SPDX-License-Identifier: Apache-2.0 */
/* Exactly once for RESP clients: a session, and writes under a number of it. A client that lost its
 * connection repeats the same line at the new master and gets the answer of the first time. */
#include "control/gateway/gateway_internal.h"
#include "dataplane/base/bits.h"

#define TEXT_NUMBER "ERR a session and a sequence number are integers from 1"

/* TERN.ONCE client_id seq command [arg ...]; in a transaction TERN.ONCE client_id seq EXEC. */
const char *
cmd_tern_once_plan(const struct command_call *call, struct write_plan *plan)
{
	const struct gateway_command *inner = gateway_command_find(call->gateway, call->args[3]);
	struct command_call inner_call = *call;
	int64_t client_id = 0, seq = 0;

	if (!resp_i64(call->args[1], &client_id) || !resp_i64(call->args[2], &seq) ||
	    client_id < 1 || seq < 1)
		return TEXT_NUMBER;
	if (call->conn->class_ == COMMAND_ASYNC)
		return "CLASS TERN.ONCE is for who wants to know, and async has no result: "
		       "TERN.CLASS durable or memory";
	if (inner == NULL || inner->kind != GATEWAY_WRITE || inner->form == MULTI_ONCE ||
	    inner->form == MULTI_REFUSED)
		return "ERR TERN.ONCE takes a command that writes";
	inner_call.args += 3;
	inner_call.args_count -= 3;
	if (!gateway_command_arity_fits(inner, inner_call.args_count))
		return "ERR wrong number of arguments for the command of TERN.ONCE";
	const char *wrong = inner->plan(&inner_call, plan);
	if (wrong != NULL)
		return wrong;
	if (plan->op == 0)
		return "ERR TERN.ONCE takes no empty transaction";
	/* Sessions keep numbers as answers, not bytes. */
	if ((plan->flags & (COMMAND_GET_OLD | COMMAND_IF_ABSENT | COMMAND_IF_PRESENT)) != 0 ||
	    plan->op == COMMAND_GET)
		return "ERR TERN.ONCE takes no command with such options";
	plan->is_read = false; /* a repeat has to find it in the session */
	plan->client_id = (uint64_t)client_id;
	plan->seq = (uint64_t)seq;
	/* Which numbers the client has still open is not said: all that the window can hold. */
	plan->open_window = (uint16_t)min_u64(plan->seq - 1, STATE_SESSION_WINDOW - 1);
	return NULL;
}

/* TERN.SESSION OPEN | CLOSE client_id */
const char *
cmd_tern_session_plan(const struct command_call *call, struct write_plan *plan)
{
	int64_t client_id = 0;

	if (resp_is(call->args[1], "open") && call->args_count == 2) {
		plan->op = COMMAND_SESSION_OPEN;
		return NULL;
	}
	if (!resp_is(call->args[1], "close") || call->args_count != 3)
		return "ERR syntax: TERN.SESSION OPEN, or TERN.SESSION CLOSE client_id";
	if (!resp_i64(call->args[2], &client_id) || client_id < 1)
		return TEXT_NUMBER;
	plan->op = COMMAND_SESSION_CLOSE;
	plan->client_id = (uint64_t)client_id;
	return NULL;
}
