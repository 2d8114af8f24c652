/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/config/node_config.h"

#define NODES                                                                            \
	"nodes = (\n"                                                                    \
	"{ name = \"a\"; id = 1; data = \"10.0.0.1:7400\"; mgmt = \"127.0.0.1:7001\";\n" \
	"  resp = \"127.0.0.1:6001\"; client = \"127.0.0.1:6101\"; },\n"                 \
	"{ name = \"b\"; id = 2; data = \"10.0.0.2:7400\"; mgmt = \"127.0.0.1:7002\";\n" \
	"  resp = \"127.0.0.1:6002\"; client = \"127.0.0.1:6102\"; },\n"                 \
	"{ name = \"w\"; id = 3; kind = \"witness\"; mgmt = \"127.0.0.1:7003\"; });\n"
#define NODE_A  "node = { name = \"a\"; id = 1; dev = true; };\n"
#define PORT    "ports = ( { device = \"net_ring0\"; } );\n"
#define MINIMAL NODE_A NODES PORT

#define DATA(name, id)                                                           \
	"{ name = \"" name "\"; id = " #id "; data = \"10.0.0." #id ":7400\";\n" \
	"mgmt = \"127.0.0.1:700" #id "\"; resp = \"127.0.0.1:600" #id            \
	"\"; client = \"127.0.0.1:610" #id "\"; }"
#define WITNESS_4 "{ name = \"w\"; id = 4; kind = \"witness\"; mgmt = \"127.0.0.1:7004\"; }"

#define NETWORKS(name, id, data)                                      \
	"{ name = \"" name "\"; id = " #id "; data = " data ";\n"     \
	"mgmt = \"127.0.0.1:700" #id "\"; resp = \"127.0.0.1:600" #id \
	"\"; client = \"127.0.0.1:610" #id "\"; }"

#define TWO_OF(n) "[\"10.0.0." n ":7400\", \"[fd00::" n "]:7500\"]"

static char dir[] = "/tmp/tern-config-XXXXXX";
static const char *profiles, *examples;
static struct node_config config;
static char text[1024];

static const char *
file_named(const char *name, const char *content)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *stream = fopen(path, "w");
	assert_non_null(stream);
	assert_true(fputs(content, stream) >= 0);
	assert_int_equal(fclose(stream), 0);
	return path;
}

static const char *
read_file(const char *path, char *content, size_t bytes)
{
	FILE *stream = fopen(path, "re");

	assert_non_null(stream);
	content[fread(content, 1, bytes - 1, stream)] = '\0';
	assert_true(feof(stream));
	assert_int_equal(fclose(stream), 0);
	return content;
}

static enum tern_err
load(const char *content)
{
	return node_config_load(file_named("node.conf", content), &config, text, sizeof(text));
}

static void
topologies(void **unused)
{
	(void)unused;
	assert_int_equal(
	    load(NODE_A "nodes = ( " DATA("a", 1) ", " DATA("b", 2) ", " DATA("c", 3) " );\n" PORT),
	    TERN_OK);
	assert_int_equal(config.data_nodes, 14);
	assert_int_equal(config.witness_id, 0);
	assert_int_equal(load(NODE_A "nodes = ( " DATA("a", 1) ", " DATA("b", 2) ", " DATA(
			     "c", 3) ", " WITNESS_4 " );\n" PORT),
			 TERN_OK);
	assert_int_equal(config.witness_id, 4);
	/* A node alone needs no data port. */
	assert_int_equal(load(NODE_A "nodes = ( " DATA("a", 1) " );\n"), TERN_OK);
	assert_int_equal(config.data_nodes, 2);
}

static void
defaults(void **unused)
{
	(void)unused;
	assert_int_equal(load(MINIMAL), TERN_OK);
	assert_string_equal(config.name, "a");
	assert_int_equal(config.id, 1);
	assert_int_equal(config.kind, NODE_DATA);
	assert_string_equal(config.storage_dir, "/var/lib/tern/a");
	assert_string_equal(config.divergent_dir, "/var/lib/tern/a/divergent");
	assert_string_equal(config.admin_socket, "/run/tern/a/admin.sock");
	assert_string_equal(config.filter_file, "");
	assert_false(config.is_log_volatile);
	assert_int_equal(config.device_count, 1);
	assert_string_equal(config.devices[0].path, "/var/lib/tern/a/device0");
	assert_int_equal(config.devices[0].bytes, 2ull << 30);
	assert_int_equal(config.timers.heartbeat_ns, 3000000);
	assert_int_equal(config.timers.elect_max_ns, 80000000);
	assert_int_equal(config.poll.mode, POLL_ADAPTIVE);
	assert_int_equal(config.poll.cpu, -1);
	assert_true(config.memory.no_huge);
	assert_true(config.memory.populate);
	assert_int_equal(config.disk.durability, DISK_DURABILITY_AUTO);
	assert_int_equal(config.disk.lossy, DISK_LOSSY_NONE);
	assert_int_equal(config.log.ring_bytes, 16u << 20);
	assert_int_equal(config.state.capacity_bytes, 256u << 20);
	assert_false(config.policy.solo_isolated_stop);
	assert_int_equal(config.policy.min_copies, 1);
	assert_false(config.timers.has_leases);
	assert_int_equal(config.timers.clock_drift_ppm, 1000);
	assert_int_equal(config.node_count, 3);
	assert_int_equal(config.data_nodes, 0x6);
	assert_int_equal(config.witness_id, 3);
	assert_int_equal(inet_addr_v4_of(&config.ports[0].ip), 0x0a000001);
	assert_int_equal(config.nodes[1].data_count, 1);
	assert_int_equal(config.nodes[1].data[0].port, 7400);
	assert_int_equal(inet_addr_v4_of(&config.nodes[1].resp.ip), 0x7f000001);
	assert_string_equal(config.nodes[1].resp.host, "127.0.0.1");
	assert_string_equal(node_config_find(&config, 2)->name, "b");
	assert_null(node_config_find(&config, 9));
	assert_int_equal(node_config_find_name(&config, "w")->id, 3);
	assert_ptr_equal(node_config_self(&config), &config.nodes[0]);
}

