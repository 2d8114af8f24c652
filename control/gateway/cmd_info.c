/* SPDX-License-Identifier: Apache-2.0 */
/* INFO: text in sections, with the fields that Redis clients and their tools parse. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/gateway/gateway_internal.h"
#include "control/endpoint/endpoint.h"
#include "control/gateway/info.h"
#include "dataplane/base/hash.h"
#include "hw/platform/platform.h"

#define INFO_BYTES_MAX 8192u

struct text {
	char data[INFO_BYTES_MAX];
	size_t used;
};

/* What does not fit is cut off at the end of a line before it. */
__attribute__((format(printf, 2, 3))) static void
add(struct text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	const int bytes =
	    vsnprintf(text->data + text->used, sizeof(text->data) - text->used, format, args);
	va_end(args);
	if (bytes > 0 && (size_t)bytes < sizeof(text->data) - text->used)
		text->used += (size_t)bytes;
}

#define LLU(value) ((unsigned long long)(value))

/* 40 hexadecimal digits that change when the node starts anew. */
static void
run_id(const struct node_status *status, char id[41])
{
	const uint64_t facts[3] = { status->cluster_id, status->node_id, status->boot_no };
	const struct hash128 hash = hash128(facts, sizeof(facts));

	snprintf(id, 41, "%016llx%016llx%08llx", LLU(hash.low), LLU(hash.high),
		 LLU(hash64(facts, sizeof(facts)) & UINT32_MAX));
}

static void
info_server(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	const uint64_t up_s = (platform_monotonic_ns() - gateway->started_ns) / 1000000000u;
	char id[41];

	run_id(status, id);
	add(text, "redis_version:%s\r\nserver_name:tern\r\ntern_version:%s\r\n", INFO_REDIS_VERSION,
	    gateway->tern_version);
	add(text, "redis_git_sha1:00000000\r\nredis_git_dirty:0\r\nredis_build_id:0\r\n");
	add(text,
	    "redis_mode:standalone\r\nos:Linux\r\narch_bits:64\r\nmultiplexing_api:epoll\r\n");
	add(text, "process_id:%ld\r\nrun_id:%s\r\ntcp_port:%u\r\n", (long)getpid(), id,
	    gateway->port);
	add(text, "uptime_in_seconds:%llu\r\nuptime_in_days:%llu\r\n", LLU(up_s),
	    LLU(up_s / 86400));
}

static void
info_clients(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	(void)status;
	add(text, "connected_clients:%u\r\nmaxclients:%u\r\nblocked_clients:0\r\n",
	    gateway->connections_count, gateway->connections_max);
	add(text, "pubsub_clients:%u\r\ntracking_clients:0\r\n", gateway->subscribers_count);
}

/* Of the whole process, the log's ring and the state's arena included. */
static uint64_t
resident_bytes(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file == NULL)
		return 0;
	if (fscanf(file, "%*u %llu", &pages) != 1)
		pages = 0;
	(void)fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
info_memory(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	const uint64_t buffers = gateway_counter(&gateway->counters.buffers_bytes);
	const double used = (double)(status->state_bytes + buffers);

	add(text, "used_memory:%llu\r\nused_memory_human:%.2fM\r\n",
	    LLU(status->state_bytes + buffers), used / (1 << 20));
	add(text, "used_memory_rss:%llu\r\nmem_fragmentation_ratio:1.00\r\n",
	    LLU(resident_bytes()));
	add(text, "used_memory_dataset:%llu\r\nmem_clients_normal:%llu\r\n",
	    LLU(status->state_bytes), LLU(buffers));
	add(text, "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n");
}

static void
info_persistence(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	(void)gateway;
	add(text, "loading:0\r\nasync_loading:0\r\nrdb_bgsave_in_progress:0\r\n");
	add(text, "aof_enabled:1\r\naof_rewrite_in_progress:0\r\n");
	add(text, "aof_current_size:%llu\r\n", LLU(status->log_used_bytes));
	add(text, "rdb_last_bgsave_status:ok\r\naof_last_bgrewrite_status:ok\r\n");
	add(text, "aof_last_write_status:%s\r\n", status->is_storage_failed ? "err" : "ok");
}

static void
info_stats(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	struct gateway_stats stats;

	(void)status;
	gateway_stats(gateway, &stats);
	add(text, "total_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n",
	    LLU(stats.connections_total), LLU(stats.requests_total));
	add(text, "rejected_connections:%llu\r\n", LLU(stats.connections_refused));
	add(text, "expired_keys:%llu\r\nevicted_keys:0\r\n",
	    LLU(state_expired_count(gateway->state)));
	add(text, "tern_writes:%llu\r\ntern_reads:%llu\r\ntern_read_points:%llu\r\n",
	    LLU(stats.writes), LLU(stats.reads), LLU(stats.read_points));
	add(text, "tern_leases_overtaken:%llu\r\n", LLU(stats.leases_overtaken));
	add(text, "tern_refusals:%llu\r\ntern_unknown_closes:%llu\r\n", LLU(stats.refusals),
	    LLU(stats.unknown_closes));
	add(text, "tern_protocol_errors:%llu\r\ntern_waits_for_room:%llu\r\n",
	    LLU(stats.protocol_errors), LLU(stats.parks));
	add(text, "tern_in_flight_high:%llu\r\ntern_forwarded:%llu\r\n", LLU(stats.in_flight_high),
	    LLU(stats.forwarded));
}

