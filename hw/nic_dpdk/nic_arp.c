/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ARP: answers requests for our addresses, finds the MACs of configured peers, learns nobody
 * else's. An unknown peer is asked for often at first (a memif connection may lose the first frames
 * of either side) and then once a second; a known one every ARP_REFRESH_S.
 */
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "hw/nic_dpdk/nic_internal.h"

#define ARP_FAST_REQUESTS 50u
#define ARP_FAST_MS       10u
#define ARP_SLOW_MS       1000u
#define ARP_REFRESH_S     30u
#define ETHER_BYTES_MIN   60u

struct nic_peer *
nic_peer_by_ip(struct nic *nic, uint32_t eth_index, uint32_t ip)
{
	for (uint32_t i = 0; i < nic->peer_count; i++)
		if (nic->peers[i].ip == ip && nic->peers[i].eth == eth_index)
			return &nic->peers[i];
	return NULL;
}

static bool
arp_send(struct nic *nic, const struct nic_eth *eth, const struct inet_arp *arp)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(nic->pool);

	if (mbuf == NULL) {
		nic->stats.tx_no_buffer++;
		return false;
	}
	uint8_t *bytes = (uint8_t *)rte_pktmbuf_append(mbuf, ETHER_BYTES_MIN);
	memset(bytes, 0, ETHER_BYTES_MIN);
	inet_arp_encode(bytes, arp);
	if (nic_eth_tx(eth, &mbuf, 1) == 1)
		return true;
	nic->stats.tx_dropped++;
	return false;
}

static void
arp_request(struct nic *nic, struct nic_peer *peer, uint64_t now_tsc)
{
	const struct nic_eth *eth = &nic->eths[peer->eth];
	struct inet_arp arp = { .is_request = true, .ip_from = eth->ip, .ip_to = peer->ip };
	uint64_t wait_ms = ARP_SLOW_MS;

	if (peer->is_resolved)
		wait_ms = ARP_REFRESH_S * 1000u;
	else if (peer->requests_open < ARP_FAST_REQUESTS)
		wait_ms = ARP_FAST_MS;
	peer->request_tsc = now_tsc + nic->tsc_hz / 1000u * wait_ms;
	peer->requests_open++;
	if (net_filter_drops(&nic->filter, nic->node_id, peer->node_id))
		return;
	memcpy(arp.mac_from, eth->mac, INET_MAC_BYTES);
	if (arp_send(nic, eth, &arp))
		nic->stats.arp_requests++;
}

void
nic_arp_start(struct nic *nic, uint32_t eth_index)
{
	const uint64_t now_tsc = rte_rdtsc();

	for (uint32_t i = 0; i < nic->peer_count; i++) {
		struct nic_peer *peer = &nic->peers[i];

		if (peer->eth != eth_index)
			continue;
		peer->is_resolved = false;
		peer->requests_open = 0;
		arp_request(nic, peer, now_tsc);
	}
	nic->tick_tsc = now_tsc;
}

void
nic_arp_tick(struct nic *nic, uint64_t now_tsc)
{
	nic->tick_tsc = now_tsc + nic->tsc_hz / 1000u * ARP_FAST_MS;
	for (uint32_t i = 0; i < nic->peer_count; i++) {
		struct nic_peer *peer = &nic->peers[i];

		if (now_tsc >= peer->request_tsc && nic_eth_is_ours(nic, &nic->eths[peer->eth]))
			arp_request(nic, peer, now_tsc);
	}
}

void
nic_arp_learn(struct nic *nic, struct nic_peer *peer, const uint8_t *mac)
{
	if (memcmp(peer->mac, mac, INET_MAC_BYTES) != 0) {
		memcpy(peer->mac, mac, INET_MAC_BYTES);
		peer->header_payload_bytes = 0;
	}
	peer->is_resolved = true;
	peer->requests_open = 0;
	peer->request_tsc = rte_rdtsc() + nic->tsc_hz * ARP_REFRESH_S;
}

void
nic_arp_receive(struct nic *nic, uint32_t eth_index, const uint8_t *packet, uint32_t bytes)
{
	const struct nic_eth *eth = &nic->eths[eth_index];
	struct inet_arp arp;

	if (inet_arp_decode(packet, bytes, &arp) != TERN_OK || arp.ip_to != eth->ip) {
		nic->stats.rx_dropped++;
		return;
	}
	struct nic_peer *peer = nic_peer_by_ip(nic, eth_index, arp.ip_from);
	if (peer != NULL) {
		if (net_filter_drops(&nic->filter, peer->node_id, nic->node_id))
			return;
		nic_arp_learn(nic, peer, arp.mac_from);
	}
	if (!arp.is_request)
		return;
	/* Anybody on the subnet may ask; a peer that is cut off gets no answer. */
	if (peer != NULL && net_filter_drops(&nic->filter, nic->node_id, peer->node_id))
		return;
	struct inet_arp answer = { .ip_from = eth->ip, .ip_to = arp.ip_from };
	memcpy(answer.mac_from, eth->mac, INET_MAC_BYTES);
	memcpy(answer.mac_to, arp.mac_from, INET_MAC_BYTES);
	if (arp_send(nic, eth, &answer))
		nic->stats.arp_replies++;
}
