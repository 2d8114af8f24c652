/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xoshiro256** by Blackman and Vigna (2018), seeded through splitmix64 (Steele et al. 2014).
 * The generator is a field of the structure that needs it: equal seeds give equal runs.
 */
#ifndef TERN_BASE_PRNG_H
#define TERN_BASE_PRNG_H

#include <stdint.h>

struct prng {
	uint64_t s[4];
};

static inline void
prng_seed(struct prng *prng, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = (seed += 0x9e3779b97f4a7c15ULL);
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
		prng->s[i] = z ^ (z >> 31);
	}
}

static inline uint64_t
prng_rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static inline uint64_t
prng_next(struct prng *prng)
{
	uint64_t *s = prng->s;
	const uint64_t result = prng_rotl(s[1] * 5, 7) * 9;
	const uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = prng_rotl(s[3], 45);
	return result;
}

__extension__ typedef unsigned __int128 prng_u128;

/* Uniform in [0, bound); 0 when @bound is 0. The bias is below bound / 2^64. */
static inline uint64_t
prng_below(struct prng *prng, uint64_t bound)
{
	return (uint64_t)(((prng_u128)prng_next(prng) * bound) >> 64);
}

/* Uniform in [low, high]. */
static inline uint64_t
prng_between(struct prng *prng, uint64_t low, uint64_t high)
{
	return low + prng_below(prng, high - low + 1);
}

#endif
