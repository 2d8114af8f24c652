/* SPDX-License-Identifier: Apache-2.0 */
/* A bump allocator over one piece of memory: everything a node needs is taken at start-up, then the
 * arena is sealed and any later request fails an INVARIANT. */
#ifndef TERN_BASE_ARENA_H
#define TERN_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

struct arena {
	uint8_t *memory;
	size_t bytes, used;
	bool is_sealed;
};

/* Borrows @memory, which must be zeroed and 4096-byte aligned. */
static inline void
arena_init(struct arena *arena, void *memory, size_t bytes)
{
	*arena = (struct arena){ .memory = memory, .bytes = bytes };
}

/* Zeroed memory, @align a power of two up to 4096; NULL when the arena is used up. */
static inline void *
arena_take(struct arena *arena, size_t bytes, size_t align)
{
	const size_t at = align_up_u64(arena->used, align);

	INVARIANT(!arena->is_sealed);
	INVARIANT(is_pow2_u64(align) && align <= 4096);
	if (at > arena->bytes || bytes > arena->bytes - at)
		return NULL;
	arena->used = at + bytes;
	return arena->memory + at;
}

static inline void
arena_seal(struct arena *arena)
{
	arena->is_sealed = true;
}

#endif
