/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A start over a log that has a tail which was cut, and whose newest group is lost: the tail is
 * readable again, and must not be taken for what the superblock names. And what the superblock says
 * of the end of a log that fell idle: when a start goes by it, and when it is given up.
 */
#include "tests/unit/cmdlog/rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/base/bits.h"
#include "dataplane/runtime/runtime_internal.h"
#include "tests/support/mirror.h"

#define AREA        200u
#define RING_PAGES  256u
#define COMMAND_MAX 8192u
#define STATE_BYTES (72u << 20)
#define TURNS_MAX   20000u
#define WITNESS     9u
#define KEEP        10u /* the last block before the tail that was cut */
#define VOTERS      (1u << 1 | 1u << RIG_NODE)

struct node {
	struct rig rig;
	struct superblock superblock;
	struct disk_completion done[64];
	uint32_t done_count;
	uint64_t now_ns;
	uint8_t *state_memory, *arena_memory;
	size_t arena_bytes;
	struct runtime *runtime;
};

/* ---- seams ---- */

static enum tern_err
disk_queue(void *disk, const struct disk_request *request)
{
	struct node *node = disk;
	uint8_t *at = node->rig.image.bytes + request->offset;

	if (node->done_count == 64)
		return TERN_ERR_QUEUE_FULL;
	assert_true(request->offset + request->length <=
		    (SUPERBLOCK_AREA_PAGES + AREA) * PAGE_BYTES);
	if (request->kind == DISK_WRITE)
		memcpy(at, request->bytes, request->length);
	else
		memcpy(request->bytes, at, request->length);
	node->done[node->done_count++] = (struct disk_completion){ .user = request->user,
								   .kind = request->kind,
								   .length = request->length };
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
	struct node *node = disk;
	const uint32_t count = min_u32(max, node->done_count);

	memcpy(completions, node->done, count * sizeof(completions[0]));
	node->done_count -= count;
	memmove(node->done, node->done + count, node->done_count * sizeof(node->done[0]));
	return count;
}

static void
disk_facts(void *disk, struct disk_facts *facts)
{
	(void)disk;
	*facts = (struct disk_facts){ .device_count = 1, .mode = "memory" };
}

static uint64_t
clock_now(void *clock)
{
	return ((struct node *)clock)->now_ns += 1000;
}

static const struct disk_ops disk_ops = {
	.queue = disk_queue, .submit = disk_submit, .poll = disk_poll, .facts = disk_facts
};
static const struct net_ops net_ops;
static const struct clock_ops clock_ops = { clock_now, clock_now, clock_now };

/* ---- the log ---- */

/* Blocks @first..@last of @term, each in a group of its own. */
static void
blocks(struct node *node, uint64_t first, uint64_t last, uint64_t term)
{
	for (uint64_t i = first; i <= last; i++) {
		(void)rig_block(&node->rig, term, 100 * term + i, 100);
		rig_flush(&node->rig, i - 1);
	}
}

/* A CONFIG block of @term that says @learners. */
static void
config(struct node *node, uint64_t term, uint64_t learners)
{
	const struct membership before = { .voters = VOTERS, .witness_id = WITNESS };
	const struct cmdlog_seal seal = { .term = term, .kind = BLOCK_CONFIG };
	struct membership next = before;
	uint8_t record[MEMBERSHIP_BYTES];
	struct block_meta meta;
	uint64_t log_index;
	uint32_t slot;

	next.learners = learners;
	membership_encode(record, &next, &before);
	assert_int_equal(
	    cmdlog_append_reserved(node->rig.log, record, sizeof(record), &log_index, &slot),
	    TERN_OK);
	assert_int_equal(cmdlog_seal(node->rig.log, &seal, &meta), TERN_OK);
	rig_flush(&node->rig, meta.log_index - 1);
}

