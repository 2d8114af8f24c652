/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A data node's loop for one shard: moves bytes and events between the pure rooms (core, cmdlog,
 * transport, state) and the hardware seams (network, storage, clock). It decides nothing.
 *
 * Life: runtime_create; runtime_boot_turn until it says ready (reads superblocks, counts up
 * boot_no, scans the log); then runtime_turn for ever. All three run on the owning lcore; no call
 * blocks, formats text or allocates after runtime_create. The simulator runs this very code over
 * its own seams.
 */
#ifndef TERN_RUNTIME_RUNTIME_H
#define TERN_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/arena.h"
#include "dataplane/base/err.h"
#include "dataplane/core/core.h"
#include "dataplane/runtime/status.h"
#include "dataplane/runtime/submit.h"
#include "dataplane/state/state.h"
#include "dataplane/stripe/store.h"
#include "dataplane/wire/farewell.h"
#include "hw/seam/clock_ops.h"
#include "hw/seam/disk_ops.h"
#include "hw/seam/net_ops.h"

#define RUNTIME_CHANNELS_MAX 8u

struct runtime; /* fields in runtime_internal.h */

/* What a node of a test does wrong, to show that the test notices. None in products. */
enum runtime_bug {
	RUNTIME_BUG_LEAK_FRAMES = 1 << 0,   /* some received frames are not given back */
	RUNTIME_BUG_LEAK_VERSIONS = 1 << 1, /* old versions stay for ever */
	RUNTIME_BUG_UNPACED = 1 << 2,       /* clients write round who fetches a checkpoint */
	RUNTIME_BUG_TURNS = 1 << 3,         /* who starts from one loses its place to who asks */
	RUNTIME_BUG_HURT = 1 << 4,          /* a checkpoint frees the log, whole or not */
	RUNTIME_BUG_IDLE_FLOOR = 1 << 5,    /* a log that falls idle tells no floor */
};

struct runtime_config {
	uint64_t cluster_id; /* 0: whatever the superblock says */
	uint16_t node_id, shard;
	/* Mask of the data nodes that this one can reach, itself included. Which of them are voters
	 * or learners say the superblock and the log. */
	uint64_t data_nodes;
	uint16_t witness_id;
	struct core_timers timers;
	bool solo_isolated_stop;
	uint32_t min_copies;
	uint32_t core_bugs, member_bugs; /* tests only */
	uint32_t own_bugs;               /* enum runtime_bug; tests only */
	uint64_t prng_seed;
	/* The log device forgets when the process ends (superblocks do not): see core.h. Equal on
	 * all data nodes. Commands of class durable are refused then. */
	bool is_log_volatile;

	struct net_port data_net, mgmt_net;
	struct disk_port disk;
	struct stripe_geometry geometry;
	/* The pool's positions, then spare ones, as the disk port numbers them. 0: it is not there.
	 */
	uint64_t device_bytes[STRIPE_DRIVES_MAX];
	uint32_t spare_count;
	uint64_t device_hang_ns; /* a request that takes longer fails its device; 0: never */
	/* The pool note, if geometry.k <= geometry.m, as of struct stripe_store_config. */
	struct note_port notes;
	enum tern_err note_err;
	struct pool_note note;
	uint64_t rebuild_bytes_s, scrub_bytes_s; /* of all devices together; 0: as limits.h says */
	uint64_t scrub_interval_ns; /* from the end of one to the next; 0: only on request */
	/* A scrub of an earlier start goes on: what lies before this cell was verified by it. And
	 * when the next one begins; 0: after scrub_interval_ns. */
	enum status_scrub scrub_from;
	uint64_t scrub_from_cell, scrub_due_in_ns;
	struct clock_port clock;

	uint8_t *ring; /* the log ring, mapped twice in a row, see cmdlog.h */
	uint64_t ring_bytes;
	uint32_t command_bytes_max;
	/* Bounds index memory: at least as many as data pages fit into the log area. */
	uint64_t log_pages_max;
	uint32_t groups_in_flight_max;
	uint32_t units_per_frame; /* fragment units in a data frame: 1 at 1500 bytes, 6 at 9000 */
	uint64_t resend_ns, fetch_after_ns;

