/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/state/checkpoint.h"

static uint64_t
slot_page(const struct runtime *rt)
{
	return rt->superblock.checkpoint_first_page +
	       (uint64_t)rt->transfer.slot * rt->checkpoint.slot_pages;
}

/* Something came lately. */
static bool
is_answered(const struct runtime *rt)
{
	return rt->now_ns - rt->transfer.heard_ns <
	       RUNTIME_TRANSFER_PATIENCE * rt->config.resend_ns;
}

bool
transfer_is_busy(const struct runtime *rt)
{
	const struct transfer *t = &rt->transfer;

	return t->is_in_flight || t->is_dirty || t->is_being_written ||
	       (t->phase == TRANSFER_FETCH && is_answered(rt)) || rt->source.is_wanted ||
	       rt->source.is_reading;
}

uint64_t
transfer_deadline_ns(const struct runtime *rt)
{
	const struct transfer *t = &rt->transfer;

	if (t->phase != TRANSFER_FETCH || rt->is_storage_failed)
		return UINT64_MAX;
	return (t->asked_ns != 0 ? t->asked_ns : rt->now_ns) + rt->config.resend_ns;
}

void
transfer_drop(struct runtime *rt)
{
	if (rt->transfer.phase != TRANSFER_NAME && !runtime_has_bug(rt, CORE_BUG_INSTALL_OVER_TAIL))
		rt->transfer.phase = TRANSFER_NONE;
}

/* ---- beginning ---- */

static bool
is_same(const struct block_meta *a, const struct block_meta *b)
{
	return a->log_index == b->log_index && hash128_equal(a->chain, b->chain);
}

static void
part_open(struct runtime *rt, uint32_t part, uint32_t pages)
{
	struct transfer *t = &rt->transfer;

	t->part = part;
	t->pages = pages;
	t->units = part_units(pages);
	t->have_count = t->asked_first = t->asked_end = 0;
	t->asked_ns = 0;
	memset(t->have, 0, sizeof(t->have));
	t->phase = TRANSFER_FETCH;
}

void
transfer_install(struct runtime *rt, const struct core_effect *effect)
{
	struct transfer *t = &rt->transfer;

	if (!storage_has_checkpoints(rt) || effect->block.log_index == t->refused_index) {
		t->refused++;
		return;
	}
	/* Told again as long as it is wanted. */
	if (loss_is_mendable(rt))
		return;
	if (t->phase != TRANSFER_NONE && is_same(&t->meta, &effect->block)) {
		t->node = effect->node; /* another master has it as well */
		return;
	}
	/* One that makes progress is not given up for a later one. */
	if (t->phase >= TRANSFER_SEAL || (t->phase != TRANSFER_NONE && is_answered(rt)))
		return;
	t->phase = TRANSFER_WAIT;
	t->node = effect->node;
	t->meta = effect->block;
	t->heard_ns = rt->now_ns;
	t->is_fresh = false;
	t->export_next = 0;
}

static bool
wait_turn(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;

	if (t->is_in_flight || !checkpoint_stand_aside(rt))
		return false;
	t->slot = checkpoint_slot_choose(rt);
	part_open(rt, 0, 1);
	return true;
}

/* ---- asking ---- */

static bool
has_unit(const struct transfer *t, uint32_t unit)
{
	return (t->have[unit / 64] >> unit % 64 & 1) != 0;
}

/* Asks for the first run of units that are missing, once what was asked for before is there, or has
 * not come in time. */
static bool
ask(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;
	uint32_t first = t->asked_first, end;

	while (first < t->units && has_unit(t, first))
		first++;
	const bool is_pending = t->asked_ns != 0 && first < t->asked_end;
	if (first == t->units || rt->link.data.ops == NULL ||
	    (is_pending && rt->now_ns - t->asked_ns < rt->config.resend_ns))
		return false;
	for (end = first; end < t->units && end - first < RUNTIME_TRANSFER_UNITS_MAX; end++)
		if (has_unit(t, end))
			break;
	t->asked_first = first;
	t->asked_end = end;
	t->asked_ns = rt->now_ns;
	const struct part_ask what = {
		.id = { t->meta.log_index, t->meta.chain, t->part },
		.unit_first = first,
		.unit_count = end - first,
	};
	return want_send(rt, t->node, &what);
}

