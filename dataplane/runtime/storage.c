/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

#define GROUP_FADE 8u /* write groups until about half of what is known of them is new */

enum tern_err
storage_queue(struct runtime *rt, enum disk_request_kind kind, uint64_t page, uint8_t *bytes,
	      uint32_t pages, uint64_t user)
{
	const struct disk_request request = {
		.kind = kind,
		.offset = page * DISK_PAGE_BYTES,
		.bytes = bytes,
		.length = pages * DISK_PAGE_BYTES,
		.user = user,
	};

	return rt->config.disk.ops->queue(rt->config.disk.disk, &request);
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

bool
storage_is_busy(const struct runtime *rt)
{
	return cmdlog_groups_in_flight(rt->log) != 0 || rt->meta.writes_in_flight != 0 ||
	       checkpoint_is_busy(rt) || rt->transfer.is_in_flight;
}

/* ---- the superblock: term and vote, and checkpoints ---- */

void
storage_meta(struct runtime *rt, const struct core_effect *effect)
{
	struct meta_writer *meta = &rt->meta;

	INVARIANT(meta->count < RUNTIME_METAS_MAX);
	meta->queue[(meta->head + meta->count) % RUNTIME_METAS_MAX] =
	    (struct pending_meta){ effect->op_id, effect->term, effect->voted_for };
	meta->count++;
}

static bool
meta_start(struct runtime *rt)
{
	struct meta_writer *meta = &rt->meta;
	const struct pending_meta *next = &meta->queue[meta->head];

	const bool is_checkpoint = checkpoint_wants_superblock(rt) || transfer_wants_superblock(rt);

	if ((meta->count == 0 && !is_checkpoint) || meta->writes_in_flight != 0 ||
	    rt->is_storage_failed)
		return false;
	/* Term and vote go first: somebody waits for them. */
	meta->is_checkpoint = meta->count == 0;
	if (meta->is_checkpoint) {
		checkpoint_superblock_begun(rt);
		transfer_superblock_begun(rt);
	}
	rt->superblock.sequence++;
	if (!meta->is_checkpoint) {
		INVARIANT(next->term >= rt->superblock.shards[0].term);
		rt->superblock.shards[0].term = next->term;
		rt->superblock.shards[0].voted_for = next->voted_for;
	}
	superblock_encode(meta->page, &rt->superblock);
	for (uint32_t i = 0; i < SUPERBLOCK_COPIES / 2; i++) {
		if (storage_queue(rt, DISK_WRITE, meta->next_copy + i, meta->page, 1,
				  storage_user_make(USER_META, 0, 0)) != TERN_OK) {
			/* A half-queued update cannot be taken back; the queue depth is chosen so
			 * that this does not happen. */
			storage_fail(rt);
			return true;
		}
		meta->writes_in_flight++;
	}
	meta->next_copy = (meta->next_copy + SUPERBLOCK_COPIES / 2) % SUPERBLOCK_COPIES;
	return true;
}

static void
meta_done(struct runtime *rt)
{
	struct meta_writer *meta = &rt->meta;

	INVARIANT(meta->writes_in_flight != 0);
	if (--meta->writes_in_flight != 0 || rt->is_storage_failed)
		return;
	if (meta->is_checkpoint) {
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

/* ---- write groups ---- */

static void
durable_tell(struct runtime *rt, uint64_t durable_index)
{
	const struct core_event event = { .kind = CORE_EVENT_DURABLE,
					  .now_ns = rt->now_ns,
					  .index = durable_index };

	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
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
	while (!rt->is_storage_failed && cmdlog_group_next(rt->log, persist_index, floor, &group)) {
		const uint64_t page =
		    rt->superblock.log_first_page + cmdlog_area_page(rt->log, group.cell);
		if (storage_queue(rt, DISK_WRITE, page, (uint8_t *)(uintptr_t)group.bytes,
				  group.pages,
				  storage_user_make(USER_GROUP, group.slot,
						    (uint32_t)rt->now_ns)) != TERN_OK) {
			storage_fail(rt);
			return true;
		}
		rt->groups_begun++;
		has_any = true;
		if (runtime_has_bug(rt, CORE_BUG_EARLY_DURABLE) && !rt->cut.is_pending)
			durable_tell(rt, group.last_index);
	}
	return has_any;
}

/* @begin_ns: the low half of the time at which the group was handed over. */
static void
group_note_time(struct runtime *rt, uint32_t begin_ns)
{
	const uint64_t ns = (uint32_t)rt->now_ns - begin_ns;

	if (rt->group_ns == 0)
		rt->group_ns = ns;
	rt->group_ns = rt->group_ns - rt->group_ns / GROUP_FADE + ns / GROUP_FADE;
}

bool
storage_turn(struct runtime *rt)
{
	bool has_any = meta_start(rt);

	has_any |= groups_start(rt);
	rt->config.disk.ops->submit(rt->config.disk.disk);
	return has_any;
}

bool
storage_poll(struct runtime *rt)
{
	struct disk_completion completions[64];
	uint64_t durable_index = 0;
	const uint32_t count = rt->config.disk.ops->poll(rt->config.disk.disk, completions, 64);

	for (uint32_t i = 0; i < count; i++) {
		const struct disk_completion *completion = &completions[i];
		const uint32_t a = (uint32_t)(completion->user >> 8 & 0xffffff);
		const uint32_t b = (uint32_t)(completion->user >> 32);
		const bool is_good = completion->err == TERN_OK;

		switch ((enum storage_user)(completion->user & 0xff)) {
		case USER_GROUP:
			if (is_good) {
				durable_index = cmdlog_group_done(rt->log, a);
				group_note_time(rt, b);
				rt->groups_written++;
			}
			break;
		case USER_META:
			if (is_good)
				meta_done(rt);
			break;
		case USER_READER:
			reader_on_completion(rt, a, b, is_good);
			break;
		case USER_CHECKPOINT:
			if (is_good)
				checkpoint_on_completion(rt);
			break;
		case USER_TRANSFER:
			if (is_good)
				transfer_on_completion(rt);
			break;
		case USER_SOURCE:
			if (is_good)
				source_on_completion(rt);
			break;
		case USER_BOOT:
			boot_on_completion(rt, completion);
			break;
		}
		if (!is_good && rt->boot.phase == BOOT_DONE)
			storage_fail(rt);
	}
	if (durable_index != 0 && !rt->is_storage_failed && !rt->cut.is_pending)
		durable_tell(rt, durable_index);
	return count != 0;
}