/* One wrong file and what the message must hold. */
struct wrong {
	const char *content;
	const char *expected;
};

static const struct wrong wrongs[] = {
	{ "node = {\nname 1 };\n", "node.conf:2: syntax error" },
	{ NODES PORT, "node.name: missing" },
	{ "node = { name = \"a\"; };\n" NODES PORT, "node.id: missing" },
	{ NODE_A PORT, "nodes: missing" },
	{ NODE_A NODES, "ports: a data node needs" },
	{ MINIMAL "schema = 2;\n", "schema: this build does not know it, allowed 1" },
	{ MINIMAL "tiemrs = { };\n", "tiemrs: unknown key, did you mean \"timers\"?" },
	{ "zzzzzzzzzz = 1;\n" MINIMAL, "node.conf:1: zzzzzzzzzz: unknown key; the reference" },
	{ "timers = {\n hearbeat = \"1ms\";\n};\n" MINIMAL,
	  "node.conf:2: timers.hearbeat: unknown key, did you mean \"heartbeat\"?" },
	{ "poll = 3;\n" MINIMAL, "node.conf:1: poll: must be a group" },
	{ "timers = {\n\n heartbeat = 3;\n};\n" MINIMAL,
	  "node.conf:3: timers.heartbeat: must be a string in quotes, with a unit" },
	{ "timers = { heartbeat = \"3\"; };\n" MINIMAL,
	  "node.conf:1: timers.heartbeat: \"3\" is not a time with a unit" },
	{ "timers = { heartbeat = \"1us\"; };\n" MINIMAL,
	  "timers.heartbeat: \"1us\" is out of range, allowed 50us to 1s" },
	{ "timers = { heartbeat = \"20ms\"; };\n" MINIMAL,
	  "node.conf:1: timers.heartbeat: must be at most half of t_solo" },
	{ "timers = { t_elect_max = \"50ms\"; };\n" MINIMAL,
	  "node.conf:1: timers.t_elect_max: must be above t_elect_min" },
	{ "timers = { t_solo = \"50ms\"; };\n" MINIMAL,
	  "node.conf:1: timers.t_solo: must be below t_elect_min" },
	{ "poll = { sleep_min = \"2ms\"; };\n" MINIMAL, "poll.sleep_min: must not be above" },
	{ "poll = { mode = \"lazy\"; };\n" MINIMAL,
	  "poll.mode: \"lazy\" is unknown, allowed \"busy\", \"adaptive\"" },
	{ "poll = { cpu = -2; };\n" MINIMAL, "poll.cpu: -2 is out of range, allowed -1 to 1023" },
	{ "poll = { cpu = \"1\"; };\n" MINIMAL, "poll.cpu: must be a whole number without quotes" },
	{ "disk = { queue_depth = 4294967300; };\n" MINIMAL, "disk.queue_depth: number too large" },
	/* What libconfig would take the low 32 bits of, wherever it stands. */
	{ "disk = { queue_depth =\n 4294967300; };\n" MINIMAL,
	  "node.conf:1: disk.queue_depth: number too large, allowed 24 to 1024" },
	{ "disk = { queue_depth = 0x100000020; };\n" MINIMAL, "queue_depth: number too large" },
	{ "disk = { queue_depth = 18446744073709551648L; };\n" MINIMAL,
	  "queue_depth: number too large" },
	{ "log = { }; disk = { queue_depth = 4294967300; }; # 1\n" MINIMAL,
	  "queue_depth: number too large" },
	{ "disk = { queue_depth = 0x80000020; };\n" MINIMAL,
	  "is out of range, allowed 24 to 1024" },
	{ "schema = 4294967297;\n" MINIMAL, "schema: this build does not know it, allowed 1" },
	{ NODE_A NODES "ports = ( { device = \"net_ring0\"; peers = [4294967298]; } );\n",
	  "peers: number too large, allowed 1 to 63" },
	{ "disk = { queue_depth = 1.5; };\n" MINIMAL, "must be a whole number without quotes" },
	{ "timers = { heartbeat = \"99999999999999999999s\"; };\n" MINIMAL,
	  "is not a time with a unit (ns us ms s), allowed 50us to 1s" },
	{ "timers = { heartbeat = \"-3ms\"; };\n" MINIMAL, "is not a time with a unit" },
	{ "disk = { queue_depth = 3;\n queue_depth = 4; };\n" MINIMAL,
	  "node.conf:2: duplicate setting name" },
	{ MINIMAL "node = { };\n", "duplicate setting name" },
	{ "\n@include \"absent.conf\"\n" MINIMAL, "node.conf:2: @include: /tmp/tern-config-" },
	{ "@include \"absent.conf\"\n" MINIMAL,
	  "/absent.conf: No such file or directory; paths begin at the node file's directory" },
	{ "@include \"/tmp\"\n" MINIMAL, "node.conf:1: @include: /tmp: is no file" },
	{ "@include \"node.conf\"\n" MINIMAL, "include file nesting too deep" },
	{ "profile = \"/tmp\";\n" MINIMAL, "/tmp: is no file" },
	{ "node = { name = \"a\"; id = 1; cluster_id = \"0\"; };\n" NODES PORT,
	  "node.cluster_id: \"0\", allowed 1 to 16 hexadecimal digits, not zero" },
	{ "node = { name = \"a\"; id = 1; cluster_id = \"12345678123456789\"; };\n" NODES PORT,
	  "allowed 1 to 16 hexadecimal digits" },
	{ NODE_A NODES "ports = ( { device = \"net_ring0\"; }, { device = \"net_ring0\"; } );\n",
	  "ports[].device: \"net_ring0\" is used twice" },
	{ NODE_A "nodes = ( " DATA("a", 1) ",\n{ name = \"b\"; id = 2; data = \"10.0.0.2:7400\";\n"
					   "mgmt = \"127.0.0.1:7002\"; resp = \"127.0.0.1:6001\";\n"
					   "client = \"127.0.0.1:6102\"; }, " WITNESS_4
					   " );\n" PORT,
	  "resp: \"127.0.0.1:6001\" is also an address of \"a\"" },
	{ NODE_A "nodes = ( " DATA("a", 1) ",\n{ name = \"b\"; id = 2; data = \"10.0.0.2:7400\";\n"
					   "mgmt = \"127.0.0.1:7002\"; resp = \"127.0.0.1:6002\";\n"
					   "client = \"127.0.0.1:7001\"; }, " WITNESS_4
					   " );\n" PORT,
	  "client: \"127.0.0.1:7001\" is also an address of \"a\"" },
	{ NODE_A "nodes = ( " DATA("a", 1) ",\n{ name = \"b\"; id = 2; data = \"10.0.0.2:7400\";\n"
					   "mgmt = \"127.0.0.1:7002\"; resp = \"127.0.0.1:6002\";\n"
					   "client = \"127.0.0.1:7002\"; }, " WITNESS_4
					   " );\n" PORT,
	  "client: \"127.0.0.1:7002\" is also the mgmt address of this node" },
	{ "memory = { no_huge = 1; };\n" MINIMAL, "memory.no_huge: must be true or false" },
	{ "gateway = { in_flight_max = 15; };\n" MINIMAL,
	  "gateway.in_flight_max: 15 is out of range, allowed 16 to 65536" },
	{ "log = { ring = \"64Kib\"; };\n" MINIMAL, "log.ring: \"64Kib\" is not a size" },
	{ "log = { ring = \"24MiB\"; };\n" MINIMAL, "log.ring: must be a power of two" },
	{ "log = { ring = \"8MiB\"; };\n" MINIMAL, "log.ring: must hold 8 of the largest commands, "
						   "allowed from 16384KiB" },
	{ "log = { ring = \"32MiB\"; command_max = \"2023553B\"; };\n" MINIMAL,
	  "log.command_max: must be read of these devices at once, allowed up to 2023552B" },
	{ "log = { ring = \"128MiB\"; command_max = \"8MiB\"; }; parity = 1;\n"
	  "devices = ( { path = \"x\"; }, { path = \"y\"; }, { path = \"z\"; } );\n" MINIMAL,
	  "allowed up to 4051200B" },
	{ "state = { value_max = \"1MiB\"; };\n" MINIMAL, "state.value_max: a SET of that size" },
	{ "policy = { min_copies = 3; };\n" MINIMAL, "policy.min_copies: 3 is out of range" },
	{ "policy = { clock_drift_ppm = 200001; };\n" MINIMAL,
	  "policy.clock_drift_ppm: 200001 is out of range" },
	{ "policy = { solo_isolated = \"maybe\"; };\n" MINIMAL, "allowed \"continue\", \"stop\"" },
	{ "devices = ( { path = \"x\"; size = \"16MiB\"; } );\n" MINIMAL,
	  "node.conf:1: devices[].size: must be at least twice log.ring" },
	{ "devices = ( { path = \"x\"; size = \"67108865B\"; } );\n" MINIMAL,
	  "devices[].size: must be a multiple of 1MiB" },
	{ "devices = ( { path = \"x\"; }, { path = \"x\"; } );\n" MINIMAL, "devices[].path: \"" },
	{ "devices = ( { path = \"x\"; }, { path = \"y\"; size = \"1GiB\"; } );\n" MINIMAL,
	  "devices[].size: must be the same for all" },
	{ "parity = 2; devices = ( { path = \"x\"; }, { path = \"y\"; } );\n" MINIMAL,
	  "parity: 2 of 2 devices" },
	{ "volatile = true; devices = ( { path = \"x\"; }, { path = \"y\"; } );\n" MINIMAL,
	  "name one device" },
	{ "devices = ( { size = \"1GiB\"; } );\n" MINIMAL, "node.conf:1: path: missing in this" },
	{ "devices = ( { path = \"x\"; sise = \"1GiB\"; } );\n" MINIMAL,
	  "devices[].sise: unknown key, did you mean \"size\"?" },
	{ "devices = ( 1 );\n" MINIMAL, "devices: every entry must be a group" },
	{ "devices = { };\n" MINIMAL, "devices: must be a list" },
	{ "node = { name = \"A\"; id = 1; };\n" NODES PORT, "node.name: \"A\" is no node name" },
	{ "node = { name = \"b\"; id = 1; };\n" NODES PORT,
	  "node.conf:1: node.name: \"b\", but the list of nodes calls id 1 \"a\"" },
	{ "node = { name = \"q\"; id = 9; };\n" NODES PORT, "node.id: 9 is not in the list" },
	{ "node = { name = \"a\"; id = 1; kind = \"witness\"; };\n" NODES PORT,
	  "kind: differs from node.kind" },
	{ "node = { name = \"a\"; id = 64; };\n" NODES PORT, "node.id: 64 is out of range" },
	{ "node = { name = \"a\"; id = 1; };\nfilter = \"f\";\n" NODES PORT,
	  "node.conf:2: filter: allowed only with node.dev = true" },
	{ "node = { name = \"a\"; id = 1; };\ndisk = { lossy = \"lying\"; };\n" NODES PORT,
	  "disk.lossy: allowed only with node.dev = true" },
	{ "node = { name = \"a\"; id = 1; };\ndisk = { durability = \"none\"; };\n" NODES PORT,
	  "disk.durability: \"none\" allowed only with node.dev = true" },
	{ MINIMAL "spares = ( { path = \"s\"; } );\n", "spares: only with parity" },
	{ MINIMAL "parity = 1; devices = ( { path = \"d0\"; }, { path = \"d1\"; } );\n"
		  "spares = ( { path = \"s\"; }, { path = \"s\"; } );\n",
	  "spares[].path: " },
	{ MINIMAL "parity = 1; devices = ( { path = \"d0\"; }, { path = \"d1\"; } );\n"
		  "spares = ( { path = \"d1\"; } );\n",
	  "is named twice" },
	{ "node = { name = \"a\"; id = 1; };\ndisk = { iopoll = \"on\"; };\n" NODES PORT,
	  "node.conf:2: disk.iopoll: \"on\" allowed only with poll.mode = \"busy\"" },
	{ "node = { name = \"a\"; id = 1; };\npoll = { mode = \"busy\"; };\n"
	  "disk = { passthrough = \"on\"; };\n" NODES PORT,
	  "node.conf:3: disk.passthrough: \"on\" allowed only with poll.mode = \"busy\" and "
	  "disk.iopoll" },
	{ "node = { name = \"a\"; id = 1; };\n"
	  "disk = { iopoll = \"auto\"; passthrough = \"on\"; };\n" NODES PORT,
	  "node.conf:2: disk.passthrough: \"on\" allowed only with poll.mode = \"busy\"" },
	{ "node = { name = \"a\"; id = 1; };\ndisk = { iopoll = \"yes\"; };\n" NODES PORT,
	  "disk.iopoll: \"yes\" is unknown, allowed \"off\", \"auto\", \"on\"" },
	{ "node = { name = \"w\"; id = 3; kind = \"witness\"; };\nvolatile = true;\n" NODES,
	  "node.conf:2: volatile: a witness keeps no log" },
	{ "node = { name = \"a\"; id = 1; dev = true; };\nvolatile = true;\n"
	  "disk = { lossy = \"lying\"; };\n" NODES PORT,
	  "node.conf:2: volatile: not together with disk.lossy" },
	{ NODE_A "nodes = (\n{ name = \"a\"; id = 1; mgmt = \"127.0.0.1:1\"; });\n" PORT,
	  "node.conf:3: data: missing for data node \"a\"" },
	{ NODE_A "nodes = ( { name = \"w\"; id = 3; kind = \"witness\"; mgmt = \"127.0.0.1:1\";\n"
		 "client = \"127.0.0.1:2\"; } );\n" PORT,
	  "node.conf:3: client: a witness has none" },
	{ NODE_A
	  "nodes = ( { name = \"w\"; id = 3; kind = \"witness\"; mgmt = \"127.0.0.1:1\"; },\n"
	  "{ name = \"v\"; id = 3; kind = \"witness\"; mgmt = \"127.0.0.1:2\"; } );\n" PORT,
	  "node.conf:3: id: 3 is used twice" },
	{ NODE_A
	  "nodes = ( { name = \"w\"; id = 3; kind = \"witness\"; mgmt = \"127.0.0.1:1\"; },\n"
	  "{ name = \"w\"; id = 4; kind = \"witness\"; mgmt = \"127.0.0.1:2\"; } );\n" PORT,
	  "node.conf:3: name: \"w\" is used twice" },
	{ NODE_A
	  "nodes = ( { name = \"w\"; id = 3; kind = \"witness\"; mgmt = \"127.0.0.1:1\"; },\n"
	  "{ name = \"v\"; id = 4; kind = \"witness\"; mgmt = \"127.0.0.1:1\"; } );\n" PORT,
	  "mgmt: \"127.0.0.1:1\" is also an address of \"w\"" },
	{ NODE_A "nodes = ( { name = \"w\"; id = 3; kind = \"witness\"; mgmt = \"127.0.0.1:1\"; } "
		 ");\n" PORT,
	  "nodes: 0 data nodes and 1 witnesses, allowed 2 data nodes and 1 witness" },
	{ NODE_A
	  "nodes = ( { name = \"w\"; id = 3; kind = \"witness\"; mgmt = \"127.0.0.1\"; } );\n",
	  "mgmt: \"127.0.0.1\" is no address" },
	{ NODE_A "nodes = ( " DATA("a", 1) ", " DATA("b", 2) " );\n" PORT,
	  "nodes: 2 data nodes and 0 witnesses, allowed" },
	{ NODE_A "nodes = ( " DATA("a", 1) ", " WITNESS_4 " );\n" PORT,
	  "nodes: 1 data nodes and 1 witnesses, allowed" },
	{ NODE_A "policy = { min_copies = 2; };\nnodes = ( " DATA("a", 1) " );\n",
	  "policy.min_copies: 2, allowed up to the 1 data nodes" },
	{ NODE_A "nodes = ( " DATA("a", 1) ", " DATA("b", 2) ", " DATA(
	      "c", 3) " );\n"
		      "ports = ( { device = \"net_ring0\"; peers = [2]; } );\n",
	  "ports: no port leads to data node \"c\"" },
	{ NODE_A "nodes = ( { name = \"w\"; id = 3; kind = \"witness\"; mgmt = \"h:70000\"; } );\n",
	  "mgmt: \"h:70000\": bad port, allowed 1 to 65535" },
	{ NODE_A NODES "ports = ( { device = \"net_ring0\"; ip = \"10.0.0\"; } );\n",
	  "ip: \"10.0.0\" is no address" },
	{ NODE_A NODES "ports = ( { device = \"net_ring0\"; ip = \"fe80::1\"; } );\n",
	  "ip: \"fe80::1\" is no address" },
	{ NODE_A NODES "ports = ( { device = \"net_ring0\"; ip = \"10.0.0.9\"; } );\n",
	  "ports[].ip: 10.0.0.9 is none of this node's data addresses" },
	{ NODE_A "nodes = ( " NETWORKS("a", 1, "[\"10.0.0.1:7400\", \"10.1.0.1:7400\"]") ", " DATA(
	      "b", 2) ", " WITNESS_4 " );\n"
		      "ports = ( { device = \"net_ring0\"; ip = \"10.1.0.1\"; } );\n",
	  "ports[].ip: 10.1.0.1 is data address 2 of this node, and node \"b\" has only 1" },
	{ NODE_A "nodes = ( " NETWORKS("a", 1, "[\"10.0.0.1:1\", \"10.0.0.1:1\"]") ", " DATA(
	      "b", 2) ", " WITNESS_4 " );\n" PORT,
	  "data: \"10.0.0.1:1\" is also an address of \"a\"" },
	{ NODE_A "nodes = ( " NETWORKS("a", 1, "\"[fd00::1]:7400\"") ", " DATA(
	      "b", 2) ", " WITNESS_4 " );\n" PORT,
	  "ports[].ip: [fd00::1] is of another family than \"10.0.0.2:7400\" of node \"b\"" },
	{ NODE_A "nodes = ( " NETWORKS("a", 1, "[]") " );\n" PORT,
	  "data: 0 addresses, allowed 1 to 4" },
	{ NODE_A "nodes = ( " NETWORKS("a", 1, "\"fd00::1:7400\"") " );\n" PORT,
	  "data: \"fd00::1:7400\" is no address, allowed \"host:port\" or \"[IPv6]:port\"" },
	{ NODE_A "nodes = ( " NETWORKS("a", 1, "\"[fd00::1%eth0]:7400\"") " );\n" PORT,
	  "no address known for this host" },
	{ NODE_A NODES "ports = ( { device = \"net_ring0\"; peers = [3]; } );\n",
	  "ports[].peers: 3 is no other data node" },
	{ NODE_A NODES "ports = ( { device = \"\"; } );\n", "device: must not be empty" },
	{ NODE_A NODES "ports = (\n{ device = \"01:00.0\"; } );\n",
	  "node.conf:9: ports[].device: \"01:00.0\" is no device, allowed a virtual one" },
	{ NODE_A NODES "ports = ( { device = \"0000:01:00.8\"; } );\n", "is no device" },
	{ MINIMAL "admin = \"/tmp/"
		  "1234567890123456789012345678901234567890123456789012345678901234"
		  "567890123456789012345678901234567890123456789\";\n",
	  "admin: 114 bytes long as a socket path, allowed at most 107 bytes" },
	{ MINIMAL "run = \"/tmp/"
		  "1234567890123456789012345678901234567890123456789012345678901234"
		  "567890123456789012345678901\";\n",
	  "run: 96 bytes long, allowed at most 95 bytes" },
	{ NODE_A NODES "ports = ( { device = \"net_memif0,role=server,socket=/tmp/"
		       "1234567890123456789012345678901234567890123456789012345678901234"
		       "567890123456789012345678901234567890123456789,id=0\"; } );\n",
	  "ports[].device: the memif socket path is 114 bytes long, allowed at most 107" },
	{ MINIMAL "profile = \"absent.conf\";\n", "absent.conf: cannot be read: No such file" },
};

