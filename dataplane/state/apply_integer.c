/* SPDX-License-Identifier: Apache-2.0 */
/* ADD: integers, their bounds, and which byte strings count as one. */
#include "dataplane/base/invariant.h"
#include "dataplane/state/target.h"

/* "0", or an optional '-' and digits without a leading zero, within the 64-bit range. */
static bool
integer_parse(const uint8_t *text, uint32_t bytes, int64_t *integer)
{
	const bool is_negative = bytes > 0 && text[0] == '-';
	const uint32_t start = is_negative ? 1 : 0;
	const uint64_t limit = (uint64_t)INT64_MAX + is_negative;
	uint64_t sum = 0; /* 19 digits fit */

	if (bytes == start || bytes - start > 19)
		return false;
	if (text[start] == '0' && bytes > 1)
		return false;
	for (uint32_t i = start; i < bytes; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		sum = sum * 10 + (uint64_t)(text[i] - '0');
	}
	*integer = (int64_t)(is_negative ? 0 - sum : sum);
	return sum <= limit;
}

static bool
target_integer(const struct target *target, int64_t *integer)
{
	struct version *version = target->version;

	*integer = 0;
	if (version == NULL)
		return true;
	if (version_type(version) == STATE_INTEGER) {
		*integer = version_integer(version);
		return true;
	}
	return integer_parse(version_data(version), version_bytes(version), integer);
}

/* Writes the refusal; false when @result keeps within what the command allows. */
static bool
is_out_of_bounds(const struct command *command, const uint8_t *cursor, int64_t value, int64_t delta,
		 int64_t *result, struct reply *reply)
{
	const bool is_over = __builtin_add_overflow(value, delta, result);
	struct command_arg arg;

	for (uint32_t i = 0; i < 2; i++) {
		const bool is_max = i == 1;
		if ((command->flags & (is_max ? COMMAND_HAS_MAX : COMMAND_HAS_MIN)) == 0)
			continue;
		if (!command_arg_next(command, &cursor, &arg))
			return false;
		const int64_t bound = command_arg_i64(arg);
		const bool is_beyond = is_max ? *result > bound : *result < bound;
		if (is_over ? is_max != (delta > 0) : !is_beyond)
			continue;
		*reply = (struct reply){ .kind = REPLY_BOUND,
					 .is_max = is_max,
					 .value = value,
					 .delta = delta,
					 .bound = bound };
		return true;
	}
	if (is_over)
		reply->kind = REPLY_OVERFLOW;
	return is_over;
}

void
apply_add(struct state *state, struct state_position at, const struct command *command,
	  struct reply *reply)
{
	const uint8_t *cursor = command->args;
	struct command_arg key, arg;
	int64_t value = 0, sum = 0;

	if (!command_arg_next(command, &cursor, &key) || !command_arg_next(command, &cursor, &arg))
		INVARIANT(false && "command_decode has counted the arguments");
	const int64_t delta = command_arg_i64(arg);
	const struct target target = target_of(state, at, key);
	if (!target_integer(&target, &value)) {
		reply->kind = REPLY_NOT_INTEGER;
		return;
	}
	if (is_out_of_bounds(command, cursor, value, delta, &sum, reply))
		return;
	const struct value result = { .type = STATE_INTEGER,
				      .bytes = 8,
				      .integer = sum,
				      .expires_ns = target_expires_ns(&target) };
	if (!target_has_capacity(state, target_growth(&target, &result), reply))
		return;
	target_put(state, &target, at, &result);
	reply->kind = REPLY_INTEGER;
	reply->value = result.integer;
}
