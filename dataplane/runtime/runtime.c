/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

#include "dataplane/base/invariant.h"

static uint32_t
block_pages_max(const struct runtime_config *config)
{
	return block_pages(BLOCK_HDR_BYTES + CMDLOG_BLOCK_BYTES_TARGET +
			   config->command_bytes_max) +
	       1;
}

static struct assembly_config
assembly_config_of(const struct runtime_config *config)
{
	uint32_t blocks = 1;

	while (blocks < RUNTIME_WINDOW_BLOCKS_MAX && blocks < config->ring_bytes / PAGE_BYTES)
		blocks *= 2;
	return (struct assembly_config){
		.block_pages_max = block_pages_max(config),
		.blocks_max = blocks,
		.fetch_after_ns = config->fetch_after_ns,
	};
}

static uint64_t
writes_max_of(const struct runtime_config *config)
{
	uint64_t sum = 1;

	for (uint32_t i = 0; i < config->channel_count; i++)
		sum += config->channels[i]->in_flight_max;
	return sum;
}

static uint32_t
window_pages(const struct runtime_config *config)
{
	return max_u32(RUNTIME_READER_PAGES, block_pages_max(config));
}

/* A block, or a chunk of a checkpoint. */
static size_t
item_bytes(const struct runtime_config *config)
{
	return (size_t)max_u32(window_pages(config), CHECKPOINT_CHUNK_PAGES) * PAGE_BYTES;
}

/* A hole, or a block. */
static size_t
mend_bytes(const struct runtime_config *config)
{
	return max_u64(CMDLOG_HOLE_BYTES_MAX,
		       (uint64_t)cmdlog_block_pages_max(config->command_bytes_max) * PAGE_BYTES);
}

static struct stripe_store_config
store_config_of(const struct runtime_config *config)
{
	const struct stripe_geometry geometry = config->geometry;
	/* Chunks of checkpoints are written like groups. */
	const uint32_t pages =
	    max_u32(cmdlog_group_pages_max(config->command_bytes_max), CHECKPOINT_CHUNK_PAGES);
	const uint32_t rows = stripe_group_cells(geometry, pages) / stripe_devices(geometry) + 2;
	struct stripe_store_config store = {
		.disk = config->disk,
		.geometry = geometry,
		.cluster_id = config->cluster_id,
		.node_id = config->node_id,
		.group_pages_max = pages,
		.groups_max = config->groups_in_flight_max,
		.reads_max = stripe_devices(geometry) == 1 ? RUNTIME_READS_ONE_DEVICE_MAX
							   : RUNTIME_READS_DEVICES_MAX,
		.scan_rows = max_u32(rows, RUNTIME_SCAN_ROWS),
		.device_hang_ns = config->device_hang_ns,
		.spare_count = config->spare_count,
		.notes = config->notes,
		.note_err = config->note_err,
		.note = config->note,
		.forgets_spares = (config->member_bugs & CORE_MEMBER_BUG_SPARE_FORGOTTEN) != 0,
		.notes_late = (config->member_bugs & CORE_MEMBER_BUG_NOTE_LATE) != 0,
		.takes_old_note = (config->member_bugs & CORE_MEMBER_BUG_NOTE_OLD) != 0,
	};

	memcpy(store.device_bytes, config->device_bytes, sizeof(store.device_bytes));
	return store;
}

/* Of groups that may lie in the area at the same time. */
static uint64_t
heal_groups_max(const struct runtime_config *config)
{
	return config->log_pages_max + STRIPE_GROUPS_MAX;
}

