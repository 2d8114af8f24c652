/* SPDX-License-Identifier: Apache-2.0 */
/* The age of replica reads (protocol section 9): what a replica declares is compared with what was
 * answered to clients, and when. */
#ifndef TERN_TESTS_SIM_SIM_STALE_H
#define TERN_TESTS_SIM_SIM_STALE_H

#include <stdint.h>

struct sim;
struct sim_node;

void sim_stale_create(struct sim *sim);
/* Now a client learns, durably, of block @log_index. */
void sim_stale_answered(struct sim *sim, uint64_t log_index);
/* After each turn of a data node. */
void sim_stale_turn(struct sim_node *node);

#endif
