/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which superblock copies an update writes, and which copy counts: the pure part, for the runtime
 * and the simulator. An update with an odd sequence goes to copies {0, 1}, an even one to {2, 3}:
 * two neighbouring pages, one write. A torn update leaves the other pair whole, and is written to
 * the same pair again, for its sequence never counted.
 */
#ifndef TERN_WIRE_SUPERBLOCK_UPDATE_H
#define TERN_WIRE_SUPERBLOCK_UPDATE_H

#include <stdint.h>

#include "dataplane/wire/superblock.h"

#define SUPERBLOCK_UPDATE_BYTES (2u * SUPERBLOCK_BYTES)

/* Encodes @superblock twice into @out (SUPERBLOCK_UPDATE_BYTES). Returns the device's byte offset
 * that they are to be written to, in one request. superblock->sequence >= 1 (INVARIANT). */
uint64_t superblock_update_encode(uint8_t *out, const struct superblock *superblock);

/* @copies: the SUPERBLOCK_COPIES first pages of a device. Gives the good copy with the highest
 * sequence. @good_mask: bit i says that copy i is good.
 * BLANK: all copies are zero. FOREIGN, VERSION, CORRUPT: no copy is good. */
TERN_CHECKED enum tern_err
superblock_choose(const uint8_t *copies, struct superblock *superblock, uint32_t *good_mask);

#endif
