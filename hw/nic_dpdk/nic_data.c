/* SPDX-License-Identifier: Apache-2.0 */
/* The data thread's side: bursts. Every function that touches a port asks nic_eth_is_ours first. */
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "hw/nic_dpdk/nic_eth.h"

#define ETHER_TYPE_ARP_HIGH 0x08u
#define ETHER_TYPE_ARP_LOW  0x06u
#define ETHER_TYPE_IP6_HIGH 0x86u
#define IP_PROTOCOL_ICMP6   58u
#define IP6_NEXT_AT         20u /* of an IPv6 packet: what the header is followed by */

static_assert(RTE_PKTMBUF_HEADROOM >= INET_UDP_HDR_BYTES_MAX, "headers stand before the payload");

static bool
has_route(const struct nic *nic, uint16_t node)
{
	return node < NET_NODES_MAX && nic->routes[node].path_count != 0;
}

/* Address resolution, on whichever port it arrives. True: it was. */
static bool
rx_neighbour(struct nic *nic, uint32_t eth_index, const uint8_t *packet, uint32_t bytes)
{
	if (inet_addr_is_v4(&nic->eths[eth_index].ip)) {
		if (bytes < INET_ARP_BYTES || packet[12] != ETHER_TYPE_ARP_HIGH ||
		    packet[13] != ETHER_TYPE_ARP_LOW)
			return false;
		nic_arp_receive(nic, eth_index, packet, bytes);
		return true;
	}
	return bytes > IP6_NEXT_AT && packet[12] == ETHER_TYPE_IP6_HIGH &&
	       packet[IP6_NEXT_AT] == IP_PROTOCOL_ICMP6 &&
	       nic_nd_receive(nic, eth_index, packet, bytes);
}

/* Checks up to UDP. NULL: refused and counted. */
static struct nic_path *
rx_path(struct nic *nic, uint32_t eth_index, const struct rte_mbuf *mbuf, struct inet_udp *udp)
{
	struct nic_eth *eth = &nic->eths[eth_index];
	const uint8_t *packet = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	const enum tern_err err = mbuf->nb_segs == 1
				      ? inet_udp_decode(packet, rte_pktmbuf_data_len(mbuf), udp)
				      : TERN_ERR_MALFORMED;

	if (err != TERN_OK) {
		nic_eth_rx_refused(nic, eth,
				   err == TERN_ERR_MALFORMED ? NIC_REFUSED_MALFORMED
							     : NIC_REFUSED_NOT_OURS);
		return NULL;
	}
	if (!inet_addr_equal(&udp->ip_to, &eth->ip) || udp->port_to < eth->udp_port_base ||
	    udp->port_to - eth->udp_port_base >= (int)NIC_UDP_PORTS ||
	    memcmp(udp->mac_to, eth->mac, INET_MAC_BYTES) != 0) {
		nic_eth_rx_refused(nic, eth, NIC_REFUSED_NOT_OURS);
		return NULL;
	}
	struct nic_path *path = &nic->paths[eth->last_path];
	if (path->eth == eth_index && inet_addr_equal(&path->ip, &udp->ip_from))
		return path;
	path = nic_path_by_ip(nic, eth_index, &udp->ip_from);
	if (path == NULL)
		nic_eth_rx_refused(nic, eth, NIC_REFUSED_UNKNOWN_PEER);
	else
		eth->last_path = (uint32_t)(path - nic->paths);
	return path;
}

/* True: @frame was filled. False: not for us, or cut; the caller frees the buffer. */
static bool
rx_frame(struct nic *nic, uint32_t eth_index, struct rte_mbuf *mbuf, struct net_frame *frame)
{
	struct nic_eth *eth = &nic->eths[eth_index];
	uint8_t *packet = rte_pktmbuf_mtod(mbuf, uint8_t *);
	struct inet_udp udp;

	if (mbuf->nb_segs == 1 && rx_neighbour(nic, eth_index, packet, rte_pktmbuf_data_len(mbuf)))
		return false;
	struct nic_path *path = rx_path(nic, eth_index, mbuf, &udp);
	if (path == NULL)
		return false;
	struct net_node_counters *counters = &nic->stats.nodes[path->node_id];
	if (net_filter_drops(&nic->filter, path->node_id, nic->node_id)) {
		counters->rx_cut++;
		return false;
	}
	/* An answer to ARP may find the ring full of data; the data says the same. */
	if (!path->is_resolved || memcmp(path->mac, udp.mac_from, INET_MAC_BYTES) != 0)
		nic_neighbour_learn(nic, path, udp.mac_from);
	counters->rx_frames++;
	counters->rx_bytes += udp.payload_bytes;
	eth->counters.rx_frames++;
	eth->counters.rx_bytes += udp.payload_bytes;
	*frame = (struct net_frame){ .bytes = packet + inet_udp_hdr_bytes(&eth->ip),
				     .length = udp.payload_bytes,
				     .node = path->node_id,
				     .opaque = mbuf };
	return true;
}

