/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two nodes and a network for the tests of libtern's engine: the real state machine behind both
 * (the replicated log is taken for granted), a virtual clock, and a network that loses, doubles and
 * delays datagrams. A node that loses its mastership forgets what it had in flight, or executes it
 * and never says so.
 */
#ifndef TERN_TESTS_CLIENT_FAKE_CLUSTER_H
#define TERN_TESTS_CLIENT_FAKE_CLUSTER_H

#include "dataplane/client/engine.h"
#include "dataplane/state/state.h"

#define FAKE_NODES       2u
#define FAKE_PACKETS_MAX 16384u
#define FAKE_PORT        7300u

struct fake_packet {
	uint64_t at_ns;
	uint32_t node; /* the other end */
	bool is_to_node;
	uint32_t bytes;
	uint8_t *frame;
};

struct fake_cluster {
	struct prng prng;
	uint64_t now_ns;
	uint32_t loss_percent, double_percent;
	uint64_t delay_ns_max;
	uint32_t master; /* FAKE_NODES: nobody */
	uint64_t term;
	/* Of commands: executed without an answer, refused as unknown, busy. */
	uint32_t silent_percent, unknown_percent, busy_percent;
	bool is_log_full, is_foreign;
	/* Of reads that are not linearizable: a node's position is so far behind, it is deaf, it
	 * finds its state too old, it keeps no snapshot; and how many each has answered. */
	uint64_t behind[FAKE_NODES];
	bool is_deaf[FAKE_NODES], is_stale[FAKE_NODES], is_gone[FAKE_NODES];
	uint64_t local_reads[FAKE_NODES];
	struct native_read last_read; /* without its key */

	void *arena;
	struct state *state;
	struct state_reader *reader;
	uint64_t log_index;
	uint64_t executions, repeats, sends;
	struct fake_packet packets[FAKE_PACKETS_MAX];
	uint32_t packet_count;
	struct engine *engine;
	uint8_t *memory;
};

void fake_start(struct fake_cluster *cluster, uint64_t seed);
void fake_stop(struct fake_cluster *cluster);
/* Runs until @until_ns; calls back what finishes. */
void fake_run(struct fake_cluster *cluster, uint64_t until_ns);
/* Runs until nothing is pending; fails after @limit_ns. */
void fake_finish(struct fake_cluster *cluster, uint64_t limit_ns);
int64_t fake_integer(struct fake_cluster *cluster, const char *key);

#endif
