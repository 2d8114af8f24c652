/* SPDX-License-Identifier: Apache-2.0 */
/* Where a connection stands in the log, and what its reads are answered from. */
#include "control/gateway/gateway_internal.h"
#include "control/gateway/refusal.h"
#include "dataplane/base/bits.h"

#define WAIT_MS_DEFAULT 1000
#define WAIT_MS_MAX     60000
#define STALE_MS_MAX    3600000

/* TERN.POSITION: the highest position that this connection has written or read; 0: none. */
void
cmd_tern_position(struct command_call *call)
{
	struct connection *conn = call->conn;

	/* Where a lost write would have been is no position to wait for elsewhere. */
	(void)connection_forget_lost(conn);
	resp_integer(call->out, (int64_t)max_u64(conn->seen_index, connection_written(conn)));
}

void
gateway_reads_reset(struct connection *conn)
{
	gateway_hold_drop(conn);
	conn->reads = CONNECTION_READS_LINEARIZABLE;
	conn->is_readonly = false;
	conn->stale_ns_max = 0;
}

/* TERN.READ alone: the mode, its argument, and the position that the last read has shown. */
static void
say_reads(struct command_call *call)
{
	const struct connection *conn = call->conn;
	const char *mode = conn->is_readonly ? "stale" : "linearizable";
	uint64_t argument = conn->stale_ns_max / 1000000;

	switch ((enum connection_reads)conn->reads) {
	case CONNECTION_READS_LINEARIZABLE:
		break;
	case CONNECTION_READS_SESSION:
		mode = "session";
		argument = conn->read_position;
		break;
	case CONNECTION_READS_SNAPSHOT:
		mode = "snapshot";
		argument = gateway_hold_index(conn);
		break;
	case CONNECTION_READS_DIRTY:
		mode = "dirty";
		break;
	}
	resp_array(call->out, 3);
	resp_text(call->out, mode);
	resp_integer(call->out, (int64_t)argument);
	resp_integer(call->out, (int64_t)conn->read_index);
}

/* An earlier snapshot is let go; if there is no other, reads are linearizable again. */
static void
read_snapshot(struct command_call *call, uint64_t position)
{
	struct gateway *gateway = call->gateway;

	gateway_reads_reset(call->conn);
	const enum tern_err err = gateway_hold_take(call->conn, position);
	if (err == TERN_OK) {
		resp_integer(call->out, (int64_t)gateway_hold_index(call->conn));
	} else if (err == TERN_ERR_QUEUE_FULL) {
		gateway_error(call->out,
			      "BUSY all %u snapshots that this node keeps are in use: end one "
			      "where it was taken (TERN.READ LINEARIZABLE), or try again, for each "
			      "has its time",
			      STATE_HOLDS_MAX);
	} else if (err == TERN_ERR_BUSY) {
		const uint64_t here = state_read_begin(gateway->reader);
		state_read_end(gateway->reader);
		gateway_position_missing(call->out, here, position);
	} else {
		gateway_snapshot_gone(call->out, position);
	}
}

/* Argument @i is an integer within [@min, @max]; without it *@value stays as it is. */
static bool
integer_at(const struct command_call *call, uint32_t i, int64_t min, int64_t max, int64_t *value)
{
	if (i >= call->args_count)
		return true;
	return resp_i64(call->args[i], value) && *value >= min && *value <= max;
}

static void
read_mode(struct command_call *call, enum connection_reads reads, bool is_readonly)
{
	gateway_reads_reset(call->conn);
	call->conn->reads = (uint8_t)reads;
	call->conn->is_readonly = is_readonly;
	resp_simple(call->out, "OK");
}

void
cmd_tern_read(struct command_call *call)
{
	const uint32_t count = call->args_count;
	const struct resp_arg mode = call->args[count > 1 ? 1 : 0];
	int64_t value = 0, wait_ms = WAIT_MS_DEFAULT;

	if (count == 1) {
		say_reads(call);
	} else if (count == 2 && resp_is(mode, "linearizable")) {
		read_mode(call, CONNECTION_READS_LINEARIZABLE, false);
	} else if (count >= 3 && count <= 4 && resp_is(mode, "session") &&
		   integer_at(call, 2, 0, INT64_MAX, &value) &&
		   integer_at(call, 3, 0, WAIT_MS_MAX, &wait_ms)) {
		read_mode(call, CONNECTION_READS_SESSION, false);
		call->conn->read_position = (uint64_t)value;
		call->conn->read_wait_ns = (uint64_t)wait_ms * 1000000;
	} else if (count == 3 && resp_is(mode, "stale") &&
		   integer_at(call, 2, 1, STALE_MS_MAX, &value)) {
		read_mode(call, CONNECTION_READS_LINEARIZABLE, true);
		call->conn->stale_ns_max = (uint64_t)value * 1000000;
	} else if (count <= 3 && resp_is(mode, "snapshot") &&
		   integer_at(call, 2, 1, INT64_MAX, &value)) {
		read_snapshot(call, (uint64_t)value);
	} else if (count == 2 && resp_is(mode, "dirty")) {
		read_mode(call, CONNECTION_READS_DIRTY, false);
	} else {
		resp_error(call->out, "ERR syntax: TERN.READ [LINEARIZABLE | SESSION position "
				      "[wait-ms] | STALE ms | SNAPSHOT [position] | DIRTY]");
	}
}
