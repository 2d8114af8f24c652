/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing what was applied, and the commit; counts. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/session.h"

void
publication_fill(struct state *state, uint64_t log_index)
{
	struct publication *p = publication_slot(state, log_index);
	const uint64_t stamp = stamp_make(state->branch, log_index);

	/* Each store is ordered after the one before it, so a reader that sees one of the new
	 * fields also sees that the old stamp is gone. */
	atomic_store_explicit(&p->stamp, 0, memory_order_relaxed);
	atomic_store_explicit(&p->hash, state->hash_sum, memory_order_release);
	atomic_store_explicit(&p->key_count, state->key_count, memory_order_release);
	atomic_store_explicit(&p->time_ns, state->time_ns, memory_order_release);
	atomic_store_explicit(&p->expiry_count, state->expiry_count, memory_order_release);
	atomic_store_explicit(&p->stamp, stamp, memory_order_release);
	p->session_count = state->session_count;
	p->logical_bytes = state->logical_bytes;
	p->client_id_next = state->client_id_next;
	p->undo_count = state->undo_count;
	p->queue_pushed = state->queue_pushed;
	p->queue_tail = state->queue_tail;
	state->published_stamp = stamp;
	atomic_store(&state->published, stamp);
}

void
state_publish(struct state *state, uint64_t log_index)
{
	INVARIANT(log_index > stamp_index(state->published_stamp));
	INVARIANT(log_index >= state->last.log_index);
	INVARIANT(log_index < UINT64_C(1) << STATE_INDEX_BITS);
	INVARIANT(state_may_publish(state, log_index));
	session_hash_dirty(state);
	publication_fill(state, log_index);
	state->published_hash = state->hash_sum;
	atomic_store_explicit(&state->expiry_next_ns, expiry_next_ns(state), memory_order_relaxed);
	atomic_store_explicit(&state->expired_count, state->expired, memory_order_relaxed);
}

bool
state_may_publish(const struct state *state, uint64_t log_index)
{
	/* The slot may be taken when nothing that is still to be committed or read at lies there.
	 */
	const uint64_t stamp = atomic_load_explicit(
	    &state->publications[log_index % STATE_PUBLISHED_KEPT].stamp, memory_order_relaxed);

	return stamp == 0 || stamp_index(stamp) < stamp_index(state->committed_stamp);
}

void
state_commit(struct state *state, uint64_t log_index)
{
	const struct publication *p = publication_slot(state, log_index);
	const uint64_t stamp = atomic_load_explicit(&p->stamp, memory_order_relaxed);

	INVARIANT(log_index >= stamp_index(state->committed_stamp));
	INVARIANT(stamp != 0 && stamp_index(stamp) == log_index);
	if (stamp == state->committed_stamp)
		return;
	state->committed_stamp = stamp;
	atomic_store(&state->committed, stamp);
	undo_forget(state, p->undo_count);
}

uint64_t
state_applied_index(const struct state *state)
{
	return stamp_index(state->published_stamp);
}

uint64_t
state_committed_index(const struct state *state)
{
	return stamp_index(atomic_load_explicit(&state->committed, memory_order_acquire));
}

uint64_t
state_expiry_next_ns(const struct state *state)
{
	return atomic_load_explicit(&state->expiry_next_ns, memory_order_relaxed);
}

uint64_t
state_expired_count(const struct state *state)
{
	return atomic_load_explicit(&state->expired_count, memory_order_relaxed);
}

uint64_t
state_hash(const struct state *state)
{
	return state->published_hash;
}

struct state_stats
state_stats(const struct state *state)
{
	return (struct state_stats){
		.keys = state->key_count,
		.sessions = state->session_count,
		.logical_bytes = state->logical_bytes,
		.arena_used_bytes = state->arena.used_bytes,
		.versions_live = state->versions_live,
		.versions_reclaimed = state->versions_reclaimed,
		.views_ended = state->views_ended,
		.out_of_memory = state->out_of_memory,
		.rollbacks = state->rollbacks,
		.versions_rolled_back = state->versions_rolled_back,
		.views_failed = state->views_failed,
		.expiries = state->expiry_count,
		.expired = state->expired,
	};
}
