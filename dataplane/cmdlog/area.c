/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks that the log has: room for them in its area, where it begins, where it is cut. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog_internal.h"

static uint64_t
area_used(const struct cmdlog *log)
{
	const uint64_t area = log->config.area_cells;
	const uint64_t room = min_u64(log->room, area);

	return min_u64(area - room + log->unwritten_cells, area);
}

bool
cmdlog_area_has_room(const struct cmdlog *log, uint64_t pages, bool is_reserve)
{
	const uint64_t used = area_used(log), cells = cmdlog_cells(log, pages);
	const uint64_t area = log->config.area_cells, blocks = log->config.blocks_max;
	const uint64_t cells_max = is_reserve ? area : area - div_up_u64(area, 20);
	const uint64_t blocks_max = is_reserve ? blocks : blocks - div_up_u64(blocks, 20);

	return used + cells <= cells_max && cmdlog_entries_used(log) < blocks_max;
}

void
cmdlog_push(struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain,
	    const struct page_identity *group, uint32_t page)
{
	INVARIANT(hdr->log_index == log->last_index + 1);
	INVARIANT(cmdlog_entries_used(log) < log->config.blocks_max);
	INVARIANT(hdr->page_lsn == log->next_page_lsn);
	log->last_index = hdr->log_index;
	log->next_page_lsn += hdr->pages;
	/* True for ever, whatever becomes of the block that told it. */
	log->stats.common_index = max_u64(log->stats.common_index, hdr->common_index);
	*cmdlog_entry_at(log, hdr->log_index) = (struct cmdlog_entry){
		.page_lsn = hdr->page_lsn,
		.first_cell = group == NULL ? CMDLOG_CELL_NONE : group->first_cell,
		.group_seq = group == NULL ? 0 : group->group_seq,
		.term = hdr->term,
		.time_ns = hdr->time_ns,
		.commit_index = hdr->commit_index,
		.chain = chain,
		.epoch = hdr->epoch,
		.pages = hdr->pages,
		.boot_no = group == NULL ? 0 : group->boot_no,
		.group_pages = group == NULL ? 0 : (uint16_t)group->group_pages,
		.page = (uint16_t)page,
		.kind = (uint8_t)hdr->kind,
	};
	if (group == NULL)
		log->unwritten_cells += cmdlog_cells(log, hdr->pages);
}

void
cmdlog_set_base(struct cmdlog *log, const struct cmdlog_base *base)
{
	INVARIANT(log->last_index == 0 && log->base_index == 0 && log->end_cell == 0);
	INVARIANT(base->meta.log_index != 0 && base->page_end != 0);
	log->base_index = log->last_index = base->meta.log_index;
	log->written_index = log->durable_index = log->applied_index = log->base_index;
	log->base_cell = log->end_cell = base->next_cell;
	log->next_page_lsn = base->page_end;
	log->resident_start = log->touched_end = base->page_end;
	*cmdlog_entry_at(log, log->base_index) = (struct cmdlog_entry){
		.page_lsn = base->page_end - 1,
		.first_cell = CMDLOG_CELL_NONE,
		.group_seq = base->group_seq,
		.boot_no = base->boot_no,
		.term = base->meta.term,
		.time_ns = base->time_ns,
		.commit_index = base->meta.log_index,
		.chain = base->meta.chain,
		.epoch = base->meta.epoch,
		.pages = 1,
		.kind = (uint8_t)base->meta.kind,
	};
}

void
cmdlog_rebase(struct cmdlog *log, const struct cmdlog_base *base)
{
	INVARIANT(!log->scan.is_running && cmdlog_groups_in_flight(log) == 0);
	INVARIANT(base->meta.log_index > log->last_index && base->next_cell == log->end_cell);
	log->last_index = log->base_index = 0;
	log->end_cell = 0;
	cmdlog_set_base(log, base);
}

bool
cmdlog_base_at(const struct cmdlog *log, uint64_t log_index, struct cmdlog_base *base)
{
	struct cmdlog_location location;

	if (!cmdlog_locate(log, log_index, &location))
		return false;
	const bool has_meta = cmdlog_meta(log, log_index, &base->meta);
	INVARIANT(has_meta);
	base->page_end = cmdlog_page_end(log, log_index);
	base->time_ns = cmdlog_time(log, log_index);
	base->boot_no = cmdlog_entry_at(log, log_index)->boot_no;
	base->group_seq = cmdlog_entry_at(log, log_index)->group_seq;
	/* A group that is on its way has its cells already, and later ones are behind it. */
	if (location.first_cell == CMDLOG_CELL_NONE)
		base->next_cell = CMDLOG_CELL_NONE;
	else if (log_index < log->written_index)
		base->next_cell = cmdlog_entry_at(log, log_index + 1)->first_cell;
	else
		base->next_cell = log->end_cell;
	INVARIANT(base->next_cell != CMDLOG_CELL_NONE || location.first_cell == CMDLOG_CELL_NONE);
	return true;
}

void
cmdlog_reclaim(struct cmdlog *log, uint64_t log_index)
{
	struct cmdlog_location location;

	INVARIANT(!log->scan.is_running);
	INVARIANT(log_index <= log->durable_index && log_index <= log->applied_index);
	if (log_index <= log->base_index)
		return;
	const bool is_there = cmdlog_locate(log, log_index, &location);
	INVARIANT(is_there && location.first_cell != CMDLOG_CELL_NONE);
	log->base_index = log_index;
}

void
cmdlog_cut(struct cmdlog *log, uint64_t keep_index)
{
	INVARIANT(cmdlog_groups_in_flight(log) == 0);
	INVARIANT(log->open_bytes == 0);
	INVARIANT(keep_index >= log->applied_index);
	if (keep_index >= log->last_index)
		return;
	/* What was written of the tail stays on the device until something supersedes it. */
	if (log->written_index > keep_index)
		log->is_forked = true;
	for (uint64_t i = max_u64(keep_index, log->written_index) + 1; i <= log->last_index; i++)
		log->unwritten_cells -= cmdlog_cells(log, cmdlog_entry_at(log, i)->pages);
	log->last_index = keep_index;
	log->written_index = min_u64(log->written_index, keep_index);
	log->durable_index = min_u64(log->durable_index, keep_index);
	log->next_page_lsn = cmdlog_page_end(log, keep_index);
	/* Pages of kept blocks that the tail had pushed out stay out; from here on the ring is
	 * free. */
	if (log->touched_end > log->ring_pages)
		log->resident_start =
		    max_u64(log->resident_start, log->touched_end - log->ring_pages);
	log->resident_start = min_u64(log->resident_start, log->next_page_lsn);
	log->touched_end = log->next_page_lsn;
	INVARIANT(log->durable_index <= log->written_index);
}

struct cmdlog_stats
cmdlog_stats(const struct cmdlog *log)
{
	struct cmdlog_stats stats = log->stats;

	stats.last_index = log->last_index;
	stats.durable_index = log->durable_index;
	stats.base_index = log->base_index;
	stats.end_cell = log->end_cell;
	stats.used_pages = area_used(log);
	stats.area_pages = log->config.area_cells;
	stats.last_chain = cmdlog_chain(log, log->last_index);
	return stats;
}
