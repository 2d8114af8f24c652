/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of expiries: an entry for each live key that has one, under its expiry and the key, so
 * that removal has one order on every node. It says what the newest versions say, and nothing else:
 * a version that is dropped takes its place with it, and what was under it gets its own back.
 *
 * Owner: the state's writer; readers never look here.
 */
#include "dataplane/base/invariant.h"
#include "dataplane/base/le.h"
#include "dataplane/state/state_internal.h"

#define KEY_BYTES_MAX (sizeof(uint64_t) + COMMAND_KEY_BYTES_MAX)

static uint32_t
expiry_key(uint8_t *out, uint64_t expires_ns, struct entry *entry)
{
	const le64 order = le64_make(__builtin_bswap64(expires_ns));

	memcpy(out, &order, sizeof(order));
	memcpy(out + sizeof(order), entry_key(entry), entry->key_bytes);
	return (uint32_t)sizeof(order) + entry->key_bytes;
}

static uint64_t
expires_ns_of(struct entry *place)
{
	le64 order;

	memcpy(&order, entry_key(place), sizeof(order));
	return __builtin_bswap64(le64_get(order));
}

void
expiry_enter(struct state *state, struct entry *entry, struct version *version)
{
	uint8_t key[KEY_BYTES_MAX];

	if (entry->space != STATE_KEYS || version_expires_ns(version) == 0)
		return;
	const uint32_t key_bytes = expiry_key(key, version->expires_ns, entry);
	struct entry *place = entry_make(state, STATE_KEYS, key, key_bytes,
					 state_index_hash(state, STATE_SPACES, key, key_bytes));
	order_insert(&state->expiries, place);
	state->expiry_count++;
}

void
expiry_leave(struct state *state, struct entry *entry, struct version *version)
{
	uint8_t key[KEY_BYTES_MAX];

	if (entry->space != STATE_KEYS || version_expires_ns(version) == 0)
		return;
	const uint32_t key_bytes = expiry_key(key, version->expires_ns, entry);
	struct entry *place = order_seek(&state->expiries, key, key_bytes, false);
	INVARIANT(place != NULL && place->key_bytes == key_bytes &&
		  memcmp(entry_key(place), key, key_bytes) == 0);
	order_remove(&state->expiries, place);
	arena_free(&state->arena, place);
	INVARIANT(state->expiry_count > 0);
	state->expiry_count--;
}

uint64_t
expiry_next_ns(struct state *state)
{
	struct entry *first = order_first(&state->expiries);

	return first == NULL ? UINT64_MAX : expires_ns_of(first);
}
