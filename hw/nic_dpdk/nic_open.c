/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing: configuration, EAL, pool, ports; and registering the data thread. */
#define _GNU_SOURCE
#include "hw/nic_dpdk/nic.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "dataplane/base/bits.h"
#include "dataplane/wire/fragment.h"
#include "hw/nic_dpdk/nic_internal.h"

#define MTU_DEFAULT     1500u
#define NIC_DESCRIPTORS 1024u
/* For the data thread's frames; one below a power of two, as DPDK asks. */
#define NIC_MBUFS           4095u
#define XDP_MBUFS           8192u /* net_af_xdp: its fill ring and its send ring, both full */
#define NIC_MBUF_CACHE      256u
#define NIC_MBUF_OVERHEAD   512u /* mbuf, headroom and pool header, rounded up */
#define NIC_ROOM_SMALL      2048u
#define NIC_ROOM_JUMBO      9216u
#define MEMIF_BSIZE_DEFAULT 2048u
#define STAT_NODE_MAX       (NET_NODES_MAX - 1)

static_assert(NIC_PAYLOAD_BYTES_MIN == FRAME_HDR_BYTES + FRAGMENT_HDR_BYTES + FRAGMENT_UNIT_BYTES,
	      "a unit fits");

struct refusal {
	char *text;
	size_t bytes;
};

__attribute__((format(printf, 3, 4))) static enum tern_err
refuse(const struct refusal *to, enum tern_err err, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	if (to->bytes != 0)
		(void)vsnprintf(to->text, to->bytes, format, list);
	va_end(list);
	return err;
}

/* A server that was killed leaves its socket file behind, and memif refuses to listen there. */
static enum tern_err
memif_socket_clear(const char *path, const struct refusal *to)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat facts;

	if (lstat(path, &facts) != 0)
		return TERN_OK;
	if (!S_ISSOCK(facts.st_mode))
		return refuse(to, TERN_ERR_CONFIG, "memif socket %s exists and is no socket", path);
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return refuse(to, TERN_ERR_IO, "no socket: %s", strerror(errno));
	memcpy(address.sun_path, path, strlen(path) + 1);
	const int result = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	const int reason = errno;
	(void)close(fd);
	if (result == 0 || reason == EAGAIN)
		return refuse(to, TERN_ERR_BUSY, "memif socket %s is served by a running process",
			      path);
	if (unlink(path) != 0 && errno != ENOENT)
		return refuse(to, TERN_ERR_IO, "memif socket %s cannot be removed: %s", path,
			      strerror(errno));
	return TERN_OK;
}

static enum tern_err
memif_check(struct nic *nic, struct nic_eth *eth, const char *device, const struct refusal *to)
{
	char value[NIC_DEVICE_BYTES];
	uint64_t buffer_bytes = MEMIF_BSIZE_DEFAULT;

	eth->is_memif = true;
	nic->has_memif = true;
	if (!nic_device_argument(device, "socket", value, sizeof(value)))
		return refuse(to, TERN_ERR_CONFIG, "%s: socket=PATH is missing", device);
	if (strlen(value) > NIC_SOCKET_PATH_MAX)
		return refuse(to, TERN_ERR_CONFIG,
			      "memif socket path of %zu bytes, at most %u are possible: %s",
			      strlen(value), NIC_SOCKET_PATH_MAX, value);
	memcpy(eth->socket_path, value, strlen(value) + 1);
	for (struct nic_eth *other = nic->eths; other < eth; other++)
		if (strcmp(other->socket_path, eth->socket_path) == 0)
			return refuse(to, TERN_ERR_CONFIG, "two ports use memif socket %s", value);
	if (!nic_device_argument(device, "socket-abstract", value, sizeof(value)) ||
	    strcmp(value, "no") != 0)
		return refuse(to, TERN_ERR_CONFIG, "%s: socket-abstract=no is missing", device);
	if (nic_device_argument(device, "zero-copy", value, sizeof(value)) &&
	    strcmp(value, "no") != 0)
		return refuse(to, TERN_ERR_CONFIG, "%s: zero-copy is not supported", device);
	if (nic_device_argument(device, "bsize", value, sizeof(value)))
		buffer_bytes = strtoul(value, NULL, 10);
	if (buffer_bytes < nic_eth_frame_bytes(eth))
		return refuse(to, TERN_ERR_CONFIG, "%s: bsize is below a frame of %u bytes", device,
			      nic_eth_frame_bytes(eth));
	eth->is_client = !nic_device_argument(device, "role", value, sizeof(value)) ||
			 strcmp(value, "server") != 0;
	return eth->is_client ? TERN_OK : memif_socket_clear(eth->socket_path, to);
}

