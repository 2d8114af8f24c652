/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/client/engine.h"

#include <errno.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

#define SILENCE_NS      100000000ull    /* without a word of the master everybody is asked */
#define SESSION_IDLE_NS 300000000000ull /* half of what nodes allow: then a new one is opened */
#define TURN_BYTES_MAX  262144u         /* sent in one turn, so that no socket buffer overflows */
#define TURN_AGAIN_NS   1000000u
#define OPEN_BACKOFFS   10u
#define NS_PER_MS       1000000u

static uint64_t
random_number(struct engine *engine)
{
	return prng_next(&engine->prng) | 1;
}

void
engine_init(struct engine *engine)
{
	INVARIANT(engine->node_count >= 1 && engine->node_count <= ENGINE_NODES_MAX);
	INVARIANT(engine->retry_min_ns > 0 && engine->retry_min_ns <= engine->retry_max_ns);
	prng_seed(&engine->prng, engine->seed);
	engine->token = random_number(engine);
	engine->master = engine->reader = ENGINE_NONE;
	engine->low = engine->next_seq = engine->next_read = 1;
	engine->due_ns = UINT64_MAX;
	for (uint32_t i = 0; i < ENGINE_CALLS; i++) {
		engine->calls[i].memory = engine->memory + (size_t)i * ENGINE_CALL_BYTES;
		engine->calls[i].is_read = i >= TERN_WINDOW;
	}
}

/* ---- requests ---- */

static void
low_advance(struct engine *engine)
{
	while (engine->low < engine->next_seq) {
		const struct call *call = &engine->calls[engine->low % TERN_WINDOW];
		if (call->state == CALL_OPEN && call->id == engine->low)
			return;
		engine->low++;
	}
}

/* Nodes expire sessions that were not used for long: better a new one than one that may be gone. */
static void
session_refresh(struct engine *engine, uint64_t now_ns)
{
	low_advance(engine);
	if (engine->client_id == 0 || engine->low != engine->next_seq ||
	    now_ns - engine->used_ns < SESSION_IDLE_NS)
		return;
	engine_close_session(engine);
	engine->client_id = 0;
	engine->low = engine->next_seq = 1;
}

/* The slot of the next number; NULL: the window is full. */
static struct call *
call_next(struct engine *engine, bool is_read, uint64_t now_ns)
{
	if (!is_read)
		session_refresh(engine, now_ns);
	const uint64_t id = is_read ? engine->next_read : engine->next_seq;
	struct call *call = &engine->calls[id % TERN_WINDOW + (is_read ? TERN_WINDOW : 0)];

	return call->state == CALL_FREE ? call : NULL;
}

/* @call, whose command or key is in place, is under way from now on. */
static void
call_begin(struct engine *engine, struct call *call, uint64_t now_ns)
{
	call->state = CALL_OPEN;
	call->late_reason = TERN_REASON_DEADLINE;
	call->is_command = call->is_async = false;
	call->id = call->is_read ? engine->next_read++ : engine->next_seq++;
	call->send_ns = now_ns;
	call->tries = call->backoff = 0;
	call->result = (struct tern_result){ .status = TERN_REFUSED };
	if (engine->open_count++ == 0)
		engine->heard_ns = max_u64(engine->heard_ns, now_ns);
	engine->pending_count++;
	engine->local_count += call->is_local;
	engine->due_ns = 0;
}