void
transfer_on_part(struct runtime *rt, const struct frame_hdr *hdr, const uint8_t *body)
{
	struct transfer *t = &rt->transfer;
	struct part_hdr part;

	if (part_hdr_decode(body, hdr->body_bytes, &part) != TERN_OK) {
		rt->link.drops.malformed++;
		return;
	}
	if (part.id.part == PART_OF_BLOCK) {
		if (!refill_on_part(rt, hdr, &part, body + PART_HDR_BYTES) &&
		    !pull_on_part(rt, hdr, &part, body + PART_HDR_BYTES))
			mend_on_part(rt, hdr, &part, body + PART_HDR_BYTES);
		return;
	}
	if (t->phase != TRANSFER_FETCH || t->is_in_flight || hdr->sender != t->node ||
	    part.id.log_index != t->meta.log_index ||
	    !hash128_equal(part.id.chain, t->meta.chain) || part.id.part != t->part ||
	    part.pages != t->pages) {
		rt->link.drops.part_unwanted++;
		return;
	}
	t->heard_ns = rt->now_ns;
	if (has_unit(t, part.unit)) {
		rt->link.drops.part_unwanted++;
		return;
	}
	memcpy(rt->checkpoint.buffer + (size_t)part.unit * PART_UNIT_BYTES, body + PART_HDR_BYTES,
	       part.bytes);
	t->have[part.unit / 64] |= UINT64_C(1) << part.unit % 64;
	t->have_count++;
}

/* ---- parts ---- */

/* False: the store has enough to do, or has stopped; the next turn tries again. */
static bool
queue(struct runtime *rt, enum disk_request_kind kind, uint64_t page, uint32_t pages)
{
	struct transfer *t = &rt->transfer;
	struct stripe_blob blob =
	    storage_blob(rt, slot_page(rt), page, rt->checkpoint.buffer, pages);

	INVARIANT(!t->is_in_flight &&
		  storage_blob_end(rt, page + pages) <= rt->checkpoint.slot_pages);
	blob.user = storage_user_make(USER_TRANSFER, 0, 0);
	const enum tern_err err = kind == DISK_READ
				      ? stripe_store_blob_read(rt->store, &blob, 0, rt->now_ns)
				      : stripe_store_blob_write(rt->store, &blob, rt->now_ns);
	if (err != TERN_OK)
		return false;
	if (kind == DISK_WRITE)
		checkpoint_slot_begun(rt, t->slot);
	stripe_store_submit(rt->store);
	t->is_in_flight = true;
	return true;
}

/* Nothing is written over what lies in the slot if that has become the only one that is whole since
 * it was chosen. */
static bool
write_turn(struct runtime *rt, uint64_t page, uint32_t pages)
{
	struct transfer *t = &rt->transfer;

	if (t->is_in_flight)
		return false;
	if (!checkpoint_is_torn(rt, t->slot) && checkpoint_slot_choose(rt) != t->slot &&
	    !runtime_has_bug(rt, CORE_BUG_INSTALL_EARLY)) {
		t->phase = TRANSFER_WAIT;
		return true;
	}
	return queue(rt, DISK_WRITE, page, pages);
}

static void
part_bad(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;

	t->parts_bad++;
	part_open(rt, t->part, t->pages);
}

static bool
is_chunk_good(struct runtime *rt, struct checkpoint_chunk *chunk)
{
	const struct transfer *t = &rt->transfer;

	return checkpoint_chunk_open(rt->checkpoint.buffer, t->pages, chunk) == TERN_OK &&
	       chunk->cluster_id == rt->superblock.cluster_id && chunk->shard == rt->config.shard &&
	       chunk->log_index == t->meta.log_index && chunk->number == t->part - 1;
}

/* What follows a part that is in its place. */
static void
next_part(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;

	if (t->part == t->hdr.chunk_count) {
		if (hash128_equal(t->root, t->hdr.root)) {
			checkpoint_hdr_encode(rt->checkpoint.buffer, &t->hdr);
			t->phase = TRANSFER_SEAL;
			return;
		}
		/* Chunks of two checkpoints: none of them is believed. */
		t->parts_bad++;
		t->is_fresh = true;
		t->part = 0;
	}
	if (t->part == 0)
		t->root = (struct hash128){ 0 };
	const uint32_t part = t->part + 1;
	part_open(rt, part, part_pages(checkpoint_pages(t->hdr.stream_bytes), part));
	if (!t->is_fresh)
		t->phase = TRANSFER_LOOK;
}

