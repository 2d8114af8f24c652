/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One consensus core, whose peers say whatever the input wants: messages of any content, in any
 * order, together with ticks, reads, hand-overs, failures. Nothing that a peer says may fail an
 * INVARIANT of the core, nor one of the runtime that carries the effects out: those are the
 * REQUIREs here.
 *
 * Local events keep the runtime's contract, for which a log of block metas stands in: APPENDED only
 * while serving or for a barrier that was asked for, RECEIVED only while accepting, or of a block
 * that the core wants to pull, and only blocks that chain onto the last one, DURABLE up to what was
 * to be persisted, META_DURABLE for the write that is outstanding, CUT_DONE after CUT.
 */
#include "dataplane/base/bits.h"
#include "dataplane/core/core.h"
#include "dataplane/core/core_pull.h"
#include "dataplane/core/force.h"
#include "tests/fuzz/fuzz.h"

#define BLOCKS_MAX 48u
#define STEPS_MAX  400u
#define READS_MAX  4096u
#define NODES_MAX  64u
#define MS         1000000ull

struct node {
	_Alignas(64) uint8_t memory[64 * 1024];
	struct core *core;
	struct core_config config;
	struct core_effects effects;
	struct block_meta history[BLOCKS_MAX]; /* the core's */
	struct block_meta log[BLOCKS_MAX];     /* the command log's */
	uint64_t now_ns, last_index, persist_index, durable_index, commit_index, applied_index,
	    memory_index;
	uint64_t term, durable_term;
	struct witness_register reg;
	bool has_meta, is_storage_failed, is_ring_full, is_accepting, is_superseded, is_forced;
	uint64_t meta_op, read_op, read_answered;
	bool is_barrier_wanted, is_cut_pending;
	uint64_t barrier_term, cut_index;
	uint32_t barrier_epoch, pull_count;
	uint64_t pull_index; /* blocks from there on were told to be committed */
	struct hash128 pull[MSG_NEXT_MAX];
	struct msg sent[NODES_MAX][MSG_KIND_LAST + 1]; /* the last of each kind, by node */
};

/* ---- the log ---- */

static struct hash128
chain_of(const struct node *node, uint64_t index)
{
	if (index == 0 || index > node->last_index)
		return (struct hash128){ 0, 0 };
	return node->log[index - 1].chain;
}

/* The next block; a different @salt makes a different block. */
static struct block_meta
next_block(const struct node *node, uint64_t term, uint32_t epoch, enum block_kind kind,
	   uint32_t salt)
{
	const struct hash128 before = chain_of(node, node->last_index);

	return (struct block_meta){
		.log_index = node->last_index + 1,
		.term = term,
		.epoch = epoch,
		.kind = kind,
		.chain = { before.low * 31 + term * 7 + epoch * 3 + (uint64_t)kind + salt + 1,
			   before.high + 1 },
	};
}

static struct block_meta
last_block(const struct node *node)
{
	return node->last_index == 0 ? (struct block_meta){ 0 } : node->log[node->last_index - 1];
}

static void
log_push(struct node *node, const struct block_meta *block)
{
	REQUIRE(node->last_index < BLOCKS_MAX);
	REQUIRE(block->term >= last_block(node).term);
	node->log[node->last_index++] = *block;
}

/* ---- effects ---- */

static bool
is_data_peer(const struct node *node, uint16_t id)
{
	return id < NODES_MAX && id != node->config.node_id &&
	       (node->config.data_nodes >> id & 1) != 0;
}

static void
on_send(struct node *node, const struct core_effect *effect)
{
	uint8_t body[MSG_BYTES_MAX];
	struct msg again = { 0 };

	REQUIRE(is_data_peer(node, effect->node) ||
		(effect->node == node->config.witness_id && !node->config.is_witness));
	REQUIRE(effect->msg.sender == node->config.node_id);
	/* Under a term that is being written nothing is said; but that a candidate lacks blocks is
	 * true whatever is being written, and goes out under the one before. */
	if (node->has_meta) {
		REQUIRE(effect->msg.kind == MSG_VOTE_ACK || effect->msg.kind == MSG_PREVOTE_ACK);
		REQUIRE(effect->msg.vote_ack.refusal == MSG_VOTE_REFUSED_LOG);
	}
	REQUIRE(effect->msg.term ==
		(node->has_meta ? node->durable_term : core_view(node->core)->term));
	REQUIRE(effect->paths != 0);
	REQUIRE(msg_decode(body, msg_encode(body, &effect->msg), &again) == TERN_OK);
	node->sent[effect->node][effect->msg.kind] = effect->msg;
}

