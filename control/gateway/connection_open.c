/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning and the end of a connection. */
#include "control/gateway/connection_internal.h"

#include <unistd.h>

#include "control/gateway/info.h"
#include "dataplane/base/invariant.h"

struct connection *
connection_open(struct gateway *gateway, int fd, uint32_t index, uint32_t generation)
{
	struct connection *conn = gateway_resize(gateway, NULL, 0, sizeof(*conn));

	if (conn == NULL)
		return NULL;
	*conn = (struct connection){
		.gateway = gateway,
		.fd = fd,
		.index = index,
		.generation = generation,
		.client_id = gateway->next_client_id++,
		.out = { .grow = connection_output_grow, .protocol = 2 },
		.needs_more = true,
		.was_master = info_is_master(gateway),
		.opened_ns = gateway->now_ns,
		.request_ns = gateway->now_ns,
	};
	return conn;
}

void
connection_unsubscribe(struct connection *conn)
{
	struct gateway *gateway = conn->gateway;

	if (conn->subs.count > 0) {
		INVARIANT(gateway->subscribers_count > 0);
		gateway->subscribers_count--;
	}
	conn->subs = (struct subscriptions){ 0 };
}

void
connection_free(struct connection *conn)
{
	struct gateway *gateway = conn->gateway;

	connection_unsubscribe(conn);
	multi_drop(conn);
	gateway_hold_drop(conn);
	close(conn->fd);
	gateway_resize(gateway, conn->in, conn->in_capacity, 0);
	gateway_resize(gateway, conn->out.data, conn->out.capacity, 0);
	connection_slots_free(conn);
	gateway_resize(gateway, conn, sizeof(*conn), 0);
}
