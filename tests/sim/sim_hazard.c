/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage is kept inside what the protocol stands (section 11): a page of an acknowledged block rots
 * only where a floor that was written later covers it, and only on one device at a time; what rots
 * above the floor was never acknowledged; of the superblock at most one copy rots between two
 * starts. A node whose log is damaged refuses to start, until whoever ends the episode has put the
 * page back (a backup of the device). So every check stays absolute.
 */
#include "tests/sim/sim_hazard.h"

#include <string.h>
#include <sys/mman.h>

#include "dataplane/base/bits.h"
#include "dataplane/wire/page.h"
#include "dataplane/wire/superblock.h"
#include "dataplane/wire/superblock_update.h"

#define FIRST_PAGE     SUPERBLOCK_AREA_PAGES
#define SECTOR_BYTES   512u
#define DRIFT_PPM_MAX  480u /* two clocks apart: just within CORE_CLOCK_DRIFT */
#define WALL_STEP_LOG2 32u  /* up to about an hour, in us */

/* ---- rot ---- */

void
sim_hazard_rot_page(struct sim *sim, uint8_t *page)
{
	if (sim_chance(sim, 300000)) {
		const uint64_t sector = prng_below(&sim->prng, PAGE_BYTES / SECTOR_BYTES);
		memset(page + sector * SECTOR_BYTES, sim_chance(sim, 500000) ? 0 : 0xa5,
		       SECTOR_BYTES);
		return;
	}
	const uint64_t count = prng_between(&sim->prng, 1, 8);
	for (uint64_t i = 0; i < count; i++)
		page[prng_below(&sim->prng, PAGE_BYTES)] ^=
		    (uint8_t)(1u << prng_below(&sim->prng, 8));
}

static bool
is_own(const struct sim_disk *disk, uint32_t device, uint64_t page, struct page_identity *identity)
{
	return page_identity_decode(sim_disk_at(disk, device, page * PAGE_BYTES), identity) ==
	       TERN_OK;
}

/* What is lost there is known by the groups before and behind it. */
static bool
is_between(const struct sim_disk *disk, uint32_t device, uint64_t page)
{
	struct page_identity before, own, behind;

	return page > FIRST_PAGE && (page + 2) * PAGE_BYTES <= disk->written_bytes[device] &&
	       is_own(disk, device, page - 1, &before) && is_own(disk, device, page, &own) &&
	       is_own(disk, device, page + 1, &behind) && before.own_cell + 1 == own.own_cell &&
	       own.own_cell + 1 == behind.own_cell && before.boot_no == behind.boot_no;
}

/* A page of @device, of a block that was acknowledged, and that the floor covers. 0: there is none.
 */
static uint64_t
pick_page(struct sim *sim, const struct sim_node *node, uint32_t device, uint64_t not_index,
	  bool is_plain)
{
	const struct sim_disk *disk = &node->disk;
	const uint64_t end = disk->written_bytes[device] / PAGE_BYTES;
	const uint64_t floor = min_u64(disk->floor, node->durable.log_index);

	if (end <= FIRST_PAGE || floor == 0 || sim_wrong_is_on(node))
		return 0;
	const uint64_t first = prng_below(&sim->fault_prng, end - FIRST_PAGE);
	for (uint64_t i = 0; i < end - FIRST_PAGE; i++) {
		const uint64_t page = FIRST_PAGE + (first + i) % (end - FIRST_PAGE);
		struct page_content content;
		if (page_content_open(sim_disk_at(disk, device, page * PAGE_BYTES), &content) ==
			TERN_OK &&
		    content.log_index != 0 && content.log_index <= floor &&
		    content.log_index != not_index && (!is_plain || is_between(disk, device, page)))
			return page;
	}
	return 0;
}

static bool
is_any_rotten(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->data_count; i++)
		if (sim->nodes[i].disk.rot.is_on || sim->nodes[i].has_lost_storage ||
		    sim_fallback_is_on(&sim->nodes[i]))
			return true;
	return false;
}

