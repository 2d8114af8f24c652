/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node shows of itself to other threads: one flat structure that the lcore publishes after
 * changes (at most every STATUS_PERIOD_NS, and every STATUS_IDLE_NS without any), read under a
 * sequence lock.
 */
#ifndef TERN_RUNTIME_STATUS_H
#define TERN_RUNTIME_STATUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/core.h"
#include "dataplane/core/force.h"
#include "hw/seam/disk_ops.h"
#include "hw/seam/net_ops.h"

#define STATUS_PERIOD_NS 1000000u
#define STATUS_IDLE_NS   4000000u /* after turns that found nothing to do */

/* Reasons for which the runtime drops a frame, counted one by one. */
#define STATUS_DROPS(X)       \
	X(malformed)          \
	X(version)            \
	X(foreign_cluster)    \
	X(stale_generation)   \
	X(later_generation)   \
	X(other_generation)   \
	X(wrong_receiver)     \
	X(wrong_shard)        \
	X(duplicate_id)       \
	X(unknown_sender)     \
	X(stale_boot)         \
	X(stale_term)         \
	X(fragment_duplicate) \
	X(fragment_old)       \
	X(fragment_ahead)     \
	X(fragment_refused)   \
	X(block_corrupt)      \
	X(block_too_large)    \
	X(block_no_room)      \
	X(tx_no_buffer) X(core_refused) X(part_unwanted)

struct status_drops {
#define X(name) uint64_t name;
	STATUS_DROPS(X)
#undef X
};

/* Where the data thread's cycles go. checkpoint: those written, given and fetched. idle: turns that
 * found nothing to do; sleeps and yields between turns are in none. */
#define STATUS_STAGES(X) \
	X(append)        \
	X(seal)          \
	X(send)          \
	X(receive)       \
	X(verify)        \
	X(persist) X(apply) X(checkpoint) X(reply) X(other) X(idle)

enum status_stage {
#define X(name) STAGE_##name,
	STATUS_STAGES(X)
#undef X
	    STAGE_COUNT
};

/* What scrub, rebuild and repair from a peer saw on a device, in pages, since the start. */
struct status_device {
	uint64_t verified, bad, repaired, unrepairable, refilled;
};
#define STATUS_DEVICES_MAX 20u

enum status_scrub { STATUS_SCRUB_NONE = 0, STATUS_SCRUB_RUNNING, STATUS_SCRUB_PAUSED };

/* The devices of a node, as masks of positions. */
struct status_pool {
	uint8_t k, m;
	bool is_stopped;                      /* more were lost than it bears */
	bool is_note_failed;                  /* the pool note: it bears no loss */
	uint32_t failed, suspect, rebuilding; /* suspect: not yet durably recorded as failed */
	uint32_t losses_left;                 /* so many more it bears */
	uint64_t groups_degraded, reads_degraded, read_errors, bad_pages, repairs, hung_requests;
	uint64_t rebuilt;                     /* devices, since the start */
	uint64_t rebuild_done, rebuild_total; /* write groups of the one under way */
	uint64_t scrubs;                      /* that went through all, since the start */
	uint64_t scrub_unrepairable;          /* pages, of the one under way or the last one */
	struct status_device devices[STATUS_DEVICES_MAX];
	/* The disk port's device at each position, and a mask of those that wait as spares. */
	uint8_t drives[STATUS_DEVICES_MAX];
	uint32_t spares;
	uint64_t spares_taken; /* since the start */
	/* Write groups beyond what parity makes good: put together with what peers gave, and of
	 * which nobody had all. */
	uint64_t refilled, lost;
	uint64_t fetched; /* blocks, for them, from other nodes */
	/* A start goes on with the scrub from this cell; the next one is due then (monotonic; 0: on
	 * request only). */
	uint8_t scrub_state; /* enum status_scrub */
	uint64_t scrub_cell, scrub_due_ns;
};

/* Work in the background that people want to see, steer and wait for. Those that ended stay in the
 * list until newer ones take their place. */
