/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbours: answers ARP requests and neighbour solicitations for our addresses, finds the MACs of
 * configured peers, learns nobody else's. An unknown peer is asked for often at first (a memif
 * connection may lose the first frames of either side) and then once a second; a known one every
 * REFRESH_S, or, where it can be reached over several ports, every PROBE_MS (while it answers, or
 * stopped just now): whether it does tells which of them carry frames (nic_path.c).
 */
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "hw/nic_dpdk/nic_eth.h"

#define FAST_REQUESTS   50u
#define FAST_MS         10u
#define SLOW_MS         1000u
#define PROBE_MS        2u
#define PROBE_SLOW_MS   100u
#define PROBES_FAST     50u /* without an answer; then slowly */
#define PROBES_FOR_ONE  10u /* without an answer; then the peer may have another MAC */
#define REFRESH_S       30u
#define ETHER_BYTES_MIN 60u

static_assert(ETHER_BYTES_MIN >= INET_ARP_BYTES && INET_ND_BYTES >= ETHER_BYTES_MIN, "no padding");

/* A buffer of @bytes zeros; NULL: there is none, counted. */
static uint8_t *
packet_begin(struct nic *nic, uint32_t bytes, struct rte_mbuf **mbuf)
{
	*mbuf = rte_pktmbuf_alloc(nic->pool);
	if (*mbuf == NULL) {
		nic->stats.tx_no_buffer++;
		return NULL;
	}
	uint8_t *packet = (uint8_t *)rte_pktmbuf_append(*mbuf, (uint16_t)bytes);
	memset(packet, 0, bytes);
	return packet;
}

static bool
packet_end(struct nic *nic, struct nic_eth *eth, struct rte_mbuf *mbuf)
{
	/* Whatever was sent before in this call may have found the port to be given up. */
	if (!nic_eth_is_ours(nic, eth))
		rte_pktmbuf_free(mbuf);
	else if (nic_eth_tx(eth, &mbuf, 1) == 1)
		return true;
	nic_eth_tx_refused(nic, eth, 1);
	return false;
}

static bool
arp_send(struct nic *nic, struct nic_eth *eth, const struct inet_arp *arp)
{
	struct rte_mbuf *mbuf;
	uint8_t *packet = packet_begin(nic, ETHER_BYTES_MIN, &mbuf);

	if (packet == NULL)
		return false;
	inet_arp_encode(packet, arp);
	return packet_end(nic, eth, mbuf);
}

static bool
nd_send(struct nic *nic, struct nic_eth *eth, const struct inet_nd *nd)
{
	struct rte_mbuf *mbuf;
	uint8_t *packet = packet_begin(nic, INET_ND_BYTES, &mbuf);

	if (packet == NULL)
		return false;
	inet_nd_encode(packet, nd);
	return packet_end(nic, eth, mbuf);
}

/* ---- asking ---- */

/* One question: to the MAC of a peer that is asked all the time and answers, else to all. True: it
 * left. */
static bool
ask(struct nic *nic, const struct nic_path *path)
{
	struct nic_eth *eth = &nic->eths[path->eth];
	const bool is_for_one =
	    path->is_resolved && nic_path_is_probed(nic, path) && path->unanswered < PROBES_FOR_ONE;

	if (inet_addr_is_v4(&path->ip)) {
		struct inet_arp arp = { .is_request = true,
					.ip_from = inet_addr_v4_of(&eth->ip),
					.ip_to = inet_addr_v4_of(&path->ip) };
		memcpy(arp.mac_from, eth->mac, INET_MAC_BYTES);
		if (is_for_one)
			memcpy(arp.mac_to, path->mac, INET_MAC_BYTES);
		return arp_send(nic, eth, &arp);
	}
	struct inet_nd nd = { .is_solicitation = true,
			      .target = path->ip,
			      .ip_from = eth->ip,
			      .ip_to = is_for_one ? path->ip : inet_nd_group(&path->ip) };
	memcpy(nd.mac_from, eth->mac, INET_MAC_BYTES);
	memcpy(nd.link, eth->mac, INET_MAC_BYTES);
	if (is_for_one)
		memcpy(nd.mac_to, path->mac, INET_MAC_BYTES);
	else
		inet_nd_group_mac(&nd.ip_to, nd.mac_to);
	return nd_send(nic, eth, &nd);
}

static void
request(struct nic *nic, struct nic_path *path, uint64_t now_tsc)
{
	uint64_t wait_ms = SLOW_MS;

	if (path->is_resolved && !nic_path_is_probed(nic, path))
		wait_ms = REFRESH_S * 1000u;
	else if (path->is_resolved)
		wait_ms = path->unanswered < PROBES_FAST ? PROBE_MS : PROBE_SLOW_MS;
	else if (path->requests_open < FAST_REQUESTS)
		wait_ms = FAST_MS;
	path->request_tsc = now_tsc + nic->tsc_hz / 1000u * wait_ms;
	if (!path->is_resolved)
		path->requests_open++;
	if (net_filter_drops(&nic->filter, nic->node_id, path->node_id))
		return;
	if (!ask(nic, path))
		return;
	nic->stats.arp_requests++;
	/* A question that did not leave says nothing of the other side. */
	if (path->is_resolved && path->unanswered < UINT32_MAX)
		path->unanswered++;
}

void
nic_neighbour_start(struct nic *nic, uint32_t eth_index)
{
	const uint64_t now_tsc = rte_rdtsc();

	for (uint32_t i = 0; i < nic->path_count; i++) {
		struct nic_path *path = &nic->paths[i];

		if (path->eth != eth_index)
			continue;
		path->is_resolved = false;
		path->requests_open = 0;
		path->unanswered = 0;
		request(nic, path, now_tsc);
	}
	nic->tick_tsc = now_tsc;
}

