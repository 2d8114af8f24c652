/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness is started with a register that was made anew, or of another generation, in the place
 * of its own, which lies aside and is put back a while later. It has no vote meanwhile. (In
 * topology witness all of that goes further, see sim_witness.h.)
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
};

/* Before a start of the witness. */
void sim_aside_start(struct sim_node *node, struct prng *prng);
/* The right register is put back, if it lies aside. */
void sim_aside_end(struct sim *sim);
/* The register that lies aside; NULL: it is in its place. */
const struct witness_register *sim_aside_register(const struct sim *sim);

#endif
