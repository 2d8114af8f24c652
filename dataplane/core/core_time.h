/* SPDX-License-Identifier: Apache-2.0 */
/* The spans of time that a core goes by. */
#ifndef TERN_CORE_CORE_TIME_H
#define TERN_CORE_CORE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#define CORE_DRIFT_PPM_MAX 200000u
#define CORE_IDS_MAX       64u /* ids of nodes are below: sets of them are masks */

/* PROTOCOL section 16; all in nanoseconds. Effective values may be larger, see core_view. */
struct core_timers {
	uint64_t heartbeat_ns;
	uint64_t solo_ns;  /* master gives up on a silent replica */
	uint64_t late_ns;  /* no progress while blocks are outstanding */
	uint64_t stall_ns; /* own disk or apply stands still */
	uint64_t elect_min_ns, elect_max_ns;
	/* Reads at a master by lease, and how far any node's clock may be off: at most
	 * CORE_DRIFT_PPM_MAX millionths too fast or too slow. */
	bool has_leases;
	uint32_t clock_drift_ppm;
	/* By node id: how long this one may stand still before it is late; 0: late_ns. */
	uint64_t node_late_ns[CORE_IDS_MAX];
};

/* T of `semi (T)`, protocol section 10. */
static inline uint64_t
core_late_ns(const struct core_timers *timers, uint16_t node_id)
{
	const uint64_t own_ns = node_id < CORE_IDS_MAX ? timers->node_late_ns[node_id] : 0;

	return own_ns != 0 ? own_ns : timers->late_ns;
}

/* How old a read of a replica's applied state can be at @now_ns, by protocol section 9; UINT64_MAX:
 * not known. Two clocks ran meanwhile, hence one in 1,024 more: CORE_CLOCK_DRIFT. @elect_min_ns:
 * without an echo for that long it is not known. */
#define CORE_CLOCK_DRIFT 1024u
static inline uint64_t
core_stale_ns(uint64_t fresh_ns, uint64_t echo_ns, uint64_t elect_min_ns, uint64_t now_ns)
{
	if (fresh_ns == 0 || fresh_ns > now_ns || echo_ns > now_ns ||
	    now_ns - echo_ns > elect_min_ns)
		return UINT64_MAX;
	return now_ns - fresh_ns + (now_ns - fresh_ns) / CORE_CLOCK_DRIFT;
}

#endif
