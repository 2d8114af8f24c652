/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start-up of a data node on storage that exists: which devices count, a higher boot number made
 * durable before anything else, a checkpoint, then the recovery scan of the log behind it. Storage
 * is never created here; what a crash left unfinished is made whole.
 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/base_of.h"

static enum runtime_boot
give_up(struct runtime *rt, enum runtime_boot verdict)
{
	rt->boot.verdict = verdict;
	return verdict;
}

static bool
is_ours(const struct runtime *rt, const struct superblock *superblock)
{
	const struct runtime_config *config = &rt->config;
	const struct shard_record *shard = &superblock->shards[0];

	return superblock->shard_count == 1 && shard->shard == config->shard &&
	       peers_are_known(rt, shard->voters, shard->witness_id) &&
	       superblock->log_pages <= config->log_pages_max / config->geometry.k;
}

static enum runtime_boot
store_refused(struct runtime *rt, enum stripe_start verdict)
{
	rt->boot.store = verdict;
	switch (verdict) {
	case STRIPE_START_BLANK:
		return give_up(rt, RUNTIME_BOOT_BLANK);
	case STRIPE_START_CORRUPT:
		return give_up(rt, RUNTIME_BOOT_CORRUPT);
	case STRIPE_START_BLANK_DEVICE:
	case STRIPE_START_FOREIGN:
	case STRIPE_START_VERSION:
	case STRIPE_START_SWAPPED:
	case STRIPE_START_CLONED:
	case STRIPE_START_GEOMETRY:
	case STRIPE_START_TOO_SMALL:
		return give_up(rt, RUNTIME_BOOT_FOREIGN);
	case STRIPE_START_MORE:
	case STRIPE_START_READY:
	case STRIPE_START_TOO_FEW:
	case STRIPE_START_STALE:
	case STRIPE_START_NOTE_CORRUPT:
	case STRIPE_START_NOTE_FOREIGN:
	case STRIPE_START_NOTE_OLD:
	case STRIPE_START_LEFT_BEHIND:
	case STRIPE_START_NOTE_IO:
	case STRIPE_START_IO:
		break;
	}
	return give_up(rt, RUNTIME_BOOT_IO);
}

const char *
runtime_boot_store(const struct runtime *rt, uint32_t *device)
{
	*device = stripe_store_start_device(rt->store);
	return rt->boot.store == STRIPE_START_MORE ? NULL : stripe_start_text(rt->boot.store);
}

uint32_t
runtime_boot_command_bytes(const struct runtime *rt)
{
	INVARIANT(rt->boot.verdict == RUNTIME_BOOT_LIMIT);
	return cmdlog_command_bytes_for(rt->boot.pages_over);
}

static enum runtime_boot
number_write(struct runtime *rt)
{
	stripe_store_update(rt->store, &rt->superblock, storage_user_make(USER_BOOT, 0, 0));
	rt->boot.in_flight++;
	rt->boot.phase = BOOT_NUMBER;
	stripe_store_submit(rt->store);
	return RUNTIME_BOOT_MORE;
}

static enum runtime_boot
store_start(struct runtime *rt)
{
	const enum stripe_start verdict = stripe_store_start(rt->store, rt->now_ns);

	if (verdict == STRIPE_START_MORE)
		return RUNTIME_BOOT_MORE;
	if (verdict != STRIPE_START_READY)
		return store_refused(rt, verdict);
	rt->superblock = *stripe_store_superblock(rt->store);
	if (!is_ours(rt, &rt->superblock))
		return give_up(rt, RUNTIME_BOOT_FOREIGN);
	rt->superblock.boot_no++;
	return number_write(rt);
}

