/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

#define APPLY_READER CORE_NODES_MAX

static_assert(CMDLOG_BLOCK_BYTES_TARGET / COMMAND_HDR_BYTES <= COMMAND_ARGS_MAX,
	      "what state_has_room takes for granted: a larger block is one command, and the "
	      "rest of its last page");

/* Commands of one block in a batch: up to @end of the batch's commands. */
struct part {
	uint64_t log_index, time_ns, term;
	uint32_t pages, end;
	bool is_first, is_last; /* of its block */
	bool is_config, moves_ids;
};

/* Commands decoded ahead, of as many blocks as fit, so that their cache lines are fetched together:
 * alone, each small block would wait for memory. */
struct batch {
	struct command commands[STATE_PREFETCH_MAX];
	uint32_t slots[STATE_PREFETCH_MAX];
	struct part parts[STATE_PREFETCH_MAX];
	uint32_t count, part_count;
	struct membership members; /* of a CONFIG block, which is a batch by itself */
};

/* Where decoding is, ahead of what was applied. */
struct feed {
	struct cmdlog_cursor cursor;
	struct part part; /* of the block under way */
	uint64_t next_index;
	uint32_t blocks_left, commands_left;
	bool is_open; /* the cursor is inside block next_index - 1 */
	bool is_bad;  /* what follows is not understood by this build */
};

/* A configuration is not applied before it is committed, so rt->members needs no way back. */
static bool
is_config(const struct runtime *rt, uint64_t log_index)
{
	struct block_meta meta;

	return cmdlog_meta(rt->log, log_index, &meta) && meta.kind == BLOCK_CONFIG;
}

/* A master applies ahead of commit_index for the sake of class memory, and not past a durable
 * command whose reply could not be kept until its commit; replicas never do. */
static bool
may_apply(struct runtime *rt, uint64_t log_index)
{
	if (log_index <= rt->commit_index)
		return true;
	if (log_index > min_u64(rt->memory_index, rt->memory_wanted))
		return false;
	if (rt->ahead_checked != log_index) {
		rt->ahead_checked = log_index;
		rt->is_ahead_stopped =
		    answer_awaits_bytes(rt, log_index) || is_config(rt, log_index);
	}
	return !rt->is_ahead_stopped;
}

/* A configuration holds for all that is applied behind it, so it is a batch by itself. */
static void
batch_add_config(struct feed *feed, struct batch *batch, const uint8_t *block)
{
	struct membership before;

	INVARIANT(batch->part_count == 0);
	if (membership_of_block(block, &batch->members, &before) != TERN_OK) {
		feed->is_bad = true;
		return;
	}
	batch->parts[batch->part_count++] = feed->part;
	batch->parts[0].is_last = batch->parts[0].is_config = true;
	feed->is_open = false;
}

/* Opens the next block, if it may be applied and its bytes are at hand. What is read back from the
 * device may be written over when the next block is asked for, so only when no command waits in the
 * batch is a block looked for beyond the ring. False: nothing can be added to @batch. */
static bool
feed_open(struct runtime *rt, struct feed *feed, struct batch *batch)
{
	const uint64_t log_index = feed->next_index;
	const bool is_first = batch->part_count == 0;
	struct block_hdr hdr;

	if (feed->is_bad || feed->blocks_left == 0 || feed->commands_left == 0 ||
	    !may_apply(rt, log_index))
		return false;
	const uint8_t *block = is_first
				   ? reader_block(rt, &rt->apply_reader, APPLY_READER, log_index)
				   : cmdlog_resident(rt->log, log_index);
	if (block == NULL)
		return false;
	if (cmdlog_cursor_begin(&feed->cursor, block, rt->scratch,
				runtime_scratch_bytes(&rt->config), &hdr) != TERN_OK) {
		feed->is_bad = true;
		return false;
	}
	if (hdr.kind == BLOCK_CONFIG && !is_first)
		return false; /* the next batch */
	INVARIANT(hdr.log_index == log_index);
	feed->part = (struct part){ .log_index = log_index,
				    .time_ns = hdr.time_ns,
				    .term = hdr.term,
				    .pages = hdr.pages,
				    .is_first = true,
				    .moves_ids = hdr.machine_version >= BLOCK_RULES_IDS };
	feed->is_open = true;
	feed->next_index++;
	feed->blocks_left--;
	if (hdr.kind == BLOCK_CONFIG)
		batch_add_config(feed, batch, block);
	return feed->is_open && !feed->is_bad;
}

/* Adds commands of the open block to @batch. False: the batch has its end with them, for the last
 * one was gathered into the scratch buffer, where the next one would overwrite its bytes, or there
 * is no room, or they are followed by what is no command. */
static bool
batch_add(const struct runtime *rt, struct feed *feed, struct batch *batch)
{
	struct part *part = &batch->parts[batch->part_count++];
	const uint8_t *bytes = NULL;
	uint32_t length;

	*part = feed->part;
	feed->part.is_first = false;
	while (batch->count < STATE_PREFETCH_MAX && bytes != rt->scratch) {
		const uint32_t i = batch->count;

		if (!cmdlog_cursor_next(&feed->cursor, &bytes, &length, &batch->slots[i])) {
			feed->is_open = false;
			part->is_last = feed->cursor.slot == feed->cursor.command_count;
			feed->is_bad = !part->is_last;
			break;
		}
		if (command_decode(bytes, length, &batch->commands[i]) != TERN_OK) {
			feed->is_open = false;
			feed->is_bad = true;
			break;
		}
		batch->count++;
		feed->commands_left -= feed->commands_left != 0;
	}
	part->end = batch->count;
	return !feed->is_open && !feed->is_bad && bytes != rt->scratch;
}

