/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop's own structures; private to dataplane/runtime.
 *
 *	boot.c, recover.c, repair.c    the start; from a checkpoint; with a damaged log
 *	dispatch.c  events into the core, its effects out to the other files
 *	receive.c, send.c              frames in; streams and repair requests out
 *	storage.c   write groups, superblock updates, completions of the store
 *	checkpoint.c, reclaim.c        checkpoints in the background; the log before them reused
 *	deep.c, mend.c, mend_source.c  the log read back; lost blocks, own and others'
 *	refill.c, want.c               groups put together again; one block asked of others
 *	pull.c, transfer.c, source.c   blocks, a checkpoint of another node; own ones for others
 *	heal.c, heal_walk.c            devices made whole in the background, and the scrub
 *	job.c, job_take.c, reader.c    such work as people see it, and ask of it; blocks read back
 *	apply.c, client.c              blocks into the state machine; requests of clients
 *	answer.c, change.c             answers to them; requests that change members and master
 *	create.c, runtime.c, report.c  an instance is made; its turns; what it is, as others see it
 *	cut.c, force.c                 a divergent tail rolled back; forced, left out
 */
#ifndef TERN_RUNTIME_RUNTIME_INTERNAL_H
#define TERN_RUNTIME_RUNTIME_INTERNAL_H

#include "dataplane/base/bits.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/runtime/answer.h"
#include "dataplane/runtime/change.h"
#include "dataplane/runtime/checkpoint.h"
#include "dataplane/runtime/cut.h"
#include "dataplane/runtime/deep.h"
#include "dataplane/runtime/flow.h"
#include "dataplane/runtime/force.h"
#include "dataplane/runtime/heal.h"
#include "dataplane/runtime/job.h"
#include "dataplane/runtime/limits.h"
#include "dataplane/runtime/link.h"
#include "dataplane/runtime/mend.h"
#include "dataplane/runtime/pull.h"
#include "dataplane/runtime/reader.h"
#include "dataplane/runtime/reclaim.h"
#include "dataplane/runtime/refill.h"
#include "dataplane/runtime/repair.h"
#include "dataplane/runtime/report.h"
#include "dataplane/runtime/runtime.h"
#include "dataplane/runtime/storage.h"
#include "dataplane/runtime/transfer.h"
#include "dataplane/transport/transport.h"
#include "dataplane/wire/superblock.h"

struct boot {
	enum {
		BOOT_STORE = 0, /* which devices count */
		BOOT_NUMBER,    /* boot_no + 1 */
		BOOT_CHECKPOINT,
		BOOT_SCAN,
		BOOT_REPAIR,
		BOOT_RECORDS,
		BOOT_DONE
	} phase;
	enum stripe_start store;
	struct recover recover;
	uint64_t checkpoints_bad; /* named by the superblock, and not whole */
	uint8_t *buffer;          /* a chunk of a checkpoint */
	uint32_t in_flight;
	bool is_failed;
	/* The last read of a checkpoint, to be done again without some columns. */
	struct stripe_blob blob;
	uint32_t distrust;
	struct stripe_scanned scanned;
	bool has_scanned;
	/* The last groups that were found, by their count: they may have been in flight when the
	 * node ended, so they are made whole before anybody hears of them. */
	struct stripe_address recent[STRIPE_GROUPS_MAX];
	bool is_recent_whole[STRIPE_GROUPS_MAX];
	uint64_t recent_count, repaired_count;
	struct cmdlog_recovery recovery;
	/* BOOT_RECORDS: of the recovered log; its newest configuration, and the one before that,
	 * which is committed. */
	uint64_t next_index, last_index, commit_floor;
	struct membership newest, committed;
	bool has_record, has_members;
	uint64_t export_next;      /* of the tail that the scan is at; 0: none */
	enum runtime_boot verdict; /* 0: not yet known */
};

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
	struct repair repair;
	struct mend mend;
	struct refill refill;
	struct deep deep;
	struct mend_source mend_source;
	struct pull pull;
	struct transfer transfer;
	struct transfer_source source;
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
	uint8_t *scratch; /* gathers a command that straddles pages */

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

/* ---- dispatch.c ---- */
/* Feeds @event and everything that follows from it. QUEUE_FULL, BUSY, NOT_MASTER: refused. */
enum tern_err dispatch(struct runtime *rt, const struct core_event *event);
/* Queues an event from inside the handling of an effect. */
void dispatch_later(struct runtime *rt, const struct core_event *event);
/* Seals the open block (or a barrier) and reports it as APPENDED. */
enum tern_err dispatch_seal(struct runtime *rt, enum block_kind kind);
/* What all voters hold durably, as far as this node knows as master; otherwise 0. Nobody waits for
 * learners: one that is away would keep the whole log. */
uint64_t dispatch_common_index(const struct runtime *rt);
void dispatch_acks(struct runtime *rt);
uint32_t runtime_node_slot(const struct runtime *rt, uint16_t node); /* UINT32_MAX: no data peer */

/* ---- boot.c ---- */
/* Reads @pages pages at @page of the checkpoint at @first_page into the boot buffer. False: it
 * cannot be done. */
bool boot_read(struct runtime *rt, uint64_t first_page, uint64_t page, uint32_t pages);
/* What was read is not right: reads it again in another way. False: all ways were tried. */
bool boot_read_again(struct runtime *rt);
/* A node may be none of the voters, but its node file has to name them, and the witness. */
bool boot_knows(const struct runtime *rt, uint64_t voters, uint16_t witness_id);
void boot_on_completion(struct runtime *rt, enum tern_err err);

/* ---- recover.c ---- */
enum recover_verdict {
	RECOVER_MORE = 1, /* call again when what was read is there */
	RECOVER_DONE,     /* the log is read from boot.recover.base on, or from its first cell */
	RECOVER_REFUSED,  /* this configuration has no room for the state */
	RECOVER_FAILED,
};
enum recover_verdict recover_turn(struct runtime *rt);

/* ---- receive.c ---- */
bool receive_turn(struct runtime *rt);

/* ---- send.c ---- */
bool send_turn(struct runtime *rt);
uint64_t send_deadline_ns(const struct runtime *rt);

/* ---- apply.c ---- */
bool apply_turn(struct runtime *rt);

/* ---- client.c ---- */
bool client_turn(struct runtime *rt);

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