static void
rot_set(struct sim *sim, struct sim_node *node, uint32_t device, uint64_t page)
{
	uint8_t *bytes = sim_disk_at(&node->disk, device, page * PAGE_BYTES);
	struct sim_rot *rot = &node->disk.rot;
	struct page_content content;
	struct page_identity identity;

	rot->is_on = node->disk.was_rotten = true;
	rot->is_for_good = false;
	rot->device = device;
	rot->offset = page * PAGE_BYTES;
	memcpy(rot->sound, bytes, PAGE_BYTES);
	/* Until it shows: what lies behind the used bytes of a page harms nobody. */
	while (page_content_open(bytes, &content) == TERN_OK &&
	       page_identity_decode(bytes, &identity) == TERN_OK)
		sim_hazard_rot_page(sim, bytes);
	memcpy(rot->rotten, bytes, PAGE_BYTES);
}

static void
rot_below_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	sim_node_crash(node);
	const uint32_t device =
	    node->disk.device_count == 1
		? 0
		: (uint32_t)prng_below(&sim->fault_prng, node->disk.device_count);
	const uint64_t page = is_any_rotten(sim) ? 0 : pick_page(sim, node, device, 0, false);
	if (page != 0) {
		rot_set(sim, node, device, page);
		sim_count(sim, SIM_COUNT_rot_below_floor);
	}
	sim_node_start(node);
}

/* An operator has the whole log read back. */
static void
look(struct sim *sim, struct sim_node *node)
{
	if (node->life != SIM_NODE_UP)
		return;
	(void)runtime_deep_start(node->runtime, UINT64_MAX);
	sim_node_wake(node, sim->now_ns);
	sim_count(sim, SIM_COUNT_deep_verifies);
}

/* The node goes on, for what it has applied it does not need; until it is to be read for others. */
static void
rot_live_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];
	const uint64_t page = is_any_rotten(sim) || node->disk.device_count != 1
				  ? 0
				  : pick_page(sim, node, 0, 0, false);

	if (page == 0)
		return;
	rot_set(sim, node, 0, page);
	sim_count(sim, SIM_COUNT_rot_live);
	if (prng_below(&sim->fault_prng, 2) == 0)
		look(sim, node);
}

/* Once, and what was meant is there the next time. */
static void
misread_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	node->disk.misread_next = 1;
	look(sim, node);
}

static void
misread_end(struct sim *sim, struct sim_episode *episode)
{
	sim->nodes[episode->node].disk.misread_next = 0;
	sim_node_start(&sim->nodes[episode->node]);
}

static void
rot_below_end(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];
	struct sim_rot *rot = &node->disk.rot;

	if (rot->is_on && !rot->is_for_good) {
		if (node->life != SIM_NODE_UP || node->view.is_forgetful)
			sim_node_crash(node);
		uint8_t *bytes = sim_disk_at(&node->disk, rot->device, rot->offset);
		if (memcmp(bytes, rot->rotten, PAGE_BYTES) == 0) /* nothing was written there */
			memcpy(bytes, rot->sound, PAGE_BYTES);
		rot->is_on = false;
	}
	sim_node_start(node);
}

/* All data nodes hold it, so whoever loses it can get it from another one. */
static uint64_t
common_floor(const struct sim *sim)
{
	uint64_t common = sim_check_commit_max(sim);

	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		if (node->is_log_volatile || node->disk.device_count != 1)
			return 0;
		common = min_u64(common, min_u64(node->disk.floor, node->durable.log_index));
	}
	return common;
}

/* Behind which block its log begins, by its device, and up to which its checkpoint reaches. */
static uint64_t
log_begin(const struct sim_node *node, uint64_t *covered_index)
{
	struct superblock superblock;
	uint32_t good;

	if (superblock_choose(sim_disk_at(&node->disk, 0, 0), &superblock, &good) != TERN_OK)
		return UINT64_MAX;
	const struct shard_record *shard = &superblock.shards[0];
	*covered_index = max_u64(shard->checkpoints[0].log_index, shard->checkpoints[1].log_index);
	return shard->base.log_index;
}

