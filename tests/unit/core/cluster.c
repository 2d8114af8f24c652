/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "tests/unit/core/checker.h"

/* ---- the queue of events ---- */

static bool
is_before(const struct fake_event *a, const struct fake_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

static void
push(struct cluster *cluster, struct fake_event event)
{
	uint32_t at = cluster->heap_count++;

	if (at == cluster->heap_max)
		abort();
	event.seq = cluster->seq++;
	while (at > 0 && is_before(&event, &cluster->heap[(at - 1) / 2])) {
		cluster->heap[at] = cluster->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	cluster->heap[at] = event;
}

static struct fake_event
pop(struct cluster *cluster)
{
	const struct fake_event first = cluster->heap[0];
	const struct fake_event last = cluster->heap[--cluster->heap_count];
	uint32_t at = 0;

	for (;;) {
		uint32_t child = 2 * at + 1;
		if (child >= cluster->heap_count)
			break;
		if (child + 1 < cluster->heap_count &&
		    is_before(&cluster->heap[child + 1], &cluster->heap[child]))
			child++;
		if (!is_before(&cluster->heap[child], &last))
			break;
		cluster->heap[at] = cluster->heap[child];
		at = child;
	}
	cluster->heap[at] = last;
	return first;
}

/* ---- network ---- */

static uint64_t
latency_ns(struct cluster *cluster)
{
	return prng_between(&cluster->prng, 40 * US, 250 * US);
}

static void
transmit(struct cluster *cluster, struct fake_event event, uint32_t path)
{
	if (cluster->cut[event.from][event.node][path])
		return;
	if (prng_below(&cluster->prng, 1000) < cluster->loss_permille)
		return;
	event.path = path == 0 ? CORE_PATH_DATA : CORE_PATH_MGMT;
	event.at_ns = cluster->now_ns + latency_ns(cluster);
	/* Blocks keep their order; what a repeated block costs is not what is tested here. */
	if (event.kind == FAKE_BLOCK) {
		uint64_t *last_ns = &cluster->block_ns[event.from][event.node];
		event.at_ns = *last_ns = max_u64(event.at_ns, *last_ns + 1);
	}
	push(cluster, event);
	if (prng_below(&cluster->prng, 1000) >= cluster->duplicate_permille)
		return;
	event.at_ns = cluster->now_ns + prng_between(&cluster->prng, 1 * MS, 150 * MS);
	push(cluster, event);
}

static void
pump_stream(struct cluster *cluster, struct fake_node *node, uint16_t to)
{
	struct fake_stream *stream = &node->streams[to];

	if (!stream->is_active)
		return;
	if (stream->next > stream->acked + 1 && cluster->now_ns - stream->moved_ns > 4 * MS) {
		stream->next = stream->acked + 1;
		stream->moved_ns = cluster->now_ns;
	}
	while (stream->next <= node->last &&
	       stream->next <= stream->acked + cluster->stream_window) {
		const struct fake_event event = {
			.kind = FAKE_BLOCK,
			.node = to,
			.from = node->id,
			.term = cluster_view(cluster, node->id)->term,
			.block = node->log[stream->next],
			.prev_chain = node->log[stream->next - 1].meta.chain,
		};
		transmit(cluster, event, 0);
		stream->next++;
	}
}

static void
note_stream_ack(struct cluster *cluster, struct fake_node *node, const struct msg *msg)
{
	struct fake_stream *stream = &node->streams[msg->sender];
	uint64_t received = 0;

	if (!stream->is_active || msg->term != core_view(node->core)->term)
		return;
	if (msg->kind == MSG_APPEND_ACK && msg->append_ack.status != MSG_APPEND_CONFLICT)
		received = msg->append_ack.received_index;
	if (msg->kind == MSG_HEARTBEAT_ACK)
		received = msg->heartbeat_ack.received_index;
	if (received > stream->acked && received <= node->last) {
		stream->acked = received;
		stream->moved_ns = cluster->now_ns;
		stream->next = max_u64(stream->next, received + 1);
	}
}

/* ---- the device ---- */

static void
start_write(struct cluster *cluster, struct fake_node *node)
{
	const uint64_t factor = node->slow_factor;

	if (node->is_writing || node->durable >= min_u64(node->persist_want, node->last))
		return;
	node->is_writing = true;
	node->write_to = min_u64(node->persist_want, node->last);
	push(cluster, (struct fake_event){
			  .kind = FAKE_WRITTEN,
			  .at_ns = cluster->now_ns +
				   factor * prng_between(&cluster->prng, 100 * US, 900 * US),
			  .node = node->id,
			  .boot_no = node->boot_no });
}

static void
start_meta(struct cluster *cluster, struct fake_node *node, const struct core_effect *effect)
{
	node->is_meta_writing = true;
	node->meta_op = effect->op_id;
	if (effect->kind == CORE_EFFECT_PERSIST_META) {
		node->meta_term = effect->term;
		node->meta_voted_for = effect->voted_for;
	} else {
		node->meta_reg = effect->reg;
	}
	push(cluster,
	     (struct fake_event){ .kind = FAKE_META,
				  .at_ns = cluster->now_ns +
					   prng_between(&cluster->prng, 100 * US, 900 * US),
				  .node = node->id,
				  .boot_no = node->boot_no });
}

static void
take_meta(struct cluster *cluster, struct fake_node *node)
{
	node->is_meta_writing = false;
	if (node->id != NODE_W) {
		node->term = node->meta_term;
		node->voted_for = node->meta_voted_for;
		return;
	}
	check_register(cluster, &node->reg, &node->meta_reg);
	node->reg = node->meta_reg;
}

/* ---- a node ---- */

static void
append_block(struct cluster *cluster, struct fake_node *node, enum block_kind kind, uint64_t term,
	     uint32_t epoch)
{
	struct core_event event = { .kind = CORE_EVENT_APPENDED };
	struct fake_block *block;
	uint64_t seed[6];

	if (node->last + 1 >= BLOCKS_MAX)
		return;
	block = &node->log[node->last + 1];
	block->commit_index = core_view(node->core)->commit_index;
	block->meta = (struct block_meta){
		.log_index = node->last + 1, .term = term, .epoch = epoch, .kind = kind
	};
	seed[0] = node->log[node->last].meta.chain.low;
	seed[1] = node->log[node->last].meta.chain.high;
	seed[2] = node->last + 1;
	seed[3] = term;
	seed[4] = epoch;
	seed[5] = cluster->salt++;
	block->meta.chain = hash128(seed, sizeof(seed));
	node->last++;
	event.block = block->meta;
	if (cluster_event(cluster, node->id, &event) != TERN_OK)
		cluster_breach(cluster, "APPENDED refused", node->id, node->last);
}

static void
send_message(struct cluster *cluster, struct fake_node *node, const struct core_effect *effect)
{
	const struct fake_event event = {
		.kind = FAKE_MESSAGE, .node = effect->node, .from = node->id, .msg = effect->msg
	};

	if (node->id == NODE_W)
		check_witness_answer(cluster, effect);
	for (uint32_t path = 0; path < PATHS; path++)
		if ((effect->paths & (1u << path)) != 0)
			transmit(cluster, event, path);
}

static void
on_memory_effect(struct cluster *cluster, struct fake_node *node, const struct core_effect *effect)
{
	if (effect->kind == CORE_EFFECT_MEMORY_COMMIT) {
		check_memory_commit(cluster, node, effect->index);
		push(cluster, (struct fake_event){ .kind = FAKE_APPLY,
						   .at_ns = cluster->now_ns + 20 * US,
						   .node = node->id,
						   .boot_no = node->boot_no,
						   .term = core_view(node->core)->term,
						   .index = effect->index });
		return;
	}
	if (node->is_cutting || effect->index >= node->applied)
		cluster_breach(cluster, "ROLLBACK late or of nothing", effect->index,
			       node->applied);
	node->applied = effect->index;
	cluster->rollbacks++;
}

static void
on_effect(struct cluster *cluster, struct fake_node *node, const struct core_effect *effect)
{
	switch (effect->kind) {
	case CORE_EFFECT_SEND:
		send_message(cluster, node, effect);
		break;
	case CORE_EFFECT_PERSIST_META:
	case CORE_EFFECT_PERSIST_REGISTER:
		start_meta(cluster, node, effect);
		break;
	case CORE_EFFECT_PERSIST:
		node->persist_want = max_u64(node->persist_want, effect->index);
		break;
	case CORE_EFFECT_APPEND_BARRIER:
		node->is_barrier_wanted = true;
		node->barrier_term = effect->term;
		node->barrier_epoch = effect->epoch;
		break;
	case CORE_EFFECT_STREAM_START:
		node->streams[effect->node] = (struct fake_stream){ .is_active = true,
								    .next = effect->index,
								    .acked = effect->index - 1,
								    .moved_ns = cluster->now_ns };
		break;
	case CORE_EFFECT_STREAM_STOP:
		node->streams[effect->node].is_active = false;
		break;
	case CORE_EFFECT_ACCEPT:
		node->is_accepting = true;
		node->accept_node = effect->node;
		if (effect->index != node->last + 1)
			cluster_breach(cluster, "ACCEPT not at the end", effect->index, node->last);
		break;
	case CORE_EFFECT_ACCEPT_STOP:
		node->is_accepting = false;
		break;
	case CORE_EFFECT_CUT:
		node->is_cutting = true;
		node->is_accepting = false;
		node->cut_index = effect->index;
		node->persist_want = node->last;
		check_cut(cluster, node, effect->index);
		break;
	case CORE_EFFECT_COMMIT:
		check_commit(cluster, node, effect->index);
		push(cluster, (struct fake_event){ .kind = FAKE_APPLY,
						   .at_ns = cluster->now_ns + 50 * US,
						   .node = node->id,
						   .boot_no = node->boot_no,
						   .index = effect->index });
		break;
	case CORE_EFFECT_MEMORY_COMMIT:
	case CORE_EFFECT_ROLLBACK:
		on_memory_effect(cluster, node, effect);
		break;
	case CORE_EFFECT_ROLE:
	case CORE_EFFECT_PULL: /* what it lacks comes from a master, or not at all */
		break;
	case CORE_EFFECT_READ_READY:
	case CORE_EFFECT_READ_FAILED:
		check_read(cluster, node, effect);
		break;
	case CORE_EFFECT_ALARM:
		node->alarms[effect->alarm]++;
		if (effect->alarm == CORE_ALARM_CUT_BELOW_COMMIT)
			cluster_breach(cluster, "I9: asked to cut below commit", node->id, 0);
		break;
	case CORE_EFFECT_INSTALL:
	case CORE_EFFECT_REJOIN:
		cluster_breach(cluster, "no log begins at a base here", node->id, 0);
		break;
	}
}

static void
after_step(struct cluster *cluster, struct fake_node *node)
{
	struct core_event event = { 0 };
	uint64_t deadline_ns;

	check_node(cluster, node);
	check_applied(cluster, node);
	if (core_view(node->core)->role != CORE_MASTER)
		node->is_barrier_wanted = false;
	if (node->is_barrier_wanted) {
		node->is_barrier_wanted = false;
		append_block(cluster, node, BLOCK_BARRIER, node->barrier_term, node->barrier_epoch);
		return;
	}
	start_write(cluster, node);
	if (node->is_cutting && !node->is_writing && node->durable == node->last) {
		node->is_cutting = false;
		node->last = node->durable = node->persist_want = node->cut_index;
		event.kind = CORE_EVENT_CUT_DONE;
		event.index = node->cut_index;
		if (cluster_event(cluster, node->id, &event) != TERN_OK)
			cluster_breach(cluster, "CUT_DONE refused", node->id, event.index);
		return;
	}
	for (uint16_t to = 1; to < NODES; to++)
		pump_stream(cluster, node, to);
	deadline_ns = max_u64(core_deadline_ns(node->core), cluster->now_ns + 1);
	if (deadline_ns == UINT64_MAX || (node->tick_ns != 0 && node->tick_ns <= deadline_ns))
		return;
	node->tick_ns = deadline_ns;
	push(cluster, (struct fake_event){ .kind = FAKE_TICK,
					   .at_ns = deadline_ns,
					   .node = node->id,
					   .boot_no = node->boot_no });
}

enum tern_err
cluster_event(struct cluster *cluster, uint16_t node_id, struct core_event *event)
{
	struct fake_node *node = &cluster->nodes[node_id];
	struct core_effects effects;
	enum tern_err err;

	event->now_ns = cluster->now_ns;
	err = core_step(node->core, event, &effects);
	for (uint32_t i = 0; i < effects.count; i++)
		on_effect(cluster, node, &effects.list[i]);
	after_step(cluster, node);
	return err;
}

static void
on_block(struct cluster *cluster, struct fake_node *node, const struct fake_event *from)
{
	const struct core_view *view = core_view(node->core);
	struct core_event event = { .kind = CORE_EVENT_RECEIVED, .block = from->block.meta };

	if (!node->is_accepting || node->accept_node != from->from || view->term != from->term ||
	    view->master_id != from->from || node->is_cutting)
		return;
	if (from->block.meta.log_index != node->last + 1 ||
	    !hash128_equal(from->prev_chain, node->log[node->last].meta.chain))
		return;
	node->log[++node->last] = from->block;
	if (cluster_event(cluster, node->id, &event) != TERN_OK)
		cluster_breach(cluster, "RECEIVED refused", node->id, node->last);
}

static void
on_written(struct cluster *cluster, struct fake_node *node)
{
	struct core_event event = { .kind = CORE_EVENT_DURABLE, .index = node->write_to };

	if (node->is_hung) {
		node->is_write_ready = true;
		return;
	}
	node->is_writing = false;
	node->durable = node->write_to;
	if (cluster_event(cluster, node->id, &event) != TERN_OK)
		cluster_breach(cluster, "DURABLE refused", node->id, event.index);
}

static void
on_meta(struct cluster *cluster, struct fake_node *node)
{
	struct core_event event = { .kind = CORE_EVENT_META_DURABLE, .op_id = node->meta_op };

	if (node->is_hung) {
		node->is_meta_ready = true;
		return;
	}
	take_meta(cluster, node);
	if (cluster_event(cluster, node->id, &event) != TERN_OK)
		cluster_breach(cluster, "META_DURABLE refused", node->id, event.op_id);
}

/* @needed_index: committed when the client asked. */
static uint64_t
read_needing(struct cluster *cluster, struct fake_node *node, uint64_t needed_index)
{
	struct core_event event = { .kind = CORE_EVENT_READ, .op_id = ++cluster->read_op };

	if (!node->is_up || cluster->reads_count == 256)
		return 0;
	cluster->reads[cluster->reads_count++] = (struct fake_read){ .op_id = event.op_id,
								     .needed_index = needed_index,
								     .node = node->id };
	if (cluster_event(cluster, node->id, &event) == TERN_OK)
		return event.op_id;
	cluster->reads_count--;
	return 0;
}

/* Ahead of the commit: what that very mastership's memory_commit_index still reaches. */
static bool
may_apply(const struct fake_node *node, const struct fake_event *from)
{
	const struct core_view *view = core_view(node->core);

	return from->index <= view->commit_index ||
	       (view->role == CORE_MASTER && view->term == from->term &&
		from->index <= view->memory_commit_index);
}

static void
on_node_event(struct cluster *cluster, struct fake_node *node, const struct fake_event *from)
{
	struct core_event event = { .kind = CORE_EVENT_TICK };

	switch (from->kind) {
	case FAKE_TICK:
		node->tick_ns = 0;
		break;
	case FAKE_MESSAGE:
		event.kind = CORE_EVENT_MESSAGE;
		event.msg = &from->msg;
		event.path = from->path;
		if (cluster_event(cluster, node->id, &event) == TERN_OK)
			note_stream_ack(cluster, node, &from->msg);
		return;
	case FAKE_APPLY:
		event.kind = CORE_EVENT_APPLIED;
		event.index = from->index;
		if (node->is_idle) {
			node->unapplied = max_u64(node->unapplied, from->index);
			return;
		}
		if (from->index <= node->applied || !may_apply(node, from))
			return;
		cluster->applied_ahead += from->index > core_view(node->core)->commit_index;
		node->applied = from->index;
		break;
	case FAKE_BLOCK:
		on_block(cluster, node, from);
		return;
	case FAKE_WRITTEN:
		on_written(cluster, node);
		return;
	case FAKE_META:
		on_meta(cluster, node);
		return;
	case FAKE_READ:
		(void)read_needing(cluster, node, from->index);
		return;
	case FAKE_STREAM:
	case FAKE_COMMAND:
		return;
	}
	if (cluster_event(cluster, node->id, &event) != TERN_OK)
		cluster_breach(cluster, "event refused", node->id, (uint64_t)from->msg.kind);
}

static void
on_periodic(struct cluster *cluster, struct fake_event event)
{
	if (event.kind == FAKE_STREAM) {
		for (uint16_t i = 1; i < NODES; i++)
			for (uint16_t to = 1; to < NODES && cluster->nodes[i].is_up; to++)
				pump_stream(cluster, &cluster->nodes[i], to);
		event.at_ns += 1 * MS;
	} else {
		if (cluster->command_period_ns == 0)
			return;
		for (uint16_t i = 1; i < NODES; i++)
			if (cluster->nodes[i].paused_until_ns <= cluster->now_ns)
				(void)cluster_write(cluster, i);
		event.at_ns += prng_between(&cluster->prng, 1, 2 * cluster->command_period_ns);
	}
	push(cluster, event);
}

/* One event; false when the next one is later than @until_ns. */
static bool
run_one(struct cluster *cluster, uint64_t until_ns)
{
	struct fake_event event;
	struct fake_node *node;

	if (cluster->breach[0] != 0 || cluster->heap_count == 0 ||
	    cluster->heap[0].at_ns > until_ns)
		return false;
	event = pop(cluster);
	cluster->now_ns = max_u64(cluster->now_ns, event.at_ns);
	if (event.kind == FAKE_STREAM || event.kind == FAKE_COMMAND) {
		on_periodic(cluster, event);
		return true;
	}
	node = &cluster->nodes[event.node];
	if (!node->is_up || (event.boot_no != 0 && event.boot_no != node->boot_no))
		return true;
	if (node->paused_until_ns > cluster->now_ns) {
		event.at_ns = node->paused_until_ns;
		push(cluster, event);
		return true;
	}
	on_node_event(cluster, node, &event);
	return true;
}

/* ---- verbs ---- */

struct cluster *
cluster_new(uint64_t seed, uint32_t bugs)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));

	prng_seed(&cluster->prng, seed);
	cluster->bugs = bugs;
	cluster->min_copies = 1;
	cluster->now_ns = 1000 * MS;
	cluster->stream_window = 8;
	cluster->heap_max = 1u << 14;
	cluster->heap = calloc(cluster->heap_max, sizeof(*cluster->heap));
	cluster->committed = calloc(BLOCKS_MAX, sizeof(*cluster->committed));
	cluster->committed_term = calloc(BLOCKS_MAX, sizeof(*cluster->committed_term));
	for (uint16_t i = 1; i < NODES; i++) {
		struct fake_node *node = &cluster->nodes[i];
		node->id = i;
		node->slow_factor = 1;
		node->memory = aligned_alloc(64, core_bytes());
		node->history = calloc(BLOCKS_MAX, sizeof(*node->history));
		node->log = calloc(BLOCKS_MAX, sizeof(*node->log));
		node->reg = (struct witness_register){ .sequence = 1, .witness_gen = 1 };
	}
	push(cluster, (struct fake_event){ .kind = FAKE_STREAM, .at_ns = cluster->now_ns });
	for (uint16_t i = 1; i < NODES; i++)
		cluster_start(cluster, i);
	return cluster;
}

