/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

uint64_t
groups_room(const struct runtime *rt)
{
	/* A group that does not fit in front of the area's end is one block. */
	return stripe_store_room(rt->store, cmdlog_block_pages_max(rt->config.command_bytes_max));
}

void
groups_note(struct runtime *rt, struct stripe_address address, bool is_torn)
{
	struct healer *heal = &rt->heal;

	INVARIANT(heal->head - heal->tail < heal->groups_max);
	heal->groups[heal->head++ % heal->groups_max] =
	    (struct heal_group){ address.first_cell, address.group_pages, is_torn };
}

static void
store_release(struct runtime *rt, uint64_t cell)
{
	stripe_store_release(rt->store, cell);
	cmdlog_set_room(rt->log, groups_room(rt));
}

static void
release(struct runtime *rt, uint64_t cell)
{
	struct healer *heal = &rt->heal;

	heal->release_cell = 0;
	store_release(rt, cell);
	while (heal->tail != heal->head &&
	       heal->groups[heal->tail % heal->groups_max].first_cell < cell)
		heal->tail++;
}

void
groups_release(struct runtime *rt, uint64_t cell)
{
	if (hold_cells(rt))
		rt->heal.release_cell = cell;
	else
		release(rt, cell);
}

void
groups_release_held(struct runtime *rt)
{
	if (rt->heal.release_cell != 0 && !hold_cells(rt))
		release(rt, rt->heal.release_cell);
}

bool
runtime_group(const struct runtime *rt, uint64_t number, struct stripe_address *address,
	      bool *is_whole)
{
	const struct healer *heal = &rt->heal;

	if (number >= heal->head - heal->tail)
		return false;
	const struct heal_group *group = &heal->groups[(heal->tail + number) % heal->groups_max];
	*address = (struct stripe_address){ group->first_cell, group->pages };
	*is_whole = !group->is_torn && group->first_cell < stripe_store_oldest_in_flight(rt->store);
	return true;
}
