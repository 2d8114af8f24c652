/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "control/admin/admin.h"
#include "dataplane/base/bits.h"
#include "hw/platform/platform.h"

const char *
admin_mode_name(uint8_t core_mode)
{
	switch ((enum core_mode)core_mode) {
	case CORE_MODE_NONE:
	case CORE_MODE_CATCHUP:
		return "CATCHUP";
	case CORE_MODE_REPLICA:
		return "REPLICA";
	case CORE_MODE_DUPLEX:
		return "DUPLEX";
	case CORE_MODE_REGISTERING:
	case CORE_MODE_SOLO:
		return "SOLO";
	case CORE_MODE_MAJORITY:
		return "MAJORITY";
	case CORE_MODE_WITNESS:
		return "WITNESS";
	case CORE_MODE_LEARNER:
		return "LEARNER";
	case CORE_MODE_SUPERSEDED:
		return "SUPERSEDED";
	}
	return "DOWN";
}

const char *
admin_role_name(uint8_t core_role)
{
	switch ((enum core_role)core_role) {
	case CORE_FOLLOWER:
		return "replica";
	case CORE_CANDIDATE:
		return "candidate";
	case CORE_MASTER:
		return "master";
	case CORE_WITNESS:
		return "witness";
	}
	return "unknown";
}

void
admin_hex64(uint64_t value, char out[17])
{
	(void)snprintf(out, 17, "%016" PRIx64, value);
}

static json_t *
hex64(uint64_t value)
{
	char text[17];

	admin_hex64(value, text);
	return json_string(text);
}

static json_t *
hex128(struct hash128 value)
{
	char text[33];

	admin_hex64(value.high, text);
	admin_hex64(value.low, text + 16);
	return json_string(text);
}

/* The names of the nodes in @mask. */
static json_t *
names_json(const struct node_config *config, uint64_t mask)
{
	json_t *names = json_array();

	for (uint32_t i = 0; i < config->node_count; i++)
		if ((mask >> config->nodes[i].id & 1) != 0) {
			(void)json_array_append_new(names, json_string(config->nodes[i].name));
			mask &= ~(UINT64_C(1) << config->nodes[i].id);
		}
	/* The node file is older than the configuration. */
	for (; mask != 0; mask &= mask - 1)
		(void)json_array_append_new(names, json_sprintf("id-%d", __builtin_ctzll(mask)));
	return names;
}

static void
put(json_t *object, const char *key, uint64_t value)
{
	/* JSON integers of this library are signed; no counter gets near that. */
	(void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void
put_flag(json_t *object, const char *key, bool value)
{
	(void)json_object_set_new(object, key, json_boolean(value));
}

static void
put_text(json_t *object, const char *key, const char *value)
{
	(void)json_object_set_new(object, key, json_string(value));
}

static json_t *
drops_json(const struct status_drops *drops)
{
	json_t *object = json_object();

#define X(name) put(object, #name, drops->name);
	STATUS_DROPS(X)
#undef X
	return object;
}

static json_t *
disk_json(const struct node_status *s)
{
	const struct disk_facts *facts = &s->disk_facts;
	json_t *object = json_object();

	put_flag(object, "volatile", facts->is_volatile);
	put_flag(object, "direct", facts->is_direct);
	put_flag(object, "dsync", facts->is_dsync);
	put_flag(object, "volatile_cache", facts->is_volatile_cache);
	put_flag(object, "registered", facts->is_registered);
	put_flag(object, "polled", facts->is_polled);
	put_flag(object, "passthrough", facts->is_passthrough);
	put(object, "devices", facts->device_count);
	put(object, "device_bytes", facts->device_bytes);
	put(object, "writes", s->disk.writes);
	put(object, "write_bytes", s->disk.write_bytes);
	put(object, "durable_writes", s->disk.durable_writes);
	put(object, "reads", s->disk.reads);
	put(object, "read_bytes", s->disk.read_bytes);
	put(object, "errors", s->disk.errors);
	put(object, "in_flight", s->disk.in_flight);
	put(object, "in_flight_high", s->disk.in_flight_high);
	return object;
}

static const char *
device_state(const struct status_pool *pool, uint32_t device)
{
	if ((pool->rebuilding >> device & 1) != 0)
		return "rebuilding";
	return ((pool->failed | pool->suspect) >> device & 1) != 0 ? "failed" : "ok";
}

static const char *
drive_path(const struct node_config *config, uint32_t drive)
{
	const uint32_t spare = drive - config->device_count;

	return drive < config->device_count  ? config->devices[drive].path
	       : spare < config->spare_count ? config->spares[spare].path
					     : "?";
}

static json_t *
spares_json(const struct node_config *config, const struct status_pool *pool)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < config->spare_count; i++) {
		const uint32_t drive = config->device_count + i;
		json_t *object = json_object();
		put_text(object, "path", config->spares[i].path);
		put_text(object, "state",
			 (pool->spares >> drive & 1) != 0 ? "ready" : "not usable");
		for (uint32_t k = 0; k < config->device_count; k++) {
			if (pool->drives[k] != drive)
				continue;
			put_text(object, "state", "in use");
			put(object, "position", k);
		}
		(void)json_array_append_new(list, object);
	}
	return list;
}

