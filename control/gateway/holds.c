/* SPDX-License-Identifier: Apache-2.0 */
/* Positions that connections read at. One that is over keeps its entry until the last of its
 * connections has let go, so that each of them hears of it. */
#include "control/gateway/gateway_internal.h"
#include "dataplane/base/invariant.h"

static void
hold_end(struct gateway *gateway, struct gateway_hold *hold)
{
	if (!hold->is_over)
		state_hold_end(gateway->state, &hold->hold);
	hold->is_over = true;
}

/* One that others read at. */
static struct gateway_hold *
hold_shared(struct gateway *gateway, uint64_t log_index)
{
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		struct gateway_hold *hold = &gateway->holds[i];
		if (hold->users != 0 && !hold->is_over &&
		    state_hold_index(&hold->hold) == log_index)
			return hold;
	}
	return NULL;
}

static enum tern_err
hold_new(struct gateway *gateway, uint64_t log_index, struct gateway_hold **out)
{
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		struct gateway_hold *hold = &gateway->holds[i];
		if (hold->users != 0)
			continue;
		const enum tern_err err = state_hold_begin(gateway->state, log_index, &hold->hold);
		if (err == TERN_OK)
			hold->is_over = false;
		*out = hold;
		return err;
	}
	return TERN_ERR_QUEUE_FULL;
}

enum tern_err
gateway_hold_take(struct connection *conn, uint64_t log_index)
{
	struct gateway *gateway = conn->gateway;
	struct gateway_hold *hold = hold_shared(gateway, log_index);
	const enum tern_err err = hold == NULL ? hold_new(gateway, log_index, &hold) : TERN_OK;

	INVARIANT(conn->reads != CONNECTION_READS_SNAPSHOT);
	if (err != TERN_OK)
		return err;
	hold->users++;
	hold->until_ns = gateway->now_ns + gateway->snapshot_ns;
	conn->reads = CONNECTION_READS_SNAPSHOT;
	conn->hold = (uint8_t)(hold - gateway->holds);
	return TERN_OK;
}

void
gateway_hold_drop(struct connection *conn)
{
	struct gateway_hold *hold = &conn->gateway->holds[conn->hold];

	if (conn->reads != CONNECTION_READS_SNAPSHOT)
		return;
	INVARIANT(hold->users > 0);
	conn->reads = CONNECTION_READS_LINEARIZABLE;
	if (--hold->users == 0)
		hold_end(conn->gateway, hold);
}

uint64_t
gateway_hold_index(const struct connection *conn)
{
	INVARIANT(conn->reads == CONNECTION_READS_SNAPSHOT);
	return state_hold_index(&conn->gateway->holds[conn->hold].hold);
}

bool
gateway_hold_read(struct connection *conn)
{
	const struct gateway_hold *hold = &conn->gateway->holds[conn->hold];

	INVARIANT(conn->reads == CONNECTION_READS_SNAPSHOT);
	return !hold->is_over && state_read_begin_held(conn->gateway->reader, &hold->hold);
}

void
gateway_holds_tick(struct gateway *gateway)
{
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		struct gateway_hold *hold = &gateway->holds[i];
		if (hold->users != 0 && gateway->now_ns >= hold->until_ns)
			hold_end(gateway, hold);
	}
}
