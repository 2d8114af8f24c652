/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node: birth (what `tern node init` writes), start with fresh memory, turns, crash. A crash
 * keeps the disk image and the register, and nothing else.
 */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/wire/page.h"
#include "dataplane/wire/superblock.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_scrub.h"
#include "tests/sim/sim_spare.h"
#include "tests/sim/sim_hazard.h"

#define WITNESS_GEN       1u
#define REQUEST_BYTES     (256u * 1024u)
#define IN_FLIGHT_MAX     128u
#define DIVERGENT_BYTES   (64u * 1024u)
#define STATE_ARENA_BYTES (24u * 1024u * 1024u)
#define OVERDUE_MAX       200u    /* turns in a row, due and idle: then it spins */
#define WORKED_MAX        200000u /* turns in a row that found work: no loop is that busy here */
#define POLLS             160u    /* of a waiting loop, in the longest T_elect */
#define BACKLOG_NS        (10u * SIM_US) /* frames wait that this turn did not take */

bool
sim_node_is_data(const struct sim_node *node)
{
	return node->index < node->sim->data_count;
}

uint64_t
sim_data_mask(const struct sim *sim)
{
	return ((UINT64_C(1) << sim->data_count) - 1) << 1;
}

uint16_t
sim_witness_id(const struct sim *sim)
{
	return sim->node_count > sim->data_count ? (uint16_t)sim->node_count : 0;
}

static void
birth_superblock(struct sim_node *node, enum superblock_join join,
		 const struct generation *generation)
{
	struct superblock superblock = {
		.sequence = 1,
		.cluster_id = node->sim->cluster_id,
		.generation = *generation,
		.node_id = node->id,
		.pool_gen = 1,
		.k = (uint8_t)node->sim->swarm.geometry.k,
		.m = (uint8_t)node->sim->swarm.geometry.m,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = node->sim->swarm.log_pages,
		.checkpoint_first_page = SUPERBLOCK_AREA_PAGES + node->sim->swarm.log_pages,
		.checkpoint_pages = node->sim->swarm.checkpoint_pages,
		.shard_count = 1,
	};

	superblock.shards[0] = (struct shard_record){
		.join = join,
		.voters = sim_birth_voters(node->sim),
		.witness_id = sim_witness_id(node->sim),
		.witness_gen = WITNESS_GEN,
	};
	for (uint32_t device = 0; device < node->disk.device_count; device++) {
		superblock.device = (uint8_t)device;
		for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++)
			superblock_encode(
			    sim_disk_at(&node->disk, device, (uint64_t)i * PAGE_BYTES),
			    &superblock);
		node->disk.written_bytes[device] = SUPERBLOCK_COPIES * PAGE_BYTES;
	}
}

void
sim_node_birth(struct sim *sim, uint32_t index)
{
	struct sim_node *node = &sim->nodes[index];

	node->sim = sim;
	node->index = index;
	node->id = (uint16_t)(index + 1);
	node->clock_local_ns = prng_between(&sim->prng, 1, 1000) * SIM_MS * 1000;
	node->clock_drift_ppm = (int64_t)prng_below(&sim->prng, 401) - 200;
	node->wall_skew_ns = ((int64_t)prng_below(&sim->prng, 4001) - 2000) * (int64_t)SIM_MS;
	for (uint32_t path = 0; path < SIM_PATHS; path++)
		node->ports[path] = (struct sim_port){ .node = node, .path = path, .is_up = true };
	node->turn_at_ns = UINT64_MAX;
	node->wake.fd = -1;
	node->reg.node = node;
	sim_note_init(node);
	node->is_log_volatile = (sim->swarm.volatile_mask >> index & 1) != 0;
	if (sim_node_is_data(node)) {
		sim_disk_init(
		    &node->disk, node,
		    (SUPERBLOCK_AREA_PAGES + sim->swarm.log_pages + sim->swarm.checkpoint_pages) *
			PAGE_BYTES);
		birth_superblock(node, SUPERBLOCK_MEMBER, &(struct generation){ 1, 0 });
		node->chains = sim_take(SIM_BLOCKS_MAX * sizeof(*node->chains));
		return;
	}
	node->reg.durable = (struct witness_register){
		.sequence = 1,
		.cluster_id = sim->cluster_id,
		.generation = { 1, 0 },
		.witness_gen = WITNESS_GEN,
		.witness_id = sim_witness_id(sim),
	};
}