static json_t *
device_json(const struct node_config *config, const struct status_pool *pool, uint32_t device)
{
	const struct status_device *seen = &pool->devices[device];
	json_t *object = json_object();

	put(object, "position", device);
	put_text(object, "path", drive_path(config, pool->drives[device]));
	put_text(object, "state", device_state(pool, device));
	put_flag(object, "recorded", (pool->failed >> device & 1) != 0);
	put(object, "bytes", config->devices[device].bytes);
	put(object, "pages_verified", seen->verified);
	put(object, "pages_bad", seen->bad);
	put(object, "pages_repaired", seen->repaired);
	put(object, "pages_unrepairable", seen->unrepairable);
	put(object, "pages_from_peer", seen->refilled);
	return object;
}

/* The devices, and what of them may still be lost. */
static json_t *
pool_json(const struct node_config *config, const struct status_pool *pool)
{
	json_t *object = json_object(), *devices = json_array();

	put(object, "k", pool->k);
	put(object, "m", pool->m);
	put(object, "losses_left", pool->losses_left);
	put_flag(object, "degraded", (pool->failed | pool->suspect) != 0);
	put_flag(object, "stopped", pool->is_stopped);
	put_flag(object, "note_failed", pool->is_note_failed);
	for (uint32_t i = 0; i < config->device_count; i++)
		(void)json_array_append_new(devices, device_json(config, pool, i));
	(void)json_object_set_new(object, "devices", devices);
	(void)json_object_set_new(object, "spares", spares_json(config, pool));
	put(object, "spares_taken", pool->spares_taken);
	put(object, "groups_degraded", pool->groups_degraded);
	put(object, "reads_degraded", pool->reads_degraded);
	put(object, "read_errors", pool->read_errors);
	put(object, "bad_pages", pool->bad_pages);
	put(object, "repairs", pool->repairs);
	put(object, "hung_requests", pool->hung_requests);
	put(object, "rebuilt", pool->rebuilt);
	put(object, "rebuild_done", pool->rebuild_done);
	put(object, "rebuild_total", pool->rebuild_total);
	put(object, "scrubs", pool->scrubs);
	put(object, "scrub_unrepairable", pool->scrub_unrepairable);
	put(object, "repaired_from_peer", pool->refilled);
	put(object, "lost_everywhere", pool->lost);
	put(object, "blocks_from_peers", pool->fetched);
	return object;
}

static json_t *
net_drops_json(const struct net_drops *drops)
{
	json_t *object = json_object();

#define X(name) put(object, #name, drops->name);
	NET_DROPS(X)
#undef X
	return object;
}

static json_t *
net_json(const struct net_stats *net, const char *driver)
{
	json_t *object = json_object();

	put_text(object, "driver", driver);
	put(object, "ipackets", net->hw_ipackets);
	put(object, "opackets", net->hw_opackets);
	put(object, "imissed", net->hw_imissed);
	put(object, "tx_dropped", net_drops_tx(&net->drops));
	put(object, "rx_dropped", net_drops_rx(&net->drops));
	(void)json_object_set_new(object, "drops", net_drops_json(&net->drops));
	put(object, "tx_no_buffer", net->tx_no_buffer);
	put(object, "arp_requests", net->arp_requests);
	put(object, "arp_replies", net->arp_replies);
	put(object, "reconnects", net->reconnects);
	return object;
}

/* The data ports one by one, in the order of the node file, each with the nodes whose frames leave
 * by it. */
