/* SPDX-License-Identifier: Apache-2.0 */
/* Write groups: blocks that wait for the device are merged, given cells, and retired in order. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog_internal.h"

uint32_t
cmdlog_groups_in_flight(const struct cmdlog *log)
{
	return (uint32_t)(log->flight_head - log->flight_tail);
}

static void
identities_write(const struct cmdlog *log, uint8_t *bytes, uint64_t cell, uint32_t pages,
		 uint64_t acked_floor)
{
	struct page_identity identity = {
		.cluster_id = log->config.cluster_id,
		.group_seq = log->group_seq,
		.first_cell = cell,
		.acked_floor = acked_floor,
		.boot_no = log->config.boot_no,
		.pool_gen = log->config.pool_gen,
		.group_pages = pages,
		.node_id = log->config.node_id,
		.k = 1,
	};

	for (uint32_t i = 0; i < pages; i++) {
		identity.own_cell = cell + i;
		page_identity_encode(bytes + (size_t)i * PAGE_BYTES, &identity);
	}
}

bool
cmdlog_group_next(struct cmdlog *log, uint64_t persist_index, uint64_t acked_floor,
		  struct cmdlog_group *group)
{
	const uint64_t first = log->written_index + 1;
	const uint64_t end = min_u64(persist_index, log->last_index);
	uint64_t last = log->written_index;
	uint32_t pages = 0;
	const uint64_t area = log->config.area_pages;

	if (first > end || log->is_alone ||
	    cmdlog_groups_in_flight(log) >= log->config.groups_in_flight_max)
		return false;
	/* A group does not run on over the area's end. */
	if (cmdlog_entry_at(log, first)->pages > area - log->next_cell % area)
		log->next_cell += area - log->next_cell % area;
	const uint64_t pages_max =
	    min_u64(area - log->next_cell % area, max_u64(CMDLOG_GROUP_BYTES_MAX / PAGE_BYTES,
							  cmdlog_entry_at(log, first)->pages));
	while (last < end) {
		struct cmdlog_entry *entry = cmdlog_entry_at(log, last + 1);
		if (pages + entry->pages > pages_max)
			break;
		INVARIANT(entry->cell == CMDLOG_CELL_NONE);
		entry->cell = log->next_cell + pages;
		pages += entry->pages;
		last++;
	}
	/* Room was made sure of when each block became part of the log. */
	INVARIANT(pages != 0 && log->next_cell + pages <= log->floor_cell + area);
	INVARIANT(log->unwritten_pages >= pages);

	uint8_t *bytes = cmdlog_page(log, cmdlog_entry_at(log, first)->page_lsn);
	log->group_seq++;
	identities_write(log, bytes, log->next_cell, pages,
			 min_u64(acked_floor, log->durable_index));
	*group = (struct cmdlog_group){
		.first_index = first,
		.last_index = last,
		.cell = log->next_cell,
		.pages = pages,
		.bytes = bytes,
		.slot = (uint32_t)(log->flight_head % CMDLOG_GROUPS_MAX),
	};
	log->flights[group->slot] = (struct cmdlog_flight){ .last_index = last };
	log->flight_head++;
	log->next_cell += pages;
	log->unwritten_pages -= pages;
	log->written_index = last;
	log->is_alone = log->is_forked;
	log->is_forked = false;
	log->stats.groups_sealed++;
	return true;
}

uint64_t
cmdlog_group_done(struct cmdlog *log, uint32_t slot)
{
	INVARIANT(slot < CMDLOG_GROUPS_MAX);
	/* The slot's distance from the oldest one tells whether it is in flight. */
	const uint64_t distance =
	    (slot + CMDLOG_GROUPS_MAX - log->flight_tail % CMDLOG_GROUPS_MAX) % CMDLOG_GROUPS_MAX;
	INVARIANT(distance < log->flight_head - log->flight_tail);
	INVARIANT(!log->flights[slot].is_done);

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