static uint32_t
rx_eth(struct nic *nic, uint32_t eth_index, struct net_frame *frames, uint32_t max)
{
	struct rte_mbuf *mbufs[NET_BURST_MAX];
	struct nic_eth *eth = &nic->eths[eth_index];
	uint32_t taken = 0;

	if (!nic_eth_is_ours(nic, eth))
		return 0;
	const uint32_t got =
	    rte_eth_rx_burst(eth->port_id, 0, mbufs, (uint16_t)min_u32(max, NET_BURST_MAX));
	for (uint32_t i = 0; i < got; i++) {
		if (i + 2 < got)
			rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + 2], void *));
		if (rx_frame(nic, eth_index, mbufs[i], &frames[taken]))
			taken++;
		else
			rte_pktmbuf_free(mbufs[i]);
	}
	return taken;
}

static uint32_t
nic_rx_burst(void *net, struct net_frame *frames, uint32_t max)
{
	struct nic *nic = net;
	const uint64_t now_tsc = rte_rdtsc();
	uint32_t taken = 0;

	if (__builtin_expect(now_tsc >= nic->tick_tsc, 0))
		nic_neighbour_tick(nic, now_tsc);
	uint32_t index = nic->rx_first;
	for (uint32_t i = 0; i < nic->eth_count && taken < max; i++) {
		taken += rx_eth(nic, index, frames + taken, max - taken);
		index = index + 1 < nic->eth_count ? index + 1 : 0;
	}
	nic->rx_first = nic->rx_first + 1 < nic->eth_count ? nic->rx_first + 1 : 0;
	return taken;
}

static void
nic_rx_release(void *net, struct net_frame *frames, uint32_t count)
{
	(void)net;
	for (uint32_t i = 0; i < count; i++) {
		rte_pktmbuf_free(frames[i].opaque);
		frames[i].opaque = NULL;
	}
}

/* Payloads begin where the buffer's data does: the port, and with it the size of the headers, is
 * chosen when they are sent. */
static uint32_t
nic_tx_alloc(void *net, uint16_t node, struct net_frame *frames, uint32_t count)
{
	struct nic *nic = net;
	struct rte_mbuf *mbufs[NET_BURST_MAX];

	count = min_u32(count, NET_BURST_MAX);
	if (!has_route(nic, node) || count == 0)
		return 0;
	const struct nic_path *path = nic_route_path(nic, node);
	if (!nic_eth_is_ours(nic, &nic->eths[path->eth]) || !path->is_resolved)
		return 0;
	if (rte_pktmbuf_alloc_bulk(nic->pool, mbufs, count) != 0) {
		nic->stats.tx_no_buffer += count;
		return 0;
	}
	for (uint32_t i = 0; i < count; i++)
		frames[i] = (struct net_frame){ .bytes = rte_pktmbuf_mtod(mbufs[i], uint8_t *),
						.capacity = nic->routes[node].payload_bytes_max,
						.node = node,
						.opaque = mbufs[i] };
	return count;
}

/* Most frames of a burst are equally long: the last header made for a path is kept. */
static void
tx_header(const struct nic_eth *eth, struct nic_path *path, struct rte_mbuf *mbuf, uint32_t bytes)
{
	const uint32_t header_bytes = inet_udp_hdr_bytes(&eth->ip);

	if (path->header_payload_bytes != bytes) {
		struct inet_udp udp = { .ip_from = eth->ip,
					.ip_to = path->ip,
					.port_from = eth->udp_port_base,
					.port_to = path->udp_port,
					.payload_bytes = bytes };

		memcpy(udp.mac_to, path->mac, INET_MAC_BYTES);
		memcpy(udp.mac_from, eth->mac, INET_MAC_BYTES);
		inet_udp_encode(path->header, &udp);
		path->header_payload_bytes = bytes;
	}
	mbuf->data_off = (uint16_t)(RTE_PKTMBUF_HEADROOM - header_bytes);
	mbuf->data_len = (uint16_t)(bytes + header_bytes);
	mbuf->pkt_len = mbuf->data_len;
	uint8_t *packet = rte_pktmbuf_mtod(mbuf, uint8_t *);
	memcpy(packet, path->header, header_bytes);
	if (header_bytes != INET_UDP_HDR_BYTES)
		inet_udp_seal(packet);
}

