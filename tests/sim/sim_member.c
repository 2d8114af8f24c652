/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A data node that was not there at birth (topology 2+w+1), and an operator who adds and removes it
 * as a learner at random moments, under all faults, asks nodes that are no masters, and asks for
 * what must be refused. In the end he wants what the seed drew.
 *
 * Checked: the effective configuration of a node is that of the newest CONFIG block in its log, or,
 * of a node that forgot, a committed one that its log does not reach yet; one index has one committed configuration; voters change never; a learner never holds what is not
 * committed.
 */
#include "dataplane/base/bits.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "tests/sim/sim.h"

#define CONFIGS_MAX 65536u

struct sim_member {
	struct prng prng;
	struct membership committed[CONFIGS_MAX]; /* by log_index; voters 0: none */
	uint64_t committed_index;                 /* of the newest */
	uint64_t newest[SIM_DATA_MAX];            /* CONFIG block in the log of each data node */
	uint64_t gap_ns;
	bool is_wanted; /* the guest, in the end */
};

static unsigned long long
llu(uint64_t value)
{
	return value;
}

static bool
has_guest(const struct sim *sim)
{
	return sim->options.topology == SIM_TOPOLOGY_2W_GUEST;
}

/* The node that was not there at birth. */
static struct sim_node *
guest_of(struct sim *sim)
{
	return &sim->nodes[sim->data_count - 1];
}

uint64_t
sim_birth_voters(const struct sim *sim)
{
	const uint64_t all = sim_data_mask(sim);

	return has_guest(sim) ? all & ~(UINT64_C(1) << sim->data_count) : all;
}

void
sim_member_create(struct sim *sim)
{
	struct sim_member *member = sim_take(sizeof(*member));

	sim->member = member;
	prng_seed(&member->prng, (sim->seed + 7) * 0xd1342543de82ef95ULL);
	member->committed[0] = (struct membership){ .voters = sim_birth_voters(sim) };
	if (!has_guest(sim))
		return;
	member->is_wanted = prng_below(&member->prng, 3) != 0;
	member->gap_ns =
	    prng_between(&member->prng, sim->swarm.timer_ns / 2, sim->swarm.timer_ns * 8);
	sim_push(sim, prng_below(&member->prng, member->gap_ns), SIM_EVENT_MEMBER, 0, 0);
}

uint64_t
sim_voters(const struct sim *sim)
{
	return sim->member->committed[sim->member->committed_index].voters;
}

bool
sim_is_member(const struct sim *sim, const struct sim_node *node)
{
	const struct membership *now = &sim->member->committed[sim->member->committed_index];

	return ((now->voters | now->learners) >> node->id & 1) != 0;
}

/* ---- the operator ---- */

bool
sim_member_is_settled(struct sim *sim)
{
	const struct sim_node *master = sim_master(sim);

	if (!has_guest(sim))
		return true;
	return master != NULL &&
	       master->view.members.config_index == sim->member->committed_index &&
	       sim_is_member(sim, guest_of(sim)) == sim->member->is_wanted;
}

static void
ask(struct sim *sim, struct sim_node *node, uint16_t target, enum submit_change change)
{
	const struct submit_request request = { .kind = SUBMIT_CHANGE,
						.node = target,
						.flags = (uint16_t)change };

	sim_count(sim, SIM_COUNT_changes_asked);
	sim_client_change(sim, node, &request);
}

void
sim_member_operate(struct sim *sim)
{
	struct sim_member *member = sim->member;
	const bool is_odd = prng_below(&member->prng, 8) == 0;
	const uint32_t other = (uint32_t)prng_below(&member->prng, sim->data_count);
	bool is_added = prng_below(&member->prng, 2) != 0;
	struct sim_node *node = sim_master(sim);
	uint16_t target = guest_of(sim)->id;

	sim_push(sim, sim->now_ns + member->gap_ns / 8 + prng_below(&member->prng, member->gap_ns),
		 SIM_EVENT_MEMBER, 0, 0);
	if (node == NULL || (is_odd && !sim->faults.is_healed))
		node = &sim->nodes[other];
	if (sim->faults.is_healed) {
		is_added = member->is_wanted;
		if (sim->phase == SIM_PHASE_OVER || sim_member_is_settled(sim))
			return;
	} else if (is_odd) {
		target = (uint16_t)prng_between(&member->prng, 1, 9);
	}
	ask(sim, node, target, is_added ? SUBMIT_CHANGE_ADD_LEARNER : SUBMIT_CHANGE_REMOVE);
}

