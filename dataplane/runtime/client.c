/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/core/change.h"

/* ---- answers ---- */

static void
complete(struct runtime *rt, uint32_t channel_number, const struct submit_completion *completion)
{
	struct submit_channel *channel = rt->config.channels[channel_number];
	struct submit_completion *out = ring_reserve(&channel->completions, sizeof(*out));

	INVARIANT(out != NULL); /* the front end bounds what is open by in_flight_max */
	*out = *completion;
	ring_publish(&channel->completions);
	rt->wake_channels |= 1u << channel_number;
}

/* A write's answer, and behind it the bytes of its reply. */
static void
complete_write(struct runtime *rt, uint32_t channel_number,
	       const struct submit_completion *completion)
{
	struct submit_channel *channel = rt->config.channels[channel_number];
	const struct reply *reply = &completion->reply;
	struct submit_completion *out = NULL;

	if (!reply_has_data(reply)) {
		complete(rt, channel_number, completion);
		return;
	}
	if (reply->bytes <= channel->reply_bytes_max)
		out = ring_reserve(&channel->completions, (uint32_t)sizeof(*out) + reply->bytes);
	if (out == NULL) {
		/* The front end did not plan for it: it still learns that the write is done. */
		struct submit_completion done = *completion;
		done.reply =
		    (struct reply){ .kind = REPLY_DONE, .value = (int64_t)completion->log_index };
		complete(rt, channel_number, &done);
		return;
	}
	*out = *completion;
	out->reply.data = NULL;
	memcpy(out + 1, reply->data, reply->bytes);
	ring_publish(&channel->completions);
	rt->wake_channels |= 1u << channel_number;
}

static void
refuse(struct runtime *rt, uint32_t channel, uint64_t tag, enum submit_outcome outcome)
{
	const struct submit_completion completion = {
		.tag = tag,
		.outcome = outcome,
		.master_id = core_view(rt->core)->master_id,
	};

	complete(rt, channel, &completion);
}

/* ---- writes ---- */

/* Keeps the answer to a durable command until its commit. Blocks with replies that carry bytes are
 * not applied ahead, but a repeat in a session may be answered by what its number once did. */
static void
hold_write(struct runtime *rt, uint32_t channel, const struct submit_completion *completion)
{
	struct held_write *held = &rt->held[rt->held_tail % rt->writes_max];

	INVARIANT(rt->held_tail - rt->held_head < rt->writes_max);
	rt->held_tail++;
	*held = (struct held_write){ .completion = *completion, .channel = channel };
	held->completion.class_ = COMMAND_DURABLE;
	if (reply_has_data(&completion->reply))
		held->completion.reply =
		    (struct reply){ .kind = REPLY_DONE, .value = (int64_t)completion->log_index };
}

/* A class is never weakened: what was taken as durable before a counted copy turned out to lie in
 * memory has no answer that is true. */
static void
answer_write(struct runtime *rt, uint32_t channel, enum command_class class_,
	     const struct submit_completion *completion)
{
	if (class_ == COMMAND_DURABLE && core_view(rt->core)->is_volatile)
		refuse(rt, channel, completion->tag, SUBMIT_UNKNOWN);
	else
		complete_write(rt, channel, completion);
}

void
client_write_done(struct runtime *rt, uint64_t log_index, uint32_t slot, const struct reply *reply,
		  uint64_t term)
{
	const struct pending_write *write = &rt->writes[rt->write_head % rt->writes_max];
	const bool is_committed = log_index <= rt->commit_index;

	if (rt->write_head == rt->write_tail || write->log_index != log_index ||
	    write->slot != slot)
		return;
	const struct submit_completion completion = {
		.tag = write->tag,
		.outcome = SUBMIT_DONE,
		.master_id = rt->config.node_id,
		.copies = (uint16_t)core_view(rt->core)->copies,
		.term = term,
		.log_index = log_index,
		.slot = slot,
		.class_ = is_committed && !core_view(rt->core)->is_volatile ? COMMAND_DURABLE
									    : COMMAND_MEMORY,
		.reply = *reply,
	};
	rt->write_head++;
	if (!is_committed && write->class_ != COMMAND_MEMORY &&
	    !runtime_has_bug(rt, CORE_BUG_EARLY_REPLY))
		hold_write(rt, write->channel, &completion);
	else
		answer_write(rt, write->channel, (enum command_class)write->class_, &completion);
}

