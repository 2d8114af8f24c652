/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool note: what a node with k <= m devices notes beside them, on the disk that it boots from,
 * about which of them count (docs/decisions/half-of-a-mirror.md). 64 bytes, a file of its own.
 */
#ifndef TERN_WIRE_POOL_NOTE_H
#define TERN_WIRE_POOL_NOTE_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"

#define POOL_NOTE_BYTES 64u

struct pool_note {
	uint64_t cluster_id;
	uint64_t
	    sequence;     /* of superblocks: every device that is not out has one at least as new */
	uint32_t boot_no; /* of the start that wrote it */
	uint32_t pool_gen; /* that the superblocks have, or are about to get */
	uint32_t out;      /* mask of positions: the others may have gone on without them */
	uint16_t node_id;
	uint8_t k, m;
};

/* @out: POOL_NOTE_BYTES. */
void pool_note_encode(uint8_t *out, const struct pool_note *note);
/* CORRUPT: not that many bytes, CRC, ranges. FOREIGN: no Tern magic. VERSION. */
TERN_CHECKED enum tern_err
pool_note_decode(const uint8_t *bytes, size_t count, struct pool_note *note);

#endif
