/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of the command log; only files of this room (and its tests) include this. */
#ifndef TERN_CMDLOG_CMDLOG_INTERNAL_H
#define TERN_CMDLOG_CMDLOG_INTERNAL_H

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/cmdlog/mend.h"
#include "dataplane/wire/bytes.h"

#define CMDLOG_GROUPS_MAX 16u
#define CMDLOG_CELL_NONE  UINT64_MAX
/* Pages of the ring of which is known from where on they are zero: 16 MiB. */
#define CMDLOG_TAILS_MAX 4096u
/* A block's time rises by at least one from block to block and must never wrap. What a clock that
 * is far off says is cut off here (in the year 2116), what a master sends is refused at twice that.
 */
#define CMDLOG_WALL_NS_MAX (UINT64_C(1) << 62)
#define CMDLOG_TIME_NS_MAX (UINT64_C(1) << 63)

/* One block; log_index - 1 modulo the table is its place. */
struct cmdlog_entry {
	uint64_t page_lsn;
	uint64_t first_cell; /* of its group; CMDLOG_CELL_NONE until the store has placed it */
	uint64_t group_seq;
	uint64_t term, time_ns, commit_index;
	struct hash128 chain;
	uint32_t epoch, pages;
	uint32_t boot_no;
	uint16_t group_pages, page; /* the block's first page in its group */
	uint8_t kind;
};

struct cmdlog_flight {
	uint64_t first_index, last_index;
	bool is_done, is_placed;
};

/* Where a group stands in the order of all groups; zero: before all. */
struct cmdlog_turn {
	uint32_t boot_no;
	uint64_t group_seq;
};

/* The end of what was read, over all holes; and the groups that were seen from there on. */
struct cmdlog_mend {
	bool is_off;     /* not on one device without parity */
	bool is_closed;  /* what is missing behind the holes is not known */
	bool is_crowded; /* more groups were seen than there is room for */
	uint64_t index, page_end, end_cell;
	struct hash128 chain;
	uint32_t seen_count, hole_count;
	struct page_identity seen[CMDLOG_PIECES_MAX];
	struct cmdlog_hole holes[CMDLOG_HOLES_MAX];
};

struct cmdlog_scan {
	bool is_running;
	struct page_identity group; /* the one under way, or the last one */
	bool has_group;
	bool has_hole;              /* pages of it before this one could not be read */
	uint32_t page;              /* of it: where the next block is looked for */
	struct cmdlog_turn chained; /* the group of the last block that became part of the log */
	uint64_t chained_end_cell;  /* behind that block, without parity */
	bool has_chained;
	bool is_branch_lost;
	uint64_t branch_floor; /* the log must reach this again before the loss is made good */
	bool is_from_later_boot;
	bool is_anchored;    /* the log begins at the anchor, which lies behind a hole; */
	bool is_anchor_old;  /* and that was no copy to begin at: earlier blocks came later */
	bool is_cut_pending; /* the block at `page` supersedes a tail, and is not yet of the log */
	struct block_hdr superseding;
	struct cmdlog_recovery found;
	struct cmdlog_mend mend;
};

struct cmdlog {
	struct cmdlog_config config;
	uint64_t ring_pages;
	uint32_t block_pages_max;

	uint32_t group_pages_max;

	/* The last block that the log no longer reaches; its entry says what the next one chains
	 * onto. */
	uint64_t base_index;
	uint64_t base_cell;        /* the log was found from here on */
	struct cmdlog_base anchor; /* see anchor.c; log_index 0: none */
	struct cmdlog_floor floor; /* that the scan has not come to yet; log_index 0: none */
	uint64_t last_index, written_index, durable_index, applied_index;
	uint64_t next_page_lsn;
	uint64_t resident_start; /* page_lsn from which on blocks were put into the ring */
	uint64_t touched_end;    /* page_lsn before which the ring was written to */

	uint32_t open_bytes; /* payload of the open block, its header included; 0: none */
	uint32_t open_pages; /* that room was made sure of */
	uint32_t open_count;
	uint8_t open_class;
	uint8_t *open_block;

	uint64_t end_cell;        /* behind the last group */
	uint64_t room;            /* cells that groups may still take */
	uint64_t unwritten_cells; /* of it, for blocks sealed or accepted that are in no group */
	uint32_t branch_group;    /* of the last group */
	uint64_t flight_head, flight_tail; /* groups given out, groups retired */
	struct cmdlog_flight flights[CMDLOG_GROUPS_MAX];
	bool is_forked; /* the next group begins a branch */
	bool is_alone;  /* such a group is in flight */

