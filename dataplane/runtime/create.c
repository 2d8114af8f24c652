/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance is made of: its memory, all of it from one arena, and how much that is. */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

#include "dataplane/base/invariant.h"

static const struct dispatch_handlers runtime_handlers = {
	.effects = effects_take,
	.barrier = seal_wanted_barrier,
};

static uint32_t
block_pages_max(const struct runtime_config *config)
{
	return block_pages(BLOCK_HDR_BYTES + CMDLOG_BLOCK_BYTES_TARGET +
			   config->command_bytes_max) +
	       1;
}

static struct assembly_config
assembly_config_of(const struct runtime_config *config)
{
	uint32_t blocks = 1;

	while (blocks < RUNTIME_WINDOW_BLOCKS_MAX && blocks < config->ring_bytes / PAGE_BYTES)
		blocks *= 2;
	return (struct assembly_config){
		.block_pages_max = block_pages_max(config),
		.blocks_max = blocks,
		.fetch_after_ns = config->fetch_after_ns,
	};
}

static uint64_t
writes_max_of(const struct runtime_config *config)
{
	uint64_t sum = 1;

	for (uint32_t i = 0; i < config->channel_count; i++)
		sum += config->channels[i]->in_flight_max;
	return sum;
}

static uint32_t
window_pages(const struct runtime_config *config)
{
	return max_u32(RUNTIME_READER_PAGES, block_pages_max(config));
}

/* A block, or a chunk of a checkpoint. */
static size_t
item_bytes(const struct runtime_config *config)
{
	return (size_t)max_u32(window_pages(config), CHECKPOINT_CHUNK_PAGES) * PAGE_BYTES;
}

uint32_t
runtime_scratch_bytes(const struct runtime_config *config)
{
	return cmdlog_block_pages_max(config->command_bytes_max) * PAGE_PAYLOAD_BYTES;
}

/* A hole, or a block. */
static size_t
mend_bytes(const struct runtime_config *config)
{
	return max_u64(CMDLOG_HOLE_BYTES_MAX,
		       (uint64_t)cmdlog_block_pages_max(config->command_bytes_max) * PAGE_BYTES);
}

static struct stripe_store_config
store_config_of(const struct runtime_config *config)
{
	const struct stripe_geometry geometry = config->geometry;
	/* Chunks of checkpoints are written like groups. */
	const uint32_t pages =
	    max_u32(cmdlog_group_pages_max(config->command_bytes_max), CHECKPOINT_CHUNK_PAGES);
	const uint32_t rows = stripe_group_cells(geometry, pages) / stripe_devices(geometry) + 2;
	struct stripe_store_config store = {
		.disk = config->disk,
		.geometry = geometry,
		.cluster_id = config->cluster_id,
		.node_id = config->node_id,
		.group_pages_max = pages,
		.groups_max = config->groups_in_flight_max,
		.reads_max = stripe_devices(geometry) == 1 ? RUNTIME_READS_ONE_DEVICE_MAX
							   : RUNTIME_READS_DEVICES_MAX,
		.scan_rows = max_u32(rows, RUNTIME_SCAN_ROWS),
		.device_hang_ns = config->device_hang_ns,
		.spare_count = config->spare_count,
		.notes = config->notes,
		.note_err = config->note_err,
		.note = config->note,
		.forgets_spares = (config->member_bugs & CORE_MEMBER_BUG_SPARE_FORGOTTEN) != 0,
		.notes_late = (config->member_bugs & CORE_MEMBER_BUG_NOTE_LATE) != 0,
		.takes_old_note = (config->member_bugs & CORE_MEMBER_BUG_NOTE_OLD) != 0,
	};

	memcpy(store.device_bytes, config->device_bytes, sizeof(store.device_bytes));
	return store;
}

/* Of groups that may lie in the area at the same time. */
static uint64_t
heal_groups_max(const struct runtime_config *config)
{
	return config->log_pages_max + STRIPE_GROUPS_MAX;
}