static bool
take_heal(struct runtime *rt, struct arena *arena)
{
	struct healer *heal = &rt->heal;

	heal->rebuild.rate_bytes_s =
	    rt->config.rebuild_bytes_s != 0 ? rt->config.rebuild_bytes_s : RUNTIME_REBUILD_BYTES_S;
	heal->scrub.rate_bytes_s =
	    rt->config.scrub_bytes_s != 0 ? rt->config.scrub_bytes_s : RUNTIME_SCRUB_BYTES_S;
	heal->scrub.is_scrub = true;
	heal->scrub_interval_ns = rt->config.scrub_interval_ns;
	heal->groups_max = heal_groups_max(&rt->config);
	heal->groups = arena_take(arena, heal->groups_max * sizeof(*heal->groups), 64);
	heal->buffer = arena_take(arena, CHECKPOINT_CHUNK_BYTES, PAGE_BYTES);
	return heal->groups != NULL && heal->buffer != NULL;
}

size_t
runtime_bytes(const struct runtime_config *config)
{
	const struct stripe_store_config store = store_config_of(config);
	const struct assembly_config assembly = assembly_config_of(config);
	const uint32_t data_nodes = (uint32_t)__builtin_popcountll(config->data_nodes);
	const size_t windows =
	    (size_t)(data_nodes + 1) * RUNTIME_READER_WINDOWS * window_pages(config) * PAGE_BYTES;
	const size_t slack = 64 * 4096; /* alignment of each part */

	return sizeof(struct runtime) + core_bytes() + cmdlog_bytes() +
	       config->log_pages_max * (sizeof(struct block_meta) + cmdlog_entry_bytes()) +
	       data_nodes * stream_bytes() + assembly_bytes(&assembly) + windows +
	       stripe_store_bytes(&store) + 4 * (size_t)CHECKPOINT_CHUNK_BYTES +
	       mend_bytes(config) + 2 * item_bytes(config) +
	       heal_groups_max(config) * sizeof(struct heal_group) +
	       writes_max_of(config) * (sizeof(struct pending_write) + sizeof(struct held_write) +
					sizeof(struct pending_accept)) +
	       RUNTIME_READS_MAX * sizeof(struct pending_read) + config->command_bytes_max + slack;
}

static bool
take_windows(struct runtime *rt, struct arena *arena, struct reader *reader)
{
	bool is_good = true;

	for (uint32_t i = 0; i < RUNTIME_READER_WINDOWS; i++) {
		reader->windows[i].bytes =
		    arena_take(arena, (size_t)window_pages(&rt->config) * PAGE_BYTES, PAGE_BYTES);
		is_good = is_good && reader->windows[i].bytes != NULL;
	}
	return is_good;
}

static bool
take_memory(struct runtime *rt, struct arena *arena)
{
	const struct runtime_config *config = &rt->config;
	const struct assembly_config assembly = assembly_config_of(config);
	const struct stream_config stream = {
		.units_per_frame = config->units_per_frame,
		.resend_ns = config->resend_ns,
		.bytes_in_flight_max = RUNTIME_STREAM_BYTES_MAX,
	};
	void *memory;

	rt->writes_max = writes_max_of(config);
	rt->core_memory = arena_take(arena, core_bytes(), 64);
	rt->log_memory = arena_take(arena, cmdlog_bytes(), 64);
	rt->history = arena_take(arena, config->log_pages_max * sizeof(*rt->history), 64);
	rt->entries = arena_take(arena, config->log_pages_max * cmdlog_entry_bytes(), 64);
	rt->writes = arena_take(arena, rt->writes_max * sizeof(*rt->writes), 64);
	rt->held = arena_take(arena, rt->writes_max * sizeof(*rt->held), 64);
	rt->accepts = arena_take(arena, rt->writes_max * sizeof(*rt->accepts), 64);
	rt->reads = arena_take(arena, RUNTIME_READS_MAX * sizeof(*rt->reads), 64);
	rt->scratch = arena_take(arena, config->command_bytes_max, 64);
	rt->boot.buffer = arena_take(arena, item_bytes(config), PAGE_BYTES);
	rt->checkpoint.buffer = arena_take(arena, CHECKPOINT_CHUNK_BYTES, PAGE_BYTES);
	rt->source.buffer = arena_take(arena, CHECKPOINT_CHUNK_BYTES, PAGE_BYTES);
	rt->deep.buffer = arena_take(arena, item_bytes(config), PAGE_BYTES);
	rt->mend.buffer = arena_take(arena, mend_bytes(config), PAGE_BYTES);
	memory = arena_take(arena, assembly_bytes(&assembly), 64);
	if (rt->core_memory == NULL || rt->log_memory == NULL || rt->history == NULL ||
	    rt->entries == NULL || rt->writes == NULL || rt->held == NULL || rt->accepts == NULL ||
	    rt->reads == NULL || rt->scratch == NULL || rt->boot.buffer == NULL ||
	    rt->checkpoint.buffer == NULL || rt->source.buffer == NULL || rt->mend.buffer == NULL ||
	    rt->deep.buffer == NULL || memory == NULL ||
	    !take_windows(rt, arena, &rt->apply_reader))
		return false;
	assembly_init(memory, &assembly, &rt->assembly);
	for (uint16_t node = 1; node <= NODE_ID_MAX; node++) {
		if ((config->data_nodes >> node & 1) == 0 || node == config->node_id)
			continue;
		INVARIANT(rt->stream_count < CORE_NODES_MAX);
		memory = arena_take(arena, stream_bytes(), 64);
		if (memory == NULL ||
		    !take_windows(rt, arena, &rt->stream_readers[rt->stream_count]))
			return false;
		stream_init(memory, &stream, &rt->streams[rt->stream_count]);
		rt->stream_nodes[rt->stream_count++] = node;
	}
	return true;
}