static enum tern_err
port_check(const struct nic_port_config *from, uint32_t number, struct nic *nic,
	   const struct refusal *to)
{
	struct nic_eth *eth = &nic->eths[number];

	if (memchr(from->device, '\0', sizeof(from->device)) == NULL || from->device[0] == '\0' ||
	    inet_addr_is_none(&from->ip) || from->udp_port_base == 0 ||
	    from->udp_port_base > UINT16_MAX - NIC_UDP_PORTS)
		return refuse(to, TERN_ERR_CONFIG,
			      "data port %u: device, ip or udp port out of range", number);
	eth->ip = from->ip;
	eth->udp_port_base = from->udp_port_base;
	eth->payload_bytes_max = from->payload_bytes_max;
	if (eth->payload_bytes_max == 0)
		eth->payload_bytes_max = MTU_DEFAULT - nic_eth_ip_udp_bytes(eth);
	if (eth->payload_bytes_max < NIC_PAYLOAD_BYTES_MIN ||
	    nic_eth_mtu(eth) > NIC_PAYLOAD_BYTES_MAX + NIC_IP4_UDP_BYTES)
		return refuse(to, TERN_ERR_CONFIG, "data port %u: payload of %u bytes, %u..%u",
			      number, eth->payload_bytes_max, NIC_PAYLOAD_BYTES_MIN,
			      NIC_PAYLOAD_BYTES_MAX + NIC_IP4_UDP_BYTES -
				  nic_eth_ip_udp_bytes(eth));
	if (strncmp(from->device, "net_memif", 9) == 0)
		return memif_check(nic, eth, from->device, to);
	if (strncmp(from->device, "net_af_", 7) == 0)
		return nic_kernel_check(eth, from->device, to->text, to->bytes);
	return TERN_OK;
}

static enum tern_err
ports_check(const struct nic_config *config, struct nic *nic, const struct refusal *to)
{
	bool has_pci = false;

	if (config->port_count == 0 || config->port_count > NIC_PORTS_MAX)
		return refuse(to, TERN_ERR_CONFIG, "%u data ports, 1..%u are possible",
			      config->port_count, NIC_PORTS_MAX);
	nic->eth_count = config->port_count;
	for (uint32_t i = 0; i < config->port_count; i++) {
		const enum tern_err err = port_check(&config->ports[i], i, nic, to);
		if (err != TERN_OK)
			return err;
		has_pci = has_pci || strncmp(config->ports[i].device, "net_", 4) != 0;
	}
	if (has_pci && nic->has_memif)
		return refuse(to, TERN_ERR_CONFIG, "memif and PCI ports cannot be mixed");
	return TERN_OK;
}

/* True: taken into the route of its node. */
static bool
path_add(struct nic *nic, const struct nic_peer_config *from)
{
	if (from->node_id == 0 || from->node_id > STAT_NODE_MAX || from->node_id == nic->node_id ||
	    from->port >= nic->eth_count || from->udp_port == 0 || inet_addr_is_none(&from->ip) ||
	    inet_addr_is_v4(&from->ip) != inet_addr_is_v4(&nic->eths[from->port].ip) ||
	    nic_path_by_ip(nic, from->port, &from->ip) != NULL)
		return false;
	const struct nic_eth *eth = &nic->eths[from->port];
	struct nic_route *route = &nic->routes[from->node_id];
	for (uint32_t i = 0; i < route->path_count; i++)
		if (nic->paths[route->paths[i]].eth == from->port)
			return false;
	if (route->path_count == 0)
		nic->stats.nodes[from->node_id].port = from->port;
	if (route->path_count == 0 || eth->payload_bytes_max < route->payload_bytes_max)
		route->payload_bytes_max = eth->payload_bytes_max;
	route->paths[route->path_count++] = (uint8_t)nic->path_count;
	nic->has_probes = nic->has_probes || route->path_count > 1;
	nic->paths[nic->path_count++] = (struct nic_path){ .node_id = from->node_id,
							   .udp_port = from->udp_port,
							   .eth = from->port,
							   .ip = from->ip };
	return true;
}

