/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the data thread did not run although it meant to: the host gave its processor to somebody
 * else, stopped the process, or one turn took that long. Peers that hear nothing meanwhile may have
 * elected another master, so whoever asks why mastership moved finds it in the status and in the
 * daemon's log.
 *
 * Threads: the data thread calls standstill_look and standstill_due, the main thread
 * standstill_tell, any thread standstill_json.
 */
#ifndef TERN_DAEMON_STANDSTILL_H
#define TERN_DAEMON_STANDSTILL_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdint.h>

/* Longer than any turn and any oversleeping of an idle host, shorter than a master may be silent
 * (t_elect_min, 50 ms by default). */
#define STANDSTILL_NS 20000000u

struct standstill { /* all zero at first */
	uint64_t
	    due_ns; /* the data thread's: the next turn was meant to begin by then; 0: none was */
	_Atomic uint64_t count, last_ns, worst_ns;
	_Atomic uint64_t untold_ns; /* the longest since it was told of */
	uint64_t told_at_ns;        /* the main thread's */
};

/* A turn began at @now_ns; the next one is due at once. */
void standstill_look(struct standstill *standstill, uint64_t now_ns);

/* The next turn is not due before @due_ns: the thread sleeps. */
static inline void
standstill_due(struct standstill *standstill, uint64_t due_ns)
{
	standstill->due_ns = due_ns;
}

/* Says in the log of node @name how long the longest standstill since the last call that said so
 * was; at most once a second. */
void standstill_tell(struct standstill *standstill, const char *name, uint64_t now_ns);

/* A new reference: {"count", "last_ms", "worst_ms"} since the start. */
json_t *standstill_json(const struct standstill *standstill);

#endif
