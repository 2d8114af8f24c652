/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/runtime/alone.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/crc32c.h"
#include "dataplane/base/le.h"
#include "tests/support/mirror.h"

#define CLUSTER       0x77u
#define NODE          1u
#define RING_BYTES    (1u << 20)
#define REQUEST_BYTES (1u << 20)
#define STATE_BYTES   (72u << 20)
#define STEP_NS       100000u

/* ---- seams ---- */

static enum tern_err
disk_queue(void *disk, const struct disk_request *request)
{
	struct alone_device *device = disk;

	if (device->count == ALONE_DISK_MAX)
		return TERN_ERR_QUEUE_FULL;
	device->queue[device->count++] = *request;
	return TERN_OK;
}

static void
disk_submit(void *disk)
{
	(void)disk;
}

static uint32_t
disk_poll(void *disk, struct disk_completion *completions, uint32_t max)
{
	struct alone_device *device = disk;
	uint32_t done = 0, kept = 0;

	for (uint32_t i = 0; i < device->count; i++) {
		const struct disk_request *request = &device->queue[i];
		if (device->is_held || done == max ||
		    (device->held_from != 0 && request->offset >= device->held_from)) {
			device->queue[kept++] = *request;
			continue;
		}
		uint8_t *at = device->image + request->offset;
		assert_true(request->offset + request->length <= sizeof(device->image));
		if (request->kind == DISK_WRITE && !device->is_broken)
			memcpy(at, request->bytes, request->length);
		else if (request->kind == DISK_READ)
			memcpy(request->bytes, at, request->length);
		completions[done++] =
		    (struct disk_completion){ .user = request->user,
					      .kind = request->kind,
					      .length = request->length,
					      .err = device->is_broken ? TERN_ERR_IO : TERN_OK };
	}
	device->count = kept;
	return done;
}

static int
no_fd(void *seam)
{
	(void)seam;
	return -1;
}

static void
disk_facts(void *disk, struct disk_facts *facts)
{
	(void)disk;
	*facts = (struct disk_facts){ .device_count = 1, .mode = "memory" };
}

static void
disk_stats(void *disk, struct disk_stats *stats)
{
	(void)disk;
	*stats = (struct disk_stats){ 0 };
}

static uint32_t
no_frames(void *net, struct net_frame *frames, uint32_t count)
{
	(void)net;
	(void)frames;
	(void)count;
	return 0;
}

static void
no_release(void *net, struct net_frame *frames, uint32_t count)
{
	(void)net;
	(void)frames;
	(void)count;
}

static uint32_t
no_buffers(void *net, uint16_t node, struct net_frame *frames, uint32_t count)
{
	(void)node;
	return no_frames(net, frames, count);
}

static uint32_t
no_room(void *net, uint16_t node)
{
	(void)net;
	(void)node;
	return 0;
}

static bool
is_down(void *net, uint16_t node)
{
	(void)net;
	(void)node;
	return false;
}

static void
net_stats(void *net, struct net_stats *stats)
{
	(void)net;
	*stats = (struct net_stats){ 0 };
}

static const char *
net_driver(void *net)
{
	(void)net;
	return "none";
}

static uint64_t
clock_now(void *clock)
{
	const struct alone *alone = clock;

	return alone->now_ns;
}

static const struct disk_ops disk_ops = { disk_queue, disk_submit, disk_poll,
					  no_fd,      disk_facts,  disk_stats };
static const struct net_ops net_ops = { no_frames, no_release, no_buffers, no_frames, no_room,
					is_down,   no_fd,      net_stats,  net_driver };
static const struct clock_ops clock_ops = { clock_now, clock_now, clock_now };

/* ---- the node ---- */

static uint8_t *
take(size_t bytes)
{
	uint8_t *memory =
	    mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	return memory;
}

/* As an earlier version left it. */
static void
make_old(uint8_t *page)
{
	const le32 format = le32_make(1);

	memcpy(page + 12, &format, sizeof(format));
	const le32 crc = le32_make(crc32c(page + 12, SUPERBLOCK_BYTES - 12));
	memcpy(page + 8, &crc, sizeof(crc));
}

