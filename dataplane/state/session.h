/* SPDX-License-Identifier: Apache-2.0 */
/* The session table inside the state machine: what is done with sessions. Owner: the state's
 * writer; readers see versions only through the hash scan. */
#ifndef TERN_STATE_SESSION_H
#define TERN_STATE_SESSION_H

#include "dataplane/state/session_image.h"

/* A session without commands for this long, by logged time, makes room when the table is full. */
#define STATE_SESSION_IDLE_NS (600ULL * 1000000000ULL)

/* Writer only: sessions by last use, and those changed since the last publication. */
struct session_links {
	struct entry *lru_prev, *lru_next, *dirty_next;
	bool is_dirty;
};

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
