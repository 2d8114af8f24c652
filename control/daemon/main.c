/* SPDX-License-Identifier: Apache-2.0 */
#include "control/daemon/again.h"
#include "control/daemon/ternd.h"
#include "control/gateway/sentinel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hw/platform/platform.h"

#define SUPERVISE_MS 5
/* What this process may have open besides RESP clients: what there is always (45 in a pair on
 * memif, and admin clients), of a device, and of a data port to a peer. */
#define DESCRIPTORS_SELF   160u
#define DESCRIPTORS_DEVICE 4u
#define DESCRIPTORS_LINK   8u

static const char *
boot_text(enum runtime_boot verdict)
{
	switch (verdict) {
	case RUNTIME_BOOT_MORE:
		return "start-up was interrupted";
	case RUNTIME_BOOT_READY:
		return "ready";
	case RUNTIME_BOOT_BLANK:
		return "the storage was never initialised; `tern node init` does that, and for a "
		       "node that lost its own `tern node rejoin`";
	case RUNTIME_BOOT_FOREIGN:
		return "the storage belongs to another cluster, node or configuration; check "
		       "node.id, node.cluster_id, the list of nodes and the devices of the node "
		       "file";
	case RUNTIME_BOOT_CORRUPT:
		return "no superblock copy or log position can be read back whole: move the "
		       "storage away, keep it, and give the node new storage with `tern node "
		       "rejoin`";
	case RUNTIME_BOOT_DAMAGED:
		return "every checkpoint is damaged, or the log has lost blocks that this node had "
		       "acknowledged; it must not vote or serve: move its storage away, keep it, "
		       "and give the node new storage with `tern node rejoin`";
	case RUNTIME_BOOT_IO:
		return "a device failed while the log was read";
	case RUNTIME_BOOT_LIMIT:
		return "the log holds larger blocks than log.command_max allows";
	}
	return "unknown";
}

/* What the store says of a device is more than the verdict. */
static void
boot_explain(struct ternd *node)
{
	uint32_t device;
	const char *store = runtime_boot_store(node->runtime, &device);
	char *why = node->lcore.why;
	const size_t bytes = sizeof(node->lcore.why);

	if (node->lcore.boot == RUNTIME_BOOT_LIMIT)
		snprintf(why, bytes,
			 "%s: set it to at least \"%lluKiB\", or to what it was; the log is as it "
			 "was, and log.command_max can be lowered when it no longer holds such "
			 "blocks",
			 boot_text(node->lcore.boot),
			 (unsigned long long)div_up_u64(runtime_boot_command_bytes(node->runtime),
							1024));
	else if (store == NULL || node->config.device_count == 1)
		snprintf(why, bytes, "%s", boot_text(node->lcore.boot));
	else if (device < node->config.device_count)
		snprintf(why, bytes, "device %u (%.200s): %s", device,
			 node->config.devices[device].path, store);
	else
		snprintf(why, bytes, "devices: %s", store);
}

static int
usage(void)
{
	fprintf(stderr,
		"usage: ternd --config FILE [--resp-fd N] [--client-fd N]\n"
		"Runs a data node. --resp-fd: a listening TCP socket that was inherited as\n"
		"descriptor N, for RESP clients, instead of one on the node's address. Storage is "
		"made once by `tern node init --config FILE`.\n");
	return ADMIN_EXIT_USAGE;
}

static int
fail(const struct ternd *node, int code, const char *why)
{
	fprintf(stderr, "ternd: %s: %s\n", node->config.name[0] != '\0' ? node->config.name : "?",
		why);
	return code;
}

