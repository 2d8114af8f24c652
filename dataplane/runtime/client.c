/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the requests of clients out of their channels: commands into the open block, reads into a
 * question to the core. */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

#include "dataplane/base/invariant.h"

/* ---- writes ---- */

/* Where logs are volatile no flush survives a power cut: durable would be a lie (P5). */
static bool
is_class_offered(const struct runtime *rt, const struct command *command)
{
	switch (command->class_) {
	case COMMAND_DURABLE:
		return !core_view(rt->core)->is_volatile;
	case COMMAND_MEMORY:
		return true;
	case COMMAND_ASYNC:
		return command_fits_async(command);
	}
	return false;
}

/* What is not known to have a reply of fixed length is taken for one that has not. */
static bool
may_reply_bytes(const struct command *command)
{
	const bool is_fixed = command->op == COMMAND_SET || command->op == COMMAND_MSET ||
			      command->op == COMMAND_DELETE || command->op == COMMAND_ADD ||
			      command->op == COMMAND_APPEND ||
			      command->op == COMMAND_SESSION_OPEN ||
			      command->op == COMMAND_SESSION_CLOSE;

	return !is_fixed || (command->flags & COMMAND_GET_OLD) != 0;
}

/* It is not among the writes that wait for apply: nobody wants to know what becomes of it. */
static void
note_accept(struct runtime *rt, uint32_t channel, uint64_t tag, struct state_position at)
{
	INVARIANT(rt->accept_count < rt->writes_max);
	rt->accepts[rt->accept_count++] = (struct pending_accept){
		.tag = tag, .log_index = at.log_index, .slot = at.slot, .channel = channel
	};
}

/* A memory command that may be taken back with its block, as its client knows. A session may not:
 * who was told an id would find it given to another client, and take that one's answers for its
 * own. It is answered at its commit, unless nothing is more durable here. */
static bool
is_provisional(const struct runtime *rt, const struct command *command)
{
	return command->class_ == COMMAND_MEMORY &&
	       (command->op != COMMAND_SESSION_OPEN || core_view(rt->core)->is_volatile);
}

static void
note_write(struct runtime *rt, uint32_t channel, const struct submit_request *request,
	   const struct command *command, struct state_position at)
{
	const bool is_memory = is_provisional(rt, command);
	const bool has_bytes_reply = !is_memory && may_reply_bytes(command);

	if (command->class_ == COMMAND_ASYNC) {
		note_accept(rt, channel, request->tag, at);
		return;
	}
	INVARIANT(rt->write_tail - rt->write_head < rt->writes_max);
	rt->writes[rt->write_tail++ % rt->writes_max] = (struct pending_write){
		.log_index = at.log_index,
		.tag = request->tag,
		.slot = at.slot,
		.channel = (uint8_t)channel,
		.class_ = (uint8_t)(is_memory ? COMMAND_MEMORY : COMMAND_DURABLE),
		.has_bytes_reply = has_bytes_reply,
	};
	if (has_bytes_reply)
		rt->bytes_index = at.log_index;
	if (!is_memory)
		return;
	rt->memory_wanted = at.log_index;
	rt->memory_ns = rt->now_ns;
}

/* The log takes no command now, and soon will. Reads are behind the writes in the channels, so the
 * wait has an end: from then on writes are refused until one is taken. */
static bool
is_log_to_wait_for(struct runtime *rt)
{
	if (!reclaim_is_near(rt))
		return false;
	if (rt->log_full_ns == 0)
		rt->log_full_ns = rt->now_ns;
	return rt->now_ns - rt->log_full_ns < RUNTIME_LOG_WAIT_NS;
}

/* False: there is no room in the log now, or the block that @is_last allows is full; the request
 * stays where it is. */