void
cluster_free(struct cluster *cluster)
{
	for (uint16_t i = 1; i < NODES; i++) {
		free(cluster->nodes[i].memory);
		free(cluster->nodes[i].history);
		free(cluster->nodes[i].log);
	}
	free(cluster->heap);
	free(cluster->committed);
	free(cluster->committed_term);
	free(cluster);
}

static void
reset_volatile(struct fake_node *node)
{
	node->last = node->persist_want = node->durable;
	node->is_writing = node->is_write_ready = node->is_meta_writing = false;
	node->is_meta_ready = node->is_cutting = node->is_accepting = false;
	node->is_barrier_wanted = node->is_hung = node->is_idle = false;
	node->unapplied = 0;
	node->slow_factor = 1;
	node->paused_until_ns = node->tick_ns = 0;
	node->checked_commit = node->applied = 0;
	memset(node->streams, 0, sizeof(node->streams));
}

void
cluster_start(struct cluster *cluster, uint16_t node_id)
{
	struct fake_node *node = &cluster->nodes[node_id];
	struct core_config config = {
		.node_id = node_id,
		.is_witness = node_id == NODE_W,
		.data_nodes = 1u << NODE_A | 1u << NODE_B,
		.witness_id = NODE_W,
		.witness_gen = 1,
		.solo_isolated_stop = cluster->solo_isolated_stop,
		.min_copies = cluster->min_copies,
		.timers = { .heartbeat_ns = 3 * MS,
			    .solo_ns = 30 * MS,
			    .late_ns = 120 * MS,
			    .stall_ns = 300 * MS,
			    .elect_min_ns = 50 * MS,
			    .elect_max_ns = 80 * MS },
		.prng_seed = prng_next(&cluster->prng),
		.bugs = cluster->bugs,
		.now_ns = cluster->now_ns,
		.is_first_boot = node->boot_no == 0,
		.is_log_volatile = node->is_log_volatile,
		.term = node->term,
		.voted_for = node->voted_for,
		.reg = node->reg,
		.is_amnesiac = node->is_amnesiac,
		.history = node->history,
		.history_count = BLOCKS_MAX,
	};
	for (uint16_t i = 0; i < NODES; i++)
		config.timers.node_late_ns[i] = cluster->late_ns[i];
	struct core_event tick = { .kind = CORE_EVENT_TICK };

	if (node->is_up)
		return;
	reset_volatile(node);
	config.boot_no = ++node->boot_no;
	node->is_up = true;
	if (core_init(node->memory, &config, &node->core) != TERN_OK)
		abort();
	for (uint64_t i = 1; i <= node->durable; i++)
		if (core_recover_block(node->core, &node->log[i].meta,
				       min_u64(node->log[i].commit_index, i)) != TERN_OK)
			abort();
	(void)cluster_event(cluster, node_id, &tick);
}

