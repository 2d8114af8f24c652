/* SPDX-License-Identifier: Apache-2.0 */
#include "control/daemon/ternd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/bits.h"
#include "dataplane/wire/fragment.h"
#include "hw/nvme_uring/faulty.h"
#include "hw/platform/platform.h"

/* Values on their way to the gateway, as replies of GETSET and its like. */
#define REPLY_BYTES_MIN      (4u << 20)
#define REQUEST_RING_BYTES   (8u << 20)
#define ADMIN_RING_BYTES     (64u << 10)
#define ENDPOINT_RING_BYTES  (4u << 20)
#define LOAD_RING_BYTES      (8u << 20)
#define DIVERGENT_RING_BYTES (1u << 20)
#define GROUPS_IN_FLIGHT_MAX 2u
#define UNITS_PER_FRAME_MAX  6u
#define RESEND_NS            20000000u
#define FETCH_AFTER_NS       1000000u
#define LOSSY_HOLD_NS        200000000u
#define LOSSY_HELD_BYTES     (64u << 20)
#define MGMT_TRIES           100u
#define MGMT_PAUSE_NS        10000000u

/* Safety rules that a test build leaves out, to show that a test notices. None in products. */
#ifndef TERN_TEST_CORE_BUGS
#define TERN_TEST_CORE_BUGS 0
#endif

