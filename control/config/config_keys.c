/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all keys: name, type, range, default. Reading, checking and the reference page of
 * the file format follow from it. */
#include "control/config/config_reader.h"

#define FIELD(type, member) offsetof(struct type, member), sizeof(((struct type *)NULL)->member)
#define CONF(member)        FIELD(node_config, member)
#define COUNT(array)        (sizeof(array) / sizeof((array)[0]))

#define NS_PER_US 1000ll
#define NS_PER_MS 1000000ll
#define NS_PER_S  1000000000ll
#define KIB       (1ll << 10)
#define MIB       (1ll << 20)
#define GIB       (1ll << 30)
#define TIB       (1ll << 40)

static const struct config_choice kinds[] = { { "data", NODE_DATA },
					      { "witness", NODE_WITNESS },
					      { NULL, 0 } };
static const struct config_choice poll_modes[] = { { "busy", POLL_BUSY },
						   { "adaptive", POLL_ADAPTIVE },
						   { NULL, 0 } };
static const struct config_choice durabilities[] = { { "auto", DISK_DURABILITY_AUTO },
						     { "dsync", DISK_DURABILITY_DSYNC },
						     { "none", DISK_DURABILITY_NONE },
						     { NULL, 0 } };
static const struct config_choice iopolls[] = { { "off", DISK_IOPOLL_OFF },
						{ "auto", DISK_IOPOLL_AUTO },
						{ "on", DISK_IOPOLL_ON },
						{ NULL, 0 } };
static const struct config_choice passthroughs[] = { { "off", DISK_PASSTHROUGH_OFF },
						     { "auto", DISK_PASSTHROUGH_AUTO },
						     { "on", DISK_PASSTHROUGH_ON },
						     { NULL, 0 } };
static const struct config_choice lossies[] = { { "none", DISK_LOSSY_NONE },
						{ "unflushed", DISK_LOSSY_UNFLUSHED },
						{ "lying", DISK_LOSSY_LYING },
						{ NULL, 0 } };
static const struct config_choice replica_writes[] = { { "reject", 0 },
						       { "forward", 1 },
						       { NULL, 0 } };
static const struct config_choice isolations[] = { { "continue", 0 }, { "stop", 1 }, { NULL, 0 } };

#define TIMER(name, member, low, high, fallback)                                                  \
	{                                                                                         \
		"timers." name, CONFIG_TIME, CONF(timers.member), low, high, fallback, NULL, true \
	}

