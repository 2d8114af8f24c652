/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop's own structures; private to dataplane/runtime.
 *
 * The files, from the top to the bottom: each calls only those that stand behind it here. What
 * dispatch.c has to have done above itself goes by a table that create.c sets (dispatch.h).
 *
 *	witness_node.c                 the loop of a witness, which is another program
 *	create.c                       an instance is made, of memory and tables
 *	boot.c, turn.c                 its start; its turns
 *	effects.c, completion.c        what the core wants; what comes back from the store
 *	client.c, change.c             requests of clients; those that change members and master
 *	cut.c, persist.c, meta.c       a divergent tail rolled back; write groups; the superblock
 *	force.c, receive.c             forced, left out; frames in
 *	transfer.c                     a checkpoint of another node
 *	apply.c, send.c                blocks into the state machine; streams and fetches out
 *	mend.c, repair.c               lost blocks got back; a damaged log made the best of
 *	report.c, job_take.c           what the node is, as others see it; what people ask of jobs
 *	heal.c, heal_walk.c            devices made whole in the background, and the scrub
 *	deep.c, reader.c, refill.c     the log read back; its blocks; groups put together again
 *	flow.c, source.c               who fetches a checkpoint from here, and clients meanwhile
 *	reclaim.c, checkpoint.c        the log reused; checkpoints in the background
 *	recover.c, boot_read.c         a start from a checkpoint, and what it reads
 *	pull.c, mend_source.c          blocks of others; blocks for others
 *	groups.c, loss.c, hold.c       where groups lie; what the log lacks; what is under way
 *	seal.c, answer.c               blocks as master; answers to clients
 *	storage.c, dispatch.c          what is asked of the store; events into the core
 *	heal_tally.c, job.c            what the walks found; such work as people see it
 *	peers.c, want.c, link.c        other nodes; one block asked of them; frames
 *	divergent.c                    blocks named for whoever saves them
 *	status.c, submit.c             what other threads share with the loop
 */
#ifndef TERN_RUNTIME_RUNTIME_INTERNAL_H
#define TERN_RUNTIME_RUNTIME_INTERNAL_H

#include "dataplane/base/bits.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/runtime/answer.h"
#include "dataplane/runtime/boot.h"
#include "dataplane/runtime/change.h"
#include "dataplane/runtime/checkpoint.h"
#include "dataplane/runtime/completion.h"
#include "dataplane/runtime/cut.h"
#include "dataplane/runtime/deep.h"
#include "dataplane/runtime/dispatch.h"
#include "dataplane/runtime/divergent.h"
#include "dataplane/runtime/effects.h"
#include "dataplane/runtime/floor.h"
#include "dataplane/runtime/flow.h"
#include "dataplane/runtime/force.h"
#include "dataplane/runtime/groups.h"
#include "dataplane/runtime/heal.h"
#include "dataplane/runtime/hold.h"
#include "dataplane/runtime/job.h"
#include "dataplane/runtime/limits.h"
#include "dataplane/runtime/link.h"
#include "dataplane/runtime/loss.h"
#include "dataplane/runtime/mend.h"
#include "dataplane/runtime/meta.h"
#include "dataplane/runtime/peers.h"
#include "dataplane/runtime/persist.h"
#include "dataplane/runtime/pull.h"
#include "dataplane/runtime/reader.h"
#include "dataplane/runtime/reclaim.h"
#include "dataplane/runtime/refill.h"
#include "dataplane/runtime/repair.h"
#include "dataplane/runtime/report.h"
#include "dataplane/runtime/runtime.h"
#include "dataplane/runtime/seal.h"
#include "dataplane/runtime/storage.h"
#include "dataplane/runtime/transfer.h"
#include "dataplane/transport/transport.h"
#include "dataplane/wire/superblock.h"

/* Cycles of the turn under way, by stage, and of all turns before. */
struct stages {
	enum status_stage now;
	uint64_t since;
	uint64_t turn[STAGE_COUNT], total[STAGE_COUNT];
};

