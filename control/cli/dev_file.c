/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/dev.h"
#include "dataplane/stripe/layout.h"
#include "hw/file_store/register_store.h"

#define API         "dev-cluster/v1"
#define DEFAULT_DIR ".tern"

enum admin_exit
dev_dir(struct cli *cli, struct dev *dev)
{
	const char *given = cli->values[CLI_DIR] ? cli->values[CLI_DIR] : DEFAULT_DIR;
	char current[PATH_MAX], path[PATH_MAX + 256];
	int bytes;

	memset(dev, 0, sizeof(*dev));
	dev->lock_fd = -1;
	if (given[0] == '/')
		bytes = snprintf(path, sizeof(path), "%s", given);
	else if (getcwd(current, sizeof(current)))
		bytes = snprintf(path, sizeof(path), "%s/%.255s", current, given);
	else
		return cli_fail(cli, ADMIN_EXIT_FAILED, "no current directory: %s",
				strerror(errno));
	if (bytes < 0 || (size_t)bytes >= sizeof(dev->dir))
		return cli_fail(
		    cli, ADMIN_EXIT_USAGE,
		    "the directory's path is %d bytes long, allowed at most %zu; give a "
		    "shorter one with --dir",
		    bytes, sizeof(dev->dir) - 1);
	memcpy(dev->dir, path, (size_t)bytes + 1);
	return ADMIN_EXIT_OK;
}

void
dev_path(const struct dev *dev, const struct dev_node *node, const char *leaf, char *out)
{
	(void)snprintf(out, NODE_CONFIG_PATH_MAX, "%s%s%s%s%s", dev->dir, node ? "/" : "",
		       node ? node->name : "", leaf[0] ? "/" : "", leaf);
}

void
dev_admin_socket(const struct dev *dev, const struct dev_node *node,
		 char out[NODE_CONFIG_SOCKET_MAX])
{
	out[0] = 0; /* no run directory: nothing runs */
	if (dev->run_dir[0] != 0)
		(void)snprintf(out, NODE_CONFIG_SOCKET_MAX, "%s/%.16s.sock", dev->run_dir,
			       node->name);
}

struct dev_node *
dev_find(struct cli *cli, struct dev *dev, const char *name)
{
	for (uint32_t i = 0; i < dev->node_count; i++) {
		if (strcmp(dev->nodes[i].name, name) == 0)
			return &dev->nodes[i];
	}
	char allowed[DEV_NODES_MAX * (NODE_CONFIG_NAME_MAX + 2)] = "";
	for (uint32_t i = 0; i < dev->node_count; i++) {
		const size_t used = strlen(allowed);
		(void)snprintf(allowed + used, sizeof(allowed) - used, "%s%s", i ? ", " : "",
			       dev->nodes[i].name);
	}
	(void)cli_fail(cli, ADMIN_EXIT_USAGE, "no node \"%.32s\", allowed %s", name, allowed);
	return NULL;
}

/* ---- cluster.json ---- */

static uint64_t
get_u64(const json_t *object, const char *key)
{
	const json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

static bool
get_text(const json_t *object, const char *key, char *out, size_t out_bytes)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (!text || strlen(text) >= out_bytes)
		return false;
	(void)snprintf(out, out_bytes, "%s", text);
	return true;
}

static bool
load_node(const json_t *from, struct dev_node *node)
{
	char boot_id[17];

	node->id = (uint16_t)get_u64(from, "id");
	node->is_witness = json_is_true(json_object_get(from, "witness"));
	node->is_spare = json_is_true(json_object_get(from, "spare"));
	node->is_initialized = json_is_true(json_object_get(from, "initialized"));
	node->mgmt_port = (uint16_t)get_u64(from, "mgmt_port");
	node->resp_port = (uint16_t)get_u64(from, "resp_port");
	node->client_port = (uint16_t)get_u64(from, "client_port");
	node->process.pid = (pid_t)get_u64(from, "pid");
	node->process.start_time = get_u64(from, "start_time");
	if (get_text(from, "boot_id", boot_id, sizeof(boot_id)))
		node->process.boot_id = strtoull(boot_id, NULL, 16);
	return get_text(from, "name", node->name, sizeof(node->name)) && node->id > 0 &&
	       node->id < NET_NODES_MAX && node->mgmt_port > 0;
}