void
sim_node_rejoin(struct sim_node *node, const struct generation *generation)
{
	struct sim_disk *disk = &node->disk;

	for (uint32_t i = 0; i < sim_disk_drives(disk); i++) {
		memset(sim_disk_at(disk, i, 0), 0, disk->written_bytes[i]);
		disk->written_bytes[i] = 0;
	}
	for (uint32_t i = 0; i < disk->device_count; i++)
		disk->drives[i] = (uint8_t)i;
	disk->floor = 0;
	sim_note_forget(node);
	sim_fallback_forget(node);
	disk->gone = 0; /* all of them are new */
	birth_superblock(node, SUPERBLOCK_REJOINING, generation);
	if (node->durable.log_index > node->durable_lost.log_index)
		node->durable_lost = node->durable;
	node->durable = (struct block_meta){ 0 };
	node->has_lost_storage = true;
}

/* ---- start ---- */

static void
start_witness(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct witness_register *reg = &node->reg.durable;

	reg->boot_no++;
	reg->sequence++;
	const struct witness_node_config config = {
		.reg = *reg,
		.is_first_boot = reg->boot_no == 1,
		.data_nodes = sim_birth_voters(sim),
		.known_nodes = sim_data_mask(sim),
		.timers = sim->swarm.timers,
		.core_bugs = sim->options.bugs,
		.member_bugs = sim->options.member_bugs,
		.prng_seed = prng_next(&sim->prng),
		.mgmt_net = { &sim_net_ops, &node->ports[1] },
		.clock = { &sim_clock_ops, node },
		.store = { &sim_register_ops, &node->reg },
	};
	node->core_memory = sim_take(core_bytes());
	if (witness_node_init(&node->witness, &config, node->core_memory) != TERN_OK)
		sim_fail(sim, "boot", "the witness refused its configuration");
	node->life = SIM_NODE_UP;
	node->core_start_ns = sim_local_ns(node, sim->now_ns);
}

static void
start_state(struct sim_node *node)
{
	struct sim *sim = node->sim;

	node->state_bytes = STATE_ARENA_BYTES;
	node->state_memory = sim_take(node->state_bytes);
	const struct state_config config = {
		.arena = node->state_memory,
		.arena_bytes = node->state_bytes,
		.capacity_bytes = sim->swarm.state_capacity,
		.value_bytes_max = sim->swarm.value_bytes_max,
		.sessions_max = 64,
		.readers_max = 2,
		.hash_seed = prng_next(&sim->prng),
	};
	if (state_init(&config, &node->state) != TERN_OK)
		sim_fail(sim, "boot", "state_init refused its configuration");
	node->reader = state_reader_open(node->state);
	node->has_hold = false;
	if (node->reader == NULL)
		sim_fail(sim, "boot", "state_reader_open refused the first reader");
}

static void
start_channel(struct sim_node *node)
{
	const uint64_t bytes = submit_completions_bytes(IN_FLIGHT_MAX);

	node->channel_memory = sim_take(REQUEST_BYTES + bytes);
	node->divergent_memory = sim_take(DIVERGENT_BYTES);
	memset(&node->channel, 0, sizeof(node->channel));
	ring_init(&node->channel.requests, node->channel_memory, REQUEST_BYTES);
	ring_init(&node->channel.completions, node->channel_memory + REQUEST_BYTES, bytes);
	node->channel.lcore_wake = &node->wake;
	node->channel.front_wake.fd = -1;
	node->channel.in_flight_max = IN_FLIGHT_MAX;
	ring_init(&node->divergent, node->divergent_memory, DIVERGENT_BYTES);
}

