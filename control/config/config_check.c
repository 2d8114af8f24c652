/* SPDX-License-Identifier: Apache-2.0 */
/* What no single key can say: how settings must agree with each other. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/config_reader.h"
#include "dataplane/base/bits.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/stripe/layout.h"
#include "dataplane/wire/command.h"
#include "hw/net_kernel/net_sockaddr.h"
#include "hw/platform/pci.h"

#define LATE_NS_MIN 1000000u

static const config_setting_t *
node_setting(const struct config_reader *reader, uint32_t index, const char *key)
{
	const config_setting_t *list = config_find(reader, "nodes");
	const config_setting_t *element = list ? config_setting_get_elem(list, index) : NULL;
	const config_setting_t *member = element ? config_setting_get_member(element, key) : NULL;

	return member ? member : element;
}

static bool
is_same(const struct node_address *a, const struct node_address *b)
{
	return a->port != 0 && a->port == b->port && inet_addr_equal(&a->ip, &b->ip);
}

/* The data addresses of a node against each other, and against those of the nodes before it. */
static enum tern_err
check_data(struct config_reader *reader, uint32_t index)
{
	const struct node_config_node *node = &reader->config->nodes[index];

	for (uint32_t i = 0; i < node->data_count; i++)
		for (uint32_t k = 0; k <= index; k++) {
			const struct node_config_node *other = &reader->config->nodes[k];
			for (uint32_t n = 0; n < (k == index ? i : other->data_count); n++)
				if (is_same(&other->data[n], &node->data[i]))
					return config_fail(
					    reader, node_setting(reader, index, "data"), "data",
					    "\"%s\" is also an address of \"%s\"",
					    node->data[i].text, other->name);
		}
	return TERN_OK;
}

/* What two sockets cannot have at once. mgmt and client are both UDP, resp is TCP; data is on other
 * ports. */
static enum tern_err
check_addresses(struct config_reader *reader, uint32_t index)
{
	const struct node_config_node *node = &reader->config->nodes[index];

	if (is_same(&node->client, &node->mgmt))
		return config_fail(reader, node_setting(reader, index, "client"), "client",
				   "\"%s\" is also the mgmt address of this node",
				   node->client.text);
	for (uint32_t i = 0; i < index; i++) {
		const struct node_config_node *other = &reader->config->nodes[i];
		if (inet_addr_is_v4(&other->mgmt.ip) != inet_addr_is_v4(&node->mgmt.ip))
			return config_fail(reader, node_setting(reader, index, "mgmt"), "mgmt",
					   "\"%s\" is of another family than the address of "
					   "\"%s\", allowed one family for all nodes",
					   node->mgmt.text, other->name);
		const struct {
			const char *key;
			const struct node_address *mine, *theirs;
		} pairs[] = { { "mgmt", &node->mgmt, &other->mgmt },
			      { "mgmt", &node->mgmt, &other->client },
			      { "resp", &node->resp, &other->resp },
			      { "client", &node->client, &other->client },
			      { "client", &node->client, &other->mgmt } };
		for (size_t k = 0; k < sizeof(pairs) / sizeof(pairs[0]); k++) {
			if (is_same(pairs[k].mine, pairs[k].theirs))
				return config_fail(
				    reader, node_setting(reader, index, pairs[k].key), pairs[k].key,
				    "\"%s\" is also an address of \"%s\"", pairs[k].mine->text,
				    other->name);
		}
	}
	return TERN_OK;
}

