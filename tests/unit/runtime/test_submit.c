/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a front end gets through its channel: refusals, full queues, and what becomes of sealed
 * commands when mastership ends. A data node alone on fake seams: a device in memory that can be
 * held or broken, no network, a clock that steps.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/crc32c.h"
#include "dataplane/base/le.h"
#include "dataplane/runtime/runtime.h"
#include "dataplane/wire/page.h"
#include "dataplane/wire/superblock.h"
#include "tests/support/mirror.h"

#define CLUSTER       0x77u
#define NODE          1u
#define LOG_PAGES     200u
#define SLOT_PAGES    2u /* of a checkpoint: its header, and a page of state */
#define DEVICE_PAGES  (SUPERBLOCK_AREA_PAGES + LOG_PAGES + SUPERBLOCK_CHECKPOINTS * SLOT_PAGES)
#define RING_BYTES    (1u << 20)
#define COMMAND_MAX   8192u
#define IN_FLIGHT_MAX 64u
#define REQUEST_BYTES (1u << 20)
#define STATE_BYTES   (72u << 20)
#define STEP_NS       100000u
#define TURNS_MAX     20000u
#define DISK_MAX      64u

struct device {
	uint8_t image[DEVICE_PAGES * PAGE_BYTES];
	struct disk_request queue[DISK_MAX];
	uint32_t count;
	bool is_held, is_broken;
	uint64_t held_from; /* bytes: what lies there or behind is held; 0: nothing is */
};

struct alone {
	struct device *device;
	uint64_t now_ns;
	uint8_t *ring, *state_memory, *channel_memory, *arena_memory;
	size_t arena_bytes;
	struct state *state;
	struct wake wake;
	struct submit_channel channel;
	struct runtime *runtime;
	uint64_t tag;
};

/* ---- seams ---- */

