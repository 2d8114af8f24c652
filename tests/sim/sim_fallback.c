/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_fallback.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/wire/checkpoint.h"
#include "dataplane/wire/page.h"
#include "dataplane/wire/superblock.h"
#include "dataplane/wire/superblock_update.h"
#include "tests/sim/sim.h"

#define HARM_PPM  5000u   /* of turns */
#define DEEP_PPM  250000u /* of harms: the whole node is read back, and not scrubbed */
#define CRASH_PPM 750000u

struct fallback {
	enum { FALLBACK_NONE = 0, FALLBACK_HIDDEN, FALLBACK_KNOWN } state;
	uint32_t slot;
	uint64_t log_index; /* of the one that came to harm */
	uint64_t
	    other_index; /* of the one that is whole; 0: none is, but all of the log is there */
	uint64_t offset;
	uint64_t until_ns; /* the device is slow */
	uint64_t written;  /* checkpoints, by the status when it knew of it */
	bool is_sought, is_crash_due;
	uint8_t sound[PAGE_BYTES], rotten[PAGE_BYTES];
};

struct sim_fallback {
	struct prng prng;
	struct fallback nodes[SIM_NODES_MAX];
};

static struct fallback *
fallback_of(const struct sim_node *node)
{
	return &node->sim->fallback->nodes[node->index];
}

static bool
chance(struct sim *sim, uint32_t ppm)
{
	return prng_below(&sim->fallback->prng, 1000000) < ppm;
}

void
sim_fallback_create(struct sim *sim)
{
	sim->fallback = sim_take(sizeof(*sim->fallback));
	prng_seed(&sim->fallback->prng, (sim->seed + 29) * UINT64_C(0xc2b2ae3d27d4eb4f));
}

/* ---- what lies on the device ---- */

static uint8_t *
page_at(const struct sim_node *node, uint64_t page)
{
	return sim_disk_at(&node->disk, 0, page * PAGE_BYTES);
}

static bool
shard_read(const struct sim_node *node, struct shard_record *shard)
{
	struct superblock superblock;
	uint32_t good;

	if (superblock_choose(page_at(node, 0), &superblock, &good) != TERN_OK)
		return false;
	*shard = superblock.shards[0];
	return true;
}

static bool
is_at_rest(const struct sim_disk *disk, const struct superblock_checkpoint *record)
{
	const uint64_t from = record->first_page * PAGE_BYTES;
	const uint64_t to = from + record->pages * PAGE_BYTES;

	for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++) {
		const struct disk_request *request = &disk->slots[i].request;
		if ((disk->slots[i].state == SIM_SLOT_QUEUED ||
		     disk->slots[i].state == SIM_SLOT_FLYING) &&
		    request->kind == DISK_WRITE && request->offset < to &&
		    request->offset + request->length > from)
			return false;
	}
	return true;
}

/* All of it, as a start reads it. */
static bool
is_whole(const struct sim_node *node, const struct superblock_checkpoint *record)
{
	struct checkpoint_hdr hdr;
	struct checkpoint_chunk chunk;
	struct hash128 root = { 0 };

	if (record->log_index == 0 || !is_at_rest(&node->disk, record) ||
	    checkpoint_hdr_decode(page_at(node, record->first_page), &hdr) != TERN_OK ||
	    hdr.meta.log_index != record->log_index ||
	    !hash128_equal(hdr.meta.chain, record->chain) ||
	    checkpoint_pages(hdr.stream_bytes) != record->pages)
		return false;
	for (uint32_t i = 0; i < hdr.chunk_count; i++) {
		const uint64_t page = record->first_page + 1 + (uint64_t)i * CHECKPOINT_CHUNK_PAGES;
		if (checkpoint_chunk_open(page_at(node, page),
					  checkpoint_chunk_pages(hdr.stream_bytes, i),
					  &chunk) != TERN_OK ||
		    chunk.log_index != record->log_index || chunk.number != i)
			return false;
		root = checkpoint_root_add(root, chunk.hash);
	}
	return hash128_equal(root, hdr.root);
}

