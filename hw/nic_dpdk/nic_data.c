/* SPDX-License-Identifier: Apache-2.0 */
/* The data thread's side: bursts. Every function that touches a port asks nic_eth_is_ours first. */
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "hw/nic_dpdk/nic_internal.h"

#define ETHER_TYPE_ARP_HIGH 0x08u
#define ETHER_TYPE_ARP_LOW  0x06u

/* Our port. memif shows zeros once it is disconnected, so what was seen last is kept. */
static void
eth_read_counters(struct nic_eth *eth)
{
	struct rte_eth_stats hw;

	if (rte_eth_stats_get(eth->port_id, &hw) != 0)
		return;
	eth->hw_ipackets = max_u64(eth->hw_ipackets, hw.ipackets);
	eth->hw_opackets = max_u64(eth->hw_opackets, hw.opackets);
	eth->hw_imissed = max_u64(eth->hw_imissed, hw.imissed);
}

static __attribute__((noinline, cold)) bool
eth_given_up(struct nic_eth *eth, uint32_t state)
{
	eth->was_up = false;
	if (state == NIC_ETH_DRAINING) {
		eth_read_counters(eth);
		atomic_store_explicit(&eth->state, NIC_ETH_CONTROL, memory_order_release);
	}
	return false;
}

static __attribute__((noinline, cold)) void
eth_came_up(struct nic *nic, struct nic_eth *eth)
{
	const uint32_t connection = atomic_load(&eth->connection);

	eth->was_up = true;
	if (eth->was_ever_up && connection == eth->seen_connection)
		return; /* the port was only borrowed */
	if (eth->was_ever_up)
		nic->stats.reconnects++;
	eth->was_ever_up = true;
	eth->seen_connection = connection;
	nic_arp_start(nic, (uint32_t)(eth - nic->eths));
}

bool
nic_eth_is_ours(struct nic *nic, struct nic_eth *eth)
{
	const uint32_t state = atomic_load_explicit(&eth->state, memory_order_acquire);

	if (__builtin_expect(state != NIC_ETH_UP, 0))
		return eth_given_up(eth, state);
	if (__builtin_expect(!eth->was_up, 0))
		eth_came_up(nic, eth);
	return true;
}

static struct nic_peer *
peer_of_node(struct nic *nic, uint16_t node)
{
	if (node >= NET_NODES_MAX || nic->peer_of_node[node] == NIC_NODE_NONE)
		return NULL;
	return &nic->peers[nic->peer_of_node[node]];
}