static enum tern_err
peers_check(const struct nic_config *config, struct nic *nic, const struct refusal *to)
{
	if (config->node_id == 0 || config->node_id > STAT_NODE_MAX ||
	    config->peer_count > NIC_PEERS_MAX ||
	    memchr(config->file_prefix, '\0', sizeof(config->file_prefix)) == NULL ||
	    memchr(config->run_dir, '\0', sizeof(config->run_dir)) == NULL)
		return refuse(to, TERN_ERR_CONFIG, "node id, peer count or paths out of range");
	nic->node_id = config->node_id;
	nic->filter = config->filter;
	for (uint32_t i = 0; i < config->peer_count; i++)
		if (!path_add(nic, &config->peers[i]))
			return refuse(to, TERN_ERR_CONFIG,
				      "peer %u: id, port or address out of range or taken",
				      config->peers[i].node_id);
	return TERN_OK;
}

static enum tern_err
port_find(const struct nic_port_config *from, struct nic_eth *eth, const struct refusal *to)
{
	char name[64];
	const size_t length = strcspn(from->device, ",");

	if (length >= sizeof(name))
		return refuse(to, TERN_ERR_CONFIG, "device name too long: %s", from->device);
	memcpy(name, from->device, length);
	name[length] = '\0';
	if (strncmp(name, "net_", 4) == 0) {
		const char *arguments =
		    from->device[length] == ',' ? from->device + length + 1 : "";

		if (rte_eal_hotplug_add("vdev", name, arguments) != 0)
			return refuse(to, TERN_ERR_UNSUPPORTED, "DPDK cannot make %s (%s)",
				      from->device, rte_strerror(rte_errno));
	}
	if (rte_eth_dev_get_port_by_name(name, &eth->port_id) != 0)
		return refuse(to, TERN_ERR_UNSUPPORTED, "DPDK has no driver for %s", name);
	return TERN_OK;
}

static enum tern_err
port_start(struct nic *nic, const struct nic_port_config *from, struct nic_eth *eth,
	   const struct refusal *to)
{
	const struct rte_eth_conf none = { 0 };
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	uint16_t rx = NIC_DESCRIPTORS, tx = NIC_DESCRIPTORS;

	const enum tern_err err = port_find(from, eth, to);
	if (err != TERN_OK)
		return err;
	const uint16_t id = eth->port_id;
	const int socket = rte_eth_dev_socket_id(id);
	if (rte_eth_dev_info_get(id, &info) != 0 || rte_eth_dev_configure(id, 1, 1, &none) != 0 ||
	    rte_eth_dev_adjust_nb_rx_tx_desc(id, &rx, &tx) != 0 ||
	    rte_eth_rx_queue_setup(id, 0, rx, (unsigned)socket, NULL, nic->pool) != 0 ||
	    rte_eth_tx_queue_setup(id, 0, tx, (unsigned)socket, NULL) != 0 ||
	    rte_eth_macaddr_get(id, &mac) != 0)
		return refuse(to, TERN_ERR_IO, "%s cannot be configured", from->device);
	memcpy(eth->mac, mac.addr_bytes, sizeof(eth->mac));
	(void)snprintf(eth->driver, sizeof(eth->driver), "%s", info.driver_name);
	if (nic_eth_mtu(eth) > MTU_DEFAULT && !eth->is_kernel) {
		/* Virtual devices have no such call and need none; an interface has its own. */
		const int result = rte_eth_dev_set_mtu(id, (uint16_t)nic_eth_mtu(eth));
		if (result != 0 && result != -ENOTSUP && !eth->is_memif)
			return refuse(to, TERN_ERR_CONFIG, "%s refuses an MTU of %u bytes",
				      from->device, nic_eth_mtu(eth));
	}
	eth->is_started = rte_eth_dev_start(id) == 0;
	if (!eth->is_started && !eth->is_client)
		return refuse(to, TERN_ERR_IO, "%s cannot be started", from->device);
	return TERN_OK;
}

static uint32_t
room_bytes(const struct nic *nic)
{
	for (uint32_t i = 0; i < nic->eth_count; i++)
		if (nic_eth_frame_bytes(&nic->eths[i]) > NIC_ROOM_SMALL)
			return NIC_ROOM_JUMBO;
	return NIC_ROOM_SMALL;
}