static void
on_register(struct node *node, const struct core_effect *effect)
{
	const struct witness_register *reg = &effect->reg, *old = &node->reg;

	REQUIRE(node->config.is_witness && !node->has_meta);
	REQUIRE(reg->sequence > old->sequence && reg->term >= old->term);
	REQUIRE(reg->last_term > old->last_term ||
		(reg->last_term == old->last_term && reg->last_epoch >= old->last_epoch));
	REQUIRE(reg->last_term <= reg->term);
	node->reg = *reg;
	node->has_meta = true;
	node->meta_op = effect->op_id;
}

static void
on_meta(struct node *node, const struct core_effect *effect)
{
	REQUIRE(!node->config.is_witness && !node->has_meta);
	REQUIRE(effect->term >= node->term);
	node->term = effect->term;
	node->has_meta = true;
	node->meta_op = effect->op_id;
}

static void
on_read_answer(struct node *node, const struct core_effect *effect)
{
	REQUIRE(effect->op_id == node->read_answered + 1);
	REQUIRE(effect->op_id <= node->read_op);
	node->read_answered++;
	if (effect->kind == CORE_EFFECT_READ_READY)
		REQUIRE(effect->index <= node->last_index);
}

static void
on_cut(struct node *node, uint64_t keep_index)
{
	REQUIRE(!node->is_cut_pending);
	REQUIRE(keep_index >= node->commit_index && keep_index < node->last_index);
	node->is_cut_pending = true;
	node->cut_index = keep_index;
	node->is_accepting = false;
}

static void
on_memory_commit(struct node *node, uint64_t index)
{
	REQUIRE(core_view(node->core)->role == CORE_MASTER);
	REQUIRE(index >= node->commit_index && index <= node->last_index);
	REQUIRE(index >= node->applied_index);
	node->memory_index = index;
}

static void
on_rollback(struct node *node, uint64_t index)
{
	REQUIRE(!node->is_cut_pending && index >= node->commit_index);
	REQUIRE(index < node->applied_index);
	node->applied_index = index;
}

static void
on_accept(struct node *node, const struct core_effect *effect)
{
	REQUIRE(!node->is_cut_pending && is_data_peer(node, effect->node));
	REQUIRE(effect->index == node->last_index + 1);
	node->is_accepting = true;
}

static void
on_pull(struct node *node, const struct core_effect *effect)
{
	REQUIRE(is_data_peer(node, effect->node) && !node->is_cut_pending);
	REQUIRE(effect->index == node->last_index + 1);
	REQUIRE(effect->msg.sought.next_count >= 1);
	node->pull_index = effect->index;
	node->pull_count = effect->msg.sought.next_count;
	memcpy(node->pull, effect->msg.sought.next, sizeof(node->pull));
}

/* What is committed is not given up for less. */
static void
on_install(const struct node *node, const struct core_effect *effect)
{
	REQUIRE(is_data_peer(node, effect->node) && !node->is_cut_pending);
	REQUIRE(effect->block.log_index > node->commit_index);
}

static void
on_effect(struct node *node, const struct core_effect *effect)
{
	switch (effect->kind) {
	case CORE_EFFECT_SEND:
		on_send(node, effect);
		break;
	case CORE_EFFECT_PERSIST_META:
		on_meta(node, effect);
		break;
	case CORE_EFFECT_PERSIST_REGISTER:
		on_register(node, effect);
		break;
	case CORE_EFFECT_PERSIST:
		REQUIRE(effect->index <= node->last_index);
		node->persist_index = max_u64(node->persist_index, effect->index);
		break;
	case CORE_EFFECT_APPEND_BARRIER:
		node->is_barrier_wanted = true;
		node->barrier_term = effect->term;
		node->barrier_epoch = effect->epoch;
		break;
	case CORE_EFFECT_STREAM_START:
		REQUIRE(is_data_peer(node, effect->node));
		REQUIRE(effect->index != 0 && effect->index <= node->last_index + 1);
		break;
	case CORE_EFFECT_STREAM_STOP:
		REQUIRE(is_data_peer(node, effect->node));
		break;
	case CORE_EFFECT_ACCEPT:
		on_accept(node, effect);
		break;
	case CORE_EFFECT_ACCEPT_STOP:
		node->is_accepting = false;
		break;
	case CORE_EFFECT_CUT:
		on_cut(node, effect->index);
		break;
	case CORE_EFFECT_COMMIT:
		REQUIRE(effect->index >= node->commit_index && effect->index <= node->last_index);
		REQUIRE(!node->is_cut_pending || effect->index <= node->cut_index);
		node->commit_index = effect->index;
		break;
	case CORE_EFFECT_MEMORY_COMMIT:
		on_memory_commit(node, effect->index);
		break;
	case CORE_EFFECT_ROLLBACK:
		on_rollback(node, effect->index);
		break;
	case CORE_EFFECT_ROLE:
		if (core_view(node->core)->role == CORE_MASTER)
			break;
		node->is_barrier_wanted = false;
		node->memory_index = 0;
		break;
	case CORE_EFFECT_READ_READY:
	case CORE_EFFECT_READ_FAILED:
		on_read_answer(node, effect);
		break;
	case CORE_EFFECT_ALARM:
		REQUIRE(effect->alarm >= CORE_ALARM_ACK_FORGOTTEN);
		break;
	case CORE_EFFECT_PULL:
		on_pull(node, effect);
		break;
	case CORE_EFFECT_INSTALL:
		on_install(node, effect);
		break;
	case CORE_EFFECT_REJOIN:
		REQUIRE(false); /* no node of this target lost its storage */
		break;
	}
}