static struct runtime_config
config_of(struct sim_node *node)
{
	struct sim *sim = node->sim;
	const struct sim_swarm *swarm = &sim->swarm;

	struct runtime_config config = {
		.cluster_id = sim->cluster_id,
		.node_id = node->id,
		.data_nodes = sim_data_mask(sim),
		.witness_id = sim_witness_id(sim),
		.timers = swarm->timers,
		.solo_isolated_stop = swarm->solo_isolated_stop,
		.min_copies = 1,
		.core_bugs = sim->options.bugs,
		.member_bugs = sim->options.member_bugs,
		.own_bugs = sim->options.own_bugs,
		.prng_seed = prng_next(&sim->prng),
		.is_log_volatile = node->is_log_volatile,
		.data_net = { &sim_net_ops, &node->ports[0] },
		.mgmt_net = { &sim_net_ops, &node->ports[1] },
		.disk = { &sim_disk_ops, &node->disk },
		.geometry = swarm->geometry,
		.device_hang_ns = swarm->device_hang_ns,
		.scrub_interval_ns = swarm->scrub_interval_ns,
		.clock = { &sim_clock_ops, node },
		.ring = node->ring,
		.ring_bytes = swarm->ring_bytes,
		.command_bytes_max = swarm->command_bytes_max,
		.log_pages_max = swarm->log_pages * swarm->geometry.k,
		.groups_in_flight_max = swarm->groups_in_flight_max,
		.units_per_frame = swarm->units_per_frame,
		.resend_ns = swarm->timer_ns / 8,
		.fetch_after_ns = swarm->timer_ns / 40,
		.state = node->state,
		.channels = { &node->channel },
		.channel_count = 1,
		.divergent = &node->divergent,
		.status = node->status,
		.poll_mode = "simulated",
	};
	for (uint32_t i = 0; i < sim_disk_drives(&node->disk); i++)
		config.device_bytes[i] = sim_spare_bytes(&node->disk, i);
	config.spare_count = node->disk.spare_count;
	sim_note_configure(node, &config);
	sim_wrong_configure(node, &config);
	return config;
}

void
sim_node_start(struct sim_node *node)
{
	struct sim *sim = node->sim;

	if (node->life != SIM_NODE_DOWN)
		return;
	node->incarnation++;
	node->overdue_in_a_row = 0;
	node->worked_in_a_row = 0;
	node->disk.has_failed = node->disk.has_hung = node->disk.is_waited_for = false;
	node->disk.was_rotten = node->disk.rot.is_on;
	if (!sim_wrong_start(node)) {
		sim_disk_replace(&node->disk);
		sim_spare_start(node);
		sim_note_start(node);
	}
	sim_count(sim, SIM_COUNT_boots);
	sim_say(sim, "node %u starts", node->id);
	if (!sim_node_is_data(node)) {
		start_witness(node);
		sim_node_wake(node, sim->now_ns);
		return;
	}
	node->ring = sim_take_mirror(sim->swarm.ring_bytes);
	start_state(node);
	start_channel(node);
	node->status = sim_take(sizeof(*node->status));
	const struct runtime_config config = config_of(node);
	struct arena arena;
	node->arena_bytes = align_up_u64(runtime_bytes(&config), PAGE_BYTES);
	node->arena_memory = sim_take(node->arena_bytes);
	arena_init(&arena, node->arena_memory, node->arena_bytes);
	const enum tern_err err = runtime_create(&config, &arena, &node->runtime);
	if (err != TERN_OK)
		sim_fail(sim, "boot", "runtime_create: %s", tern_err_text(err));
	arena_seal(&arena);
	node->life = SIM_NODE_BOOTING;
	sim_node_wake(node, sim->now_ns);
}

/* ---- crash ---- */

