/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/stripe/place.h"

uint64_t
storage_blob_end(const struct runtime *rt, uint64_t pages)
{
	return stripe_place_end(runtime_geometry(rt), pages);
}

struct stripe_blob
storage_blob(const struct runtime *rt, uint64_t first_page, uint64_t page, uint8_t *bytes,
	     uint32_t pages)
{
	return stripe_place_blob(runtime_geometry(rt), first_page, page, bytes, pages);
}

void
storage_fail(struct runtime *rt)
{
	const struct core_event event = { .kind = CORE_EVENT_STORAGE_FAILED, .now_ns = rt->now_ns };

	if (rt->is_storage_failed)
		return;
	rt->is_storage_failed = true;
	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
}

/* A node that forgets its log asks its peers for all of it. */
bool
storage_has_checkpoints(const struct runtime *rt)
{
	return rt->superblock.checkpoint_pages >= 4 && !rt->config.is_log_volatile;
}

bool
storage_is_one_device(const struct runtime *rt)
{
	return stripe_devices(runtime_geometry(rt)) == 1;
}

enum tern_err
storage_part_read(struct runtime *rt, const struct storage_part *part, struct stripe_address at,
		  uint8_t *bytes, uint64_t user)
{
	const struct stripe_group_read read = {
		.address = at,
		.page = part->page,
		.pages = part->pages,
		.bytes = bytes,
		.user = user,
	};
	const struct stripe_run_read run = {
		.first_cell = part->first_cell + part->page,
		.pages = part->pages,
		.bytes = bytes,
		.user = user,
	};

	return storage_is_one_device(rt) ? stripe_store_read_run(rt->store, &run, rt->now_ns)
					 : stripe_store_read(rt->store, &read, rt->now_ns);
}