/* Paths without a fallback of their own get one from the node's name, in config_load.c. */
const struct config_key config_keys[] = {
	{ "node.name", CONFIG_NAME, CONF(name), 0, 0, NULL, NULL, false },
	{ "node.id", CONFIG_COUNT, CONF(id), 1, NET_NODES_MAX - 1, NULL, NULL, false },
	{ "node.kind", CONFIG_CHOICE, CONF(kind), 0, 0, "data", kinds, false },
	{ "node.dev", CONFIG_FLAG, CONF(is_dev), 0, 0, "false", NULL, false },
	{ "node.cluster_id", CONFIG_HEX64, CONF(cluster_id), 0, 0, "", NULL, false },
	{ "storage", CONFIG_PATH, CONF(storage_dir), 0, 0, "", NULL, false },
	{ "run", CONFIG_PATH, CONF(run_dir), 0, 0, "", NULL, false },
	{ "admin", CONFIG_PATH, CONF(admin_socket), 0, 0, "", NULL, false },
	{ "filter", CONFIG_PATH, CONF(filter_file), 0, 0, "", NULL, false },
	{ "profile", CONFIG_PATH, CONF(profile), 0, 0, "", NULL, false },
	{ "volatile", CONFIG_FLAG, CONF(is_log_volatile), 0, 0, "false", NULL, false },
	{ "parity", CONFIG_COUNT, CONF(parity), 0, 4, "0", NULL, false },
	TIMER("heartbeat", heartbeat_ns, 50 * NS_PER_US, NS_PER_S, "3ms"),
	TIMER("t_solo", solo_ns, NS_PER_MS, 60 * NS_PER_S, "30ms"),
	TIMER("t_late", late_ns, NS_PER_MS, 600 * NS_PER_S, "300ms"),
	TIMER("t_stall", stall_ns, NS_PER_MS, 600 * NS_PER_S, "500ms"),
	TIMER("t_elect_min", elect_min_ns, NS_PER_MS, 60 * NS_PER_S, "50ms"),
	TIMER("t_elect_max", elect_max_ns, NS_PER_MS, 120 * NS_PER_S, "80ms"),
	{ "poll.mode", CONFIG_CHOICE, CONF(poll.mode), 0, 0, "adaptive", poll_modes, true },
	{ "poll.spin", CONFIG_TIME, CONF(poll.spin_ns), 0, NS_PER_S, "200us", NULL, true },
	{ "poll.sleep_min", CONFIG_TIME, CONF(poll.sleep_min_ns), NS_PER_US, 100 * NS_PER_MS,
	  "50us", NULL, true },
	{ "poll.sleep_max", CONFIG_TIME, CONF(poll.sleep_max_ns), NS_PER_US, 100 * NS_PER_MS, "1ms",
	  NULL, true },
	{ "poll.cpu", CONFIG_SIGNED, CONF(poll.cpu), -1, 1023, "-1", NULL, true },
	{ "memory.no_huge", CONFIG_FLAG, CONF(memory.no_huge), 0, 0, "true", NULL, true },
	{ "memory.populate", CONFIG_FLAG, CONF(memory.populate), 0, 0, "true", NULL, true },
	{ "disk.durability", CONFIG_CHOICE, CONF(disk.durability), 0, 0, "auto", durabilities,
	  true },
	{ "disk.iopoll", CONFIG_CHOICE, CONF(disk.iopoll), 0, 0, "off", iopolls, true },
	{ "disk.passthrough", CONFIG_CHOICE, CONF(disk.passthrough), 0, 0, "off", passthroughs,
	  true },
	{ "disk.queue_depth", CONFIG_COUNT, CONF(disk.queue_depth), 24, 1024, "32", NULL, true },
	{ "disk.hang", CONFIG_TIME, CONF(disk.hang_ns), 10 * NS_PER_MS, 600 * NS_PER_S, "5s", NULL,
	  true },
	{ "disk.rebuild_rate", CONFIG_BYTES, CONF(disk.rebuild_bytes_s), KIB, TIB, "256MiB", NULL,
	  true },
	{ "disk.scrub_rate", CONFIG_BYTES, CONF(disk.scrub_bytes_s), KIB, TIB, "64MiB", NULL,
	  true },
	{ "disk.scrub_interval", CONFIG_TIME, CONF(disk.scrub_interval_ns), 0,
	  366 * 24 * 3600 * NS_PER_S, "0ms", NULL, true },
	{ "disk.lossy", CONFIG_CHOICE, CONF(disk.lossy), 0, 0, "none", lossies, true },
	{ "disk.allow_volatile", CONFIG_FLAG, CONF(disk.allow_volatile), 0, 0, "false", NULL,
	  true },
	{ "log.ring", CONFIG_BYTES, CONF(log.ring_bytes), 64 * KIB, 16 * GIB, "16MiB", NULL, true },
	{ "log.command_max", CONFIG_BYTES, CONF(log.command_bytes_max), 4 * KIB, 16 * MIB, "1MiB",
	  NULL, true },
	{ "state.capacity", CONFIG_BYTES, CONF(state.capacity_bytes), MIB, 64 * TIB, "256MiB", NULL,
	  true },
	{ "state.value_max", CONFIG_BYTES, CONF(state.value_bytes_max), 1, 16 * MIB, "512KiB", NULL,
	  true },
	{ "state.sessions_max", CONFIG_COUNT, CONF(state.sessions_max), 1, 1 << 20, "4096", NULL,
	  true },
	{ "gateway.connections_max", CONFIG_COUNT, CONF(gateway.connections_max), 1, 65536, "1024",
	  NULL, true },
	{ "gateway.in_flight_max", CONFIG_COUNT, CONF(gateway.in_flight_max), 16, 65536, "8192",
	  NULL, true },
	{ "gateway.replica_writes", CONFIG_CHOICE, CONF(gateway.is_forwarding), 0, 0, "reject",
	  replica_writes, true },
	{ "gateway.stale_max", CONFIG_TIME, CONF(gateway.stale_ns_max), 0, 3600 * 1000 * NS_PER_MS,
	  "0ms", NULL, true },
	{ "sentinel.master_name", CONFIG_NAME, CONF(sentinel.master_name), 0, 0, "tern", NULL,
	  true },
	{ "policy.solo_isolated", CONFIG_CHOICE, CONF(policy.solo_isolated_stop), 0, 0, "continue",
	  isolations, true },
	{ "policy.min_copies", CONFIG_COUNT, CONF(policy.min_copies), 1, 2, "1", NULL, true },
	{ "policy.lease_reads", CONFIG_FLAG, CONF(timers.has_leases), 0, 0, "false", NULL, true },
	{ "policy.clock_drift_ppm", CONFIG_COUNT, CONF(timers.clock_drift_ppm), 1,
	  CORE_DRIFT_PPM_MAX, "1000", NULL, true },
};
const size_t config_key_count = COUNT(config_keys);

