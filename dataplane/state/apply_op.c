/* SPDX-License-Identifier: Apache-2.0 */
/* The operations. What a command may do is decided before its first write: it is done whole or not
 * at all. */
#include "dataplane/base/decimal.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/target.h"

static struct value
bytes_value(struct command_arg arg)
{
	return (struct value){ .type = STATE_BYTES, .bytes = arg.bytes, .data = arg.data };
}

/* Reads the next pair; false at the end. */
static bool
pair_next(const struct command *command, const uint8_t **cursor, struct command_arg *key,
	  struct command_arg *data)
{
	return command_arg_next(command, cursor, key) && command_arg_next(command, cursor, data);
}

static void
apply_set(struct state *state, struct state_position at, const struct command *command,
	  struct reply *reply)
{
	const uint8_t *cursor = command->args;
	struct command_arg key, data;

	if (!pair_next(command, &cursor, &key, &data))
		INVARIANT(false && "command_decode has counted the arguments");
	const struct target target = target_of(state, at, key);
	const uint8_t refused_by = target.version == NULL ? COMMAND_IF_PRESENT : COMMAND_IF_ABSENT;
	const bool gets_old = (command->flags & COMMAND_GET_OLD) != 0;
	struct value value = bytes_value(data);

	if ((command->flags & COMMAND_KEEP_EXPIRY) != 0)
		value.expires_ns = target_expires_ns(&target);
	else if (command_arg_next(command, &cursor, &key))
		value.expires_ns = expiry_of(state, command, key);

	value.keeps_old = gets_old;
	if ((command->flags & refused_by) == 0) {
		const bool is_long = data.bytes > state->config.value_bytes_max;
		const uint64_t growth = is_long ? UINT64_MAX / 2 : target_growth(&target, &value);
		if (!target_has_capacity(state, growth, reply))
			return;
		target_put(state, &target, at, &value);
		reply->kind = REPLY_OK;
	} else {
		reply->kind = REPLY_NULL;
	}
	if (gets_old)
		target_lend(&target, reply);
}

/* The growth of all pairs is added up first; a key that occurs twice counts twice. */
static void
apply_mset(struct state *state, struct state_position at, const struct command *command,
	   struct reply *reply)
{
	const bool is_conditional = (command->flags & COMMAND_IF_ABSENT) != 0;
	const uint8_t *cursor = command->args;
	struct command_arg key, data;
	uint64_t growth = 0;

	reply->kind = is_conditional ? REPLY_INTEGER : REPLY_OK;
	while (pair_next(command, &cursor, &key, &data)) {
		const struct value value = bytes_value(data);
		const struct target target = target_of(state, at, key);
		if (is_conditional && target.version != NULL)
			return;
		growth += target_growth(&target, &value);
		if (data.bytes > state->config.value_bytes_max)
			growth = UINT64_MAX / 2;
	}
	if (!target_has_capacity(state, growth, reply))
		return;
	cursor = command->args;
	while (pair_next(command, &cursor, &key, &data)) {
		const struct value value = bytes_value(data);
		const struct target target = target_of(state, at, key);
		target_put(state, &target, at, &value);
	}
	reply->value = is_conditional ? 1 : 0;
}

static void
apply_delete(struct state *state, struct state_position at, const struct command *command,
	     struct reply *reply)
{
	const uint8_t *cursor = command->args;
	struct command_arg key;

	reply->kind = REPLY_INTEGER;
	while (command_arg_next(command, &cursor, &key)) {
		const struct target target = target_of(state, at, key);
		if ((command->flags & COMMAND_GET_OLD) != 0)
			target_lend(&target, reply);
		if (target.version == NULL)
			continue;
		target_end(state, &target, at);
		if ((command->flags & COMMAND_GET_OLD) == 0)
			reply->value++;
	}
}