/* Who has a checkpoint behind the block does not need it; otherwise the logs of the others have to
 * reach back to it. Where they do not, a master's checkpoint would be needed, and without votes
 * there is none. */
static bool
is_made_good(const struct sim *sim, const struct sim_node *node, uint64_t log_index)
{
	uint64_t covered_index = 0, ignored;

	(void)log_begin(node, &covered_index);
	if (log_index <= covered_index)
		return true;
	for (uint32_t i = 0; i < sim->data_count; i++)
		if (&sim->nodes[i] != node && log_begin(&sim->nodes[i], &ignored) >= log_index)
			return false;
	return true;
}

/* The power goes, and all data nodes lose a block, each another one. Nobody puts them back: none of
 * the nodes has a vote, and they have to help each other. */
static void
rot_all_begin(struct sim *sim, struct sim_episode *episode)
{
	const uint64_t common = common_floor(sim);
	uint64_t not_index = 0;
	const bool is_possible = common != 0 && !is_any_rotten(sim);

	(void)episode;
	for (uint32_t i = 0; i < sim->data_count; i++)
		sim_node_crash(&sim->nodes[i]);
	for (uint32_t i = 0; is_possible && i < sim->data_count; i++) {
		struct sim_node *node = &sim->nodes[i];
		const uint64_t page = pick_page(sim, node, 0, not_index, true);
		struct page_content content;
		if (page == 0 ||
		    page_content_open(sim_disk_at(&node->disk, 0, page * PAGE_BYTES), &content) !=
			TERN_OK ||
		    content.log_index > common || !is_made_good(sim, node, content.log_index))
			break;
		not_index = content.log_index;
		rot_set(sim, node, 0, page);
		node->disk.rot.is_for_good = true;
		if (i + 1 == sim->data_count)
			sim_count(sim, SIM_COUNT_rot_of_all);
	}
	for (uint32_t i = 0; i < sim->data_count; i++)
		sim_node_start(&sim->nodes[i]);
}

static void
rot_all_end(struct sim *sim, struct sim_episode *episode)
{
	(void)episode;
	for (uint32_t i = 0; i < sim->data_count; i++)
		sim_node_start(&sim->nodes[i]);
}

bool
sim_hazard_rot_newest(struct sim *sim, struct sim_node *node)
{
	const struct sim_disk *disk = &node->disk;
	const uint64_t end = disk->written_bytes[0] / PAGE_BYTES;
	struct page_identity newest = { 0 };
	uint64_t page = 0;

	for (uint64_t at = FIRST_PAGE; at < end; at++) {
		struct page_content content;
		struct page_identity own;
		if (page_content_open(sim_disk_at(disk, 0, at * PAGE_BYTES), &content) != TERN_OK ||
		    content.log_index != node->durable.log_index || !is_own(disk, 0, at, &own))
			continue;
		if (page != 0 && (own.boot_no != newest.boot_no ? own.boot_no < newest.boot_no
								: own.group_seq < newest.group_seq))
			continue;
		newest = own;
		page = at;
	}
	if (page == 0)
		return false;
	rot_set(sim, node, 0, page);
	node->disk.rot.is_for_good = true;
	return true;
}

bool
sim_hazard_rot_behind(struct sim *sim, struct sim_node *node, uint64_t last_index,
		      struct prng *prng)
{
	const uint64_t end = node->disk.written_bytes[0] / PAGE_BYTES;

	if (is_any_rotten(sim) || end <= FIRST_PAGE)
		return false;
	const uint64_t first = prng_below(prng, end - FIRST_PAGE);
	for (uint64_t i = 0; i < end - FIRST_PAGE; i++) {
		const uint64_t page = FIRST_PAGE + (first + i) % (end - FIRST_PAGE);
		struct page_content content;
		if (page_content_open(sim_disk_at(&node->disk, 0, page * PAGE_BYTES), &content) !=
			TERN_OK ||
		    content.log_index <= last_index)
			continue;
		rot_set(sim, node, 0, page);
		node->disk.rot.is_for_good = true;
		return true;
	}
	return false;
}

static void
rot_above_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	node->disk.rots_in_flight = true;
	sim_node_crash(node);
	node->disk.rots_in_flight = false;
}