static bool
take_write(struct runtime *rt, uint32_t channel, const struct submit_request *request, bool is_last)
{
	const uint8_t *bytes = (const uint8_t *)(request + 1);
	struct command command;
	uint64_t log_index;
	uint32_t slot;

	if (!core_view(rt->core)->is_serving || rt->is_barrier_wanted) {
		answer_refuse(rt, channel, request->tag, SUBMIT_REFUSED_NOT_MASTER);
		return true;
	}
	if (command_decode(bytes, request->command_bytes, &command) != TERN_OK) {
		answer_refuse(rt, channel, request->tag, SUBMIT_REFUSED_MALFORMED);
		return true;
	}
	if (!is_class_offered(rt, &command)) {
		answer_refuse(rt, channel, request->tag, SUBMIT_REFUSED_CLASS);
		return true;
	}
	enum tern_err err = cmdlog_append(rt->log, bytes, command.bytes, &log_index, &slot);
	if (err == TERN_ERR_QUEUE_FULL && cmdlog_open_count(rt->log) != 0) {
		/* The block is as large as it should be: close it and open the next. */
		if (seal_block(rt, BLOCK_COMMANDS) != TERN_OK || is_last)
			return false;
		err = cmdlog_append(rt->log, bytes, command.bytes, &log_index, &slot);
	}
	if (err == TERN_ERR_QUEUE_FULL || (err == TERN_ERR_LOG_FULL && is_log_to_wait_for(rt)))
		return false;
	if (err != TERN_OK) {
		answer_refuse(rt, channel, request->tag,
			      err == TERN_ERR_LOG_FULL ? SUBMIT_REFUSED_LOG_FULL
						       : SUBMIT_REFUSED_TOO_LARGE);
		return true;
	}
	rt->log_full_ns = 0;
	note_write(rt, channel, request, &command, (struct state_position){ log_index, slot });
	if (request->flags & SUBMIT_CLOSES_BLOCK) {
		/* Room for the block was reserved when its commands were appended. */
		err = seal_block(rt, BLOCK_COMMANDS);
		INVARIANT(err == TERN_OK);
	}
	return true;
}

/* ---- reads ---- */

static void
take_read(struct runtime *rt, uint32_t channel, const struct submit_request *request)
{
	if (core_view(rt->core)->role != CORE_MASTER) {
		answer_refuse(rt, channel, request->tag, SUBMIT_REFUSED_NOT_MASTER);
	} else if (rt->read_tail - rt->read_head == RUNTIME_READS_MAX) {
		answer_refuse(rt, channel, request->tag, SUBMIT_REFUSED_BUSY);
	} else {
		rt->reads[rt->read_tail++ % RUNTIME_READS_MAX] = (struct pending_read){
			.op_id = rt->read_op_id,
			.tag = request->tag,
			.channel = channel,
			.flags = request->flags,
		};
	}
}

/* One question for all reads of a turn: a round for one of them serves the others as well. */
static bool
may_lease(const struct runtime *rt, uint64_t op_id)
{
	for (uint64_t i = rt->read_tail; i != rt->read_head; i--) {
		const struct pending_read *read = &rt->reads[(i - 1) % RUNTIME_READS_MAX];
		if (read->op_id != op_id)
			break;
		if ((read->flags & SUBMIT_MAY_LEASE) == 0)
			return false;
	}
	return true;
}

/* ---- requests ---- */

static void
take_job(struct runtime *rt, uint32_t channel, const struct submit_request *request)
{
	const struct submit_completion completion = job_take(rt, request);

	report_publish(rt); /* whoever has the answer may look at once */
	answer_send(rt, channel, &completion);
}

static void
take_deep(struct runtime *rt, uint32_t channel, const struct submit_request *request)
{
	struct submit_completion completion = { .tag = request->tag, .outcome = SUBMIT_DONE };
	uint64_t end_index;

	if (request->command_bytes != sizeof(end_index)) {
		answer_refuse(rt, channel, request->tag, SUBMIT_REFUSED_MALFORMED);
		return;
	}
	memcpy(&end_index, request + 1, sizeof(end_index));
	completion.log_index = deep_start(rt, end_index);
	answer_send(rt, channel, &completion);
}

/* Takes @requests_max requests, or as many more as fill the open block: a block that is closed
 * because a turn has its end, and not because nothing waits, costs as much as a full one. */
