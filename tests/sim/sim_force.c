/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When all is whole and the clients are done, one data node is cut off from all others, which go on
 * writing if they can. Then a person says that the others are lost, and forces the one. In half of
 * the seeds he is right: they are dead, and their storage with them. In the other half he is wrong,
 * and two clusters serve until the links are good again.
 *
 * Checked (P13): before the cut he is refused; what either history committed is never replaced, in
 * either; of the writes that were acknowledged exactly those behind the common prefix are lost,
 * which the old side's nodes name for people; once a node of the old generation was told it is
 * neither master nor candidate again, whatever it goes through; the forced node comes back as what
 * it was forced to be; and who was left out follows again as a learner, with new storage, and holds
 * the same. No session has the id of one that the other side opened.
 */
#include <stdio.h>
#include <string.h>

#include "dataplane/wire/command.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_client.h"

#define WRITES_MAX   4096u
#define VERB         UINT64_MAX
#define OPENING      (UINT64_MAX - 1)
#define OPENINGS_MAX 8u   /* of each side */
#define STEP_TIMERS  120u /* how long anything may take, in T_elect_max */
#define SERVED_MIN   8u
#define VALUE_BYTES  16u
#define COMMAND_MAX  256u
#define ROUND_WRITES 3u

enum step {
	STEP_REFUSED = 0, /* asked too early */
	STEP_CUT,         /* the others go on */
	STEP_ASK,         /* until he may */
	STEP_SERVE,       /* the forced one does; if he was wrong, so do the others */
	STEP_TELL,        /* links are good: the others learn it */
	STEP_EXPORT,      /* and name what they alone hold */
	STEP_REJOIN,      /* with new storage, as learners */
	STEP_OVER,
};

struct force_write {
	bool is_acked;
	uint32_t side;
	uint64_t log_index;
};

struct sim_force {
	struct prng prng;
	enum step step;
	uint64_t since_ns, until_ns;
	bool has_begun, is_dead, has_crash, is_cut, is_forked, is_asked, has_refused;
	uint32_t victim, served;
	struct generation generation;
	uint64_t common_index;
	bool was_told[SIM_DATA_MAX];
	struct force_write writes[WRITES_MAX];
	uint32_t write_count;
	uint32_t opening_count[2], session_count[2];
	uint64_t sessions[2][OPENINGS_MAX]; /* ids that were given out */
	bool is_exported[SIM_BLOCKS_MAX];   /* by log_index */
	uint32_t restarts;
};

static unsigned long long
llu(uint64_t value)
{
	return value;
}

void
sim_force_create(struct sim *sim)
{
	sim->force = sim_take(sizeof(*sim->force));
	prng_seed(&sim->force->prng, (sim->seed + 13) * 0x9e3779b97f4a7c15ULL);
}

uint32_t
sim_force_side(const struct sim_node *node)
{
	return node->sim->force->is_forked && node->view.generation.number > 1 ? 1 : 0;
}

static struct sim_node *
victim_of(struct sim *sim)
{
	return &sim->nodes[sim->force->victim];
}

static void
step_enter(struct sim *sim, enum step step)
{
	sim_say(sim, "force: step %d", (int)step);
	sim->force->step = step;
	sim->force->since_ns = sim->now_ns;
	sim->force->until_ns =
	    sim->now_ns + prng_below(&sim->force->prng, 12 * sim->swarm.timer_ns);
}

static void
step_late(struct sim *sim, const char *wanted)
{
	if (sim->now_ns > sim->force->since_ns + STEP_TIMERS * sim->swarm.timer_ns + 4000 * SIM_MS)
		sim_fail(sim, "liveness", "force: %s", wanted);
}

static void
cut(struct sim *sim, int delta)
{
	sim->force->is_cut = delta > 0;
	for (uint32_t path = 0; path < SIM_PATHS; path++)
		for (uint32_t other = 0; other < sim->node_count; other++) {
			if (other == sim->force->victim)
				continue;
			sim_net_cut(sim, path, sim->force->victim, other, delta);
			sim_net_cut(sim, path, other, sim->force->victim, delta);
		}
}

