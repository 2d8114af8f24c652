/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what a node took it gives back: looked at when all is drained, and nothing is under way.
 */
#ifndef TERN_TESTS_SIM_SIM_LEAK_H
#define TERN_TESTS_SIM_SIM_LEAK_H

#include <stdbool.h>

struct sim;
struct sim_node;

/* No node writes a checkpoint, which keeps old versions until a turn after its end. */
bool sim_leak_is_settled(const struct sim *sim);
/* Fails the seed (`leak`) if @node holds frames of the network that it does not need, or memory of
 * its state that no key and no session has. */
void sim_leak_check(struct sim_node *node);

#endif
