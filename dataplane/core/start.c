/* SPDX-License-Identifier: Apache-2.0 */
/* Start: the configuration is checked, the recovered log taken in. */
#include "dataplane/core/commit.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/hear.h"
#include "dataplane/core/members.h"

#include <string.h>

size_t
core_bytes(void)
{
	return (sizeof(struct core) + 63u) & ~(size_t)63u;
}

static bool
start_config_ok(const struct core_config *config)
{
	const struct core_timers *timers = &config->timers;
	const uint64_t self = core_bit(config->node_id);
	const uint64_t named = config->data_nodes | config->learners;
	const uint64_t known = config->known_nodes != 0 ? config->known_nodes : named;
	const uint32_t data_count = core_count(config->data_nodes);
	const bool has_witness = config->witness_id != 0;

	if (config->node_id == 0 || config->node_id > 63 || config->witness_id > 63)
		return false;
	if (data_count == 0 || core_count(known) + 1 > CORE_NODES_MAX || (known & 1) != 0)
		return false;
	/* A learner that this node cannot reach is the master's to feed. */
	if ((config->data_nodes & ~known) != 0 || (config->data_nodes & config->learners) != 0)
		return false;
	if (config->is_witness != (config->node_id == config->witness_id))
		return false;
	if (config->is_witness == ((known & self) != 0))
		return false;
	if (has_witness && (known & core_bit(config->witness_id)) != 0)
		return false;
	if (data_count % 2 == 0 && !has_witness)
		return false;
	if (timers->heartbeat_ns == 0 || timers->solo_ns == 0 || timers->late_ns == 0 ||
	    timers->stall_ns == 0 || timers->elect_min_ns == 0)
		return false;
	if (timers->clock_drift_ppm > CORE_DRIFT_PPM_MAX)
		return false;
	if (timers->elect_min_ns > timers->elect_max_ns || timers->solo_ns > timers->elect_min_ns)
		return false;
	if (!config->is_witness && (config->history == NULL || config->history_count == 0))
		return false;
	if (config->is_rejoining && (config->is_witness || data_count == 1))
		return false; /* there is nobody who knows what it promised */
	return config->boot_no != 0 &&
	       (config->generation.number == 0 || generation_is_sound(&config->generation));
}

#define SOLO_FLOOR_NS 2000000u

/* Effective values: a suspicion floor of 2 ms and of eight heartbeats, and an election that cannot
 * come before the sitting master had the time to give up on a silent replica. */
static void
start_timers(struct core *core)
{
	const struct core_timers *timers = &core->config.timers;
	const uint64_t beats_ns = 8 * timers->heartbeat_ns;
	const uint64_t floor_ns = beats_ns > SOLO_FLOOR_NS ? beats_ns : SOLO_FLOOR_NS;
	uint64_t elect_min_ns;

	core->solo_ns = timers->solo_ns > floor_ns ? timers->solo_ns : floor_ns;
	elect_min_ns = core->solo_ns + core->solo_ns / 3 * 2;
	core->elect_min_ns =
	    timers->elect_min_ns > elect_min_ns ? timers->elect_min_ns : elect_min_ns;
	core->elect_max_ns = core->elect_min_ns + (timers->elect_max_ns - timers->elect_min_ns);
	core->view.solo_ns = core->solo_ns;
	core->view.elect_min_ns = core->elect_min_ns;
	core->view.elect_max_ns = core->elect_max_ns;
}

static void
start_peers(struct core *core)
{
	const struct core_config *config = &core->config;

	for (uint16_t id = 1; id < 64; id++) {
		const bool is_witness = id == config->witness_id;

		if (id == config->node_id)
			continue;
		if (!is_witness && (config->known_nodes & core_bit(id)) == 0)
			continue;
		INVARIANT(core->peer_count < CORE_NODES_MAX);
		core->peers[core->peer_count].id = id;
		core->peers[core->peer_count].is_witness = is_witness;
		core->peer_count++;
	}
}

