/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scan goes on behind a block that it cannot read: what comes there chains onto itself, and so
 * says what is missing before it. Nothing of this makes a log whole; it only names what would.
 */
#include "dataplane/cmdlog/mend.h"

#include "dataplane/cmdlog/cmdlog_internal.h"

static uint64_t
end_of(const struct page_identity *group)
{
	return group->first_cell + group->group_pages;
}

/* ---- holes ---- */

static bool
is_before(const struct page_identity *a, uint32_t boot_no, uint64_t group_seq)
{
	return a->boot_no != boot_no ? a->boot_no < boot_no : a->group_seq < group_seq;
}

/* A group of which nothing is left: it lies in [@cell, @end), behind @before, which may be NULL,
 * and before @next. Several that are lost together become one, which a scan takes as well. Whether
 * it began a branch is not known any more. It says so: whatever is lost before it later is then
 * lost, and not torn. */
static bool
group_infer(const struct cmdlog *log, const struct page_identity *before,
	    const struct page_identity *next, uint64_t cell, uint64_t end,
	    struct page_identity *group)
{
	if (end - cell > log->group_pages_max || (next->group_seq == 1 && before == NULL))
		return false;
	*group = *next;
	group->group_seq = next->group_seq - 1;
	if (before != NULL && (before->boot_no == next->boot_no || next->group_seq == 1)) {
		*group = *before;
		group->group_seq = before->group_seq + 1;
	}
	group->branch_group = 1;
	group->first_cell = cell;
	group->group_pages = (uint32_t)(end - cell);
	/* It was higher, maybe; the groups behind it say so. */
	group->acked_floor = before == NULL ? 0 : before->acked_floor;
	return (before == NULL || is_before(before, group->boot_no, group->group_seq)) &&
	       is_before(group, next->boot_no, next->group_seq);
}

/* The group that @cell lies in; nothing behind @end is asked for. @before: of the piece before it,
 * or NULL. */
static bool
group_at(const struct cmdlog *log, const struct page_identity *before, uint64_t cell, uint64_t end,
	 struct page_identity *group)
{
	const struct cmdlog_mend *mend = &log->scan.mend;

	for (uint32_t i = 0; i < mend->seen_count; i++) {
		const struct page_identity *seen = &mend->seen[i];
		if (seen->first_cell > cell)
			return group_infer(log, before, seen, cell, min_u64(end, seen->first_cell),
					   group);
		if (cell < end_of(seen)) {
			*group = *seen;
			return true;
		}
		if (before == NULL || before->first_cell < seen->first_cell)
			before = seen;
	}
	return false;
}

/* Cells [@cell, @end) of the hole. */
static bool
pieces_add(const struct cmdlog *log, struct cmdlog_hole *hole, uint64_t cell, uint64_t end)
{
	while (cell < end) {
		struct cmdlog_piece *piece = &hole->pieces[hole->piece_count];
		const struct page_identity *before =
		    hole->piece_count == 0 ? NULL : &piece[-1].group;
		if (hole->piece_count == CMDLOG_PIECES_MAX ||
		    !group_at(log, before, cell, end, &piece->group))
			return false;
		piece->page = (uint32_t)(cell - piece->group.first_cell);
		piece->pages = (uint32_t)(min_u64(end, end_of(&piece->group)) - cell);
		hole->piece_count++;
		cell += piece->pages;
	}
	return true;
}

/* Where the missing pages lay: before the block at @cell, as far as they are of this group or of
 * this lap; the others where what is known ends, if they reach the end of the last lap but for what
 * stays unused there. */
