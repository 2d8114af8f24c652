/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery: the area is read once from its first cell to the end of what was written. Cells rise
 * with (boot_no, group_seq), so reading in cell order replays the groups in the order in which they
 * were given out. A block is gathered in the ring's memory, which nothing else uses yet, and
 * becomes part of the log when it is whole and chains onto it; it may supersede a tail. A whole
 * block that does not chain is an orphan: something before it is missing, and orphan_judge tells
 * whether that is a write that was cut short (never acknowledged) or one that was durable once.
 */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog_internal.h"

void
cmdlog_scan_begin(struct cmdlog *log)
{
	INVARIANT(log->last_index == log->base_index && log->open_bytes == 0);
	INVARIANT(!log->scan.is_running);
	log->scan = (struct cmdlog_scan){
		.is_running = true,
		.next_page = log->floor_cell,
		.end_page = log->floor_cell,
		.chained_end_cell = log->floor_cell,
		.found = { .first_torn_cell = CMDLOG_CELL_NONE },
	};
}

static bool
page_is_blank(const uint8_t *page)
{
	/* All bytes equal their right neighbour and the first one is zero. */
	return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

static void
page_torn(struct cmdlog_scan *scan, uint64_t cell)
{
	scan->found.pages_torn++;
	scan->found.first_torn_cell = min_u64(scan->found.first_torn_cell, cell);
	scan->is_gathering = false;
}

static bool
is_same_group(const struct page_identity *a, const struct page_identity *b)
{
	return a->boot_no == b->boot_no && a->group_seq == b->group_seq &&
	       a->first_cell == b->first_cell && a->group_pages == b->group_pages &&
	       a->acked_floor == b->acked_floor;
}

/* Takes note of the group that a page belongs to. False: its place contradicts what came before. */
static bool
group_enter(struct cmdlog *log, const struct page_identity *identity)
{
	struct cmdlog_scan *scan = &log->scan;

	if (scan->has_group && is_same_group(&scan->group, identity))
		return true;
	scan->is_gathering = false;
	if (scan->has_group) {
		const struct page_identity *before = &scan->group;
		const bool is_same_boot = identity->boot_no == before->boot_no;
		/* The next boot may begin inside what a torn group of the last one would have
		 * taken. */
		const uint64_t earliest =
		    is_same_boot ? before->first_cell + before->group_pages : before->own_cell + 1;
		if (identity->boot_no < before->boot_no || identity->first_cell < earliest ||
		    (is_same_boot && identity->group_seq <= before->group_seq))
			return false;
	}
	scan->has_group = true;
	scan->group = *identity;
	scan->found.acked_floor = max_u64(scan->found.acked_floor, identity->acked_floor);
	if (identity->boot_no >= log->config.boot_no)
		scan->is_from_later_boot = true;
	return true;
}

/* Whether just @missing pages may have lain in the @gap between the last block that chained and the
 * one being gathered. At the area's end fewer cells than the largest block has may be unused. */
static bool
is_gap_of(const struct cmdlog *log, uint64_t gap, uint64_t missing)
{
	const uint64_t area = log->config.area_pages;
	const bool is_next_lap = log->scan.chained_end_cell / area != log->scan.first_cell / area;

	return gap == missing ||
	       (is_next_lap && gap > missing && gap - missing < log->block_pages_max);
}

/* A whole block that does not chain onto the log. Groups of one boot lie without gaps, so the
 * number of cells between the last block that chained and this one says whether exactly the blocks
 * between the two are missing: then the write was cut short and its loss shows only in acked_floor.
 * Anything else means that a group that superseded our tail is missing, and as such a group is
 * written alone, it was durable before this one was written. */
static void
orphan_judge(struct cmdlog *log, const struct block_hdr *hdr)
{
	struct cmdlog_scan *scan = &log->scan;
	const struct page_identity *group = &scan->group, *chained = &scan->chained_group;
	const bool is_same_boot = scan->has_chained && chained->boot_no == group->boot_no;
	const uint64_t gap = scan->first_cell - scan->chained_end_cell;

	scan->found.blocks_orphaned++;
	if (is_same_boot ? group->group_seq <= chained->group_seq + 1
			 : group->group_seq == 1 && scan->first_cell != group->first_cell)
		return; /* what is missing lies inside this very group */
	bool is_torn = hdr->log_index > log->last_index + 1 && hdr->page_lsn > log->next_page_lsn;
	if (is_torn) {
		const uint64_t missing = hdr->page_lsn - log->next_page_lsn;
		if (is_same_boot)
			is_torn = is_gap_of(log, gap, missing);
		else /* remains of earlier crashes may lie between boots */
			is_torn = group->group_seq != 1 && gap >= missing;
	}
	if (!is_torn) {
		scan->is_branch_lost = true;
		scan->branch_floor = max_u64(scan->branch_floor, hdr->log_index);
	}
}

static void
block_supersede(struct cmdlog *log, uint64_t keep_index)
{
	struct cmdlog_scan *scan = &log->scan;

	scan->found.blocks_superseded += log->last_index - keep_index;
	/* A floor that the log held was given up together with the tail; a floor that it did not
	 * hold is damage, and stays. */
	if (scan->found.acked_floor <= log->last_index)
		scan->found.acked_floor = min_u64(scan->found.acked_floor, keep_index);
	log->next_page_lsn = cmdlog_page_end(log, keep_index);
	log->last_index = keep_index;
}

/* The gathered block becomes the last of the log. */
static void
block_push(struct cmdlog *log, const struct block_hdr *hdr)
{
	struct cmdlog_scan *scan = &log->scan;

	if (hdr->log_index - 1 < log->last_index)
		block_supersede(log, hdr->log_index - 1);
	cmdlog_push(log, hdr, block_chain(log->config.ring + PAGE_PAYLOAD_OFFSET),
		    scan->first_cell);
	scan->has_chained = true;
	scan->chained_group = scan->group;
	scan->chained_end_cell = scan->first_cell + hdr->pages;
	if (scan->is_branch_lost && log->last_index >= scan->branch_floor)
		scan->is_branch_lost = false;
}

/* The block that was gathered is complete. One that supersedes a tail waits until the caller has
 * seen that tail. */
static void
block_take(struct cmdlog *log)
{
	struct cmdlog_scan *scan = &log->scan;
	const uint8_t *bytes = log->config.ring;
	struct block_hdr hdr;

	scan->is_gathering = false;
	if (cmdlog_block_verify(log, bytes, scan->pages_want, &hdr) != TERN_OK ||
	    !hash128_equal(block_content_hash(bytes, hdr.payload_bytes), hdr.content_hash)) {
		page_torn(scan, scan->first_cell);
		return;
	}
	const uint64_t before = hdr.log_index - 1;
	if (before < log->base_index) {
		/* What the checkpoint covers was never written behind its own end. */
		scan->is_branch_lost = true;
		scan->branch_floor = UINT64_MAX;
		return;
	}
	if (before > log->last_index || hdr.page_lsn != cmdlog_page_end(log, before) ||
	    !hash128_equal(hdr.prev_chain, cmdlog_chain(log, before)) ||
	    hdr.time_ns <= cmdlog_time(log, before) ||
	    hdr.log_index - log->base_index > log->config.blocks_max - (log->base_index != 0)) {
		orphan_judge(log, &hdr);
		return;
	}
	if (before == log->last_index) {
		block_push(log, &hdr);
		return;
	}
	scan->is_cut_pending = true;
	scan->superseding = hdr;
}

/* Begins to gather the block whose first page this is. */
static bool
block_begin(struct cmdlog *log, const uint8_t *page, const struct page_content *content)
{
	struct cmdlog_scan *scan = &log->scan;
	const uint64_t cell = scan->group.own_cell;
	struct block_hdr hdr;

	if (content->used_bytes < BLOCK_HDR_BYTES ||
	    block_hdr_decode(page + PAGE_PAYLOAD_OFFSET, &hdr) != TERN_OK ||
	    hdr.pages > log->ring_pages ||
	    cell + hdr.pages > scan->group.first_cell + scan->group.group_pages)
		return false;
	scan->is_gathering = true;
	scan->gathering = *content;
	scan->pages_have = 0;
	scan->pages_want = hdr.pages;
	scan->first_cell = cell;
	return true;
}

/* A page whose identity is ours and in order. */
static void
page_take(struct cmdlog *log, const uint8_t *page)
{
	struct cmdlog_scan *scan = &log->scan;
	const uint64_t cell = scan->group.own_cell;
	struct page_content content;

	if (page_content_open(page, &content) != TERN_OK) {
		page_torn(scan, cell);
		return;
	}
	if (content.cluster_id != log->config.cluster_id || content.shard != log->config.shard) {
		scan->found.pages_foreign++;
		scan->is_gathering = false;
		return;
	}
	if (content.page_in_block == 0) {
		if (!block_begin(log, page, &content)) {
			page_torn(scan, cell);
			return;
		}
	} else if (!scan->is_gathering || content.page_in_block != scan->pages_have ||
		   content.log_index != scan->gathering.log_index ||
		   content.term != scan->gathering.term) {
		scan->is_gathering = false; /* the block's earlier pages are missing */
		return;
	}
	memcpy(log->config.ring + (size_t)scan->pages_have * PAGE_BYTES, page, PAGE_BYTES);
	scan->pages_have++;
	if (scan->pages_have == scan->pages_want)
		block_take(log);
}

/* This log's page, of another lap than the scan is in. */
static bool
is_other_lap(const struct cmdlog *log, const struct page_identity *identity, uint64_t cell)
{
	const uint64_t own = identity->own_cell;

	return identity->cluster_id == log->config.cluster_id &&
	       identity->node_id == log->config.node_id && own != cell &&
	       own % log->config.area_pages == cell % log->config.area_pages;
}

static void
page_scan(struct cmdlog *log, uint64_t cell, const uint8_t *page)
{
	struct cmdlog_scan *scan = &log->scan;
	struct page_identity identity;

	scan->found.pages_seen++;
	if (page_is_blank(page)) {
		scan->found.pages_blank++;
		scan->blank_run++;
		scan->is_gathering = false;
		return;
	}
	const bool is_whole = page_identity_decode(page, &identity) == TERN_OK;
	if (is_whole && is_other_lap(log, &identity, cell)) {
		scan->found.pages_stale++;
		scan->blank_run++;
		scan->is_gathering = false;
		scan->is_overwritten |= identity.own_cell > cell;
		return;
	}
	scan->blank_run = 0;
	scan->end_page = cell + 1;
	if (!is_whole) {
		page_torn(scan, cell);
		return;
	}
	if (identity.cluster_id != log->config.cluster_id ||
	    identity.node_id != log->config.node_id || identity.k != 1 || identity.m != 0 ||
	    identity.column != 0 || identity.own_cell != cell ||
	    identity.own_cell - identity.first_cell >= identity.group_pages ||
	    !group_enter(log, &identity)) {
		scan->found.pages_foreign++;
		scan->is_gathering = false;
		return;
	}
	scan->group.own_cell = cell;
	page_take(log, page);
}

enum tern_err
cmdlog_scan_pages(struct cmdlog *log, uint64_t cell, const uint8_t *bytes, uint32_t pages,
		  enum cmdlog_scan_state *state)
{
	struct cmdlog_scan *scan = &log->scan;

	INVARIANT(scan->is_running);
	INVARIANT(cell == scan->next_page);
	if (pages > cmdlog_scan_pages_max(log))
		return TERN_ERR_TOO_LARGE;
	if (scan->is_cut_pending) {
		scan->is_cut_pending = false;
		block_push(log, &scan->superseding);
	}
	for (uint32_t i = 0; i < pages && scan->blank_run < CMDLOG_SCAN_BLANK_PAGES; i++) {
		page_scan(log, cell + i, bytes + (size_t)i * PAGE_BYTES);
		if (scan->is_cut_pending) {
			scan->next_page = cell + i + 1;
			*state = CMDLOG_SCAN_CUT;
			return TERN_OK;
		}
	}
	scan->next_page = cell + pages;
	*state = scan->blank_run >= CMDLOG_SCAN_BLANK_PAGES ||
			 scan->next_page == log->floor_cell + log->config.area_pages
		     ? CMDLOG_SCAN_DONE
		     : CMDLOG_SCAN_MORE;
	return TERN_OK;
}

uint64_t
cmdlog_scan_next(const struct cmdlog *log)
{
	return log->scan.next_page;
}

uint64_t
cmdlog_scan_pages_max(const struct cmdlog *log)
{
	const uint64_t area = log->config.area_pages, next = log->scan.next_page;

	return min_u64(area - next % area, log->floor_cell + area - next);
}

bool
cmdlog_scan_cut(const struct cmdlog *log, struct cmdlog_cut *cut)
{
	const struct cmdlog_scan *scan = &log->scan;

	if (!scan->is_cut_pending)
		return false;
	*cut = (struct cmdlog_cut){
		.first_index = scan->superseding.log_index,
		.last_index = log->last_index,
		.term = scan->superseding.term,
	};
	return true;
}

void
cmdlog_scan_end(struct cmdlog *log, struct cmdlog_recovery *recovery)
{
	struct cmdlog_scan *scan = &log->scan;
	uint64_t commit_floor = log->base_index;

	INVARIANT(scan->is_running && !scan->is_cut_pending);
	for (uint64_t i = log->base_index + 1; i <= log->last_index; i++)
		commit_floor = max_u64(commit_floor, cmdlog_entry_at(log, i)->commit_index);
	log->written_index = log->last_index;
	log->durable_index = log->last_index;
	log->next_cell = scan->end_page;
	log->resident_start = log->next_page_lsn;
	log->touched_end = log->next_page_lsn;
	scan->found.last_index = log->last_index;
	scan->found.commit_floor = min_u64(commit_floor, log->last_index);
	scan->found.is_damaged = log->last_index < scan->found.acked_floor ||
				 scan->is_branch_lost || scan->is_from_later_boot ||
				 scan->is_overwritten;
	scan->found.is_untrusted = scan->is_from_later_boot;
	scan->found.is_overwritten = scan->is_overwritten;
	scan->is_running = false;
	*recovery = scan->found;
}
