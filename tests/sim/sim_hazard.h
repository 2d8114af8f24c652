/* SPDX-License-Identifier: Apache-2.0 */
/* Episodes of what devices, clocks, processes and links do besides dying. Private to the faults. */
#ifndef TERN_TESTS_SIM_SIM_HAZARD_H
#define TERN_TESTS_SIM_SIM_HAZARD_H

#include "tests/sim/sim.h"

void sim_hazard_begin(struct sim *sim, struct sim_episode *episode);
void sim_hazard_repeat(struct sim *sim, struct sim_episode *episode);
void sim_hazard_end(struct sim *sim, struct sim_episode *episode);
/* It may strike the witness as well. */
bool sim_hazard_is_of_any(uint32_t class_);
/* It needs a log that outlives its process. */
bool sim_hazard_is_of_log(uint32_t class_);
/* A node with new storage knows its term again: the master may die just then. */
void sim_hazard_rejoined(struct sim *sim, const struct sim_node *node);
/* The newest block of the node's log, which is down and has one device, comes to harm, for good.
 * False: there is none. */
bool sim_hazard_rot_newest(struct sim *sim, struct sim_node *node);
/* The same of one that is of a block behind @last_index. */
bool sim_hazard_rot_behind(struct sim *sim, struct sim_node *node, uint64_t last_index,
			   struct prng *prng);
/* Some bits of a page, or all of a part of it, change. */
void sim_hazard_rot_page(struct sim *sim, uint8_t *page);

#endif