/* Blocks 1..10, and of term 5 a tail behind them, up to 15, which is then cut. */
static void
make(struct node *node, bool tail_has_config)
{
	memset(node, 0, sizeof(*node));
	node->now_ns = 1000000000;
	rig_make(&node->rig, COMMAND_MAX, RING_PAGES, AREA);
	blocks(node, 1, KEEP, 5);
	if (tail_has_config)
		config(node, 5, 1u << 6);
	else
		blocks(node, KEEP + 1, KEEP + 1, 5);
	blocks(node, KEEP + 2, KEEP + 5, 5);
	node->superblock = (struct superblock){
		.sequence = 1,
		.cluster_id = RIG_CLUSTER,
		.generation = { 1, 0 },
		.node_id = RIG_NODE,
		.boot_no = 1,
		.pool_gen = 1,
		.k = 1,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = AREA,
		.checkpoint_first_page = SUPERBLOCK_AREA_PAGES + AREA,
		.shard_count = 1,
	};
	node->superblock.shards[0] = (struct shard_record){
		.term = 6,
		.voters = VOTERS,
		.learners = 1u << 5,
		.witness_id = WITNESS,
		.config_index = KEEP + 1,
	};
	struct block_meta last;
	assert_true(cmdlog_meta(node->rig.log, KEEP, &last));
	node->superblock.fork.notice =
	    (struct generation_notice){ .log_index = KEEP, .chain = last.chain };
	cmdlog_cut(node->rig.log, KEEP);
}

static void
lose(struct node *node, uint64_t log_index)
{
	struct cmdlog_location at;

	assert_true(cmdlog_locate(node->rig.log, log_index, &at));
	rig_block_at(&node->rig, &at)[200] ^= 1;
}

static uint8_t *
take(size_t bytes)
{
	uint8_t *memory =
	    mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	return memory;
}

static enum runtime_boot
start(struct node *node)
{
	const uint64_t ms = 1000000;
	enum runtime_boot boot = RUNTIME_BOOT_MORE;
	struct state *state;
	struct arena arena;

	for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++)
		superblock_encode(node->rig.image.bytes + (size_t)i * PAGE_BYTES,
				  &node->superblock);
	node->state_memory = take(STATE_BYTES);
	const struct state_config state_config = { .arena = node->state_memory,
						   .arena_bytes = STATE_BYTES,
						   .capacity_bytes = 4u << 20,
						   .value_bytes_max = 4096,
						   .sessions_max = 16,
						   .readers_max = 2,
						   .hash_seed = 1 };
	assert_int_equal(state_init(&state_config, &state), TERN_OK);
	const struct runtime_config config = {
		.node_id = RIG_NODE,
		.data_nodes = VOTERS | 1u << 5 | 1u << 6,
		.witness_id = WITNESS,
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
		.disk = { &disk_ops, node },
		.geometry = { .k = 1 },
		.device_bytes = { (SUPERBLOCK_AREA_PAGES + AREA) * PAGE_BYTES },
		.clock = { &clock_ops, node },
		.ring = node->rig.config.ring,
		.ring_bytes = RING_PAGES * PAGE_BYTES,
		.command_bytes_max = COMMAND_MAX,
		.log_pages_max = AREA,
		.groups_in_flight_max = 2,
		.units_per_frame = 1,
		.resend_ns = 20 * ms,
		.fetch_after_ns = ms,
		.state = state,
	};
	node->arena_bytes = align_up_u64(runtime_bytes(&config), PAGE_BYTES);
	node->arena_memory = take(node->arena_bytes);
	arena_init(&arena, node->arena_memory, node->arena_bytes);
	assert_int_equal(runtime_create(&config, &arena, &node->runtime), TERN_OK);
	for (uint32_t i = 0; i < TURNS_MAX && boot == RUNTIME_BOOT_MORE; i++)
		boot = runtime_boot_turn(node->runtime);
	return boot;
}

static void
end(struct node *node)
{
	munmap(node->arena_memory, node->arena_bytes);
	munmap(node->state_memory, STATE_BYTES);
	rig_free(&node->rig);
}

/* ---- tests ---- */

static void
test_the_named_configuration_is_committed(void **state)
{
	struct node node;

	(void)state;
	make(&node, false);
	config(&node, 6, 1u << 5);
	blocks(&node, KEEP + 2, KEEP + 3, 6);
	assert_int_equal(start(&node), RUNTIME_BOOT_READY);
	const struct core_view *view = runtime_view(node.runtime);
	assert_int_equal(view->commit_index, KEEP + 1);
	assert_int_equal(view->last_index, KEEP + 3);
	assert_int_equal(view->members.learners, 1u << 5);
	end(&node);
}

