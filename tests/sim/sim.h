/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tern-sim: whole nodes (runtime, core, cmdlog, transport, state) on a simulated network, disks,
 * witness register and clock, all driven by one seed. One process runs one world at a time, in one
 * thread; every decision comes from struct sim's PRNG, so equal seeds give equal traces.
 *
 * Virtual time moves only between events. A node's turn runs at one instant and makes the node busy
 * for a small cost, so that a loop that never finds rest moves time on and is noticed.
 */
#ifndef TERN_TESTS_SIM_SIM_H
#define TERN_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/arena.h"
#include "dataplane/base/prng.h"
#include "dataplane/core/core.h"
#include "dataplane/runtime/runtime.h"
#include "dataplane/runtime/status.h"
#include "dataplane/runtime/submit.h"
#include "dataplane/runtime/witness_node.h"
#include "dataplane/state/hold.h"
#include "dataplane/state/state.h"
#include "tests/sim/sim_aim.h"
#include "tests/sim/sim_aside.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_counts.h"
#include "tests/sim/sim_dead.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_fallback.h"
#include "tests/sim/sim_force.h"
#include "tests/sim/sim_heap.h"
#include "tests/sim/sim_idle.h"
#include "tests/sim/sim_member.h"
#include "tests/sim/sim_memory.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_note.h"
#include "tests/sim/sim_options.h"
#include "tests/sim/sim_point.h"
#include "tests/sim/sim_pull.h"
#include "tests/sim/sim_register.h"
#include "tests/sim/sim_stale.h"
#include "tests/sim/sim_stranger.h"
#include "tests/sim/sim_swarm.h"
#include "tests/sim/sim_witness.h"
#include "tests/sim/sim_wrong.h"

#define SIM_DATA_MAX  3u
#define SIM_NODES_MAX 4u

#define SIM_MS 1000000u
#define SIM_US 1000u

struct sim;
struct sim_node;
struct sim_client;
struct sim_check;
struct sim_net;

/* ---- clock and events (sim_clock.c) ---- */

enum sim_event_kind {
	SIM_EVENT_TURN = 1, /* node; each has one at most, and it lies not in the queue */
	SIM_EVENT_FRAME,    /* token: frame */
	SIM_EVENT_DISK,     /* node; token: request slot, incarnation */
	SIM_EVENT_REGISTER, /* node; token: incarnation */
	SIM_EVENT_NOTE,     /* the same */
	SIM_EVENT_SLOT,     /* node: client slot; token: its timer */
	SIM_EVENT_FAULT,    /* an episode begins; token: enum sim_fault_token */
	SIM_EVENT_HEAL,     /* token: episode that ends */
	SIM_EVENT_REPEAT,   /* token: of sim_hazard.c */
	SIM_EVENT_PHASE,    /* look whether the phase is over */
	SIM_EVENT_MEMBER,   /* the operator of sim_member.c comes by */
	SIM_EVENT_FORCE,
	SIM_EVENT_POINT, /* token: of sim_point.c */
	SIM_EVENT_ASIDE, /* the right register is put back */
};

struct sim_event {
	uint64_t at_ns, sequence, token;
	enum sim_event_kind kind;
	uint32_t node;
};

struct sim_queue {
	struct sim_event *heap;
	uint32_t count, capacity;
	uint64_t sequence;
};

void
sim_push(struct sim *sim, uint64_t at_ns, enum sim_event_kind kind, uint32_t node, uint64_t token);
bool sim_pop(struct sim *sim, struct sim_event *event);
/* Its clock goes on from what it shows now, at another rate. */
void sim_clock_rate(struct sim_node *node, int64_t drift_ppm, bool is_frozen);
uint64_t sim_local_ns(const struct sim_node *node, uint64_t global_ns);
/* The first global instant at which its clock shows @local_ns or more; UINT64_MAX: it stands. */
uint64_t sim_global_ns(const struct sim_node *node, uint64_t local_ns);
extern const struct clock_ops sim_clock_ops;

