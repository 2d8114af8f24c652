/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_spare.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/wire/superblock_update.h"
#include "tests/sim/sim.h"

#define CRASH_TAKEN_PPM   300000u /* right after a spare was taken */
#define CRASH_REBUILD_PPM 400u    /* in each turn of a rebuild: most of them end */
#define CRASH_SCRUB_PPM   100u    /* of a scrub */
#define GIVE_PPM          20000u  /* in each turn in which a device could be given */
#define SWAP_PPM          60000u  /* of starts */
#define AWAY_PPM          400000u /* of starts with a spare in its place */

static bool
chance(struct sim_disk *disk, uint32_t ppm)
{
	return prng_below(&disk->spare_prng, 1000000) < ppm;
}

uint32_t
sim_spare_drive(const struct sim_disk *disk, uint32_t place)
{
	return disk->drives[place];
}

uint32_t
sim_spare_drives(const struct sim_disk *disk, uint32_t places)
{
	uint32_t drives = 0;

	for (uint32_t place = 0; place < disk->device_count; place++)
		if ((places >> place & 1) != 0)
			drives |= 1u << disk->drives[place];
	return drives;
}

uint32_t
sim_spare_standing(const struct sim_disk *disk)
{
	return sim_spare_drives(disk, UINT32_MAX);
}

uint64_t
sim_spare_bytes(const struct sim_disk *disk, uint32_t drive)
{
	const bool is_away = ((disk->gone | disk->late) >> drive & 1) != 0;

	return is_away ? 0 : disk->image_bytes;
}

/* ---- starts ---- */

static void
images_swap(struct sim_disk *disk)
{
	const uint32_t a = disk->swapped[0], b = disk->swapped[1];
	const uint64_t end = max_u64(disk->written_bytes[a], disk->written_bytes[b]);
	uint8_t page[PAGE_BYTES];

	for (uint64_t at = 0; at < end; at += PAGE_BYTES) {
		memcpy(page, sim_disk_at(disk, a, at), PAGE_BYTES);
		memcpy(sim_disk_at(disk, a, at), sim_disk_at(disk, b, at), PAGE_BYTES);
		memcpy(sim_disk_at(disk, b, at), page, PAGE_BYTES);
	}
	const uint64_t bytes = disk->written_bytes[a];
	disk->written_bytes[a] = disk->written_bytes[b];
	disk->written_bytes[b] = bytes;
	disk->is_swapped = !disk->is_swapped;
}

/* Two that count: where neither is recorded as failed, and both are there, a start sees it. */
static void
swap_some(struct sim_disk *disk)
{
	const uint32_t out = sim_disk_recorded_failed(disk);
	const uint32_t a = (uint32_t)prng_below(&disk->spare_prng, disk->device_count);
	const uint32_t b = (uint32_t)prng_below(&disk->spare_prng, disk->device_count);

	disk->swapped[0] = disk->drives[a];
	disk->swapped[1] = disk->drives[b];
	if (a == b || ((out | disk->gone) != 0) || sim_disk_is_hanging(disk))
		return;
	images_swap(disk);
}

/* Nothing that a device holds is missing, or may be. */
static bool
is_whole(const struct sim_disk *disk)
{
	return sim_disk_recorded_failed(disk) == 0 && disk->gone == 0 && disk->live_rot == 0 &&
	       disk->hurt.count == 0 && disk->fail_next == 0 && !disk->is_full &&
	       !disk->has_bad_sectors && !disk->rot.is_on && !disk->is_superblock_rotten &&
	       !sim_disk_is_hanging(disk);
}

/* A spare that stands somewhere is not there, once, and what it stands for is. So it is one of
 * those that may come to harm from now on, in the place of another. */
static void
stay_away(struct sim_disk *disk)
{
	const uint32_t base = (1u << disk->device_count) - 1;
	const uint32_t spares = sim_spare_standing(disk) & ~base;

	/* So many are there that they know that the others did not go on alone. */
	if (spares == 0 || !is_whole(disk) ||
	    disk->device_count - 1 <= disk->node->sim->swarm.geometry.m)
		return;
	const uint32_t spare = spares & -spares;
	if ((disk->weak & spare) == 0) {
		disk->weak = (disk->weak & (disk->weak - 1)) | spare;
		disk->target = (uint32_t)__builtin_ctz(disk->weak);
	}
	disk->gone |= spare;
	sim_count(disk->node->sim, SIM_COUNT_spares_away);
}

void
sim_spare_start(struct sim_node *node)
{
	struct sim_disk *disk = &node->disk;

	if (disk->spare_count == 0 || node->is_log_volatile)
		return;
	disk->late = 0;
	for (uint32_t drive = disk->device_count; drive < sim_disk_drives(disk); drive++)
		if ((sim_spare_standing(disk) >> drive & 1) == 0 && chance(disk, 500000))
			disk->late |= 1u << drive;
	if (chance(disk, AWAY_PPM))
		stay_away(disk);
	if (chance(disk, SWAP_PPM) && !node->sim->faults.is_healed)
		swap_some(disk);
}

bool
sim_spare_refused(struct sim_node *node)
{
	struct sim_disk *disk = &node->disk;

	if (!disk->is_swapped)
		return false;
	sim_count(node->sim, SIM_COUNT_swaps_refused);
	sim_node_crash(node);
	sim_node_start(node);
	return true;
}

void
sim_spare_crash(struct sim_node *node)
{
	struct sim_disk *disk = &node->disk;

	if (disk->is_swapped)
		images_swap(disk);
	disk->taken_seen = 0;
}

/* ---- while it runs ---- */

/* An operator gives a blank device for one that failed, while the node runs. */
static void
give(struct sim_node *node, const struct runtime_healing *now)
{
	struct sim_disk *disk = &node->disk;
	const uint32_t free = disk->late & ~disk->gone;

	if (free == 0 || now->failed == 0 || sim_node_status(node)->is_damaged ||
	    !chance(disk, GIVE_PPM))
		return;
	const uint32_t drive = (uint32_t)__builtin_ctz(free);
	if (disk->written_bytes[drive] != 0)
		return; /* an operator looks at it first */
	if (runtime_replace(node->runtime, (uint32_t)__builtin_ctz(now->failed), drive,
			    disk->image_bytes) == TERN_OK) {
		disk->late &= ~(1u << drive);
		sim_count(node->sim, SIM_COUNT_devices_given);
	}
}

bool
sim_spare_turn(struct sim_node *node)
{
	struct sim_disk *disk = &node->disk;

	if (disk->spare_count == 0)
		return false;
	const struct runtime_healing now = runtime_healing(node->runtime);
	if (disk->is_swapped)
		sim_fail(node->sim, "swapped", "node %u started with devices %u and %u swapped",
			 node->id, disk->swapped[0], disk->swapped[1]);
	memcpy(disk->drives, now.drives, sizeof(disk->drives));
	give(node, &now);
	const bool is_taken = now.spares_taken > disk->taken_seen;
	if (is_taken)
		sim_count(node->sim, SIM_COUNT_spares_taken);
	disk->taken_seen = now.spares_taken;
	if (node->sim->faults.is_healed)
		return false;
	const uint32_t ppm = is_taken              ? CRASH_TAKEN_PPM
			     : now.rebuilding != 0 ? CRASH_REBUILD_PPM
			     : now.is_under_way    ? CRASH_SCRUB_PPM
						   : 0;
	if (ppm == 0 || !chance(disk, ppm))
		return false;
	sim_count(node->sim, SIM_COUNT_heal_crashes);
	return true;
}
