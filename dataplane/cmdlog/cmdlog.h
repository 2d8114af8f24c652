/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command log of one shard: an in-memory ring of pages that holds the recent log, an index of
 * all blocks, the write groups that carry blocks to the store, and the recovery of the index.
 *
 * Owns: block bytes and content headers, which blocks make a write group, in which group each block
 * lies, what is durable. Does not own: where groups lie on the devices, identity parts, parity
 * (stripe), terms and votes (core), sending (transport).
 *
 * Pages of the chain are counted from 0: page_lsn of a block = pages of all blocks before it. Block
 * bytes lie in the ring at page_lsn modulo the ring; the ring's memory is mapped twice in a row
 * (platform_ring_map, or a test's own), so every block is contiguous. A block stays resident until
 * the ring needs its place; older blocks are read back from the group that they lie in.
 *
 * On the devices a group begins at a cell, a number that rises for ever. A cut tail is superseded,
 * never overwritten: blocks that replace it go to later cells. Cells are used again only when a
 * checkpoint covers their blocks (cmdlog_reclaim); the last one of those is the base that the log
 * chains onto.
 *
 * Invariants: base_index <= durable_index <= written_index <= last_index; a verified block is never
 * written again; ring pages of blocks that are not durable are not reused; blocks of a write group
 * are contiguous in the ring and in the group.
 *
 * The ring and apply: client commands wait until the ring's oldest block is applied. What a master
 * sends, and barriers, may push out blocks that are durable and not yet applied, as long as half of
 * the ring is left to such blocks; they are then read back to be applied. Otherwise a log with more
 * uncommitted blocks than the ring holds could never take the barrier that commits them.
 *
 * A branch is a run of write groups in which each goes on where the one before ended. The first
 * group of a boot begins one, and the first behind a cut of blocks that were written. It is written
 * alone: the next is given out when it is durable. Every group tells its number in its branch: who
 * finds a later one knows that the first was durable, and what that chains onto. If either is
 * missing it was lost, not torn, and the tail that it had superseded must not be revived.
 *
 * Thread: one owner. Pure: no I/O, clock, allocation after cmdlog_init, globals.
 */
#ifndef TERN_CMDLOG_CMDLOG_H
#define TERN_CMDLOG_CMDLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/wire/page.h"

#ifdef TERN_TINY_LIMITS
#define CMDLOG_GROUP_BYTES_MAX    (16u * 1024u)
#define CMDLOG_BLOCK_BYTES_TARGET (8u * 1024u)
#else
#define CMDLOG_GROUP_BYTES_MAX    (256u * 1024u) /* or one larger block */
#define CMDLOG_BLOCK_BYTES_TARGET (64u * 1024u)  /* an open block this large is sealed */
#endif

#define CMDLOG_MACHINE_VERSION BLOCK_RULES_IDS /* the newest rules that this build applies */

struct cmdlog;       /* fields in cmdlog_internal.h */
struct cmdlog_entry; /* index of one block; fields there too */

struct cmdlog_config {
	uint64_t cluster_id;
	uint16_t shard;
	uint32_t boot_no;
	uint8_t *ring;       /* mapped twice: ring[i] and ring[i + ring_bytes] are the same byte */
	uint64_t ring_bytes; /* a multiple of PAGE_BYTES; at least 8 largest blocks */
	uint32_t command_bytes_max;
	uint64_t area_cells;           /* of the log area, over all devices */
	uint32_t data_columns, parity; /* a group of n pages takes n + parity * ceil(n /
					* data_columns) cells */
	uint64_t blocks_max; /* entries: as many as data pages fit, and one more, are enough */
	struct cmdlog_entry *entries;
	uint32_t groups_in_flight_max; /* 1..16 */
};

/* Pages of the largest block, of the largest group; the least limit for blocks of @pages. */
uint32_t cmdlog_block_pages_max(uint32_t command_bytes_max);
uint32_t cmdlog_group_pages_max(uint32_t command_bytes_max);
uint32_t cmdlog_command_bytes_for(uint32_t pages);
size_t cmdlog_bytes(void);
size_t cmdlog_entry_bytes(void);
/* @memory: cmdlog_bytes(), 64-byte aligned, borrowed for ever, as are ring and entries. */
TERN_CHECKED enum tern_err
cmdlog_init(void *memory, const struct cmdlog_config *config, struct cmdlog **log);

/* ---- appending (master) ---- */

/* Copies one encoded command into the open block. @slot: its number in the block.
 * @log_index: the index that the open block will have.
 * QUEUE_FULL: with commands in the open block: seal it and try again (it has reached
 * CMDLOG_BLOCK_BYTES_TARGET, or the ring is full); without: no room in the ring now.
 * LOG_FULL: the log area is at 95 %. TOO_LARGE: over command_bytes_max. */
TERN_CHECKED enum tern_err cmdlog_append(struct cmdlog *log, const uint8_t *command, uint32_t bytes,
					 uint64_t *log_index, uint32_t *slot);
/* The same, as the first of a block, with the reserve that is kept for barriers: has it room? */
TERN_CHECKED enum tern_err
cmdlog_append_reserved(struct cmdlog *log, const uint8_t *record, uint32_t bytes,
		       uint64_t *log_index, uint32_t *slot);
bool cmdlog_has_reserve(const struct cmdlog *log, uint64_t pages);
/* Commands in the open block. */
uint32_t cmdlog_open_count(const struct cmdlog *log);
/* Forgets the open block (step-down: its commands are refused, they were never sealed). */
void cmdlog_open_discard(struct cmdlog *log);

struct cmdlog_seal {
	uint64_t term;
	uint32_t epoch;
	enum block_kind kind;
	bool is_gen;      /* a CONFIG block that begins a generation */
	uint64_t wall_ns; /* the block's time is max(this, predecessor's time + 1); at most 2^62 */
	uint64_t commit_index, common_index; /* see struct block_hdr_le */
};
/* Seals the open block (which may be empty only for BARRIER; a BARRIER is sealed with an open block
 * that is empty) and makes it the last of the log. QUEUE_FULL: ring; LOG_FULL: even the reserve for
 * barriers is used up. */
TERN_CHECKED enum tern_err
cmdlog_seal(struct cmdlog *log, const struct cmdlog_seal *seal, struct block_meta *meta);

/* ---- receiving (replica) ---- */

/* First page_lsn for which the ring has no room now: what a receiver advertises. It rises as groups
 * become durable, and falls only by a cut. */
uint64_t cmdlog_credit_end_page(const struct cmdlog *log);
/* The page_lsn and index that the next block of this log must have. */
uint64_t cmdlog_next_page_lsn(const struct cmdlog *log);

/* Where fragment units go: the address of page @page_lsn in the ring, followed by @pages contiguous
 * pages. NULL: outside [next page_lsn, credit end). Lent until the block is accepted or cut.
 * @tail_bytes: how much of the last page's content part is going to be written, at most. */
uint8_t *cmdlog_place(struct cmdlog *log, uint64_t page_lsn, uint32_t pages, uint32_t tail_bytes);

/* Verifies the block whose bytes were placed at cmdlog_next_page_lsn (content CRC of every page,
 * header, index, page_lsn, prev_chain; the content hash is not recomputed) and makes it the last of
 * the log. @term_max: blocks of a higher term are refused.
 * CORRUPT: the block is not what it must be; the log is unchanged, fetch it again. FOREIGN: another
 * cluster or shard. STALE_TERM: its term is above @term_max. VERSION: a format or kind that this
 * build does not know. TOO_LARGE: longer than command_bytes_max allows, or beyond the credit.
 * LOG_FULL: no cell left. */
TERN_CHECKED enum tern_err
cmdlog_accept(struct cmdlog *log, uint32_t pages, uint64_t term_max, struct block_meta *meta);

/* ---- persisting ---- */

struct cmdlog_group {
	uint64_t first_index, last_index;
	uint64_t acked_floor;
	uint32_t branch_group, pages;
	uint8_t *bytes; /* contiguous, page aligned; all but the identity parts stays unchanged
			 * until group_done */
	uint32_t slot;  /* names the group in group_placed and group_done */
};
/* The next write group of blocks up to @persist_index. @pages_fit: it is no longer than that,
 * unless its first block is. @acked_floor: see struct page_identity; what lies above durable_index
 * of it is not believed. False: nothing to write now, groups_in_flight_max reached, or the first
 * group of a branch is not durable yet. */
bool cmdlog_group_next(struct cmdlog *log, uint64_t persist_index, uint64_t acked_floor,
		       uint32_t pages_fit, struct cmdlog_group *group);
/* Where the store put the group that group_next gave last: its first cell, and the one behind it.
 * @group_seq: its number in this boot. @room: cells that are left, see cmdlog_set_room. */
struct cmdlog_place {
	uint64_t first_cell, end_cell, group_seq, room;
};
void cmdlog_group_placed(struct cmdlog *log, uint32_t slot, const struct cmdlog_place *place);
/* Cells that groups of blocks which are not yet part of one may take: at the start, and whenever
 * cells were given back. */
void cmdlog_set_room(struct cmdlog *log, uint64_t room);
/* The write of a group is durable. Returns the new durable_index (contiguous). */
uint64_t cmdlog_group_done(struct cmdlog *log, uint32_t slot);
uint32_t cmdlog_groups_in_flight(const struct cmdlog *log);

/* ---- cutting ---- */

/* Keeps blocks up to @keep_index. Requires cmdlog_groups_in_flight == 0, an empty open block and
 * keep_index >= what cmdlog_set_applied was told (INVARIANT), and that no fragment is being placed.
 * The cut blocks' cells stay as they are. */
void cmdlog_cut(struct cmdlog *log, uint64_t keep_index);

/* ---- the base ---- */

/* What the log chains onto: a block that a checkpoint covers. */
struct cmdlog_base {
	struct block_meta meta;
	uint64_t page_end, time_ns;
	uint64_t next_cell; /* first cell of the group that the log goes on in */
	/* Of the group that the block lies in; 0: not known. */
	uint32_t boot_no;
	uint64_t group_seq;
};
/* An empty log begins behind @base; before the scan. */
void cmdlog_set_base(struct cmdlog *log, const struct cmdlog_base *base);
/* After the scan: the log ends, and begins anew, behind @base, which lies behind all that the scan
 * found. base->next_cell is stats.end_cell. */
void cmdlog_rebase(struct cmdlog *log, const struct cmdlog_base *base);
/* Block @log_index as a base; next_cell is UINT64_MAX as long as it is not durable. False: it is
 * not in the log. */
bool cmdlog_base_at(const struct cmdlog *log, uint64_t log_index, struct cmdlog_base *base);
/* Blocks up to @log_index, which are durable and applied, are not needed any more: nobody finds
 * them from now on, and cells before the base's next_cell may be used again. */
void cmdlog_reclaim(struct cmdlog *log, uint64_t log_index);

/* ---- reading ---- */

/* First page_lsn behind block @log_index, which is not below the base; 0 for block 0. */
uint64_t cmdlog_page_end(const struct cmdlog *log, uint64_t log_index);
/* The ring may reuse pages of blocks up to @index (they are applied). Never falls. */
void cmdlog_set_applied(struct cmdlog *log, uint64_t index);

/* The block's bytes in the ring, or NULL when it is no longer (or not yet) there. Lent until the
 * next append, place, seal or cut. */
const uint8_t *cmdlog_resident(const struct cmdlog *log, uint64_t log_index);

struct cmdlog_location {
	uint64_t first_cell; /* of its group; UINT64_MAX: not yet durable, so still in the ring */
	uint64_t page_lsn;
	uint32_t group_pages, page; /* of its group, and the block's first page in it */
	uint32_t pages;
};
/* Where a block lies; false when there is none of that index. */
bool cmdlog_locate(const struct cmdlog *log, uint64_t log_index, struct cmdlog_location *location);

/* Checks a block that was read back into @bytes against the index, content hash
 * included. CORRUPT when it is not that block. */
TERN_CHECKED enum tern_err
cmdlog_check_read(const struct cmdlog *log, uint64_t log_index, const uint8_t *bytes);

/* Walks the commands of a verified block. */
struct cmdlog_cursor {
	const uint8_t *block;
	uint32_t offset, payload_bytes, slot, command_count;
	uint8_t *scratch; /* gathers a command that straddles pages */
	uint32_t scratch_bytes;
};
/* @block: the block's pages, borrowed while walking. @scratch: as much as a block's payload,
 * owned by the caller. Fills @hdr. */
TERN_CHECKED enum tern_err
cmdlog_cursor_begin(struct cmdlog_cursor *cursor, const uint8_t *block, uint8_t *scratch,
		    uint32_t scratch_bytes, struct block_hdr *hdr);
/* The next command's bytes, contiguous, lent until the next call. False at the end, or when what
 * follows is no command (then cursor->slot < cursor->command_count). */
bool cmdlog_cursor_next(struct cmdlog_cursor *cursor, const uint8_t **command, uint32_t *bytes,
			uint32_t *slot);

struct cmdlog_stats {
	uint64_t last_index, durable_index, base_index;
	uint64_t common_index; /* the highest that a block of this log told; 0: none did */
	uint64_t end_cell;     /* behind the last group */
	uint64_t used_pages, area_pages; /* cells of the log area */
	uint64_t groups_sealed, blocks_sealed, blocks_accepted, blocks_refused, ring_full;
	struct hash128 last_chain;
};
struct cmdlog_stats cmdlog_stats(const struct cmdlog *log);

/* ---- recovery ---- */

/* The index is rebuilt from the write groups that the store finds, offered in the order of
 * (boot_no, group_seq). Block i supersedes all earlier blocks >= i; a block counts only when its
 * content hash and prev_chain hold. */
enum cmdlog_scan_state { CMDLOG_SCAN_MORE = 1, CMDLOG_SCAN_CUT, CMDLOG_SCAN_REFUSED };

struct cmdlog_recovery {
	uint64_t last_index;   /* the log that was recovered */
	uint64_t acked_floor;  /* highest found; above last_index: the log is damaged */
	uint64_t commit_floor; /* highest commit_index carried by a block of the recovered chain */
	uint64_t groups_seen, groups_torn, groups_foreign;
	uint64_t pages_torn; /* of the groups that were torn, and are not NULL */
	uint64_t blocks_superseded, blocks_orphaned; /* the latter chain onto nothing */
	uint32_t pages_over; /* of the largest that the limit does not allow: left out; 0: none */
	/* Acknowledged blocks cannot be read (P15): last_index < acked_floor, or a branch that
	 * superseded a tail is lost, or one of the next two. Do not vote, do not serve. */
	bool is_damaged;
	bool is_untrusted;   /* groups of this boot_no or later: who numbered it knows less */
	bool is_overwritten; /* the log no longer reaches back to its base */
};

void cmdlog_scan_begin(struct cmdlog *log);
/* Offers a group. @bytes: its data pages; what could not be read of them is zero. NULL: none could.
 * CUT: it stopped at a block that supersedes a tail, which can be asked for and located until the
 * next call; that must offer the same group again. REFUSED: another cluster's, too long, or old. */
enum cmdlog_scan_state
cmdlog_scan_group(struct cmdlog *log, const struct page_identity *group, const uint8_t *bytes);
/* The tail that gives way to a block of @term. False: the scan is not at a cut. */
struct cmdlog_cut {
	uint64_t first_index, last_index, term;
};
bool cmdlog_scan_cut(const struct cmdlog *log, struct cmdlog_cut *cut);
/* What the store says of the area when all was offered. */
struct cmdlog_area {
	uint64_t end_cell; /* the log goes on there */
	uint64_t room;     /* see cmdlog_set_room */
	/* Groups of later laps lie where the log should begin: what was named as its base is long
	 * gone. */
	bool is_overwritten;
};
/* Ends the scan; the log is then ready for appends. Blocks are not resident. */
void cmdlog_scan_end(struct cmdlog *log, const struct cmdlog_area *area,
		     struct cmdlog_recovery *recovery);
/* Meta of a recovered or later block; false when there is none. */
bool cmdlog_meta(const struct cmdlog *log, uint64_t log_index, struct block_meta *meta);

#endif
