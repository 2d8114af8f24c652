/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands as clients and blocks bring them, and lists of replies. What is accepted must come out
 * the same when it is written again. A second try puts the length right, which a mutation of the
 * arguments would break.
 */
#include <stdlib.h>

#include "dataplane/wire/reply.h"
#include "tests/fuzz/fuzz.h"

static void
try_command(const uint8_t *data, uint32_t bytes)
{
	struct command_writer writer;
	struct command_arg arg;
	struct command command;
	uint32_t again_bytes, args_count = 0;

	if (command_decode(data, bytes, &command) != TERN_OK)
		return;
	REQUIRE(command.bytes == bytes && command.end <= data + bytes);
	uint8_t *again = malloc(bytes);
	REQUIRE(again != NULL);
	command_begin(&writer, again, bytes);
	for (const uint8_t *cursor = command.args; command_arg_next(&command, &cursor, &arg);) {
		REQUIRE(arg.data >= data && arg.bytes <= bytes);
		command_add_arg(&writer, arg.data, arg.bytes);
		if (command.op == COMMAND_ADD && args_count != 0)
			(void)command_arg_i64(arg);
		args_count++;
	}
	REQUIRE(args_count == command.args_count);
	REQUIRE(command_end(&writer, command.op, command.flags, command.client_id, command.seq,
			    command.open_window, &again_bytes) == TERN_OK);
	REQUIRE(again_bytes == bytes);
	again[offsetof(struct command_hdr_le, class_)] = (uint8_t)command.class_;
	REQUIRE(memcmp(again, data, bytes) == 0);
	free(again);
}

/* Lists of replies: what is read comes out the same when it is written again. */
static void
try_replies(const uint8_t *data, uint32_t bytes)
{
	uint8_t *again = malloc(bytes);
	struct reply_writer writer = { .out = again, .capacity = bytes };
	struct reply_cursor cursor = { data, data + bytes };
	struct reply reply;

	REQUIRE(again != NULL);
	while (reply_list_next(&cursor, &reply)) {
		REQUIRE(cursor.at <= data + bytes);
		REQUIRE(reply_list_add(&writer, &reply));
	}
	REQUIRE(writer.used == (uint32_t)(cursor.at - data));
	REQUIRE(memcmp(again, data, writer.used) == 0);
	free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes < 4 || bytes > 100000)
		return 0;
	try_command(data, (uint32_t)bytes);
	try_replies(data, (uint32_t)bytes);
	const uint32_t whole = (uint32_t)(bytes + 7) / 8 * 8;
	uint8_t *copy = calloc(1, whole);
	REQUIRE(copy != NULL);
	memcpy(copy, data, bytes);
	const le32 length = le32_make(whole);
	memcpy(copy, &length, sizeof(length));
	try_command(copy, whole);
	free(copy);
	return 0;
}
