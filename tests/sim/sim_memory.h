/* SPDX-License-Identifier: Apache-2.0 */
/* What was answered in class memory, and the faults since: see sim_memory.c. */
#ifndef TERN_TESTS_SIM_SIM_MEMORY_H
#define TERN_TESTS_SIM_SIM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/sim_swarm.h"

struct sim;
struct sim_memory;
struct sim_node;

void sim_memory_create(struct sim *sim);
/* Counts for the promise. */
bool sim_memory_is_fault(const struct sim *sim, uint32_t class_);
/* A fault begins: a crash, a cut, a pause, a disk. */
void sim_memory_fault(struct sim *sim);
/* The node's log has new blocks from @from on. */
void sim_memory_received(struct sim_node *node, uint64_t from);
/* Returns the block's chain. */
uint64_t sim_memory_answered(struct sim_node *node, uint64_t log_index);
void sim_memory_committed(struct sim *sim, uint64_t log_index, uint64_t chain);
void sim_memory_final(struct sim *sim);
void sim_memory_turn(struct sim_node *node);
bool sim_memory_holds(const struct sim_node *node, uint64_t log_index, uint64_t chain);

#endif