static bool
take_heal(struct runtime *rt, struct arena *arena)
{
	struct healer *heal = &rt->heal;

	heal->rebuild.rate_bytes_s =
	    rt->config.rebuild_bytes_s != 0 ? rt->config.rebuild_bytes_s : RUNTIME_REBUILD_BYTES_S;
	heal->scrub.rate_bytes_s =
	    rt->config.scrub_bytes_s != 0 ? rt->config.scrub_bytes_s : RUNTIME_SCRUB_BYTES_S;
	heal->scrub.is_scrub = true;
	heal->scrub_interval_ns = rt->config.scrub_interval_ns;
	heal->groups_max = heal_groups_max(&rt->config);
	heal->groups = arena_take(arena, heal->groups_max * sizeof(*heal->groups), 64);
	heal->buffer = arena_take(arena, CHECKPOINT_CHUNK_BYTES, PAGE_BYTES);
	return heal->groups != NULL && heal->buffer != NULL;
}

size_t
runtime_bytes(const struct runtime_config *config)
{
	const struct stripe_store_config store = store_config_of(config);
	const struct assembly_config assembly = assembly_config_of(config);
	const uint32_t data_nodes = (uint32_t)__builtin_popcountll(config->data_nodes);
	const size_t windows =
	    (size_t)(data_nodes + 1) * RUNTIME_READER_WINDOWS * window_pages(config) * PAGE_BYTES;
	const size_t slack = 64 * 4096; /* alignment of each part */

	return sizeof(struct runtime) + core_bytes() + cmdlog_bytes() +
	       config->log_pages_max * (sizeof(struct block_meta) + cmdlog_entry_bytes()) +
	       data_nodes * stream_bytes() + assembly_bytes(&assembly) + windows +
	       stripe_store_bytes(&store) + 4 * (size_t)CHECKPOINT_CHUNK_BYTES +
	       mend_bytes(config) + 2 * item_bytes(config) +
	       heal_groups_max(config) * sizeof(struct heal_group) +
	       writes_max_of(config) * (sizeof(struct pending_write) + sizeof(struct held_write) +
					sizeof(struct pending_accept)) +
	       RUNTIME_READS_MAX * sizeof(struct pending_read) + runtime_scratch_bytes(config) +
	       slack;
}

static bool
take_windows(struct runtime *rt, struct arena *arena, struct reader *reader)
{
	bool is_good = true;

	for (uint32_t i = 0; i < RUNTIME_READER_WINDOWS; i++) {
		reader->windows[i].bytes =
		    arena_take(arena, (size_t)window_pages(&rt->config) * PAGE_BYTES, PAGE_BYTES);
		is_good = is_good && reader->windows[i].bytes != NULL;
	}
	return is_good;
}

