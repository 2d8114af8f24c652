/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once for each instruction set: HASH_UNIT(name) gives each copy names of its own. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dataplane/base/hash.h"

static_assert(sizeof(XXH3_state_t) <= sizeof(struct hash128_stream), "stream state fits");
static_assert(_Alignof(XXH3_state_t) <= _Alignof(struct hash128_stream), "stream state aligned");

struct hash128 HASH_UNIT(hash128_unit)(const void *data, size_t bytes);
uint64_t HASH_UNIT(hash64_unit)(const void *data, size_t bytes);
uint64_t HASH_UNIT(hash64_unit_seeded)(const void *data, size_t bytes, uint64_t seed);
void HASH_UNIT(hash128_unit_begin)(void *state);
void HASH_UNIT(hash128_unit_add)(void *state, const void *data, size_t bytes);
struct hash128 HASH_UNIT(hash128_unit_end)(const void *state);

struct hash128
HASH_UNIT(hash128_unit)(const void *data, size_t bytes)
{
	XXH128_hash_t h = XXH3_128bits(data, bytes);
	return (struct hash128){ h.low64, h.high64 };
}

uint64_t
HASH_UNIT(hash64_unit)(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}

uint64_t
HASH_UNIT(hash64_unit_seeded)(const void *data, size_t bytes, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, bytes, seed);
}

void
HASH_UNIT(hash128_unit_begin)(void *state)
{
	(void)XXH3_128bits_reset(state);
}

void
HASH_UNIT(hash128_unit_add)(void *state, const void *data, size_t bytes)
{
	(void)XXH3_128bits_update(state, data, bytes);
}

struct hash128
HASH_UNIT(hash128_unit_end)(const void *state)
{
	XXH128_hash_t h = XXH3_128bits_digest(state);
	return (struct hash128){ h.low64, h.high64 };
}
