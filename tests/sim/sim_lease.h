/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases (protocol section 9): which seeds have them, clocks that use up the drift that is allowed
 * for, cuts at the moments at which a lease is in the way of others, and I11, the rule itself. All
 * of it is drawn by a generator of its own: seeds without leases stay what they were.
 */
#ifndef TERN_TESTS_SIM_SIM_LEASE_H
#define TERN_TESTS_SIM_SIM_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/prng.h"

struct sim;
struct sim_node;

enum sim_lease_kind { SIM_LEASE_CUT = 0, SIM_LEASE_SLEEP, SIM_LEASE_HAND_OVER, SIM_LEASE_KINDS };

struct sim_lease {
	bool is_wide; /* clocks are off by so much that ages of replica reads are not judged */
	struct prng prng;
	uint32_t slow; /* the data node whose clock is, where is_wide */
	uint32_t strikes;
	uint64_t next_ns; /* no strike before; 0: not known yet */
	bool is_striking;
	enum sim_lease_kind kind; /* of the strike that is on its way */
};

/* After the swarm, before the nodes. */
void sim_lease_draw(struct sim *sim);
/* After the nodes were born. */
void sim_lease_clocks(struct sim *sim);
/* After a turn of a data node. */
void sim_lease_turn(struct sim_node *node);
/* A frame leaves @from. */
void sim_lease_sent(struct sim_node *from, const uint8_t *frame, uint32_t bytes);
/* What is on its way strikes the master @node. */
void sim_lease_strike(struct sim *sim, struct sim_node *node);

#endif