struct runtime {
	struct runtime_config config;
	struct superblock superblock;
	struct membership members; /* the configuration at applied_index */
	struct link link;
	struct core *core;
	const struct dispatch_handlers *handlers;
	void *core_memory;
	struct block_meta *history;
	struct stripe_store *store;
	struct cmdlog *log;
	void *log_memory;
	struct cmdlog_entry *entries;
	struct stream *streams[CORE_NODES_MAX]; /* by position of the data node in id order */
	uint16_t stream_nodes[CORE_NODES_MAX];
	struct reader stream_readers[CORE_NODES_MAX];
	uint32_t stream_count;
	struct assembly *assembly;
	struct reader apply_reader;
	uint64_t now_ns, mgmt_polled_ns, status_ns, log_full_ns;
	/* Beside the data port, which wakes nobody: when a node was heard over the management
	 * network, by node id; what a master last told each data peer there, to be told again, by
	 * slot; and when it sent blocks there. */
	uint64_t mgmt_heard_ns[NET_NODES_MAX];
	struct msg beats[CORE_NODES_MAX];
	uint64_t bulk_sent_ns[CORE_NODES_MAX];
	struct boot boot;
	struct meta_writer meta;
	struct checkpointer checkpoint;
	struct reclaimer reclaim;
	struct loss loss;
	struct repair repair;
	struct mend mend;
	struct refill refill;
	struct deep deep;
	struct mend_source mend_source;
	struct pull pull;
	struct transfer transfer;
	struct transfer_source source;
	struct floor floor;
	struct flow flow;
	struct force force;
	bool is_over; /* this incarnation: see RUNTIME_RESTART */
	struct healer heal;
	struct jobs jobs;
	struct cut cut;
	struct core_event events[RUNTIME_EVENTS_MAX];
	uint32_t event_head, event_count;
	struct core_effects effects;

	bool is_stepping, is_barrier_wanted;
	uint32_t barrier_epoch;
	uint64_t barrier_term, persist_index, commit_index, applied_index;
	/* How far this master may apply ahead of commit_index, 0 on others, and how far somebody
	 * wants it to: the newest command of class memory. Without any, blocks are applied when
	 * they are committed. */
	uint64_t memory_index, memory_wanted;
	uint64_t ahead_checked; /* this block was looked at, and */
	bool is_ahead_stopped;  /* holds a durable command whose reply cannot be held */
	uint64_t bytes_index;   /* of the newest pending write with has_bytes_reply, ever */
	uint16_t accept_node;
	bool is_storage_failed, is_damaged, was_damaged;

	bool has_ack; /* an APPEND_ACK to send at the end of the turn */
	struct msg ack;
	uint16_t ack_node;
	uint8_t ack_paths;
	uint64_t ack_term;
	uint64_t credit_sent; /* credit_end_page of the last ack sent */

	struct pending_write *writes;
	uint64_t write_head, write_tail, writes_max;
	struct held_write *held;
	uint64_t held_head, held_tail;
	struct pending_accept *accepts; /* writes_max */
	uint64_t accept_count;
	struct pending_read *reads;
	uint64_t read_head, read_tail, read_op_id;
	uint8_t *scratch; /* gathers a command that straddles pages; runtime_scratch_bytes */

	uint64_t alarms[8];
	uint64_t memory_lost_first, memory_lost_last; /* of the newest MEMORY_COMMITS_LOST */
	uint64_t blocks_sealed, groups_written, commands_applied, turns, idle_turns, sleeps;
	uint64_t busy_count;    /* see runtime_busy_count */
	uint64_t traffic_ns;    /* when it last rose */
	uint64_t memory_ns;     /* when a memory command was last taken, or received in a block */
	uint32_t wake_channels; /* mask of channels that got completions this turn */
	struct stages stages;
	uint64_t groups_begun;
	uint64_t group_ns; /* what the device took for a write group, lately; 0: none was written */
	bool has_worked;
	bool has_backlog;      /* the turn left frames where they were */
	bool is_apply_stopped; /* a committed block that this build does not understand */
};

/* What is done from now on belongs to @stage. Returns the stage before. Some 25 cycles: for
 * batches, not for commands. */
static inline enum status_stage
stage_enter(struct runtime *rt, enum status_stage stage)
{
	const uint64_t now = rt->config.clock.ops->cycles(rt->config.clock.clock);
	const enum status_stage before = rt->stages.now;

	rt->stages.turn[before] += now - rt->stages.since;
	rt->stages.since = now;
	rt->stages.now = stage;
	return before;
}

/* ---- receive.c ---- */
bool receive_turn(struct runtime *rt);

/* ---- send.c ---- */
bool send_turn(struct runtime *rt);
uint64_t send_deadline_ns(const struct runtime *rt);

/* ---- apply.c ---- */
bool apply_turn(struct runtime *rt);

/* ---- client.c ---- */
bool client_turn(struct runtime *rt);

/* Of rt->scratch: whatever block the log takes can be applied. A command may be longer than
 * command_bytes_max by the rest of its block's last page, if another limit allowed it. */
uint32_t runtime_scratch_bytes(const struct runtime_config *config);

static inline struct stripe_geometry
runtime_geometry(const struct runtime *rt)
{
	return rt->config.geometry;
}

static inline bool
runtime_has_bug(const struct runtime *rt, enum core_bug bug)
{
	return (rt->config.core_bugs & (uint32_t)bug) != 0; /* tests only */
}

#endif
