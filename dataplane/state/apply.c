/* SPDX-License-Identifier: Apache-2.0 */
/* A command, as the log says it: its session, then its operation; and what it will look at. */
#include "dataplane/base/invariant.h"
#include "dataplane/state/session.h"
#include "dataplane/state/target.h"

/* What has expired goes before a MULTI, as before any operation; its parts are none themselves. */
static void
apply_command(struct state *state, struct state_position at, const struct command *command,
	      struct reply *reply)
{
	if (command->op != COMMAND_MULTI) {
		apply_op(state, at, command, reply);
		return;
	}
	(void)expiry_turn(state, at, STATE_EXPIRE_BURST);
	apply_multi(state, at, command, reply);
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
		apply_command(state, at, command, reply);
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
	if (!room_is_enough(state, room_pages(state, command->bytes)))
		reclaim_urgent(state);
	if (command->op == COMMAND_SESSION_OPEN)
		session_open(state, at, time_ns, reply);
	else if (command->client_id != 0 || command->op == COMMAND_SESSION_CLOSE)
		apply_in_session(state, at, time_ns, command, reply);
	else
		apply_command(state, at, command, reply);
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
