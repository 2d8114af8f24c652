/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_stranger.h"

#include <string.h>

#include "dataplane/wire/fragment.h"
#include "dataplane/wire/frame.h"
#include "tests/sim/sim.h"

#define RATE_LOW_PPM 1000u
#define RATE_OCTAVES 5u

struct sim_stranger {
	struct prng prng;
	uint32_t ppm;
	uint64_t taken[SIM_NODES_MAX][SIM_STRANGER_KINDS]; /* since the node's last start */
	struct sim_stranger_frame frame;
};

void
sim_stranger_create(struct sim *sim)
{
	struct sim_stranger *stranger = sim_take(sizeof(*stranger));

	sim->stranger = stranger;
	prng_seed(&stranger->prng, (sim->seed + 19) * UINT64_C(0x9e6c63d0676a9a99));
	if (!sim_aim_has(sim, SIM_OWN_STRANGER))
		return;
	const uint32_t low = RATE_LOW_PPM << prng_below(&stranger->prng, RATE_OCTAVES);
	stranger->ppm = low * sim->options.limits.strength / SIM_STRENGTH_FULL;
}

/* An id that no node of this world has. */
static uint16_t
nobody(struct sim *sim)
{
	return (uint16_t)prng_between(&sim->stranger->prng, sim->node_count + 1, NODE_ID_MAX);
}

static uint16_t
not_this(struct sim *sim, uint16_t id)
{
	const uint16_t other = (uint16_t)prng_between(&sim->stranger->prng, 1, NODE_ID_MAX - 1);

	return other == id ? NODE_ID_MAX : other;
}

/* False: there is no such frame to be made of this one. */
static bool
bend(struct sim *sim, enum sim_stranger_kind kind, uint16_t to, struct frame_hdr *hdr)
{
	struct prng *prng = &sim->stranger->prng;

	switch (kind) {
	case SIM_STRANGER_NONE:
	case SIM_STRANGER_KINDS:
		return false;
	case SIM_STRANGER_CLUSTER:
		hdr->cluster_id ^= UINT64_C(1) << prng_below(prng, 64);
		return true;
	case SIM_STRANGER_RECEIVER:
		hdr->receiver = not_this(sim, to);
		return true;
	case SIM_STRANGER_SELF:
		hdr->sender = to;
		/* The one that was given the same id takes it for another node's. */
		if (prng_below(prng, 2) == 0)
			hdr->receiver = not_this(sim, to);
		return true;
	case SIM_STRANGER_UNKNOWN:
		hdr->sender = nobody(sim);
		return true;
	case SIM_STRANGER_OLD_BOOT:
		if (hdr->boot_no < 2)
			return false;
		hdr->boot_no = (uint32_t)prng_between(prng, 1, hdr->boot_no - 1);
		return true;
	}
	return false;
}

void
sim_stranger_sent(struct sim *sim, uint8_t path, uint8_t from, uint8_t to, const uint8_t *bytes,
		  uint32_t length)
{
	static const enum sim_count_kind counts[SIM_STRANGER_KINDS] = {
		[SIM_STRANGER_CLUSTER] = SIM_COUNT_strangers_of_clusters,
		[SIM_STRANGER_RECEIVER] = SIM_COUNT_strangers_for_others,
		[SIM_STRANGER_SELF] = SIM_COUNT_strangers_of_own_id,
		[SIM_STRANGER_UNKNOWN] = SIM_COUNT_strangers_unknown,
		[SIM_STRANGER_OLD_BOOT] = SIM_COUNT_strangers_of_old_boots,
	};
	struct sim_stranger *stranger = sim->stranger;
	struct sim_stranger_frame *frame = &stranger->frame;
	struct frame_hdr hdr;

	if (stranger->ppm == 0 || sim->faults.is_healed || length > sizeof(frame->bytes) ||
	    prng_below(&stranger->prng, 1000000) >= stranger->ppm ||
	    frame_open(bytes, length, &hdr) != TERN_OK)
		return;
	const enum sim_stranger_kind kind = (enum sim_stranger_kind)prng_between(
	    &stranger->prng, SIM_STRANGER_CLUSTER, SIM_STRANGER_OLD_BOOT);
	const uint64_t at_ns =
	    sim->now_ns + 1 + prng_below(&stranger->prng, sim->swarm.timer_ns / 8);
	frame->kind = SIM_STRANGER_NONE;
	frame->length = length;
	frame->path = path;
	frame->from = from;
	frame->to = to;
	memcpy(frame->bytes, bytes, length);
	if (!bend(sim, kind, sim->nodes[to].id, &hdr) ||
	    (kind == SIM_STRANGER_OLD_BOOT && !sim_net_inject(sim, frame, at_ns)))
		return;
	frame->kind = kind;
	frame_seal(frame->bytes, &hdr,
		   hdr.kind == FRAME_BLOCK ? FRAGMENT_HDR_BYTES : hdr.body_bytes);
	if (sim_net_inject(sim, frame, at_ns))
		sim_count(sim, counts[kind]);
}

void
sim_stranger_taken(struct sim_node *node, enum sim_stranger_kind kind)
{
	node->sim->stranger->taken[node->index][kind]++;
}

void
sim_stranger_crashed(struct sim_node *node)
{
	memset(node->sim->stranger->taken[node->index], 0,
	       sizeof(node->sim->stranger->taken[node->index]));
}

static void
check(struct sim_node *node, const char *what, uint64_t dropped, uint64_t taken)
{
	if (dropped != taken)
		sim_fail(node->sim, "stranger", "node %u dropped %llu frames %s, and took %llu",
			 node->id, (unsigned long long)dropped, what, (unsigned long long)taken);
}

void
sim_stranger_final(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->node_count; i++) {
		struct sim_node *node = &sim->nodes[i];
		const uint64_t *taken = sim->stranger->taken[i];
		if (node->life != SIM_NODE_UP)
			continue;
		const struct status_drops *drops = sim_node_is_data(node)
						       ? &sim_node_status(node)->drops
						       : &node->witness.link.drops;
		check(node, "of other clusters", drops->foreign_cluster,
		      taken[SIM_STRANGER_CLUSTER]);
		check(node, "for others", drops->wrong_receiver, taken[SIM_STRANGER_RECEIVER]);
		check(node, "with its own id", drops->duplicate_id, taken[SIM_STRANGER_SELF]);
		check(node, "of nobody", drops->unknown_sender, taken[SIM_STRANGER_UNKNOWN]);
		/* Frames that are replayed, or late, are old as well. */
		if (drops->stale_boot < taken[SIM_STRANGER_OLD_BOOT])
			check(node, "of old starts", drops->stale_boot,
			      taken[SIM_STRANGER_OLD_BOOT]);
	}
}
