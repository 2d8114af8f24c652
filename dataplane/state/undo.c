/* SPDX-License-Identifier: Apache-2.0 */
/* The record of which entries got a version above the commit, in that order. */
#include "dataplane/base/invariant.h"
#include "dataplane/state/state_internal.h"

static struct undo_chunk *
chunk_append(struct state *state)
{
	struct undo_chunk *chunk = &state->undo_home;

	if (state->is_undo_home_used)
		chunk = state_alloc(state, sizeof(*chunk));
	else
		state->is_undo_home_used = true;
	chunk->first = state->undo_count;
	chunk->newer = NULL;
	chunk->older = state->undo_newest;
	if (chunk->older != NULL)
		chunk->older->newer = chunk;
	else
		state->undo_oldest = chunk;
	state->undo_newest = chunk;
	return chunk;
}

/* @chunk is the oldest or the newest. */
static void
chunk_drop(struct state *state, struct undo_chunk *chunk)
{
	if (chunk->older != NULL)
		chunk->older->newer = chunk->newer;
	else
		state->undo_oldest = chunk->newer;
	if (chunk->newer != NULL)
		chunk->newer->older = chunk->older;
	else
		state->undo_newest = chunk->older;
	if (chunk == &state->undo_home)
		state->is_undo_home_used = false;
	else
		arena_free(&state->arena, chunk);
}

void
undo_note(struct state *state, struct entry *entry)
{
	struct undo_chunk *chunk = state->undo_newest;

	if (chunk == NULL || state->undo_count - chunk->first == STATE_UNDO_CHUNK)
		chunk = chunk_append(state);
	chunk->entries[state->undo_count - chunk->first] = entry;
	state->undo_count++;
}

void
undo_forget(struct state *state, uint64_t count)
{
	INVARIANT(count <= state->undo_count);
	while (state->undo_oldest != NULL) {
		const struct undo_chunk *newer = state->undo_oldest->newer;
		if (count < (newer == NULL ? state->undo_count : newer->first))
			break;
		chunk_drop(state, state->undo_oldest);
	}
}

struct entry *
undo_take(struct state *state)
{
	struct undo_chunk *chunk = state->undo_newest;

	INVARIANT(chunk != NULL && chunk->first < state->undo_count);
	state->undo_count--;
	struct entry *entry = chunk->entries[state->undo_count - chunk->first];
	if (state->undo_count == chunk->first)
		chunk_drop(state, chunk);
	return entry;
}
