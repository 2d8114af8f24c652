/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of its ports a node uses to a peer. Every port that leads to it is a path; one of them
 * carries the frames, the others are asked after all the time. Another takes over when the one in
 * use has no link, no address, or is silent: SILENT_PROBES questions left over it and none was
 * answered, while another one's were. If all are silent alike it is the peer that is, or we that
 * slept, and nothing changes. Nobody goes back by himself: a port that returns is a reserve.
 *
 * Each side chooses for what it sends; what arrives is taken on any port.
 */
#include "hw/nic_dpdk/nic_eth.h"

#define SILENT_PROBES 5u
/* Of the one that takes over: both are asked in the same turn, so answers may differ by one. */
#define HEARD_PROBES 2u

struct nic_path *
nic_path_by_ip(struct nic *nic, uint32_t eth_index, const struct inet_addr *ip)
{
	for (uint32_t i = 0; i < nic->path_count; i++)
		if (nic->paths[i].eth == eth_index && inet_addr_equal(&nic->paths[i].ip, ip))
			return &nic->paths[i];
	return NULL;
}

bool
nic_path_is_probed(const struct nic *nic, const struct nic_path *path)
{
	return nic->routes[path->node_id].path_count > 1;
}

/* Link and address are there. */
static bool
is_open(struct nic *nic, const struct nic_path *path)
{
	struct nic_eth *eth = &nic->eths[path->eth];

	return nic_eth_is_ours(nic, eth) &&
	       atomic_load_explicit(&eth->is_link_up, memory_order_relaxed) && path->is_resolved;
}

bool
nic_route_is_up(struct nic *nic, uint16_t node)
{
	const struct nic_route *route = &nic->routes[node];

	for (uint32_t i = 0; i < route->path_count; i++)
		if (is_open(nic, &nic->paths[route->paths[i]]))
			return true;
	return false;
}

static __attribute__((noinline, cold)) struct nic_path *
take_over(struct nic *nic, struct nic_route *route, bool is_open_now)
{
	const uint32_t unanswered_max = is_open_now ? HEARD_PROBES : SILENT_PROBES;

	for (uint32_t i = 0; i < route->path_count; i++) {
		struct nic_path *other = &nic->paths[route->paths[i]];

		if (i == route->current || !is_open(nic, other) ||
		    other->unanswered > unanswered_max)
			continue;
		route->current = (uint8_t)i;
		nic->stats.nodes[other->node_id].takeovers++;
		nic->stats.nodes[other->node_id].port = (uint8_t)other->eth;
		return other;
	}
	return &nic->paths[route->paths[route->current]];
}

struct nic_path *
nic_route_path(struct nic *nic, uint16_t node)
{
	struct nic_route *route = &nic->routes[node];
	struct nic_path *path = &nic->paths[route->paths[route->current]];

	if (route->path_count < 2)
		return path;
	const bool is_open_now = is_open(nic, path);
	if (__builtin_expect(is_open_now && path->unanswered < SILENT_PROBES, 1))
		return path;
	return take_over(nic, route, is_open_now);
}
