/* SPDX-License-Identifier: Apache-2.0 */
/* What a run counts. `must` marks what a run over many seeds must have seen at least once: a fault
 * class that never fires, or a path that is never taken, is a failure of the test itself. */
#ifndef TERN_TESTS_SIM_SIM_COUNTS_H
#define TERN_TESTS_SIM_SIM_COUNTS_H

#include <stdint.h>

#define SIM_COUNTS(X)              \
	X(elections, 1)            \
	X(solo_entries, 1)         \
	X(duplex_returns, 1)       \
	X(truncations, 1)          \
	X(commits, 1)              \
	X(acknowledged_writes, 1)  \
	X(refused_writes, 1)       \
	X(unknown_writes, 1)       \
	X(log_full_refusals, 1)    \
	X(reads_checked, 1)        \
	X(reads_after_failover, 1) \
	X(session_retries, 1)      \
	X(session_repeats, 1)      \
	X(bound_refusals, 1)       \
	X(frames_sent, 1)          \
	X(frames_lost, 1)          \
	X(frames_duplicated, 1)    \
	X(frames_reordered, 1)     \
	X(frames_corrupted, 1)     \
	X(frames_cut, 1)           \
	X(frames_rx_overflow, 0)   \
	X(partitions, 1)           \
	X(one_way_cuts, 1)         \
	X(path_cuts, 1)            \
	X(isolations, 1)           \
	X(crashes, 1)              \
	X(crashes_of_all, 1)       \
	X(crash_lost_writes, 1)    \
	X(crash_torn_writes, 1)    \
	X(crash_kept_writes, 1)    \
	X(witness_crashes, 1)      \
	X(pauses, 1)               \
	X(disk_slow, 1)            \
	X(disk_stuck, 1)           \
	X(disk_errors, 1)          \
	X(data_port_downs, 1)      \
	X(switchovers, 1)          \
	X(graceful_stops, 1)       \
	X(divergent_tails, 1)      \
	X(register_updates, 1)     \
	X(hash_comparisons, 1)     \
	X(log_comparisons, 1)      \
	X(lied_writes_lost, 0)     \
	X(complete_runs, 1)        \
	X(log_full_runs, 1)        \
	X(boots, 1)                \
	X(turns, 1)                \
	X(events, 1)

enum sim_count_kind {
#define X(name, must) SIM_COUNT_##name,
	SIM_COUNTS(X)
#undef X
	    SIM_COUNT_KINDS
};

struct sim_counts {
	uint64_t of[SIM_COUNT_KINDS];
	uint64_t virtual_ns;
};

#endif
