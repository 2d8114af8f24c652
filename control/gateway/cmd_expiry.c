/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times to live. A relative time goes into the log as it was given: the time of the block, which
 * the master decided, is what it is added to. So this node's clock decides nothing but how many
 * seconds TTL says are left.
 */
#include <stdio.h>

#include "control/gateway/arguments.h"
#include "control/gateway/gateway_internal.h"
#include "control/gateway/refusal.h"
#include "control/gateway/reply.h"
#include "dataplane/base/bits.h"
#include "hw/platform/platform.h"

#define SECOND_NS 1000000000ll
#define MS_NS     1000000ll

/* How a command gives its time. */
struct unit {
	const char *option;
	int64_t unit_ns;
	uint8_t flag;
};
enum { SECONDS_IN = 0, MS_IN, SECONDS_AT, MS_AT };
static const struct unit units[] = {
	[SECONDS_IN] = { "ex", SECOND_NS, COMMAND_EXPIRE_IN },
	[MS_IN] = { "px", MS_NS, COMMAND_EXPIRE_IN },
	[SECONDS_AT] = { "exat", SECOND_NS, COMMAND_EXPIRE_AT },
	[MS_AT] = { "pxat", MS_NS, COMMAND_EXPIRE_AT },
};

static const char *
invalid_time(const struct command_call *call)
{
	struct gateway *gateway = call->gateway;
	char name[64];

	gateway_printable(call->args[0], name, sizeof(name));
	for (char *c = name; *c != 0; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
	(void)snprintf(gateway->refusal, sizeof(gateway->refusal),
		       "ERR invalid expire time in '%s' command", name);
	return gateway->refusal;
}

/* Puts the time at args[@at] into @plan; NULL, or what is wrong. */
static const char *
time_read(const struct command_call *call, uint32_t at, const struct unit *unit, bool is_positive,
	  struct write_plan *plan)
{
	int64_t value = 0, ns = 0;

	if (!resp_i64(call->args[at], &value))
		return "ERR value is not an integer or out of range";
	if ((is_positive && value <= 0) || __builtin_mul_overflow(value, unit->unit_ns, &ns))
		return invalid_time(call);
	plan->integers[0] = ns;
	plan->integers_count = 1;
	plan->flags |= unit->flag;
	return NULL;
}

const char *
cmd_expiry_option(const struct command_call *call, uint32_t *at, struct write_plan *plan,
		  bool *is_known)
{
	const uint8_t chosen = COMMAND_EXPIRE_IN | COMMAND_EXPIRE_AT | COMMAND_KEEP_EXPIRY;

	*is_known = false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!resp_is(call->args[*at], units[i].option))
			continue;
		*is_known = true;
		if ((plan->flags & chosen) != 0 || *at + 1 == call->args_count)
			return "ERR syntax error";
		return time_read(call, ++*at, &units[i], true, plan);
	}
	return NULL;
}

/* SETEX key seconds value: the value comes last. */
static const char *
setex_plan(const struct command_call *call, const struct unit *unit, struct write_plan *plan)
{
	struct gateway *gateway = call->gateway;
	const char *wrong = time_read(call, 2, unit, true, plan);

	if (wrong != NULL)
		return wrong;
	gateway->plan_args[0] = call->args[1];
	gateway->plan_args[1] = call->args[3];
	plan->op = COMMAND_SET;
	plan->args = gateway->plan_args;
	plan->args_count = 2;
	return gateway_key_fits(call->args[1]) ? gateway_value_wrong(call, call->args[3])
					       : "ERR a key has 1 to 1024 bytes";
}

const char *
cmd_setex_plan(const struct command_call *call, struct write_plan *plan)
{
	return setex_plan(call, &units[SECONDS_IN], plan);
}

const char *
cmd_psetex_plan(const struct command_call *call, struct write_plan *plan)
{
	return setex_plan(call, &units[MS_IN], plan);
}

