/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway has counted, for any thread that asks. */
#include "control/gateway/gateway_internal.h"

void
gateway_stats(const struct gateway *gateway, struct gateway_stats *stats)
{
#define X(name) stats->name = gateway_counter(&gateway->counters.name);
	GATEWAY_COUNTERS(X)
#undef X
}