bool
dev_load(struct dev *dev)
{
	char path[NODE_CONFIG_PATH_MAX], text[32];

	dev->data_count = dev->spare_count = 0;
	dev_path(dev, NULL, "cluster.json", path);
	json_t *file = json_load_file(path, 0, NULL);
	const json_t *nodes = json_object_get(file, "nodes");
	const char *api = json_string_value(json_object_get(file, "api"));
	bool is_good = api && strcmp(api, API) == 0 && json_array_size(nodes) != 0 &&
		       json_array_size(nodes) <= DEV_NODES_MAX &&
		       get_text(file, "run_dir", dev->run_dir, sizeof(dev->run_dir)) &&
		       get_text(file, "cluster_id", text, sizeof(text));

	dev->node_count = is_good ? (uint32_t)json_array_size(nodes) : 0;
	for (uint32_t i = 0; i < dev->node_count && is_good; i++) {
		is_good = load_node(json_array_get(nodes, i), &dev->nodes[i]);
		dev->data_count += !dev->nodes[i].is_witness;
		dev->spare_count += dev->nodes[i].is_spare;
	}
	if (is_good) {
		dev->cluster_id = strtoull(text, NULL, 16);
		dev->log_bytes = get_u64(file, "log_bytes");
		dev->mtu = (uint32_t)get_u64(file, "mtu");
		/* Older files say nothing: memif was all there was. */
		if (!get_text(file, "net", text, sizeof(text)))
			dev->net = DEV_NET_MEMIF;
		else
			is_good = dev_net_parse(text, &dev->net);
		dev->mtu = dev->mtu == 0 ? DEV_MTU : dev->mtu;
		dev->links = (uint32_t)get_u64(file, "links");
		dev->is_ipv6 = get_u64(file, "ip") == 6;
		is_good = is_good && dev->links <= DEV_LINKS_MAX;
		dev->links = dev->links == 0 ? 1 : dev->links;
		dev->ec_k = (uint32_t)get_u64(file, "ec_k");
		dev->ec_m = (uint32_t)get_u64(file, "ec_m");
		dev->ec_k = dev->ec_k == 0 ? 1 : dev->ec_k;
		is_good = is_good && dev->ec_k <= STRIPE_K_MAX && dev->ec_m <= STRIPE_M_MAX;
		dev->is_log_ram = json_is_true(json_object_get(file, "log_in_ram"));
	}
	json_decref(file);
	return is_good;
}

enum admin_exit
dev_save(struct cli *cli, const struct dev *dev)
{
	char path[NODE_CONFIG_PATH_MAX], id[17], boot_id[17];
	json_t *nodes = json_array();

	admin_hex64(dev->cluster_id, id);
	for (uint32_t i = 0; i < dev->node_count; i++) {
		const struct dev_node *node = &dev->nodes[i];
		admin_hex64(node->process.boot_id, boot_id);
		(void)json_array_append_new(
		    nodes,
		    json_pack("{s:s,s:i,s:b,s:b,s:b,s:i,s:i,s:i,s:i,s:I,s:s}", "name", node->name,
			      "id", (int)node->id, "witness", (int)node->is_witness, "spare",
			      (int)node->is_spare, "initialized", (int)node->is_initialized,
			      "mgmt_port", (int)node->mgmt_port, "resp_port", (int)node->resp_port,
			      "client_port", (int)node->client_port, "pid", (int)node->process.pid,
			      "start_time", (json_int_t)node->process.start_time, "boot_id",
			      boot_id));
	}
	json_t *file = json_pack("{s:s,s:s,s:s,s:I,s:b,s:s,s:i,s:i,s:i,s:o}", "api", API,
				 "cluster_id", id, "run_dir", dev->run_dir, "log_bytes",
				 (json_int_t)dev->log_bytes, "log_in_ram", (int)dev->is_log_ram,
				 "net", dev_net_name(dev->net), "mtu", (int)dev->mtu, "links",
				 (int)dev->links, "ip", dev->is_ipv6 ? 6 : 4, "nodes", nodes);
	(void)json_object_set_new(file, "ec_k", json_integer(dev->ec_k));
	(void)json_object_set_new(file, "ec_m", json_integer(dev->ec_m));
	char *text = file ? json_dumps(file, JSON_INDENT(2)) : NULL;
	json_decref(file);
	dev_path(dev, NULL, "cluster.json", path);
	const bool is_good = text && file_store_write_atomic(path, text, strlen(text)) == TERN_OK;
	free(text);
	if (!is_good)
		return cli_fail(cli, ADMIN_EXIT_FAILED,
				"%s cannot be written: check the directory's owner and free space",
				path);
	return ADMIN_EXIT_OK;
}

/* ---- opening ---- */

static enum admin_exit
lock(struct cli *cli, struct dev *dev)
{
	char path[NODE_CONFIG_PATH_MAX];

	dev_path(dev, NULL, "lock", path);
	dev->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (dev->lock_fd < 0)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "%s: %s", path, strerror(errno));
	if (flock(dev->lock_fd, LOCK_EX) != 0)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "%s cannot be locked: %s", path,
				strerror(errno));
	return ADMIN_EXIT_OK;
}

enum admin_exit
dev_open(struct cli *cli, struct dev *dev, bool is_required)
{
	char path[NODE_CONFIG_PATH_MAX];
	enum admin_exit code = dev_dir(cli, dev);

	if (code)
		return code;
	dev_path(dev, NULL, "cluster.json", path);
	if (is_required && access(path, F_OK) != 0)
		return cli_fail(cli, ADMIN_EXIT_UNREACHABLE,
				"no local cluster in %s; start one with `tern dev up`", dev->dir);
	if (mkdir(dev->dir, 0755) != 0 && errno != EEXIST)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "%s: %s", dev->dir, strerror(errno));
	code = lock(cli, dev);
	if (code)
		return code;
	if (access(path, F_OK) == 0 && !dev_load(dev))
		return cli_fail(cli, ADMIN_EXIT_CONFIG,
				"%s is damaged; move it away together with the nodes' directories "
				"to begin anew",
				path);
	return ADMIN_EXIT_OK;
}

void
dev_close(struct dev *dev)
{
	if (dev->lock_fd >= 0)
		(void)close(dev->lock_fd);
	dev->lock_fd = -1;
}
