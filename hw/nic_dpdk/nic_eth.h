/* SPDX-License-Identifier: Apache-2.0 */
/* A port in the hands of the data thread: whether it is, what is counted of it, and how it sends.
 * Data thread. */
#ifndef TERN_HW_NIC_DPDK_NIC_ETH_H
#define TERN_HW_NIC_DPDK_NIC_ETH_H

#include "hw/nic_dpdk/nic_internal.h"

/* What nic_eth_is_ours does when a port is not ours, and when it has become ours; and answers
 * then. */
__attribute__((cold)) bool nic_eth_given_up(struct nic_eth *eth, uint32_t state);
__attribute__((cold)) bool nic_eth_came_up(struct nic *nic, struct nic_eth *eth);
/* True when the port is the data thread's until this is called again; acknowledges DRAINING. Who
 * calls something that sends must not count on an answer of before. */
static inline bool
nic_eth_is_ours(struct nic *nic, struct nic_eth *eth)
{
	const uint32_t state = atomic_load_explicit(&eth->state, memory_order_acquire);

	if (__builtin_expect(state != NIC_ETH_UP, 0))
		return nic_eth_given_up(eth, state);
	if (__builtin_expect(!eth->was_up, 0))
		return nic_eth_came_up(nic, eth);
	return true;
}
/* Our port. memif shows zeros once it is disconnected, so what was seen last is kept. */
void nic_eth_read_counters(struct nic_eth *eth);

/* Counted, for the port and for all. */
enum nic_refused { NIC_REFUSED_MALFORMED, NIC_REFUSED_NOT_OURS, NIC_REFUSED_UNKNOWN_PEER };
void nic_eth_rx_refused(struct nic *nic, struct nic_eth *eth, enum nic_refused why);
/* @count frames that the driver did not take. The port stays whose it is. */
void nic_eth_tx_refused(struct nic *nic, struct nic_eth *eth, uint32_t count);
/* Sends; takes all @count buffers and returns how many the driver took. */
uint32_t nic_eth_tx(const struct nic_eth *eth, struct rte_mbuf **mbufs, uint32_t count);

#endif