static void
every_error_names_its_place(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		const enum tern_err err = load(wrongs[i].content);
		if (err != TERN_ERR_CONFIG || !strstr(text, wrongs[i].expected))
			print_error("case %zu: expected \"%s\", got %d \"%s\"\n", i,
				    wrongs[i].expected, err, text);
		assert_int_equal(err, TERN_ERR_CONFIG);
		assert_non_null(strstr(text, wrongs[i].expected));
	}
}

/* What looks too long and is not. */
static void
numbers_that_fit(void **unused)
{
	static const char *const texts[] = {
		"disk = { queue_depth = 0x20; }; # since 12345678901\n",
		"disk = { queue_depth = 32L; };\n",
		"disk = { queue_depth = 0000000000032; };\n",
		"description = \"12345678901\"; disk = { queue_depth = 32; };\n",
		"disk = {\n queue_depth\n =\n 32\n; }; // 99999999999\n",
	};
	char content[4096];

	(void)unused;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		(void)snprintf(content, sizeof(content), "%s%s", texts[i], MINIMAL);
		const enum tern_err err = load(content);
		if (err)
			print_error("case %zu: %s\n", i, text);
		assert_int_equal(err, TERN_OK);
		assert_int_equal(config.disk.queue_depth, 32);
	}
}

static void
cluster_id(void **unused)
{
	(void)unused;
	assert_int_equal(load(MINIMAL), TERN_OK);
	assert_int_equal(config.cluster_id, 0);
	assert_int_equal(
	    load("node = { name = \"a\"; id = 1; cluster_id = \"fedcba9876543210\"; };\n" NODES
		     PORT),
	    TERN_OK);
	assert_true(config.cluster_id == 0xfedcba9876543210ull);
}

