/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes at a node that is not master, where the configuration says `forward`: they are sent to the
 * master over the native protocol, in a session of this gateway's own. So a write whose master dies
 * is sent again to the next one under the same number, and is executed at most once; the client
 * waits, and notices a pause. Only when the deadline passes, or the session is gone, is an outcome
 * unknown, and its connection is closed without a reply as ever.
 *
 * Not forwarded, and refused as without this: transactions, sessions, and what answers with a value
 * that was there before (GETSET and its like), for sessions keep numbers as answers, not bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/gateway/gateway_internal.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/client/forward.h"

#define NONE UINT32_MAX

/* A write at another node; its address is what comes back. */
struct forward_entry {
	struct gateway *gateway;
	uint32_t conn_index, conn_generation, next_free;
	uint64_t slot;
	bool is_plain; /* done without an answer means OK */
};

struct forward {
	struct tern_client *client;
	bool is_replica;  /* in this round this node is not master */
	bool is_readable; /* datagrams came; late ones, too, when nobody waits */
	uint32_t entries_free;
	struct forward_entry entries[TERN_WINDOW];
	uint8_t command[FORWARD_COMMAND_BYTES];
};
static_assert(FORWARD_COMMAND_BYTES == TERN_REQUEST_BYTES_MAX / 8 * 8, "commands have whole words");

enum tern_err
forward_open(struct gateway *gateway, const char *addresses, uint32_t deadline_ms, char *why,
	     size_t why_bytes)
{
	const struct tern_options options = { .addresses = addresses, .deadline_ms = deadline_ms };
	struct forward *forward = calloc(1, sizeof(*forward));
	char reason[128] = "no memory";

	if (forward == NULL || tern_open(&options, &forward->client, reason, sizeof(reason)) != 0) {
		(void)snprintf(why, why_bytes, "gateway: forwarding to %s: %s", addresses, reason);
		free(forward);
		return TERN_ERR_CONFIG;
	}
	for (uint32_t i = 0; i < TERN_WINDOW; i++)
		forward->entries[i].next_free = i + 1 < TERN_WINDOW ? i + 1 : NONE;
	gateway->forward = forward;
	return TERN_OK;
}

void
forward_close(struct gateway *gateway)
{
	if (gateway->forward == NULL)
		return;
	tern_close(gateway->forward->client);
	free(gateway->forward);
	gateway->forward = NULL;
}

int
forward_fd(const struct gateway *gateway)
{
	return tern_fd(gateway->forward->client);
}

void
forward_look(struct gateway *gateway)
{
	struct node_status status;

	if (gateway->forward == NULL)
		return;
	status_read(gateway->status, &status);
	gateway->forward->is_replica = status.role != CORE_MASTER;
}

void
forward_readable(struct gateway *gateway)
{
	gateway->forward->is_readable = true;
}

void
forward_turn(struct gateway *gateway)
{
	struct forward *forward = gateway->forward;

	if (forward == NULL || (!forward->is_readable && tern_pending(forward->client) == 0))
		return;
	forward->is_readable = false;
	(void)tern_poll(forward->client, 0);
}

int
forward_wait_ms(const struct gateway *gateway, int wait_ms)
{
	if (gateway->forward == NULL || tern_pending(gateway->forward->client) == 0)
		return wait_ms;
	const int due_ms = tern_wait_ms(gateway->forward->client);
	return due_ms >= 0 && (wait_ms < 0 || due_ms < wait_ms) ? due_ms : wait_ms;
}

bool
forward_takes(const struct gateway *gateway, const struct write_plan *plan)
{
	const bool is_offered = plan->op == COMMAND_SET || plan->op == COMMAND_MSET ||
				plan->op == COMMAND_DELETE || plan->op == COMMAND_ADD ||
				plan->op == COMMAND_APPEND || plan->op == COMMAND_EXPIRE ||
				plan->op == COMMAND_PERSIST;

	return gateway->forward != NULL && gateway->forward->is_replica && is_offered &&
	       plan->client_id == 0 && (plan->flags & COMMAND_GET_OLD) == 0;
}