	struct cmdlog_stats stats;
	struct cmdlog_scan scan;

	/* The payload of a ring page is zero from here on, whatever it held before. Small blocks
	 * follow small blocks, and to write zeros over zeros would fetch the whole page: 60 cache
	 * lines for a command of one. */
	uint16_t tails[CMDLOG_TAILS_MAX];
};

static inline struct cmdlog_entry *
cmdlog_entry_at(const struct cmdlog *log, uint64_t log_index)
{
	INVARIANT(log_index != 0 && log_index >= log->base_index);
	return &log->config.entries[(log_index - 1) % log->config.blocks_max];
}

/* The ring's address of a page of the chain. */
static inline uint8_t *
cmdlog_page(const struct cmdlog *log, uint64_t page_lsn)
{
	return log->config.ring + (page_lsn % log->ring_pages) * PAGE_BYTES;
}

/* Of the page @page_lsn: its payload up to @bytes may be written to. */
static inline void
cmdlog_tail_raise(struct cmdlog *log, uint64_t page_lsn, uint32_t bytes)
{
	const uint64_t page = page_lsn % log->ring_pages;

	if (page < CMDLOG_TAILS_MAX && log->tails[page] < bytes)
		log->tails[page] = (uint16_t)bytes;
}

/* Makes the payload of the page @page_lsn zero behind @used_bytes. */
static inline void
cmdlog_tail_clear(struct cmdlog *log, uint64_t page_lsn, uint32_t used_bytes)
{
	const uint64_t page = page_lsn % log->ring_pages;
	uint8_t *payload = cmdlog_page(log, page_lsn) + PAGE_PAYLOAD_OFFSET;
	const uint32_t end = page < CMDLOG_TAILS_MAX ? log->tails[page] : PAGE_PAYLOAD_BYTES;

	INVARIANT(used_bytes <= PAGE_PAYLOAD_BYTES && end <= PAGE_PAYLOAD_BYTES);
	if (end > used_bytes)
		memset(payload + used_bytes, 0, end - used_bytes);
	INVARIANT_SLOW(bytes_are_zero(payload + used_bytes, PAGE_PAYLOAD_BYTES - used_bytes));
	if (page < CMDLOG_TAILS_MAX)
		log->tails[page] = (uint16_t)used_bytes;
}

/* lookup.c: chain hash of block @log_index; zero for block 0. */
struct hash128 cmdlog_chain(const struct cmdlog *log, uint64_t log_index);
uint64_t cmdlog_time(const struct cmdlog *log, uint64_t log_index);
/* ring.c: says that the ring holds, or will hold, bytes up to @page_end. */
void cmdlog_touch(struct cmdlog *log, uint64_t page_end);
/* Blocks that the table holds. */
static inline uint64_t
cmdlog_entries_used(const struct cmdlog *log)
{
	return log->last_index - log->base_index + (log->base_index != 0);
}
/* Room for one more block of @pages pages in index and area; @is_reserve: may it use the last part?
 */
bool cmdlog_area_has_room(const struct cmdlog *log, uint64_t pages, bool is_reserve);
/* Cells that a group of @pages takes; no more than blocks of as many pages one by one. */
static inline uint64_t
cmdlog_cells(const struct cmdlog *log, uint64_t pages)
{
	return pages + log->config.parity * div_up_u64(pages, log->config.data_columns);
}
/* Makes a verified block the last of the log. @group: that it was found in, and @page of it; NULL:
 * it is in none yet. */
void cmdlog_push(struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain,
		 const struct page_identity *group, uint32_t page);

/* Checks that @pages pages at @bytes are one block that agrees with itself: content CRC of every
 * page, header, cluster, shard. Not its place in the log, nor its content hash. */
TERN_CHECKED enum tern_err cmdlog_block_verify(const struct cmdlog *log, const uint8_t *bytes,
					       uint32_t pages, struct block_hdr *hdr);

/* mend_end.c: what the scan tells it. A group that was entered; a block that became the last of the
 * log. */
void mend_begin(struct cmdlog *log);
void mend_group(struct cmdlog *log, const struct page_identity *group);
void mend_pushed(struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain);
/* A block of the newest group is the end of what is known. */
void mend_end_set(struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain);
/* The log begins anew behind a block that ends at @end_cell. */
void mend_anchored(struct cmdlog *log, uint64_t end_cell);

/* mend.c: a block that chains onto nothing. */
void mend_orphan(struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain);

/* anchor.c: a whole block of a log that does not hold the anchor. */
void anchor_look(struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain);
bool anchor_is_held(const struct cmdlog *log);

#endif
