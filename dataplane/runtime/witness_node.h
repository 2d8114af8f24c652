/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A witness's loop: the same core in its witness role, the management network, and a register that
 * is durable before every answer. Life: witness_node_init with the register as it was loaded and
 * counted up, then witness_node_turn for ever. No call blocks, except in the register's store.
 */
#ifndef TERN_RUNTIME_WITNESS_NODE_H
#define TERN_RUNTIME_WITNESS_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/core/core.h"
#include "dataplane/runtime/link.h"
#include "hw/seam/clock_ops.h"
#include "hw/seam/register_ops.h"

struct witness_node_config {
	struct witness_register reg; /* boot_no already counted up and stored */
	bool is_first_boot, is_amnesiac;
	uint64_t data_nodes;  /* voters at birth: mask */
	uint64_t known_nodes; /* data nodes that it can reach; 0: those */
	struct core_timers timers;
	uint32_t core_bugs, member_bugs; /* tests only */
	uint64_t prng_seed;
	struct net_port mgmt_net;
	struct clock_port clock;
	struct register_port store;
	struct status_cell *status; /* NULL: none */
};

struct witness_node {
	struct link link;
	struct core *core;
	struct clock_port clock;
	struct register_port store;
	struct status_cell *status;
	uint64_t alarms[8];
	bool is_storage_failed;
	struct core_effects effects;
};

/* @core_memory: core_bytes(), 64-byte aligned, borrowed for ever. */
TERN_CHECKED enum tern_err
witness_node_init(struct witness_node *node, const struct witness_node_config *config,
		  void *core_memory);
/* True: did something. */
bool witness_node_turn(struct witness_node *node);
uint64_t witness_node_deadline_ns(const struct witness_node *node);

#endif