static void
count_node(struct cluster *cluster, const struct core_view *view)
{
	cluster->elections += view->elections;
	cluster->solo_entries += view->solo_entries;
	cluster->duplex_returns += view->duplex_returns;
	cluster->truncations += view->truncations;
}

static void
forget_reads(struct cluster *cluster, uint16_t node_id)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cluster->reads_count; i++)
		if (cluster->reads[i].node != node_id)
			cluster->reads[kept++] = cluster->reads[i];
	cluster->reads_count = kept;
}

/* What was being written may be there in part, or not at all. */
void
cluster_crash(struct cluster *cluster, uint16_t node_id)
{
	struct fake_node *node = &cluster->nodes[node_id];

	if (!node->is_up)
		return;
	count_node(cluster, core_view(node->core));
	forget_reads(cluster, node_id);
	cluster->crashes++;
	node->is_up = false;
	if (node->is_log_volatile)
		node->durable = 0;
	else if (node->is_writing)
		node->durable = prng_between(&cluster->prng, node->durable, node->write_to);
	if (node->is_meta_writing && prng_below(&cluster->prng, 2) == 0)
		take_meta(cluster, node);
	reset_volatile(node);
}

void
cluster_pause(struct cluster *cluster, uint16_t node_id, uint64_t span_ns)
{
	cluster->nodes[node_id].paused_until_ns = cluster->now_ns + span_ns;
	cluster->pauses++;
}

