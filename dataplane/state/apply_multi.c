/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MULTI: conditions, then parts, all at one position. A part that is refused does not keep the
 * others from being applied: each has its own reply. What the replies take is bounded, and decided
 * before a part is applied, equally on every node: a part whose reply finds no room is not done.
 */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/target.h"
#include "dataplane/wire/reply.h"

/* A version belongs to one write for ever once it is committed: whoever asks got the position from
 * a view of what is committed. */
static bool
check_holds(struct state *state, struct state_position at, const struct command *check)
{
	const uint8_t *cursor = check->args;
	struct command_arg key, log_index, slot;

	if (!command_arg_next(check, &cursor, &key))
		INVARIANT(false && "command_decode has counted the arguments");
	const struct target target = target_of(state, at, key);
	if (check->args_count == 1 || target.version == NULL)
		return check->args_count == 1 && target.version == NULL;
	if (!command_arg_next(check, &cursor, &log_index) ||
	    !command_arg_next(check, &cursor, &slot))
		INVARIANT(false && "command_decode has counted the arguments");
	return stamp_index(target.version->stamp) == (uint64_t)command_arg_i64(log_index) &&
	       target.version->slot == (uint64_t)command_arg_i64(slot);
}

/* Moves @cursor behind the conditions; false when one does not hold. */
static bool
checks_hold(struct state *state, struct state_position at, const struct command *multi,
	    const uint8_t **cursor, uint32_t *checks_count)
{
	const uint8_t *next = *cursor;
	struct command_arg arg;
	struct command part;

	for (*checks_count = 0; command_arg_next(multi, &next, &arg); ++*checks_count) {
		command_part(arg, &part);
		if (part.op != COMMAND_CHECK)
			break;
		if (!check_holds(state, at, &part))
			return false;
		*cursor = next;
	}
	return true;
}

/* Bytes behind the item of its reply. */
static uint64_t
lent_bytes(struct state *state, struct state_position at, const struct command *part)
{
	if (part->op != COMMAND_GET && (part->flags & COMMAND_GET_OLD) == 0)
		return 0;
	const struct target target = target_of(state, at, target_key(part));
	if (target.version == NULL || version_type(target.version) == STATE_INTEGER)
		return 0;
	return align_up_u64(version_bytes(target.version), 8);
}

void
apply_multi(struct state *state, struct state_position at, const struct command *command,
	    struct reply *reply)
{
	struct reply_writer writer = { .out = state->multi_replies,
				       .capacity = state_multi_bytes_max(state) };
	const uint8_t *cursor = command->args;
	struct command_arg arg;
	struct command part;
	uint32_t checks_count;

	if (!checks_hold(state, at, command, &cursor, &checks_count)) {
		reply->kind = REPLY_CONFLICT;
		return;
	}
	uint64_t items_bytes =
	    (uint64_t)(command->args_count - checks_count) * REPLY_ITEM_BYTES; /* still to come */
	if (items_bytes > writer.capacity) {
		reply->kind = REPLY_TOO_LARGE;
		return;
	}
	while (command_arg_next(command, &cursor, &arg)) {
		struct reply of_part = { 0 };
		command_part(arg, &part);
		if (writer.used + items_bytes + lent_bytes(state, at, &part) > writer.capacity)
			of_part.kind = REPLY_TOO_LARGE;
		else
			apply_op(state, at, &part, &of_part);
		const bool has_room = reply_list_add(&writer, &of_part);
		INVARIANT(has_room);
		items_bytes -= REPLY_ITEM_BYTES;
	}
	INVARIANT(items_bytes == 0);
	reply->kind = REPLY_ARRAY;
	reply->data = state->multi_replies;
	reply->bytes = writer.used;
}