/* "host:port,..." of every data node's native front end; false: one has none. */
static bool
native_addresses(const struct node_config *config, char *text, size_t room)
{
	size_t used = 0;

	for (uint32_t i = 0; i < config->node_count; i++) {
		const struct node_config_node *node = &config->nodes[i];
		const bool is_v4 = inet_addr_is_v4(&node->client.ip);
		char host[INET6_ADDRSTRLEN];

		if (node->kind != NODE_DATA)
			continue;
		if (node->client.text[0] == '\0' ||
		    inet_ntop(is_v4 ? AF_INET : AF_INET6, node->client.ip.bytes + (is_v4 ? 12 : 0),
			      host, sizeof(host)) == NULL)
			return false;
		used += (size_t)snprintf(text + used, room - used, is_v4 ? "%s%s:%u" : "%s[%s]:%u",
					 used == 0 ? "" : ",", host, node->client.port);
		if (used >= room)
			return false;
	}
	return used != 0;
}

static enum tern_err
start_gateway(struct ternd *node, char *why, size_t why_bytes)
{
	const struct node_config *config = &node->config;
	const struct node_config_node *self = node_config_self(config);
	struct gateway_peer peers[NODE_CONFIG_NODES_MAX];
	char bind_host[INET6_ADDRSTRLEN];
	struct gateway_config gateway = {
		.bind_port = self->resp.port,
		.listen_fd = node->resp_fd,
		.connections_max = config->gateway.connections_max,
		.in_flight_max = config->gateway.in_flight_max,
		.stale_ns_max = config->gateway.stale_ns_max,
		.value_bytes_max = (uint32_t)config->state.value_bytes_max,
		.command_bytes_max = (uint32_t)config->log.command_bytes_max,
		.channel = &node->gateway_channel,
		.state = node->state,
		.status = node->status,
		.peers = peers,
		.node_id = config->id,
		.node_name = config->name,
		.tern_version = TERN_VERSION,
	};

	for (uint32_t i = 0; i < config->node_count; i++) {
		const struct node_config_node *peer = &config->nodes[i];

		if (peer->kind != NODE_DATA)
			continue;
		peers[gateway.peers_count++] = (struct gateway_peer){
			.node_id = peer->id,
			.name = peer->name,
			.resp_host = peer->resp.host,
			.resp_port = peer->resp.port,
		};
	}
	/* The node file may have a name; the configuration has resolved it. */
	const bool is_v4 = inet_addr_is_v4(&self->resp.ip);
	gateway.bind_host =
	    inet_ntop(is_v4 ? AF_INET : AF_INET6, self->resp.ip.bytes + (is_v4 ? 12 : 0), bind_host,
		      sizeof(bind_host));
	struct sentinel sentinel;
	sentinel_from_config(&sentinel, config, node->status);
	gateway.sentinel = &sentinel;
	char addresses[NODE_CONFIG_NODES_MAX * 64];
	if (config->gateway.is_forwarding) {
		if (!native_addresses(config, addresses, sizeof(addresses))) {
			snprintf(why, why_bytes,
				 "gateway.replica_writes: a data node has no `client` address");
			return TERN_ERR_CONFIG;
		}
		gateway.forward_addresses = addresses;
	}
	gateway.endpoint = node->endpoint;
	gateway.endpoint_stats = endpoint_stats;
	return gateway_start(&gateway, &node->gateway, why, why_bytes);
}

/* Native clients: only where the node file says on which address. */
static enum tern_err
start_endpoint(struct ternd *node, char *why, size_t why_bytes)
{
	const struct node_config *config = &node->config;
	const struct node_config_node *self = node_config_self(config);
	struct native_node nodes[NODE_CONFIG_NODES_MAX];
	struct endpoint_config endpoint = {
		.ip = self->client.ip,
		.port = self->client.port,
		.socket_fd = node->client_fd,
		.channel = &node->endpoint_channel,
		.state = node->state,
		.status = node->status,
		.nodes = nodes,
		.node_id = config->id,
		.stale_ns_max = config->gateway.stale_ns_max,
	};

	if (self->client.text[0] == '\0')
		return TERN_OK;
	for (uint32_t i = 0; i < config->node_count; i++) {
		const struct node_config_node *peer = &config->nodes[i];
		if (peer->kind == NODE_DATA && peer->client.text[0] != '\0')
			nodes[endpoint.node_count++] =
			    (struct native_node){ peer->id, peer->client.port, peer->client.ip };
	}
	return endpoint_start(&endpoint, &node->endpoint, why, why_bytes);
}

