/* SPDX-License-Identifier: Apache-2.0 */
/* The session table inside the state machine: what a session's version holds, and what is done with
 * it. Owner: the state's writer; readers see versions only through the hash scan. */
#ifndef TERN_STATE_SESSION_H
#define TERN_STATE_SESSION_H

#include <assert.h>

#include "dataplane/state/state_internal.h"

#define STATE_REPLIES_KEPT     16u
#define STATE_REPLY_BYTES_KEPT 24u
/* A session without commands for this long, by logged time, makes room when the table is full. */
#define STATE_SESSION_IDLE_NS (600ULL * 1000000000ULL)

/* One answered command of a session. BYTES that fit lie where the numbers would, and is_max is how
 * many they are; longer ones, and an ARRAY, are kept as DONE. */
struct session_reply {
	uint64_t seq; /* 0: unused */
	uint64_t kind, is_max;
	union {
		struct {
			int64_t value, delta, bound;
		};
		uint8_t data[STATE_REPLY_BYTES_KEPT];
	};
};

/* The value of a session's version. Up to SESSION_HASHED_BYTES it lies as the state hash takes it:
 * numbers of 8 bytes, low byte first. */
struct session_image {
	uint64_t client_id;
	uint64_t low; /* the window is [low, low + STATE_SESSION_WINDOW) */
	uint64_t last_used_ns, last_index;
	uint64_t done[STATE_SESSION_WINDOW / 64]; /* bit seq % STATE_SESSION_WINDOW */
	uint64_t
	    refused[STATE_SESSION_WINDOW / 64]; /* of the done: which were refused when applied */
	uint64_t replies_count;                 /* the newest lies at (count - 1) % KEPT */
	struct session_reply replies[STATE_REPLIES_KEPT];
	/* The command that moved the session to the end of the list by last use: what the list is
	 * made again from. Not part of the state hash. */
	uint64_t used_index;
	uint32_t used_slot;
	/* For rollback, not part of the state: whether this version moved the session to the end of
	 * the list by last use, and what it stood behind before (NULL: nothing). */
	bool has_moved;
	struct entry *moved_from;
};
#define SESSION_HASHED_BYTES ((5u + STATE_SESSION_WINDOW / 64 * 2 + STATE_REPLIES_KEPT * 6) * 8u)
static_assert(offsetof(struct session_image, used_index) == SESSION_HASHED_BYTES, "no gaps");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "hashed as it lies in memory");

/* Writer only: sessions by last use, and those changed since the last publication. */
struct session_links {
	struct entry *lru_prev, *lru_next, *dirty_next;
	bool is_dirty;
};

static inline struct session_image *
session_image(struct version *version)
{
	return (struct session_image *)(void *)version->data;
}

/* The value of a session's record in a checkpoint: each number as 8 bytes. */
#define STATE_SESSION_NUMBERS (7u + STATE_SESSION_WINDOW / 64 * 2 + STATE_REPLIES_KEPT * 6)
#define STATE_SESSION_BYTES   (STATE_SESSION_NUMBERS * 8u)
static_assert(STATE_SESSION_BYTES <= COMMAND_KEY_BYTES_MAX, "gathered where keys are");

/* hash.c */
uint64_t state_session_hash(const struct session_image *image);

/* session.c */
void
session_open(struct state *state, struct state_position at, uint64_t time_ns, struct reply *reply);
void session_close(struct state *state, struct entry *entry, struct state_position at);
struct entry *session_find(struct state *state, uint64_t client_id);
/* True: run the command, then session_record its reply. False: @reply is the answer. */
bool session_admit(struct state *state, struct entry *entry, struct state_position at,
		   uint64_t time_ns, const struct command *command, struct reply *reply);
void session_record(struct state *state, struct entry *entry, struct state_position at,
		    uint64_t seq, const struct reply *reply);
/* Gives the sessions changed since the last publication their hash. */
void session_hash_dirty(struct state *state);
/* For checkpoints. @out, @bytes: STATE_SESSION_BYTES. CORRUPT: no session can be like that. */
void session_image_encode(uint8_t *out, const struct session_image *image);
TERN_CHECKED enum tern_err
session_image_decode(const uint8_t *bytes, uint64_t log_index, struct session_image *image);
/* Makes a session that was restored; and puts the list by last use, when all are there, into
 * the order that their images tell. */
void
session_restore(struct state *state, const struct session_image *image, struct state_position at);
void session_restore_order(struct state *state);
/* For rollback: forgets that they were changed; and puts @entry back where it stood by last use
 * before @version, its newest, was made. */
void session_forget_dirty(struct state *state);
void session_undo_use(struct state *state, struct entry *entry, struct version *version);

#endif