/* libtern's side, when the node has one. */
static void
info_endpoint(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	struct endpoint_stats stats;

	(void)status;
	add(text, "tern_endpoint:%d\r\n", gateway->endpoint != NULL);
	if (gateway->endpoint == NULL)
		return;
	gateway->endpoint_stats(gateway->endpoint, &stats);
	add(text, "tern_endpoint_frames:%llu\r\ntern_endpoint_malformed:%llu\r\n",
	    LLU(stats.frames), LLU(stats.malformed));
	add(text, "tern_endpoint_foreign:%llu\r\ntern_endpoint_opens:%llu\r\n", LLU(stats.foreign),
	    LLU(stats.opens));
	add(text, "tern_endpoint_writes:%llu\r\ntern_endpoint_reads:%llu\r\n", LLU(stats.writes),
	    LLU(stats.reads));
	add(text, "tern_endpoint_duplicates:%llu\r\ntern_endpoint_busy:%llu\r\n",
	    LLU(stats.duplicates), LLU(stats.busy));
	add(text, "tern_endpoint_local_reads:%llu\r\ntern_endpoint_send_drops:%llu\r\n",
	    LLU(stats.local_reads), LLU(stats.send_drops));
}

/* The same on all nodes of a cluster in one term: that is what tools compare it for. */
static void
replication_id(const struct node_status *status, char id[41])
{
	const uint64_t facts[2] = { status->cluster_id, status->term };
	const struct hash128 hash = hash128(facts, sizeof(facts));

	snprintf(id, 41, "%016llx%016llx%08llx", LLU(hash.low), LLU(hash.high),
		 LLU(hash64(facts, sizeof(facts)) & UINT32_MAX));
}

static void
info_replica(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	const struct peer *master = info_peer_find(gateway, status->master_id);
	const bool is_up = master != NULL &&
			   (status->mode == CORE_MODE_REPLICA ||
			    status->mode == CORE_MODE_LEARNER || status->mode == CORE_MODE_CATCHUP);
	const uint64_t now_ns = platform_monotonic_ns();

	add(text, "role:slave\r\nmaster_host:%s\r\nmaster_port:%u\r\n",
	    master != NULL ? master->host : "", master != NULL ? master->port : 0);
	add(text, "master_link_status:%s\r\nmaster_last_io_seconds_ago:%d\r\n",
	    is_up ? "up" : "down", is_up ? 0 : -1);
	if (!is_up)
		add(text, "master_link_down_since_seconds:%lld\r\n",
		    status->echo_ns == 0 || status->echo_ns > now_ns
			? -1
			: (long long)((now_ns - status->echo_ns) / 1000000000));
	add(text, "master_sync_in_progress:%d\r\n", status->mode == CORE_MODE_CATCHUP);
	add(text, "slave_read_repl_offset:%llu\r\nslave_repl_offset:%llu\r\n",
	    LLU(status->received_index), LLU(status->applied_index));
	add(text, "slave_priority:100\r\nslave_read_only:%d\r\nreplica_announced:1\r\n",
	    gateway->forward == NULL);
	add(text, "connected_slaves:0\r\ntern_stale_bound_ms:%lld\r\ntern_stale_max_ms:%llu\r\n",
	    info_stale_ms(status_stale_ns(status, now_ns)), LLU(gateway->stale_ns_max / 1000000));
}

static void
info_replication(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	char id[41];

	if (status->role == CORE_MASTER) {
		uint32_t online = info_replicas(status), at = 0, i = 0;
		const struct peer *peer;
		add(text, "role:master\r\nconnected_slaves:%u\r\n", online);
		while (i < online && (peer = info_peer_next(gateway, &at)) != NULL)
			add(text, "slave%u:ip=%s,port=%u,state=online,offset=%llu,lag=0\r\n", i++,
			    peer->host, peer->port, LLU(status->commit_index));
	} else {
		info_replica(gateway, status, text);
	}
	replication_id(status, id);
	add(text, "master_failover_state:no-failover\r\n");
	add(text, "master_replid:%s\r\nmaster_repl_offset:%llu\r\n", id, LLU(status->commit_index));
	add(text, "master_replid2:%040d\r\nsecond_repl_offset:-1\r\n", 0);
	add(text, "repl_backlog_active:1\r\nrepl_backlog_size:%llu\r\n",
	    LLU(status->log_area_bytes));
	add(text, "repl_backlog_first_byte_offset:1\r\nrepl_backlog_histlen:%llu\r\n",
	    LLU(status->log_used_bytes));
}

