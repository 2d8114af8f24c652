/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

#include "dataplane/base/invariant.h"

/* Acknowledgements travel with the data; the answers to heartbeats repeat them on every path. What
 * the log reclaims goes by both, so the stream has to know of both: it would wait for ever for the
 * chance to repeat what is gone. */
static void
on_progress(const struct runtime *rt, struct stream *stream, const struct msg *msg)
{
	if (!stream_is_active(stream))
		return;
	if (msg->kind == MSG_APPEND_ACK && msg->append_ack.status != MSG_APPEND_CONFLICT)
		stream_on_ack(stream, msg->append_ack.received_index,
			      msg->append_ack.credit_end_page, rt->now_ns);
	else if (msg->kind == MSG_HEARTBEAT_ACK)
		stream_on_received(stream, msg->heartbeat_ack.received_index, rt->now_ns);
}

static void
on_message(struct runtime *rt, const struct frame_hdr *hdr, const uint8_t *body,
	   enum core_path path)
{
	struct msg msg = { .sender = hdr->sender, .boot_no = hdr->boot_no, .term = hdr->term };

	if (msg_decode(body, hdr->body_bytes, &msg) != TERN_OK) {
		rt->link.drops.malformed++;
		return;
	}
	const struct core_event event = {
		.kind = CORE_EVENT_MESSAGE, .now_ns = rt->now_ns, .msg = &msg, .path = path
	};
	if (dispatch(rt, &event) != TERN_OK) {
		rt->link.drops.core_refused++;
		return;
	}
	const struct core_view *view = core_view(rt->core);
	const uint32_t slot = peers_slot(rt, hdr->sender);
	if (view->role == CORE_MASTER && view->term == msg.term && slot != UINT32_MAX)
		on_progress(rt, rt->streams[slot], &msg);
	/* Credit that grew without a block in between (apply made room) is told on the beat. */
	if (msg.kind == MSG_HEARTBEAT && hdr->sender == rt->accept_node && !rt->has_ack &&
	    rt->ack_node == hdr->sender && rt->ack_term == view->term &&
	    rt->ack.append_ack.status != MSG_APPEND_CONFLICT &&
	    rt->credit_sent != cmdlog_credit_end_page(rt->log) && !rt->cut.is_pending)
		rt->has_ack = true;
}

/* Copies the units of an accepted fragment to their place in the ring, those that are missing. */
static bool
place_units(struct runtime *rt, const struct fragment_hdr *fragment, const uint8_t *units)
{
	const uint32_t tail_units =
	    fragment->block_units - (fragment->block_pages - 1) * FRAGMENT_UNITS_PER_PAGE;
	const uint32_t tail_bytes =
	    (tail_units - 1) * FRAGMENT_UNIT_BYTES + fragment->last_unit_bytes;
	uint8_t *block =
	    cmdlog_place(rt->log, fragment->page_lsn, fragment->block_pages, tail_bytes);
	uint32_t left = fragment_payload_bytes(fragment);

	if (block == NULL)
		return false;
	for (uint32_t i = 0; i < fragment->unit_count; i++) {
		const uint32_t unit = fragment->unit_first + i;
		const uint32_t bytes = min_u32(left, FRAGMENT_UNIT_BYTES);
		if (!assembly_has_unit(rt->assembly, fragment->log_index, unit))
			memcpy(block + (uint64_t)(unit / FRAGMENT_UNITS_PER_PAGE) * PAGE_BYTES +
				   PAGE_IDENTITY_BYTES +
				   unit % FRAGMENT_UNITS_PER_PAGE * FRAGMENT_UNIT_BYTES,
			       units + i * FRAGMENT_UNIT_BYTES, bytes);
		left -= bytes;
	}
	assembly_mark(rt->assembly, fragment);
	return true;
}

/* The log does not take the next block. Where there is no room the same would not be taken again:
 * until a checkpoint makes some, there is no hurry. */
