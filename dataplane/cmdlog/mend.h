/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holes of a damaged log (protocol section 11): which blocks are missing, by what they are known,
 * and where on the device they have to be for a scan to find the log that was there.
 *
 * A block that cannot be read is named by what lies behind it: the block after it tells its chain
 * hash. So whoever holds a block of that index and chain hash holds that very block, and not one
 * that somebody else had there. The bytes of a page but for its identity part are the same on every
 * node; the identity part follows from the group, which is known by its other pages, or by the
 * groups around it.
 *
 * Only of one device without parity: with parity a group is made good from itself, and where more
 * is lost than that the node is given its log by a master. Not known, and left to a master as well,
 * are holes at the end of the log, those that lie beside what an earlier crash left, and those
 * longer than CMDLOG_HOLE_PAGES_MAX, or in which groups are gone without a trace, side by side,
 * that together are longer than one may be.
 *
 * Filled in the order of the scan; valid until the next one. Thread: that of the log.
 */
#ifndef TERN_CMDLOG_MEND_H
#define TERN_CMDLOG_MEND_H

#include "dataplane/cmdlog/cmdlog.h"

#define CMDLOG_HOLES_MAX      8u /* of one scan; the next one finds others */
#define CMDLOG_PIECES_MAX     6u /* groups that a hole lies in */
#define CMDLOG_HOLE_BYTES_MAX (8u * CMDLOG_GROUP_BYTES_MAX)
#define CMDLOG_HOLE_PAGES_MAX (CMDLOG_HOLE_BYTES_MAX / PAGE_BYTES)

/* Pages [page, page + pages) of a group. */
struct cmdlog_piece {
	struct page_identity group; /* own_cell and column are of no meaning */
	uint32_t page, pages;
};

/* Blocks (after_index, last_index] are missing. */
struct cmdlog_hole {
	uint64_t after_index, last_index;
	struct hash128 after_chain, last_chain;
	uint64_t page_lsn; /* of its first block */
	uint32_t pages;
	uint32_t piece_count;
	struct cmdlog_piece pieces[CMDLOG_PIECES_MAX]; /* in order; together `pages` pages */
};

uint32_t cmdlog_hole_count(const struct cmdlog *log);
/* In the order of the log. @number < cmdlog_hole_count. What a checkpoint covers is in none. */
const struct cmdlog_hole *cmdlog_hole(const struct cmdlog *log, uint32_t number);

/* Before the scan: @anchor is the last block of a checkpoint whose state is restored, behind the
 * base; its next_cell, boot_no and group_seq are of no meaning. It was durable here. What the scan
 * cannot read up to it is not needed: the log begins behind it then, if it is found there. If the
 * log does not come to hold it in either way, it is damaged. */
void cmdlog_set_anchor(struct cmdlog *log, const struct cmdlog_base *anchor);
/* After the scan: the log begins at the anchor. False: as it did before. */
bool cmdlog_anchored_base(const struct cmdlog *log, struct cmdlog_base *base);

/* Before the scan: when no group came behind @group_seq of @boot_no yet, block @log_index was
 * durable here. It is a floor as if the next group had carried it. */
struct cmdlog_floor {
	uint64_t log_index, group_seq;
	uint32_t boot_no;
};
void cmdlog_set_floor(struct cmdlog *log, const struct cmdlog_floor *floor);

/* Where a block of that index and chain lies on the device, be it of the log, or one that the scan
 * found and could not chain. Its bytes have to be checked: what is no part of the log may be
 * written over. False: not known. */
bool cmdlog_find(const struct cmdlog *log, uint64_t log_index, struct hash128 chain,
		 struct cmdlog_location *location);
/* What the log knows of a write group on the device. */
struct cmdlog_group_blocks {
	uint64_t first_index, last_index; /* blocks of the log in it; 0: none is */
	uint64_t behind_index;            /* a log that begins behind this block does not need it */
	bool is_all;                      /* these blocks are all of its pages */
	uint32_t boot_no;
	uint64_t group_seq;
};
/* False: nothing of the log is in it, or behind it. */
bool cmdlog_group_blocks(const struct cmdlog *log, uint64_t first_cell, uint32_t group_pages,
			 struct cmdlog_group_blocks *blocks);
/* Whether @pages pages at @bytes are that very block, content hash included. CORRUPT: they are not.
 */
TERN_CHECKED enum tern_err
cmdlog_check_block(const struct cmdlog *log, uint64_t log_index, struct hash128 chain,
		   const uint8_t *bytes, uint32_t pages, struct block_hdr *hdr);

#endif
