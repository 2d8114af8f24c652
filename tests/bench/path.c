/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The path of a command without devices, sockets, processes and the scheduler: two data nodes and a
 * witness in one thread, turned one after the other, over a network of pointers, a disk of memory
 * and a clock that the loop moves. The same commands always take the same instructions, so
 *
 *	valgrind --tool=callgrind --toggle-collect=measured tern-bench-path ...
 *
 * says what a change costs whatever else the machine does. Without valgrind it prints cycles of the
 * time stamp counter: the best and the median of some rounds, by stage and node.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/daemon/load.h"
#include "dataplane/base/bits.h"
#include "dataplane/runtime/runtime.h"
#include "dataplane/runtime/witness_node.h"
#include "dataplane/wire/page.h"
#include "dataplane/wire/superblock.h"
#include "hw/platform/platform.h"
#include "hw/ram_disk/ram_disk.h"

#define NODES         3u
#define DATA_NODES    2u
#define WITNESS       3u
#define DATA_MASK     (UINT64_C(1) << 1 | UINT64_C(1) << 2)
#define CLUSTER       7u
#define FRAMES        1024u /* of a node and path */
#define FRAME_BYTES   9216u
#define DISK_QUEUE    32u
#define LOG_PAGES     (UINT64_C(1) << 17)
#define RING_BYTES    (2u << 20)
#define REQUEST_BYTES (8u << 20)
#define CAPACITY      (512ull << 20)
#define STEP_NS       500u
#define START_STEP_NS 20000u
#define ROUNDS_MAX    64u
#define TURNS_MAX     2000000000ull

struct queue {
	struct net_frame frames[FRAMES];
	uint32_t head, tail;
};

struct port {
	struct cluster *cluster;
	uint32_t node, path;
	uint8_t *free[FRAMES];
	uint32_t free_count;
	struct queue received;
};

struct disk {
	uint8_t *image;
	struct disk_request requests[DISK_QUEUE];
	uint32_t head, tail;
};

struct node {
	struct port ports[2];
	struct disk disk; /* of the superblock; the log is in RAM */
	struct ram_disk *ram;
	struct state *state;
	struct runtime *runtime;
	struct load *load;
	struct status_cell *status;
	struct submit_channel *channel;
};

struct cluster {
	uint64_t now_ns;
	struct node nodes[NODES];
	struct witness_node witness;
	struct witness_register reg;
	uint64_t stored_op_id;
	bool is_stored;
	struct wake wake;
	uint32_t units_per_frame;
};

static void *
take(size_t bytes)
{
	void *memory = platform_arena_map(bytes);

	if (memory == NULL) {
		fprintf(stderr, "path: %zu bytes of memory are not to be had\n", bytes);
		exit(1);
	}
	return memory;
}

/* ---- seams ---- */

static uint64_t
clock_now(void *clock)
{
	return ((struct cluster *)clock)->now_ns;
}

static uint64_t
clock_cycles(void *clock)
{
	(void)clock;
	return platform_cycles();
}

static const struct clock_ops path_clock_ops = { clock_now, clock_now, clock_cycles };

static uint32_t
net_rx(void *net, struct net_frame *frames, uint32_t max)
{
	struct queue *queue = &((struct port *)net)->received;
	uint32_t count = 0;

	while (count < max && queue->tail != queue->head)
		frames[count++] = queue->frames[queue->tail++ % FRAMES];
	return count;
}

/* A frame's buffer goes back to the node that it came from. */
static void
net_release(void *net, struct net_frame *frames, uint32_t count)
{
	(void)net;
	for (uint32_t i = 0; i < count; i++) {
		struct port *home = frames[i].opaque;
		home->free[home->free_count++] = frames[i].bytes;
	}
}

static uint32_t
net_alloc(void *net, uint16_t node, struct net_frame *frames, uint32_t count)
{
	struct port *port = net;

	for (uint32_t i = 0; i < count; i++) {
		if (port->free_count == 0)
			return i;
		frames[i] = (struct net_frame){ .bytes = port->free[--port->free_count],
						.capacity = FRAME_BYTES,
						.node = node,
						.opaque = port };
	}
	return count;
}

