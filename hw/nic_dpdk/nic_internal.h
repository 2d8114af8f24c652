/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of struct nic, shared by the files of this folder only. */
#ifndef TERN_HW_NIC_DPDK_NIC_INTERNAL_H
#define TERN_HW_NIC_DPDK_NIC_INTERNAL_H

#include <poll.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "dataplane/wire/inet.h"
#include "hw/nic_dpdk/nic.h"

struct rte_mbuf;
struct rte_mempool;

/* Who may touch a port; see nic.h. */
enum nic_eth_state { NIC_ETH_CONTROL = 0, NIC_ETH_UP, NIC_ETH_DRAINING };

#define NIC_WATCH_MAX     64u
#define NIC_ETHER_BYTES   14u
#define NIC_IP4_UDP_BYTES (INET_UDP_HDR_BYTES - NIC_ETHER_BYTES)

struct nic_eth {
	_Atomic uint32_t state;      /* enum nic_eth_state */
	_Atomic uint32_t connection; /* control thread: rises when the peer side is a new one */
	_Atomic bool is_link_up;     /* control thread: what the driver said last */
	uint16_t port_id;
	uint16_t udp_port_base;
	struct inet_addr ip;
	uint32_t payload_bytes_max;
	uint8_t mac[INET_MAC_BYTES];
	char driver[32];

	/* Control thread. */
	bool is_memif, is_client, is_started;
	bool is_kernel, is_af_packet; /* on an interface of the kernel: nic_kernel.c */
	char interface[16];
	int interface_fd;    /* is_kernel: a socket in the interface's namespace. Any thread */
	bool has_control_fd; /* a memif control connection exists */
	uint64_t control_id; /* which one: made of socket inodes */
	uint64_t handed_control_id;
	char socket_path[NIC_SOCKET_PATH_MAX + 1];

	/* Data thread. */
	bool was_up;
	bool was_ever_up;
	uint32_t seen_connection;
	uint32_t last_path; /* index: where the last frame came from */
	struct net_port_counters counters;
	uint64_t hw_ipackets, hw_opackets, hw_imissed;
};

/* What IP and UDP put before a payload on this port; the MTU and the frame that it makes. */
static inline uint32_t
nic_eth_ip_udp_bytes(const struct nic_eth *eth)
{
	return inet_udp_hdr_bytes(&eth->ip) - NIC_ETHER_BYTES;
}
static inline uint32_t
nic_eth_mtu(const struct nic_eth *eth)
{
	return eth->payload_bytes_max + nic_eth_ip_udp_bytes(eth);
}
static inline uint32_t
nic_eth_frame_bytes(const struct nic_eth *eth)
{
	return eth->payload_bytes_max + inet_udp_hdr_bytes(&eth->ip);
}

/* One node over one port. */
struct nic_path {
	uint16_t node_id, udp_port;
	uint32_t eth; /* index */
	struct inet_addr ip;
	/* Data thread. */
	bool is_resolved;
	uint32_t requests_open;        /* questions since the last answer, while it is not */
	uint32_t unanswered;           /* questions that left since the last answer, while it is */
	uint64_t request_tsc;          /* when to ask (again) */
	uint32_t header_payload_bytes; /* what header was made for; 0: make it anew */
	uint8_t mac[INET_MAC_BYTES];
	uint8_t header[INET_UDP_HDR_BYTES_MAX];
};

/* All paths to one node, in the order of the ports, and the one in use. */
struct nic_route {
	uint8_t path_count, current; /* data thread: current */
	uint8_t paths[NIC_PORTS_MAX];
	uint32_t payload_bytes_max; /* what every port takes */
};

/* The place where EAL's interrupt thread is held. Never freed: it may be held for ever. */
struct nic_gate {
	void *handle; /* struct rte_intr_handle */
	int event_fd;
	uint32_t hold_last;           /* control thread: number of the last hold */
	_Atomic uint32_t hold_wanted; /* the hold in force; 0: go on */
	_Atomic uint32_t hold_obeyed; /* the hold that the interrupt thread is in; 0: none */
	_Atomic uint32_t signal;      /* futex word, rises when hold_wanted changes */
};

