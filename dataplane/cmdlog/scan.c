/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery: the store offers its groups in the order in which they were given out, and their blocks
 * become part of the log one by one. A block that chains onto the log may supersede a tail. A whole
 * block that does not chain is an orphan: something before it is missing, and orphan_judge tells
 * whether that is a write that was cut short (never acknowledged) or one that was durable once.
 */
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
		.chained_end_cell = log->base_cell,
	};
	if (log->base_index != 0) {
		const struct cmdlog_entry *base = cmdlog_entry_at(log, log->base_index);
		log->scan.chained = (struct cmdlog_turn){ base->boot_no, base->group_seq };
	}
	mend_begin(log);
}

static bool
is_before(struct cmdlog_turn a, struct cmdlog_turn b)
{
	return a.boot_no != b.boot_no ? a.boot_no < b.boot_no : a.group_seq < b.group_seq;
}

static struct cmdlog_turn
turn_of(const struct page_identity *group)
{
	return (struct cmdlog_turn){ group->boot_no, group->group_seq };
}

void
cmdlog_set_floor(struct cmdlog *log, const struct cmdlog_floor *floor)
{
	INVARIANT(!log->scan.is_running);
	log->floor = *floor;
}

static void
floor_take(struct cmdlog *log)
{
	log->scan.found.acked_floor = max_u64(log->scan.found.acked_floor, log->floor.log_index);
	log->floor.log_index = 0;
}

/* Takes note of a group. False: it contradicts what came before. */
static bool
group_enter(struct cmdlog *log, const struct page_identity *group, bool has_bytes)
{
	struct cmdlog_scan *scan = &log->scan;

	scan->found.groups_seen++;
	if (group->cluster_id == log->config.cluster_id &&
	    group->group_pages > log->group_pages_max) {
		scan->found.pages_over = max_u32(scan->found.pages_over, group->group_pages);
		return false;
	}
	if (group->cluster_id != log->config.cluster_id ||
	    (scan->has_group && !is_before(turn_of(&scan->group), turn_of(group)))) {
		scan->found.groups_foreign++;
		return false;
	}
	if (is_before((struct cmdlog_turn){ log->floor.boot_no, log->floor.group_seq },
		      turn_of(group)))
		floor_take(log);
	scan->has_group = true;
	scan->group = *group;
	scan->page = 0;
	scan->has_hole = false;
	scan->found.acked_floor = max_u64(scan->found.acked_floor, group->acked_floor);
	if (group->boot_no >= log->config.boot_no)
		scan->is_from_later_boot = true;
	scan->found.groups_torn += !has_bytes;
	mend_group(log, group);
	return true;
}

/* ---- what is missing ---- */

/* Whether just @missing pages may have lain in the @gap between the last block that chained and
 * this one. At the area's end fewer cells than the largest block has may be unused. */
static bool
is_gap_of(const struct cmdlog *log, uint64_t cell, uint64_t missing)
{
	const uint64_t area = log->config.area_cells, end = log->scan.chained_end_cell;
	const uint64_t gap = cell - end;
	const bool is_next_lap = end / area != cell / area;

	return gap == missing ||
	       (is_next_lap && gap > missing && gap - missing < log->block_pages_max);
}

/* Of a group that was written before groups told their branch: such stores had one device, and the
 * groups of a boot lay without gaps. So the number of cells between the last block that chained and
 * this one says whether exactly the blocks between the two are missing: then the write was cut
 * short. Anything else means that a group which superseded our tail is missing, and as such a group
 * is written alone, it was durable before this one was written. */
static bool
is_branch_missing_by_cells(const struct cmdlog *log, const struct block_hdr *hdr)
{
	const struct cmdlog_scan *scan = &log->scan;
	const struct page_identity *group = &scan->group;
	const bool is_same_boot = scan->has_chained && scan->chained.boot_no == group->boot_no;
	const uint64_t cell = group->first_cell + scan->page;

	if (is_same_boot ? group->group_seq <= scan->chained.group_seq + 1
			 : group->group_seq == 1 && scan->page != 0)
		return false; /* what is missing lies inside this very group */
	if (hdr->log_index <= log->last_index + 1 || hdr->page_lsn <= log->next_page_lsn)
		return true;
	const uint64_t missing = hdr->page_lsn - log->next_page_lsn;
	if (is_same_boot)
		return !is_gap_of(log, cell, missing);
	/* Remains of earlier crashes may lie between boots. */
	return group->group_seq == 1 || cell - scan->chained_end_cell < missing;
}

