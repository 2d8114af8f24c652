/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/hash.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/state_internal.h"

struct state_reader *
state_reader_open(struct state *state)
{
	for (uint32_t i = 0; i < state->config.readers_max; i++) {
		struct state_reader *reader = &state->readers[i];
		if (atomic_exchange(&reader->is_open, true))
			continue;
		INVARIANT(atomic_load(&reader->pin) == UINT64_MAX);
		state_rcu_register();
		return reader;
	}
	return NULL;
}

void
state_reader_close(struct state_reader *reader)
{
	INVARIANT(atomic_load(&reader->pin) == UINT64_MAX);
	state_rcu_unregister();
	atomic_store(&reader->is_open, false);
}

/* False when the writer has come round the ring meanwhile, and the copy may be mixed. */
static bool
publication_copy(struct state_reader *reader)
{
	struct publication *p = publication_slot(reader->state, stamp_index(reader->view));

	if (atomic_load_explicit(&p->stamp, memory_order_acquire) != reader->view)
		return false;
	reader->hash = atomic_load_explicit(&p->hash, memory_order_acquire);
	reader->key_count = atomic_load_explicit(&p->key_count, memory_order_acquire);
	reader->time_ns = atomic_load_explicit(&p->time_ns, memory_order_acquire);
	reader->expiry_count = atomic_load_explicit(&p->expiry_count, memory_order_acquire);
	return atomic_load_explicit(&p->stamp, memory_order_relaxed) == reader->view;
}

static void
view_open(struct state_reader *reader, bool is_provisional)
{
	INVARIANT(atomic_load(&reader->pin) == UINT64_MAX);
	state_rcu_enter();
	reader->is_provisional = is_provisional;
	atomic_store_explicit(&reader->is_ended, false, memory_order_relaxed);
	atomic_store_explicit(&reader->is_failed, false, memory_order_relaxed);
}

static void
view_close(struct state_reader *reader, bool is_provisional)
{
	INVARIANT(atomic_load_explicit(&reader->pin, memory_order_relaxed) != UINT64_MAX);
	INVARIANT(reader->is_provisional == is_provisional);
	atomic_store_explicit(&reader->pin, UINT64_MAX, memory_order_release);
	state_rcu_leave(reader->state);
}

uint64_t
state_read_begin(struct state_reader *reader)
{
	struct state *state = reader->state;

	view_open(reader, false);
	/* Pin first, look second: see floor_stamp. The view may be newer than the pin, never older.
	 * Another look is needed only if the ring of publications went round meanwhile. */
	atomic_store(&reader->pin, atomic_load(&state->committed));
	do {
		reader->view = atomic_load(&state->committed);
	} while (!publication_copy(reader));
	return stamp_index(reader->view);
}

bool
view_begin_at(struct state_reader *reader, uint64_t stamp, _Atomic uint64_t *keeper)
{
	view_open(reader, false);
	atomic_store(&reader->pin, stamp);
	/* The keeper's pin stood after this one was there, so the writer has seen one of them. */
	if (atomic_load(keeper) != stamp) {
		view_close(reader, false);
		return false;
	}
	reader->view = stamp;
	return true;
}

void
state_read_end(struct state_reader *reader)
{
	view_close(reader, false);
}

uint64_t
state_read_begin_provisional(struct state_reader *reader)
{
	struct state *state = reader->state;

	view_open(reader, true);
	/* Here the view has to be the pin exactly, for by the pin a rollback decides which views
	 * fail. Either it sees this pin, or the second look below sees that it moved `published`.
	 * Each round needs another publication within a few instructions. */
	do {
		reader->view = atomic_load(&state->published);
		atomic_store_explicit(&reader->is_failed, false, memory_order_relaxed);
		atomic_store(&reader->pin, reader->view);
	} while (atomic_load(&state->published) != reader->view || !publication_copy(reader));
	return stamp_index(reader->view);
}

bool
state_read_is_failed(const struct state_reader *reader)
{
	return atomic_load_explicit(&reader->is_failed, memory_order_acquire);
}

bool
state_read_end_provisional(struct state_reader *reader)
{
	/* Set before the first version is unlinked, and each unlinking is a release that the reads
	 * acquire: whoever saw a piece of a rollback sees this. */
	const bool is_good = !state_read_is_failed(reader);

	view_close(reader, true);
	return is_good;
}

bool
state_read_is_ended(const struct state_reader *reader)
{
	return atomic_load_explicit(&reader->is_ended, memory_order_relaxed);
}

static bool
is_in_view(const struct state_reader *reader)
{
	return atomic_load_explicit(&reader->pin, memory_order_relaxed) != UINT64_MAX;
}

