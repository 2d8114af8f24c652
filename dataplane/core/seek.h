/* SPDX-License-Identifier: Apache-2.0 */
/* Committed blocks from any node; see seek.c. What the core's own files use of it. */
#ifndef TERN_CORE_SEEK_H
#define TERN_CORE_SEEK_H

#include "dataplane/core/core.h"

struct core_peer;

struct core_seek {
	uint64_t ask_ns;     /* when somebody is asked next */
	uint32_t peer;       /* who was asked last, by position */
	uint64_t high;       /* this block here is not the committed one; 0: none is known */
	uint64_t pull_index; /* blocks from there on that were told to be committed */
	uint32_t pull_count;
	uint16_t pull_node; /* by whom */
	bool is_untold;     /* a master that was matched before knows nothing of what came since */
	struct hash128 pull[MSG_NEXT_MAX];
};

/* This node hears no master. */
bool seek_is_due(const struct core *core);
void seek_poll(struct core *core);
uint64_t seek_deadline_ns(const struct core *core); /* UINT64_MAX: none */
/* To @peer, by what was found out so far. */
void seek_ask(struct core *core, const struct core_peer *peer);
/* It is the next block that was told to be committed. */
bool seek_takes(const struct core *core, uint64_t log_index, struct hash128 chain);
/* The block that was pulled is the last of the log. */
void seek_pulled(struct core *core);
/* A checkpoint is being fetched, by the word of a node that is no master. */
void seek_installing(struct core *core);
/* A master is heard. */
void seek_end(struct core *core);

#endif