/* Two data networks, one of them IPv6, and what a file that was written says again. */
static void
several_networks(void **unused)
{
	static struct node_config again;
	static const char file[] = NODE_A "nodes = ( " NETWORKS("a", 1, TWO_OF("1")) ",\n" NETWORKS(
	    "b", 2, TWO_OF("2")) ",\n" WITNESS_4 " );\nports = ( { device = \"net_ring0\"; },\n"
				 "{ device = \"net_ring1\"; ip = \"fd00::1\"; peers = [2]; } );\n";
	char path[256];

	(void)unused;
	assert_int_equal(load(file), TERN_OK);
	assert_int_equal(config.ports[0].network, 0);
	assert_int_equal(inet_addr_v4_of(&config.ports[0].ip), 0x0a000001);
	assert_int_equal(config.ports[1].network, 1);
	assert_int_equal(config.ports[1].line, 8);
	assert_int_equal(config.nodes[1].data_count, 2);
	assert_int_equal(config.nodes[1].data[1].port, 7500);
	assert_string_equal(config.nodes[1].data[1].host, "fd00::2");
	assert_false(inet_addr_is_v4(&config.nodes[1].data[1].ip));
	assert_true(node_config_port_reaches(&config.ports[0], &config.nodes[1]));
	assert_false(node_config_port_reaches(&config.ports[0], &config.nodes[2]));

	(void)snprintf(path, sizeof(path), "%s/again.conf", dir);
	assert_int_equal(node_config_write(path, &config, text, sizeof(text)), TERN_OK);
	assert_int_equal(node_config_load(path, &again, text, sizeof(text)), TERN_OK);
	assert_memory_equal(again.nodes, config.nodes, sizeof(again.nodes));
	assert_true(inet_addr_equal(&again.ports[1].ip, &config.ports[1].ip));
	assert_int_equal(again.ports[1].network, 1);
}