static enum tern_err
check_node(struct config_reader *reader, uint32_t index)
{
	const struct node_config *c = reader->config;
	const struct node_config_node *node = &c->nodes[index];
	const struct node_address *addresses[] = { &node->data[0], &node->resp, &node->client };
	static const char *const keys[] = { "data", "resp", "client" };

	if (node->kind == NODE_WITNESS && node->is_spare)
		return config_fail(reader, node_setting(reader, index, "spare"), "spare",
				   "allowed only for a data node");
	if (node->kind == NODE_WITNESS && node->late_ns != 0)
		return config_fail(reader, node_setting(reader, index, "t_late"), "t_late",
				   "allowed only for a data node");
	if (node->late_ns != 0 && node->late_ns < LATE_NS_MIN)
		return config_fail(reader, node_setting(reader, index, "t_late"), "t_late",
				   "allowed 1ms to 600s, or 0ms: as timers.t_late");
	for (uint32_t i = 0; i < 3; i++) {
		const bool is_given = addresses[i]->port != 0;
		if (node->kind == NODE_DATA && !is_given)
			return config_fail(reader, node_setting(reader, index, ""), keys[i],
					   "missing for data node \"%s\", allowed \"host:port\"",
					   node->name);
		/* A witness answers Sentinel calls when it has an address for them. */
		if (node->kind == NODE_WITNESS && is_given && addresses[i] != &node->resp)
			return config_fail(reader, node_setting(reader, index, keys[i]), keys[i],
					   "a witness has none, remove it");
	}
	for (uint32_t i = 0; i < index; i++) {
		const struct node_config_node *other = &c->nodes[i];
		if (other->id == node->id)
			return config_fail(reader, node_setting(reader, index, "id"), "id",
					   "%u is used twice, allowed one node an id", node->id);
		if (strcmp(other->name, node->name) == 0)
			return config_fail(reader, node_setting(reader, index, "name"), "name",
					   "\"%s\" is used twice, allowed one node a name",
					   node->name);
	}
	const enum tern_err err = check_addresses(reader, index);
	return err ? err : check_data(reader, index);
}

static enum tern_err
check_self(struct config_reader *reader)
{
	struct node_config *c = reader->config;

	for (uint32_t i = 0; i < c->node_count; i++) {
		struct node_config_node *node = &c->nodes[i];
		if (node->id != c->id)
			continue;
		if (strcmp(node->name, c->name) != 0)
			return config_fail(reader, config_find(reader, "node.name"), "node.name",
					   "\"%s\", but the list of nodes calls id %u \"%s\"",
					   c->name, c->id, node->name);
		if (node->kind != c->kind)
			return config_fail(reader, node_setting(reader, i, "kind"), "kind",
					   "differs from node.kind of this file");
		memcpy(node->admin_socket, c->admin_socket, sizeof(node->admin_socket));
		return TERN_OK;
	}
	return config_fail(reader, config_find(reader, "node.id"), "node.id",
			   "%u is not in the list of nodes", c->id);
}

static enum tern_err
check_topology(struct config_reader *reader)
{
	struct node_config *c = reader->config;
	uint32_t data_count = 0, witness_count = 0;

	if (c->node_count == 0)
		return config_fail(reader, config_find(reader, "nodes"), "nodes",
				   "missing; list every node of the cluster, this one included");
	for (uint32_t i = 0; i < c->node_count; i++) {
		enum tern_err err = check_node(reader, i);
		if (err)
			return err;
		if (c->nodes[i].kind == NODE_DATA) {
			c->known_nodes |= 1ull << c->nodes[i].id;
			if (c->nodes[i].is_spare)
				continue;
			data_count++;
			c->data_nodes |= 1ull << c->nodes[i].id;
		} else {
			witness_count++;
			c->witness_id = c->nodes[i].id;
		}
	}
	/* An even number of copies needs the witness's vote, an odd one does not. Spare nodes are
	 * none of the first configuration. */
	const bool is_pair = data_count == 2 && witness_count == 1;
	if (!is_pair && !(data_count == 3 && witness_count <= 1) &&
	    !(data_count == 1 && witness_count == 0))
		return config_fail(
		    reader, config_find(reader, "nodes"), "nodes",
		    "%u data nodes and %u witnesses, allowed 2 data nodes and 1 "
		    "witness, 3 data nodes (a witness only observes), or 1 data node",
		    data_count, witness_count);
	if (c->policy.min_copies > data_count)
		return config_fail(reader, config_find(reader, "policy.min_copies"),
				   "policy.min_copies", "%u, allowed up to the %u data nodes",
				   c->policy.min_copies, data_count);
	return check_self(reader);
}

