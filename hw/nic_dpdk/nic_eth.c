/* SPDX-License-Identifier: Apache-2.0 */
/* A port in the hands of the data thread: whether it is, what is counted of it, and how it
 * sends. */
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/base/bits.h"
#include "hw/nic_dpdk/nic_eth.h"

void
nic_eth_read_counters(struct nic_eth *eth)
{
	struct rte_eth_stats hw;

	if (rte_eth_stats_get(eth->port_id, &hw) != 0)
		return;
	eth->hw_ipackets = max_u64(eth->hw_ipackets, hw.ipackets);
	eth->hw_opackets = max_u64(eth->hw_opackets, hw.opackets);
	eth->hw_imissed = max_u64(eth->hw_imissed, hw.imissed);
}

bool
nic_eth_given_up(struct nic_eth *eth, uint32_t state)
{
	eth->was_up = false;
	if (state == NIC_ETH_DRAINING) {
		nic_eth_read_counters(eth);
		atomic_store_explicit(&eth->state, NIC_ETH_CONTROL, memory_order_release);
	}
	return false;
}

static bool
is_up(const struct nic_eth *eth)
{
	return atomic_load_explicit(&eth->state, memory_order_acquire) == NIC_ETH_UP;
}

bool
nic_eth_came_up(struct nic *nic, struct nic_eth *eth)
{
	const uint32_t connection = atomic_load(&eth->connection);

	eth->was_up = true;
	if (eth->was_ever_up && connection == eth->seen_connection)
		return true; /* the port was only borrowed */
	if (eth->was_ever_up)
		nic->stats.reconnects++;
	eth->was_ever_up = true;
	eth->seen_connection = connection;
	nic->came_up(nic, (uint32_t)(eth - nic->eths));
	/* Whoever sent there may have given the port up. */
	return is_up(eth);
}

void
nic_eth_rx_refused(struct nic *nic, struct nic_eth *eth, enum nic_refused why)
{
	switch (why) {
	case NIC_REFUSED_MALFORMED:
		nic->stats.drops.rx_malformed++;
		eth->counters.drops.rx_malformed++;
		return;
	case NIC_REFUSED_NOT_OURS:
		nic->stats.drops.rx_not_ours++;
		eth->counters.drops.rx_not_ours++;
		return;
	case NIC_REFUSED_UNKNOWN_PEER:
		nic->stats.drops.rx_unknown_peer++;
		eth->counters.drops.rx_unknown_peer++;
		return;
	}
}

void
nic_eth_tx_refused(struct nic *nic, struct nic_eth *eth, uint32_t count)
{
	if (!is_up(eth) || !atomic_load_explicit(&eth->is_link_up, memory_order_relaxed)) {
		nic->stats.drops.tx_link_down += count;
		eth->counters.drops.tx_link_down += count;
		return;
	}
	nic->stats.drops.tx_ring_full += count;
	eth->counters.drops.tx_ring_full += count;
}

/* net_af_packet frees what it copied into its ring even when it then reports that nothing was sent
 * (the interface went down). So each buffer is held here, and what the driver let go was taken.
 * Nothing is given to it while the link is down: it would fill its ring and wait there. */
static uint32_t
tx_af_packet(const struct nic_eth *eth, struct rte_mbuf **mbufs, uint32_t count)
{
	uint32_t taken = 0;

	if (nic_kernel_is_running(eth)) {
		for (uint32_t i = 0; i < count; i++)
			rte_mbuf_refcnt_set(mbufs[i], 2);
		(void)rte_eth_tx_burst(eth->port_id, 0, mbufs, (uint16_t)count);
		for (uint32_t i = 0; i < count; i++) {
			taken += rte_mbuf_refcnt_read(mbufs[i]) == 1;
			rte_mbuf_refcnt_set(mbufs[i], 1);
		}
	}
	rte_pktmbuf_free_bulk(mbufs, count);
	return taken;
}

uint32_t
nic_eth_tx(const struct nic_eth *eth, struct rte_mbuf **mbufs, uint32_t count)
{
	if (eth->is_af_packet)
		return tx_af_packet(eth, mbufs, count);
	const uint32_t sent = rte_eth_tx_burst(eth->port_id, 0, mbufs, (uint16_t)count);
	if (sent < count)
		rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
	return sent;
}
