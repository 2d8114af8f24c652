/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/force.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/runtime/runtime_internal.h"

static bool
has_bug(const struct runtime *rt, enum core_member_bug bug)
{
	return (rt->config.member_bugs & (uint32_t)bug) != 0;
}

/* The GEN block and barriers, until a checkpoint frees a part of the log. */
#define FORCE_RESERVE_PAGES 8u

/* ---- forced ---- */

static void
name_generation(struct runtime *rt, uint32_t gen_id)
{
	const struct core_view *view = core_view(rt->core);
	struct superblock *superblock = &rt->superblock;
	struct shard_record *shard = &superblock->shards[0];
	const struct generation parent = superblock->generation;
	const uint64_t term = (uint64_t)parent.number << GENERATION_TERM_SHIFT;

	superblock->generation = (struct generation){ parent.number + 1, gen_id };
	superblock->fork = (struct superblock_fork){
		.notice = { .is_known = true,
			    .parent_id = parent.id,
			    .log_index = view->last_index,
			    .commit_index = view->commit_index,
			    .chain = view->last_chain },
		.before = view->members,
	};
	superblock->fork.before.begins = (struct generation){ 0, 0 };
	superblock->fork.before.parent_id = 0;
	shard->term = max_u64(view->term, term);
	shard->voted_for = 0;
	shard->config_index = view->last_index + 1;
	shard->voters = UINT64_C(1) << rt->config.node_id;
	shard->learners = 0;
	shard->witness_id = view->members.witness_id;
	shard->witness_gen = view->members.witness_gen & ~MEMBERSHIP_WITNESS_OUT;
}

enum core_force
force_begin(struct runtime *rt, uint32_t gen_id)
{
	const struct core_event event = { .kind = CORE_EVENT_FORCE, .now_ns = rt->now_ns };
	const enum core_force verdict = core_judge_force(rt->core);

	if (verdict != CORE_FORCE_ALLOWED)
		return verdict;
	/* Term, vote and configuration are written by nobody else meanwhile. */
	if (rt->meta.count != 0 || rt->meta.is_writing || hold_by_transfer(rt) ||
	    rt->transfer.is_in_flight || rt->is_damaged || rt->cut.is_pending ||
	    cmdlog_groups_in_flight(rt->log) != 0 || gen_id == 0)
		return rt->is_damaged ? CORE_FORCE_LACKS : CORE_FORCE_BUSY;
	if (!cmdlog_has_reserve(rt->log, FORCE_RESERVE_PAGES))
		return CORE_FORCE_FULL;
	if (dispatch(rt, &event) != TERN_OK)
		return CORE_FORCE_BUSY;
	name_generation(rt, gen_id);
	rt->transfer.phase = TRANSFER_NAME;
	rt->transfer.is_dirty = rt->transfer.is_last_write = true;
	return CORE_FORCE_ALLOWED;
}

bool
force_is_gen_due(const struct runtime *rt, uint64_t last_index)
{
	const struct superblock *superblock = &rt->superblock;

	return superblock->generation.number > 1 && superblock->fork.notice.is_known &&
	       superblock->fork.notice.log_index == last_index &&
	       superblock->shards[0].config_index == last_index + 1;
}

/* A GEN block at that place, whole or not, is followed by none but its own. */
void
force_cut_back(struct runtime *rt, struct cmdlog_recovery *recovery)
{
	const uint64_t keep_index = rt->superblock.fork.notice.log_index;
	struct block_meta last, next;

	if (rt->is_damaged || force_is_superseded(rt) || !force_is_gen_due(rt, keep_index) ||
	    !cmdlog_meta(rt->log, keep_index, &last) ||
	    !hash128_equal(last.chain, rt->superblock.fork.notice.chain) ||
	    !cmdlog_meta(rt->log, keep_index + 1, &next) || next.kind == BLOCK_CONFIG)
		return;
	cmdlog_cut(rt->log, keep_index);
	recovery->last_index = keep_index;
	recovery->commit_floor = min_u64(recovery->commit_floor, keep_index);
}