static void
test_a_cut_tail_is_not_taken_for_it(void **state)
{
	(void)state;
	for (int has_config = 0; has_config <= 1; has_config++) {
		struct node node;

		make(&node, has_config);
		config(&node, 6, 1u << 5);
		lose(&node, KEEP + 1);
		assert_int_equal(start(&node), RUNTIME_BOOT_DAMAGED);
		end(&node);
	}
}

/* It gets that block again; nothing of the tail is committed meanwhile, nor sets a configuration.
 */
static void
test_nor_by_who_forgot(void **state)
{
	(void)state;
	for (int round = 0; round <= 3; round++) {
		struct node node;

		make(&node, round % 2 == 1);
		config(&node, 6, 1u << 5);
		/* A later block says that it was there, so the log is damaged. */
		if (round >= 2)
			blocks(&node, KEEP + 2, KEEP + 2, 6);
		else
			node.superblock.shards[0].join = SUPERBLOCK_FORGETFUL;
		lose(&node, KEEP + 1);
		assert_int_equal(start(&node), RUNTIME_BOOT_READY);
		const struct core_view *view = runtime_view(node.runtime);
		assert_true(view->is_forgetful);
		assert_int_equal(view->last_index, KEEP + 5);
		assert_true(view->commit_index <= KEEP);
		assert_int_equal(view->members.config_index, KEEP + 1);
		assert_int_equal(view->members.learners, 1u << 5);
		end(&node);
	}
}

/* A node was forced when its log ended at 10, and has not written its GEN block yet. */
static void
test_who_was_forced_does_not_revive_it(void **state)
{
	struct node node;

	(void)state;
	make(&node, false);
	struct superblock *superblock = &node.superblock;
	superblock->generation = (struct generation){ 2, 77 };
	superblock->fork.notice.is_known = true;
	superblock->fork.before = (struct membership){ .voters = VOTERS, .witness_id = WITNESS };
	superblock->shards[0].term = UINT64_C(1) << GENERATION_TERM_SHIFT;
	superblock->shards[0].voters = 1u << RIG_NODE;
	superblock->shards[0].learners = 0;
	assert_int_equal(start(&node), RUNTIME_BOOT_READY);
	assert_int_equal(runtime_view(node.runtime)->last_index, KEEP);
	assert_true(runtime_view(node.runtime)->commit_index <= KEEP);
	assert_true(core_is_gen_due(node.runtime->core));
	end(&node);
}

/* A page that an earlier start wrote lies behind the log, as on a device that was away. */
static void
test_what_the_scan_refuses_is_no_group(void **state)
{
	struct stripe_address address;
	struct page_identity identity;
	struct node node;
	bool is_whole;
	uint64_t i;

	(void)state;
	make(&node, false);
	config(&node, 6, 1u << 5);
	(void)rig_recover(&node.rig, 64);
	(void)rig_recover(&node.rig, 64);
	blocks(&node, KEEP + 2, KEEP + 3, 6);
	node.superblock.boot_no = node.rig.config.boot_no;
	const uint64_t end_cell = cmdlog_stats(node.rig.log).end_cell;
	uint8_t *page = rig_cell(&node.rig, end_cell);
	memcpy(page, rig_cell(&node.rig, end_cell - 1), PAGE_BYTES);
	assert_int_equal(page_identity_decode(page, &identity), TERN_OK);
	identity.first_cell = identity.own_cell = end_cell;
	identity.boot_no--;
	page_identity_encode(page, &identity);
	assert_int_equal(start(&node), RUNTIME_BOOT_READY);
	assert_int_equal(node.runtime->boot.recovery.groups_foreign, 1);
	assert_int_equal(runtime_view(node.runtime)->last_index, KEEP + 3);
	for (i = 0; runtime_group(node.runtime, i, &address, &is_whole); i++)
		assert_true(address.first_cell < end_cell);
	assert_int_equal(i, KEEP + 5 + 1 + 2);
	end(&node);
}

