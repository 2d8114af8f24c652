/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node and a witness read of themselves: the input is the front of a superblock, register
 * or pool note, zeros follow, and the CRC is put right in a second try. What is accepted must come
 * out the same when it is encoded again (but for its format, which rises), and superblock_choose
 * must agree with superblock_decode.
 */
#include "dataplane/wire/membership.h"
#include "dataplane/wire/pool_note.h"
#include "dataplane/wire/superblock_update.h"
#include "dataplane/wire/witness_register.h"
#include "tests/fuzz/fuzz.h"

#define CRC_OFFSET      8u
#define SEQUENCE_OFFSET 16u

static void
try_superblock(const uint8_t *page)
{
	uint8_t again[SUPERBLOCK_BYTES], copies[SUPERBLOCK_COPIES * SUPERBLOCK_BYTES];
	struct superblock superblock, chosen;
	uint32_t good_mask;
	const enum tern_err err = superblock_decode(page, &superblock);

	if (err == TERN_OK) {
		REQUIRE(superblock.shard_count <= SUPERBLOCK_SHARDS_MAX);
		/* The old ones in the corpus have none, and so have to be refused. */
		REQUIRE(generation_is_sound(&superblock.generation));
		superblock_encode(again, &superblock);
		REQUIRE(superblock.format >= 1 && superblock.format <= SUPERBLOCK_FORMAT);
		REQUIRE(memcmp(again + SEQUENCE_OFFSET, page + SEQUENCE_OFFSET,
			       SUPERBLOCK_BYTES - SEQUENCE_OFFSET) == 0);
		if (superblock.format == SUPERBLOCK_FORMAT)
			REQUIRE(memcmp(again, page, SUPERBLOCK_BYTES) == 0);
	}
	memset(copies, 0, sizeof(copies));
	memcpy(copies + 2 * SUPERBLOCK_BYTES, page, SUPERBLOCK_BYTES);
	REQUIRE((superblock_choose(copies, &chosen, &good_mask) == TERN_OK) == (err == TERN_OK));
	if (err == TERN_OK)
		REQUIRE(good_mask == 1u << 2 && chosen.sequence == superblock.sequence);
}

static void
try_register(const uint8_t *slot)
{
	uint8_t again[WITNESS_REGISTER_BYTES];
	struct witness_register reg;

	if (witness_register_decode(slot, &reg) != TERN_OK)
		return;
	REQUIRE(reg.last_term <= reg.term);
	witness_register_encode(again, &reg);
	REQUIRE(memcmp(again, slot, WITNESS_REGISTER_BYTES) == 0);
}

static void
try_note(const uint8_t *bytes)
{
	uint8_t again[POOL_NOTE_BYTES];
	struct pool_note note;

	if (pool_note_decode(bytes, POOL_NOTE_BYTES, &note) != TERN_OK)
		return;
	pool_note_encode(again, &note);
	REQUIRE(memcmp(again, bytes, POOL_NOTE_BYTES) == 0);
}

static void
try_membership(const uint8_t *data, size_t bytes)
{
	uint8_t again[MEMBERSHIP_BYTES];
	struct membership next, before;

	if (membership_decode(data, (uint32_t)bytes, &next, &before) != TERN_OK)
		return;
	REQUIRE(membership_is_sound(&next) && membership_is_sound(&before));
	membership_encode(again, &next, &before);
	REQUIRE(bytes == MEMBERSHIP_BYTES && memcmp(again, data, bytes) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t page[SUPERBLOCK_BYTES] = { 0 };

	try_membership(data, bytes);
	memcpy(page, data, bytes < sizeof(page) ? bytes : sizeof(page));
	try_superblock(page);
	try_register(page);
	try_note(page);
	fuzz_put_crc(page, CRC_OFFSET, CRC_OFFSET + 4, POOL_NOTE_BYTES - CRC_OFFSET - 4);
	try_note(page);
	fuzz_put_crc(page, CRC_OFFSET, CRC_OFFSET + 4, WITNESS_REGISTER_BYTES - CRC_OFFSET - 4);
	try_register(page);
	fuzz_put_crc(page, CRC_OFFSET, CRC_OFFSET + 4, SUPERBLOCK_BYTES - CRC_OFFSET - 4);
	try_superblock(page);
	return 0;
}
