/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkers, outside the product: what every node shows after every turn is compared with all
 * that was ever seen. Names are those of the protocol's section 15.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/hash.h"
#include "dataplane/wire/checkpoint.h"
#include "dataplane/wire/page.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_leak.h"

#define TERMS_MAX       65536u
#define COMMITS_MAX     SIM_BLOCKS_MAX
#define CHECKPOINTS_MAX 4096u
#define SEEN_BRANCHES   4u         /* of an index, before they lie among those of the next */
#define SEEN_SLOTS      (1u << 18) /* a power of two */

struct committed { /* by log_index */
	struct block_meta meta;
};

struct seen {                     /* a block that some node's log ever held */
	uint64_t log_index, term; /* 0: free */
	struct hash128 chain;
	uint64_t state_hash; /* of the state after it */
	bool has_hash;
};

struct checkpoint_seen { /* one that some node wrote */
	uint64_t log_index;
	uint64_t hash; /* of its header page, which holds the root of all chunks */
};

/* What a generation committed: that of birth, and the one that was forced (sim_force.c). */
struct history {
	struct committed committed[COMMITS_MAX];
	uint64_t commit_max, term_max;
};

struct sim_check {
	struct checkpoint_seen checkpoints[CHECKPOINTS_MAX];
	struct history histories[2];
	bool is_over_capacity[SIM_BLOCKS_MAX]; /* by log_index: when it was applied, perhaps */
	uint64_t masters[2][TERMS_MAX];        /* by generation and term: node id and incarnation */
	struct seen seen[SEEN_SLOTS];
	uint32_t seen_count;
};

void
sim_check_create(struct sim *sim)
{
	sim->check = sim_take(sizeof(*sim->check));
}

static struct history *
history_of(const struct sim_node *node)
{
	return &node->sim->check->histories[sim_force_side(node)];
}

uint64_t
sim_check_commit_max(const struct sim *sim)
{
	return sim->check->histories[0].commit_max;
}

static unsigned long long
llu(uint64_t value)
{
	return value;
}

static bool
is_position_before(uint64_t term_a, uint32_t epoch_a, uint64_t term_b, uint32_t epoch_b)
{
	return term_a != term_b ? term_a < term_b : epoch_a < epoch_b;
}

/* ---- I1 ---- */

static void
check_one_master(struct sim_node *node)
{
	struct sim *sim = node->sim;
	const uint64_t self = (uint64_t)node->incarnation << 8 | node->id;

	if (node->view.role != CORE_MASTER)
		return;
	const uint64_t term = node->view.term & UINT32_MAX;
	if (term >= TERMS_MAX || node->view.term >> 32 > 1)
		sim_fail(sim, "P9", "term %llu: terms are inflated", llu(node->view.term));
	uint64_t *master = &sim->check->masters[node->view.term >> 32][term];
	if (*master != 0 && *master != self)
		sim_fail(sim, "I1", "term %llu has two masters: node %llu start %llu, node %u",
			 llu(node->view.term), llu(*master & 255), llu(*master >> 8), node->id);
	*master = self;
	if (node->view.term > history_of(node)->term_max)
		history_of(node)->term_max = node->view.term;
}

/* ---- I2 ---- */

static struct seen *
seen_of(struct sim_node *node, const struct block_meta *meta)
{
	struct sim_check *check = node->sim->check;

	/* Room for the branches of an index lies at its place: blocks that follow one another do so
	 * here, and few pages are touched. */
	for (uint64_t at = meta->log_index * SEEN_BRANCHES % SEEN_SLOTS;;
	     at = (at + 1) % SEEN_SLOTS) {
		struct seen *seen = &check->seen[at];
		if (seen->log_index == 0) {
			if (++check->seen_count > SEEN_SLOTS / 2)
				sim_fail(node->sim, "sim", "too many blocks for the checker");
			*seen = (struct seen){ .log_index = meta->log_index,
					       .term = meta->term,
					       .chain = meta->chain };
			return seen;
		}
		if (seen->log_index != meta->log_index || seen->term != meta->term)
			continue;
		sim_count(node->sim, SIM_COUNT_log_comparisons);
		if (!hash128_equal(seen->chain, meta->chain))
			sim_fail(node->sim, "I2", "node %u: two blocks %llu of term %llu", node->id,
				 llu(meta->log_index), llu(meta->term));
		return seen;
	}
}