static int
by_id(const void *a, const void *b)
{
	const struct node_config_node *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static enum tern_err
check_timers(struct config_reader *reader)
{
	const struct core_timers *t = &reader->config->timers;

	if (t->heartbeat_ns * 2 > t->solo_ns)
		return config_fail(reader, config_find(reader, "timers.heartbeat"),
				   "timers.heartbeat",
				   "must be at most half of t_solo, allowed up to %" PRIu64 "us",
				   t->solo_ns / 2000);
	if (t->elect_min_ns >= t->elect_max_ns)
		return config_fail(reader, config_find(reader, "timers.t_elect_max"),
				   "timers.t_elect_max",
				   "must be above t_elect_min, allowed from %" PRIu64 "us",
				   t->elect_min_ns / 1000 + 1);
	/* Not for safety: votes and the register see to that. The sitting master should win. */
	if (t->solo_ns >= t->elect_min_ns)
		return config_fail(reader, config_find(reader, "timers.t_solo"), "timers.t_solo",
				   "must be below t_elect_min, so that on a cut link the sitting "
				   "master goes on before the replica stands for election, "
				   "allowed below %" PRIu64 "us",
				   t->elect_min_ns / 1000);
	if (reader->config->poll.sleep_min_ns > reader->config->poll.sleep_max_ns)
		return config_fail(reader, config_find(reader, "poll.sleep_min"), "poll.sleep_min",
				   "must not be above poll.sleep_max");
	return TERN_OK;
}

static enum tern_err
check_spares(struct config_reader *reader)
{
	struct node_config *c = reader->config;
	const config_setting_t *list = config_find(reader, "spares");

	if (c->spare_count != 0 && c->parity == 0)
		return config_fail(
		    reader, list, "spares",
		    "only with parity: without, there is nothing to make a spare from");
	for (uint32_t i = 0; i < c->spare_count; i++) {
		const char *path = c->spares[i].path;
		bool is_twice = false;
		for (uint32_t k = 0; k < c->device_count; k++)
			is_twice = is_twice || strcmp(c->devices[k].path, path) == 0;
		for (uint32_t k = 0; k < i; k++)
			is_twice = is_twice || strcmp(c->spares[k].path, path) == 0;
		if (is_twice)
			return config_fail(reader, list, "spares[].path",
					   "\"%.200s\" is named twice", path);
		c->spares[i].bytes = c->devices[0].bytes;
	}
	return TERN_OK;
}

static enum tern_err
check_devices(struct config_reader *reader)
{
	const struct node_config *c = reader->config;

	for (uint32_t i = 0; i < c->device_count; i++) {
		const config_setting_t *list = config_find(reader, "devices");
		const config_setting_t *at = list ? config_setting_get_elem(list, i) : NULL;
		if (c->devices[i].bytes % (1u << 20) != 0)
			return config_fail(reader, at, "devices[].size",
					   "must be a multiple of 1MiB");
		if (c->devices[i].bytes < 2 * c->log.ring_bytes)
			return config_fail(reader, at, "devices[].size",
					   "must be at least twice log.ring, allowed from %" PRIu64
					   "KiB",
					   2 * c->log.ring_bytes / 1024);
		if (c->devices[i].bytes != c->devices[0].bytes)
			return config_fail(reader, at, "devices[].size",
					   "must be the same for all devices of a node");
		for (uint32_t k = 0; k < i; k++) {
			if (strcmp(c->devices[k].path, c->devices[i].path) == 0)
				return config_fail(reader, at, "devices[].path",
						   "\"%.200s\" is named twice", c->devices[i].path);
		}
	}
	if (c->device_count != 0 && c->parity >= c->device_count)
		return config_fail(reader, config_find(reader, "parity"), "parity",
				   "%u of %u devices: at least one must hold data", c->parity,
				   c->device_count);
	if (c->device_count - c->parity > STRIPE_K_MAX)
		return config_fail(reader, config_find(reader, "devices"), "devices",
				   "%u devices with parity = %u, allowed up to %u besides parity",
				   c->device_count, c->parity, STRIPE_K_MAX);
	if (c->device_count > 1 && c->is_log_volatile)
		return config_fail(
		    reader, config_find(reader, "devices"), "devices",
		    "volatile = true keeps no more than a superblock: name one device");
	return check_spares(reader);
}

/* The smallest ring with which a node starts (dataplane/runtime/create.c): 8 blocks, each of an
 * open one and a command. */
static uint64_t
ring_bytes_min(uint64_t command_bytes)
{
	const uint64_t payload = BLOCK_HDR_BYTES + CMDLOG_BLOCK_BYTES_TARGET + command_bytes;
	const uint64_t pages = block_pages((uint32_t)payload) + 1;
	uint64_t bytes = PAGE_BYTES;

	while (bytes < 8 * pages * PAGE_BYTES)
		bytes *= 2;
	return bytes;
}

/* The largest command whose block a start reads of the devices at once. */
static uint64_t
command_bytes_max(struct stripe_geometry geometry)
{
	uint32_t pages = STRIPE_PAGES_MAX;

	while (stripe_group_cells(geometry, pages) / stripe_devices(geometry) + 2 >
	       STRIPE_SCAN_ROWS_MAX)
		pages--;
	return (uint64_t)pages * PAGE_PAYLOAD_BYTES - BLOCK_HDR_BYTES;
}

static enum tern_err
check_command_bytes(struct config_reader *reader)
{
	const struct node_config *c = reader->config;

	if (c->device_count <= c->parity)
		return TERN_OK; /* a witness */
	const uint64_t most =
	    command_bytes_max((struct stripe_geometry){ c->device_count - c->parity, c->parity });
	if (c->log.command_bytes_max > most)
		return config_fail(
		    reader, config_find(reader, "log.command_max"), "log.command_max",
		    "must be read of these devices at once, allowed up to %" PRIu64 "B", most);
	return TERN_OK;
}

static enum tern_err
check_sizes(struct config_reader *reader)
{
	const struct node_config *c = reader->config;

	if (!is_pow2_u64(c->log.ring_bytes))
		return config_fail(reader, config_find(reader, "log.ring"), "log.ring",
				   "must be a power of two, such as \"16MiB\"");
	if (c->log.ring_bytes < ring_bytes_min(c->log.command_bytes_max))
		return config_fail(reader, config_find(reader, "log.ring"), "log.ring",
				   "must hold 8 of the largest commands, allowed from %" PRIu64
				   "KiB with this log.command_max",
				   ring_bytes_min(c->log.command_bytes_max) / 1024);
	if (c->state.value_bytes_max + COMMAND_KEY_BYTES_MAX + 1024 > c->log.command_bytes_max)
		return config_fail(reader, config_find(reader, "state.value_max"),
				   "state.value_max",
				   "a SET of that size must fit log.command_max, allowed up to "
				   "%" PRIu64 "B",
				   c->log.command_bytes_max - COMMAND_KEY_BYTES_MAX - 1024);
	const enum tern_err err = check_devices(reader);
	return err ? err : check_command_bytes(reader);
}

/* net_memif says of a longer path only that probing failed. */
static enum tern_err
check_memif_socket(struct config_reader *reader, const config_setting_t *at, const char *device)
{
	const char *socket = strstr(device, "socket=");

	if (strncmp(device, "net_memif", 9) != 0 || !socket)
		return TERN_OK;
	socket += strlen("socket=");
	const size_t bytes = strcspn(socket, ",");
	if (bytes >= NODE_CONFIG_SOCKET_MAX)
		return config_fail(
		    reader, at, "ports[].device",
		    "the memif socket path is %zu bytes long, allowed at most %u; use "
		    "a shorter run directory",
		    bytes, NODE_CONFIG_SOCKET_MAX - 1);
	return TERN_OK;
}

/* Which of our networks a port is on, and that each peer behind it has an address there. */
static enum tern_err
check_network(struct config_reader *reader, const config_setting_t *at,
	      struct node_config_port *port)
{
	const struct node_config *c = reader->config;
	const struct node_config_node *self = node_config_self(c);
	char text[NET_SOCKADDR_TEXT_MAX];

	if (inet_addr_is_none(&port->ip))
		port->ip = self->data[0].ip;
	for (port->network = 0; port->network < self->data_count; port->network++)
		if (inet_addr_equal(&self->data[port->network].ip, &port->ip))
			break;
	net_sockaddr_text(&port->ip, text);
	if (port->network == self->data_count)
		return config_fail(reader, at, "ports[].ip",
				   "%s is none of this node's data addresses, allowed one of them",
				   text);
	for (uint32_t i = 0; i < c->node_count; i++) {
		const struct node_config_node *peer = &c->nodes[i];
		if (peer->id == c->id || !node_config_port_reaches(port, peer))
			continue;
		if (port->network >= peer->data_count)
			return config_fail(
			    reader, at, "ports[].ip",
			    "%s is data address %u of this node, and node \"%s\" has "
			    "only %u; give it one there, or name the port's peers",
			    text, port->network + 1, peer->name, peer->data_count);
		if (inet_addr_is_v4(&peer->data[port->network].ip) != inet_addr_is_v4(&port->ip))
			return config_fail(reader, at, "ports[].ip",
					   "%s is of another family than \"%s\" of node \"%s\"",
					   text, peer->data[port->network].text, peer->name);
	}
	return TERN_OK;
}

static enum tern_err
check_ports(struct config_reader *reader)
{
	struct node_config *c = reader->config;
	const config_setting_t *list = config_find(reader, "ports");

	const uint64_t peers = c->known_nodes & ~(1ull << c->id);
	uint64_t reached = 0;

	if (c->kind == NODE_DATA && peers != 0 && c->port_count == 0)
		return config_fail(reader, list, "ports",
				   "a data node needs at least one data port, in the profile or "
				   "here");
	for (uint32_t i = 0; i < c->port_count; i++) {
		const config_setting_t *at = config_setting_get_elem(list, i);
		struct node_config_port *port = &c->ports[i];
		enum tern_err err = check_memif_socket(reader, at, port->device);
		if (err)
			return err;
		if (port->device[0] == 0)
			return config_fail(reader, at, "ports[].device", "must not be empty");
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(c->ports[k].device, port->device) == 0)
				return config_fail(reader, at, "ports[].device",
						   "\"%.64s\" is used twice, allowed one port a "
						   "device",
						   port->device);
		if (strncmp(port->device, "net_", 4) != 0 && !platform_pci_is_address(port->device))
			return config_fail(reader, at, "ports[].device",
					   "\"%.64s\" is no device, allowed a virtual one "
					   "(\"net_...\") or a PCI address DDDD:BB:DD.F such as "
					   "\"0000:01:00.0\"",
					   port->device);
		reached |= port->peer_count == 0 ? peers : 0;
		for (uint32_t k = 0; k < port->peer_count; k++) {
			const struct node_config_node *peer = node_config_find(c, port->peers[k]);
			if (!peer || peer->kind != NODE_DATA || peer->id == c->id)
				return config_fail(reader, at, "ports[].peers",
						   "%u is no other data node of this cluster",
						   port->peers[k]);
			reached |= 1ull << peer->id;
		}
		const char *file = config_setting_source_file(at);
		(void)snprintf(port->file, sizeof(port->file), "%s", file ? file : reader->path);
		port->line = config_setting_source_line(at);
		if (c->kind == NODE_DATA)
			err = check_network(reader, at, port);
		if (err)
			return err;
	}
	for (uint32_t i = 0; i < c->node_count && c->kind == NODE_DATA; i++)
		if ((peers & ~reached & 1ull << c->nodes[i].id) != 0)
			return config_fail(reader, list, "ports",
					   "no port leads to data node \"%s\"; name it in the "
					   "peers of one of them",
					   c->nodes[i].name);
	return TERN_OK;
}