/* The header is what the master's core named, and this node can hold all of it. */
static void
take_header(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;
	const struct checkpoint_hdr *hdr = &t->hdr;

	if (checkpoint_hdr_decode(rt->checkpoint.buffer, &t->hdr) != TERN_OK ||
	    hdr->cluster_id != rt->superblock.cluster_id || hdr->shard != rt->config.shard ||
	    hdr->meta.log_index != t->meta.log_index || hdr->meta.term != t->meta.term ||
	    hdr->meta.epoch != t->meta.epoch || hdr->meta.kind != t->meta.kind ||
	    !hash128_equal(hdr->meta.chain, t->meta.chain)) {
		part_bad(rt);
		return;
	}
	/* It would not start with voters that it does not know. */
	if (storage_blob_end(rt, checkpoint_pages(hdr->stream_bytes)) > rt->checkpoint.slot_pages ||
	    !peers_are_known(rt, hdr->voters, hdr->witness_id) ||
	    hdr->machine_version > CMDLOG_MACHINE_VERSION ||
	    !state_restore_fits(rt->config.state, &hdr->state)) {
		t->refused_index = t->meta.log_index;
		t->refused++;
		t->phase = TRANSFER_NONE;
		return;
	}
	next_part(rt);
	if (runtime_has_bug(rt, CORE_BUG_INSTALL_EARLY))
		transfer_name(rt);
}

static void
take_chunk(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;
	struct checkpoint_chunk chunk;

	if (!is_chunk_good(rt, &chunk)) {
		if (!runtime_has_bug(rt, CORE_BUG_INSTALL_UNCHECKED)) {
			part_bad(rt);
			return;
		}
		t->root = t->hdr.root;
	} else {
		t->root = checkpoint_root_add(t->root, chunk.hash);
	}
	if (runtime_has_bug(rt, CORE_BUG_INSTALL_UNCHECKED) && t->part == t->hdr.chunk_count)
		t->root = t->hdr.root;
	t->parts_taken++;
	t->phase = TRANSFER_WRITE;
}

static bool
fetch_turn(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;

	if (t->is_in_flight)
		return false; /* of one that was dropped */
	if (t->have_count != t->units)
		return ask(rt);
	if (t->part == 0)
		take_header(rt);
	else
		take_chunk(rt);
	return true;
}

/* What was found in the slot. With parity it may be readable and yet lack columns: then it is
 * written again, so that it bears a loss like all else. */
static void
look_end(struct runtime *rt, bool is_readable)
{
	struct transfer *t = &rt->transfer;
	struct checkpoint_chunk chunk;

	if (!is_readable || !is_chunk_good(rt, &chunk)) {
		t->is_fresh = true;
		part_open(rt, t->part, t->pages);
		return;
	}
	t->root = checkpoint_root_add(t->root, chunk.hash);
	t->parts_found++;
	if (runtime_geometry(rt).m != 0)
		t->phase = TRANSFER_WRITE;
	else
		next_part(rt);
}

void
transfer_on_completion(struct runtime *rt, enum tern_err err)
{
	struct transfer *t = &rt->transfer;

	INVARIANT(t->is_in_flight);
	t->is_in_flight = false;
	if (t->phase == TRANSFER_LOOK) {
		look_end(rt, err == TERN_OK);
	} else if (t->phase == TRANSFER_WRITE) {
		next_part(rt);
	} else if (t->phase == TRANSFER_SEAL) {
		t->phase = TRANSFER_TAIL;
	}
}

/* ---- the end ---- */

/* All that was received is durable, so that it can be read back, and what is not known to be
 * committed is saved: who does that takes it from the ring when it is, and not before. Where the
 * log leaves the master's history nobody can tell any more: the saved part may begin before. */
static bool
tail_is_saved(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);

	if (rt->cut.is_pending || cmdlog_groups_in_flight(rt->log) != 0 ||
	    stats.durable_index < stats.last_index)
		return false;
	if (t->export_next == 0 || t->export_last != stats.last_index) {
		t->export_next = max_u64(rt->commit_index, stats.base_index) + 1;
		t->export_last = stats.last_index;
	}
	return divergent_export(rt, &t->export_next, stats.last_index, core_view(rt->core)->term) &&
	       (rt->config.divergent == NULL || ring_is_empty(rt->config.divergent));
}

static bool
tail_turn(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;
	const struct core_event event = { .kind = CORE_EVENT_INSTALL,
					  .now_ns = rt->now_ns,
					  .block = t->meta };

	if (!tail_is_saved(rt))
		return false;
	const enum tern_err err = dispatch(rt, &event);
	if (err == TERN_ERR_BUSY)
		return false;
	if (err == TERN_OK)
		transfer_name(rt);
	else
		t->phase = TRANSFER_NONE;
	return true;
}

/* The CONFIG blocks up to there are not in the log any more. What a node that forgot knows already
 * may be later. */
static void
name_members(struct shard_record *shard, const struct checkpoint_hdr *hdr)
{
	if (hdr->config_index < shard->config_index)
		return;
	shard->config_index = hdr->config_index;
	shard->voters = hdr->voters;
	shard->learners = hdr->learners;
	shard->witness_id = hdr->witness_id;
	shard->witness_gen = hdr->witness_gen;
}

