/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/checkpoint.h"

#include <assert.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/crc32c.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/bytes.h"
#include "dataplane/wire/command.h"

/* "TernCkpt", read as a little-endian integer. */
#define CHECKPOINT_MAGIC  0x74706b436e726554ULL
#define CHECKPOINT_FORMAT 1u

struct checkpoint_hdr_le {
	le64 magic;
	le32 crc32c; /* bytes [12, 4096) */
	le32 format;
	le64 cluster_id;
	le16 shard, machine_version, witness_id;
	uint8_t kind, reserved0;
	le64 log_index, term;
	le32 epoch, witness_gen;
	le64 chain[2];
	le64 page_end, block_time_ns;
	le64 voters, learners, config_index;
	le64 time_ns, hash, key_count, session_count, expiry_count, logical_bytes, client_id_next;
	le64 capacity_bytes;
	le32 value_bytes_max, sessions_max;
	le64 stream_bytes;
	le32 chunk_bytes, chunk_count;
	le64 root[2];
};
static_assert(sizeof(struct checkpoint_hdr_le) == 216, "frozen by format 1");
static_assert(offsetof(struct checkpoint_hdr_le, root) == 200, "frozen by format 1");

struct checkpoint_chunk_le {
	le32 crc32c; /* bytes [4, 64) */
	uint8_t format, reserved0;
	le16 shard;
	le64 cluster_id, log_index;
	le32 number, payload_bytes;
	le64 hash[2];
	uint8_t reserved[16];
};
static_assert(sizeof(struct checkpoint_chunk_le) == CHECKPOINT_CHUNK_HDR_BYTES,
	      "frozen by format 1");

struct checkpoint_record_le {
	uint8_t kind, reserved0;
	le16 key_bytes;
	le32 data_bytes;
	le64 log_index;
	le32 slot;
	le32 reserved1;
	le64 expires_ns;
};
static_assert(sizeof(struct checkpoint_record_le) == CHECKPOINT_RECORD_BYTES, "frozen by format 1");

uint64_t
checkpoint_pages(uint64_t stream_bytes)
{
	const uint64_t chunks = checkpoint_chunks(stream_bytes);

	if (chunks == 0)
		return 1;
	return 1 + (chunks - 1) * CHECKPOINT_CHUNK_PAGES +
	       checkpoint_chunk_pages(stream_bytes, chunks - 1);
}

uint32_t
checkpoint_chunk_pages(uint64_t stream_bytes, uint64_t number)
{
	if (number >= checkpoint_chunks(stream_bytes))
		return 0;
	const uint64_t left = stream_bytes - number * CHECKPOINT_CHUNK_PAYLOAD_MAX;
	const uint64_t payload = min_u64(left, CHECKPOINT_CHUNK_PAYLOAD_MAX);
	return (uint32_t)div_up_u64(CHECKPOINT_CHUNK_HDR_BYTES + payload, PAGE_BYTES);
}

void
checkpoint_hdr_encode(uint8_t *page, const struct checkpoint_hdr *hdr)
{
	const struct checkpoint_state *state = &hdr->state;
	struct checkpoint_hdr_le le = {
		.magic = le64_make(CHECKPOINT_MAGIC),
		.format = le32_make(CHECKPOINT_FORMAT),
		.cluster_id = le64_make(hdr->cluster_id),
		.shard = le16_make(hdr->shard),
		.machine_version = le16_make(hdr->machine_version),
		.witness_id = le16_make(hdr->witness_id),
		.kind = (uint8_t)hdr->meta.kind,
		.log_index = le64_make(hdr->meta.log_index),
		.term = le64_make(hdr->meta.term),
		.epoch = le32_make(hdr->meta.epoch),
		.witness_gen = le32_make(hdr->witness_gen),
		.page_end = le64_make(hdr->page_end),
		.block_time_ns = le64_make(hdr->block_time_ns),
		.voters = le64_make(hdr->voters),
		.learners = le64_make(hdr->learners),
		.config_index = le64_make(hdr->config_index),
		.time_ns = le64_make(state->time_ns),
		.hash = le64_make(state->hash),
		.key_count = le64_make(state->key_count),
		.session_count = le64_make(state->session_count),
		.expiry_count = le64_make(state->expiry_count),
		.logical_bytes = le64_make(state->logical_bytes),
		.client_id_next = le64_make(state->client_id_next),
		.capacity_bytes = le64_make(state->capacity_bytes),
		.value_bytes_max = le32_make(state->value_bytes_max),
		.sessions_max = le32_make(state->sessions_max),
		.stream_bytes = le64_make(hdr->stream_bytes),
		.chunk_bytes = le32_make(CHECKPOINT_CHUNK_BYTES),
		.chunk_count = le32_make(hdr->chunk_count),
	};

	INVARIANT(hdr->meta.log_index != 0);
	INVARIANT(hdr->chunk_count == checkpoint_chunks(hdr->stream_bytes));
	hash128_put(le.chain, hdr->meta.chain);
	hash128_put(le.root, hdr->root);
	memset(page, 0, CHECKPOINT_HDR_BYTES);
	memcpy(page, &le, sizeof(le));
	le.crc32c = le32_make(crc32c(page + 12, CHECKPOINT_HDR_BYTES - 12));
	memcpy(page + offsetof(struct checkpoint_hdr_le, crc32c), &le.crc32c, sizeof(le.crc32c));
}

