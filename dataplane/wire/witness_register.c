/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/witness_register.h"

#include <assert.h>

#include "dataplane/base/crc32c.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/bytes.h"

/* "TernWitn", read as a little-endian integer. */
#define REGISTER_MAGIC 0x6e7469576e726554ULL
/* Format 2 has a generation with an id, and what is superseded. One of neither is written as
 * format 1, which earlier builds read. */
#define REGISTER_FORMAT 2u

struct witness_register_le {
	le64 magic;
	le32 crc32c; /* bytes [12, 512) */
	le32 format;
	le64 sequence, cluster_id;
	le32 cluster_gen, witness_gen;
	le16 shard, witness_id, voted_for, reserved0;
	le32 boot_no, last_epoch;
	le64 term, last_term, rset, last_index;
	le64 chain[2];
	le64 config_index;
	le64 config_chain[2];
	uint8_t duty, reserved1[3];
	le32 gen_id;
};
static_assert(sizeof(struct witness_register_le) <= WITNESS_REGISTER_BYTES, "one slot");

static uint32_t
format_of(const struct witness_register *reg)
{
	return reg->generation.id == 0 && reg->duty != WITNESS_SUPERSEDED ? 1 : REGISTER_FORMAT;
}

void
witness_register_encode(uint8_t *out, const struct witness_register *reg)
{
	struct witness_register_le le = {
		.magic = le64_make(REGISTER_MAGIC),
		.format = le32_make(format_of(reg)),
		.sequence = le64_make(reg->sequence),
		.cluster_id = le64_make(reg->cluster_id),
		.cluster_gen = le32_make(reg->generation.number),
		.gen_id = le32_make(reg->generation.id),
		.witness_gen = le32_make(reg->witness_gen),
		.shard = le16_make(reg->shard),
		.witness_id = le16_make(reg->witness_id),
		.voted_for = le16_make(reg->voted_for),
		.boot_no = le32_make(reg->boot_no),
		.last_epoch = le32_make(reg->last_epoch),
		.term = le64_make(reg->term),
		.last_term = le64_make(reg->last_term),
		.rset = le64_make(reg->rset),
		.last_index = le64_make(reg->last_index),
		.config_index = le64_make(reg->config_index),
		.duty = reg->duty,
	};

	INVARIANT(reg->sequence != 0 && reg->witness_id != 0);
	INVARIANT(reg->last_term <= reg->term);
	INVARIANT(generation_is_sound(&reg->generation));
	hash128_put(le.chain, reg->chain);
	hash128_put(le.config_chain, reg->config_chain);
	memset(out, 0, WITNESS_REGISTER_BYTES);
	memcpy(out, &le, sizeof(le));
	le.crc32c = le32_make(crc32c(out + 12, WITNESS_REGISTER_BYTES - 12));
	memcpy(out + offsetof(struct witness_register_le, crc32c), &le.crc32c, sizeof(le.crc32c));
}

enum tern_err
witness_register_decode(const uint8_t *bytes, struct witness_register *reg)
{
	uint8_t again[WITNESS_REGISTER_BYTES];
	struct witness_register_le le;

	memcpy(&le, bytes, sizeof(le));
	if (le64_get(le.magic) != REGISTER_MAGIC)
		return bytes_are_zero(bytes, WITNESS_REGISTER_BYTES) ? TERN_ERR_BLANK
								     : TERN_ERR_FOREIGN;
	if (le32_get(le.crc32c) != crc32c(bytes + 12, WITNESS_REGISTER_BYTES - 12))
		return TERN_ERR_CORRUPT;
	if (le32_get(le.format) < 1 || le32_get(le.format) > REGISTER_FORMAT)
		return TERN_ERR_VERSION;
	*reg = (struct witness_register){
		.sequence = le64_get(le.sequence),
		.cluster_id = le64_get(le.cluster_id),
		.generation = { le32_get(le.cluster_gen), le32_get(le.gen_id) },
		.witness_gen = le32_get(le.witness_gen),
		.shard = le16_get(le.shard),
		.witness_id = le16_get(le.witness_id),
		.boot_no = le32_get(le.boot_no),
		.term = le64_get(le.term),
		.voted_for = le16_get(le.voted_for),
		.last_term = le64_get(le.last_term),
		.last_epoch = le32_get(le.last_epoch),
		.rset = le64_get(le.rset),
		.last_index = le64_get(le.last_index),
		.chain = hash128_get(le.chain),
		.config_index = le64_get(le.config_index),
		.config_chain = hash128_get(le.config_chain),
		.duty = le.duty,
	};
	if (reg->sequence == 0 || reg->witness_id == 0 || reg->last_term > reg->term ||
	    reg->duty > WITNESS_SUPERSEDED || !generation_is_sound(&reg->generation))
		return TERN_ERR_CORRUPT;
	/* What the encoder writes no field to must be zero. */
	witness_register_encode(again, reg);
	return memcmp(again, bytes, WITNESS_REGISTER_BYTES) == 0 ? TERN_OK : TERN_ERR_CORRUPT;
}
