/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"
#include "dataplane/state/checkpoint.h"

#define INTERVAL_PAGES 65536u /* at most an eighth of the area; or more, for a large state */
#define STATE_TIMES    4u     /* so many times the state, at most a quarter of the area */
#define ENTRIES_MIN    8u     /* of a turn: commands wait for so many */
#define TURN_BYTES     (64u * 1024u)

/* Intervals are powers of two, so that positions of nodes with areas of other sizes are nested.
 * Where the area has room for it, checkpoints write a fraction of what commands do. */
static uint64_t
interval_pages_of(const struct runtime *rt, uint64_t state_bytes)
{
	const struct stripe_geometry geometry = runtime_geometry(rt);
	/* Blocks of one page take the most cells. */
	const uint64_t log_pages =
	    rt->superblock.log_pages * stripe_devices(geometry) / (1 + geometry.m);
	const uint64_t wanted = state_bytes / PAGE_BYTES * STATE_TIMES;
	uint64_t interval = 1;

	while (interval < INTERVAL_PAGES && interval * 2 <= log_pages / 8)
		interval *= 2;
	while (interval < wanted && interval * 2 <= log_pages / 4)
		interval *= 2;
	return interval;
}

static uint64_t
slot_page(const struct runtime *rt, uint32_t slot)
{
	return rt->superblock.checkpoint_first_page + slot * rt->checkpoint.slot_pages;
}

/* Which slot the newest one lies in. */
static uint32_t
newest_slot(const struct runtime *rt)
{
	const struct superblock_checkpoint *slots = rt->superblock.shards[0].checkpoints;

	return slots[1].log_index > slots[0].log_index ? 1 : 0;
}

static void
note_named(struct runtime *rt)
{
	const struct superblock_checkpoint *slots = rt->superblock.shards[0].checkpoints;
	struct checkpointer *c = &rt->checkpoint;

	c->newest_slot = newest_slot(rt);
	c->newest_index = slots[c->newest_slot].log_index;
	c->older_index = slots[1 - c->newest_slot].log_index;
}

struct superblock_base
checkpoint_base(const struct checkpoint_hdr *hdr, uint64_t next_cell)
{
	return (struct superblock_base){
		.log_index = hdr->meta.log_index,
		.term = hdr->meta.term,
		.page_end = hdr->page_end,
		.time_ns = hdr->block_time_ns,
		.next_cell = next_cell,
		.epoch = hdr->meta.epoch,
		.kind = (uint8_t)hdr->meta.kind,
		.chain = hdr->meta.chain,
	};
}

uint32_t
checkpoint_newest_slot(const struct runtime *rt)
{
	return newest_slot(rt);
}

/* The newest one gives way if it is hurt, and a start would do with the older one. */
uint32_t
checkpoint_slot_choose(const struct runtime *rt)
{
	const struct checkpointer *c = &rt->checkpoint;
	const uint32_t newest = newest_slot(rt);
	const bool is_older_good = c->older_index != 0 &&
				   ((c->hurt | c->torn) & STRIPE_BIT(1 - newest)) == 0 &&
				   rt->superblock.shards[0].base.log_index <= c->older_index;

	return (c->hurt & STRIPE_BIT(newest)) != 0 && is_older_good ? newest : 1 - newest;
}

void
checkpoint_slot_begun(struct runtime *rt, uint32_t slot)
{
	rt->checkpoint.torn |= STRIPE_BIT(slot);
}

bool
checkpoint_is_torn(const struct runtime *rt, uint32_t slot)
{
	return (rt->checkpoint.torn & STRIPE_BIT(slot)) != 0;
}

/* 0: nobody knows that it is whole. */
static uint64_t
whole_index(const struct runtime *rt, uint32_t slot, uint64_t log_index)
{
	const struct checkpointer *c = &rt->checkpoint;

	if ((rt->config.own_bugs & RUNTIME_BUG_HURT) != 0)
		return log_index;
	return ((c->hurt | c->torn | c->unread) & STRIPE_BIT(slot)) == 0 ? log_index : 0;
}

uint64_t
checkpoint_fallback_index(const struct runtime *rt)
{
	const struct checkpointer *c = &rt->checkpoint;

	return whole_index(rt, 1 - c->newest_slot, c->older_index);
}

uint64_t
checkpoint_start_index(const struct runtime *rt)
{
	const struct checkpointer *c = &rt->checkpoint;
	const uint64_t newest = whole_index(rt, c->newest_slot, c->newest_index);

	return newest != 0 ? newest : checkpoint_fallback_index(rt);
}