static void
refuse(struct runtime *rt, enum tern_err err)
{
	if (err == TERN_ERR_LOG_FULL) {
		rt->link.drops.block_no_room++;
		assembly_defer(rt->assembly, rt->now_ns);
		return;
	}
	if (err == TERN_ERR_TOO_LARGE)
		rt->link.drops.block_too_large++;
	else
		rt->link.drops.block_corrupt++;
	assembly_reject(rt->assembly, rt->now_ns);
}

static void
take_blocks(struct runtime *rt)
{
	struct assembly_block block;

	while (!rt->cut.is_pending && assembly_next(rt->assembly, &block)) {
		struct core_event event = { .kind = CORE_EVENT_RECEIVED, .now_ns = rt->now_ns };

		const uint8_t *bytes = block.page_lsn == cmdlog_next_page_lsn(rt->log)
					   ? cmdlog_place(rt->log, block.page_lsn, block.pages, 0)
					   : NULL;
		if (bytes == NULL) {
			rt->link.drops.block_corrupt++;
			assembly_reject(rt->assembly, rt->now_ns);
			return;
		}
		const enum status_stage before = stage_enter(rt, STAGE_verify);
		const enum tern_err err =
		    cmdlog_accept(rt->log, block.pages, core_view(rt->core)->term, &event.block);
		(void)stage_enter(rt, before);
		if (err != TERN_OK) {
			refuse(rt, err);
			return;
		}
		assembly_take(rt->assembly);
		struct membership next, preceding;
		if (event.block.kind == BLOCK_CONFIG) {
			/* cmdlog_accept has read it already. */
			const enum tern_err read = membership_of_block(bytes, &next, &preceding);
			INVARIANT(read == TERN_OK);
			event.next = &next;
			event.before = &preceding;
		}
		/* Verified, and of a fixed place in every block. */
		if (bytes[PAGE_PAYLOAD_OFFSET + offsetof(struct block_hdr_le, class_)] !=
		    COMMAND_DURABLE)
			rt->memory_ns = rt->now_ns;
		if (dispatch(rt, &event) != TERN_OK)
			rt->link.drops.core_refused++;
	}
}

/* Sends the last acknowledgement once more, with the credit of now, at the end of this turn. */
static void
acknowledge_again(struct runtime *rt, uint16_t node)
{
	if (rt->ack_node == node && rt->ack_term == core_view(rt->core)->term &&
	    rt->ack.append_ack.status != MSG_APPEND_CONFLICT)
		rt->has_ack = true;
}

static void
on_block(struct runtime *rt, const struct frame_hdr *hdr, const uint8_t *body)
{
	const struct core_view *view = core_view(rt->core);
	struct fragment_hdr fragment;

	if (fragment_decode(body, hdr->body_bytes, &fragment) != TERN_OK) {
		rt->link.drops.malformed++;
		return;
	}
	if ((hdr->term != view->term || hdr->sender != view->master_id ||
	     hdr->sender != rt->accept_node) &&
	    !runtime_has_bug(rt, CORE_BUG_OLD_FRAGMENT)) {
		rt->link.drops.stale_term++;
		return;
	}
	if (!loss_is_settled(rt)) {
		rt->link.drops.fragment_refused++;
		return;
	}
	/* No part of it is kept: under this limit the log never takes it. */
	if (fragment.block_pages > cmdlog_block_pages_max(rt->config.command_bytes_max)) {
		rt->link.drops.block_too_large++;
		return;
	}
	switch (
	    assembly_offer(rt->assembly, &fragment, cmdlog_credit_end_page(rt->log), rt->now_ns)) {
	case ASSEMBLY_TAKE:
		if (!place_units(rt, &fragment, body + FRAGMENT_HDR_BYTES))
			rt->link.drops.fragment_ahead++;
		else
			take_blocks(rt);
		break;
	case ASSEMBLY_DUPLICATE:
		/* The sender may hold that there is no room for it: what said so was lost, and it
		 * asks with the first fragment of a block that it takes for refused. */
		rt->link.drops.fragment_duplicate++;
		acknowledge_again(rt, hdr->sender);
		break;
	case ASSEMBLY_OLD:
		/* The sender repeats what was acknowledged: our answer was lost. */
		rt->link.drops.fragment_old++;
		acknowledge_again(rt, hdr->sender);
		break;
	case ASSEMBLY_AHEAD:
		/* The sender does not know our credit. */
		rt->link.drops.fragment_ahead++;
		acknowledge_again(rt, hdr->sender);
		break;
	case ASSEMBLY_REFUSED:
		rt->link.drops.fragment_refused++;
		break;
	}
}

