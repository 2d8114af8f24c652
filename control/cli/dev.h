/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local development cluster: what stands in <dir>/cluster.json, and how it is made.
 *
 *	<dir>/cluster.json   what was made, where, which processes run
 *	<dir>/profile.conf   the hardware profile, made once, may be edited
 *	<dir>/filter         the drop filter, one byte a directed pair of nodes
 *	<dir>/<node>/node.conf, log, storage/
 *	run directory        sockets only; short, because of the limit on socket paths
 *
 * Every change is under a lock on <dir>/lock, so that verbs do not meet.
 */
#ifndef TERN_CLI_DEV_H
#define TERN_CLI_DEV_H

#include "control/cli/cli.h"
#include "control/cli/process.h"
#include "control/config/node_config.h"

#define DEV_NODES_MAX 4u
#define DEV_NETNS_MAX 40u
#define DEV_MTU       1500u
#define DEV_MTU_JUMBO 9000u
#define DEV_LINKS_MAX 2u
/* Of node id: on the management network, with namespaces, and on data network number. */
#define DEV_MGMT_HOST  "10.78.0.%u"
#define DEV_MGMT_HOST6 "fd78::%x"
#define DEV_DATA_HOST  "10.77.%u.%u"
#define DEV_DATA_HOST6 "fd77:%x::%x"

enum dev_net { DEV_NET_MEMIF = 0, DEV_NET_VETH, DEV_NET_VETH_XDP };

struct dev_node {
	char name[NODE_CONFIG_NAME_MAX];
	uint16_t id;
	bool is_witness;
	bool is_spare;       /* a data node that storage is not made with as a voter */
	bool is_initialized; /* storage was created: never again */
	uint16_t mgmt_port, resp_port, client_port;
	struct process process;
};

struct dev {
	char dir[NODE_CONFIG_PATH_MAX - 64]; /* absolute; room for the names below it */
	char run_dir[64];
	uint64_t cluster_id;
	uint64_t log_bytes;
	bool is_log_ram;
	uint32_t ec_k, ec_m; /* files of each data node */
	enum dev_net net;
	uint32_t mtu;
	uint32_t links; /* between any two data nodes; each is a network of its own */
	bool is_ipv6;
	uint32_t node_count, data_count; /* data nodes first; one more node: the witness */
	uint32_t spare_count;            /* of the data nodes, the last ones */
	struct dev_node nodes[DEV_NODES_MAX];
	int lock_fd;
};

/* The absolute path of the cluster's directory. */
enum admin_exit dev_dir(struct cli *cli, struct dev *dev);
/* Locks and reads cluster.json. UNREACHABLE: there is none; reported when @is_required. */
enum admin_exit dev_open(struct cli *cli, struct dev *dev, bool is_required);
void dev_close(struct dev *dev);
/* Reads without a lock; false: there is no (whole) cluster.json. */
bool dev_load(struct dev *dev);
/* Replaces cluster.json. */
enum admin_exit dev_save(struct cli *cli, const struct dev *dev);
/* By name or number; NULL: reported. */
struct dev_node *dev_find(struct cli *cli, struct dev *dev, const char *name);

/* Paths below the directories; @out: NODE_CONFIG_PATH_MAX. */
void dev_path(const struct dev *dev, const struct dev_node *node, const char *leaf, char *out);
void dev_admin_socket(const struct dev *dev, const struct dev_node *node,
		      char out[NODE_CONFIG_SOCKET_MAX]);

/* Chooses id and ports of a new cluster of dev->node_count nodes. */
enum admin_exit dev_choose(struct cli *cli, struct dev *dev);
/* Makes run directory, profile, filter, node files and storage, as far as they are missing. */
enum admin_exit dev_make(struct cli *cli, struct dev *dev);
/* Removes the run directory and all in it. */
void dev_remove_run(struct dev *dev);

/* ---- dev_net.c: network namespaces ---- */

const char *dev_net_name(enum dev_net net);
bool dev_net_parse(const char *text, enum dev_net *net);
/* Takes --net, --mtu, --links and --ip. They may change while no node runs. */
enum admin_exit dev_net_choose(struct cli *cli, struct dev *dev);
/* Makes the namespaces and links that @dev's network needs, as far as they are missing. */
enum admin_exit dev_net_make(struct cli *cli, const struct dev *dev);
/* Removes those that dev_net_make made; no error if there are none. False: @text says why. */
bool dev_net_remove(const struct dev *dev, char *text, size_t text_bytes);
/* The loopback address at which clients reach a node. */
const char *dev_net_loopback(const struct dev *dev);
/* Frame size of port @number, which leads to @peer by @link, and its device if that is not memif's.
 */
void dev_net_port(const struct dev *dev, const struct dev_node *peer, uint32_t link,
		  struct node_config_port *port, uint32_t number);
/* One data port a link leads to all peers, over a switch. False: there is one a peer. */
bool dev_net_is_shared(const struct dev *dev);
/* Where @node is to start: its namespace, and its sockets for clients opened in ours. */
enum admin_exit dev_net_place(struct cli *cli, const struct dev *dev, const struct dev_node *node,
			      struct process_place *place);
void dev_net_place_close(struct process_place *place);

/* The text of the profile that ships for local clusters; embedded when this was built. */
extern const char dev_profile_text[];

#endif