void
sim_node_crash(struct sim_node *node)
{
	if (node->life == SIM_NODE_DOWN)
		return;
	sim_say(node->sim, "node %u crashes", node->id);
	if (!node->is_restarting)
		sim_memory_fault(node->sim);
	sim_point_crashed(node);
	sim_last_word_crash(node);
	for (uint32_t path = 0; path < SIM_PATHS; path++)
		sim_net_crash(&node->ports[path]);
	sim_stranger_crashed(node);
	sim_wrong_crashed(node);
	node->life = SIM_NODE_DOWN;
	node->turn_at_ns = UINT64_MAX;
	node->paused_until_ns = 0;
	node->deaf_until_ns = 0;
	if (!sim_node_is_data(node)) {
		if (node->witness.alarms[CORE_ALARM_WITNESS_AMNESIA] != 0)
			sim_count(node->sim, SIM_COUNT_witnesses_amnesiac);
		sim_register_crash(&node->reg);
		sim_give(node->core_memory, core_bytes());
		return;
	}
	sim_client_crash(node);
	sim_disk_crash(&node->disk);
	sim_fallback_crash(node);
	sim_note_crash(node);
	sim_spare_crash(node);
	sim_refill_crash(node);
	state_reader_close(node->reader);
	sim_give(node->arena_memory, node->arena_bytes);
	sim_give(node->state_memory, node->state_bytes);
	sim_give(node->channel_memory, REQUEST_BYTES + submit_completions_bytes(IN_FLIGHT_MAX));
	sim_give(node->divergent_memory, DIVERGENT_BYTES);
	sim_give(node->status, sizeof(*node->status));
	sim_give_mirror(node->ring, node->sim->swarm.ring_bytes);
	node->runtime = NULL;
	node->state_memory = NULL;
	memset(&node->view, 0, sizeof(node->view));
	memset(&node->before, 0, sizeof(node->before));
	memset(node->counted, 0, sizeof(node->counted));
	node->out_of_memory = 0;
	node->hash_checked = node->parts_sent = node->parts_found = node->parts_bad = 0;
	node->blocks_found = 0;
}

/* ---- turns ---- */

void
sim_node_wake(struct sim_node *node, uint64_t at_ns)
{
	at_ns = max_u64(max_u64(at_ns, node->sim->now_ns),
			max_u64(node->busy_until_ns, node->paused_until_ns));
	if (node->life == SIM_NODE_DOWN || at_ns >= node->turn_at_ns)
		return;
	node->turn_at_ns = at_ns;
	node->turn_sequence = node->sim->queue.sequence++;
}

bool
sim_node_bears_rot(const struct sim_node *node)
{
	const struct sim_disk *disk = &node->disk;
	const uint32_t m = node->sim->swarm.geometry.m;

	/* All weak devices may be lost by now, and the page is of another. */
	return m != 0 && (disk->weak >> disk->rot.device & 1) != 0;
}

/* So few devices are there that the others may have gone on without them, for all that is known:
 * they hang, or nothing was written since they have been gone. */
static bool
is_stale(struct sim_node *node)
{
	return sim_note_is_stale(node) && (sim_disk_return(&node->disk) || node->disk.has_hung);
}

static void
boot_turn(struct sim_node *node)
{
	const enum runtime_boot boot = runtime_boot_turn(node->runtime);

	if (sim_point_is_dead(node) || sim_point_is_over(node))
		return;
	sim_check_divergent(node);
	if (boot == RUNTIME_BOOT_MORE) {
		sim_node_wake(node, node->sim->now_ns + node->sim->swarm.timer_ns / POLLS);
		return;
	}
	if (sim_wrong_is_refused(node, boot))
		return;
	if (sim_note_refused(node, boot == RUNTIME_BOOT_READY)) {
		sim_node_crash(node);
		sim_node_start(node);
		return;
	}
	if (boot == RUNTIME_BOOT_FOREIGN && sim_spare_refused(node))
		return;
	if (boot == RUNTIME_BOOT_IO && node->disk.has_failed) {
		sim_node_crash(node); /* as it should; whoever heals the disk starts it again */
		return;
	}
	if (boot == RUNTIME_BOOT_IO && is_stale(node)) {
		sim_count(node->sim, SIM_COUNT_stale_refused);
		sim_node_crash(node);
		node->disk.is_waited_for = true;
		if (!sim_disk_is_hanging(&node->disk))
			sim_node_start(node);
		return;
	}
	if (boot == RUNTIME_BOOT_DAMAGED && node->disk.rot.is_on && !sim_node_bears_rot(node)) {
		/* As it should: it never says that it had no such block (P15). */
		sim_count(node->sim, SIM_COUNT_rot_refused);
		sim_node_crash(node);
		return;
	}
	if (boot != RUNTIME_BOOT_READY)
		sim_fail(node->sim, boot == RUNTIME_BOOT_DAMAGED ? "damaged" : "boot",
			 "node %u: runtime_boot_turn answered %d (3 blank, 4 foreign, 5 corrupt, "
			 "6 damaged, 7 io, 8 limit)",
			 node->id, (int)boot);
	node->life = SIM_NODE_UP;
	node->core_start_ns = sim_local_ns(node, node->sim->now_ns);
	node->disk.is_superblock_rotten = false;
	node->view = *runtime_view(node->runtime);
	if (runtime_base_index(node->runtime) != 0)
		sim_count(node->sim, SIM_COUNT_checkpoint_boots);
	if (runtime_damage(node->runtime).is_anchored)
		sim_count(node->sim, SIM_COUNT_logs_anchored);
	sim_say(node->sim, "node %u is up: term %llu last %llu commit %llu", node->id,
		(unsigned long long)node->view.term, (unsigned long long)node->view.last_index,
		(unsigned long long)node->view.commit_index);
	sim_check_ready(node);
	sim_fallback_started(node);
	node->was_forgetful = node->view.is_forgetful;
	if (node->was_forgetful)
		sim_count(node->sim, SIM_COUNT_forgetful_boots);
	if (!node->ports[0].is_up)
		runtime_set_data_port(node->runtime, false);
	sim_node_wake(node, node->sim->now_ns);
}

