/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device in memory for tests of the command log, and a real store on it: it places groups, and
 * finds them again. What it is asked to write to the log area does not get there by itself: the
 * test says what of it does.
 *
 * It can also write as the log did before there was a store: groups then tell no branch, those of a
 * boot begin behind the last page that was seen, and a base may lie inside a group.
 */
#ifndef TERN_TESTS_SUPPORT_LOG_IMAGE_H
#define TERN_TESTS_SUPPORT_LOG_IMAGE_H

#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/stripe/store.h"

#define LOG_IMAGE_REQUESTS 64u

struct log_image {
	uint64_t cluster_id;
	uint16_t node_id;
	uint32_t boot_no, group_pages_max, block_pages_max;
	uint64_t area_pages;
	uint8_t *bytes; /* superblocks, then the area */
	struct stripe_store *store;
	void *memory;
	size_t memory_bytes;
	struct disk_completion done[LOG_IMAGE_REQUESTS];
	uint32_t done_count;
	uint64_t now_ns;
	bool is_old;
	uint64_t old_cell, old_floor, old_seq;
};

/* A blank image. @command_bytes_max: of the log that will lie on it. */
void log_image_make(struct log_image *image, uint64_t area_pages, uint32_t command_bytes_max);
void log_image_free(struct log_image *image);
uint8_t *log_image_cell(const struct log_image *image, uint64_t cell);

/* Writes superblocks that say what @image says, and starts a store on it. @scan_rows: at least. */
void log_image_open(struct log_image *image, uint32_t scan_rows);
/* Offers everything from @first_cell on to @log, whose scan has begun, and ends it. @on_cut: is
 * called at every cut; NULL: nobody. */
struct cmdlog_recovery
log_image_scan(struct log_image *image, uint64_t first_cell, struct cmdlog *log,
	       void (*on_cut)(void *context), void *context);

struct log_group {
	uint64_t first_index, last_index, cell;
	uint32_t pages, slot;
	uint8_t *bytes;
};
/* The next group of @log, in its place, with its identity parts. False: there is none. */
bool log_image_group_next(struct log_image *image, struct cmdlog *log, uint64_t persist_index,
			  uint64_t acked_floor, struct log_group *group);
void log_image_write(const struct log_image *image, const struct log_group *group);
/* Block @log_index as a base, which must be durable. */
struct cmdlog_base
log_image_base(const struct log_image *image, const struct cmdlog *log, uint64_t log_index);
/* Blocks up to @log_index are not needed any more. */
void log_image_reclaim(struct log_image *image, struct cmdlog *log, uint64_t log_index);

#endif
