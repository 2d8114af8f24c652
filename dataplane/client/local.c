/* SPDX-License-Identifier: Apache-2.0 */
/* Reads that ask nobody: at which node, and what its refusal means. */
#include <errno.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/client/engine.h"

#define READER_NS 1000000000ull /* for so long at the master, when no other would do */
#define NS_PER_US 1000u
static_assert(ENGINE_NODES_MAX <= 32, "a mask of nodes");

int
engine_local_begin(struct engine *engine, struct call *call, const struct tern_request *request)
{
	static const enum native_reads reads[] = {
		[TERN_READS_LINEARIZABLE] = NATIVE_READS_LINEARIZABLE,
		[TERN_READS_SESSION] = NATIVE_READS_SESSION,
		[TERN_READS_STALE] = NATIVE_READS_STALE,
		[TERN_READS_SNAPSHOT] = NATIVE_READS_SNAPSHOT,
		[TERN_READS_DIRTY] = NATIVE_READS_DIRTY,
	};
	const bool is_snapshot = request->reads == TERN_READS_SNAPSHOT;

	if ((unsigned)request->reads >= sizeof(reads) / sizeof(reads[0]) ||
	    (request->reads == TERN_READS_LINEARIZABLE && request->node != 0) ||
	    (request->reads == TERN_READS_STALE && request->stale_ms_max == 0) ||
	    (is_snapshot && request->position != 0 && request->node == 0))
		return -EINVAL;
	call->reads = reads[request->reads];
	call->is_local = request->reads != TERN_READS_LINEARIZABLE;
	call->is_memory &= !is_snapshot && request->reads != TERN_READS_DIRTY;
	call->position = is_snapshot ? request->position : 0;
	if (request->reads == TERN_READS_SESSION)
		call->position = max_u64(request->position, engine->seen_index);
	call->stale_ms_max = request->stale_ms_max;
	call->node_wanted = request->node;
	call->node = ENGINE_NONE;
	return 0;
}

/* ---- which node ---- */

static uint32_t
node_of_id(const struct engine *engine, uint16_t node_id)
{
	for (uint32_t i = 0; i < engine->node_count; i++)
		if (engine->nodes[i].node_id == node_id)
			return i;
	return ENGINE_NONE;
}

/* One behind the other; a client begins at any. */
static void
reader_next(struct engine *engine, uint64_t now_ns)
{
	const uint32_t count = engine->node_count;
	const bool is_first = engine->reader == ENGINE_NONE;

	engine->reader =
	    is_first ? (uint32_t)prng_below(&engine->prng, count) : (engine->reader + 1) % count;
	/* The master has enough to do. When nobody else will do, its turn comes, too. */
	if (is_first && engine->reader == engine->master)
		engine->reader = (engine->reader + 1) % count;
	engine->reader_ns = now_ns;
}

static uint32_t
aim(struct engine *engine, const struct call *call, uint64_t now_ns)
{
	const bool has_failed = call->tries != 0 && call->node == engine->reader;

	if (call->node_wanted != 0)
		return node_of_id(engine, call->node_wanted);
	if (engine->reader == engine->master && now_ns - engine->reader_ns >= READER_NS)
		engine->reader = ENGINE_NONE;
	if (engine->reader == ENGINE_NONE || has_failed)
		reader_next(engine, now_ns);
	return engine->reader;
}

uint32_t
engine_aim(struct engine *engine, uint64_t now_ns)
{
	uint32_t nodes = 0;

	for (uint32_t i = TERN_WINDOW; i < ENGINE_CALLS; i++) {
		struct call *call = &engine->calls[i];
		if (call->state != CALL_OPEN || !call->is_local)
			continue;
		if (call->send_ns > now_ns) {
			engine->due_ns = min_u64(engine->due_ns, call->send_ns);
			continue;
		}
		call->node = aim(engine, call, now_ns);
		if (call->node == ENGINE_NONE)
			engine->is_node_unknown = true;
		else
			nodes |= 1u << call->node;
	}
	return nodes;
}

/* ---- refusals ---- */

void
engine_local_refused(struct engine *engine, struct call *call, const struct native_reply *reply,
		     uint64_t now_ns)
{
	const bool is_any = call->node_wanted == 0;
	/* Each node is asked once without a pause. */
	uint64_t pause_ns = is_any && call->backoff < engine->node_count
				? 0
				: engine_pause_ns(engine, call->backoff);

	switch (reply->outcome) {
	case NATIVE_GONE:
		engine_finish(engine, call, TERN_REFUSED, TERN_REASON_SNAPSHOT);
		return;
	case NATIVE_STALE:
		call->late_reason = TERN_REASON_STALE;
		call->result.age_us_max =
		    reply->age_ns == UINT64_MAX ? UINT64_MAX : div_up_u64(reply->age_ns, NS_PER_US);
		if (!is_any) {
			engine_finish(engine, call, TERN_REFUSED, TERN_REASON_STALE);
			return;
		}
		break;
	case NATIVE_POSITION:
		/* It has waited. */
		call->late_reason = TERN_REASON_POSITION;
		call->result.log_index = reply->log_index;
		pause_ns = 0;
		break;
	case NATIVE_TOO_LARGE:
	case NATIVE_MALFORMED:
	case NATIVE_NOT_MASTER:
	case NATIVE_UNKNOWN:
	case NATIVE_LOG_FULL:
	case NATIVE_BUSY:
	case NATIVE_CLASS:
	case NATIVE_DONE:
	case NATIVE_ACCEPTED:
		break;
	}
	call->send_ns = now_ns + pause_ns;
	engine->due_ns = 0;
}