static struct block_meta
meta_at(struct sim_node *node, uint64_t log_index)
{
	struct block_meta meta = { 0 };

	if (log_index != 0 && !runtime_block_meta(node->runtime, log_index, &meta))
		sim_fail(node->sim, "view", "node %u has no block %llu, last is %llu", node->id,
			 llu(log_index), llu(node->view.last_index));
	if (meta.log_index != log_index)
		sim_fail(node->sim, "view", "node %u names block %llu as %llu", node->id,
			 llu(log_index), llu(meta.log_index));
	return meta;
}

static void
check_new_blocks(struct sim_node *node, uint64_t from)
{
	for (uint64_t i = from; i <= node->view.last_index; i++) {
		const struct block_meta meta = meta_at(node, i);
		(void)seen_of(node, &meta);
		if (i < SIM_BLOCKS_MAX)
			node->chains[i] = meta.chain;
	}
	sim_memory_received(node, from);
}

/* ---- I7, and what a commit must rest on ---- */

/* An odd number of copies: a majority of them, this node's own among them or not. */
static void
check_majority(struct sim_node *node, const struct block_meta *meta, uint64_t voters)
{
	struct sim *sim = node->sim;
	const uint32_t count = sim_bits(voters);
	uint32_t copies = 0;

	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *data = &sim->nodes[i];
		if ((voters >> data->id & 1) == 0)
			continue;
		const uint64_t durable =
		    data == node ? data->view.durable_index : data->durable.log_index;
		const uint64_t term =
		    data == node ? meta_at(node, durable).term : data->durable.term;
		copies += (durable >= meta->log_index && term >= meta->term) ||
			  (data->durable_lost.log_index >= meta->log_index &&
			   data->durable_lost.term >= meta->term);
	}
	if (copies < count / 2 + 1)
		sim_fail(sim, "I5", "node %u committed %llu of (%llu,%u), durable on %u of %u",
			 node->id, llu(meta->log_index), llu(meta->term), meta->epoch, copies,
			 count);
}

/* Two copies: both, or this one and a witness that keeps the other one out. */
static bool
is_durable_on(const struct sim_node *node, const struct sim_node *data,
	      const struct block_meta *meta)
{
	const uint64_t durable = data == node ? data->view.durable_index : data->durable.log_index;

	/* What a volatile log held when it acknowledged counts, though it may be gone by now. */
	return durable >= meta->log_index || data->durable_lost.log_index >= meta->log_index;
}

static void
check_pair(struct sim_node *node, const struct block_meta *meta, uint64_t voters)
{
	struct sim *sim = node->sim;
	const struct sim_node *one = &sim->nodes[__builtin_ctzll(voters) - 1];
	const struct sim_node *two = &sim->nodes[__builtin_ctzll(voters & (voters - 1)) - 1];
	const struct witness_register *reg = sim_witness_register(sim);

	/* A node that is of the pair commits what it holds itself. */
	if (two == node || !is_durable_on(node, one, meta)) {
		const struct sim_node *other = one;
		one = two;
		two = other;
	}
	if (!is_durable_on(node, one, meta) ||
	    ((voters >> node->id & 1) != 0 && !is_durable_on(node, node, meta)))
		sim_fail(sim, "I5", "node %u committed %llu, durable here only to %llu", node->id,
			 llu(meta->log_index), llu(node->view.durable_index));
	if (is_durable_on(node, two, meta))
		return;
	if (is_position_before(reg->last_term, reg->last_epoch, meta->term, meta->epoch) ||
	    (reg->rset >> two->id & 1) != 0)
		sim_fail(sim, "I7",
			 "node %u committed %llu of (%llu,%u) with one copy (node %u: durable to "
			 "%llu); the register holds (%llu,%u) rset %llx",
			 node->id, llu(meta->log_index), llu(meta->term), meta->epoch, two->id,
			 llu(two->durable.log_index), llu(reg->last_term), reg->last_epoch,
			 llu(reg->rset));
}

static void
check_rule(struct sim_node *node, const struct block_meta *meta, uint64_t voters)
{
	if (sim_bits(voters) % 2 != 0)
		check_majority(node, meta, voters);
	else
		check_pair(node, meta, voters);
}

