/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_refill.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/wire/part.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_spare.h"

#define FIRST_PAGE SUPERBLOCK_AREA_PAGES
#define HARM_PPM   10000u  /* of turns */
#define BEND_PPM   300000u /* of frames that a node gets for a group that came to harm */

/* Puts back what still is as it was harmed: what was written meanwhile stays. */
static void
undo(struct sim_node *node)
{
	struct sim_hurt *hurt = &node->disk.hurt;

	for (uint32_t i = 0; i < hurt->count; i++) {
		struct sim_hurt_page *page = &hurt->pages[i];
		uint8_t *bytes = sim_disk_at(&node->disk, page->device, page->offset);
		if (memcmp(bytes, page->harmed, PAGE_BYTES) == 0)
			memcpy(bytes, page->sound, PAGE_BYTES);
		free(page->sound);
		free(page->harmed);
	}
	free(hurt->pages);
	hurt->pages = NULL;
	hurt->count = 0;
}

void
sim_refill_crash(struct sim_node *node)
{
	if (node->disk.hurt.count != 0)
		sim_say(node->sim, "node %u: the harm is undone", node->id);
	undo(node);
	node->disk.hurt.refilled_seen = node->disk.hurt.unreadable_seen = 0;
}

bool
sim_refill_scrubbed(struct sim_node *node)
{
	const struct runtime_healing now = runtime_healing(node->runtime);
	struct sim_hurt *hurt = &node->disk.hurt;

	if (hurt->count == 0)
		return true;
	sim_say(node->sim, "node %u: scrubbed, %llu groups put together, %llu unreadable", node->id,
		(unsigned long long)now.refilled, (unsigned long long)now.unreadable);
	if (now.refilled > hurt->refilled_seen)
		sim_count(node->sim, SIM_COUNT_groups_refilled);
	/* What the scrub did not call lost has to be whole now. */
	const bool is_lost = now.unreadable > hurt->unreadable_seen;
	if (is_lost) {
		sim_count(node->sim, SIM_COUNT_groups_lost);
		undo(node);
	}
	for (uint32_t i = 0; i < hurt->count; i++) {
		free(hurt->pages[i].sound);
		free(hurt->pages[i].harmed);
	}
	free(hurt->pages);
	hurt->pages = NULL;
	hurt->count = 0;
	hurt->refilled_seen = now.refilled;
	hurt->unreadable_seen = now.unreadable;
	return !is_lost;
}

void
sim_refill_bend(struct sim_node *node, uint8_t *frame, uint32_t bytes)
{
	struct sim_disk *disk = &node->disk;
	const uint32_t from = FRAME_HDR_BYTES + PART_HDR_BYTES;
	struct frame_hdr hdr;

	if (disk->hurt.count == 0 || node->sim->faults.is_healed || bytes <= from ||
	    frame_open(frame, bytes, &hdr) != TERN_OK || hdr.kind != FRAME_PART ||
	    prng_below(&disk->scrub_prng, 1000000) >= BEND_PPM)
		return;
	frame[from + prng_below(&disk->scrub_prng, bytes - from)] ^= 0x10;
	frame_seal(frame, &hdr, hdr.body_bytes);
	sim_count(node->sim, SIM_COUNT_parts_bent);
}

static uint8_t *
page_copy(const uint8_t *bytes)
{
	uint8_t *copy = malloc(PAGE_BYTES);

	if (copy == NULL)
		abort();
	return memcpy(copy, bytes, PAGE_BYTES);
}

static void
page_harm(struct sim_node *node, uint32_t device, uint64_t offset, struct sim_hurt_page *page)
{
	struct sim_disk *disk = &node->disk;
	uint8_t *bytes = sim_disk_at(disk, device, offset);

	page->device = device;
	page->offset = offset;
	page->sound = page_copy(bytes);
	/* It still says what it is, or nothing does. */
	switch (prng_below(&disk->scrub_prng, 3)) {
	case 0:
		memset(bytes, 0, PAGE_BYTES);
		break;
	case 1:
		bytes[prng_below(&disk->scrub_prng, PAGE_IDENTITY_BYTES)] ^= 0x40;
		break;
	default:
		bytes[PAGE_IDENTITY_BYTES +
		      prng_below(&disk->scrub_prng, PAGE_BYTES - PAGE_IDENTITY_BYTES)] ^= 0x20;
		break;
	}
	page->harmed = page_copy(bytes);
}

static void
group_harm(struct sim_node *node, struct stripe_address address)
{
	const struct stripe_geometry geometry = node->sim->swarm.geometry;
	const struct stripe_layout layout =
	    stripe_layout_make(geometry, address.first_cell, address.group_pages);
	struct sim_hurt *hurt = &node->disk.hurt;

	hurt->first_cell = layout.first_cell;
	hurt->pages = calloc(layout.cells, sizeof(*hurt->pages));
	if (hurt->pages == NULL)
		abort();
	for (uint64_t cell = layout.first_cell; cell < layout.first_cell + layout.cells; cell++) {
		const struct stripe_place place =
		    stripe_cell_place(geometry, cell, node->sim->swarm.log_pages);
		page_harm(node, sim_spare_drive(&node->disk, place.device),
			  (FIRST_PAGE + place.page) * PAGE_BYTES, &hurt->pages[hurt->count++]);
	}
	node->disk.live_rot++;
	sim_say(node->sim, "node %u: all of the group at cell %llu comes to harm", node->id,
		(unsigned long long)address.first_cell);
	sim_count(node->sim, SIM_COUNT_groups_hurt);
}

/* Somebody writes to one of these pages now: never of the log, but by a repair. */
static bool
is_under_repair(const struct sim_node *node)
{
	return runtime_healing(node->runtime).is_under_way;
}

/* All is healed, and the other copy is on its way: what it needs of the log is here only. */
static bool
is_last_copy(const struct sim_node *node)
{
	return node->sim->faults.is_healed && node->view.mode == CORE_MODE_SOLO;
}

void
sim_refill_harm(struct sim_node *node)
{
	struct sim_disk *disk = &node->disk;
	const struct runtime_healing now = runtime_healing(node->runtime);
	struct stripe_address address;
	uint64_t count = 0;
	bool is_whole;

	if (disk->hurt.count != 0 || disk->live_rot != 0 || node->sim->data_count < 2 ||
	    node->is_log_volatile || is_last_copy(node) || is_under_repair(node) || now.out != 0 ||
	    disk->gone != 0 || sim_node_status(node)->is_damaged ||
	    prng_below(&disk->scrub_prng, 1000000) >= HARM_PPM)
		return;
	while (runtime_group(node->runtime, count, &address, &is_whole))
		count++;
	if (count == 0 ||
	    !runtime_group(node->runtime, prng_below(&disk->scrub_prng, count), &address,
			   &is_whole) ||
	    !is_whole)
		return;
	disk->hurt.refilled_seen = now.refilled;
	disk->hurt.unreadable_seen = now.unreadable;
	group_harm(node, address);
	/* Before a crash undoes it, mostly. */
	if (prng_below(&disk->scrub_prng, 4) != 0)
		(void)runtime_scrub_begin(node->runtime);
}