static uint32_t
net_send(void *net, struct net_frame *frames, uint32_t count)
{
	struct port *port = net;

	for (uint32_t i = 0; i < count; i++) {
		struct port *to = &port->cluster->nodes[frames[i].node - 1].ports[port->path];
		struct queue *queue = &to->received;
		if (queue->head - queue->tail == FRAMES) {
			net_release(port, &frames[i], 1);
			continue;
		}
		frames[i].node = (uint16_t)(port->node + 1);
		queue->frames[queue->head++ % FRAMES] = frames[i];
	}
	return count;
}

static uint32_t
net_bytes_max(void *net, uint16_t node)
{
	(void)net;
	(void)node;
	return FRAME_BYTES;
}

static bool
net_is_up(void *net, uint16_t node)
{
	(void)net;
	(void)node;
	return true;
}

static int
no_fd(void *seam)
{
	(void)seam;
	return -1;
}

static void
net_stats_of(void *net, struct net_stats *stats)
{
	(void)net;
	memset(stats, 0, sizeof(*stats));
}

static const char *
net_driver(void *net)
{
	(void)net;
	return "pointers";
}

static const struct net_ops path_net_ops = {
	.rx_burst = net_rx,
	.rx_release = net_release,
	.tx_alloc = net_alloc,
	.tx_burst = net_send,
	.frame_bytes_max = net_bytes_max,
	.is_up = net_is_up,
	.wait_fd = no_fd,
	.stats = net_stats_of,
	.driver = net_driver,
};

static enum tern_err
disk_queue(void *seam, const struct disk_request *request)
{
	struct disk *disk = seam;

	if (disk->head - disk->tail == DISK_QUEUE)
		return TERN_ERR_QUEUE_FULL;
	disk->requests[disk->head++ % DISK_QUEUE] = *request;
	return TERN_OK;
}

static void
disk_submit(void *seam)
{
	(void)seam;
}

static uint32_t
disk_poll(void *seam, struct disk_completion *completions, uint32_t max)
{
	struct disk *disk = seam;
	uint32_t count = 0;

	while (count < max && disk->tail != disk->head) {
		const struct disk_request *next = &disk->requests[disk->tail++ % DISK_QUEUE];
		if (next->kind == DISK_WRITE)
			memcpy(disk->image + next->offset, next->bytes, next->length);
		else
			memcpy(next->bytes, disk->image + next->offset, next->length);
		completions[count++] = (struct disk_completion){ .user = next->user,
								 .kind = next->kind,
								 .err = TERN_OK,
								 .length = next->length };
	}
	return count;
}

static void
disk_facts(void *seam, struct disk_facts *facts)
{
	(void)seam;
	*facts = (struct disk_facts){ .device_count = 1, .is_volatile = true };
}

static void
disk_stats(void *seam, struct disk_stats *stats)
{
	(void)seam;
	memset(stats, 0, sizeof(*stats));
}

static const struct disk_ops path_disk_ops = {
	disk_queue, disk_submit, disk_poll, no_fd, disk_facts, disk_stats,
};

static enum tern_err
register_store(void *store, const struct witness_register *reg, uint64_t op_id)
{
	struct cluster *cluster = store;

	cluster->reg = *reg;
	cluster->stored_op_id = op_id;
	cluster->is_stored = true;
	return TERN_OK;
}

static uint32_t
register_poll(void *store, uint64_t *op_ids, uint32_t max)
{
	struct cluster *cluster = store;

	if (!cluster->is_stored || max == 0)
		return 0;
	cluster->is_stored = false;
	op_ids[0] = cluster->stored_op_id;
	return 1;
}

static const struct register_ops path_register_ops = { register_store, register_poll };

/* ---- nodes ---- */

static const struct core_timers timers = {
	.heartbeat_ns = 3000000,
	.solo_ns = 30000000,
	.late_ns = 300000000,
	.stall_ns = 500000000,
	.elect_min_ns = 50000000,
	.elect_max_ns = 80000000,
};

