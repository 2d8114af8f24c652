/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a transaction that only reads: it is answered from one view of the state, as any
 * read is, and nothing is logged. The parts are those that would have been logged, and say the same
 * here as when they are applied (dataplane/state/apply_multi.c); a test asks both.
 */
#include <string.h>

#include "control/gateway/gateway_internal.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/decimal.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"

/* Decodes the part at *@at and moves behind it. */
static struct command
part_take(const uint8_t **at)
{
	struct command part;
	le32 length;

	memcpy(&length, *at, sizeof(length));
	const struct command_arg bytes = { *at + sizeof(length), le32_get(length) };
	command_part(bytes, &part);
	*at = bytes.data + bytes.bytes;
	return part;
}

static struct state_value
key_value(struct state_reader *reader, const struct command *part, const uint8_t **cursor)
{
	struct command_arg key;
	const bool has_key = command_arg_next(part, cursor, &key);

	INVARIANT(has_key);
	return state_read_get(reader, key.data, key.bytes);
}

/* A watched key was last written by the write that was seen then, or is as absent. */
static bool
check_holds(struct state_reader *reader, const struct command *check)
{
	const uint8_t *cursor = check->args;
	const struct state_value value = key_value(reader, check, &cursor);
	struct command_arg log_index, slot;

	INVARIANT(check->op == COMMAND_CHECK);
	if (!command_arg_next(check, &cursor, &log_index))
		return value.type == STATE_NONE;
	const bool has_slot = command_arg_next(check, &cursor, &slot);
	INVARIANT(has_slot);
	return value.type != STATE_NONE &&
	       value.version.log_index == (uint64_t)command_arg_i64(log_index) &&
	       (int64_t)value.version.slot == command_arg_i64(slot);
}

static int64_t
value_length(const struct state_value *value)
{
	uint8_t decimal[DECIMAL_BYTES_MAX];

	switch (value->type) {
	case STATE_NONE:
		return 0;
	case STATE_BYTES:
		return value->bytes;
	case STATE_INTEGER:
		return decimal_write(value->integer, decimal);
	}
	return 0;
}

static struct reply
value_reply(const struct state_value *value)
{
	switch (value->type) {
	case STATE_NONE:
		break;
	case STATE_BYTES:
		return (struct reply){ .kind = REPLY_BYTES,
				       .bytes = value->bytes,
				       .data = value->data };
	case STATE_INTEGER:
		return (struct reply){ .kind = REPLY_DECIMAL, .value = value->integer };
	}
	return (struct reply){ .kind = REPLY_NULL };
}

struct reply
multi_part_read(struct state_reader *reader, const uint8_t **at)
{
	const struct command part = part_take(at);
	const uint8_t *cursor = part.args;
	struct state_value value = key_value(reader, &part, &cursor);
	struct reply reply = { .kind = REPLY_INTEGER };

	if (part.op == COMMAND_GET)
		return value_reply(&value);
	if (part.op == COMMAND_EXPIRY) {
		reply.kind = value.type != STATE_NONE ? REPLY_EXPIRY : REPLY_NULL;
		reply.value = (int64_t)value.expires_ns;
		reply.delta = (int64_t)max_u64(platform_wall_ns(), state_read_time_ns(reader));
		return reply;
	}
	if (part.op == COMMAND_LENGTH) {
		reply.value = value_length(&value);
		return reply;
	}
	INVARIANT(part.op == COMMAND_EXISTS);
	reply.value = value.type != STATE_NONE;
	for (uint32_t i = 1; i < part.args_count; i++) {
		value = key_value(reader, &part, &cursor);
		reply.value += value.type != STATE_NONE;
	}
	return reply;
}

bool
multi_checks_hold(struct state_reader *reader, const uint8_t **at, uint32_t count)
{
	bool is_good = true;

	for (uint32_t i = 0; i < count; i++) {
		const struct command check = part_take(at);
		is_good = is_good && check_holds(reader, &check);
	}
	return is_good;
}
