/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's lists of connections: those that are due for a turn, those that wait for room at
 * the lcore or for memory, and the dead. */
#include "control/gateway/gateway_internal.h"
#include "dataplane/base/invariant.h"

void
gateway_dirty(struct gateway *gateway, struct connection *conn)
{
	if (conn->is_dirty)
		return;
	conn->is_dirty = true;
	conn->dirty_next = NULL;
	if (gateway->dirty_last == NULL)
		gateway->dirty_first = conn;
	else
		gateway->dirty_last->dirty_next = conn;
	gateway->dirty_last = conn;
}

void
gateway_close(struct gateway *gateway, struct connection *conn)
{
	if (conn->end == CONNECTION_DEAD)
		return;
	if (conn->end == CONNECTION_LINGERING) {
		INVARIANT(gateway->lingering_count > 0);
		gateway->lingering_count--;
	}
	conn->end = CONNECTION_DEAD;
	conn->dead_next = gateway->dead_first;
	gateway->dead_first = conn;
}

void
gateway_park(struct gateway *gateway, struct connection *conn)
{
	if (conn->is_parked)
		return;
	conn->is_parked = true;
	conn->parked_next = NULL;
	if (gateway->parked_last == NULL)
		gateway->parked_first = conn;
	else
		gateway->parked_last->parked_next = conn;
	gateway->parked_last = conn;
	gateway_count(&gateway->counters.parks, 1);
}

void
gateway_unpark(struct gateway *gateway)
{
	/* No more of them than there may be room for: the others keep their place. */
	uint32_t room = gateway->in_flight_max - gateway->flights_used;

	while (gateway->parked_first != NULL && room > 0) {
		struct connection *conn = gateway->parked_first;
		gateway->parked_first = conn->parked_next;
		if (gateway->parked_first == NULL)
			gateway->parked_last = NULL;
		conn->is_parked = false;
		gateway_dirty(gateway, conn);
		room--;
	}
}
