/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linearizable reads by ReadIndex (protocol section 9). Reads that arrive while a round is under
 * way share the next one; those that may be answered by a lease wait for none while it runs. The
 * clock of a step may be older than the read, so whoever reads looks again. Answers are bounded by
 * the room for effects; what is left over is answered by the next step, for which core_deadline_ns
 * asks at once.
 */
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/members.h"
#include "dataplane/core/round.h"

static struct core_read *
read_front(struct core *core)
{
	INVARIANT(core->reads_count > 0);
	return &core->reads[core->reads_head % CORE_READS_MAX];
}

/* Nobody else is electable: in registered SOLO, once a barrier of this term has committed and until
 * the next NORMAL barrier was emitted. */
static bool
read_needs_no_round(const struct core *core)
{
	if (core_has_bug(core, CORE_BUG_NO_READ_ROUND))
		return true;
	return core->phase == CORE_PHASE_DEGRADED && core->is_registered && !core_is_joint(core);
}

/* Without a lease: that of has_committed and this holds for as long as the term does. */
static bool
read_is_proven(const struct core *core, const struct core_read *read)
{
	return read_needs_no_round(core) || round_is_answered(core, read->round);
}

static bool
read_is_ready(const struct core *core, const struct core_read *read)
{
	if (core->role != CORE_MASTER || !core->has_committed)
		return false;
	return (read->may_lease && core->now_ns < lease_until_ns(core)) ||
	       read_is_proven(core, read);
}

enum tern_err
read_take(struct core *core, uint64_t op_id, bool may_lease)
{
	struct core_read *read;

	if (core->role != CORE_MASTER)
		return TERN_ERR_NOT_MASTER;
	if (core->reads_count == CORE_READS_MAX)
		return TERN_ERR_QUEUE_FULL;
	read = &core->reads[(core->reads_head + core->reads_count) % CORE_READS_MAX];
	core->reads_count++;
	*read =
	    (struct core_read){ .op_id = op_id, .round = core->round + 1, .may_lease = may_lease };
	return TERN_OK;
}

void
read_fail_all(struct core *core)
{
	for (uint32_t i = 0; i < core->reads_count; i++)
		core->reads[(core->reads_head + i) % CORE_READS_MAX].has_failed = true;
}

/* The front read can be answered now. */
bool
read_has_work(const struct core *core)
{
	const struct core_read *read = &core->reads[core->reads_head % CORE_READS_MAX];

	return core->reads_count > 0 && (read->has_failed || read_is_ready(core, read));
}

/* One round at a time: a read that waits for a round not yet started gets it once the one before
 * was answered; a lost round is made up for by the next heartbeat. */
static void
read_start_round(struct core *core)
{
	const struct core_read *last;

	if (core->reads_count == 0 || core->role != CORE_MASTER)
		return;
	last = &core->reads[(core->reads_head + core->reads_count - 1) % CORE_READS_MAX];
	if (last->has_failed || last->round <= core->round)
		return;
	if (core->read_round != 0 && !round_is_answered(core, core->read_round))
		return;
	round_start(core);
	core->read_round = core->round;
}

void
read_poll(struct core *core)
{
	while (read_has_work(core) && core_has_room(core, CORE_NODES_MAX)) {
		const struct core_read *read = read_front(core);
		struct core_effect *effect = core_emit(
		    core, read->has_failed ? CORE_EFFECT_READ_FAILED : CORE_EFFECT_READ_READY);

		effect->op_id = read->op_id;
		if (!read->has_failed) {
			effect->index = core->commit_index;
			effect->is_leased = !read_is_proven(core, read);
			core->view.reads_leased += effect->is_leased;
			core->view.reads_proven += !effect->is_leased;
		}
		core->reads_head = (core->reads_head + 1) % CORE_READS_MAX;
		core->reads_count--;
	}
	if (core_has_room(core, CORE_NODES_MAX))
		read_start_round(core);
}