#define STATUS_JOBS_MAX 8u
enum status_job_kind {
	STATUS_JOB_REBUILD = 1, /* a device is made whole */
	STATUS_JOB_SCRUB,       /* everything is verified, and repaired */
};
enum status_job_state {
	STATUS_JOB_RUNNING = 1,
	STATUS_JOB_PAUSED,
	STATUS_JOB_DONE,
	STATUS_JOB_CANCELLED,
	STATUS_JOB_FAILED,
};
struct status_job {
	uint64_t id; /* 0: none. Rises, also from one start of the node to the next */
	uint8_t kind, state;
	uint8_t device; /* position; STATUS_JOB_ALL_DEVICES */
	uint8_t reserved[5];
	/* Pages of all devices together that it went through, and has to. The total may change. */
	uint64_t done_pages, total_pages;
	uint64_t rate_bytes_s; /* what it did lately, on the average since it began or went on */
	uint64_t rate_max_bytes_s;              /* what it may take of the devices */
	uint64_t eta_ns;                        /* UINT64_MAX: not known */
	uint64_t found, repaired, unrepairable; /* pages that were not what they must be */
	uint64_t refilled, replaced;   /* beyond repair: from a peer; by a new checkpoint */
	uint64_t started_ns, ended_ns; /* monotonic; ended 0: not yet */
};
#define STATUS_JOB_ALL_DEVICES UINT8_MAX

/* A run of `tern log verify --deep`, see deep.h. */
enum status_deep_state {
	STATUS_DEEP_NONE = 0, /* since the start */
	STATUS_DEEP_LOG,
	STATUS_DEEP_CHECKPOINT,
	STATUS_DEEP_DONE,
};
#define STATUS_DEEP_BAD_MAX 16u
struct status_deep {
	uint64_t number; /* of the run, since the start */
	uint8_t state;   /* enum status_deep_state */
	bool is_checkpoint_bad;
	uint32_t bad_count; /* blocks that are not what they must be */
	uint64_t bad[STATUS_DEEP_BAD_MAX];
	uint64_t first_index, next_index, end_index;
	struct hash128 end_chain;  /* of the last block that was good, recomputed */
	uint64_t blocks, pages;    /* read; the pages of checkpoints, too */
	uint64_t checkpoint_index; /* of the one that was read; 0: there is none */
};

