/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks on the wire. The content of a page is its last 4032 bytes (content header and payload; the
 * 64-byte identity part is local to a node and is never sent): exactly three units of 1344 bytes.
 * A block's units are numbered through: unit = page * 3 + third. A fragment carries one or more
 * consecutive units; only the last unit of a block may be short (bytes beyond what is used are
 * zero and are not sent; the receiver zeroes them).
 */
#ifndef TERN_WIRE_FRAGMENT_H
#define TERN_WIRE_FRAGMENT_H

#include <assert.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/le.h"
#include "dataplane/wire/frame.h"

#define FRAGMENT_UNIT_BYTES     1344u
#define FRAGMENT_UNITS_PER_PAGE 3u
#define FRAGMENT_HDR_BYTES      40u
#define FETCH_RANGES_MAX        32u

struct fragment_hdr_le {
	le64 log_index;
	le64 page_lsn;    /* pages of the chain before this block */
	le32 block_units; /* units that carry used bytes */
	le32 unit_first;
	le16 unit_count;
	le16 last_unit_bytes; /* bytes used of the block's last unit, 1..1344 */
	le32 block_pages;
	le64 commit_index; /* the master's, when it sent this */
};
static_assert(sizeof(struct fragment_hdr_le) == FRAGMENT_HDR_BYTES, "frozen by frame version 3");
/* IPv6 on an ordinary Ethernet: an MTU of 1500, 48 of it headers of IPv6 and UDP. */
static_assert(FRAME_HDR_BYTES + FRAGMENT_HDR_BYTES + FRAGMENT_UNIT_BYTES <= 1452,
	      "a unit fits a frame on every network");

struct fragment_hdr {
	uint64_t log_index, page_lsn, commit_index;
	uint32_t block_pages, block_units, unit_first, unit_count, last_unit_bytes;
};

/* Bytes that the fragment's units carry. */
uint32_t fragment_payload_bytes(const struct fragment_hdr *fragment);

/* @body has room for FRAGMENT_HDR_BYTES. */
void fragment_encode(uint8_t *body, const struct fragment_hdr *fragment);
/* MALFORMED when counts do not agree with each other or with @body_bytes. */
TERN_CHECKED enum tern_err
fragment_decode(const uint8_t *body, uint32_t body_bytes, struct fragment_hdr *fragment);

/* Units that the receiver of a stream lacks. unit_count 0 with unit_first 0: the whole block. */
struct fetch_range {
	uint64_t log_index;
	uint32_t unit_first, unit_count;
};
struct fetch {
	uint32_t range_count; /* 1..FETCH_RANGES_MAX */
	struct fetch_range ranges[FETCH_RANGES_MAX];
};
#define FETCH_BYTES_MAX (8u + 16u * FETCH_RANGES_MAX)

/* Returns the body's bytes. @body has room for FETCH_BYTES_MAX. */
uint32_t fetch_encode(uint8_t *body, const struct fetch *fetch);
TERN_CHECKED enum tern_err
fetch_decode(const uint8_t *body, uint32_t body_bytes, struct fetch *fetch);

#endif
