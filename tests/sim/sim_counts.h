/* SPDX-License-Identifier: Apache-2.0 */
/* What a run counts. The mask names the topologies (bit: enum sim_topology) in which a run over
 * many seeds must have seen it at least once: a fault class that never fires, or a path that is
 * never taken, is a failure of the test itself. */
#ifndef TERN_TESTS_SIM_SIM_COUNTS_H
#define TERN_TESTS_SIM_SIM_COUNTS_H

#include <stdint.h>

#define ON_2W       1u
#define ON_1        4u
#define ON_MANY     3u
#define ON_3        2u
#define ON_ALL      7u
#define ON_GUEST    24u
#define ON_CHANGE   120u
#define ON_JOINT    16u
#define ON_WITNESS  32u
#define ON_EXCHANGE 64u
#define ON_VOTERS   80u
#define ON_FORCE    128u
/* Born with fewer nodes than there are. */
#define ON_CHANGED_LISTS (ON_GUEST | ON_EXCHANGE)
/* With tiny limits hardly anything is applied ahead when a master falls: one seed in 500. */
#ifdef TERN_TINY_LIMITS
#define ON_2W_WHOLE 0u
#else
#define ON_2W_WHOLE ON_2W
#endif

/* A checkpoint of more than one chunk is one of tiny limits. */
#ifdef TERN_TINY_LIMITS
#define ON_2W_TINY ON_2W
#else
#define ON_2W_TINY 0u
#endif