/* Without the one in @slot the node could start: from the other one, or with all of the log. */
static bool
has_fallback(const struct sim_node *node, const struct shard_record *shard, uint32_t slot)
{
	const struct superblock_checkpoint *other = &shard->checkpoints[1 - slot];
	const uint64_t base_index =
	    max_u64(shard->base.log_index, runtime_damage(node->runtime).base_named);

	if (base_index == 0)
		return true;
	return base_index <= other->log_index && is_whole(node, other);
}

/* ---- harm ---- */

static bool
may_harm(const struct sim_node *node)
{
	const struct sim *sim = node->sim;
	const struct stripe_geometry geometry = sim->swarm.geometry;
	const struct runtime_damage damage = runtime_damage(node->runtime);

	return sim_aim_has(sim, SIM_OWN_ROT_CHECKPOINT) && sim->swarm.checkpoint_pages != 0 &&
	       geometry.k == 1 && geometry.m == 0 && !node->is_log_volatile &&
	       !sim->options.is_beyond && !sim->options.is_lying_disk && !node->disk.rot.is_on &&
	       !node->has_lost_storage && !node->view.is_forgetful && !node->view.is_rejoining &&
	       !sim_node_status(node)->is_damaged && damage.blocks_found == 0 &&
	       damage.checkpoints_hurt == 0;
}

static void
page_harm(struct sim_node *node, const struct superblock_checkpoint *record)
{
	struct fallback *fallback = fallback_of(node);
	struct prng *prng = &node->sim->fallback->prng;

	/* Until it shows: what lies behind the used bytes of a page harms nobody. */
	do {
		const uint64_t page = record->first_page + prng_below(prng, record->pages);
		uint8_t *bytes = page_at(node, page);
		fallback->offset = page * PAGE_BYTES;
		memcpy(fallback->sound, bytes, PAGE_BYTES);
		bytes[prng_below(prng, PAGE_BYTES)] ^= (uint8_t)(1u << prng_below(prng, 8));
		memcpy(fallback->rotten, bytes, PAGE_BYTES);
		if (!is_whole(node, record))
			return;
		memcpy(bytes, fallback->sound, PAGE_BYTES);
	} while (true);
}

static void
harm(struct sim_node *node)
{
	struct fallback *fallback = fallback_of(node);
	struct sim *sim = node->sim;
	struct shard_record shard;

	if (!may_harm(node) || !chance(sim, HARM_PPM) || !shard_read(node, &shard))
		return;
	const uint32_t slot =
	    shard.checkpoints[1].log_index > shard.checkpoints[0].log_index ? 1 : 0;
	if (!is_whole(node, &shard.checkpoints[slot]) || !has_fallback(node, &shard, slot))
		return;
	*fallback = (struct fallback){
		.state = FALLBACK_HIDDEN,
		.slot = slot,
		.log_index = shard.checkpoints[slot].log_index,
		.other_index = shard.checkpoints[1 - slot].log_index,
	};
	page_harm(node, &shard.checkpoints[slot]);
	sim_say(sim,
		"node %u: its checkpoint of block %llu comes to harm; the other one is of %llu",
		node->id, (unsigned long long)fallback->log_index,
		(unsigned long long)fallback->other_index);
	sim_count(sim, SIM_COUNT_checkpoints_rotten);
}

static uint8_t *
harmed(const struct sim_node *node)
{
	return sim_disk_at(&node->disk, 0, fallback_of(node)->offset);
}

/* What was written there meanwhile stays. */
static void
undo(struct sim_node *node)
{
	struct fallback *fallback = fallback_of(node);

	if (memcmp(harmed(node), fallback->rotten, PAGE_BYTES) == 0)
		memcpy(harmed(node), fallback->sound, PAGE_BYTES);
	fallback->state = FALLBACK_NONE;
	sim_say(node->sim, "node %u: its checkpoint is whole again", node->id);
}

/* ---- until the node knows, and then ---- */

