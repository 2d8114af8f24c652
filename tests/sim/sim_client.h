/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients' memory of what they asked for and what they were told; private to sim_client.c
 * (slots, channels, retries), sim_op.c (commands, and what an answer has to look like) and
 * sim_bank.c (transfers).
 *
 * A slot is one thread of a client: it does one thing at a time. Slots without a session never
 * repeat a write; slots of a session repeat it, with the same sequence number, until it is done.
 */
#ifndef TERN_TESTS_SIM_SIM_CLIENT_H
#define TERN_TESTS_SIM_SIM_CLIENT_H

#include "dataplane/wire/command.h"
#include "tests/sim/sim.h"

#define SLOTS_MAX     24u
#define SESSIONS_MAX  3u
#define ENTRIES_MAX   128u
#define REGISTERS     6u
#define PAIRS         3u
#define BALANCES      3u
#define MORTALS       3u
#define CHURN_KEYS    12u
#define SIM_ACCOUNTS  4u
#define BALANCE_MAX   1000
#define SESSION_SEQS  65536u
#define NO_SLOT       UINT32_MAX
#define COMMAND_BYTES (128u * 1024u)

enum slot_kind { SLOT_UNIQUE = 1, SLOT_SHARED, SLOT_SESSION };

enum op_kind {
	OP_UNIQUE = 1, /* a key of its own */
	OP_CHURN,      /* set or delete one of a few keys */
	OP_REGISTER,   /* write a shared register */
	OP_PAIR,       /* MSET of two keys */
	OP_BALANCE,    /* ADD with a floor of 0 and a ceiling */
	OP_MORTAL,     /* SET with a short time to live */
	OP_COUNTER,    /* ADD 1 in a session */
	OP_OPEN,       /* open the session */
	OP_ACCOUNT,    /* open an account */
	OP_TRANSFER,   /* MULTI of two ADDs that are nothing together */
	OP_READ_REGISTER,
	OP_READ_PAIR,
	OP_READ_BALANCE,
	OP_READ_MORTAL,
};

/* ACCEPTED, in class async: nothing is acknowledged, but where it is if it is anywhere. */
enum outcome {
	OUTCOME_OPEN = 0,
	OUTCOME_ACKED,
	OUTCOME_REFUSED,
	OUTCOME_UNKNOWN,
	OUTCOME_ACCEPTED
};

/* Every write without a session; its number is its value. */
struct op {
	enum op_kind kind;
	enum outcome outcome;
	bool is_seen;   /* some read returned it */
	bool is_memory; /* ACKED, in class memory: the block may be lost, and the write with it */
	uint32_t value_bytes;
	struct state_position at;
	uint64_t chain; /* is_memory, ACCEPTED: of the block */
};

/* What was known of a shared key: nothing that starts later may see less. What was known in class
 * memory stands as long as its block does. */
struct floor {
	struct state_position at;
	uint64_t term;
	uint64_t chain; /* class memory: of the block */
};

struct session {
	uint64_t client_id, next_seq, done_count;
	uint64_t lowest; /* all numbers before it are done */
	bool is_opening;
	bool is_tainted; /* lost what was answered in class memory: its numbers tell nothing more */
	uint64_t *memory_index, *memory_chain; /* by seq: the block of an answer in class memory */
	bool *is_done;                         /* by seq */
	int64_t *value;                        /* reply by seq; 0: none yet */
	bool *is_value_used;
};

struct slot {
	enum slot_kind kind;
	uint32_t session, target;
	bool is_busy; /* an operation is open */
	bool is_memory, is_async;
	bool is_sent; /* and its newest attempt is with a node */
	enum op_kind op_kind;
	uint64_t serial; /* of the operation; rises */
	uint64_t timer;  /* only the newest timer counts */
	uint64_t op;     /* index into ops */
	uint64_t seq;    /* of the session */
	uint32_t key, attempts;
	uint32_t refusals; /* in a row, by nodes that are not master: it asks less often */
	uint64_t sent_ns;
	struct floor floor, memory_floor, gone;
};

struct entry { /* one request with one node */
	bool is_used, is_memory, is_async;
	uint32_t slot, generation;
	uint64_t serial, seq, op;
	enum op_kind op_kind;
	uint32_t session;
	struct submit_request change; /* of CHANGE_SLOT */
};

/* Of its own generator, as async_prng. */
struct sim_bank {
	struct prng prng;
	uint32_t ppm; /* of what would be a balance's write */
	bool is_open[SIM_ACCOUNTS];
};

struct sim_client {
	struct slot slots[SLOTS_MAX];
	uint32_t slot_count, session_count;
	struct session sessions[SESSIONS_MAX];
	struct entry entries[SIM_DATA_MAX][ENTRIES_MAX];
	struct op *ops;
	uint64_t op_count, op_capacity, sampled;
	struct floor registers[REGISTERS], pairs[PAIRS], balances[BALANCES], mortals[MORTALS];
	struct floor memory_registers[REGISTERS], memory_pairs[PAIRS], memory_balances[BALANCES];
	struct floor gone[MORTALS]; /* up to there they were read as absent: they had expired */
	uint64_t looks;             /* of sim_session.c */
	uint32_t hot_register;      /* written last */
	bool is_draining;
	/* Of its own, so that the other classes' seeds stay what they are. */
	struct prng async_prng;
	uint32_t async_ppm; /* of the writes that may be async */
	struct sim_bank bank;
	uint8_t *command;
};

/* ---- sim_session.c ---- */

/* @floor of register @key is known in class durable: what one of the nodes shows must not
 * contradict it. */
void sim_session_look(struct sim *sim, uint32_t key, const struct floor *floor);

/* ---- sim_bank.c ---- */

void sim_bank_create(struct sim *sim);
/* True: the slot's operation has become one of accounts. */
bool sim_bank_begin(struct sim *sim, struct slot *slot);
/* Adds the arguments. */
enum command_op
sim_bank_encode(struct sim *sim, struct command_writer *writer, const struct slot *slot);
void
sim_bank_done(struct sim *sim, const struct slot *slot, const struct submit_completion *completion);
/* @node's reader shows committed position @view. */
void sim_bank_look(struct sim *sim, struct sim_node *node, uint64_t view);

/* ---- sim_op.c ---- */

/* Chooses what an idle slot does next. False: nothing. */
bool op_begin(struct sim *sim, struct slot *slot);
/* Encodes the slot's command; 0: it is a read. */
uint32_t op_encode(struct sim *sim, const struct slot *slot);
bool op_is_read(enum op_kind kind);
/* A write was answered DONE; @slot is NULL when the slot has gone on. True: the operation is over.
 */
bool op_on_done(struct sim *sim, struct sim_node *node, const struct entry *entry,
		struct slot *slot, const struct submit_completion *completion);
void op_on_refused(struct sim *sim, const struct slot *slot);
/* A write of class async stands in the log of @node; its slot may have given it up. */
void op_on_accepted(struct sim *sim, struct sim_node *node, const struct entry *entry,
		    const struct submit_completion *completion);
/* The answer to a write without a session that its slot had given up. */
void op_on_late(struct sim *sim, struct sim_node *node, uint64_t op,
		const struct submit_completion *completion);
void op_on_unknown(struct sim *sim, const struct slot *slot);
/* Reads the state of @node now. False: the view failed, for what it showed was rolled back. */
bool op_read(struct sim *sim, struct sim_node *node, const struct slot *slot);

#endif
