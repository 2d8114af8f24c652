/* SPDX-License-Identifier: Apache-2.0 */
/* A datagram of the native client protocol, as it is and with its CRC put right. Whatever is
 * accepted must come out the same when it is written again. */
#include <stdlib.h>

#include "dataplane/wire/native.h"
#include "tests/fuzz/fuzz.h"

static bool
copy_item(enum native_kind kind, struct native_cursor *cursor, struct native_writer *writer)
{
	struct native_reply reply;
	struct native_node node;
	struct native_read read;
	struct command decoded;
	const uint8_t *command;
	uint64_t number;
	uint32_t bytes;

	switch (kind) {
	case NATIVE_WHO_IS_MASTER:
		return false;
	case NATIVE_MASTER:
		return native_next_node(cursor, &node) && native_add_node(writer, &node);
	case NATIVE_OPEN:
		return native_next_open(cursor, &number) && native_add_open(writer, number);
	case NATIVE_SUBMIT:
		if (!native_next_command(cursor, &command, &bytes))
			return false;
		if (command_decode(command, bytes, &decoded) == TERN_OK)
			REQUIRE(decoded.bytes == bytes);
		return native_add_command(writer, command, bytes);
	case NATIVE_READ:
		return native_next_read(cursor, &read) && native_add_read(writer, &read);
	case NATIVE_REPLY:
		return native_next_reply(cursor, &reply) && native_add_reply(writer, &reply);
	}
	return false;
}

static void
try_frame(const uint8_t *frame, uint32_t bytes)
{
	struct native_writer writer;
	struct native_hdr hdr;

	if (native_open(frame, bytes, &hdr) != TERN_OK)
		return;
	uint8_t *again = malloc(bytes);
	REQUIRE(again != NULL);
	native_begin(&writer, again, bytes);
	struct native_cursor cursor = native_items(frame, &hdr);
	for (uint32_t i = 0; i < hdr.item_count; i++)
		REQUIRE(copy_item(hdr.kind, &cursor, &writer));
	REQUIRE(native_seal(&writer, &hdr) == bytes);
	REQUIRE(memcmp(again, frame, bytes) == 0);
	free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct native_hdr_le hdr;

	if (bytes > 10000)
		return 0;
	try_frame(data, (uint32_t)bytes);
	if (bytes < sizeof(hdr))
		return 0;
	uint8_t *frame = malloc(bytes);
	REQUIRE(frame != NULL);
	memcpy(frame, data, bytes);
	memcpy(&hdr, frame, sizeof(hdr));
	hdr.body_bytes = le32_make((uint32_t)(bytes - sizeof(hdr)));
	memcpy(frame, &hdr, sizeof(hdr));
	fuzz_put_crc(frame, 0, 4, bytes - 4);
	try_frame(frame, (uint32_t)bytes);
	free(frame);
	return 0;
}