enum tern_err
runtime_create(const struct runtime_config *config, struct arena *arena, struct runtime **runtime)
{
	struct runtime *rt = arena_take(arena, sizeof(*rt), 64);

	if (rt == NULL)
		return TERN_ERR_NO_MEMORY;
	if (config->node_id == 0 || config->node_id > NODE_ID_MAX ||
	    (config->data_nodes >> config->node_id & 1) == 0 ||
	    config->channel_count > RUNTIME_CHANNELS_MAX || config->groups_in_flight_max == 0 ||
	    config->units_per_frame == 0 || config->state == NULL ||
	    !stripe_geometry_is_valid(config->geometry) ||
	    config->ring_bytes < 8ull * block_pages_max(config) * PAGE_BYTES ||
	    __builtin_popcountll(config->data_nodes) > (int)CORE_NODES_MAX)
		return TERN_ERR_CONFIG;
	rt->config = *config;
	rt->link = (struct link){
		.node_id = config->node_id,
		.shard = config->shard,
		.peers = (config->data_nodes |
			  (config->witness_id == 0 ? 0 : UINT64_C(1) << config->witness_id)) &
			 ~(UINT64_C(1) << config->node_id),
		.data = config->data_net,
		.mgmt = config->mgmt_net,
	};
	if (!take_memory(rt, arena))
		return TERN_ERR_NO_MEMORY;
	const struct stripe_store_config store = store_config_of(config);
	void *memory = arena_take(arena, stripe_store_bytes(&store), PAGE_BYTES);
	if (memory == NULL || !take_heal(rt, arena))
		return TERN_ERR_NO_MEMORY;
	*runtime = rt;
	return stripe_store_init(memory, &store, &rt->store);
}

/* The others' logs could begin as late as the newest checkpoint, and what they were told keeps them
 * from it. */
static bool
has_news_of_log(const struct runtime *rt, const struct cmdlog_stats *log)
{
	return log->common_index < rt->checkpoint.newest_index &&
	       log->common_index < dispatch_common_index(rt);
}

static void
fill_reads(const struct runtime *rt, struct node_status *status)
{
	const struct core_view *view = core_view(rt->core);

	status->has_leases = rt->config.timers.has_leases;
	status->reads_leased = view->reads_leased;
	status->reads_proven = view->reads_proven;
	status->view_until_ns = view->view_until_ns;
	status->fresh_ns = view->fresh_ns;
	status->echo_ns = view->echo_ns;
}

