/* SPDX-License-Identifier: Apache-2.0 */
/* The last act of most runs: nobody writes, and then the newest block comes to harm. */
#ifndef TERN_TESTS_SIM_SIM_IDLE_H
#define TERN_TESTS_SIM_SIM_IDLE_H

#include <stdbool.h>
#include <stdint.h>

struct sim;

struct sim_idle {
	uint32_t victim;            /* 1 + index; 0: not yet */
	uint64_t written, since_ns; /* what was on all devices, since when */
};

/* Nothing of it can be in this run, or it is over. */
bool sim_idle_act(struct sim *sim);

#endif
