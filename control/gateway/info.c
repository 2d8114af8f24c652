/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/info.h"

#include "dataplane/base/bits.h"

bool
info_is_master(struct gateway *gateway)
{
	struct node_status status;

	status_read(gateway->status, &status);
	return status.role == CORE_MASTER;
}

const struct peer *
info_peer_find(const struct gateway *gateway, uint16_t node_id)
{
	for (uint32_t i = 0; i < gateway->peers_count; i++) {
		if (gateway->peers[i].node_id == node_id)
			return &gateway->peers[i];
	}
	return NULL;
}

const struct peer *
info_peer_next(const struct gateway *gateway, uint32_t *at)
{
	while (*at < gateway->peers_count) {
		const struct peer *peer = &gateway->peers[(*at)++];
		if (peer->node_id != gateway->node_id)
			return peer;
	}
	return NULL;
}

uint32_t
info_replicas(const struct node_status *status)
{
	return status->role == CORE_MASTER && status->copies > 0 ? status->copies - 1 : 0;
}

long long
info_stale_ms(uint64_t stale_ns)
{
	return stale_ns == UINT64_MAX ? -1 : (long long)div_up_u64(stale_ns, 1000000);
}