/* What follows EXPIRE key time. */
static const char *
conditions_read(const struct command_call *call, struct write_plan *plan)
{
	static const struct {
		const char *option;
		uint8_t flag;
	} options[] = { { "nx", COMMAND_IF_ABSENT },
			{ "xx", COMMAND_IF_PRESENT },
			{ "gt", COMMAND_IF_LATER },
			{ "lt", COMMAND_IF_SOONER } };
	uint8_t flags = 0;

	for (uint32_t i = 3; i < call->args_count; i++) {
		uint8_t flag = 0;
		for (size_t o = 0; o < sizeof(options) / sizeof(options[0]); o++)
			flag |= resp_is(call->args[i], options[o].option) ? options[o].flag : 0;
		if (flag == 0) {
			char text[64];
			gateway_printable(call->args[i], text, sizeof(text));
			(void)snprintf(call->gateway->refusal, sizeof(call->gateway->refusal),
				       "ERR Unsupported option %s", text);
			return call->gateway->refusal;
		}
		flags |= flag;
	}
	if ((flags & COMMAND_IF_ABSENT) != 0 && flags != COMMAND_IF_ABSENT)
		return "ERR NX and XX, GT or LT options at the same time are not compatible";
	if ((flags & COMMAND_IF_LATER) != 0 && (flags & COMMAND_IF_SOONER) != 0)
		return "ERR GT and LT options at the same time are not compatible";
	plan->flags |= flags;
	return NULL;
}

static const char *
expire_plan(const struct command_call *call, const struct unit *unit, struct write_plan *plan)
{
	const char *wrong = time_read(call, 2, unit, false, plan);

	if (wrong == NULL)
		wrong = conditions_read(call, plan);
	plan->op = COMMAND_EXPIRE;
	plan->args = call->args + 1;
	plan->args_count = 1;
	if (wrong == NULL && !gateway_key_fits(call->args[1]))
		wrong = "ERR a key has 1 to 1024 bytes";
	return wrong;
}

const char *
cmd_expire_plan(const struct command_call *call, struct write_plan *plan)
{
	return expire_plan(call, &units[SECONDS_IN], plan);
}

const char *
cmd_pexpire_plan(const struct command_call *call, struct write_plan *plan)
{
	return expire_plan(call, &units[MS_IN], plan);
}

const char *
cmd_expireat_plan(const struct command_call *call, struct write_plan *plan)
{
	return expire_plan(call, &units[SECONDS_AT], plan);
}

const char *
cmd_pexpireat_plan(const struct command_call *call, struct write_plan *plan)
{
	return expire_plan(call, &units[MS_AT], plan);
}

const char *
cmd_persist_plan(const struct command_call *call, struct write_plan *plan)
{
	plan->op = COMMAND_PERSIST;
	plan->args = call->args + 1;
	plan->args_count = 1;
	return gateway_key_fits(call->args[1]) ? NULL : "ERR a key has 1 to 1024 bytes";
}

/* GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] */
const char *
cmd_getex_plan(const struct command_call *call, struct write_plan *plan)
{
	const char *wrong = cmd_persist_plan(call, plan);
	uint32_t at = 2;
	bool is_known;

	if (wrong != NULL)
		return wrong;
	if (call->args_count == 2) {
		plan->op = COMMAND_GET;
		plan->reply_bytes = call->gateway->value_bytes_max;
		return NULL;
	}
	plan->flags = COMMAND_GET_OLD;
	if (resp_is(call->args[2], "persist"))
		return call->args_count == 3 ? NULL : "ERR syntax error";
	plan->op = COMMAND_EXPIRE;
	wrong = cmd_expiry_option(call, &at, plan, &is_known);
	if (wrong == NULL && (!is_known || call->args_count != 4))
		return "ERR syntax error";
	return wrong;
}

/* ---- what is left ---- */

/* Whether a key is there is as of the last block; what is left of it, as of now: blocks need not
 * come while nobody writes. */
static void
reply_left(struct command_call *call, enum multi_form form)
{
	const struct state_value value =
	    state_read_get(call->reader, call->args[1].data, call->args[1].bytes);

	gateway_expiry_reply(call->out, (uint8_t)form, value.type != STATE_NONE, value.expires_ns,
			     max_u64(platform_wall_ns(), state_read_time_ns(call->reader)));
}

void
cmd_ttl(struct command_call *call)
{
	reply_left(call, MULTI_TTL);
}

void
cmd_pttl(struct command_call *call)
{
	reply_left(call, MULTI_PTTL);
}

void
cmd_expiretime(struct command_call *call)
{
	reply_left(call, MULTI_EXPIRETIME);
}

void
cmd_pexpiretime(struct command_call *call)
{
	reply_left(call, MULTI_PEXPIRETIME);
}