static void
check_commit_basis(struct sim_node *node, const struct block_meta *meta)
{
	struct sim *sim = node->sim;

	/* Only blocks of the master's own (term, epoch) are counted (P12). */
	if (node->before.role == CORE_MASTER && node->view.role == CORE_MASTER &&
	    is_position_before(meta->term, meta->epoch, node->before.term, node->before.epoch))
		sim_fail(sim, "P12", "node %u in (%llu,%u) counted block %llu of (%llu,%u)",
			 node->id, llu(node->before.term), node->before.epoch, llu(meta->log_index),
			 llu(meta->term), meta->epoch);
	const struct membership *now = &node->view.members;
	/* A GEN block is no change: what was before counts no more. */
	const bool was_joint =
	    now->config_index > node->before.commit_index && sim_force_side(node) == 0;
	/* In the turn in which a change was appended, blocks may have been committed before. */
	const bool is_new = now->config_index > node->before.members.config_index &&
			    now->config_index > meta->log_index;
	if (!is_new)
		check_rule(node, meta, now->voters);
	if (!was_joint)
		return;
	/* Up to the block that changes the voters the old ones count as well. */
	const struct block_meta joint =
	    now->config_index < meta->log_index ? meta_at(node, now->config_index) : *meta;
	check_rule(node, &joint, sim_member_before(sim, now->config_index));
}

/* ---- I3, I4, I9 ---- */

static void
check_commits(struct sim_node *node, uint64_t from)
{
	struct sim *sim = node->sim;
	struct history *check = history_of(node);
	const uint64_t commit = node->view.commit_index;

	if (commit >= COMMITS_MAX)
		sim_fail(sim, "sim", "too many blocks for the checker");
	if (commit > check->commit_max) {
		const struct block_meta meta = meta_at(node, commit);
		check_commit_basis(node, &meta);
		/* Others learn of commits; but a start finds the GEN block that the superblock
		 * names, and in that generation no vote counts but its own. */
		const bool is_gen =
		    sim_force_side(node) == 1 && commit == node->view.members.config_index;
		if (node->life == SIM_NODE_UP && node->view.role != CORE_MASTER &&
		    node->before.role != CORE_MASTER && !is_gen)
			sim_fail(sim, "I4",
				 "node %u, no master, takes block %llu of (%llu,%u) for committed, "
				 "and nobody has committed it",
				 node->id, llu(commit), llu(meta.term), meta.epoch);
	}
	for (uint64_t i = from; i <= commit; i++) {
		const struct block_meta meta = meta_at(node, i);
		struct committed *known = &check->committed[i];
		if (i > check->commit_max) {
			known->meta = meta;
			sim_count(sim, SIM_COUNT_commits);
			if (sim_force_side(node) == 0)
				sim_memory_committed(sim, i, meta.chain.low);
		} else if (!hash128_equal(known->meta.chain, meta.chain)) {
			sim_fail(sim, "I4",
				 "node %u committed block %llu of (%llu,%u); elsewhere it is of "
				 "(%llu,%u)",
				 node->id, llu(i), llu(meta.term), meta.epoch,
				 llu(known->meta.term), known->meta.epoch);
		}
	}
	if (commit > check->commit_max)
		check->commit_max = commit;
}

static void
check_commit_kept(struct sim_node *node)
{
	const struct history *check = history_of(node);
	const uint64_t commit = node->view.commit_index;

	if (commit < node->before.commit_index)
		sim_fail(node->sim, "I9", "node %u: commit_index fell from %llu to %llu", node->id,
			 llu(node->before.commit_index), llu(commit));
	if (node->view.last_index < commit)
		sim_fail(node->sim, "I9", "node %u: the log ends at %llu, committed to %llu",
			 node->id, llu(node->view.last_index), llu(commit));
	if (commit != 0 &&
	    !hash128_equal(meta_at(node, commit).chain, check->committed[commit].meta.chain))
		sim_fail(node->sim, "I9", "node %u: committed block %llu was replaced", node->id,
			 llu(commit));
	/* Gateways go by it when they judge what became of a block that was accepted. */
	const struct node_status *status = sim_node_status(node);
	if (commit != 0 && status->commit_index == commit &&
	    status->commit_term != meta_at(node, commit).term)
		sim_fail(node->sim, "status", "node %u: committed block %llu is not of term %llu",
			 node->id, llu(commit), llu(status->commit_term));
}

