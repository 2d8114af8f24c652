/* SPDX-License-Identifier: Apache-2.0 */
#include "control/backup/source.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/backup/device.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/base_of.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/stripe/place.h"
#include "dataplane/stripe/store.h"
#include "hw/platform/platform.h"

#define SCAN_ROWS 256u

struct source {
	const struct node_config *config;
	const struct backup_source_limit *limit;
	const struct backup_sink *sink;
	struct backup_source_facts *facts;
	char *text;
	size_t text_bytes;
	struct backup_device device;
	struct stripe_geometry geometry;
	struct stripe_store *store;
	struct superblock superblock;
	void *store_memory, *log_memory, *entries;
	uint8_t *ring;
	size_t ring_bytes;
	struct cmdlog *log;
	uint8_t *buffer; /* a chunk, or a write group */
	uint32_t buffer_pages;
	struct checkpoint_hdr checkpoint;
	bool has_checkpoint;
	struct stripe_address held; /* the group in the buffer; no pages: none */
	struct backup_position last;
	uint8_t *block; /* of the group, copied */
};

static enum tern_err __attribute__((format(printf, 3, 4)))
fail(struct source *source, enum tern_err err, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(source->text, source->text_bytes, format, arguments);
	va_end(arguments);
	return err;
}

/* ---- the store ---- */

static enum tern_err
store_open(struct source *source)
{
	const struct node_config *config = source->config;
	const uint32_t command_bytes = (uint32_t)config->log.command_bytes_max;
	struct stripe_store_config store = {
		.disk = backup_device_port(&source->device),
		.geometry = source->geometry,
		.cluster_id = source->limit->cluster_id,
		.node_id = config->id,
		.group_pages_max =
		    max_u32(cmdlog_group_pages_max(command_bytes), CHECKPOINT_CHUNK_PAGES),
		.groups_max = 1,
		.reads_max = 1,
		.spare_count = config->spare_count,
	};
	const uint32_t rows = stripe_group_cells(source->geometry, store.group_pages_max) /
				  stripe_devices(source->geometry) +
			      2;

	store.scan_rows = max_u32(rows, SCAN_ROWS);
	memcpy(store.device_bytes, source->device.bytes, sizeof(store.device_bytes));
	const size_t bytes = stripe_store_bytes(&store);
	if (bytes == 0)
		return fail(source, TERN_ERR_CONFIG, "no such devices");
	source->buffer_pages = store.group_pages_max;
	source->store_memory = aligned_alloc(PAGE_BYTES, align_up_u64(bytes, PAGE_BYTES));
	source->buffer = aligned_alloc(PAGE_BYTES, (size_t)source->buffer_pages * PAGE_BYTES);
	source->block = aligned_alloc(PAGE_BYTES, (size_t)source->buffer_pages * PAGE_BYTES);
	if (source->store_memory == NULL || source->buffer == NULL || source->block == NULL ||
	    stripe_store_init(source->store_memory, &store, &source->store) != TERN_OK)
		return fail(source, TERN_ERR_NO_MEMORY, "out of memory");
	enum stripe_start verdict = STRIPE_START_MORE;
	while (verdict == STRIPE_START_MORE)
		verdict = stripe_store_start(source->store, platform_monotonic_ns());
	if (verdict == STRIPE_START_CLONED || verdict == STRIPE_START_CORRUPT)
		return fail(source, TERN_ERR_CORRUPT, "%s", stripe_start_text(verdict));
	if (verdict != STRIPE_START_READY)
		return fail(source, TERN_ERR_FOREIGN, "the storage cannot be read: %s",
			    stripe_start_text(verdict));
	source->superblock = *stripe_store_superblock(source->store);
	return TERN_OK;
}

/* Waits for the one request that is under way. */
static enum tern_err
await(struct source *source)
{
	struct stripe_completion done;

	while (stripe_store_poll(source->store, platform_monotonic_ns(), &done, 1) == 0)
		continue;
	return done.err;
}

/* ---- the checkpoint ---- */

/* Reads a part of it into the buffer, as often as there are other columns to make it of, until
 * @is_good says that it is right. */
