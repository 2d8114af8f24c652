/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/backup/backup.h"
#include "control/backup/source.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/stripe/place.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/platform/platform.h"

#define SCAN_ROWS 256u
#define BOOT_NO   1u /* of what is written here; the node's first start is the next one */

struct restore {
	const struct node_config *config;
	const struct backup_hdr *hdr;
	uint64_t position;
	char *text;
	size_t text_bytes;
	struct stripe_geometry geometry;
	struct nvme *nvme;
	struct stripe_store *store;
	void *store_memory;
	struct superblock superblock;
	uint8_t *group; /* blocks that are written together */
	uint32_t group_pages, group_pages_max;
	uint32_t branch_group;
	struct backup_restored *restored;
};

static enum tern_err __attribute__((format(printf, 4, 5)))
fail(char *text, size_t text_bytes, enum tern_err err, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, text_bytes, format, arguments);
	va_end(arguments);
	return err;
}

/* ---- whether it can be ---- */

enum tern_err
backup_restore_check(const struct backup_hdr *hdr, const struct node_config *config,
		     uint64_t position, char *text, size_t text_bytes)
{
	const uint32_t block_pages =
	    cmdlog_block_pages_max((uint32_t)config->log.command_bytes_max);

	if (position < hdr->first_index || position > hdr->last_index || position == 0)
		return fail(text, text_bytes, TERN_ERR_NOT_FOUND,
			    "the backup covers the positions %llu to %llu",
			    (unsigned long long)max_u64(hdr->first_index, 1),
			    (unsigned long long)hdr->last_index);
	if (config->kind == NODE_WITNESS)
		return fail(text, text_bytes, TERN_ERR_CONFIG,
			    "%s is a witness, which holds no data: tern node init", config->name);
	if (config->is_log_volatile)
		return fail(text, text_bytes, TERN_ERR_CONFIG,
			    "the log of %s is in RAM (volatile = true): its devices cannot hold it",
			    config->name);
	/* Applied again under other limits, commands would have other results than they had. */
	if (config->state.capacity_bytes != hdr->capacity_bytes ||
	    config->state.value_bytes_max != hdr->value_bytes_max ||
	    config->state.sessions_max != hdr->sessions_max)
		return fail(text, text_bytes, TERN_ERR_CONFIG,
			    "%s: the limits of the state must be the backup's: state.capacity "
			    "\"%lluB\", value_max \"%uB\", sessions_max %u",
			    config->file, (unsigned long long)hdr->capacity_bytes,
			    hdr->value_bytes_max, hdr->sessions_max);
	if (hdr->block_pages_max > block_pages)
		return fail(text, text_bytes, TERN_ERR_TOO_LARGE,
			    "%s: log.command_max is too small: the backup has a block of %u pages, "
			    "and %u are allowed",
			    config->file, hdr->block_pages_max, block_pages);
	if (hdr->machine_version > CMDLOG_MACHINE_VERSION)
		return fail(text, text_bytes, TERN_ERR_VERSION,
			    "the backup is of a later version of Tern (%s)", hdr->version);
	return TERN_OK;
}

/* ---- the storage ---- */

static enum tern_err
await(struct restore *r)
{
	struct stripe_completion done;

	while (stripe_store_poll(r->store, platform_monotonic_ns(), &done, 1) == 0)
		continue;
	if (done.err != TERN_OK)
		return fail(r->text, r->text_bytes, done.err, "a device of %s failed",
			    r->config->name);
	return TERN_OK;
}

static enum tern_err
update(struct restore *r)
{
	stripe_store_update(r->store, &r->superblock, 0);
	return await(r);
}

static enum tern_err
devices_open(struct restore *r)
{
	const struct node_config *config = r->config;
	struct nvme_config nvme = {
		.device_count = config->device_count,
		.queue_depth =
		    min_u32(config->disk.queue_depth * config->device_count, NVME_QUEUE_DEPTH_MAX),
		.is_volatile_allowed = config->disk.allow_volatile,
		.is_dev = config->is_dev,
	};

	for (uint32_t i = 0; i < config->device_count; i++)
		nvme.paths[i] = config->devices[i].path;
	const enum tern_err err = nvme_open(&nvme, &r->nvme, r->text, r->text_bytes);
	return err == TERN_OK ? nvme_attach(r->nvme, r->text, r->text_bytes) : err;
}