void
nic_neighbour_tick(struct nic *nic, uint64_t now_tsc)
{
	nic->tick_tsc = now_tsc + nic->tsc_hz / 1000u * (nic->has_probes ? PROBE_MS : FAST_MS);
	for (uint32_t i = 0; i < nic->path_count; i++) {
		struct nic_path *path = &nic->paths[i];

		if (now_tsc >= path->request_tsc && nic_eth_is_ours(nic, &nic->eths[path->eth]))
			request(nic, path, now_tsc);
	}
}

/* ---- learning ---- */

void
nic_neighbour_learn(struct nic *nic, struct nic_path *path, const uint8_t *mac)
{
	if (memcmp(path->mac, mac, INET_MAC_BYTES) != 0) {
		memcpy(path->mac, mac, INET_MAC_BYTES);
		path->header_payload_bytes = 0;
	}
	if (!path->is_resolved)
		path->unanswered = 0;
	path->is_resolved = true;
	path->requests_open = 0;
	if (!nic_path_is_probed(nic, path))
		path->request_tsc = rte_rdtsc() + nic->tsc_hz * REFRESH_S;
}

/* What was received was said by the peer of @path. False: it is cut off from us. @path NULL:
 * somebody else's, who may ask but teaches us nothing. */
static bool
heard(struct nic *nic, struct nic_path *path, const uint8_t *mac, bool is_answer)
{
	if (path == NULL)
		return true;
	if (net_filter_drops(&nic->filter, path->node_id, nic->node_id)) {
		nic->stats.nodes[path->node_id].rx_cut++;
		return false;
	}
	nic_neighbour_learn(nic, path, mac);
	if (is_answer)
		path->unanswered = 0;
	return true;
}

/* Anybody on the subnet may ask; a peer that is cut off gets no answer. */
static bool
may_answer(const struct nic *nic, const struct nic_path *path)
{
	return path == NULL || !net_filter_drops(&nic->filter, nic->node_id, path->node_id);
}

void
nic_arp_receive(struct nic *nic, uint32_t eth_index, const uint8_t *packet, uint32_t bytes)
{
	struct nic_eth *eth = &nic->eths[eth_index];
	struct inet_arp arp;

	if (inet_arp_decode(packet, bytes, &arp) != TERN_OK) {
		nic_eth_rx_refused(nic, eth, NIC_REFUSED_MALFORMED);
		return;
	}
	const struct inet_addr from = inet_addr_v4(arp.ip_from), to = inet_addr_v4(arp.ip_to);
	if (!inet_addr_equal(&to, &eth->ip)) {
		nic_eth_rx_refused(nic, eth, NIC_REFUSED_NOT_OURS);
		return;
	}
	struct nic_path *path = nic_path_by_ip(nic, eth_index, &from);
	if (!heard(nic, path, arp.mac_from, !arp.is_request) || !arp.is_request ||
	    !may_answer(nic, path))
		return;
	struct inet_arp answer = { .ip_from = arp.ip_to, .ip_to = arp.ip_from };
	memcpy(answer.mac_from, eth->mac, INET_MAC_BYTES);
	memcpy(answer.mac_to, arp.mac_from, INET_MAC_BYTES);
	if (arp_send(nic, eth, &answer))
		nic->stats.arp_replies++;
}

/* RFC 4861, 7.2.4. Whoever has no address yet is told with all others. */
static void
advertise(struct nic *nic, struct nic_eth *eth, const struct inet_nd *asked)
{
	const struct inet_addr all = { { 0xff, 0x02, [15] = 1 } };
	struct inet_nd answer = { .is_solicited = !inet_addr_is_none(&asked->ip_from),
				  .target = asked->target,
				  .ip_from = eth->ip,
				  .ip_to = asked->ip_from };

	memcpy(answer.mac_from, eth->mac, INET_MAC_BYTES);
	memcpy(answer.link, eth->mac, INET_MAC_BYTES);
	memcpy(answer.mac_to, asked->has_link ? asked->link : asked->mac_from, INET_MAC_BYTES);
	if (!answer.is_solicited) {
		answer.ip_to = all;
		inet_nd_group_mac(&all, answer.mac_to);
	}
	if (nd_send(nic, eth, &answer))
		nic->stats.arp_replies++;
}

bool
nic_nd_receive(struct nic *nic, uint32_t eth_index, const uint8_t *packet, uint32_t bytes)
{
	struct nic_eth *eth = &nic->eths[eth_index];
	struct inet_nd nd;
	const enum tern_err err = inet_nd_decode(packet, bytes, &nd);

	if (err == TERN_ERR_UNSUPPORTED)
		return false;
	if (err != TERN_OK) {
		nic_eth_rx_refused(nic, eth, NIC_REFUSED_MALFORMED);
		return true;
	}
	/* Asked is for our address; told is of a peer's. */
	struct nic_path *path =
	    nic_path_by_ip(nic, eth_index, nd.is_solicitation ? &nd.ip_from : &nd.target);
	const uint8_t *mac = nd.has_link ? nd.link : nd.mac_from;
	if (nd.is_solicitation ? !inet_addr_equal(&nd.target, &eth->ip) : path == NULL) {
		nic_eth_rx_refused(nic, eth, NIC_REFUSED_NOT_OURS);
		return true;
	}
	if (heard(nic, path, mac, nd.is_solicited) && nd.is_solicitation && may_answer(nic, path))
		advertise(nic, eth, &nd);
	return true;
}