static void
absent_file(void **unused)
{
	(void)unused;
	assert_int_equal(node_config_load("/nonexistent/x.conf", &config, text, sizeof(text)),
			 TERN_ERR_CONFIG);
	assert_non_null(strstr(text, "/nonexistent/x.conf: cannot be read"));
}

static void
node_file_wins_over_profile(void **unused)
{
	(void)unused;
	(void)file_named("p.conf",
			 "timers = { t_late = \"200ms\"; t_stall = \"100ms\"; };\n"
			 "ports = ( { device = \"0000:01:00.0\"; payload_max = 1460; } );\n");
	assert_int_equal(load(NODE_A NODES "profile = \"p.conf\";\n"
					   "timers = { t_late = \"90ms\"; };\n"),
			 TERN_OK);
	assert_int_equal(config.timers.late_ns, 90000000);
	assert_int_equal(config.timers.stall_ns, 100000000);
	assert_string_equal(config.ports[0].device, "0000:01:00.0");
	assert_int_equal(config.ports[0].payload_max, 1460);
	assert_int_equal(config.ports[0].peer_count, 0);
}

/* T_late is one replica's own where its entry says so. */
static void
late_of_a_node(void **unused)
{
	char nodes[4096];
	(void)unused;

	assert_int_equal(load(MINIMAL "timers = { t_late = \"90ms\"; };\n"), TERN_OK);
	assert_int_equal(core_late_ns(&config.timers, 2), 90000000);
	const char *at = strstr(NODES, "id = 2;");
	assert_non_null(at);
	(void)snprintf(nodes, sizeof(nodes), "%s%.*s t_late = \"20ms\"; %s%s", NODE_A,
		       (int)(at - NODES), NODES, at, PORT);
	assert_int_equal(load(nodes), TERN_OK);
	assert_int_equal(core_late_ns(&config.timers, 1), 300000000);
	assert_int_equal(core_late_ns(&config.timers, 2), 20000000);
	(void)snprintf(nodes, sizeof(nodes), "%s%.*s t_late = \"20us\"; %s%s", NODE_A,
		       (int)(at - NODES), NODES, at, PORT);
	assert_int_equal(load(nodes), TERN_ERR_CONFIG);
}

