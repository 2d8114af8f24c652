/* SPDX-License-Identifier: Apache-2.0 */
/* How a local cluster is made: ports, run directory, node files, storage. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/dev.h"
#include "control/config/config_units.h"
#include "dataplane/base/bits.h"
#include "hw/file_store/register_store.h"

/* Below the range from which the kernel takes ports for outgoing connections, so that a port stays
 * free while its node is down. */
#define PORT_FIRST  20000u
#define PORT_COUNT  12000u
#define PORT_TRIES  1000u
#define DATA_PORT   7400u
#define PROFILE_MAX (256u << 10)
/* Twice the ring of the profile that ships. */
#define DEVICE_BYTES_MIN (32ull << 20)

/* A port that is free for UDP and TCP; both sockets stay open in @held until all are chosen. */
static uint16_t
hold_port(int held[2])
{
	uint16_t seed;

	for (uint32_t i = 0; i < PORT_TRIES; i++) {
		if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
			return 0;
		const uint16_t port = (uint16_t)(PORT_FIRST + seed % PORT_COUNT);
		const struct sockaddr_in address = { .sin_family = AF_INET,
						     .sin_port = htons(port),
						     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		held[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		held[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (held[0] >= 0 && held[1] >= 0 &&
		    bind(held[0], (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		    bind(held[1], (const struct sockaddr *)&address, sizeof(address)) == 0)
			return port;
		(void)close(held[0]);
		(void)close(held[1]);
	}
	held[0] = held[1] = -1;
	return 0;
}

enum admin_exit
dev_choose(struct cli *cli, struct dev *dev)
{
	static const char *const names[DEV_NODES_MAX] = { "a", "b", "c", "d" };
	uint16_t ports[DEV_NODES_MAX * 3];
	int held[DEV_NODES_MAX * 3][2];
	bool is_good = true;

	for (uint32_t i = 0; i < dev->node_count * 3; i++) {
		ports[i] = hold_port(held[i]);
		is_good = is_good && ports[i] != 0;
	}
	for (uint32_t i = 0; i < dev->node_count * 3; i++) {
		(void)close(held[i][0]);
		(void)close(held[i][1]);
	}
	dev->links = dev->links == 0 ? 1 : dev->links;
	dev->ec_k = dev->ec_k == 0 ? 1 : dev->ec_k;
	if (!is_good || !node_birth_cluster_id(&dev->cluster_id))
		return cli_fail(cli, ADMIN_EXIT_FAILED, "no free ports on 127.0.0.1");
	for (uint32_t i = 0; i < dev->node_count; i++) {
		struct dev_node *node = &dev->nodes[i];
		(void)snprintf(node->name, sizeof(node->name), "%s",
			       i < dev->data_count ? names[i] : "w");
		node->id = (uint16_t)(i + 1);
		node->is_witness = i >= dev->data_count;
		node->is_spare = i < dev->data_count && i >= dev->data_count - dev->spare_count;
		node->mgmt_port = ports[i * 3];
		node->resp_port = ports[i * 3 + 1];
		node->client_port = ports[i * 3 + 2];
	}
	return ADMIN_EXIT_OK;
}

/* ---- run directory ---- */

static bool
is_private_dir(const char *path)
{
	struct stat facts;

	return path[0] != 0 && lstat(path, &facts) == 0 && S_ISDIR(facts.st_mode) &&
	       facts.st_uid == geteuid();
}

static bool
try_run_dir(struct dev *dev, const char *parent)
{
	/* Room for "/m1-2b.sock" and EAL's own names below it. */
	if (!parent || parent[0] != '/' || strlen(parent) + 13 >= sizeof(dev->run_dir))
		return false;
	(void)snprintf(dev->run_dir, sizeof(dev->run_dir), "%s/tern-XXXXXX", parent);
	return mkdtemp(dev->run_dir) != NULL;
}

static int
remove_one(const char *path, const struct stat *facts, int kind, struct FTW *walk)
{
	(void)facts;
	(void)kind;
	(void)walk;
	return remove(path);
}

void
dev_remove_run(struct dev *dev)
{
	const char *name = strrchr(dev->run_dir, '/');
	char text[256];

	/* Only what try_run_dir made is removed, whatever cluster.json says. Namespaces bear its
	 * name: it stays as long as they do. */
	if (!dev_net_remove(dev, text, sizeof(text)))
		return;
	if (name && strncmp(name, "/tern-", 6) == 0 && strlen(name) == 12 &&
	    is_private_dir(dev->run_dir))
		(void)nftw(dev->run_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	dev->run_dir[0] = 0;
}

/* ---- files ---- */

static enum admin_exit
make_profile(struct cli *cli, const struct dev *dev)
{
	const char *given = cli->values[CLI_PROFILE];
	char path[NODE_CONFIG_PATH_MAX];
	size_t bytes = strlen(dev_profile_text);
	enum tern_err err = TERN_OK;

	dev_path(dev, NULL, "profile.conf", path);
	if (access(path, F_OK) == 0 && !given)
		return ADMIN_EXIT_OK;
	char *copy = given ? malloc(PROFILE_MAX) : NULL;
	if (given && !copy)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
	if (given)
		err = file_store_read(given, copy, PROFILE_MAX, &bytes);
	if (err) {
		free(copy);
		return cli_fail(cli, ADMIN_EXIT_CONFIG, "--profile %s cannot be read: %s", given,
				tern_err_text(err));
	}
	err = file_store_write_atomic(path, given ? copy : dev_profile_text, bytes);
	free(copy);
	if (err)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "%s cannot be written: %s", path,
				tern_err_text(err));
	return ADMIN_EXIT_OK;
}

static enum admin_exit
make_filter(struct cli *cli, const struct dev *dev)
{
	static const uint8_t nothing_cut[FILTER_BYTES_ALL];
	char path[NODE_CONFIG_PATH_MAX];
	struct stat facts;

	dev_path(dev, NULL, "filter", path);
	/* Never replaced: daemons that run have it mapped. */
	const bool is_there = stat(path, &facts) == 0 && facts.st_size >= (off_t)FILTER_BYTES;
	if (is_there && (facts.st_size >= (off_t)FILTER_BYTES_ALL ||
			 truncate(path, (off_t)FILTER_BYTES_ALL) == 0))
		return ADMIN_EXIT_OK;
	if (file_store_write_atomic(path, nothing_cut, sizeof(nothing_cut)))
		return cli_fail(cli, ADMIN_EXIT_FAILED, "%s cannot be written", path);
	return ADMIN_EXIT_OK;
}

static void
set_address(struct node_address *address, const char *host, uint16_t port)
{
	const bool is_v6 = strchr(host, ':') != NULL;

	(void)snprintf(address->text, sizeof(address->text), is_v6 ? "[%s]:%u" : "%s:%u", host,
		       port);
	address->port = port;
}

static void
fill_nodes(const struct dev *dev, struct node_config *config)
{
	const char *loopback = dev->is_ipv6 ? "::1" : "127.0.0.1";
	char host[32];

	config->node_count = dev->node_count;
	for (uint32_t i = 0; i < dev->node_count; i++) {
		const struct dev_node *from = &dev->nodes[i];
		struct node_config_node *node = &config->nodes[i];
		memcpy(node->name, from->name, sizeof(node->name));
		node->id = from->id;
		node->kind = from->is_witness ? NODE_WITNESS : NODE_DATA;
		node->is_spare = from->is_spare;
		if (dev->is_ipv6)
			(void)snprintf(host, sizeof(host), DEV_MGMT_HOST6, from->id);
		else
			(void)snprintf(host, sizeof(host), DEV_MGMT_HOST, from->id);
		set_address(&node->mgmt, dev->net == DEV_NET_MEMIF ? loopback : host,
			    from->mgmt_port);
		dev_admin_socket(dev, from, node->admin_socket);
		set_address(&node->resp, loopback, from->resp_port);
		if (from->is_witness)
			continue;
		set_address(&node->client, loopback, from->client_port);
		node->data_count = dev->links;
		for (uint32_t link = 0; link < dev->links; link++) {
			if (dev->is_ipv6)
				(void)snprintf(host, sizeof(host), DEV_DATA_HOST6, link, from->id);
			else
				(void)snprintf(host, sizeof(host), DEV_DATA_HOST, link, from->id);
			set_address(&node->data[link], host, DATA_PORT);
		}
	}
}

/* Of a memif port, the lower id listens. */
static void
fill_port(const struct dev *dev, const struct dev_node *self, const struct dev_node *peer,
	  uint32_t link, struct node_config *config)
{
	struct node_config_port *port = &config->ports[config->port_count];
	const bool is_server = self->id < peer->id;
	char host[32];

	dev_net_port(dev, peer, link, port, config->port_count);
	if (dev->net == DEV_NET_MEMIF)
		(void)snprintf(port->device, sizeof(port->device),
			       "net_memif%u,role=%s,id=0,socket=%s/m%u-%u%s.sock,"
			       "socket-abstract=no,%s",
			       config->port_count, is_server ? "server" : "client", dev->run_dir,
			       is_server ? self->id : peer->id, is_server ? peer->id : self->id,
			       link == 0 ? "" : "b",
			       dev->mtu > DEV_MTU ? "bsize=9216,rsize=8" : "bsize=2048,rsize=10");
	if (dev->is_ipv6)
		(void)snprintf(host, sizeof(host), DEV_DATA_HOST6, link, self->id);
	else
		(void)snprintf(host, sizeof(host), DEV_DATA_HOST, link, self->id);
	(void)node_config_port_ip(port, host);
	config->port_count++;
	if (dev_net_is_shared(dev))
		return;
	port->peer_count = 1;
	port->peers[0] = peer->id;
}

/* Of each link, one port to a switch, or one a peer. */
static void
fill_ports(const struct dev *dev, const struct dev_node *self, struct node_config *config)
{
	for (uint32_t link = 0; link < dev->links; link++)
		for (uint32_t i = 0; i < dev->node_count; i++) {
			const struct dev_node *peer = &dev->nodes[i];
			if (peer->is_witness || peer->id == self->id)
				continue;
			fill_port(dev, self, peer, link, config);
			if (dev_net_is_shared(dev))
				break;
		}
}

static void
device_path(const struct dev *dev, const struct dev_node *node, uint32_t number, char *out)
{
	char leaf[32];

	(void)snprintf(leaf, sizeof(leaf), "storage/device%u", number);
	dev_path(dev, node, leaf, out);
}

/* A node's log is spread over k of them. */
static uint64_t
device_bytes(const struct dev *dev)
{
	const uint64_t share = (dev->log_bytes + dev->ec_k - 1) / dev->ec_k;

	return max_u64(DEVICE_BYTES_MIN, align_up_u64(share, 1u << 20));
}

static enum admin_exit
make_node_file(struct cli *cli, const struct dev *dev, const struct dev_node *self)
{
	struct node_config config = { .id = self->id,
				      .is_dev = true,
				      .cluster_id = dev->cluster_id };
	char path[NODE_CONFIG_PATH_MAX], text[512];

	dev_path(dev, self, "", path);
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "%s: %s", path, strerror(errno));
	config.kind = self->is_witness ? NODE_WITNESS : NODE_DATA;
	memcpy(config.name, self->name, sizeof(config.name));
	dev_path(dev, self, "storage", config.storage_dir);
	(void)snprintf(config.run_dir, sizeof(config.run_dir), "%s", dev->run_dir);
	dev_admin_socket(dev, self, config.admin_socket);
	dev_path(dev, NULL, "filter", config.filter_file);
	dev_path(dev, NULL, "profile.conf", config.profile);
	fill_nodes(dev, &config);
	if (!self->is_witness) {
		config.is_log_volatile = dev->is_log_ram;
		config.device_count = dev->ec_k + dev->ec_m;
		config.parity = dev->ec_m;
		for (uint32_t i = 0; i < config.device_count; i++) {
			device_path(dev, self, i, config.devices[i].path);
			config.devices[i].bytes = device_bytes(dev);
		}
		fill_ports(dev, self, &config);
	}
	dev_path(dev, self, "node.conf", path);
	if (node_config_write(path, &config, text, sizeof(text)))
		return cli_fail(cli, ADMIN_EXIT_FAILED, "%s", text);
	return ADMIN_EXIT_OK;
}

/* A first `dev up` that was ended half-way may have left files that no node ever used. Anything
 * else in their place is somebody's storage: it stays, and so does what is recorded. */
static enum admin_exit
clear_unfinished(struct cli *cli, const struct dev *dev)
{
	char path[NODE_CONFIG_PATH_MAX], text[768];

	for (uint32_t i = 0; i < dev->node_count; i++) {
		const struct dev_node *node = &dev->nodes[i];
		if (node->is_initialized)
			continue;
		const uint32_t files = node->is_witness ? 1 : dev->ec_k + dev->ec_m;
		enum admin_exit code = ADMIN_EXIT_OK;
		for (uint32_t k = 0; k < files && !code; k++) {
			if (node->is_witness)
				dev_path(dev, node, "storage/register", path);
			else
				device_path(dev, node, k, path);
			code = node_birth_clear(path, node->is_witness, dev->cluster_id, text,
						sizeof(text));
		}
		if (code)
			return cli_fail(cli, code,
					"node %s: %s; cluster.json does not know it. End what uses "
					"it, then move %s/%s away, or give another --dir",
					node->name, text, dev->dir, node->name);
	}
	return ADMIN_EXIT_OK;
}

static enum admin_exit
make_storage(struct cli *cli, struct dev *dev, struct dev_node *node)
{
	static const struct generation birth = { 1, 0 };
	char path[NODE_CONFIG_PATH_MAX], text[768];
	struct node_config *config = malloc(sizeof(*config));

	if (!config)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
	dev_path(dev, node, "node.conf", path);
	enum admin_exit code = ADMIN_EXIT_OK;
	if (node_config_load(path, config, text, sizeof(text)))
		code = cli_fail(cli, ADMIN_EXIT_CONFIG, "%s", text);
	if (!code && !node->is_initialized) {
		code = node_birth(config, dev->cluster_id, &birth, text, sizeof(text));
		if (code)
			(void)cli_fail(cli, code, "node %s: %s", node->name, text);
		node->is_initialized = code == ADMIN_EXIT_OK;
	}
	free(config);
	return code;
}

enum admin_exit
dev_make(struct cli *cli, struct dev *dev)
{
	enum admin_exit code = clear_unfinished(cli, dev);
	char text[512];

	/* First what may be refused, before there is anything to clear away. */
	if (!code)
		code = make_profile(cli, dev);
	if (code)
		return code;
	/* A run directory that vanished leaves its namespaces behind. */
	if (!is_private_dir(dev->run_dir) && !dev_net_remove(dev, text, sizeof(text)))
		return cli_fail(cli, ADMIN_EXIT_FAILED, "old network namespaces: %s", text);
	if (!is_private_dir(dev->run_dir) && !try_run_dir(dev, getenv("XDG_RUNTIME_DIR")) &&
	    !try_run_dir(dev, "/tmp"))
		return cli_fail(cli, ADMIN_EXIT_FAILED, "no run directory below /tmp: %s",
				strerror(errno));
	code = dev_save(cli, dev);
	if (!code)
		code = make_filter(cli, dev);
	for (uint32_t i = 0; i < dev->node_count && !code; i++)
		code = make_node_file(cli, dev, &dev->nodes[i]);
	for (uint32_t i = 0; i < dev->node_count && !code; i++) {
		code = make_storage(cli, dev, &dev->nodes[i]);
		if (!code)
			code = dev_save(cli, dev);
	}
	if (!code)
		code = dev_net_make(cli, dev);
	return code;
}