static enum tern_err
start_admin(struct ternd *node, char *why, size_t why_bytes)
{
	const struct admin_options options = {
		.socket_path = node->config.admin_socket,
		.verbs = ternd_verbs,
		.verb_count = ternd_verb_count,
		.context = node,
		.thread_begin = ternd_admin_begin,
		.thread_end = ternd_admin_end,
	};

	return admin_start(&options, &node->admin, why, why_bytes);
}

/* "--resp-fd N" and "--client-fd N": sockets that whoever started us left open for us; they may
 * belong to another network namespace than ours. */
static bool
take_sockets(struct ternd *node, int argc, char **argv)
{
	node->resp_fd = -1;
	for (int i = 3; i + 1 < argc; i += 2) {
		const bool is_resp = strcmp(argv[i], "--resp-fd") == 0;
		if (!is_resp && strcmp(argv[i], "--client-fd") != 0)
			return false;
		if (!platform_take_socket(argv[i + 1], is_resp ? SOCK_STREAM : SOCK_DGRAM,
					  is_resp ? &node->resp_fd : &node->client_fd)) {
			fprintf(stderr, "ternd: %s: no socket of that kind\n", argv[i]);
			return false;
		}
	}
	return argc % 2 == 1;
}

/* Looks after the data ports; returns for how many milliseconds to wait. */
static int
maintain(struct ternd *node)
{
	if (node->nic == NULL)
		return (int)SUPERVISE_MS;
	return (int)min_u32(nic_maintain(node->nic), SUPERVISE_MS);
}

/* Tells once that writes are refused, and once that not even a barrier fits. */
static void
tell_log_use(const struct ternd *node, const struct node_status *status, uint32_t *told)
{
	const uint64_t area = status->log_area_bytes / PAGE_BYTES;
	const uint64_t used = status->log_used_bytes / PAGE_BYTES;
	const uint32_t now = used >= area ? 2 : used >= area - div_up_u64(area, 20) ? 1 : 0;

	if (area == 0 || now <= *told)
		return;
	*told = now;
	platform_diag(now == 2 ? PLATFORM_ERROR : PLATFORM_WARNING,
		      "%s node=%s term=%llu log_index=%llu used_pages=%llu area_pages=%llu",
		      now == 2 ? "log_area_full" : "log_area_reserve", node->config.name,
		      (unsigned long long)status->term, (unsigned long long)status->last_index,
		      (unsigned long long)used, (unsigned long long)area);
}

struct told_damage {
	bool is_found, is_whole, is_anchored;
};

static void
tell_of_log(const struct ternd *node, const struct node_status *status, enum platform_level level,
	    const char *what)
{
	platform_diag(level, "%s node=%s term=%llu log_index=%llu", what, node->config.name,
		      (unsigned long long)status->term, (unsigned long long)status->last_index);
}

/* Once that it was found, which may be repaired before anybody looks, and once that it is whole
 * again. */
static void
tell_damage(const struct ternd *node, const struct node_status *status, struct told_damage *told)
{
	if (status->was_damaged && !told->is_found) {
		told->is_found = true;
		tell_of_log(node, status, PLATFORM_ERROR, "log_damaged_no_vote_until_repaired");
	}
	if (status->is_log_anchored && !told->is_anchored) {
		told->is_anchored = true;
		tell_of_log(node, status, PLATFORM_WARNING,
			    "log_begins_at_checkpoint_for_blocks_before_cannot_be_read");
	}
	if (told->is_found && !told->is_whole && !status->is_damaged) {
		told->is_whole = true;
		tell_of_log(node, status, PLATFORM_INFO, "log_repaired");
	}
}

/* Tells of checkpoints that do not come to be, each time that their number has doubled, and once
 * that there is one again. */
