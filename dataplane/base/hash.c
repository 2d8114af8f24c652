/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#define HASH_UNIT(name) name##_plain
#include "dataplane/base/hash_unit.h"

struct hash128 hash128_unit_avx2(const void *data, size_t bytes);
uint64_t hash64_unit_avx2(const void *data, size_t bytes);
uint64_t hash64_unit_seeded_avx2(const void *data, size_t bytes, uint64_t seed);
void hash128_unit_begin_avx2(void *state);
void hash128_unit_add_avx2(void *state, const void *data, size_t bytes);
struct hash128 hash128_unit_end_avx2(const void *state);

/* XXH3 uses vectors beyond this length only. */
#define SHORT_BYTES 240u

static inline bool
is_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

struct hash128
hash128(const void *data, size_t bytes)
{
	if (bytes <= SHORT_BYTES || !is_avx2())
		return hash128_unit_plain(data, bytes);
	return hash128_unit_avx2(data, bytes);
}

uint64_t
hash64(const void *data, size_t bytes)
{
	if (bytes <= SHORT_BYTES || !is_avx2())
		return hash64_unit_plain(data, bytes);
	return hash64_unit_avx2(data, bytes);
}

uint64_t
hash64_seeded(const void *data, size_t bytes, uint64_t seed)
{
	if (bytes <= SHORT_BYTES || !is_avx2())
		return hash64_unit_seeded_plain(data, bytes, seed);
	return hash64_unit_seeded_avx2(data, bytes, seed);
}

void
hash128_begin(struct hash128_stream *stream)
{
	if (is_avx2())
		hash128_unit_begin_avx2(stream);
	else
		hash128_unit_begin_plain(stream);
}

void
hash128_add(struct hash128_stream *stream, const void *data, size_t bytes)
{
	if (is_avx2())
		hash128_unit_add_avx2(stream, data, bytes);
	else
		hash128_unit_add_plain(stream, data, bytes);
}

struct hash128
hash128_end(const struct hash128_stream *stream)
{
	return is_avx2() ? hash128_unit_end_avx2(stream) : hash128_unit_end_plain(stream);
}
