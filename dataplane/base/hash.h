/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XXH3 (Collet, xxHash 0.8): content hashes, the chain hash, the state hash.
 * The packaged shared library runs at SSE2 speed, so the header is compiled twice here, plain and
 * for AVX2, and the unit is chosen by the CPU at run time. Equal input gives equal output in both.
 */
#ifndef TERN_BASE_HASH_H
#define TERN_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash128 {
	uint64_t low, high;
};

/* Streaming state for input that lies in several runs. Opaque; 64-byte aligned; may be copied. */
struct hash128_stream {
	_Alignas(64) uint8_t opaque[576];
};

struct hash128 hash128(const void *data, size_t bytes);
uint64_t hash64(const void *data, size_t bytes);
/* Another function for each seed. */
uint64_t hash64_seeded(const void *data, size_t bytes, uint64_t seed);

void hash128_begin(struct hash128_stream *stream);
void hash128_add(struct hash128_stream *stream, const void *data, size_t bytes);
struct hash128 hash128_end(const struct hash128_stream *stream);

static inline bool
hash128_equal(struct hash128 a, struct hash128 b)
{
	return a.low == b.low && a.high == b.high;
}

#endif
