/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"
#include "dataplane/core/change.h"

/* Blocks went to a peer that had none for a while and may sleep: frames of the data port would wait
 * for the end of that sleep, so the last heartbeat is repeated where it ends it. To the peer it is
 * a copy of what it had, as a network may make one. */
static void
wake_peer(struct runtime *rt, uint32_t slot)
{
	const struct core_view *view = core_view(rt->core);
	const struct msg *beat = &rt->beats[slot];

	if (beat->kind == MSG_HEARTBEAT && beat->term == view->term)
		link_send(&rt->link, rt->stream_nodes[slot], CORE_PATH_MGMT, beat->term, beat);
}

static bool
send_stream(struct runtime *rt, uint32_t slot)
{
	const struct core_view *view = core_view(rt->core);
	struct stream *stream = rt->streams[slot];
	const uint64_t end_index = core_stream_index(rt->core, rt->stream_nodes[slot]);
	struct stream_want want;
	bool has_any = false;

	for (uint32_t i = 0; i < RUNTIME_TX_FRAMES_MAX; i++) {
		struct net_frame frame;

		if (!stream_next(stream, end_index, rt->now_ns, &want))
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

/* Whether there is somebody to ask for what is missing of a block. */
static bool
may_fetch(const struct runtime *rt)
{
	const struct core_view *view = core_view(rt->core);

	return view->role == CORE_FOLLOWER && view->master_id != 0 && !rt->cut.is_pending;
}

static bool
send_fetch(struct runtime *rt)
{
	const struct core_view *view = core_view(rt->core);
	struct net_frame frame;
	struct fetch fetch;

	if (!may_fetch(rt) || !assembly_fetch(rt->assembly, 0, rt->now_ns, &fetch) ||
	    !link_bulk_begin(&rt->link, view->master_id, &frame))
		return false;
	const uint32_t bytes = fetch_encode(frame.bytes + FRAME_HDR_BYTES, &fetch);
	link_bulk_end(&rt->link, &frame, FRAME_FETCH, view->term, bytes, bytes);
	return true;
}

bool
send_turn(struct runtime *rt)
{
	uint32_t wake_slots = 0;
	bool has_any = false;

	if (core_view(rt->core)->role == CORE_MASTER) {
		for (uint32_t i = 0; i < rt->stream_count; i++) {
			if (!stream_is_active(rt->streams[i]) || !send_stream(rt, i))
				continue;
			has_any = true;
			if (rt->now_ns - rt->bulk_sent_ns[i] >= RUNTIME_WAKE_NS)
				wake_slots |= 1u << i;
			rt->bulk_sent_ns[i] = rt->now_ns;
		}
	} else {
		has_any = send_fetch(rt);
	}
	link_bulk_flush(&rt->link);
	for (; wake_slots != 0; wake_slots &= wake_slots - 1)
		wake_peer(rt, (uint32_t)__builtin_ctz(wake_slots));
	peers_acknowledge(rt);
	return has_any;
}

uint64_t
send_deadline_ns(const struct runtime *rt)
{
	uint64_t deadline_ns = UINT64_MAX;

	if (core_view(rt->core)->role != CORE_MASTER)
		return may_fetch(rt) ? assembly_deadline_ns(rt->assembly) : UINT64_MAX;
	for (uint32_t i = 0; i < rt->stream_count; i++)
		if (stream_is_active(rt->streams[i]))
			deadline_ns = min_u64(deadline_ns, stream_deadline_ns(rt->streams[i]));
	return deadline_ns;
}
