/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

/* ---- by who fetches a checkpoint ---- */

bool
hold_by_transfer(const struct runtime *rt)
{
	return rt->transfer.phase != TRANSFER_NONE || rt->transfer.is_in_flight;
}

bool
hold_slot_by_transfer(const struct runtime *rt, uint32_t slot)
{
	const struct transfer *t = &rt->transfer;

	return (t->phase > TRANSFER_WAIT || t->is_in_flight) && t->slot == slot;
}

/* ---- by the checkpointer ---- */

bool
hold_slot_by_checkpoint(const struct runtime *rt, uint32_t slot)
{
	const struct checkpointer *c = &rt->checkpoint;

	return c->phase != CHECKPOINT_OFF && c->phase != CHECKPOINT_IDLE && c->slot == slot;
}

static bool
is_checkpoint_busy(const struct runtime *rt)
{
	return rt->checkpoint.is_writing || rt->checkpoint.phase == CHECKPOINT_SUPERBLOCK;
}

/* ---- for another node, which fetches a checkpoint from here ---- */

/* Of what it fetches. */
static uint64_t
served_index(const struct runtime *rt)
{
	return rt->superblock.shards[0].checkpoints[rt->source.slot].log_index;
}

/* Who fetched it has begun anew from it, and acknowledges the log behind it. */
static bool
is_installed(const struct runtime *rt)
{
	const uint32_t slot = peers_slot(rt, rt->source.node);

	if (slot == UINT32_MAX)
		return false;
	const uint32_t at = slot + (rt->source.node > rt->config.node_id);
	return core_view(rt->core)->peer_durable_index[at] >= served_index(rt);
}

bool
hold_by_source(const struct runtime *rt)
{
	return rt->source.asked_ns != 0 &&
	       rt->now_ns - rt->source.asked_ns < RUNTIME_TRANSFER_HOLD_NS && !is_installed(rt);
}

/* Above this use the log comes first. */
static bool
is_pressed(const struct runtime *rt)
{
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);

	return stats.used_pages > stats.area_pages / 10 * 9;
}

/* What is hurt is given to nobody. */
bool
hold_slot_by_source(const struct runtime *rt, uint32_t slot)
{
	return hold_by_source(rt) && rt->source.slot == slot && !is_pressed(rt) &&
	       (rt->checkpoint.hurt & STRIPE_BIT(slot)) == 0;
}

uint64_t
hold_index(const struct runtime *rt)
{
	if (!hold_by_source(rt) || is_pressed(rt))
		return UINT64_MAX;
	return served_index(rt);
}

/* ---- by work on the devices ---- */

static bool
is_refill_writing(const struct runtime *rt)
{
	return rt->refill.phase == REFILL_WRITE && rt->refill.is_in_flight;
}

bool
hold_cells(const struct runtime *rt)
{
	return (rt->heal.busy != NULL && rt->heal.busy->phase == HEAL_LOG) || is_refill_writing(rt);
}

bool
hold_devices(const struct runtime *rt)
{
	return cmdlog_groups_in_flight(rt->log) != 0 || rt->meta.is_writing ||
	       rt->heal.busy != NULL || is_checkpoint_busy(rt) || rt->transfer.is_in_flight ||
	       rt->mend.is_in_flight || rt->mend_source.is_reading || rt->refill.is_in_flight;
}
