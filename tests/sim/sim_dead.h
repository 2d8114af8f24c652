/* SPDX-License-Identifier: Apache-2.0 */
/* Tails that were cut come to harm: see sim_dead.c. */
#ifndef TERN_TESTS_SIM_SIM_DEAD_H
#define TERN_TESTS_SIM_SIM_DEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/prng.h"

struct sim;
struct sim_node;

struct sim_dead { /* of a data node */
	struct prng prng;
	uint64_t last_index; /* of a tail that was cut; 0: none, or the log is as long again */
	bool is_struck;      /* the start that comes finds it */
};

void sim_dead_create(struct sim *sim);
/* The node's log, which ended at @last_index, was cut. */
void sim_dead_cut(struct sim_node *node, uint64_t last_index);
void sim_dead_turn(struct sim_node *node);
void sim_dead_strike(struct sim *sim, struct sim_node *node);
/* It started with that. */
void sim_dead_ready(struct sim_node *node);

#endif
