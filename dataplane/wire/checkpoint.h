/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint: the state of one shard after block log_index, as a stream of records that is cut
 * into chunks. Equal on every node at an equal log_index, byte for byte: nothing in it is local.
 *
 *	header page | chunk 0 | chunk 1 | ...
 *
 * A chunk is a header of 64 bytes, then payload: CHECKPOINT_CHUNK_BYTES together, the last one
 * shorter and filled with zeros to whole pages. The header page is written last; it holds the root,
 * a running hash over the hashes of all chunks. Records run on across chunks.
 */
#ifndef TERN_WIRE_CHECKPOINT_H
#define TERN_WIRE_CHECKPOINT_H

#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/wire/page.h"

#ifdef TERN_TINY_LIMITS
#define CHECKPOINT_CHUNK_BYTES (2u * PAGE_BYTES)
#else
#define CHECKPOINT_CHUNK_BYTES (1u << 20)
#endif
#define CHECKPOINT_CHUNK_PAGES       (CHECKPOINT_CHUNK_BYTES / PAGE_BYTES)
#define CHECKPOINT_CHUNK_HDR_BYTES   64u
#define CHECKPOINT_CHUNK_PAYLOAD_MAX (CHECKPOINT_CHUNK_BYTES - CHECKPOINT_CHUNK_HDR_BYTES)
#define CHECKPOINT_HDR_BYTES         PAGE_BYTES
#define CHECKPOINT_RECORD_BYTES      32u

/* What the state machine says of itself at one position. */
struct checkpoint_state {
	uint64_t time_ns; /* of the last block with commands */
	uint64_t hash;    /* the state hash */
	uint64_t key_count, session_count, expiry_count, logical_bytes, client_id_next;
	uint64_t capacity_bytes; /* limits that are equal on every node */
	uint32_t value_bytes_max, sessions_max;
};

struct checkpoint_hdr {
	uint64_t cluster_id;
	uint16_t shard, machine_version;
	struct block_meta meta; /* of block log_index */
	uint64_t page_end;      /* pages of the chain up to and with this block */
	uint64_t block_time_ns;
	uint64_t voters, learners, config_index;
	uint16_t witness_id;
	uint32_t witness_gen;
	struct checkpoint_state state;
	uint64_t stream_bytes; /* of all records */
	uint32_t chunk_count;
	struct hash128 root;
};

struct checkpoint_chunk {
	uint64_t cluster_id, log_index;
	uint16_t shard;
	uint32_t number, payload_bytes;
	struct hash128 hash; /* XXH3-128 of the payload */
};

/* One record of the stream; key and then data follow it. */
enum checkpoint_kind {
	CHECKPOINT_BYTES = 1, /* a key, in byte order of the keys */
	CHECKPOINT_INTEGER,   /* the same; data: 8 bytes */
	CHECKPOINT_SESSION,   /* by rising client_id, behind all keys; no key */
	CHECKPOINT_END,       /* of the stream */
};
struct checkpoint_record {
	enum checkpoint_kind kind;
	uint32_t key_bytes, data_bytes;
	uint64_t log_index; /* of the command that wrote it */
	uint32_t slot;
	uint64_t expires_ns; /* 0: never */
};

void checkpoint_hdr_encode(uint8_t *page, const struct checkpoint_hdr *hdr);
/* BLANK: all zero. FOREIGN: no checkpoint. CORRUPT: CRC, ranges, counts that contradict each other.
 * VERSION: a format or chunk size that this build does not know. */
TERN_CHECKED enum tern_err checkpoint_hdr_decode(const uint8_t *page, struct checkpoint_hdr *hdr);

/* Hashes the payload that lies behind the header's place in @bytes, fills chunk->hash, writes the
 * header, and zeros up to the next page. Returns the chunk's pages. */
uint32_t checkpoint_chunk_seal(uint8_t *bytes, struct checkpoint_chunk *chunk);
/* Checks a whole chunk of @pages, payload included. CORRUPT, VERSION. */
TERN_CHECKED enum tern_err
checkpoint_chunk_open(const uint8_t *bytes, uint32_t pages, struct checkpoint_chunk *chunk);
/* The root after one more chunk; all zero before the first. */
struct hash128 checkpoint_root_add(struct hash128 root, struct hash128 chunk_hash);

/* Chunks and pages, header page included, of a stream. */
static inline uint64_t
checkpoint_chunks(uint64_t stream_bytes)
{
	return (stream_bytes + CHECKPOINT_CHUNK_PAYLOAD_MAX - 1) / CHECKPOINT_CHUNK_PAYLOAD_MAX;
}
uint64_t checkpoint_pages(uint64_t stream_bytes);
/* Pages of chunk @number of a stream; 0: there is none. */
uint32_t checkpoint_chunk_pages(uint64_t stream_bytes, uint64_t number);

void checkpoint_record_encode(uint8_t *out, const struct checkpoint_record *record);
TERN_CHECKED enum tern_err
checkpoint_record_decode(const uint8_t *bytes, struct checkpoint_record *record);

#endif
