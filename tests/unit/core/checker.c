/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/checker.h"

#include "dataplane/base/bits.h"

/* What masters of terms below @term committed. */
static bool
holds_all_committed(const struct cluster *cluster, const struct fake_node *node, uint64_t term)
{
	for (uint64_t i = 1; i <= cluster->committed_max && cluster->committed_term[i] < term; i++)
		if (i > node->last ||
		    !hash128_equal(node->log[i].meta.chain, cluster->committed[i]))
			return false;
	return true;
}

void
check_node(struct cluster *cluster, struct fake_node *node)
{
	const struct core_view *view = core_view(node->core);

	if (view->role != CORE_MASTER || node->master_term == view->term)
		return;
	node->master_term = view->term;
	if (view->term >= TERMS_MAX) {
		cluster_breach(cluster, "P9: terms without end", view->term, 0);
		return;
	}
	if (cluster->term_masters[view->term] != 0)
		cluster_breach(cluster, "I1: two masters in a term", view->term, node->id);
	cluster->term_masters[view->term] = node->id;
	if (!holds_all_committed(cluster, node, view->term))
		cluster_breach(cluster, "I3: a master without a committed block", view->term,
			       node->id);
}

void
check_commit(struct cluster *cluster, struct fake_node *node, uint64_t index)
{
	const struct core_view *view = core_view(node->core);
	const struct witness_register *reg = &cluster->nodes[NODE_W].reg;

	if (index > node->last) {
		cluster_breach(cluster, "commit beyond the log", index, node->last);
		return;
	}
	for (uint64_t i = node->checked_commit + 1; i <= index; i++) {
		const struct block_meta *meta = &node->log[i].meta;

		if (i <= cluster->committed_max) {
			if (!hash128_equal(meta->chain, cluster->committed[i]))
				cluster_breach(cluster, "I4: two histories committed", i, node->id);
			continue;
		}
		cluster->committed[i] = meta->chain;
		cluster->committed_term[i] = view->term;
		cluster->committed_max = i;
		cluster->commands_committed += meta->kind == BLOCK_COMMANDS;
	}
	node->checked_commit = max_u64(node->checked_commit, index);
	if (view->role == CORE_MASTER && view->mode != CORE_MODE_DUPLEX &&
	    (reg->last_term < view->term ||
	     (reg->last_term == view->term && reg->last_epoch < view->epoch)))
		cluster_breach(cluster, "I7: solo commit ahead of the register", index, node->id);
}

void
check_memory_commit(struct cluster *cluster, const struct fake_node *node, uint64_t index)
{
	const struct core_view *view = core_view(node->core);
	const struct fake_node *peer = &cluster->nodes[NODE_A + NODE_B - node->id];
	const uint32_t at = peer->id - NODE_A;

	if (index > node->last || index < view->commit_index)
		cluster_breach(cluster, "memory commit beside the log", index, node->last);
	/* What an earlier mastership of this node had applied stays applied. */
	if (index == view->commit_index || index <= node->applied)
		return;
	if (view->mode != CORE_MODE_DUPLEX)
		cluster_breach(cluster, "memory commit on one copy", index, node->id);
	if (view->peer_received_index[at] < index)
		cluster_breach(cluster, "memory commit that nobody else received", index,
			       view->peer_received_index[at]);
	if (peer->is_up && peer->boot_no == view->peer_boot_no[at] &&
	    peer->last < view->peer_received_index[at])
		cluster_breach(cluster, "received is more than there is", peer->last, index);
}

void
check_applied(struct cluster *cluster, const struct fake_node *node)
{
	const struct core_view *view = core_view(node->core);

	if (node->id == NODE_W)
		return;
	if (view->applied_index != node->applied || node->applied > node->last ||
	    node->applied > view->memory_commit_index)
		cluster_breach(cluster, "applied beyond what may be", node->applied,
			       view->memory_commit_index);
}

void
check_cut(struct cluster *cluster, const struct fake_node *node, uint64_t keep_index)
{
	if (keep_index < core_view(node->core)->commit_index)
		cluster_breach(cluster, "I9: cut below commit_index", keep_index, node->id);
	for (uint64_t i = keep_index + 1; i <= node->last && i <= cluster->committed_max; i++)
		if (hash128_equal(node->log[i].meta.chain, cluster->committed[i]))
			cluster_breach(cluster, "I9: a committed block is cut", i, node->id);
}

