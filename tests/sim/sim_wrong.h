/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators who start a node wrongly first: with the cluster id of another cluster, the id of
 * another node, or the storage of another node in its place. The node has to refuse, and to write
 * nothing (wrong-start); then it is started rightly. In the topologies in which nodes come and go,
 * some run with the list of nodes of the birth until they are started again: they have to follow
 * the log, or, if they know voters that the list does not name, to refuse. Of the witness: see
 * sim_aside.h. All of it is drawn from a generator of its own.
 */
#ifndef TERN_TESTS_SIM_SIM_WRONG_H
#define TERN_TESTS_SIM_SIM_WRONG_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/runtime/runtime.h"

struct sim;
struct sim_node;

void sim_wrong_create(struct sim *sim);
/* Before a start. True: it is one that has to be refused. */
bool sim_wrong_start(struct sim_node *node);
void sim_wrong_configure(struct sim_node *node, struct runtime_config *config);
/* This start has to be refused: nothing may be written. */
bool sim_wrong_is_on(const struct sim_node *node);
/* Such a start has ended. True: the node was started again, rightly. */
bool sim_wrong_is_refused(struct sim_node *node, enum runtime_boot boot);
/* Everything is again where it was. */
void sim_wrong_crashed(struct sim_node *node);
/* All is healed: whoever has a wrong list of nodes stops, and the right register is put back. */
void sim_wrong_heal(struct sim_node *node);

#endif
