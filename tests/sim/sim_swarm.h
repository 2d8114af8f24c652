/* SPDX-License-Identifier: Apache-2.0 */
/* What a seed draws (the swarm), which faults are under way (episodes), and the phases of a run. */
#ifndef TERN_TESTS_SIM_SIM_SWARM_H
#define TERN_TESTS_SIM_SIM_SWARM_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/core.h"
#include "dataplane/stripe/layout.h"
#include "tests/sim/sim_kinds.h"

#define SIM_PATHS 2u /* 0 data port, 1 management network */

struct sim;

enum sim_phase {
	SIM_PHASE_FAULTS = 1,
	SIM_PHASE_HEALED,    /* until a master serves in DUPLEX and clients progress */
	SIM_PHASE_DRAIN,     /* until the clients are done and the nodes agree */
	SIM_PHASE_ONE_FAULT, /* one node dies: service must return */
	SIM_PHASE_LAST_HEAL, /* it comes back: DUPLEX again */
	SIM_PHASE_LAST_DRAIN,
	SIM_PHASE_IDLE,  /* of all others */
	SIM_PHASE_FORCE, /* of topology force */
	SIM_PHASE_OVER,
};

struct sim_link { /* of one path */
	uint32_t loss_ppm, duplicate_ppm, corrupt_ppm, reorder_ppm, corrupt_before_ppm, replay_ppm;
	uint64_t latency_ns, jitter_ns, reorder_ns;
};

struct sim_swarm { /* what the seed drew */
	struct sim_link links[SIM_PATHS];
	uint32_t weights[SIM_EPISODE_CLASSES], weight_sum;
	uint64_t gap_ns, faults_ns, faults_end_ns;
	bool is_follow_up; /* a healed fault is often followed by one of the master */
	struct core_timers timers;
	uint64_t timer_ns; /* elect_max: the scale of everything */
	uint32_t units_per_frame, command_bytes_max, groups_in_flight_max;
	uint64_t ring_bytes, log_pages, state_capacity;
	uint64_t write_ns, read_ns, disk_jitter_ns, register_ns;
	uint64_t turn_ns, think_ns, think_factor;
	uint32_t slots, value_bytes_max, large_ppm;
	bool solo_isolated_stop;
	bool is_log_small;         /* it shall run full, or round and round with checkpoints */
	uint64_t checkpoint_pages; /* 0: none are made */
	uint32_t memory_ppm;       /* commands and reads of class memory */
	struct stripe_geometry geometry; /* of every node's devices */
	uint64_t device_hang_ns;         /* 0: they may take as long as they like */
	uint32_t spare_count;            /* devices besides */
	uint64_t scrub_interval_ns;      /* 0: none by itself */
	uint32_t volatile_mask; /* data nodes, by index, whose log dies with their process */
};

#define SIM_EPISODES 32u

/* What SIM_EVENT_FAULT brings: the next episode, one that waited, one that follows another (from
 * then on: its number). */
enum sim_fault_token {
	SIM_FAULT_TOKEN_NEXT = 0,
	SIM_FAULT_TOKEN_LOSE,
	SIM_FAULT_TOKEN_RIVAL,
	SIM_FAULT_TOKEN_LEASE,
	SIM_FAULT_TOKEN_ASIDE,
	SIM_FAULT_TOKEN_DEAD,
	SIM_FAULT_TOKEN_FOLLOW_UP
};

struct sim_episode {
	bool is_on;
	bool is_left_out; /* by the limits: it is drawn, begins and ends, and does nothing */
	uint32_t class_;  /* enum sim_fault_kind or enum sim_hazard */
	bool is_down;     /* of FLAP: the link is cut now */
	uint32_t number, node, other, path;
};

struct sim_faults {
	struct sim_episode episodes[SIM_EPISODES];
	bool is_healed;                /* no more faults, links are good */
	uint64_t lose_ns;              /* length of a LOSE_* that waits for its moment; 0: none */
	enum sim_fault_kind lose_kind; /* LOSE_* only */
	uint32_t lose_number;
	bool is_losing;     /* its event is on its way */
	uint32_t scheduled; /* episodes of the schedule so far: the next one's number */
};

void sim_swarm_draw(struct sim *sim);
void sim_fault_next(struct sim *sim);
void sim_fault_follow_up(struct sim *sim, uint32_t number);
/* @length_ns UINT64_MAX: until sim_fault_heal_all. */
void sim_fault_begin(struct sim *sim, uint32_t number, uint32_t class_, uint32_t node,
		     uint64_t length_ns);
/* What an aim begins: drawn by @number alone, as episodes of the schedule are. */
void sim_fault_strike(struct sim *sim, uint32_t number, uint32_t class_, uint32_t node,
		      uint64_t length_ns);
/* After a turn: LOSE_* strikes while a master has applied ahead of its commit. */
void sim_fault_look(struct sim *sim, uint32_t node);
void sim_fault_lose(struct sim *sim, uint32_t node);
void sim_fault_end(struct sim *sim, uint64_t episode);
void sim_fault_heal_all(struct sim *sim);
/* An episode does again what it does again and again. */
void sim_fault_repeat(struct sim *sim, uint64_t token);
void sim_phase_turn(struct sim *sim);
/* Progress of the phase counts from now. */
void sim_phase_begins(struct sim *sim);
/* Of the fuller log area, in percent. */
uint64_t sim_log_used(const struct sim *sim);
struct sim_node *sim_master(struct sim *sim); /* the serving master of the highest term, or NULL */

#endif
