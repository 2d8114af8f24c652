/* SPDX-License-Identifier: Apache-2.0 */
/* MULTI, EXEC, DISCARD, WATCH and UNWATCH. What is queued between them: multi.c. */
#include "control/gateway/gateway_internal.h"
#include "dataplane/base/bits.h"

void
cmd_multi(struct command_call *call)
{
	struct multi *multi = &call->conn->multi;

	if (multi->is_open) {
		resp_error(call->out, "ERR MULTI calls can not be nested");
		return;
	}
	multi->is_open = true;
	resp_simple(call->out, "OK");
}

void
cmd_discard(struct command_call *call)
{
	if (!call->conn->multi.is_open) {
		resp_error(call->out, "ERR DISCARD without MULTI");
		return;
	}
	multi_drop(call->conn);
	resp_simple(call->out, "OK");
}

/* In a transaction it is queued and does nothing: EXEC drops the watches anyway. */
void
cmd_unwatch(struct command_call *call)
{
	multi_drop(call->conn);
	resp_simple(call->out, "OK");
}

const char *
cmd_watch_check(const struct command_call *call)
{
	if (call->conn->multi.is_open)
		return "ERR WATCH inside MULTI is not allowed";
	return cmd_keys_check(call);
}

/* The view is of what is committed, so that no other write will ever have these positions. */
void
cmd_watch(struct command_call *call)
{
	for (uint32_t i = 1; i < call->args_count; i++) {
		const struct resp_arg key = call->args[i];
		const struct state_value value = state_read_get(call->reader, key.data, key.bytes);
		const struct write_plan check = {
			.op = COMMAND_CHECK,
			.args = &key,
			.args_count = 1,
			.integers = { (int64_t)value.version.log_index, value.version.slot },
			.integers_count = value.type == STATE_NONE ? 0 : 2,
		};
		if (!multi_watch(call->conn, &check)) {
			resp_error(call->out, "ERR too many watched keys for one transaction");
			return;
		}
	}
	resp_simple(call->out, "OK");
}

const char *
cmd_exec_plan(const struct command_call *call, struct write_plan *plan)
{
	struct multi *multi = &call->conn->multi;

	if (!multi->is_open)
		return "ERR EXEC without MULTI";
	if (multi->is_aborted) {
		multi_drop(call->conn);
		return "EXECABORT Transaction discarded because of previous errors.";
	}
	if (multi->parts_count == 0)
		return NULL; /* nothing to submit: cmd_exec answers */
	plan->op = COMMAND_MULTI;
	plan->is_read = !multi->has_write;
	plan->encoded = multi->parts;
	plan->encoded_bytes = multi->parts_used;
	plan->encoded_count = multi->parts_count;
	plan->reply_bytes =
	    min_u64(min_u64(multi->reply_bytes, state_multi_bytes_max(call->gateway->state)),
		    call->gateway->channel->reply_bytes_max);
	return NULL;
}

/* Of a transaction without parts: commands of the kind that does nothing. */
void
cmd_exec(struct command_call *call)
{
	const uint32_t count = call->conn->multi.entries_count;

	multi_drop(call->conn);
	resp_array(call->out, count);
	for (uint32_t i = 0; i < count; i++)
		resp_simple(call->out, "OK");
}
