/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network seam: bursts of frames between nodes. A frame is a UDP payload
 * (dataplane/wire/frame.h); Ethernet, ARP, IP and UDP are the adapter's. Implemented by hw/nic_dpdk
 * (data ports), hw/net_kernel (management network) and by the simulator.
 *
 * A frame is addressed by node id; the adapter knows which port, MAC and IP belong to it. No call
 * blocks, allocates or formats text. Dev-only drop filters (struct net_filter) sit at the lowest
 * send and receive point of every adapter.
 * Thread: the lcore that owns the adapter's data side; control threads use net_maintain only.
 */
#ifndef TERN_HW_SEAM_NET_OPS_H
#define TERN_HW_SEAM_NET_OPS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef TERN_TINY_LIMITS
#define NET_BURST_MAX 4u
#else
#define NET_BURST_MAX 32u
#endif
#define NET_NODES_MAX 64u
#define NET_PORTS_MAX 8u

struct net_frame {
	uint8_t *bytes;    /* the UDP payload */
	uint32_t length;   /* rx: bytes received. tx: bytes to send, set by the caller */
	uint32_t capacity; /* tx: room at bytes */
	uint16_t node;     /* rx: who sent it by address (0: unknown). tx: to whom */
	void *opaque;      /* the adapter's */
};

struct net_node_counters {
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes; /* passed the filter */
	uint64_t rx_cut, tx_cut;                           /* dropped by the dev filter */
	uint64_t takeovers; /* times that another port took over from the one in use */
	uint32_t port;      /* the one in use: frames to the node leave by it */
};

/* Reasons for which an adapter drops frames, counted one by one. */
#define NET_DROPS(X)                                                          \
	X(rx_malformed)    /* below the frame: lengths, checksums, options */ \
	X(rx_not_ours)     /* another protocol, address or port */            \
	X(rx_unknown_peer) /* for us, from an address of no node */           \
	X(tx_link_down)                                                       \
	X(tx_no_address) /* nobody has answered for the peer's address */     \
	X(tx_ring_full)

struct net_drops {
#define X(name) uint64_t name;
	NET_DROPS(X)
#undef X
};

/* One port of several. */
struct net_port_counters {
	bool is_up;
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes; /* as of nodes */
	struct net_drops drops;
};

struct net_stats {
	struct net_drops drops;
	uint64_t tx_no_buffer;
	uint64_t arp_requests, arp_replies; /* and their like over IPv6 */
	uint64_t reconnects;                /* times a dead port came back */
	/* The driver's own counters; of sockets: datagrams taken from and given to the kernel. */
	uint64_t hw_ipackets, hw_opackets, hw_imissed;
	uint32_t port_count; /* 0: the adapter has no ports */
	struct net_port_counters ports[NET_PORTS_MAX];
	struct net_node_counters nodes[NET_NODES_MAX];
};

static inline uint64_t
net_drops_rx(const struct net_drops *drops)
{
	return drops->rx_malformed + drops->rx_not_ours + drops->rx_unknown_peer;
}

static inline uint64_t
net_drops_tx(const struct net_drops *drops)
{
	return drops->tx_link_down + drops->tx_no_address + drops->tx_ring_full;
}

struct net_ops {
	/* Up to @max received frames, lent until rx_release. Returns how many. */
	uint32_t (*rx_burst)(void *net, struct net_frame *frames, uint32_t max);
	void (*rx_release)(void *net, struct net_frame *frames, uint32_t count);
	/* Buffers for frames to @node, whose node, bytes and capacity are set. Returns how many
	 * were had (0: link down or pool empty). They are the caller's until tx_burst. */
	uint32_t (*tx_alloc)(void *net, uint16_t node, struct net_frame *frames, uint32_t count);
	/* Sends; takes all of @frames always. Returns how many left the node; the rest is dropped
	 * and counted. */
	uint32_t (*tx_burst)(void *net, struct net_frame *frames, uint32_t count);
	/* Bytes of UDP payload that a frame to @node can carry; 0: no such node here. */
	uint32_t (*frame_bytes_max)(void *net, uint16_t node);
	bool (*is_up)(void *net, uint16_t node);
	/* A descriptor that becomes readable when frames arrive; -1: poll only. */
	int (*wait_fd)(void *net);
	void (*stats)(void *net, struct net_stats *stats);
	/* "net_memif", "kernel_udp", ...: what status names. Static. */
	const char *(*driver)(void *net);
};

struct net_port {
	const struct net_ops *ops;
	void *net;
};

/* Dev-only drop filter: cells[from * NET_NODES_MAX + to] != 0 means frames are dropped, at both
 * ends. The memory is a shared mapping of a file that `tern dev cut` writes; NULL: no filter. */
struct net_filter {
	const volatile uint8_t *cells;
};
static inline bool
net_filter_drops(const struct net_filter *filter, uint16_t from, uint16_t to)
{
	return filter->cells != 0 && from < NET_NODES_MAX && to < NET_NODES_MAX &&
	       filter->cells[(uint32_t)from * NET_NODES_MAX + to] != 0;
}

#endif