void
check_register(struct cluster *cluster, const struct witness_register *before,
	       const struct witness_register *after)
{
	const bool is_back =
	    after->last_term < before->last_term ||
	    (after->last_term == before->last_term && after->last_epoch < before->last_epoch);

	if (is_back || after->term < before->term || after->sequence <= before->sequence)
		cluster_breach(cluster, "I6: the register went back", after->term,
			       after->last_epoch);
}

void
check_witness_answer(struct cluster *cluster, const struct core_effect *effect)
{
	const struct msg *msg = &effect->msg;

	if (msg->kind != MSG_VOTE_ACK || msg->vote_ack.refusal != MSG_VOTE_GRANTED)
		return;
	if (cluster->nodes[NODE_W].reg.voted_for != effect->node ||
	    cluster->nodes[NODE_W].reg.term != msg->vote_ack.for_term)
		cluster_breach(cluster, "a vote before it is durable", msg->term, effect->node);
	/* A restarted candidate may have moved on since; its log only ever holds more then. */
	if (cluster->nodes[effect->node].is_up &&
	    core_view(cluster->nodes[effect->node].core)->term == msg->vote_ack.for_term &&
	    !holds_all_committed(cluster, &cluster->nodes[effect->node], msg->vote_ack.for_term))
		cluster_breach(cluster, "I8: a vote for a copy that lacks a commit", msg->term,
			       effect->node);
}

void
check_read(struct cluster *cluster, const struct fake_node *node, const struct core_effect *effect)
{
	for (uint32_t i = 0; i < cluster->reads_count; i++) {
		const struct fake_read read = cluster->reads[i];

		if (read.op_id != effect->op_id)
			continue;
		cluster->reads[i] = cluster->reads[--cluster->reads_count];
		if (effect->kind == CORE_EFFECT_READ_FAILED) {
			cluster->reads_failed++;
			return;
		}
		cluster->reads_ready++;
		if (effect->index < read.needed_index)
			cluster_breach(cluster, "I12: a stale read", effect->index,
				       read.needed_index);
		return;
	}
	cluster_breach(cluster, "an answer to no read", effect->op_id, node->id);
}

void
check_logs(struct cluster *cluster)
{
	const struct fake_node *a = &cluster->nodes[NODE_A];
	const struct fake_node *b = &cluster->nodes[NODE_B];
	bool is_same = false;

	for (uint64_t i = min_u64(a->last, b->last); i > 0; i--) {
		const struct block_meta *x = &a->log[i].meta, *y = &b->log[i].meta;
		const bool is_equal = hash128_equal(x->chain, y->chain);

		if (x->term == y->term && !is_equal)
			cluster_breach(cluster, "I2: one term, two blocks at an index", i, x->term);
		if (is_same && !is_equal)
			cluster_breach(cluster, "I2: equal above, different below", i, x->term);
		is_same |= is_equal;
	}
}

void
check_converged(struct cluster *cluster)
{
	const struct fake_node *a = &cluster->nodes[NODE_A];
	const struct fake_node *b = &cluster->nodes[NODE_B];
	uint32_t masters = 0;

	for (uint16_t i = NODE_A; i <= NODE_B; i++) {
		const struct core_view *view = core_view(cluster->nodes[i].core);

		masters +=
		    view->role == CORE_MASTER && view->is_serving && view->mode == CORE_MODE_DUPLEX;
		if (!holds_all_committed(cluster, &cluster->nodes[i], UINT64_MAX))
			cluster_breach(cluster, "I5: a committed block is gone", i, 0);
	}
	if (masters != 1)
		cluster_breach(cluster, "no serving master in DUPLEX after healing", masters, 0);
	if (a->last != b->last ||
	    !hash128_equal(a->log[a->last].meta.chain, b->log[b->last].meta.chain))
		cluster_breach(cluster, "logs differ after healing", a->last, b->last);
	if (core_view(a->core)->commit_index != a->last ||
	    core_view(b->core)->commit_index != b->last)
		cluster_breach(cluster, "not all committed after healing",
			       core_view(a->core)->commit_index, core_view(b->core)->commit_index);
}
