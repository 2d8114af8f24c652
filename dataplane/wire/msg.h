/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of the consensus core (docs/reference/protocol.md), decoded and encoded. One message
 * is the body of one FRAME_MESSAGE frame. term, sender and boot_no travel in the frame header and
 * are copied into struct msg by msg_decode's caller.
 */
#ifndef TERN_WIRE_MSG_H
#define TERN_WIRE_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"

#define MSG_BYTES_MAX 160u

enum msg_kind {
	MSG_HEARTBEAT = 1,
	MSG_HEARTBEAT_ACK,
	MSG_APPEND, /* log matching: headers only; the blocks themselves stream as fragments */
	MSG_APPEND_ACK,
	MSG_PREVOTE,
	MSG_PREVOTE_ACK,
	MSG_VOTE,
	MSG_VOTE_ACK,
	MSG_REGISTER,
	MSG_REGISTER_ACK,
	MSG_TRANSFER_NOW,
	MSG_FAREWELL,
	MSG_RECOGNIZED,
	MSG_CHECKPOINT,
	MSG_REJOIN,
	MSG_REJOIN_ACK,
	MSG_SEEK,
	MSG_SOUGHT,
};
#define MSG_KIND_LAST MSG_SOUGHT

/* Bits of heartbeat health. Zero is healthy. */
enum msg_health {
	MSG_HEALTH_DISK_STALLED = 1 << 0,
	MSG_HEALTH_APPLY_STALLED = 1 << 1,
	MSG_HEALTH_DATA_PORT_DOWN = 1 << 2,
	MSG_HEALTH_DAMAGED = 1 << 3,
	MSG_HEALTH_VOLATILE = 1 << 4,  /* the log is in memory only, by configuration */
	MSG_HEALTH_FORGETFUL = 1 << 5, /* and may lack what this node acknowledged: no voter */
};

struct msg_heartbeat {
	uint32_t epoch;
	uint32_t health;
	uint64_t commit_index;
	struct hash128 commit_chain;
	uint64_t round; /* rises by one each time the master starts a round */
	/* For the age of what the receiver has applied (protocol section 9). */
	uint64_t echo_ns;      /* sent_ns of the newest ack of the receiver's; 0: none yet */
	uint32_t echo_boot_no; /* the receiver's incarnation that sent it */
	/* Since the newest round was sent that a quorum answered; MSG_AGE_UNKNOWN: there was none,
	 * or commit_index may lack what earlier masters committed. */
	uint64_t confirmed_age_ns;
	/* To the witness, of the sender's configuration: no other register answers. 0 to data
	 * nodes.
	 */
	uint32_t witness_gen;
	uint32_t asks_promise; /* not 0: see promise_units */
};
#define MSG_AGE_UNKNOWN UINT64_MAX

struct msg_heartbeat_ack {
	uint32_t epoch;
	uint32_t health;
	uint64_t round; /* of the heartbeat that is answered */
	uint64_t received_index, durable_index, applied_index;
	uint64_t sent_ns; /* on the sender's clock: nobody else reads anything from it */
	/* For so long from here on, by its clock, the sender helps nobody else to be elected; of
	 * MSG_PROMISE_UNIT_NS each; 0: it promises nothing. */
	uint32_t promise_units;
};
#define MSG_PROMISE_UNIT_NS   65536u
#define MSG_PROMISE_UNITS_MAX 65535u

/* "My block prev_index has this chain hash, and the block after it (if any) that one." */
struct msg_append {
	uint64_t prev_index;
	struct hash128 prev_chain;
	bool has_next;
	struct hash128 next_chain; /* of block prev_index + 1 in the sender's log */
	uint64_t last_index;       /* the sender's */
	uint64_t commit_index;
	uint32_t epoch;
};

enum msg_append_status {
	MSG_APPEND_PROGRESS = 0, /* matched in this term: the indexes say how far */
	MSG_APPEND_MATCHED, /* answer to a probe whose prev block is held, tail cut if it conflicted
			     */
	MSG_APPEND_CONFLICT, /* answer to a probe whose prev block differs or is missing */
};

struct msg_append_ack {
	enum msg_append_status status;
	uint32_t epoch;
	uint64_t probe_index;    /* prev_index of the probe that is answered; 0 for PROGRESS */
	uint64_t received_index; /* whole and verified, contiguous, in this term */
	uint64_t durable_index;
	uint64_t applied_index;
	uint64_t last_index;     /* CONFLICT: where the sender's log ends */
	uint64_t conflict_index; /* CONFLICT: first index of the term of the differing block */
	uint64_t conflict_term;
	struct hash128 conflict_chain; /* CONFLICT: chain hash at conflict_index */
	uint64_t credit_end_page; /* first page_lsn that the receiver has no room for; filled in by
				   * the runtime, the core leaves it 0 */
};

struct msg_vote {          /* PREVOTE and VOTE */
	uint64_t for_term; /* the term asked for; equals the frame's term in VOTE */
	uint64_t last_term;
	uint32_t last_epoch;
	uint64_t last_index;
	uint64_t votes_granted; /* mask of node ids, for the witness */
	uint32_t witness_gen;   /* that the candidate's configuration names */
	bool is_hand_over;      /* answer to TRANSFER_NOW: waives "heard a valid master" only */
};

enum msg_vote_refusal {
	MSG_VOTE_GRANTED = 0,
	MSG_VOTE_REFUSED_TERM,
	MSG_VOTE_REFUSED_LOG,     /* the candidate's log is behind: ends the candidacy */
	MSG_VOTE_REFUSED_MASTER,  /* a valid master was heard */
	MSG_VOTE_REFUSED_QUIET,   /* quiet period after a restart */
	MSG_VOTE_REFUSED_VOTED,   /* voted for another in this term */
	MSG_VOTE_REFUSED_WITNESS, /* witness_gen differs, or the witness has lost its register */
};

