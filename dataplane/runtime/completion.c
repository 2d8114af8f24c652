/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

/* Of a checkpoint too few columns can be read: then it is none. Without parity it is the device
 * that cannot be read. */
static bool
is_gap(const struct runtime *rt, enum tern_err err)
{
	return err == TERN_ERR_CORRUPT && runtime_geometry(rt).m != 0;
}

bool
completion_poll(struct runtime *rt)
{
	struct stripe_completion completions[64];
	uint64_t durable_index = 0;
	const uint32_t count = stripe_store_poll(rt->store, rt->now_ns, completions, 64);

	for (uint32_t i = 0; i < count; i++) {
		const struct stripe_completion *completion = &completions[i];
		const uint32_t a = (uint32_t)(completion->user >> 8 & 0xffffff);
		const uint32_t b = (uint32_t)(completion->user >> 32);
		bool is_good = completion->err == TERN_OK;

		switch ((enum storage_user)(completion->user & 0xff)) {
		case USER_GROUP:
			if (is_good)
				durable_index = persist_group_done(rt, a, b);
			break;
		case USER_META:
			if (is_good)
				meta_on_completion(rt);
			break;
		case USER_READER:
			is_good = reader_on_completion(rt, a, b, completion->err);
			break;
		case USER_CHECKPOINT:
			if (is_good)
				checkpoint_on_completion(rt);
			break;
		case USER_TRANSFER:
			is_good = is_good || is_gap(rt, completion->err);
			if (is_good)
				transfer_on_completion(rt, completion->err);
			break;
		case USER_SOURCE:
			is_good = is_good || is_gap(rt, completion->err);
			if (is_good)
				source_on_completion(rt, completion->err);
			break;
		case USER_HEAL:
			heal_on_completion(rt, completion->err);
			is_good = is_good || completion->err == TERN_ERR_CORRUPT ||
				  completion->err == TERN_ERR_BUSY;
			break;
		case USER_MEND:
			if (is_good)
				mend_on_written(rt);
			break;
		case USER_MEND_SOURCE:
			mend_source_on_read(rt, completion->err);
			is_good = is_good || completion->err == TERN_ERR_CORRUPT;
			break;
		case USER_DEEP:
			deep_on_read(rt, completion->err);
			is_good = is_good || completion->err == TERN_ERR_CORRUPT;
			break;
		case USER_REFILL:
			refill_on_completion(rt, completion->err);
			is_good = is_good || completion->err == TERN_ERR_CORRUPT;
			break;
		case USER_BOOT:
			boot_on_completion(rt, completion->err);
			break;
		}
		if (!is_good && rt->boot.phase == BOOT_DONE)
			storage_fail(rt);
	}
	if (durable_index != 0 && !rt->is_storage_failed && !rt->cut.is_pending)
		persist_tell(rt, durable_index);
	return count != 0;
}
