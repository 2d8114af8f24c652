/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

static void
on_role(struct runtime *rt)
{
	const struct core_view *view = core_view(rt->core);

	if (view->role == CORE_MASTER) {
		transfer_drop(rt);
		return;
	}
	/* What was applied ahead stays, in provisional views only, until it is committed or rolled
	 * back; nothing is applied ahead any more. */
	rt->memory_index = rt->memory_wanted = rt->ahead_checked = 0;
	rt->is_barrier_wanted = false;
	cmdlog_open_discard(rt->log);
	answer_fail_writes(rt);
	for (uint32_t i = 0; i < rt->stream_count; i++)
		stream_stop(rt->streams[i]);
}

static void
on_accept(struct runtime *rt, const struct core_effect *effect)
{
	const struct cmdlog_stats stats = cmdlog_stats(rt->log);

	INVARIANT(effect->index == stats.last_index + 1);
	INVARIANT(!rt->cut.is_pending);
	rt->accept_node = effect->node;
	transfer_drop(rt);
	repair_accept(rt);
	assembly_accept(rt->assembly, effect->index, cmdlog_next_page_lsn(rt->log));
}

static void
on_alarm(struct runtime *rt, const struct core_effect *effect)
{
	rt->alarms[(uint32_t)effect->alarm % 8]++;
	if (effect->alarm == CORE_ALARM_MEMORY_COMMITS_LOST) {
		rt->memory_lost_first = effect->index;
		rt->memory_lost_last = effect->index_to;
	}
}

static void
on_barrier(struct runtime *rt, const struct core_effect *effect)
{
	rt->is_barrier_wanted = true;
	rt->barrier_term = effect->term;
	rt->barrier_epoch = effect->epoch;
	INVARIANT(cmdlog_open_count(rt->log) == 0);
}

static void
on_effect(struct runtime *rt, const struct core_effect *effect)
{
	const uint32_t slot = peers_slot(rt, effect->node);

	switch (effect->kind) {
	case CORE_EFFECT_SEND:
		peers_send(rt, effect);
		break;
	case CORE_EFFECT_PERSIST_META:
		meta_queue(rt, effect);
		break;
	case CORE_EFFECT_PERSIST_REGISTER:
		tern_invariant_failed("a data node has no register", __FILE__, __LINE__);
	case CORE_EFFECT_PERSIST:
		rt->persist_index = max_u64(rt->persist_index, effect->index);
		break;
	case CORE_EFFECT_APPEND_BARRIER:
		on_barrier(rt, effect);
		break;
	case CORE_EFFECT_STREAM_START:
		INVARIANT(slot != UINT32_MAX);
		stream_start(rt->streams[slot], effect->index, rt->now_ns);
		break;
	case CORE_EFFECT_STREAM_STOP:
		INVARIANT(slot != UINT32_MAX);
		stream_stop(rt->streams[slot]);
		break;
	case CORE_EFFECT_ACCEPT:
		on_accept(rt, effect);
		break;
	case CORE_EFFECT_ACCEPT_STOP:
		repair_accept_stop(rt);
		assembly_stop(rt->assembly);
		break;
	case CORE_EFFECT_CUT:
		cut_begin(rt, effect->index);
		break;
	case CORE_EFFECT_COMMIT:
		INVARIANT(effect->index >= rt->commit_index);
		rt->commit_index = effect->index;
		break;
	case CORE_EFFECT_MEMORY_COMMIT:
		INVARIANT(effect->index >= rt->applied_index);
		rt->memory_index = effect->index;
		break;
	case CORE_EFFECT_ROLLBACK:
		INVARIANT(effect->index >= rt->commit_index && effect->index < rt->applied_index);
		state_rollback(rt->config.state, effect->index);
		rt->applied_index = effect->index;
		break;
	case CORE_EFFECT_ROLE:
		on_role(rt);
		break;
	case CORE_EFFECT_READ_READY:
		answer_read_ready(rt, effect->op_id, effect->index, effect->is_leased);
		break;
	case CORE_EFFECT_READ_FAILED:
		answer_read_failed(rt, effect->op_id);
		break;
	case CORE_EFFECT_ALARM:
		on_alarm(rt, effect);
		break;
	case CORE_EFFECT_PULL:
		pull_want(rt, effect);
		break;
	case CORE_EFFECT_INSTALL:
		transfer_install(rt, effect);
		break;
	case CORE_EFFECT_REJOIN:
		transfer_rejoin(rt, effect);
		break;
	}
}

void
effects_take(struct runtime *rt, const struct core_effects *effects)
{
	for (uint32_t i = 0; i < effects->count; i++)
		on_effect(rt, &effects->list[i]);
}