static void
make_ports(struct cluster *cluster, uint32_t index)
{
	for (uint32_t path = 0; path < 2; path++) {
		struct port *port = &cluster->nodes[index].ports[path];
		uint8_t *bytes = take((size_t)FRAMES * FRAME_BYTES);
		port->cluster = cluster;
		port->node = index;
		port->path = path;
		for (uint32_t i = 0; i < FRAMES; i++)
			port->free[port->free_count++] = bytes + (size_t)i * FRAME_BYTES;
	}
}

static void
make_disk(struct node *node, uint16_t id)
{
	struct superblock superblock = {
		.sequence = 1,
		.cluster_id = CLUSTER,
		.generation = { 1, 0 },
		.node_id = id,
		.pool_gen = 1,
		.k = 1,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = LOG_PAGES,
		.checkpoint_first_page = SUPERBLOCK_AREA_PAGES + LOG_PAGES,
		.shard_count = 1,
	};

	superblock.shards[0] =
	    (struct shard_record){ .voters = DATA_MASK, .witness_id = WITNESS, .witness_gen = 1 };
	node->disk.image = take(SUPERBLOCK_AREA_PAGES * PAGE_BYTES);
	for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++)
		superblock_encode(node->disk.image + i * PAGE_BYTES, &superblock);
	const struct ram_disk_config config = {
		.log_offset = superblock.log_first_page * PAGE_BYTES,
		.log_bytes = superblock.log_pages * PAGE_BYTES,
		.queue_depth = DISK_QUEUE,
	};
	char why[128];
	const enum tern_err err =
	    ram_disk_open(&config, (struct disk_port){ &path_disk_ops, &node->disk }, &node->ram,
			  why, sizeof(why));
	INVARIANT(err == TERN_OK);
}

static void
make_state(struct node *node)
{
	struct state_config config = {
		.arena_bytes = 2 * CAPACITY + (64u << 20),
		.capacity_bytes = CAPACITY,
		.value_bytes_max = 32768,
		.sessions_max = 4096,
		.readers_max = 8,
		.hash_seed = 42,
	};

	config.arena = take(config.arena_bytes);
	const enum tern_err err = state_init(&config, &node->state);
	INVARIANT(err == TERN_OK);
}

static void
make_channel(struct cluster *cluster, struct node *node)
{
	const uint64_t bytes = submit_completions_bytes(LOAD_IN_FLIGHT_MAX);

	node->load = take(sizeof(*node->load));
	node->channel = &node->load->channel;
	ring_init(&node->channel->requests, take(REQUEST_BYTES), REQUEST_BYTES);
	ring_init(&node->channel->completions, take(bytes), bytes);
	node->channel->lcore_wake = &cluster->wake;
	node->channel->front_wake.fd = -1;
	node->channel->in_flight_max = LOAD_IN_FLIGHT_MAX;
	node->status = take(sizeof(*node->status));
}

static void
make_data_node(struct cluster *cluster, uint32_t index)
{
	struct node *node = &cluster->nodes[index];
	struct arena arena;

	make_disk(node, (uint16_t)(index + 1));
	make_state(node);
	make_channel(cluster, node);
	const struct runtime_config config = {
		.cluster_id = CLUSTER,
		.node_id = (uint16_t)(index + 1),
		.data_nodes = DATA_MASK,
		.witness_id = WITNESS,
		.timers = timers,
		.min_copies = 1,
		.prng_seed = index + 1,
		.is_log_volatile = true,
		.data_net = { &path_net_ops, &node->ports[0] },
		.mgmt_net = { &path_net_ops, &node->ports[1] },
		.disk = ram_disk_port(node->ram),
		.geometry = { .k = 1 },
		.device_bytes = { (SUPERBLOCK_AREA_PAGES + LOG_PAGES) * PAGE_BYTES },
		.clock = { &path_clock_ops, cluster },
		.ring = platform_ring_map(RING_BYTES),
		.ring_bytes = RING_BYTES,
		.command_bytes_max = 65536,
		.log_pages_max = LOG_PAGES,
		.groups_in_flight_max = 2,
		.units_per_frame = cluster->units_per_frame,
		.resend_ns = 20000000,
		.fetch_after_ns = 1000000,
		.state = node->state,
		.channels = { node->channel },
		.channel_count = 1,
		.status = node->status,
		.poll_mode = "path",
	};
	const size_t bytes = align_up_u64(runtime_bytes(&config), PAGE_BYTES);
	arena_init(&arena, take(bytes), bytes);
	enum runtime_boot boot = RUNTIME_BOOT_MORE;
	const enum tern_err err = runtime_create(&config, &arena, &node->runtime);
	INVARIANT(err == TERN_OK);
	while (boot == RUNTIME_BOOT_MORE)
		boot = runtime_boot_turn(node->runtime);
	INVARIANT(boot == RUNTIME_BOOT_READY);
}

