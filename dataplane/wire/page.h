/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages and blocks: the bytes of the command log, in memory, on devices and (without the identity
 * part) on the wire. Drawn in docs/reference/log-format.md.
 *
 *	page    4096 = identity 64 | content header 64 | payload 3968
 *	block   1..n pages; the block header is the first 128 payload bytes of its first page;
 *	        commands follow as one byte stream through the payloads of all its pages
 *
 * The identity part says where this copy lies on this node's devices, and is different on every
 * node. Content header and payload are the same on every node and are what replication moves.
 */
#ifndef TERN_WIRE_PAGE_H
#define TERN_WIRE_PAGE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/le.h"

#define PAGE_BYTES             4096u
#define PAGE_IDENTITY_BYTES    64u
#define PAGE_CONTENT_HDR_BYTES 64u
#define PAGE_PAYLOAD_OFFSET    128u
#define PAGE_PAYLOAD_BYTES     3968u
#define PAGE_FORMAT            1u
#define BLOCK_HDR_BYTES        128u
#define BLOCK_FORMAT           1u

struct page_identity_le {
	le32 crc32c; /* bytes [4, 64) of the identity part */
	uint8_t format, k, m, column;
	le64 cluster_id;
	le16 node_id;
	le16 group_pages; /* data pages of the write group */
	le32 boot_no;
	le64 group_seq;            /* rises by one with every write group of a boot */
	le64 first_cell, own_cell; /* cell: the address of a page, rising for ever */
	le64 acked_floor; /* highest log_index acknowledged or counted when the group was sealed */
	le32 pool_gen;
	/* The group's number in its branch: 1 begins one (the first group of a boot, and the first
	 * behind a cut), the next one is 2, and so on; it stays at the highest number. 0: written
	 * before groups were numbered so. */
	le32 branch_group;
};
static_assert(sizeof(struct page_identity_le) == PAGE_IDENTITY_BYTES, "frozen by format 1");

struct page_identity {
	uint64_t cluster_id, group_seq, first_cell, own_cell, acked_floor;
	uint32_t boot_no, pool_gen, group_pages, branch_group;
	uint16_t node_id;
	uint8_t k, m, column;
};

struct page_content_le {
	le32 crc32c; /* bytes [4, 64) of this header, then the used payload bytes */
	uint8_t format, reserved0;
	le16 shard;
	le64 cluster_id;
	le64 term;
	le32 epoch;
	le32 page_in_block;
	le64 log_index;
	le32 used_bytes; /* of the payload; 3968 except in a block's last page; the rest is zero */
	uint8_t reserved[20];
};
static_assert(sizeof(struct page_content_le) == PAGE_CONTENT_HDR_BYTES, "frozen by format 1");

struct page_content {
	uint64_t cluster_id, term, log_index;
	uint32_t epoch, page_in_block, used_bytes;
	uint16_t shard;
};

enum block_kind {
	BLOCK_COMMANDS = 1,
	BLOCK_BARRIER = 2, /* opens an epoch; carries no command */
	BLOCK_CONFIG = 3,  /* one configuration, see membership.h */
};

/* machine_version of a block: the oldest rules of the state machine that apply it. A build does not
 * apply what needs newer ones than it knows. */
#define BLOCK_RULES_FIRST 1u
#define BLOCK_RULES_IDS   2u /* a GEN block moves the ids of sessions */

struct block_hdr_le {
	le32 crc32c; /* bytes [4, 128) of this header */
	uint8_t format, kind, class_, reserved0;
	le64 log_index, term;
	le32 epoch, command_count;
	le32 payload_bytes; /* of the whole block, this header included */
	le32 pages;
	le64 page_lsn;     /* pages of the chain before this block */
	le64 time_ns;      /* hybrid clock: greater than its predecessor's */
	le64 commit_index; /* known by the master when it sealed the block: a floor for recovery */
	le64 content_hash[2]; /* XXH3-128 of the payload after this header */
	le64 prev_chain[2];
	le16 shard, machine_version;
	/* What every data node held durably, as far as the master knew when it sealed the block:
	 * at most commit_index. Logs are reclaimed up to here. */
	le64 common_index;
	uint8_t reserved[20];
};
static_assert(sizeof(struct block_hdr_le) == BLOCK_HDR_BYTES, "frozen by format 1");
static_assert(offsetof(struct block_hdr_le, prev_chain) == 80, "frozen by format 1");

struct block_hdr {
	enum block_kind kind;
	uint8_t class_; /* enum command_class of its weakest command */
	uint16_t shard, machine_version;
	uint64_t log_index, term, page_lsn, time_ns, commit_index, common_index;
	uint32_t epoch, command_count, payload_bytes, pages;
	struct hash128 content_hash, prev_chain;
};

/* What the chain of blocks says of one block: all that log matching and elections need. */
struct block_meta {
	uint64_t log_index, term;
	uint32_t epoch;
	enum block_kind kind;
	struct hash128 chain; /* XXH3-128 of bytes [4, 128) of the block header */
};

/* Payload bytes of a block -> pages it takes. */
static inline uint32_t
block_pages(uint32_t payload_bytes)
{
	return (payload_bytes + PAGE_PAYLOAD_BYTES - 1) / PAGE_PAYLOAD_BYTES;
}

void page_identity_encode(uint8_t *page, const struct page_identity *identity);
/* BLANK: the 64 bytes are all zero. CORRUPT: CRC, reserved bytes or ranges. VERSION. */
TERN_CHECKED enum tern_err
page_identity_decode(const uint8_t *page, struct page_identity *identity);

/* Writes the content header with its CRC over the payload that already lies in @page. */
void page_content_seal(uint8_t *page, const struct page_content *content);
/* CORRUPT: CRC, reserved bytes, ranges. VERSION. */
TERN_CHECKED enum tern_err page_content_open(const uint8_t *page, struct page_content *content);

void block_hdr_encode(uint8_t *payload, const struct block_hdr *hdr);
/* CORRUPT: CRC, reserved bytes, counts that contradict each other. VERSION. */
TERN_CHECKED enum tern_err block_hdr_decode(const uint8_t *payload, struct block_hdr *hdr);
/* The chain hash of the block whose encoded header lies at @payload. */
struct hash128 block_chain(const uint8_t *payload);
struct block_meta block_meta_of(const struct block_hdr *hdr, struct hash128 chain);

/* XXH3-128 over the payload stream of a block after its header. @block: its pages, contiguous. */
struct hash128 block_content_hash(const uint8_t *block, uint32_t payload_bytes);

#endif
