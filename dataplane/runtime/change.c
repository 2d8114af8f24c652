/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"
#include "dataplane/core/change.h"

void
change_transfer(struct runtime *rt, uint32_t channel, const struct submit_request *request)
{
	const struct core_event event = { .kind = CORE_EVENT_TRANSFER,
					  .now_ns = rt->now_ns,
					  .node = request->node };
	const enum tern_err err = dispatch(rt, &event);
	const struct submit_completion completion = { .tag = request->tag,
						      .outcome = SUBMIT_DONE,
						      .master_id = core_view(rt->core)->master_id };

	if (err == TERN_OK)
		answer_send(rt, channel, &completion);
	else
		answer_refuse(rt, channel, request->tag,
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

void
change_members(struct runtime *rt, uint32_t channel, const struct submit_request *request)
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
		answer_refuse(rt, channel, request->tag, SUBMIT_REFUSED_NOT_MASTER);
		return;
	}
	if (wanted == 0 && change == CORE_CHANGE_ENTERING)
		change_enter(rt, &next);
	if (wanted != 0)
		completion.change = (uint16_t)wanted;
	else if (change != CORE_CHANGE_ALLOWED)
		completion.change = (uint16_t)change_refusal(change);
	if (completion.change != 0) {
		answer_send(rt, channel, &completion);
		return;
	}
	membership_encode(record, &next, &before);
	const enum tern_err err =
	    cmdlog_append(rt->log, record, MEMBERSHIP_BYTES, &completion.log_index, &slot);
	if (err != TERN_OK) {
		answer_refuse(rt, channel, request->tag,
			      err == TERN_ERR_LOG_FULL ? SUBMIT_REFUSED_LOG_FULL
						       : SUBMIT_REFUSED_BUSY);
		return;
	}
	const enum tern_err sealed = seal_block(rt, BLOCK_CONFIG);
	INVARIANT(sealed == TERN_OK);
	completion.outcome = SUBMIT_DONE;
	answer_send(rt, channel, &completion);
}

void
change_force(struct runtime *rt, uint32_t channel, const struct submit_request *request)
{
	const struct core_event tick = { .kind = CORE_EVENT_TICK, .now_ns = rt->now_ns };
	struct submit_completion completion = { .tag = request->tag };

	if (dispatch(rt, &tick) != TERN_OK)
		rt->link.drops.core_refused++;
	const enum core_force verdict = force_begin(rt, request->value);
	completion.outcome = verdict == CORE_FORCE_ALLOWED ? SUBMIT_DONE : SUBMIT_REFUSED_FORCE;
	completion.change = (uint16_t)verdict;
	completion.log_index = cmdlog_stats(rt->log).last_index + 1;
	answer_send(rt, channel, &completion);
}