void
checkpoint_open(struct runtime *rt)
{
	struct checkpointer *c = &rt->checkpoint;

	if (!storage_has_checkpoints(rt))
		return;
	c->phase = CHECKPOINT_IDLE;
	c->slot_pages = rt->superblock.checkpoint_pages / SUPERBLOCK_CHECKPOINTS;
	c->interval_pages = interval_pages_of(rt, 0);
	c->entries_max = ENTRIES_MIN;
	c->unread = ~rt->boot.recover.tried;
	note_named(rt);
}

bool
checkpoint_hurt(struct runtime *rt, uint32_t slot)
{
	if (rt->checkpoint.phase == CHECKPOINT_OFF)
		return false;
	rt->source.bad_index = rt->superblock.shards[0].checkpoints[slot].log_index;
	rt->checkpoint.hurt |= STRIPE_BIT(slot);
	return true;
}

/* ---- beginning ---- */

static bool
is_due(const struct runtime *rt, uint64_t before, uint64_t log_index)
{
	const uint64_t interval = rt->checkpoint.interval_pages;

	return cmdlog_page_end(rt->log, before) / interval !=
	       cmdlog_page_end(rt->log, log_index) / interval;
}

static uint32_t
slot_for_new(const struct runtime *rt)
{
	return runtime_has_bug(rt, CORE_BUG_CHECKPOINT_ONE_SLOT) ? newest_slot(rt)
								 : checkpoint_slot_choose(rt);
}

static void
begin(struct runtime *rt, uint64_t log_index)
{
	struct checkpointer *c = &rt->checkpoint;
	struct cmdlog_base base;

	const bool is_there = cmdlog_base_at(rt->log, log_index, &base);
	INVARIANT(is_there && log_index <= rt->commit_index);
	INVARIANT(rt->members.config_index <= log_index);
	c->phase = CHECKPOINT_CHUNKS;
	c->slot = slot_for_new(rt);
	c->fill = 0;
	c->is_stream_done = c->is_sealed = false;
	c->hdr = (struct checkpoint_hdr){
		.cluster_id = rt->superblock.cluster_id,
		.shard = rt->config.shard,
		.machine_version = BLOCK_RULES_FIRST, /* who knows these goes on from it */
		.meta = base.meta,
		.page_end = base.page_end,
		.block_time_ns = base.time_ns,
		.voters = rt->members.voters,
		.learners = rt->members.learners,
		.config_index = rt->members.config_index,
		.witness_id = rt->members.witness_id,
		.witness_gen = rt->members.witness_gen,
	};
	state_checkpoint_begin(rt->config.state, &c->hdr.state);
	c->interval_pages = interval_pages_of(rt, c->hdr.state.logical_bytes);
	c->paced_page = cmdlog_page_end(rt->log, log_index);
}

/* Which slot to take is settled only when a base that was begun with is durable, for the older
 * checkpoint is of use as long as the log begins before it. */
static bool
is_slot_free(const struct runtime *rt)
{
	return !hold_by_transfer(rt) && !hold_slot_by_source(rt, checkpoint_slot_choose(rt)) &&
	       (rt->checkpoint.hurt == 0 || rt->reclaim.base_index == 0);
}

void
checkpoint_commit(struct runtime *rt, uint64_t log_index)
{
	struct state *state = rt->config.state;
	const uint64_t from = state_committed_index(state);
	uint64_t due = from;

	if (rt->checkpoint.phase == CHECKPOINT_IDLE && log_index > from && is_slot_free(rt) &&
	    is_due(rt, from, log_index)) {
		while (!is_due(rt, due, due + 1))
			due++;
		due++;
		INVARIANT(due <= log_index);
		if ((rt->config.core_bugs & CORE_BUG_CHECKPOINT_BEHIND) == 0)
			state_commit(state, due);
		/* A node that forgot may know the configuration of a later position only. */
		if (rt->members.config_index <= due)
			begin(rt, due);
	}
	if (log_index > state_committed_index(state))
		state_commit(state, log_index);
}

/* ---- writing ---- */

struct pace {
	uint64_t bytes;
	uint32_t entries;
};

static void
give_up(struct runtime *rt)
{
	struct checkpointer *c = &rt->checkpoint;

	state_checkpoint_end(rt->config.state);
	c->phase = CHECKPOINT_IDLE;
	c->ended++;
	c->failing++;
	/* The next one is sooner done with. */
	if (c->entries_max < UINT32_MAX / 8)
		c->entries_max *= 8;
}

bool
checkpoint_stand_aside(struct runtime *rt)
{
	struct checkpointer *c = &rt->checkpoint;

	if (c->phase == CHECKPOINT_CHUNKS && !c->is_writing)
		give_up(rt);
	return c->phase == CHECKPOINT_IDLE && rt->reclaim.base_index == 0;
}