static enum tern_err
memory_take(struct restore *r)
{
	const uint32_t command_bytes = (uint32_t)r->config->log.command_bytes_max;
	struct stripe_store_config store = {
		.disk = nvme_port(r->nvme),
		.geometry = r->geometry,
		.node_id = r->config->id,
		.group_pages_max =
		    max_u32(cmdlog_group_pages_max(command_bytes), CHECKPOINT_CHUNK_PAGES),
		.groups_max = 1,
		.reads_max = 1,
	};
	const uint32_t rows =
	    stripe_group_cells(r->geometry, store.group_pages_max) / stripe_devices(r->geometry) +
	    2;
	const char *why;

	store.scan_rows = max_u32(rows, SCAN_ROWS);
	for (uint32_t i = 0; i < r->config->device_count; i++)
		store.device_bytes[i] = nvme_device_bytes(r->nvme, i, &why);
	const size_t bytes = stripe_store_bytes(&store);
	r->group_pages_max = cmdlog_group_pages_max(command_bytes);
	r->store_memory =
	    bytes == 0 ? NULL : aligned_alloc(PAGE_BYTES, align_up_u64(bytes, PAGE_BYTES));
	r->group = aligned_alloc(PAGE_BYTES, (size_t)r->group_pages_max * PAGE_BYTES);
	if (r->store_memory == NULL || r->group == NULL ||
	    stripe_store_init(r->store_memory, &store, &r->store) != TERN_OK)
		return fail(r->text, r->text_bytes, TERN_ERR_NO_MEMORY, "out of memory");
	return TERN_OK;
}

/* The storage as it was made, and nothing in it. */
static enum tern_err
store_begin(struct restore *r)
{
	struct stripe_scanned scanned;
	enum stripe_start verdict = STRIPE_START_MORE;
	enum stripe_scan_state scan = STRIPE_SCAN_MORE;

	while (verdict == STRIPE_START_MORE)
		verdict = stripe_store_start(r->store, platform_monotonic_ns());
	if (verdict != STRIPE_START_READY)
		return fail(r->text, r->text_bytes, TERN_ERR_IO, "the storage does not start: %s",
			    stripe_start_text(verdict));
	r->superblock = *stripe_store_superblock(r->store);
	if (r->superblock.boot_no != 0 || r->superblock.failed_devices != 0 ||
	    r->superblock.shards[0].join != SUPERBLOCK_REJOINING)
		return fail(r->text, r->text_bytes, TERN_ERR_FOREIGN,
			    "the storage was not made just now");
	r->superblock.boot_no = BOOT_NO;
	r->superblock.tail_cell = BOOT_NO + 1; /* superblock_is_filling */
	const enum tern_err err = update(r);
	if (err != TERN_OK)
		return err;
	stripe_store_scan_begin(r->store, 0);
	while (scan == STRIPE_SCAN_MORE)
		scan = stripe_store_scan(r->store, platform_monotonic_ns(), &scanned);
	const struct stripe_scan_stats *stats = stripe_store_scan_stats(r->store);
	if (scan != STRIPE_SCAN_DONE || stats->end_cell != 0 || stats->pages_foreign != 0)
		return fail(r->text, r->text_bytes, TERN_ERR_FOREIGN, "the log area is not blank");
	return TERN_OK;
}

/* ---- the checkpoint ---- */

static enum tern_err
blob_write(struct restore *r, uint64_t page, uint8_t *bytes, uint32_t pages)
{
	const struct stripe_blob blob =
	    stripe_place_blob(r->geometry, r->superblock.checkpoint_first_page, page, bytes, pages);

	if (stripe_store_blob_write(r->store, &blob, platform_monotonic_ns()) != TERN_OK)
		return fail(r->text, r->text_bytes, TERN_ERR_IO, "a device of %s failed",
			    r->config->name);
	return await(r);
}

/* It is named, and the log begins behind it, with the last superblock. */
static void
checkpoint_name(struct restore *r, const struct checkpoint_hdr *hdr)
{
	struct shard_record *shard = &r->superblock.shards[0];

	shard->checkpoints[0] = (struct superblock_checkpoint){
		.log_index = hdr->meta.log_index,
		.term = hdr->meta.term,
		.first_page = r->superblock.checkpoint_first_page,
		.pages = checkpoint_pages(hdr->stream_bytes),
		.epoch = hdr->meta.epoch,
		.chain = hdr->meta.chain,
	};
	shard->base = (struct superblock_base){
		.log_index = hdr->meta.log_index,
		.term = hdr->meta.term,
		.page_end = hdr->page_end,
		.time_ns = hdr->block_time_ns,
		.epoch = hdr->meta.epoch,
		.kind = (uint8_t)hdr->meta.kind,
		.chain = hdr->meta.chain,
	};
}

