/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between two scrubs pages of the weak devices come to harm at rest: bits, a write that was lost,
 * one that went elsewhere. As many devices as may be lost are weak, so nobody may ever notice; and
 * when a scrub has ended, or a rebuild, every page of every device that counts must be, byte for
 * byte, what the layout says. Seeds are not drawn on for this, so that they stay what they were.
 */
#include "tests/sim/sim_scrub.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/stripe/heal.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_hazard.h"
#include "tests/sim/sim_spare.h"

#define FIRST_PAGE SUPERBLOCK_AREA_PAGES
#define ROT_PPM    20000u /* of turns */
#define ROT_PAGES  4u     /* at most, each time */

/* ---- checking ---- */

/* Reads the columns of @devices. */
static void
columns_read(const struct sim_node *node, uint32_t devices, struct stripe_image *image)
{
	const struct stripe_geometry geometry = node->sim->swarm.geometry;

	for (uint32_t column = 0; column < stripe_devices(geometry); column++) {
		const size_t bytes =
		    (size_t)stripe_column_pages(&image->layout, column) * PAGE_BYTES;
		const struct stripe_place place =
		    stripe_cell_place(geometry, stripe_cell_at(&image->layout, column, 0),
				      node->sim->swarm.log_pages);
		const uint32_t drive = sim_spare_drive(&node->disk, place.device);
		if (bytes != 0 && (devices >> place.device & 1) != 0)
			memcpy(
			    stripe_image_page(image, column, 0),
			    sim_disk_at(&node->disk, drive, (FIRST_PAGE + place.page) * PAGE_BYTES),
			    bytes);
		else
			image->absent |= STRIPE_BIT(column);
	}
}

static void
group_check(struct sim_node *node, const char *what, struct stripe_code *code, uint32_t devices,
	    struct stripe_address address)
{
	struct stripe_image image = {
		.layout = stripe_layout_make(node->sim->swarm.geometry, address.first_cell,
					     address.group_pages),
	};
	const size_t rows = image.layout.rows;
	const uint32_t m = image.layout.geometry.m;
	uint8_t *memory =
	    aligned_alloc(PAGE_BYTES, (image.layout.pages + 2 * m * rows) * PAGE_BYTES);
	struct stripe_healed healed = { 0 };

	if (memory == NULL)
		abort();
	image.data = memory;
	image.parity = image.data + (size_t)image.layout.pages * PAGE_BYTES;
	columns_read(node, devices, &image);
	const bool is_good =
	    stripe_image_find(&image, node->sim->cluster_id, node->id) &&
	    stripe_heal(code, &image, &healed) == TERN_OK &&
	    stripe_parity_heal(code, &image, image.parity + m * rows * PAGE_BYTES, &healed) == 0 &&
	    healed.bad_pages == 0;
	free(memory);
	if (!is_good)
		sim_fail(node->sim, what,
			 "node %u: the group at cell %llu is not whole on devices %x: %u pages, "
			 "columns %x",
			 node->id, (unsigned long long)address.first_cell, devices,
			 healed.bad_pages, healed.bad_columns);
}

/* All that lies whole in the log area is so on each of @devices. */
static void
devices_check(struct sim_node *node, const char *what, uint32_t devices)
{
	void *memory = aligned_alloc(PAGE_BYTES, align_up_u64(stripe_code_bytes(), PAGE_BYTES));
	struct stripe_code *code;
	struct stripe_address address;
	bool is_whole;

	if (memory == NULL || stripe_code_init(memory, node->sim->swarm.geometry, &code) != TERN_OK)
		abort();
	for (uint64_t i = 0; runtime_group(node->runtime, i, &address, &is_whole); i++)
		if (is_whole)
			group_check(node, what, code, devices, address);
	free(memory);
	sim_count(node->sim, SIM_COUNT_devices_checked);
}

/* ---- harm ---- */

/* A page of the log that is not being written. */
static bool
is_at_rest(const struct sim_disk *disk, uint32_t device, uint64_t offset)
{
	for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++) {
		const struct disk_request *request = &disk->slots[i].request;
		if ((disk->slots[i].state == SIM_SLOT_QUEUED ||
		     disk->slots[i].state == SIM_SLOT_FLYING) &&
		    request->device == device && request->kind == DISK_WRITE &&
		    offset >= request->offset && offset < request->offset + request->length)
			return false;
	}
	return true;
}