/* The profile names a device that this machine does not have; the message names its place. */
static void
machine_is_asked(void **unused)
{
	(void)unused;
	(void)file_named("p.conf", "ports = (\n { device = \"0000:01:00.0\"; } );\n");
	assert_int_equal(load(NODE_A NODES "profile = \"p.conf\";\n"), TERN_OK);
	assert_int_equal(node_config_check_machine(&config, "/nonexistent", text, sizeof(text)),
			 TERN_ERR_CONFIG);
	assert_non_null(strstr(text, "p.conf:2: ports[].device: there is no PCI device"));
	/* A witness may share the profile. */
	assert_int_equal(load("node = { name = \"w\"; id = 3; kind = \"witness\"; };\n" NODES
			      "profile = \"p.conf\";\n"),
			 TERN_OK);
	assert_int_equal(node_config_check_machine(&config, "/nonexistent", text, sizeof(text)),
			 TERN_OK);
	assert_int_equal(load(MINIMAL), TERN_OK);
	assert_int_equal(node_config_check_machine(&config, "/nonexistent", text, sizeof(text)),
			 TERN_OK);
}

static void
run_directory_is_made(void **unused)
{
	(void)unused;
	assert_int_equal(load(MINIMAL "run = \"r/u/n\";\n"), TERN_OK);
	assert_int_equal(node_config_make_run_dir(&config, text, sizeof(text)), TERN_OK);
	assert_int_equal(rmdir(config.run_dir), 0);
	*strrchr(config.run_dir, '/') = '\0';
	assert_int_equal(rmdir(config.run_dir), 0);
	(void)file_named("r/u", ""); /* in the way */
	(void)snprintf(config.run_dir, sizeof(config.run_dir), "%s/r/u/n", dir);
	assert_int_equal(node_config_make_run_dir(&config, text, sizeof(text)), TERN_ERR_CONFIG);
	assert_non_null(strstr(text, "/r/u/n: cannot be made: Not a directory; choose another"));
}

static void
profile_errors_name_the_profile(void **unused)
{
	(void)unused;
	(void)file_named("p.conf", "log = {\n ring = \"1KiB\";\n};\n");
	assert_int_equal(load(MINIMAL "profile = \"p.conf\";\n"), TERN_ERR_CONFIG);
	assert_non_null(strstr(text, "p.conf:2: log.ring: \"1KiB\" is out of range"));
	(void)file_named("p.conf", "\nnodes = ( );\n");
	assert_int_equal(load(MINIMAL "profile = \"p.conf\";\n"), TERN_ERR_CONFIG);
	assert_non_null(strstr(text, "p.conf:2: nodes: belongs in the node file"));
}

static void
include_keeps_file_and_line(void **unused)
{
	(void)unused;
	(void)file_named("part.conf", "disk = {\n queue_depth = 0;\n};\n");
	assert_int_equal(load("@include \"part.conf\"\n" MINIMAL), TERN_ERR_CONFIG);
	assert_non_null(strstr(text, "part.conf:2: disk.queue_depth: 0 is out of range"));
}

static void
shipped_profiles_load(void **unused)
{
	static const char *const names[] = { "dev-memif.conf", "bare-metal-1port.conf" };
	char content[4096];

	(void)unused;
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(content, sizeof(content), "%s%s%sprofile = \"%s/%s\";\n", NODE_A,
			       NODES, i == 0 ? PORT : "", profiles, names[i]);
		const enum tern_err err = load(content);
		if (err)
			print_error("%s\n", text);
		assert_int_equal(err, TERN_OK);
	}
	assert_int_equal(config.poll.mode, POLL_BUSY);
	assert_int_equal(config.timers.heartbeat_ns, 250000);
	assert_int_equal(config.timers.elect_min_ns, 5000000);
}

/* The node files of docs/examples/cluster, beside a copy of the profile, as they would be used. */
static void
examples_load(void **unused)
{
	static const char *const names[] = { "nodes.conf", "a.conf", "b.conf", "w.conf" };
	char path[512], content[8192];

	(void)unused;
	(void)snprintf(path, sizeof(path), "%s/bare-metal-1port.conf", profiles);
	(void)file_named("profile.conf", read_file(path, content, sizeof(content)));
	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", examples, names[i]);
		(void)file_named(names[i], read_file(path, content, sizeof(content)));
		if (i == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		const enum tern_err err = node_config_load(path, &config, text, sizeof(text));
		if (err)
			print_error("%s\n", text);
		assert_int_equal(err, TERN_OK);
		assert_int_equal(config.id, i);
		assert_int_equal(config.witness_id, 3);
		assert_int_equal(config.timers.heartbeat_ns, 250000);
	}
}