static void
birth(struct alone_device *device, uint64_t checkpoint_pages)
{
	struct superblock superblock = {
		.sequence = 1,
		.cluster_id = CLUSTER,
		.generation = { 1, 0 },
		.node_id = NODE,
		.pool_gen = 1,
		.k = 1,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = ALONE_LOG_PAGES,
		.checkpoint_first_page = ALONE_SLOTS_PAGE,
		.checkpoint_pages = checkpoint_pages,
		.shard_count = 1,
	};

	superblock.shards[0] = (struct shard_record){ .voters = 1u << NODE };
	for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
		superblock_encode(device->image + i * PAGE_BYTES, &superblock);
		make_old(device->image + i * PAGE_BYTES);
	}
}

static void
make_runtime(struct alone *alone)
{
	const uint64_t ms = 1000000;
	const struct runtime_config config = {
		.node_id = NODE,
		.data_nodes = 1u << NODE,
		.timers = { .heartbeat_ns = 3 * ms,
			    .solo_ns = 30 * ms,
			    .late_ns = 300 * ms,
			    .stall_ns = 10000 * ms,
			    .elect_min_ns = 50 * ms,
			    .elect_max_ns = 80 * ms },
		.min_copies = 1,
		.prng_seed = 1,
		.data_net = { &net_ops, NULL },
		.mgmt_net = { &net_ops, NULL },
		.disk = { &disk_ops, alone->device },
		.geometry = { .k = 1 },
		.device_bytes = { sizeof(alone->device->image) },
		.clock = { &clock_ops, alone },
		.ring = alone->ring,
		.ring_bytes = RING_BYTES,
		.command_bytes_max = ALONE_COMMAND_MAX,
		.log_pages_max = ALONE_LOG_PAGES,
		.groups_in_flight_max = 2,
		.units_per_frame = 1,
		.resend_ns = 20 * ms,
		.fetch_after_ns = ms,
		.state = alone->state,
		.channels = { &alone->channel },
		.channel_count = 1,
	};
	struct arena arena;

	alone->arena_bytes = align_up_u64(runtime_bytes(&config), PAGE_BYTES);
	alone->arena_memory = take(alone->arena_bytes);
	arena_init(&arena, alone->arena_memory, alone->arena_bytes);
	assert_int_equal(runtime_create(&config, &arena, &alone->runtime), TERN_OK);
}

/* What does not outlive a process; and a start on what lies on the device. */
static enum runtime_boot
process_begin(struct alone *alone)
{
	const uint64_t bytes = submit_completions_bytes(ALONE_IN_FLIGHT_MAX);
	enum runtime_boot boot = RUNTIME_BOOT_MORE;

	alone->ring = mirror_map(RING_BYTES);
	alone->state_memory = take(STATE_BYTES);
	const struct state_config state = { .arena = alone->state_memory,
					    .arena_bytes = STATE_BYTES,
					    .capacity_bytes = 4u << 20,
					    .value_bytes_max = 4096,
					    .sessions_max = 16,
					    .readers_max = 2,
					    .hash_seed = 1 };
	assert_int_equal(state_init(&state, &alone->state), TERN_OK);
	alone->channel_memory = take(REQUEST_BYTES + bytes);
	ring_init(&alone->channel.requests, alone->channel_memory, REQUEST_BYTES);
	ring_init(&alone->channel.completions, alone->channel_memory + REQUEST_BYTES, bytes);
	alone->wake.fd = alone->channel.front_wake.fd = -1;
	alone->channel.lcore_wake = &alone->wake;
	alone->channel.in_flight_max = ALONE_IN_FLIGHT_MAX;
	make_runtime(alone);
	for (uint32_t i = 0; i < ALONE_TURNS_MAX && boot == RUNTIME_BOOT_MORE; i++)
		boot = runtime_boot_turn(alone->runtime);
	return boot;
}

static void
process_end(struct alone *alone)
{
	munmap(alone->arena_memory, alone->arena_bytes);
	munmap(alone->channel_memory,
	       REQUEST_BYTES + submit_completions_bytes(ALONE_IN_FLIGHT_MAX));
	munmap(alone->state_memory, STATE_BYTES);
	mirror_unmap(alone->ring, RING_BYTES);
	alone->channel = (struct submit_channel){ 0 };
	alone->wake = (struct wake){ 0 };
}