static void
on_fetch(struct runtime *rt, const struct frame_hdr *hdr, const uint8_t *body)
{
	const struct core_view *view = core_view(rt->core);
	const uint32_t slot = peers_slot(rt, hdr->sender);
	struct fetch fetch;

	if (fetch_decode(body, hdr->body_bytes, &fetch) != TERN_OK) {
		rt->link.drops.malformed++;
		return;
	}
	if (view->role != CORE_MASTER || hdr->term != view->term || slot == UINT32_MAX ||
	    !stream_is_active(rt->streams[slot])) {
		rt->link.drops.stale_term++;
		return;
	}
	stream_on_fetch(rt->streams[slot], &fetch, rt->now_ns);
}

static void
on_frame(struct runtime *rt, const struct net_frame *frame, enum core_path path)
{
	const uint8_t *body = frame->bytes + FRAME_HDR_BYTES;
	struct frame_hdr hdr;

	if (!link_accept(&rt->link, frame, &hdr))
		return;
	if (path == CORE_PATH_MGMT)
		rt->mgmt_heard_ns[hdr.sender] = rt->now_ns;
	switch (hdr.kind) {
	case FRAME_MESSAGE:
		on_message(rt, &hdr, body, path);
		break;
	case FRAME_BLOCK:
		rt->busy_count++;
		on_block(rt, &hdr, body);
		break;
	case FRAME_FETCH:
		rt->busy_count++;
		on_fetch(rt, &hdr, body);
		break;
	case FRAME_PART_ASK:
		rt->busy_count++;
		source_on_ask(rt, &hdr, body);
		break;
	case FRAME_PART:
		rt->busy_count++;
		transfer_on_part(rt, &hdr, body);
		break;
	case FRAME_GENERATION:
		break; /* the link has read it */
	}
}

static bool
receive_port(struct runtime *rt, const struct net_port *port, enum core_path path)
{
	struct net_frame frames[NET_BURST_MAX];
	bool has_any = false;

	if (port->ops == NULL)
		return false; /* a node that has no peers on this path */
	for (uint32_t burst = 0; burst < RUNTIME_RX_BURSTS_MAX; burst++) {
		const uint32_t count = port->ops->rx_burst(port->net, frames, NET_BURST_MAX);
		for (uint32_t i = 0; i < count; i++)
			on_frame(rt, &frames[i], path);
		const uint32_t kept = (rt->config.own_bugs & RUNTIME_BUG_LEAK_FRAMES) != 0 &&
				      count != 0 && rt->turns % 4096 == 0;
		if (count != kept)
			port->ops->rx_release(port->net, frames, count - kept);
		has_any = has_any || count != 0;
		if (count < NET_BURST_MAX)
			return has_any;
	}
	rt->has_backlog = true;
	return has_any;
}

bool
receive_turn(struct runtime *rt)
{
	bool has_any = receive_port(rt, &rt->link.data, CORE_PATH_DATA);

	/* The management network costs a system call a look: while frames or work in flight keep
	 * the loop turning, and shortly after traffic, it is looked at every 50 us; in quiet turns,
	 * always. */
	const bool is_turning = has_any || hold_devices(rt) || rt->write_head != rt->write_tail ||
				rt->now_ns - rt->traffic_ns < RUNTIME_QUIET_NS;
	if (rt->link.mgmt.ops != NULL &&
	    (!is_turning || rt->now_ns - rt->mgmt_polled_ns >= RUNTIME_MGMT_POLL_NS)) {
		rt->mgmt_polled_ns = rt->now_ns;
		/* What wakes this node there follows what it was woken for. */
		if (receive_port(rt, &rt->link.mgmt, CORE_PATH_MGMT)) {
			(void)receive_port(rt, &rt->link.data, CORE_PATH_DATA);
			has_any = true;
		}
	}
	return has_any;
}