static void
check_view(const struct node *node, const struct core_view *before)
{
	const struct core_view *view = core_view(node->core);

	REQUIRE(view->term >= before->term && view->commit_index >= before->commit_index);
	REQUIRE(view->commit_index <= view->memory_commit_index);
	REQUIRE(view->memory_commit_index <= view->last_index);
	REQUIRE(view->applied_index <= view->memory_commit_index);
	REQUIRE(view->applied_index == node->applied_index);
	if (view->is_forgetful)
		REQUIRE(view->role != CORE_MASTER && view->role != CORE_CANDIDATE);
	REQUIRE(view->commit_index == node->commit_index);
	REQUIRE(view->last_index == node->last_index);
	REQUIRE(view->durable_index <= view->last_index);
	REQUIRE(hash128_equal(view->last_chain, chain_of(node, node->last_index)));
	if (view->role == CORE_MASTER)
		REQUIRE(!node->is_accepting && !node->is_cut_pending && !node->has_meta);
	if (view->is_serving)
		REQUIRE(view->role == CORE_MASTER && !node->is_storage_failed);
	/* A later generation, or one that begins with the next start: no role in this one. */
	if (node->is_superseded || node->is_forced)
		REQUIRE(view->role == CORE_FOLLOWER || view->role == CORE_WITNESS);
	if (node->is_superseded)
		REQUIRE(view->master_id == 0);
}

static enum tern_err
step(struct node *node, struct core_event event)
{
	const struct core_view before = *core_view(node->core);

	event.now_ns = node->now_ns;
	const enum tern_err err = core_step(node->core, &event, &node->effects);
	REQUIRE(node->effects.count <= CORE_EFFECTS_MAX);
	REQUIRE(err == TERN_OK || node->effects.count == 0);
	for (uint32_t i = 0; i < node->effects.count; i++)
		on_effect(node, &node->effects.list[i]);
	check_view(node, &before);
	return err;
}

/* ---- local events ---- */

static void
append(struct node *node, uint64_t term, uint32_t epoch, enum block_kind kind)
{
	struct core_event event = { .kind = CORE_EVENT_APPENDED };

	event.block = next_block(node, term, epoch, kind, 0);
	log_push(node, &event.block);
	REQUIRE(step(node, event) == TERN_OK);
}

/* A wanted barrier goes before anything else; it waits only while the ring is full. */
static void
seal_barrier(struct node *node)
{
	if (!node->is_barrier_wanted || node->is_ring_full || node->last_index == BLOCKS_MAX)
		return;
	node->is_barrier_wanted = false;
	append(node, node->barrier_term, node->barrier_epoch, BLOCK_BARRIER);
}

static void
seal_commands(struct node *node)
{
	const struct core_view *view = core_view(node->core);

	if (!view->is_serving || node->is_barrier_wanted || node->last_index + 4 > BLOCKS_MAX)
		return;
	append(node, view->term, view->epoch, BLOCK_COMMANDS);
}

