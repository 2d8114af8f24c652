/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of every frame between nodes: the UDP payload on data ports and on the management
 * network. What follows it depends on the kind: msg.h (consensus), fragment.h (blocks) or part.h
 * (checkpoints).
 *
 * Order of checks: length, CRC, version, cluster, receiver; only then is a field used.
 * The CRC covers the header and the body, except for FRAME_BLOCK, where it covers the header and
 * the fragment header only: page CRCs cover the bytes themselves.
 */
#ifndef TERN_WIRE_FRAME_H
#define TERN_WIRE_FRAME_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/le.h"
#include "dataplane/wire/generation.h"

#define FRAME_VERSION   7u
#define FRAME_HDR_BYTES 64u
#define NODE_ID_MAX     63u /* node ids are 1..63, so that a set of nodes is one 64-bit mask */

enum frame_kind {
	FRAME_MESSAGE = 1,  /* body: one message of msg.h */
	FRAME_BLOCK = 2,    /* body: fragment_hdr_le and bytes of a block */
	FRAME_FETCH = 3,    /* body: fetch_le, fragments that a receiver lacks */
	FRAME_PART_ASK = 4, /* body: part_ask, units of a checkpoint that a receiver lacks */
	FRAME_PART = 5,     /* body: part_hdr and the bytes of one unit */
	/* Body: one notice of generation.h. Read across generations, as no other frame is. */
	FRAME_GENERATION = 6,
};
#define FRAME_KIND_LAST FRAME_GENERATION

struct frame_hdr_le {
	le32 crc32c; /* see above */
	uint8_t version, kind;
	le16 body_bytes;
	le64 cluster_id;
	le32 gen_id;           /* with cluster_gen: see generation.h */
	le16 sender, receiver; /* node ids */
	le16 shard, cluster_gen;
	le32 boot_no;  /* the sender's; 0: it lost its storage and does not know (MSG_REJOIN) */
	le64 term;     /* the sender's current term */
	le64 sequence; /* rises with every frame of (sender, boot_no); for replay protection */
	uint8_t auth_tag[16]; /* zero until links are authenticated */
};
static_assert(sizeof(struct frame_hdr_le) == FRAME_HDR_BYTES, "frozen by format 1");
static_assert(offsetof(struct frame_hdr_le, term) == 32, "frozen by format 1");

/* The decoded header. */
struct frame_hdr {
	enum frame_kind kind;
	uint32_t body_bytes;
	uint64_t cluster_id;
	struct generation generation;
	uint32_t boot_no;
	uint16_t sender, receiver, shard;
	uint64_t term, sequence;
};

/* Writes the header for a body that already lies at @frame + FRAME_HDR_BYTES, with its CRC.
 * @covered_bytes: how much of the body the CRC covers (all of it unless FRAME_BLOCK). */
void frame_seal(uint8_t *frame, const struct frame_hdr *hdr, uint32_t covered_bytes);

/* Checks a received frame and decodes its header. @bytes may exceed what the frame needs (Ethernet
 * padding). Borrows @frame until return.
 * Errors: MALFORMED (length, CRC, reserved bits, unknown kind, ids out of range), VERSION. The
 * caller compares cluster_id, generation, receiver and shard. */
TERN_CHECKED enum tern_err frame_open(const uint8_t *frame, uint32_t bytes, struct frame_hdr *hdr);

#endif