int
engine_submit(struct engine *engine, const struct tern_request *request, uint64_t now_ns)
{
	const bool is_read = request->op == TERN_GET;
	struct call *call = call_next(engine, is_read, now_ns);

	if (call == NULL)
		return -EAGAIN;
	const int failed = engine_encode(call, request);
	if (failed != 0)
		return failed;
	const enum tern_class class_ =
	    request->class_ != TERN_CLASS_DEFAULT ? request->class_ : engine->class_;
	if (class_ < TERN_CLASS_DEFAULT || class_ > TERN_CLASS_ASYNC ||
	    (is_read && request->class_ == TERN_CLASS_ASYNC))
		return -EINVAL;
	call->is_memory = is_read && class_ == TERN_CLASS_MEMORY;
	call->is_local = false;
	if (is_read && engine_local_begin(engine, call, request) != 0)
		return -EINVAL;
	if (!is_read && class_ == TERN_CLASS_MEMORY)
		command_set_class(call->memory, COMMAND_MEMORY);
	if (!is_read && class_ == TERN_CLASS_ASYNC)
		command_set_class(call->memory, COMMAND_ASYNC);
	call_begin(engine, call, now_ns);
	call->is_async = !is_read && class_ == TERN_CLASS_ASYNC;
	call->deadline_ns = now_ns + (request->deadline_ms != 0 ? request->deadline_ms * 1000000ull
								: engine->deadline_ns);
	call->done = request->done;
	call->context = request->context;
	return 0;
}

int
engine_submit_command(struct engine *engine, const uint8_t *command, uint32_t bytes,
		      tern_callback *done, void *context, uint64_t now_ns)
{
	struct call *call = call_next(engine, false, now_ns);

	INVARIANT(bytes >= COMMAND_HDR_BYTES && bytes % 8 == 0);
	if (bytes > TERN_REQUEST_BYTES_MAX)
		return -EMSGSIZE;
	if (call == NULL)
		return -EAGAIN;
	memcpy(call->memory, command, bytes);
	call->bytes = bytes;
	call->is_local = false;
	call_begin(engine, call, now_ns);
	call->is_command = true;
	call->is_async = command[offsetof(struct command_hdr_le, class_)] == COMMAND_ASYNC;
	call->reply = (struct reply){ 0 };
	call->deadline_ns = now_ns + engine->deadline_ns;
	call->done = done;
	call->context = context;
	return 0;
}

struct call *
engine_take(struct engine *engine)
{
	struct call *call = engine->done_first;

	if (call == NULL)
		return NULL;
	INVARIANT(call->state == CALL_DONE);
	engine->done_first = call->next_done;
	if (engine->done_first == NULL)
		engine->done_last = NULL;
	return call;
}

void
engine_give(struct engine *engine, struct call *call)
{
	INVARIANT(call->state == CALL_DONE);
	INVARIANT(engine->pending_count > 0);
	call->state = CALL_FREE;
	engine->pending_count--;
}

/* ---- receiving ---- */

void
engine_receive(struct engine *engine, const struct inet_addr *ip, uint16_t port,
	       const uint8_t *frame, uint32_t bytes, uint64_t now_ns)
{
	struct native_reply reply;
	struct native_hdr hdr;
	uint32_t node = 0;

	engine->stats.frames_received++;
	while (node < engine->node_count &&
	       (!inet_addr_equal(&engine->nodes[node].ip, ip) || engine->nodes[node].port != port))
		node++;
	if (node == engine->node_count || native_open(frame, bytes, &hdr) != TERN_OK ||
	    hdr.token != engine->token || hdr.node == 0 ||
	    (hdr.kind != NATIVE_MASTER && hdr.kind != NATIVE_REPLY) ||
	    (engine->cluster_id != 0 && hdr.cluster_id != engine->cluster_id)) {
		engine->stats.frames_dropped++;
		return;
	}
	engine->cluster_id = hdr.cluster_id;
	engine->nodes[node].node_id = hdr.node;
	const bool is_from_master = node == engine->master;
	engine_heard_master(engine, node, frame, &hdr, now_ns);
	if (hdr.kind != NATIVE_REPLY)
		return;
	struct native_cursor cursor = native_items(frame, &hdr);
	while (native_next_reply(&cursor, &reply))
		engine_answered(engine, node, &reply, is_from_master, now_ns);
}

/* ---- sending ---- */

