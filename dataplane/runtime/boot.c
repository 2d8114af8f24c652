/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start-up of a data node on storage that exists: the newest good superblock, a higher boot number
 * made durable before anything else, a checkpoint, then the recovery scan of the log behind it.
 * Storage is never created or repaired here.
 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

static enum runtime_boot
give_up(struct runtime *rt, enum runtime_boot verdict)
{
	rt->boot.verdict = verdict;
	return verdict;
}

bool
boot_queue(struct runtime *rt, enum disk_request_kind kind, uint64_t page, uint32_t at,
	   uint32_t pages)
{
	if (storage_queue(rt, kind, page, rt->boot.buffer + (uint64_t)at * PAGE_BYTES, pages,
			  storage_user_make(USER_BOOT, 0, 0)) != TERN_OK)
		return false;
	rt->boot.in_flight++;
	return true;
}

void
boot_on_completion(struct runtime *rt, const struct disk_completion *completion)
{
	INVARIANT(rt->boot.in_flight != 0);
	rt->boot.in_flight--;
	if (completion->err != TERN_OK)
		rt->boot.is_failed = true;
}

static bool
is_ours(const struct runtime *rt, const struct superblock *superblock)
{
	const struct runtime_config *config = &rt->config;
	const struct shard_record *shard = &superblock->shards[0];

	return (config->cluster_id == 0 || superblock->cluster_id == config->cluster_id) &&
	       superblock->node_id == config->node_id && superblock->shard_count == 1 &&
	       shard->shard == config->shard && shard->voters == config->data_nodes &&
	       shard->witness_id == config->witness_id &&
	       shard->witness_gen == config->witness_gen &&
	       superblock->log_pages <= config->log_pages_max;
}

/* Chooses the newest good copy. RUNTIME_BOOT_READY: it is in rt->superblock. */
static enum runtime_boot
choose_superblock(struct runtime *rt)
{
	uint32_t blank_count = 0, foreign_count = 0, best_copy = UINT32_MAX;

	for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
		struct superblock superblock;
		const enum tern_err err =
		    superblock_decode(rt->boot.buffer + i * PAGE_BYTES, &superblock);

		blank_count += err == TERN_ERR_BLANK;
		foreign_count += err == TERN_ERR_FOREIGN || err == TERN_ERR_VERSION;
		if (err == TERN_OK &&
		    (best_copy == UINT32_MAX || superblock.sequence > rt->superblock.sequence)) {
			best_copy = i;
			rt->superblock = superblock;
		}
	}
	if (best_copy == UINT32_MAX)
		return blank_count == SUPERBLOCK_COPIES ? RUNTIME_BOOT_BLANK
		       : foreign_count != 0             ? RUNTIME_BOOT_FOREIGN
							: RUNTIME_BOOT_CORRUPT;
	if (!is_ours(rt, &rt->superblock))
		return RUNTIME_BOOT_FOREIGN;
	/* The half that holds the newest copy is left alone. */
	rt->meta.next_copy = best_copy < SUPERBLOCK_COPIES / 2 ? SUPERBLOCK_COPIES / 2 : 0;
	return RUNTIME_BOOT_READY;
}

static enum runtime_boot
write_superblock(struct runtime *rt)
{
	rt->superblock.boot_no++;
	rt->superblock.sequence++;
	superblock_encode(rt->boot.buffer, &rt->superblock);
	for (uint32_t i = 0; i < SUPERBLOCK_COPIES / 2; i++)
		if (!boot_queue(rt, DISK_WRITE, rt->meta.next_copy + i, 0, 1))
			return give_up(rt, RUNTIME_BOOT_IO);
	rt->meta.next_copy = (rt->meta.next_copy + SUPERBLOCK_COPIES / 2) % SUPERBLOCK_COPIES;
	rt->boot.phase = BOOT_WRITE_SUPERBLOCK;
	return RUNTIME_BOOT_MORE;
}

static enum runtime_boot
scan_read(struct runtime *rt)
{
	const uint64_t cell = cmdlog_scan_next(rt->log);

	rt->boot.next_cell = cell;
	rt->boot.pages = (uint32_t)min_u64(RUNTIME_BOOT_PAGES, cmdlog_scan_pages_max(rt->log));
	if (!boot_queue(rt, DISK_READ,
			rt->superblock.log_first_page + cmdlog_area_page(rt->log, cell), 0,
			rt->boot.pages))
		return give_up(rt, RUNTIME_BOOT_IO);
	return RUNTIME_BOOT_MORE;
}

