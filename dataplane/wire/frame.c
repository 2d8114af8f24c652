/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/frame.h"

#include <stdbool.h>

#include "dataplane/base/crc32c.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/fragment.h"

void
frame_seal(uint8_t *frame, const struct frame_hdr *hdr, uint32_t covered_bytes)
{
	struct frame_hdr_le le = {
		.version = FRAME_VERSION,
		.kind = (uint8_t)hdr->kind,
		.body_bytes = le16_make((uint16_t)hdr->body_bytes),
		.cluster_id = le64_make(hdr->cluster_id),
		.gen_id = le32_make(hdr->generation.id),
		.sender = le16_make(hdr->sender),
		.receiver = le16_make(hdr->receiver),
		.shard = le16_make(hdr->shard),
		.cluster_gen = le16_make((uint16_t)hdr->generation.number),
		.boot_no = le32_make(hdr->boot_no),
		.term = le64_make(hdr->term),
		.sequence = le64_make(hdr->sequence),
	};

	INVARIANT(hdr->body_bytes <= UINT16_MAX);
	INVARIANT(generation_is_sound(&hdr->generation));
	INVARIANT(covered_bytes <= hdr->body_bytes);
	memcpy(frame, &le, sizeof(le));
	le.crc32c = le32_make(crc32c(frame + 4, FRAME_HDR_BYTES - 4 + covered_bytes));
	memcpy(frame, &le.crc32c, sizeof(le.crc32c));
}

enum tern_err
frame_open(const uint8_t *frame, uint32_t bytes, struct frame_hdr *hdr)
{
	struct frame_hdr_le le;

	if (bytes < FRAME_HDR_BYTES)
		return TERN_ERR_MALFORMED;
	memcpy(&le, frame, sizeof(le));
	const uint32_t body_bytes = le16_get(le.body_bytes);
	if (body_bytes > bytes - FRAME_HDR_BYTES)
		return TERN_ERR_MALFORMED;
	const bool is_block = le.kind == FRAME_BLOCK;
	if (is_block && body_bytes < FRAGMENT_HDR_BYTES)
		return TERN_ERR_MALFORMED;
	const uint32_t covered = is_block ? FRAGMENT_HDR_BYTES : body_bytes;
	if (le32_get(le.crc32c) != crc32c(frame + 4, FRAME_HDR_BYTES - 4 + covered))
		return TERN_ERR_MALFORMED;
	if (le.version != FRAME_VERSION)
		return TERN_ERR_VERSION;
	if (le.kind < FRAME_MESSAGE || le.kind > FRAME_KIND_LAST)
		return TERN_ERR_MALFORMED;
	*hdr = (struct frame_hdr){
		.kind = (enum frame_kind)le.kind,
		.body_bytes = body_bytes,
		.cluster_id = le64_get(le.cluster_id),
		.generation = { le16_get(le.cluster_gen), le32_get(le.gen_id) },
		.sender = le16_get(le.sender),
		.receiver = le16_get(le.receiver),
		.shard = le16_get(le.shard),
		.boot_no = le32_get(le.boot_no),
		.term = le64_get(le.term),
		.sequence = le64_get(le.sequence),
	};
	if (hdr->sender == 0 || hdr->sender > NODE_ID_MAX || hdr->receiver == 0 ||
	    hdr->receiver > NODE_ID_MAX || !generation_is_sound(&hdr->generation))
		return TERN_ERR_MALFORMED;
	return TERN_OK;
}
