/* SPDX-License-Identifier: Apache-2.0 */
/* EXPIRE and PERSIST: another version of the same value, which shares its bytes when they are many,
 * so that a short command makes no long version. And the end of keys whose expiry has come. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/target.h"

uint64_t
expiry_of(const struct state *state, const struct command *command, struct command_arg arg)
{
	const int64_t given = command_arg_i64(arg);
	int64_t expires_ns = given;

	if ((command->flags & COMMAND_EXPIRE_IN) != 0 && given > 0 &&
	    __builtin_add_overflow((int64_t)min_u64(state->time_ns, INT64_MAX), given, &expires_ns))
		expires_ns = INT64_MAX;
	return (uint64_t)(expires_ns > 0 ? expires_ns : 0);
}

static bool
is_wanted(const struct command *command, uint64_t before_ns, uint64_t expires_ns)
{
	const uint8_t flags = command->flags;
	/* None is later than any. */
	const uint64_t before = before_ns == 0 ? UINT64_MAX : before_ns;

	if (((flags & COMMAND_IF_ABSENT) != 0 && before_ns != 0) ||
	    ((flags & COMMAND_IF_PRESENT) != 0 && before_ns == 0))
		return false;
	return ((flags & COMMAND_IF_LATER) == 0 || expires_ns > before) &&
	       ((flags & COMMAND_IF_SOONER) == 0 || expires_ns < before);
}

/* The value that @target holds, with another expiry. */
static struct value
value_again(const struct target *target, uint64_t expires_ns)
{
	struct version *version = target->version;
	struct value value = {
		.type = version_type(version),
		.bytes = version_bytes(version),
		.expires_ns = expires_ns,
	};

	if (value.type == STATE_INTEGER)
		value.integer = version_integer(version);
	else if (value.bytes > STATE_SHARE_BYTES_MIN)
		value.base = version_base(version);
	else
		value.data = version_data(version);
	return value;
}

void
apply_expire(struct state *state, struct state_position at, const struct command *command,
	     struct reply *reply)
{
	const bool gets_old = (command->flags & COMMAND_GET_OLD) != 0;
	const uint8_t *cursor = command->args;
	struct command_arg key, arg;

	if (!command_arg_next(command, &cursor, &key) || !command_arg_next(command, &cursor, &arg))
		INVARIANT(false && "command_decode has counted the arguments");
	const struct target target = target_of(state, at, key);
	const uint64_t expires_ns = expiry_of(state, command, arg);
	reply->kind = REPLY_INTEGER;
	if (gets_old)
		target_lend(&target, reply);
	if (target.version == NULL || !is_wanted(command, target_expires_ns(&target), expires_ns))
		return;
	if (expires_ns <= state->time_ns) {
		target_end(state, &target, at);
	} else {
		struct value value = value_again(&target, expires_ns);
		value.keeps_old = gets_old;
		if (!target_has_capacity(state, target_growth(&target, &value), reply))
			return;
		target_put(state, &target, at, &value);
	}
	if (!gets_old)
		reply->value = 1;
}

void
apply_persist(struct state *state, struct state_position at, const struct command *command,
	      struct reply *reply)
{
	const bool gets_old = (command->flags & COMMAND_GET_OLD) != 0;
	const uint8_t *cursor = command->args;
	struct command_arg key;

	if (!command_arg_next(command, &cursor, &key))
		INVARIANT(false && "command_decode has counted the arguments");
	const struct target target = target_of(state, at, key);
	reply->kind = REPLY_INTEGER;
	if (gets_old)
		target_lend(&target, reply);
	if (target_expires_ns(&target) == 0)
		return;
	struct value value = value_again(&target, 0);
	value.keeps_old = gets_old;
	target_put(state, &target, at, &value);
	if (!gets_old)
		reply->value = 1;
}

uint32_t
expiry_turn(struct state *state, struct state_position at, uint32_t keys_max)
{
	const uint32_t left = STATE_EXPIRE_BLOCK_MAX - state->expired_in_block;
	const uint32_t count_max = min_u32(keys_max, left);
	uint32_t count = 0;

	INVARIANT(state->expired_in_block <= STATE_EXPIRE_BLOCK_MAX);
	for (; count < count_max && expiry_next_ns(state) <= state->time_ns; count++) {
		struct entry *place = order_first(&state->expiries);
		/* It is freed with the key's end: the name is still needed then. */
		uint8_t name[COMMAND_KEY_BYTES_MAX];
		const struct command_arg key = { name, place->key_bytes - 8u };
		memcpy(name, entry_key(place) + 8, key.bytes);
		const struct target target = target_of(state, at, key);
		INVARIANT(target.entry != NULL && target.version == NULL);
	}
	state->expired_in_block += count;
	return count;
}
