/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operator who changes the membership at random moments, under all faults. In topology 2+w+1 a
 * third data node, which was not there at birth, comes and goes as a learner. In topology joint it
 * becomes a voter, or one of three stops being one: born as two with a witness, or as three beside
 * one. He asks nodes that are no masters, and for what must be refused. In the end he wants what
 * the seed drew.
 *
 * Checked: the effective configuration of a node is that of the newest CONFIG block in its log, or,
 * of a node that forgot, a committed one that its log does not reach yet; one index has one
 * committed configuration; voters change by one at a time, and a change begins when the one before
 * it has committed (I14); who was never named a voter never receives what is not committed.
 */
#include "dataplane/base/bits.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "tests/sim/sim.h"

struct sim_member {
	struct prng prng;
	struct membership committed[SIM_BLOCKS_MAX]; /* by log_index; voters 0: none */
	uint64_t committed_index;                    /* of the newest */
	uint64_t newest[SIM_DATA_MAX];               /* CONFIG block in the log of each data node */
	uint64_t named[SIM_DATA_MAX]; /* newest that anybody ever held and that names it a voter */
	uint64_t gap_ns;
	bool is_entering; /* he will ask again for the same, and meanwhile for nothing else */
	bool is_born_three;
	bool is_wanted; /* 2+w+1: the guest, in the end; joint: three voters */
};

static unsigned long long
llu(uint64_t value)
{
	return value;
}

static bool
is_joint(const struct sim *sim)
{
	return sim->options.topology == SIM_TOPOLOGY_JOINT;
}

static bool
is_exchange(const struct sim *sim)
{
	return sim->options.topology == SIM_TOPOLOGY_EXCHANGE;
}

static bool
has_changes(const struct sim *sim)
{
	return sim->options.topology == SIM_TOPOLOGY_2W_GUEST || is_joint(sim) || is_exchange(sim);
}

/* Or of the witness: see sim_witness.c. */
static bool
has_configs(const struct sim *sim)
{
	return has_changes(sim) || sim->options.topology == SIM_TOPOLOGY_WITNESS;
}

uint64_t
sim_birth_voters(const struct sim *sim)
{
	const uint64_t all = sim_data_mask(sim);

	if (!has_changes(sim) || sim->member->is_born_three)
		return all;
	return all & ~(UINT64_C(1) << sim->data_count);
}

void
sim_member_create(struct sim *sim)
{
	struct sim_member *member = sim_take(sizeof(*member));

	sim->member = member;
	prng_seed(&member->prng, (sim->seed + 7) * 0xd1342543de82ef95ULL);
	member->is_born_three = is_joint(sim) && prng_below(&member->prng, 2) != 0;
	member->committed[0] = (struct membership){ .voters = sim_birth_voters(sim),
						    .witness_id = sim_witness_id(sim),
						    .witness_gen = 1 };
	if (!has_changes(sim))
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

uint32_t
sim_member_witness_gen(const struct sim *sim)
{
	return sim->member->committed[sim->member->committed_index].witness_gen;
}

static uint64_t
learners(const struct sim *sim)
{
	return sim->member->committed[sim->member->committed_index].learners;
}

bool
sim_is_member(const struct sim *sim, const struct sim_node *node)
{
	return ((sim_voters(sim) | learners(sim)) >> node->id & 1) != 0;
}

/* ---- the operator ---- */

/* The data node that is no voter; NULL: all are. */
static const struct sim_node *
outsider(const struct sim *sim)
{
	const uint64_t left = sim_data_mask(sim) & ~sim_voters(sim);

	return left == 0 ? NULL : &sim->nodes[__builtin_ctzll(left) - 1];
}

static bool
is_as_wanted(struct sim *sim)
{
	const struct sim_node *out = outsider(sim);

	if (is_exchange(sim))
		return sim_bits(sim_voters(sim)) == 2;
	if (is_joint(sim))
		return (out == NULL) == sim->member->is_wanted && sim_bits(sim_voters(sim)) >= 2;
	return sim_is_member(sim, out) == sim->member->is_wanted;
}

bool
sim_member_is_settled(struct sim *sim)
{
	const struct sim_node *master = sim_master(sim);

	if (!has_changes(sim))
		return sim_witness_is_settled(sim);
	return master != NULL &&
	       master->view.members.config_index == sim->member->committed_index &&
	       is_as_wanted(sim);
}

void
sim_member_turn_about(struct sim *sim)
{
	sim->member->is_wanted = !sim->member->is_wanted;
	sim_push(sim, sim->now_ns + prng_below(&sim->member->prng, sim->swarm.timer_ns),
		 SIM_EVENT_MEMBER, 0, 0);
}

/* A voter that is not the master, most of the time. */
static uint16_t
pick_voter(struct sim *sim, const struct sim_node *master, bool is_careful)
{
	const uint32_t first = (uint32_t)prng_below(&sim->member->prng, sim->data_count);

	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *node = &sim->nodes[(first + i) % sim->data_count];
		if ((sim_voters(sim) >> node->id & 1) != 0 && (!is_careful || node != master))
			return node->id;
	}
	return sim->nodes[first].id;
}

