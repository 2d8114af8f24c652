/* SPDX-License-Identifier: Apache-2.0 */
/* The operations. What a command may do is decided before its first write: it is done whole or not
 * at all. */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/state_internal.h"

/* A key as a command meets it. */
struct target {
	struct command_arg key;
	uint64_t hash;
	struct entry *entry;     /* NULL: never seen, or reclaimed */
	struct version *version; /* NULL: no live value */
};

static struct target
target_of(const struct state *state, struct command_arg key)
{
	struct target target = { .key = key };

	target.hash = state_index_hash(state, STATE_KEYS, key.data, key.bytes);
	target.entry = index_find(state, target.hash, STATE_KEYS, key.data, key.bytes);
	if (target.entry != NULL) {
		struct version *version = rcu_own(target.entry->newest);
		target.version = version_type(version) == STATE_NONE ? NULL : version;
	}
	return target;
}

static uint64_t
value_charge(enum state_type type, uint32_t bytes)
{
	return type == STATE_INTEGER ? STATE_INTEGER_CHARGE : bytes;
}

static uint64_t
charge_now(const struct target *target)
{
	if (target->version == NULL)
		return 0;
	return STATE_KEY_CHARGE + target->key.bytes +
	       value_charge(version_type(target->version), version_bytes(target->version));
}

static uint64_t
charge_with(const struct target *target, const struct value *value)
{
	return STATE_KEY_CHARGE + target->key.bytes +
	       value_charge((enum state_type)value->type, value->bytes);
}

static uint64_t
charge_growth(const struct target *target, const struct value *value)
{
	const uint64_t now = charge_now(target), with = charge_with(target, value);

	return with > now ? with - now : 0;
}

static bool
has_capacity(struct state *state, uint64_t growth, struct reply *reply)
{
	if (growth == 0 || state->logical_bytes + growth <= state->config.capacity_bytes)
		return true;
	reply->kind = REPLY_OUT_OF_MEMORY;
	state->out_of_memory++;
	return false;
}

static void
target_put(struct state *state, const struct target *target, struct state_position at,
	   const struct value *value)
{
	state->logical_bytes += charge_with(target, value) - charge_now(target);
	state->key_count += target->version == NULL;
	(void)mvcc_put(state, target->entry, STATE_KEYS, target->key.data, target->key.bytes,
		       target->hash, at, value);
}

static struct value
bytes_value(struct command_arg arg)
{
	return (struct value){ .type = STATE_BYTES, .bytes = arg.bytes, .data = arg.data };
}

/* SET and MSET. The growth of all pairs is added up first; a key that occurs twice counts twice. */
static void
apply_set(struct state *state, struct state_position at, const struct command *command,
	  struct reply *reply)
{
	const bool is_single = command->args_count == 2;
	struct command_arg key, data;
	struct target target = { 0 };
	const uint8_t *cursor = command->args;
	uint64_t growth = 0;

	while (command_arg_next(command, &cursor, &key) &&
	       command_arg_next(command, &cursor, &data)) {
		const struct value value = bytes_value(data);
		target = target_of(state, key);
		growth += charge_growth(&target, &value);
		if (data.bytes > state->config.value_bytes_max)
			growth = UINT64_MAX / 2;
	}
	if (!has_capacity(state, growth, reply))
		return;
	cursor = command->args;
	while (command_arg_next(command, &cursor, &key) &&
	       command_arg_next(command, &cursor, &data)) {
		const struct value value = bytes_value(data);
		if (!is_single)
			target = target_of(state, key);
		target_put(state, &target, at, &value);
	}
	reply->kind = REPLY_OK;
}

static void
apply_delete(struct state *state, struct state_position at, const struct command *command,
	     struct reply *reply)
{
	const uint8_t *cursor = command->args;
	struct command_arg key;

	reply->kind = REPLY_INTEGER;
	while (command_arg_next(command, &cursor, &key)) {
		const struct target target = target_of(state, key);
		if (target.version == NULL)
			continue;
		state->logical_bytes -= charge_now(&target);
		state->key_count--;
		mvcc_end(state, target.entry, at);
		reply->value++;
	}
}

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
		*integer = version->integer;
		return true;
	}
	return integer_parse(version->data, version_bytes(version), integer);
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

static void
apply_add(struct state *state, struct state_position at, const struct command *command,
	  struct reply *reply)
{
	const uint8_t *cursor = command->args;
	struct command_arg key, arg;
	int64_t value = 0, sum = 0;

	if (!command_arg_next(command, &cursor, &key) || !command_arg_next(command, &cursor, &arg))
		INVARIANT(false && "command_decode has counted the arguments");
	const int64_t delta = command_arg_i64(arg);
	const struct target target = target_of(state, key);
	if (!target_integer(&target, &value)) {
		reply->kind = REPLY_NOT_INTEGER;
		return;
	}
	if (is_out_of_bounds(command, cursor, value, delta, &sum, reply))
		return;
	const struct value result = { .type = STATE_INTEGER, .bytes = 8, .integer = sum };
	if (!has_capacity(state, charge_growth(&target, &result), reply))
		return;
	target_put(state, &target, at, &result);
	reply->kind = REPLY_INTEGER;
	reply->value = result.integer;
}

static void
apply_op(struct state *state, struct state_position at, const struct command *command,
	 struct reply *reply)
{
	switch (command->op) {
	case COMMAND_SET:
	case COMMAND_MSET:
		apply_set(state, at, command, reply);
		return;
	case COMMAND_DELETE:
		apply_delete(state, at, command, reply);
		return;
	case COMMAND_ADD:
		apply_add(state, at, command, reply);
		return;
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
	INVARIANT(at.log_index > state->published_index);
	INVARIANT(at.log_index > state->last.log_index ||
		  (at.log_index == state->last.log_index && at.slot > state->last.slot));
	*reply = (struct reply){ 0 };
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

/* False: @command touches no key. Of several keys the first stands for all. */
static bool
first_key_hash(const struct state *state, const struct command *command, uint64_t *hash)
{
	const uint8_t *cursor = command->args;
	struct command_arg key;

	if (command->args_count == 0 || !command_arg_next(command, &cursor, &key))
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