static void
page_harm(struct sim_node *node, uint32_t device)
{
	struct sim_disk *disk = &node->disk;
	const uint64_t end = min_u64(disk->written_bytes[device] / PAGE_BYTES,
				     FIRST_PAGE + node->sim->swarm.log_pages);

	if (end <= FIRST_PAGE)
		return;
	const uint64_t page = FIRST_PAGE + prng_below(&disk->scrub_prng, end - FIRST_PAGE);
	const uint64_t other = FIRST_PAGE + prng_below(&disk->scrub_prng, end - FIRST_PAGE);
	uint8_t *bytes = sim_disk_at(disk, device, page * PAGE_BYTES);
	if (!is_at_rest(disk, device, page * PAGE_BYTES))
		return;
	switch (prng_below(&disk->scrub_prng, 3)) {
	case 0: /* never written */
		memset(bytes, 0, PAGE_BYTES);
		break;
	case 1: /* what was to go elsewhere */
		memmove(bytes, sim_disk_at(disk, device, other * PAGE_BYTES), PAGE_BYTES);
		break;
	default:
		bytes[prng_below(&disk->scrub_prng, PAGE_BYTES)] ^= 0x20;
		break;
	}
	disk->live_rot++;
	sim_count(node->sim, SIM_COUNT_scrub_rot);
}

static void
harm(struct sim_node *node, uint32_t out)
{
	struct sim_disk *disk = &node->disk;

	if (!disk->has_scrub_prng)
		prng_seed(&disk->scrub_prng, node->sim->seed * 64 + node->id);
	disk->has_scrub_prng = true;
	/* Who is forgetful, or has lost a page elsewhere, has harm enough. */
	if (prng_below(&disk->scrub_prng, 1000000) >= ROT_PPM || node->is_log_volatile ||
	    disk->hurt.count != 0 || sim_node_status(node)->is_damaged)
		return;
	for (uint32_t i = 0; i < ROT_PAGES; i++) {
		const uint32_t place = (uint32_t)prng_below(&disk->scrub_prng, disk->device_count);
		const uint32_t device = sim_spare_drive(disk, place);
		if ((disk->weak >> device & 1) != 0 && (out >> place & 1) == 0)
			page_harm(node, device);
	}
}

static void
count_repaired(struct sim_node *node)
{
	const struct status_pool *pool = &sim_node_status(node)->pool;
	struct sim_disk *disk = &node->disk;
	uint64_t repaired = 0;

	for (uint32_t i = 0; i < disk->device_count; i++)
		repaired += pool->devices[i].repaired;
	if (repaired > disk->repaired_seen)
		node->sim->counts.of[SIM_COUNT_scrub_repaired] += repaired - disk->repaired_seen;
	disk->repaired_seen = repaired;
}

void
sim_scrub_turn(struct sim_node *node)
{
	const struct runtime_healing now = runtime_healing(node->runtime);
	const struct sim *sim = node->sim;
	struct sim_disk *disk = &node->disk;
	uint32_t out = now.out;
	const bool is_sure = !sim->options.is_beyond && !sim->options.is_lying_disk &&
			     !disk->rot.is_on && sim->swarm.geometry.m != 0;

	for (uint32_t place = 0; place < disk->device_count; place++)
		if ((disk->gone >> sim_spare_drive(disk, place) & 1) != 0)
			out |= STRIPE_BIT(place);
	const uint32_t in = (STRIPE_BIT(disk->device_count) - 1) & ~out;
	if (is_sure && now.rebuilt > disk->rebuilt_checked && disk->live_rot == 0)
		devices_check(node, "rebuild", in);
	disk->rebuilt_checked = now.rebuilt;
	if (sim->swarm.scrub_interval_ns == 0 || !is_sure)
		return;
	if (now.scrubs > disk->scrubs_checked) {
		sim_count(node->sim, SIM_COUNT_scrubs);
		if (sim_refill_scrubbed(node))
			devices_check(node, "scrub", in);
		/* What a device that is out has still on it is made anew by its rebuild. */
		disk->live_rot = 0;
	}
	disk->scrubs_checked = now.scrubs;
	count_repaired(node);
	if (!now.is_under_way)
		harm(node, out);
	if (disk->has_scrub_prng)
		sim_refill_harm(node);
}
