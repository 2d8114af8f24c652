/* SPDX-License-Identifier: Apache-2.0 */
/* What a read is answered from: which view of the state, of which class, and how old it may be. */
#include "control/gateway/connection_internal.h"
#include "control/gateway/refusal.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"

bool
connection_read_is_local(struct connection *conn, const char **wrong)
{
	struct node_status status;

	if (conn->reads == CONNECTION_READS_LINEARIZABLE && !conn->is_readonly)
		return false;
	status_read(conn->gateway->status, &status);
	if (status.mode == CORE_MODE_SUPERSEDED) {
		*wrong = "MASTERDOWN This node was left out when the cluster went on without it: "
			 "ask another one, and give this one new storage by `tern node rejoin`.";
		return true;
	}
	if (conn->reads != CONNECTION_READS_LINEARIZABLE)
		return true; /* whoever is master */
	if (status.role == CORE_MASTER)
		return false;
	if ((status.mode != CORE_MODE_REPLICA && status.mode != CORE_MODE_LEARNER) ||
	    status.master_id == 0)
		*wrong = "MASTERDOWN Link with MASTER is down and no replica may answer.";
	return true;
}

/* What is known of the age of a replica's state is that of the state then: it is read before the
 * view of the state begins, and holds for every read that shares the view. */
static bool
is_too_stale(struct connection *conn, struct read_view *view)
{
	struct gateway *gateway = conn->gateway;
	/* 0, no bound, is the largest of all. */
	const uint64_t stale_ns_max =
	    min_u64(conn->stale_ns_max - 1, gateway->stale_ns_max - 1) + 1;

	if (stale_ns_max == 0)
		return false;
	if (!view->is_judged) {
		if (view->is_open)
			state_read_end(gateway->reader);
		view->is_open = false;
		view->is_judged = true;
		status_read(gateway->status, &view->status);
	}
	const uint64_t age_ns = status_stale_ns(&view->status, platform_monotonic_ns());
	if (age_ns <= stale_ns_max)
		return false;
	if (age_ns == UINT64_MAX)
		resp_error(&conn->out, "STALE how old the state here is, is not known");
	else
		gateway_error(&conn->out,
			      "STALE the state here may be %llu ms old, %llu ms are allowed",
			      (unsigned long long)div_up_u64(age_ns, 1000000),
			      (unsigned long long)(stale_ns_max / 1000000));
	return true;
}

static void
run_read(struct connection *conn, const struct slot *slot)
{
	struct gateway *gateway = conn->gateway;
	struct resp_parser parser = { 0 };
	struct resp_request request;
	const uint64_t offset = slot->stream_at - conn->in_at;
	const size_t mark = conn->out.used;

	INVARIANT(slot->stream_at >= conn->in_at && offset < conn->in_used);
	const enum resp_result result =
	    resp_parse(&parser, &gateway->limits, &gateway->room, conn->in + offset,
		       conn->in_used - offset, &request);
	INVARIANT(result == RESP_REQUEST);
	struct command_call call = {
		.gateway = gateway,
		.conn = conn,
		.args = request.args,
		.args_count = request.args_count,
		.out = &conn->out,
		.reader = gateway->reader,
	};
	slot->command->run(&call);
	connection_output_settle(conn, mark);
}

static void
answer_later(struct connection *conn)
{
	conn->gateway->needs_retry = true;
	gateway_dirty(conn->gateway, conn);
}

static void
note_shown(struct connection *conn, uint64_t log_index)
{
	conn->read_index = log_index;
	if (conn->reads != CONNECTION_READS_DIRTY)
		conn->seen_index = max_u64(conn->seen_index, log_index);
}

/* A provisional view shows what may be rolled back: class memory, dirty. But on WATCH more rests
 * than an answer: after a rollback another write may have the position of one that is gone. Under
 * READONLY a replica shows what is durable: no read point stands before it. */
static bool
is_provisional_read(const struct connection *conn, const struct slot *slot)
{
	const bool has_point = slot->log_index != 0 || conn->reads == CONNECTION_READS_SESSION;

	return !slot->command->is_committed && (conn->reads == CONNECTION_READS_DIRTY ||
						(conn->class_ == COMMAND_MEMORY && has_point));
}

