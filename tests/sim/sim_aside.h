/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness is started with a register that was made anew, or one of another generation, in the
 * place of its own, which lies aside and is put back a while later. It has no vote meanwhile. (In
 * topology witness all of that goes further, see sim_witness.h.)
 *
 * Now and then this happens at a start. And it is aimed: where one of two copies has just committed
 * alone, which only the right register knows, and then stops, whoever is elected with the vote of
 * another register lacks that.
 */
#ifndef TERN_TESTS_SIM_SIM_ASIDE_H
#define TERN_TESTS_SIM_SIM_ASIDE_H

#include <stdbool.h>

#include "dataplane/base/prng.h"
#include "dataplane/wire/witness_register.h"

struct sim;
struct sim_node;

struct sim_aside {
	struct witness_register right;
	bool is_aside; /* right is not in its place */
	bool is_due;   /* it goes aside at the next start, come what may */
	uint32_t strikes;
	uint64_t struck_term; /* of the master that was aimed at last */
};

/* After a turn of a data node: looks for the moment. */
void sim_aside_turn(struct sim_node *node);
/* It has come, outside any turn. */
void sim_aside_strike(struct sim *sim, struct sim_node *node);
/* Before a start of the witness. */
void sim_aside_start(struct sim_node *node, struct prng *prng);
/* The right register is put back, if it lies aside. */
void sim_aside_end(struct sim *sim);
/* The register that lies aside; NULL: it is in its place. */
const struct witness_register *sim_aside_register(const struct sim *sim);

#endif
