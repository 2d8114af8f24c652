/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rolling a divergent tail back: first everything that was received is made durable (it is to be
 * kept), then the tail's place on the device is told to the control thread that exports it, then
 * the log is cut and the core hears of it.
 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

void
cut_begin(struct runtime *rt, uint64_t keep_index)
{
	INVARIANT(!rt->cut.is_pending);
	INVARIANT(keep_index >= rt->commit_index);
	rt->cut = (struct cut){ .is_pending = true, .keep_index = keep_index };
	assembly_stop(rt->assembly);
	rt->has_worked = true;
}

/* One record of the tail from @first on; a long tail takes several. Returns the first index it left
 * out; 0: no room. */
static uint64_t
export_some(struct runtime *rt, uint64_t first, uint64_t last, uint64_t cut_term)
{
	const uint32_t count = (uint32_t)min_u64(last - first + 1, RUNTIME_DIVERGENT_BLOCKS_MAX);
	struct divergent_record *record =
	    ring_reserve(rt->config.divergent,
			 (uint32_t)(sizeof(*record) + count * sizeof(struct divergent_block)));

	if (record == NULL)
		return 0;
	struct divergent_block *blocks = (struct divergent_block *)(record + 1);
	struct block_meta meta;
	uint32_t written = 0;
	const bool has_meta = cmdlog_meta(rt->log, first + count - 1, &meta);
	INVARIANT(has_meta);
	for (uint32_t i = 0; i < count; i++) {
		struct cmdlog_location location;
		if (!cmdlog_locate(rt->log, first + i, &location) ||
		    location.first_cell == UINT64_MAX)
			continue; /* the area was full: it never reached the device */
		blocks[written++] = (struct divergent_block){
			.log_index = first + i,
			.first_cell = location.first_cell,
			.group_pages = location.group_pages,
			.page = location.page,
			.pages = location.pages,
		};
	}
	*record = (struct divergent_record){
		.committed_index = rt->force.is_superseded ? core_view(rt->core)->commit_index : 0,
		.first_index = first,
		.last_index = first + count - 1,
		.last_term = meta.term,
		.cut_term = cut_term,
		.cluster_id = rt->superblock.cluster_id,
		.log_first_page = rt->superblock.log_first_page,
		.log_pages = rt->superblock.log_pages,
		.geometry = runtime_geometry(rt),
		.count = written,
	};
	ring_publish(rt->config.divergent);
	return first + count;
}

bool
cut_export(struct runtime *rt, uint64_t *next, uint64_t last, uint64_t cut_term)
{
	while (rt->config.divergent != NULL && *next <= last) {
		const uint64_t further = export_some(rt, *next, last, cut_term);
		if (further == 0)
			return false;
		*next = further;
	}
	return true;
}

bool
cut_turn(struct runtime *rt)
{
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	const uint64_t keep = rt->cut.keep_index;

	if (!rt->cut.is_pending || cmdlog_groups_in_flight(rt->log) != 0 || rt->is_storage_failed)
		return false;
	if (stats.durable_index < stats.last_index && !rt->cut.is_flushed) {
		/* storage_turn starts the rest in this turn; if it cannot, the area is full. */
		rt->cut.is_flushed = !storage_turn(rt);
		return true;
	}
	if (rt->cut.export_next == 0)
		rt->cut.export_next = keep + 1;
	/* The cut waits until the whole tail is named on the ring. */
	if (!cut_export(rt, &rt->cut.export_next, stats.last_index, core_view(rt->core)->term))
		return false;
	if (keep < stats.last_index)
		cmdlog_cut(rt->log, keep);
	rt->persist_index = min_u64(rt->persist_index, keep);
	rt->cut.is_pending = false;
	const struct core_event done = { .kind = CORE_EVENT_CUT_DONE,
					 .now_ns = rt->now_ns,
					 .index = keep };
	const struct core_event durable = { .kind = CORE_EVENT_DURABLE,
					    .now_ns = rt->now_ns,
					    .index = cmdlog_stats(rt->log).durable_index };
	if (durable.index != 0 && durable.index > core_view(rt->core)->durable_index &&
	    dispatch(rt, &durable) != TERN_OK)
		rt->link.drops.core_refused++;
	if (dispatch(rt, &done) != TERN_OK)
		rt->link.drops.core_refused++;
	return true;
}