static enum tern_err
put_checkpoint(void *context, uint8_t *page, const struct checkpoint_hdr *hdr)
{
	struct restore *r = context;
	const struct shard_record *shard = &r->superblock.shards[0];
	const uint64_t pages = stripe_place_end(r->geometry, checkpoint_pages(hdr->stream_bytes));
	struct checkpoint_hdr mine = *hdr;

	if (pages > r->superblock.checkpoint_pages / SUPERBLOCK_CHECKPOINTS)
		return fail(r->text, r->text_bytes, TERN_ERR_TOO_LARGE,
			    "the devices of %s have no room for the checkpoint: %llu pages on each",
			    r->config->name, (unsigned long long)pages);
	mine.cluster_id = r->superblock.cluster_id;
	mine.voters = shard->voters;
	mine.learners = shard->learners;
	mine.config_index = shard->config_index;
	mine.witness_id = shard->witness_id;
	mine.witness_gen = shard->witness_gen;
	checkpoint_name(r, &mine);
	*r->restored = (struct backup_restored){ mine.meta.log_index, mine.meta.term,
						 mine.meta.chain, mine.block_time_ns };
	checkpoint_hdr_encode(page, &mine);
	return blob_write(r, 0, page, 1);
}

static enum tern_err
put_chunk(void *context, uint8_t *bytes, uint32_t pages, const struct checkpoint_chunk *chunk)
{
	struct restore *r = context;
	struct checkpoint_chunk mine = *chunk;

	mine.cluster_id = r->superblock.cluster_id;
	const uint32_t sealed = checkpoint_chunk_seal(bytes, &mine);
	INVARIANT(sealed == pages && hash128_equal(mine.hash, chunk->hash));
	return blob_write(r, 1 + (uint64_t)chunk->number * CHECKPOINT_CHUNK_PAGES, bytes, pages);
}

/* ---- the log ---- */

static enum tern_err
group_flush(struct restore *r)
{
	const uint64_t lap = r->superblock.log_pages * stripe_devices(r->geometry);
	struct stripe_address address;

	if (r->group_pages == 0)
		return TERN_OK;
	if (r->branch_group != UINT32_MAX)
		r->branch_group++;
	/* All of it was acknowledged: whoever finds less than that later has lost something. */
	const struct stripe_group_write write = {
		.bytes = r->group,
		.pages = r->group_pages,
		.acked_floor = r->position,
		.branch_group = r->branch_group,
	};
	const enum tern_err err =
	    stripe_store_write(r->store, &write, platform_monotonic_ns(), &address);
	/* The node has to have room to go on. */
	if (err == TERN_ERR_LOG_FULL ||
	    (err == TERN_OK && stripe_store_stats(r->store).next_cell > lap / 4 * 3))
		return fail(r->text, r->text_bytes, TERN_ERR_TOO_LARGE,
			    "the log area of %s is too small for the backup's log of %llu MiB: "
			    "make devices[].size at least %llu MiB each",
			    r->config->name,
			    (unsigned long long)(r->hdr->log_pages * PAGE_BYTES >> 20),
			    (unsigned long long)(r->hdr->log_pages * PAGE_BYTES / r->geometry.k *
						     (1 + r->geometry.m) * 2 >>
						 20) +
				32);
	if (err != TERN_OK)
		return fail(r->text, r->text_bytes, err, "a device of %s failed", r->config->name);
	r->group_pages = 0;
	return await(r);
}

/* The same block, of the new cluster. */
static enum tern_err
page_seal(struct restore *r, uint8_t *page)
{
	struct page_content content;
	const enum tern_err err = page_content_open(page, &content);

	if (err != TERN_OK)
		return err;
	content.cluster_id = r->superblock.cluster_id;
	page_content_seal(page, &content);
	return TERN_OK;
}

