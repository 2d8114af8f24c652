/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ternd's second process does: when a master's process dies, FAREWELL is sent for it, unless
 * the whole machine has failed. Which seeds have it, and which crashes are of the machine, comes
 * from a generator of its own: seeds without it are what they were.
 */
#ifndef TERN_TESTS_SIM_SIM_LAST_WORD_H
#define TERN_TESTS_SIM_SIM_LAST_WORD_H

#include <stdbool.h>

#include "dataplane/base/prng.h"

struct sim;
struct sim_node;

struct sim_last_word {
	bool is_on;
	struct prng prng;
};

void sim_last_word_draw(struct sim *sim);
/* The node's process is about to be gone. */
void sim_last_word_crash(struct sim_node *node);
/* After a turn of a data node: counts the dead masters that it waits for no more. */
void sim_last_word_turn(struct sim_node *node);

#endif
