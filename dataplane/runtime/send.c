/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

static bool
send_stream(struct runtime *rt, uint32_t slot)
{
	const struct core_view *view = core_view(rt->core);
	struct stream *stream = rt->streams[slot];
	struct stream_want want;
	bool has_any = false;

	for (uint32_t i = 0; i < RUNTIME_TX_FRAMES_MAX; i++) {
		struct net_frame frame;

		if (!stream_next(stream, view->last_index, rt->now_ns, &want))
			break;
		const uint8_t *block =
		    reader_block(rt, &rt->stream_readers[slot], slot, want.log_index);
		if (block == NULL || !link_bulk_begin(&rt->link, rt->stream_nodes[slot], &frame))
			break;
		const uint32_t bytes = stream_fill(stream, &want, block, view->commit_index,
						   rt->now_ns, frame.bytes + FRAME_HDR_BYTES);
		link_bulk_end(&rt->link, &frame, FRAME_BLOCK, view->term, bytes,
			      bytes == 0 ? 0 : FRAGMENT_HDR_BYTES);
		if (bytes == 0)
			break;
		has_any = true;
	}
	return has_any;
}

static bool
send_fetch(struct runtime *rt)
{
	const struct core_view *view = core_view(rt->core);
	struct net_frame frame;
	struct fetch fetch;

	if (view->role != CORE_FOLLOWER || view->master_id == 0 || rt->cut.is_pending ||
	    !assembly_fetch(rt->assembly, 0, rt->now_ns, &fetch) ||
	    !link_bulk_begin(&rt->link, view->master_id, &frame))
		return false;
	const uint32_t bytes = fetch_encode(frame.bytes + FRAME_HDR_BYTES, &fetch);
	link_bulk_end(&rt->link, &frame, FRAME_FETCH, view->term, bytes, bytes);
	return true;
}

bool
send_turn(struct runtime *rt)
{
	bool has_any = false;

	if (core_view(rt->core)->role == CORE_MASTER) {
		for (uint32_t i = 0; i < rt->stream_count; i++)
			if (stream_is_active(rt->streams[i]))
				has_any |= send_stream(rt, i);
	} else {
		has_any = send_fetch(rt);
	}
	link_bulk_flush(&rt->link);
	dispatch_acks(rt);
	return has_any;
}

uint64_t
send_deadline_ns(const struct runtime *rt)
{
	uint64_t deadline_ns = UINT64_MAX;

	if (core_view(rt->core)->role != CORE_MASTER)
		return assembly_deadline_ns(rt->assembly);
	for (uint32_t i = 0; i < rt->stream_count; i++)
		if (stream_is_active(rt->streams[i]))
			deadline_ns = min_u64(deadline_ns, stream_deadline_ns(rt->streams[i]));
	return deadline_ns;
}