static enum tern_err
disk_queue(void *disk, const struct disk_request *request)
{
	struct device *device = disk;

	if (device->count == DISK_MAX)
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
	struct device *device = disk;
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
birth(struct device *device, uint64_t checkpoint_pages)
{
	struct superblock superblock = {
		.sequence = 1,
		.cluster_id = CLUSTER,
		.generation = { 1, 0 },
		.node_id = NODE,
		.pool_gen = 1,
		.k = 1,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = LOG_PAGES,
		.checkpoint_first_page = SUPERBLOCK_AREA_PAGES + LOG_PAGES,
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
		.command_bytes_max = COMMAND_MAX,
		.log_pages_max = LOG_PAGES,
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

static int
start_with(void **context, uint64_t checkpoint_pages)
{
	struct alone *alone = calloc(1, sizeof(*alone));
	const uint64_t bytes = submit_completions_bytes(IN_FLIGHT_MAX);
	enum runtime_boot boot = RUNTIME_BOOT_MORE;

	alone->device = (struct device *)(void *)take(sizeof(*alone->device));
	birth(alone->device, checkpoint_pages);
	alone->now_ns = 1000000000;
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
	alone->channel.in_flight_max = IN_FLIGHT_MAX;
	make_runtime(alone);
	for (uint32_t i = 0; i < TURNS_MAX && boot == RUNTIME_BOOT_MORE; i++)
		boot = runtime_boot_turn(alone->runtime);
	assert_int_equal(boot, RUNTIME_BOOT_READY);
	*context = alone;
	return 0;
}

static int
start(void **context)
{
	return start_with(context, 0);
}

static int
start_with_checkpoints(void **context)
{
	return start_with(context, SUPERBLOCK_CHECKPOINTS * SLOT_PAGES);
}

static int
stop(void **context)
{
	struct alone *alone = *context;

	munmap(alone->arena_memory, alone->arena_bytes);
	munmap(alone->channel_memory, REQUEST_BYTES + submit_completions_bytes(IN_FLIGHT_MAX));
	munmap(alone->state_memory, STATE_BYTES);
	munmap(alone->device, sizeof(*alone->device));
	mirror_unmap(alone->ring, RING_BYTES);
	free(alone);
	return 0;
}

static void
turns(struct alone *alone, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		(void)runtime_turn(alone->runtime);
		alone->now_ns += STEP_NS;
	}
}

static void
become_master(struct alone *alone)
{
	for (uint32_t i = 0; i < TURNS_MAX && !runtime_view(alone->runtime)->is_serving; i++)
		turns(alone, 1);
	assert_true(runtime_view(alone->runtime)->is_serving);
}

/* ---- the front end ---- */

/* Publishes a request with @bytes behind it; its tag. */
static uint64_t
ask(struct alone *alone, enum submit_kind kind, const void *bytes, uint32_t count)
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

static uint64_t
set_as(struct alone *alone, const char *key, uint32_t value_bytes, enum command_class class_,
       uint8_t flags)
{
	static uint8_t buffer[4 * COMMAND_MAX];
	static const uint8_t value[2 * COMMAND_MAX];
	struct command_writer writer;
	uint32_t bytes;

	command_begin(&writer, buffer, sizeof(buffer));
	command_add_arg(&writer, key, (uint32_t)strlen(key));
	command_add_arg(&writer, value, value_bytes);
	assert_int_equal(command_end(&writer, COMMAND_SET, flags, 0, 0, 0, &bytes), TERN_OK);
	command_set_class(buffer, class_);
	return ask(alone, SUBMIT_WRITE, buffer, bytes);
}

static uint64_t
set(struct alone *alone, const char *key, uint32_t value_bytes)
{
	return set_as(alone, key, value_bytes, COMMAND_DURABLE, 0);
}

static struct submit_completion
next_answer(struct alone *alone)
{
	const struct submit_completion *next = NULL;
	struct submit_completion completion;
	uint32_t bytes;

	for (uint32_t i = 0; i < TURNS_MAX && next == NULL; i++) {
		next = ring_peek(&alone->channel.completions, &bytes);
		if (next == NULL)
			turns(alone, 1);
	}
	assert_non_null(next);
	completion = *next;
	ring_consume(&alone->channel.completions);
	return completion;
}

/* The next completion, which has to be that of @tag. */
static struct submit_completion
answer(struct alone *alone, uint64_t tag)
{
	const struct submit_completion completion = next_answer(alone);

	assert_int_equal(completion.tag, tag);
	return completion;
}

static void
expect(struct alone *alone, uint64_t tag, enum submit_outcome outcome)
{
	assert_int_equal(answer(alone, tag).outcome, outcome);
}

/* ---- tests ---- */

/* No copy of the superblock is left that a build could start with which cannot read this log. */
static void
test_storage_of_an_earlier_version(void **context)
{
	struct alone *alone = *context;
	struct superblock superblock;

	for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
		const uint8_t *copy = alone->device->image + i * PAGE_BYTES;
		assert_int_equal(superblock_decode(copy, &superblock), TERN_OK);
		assert_int_equal(superblock.format, SUPERBLOCK_FORMAT);
		assert_int_equal(superblock.boot_no, 1);
	}
}

static void
test_no_master_no_service(void **context)
{
	struct alone *alone = *context;

	expect(alone, set(alone, "k", 1), SUBMIT_REFUSED_NOT_MASTER);
	expect(alone, ask(alone, SUBMIT_READ, NULL, 0), SUBMIT_REFUSED_NOT_MASTER);
	expect(alone, ask(alone, SUBMIT_TRANSFER, NULL, 0), SUBMIT_REFUSED_NOT_MASTER);
	assert_false(runtime_view(alone->runtime)->is_serving);
}

static void
test_what_is_wrong_is_refused(void **context)
{
	struct alone *alone = *context;
	const uint8_t noise[64] = { 0xff, 0xff, 0xff };

	become_master(alone);
	const uint64_t last = runtime_view(alone->runtime)->last_index;
	expect(alone, ask(alone, SUBMIT_WRITE, noise, sizeof(noise)), SUBMIT_REFUSED_MALFORMED);
	expect(alone, set(alone, "k", 2 * COMMAND_MAX), SUBMIT_REFUSED_TOO_LARGE);
	/* Nobody to hand over to. */
	assert_int_not_equal(answer(alone, ask(alone, SUBMIT_TRANSFER, NULL, 0)).outcome,
			     SUBMIT_DONE);
	assert_int_equal(runtime_view(alone->runtime)->last_index, last);
	/* And service goes on: a refusal leaves nothing behind. */
	const uint64_t tag = set(alone, "k", 1);
	const struct submit_completion done = answer(alone, tag);
	assert_int_equal(done.outcome, SUBMIT_DONE);
	assert_int_equal(done.log_index, last + 1);
	assert_int_equal(done.slot, 0);
	const struct submit_completion read = answer(alone, ask(alone, SUBMIT_READ, NULL, 0));
	assert_int_equal(read.outcome, SUBMIT_DONE);
	assert_true(read.log_index >= done.log_index);
}

/* The core is told the time before it judges, and may answer with a barrier: that opens a block of
 * its own. */
static void
test_force_finds_no_open_block(void **context)
{
	struct alone *alone = *context;

	become_master(alone);
	const uint64_t last = runtime_view(alone->runtime)->last_index;
	const uint64_t write = set(alone, "k", 1);
	const uint64_t force = ask(alone, SUBMIT_FORCE, NULL, 0);
	const struct submit_completion refused = answer(alone, force);
	assert_int_equal(refused.outcome, SUBMIT_REFUSED_FORCE);
	assert_int_equal(refused.change, CORE_FORCE_MASTER);
	assert_int_equal(refused.log_index, last + 2); /* behind the block of the write */
	const struct submit_completion done = answer(alone, write);
	assert_int_equal(done.outcome, SUBMIT_DONE);
	assert_int_equal(done.log_index, last + 1);
}

/* While the device holds its writes the channel fills up; nothing is answered, nothing is lost. */
static void
test_full_queues_wait(void **context)
{
	struct alone *alone = *context;
	char key[16];

	become_master(alone);
	alone->device->is_held = true;
	for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		set(alone, key, 3000);
		turns(alone, 3);
	}
	assert_true(ring_is_empty(&alone->channel.completions));
	assert_false(ring_is_empty(&alone->channel.requests));
	assert_int_equal(state_stats(alone->state).keys, 0);
	alone->device->is_held = false;
	uint64_t before = 0;
	for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++) {
		const struct submit_completion done = answer(alone, i + 1);
		const uint64_t place = done.log_index << 16 | done.slot;
		assert_int_equal(done.outcome, SUBMIT_DONE);
		assert_true(place > before);
		before = place;
	}
	assert_int_equal(state_stats(alone->state).keys, IN_FLIGHT_MAX);
}

