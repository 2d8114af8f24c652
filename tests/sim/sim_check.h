/* SPDX-License-Identifier: Apache-2.0 */
/* The checkers: what every node shows is compared with all that was ever seen. */
#ifndef TERN_TESTS_SIM_SIM_CHECK_H
#define TERN_TESTS_SIM_SIM_CHECK_H

#include <stdbool.h>
#include <stdint.h>

struct sim;
struct sim_node;
struct witness_register;

void sim_check_create(struct sim *sim);
void sim_check_turn(struct sim_node *node);  /* after each turn of a data node */
void sim_check_ready(struct sim_node *node); /* a data node has booted */
void sim_check_register(struct sim *sim, const struct witness_register *before,
			const struct witness_register *after);
/* Begins a second history. Returns how far it is known to be the first one's too. */
uint64_t sim_check_fork(struct sim_node *node);
/* Both committed the same block there. */
bool sim_check_is_common(const struct sim *sim, uint64_t log_index);
uint64_t sim_check_commit_max(const struct sim *sim);
/* Some node counted a command over the capacity in the turn in which it applied that block. */
bool sim_check_was_over_capacity(const struct sim *sim, uint64_t log_index);
/* All data nodes hold the same. */
bool sim_check_is_converged(struct sim *sim);
void sim_check_final(struct sim *sim);
/* The first page of a slot was written: equal checkpoints of equal positions. */
void sim_check_checkpoint(struct sim_node *node, const uint8_t *page);
/* The cells of a cut tail hold its blocks. */
void sim_check_divergent(struct sim_node *node);

/* Somebody who holds what may have been committed can be elected, were all links good; not
 * @without, who may be NULL. */
bool sim_check_is_electable(const struct sim *sim, const struct sim_node *without);
/* Blocks that the checkers look at. */
#define SIM_BLOCKS_MAX 131072u

#endif
