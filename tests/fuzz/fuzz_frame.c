/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes from the network: a frame, and in it a message, a fragment or a request for fragments.
 * An input is opened as it is, and once more with its CRC put right, or hardly any would get past
 * it. Whatever is accepted must come out the same when it is encoded again.
 */
#include <stdlib.h>

#include "dataplane/wire/fragment.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/msg.h"
#include "dataplane/wire/part.h"
#include "tests/fuzz/fuzz.h"

static void
try_notice(const uint8_t *body, uint32_t bytes)
{
	uint8_t again[GENERATION_NOTICE_BYTES];
	struct generation_notice notice;

	if (generation_notice_decode(body, bytes, &notice) != TERN_OK)
		return;
	generation_notice_encode(again, &notice);
	REQUIRE(memcmp(again, body, sizeof(again)) == 0);
}

static void
try_message(const uint8_t *body, uint32_t bytes)
{
	uint8_t again[MSG_BYTES_MAX];
	struct msg msg = { 0 };

	if (msg_decode(body, bytes, &msg) != TERN_OK)
		return;
	REQUIRE(msg_encode(again, &msg) == bytes);
	REQUIRE(memcmp(again, body, bytes) == 0);
	REQUIRE(msg_kind_text(msg.kind) != NULL);
}

static void
try_fragment(const uint8_t *body, uint32_t bytes)
{
	uint8_t again[FRAGMENT_HDR_BYTES];
	struct fragment_hdr fragment;

	if (fragment_decode(body, bytes, &fragment) != TERN_OK)
		return;
	REQUIRE(fragment_payload_bytes(&fragment) == bytes - FRAGMENT_HDR_BYTES);
	REQUIRE(fragment.unit_first + fragment.unit_count <= fragment.block_units);
	REQUIRE(fragment.block_units <= (uint64_t)fragment.block_pages * FRAGMENT_UNITS_PER_PAGE);
	fragment_encode(again, &fragment);
	REQUIRE(memcmp(again, body, sizeof(again)) == 0);
}

static void
try_fetch(const uint8_t *body, uint32_t bytes)
{
	uint8_t again[FETCH_BYTES_MAX];
	struct fetch fetch;

	if (fetch_decode(body, bytes, &fetch) != TERN_OK)
		return;
	REQUIRE(fetch_encode(again, &fetch) == bytes);
	REQUIRE(memcmp(again, body, bytes) == 0);
}

static void
try_part_ask(const uint8_t *body, uint32_t bytes)
{
	uint8_t again[PART_ASK_BYTES];
	struct part_ask ask;

	if (part_ask_decode(body, bytes, &ask) != TERN_OK)
		return;
	REQUIRE(ask.unit_count != 0 && ask.unit_first + ask.unit_count <= PART_UNITS_MAX);
	part_ask_encode(again, &ask);
	REQUIRE(memcmp(again, body, sizeof(again)) == 0);
}

static void
try_part(const uint8_t *body, uint32_t bytes)
{
	uint8_t again[PART_HDR_BYTES];
	struct part_hdr part;

	if (part_hdr_decode(body, bytes, &part) != TERN_OK)
		return;
	/* What it says lies in a chunk, and in what came. */
	REQUIRE((uint64_t)part.unit * PART_UNIT_BYTES + part.bytes <= CHECKPOINT_CHUNK_BYTES);
	REQUIRE(PART_HDR_BYTES + part.bytes == bytes);
	part_hdr_encode(again, &part);
	REQUIRE(memcmp(again, body, sizeof(again)) == 0);
}

static void
try_frame(const uint8_t *frame, uint32_t bytes)
{
	const uint8_t *body = frame + FRAME_HDR_BYTES;
	struct frame_hdr hdr;

	if (frame_open(frame, bytes, &hdr) != TERN_OK)
		return;
	REQUIRE(hdr.body_bytes <= bytes - FRAME_HDR_BYTES);
	switch (hdr.kind) {
	case FRAME_MESSAGE:
		try_message(body, hdr.body_bytes);
		break;
	case FRAME_BLOCK:
		try_fragment(body, hdr.body_bytes);
		break;
	case FRAME_FETCH:
		try_fetch(body, hdr.body_bytes);
		break;
	case FRAME_PART_ASK:
		try_part_ask(body, hdr.body_bytes);
		break;
	case FRAME_PART:
		try_part(body, hdr.body_bytes);
		break;
	case FRAME_GENERATION:
		try_notice(body, hdr.body_bytes);
		break;
	}
	/* All of the header but the CRC, which the authentication tag changes. */
	uint8_t *again = malloc(bytes);
	REQUIRE(again != NULL);
	memcpy(again, frame, bytes);
	frame_seal(again, &hdr, 0);
	REQUIRE(memcmp(again + 4, frame + 4, offsetof(struct frame_hdr_le, auth_tag) - 4) == 0);
	free(again);
}

static void
try_repaired(const uint8_t *data, size_t bytes)
{
	struct frame_hdr_le hdr;

	if (bytes < sizeof(hdr))
		return;
	memcpy(&hdr, data, sizeof(hdr));
	size_t covered = hdr.kind == FRAME_BLOCK ? FRAGMENT_HDR_BYTES : le16_get(hdr.body_bytes);
	if (covered > bytes - sizeof(hdr))
		return;
	uint8_t *frame = malloc(bytes);
	REQUIRE(frame != NULL);
	memcpy(frame, data, bytes);
	fuzz_put_crc(frame, 0, 4, sizeof(hdr) - 4 + covered);
	try_frame(frame, (uint32_t)bytes);
	free(frame);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes > 10000)
		return 0;
	try_frame(data, (uint32_t)bytes);
	try_repaired(data, bytes);
	return 0;
}
