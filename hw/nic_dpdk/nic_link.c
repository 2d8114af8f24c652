/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread's side: links, memif connections, and handing ports over.
 *
 * memif speaks to its peer over a Unix socket that EAL's interrupt thread serves; a readable one
 * means that a peer came, went, or is in the middle of a handshake. While a memif port is UP that
 * thread is held (nic_gate.c), so we look for those sockets among our descriptors by the path they
 * are bound or connected to, and poll them. Descriptors are stable while the thread is held: only
 * it and this thread open and close them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <rte_ethdev.h>

#include "hw/nic_dpdk/nic_internal.h"

#define DRAIN_WAIT_US      5000u
#define DRAIN_STEP_US      50u
#define SETTLE_WAIT_US     10000u
#define SETTLE_STEP_US     200u
#define SETTLE_QUIET_STEPS 2u
#define RETRY_MS           20u /* a memif port without a peer */
#define WATCH_MS           10u /* all ports up */
#define HURRY_MS           1u  /* something is under way */

static void
sleep_us(uint32_t us)
{
	const struct timespec step = { .tv_nsec = (long)us * 1000 };

	(void)nanosleep(&step, NULL);
}

bool
nic_link_read(const struct nic_eth *eth)
{
	struct rte_eth_link link = { 0 };

	if (eth->is_kernel)
		return eth->is_started && nic_kernel_is_running(eth);
	return eth->is_started && rte_eth_link_get_nowait(eth->port_id, &link) == 0 &&
	       link.link_status == RTE_ETH_LINK_UP;
}

/* The path that a Unix socket is bound or connected to; false: it is something else. */
static bool
socket_path_of(int fd, struct sockaddr_un *address)
{
	socklen_t length = sizeof(*address);

	memset(address, 0, sizeof(*address));
	if (getsockname(fd, (struct sockaddr *)address, &length) != 0 ||
	    address->sun_family != AF_UNIX)
		return false;
	if (length > offsetof(struct sockaddr_un, sun_path) && address->sun_path[0] != '\0')
		return true;
	memset(address, 0, sizeof(*address));
	length = sizeof(*address);
	return getpeername(fd, (struct sockaddr *)address, &length) == 0 &&
	       length > offsetof(struct sockaddr_un, sun_path) && address->sun_path[0] != '\0';
}

static void
watch_add(struct nic *nic, int fd)
{
	struct sockaddr_un address;
	struct stat facts;
	int is_listener = 0;
	socklen_t length = sizeof(is_listener);

	if (nic->watch_count == NIC_WATCH_MAX || !socket_path_of(fd, &address))
		return;
	for (uint32_t i = 0; i < nic->eth_count; i++) {
		struct nic_eth *eth = &nic->eths[i];

		if (!eth->is_memif ||
		    strncmp(eth->socket_path, address.sun_path, sizeof(address.sun_path)) != 0)
			continue;
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listener, &length) != 0)
			continue;
		if (!is_listener && fstat(fd, &facts) == 0) {
			eth->has_control_fd = true;
			eth->control_id += (uint64_t)facts.st_ino * 0x9e3779b97f4a7c15u;
		}
		nic->watch[nic->watch_count++] =
		    (struct pollfd){ .fd = fd, .events = POLLIN | POLLRDHUP };
	}
}

void
nic_watch_scan(struct nic *nic)
{
	DIR *directory = opendir("/proc/self/fd");

	nic->watch_count = 0;
	for (uint32_t i = 0; i < nic->eth_count; i++) {
		nic->eths[i].has_control_fd = false;
		nic->eths[i].control_id = 0;
	}
	if (directory == NULL)
		return;
	for (const struct dirent *entry = readdir(directory); entry != NULL;
	     entry = readdir(directory))
		if (entry->d_name[0] != '.')
			watch_add(nic, (int)strtol(entry->d_name, NULL, 10));
	(void)closedir(directory);
}

static bool
watch_is_pending(struct nic *nic)
{
	return nic->watch_count != 0 && poll(nic->watch, nic->watch_count, 0) > 0;
}

static uint32_t
count_in_state(const struct nic *nic, enum nic_eth_state state)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < nic->eth_count; i++)
		if (atomic_load(&nic->eths[i].state) == state)
			count++;
	return count;
}

/* Asks for all ports. True: they are ours. False: the data thread has not answered yet. */
static bool
take_ports(struct nic *nic)
{
	for (uint32_t waited_us = 0;; waited_us += DRAIN_STEP_US) {
		for (uint32_t i = 0; i < nic->eth_count; i++) {
			uint32_t state = NIC_ETH_UP;

			(void)atomic_compare_exchange_strong(&nic->eths[i].state, &state,
							     NIC_ETH_DRAINING);
			/* A data thread that is gone holds nothing and answers nothing. */
			state = NIC_ETH_DRAINING;
			if (!atomic_load(&nic->is_attached))
				(void)atomic_compare_exchange_strong(&nic->eths[i].state, &state,
								     NIC_ETH_CONTROL);
		}
		if (count_in_state(nic, NIC_ETH_CONTROL) == nic->eth_count)
			return true;
		if (waited_us >= DRAIN_WAIT_US)
			return false;
		sleep_us(DRAIN_STEP_US);
	}
}

