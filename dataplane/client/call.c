/* SPDX-License-Identifier: Apache-2.0 */
/* How a call ends, and how long it pauses before it is sent again. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/client/engine.h"

#define BACKOFF_SHIFT_MAX 10u

uint64_t
engine_pause_ns(struct engine *engine, uint32_t tries)
{
	const uint64_t pause_ns = min_u64(engine->retry_min_ns << min_u32(tries, BACKOFF_SHIFT_MAX),
					  engine->retry_max_ns);

	return pause_ns - prng_below(&engine->prng, pause_ns / 4);
}

void
engine_finish(struct engine *engine, struct call *call, enum tern_status status,
	      enum tern_reason reason)
{
	INVARIANT(call->state == CALL_OPEN);
	INVARIANT(engine->open_count > 0);
	call->state = CALL_DONE;
	call->result.status = status;
	call->result.reason = reason;
	call->next_done = NULL;
	if (engine->done_first == NULL)
		engine->done_first = call;
	else
		engine->done_last->next_done = call;
	engine->done_last = call;
	engine->open_count--;
	engine->local_count -= call->is_local;
}