	struct state *state;
	bool
	    has_readers; /* other threads read the state: memory is reclaimed by a control thread */

	struct submit_channel *channels[RUNTIME_CHANNELS_MAX];
	uint32_t channel_count;
	struct ring *divergent; /* records of cut tails, see below; NULL: not wanted */
	struct status_cell *status;
	char poll_mode[16]; /* for status */
};

/* Arena bytes that runtime_create takes at most for @config. */
size_t runtime_bytes(const struct runtime_config *config);

/* Takes memory from @arena. CONFIG: contradictions. NO_MEMORY. */
TERN_CHECKED enum tern_err
runtime_create(const struct runtime_config *config, struct arena *arena, struct runtime **runtime);

enum runtime_boot {
	RUNTIME_BOOT_MORE = 1, /* call again (after storage completions) */
	RUNTIME_BOOT_READY,
	RUNTIME_BOOT_BLANK,   /* storage was never initialised */
	RUNTIME_BOOT_FOREIGN, /* of another cluster, node or configuration */
	RUNTIME_BOOT_CORRUPT, /* no good superblock copy, though it was written */
	RUNTIME_BOOT_DAMAGED, /* the log lost blocks that this node had acknowledged (P15) */
	RUNTIME_BOOT_IO,
	RUNTIME_BOOT_LIMIT, /* the log holds blocks that command_bytes_max does not allow, see
			     * runtime_boot_command_bytes; of log, checkpoints and votes nothing
			     * was changed */
};
enum runtime_boot runtime_boot_turn(struct runtime *runtime);
/* What the store says of its devices when that is why the boot ended: a sentence, and the position
 * of the device, or UINT32_MAX. NULL: it is not. */
const char *runtime_boot_store(const struct runtime *runtime, uint32_t *device);
/* After RUNTIME_BOOT_LIMIT: the least command_bytes_max with which this log is read. */
uint32_t runtime_boot_command_bytes(const struct runtime *runtime);

enum runtime_turn {
	RUNTIME_WORKED = 1, /* did something: turn again */
	RUNTIME_WAITING,    /* storage, commits or reads are in flight: poll on, but yield */
	RUNTIME_IDLE,    /* nothing in flight: may sleep until runtime_deadline_ns or a wake-up */
	RUNTIME_RESTART, /* it is durable that log and state begin at a checkpoint of another node,
			  * or what a node with new storage was told, or blocks that the log had
			  * lost: end this incarnation and start the next one. Every further
			  * turn says so again */
};
/* Does a bounded amount of work. */
enum runtime_turn runtime_turn(struct runtime *runtime);
/* When runtime_turn must be called even if nothing comes in. */
uint64_t runtime_deadline_ns(const struct runtime *runtime);

/* How long an idle loop may sleep, if it wakes up for the management network and sees what the data
 * port brings only afterwards: @polled_max_ns, or longer where peers are heard over the management
 * network. They have to: who sends blocks after a pause repeats a heartbeat there. */
uint64_t runtime_sleep_ns(const struct runtime *runtime, uint64_t polled_max_ns);

/* Rises with everything that clients and the log make this node do: requests taken, blocks sealed,
 * fragments and fetches received, storage completions, reads answered, blocks applied. Heartbeats,
 * ticks, votes and status leave it, so a loop can tell traffic from its own housekeeping. */
uint64_t runtime_busy_count(const struct runtime *runtime);

/* Write groups ever handed to the device, and what it took for one lately: for a loop that would
 * rather sleep through the time in which none can come back than poll. 0: none came back yet, or
 * commands of class memory come, which wait for peers and not for the device. */
uint64_t runtime_groups_begun(const struct runtime *runtime);
uint64_t runtime_group_ns(const struct runtime *runtime);
/* The device has something to do for this node. */
bool runtime_is_writing(const struct runtime *runtime);

/* When the last turn began, on the monotonic clock. */
uint64_t runtime_turn_ns(const struct runtime *runtime);

/* Counts a sleep of the loop's thread, for status. */
void runtime_note_sleep(struct runtime *runtime);