static void
rot_superblock_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	sim_node_crash(node);
	if (!node->disk.is_superblock_rotten) {
		const uint64_t copy = prng_below(&sim->fault_prng, SUPERBLOCK_COPIES);
		sim_disk_aim(&node->disk);
		sim_hazard_rot_page(sim,
				    sim_disk_at(&node->disk, node->disk.target, copy * PAGE_BYTES));
		node->disk.is_superblock_rotten = true;
		sim_count(sim, SIM_COUNT_rot_superblock);
	}
	sim_node_start(node);
}

/* ---- a device that is gone ---- */

static void again(struct sim *sim, const struct sim_episode *episode, uint64_t ns);

/* The others hold all that was committed, and do without this node. */
static bool
is_dispensable(struct sim *sim, const struct sim_node *lost)
{
	const uint64_t commit_max = sim_check_commit_max(sim);
	const struct sim_node *master = sim_master(sim);
	bool is_held = false;

	/* Whoever is no voter is made anew, and need not come back under its old id. */
	if ((sim_voters(sim) >> lost->id & 1) == 0)
		return false;
	/* While a change is joint, who is electable is another question. */
	if (lost->view.is_joint || (master != NULL && master->view.is_joint))
		return false;
	if (master == NULL || master == lost || lost->life != SIM_NODE_UP ||
	    lost->view.role != CORE_FOLLOWER || lost->view.is_forgetful || lost->disk.rot.is_on)
		return false;
	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		if (node->has_lost_storage || node->disk.rot.is_on)
			return false;
		is_held |= node != lost && node->durable.log_index >= commit_max;
	}
	return is_held && sim_check_is_electable(sim, lost);
}

static void
lose_storage_cut(struct sim *sim, struct sim_episode *episode, int delta)
{
	const uint32_t peer = 3 - episode->node - episode->other;

	episode->is_down = delta > 0;
	for (uint32_t path = 0; path < SIM_PATHS; path++) {
		sim_net_cut(sim, path, peer, episode->other, delta);
		sim_net_cut(sim, path, episode->other, peer, delta);
	}
}

/* Among three the third node does not hear the master for a while before, so that it lacks what
 * only the master and the node hold that is about to lose it. */
static void
lose_storage_begin(struct sim *sim, struct sim_episode *episode)
{
	const struct sim_node *master = sim_master(sim);

	if (sim->data_count == 3 && master != NULL && master->index != episode->node) {
		episode->other = 3 - episode->node - master->index;
		lose_storage_cut(sim, episode, 1);
	}
	again(sim, episode, prng_below(&sim->fault_prng, 2 * sim->swarm.timer_ns));
}

static void
lose_storage_now(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	if (!is_dispensable(sim, node))
		return;
	sim_node_crash(node);
	sim_count(sim, SIM_COUNT_storage_lost);
	sim_node_rejoin(node, &(struct generation){ 1, 0 });
	sim_node_start(node);
}

static void
lose_storage_end(struct sim *sim, struct sim_episode *episode)
{
	if (episode->is_down)
		lose_storage_cut(sim, episode, -1);
	sim_node_start(&sim->nodes[episode->node]);
}

void
sim_hazard_rejoined(struct sim *sim, const struct sim_node *node)
{
	const struct sim_node *master = sim_master(sim);

	for (uint32_t i = 0; i < SIM_EPISODES; i++) {
		const struct sim_episode *episode = &sim->faults.episodes[i];
		if (!episode->is_on || episode->class_ != SIM_HAZARD_LOSE_STORAGE ||
		    episode->node != node->index || episode->number >= SIM_EPISODES_MAX ||
		    sim->faults.is_healed || master == NULL)
			continue;
		/* Before it has what it lost. */
		if (episode->number % 2 == 0)
			sim_fault_begin(sim, episode->number + 2 * SIM_EPISODES_MAX,
					SIM_FAULT_CRASH_DATA, master->index,
					5 * sim->swarm.timer_ns);
		return;
	}
}

/* ---- beyond the budget: what was acknowledged is gone, and no checksum is wrong ---- */