/* ---- writes ---- */

static void
key_of(uint64_t number, char key[VALUE_BYTES])
{
	(void)snprintf(key, VALUE_BYTES, "F%llu", llu(number));
}

static void
write_to(struct sim *sim, struct sim_node *node)
{
	struct sim_force *force = sim->force;
	uint8_t bytes[COMMAND_MAX], value[VALUE_BYTES] = { 0 };
	struct command_writer writer;
	char key[VALUE_BYTES];
	uint32_t length;

	if (force->write_count == WRITES_MAX || node->life != SIM_NODE_UP)
		return;
	const uint64_t number = force->write_count;
	key_of(number, key);
	memcpy(value, &number, sizeof(number));
	command_begin(&writer, bytes, sizeof(bytes));
	command_add_arg(&writer, key, (uint32_t)strlen(key));
	command_add_arg(&writer, value, VALUE_BYTES);
	if (command_end(&writer, COMMAND_SET, 0, 0, 0, 0, &length) != TERN_OK)
		sim_fail(sim, "sim", "a command does not fit its buffer");
	const struct submit_request request = { .kind = SUBMIT_WRITE, .command_bytes = length };
	if (!sim_client_force(sim, node, &request, bytes, number))
		return;
	force->writes[force->write_count++].side = sim_force_side(node);
}

static void
open_at(struct sim *sim, struct sim_node *node)
{
	uint32_t *count = &sim->force->opening_count[sim_force_side(node)];
	uint8_t bytes[COMMAND_MAX];
	struct command_writer writer;
	uint32_t length;

	if (*count == OPENINGS_MAX || node->life != SIM_NODE_UP)
		return;
	command_begin(&writer, bytes, sizeof(bytes));
	if (command_end(&writer, COMMAND_SESSION_OPEN, 0, 0, 0, 0, &length) != TERN_OK)
		sim_fail(sim, "sim", "a command does not fit its buffer");
	const struct submit_request request = { .kind = SUBMIT_WRITE, .command_bytes = length };
	*count += sim_client_force(sim, node, &request, bytes, OPENING);
}

static void
opened(struct sim *sim, const struct sim_node *node, const struct submit_completion *completion)
{
	struct sim_force *force = sim->force;
	const uint32_t side = sim_force_side(node), other = 1 - side;
	const uint64_t id = (uint64_t)completion->reply.value;

	if (completion->outcome != SUBMIT_DONE || completion->reply.kind != REPLY_SESSION)
		return;
	force->sessions[side][force->session_count[side]++] = id;
	for (uint32_t i = 0; i < force->session_count[other]; i++)
		if (force->sessions[other][i] == id)
			sim_fail(sim, "exactly-once",
				 "node %u opens session %llu, which is open in the other history",
				 node->id, llu(id));
}

static void
write_some(struct sim *sim, struct sim_node *node)
{
	const uint64_t count = prng_below(&sim->force->prng, ROUND_WRITES + 1);

	if (node != NULL)
		open_at(sim, node);
	for (uint64_t i = 0; node != NULL && i < count; i++)
		write_to(sim, node);
}

/* The one that serves among those that were left. */
static struct sim_node *
old_master(struct sim *sim)
{
	struct sim_node *master = NULL;

	for (uint32_t i = 0; i < sim->data_count; i++) {
		struct sim_node *node = &sim->nodes[i];
		if (i != sim->force->victim && node->life == SIM_NODE_UP && node->view.is_serving &&
		    (master == NULL || node->view.term > master->view.term))
			master = node;
	}
	return master;
}

