/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a checkpoint covers is not needed to start: behind a hole in it the log may begin anew, at
 * the checkpoint's last block or at the one behind that, which names it by its chain hash. From
 * there on the scan is what it would be if the log had been reclaimed up to the checkpoint before
 * the node ended; so floors, branches and what supersedes what are judged as ever.
 *
 * A node writes that block for the last time before it knows that it is committed, and none of its
 * index or a lower one after that. So blocks below it in a later group say that this was an earlier
 * copy, and that the last one is still to come; or that it is lost.
 */
#include "dataplane/cmdlog/cmdlog_internal.h"

void
cmdlog_set_anchor(struct cmdlog *log, const struct cmdlog_base *anchor)
{
	INVARIANT(!log->scan.is_running);
	INVARIANT(anchor->meta.log_index > log->base_index && anchor->page_end != 0);
	log->anchor = *anchor;
}

/* The log reaches back to the checkpoint, and what came before is not needed. */
bool
anchor_is_held(const struct cmdlog *log)
{
	const struct block_meta *meta = &log->anchor.meta;

	if (meta->log_index == 0)
		return true;
	if (log->scan.is_anchored)
		return !log->scan.is_anchor_old;
	return log->last_index >= meta->log_index &&
	       hash128_equal(cmdlog_chain(log, meta->log_index), meta->chain);
}

static bool
is_it(const struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain)
{
	return hdr->log_index == log->anchor.meta.log_index &&
	       hdr->page_lsn + hdr->pages == log->anchor.page_end &&
	       hash128_equal(chain, log->anchor.meta.chain);
}

static bool
is_behind_it(const struct cmdlog *log, const struct block_hdr *hdr)
{
	return hdr->log_index == log->anchor.meta.log_index + 1 &&
	       hdr->page_lsn == log->anchor.page_end && hdr->time_ns > log->anchor.time_ns &&
	       hash128_equal(hdr->prev_chain, log->anchor.meta.chain);
}

/* The block that the scan is at, or the one before it, is the checkpoint's last. */
static void
begin_here(struct cmdlog *log, const struct block_hdr *hdr)
{
	struct cmdlog_scan *scan = &log->scan;
	const bool is_last = hdr->log_index == log->anchor.meta.log_index;
	/* Blocks of a group follow one another in the log. */
	const bool is_of_group = is_last || scan->page != 0;
	struct cmdlog_base base = log->anchor;

	base.next_cell = scan->group.first_cell;
	base.boot_no = is_of_group ? scan->group.boot_no : 0;
	base.group_seq = is_of_group ? scan->group.group_seq : 0;
	log->last_index = log->base_index = 0;
	log->end_cell = 0;
	cmdlog_set_base(log, &base);
	scan->is_anchored = true;
	scan->is_anchor_old = scan->is_branch_lost = false;
	scan->branch_floor = 0;
	scan->found.acked_floor = scan->group.acked_floor;
	scan->chained = (struct cmdlog_turn){ base.boot_no, base.group_seq };
	scan->has_chained = is_of_group;
	scan->chained_end_cell = scan->group.first_cell + scan->page + (is_last ? hdr->pages : 0);
	mend_anchored(log, scan->chained_end_cell);
}

void
anchor_look(struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain)
{
	INVARIANT(!anchor_is_held(log));
	if (is_it(log, hdr, chain) || is_behind_it(log, hdr))
		begin_here(log, hdr);
}

bool
cmdlog_anchored_base(const struct cmdlog *log, struct cmdlog_base *base)
{
	INVARIANT(!log->scan.is_running);
	if (!log->scan.is_anchored)
		return false;
	const struct cmdlog_entry *entry = cmdlog_entry_at(log, log->base_index);
	*base = log->anchor;
	base->boot_no = entry->boot_no;
	base->group_seq = entry->group_seq;
	base->next_cell = log->last_index == log->base_index
			      ? log->end_cell
			      : cmdlog_entry_at(log, log->base_index + 1)->first_cell;
	return true;
}