#define NODE(member) FIELD(node_config_node, member)
const struct config_key config_node_keys[] = {
	{ "name", CONFIG_NAME, NODE(name), 0, 0, NULL, NULL, false },
	{ "id", CONFIG_COUNT, NODE(id), 1, NET_NODES_MAX - 1, NULL, NULL, false },
	{ "kind", CONFIG_CHOICE, NODE(kind), 0, 0, "data", kinds, false },
	{ "spare", CONFIG_FLAG, NODE(is_spare), 0, 0, "false", NULL, false },
	{ "t_late", CONFIG_TIME, NODE(late_ns), 0, 600 * NS_PER_S, "0ms", NULL, false },
	{ "data", CONFIG_ADDRESSES, NODE(data), 0, 0, "", NULL, false },
	{ "mgmt", CONFIG_ADDRESS, NODE(mgmt), 0, 0, NULL, NULL, false },
	{ "resp", CONFIG_ADDRESS, NODE(resp), 0, 0, "", NULL, false },
	{ "client", CONFIG_ADDRESS, NODE(client), 0, 0, "", NULL, false },
	{ "admin", CONFIG_PATH, NODE(admin_socket), 0, 0, "", NULL, false },
};
const size_t config_node_key_count = COUNT(config_node_keys);

#define DEVICE(member) FIELD(node_config_device, member)
const struct config_key config_device_keys[] = {
	{ "path", CONFIG_PATH, DEVICE(path), 0, 0, NULL, NULL, false },
	{ "size", CONFIG_BYTES, DEVICE(bytes), 4 * MIB, 1024 * TIB, "2GiB", NULL, false },
};
const size_t config_device_key_count = COUNT(config_device_keys);

/* Of the size of the devices. */
const struct config_key config_spare_keys[] = {
	{ "path", CONFIG_PATH, DEVICE(path), 0, 0, NULL, NULL, false },
};
const size_t config_spare_key_count = COUNT(config_spare_keys);

#define PORT(member) FIELD(node_config_port, member)
const struct config_key config_port_keys[] = {
	{ "device", CONFIG_STRING, PORT(device), 0, 0, NULL, NULL, true },
	{ "ip", CONFIG_IP, PORT(ip), 0, 0, "", NULL, true },
	{ "payload_max", CONFIG_COUNT, PORT(payload_max), 1448, 8972, "0", NULL, true },
	{ "peers", CONFIG_IDS, PORT(peers), 1, NET_NODES_MAX - 1, "", NULL, true },
};
const size_t config_port_key_count = COUNT(config_port_keys);