struct node_status {
	uint64_t cluster_id;
	struct generation generation;
	uint32_t boot_no;
	uint16_t node_id, master_id;
	uint8_t role, mode; /* enum core_role, enum core_mode */
	bool is_serving, is_storage_failed, is_damaged, is_log_volatile, is_forgetful;
	bool has_leases;      /* by configuration: it may answer reads by lease as master */
	bool was_damaged;     /* at its start, and may be whole again by now */
	bool is_log_anchored; /* it found its log behind damage, from the checkpoint on */
	bool is_log_mixed;    /* replica: its master's log is volatile and its own is not, or so */
	bool has_checkpoints; /* storage has room for them */
	/* Its storage was lost: it waits for the answers of these nodes (a mask) before all else.
	 */
	bool is_rejoining;
	uint64_t rejoin_missing;
	struct generation superseded_by; /* number 0: it is of the latest that it knows of */
	/* What a person has to know who would force this node to serve: see core/force.h. */
	struct core_force_facts force;
	uint8_t force_verdict; /* enum core_force */
	/* The checkpoint that it fetches, 0: none; parts that it has, of all. Refused: it has no
	 * room for it. */
	uint64_t transfer_index, transfer_parts, transfer_parts_all;
	bool has_unsaved_tail; /* on the divergent ring: no checkpoint of another node is taken */
	uint64_t transfers_refused, transfer_parts_found, transfer_parts_bad,
	    transfer_parts_sent; /* since the start */
	uint64_t term, rset;
	/* The effective configuration; committed once commit_index has reached config_index. */
	uint64_t voters, learners, config_index;
	uint16_t witness_id;
	uint32_t witness_gen; /* a witness's: of its register; 0: not entered */
	uint32_t epoch, copies;
	uint64_t last_index, received_index, durable_index, commit_index, memory_commit_index,
	    applied_index;
	/* Of the block at commit_index; 0: there is none. Terms do not fall along a log, so a block
	 * of an earlier term that stands above commit_index is never committed. */
	uint64_t commit_term;
	struct hash128 last_chain, commit_chain;
	uint64_t state_hash; /* at applied_index */
	uint64_t keys, sessions, state_bytes;
	uint64_t log_used_bytes, log_area_bytes;
	/* The log begins behind base; common: what every data node is known to hold durably. */
	uint64_t log_base_index, log_common_index, log_laps;
	bool has_log_news; /* master: a block would tell that the log may begin later, and none does
			    */
	uint64_t checkpoint_index; /* of the newest that is durable; 0: none */
	uint64_t
	    checkpoint_ns; /* when it came to be, on the monotonic clock; 0: before the start */
	uint64_t checkpoints, checkpoints_ended, checkpoints_bad; /* since the start */
	uint64_t checkpoints_failing; /* given up since the newest came to be */
	uint64_t blocks_sealed, blocks_accepted, groups_written, commands_applied;
	uint64_t elections, solo_entries, duplex_returns, truncations;
	uint64_t farewells;                           /* of masters, heard in time */
	uint64_t rollbacks, memory_commits_lost;      /* the latter in blocks */
	uint64_t memory_lost_first, memory_lost_last; /* the newest of them; 0: none */
	uint64_t alarms[8];                           /* counted by enum core_alarm */
	uint64_t effective_solo_ns, effective_elect_min_ns, effective_elect_max_ns;
	uint64_t effective_hear_ns;          /* how long the master may be silent now */
	uint64_t reads_leased, reads_proven; /* read points: by lease; by round, or none needed */
	uint64_t turns, idle_turns, sleeps;
	uint64_t held_turns;          /* in which requests waited for a copy that comes back */
	uint64_t cycles[STAGE_COUNT]; /* by enum status_stage */
	struct status_drops drops;
	struct status_pool pool;
	struct status_job jobs[STATUS_JOBS_MAX]; /* in no order */
	struct status_deep deep;
	uint64_t blocks_found;  /* of the log, that could not be read, since the start */
	uint64_t blocks_pulled; /* committed ones, from a node that is no master, since the start */
	struct disk_facts disk_facts;
	struct disk_stats disk;
	struct net_stats data_net, mgmt_net;
	char data_driver[32], mgmt_driver[32], poll_mode[16];
	bool data_port_up;
	uint32_t data_frame_bytes; /* UDP payload that a frame to a data node can carry; 0: none */
	uint64_t view_until_ns, fresh_ns, echo_ns; /* of core_view, on the monotonic clock */
};

/* How old a read of the applied state can be at @now_ns, which is read after @status was, and
 * before the view of the state begins; UINT64_MAX: not known, or no replica. */
static inline uint64_t
status_stale_ns(const struct node_status *status, uint64_t now_ns)
{
	return core_stale_ns(status->fresh_ns, status->echo_ns, status->effective_elect_min_ns,
			     now_ns);
}

struct status_cell {
	_Atomic uint64_t lease_until_ns; /* not under the lock: as of this moment; 0: no lease */
	_Atomic uint64_t version;        /* odd while the lcore writes */
	struct node_status status;
};

/* Lcore only, before it sends anything. That a lease ends is seen by all before what follows. */
static inline void
status_lease_set(struct status_cell *cell, uint64_t until_ns)
{
	if (atomic_load_explicit(&cell->lease_until_ns, memory_order_relaxed) == until_ns)
		return;
	atomic_store_explicit(&cell->lease_until_ns, until_ns, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
}

/* Any thread. @now_ns: the lcore's clock, read after the read point was given. True: nobody else
 * was master then, so the read point is one for every read that was sent before. */
static inline bool
status_lease_holds(const struct status_cell *cell, uint64_t now_ns)
{
	return now_ns < atomic_load_explicit(&cell->lease_until_ns, memory_order_seq_cst);
}

/* Lcore only. */
void status_publish(struct status_cell *cell, const struct node_status *status);
/* Any thread. Retries until the copy is consistent. */
void status_read(struct status_cell *cell, struct node_status *status);

#endif