void
cluster_hang(struct cluster *cluster, uint16_t node_id, bool is_hung)
{
	struct fake_node *node = &cluster->nodes[node_id];

	node->is_hung = is_hung;
	cluster->hangs += is_hung;
	if (is_hung)
		return;
	if (node->is_write_ready)
		push(cluster, (struct fake_event){ .kind = FAKE_WRITTEN,
						   .at_ns = cluster->now_ns,
						   .node = node_id,
						   .boot_no = node->boot_no });
	if (node->is_meta_ready)
		push(cluster, (struct fake_event){ .kind = FAKE_META,
						   .at_ns = cluster->now_ns,
						   .node = node_id,
						   .boot_no = node->boot_no });
	node->is_write_ready = node->is_meta_ready = false;
}

void
cluster_idle(struct cluster *cluster, uint16_t node_id, bool is_idle)
{
	struct fake_node *node = &cluster->nodes[node_id];

	node->is_idle = is_idle;
	if (!is_idle && node->unapplied > node->applied)
		push(cluster, (struct fake_event){ .kind = FAKE_APPLY,
						   .at_ns = cluster->now_ns,
						   .node = node_id,
						   .boot_no = node->boot_no,
						   .index = node->unapplied });
	node->unapplied = 0;
}

void
cluster_cut(struct cluster *cluster, uint16_t x, uint16_t y, bool is_cut)
{
	for (uint32_t path = 0; path < PATHS; path++)
		cluster->cut[x][y][path] = cluster->cut[y][x][path] = is_cut;
	cluster->cuts += is_cut;
}

