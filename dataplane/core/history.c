/* SPDX-License-Identifier: Apache-2.0 */
/* The history of blocks: for every index from the base on its (term, epoch, kind, chain). What lies
 * below the base is committed, and so the same in the log of every node that may be master. */
#include "dataplane/core/core_internal.h"

static struct block_meta *
slot(const struct core *core, uint64_t index)
{
	INVARIANT(index != 0 && index >= core->base_index);
	return &core->config.history[(index - 1) % core->config.history_count];
}

bool
history_get(const struct core *core, uint64_t index, struct block_meta *meta)
{
	if (index == 0 || index < core->base_index || index > core->last_index)
		return false;
	*meta = *slot(core, index);
	INVARIANT(meta->log_index == index);
	return true;
}

/* The chain before the first block is all zero. */
struct hash128
history_chain(const struct core *core, uint64_t index)
{
	INVARIANT(index <= core->last_index);
	if (index == 0)
		return (struct hash128){ 0, 0 };
	return slot(core, index)->chain;
}

bool
history_holds(const struct core *core, uint64_t index, struct hash128 chain)
{
	if (index < core->base_index)
		return true;
	return index <= core->last_index && hash128_equal(history_chain(core, index), chain);
}

struct block_meta
history_last(const struct core *core)
{
	struct block_meta meta = { 0 };

	if (!history_get(core, core->last_index, &meta))
		INVARIANT(core->last_index == 0);
	return meta;
}

/* Terms never fall along a log, so the first block of a term is found by bisection; it may be the
 * base, before which nobody looks. */
uint64_t
history_first_of_term(const struct core *core, uint64_t index)
{
	uint64_t low = core->base_index != 0 ? core->base_index : 1, high = index;
	uint64_t term;

	INVARIANT(index <= core->last_index);
	if (index == 0 || index < core->base_index)
		return index;
	term = slot(core, index)->term;
	while (low < high) {
		const uint64_t middle = low + (high - low) / 2;
		if (slot(core, middle)->term < term)
			low = middle + 1;
		else
			high = middle;
	}
	INVARIANT(slot(core, low)->term == term);
	return low;
}

enum tern_err
history_append(struct core *core, const struct block_meta *meta)
{
	const struct block_meta last = history_last(core);

	if (meta->log_index != core->last_index + 1)
		return TERN_ERR_MALFORMED;
	if (meta->term < last.term || (meta->term == last.term && meta->epoch < last.epoch))
		return TERN_ERR_MALFORMED;
	if (core->last_index - core->base_index + (core->base_index != 0) >=
	    core->config.history_count)
		return TERN_ERR_QUEUE_FULL;
	core->last_index++;
	*slot(core, core->last_index) = *meta;
	return TERN_OK;
}

void
history_cut(struct core *core, uint64_t keep_index)
{
	INVARIANT(keep_index <= core->last_index);
	INVARIANT(keep_index >= core->commit_index);  /* I9 */
	INVARIANT(keep_index >= core->applied_index); /* rolled back before */
	core->last_index = keep_index;
	if (core->durable_index > keep_index)
		core->durable_index = keep_index;
}

void
core_reclaim(struct core *core, uint64_t index)
{
	INVARIANT(index <= core->commit_index && index <= core->durable_index);
	INVARIANT(index <= core->applied_index);
	if (index > core->base_index)
		core->base_index = index;
}
