/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/link.h"

#include "dataplane/base/invariant.h"

#define TELL_EVERY_NS 50000000u

/* A notice of what another branch began tells nothing of this one. */
static bool
is_successor(const struct link *link, const struct frame_hdr *hdr,
	     const struct generation_notice *notice)
{
	return hdr->generation.number != link->generation.number + 1 || !notice->is_known ||
	       notice->parent_id == link->generation.id;
}

/* P13: nothing of another generation is taken; but that there is a later one. */
static void
meet_stranger(struct link *link, const struct net_frame *frame, const struct frame_hdr *hdr)
{
	const uint32_t own = link->generation.number, other = hdr->generation.number;
	struct generation_notice notice;

	if (hdr->receiver != link->node_id || hdr->shard != link->shard ||
	    (link->peers >> hdr->sender & 1) == 0)
		return;
	if (other == own)
		return;
	link->strangers |= UINT64_C(1) << hdr->sender;
	if (other < own || hdr->kind != FRAME_GENERATION)
		return;
	if (generation_notice_decode(frame->bytes + FRAME_HDR_BYTES, hdr->body_bytes, &notice) !=
	    TERN_OK) {
		link->drops.malformed++;
		return;
	}
	if (!is_successor(link, hdr, &notice)) {
		link->drops.other_generation++;
		return;
	}
	if (other != own + 1)
		notice = (struct generation_notice){ 0 };
	if (link->later.number < other || (!link->later_notice.is_known && notice.is_known)) {
		link->later = hdr->generation;
		link->later_notice = notice;
	}
}

/* True: of this generation. */
static bool
check_generation(struct link *link, const struct net_frame *frame, const struct frame_hdr *hdr)
{
	const uint32_t own = link->generation.number, other = hdr->generation.number;

	if (generation_equal(&hdr->generation, &link->generation))
		return true;
	if (link->takes_any_generation)
		return true;
	if (other < own)
		link->drops.stale_generation++;
	else if (other > own)
		link->drops.later_generation++;
	else
		link->drops.other_generation++;
	meet_stranger(link, frame, hdr);
	return false;
}

bool
link_accept(struct link *link, const struct net_frame *frame, struct frame_hdr *hdr)
{
	const enum tern_err err = frame_open(frame->bytes, frame->length, hdr);

	if (err == TERN_ERR_VERSION)
		link->drops.version++;
	else if (err != TERN_OK)
		link->drops.malformed++;
	else if (hdr->cluster_id != link->cluster_id)
		link->drops.foreign_cluster++;
	else if (!check_generation(link, frame, hdr) || hdr->kind == FRAME_GENERATION)
		return false; /* counted */
	else if (hdr->sender == link->node_id)
		link->drops.duplicate_id++; /* another node was given this one's id */
	else if (hdr->receiver != link->node_id)
		link->drops.wrong_receiver++;
	else if (hdr->shard != link->shard)
		link->drops.wrong_shard++;
	else if ((link->peers >> hdr->sender & 1) == 0 ||
		 (frame->node != 0 && frame->node != hdr->sender))
		link->drops.unknown_sender++;
	else if (hdr->boot_no == 0) /* a message only; core takes no other than REJOIN */
		return hdr->kind == FRAME_MESSAGE;
	else if (hdr->boot_no < link->peer_boots[hdr->sender])
		link->drops.stale_boot++; /* sent before the peer's last start: promises of then */
	else {
		link->peer_boots[hdr->sender] = hdr->boot_no;
		return true;
	}
	return false;
}

static struct frame_hdr
link_header(struct link *link, uint16_t node, enum frame_kind kind, uint64_t term, uint32_t bytes)
{
	return (struct frame_hdr){
		.kind = kind,
		.body_bytes = bytes,
		.cluster_id = link->cluster_id,
		.generation = link->generation,
		.boot_no = link->boot_no,
		.sender = link->node_id,
		.receiver = node,
		.shard = link->shard,
		.term = term,
		.sequence = ++link->sequence,
	};
}

