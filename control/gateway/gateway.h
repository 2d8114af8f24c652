/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RESP front end: Redis clients over kernel TCP, on one thread of its own.
 *
 * Promises: a write is answered after the quorum rule has committed it; a read is linearizable; an
 * error reply means "was not and will not be executed"; when that is not known the connection is
 * closed without a reply. Replies keep the order of the requests, and a request sees what the
 * requests before it on the same connection wrote, and nothing of those after it.
 *
 * Bounds: connections_max connections (one more is told so and closed); in_flight_max requests at
 * the lcore; per connection one input buffer of command_bytes_max and one output buffer of
 * output_bytes_max; all buffers together buffers_bytes_max. What does not fit waits: the connection
 * is not read until there is room again.
 *
 * The thread owns everything behind struct gateway; it talks to the lcore through the channel only.
 */
#ifndef TERN_GATEWAY_GATEWAY_H
#define TERN_GATEWAY_GATEWAY_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/runtime/status.h"
#include "dataplane/runtime/submit.h"
#include "dataplane/state/state.h"

#define GATEWAY_IN_FLIGHT_MIN 16u
#define GATEWAY_PEERS_MAX     16u
#define GATEWAY_NAME_BYTES    64u
#define GATEWAY_HOST_BYTES    256u

/* A data node and where its clients connect: what -MOVED, ROLE and INFO answer. */
struct gateway_peer {
	uint16_t node_id;
	const char *name;
	const char *resp_host;
	uint16_t resp_port;
};

struct endpoint;
struct endpoint_stats;

/* Zero fields take the default. Strings and tables are copied; what pointers name is borrowed until
 * gateway_stop. */
struct gateway_config {
	const char *bind_host;    /* numeric; NULL: 127.0.0.1. Not used with listen_fd >= 0 */
	uint16_t bind_port;       /* 0: any free one, see gateway_port */
	int listen_fd;            /* >= 0: bound and listening, taken on TERN_OK; -1: make one */
	uint32_t backlog;         /* 511 */
	uint32_t connections_max; /* 1000 */
	uint32_t
	    in_flight_max; /* channel->in_flight_max; >= GATEWAY_IN_FLIGHT_MIN, <= the channel's */
	uint32_t value_bytes_max;   /* 512 KiB: one value */
	uint32_t command_bytes_max; /* 1 MiB: one request as it was sent; a channel whose ring is
				     * small lowers what can be written */
	uint32_t output_bytes_max;  /* 16 MiB: one reply, and what a slow client may leave unread */
	uint64_t buffers_bytes_max; /* 256 MiB: all connections together */
	uint64_t stale_ns_max;      /* 0: any; age of what READONLY is answered at a replica */
	uint64_t snapshot_ns;       /* 60 s: how long TERN.READ SNAPSHOT keeps a position */
	/* "host:port,..." of the data nodes' native front ends, to which writes are forwarded while
	 * this node is not master. NULL: they are refused. */
	const char *forward_addresses;
	uint32_t forward_deadline_ms; /* 5000: then its outcome is unknown, or it was never sent */

	struct submit_channel *channel; /* front_wake.fd >= 0; this thread is its front end */
	struct state *state;            /* one of its readers is ours */
	struct status_cell *status;
	const struct gateway_peer *peers; /* the data nodes, this one included */
	uint32_t peers_count;
	uint16_t node_id;
	const char *node_name;
	const char *tern_version;
	const struct sentinel *sentinel; /* copied; NULL: made of peers, under the name "tern" */
	/* The native front end, for INFO: NULL: there is none. It lives longer than the gateway. */
	const struct endpoint *endpoint;
	void (*endpoint_stats)(const struct endpoint *endpoint, struct endpoint_stats *stats);
};

struct gateway;
struct sentinel;

/* Listens and starts the thread. On an error nothing is left behind and @why says what failed.
 * CONFIG: the configuration contradicts itself. IO: a socket or the thread could not be had. */
TERN_CHECKED enum tern_err gateway_start(const struct gateway_config *config,
					 struct gateway **gateway, char *why, size_t why_bytes);

/* Closes every connection and ends the thread. Requests that are still at the lcore complete into
 * the channel after that: stop the lcore next, and do not give the channel to anybody else. */
void gateway_stop(struct gateway *gateway);

/* The port that is listened on. */
uint16_t gateway_port(const struct gateway *gateway);

/* Any thread: counters since the start. */
struct gateway_stats {
	uint64_t connections_now, connections_total, connections_refused;
	uint64_t requests_total; /* understood, known or not */
	uint64_t writes, reads;  /* submitted */
	uint64_t read_points;    /* shared by the reads of a round */
	uint64_t
	    leases_overtaken;    /* of them, given by a lease that was over when it was looked at */
	uint64_t refusals;       /* answered with an error by the lcore's word */
	uint64_t unknown_closes; /* connections closed because an outcome is unknown */
	uint64_t forwarded;      /* writes, to another node */
	uint64_t protocol_errors;
	uint64_t parks;           /* connections that waited for room at the lcore, or memory */
	uint64_t buffers_bytes;   /* now */
	uint64_t buffers_refused; /* a buffer could not grow */
	uint64_t in_flight_high;  /* most requests at the lcore at once */
};
void gateway_stats(const struct gateway *gateway, struct gateway_stats *stats);

#endif