static bool
take_memory(struct runtime *rt, struct arena *arena)
{
	const struct runtime_config *config = &rt->config;
	const struct assembly_config assembly = assembly_config_of(config);
	const struct stream_config stream = {
		.units_per_frame = config->units_per_frame,
		.resend_ns = config->resend_ns,
		.bytes_in_flight_max = RUNTIME_STREAM_BYTES_MAX,
	};
	void *memory;

	rt->writes_max = writes_max_of(config);
	rt->core_memory = arena_take(arena, core_bytes(), 64);
	rt->log_memory = arena_take(arena, cmdlog_bytes(), 64);
	rt->history = arena_take(arena, config->log_pages_max * sizeof(*rt->history), 64);
	rt->entries = arena_take(arena, config->log_pages_max * cmdlog_entry_bytes(), 64);
	rt->writes = arena_take(arena, rt->writes_max * sizeof(*rt->writes), 64);
	rt->held = arena_take(arena, rt->writes_max * sizeof(*rt->held), 64);
	rt->accepts = arena_take(arena, rt->writes_max * sizeof(*rt->accepts), 64);
	rt->reads = arena_take(arena, RUNTIME_READS_MAX * sizeof(*rt->reads), 64);
	rt->scratch = arena_take(arena, runtime_scratch_bytes(config), 64);
	rt->boot.buffer = arena_take(arena, item_bytes(config), PAGE_BYTES);
	rt->checkpoint.buffer = arena_take(arena, CHECKPOINT_CHUNK_BYTES, PAGE_BYTES);
	rt->source.buffer = arena_take(arena, CHECKPOINT_CHUNK_BYTES, PAGE_BYTES);
	rt->deep.buffer = arena_take(arena, item_bytes(config), PAGE_BYTES);
	rt->mend.buffer = arena_take(arena, mend_bytes(config), PAGE_BYTES);
	memory = arena_take(arena, assembly_bytes(&assembly), 64);
	if (rt->core_memory == NULL || rt->log_memory == NULL || rt->history == NULL ||
	    rt->entries == NULL || rt->writes == NULL || rt->held == NULL || rt->accepts == NULL ||
	    rt->reads == NULL || rt->scratch == NULL || rt->boot.buffer == NULL ||
	    rt->checkpoint.buffer == NULL || rt->source.buffer == NULL || rt->mend.buffer == NULL ||
	    rt->deep.buffer == NULL || memory == NULL ||
	    !take_windows(rt, arena, &rt->apply_reader))
		return false;
	assembly_init(memory, &assembly, &rt->assembly);
	for (uint16_t node = 1; node <= NODE_ID_MAX; node++) {
		if ((config->data_nodes >> node & 1) == 0 || node == config->node_id)
			continue;
		INVARIANT(rt->stream_count < CORE_NODES_MAX);
		memory = arena_take(arena, stream_bytes(), 64);
		if (memory == NULL ||
		    !take_windows(rt, arena, &rt->stream_readers[rt->stream_count]))
			return false;
		stream_init(memory, &stream, &rt->streams[rt->stream_count]);
		rt->stream_nodes[rt->stream_count++] = node;
	}
	return true;
}

enum tern_err
runtime_create(const struct runtime_config *config, struct arena *arena, struct runtime **runtime)
{
	struct runtime *rt = arena_take(arena, sizeof(*rt), 64);

	if (rt == NULL)
		return TERN_ERR_NO_MEMORY;
	if (config->node_id == 0 || config->node_id > NODE_ID_MAX ||
	    (config->data_nodes >> config->node_id & 1) == 0 ||
	    config->channel_count > RUNTIME_CHANNELS_MAX || config->groups_in_flight_max == 0 ||
	    config->units_per_frame == 0 || config->state == NULL ||
	    !stripe_geometry_is_valid(config->geometry) ||
	    config->ring_bytes < 8ull * block_pages_max(config) * PAGE_BYTES ||
	    !state_fits_block(config->state,
			      (uint64_t)cmdlog_block_pages_max(config->command_bytes_max) *
				  PAGE_BYTES) ||
	    __builtin_popcountll(config->data_nodes) > (int)CORE_NODES_MAX)
		return TERN_ERR_CONFIG;
	rt->config = *config;
	rt->handlers = &runtime_handlers;
	rt->link = (struct link){
		.node_id = config->node_id,
		.shard = config->shard,
		.peers = (config->data_nodes |
			  (config->witness_id == 0 ? 0 : UINT64_C(1) << config->witness_id)) &
			 ~(UINT64_C(1) << config->node_id),
		.data = config->data_net,
		.mgmt = config->mgmt_net,
	};
	if (!take_memory(rt, arena))
		return TERN_ERR_NO_MEMORY;
	const struct stripe_store_config store = store_config_of(config);
	void *memory = arena_take(arena, stripe_store_bytes(&store), PAGE_BYTES);
	if (memory == NULL || !take_heal(rt, arena))
		return TERN_ERR_NO_MEMORY;
	*runtime = rt;
	return stripe_store_init(memory, &store, &rt->store);
}
