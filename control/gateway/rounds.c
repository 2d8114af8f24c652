/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the writes at the lcore were submitted in one round of the gateway. */
#include <string.h>

#include "control/gateway/gateway_internal.h"

void
gateway_round_end(struct gateway *gateway)
{
	const uint32_t count = gateway->rounds_count;
	const uint64_t before = count == 0 ? gateway->writes_completed : gateway->rounds[count - 1];

	if (gateway->writes_submitted <= before)
		return;
	if (count < WRITE_ROUNDS_MAX)
		gateway->rounds_count++;
	gateway->rounds[gateway->rounds_count - 1] = gateway->writes_submitted;
}

void
gateway_rounds_complete(struct gateway *gateway)
{
	uint32_t done = 0;

	while (done < gateway->rounds_count && gateway->rounds[done] <= gateway->writes_completed)
		done++;
	gateway->rounds_count -= done;
	memmove(gateway->rounds, gateway->rounds + done,
		gateway->rounds_count * sizeof(gateway->rounds[0]));
}

bool
gateway_is_round_awaited(const struct gateway *gateway)
{
	return gateway->rounds_count == WRITE_ROUNDS_MAX &&
	       ring_is_empty(&gateway->channel->completions);
}
