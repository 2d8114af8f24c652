/* SPDX-License-Identifier: Apache-2.0 */
/* What a start reads of checkpoints, and the end of the requests that it waits for. */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

static bool
blob_read(struct runtime *rt)
{
	if (stripe_store_blob_read(rt->store, &rt->boot.blob, rt->boot.distrust, rt->now_ns) !=
	    TERN_OK)
		return false;
	rt->boot.in_flight++;
	return true;
}

bool
boot_read(struct runtime *rt, uint64_t first_page, uint64_t page, uint32_t pages)
{
	rt->boot.blob = storage_blob(rt, first_page, page, rt->boot.buffer, pages);
	rt->boot.blob.user = storage_user_make(USER_BOOT, 0, 0);
	rt->boot.distrust = 0;
	return blob_read(rt);
}

bool
boot_read_again(struct runtime *rt)
{
	return stripe_blob_distrust_next(runtime_geometry(rt), &rt->boot.distrust) && blob_read(rt);
}

void
boot_on_completion(struct runtime *rt, enum tern_err err)
{
	struct boot *boot = &rt->boot;

	INVARIANT(boot->in_flight != 0);
	boot->in_flight--;
	/* What was not readable when it was found was never called durable. */
	const bool is_torn = boot->phase == BOOT_REPAIR && err == TERN_ERR_CORRUPT &&
			     !boot->is_recent_whole[boot->repaired_count % STRIPE_GROUPS_MAX];
	/* Without columns that are not to blame nothing may come of it. */
	const bool is_try =
	    boot->phase == BOOT_CHECKPOINT && err == TERN_ERR_CORRUPT && boot->distrust != 0;
	if (err != TERN_OK && !is_torn && !is_try)
		boot->is_failed = true;
}