static void
tell_checkpoints(const struct ternd *node, const struct node_status *status, uint64_t *told)
{
	const uint64_t failing = status->checkpoints_failing;

	if (failing == 0 ? *told == 0 : failing < 2 * *told)
		return;
	*told = failing;
	platform_diag(failing == 0 ? PLATFORM_INFO : PLATFORM_WARNING,
		      "%s node=%s given_up=%llu checkpoint_index=%llu term=%llu log_index=%llu",
		      failing == 0 ? "checkpoint_made_again" : "checkpoint_given_up",
		      node->config.name, (unsigned long long)failing,
		      (unsigned long long)status->checkpoint_index,
		      (unsigned long long)status->term, (unsigned long long)status->last_index);
}

/* Once that this replica gets no further: its limit is lower than the master's. */
static void
tell_too_large(const struct ternd *node, const struct node_status *status, bool *is_told)
{
	if (status->drops.block_too_large == 0 || *is_told)
		return;
	*is_told = true;
	platform_diag(PLATFORM_ERROR,
		      "block_too_large node=%s command_max=%llu term=%llu log_index=%llu: the "
		      "master's log has a block that is larger than log.command_max allows here, "
		      "and nothing from it on is taken; set log.command_max to the master's, which "
		      "is to be equal on all data nodes, and start this node again",
		      node->config.name, (unsigned long long)node->config.log.command_bytes_max,
		      (unsigned long long)status->term, (unsigned long long)status->last_index);
}

/* What a scrub found and could not repair: somebody has to act. */
static void
tell_scrub(const struct ternd *node, const struct node_status *status, uint64_t *told)
{
	const uint64_t lost = status->pool.scrub_unrepairable;

	if (lost > *told)
		platform_diag(PLATFORM_ERROR,
			      "alarm node=%s alarm=scrub_unrepairable pages=%llu term=%llu "
			      "log_index=%llu",
			      node->config.name, (unsigned long long)lost,
			      (unsigned long long)status->term,
			      (unsigned long long)status->last_index);
	*told = lost;
}

/* A device is out for good, and another one in its place. */
static void
tell_spares(const struct ternd *node, const struct node_status *status, uint64_t *told)
{
	if (status->pool.spares_taken > *told) {
		spares_save(&node->config);
		platform_diag(
		    PLATFORM_WARNING,
		    "spare_taken node=%s count=%llu failed=%x rebuilding=%x spares_left=%d "
		    "term=%llu log_index=%llu",
		    node->config.name, (unsigned long long)status->pool.spares_taken,
		    status->pool.failed, status->pool.rebuilding,
		    __builtin_popcount(status->pool.spares), (unsigned long long)status->term,
		    (unsigned long long)status->last_index);
	}
	*told = status->pool.spares_taken;
}

/* The main thread's work until a signal, or until the lcore gives up. False: this node must not
 * stay in its cluster. */
static bool
supervise(struct ternd *node, int signals)
{
	struct pollfd fd = { .fd = signals, .events = POLLIN };
	uint64_t told[CORE_ALARM_LAST + 1] = { 0 }, told_checkpoints = 0;
	uint8_t role = 0, mode = 0;
	uint32_t told_log_use = 0;
	struct told_damage told_damage = { 0 };
	uint64_t told_unrepairable = 0, told_spares = 0;
	bool is_too_large_told = false;
	struct scrub_note note = { 0 };
	int wait_ms = 1;

	while (poll(&fd, 1, wait_ms) <= 0) {
		struct node_status status;
		const int phase = atomic_load(&node->lcore.phase);

		if (phase == LCORE_FAILED || phase == LCORE_ENDED || phase == LCORE_OVER)
			return true;
		wait_ms = maintain(node);
		pool_note_turn(node);
		while (divergent_turn(node))
			;
		(void)state_grace_period(node->state);
		status_read(node->status, &status);
		admin_alarms_tell(node->config.name, &status, told);
		tell_log_use(node, &status, &told_log_use);
		tell_checkpoints(node, &status, &told_checkpoints);
		tell_damage(node, &status, &told_damage);
		tell_scrub(node, &status, &told_unrepairable);
		tell_too_large(node, &status, &is_too_large_told);
		tell_spares(node, &status, &told_spares);
		standstill_tell(&node->lcore.standstill, node->config.name,
				platform_monotonic_ns());
		if (last_word_is_gone(node->last_word))
			platform_diag(PLATFORM_WARNING,
				      "last_word_gone node=%s: peers will wait for its silence "
				      "should it die",
				      node->config.name);
		scrub_note_save(&node->config, &status, &note, false);
		if (status.is_log_mixed)
			return false;
		if (status.role != role || status.mode != mode) {
			role = status.role;
			mode = status.mode;
			platform_diag(PLATFORM_INFO,
				      "role node=%s role=%s mode=%s term=%llu epoch=%u "
				      "log_index=%llu commit_index=%llu",
				      node->config.name, admin_role_name(role),
				      admin_mode_name(mode), (unsigned long long)status.term,
				      status.epoch, (unsigned long long)status.last_index,
				      (unsigned long long)status.commit_index);
		}
	}
	struct node_status status;
	status_read(node->status, &status);
	scrub_note_save(&node->config, &status, &note, true);
	return true;
}