static void
test_a_full_log_refuses_writes_only(void **context)
{
	struct alone *alone = *context;
	uint32_t outcome = SUBMIT_DONE, count = 0;

	become_master(alone);
	for (; count < LOG_PAGES + 1 && outcome == SUBMIT_DONE; count++)
		outcome = answer(alone, set(alone, "k", 3000)).outcome;
	assert_int_equal(outcome, SUBMIT_REFUSED_LOG_FULL);
	assert_true(count > LOG_PAGES * 9 / 10 && count < LOG_PAGES);
	expect(alone, ask(alone, SUBMIT_READ, NULL, 0), SUBMIT_DONE);
	expect(alone, set(alone, "k", 3000), SUBMIT_REFUSED_LOG_FULL);
}

/* Sets one of @keys keys after the other, as many at once as the channel takes. Returns how many of
 * @count were refused, for a full log; the others are done. */
static uint32_t
set_many(struct alone *alone, uint32_t keys, uint32_t count)
{
	uint32_t refused = 0;
	char key[16];

	for (uint32_t done = 0; done < count; done += IN_FLIGHT_MAX) {
		for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++) {
			snprintf(key, sizeof(key), "k%u", i % keys);
			set(alone, key, 3000);
		}
		for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++) {
			const uint32_t outcome = next_answer(alone).outcome;
			if (outcome != SUBMIT_DONE)
				assert_int_equal(outcome, SUBMIT_REFUSED_LOG_FULL);
			refused += outcome != SUBMIT_DONE;
		}
	}
	return refused;
}