static enum runtime_boot
scan_begin(struct runtime *rt)
{
	const struct runtime_config *config = &rt->config;
	const struct cmdlog_config log = {
		.cluster_id = rt->superblock.cluster_id,
		.shard = config->shard,
		.boot_no = rt->superblock.boot_no,
		.ring = config->ring,
		.ring_bytes = config->ring_bytes,
		.command_bytes_max = config->command_bytes_max,
		.area_cells = rt->superblock.log_pages * stripe_devices(config->geometry),
		.data_columns = config->geometry.k,
		.parity = config->geometry.m,
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
		const struct cmdlog_base base = cmdlog_base_of(&shard->base);
		cmdlog_set_base(rt->log, &base);
	}
	if (rt->boot.recover.is_restored &&
	    rt->boot.recover.hdr.meta.log_index > shard->base.log_index) {
		const struct superblock_base covered = checkpoint_base(&rt->boot.recover.hdr, 0);
		const struct cmdlog_base anchor = cmdlog_base_of(&covered);
		cmdlog_set_anchor(rt->log, &anchor);
	}
	floor_boot_begin(rt);
	cmdlog_scan_begin(rt->log);
	stripe_store_scan_begin(rt->store, shard->base.next_cell);
	rt->boot.phase = BOOT_SCAN;
	return RUNTIME_BOOT_MORE;
}

/* ---- the configurations that the log holds ---- */

static enum runtime_boot core_begin(struct runtime *rt);

/* Where the log begins: as the superblock says, or as it will. */
static const struct superblock_base *
log_base(const struct runtime *rt)
{
	return rt->is_damaged ? &rt->repair.base : &rt->superblock.shards[0].base;
}

static bool
is_forgetful(const struct runtime *rt)
{
	return rt->is_damaged || rt->superblock.shards[0].join == SUPERBLOCK_FORGETFUL;
}

static struct membership
members_named(const struct shard_record *shard)
{
	return (struct membership){
		.config_index = shard->config_index,
		.voters = shard->voters,
		.learners = shard->learners,
		.witness_id = shard->witness_id,
		.witness_gen = shard->witness_gen,
	};
}

/* The configuration at the position from which blocks will be applied. */
static struct membership
members_of(struct runtime *rt)
{
	const struct checkpoint_hdr *hdr = &rt->boot.recover.hdr;
	const struct shard_record *shard = &rt->superblock.shards[0];

	rt->boot.has_members = rt->boot.recover.is_restored;
	if (rt->boot.recover.is_restored)
		return (struct membership){
			.config_index = hdr->config_index,
			.voters = hdr->voters,
			.learners = hdr->learners,
			.witness_id = hdr->witness_id,
			.witness_gen = hdr->witness_gen,
		};
	return members_named(shard);
}

/* The record of a CONFIG block is wanted of those that the superblock names, or above; and of the
 * first one, for what was before it, if the state begins with the log. */
static bool
is_record_wanted(const struct runtime *rt, const struct block_meta *meta)
{
	return meta->kind == BLOCK_CONFIG &&
	       ((meta->log_index >= rt->superblock.shards[0].config_index && rt->boot.has_named) ||
		!rt->boot.has_members);
}

/* The configuration that the superblock names was durable in this log, and committed. By its index
 * alone a tail that was cut could be taken for it, if the group that superseded that is lost; what
 * lies below the log's begin a checkpoint covers. Where it is lacking, all that the log has of that
 * index on is such a tail. */
static bool
is_named_there(const struct runtime *rt, uint64_t last_index)
{
	const uint64_t config_index = rt->superblock.shards[0].config_index;
	struct block_meta meta;

	if (config_index <= cmdlog_stats(rt->log).base_index)
		return true;
	return config_index <= last_index && cmdlog_meta(rt->log, config_index, &meta) &&
	       meta.kind == BLOCK_CONFIG;
}

/* Whether the log may lack it: who forgot gets its block again. */
static bool
may_lack_named(const struct runtime *rt)
{
	return is_forgetful(rt) || rt->config.is_log_volatile;
}

static bool
record_read(struct runtime *rt, uint64_t log_index)
{
	struct cmdlog_location location;
	const bool is_there = cmdlog_locate(rt->log, log_index, &location);

	INVARIANT(is_there && location.pages == 1 && location.first_cell != UINT64_MAX);
	const struct storage_part part = { location.first_cell, location.page, 1 };
	const struct stripe_address at = { location.first_cell, location.group_pages };
	rt->boot.has_record = true;
	if (storage_part_read(rt, &part, at, rt->boot.buffer, storage_user_make(USER_BOOT, 0, 0)) !=
	    TERN_OK)
		return false;
	rt->boot.in_flight++;
	return true;
}