/* Waits until the lcore has recovered the log. False: it could not, or a signal came before. Ports
 * are maintained meanwhile. */
static bool
await_boot(struct ternd *node, int signals)
{
	struct pollfd fd = { .fd = signals, .events = POLLIN };
	int wait_ms = 1;

	while (atomic_load(&node->lcore.phase) == LCORE_BOOTING) {
		if (poll(&fd, 1, wait_ms) > 0)
			return false;
		wait_ms = maintain(node);
		pool_note_turn(node);
		while (divergent_turn(node))
			;
	}
	return atomic_load(&node->lcore.phase) == LCORE_RUNNING ||
	       atomic_load(&node->lcore.phase) == LCORE_OVER;
}

/* The lcore has ended, for it was asked to before it had read the log, or just then. */
static bool
is_interrupted(const struct ternd *node)
{
	return atomic_load(&node->lcore.phase) != LCORE_FAILED ||
	       (node->lcore.boot == RUNTIME_BOOT_MORE && node->lcore.why[0] == '\0');
}

static const char *
mixed_text(const struct ternd *node)
{
	return node->config.is_log_volatile
		   ? "the log of this node is in RAM (volatile = true), and that of its master is "
		     "not: all data nodes have one kind; make its storage anew without `volatile`"
		   : "the log of this node is on its device, and that of its master is in RAM: all "
		     "data nodes have one kind; say volatile = true and make its storage anew";
}

/* What the next incarnation does not know any more. The data thread has ended. */
static void
tell_mended(const struct ternd *node)
{
	const struct runtime_damage damage = runtime_damage(node->runtime);

	if (damage.is_restarting)
		platform_diag(PLATFORM_ERROR,
			      "log_damage_found node=%s blocks=%llu: begins anew to repair it",
			      node->config.name, (unsigned long long)damage.blocks_found);
	if (damage.holes_mended != 0)
		platform_diag(
		    PLATFORM_WARNING,
		    "log_mended node=%s holes=%u: blocks that could not be read came from "
		    "another node; look at the device",
		    node->config.name, damage.holes_mended);
}

static int
run(struct ternd *node, int signals)
{
	char why[512];
	int code = ADMIN_EXIT_OK;

	if (lcore_start(node) != TERN_OK)
		return fail(node, ADMIN_EXIT_FAILED, "the data thread cannot be started");
	if (!await_boot(node, signals)) {
		lcore_stop(node);
		if (is_interrupted(node)) {
			platform_diag(PLATFORM_INFO, "stopped node=%s", node->config.name);
			return ADMIN_EXIT_OK;
		}
		if (node->lcore.why[0] == '\0')
			boot_explain(node);
		return fail(node, ADMIN_EXIT_CONFIG, node->lcore.why);
	}
	if (start_endpoint(node, why, sizeof(why)) != TERN_OK ||
	    start_gateway(node, why, sizeof(why)) != TERN_OK ||
	    start_admin(node, why, sizeof(why)) != TERN_OK) {
		code = fail(node, ADMIN_EXIT_CONFIG, why);
	} else {
		platform_diag(PLATFORM_INFO, "started node=%s id=%u", node->config.name,
			      node->config.id);
		if (!supervise(node, signals))
			code = fail(node, ADMIN_EXIT_CONFIG, mixed_text(node));
	}
	/* The lcore goes on polling until it has handed over: maintenance must not stop before. */
	lcore_stop(node);
	if (node->gateway != NULL)
		gateway_stop(node->gateway);
	if (node->endpoint != NULL)
		endpoint_stop(node->endpoint);
	admin_stop(node->admin);
	while (divergent_turn(node))
		;
	tell_mended(node);
	platform_diag(PLATFORM_INFO,
		      atomic_load(&node->lcore.phase) == LCORE_OVER ? "begins_anew node=%s"
								    : "stopped node=%s",
		      node->config.name);
	return code;
}

