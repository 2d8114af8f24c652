/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/log_image.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

#define POLLS_MAX 1000u

static const struct stripe_geometry plain = { .k = 1 };

/* ---- the port ---- */

static enum tern_err
port_queue(void *disk, const struct disk_request *request)
{
	struct log_image *image = disk;
	uint8_t *at = image->bytes + request->offset;
	const uint64_t area = (uint64_t)SUPERBLOCK_AREA_PAGES * PAGE_BYTES;

	if (image->done_count == LOG_IMAGE_REQUESTS)
		return TERN_ERR_QUEUE_FULL;
	INVARIANT(request->device == 0);
	INVARIANT(request->offset + request->length <= area + image->area_pages * PAGE_BYTES);
	if (request->kind == DISK_READ)
		memcpy(request->bytes, at, request->length);
	else if (request->offset < area)
		memcpy(at, request->bytes, request->length);
	image->done[image->done_count++] = (struct disk_completion){
		.user = request->user,
		.kind = request->kind,
		.length = request->length,
	};
	return TERN_OK;
}

static void
port_submit(void *disk)
{
	(void)disk;
}

static uint32_t
port_poll(void *disk, struct disk_completion *completions, uint32_t max)
{
	struct log_image *image = disk;
	const uint32_t count = min_u32(max, image->done_count);

	memcpy(completions, image->done, count * sizeof(completions[0]));
	image->done_count -= count;
	memmove(image->done, image->done + count, image->done_count * sizeof(image->done[0]));
	return count;
}

static const struct disk_ops port_ops = {
	.queue = port_queue,
	.submit = port_submit,
	.poll = port_poll,
};

/* ---- the image ---- */

void
log_image_make(struct log_image *image, uint64_t area_pages, uint32_t command_bytes_max)
{
	*image = (struct log_image){
		.boot_no = 1,
		.group_pages_max = cmdlog_group_pages_max(command_bytes_max),
		.block_pages_max = cmdlog_block_pages_max(command_bytes_max),
		.area_pages = area_pages,
	};
	const size_t bytes = (SUPERBLOCK_AREA_PAGES + area_pages) * PAGE_BYTES;
	image->bytes = aligned_alloc(PAGE_BYTES, bytes);
	INVARIANT(image->bytes != NULL);
	memset(image->bytes, 0, bytes);
}

void
log_image_free(struct log_image *image)
{
	free(image->memory);
	free(image->bytes);
}

uint8_t *
log_image_cell(const struct log_image *image, uint64_t cell)
{
	return image->bytes +
	       (SUPERBLOCK_AREA_PAGES + (size_t)(cell % image->area_pages)) * PAGE_BYTES;
}

void
log_image_open(struct log_image *image, uint32_t scan_rows)
{
	const struct superblock superblock = {
		.sequence = 1,
		.cluster_id = image->cluster_id,
		.generation = { 1, 0 },
		.node_id = image->node_id,
		.boot_no = image->boot_no,
		.pool_gen = 1,
		.k = 1,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = image->area_pages,
		.shard_count = 1,
	};
	struct stripe_store_config config = {
		.disk = { &port_ops, image },
		.geometry = plain,
		.cluster_id = image->cluster_id,
		.node_id = image->node_id,
		.device_bytes = { (SUPERBLOCK_AREA_PAGES + image->area_pages) * PAGE_BYTES },
		.group_pages_max = image->group_pages_max,
		.groups_max = STRIPE_GROUPS_MAX,
		.reads_max = 1,
		.scan_rows = min_u32(max_u32(scan_rows, image->group_pages_max + 2), 512),
	};
	enum stripe_start verdict = STRIPE_START_MORE;

	for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++)
		superblock_encode(image->bytes + (size_t)i * PAGE_BYTES, &superblock);
	const size_t bytes = stripe_store_bytes(&config);
	if (image->memory_bytes < bytes) {
		free(image->memory);
		image->memory = aligned_alloc(PAGE_BYTES, align_up_u64(bytes, PAGE_BYTES));
		image->memory_bytes = bytes;
	}
	INVARIANT(image->memory != NULL);
	image->done_count = 0;
	const enum tern_err err = stripe_store_init(image->memory, &config, &image->store);
	INVARIANT(err == TERN_OK);
	for (uint32_t i = 0; i < POLLS_MAX && verdict == STRIPE_START_MORE; i++)
		verdict = stripe_store_start(image->store, ++image->now_ns);
	INVARIANT(verdict == STRIPE_START_READY);
}

/* As many cells as the largest block has may stay unused at the end of the area. */
static uint64_t
old_room(const struct log_image *image)
{
	const uint64_t area = image->area_pages;
	const uint64_t used = image->old_cell - image->old_floor;
	const uint64_t unused = image->old_cell / area == div_up_u64(image->old_floor, area)
				    ? 0
				    : image->block_pages_max;

	return used + unused < area ? area - used - unused : 0;
}

static uint64_t
room_of(const struct log_image *image)
{
	if (image->is_old)
		return old_room(image);
	return stripe_store_room(image->store, image->block_pages_max);
}

/* Behind the last page that is there. */
static void
old_begin(struct log_image *image, uint64_t first_cell)
{
	struct page_identity identity;

	image->old_floor = image->old_cell = first_cell;
	image->old_seq = 0;
	for (uint64_t cell = first_cell; cell < first_cell + image->area_pages; cell++)
		if (page_identity_decode(log_image_cell(image, cell), &identity) == TERN_OK &&
		    identity.own_cell == cell)
			image->old_cell = cell + 1;
}