struct cmdlog_base
boot_base_of(const struct superblock_base *base)
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
	};
}

static enum runtime_boot
scan_begin(struct runtime *rt)
{
	const struct runtime_config *config = &rt->config;
	const struct cmdlog_config log = {
		.cluster_id = rt->superblock.cluster_id,
		.shard = config->shard,
		.node_id = config->node_id,
		.boot_no = rt->superblock.boot_no,
		.pool_gen = rt->superblock.pool_gen,
		.ring = config->ring,
		.ring_bytes = config->ring_bytes,
		.command_bytes_max = config->command_bytes_max,
		.area_pages = rt->superblock.log_pages,
		.blocks_max = config->log_pages_max,
		.entries = rt->entries,
		.groups_in_flight_max = config->groups_in_flight_max,
	};

	const struct shard_record *shard = &rt->superblock.shards[0];

	if (cmdlog_init(rt->log_memory, &log, &rt->log) != TERN_OK)
		return give_up(rt, RUNTIME_BOOT_FOREIGN);
	if (shard->base.log_index != 0) {
		if (!rt->boot.recover.is_restored)
			return give_up(rt, RUNTIME_BOOT_DAMAGED);
		const struct cmdlog_base base = boot_base_of(&shard->base);
		cmdlog_set_base(rt->log, &base);
	}
	cmdlog_scan_begin(rt->log);
	rt->boot.phase = BOOT_SCAN;
	return scan_read(rt);
}

static enum runtime_boot
core_begin(struct runtime *rt, const struct cmdlog_recovery *recovery)
{
	const struct runtime_config *config = &rt->config;
	const struct shard_record *shard = &rt->superblock.shards[0];
	const struct core_config core = {
		.node_id = config->node_id,
		.data_nodes = config->data_nodes,
		.witness_id = config->witness_id,
		.witness_gen = config->witness_gen,
		.solo_isolated_stop = config->solo_isolated_stop,
		.min_copies = config->min_copies,
		.is_log_volatile = config->is_log_volatile,
		.timers = config->timers,
		.prng_seed = config->prng_seed,
		.bugs = config->core_bugs,
		.now_ns = rt->now_ns,
		.boot_no = rt->superblock.boot_no,
		.is_first_boot = rt->superblock.boot_no == 1,
		.is_rejoining = shard->join == SUPERBLOCK_REJOINING,
		.is_forgetful = shard->join == SUPERBLOCK_FORGETFUL || rt->is_damaged,
		.term = shard->term,
		.voted_for = shard->voted_for,
		.history = rt->history,
		.history_count = config->log_pages_max,
	};

	if (core_init(rt->core_memory, &core, &rt->core) != TERN_OK)
		return give_up(rt, RUNTIME_BOOT_FOREIGN);
	const struct cmdlog_base base =
	    boot_base_of(rt->is_damaged ? &rt->repair.base : &shard->base);
	const struct recover *recover = &rt->boot.recover;
	if (base.meta.log_index != 0 && core_recover_base(rt->core, &base.meta) != TERN_OK)
		return give_up(rt, RUNTIME_BOOT_CORRUPT);
	for (uint64_t i = base.meta.log_index + 1; i <= recovery->last_index; i++) {
		struct block_meta meta;
		const bool has_meta = cmdlog_meta(rt->log, i, &meta);
		INVARIANT(has_meta);
		if (core_recover_block(rt->core, &meta, min_u64(i, recovery->commit_floor)) !=
		    TERN_OK)
			return give_up(rt, RUNTIME_BOOT_CORRUPT);
	}
	if (recover->is_restored) {
		/* What the checkpoint covers was durable here: a log that does not hold its last
		 * block has lost something. */
		if (core_recover_applied(rt->core, &recover->hdr.meta) != TERN_OK)
			return give_up(rt, RUNTIME_BOOT_DAMAGED);
		rt->applied_index = recover->hdr.meta.log_index;
		cmdlog_set_applied(rt->log, rt->applied_index);
		core_note_checkpoint(rt->core, &recover->hdr.meta);
	}
	rt->commit_index = core_view(rt->core)->commit_index;
	rt->persist_index = recovery->last_index;
	rt->link.cluster_id = rt->superblock.cluster_id;
	rt->link.cluster_gen = rt->superblock.cluster_gen;
	rt->link.boot_no = core.is_rejoining ? 0 : rt->superblock.boot_no;
	rt->boot.phase = BOOT_DONE;
	return give_up(rt, RUNTIME_BOOT_READY);
}

