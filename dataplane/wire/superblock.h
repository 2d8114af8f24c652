/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblock: what a data node must know of itself before it reads its log. 4096 bytes, four
 * copies at pages 0..3 of each device; the copy with the highest sequence and a good CRC counts.
 * Updates go alternately to copies {0, 1} and {2, 3}: a torn update leaves the previous one whole.
 *
 * Format 2 says that write groups of the log may tell their branch (struct page_identity), which a
 * build that knows format 1 only would take for damage. Format 3 has generations (generation.h),
 * format 4 floors. Older ones are read, and no longer written.
 *
 * Device: pages 0..15 superblock copies and spare | log area | checkpoint area: two slots
 */
#ifndef TERN_WIRE_SUPERBLOCK_H
#define TERN_WIRE_SUPERBLOCK_H

#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/wire/generation.h"
#include "dataplane/wire/membership.h"

#define SUPERBLOCK_BYTES       4096u
#define SUPERBLOCK_COPIES      4u
#define SUPERBLOCK_AREA_PAGES  16u
#define SUPERBLOCK_SHARDS_MAX  8u
#define SUPERBLOCK_CHECKPOINTS 2u
#define SUPERBLOCK_FORMAT      4u

#define SUPERBLOCK_REPLACED(device) (UINT64_C(1) << (32 + (device)))

/* Where a checkpoint lies. All zero: none. */
struct superblock_checkpoint {
	uint64_t log_index, term, first_page, pages;
	uint32_t epoch;
	struct hash128 chain;
};

/* The block behind which the log begins; cells before next_cell may have been used again. All zero:
 * the log begins with block 1 at cell 0. */
struct superblock_base {
	uint64_t log_index, term, page_end, time_ns, next_cell;
	uint32_t epoch;
	uint8_t kind; /* enum block_kind */
	struct hash128 chain;
	/* Of the write group that the block lies in. 0: written before this was noted. */
	uint32_t boot_no;
	uint64_t group_seq;
};

/* What the log fell idle with: no write group came behind @group_seq of @boot_no yet, and block
 * @log_index was durable. All zero: nothing is said. */
struct superblock_floor {
	uint64_t log_index, group_seq;
	uint32_t boot_no;
};

/* Of a node that was forced to begin its generation: where, and what the configuration was. Of one
 * that is superseded: where the later generation left its history, as far as it was told. */
struct superblock_fork {
	struct generation_notice notice;
	struct membership before;        /* forced */
	struct generation superseded_by; /* number 0: by none */
};

/* What a node is to its cluster. Storage that was lost and made anew has forgotten what the node
 * promised (docs/reference/protocol.md, section 11). */
enum superblock_join {
	SUPERBLOCK_MEMBER = 0,
	SUPERBLOCK_REJOINING, /* asks the others for a term and a boot_no before anything else */
	SUPERBLOCK_FORGETFUL, /* has them, and is no voter until it holds everything again */
	/* Somebody was forced to serve without this node: it never votes nor serves again, and
	 * keeps what it has for people. */
	SUPERBLOCK_SUPERSEDED,
};

struct shard_record {
	enum superblock_join join;
	uint16_t shard;
	uint16_t voted_for; /* node id; 0: nobody in this term */
	uint64_t term;
	uint64_t voters, learners; /* masks of data node ids */
	uint16_t witness_id;       /* 0: none */
	uint32_t witness_gen;
	uint64_t config_index; /* of the block that set the configuration; 0: birth */
	struct superblock_checkpoint checkpoints[SUPERBLOCK_CHECKPOINTS];
	struct superblock_base base;
	struct superblock_floor floor;
};

struct superblock {
	uint32_t format;   /* of what was read; what is written is of SUPERBLOCK_FORMAT */
	uint64_t sequence; /* rises with every update */
	uint64_t cluster_id;
	struct generation generation;
	struct superblock_fork fork;
	uint16_t node_id;
	uint32_t boot_no;  /* of the running or last incarnation; 0 until the first start */
	uint32_t pool_gen; /* see superblock_update.h */
	uint8_t k, m, device, reserved;
	/* Masks of positions. Replaced: by a device that came in while the node ran; what the node
	 * file names at that position, if it is behind, is out for good. */
	uint64_t failed_devices; /* bits 0..31; the others: replaced */
	uint64_t log_first_page, log_pages;
	uint64_t checkpoint_first_page, checkpoint_pages;
	uint64_t tail_cell; /* of a pool that a restore fills: its boot_no + 1, so that a start of
			     * the node, which raises boot_no, shows; else 0 */
	uint64_t born_ns;   /* when the pool was made, if it took the place of another one of this
			     * node; 0: the first, or made by an earlier version */
	uint32_t shard_count;
	struct shard_record shards[SUPERBLOCK_SHARDS_MAX];
};

/* A restore was about to fill the pool, did not end, and no node started with it since. */
static inline bool
superblock_is_filling(const struct superblock *superblock)
{
	return superblock->tail_cell == (uint64_t)superblock->boot_no + 1;
}

/* @out: SUPERBLOCK_BYTES. */
void superblock_encode(uint8_t *out, const struct superblock *superblock);
/* BLANK: all zero. CORRUPT: magic, CRC, ranges. VERSION. FOREIGN: no Tern magic, yet not zero. */
TERN_CHECKED enum tern_err superblock_decode(const uint8_t *bytes, struct superblock *superblock);

#endif
