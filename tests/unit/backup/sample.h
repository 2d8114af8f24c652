/* SPDX-License-Identifier: Apache-2.0 */
/* A small backup's contents, made from nothing: a checkpoint if one is wanted, and a log whose
 * blocks chain. What is in keys and commands does not matter here. */
#ifndef TERN_TESTS_UNIT_BACKUP_SAMPLE_H
#define TERN_TESTS_UNIT_BACKUP_SAMPLE_H

#include "control/backup/stream.h"

#define SAMPLE_CLUSTER 0x5ae1u
#define SAMPLE_BLOCKS  40u
#define SAMPLE_PAGES   700u /* at most, of the whole stream */

struct sample {
	struct backup_hdr hdr; /* without what the code adds: id, geometry, rows, stripes */
	uint8_t bytes[SAMPLE_PAGES * PAGE_BYTES];
	size_t count;
	struct hash128 chains[SAMPLE_BLOCKS + 1]; /* [i]: of block first_index + i */
};

/* @first_index: of the checkpoint; 0: none. @stream_bytes: of it. @blocks: behind it, at most
 * SAMPLE_BLOCKS. */
void
sample_make(struct sample *sample, uint64_t first_index, uint32_t stream_bytes, uint32_t blocks);

#endif
