/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of the consensus core and what its files offer one another. One file holds one protocol
 * matter; step.c calls them and knows nothing of their rules. They call downwards only:
 *	step.c, start.c                what comes in
 *	election.c, view.c             who becomes master; what is shown
 *	master.c                       what a master does
 *	force.c                        who goes on by a person's word
 *	role.c                         what ends with a term or a role
 *	read.c, replica.c, sought.c    what is done for a reader, a master, an answer
 *	round.c, install.c             who answers the master; a checkpoint for a log
 *	replicate.c, seek.c            what replicas hold; what is committed elsewhere
 *	commit.c, match.c              what is committed here; whose log this one is
 *	change.c, memory.c, rejoin.c, search.c, transfer.c, witness.c
 *	effect.c, health.c, hear.c, history.c, lease.c, members.c, peer.c
 *
 * Invariants beside those of core.h:
 *	nothing is sent while is_meta_pending, for a term is durable before anybody hears of it;
 *	but that a candidate lacks blocks is said under the term that is durable
 *	role == CORE_MASTER implies master_id == node_id and !is_meta_pending
 *	match == CORE_MATCH_DONE implies that the whole log is a prefix of the log of term's master
 *	reads_head, reads_count describe a ring of CORE_READS_MAX
 *
 * Thread: as in core.h.
 */
#ifndef TERN_CORE_CORE_INTERNAL_H
#define TERN_CORE_CORE_INTERNAL_H

#include "dataplane/base/invariant.h"
#include "dataplane/base/prng.h"
#include "dataplane/core/core.h"
#include "dataplane/core/core_mask.h"
#include "dataplane/core/lease.h"
#include "dataplane/core/rejoin.h"
#include "dataplane/core/rule.h"
#include "dataplane/core/seek.h"

#ifdef TERN_TINY_LIMITS
#define CORE_READS_MAX 24u
#else
#define CORE_READS_MAX 1024u
#endif
#define CORE_ROUNDS_MAX 256u /* whose time of sending is remembered */
/* A term above this is nonsense, and none may follow it: terms rise by one with each candidacy, and
 * one that wrapped to 0 would undo every promise. */
#define CORE_TERM_MAX (UINT64_C(1) << 62)

enum core_match {
	CORE_MATCH_NONE = 0, /* nothing of this log was compared in this term */
	CORE_MATCH_CUTTING,  /* a CUT effect is under way */
	CORE_MATCH_DONE,     /* the log is a prefix of the master's; blocks are accepted */
};

enum core_phase {
	CORE_PHASE_NORMAL = 0, /* rset = D */
	CORE_PHASE_DEGRADED,   /* rset = V - {x} */
};

struct core_peer {
	uint16_t id;
	bool is_witness;

	/* As master: what the peer answered to rounds. The peer is silent when probe_round, the
	 * first round sent after its last answer, stays without one. */
	uint64_t answered_round, answered_ns; /* newest one, and when it was sent; 0: none */
	uint64_t probe_round;                 /* 0: no round was sent since the last answer */
	uint64_t probe_ns;
	uint64_t stamp_ns;        /* sent_ns of its newest acknowledgement; 0: none */
	uint64_t worst_answer_ns; /* longest wait for an answer of late, fading */
	uint32_t boot_no;         /* 0: not heard of in this term */
	uint32_t heard_boot_no;   /* the highest ever heard of it */
	uint32_t health;
	/* See force.h. */
	uint64_t spoke_ns; /* 0: never */
	uint32_t refusal;  /* enum msg_vote_refusal, of its newest answer to a candidacy */

	/* As master, data nodes only: log matching and match[]. */
	bool is_matched;
	bool needs_checkpoint; /* it lacks what this log no longer holds */
	bool has_forgotten;
	bool is_whole; /* its present incarnation said that it forgot nothing; counted only then */
	uint64_t received_index, durable_index;
	uint64_t acked_durable_index; /* highest ever acknowledged in this term, by any boot */
	uint64_t progress_ns;         /* durable_index moved, or nothing was outstanding */
	uint64_t search_low;          /* highest block known to be equal */
	uint64_t search_high;         /* lowest block known to differ or to be missing */
	uint64_t search_at;           /* prev_index of the probe under way */

