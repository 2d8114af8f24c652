/* SPDX-License-Identifier: Apache-2.0 */
/* Faults that are aimed at a change of the voters, and what elections rest on. */
#ifndef TERN_TESTS_SIM_SIM_STRIKE_H
#define TERN_TESTS_SIM_SIM_STRIKE_H

#include <stdbool.h>
#include <stdint.h>

struct sim;
struct sim_node;

/* ---- sim_strike.c ---- */

void sim_strike_create(struct sim *sim);
/* After each turn of a data node. */
void sim_strike_turn(struct sim_node *node);
/* The one fault of the last phase: true, it will come in the middle of a change. */
bool sim_strike_takes(struct sim *sim);
bool sim_strike_is_open(const struct sim *sim); /* it has not come yet */
void sim_strike_give_up(struct sim *sim);
/* The moment that was drawn has come; @token says what happens to whom. */
void sim_strike_now(struct sim *sim, uint64_t token);
void sim_strike_heal(struct sim *sim);

/* ---- sim_votes.c ---- */

void sim_votes_create(struct sim *sim);
/* A frame leaves node @from for node @to, both by index. */
void
sim_votes_sent(struct sim *sim, uint32_t from, uint32_t to, const uint8_t *frame, uint32_t bytes);
/* After each turn of a data node. */
void sim_votes_turn(struct sim_node *node);

#endif
