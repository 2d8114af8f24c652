/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#define GROUP_FADE 8u /* write groups until about half of what is known of them is new */

void
persist_tell(struct runtime *rt, uint64_t durable_index)
{
	const struct core_event event = { .kind = CORE_EVENT_DURABLE,
					  .now_ns = rt->now_ns,
					  .index = durable_index };

	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
}

/* Hands a group to the store, which gives it its place. */
static bool
group_write(struct runtime *rt, const struct cmdlog_group *group)
{
	const struct stripe_group_write write = {
		.bytes = group->bytes,
		.pages = group->pages,
		.acked_floor = group->acked_floor,
		.branch_group = group->branch_group,
		.user = storage_user_make(USER_GROUP, group->slot, (uint32_t)rt->now_ns),
	};
	struct stripe_address address;

	if (stripe_store_write(rt->store, &write, rt->now_ns, &address) != TERN_OK)
		return false;
	const struct cmdlog_place place = {
		.first_cell = address.first_cell,
		.end_cell =
		    address.first_cell + stripe_group_cells(runtime_geometry(rt), group->pages),
		.group_seq = stripe_store_group_seq(rt->store),
		.room = groups_room(rt),
	};
	cmdlog_group_placed(rt->log, group->slot, &place);
	groups_note(rt, address, false);
	floor_group_begun(rt, group->acked_floor);
	rt->groups_begun++;
	return true;
}

static bool
groups_start(struct runtime *rt)
{
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	/* While a tail is being rolled back, all of it is made durable first, to be kept. */
	const uint64_t persist_index =
	    rt->cut.is_pending ? stats.last_index : min_u64(rt->persist_index, stats.last_index);
	struct cmdlog_group group;
	bool has_any = false;

	const uint64_t floor = runtime_has_bug(rt, CORE_BUG_NO_FLOOR) ? 0 : stats.durable_index;
	while (!rt->is_storage_failed && cmdlog_group_next(rt->log, persist_index, floor,
							   stripe_store_fit(rt->store), &group)) {
		if (!group_write(rt, &group)) {
			storage_fail(rt);
			return true;
		}
		has_any = true;
		if (runtime_has_bug(rt, CORE_BUG_EARLY_DURABLE) && !rt->cut.is_pending)
			persist_tell(rt, group.last_index);
	}
	return has_any;
}

bool
persist_turn(struct runtime *rt)
{
	bool has_any = meta_turn(rt);

	has_any |= groups_start(rt);
	stripe_store_submit(rt->store);
	return has_any;
}

static void
group_note_time(struct runtime *rt, uint32_t begin_ns)
{
	const uint64_t ns = (uint32_t)rt->now_ns - begin_ns;

	if (rt->group_ns == 0)
		rt->group_ns = ns;
	rt->group_ns = rt->group_ns - rt->group_ns / GROUP_FADE + ns / GROUP_FADE;
}

uint64_t
persist_group_done(struct runtime *rt, uint32_t slot, uint32_t begin_ns)
{
	const uint64_t durable_index = cmdlog_group_done(rt->log, slot);

	group_note_time(rt, begin_ns);
	floor_group_done(rt);
	rt->groups_written++;
	return durable_index;
}