static void
check_master_complete(struct sim_node *node)
{
	const struct history *check = history_of(node);
	const uint64_t commit = check->commit_max;
	const struct core_view *view = &node->view;

	if (view->role != CORE_MASTER || view->term < check->term_max || commit == 0)
		return;
	if (view->last_index < commit ||
	    !hash128_equal(meta_at(node, commit).chain, check->committed[commit].meta.chain))
		sim_fail(node->sim, "I3",
			 "node %u, master of term %llu, lacks block %llu of (%llu,%u), which is "
			 "committed; its log ends at %llu (%llu,%u)",
			 node->id, llu(view->term), llu(commit),
			 llu(check->committed[commit].meta.term),
			 check->committed[commit].meta.epoch, llu(view->last_index),
			 llu(view->last_term), view->last_epoch);
}

/* ---- state ---- */

/* Which of the blocks of this turn held the command, nobody says. What is rolled back is not
 * committed: nothing that was applied in it lies before both indexes. */
static void
note_capacity(struct sim_node *node, uint64_t applied)
{
	const uint64_t count = state_stats(node->state).out_of_memory;
	const uint64_t from = min_u64(node->before.commit_index, node->before.applied_index);

	if (count == node->out_of_memory)
		return;
	node->out_of_memory = count;
	for (uint64_t i = from + 1; i <= applied && i < SIM_BLOCKS_MAX; i++)
		node->sim->check->is_over_capacity[i] = true;
}

bool
sim_check_was_over_capacity(const struct sim *sim, uint64_t log_index)
{
	return log_index < SIM_BLOCKS_MAX && sim->check->is_over_capacity[log_index];
}

static void
check_state(struct sim_node *node)
{
	struct sim *sim = node->sim;
	const uint64_t applied = state_applied_index(node->state);

	const bool is_rolled_back = node->view.rollbacks != node->before.rollbacks;

	note_capacity(node, applied);
	if (applied == node->hash_checked && !is_rolled_back)
		return;
	if ((applied < node->hash_checked && !is_rolled_back) ||
	    applied > node->view.memory_commit_index)
		sim_fail(sim, "state", "node %u applied %llu after %llu, memory commit is %llu",
			 node->id, llu(applied), llu(node->hash_checked),
			 llu(node->view.memory_commit_index));
	if (applied > node->view.commit_index)
		sim_count(sim, SIM_COUNT_applied_ahead);
	node->hash_checked = applied;
	if (applied == 0)
		return;
	/* One history, one state: committed or not. */
	const struct block_meta meta = meta_at(node, applied);
	struct seen *known = seen_of(node, &meta);
	const uint64_t hash = state_hash(node->state);
	if (!known->has_hash) {
		known->has_hash = true;
		known->state_hash = hash;
		return;
	}
	sim_count(sim, SIM_COUNT_hash_comparisons);
	if (known->state_hash != hash)
		sim_fail(sim, "state", "node %u: another state hash at block %llu", node->id,
			 llu(applied));
}

/* ---- checkpoints ---- */

void
sim_check_checkpoint(struct sim_node *node, const uint8_t *page)
{
	struct sim *sim = node->sim;
	struct checkpoint_hdr hdr;

	if (checkpoint_hdr_decode(page, &hdr) != TERN_OK)
		return;
	sim_count(sim, SIM_COUNT_checkpoints);
	if (hdr.meta.log_index > history_of(node)->commit_max)
		sim_fail(sim, "checkpoint", "node %u: one of block %llu, committed is %llu",
			 node->id, llu(hdr.meta.log_index), llu(history_of(node)->commit_max));
	/* One index has two of them from the fork on. */
	if (sim->phase == SIM_PHASE_FORCE)
		return;
	const uint64_t hash = hash64(page, CHECKPOINT_HDR_BYTES);
	for (uint32_t i = 0; i < CHECKPOINTS_MAX; i++) {
		struct checkpoint_seen *seen = &sim->check->checkpoints[i];
		if (seen->log_index == 0)
			*seen = (struct checkpoint_seen){ hdr.meta.log_index, hash };
		if (seen->log_index != hdr.meta.log_index)
			continue;
		if (seen->hash != hash)
			sim_fail(sim, "checkpoint", "node %u: another one of block %llu", node->id,
				 llu(hdr.meta.log_index));
		return;
	}
}

