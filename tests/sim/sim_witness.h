/* SPDX-License-Identifier: Apache-2.0 */
/* Topology witness: registers that are lost, replaced, and that come back. */
#ifndef TERN_TESTS_SIM_SIM_WITNESS_H
#define TERN_TESTS_SIM_SIM_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/wire/witness_register.h"

struct sim;
struct sim_node;
struct submit_completion;
struct submit_request;

void sim_witness_create(struct sim *sim);
/* The operator comes by. */
void sim_witness_operate(struct sim *sim);
void sim_witness_answered(struct sim *sim, const struct submit_request *request,
			  const struct submit_completion *completion);
/* A frame leaves @from for @to. */
void sim_witness_sent(struct sim *sim, uint8_t path, uint32_t from, uint32_t to,
		      const uint8_t *frame, uint32_t bytes);
/* After a turn of a data node. */
void sim_witness_turn(struct sim_node *node);
/* What that turn began; @index: of the node. */
void sim_witness_lose_twice(struct sim *sim, uint64_t index);
/* A register was written. */
void sim_witness_written(struct sim *sim, const struct witness_register *reg);
/* What has been written by the newest generation, though it may be lost, or lie aside. */
const struct witness_register *sim_witness_register(const struct sim *sim);
/* The one on the machine has a vote. */
bool sim_witness_can_vote(const struct sim *sim);
/* The right register is on the machine, and has a vote. */
bool sim_witness_is_settled(struct sim *sim);

#endif