/* False: there is nothing to apply. */
static bool
batch_fill(struct runtime *rt, struct feed *feed, struct batch *batch)
{
	batch->count = batch->part_count = 0;
	while (batch->part_count < STATE_PREFETCH_MAX && batch->count < STATE_PREFETCH_MAX &&
	       (feed->is_open || feed_open(rt, feed, batch)) && batch_add(rt, feed, batch))
		;
	return batch->part_count != 0;
}

static void
reply_batch(struct runtime *rt, const struct part *part, const struct batch *batch,
	    const struct reply *replies, uint32_t first, uint32_t end)
{
	const enum status_stage before = stage_enter(rt, STAGE_reply);

	for (uint32_t i = first; i < end; i++)
		answer_write_done(rt, part->log_index, batch->slots[i], &replies[i], part->term);
	(void)stage_enter(rt, before);
}

/* Applies all, then answers all; but bytes in an answer are lent only until the next call. */
static void
apply_part(struct runtime *rt, const struct batch *batch, uint32_t first, const struct part *part)
{
	const bool is_twice = runtime_has_bug(rt, CORE_BUG_APPLY_TWICE) &&
			      cmdlog_resident(rt->log, part->log_index) == NULL;
	struct reply replies[STATE_PREFETCH_MAX];
	uint32_t answered = first;

	for (uint32_t i = first; i < part->end; i++) {
		const struct state_position at = { part->log_index, batch->slots[i] };

		state_apply(rt->config.state, at, part->time_ns, &batch->commands[i], &replies[i]);
		if (is_twice && part->is_last && i + 1 == part->end)
			state_apply(rt->config.state,
				    (struct state_position){ at.log_index, at.slot + 1 },
				    part->time_ns, &batch->commands[i], &replies[i]);
		if (reply_has_data(&replies[i]) || i + 1 == part->end) {
			reply_batch(rt, part, batch, replies, answered, i + 1);
			answered = i + 1;
		}
	}
}

/* A configuration, which is committed: applied at its place in the log, by every node. */
static void
apply_config(struct runtime *rt, const struct part *part, const struct membership *members)
{
	INVARIANT(part->log_index <= rt->commit_index);
	rt->members = *members;
	if (part->moves_ids && members->begins.number != 0)
		state_begin_generation(rt->config.state, members->begins.number);
}

/* Applies block after block, as long as the state machine has room. False: it has none now; what
 * was decoded is decoded again in a later turn. */
static bool
apply_batch(struct runtime *rt, const struct batch *batch, uint32_t *commands)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < batch->part_count; i++) {
		const struct part *part = &batch->parts[i];

		if (part->is_first &&
		    (!state_may_publish(rt->config.state, part->log_index) ||
		     !state_has_room(rt->config.state, (uint64_t)part->pages * PAGE_BYTES)))
			return false;
		apply_part(rt, batch, first, part);
		*commands += part->end - first;
		first = part->end;
		if (!part->is_last)
			continue;
		rt->applied_index = part->log_index;
		if (part->is_config)
			apply_config(rt, part, &batch->members);
		state_publish(rt->config.state, part->log_index);
		if (part->log_index <= rt->commit_index)
			checkpoint_commit(rt, part->log_index);
	}
	return true;
}

/* What was applied ahead and is committed by now. */
static bool
commit_applied(struct runtime *rt)
{
	const uint64_t index = min_u64(rt->applied_index, rt->commit_index);

	if (state_committed_index(rt->config.state) >= index)
		return false;
	checkpoint_commit(rt, index);
	cmdlog_set_applied(rt->log, index);
	answer_release_held(rt);
	return true;
}

bool
apply_turn(struct runtime *rt)
{
	const bool has_committed = commit_applied(rt);
	const uint64_t before = rt->applied_index;
	struct feed feed = { .next_index = before + 1,
			     .blocks_left = RUNTIME_APPLY_COMMANDS_MAX,
			     .commands_left = RUNTIME_APPLY_COMMANDS_MAX };
	struct batch batch; /* large: what is not used is not cleared */
	uint32_t commands = 0;
	bool has_room = !rt->is_apply_stopped;

	while (has_room && batch_fill(rt, &feed, &batch)) {
		/* One command alone would wait at once for what it asks for. */
		if (batch.count > 1)
			state_prefetch_batch(rt->config.state, batch.commands, batch.count);
		has_room = apply_batch(rt, &batch, &commands);
	}
	/* All before it was applied. It stops and says so, it never skips. */
	if (has_room && feed.is_bad)
		rt->is_apply_stopped = true;
	if (rt->applied_index == before)
		return has_committed;
	rt->commands_applied += commands;
	/* The ring keeps what may be rolled back. */
	cmdlog_set_applied(rt->log, min_u64(rt->applied_index, rt->commit_index));
	const struct core_event event = { .kind = CORE_EVENT_APPLIED,
					  .now_ns = rt->now_ns,
					  .index = rt->applied_index };
	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
	return true;
}
