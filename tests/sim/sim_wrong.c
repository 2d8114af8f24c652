/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_wrong.h"

#include <string.h>
#include <sys/mman.h>

#include "dataplane/base/crc32c.h"
#include "dataplane/wire/superblock_update.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_aside.h"
#include "tests/sim/sim_spare.h"

#define WRONG_PPM 250000u /* of starts */
#define STALE_PPM 300000u

struct wrong_of_node {
	enum { WRONG_NOT = 0, WRONG_CLUSTER, WRONG_ID, WRONG_STORAGE } kind;
	uint16_t other;  /* whose id, or storage: index */
	uint64_t listed; /* data nodes, by its list; 0: all of them */
	bool is_warned;  /* it was refused: the next start is right */
	uint32_t crc;    /* of all devices */
	uint8_t *image;  /* its own, while another one is in its place */
	uint64_t written_bytes[SIM_DEVICES_MAX];
};

struct sim_wrong {
	struct prng prng;
	struct wrong_of_node nodes[SIM_NODES_MAX];
};

static struct wrong_of_node *
wrong_of(const struct sim_node *node)
{
	return &node->sim->wrong->nodes[node->index];
}

static bool
chance(struct sim *sim, uint32_t ppm)
{
	return prng_below(&sim->wrong->prng, 1000000) < ppm;
}

void
sim_wrong_create(struct sim *sim)
{
	sim->wrong = sim_take(sizeof(*sim->wrong));
	prng_seed(&sim->wrong->prng, (sim->seed + 23) * UINT64_C(0xd6e8feb86659fd93));
}

static uint32_t
image_crc(const struct sim_disk *disk)
{
	uint32_t crc = 0;

	for (uint32_t i = 0; i < sim_disk_drives(disk); i++)
		for (uint64_t at = 0; at < disk->written_bytes[i]; at += PAGE_BYTES)
			crc = crc * 31 + crc32c(sim_disk_at(disk, i, at), PAGE_BYTES);
	return crc;
}

/* Its devices show what those of the other node hold, as they are now. */
static void
storage_take(struct sim_node *node, const struct sim_node *other)
{
	struct wrong_of_node *wrong = wrong_of(node);
	struct sim_disk *disk = &node->disk;

	wrong->image = disk->image;
	memcpy(wrong->written_bytes, disk->written_bytes, sizeof(wrong->written_bytes));
	disk->image = sim_take(disk->image_bytes * sim_disk_drives(disk));
	memcpy(disk->written_bytes, other->disk.written_bytes, sizeof(disk->written_bytes));
	for (uint32_t i = 0; i < sim_disk_drives(disk); i++)
		memcpy(sim_disk_at(disk, i, 0), sim_disk_at(&other->disk, i, 0),
		       disk->written_bytes[i]);
}

static void
storage_return(struct sim_node *node)
{
	struct wrong_of_node *wrong = wrong_of(node);
	struct sim_disk *disk = &node->disk;

	if (wrong->image == NULL)
		return;
	munmap(disk->image, disk->image_bytes * sim_disk_drives(disk));
	disk->image = wrong->image;
	memcpy(disk->written_bytes, wrong->written_bytes, sizeof(disk->written_bytes));
	wrong->image = NULL;
}

/* Whoever wrote it knew of no change since the birth, or left one node out. */
static uint64_t
list_draw(const struct sim_node *node)
{
	struct sim *sim = node->sim;
	const uint64_t all = sim_data_mask(sim), born = sim_birth_voters(sim);

	if ((sim->options.topology != SIM_TOPOLOGY_2W_GUEST &&
	     sim->options.topology != SIM_TOPOLOGY_JOINT &&
	     sim->options.topology != SIM_TOPOLOGY_EXCHANGE) ||
	    !chance(sim, STALE_PPM))
		return 0;
	const uint64_t less =
	    all & ~(UINT64_C(2) << prng_below(&sim->wrong->prng, sim->data_count));
	const uint64_t listed =
	    (born == all || chance(sim, 500000) ? less : born) | UINT64_C(1) << node->id;
	return listed == all ? 0 : listed;
}

static bool
data_start(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct wrong_of_node *wrong = wrong_of(node);
	struct prng *prng = &sim->wrong->prng;

	if (!chance(sim, WRONG_PPM))
		return false;
	wrong->kind = WRONG_CLUSTER;
	if (sim->data_count > 1) {
		const uint64_t step = 1 + prng_below(prng, sim->data_count - 1);
		wrong->other = (uint16_t)((node->index + step) % sim->data_count);
		wrong->kind = 1 + (uint32_t)prng_below(prng, 3);
	}
	/* A copy of what is being changed is no node's storage. */
	if (wrong->kind == WRONG_STORAGE && sim_wrong_is_on(&sim->nodes[wrong->other]))
		wrong->kind = WRONG_ID;
	if (wrong->kind == WRONG_STORAGE)
		storage_take(node, &sim->nodes[wrong->other]);
	wrong->crc = image_crc(&node->disk);
	sim_say(sim, "node %u is started wrongly: kind %d, of node %u", node->id, (int)wrong->kind,
		wrong->other + 1);
	return true;
}