struct msg_vote_ack { /* PREVOTE_ACK and VOTE_ACK */
	uint64_t for_term;
	enum msg_vote_refusal refusal;
	uint64_t commit_index; /* 0 from a witness */
	struct hash128 commit_chain;
	/* The newest configuration that the sender knows to be committed; of a witness: the one
	 * that retired it. Whoever holds that very block may take it as committed. 0: none. */
	uint64_t config_index;
	struct hash128 config_chain;
};

enum msg_register_what {
	MSG_REGISTER_EPOCH = 0, /* the master goes degraded */
	MSG_REGISTER_ENTER,     /* the register of a witness that will have a vote */
	MSG_REGISTER_RETIRE,    /* it has none by the committed configuration config_index */
};

struct msg_register {
	enum msg_register_what what;
	uint32_t witness_gen;
	uint32_t epoch;
	uint64_t rset; /* mask of node ids; EPOCH: the witness's included */
	uint64_t last_index;
	struct hash128 chain;
	uint64_t config_index;       /* ENTER, RETIRE: the sender's newest committed one */
	struct hash128 config_chain; /* RETIRE: of that block */
	/* ENTER: the incarnation that the sender has heard, and that alone may take a generation
	 * for its own; 0: it has heard none yet. */
	uint32_t peer_boot_no;
};

struct msg_register_ack {
	enum msg_register_what what;
	uint32_t epoch;
	bool is_accepted;
	uint64_t held_term; /* what the register holds now */
	uint32_t held_epoch;
	uint64_t rset;         /* of the REGISTER that is answered, as */
	uint64_t config_index; /* this is */
};

struct msg_transfer {
	uint64_t last_index; /* the target campaigns once it holds this block durably */
};

struct msg_recognized {        /* master to a forgetful node, on every beat */
	uint32_t peer_boot_no; /* the receiver's incarnation whose acknowledgements count */
	uint64_t commit_index;
};

/* Master, on every beat, to a node whose log ends before the master's begins, or leaves its history
 * there: "take this one". */
struct msg_checkpoint {
	uint64_t log_index, term;
	uint32_t epoch, kind; /* of block log_index */
	struct hash128 chain;
	uint64_t commit_index; /* the sender's; not below log_index */
	uint64_t base_index;   /* its log begins behind this block */
};

/* From a node that lost its storage, to all that it can reach: "what do you know that I may have
 * promised?" Its own term and boot_no are 0. */
struct msg_rejoin {
	uint64_t nonce; /* new at every start */
};
struct msg_rejoin_ack { /* the term is the frame's, and durable */
	uint64_t nonce;
	uint32_t peer_boot_no; /* the highest heard of the node that asks */
	/* The newest configuration that the sender knows to be committed; voters 0: it knows none.
	 * Of a witness: it was told of that one, and does not know the voters; and its own
	 * witness_gen. */
	uint64_t config_index, voters, learners;
	uint32_t witness_id, witness_gen;
	/* Of one behind it that may be committed: all that have a vote; 0: there is none. Of a
	 * witness: those that its register names. */
	uint64_t next_voters;
};

/* From a data node that hears no master to another one: "I know what is committed up to low_index;
 * what is at index?" Nobody adopts its term. */
struct msg_seek {
	uint64_t low_index; /* the sender's commit_index */
	struct hash128 low_chain;
	uint64_t index; /* at or above low_index */
};
/* Of what the sender knows to be committed. */
#define MSG_NEXT_MAX 4u
struct msg_sought {
	bool is_known;  /* low_index is in the sender's log, and committed: the next four hold */
	uint64_t index; /* that was asked for, or the highest before it */
	struct hash128 chain;              /* of block index */
	uint32_t next_count;               /* at most MSG_NEXT_MAX */
	struct hash128 next[MSG_NEXT_MAX]; /* of the blocks behind it */
	uint64_t commit_index;
	/* Its newest checkpoint, if its log begins behind low_index; checkpoint_index 0: none. */
	uint64_t checkpoint_index, checkpoint_term;
	uint32_t checkpoint_epoch, checkpoint_kind;
	struct hash128 checkpoint_chain;
};

struct msg {
	enum msg_kind kind;
	uint16_t sender; /* node id */
	uint32_t boot_no;
	uint64_t term; /* the sender's current term */
	union {
		struct msg_heartbeat heartbeat;
		struct msg_heartbeat_ack heartbeat_ack;
		struct msg_append append;
		struct msg_append_ack append_ack;
		struct msg_vote vote;
		struct msg_vote_ack vote_ack;
		struct msg_register register_;
		struct msg_register_ack register_ack;
		struct msg_transfer transfer;
		struct msg_recognized recognized;
		struct msg_checkpoint checkpoint;
		struct msg_rejoin rejoin;
		struct msg_rejoin_ack rejoin_ack;
		struct msg_seek seek;
		struct msg_sought sought;
	};
};

/* Returns the body's bytes (at most MSG_BYTES_MAX). sender, boot_no and term are not written: the
 * frame header carries them. */
uint32_t msg_encode(uint8_t *body, const struct msg *msg);

/* Fills kind and the union. MALFORMED: unknown kind, wrong length, a value out of range. */
TERN_CHECKED enum tern_err msg_decode(const uint8_t *body, uint32_t body_bytes, struct msg *msg);

/* For diagnostics; never NULL. */
const char *msg_kind_text(enum msg_kind kind);

#endif