/* ---- nodes (sim_node.c) ---- */

enum sim_node_life { SIM_NODE_DOWN = 0, SIM_NODE_BOOTING, SIM_NODE_UP };

struct sim_node {
	struct sim *sim;
	uint32_t index, incarnation;
	uint16_t id;
	enum sim_node_life life;

	uint64_t turn_at_ns, turn_sequence, busy_until_ns, paused_until_ns;
	uint64_t worked_in_a_row, overdue_in_a_row; /* turns */
	uint64_t deaf_until_ns;                     /* its ports drop what comes in */
	/* The clock showed clock_local_ns at clock_base_ns, and drifts or stands since. */
	uint64_t clock_base_ns, clock_local_ns, core_start_ns;
	int64_t clock_drift_ppm, wall_skew_ns;
	bool is_clock_frozen;

	struct sim_port ports[SIM_PATHS];
	struct sim_disk disk;
	struct sim_note note;
	struct sim_dead dead;
	struct sim_register reg;

	uint8_t *arena_memory, *state_memory, *ring, *channel_memory, *divergent_memory;
	uint64_t arena_bytes, state_bytes;
	struct runtime *runtime;
	struct state *state;
	struct state_reader *reader;
	struct state_hold hold; /* has_hold */
	struct status_cell *status;
	struct wake wake;
	struct submit_channel channel;
	struct ring divergent;

	struct witness_node witness;
	uint8_t *core_memory;

	struct core_view view, before;    /* after and before the last turn; zero while down */
	struct block_meta durable;        /* last seen durable; stands while the node is down */
	uint64_t blocks_found;            /* by this incarnation, damaged */
	struct block_meta rotten_durable; /* before its log came to harm; log_index 0: is whole */
	struct block_meta durable_lost;   /* and went with a volatile log */
	uint64_t counted[5]; /* of view: elections, solo, duplex, truncations, rollbacks */
	uint64_t laps, pulled, parts_sent, parts_found, parts_bad;
	uint64_t hash_checked;  /* applied_index of the last comparison of hashes */
	uint64_t out_of_memory; /* of its state's statistics, when looked at last */
	bool has_hold, is_log_volatile, was_forgetful;
	bool is_restarting;     /* by itself: no fault */
	bool has_lost_storage;  /* and does not yet hold everything again */
	bool is_durable_found;  /* by a damaged start; nothing came since */
	struct hash128 *chains; /* of its log, by log_index */
};

void sim_node_birth(struct sim *sim, uint32_t index);
void sim_node_start(struct sim_node *node);
/* What `tern node rejoin` makes of devices that were lost. */
void sim_node_rejoin(struct sim_node *node, const struct generation *generation);
/* The rotten page is made good from the other devices. */
bool sim_node_bears_rot(const struct sim_node *node);
void sim_node_crash(struct sim_node *node);
void sim_node_turn(struct sim_node *node);
/* Makes the node's next turn happen at @at_ns or earlier. */
void sim_node_wake(struct sim_node *node, uint64_t at_ns);
/* What it published last. One thread runs all: nobody writes to it meanwhile. */
static inline const struct node_status *
sim_node_status(const struct sim_node *node)
{
	return &node->status->status;
}
/* Data nodes come first, the witness last; node id = index + 1. */
bool sim_node_is_data(const struct sim_node *node);
uint64_t sim_data_mask(const struct sim *sim);
uint16_t sim_witness_id(const struct sim *sim); /* 0: none */

/* ---- clients (sim_client.c, sim_op.c) ---- */

