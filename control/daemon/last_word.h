/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said for a master whose process has died: FAREWELL to all members, by a child that does
 * nothing but wait for that. It is told by a robust lock that the data thread holds for its life:
 * the kernel gives it to the child when the thread ends, before the memory and the descriptors of
 * the process are gone (docs/decisions/last-word.md).
 *
 * Invariants:
 *   - The child has no descriptor but a socket to this process, and later the management socket;
 *     no storage, no lock of a file, no memory that was taken after the fork.
 *   - It never outlives this process for longer than it takes to say it: before the lock is held
 *     the end of the socket pair ends it, and then the lock does.
 *   - Facts that were half noted when the process died are not said.
 * A farewell makes others campaign sooner, and decides nothing.
 *
 * Owns: one shared page and the child. Threads: fork, is_gone and end: main; hold, note and over:
 * the data thread, hold first.
 */
#ifndef TERN_DAEMON_LAST_WORD_H
#define TERN_DAEMON_LAST_WORD_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/wire/farewell.h"
#include "dataplane/wire/inet_addr.h"

#define LAST_WORD_PEERS_MAX 63u

struct last_word;

struct last_word_peer {
	uint16_t node_id, port; /* host order */
	struct inet_addr ip;
};

/* Forks the child. Before any other thread is made, and before anything is opened or mapped that it
 * must not have.
 * Errors: NO_MEMORY, IO; nothing is left. */
TERN_CHECKED enum tern_err last_word_fork(struct last_word **out);

/* From now on the child speaks when the calling thread ends without last_word_over. @socket: bound,
 * not blocking; the child gets a descriptor of its own. @peers: of the node file; borrowed until
 * return, at most LAST_WORD_PEERS_MAX. */
void last_word_hold(struct last_word *word, int socket, const struct last_word_peer *peers,
		    uint32_t count);
/* What it would say. Borrows @farewell until return. */
void last_word_note(struct last_word *word, const struct farewell *farewell);
/* An orderly end: nothing is said. */
void last_word_over(struct last_word *word);

/* The child ended before this process did. True once. */
bool last_word_is_gone(struct last_word *word);
/* Waits for the child and takes back everything. No thread holds it any more. NULL: nothing. */
void last_word_end(struct last_word *word);

#endif