static void
written_file_reads_back_equal(void **unused)
{
	static struct node_config again;
	char path[256];

	(void)unused;
	assert_int_equal(
	    load(
		"node = { name = \"a\"; id = 1; dev = true; cluster_id = \"fe01\"; };\n" NODES
		"storage = \"s\"; run = \"r\"; filter = \"f \\\"q\\\"\"; volatile = true;\n"
		"devices = ( { path = \"/dev/x\"; size = \"3GiB\"; } );\n"
		"ports = ( { device = \"net_memif0,role=server\"; peers = [2]; ip = \"10.0.0.1\";\n"
		"payload_max = 1460; } );\n"),
	    TERN_OK);
	(void)snprintf(path, sizeof(path), "%s/again.conf", dir);
	assert_int_equal(node_config_write(path, &config, text, sizeof(text)), TERN_OK);
	assert_int_equal(node_config_load(path, &again, text, sizeof(text)), TERN_OK);
	memset(config.file, 0, sizeof(config.file));
	memset(again.file, 0, sizeof(again.file));
	memset(config.ports[0].file, 0, sizeof(config.ports[0].file));
	memset(again.ports[0].file, 0, sizeof(again.ports[0].file));
	config.ports[0].line = again.ports[0].line;
	assert_memory_equal(&config, &again, sizeof(config));
	assert_int_equal(node_config_write("/nonexistent/x", &config, text, sizeof(text)),
			 TERN_ERR_IO);
}

static const char *
content_of(const char *path)
{
	static char bytes[4096];
	FILE *stream = fopen(path, "r");

	assert_non_null(stream);
	bytes[fread(bytes, 1, sizeof(bytes) - 1, stream)] = 0;
	assert_int_equal(fclose(stream), 0);
	return bytes;
}

#define POOL "parity = 1; devices = ( { path = \"d0\"; }, { path = \"d1\"; } );\n"

/* Who edits a node file takes a lock of it, and gives the new one to the owner of the old one. */
static struct {
	uint32_t chowns;
	uid_t uid;
	gid_t gid;
	bool is_locked;      /* when the owner was given */
	bool is_refusing;    /* the owner cannot be given */
	const char *instead; /* another edit is just done when the lock is asked for */
} seen;

int
fchown(int fd, uid_t uid, gid_t gid)
{
	const int other = open(config.file, O_RDONLY | O_CLOEXEC);

	(void)fd;
	seen.chowns++;
	seen.uid = uid;
	seen.gid = gid;
	seen.is_locked = syscall(SYS_flock, other, LOCK_EX | LOCK_NB) != 0;
	(void)close(other);
	errno = EPERM;
	return seen.is_refusing ? -1 : 0;
}

int
flock(int fd, int operation)
{
	const char *instead = seen.instead;

	if (operation == LOCK_EX && instead) {
		seen.instead = NULL;
		assert_int_equal(rename(file_named("again.conf", instead), config.file), 0);
	}
	return (int)syscall(SYS_flock, fd, operation);
}

static enum tern_err
add(const char *path, struct node_config *into)
{
	const struct node_config_spares_edit edit = { .add = path };

	return node_config_edit_spares(config.file, &edit, into, text, sizeof(text));
}

static enum tern_err
drop(const char *path, struct node_config *into)
{
	const struct node_config_spares_edit edit = { .remove = path };

	return node_config_edit_spares(config.file, &edit, into, text, sizeof(text));
}

static void
spares_are_edited_in_place(void **unused)
{
	/* Words and parentheses in comments and strings are none. */
	static const char *const heads[] = {
		"",
		"# spares = (\n",
		"// spares = ( }\n",
		"/* spares\n = ( */\n",
	};
	static const char *const lists[] = {
		"",
		"spares = ();",
		"spares\n = /* ) */ ( { path = \"s) \\\"x\"; } # )\n);",
	};
	static char full[4096];

	(void)unused;
	for (size_t h = 0; h < sizeof(heads) / sizeof(heads[0]); h++) {
		for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
			(void)snprintf(full, sizeof(full), "%s" MINIMAL POOL "%s// end\n", heads[h],
				       lists[l]);
			if (load(full) != TERN_OK)
				fail_msg("%zu %zu: %s", h, l, text);
			assert_int_equal(config.spare_count, l == 2);
			static struct node_config again;
			if ((l == 2 && drop(config.spares[0].path, &again) != TERN_OK) ||
			    add("/dev/one \"q\"", &again) != TERN_OK ||
			    add("/dev/two", &again) != TERN_OK)
				fail_msg("%zu %zu: %s", h, l, text);
			const char *now = content_of(config.file);
			assert_memory_equal(now, full, strlen(heads[h]) + strlen(MINIMAL POOL));
			assert_non_null(strstr(now, "// end"));
			assert_int_equal(again.spare_count, 2);
			assert_int_equal(node_config_load(config.file, &again, text, sizeof(text)),
					 TERN_OK);
			assert_int_equal(again.spare_count, 2);
			assert_string_equal(again.spares[0].path, "/dev/one \"q\"");
			assert_string_equal(again.spares[1].path, "/dev/two");
			assert_int_equal(again.spares[1].bytes, again.devices[0].bytes);
			assert_int_equal(drop("/dev/one \"q\"", &again), TERN_OK);
			assert_int_equal(drop("/dev/two", &again), TERN_OK);
			assert_int_equal(node_config_load(config.file, &again, text, sizeof(text)),
					 TERN_OK);
			assert_int_equal(again.spare_count, 0);
		}
	}
}

static void
spares_that_would_be_wrong_are_not_written(void **unused)
{
	(void)unused;
	assert_int_equal(load(MINIMAL POOL), TERN_OK);
	static struct node_config again;
	assert_int_equal(add(config.devices[1].path, &again), TERN_ERR_CONFIG);
	assert_non_null(strstr(text, "named twice"));
	assert_string_equal(content_of(config.file), MINIMAL POOL);
	/* A list that is included from elsewhere is somebody else's. */
	(void)file_named("more.conf", "spares = ( { path = \"s\"; } );\n");
	assert_int_equal(load(MINIMAL POOL "@include \"more.conf\"\n"), TERN_OK);
	assert_int_equal(config.spare_count, 1);
	assert_int_equal(drop(config.spares[0].path, &again), TERN_ERR_CONFIG);
	if (!strstr(text, "by hand"))
		fail_msg("%s", text);
}