/* Commands that come faster than the log is freed wait for that. */
static void
test_a_log_that_is_freed_refuses_nothing(void **context)
{
	struct alone *alone = *context;

	become_master(alone);
	assert_int_equal(set_many(alone, 1, 10 * LOG_PAGES), 0);
}

/* The state has no room in a checkpoint: nothing frees the log, and nobody waits for it. */
static void
test_a_log_that_cannot_be_freed_refuses(void **context)
{
	struct alone *alone = *context;

	become_master(alone);
	assert_true(set_many(alone, 4, 2 * LOG_PAGES) > 0);
	expect(alone, ask(alone, SUBMIT_READ, NULL, 0), SUBMIT_DONE);
}

/* A checkpoint that does not get on: writes wait a second for it, then they are refused, and what
 * is behind them has its turn. */
static void
test_a_log_that_is_not_freed_in_time_refuses(void **context)
{
	struct alone *alone = *context;
	uint64_t tag = 0;

	become_master(alone);
	alone->device->held_from = (SUPERBLOCK_AREA_PAGES + LOG_PAGES) * PAGE_BYTES;
	for (uint32_t i = 0; i < LOG_PAGES && ring_is_empty(&alone->channel.requests); i++) {
		tag = set(alone, "k", 3000);
		turns(alone, 20);
		if (ring_is_empty(&alone->channel.requests))
			expect(alone, tag, SUBMIT_DONE);
	}
	assert_false(ring_is_empty(&alone->channel.requests));
	const uint64_t read = ask(alone, SUBMIT_READ, NULL, 0);
	turns(alone, 5000);
	assert_true(ring_is_empty(&alone->channel.completions));
	expect(alone, tag, SUBMIT_REFUSED_LOG_FULL);
	expect(alone, read, SUBMIT_DONE);
	alone->device->held_from = 0;
	turns(alone, 100);
	expect(alone, set(alone, "k", 3000), SUBMIT_DONE);
}

/* The device fails under sealed commands: nobody knows what it kept, so they are UNKNOWN and never
 * refused; what comes later is refused. Every request gets its one completion. */
static void
test_sealed_commands_are_unknown_after_a_fall(void **context)
{
	struct alone *alone = *context;

	become_master(alone);
	expect(alone, set(alone, "before", 10), SUBMIT_DONE);
	alone->device->is_held = true;
	const uint64_t sealed = set(alone, "sealed", 10);
	turns(alone, 5);
	const uint64_t last = runtime_view(alone->runtime)->last_index;
	alone->device->is_held = false;
	alone->device->is_broken = true;
	expect(alone, sealed, SUBMIT_UNKNOWN);
	expect(alone, set(alone, "later", 10), SUBMIT_REFUSED_NOT_MASTER);
	expect(alone, ask(alone, SUBMIT_READ, NULL, 0), SUBMIT_REFUSED_NOT_MASTER);
	turns(alone, 5000);
	assert_true(ring_is_empty(&alone->channel.completions));
	assert_int_equal(runtime_view(alone->runtime)->last_index, last);
	assert_int_not_equal(runtime_view(alone->runtime)->role, CORE_MASTER);
}