static void
old_image_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_disk *disk = &sim->nodes[episode->node].disk;

	if (disk->old_image != NULL)
		return;
	disk->old_image = sim_take(disk->image_bytes * sim_disk_drives(disk));
	for (uint32_t i = 0; i < sim_disk_drives(disk); i++) {
		disk->old_bytes[i] = disk->written_bytes[i];
		memcpy(disk->old_image + i * disk->image_bytes, sim_disk_at(disk, i, 0),
		       disk->old_bytes[i]);
	}
}

static void
old_image_end(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];
	struct sim_disk *disk = &node->disk;

	sim_node_crash(node);
	if (disk->old_image != NULL) {
		for (uint32_t i = 0; i < sim_disk_drives(disk); i++) {
			memset(sim_disk_at(disk, i, 0), 0, disk->written_bytes[i]);
			memcpy(sim_disk_at(disk, i, 0), disk->old_image + i * disk->image_bytes,
			       disk->old_bytes[i]);
			disk->written_bytes[i] = disk->old_bytes[i];
		}
		munmap(disk->old_image, disk->image_bytes * sim_disk_drives(disk));
		disk->old_image = NULL;
		sim_count(sim, SIM_COUNT_old_images);
	}
	sim_node_start(node);
}

static void
misdirected_begin(struct sim *sim, struct sim_episode *episode)
{
	sim_disk_aim(&sim->nodes[episode->node].disk);
	sim->nodes[episode->node].disk.misdirect_next = 1;
}

static void
misdirected_end(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	node->disk.misdirect_next = 0;
	sim_node_crash(node); /* only a start looks at what lies on the device */
	sim_node_start(node);
}

/* ---- errors of the device ---- */

static void
write_error_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_disk *disk = &sim->nodes[episode->node].disk;

	sim_disk_aim(disk);
	disk->fail_next = 1;
	disk->fail_how =
	    episode->class_ == SIM_HAZARD_FLUSH_ERROR ? SIM_FAIL_WRITTEN : SIM_FAIL_TORN;
}

static void
no_space_begin(struct sim *sim, struct sim_episode *episode)
{
	sim_disk_aim(&sim->nodes[episode->node].disk);
	sim->nodes[episode->node].disk.is_full = true;
}

static void
read_error_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	sim_disk_aim(&node->disk);
	node->disk.has_bad_sectors = true;
	sim_node_crash(node);
	sim_node_start(node);
}

/* The device is well again, and whoever stopped by itself is started by somebody. */
static void
error_end(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];
	struct sim_disk *disk = &node->disk;

	disk->fail_next = 0;
	disk->fail_how = SIM_FAIL_NOTHING;
	disk->is_full = false;
	disk->has_bad_sectors = false;
	if (disk->has_failed)
		sim_node_crash(node);
	sim_node_start(node);
}

/* Nobody brings it back. Without parity nothing could go on. */
static void
device_gone_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_disk *disk = &sim->nodes[episode->node].disk;

	if (sim->swarm.geometry.m == 0)
		return;
	sim_disk_aim(disk);
	disk->gone |= 1u << disk->target;
	sim_count(sim, SIM_COUNT_devices_gone);
}

/* ---- processes ---- */

static void
again(struct sim *sim, const struct sim_episode *episode, uint64_t ns)
{
	const uint64_t slot = (uint64_t)(episode - sim->faults.episodes);

	sim_push(sim, sim->now_ns + ns, SIM_EVENT_REPEAT, 0,
		 (uint64_t)episode->number * SIM_EPISODES + slot);
}

static void
count_crash(struct sim *sim, const struct sim_node *node)
{
	sim_count(sim, sim_node_is_data(node) ? SIM_COUNT_crashes : SIM_COUNT_witness_crashes);
}

static void
crash_two_begin(struct sim *sim, struct sim_episode *episode)
{
	sim_count(sim, SIM_COUNT_crashes_of_two);
	sim_node_crash(&sim->nodes[episode->node]);
	sim_node_crash(&sim->nodes[episode->other]);
}