/* True: @frame was filled. False: it was ARP, not for us, or cut; the caller frees the buffer. */
static bool
rx_frame(struct nic *nic, uint32_t eth_index, struct rte_mbuf *mbuf, struct net_frame *frame)
{
	struct nic_eth *eth = &nic->eths[eth_index];
	uint8_t *packet = rte_pktmbuf_mtod(mbuf, uint8_t *);
	const uint32_t bytes = rte_pktmbuf_data_len(mbuf);
	struct inet_udp udp;

	if (mbuf->nb_segs == 1 && bytes >= INET_ARP_BYTES && packet[12] == ETHER_TYPE_ARP_HIGH &&
	    packet[13] == ETHER_TYPE_ARP_LOW) {
		nic_arp_receive(nic, eth_index, packet, bytes);
		return false;
	}
	if (mbuf->nb_segs != 1 || inet_udp_decode(packet, bytes, &udp) != TERN_OK ||
	    udp.ip_to != eth->ip || udp.port_to < eth->udp_port_base ||
	    udp.port_to - eth->udp_port_base >= (int)NIC_UDP_PORTS ||
	    memcmp(udp.mac_to, eth->mac, INET_MAC_BYTES) != 0) {
		nic->stats.rx_dropped++;
		return false;
	}
	struct nic_peer *peer = &nic->peers[eth->last_peer];
	if (peer->ip != udp.ip_from || peer->eth != eth_index) {
		peer = nic_peer_by_ip(nic, eth_index, udp.ip_from);
		if (peer == NULL) {
			nic->stats.rx_dropped++;
			return false;
		}
		eth->last_peer = (uint32_t)(peer - nic->peers);
	}
	struct net_node_counters *counters = &nic->stats.nodes[peer->node_id];
	if (net_filter_drops(&nic->filter, peer->node_id, nic->node_id)) {
		counters->rx_cut++;
		return false;
	}
	/* An answer to ARP may find the ring full of data; the data says the same. */
	if (!peer->is_resolved || memcmp(peer->mac, udp.mac_from, INET_MAC_BYTES) != 0)
		nic_arp_learn(nic, peer, udp.mac_from);
	counters->rx_frames++;
	counters->rx_bytes += udp.payload_bytes;
	*frame = (struct net_frame){ .bytes = packet + INET_UDP_HDR_BYTES,
				     .length = udp.payload_bytes,
				     .node = peer->node_id,
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
		nic_arp_tick(nic, now_tsc);
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

static uint32_t
nic_tx_alloc(void *net, uint16_t node, struct net_frame *frames, uint32_t count)
{
	struct nic *nic = net;
	struct rte_mbuf *mbufs[NET_BURST_MAX];
	const struct nic_peer *peer = peer_of_node(nic, node);

	count = min_u32(count, NET_BURST_MAX);
	if (peer == NULL || count == 0 || !nic_eth_is_ours(nic, &nic->eths[peer->eth]) ||
	    !peer->is_resolved)
		return 0;
	if (rte_pktmbuf_alloc_bulk(nic->pool, mbufs, count) != 0) {
		nic->stats.tx_no_buffer += count;
		return 0;
	}
	for (uint32_t i = 0; i < count; i++)
		frames[i] = (struct net_frame){ .bytes = rte_pktmbuf_mtod(mbufs[i], uint8_t *) +
							 INET_UDP_HDR_BYTES,
						.capacity = nic->eths[peer->eth].payload_bytes_max,
						.node = node,
						.opaque = mbufs[i] };
	return count;
}

/* Most frames of a burst are equally long: the last header made for a peer is kept. */
static void
tx_header(const struct nic_eth *eth, struct nic_peer *peer, uint8_t *packet, uint32_t bytes)
{
	if (peer->header_payload_bytes != bytes) {
		struct inet_udp udp = { .ip_from = eth->ip,
					.ip_to = peer->ip,
					.port_from = eth->udp_port_base,
					.port_to = peer->udp_port,
					.payload_bytes = bytes };

		memcpy(udp.mac_to, peer->mac, INET_MAC_BYTES);
		memcpy(udp.mac_from, eth->mac, INET_MAC_BYTES);
		inet_udp_encode(peer->header, &udp);
		peer->header_payload_bytes = bytes;
	}
	memcpy(packet, peer->header, INET_UDP_HDR_BYTES);
}

/* One run of frames to one node: same peer, same port, same filter. Returns how many left. */
static uint32_t
tx_run(struct nic *nic, struct net_frame *frames, uint32_t count)
{
	struct rte_mbuf *mbufs[NET_BURST_MAX];
	struct nic_peer *peer = peer_of_node(nic, frames[0].node);
	uint32_t sent = 0;

	INVARIANT(peer != NULL);
	struct nic_eth *eth = &nic->eths[peer->eth];
	struct net_node_counters *counters = &nic->stats.nodes[peer->node_id];
	const bool is_cut = net_filter_drops(&nic->filter, nic->node_id, peer->node_id);
	const bool is_open = !is_cut && nic_eth_is_ours(nic, eth) && peer->is_resolved;

	uint64_t bytes = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = frames[i].opaque;
		const uint32_t length = frames[i].length;

		INVARIANT(length != 0 && length <= eth->payload_bytes_max);
		tx_header(eth, peer, frames[i].bytes - INET_UDP_HDR_BYTES, length);
		mbuf->data_len = (uint16_t)(length + INET_UDP_HDR_BYTES);
		mbuf->pkt_len = mbuf->data_len;
		mbufs[i] = mbuf;
		frames[i].opaque = NULL;
	}
	if (is_open)
		sent = nic_eth_tx(eth, mbufs, count);
	else
		rte_pktmbuf_free_bulk(mbufs, count);
	for (uint32_t i = 0; i < sent; i++)
		bytes += frames[i].length;
	counters->tx_frames += sent;
	counters->tx_bytes += bytes;
	if (is_cut)
		counters->tx_cut += count;
	else
		nic->stats.tx_dropped += count - sent;
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
	struct nic *nic = net;
	const struct nic_peer *peer = peer_of_node(nic, node);

	return peer == NULL ? 0 : nic->eths[peer->eth].payload_bytes_max;
}

static bool
nic_is_up(void *net, uint16_t node)
{
	struct nic *nic = net;
	const struct nic_peer *peer = peer_of_node(nic, node);

	if (peer == NULL)
		return false;
	struct nic_eth *eth = &nic->eths[peer->eth];
	return nic_eth_is_ours(nic, eth) &&
	       atomic_load_explicit(&eth->is_link_up, memory_order_relaxed) && peer->is_resolved;
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
	for (uint32_t i = 0; i < nic->eth_count; i++) {
		struct nic_eth *eth = &nic->eths[i];

		if (nic_eth_is_ours(nic, eth))
			eth_read_counters(eth);
		stats->hw_ipackets += eth->hw_ipackets;
		stats->hw_opackets += eth->hw_opackets;
		stats->hw_imissed += eth->hw_imissed;
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
