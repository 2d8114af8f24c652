/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native front end: libtern's datagrams (dataplane/wire/native.h) on the node's `client`
 * address, over a kernel UDP socket, on one thread of its own.
 *
 * Promises: a write is answered DONE after the quorum rule has committed it; a read is
 * linearizable, unless it says otherwise: then it is answered from what this node has, whoever is
 * master, at or after the position that it asks for. What a node does not know is answered UNKNOWN,
 * and the client asks again under the same sequence number, here or at the next master. Nothing is
 * kept for a client beyond its requests in flight, and the positions of snapshots for a while. A
 * node that was left out of a later generation answers NOT_MASTER to whatever asks it for more than
 * who is master.
 *
 * Bounds: in_flight_max requests at the lcore, ENDPOINT_READS_MAX reads waiting for read points and
 * ENDPOINT_WAITING_MAX for positions, each for a second at most, STATE_HOLDS_MAX snapshots (the
 * gateway's included); what is beyond is answered BUSY. A reply that the socket does not take is
 * dropped and counted: the client asks again. A write that is in flight already is not submitted
 * twice.
 *
 * The thread owns everything behind struct endpoint; it talks to the lcore through the channel
 * only.
 */
#ifndef TERN_ENDPOINT_ENDPOINT_H
#define TERN_ENDPOINT_ENDPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/runtime/status.h"
#include "dataplane/runtime/submit.h"
#include "dataplane/state/state.h"
#include "dataplane/wire/native.h"

/* What pointers name is borrowed until endpoint_stop; the table of nodes is copied. */
struct endpoint_config {
	struct inet_addr ip;            /* to bind to */
	uint16_t port;                  /* 0: any free one, see endpoint_port */
	int socket_fd;                  /* > 0: bound, taken; 0: make one */
	struct submit_channel *channel; /* front_wake.fd >= 0; this thread is its front end */
	struct state *state;            /* one of its readers is ours */
	struct status_cell *status;
	const struct native_node *nodes; /* the data nodes, this one included */
	uint32_t node_count;
	uint16_t node_id;
	uint64_t stale_ns_max;     /* age of what a replica answers to STALE reads; 0: any */
	uint64_t snapshot_idle_ns; /* 10 s: how long a snapshot is kept after a read at it */
};

struct endpoint;

/* Binds and starts the thread. On an error nothing is left behind and @why says what failed.
 * CONFIG: too many nodes. IO: a socket or the thread could not be had. NO_MEMORY. */
TERN_CHECKED enum tern_err endpoint_start(const struct endpoint_config *config,
					  struct endpoint **endpoint, char *why, size_t why_bytes);
/* Ends the thread. Requests that are still at the lcore complete into the channel after that. */
void endpoint_stop(struct endpoint *endpoint);
uint16_t endpoint_port(const struct endpoint *endpoint);

/* Any thread: counters since the start. */
struct endpoint_stats {
	uint64_t frames, malformed, foreign;
	uint64_t opens, writes, reads; /* submitted */
	uint64_t local_reads;          /* that asked nobody */
	uint64_t duplicates;           /* in flight already */
	uint64_t busy, send_drops;
};
void endpoint_stats(const struct endpoint *endpoint, struct endpoint_stats *stats);

#endif
