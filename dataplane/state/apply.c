/* SPDX-License-Identifier: Apache-2.0 */
/* The operations. What a command may do is decided before its first write: it is done whole or not
 * at all. */
#include <string.h>

#include "dataplane/base/decimal.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/session.h"
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
		apply_multi(state, at, command, reply);
		return;
	case COMMAND_CHECK:
	case COMMAND_SESSION_OPEN:
	case COMMAND_SESSION_CLOSE:
		break;
	}
	INVARIANT(false && "command_decode knows every operation");
}

static void
apply_in_session(struct state *state, struct state_position at, uint64_t time_ns,
		 const struct command *command, struct reply *reply)
{
	struct entry *session = session_find(state, command->client_id);

	if (session == NULL) {
		reply->kind = REPLY_SESSION_UNKNOWN;
	} else if (command->op == COMMAND_SESSION_CLOSE) {
		session_close(state, session, at);
		reply->kind = REPLY_OK;
	} else if (session_admit(state, session, at, time_ns, command, reply)) {
		apply_op(state, at, command, reply);
		session_record(state, session, at, command->seq, reply);
	}
}

void
state_apply(struct state *state, struct state_position at, uint64_t time_ns,
	    const struct command *command, struct reply *reply)
{
	INVARIANT(at.log_index > stamp_index(state->published_stamp));
	INVARIANT(at.log_index > state->last.log_index ||
		  (at.log_index == state->last.log_index && at.slot > state->last.slot));
	*reply = (struct reply){ 0 };
	if (at.log_index != state->last.log_index)
		state->expired_in_block = 0;
	state->time_ns = time_ns;
	if (!state_has_room(state, command->bytes))
		reclaim_urgent(state);
	if (command->op == COMMAND_SESSION_OPEN)
		session_open(state, at, time_ns, reply);
	else if (command->client_id != 0 || command->op == COMMAND_SESSION_CLOSE)
		apply_in_session(state, at, time_ns, command, reply);
	else
		apply_op(state, at, command, reply);
	state->last = at;
	INVARIANT(reply->kind != 0);
	INVARIANT(state->logical_bytes <= state->config.capacity_bytes);
}

/* False: @command names no key itself. Of several keys the first stands for all. */
static bool
first_key_hash(const struct state *state, const struct command *command, uint64_t *hash)
{
	const uint8_t *cursor = command->args;
	struct command_arg key;

	if (command->args_count == 0 || command->op == COMMAND_MULTI ||
	    !command_arg_next(command, &cursor, &key))
		return false;
	*hash = state_index_hash(state, STATE_KEYS, key.data, key.bytes);
	return true;
}

void
state_prefetch(const struct state *state, const struct command *command)
{
	uint64_t hash;

	if (first_key_hash(state, command, &hash))
		__builtin_prefetch(&state->buckets[hash & state->bucket_mask]);
}

void
state_prefetch_batch(const struct state *state, const struct command *commands, uint32_t count)
{
	struct entry *entries[STATE_PREFETCH_MAX];
	uint64_t hashes[STATE_PREFETCH_MAX];
	uint32_t keys = 0;

	INVARIANT(count <= STATE_PREFETCH_MAX);
	for (uint32_t i = 0; i < count; i++) {
		if (!first_key_hash(state, &commands[i], &hashes[keys]))
			continue;
		__builtin_prefetch(&state->buckets[hashes[keys] & state->bucket_mask]);
		keys++;
	}
	for (uint32_t i = 0; i < keys; i++) {
		entries[i] = rcu_own(state->buckets[hashes[i] & state->bucket_mask]);
		if (entries[i] != NULL) {
			__builtin_prefetch(entries[i]);
			__builtin_prefetch((const uint8_t *)entries[i] + 64);
		}
	}
	for (uint32_t i = 0; i < keys; i++) {
		if (entries[i] != NULL)
			__builtin_prefetch(rcu_own(entries[i]->newest));
	}
}