static enum tern_err
put_block(void *context, uint8_t *bytes, const struct block_hdr *hdr, struct hash128 chain)
{
	const uint32_t usual = CMDLOG_GROUP_BYTES_MAX / PAGE_BYTES;
	struct restore *r = context;
	enum tern_err err = TERN_OK;

	if (hdr->log_index > r->position)
		return TERN_OK;
	if (hdr->kind == BLOCK_CONFIG)
		return fail(
		    r->text, r->text_bytes, TERN_ERR_CONFIG,
		    "block %llu changes who the nodes of its cluster are, and a new cluster "
		    "has its own: restore up to the block before it, --to %llu, or make a "
		    "backup once there is a later checkpoint",
		    (unsigned long long)hdr->log_index, (unsigned long long)hdr->log_index - 1);
	if (r->group_pages != 0 && r->group_pages + hdr->pages > usual)
		err = group_flush(r);
	INVARIANT(err != TERN_OK || r->group_pages + hdr->pages <= r->group_pages_max);
	for (uint32_t i = 0; i < hdr->pages && err == TERN_OK; i++)
		err = page_seal(r, bytes + (size_t)i * PAGE_BYTES);
	if (err != TERN_OK)
		return err;
	memcpy(r->group + (size_t)r->group_pages * PAGE_BYTES, bytes,
	       (size_t)hdr->pages * PAGE_BYTES);
	r->group_pages += hdr->pages;
	*r->restored = (struct backup_restored){ hdr->log_index, hdr->term, chain, hdr->time_ns };
	return TERN_OK;
}

/* ---- all of it ---- */

static enum tern_err
ignore_checkpoint(void *context, uint8_t *page, const struct checkpoint_hdr *hdr)
{
	(void)context;
	(void)page;
	(void)hdr;
	return TERN_OK;
}

static enum tern_err
ignore_chunk(void *context, uint8_t *bytes, uint32_t pages, const struct checkpoint_chunk *chunk)
{
	(void)context;
	(void)bytes;
	(void)pages;
	(void)chunk;
	return TERN_OK;
}

static enum tern_err
ignore_block(void *context, uint8_t *bytes, const struct block_hdr *hdr, struct hash128 chain)
{
	(void)context;
	(void)bytes;
	(void)hdr;
	(void)chain;
	return TERN_OK;
}

/* What was written is what a start finds. */
static enum tern_err
read_again(struct restore *r)
{
	const struct backup_source_limit limit = {
		.cluster_id = r->superblock.cluster_id,
		.index = r->position,
		.has_chain = true,
		.chain = r->restored->chain,
	};
	const struct backup_sink sink = { NULL, ignore_checkpoint, ignore_chunk, ignore_block };
	struct backup_source_facts facts;

	return backup_source_read(r->config, &limit, &sink, &facts, r->text, r->text_bytes);
}

static enum tern_err
member_make(struct restore *r)
{
	struct shard_record *shard = &r->superblock.shards[0];

	shard->join = SUPERBLOCK_MEMBER;
	shard->term = r->restored->term;
	shard->voted_for = 0;
	r->superblock.tail_cell = 0;
	return update(r);
}

static enum tern_err
fill(struct restore *r, struct backup_reader *reader)
{
	const struct backup_sink sink = { r, put_checkpoint, put_chunk, put_block };
	enum tern_err err = devices_open(r);

	if (err == TERN_OK)
		err = memory_take(r);
	if (err == TERN_OK)
		err = store_begin(r);
	if (err == TERN_OK)
		err = backup_unpack(reader, &sink, r->text, r->text_bytes);
	if (err == TERN_OK)
		err = group_flush(r);
	if (err == TERN_OK && r->restored->position != r->position)
		err = fail(r->text, r->text_bytes, TERN_ERR_CORRUPT,
			   "the backup ends at %llu, before %llu",
			   (unsigned long long)r->restored->position,
			   (unsigned long long)r->position);
	return err == TERN_OK ? member_make(r) : err;
}

enum tern_err
backup_restore(struct backup_reader *reader, const struct node_config *config, uint64_t position,
	       struct backup_restored *restored, char *text, size_t text_bytes)
{
	struct restore r = {
		.config = config,
		.hdr = backup_reader_hdr(reader),
		.position = position,
		.text = text,
		.text_bytes = text_bytes,
		.geometry = { config->device_count - config->parity, config->parity },
		.restored = restored,
	};

	*restored = (struct backup_restored){ 0 };
	enum tern_err err = backup_restore_check(r.hdr, config, position, text, text_bytes);
	if (err != TERN_OK)
		return err;
	err = fill(&r, reader);
	nvme_close(r.nvme);
	free(r.store_memory);
	free(r.group);
	return err == TERN_OK ? read_again(&r) : err;
}
