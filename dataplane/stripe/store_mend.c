/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that another node gave are put back where they were lost, see mend.h. As with a
 * repair, what is written over is bad or the same, so a write that is torn makes nothing worse.
 */
#include "dataplane/stripe/mend.h"
#include "dataplane/stripe/store_internal.h"

#include "dataplane/base/invariant.h"

static bool
is_of_store(const struct stripe_store *store, const struct page_identity *group)
{
	return group->cluster_id == store->super.wanted.cluster_id &&
	       group->node_id == store->config.node_id && group->k == 1 && group->m == 0;
}

enum tern_err
stripe_store_mend(struct stripe_store *store, const struct stripe_mend *mend, uint64_t now_ns)
{
	const struct page_identity *group = &mend->group;
	const uint64_t first_cell = group->first_cell + mend->page;
	uint32_t number = 0;

	INVARIANT(store->phase == START_DONE && !store->scan.is_running && store->devices == 1);
	INVARIANT(mend->pages >= 1 && mend->pages <= group->group_pages - mend->page);
	INVARIANT(first_cell >= store->release_cell);
	INVARIANT(first_cell + mend->pages <= store->next_cell);
	INVARIANT(is_of_store(store, group));
	store->now_ns = store->now_ns > now_ns ? store->now_ns : now_ns;
	if (store->is_stopped)
		return TERN_ERR_IO;
	while (number < store->config.groups_max && store->groups[number].is_used)
		number++;
	if (number == store->config.groups_max)
		return TERN_ERR_QUEUE_FULL;
	const struct stripe_layout layout =
	    stripe_layout_make(store->geometry, group->first_cell, group->group_pages);
	for (uint32_t i = 0; i < mend->pages; i++)
		stripe_identity_write(&layout, group, 0, mend->page + i,
				      mend->bytes + (size_t)i * PAGE_BYTES);
	const struct disk_request request = {
		.kind = DISK_WRITE,
		.device = 0,
		.offset = stripe_cell_offset(store, first_cell),
		.bytes = mend->bytes,
		.length = mend->pages * PAGE_BYTES,
	};
	store->groups[number] = (struct stripe_group_slot){
		.is_used = true,
		.user = mend->user,
		.parity = store->groups[number].parity,
		.pending = STRIPE_BIT(0),
	};
	stripe_request(store, OWNER_GROUP, number, &request);
	store->stats.repairs++;
	store->stats.repaired_columns++;
	return TERN_OK;
}