static void
schedule(struct sim_node *node, bool has_worked, bool is_waiting, uint64_t deadline_local_ns)
{
	struct sim *sim = node->sim;

	node->worked_in_a_row = has_worked ? node->worked_in_a_row + 1 : 0;
	if (node->worked_in_a_row > WORKED_MAX)
		sim_fail(sim, "livelock", "node %u found work in %u turns in a row", node->id,
			 WORKED_MAX);
	/* It would not sleep: whoever it waits for has to tell it. */
	const bool is_overdue = !has_worked && deadline_local_ns != UINT64_MAX &&
				sim_global_ns(node, deadline_local_ns) <= sim->now_ns;
	node->overdue_in_a_row = is_overdue ? node->overdue_in_a_row + 1 : 0;
	if (node->overdue_in_a_row > OVERDUE_MAX)
		sim_fail(sim, "spin", "node %u found nothing to do in %u turns that were due",
			 node->id, OVERDUE_MAX);
	if (has_worked)
		sim_node_wake(node, sim->now_ns);
	if (is_waiting)
		sim_node_wake(node, sim->now_ns + sim->swarm.timer_ns / POLLS);
	for (uint32_t path = 0; path < SIM_PATHS; path++)
		if (node->ports[path].rx_count != 0)
			sim_node_wake(node, sim->now_ns + BACKLOG_NS);
	if (deadline_local_ns != UINT64_MAX)
		sim_node_wake(node, sim_global_ns(node, deadline_local_ns));
}

/* How often the log came round the end of its area. */
static void
count_laps(struct sim_node *node)
{
	const struct node_status *status = sim_node_status(node);

	if (status->log_laps > node->laps)
		node->sim->counts.of[SIM_COUNT_log_laps] += status->log_laps - node->laps;
	node->laps = status->log_laps;
	const uint64_t pulled = runtime_damage(node->runtime).blocks_pulled;
	if (pulled > node->pulled)
		node->sim->counts.of[SIM_COUNT_blocks_pulled] += pulled - node->pulled;
	node->pulled = pulled;
	sim_scrub_turn(node);
	if (status->pool.rebuilt != 0 && node->disk.live_rot == 0 &&
	    (status->pool.failed | status->pool.suspect | status->pool.rebuilding) == 0)
		sim_disk_healed(&node->disk, status->pool.rebuilt);
}