/* Graceful stop: hands mastership over if it can. Poll core_view's role for the outcome. */
void runtime_stop(struct runtime *runtime);
void runtime_set_data_port(struct runtime *runtime, bool is_up);
const struct core_view *runtime_view(const struct runtime *runtime);
/* What is to be said should the process die before the next turn. After the boot. */
struct farewell runtime_farewell(const struct runtime *runtime);
/* For checkers: meta of a block of this node's log, which begins behind its base. */
uint64_t runtime_base_index(const struct runtime *runtime);
/* What this incarnation knows of damage of its log. */
struct runtime_damage {
	uint32_t holes_mended;  /* with blocks of other nodes */
	bool is_anchored;       /* the log begins at a checkpoint, behind what was lost */
	uint64_t blocks_pulled; /* committed ones, from a node that is no master */
	uint64_t blocks_found;  /* that could not be read while it ran */
	bool is_restarting;     /* because of one of them */
	/* Mask of slots: these checkpoints cannot be read any more. And behind which block the log
	 * begins, by the superblock that is written next. */
	uint32_t checkpoints_hurt;
	uint64_t base_named;
};
struct runtime_damage runtime_damage(const struct runtime *runtime);
/* What SUBMIT_DEEP asks for. The loop's thread. */
uint64_t runtime_deep_start(struct runtime *runtime, uint64_t end_index);
bool runtime_block_meta(const struct runtime *runtime, uint64_t log_index, struct block_meta *meta);
struct runtime_healing {
	bool is_under_way;        /* a scrub or a rebuild, paused or not */
	uint64_t scrubs, rebuilt; /* that ended well, since the start */
	/* Write groups beyond what parity makes good: put together again; and not. */
	uint64_t refilled, unreadable;
	uint32_t out; /* places whose devices do not count, or are not whole */
	/* Of them: durably so, and nobody fills them; being filled. */
	uint32_t failed, rebuilding;
	uint64_t spares_taken;
	uint8_t drives[STRIPE_DEVICES_MAX]; /* the disk port's device at each place */
};
struct runtime_healing runtime_healing(const struct runtime *runtime);
/* What a request to begin a scrub asks for. False: not now. The loop's thread. */
bool runtime_scrub_begin(struct runtime *runtime);
/* What a request to replace a device asks for, see stripe_store_replace. The loop's thread. */
TERN_CHECKED enum tern_err
runtime_replace(struct runtime *runtime, uint32_t device, uint32_t drive, uint64_t bytes);
/* A write group that lies in the area, in order, numbered from 0. is_whole: it is complete, and was
 * not torn when the node started. False: there is no such. */
bool runtime_group(const struct runtime *runtime, uint64_t number, struct stripe_address *address,
		   bool *is_whole);

/* A record on the divergent ring: a tail was cut, or may be one and gives way to a checkpoint. Its
 * blocks' bytes stay on the devices in the groups named here, which are never overwritten before a
 * later checkpoint; a control thread exports them, and decodes what lies on a device that is lost.
 * `count` blocks follow the header, in order: those of first_index to last_index that ever reached
 * a device. At a start every tail that the log's devices still hold is named again, because the
 * process may have ended before it was exported: (last_index, last_term) says which tail it is
 * (equal ones hold equal blocks). A record is consumed when it is exported, and not before: no
 * checkpoint of another node takes the place of the log, and up to nine tenths of use none of it is
 * reclaimed, while one is there. The ring has to be emptied during the boot too. */
struct divergent_record {
	uint64_t committed_index; /* of a node that is superseded: it took them for committed up to
				   * there; 0: a tail that was cut */
	uint64_t first_index, last_index;
	uint64_t last_term; /* of the block at last_index */
	uint64_t cut_term;  /* the term in which the tail was cut; at a start: was superseded */
	uint64_t cluster_id, log_first_page, log_pages; /* what a reader has to know */
	struct stripe_geometry geometry;
	uint32_t count;
};
struct divergent_block {
	uint64_t log_index, first_cell; /* of the group that it lies in */
	uint32_t group_pages;
	uint32_t page, pages; /* of the group */
};

#endif