static bool
part_read(struct source *source, const struct superblock_checkpoint *record, uint64_t page,
	  uint32_t pages, bool (*is_good)(struct source *source, uint32_t pages, uint32_t number),
	  uint32_t number)
{
	struct stripe_blob blob =
	    stripe_place_blob(source->geometry, record->first_page, page, source->buffer, pages);
	uint32_t distrust = 0;

	do {
		if (stripe_store_blob_read(source->store, &blob, distrust,
					   platform_monotonic_ns()) != TERN_OK)
			return false;
		if (await(source) == TERN_OK && is_good(source, pages, number))
			return true;
	} while (stripe_blob_distrust_next(source->geometry, &distrust));
	return false;
}

static bool
is_header(struct source *source, uint32_t pages, uint32_t slot)
{
	const struct superblock_checkpoint *record =
	    &source->superblock.shards[0].checkpoints[slot];
	struct checkpoint_hdr *hdr = &source->checkpoint;

	(void)pages;
	return checkpoint_hdr_decode(source->buffer, hdr) == TERN_OK &&
	       hdr->cluster_id == source->superblock.cluster_id &&
	       hdr->shard == source->superblock.shards[0].shard &&
	       hdr->meta.log_index == record->log_index && hdr->meta.term == record->term &&
	       hash128_equal(hdr->meta.chain, record->chain) &&
	       checkpoint_pages(hdr->stream_bytes) == record->pages && hdr->chunk_count != 0;
}

static bool
is_chunk(struct source *source, uint32_t pages, uint32_t number)
{
	struct checkpoint_chunk chunk;

	return checkpoint_chunk_open(source->buffer, pages, &chunk) == TERN_OK &&
	       chunk.cluster_id == source->checkpoint.cluster_id &&
	       chunk.shard == source->checkpoint.shard &&
	       chunk.log_index == source->checkpoint.meta.log_index && chunk.number == number;
}

/* The newest one that does not lie behind what is wanted; SUPERBLOCK_CHECKPOINTS: none. */
static uint32_t
slot_choose(const struct source *source)
{
	const struct superblock *superblock = &source->superblock;
	const struct superblock_checkpoint *slots = superblock->shards[0].checkpoints;
	uint32_t best = SUPERBLOCK_CHECKPOINTS;

	for (uint32_t i = 0; i < SUPERBLOCK_CHECKPOINTS; i++) {
		if (slots[i].log_index == 0 || slots[i].log_index > source->limit->index ||
		    slots[i].first_page < superblock->checkpoint_first_page || slots[i].pages == 0)
			continue;
		if (best == SUPERBLOCK_CHECKPOINTS || slots[i].log_index > slots[best].log_index)
			best = i;
	}
	return best;
}

static void
checkpoint_note(struct source *source)
{
	const struct checkpoint_hdr *hdr = &source->checkpoint;

	source->has_checkpoint = true;
	source->last = (struct backup_position){ hdr->meta.log_index, hdr->page_end,
						 hdr->block_time_ns, hdr->meta.chain };
	source->facts->first_index = hdr->meta.log_index;
	source->facts->first_time_ns = hdr->block_time_ns;
	source->facts->last_term = hdr->meta.term;
	source->facts->checkpoint_pages = checkpoint_pages(hdr->stream_bytes);
}

static enum tern_err
chunks_read(struct source *source, const struct superblock_checkpoint *record)
{
	const struct checkpoint_hdr *hdr = &source->checkpoint;
	struct hash128 root = { 0 };

	for (uint32_t number = 0; number < hdr->chunk_count; number++) {
		const uint32_t pages = checkpoint_chunk_pages(hdr->stream_bytes, number);
		struct checkpoint_chunk chunk;
		if (!part_read(source, record, 1 + (uint64_t)number * CHECKPOINT_CHUNK_PAGES, pages,
			       is_chunk, number) ||
		    checkpoint_chunk_open(source->buffer, pages, &chunk) != TERN_OK)
			return fail(source, TERN_ERR_CORRUPT,
				    "chunk %u of the checkpoint at %llu cannot be read", number,
				    (unsigned long long)hdr->meta.log_index);
		root = checkpoint_root_add(root, chunk.hash);
		const enum tern_err err =
		    source->sink->chunk(source->sink->context, source->buffer, pages, &chunk);
		if (err != TERN_OK)
			return err;
	}
	if (!hash128_equal(root, hdr->root))
		return fail(source, TERN_ERR_CORRUPT,
			    "the checkpoint at %llu is not what its header says",
			    (unsigned long long)hdr->meta.log_index);
	return TERN_OK;
}

