/* SPDX-License-Identifier: Apache-2.0 */
/* What the table says of a block, and where its bytes are. */
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog_internal.h"

uint64_t
cmdlog_page_end(const struct cmdlog *log, uint64_t log_index)
{
	INVARIANT(log_index <= log->last_index && log_index >= log->base_index);
	if (log_index == 0)
		return 0;
	const struct cmdlog_entry *entry = cmdlog_entry_at(log, log_index);
	return entry->page_lsn + entry->pages;
}

struct hash128
cmdlog_chain(const struct cmdlog *log, uint64_t log_index)
{
	INVARIANT(log_index <= log->last_index);
	return log_index == 0 ? (struct hash128){ 0 } : cmdlog_entry_at(log, log_index)->chain;
}

uint64_t
cmdlog_time(const struct cmdlog *log, uint64_t log_index)
{
	INVARIANT(log_index <= log->last_index);
	return log_index == 0 ? 0 : cmdlog_entry_at(log, log_index)->time_ns;
}

bool
cmdlog_meta(const struct cmdlog *log, uint64_t log_index, struct block_meta *meta)
{
	if (log_index == 0 || log_index < log->base_index || log_index > log->last_index)
		return false;
	const struct cmdlog_entry *entry = cmdlog_entry_at(log, log_index);
	*meta = (struct block_meta){
		.log_index = log_index,
		.term = entry->term,
		.epoch = entry->epoch,
		.kind = (enum block_kind)entry->kind,
		.chain = entry->chain,
	};
	return true;
}

bool
cmdlog_locate(const struct cmdlog *log, uint64_t log_index, struct cmdlog_location *location)
{
	if (log_index <= log->base_index || log_index > log->last_index)
		return false;
	const struct cmdlog_entry *entry = cmdlog_entry_at(log, log_index);
	/* A group in flight is not yet on the device; what the scan finds is. */
	const bool is_on_device = log_index <= log->durable_index || log->scan.is_running;
	*location = (struct cmdlog_location){
		.first_cell = is_on_device ? entry->first_cell : CMDLOG_CELL_NONE,
		.page_lsn = entry->page_lsn,
		.group_pages = entry->group_pages,
		.page = entry->page,
		.pages = entry->pages,
	};
	return true;
}

const uint8_t *
cmdlog_resident(const struct cmdlog *log, uint64_t log_index)
{
	if (log_index <= log->base_index || log_index > log->last_index)
		return NULL;
	const struct cmdlog_entry *entry = cmdlog_entry_at(log, log_index);
	if (entry->page_lsn < log->resident_start ||
	    entry->page_lsn + log->ring_pages < log->touched_end)
		return NULL;
	return cmdlog_page(log, entry->page_lsn);
}
