/* SPDX-License-Identifier: Apache-2.0 */
/* Small arithmetic on unsigned integers. */
#ifndef TERN_BASE_BITS_H
#define TERN_BASE_BITS_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint32_t
min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t
max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* @align is a power of two. */
static inline uint64_t
align_up_u64(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static inline uint64_t
div_up_u64(uint64_t value, uint64_t by)
{
	return (value + by - 1) / by;
}

static inline bool
is_pow2_u64(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

#endif