static json_t *
ports_json(const struct node_config *config, const struct node_status *s)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < s->data_net.port_count && i < config->port_count; i++) {
		const struct net_port_counters *port = &s->data_net.ports[i];
		json_t *object = json_object(), *used = json_array();

		put_text(object, "device", config->ports[i].device);
		put_flag(object, "up", port->is_up);
		put(object, "rx_frames", port->rx_frames);
		put(object, "rx_bytes", port->rx_bytes);
		put(object, "tx_frames", port->tx_frames);
		put(object, "tx_bytes", port->tx_bytes);
		for (uint32_t k = 0; k < config->node_count; k++) {
			const struct node_config_node *node = &config->nodes[k];
			if (node->id != config->id && node->kind == NODE_DATA &&
			    s->data_net.nodes[node->id].port == i)
				(void)json_array_append_new(used, json_string(node->name));
		}
		(void)json_object_set_new(object, "used_for", used);
		(void)json_object_set_new(object, "drops", net_drops_json(&port->drops));
		(void)json_array_append_new(list, object);
	}
	return list;
}

static json_t *
path_json(const struct net_node_counters *counters)
{
	json_t *object = json_object();

	put(object, "rx_frames", counters->rx_frames);
	put(object, "rx_bytes", counters->rx_bytes);
	put(object, "tx_frames", counters->tx_frames);
	put(object, "tx_bytes", counters->tx_bytes);
	put(object, "rx_cut", counters->rx_cut);
	put(object, "tx_cut", counters->tx_cut);
	put(object, "takeovers", counters->takeovers);
	return object;
}

/* How a master takes the node's acknowledgements (protocol section 10), and after how long it is
 * late. Of three voters nobody is waited for: a majority counts. */
static void
replica_add(json_t *object, const struct node_config *config, const struct node_status *s,
	    uint16_t node_id)
{
	const int voters = __builtin_popcountll(s->voters);

	if ((s->learners >> node_id & 1) != 0)
		(void)json_object_set_new(object, "replica", json_string("async"));
	if ((s->voters >> node_id & 1) == 0)
		return;
	(void)json_object_set_new(object, "replica",
				  json_string(voters > 2                       ? "majority"
					      : config->policy.min_copies >= 2 ? "sync"
									       : "semi"));
	put(object, "t_late_ns", core_late_ns(&config->timers, node_id));
}

/* {"b": {"data": {...}, "mgmt": {...}, "replica": "semi", "t_late_ns": 300000000}, ...} */
static json_t *
peers_json(const struct node_config *config, const struct node_status *s)
{
	json_t *object = json_object();

	for (uint32_t i = 0; i < config->node_count; i++) {
		const struct node_config_node *node = &config->nodes[i];
		if (node->id == config->id)
			continue;
		json_t *paths = json_object();
		(void)json_object_set_new(paths, "data", path_json(&s->data_net.nodes[node->id]));
		(void)json_object_set_new(paths, "mgmt", path_json(&s->mgmt_net.nodes[node->id]));
		replica_add(paths, config, s, node->id);
		(void)json_object_set_new(object, node->name, paths);
	}
	return object;
}

static json_t *
alarms_json(const struct node_status *s)
{
	json_t *object = json_object();

	for (uint32_t i = 1; i <= CORE_ALARM_LAST; i++)
		put(object, admin_alarm_name(i), s->alarms[i]);
	return object;
}

static json_t *
cycles_json(const struct node_status *s)
{
	json_t *object = json_object();

#define X(name) put(object, #name, s->cycles[STAGE_##name]);
	STATUS_STAGES(X)
#undef X
	return object;
}

static json_t *
timers_json(const struct node_config *config, const struct node_status *s)
{
	json_t *object = json_object();

	put(object, "heartbeat_ns", config->timers.heartbeat_ns);
	put(object, "t_solo_ns", s->effective_solo_ns);
	put(object, "t_elect_min_ns", s->effective_elect_min_ns);
	put(object, "t_elect_max_ns", s->effective_elect_max_ns);
	put(object, "t_hear_ns", s->effective_hear_ns);
	put(object, "t_late_ns", config->timers.late_ns);
	put(object, "t_stall_ns", config->timers.stall_ns);
	return object;
}

/* Read points that this node gave as master. */
static json_t *
reads_json(const struct node_config *config, const struct node_status *s)
{
	json_t *object = json_object();

	put_flag(object, "leases", s->has_leases);
	put(object, "clock_drift_ppm", config->timers.clock_drift_ppm);
	put(object, "by_lease", s->reads_leased);
	put(object, "by_round", s->reads_proven);
	return object;
}

static json_t *
state_hash_json(const struct node_status *s)
{
	json_t *object = json_object();

	put(object, "index", s->applied_index);
	(void)json_object_set_new(object, "value", hex64(s->state_hash));
	return object;
}