static struct cluster *
make_cluster(uint32_t units_per_frame)
{
	struct cluster *cluster = take(sizeof(*cluster));

	cluster->now_ns = 1000000000;
	cluster->wake.fd = -1;
	cluster->units_per_frame = units_per_frame;
	for (uint32_t i = 0; i < NODES; i++)
		make_ports(cluster, i);
	for (uint32_t i = 0; i < DATA_NODES; i++)
		make_data_node(cluster, i);
	const struct witness_node_config config = {
		.reg = { .sequence = 2,
			 .cluster_id = CLUSTER,
			 .generation = { 1, 0 },
			 .witness_gen = 1,
			 .witness_id = WITNESS,
			 .boot_no = 1 },
		.is_first_boot = true,
		.data_nodes = DATA_MASK,
		.timers = timers,
		.prng_seed = 3,
		.mgmt_net = { &path_net_ops, &cluster->nodes[WITNESS - 1].ports[1] },
		.clock = { &path_clock_ops, cluster },
		.store = { &path_register_ops, cluster },
	};
	const enum tern_err err = witness_node_init(&cluster->witness, &config, take(core_bytes()));
	INVARIANT(err == TERN_OK);
	return cluster;
}

/* ---- loads ---- */

static void
turn_all(struct cluster *cluster, struct node *master, uint64_t step_ns)
{
	cluster->now_ns += step_ns;
	if (master != NULL)
		(void)load_turn(master->load);
	for (uint32_t i = 0; i < DATA_NODES; i++)
		(void)runtime_turn(cluster->nodes[i].runtime);
	if (cluster->nodes[WITNESS - 1].ports[1].received.head !=
	    cluster->nodes[WITNESS - 1].ports[1].received.tail)
		(void)witness_node_turn(&cluster->witness);
}

static struct node *
await_master(struct cluster *cluster)
{
	for (uint32_t turn = 0; turn < 1000000; turn++) {
		turn_all(cluster, NULL, START_STEP_NS);
		for (uint32_t i = 0; i < DATA_NODES; i++) {
			const struct core_view *view = runtime_view(cluster->nodes[i].runtime);
			if (view->is_serving && view->mode == CORE_MODE_DUPLEX)
				return &cluster->nodes[i];
		}
	}
	fprintf(stderr, "path: nobody became master\n");
	exit(1);
}

static bool
is_measured(struct load *load)
{
	const int phase = atomic_load(&load->phase);

	return phase == LOAD_RUNS || phase == LOAD_DRAINS;
}

__attribute__((noinline)) void measured(struct cluster *cluster, struct node *master);

/* Not static, so that callgrind finds it. */
__attribute__((noinline)) void
measured(struct cluster *cluster, struct node *master)
{
	for (uint64_t turn = 0; turn < TURNS_MAX && is_measured(master->load); turn++)
		turn_all(cluster, master, STEP_NS);
}

/* The keys are there before they are measured. */
static void
fill(struct cluster *cluster, struct node *master)
{
	for (uint64_t turn = 0; turn < TURNS_MAX && is_measured(master->load); turn++)
		turn_all(cluster, master, STEP_NS);
}

static void
settle(struct cluster *cluster, struct node_status *statuses)
{
	for (uint32_t i = 0; i < 400; i++)
		turn_all(cluster, NULL, START_STEP_NS);
	for (uint32_t i = 0; i < DATA_NODES; i++)
		status_read(cluster->nodes[i].status, &statuses[i]);
}

struct sample {
	double total;                           /* cycles a command */
	double stages[DATA_NODES][STAGE_COUNT]; /* of the master, of the replica */
};

