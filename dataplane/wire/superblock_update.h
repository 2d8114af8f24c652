/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which superblock copies an update writes, and which copy counts: the pure part, for the runtime
 * and the simulator. Copies {0, 1} and {2, 3} are pairs of neighbouring pages, written with one
 * request. An update goes to the pair in which the newest good copy does not lie, so the newest
 * stays whole whatever becomes of the update.
 */
#ifndef TERN_WIRE_SUPERBLOCK_UPDATE_H
#define TERN_WIRE_SUPERBLOCK_UPDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/wire/superblock.h"

#define SUPERBLOCK_UPDATE_BYTES (2u * SUPERBLOCK_BYTES)

/* Encodes @superblock twice into @out (SUPERBLOCK_UPDATE_BYTES), for the two copies of a pair.
 * superblock->sequence >= 1 (INVARIANT). */
void superblock_update_encode(uint8_t *out, const struct superblock *superblock);

/* @copies: the SUPERBLOCK_COPIES first pages of a device. Gives the good copy with the highest
 * sequence. @good_mask: bit i says that copy i is good.
 * BLANK: all copies are zero. FOREIGN, VERSION, CORRUPT: no copy is good. */
TERN_CHECKED enum tern_err
superblock_choose(const uint8_t *copies, struct superblock *superblock, uint32_t *good_mask);

/* Of two devices of a pool: whoever recorded the other one as failed has the higher pool_gen,
 * whatever the other had begun to write. */
static inline bool
superblock_is_newer(const struct superblock *a, const struct superblock *b)
{
	return a->pool_gen != b->pool_gen ? a->pool_gen > b->pool_gen : a->sequence > b->sequence;
}

/* The first copy of the pair that the next update goes to: 0 or 2. @copies: as read; @newest: what
 * superblock_choose gave. */
uint32_t superblock_next_copy(const uint8_t *copies, const struct superblock *newest);
/* The pair after one that was written. */
static inline uint32_t
superblock_other_copy(uint32_t copy)
{
	return (copy + SUPERBLOCK_COPIES / 2) % SUPERBLOCK_COPIES;
}

#endif
