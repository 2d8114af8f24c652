/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I5 for class memory, under its own promise (protocol section 10): what was answered survives any
 * one crash or cut, counted from a moment at which no fault stood and as many nodes as are counted
 * held the block in memory. For every block the newest such moment is kept until it is answered;
 * the first is that of the acknowledgement that completed it. Whenever an index is committed, what
 * had been answered at that index is judged: if it is another block, it was lost, and more than one
 * fault must have begun since.
 *
 * Two things are looked at from inside, for no promise is broken by them at once: that nothing is
 * counted in memory where one copy is counted, and that a master never credits an incarnation of a
 * peer with more than it holds.
 */
#include <string.h>

#include "tests/sim/sim.h"

#define INDEXES_MAX SIM_BLOCKS_MAX
#define BRANCHES    4u
#define COUNTED     2u /* copies that class memory waits for: of two data nodes and of three */

struct branch { /* a block that was, or is, at an index */
	uint64_t chain;
	uint64_t faults; /* begun when it was last seen safe */
	bool is_used, is_safe, is_answered;
};

struct sim_memory {
	struct branch branches[INDEXES_MAX][BRANCHES];
	uint64_t faults, index_max;
};

void
sim_memory_create(struct sim *sim)
{
	sim->memory = sim_take(sizeof(*sim->memory));
}

void
sim_memory_fault(struct sim *sim)
{
	sim->memory->faults++;
}

/* A hand-over is none. A disk that hangs is one (protocol section 13): a master whose disk hangs
 * gives way to whoever has the votes. But with a witness a slow disk is none, nor the hanging disks
 * of LOSE_MASTER: the voters behind them judge by what they have received, however long that takes
 * to be flushed. (Among three a restarted voter waits for the others only so long.) */
bool
sim_memory_is_fault(const struct sim *sim, uint32_t class_)
{
	if (class_ == SIM_FAULT_LOSE_MASTER || class_ == SIM_FAULT_DISK_SLOW)
		return sim_bits(sim_birth_voters(sim)) != 2 ||
		       sim->options.topology == SIM_TOPOLOGY_JOINT ||
		       sim->options.topology == SIM_TOPOLOGY_EXCHANGE;
	return class_ != SIM_FAULT_SWITCHOVER && class_ != SIM_HAZARD_WALL_STEP &&
	       class_ != SIM_HAZARD_CLOCK_DRIFT;
}

static bool
is_calm(const struct sim *sim)
{
	for (uint32_t i = 0; i < SIM_EPISODES; i++)
		if (sim->faults.episodes[i].is_on &&
		    sim_memory_is_fault(sim, sim->faults.episodes[i].class_))
			return false;
	for (uint32_t i = 0; i < sim->node_count; i++)
		if (sim->nodes[i].life != SIM_NODE_UP || sim->nodes[i].disk.has_failed)
			return false;
	return true;
}

bool
sim_memory_holds(const struct sim_node *node, uint64_t log_index, uint64_t chain)
{
	struct block_meta meta;

	return node->life == SIM_NODE_UP && runtime_block_meta(node->runtime, log_index, &meta) &&
	       meta.chain.low == chain;
}

static struct branch *
branch_of(struct sim *sim, uint64_t log_index, uint64_t chain)
{
	struct branch *branches = sim->memory->branches[log_index];
	struct branch *free_one = NULL;

	if (log_index >= INDEXES_MAX)
		sim_fail(sim, "sim", "too many blocks for the checker");
	for (uint32_t i = 0; i < BRANCHES; i++) {
		if (branches[i].is_used && branches[i].chain == chain)
			return &branches[i];
		if (!branches[i].is_answered)
			free_one = &branches[i];
	}
	if (free_one == NULL)
		sim_fail(sim, "sim", "too many branches for the checker");
	*free_one = (struct branch){ .is_used = true, .chain = chain };
	return free_one;
}

static void
look(struct sim *sim, struct branch *branch, uint64_t log_index)
{
	uint32_t copies = 0;

	for (uint32_t i = 0; i < sim->data_count; i++)
		copies += (sim_voters(sim) >> sim->nodes[i].id & 1) != 0 &&
			  sim_memory_holds(&sim->nodes[i], log_index, branch->chain);
	if (copies < COUNTED)
		return;
	branch->is_safe = true;
	branch->faults = sim->memory->faults;
}