/* A data node that the configuration it knows does not name: it waits for a place in one. A status
 * without voters says nothing of that. */
static bool
is_spare(const struct node_config *config, const struct node_status *s)
{
	return config->kind == NODE_DATA && s->voters != 0 &&
	       ((s->voters | s->learners) >> config->id & 1) == 0;
}

static const char *
role_name(const struct node_config *config, const struct node_status *s)
{
	if (is_spare(config, s))
		return "spare";
	return (s->learners >> config->id & 1) != 0 ? "learner" : admin_role_name(s->role);
}

/* The configuration that this node goes by. */
static json_t *
membership_json(const struct node_config *config, const struct node_status *s)
{
	json_t *object = json_object();

	put(object, "config_index", s->config_index);
	put_flag(object, "committed", s->config_index <= s->commit_index);
	(void)json_object_set_new(object, "voters", names_json(config, s->voters));
	(void)json_object_set_new(object, "learners", names_json(config, s->learners));
	put(object, "witness_gen", s->witness_gen & ~MEMBERSHIP_WITNESS_OUT);
	put_flag(object, "witness_out", (s->witness_gen & MEMBERSHIP_WITNESS_OUT) != 0);
	return object;
}

static void
put_identity(json_t *node, const struct node_config *config, const struct node_status *s)
{
	const struct node_config_node *master = node_config_find(config, s->master_id);
	const struct node_config_node *self = node_config_self(config);

	put_text(node, "name", config->name);
	put(node, "id", config->id);
	put_text(node, "kind", config->kind == NODE_WITNESS ? "witness" : "data");
	(void)json_object_set_new(node, "cluster_id", hex64(s->cluster_id));
	char generation[GENERATION_TEXT_BYTES];
	generation_print(&s->generation, generation);
	put_text(node, "cluster_gen", generation);
	put_flag(node, "superseded", s->superseded_by.number != 0);
	if (s->superseded_by.number != 0) {
		generation_print(&s->superseded_by, generation);
		put_text(node, "superseded_by", generation);
	}
	put(node, "boot_no", s->boot_no);
	put_text(node, "role", role_name(config, s));
	put_text(node, "mode",
		 is_spare(config, s) && s->mode != CORE_MODE_SUPERSEDED ? "SPARE"
									: admin_mode_name(s->mode));
	if (config->kind == NODE_DATA)
		(void)json_object_set_new(node, "membership", membership_json(config, s));
	else
		put(node, "witness_gen", s->witness_gen);
	put_flag(node, "serving", s->is_serving);
	put_text(node, "master", master ? master->name : "");
	put_text(node, "resp", self ? self->resp.text : "");
	put(node, "term", s->term);
	put(node, "epoch", s->epoch);
	put(node, "rset", s->rset);
}

/* How old a read of the state here can be; null: not known, or no replica. */
static json_t *
stale_json(const struct node_status *s)
{
	const uint64_t stale_ns = status_stale_ns(s, platform_monotonic_ns());

	return stale_ns == UINT64_MAX ? json_null()
				      : json_integer((json_int_t)div_up_u64(stale_ns, 1000000));
}

/* What the state machine refuses depends on these: they must be equal on all data nodes. */
static json_t *
limits_json(const struct node_config *config)
{
	json_t *object = json_object();

	put(object, "capacity", config->state.capacity_bytes);
	put(object, "value_max", config->state.value_bytes_max);
	put(object, "sessions_max", config->state.sessions_max);
	return object;
}

/* Since the newest checkpoint became durable; 0: none did since the start. */
static uint64_t
checkpoint_age_ms(const struct node_status *s)
{
	const uint64_t now_ns = platform_monotonic_ns();

	return s->checkpoint_ns == 0 || now_ns < s->checkpoint_ns
		   ? 0
		   : (now_ns - s->checkpoint_ns) / 1000000;
}