/* ---- after a turn ---- */

static void
count_view(struct sim_node *node)
{
	const uint64_t now[5] = { node->view.elections, node->view.solo_entries,
				  node->view.duplex_returns, node->view.truncations,
				  node->view.rollbacks };
	const enum sim_count_kind kinds[5] = { SIM_COUNT_elections, SIM_COUNT_solo_entries,
					       SIM_COUNT_duplex_returns, SIM_COUNT_truncations,
					       SIM_COUNT_rollbacks };

	for (uint32_t i = 0; i < 5; i++) {
		node->sim->counts.of[kinds[i]] += now[i] - node->counted[i];
		node->counted[i] = now[i];
	}
}

static void
say_view(const struct sim_node *node)
{
	const struct core_view *view = &node->view, *before = &node->before;

	if (view->role != before->role || view->mode != before->mode ||
	    view->term != before->term || view->epoch != before->epoch ||
	    view->is_serving != before->is_serving || view->truncations != before->truncations)
		sim_say(node->sim,
			"node %u: role %d mode %d serving %d (%llu,%u) last %llu durable %llu "
			"commit %llu cuts %llu",
			node->id, (int)view->role, (int)view->mode, view->is_serving,
			llu(view->term), view->epoch, llu(view->last_index),
			llu(view->durable_index), llu(view->commit_index), llu(view->truncations));
}

void
sim_check_turn(struct sim_node *node)
{
	const struct core_view *view = &node->view, *before = &node->before;
	const bool is_cut =
	    view->truncations != before->truncations || view->last_index < before->last_index;

	say_view(node);
	if (view->term < before->term)
		sim_fail(node->sim, "view", "node %u: the term fell", node->id);
	if (view->durable_index > view->last_index ||
	    view->commit_index > view->memory_commit_index ||
	    view->memory_commit_index > view->last_index ||
	    view->applied_index > view->memory_commit_index ||
	    (view->role != CORE_MASTER && before->role != CORE_MASTER &&
	     view->applied_index > max_u64(view->commit_index, before->applied_index)))
		sim_fail(node->sim, "view", "node %u: indexes contradict each other", node->id);
	check_one_master(node);
	sim_force_turn(node);
	sim_votes_turn(node);
	check_new_blocks(node, is_cut ? view->commit_index + 1 : before->last_index + 1);
	check_commits(node, before->commit_index + 1);
	check_commit_kept(node);
	check_master_complete(node);
	if (node->durable.log_index != view->durable_index || is_cut) {
		node->durable = meta_at(node, view->durable_index);
		node->is_durable_found = false;
	}
	if (is_cut) {
		sim_disk_cut(&node->disk);
		sim_dead_cut(node, before->last_index);
	}
	sim_dead_turn(node);
	check_state(node);
	sim_member_turn(node, is_cut ? view->commit_index + 1 : before->last_index + 1);
	sim_memory_turn(node);
	sim_stale_turn(node);
	count_view(node);
	if (node->was_forgetful && !view->is_forgetful) {
		sim_count(node->sim, SIM_COUNT_forgetful_returns);
		node->has_lost_storage = node->is_durable_found = false;
		node->rotten_durable = (struct block_meta){ 0 };
		if (node->disk.rot.is_for_good)
			node->disk.rot.is_on = node->disk.rot.is_for_good = false;
	}
	node->was_forgetful = view->is_forgetful;
	if (view->is_serving && !before->is_serving)
		sim_client_sample(node->sim, node);
}

/* What was durable is in the log; or in what the log begins behind, a committed block; or it came
 * behind a block that contradicted this one, and so never commits: it gave way to a checkpoint. */
