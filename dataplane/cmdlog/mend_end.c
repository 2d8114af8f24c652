/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of what the scan has read, over all holes, and the groups that were seen from there on:
 * what is missing before a block lies between that end and it.
 */
#include "dataplane/cmdlog/cmdlog_internal.h"

void
mend_begin(struct cmdlog *log)
{
	struct cmdlog_mend *mend = &log->scan.mend;

	mend->is_off = log->config.data_columns != 1 || log->config.parity != 0;
	mend->index = log->last_index;
	mend->chain = cmdlog_chain(log, log->last_index);
	mend->page_end = log->next_page_lsn;
	mend->end_cell = log->base_cell;
}

void
mend_group(struct cmdlog *log, const struct page_identity *group)
{
	struct cmdlog_mend *mend = &log->scan.mend;

	/* Without those before it, the place of what is missing is not known any more. */
	if (mend->seen_count == CMDLOG_PIECES_MAX) {
		mend->is_crowded = true;
		return;
	}
	mend->seen[mend->seen_count++] = *group;
}

void
mend_end_set(struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain)
{
	struct cmdlog_scan *scan = &log->scan;
	struct cmdlog_mend *mend = &scan->mend;

	mend->index = hdr->log_index;
	mend->chain = chain;
	mend->page_end = hdr->page_lsn + hdr->pages;
	mend->end_cell = scan->group.first_cell + scan->page + hdr->pages;
	mend->seen[0] = scan->group;
	mend->seen_count = 1;
	mend->is_crowded = false;
}

void
mend_pushed(struct cmdlog *log, const struct block_hdr *hdr, struct hash128 chain)
{
	/* Whatever was missing was of a tail that gave way. */
	log->scan.mend.hole_count = 0;
	log->scan.mend.is_closed = false;
	mend_end_set(log, hdr, chain);
}

void
mend_anchored(struct cmdlog *log, uint64_t end_cell)
{
	struct cmdlog_mend *mend = &log->scan.mend;

	mend_begin(log);
	mend->end_cell = end_cell;
	mend->seen[0] = log->scan.group;
	mend->seen_count = 1;
	mend->hole_count = 0;
	mend->is_crowded = mend->is_closed = false;
}
