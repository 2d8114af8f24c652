/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/command.h"

#include <stddef.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/bytes.h"

#define COMMAND_OP_LAST COMMAND_TICK
#define EXPIRY_FLAGS    (COMMAND_EXPIRE_IN | COMMAND_EXPIRE_AT)

void
command_begin(struct command_writer *writer, uint8_t *out, uint32_t capacity)
{
	*writer = (struct command_writer){
		.out = out,
		.used = COMMAND_HDR_BYTES,
		.capacity = capacity,
		.is_full = capacity < COMMAND_HDR_BYTES,
	};
}

void
command_add_arg(struct command_writer *writer, const void *data, uint32_t bytes)
{
	if (writer->is_full || writer->args_count == COMMAND_ARGS_MAX ||
	    (uint64_t)writer->used + sizeof(le32) + bytes > writer->capacity) {
		writer->is_full = true;
		return;
	}
	const le32 length = le32_make(bytes);
	memcpy(writer->out + writer->used, &length, sizeof(length));
	if (bytes != 0)
		memcpy(writer->out + writer->used + sizeof(length), data, bytes);
	writer->used += (uint32_t)sizeof(length) + bytes;
	writer->args_count++;
}

void
command_add_i64(struct command_writer *writer, int64_t value)
{
	const le64 le = le64_make((uint64_t)value);

	command_add_arg(writer, &le, sizeof(le));
}

void
command_add_encoded(struct command_writer *writer, const uint8_t *data, uint32_t bytes,
		    uint32_t count)
{
	if (writer->is_full || (uint64_t)writer->args_count + count > COMMAND_ARGS_MAX ||
	    (uint64_t)writer->used + bytes > writer->capacity) {
		writer->is_full = true;
		return;
	}
	if (bytes != 0)
		memcpy(writer->out + writer->used, data, bytes);
	writer->used += bytes;
	writer->args_count = (uint16_t)(writer->args_count + count);
}

enum tern_err
command_end(struct command_writer *writer, enum command_op op, uint8_t flags, uint64_t client_id,
	    uint64_t seq, uint16_t open_window, uint32_t *bytes)
{
	const uint64_t total = align_up_u64(writer->used, 8);

	if (writer->is_full || total > writer->capacity)
		return TERN_ERR_TOO_LARGE;
	const struct command_hdr_le hdr = {
		.bytes = le32_make((uint32_t)total),
		.op = (uint8_t)op,
		.class_ = COMMAND_DURABLE,
		.flags = flags,
		.args_count = le16_make(writer->args_count),
		.open_window = le16_make(open_window),
		.client_id = le64_make(client_id),
		.seq = le64_make(seq),
	};
	memcpy(writer->out, &hdr, sizeof(hdr));
	memset(writer->out + writer->used, 0, total - writer->used);
	*bytes = (uint32_t)total;
	return TERN_OK;
}

void
command_set_class(uint8_t *command, enum command_class class_)
{
	INVARIANT(class_ <= COMMAND_ASYNC);
	command[offsetof(struct command_hdr_le, class_)] = (uint8_t)class_;
}

bool
command_fits_async(const struct command *command)
{
	const uint8_t fit = COMMAND_EXPIRE_IN | COMMAND_EXPIRE_AT | COMMAND_KEEP_EXPIRY;
	const bool is_plain = command->op == COMMAND_SET || command->op == COMMAND_MSET ||
			      command->op == COMMAND_DELETE || command->op == COMMAND_ADD ||
			      command->op == COMMAND_APPEND || command->op == COMMAND_EXPIRE ||
			      command->op == COMMAND_PERSIST;

	return is_plain && (command->flags & ~fit) == 0;
}

uint32_t
command_bytes_peek(const uint8_t *data)
{
	le32 bytes;

	memcpy(&bytes, data, sizeof(bytes));
	const uint32_t value = le32_get(bytes);
	return value >= COMMAND_HDR_BYTES && value % 8 == 0 ? value : 0;
}

static bool
arg_next(const uint8_t *end, const uint8_t **cursor, struct command_arg *arg)
{
	const uint8_t *at = *cursor;
	le32 length;

	if ((size_t)(end - at) < sizeof(length))
		return false;
	memcpy(&length, at, sizeof(length));
	const uint32_t bytes = le32_get(length);
	if (bytes > (size_t)(end - at) - sizeof(length))
		return false;
	*arg = (struct command_arg){ at + sizeof(length), bytes };
	*cursor = arg->data + bytes;
	return true;
}

