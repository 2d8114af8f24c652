/* SPDX-License-Identifier: Apache-2.0 */
/* Write groups: blocks that wait for the store are merged, placed by it, and retired in order. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog_internal.h"

uint32_t
cmdlog_groups_in_flight(const struct cmdlog *log)
{
	return (uint32_t)(log->flight_head - log->flight_tail);
}

bool
cmdlog_group_next(struct cmdlog *log, uint64_t persist_index, uint64_t acked_floor,
		  uint32_t pages_fit, struct cmdlog_group *group)
{
	const uint64_t first = log->written_index + 1;
	const uint64_t end = min_u64(persist_index, log->last_index);
	uint64_t last = log->written_index;
	uint32_t pages = 0;

	if (first > end || log->is_alone ||
	    cmdlog_groups_in_flight(log) >= log->config.groups_in_flight_max)
		return false;
	const uint32_t pages_max = max_u32(min_u32(pages_fit, CMDLOG_GROUP_BYTES_MAX / PAGE_BYTES),
					   cmdlog_entry_at(log, first)->pages);
	while (last < end) {
		struct cmdlog_entry *entry = cmdlog_entry_at(log, last + 1);
		if (pages + entry->pages > pages_max)
			break;
		INVARIANT(entry->first_cell == CMDLOG_CELL_NONE);
		entry->page = (uint16_t)pages;
		pages += entry->pages;
		log->unwritten_cells -= cmdlog_cells(log, entry->pages);
		last++;
	}
	INVARIANT(pages != 0 && pages <= log->group_pages_max);
	if (log->is_forked)
		log->branch_group = 0;
	log->branch_group += log->branch_group != UINT32_MAX;
	*group = (struct cmdlog_group){
		.first_index = first,
		.last_index = last,
		.acked_floor = min_u64(acked_floor, log->durable_index),
		.branch_group = log->branch_group,
		.pages = pages,
		.bytes = cmdlog_page(log, cmdlog_entry_at(log, first)->page_lsn),
		.slot = (uint32_t)(log->flight_head % CMDLOG_GROUPS_MAX),
	};
	log->flights[group->slot] =
	    (struct cmdlog_flight){ .first_index = first, .last_index = last };
	log->flight_head++;
	log->written_index = last;
	log->is_alone = log->is_forked;
	log->is_forked = false;
	log->stats.groups_sealed++;
	return true;
}

void
cmdlog_group_placed(struct cmdlog *log, uint32_t slot, const struct cmdlog_place *place)
{
	struct cmdlog_flight *flight = &log->flights[slot];
	uint32_t pages = 0;

	INVARIANT(slot == (log->flight_head - 1) % CMDLOG_GROUPS_MAX);
	INVARIANT(log->flight_head != log->flight_tail && !flight->is_placed);
	INVARIANT(place->first_cell >= log->end_cell && place->end_cell > place->first_cell);
	for (uint64_t i = flight->first_index; i <= flight->last_index; i++)
		pages += cmdlog_entry_at(log, i)->pages;
	for (uint64_t i = flight->first_index; i <= flight->last_index; i++) {
		struct cmdlog_entry *entry = cmdlog_entry_at(log, i);
		entry->first_cell = place->first_cell;
		entry->group_seq = place->group_seq;
		entry->boot_no = log->config.boot_no;
		entry->group_pages = (uint16_t)pages;
	}
	flight->is_placed = true;
	log->end_cell = place->end_cell;
	log->room = place->room;
	/* Room was made sure of when each block became part of the log. */
	INVARIANT(log->unwritten_cells <= log->room);
}

void
cmdlog_set_room(struct cmdlog *log, uint64_t room)
{
	log->room = room;
}

uint64_t
cmdlog_group_done(struct cmdlog *log, uint32_t slot)
{
	INVARIANT(slot < CMDLOG_GROUPS_MAX);
	/* The slot's distance from the oldest one tells whether it is in flight. */
	const uint64_t distance =
	    (slot + CMDLOG_GROUPS_MAX - log->flight_tail % CMDLOG_GROUPS_MAX) % CMDLOG_GROUPS_MAX;
	INVARIANT(distance < log->flight_head - log->flight_tail);
	INVARIANT(!log->flights[slot].is_done && log->flights[slot].is_placed);

	log->flights[slot].is_done = true;
	while (log->flight_tail != log->flight_head) {
		const struct cmdlog_flight *oldest =
		    &log->flights[log->flight_tail % CMDLOG_GROUPS_MAX];
		if (!oldest->is_done)
			break;
		log->durable_index = oldest->last_index;
		log->flight_tail++;
		log->is_alone = false;
	}
	INVARIANT(log->durable_index <= log->written_index);
	return log->durable_index;
}