static void
link_send_on(struct link *link, const struct net_port *port, uint16_t node, uint64_t term,
	     const struct msg *msg)
{
	struct net_frame frame;

	if (port->ops == NULL)
		return;
	if (port->ops->tx_alloc(port->net, node, &frame, 1) != 1) {
		link->drops.tx_no_buffer++;
		return;
	}
	INVARIANT(frame.capacity >= FRAME_HDR_BYTES + MSG_BYTES_MAX);
	const uint32_t bytes = msg_encode(frame.bytes + FRAME_HDR_BYTES, msg);
	const struct frame_hdr hdr = link_header(link, node, FRAME_MESSAGE, term, bytes);
	frame_seal(frame.bytes, &hdr, bytes);
	frame.length = FRAME_HDR_BYTES + bytes;
	(void)port->ops->tx_burst(port->net, &frame, 1);
}

static void
tell(struct link *link, const struct net_port *port, uint16_t node, uint64_t term)
{
	const struct frame_hdr hdr =
	    link_header(link, node, FRAME_GENERATION, term, GENERATION_NOTICE_BYTES);
	struct net_frame frame;

	if (port->ops == NULL)
		return;
	if (port->ops->tx_alloc(port->net, node, &frame, 1) != 1) {
		link->drops.tx_no_buffer++;
		return;
	}
	generation_notice_encode(frame.bytes + FRAME_HDR_BYTES, &link->notice);
	frame_seal(frame.bytes, &hdr, GENERATION_NOTICE_BYTES);
	frame.length = FRAME_HDR_BYTES + GENERATION_NOTICE_BYTES;
	(void)port->ops->tx_burst(port->net, &frame, 1);
}

void
link_tell_strangers(struct link *link, uint64_t term, uint64_t now_ns)
{
	if (link->strangers == 0 || link->is_superseded ||
	    (link->told_ns != 0 && now_ns - link->told_ns < TELL_EVERY_NS))
		return;
	link->told_ns = now_ns;
	for (uint64_t left = link->strangers; left != 0; left &= left - 1)
		tell(link, &link->mgmt, (uint16_t)__builtin_ctzll(left), term);
	link->strangers = 0;
}

void
link_send(struct link *link, uint16_t node, uint8_t paths, uint64_t term, const struct msg *msg)
{
	INVARIANT(node != link->node_id);
	if ((paths & CORE_PATH_DATA) != 0)
		link_send_on(link, &link->data, node, term, msg);
	if ((paths & CORE_PATH_MGMT) != 0)
		link_send_on(link, &link->mgmt, node, term, msg);
}

bool
link_bulk_begin(struct link *link, uint16_t node, struct net_frame *frame)
{
	struct net_frame *spare = &link->spares[node];

	INVARIANT(node < NET_NODES_MAX);
	if (spare->bytes != NULL) {
		*frame = *spare;
		spare->bytes = NULL;
		return true;
	}
	if (link->data.ops->tx_alloc(link->data.net, node, frame, 1) == 1)
		return true;
	link->drops.tx_no_buffer++;
	return false;
}

void
link_bulk_end(struct link *link, struct net_frame *frame, enum frame_kind kind, uint64_t term,
	      uint32_t body_bytes, uint32_t covered_bytes)
{
	const struct frame_hdr hdr = link_header(link, frame->node, kind, term, body_bytes);

	if (body_bytes == 0) {
		INVARIANT(link->spares[frame->node].bytes == NULL);
		link->spares[frame->node] = *frame;
		return;
	}
	INVARIANT(FRAME_HDR_BYTES + body_bytes <= frame->capacity);
	frame_seal(frame->bytes, &hdr, covered_bytes);
	frame->length = FRAME_HDR_BYTES + body_bytes;
	link->burst[link->burst_count++] = *frame;
	if (link->burst_count == NET_BURST_MAX)
		link_bulk_flush(link);
}

void
link_bulk_flush(struct link *link)
{
	if (link->burst_count != 0)
		(void)link->data.ops->tx_burst(link->data.net, link->burst, link->burst_count);
	link->burst_count = 0;
}