/* Whether argument @i of @command is a key, and whether its length then fits. */
static bool
arg_fits(const struct command *command, uint32_t i, struct command_arg arg)
{
	bool is_key = false, is_integer = false;

	switch (command->op) {
	case COMMAND_SET:
		is_key = i == 0;
		is_integer = i == 2;
		break;
	case COMMAND_MSET:
		is_key = i % 2 == 0;
		break;
	case COMMAND_DELETE:
	case COMMAND_GET:
	case COMMAND_EXISTS:
	case COMMAND_LENGTH:
	case COMMAND_PERSIST:
	case COMMAND_EXPIRY:
		is_key = true;
		break;
	case COMMAND_APPEND:
		is_key = i == 0;
		break;
	case COMMAND_ADD:
	case COMMAND_CHECK:
	case COMMAND_EXPIRE:
		is_key = i == 0;
		is_integer = i != 0;
		break;
	case COMMAND_MULTI:
		return arg.bytes >= COMMAND_HDR_BYTES;
	case COMMAND_SESSION_OPEN:
	case COMMAND_SESSION_CLOSE:
	case COMMAND_TICK:
		return false;
	}
	if (is_key)
		return arg.bytes >= 1 && arg.bytes <= COMMAND_KEY_BYTES_MAX;
	return !is_integer || arg.bytes == sizeof(int64_t);
}

static bool
count_fits(const struct command *command)
{
	const uint32_t count = command->args_count;
	const uint32_t bounds = ((command->flags & COMMAND_HAS_MIN) != 0) +
				(uint32_t)((command->flags & COMMAND_HAS_MAX) != 0);

	switch (command->op) {
	case COMMAND_SET:
		return count == 2 + (uint32_t)((command->flags & EXPIRY_FLAGS) != 0);
	case COMMAND_APPEND:
	case COMMAND_EXPIRE:
		return count == 2;
	case COMMAND_MSET:
		return count >= 2 && count % 2 == 0;
	case COMMAND_DELETE:
	case COMMAND_EXISTS:
	case COMMAND_MULTI:
		return count >= 1;
	case COMMAND_ADD:
		return count == 2 + bounds;
	case COMMAND_GET:
	case COMMAND_LENGTH:
	case COMMAND_PERSIST:
	case COMMAND_EXPIRY:
		return count == 1;
	case COMMAND_CHECK:
		return count == 1 || count == 3;
	case COMMAND_TICK:
	case COMMAND_SESSION_OPEN:
		return count == 0 && command->client_id == 0;
	case COMMAND_SESSION_CLOSE:
		return count == 0 && command->client_id != 0;
	}
	return false;
}

static bool
has_both(uint8_t flags, uint8_t both)
{
	return (flags & both) == both;
}

static bool
set_flags_fit(uint8_t flags)
{
	const uint8_t expiry = flags & (EXPIRY_FLAGS | COMMAND_KEEP_EXPIRY);

	return (flags & (COMMAND_HAS_MIN | COMMAND_HAS_MAX)) == 0 &&
	       !has_both(flags, COMMAND_IF_ABSENT | COMMAND_IF_PRESENT) &&
	       (expiry & (expiry - 1)) == 0;
}

static bool
expire_flags_fit(uint8_t flags)
{
	const uint8_t expiry = flags & EXPIRY_FLAGS;
	const uint8_t conditions =
	    flags & (COMMAND_IF_ABSENT | COMMAND_IF_PRESENT | COMMAND_IF_LATER | COMMAND_IF_SOONER);

	if ((flags & COMMAND_KEEP_EXPIRY) != 0 || expiry == 0 || expiry == EXPIRY_FLAGS)
		return false;
	if ((flags & COMMAND_GET_OLD) != 0 && conditions != 0)
		return false;
	return !has_both(flags, COMMAND_IF_LATER | COMMAND_IF_SOONER) &&
	       ((flags & COMMAND_IF_ABSENT) == 0 || conditions == COMMAND_IF_ABSENT);
}

/* Which flags an operation may have, and which together. */
static bool
flags_fit(const struct command *command)
{
	const uint8_t flags = command->flags;

	switch (command->op) {
	case COMMAND_SET:
		return set_flags_fit(flags);
	case COMMAND_EXPIRE:
		return expire_flags_fit(flags);
	case COMMAND_PERSIST:
		return (flags & ~COMMAND_GET_OLD) == 0;
	case COMMAND_MSET:
		return (flags & ~COMMAND_IF_ABSENT) == 0;
	case COMMAND_DELETE:
		return flags == 0 || (flags == COMMAND_GET_OLD && command->args_count == 1);
	case COMMAND_ADD:
		return (flags & ~(COMMAND_HAS_MIN | COMMAND_HAS_MAX)) == 0;
	case COMMAND_SESSION_OPEN:
	case COMMAND_SESSION_CLOSE:
	case COMMAND_APPEND:
	case COMMAND_MULTI:
	case COMMAND_CHECK:
	case COMMAND_GET:
	case COMMAND_EXISTS:
	case COMMAND_LENGTH:
	case COMMAND_EXPIRY:
	case COMMAND_TICK:
		return flags == 0;
	}
	return false;
}