/* Nothing was heard of it that could have executed it. */
static enum submit_outcome
outcome_of_refusal(enum tern_reason reason)
{
	switch (reason) {
	case TERN_REASON_TOO_LARGE:
		return SUBMIT_REFUSED_TOO_LARGE;
	case TERN_REASON_MALFORMED:
		return SUBMIT_REFUSED_MALFORMED;
	case TERN_REASON_CLASS:
		return SUBMIT_REFUSED_CLASS;
	case TERN_REASON_LOG_FULL:
		return SUBMIT_REFUSED_LOG_FULL;
	case TERN_REASON_DEADLINE:
	case TERN_REASON_SESSION:
		return SUBMIT_REFUSED_NOT_MASTER; /* never sent: there was no master */
	case TERN_REASON_NONE:
	case TERN_REASON_BOUND:
	case TERN_REASON_NOT_INTEGER:
	case TERN_REASON_POSITION: /* of reads */
	case TERN_REASON_SNAPSHOT:
	case TERN_REASON_STALE:
	case TERN_REASON_OVERFLOW:
	case TERN_REASON_OUT_OF_MEMORY:
	case TERN_REASON_REPEAT:
		break;
	}
	return SUBMIT_REFUSED_BUSY;
}

static void
completed(void *context, const struct tern_result *result)
{
	struct forward_entry *entry = context;
	struct forward *forward = entry->gateway->forward;
	const struct reply *reply = client_reply(result);
	struct submit_completion completion = { .outcome = SUBMIT_DONE,
						.copies = (uint16_t)result->copies,
						/* It passes: try again, here. */
						.master_id = entry->gateway->node_id,
						.term = result->term,
						.log_index = result->log_index,
						.slot = result->slot };

	if (result->status == TERN_UNKNOWN) {
		completion.outcome = SUBMIT_UNKNOWN;
	} else if (result->status == TERN_ACCEPTED) {
		completion.outcome = SUBMIT_ACCEPTED;
	} else if (reply == NULL) {
		completion.outcome = outcome_of_refusal(result->reason);
	} else {
		completion.reply = *reply;
		/* Executed, and the session keeps no answer any more. Some have only one. */
		if (reply->kind == REPLY_DONE && entry->is_plain)
			completion.reply.kind = REPLY_OK;
		else if (reply->kind == REPLY_DONE)
			completion.outcome = SUBMIT_UNKNOWN;
	}
	const struct forward_entry copy = *entry;
	entry->next_free = forward->entries_free;
	forward->entries_free = (uint32_t)(entry - forward->entries);
	gateway_complete_slot(copy.gateway, copy.conn_index, copy.conn_generation, copy.slot,
			      &completion);
}

enum flight_result
forward_write(struct gateway *gateway, const struct connection *conn, const struct write_plan *plan)
{
	struct forward *forward = gateway->forward;
	const uint64_t bytes = gateway_plan_bytes(plan);

	if (bytes > sizeof(forward->command))
		return FLIGHT_TOO_LARGE;
	if (forward->entries_free == NONE)
		return FLIGHT_NO_ROOM;
	gateway_plan_encode(plan, forward->command, (uint32_t)bytes);
	command_set_class(forward->command, gateway_plan_class(conn, plan));
	struct forward_entry *entry = &forward->entries[forward->entries_free];
	const int failed = client_submit_command(forward->client, forward->command, (uint32_t)bytes,
						 completed, entry);
	if (failed != 0)
		return failed == -EMSGSIZE ? FLIGHT_TOO_LARGE : FLIGHT_NO_ROOM;
	forward->entries_free = entry->next_free;
	*entry = (struct forward_entry){
		.gateway = gateway,
		.conn_index = conn->index,
		.conn_generation = conn->generation,
		.slot = conn->slot_end,
		.is_plain = (plan->op == COMMAND_SET || plan->op == COMMAND_MSET) &&
			    (plan->flags & (COMMAND_IF_ABSENT | COMMAND_IF_PRESENT)) == 0,
	};
	gateway_count(&gateway->counters.forwarded, 1);
	return FLIGHT_TAKEN;
}
