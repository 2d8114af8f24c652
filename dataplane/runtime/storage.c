/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"
#include "dataplane/stripe/place.h"

#define GROUP_FADE 8u /* write groups until about half of what is known of them is new */

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

static void
meta_done(struct runtime *rt)
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
	members_keep(rt);
	bool has_any = meta_start(rt);

	has_any |= groups_start(rt);
	stripe_store_submit(rt->store);
	return has_any;
}

/* Of a checkpoint too few columns can be read: then it is none. Without parity it is the device
 * that cannot be read. */
static bool
is_gap(const struct runtime *rt, enum tern_err err)
{
	return err == TERN_ERR_CORRUPT && runtime_geometry(rt).m != 0;
}

bool
storage_poll(struct runtime *rt)
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
		durable_tell(rt, durable_index);
	return count != 0;
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