	/* As candidate. */
	bool has_answered; /* in this candidacy */
	uint64_t asked_ns; /* of the first request since the last answer; 0: none */
};

struct core_read {
	uint64_t op_id;
	uint64_t round; /* sent after the read arrived */
	bool has_failed, may_lease;
};

struct core {
	struct core_config config;
	struct prng prng;
	struct core_effects *out; /* of the running step */
	struct core_peer peers[CORE_NODES_MAX];
	uint32_t peer_count;
	struct membership members, committed_members; /* see members.h */
	struct core_rule rules[2]; /* the committed one first, while a change is joint */
	uint32_t rule_count;
	uint64_t data, voters;                        /* of all rules together */
	uint64_t solo_ns, elect_min_ns, elect_max_ns; /* effective */
	uint64_t now_ns, started_ns, quiet_until_ns;

	/* Durable, or about to be: nobody is answered before is_meta_pending falls. */
	uint64_t term;
	uint16_t voted_for;
	struct witness_register reg;
	bool is_meta_pending;
	uint64_t durable_term; /* term, or while is_meta_pending the one before */
	bool has_reply;        /* sent when the pending write is durable */
	uint16_t reply_node;
	struct msg reply;
	uint64_t op_id, meta_since_ns;
	/* The log; what lies below base_index is not held any more. */
	uint64_t base_index;
	uint64_t last_index, durable_index, commit_index, memory_commit_index, applied_index;
	uint64_t commit_told, memory_told; /* last COMMIT and MEMORY_COMMIT effects */
	uint64_t disk_progress_ns, apply_progress_ns;

	enum core_role role;
	uint16_t master_id;
	bool has_followed; /* or was master, since the start */
	bool is_stopping, is_storage_failed, is_data_port_down, has_told_amnesia;
	bool is_quarantined; /* a master contradicts what was committed here: no vote, no lead */
	/* See memory.c. */
	bool is_forgetful;
	uint64_t whole_index, whole_term; /* whole_term 0: not known yet what it has to hold */
	bool is_superseded;
	uint64_t led_ns;            /* the last time at which a master was known here */
	uint64_t told_commit_index; /* the highest that a master or voter said is committed */
	bool is_leaving; /* this node starts anew as soon as that is durable; silent until then */
	struct block_meta checkpoint; /* the newest that is durable here; log_index 0: none */
	struct core_rejoin rejoin;
	struct core_seek seek;
	struct core_lease lease;

	/* Replica; heard_* also on the witness. */
	uint16_t heard_id;
	uint64_t heard_ns;
	bool has_heard;
	uint64_t worst_gap_ns, worst_gap_at_ns; /* longest silence of a sitting master of late */
	enum core_match match;
	uint64_t match_term, cut_index, round_answered;
	uint32_t master_epoch;               /* of the last heartbeat */
	uint64_t fresh_index, fresh_mark_ns; /* applied up to there: as fresh as that; 0: none */
	uint64_t election_ns;                /* campaign, or end of the candidacy */

	/* Candidate. */
	bool is_voting, is_hand_over; /* is_voting: VOTE, not PREVOTE */
	uint64_t votes;
	uint64_t log_refusals; /* data nodes whose log is ahead of ours */
	uint64_t ask_ns;       /* when to ask again */

	/* Master. */
	uint32_t epoch;
	uint64_t rset;
	enum core_phase phase;
	bool is_barrier_pending; /* APPEND_BARRIER was emitted, APPENDED has not come */
	bool is_registered;      /* the witness acknowledged (term, epoch) */
	bool has_committed;      /* a barrier of this term has committed */
	uint64_t barrier_index;  /* of this epoch; 0 while pending */
	uint64_t round, heartbeat_ns;
	uint64_t round_sent_ns[CORE_ROUNDS_MAX]; /* by round */
	uint64_t read_round;                     /* the newest round that was started for reads */
	uint16_t transfer_id;
	uint64_t transfer_end_ns, port_down_ns;
	uint64_t port_round; /* first round begun after the own data port went down; 0: none, or the
			      * hand-over for it was tried */
	bool is_returning;   /* the NORMAL barrier after a DEGRADED epoch has not committed */
	/* What the witness is to be told, and has said that it knows: see master_send_duty. */
	uint64_t enter_voters, retired_index;
	bool is_entered;
	uint32_t allotted_gen, enter_boot_no; /* in this term, and who may take it; 0: none */