void
client_release_held(struct runtime *rt)
{
	for (; rt->held_head != rt->held_tail; rt->held_head++) {
		const struct held_write *held = &rt->held[rt->held_head % rt->writes_max];
		if (held->completion.log_index > rt->commit_index)
			return;
		answer_write(rt, held->channel, COMMAND_DURABLE, &held->completion);
	}
}

bool
client_awaits_bytes(const struct runtime *rt, uint64_t log_index)
{
	if (log_index > rt->bytes_index)
		return false;
	for (uint64_t i = rt->write_head; i != rt->write_tail; i++) {
		const struct pending_write *write = &rt->writes[i % rt->writes_max];
		if (write->log_index > log_index)
			return false;
		if (write->log_index == log_index && write->has_bytes_reply)
			return true;
	}
	return false;
}

void
client_sealed(struct runtime *rt, uint64_t log_index, uint64_t term)
{
	for (uint64_t i = 0; i < rt->accept_count; i++) {
		const struct pending_accept *accept = &rt->accepts[i];
		const struct submit_completion completion = {
			.tag = accept->tag,
			.outcome = SUBMIT_ACCEPTED,
			.master_id = rt->config.node_id,
			.term = term,
			.log_index = log_index,
			.slot = accept->slot,
			.class_ = COMMAND_ASYNC,
		};
		INVARIANT(accept->log_index == log_index);
		complete(rt, accept->channel, &completion);
	}
	rt->accept_count = 0;
}

void
client_fail_writes(struct runtime *rt)
{
	for (uint64_t i = 0; i < rt->accept_count; i++)
		refuse(rt, rt->accepts[i].channel, rt->accepts[i].tag, SUBMIT_REFUSED_NOT_MASTER);
	rt->accept_count = 0;
	for (; rt->held_head != rt->held_tail; rt->held_head++) {
		const struct held_write *held = &rt->held[rt->held_head % rt->writes_max];
		refuse(rt, held->channel, held->completion.tag, SUBMIT_UNKNOWN);
	}
	for (; rt->write_head != rt->write_tail; rt->write_head++) {
		const struct pending_write *write = &rt->writes[rt->write_head % rt->writes_max];
		refuse(rt, write->channel, write->tag, SUBMIT_UNKNOWN);
	}
}

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

static void
note_write(struct runtime *rt, uint32_t channel, const struct submit_request *request,
	   const struct command *command, struct state_position at)
{
	const bool is_memory = command->class_ == COMMAND_MEMORY;
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
		.class_ = (uint8_t)command->class_,
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
		refuse(rt, channel, request->tag, SUBMIT_REFUSED_NOT_MASTER);
		return true;
	}
	if (command_decode(bytes, request->command_bytes, &command) != TERN_OK) {
		refuse(rt, channel, request->tag, SUBMIT_REFUSED_MALFORMED);
		return true;
	}
	if (!is_class_offered(rt, &command)) {
		refuse(rt, channel, request->tag, SUBMIT_REFUSED_CLASS);
		return true;
	}
	enum tern_err err = cmdlog_append(rt->log, bytes, command.bytes, &log_index, &slot);
	if (err == TERN_ERR_QUEUE_FULL && cmdlog_open_count(rt->log) != 0) {
		/* The block is as large as it should be: close it and open the next. */
		if (dispatch_seal(rt, BLOCK_COMMANDS) != TERN_OK || is_last)
			return false;
		err = cmdlog_append(rt->log, bytes, command.bytes, &log_index, &slot);
	}
	if (err == TERN_ERR_QUEUE_FULL || (err == TERN_ERR_LOG_FULL && is_log_to_wait_for(rt)))
		return false;
	if (err != TERN_OK) {
		refuse(rt, channel, request->tag,
		       err == TERN_ERR_LOG_FULL ? SUBMIT_REFUSED_LOG_FULL
						: SUBMIT_REFUSED_TOO_LARGE);
		return true;
	}
	rt->log_full_ns = 0;
	note_write(rt, channel, request, &command, (struct state_position){ log_index, slot });
	if (request->flags & SUBMIT_CLOSES_BLOCK) {
		/* Room for the block was reserved when its commands were appended. */
		err = dispatch_seal(rt, BLOCK_COMMANDS);
		INVARIANT(err == TERN_OK);
	}
	return true;
}

