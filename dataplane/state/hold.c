/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/state/hold.h"

#include "dataplane/base/invariant.h"
#include "dataplane/state/state_internal.h"

static uint32_t
place_take(struct state *state)
{
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++)
		if (!atomic_exchange(&state->holds[i].is_taken, true))
			return i;
	return STATE_HOLDS_MAX;
}

static void
place_give(struct state *state, uint32_t place)
{
	atomic_store(&state->holds[place].pin, UINT64_MAX);
	atomic_store(&state->holds[place].is_taken, false);
}

/* The numbers of the publication at @hold->stamp. False: the writer has come round the ring. */
static bool
numbers_copy(struct state *state, struct state_hold *hold)
{
	struct publication *p = publication_slot(state, stamp_index(hold->stamp));

	if (atomic_load_explicit(&p->stamp, memory_order_acquire) != hold->stamp)
		return false;
	hold->hash = atomic_load_explicit(&p->hash, memory_order_acquire);
	hold->key_count = atomic_load_explicit(&p->key_count, memory_order_acquire);
	hold->time_ns = atomic_load_explicit(&p->time_ns, memory_order_acquire);
	hold->expiry_count = atomic_load_explicit(&p->expiry_count, memory_order_acquire);
	return atomic_load_explicit(&p->stamp, memory_order_relaxed) == hold->stamp;
}

/* Pin first, look second. The writer says how far it is going to reclaim before it looks at pins
 * for the last time: either it sees this one, or this sees what it said. */
static enum tern_err
pin_at(struct state *state, uint64_t stamp, struct state_hold *hold)
{
	hold->stamp = stamp;
	atomic_store(&state->holds[hold->place].pin, stamp);
	if (atomic_load(&state->reclaimed) > stamp || !numbers_copy(state, hold))
		return TERN_ERR_NOT_FOUND;
	return TERN_OK;
}

/* What is committed can be pinned unless the writer reclaims up to the next commit meanwhile. */
static enum tern_err
pin_newest(struct state *state, struct state_hold *hold)
{
	enum tern_err err;

	/* Each round needs another commit within a few instructions. */
	do {
		err = pin_at(state, atomic_load(&state->committed), hold);
	} while (err != TERN_OK);
	return err;
}

static enum tern_err
pin_index(struct state *state, uint64_t log_index, struct state_hold *hold)
{
	const uint64_t committed = atomic_load(&state->committed);
	const uint64_t stamp =
	    atomic_load_explicit(&publication_slot(state, log_index)->stamp, memory_order_acquire);

	if (log_index > stamp_index(committed))
		return TERN_ERR_BUSY;
	if (stamp_index(stamp) != log_index || stamp > committed)
		return TERN_ERR_NOT_FOUND;
	return pin_at(state, stamp, hold);
}

enum tern_err
state_hold_begin(struct state *state, uint64_t log_index, struct state_hold *hold)
{
	*hold = (struct state_hold){ .place = place_take(state) };
	if (hold->place == STATE_HOLDS_MAX)
		return TERN_ERR_QUEUE_FULL;
	const enum tern_err err =
	    log_index == 0 ? pin_newest(state, hold) : pin_index(state, log_index, hold);
	if (err != TERN_OK)
		place_give(state, hold->place);
	return err;
}

void
state_hold_end(struct state *state, struct state_hold *hold)
{
	INVARIANT(hold->place < STATE_HOLDS_MAX);
	INVARIANT(atomic_load(&state->holds[hold->place].is_taken));
	place_give(state, hold->place);
	hold->place = STATE_HOLDS_MAX;
}

uint64_t
state_hold_index(const struct state_hold *hold)
{
	return stamp_index(hold->stamp);
}

bool
state_read_begin_held(struct state_reader *reader, const struct state_hold *hold)
{
	struct state *state = reader->state;

	INVARIANT(hold->place < STATE_HOLDS_MAX);
	if (!view_begin_at(reader, hold->stamp, &state->holds[hold->place].pin))
		return false;
	reader->hash = hold->hash;
	reader->key_count = hold->key_count;
	reader->time_ns = hold->time_ns;
	reader->expiry_count = hold->expiry_count;
	return true;
}
