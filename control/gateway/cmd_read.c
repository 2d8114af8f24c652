/* SPDX-License-Identifier: Apache-2.0 */
/* Reads of the state machine: check runs when the request is taken, the rest inside a view. */
#include "control/gateway/arguments.h"
#include "control/gateway/gateway_internal.h"
#include "dataplane/base/decimal.h"

const char *
cmd_any_check(const struct command_call *call)
{
	(void)call;
	return NULL;
}

const char *
cmd_keys_check(const struct command_call *call)
{
	for (uint32_t i = 1; i < call->args_count; i++) {
		if (!gateway_key_fits(call->args[i]))
			return "ERR a key has 1 to 1024 bytes";
	}
	return NULL;
}

static void
reply_value(struct command_call *call, struct resp_arg key)
{
	const struct state_value value = state_read_get(call->reader, key.data, key.bytes);

	switch (value.type) {
	case STATE_NONE:
		resp_null(call->out);
		return;
	case STATE_BYTES:
		resp_bulk(call->out, value.data, value.bytes);
		return;
	case STATE_INTEGER:
		resp_bulk_i64(call->out, value.integer);
		return;
	}
}

void
cmd_get(struct command_call *call)
{
	reply_value(call, call->args[1]);
}

void
cmd_mget(struct command_call *call)
{
	resp_array(call->out, call->args_count - 1);
	/* A reply over the output limit is taken back whole: no need to look at the rest. */
	for (uint32_t i = 1; i < call->args_count && !call->out->is_full; i++)
		reply_value(call, call->args[i]);
}

void
cmd_exists(struct command_call *call)
{
	int64_t count = 0;

	for (uint32_t i = 1; i < call->args_count; i++) {
		const struct resp_arg key = call->args[i];
		if (state_read_get(call->reader, key.data, key.bytes).type != STATE_NONE)
			count++;
	}
	resp_integer(call->out, count);
}

/* What APPEND and GET see: an integer is its decimal text. */
void
cmd_strlen(struct command_call *call)
{
	const struct state_value value =
	    state_read_get(call->reader, call->args[1].data, call->args[1].bytes);
	uint8_t decimal[DECIMAL_BYTES_MAX];

	switch (value.type) {
	case STATE_NONE:
		resp_integer(call->out, 0);
		return;
	case STATE_BYTES:
		resp_integer(call->out, value.bytes);
		return;
	case STATE_INTEGER:
		resp_integer(call->out, decimal_write(value.integer, decimal));
		return;
	}
}

void
cmd_type(struct command_call *call)
{
	const struct state_value value =
	    state_read_get(call->reader, call->args[1].data, call->args[1].bytes);

	resp_simple(call->out, value.type == STATE_NONE ? "none" : "string");
}

void
cmd_dbsize(struct command_call *call)
{
	resp_integer(call->out, (int64_t)state_read_key_count(call->reader));
}
