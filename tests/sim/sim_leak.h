/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what a node took it gives back: looked at when all is drained, and nothing is under way.
 */
#ifndef TERN_TESTS_SIM_SIM_LEAK_H
#define TERN_TESTS_SIM_SIM_LEAK_H

struct sim_node;

/* Fails the seed (`leak`) if @node holds frames of the network that it does not need, or memory of
 * its state that no key and no session has. */
void sim_leak_check(struct sim_node *node);

#endif