void
sim_force_answered(struct sim *sim, struct sim_node *node, uint64_t number,
		   const struct submit_completion *completion)
{
	struct sim_force *force = sim->force;
	/* Over the capacity it was executed as refused. */
	const bool is_done =
	    completion->outcome == SUBMIT_DONE && completion->reply.kind != REPLY_OUT_OF_MEMORY;

	if (number == OPENING) {
		opened(sim, node, completion);
		return;
	}
	if (number != VERB) {
		force->writes[number].is_acked = is_done;
		force->writes[number].log_index = completion->log_index;
		force->served += completion->outcome == SUBMIT_DONE && sim_force_side(node) == 1;
		if (is_done)
			sim_count(sim, SIM_COUNT_force_writes);
		return;
	}
	force->is_asked = false;
	/* While the superblock is on its way, or a moment after. */
	if (is_done && force->step == STEP_ASK && force->has_crash && force->restarts < 3) {
		force->restarts++;
		sim_push(sim, sim->now_ns + prng_below(&force->prng, 8 * sim->swarm.write_ns),
			 SIM_EVENT_FORCE, force->victim, 0);
	}
	if (force->step == STEP_REFUSED && is_done)
		sim_fail(sim, "P13", "node %u was forced while there is a quorum", node->id);
	force->has_refused |= force->step == STEP_REFUSED;
	if (!is_done)
		sim_count(sim, SIM_COUNT_force_refusals);
}

static void
ask(struct sim *sim, struct sim_node *node)
{
	const struct submit_request request = {
		.kind = SUBMIT_FORCE,
		.value = (uint32_t)prng_next(&sim->force->prng) | 1u,
	};

	if (!sim->force->is_asked)
		sim->force->is_asked = sim_client_force(sim, node, &request, NULL, VERB);
}

/* ---- what is looked at after boots and turns ---- */

void
sim_force_ready(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct sim_force *force = sim->force;

	if (node->view.generation.number > 1 && !force->is_forked) {
		force->is_forked = true;
		force->generation = node->view.generation;
		force->common_index = sim_check_fork(node);
		sim_count(sim, SIM_COUNT_forced);
		if (node->index != force->victim)
			sim_fail(sim, "P13", "node %u begins a generation unasked", node->id);
	}
	if (force->is_forked && node->index == force->victim &&
	    !generation_equal(&node->view.generation, &force->generation))
		sim_fail(sim, "P13", "node %u was forced, and is of generation %u again", node->id,
			 node->view.generation.number);
}

void
sim_force_turn(struct sim_node *node)
{
	struct sim_force *force = node->sim->force;
	const struct core_view *view = &node->view;

	if (view->generation.number > 1)
		return;
	if (view->mode == CORE_MODE_SUPERSEDED && !force->was_told[node->index]) {
		force->was_told[node->index] = true;
		sim_count(node->sim, SIM_COUNT_superseded);
		if (!force->is_forked)
			sim_fail(node->sim, "P13", "node %u is superseded by nobody", node->id);
	}
	if (force->was_told[node->index] &&
	    (view->role != CORE_FOLLOWER || view->master_id != 0 || view->is_serving))
		sim_fail(node->sim, "P13",
			 "node %u was told that its generation is over, and has role %d, master %u",
			 node->id, (int)view->role, view->master_id);
}

void
sim_force_exported(struct sim_node *node, const struct divergent_record *record)
{
	struct sim_force *force = node->sim->force;

	if (!force->is_forked || sim_force_side(node) != 0 || !force->was_told[node->index])
		return;
	for (uint64_t i = record->first_index; i <= record->last_index && i < SIM_BLOCKS_MAX; i++)
		force->is_exported[i] = true;
}

/* ---- the steps ---- */

static void
begin(struct sim *sim)
{
	struct sim_force *force = sim->force;

	force->has_begun = true;
	force->victim = (uint32_t)prng_below(&force->prng, sim->data_count);
	force->is_dead = prng_below(&force->prng, 2) != 0;
	force->has_crash = prng_below(&force->prng, 2) != 0;
	step_enter(sim, STEP_REFUSED);
}

static void
turn_refused(struct sim *sim)
{
	ask(sim, victim_of(sim));
	step_late(sim, "the verb was not answered");
	if (!sim->force->has_refused)
		return;
	step_enter(sim, STEP_CUT);
	cut(sim, 1);
}

static void
turn_cut(struct sim *sim)
{
	write_some(sim, old_master(sim));
	/* Nobody acknowledges this. */
	if (victim_of(sim)->view.is_serving)
		write_to(sim, victim_of(sim));
	if (sim->now_ns < sim->force->until_ns)
		return;
	for (uint32_t i = 0; sim->force->is_dead && i < sim->node_count; i++)
		if (i != sim->force->victim)
			sim_node_crash(&sim->nodes[i]);
	step_enter(sim, STEP_ASK);
}

