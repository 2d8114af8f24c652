/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

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
divergent_export(struct runtime *rt, uint64_t *next, uint64_t last, uint64_t cut_term)
{
	while (rt->config.divergent != NULL && *next <= last) {
		const uint64_t further = export_some(rt, *next, last, cut_term);
		if (further == 0)
			return false;
		*next = further;
	}
	return true;
}
