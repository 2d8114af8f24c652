/* SPDX-License-Identifier: Apache-2.0 */
/* Making a state, and publishing what was applied. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/session.h"

/* Arena bytes for each 8-byte bucket: about one bucket for each key that fits the capacity. */
#define BYTES_PER_BUCKET 256u
#define HEAP_PAGES_MIN   128u

static bool
is_config_sound(const struct state_config *config)
{
	return config->arena != NULL && ((uintptr_t)config->arena & 63) == 0 &&
	       config->capacity_bytes > 0 && config->capacity_bytes <= config->arena_bytes / 2 &&
	       config->value_bytes_max < STATE_VALUE_BYTES_LIMIT && config->readers_max > 0 &&
	       config->readers_max <= 4096 &&
	       config->arena_bytes / ARENA_PAGE_BYTES < ARENA_NONE / 2;
}

static uint32_t
multi_bytes_max(const struct state_config *config)
{
	return (uint32_t)min_u64(config->capacity_bytes / 16, STATE_MULTI_BYTES_MAX);
}

uint32_t
state_multi_bytes_max(const struct state *state)
{
	return multi_bytes_max(&state->config);
}

/* Lends @bytes at the start of what is left. */
static void *
carve(uint8_t **next, size_t bytes, size_t align)
{
	uint8_t *start = (uint8_t *)align_up_u64((uintptr_t)*next, align);

	*next = start + bytes;
	return start;
}

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

enum tern_err
state_init(const struct state_config *config, struct state **out)
{
	if (!is_config_sound(config))
		return TERN_ERR_CONFIG;
	uint64_t buckets = 64;
	while (buckets * 2 * BYTES_PER_BUCKET <= config->arena_bytes)
		buckets *= 2;
	const uint64_t readers_bytes = config->readers_max * sizeof(struct state_reader);
	const uint64_t pages_limit = config->arena_bytes / ARENA_PAGE_BYTES;
	const uint32_t multi_bytes = multi_bytes_max(config);
	const uint64_t fixed = sizeof(struct state) + readers_bytes + buckets * sizeof(entry_link) +
			       arena_table_bytes((uint32_t)pages_limit) + multi_bytes +
			       2 * ARENA_PAGE_BYTES;
	if (config->arena_bytes < fixed + HEAP_PAGES_MIN * ARENA_PAGE_BYTES)
		return TERN_ERR_CONFIG;

	uint8_t *next = config->arena;
	struct state *state = carve(&next, sizeof(*state), 64);
	state->config = *config;
	state->readers = carve(&next, readers_bytes, 64);
	state->buckets = carve(&next, buckets * sizeof(entry_link), 64);
	state->bucket_mask = buckets - 1;
	void *table = carve(&next, arena_table_bytes((uint32_t)pages_limit), 64);
	state->multi_replies = carve(&next, multi_bytes, 64);
	uint8_t *heap = carve(&next, 0, ARENA_PAGE_BYTES);
	const size_t left = (size_t)((uint8_t *)config->arena + config->arena_bytes - heap);
	arena_init(&state->arena, table, heap, (uint32_t)(left / ARENA_PAGE_BYTES));
	/* Metadata and rounding took their share; what was promised has to fit what is left. */
	if (config->capacity_bytes > left)
		return TERN_ERR_CONFIG;
	for (uint32_t i = 0; i < config->readers_max; i++) {
		atomic_init(&state->readers[i].pin, UINT64_MAX);
		state->readers[i].state = state;
	}
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++)
		atomic_init(&state->holds[i].pin, UINT64_MAX);
	atomic_init(&state->expiry_next_ns, UINT64_MAX);
	state->client_id_next = 1;
	state->has_readers = true;
	state->checkpoint.pin = UINT64_MAX;
	state->branch = 1; /* so that no stamp is 0 */
	publication_fill(state, 0);
	state->committed_stamp = state->published_stamp;
	atomic_store(&state->committed, state->committed_stamp);
	*out = state;
	return TERN_OK;
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
	return stamp_index(state->committed_stamp);
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