#define SIM_COUNTS(X)                         \
	X(elections, ON_ALL)                  \
	X(solo_entries, ON_2W)                \
	X(duplex_returns, ON_2W)              \
	X(truncations, ON_MANY)               \
	X(commits, ON_ALL)                    \
	X(acknowledged_writes, ON_ALL)        \
	X(memory_acks, ON_MANY)               \
	X(memory_acks_checked, ON_MANY)       \
	X(memory_acks_through_fault, ON_MANY) \
	X(memory_acks_lost, ON_2W)            \
	X(memory_reads, ON_MANY)              \
	X(memory_reads_failed, 0)             \
	X(applied_ahead, ON_MANY)             \
	X(transfers, ON_ALL)                  \
	X(balances_taken, ON_ALL)             \
	X(async_accepts, ON_ALL)              \
	X(async_committed, ON_ALL)            \
	X(async_lost, ON_MANY)                \
	X(async_over_capacity, 0)             \
	X(leaks_sought, ON_ALL)               \
	X(session_reads, ON_ALL)              \
	X(snapshots, ON_ALL)                  \
	X(rollbacks, ON_2W_WHOLE)             \
	X(class_refusals, ON_MANY)            \
	X(forgetful_boots, ON_MANY)           \
	X(forgetful_returns, ON_MANY)         \
	X(forgotten_for_good, 0)              \
	X(refused_writes, ON_ALL)             \
	X(unknown_writes, ON_ALL)             \
	X(log_full_refusals, ON_ALL)          \
	X(reads_checked, ON_ALL)              \
	X(ages_checked, ON_MANY)              \
	X(ages_unknown, ON_MANY)              \
	X(reads_after_failover, ON_MANY)      \
	X(reads_by_lease, ON_MANY)            \
	X(lease_cuts, ON_MANY)                \
	X(session_retries, ON_ALL)            \
	X(session_repeats, ON_ALL)            \
	X(bound_refusals, ON_ALL)             \
	X(reads_of_expired, ON_ALL)           \
	X(frames_sent, ON_MANY)               \
	X(frames_lost, ON_MANY)               \
	X(frames_duplicated, ON_MANY)         \
	X(frames_reordered, ON_MANY)          \
	X(frames_corrupted, ON_MANY)          \
	X(frames_cut, ON_MANY)                \
	X(frames_rx_overflow, 0)              \
	X(partitions, ON_MANY)                \
	X(one_way_cuts, ON_MANY)              \
	X(one_way_1_2, ON_MANY)               \
	X(one_way_1_3, ON_MANY)               \
	X(one_way_2_1, ON_MANY)               \
	X(one_way_2_3, ON_MANY)               \
	X(one_way_3_1, ON_MANY)               \
	X(one_way_3_2, ON_MANY)               \
	X(path_cuts, ON_MANY)                 \
	X(isolations, ON_MANY)                \
	X(crashes, ON_ALL)                    \
	X(crashes_of_all, ON_ALL)             \
	X(lost_masters, ON_MANY)              \
	X(lost_tails, ON_MANY)                \
	X(crash_lost_writes, ON_ALL)          \
	X(crash_torn_writes, ON_ALL)          \
	X(crash_kept_writes, ON_ALL)          \
	X(witness_crashes, ON_MANY)           \
	X(pauses, ON_ALL)                     \
	X(disk_slow, ON_ALL)                  \
	X(devices_gone, 0)                    \
	X(devices_replaced, 0)                \
	X(devices_rebuilt, 0)                 \
	X(devices_checked, 0)                 \
	X(scrubs, 0)                          \
	X(scrub_rot, 0)                       \
	X(scrub_repaired, 0)                  \
	X(groups_hurt, 0)                     \
	X(groups_refilled, 0)                 \
	X(groups_lost, 0)                     \
	X(spares_taken, 0)                    \
	X(spares_away, 0)                     \
	X(devices_given, 0)                   \
	X(swaps_refused, 0)                   \
	X(heal_crashes, 0)                    \
	X(stale_refused, 0)                   \
	X(disk_stuck, ON_ALL)                 \
	X(disk_errors, ON_ALL)                \
	X(data_port_downs, ON_MANY)           \
	X(switchovers, ON_MANY)               \
	X(graceful_stops, ON_ALL)             \
	X(divergent_tails, ON_MANY)           \
	X(divergent_at_boot, ON_MANY)         \
	X(crashes_of_two, ON_MANY)            \
	X(restart_loops, ON_ALL)              \
	X(restarts, ON_ALL)                   \
	X(bursts, ON_MANY)                    \
	X(frames_lost_in_bursts, ON_MANY)     \
	X(flaps, ON_MANY)                     \
	X(read_errors, ON_ALL)                \
	X(flush_errors, ON_ALL)               \
	X(torn_writes, ON_ALL)                \
	X(no_space, ON_ALL)                   \
	X(rot_below_floor, ON_ALL)            \
	X(rot_refused, ON_1)                  \
	X(rot_repaired, ON_MANY)              \
	X(rot_mended, ON_MANY)                \
	X(holes_mended, ON_MANY)              \
	X(logs_anchored, ON_ALL)              \
	X(blocks_pulled, ON_3)                \
	X(pulled_up, ON_3)                    \
	X(rot_of_all, ON_MANY)                \
	X(rot_idle, ON_ALL)                   \
	X(rot_dead, 0)                        \
	X(rot_live, ON_ALL)                   \
	X(rot_found_live, ON_MANY)            \
	X(deep_verifies, ON_ALL)              \
	X(misdirected_reads, ON_ALL)          \
	X(damage_restarts, 0)                 \
	X(rot_above_floor, ON_ALL)            \
	X(rot_superblock, ON_ALL)             \
	X(clock_drifts, ON_ALL)               \
	X(clock_freezes, ON_ALL)              \
	X(wall_steps, ON_ALL)                 \
	X(frames_corrupted_inside, ON_MANY)   \
	X(frames_replayed, ON_MANY)           \
	X(frames_of_old_runs, ON_MANY)        \
	X(votes_asked_in_quiet, ON_MANY)      \
	X(register_updates, ON_MANY)          \
	X(hash_comparisons, ON_ALL)           \
	X(log_comparisons, ON_ALL)            \
	X(old_images, 0)                      \
	X(misdirected_writes, 0)              \
	X(lied_writes_lost, 0)                \
	X(complete_runs, ON_ALL)              \
	X(log_full_runs, ON_ALL)              \
	X(episodes, ON_ALL)                   \
	X(episodes_struck, ON_ALL)            \
	X(operations, ON_ALL)                 \
	X(checkpoints, ON_ALL)                \
	X(checkpoint_boots, ON_ALL)           \
	X(checkpoints_rotten, ON_ALL)         \
	X(checkpoints_rot_found, ON_ALL)      \
	X(fallbacks, ON_ALL)                  \
	X(checkpoints_sent, ON_MANY)          \
	X(checkpoints_installed, ON_MANY)     \
	X(installed_over_tails, 0)            \
	X(chunks_found, ON_2W_TINY)           \
	X(chunks_bad, ON_MANY)                \
	X(storage_lost, ON_MANY)              \
	X(rejoined, ON_MANY)                  \
	X(log_laps, ON_ALL)                   \
	X(rivals, ON_3)                       \
	X(late_blocks, ON_3)                  \
	X(last_words, ON_MANY)                \
	X(last_words_heard, ON_MANY)          \
	X(changes_asked, ON_CHANGE)           \
	X(changes_refused, ON_CHANGE)         \
	X(changes_begun, ON_CHANGE)           \
	X(changes_committed, ON_CHANGE)       \
	X(changed_boots, ON_CHANGE)           \
	X(witnesses_lost, ON_WITNESS)         \
	X(witnesses_returned, ON_WITNESS)     \
	X(witnesses_replaced, ON_WITNESS)     \
	X(witnesses_told_late, ON_WITNESS)    \
	X(witnesses_amnesiac, ON_WITNESS)     \
	X(learners, ON_GUEST)                 \
	X(voters_added, ON_VOTERS)            \
	X(voters_removed, ON_VOTERS)          \
	X(joint_masters, ON_VOTERS)           \
	X(joint_elections, ON_JOINT)          \
	X(joint_solo, 0)                      \
	X(masters_removed, 0)                 \
	X(witness_entries, ON_VOTERS)         \
	X(witness_retirements, ON_VOTERS)     \
	X(aimed_faults, ON_JOINT)             \
	X(aimed_cuts, ON_JOINT)               \
	X(forced, ON_FORCE)                   \
	X(force_refusals, ON_FORCE)           \
	X(force_writes, ON_FORCE)             \
	X(force_lost, ON_FORCE)               \
	X(superseded, ON_FORCE)               \
	X(force_runs, ON_FORCE)               \
	X(parts_bent, 0)                      \
	X(notes_written, 0)                   \
	X(notes_failed, 0)                    \
	X(notes_spoiled, 0)                   \
	X(notes_old, 0)                       \
	X(gone_while_stopped, 0)              \
	X(halves_alone, 0)                    \
	X(halves_refused, 0)                  \
	X(points, 0)                          \
	X(crash_log_handed, ON_ALL)           \
	X(crash_log_durable, ON_ALL)          \
	X(crash_log_seen, ON_ALL)             \
	X(crash_superblock_handed, ON_ALL)    \
	X(crash_superblock_durable, ON_ALL)   \
	X(crash_superblock_seen, ON_ALL)      \
	X(crash_checkpoint_handed, ON_ALL)    \
	X(crash_checkpoint_durable, ON_ALL)   \
	X(crash_checkpoint_seen, ON_ALL)      \
	X(crash_register_handed, ON_2W)       \
	X(crash_register_durable, ON_2W)      \
	X(crash_register_seen, ON_2W)         \
	X(crash_note_handed, 0)               \
	X(crash_note_durable, 0)              \
	X(crash_note_seen, 0)                 \
	X(wrong_clusters, ON_ALL)             \
	X(wrong_ids, ON_MANY)                 \
	X(wrong_storages, ON_MANY)            \
	X(wrong_fresh_registers, ON_2W)       \
	X(wrong_witness_gens, ON_2W)          \
	X(wrong_registers_aimed, ON_2W)       \
	X(stale_lists, ON_CHANGED_LISTS)      \
	X(stale_lists_refused, 0)             \
	X(strangers_of_clusters, ON_MANY)     \
	X(strangers_for_others, ON_MANY)      \
	X(strangers_of_own_id, ON_MANY)       \
	X(strangers_unknown, ON_MANY)         \
	X(strangers_of_old_boots, ON_MANY)    \
	X(boots, ON_ALL)                      \
	X(turns, ON_ALL)                      \
	X(events, ON_ALL)

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
