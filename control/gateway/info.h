/* SPDX-License-Identifier: Apache-2.0 */
/* What INFO, ROLE, HELLO and refusals say of the node, from its published status, and of the other
 * data nodes. Peers are lent as long as the gateway is there. */
#ifndef TERN_GATEWAY_INFO_H
#define TERN_GATEWAY_INFO_H

#include <stdbool.h>

#include "control/gateway/gateway_internal.h"

bool info_is_master(struct gateway *gateway);
/* NULL: no data node has this id. */
const struct peer *info_peer_find(const struct gateway *gateway, uint16_t node_id);
/* The other data nodes, one by one; NULL after the last. Start with *@at = 0. */
const struct peer *info_peer_next(const struct gateway *gateway, uint32_t *at);
/* Replicas that hold what commits now. */
uint32_t info_replicas(const struct node_status *status);
/* As people read it: whole milliseconds, rounded up; -1: not known. */
long long info_stale_ms(uint64_t stale_ns);

#endif