static void
apply_append(struct state *state, struct state_position at, const struct command *command,
	     struct reply *reply)
{
	const uint8_t *cursor = command->args;
	uint8_t decimal[DECIMAL_BYTES_MAX];
	struct command_arg key, tail;

	if (!pair_next(command, &cursor, &key, &tail))
		INVARIANT(false && "command_decode has counted the arguments");
	const struct target target = target_of(state, at, key);
	struct value value = { .type = STATE_BYTES, .tail = tail.data, .tail_bytes = tail.bytes };
	uint64_t head_bytes = 0;
	if (target.version != NULL && version_type(target.version) == STATE_INTEGER) {
		head_bytes = decimal_write(version_integer(target.version), decimal);
		value.data = decimal;
	} else if (target.version != NULL) {
		head_bytes = version_bytes(target.version);
		value.data = version_data(target.version);
	}
	const uint64_t bytes = head_bytes + tail.bytes;
	if (bytes > state_append_bytes_max(state)) {
		(void)target_has_capacity(state, UINT64_MAX / 2, reply);
		return;
	}
	value.bytes = (uint32_t)bytes;
	value.expires_ns = target_expires_ns(&target);
	if (!target_has_capacity(state, target_growth(&target, &value), reply))
		return;
	target_put(state, &target, at, &value);
	reply->kind = REPLY_INTEGER;
	reply->value = (int64_t)bytes;
}

static void
apply_read(struct state *state, struct state_position at, const struct command *command,
	   struct reply *reply)
{
	const struct target target = target_of(state, at, target_key(command));
	const uint8_t *cursor = command->args;
	uint8_t decimal[DECIMAL_BYTES_MAX];
	struct command_arg key;

	if (command->op == COMMAND_GET) {
		target_lend(&target, reply);
		return;
	}
	if (command->op == COMMAND_EXPIRY) {
		reply->kind = target.version == NULL ? REPLY_NULL : REPLY_EXPIRY;
		reply->value = (int64_t)target_expires_ns(&target);
		reply->delta = (int64_t)state->time_ns;
		return;
	}
	reply->kind = REPLY_INTEGER;
	if (command->op == COMMAND_LENGTH) {
		if (target.version == NULL)
			return;
		reply->value = version_type(target.version) == STATE_INTEGER
				   ? decimal_write(version_integer(target.version), decimal)
				   : version_bytes(target.version);
		return;
	}
	INVARIANT(command->op == COMMAND_EXISTS);
	while (command_arg_next(command, &cursor, &key))
		reply->value += target_of(state, at, key).version != NULL;
}

void
apply_op(struct state *state, struct state_position at, const struct command *command,
	 struct reply *reply)
{
	(void)expiry_turn(state, at, STATE_EXPIRE_BURST);
	switch (command->op) {
	case COMMAND_SET:
		apply_set(state, at, command, reply);
		return;
	case COMMAND_MSET:
		apply_mset(state, at, command, reply);
		return;
	case COMMAND_APPEND:
		apply_append(state, at, command, reply);
		return;
	case COMMAND_DELETE:
		apply_delete(state, at, command, reply);
		return;
	case COMMAND_ADD:
		apply_add(state, at, command, reply);
		return;
	case COMMAND_GET:
	case COMMAND_EXISTS:
	case COMMAND_LENGTH:
	case COMMAND_EXPIRY:
		apply_read(state, at, command, reply);
		return;
	case COMMAND_EXPIRE:
		apply_expire(state, at, command, reply);
		return;
	case COMMAND_PERSIST:
		apply_persist(state, at, command, reply);
		return;
	case COMMAND_TICK:
		reply->kind = REPLY_INTEGER;
		reply->value = expiry_turn(state, at, STATE_EXPIRE_BLOCK_MAX);
		return;
	case COMMAND_MULTI:
	case COMMAND_CHECK:
	case COMMAND_SESSION_OPEN:
	case COMMAND_SESSION_CLOSE:
		break;
	}
	INVARIANT(false && "command_decode knows every operation");
}