static enum tern_err
checkpoint_read(struct source *source)
{
	const uint32_t slot = slot_choose(source);

	if (slot == SUPERBLOCK_CHECKPOINTS && source->superblock.shards[0].base.log_index == 0)
		return TERN_OK;
	if (slot == SUPERBLOCK_CHECKPOINTS)
		return fail(source, TERN_ERR_CORRUPT,
			    "the log does not begin with block 1, and there is no checkpoint");
	const struct superblock_checkpoint *record =
	    &source->superblock.shards[0].checkpoints[slot];
	if (!part_read(source, record, 0, 1, is_header, slot))
		return fail(source, TERN_ERR_CORRUPT,
			    "the header of the checkpoint at %llu cannot be read",
			    (unsigned long long)record->log_index);
	checkpoint_note(source);
	const enum tern_err err =
	    source->sink->checkpoint(source->sink->context, source->buffer, &source->checkpoint);
	return err == TERN_OK ? chunks_read(source, record) : err;
}

/* ---- the log ---- */

/* Of a node that runs nothing before the checkpoint is looked at: it may go at any moment. */
static struct cmdlog_base
log_base(const struct source *source)
{
	struct cmdlog_base base = cmdlog_base_of(&source->superblock.shards[0].base);

	if (!source->limit->is_live || !source->has_checkpoint)
		return base;
	base.meta = source->checkpoint.meta;
	base.page_end = source->checkpoint.page_end;
	base.time_ns = source->checkpoint.block_time_ns;
	base.boot_no = 0;
	base.group_seq = 0;
	return base;
}

static enum tern_err
log_open(struct source *source)
{
	const struct superblock *superblock = &source->superblock;
	struct cmdlog_config log = {
		.cluster_id = superblock->cluster_id,
		.shard = superblock->shards[0].shard,
		.boot_no = superblock->boot_no + 1, /* as the next start would have it */
		.command_bytes_max = (uint32_t)source->config->log.command_bytes_max,
		.area_cells = superblock->log_pages * stripe_devices(source->geometry),
		.data_columns = source->geometry.k,
		.parity = source->geometry.m,
		.blocks_max = superblock->log_pages * source->geometry.k + 2,
		.groups_in_flight_max = 1,
	};

	source->ring_bytes = (size_t)cmdlog_block_pages_max(log.command_bytes_max) * 8 * PAGE_BYTES;
	source->ring = platform_ring_map(source->ring_bytes);
	source->entries = calloc(log.blocks_max, cmdlog_entry_bytes());
	source->log_memory = aligned_alloc(64, align_up_u64(cmdlog_bytes(), 64));
	log.ring = source->ring;
	log.ring_bytes = source->ring_bytes;
	log.entries = source->entries;
	if (log.ring == NULL || log.entries == NULL || source->log_memory == NULL)
		return fail(source, TERN_ERR_NO_MEMORY, "out of memory");
	if (cmdlog_init(source->log_memory, &log, &source->log) != TERN_OK)
		return fail(source, TERN_ERR_CONFIG, "the node file's limits are no log's");
	const struct cmdlog_base from = log_base(source);
	if (from.meta.log_index != 0)
		cmdlog_set_base(source->log, &from);
	const struct cmdlog_floor floor = cmdlog_floor_of(&superblock->shards[0].floor);
	cmdlog_set_floor(source->log, &floor);
	return TERN_OK;
}