/* A block that chains onto the last one and whose term and epoch do not fall. */
static void
receive(struct node *node, struct fuzz_input *in)
{
	const uint8_t how = fuzz_u8(in);
	const struct block_meta last = last_block(node);
	const uint64_t term = (how & 1) != 0 ? core_view(node->core)->term : last.term;
	const uint32_t least = term == last.term ? last.epoch : 0;
	const enum block_kind kind = (how & 2) != 0 ? BLOCK_BARRIER : BLOCK_COMMANDS;

	if (!node->is_accepting || node->last_index == BLOCKS_MAX || term < last.term || term == 0)
		return;
	const struct core_event event = {
		.kind = CORE_EVENT_RECEIVED,
		.block = next_block(node, term, least + (how >> 2 & 1), kind, how >> 3 & 1),
	};
	log_push(node, &event.block);
	REQUIRE(step(node, event) == TERN_OK);
}

/* A block that was told to be committed. */
static void
receive_pulled(struct node *node)
{
	const struct block_meta last = last_block(node);
	const uint64_t term = core_view(node->core)->term;

	if (node->pull_count == 0 || node->last_index == BLOCKS_MAX || term == 0 ||
	    !core_takes_pulled(node->core, node->pull_index, node->pull[0]))
		return;
	struct core_event event = { .kind = CORE_EVENT_RECEIVED, .flag = true };
	event.block = next_block(node, term, term == last.term ? last.epoch : 0, BLOCK_COMMANDS, 0);
	event.block.chain = node->pull[0];
	REQUIRE(event.block.log_index == node->pull_index);
	node->pull_index++;
	node->pull_count--;
	memmove(node->pull, node->pull + 1, sizeof(node->pull) - sizeof(node->pull[0]));
	log_push(node, &event.block);
	REQUIRE(step(node, event) == TERN_OK);
}

static void
make_durable(struct node *node, struct fuzz_input *in)
{
	const uint64_t end = min_u64(node->persist_index, node->last_index);

	if (node->is_storage_failed || node->is_cut_pending || end <= node->durable_index)
		return;
	node->durable_index += 1 + fuzz_u8(in) % (end - node->durable_index);
	const struct core_event event = { .kind = CORE_EVENT_DURABLE,
					  .index = node->durable_index };
	REQUIRE(step(node, event) == TERN_OK);
}

static void
make_meta_durable(struct node *node)
{
	if (!node->has_meta || node->is_storage_failed)
		return;
	node->has_meta = false;
	node->durable_term = node->term;
	const struct core_event event = { .kind = CORE_EVENT_META_DURABLE, .op_id = node->meta_op };
	REQUIRE(step(node, event) == TERN_OK);
}

/* Up to the commit, and as master ahead of it. */
static void
apply(struct node *node, struct fuzz_input *in)
{
	const uint64_t most = max_u64(node->commit_index, node->memory_index);

	if (node->applied_index >= most)
		return;
	node->applied_index += 1 + fuzz_u8(in) % (most - node->applied_index);
	const struct core_event event = { .kind = CORE_EVENT_APPLIED,
					  .index = node->applied_index };
	REQUIRE(step(node, event) == TERN_OK);
}

/* The tail is flushed, unless the area is full, then cut, then told. */
static void
finish_cut(struct node *node, struct fuzz_input *in)
{
	const bool is_flushed = (fuzz_u8(in) & 1) == 0;

	if (!node->is_cut_pending || node->is_storage_failed)
		return;
	REQUIRE(node->cut_index >= node->applied_index);
	if (is_flushed)
		node->durable_index = node->last_index;
	const struct core_event durable = {
		.kind = CORE_EVENT_DURABLE,
		.index = min_u64(node->durable_index, node->cut_index),
	};
	if (durable.index > core_view(node->core)->durable_index)
		REQUIRE(step(node, durable) == TERN_OK);
	node->last_index = node->cut_index;
	node->persist_index = min_u64(node->persist_index, node->cut_index);
	node->durable_index = durable.index;
	node->is_cut_pending = false;
	const struct core_event done = { .kind = CORE_EVENT_CUT_DONE, .index = node->cut_index };
	REQUIRE(step(node, done) == TERN_OK);
}

static void
read_one(struct node *node)
{
	const struct core_event event = { .kind = CORE_EVENT_READ,
					  .op_id = node->read_op + 1,
					  .flag = node->read_op % 2 != 0 };

	if (node->read_op == READS_MAX)
		return;
	node->read_op++;
	const enum tern_err err = step(node, event);
	REQUIRE(err == TERN_OK || err == TERN_ERR_NOT_MASTER || err == TERN_ERR_QUEUE_FULL);
	if (err != TERN_OK)
		node->read_op--;
}