/* Ends what is late; the earliest deadline of the others goes into due_ns. */
static void
expire(struct engine *engine, uint64_t now_ns)
{
	for (uint32_t i = 0; i < ENGINE_CALLS; i++) {
		struct call *call = &engine->calls[i];
		if (call->state != CALL_OPEN)
			continue;
		if (now_ns < call->deadline_ns) {
			engine->due_ns = min_u64(engine->due_ns, call->deadline_ns);
			continue;
		}
		/* A read changes nothing, and what was never sent is executed by nobody. */
		engine_finish(engine, call,
			      call->is_read || call->tries == 0 ? TERN_REFUSED : TERN_UNKNOWN,
			      call->late_reason);
	}
}

/* Calls that one datagram after another carries: writes, or reads, to one node. */
struct lane {
	enum native_kind kind;
	uint32_t node;
	bool is_local;
};

static void
emit_gathered(struct engine *engine, struct native_writer *writer, const struct lane *lane)
{
	if (writer->item_count != 0)
		engine_emit(engine, lane->node, writer, lane->kind);
	native_begin(writer, engine->frame, sizeof(engine->frame));
}

/* The node waits for a position not quite as long as this client does before it asks again. */
static uint32_t
limit_ms(const struct call *call, uint64_t pause_ns)
{
	switch (call->reads) {
	case NATIVE_READS_SESSION:
	case NATIVE_READS_SNAPSHOT:
		return max_u32((uint32_t)(pause_ns / 2 / NS_PER_MS), 1);
	case NATIVE_READS_STALE:
		return call->stale_ms_max;
	case NATIVE_READS_LINEARIZABLE:
	case NATIVE_READS_DIRTY:
		break;
	}
	return 0;
}

static bool
add_call(struct engine *engine, struct native_writer *writer, struct call *call, uint64_t pause_ns)
{
	const struct native_read read = {
		.id = call->id,
		.key = call->memory,
		.key_bytes = call->bytes,
		.is_memory = call->is_memory,
		.reads = call->reads,
		.position = call->position,
		.limit_ms = limit_ms(call, pause_ns),
	};

	if (call->is_read)
		return native_add_read(writer, &read);
	native_stamp(call->memory, engine->client_id, call->id, (uint16_t)(call->id - engine->low));
	return native_add_command(writer, call->memory, call->bytes);
}

static bool
is_in_lane(const struct call *call, const struct lane *lane)
{
	return call->state == CALL_OPEN && call->is_local == lane->is_local &&
	       (!lane->is_local || call->node == lane->node);
}

/* Sends the calls of @lane that are due, up to what is left of @budget. */
static void
send_due(struct engine *engine, const struct lane *lane, uint64_t now_ns, uint32_t *budget)
{
	const bool is_read = lane->kind == NATIVE_READ;
	const uint32_t first = is_read ? TERN_WINDOW : 0;
	const uint64_t oldest_id = is_read ? engine->next_read : engine->low;
	struct native_writer writer;

	native_begin(&writer, engine->frame, sizeof(engine->frame));
	for (uint32_t i = 0; i < TERN_WINDOW; i++) {
		struct call *call = &engine->calls[first + (oldest_id + i) % TERN_WINDOW];
		if (!is_in_lane(call, lane))
			continue;
		if (call->send_ns > now_ns) {
			engine->due_ns = min_u64(engine->due_ns, call->send_ns);
			continue;
		}
		if (call->bytes > *budget) {
			engine->due_ns = min_u64(engine->due_ns, now_ns + TURN_AGAIN_NS);
			continue;
		}
		*budget -= call->bytes;
		if (writer.item_count != 0 &&
		    writer.used + NATIVE_READ_BYTES + call->bytes > NATIVE_PACK_BYTES)
			emit_gathered(engine, &writer, lane);
		const uint64_t pause_ns = engine_pause_ns(engine, call->backoff++);
		const bool has_room = add_call(engine, &writer, call, pause_ns);
		INVARIANT(has_room);
		engine->stats.sends++;
		engine->stats.resends += call->tries != 0;
		call->tries++;
		call->send_ns = now_ns + pause_ns;
		engine->due_ns = min_u64(engine->due_ns, call->send_ns);
	}
	emit_gathered(engine, &writer, lane);
}

