/* SPDX-License-Identifier: Apache-2.0 */
/* What the node is, for whoever looks: its status, and answers to the loop and to checkers. Nothing
 * here changes it. */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

/* The others' logs could begin as late as the newest checkpoint, and what they were told keeps them
 * from it. */
static bool
has_news_of_log(const struct runtime *rt, const struct cmdlog_stats *log)
{
	return log->common_index < rt->checkpoint.newest_index &&
	       log->common_index < peers_common_index(rt);
}

static void
fill_reads(const struct runtime *rt, struct node_status *status)
{
	const struct core_view *view = core_view(rt->core);
	struct block_meta committed;

	if (core_block_meta(rt->core, view->commit_index, &committed))
		status->commit_term = committed.term;
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
	status->has_unsaved_tail =
	    rt->config.divergent != NULL && !ring_is_empty(rt->config.divergent);
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
report_publish(struct runtime *rt)
{
	struct node_status status;

	if (rt->config.status == NULL)
		return;
	rt->status_ns = rt->now_ns;
	fill_status(rt, &status);
	fill_status_transfer(rt, &status);
	fill_status_pool(rt, &status.pool);
	status.deep = rt->deep.told;
	status.blocks_found = rt->refill.blocks_found;
	status.blocks_pulled = rt->pull.blocks_taken;
	status.is_log_anchored = rt->repair.is_anchored;
	fill_status_members(rt, &status);
	fill_status_ports(rt, &status);
	status_publish(rt->config.status, &status);
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
	return hold_devices(rt);
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
		.blocks_found = rt->refill.blocks_found,
		.is_restarting = rt->loss.is_restart_wanted && rt->is_over,
		.checkpoints_hurt = rt->checkpoint.hurt,
		.base_named = rt->superblock.shards[0].base.log_index,
	};
}

bool
runtime_block_meta(const struct runtime *rt, uint64_t log_index, struct block_meta *meta)
{
	return core_block_meta(rt->core, log_index, meta);
}