	struct core_read reads[CORE_READS_MAX];
	uint32_t reads_head, reads_count;

	struct core_view view;
};

static inline bool
core_has_bug(const struct core *core, enum core_bug bug)
{
	return (core->config.bugs & (uint32_t)bug) != 0;
}

/* view.c */
enum core_mode view_mode(const struct core *core);
/* True: something changed that ROLE reports. */
bool view_refresh(struct core *core);

/* history.c */
bool history_get(const struct core *core, uint64_t index, struct block_meta *meta);
struct hash128 history_chain(const struct core *core, uint64_t index);
bool history_holds(const struct core *core, uint64_t index, struct hash128 chain);
struct block_meta history_last(const struct core *core);
uint64_t history_first_of_term(const struct core *core, uint64_t index);
/* QUEUE_FULL; MALFORMED: does not follow the last block. */
TERN_CHECKED enum tern_err history_append(struct core *core, const struct block_meta *meta);
/* The configuration may have to follow: members_cut. */
void history_cut(struct core *core, uint64_t keep_index);

/* master.c */
void master_begin(struct core *core);
/* Before a step-down that others cannot see coming: tells everybody, so that nobody waits. */
void master_farewell(struct core *core);
void master_poll(struct core *core);
void master_register_ack(struct core *core, const struct core_peer *peer, const struct msg *msg);
TERN_CHECKED enum tern_err master_appended(struct core *core, const struct core_event *event);
bool master_is_serving(const struct core *core);
TERN_CHECKED enum tern_err master_enter(struct core *core, const struct membership *next);

/* replicate.c: master side of the log */
/* False: the message is of an older incarnation. */
bool replicate_note_boot(struct core *core, struct core_peer *peer, uint32_t boot_no);
void replicate_progress(struct core *core, struct core_peer *peer, uint64_t received_index,
			uint64_t durable_index);
/* STALE_TERM: of a former incarnation of the peer. */
TERN_CHECKED enum tern_err
replicate_ack(struct core *core, struct core_peer *peer, const struct msg *msg);
void replicate_commit(struct core *core);

/* memory.c: class memory, and nodes whose log is in memory only */
/* What is above commit_index and was not applied was answered to nobody: forgets it. */
void memory_settle(struct core *core);
void memory_raise(struct core *core, uint64_t index);
/* The log will be cut to @keep_index. */
void memory_cut(struct core *core, uint64_t keep_index);
void memory_recognized(struct core *core, const struct msg_recognized *msg);
void memory_recognize_peers(struct core *core);
/* At the end of each step: whether a node that forgot has it all again. */
void memory_poll(struct core *core);
/* The peer said of itself whether it forgot. */
void memory_note_peer(struct core_peer *peer, uint32_t health);
/* Memory that others counted on may be gone and a quorum of voters without it could be found: see
 * election_judge. */
bool memory_is_unsure(const struct core *core);

/* replica.c */
void replica_heartbeat(struct core *core, struct core_peer *peer, const struct msg *msg);
TERN_CHECKED enum tern_err
replica_append(struct core *core, struct core_peer *peer, const struct msg *msg);
TERN_CHECKED enum tern_err replica_received(struct core *core, const struct core_event *event);
void replica_refuse_term(struct core *core, struct core_peer *peer, const struct msg *msg);

/* read.c */
TERN_CHECKED enum tern_err read_take(struct core *core, uint64_t op_id, bool may_lease);
void read_poll(struct core *core);
void read_fail_all(struct core *core);
bool read_has_work(const struct core *core);

/* transfer.c */
TERN_CHECKED enum tern_err transfer_begin(struct core *core, uint16_t node_id);
void transfer_poll(struct core *core, bool is_heartbeat_due);
void transfer_stop_node(struct core *core);
void transfer_data_port(struct core *core, bool is_up);

/* witness.c */
TERN_CHECKED enum tern_err
witness_message(struct core *core, struct core_peer *peer, const struct msg *msg);

#endif
