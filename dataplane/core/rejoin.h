/* SPDX-License-Identifier: Apache-2.0 */
/* What a node does that lacks more than a log can bring; private to this room. */
#ifndef TERN_CORE_REJOIN_H
#define TERN_CORE_REJOIN_H

#include "dataplane/core/core.h"

struct core_peer;

/* Of a node that lost its storage: what the others answered so far. */
struct core_rejoin {
	uint64_t nonce, answered; /* mask */
	uint64_t term, ask_ns;
	uint32_t boot_no;
	struct membership members; /* the newest committed one; voters 0: none was named */
	uint64_t told_index;       /* the witness was told of that one: no older one will do */
	uint32_t witness_gen;      /* of the register that answered */
	/* By peer, of one that it holds behind the newest that it knows to be committed: mask. */
	uint64_t next_voters[CORE_NODES_MAX];
};

/* install.c */
void install_offer(struct core *core, const struct core_peer *peer);
void install_check_reach(struct core *core);
TERN_CHECKED enum tern_err
install_offered(struct core *core, struct core_peer *peer, const struct msg *msg);
/* The same offer by a node that is no master, to one that hears none. */
TERN_CHECKED enum tern_err
install_sought(struct core *core, const struct core_peer *peer, const struct msg *msg);
TERN_CHECKED enum tern_err install_begin(struct core *core, const struct block_meta *meta);

/* rejoin.c */
void rejoin_begin(struct core *core);
void rejoin_poll(struct core *core);
TERN_CHECKED enum tern_err
rejoin_message(struct core *core, struct core_peer *peer, const struct msg *msg);

#endif