static void
tx_closed(struct nic *nic, struct nic_eth *eth, bool is_ours, uint32_t count)
{
	if (!is_ours) {
		nic->stats.drops.tx_link_down += count;
		eth->counters.drops.tx_link_down += count;
	} else {
		nic->stats.drops.tx_no_address += count;
		eth->counters.drops.tx_no_address += count;
	}
}

/* One run of frames to one node: same path, same filter. Returns how many left. */
static uint32_t
tx_run(struct nic *nic, struct net_frame *frames, uint32_t count)
{
	struct rte_mbuf *mbufs[NET_BURST_MAX];
	const uint16_t node = frames[0].node;
	uint64_t bytes = 0;
	uint32_t sent = 0;

	INVARIANT(has_route(nic, node));
	struct nic_path *path = nic_route_path(nic, node);
	struct nic_eth *eth = &nic->eths[path->eth];
	struct net_node_counters *counters = &nic->stats.nodes[node];
	const bool is_cut = net_filter_drops(&nic->filter, nic->node_id, node);
	const bool is_ours = nic_eth_is_ours(nic, eth);
	const bool is_open = !is_cut && is_ours && path->is_resolved;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t length = frames[i].length;

		INVARIANT(length != 0 && length <= eth->payload_bytes_max);
		mbufs[i] = frames[i].opaque;
		frames[i].opaque = NULL;
		if (is_open)
			tx_header(eth, path, mbufs[i], length);
	}
	if (!is_open)
		rte_pktmbuf_free_bulk(mbufs, count);
	if (is_cut)
		counters->tx_cut += count;
	if (!is_open && !is_cut)
		tx_closed(nic, eth, is_ours, count);
	if (!is_open)
		return 0;
	sent = nic_eth_tx(eth, mbufs, count);
	for (uint32_t i = 0; i < sent; i++)
		bytes += frames[i].length;
	counters->tx_frames += sent;
	counters->tx_bytes += bytes;
	eth->counters.tx_frames += sent;
	eth->counters.tx_bytes += bytes;
	if (sent != count)
		nic_eth_tx_refused(nic, eth, count - sent);
	return sent;
}

static uint32_t
nic_tx_burst(void *net, struct net_frame *frames, uint32_t count)
{
	uint32_t sent = 0, first = 0;

	for (uint32_t i = 1; i <= count; i++)
		if (i == count || i - first == NET_BURST_MAX ||
		    frames[i].node != frames[first].node) {
			sent += tx_run(net, frames + first, i - first);
			first = i;
		}
	return sent;
}

static uint32_t
nic_frame_bytes_max(void *net, uint16_t node)
{
	const struct nic *nic = net;

	return has_route(nic, node) ? nic->routes[node].payload_bytes_max : 0;
}

static bool
nic_is_up(void *net, uint16_t node)
{
	struct nic *nic = net;

	return has_route(nic, node) && nic_route_is_up(nic, node);
}

static int
nic_wait_fd(void *net)
{
	(void)net;
	return -1; /* af_packet, af_xdp and memif have no Rx interrupts in 22.11 */
}

static void
nic_stats(void *net, struct net_stats *stats)
{
	struct nic *nic = net;

	*stats = nic->stats;
	stats->port_count = nic->eth_count;
	for (uint32_t i = 0; i < nic->eth_count; i++) {
		struct nic_eth *eth = &nic->eths[i];

		if (nic_eth_is_ours(nic, eth))
			nic_eth_read_counters(eth);
		stats->hw_ipackets += eth->hw_ipackets;
		stats->hw_opackets += eth->hw_opackets;
		stats->hw_imissed += eth->hw_imissed;
		stats->ports[i] = eth->counters;
		stats->ports[i].is_up = nic_port_is_up(nic, i);
	}
}

static const char *
nic_driver(void *net)
{
	const struct nic *nic = net;

	return nic->eths[0].driver;
}

const struct net_ops nic_net_ops = {
	.rx_burst = nic_rx_burst,
	.rx_release = nic_rx_release,
	.tx_alloc = nic_tx_alloc,
	.tx_burst = nic_tx_burst,
	.frame_bytes_max = nic_frame_bytes_max,
	.is_up = nic_is_up,
	.wait_fd = nic_wait_fd,
	.stats = nic_stats,
	.driver = nic_driver,
};