/* The first group of a branch was durable before the second was written, and what it chains onto
 * before itself. */
static bool
is_branch_missing(const struct cmdlog *log)
{
	const struct cmdlog_scan *scan = &log->scan;
	const struct page_identity *group = &scan->group;
	const uint64_t back = min_u64(group->branch_group - 1, group->group_seq - 1);
	const struct cmdlog_turn first = { group->boot_no, group->group_seq - back };

	if (!is_before(scan->chained, first))
		return false; /* the log has the beginning of this branch */
	return group->branch_group != 1 || !scan->has_hole;
}

/* A whole block that does not chain onto the log. Writes of one branch that were cut short leave
 * holes, and what was acknowledged of them shows in acked_floor. */
static void
orphan_judge(struct cmdlog *log, const struct block_hdr *hdr, const uint8_t *block)
{
	struct cmdlog_scan *scan = &log->scan;

	scan->found.blocks_orphaned++;
	mend_orphan(log, hdr, block_chain(block + PAGE_PAYLOAD_OFFSET));
	if (scan->group.branch_group != 0 ? is_branch_missing(log)
					  : is_branch_missing_by_cells(log, hdr)) {
		scan->is_branch_lost = true;
		scan->branch_floor = max_u64(scan->branch_floor, hdr->log_index);
	}
}

/* ---- blocks ---- */

static void
block_supersede(struct cmdlog *log, uint64_t keep_index)
{
	struct cmdlog_scan *scan = &log->scan;

	scan->found.blocks_superseded += log->last_index - keep_index;
	/* A floor that the log held was given up together with the tail. One that it did not hold
	 * is damage, and stays; unless a branch begins here: when that was written the log ended at
	 * keep_index. What earlier groups say of more was cut by then, and came to harm later, or
	 * it was lost, and the superblock said that this node forgot, before (repair_accept). */
	const bool is_begin = scan->group.branch_group == 1;
	if (is_begin || scan->found.acked_floor <= log->last_index)
		scan->found.acked_floor = min_u64(scan->found.acked_floor, keep_index);
	if (is_begin && scan->branch_floor != UINT64_MAX)
		scan->branch_floor = min_u64(scan->branch_floor, keep_index);
	log->next_page_lsn = cmdlog_page_end(log, keep_index);
	log->last_index = keep_index;
}

/* The block at scan->page becomes the last of the log. */
static void
block_push(struct cmdlog *log, const struct block_hdr *hdr, const uint8_t *block)
{
	struct cmdlog_scan *scan = &log->scan;

	if (hdr->log_index - 1 < log->last_index)
		block_supersede(log, hdr->log_index - 1);
	const struct hash128 chain = block_chain(block + PAGE_PAYLOAD_OFFSET);
	cmdlog_push(log, hdr, chain, &scan->group, scan->page);
	mend_pushed(log, hdr, chain);
	scan->has_chained = true;
	scan->chained = turn_of(&scan->group);
	scan->chained_end_cell = scan->group.first_cell + scan->page + hdr->pages;
	if (scan->is_branch_lost && log->last_index >= scan->branch_floor)
		scan->is_branch_lost = false;
}

static bool
is_chained(const struct cmdlog *log, const struct block_hdr *hdr)
{
	const uint64_t before = hdr->log_index - 1;

	return before <= log->last_index && hdr->page_lsn == cmdlog_page_end(log, before) &&
	       hash128_equal(hdr->prev_chain, cmdlog_chain(log, before)) &&
	       hdr->time_ns > cmdlog_time(log, before) &&
	       hdr->log_index - log->base_index <= log->config.blocks_max - (log->base_index != 0);
}

/* What a checkpoint covers was never written behind its own end; but the group that its last block
 * lies in holds earlier ones as well. */
static void
below_base_judge(struct cmdlog *log)
{
	struct cmdlog_scan *scan = &log->scan;

	if (!is_before(scan->chained, turn_of(&scan->group)) ||
	    scan->group.first_cell < log->base_cell)
		return;
	scan->is_anchor_old = scan->is_anchored;
	scan->is_branch_lost = true;
	scan->branch_floor = UINT64_MAX;
}

