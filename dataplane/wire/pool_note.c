/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/pool_note.h"

#include <assert.h>

#include "dataplane/base/crc32c.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/bytes.h"

/* "TernPool", read as a little-endian integer. */
#define NOTE_MAGIC     0x6c6f6f506e726554ULL
#define NOTE_FORMAT    1u
#define NOTE_CRC_START 12u

struct pool_note_le {
	le64 magic;
	le32 crc32c; /* bytes [12, 64) */
	le32 format;
	le64 cluster_id, sequence;
	le32 boot_no, pool_gen, out;
	le16 node_id;
	uint8_t k, m;
	uint8_t reserved[16];
};
static_assert(sizeof(struct pool_note_le) == POOL_NOTE_BYTES, "frozen by format 1");
static_assert(offsetof(struct pool_note_le, out) == 40, "frozen by format 1");

static bool
is_sound(const struct pool_note *note)
{
	const uint32_t devices = (uint32_t)note->k + note->m;

	return note->boot_no != 0 && note->sequence != 0 && note->k != 0 && devices < 32 &&
	       note->out >> devices == 0;
}

void
pool_note_encode(uint8_t *out, const struct pool_note *note)
{
	struct pool_note_le le = {
		.magic = le64_make(NOTE_MAGIC),
		.format = le32_make(NOTE_FORMAT),
		.cluster_id = le64_make(note->cluster_id),
		.sequence = le64_make(note->sequence),
		.boot_no = le32_make(note->boot_no),
		.pool_gen = le32_make(note->pool_gen),
		.out = le32_make(note->out),
		.node_id = le16_make(note->node_id),
		.k = note->k,
		.m = note->m,
	};

	INVARIANT(is_sound(note));
	memcpy(out, &le, sizeof(le));
	le.crc32c = le32_make(crc32c(out + NOTE_CRC_START, POOL_NOTE_BYTES - NOTE_CRC_START));
	memcpy(out + offsetof(struct pool_note_le, crc32c), &le.crc32c, sizeof(le.crc32c));
}

enum tern_err
pool_note_decode(const uint8_t *bytes, size_t count, struct pool_note *note)
{
	struct pool_note_le le;

	if (count != POOL_NOTE_BYTES)
		return TERN_ERR_CORRUPT;
	memcpy(&le, bytes, sizeof(le));
	if (le64_get(le.magic) != NOTE_MAGIC)
		return TERN_ERR_FOREIGN;
	if (le32_get(le.crc32c) != crc32c(bytes + NOTE_CRC_START, POOL_NOTE_BYTES - NOTE_CRC_START))
		return TERN_ERR_CORRUPT;
	if (le32_get(le.format) != NOTE_FORMAT)
		return TERN_ERR_VERSION;
	*note = (struct pool_note){
		.cluster_id = le64_get(le.cluster_id),
		.sequence = le64_get(le.sequence),
		.boot_no = le32_get(le.boot_no),
		.pool_gen = le32_get(le.pool_gen),
		.out = le32_get(le.out),
		.node_id = le16_get(le.node_id),
		.k = le.k,
		.m = le.m,
	};
	return is_sound(note) && bytes_are_zero(le.reserved, sizeof(le.reserved))
		   ? TERN_OK
		   : TERN_ERR_CORRUPT;
}