/* The scan has seen this block whole a moment ago. */
static enum runtime_boot
record_take(struct runtime *rt, uint64_t log_index)
{
	struct membership next, before;

	rt->boot.has_record = false;
	if (cmdlog_check_read(rt->log, log_index, rt->boot.buffer) != TERN_OK ||
	    membership_of_block(rt->boot.buffer, &next, &before) != TERN_OK)
		return RUNTIME_BOOT_DAMAGED;
	if (!rt->boot.has_members)
		rt->members = before;
	rt->boot.has_members = true;
	if (!rt->boot.has_named || log_index < rt->superblock.shards[0].config_index)
		return RUNTIME_BOOT_READY;
	if (log_index == rt->superblock.shards[0].config_index) {
		rt->boot.has_named = membership_equal(&next, &rt->boot.newest);
		if (!rt->boot.has_named)
			return may_lack_named(rt) ? RUNTIME_BOOT_READY : RUNTIME_BOOT_DAMAGED;
		rt->boot.commit_floor = max_u64(rt->boot.commit_floor, log_index);
		return RUNTIME_BOOT_READY;
	}
	if (before.config_index != rt->boot.newest.config_index)
		return RUNTIME_BOOT_CORRUPT;
	rt->boot.committed = before;
	rt->boot.newest = next;
	return RUNTIME_BOOT_READY;
}

static enum runtime_boot
records_more(struct runtime *rt)
{
	struct boot *boot = &rt->boot;

	for (; boot->next_index <= boot->last_index; boot->next_index++) {
		const uint64_t i = boot->next_index;
		struct block_meta meta;
		const bool has_meta = cmdlog_meta(rt->log, i, &meta);
		INVARIANT(has_meta);
		if (!is_record_wanted(rt, &meta))
			continue;
		if (!boot->has_record)
			return record_read(rt, i) ? RUNTIME_BOOT_MORE
						  : give_up(rt, RUNTIME_BOOT_IO);
		const enum runtime_boot taken = record_take(rt, i);
		if (taken != RUNTIME_BOOT_READY)
			return give_up(rt, taken);
	}
	return core_begin(rt);
}

static enum runtime_boot
records_begin(struct runtime *rt, const struct cmdlog_recovery *recovery)
{
	const struct shard_record *shard = &rt->superblock.shards[0];
	struct boot *boot = &rt->boot;

	boot->has_named = is_named_there(rt, recovery->last_index);
	if (!boot->has_named && !may_lack_named(rt) && !force_is_gen_due(rt, recovery->last_index))
		return give_up(rt, RUNTIME_BOOT_DAMAGED);
	rt->members = members_of(rt);
	boot->newest = members_named(shard);
	boot->committed = boot->newest;
	/* The block that names it is yet to come. */
	if (!boot->has_named && !boot->has_members && force_is_gen_due(rt, recovery->last_index))
		rt->members = rt->superblock.fork.before;
	boot->next_index = log_base(rt)->log_index + 1;
	boot->last_index = recovery->last_index;
	boot->commit_floor = recovery->commit_floor;
	boot->phase = BOOT_RECORDS;
	return records_more(rt);
}

/* ---- the core ---- */

/* The blocks of the log, and the newest configuration at its place among them. */
static enum runtime_boot
core_feed(struct runtime *rt)
{
	const struct boot *boot = &rt->boot;
	const struct cmdlog_base base = cmdlog_base_of(log_base(rt));

	if (base.meta.log_index != 0 && core_recover_base(rt->core, &base.meta) != TERN_OK)
		return RUNTIME_BOOT_CORRUPT;
	for (uint64_t i = base.meta.log_index + 1; i <= boot->last_index; i++) {
		struct block_meta meta;
		const bool has_meta = cmdlog_meta(rt->log, i, &meta);
		INVARIANT(has_meta);
		if (core_recover_block(rt->core, &meta, min_u64(i, boot->commit_floor)) != TERN_OK)
			return RUNTIME_BOOT_CORRUPT;
		if (i == boot->newest.config_index && i != boot->committed.config_index &&
		    core_recover_members(rt->core, &boot->newest, &boot->committed) != TERN_OK)
			return RUNTIME_BOOT_CORRUPT;
	}
	return RUNTIME_BOOT_READY;
}

