/* SPDX-License-Identifier: Apache-2.0 */
/* Making an entry. It is linked nowhere yet, and has no version. */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/state/session.h"

/* Each level is there with probability 1/4, by bits that the index does not use. */
static uint8_t
tower_height(uint64_t hash)
{
	const uint32_t zeros = (uint32_t)__builtin_clzll(hash | 1);
	return (uint8_t)min_u32(1u + zeros / 2, STATE_ORDER_LEVELS);
}

struct entry *
entry_make(struct state *state, enum state_space space, const void *key, uint32_t key_bytes,
	   uint64_t hash)
{
	const uint8_t height = tower_height(hash);
	const uint64_t links = space == STATE_SESSIONS ? sizeof(struct session_links) : 0;
	struct entry *entry = state_alloc(state, sizeof(*entry) + height * sizeof(entry->tower[0]) +
						     key_bytes + links);

	atomic_init(&entry->chain, NULL);
	atomic_init(&entry->newest, NULL);
	entry->hash_high = (uint32_t)(hash >> 32);
	entry->key_bytes = (uint16_t)key_bytes;
	entry->height = height;
	entry->space = (uint8_t)space;
	for (uint32_t i = 0; i < height; i++)
		atomic_init(&entry->tower[i], NULL);
	memcpy(entry_key(entry), key, key_bytes);
	if (links != 0)
		memset(entry_key(entry) + key_bytes, 0, links);
	return entry;
}