void
sim_member_answered(struct sim *sim, const struct submit_request *request,
		    const struct submit_completion *completion)
{
	if (completion->outcome == SUBMIT_REFUSED_CHANGE)
		sim_count(sim, SIM_COUNT_changes_refused);
	if (completion->outcome != SUBMIT_DONE)
		return;
	sim_count(sim, SIM_COUNT_changes_begun);
	if (request->node != guest_of(sim)->id)
		sim_fail(sim, "member", "node %u is no guest, and was changed", request->node);
}

/* ---- the checkers ---- */

static void
check_committed(struct sim_node *node)
{
	struct sim *sim = node->sim;
	const struct membership *mine = &node->view.committed_members;
	struct membership *known = &sim->member->committed[mine->config_index % CONFIGS_MAX];

	if (mine->config_index > node->view.commit_index &&
	    (!node->view.is_forgetful || known->voters == 0))
		sim_fail(sim, "config",
			 "node %u takes configuration %llu for committed, commit %llu", node->id,
			 llu(mine->config_index), llu(node->view.commit_index));
	if (mine->voters != sim_birth_voters(sim))
		sim_fail(sim, "I14", "node %u: other voters: %llx", node->id, llu(mine->voters));
	if (mine->config_index == 0)
		return;
	if (known->voters == 0) {
		*known = *mine;
		sim_count(sim, SIM_COUNT_changes_committed);
		if (mine->config_index > sim->member->committed_index)
			sim->member->committed_index = mine->config_index;
	}
	if (!membership_equal(known, mine))
		sim_fail(sim, "config", "node %u: another configuration %llu", node->id,
			 llu(mine->config_index));
}

/* The newest configuration at or below @index that was ever committed. */
static uint64_t
committed_at(const struct sim *sim, uint64_t index)
{
	while (index != 0 && sim->member->committed[index].voters == 0)
		index--;
	return index;
}

static void
look(struct sim_node *node, uint64_t from)
{
	struct sim *sim = node->sim;
	uint64_t *newest = &sim->member->newest[node->index];
	const uint64_t base = runtime_base_index(node->runtime);
	struct block_meta meta;

	if (*newest >= from || *newest > node->view.last_index || *newest < base)
		*newest = committed_at(sim, base), from = base + 1;
	for (uint64_t i = max_u64(from, base + 1); i <= node->view.last_index; i++)
		if (runtime_block_meta(node->runtime, i, &meta) && meta.kind == BLOCK_CONFIG)
			*newest = i;
	if (node->view.is_forgetful && node->view.members.config_index > node->view.last_index)
		return; /* check_committed has seen it */
	if (node->view.members.config_index != *newest)
		sim_fail(sim, "config",
			 "node %u goes by configuration %llu; the newest in its log, which lies "
			 "behind %llu and ends at %llu, is %llu",
			 node->id, llu(node->view.members.config_index), llu(base),
			 llu(node->view.last_index), llu(*newest));
}

/* What a learner received was committed when it was sent. */
static void
check_learner(struct sim_node *node)
{
	struct sim *sim = node->sim;

	if ((node->view.members.voters >> node->id & 1) == 0 &&
	    node->view.last_index > sim_check_commit_max(sim))
		sim_fail(sim, "learner", "node %u holds block %llu; committed is %llu", node->id,
			 llu(node->view.last_index), llu(sim_check_commit_max(sim)));
}

void
sim_member_turn(struct sim_node *node, uint64_t from)
{
	const uint64_t index = node->view.members.config_index;

	if (!has_guest(node->sim))
		return;
	check_committed(node);
	check_learner(node);
	if (from <= node->view.last_index || index != node->before.members.config_index)
		look(node, from);
	if (node->view.mode == CORE_MODE_LEARNER && node->before.mode != CORE_MODE_LEARNER)
		sim_count(node->sim, SIM_COUNT_learners);
}

void
sim_member_ready(struct sim_node *node)
{
	if (!has_guest(node->sim))
		return;
	if (node->view.committed_members.config_index != 0)
		sim_count(node->sim, SIM_COUNT_changed_boots);
	check_committed(node);
	check_learner(node);
	look(node, 1);
}