static bool
queue(struct runtime *rt, uint64_t page, uint32_t pages)
{
	struct checkpointer *c = &rt->checkpoint;

	struct stripe_blob blob = storage_blob(rt, slot_page(rt, c->slot), page, c->buffer, pages);

	INVARIANT(!c->is_writing && storage_blob_end(rt, page + pages) <= c->slot_pages);
	blob.user = storage_user_make(USER_CHECKPOINT, 0, 0);
	if (stripe_store_blob_write(rt->store, &blob, rt->now_ns) != TERN_OK)
		return false;
	checkpoint_slot_begun(rt, c->slot);
	stripe_store_submit(rt->store);
	c->is_writing = true;
	return true;
}

static void
chunk_seal(struct runtime *rt)
{
	struct checkpointer *c = &rt->checkpoint;
	struct checkpoint_chunk chunk = {
		.cluster_id = c->hdr.cluster_id,
		.log_index = c->hdr.meta.log_index,
		.shard = c->hdr.shard,
		.number = c->hdr.chunk_count,
		.payload_bytes = c->fill,
	};

	c->pages = checkpoint_chunk_seal(c->buffer, &chunk);
	c->is_sealed = true;
	c->hdr.root = checkpoint_root_add(c->hdr.root, chunk.hash);
	c->hdr.stream_bytes += c->fill;
}

/* What one turn may do. A checkpoint is to be done with while half an interval of log is written:
 * the more of it each turn writes, the more the turn does. Without any it does little, for a
 * command that comes meanwhile waits. */
static struct pace
pace_of(struct runtime *rt)
{
	struct checkpointer *c = &rt->checkpoint;
	const struct checkpoint_state *state = &c->hdr.state;
	const uint64_t page = cmdlog_page_end(rt->log, cmdlog_stats(rt->log).last_index);
	const uint64_t grown = page > c->paced_page ? page - c->paced_page : 0;
	const uint64_t span = c->interval_pages / 4 * 3 + 1;
	const uint64_t entries = (state->key_count + state->session_count) * grown / span;

	c->paced_page = page;
	return (struct pace){
		.entries = (uint32_t)min_u64(c->entries_max + entries, UINT32_MAX),
		.bytes = c->entries_max == ENTRIES_MIN
			     ? TURN_BYTES + state->logical_bytes * grown / span
			     : UINT64_MAX,
	};
}

static bool
chunks_turn(struct runtime *rt)
{
	struct checkpointer *c = &rt->checkpoint;
	const uint64_t page = 1 + (uint64_t)c->hdr.chunk_count * CHECKPOINT_CHUNK_PAGES;

	if (c->is_writing)
		return false;
	if (c->is_sealed) {
		if (storage_blob_end(rt, page + c->pages) > c->slot_pages) {
			give_up(rt);
			return true;
		}
		/* The newest one may have come to harm since this one was begun. */
		if (c->hdr.chunk_count == 0)
			c->slot = slot_for_new(rt);
		return queue(rt, page, c->pages);
	}
	if (state_checkpoint_is_ended(rt->config.state)) {
		give_up(rt);
		return true;
	}
	const uint32_t room = CHECKPOINT_CHUNK_PAYLOAD_MAX - c->fill;
	const struct pace pace = pace_of(rt);
	c->fill += state_checkpoint_next(
	    rt->config.state, c->buffer + CHECKPOINT_CHUNK_HDR_BYTES + c->fill,
	    (uint32_t)min_u64(room, pace.bytes), pace.entries, &c->is_stream_done);
	if (c->fill == CHECKPOINT_CHUNK_PAYLOAD_MAX || c->is_stream_done)
		chunk_seal(rt);
	return true;
}

static void
header_make(struct runtime *rt)
{
	struct checkpointer *c = &rt->checkpoint;

	state_checkpoint_end(rt->config.state);
	checkpoint_hdr_encode(c->buffer, &c->hdr);
	c->phase = CHECKPOINT_HEADER;
}

/* Not before its last block is durable here: a start looks for it in the log. */
static bool
name_it(struct runtime *rt)
{
	struct checkpointer *c = &rt->checkpoint;
	struct superblock_checkpoint *record = &rt->superblock.shards[0].checkpoints[c->slot];
	struct cmdlog_base base;

	const bool is_there = cmdlog_base_at(rt->log, c->hdr.meta.log_index, &base);
	INVARIANT(is_there && hash128_equal(base.meta.chain, c->hdr.meta.chain));
	if (base.next_cell == UINT64_MAX)
		return false;
	*record = (struct superblock_checkpoint){
		.log_index = base.meta.log_index,
		.term = base.meta.term,
		.first_page = slot_page(rt, c->slot),
		.pages = checkpoint_pages(c->hdr.stream_bytes),
		.epoch = base.meta.epoch,
		.chain = base.meta.chain,
	};
	/* Nobody looks for one that is hurt, once this one is there. */
	c->hurt &= ~STRIPE_BIT(c->slot);
	c->torn &= ~STRIPE_BIT(c->slot);
	c->unread &= ~STRIPE_BIT(c->slot);
	if (c->hurt != 0)
		rt->superblock.shards[0].checkpoints[1 - c->slot] =
		    (struct superblock_checkpoint){ 0 };
	c->hurt = 0;
	rt->source.bad_index = 0;
	c->phase = CHECKPOINT_SUPERBLOCK;
	rt->meta.is_dirty = true;
	return true;
}