/* The node ends its incarnation and begins the next one, as its daemon would. */
static void
restart(struct sim_node *node)
{
	const struct runtime_damage damage = runtime_damage(node->runtime);
	const uint32_t mended = damage.holes_mended;
	const bool is_of_damage = mended != 0 || damage.is_restarting;

	sim_say(node->sim, "node %u begins anew, %u holes mended", node->id, mended);
	if (damage.is_restarting)
		sim_count(node->sim, SIM_COUNT_damage_restarts);
	if (!is_of_damage)
		sim_count(node->sim, node->view.is_rejoining ? SIM_COUNT_rejoined
							     : SIM_COUNT_checkpoints_installed);
	node->sim->counts.of[SIM_COUNT_holes_mended] += mended;
	/* It has to find the log that it had before it came to harm. */
	if (mended != 0 && node->rotten_durable.log_index != 0) {
		sim_count(node->sim, SIM_COUNT_rot_mended);
		node->durable = node->rotten_durable;
	}
	if (!is_of_damage && !node->view.is_rejoining &&
	    node->durable.log_index >= sim_node_status(node)->transfer_index)
		sim_count(node->sim, SIM_COUNT_installed_over_tails);
	const bool is_rejoined = node->view.is_rejoining;
	/* The numbers of its starts have jumped, and the note waits for the next one. */
	if (is_rejoined)
		node->note.is_spoiled = true;
	node->is_restarting = true;
	sim_node_crash(node);
	node->is_restarting = false;
	sim_node_start(node);
	if (is_rejoined)
		sim_hazard_rejoined(node->sim, node);
}

static void
count_transfers(struct sim_node *node)
{
	const struct node_status *status = sim_node_status(node);

	const uint64_t found = runtime_damage(node->runtime).blocks_found;
	if (found > node->blocks_found) {
		sim_count(node->sim, SIM_COUNT_rot_found_live);
		if (!node->disk.was_rotten && node->sim->swarm.geometry.m == 0 &&
		    !node->sim->options.is_beyond && !node->sim->options.is_lying_disk)
			sim_fail(node->sim, "damage", "node %u found damage where there is none",
				 node->id);
	}
	node->blocks_found = found;
	if (status->transfer_parts_sent != 0 && node->parts_sent == 0)
		sim_count(node->sim, SIM_COUNT_checkpoints_sent);
	node->sim->counts.of[SIM_COUNT_chunks_found] +=
	    status->transfer_parts_found - node->parts_found;
	node->sim->counts.of[SIM_COUNT_chunks_bad] += status->transfer_parts_bad - node->parts_bad;
	node->parts_sent = status->transfer_parts_sent;
	node->parts_found = status->transfer_parts_found;
	node->parts_bad = status->transfer_parts_bad;
}

static void
data_turn(struct sim_node *node)
{
	const enum runtime_turn turn = runtime_turn(node->runtime);

	if (turn == RUNTIME_RESTART) {
		if (!sim_point_is_dead(node))
			restart(node);
		return;
	}
	node->before = node->view;
	node->view = *runtime_view(node->runtime);
	sim_trace(node->sim, node->view.term ^ node->view.commit_index << 20);
	sim_trace(node->sim, node->view.last_index ^ node->view.last_chain.low);
	sim_check_turn(node); /* also of a turn that ends with a crash: it began, and sent */
	if (sim_point_is_dead(node))
		return;
	count_laps(node);
	count_transfers(node);
	sim_client_poll(node);
	sim_check_divergent(node);
	sim_fault_look(node->sim, node->index);
	sim_aim_turn(node);
	sim_last_word_turn(node);
	if (sim_point_is_over(node))
		return;
	const bool is_of_spare = sim_spare_turn(node);
	if (sim_note_turn(node) || is_of_spare || sim_fallback_turn(node)) {
		sim_node_crash(node);
		sim_node_start(node);
		return;
	}
	schedule(node, turn == RUNTIME_WORKED, turn == RUNTIME_WAITING,
		 runtime_deadline_ns(node->runtime));
}

void
sim_node_turn(struct sim_node *node)
{
	struct sim *sim = node->sim;

	node->turn_at_ns = UINT64_MAX;
	if (node->paused_until_ns > sim->now_ns) {
		sim_node_wake(node, node->paused_until_ns);
		return;
	}
	sim_count(sim, SIM_COUNT_turns);
	node->busy_until_ns =
	    sim->now_ns + sim->swarm.turn_ns / 2 + prng_below(&sim->prng, sim->swarm.turn_ns);
	if (node->life == SIM_NODE_BOOTING) {
		boot_turn(node);
	} else if (sim_node_is_data(node)) {
		data_turn(node);
	} else {
		const bool has_worked = witness_node_turn(&node->witness);
		if (sim_point_is_dead(node) || sim_point_is_over(node))
			return;
		schedule(node, has_worked, false, witness_node_deadline_ns(&node->witness));
	}
}
