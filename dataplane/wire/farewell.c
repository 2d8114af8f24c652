/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/farewell.h"

#include "dataplane/base/invariant.h"

/* Above whatever the process itself has sent. */
#define SEQUENCE (UINT64_C(1) << 63)

uint32_t
farewell_seal(uint8_t *frame, const struct farewell *farewell, uint16_t receiver, uint32_t number)
{
	const struct msg msg = {
		.kind = MSG_FAREWELL,
		.sender = farewell->node_id,
		.boot_no = farewell->boot_no,
		.term = farewell->term,
	};

	INVARIANT(farewell->is_master && receiver != farewell->node_id);
	const uint32_t bytes = msg_encode(frame + FRAME_HDR_BYTES, &msg);
	const struct frame_hdr hdr = {
		.kind = FRAME_MESSAGE,
		.body_bytes = bytes,
		.cluster_id = farewell->cluster_id,
		.generation = farewell->generation,
		.boot_no = farewell->boot_no,
		.sender = farewell->node_id,
		.receiver = receiver,
		.shard = farewell->shard,
		.term = farewell->term,
		.sequence = SEQUENCE + number,
	};
	frame_seal(frame, &hdr, bytes);
	return FRAME_HDR_BYTES + bytes;
}
