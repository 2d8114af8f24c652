/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of nodes, a bit for each id. */
#ifndef TERN_CORE_CORE_MASK_H
#define TERN_CORE_CORE_MASK_H

#include <stdint.h>

static inline uint64_t
core_bit(uint16_t node_id)
{
	return 1ULL << (node_id & 63u);
}

static inline uint32_t
core_count(uint64_t mask)
{
	uint32_t count = 0;

	for (; mask != 0; mask &= mask - 1)
		count++;
	return count;
}

#endif