static uint64_t
old_place(struct log_image *image, const struct cmdlog_group *group)
{
	const uint64_t left = image->area_pages - image->old_cell % image->area_pages;

	if (group->pages > left)
		image->old_cell += left;
	struct page_identity identity = {
		.cluster_id = image->cluster_id,
		.group_seq = ++image->old_seq,
		.first_cell = image->old_cell,
		.acked_floor = group->acked_floor,
		.boot_no = image->boot_no,
		.pool_gen = 1,
		.group_pages = group->pages,
		.node_id = image->node_id,
		.k = 1,
	};
	for (uint32_t i = 0; i < group->pages; i++) {
		identity.own_cell = image->old_cell + i;
		page_identity_encode(group->bytes + (size_t)i * PAGE_BYTES, &identity);
	}
	image->old_cell += group->pages;
	return identity.first_cell;
}

static uint64_t
new_place(struct log_image *image, const struct cmdlog_group *group)
{
	const struct stripe_group_write write = {
		.bytes = group->bytes,
		.pages = group->pages,
		.acked_floor = group->acked_floor,
		.branch_group = group->branch_group,
	};
	struct stripe_address address;

	const enum tern_err err = stripe_store_write(image->store, &write, image->now_ns, &address);
	INVARIANT(err == TERN_OK);
	return address.first_cell;
}

static uint32_t
fit_of(const struct log_image *image)
{
	if (image->is_old)
		return (uint32_t)(image->area_pages - image->old_cell % image->area_pages);
	return stripe_store_fit(image->store);
}

struct cmdlog_recovery
log_image_scan(struct log_image *image, uint64_t first_cell, struct cmdlog *log,
	       void (*on_cut)(void *context), void *context)
{
	struct cmdlog_recovery recovery;
	enum stripe_scan_state state = STRIPE_SCAN_MORE;
	struct stripe_scanned scanned;

	stripe_store_scan_begin(image->store, first_cell);
	while (state != STRIPE_SCAN_DONE) {
		state = stripe_store_scan(image->store, ++image->now_ns, &scanned);
		INVARIANT(state != STRIPE_SCAN_FAILED);
		if (state != STRIPE_SCAN_GROUP)
			continue;
		while (cmdlog_scan_group(log, &scanned.group, scanned.bytes) == CMDLOG_SCAN_CUT)
			if (on_cut != NULL)
				on_cut(context);
	}
	const struct stripe_scan_stats *stats = stripe_store_scan_stats(image->store);
	if (image->is_old)
		old_begin(image, first_cell);
	const struct cmdlog_area area = {
		.end_cell = image->is_old ? image->old_cell : stats->end_cell,
		.room = room_of(image),
		.is_overwritten = stats->pages_later != 0,
	};
	cmdlog_scan_end(log, &area, &recovery);
	return recovery;
}

bool
log_image_group_next(struct log_image *image, struct cmdlog *log, uint64_t persist_index,
		     uint64_t acked_floor, struct log_group *group)
{
	struct stripe_completion completions[STRIPE_GROUPS_MAX];
	struct cmdlog_group next;

	/* What was handed over before is over and done with, as far as the store is concerned. */
	(void)stripe_store_poll(image->store, ++image->now_ns, completions, STRIPE_GROUPS_MAX);
	(void)stripe_store_poll(image->store, ++image->now_ns, completions, STRIPE_GROUPS_MAX);
	if (!cmdlog_group_next(log, persist_index, acked_floor, fit_of(image), &next))
		return false;
	const uint64_t first_cell =
	    image->is_old ? old_place(image, &next) : new_place(image, &next);
	const struct cmdlog_place place = {
		.first_cell = first_cell,
		.end_cell = first_cell + next.pages,
		.group_seq = image->is_old ? image->old_seq : stripe_store_group_seq(image->store),
		.room = room_of(image),
	};
	cmdlog_group_placed(log, next.slot, &place);
	*group = (struct log_group){
		.first_index = next.first_index,
		.last_index = next.last_index,
		.cell = first_cell,
		.pages = next.pages,
		.slot = next.slot,
		.bytes = next.bytes,
	};
	return true;
}

void
log_image_write(const struct log_image *image, const struct log_group *group)
{
	memcpy(log_image_cell(image, group->cell), group->bytes, (size_t)group->pages * PAGE_BYTES);
}

struct cmdlog_base
log_image_base(const struct log_image *image, const struct cmdlog *log, uint64_t log_index)
{
	struct cmdlog_location location;
	struct cmdlog_base base;

	const bool is_there =
	    cmdlog_base_at(log, log_index, &base) && cmdlog_locate(log, log_index, &location);
	INVARIANT(is_there && base.next_cell != UINT64_MAX);
	if (!image->is_old)
		return base;
	base.next_cell = location.first_cell + location.page + location.pages;
	base.boot_no = 0;
	base.group_seq = 0;
	return base;
}

void
log_image_reclaim(struct log_image *image, struct cmdlog *log, uint64_t log_index)
{
	if (log_index <= cmdlog_stats(log).base_index)
		return;
	const struct cmdlog_base base = log_image_base(image, log, log_index);
	cmdlog_reclaim(log, log_index);
	if (image->is_old)
		image->old_floor = base.next_cell;
	else
		stripe_store_release(image->store, base.next_cell);
	cmdlog_set_room(log, room_of(image));
}