/* Of the writer's tombstones and of what has expired by the view's time nothing is seen. */
static bool
is_live(const struct state_reader *reader, const struct version *version)
{
	return version != NULL && version_type(version) != STATE_NONE &&
	       !version_is_expired(version, reader->time_ns);
}

static struct state_value
value_of(const struct state_reader *reader, struct version *version)
{
	struct state_value value = { .type = STATE_NONE };

	if (!is_live(reader, version))
		return value;
	value.expires_ns = version_expires_ns(version);
	value.type = version_type(version);
	value.version = (struct state_position){ stamp_index(version->stamp), version->slot };
	if (value.type == STATE_INTEGER) {
		value.integer = version_integer(version);
	} else {
		value.data = version_data(version);
		value.bytes = version_bytes(version);
	}
	return value;
}

struct state_value
state_read_get(struct state_reader *reader, const void *key, uint32_t key_bytes)
{
	const struct state *state = reader->state;

	INVARIANT(is_in_view(reader));
	if (key_bytes == 0 || key_bytes > COMMAND_KEY_BYTES_MAX)
		return (struct state_value){ .type = STATE_NONE };
	const uint64_t hash = state_index_hash(state, STATE_KEYS, key, key_bytes);
	struct entry *entry = index_find(state, hash, STATE_KEYS, key, key_bytes);
	return value_of(reader, entry == NULL ? NULL : mvcc_at(entry, reader->view));
}

bool
state_read_next(struct state_reader *reader, const void *from, uint32_t from_bytes, bool is_after,
		const uint8_t **key, uint32_t *key_bytes, struct state_value *value)
{
	struct order *order = &reader->state->orders[STATE_KEYS];

	INVARIANT(is_in_view(reader));
	struct entry *entry = order_seek(order, from, from_bytes, is_after);
	for (; entry != NULL && !state_read_is_ended(reader); entry = order_next(entry)) {
		*value = value_of(reader, mvcc_at(entry, reader->view));
		if (value->type == STATE_NONE)
			continue;
		*key = entry_key(entry);
		*key_bytes = entry->key_bytes;
		return true;
	}
	return false;
}

uint64_t
state_scan_buckets(const struct state *state)
{
	return state->bucket_mask + 1;
}

uint16_t
state_scan_tag(const struct state *state)
{
	const uint64_t what[] = { state->config.hash_seed, state->bucket_mask };

	return (uint16_t)hash64(what, sizeof(what));
}

const void *
state_read_bucket(struct state_reader *reader, uint64_t bucket, const void *position,
		  const uint8_t **key, uint32_t *key_bytes)
{
	const struct state *state = reader->state;

	INVARIANT(is_in_view(reader));
	INVARIANT(bucket <= state->bucket_mask);
	/* The caller hands back what this function gave it, in the same view. */
	struct entry *entry = position == NULL
				  ? rcu_follow(state->buckets[bucket])
				  : rcu_follow(((struct entry *)(uintptr_t)position)->chain);
	for (; entry != NULL; entry = rcu_follow(entry->chain)) {
		if (entry->space != STATE_KEYS)
			continue;
		if (!is_live(reader, mvcc_at(entry, reader->view)))
			continue;
		*key = entry_key(entry);
		*key_bytes = entry->key_bytes;
		return entry;
	}
	return NULL;
}

uint64_t
state_read_key_count(struct state_reader *reader)
{
	INVARIANT(is_in_view(reader));
	return reader->key_count;
}

uint64_t
state_read_expiry_count(struct state_reader *reader)
{
	INVARIANT(is_in_view(reader));
	return reader->expiry_count;
}

uint64_t
state_read_time_ns(struct state_reader *reader)
{
	INVARIANT(is_in_view(reader));
	return reader->time_ns;
}

uint64_t
state_read_hash(struct state_reader *reader, uint64_t *index)
{
	INVARIANT(is_in_view(reader));
	*index = stamp_index(reader->view);
	return reader->hash;
}

uint64_t
state_hash_scan(struct state_reader *reader)
{
	uint64_t sum = 0;

	INVARIANT(is_in_view(reader));
	for (uint32_t space = 0; space < STATE_SPACES; space++) {
		struct entry *entry = order_first(&reader->state->orders[space]);
		for (; entry != NULL; entry = order_next(entry)) {
			struct version *version = mvcc_at(entry, reader->view);
			if (state_read_is_ended(reader))
				return 0;
			if (version != NULL && version_type(version) != STATE_NONE)
				sum += state_version_hash(entry, version);
		}
	}
	return sum;
}