static void
fill_checkpoints(const struct runtime *rt, const struct cmdlog_stats *log,
		 struct node_status *status)
{
	status->has_log_news = has_news_of_log(rt, log);
	status->checkpoint_index = rt->checkpoint.newest_index;
	status->checkpoint_ns = rt->checkpoint.durable_ns;
	status->checkpoints = rt->checkpoint.written;
	status->checkpoints_ended = rt->checkpoint.ended;
	status->checkpoints_failing = rt->checkpoint.failing;
	status->checkpoints_bad = rt->boot.checkpoints_bad;
	status->has_checkpoints = rt->checkpoint.phase != CHECKPOINT_OFF;
}

/* How long somebody is waited for, and what ended that. */
static void
fill_timers(const struct core_view *view, struct node_status *status)
{
	status->effective_solo_ns = view->solo_ns;
	status->effective_elect_min_ns = view->elect_min_ns;
	status->effective_elect_max_ns = view->elect_max_ns;
	status->effective_hear_ns = view->hear_ns;
	status->farewells = view->farewells;
}

static void
fill_status(const struct runtime *rt, struct node_status *status)
{
	const struct core_view *view = core_view(rt->core);
	const struct cmdlog_stats log = cmdlog_stats(rt->log);
	const struct state_stats state = state_stats(rt->config.state);

	*status = (struct node_status){
		.cluster_id = rt->superblock.cluster_id,
		.generation = rt->superblock.generation,
		.boot_no = rt->superblock.boot_no,
		.node_id = rt->config.node_id,
		.master_id = view->master_id,
		.role = (uint8_t)view->role,
		.mode = (uint8_t)view->mode,
		.is_serving = view->is_serving,
		.is_storage_failed = rt->is_storage_failed,
		.is_damaged = rt->is_damaged || rt->is_apply_stopped || view->is_quarantined,
		.was_damaged = rt->was_damaged,
		.is_log_volatile = rt->config.is_log_volatile,
		.is_forgetful = view->is_forgetful,
		.is_log_mixed = view->is_mixed,
		.term = view->term,
		.rset = view->rset,
		.epoch = view->epoch,
		.copies = view->copies,
		.last_index = view->last_index,
		.received_index = view->received_index,
		.durable_index = view->durable_index,
		.commit_index = view->commit_index,
		.memory_commit_index = view->memory_commit_index,
		.applied_index = rt->applied_index,
		.last_chain = view->last_chain,
		.commit_chain = view->commit_chain,
		.state_hash = state_hash(rt->config.state),
		.keys = state.keys,
		.sessions = state.sessions,
		.state_bytes = state.logical_bytes,
		.log_used_bytes = log.used_pages * PAGE_BYTES,
		.log_area_bytes = log.area_pages * PAGE_BYTES,
		.log_base_index = log.base_index,
		.log_common_index = log.common_index,
		.log_laps = log.end_cell / log.area_pages,
		.blocks_sealed = rt->blocks_sealed,
		.blocks_accepted = log.blocks_accepted,
		.groups_written = rt->groups_written,
		.commands_applied = rt->commands_applied,
		.elections = view->elections,
		.solo_entries = view->solo_entries,
		.duplex_returns = view->duplex_returns,
		.truncations = view->truncations,
		.rollbacks = view->rollbacks,
		.memory_commits_lost = view->memory_commits_lost,
		.memory_lost_first = rt->memory_lost_first,
		.memory_lost_last = rt->memory_lost_last,
		.turns = rt->turns,
		.idle_turns = rt->idle_turns,
		.sleeps = rt->sleeps,
		.held_turns = rt->flow.held,
		.drops = rt->link.drops,
	};
	fill_timers(view, status);
	fill_reads(rt, status);
	fill_checkpoints(rt, &log, status);
	memcpy(status->cycles, rt->stages.total, sizeof(status->cycles));
	memcpy(status->jobs, rt->jobs.list, sizeof(status->jobs));
	memcpy(status->alarms, rt->alarms, sizeof(status->alarms));
	memcpy(status->poll_mode, rt->config.poll_mode, sizeof(status->poll_mode));
}