/* It may be the daemon's user who reads it, and root who edits it. */
static void
owner_and_mode_of_the_file_stay(void **unused)
{
	static struct node_config again;
	struct stat before, after;

	(void)unused;
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(load(MINIMAL POOL), TERN_OK);
	assert_int_equal(chmod(config.file, 0640), 0);
	assert_int_equal(stat(config.file, &before), 0);
	assert_int_equal(add("/dev/one", &again), TERN_OK);
	assert_int_equal(seen.chowns, 1);
	assert_true(seen.uid == before.st_uid && seen.gid == before.st_gid);
	assert_int_equal(stat(config.file, &after), 0);
	assert_int_equal(after.st_mode, before.st_mode);
	seen.is_refusing = true;
	assert_int_equal(drop("/dev/one", &again), TERN_ERR_IO);
	assert_non_null(strstr(text, "as its owner, or as root"));
	assert_int_equal(stat(config.file, &before), 0);
	assert_true(before.st_ino == after.st_ino);
	seen.is_refusing = false;
	(void)snprintf(text, sizeof(text), "%s.new", config.file);
	assert_int_not_equal(access(text, F_OK), 0);
}

static void
a_link_to_the_file_stays(void **unused)
{
	static struct node_config again;
	const struct node_config_spares_edit edit = { .add = "/dev/one" };
	char link[256];
	struct stat facts;

	(void)unused;
	assert_int_equal(load(MINIMAL POOL), TERN_OK);
	(void)snprintf(link, sizeof(link), "%s/more.conf", dir);
	(void)unlink(link);
	assert_int_equal(symlink("node.conf", link), 0);
	assert_int_equal(node_config_edit_spares(link, &edit, &again, text, sizeof(text)), TERN_OK);
	assert_int_equal(lstat(link, &facts), 0);
	assert_true(S_ISLNK(facts.st_mode));
	assert_non_null(strstr(content_of(config.file), "/dev/one"));
	assert_int_equal(unlink(link), 0);
}

/* What another edit wrote is not undone, also if its file came while this one waited. */
static void
edits_come_one_after_another(void **unused)
{
	static struct node_config again;

	(void)unused;
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(load(MINIMAL POOL), TERN_OK);
	assert_int_equal(add("/dev/one", &again), TERN_OK);
	assert_true(seen.is_locked);
	seen.instead = MINIMAL POOL "spares = ( { path = \"/dev/three\"; } );\n";
	assert_int_equal(add("/dev/two", &again), TERN_OK);
	assert_true(seen.is_locked);
	assert_int_equal(again.spare_count, 2);
	assert_non_null(strstr(content_of(config.file), "/dev/two"));
	assert_non_null(strstr(content_of(config.file), "/dev/three"));
	/* It is let go. */
	assert_int_equal(drop("/dev/two", &again), TERN_OK);
	assert_null(strstr(content_of(config.file), "/dev/two"));
}

static void
a_trial_leaves_the_file(void **unused)
{
	static struct node_config again;
	struct node_config_spares_edit edit = { .add = "/dev/one", .is_trial = true };

	(void)unused;
	assert_int_equal(load(MINIMAL POOL), TERN_OK);
	assert_int_equal(node_config_edit_spares(config.file, &edit, &again, text, sizeof(text)),
			 TERN_OK);
	assert_string_equal(content_of(config.file), MINIMAL POOL);
	edit.add = config.devices[1].path;
	assert_int_equal(node_config_edit_spares(config.file, &edit, &again, text, sizeof(text)),
			 TERN_ERR_CONFIG);
}

static void
witness_needs_no_port(void **unused)
{
	(void)unused;
	assert_int_equal(load("node = { name = \"w\"; id = 3; kind = \"witness\"; };\n" NODES),
			 TERN_OK);
	assert_int_equal(config.device_count, 0);
	assert_string_equal(config.register_file, "/var/lib/tern/w/register");
}

static int
make_dir(void **unused)
{
	(void)unused;
	return mkdtemp(dir) ? 0 : -1;
}

static int
remove_dir(void **unused)
{
	static const char *const names[] = { "node.conf",    "p.conf",    "part.conf",
					     "again.conf",   "more.conf", "nodes.conf",
					     "profile.conf", "a.conf",    "b.conf",
					     "w.conf",       "r/u",       "r" };
	char path[256];

	(void)unused;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)remove(path);
	}
	return rmdir(dir);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(topologies),
		cmocka_unit_test(every_error_names_its_place),
		cmocka_unit_test(numbers_that_fit),
		cmocka_unit_test(cluster_id),
		cmocka_unit_test(several_networks),
		cmocka_unit_test(absent_file),
		cmocka_unit_test(node_file_wins_over_profile),
		cmocka_unit_test(late_of_a_node),
		cmocka_unit_test(machine_is_asked),
		cmocka_unit_test(run_directory_is_made),
		cmocka_unit_test(profile_errors_name_the_profile),
		cmocka_unit_test(include_keeps_file_and_line),
		cmocka_unit_test(shipped_profiles_load),
		cmocka_unit_test(examples_load),
		cmocka_unit_test(written_file_reads_back_equal),
		cmocka_unit_test(spares_are_edited_in_place),
		cmocka_unit_test(spares_that_would_be_wrong_are_not_written),
		cmocka_unit_test(owner_and_mode_of_the_file_stay),
		cmocka_unit_test(a_link_to_the_file_stays),
		cmocka_unit_test(edits_come_one_after_another),
		cmocka_unit_test(a_trial_leaves_the_file),
		cmocka_unit_test(witness_needs_no_port),
	};

	profiles = argc > 1 ? argv[1] : "hw/profiles";
	examples = argc > 2 ? argv[2] : "docs/examples/cluster";
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
