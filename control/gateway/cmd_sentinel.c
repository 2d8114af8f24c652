/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the master: the Sentinel calls, and word of a change to those who subscribed. */
#include "control/gateway/gateway_internal.h"
#include "hw/platform/platform.h"

void
cmd_sentinel(struct command_call *call)
{
	sentinel_call(&call->gateway->sentinel, call->args, call->args_count,
		      platform_monotonic_ns(), call->out);
}

bool
gateway_may_say_master(struct connection *conn, const struct resp_request *request)
{
	struct gateway *gateway = conn->gateway;

	if (conn->asked_ns == 0)
		conn->asked_ns = gateway->now_ns;
	if (sentinel_must_wait(&gateway->sentinel, request->args, request->args_count,
			       conn->asked_ns, platform_monotonic_ns())) {
		gateway_park(gateway, conn);
		gateway->needs_retry = true;
		return false;
	}
	conn->asked_ns = 0;
	return true;
}

void
cmd_subscribe(struct command_call *call)
{
	struct gateway *gateway = call->gateway;
	struct subscriptions *subs = &call->conn->subs;
	const bool was_subscriber = subs->count > 0;
	char text[SENTINEL_EVENT_BYTES];

	/* From here on: what changed before the first subscription is no news. */
	if (gateway->subscribers_count == 0)
		(void)sentinel_switched(&gateway->sentinel, &gateway->watch,
					platform_monotonic_ns(), text);
	subscribe_call(subs, call->args, call->args_count, call->out);
	if (was_subscriber && subs->count == 0)
		gateway->subscribers_count--;
	else if (!was_subscriber && subs->count > 0)
		gateway->subscribers_count++;
}

void
gateway_watch(struct gateway *gateway)
{
	char text[SENTINEL_EVENT_BYTES];

	gateway->watched_ns = gateway->now_ns;
	if (!sentinel_switched(&gateway->sentinel, &gateway->watch, gateway->now_ns, text))
		return;
	for (uint32_t i = 0; i < gateway->connections_max; i++) {
		struct connection *conn = gateway->connections[i].conn;
		if (conn == NULL || conn->end != CONNECTION_OPEN || conn->subs.count == 0)
			continue;
		subscribe_publish(&conn->subs, "+switch-master", text, &conn->out);
		/* Half a message would be worse than a closed connection. */
		if (conn->out.is_full)
			gateway_close(gateway, conn);
		else
			gateway_dirty(gateway, conn);
	}
}