static void
pass_time(struct node *node, uint8_t how)
{
	static const uint64_t gaps_ns[] = { 0,       1,       MS,      3 * MS,   15 * MS,
					    30 * MS, 50 * MS, 81 * MS, 301 * MS, 501 * MS };
	const uint64_t deadline_ns = core_deadline_ns(node->core);

	if (how < 64)
		node->now_ns += gaps_ns[how % (sizeof(gaps_ns) / sizeof(gaps_ns[0]))];
	else if (deadline_ns != UINT64_MAX)
		node->now_ns = max_u64(node->now_ns, deadline_ns);
}

/* ---- messages ---- */

static uint64_t
pick_index(const struct node *node, struct fuzz_input *in)
{
	const uint8_t how = fuzz_u8(in);

	switch (how & 7) {
	case 0:
	case 1:
		return node->last_index;
	case 2:
		return node->last_index + 1 + (how >> 3);
	case 3:
	case 4:
		return node->last_index - min_u64(node->last_index, 1 + (how >> 3 & 7));
	case 5:
		return node->commit_index;
	case 6:
		return how >> 3;
	default:
		return how == 0xff ? fuzz_take(in, 8) : 0;
	}
}

static struct hash128
pick_chain(const struct node *node, struct fuzz_input *in, uint64_t index)
{
	const uint8_t how = fuzz_u8(in);
	struct hash128 chain = chain_of(node, index);

	if ((how & 3) == 3)
		chain.low += how;
	if (how == 0xff)
		chain = chain_of(node, pick_index(node, in));
	return chain;
}

static uint64_t
pick_term(uint64_t term, struct fuzz_input *in)
{
	const uint8_t how = fuzz_u8(in);

	switch (how & 7) {
	case 5:
		return term + 1;
	case 6:
		return term - min_u64(term, 1);
	case 7:
		return how == 0xff ? fuzz_take(in, 8) : term + (how >> 3);
	default:
		return term;
	}
}

static uint32_t
pick_u32(uint32_t likely, struct fuzz_input *in)
{
	const uint8_t how = fuzz_u8(in);

	if (how < 192)
		return likely;
	return how == 0xff ? (uint32_t)fuzz_take(in, 4) : likely + (how & 7) - 3;
}

static void
fill_append(const struct node *node, struct fuzz_input *in, struct msg *msg)
{
	struct msg_append *append = &msg->append;

	append->prev_index = pick_index(node, in);
	append->prev_chain = pick_chain(node, in, append->prev_index);
	append->last_index = pick_index(node, in);
	append->has_next = append->prev_index < append->last_index;
	if (append->has_next)
		append->next_chain = pick_chain(node, in, append->prev_index + 1);
	append->commit_index = pick_index(node, in);
	append->epoch = pick_u32(0, in);
}

static void
fill_append_ack(const struct node *node, struct fuzz_input *in, struct msg *msg)
{
	struct msg_append_ack *ack = &msg->append_ack;

	ack->status = (enum msg_append_status)(fuzz_u8(in) % 3);
	ack->probe_index = node->sent[msg->sender][MSG_APPEND].append.prev_index;
	if (fuzz_u8(in) > 192)
		ack->probe_index = pick_index(node, in);
	ack->received_index = pick_index(node, in);
	ack->durable_index = pick_index(node, in);
	ack->last_index = pick_index(node, in);
	ack->conflict_index = pick_index(node, in);
	ack->conflict_chain = pick_chain(node, in, ack->conflict_index);
}

static void
fill_vote(const struct node *node, struct fuzz_input *in, struct msg *msg)
{
	struct msg_vote *vote = &msg->vote;
	const struct block_meta last = last_block(node);

	vote->for_term = msg->kind == MSG_VOTE ? msg->term : msg->term + 1;
	if (fuzz_u8(in) > 224)
		vote->for_term = pick_term(msg->term, in);
	vote->last_term = pick_term(last.term, in);
	vote->last_epoch = pick_u32(last.epoch, in);
	vote->last_index = pick_index(node, in);
	vote->votes_granted = fuzz_u8(in);
	vote->witness_gen = pick_u32(node->config.witness_gen, in);
	vote->is_hand_over = (fuzz_u8(in) & 1) != 0;
}

