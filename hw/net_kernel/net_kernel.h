/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_ops on one kernel UDP socket (IPv4 or IPv6): the management network of data nodes, and all
 * that a witness has.
 *
 * Owns: the socket, two pools of NET_KERNEL_BUFFERS frame buffers each. Peers are told apart by
 * address and port, so several may live on 127.0.0.1. Frames of others are counted drops. All
 * addresses are of one family.
 * Limits: frames of at most NET_KERNEL_FRAME_BYTES_MAX bytes; NET_KERNEL_PEERS_MAX peers.
 * Thread: one owner. Nothing blocks or allocates after the open.
 */
#ifndef TERN_HW_NET_KERNEL_H
#define TERN_HW_NET_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/wire/inet_addr.h"
#include "hw/seam/net_ops.h"

#define NET_KERNEL_FRAME_BYTES_MAX 1472u
#define NET_KERNEL_BUFFERS         128u
#define NET_KERNEL_PEERS_MAX       63u

struct net_kernel;

struct net_kernel_peer {
	uint16_t node_id; /* 1..63 */
	uint16_t port;    /* host order */
	struct inet_addr ip;
};

struct net_kernel_config {
	uint16_t node_id;    /* self */
	uint16_t port;       /* host order; 0: the kernel chooses, see net_kernel_udp_port */
	struct inet_addr ip; /* to bind to; none: any of IPv4 */
	uint32_t peer_count;
	struct net_kernel_peer peers[NET_KERNEL_PEERS_MAX];
	struct net_filter filter;
};

/* Binds the socket. Borrows @config until return (net_filter's cells for the adapter's life).
 * Every refusal leaves a sentence in @err (@err_bytes of room).
 * Errors: CONFIG (ids, addresses), BUSY (address in use), NO_MEMORY, IO. */
TERN_CHECKED enum tern_err net_kernel_open(const struct net_kernel_config *config,
					   struct net_kernel **net, char *err, size_t err_bytes);
void net_kernel_close(struct net_kernel *net);

/* The seam. wait_fd is the socket. */
struct net_port net_kernel_port(struct net_kernel *net);

/* The port that the socket is bound to, host order. */
uint16_t net_kernel_udp_port(const struct net_kernel *net);

/* Adds a peer or changes its address (before the owner's first burst, or by the owner).
 * CONFIG: id or address out of range or taken. */
TERN_CHECKED enum tern_err
net_kernel_peer_set(struct net_kernel *net, const struct net_kernel_peer *peer);

#endif
