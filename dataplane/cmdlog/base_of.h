/* SPDX-License-Identifier: Apache-2.0 */
/* What a log begins behind, and up to where it has to reach, out of a superblock. */
#ifndef TERN_CMDLOG_BASE_OF_H
#define TERN_CMDLOG_BASE_OF_H

#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/cmdlog/mend.h"
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

static inline struct cmdlog_floor
cmdlog_floor_of(const struct superblock_floor *floor)
{
	return (struct cmdlog_floor){
		.log_index = floor->log_index,
		.group_seq = floor->group_seq,
		.boot_no = floor->boot_no,
	};
}

#endif