struct nic {
	uint16_t node_id;
	bool has_memif;
	_Atomic bool is_attached; /* a data thread is registered */
	bool is_registered_here;  /* rte_thread_register was ours to call */
	bool has_probes;          /* some node can be reached over several ports */
	uint32_t eth_count, path_count;
	struct nic_eth eths[NIC_PORTS_MAX];
	struct nic_path paths[NIC_PEERS_MAX];
	struct nic_route routes[NET_NODES_MAX]; /* by node id */
	struct net_filter filter;
	struct rte_mempool *pool;

	/* Data thread. */
	/* What begins on a port of ours that came up: nic_neighbour_start. */
	void (*came_up)(struct nic *nic, uint32_t eth_index);
	uint32_t rx_first; /* the port that the next rx_burst begins with */
	uint64_t tick_tsc; /* when nic_neighbour_tick is due */
	uint64_t tsc_hz;
	struct net_stats stats;

	/* Control thread. */
	struct nic_gate gate;
	struct pollfd watch[NIC_WATCH_MAX];
	uint32_t watch_count;
	char runtime_dir[256];
};

#define NIC_EAL_ARGS_MAX  (16u + 2u * NIC_PORTS_MAX)
#define NIC_EAL_ARG_BYTES NIC_DEVICE_BYTES

struct nic_eal_args {
	int count;
	char text[NIC_EAL_ARGS_MAX][NIC_EAL_ARG_BYTES];
	char *list[NIC_EAL_ARGS_MAX + 1];
};

/* nic_eal.c */
void
nic_eal_args_build(struct nic_eal_args *args, const struct nic_config *config, uint32_t pool_mib);
enum tern_err nic_eal_start(const struct nic_config *config, uint32_t pool_mib, struct nic *nic,
			    char *err, size_t err_bytes);
void nic_eal_stop(struct nic *nic);

/* nic_gate.c. Control thread; hold and release wait for the interrupt thread, up to 20 ms. */
enum tern_err nic_gate_open(struct nic_gate *gate);
bool nic_gate_hold(struct nic_gate *gate);
bool nic_gate_is_held(const struct nic_gate *gate);
bool nic_gate_release(struct nic_gate *gate);

/* nic_link.c */
bool nic_link_read(const struct nic_eth *eth);
void nic_watch_scan(struct nic *nic);

/* nic_kernel.c */
/* The value of "key=" among a virtual device's arguments; false: it is not there, or too long. */
bool nic_device_argument(const char *device, const char *key, char *value, size_t bytes);
enum tern_err
nic_kernel_check(struct nic_eth *eth, const char *device, char *err, size_t err_bytes);
/* Gives the sockets of net_af_packet ports room for a whole ring. */
void nic_kernel_buffers(void);
/* The interface is up and has a carrier. Any thread. */
bool nic_kernel_is_running(const struct nic_eth *eth);

/* nic_data.c */
extern const struct net_ops nic_net_ops;

/* nic_neighbour.c. Data thread, port UP. */
void nic_neighbour_start(struct nic *nic, uint32_t eth_index);
void nic_neighbour_tick(struct nic *nic, uint64_t now_tsc);
void nic_neighbour_learn(struct nic *nic, struct nic_path *path, const uint8_t *mac);
void nic_arp_receive(struct nic *nic, uint32_t eth_index, const uint8_t *packet, uint32_t bytes);
/* False: @packet is nothing of neighbour discovery. */
bool nic_nd_receive(struct nic *nic, uint32_t eth_index, const uint8_t *packet, uint32_t bytes);

/* nic_path.c. Data thread. @node: one with a route. */
struct nic_path *nic_route_path(struct nic *nic, uint16_t node);
bool nic_route_is_up(struct nic *nic, uint16_t node);
/* Whether it is asked all the time, because the node has others. Any thread. */
bool nic_path_is_probed(const struct nic *nic, const struct nic_path *path);
/* Any thread. */
struct nic_path *nic_path_by_ip(struct nic *nic, uint32_t eth_index, const struct inet_addr *ip);

#endif