static void
send_local(struct engine *engine, uint64_t now_ns, uint32_t *budget)
{
	const uint32_t nodes = engine_aim(engine, now_ns);

	for (uint32_t node = 0; node < engine->node_count; node++) {
		const struct lane lane = { NATIVE_READ, node, true };
		if ((nodes >> node & 1) != 0)
			send_due(engine, &lane, now_ns, budget);
	}
}

static void
open_session(struct engine *engine, uint64_t now_ns)
{
	struct native_writer writer;

	if (engine->open_number == 0) {
		/* Answers that belong to an earlier session carry another token. */
		engine->token = random_number(engine);
		engine->open_number = random_number(engine);
		engine->open_send_ns = 0;
		engine->open_backoff = 0;
	}
	if (engine->open_send_ns <= now_ns) {
		native_begin(&writer, engine->frame, sizeof(engine->frame));
		const bool has_room = native_add_open(&writer, engine->open_number);
		INVARIANT(has_room);
		engine_emit(engine, engine->master, &writer, NATIVE_OPEN);
		engine->open_send_ns =
		    now_ns + engine_pause_ns(engine, (uint32_t)engine->open_backoff);
		if (engine->open_backoff < OPEN_BACKOFFS)
			engine->open_backoff++;
	}
	engine->due_ns = min_u64(engine->due_ns, engine->open_send_ns);
}

static void
ask_around(struct engine *engine, uint64_t now_ns)
{
	const uint64_t silent_ns = engine->heard_ns + SILENCE_NS;

	if (engine->master != ENGINE_NONE && now_ns < silent_ns && !engine->is_node_unknown) {
		engine->due_ns = min_u64(engine->due_ns, silent_ns);
		return;
	}
	if (now_ns >= engine->probe_ns)
		engine_probe(engine, now_ns);
	engine->due_ns = min_u64(engine->due_ns, engine->probe_ns);
}

void
engine_turn(struct engine *engine, uint64_t now_ns)
{
	uint32_t budget = TURN_BYTES_MAX;

	if (now_ns < engine->due_ns)
		return;
	engine->due_ns = UINT64_MAX;
	expire(engine, now_ns);
	low_advance(engine);
	if (engine->open_count == 0)
		return;
	engine->is_node_unknown = false;
	if (engine->local_count != 0)
		send_local(engine, now_ns, &budget);
	if (engine->open_count == engine->local_count && !engine->is_node_unknown)
		return;
	ask_around(engine, now_ns);
	if (engine->master == ENGINE_NONE)
		return;
	const struct lane writes = { NATIVE_SUBMIT, engine->master, false };
	const struct lane reads = { NATIVE_READ, engine->master, false };
	if (engine->low != engine->next_seq) {
		if (engine->client_id == 0) {
			open_session(engine, now_ns);
		} else {
			engine->used_ns = now_ns;
			send_due(engine, &writes, now_ns, &budget);
		}
	}
	send_due(engine, &reads, now_ns, &budget);
}

uint64_t
engine_due_ns(const struct engine *engine)
{
	return engine->due_ns;
}

void
engine_close_session(struct engine *engine)
{
	uint8_t command[COMMAND_HDR_BYTES];
	struct command_writer close;
	struct native_writer writer;
	uint32_t bytes = 0;

	if (engine->client_id == 0 || engine->master == ENGINE_NONE)
		return;
	command_begin(&close, command, sizeof(command));
	native_begin(&writer, engine->frame, sizeof(engine->frame));
	if (command_end(&close, COMMAND_SESSION_CLOSE, 0, engine->client_id, 0, 0, &bytes) ==
		TERN_OK &&
	    native_add_command(&writer, command, bytes))
		engine_emit(engine, engine->master, &writer, NATIVE_SUBMIT);
}