static void
fill_status_transfer(const struct runtime *rt, struct node_status *status)
{
	const struct core_view *view = core_view(rt->core);
	const struct transfer *transfer = &rt->transfer;

	status->is_rejoining = view->is_rejoining;
	status->rejoin_missing = view->rejoin_missing;
	if (transfer->phase != TRANSFER_NONE)
		status->transfer_index = transfer->meta.log_index;
	status->transfer_parts = transfer->part;
	status->transfer_parts_all = transfer->hdr.chunk_count;
	status->transfers_refused = transfer->refused;
	status->transfer_parts_found = transfer->parts_found;
	status->transfer_parts_bad = transfer->parts_bad;
	status->transfer_parts_sent = transfer->parts_sent;
}

static void
fill_status_pool(const struct runtime *rt, struct status_pool *pool)
{
	const struct stripe_store_stats stats = stripe_store_stats(rt->store);

	*pool = (struct status_pool){
		.k = (uint8_t)rt->config.geometry.k,
		.m = (uint8_t)rt->config.geometry.m,
		.is_stopped = stats.is_stopped,
		.is_note_failed = stats.is_note_failed,
		.failed = stats.failed_devices,
		.suspect = stats.suspect_devices,
		.rebuilding = stats.rebuilding_devices,
		.losses_left = stats.losses_left,
		.groups_degraded = stats.groups_degraded,
		.reads_degraded = stats.reads_degraded,
		.read_errors = stats.read_errors,
		.bad_pages = stats.bad_pages,
		.repairs = stats.repairs,
		.hung_requests = stats.hung_requests,
		.rebuilt = rt->heal.rebuilt,
		.rebuild_done = rt->heal.rebuild.next - rt->heal.rebuild.begun_at,
		.rebuild_total = rt->heal.rebuild.end - rt->heal.rebuild.begun_at,
		.spares_taken = rt->heal.spares_taken,
		.scrubs = rt->heal.scrubs,
		.refilled = rt->refill.filled,
		.lost = rt->refill.hopeless,
		.fetched = rt->refill.blocks_fetched,
		.scrub_unrepairable = rt->heal.scrub.job != NULL ? rt->heal.scrub.job->unrepairable
								 : rt->heal.scrub_unrepairable,
	};
	heal_scrub_status(rt, pool);
	pool->spares = stripe_store_spares(rt->store);
	for (uint32_t i = 0; i < stripe_devices(rt->config.geometry); i++)
		pool->drives[i] = (uint8_t)stripe_store_drive(rt->store, i);
	const struct stripe_device_stats *devices = stripe_store_device_stats(rt->store);
	for (uint32_t i = 0; i < stripe_devices(rt->config.geometry); i++)
		pool->devices[i] = (struct status_device){
			.verified = devices[i].verified,
			.bad = devices[i].bad,
			.repaired = devices[i].repaired,
			.unrepairable = devices[i].unrepairable,
			.refilled = devices[i].refilled,
		};
}

static void
fill_status_members(const struct runtime *rt, struct node_status *status)
{
	const struct membership *members = &core_view(rt->core)->members;

	status->superseded_by = rt->superblock.fork.superseded_by;
	status->force_verdict = (uint8_t)core_judge_force(rt->core);
	core_force_facts(rt->core, &status->force);
	status->voters = members->voters;
	status->learners = members->learners;
	status->config_index = members->config_index;
	status->witness_id = members->witness_id;
	status->witness_gen = members->witness_gen;
}

