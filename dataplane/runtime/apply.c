/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

#define APPLY_READER CORE_NODES_MAX
/* Larger blocks fill most of a batch by themselves. */
#define SMALL_BLOCK_COMMANDS 8u

/* Commands decoded ahead, so that their cache lines are fetched together. */
struct batch {
	struct command commands[STATE_PREFETCH_MAX];
	uint32_t slots[STATE_PREFETCH_MAX];
	uint32_t count;
	bool is_last; /* the block has no more */
};

/* Fills @batch. A command that was gathered into the scratch buffer ends it: the next one would
 * overwrite its bytes. False: bytes that are no command. */
static bool
batch_fill(const struct runtime *rt, struct cmdlog_cursor *cursor, struct batch *batch)
{
	const uint8_t *bytes;
	uint32_t length;

	batch->count = 0;
	batch->is_last = false;
	while (batch->count < STATE_PREFETCH_MAX) {
		const uint32_t i = batch->count;

		if (!cmdlog_cursor_next(cursor, &bytes, &length, &batch->slots[i])) {
			batch->is_last = true;
			return true;
		}
		if (command_decode(bytes, length, &batch->commands[i]) != TERN_OK)
			return false;
		batch->count++;
		if (bytes == rt->scratch)
			return true;
	}
	return true;
}

static void
reply_batch(struct runtime *rt, const struct block_hdr *hdr, const struct batch *batch,
	    const struct reply *replies, uint32_t first, uint32_t end)
{
	const enum status_stage before = stage_enter(rt, STAGE_reply);

	for (uint32_t i = first; i < end; i++)
		client_write_done(rt, hdr->log_index, batch->slots[i], &replies[i], hdr->term);
	(void)stage_enter(rt, before);
}

/* Applies all, then answers all; but bytes in an answer are lent only until the next call. */
static void
apply_batch(struct runtime *rt, const struct block_hdr *hdr, const struct batch *batch)
{
	const bool is_twice = runtime_has_bug(rt, CORE_BUG_APPLY_TWICE) &&
			      cmdlog_resident(rt->log, hdr->log_index) == NULL;
	struct reply replies[STATE_PREFETCH_MAX];
	uint32_t answered = 0;

	for (uint32_t i = 0; i < batch->count; i++) {
		const struct state_position at = { hdr->log_index, batch->slots[i] };

		state_apply(rt->config.state, at, hdr->time_ns, &batch->commands[i], &replies[i]);
		if (is_twice && batch->is_last && i + 1 == batch->count)
			state_apply(rt->config.state,
				    (struct state_position){ at.log_index, at.slot + 1 },
				    hdr->time_ns, &batch->commands[i], &replies[i]);
		if (reply_has_data(&replies[i]) || i + 1 == batch->count) {
			reply_batch(rt, hdr, batch, replies, answered, i + 1);
			answered = i + 1;
		}
	}
}

/* Applies every command of one committed block. False: the block holds something that this build
 * does not know; applying stops and says so, it never skips. */
static bool
apply_block(struct runtime *rt, const uint8_t *block, const struct block_hdr *hdr,
	    struct cmdlog_cursor *cursor, uint32_t *commands)
{
	struct batch batch = { .is_last = false };

	INVARIANT(block != NULL);
	if (hdr->kind == BLOCK_CONFIG)
		return false;
	while (!batch.is_last) {
		if (!batch_fill(rt, cursor, &batch))
			return false;
		state_prefetch_batch(rt->config.state, batch.commands, batch.count);
		apply_batch(rt, hdr, &batch);
		*commands += batch.count;
	}
	return cursor->slot == cursor->command_count;
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
		rt->is_ahead_stopped = client_awaits_bytes(rt, log_index);
	}
	return !rt->is_ahead_stopped;
}

/* Applies block @log_index, if its bytes are at hand and the state machine has room. */
static bool
apply_next(struct runtime *rt, uint64_t log_index, uint32_t *commands)
{
	struct cmdlog_cursor cursor;
	struct block_hdr hdr;

	if (!state_may_publish(rt->config.state, log_index))
		return false;
	const uint8_t *block = reader_block(rt, &rt->apply_reader, APPLY_READER, log_index);
	if (block == NULL)
		return false;
	if (cmdlog_cursor_begin(&cursor, block, rt->scratch, rt->config.command_bytes_max, &hdr) !=
	    TERN_OK) {
		rt->is_apply_stopped = true;
		return false;
	}
	INVARIANT(hdr.log_index == log_index);
	if (!state_has_room(rt->config.state, (uint64_t)hdr.pages * PAGE_BYTES))
		return false;
	if (!apply_block(rt, block, &hdr, &cursor, commands)) {
		rt->is_apply_stopped = true;
		return false;
	}
	rt->applied_index = log_index;
	state_publish(rt->config.state, log_index);
	if (log_index <= rt->commit_index)
		checkpoint_commit(rt, log_index);
	return true;
}

/* The commands of a small block into @batch, for fetching only. False: it is none, or not at
 * hand. */
static bool
batch_add_small(const struct runtime *rt, uint64_t log_index, struct batch *batch)
{
	const uint8_t *block = cmdlog_resident(rt->log, log_index), *bytes;
	struct cmdlog_cursor cursor;
	struct block_hdr hdr;
	uint32_t length;

	if (block == NULL ||
	    cmdlog_cursor_begin(&cursor, block, rt->scratch, rt->config.command_bytes_max, &hdr) !=
		TERN_OK ||
	    hdr.command_count > SMALL_BLOCK_COMMANDS)
		return false;
	while (batch->count < STATE_PREFETCH_MAX &&
	       cmdlog_cursor_next(&cursor, &bytes, &length, &batch->slots[batch->count])) {
		if (bytes == rt->scratch ||
		    command_decode(bytes, length, &batch->commands[batch->count]) != TERN_OK)
			return false;
		batch->count++;
	}
	return true;
}

/* Fetches what the commands of the next small blocks touch: alone, each would wait for memory once
 * a block. Returns the first block that was not looked at. */
static uint64_t
prefetch_blocks(const struct runtime *rt, uint64_t first)
{
	const uint64_t last =
	    max_u64(rt->commit_index, min_u64(rt->memory_index, rt->memory_wanted));
	struct batch batch = { .count = 0 };
	uint64_t log_index = first;

	while (log_index <= last && batch.count < STATE_PREFETCH_MAX &&
	       log_index - first < STATE_PREFETCH_MAX && batch_add_small(rt, log_index, &batch))
		log_index++;
	if (log_index - first > 1)
		state_prefetch_batch(rt->config.state, batch.commands, batch.count);
	return max_u64(log_index, first + 1);
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
	client_release_held(rt);
	return true;
}

bool
apply_turn(struct runtime *rt)
{
	const bool has_committed = commit_applied(rt);
	const uint64_t before = rt->applied_index;
	uint64_t fetched_end = before + 1;
	uint32_t commands = 0;

	while (may_apply(rt, rt->applied_index + 1) && commands < RUNTIME_APPLY_COMMANDS_MAX &&
	       !rt->is_apply_stopped && rt->applied_index - before < RUNTIME_APPLY_COMMANDS_MAX) {
		if (rt->applied_index + 1 == fetched_end)
			fetched_end = prefetch_blocks(rt, fetched_end);
		if (!apply_next(rt, rt->applied_index + 1, &commands))
			break;
	}
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