static void
crash_end(struct sim *sim, struct sim_episode *episode)
{
	sim_node_start(&sim->nodes[episode->node]);
	if (episode->class_ == SIM_HAZARD_CRASH_TWO)
		sim_node_start(&sim->nodes[episode->other]);
}

static void
restart_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	sim_count(sim, episode->class_ == SIM_HAZARD_RESTART ? SIM_COUNT_restarts
							     : SIM_COUNT_restart_loops);
	count_crash(sim, node);
	sim_node_crash(node);
	sim_node_start(node);
	if (episode->class_ == SIM_HAZARD_RESTART_LOOP)
		again(sim, episode, sim->swarm.timer_ns / 8);
}

static void
restart_again(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	count_crash(sim, node);
	sim_node_crash(node);
	sim_node_start(node);
	again(sim, episode,
	      sim->swarm.timer_ns / 16 + prng_below(&sim->fault_prng, sim->swarm.timer_ns));
}

/* ---- links ---- */

static void
burst_begin(struct sim *sim, struct sim_episode *episode)
{
	sim_count(sim, SIM_COUNT_bursts);
	sim_net_burst(sim, episode->node, episode->other, 1);
}

static void
burst_end(struct sim *sim, struct sim_episode *episode)
{
	sim_net_burst(sim, episode->node, episode->other, -1);
}

static void
flap_set(struct sim *sim, struct sim_episode *episode, bool is_down)
{
	if (episode->is_down == is_down)
		return;
	episode->is_down = is_down;
	for (uint32_t path = 0; path < SIM_PATHS; path++) {
		sim_net_cut(sim, path, episode->node, episode->other, is_down ? 1 : -1);
		sim_net_cut(sim, path, episode->other, episode->node, is_down ? 1 : -1);
	}
}

static void
flap_again(struct sim *sim, struct sim_episode *episode)
{
	if (!episode->is_down)
		sim_count(sim, SIM_COUNT_flaps);
	flap_set(sim, episode, !episode->is_down);
	again(sim, episode,
	      sim->swarm.timer_ns / 64 + prng_below(&sim->fault_prng, sim->swarm.timer_ns / 2));
}

static void
flap_end(struct sim *sim, struct sim_episode *episode)
{
	flap_set(sim, episode, false);
}

/* ---- clocks ---- */

static void
drift_begin(struct sim *sim, struct sim_episode *episode)
{
	const int64_t drift_ppm =
	    (int64_t)prng_below(&sim->fault_prng, 2 * DRIFT_PPM_MAX + 1) - (int64_t)DRIFT_PPM_MAX;

	sim_count(sim, SIM_COUNT_clock_drifts);
	sim_clock_rate(&sim->nodes[episode->node], drift_ppm, false);
}

static void
drift_end(struct sim *sim, struct sim_episode *episode)
{
	sim_clock_rate(&sim->nodes[episode->node], 0, false);
}

static void
frozen_begin(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	sim_count(sim, SIM_COUNT_clock_freezes);
	sim->has_broken_clock = true;
	sim_clock_rate(node, node->clock_drift_ppm, true);
}

static void
frozen_end(struct sim *sim, struct sim_episode *episode)
{
	struct sim_node *node = &sim->nodes[episode->node];

	sim_clock_rate(node, node->clock_drift_ppm, false);
}

/* Somebody sets the wall clock, and it stays so. */
static void
wall_begin(struct sim *sim, struct sim_episode *episode)
{
	const uint64_t us = UINT64_C(1) << prng_below(&sim->fault_prng, WALL_STEP_LOG2);
	const int64_t step_ns = (int64_t)((us + prng_below(&sim->fault_prng, us)) * SIM_US);

	sim_count(sim, SIM_COUNT_wall_steps);
	sim->nodes[episode->node].wall_skew_ns +=
	    prng_below(&sim->fault_prng, 2) == 0 ? step_ns : -step_ns;
}

/* ---- all ---- */

struct hazard {
	void (*begin)(struct sim *sim, struct sim_episode *episode);
	void (*repeat)(struct sim *sim, struct sim_episode *episode);
	void (*end)(struct sim *sim, struct sim_episode *episode);
	bool is_of_any, is_of_log;
};