void
cluster_heal(struct cluster *cluster)
{
	memset(cluster->cut, 0, sizeof(cluster->cut));
}

void
cluster_run(struct cluster *cluster, uint64_t span_ns)
{
	const uint64_t until_ns = cluster->now_ns + span_ns;

	while (run_one(cluster, until_ns))
		;
	cluster->now_ns = until_ns;
}

bool
cluster_until(struct cluster *cluster, uint16_t node_id, enum core_mode mode, uint64_t span_ns)
{
	const uint64_t until_ns = cluster->now_ns + span_ns;
	const struct core_view *view;

	do {
		if (!cluster->nodes[node_id].is_up)
			continue;
		view = cluster_view(cluster, node_id);
		if (view->mode == mode && (view->role != CORE_MASTER || view->is_serving))
			return true;
	} while (run_one(cluster, until_ns));
	return false;
}

uint64_t
cluster_write(struct cluster *cluster, uint16_t node_id)
{
	struct fake_node *node = &cluster->nodes[node_id];
	const struct core_view *view = cluster_view(cluster, node_id);

	if (!node->is_up || view->role != CORE_MASTER || !view->is_serving ||
	    node->is_barrier_wanted || node->last > view->commit_index + 64 ||
	    node->last + 1 >= BLOCKS_MAX)
		return 0;
	append_block(cluster, node, BLOCK_COMMANDS, view->term, view->epoch);
	return node->last;
}