/* All but the parts of a MULTI. */
static enum tern_err
decode_one(const uint8_t *data, uint32_t bytes, struct command *command)
{
	struct command_hdr_le hdr;
	struct command_arg arg = { 0 };

	if (bytes < COMMAND_HDR_BYTES || command_bytes_peek(data) != bytes)
		return TERN_ERR_MALFORMED;
	memcpy(&hdr, data, sizeof(hdr));
	if (hdr.op < COMMAND_SET || hdr.op > COMMAND_OP_LAST || hdr.class_ > COMMAND_ASYNC ||
	    hdr.reserved0 != 0 || le32_get(hdr.reserved1) != 0)
		return TERN_ERR_VERSION;
	*command = (struct command){
		.op = (enum command_op)hdr.op,
		.class_ = (enum command_class)hdr.class_,
		.flags = hdr.flags,
		.args_count = le16_get(hdr.args_count),
		.open_window = le16_get(hdr.open_window),
		.bytes = bytes,
		.client_id = le64_get(hdr.client_id),
		.seq = le64_get(hdr.seq),
		.args = data + COMMAND_HDR_BYTES,
		.end = data + bytes,
	};
	if (command->args_count > COMMAND_ARGS_MAX || !count_fits(command) || !flags_fit(command) ||
	    (command->client_id == 0 && command->seq != 0) || command->open_window > command->seq)
		return TERN_ERR_MALFORMED;
	const uint8_t *cursor = command->args;
	for (uint32_t i = 0; i < command->args_count; i++) {
		if (!arg_next(command->end, &cursor, &arg) || !arg_fits(command, i, arg))
			return TERN_ERR_MALFORMED;
	}
	if (command->op == COMMAND_SET && command->args_count == 3 && command_arg_i64(arg) < 1)
		return TERN_ERR_MALFORMED;
	const size_t padding = (size_t)(command->end - cursor);
	if (padding >= 8 || !bytes_are_zero(cursor, padding))
		return TERN_ERR_MALFORMED;
	command->end = cursor;
	return TERN_OK;
}

static bool
is_part(const struct command *part, bool has_begun)
{
	if (part->client_id != 0 || part->class_ != COMMAND_DURABLE)
		return false;
	return part->op != COMMAND_MULTI && part->op != COMMAND_SESSION_OPEN &&
	       part->op != COMMAND_TICK && (part->op != COMMAND_CHECK || !has_begun);
}

static enum tern_err
decode_parts(const struct command *multi)
{
	const uint8_t *cursor = multi->args;
	bool has_begun = false; /* no CHECK from here on */
	struct command_arg arg;
	struct command part;

	while (arg_next(multi->end, &cursor, &arg)) {
		const enum tern_err err = decode_one(arg.data, arg.bytes, &part);
		if (err != TERN_OK)
			return err;
		if (!is_part(&part, has_begun))
			return TERN_ERR_MALFORMED;
		has_begun |= part.op != COMMAND_CHECK;
	}
	return TERN_OK;
}

enum tern_err
command_decode(const uint8_t *data, uint32_t bytes, struct command *command)
{
	const enum tern_err err = decode_one(data, bytes, command);

	if (err != TERN_OK)
		return err;
	if (command->op == COMMAND_MULTI)
		return decode_parts(command);
	return command->op == COMMAND_CHECK ? TERN_ERR_MALFORMED : TERN_OK;
}

void
command_part(struct command_arg arg, struct command *part)
{
	const enum tern_err err = decode_one(arg.data, arg.bytes, part);

	INVARIANT(err == TERN_OK);
}

bool
command_arg_next(const struct command *command, const uint8_t **cursor, struct command_arg *arg)
{
	return arg_next(command->end, cursor, arg);
}

int64_t
command_arg_i64(struct command_arg arg)
{
	le64 value;

	INVARIANT(arg.bytes == sizeof(value));
	memcpy(&value, arg.data, sizeof(value));
	return (int64_t)le64_get(value);
}
