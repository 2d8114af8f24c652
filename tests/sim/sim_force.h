/* SPDX-License-Identifier: Apache-2.0 */
/* The last act of topology `force`: a person promotes one node without a quorum. */
#ifndef TERN_TESTS_SIM_SIM_FORCE_H
#define TERN_TESTS_SIM_SIM_FORCE_H

#include <stdbool.h>
#include <stdint.h>

struct sim;
struct sim_node;
struct divergent_record;
struct submit_completion;
struct submit_request;

void sim_force_create(struct sim *sim);
/* The act has begun when this is called first. True: it is over. */
bool sim_force_act(struct sim *sim);
/* Which history a node is of: 0, that of birth; 1, that of the forced node. */
uint32_t sim_force_side(const struct sim_node *node);
/* A data node has booted; before its log is looked at. */
void sim_force_ready(struct sim_node *node);
void sim_force_turn(struct sim_node *node);
/* It names these blocks for people. */
void sim_force_exported(struct sim_node *node, const struct divergent_record *record);
/* Of a request of this file: a write, or the verb. */
void sim_force_answered(struct sim *sim, struct sim_node *node, uint64_t number,
			const struct submit_completion *completion);
/* The forced node crashes now. */
void sim_force_crash(struct sim *sim);
/* sim_client.c: sends one; false: it could not be. */
bool sim_client_force(struct sim *sim, struct sim_node *node, const struct submit_request *request,
		      const uint8_t *payload, uint64_t number);

#endif