static void
fill_vote_ack(const struct node *node, struct fuzz_input *in, struct msg *msg)
{
	const enum msg_kind asked = msg->kind == MSG_VOTE_ACK ? MSG_VOTE : MSG_PREVOTE;
	const uint8_t how = fuzz_u8(in);

	msg->vote_ack.for_term = node->sent[msg->sender][asked].vote.for_term;
	if (how > 224)
		msg->vote_ack.for_term = pick_term(msg->term, in);
	if (how % 2 != 0)
		msg->vote_ack.refusal = (enum msg_vote_refusal)(fuzz_u8(in) % 7);
	msg->vote_ack.commit_index = pick_index(node, in);
	msg->vote_ack.commit_chain = pick_chain(node, in, msg->vote_ack.commit_index);
}

static void
fill_checkpoint(const struct node *node, struct fuzz_input *in, struct msg_checkpoint *offer)
{
	offer->log_index = pick_index(node, in);
	offer->term = pick_term(core_view(node->core)->term, in);
	offer->epoch = fuzz_u8(in) % 3;
	offer->kind = fuzz_u8(in) % 5;
	offer->chain = pick_chain(node, in, offer->log_index);
	offer->commit_index = pick_index(node, in);
	offer->base_index = pick_index(node, in);
}

/* Committed, says a peer, whatever is here; not above what is known here, if there is no sense in
 * it: real peers know nothing else. */
static void
fill_sought(const struct node *node, struct fuzz_input *in, struct msg_sought *sought)
{
	sought->is_known = fuzz_u8(in) < 224;
	sought->index = pick_index(node, in);
	sought->chain = pick_chain(node, in, sought->index);
	sought->next_count = fuzz_u8(in) % (MSG_NEXT_MAX + 1);
	for (uint32_t i = 0; i < sought->next_count; i++)
		sought->next[i] = pick_chain(node, in, sought->index + 1 + i);
	sought->commit_index = pick_index(node, in);
	sought->checkpoint_index = pick_index(node, in);
	sought->checkpoint_term = pick_term(core_view(node->core)->term, in);
	sought->checkpoint_kind = fuzz_u8(in) % 5;
	sought->checkpoint_chain = pick_chain(node, in, sought->checkpoint_index);
}

static void
fill_register(const struct node *node, struct fuzz_input *in, struct msg_register *reg)
{
	reg->witness_gen = pick_u32(node->config.witness_gen, in);
	reg->epoch = pick_u32(1, in);
	reg->rset = fuzz_u8(in);
	reg->last_index = pick_index(node, in);
	reg->peer_boot_no = pick_u32(node->config.boot_no, in);
	reg->what = (enum msg_register_what)(fuzz_u8(in) % 3);
}

static void
fill_seek(const struct node *node, struct fuzz_input *in, struct msg_seek *seek)
{
	seek->low_index = pick_index(node, in);
	seek->low_chain = pick_chain(node, in, seek->low_index);
	seek->index = pick_index(node, in);
}

static void
fill_rejoin_ack(struct fuzz_input *in, uint64_t nonce, struct msg_rejoin_ack *ack)
{
	ack->nonce = nonce;
	ack->peer_boot_no = fuzz_u8(in);
	ack->voters = fuzz_u8(in);
	ack->witness_id = fuzz_u8(in);
}

static void
fill_heartbeat_ack(const struct node *node, struct fuzz_input *in, const struct msg *asked,
		   struct msg *msg)
{
	struct msg_heartbeat_ack *ack = &msg->heartbeat_ack;

	ack->health = fuzz_u8(in) < 224 ? 0 : fuzz_u8(in);
	ack->round = pick_term(asked->heartbeat.round, in);
	ack->received_index = pick_index(node, in);
	ack->durable_index = pick_index(node, in);
	ack->applied_index = pick_index(node, in);
	ack->sent_ns = fuzz_take(in, 2) * 1000;
	ack->promise_units = (uint32_t)(ack->sent_ns / 1000);
}

