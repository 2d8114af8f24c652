/* SPDX-License-Identifier: Apache-2.0 */
/* Harm below a running node, and what a scrub or a rebuild must have made of its devices. */
#ifndef TERN_TESTS_SIM_SIM_SCRUB_H
#define TERN_TESTS_SIM_SIM_SCRUB_H

struct sim_node;

/* After every turn of a data node that is up. */
void sim_scrub_turn(struct sim_node *node);

#endif