void sim_client_create(struct sim *sim);
/* A slot's timer; older ones do not count. */
void sim_client_slot(struct sim *sim, uint32_t slot, uint64_t timer);
void sim_client_poll(struct sim_node *node);  /* completions */
void sim_client_crash(struct sim_node *node); /* all its requests: outcome unknown */
/* No new work: finish what must be finished. */
void sim_client_drain(struct sim *sim);
void sim_client_resume(struct sim *sim);
bool sim_client_is_idle(const struct sim *sim);
void sim_client_switchover(struct sim *sim, struct sim_node *node, uint16_t to);
void
sim_client_change(struct sim *sim, struct sim_node *node, const struct submit_request *request);
/* True if what was answered in class memory as block @log_index is not what was committed. */
bool sim_check_is_lost(const struct sim *sim, uint64_t log_index, uint64_t chain);
/* Acknowledged writes are there, refused ones are not, counters are exact; needs an idle client. */
void sim_client_verify(struct sim *sim, struct sim_node *node);
/* The newest acknowledged writes are there. */
void sim_client_sample(struct sim *sim, struct sim_node *node);

/* ---- promises of voters (sim_promise.c) ---- */

/* A frame leaves @from: it must not break what a restarted voter owes (P10). */
void sim_promise_sent(struct sim_node *from, const uint8_t *frame, uint32_t bytes);

/* ---- the world (sim.c) ---- */

#define SIM_FAILURE_BYTES 512u

struct sim_report {                      /* what a run leaves behind, even one that fails */
	char failure[SIM_FAILURE_BYTES]; /* the first failure, or empty */
	struct sim_counts counts;
	uint64_t trace;
};

struct sim {
	struct sim_options options;
	uint64_t seed, now_ns, trace, cluster_id, same_time_events, phase_since_ns, phase_acks,
	    drained_ns;
	struct prng prng, fault_prng; /* fault_prng: of the episode at hand, by its number */
	struct sim_queue queue;
	struct sim_swarm swarm;
	struct sim_faults faults;
	struct sim_aim aim;
	struct sim_node nodes[SIM_NODES_MAX];
	uint32_t data_count, node_count; /* one more node than data nodes: the witness */
	struct sim_net *net;
	struct sim_client *client;
	struct sim_check *check;
	struct sim_memory *memory;
	struct sim_member *member;
	struct sim_witness *witness;
	struct sim_strike *strike;
	struct sim_votes *votes;
	struct sim_stale *stale;
	struct sim_force *force;
	struct sim_point *point;
	struct sim_stranger *stranger;
	struct sim_wrong *wrong;
	struct sim_fallback *fallback;
	struct sim_aside aside;
	struct sim_pull pull;
	struct sim_idle idle;
	bool has_broken_clock; /* one stood still: ages are beyond their bound from then on */
	struct sim_counts counts;
	enum sim_phase phase;
	struct sim_report *report;
};

/* Runs one seed and fills @report. When a checker fails the process exits with SIM_EXIT_FAILED. */
#define SIM_EXIT_FAILED 3
void sim_run(struct sim *sim, uint64_t seed, const struct sim_options *options,
	     struct sim_report *report);
__attribute__((noreturn, cold, format(printf, 3, 4))) void
sim_fail(struct sim *sim, const char *checker, const char *format, ...);
__attribute__((format(printf, 2, 3))) void sim_say(const struct sim *sim, const char *format, ...);

static inline void
sim_trace(struct sim *sim, uint64_t value)
{
	const uint64_t mixed = (sim->trace ^ value) * 0x9e3779b97f4a7c15ULL;
	sim->trace = mixed ^ (mixed >> 29);
}

static inline void
sim_count(struct sim *sim, enum sim_count_kind kind)
{
	sim->counts.of[kind]++;
}

static inline uint32_t
sim_bits(uint64_t mask)
{
	return (uint32_t)__builtin_popcountll(mask);
}

/* True with a probability of @ppm in a million. */
static inline bool
sim_chance(struct sim *sim, uint32_t ppm)
{
	return ppm != 0 && prng_below(&sim->prng, 1000000) < ppm;
}

#endif