static uint32_t
pool_count(const struct nic *nic)
{
	uint32_t count = NIC_MBUFS;

	/* memif copies into and out of buffers within a burst; others keep them in their rings. */
	for (uint32_t i = 0; i < nic->eth_count; i++)
		if (nic->eths[i].is_kernel && !nic->eths[i].is_af_packet)
			count += XDP_MBUFS;
		else if (!nic->eths[i].is_memif)
			count += 2 * NIC_DESCRIPTORS;
	return count;
}

static enum tern_err
nic_start(const struct nic_config *config, struct nic *nic, const struct refusal *to)
{
	const uint32_t count = pool_count(nic), room = room_bytes(nic);
	const uint32_t pool_mib =
	    (uint32_t)div_up_u64((uint64_t)count * (room + NIC_MBUF_OVERHEAD), 1024u * 1024u);
	enum tern_err err = nic_eal_start(config, pool_mib, nic, to->text, to->bytes);

	if (err != TERN_OK)
		return err;
	nic->tsc_hz = rte_get_tsc_hz();
	nic->pool =
	    rte_pktmbuf_pool_create("tern_frames", count, NIC_MBUF_CACHE, 0,
				    (uint16_t)(room + RTE_PKTMBUF_HEADROOM), (int)rte_socket_id());
	if (nic->pool == NULL)
		return refuse(to, TERN_ERR_NO_MEMORY, "no memory for %u frames of %u bytes", count,
			      room);
	for (uint32_t i = 0; i < nic->eth_count; i++) {
		err = port_start(nic, &config->ports[i], &nic->eths[i], to);
		if (err != TERN_OK)
			return err;
	}
	nic_kernel_buffers();
	if (nic->has_memif && nic_gate_open(&nic->gate) != TERN_OK)
		return refuse(to, TERN_ERR_IO, "EAL's interrupt thread takes no source of ours");
	nic_watch_scan(nic);
	return TERN_OK;
}

enum tern_err
nic_open(const struct nic_config *config, struct nic **out, char *err_text, size_t err_bytes)
{
	const struct refusal to = { err_text, err_bytes };

	*out = NULL;
	/* Mapped, not allocated, and never unmapped: the interrupt thread may be held in it when
	 * the process ends. */
	struct nic *nic =
	    mmap(NULL, sizeof(*nic), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (nic == MAP_FAILED)
		return refuse(&to, TERN_ERR_NO_MEMORY, "no memory for the data ports");
	nic->gate.event_fd = -1;
	nic->came_up = nic_neighbour_start;
	enum tern_err err = ports_check(config, nic, &to);
	if (err == TERN_OK)
		err = peers_check(config, nic, &to);
	if (err != TERN_OK) {
		(void)munmap(nic, sizeof(*nic));
		return err;
	}
	err = nic_start(config, nic, &to);
	if (err != TERN_OK) {
		if (nic->runtime_dir[0] != '\0')
			nic_eal_stop(nic);
		return err;
	}
	*out = nic;
	return TERN_OK;
}

struct net_port
nic_port(struct nic *nic)
{
	return (struct net_port){ .ops = &nic_net_ops, .net = nic };
}

enum tern_err
nic_thread_register(struct nic *nic)
{
	if (atomic_load(&nic->is_attached))
		return TERN_ERR_BUSY;
	nic->is_registered_here = rte_lcore_id() == LCORE_ID_ANY;
	if (nic->is_registered_here && rte_thread_register() != 0)
		return TERN_ERR_IO;
	atomic_store(&nic->is_attached, true);
	return TERN_OK;
}

void
nic_thread_unregister(struct nic *nic)
{
	atomic_store(&nic->is_attached, false);
	for (uint32_t i = 0; i < nic->eth_count; i++) {
		nic->eths[i].was_up = false;
		atomic_store(&nic->eths[i].state, NIC_ETH_CONTROL);
	}
	if (nic->is_registered_here)
		rte_thread_unregister();
	nic->is_registered_here = false;
}

void
nic_close(struct nic *nic)
{
	const bool is_quiet = !nic->has_memif || nic_gate_hold(&nic->gate);

	/* The interrupt thread stays held: memif frees what its listener still points to. */
	for (uint32_t i = 0; i < nic->eth_count && is_quiet; i++) {
		atomic_store(&nic->eths[i].state, NIC_ETH_CONTROL);
		(void)rte_eth_dev_stop(nic->eths[i].port_id);
		(void)rte_eth_dev_close(nic->eths[i].port_id);
	}
	nic_eal_stop(nic);
}