static void
hdr_get(const struct checkpoint_hdr_le *le, struct checkpoint_hdr *hdr)
{
	*hdr = (struct checkpoint_hdr){
		.cluster_id = le64_get(le->cluster_id),
		.shard = le16_get(le->shard),
		.machine_version = le16_get(le->machine_version),
		.meta = { .log_index = le64_get(le->log_index),
			  .term = le64_get(le->term),
			  .epoch = le32_get(le->epoch),
			  .kind = (enum block_kind)le->kind,
			  .chain = hash128_get(le->chain) },
		.page_end = le64_get(le->page_end),
		.block_time_ns = le64_get(le->block_time_ns),
		.voters = le64_get(le->voters),
		.learners = le64_get(le->learners),
		.config_index = le64_get(le->config_index),
		.witness_id = le16_get(le->witness_id),
		.witness_gen = le32_get(le->witness_gen),
		.state = { .time_ns = le64_get(le->time_ns),
			   .hash = le64_get(le->hash),
			   .key_count = le64_get(le->key_count),
			   .session_count = le64_get(le->session_count),
			   .expiry_count = le64_get(le->expiry_count),
			   .logical_bytes = le64_get(le->logical_bytes),
			   .client_id_next = le64_get(le->client_id_next),
			   .capacity_bytes = le64_get(le->capacity_bytes),
			   .value_bytes_max = le32_get(le->value_bytes_max),
			   .sessions_max = le32_get(le->sessions_max) },
		.stream_bytes = le64_get(le->stream_bytes),
		.chunk_count = le32_get(le->chunk_count),
		.root = hash128_get(le->root),
	};
}

enum tern_err
checkpoint_hdr_decode(const uint8_t *page, struct checkpoint_hdr *hdr)
{
	uint8_t again[CHECKPOINT_HDR_BYTES];
	struct checkpoint_hdr_le le;

	memcpy(&le, page, sizeof(le));
	if (le64_get(le.magic) != CHECKPOINT_MAGIC)
		return bytes_are_zero(page, CHECKPOINT_HDR_BYTES) ? TERN_ERR_BLANK
								  : TERN_ERR_FOREIGN;
	if (le32_get(le.crc32c) != crc32c(page + 12, CHECKPOINT_HDR_BYTES - 12))
		return TERN_ERR_CORRUPT;
	if (le32_get(le.format) != CHECKPOINT_FORMAT ||
	    le32_get(le.chunk_bytes) != CHECKPOINT_CHUNK_BYTES)
		return TERN_ERR_VERSION;
	hdr_get(&le, hdr);
	if (hdr->meta.log_index == 0 || hdr->meta.kind < BLOCK_COMMANDS ||
	    hdr->meta.kind > BLOCK_CONFIG || hdr->stream_bytes == 0 ||
	    hdr->stream_bytes > UINT64_MAX / 2 ||
	    hdr->chunk_count != checkpoint_chunks(hdr->stream_bytes) ||
	    hdr->state.expiry_count > hdr->state.key_count ||
	    hdr->state.logical_bytes > hdr->state.capacity_bytes)
		return TERN_ERR_CORRUPT;
	/* What the encoder writes no field to must be zero. */
	checkpoint_hdr_encode(again, hdr);
	return memcmp(again, page, CHECKPOINT_HDR_BYTES) == 0 ? TERN_OK : TERN_ERR_CORRUPT;
}

static void
chunk_put(struct checkpoint_chunk_le *le, const struct checkpoint_chunk *chunk)
{
	*le = (struct checkpoint_chunk_le){
		.format = CHECKPOINT_FORMAT,
		.shard = le16_make(chunk->shard),
		.cluster_id = le64_make(chunk->cluster_id),
		.log_index = le64_make(chunk->log_index),
		.number = le32_make(chunk->number),
		.payload_bytes = le32_make(chunk->payload_bytes),
	};
	hash128_put(le->hash, chunk->hash);
	le->crc32c = le32_make(crc32c((const uint8_t *)le + 4, sizeof(*le) - 4));
}