/* A voter that is lost is dropped when another node has its log; one voter alone takes another. If
 * one was promoted late, when the others were two again, it is one too many. */
static struct submit_request
choose_exchange(struct sim *sim, const struct sim_node *master)
{
	const uint64_t others = sim_data_mask(sim) & ~sim_voters(sim);
	const uint64_t lost = sim_voters(sim) & ~(UINT64_C(1) << master->id);
	struct submit_request request = { .kind = SUBMIT_CHANGE };

	if (others == 0) {
		request.node = pick_voter(sim, master, true);
		request.flags = SUBMIT_CHANGE_DEMOTE;
		return request;
	}
	uint32_t pick = (uint32_t)prng_below(&sim->member->prng, sim_bits(others));
	for (uint64_t left = others; left != 0; left &= left - 1)
		if (pick-- == 0)
			request.node = (uint16_t)__builtin_ctzll(left);
	const bool is_learner = (learners(sim) >> request.node & 1) != 0;
	request.flags = is_learner ? SUBMIT_CHANGE_PROMOTE : SUBMIT_CHANGE_ADD_LEARNER;
	if (is_learner && sim_bits(sim_voters(sim)) == 2) {
		request.flags = SUBMIT_CHANGE_REMOVE;
		if (prng_below(&sim->member->prng, 8) != 0) {
			request.node = (uint16_t)__builtin_ctzll(lost);
			request.flags = SUBMIT_CHANGE_DROP;
		}
	}
	return request;
}

static struct submit_request
choose(struct sim *sim, const struct sim_node *master, bool is_careful)
{
	const struct sim_node *out = outsider(sim);
	const uint64_t die = prng_below(&sim->member->prng, 10);
	struct submit_request request = { .kind = SUBMIT_CHANGE };

	if (is_exchange(sim))
		return choose_exchange(sim, master);
	if (out == NULL) {
		request.node = pick_voter(sim, master, is_careful);
		request.flags = SUBMIT_CHANGE_DEMOTE;
		return request;
	}
	request.node = out->id;
	if (!sim_is_member(sim, out))
		request.flags = SUBMIT_CHANGE_ADD_LEARNER;
	else if (!is_joint(sim))
		request.flags = SUBMIT_CHANGE_REMOVE;
	else
		request.flags =
		    is_careful || die < 7 ? SUBMIT_CHANGE_PROMOTE : SUBMIT_CHANGE_REMOVE;
	return request;
}

void
sim_member_operate(struct sim *sim)
{
	struct sim_member *member = sim->member;

	if (!has_changes(sim)) {
		sim_witness_operate(sim);
		return;
	}
	const bool is_odd = prng_below(&member->prng, 8) == 0 && !sim->faults.is_healed;
	const uint32_t other = (uint32_t)prng_below(&member->prng, sim->data_count);
	struct sim_node *node = sim_master(sim);

	const uint64_t gap_ns = sim_strike_is_open(sim) ? sim->swarm.timer_ns / 2 : member->gap_ns;
	sim_push(sim, sim->now_ns + gap_ns / 8 + prng_below(&member->prng, gap_ns),
		 SIM_EVENT_MEMBER, 0, 0);
	if (sim->faults.is_healed && (sim->phase == SIM_PHASE_OVER || sim_member_is_settled(sim)))
		return;
	/* After the one fault nobody helps. */
	if (member->is_entering || (sim->phase == SIM_PHASE_ONE_FAULT && !sim_strike_is_open(sim)))
		return;
	if (node == NULL || is_odd)
		node = &sim->nodes[other];
	struct submit_request request = choose(sim, node, sim->faults.is_healed);
	if (is_odd) {
		request.node = (uint16_t)prng_between(&member->prng, 1, 9);
		request.flags = (uint16_t)prng_between(&member->prng, SUBMIT_CHANGE_ADD_LEARNER,
						       SUBMIT_CHANGE_DROP);
		if (!is_joint(sim) && !is_exchange(sim) && request.flags >= SUBMIT_CHANGE_PROMOTE)
			request.flags = SUBMIT_CHANGE_REMOVE;
	}
	sim_count(sim, SIM_COUNT_changes_asked);
	sim_client_change(sim, node, &request);
}