static bool
pieces_find(const struct cmdlog *log, struct cmdlog_hole *hole, uint64_t cell)
{
	const struct cmdlog_scan *scan = &log->scan;
	const uint64_t area = log->config.area_cells, known = scan->mend.end_cell;
	const uint64_t lap = cell / area * area;

	/* They are of this group, or just they fit in. No group lies across the end of a lap. */
	if (scan->page >= hole->pages || cell - hole->pages == known) {
		const uint64_t first = cell - hole->pages;
		return pieces_add(log, hole, first, max_u64(first, lap)) &&
		       pieces_add(log, hole, max_u64(first, lap), cell);
	}
	if (known >= lap || lap - known > area)
		return false;
	const uint64_t after = min_u64(hole->pages, cell - lap);
	const uint64_t end = known + hole->pages - after;
	if (cell - after != lap || end > lap || lap - end >= log->block_pages_max)
		return false;
	return pieces_add(log, hole, known, end) && pieces_add(log, hole, lap, cell);
}

/* The first @pages pages are not wanted. */
static void
pieces_drop(struct cmdlog_hole *hole, uint32_t pages)
{
	uint32_t count = 0;

	INVARIANT(pages < hole->pages);
	hole->pages -= pages;
	for (uint32_t i = 0; i < hole->piece_count; i++) {
		struct cmdlog_piece piece = hole->pieces[i];
		const uint32_t less = min_u32(pages, piece.pages);
		pages -= less;
		piece.page += less;
		piece.pages -= less;
		if (piece.pages != 0)
			hole->pieces[count++] = piece;
	}
	hole->piece_count = count;
}

/* What the anchor covers is not needed, nor any hole before. False: the two contradict each other.
 */
static bool
hole_clip(const struct cmdlog *log, struct cmdlog_hole *hole)
{
	const struct cmdlog_base *anchor = &log->anchor;

	if (anchor->meta.log_index <= hole->after_index || anchor_is_held(log))
		return true;
	if (anchor->meta.log_index >= hole->last_index || anchor->page_end <= hole->page_lsn ||
	    anchor->page_end - hole->page_lsn >= hole->pages)
		return false;
	pieces_drop(hole, (uint32_t)(anchor->page_end - hole->page_lsn));
	hole->after_index = anchor->meta.log_index;
	hole->after_chain = anchor->meta.chain;
	hole->page_lsn = anchor->page_end;
	return true;
}

/* What is missing before the block that the scan is at. False: where it lay is not known. */
static bool
hole_make(const struct cmdlog *log, const struct block_hdr *hdr, struct cmdlog_hole *hole)
{
	const struct cmdlog_scan *scan = &log->scan;
	const struct cmdlog_mend *mend = &scan->mend;
	const uint64_t cell = scan->group.first_cell + scan->page;

	if (hdr->log_index <= mend->index + 1 || hdr->page_lsn <= mend->page_end ||
	    hdr->page_lsn - mend->page_end > min_u64(CMDLOG_HOLE_PAGES_MAX, cell) ||
	    mend->is_crowded)
		return false;
	*hole = (struct cmdlog_hole){
		.after_index = mend->index,
		.after_chain = mend->chain,
		.last_index = hdr->log_index - 1,
		.last_chain = hdr->prev_chain,
		.page_lsn = mend->page_end,
		.pages = (uint32_t)(hdr->page_lsn - mend->page_end),
	};
	return pieces_find(log, hole, cell) && hole_clip(log, hole);
}

/* For whoever asks for this block: a node that lacks it, too. */
static void
orphan_keep(struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain)
{
	const struct page_identity *group = &log->scan.group;

	/* Its place in the table is of no block of the log. */
	if (hdr->log_index <= log->last_index ||
	    hdr->log_index - log->base_index >= log->config.blocks_max)
		return;
	*cmdlog_entry_at(log, hdr->log_index) = (struct cmdlog_entry){
		.page_lsn = hdr->page_lsn,
		.first_cell = group->first_cell,
		.group_seq = group->group_seq,
		.term = hdr->term,
		.chain = chain,
		.pages = hdr->pages,
		.boot_no = group->boot_no,
		.group_pages = (uint16_t)group->group_pages,
		.page = (uint16_t)log->scan.page,
	};
}

