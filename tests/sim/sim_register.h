/* SPDX-License-Identifier: Apache-2.0 */
/* The witness's register: what is durable, and the one store that is under way. */
#ifndef TERN_TESTS_SIM_SIM_REGISTER_H
#define TERN_TESTS_SIM_SIM_REGISTER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/wire/witness_register.h"
#include "hw/seam/register_ops.h"

struct sim_node;

struct sim_register {
	struct sim_node *node;
	struct witness_register durable, flying;
	uint64_t op_id;
	bool is_flying, is_done;
};

extern const struct register_ops sim_register_ops;
void sim_register_complete(struct sim_register *reg);
void sim_register_crash(struct sim_register *reg);

#endif