static void
info_keyspace(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	if (status->keys == 0)
		return;
	(void)state_read_begin(gateway->reader);
	add(text, "db0:keys=%llu,expires=%llu,avg_ttl=0\r\n", LLU(status->keys),
	    LLU(state_read_expiry_count(gateway->reader)));
	state_read_end(gateway->reader);
}

static const char *
mode_name(uint8_t mode)
{
	switch ((enum core_mode)mode) {
	case CORE_MODE_NONE:
		return "NONE";
	case CORE_MODE_REPLICA:
		return "REPLICA";
	case CORE_MODE_CATCHUP:
		return "CATCHUP";
	case CORE_MODE_DUPLEX:
		return "DUPLEX";
	case CORE_MODE_REGISTERING:
		return "REGISTERING";
	case CORE_MODE_SOLO:
		return "SOLO";
	case CORE_MODE_WITNESS:
		return "WITNESS";
	case CORE_MODE_MAJORITY:
		return "MAJORITY";
	case CORE_MODE_LEARNER:
		return "LEARNER";
	case CORE_MODE_SUPERSEDED:
		return "SUPERSEDED";
	}
	return "?";
}

static void
info_tern(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	add(text, "node_name:%s\r\nnode_id:%u\r\nmode:%s\r\nis_serving:%d\r\n", gateway->node_name,
	    gateway->node_id, mode_name(status->mode), status->is_serving);
	add(text, "cluster_id:%016llx\r\nterm:%llu\r\nepoch:%u\r\ncopies:%u\r\n",
	    LLU(status->cluster_id), LLU(status->term), status->epoch, status->copies);
	add(text, "last_index:%llu\r\ncommit_index:%llu\r\napplied_index:%llu\r\n",
	    LLU(status->last_index), LLU(status->commit_index), LLU(status->applied_index));
	add(text, "durable_index:%llu\r\nlog_used_bytes:%llu\r\nlog_area_bytes:%llu\r\n",
	    LLU(status->durable_index), LLU(status->log_used_bytes), LLU(status->log_area_bytes));
}

static void
info_cpu(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	struct rusage usage;

	(void)gateway;
	(void)status;
	if (getrusage(RUSAGE_SELF, &usage) != 0)
		return;
	add(text, "used_cpu_sys:%ld.%06ld\r\nused_cpu_user:%ld.%06ld\r\n",
	    (long)usage.ru_stime.tv_sec, (long)usage.ru_stime.tv_usec, (long)usage.ru_utime.tv_sec,
	    (long)usage.ru_utime.tv_usec);
}

static void
info_cluster(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	(void)gateway;
	(void)status;
	add(text, "cluster_enabled:0\r\n");
}

static void
info_sentinel(struct gateway *gateway, const struct node_status *status, struct text *text)
{
	(void)status;
	text->used += sentinel_info(&gateway->sentinel, platform_monotonic_ns(),
				    text->data + text->used, sizeof(text->data) - text->used);
}

static const struct section {
	const char *name, *title;
	void (*write)(struct gateway *gateway, const struct node_status *status, struct text *text);
} sections[] = {
	{ "server", "Server", info_server },
	{ "clients", "Clients", info_clients },
	{ "memory", "Memory", info_memory },
	{ "persistence", "Persistence", info_persistence },
	{ "stats", "Stats", info_stats },
	{ "endpoint", "Endpoint", info_endpoint },
	{ "replication", "Replication", info_replication },
	{ "keyspace", "Keyspace", info_keyspace },
	{ "tern", "Tern", info_tern },
	{ "cpu", "CPU", info_cpu },
	{ "cluster", "Cluster", info_cluster },
	{ "sentinel", "Sentinel", info_sentinel },
};

static bool
is_wanted(const struct command_call *call, const struct section *section)
{
	if (call->args_count == 1)
		return true;
	for (uint32_t i = 1; i < call->args_count; i++) {
		if (resp_is(call->args[i], section->name) || resp_is(call->args[i], "all") ||
		    resp_is(call->args[i], "default") || resp_is(call->args[i], "everything"))
			return true;
	}
	return false;
}

void
cmd_info(struct command_call *call)
{
	struct text text = { .used = 0 };
	struct node_status status;

	status_read(call->gateway->status, &status);
	for (uint32_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (!is_wanted(call, &sections[i]))
			continue;
		add(&text, "%s# %s\r\n", text.used > 0 ? "\r\n" : "", sections[i].title);
		sections[i].write(call->gateway, &status, &text);
	}
	resp_verbatim(call->out, text.data, text.used);
}