void
mend_orphan(struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain)
{
	struct cmdlog_mend *mend = &log->scan.mend;

	orphan_keep(log, hdr, chain);
	if (mend->is_off || mend->is_closed)
		return;
	const bool is_next =
	    hdr->log_index == mend->index + 1 && hash128_equal(hdr->prev_chain, mend->chain);
	const bool is_needed = hdr->log_index > log->anchor.meta.log_index || anchor_is_held(log);
	if (!is_next && is_needed) {
		if (mend->hole_count == CMDLOG_HOLES_MAX ||
		    !hole_make(log, hdr, &mend->holes[mend->hole_count])) {
			mend->is_closed = true;
			return;
		}
		mend->hole_count++;
	}
	mend_end_set(log, hdr, chain);
}

uint32_t
cmdlog_hole_count(const struct cmdlog *log)
{
	return log->scan.mend.hole_count;
}

const struct cmdlog_hole *
cmdlog_hole(const struct cmdlog *log, uint32_t number)
{
	INVARIANT(number < log->scan.mend.hole_count);
	return &log->scan.mend.holes[number];
}

/* ---- blocks by their chain ---- */

bool
cmdlog_find(const struct cmdlog *log, uint64_t log_index, struct hash128 chain,
	    struct cmdlog_location *location)
{
	if (log_index == 0)
		return false;
	/* The table may hold it although the log, which begins behind it by now, does not. */
	const struct cmdlog_entry *entry =
	    &log->config.entries[(log_index - 1) % log->config.blocks_max];
	if (entry->pages == 0 || entry->group_pages == 0 || !hash128_equal(entry->chain, chain))
		return false;
	*location = (struct cmdlog_location){
		.first_cell = entry->first_cell,
		.page_lsn = entry->page_lsn,
		.group_pages = entry->group_pages,
		.page = entry->page,
		.pages = entry->pages,
	};
	return entry->first_cell != CMDLOG_CELL_NONE;
}

/* The first durable block of the log that lies in the group at @first_cell, or behind it. */
static uint64_t
first_from(const struct cmdlog *log, uint64_t first_cell)
{
	uint64_t low = log->base_index + 1, high = log->durable_index + 1;

	while (low < high) {
		const uint64_t middle = low + (high - low) / 2;
		if (cmdlog_entry_at(log, middle)->first_cell < first_cell)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
cmdlog_group_blocks(const struct cmdlog *log, uint64_t first_cell, uint32_t group_pages,
		    struct cmdlog_group_blocks *blocks)
{
	uint64_t log_index = first_from(log, first_cell);
	uint32_t page = 0;

	*blocks = (struct cmdlog_group_blocks){ .behind_index = log_index };
	if (log->scan.is_running || log_index > log->durable_index)
		return false;
	for (; log_index <= log->durable_index; log_index++) {
		const struct cmdlog_entry *entry = cmdlog_entry_at(log, log_index);
		if (entry->first_cell != first_cell)
			break;
		if (blocks->first_index == 0)
			blocks->first_index = log_index;
		blocks->last_index = blocks->behind_index = log_index;
		blocks->boot_no = entry->boot_no;
		blocks->group_seq = entry->group_seq;
		page = entry->page == page && entry->group_pages == group_pages
			   ? page + entry->pages
			   : UINT16_MAX + 1u;
	}
	blocks->is_all = page == group_pages;
	return true;
}

enum tern_err
cmdlog_check_block(const struct cmdlog *log, uint64_t log_index, struct hash128 chain,
		   const uint8_t *bytes, uint32_t pages, struct block_hdr *hdr)
{
	if (cmdlog_block_verify(log, bytes, pages, hdr) != TERN_OK || hdr->log_index != log_index ||
	    !hash128_equal(block_chain(bytes + PAGE_PAYLOAD_OFFSET), chain) ||
	    !hash128_equal(block_content_hash(bytes, hdr->payload_bytes), hdr->content_hash))
		return TERN_ERR_CORRUPT;
	return TERN_OK;
}