enum tern_err
core_init(void *memory, const struct core_config *config, struct core **out)
{
	struct core *core = memory;

	if (!start_config_ok(config))
		return TERN_ERR_CONFIG;
	memset(core, 0, sizeof(*core));
	core->config = *config;
	prng_seed(&core->prng, config->prng_seed);
	if (config->generation.number == 0)
		core->config.generation.number = 1;
	if (config->known_nodes == 0)
		core->config.known_nodes = config->data_nodes | config->learners;
	members_begin(core);
	start_timers(core);
	start_peers(core);
	core->now_ns = core->started_ns = config->now_ns;
	core->quiet_until_ns = config->now_ns;
	if (!config->is_first_boot && !core_has_bug(core, CORE_BUG_P10_NO_QUIET))
		core->quiet_until_ns += core->elect_max_ns; /* P10 */
	core->is_forgetful = config->is_log_volatile && !config->is_first_boot &&
			     !core_has_bug(core, CORE_BUG_VOLATILE_VOTE);
	if (config->is_forgetful && !core_has_bug(core, CORE_BUG_REJOIN_VOTES))
		core->is_forgetful = true;
	core->disk_progress_ns = core->apply_progress_ns = config->now_ns;
	core->role = config->is_witness ? CORE_WITNESS : CORE_FOLLOWER;
	core->is_superseded = config->is_superseded;
	core->led_ns = config->now_ns;
	core->term = core->durable_term = config->term;
	core->voted_for = core_has_bug(core, CORE_BUG_VOTE_FORGOTTEN) ? 0 : config->voted_for;
	if (config->is_witness) {
		core->reg = config->reg;
		if (core_has_bug(core, CORE_BUG_P4_FORGETS_REGISTER)) {
			core->reg.last_term = core->reg.last_epoch = 0;
			core->reg.rset = 0;
		}
		core->term = core->durable_term = config->reg.term;
		core->voted_for = config->reg.voted_for;
	} else {
		hear_arm(core);
	}
	core->view.node_id = config->node_id;
	core->view.generation = core->config.generation;
	core->view.known_nodes = core->config.known_nodes;
	core->view.members = core->view.committed_members = core->members;
	core->view.role = core->role;
	core->view.term = core->term;
	core->view.mode = view_mode(core);
	core->view.is_forgetful = core->is_forgetful;
	core->view.is_rejoining = config->is_rejoining;
	if (config->is_rejoining)
		rejoin_begin(core);
	*out = core;
	return TERN_OK;
}

enum tern_err
core_recover_base(struct core *core, const struct block_meta *meta)
{
	if (core->role == CORE_WITNESS || core->last_index != 0 || meta->log_index == 0)
		return TERN_ERR_MALFORMED;
	if (meta->term > core->term)
		return TERN_ERR_CORRUPT;
	core->base_index = core->last_index = meta->log_index;
	core->durable_index = core->commit_index = core->applied_index = meta->log_index;
	core->config.history[(meta->log_index - 1) % core->config.history_count] = *meta;
	memory_settle(core);
	(void)view_refresh(core);
	return TERN_OK;
}

enum tern_err
core_recover_applied(struct core *core, const struct block_meta *meta)
{
	if (meta->log_index < core->base_index || meta->log_index > core->last_index ||
	    !hash128_equal(history_chain(core, meta->log_index), meta->chain))
		return TERN_ERR_CORRUPT;
	if (meta->log_index > core->commit_index)
		core->commit_index = meta->log_index;
	if (meta->log_index > core->applied_index)
		core->applied_index = meta->log_index;
	commit_members(core);
	memory_settle(core);
	(void)view_refresh(core);
	return TERN_OK;
}

enum tern_err
core_recover_block(struct core *core, const struct block_meta *meta, uint64_t commit_index)
{
	enum tern_err err;

	if (core->role == CORE_WITNESS || commit_index > meta->log_index)
		return TERN_ERR_MALFORMED;
	if (meta->term > core->term)
		return TERN_ERR_CORRUPT;
	err = history_append(core, meta);
	if (err != TERN_OK)
		return err;
	core->durable_index = core->last_index;
	if (commit_index > core->commit_index)
		core->commit_index = commit_index;
	commit_members(core);
	memory_settle(core);
	(void)view_refresh(core);
	return TERN_OK;
}

enum tern_err
core_recover_members(struct core *core, const struct membership *next,
		     const struct membership *before)
{
	const struct block_meta last = history_last(core);

	if (last.kind != BLOCK_CONFIG || last.log_index <= core->members.config_index ||
	    members_check(core, &last, next, before) != TERN_OK)
		return TERN_ERR_MALFORMED;
	commit_take_members(core, next, before);
	commit_members(core);
	(void)view_refresh(core);
	return TERN_OK;
}
