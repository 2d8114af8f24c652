/* SPDX-License-Identifier: Apache-2.0 */
/* What a node's reply means for the request it answers. */
#include <stdio.h>

#include "dataplane/base/bits.h"
#include "dataplane/client/engine.h"

#define NS_PER_US 1000u

/* Nothing of this session is executed any more; what was, is not known. */
static void
session_lost(struct engine *engine)
{
	for (uint64_t seq = engine->low; seq < engine->next_seq; seq++) {
		struct call *call = &engine->calls[seq % TERN_WINDOW];
		if (call->state != CALL_OPEN || call->id != seq)
			continue;
		if (call->tries == 0)
			engine_finish(engine, call, TERN_REFUSED, TERN_REASON_SESSION);
		else
			engine_finish(engine, call, TERN_UNKNOWN, TERN_REASON_SESSION);
	}
	engine->client_id = 0;
	engine->low = engine->next_seq = 1;
}

static void
write_done(struct engine *engine, struct call *call, const struct native_reply *reply)
{
	struct tern_result *result = &call->result;
	enum tern_status status = TERN_REFUSED;
	enum tern_reason reason = TERN_REASON_MALFORMED;

	result->log_index = reply->log_index;
	result->class_ = reply->is_memory ? TERN_CLASS_MEMORY : TERN_CLASS_DURABLE;
	result->copies = reply->copies;
	if (call->is_command) {
		call->reply = reply->reply;
		call->reply.data = NULL;
	}
	switch (reply->reply.kind) {
	case REPLY_INTEGER:
		result->has_integer = true;
		result->integer = reply->reply.value;
		status = TERN_DONE;
		break;
	case REPLY_OK:
	case REPLY_DONE:
	case REPLY_NULL:
	case REPLY_BYTES:
	case REPLY_DECIMAL:
	case REPLY_ARRAY:
	case REPLY_EXPIRY:
		status = TERN_DONE;
		break;
	case REPLY_BOUND:
		result->has_integer = true;
		result->integer = reply->reply.value;
		reason = TERN_REASON_BOUND;
		break;
	case REPLY_NOT_INTEGER:
		reason = TERN_REASON_NOT_INTEGER;
		break;
	case REPLY_OVERFLOW:
		reason = TERN_REASON_OVERFLOW;
		break;
	case REPLY_OUT_OF_MEMORY:
		reason = TERN_REASON_OUT_OF_MEMORY;
		break;
	case REPLY_REFUSED:
		reason = TERN_REASON_REPEAT;
		break;
	case REPLY_SESSION_UNKNOWN:
		session_lost(engine);
		return;
	case REPLY_CONFLICT: /* this library sends no MULTI */
	case REPLY_TOO_LARGE:
	case REPLY_SESSION:
	case REPLY_TOO_OLD:
	default:
		/* Never said of a number that is still open by a cluster that keeps the protocol:
		 * not believed, and asked again. */
		return;
	}
	engine->seen_index = max_u64(engine->seen_index, reply->log_index);
	engine_finish(engine, call, status, status == TERN_DONE ? TERN_REASON_NONE : reason);
}

static void
read_done(struct engine *engine, struct call *call, const struct native_reply *reply)
{
	struct tern_result *result = &call->result;

	result->log_index = reply->log_index;
	if (call->reads != NATIVE_READS_DIRTY)
		engine->seen_index = max_u64(engine->seen_index, reply->log_index);
	result->age_us_max =
	    reply->age_ns == UINT64_MAX ? UINT64_MAX : div_up_u64(reply->age_ns, NS_PER_US);
	result->class_ = reply->is_memory ? TERN_CLASS_MEMORY : TERN_CLASS_DURABLE;
	result->is_found = reply->type != NATIVE_VALUE_NONE;
	result->value = call->memory;
	switch (reply->type) {
	case NATIVE_VALUE_NONE:
		break;
	case NATIVE_VALUE_BYTES:
		memcpy(call->memory, reply->value, reply->value_bytes);
		result->value_bytes = reply->value_bytes;
		break;
	case NATIVE_VALUE_INTEGER:
		result->has_integer = true;
		result->integer = reply->integer;
		result->value_bytes =
		    (uint32_t)snprintf((char *)call->memory, 24, "%lld", (long long)reply->integer);
		break;
	}
	engine_finish(engine, call, TERN_DONE, TERN_REASON_NONE);
}

