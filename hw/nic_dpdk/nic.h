/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_ops on DPDK ethdev ports: PCI devices on their poll-mode drivers and virtual devices:
 *net_memif, and net_af_packet or net_af_xdp on an interface of the kernel (its own link state and
 *MTU). The only folder that includes rte_*.h.
 *
 * Owns: EAL (so there is at most one nic in a process, and it cannot be opened again after a
 * close), the ports, the pool of frame buffers, ARP and neighbour discovery, and the table node ->
 * paths (port, IP, MAC). A node that is reached over several ports has one path in use; nic_path.c
 * says when another takes over.
 *
 * Threads:
 * - nic_open, nic_maintain and nic_close belong to one control thread.
 * - the net_ops of nic_port belong to one data thread, which calls nic_thread_register first and
 *   nic_thread_unregister last. No port carries frames before a data thread is registered.
 *
 * A port belongs to one side at a time:
 *
 *	UP        the data thread bursts on it
 *	DRAINING  the control thread wants it; the data thread gives it up at its next call
 *	CONTROL   the control thread may start, stop and reconnect it; the data thread does not
 *
 * Why: when a memif peer dies, EAL's interrupt thread unmaps the rings that the two share and waits
 * for no burst; when one connects, it maps them and sets indexes back. So while any memif port is
 * UP the interrupt thread is held inside a callback of ours, and is let go only after the data
 * thread gave up every memif port. nic_maintain watches the control sockets of memif itself to know
 * when there is something to let it handle. Ports on PCI devices need interrupts at any time, so
 * they cannot be mixed with memif in one process (CONFIG).
 *
 * Limits: NIC_PORTS_MAX ports, NIC_PEERS_MAX paths, one subnet a port (no router), IPv4 or IPv6 on
 * each.
 */
#ifndef TERN_HW_NIC_DPDK_NIC_H
#define TERN_HW_NIC_DPDK_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/wire/inet_addr.h"
#include "hw/seam/net_ops.h"

#define NIC_PORTS_MAX         NET_PORTS_MAX
#define NIC_PEERS_MAX         64u
#define NIC_DEVICE_BYTES      320u
#define NIC_SOCKET_PATH_MAX   107u  /* a Unix socket path, without its NUL */
#define NIC_PAYLOAD_BYTES_MIN 1448u /* UDP payload: a frame with one unit of a block */
#define NIC_PAYLOAD_BYTES_MAX 8972u /* 8952 over IPv6 */
#define NIC_UDP_PORTS         8u /* a port takes frames to udp_port_base .. + NIC_UDP_PORTS - 1 */

struct nic;

struct nic_port_config {
	/* "net_memif0,role=server,id=0,socket=PATH,socket-abstract=no,bsize=2048,rsize=10",
	 * "net_af_packet0,iface=NAME", "net_af_xdp0,iface=NAME", another virtual device with its
	 * arguments, or a PCI address "0000:01:00.0". */
	char device[NIC_DEVICE_BYTES];
	/* Of UDP: MTU - 28, over IPv6 MTU - 48. 0: 1472, over IPv6 1452 */
	uint16_t payload_bytes_max;
	struct inet_addr ip;    /* ours on this port */
	uint16_t udp_port_base; /* ours: source of what is sent */
};

/* A node over one port; the same node may be there once a port. */
struct nic_peer_config {
	uint16_t node_id;    /* 1..63 */
	uint16_t port;       /* index into ports: where it is reached */
	struct inet_addr ip; /* of the same family as the port's */
	uint16_t udp_port;
};

struct nic_config {
	uint16_t node_id;
	uint32_t cpu;         /* of the data thread; EAL keeps its other threads off it if it can */
	char file_prefix[32]; /* EAL's: unique on this machine; empty: "tern-<node id>-<pid>" */
	char run_dir[96];     /* where EAL makes its directory; empty: EAL's default */
	bool uses_hugepages;  /* false: --no-huge */
	uint32_t port_count, peer_count;
	struct nic_port_config ports[NIC_PORTS_MAX];
	struct nic_peer_config peers[NIC_PEERS_MAX];
	struct net_filter filter;
};

/* Starts EAL and the ports. Borrows @config until return (net_filter's cells for the nic's life).
 * Every refusal leaves a sentence in @err (@err_bytes of room). A memif peer that is not there is
 * no error: the port comes up when it is. Errors: CONFIG; BUSY (second nic, memif socket in use);
 * UNSUPPORTED (no such driver, no hugepages); IO. After an error the process can open no nic. */
TERN_CHECKED enum tern_err
nic_open(const struct nic_config *config, struct nic **nic, char *err, size_t err_bytes);

/* The seam, for the data thread. Valid until nic_close. */
struct net_port nic_port(struct nic *nic);

/* Makes the calling thread the data thread (also when it is the one that called nic_open).
 * BUSY: there is one. IO: EAL has no room for another thread. */
TERN_CHECKED enum tern_err nic_thread_register(struct nic *nic);
/* The data thread, after its last call and after it released all frames: gives up the ports. */
void nic_thread_unregister(struct nic *nic);

/* Watches links, reconnects memif, hands ports over. Blocks for at most about 40 ms; never touches
 * a port that is UP before the data thread gave it up. Returns in how many milliseconds it wants to
 * be called again (1..20); later is safe and only makes reconnection slower. */
uint32_t nic_maintain(struct nic *nic);

/* What a port is doing, for events and status. Any thread. */
bool nic_port_is_up(struct nic *nic, uint32_t port);

/* Stops the ports and EAL and removes EAL's run directory. Only after nic_thread_unregister. */
void nic_close(struct nic *nic);

#endif