/* The newest block was acknowledged, and no group behind it says so. */
static void
test_the_floor_of_an_idle_log(void **state)
{
	(void)state;
	for (int is_told = 0; is_told <= 1; is_told++) {
		struct node node;

		make(&node, false);
		blocks(&node, KEEP + 1, KEEP + 7, 6);
		struct shard_record *shard = &node.superblock.shards[0];
		shard->config_index = 0;
		if (is_told)
			shard->floor = (struct superblock_floor){
				.log_index = KEEP + 7,
				.boot_no = 1,
				.group_seq = stripe_store_group_seq(node.rig.image.store),
			};
		lose(&node, KEEP + 7);
		assert_int_equal(start(&node), RUNTIME_BOOT_READY);
		assert_int_equal(runtime_view(node.runtime)->last_index, KEEP + 6);
		assert_int_equal(runtime_view(node.runtime)->is_forgetful, is_told);
		end(&node);
	}
}

/* It goes with what it covered. */
static void
test_a_floor_is_given_up(void **state)
{
	struct node node;

	(void)state;
	make(&node, false);
	blocks(&node, KEEP + 1, KEEP + 3, 6);
	node.superblock.shards[0].config_index = 0;
	node.superblock.shards[0].floor = (struct superblock_floor){
		.log_index = KEEP + 3,
		.boot_no = 1,
		.group_seq = stripe_store_group_seq(node.rig.image.store),
	};
	assert_int_equal(start(&node), RUNTIME_BOOT_READY);
	struct runtime *rt = node.runtime;
	struct superblock_floor *floor = &rt->superblock.shards[0].floor;
	assert_false(runtime_view(rt)->is_forgetful);
	assert_int_equal(rt->floor.told_index, KEEP + 3);
	floor_cut(rt, KEEP + 3);
	assert_false(rt->meta.is_dirty);
	/* Of a log that came to harm not before the superblock says that the node forgot. */
	rt->is_damaged = true;
	floor_cut(rt, KEEP + 1);
	assert_int_equal(floor->log_index, KEEP + 3);
	assert_false(rt->meta.is_dirty);
	rt->is_damaged = false;
	floor_cut(rt, KEEP + 1);
	assert_int_equal(floor->log_index, KEEP + 1);
	assert_int_equal(rt->floor.told_index, KEEP + 1);
	assert_true(rt->meta.is_dirty);
	/* Nor is there one for what is lost, or given by a checkpoint. */
	rt->is_damaged = true;
	repair_accept(rt);
	assert_int_equal(rt->superblock.shards[0].join, SUPERBLOCK_FORGETFUL);
	assert_int_equal(floor->log_index, 0);
	end(&node);
}

/* The last superblock of an incarnation is of a log that has no such block yet. */
static void
test_no_floor_for_the_log_to_come(void **state)
{
	struct node node;

	(void)state;
	make(&node, false);
	blocks(&node, KEEP + 1, KEEP + 3, 6);
	node.superblock.shards[0].config_index = 0;
	assert_int_equal(start(&node), RUNTIME_BOOT_READY);
	struct runtime *rt = node.runtime;
	assert_int_not_equal(floor_deadline_ns(rt), UINT64_MAX);
	rt->transfer.is_last_write = true;
	assert_int_equal(floor_deadline_ns(rt), UINT64_MAX);
	rt->now_ns += UINT64_C(1000000000000);
	floor_turn(rt);
	assert_int_equal(rt->superblock.shards[0].floor.log_index, 0);
	assert_false(rt->meta.is_dirty);
	end(&node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_named_configuration_is_committed),
		cmocka_unit_test(test_a_cut_tail_is_not_taken_for_it),
		cmocka_unit_test(test_nor_by_who_forgot),
		cmocka_unit_test(test_who_was_forced_does_not_revive_it),
		cmocka_unit_test(test_what_the_scan_refuses_is_no_group),
		cmocka_unit_test(test_the_floor_of_an_idle_log),
		cmocka_unit_test(test_a_floor_is_given_up),
		cmocka_unit_test(test_no_floor_for_the_log_to_come),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