static bool
is_kept(struct sim_node *node, const struct block_meta *durable)
{
	const struct history *check = history_of(node);
	const uint64_t base = runtime_base_index(node->runtime);
	const bool is_committed =
	    base != 0 && base <= check->commit_max &&
	    hash128_equal(meta_at(node, base).chain, check->committed[base].meta.chain);

	if (durable->log_index < base)
		return is_committed;
	if (durable->log_index <= node->view.last_index &&
	    hash128_equal(meta_at(node, durable->log_index).chain, durable->chain))
		return true;
	return is_committed &&
	       !hash128_equal(node->chains[base], check->committed[base].meta.chain);
}

/* Or it is only what a damaged start found, perhaps of a tail that was superseded long ago, and
 * nothing has come to it since: whoever can read all again holds what it had before that. */
static bool
is_durable_kept(struct sim_node *node)
{
	return is_kept(node, &node->durable) ||
	       (node->is_durable_found && is_kept(node, &node->rotten_durable));
}

/* From here on it writes a history of its own. Returns how far it is the other's too. */
uint64_t
sim_check_fork(struct sim_node *node)
{
	struct sim_check *check = node->sim->check;
	const struct history *old = &check->histories[0];
	struct history *own = &check->histories[1];
	const uint64_t base = runtime_base_index(node->runtime);
	uint64_t common = min_u64(old->commit_max, node->view.last_index);

	while (common > base && common > node->view.commit_index &&
	       !hash128_equal(meta_at(node, common).chain, old->committed[common].meta.chain))
		common--;
	memcpy(own->committed, old->committed, (common + 1) * sizeof(own->committed[0]));
	own->commit_max = common;
	return common;
}

bool
sim_check_is_common(const struct sim *sim, uint64_t log_index)
{
	const struct history *old = &sim->check->histories[0];
	const struct history *own = &sim->check->histories[1];

	return log_index <= old->commit_max && log_index <= own->commit_max &&
	       hash128_equal(old->committed[log_index].meta.chain,
			     own->committed[log_index].meta.chain);
}

void
sim_check_ready(struct sim_node *node)
{
	const struct core_view *view = &node->view;

	sim_dead_ready(node);
	sim_force_ready(node);
	/* What was durable is found again (P5), where that is promised. */
	if (node->is_log_volatile) {
		if (node->durable.log_index > node->durable_lost.log_index)
			node->durable_lost = node->durable;
		node->durable = (struct block_meta){ 0 };
	}
	if (node->disk.rot.is_on && !sim_node_bears_rot(node) && view->is_forgetful &&
	    !is_durable_kept(node)) {
		/* It knows that it lost something, and has to get it from others. */
		sim_count(node->sim, SIM_COUNT_rot_repaired);
		if (node->durable.log_index > node->durable_lost.log_index)
			node->durable_lost = node->durable;
		node->has_lost_storage = true;
		if (!node->is_durable_found)
			node->rotten_durable = node->durable;
		node->is_durable_found = true;
	} else if (!is_durable_kept(node))
		sim_fail(node->sim, "P5",
			 "node %u had block %llu of (%llu,%u) durable and recovered a log that "
			 "ends at %llu (%llu,%u)",
			 node->id, llu(node->durable.log_index), llu(node->durable.term),
			 node->durable.epoch, llu(view->last_index), llu(view->last_term),
			 view->last_epoch);
	/* A voter that is alone has committed what it finds durable. */
	if (view->commit_index > history_of(node)->commit_max && sim_force_side(node) == 0)
		sim_fail(node->sim, "I4", "node %u recovered commit_index %llu, known is %llu",
			 node->id, llu(view->commit_index), llu(history_of(node)->commit_max));
	check_new_blocks(node, runtime_base_index(node->runtime) + 1);
	check_commits(node, runtime_base_index(node->runtime) + 1);
	if (!view->is_forgetful) {
		/* Made whole, without a master. */
		if (node->rotten_durable.log_index != 0)
			node->has_lost_storage = false;
		node->rotten_durable = (struct block_meta){ 0 };
		node->is_durable_found = false;
		if (node->disk.rot.is_for_good)
			node->disk.rot.is_on = node->disk.rot.is_for_good = false;
	}
	node->durable = meta_at(node, view->durable_index);
	sim_member_ready(node);
}

/* ---- I6, and the witness's half of I10 ---- */