void
checkpoint_on_completion(struct runtime *rt)
{
	struct checkpointer *c = &rt->checkpoint;

	INVARIANT(c->is_writing);
	c->is_writing = false;
	if (c->phase == CHECKPOINT_HEADER) {
		c->phase = CHECKPOINT_LOG;
		return;
	}
	INVARIANT(c->phase == CHECKPOINT_CHUNKS && c->is_sealed);
	c->hdr.chunk_count++;
	c->fill = 0;
	c->is_sealed = false;
	if (c->is_stream_done)
		header_make(rt);
}

/* ---- the superblock that names what is new ---- */

void
checkpoint_superblock_begun(struct runtime *rt)
{
	rt->checkpoint.is_name_written = rt->checkpoint.phase == CHECKPOINT_SUPERBLOCK;
}

void
checkpoint_superblock_done(struct runtime *rt)
{
	struct checkpointer *c = &rt->checkpoint;

	if (!c->is_name_written)
		return;
	INVARIANT(c->phase == CHECKPOINT_SUPERBLOCK);
	c->phase = CHECKPOINT_IDLE;
	c->is_name_written = false;
	c->durable_ns = rt->now_ns;
	c->entries_max = ENTRIES_MIN;
	c->written++;
	c->failing = 0;
	note_named(rt);
	core_note_checkpoint(rt->core, &c->hdr.meta);
}

/* ---- one that is overdue ---- */

static bool
is_newest_hurt(const struct runtime *rt)
{
	return (rt->checkpoint.hurt & STRIPE_BIT(newest_slot(rt))) != 0;
}

static bool
is_overdue(const struct runtime *rt, uint64_t log_index)
{
	const struct checkpointer *c = &rt->checkpoint;
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);

	/* Where the newest one is hurt, one of the same position is as good. */
	if (is_newest_hurt(rt) && log_index == c->newest_index)
		return true;
	return log_index > c->newest_index &&
	       (c->hurt != 0 || stats.used_pages > stats.area_pages / 10 * 9 ||
		(loss_is_in_log(rt) && c->newest_index < rt->loss.index &&
		 log_index >= rt->loss.index));
}

/* Where one was due, the slot may have been held for a peer, or the last one not yet written. Once
 * the log takes no more commands nothing is ever due again: so a log that runs full gets one where
 * it stands. Not while what lies before is kept for a peer: it would never catch up with a log that
 * is written round faster than it can start. But for one that is hurt nobody has to wait. */
static bool
may_begin_overdue(const struct runtime *rt)
{
	const uint64_t log_index = state_committed_index(rt->config.state);

	return is_overdue(rt, log_index) && log_index > cmdlog_stats(rt->log).base_index &&
	       rt->reclaim.base_index == 0 && !hold_by_transfer(rt) &&
	       (hold_index(rt) == UINT64_MAX || is_newest_hurt(rt)) &&
	       !hold_slot_by_source(rt, checkpoint_slot_choose(rt)) &&
	       rt->members.config_index <= log_index;
}

static bool
overdue_turn(struct runtime *rt)
{
	if (!may_begin_overdue(rt))
		return false;
	begin(rt, state_committed_index(rt->config.state));
	return true;
}

bool
checkpoint_is_coming(const struct runtime *rt)
{
	const struct checkpointer *c = &rt->checkpoint;

	/* One that was given up may be given up again. */
	if (c->phase == CHECKPOINT_OFF || c->failing != 0)
		return false;
	return c->phase != CHECKPOINT_IDLE || may_begin_overdue(rt);
}

bool
checkpoint_turn(struct runtime *rt)
{
	struct checkpointer *c = &rt->checkpoint;
	bool has_worked = false;

	if (c->phase == CHECKPOINT_OFF || rt->is_storage_failed)
		return false;
	switch (c->phase) {
	case CHECKPOINT_CHUNKS:
		has_worked = chunks_turn(rt);
		break;
	case CHECKPOINT_HEADER:
		has_worked = !c->is_writing && queue(rt, 0, 1);
		break;
	case CHECKPOINT_LOG:
		has_worked = name_it(rt);
		break;
	case CHECKPOINT_IDLE:
		has_worked = overdue_turn(rt);
		break;
	case CHECKPOINT_OFF:
	case CHECKPOINT_SUPERBLOCK:
		break;
	}
	return has_worked;
}
