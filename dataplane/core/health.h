/* SPDX-License-Identifier: Apache-2.0 */
/* How well this node is: what it tells others of itself, and when it stands aside. Private to this
 * room. */
#ifndef TERN_CORE_HEALTH_H
#define TERN_CORE_HEALTH_H

#include "dataplane/core/core_internal.h"

/* Mask of MSG_HEALTH_*, as heartbeats and their answers carry it. */
uint32_t core_health(const struct core *core);
/* Its disk or its state machine stands still: it may not be master. */
bool core_is_stalled(const struct core *core);
/* It drops every message; but see election_request_early. */
bool core_is_deaf(const struct core *core);

#endif