static enum runtime_boot
core_begin(struct runtime *rt)
{
	const struct runtime_config *config = &rt->config;
	const struct shard_record *shard = &rt->superblock.shards[0];
	const struct recover *recover = &rt->boot.recover;
	const struct membership *committed = &rt->boot.committed;
	const struct core_config core = {
		.node_id = config->node_id,
		.data_nodes = committed->voters,
		.learners = committed->learners,
		.config_index = committed->config_index,
		.witness_id = committed->witness_id,
		.witness_gen = committed->witness_gen,
		.known_nodes = config->data_nodes,
		.solo_isolated_stop = config->solo_isolated_stop,
		.min_copies = config->min_copies,
		.is_log_volatile = config->is_log_volatile,
		.timers = config->timers,
		.prng_seed = config->prng_seed,
		.bugs = config->core_bugs,
		.member_bugs = config->member_bugs,
		.now_ns = rt->now_ns,
		.boot_no = rt->superblock.boot_no,
		.is_first_boot = rt->superblock.boot_no == 1,
		.is_rejoining = shard->join == SUPERBLOCK_REJOINING,
		.is_forgetful = is_forgetful(rt),
		.generation = rt->superblock.generation,
		.is_superseded = force_is_superseded(rt),
		.term = shard->term,
		.voted_for = shard->voted_for,
		.history = rt->history,
		.history_count = config->log_pages_max,
	};

	if (core_init(rt->core_memory, &core, &rt->core) != TERN_OK)
		return give_up(rt, RUNTIME_BOOT_FOREIGN);
	const enum runtime_boot fed = core_feed(rt);
	if (fed != RUNTIME_BOOT_READY)
		return give_up(rt, fed);
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
	rt->persist_index = rt->boot.last_index;
	rt->link.cluster_id = rt->superblock.cluster_id;
	force_boot(rt);
	floor_boot_end(rt);
	rt->link.boot_no = core.is_rejoining ? 0 : rt->superblock.boot_no;
	rt->boot.phase = BOOT_DONE;
	heal_open(rt);
	return give_up(rt, RUNTIME_BOOT_READY);
}