enum runtime_boot
alone_restart(struct alone *alone)
{
	process_end(alone);
	alone->device->count = 0;
	alone->device->is_held = alone->device->is_broken = false;
	alone->device->held_from = 0;
	return process_begin(alone);
}

static int
alone_start_with(void **context, uint64_t checkpoint_pages)
{
	struct alone *alone = calloc(1, sizeof(*alone));

	alone->device = (struct alone_device *)(void *)take(sizeof(*alone->device));
	birth(alone->device, checkpoint_pages);
	alone->now_ns = 1000000000;
	assert_int_equal(process_begin(alone), RUNTIME_BOOT_READY);
	*context = alone;
	return 0;
}

int
alone_start(void **context)
{
	return alone_start_with(context, 0);
}

int
alone_start_with_checkpoints(void **context)
{
	return alone_start_with(context, SUPERBLOCK_CHECKPOINTS * ALONE_SLOT_PAGES);
}

int
alone_stop(void **context)
{
	struct alone *alone = *context;

	process_end(alone);
	munmap(alone->device, sizeof(*alone->device));
	free(alone);
	return 0;
}

void
alone_turns(struct alone *alone, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		(void)runtime_turn(alone->runtime);
		alone->now_ns += STEP_NS;
	}
}

void
alone_become_master(struct alone *alone)
{
	for (uint32_t i = 0; i < ALONE_TURNS_MAX && !runtime_view(alone->runtime)->is_serving; i++)
		alone_turns(alone, 1);
	assert_true(runtime_view(alone->runtime)->is_serving);
}

/* ---- the front end ---- */

uint64_t
alone_ask(struct alone *alone, enum submit_kind kind, const void *bytes, uint32_t count)
{
	struct submit_request *request =
	    ring_reserve(&alone->channel.requests, (uint32_t)sizeof(*request) + count);

	assert_non_null(request);
	*request = (struct submit_request){
		.tag = ++alone->tag, .kind = kind, .command_bytes = count, .node = 2
	};
	if (count != 0)
		memcpy(request + 1, bytes, count);
	ring_publish(&alone->channel.requests);
	return alone->tag;
}

uint64_t
alone_set_as(struct alone *alone, const char *key, uint32_t value_bytes, enum command_class class_,
	     uint8_t flags)
{
	static uint8_t buffer[4 * ALONE_COMMAND_MAX];
	static const uint8_t value[2 * ALONE_COMMAND_MAX];
	struct command_writer writer;
	uint32_t bytes;

	command_begin(&writer, buffer, sizeof(buffer));
	command_add_arg(&writer, key, (uint32_t)strlen(key));
	command_add_arg(&writer, value, value_bytes);
	assert_int_equal(command_end(&writer, COMMAND_SET, flags, 0, 0, 0, &bytes), TERN_OK);
	command_set_class(buffer, class_);
	return alone_ask(alone, SUBMIT_WRITE, buffer, bytes);
}

uint64_t
alone_set(struct alone *alone, const char *key, uint32_t value_bytes)
{
	return alone_set_as(alone, key, value_bytes, COMMAND_DURABLE, 0);
}

struct submit_completion
alone_next_answer(struct alone *alone)
{
	const struct submit_completion *next = NULL;
	struct submit_completion completion;
	uint32_t bytes;

	for (uint32_t i = 0; i < ALONE_TURNS_MAX && next == NULL; i++) {
		next = ring_peek(&alone->channel.completions, &bytes);
		if (next == NULL)
			alone_turns(alone, 1);
	}
	assert_non_null(next);
	completion = *next;
	ring_consume(&alone->channel.completions);
	return completion;
}

struct submit_completion
alone_answer(struct alone *alone, uint64_t tag)
{
	const struct submit_completion completion = alone_next_answer(alone);

	assert_int_equal(completion.tag, tag);
	return completion;
}

void
alone_expect(struct alone *alone, uint64_t tag, enum submit_outcome outcome)
{
	assert_int_equal(alone_answer(alone, tag).outcome, outcome);
}
