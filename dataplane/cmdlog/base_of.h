/* SPDX-License-Identifier: Apache-2.0 */
/* What a log begins behind, out of a superblock. */
#ifndef TERN_CMDLOG_BASE_OF_H
#define TERN_CMDLOG_BASE_OF_H

#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/wire/superblock.h"

static inline struct cmdlog_base
cmdlog_base_of(const struct superblock_base *base)
{
	return (struct cmdlog_base){
		.meta = { .log_index = base->log_index,
			  .term = base->term,
			  .epoch = base->epoch,
			  .kind = (enum block_kind)base->kind,
			  .chain = base->chain },
		.page_end = base->page_end,
		.time_ns = base->time_ns,
		.next_cell = base->next_cell,
		.boot_no = base->boot_no,
		.group_seq = base->group_seq,
	};
}

#endif
