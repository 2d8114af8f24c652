/* SPDX-License-Identifier: Apache-2.0 */
/* Writes: from arguments to a plan of one command of the log. */
#include "control/gateway/arguments.h"
#include "control/gateway/gateway_internal.h"

#define TEXT_KEY      "ERR a key has 1 to 1024 bytes"
#define TEXT_INTEGER  "ERR value is not an integer or out of range"
#define TEXT_SYNTAX   "ERR syntax error"
#define TEXT_TOO_MANY "ERR too many arguments for one command"

/* What follows SET key value. */
static const char *
set_options(const struct command_call *call, struct write_plan *plan)
{
	const uint8_t both = COMMAND_IF_ABSENT | COMMAND_IF_PRESENT;
	const uint8_t expiry = COMMAND_EXPIRE_IN | COMMAND_EXPIRE_AT;

	for (uint32_t i = 3; i < call->args_count; i++) {
		bool is_known;
		const char *wrong = cmd_expiry_option(call, &i, plan, &is_known);
		if (wrong != NULL)
			return wrong;
		if (is_known)
			continue;
		if (resp_is(call->args[i], "nx"))
			plan->flags |= COMMAND_IF_ABSENT;
		else if (resp_is(call->args[i], "xx"))
			plan->flags |= COMMAND_IF_PRESENT;
		else if (resp_is(call->args[i], "get"))
			plan->flags |= COMMAND_GET_OLD;
		else if (resp_is(call->args[i], "keepttl") && (plan->flags & expiry) == 0)
			plan->flags |= COMMAND_KEEP_EXPIRY;
		else
			return TEXT_SYNTAX; /* refused, never ignored */
	}
	return (plan->flags & both) == both ? TEXT_SYNTAX : NULL;
}

const char *
cmd_set_plan(const struct command_call *call, struct write_plan *plan)
{
	const char *wrong = set_options(call, plan);

	if (wrong != NULL)
		return wrong;
	if (!gateway_key_fits(call->args[1]))
		return TEXT_KEY;
	plan->op = COMMAND_SET;
	plan->args = call->args + 1;
	plan->args_count = 2;
	return gateway_value_wrong(call, call->args[2]);
}

const char *
cmd_getset_plan(const struct command_call *call, struct write_plan *plan)
{
	const char *wrong = cmd_set_plan(call, plan);

	plan->flags = COMMAND_GET_OLD;
	return wrong;
}

/* MSETNX of one pair: its reply is 1 or 0. */
const char *
cmd_setnx_plan(const struct command_call *call, struct write_plan *plan)
{
	return cmd_msetnx_plan(call, plan);
}

const char *
cmd_append_plan(const struct command_call *call, struct write_plan *plan)
{
	const char *wrong = cmd_set_plan(call, plan);

	plan->op = COMMAND_APPEND;
	return wrong;
}

const char *
cmd_msetnx_plan(const struct command_call *call, struct write_plan *plan)
{
	if (call->args_count % 2 == 0)
		return "ERR wrong number of arguments for 'msetnx' command";
	plan->flags = COMMAND_IF_ABSENT;
	return cmd_mset_plan(call, plan);
}

const char *
cmd_getdel_plan(const struct command_call *call, struct write_plan *plan)
{
	plan->flags = COMMAND_GET_OLD;
	return cmd_del_plan(call, plan);
}

const char *
cmd_mset_plan(const struct command_call *call, struct write_plan *plan)
{
	if (call->args_count % 2 == 0)
		return "ERR wrong number of arguments for 'mset' command";
	if (call->args_count - 1 > COMMAND_ARGS_MAX)
		return TEXT_TOO_MANY;
	for (uint32_t i = 1; i < call->args_count; i += 2) {
		if (!gateway_key_fits(call->args[i]))
			return TEXT_KEY;
		const char *wrong = gateway_value_wrong(call, call->args[i + 1]);
		if (wrong != NULL)
			return wrong;
	}
	plan->op = COMMAND_MSET;
	plan->args = call->args + 1;
	plan->args_count = call->args_count - 1;
	return NULL;
}

const char *
cmd_del_plan(const struct command_call *call, struct write_plan *plan)
{
	if (call->args_count - 1 > COMMAND_ARGS_MAX)
		return TEXT_TOO_MANY;
	for (uint32_t i = 1; i < call->args_count; i++) {
		if (!gateway_key_fits(call->args[i]))
			return TEXT_KEY;
	}
	plan->op = COMMAND_DELETE;
	plan->args = call->args + 1;
	plan->args_count = call->args_count - 1;
	return NULL;
}

static const char *
plan_add(const struct command_call *call, int64_t delta, struct write_plan *plan)
{
	if (!gateway_key_fits(call->args[1]))
		return TEXT_KEY;
	plan->op = COMMAND_ADD;
	plan->args = call->args + 1;
	plan->args_count = 1;
	plan->integers[0] = delta;
	plan->integers_count = 1;
	return NULL;
}

const char *
cmd_incr_plan(const struct command_call *call, struct write_plan *plan)
{
	return plan_add(call, 1, plan);
}

const char *
cmd_decr_plan(const struct command_call *call, struct write_plan *plan)
{
	return plan_add(call, -1, plan);
}

const char *
cmd_incrby_plan(const struct command_call *call, struct write_plan *plan)
{
	int64_t delta = 0;

	if (!resp_i64(call->args[2], &delta))
		return TEXT_INTEGER;
	return plan_add(call, delta, plan);
}

const char *
cmd_decrby_plan(const struct command_call *call, struct write_plan *plan)
{
	int64_t delta = 0;

	if (!resp_i64(call->args[2], &delta))
		return TEXT_INTEGER;
	/* Its negative does not exist in 64 bits. */
	if (delta == INT64_MIN)
		return "ERR decrement would overflow";
	return plan_add(call, -delta, plan);
}

/* TERN.INCRBY key delta [MIN n] [MAX n] */
const char *
cmd_tern_incrby_plan(const struct command_call *call, struct write_plan *plan)
{
	int64_t delta = 0, min = 0, max = 0, bound = 0;
	uint8_t flags = 0;

	if (!resp_i64(call->args[2], &delta))
		return TEXT_INTEGER;
	for (uint32_t i = 3; i < call->args_count; i += 2) {
		const bool is_min = resp_is(call->args[i], "min");
		const uint8_t flag = is_min ? COMMAND_HAS_MIN : COMMAND_HAS_MAX;
		if ((!is_min && !resp_is(call->args[i], "max")) || i + 1 == call->args_count ||
		    (flags & flag) != 0)
			return TEXT_SYNTAX;
		if (!resp_i64(call->args[i + 1], &bound))
			return TEXT_INTEGER;
		flags |= flag;
		if (is_min)
			min = bound;
		else
			max = bound;
	}
	const char *wrong = plan_add(call, delta, plan);
	plan->flags = flags;
	if ((flags & COMMAND_HAS_MIN) != 0)
		plan->integers[plan->integers_count++] = min;
	if ((flags & COMMAND_HAS_MAX) != 0)
		plan->integers[plan->integers_count++] = max;
	return wrong;
}