static enum tern_err
log_scan(struct source *source, struct cmdlog_recovery *recovery)
{
	const struct superblock_base *base = &source->superblock.shards[0].base;
	struct stripe_store *store = source->store;
	struct stripe_scanned found;
	enum stripe_scan_state state = STRIPE_SCAN_MORE;

	cmdlog_scan_begin(source->log);
	stripe_store_scan_begin(store, base->next_cell);
	while (state != STRIPE_SCAN_DONE && state != STRIPE_SCAN_FAILED) {
		state = stripe_store_scan(store, platform_monotonic_ns(), &found);
		/* A tail that gives way is of no interest: each round but the first takes a block.
		 */
		while (state == STRIPE_SCAN_GROUP &&
		       cmdlog_scan_group(source->log, &found.group, found.bytes) == CMDLOG_SCAN_CUT)
			continue;
	}
	if (state == STRIPE_SCAN_FAILED)
		return fail(source, TERN_ERR_CORRUPT, "the log area cannot be read");
	const struct stripe_scan_stats *stats = stripe_store_scan_stats(store);
	const struct cmdlog_area area = {
		.end_cell = stats->end_cell,
		.is_overwritten = stats->pages_later != 0,
	};
	cmdlog_scan_end(source->log, &area, recovery);
	const uint32_t over = max_u32(stats->pages_over, recovery->pages_over);
	if (over != 0)
		return fail(source, TERN_ERR_CONFIG,
			    "the log holds larger blocks than log.command_max allows: set it to at "
			    "least \"%lluKiB\"",
			    (unsigned long long)div_up_u64(cmdlog_command_bytes_for(over), 1024));
	return TERN_OK;
}

/* What was found is what the node said that it has; or, of one that is stopped, all that it had. */
static enum tern_err
log_judge(struct source *source, const struct cmdlog_recovery *recovery, uint64_t *last)
{
	const struct backup_source_limit *limit = source->limit;
	struct block_meta meta;

	*last = min_u64(recovery->last_index, limit->index);
	/* Before and behind what is wanted a node that runs may have anything. */
	if (!limit->is_live && recovery->is_damaged)
		return fail(source, TERN_ERR_CORRUPT,
			    "the node's log is damaged: take the backup of another node");
	if (limit->index != UINT64_MAX && *last < limit->index)
		return fail(source, TERN_ERR_CORRUPT,
			    "the log was found up to %llu, and not to %llu",
			    (unsigned long long)*last, (unsigned long long)limit->index);
	if (*last < source->last.index)
		return fail(source, TERN_ERR_CORRUPT, "the log ends before the checkpoint");
	if (limit->has_chain && *last != 0 &&
	    (!cmdlog_meta(source->log, *last, &meta) || !hash128_equal(meta.chain, limit->chain)))
		return fail(source, TERN_ERR_CORRUPT, "block %llu is not the one that the node has",
			    (unsigned long long)*last);
	/* The checkpoint is one of this log. */
	if (source->has_checkpoint && (!cmdlog_meta(source->log, source->last.index, &meta) ||
				       !hash128_equal(meta.chain, source->last.chain)))
		return fail(source, TERN_ERR_CORRUPT, "the checkpoint is not of this log");
	source->facts->commit_index =
	    limit->is_live ? *last
			   : max_u64(source->last.index, min_u64(recovery->commit_floor, *last));
	return TERN_OK;
}

/* The block's group is in the buffer: read whole, for its neighbours are needed next. */
static bool
group_read(struct source *source, const struct cmdlog_location *location)
{
	const struct stripe_group_read read = {
		.address = { location->first_cell, location->group_pages },
		.pages = location->group_pages,
		.bytes = source->buffer,
	};

	if (source->held.group_pages != 0 && source->held.first_cell == location->first_cell)
		return true;
	source->held.group_pages = 0;
	if (location->group_pages > source->buffer_pages ||
	    stripe_store_read(source->store, &read, platform_monotonic_ns()) != TERN_OK ||
	    await(source) != TERN_OK)
		return false;
	source->held = read.address;
	return true;
}

/* Of a group that cannot be read whole, the block's own pages. */
static bool
block_read(struct source *source, const struct cmdlog_location *location)
{
	const struct stripe_group_read read = {
		.address = { location->first_cell, location->group_pages },
		.page = location->page,
		.pages = location->pages,
		.bytes = source->block,
	};

	if (group_read(source, location)) {
		memcpy(source->block, source->buffer + (size_t)location->page * PAGE_BYTES,
		       (size_t)location->pages * PAGE_BYTES);
		return true;
	}
	return stripe_store_read(source->store, &read, platform_monotonic_ns()) == TERN_OK &&
	       await(source) == TERN_OK;
}