void
sim_force_crash(struct sim *sim)
{
	sim->force->is_asked = false;
	sim_node_crash(victim_of(sim));
}

/* He asks until it is done; and may be unlucky. */
static void
turn_ask(struct sim *sim)
{
	struct sim_force *force = sim->force;
	struct sim_node *node = victim_of(sim);

	write_some(sim, old_master(sim));
	if (node->life == SIM_NODE_DOWN) {
		force->is_asked = false;
		sim_node_start(node);
	}
	if (force->is_forked) {
		step_enter(sim, STEP_SERVE);
		return;
	}
	ask(sim, node);
	step_late(sim, "the node is not forced");
}

static void
turn_serve(struct sim *sim)
{
	struct sim_force *force = sim->force;
	struct sim_node *node = victim_of(sim);

	write_some(sim, old_master(sim));
	if (node->life == SIM_NODE_DOWN)
		sim_node_start(node);
	if (node->view.is_serving)
		write_some(sim, node);
	if (force->has_crash && force->restarts < 5 && prng_below(&force->prng, 16) == 0) {
		force->restarts++;
		sim_node_crash(node);
	}
	step_late(sim, "the forced node does not serve");
	if (force->served < SERVED_MIN || sim->now_ns < force->until_ns ||
	    node->life != SIM_NODE_UP || !node->view.is_serving)
		return;
	if (force->is_cut)
		cut(sim, -1);
	step_enter(sim, force->is_dead ? STEP_REJOIN : STEP_TELL);
}

static bool
are_told(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->node_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		if (i == sim->force->victim)
			continue;
		if (sim_node_is_data(node) ? !sim->force->was_told[i] || node->life != SIM_NODE_UP
					   : node->reg.durable.duty != WITNESS_SUPERSEDED)
			return false;
	}
	return true;
}

/* One of them may be started again, before it was told or after. */
static void
turn_tell(struct sim *sim)
{
	struct sim_force *force = sim->force;
	const uint32_t one = (uint32_t)prng_below(&force->prng, sim->node_count);

	write_some(sim, old_master(sim));
	for (uint32_t i = 0; i < sim->node_count; i++)
		if (sim->nodes[i].life == SIM_NODE_DOWN)
			sim_node_start(&sim->nodes[i]);
	if (one != force->victim && force->restarts < 8 && prng_below(&force->prng, 8) == 0) {
		force->restarts++;
		sim_node_crash(&sim->nodes[one]);
	}
	step_late(sim, "those that were left out do not learn it");
	/* A while longer: none of them comes back. */
	if (are_told(sim) && sim->now_ns > force->until_ns)
		step_enter(sim, STEP_EXPORT);
}

/* What the old side acknowledged, and the other history has not. */
static bool
is_lost(const struct sim *sim, const struct force_write *write)
{
	return write->side == 0 && !sim_check_is_common(sim, write->log_index);
}

static bool
are_exported(const struct sim *sim)
{
	const struct sim_force *force = sim->force;
	uint64_t base = UINT64_MAX;

	for (uint32_t i = 0; i < sim->data_count; i++)
		if (i != force->victim && sim->nodes[i].life == SIM_NODE_UP)
			base = min_u64(base, runtime_base_index(sim->nodes[i].runtime));
	for (uint32_t i = 0; i < force->write_count; i++) {
		const struct force_write *write = &force->writes[i];
		/* Where the logs begin later, a checkpoint holds it, which people have too. */
		if (write->is_acked && is_lost(sim, write) && write->log_index > base &&
		    !force->is_exported[write->log_index])
			return false;
	}
	return true;
}

static void
turn_export(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->node_count; i++)
		if (sim->nodes[i].life == SIM_NODE_DOWN)
			sim_node_start(&sim->nodes[i]);
	step_late(sim, "what was acknowledged and is lost is not exported");
	if (are_exported(sim))
		step_enter(sim, STEP_REJOIN);
}

