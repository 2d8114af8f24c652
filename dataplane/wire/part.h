/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint on the wire. It is asked for in parts: part 0 is the header page, part n chunk n -
 * 1, each as whole pages; a part is cut into units of 1344 bytes, of which only its last one may be
 * short. The receiver asks for a run of units, and gets a frame for each.
 */
#ifndef TERN_WIRE_PART_H
#define TERN_WIRE_PART_H

#include <assert.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/le.h"
#include "dataplane/wire/checkpoint.h"
#include "dataplane/wire/frame.h"

#define PART_UNIT_BYTES 1344u
#define PART_HDR_BYTES  40u
#define PART_ASK_BYTES  48u
#define PART_PAGES_MAX  CHECKPOINT_CHUNK_PAGES
#define PART_UNITS_MAX  ((CHECKPOINT_CHUNK_BYTES + PART_UNIT_BYTES - 1) / PART_UNIT_BYTES)

/* Which checkpoint: two of an equal log_index and chain are equal byte for byte. */
struct part_id {
	uint64_t log_index;
	struct hash128 chain; /* of block log_index */
	uint32_t part;
};

/* As a part: the pages of block log_index itself, see runtime/mend.h. Any data node may be asked.
 */
#define PART_OF_BLOCK        UINT32_MAX
#define PART_BLOCK_PAGES_MAX 512u
#define PART_BLOCK_UNITS_MAX \
	((PART_BLOCK_PAGES_MAX * PAGE_BYTES + PART_UNIT_BYTES - 1) / PART_UNIT_BYTES)

struct part_ask { /* FRAME_PART_ASK */
	struct part_id id;
	uint32_t unit_first, unit_count; /* at least 1 */
};

struct part_hdr { /* FRAME_PART: before the bytes of one unit */
	struct part_id id;
	uint32_t pages; /* of the part, 1..PART_PAGES_MAX; of a block, 1..PART_BLOCK_PAGES_MAX */
	uint32_t unit, bytes;
};

static_assert(FRAME_HDR_BYTES + PART_HDR_BYTES + PART_UNIT_BYTES <= 1452,
	      "a unit fits a frame on every network");

static inline uint32_t
part_units(uint32_t pages)
{
	return (pages * PAGE_BYTES + PART_UNIT_BYTES - 1) / PART_UNIT_BYTES;
}

/* Bytes of unit @unit, which the part has. */
static inline uint32_t
part_unit_bytes(uint32_t pages, uint32_t unit)
{
	const uint32_t left = pages * PAGE_BYTES - unit * PART_UNIT_BYTES;

	return left < PART_UNIT_BYTES ? left : PART_UNIT_BYTES;
}

/* Pages of part @part of a checkpoint of @pages; 0: there is none. */
uint32_t part_pages(uint64_t pages, uint32_t part);
/* The first page of it, counted from the header page. */
uint64_t part_first_page(uint32_t part);

/* @body: PART_ASK_BYTES, PART_HDR_BYTES. */
void part_ask_encode(uint8_t *body, const struct part_ask *ask);
void part_hdr_encode(uint8_t *body, const struct part_hdr *hdr);
/* MALFORMED: the length, a field out of its range, reserved bytes. */
TERN_CHECKED enum tern_err
part_ask_decode(const uint8_t *body, uint32_t body_bytes, struct part_ask *ask);
TERN_CHECKED enum tern_err
part_hdr_decode(const uint8_t *body, uint32_t body_bytes, struct part_hdr *hdr);

#endif
