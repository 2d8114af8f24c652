/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_aim.h"

#include <string.h>

#include "dataplane/wire/fragment.h"
#include "dataplane/wire/frame.h"
#include "tests/sim/sim.h"

#define RIVALS_MAX 4u
#define HOLDS_MAX  8u
#define COPIES_MAX 32u
#define NUMBER_AIM (3u * SIM_EPISODES_MAX) /* episodes that begin here */
#define OWN_FACTOR UINT64_C(0x9e3779b97f4a7c15)
#define OWN_SALT   UINT64_C(205836)
#define ROT_SALT   UINT64_C(7250)

bool
sim_aim_has(const struct sim *sim, uint32_t class_)
{
	return (sim->aim.classes >> class_ & 1) != 0 && !sim->faults.is_healed;
}

/* Half of the seeds have none. The salt leaves those as they were that tests and the table of bugs
 * name because a bug is seldom found. */
static void
draw_own(struct sim *sim)
{
	static const uint32_t classes[] = { SIM_HAZARD_CRASH_AT_WRITE, SIM_OWN_WRONG_START,
					    SIM_OWN_STRANGER, SIM_OWN_ROT_DEAD };
	struct prng prng;

	prng_seed(&prng, (sim->seed + 1) * OWN_FACTOR ^ OWN_SALT);
	if (prng_below(&prng, 2) == 0)
		return;
	for (uint32_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (prng_below(&prng, 2) == 0 &&
		    !sim_limits_without(&sim->options.limits, classes[i]))
			sim->aim.classes |= UINT64_C(1) << classes[i];
}

/* A quarter of the seeds; by a salt that leaves those as they were, too. */
static void
draw_rot_checkpoint(struct sim *sim)
{
	struct prng prng;

	prng_seed(&prng, (sim->seed + 1) * OWN_FACTOR ^ ROT_SALT);
	if (prng_below(&prng, 4) == 0 &&
	    !sim_limits_without(&sim->options.limits, SIM_OWN_ROT_CHECKPOINT))
		sim->aim.classes |= UINT64_C(1) << SIM_OWN_ROT_CHECKPOINT;
}

void
sim_aim_draw(struct sim *sim)
{
	struct prng prng;

	draw_own(sim);
	draw_rot_checkpoint(sim);
	if (sim->data_count < 3)
		return;
	prng_seed(&prng, sim->seed ^ UINT64_C(0xa3ed00000000));
	for (uint32_t i = SIM_AIM_BEFORE_FIRST + 1; i < SIM_AIMS_END; i++)
		if (prng_below(&prng, 3) == 0 && !sim_limits_without(&sim->options.limits, i))
			sim->aim.classes |= UINT64_C(1) << i;
}

/* ---- a candidate that sleeps while its rival forgets ---- */

static bool
is_rival(const struct sim_node *node, const struct sim_node *master)
{
	return node != master && node->life == SIM_NODE_UP && node->view.role == CORE_CANDIDATE &&
	       node->view.term == master->view.term;
}

static bool
has_rival(const struct sim *sim, const struct sim_node *master)
{
	for (uint32_t i = 0; i < sim->data_count; i++)
		if (is_rival(&sim->nodes[i], master))
			return true;
	return false;
}

static bool
has_company(const struct sim_node *node)
{
	for (uint32_t i = 0; i < node->sim->data_count; i++)
		if (i != node->index && node->sim->nodes[i].life == SIM_NODE_UP)
			return true;
	return false;
}

/* It has just begun to ask for votes, and has to write its new term first: that takes so long that
 * another one may ask in the same term. */
static void
look_for_candidate(struct sim_node *node)
{
	struct sim *sim = node->sim;

	if (node->view.role != CORE_CANDIDATE || node->view.term == node->before.term ||
	    !sim_aim_has(sim, SIM_AIM_RIVAL) || sim->aim.holds == HOLDS_MAX ||
	    sim->aim.rivals == RIVALS_MAX || node->disk.stuck_until_ns > sim->now_ns ||
	    !has_company(node))
		return;
	sim_fault_strike(sim, NUMBER_AIM + 4 * RIVALS_MAX + sim->aim.holds++, SIM_FAULT_DISK_STUCK,
			 node->index, node->view.elect_max_ns * 3 / 2);
}

static void
look_for_rival(struct sim_node *node)
{
	struct sim *sim = node->sim;

	if (node->view.role != CORE_MASTER || node->before.role == CORE_MASTER ||
	    !sim_aim_has(sim, SIM_AIM_RIVAL) || sim->aim.rivals == RIVALS_MAX ||
	    !has_rival(sim, node))
		return;
	sim_push(sim, sim->now_ns, SIM_EVENT_FAULT, node->index, SIM_FAULT_TOKEN_RIVAL);
}

void
sim_aim_rival(struct sim *sim, struct sim_node *master)
{
	const uint64_t quiet_ns = master->view.elect_max_ns;
	/* A voter that restarted leaves the election to others for longer (memory_is_unsure). */
	const uint64_t sleep_ns = 3 * quiet_ns + quiet_ns / 2;

	if (sim->aim.rivals == RIVALS_MAX || master->life != SIM_NODE_UP ||
	    master->view.role != CORE_MASTER || !sim_aim_has(sim, SIM_AIM_RIVAL) ||
	    !has_rival(sim, master))
		return;
	const uint32_t number = NUMBER_AIM + 4 * sim->aim.rivals++;
	sim_count(sim, SIM_COUNT_rivals);
	for (uint32_t i = 0; i < sim->data_count; i++) {
		struct sim_node *other = &sim->nodes[i];
		if (other == master)
			continue;
		const uint64_t ns = is_rival(other, master) ? sleep_ns : sleep_ns + quiet_ns / 2;
		sim_fault_strike(sim, number + i, SIM_FAULT_PAUSE, i, ns);
		/* Nothing that the master said waits for it. */
		if (other->paused_until_ns > sim->now_ns)
			other->deaf_until_ns = other->paused_until_ns;
	}
	sim_fault_strike(sim, number + master->index, SIM_HAZARD_RESTART, master->index, quiet_ns);
}

/* ---- blocks of a master that is one no more ---- */

void
sim_aim_cut(struct sim *sim, uint8_t path, uint8_t from, uint8_t to, const uint8_t *bytes,
	    uint32_t length)
{
	struct fragment_hdr fragment;
	struct frame_hdr hdr;

	if (!sim_aim_has(sim, SIM_AIM_LATE) || to >= sim->data_count || length > SIM_LATE_BYTES_MAX)
		return;
	struct sim_late *late = &sim->aim.late[to];
	if (frame_open(bytes, length, &hdr) != TERN_OK || hdr.kind != FRAME_BLOCK ||
	    fragment_decode(bytes + FRAME_HDR_BYTES, hdr.body_bytes, &fragment) != TERN_OK ||
	    fragment.unit_count != fragment.block_units || hdr.term <= late->term)
		return;
	late->term = hdr.term;
	late->log_index = fragment.log_index;
	late->length = length;
	late->copies = 0;
	late->path = path;
	late->from = from;
	memcpy(late->bytes, bytes, length);
}

/* As soon as the receiver follows another master, and waits for its block of that index. */
static void
look_for_late(struct sim_node *node)
{
	const struct core_view *view = &node->view;
	struct sim_late *late = &node->sim->aim.late[node->index];

	if (late->length == 0 || late->copies == COPIES_MAX ||
	    !sim_aim_has(node->sim, SIM_AIM_LATE) || view->role != CORE_FOLLOWER ||
	    view->master_id == 0 || view->term <= late->term ||
	    view->last_index + 1 != late->log_index)
		return;
	if (late->copies++ == 0)
		sim_count(node->sim, SIM_COUNT_late_blocks);
	sim_net_late(node->sim, late, (uint8_t)node->index);
}

void
sim_aim_turn(struct sim_node *node)
{
	look_for_candidate(node);
	look_for_rival(node);
	look_for_late(node);
	sim_lease_turn(node);
	sim_aside_turn(node);
}
