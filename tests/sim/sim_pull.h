/* SPDX-License-Identifier: Apache-2.0 */
/* A node that is cut off from the master only: see sim_pull.c. */
#ifndef TERN_TESTS_SIM_SIM_PULL_H
#define TERN_TESTS_SIM_SIM_PULL_H

#include <stdbool.h>
#include <stdint.h>

struct sim;

struct sim_pull {
	uint32_t node, master; /* 1 + index; node 0: none is cut off */
	uint64_t since_ns;
	uint64_t index, index_ns; /* committed by then; 0: not looked at yet */
};

/* The one fault is this cut. False: it is another one. */
bool sim_pull_takes(struct sim *sim);
/* The node has what was committed a while after the cut, or there is none. */
bool sim_pull_is_done(struct sim *sim);
void sim_pull_heal(struct sim *sim);

#endif
