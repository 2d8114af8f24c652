/* SPDX-License-Identifier: Apache-2.0 */
/* How far the ring holds bytes, and may be written to. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog_internal.h"

uint64_t
cmdlog_credit_end_page(const struct cmdlog *log)
{
	const uint64_t durable_end = cmdlog_page_end(log, log->durable_index);
	const uint64_t applied_end =
	    cmdlog_page_end(log, min_u64(log->durable_index, log->applied_index));
	const uint64_t comfortable = max_u64(log->resident_start, applied_end) + log->ring_pages;
	const uint64_t pressing = max_u64(log->resident_start, durable_end) + log->ring_pages / 2;

	return max_u64(comfortable, pressing);
}

void
cmdlog_touch(struct cmdlog *log, uint64_t page_end)
{
	INVARIANT(page_end <= cmdlog_credit_end_page(log));
	log->touched_end = max_u64(log->touched_end, page_end);
}

void
cmdlog_set_applied(struct cmdlog *log, uint64_t index)
{
	INVARIANT(index <= log->last_index);
	log->applied_index = max_u64(log->applied_index, index);
}