/* The state is @here, before what the read needs. What is lost of this connection's writes is
 * needed no more. In a session there is a time for waiting. A replica has not yet applied a write
 * of this connection's that went to the master; one that follows nobody any more might never. A
 * node that is master no more may never commit what this connection wrote in class async or memory.
 * True: the read is refused. */
static bool
is_given_up(struct connection *conn, const struct slot *slot, uint64_t here, uint64_t need)
{
	struct node_status status;
	const char *wrong = NULL;

	if (connection_forget_lost(conn))
		return false;
	if (conn->reads == CONNECTION_READS_SESSION) {
		if (conn->gateway->now_ns - slot->taken_ns < conn->read_wait_ns)
			return false;
		gateway_position_missing(&conn->out, here, need);
		return true;
	}
	if (slot->is_local) {
		if (connection_read_is_local(conn, &wrong) && wrong != NULL)
			resp_error(&conn->out, wrong);
		return wrong != NULL;
	}
	status_read(conn->gateway->status, &status);
	if (status.role == CORE_MASTER)
		return false;
	const struct slot refusal = { .kind = SLOT_READ,
				      .outcome = SUBMIT_REFUSED_NOT_MASTER,
				      .master_id = status.master_id };
	gateway_refusal(conn->gateway, &conn->out, &refusal);
	conn->is_leaving |= conn->was_master || conn->has_written;
	return true;
}

/* A view of its own for each, for it may fail. */
static bool
answer_provisional(struct connection *conn, const struct slot *slot, uint64_t need)
{
	struct gateway *gateway = conn->gateway;
	const size_t mark = conn->out.used;
	const uint64_t index = state_read_begin_provisional(gateway->reader);

	if (index >= need)
		run_read(conn, slot);
	const bool is_good = state_read_end_provisional(gateway->reader);
	if (conn->end != CONNECTION_OPEN)
		return true;
	if (index >= need && is_good) {
		note_shown(conn, index);
		return true;
	}
	conn->out.used = mark;
	if (index < need && is_given_up(conn, slot, index, need))
		return true;
	answer_later(conn);
	return false;
}

static void
answer_snapshot(struct connection *conn, const struct slot *slot)
{
	const uint64_t index = gateway_hold_index(conn);

	if (!gateway_hold_read(conn)) {
		gateway_snapshot_gone(&conn->out, index);
		return;
	}
	run_read(conn, slot);
	state_read_end(conn->gateway->reader);
	note_shown(conn, index);
}

/* At or after which position. */
static uint64_t
need_of(const struct connection *conn, const struct slot *slot)
{
	const uint64_t own = max_u64(slot->log_index, connection_written(conn));

	if (conn->reads == CONNECTION_READS_DIRTY)
		return 0;
	if (conn->reads == CONNECTION_READS_SESSION)
		return max_u64(max_u64(conn->read_position, conn->seen_index), own);
	return own;
}

/* False: the state is not as far as the read needs it. */
static bool
answer_read(struct connection *conn, const struct slot *slot, struct read_view *view)
{
	struct gateway *gateway = conn->gateway;
	const uint64_t need = need_of(conn, slot);
	const bool is_snapshot = conn->reads == CONNECTION_READS_SNAPSHOT;
	const bool is_provisional = is_provisional_read(conn, slot);

	if (view->is_open && (is_snapshot || is_provisional || view->applied_index < need)) {
		state_read_end(gateway->reader);
		view->is_open = false;
	}
	if (is_snapshot) {
		answer_snapshot(conn, slot);
		return true;
	}
	if (is_provisional)
		return answer_provisional(conn, slot, need);
	if (!view->is_open) {
		view->applied_index = state_read_begin(gateway->reader);
		view->is_open = true;
	}
	if (view->applied_index >= need) {
		run_read(conn, slot);
		note_shown(conn, view->applied_index);
		return true;
	}
	if (is_given_up(conn, slot, view->applied_index, need))
		return true;
	answer_later(conn);
	return false;
}

bool
connection_read(struct connection *conn, const struct slot *slot, struct read_view *view)
{
	const bool has_bound = slot->is_local && conn->reads == CONNECTION_READS_LINEARIZABLE;

	return (has_bound && is_too_stale(conn, view)) || answer_read(conn, slot, view);
}

void
connection_read_end(struct connection *conn, struct read_view *view)
{
	if (view->is_open)
		state_read_end(conn->gateway->reader);
	view->is_open = false;
}
