/* SPDX-License-Identifier: Apache-2.0 */
/* The hash index: a fixed table of chains. A reader may walk a chain while the writer links and
 * unlinks entries: a new entry is published whole, an unlinked one keeps its own link. */
#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/state/state_internal.h"

struct entry *
index_find(const struct state *state, uint64_t hash, enum state_space space, const void *key,
	   uint32_t key_bytes)
{
	struct entry *entry = rcu_follow(state->buckets[hash & state->bucket_mask]);

	for (; entry != NULL; entry = rcu_follow(entry->chain)) {
		if (entry->hash_high == (uint32_t)(hash >> 32) && entry->key_bytes == key_bytes &&
		    entry->space == space && memcmp(entry_key(entry), key, key_bytes) == 0)
			return entry;
	}
	return NULL;
}

void
index_insert(struct state *state, uint64_t hash, struct entry *entry)
{
	entry_link *bucket = &state->buckets[hash & state->bucket_mask];

	INVARIANT(entry->hash_high == (uint32_t)(hash >> 32));
	INVARIANT(rcu_own(entry->newest) != NULL);
	atomic_store_explicit(&entry->chain, rcu_own(*bucket), memory_order_relaxed);
	rcu_publish(*bucket, entry);
}

void
index_remove(struct state *state, uint64_t hash, struct entry *entry)
{
	entry_link *link = &state->buckets[hash & state->bucket_mask];

	while (rcu_own(*link) != NULL && rcu_own(*link) != entry)
		link = &rcu_own(*link)->chain;
	INVARIANT(rcu_own(*link) == entry);
	rcu_publish(*link, rcu_own(entry->chain));
}