bool
sim_wrong_start(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct wrong_of_node *wrong = wrong_of(node);
	const bool is_warned = wrong->is_warned;

	wrong->is_warned = false;
	if (!sim_aim_has(sim, SIM_OWN_WRONG_START) || node->is_restarting || is_warned ||
	    sim->options.is_beyond || sim->options.is_lying_disk)
		return false;
	if (!sim_node_is_data(node)) {
		sim_aside_start(node, &sim->wrong->prng);
		return false;
	}
	wrong->listed = list_draw(node);
	return data_start(node);
}

void
sim_wrong_configure(struct sim_node *node, struct runtime_config *config)
{
	const struct wrong_of_node *wrong = wrong_of(node);
	struct sim *sim = node->sim;

	if (wrong->kind == WRONG_CLUSTER)
		config->cluster_id ^= UINT64_C(1) << prng_below(&sim->wrong->prng, 64);
	if (wrong->kind == WRONG_ID)
		config->node_id = sim->nodes[wrong->other].id;
	if (wrong->kind != WRONG_NOT || wrong->listed == 0)
		return;
	config->data_nodes = wrong->listed;
	sim_say(sim, "node %u starts with the list of nodes %llx", node->id,
		(unsigned long long)wrong->listed);
	sim_count(sim, SIM_COUNT_stale_lists);
}

bool
sim_wrong_is_on(const struct sim_node *node)
{
	return wrong_of(node)->kind != WRONG_NOT;
}

/* Its storage names voters that its list does not: it may not start. */
static bool
is_list_too_short(const struct sim_node *node)
{
	struct superblock newest = { 0 }, one;
	uint32_t good;

	for (uint32_t i = 0; i < sim_disk_drives(&node->disk); i++)
		if (superblock_choose(sim_disk_at(&node->disk, i, 0), &one, &good) == TERN_OK &&
		    superblock_is_newer(&one, &newest))
			newest = one;
	return (newest.shards[0].voters & ~wrong_of(node)->listed) != 0;
}

static void
check(const struct sim_node *node, enum runtime_boot boot)
{
	const struct sim_disk *disk = &node->disk;
	/* What cannot be read says nothing of whose it is. */
	const bool is_struck = disk->has_failed || disk->has_hung || disk->gone != 0 ||
			       disk->node->sim->swarm.geometry.m != 0;

	if (boot == RUNTIME_BOOT_READY || (boot != RUNTIME_BOOT_FOREIGN && !is_struck))
		sim_fail(node->sim, "wrong-start",
			 "node %u: a wrong start of kind %d ended with %d", node->id,
			 (int)wrong_of(node)->kind, (int)boot);
	if (image_crc(disk) != wrong_of(node)->crc)
		sim_fail(node->sim, "wrong-start", "node %u: a wrong start changed the storage",
			 node->id);
}

bool
sim_wrong_is_refused(struct sim_node *node, enum runtime_boot boot)
{
	static const enum sim_count_kind counts[] = {
		[WRONG_CLUSTER] = SIM_COUNT_wrong_clusters,
		[WRONG_ID] = SIM_COUNT_wrong_ids,
		[WRONG_STORAGE] = SIM_COUNT_wrong_storages,
	};
	struct wrong_of_node *wrong = wrong_of(node);
	struct sim *sim = node->sim;

	if (wrong->kind != WRONG_NOT) {
		check(node, boot);
		sim_count(sim, counts[wrong->kind]);
	} else if (wrong->listed != 0 && boot == RUNTIME_BOOT_FOREIGN && is_list_too_short(node)) {
		sim_count(sim, SIM_COUNT_stale_lists_refused);
	} else {
		if (wrong->listed != 0 && boot == RUNTIME_BOOT_READY && is_list_too_short(node))
			sim_fail(sim, "wrong-start",
				 "node %u starts without knowing all voters of its storage",
				 node->id);
		return false;
	}
	sim_node_crash(node);
	wrong->is_warned = true;
	sim_node_start(node);
	return true;
}

void
sim_wrong_crashed(struct sim_node *node)
{
	storage_return(node);
	wrong_of(node)->kind = WRONG_NOT;
	wrong_of(node)->listed = 0;
}

void
sim_wrong_heal(struct sim_node *node)
{
	if (!sim_node_is_data(node))
		sim_aside_end(node->sim);
	else if (wrong_of(node)->listed != 0)
		sim_node_crash(node);
}
