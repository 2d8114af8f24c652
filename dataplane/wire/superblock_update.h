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

/* pool_gen: the high half counts starts that found a device missing, the low half what was lost and
 * what came back in between. */
#define SUPERBLOCK_ERA_SHIFT 16

static inline uint32_t
superblock_next_era(uint32_t pool_gen)
{
	return ((pool_gen >> SUPERBLOCK_ERA_SHIFT) + 1) << SUPERBLOCK_ERA_SHIFT;
}

/* False: it was being rebuilt, and an update that only it got counts for nothing. */
static inline bool
superblock_counts_itself(const struct superblock *superblock)
{
	return (superblock->failed_devices >> superblock->device & 1) == 0;
}

/* Of two devices of a node. Of two pools that it had, the later one's. In one pool: an update
 * begins when the one before has reached every device that counts. So while the node runs the
 * higher sequence is the newer one, and a device that is missing at a start may be one update ahead
 * of the others, which knows of no era that they begin then: not even if more was lost in it than
 * they found missing. Of one era, only those that went on have a second update. If it was the
 * update that counts the device in again, they begin no era, and have one as well: with the number
 * of a start. (docs/decisions/eras-of-a-pool.md, new-storage-begins-at-the-clock.md) */
static inline bool
superblock_is_newer(const struct superblock *a, const struct superblock *b)
{
	const uint32_t a_era = a->pool_gen >> SUPERBLOCK_ERA_SHIFT;
	const uint32_t b_era = b->pool_gen >> SUPERBLOCK_ERA_SHIFT;

	if (a->born_ns != b->born_ns)
		return a->born_ns > b->born_ns;
	if (a_era != b_era)
		return a_era > b_era;
	return a->sequence != b->sequence ? a->sequence > b->sequence : a->boot_no > b->boot_no;
}

/* Which of two devices' superblocks a start goes by: those that count themselves in are asked
 * before others of their pool. */
static inline bool
superblock_counts_more(const struct superblock *a, const struct superblock *b)
{
	const bool a_is_in = superblock_counts_itself(a), b_is_in = superblock_counts_itself(b);

	if (a->born_ns == b->born_ns && a_is_in != b_is_in)
		return a_is_in;
	return superblock_is_newer(a, b);
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