static void
fill_status_ports(const struct runtime *rt, struct node_status *status)
{
	const struct net_port *data = &rt->link.data, *mgmt = &rt->link.mgmt;
	const struct disk_port *disk = &rt->config.disk;

	disk->ops->facts(disk->disk, &status->disk_facts);
	disk->ops->stats(disk->disk, &status->disk);
	if (data->ops != NULL) {
		data->ops->stats(data->net, &status->data_net);
		strncpy(status->data_driver, data->ops->driver(data->net),
			sizeof(status->data_driver) - 1);
	}
	for (uint32_t i = 0; i < rt->stream_count; i++) {
		status->data_port_up |= data->ops->is_up(data->net, rt->stream_nodes[i]);
		status->data_frame_bytes =
		    max_u32(status->data_frame_bytes,
			    data->ops->frame_bytes_max(data->net, rt->stream_nodes[i]));
	}
	if (mgmt->ops == NULL)
		return;
	mgmt->ops->stats(mgmt->net, &status->mgmt_net);
	strncpy(status->mgmt_driver, mgmt->ops->driver(mgmt->net), sizeof(status->mgmt_driver) - 1);
}

void
runtime_publish_status(struct runtime *rt)
{
	struct node_status status;

	if (rt->config.status == NULL)
		return;
	rt->status_ns = rt->now_ns;
	fill_status(rt, &status);
	fill_status_transfer(rt, &status);
	fill_status_pool(rt, &status.pool);
	status.deep = rt->deep.told;
	status.blocks_found = rt->repair.blocks_found;
	status.blocks_pulled = rt->pull.blocks_taken;
	status.is_log_anchored = rt->repair.is_anchored;
	fill_status_members(rt, &status);
	fill_status_ports(rt, &status);
	status_publish(rt->config.status, &status);
}

static bool
is_status_due(const struct runtime *rt)
{
	const uint64_t period_ns = rt->has_worked ? STATUS_PERIOD_NS : STATUS_IDLE_NS;

	return rt->status_ns == 0 || rt->now_ns - rt->status_ns >= period_ns;
}

static void
tick(struct runtime *rt)
{
	const struct core_event event = { .kind = CORE_EVENT_TICK, .now_ns = rt->now_ns };

	if (rt->now_ns < core_deadline_ns(rt->core))
		return;
	rt->has_worked = true;
	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
}

/* @is_traffic: the turn did more than housekeeping. A heartbeat that was answered leaves nothing
 * that a further turn would find. */
static enum runtime_turn
verdict(const struct runtime *rt, bool is_traffic)
{
	const struct core_view *view = core_view(rt->core);

	if (is_traffic || rt->has_backlog)
		return RUNTIME_WORKED;
	if (storage_is_busy(rt) || transfer_is_busy(rt) || mend_is_busy(rt) || pull_is_busy(rt) ||
	    rt->refill.phase != REFILL_IDLE || rt->flow.is_held || rt->read_head != rt->read_tail ||
	    rt->write_head != rt->write_tail || rt->is_barrier_wanted || rt->cut.is_pending ||
	    view->commit_index < view->last_index ||
	    (rt->applied_index < rt->commit_index && !rt->is_apply_stopped))
		return rt->has_worked ? RUNTIME_WORKED : RUNTIME_WAITING;
	return RUNTIME_IDLE;
}

/* Passes @has_worked through, counted as traffic. */
static bool
count_busy(struct runtime *rt, bool has_worked)
{
	rt->busy_count += has_worked;
	return has_worked;
}

/* What a turn without work took is idle, whatever it looked at. */
static void
stages_end(struct runtime *rt)
{
	struct stages *stages = &rt->stages;

	(void)stage_enter(rt, STAGE_other);
	for (uint32_t i = 0; i < STAGE_COUNT; i++) {
		stages->total[rt->has_worked ? i : STAGE_idle] += stages->turn[i];
		stages->turn[i] = 0;
	}
}

static void
wake_fronts(struct runtime *rt)
{
	for (uint32_t mask = rt->wake_channels; mask != 0; mask &= mask - 1)
		wake_up(&rt->config.channels[__builtin_ctz(mask)]->front_wake);
	rt->wake_channels = 0;
}

