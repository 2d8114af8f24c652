/* SPDX-License-Identifier: Apache-2.0 */
/* Taking back what was made above the commit. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/session.h"

/* Takes the newest version of @entry away, and with the first one the entry. */
static void
version_undo(struct state *state, struct entry *entry, uint64_t log_index)
{
	struct version *version = rcu_own(entry->newest);
	struct version *older = version->older;

	INVARIANT(stamp_index(version->stamp) > log_index);
	state->versions_rolled_back++;
	if (entry->space == STATE_SESSIONS)
		session_undo_use(state, entry, version);
	expiry_leave(state, entry, version);
	if (older == NULL) {
		reclaim_retire_entry(state, entry);
		return;
	}
	rcu_publish(entry->newest, older);
	expiry_enter(state, entry, older);
	reclaim_retire(state, version, NULL);
	/* A tombstone that had its turn in the reclaim queue, while there was something newer, will
	 * not get another one. */
	if (version_type(older) == STATE_NONE && older->older == NULL)
		reclaim_retire_entry(state, entry);
}

/* Fails the views above @log_index. A view that is being opened either shows its pin here, or has
 * yet to look at `published`, which was moved before. True: one of them would see what is written
 * next in this branch. */
static bool
views_fail(struct state *state, uint64_t log_index)
{
	const uint64_t stamp = stamp_make(state->branch, log_index);
	bool is_branch_seen = false;

	for (uint32_t i = 0; i < state->config.readers_max; i++) {
		struct state_reader *reader = &state->readers[i];
		const uint64_t pin = atomic_load(&reader->pin);
		if (pin == UINT64_MAX || stamp_index(pin) <= log_index)
			continue;
		is_branch_seen |= pin > stamp;
		if (!atomic_exchange(&reader->is_failed, true))
			state->views_failed++;
	}
	return is_branch_seen;
}

static void
publications_drop(struct state *state, uint64_t log_index, uint64_t published_index)
{
	const uint64_t count = min_u64(published_index - log_index, STATE_PUBLISHED_KEPT);

	for (uint64_t i = 0; i < count; i++) {
		struct publication *p = publication_slot(state, published_index - i);
		const uint64_t stamp = atomic_load_explicit(&p->stamp, memory_order_relaxed);
		if (stamp_index(stamp) > log_index)
			atomic_store_explicit(&p->stamp, 0, memory_order_release);
	}
}

void
state_rollback(struct state *state, uint64_t log_index)
{
	const struct publication *p = publication_slot(state, log_index);
	const uint64_t stamp = atomic_load_explicit(&p->stamp, memory_order_relaxed);
	const uint64_t published_index = stamp_index(state->published_stamp);

	INVARIANT(log_index >= stamp_index(state->committed_stamp));
	INVARIANT(log_index <= published_index);
	INVARIANT(stamp != 0 && stamp_index(stamp) == log_index);
	state->published_stamp = stamp;
	atomic_store(&state->published, stamp);
	if (views_fail(state, log_index)) {
		state->branch++;
		INVARIANT(state->branch < UINT64_C(1) << (64 - STATE_INDEX_BITS));
	}
	publications_drop(state, log_index, published_index);
	session_forget_dirty(state);
	reclaim_cut(state, p);
	while (state->undo_count > p->undo_count)
		version_undo(state, undo_take(state), log_index);
	state->hash_sum = atomic_load_explicit(&p->hash, memory_order_relaxed);
	state->key_count = atomic_load_explicit(&p->key_count, memory_order_relaxed);
	state->session_count = p->session_count;
	state->logical_bytes = p->logical_bytes;
	state->client_id_next = p->client_id_next;
	state->time_ns = atomic_load_explicit(&p->time_ns, memory_order_relaxed);
	INVARIANT(state->expiry_count ==
		  atomic_load_explicit(&p->expiry_count, memory_order_relaxed));
	atomic_store_explicit(&state->expiry_next_ns, expiry_next_ns(state), memory_order_relaxed);
	state->published_hash = state->hash_sum;
	if (state->last.log_index > log_index)
		state->last = (struct state_position){ log_index, UINT32_MAX };
	state->rollbacks++;
}