/* A block that verifies. False: it supersedes a tail, and waits until the caller has seen it. */
static bool
block_take(struct cmdlog *log, const struct block_hdr *hdr, const uint8_t *block)
{
	struct cmdlog_scan *scan = &log->scan;

	/* The block that says so may be the checkpoint's last itself. */
	if (hdr->log_index <= log->base_index)
		below_base_judge(log);
	if (!anchor_is_held(log) &&
	    (scan->is_anchored || hdr->log_index <= log->base_index || !is_chained(log, hdr)))
		anchor_look(log, hdr, block_chain(block + PAGE_PAYLOAD_OFFSET));
	if (hdr->log_index <= log->base_index)
		return true;
	if (!is_chained(log, hdr)) {
		orphan_judge(log, hdr, block);
		return true;
	}
	if (hdr->log_index - 1 < log->last_index) {
		scan->is_cut_pending = true;
		scan->superseding = *hdr;
		return false;
	}
	block_push(log, hdr, block);
	return true;
}

/* Takes note of a block of this log, whole or torn, that another limit allowed. */
static void
block_over_note(struct cmdlog *log, const struct page_content *content, const struct block_hdr *hdr)
{
	struct cmdlog_recovery *found = &log->scan.found;

	if (hdr->pages > log->block_pages_max && content->cluster_id == log->config.cluster_id &&
	    content->shard == log->config.shard)
		found->pages_over = max_u32(found->pages_over, hdr->pages);
}

/* Whether a whole block begins at @page of the group. */
static bool
block_find(struct cmdlog *log, const uint8_t *at, uint32_t pages_left, struct block_hdr *hdr)
{
	struct page_content content;

	if (page_content_open(at, &content) != TERN_OK || content.page_in_block != 0 ||
	    content.used_bytes < BLOCK_HDR_BYTES ||
	    block_hdr_decode(at + PAGE_PAYLOAD_OFFSET, hdr) != TERN_OK || hdr->pages > pages_left)
		return false;
	block_over_note(log, &content, hdr);
	return hdr->pages <= log->block_pages_max &&
	       cmdlog_block_verify(log, at, hdr->pages, hdr) == TERN_OK &&
	       hash128_equal(block_content_hash(at, hdr->payload_bytes), hdr->content_hash);
}

enum cmdlog_scan_state
cmdlog_scan_group(struct cmdlog *log, const struct page_identity *group, const uint8_t *bytes)
{
	struct cmdlog_scan *scan = &log->scan;
	struct block_hdr hdr;

	INVARIANT(scan->is_running);
	if (scan->is_cut_pending) {
		INVARIANT(group->group_seq == scan->group.group_seq);
		scan->is_cut_pending = false;
		hdr = scan->superseding;
		block_push(log, &hdr, bytes + (size_t)scan->page * PAGE_BYTES);
		scan->page += hdr.pages;
	} else if (!group_enter(log, group, bytes != NULL)) {
		return CMDLOG_SCAN_REFUSED;
	} else if (bytes == NULL) {
		return CMDLOG_SCAN_MORE;
	}
	while (scan->page < group->group_pages) {
		const uint8_t *at = bytes + (size_t)scan->page * PAGE_BYTES;
		if (!block_find(log, at, group->group_pages - scan->page, &hdr)) {
			scan->found.groups_torn += !scan->has_hole;
			scan->found.pages_torn++;
			scan->has_hole = true;
			scan->page++;
			continue;
		}
		if (!block_take(log, &hdr, at))
			return CMDLOG_SCAN_CUT;
		scan->page += hdr.pages;
	}
	return CMDLOG_SCAN_MORE;
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
cmdlog_scan_end(struct cmdlog *log, const struct cmdlog_area *area,
		struct cmdlog_recovery *recovery)
{
	struct cmdlog_scan *scan = &log->scan;
	uint64_t commit_floor = log->base_index;

	INVARIANT(scan->is_running && !scan->is_cut_pending);
	INVARIANT(area->end_cell >= log->base_cell);
	floor_take(log);
	for (uint64_t i = log->base_index + 1; i <= log->last_index; i++)
		commit_floor = max_u64(commit_floor, cmdlog_entry_at(log, i)->commit_index);
	log->written_index = log->last_index;
	log->durable_index = log->last_index;
	log->end_cell = area->end_cell;
	log->room = area->room;
	log->is_forked = true;
	log->resident_start = log->next_page_lsn;
	log->touched_end = log->next_page_lsn;
	scan->found.last_index = log->last_index;
	scan->found.commit_floor = min_u64(commit_floor, log->last_index);
	scan->found.is_damaged = log->last_index < scan->found.acked_floor ||
				 scan->is_branch_lost || scan->is_from_later_boot ||
				 area->is_overwritten || !anchor_is_held(log);
	scan->found.is_untrusted = scan->is_from_later_boot;
	scan->found.is_overwritten = area->is_overwritten;
	scan->is_running = false;
	*recovery = scan->found;
}
