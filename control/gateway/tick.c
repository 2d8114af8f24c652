/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key expires for readers when a block whose time is past its expiry is applied. While clients
 * write, such blocks come by themselves; otherwise the master's gateway submits a TICK, which moves
 * time and removes what has expired. Not more often than every TICK_NS: a block takes a page of
 * log.
 *
 * A block tells the other nodes as well what all data nodes hold, so that their logs may begin
 * later. After a log was full, and while nobody writes, a TICK has to tell it.
 */
#include "control/gateway/gateway_internal.h"
#include "dataplane/base/bits.h"
#include "hw/platform/platform.h"

#define TICK_NS       20000000ull
#define TICK_RETRY_NS 100000000ull /* not master, or refused */
#define LOOK_NS       100000000ull /* between looks at the log */
#define WAIT_MS_MAX   250u         /* in which this node may have become master */

static bool
is_due(const struct gateway *gateway)
{
	return state_expiry_next_ns(gateway->state) <= platform_wall_ns();
}

static bool
has_log_news(struct gateway *gateway)
{
	struct node_status status;

	if (gateway->now_ns < gateway->log_look_ns)
		return false;
	gateway->log_look_ns = gateway->now_ns + LOOK_NS;
	status_read(gateway->status, &status);
	return status.has_log_news;
}

void
gateway_tick(struct gateway *gateway)
{
	struct write_plan plan = { .op = COMMAND_TICK };
	struct node_status status;

	if (gateway->is_ticking || gateway->now_ns < gateway->tick_next_ns ||
	    (!is_due(gateway) && !has_log_news(gateway)))
		return;
	status_read(gateway->status, &status);
	gateway->tick_next_ns = gateway->now_ns + TICK_RETRY_NS;
	if (status.role != CORE_MASTER || !status.is_serving)
		return;
	plan.is_memory = status.is_log_volatile; /* nothing is durable there */
	gateway->is_ticking = gateway_submit_write(gateway, NULL, &plan) == FLIGHT_TAKEN;
}

void
gateway_tick_done(struct gateway *gateway, bool is_good)
{
	gateway->is_ticking = false;
	gateway->tick_next_ns = gateway->now_ns + (is_good ? TICK_NS : TICK_RETRY_NS);
}

int
gateway_tick_wait_ms(const struct gateway *gateway)
{
	const uint64_t next_ns = state_expiry_next_ns(gateway->state), wall_ns = platform_wall_ns();
	uint64_t wait_ns = next_ns > wall_ns ? next_ns - wall_ns : 0;

	/* The answer to the one under way wakes us. */
	if (gateway->is_ticking)
		return (int)WAIT_MS_MAX;
	if (gateway->tick_next_ns > gateway->now_ns)
		wait_ns = max_u64(wait_ns, gateway->tick_next_ns - gateway->now_ns);
	return (int)min_u64(div_up_u64(wait_ns, 1000000), WAIT_MS_MAX);
}