enum runtime_turn
runtime_turn(struct runtime *rt)
{
	INVARIANT(rt->boot.phase == BOOT_DONE);
	if (rt->is_over)
		return RUNTIME_RESTART;
	rt->now_ns = rt->config.clock.ops->monotonic_ns(rt->config.clock.clock);
	rt->stages.since = rt->config.clock.ops->cycles(rt->config.clock.clock);
	rt->stages.now = STAGE_persist;
	rt->turns++;
	const uint64_t busy_count = rt->busy_count;
	rt->has_backlog = false;
	rt->has_worked = count_busy(rt, storage_poll(rt));
	(void)stage_enter(rt, STAGE_receive);
	rt->has_worked |= receive_turn(rt);
	(void)stage_enter(rt, STAGE_other);
	tick(rt);
	rt->has_worked |= count_busy(rt, cut_turn(rt));
	if (rt->is_barrier_wanted)
		(void)!dispatch_barrier(rt);
	(void)stage_enter(rt, STAGE_append);
	rt->has_worked |= count_busy(rt, client_turn(rt));
	/* Frames first: handing a write to the device takes 10 to 30 us of this thread, and the
	 * peer would wait for them before it begins its own. */
	(void)stage_enter(rt, STAGE_send);
	rt->has_worked |= count_busy(rt, send_turn(rt));
	(void)stage_enter(rt, STAGE_persist);
	rt->has_worked |= count_busy(rt, storage_turn(rt));
	(void)stage_enter(rt, STAGE_apply);
	rt->has_worked |= count_busy(rt, apply_turn(rt));
	if ((rt->config.own_bugs & RUNTIME_BUG_LEAK_VERSIONS) == 0)
		state_reclaim_turn(rt->config.state, rt->config.has_readers);
	(void)stage_enter(rt, STAGE_checkpoint);
	rt->has_worked |= checkpoint_turn(rt);
	rt->has_worked |= reclaim_turn(rt);
	rt->has_worked |= force_turn(rt);
	rt->has_worked |= transfer_turn(rt);
	rt->has_worked |= source_turn(rt);
	rt->has_worked |= repair_turn(rt);
	rt->has_worked |= deep_turn(rt);
	rt->has_worked |= mend_turn(rt);
	rt->has_worked |= refill_turn(rt);
	rt->has_worked |= pull_turn(rt);
	rt->has_worked |= mend_source_turn(rt);
	rt->has_worked |= heal_turn(rt);
	(void)stage_enter(rt, STAGE_reply);
	rt->has_worked |= count_busy(rt, client_finish_reads(rt));
	wake_fronts(rt);
	(void)stage_enter(rt, STAGE_other);
	if (is_status_due(rt))
		runtime_publish_status(rt);
	stages_end(rt);
	rt->idle_turns += !rt->has_worked;
	const bool is_traffic = rt->busy_count != busy_count;
	if (is_traffic)
		rt->traffic_ns = rt->now_ns;
	return rt->is_over ? RUNTIME_RESTART : verdict(rt, is_traffic);
}

/* True: those who may send blocks to this node, or repairs, are heard over the management network
 * and would wake it there. */
static bool
is_woken(const struct runtime *rt)
{
	const uint64_t window_ns = RUNTIME_WAKE_BEATS * rt->config.timers.heartbeat_ns;
	const struct core_view *view = core_view(rt->core);

	if (view->role != CORE_MASTER)
		return view->master_id != 0 &&
		       rt->now_ns - rt->mgmt_heard_ns[view->master_id] < window_ns;
	for (uint32_t i = 0; i < rt->stream_count; i++) {
		const uint16_t node = rt->stream_nodes[i];
		const bool is_member =
		    ((view->members.voters | view->members.learners) >> node & 1) != 0;
		if (is_member && rt->now_ns - rt->mgmt_heard_ns[node] >= window_ns)
			return false;
	}
	return true;
}

