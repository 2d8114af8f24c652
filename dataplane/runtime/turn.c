/* SPDX-License-Identifier: Apache-2.0 */
/* The turn: what a node does, in which order, and when the next one is due. */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

static bool
is_status_due(const struct runtime *rt)
{
	const uint64_t period_ns = rt->has_worked ? STATUS_PERIOD_NS : STATUS_IDLE_NS;

	return rt->status_ns == 0 || rt->now_ns - rt->status_ns >= period_ns;
}

static void
tick(struct runtime *rt)
{
	const struct core_event event = { .kind = CORE_EVENT_TICK, .now_ns = rt->now_ns };

	if (rt->now_ns < core_deadline_ns(rt->core))
		return;
	rt->has_worked = true;
	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
}

/* @is_traffic: the turn did more than housekeeping. A heartbeat that was answered leaves nothing
 * that a further turn would find. */
static enum runtime_turn
verdict(const struct runtime *rt, bool is_traffic)
{
	const struct core_view *view = core_view(rt->core);

	if (is_traffic || rt->has_backlog)
		return RUNTIME_WORKED;
	/* What was under way with the devices stays so: there is nothing to be awake for. */
	if (rt->is_storage_failed)
		return rt->has_worked ? RUNTIME_WORKED : RUNTIME_IDLE;
	if (hold_devices(rt) || transfer_is_busy(rt) || mend_is_busy(rt) || pull_is_busy(rt) ||
	    rt->refill.phase != REFILL_IDLE || rt->flow.is_held || rt->read_head != rt->read_tail ||
	    rt->write_head != rt->write_tail || rt->is_barrier_wanted || rt->cut.is_pending ||
	    view->commit_index < view->last_index ||
	    (rt->applied_index < rt->commit_index && !rt->is_apply_stopped))
		return rt->has_worked ? RUNTIME_WORKED : RUNTIME_WAITING;
	return RUNTIME_IDLE;
}

/* Passes @has_worked through, counted as traffic. */
static bool
count_busy(struct runtime *rt, bool has_worked)
{
	rt->busy_count += has_worked;
	return has_worked;
}

/* What a turn without work took is idle, whatever it looked at. */
static void
stages_end(struct runtime *rt)
{
	struct stages *stages = &rt->stages;

	(void)stage_enter(rt, STAGE_other);
	for (uint32_t i = 0; i < STAGE_COUNT; i++) {
		stages->total[rt->has_worked ? i : STAGE_idle] += stages->turn[i];
		stages->turn[i] = 0;
	}
}

static void
wake_fronts(struct runtime *rt)
{
	for (uint32_t mask = rt->wake_channels; mask != 0; mask &= mask - 1)
		wake_up(&rt->config.channels[__builtin_ctz(mask)]->front_wake);
	rt->wake_channels = 0;
}

