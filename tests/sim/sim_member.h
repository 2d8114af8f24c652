/* SPDX-License-Identifier: Apache-2.0 */
/* The membership: an operator who changes it at random, and the checkers of configurations. */
#ifndef TERN_TESTS_SIM_SIM_MEMBER_H
#define TERN_TESTS_SIM_SIM_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/sim_strike.h"

struct sim;
struct sim_node;
struct submit_completion;
struct submit_request;

void sim_member_create(struct sim *sim);
/* The operator does something, or not, and comes again later. */
void sim_member_operate(struct sim *sim);
/* From now on he wants the opposite. */
void sim_member_turn_about(struct sim *sim);
/* A node that was to be demoted, and the witness had to be told first. */
void sim_member_again(struct sim *sim, uint16_t target);
void sim_member_answered(struct sim *sim, const struct submit_request *request,
			 const struct submit_completion *completion);
/* After each turn of a data node; @from: the first block that is new in its log. */
void sim_member_turn(struct sim_node *node, uint64_t from);
/* A data node has booted. */
void sim_member_ready(struct sim_node *node);
/* Voters of the newest committed configuration: mask of node ids. */
uint64_t sim_voters(const struct sim *sim);
uint32_t sim_member_witness_gen(const struct sim *sim);
/* Of the one that was committed before configuration @config_index. */
uint64_t sim_member_before(const struct sim *sim, uint64_t config_index);
/* What storage is made with. */
uint64_t sim_birth_voters(const struct sim *sim);
/* It has to hold the same as all others, in the end. */
bool sim_is_member(const struct sim *sim, const struct sim_node *node);
/* The configuration is the one that the operator wants to end with. */
bool sim_member_is_settled(struct sim *sim);

#endif