uint64_t
runtime_sleep_ns(const struct runtime *rt, uint64_t polled_max_ns)
{
	return is_woken(rt) ? max_u64(2 * rt->config.timers.heartbeat_ns, polled_max_ns)
			    : polled_max_ns;
}

uint64_t
runtime_deadline_ns(const struct runtime *rt)
{
	if (rt->boot.phase != BOOT_DONE)
		return rt->now_ns;
	const uint64_t background_ns = min_u64(
	    min_u64(transfer_deadline_ns(rt),
		    min_u64(refill_deadline_ns(rt), pull_deadline_ns(rt))),
	    min_u64(heal_deadline_ns(rt), min_u64(mend_deadline_ns(rt), deep_deadline_ns(rt))));
	return min_u64(min_u64(core_deadline_ns(rt->core), send_deadline_ns(rt)), background_ns);
}

uint64_t
runtime_busy_count(const struct runtime *rt)
{
	return rt->busy_count;
}

uint64_t
runtime_turn_ns(const struct runtime *rt)
{
	return rt->now_ns;
}

uint64_t
runtime_groups_begun(const struct runtime *rt)
{
	return rt->groups_begun;
}

uint64_t
runtime_group_ns(const struct runtime *rt)
{
	/* Commands of class memory wait for the peer, not for the device. */
	const bool has_memory =
	    rt->memory_ns != 0 && rt->now_ns - rt->memory_ns < RUNTIME_MEMORY_NS;

	return has_memory ? 0 : rt->group_ns;
}

bool
runtime_is_writing(const struct runtime *rt)
{
	return storage_is_busy(rt);
}

void
runtime_note_sleep(struct runtime *rt)
{
	rt->sleeps++;
}

void
runtime_stop(struct runtime *rt)
{
	const struct core_event event = { .kind = CORE_EVENT_STOP, .now_ns = rt->now_ns };

	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
}

void
runtime_set_data_port(struct runtime *rt, bool is_up)
{
	const struct core_event event = { .kind = CORE_EVENT_DATA_PORT,
					  .now_ns = rt->now_ns,
					  .flag = is_up };

	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
}

const struct core_view *
runtime_view(const struct runtime *rt)
{
	return core_view(rt->core);
}

struct farewell
runtime_farewell(const struct runtime *rt)
{
	const struct core_view *view = core_view(rt->core);
	const struct membership *members = &view->members;
	const uint64_t own = UINT64_C(1) << rt->link.node_id;
	/* While a change is under way, those of before are told, too. */
	uint64_t told = members->voters | members->learners | view->committed_members.voters;

	if (members->witness_id != 0)
		told |= UINT64_C(1) << members->witness_id;
	return (struct farewell){
		.is_master = view->role == CORE_MASTER,
		.node_id = rt->link.node_id,
		.shard = rt->link.shard,
		.boot_no = rt->link.boot_no,
		.cluster_id = rt->link.cluster_id,
		.term = view->term,
		.members = told & ~own,
		.generation = rt->link.generation,
	};
}

uint64_t
runtime_base_index(const struct runtime *rt)
{
	return cmdlog_stats(rt->log).base_index;
}

struct runtime_damage
runtime_damage(const struct runtime *rt)
{
	return (struct runtime_damage){
		.holes_mended = rt->mend.filled,
		.blocks_pulled = rt->pull.blocks_taken,
		.is_anchored = rt->repair.is_anchored,
		.blocks_found = rt->repair.blocks_found,
		.is_restarting = rt->repair.is_restart_wanted && rt->is_over,
	};
}

uint64_t
runtime_deep_start(struct runtime *rt, uint64_t end_index)
{
	return deep_start(rt, end_index);
}

bool
runtime_block_meta(const struct runtime *rt, uint64_t log_index, struct block_meta *meta)
{
	return core_block_meta(rt->core, log_index, meta);
}
