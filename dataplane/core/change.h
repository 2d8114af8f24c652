/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of the configuration (protocol section 12), as whoever seals blocks has to know them: may
 * one begin, and what may its nodes be sent. Thread: as in core.h.
 */
#ifndef TERN_CORE_CHANGE_H
#define TERN_CORE_CHANGE_H

#include "dataplane/core/core.h"

enum core_change {
	CORE_CHANGE_ALLOWED = 0,
	CORE_CHANGE_NOT_MASTER,  /* or one whose first barrier has not committed, or that hands over
				  */
	CORE_CHANGE_IN_PROGRESS, /* an earlier change has not committed */
	CORE_CHANGE_UNKNOWN,     /* names a node that this one does not know how to reach */
	CORE_CHANGE_NOTHING,     /* it is so already */
	CORE_CHANGE_VOTERS,      /* that change of voters or witness is not offered */
	CORE_CHANGE_DEGRADED,    /* one copy is away: voters change in NORMAL mode only */
	CORE_CHANGE_SELF,        /* the master would remove itself: hand over first */
	CORE_CHANGE_SILENT,      /* a node that would be needed does not answer, or is not well */
	CORE_CHANGE_BEHIND,      /* the node lacks too much of the log */
	CORE_CHANGE_ENTERING,    /* the witness has to be told first: CORE_EVENT_ENTER */
	CORE_CHANGE_WITNESS_OUT, /* the witness is being replaced: first it has to come in */
	CORE_CHANGE_THERE,       /* the voter that would be dropped is there */
	CORE_CHANGE_AGAIN,       /* this master did not allot the witness's generation */
};
/* Whether the master may append a CONFIG block with @next now (protocol section 12). The block is
 * to be sealed and reported as APPENDED before any other event. */
enum core_change core_judge_change(const struct core *core, const struct membership *next);

/* Master: up to which block @node is sent the log. A node that the configuration does not name as a
 * voter is sent committed blocks only. */
uint64_t core_stream_index(const struct core *core, uint16_t node);

#endif
