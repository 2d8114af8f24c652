/* SPDX-License-Identifier: Apache-2.0 */
/* How memory comes back: versions behind the floor at once, entries after a grace period. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/state_internal.h"

#define RELEASE_BURST 256u

/* The oldest position that a view reads at, now or after it has begun, and that rollback may need.
 * A reader that this misses has not yet looked at `committed` (or `published`, which is not older),
 * in the one order of these sequentially consistent accesses, and so will read at committed_stamp
 * or later. */
static uint64_t
floor_stamp(const struct state *state)
{
	uint64_t floor = min_u64(state->committed_stamp, state->checkpoint.pin);

	for (uint32_t i = 0; i < state->config.readers_max; i++)
		floor = min_u64(floor, atomic_load(&state->readers[i].pin));
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++)
		floor = min_u64(floor, atomic_load(&state->holds[i].pin));
	return floor;
}

/* Up to where versions may be reclaimed now. Positions can be taken hold of that are older than any
 * pin as long as nothing of them is gone: so it is said first, and pins are looked at once more. */
static uint64_t
reclaim_floor(struct state *state)
{
	const uint64_t floor = floor_stamp(state);

	if (state->queue_head == NULL || state->queue_head->stamp > floor)
		return floor;
	if (floor > atomic_load_explicit(&state->reclaimed, memory_order_relaxed))
		atomic_store(&state->reclaimed, floor);
	return min_u64(floor, floor_stamp(state));
}

void
reclaim_push(struct state *state, struct version *version)
{
	INVARIANT(version->older != NULL);
	INVARIANT(state->queue_tail == NULL || state->queue_tail->stamp <= version->stamp);
	if (state->queue_tail == NULL)
		state->queue_head = version;
	else
		state->queue_tail->queue_next = version;
	state->queue_tail = version;
	state->queue_pushed++;
	state->queued_since_turn++;
}

void
reclaim_cut(struct state *state, const struct publication *at)
{
	INVARIANT(state->queue_popped <= at->queue_pushed);
	INVARIANT(at->queue_pushed <= state->queue_pushed);
	if (at->queue_pushed == state->queue_popped) {
		state->queue_head = state->queue_tail = NULL;
	} else {
		state->queue_tail = at->queue_tail;
		state->queue_tail->queue_next = NULL;
	}
	state->queue_pushed = at->queue_pushed;
}

static void
version_free(struct state *state, struct version *version)
{
	arena_free_sized(&state->arena, version, version_size(version_stored_bytes(version)));
	state->versions_live--;
	state->versions_reclaimed++;
}

/* Frees what lies behind @version, which nobody will look at again. Bytes that it shares stay: from
 * now on they are its own, as those that @older shared were older's. */
static void
older_free(struct state *state, struct version *version)
{
	struct version *older = version->older;
	struct version *kept = version_is_shared(version) ? version_base(version) : NULL;
	struct version *base = version_base(older);

	INVARIANT(older->older == NULL);
	INVARIANT(kept == NULL || kept == base);
	if (base != older)
		version_free(state, older);
	if (base != kept)
		version_free(state, base);
	version->older = NULL;
}

void
reclaim_retire(struct state *state, struct version *version, struct entry *entry)
{
	version->retired_entry = entry;
	version->queue_next = state->retired;
	state->retired = version;
}

void
reclaim_retire_entry(struct state *state, struct entry *entry)
{
	const enum state_space space = (enum state_space)entry->space;
	const uint64_t hash = state_index_hash(state, space, entry_key(entry), entry->key_bytes);

	if (state->session_last == entry)
		state->session_last = NULL;
	index_remove(state, hash, entry);
	order_remove(&state->orders[space], entry);
	reclaim_retire(state, rcu_own(entry->newest), entry);
}

static void
queue_turn(struct state *state, uint64_t floor, uint64_t burst_max)
{
	for (uint64_t i = 0; i < burst_max; i++) {
		struct version *version = state->queue_head;
		if (version == NULL || version->stamp > floor)
			break;
		state->queue_head = version->queue_next;
		if (state->queue_head == NULL)
			state->queue_tail = NULL;
		state->queue_popped++;
		older_free(state, version);
		if (version_type(version) == STATE_NONE &&
		    rcu_own(version->entry->newest) == version)
			reclaim_retire_entry(state, version->entry);
	}
}

static void
release_turn(struct state *state, uint64_t burst_max)
{
	for (uint64_t i = 0; i < burst_max && state->releasing != NULL; i++) {
		struct version *version = state->releasing;
		state->releasing = version->queue_next;
		if (version->retired_entry != NULL)
			arena_free(&state->arena, version->retired_entry);
		version_free(state, version);
	}
}

