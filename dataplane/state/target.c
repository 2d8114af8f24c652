/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/state/target.h"

#include "dataplane/base/invariant.h"

struct target
target_of(struct state *state, struct state_position at, struct command_arg key)
{
	struct target target = { .key = key };

	target.hash = state_index_hash(state, STATE_KEYS, key.data, key.bytes);
	target.entry = index_find(state, target.hash, STATE_KEYS, key.data, key.bytes);
	if (target.entry != NULL) {
		struct version *version = rcu_own(target.entry->newest);
		target.version = version_type(version) == STATE_NONE ? NULL : version;
	}
	if (target.version != NULL && version_is_expired(target.version, state->time_ns)) {
		target_end(state, &target, at);
		target.version = NULL;
		state->expired++;
	}
	return target;
}

uint64_t
target_expires_ns(const struct target *target)
{
	return target->version == NULL ? 0 : version_expires_ns(target->version);
}

static uint64_t
value_charge(enum state_type type, uint32_t bytes)
{
	return type == STATE_INTEGER ? STATE_INTEGER_CHARGE : bytes;
}

static uint64_t
expiry_charge(const struct target *target, uint64_t expires_ns)
{
	return expires_ns == 0 ? 0 : STATE_EXPIRY_CHARGE + target->key.bytes;
}

static uint64_t
charge_now(const struct target *target)
{
	if (target->version == NULL)
		return 0;
	return STATE_KEY_CHARGE + target->key.bytes +
	       value_charge(version_type(target->version), version_bytes(target->version)) +
	       expiry_charge(target, target_expires_ns(target));
}

static uint64_t
charge_with(const struct target *target, const struct value *value)
{
	return STATE_KEY_CHARGE + target->key.bytes +
	       value_charge((enum state_type)value->type, value->bytes) +
	       expiry_charge(target, value->expires_ns);
}

uint64_t
target_growth(const struct target *target, const struct value *value)
{
	const uint64_t now = charge_now(target), with = charge_with(target, value);

	return with > now ? with - now : 0;
}

bool
target_has_capacity(struct state *state, uint64_t growth, struct reply *reply)
{
	if (growth == 0 || state->logical_bytes + growth <= state->config.capacity_bytes)
		return true;
	reply->kind = REPLY_OUT_OF_MEMORY;
	state->out_of_memory++;
	return false;
}

void
target_put(struct state *state, const struct target *target, struct state_position at,
	   const struct value *value)
{
	state->logical_bytes += charge_with(target, value) - charge_now(target);
	state->key_count += target->version == NULL;
	(void)mvcc_put(state, target->entry, STATE_KEYS, target->key.data, target->key.bytes,
		       target->hash, at, value);
}

void
target_end(struct state *state, const struct target *target, struct state_position at)
{
	INVARIANT(target->version != NULL);
	INVARIANT(state->key_count > 0);
	state->logical_bytes -= charge_now(target);
	state->key_count--;
	mvcc_end(state, target->entry, at);
}

void
target_lend(const struct target *target, struct reply *reply)
{
	struct version *version = target->version;

	if (version == NULL) {
		reply->kind = REPLY_NULL;
	} else if (version_type(version) == STATE_INTEGER) {
		reply->kind = REPLY_DECIMAL;
		reply->value = version_integer(version);
	} else {
		reply->kind = REPLY_BYTES;
		reply->data = version_data(version);
		reply->bytes = version_bytes(version);
	}
}

struct command_arg
target_key(const struct command *command)
{
	const uint8_t *cursor = command->args;
	struct command_arg key;

	if (!command_arg_next(command, &cursor, &key))
		INVARIANT(false && "command_decode has counted the arguments");
	return key;
}