/* Nobody believes it of a command that was not async: it would end a write that is still open. */
static void
write_accepted(struct engine *engine, struct call *call, const struct native_reply *reply)
{
	struct tern_result *result = &call->result;

	if (!call->is_async)
		return;
	result->class_ = TERN_CLASS_ASYNC;
	result->term = reply->term;
	result->log_index = reply->log_index;
	result->slot = reply->slot;
	engine->seen_index = max_u64(engine->seen_index, reply->log_index);
	engine_finish(engine, call, TERN_ACCEPTED, TERN_REASON_NONE);
}

/* Limits and formats are equal on all nodes: no copy of it is ever taken, anywhere. */
static bool
refused_for_ever(struct engine *engine, struct call *call, enum native_outcome outcome)
{
	if (outcome != NATIVE_TOO_LARGE && outcome != NATIVE_MALFORMED)
		return false;
	engine_finish(engine, call, TERN_REFUSED,
		      outcome == NATIVE_TOO_LARGE ? TERN_REASON_TOO_LARGE : TERN_REASON_MALFORMED);
	return true;
}

/* Not executed by this datagram; an earlier or later copy of it may be. */
static void
refused(struct engine *engine, struct call *call, enum native_outcome outcome, bool is_from_master,
	uint64_t now_ns)
{
	switch (outcome) {
	case NATIVE_CLASS:
		/* Logs are volatile on all nodes or on none, and what async needs is the same on
		 * all. */
		engine_finish(engine, call, TERN_REFUSED, TERN_REASON_CLASS);
		return;
	case NATIVE_NOT_MASTER:
	case NATIVE_UNKNOWN:
		if (is_from_master)
			engine_lose_master(engine, now_ns);
		break;
	case NATIVE_LOG_FULL:
		call->late_reason = TERN_REASON_LOG_FULL;
		break;
	case NATIVE_TOO_LARGE:
	case NATIVE_MALFORMED:
	case NATIVE_BUSY:
	case NATIVE_DONE:
	case NATIVE_ACCEPTED:
	case NATIVE_POSITION: /* only local reads are told so */
	case NATIVE_GONE:
	case NATIVE_STALE:
		break;
	}
	call->send_ns = now_ns + engine_pause_ns(engine, call->backoff);
	engine->due_ns = 0;
}

static void
session_answered(struct engine *engine, const struct native_reply *reply, bool is_from_master,
		 uint64_t now_ns)
{
	if (engine->open_number == 0 || reply->id != engine->open_number)
		return;
	if (reply->outcome == NATIVE_DONE && reply->reply.kind == REPLY_SESSION &&
	    reply->reply.value != 0) {
		engine->client_id = (uint64_t)reply->reply.value;
		engine->open_number = 0;
		engine->used_ns = now_ns;
		engine->stats.sessions++;
		engine->due_ns = 0;
		return;
	}
	/* Refused, or no room for sessions now: again, until the writes' deadlines. */
	if ((reply->outcome == NATIVE_NOT_MASTER || reply->outcome == NATIVE_UNKNOWN) &&
	    is_from_master)
		engine_lose_master(engine, now_ns);
	engine->open_send_ns = now_ns + engine_pause_ns(engine, (uint32_t)engine->open_backoff);
}

void
engine_answered(struct engine *engine, uint32_t node, const struct native_reply *reply,
		bool is_from_master, uint64_t now_ns)
{
	const bool is_read = reply->what == NATIVE_WHAT_READ;

	if (reply->what == NATIVE_WHAT_OPEN) {
		session_answered(engine, reply, is_from_master, now_ns);
		return;
	}
	struct call *call = &engine->calls[reply->id % TERN_WINDOW + (is_read ? TERN_WINDOW : 0)];
	if (call->state != CALL_OPEN || call->id != reply->id || call->tries == 0)
		return;
	call->result.node = engine->nodes[node].node_id;
	if (refused_for_ever(engine, call, reply->outcome))
		return;
	if (reply->outcome == NATIVE_ACCEPTED && !is_read)
		write_accepted(engine, call, reply);
	else if (reply->outcome != NATIVE_DONE && call->is_local)
		engine_local_refused(engine, call, reply, now_ns);
	else if (reply->outcome != NATIVE_DONE)
		refused(engine, call, reply->outcome, is_from_master, now_ns);
	else if (is_read)
		read_done(engine, call, reply);
	else
		write_done(engine, call, reply);
}