static void
run(struct cluster *cluster, struct node *master, const struct load_config *config,
    void (*turns)(struct cluster *, struct node *), struct sample *sample)
{
	struct node_status before[DATA_NODES], after[DATA_NODES];
	struct load *load = master->load;
	const enum tern_err err = load_start(load, config);

	INVARIANT(err == TERN_OK);
	settle(cluster, before);
	while (atomic_load(&load->phase) == LOAD_OPENS)
		turn_all(cluster, master, STEP_NS);
	const uint64_t begin = platform_cycles();
	turns(cluster, master);
	const uint64_t cycles = platform_cycles() - begin;
	while (atomic_load(&load->phase) != LOAD_DONE)
		turn_all(cluster, master, STEP_NS);
	settle(cluster, after);
	const double commands = (double)load->result.outcomes[SUBMIT_DONE];
	INVARIANT(load->result.outcomes[SUBMIT_DONE] == config->keys);
	INVARIANT(load->result.bad_replies == 0);
	INVARIANT(after[0].state_hash == after[1].state_hash);
	sample->total = (double)(cycles - load->result.cycles) / commands;
	for (uint32_t i = 0; i < DATA_NODES; i++) {
		const uint32_t role = master == &cluster->nodes[i] ? 0 : 1;
		for (uint32_t stage = 0; stage < STAGE_COUNT; stage++)
			sample->stages[role][stage] =
			    (double)(after[i].cycles[stage] - before[i].cycles[stage]) / commands;
	}
	json_decref(load_take_result(load));
}

static int
by_total(const void *a, const void *b)
{
	const double x = ((const struct sample *)a)->total, y = ((const struct sample *)b)->total;

	return (x > y) - (x < y);
}

static void
print_sample(const char *name, const struct sample *sample)
{
	static const char *const stages[] = {
#define X(name) #name,
		STATUS_STAGES(X)
#undef X
	};
	static const char *const roles[DATA_NODES] = { "master", "replica" };

	printf("%s: %.0f cycles a command on both nodes\n", name, sample->total);
	for (uint32_t i = 0; i < DATA_NODES; i++) {
		printf("  %-8s", roles[i]);
		for (uint32_t stage = 0; stage < STAGE_COUNT; stage++)
			printf(" %s %.0f", stages[stage], sample->stages[i][stage]);
		printf("\n");
	}
}

static uint64_t
number(int argc, char **argv, int at, uint64_t otherwise)
{
	return at < argc ? strtoull(argv[at], NULL, 0) : otherwise;
}

int
main(int argc, char **argv)
{
	static struct sample samples[ROUNDS_MAX];
	const struct load_config config = {
		.in_flight = (uint32_t)number(argc, argv, 1, 1),
		.block_commands = (uint32_t)number(argc, argv, 2, 0),
		.keys = number(argc, argv, 3, 65536),
		.command_bytes = (uint32_t)number(argc, argv, 6, 64),
		.class_ = COMMAND_MEMORY,
	};
	const uint32_t rounds = (uint32_t)min_u64(number(argc, argv, 4, 9), ROUNDS_MAX);
	struct cluster *cluster = make_cluster((uint32_t)number(argc, argv, 5, 6));
	struct node *master = await_master(cluster);
	struct load_config filling = config;
	struct sample ignored;

	if (argc < 2) {
		printf("usage: %s IN_FLIGHT BLOCK_COMMANDS KEYS ROUNDS UNITS_A_FRAME "
		       "COMMAND_BYTES\nBLOCK_COMMANDS 0: full blocks. KEYS: a power of two, so "
		       "many commands a round\n",
		       argv[0]);
		return 2;
	}
	filling.in_flight = LOAD_IN_FLIGHT_MAX;
	filling.block_commands = 0;
	run(cluster, master, &filling, fill, &ignored);
	for (uint32_t i = 0; i < rounds; i++)
		run(cluster, master, &config, measured, &samples[i]);
	qsort(samples, rounds, sizeof(samples[0]), by_total);
	print_sample("best", &samples[0]);
	print_sample("median", &samples[rounds / 2]);
	return 0;
}