static void
seek(struct sim_node *node)
{
	struct fallback *fallback = fallback_of(node);

	if (fallback->is_sought)
		return;
	if (chance(node->sim, DEEP_PPM)) {
		(void)runtime_deep_start(node->runtime, UINT64_MAX);
		fallback->is_sought = true;
	} else {
		fallback->is_sought = runtime_scrub_begin(node->runtime);
	}
}

static void
hidden_turn(struct sim_node *node)
{
	struct fallback *fallback = fallback_of(node);
	struct sim *sim = node->sim;
	struct shard_record shard;

	/* Nobody can know yet, and the node goes on as it may. */
	if (sim->faults.is_healed || !shard_read(node, &shard) ||
	    shard.checkpoints[fallback->slot].log_index != fallback->log_index ||
	    memcmp(harmed(node), fallback->rotten, PAGE_BYTES) != 0 ||
	    !has_fallback(node, &shard, fallback->slot)) {
		undo(node);
		return;
	}
	seek(node);
	if ((runtime_damage(node->runtime).checkpoints_hurt >> fallback->slot & 1) == 0)
		return;
	fallback->state = FALLBACK_KNOWN;
	fallback->other_index = shard.base.log_index == 0 ? 0 : fallback->other_index;
	fallback->written = sim_node_status(node)->checkpoints;
	fallback->until_ns =
	    sim->now_ns + sim->swarm.timer_ns * (1 + prng_below(&sim->fallback->prng, 6));
	fallback->is_crash_due = chance(sim, CRASH_PPM);
	sim_say(sim, "node %u: knows that its checkpoint is not whole", node->id);
	sim_count(sim, SIM_COUNT_checkpoints_rot_found);
}

/* Another one is named. */
static bool
is_over(const struct sim_node *node)
{
	const struct fallback *fallback = fallback_of(node);
	struct shard_record shard;

	if (!shard_read(node, &shard))
		return false;
	return max_u64(shard.checkpoints[0].log_index, shard.checkpoints[1].log_index) >
		   fallback->log_index ||
	       sim_node_status(node)->checkpoints > fallback->written;
}

bool
sim_fallback_turn(struct sim_node *node)
{
	struct fallback *fallback = fallback_of(node);
	struct sim *sim = node->sim;

	if (fallback->state == FALLBACK_NONE)
		harm(node);
	else if (fallback->state == FALLBACK_HIDDEN)
		hidden_turn(node);
	else if (is_over(node))
		fallback->state = FALLBACK_NONE;
	if (fallback->state != FALLBACK_KNOWN || !fallback->is_crash_due ||
	    sim->now_ns < fallback->until_ns || sim->faults.is_healed)
		return false;
	fallback->is_crash_due = false;
	sim_count(sim, SIM_COUNT_crashes);
	return true;
}

void
sim_fallback_crash(struct sim_node *node)
{
	if (fallback_of(node)->state == FALLBACK_HIDDEN)
		undo(node);
}

void
sim_fallback_started(struct sim_node *node)
{
	struct fallback *fallback = fallback_of(node);

	if (fallback->state != FALLBACK_KNOWN)
		return;
	fallback->written = 0;
	if (!is_over(node))
		sim_count(node->sim, SIM_COUNT_fallbacks);
}

void
sim_fallback_forget(struct sim_node *node)
{
	fallback_of(node)->state = FALLBACK_NONE;
}

bool
sim_fallback_is_on(const struct sim_node *node)
{
	return fallback_of(node)->state != FALLBACK_NONE;
}

uint64_t
sim_fallback_slow_ns(const struct sim_node *node, const struct disk_request *request)
{
	const struct fallback *fallback = fallback_of(node);
	const struct sim *sim = node->sim;
	const uint64_t slots = SUPERBLOCK_AREA_PAGES + sim->swarm.log_pages;

	if (fallback->state != FALLBACK_KNOWN || request->kind != DISK_WRITE ||
	    request->offset < slots * PAGE_BYTES || sim->now_ns >= fallback->until_ns ||
	    sim->faults.is_healed)
		return 0;
	return fallback->until_ns - sim->now_ns;
}
