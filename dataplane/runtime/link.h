/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames between this node and its peers: headers, checks, counted drops, and the two paths (data
 * port, management network). Shared by data nodes and the witness.
 * Thread: the owner of the ports.
 */
#ifndef TERN_RUNTIME_LINK_H
#define TERN_RUNTIME_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/core/core.h"
#include "dataplane/runtime/status.h"
#include "dataplane/wire/frame.h"
#include "hw/seam/net_ops.h"

struct link {
	uint64_t cluster_id, sequence;
	struct generation generation;
	struct generation_notice notice; /* that this node gives */
	uint32_t boot_no;
	uint16_t node_id, shard;
	uint64_t peers;             /* mask of node ids that may talk to us */
	struct net_port data, mgmt; /* ops NULL: this node has no such path */
	struct status_drops drops;
	uint32_t peer_boots[NET_NODES_MAX];     /* highest boot_no heard of each node */
	struct net_frame spares[NET_NODES_MAX]; /* by node: begun and not used; bytes NULL: none */
	struct net_frame burst[NET_BURST_MAX];  /* bulk frames that are sealed and not yet sent */
	uint32_t burst_count;

	/* Between generations: who is to be told of this one (mask), and when it was told last; the
	 * latest one that this node was told of, and what; number 0: none. */
	uint64_t strangers, told_ns;
	struct generation later;
	struct generation_notice later_notice;
	bool is_superseded;        /* it tells nobody any more */
	bool takes_any_generation; /* tests only: P13 dropped */
};

/* Checks a received frame up to its header; a bad one is counted. True: use it. */
bool link_accept(struct link *link, const struct net_frame *frame, struct frame_hdr *hdr);

/* Tells those of other generations of this one, now and then: an earlier one learns that it is
 * over, a later one that there is somebody who does not know. @term: of the frames. */
void link_tell_strangers(struct link *link, uint64_t term, uint64_t now_ns);

/* Encodes @msg into one frame for each path of @paths. Drops are counted. */
void
link_send(struct link *link, uint16_t node, uint8_t paths, uint64_t term, const struct msg *msg);

/* A frame for bulk bytes to @node over the data port; the body goes to frame->bytes +
 * FRAME_HDR_BYTES. False: none to be had now. */
bool link_bulk_begin(struct link *link, uint16_t node, struct net_frame *frame);
/* Seals it; it is sent with others, at the latest by link_bulk_flush. @covered_bytes as in
 * frame_seal. @body_bytes 0: the frame is kept for the next link_bulk_begin to that node. */
void link_bulk_end(struct link *link, struct net_frame *frame, enum frame_kind kind, uint64_t term,
		   uint32_t body_bytes, uint32_t covered_bytes);
/* Sends what was sealed. Before the end of each turn. */
void link_bulk_flush(struct link *link);

#endif