/* What `volatile` says is of the log of a data node, and no test device may lie about it. */
static enum tern_err
check_volatile(struct config_reader *reader)
{
	const struct node_config *c = reader->config;
	const config_setting_t *at = config_find(reader, "volatile");

	if (!c->is_log_volatile)
		return TERN_OK;
	if (c->kind != NODE_DATA)
		return config_fail(reader, at, "volatile",
				   "a witness keeps no log, and its register has to survive; "
				   "allowed only on a data node");
	if (c->disk.lossy != DISK_LOSSY_NONE)
		return config_fail(reader, at, "volatile",
				   "not together with disk.lossy: the log is not on a device");
	return TERN_OK;
}

static enum tern_err
check_dev(struct config_reader *reader)
{
	const struct node_config *c = reader->config;

	if (c->is_dev)
		return TERN_OK;
	if (c->filter_file[0] != 0)
		return config_fail(reader, config_find(reader, "filter"), "filter",
				   "allowed only with node.dev = true");
	if (c->disk.durability == DISK_DURABILITY_NONE)
		return config_fail(reader, config_find(reader, "disk.durability"),
				   "disk.durability", "\"none\" allowed only with node.dev = true");
	if (c->disk.lossy != DISK_LOSSY_NONE)
		return config_fail(reader, config_find(reader, "disk.lossy"), "disk.lossy",
				   "allowed only with node.dev = true");
	return TERN_OK;
}

