/* SPDX-License-Identifier: Apache-2.0 */
/* Where a checkpoint's parts lie in its slot, and what a log begins behind: the same places as the
 * daemon's (docs/reference/log-format.md). Arithmetic only. */
#ifndef TERN_BACKUP_PLACE_H
#define TERN_BACKUP_PLACE_H

#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/stripe/store.h"
#include "dataplane/wire/checkpoint.h"

/* Pages that the first @pages of a checkpoint take on each device. */
static inline uint64_t
backup_place_end(struct stripe_geometry geometry, uint64_t pages)
{
	return 1 + stripe_parts_rows(geometry, pages - 1, CHECKPOINT_CHUNK_PAGES);
}

/* The header (@page 0), or the chunk that begins at @page of the checkpoint whose slot begins at
 * @first_page of every device. */
static inline struct stripe_blob
backup_place_blob(struct stripe_geometry geometry, uint64_t first_page, uint64_t page,
		  uint8_t *bytes, uint32_t pages)
{
	const uint64_t chunk = page == 0 ? 0 : (page - 1) / CHECKPOINT_CHUNK_PAGES + 1;

	return (struct stripe_blob){
		.first_page = first_page + (page == 0 ? 0 : backup_place_end(geometry, page)),
		.pages = pages,
		.turn = (uint32_t)chunk,
		.bytes = bytes,
	};
}

static inline struct cmdlog_base
backup_place_base(const struct superblock_base *base)
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