static bool
is_following(const struct sim *sim, const struct sim_node *node)
{
	const struct sim_node *master = &sim->nodes[sim->force->victim];

	return node->life == SIM_NODE_UP && master->life == SIM_NODE_UP &&
	       node->view.mode == CORE_MODE_LEARNER && !node->view.is_forgetful &&
	       master->view.is_serving && node->view.commit_index == master->view.commit_index &&
	       state_applied_index(node->state) == node->view.commit_index &&
	       state_applied_index(master->state) == node->view.commit_index &&
	       state_hash(node->state) == state_hash(master->state);
}

static void
verify(struct sim *sim, struct sim_node *node)
{
	const struct sim_force *force = sim->force;
	char key[VALUE_BYTES];

	(void)state_read_begin(node->reader);
	for (uint32_t i = 0; i < force->write_count; i++) {
		const struct force_write *write = &force->writes[i];
		key_of(i, key);
		const struct state_value value =
		    state_read_get(node->reader, key, (uint32_t)strlen(key));
		const bool is_there = value.type == STATE_BYTES;
		if (!write->is_acked)
			continue;
		if (is_lost(sim, write))
			sim_count(sim, SIM_COUNT_force_lost);
		if (is_there == is_lost(sim, write))
			sim_fail(sim, "P13",
				 "node %u: write %u, acknowledged by side %u in block %llu, is %s; "
				 "common were %llu",
				 node->id, i, write->side, llu(write->log_index),
				 is_there ? "there" : "lost", llu(force->common_index));
	}
	state_read_end(node->reader);
}

static void
rejoin(struct sim *sim, struct sim_node *node)
{
	const struct submit_request add = { .kind = SUBMIT_CHANGE,
					    .node = node->id,
					    .flags = SUBMIT_CHANGE_ADD_LEARNER };
	const uint64_t learners = victim_of(sim)->view.members.learners;

	if (node->life == SIM_NODE_DOWN || node->view.generation.number == 1) {
		if (node->life == SIM_NODE_BOOTING)
			return;
		sim_node_crash(node);
		sim_node_rejoin(node, &sim->force->generation);
		sim_node_start(node);
		return;
	}
	if (node->life == SIM_NODE_UP && !node->view.is_rejoining &&
	    (learners >> node->id & 1) == 0)
		(void)sim_client_force(sim, victim_of(sim), &add, NULL, VERB);
}

static bool
turn_rejoin(struct sim *sim)
{
	bool is_done = true;

	/* The witness has a place of its own to come back to. */
	for (uint32_t i = sim->data_count; i < sim->node_count; i++)
		sim_node_crash(&sim->nodes[i]);
	for (uint32_t i = 0; i < sim->data_count; i++) {
		struct sim_node *node = &sim->nodes[i];
		if (i == sim->force->victim)
			continue;
		if (!is_following(sim, node)) {
			is_done = false;
			rejoin(sim, node);
		}
	}
	step_late(sim, "who was left out does not follow with new storage");
	if (!is_done)
		return false;
	for (uint32_t i = 0; i < sim->data_count; i++)
		verify(sim, &sim->nodes[i]);
	sim_count(sim, SIM_COUNT_force_runs);
	step_enter(sim, STEP_OVER);
	return true;
}

bool
sim_force_act(struct sim *sim)
{
	/* Where logs end with their processes nobody can be forced. */
	if (sim->swarm.volatile_mask != 0)
		return true;
	if (!sim->force->has_begun)
		begin(sim);
	switch (sim->force->step) {
	case STEP_REFUSED:
		turn_refused(sim);
		return false;
	case STEP_CUT:
		turn_cut(sim);
		return false;
	case STEP_ASK:
		turn_ask(sim);
		return false;
	case STEP_SERVE:
		turn_serve(sim);
		return false;
	case STEP_TELL:
		turn_tell(sim);
		return false;
	case STEP_EXPORT:
		turn_export(sim);
		return false;
	case STEP_REJOIN:
		return turn_rejoin(sim);
	case STEP_OVER:
		break;
	}
	return true;
}