void
sim_member_answered(struct sim *sim, const struct submit_request *request,
		    const struct submit_completion *completion)
{
	if (!has_changes(sim)) {
		sim_witness_answered(sim, request, completion);
		return;
	}
	if (completion->outcome == SUBMIT_REFUSED_CHANGE)
		sim_count(sim, SIM_COUNT_changes_refused);
	/* The witness is being told: he asks again soon. */
	if (completion->outcome == SUBMIT_REFUSED_CHANGE &&
	    completion->change == SUBMIT_CHANGE_ENTERING && !sim->member->is_entering) {
		sim->member->is_entering = true;
		sim_push(sim, sim->now_ns + sim->swarm.timer_ns / 8, SIM_EVENT_MEMBER, 1,
			 request->node);
	}
	if (completion->outcome != SUBMIT_DONE)
		return;
	sim_count(sim, SIM_COUNT_changes_begun);
	if (request->node > sim->data_count)
		sim_fail(sim, "member", "node %u is unknown, and was changed", request->node);
}

void
sim_member_again(struct sim *sim, uint16_t target)
{
	const struct submit_request request = { .kind = SUBMIT_CHANGE,
						.node = target,
						.flags = is_exchange(sim) ? SUBMIT_CHANGE_PROMOTE
									  : SUBMIT_CHANGE_DEMOTE };
	struct sim_node *node = sim_master(sim);

	sim->member->is_entering = false;
	if (node != NULL && (is_exchange(sim) || outsider(sim) == NULL) &&
	    (sim->phase != SIM_PHASE_ONE_FAULT || sim_strike_is_open(sim)))
		sim_client_change(sim, node, &request);
}

/* ---- the checkers ---- */

/* The newest configuration at or below @index that was ever committed. */
static uint64_t
committed_at(const struct sim *sim, uint64_t index)
{
	while (index != 0 && sim->member->committed[index].voters == 0)
		index--;
	return index;
}

uint64_t
sim_member_before(const struct sim *sim, uint64_t config_index)
{
	return sim->member->committed[committed_at(sim, config_index - 1)].voters;
}

static void
note_committed(struct sim *sim, const struct membership *mine)
{
	const uint64_t before = sim_member_before(sim, mine->config_index);
	const struct membership *last =
	    &sim->member->committed[committed_at(sim, mine->config_index - 1)];

	if (mine->witness_gen != last->witness_gen && !membership_is_witness_out(mine, last) &&
	    !membership_is_witness_in(mine, last))
		sim_fail(sim, "I14", "configuration %llu has witness generation %x after %x",
			 llu(mine->config_index), mine->witness_gen, last->witness_gen);
	sim->member->committed[mine->config_index] = *mine;
	sim_count(sim, SIM_COUNT_changes_committed);
	if (mine->config_index > sim->member->committed_index)
		sim->member->committed_index = mine->config_index;
	if (sim_bits(before ^ mine->voters) > 1 ||
	    (!is_joint(sim) && !is_exchange(sim) && before != mine->voters))
		sim_fail(sim, "I14", "configuration %llu has voters %llx after %llx",
			 llu(mine->config_index), llu(mine->voters), llu(before));
	if (before != mine->voters)
		sim_count(sim, sim_bits(before) < sim_bits(mine->voters)
				   ? SIM_COUNT_voters_added
				   : SIM_COUNT_voters_removed);
}

