/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults that wait for their moment. What they are made of is drawn elsewhere as well (pauses,
 * restarts, late frames), but would hardly ever meet as is needed here, so the moment is looked
 * for. Which of them a seed has comes from a generator of its own: other draws stay what they were.
 * Rivals and late blocks: three copies only.
 */
#ifndef TERN_TESTS_SIM_SIM_AIM_H
#define TERN_TESTS_SIM_SIM_AIM_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/sim_kinds.h"
#include "tests/sim/sim_last_word.h"
#include "tests/sim/sim_lease.h"

#define SIM_DATA_MAX       3u
#define SIM_LATE_BYTES_MAX 8448u

struct sim;
struct sim_node;

/* A frame with a block that some cut held up. */
struct sim_late {
	uint64_t term, log_index;
	uint32_t length; /* 0: none */
	uint32_t copies; /* times that it has arrived */
	uint8_t path, from;
	uint8_t bytes[SIM_LATE_BYTES_MAX];
};

struct sim_aim {
	uint64_t classes; /* by bit, as limits are: those that this seed has */
	uint32_t rivals, holds;
	struct sim_last_word last_word; /* of every topology */
	struct sim_lease lease;
	struct sim_late late[SIM_DATA_MAX]; /* by the receiver: the first of the newest term */
};

void sim_aim_draw(struct sim *sim);
/* The seed has this class, of those with generators of their own, and all is not healed yet. */
bool sim_aim_has(const struct sim *sim, uint32_t class_);
/* After a turn of a data node. */
void sim_aim_turn(struct sim_node *node);
/* @node has just become master, of a term in which another one still asks for votes: it restarts
 * before anybody hears of it, and the others sleep until it may vote again. */
void sim_aim_rival(struct sim *sim, struct sim_node *node);
/* A cut stops this frame. */
void sim_aim_cut(struct sim *sim, uint8_t path, uint8_t from, uint8_t to, const uint8_t *bytes,
		 uint32_t length);

#endif
