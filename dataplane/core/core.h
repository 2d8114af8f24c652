/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consensus core: Raft in the form of Extended Raft with a payload-less witness, as one pure
 * step function. The protocol is docs/reference/protocol.md; comments in the code name its rules.
 *
 * Owns: roles, terms, epochs, votes, the in-sync set, log matching, commit, read rounds, hand-over,
 * and for a witness its register. Does not own: block bytes, their transfer, devices, the state
 * machine, clients.
 *
 * Promises: no I/O, clock, allocation or globals; equal state and equal events give equal effects.
 * Any effect may be carried out the moment it is emitted: what must wait for durability is emitted
 * by the step that handles the durable event.
 *
 * Two indexes: commit_index counts durable copies and is never rolled back; memory_commit_index
 * counts received ones, is what class `memory` waits for, and is provisional until commit_index
 * reaches it (protocol section 10). Elections, epochs and barriers know commit_index only.
 *
 * Invariants (data node): 0 <= commit_index <= memory_commit_index <= last_index;
 * applied_index <= memory_commit_index, and above commit_index only by what was applied as master:
 * a replica applies up to commit_index; durable_index <= received_index <= last_index; term never
 * falls; commit_index never falls; nothing at or below commit_index is ever cut (I9); whatever is
 * cut was rolled back before (ROLLBACK comes before CUT). memory_commit_index may fall: to
 * max(commit_index, applied_index) when mastership ends or a peer restarts, and by a cut.
 *
 * Thread: owned by one lcore (or the witness's only thread). Not thread safe.
 */
#ifndef TERN_CORE_CORE_H
#define TERN_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/core/core_alarm.h"
#include "dataplane/core/core_bug.h"
#include "dataplane/core/core_time.h"
#include "dataplane/wire/membership.h"
#include "dataplane/wire/msg.h"
#include "dataplane/wire/page.h"
#include "dataplane/wire/witness_register.h"

#define CORE_NODES_MAX   8u
#define CORE_EFFECTS_MAX 64u

struct core; /* fields in core_internal.h */

enum core_role {
	CORE_FOLLOWER = 1, /* replica, or nobody's yet */
	CORE_CANDIDATE,    /* asks for pre-votes or votes */
	CORE_MASTER,
	CORE_WITNESS,
};

enum core_mode {
	CORE_MODE_NONE = 0,    /* no master known */
	CORE_MODE_REPLICA,     /* follows a master, log matched in this term */
	CORE_MODE_CATCHUP,     /* follows a master, not in its rset, or log not yet matched */
	CORE_MODE_DUPLEX,      /* master, rset = all data nodes */
	CORE_MODE_REGISTERING, /* master on its way to SOLO: nothing commits */
	CORE_MODE_SOLO, /* master, the witness has acknowledged this (term, epoch); or n = 1 */
	CORE_MODE_WITNESS,
	CORE_MODE_MAJORITY,   /* master of three or more: a plain majority holds every commit */
	CORE_MODE_LEARNER,    /* follows a master, log matched in this term, and is no voter */
	CORE_MODE_SUPERSEDED, /* see force.h */
};

struct core_config {
	uint16_t node_id; /* self */
	bool is_witness;
	/* The configuration that storage holds; blocks that are recovered after core_init may
	 * change it. A node that it does not name waits for one that does. */
	uint64_t data_nodes; /* voters: mask of data node ids */
	uint64_t learners;
	/* 0: birth; beyond the log only of a node that forgot, and, by one, of one that was forced
	 * to begin its generation and has no GEN block yet. */
	uint64_t config_index;
	struct generation generation; /* number 0: of birth */
	bool is_superseded;           /* see force.h */
	uint16_t witness_id;          /* 0: none */
	uint32_t witness_gen;
	/* Data nodes that this one knows how to reach, itself included: a configuration may name no
	 * others. 0: those above. */
	uint64_t known_nodes;
	bool solo_isolated_stop; /* policy when a registered SOLO master loses the witness too */
	uint32_t min_copies;     /* 2 forbids going degraded with two data nodes */
	struct core_timers timers;
	uint64_t prng_seed;
	uint32_t bugs;        /* enum core_bug; tests only */
	uint32_t member_bugs; /* enum core_member_bug; tests only */

	/* What storage held at start-up. */
	uint64_t now_ns;
	uint32_t boot_no;
	bool is_first_boot; /* boot_no 1: promised nothing before, so no quiet period */
	/* The log does not outlive the process. After a first boot such a node has forgotten what
	 * it acknowledged and is no voter until it holds it again (protocol section 11). */
	bool is_log_volatile;
	/* The storage was lost and made anew: see rejoin.c; then, until it holds everything again,
	 * as if it had a volatile log. */
	bool is_rejoining, is_forgetful;
	uint64_t term;
	uint16_t voted_for;
	struct witness_register reg; /* witness only */
	bool is_amnesiac;            /* witness only: no valid register; refuse everything */

	/* Memory for the history of blocks: (term, epoch, kind, chain) by log_index, a ring. A
	 * block that does not fit is refused with QUEUE_FULL. Borrowed for the core's life. */
	struct block_meta *history;
	uint64_t history_count;
};

size_t core_bytes(void);
/* @memory: core_bytes(), 64-byte aligned, borrowed for ever. Feed the recovered log with
 * core_recover_block in index order, then the first event. CONFIG: ids or timers contradict. */
TERN_CHECKED enum tern_err
core_init(void *memory, const struct core_config *config, struct core **core);
/* Before any block: the one behind which the log begins, which is committed and applied. */
TERN_CHECKED enum tern_err core_recover_base(struct core *core, const struct block_meta *meta);
/* After all blocks: the state machine was restored from a checkpoint of @log_index. CORRUPT: the
 * log does not hold it. */
TERN_CHECKED enum tern_err core_recover_applied(struct core *core, const struct block_meta *meta);
/* One block found durable by recovery. @commit_index: a floor known to be committed, at most
 * meta->log_index. QUEUE_FULL: history too small. */
TERN_CHECKED enum tern_err
core_recover_block(struct core *core, const struct block_meta *meta, uint64_t commit_index);
/* Right after a CONFIG block, what it says; not for one at or below config_index of core_init.
 * MALFORMED: the last block is none, or its configuration does not follow the one before it. */
TERN_CHECKED enum tern_err core_recover_members(struct core *core, const struct membership *next,
						const struct membership *before);

enum core_event_kind {
	CORE_EVENT_TICK = 1, /* time passed; call at or after core_deadline_ns */
	CORE_EVENT_MESSAGE,  /* msg; path: where it came in */
	CORE_EVENT_APPENDED, /* block: sealed by this master (client block or asked-for barrier) */
	CORE_EVENT_RECEIVED, /* block: whole, verified, the next one; flag: see core_pull.h */
	CORE_EVENT_DURABLE,  /* index: all blocks up to it are durable here */
	CORE_EVENT_APPLIED,  /* index: the state machine has applied up to it. MALFORMED: above
			      * commit_index on a node that is not master */
	CORE_EVENT_CUT_DONE, /* index: the log now ends here and no write of a cut page is left */
	CORE_EVENT_META_DURABLE,   /* op_id: of a PERSIST_META or PERSIST_REGISTER effect */
	CORE_EVENT_STORAGE_FAILED, /* a write or flush failed: this node can promise nothing more */
	CORE_EVENT_DATA_PORT,      /* flag: up or down */
	CORE_EVENT_READ, /* op_id: a linearizable read, answered by READ_READY or _FAILED; flag: it
			  * may be by lease */
	CORE_EVENT_TRANSFER, /* node: hand mastership over; refused with NOT_MASTER / BUSY */
	CORE_EVENT_ENTER,    /* next: tell the witness, see CORE_CHANGE_ENTERING; or the same */
	CORE_EVENT_STOP,     /* graceful: stop campaigning and going degraded */
	CORE_EVENT_FORCE, /* see force.h. OK: make it durable and start anew; silent from now on */
	CORE_EVENT_SUPERSEDED, /* the cluster is of a later generation, without this node */
	CORE_EVENT_INSTALL, /* block: of the checkpoint that INSTALL named, which lies in its slot
			     * now. OK: make it durable that log and state begin there, and start
			     * anew; the core is silent from now on. BUSY: ask again. MALFORMED: it
			     * is not wanted any more */
};

enum core_path { CORE_PATH_DATA = 1 << 0, CORE_PATH_MGMT = 1 << 1 };

struct core_event {
	enum core_event_kind kind;
	uint64_t now_ns;       /* monotonic; never goes backwards (INVARIANT) */
	const struct msg *msg; /* borrowed until return */
	enum core_path path;
	struct block_meta block;
	/* APPENDED, RECEIVED of a CONFIG block: what it says; borrowed until return. */
	const struct membership *next, *before;
	uint64_t index, op_id;
	uint16_t node;
	bool flag;
};

enum core_effect_kind {
	CORE_EFFECT_SEND = 1,         /* msg to node over paths (each path gets a copy) */
	CORE_EFFECT_PERSIST_META,     /* op_id, term, voted_for: write, then META_DURABLE */
	CORE_EFFECT_PERSIST_REGISTER, /* op_id, reg: witness; write and flush, then META_DURABLE */
	CORE_EFFECT_PERSIST,        /* index: make all sealed or received blocks up to it durable */
	CORE_EFFECT_APPEND_BARRIER, /* term, epoch: seal a BARRIER block now, before any command,
				     * and report it as APPENDED before any other APPENDED */
	CORE_EFFECT_STREAM_START,   /* node, index: (re)start sending blocks from index on */
	CORE_EFFECT_STREAM_STOP,    /* node */
	CORE_EFFECT_ACCEPT, /* node, index: log matched; take fragments of node's blocks from index
			     * on in this term. Replaces any earlier ACCEPT */
	CORE_EFFECT_ACCEPT_STOP, /* take no fragments */
	CORE_EFFECT_CUT,    /* index: keep blocks up to it, save and drop the rest, then CUT_DONE */
	CORE_EFFECT_COMMIT, /* index: committed; apply up to it */
	CORE_EFFECT_MEMORY_COMMIT, /* index: until it ceases to be master this node may apply up to
				    * it, and answer commands of class memory there. May fall, not
				    * below applied_index */
	CORE_EFFECT_ROLLBACK, /* index: undo all that was applied above it, before anything else is
			       * applied; applied_index is index now */
	CORE_EFFECT_ROLE, /* the view changed in role, mode, term, epoch, master or is_serving */
	CORE_EFFECT_READ_READY,  /* op_id, index: read once applied_index >= index. is_leased: if
				  * the lease still runs then, and ask again if not */
	CORE_EFFECT_READ_FAILED, /* op_id: not answered here, nothing was executed */
	CORE_EFFECT_ALARM,       /* alarm: an operator has to know */
	CORE_EFFECT_PULL,    /* node, index, msg.sought.next: get these blocks, committed, there */
	CORE_EFFECT_INSTALL, /* node, block: fetch its checkpoint of it, then INSTALL. Told again
			      * as long as it is wanted; a later one replaces it */
	CORE_EFFECT_REJOIN,  /* term, voted_for, index, members: make these durable as this node's
			      * term, vote, least boot_no and configuration, and start anew as a
			      * forgetful node */
};

struct core_effect {
	enum core_effect_kind kind;
	uint16_t node;
	uint8_t paths; /* SEND: mask of core_path */
	bool is_leased;
	uint16_t voted_for;
	enum core_alarm alarm;
	uint32_t epoch;
	uint64_t index, index_to, op_id, term;
	union {
		struct msg msg;              /* SEND, sender and boot_no filled in; PULL */
		struct block_meta block;     /* INSTALL */
		struct membership members;   /* REJOIN */
		struct witness_register reg; /* PERSIST_REGISTER */
	};
};

struct core_effects {
	uint32_t count;
	struct core_effect list[CORE_EFFECTS_MAX];
};

/* Advance one node by one event.
 * @core     Owned by one lcore. Not thread safe.
 * @event    Borrowed until return.
 * @effects  Cleared, then filled; at most CORE_EFFECTS_MAX.
 * Returns   TERN_OK; MALFORMED (event dropped, state unchanged); STALE_TERM (an acknowledgement by
 *           a former incarnation of its sender: dropped, and its indexes must not be used for
 *           anything else either); QUEUE_FULL (nothing taken, offer it again later); NOT_MASTER,
 *           BUSY (READ, TRANSFER: refused; APPENDED: not master any more). With any error
 *           @effects is empty. */
TERN_CHECKED enum tern_err
core_step(struct core *core, const struct core_event *event, struct core_effects *effects);

/* The log holds nothing below @log_index any more, which is committed, applied, and durable
 * (INVARIANT). */
void core_reclaim(struct core *core, uint64_t log_index);
/* A checkpoint of that block, which is committed, is durable here and may be given to others. */
void core_note_checkpoint(struct core *core, const struct block_meta *meta);

/* When TICK is due next; UINT64_MAX: never. */
uint64_t core_deadline_ns(const struct core *core);

/* What the core shows of itself. Lent until the next core_step. */
struct core_view {
	uint16_t node_id, master_id; /* master_id 0: unknown */
	enum core_role role;
	enum core_mode mode;
	bool is_serving; /* master whose barrier of this term has committed, not handing over: take
			  * client commands */
	bool is_joint;
	uint32_t epoch;
	uint64_t term, rset, known_nodes;
	uint64_t last_index, received_index, durable_index, commit_index, memory_commit_index,
	    applied_index;
	bool is_forgetful; /* its log was volatile and it may lack what it acknowledged: no voter */
	bool is_volatile;  /* master: a log that its commits count does not outlive its process */
	bool is_mixed; /* replica: of its master's log and its own one is volatile, one is not */
	uint64_t last_term;
	uint32_t last_epoch;
	struct hash128 commit_chain, last_chain;
	/* The newest one in the log, and the newest committed one. Joint: both rules hold. */
	struct membership members, committed_members;
	uint32_t copies; /* copies that a commit reaches now: 2 DUPLEX, 1 SOLO, 0 none */
	uint64_t solo_ns, elect_min_ns, elect_max_ns; /* effective */
	uint64_t hear_ns;    /* how long the master may be silent now, for this node */
	bool is_quarantined; /* a master contradicts what was committed here: an operator has to
			      * look; until it starts again this node has no vote */
	uint64_t elections, solo_entries, duplex_returns, truncations; /* counted since init */
	uint64_t reads_leased, reads_proven; /* counted since init: READ_READY, is_leased or not */
	uint64_t rollbacks, memory_commits_lost, farewells; /* the second in blocks */
	/* By known data node in id order; master only. */
	uint64_t peer_durable_index[CORE_NODES_MAX];
	/* The same for what they received, and the start of the peer that said so; own boot_no for
	 * the node itself, 0: nothing heard. */
	uint64_t peer_received_index[CORE_NODES_MAX];
	uint32_t peer_boot_no[CORE_NODES_MAX];
	/* Until then no other node can have been elected by voters that this view rests on, but by
	 * a hand-over or a farewell, which the master itself sent, or which was sent for one whose
	 * process had died. 0: who is master is not known. */
	uint64_t view_until_ns, lease_until_ns; /* the latter: no round is needed; 0: one is */
	/* Replica: whatever anybody had answered as committed by then is in the applied state, and
	 * when the newest heartbeat came that echoed an acknowledgement; 0: never in this term. See
	 * core_stale_ns. */
	uint64_t fresh_ns, echo_ns;
	struct generation generation;
	bool is_rejoining;
	uint64_t rejoin_missing; /* then: mask of the voters that have not answered; by the node
				  * file, as long as nobody has named them */
};
const struct core_view *core_view(const struct core *core);

/* Meta of one block of this log; false when index is 0 or above last_index. */
bool core_block_meta(const struct core *core, uint64_t log_index, struct block_meta *meta);

#endif