enum runtime_turn
runtime_turn(struct runtime *rt)
{
	INVARIANT(rt->boot.phase == BOOT_DONE);
	if (rt->is_over)
		return RUNTIME_RESTART;
	rt->now_ns = rt->config.clock.ops->monotonic_ns(rt->config.clock.clock);
	rt->stages.since = rt->config.clock.ops->cycles(rt->config.clock.clock);
	rt->stages.now = STAGE_persist;
	rt->turns++;
	const uint64_t busy_count = rt->busy_count;
	rt->has_backlog = false;
	rt->has_worked = count_busy(rt, completion_poll(rt));
	(void)stage_enter(rt, STAGE_receive);
	rt->has_worked |= receive_turn(rt);
	(void)stage_enter(rt, STAGE_other);
	tick(rt);
	rt->has_worked |= count_busy(rt, cut_turn(rt));
	if (rt->is_barrier_wanted)
		(void)!seal_barrier(rt);
	(void)stage_enter(rt, STAGE_append);
	rt->has_worked |= count_busy(rt, client_turn(rt));
	/* Frames first: handing a write to the device takes 10 to 30 us of this thread, and the
	 * peer would wait for them before it begins its own. */
	(void)stage_enter(rt, STAGE_send);
	rt->has_worked |= count_busy(rt, send_turn(rt));
	(void)stage_enter(rt, STAGE_persist);
	rt->has_worked |= count_busy(rt, persist_turn(rt));
	(void)stage_enter(rt, STAGE_apply);
	rt->has_worked |= count_busy(rt, apply_turn(rt));
	if ((rt->config.own_bugs & RUNTIME_BUG_LEAK_VERSIONS) == 0)
		state_reclaim_turn(rt->config.state, rt->config.has_readers);
	(void)stage_enter(rt, STAGE_checkpoint);
	rt->has_worked |= checkpoint_turn(rt);
	rt->has_worked |= reclaim_turn(rt);
	rt->has_worked |= force_turn(rt);
	rt->has_worked |= transfer_turn(rt);
	rt->has_worked |= source_turn(rt);
	rt->has_worked |= loss_turn(rt);
	rt->has_worked |= deep_turn(rt);
	rt->has_worked |= mend_turn(rt);
	rt->has_worked |= refill_turn(rt);
	rt->has_worked |= pull_turn(rt);
	rt->has_worked |= mend_source_turn(rt);
	rt->has_worked |= heal_turn(rt);
	(void)stage_enter(rt, STAGE_reply);
	rt->has_worked |= count_busy(rt, answer_reads(rt));
	wake_fronts(rt);
	(void)stage_enter(rt, STAGE_other);
	if (is_status_due(rt))
		report_publish(rt);
	stages_end(rt);
	rt->idle_turns += !rt->has_worked;
	const bool is_traffic = rt->busy_count != busy_count;
	if (is_traffic)
		rt->traffic_ns = rt->now_ns;
	return rt->is_over ? RUNTIME_RESTART : verdict(rt, is_traffic);
}

/* True: those who may send blocks to this node, or repairs, are heard over the management network
 * and would wake it there. */
static bool
is_woken(const struct runtime *rt)
{
	const uint64_t window_ns = RUNTIME_WAKE_BEATS * rt->config.timers.heartbeat_ns;
	const struct core_view *view = core_view(rt->core);

	if (view->role != CORE_MASTER)
		return view->master_id != 0 &&
		       rt->now_ns - rt->mgmt_heard_ns[view->master_id] < window_ns;
	for (uint32_t i = 0; i < rt->stream_count; i++) {
		const uint16_t node = rt->stream_nodes[i];
		const bool is_member =
		    ((view->members.voters | view->members.learners) >> node & 1) != 0;
		if (is_member && rt->now_ns - rt->mgmt_heard_ns[node] >= window_ns)
			return false;
	}
	return true;
}

uint64_t
runtime_sleep_ns(const struct runtime *rt, uint64_t polled_max_ns)
{
	return is_woken(rt) ? max_u64(2 * rt->config.timers.heartbeat_ns, polled_max_ns)
			    : polled_max_ns;
}

uint64_t
runtime_deadline_ns(const struct runtime *rt)
{
	if (rt->boot.phase != BOOT_DONE)
		return rt->now_ns;
	const uint64_t background_ns = min_u64(
	    min_u64(transfer_deadline_ns(rt),
		    min_u64(refill_deadline_ns(rt), pull_deadline_ns(rt))),
	    min_u64(heal_deadline_ns(rt), min_u64(mend_deadline_ns(rt), deep_deadline_ns(rt))));
	return min_u64(min_u64(core_deadline_ns(rt->core), send_deadline_ns(rt)),
		       min_u64(floor_deadline_ns(rt), background_ns));
}

void
runtime_note_sleep(struct runtime *rt)
{
	rt->sleeps++;
}

void
runtime_stop(struct runtime *rt)
{
	const struct core_event event = { .kind = CORE_EVENT_STOP, .now_ns = rt->now_ns };

	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
}

void
runtime_set_data_port(struct runtime *rt, bool is_up)
{
	const struct core_event event = { .kind = CORE_EVENT_DATA_PORT,
					  .now_ns = rt->now_ns,
					  .flag = is_up };

	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
}

uint64_t
runtime_deep_start(struct runtime *rt, uint64_t end_index)
{
	return deep_start(rt, end_index);
}
