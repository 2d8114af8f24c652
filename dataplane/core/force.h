/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bypasses the quorum (protocol section 12): a person says that the other copies are lost, and
 * one node goes on alone, in the next generation of the cluster. Nothing that it holds is cut. The
 * node makes the generation, and a configuration of itself alone, durable, and starts anew; its
 * first block then is the GEN block, which says so to the log.
 *
 * Who was left out learns it as soon as a frame of either reaches the other. From then on it is
 * superseded: it has no vote, follows nobody, leads nobody and answers nothing, for ever.
 * Thread: as in core.h.
 */
#ifndef TERN_CORE_FORCE_H
#define TERN_CORE_FORCE_H

#include "dataplane/core/core.h"

enum core_force {
	CORE_FORCE_ALLOWED = 0,
	CORE_FORCE_MASTER,     /* there is a master: this node, or one that it follows */
	CORE_FORCE_EARLY,      /* one was here a moment ago, or this node has just been started */
	CORE_FORCE_QUORUM,     /* enough voters are there to elect one */
	CORE_FORCE_NO_VOTER,   /* this node is none */
	CORE_FORCE_LACKS,      /* it knows that its log is not what it was */
	CORE_FORCE_BUSY,       /* something is being written: ask again */
	CORE_FORCE_STORAGE,    /* its storage failed */
	CORE_FORCE_SUPERSEDED, /* it was left out of a later generation */
	CORE_FORCE_LAST,       /* generations are used up */
	CORE_FORCE_FULL,       /* runtime: its log has no room for the GEN block */
};
/* Whether a person's word may be taken now. At the very time at which CORE_EVENT_FORCE comes. */
enum core_force core_judge_force(const struct core *core);
/* How long nobody must have been heard before that. */
uint64_t core_force_silence_ns(const struct core *core);

/* What is known here of what others may hold. */
struct core_force_facts {
	uint64_t masterless_ns;     /* since when no master is known here, or since the start */
	uint64_t told_commit_index; /* the highest that anybody said is committed */
	struct {
		uint16_t node;
		bool was_heard;
		uint64_t silent_ns; /* was_heard: since then */
	} peers[CORE_NODES_MAX];
	uint32_t peer_count;
};
void core_force_facts(const struct core *core, struct core_force_facts *facts);

/* The log ends where the generation has to begin: its GEN block comes before all else. */
bool core_is_gen_due(const struct core *core);

#endif
