/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

void
meta_queue(struct runtime *rt, const struct core_effect *effect)
{
	struct meta_writer *meta = &rt->meta;

	INVARIANT(meta->count < RUNTIME_METAS_MAX);
	meta->queue[(meta->head + meta->count) % RUNTIME_METAS_MAX] =
	    (struct pending_meta){ effect->op_id, effect->term, effect->voted_for };
	meta->count++;
}

/* A configuration goes to the superblock when it is committed and durable in this log, so that a
 * start whose log begins behind it knows it. A log that ends with its process begins anew, and with
 * it what the cluster was born with. */
static void
members_keep(struct runtime *rt)
{
	struct shard_record *shard = &rt->superblock.shards[0];

	if (rt->members.config_index <= shard->config_index || rt->config.is_log_volatile ||
	    rt->members.config_index > cmdlog_stats(rt->log).durable_index ||
	    (rt->config.member_bugs & CORE_MEMBER_BUG_FORGOTTEN) != 0)
		return;
	shard->voters = rt->members.voters;
	shard->learners = rt->members.learners;
	shard->witness_id = rt->members.witness_id;
	shard->witness_gen = rt->members.witness_gen;
	shard->config_index = rt->members.config_index;
	rt->meta.is_dirty = true;
}

static bool
meta_start(struct runtime *rt)
{
	struct meta_writer *meta = &rt->meta;
	const struct pending_meta *next = &meta->queue[meta->head];

	const bool is_news = meta->is_dirty || transfer_wants_superblock(rt);

	if ((meta->count == 0 && !is_news) || meta->is_writing || rt->is_storage_failed)
		return false;
	/* Term and vote go first: somebody waits for them. */
	meta->is_news = meta->count == 0;
	if (meta->is_news) {
		meta->is_dirty = false;
		checkpoint_superblock_begun(rt);
		reclaim_superblock_begun(rt);
		transfer_superblock_begun(rt);
	} else {
		INVARIANT(next->term >= rt->superblock.shards[0].term);
		rt->superblock.shards[0].term = next->term;
		rt->superblock.shards[0].voted_for = next->voted_for;
	}
	meta->is_writing = true;
	stripe_store_update(rt->store, force_superblock(rt), storage_user_make(USER_META, 0, 0));
	return true;
}

bool
meta_turn(struct runtime *rt)
{
	members_keep(rt);
	floor_turn(rt);
	return meta_start(rt);
}

void
meta_on_completion(struct runtime *rt)
{
	struct meta_writer *meta = &rt->meta;

	INVARIANT(meta->is_writing);
	meta->is_writing = false;
	if (rt->is_storage_failed)
		return;
	if (meta->is_news) {
		reclaim_superblock_done(rt);
		checkpoint_superblock_done(rt);
		rt->is_over |= transfer_superblock_done(rt);
		return;
	}
	const struct core_event event = {
		.kind = CORE_EVENT_META_DURABLE,
		.now_ns = rt->now_ns,
		.op_id = meta->queue[meta->head].op_id,
	};
	meta->head = (meta->head + 1) % RUNTIME_METAS_MAX;
	meta->count--;
	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
}