/* ---- reads ---- */

static void
take_read(struct runtime *rt, uint32_t channel, const struct submit_request *request)
{
	if (core_view(rt->core)->role != CORE_MASTER) {
		refuse(rt, channel, request->tag, SUBMIT_REFUSED_NOT_MASTER);
	} else if (rt->read_tail - rt->read_head == RUNTIME_READS_MAX) {
		refuse(rt, channel, request->tag, SUBMIT_REFUSED_BUSY);
	} else {
		rt->reads[rt->read_tail++ % RUNTIME_READS_MAX] = (struct pending_read){
			.op_id = rt->read_op_id,
			.tag = request->tag,
			.channel = channel,
			.flags = request->flags,
		};
	}
}

void
client_read_ready(struct runtime *rt, uint64_t op_id, uint64_t index, bool is_leased)
{
	for (uint64_t i = rt->read_head; i != rt->read_tail; i++) {
		struct pending_read *read = &rt->reads[i % RUNTIME_READS_MAX];
		if (read->op_id == op_id && read->state == READ_WAITING) {
			read->index = index;
			read->state = is_leased ? READ_LEASED : READ_READY;
		}
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

static void
fail_read(struct runtime *rt, uint64_t op_id, enum submit_outcome outcome)
{
	for (uint64_t i = rt->read_head; i != rt->read_tail; i++) {
		struct pending_read *read = &rt->reads[i % RUNTIME_READS_MAX];
		if (read->op_id == op_id && read->state == READ_WAITING) {
			read->state = READ_DONE;
			refuse(rt, read->channel, read->tag, outcome);
		}
	}
}

void
client_read_failed(struct runtime *rt, uint64_t op_id)
{
	fail_read(rt, op_id, SUBMIT_REFUSED_NOT_MASTER);
}

bool
client_finish_reads(struct runtime *rt)
{
	bool has_any = false;

	for (; rt->read_head != rt->read_tail; rt->read_head++) {
		const struct pending_read *read = &rt->reads[rt->read_head % RUNTIME_READS_MAX];

		if (read->state == READ_WAITING ||
		    (read->state != READ_DONE && rt->applied_index < read->index))
			break;
		if (read->state != READ_DONE) {
			const struct submit_completion completion = {
				.tag = read->tag,
				.outcome = SUBMIT_DONE,
				.master_id = rt->config.node_id,
				.term = core_view(rt->core)->term,
				.log_index = min_u64(rt->applied_index, rt->commit_index),
				.is_leased = read->state == READ_LEASED,
			};
			complete(rt, read->channel, &completion);
		}
		has_any = true;
	}
	return has_any;
}

/* ---- requests ---- */

static void
take_transfer(struct runtime *rt, uint32_t channel, const struct submit_request *request)
{
	const struct core_event event = { .kind = CORE_EVENT_TRANSFER,
					  .now_ns = rt->now_ns,
					  .node = request->node };
	const enum tern_err err = dispatch(rt, &event);
	const struct submit_completion completion = { .tag = request->tag,
						      .outcome = SUBMIT_DONE,
						      .master_id = core_view(rt->core)->master_id };

	if (err == TERN_OK)
		complete(rt, channel, &completion);
	else
		refuse(rt, channel, request->tag,
		       err == TERN_ERR_NOT_MASTER ? SUBMIT_REFUSED_NOT_MASTER
						  : SUBMIT_REFUSED_BUSY);
}

static enum submit_change_refusal
change_refusal(enum core_change change)
{
	static const enum submit_change_refusal refusals[] = {
		[CORE_CHANGE_IN_PROGRESS] = SUBMIT_CHANGE_IN_PROGRESS,
		[CORE_CHANGE_UNKNOWN] = SUBMIT_CHANGE_UNKNOWN,
		[CORE_CHANGE_NOTHING] = SUBMIT_CHANGE_NOTHING,
		[CORE_CHANGE_VOTERS] = SUBMIT_CHANGE_VOTERS,
		[CORE_CHANGE_DEGRADED] = SUBMIT_CHANGE_DEGRADED,
		[CORE_CHANGE_SELF] = SUBMIT_CHANGE_SELF,
		[CORE_CHANGE_SILENT] = SUBMIT_CHANGE_SILENT,
		[CORE_CHANGE_BEHIND] = SUBMIT_CHANGE_BEHIND,
		[CORE_CHANGE_ENTERING] = SUBMIT_CHANGE_ENTERING,
		[CORE_CHANGE_WITNESS_OUT] = SUBMIT_CHANGE_OUT,
		[CORE_CHANGE_THERE] = SUBMIT_CHANGE_THERE,
		[CORE_CHANGE_AGAIN] = SUBMIT_CHANGE_AGAIN,
	};

	INVARIANT(refusals[change] != 0);
	return refusals[change];
}

/* What the configuration would be. 0: it can be asked for. */
static enum submit_change_refusal
change_wanted(const struct submit_request *request, struct membership *next)
{
	const uint64_t bit = UINT64_C(1) << (request->node & 63u);
	const bool is_voter = (next->voters & bit) != 0;
	uint32_t gen;

	switch ((enum submit_change)request->flags) {
	case SUBMIT_CHANGE_ADD_LEARNER:
		next->learners |= is_voter ? 0 : bit;
		return 0;
	case SUBMIT_CHANGE_REMOVE:
		next->learners &= ~bit;
		return is_voter ? SUBMIT_CHANGE_VOTER : 0;
	case SUBMIT_CHANGE_PROMOTE:
		if (!is_voter && (next->learners & bit) == 0)
			return SUBMIT_CHANGE_NO_LEARNER;
		next->learners &= ~bit;
		next->voters |= bit;
		return 0;
	case SUBMIT_CHANGE_DEMOTE:
		next->learners |= is_voter ? bit : 0;
		next->voters &= ~bit;
		return 0;
	case SUBMIT_CHANGE_DROP:
		if (__builtin_popcountll(next->voters) != 2)
			return is_voter ? SUBMIT_CHANGE_VOTERS : SUBMIT_CHANGE_NOTHING;
		next->voters &= ~bit;
		return 0;
	case SUBMIT_CHANGE_WITNESS_OUT:
		gen = (next->witness_gen & ~MEMBERSHIP_WITNESS_OUT) + 1;
		next->witness_gen = gen | MEMBERSHIP_WITNESS_OUT;
		return next->witness_id != 0 ? 0 : SUBMIT_CHANGE_VOTERS;
	case SUBMIT_CHANGE_WITNESS_IN:
		if ((next->witness_gen & MEMBERSHIP_WITNESS_OUT) == 0)
			return SUBMIT_CHANGE_AGAIN;
		next->witness_gen &= ~MEMBERSHIP_WITNESS_OUT;
		return 0;
	}
	return SUBMIT_CHANGE_NOTHING;
}

/* A change that cannot begin yet, for the witness has to know of it first. */
static void
change_enter(struct runtime *rt, const struct membership *next)
{
	const struct core_event event = { .kind = CORE_EVENT_ENTER,
					  .now_ns = rt->now_ns,
					  .next = next };

	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
}

/* Seals a CONFIG block and takes it at once: nothing can come between the judgement and it. */
static void
take_change(struct runtime *rt, uint32_t channel, const struct submit_request *request)
{
	/* Judged at the very time at which it is taken: a peer may have fallen silent since the
	 * last step. */
	const struct core_event tick = { .kind = CORE_EVENT_TICK, .now_ns = rt->now_ns };
	if (dispatch(rt, &tick) != TERN_OK)
		rt->link.drops.core_refused++;
	const struct membership before = core_view(rt->core)->members;
	struct membership next = before;
	const enum submit_change_refusal wanted = change_wanted(request, &next);
	const enum core_change change = core_judge_change(rt->core, &next);
	struct submit_completion completion = { .tag = request->tag,
						.outcome = SUBMIT_REFUSED_CHANGE,
						.master_id = core_view(rt->core)->master_id };
	uint8_t record[MEMBERSHIP_BYTES];
	uint32_t slot;

	if (change == CORE_CHANGE_NOT_MASTER) {
		refuse(rt, channel, request->tag, SUBMIT_REFUSED_NOT_MASTER);
		return;
	}
	if (wanted == 0 && change == CORE_CHANGE_ENTERING)
		change_enter(rt, &next);
	if (wanted != 0)
		completion.change = (uint16_t)wanted;
	else if (change != CORE_CHANGE_ALLOWED)
		completion.change = (uint16_t)change_refusal(change);
	if (completion.change != 0) {
		complete(rt, channel, &completion);
		return;
	}
	membership_encode(record, &next, &before);
	const enum tern_err err =
	    cmdlog_append(rt->log, record, MEMBERSHIP_BYTES, &completion.log_index, &slot);
	if (err != TERN_OK) {
		refuse(rt, channel, request->tag,
		       err == TERN_ERR_LOG_FULL ? SUBMIT_REFUSED_LOG_FULL : SUBMIT_REFUSED_BUSY);
		return;
	}
	const enum tern_err sealed = dispatch_seal(rt, BLOCK_CONFIG);
	INVARIANT(sealed == TERN_OK);
	completion.outcome = SUBMIT_DONE;
	complete(rt, channel, &completion);
}

static void
take_job(struct runtime *rt, uint32_t channel, const struct submit_request *request)
{
	const struct submit_completion completion = job_take(rt, request);

	report_publish(rt); /* whoever has the answer may look at once */
	complete(rt, channel, &completion);
}

static void
take_force(struct runtime *rt, uint32_t channel, const struct submit_request *request)
{
	const struct core_event tick = { .kind = CORE_EVENT_TICK, .now_ns = rt->now_ns };
	struct submit_completion completion = { .tag = request->tag };

	if (dispatch(rt, &tick) != TERN_OK)
		rt->link.drops.core_refused++;
	const enum core_force verdict = force_begin(rt, request->value);
	completion.outcome = verdict == CORE_FORCE_ALLOWED ? SUBMIT_DONE : SUBMIT_REFUSED_FORCE;
	completion.change = (uint16_t)verdict;
	completion.log_index = cmdlog_stats(rt->log).last_index + 1;
	complete(rt, channel, &completion);
}

static void
take_deep(struct runtime *rt, uint32_t channel, const struct submit_request *request)
{
	struct submit_completion completion = { .tag = request->tag, .outcome = SUBMIT_DONE };
	uint64_t end_index;

	if (request->command_bytes != sizeof(end_index)) {
		refuse(rt, channel, request->tag, SUBMIT_REFUSED_MALFORMED);
		return;
	}
	memcpy(&end_index, request + 1, sizeof(end_index));
	completion.log_index = deep_start(rt, end_index);
	complete(rt, channel, &completion);
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
			    dispatch_seal(rt, BLOCK_COMMANDS) != TERN_OK)
				return taken != 0;
			take_transfer(rt, number, request);
			break;
		case SUBMIT_CHANGE:
			if (cmdlog_open_count(rt->log) != 0 &&
			    dispatch_seal(rt, BLOCK_COMMANDS) != TERN_OK)
				return taken != 0;
			take_change(rt, number, request);
			break;
		case SUBMIT_JOB:
			take_job(rt, number, request);
			break;
		case SUBMIT_DEEP:
			take_deep(rt, number, request);
			break;
		case SUBMIT_FORCE:
			take_force(rt, number, request);
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
		const enum tern_err err = dispatch_seal(rt, BLOCK_COMMANDS);
		INVARIANT(err == TERN_OK);
	}
	if (has_read) {
		const struct core_event event = { .kind = CORE_EVENT_READ,
						  .now_ns = rt->now_ns,
						  .op_id = rt->read_op_id,
						  .flag = may_lease(rt, rt->read_op_id) };
		const enum tern_err err = dispatch(rt, &event);
		if (err != TERN_OK)
			fail_read(rt, rt->read_op_id,
				  err == TERN_ERR_NOT_MASTER ? SUBMIT_REFUSED_NOT_MASTER
							     : SUBMIT_REFUSED_BUSY);
	}
	return has_any;
}
