/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node file ("who am I, who are the others") and the hardware profile ("what does this machine
 * have"), both in libconfig syntax: parsed, checked and frozen into one flat structure.
 *
 * A setting of the groups timers, poll, memory, disk, log, state, gateway, policy and ports may
 * stand in either file; the node file wins, setting by setting. Sizes and times are strings with
 * units
 * ("2GiB", "20us"). An unknown key is an error. Everything has a default except identity:
 * node.name, node.id and the list of nodes.
 *
 * Promises: on TERN_OK every field is in range and every path is absolute, ended and short enough
 * for its use; nothing points outside the structure, so it may be copied. Thread: any; no globals.
 */
#ifndef TERN_CONFIG_NODE_CONFIG_H
#define TERN_CONFIG_NODE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/core/core.h"
#include "dataplane/wire/inet_addr.h"
#include "hw/seam/net_ops.h"

#define NODE_CONFIG_SCHEMA       1
#define NODE_CONFIG_NODES_MAX    CORE_NODES_MAX
#define NODE_CONFIG_DEVICES_MAX  20u
#define NODE_CONFIG_SPARES_MAX   4u
#define NODE_CONFIG_PORTS_MAX    8u
#define NODE_CONFIG_NETWORKS_MAX 4u /* data addresses of a node */
#define NODE_CONFIG_NAME_MAX     32u
#define NODE_CONFIG_PATH_MAX     512u
/* sizeof(sun_path) with its end: what the kernel, and so net_memif, takes. */
#define NODE_CONFIG_SOCKET_MAX 108u
#define NODE_CONFIG_RUN_MAX    96u /* EAL makes its sockets below the run directory */

enum node_kind { NODE_DATA = 1, NODE_WITNESS };

/* "host:port" as it was written, and resolved. The host of an IPv6 address stands in brackets. */
struct node_address {
	char text[80]; /* "" : not given */
	char host[80]; /* of text, without brackets */
	struct inet_addr ip;
	uint16_t port; /* host byte order */
};

struct node_config_node {
	char name[NODE_CONFIG_NAME_MAX];
	uint16_t id; /* 1..NET_NODES_MAX - 1 */
	enum node_kind kind;
	bool is_spare;    /* data nodes: the cluster's first configuration does not name it */
	uint64_t late_ns; /* data nodes: T_late of this one; 0: timers.t_late */
	/* Data nodes: UDP over the data ports; one address a network. */
	uint32_t data_count;
	struct node_address data[NODE_CONFIG_NETWORKS_MAX];
	struct node_address mgmt;                  /* every node: UDP over kernel sockets */
	struct node_address resp;                  /* TCP; a witness's: Sentinel calls, optional */
	struct node_address client;                /* data nodes: UDP for libtern */
	char admin_socket[NODE_CONFIG_SOCKET_MAX]; /* "": not on this machine */
};

struct node_config_device {
	char path[NODE_CONFIG_PATH_MAX];
	uint64_t bytes;
};

struct node_config_port {
	/* EAL's words: "net_memif0,role=server,socket=...,socket-abstract=no", or a PCI address. */
	char device[NODE_CONFIG_PATH_MAX];
	struct inet_addr ip;  /* ours on this port: one of our data addresses */
	uint32_t network;     /* which of them; peers are reached at theirs of that number */
	uint32_t payload_max; /* bytes of UDP payload a frame; 0: the adapter's default */
	uint32_t line;        /* where it stands, for messages */
	char file[NODE_CONFIG_PATH_MAX];
	/* Nodes reached through it; none: all data nodes. */
	uint32_t peer_count;
	uint16_t peers[NODE_CONFIG_NODES_MAX];
};

enum poll_mode { POLL_BUSY = 1, POLL_ADAPTIVE };

enum disk_durability {
	DISK_DURABILITY_AUTO = 1, /* RWF_DSYNC, except where the device writes its cache through */
	DISK_DURABILITY_DSYNC,    /* RWF_DSYNC on every write */
	DISK_DURABILITY_NONE,     /* dev: no flush at all, breaks every promise */
};

enum disk_iopoll {
	DISK_IOPOLL_OFF = 1,
	DISK_IOPOLL_AUTO, /* where it works */
	DISK_IOPOLL_ON,   /* the same, and a warning where it does not */
};

enum disk_passthrough {
	DISK_PASSTHROUGH_OFF = 1,
	DISK_PASSTHROUGH_AUTO, /* where it works */
	DISK_PASSTHROUGH_ON,   /* where it does not, the node does not start */
};

enum disk_lossy {
	DISK_LOSSY_NONE = 0,
	DISK_LOSSY_UNFLUSHED, /* dev: writes that were not flushed are lost at SIGKILL */
	DISK_LOSSY_LYING,     /* dev: flushes are acknowledged and not done */
};

struct node_config {
	char file[NODE_CONFIG_PATH_MAX];
	char name[NODE_CONFIG_NAME_MAX];
	uint16_t id;
	enum node_kind kind;
	bool is_dev;
	uint64_t cluster_id; /* what the storage has to belong to; 0: not said */

	char storage_dir[NODE_CONFIG_PATH_MAX];
	char register_file[NODE_CONFIG_PATH_MAX]; /* witness: <storage>/register */
	char divergent_dir[NODE_CONFIG_PATH_MAX]; /* data node: <storage>/divergent */
	char run_dir[NODE_CONFIG_RUN_MAX];
	char admin_socket[NODE_CONFIG_SOCKET_MAX];
	char filter_file[NODE_CONFIG_PATH_MAX]; /* dev only; "": no filter. FILTER_BYTES long */

	uint32_t node_count;
	struct node_config_node nodes[NODE_CONFIG_NODES_MAX]; /* rising id; this node included */
	uint64_t data_nodes;  /* mask of ids: the voters that storage is made with */
	uint64_t known_nodes; /* all data nodes, spare ones too */
	uint16_t witness_id;  /* 0: none */
	bool is_log_volatile; /* the log area is RAM; only superblocks are on the devices */
	uint32_t device_count;
	struct node_config_device devices[NODE_CONFIG_DEVICES_MAX];
	/* Blank devices of the size of the others, to take the place of one that failed. */
	uint32_t spare_count;
	struct node_config_device spares[NODE_CONFIG_SPARES_MAX];
	uint32_t parity; /* m: so many of them may be lost; the others are k */

	/* From the profile, or the node file. */
	char profile[NODE_CONFIG_PATH_MAX]; /* "": none, defaults only */
	struct core_timers timers;
	struct {
		enum poll_mode mode;
		uint64_t spin_ns;      /* ADAPTIVE: idle for that long before the first sleep */
		uint64_t sleep_min_ns; /* shortest sleep */
		uint64_t sleep_max_ns; /* sleeps grow with the idle time, up to this */
		int cpu;               /* lcore pinned to it; -1: not pinned */
	} poll;
	uint32_t port_count;
	struct node_config_port ports[NODE_CONFIG_PORTS_MAX];
	struct {
		bool no_huge;  /* how much DPDK takes follows from the ports */
		bool populate; /* all memory is touched at the start, not when it is used */
	} memory;
	struct {
		enum disk_durability durability;
		enum disk_iopoll iopoll;           /* needs poll.mode = busy */
		enum disk_passthrough passthrough; /* needs iopoll */
		uint32_t queue_depth;              /* requests in flight a device */
		uint64_t hang_ns; /* with parity: who takes longer for one has failed */
		/* What a rebuild and a scrub may take of the devices, bytes a second. */
		uint64_t rebuild_bytes_s, scrub_bytes_s;
		uint64_t scrub_interval_ns; /* between two scrubs; 0: only on request */
		enum disk_lossy lossy;
		bool allow_volatile; /* take a RAM device or a file on a RAM file system */
	} disk;
	struct {
		uint64_t ring_bytes; /* a power of two, at least 8 blocks of largest commands */
		uint64_t command_bytes_max;
	} log;
	struct {
		uint64_t capacity_bytes; /* logical; the arena is twice that */
		uint64_t value_bytes_max;
		uint32_t sessions_max;
	} state;
	struct {
		uint32_t connections_max;
		uint32_t in_flight_max;
		uint64_t stale_ns_max; /* age of what a replica answers; 0: any */
		bool is_forwarding;    /* writes at a replica go to the master */
	} gateway;
	struct {
		char master_name[NODE_CONFIG_NAME_MAX]; /* what Sentinel clients ask for */
	} sentinel;
	struct {
		bool solo_isolated_stop;
		uint32_t min_copies;
	} policy;
};

/* The filter: a byte a directed pair of nodes, then one a device of each node (enum faulty_kind).
 */
#define FILTER_BYTES       ((size_t)NET_NODES_MAX * NET_NODES_MAX)
#define FILTER_DEVICES_MAX 32u
#define FILTER_BYTES_ALL   (FILTER_BYTES + (size_t)NET_NODES_MAX * FILTER_DEVICES_MAX)

/* Reads @path and the profile that it names. Borrows @path until return.
 * CONFIG: @text says "file:line: key: what is wrong, allowed range"; @config is undefined. */
TERN_CHECKED enum tern_err
node_config_load(const char *path, struct node_config *config, char *text, size_t text_bytes);

/* Writes a node file that node_config_load reads back equal: identity, paths, nodes, devices and
 * ports; the other groups stay with the profile that config->profile names. Replaces @path whole.
 * IO: @text says what failed. */
TERN_CHECKED enum tern_err node_config_write(const char *path, const struct node_config *config,
					     char *text, size_t text_bytes);

struct node_config_spares_edit {
	const char *add, *remove; /* paths as they stand in the file; NULL: none */
	bool is_trial;            /* all but putting the new file in the place of the old one */
};

/* Edits the list of spares in the node file at @path (of a link: in the file that it leads to), and
 * leaves everything else of the file as it is, also owner, group and mode. One edit at a time: it
 * waits for others, then goes by what they left. The new file is checked before it takes the old
 * one's place; @config is as it says. CONFIG: it would not be good, or the list stands in another
 * file (@include); IO: also an owner or group that this process may not give; NO_MEMORY; @text says
 * why, and the file is as before. */
TERN_CHECKED enum tern_err
node_config_edit_spares(const char *path, const struct node_config_spares_edit *edit,
			struct node_config *config, char *text, size_t text_bytes);

/* Adds the devices that came in while the node ran, and that the node file does not name, to the
 * spares. */
void node_config_load_taken(struct node_config *config);
/* The list of them. */
void node_config_taken_path(const struct node_config *config, char *path, size_t path_bytes);
/* The pool note (docs/decisions/half-of-a-mirror.md). */
void node_config_note_path(const struct node_config *config, char *path, size_t path_bytes);
/* *spare: its number, or spare_count. */
bool node_config_names_device(const struct node_config *config, const char *path, uint32_t *spare);
/* False: there is no room. */
bool node_config_append_spare(struct node_config *config, const char *path);

/* 1 to 16 hexadecimal digits, not zero. */
bool node_config_parse_cluster_id(const char *text, uint64_t *cluster_id);

/* Whether the machine has what the ports ask for: PCI devices that a user-space driver may have.
 * @root: "" for this machine, see hw/platform/pci.h. CONFIG: @text says "file:line: ...". */
TERN_CHECKED enum tern_err
node_config_check_machine(const struct node_config *config, const char *root, char *text,
			  size_t text_bytes);
/* Makes the directory `run`, which may be gone with the machine's last boot. CONFIG, with @text. */
TERN_CHECKED enum tern_err
node_config_make_run_dir(const struct node_config *config, char *text, size_t text_bytes);

/* NULL: no such node. Lends the result as long as @config lives. */
const struct node_config_node *node_config_find(const struct node_config *config, uint16_t id);
const struct node_config_node *
node_config_find_name(const struct node_config *config, const char *name);
/* Sets a port's address from text; false: it is none. */
bool node_config_port_ip(struct node_config_port *port, const char *text);
/* Whether frames to @node go over @port. */
static inline bool
node_config_port_reaches(const struct node_config_port *port, const struct node_config_node *node)
{
	for (uint32_t i = 0; i < port->peer_count; i++)
		if (port->peers[i] == node->id)
			return true;
	return port->peer_count == 0 && node->kind == NODE_DATA;
}
/* This node's own entry. */
static inline const struct node_config_node *
node_config_self(const struct node_config *config)
{
	return node_config_find(config, config->id);
}

#endif