static enum tern_err
open_filter(struct ternd *node, char *why, size_t why_bytes)
{
	if (!node->config.is_dev || node->config.filter_file[0] == '\0')
		return TERN_OK;
	const int fd = open(node->config.filter_file, O_RDONLY | O_CLOEXEC);
	struct stat facts;
	/* What an earlier version made knows of no devices. */
	const bool has_devices =
	    fd >= 0 && fstat(fd, &facts) == 0 && facts.st_size >= (off_t)FILTER_BYTES_ALL;
	void *cells = fd < 0 ? MAP_FAILED
			     : mmap(NULL, has_devices ? FILTER_BYTES_ALL : FILTER_BYTES, PROT_READ,
				    MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	if (cells == MAP_FAILED) {
		snprintf(why, why_bytes, "%s: the drop filter cannot be mapped: %s",
			 node->config.filter_file, strerror(errno));
		return TERN_ERR_CONFIG;
	}
	node->filter.cells = cells;
	if (has_devices)
		node->device_faults = (const uint8_t *)cells + FILTER_BYTES +
				      (size_t)node->config.id * FILTER_DEVICES_MAX;
	return TERN_OK;
}

static enum tern_err
open_mgmt(struct ternd *node, char *why, size_t why_bytes)
{
	const struct node_config *config = &node->config;
	const struct node_config_node *self = node_config_self(config);
	const struct timespec pause = { .tv_nsec = MGMT_PAUSE_NS };
	struct net_kernel_config mgmt = {
		.node_id = config->id,
		.ip = self->mgmt.ip,
		.port = self->mgmt.port,
		.filter = node->filter,
	};

	for (uint32_t i = 0; i < config->node_count; i++) {
		const struct node_config_node *peer = &config->nodes[i];
		if (peer->id == config->id)
			continue;
		mgmt.peers[mgmt.peer_count++] = (struct net_kernel_peer){ .node_id = peer->id,
									  .ip = peer->mgmt.ip,
									  .port = peer->mgmt.port };
	}
	enum tern_err err = net_kernel_open(&mgmt, &node->mgmt, why, why_bytes);
	/* The last word of a process that was killed a moment ago may still have it. */
	for (uint32_t i = 0; i < MGMT_TRIES && err == TERN_ERR_BUSY; i++) {
		nanosleep(&pause, NULL);
		err = net_kernel_open(&mgmt, &node->mgmt, why, why_bytes);
	}
	if (err != TERN_OK) {
		const size_t used = strlen(why);
		snprintf(why + used, why_bytes - used,
			 "; stop what has it, or change `mgmt` of this node in every node file");
	}
	return err;
}

static enum tern_err
open_nic(struct ternd *node, char *why, size_t why_bytes)
{
	const struct node_config *config = &node->config;
	const struct node_config_node *self = node_config_self(config);
	struct nic_config nic = {
		.node_id = config->id,
		.cpu = config->poll.cpu < 0 ? 0 : (uint32_t)config->poll.cpu,
		.uses_hugepages = !config->memory.no_huge,
		.port_count = config->port_count,
		.filter = node->filter,
	};

	/* A node without data peers needs no port, no pool of frames and no EAL. */
	if ((config->known_nodes & ~(UINT64_C(1) << config->id)) == 0)
		return TERN_OK;
	if (node_config_check_machine(config, "", why, why_bytes) != TERN_OK)
		return TERN_ERR_CONFIG;
	/* The same at every start, so that what a killed process left behind is used again. */
	snprintf(nic.file_prefix, sizeof(nic.file_prefix), "tern-%u", config->id);
	static_assert(sizeof(config->run_dir) <= sizeof(nic.run_dir), "every run directory fits");
	snprintf(nic.run_dir, sizeof(nic.run_dir), "%s", config->run_dir);
	for (uint32_t i = 0; i < config->port_count; i++) {
		const struct node_config_port *port = &config->ports[i];
		snprintf(nic.ports[i].device, sizeof(nic.ports[i].device), "%.*s",
			 (int)sizeof(nic.ports[i].device) - 1, port->device);
		nic.ports[i].ip = port->ip;
		nic.ports[i].payload_bytes_max = (uint16_t)port->payload_max;
		nic.ports[i].udp_port_base = self->data[port->network].port;
		for (uint32_t k = 0; k < config->node_count; k++) {
			const struct node_config_node *peer = &config->nodes[k];
			if (peer->id == config->id || !node_config_port_reaches(port, peer))
				continue;
			nic.peers[nic.peer_count++] = (struct nic_peer_config){
				.node_id = peer->id,
				.port = (uint16_t)i,
				.ip = peer->data[port->network].ip,
				.udp_port = peer->data[port->network].port,
			};
		}
	}
	return nic_open(&nic, &node->nic, why, why_bytes);
}

static enum nvme_passthrough
passthrough_of(const struct node_config *config)
{
	switch (config->disk.passthrough) {
	case DISK_PASSTHROUGH_OFF:
		return NVME_PASSTHROUGH_OFF;
	case DISK_PASSTHROUGH_AUTO:
		return NVME_PASSTHROUGH_TRY;
	case DISK_PASSTHROUGH_ON:
		return NVME_PASSTHROUGH_REQUIRED;
	}
	return NVME_PASSTHROUGH_OFF;
}

static enum tern_err
open_disk(struct ternd *node, char *why, size_t why_bytes)
{
	const struct node_config *config = &node->config;
	struct nvme_config nvme = {
		.device_count = config->device_count + config->spare_count,
		.spare_count = config->spare_count,
		.queue_depth =
		    min_u32(config->disk.queue_depth * config->device_count, NVME_QUEUE_DEPTH_MAX),
		/* A spare may stand where one is missing; the store finds out who is left. */
		.absent_max = config->parity == 0 ? 0 : config->parity + config->spare_count,
		.is_volatile_allowed = config->disk.allow_volatile,
		.is_dev = config->is_dev,
		.iopoll = config->disk.iopoll != DISK_IOPOLL_OFF && config->poll.mode == POLL_BUSY
			      ? NVME_IOPOLL_TRY
			      : NVME_IOPOLL_OFF,
		.passthrough = passthrough_of(config),
		/* Superblock copies are at the other end of their area. */
		.probe_offset = (uint64_t)(SUPERBLOCK_AREA_PAGES - 1) * SUPERBLOCK_BYTES,
		.buffers = { { node->ring, 2 * config->log.ring_bytes } },
		.buffer_count = 1,
	};

	for (uint32_t i = 0; i < config->device_count; i++)
		nvme.paths[i] = config->devices[i].path;
	for (uint32_t i = 0; i < config->spare_count; i++)
		nvme.paths[config->device_count + i] = config->spares[i].path;
	switch (config->disk.durability) {
	case DISK_DURABILITY_AUTO:
		nvme.durability = NVME_DURABILITY_AUTO;
		break;
	case DISK_DURABILITY_DSYNC:
		nvme.durability = NVME_DURABILITY_DSYNC;
		break;
	case DISK_DURABILITY_NONE:
		nvme.durability = NVME_DURABILITY_NONE;
		break;
	}
	char reason[512];
	enum tern_err err = nvme_open(&nvme, &node->nvme, reason, sizeof(reason));
	if (err != TERN_OK) {
		snprintf(why, why_bytes, "%s%s", reason,
			 err == TERN_ERR_NOT_FOUND ? TERND_STORAGE_NEXT_STEP
			 : err == TERN_ERR_BUSY    ? TERND_BUSY_NEXT_STEP
						   : "");
		return err;
	}
	node->disk = nvme_port(node->nvme);
	return TERN_OK;
}

/* Devices that betray, or fail when somebody says so: for tests with real processes. */
static enum tern_err
open_test_disk(struct ternd *node, char *why, size_t why_bytes)
{
	const struct node_config *config = &node->config;
	enum tern_err err;

	if (node->device_faults != NULL && config->disk.lossy == DISK_LOSSY_NONE) {
		err = faulty_open(node->device_faults, node->disk, &node->faulty);
		if (err == TERN_OK)
			node->disk = faulty_port(node->faulty);
		else
			snprintf(why, why_bytes, "no memory for device faults");
		return err;
	}
	if (!config->is_dev || config->disk.lossy == DISK_LOSSY_NONE)
		return TERN_OK;
	const struct lossy_config lossy = {
		.mode = config->disk.lossy == DISK_LOSSY_LYING ? LOSSY_LYING : LOSSY_LOSE_UNFLUSHED,
		.hold_ns = config->disk.lossy == DISK_LOSSY_LYING ? LOSSY_HOLD_NS : UINT64_MAX,
		.held_bytes = LOSSY_HELD_BYTES,
		.clock = platform_clock(),
		.is_forced = nvme_write_is_forced,
	};
	err = lossy_open(&lossy, node->disk, &node->lossy);
	if (err != TERN_OK) {
		snprintf(why, why_bytes, "no memory for the lossy test device");
		return err;
	}
	node->disk = lossy_port(node->lossy);
	return TERN_OK;
}

static bool
make_channel(struct submit_channel *channel, uint8_t **memory, uint32_t request_bytes,
	     uint32_t in_flight_max, uint64_t reply_bytes_max, struct wake *lcore_wake)
{
	const uint64_t completion_bytes =
	    submit_completions_bytes_for(in_flight_max, reply_bytes_max);

	ring_init(&channel->requests, *memory, request_bytes);
	*memory += request_bytes;
	ring_init(&channel->completions, *memory, completion_bytes);
	*memory += completion_bytes;
	channel->lcore_wake = lcore_wake;
	channel->in_flight_max = in_flight_max;
	channel->reply_bytes_max = reply_bytes_max;
	channel->front_wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return channel->front_wake.fd >= 0;
}

static void *
arena_map(const struct node_config *config, size_t bytes)
{
	return config->memory.populate ? platform_arena_map(bytes)
				       : platform_arena_map_lazily(bytes);
}

static bool
open_channels(struct ternd *node)
{
	const uint32_t in_flight_max = node->config.gateway.in_flight_max;
	const uint64_t reply_bytes_max =
	    max_u64(REPLY_BYTES_MIN, node->config.state.value_bytes_max);

	node->rings_bytes = REQUEST_RING_BYTES + ADMIN_RING_BYTES + DIVERGENT_RING_BYTES +
			    submit_completions_bytes_for(in_flight_max, reply_bytes_max) +
			    submit_completions_bytes(TERND_ADMIN_IN_FLIGHT) + ENDPOINT_RING_BYTES +
			    submit_completions_bytes(TERND_ENDPOINT_IN_FLIGHT) +
			    sizeof(struct load) + LOAD_RING_BYTES +
			    submit_completions_bytes(LOAD_IN_FLIGHT_MAX) +
			    sizeof(struct status_cell) + 2 * 4096;
	node->rings_memory = arena_map(&node->config, node->rings_bytes);
	node->lcore_wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (node->rings_memory == NULL || node->lcore_wake.fd < 0)
		return false;
	/* Whole cache lines first, for the load has rings in it. */
	node->load = (struct load *)node->rings_memory;
	uint8_t *at = (uint8_t *)node->rings_memory + align_up_u64(sizeof(struct load), 4096);
	if (!make_channel(&node->gateway_channel, &at, REQUEST_RING_BYTES, in_flight_max,
			  reply_bytes_max, &node->lcore_wake) ||
	    !make_channel(&node->admin_channel, &at, ADMIN_RING_BYTES, TERND_ADMIN_IN_FLIGHT, 0,
			  &node->lcore_wake) ||
	    !make_channel(&node->endpoint_channel, &at, ENDPOINT_RING_BYTES,
			  TERND_ENDPOINT_IN_FLIGHT, 0, &node->lcore_wake) ||
	    !make_channel(&node->load->channel, &at, LOAD_RING_BYTES, LOAD_IN_FLIGHT_MAX, 0,
			  &node->lcore_wake))
		return false;
	ring_init(&node->divergent, at, DIVERGENT_RING_BYTES);
	at += DIVERGENT_RING_BYTES;
	node->status = (struct status_cell *)(void *)at;
	return true;
}

static enum tern_err
open_state(struct ternd *node, char *why, size_t why_bytes)
{
	const struct node_config *config = &node->config;
	struct state_config state = {
		.capacity_bytes = config->state.capacity_bytes,
		.value_bytes_max = (uint32_t)config->state.value_bytes_max,
		.sessions_max = config->state.sessions_max,
		.readers_max = 8,
		.hash_seed = platform_random_u64(),
	};

	node->state_bytes =
	    state_arena_bytes(config->state.capacity_bytes, config->log.command_bytes_max);
	node->state_memory = arena_map(config, node->state_bytes);
	state.arena = node->state_memory;
	state.arena_bytes = node->state_bytes;
	if (node->state_memory == NULL) {
		snprintf(why, why_bytes, "state.capacity: %zu bytes of memory are not to be had",
			 node->state_bytes);
		return TERN_ERR_NO_MEMORY;
	}
	const enum tern_err err = state_init(&state, &node->state);
	if (err != TERN_OK)
		snprintf(why, why_bytes, "state machine: %s", tern_err_text(err));
	return err;
}

/* Storage does not change its kind: what is made for a log in RAM has no room for one, and a log on
 * the device would look as if it had never been written. A node whose log in RAM is gone starts all
 * the same: the core knows from its boot_no that it has forgotten, and it is no voter until it
 * holds again what it had acknowledged. Of several devices, whose log is never in RAM, the store
 * looks at those that count. */
static enum tern_err
check_log_place(struct ternd *node, const struct superblock *superblock, char *why,
		size_t why_bytes)
{
	const uint64_t end = (superblock->log_first_page + superblock->log_pages) * PAGE_BYTES;
	const bool is_volatile = node->config.is_log_volatile;
	const char *wrong = NULL, *absent;
	const uint64_t bytes = nvme_device_bytes(node->nvme, 0, &absent);

	if (node->config.device_count > 1)
		return TERN_OK;
	if (is_volatile && bytes >= end)
		wrong = "was made for a log on the device: volatile = true is said before `tern "
			"node init`, not after";
	else if (!is_volatile && bytes < end)
		wrong = "was made with volatile = true, or shortened: it has no room for the log";
	if (wrong == NULL)
		return TERN_OK;
	snprintf(why, why_bytes, "%s: %s", node->config.devices[0].path, wrong);
	return TERN_ERR_CONFIG;
}

static enum tern_err
open_ram_disk(struct ternd *node, const struct superblock *superblock, char *why, size_t why_bytes)
{
	const struct ram_disk_config ram = {
		.log_offset = superblock->log_first_page * PAGE_BYTES,
		.log_bytes = superblock->log_pages * PAGE_BYTES,
		.queue_depth = node->config.disk.queue_depth,
	};

	if (!node->config.is_log_volatile)
		return TERN_OK;
	const enum tern_err err = ram_disk_open(&ram, node->disk, &node->ram_disk, why, why_bytes);
	if (err == TERN_OK)
		node->disk = ram_disk_port(node->ram_disk);
	return err;
}

/* What fits into a frame on every port. */
static uint32_t
units_per_frame(const struct node_config *config)
{
	uint32_t units = UNITS_PER_FRAME_MAX;

	for (uint32_t i = 0; i < config->port_count; i++) {
		const uint32_t bytes = max_u32(config->ports[i].payload_max, NIC_PAYLOAD_BYTES_MIN);
		units = min_u32(units, (bytes - FRAME_HDR_BYTES - FRAGMENT_HDR_BYTES) /
					   FRAGMENT_UNIT_BYTES);
	}
	return units;
}

/* 0: it is absent, or as good as that; why. */
static uint64_t
usable_bytes(const struct ternd *node, uint32_t drive, const char **reason)
{
	const uint64_t bytes = nvme_device_bytes(node->nvme, drive, reason);

	if ((node->unsafe_devices >> drive & 1) == 0)
		return bytes;
	*reason = "does not keep what it acknowledged (device_unsafe)";
	return 0;
}

/* What is there of the node's devices, and of the spare ones behind them. */
static void
fill_devices(const struct ternd *node, struct runtime_config *runtime)
{
	const struct node_config *config = &node->config;

	for (uint32_t i = 0; i < config->device_count; i++) {
		const char *reason;
		runtime->device_bytes[i] = usable_bytes(node, i, &reason);
		if (runtime->device_bytes[i] == 0)
			platform_diag(PLATFORM_WARNING, "device_absent node=%s device=%u why=%s",
				      config->name, i, reason);
	}
	for (uint32_t i = 0; i < config->spare_count; i++) {
		const char *reason;
		const uint32_t drive = config->device_count + i;
		runtime->device_bytes[drive] = usable_bytes(node, drive, &reason);
		if (runtime->device_bytes[drive] == 0)
			platform_diag(PLATFORM_WARNING, "spare_absent node=%s path=%s why=%s",
				      config->name, config->spares[i].path, reason);
	}
	/* Places for those that come while the node runs. */
	runtime->spare_count = config->parity == 0 ? 0 : STRIPE_SPARES_MAX;
	/* A log in RAM lies behind what the device holds. */
	if (config->is_log_volatile)
		runtime->device_bytes[0] = UINT64_MAX;
}

static enum tern_err
make_runtime(struct ternd *node, uint64_t log_pages, char *why, size_t why_bytes)
{
	const struct node_config *config = &node->config;
	struct runtime_config runtime = {
		.cluster_id = config->cluster_id,
		.node_id = config->id,
		.data_nodes = config->known_nodes,
		.witness_id = config->witness_id,
		.timers = config->timers,
		.solo_isolated_stop = config->policy.solo_isolated_stop,
		.min_copies = config->policy.min_copies,
		.core_bugs = TERN_TEST_CORE_BUGS,
		.prng_seed = platform_random_u64(),
		.data_net = node->nic != NULL ? nic_port(node->nic) : (struct net_port){ 0 },
		.mgmt_net = net_kernel_port(node->mgmt),
		.disk = node->disk,
		.geometry = { config->device_count - config->parity, config->parity },
		.rebuild_bytes_s = config->disk.rebuild_bytes_s,
		.scrub_bytes_s = config->disk.scrub_bytes_s,
		.scrub_interval_ns = config->disk.scrub_interval_ns,
		.device_hang_ns = config->parity == 0 ? 0 : config->disk.hang_ns,
		.is_log_volatile = config->is_log_volatile,
		.clock = platform_clock(),
		.ring = node->ring,
		.ring_bytes = config->log.ring_bytes,
		.command_bytes_max = (uint32_t)config->log.command_bytes_max,
		.log_pages_max = log_pages,
		.groups_in_flight_max = GROUPS_IN_FLIGHT_MAX,
		.units_per_frame = units_per_frame(config),
		.resend_ns = RESEND_NS,
		.fetch_after_ns = FETCH_AFTER_NS,
		.state = node->state,
		.has_readers = true,
		.channels = { &node->gateway_channel, &node->admin_channel, &node->endpoint_channel,
			      &node->load->channel },
		.channel_count = 4,
		.divergent = &node->divergent,
		.status = node->status,
	};

	fill_devices(node, &runtime);
	scrub_note_load(config, &runtime);
	pool_note_load(node, &runtime);
	snprintf(runtime.poll_mode, sizeof(runtime.poll_mode), "%s",
		 config->poll.mode == POLL_BUSY ? "busy" : "adaptive");
	node->arena_bytes = runtime_bytes(&runtime);
	node->arena_memory = arena_map(config, node->arena_bytes);
	if (node->arena_memory == NULL) {
		snprintf(why, why_bytes, "%zu bytes of memory are not to be had",
			 node->arena_bytes);
		return TERN_ERR_NO_MEMORY;
	}
	arena_init(&node->arena, node->arena_memory, node->arena_bytes);
	const enum tern_err err = runtime_create(&runtime, &node->arena, &node->runtime);
	if (err == TERN_ERR_CONFIG)
		snprintf(
		    why, why_bytes,
		    "log.command_max: %llu bytes are too many for log.ring (%llu bytes), or for "
		    "what a start reads of these devices at once: make it smaller, or log.ring "
		    "larger (docs/reference/files.md says how large)",
		    (unsigned long long)config->log.command_bytes_max,
		    (unsigned long long)config->log.ring_bytes);
	else if (err != TERN_OK)
		snprintf(why, why_bytes, "runtime: %s", tern_err_text(err));
	else
		arena_seal(&node->arena);
	return err;
}

enum tern_err
assemble_open(struct ternd *node, char *why, size_t why_bytes)
{
	struct superblock superblock = { 0 };
	enum tern_err err = open_filter(node, why, why_bytes);

	if (err == TERN_OK) {
		node->ring = platform_ring_map(node->config.log.ring_bytes);
		if (node->ring == NULL || !open_channels(node)) {
			snprintf(why, why_bytes, "memory for the log ring is not to be had: %s",
				 strerror(errno));
			err = TERN_ERR_NO_MEMORY;
		}
	}
	/* Storage first: a node whose storage is wrong must say so before it touches a port. */
	if (err == TERN_OK)
		err = open_disk(node, why, why_bytes);
	if (err == TERN_OK)
		err = open_test_disk(node, why, why_bytes);
	if (err == TERN_OK)
		err = superblocks_read(node, &superblock, &node->unsafe_devices, why, why_bytes);
	if (err == TERN_OK)
		err = check_log_place(node, &superblock, why, why_bytes);
	if (err == TERN_OK)
		err = open_ram_disk(node, &superblock, why, why_bytes);
	if (err == TERN_OK)
		err = open_state(node, why, why_bytes);
	if (err == TERN_OK)
		err = open_mgmt(node, why, why_bytes);
	if (err == TERN_OK)
		err = open_nic(node, why, why_bytes);
	if (err == TERN_OK)
		err = make_runtime(node, superblock.log_pages * superblock.k, why, why_bytes);
	return err;
}

void
assemble_close(struct ternd *node)
{
	if (node->nic != NULL)
		nic_close(node->nic);
	if (node->mgmt != NULL)
		net_kernel_close(node->mgmt);
	ram_disk_close(node->ram_disk);
	if (node->lossy != NULL)
		lossy_close(node->lossy);
	faulty_close(node->faulty);
	if (node->nvme != NULL)
		nvme_close(node->nvme);
}
