/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

enum tern_err
seal_block(struct runtime *rt, enum block_kind kind)
{
	const struct core_view *view = core_view(rt->core);
	const bool is_barrier = kind == BLOCK_BARRIER;
	const struct cmdlog_seal seal = {
		.term = is_barrier ? rt->barrier_term : view->term,
		.epoch = is_barrier ? rt->barrier_epoch : view->epoch,
		.kind = kind,
		.is_gen = kind == BLOCK_CONFIG && core_is_gen_due(rt->core),
		.wall_ns = rt->config.clock.ops->wall_ns(rt->config.clock.clock),
		.commit_index = view->commit_index,
		.common_index = peers_common_index(rt),
	};
	struct core_event event = { .kind = CORE_EVENT_APPENDED, .now_ns = rt->now_ns };

	const enum status_stage before = stage_enter(rt, STAGE_seal);
	const enum tern_err err = cmdlog_seal(rt->log, &seal, &event.block);
	(void)stage_enter(rt, before);
	if (err != TERN_OK)
		return err;
	rt->blocks_sealed++;
	rt->has_worked = true;
	answer_sealed(rt, event.block.log_index, event.block.term);
	struct membership next, preceding;
	if (kind == BLOCK_CONFIG) {
		const uint8_t *block = cmdlog_resident(rt->log, event.block.log_index);
		INVARIANT(block != NULL && !rt->is_stepping);
		const enum tern_err read = membership_of_block(block, &next, &preceding);
		INVARIANT(read == TERN_OK);
		event.next = &next;
		event.before = &preceding;
	}
	if (is_barrier)
		rt->is_barrier_wanted = false;
	if (rt->is_stepping) {
		dispatch_later(rt, &event);
		return TERN_OK;
	}
	return dispatch(rt, &event);
}

/* The GEN block, which is due before anything else. QUEUE_FULL, LOG_FULL. */
static enum tern_err
seal_generation(struct runtime *rt)
{
	const struct superblock *superblock = &rt->superblock;
	struct membership next = core_view(rt->core)->members;
	uint8_t record[MEMBERSHIP_BYTES];
	uint64_t log_index;
	uint32_t slot;

	INVARIANT(cmdlog_open_count(rt->log) == 0);
	next.begins = superblock->generation;
	next.parent_id = superblock->fork.notice.parent_id;
	membership_encode(record, &next, &superblock->fork.before);
	const enum tern_err err =
	    cmdlog_append_reserved(rt->log, record, MEMBERSHIP_BYTES, &log_index, &slot);
	if (err != TERN_OK)
		return err;
	return seal_block(rt, BLOCK_CONFIG);
}

enum tern_err
seal_barrier(struct runtime *rt)
{
	if (core_is_gen_due(rt->core)) {
		const enum tern_err err = seal_generation(rt);
		if (err != TERN_OK)
			return err;
	}
	return seal_block(rt, BLOCK_BARRIER);
}

void
seal_wanted_barrier(struct runtime *rt)
{
	if (!rt->is_barrier_wanted)
		return;
	const enum tern_err err = seal_barrier(rt);
	INVARIANT(err == TERN_OK || err == TERN_ERR_QUEUE_FULL || err == TERN_ERR_LOG_FULL);
}