const struct superblock *
force_superblock(struct runtime *rt)
{
	const struct superblock_fork *fork = &rt->superblock.fork;

	if (!has_bug(rt, CORE_MEMBER_BUG_FORCE_NOT_DURABLE) || rt->boot.phase != BOOT_DONE ||
	    rt->superblock.generation.number == 1 || rt->transfer.is_last_write)
		return &rt->superblock;
	rt->force.old = rt->superblock;
	rt->force.old.generation = (struct generation){ 1, 0 };
	rt->force.old.fork = (struct superblock_fork){ 0 };
	rt->force.old.shards[0].config_index = fork->before.config_index;
	rt->force.old.shards[0].voters = fork->before.voters;
	return &rt->force.old;
}

/* ---- superseded ---- */

bool
force_is_superseded(const struct runtime *rt)
{
	return rt->superblock.shards[0].join == SUPERBLOCK_SUPERSEDED &&
	       !has_bug(rt, CORE_MEMBER_BUG_FORCE_COMES_BACK);
}

void
force_boot(struct runtime *rt)
{
	rt->force.is_superseded = force_is_superseded(rt);
	rt->link.generation = rt->superblock.generation;
	rt->link.is_superseded = rt->force.is_superseded;
	rt->link.takes_any_generation = has_bug(rt, CORE_MEMBER_BUG_FORCE_OLD_GEN);
	if (!rt->force.is_superseded)
		rt->link.notice = rt->superblock.fork.notice;
}

static void
begin_superseded(struct runtime *rt)
{
	const struct core_event event = { .kind = CORE_EVENT_SUPERSEDED, .now_ns = rt->now_ns };

	rt->force.is_superseded = rt->link.is_superseded = true;
	transfer_drop(rt);
	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
	rt->superblock.shards[0].join = SUPERBLOCK_SUPERSEDED;
	rt->superblock.fork.superseded_by = rt->link.later;
	rt->superblock.fork.notice = rt->link.later_notice;
	rt->transfer.is_dirty = true;
}

/* The last block that the later generation is known to hold too. Without a word about where it
 * left: none, so that all that this log has is named. */
static uint64_t
common_index(const struct runtime *rt)
{
	const struct generation_notice *notice = &rt->superblock.fork.notice;
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	struct block_meta meta;

	if (!notice->is_known)
		return stats.base_index;
	if (core_block_meta(rt->core, notice->log_index, &meta) &&
	    hash128_equal(meta.chain, notice->chain))
		return notice->log_index;
	return max_u64(stats.base_index, min_u64(notice->commit_index, stats.last_index));
}

/* What is on its way to the devices is waited for. */
static bool
export_turn(struct runtime *rt)
{
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);
	struct force *force = &rt->force;

	if (force->is_exported || rt->is_storage_failed || rt->cut.is_pending ||
	    rt->config.divergent == NULL || cmdlog_groups_in_flight(rt->log) != 0 ||
	    stats.durable_index < stats.last_index)
		return false;
	if (force->export_next == 0)
		force->export_next = common_index(rt) + 1;
	const uint64_t before = force->export_next;
	force->is_exported =
	    divergent_export(rt, &force->export_next, stats.last_index, core_view(rt->core)->term);
	return force->export_next != before;
}

bool
force_turn(struct runtime *rt)
{
	link_tell_strangers(&rt->link, core_view(rt->core)->term, rt->now_ns);
	/* While a last write is under way this incarnation ends, and the next one will be told. */
	if (rt->link.later.number != 0 && !rt->force.is_superseded && !rt->is_storage_failed &&
	    !rt->transfer.is_last_write && !rt->cut.is_pending) {
		begin_superseded(rt);
		return true;
	}
	return rt->force.is_superseded && export_turn(rt);
}
