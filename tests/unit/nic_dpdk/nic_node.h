/* SPDX-License-Identifier: Apache-2.0 */
/* One process with a nic on memif, run by test_nic and test_nic_kill, and the page that it shares
 * with the test that started it. */
#ifndef TERN_TESTS_UNIT_NIC_DPDK_NIC_NODE_H
#define TERN_TESTS_UNIT_NIC_DPDK_NIC_NODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hw/nic_dpdk/nic.h"

#define NODE_A 1u /* memif server */
#define NODE_B 2u /* memif client */

enum node_phase { NODE_STARTING = 0, NODE_RUNNING, NODE_REFUSED, NODE_CLOSED };

struct node_page {
	_Atomic uint32_t phase;
	_Atomic uint32_t err;         /* enum tern_err of nic_open */
	_Atomic bool is_stopping;     /* test -> node */
	_Atomic bool is_silent;       /* test -> node: send nothing */
	_Atomic bool is_up;           /* what the seam says of the peer */
	_Atomic uint64_t turns;       /* in each it looked for frames, and sent if it may */
	_Atomic uint32_t port;        /* the one in use for the peer */
	_Atomic uint64_t received;    /* good frames of the peer's current incarnation */
	_Atomic uint64_t received_of; /* that incarnation */
	_Atomic uint64_t bad;         /* frames that were not what was sent */
	_Atomic uint64_t descriptors; /* open in the process */
	char text[256];
	char driver[32];
	struct net_stats stats; /* written when it closes */
};

struct node_pair {
	char directory[64];
	struct node_page *pages[3]; /* by node id */
	uint8_t *cells;             /* the drop filter */
	pid_t pids[3];
	uint64_t incarnation[3];
	uint32_t payload_bytes;
	bool is_heavy;      /* long bursts, no yield: as much time inside the driver as possible */
	bool has_idle_port; /* each node has a second memif port whose peer never comes */
	bool is_ipv6;
	uint32_t link_count; /* 0 as 1; 2: two memif links, each a network of its own */
	/* Bit n: link n of a node that starts now leads nowhere. */
	uint32_t dead_links;
};

void pair_open(struct node_pair *pair, uint32_t payload_bytes);
void pair_close(struct node_pair *pair);
void pair_start(struct node_pair *pair, uint32_t node);
/* Waits for the process, which ends by itself, by SIGKILL, or by a graceful stop of all processes
 * that have this node's page. Returns its wait status. */
int pair_wait(struct node_pair *pair, uint32_t node);
int pair_kill(struct node_pair *pair, uint32_t node);
int pair_stop(struct node_pair *pair, uint32_t node);
bool pair_is_alive(struct node_pair *pair, uint32_t node);
/* Waits until both hear @frames good frames of each other's present incarnation. False: a process
 * ended, or it took longer than a minute. */
bool pair_wait_traffic(struct node_pair *pair, uint64_t frames);
/* Waits until both have taken @turns more turns, at most a minute. */
bool pair_wait_turns(struct node_pair *pair, uint64_t turns);
void pair_sleep_ms(uint32_t ms);
/* Ends the test program with 77 when this machine's DPDK has no memif driver. */
void pair_need_memif(void);

#endif