static void
put_log(json_t *node, const struct node_status *s)
{
	put(node, "last_index", s->last_index);
	put(node, "received_index", s->received_index);
	put(node, "commit_index", s->commit_index);
	put(node, "memory_commit_index", s->memory_commit_index);
	put(node, "applied_index", s->applied_index);
	put(node, "durable_index", s->durable_index);
	(void)json_object_set_new(node, "stale_ms", stale_json(s));
	(void)json_object_set_new(node, "chain", hex128(s->last_chain));
	(void)json_object_set_new(node, "commit_chain", hex128(s->commit_chain));
	(void)json_object_set_new(node, "state_hash", state_hash_json(s));
	put(node, "copies", s->copies);
	put(node, "keys", s->keys);
	put(node, "sessions", s->sessions);
	put(node, "state_bytes", s->state_bytes);
	put(node, "log_used_bytes", s->log_used_bytes);
	put(node, "log_area_bytes", s->log_area_bytes);
	put(node, "log_base_index", s->log_base_index);
	put(node, "log_common_index", s->log_common_index);
	put_flag(node, "has_checkpoints", s->has_checkpoints);
	put(node, "checkpoint_index", s->checkpoint_index);
	put(node, "checkpoint_age_ms", checkpoint_age_ms(s));
	put(node, "checkpoints_written", s->checkpoints);
	put(node, "checkpoints_ended", s->checkpoints_ended);
	put(node, "checkpoints_failing", s->checkpoints_failing);
	put(node, "checkpoints_bad", s->checkpoints_bad);
	put(node, "transfer_index", s->transfer_index);
	put(node, "transfer_parts", s->transfer_parts);
	put(node, "transfer_parts_all", s->transfer_parts_all);
	put(node, "transfer_parts_bad", s->transfer_parts_bad);
	put(node, "transfer_parts_sent", s->transfer_parts_sent);
	put_flag(node, "tail_unsaved", s->has_unsaved_tail);
	put(node, "blocks_pulled", s->blocks_pulled);
	put(node, "transfers_refused", s->transfers_refused);
	put(node, "blocks_sealed", s->blocks_sealed);
	put(node, "blocks_accepted", s->blocks_accepted);
	put(node, "groups_written", s->groups_written);
	put(node, "commands_applied", s->commands_applied);
}

json_t *
admin_status_json(const struct node_config *config, const struct node_status *s)
{
	json_t *node = json_object();

	put_identity(node, config, s);
	put_log(node, s);
	if (config->kind == NODE_DATA)
		(void)json_object_set_new(node, "state_limits", limits_json(config));
	if (config->kind == NODE_DATA)
		(void)json_object_set_new(node, "reads", reads_json(config, s));
	put_text(node, "port_driver", s->data_driver);
	put_flag(node, "port_up", s->data_port_up);
	put_text(node, "mgmt_driver", s->mgmt_driver);
	put_text(node, "disk_mode", s->disk_facts.mode);
	put_text(node, "poll_mode", s->poll_mode);
	put_flag(node, "storage_failed", s->is_storage_failed);
	put_flag(node, "damaged", s->is_damaged);
	(void)json_object_set_new(node, "log_blocks_unreadable",
				  json_integer((json_int_t)s->blocks_found));
	put_flag(node, "log_volatile", s->is_log_volatile);
	put_flag(node, "forgetful", s->is_forgetful);
	put_flag(node, "rejoining", s->is_rejoining);
	(void)json_object_set_new(node, "rejoin_waits_for", names_json(config, s->rejoin_missing));
	put(node, "elections", s->elections);
	put(node, "solo_entries", s->solo_entries);
	put(node, "duplex_returns", s->duplex_returns);
	put(node, "truncations", s->truncations);
	put(node, "farewells", s->farewells);
	put(node, "rollbacks", s->rollbacks);
	put(node, "memory_commits_lost", s->memory_commits_lost);
	put(node, "memory_lost_first", s->memory_lost_first);
	put(node, "memory_lost_last", s->memory_lost_last);
	put(node, "turns", s->turns);
	put(node, "idle_turns", s->idle_turns);
	put(node, "sleeps", s->sleeps);
	put(node, "held_turns", s->held_turns);
	(void)json_object_set_new(node, "cycles", cycles_json(s));
	(void)json_object_set_new(node, "drops", drops_json(&s->drops));
	(void)json_object_set_new(node, "alarms", alarms_json(s));
	(void)json_object_set_new(node, "timers", timers_json(config, s));
	(void)json_object_set_new(node, "disk", disk_json(s));
	if (config->kind == NODE_DATA) {
		(void)json_object_set_new(node, "pool", pool_json(config, &s->pool));
		(void)json_object_set_new(node, "jobs", admin_jobs_json(s));
	}
	json_t *data_port = net_json(&s->data_net, s->data_driver);
	put(data_port, "frame_bytes_max", s->data_frame_bytes);
	(void)json_object_set_new(node, "data_port", data_port);
	(void)json_object_set_new(node, "ports", ports_json(config, s));
	(void)json_object_set_new(node, "mgmt_port", net_json(&s->mgmt_net, s->mgmt_driver));
	(void)json_object_set_new(node, "peers", peers_json(config, s));
	return node;
}