void
transfer_name(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;
	struct shard_record *shard = &rt->superblock.shards[0];
	const struct checkpoint_hdr *hdr = &t->hdr;

	shard->checkpoints[1 - t->slot] = (struct superblock_checkpoint){ 0 };
	shard->checkpoints[t->slot] = (struct superblock_checkpoint){
		.log_index = hdr->meta.log_index,
		.term = hdr->meta.term,
		.first_page = slot_page(rt),
		.pages = checkpoint_pages(hdr->stream_bytes),
		.epoch = hdr->meta.epoch,
		.chain = hdr->meta.chain,
	};
	name_members(shard, hdr);
	/* Nothing that was ever written lies there. */
	shard->base = checkpoint_base(hdr, cmdlog_stats(rt->log).end_cell);
	floor_drop(rt);
	if (rt->is_damaged)
		shard->join = SUPERBLOCK_FORGETFUL;
	t->is_dirty = true;
	if (t->phase == TRANSFER_TAIL) {
		t->phase = TRANSFER_NAME;
		t->is_last_write = true;
	}
}

/* Whoever need not have answered may have heard of a later start than the answers say: a learner,
 * or a witness that only observes, which would drop all that this node sends for an old start's.
 * Starts are counted up by one, and take seconds, so that the seconds since 1970 lie above all that
 * it can have had. 0: the clock says nothing of use, or would leave no numbers for later starts. */
static uint32_t
boot_no_by_clock(const struct runtime *rt)
{
	const struct clock_port *clock = &rt->config.clock;
	const uint64_t now_s = clock->ops->wall_ns(clock->clock) / 1000000000u;

	return now_s <= INT32_MAX ? (uint32_t)now_s : 0;
}

void
transfer_rejoin(struct runtime *rt, const struct core_effect *effect)
{
	struct shard_record *shard = &rt->superblock.shards[0];

	INVARIANT(shard->join == SUPERBLOCK_REJOINING);
	shard->join = SUPERBLOCK_FORGETFUL;
	shard->term = effect->term;
	shard->voted_for = effect->voted_for;
	shard->config_index = effect->members.config_index;
	shard->voters = effect->members.voters;
	shard->learners = effect->members.learners;
	shard->witness_id = effect->members.witness_id;
	shard->witness_gen = effect->members.witness_gen;
	rt->superblock.boot_no =
	    max_u32(max_u32(rt->superblock.boot_no, (uint32_t)effect->index), boot_no_by_clock(rt));
	rt->transfer.phase = TRANSFER_NAME;
	rt->transfer.is_dirty = rt->transfer.is_last_write = true;
}

bool
transfer_wants_superblock(const struct runtime *rt)
{
	return rt->transfer.is_dirty;
}

void
transfer_superblock_begun(struct runtime *rt)
{
	rt->transfer.is_being_written = rt->transfer.is_dirty;
	rt->transfer.is_dirty = false;
	repair_superblock_begun(rt);
}

bool
transfer_superblock_done(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;

	if (!t->is_being_written)
		return false;
	t->is_being_written = false;
	repair_superblock_done(rt);
	return t->is_last_write;
}

/* A node that forgot holds it all again, and does not forget that. What the superblock says in its
 * last write is for the next incarnation. */
static void
note_whole(struct runtime *rt)
{
	struct shard_record *shard = &rt->superblock.shards[0];

	if (rt->transfer.is_last_write || shard->join != SUPERBLOCK_FORGETFUL ||
	    core_view(rt->core)->is_forgetful)
		return;
	shard->join = SUPERBLOCK_MEMBER;
	rt->is_damaged = false;
	rt->transfer.is_dirty = true;
}

bool
transfer_turn(struct runtime *rt)
{
	struct transfer *t = &rt->transfer;

	if (rt->is_storage_failed)
		return false;
	note_whole(rt);
	switch (t->phase) {
	case TRANSFER_WAIT:
		return wait_turn(rt);
	case TRANSFER_LOOK:
		return !t->is_in_flight && queue(rt, DISK_READ, part_first_page(t->part), t->pages);
	case TRANSFER_FETCH:
		return fetch_turn(rt);
	case TRANSFER_WRITE:
		return write_turn(rt, part_first_page(t->part), t->pages);
	case TRANSFER_SEAL:
		return write_turn(rt, 0, 1);
	case TRANSFER_TAIL:
		return tail_turn(rt);
	case TRANSFER_NONE:
	case TRANSFER_NAME:
		break;
	}
	return false;
}