uint32_t
checkpoint_chunk_seal(uint8_t *bytes, struct checkpoint_chunk *chunk)
{
	const uint32_t used = CHECKPOINT_CHUNK_HDR_BYTES + chunk->payload_bytes;
	const uint32_t pages = (uint32_t)div_up_u64(used, PAGE_BYTES);
	struct checkpoint_chunk_le le;

	INVARIANT(chunk->payload_bytes != 0);
	INVARIANT(chunk->payload_bytes <= CHECKPOINT_CHUNK_PAYLOAD_MAX);
	chunk->hash = hash128(bytes + CHECKPOINT_CHUNK_HDR_BYTES, chunk->payload_bytes);
	chunk_put(&le, chunk);
	memcpy(bytes, &le, sizeof(le));
	memset(bytes + used, 0, (size_t)pages * PAGE_BYTES - used);
	return pages;
}

enum tern_err
checkpoint_chunk_open(const uint8_t *bytes, uint32_t pages, struct checkpoint_chunk *chunk)
{
	struct checkpoint_chunk_le le, again;

	memcpy(&le, bytes, sizeof(le));
	if (le32_get(le.crc32c) != crc32c(bytes + 4, sizeof(le) - 4))
		return TERN_ERR_CORRUPT;
	if (le.format != CHECKPOINT_FORMAT)
		return TERN_ERR_VERSION;
	*chunk = (struct checkpoint_chunk){
		.cluster_id = le64_get(le.cluster_id),
		.log_index = le64_get(le.log_index),
		.shard = le16_get(le.shard),
		.number = le32_get(le.number),
		.payload_bytes = le32_get(le.payload_bytes),
		.hash = hash128_get(le.hash),
	};
	chunk_put(&again, chunk);
	if (memcmp(&again, &le, sizeof(le)) != 0 || chunk->payload_bytes == 0 ||
	    chunk->payload_bytes > CHECKPOINT_CHUNK_PAYLOAD_MAX)
		return TERN_ERR_CORRUPT;
	const uint32_t used = CHECKPOINT_CHUNK_HDR_BYTES + chunk->payload_bytes;
	if (div_up_u64(used, PAGE_BYTES) != pages ||
	    !hash128_equal(chunk->hash,
			   hash128(bytes + CHECKPOINT_CHUNK_HDR_BYTES, chunk->payload_bytes)) ||
	    !bytes_are_zero(bytes + used, (size_t)pages * PAGE_BYTES - used))
		return TERN_ERR_CORRUPT;
	return TERN_OK;
}

struct hash128
checkpoint_root_add(struct hash128 root, struct hash128 chunk_hash)
{
	le64 both[4];

	hash128_put(both, root);
	hash128_put(both + 2, chunk_hash);
	return hash128(both, sizeof(both));
}

void
checkpoint_record_encode(uint8_t *out, const struct checkpoint_record *record)
{
	const struct checkpoint_record_le le = {
		.kind = (uint8_t)record->kind,
		.key_bytes = le16_make((uint16_t)record->key_bytes),
		.data_bytes = le32_make(record->data_bytes),
		.log_index = le64_make(record->log_index),
		.slot = le32_make(record->slot),
		.expires_ns = le64_make(record->expires_ns),
	};

	INVARIANT(record->key_bytes <= COMMAND_KEY_BYTES_MAX);
	memcpy(out, &le, sizeof(le));
}

/* A key has 1..COMMAND_KEY_BYTES_MAX bytes and a writer, a session no key and no expiry, the end
 * nothing at all. */
static bool
is_record_sound(const struct checkpoint_record *record)
{
	const bool is_key = record->key_bytes >= 1 && record->key_bytes <= COMMAND_KEY_BYTES_MAX &&
			    record->log_index != 0;

	switch (record->kind) {
	case CHECKPOINT_BYTES:
		return is_key;
	case CHECKPOINT_INTEGER:
		return is_key && record->data_bytes == sizeof(uint64_t);
	case CHECKPOINT_SESSION:
		return record->key_bytes == 0 && record->expires_ns == 0 && record->log_index != 0;
	case CHECKPOINT_END:
		return record->key_bytes == 0 && record->data_bytes == 0 &&
		       record->log_index == 0 && record->slot == 0 && record->expires_ns == 0;
	}
	return false;
}

enum tern_err
checkpoint_record_decode(const uint8_t *bytes, struct checkpoint_record *record)
{
	uint8_t again[CHECKPOINT_RECORD_BYTES];
	struct checkpoint_record_le le;

	memcpy(&le, bytes, sizeof(le));
	*record = (struct checkpoint_record){
		.kind = (enum checkpoint_kind)le.kind,
		.key_bytes = le16_get(le.key_bytes),
		.data_bytes = le32_get(le.data_bytes),
		.log_index = le64_get(le.log_index),
		.slot = le32_get(le.slot),
		.expires_ns = le64_get(le.expires_ns),
	};
	if (!is_record_sound(record))
		return TERN_ERR_CORRUPT;
	checkpoint_record_encode(again, record);
	return memcmp(again, bytes, sizeof(again)) == 0 ? TERN_OK : TERN_ERR_CORRUPT;
}