static bool
is_view_open(const struct state *state)
{
	for (uint32_t i = 0; i < state->config.readers_max; i++) {
		if (atomic_load(&state->readers[i].pin) != UINT64_MAX)
			return true;
	}
	return false;
}

/* Retired versions -> control thread -> back, one batch under way at a time. */
static void
retired_turn(struct state *state)
{
	if (state->releasing != NULL)
		return;
	state->releasing = atomic_exchange_explicit(&state->done, NULL, memory_order_acquire);
	if (state->retired == NULL)
		return;
	if (!state->has_readers) {
		if (state->releasing == NULL && !is_view_open(state)) {
			state->releasing = state->retired;
			state->retired = NULL;
		}
		return;
	}
	if (atomic_load_explicit(&state->handed, memory_order_acquire) != NULL)
		return;
	atomic_store_explicit(&state->handed, state->retired, memory_order_release);
	state->retired = NULL;
}

bool
reclaim_is_due(const struct state *state)
{
	return state->queue_head != NULL || state->retired != NULL || state->releasing != NULL ||
	       atomic_load_explicit(&state->handed, memory_order_relaxed) != NULL ||
	       atomic_load_explicit(&state->done, memory_order_relaxed) != NULL;
}

/* Views that keep the last eighth of the arena from being free are asked to end: scans stop, and
 * their owners begin again at a newer view. So are those beside which there would soon be no room
 * for what is applied: a block that waits for room asks again each turn, and waits for no owner. */
static void
crowd_turn(struct state *state, uint64_t floor)
{
	const uint64_t pages_count = state->arena.pages_count;
	const uint64_t wanted = max_u64(
	    pages_count / 8,
	    state->room.pages_wanted == 0 ? 0 : state->room.pages_wanted + pages_count / 64);

	state->room.pages_wanted = 0;
	if (state->arena.pages_free < wanted)
		arena_settle(&state->arena);
	if (state->arena.pages_free >= wanted || floor == state->committed_stamp ||
	    state->queue_head == NULL)
		return;
	if (state->checkpoint.pin == floor && !state->checkpoint.is_ended) {
		state->checkpoint.is_ended = true;
		state->views_ended++;
	}
	for (uint32_t i = 0; i < state->config.readers_max; i++) {
		struct state_reader *reader = &state->readers[i];
		if (atomic_load(&reader->pin) == floor && !atomic_exchange(&reader->is_ended, true))
			state->views_ended++;
	}
	/* Nobody stands on what a hold alone keeps: it is simply taken back. */
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		uint64_t pin = floor;
		if (atomic_compare_exchange_strong(&state->holds[i].pin, &pin, UINT64_MAX))
			state->views_ended++;
	}
}

void
state_reclaim_turn(struct state *state, bool has_readers)
{
	const uint64_t floor = reclaim_floor(state);

	INVARIANT(floor <= state->committed_stamp);
	INVARIANT(state->committed_stamp <= state->published_stamp);
	state->has_readers = has_readers;
	queue_turn(state, floor, 2 * state->queued_since_turn + RELEASE_BURST);
	state->queued_since_turn = 0;
	retired_turn(state);
	release_turn(state, has_readers ? 4 * RELEASE_BURST : UINT64_MAX);
	crowd_turn(state, floor);
}

bool
state_grace_period(struct state *state)
{
	struct version *batch = atomic_load_explicit(&state->handed, memory_order_acquire);

	/* The writer has not yet taken the last batch back: nothing to do until then. */
	if (batch == NULL || atomic_load_explicit(&state->done, memory_order_acquire) != NULL)
		return false;
	state_rcu_wait(state);
	atomic_store_explicit(&state->done, batch, memory_order_release);
	atomic_store_explicit(&state->handed, NULL, memory_order_release);
	return true;
}

/* Not from state_alloc: it may free the very entry that a command is about to write. */
void
reclaim_urgent(struct state *state)
{
	queue_turn(state, reclaim_floor(state), UINT64_MAX);
	release_turn(state, UINT64_MAX);
	retired_turn(state);
	release_turn(state, UINT64_MAX);
	arena_settle(&state->arena);
}

void *
state_alloc(struct state *state, uint64_t bytes)
{
	void *object = arena_alloc(&state->arena, bytes);

	/* state_fits_block: what is live and one block fit; state_has_room: what is neither may
	 * be there only as long as the block fits beside it. */
	INVARIANT(object != NULL);
	return object;
}