static enum runtime_boot
checkpoint_read(struct runtime *rt)
{
	enum recover_verdict verdict = RECOVER_DONE;

	if (checkpoint_is_possible(rt))
		verdict = recover_turn(rt);
	switch (verdict) {
	case RECOVER_MORE:
		return RUNTIME_BOOT_MORE;
	case RECOVER_DONE:
		checkpoint_open(rt);
		return scan_begin(rt);
	case RECOVER_REFUSED:
		return give_up(rt, RUNTIME_BOOT_FOREIGN);
	case RECOVER_FAILED:
		break;
	}
	return give_up(rt, RUNTIME_BOOT_IO);
}

/* A tail that was cut before this start: it may not have been exported. False: call again. */
static bool
export_superseded(struct runtime *rt)
{
	struct cmdlog_cut cut;

	if (!cmdlog_scan_cut(rt->log, &cut))
		return true;
	if (rt->boot.export_next == 0)
		rt->boot.export_next = cut.first_index;
	if (!cut_export(rt, &rt->boot.export_next, cut.last_index, cut.term))
		return false;
	rt->boot.export_next = 0;
	return true;
}

static enum runtime_boot
scan_more(struct runtime *rt)
{
	struct cmdlog_recovery recovery;
	enum cmdlog_scan_state state = CMDLOG_SCAN_CUT;

	/* Each round but the first takes at least one page. */
	while (state == CMDLOG_SCAN_CUT) {
		const uint64_t next = cmdlog_scan_next(rt->log);
		const uint64_t at = next - rt->boot.next_cell;
		if (!export_superseded(rt))
			return RUNTIME_BOOT_MORE;
		if (cmdlog_scan_pages(rt->log, next, rt->boot.buffer + at * PAGE_BYTES,
				      rt->boot.pages - (uint32_t)at, &state) != TERN_OK)
			return give_up(rt, RUNTIME_BOOT_CORRUPT);
	}
	if (state == CMDLOG_SCAN_MORE)
		return scan_read(rt);
	cmdlog_scan_end(rt->log, &recovery);
	if (recovery.is_damaged && !runtime_has_bug(rt, CORE_BUG_P15_CUT_DAMAGED) &&
	    !repair_begin(rt, &recovery))
		return give_up(rt, RUNTIME_BOOT_DAMAGED);
	return core_begin(rt, &recovery);
}

enum runtime_boot
runtime_boot_turn(struct runtime *rt)
{
	rt->now_ns = rt->config.clock.ops->monotonic_ns(rt->config.clock.clock);
	if (rt->boot.verdict != 0)
		return rt->boot.verdict;
	if (rt->boot.in_flight == 0 && rt->boot.phase == BOOT_READ_SUPERBLOCK &&
	    !rt->boot.is_started) {
		rt->boot.is_started = true;
		if (!boot_queue(rt, DISK_READ, 0, 0, SUPERBLOCK_COPIES))
			return give_up(rt, RUNTIME_BOOT_IO);
	}
	rt->config.disk.ops->submit(rt->config.disk.disk);
	(void)storage_poll(rt);
	if (rt->boot.in_flight != 0)
		return RUNTIME_BOOT_MORE;
	if (rt->boot.is_failed)
		return give_up(rt, RUNTIME_BOOT_IO);
	switch (rt->boot.phase) {
	case BOOT_READ_SUPERBLOCK: {
		const enum runtime_boot verdict = choose_superblock(rt);
		return verdict == RUNTIME_BOOT_READY ? write_superblock(rt) : give_up(rt, verdict);
	}
	case BOOT_WRITE_SUPERBLOCK:
		rt->boot.phase = BOOT_CHECKPOINT;
		return checkpoint_read(rt);
	case BOOT_CHECKPOINT:
		return checkpoint_read(rt);
	case BOOT_SCAN:
		return scan_more(rt);
	case BOOT_DONE:
		break;
	}
	return RUNTIME_BOOT_READY;
}