static bool
take_requests(struct runtime *rt, uint32_t number, uint32_t requests_max, bool *has_read)
{
	struct submit_channel *channel = rt->config.channels[number];
	const struct submit_request *request;
	uint32_t bytes, taken;

	for (taken = 0; taken < requests_max || cmdlog_open_count(rt->log) != 0; taken++) {
		request = ring_peek(&channel->requests, &bytes);
		if (request == NULL)
			break;
		INVARIANT(bytes >= sizeof(*request) &&
			  bytes - sizeof(*request) >= request->command_bytes);
		switch ((enum submit_kind)request->kind) {
		case SUBMIT_WRITE:
			if (!take_write(rt, number, request, taken >= requests_max))
				return taken != 0;
			break;
		case SUBMIT_READ:
			take_read(rt, number, request);
			*has_read = true;
			break;
		case SUBMIT_TRANSFER:
			/* What came before is sealed first: it is the old mastership's. */
			if (cmdlog_open_count(rt->log) != 0 &&
			    seal_block(rt, BLOCK_COMMANDS) != TERN_OK)
				return taken != 0;
			change_transfer(rt, number, request);
			break;
		case SUBMIT_CHANGE:
			if (cmdlog_open_count(rt->log) != 0 &&
			    seal_block(rt, BLOCK_COMMANDS) != TERN_OK)
				return taken != 0;
			change_members(rt, number, request);
			break;
		case SUBMIT_JOB:
			take_job(rt, number, request);
			break;
		case SUBMIT_DEEP:
			take_deep(rt, number, request);
			break;
		case SUBMIT_FORCE:
			/* A master may take the time to begin an epoch, with a barrier. */
			if (cmdlog_open_count(rt->log) != 0 &&
			    seal_block(rt, BLOCK_COMMANDS) != TERN_OK)
				return taken != 0;
			change_force(rt, number, request);
			break;
		}
		ring_consume(&channel->requests);
	}
	return taken != 0;
}

/* While all write groups are in flight commands gather in the channels, so that the next block is
 * fuller. Blocks that will be full anyway need not wait: they are sent meanwhile, and the next
 * write group carries several of them. */
static bool
take_full_blocks(struct runtime *rt, uint32_t number, bool *has_read)
{
	struct ring *ring = &rt->config.channels[number]->requests;
	bool has_any = false;

	for (uint32_t i = 0;
	     i < RUNTIME_FULL_BLOCKS_MAX && ring_bytes_waiting(ring) >= RUNTIME_FULL_BLOCK_WAITING;
	     i++) {
		if (!take_requests(rt, number, 1, has_read))
			break;
		has_any = true;
	}
	return has_any;
}

static bool
channels_wait(const struct runtime *rt)
{
	for (uint32_t i = 0; i < rt->config.channel_count; i++)
		if (ring_bytes_waiting(&rt->config.channels[i]->requests) != 0)
			return true;
	return false;
}

/* Takes what the front ends have published and closes the block: a block closes when the burst is
 * drained, never on a timer. */
bool
client_turn(struct runtime *rt)
{
	const bool is_busy = cmdlog_groups_in_flight(rt->log) >= rt->config.groups_in_flight_max;
	bool has_any = false, has_read = false;

	rt->read_op_id++;
	if (flow_holds(rt)) {
		rt->flow.held += channels_wait(rt);
		return false;
	}
	for (uint32_t i = 0; i < rt->config.channel_count; i++)
		has_any |= is_busy ? take_full_blocks(rt, i, &has_read)
				   : take_requests(rt, i, RUNTIME_REQUESTS_MAX, &has_read);
	if (cmdlog_open_count(rt->log) != 0) {
		/* Room for the block was reserved when its commands were appended. */
		const enum tern_err err = seal_block(rt, BLOCK_COMMANDS);
		INVARIANT(err == TERN_OK);
	}
	if (has_read) {
		const struct core_event event = { .kind = CORE_EVENT_READ,
						  .now_ns = rt->now_ns,
						  .op_id = rt->read_op_id,
						  .flag = may_lease(rt, rt->read_op_id) };
		const enum tern_err err = dispatch(rt, &event);
		if (err != TERN_OK)
			answer_read_refuse(rt, rt->read_op_id,
					   err == TERN_ERR_NOT_MASTER ? SUBMIT_REFUSED_NOT_MASTER
								      : SUBMIT_REFUSED_BUSY);
	}
	return has_any;
}
