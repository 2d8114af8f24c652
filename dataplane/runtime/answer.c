/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

#include "dataplane/base/invariant.h"

void
answer_send(struct runtime *rt, uint32_t channel_number, const struct submit_completion *completion)
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
		answer_send(rt, channel_number, completion);
		return;
	}
	if (reply->bytes <= channel->reply_bytes_max)
		out = ring_reserve(&channel->completions, (uint32_t)sizeof(*out) + reply->bytes);
	if (out == NULL) {
		/* The front end did not plan for it: it still learns that the write is done. */
		struct submit_completion done = *completion;
		done.reply =
		    (struct reply){ .kind = REPLY_DONE, .value = (int64_t)completion->log_index };
		answer_send(rt, channel_number, &done);
		return;
	}
	*out = *completion;
	out->reply.data = NULL;
	memcpy(out + 1, reply->data, reply->bytes);
	ring_publish(&channel->completions);
	rt->wake_channels |= 1u << channel_number;
}

void
answer_refuse(struct runtime *rt, uint32_t channel, uint64_t tag, enum submit_outcome outcome)
{
	const struct submit_completion completion = {
		.tag = tag,
		.outcome = outcome,
		.master_id = core_view(rt->core)->master_id,
	};

	answer_send(rt, channel, &completion);
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
		answer_refuse(rt, channel, completion->tag, SUBMIT_UNKNOWN);
	else
		complete_write(rt, channel, completion);
}

void
answer_write_done(struct runtime *rt, uint64_t log_index, uint32_t slot, const struct reply *reply,
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
answer_release_held(struct runtime *rt)
{
	for (; rt->held_head != rt->held_tail; rt->held_head++) {
		const struct held_write *held = &rt->held[rt->held_head % rt->writes_max];
		if (held->completion.log_index > rt->commit_index)
			return;
		answer_write(rt, held->channel, COMMAND_DURABLE, &held->completion);
	}
}

bool
answer_awaits_bytes(const struct runtime *rt, uint64_t log_index)
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
answer_sealed(struct runtime *rt, uint64_t log_index, uint64_t term)
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
		answer_send(rt, accept->channel, &completion);
	}
	rt->accept_count = 0;
}

void
answer_fail_writes(struct runtime *rt)
{
	for (uint64_t i = 0; i < rt->accept_count; i++)
		answer_refuse(rt, rt->accepts[i].channel, rt->accepts[i].tag,
			      SUBMIT_REFUSED_NOT_MASTER);
	rt->accept_count = 0;
	for (; rt->held_head != rt->held_tail; rt->held_head++) {
		const struct held_write *held = &rt->held[rt->held_head % rt->writes_max];
		answer_refuse(rt, held->channel, held->completion.tag, SUBMIT_UNKNOWN);
	}
	for (; rt->write_head != rt->write_tail; rt->write_head++) {
		const struct pending_write *write = &rt->writes[rt->write_head % rt->writes_max];
		answer_refuse(rt, write->channel, write->tag, SUBMIT_UNKNOWN);
	}
}

/* ---- reads ---- */

void
answer_read_ready(struct runtime *rt, uint64_t op_id, uint64_t index, bool is_leased)
{
	for (uint64_t i = rt->read_head; i != rt->read_tail; i++) {
		struct pending_read *read = &rt->reads[i % RUNTIME_READS_MAX];
		if (read->op_id == op_id && read->state == READ_WAITING) {
			read->index = index;
			read->state = is_leased ? READ_LEASED : READ_READY;
		}
	}
}

void
answer_read_refuse(struct runtime *rt, uint64_t op_id, enum submit_outcome outcome)
{
	for (uint64_t i = rt->read_head; i != rt->read_tail; i++) {
		struct pending_read *read = &rt->reads[i % RUNTIME_READS_MAX];
		if (read->op_id == op_id && read->state == READ_WAITING) {
			read->state = READ_DONE;
			answer_refuse(rt, read->channel, read->tag, outcome);
		}
	}
}

void
answer_read_failed(struct runtime *rt, uint64_t op_id)
{
	answer_read_refuse(rt, op_id, SUBMIT_REFUSED_NOT_MASTER);
}

bool
answer_reads(struct runtime *rt)
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
			answer_send(rt, read->channel, &completion);
		}
		has_any = true;
	}
	return has_any;
}