static void
give_port(struct nic *nic, struct nic_eth *eth)
{
	if (!atomic_load(&nic->is_attached) || atomic_load(&eth->state) != NIC_ETH_CONTROL)
		return;
	if (eth->handed_control_id != eth->control_id)
		atomic_fetch_add(&eth->connection, 1);
	eth->handed_control_id = eth->control_id;
	atomic_store_explicit(&eth->state, NIC_ETH_UP, memory_order_release);
}

/* A handshake is under way: a control connection, and no link yet. */
static bool
is_shaking(const struct nic *nic)
{
	for (uint32_t i = 0; i < nic->eth_count; i++)
		if (nic->eths[i].has_control_fd && !nic_link_read(&nic->eths[i]))
			return true;
	return false;
}

/* All ports are ours. Lets the interrupt thread handle what memif's sockets have for it. */
static void
settle(struct nic *nic)
{
	uint32_t quiet_steps = 0;

	(void)nic_gate_release(&nic->gate);
	for (uint32_t us = 0; us < SETTLE_WAIT_US && quiet_steps < SETTLE_QUIET_STEPS;
	     us += SETTLE_STEP_US) {
		sleep_us(SETTLE_STEP_US);
		nic_watch_scan(nic);
		quiet_steps = watch_is_pending(nic) || is_shaking(nic) ? 0 : quiet_steps + 1;
	}
}

/* Interrupt thread held. A client connects only inside start; it fails at once without a server. */
static bool
reconnect_clients(struct nic *nic)
{
	bool is_any = false;

	for (uint32_t i = 0; i < nic->eth_count; i++) {
		struct nic_eth *eth = &nic->eths[i];

		if (!eth->is_client || eth->has_control_fd ||
		    atomic_load(&eth->state) != NIC_ETH_CONTROL)
			continue;
		if (eth->is_started)
			(void)rte_eth_dev_stop(eth->port_id);
		eth->is_started = rte_eth_dev_start(eth->port_id) == 0;
		is_any = is_any || eth->is_started;
	}
	return is_any;
}

/* Interrupt thread held, descriptors scanned: what the links say now stays true. */
static uint32_t
give_ports(struct nic *nic)
{
	uint32_t down = 0;

	for (uint32_t i = 0; i < nic->eth_count; i++) {
		struct nic_eth *eth = &nic->eths[i];
		const bool is_up = nic_link_read(eth);

		atomic_store(&eth->is_link_up, is_up);
		if (is_up || !eth->is_memif)
			give_port(nic, eth);
		else
			down++;
	}
	return down;
}

static uint32_t
maintain_plain(struct nic *nic)
{
	for (uint32_t i = 0; i < nic->eth_count; i++) {
		struct nic_eth *eth = &nic->eths[i];

		atomic_store(&eth->is_link_up, nic_link_read(eth));
		give_port(nic, eth);
	}
	return WATCH_MS;
}

uint32_t
nic_maintain(struct nic *nic)
{
	if (!nic->has_memif)
		return maintain_plain(nic);

	const bool was_held = nic_gate_is_held(&nic->gate);
	const bool is_pending = was_held && watch_is_pending(nic);
	const uint32_t up = count_in_state(nic, NIC_ETH_UP);

	if (was_held && !is_pending && up == nic->eth_count)
		return WATCH_MS;
	if (is_pending || (!was_held && up != 0)) {
		if (!take_ports(nic))
			return HURRY_MS;
		settle(nic);
	}
	/* A callback that blocks (a peer stopped within its handshake) keeps us here; the ports
	 * stay down until it returns. */
	if (!nic_gate_hold(&nic->gate))
		return HURRY_MS;
	nic_watch_scan(nic);
	if (reconnect_clients(nic)) {
		nic_watch_scan(nic);
		if (take_ports(nic)) {
			settle(nic);
			if (!nic_gate_hold(&nic->gate))
				return HURRY_MS;
			nic_watch_scan(nic);
		}
	}
	const uint32_t down = give_ports(nic);
	if (down == 0)
		return WATCH_MS;
	const bool is_busy = is_shaking(nic) || watch_is_pending(nic);
	/* With no port up, handshakes need not wait for us. */
	if (down == nic->eth_count)
		(void)nic_gate_release(&nic->gate);
	return is_busy ? HURRY_MS : RETRY_MS;
}

bool
nic_port_is_up(struct nic *nic, uint32_t port)
{
	return port < nic->eth_count && atomic_load(&nic->eths[port].state) == NIC_ETH_UP &&
	       atomic_load(&nic->eths[port].is_link_up);
}