static const struct hazard hazards[SIM_EPISODE_CLASSES] = {
	[SIM_HAZARD_CRASH_TWO] = { .begin = crash_two_begin, .end = crash_end, .is_of_any = true },
	[SIM_HAZARD_RESTART_LOOP] = { .begin = restart_begin,
				      .repeat = restart_again,
				      .end = crash_end,
				      .is_of_any = true },
	[SIM_HAZARD_RESTART] = { .begin = restart_begin, .end = crash_end, .is_of_any = true },
	[SIM_HAZARD_BURST] = { .begin = burst_begin, .end = burst_end, .is_of_any = true },
	[SIM_HAZARD_FLAP] = { .begin = flap_again,
			      .repeat = flap_again,
			      .end = flap_end,
			      .is_of_any = true },
	[SIM_HAZARD_READ_ERROR] = { .begin = read_error_begin, .end = error_end },
	[SIM_HAZARD_FLUSH_ERROR] = { .begin = write_error_begin, .end = error_end },
	[SIM_HAZARD_TORN_WRITE] = { .begin = write_error_begin, .end = error_end },
	[SIM_HAZARD_NO_SPACE] = { .begin = no_space_begin, .end = error_end },
	[SIM_HAZARD_ROT_BELOW] = { .begin = rot_below_begin,
				   .end = rot_below_end,
				   .is_of_log = true },
	[SIM_HAZARD_ROT_LIVE] = { .begin = rot_live_begin,
				  .end = rot_below_end,
				  .is_of_log = true },
	[SIM_HAZARD_MISREAD] = { .begin = misread_begin, .end = misread_end, .is_of_log = true },
	[SIM_HAZARD_ROT_ALL] = { .begin = rot_all_begin, .end = rot_all_end, .is_of_log = true },
	[SIM_HAZARD_ROT_ABOVE] = { .begin = rot_above_begin, .end = crash_end, .is_of_log = true },
	[SIM_HAZARD_ROT_SUPERBLOCK] = { .begin = rot_superblock_begin, .end = crash_end },
	[SIM_HAZARD_LOSE_STORAGE] = { .begin = lose_storage_begin,
				      .repeat = lose_storage_now,
				      .end = lose_storage_end,
				      .is_of_log = true },
	[SIM_HAZARD_OLD_IMAGE] = { .begin = old_image_begin,
				   .end = old_image_end,
				   .is_of_log = true },
	[SIM_HAZARD_MISDIRECTED] = { .begin = misdirected_begin,
				     .end = misdirected_end,
				     .is_of_log = true },
	[SIM_HAZARD_CLOCK_DRIFT] = { .begin = drift_begin, .end = drift_end, .is_of_any = true },
	[SIM_HAZARD_CLOCK_FROZEN] = { .begin = frozen_begin, .end = frozen_end, .is_of_any = true },
	[SIM_HAZARD_WALL_STEP] = { .begin = wall_begin },
	[SIM_HAZARD_DEVICE_GONE] = { .begin = device_gone_begin, .is_of_log = true },
	[SIM_HAZARD_CRASH_AT_WRITE] = { .begin = sim_point_begin,
					.end = sim_point_end,
					.is_of_any = true },
};

bool
sim_hazard_is_of_any(uint32_t class_)
{
	return class_ >= SIM_FAULT_KINDS && hazards[class_].is_of_any;
}

bool
sim_hazard_is_of_log(uint32_t class_)
{
	return class_ >= SIM_FAULT_KINDS && hazards[class_].is_of_log;
}

void
sim_hazard_begin(struct sim *sim, struct sim_episode *episode)
{
	hazards[episode->class_].begin(sim, episode);
}

void
sim_hazard_repeat(struct sim *sim, struct sim_episode *episode)
{
	hazards[episode->class_].repeat(sim, episode);
}

void
sim_hazard_end(struct sim *sim, struct sim_episode *episode)
{
	if (hazards[episode->class_].end != NULL)
		hazards[episode->class_].end(sim, episode);
}