void
sim_memory_received(struct sim_node *node, uint64_t from)
{
	struct sim *sim = node->sim;
	struct block_meta meta;

	if (sim->swarm.memory_ppm == 0 || node->view.role == CORE_MASTER || !is_calm(sim))
		return;
	for (uint64_t i = from; i <= node->view.last_index; i++) {
		if (!runtime_block_meta(node->runtime, i, &meta))
			return;
		look(sim, branch_of(sim, i, meta.chain.low), i);
	}
}

uint64_t
sim_memory_answered(struct sim_node *node, uint64_t log_index)
{
	struct sim *sim = node->sim;
	struct block_meta meta;

	if (log_index > node->view.memory_commit_index ||
	    !runtime_block_meta(node->runtime, log_index, &meta))
		sim_fail(sim, "I5-memory", "node %u answered block %llu, memory commit is %llu",
			 node->id, (unsigned long long)log_index,
			 (unsigned long long)node->view.memory_commit_index);
	struct branch *branch = branch_of(sim, log_index, meta.chain.low);
	if (!branch->is_answered && is_calm(sim))
		look(sim, branch, log_index);
	branch->is_answered = true;
	if (log_index > sim->memory->index_max)
		sim->memory->index_max = log_index;
	sim_count(sim, SIM_COUNT_memory_acks);
	if (branch->is_safe)
		sim_count(sim, SIM_COUNT_memory_acks_checked);
	return meta.chain.low;
}

static void
judge(struct sim *sim, struct branch *branch, uint64_t log_index, bool is_there)
{
	const uint64_t faults = sim->memory->faults - branch->faults;

	if (!branch->is_answered)
		return;
	branch->is_answered = false;
	if (is_there) {
		if (branch->is_safe && faults != 0)
			sim_count(sim, SIM_COUNT_memory_acks_through_fault);
		return;
	}
	sim_count(sim, SIM_COUNT_memory_acks_lost);
	if (branch->is_safe && faults <= 1)
		sim_fail(sim, "I5-memory",
			 "block %llu was answered in class memory, and is lost after %llu fault",
			 (unsigned long long)log_index, (unsigned long long)faults);
}

void
sim_memory_committed(struct sim *sim, uint64_t log_index, uint64_t chain)
{
	for (uint32_t i = 0; i < BRANCHES && log_index < INDEXES_MAX; i++) {
		struct branch *branch = &sim->memory->branches[log_index][i];
		judge(sim, branch, log_index, branch->chain == chain);
	}
}

void
sim_memory_final(struct sim *sim)
{
	for (uint64_t at = sim_check_commit_max(sim) + 1; at <= sim->memory->index_max; at++)
		for (uint32_t i = 0; i < BRANCHES; i++)
			judge(sim, &sim->memory->branches[at][i], at, false);
}

/* ---- from inside ---- */

void
sim_memory_turn(struct sim_node *node)
{
	struct sim *sim = node->sim;
	const struct core_view *view = &node->view, *before = &node->before;

	if (view->role != CORE_MASTER || before->role != CORE_MASTER || view->term != before->term)
		return;
	if (view->epoch == before->epoch && view->copies < COUNTED &&
	    view->memory_commit_index > view->commit_index &&
	    view->memory_commit_index > before->memory_commit_index)
		sim_fail(sim, "memory-solo",
			 "node %u counts block %llu with %u copies, commit %llu", node->id,
			 (unsigned long long)view->memory_commit_index, view->copies,
			 (unsigned long long)view->commit_index);
	uint32_t at = 0; /* among those that it knows, which a wrong list may leave out */
	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *peer = &sim->nodes[i];
		if ((view->known_nodes >> peer->id & 1) == 0)
			continue;
		const uint32_t slot = at++;
		if (peer == node || peer->life != SIM_NODE_UP || peer->view.term != view->term ||
		    view->peer_received_index[slot] <= peer->view.last_index)
			continue;
		if (sim_node_status(peer)->boot_no == view->peer_boot_no[slot])
			sim_fail(sim, "match",
				 "node %u credits start %u of node %u with block %llu; it holds "
				 "%llu",
				 node->id, view->peer_boot_no[slot], peer->id,
				 (unsigned long long)view->peer_received_index[slot],
				 (unsigned long long)peer->view.last_index);
	}
}