void
sim_check_register(struct sim *sim, const struct witness_register *before,
		   const struct witness_register *after)
{
	const bool is_same =
	    before->last_term == after->last_term && before->last_epoch == after->last_epoch;

	sim_say(sim, "register: term %llu vote %u last (%llu,%u) rset %llx", llu(after->term),
		after->voted_for, llu(after->last_term), after->last_epoch, llu(after->rset));
	if (after->term < before->term || after->sequence <= before->sequence ||
	    is_position_before(after->last_term, after->last_epoch, before->last_term,
			       before->last_epoch) ||
	    (is_same && after->rset != before->rset))
		sim_fail(sim, "I6",
			 "the register went back: term %llu (%llu,%u) rset %llx, then term %llu "
			 "(%llu,%u) rset %llx",
			 llu(before->term), llu(before->last_term), before->last_epoch,
			 llu(before->rset), llu(after->term), llu(after->last_term),
			 after->last_epoch, llu(after->rset));
	if (after->duty != before->duty && after->duty != WITNESS_SUPERSEDED)
		sim_count(sim, after->duty == WITNESS_RETIRED ? SIM_COUNT_witness_retirements
							      : SIM_COUNT_witness_entries);
	if (is_same)
		return;
	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct block_meta *durable = &sim->nodes[i].durable;
		if ((sim_voters(sim) >> sim->nodes[i].id & 1) == 0)
			continue;
		/* Whoever registered may have forgotten since: then nobody is electable. */
		if (sim->nodes[i].is_log_volatile || sim->nodes[i].has_lost_storage)
			return;
		if (is_position_before(after->last_term, after->last_epoch, durable->term,
				       durable->epoch))
			return;
		if (durable->term == after->last_term && durable->epoch == after->last_epoch &&
		    (after->rset >> sim->nodes[i].id & 1) != 0)
			return;
	}
	sim_fail(sim, "I10", "the register holds (%llu,%u), and no data node durably does",
		 llu(after->last_term), after->last_epoch);
}

/* ---- the end ---- */

bool
sim_check_is_converged(struct sim *sim)
{
	const struct sim_node *first = NULL;

	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		if (!sim_is_member(sim, node))
			continue;
		first = first == NULL ? node : first;
		if (node->life != SIM_NODE_UP ||
		    node->view.commit_index != sim_check_commit_max(sim) ||
		    node->view.last_index != node->view.commit_index ||
		    state_applied_index(node->state) != node->view.commit_index ||
		    state_hash(node->state) != state_hash(first->state))
			return false;
	}
	return true;
}

void
sim_check_final(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->data_count; i++) {
		struct sim_node *node = &sim->nodes[i];
		if (!sim_is_member(sim, node))
			continue;
		check_commits(node, runtime_base_index(node->runtime) + 1);
		state_read_begin(node->reader);
		const uint64_t scanned = state_hash_scan(node->reader);
		state_read_end(node->reader);
		if (scanned != state_hash(node->state))
			sim_fail(sim, "state", "node %u: the state hash is not that of the state",
				 node->id);
		sim_client_verify(sim, node);
		sim_leak_check(node);
	}
	sim_memory_final(sim);
	sim_stranger_final(sim);
}

bool
sim_check_is_lost(const struct sim *sim, uint64_t log_index, uint64_t chain)
{
	const struct history *history = &sim->check->histories[0];

	return log_index > history->commit_max ||
	       history->committed[log_index].meta.chain.low != chain;
}

bool
sim_check_is_electable(const struct sim *sim, const struct sim_node *without)
{
	const struct witness_register *reg = sim_witness_register(sim);
	uint32_t whole = 0;

	for (uint32_t i = 0; i < sim->data_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		if (node->life != SIM_NODE_UP || node->view.is_forgetful ||
		    node->view.is_rejoining || node == without ||
		    (sim_voters(sim) >> node->id & 1) == 0)
			continue;
		whole++;
		if (sim_bits(sim_voters(sim)) == 2 && sim_witness_can_vote(sim) &&
		    (is_position_before(reg->last_term, reg->last_epoch, node->view.last_term,
					node->view.last_epoch) ||
		     (!is_position_before(node->view.last_term, node->view.last_epoch,
					  reg->last_term, reg->last_epoch) &&
		      (reg->last_term == 0 || (reg->rset >> node->id & 1) != 0))))
			return true;
	}
	return whole >= sim_bits(sim_voters(sim)) / 2 + 1;
}
