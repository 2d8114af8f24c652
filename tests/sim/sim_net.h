/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network: a data port and a management port for each node. A frame may be lost, doubled,
 * delayed past its successors, corrupted by one byte, or cut; it may arrive after its sender or its
 * receiver was started anew. Buffers come from one bounded pool.
 */
#ifndef TERN_TESTS_SIM_SIM_NET_H
#define TERN_TESTS_SIM_SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "hw/seam/net_ops.h"

#define SIM_PATHS  2u /* 0 data port, 1 management network */
#define SIM_RX_MAX 512u

struct sim;
struct sim_late;
struct sim_node;
struct sim_stranger_frame;

struct sim_port { /* one adapter of one node */
	struct sim_node *node;
	uint32_t path;
	bool is_up;
	uint32_t rx[SIM_RX_MAX], rx_head, rx_count;
	struct net_stats stats;
};

extern const struct net_ops sim_net_ops;
void sim_net_create(struct sim *sim);
void sim_net_deliver(struct sim *sim, uint64_t frame);
/* The node's process is gone: its buffers return to the pool. */
void sim_net_crash(struct sim_port *port);
/* Frames that the node has not given back: received ones, or (@is_tx) begun ones. */
uint32_t sim_net_lent(const struct sim_port *port, bool is_tx);
/* Loss in bursts between two nodes, while some episode wants it. */
void sim_net_burst(struct sim *sim, uint32_t a, uint32_t b, int delta);
/* A frame that was held up arrives at @to, whatever is cut by now. */
void sim_net_late(struct sim *sim, const struct sim_late *late, uint8_t to);
/* One more frame, that nobody sent, arrives at @at_ns, unless the link is cut by then. False: there
 * is no room for it. Borrows @bytes until return. */
bool sim_net_inject(struct sim *sim, const struct sim_stranger_frame *frame, uint64_t at_ns);
void sim_net_cut(struct sim *sim, uint32_t path, uint32_t from, uint32_t to, int delta);
bool sim_net_is_cut(const struct sim *sim, uint32_t path, uint32_t from, uint32_t to);
/* Both paths in both directions carry frames. */
bool sim_net_is_linked(const struct sim *sim, uint32_t a, uint32_t b);

#endif