bool
cluster_committed(struct cluster *cluster, uint16_t node_id, uint64_t index, uint64_t span_ns)
{
	const uint64_t until_ns = cluster->now_ns + span_ns;

	do {
		if (cluster->nodes[node_id].is_up &&
		    cluster_view(cluster, node_id)->commit_index >= index)
			return true;
	} while (run_one(cluster, until_ns));
	return false;
}

uint64_t
cluster_read(struct cluster *cluster, uint16_t node_id)
{
	return read_needing(cluster, &cluster->nodes[node_id], cluster->committed_max);
}

void
cluster_offer_read(struct cluster *cluster, uint16_t node_id)
{
	push(cluster, (struct fake_event){ .kind = FAKE_READ,
					   .at_ns = cluster->now_ns,
					   .node = node_id,
					   .index = cluster->committed_max });
}

void
cluster_commands(struct cluster *cluster, uint64_t period_ns)
{
	cluster->command_period_ns = period_ns;
	push(cluster, (struct fake_event){ .kind = FAKE_COMMAND, .at_ns = cluster->now_ns });
}

void
cluster_count(struct cluster *cluster)
{
	for (uint16_t i = 1; i < NODES; i++)
		if (cluster->nodes[i].is_up)
			count_node(cluster, core_view(cluster->nodes[i].core));
}

const struct core_view *
cluster_view(const struct cluster *cluster, uint16_t node_id)
{
	return core_view(cluster->nodes[node_id].core);
}

void
cluster_breach(struct cluster *cluster, const char *what, uint64_t a, uint64_t b)
{
	if (cluster->breach[0] == 0)
		(void)snprintf(cluster->breach, sizeof(cluster->breach),
			       "%s (%llu, %llu) at %llu us", what, (unsigned long long)a,
			       (unsigned long long)b, (unsigned long long)(cluster->now_ns / US));
}
