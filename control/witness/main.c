/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tern-witness: the third voter. One thread, kernel sockets, a register that is durable before
 * every answer; an admin thread beside it. Exit codes as ternd's.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/admin/admin.h"
#include "control/config/node_config.h"
#include "control/witness/front.h"
#include "dataplane/base/bits.h"
#include "dataplane/runtime/witness_node.h"
#include "hw/file_store/register_store.h"
#include "hw/net_kernel/net_kernel.h"
#include "hw/platform/platform.h"

#define SLEEP_NS_MAX 100000000u
/* RESP and admin clients, each with one more that is refused, and what the process has always. */
#define DESCRIPTORS_NEEDED (FRONT_CONNECTIONS_MAX + ADMIN_CLIENTS_MAX + 64u)

/* register_ops on the file store: a store is finished when the call returns. */
struct witness_store {
	struct register_store file;
	uint64_t op_id;
	bool has_done;
};

struct witness {
	struct node_config config;
	struct net_filter filter;
	struct net_kernel *mgmt;
	struct witness_store store;
	struct witness_register reg;
	struct witness_node node;
	struct status_cell status;
	struct admin *admin;
	struct sentinel sentinel;
	struct front *front; /* NULL: no address for it is configured */
	int resp_fd;         /* inherited listener of front; 0: it makes one */
	void *core_memory;
};

static enum tern_err
store_write(void *context, const struct witness_register *reg, uint64_t op_id)
{
	struct witness_store *store = context;
	struct witness_register copy = *reg;
	const enum tern_err err = register_store_write(&store->file, &copy);

	if (err == TERN_OK) {
		store->op_id = op_id;
		store->has_done = true;
	} else {
		platform_diag(PLATFORM_ERROR, "register_failed term=%llu",
			      (unsigned long long)reg->term);
	}
	return err;
}

static uint32_t
store_poll(void *context, uint64_t *op_ids, uint32_t max)
{
	struct witness_store *store = context;

	if (!store->has_done || max == 0)
		return 0;
	store->has_done = false;
	op_ids[0] = store->op_id;
	return 1;
}

static const struct register_ops store_ops = { .store = store_write, .poll = store_poll };

static json_t *
verb_status(void *context, const json_t *request)
{
	struct witness *witness = context;
	struct node_status status;

	(void)request;
	status_read(&witness->status, &status);
	return admin_status_json(&witness->config, &status);
}

static const struct admin_verb verbs[] = { { "status", verb_status } };

static int
fail(const char *name, const char *why)
{
	fprintf(stderr, "tern-witness: %s: %s\n", name, why);
	return ADMIN_EXIT_CONFIG;
}

