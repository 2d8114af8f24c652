/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator has to know, as the core says it. */
#ifndef TERN_CORE_CORE_ALARM_H
#define TERN_CORE_CORE_ALARM_H

enum core_alarm {
	CORE_ALARM_ACK_FORGOTTEN = 1, /* node reports less durable than it had acknowledged (P5) */
	CORE_ALARM_CUT_BELOW_COMMIT,  /* a master asked for a cut at or below commit_index: refused,
				       * and this node is quarantined */
	CORE_ALARM_WITNESS_AMNESIA,   /* no register, or peers know a newer witness_gen (P4) */
	CORE_ALARM_STORAGE_FAILED,
	CORE_ALARM_STALLED,             /* gave up mastership: disk or apply stands still */
	CORE_ALARM_MEMORY_COMMITS_LOST, /* index..index_to: blocks that were cut here after commands
					 * of class memory in them were, or may have been, answered
					 */
	CORE_ALARM_SUPERSEDED, /* this node was left out of a later generation: it serves no more */
};
#define CORE_ALARM_LAST CORE_ALARM_SUPERSEDED

#endif