static enum tern_err
block_give(struct source *source, uint64_t log_index)
{
	struct backup_source_facts *facts = source->facts;
	struct cmdlog_location location;
	struct block_hdr hdr;
	struct hash128 chain;

	if (!cmdlog_locate(source->log, log_index, &location) ||
	    location.pages > source->buffer_pages || !block_read(source, &location) ||
	    backup_block_check(source->block, location.pages, source->superblock.cluster_id,
			       source->superblock.shards[0].shard, &source->last, &hdr,
			       &chain) != TERN_OK)
		return fail(source, TERN_ERR_CORRUPT, "block %llu cannot be read",
			    (unsigned long long)log_index);
	/* Where this copy lay is of no interest. */
	for (uint32_t i = 0; i < location.pages; i++)
		memset(source->block + (size_t)i * PAGE_BYTES, 0, PAGE_IDENTITY_BYTES);
	source->last = (struct backup_position){ hdr.log_index, source->last.page_end + hdr.pages,
						 hdr.time_ns, chain };
	facts->log_pages += hdr.pages;
	facts->block_pages_max = max_u32(facts->block_pages_max, hdr.pages);
	facts->last_term = hdr.term;
	if (facts->first_time_ns == 0)
		facts->first_time_ns = hdr.time_ns;
	return source->sink->block(source->sink->context, source->block, &hdr, chain);
}

static enum tern_err
log_read(struct source *source)
{
	struct cmdlog_recovery recovery;
	uint64_t last = 0;
	enum tern_err err = log_open(source);

	if (err == TERN_OK)
		err = log_scan(source, &recovery);
	if (err == TERN_OK)
		err = log_judge(source, &recovery, &last);
	while (err == TERN_OK && source->last.index < last)
		err = block_give(source, source->last.index + 1);
	return err;
}

static enum tern_err
read_all(struct source *source)
{
	struct backup_source_facts *facts = source->facts;
	enum tern_err err = store_open(source);

	if (err != TERN_OK)
		return err;
	facts->cluster_id = source->superblock.cluster_id;
	facts->shard = source->superblock.shards[0].shard;
	facts->machine_version = CMDLOG_MACHINE_VERSION;
	if (source->superblock.shards[0].join != SUPERBLOCK_MEMBER)
		return fail(
		    source, TERN_ERR_FOREIGN,
		    "the node lost its storage and does not yet hold everything again: take "
		    "the backup of another node");
	err = checkpoint_read(source);
	if (err == TERN_OK)
		err = log_read(source);
	facts->last_index = source->last.index;
	facts->last_time_ns = source->last.time_ns;
	facts->chain = source->last.chain;
	return err;
}

enum tern_err
backup_source_read(const struct node_config *config, const struct backup_source_limit *limit,
		   const struct backup_sink *sink, struct backup_source_facts *facts, char *text,
		   size_t text_bytes)
{
	struct source *source = calloc(1, sizeof(*source));

	*facts = (struct backup_source_facts){ 0 };
	(void)snprintf(text, text_bytes, "out of memory");
	if (source == NULL)
		return TERN_ERR_NO_MEMORY;
	source->config = config;
	source->limit = limit;
	source->sink = sink;
	source->facts = facts;
	source->text = text;
	source->text_bytes = text_bytes;
	source->geometry =
	    (struct stripe_geometry){ config->device_count - config->parity, config->parity };
	enum tern_err err = TERN_ERR_UNSUPPORTED;
	if (config->is_log_volatile)
		(void)fail(source, err, "the log of %s is in RAM: its devices hold nothing of it",
			   config->name);
	else
		err =
		    backup_device_open(&source->device, config, !limit->is_live, text, text_bytes);
	if (err == TERN_OK) {
		err = read_all(source);
		backup_device_close(&source->device);
	}
	if (source->ring != NULL)
		platform_ring_unmap(source->ring, source->ring_bytes);
	free(source->store_memory);
	free(source->log_memory);
	free(source->entries);
	free(source->buffer);
	free(source->block);
	free(source);
	return err;
}
