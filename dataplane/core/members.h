/* SPDX-License-Identifier: Apache-2.0 */
/* What members.c offers the other files of the core: the configuration, and who is what by it. */
#ifndef TERN_CORE_MEMBERS_H
#define TERN_CORE_MEMBERS_H

#include "dataplane/core/core_internal.h"

/* A replica this close to the end of the master's log may become part of the in-sync set. */
#define CORE_CAUGHT_UP_BLOCKS 4u

static inline bool
core_has_member_bug(const struct core *core, enum core_member_bug bug)
{
	return (core->config.member_bugs & (uint32_t)bug) != 0;
}

void members_begin(struct core *core);
/* All that have a vote by it: mask V. */
uint64_t members_voters(const struct membership *members);
/* What this node knows of the configuration is what its node file said. */
bool members_is_guest(const struct core *core);
/* The last block of the log is a CONFIG block that says this. MALFORMED: it does not follow. */
TERN_CHECKED enum tern_err
members_check(const struct core *core, const struct block_meta *block,
	      const struct membership *next, const struct membership *before);
/* The log ends at @keep_index now. */
void members_cut(struct core *core, uint64_t keep_index);
/* What follows from members and committed_members: call it when either has changed. */
void members_derive(struct core *core);
/* The rule that gives the witness a vote; NULL: none does. */
const struct core_rule *members_pair(const struct core *core);
/* These nodes are a quorum by all rules: for elections, read rounds, and to go on as master. */
bool members_are_quorum(const struct core *core, uint64_t mask);
/* Whether some rule asks for its log. */
static inline bool
core_is_voter(const struct core *core, uint16_t node_id)
{
	return (core->data & core_bit(node_id)) != 0;
}
static inline bool
core_is_joint(const struct core *core)
{
	return core->members.voters != core->committed_members.voters;
}
/* A data node that the master sends its log to. */
static inline bool
core_is_replica(const struct core *core, uint16_t node_id)
{
	return ((core->data | core->members.learners) & core_bit(node_id)) != 0;
}
/* A node that the master talks to. */
static inline bool
core_is_member(const struct core *core, const struct core_peer *peer)
{
	return peer->is_witness ? peer->id == core->members.witness_id
				: core_is_replica(core, peer->id);
}

#endif
