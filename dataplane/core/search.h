/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The master finds where a replica's log leaves its own, by bisection over chain hashes (protocol
 * section 7), probe by probe. Once the peer's whole log is a prefix of its own the search is over,
 * and replicate.c goes on. As master only; witnesses have no log. Private to this room.
 */
#ifndef TERN_CORE_SEARCH_H
#define TERN_CORE_SEARCH_H

#include "dataplane/core/core_internal.h"

/* Nothing is known of the peer's log any more; sends the first probe. */
void search_begin(struct core *core, struct core_peer *peer);
/* Sends the probe that is under way, once more maybe; none before the term's barrier. */
void search_probe(struct core *core, struct core_peer *peer);
/* The peer has answered it, and is not matched by that: sends the next one, or finds that it lacks
 * what this log does not hold any more. */
void search_go_on(struct core *core, struct core_peer *peer, const struct msg_append_ack *ack);
/* The peer is not matched any more, and sent nothing. */
void search_forget(struct core *core, struct core_peer *peer);

#endif