static void
fill_body(const struct node *node, struct fuzz_input *in, struct msg *msg)
{
	const struct msg *sent = node->sent[msg->sender];

	switch (msg->kind) {
	case MSG_HEARTBEAT:
		msg->heartbeat.epoch = pick_u32(core_view(node->core)->epoch, in);
		msg->heartbeat.health = fuzz_u8(in);
		msg->heartbeat.asks_promise = msg->heartbeat.health >> 7;
		msg->heartbeat.commit_index = pick_index(node, in);
		msg->heartbeat.commit_chain = pick_chain(node, in, msg->heartbeat.commit_index);
		msg->heartbeat.round = fuzz_take(in, 2);
		msg->heartbeat.echo_ns = fuzz_take(in, 2) * 1000;
		msg->heartbeat.echo_boot_no = fuzz_u8(in) % 4;
		msg->heartbeat.confirmed_age_ns = fuzz_take(in, 2) * 1000;
		msg->heartbeat.witness_gen = pick_u32(node->config.witness_gen, in);
		break;
	case MSG_HEARTBEAT_ACK:
		fill_heartbeat_ack(node, in, &sent[MSG_HEARTBEAT], msg);
		break;
	case MSG_APPEND:
		fill_append(node, in, msg);
		break;
	case MSG_APPEND_ACK:
		fill_append_ack(node, in, msg);
		break;
	case MSG_PREVOTE:
	case MSG_VOTE:
		fill_vote(node, in, msg);
		break;
	case MSG_PREVOTE_ACK:
	case MSG_VOTE_ACK:
		fill_vote_ack(node, in, msg);
		break;
	case MSG_REGISTER:
		fill_register(node, in, &msg->register_);
		break;
	case MSG_REGISTER_ACK:
		msg->register_ack.epoch = pick_u32(sent[MSG_REGISTER].register_.epoch, in);
		msg->register_ack.is_accepted = fuzz_u8(in) < 192;
		break;
	case MSG_TRANSFER_NOW:
		msg->transfer.last_index = pick_index(node, in);
		break;
	case MSG_FAREWELL:
		break;
	case MSG_RECOGNIZED:
		msg->recognized.peer_boot_no = pick_u32(node->config.boot_no, in);
		msg->recognized.commit_index = pick_index(node, in);
		break;
	case MSG_CHECKPOINT:
		fill_checkpoint(node, in, &msg->checkpoint);
		break;
	case MSG_SEEK:
		fill_seek(node, in, &msg->seek);
		break;
	case MSG_SOUGHT:
		fill_sought(node, in, &msg->sought);
		break;
	case MSG_REJOIN:
		msg->boot_no = 0;
		msg->rejoin.nonce = fuzz_u8(in);
		break;
	case MSG_REJOIN_ACK:
		fill_rejoin_ack(in, sent[MSG_REJOIN].rejoin.nonce, &msg->rejoin_ack);
		break;
	}
}

static void
hear(struct node *node, struct fuzz_input *in, enum msg_kind kind)
{
	static const uint16_t senders[] = { 1, 2, 3, 4, 1, 2, 3, 5 };
	const uint8_t how = fuzz_u8(in);
	struct msg msg = { .kind = kind, .sender = senders[how & 7], .boot_no = 1 };

	if (how >> 3 == 31)
		msg.sender = fuzz_u8(in) % NODES_MAX;
	if (how >> 3 == 30)
		msg.boot_no = (uint32_t)fuzz_u8(in);
	msg.term = pick_term(core_view(node->core)->term, in);
	fill_body(node, in, &msg);
	const struct core_event event = {
		.kind = CORE_EVENT_MESSAGE,
		.msg = &msg,
		.path = (how & 8) != 0 ? CORE_PATH_MGMT : CORE_PATH_DATA,
	};
	const enum tern_err err = step(node, event);
	REQUIRE(err == TERN_OK || err == TERN_ERR_MALFORMED || err == TERN_ERR_STALE_TERM);
}

/* ---- a run ---- */

struct topology {
	uint16_t node_id, witness_id;
	uint64_t data_nodes;
	uint32_t min_copies;
	bool solo_isolated_stop;
};

