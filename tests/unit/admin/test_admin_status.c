/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include <stdio.h>
#include <string.h>

#include "control/admin/admin.h"

static struct node_config config;
static struct node_status status;

static void
fill(void)
{
	memset(&config, 0, sizeof(config));
	memset(&status, 0, sizeof(status));
	config.id = 1;
	config.kind = NODE_DATA;
	(void)snprintf(config.name, sizeof(config.name), "a");
	config.node_count = 2;
	config.nodes[0].id = 1;
	(void)snprintf(config.nodes[0].name, sizeof(config.nodes[0].name), "a");
	config.nodes[1].id = 2;
	(void)snprintf(config.nodes[1].name, sizeof(config.nodes[1].name), "b");
	status.cluster_id = 0xabc;
	status.master_id = 2;
	status.role = CORE_FOLLOWER;
	status.mode = CORE_MODE_REPLICA;
	status.term = 7;
	status.applied_index = 90;
	status.commit_index = 91;
	status.last_chain = (struct hash128){ .low = 1, .high = 2 };
	status.state_hash = 0xfeed;
	status.log_used_bytes = 1ull << 40;
	status.drops.stale_term = 5;
	status.alarms[CORE_ALARM_STALLED] = 3;
	status.data_net.nodes[2].rx_frames = 11;
	status.mgmt_net.nodes[2].tx_cut = 12;
	status.disk_facts.is_direct = true;
	status.disk.durable_writes = 13;
	status.effective_solo_ns = 30000000;
	status.has_leases = true;
	status.reads_leased = 14;
	status.reads_proven = 15;
	(void)snprintf(status.disk_facts.mode, sizeof(status.disk_facts.mode), "io_uring");
	(void)snprintf(status.data_driver, sizeof(status.data_driver), "net_memif");
}

static json_t *
at(json_t *object, const char *first, const char *second, const char *third)
{
	json_t *value = json_object_get(object, first);

	value = second ? json_object_get(value, second) : value;
	return third ? json_object_get(value, third) : value;
}

static void
fields(void **unused)
{
	static const char *const required[] = {
		"name",          "role",       "mode",           "term",
		"epoch",         "last_index", "commit_index",   "applied_index",
		"durable_index", "chain",      "state_hash",     "copies",
		"port_driver",   "disk_mode",  "log_used_bytes", "drops",
	};

	(void)unused;
	fill();
	json_t *node = admin_status_json(&config, &status);
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
		assert_non_null(json_object_get(node, required[i]));
	assert_string_equal(json_string_value(at(node, "cluster_id", NULL, NULL)),
			    "0000000000000abc");
	assert_string_equal(json_string_value(at(node, "chain", NULL, NULL)),
			    "00000000000000020000000000000001");
	assert_string_equal(json_string_value(at(node, "state_hash", "value", NULL)),
			    "000000000000feed");
	assert_int_equal(json_integer_value(at(node, "state_hash", "index", NULL)), 90);
	assert_int_equal(json_integer_value(at(node, "log_used_bytes", NULL, NULL)), 1ll << 40);
	assert_int_equal(json_integer_value(at(node, "drops", "stale_term", NULL)), 5);
	assert_int_equal(json_integer_value(at(node, "alarms", "stalled", NULL)), 3);
	assert_int_equal(
	    json_integer_value(json_object_get(at(node, "peers", "b", "data"), "rx_frames")), 11);
	assert_int_equal(
	    json_integer_value(json_object_get(at(node, "peers", "b", "mgmt"), "tx_cut")), 12);
	assert_null(at(node, "peers", "a", NULL));
	assert_true(json_is_true(at(node, "disk", "direct", NULL)));
	assert_true(json_is_false(at(node, "disk", "volatile", NULL)));
	assert_int_equal(json_integer_value(at(node, "disk", "durable_writes", NULL)), 13);
	assert_int_equal(json_integer_value(at(node, "timers", "t_solo_ns", NULL)), 30000000);
	assert_true(json_is_true(at(node, "reads", "leases", NULL)));
	assert_int_equal(json_integer_value(at(node, "reads", "by_lease", NULL)), 14);
	assert_int_equal(json_integer_value(at(node, "reads", "by_round", NULL)), 15);
	assert_string_equal(json_string_value(at(node, "master", NULL, NULL)), "b");
	json_decref(node);
}