/* Clients alone must never take the last descriptor: what the node needs to live, and to be asked
 * how it is, comes later. */
static bool
has_descriptors(const struct node_config *config, char *why, size_t why_bytes)
{
	const uint32_t links = config->port_count * config->node_count;
	const uint32_t devices = config->device_count + config->spare_count;
	const uint64_t self =
	    DESCRIPTORS_SELF + devices * DESCRIPTORS_DEVICE + (uint64_t)links * DESCRIPTORS_LINK;
	const uint64_t need = self + config->gateway.connections_max;
	const uint64_t limit = platform_descriptors_raise();

	if (limit >= need)
		return true;
	snprintf(why, why_bytes,
		 "gateway.connections_max = %u and the node itself need %llu descriptors, and this "
		 "process may have %llu: raise its hard limit (`ulimit -Hn`, LimitNOFILE of a "
		 "systemd unit) to that, or lower gateway.connections_max by %llu",
		 config->gateway.connections_max, (unsigned long long)need,
		 (unsigned long long)limit, (unsigned long long)(need - limit));
	return false;
}

int
main(int argc, char **argv)
{
	struct ternd *node = aligned_alloc(64, align_up_u64(sizeof(*node), 64));
	char why[1024] = "";
	struct again again;
	const int signals = platform_signal_fd();

	if (argc < 3 || strcmp(argv[1], "--config") != 0 || node == NULL || signals < 0)
		return usage();
	memset(node, 0, sizeof(*node));
	again_keep_sockets(&again, argc, argv);
	if (!take_sockets(node, argc, argv))
		return usage();
	if (node_config_load(argv[2], &node->config, why, sizeof(why)) != TERN_OK) {
		fprintf(stderr, "ternd: %s\n", why);
		return ADMIN_EXIT_CONFIG;
	}
	node_config_load_taken(&node->config);
	if (node->config.kind != NODE_DATA)
		return fail(node, ADMIN_EXIT_CONFIG,
			    "this node file is a witness's; start tern-witness with it");
	if (!has_descriptors(&node->config, why, sizeof(why)) ||
	    node_config_make_run_dir(&node->config, why, sizeof(why)) != TERN_OK)
		return fail(node, ADMIN_EXIT_CONFIG, why);
	/* Before all that it must not have: storage, memory, ports, threads. */
	if (last_word_fork(&node->last_word) != TERN_OK)
		return fail(node, ADMIN_EXIT_FAILED, "no process for a last word is to be had");
	if (assemble_open(node, why, sizeof(why)) != TERN_OK) {
		const int code = fail(node, ADMIN_EXIT_CONFIG, why);
		last_word_end(node->last_word);
		assemble_close(node);
		free(node);
		return code;
	}
	int code = run(node, signals);
	last_word_end(node->last_word);
	assemble_close(node);
	struct pollfd stop = { .fd = signals, .events = POLLIN };
	if (atomic_load(&node->lcore.phase) == LCORE_OVER && poll(&stop, 1, 0) <= 0) {
		again_run(&again, argv);
		code = fail(node, ADMIN_EXIT_FAILED, "it has to begin anew: start it");
	}
	free(node);
	return code;
}