static void
start(struct node *node, struct fuzz_input *in)
{
	static const struct topology topologies[] = {
		{ 1, 3, 0x6, 1, false }, { 2, 3, 0x6, 1, true },   { 1, 3, 0x6, 2, false },
		{ 2, 0, 0xe, 1, false }, { 1, 5, 0x1e, 1, false }, { 1, 0, 0x2, 1, false },
		{ 3, 3, 0x6, 1, false },
	};
	const uint8_t how = fuzz_u8(in), recovered = fuzz_u8(in);
	const struct topology *topology = &topologies[how % 7];
	const bool is_witness = topology->node_id == topology->witness_id;

	memset(node, 0, sizeof(*node));
	node->now_ns = 1000 * MS;
	node->config = (struct core_config){
		.node_id = topology->node_id,
		.is_witness = is_witness,
		.data_nodes = topology->data_nodes,
		.witness_id = topology->witness_id,
		.witness_gen = 1,
		.solo_isolated_stop = topology->solo_isolated_stop,
		.min_copies = topology->min_copies,
		.timers = { .heartbeat_ns = 3 * MS,
			    .solo_ns = 30 * MS,
			    .late_ns = 300 * MS,
			    .stall_ns = 500 * MS,
			    .elect_min_ns = 50 * MS,
			    .elect_max_ns = 80 * MS,
			    .has_leases = how % 3 == 0,
			    .clock_drift_ppm = how * 100u },
		.prng_seed = how,
		.now_ns = node->now_ns,
		.boot_no = 1 + (how & 1),
		.is_first_boot = (how & 1) == 0,
		.is_log_volatile = (recovered >> 5 & 1) != 0,
		.term = 4,
		.reg = { .sequence = 1, .witness_id = topology->witness_id, .boot_no = 1 },
		.is_amnesiac = is_witness && how > 240,
		.history = node->history,
		.history_count = BLOCKS_MAX,
	};
	node->reg = node->config.reg;
	node->term = node->durable_term = is_witness ? 0 : 4;
	REQUIRE(core_bytes() <= sizeof(node->memory));
	REQUIRE(core_init(node->memory, &node->config, &node->core) == TERN_OK);
	for (uint32_t i = 0; !is_witness && i < recovered % 8; i++) {
		const struct block_meta block =
		    next_block(node, 1 + i / 2, 0, BLOCK_COMMANDS, recovered >> 6);
		log_push(node, &block);
		REQUIRE(core_recover_block(node->core, &block, min_u64(i, recovered >> 3 & 7)) ==
			TERN_OK);
	}
	node->durable_index = node->persist_index = node->last_index;
	node->commit_index = core_view(node->core)->commit_index;
}

static void
fail_storage(struct node *node)
{
	node->is_storage_failed = true;
	REQUIRE(step(node, (struct core_event){ .kind = CORE_EVENT_STORAGE_FAILED }) == TERN_OK);
}

static void
supersede(struct node *node)
{
	node->is_superseded = true;
	REQUIRE(step(node, (struct core_event){ .kind = CORE_EVENT_SUPERSEDED }) == TERN_OK);
}

static void
force(struct node *node)
{
	const bool is_allowed = core_judge_force(node->core) == CORE_FORCE_ALLOWED;
	const enum tern_err err = step(node, (struct core_event){ .kind = CORE_EVENT_FORCE });

	REQUIRE((err == TERN_OK) == is_allowed);
	node->is_forced |= is_allowed;
}

static void
act_rarely(struct node *node, struct fuzz_input *in)
{
	const uint8_t what = fuzz_u8(in);
	const uint16_t id = fuzz_u8(in) % 6;

	switch (what % 5) {
	case 0:
		if (what > 250)
			fail_storage(node);
		else if (what > 240)
			supersede(node);
		break;
	case 1:
		if (what > 200)
			(void)!step(node, (struct core_event){ .kind = CORE_EVENT_STOP });
		else if (what > 120)
			force(node);
		break;
	case 2:
		(void)!step(node, (struct core_event){ .kind = CORE_EVENT_DATA_PORT,
						       .flag = (what & 8) != 0 });
		break;
	case 3:
		(void)!step(node, (struct core_event){ .kind = CORE_EVENT_TRANSFER, .node = id });
		break;
	default:
		node->is_ring_full = (what & 8) != 0;
		break;
	}
}

static void
act(struct node *node, struct fuzz_input *in)
{
	const uint8_t what = fuzz_u8(in);

	switch (what & 31) {
	case 0:
		seal_commands(node);
		break;
	case 1:
		receive(node, in);
		receive_pulled(node);
		break;
	case 2:
		make_durable(node, in);
		break;
	case 3:
		make_meta_durable(node);
		break;
	case 4:
		apply(node, in);
		break;
	case 5:
		finish_cut(node, in);
		break;
	case 6:
		for (uint32_t i = 0; i <= what >> 5; i++)
			read_one(node);
		break;
	case 7:
		act_rarely(node, in);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		pass_time(node, fuzz_u8(in));
		REQUIRE(step(node, (struct core_event){ .kind = CORE_EVENT_TICK }) == TERN_OK);
		break;
	default:
		hear(node, in, (enum msg_kind)(1 + (what & 31) % MSG_KIND_LAST));
		break;
	}
	seal_barrier(node);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct node node;
	struct fuzz_input in = { data, bytes };

	start(&node, &in);
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++)
		act(&node, &in);
	return 0;
}
