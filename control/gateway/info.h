/* SPDX-License-Identifier: Apache-2.0 */
/* What INFO, ROLE and HELLO say of the node, from its published status. */
#ifndef TERN_GATEWAY_INFO_H
#define TERN_GATEWAY_INFO_H

#include <stdbool.h>

#include "control/gateway/gateway_internal.h"

bool info_is_master(struct gateway *gateway);
/* The other data nodes, one by one; NULL after the last. Start with *@at = 0. */
const struct peer *info_peer_next(const struct gateway *gateway, uint32_t *at);
/* Replicas that hold what commits now. */
uint32_t info_replicas(const struct node_status *status);
/* As people read it: whole milliseconds, rounded up; -1: not known. */
long long info_stale_ms(uint64_t stale_ns);

#endif