static bool
open_filter(struct witness *witness)
{
	const struct node_config *config = &witness->config;

	if (!config->is_dev || config->filter_file[0] == '\0')
		return true;
	const int fd = open(config->filter_file, O_RDONLY | O_CLOEXEC);
	void *cells = fd < 0 ? MAP_FAILED : mmap(NULL, FILTER_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (cells == MAP_FAILED)
		return false;
	witness->filter.cells = cells;
	return true;
}

static enum tern_err
open_mgmt(struct witness *witness, char *why, size_t why_bytes)
{
	const struct node_config *config = &witness->config;
	const struct node_config_node *self = node_config_self(config);
	struct net_kernel_config mgmt = { .node_id = config->id,
					  .ip = self->mgmt.ip,
					  .port = self->mgmt.port,
					  .filter = witness->filter };

	for (uint32_t i = 0; i < config->node_count; i++) {
		const struct node_config_node *peer = &config->nodes[i];
		if (peer->id != config->id)
			mgmt.peers[mgmt.peer_count++] = (struct net_kernel_peer){
				.node_id = peer->id, .ip = peer->mgmt.ip, .port = peer->mgmt.port
			};
	}
	const enum tern_err err = net_kernel_open(&mgmt, &witness->mgmt, why, why_bytes);
	if (err != TERN_OK) {
		const size_t used = strlen(why);
		snprintf(why + used, why_bytes - used,
			 "; stop what has it, or change `mgmt` of this node in every node file");
	}
	return err;
}

/* Loads the register and counts the boot number up, durably, before anything is answered. */
static enum tern_err
open_register(struct witness *witness, char *why, size_t why_bytes)
{
	const char *path = witness->config.register_file;
	enum tern_err err = register_store_open(&witness->store.file, path, &witness->reg);

	if (err == TERN_ERR_NOT_FOUND || err == TERN_ERR_BLANK) {
		snprintf(why, why_bytes,
			 "%s: there is no register; a new cluster's is made by `tern node init`, a "
			 "lost one's place takes `tern node rejoin`, and then `tern cluster "
			 "replace-witness`",
			 path);
		return err;
	}
	if (err == TERN_ERR_BUSY) {
		snprintf(why, why_bytes, "%s: another process uses it; stop that one first", path);
		return err;
	}
	if (err != TERN_OK) {
		snprintf(why, why_bytes,
			 "%s: the register is %s; move it away and keep it, then "
			 "`tern node rejoin` and `tern cluster replace-witness`",
			 path, tern_err_text(err));
		return err;
	}
	if (witness->reg.witness_id != witness->config.id) {
		snprintf(why, why_bytes,
			 "%s: the register is that of node %u, this is node %u; check node.id and "
			 "storage of the node file",
			 path, witness->reg.witness_id, witness->config.id);
		return TERN_ERR_FOREIGN;
	}
	if (witness->config.cluster_id != 0 &&
	    witness->reg.cluster_id != witness->config.cluster_id) {
		snprintf(why, why_bytes,
			 "%s: the register is that of another cluster; check node.cluster_id and "
			 "storage of the node file",
			 path);
		return TERN_ERR_FOREIGN;
	}
	witness->reg.boot_no++;
	err = register_store_write(&witness->store.file, &witness->reg);
	if (err != TERN_OK)
		snprintf(why, why_bytes, "%s: cannot be written: %s", path, strerror(errno));
	return err;
}

static enum tern_err
start_front(struct witness *witness, char *why, size_t why_bytes)
{
	const struct node_config_node *self = node_config_self(&witness->config);

	if (self->resp.port == 0)
		return TERN_OK;
	sentinel_from_config(&witness->sentinel, &witness->config, &witness->status);
	return front_start(&witness->sentinel, &self->resp.ip, self->resp.port, witness->resp_fd,
			   TERN_VERSION, &witness->front, why, why_bytes);
}

static enum tern_err
start(struct witness *witness, char *why, size_t why_bytes)
{
	enum tern_err err = open_register(witness, why, why_bytes);

	if (err != TERN_OK)
		return err;
	err = open_mgmt(witness, why, why_bytes);
	if (err != TERN_OK)
		return err;
	const struct witness_node_config node = {
		.reg = witness->reg,
		.is_first_boot = witness->reg.boot_no == 1,
		.data_nodes = witness->config.data_nodes,
		.known_nodes = witness->config.known_nodes,
		.timers = witness->config.timers,
		.prng_seed = platform_random_u64(),
		.mgmt_net = net_kernel_port(witness->mgmt),
		.clock = platform_clock(),
		.store = { &store_ops, &witness->store },
		.status = &witness->status,
	};
	err = witness_node_init(&witness->node, &node, witness->core_memory);
	if (err != TERN_OK) {
		snprintf(why, why_bytes, "the timers or nodes of the configuration contradict: %s",
			 tern_err_text(err));
		return err;
	}
	const struct admin_options options = { .socket_path = witness->config.admin_socket,
					       .verbs = verbs,
					       .verb_count = 1,
					       .context = witness };
	err = start_front(witness, why, why_bytes);
	if (err != TERN_OK)
		return err;
	return admin_start(&options, &witness->admin, why, why_bytes);
}

static void
serve(struct witness *witness, int signals)
{
	const struct net_port mgmt = net_kernel_port(witness->mgmt);
	uint64_t told[CORE_ALARM_LAST + 1] = { 0 };
	struct node_status status;
	struct pollfd fds[2] = { { .fd = signals, .events = POLLIN },
				 { .fd = mgmt.ops->wait_fd(mgmt.net), .events = POLLIN } };

	for (;;) {
		while (witness_node_turn(&witness->node))
			;
		status_read(&witness->status, &status);
		admin_alarms_tell(witness->config.name, &status, told);
		const uint64_t now_ns = platform_monotonic_ns();
		const uint64_t deadline_ns = witness_node_deadline_ns(&witness->node);
		const uint64_t ns =
		    deadline_ns > now_ns ? min_u64(deadline_ns - now_ns, SLEEP_NS_MAX) : 0;
		const struct timespec timeout = { .tv_nsec = (long)ns };
		(void)ppoll(fds, 2, &timeout, NULL);
		if ((fds[0].revents & POLLIN) != 0)
			return;
	}
}

/* As in ternd: clients never take the last descriptor. */
static bool
has_descriptors(char *why, size_t why_bytes)
{
	const uint64_t limit = platform_descriptors_raise();

	if (limit >= DESCRIPTORS_NEEDED)
		return true;
	snprintf(why, why_bytes,
		 "the witness needs %u descriptors, and this process may have %llu: raise its hard "
		 "limit (`ulimit -Hn`, LimitNOFILE of a systemd unit)",
		 DESCRIPTORS_NEEDED, (unsigned long long)limit);
	return false;
}

int
main(int argc, char **argv)
{
	struct witness *witness = aligned_alloc(64, align_up_u64(sizeof(*witness), 64));
	char why[1024] = "";
	const int signals = platform_signal_fd();

	if (witness != NULL)
		memset(witness, 0, sizeof(*witness));
	if ((argc != 3 && argc != 5) || strcmp(argv[1], "--config") != 0 || witness == NULL ||
	    signals < 0 ||
	    (argc == 5 && (strcmp(argv[3], "--resp-fd") != 0 ||
			   !platform_take_socket(argv[4], SOCK_STREAM, &witness->resp_fd)))) {
		fprintf(stderr, "usage: tern-witness --config FILE [--resp-fd N]\n"
				"--resp-fd: a listening TCP socket, inherited as descriptor N.\n");
		return ADMIN_EXIT_USAGE;
	}
	if (node_config_load(argv[2], &witness->config, why, sizeof(why)) != TERN_OK) {
		fprintf(stderr, "tern-witness: %s\n", why);
		return ADMIN_EXIT_CONFIG;
	}
	if (witness->config.kind != NODE_WITNESS)
		return fail(witness->config.name, "this node file is a data node's; start ternd");
	if (!has_descriptors(why, sizeof(why)) ||
	    node_config_make_run_dir(&witness->config, why, sizeof(why)) != TERN_OK)
		return fail(witness->config.name, why);
	witness->core_memory = aligned_alloc(64, align_up_u64(core_bytes(), 64));
	if (witness->core_memory == NULL || !open_filter(witness))
		return fail(witness->config.name, "memory or the drop filter is not to be had");
	if (start(witness, why, sizeof(why)) != TERN_OK)
		return fail(witness->config.name, why);
	platform_diag(PLATFORM_INFO, "started node=%s id=%u", witness->config.name,
		      witness->config.id);
	serve(witness, signals);
	if (witness->front != NULL)
		front_stop(witness->front);
	admin_stop(witness->admin);
	net_kernel_close(witness->mgmt);
	register_store_close(&witness->store.file);
	platform_diag(PLATFORM_INFO, "stopped node=%s", witness->config.name);
	return ADMIN_EXIT_OK;
}