/* Where it stands is said at once, without a result; it is executed there, when that commits. */
static void
test_async_is_accepted_at_a_position(void **context)
{
	struct alone *alone = *context;

	become_master(alone);
	alone->device->is_held = true;
	const uint64_t last = runtime_view(alone->runtime)->last_index;
	const uint64_t durable = set(alone, "durable", 1);
	const uint64_t first = set_as(alone, "a", 1, COMMAND_ASYNC, 0);
	const uint64_t second = set_as(alone, "b", 1, COMMAND_ASYNC, 0);
	const struct submit_completion one = answer(alone, first), two = answer(alone, second);
	assert_int_equal(one.outcome, SUBMIT_ACCEPTED);
	assert_int_equal(two.outcome, SUBMIT_ACCEPTED);
	assert_int_equal(one.class_, COMMAND_ASYNC);
	assert_int_equal(one.reply.kind, 0);
	assert_int_equal(one.copies, 0);
	assert_int_equal(one.term, runtime_view(alone->runtime)->term);
	assert_int_equal(one.log_index, last + 1);
	assert_int_equal(one.slot, 1);
	assert_int_equal(two.slot, 2);
	turns(alone, 20);
	assert_int_equal(state_stats(alone->state).keys, 0);
	assert_true(ring_is_empty(&alone->channel.completions));
	alone->device->is_held = false;
	const struct submit_completion done = answer(alone, durable);
	assert_int_equal(done.outcome, SUBMIT_DONE);
	assert_int_equal(done.log_index, one.log_index);
	struct state_reader *reader = state_reader_open(alone->state);
	assert_true(state_read_begin(reader) >= one.log_index);
	const struct state_value value = state_read_get(reader, "b", 1);
	assert_int_equal(value.version.log_index, two.log_index);
	assert_int_equal(value.version.slot, two.slot);
	state_read_end(reader);
	state_reader_close(reader);
	turns(alone, 20);
	assert_true(ring_is_empty(&alone->channel.completions)); /* one answer each */
}

/* They are open no longer than until they are accepted: there may be more of them than requests. */
static void
test_async_holds_no_place(void **context)
{
	struct alone *alone = *context;

	become_master(alone);
	alone->device->is_held = true;
	for (uint32_t block = 0; block < 2; block++) {
		const uint64_t first = alone->tag + 1;
		for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++)
			set_as(alone, "k", 8, COMMAND_ASYNC, 0);
		for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++)
			expect(alone, first + i, SUBMIT_ACCEPTED);
	}
	assert_int_equal(state_stats(alone->state).keys, 0);
	alone->device->is_held = false;
	expect(alone, set(alone, "k", 8), SUBMIT_DONE);
}

static void
test_what_async_cannot_be(void **context)
{
	static const uint8_t flags[] = { COMMAND_IF_ABSENT, COMMAND_IF_PRESENT, COMMAND_GET_OLD };
	struct alone *alone = *context;
	uint8_t open[COMMAND_HDR_BYTES];
	struct command_writer writer;
	uint32_t bytes;

	become_master(alone);
	const uint64_t last = runtime_view(alone->runtime)->last_index;
	for (size_t i = 0; i < sizeof(flags); i++)
		expect(alone, set_as(alone, "k", 1, COMMAND_ASYNC, flags[i]), SUBMIT_REFUSED_CLASS);
	command_begin(&writer, open, sizeof(open));
	assert_int_equal(command_end(&writer, COMMAND_SESSION_OPEN, 0, 0, 0, 0, &bytes), TERN_OK);
	command_set_class(open, COMMAND_ASYNC);
	expect(alone, ask(alone, SUBMIT_WRITE, open, bytes), SUBMIT_REFUSED_CLASS);
	assert_int_equal(runtime_view(alone->runtime)->last_index, last);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(test_storage_of_an_earlier_version),
		TEST(test_no_master_no_service),
		TEST(test_what_is_wrong_is_refused),
		TEST(test_force_finds_no_open_block),
		TEST(test_full_queues_wait),
		TEST(test_a_full_log_refuses_writes_only),
		cmocka_unit_test_setup_teardown(test_a_log_that_is_freed_refuses_nothing,
						start_with_checkpoints, stop),
		cmocka_unit_test_setup_teardown(test_a_log_that_cannot_be_freed_refuses,
						start_with_checkpoints, stop),
		cmocka_unit_test_setup_teardown(test_a_log_that_is_not_freed_in_time_refuses,
						start_with_checkpoints, stop),
		TEST(test_sealed_commands_are_unknown_after_a_fall),
		TEST(test_async_is_accepted_at_a_position),
		TEST(test_async_holds_no_place),
		TEST(test_what_async_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