static enum runtime_boot
checkpoint_read(struct runtime *rt)
{
	enum recover_verdict verdict = RECOVER_DONE;

	if (storage_has_checkpoints(rt))
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

static enum runtime_boot
number_end(struct runtime *rt)
{
	/* The other pair of copies must not lead a build that cannot read this log to start with
	 * what the superblock said before. */
	if (rt->superblock.format < SUPERBLOCK_FORMAT) {
		rt->superblock.format = SUPERBLOCK_FORMAT;
		return number_write(rt);
	}
	rt->boot.phase = BOOT_CHECKPOINT;
	return checkpoint_read(rt);
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
	if (!divergent_export(rt, &rt->boot.export_next, cut.last_index, cut.term))
		return false;
	rt->boot.export_next = 0;
	return true;
}

static void
recent_note(struct runtime *rt, const struct stripe_scanned *scanned)
{
	struct boot *boot = &rt->boot;
	const uint64_t at = boot->recent_count++ % STRIPE_GROUPS_MAX;

	boot->recent[at] =
	    (struct stripe_address){ scanned->group.first_cell, scanned->group.group_pages };
	boot->is_recent_whole[at] = scanned->is_whole;
}

/* Offers the group that was found. False: call again. */
static bool
group_offer(struct runtime *rt)
{
	const struct stripe_scanned *scanned = &rt->boot.scanned;
	enum cmdlog_scan_state taken;

	/* Each round but the first takes at least one block. */
	do {
		if (!export_superseded(rt))
			return false;
		taken = cmdlog_scan_group(rt->log, &scanned->group, scanned->bytes);
	} while (taken == CMDLOG_SCAN_CUT);
	/* What lies where others were written since is not made whole over them. */
	if (taken == CMDLOG_SCAN_REFUSED) {
		rt->boot.has_scanned = false;
		return true;
	}
	recent_note(rt, scanned);
	groups_note(
	    rt, (struct stripe_address){ scanned->group.first_cell, scanned->group.group_pages },
	    !scanned->is_whole);
	rt->boot.has_scanned = false;
	return true;
}

static enum runtime_boot
scan_end(struct runtime *rt)
{
	struct boot *boot = &rt->boot;

	const struct stripe_scan_stats *stats = stripe_store_scan_stats(rt->store);
	const struct cmdlog_area area = {
		.end_cell = stats->end_cell,
		.room = groups_room(rt),
		.is_overwritten = stats->pages_later != 0,
	};

	cmdlog_scan_end(rt->log, &area, &boot->recovery);
	/* What was left out may be acknowledged: the log is not what this scan says. */
	boot->pages_over = max_u32(stats->pages_over, boot->recovery.pages_over);
	if (boot->pages_over != 0)
		return give_up(rt, RUNTIME_BOOT_LIMIT);
	if (!boot->recovery.is_damaged || runtime_has_bug(rt, CORE_BUG_P15_CUT_DAMAGED))
		repair_anchored(rt);
	else if (!repair_begin(rt, &boot->recovery))
		return give_up(rt, RUNTIME_BOOT_DAMAGED);
	force_cut_back(rt, &boot->recovery);
	if (boot->recent_count > STRIPE_GROUPS_MAX)
		boot->repaired_count = boot->recent_count - STRIPE_GROUPS_MAX;
	/* Without parity there is nothing to make good. */
	if (runtime_geometry(rt).m == 0)
		boot->repaired_count = boot->recent_count;
	boot->phase = BOOT_REPAIR;
	return RUNTIME_BOOT_MORE;
}

static enum runtime_boot
scan_more(struct runtime *rt)
{
	struct boot *boot = &rt->boot;

	if (boot->has_scanned && !group_offer(rt))
		return RUNTIME_BOOT_MORE;
	for (uint32_t i = 0; i < RUNTIME_SCAN_GROUPS_MAX; i++) {
		switch (stripe_store_scan(rt->store, rt->now_ns, &boot->scanned)) {
		case STRIPE_SCAN_MORE:
			return RUNTIME_BOOT_MORE;
		case STRIPE_SCAN_GROUP:
			boot->has_scanned = true;
			if (!group_offer(rt))
				return RUNTIME_BOOT_MORE;
			break;
		case STRIPE_SCAN_DONE:
			return scan_end(rt);
		case STRIPE_SCAN_FAILED:
			return give_up(rt, RUNTIME_BOOT_IO);
		}
	}
	return RUNTIME_BOOT_MORE;
}

/* Groups that were on their way when the node ended may be readable and yet lack columns: they are
 * as good as others before this node says that it has them. Earlier ones were, before later ones
 * were begun. */
static enum runtime_boot
repair_more(struct runtime *rt, bool has_ended)
{
	struct boot *boot = &rt->boot;

	boot->repaired_count += has_ended;
	if (boot->repaired_count == boot->recent_count)
		return records_begin(rt, &boot->recovery);
	if (stripe_store_repair(rt->store, boot->recent[boot->repaired_count % STRIPE_GROUPS_MAX],
				storage_user_make(USER_BOOT, 0, 0), rt->now_ns) != TERN_OK)
		return give_up(rt, RUNTIME_BOOT_IO);
	boot->in_flight++;
	return RUNTIME_BOOT_MORE;
}

enum runtime_boot
runtime_boot_turn(struct runtime *rt)
{
	rt->now_ns = rt->config.clock.ops->monotonic_ns(rt->config.clock.clock);
	if (rt->boot.verdict != 0)
		return rt->boot.verdict;
	const bool was_busy = rt->boot.in_flight != 0;
	if (was_busy)
		(void)completion_poll(rt);
	if (rt->boot.in_flight != 0)
		return RUNTIME_BOOT_MORE;
	if (rt->boot.is_failed)
		return give_up(rt, RUNTIME_BOOT_IO);
	switch (rt->boot.phase) {
	case BOOT_STORE:
		return store_start(rt);
	case BOOT_NUMBER:
		return number_end(rt);
	case BOOT_CHECKPOINT:
		return checkpoint_read(rt);
	case BOOT_SCAN:
		return scan_more(rt);
	case BOOT_REPAIR:
		return repair_more(rt, was_busy);
	case BOOT_RECORDS:
		return records_more(rt);
	case BOOT_DONE:
		break;
	}
	return RUNTIME_BOOT_READY;
}