/* Each data port by itself, with the nodes that it is used for; drops by reason and as sums. */
static void
ports(void **unused)
{
	(void)unused;
	config.kind = config.nodes[1].kind = NODE_DATA;
	config.id = 1;
	config.port_count = 2;
	(void)snprintf(config.ports[1].device, sizeof(config.ports[1].device), "net_af_packet1");
	status.data_net.port_count = 2;
	status.data_net.nodes[2].port = 1;
	status.data_net.nodes[2].takeovers = 3;
	status.data_net.ports[1].is_up = true;
	status.data_net.ports[1].tx_frames = 41;
	status.data_net.ports[1].drops.rx_not_ours = 42;
	status.data_net.drops.rx_not_ours = 42;
	status.data_net.drops.rx_malformed = 1;
	status.data_net.drops.tx_ring_full = 7;
	json_t *node = admin_status_json(&config, &status);
	json_t *list = json_object_get(node, "ports");
	json_t *port = json_array_get(list, 1);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(at(port, "device", NULL, NULL)), "net_af_packet1");
	assert_true(json_is_true(at(port, "up", NULL, NULL)));
	assert_int_equal(json_integer_value(at(port, "tx_frames", NULL, NULL)), 41);
	assert_int_equal(json_integer_value(at(port, "drops", "rx_not_ours", NULL)), 42);
	assert_int_equal(json_array_size(at(port, "used_for", NULL, NULL)), 1);
	assert_int_equal(json_array_size(at(json_array_get(list, 0), "used_for", NULL, NULL)), 0);
	assert_int_equal(json_integer_value(at(node, "data_port", "rx_dropped", NULL)), 43);
	assert_int_equal(json_integer_value(at(node, "data_port", "tx_dropped", NULL)), 7);
	assert_int_equal(
	    json_integer_value(json_object_get(at(node, "peers", "b", "data"), "takeovers")), 3);
	json_decref(node);
}

/* What a master makes of a peer's acknowledgements. */
static void
replicas(void **unused)
{
	(void)unused;
	config.timers.late_ns = 300000000;
	config.timers.node_late_ns[2] = 20000000;
	status.voters = 1u << 1 | 1u << 2;
	status.learners = 0;
	json_t *node = admin_status_json(&config, &status);
	assert_string_equal(json_string_value(at(node, "peers", "b", "replica")), "semi");
	assert_int_equal(json_integer_value(at(node, "peers", "b", "t_late_ns")), 20000000);
	json_decref(node);
	config.policy.min_copies = 2;
	config.timers.node_late_ns[2] = 0;
	node = admin_status_json(&config, &status);
	assert_string_equal(json_string_value(at(node, "peers", "b", "replica")), "sync");
	assert_int_equal(json_integer_value(at(node, "peers", "b", "t_late_ns")), 300000000);
	json_decref(node);
	status.voters |= 1u << 3;
	node = admin_status_json(&config, &status);
	assert_string_equal(json_string_value(at(node, "peers", "b", "replica")), "majority");
	json_decref(node);
	status.voters = 1u << 1 | 1u << 3;
	status.learners = 1u << 2;
	node = admin_status_json(&config, &status);
	assert_string_equal(json_string_value(at(node, "peers", "b", "replica")), "async");
	assert_null(at(node, "peers", "b", "t_late_ns"));
	json_decref(node);
}

static void
names(void **unused)
{
	(void)unused;
	assert_string_equal(admin_mode_name(CORE_MODE_DUPLEX), "DUPLEX");
	assert_string_equal(admin_mode_name(CORE_MODE_SOLO), "SOLO");
	assert_string_equal(admin_mode_name(CORE_MODE_REGISTERING), "SOLO");
	assert_string_equal(admin_mode_name(CORE_MODE_REPLICA), "REPLICA");
	assert_string_equal(admin_mode_name(CORE_MODE_CATCHUP), "CATCHUP");
	assert_string_equal(admin_mode_name(CORE_MODE_NONE), "CATCHUP");
	assert_string_equal(admin_mode_name(CORE_MODE_WITNESS), "WITNESS");
	assert_string_equal(admin_mode_name(200), "DOWN");
	assert_string_equal(admin_role_name(CORE_MASTER), "master");
	assert_string_equal(admin_role_name(CORE_FOLLOWER), "replica");
	assert_string_equal(admin_role_name(0), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(ports),
		cmocka_unit_test(replicas),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