static void
check_committed(struct sim_node *node)
{
	struct sim *sim = node->sim;
	const struct membership *mine = &node->view.committed_members;

	const bool is_known =
	    sim->member->committed[mine->config_index % SIM_BLOCKS_MAX].voters != 0;

	if (mine->config_index > node->view.commit_index && (!node->view.is_forgetful || !is_known))
		sim_fail(sim, "config",
			 "node %u takes configuration %llu for committed, commit %llu", node->id,
			 llu(mine->config_index), llu(node->view.commit_index));
	if (mine->config_index == 0)
		return;
	if (!is_known)
		note_committed(sim, mine);
	if (!membership_equal(&sim->member->committed[mine->config_index % SIM_BLOCKS_MAX], mine))
		sim_fail(sim, "config", "node %u: another configuration %llu", node->id,
			 llu(mine->config_index));
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
	for (uint64_t i = max_u64(from, base + 1); i <= node->view.last_index; i++) {
		if (!runtime_block_meta(node->runtime, i, &meta) || meta.kind != BLOCK_CONFIG)
			continue;
		/* One change at a time. */
		if (*newest > sim_check_commit_max(sim))
			sim_fail(sim, "I14",
				 "node %u holds configuration %llu behind %llu, which nobody has "
				 "committed",
				 node->id, llu(i), llu(*newest));
		*newest = i;
	}
	if (node->view.is_forgetful && node->view.members.config_index > node->view.last_index)
		return; /* check_committed has seen it */
	if (node->view.members.config_index != *newest)
		sim_fail(sim, "config",
			 "node %u goes by configuration %llu; the newest in its log, which lies "
			 "behind %llu and ends at %llu, is %llu",
			 node->id, llu(node->view.members.config_index), llu(base),
			 llu(node->view.last_index), llu(*newest));
}

/* What it received was committed when it was sent. Who was a voter may receive late what was sent
 * to it then. */
static void
check_learner(struct sim_node *node, uint64_t from)
{
	struct sim *sim = node->sim;
	const struct core_view *view = &node->view;
	const uint64_t voters = view->members.voters | view->committed_members.voters;

	for (uint32_t i = 0; i < sim->data_count; i++)
		if ((view->members.voters >> sim->nodes[i].id & 1) != 0)
			sim->member->named[i] =
			    max_u64(sim->member->named[i], view->members.config_index);
	if (from > view->last_index || (voters >> node->id & 1) != 0 ||
	    (sim_birth_voters(sim) >> node->id & 1) != 0 || sim->member->named[node->index] != 0)
		return;
	if (view->last_index > sim_check_commit_max(sim))
		sim_fail(sim, "learner", "node %u holds block %llu; committed is %llu", node->id,
			 llu(view->last_index), llu(sim_check_commit_max(sim)));
}

static void
count_joint(struct sim_node *node)
{
	const struct core_view *view = &node->view, *before = &node->before;

	if (view->role != CORE_MASTER || !view->is_joint)
		return;
	if (before->role != CORE_MASTER)
		sim_count(node->sim, SIM_COUNT_joint_elections);
	else if (!before->is_joint)
		sim_count(node->sim, SIM_COUNT_joint_masters);
	if (view->mode == CORE_MODE_SOLO && before->mode != CORE_MODE_SOLO)
		sim_count(node->sim, SIM_COUNT_joint_solo);
}

void
sim_member_turn(struct sim_node *node, uint64_t from)
{
	const struct core_view *view = &node->view, *before = &node->before;

	if (!has_configs(node->sim))
		return;
	check_committed(node);
	check_learner(node, from);
	if (from <= view->last_index || view->members.config_index != before->members.config_index)
		look(node, from);
	count_joint(node);
	sim_strike_turn(node);
	sim_witness_turn(node);
	if (view->mode == CORE_MODE_LEARNER && before->mode != CORE_MODE_LEARNER)
		sim_count(node->sim, SIM_COUNT_learners);
	if (before->role == CORE_MASTER && view->role != CORE_MASTER &&
	    (view->committed_members.voters >> node->id & 1) == 0)
		sim_count(node->sim, SIM_COUNT_masters_removed);
}

void
sim_member_ready(struct sim_node *node)
{
	if (!has_configs(node->sim))
		return;
	if (node->view.committed_members.config_index != 0)
		sim_count(node->sim, SIM_COUNT_changed_boots);
	check_committed(node);
	look(node, 1);
}