/* Who sleeps has to be woken, and a polled device wakes nobody. */
static enum tern_err
check_iopoll(struct config_reader *reader)
{
	const struct node_config *c = reader->config;

	if (c->disk.iopoll != DISK_IOPOLL_ON || c->poll.mode == POLL_BUSY)
		return TERN_OK;
	return config_fail(reader, config_find(reader, "disk.iopoll"), "disk.iopoll",
			   "\"on\" allowed only with poll.mode = \"busy\"; \"auto\" is used where "
			   "it can be");
}

/* Commands are sooner only where completions are polled. */
static enum tern_err
check_passthrough(struct config_reader *reader)
{
	const struct node_config *c = reader->config;

	if (c->disk.passthrough != DISK_PASSTHROUGH_ON ||
	    (c->poll.mode == POLL_BUSY && c->disk.iopoll != DISK_IOPOLL_OFF))
		return TERN_OK;
	return config_fail(reader, config_find(reader, "disk.passthrough"), "disk.passthrough",
			   "\"on\" allowed only with poll.mode = \"busy\" and disk.iopoll = "
			   "\"auto\" or \"on\"; \"auto\" is used where it can be");
}

enum tern_err
config_check(struct config_reader *reader)
{
	struct node_config *c = reader->config;
	enum tern_err err = check_topology(reader);

	if (!err)
		err = check_timers(reader);
	if (!err)
		err = check_sizes(reader);
	if (!err)
		err = check_ports(reader);
	if (!err)
		err = check_volatile(reader);
	if (!err)
		err = check_dev(reader);
	if (!err)
		err = check_iopoll(reader);
	if (!err)
		err = check_passthrough(reader);
	for (uint32_t i = 0; i < c->node_count && !err; i++)
		c->timers.node_late_ns[c->nodes[i].id] = c->nodes[i].late_ns;
	/* Last, because the checks above find an entry's line by its place in the file. */
	if (!err)
		qsort(c->nodes, c->node_count, sizeof(c->nodes[0]), by_id);
	return err;
}
