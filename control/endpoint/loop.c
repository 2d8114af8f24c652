/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "control/endpoint/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/endpoint/endpoint_internal.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

#define SOCKET_BUFFER_BYTES (4 << 20)
#define RETRY_MS            1
#define SNAPSHOT_IDLE_NS    10000000000ull

static int
receive(struct endpoint *endpoint)
{
	struct mmsghdr messages[ENDPOINT_BURST];
	union net_sockaddr from[ENDPOINT_BURST];
	struct iovec parts[ENDPOINT_BURST];

	for (uint32_t i = 0; i < ENDPOINT_BURST; i++) {
		parts[i] = (struct iovec){ endpoint->in + (size_t)i * NATIVE_FRAME_BYTES_MAX,
					   NATIVE_FRAME_BYTES_MAX };
		messages[i] = (struct mmsghdr){ .msg_hdr = { .msg_name = &from[i],
							     .msg_namelen = sizeof(from[i]),
							     .msg_iov = &parts[i],
							     .msg_iovlen = 1 } };
	}
	const int count = recvmmsg(endpoint->fd, messages, ENDPOINT_BURST, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count; i++) {
		if ((messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0)
			endpoint_count(&endpoint->counters.malformed);
		else
			endpoint_take(endpoint, parts[i].iov_base, messages[i].msg_len, &from[i]);
	}
	return count;
}

static void
turn(struct endpoint *endpoint)
{
	struct pollfd fds[3] = {
		{ .fd = endpoint->fd, .events = POLLIN },
		{ .fd = endpoint->channel->front_wake.fd, .events = POLLIN },
		{ .fd = endpoint->worker.stop_fd, .events = POLLIN },
	};

	wake_prepare(&endpoint->channel->front_wake);
	if (ring_is_empty(&endpoint->channel->completions))
		(void)poll(fds, 3,
			   endpoint->needs_retry ? RETRY_MS : endpoint_local_wait_ms(endpoint));
	wake_done(&endpoint->channel->front_wake);
	endpoint->needs_retry = false;
	status_read(endpoint->cell, &endpoint->status);
	endpoint_complete(endpoint);
	endpoint_local_turn(endpoint);
	if (receive(endpoint) == (int)ENDPOINT_BURST)
		endpoint->needs_retry = true;
	endpoint_publish(endpoint);
	endpoint_flush(endpoint);
}

static enum tern_err
begin(void *context)
{
	struct endpoint *endpoint = context;

	/* The reader belongs to the thread that opens it. */
	endpoint->reader = state_reader_open(endpoint->state);
	return endpoint->reader != NULL ? TERN_OK : TERN_ERR_NO_MEMORY;
}

static void
run(void *context)
{
	struct endpoint *endpoint = context;

	while (!worker_is_stopping(&endpoint->worker))
		turn(endpoint);
	endpoint_local_end(endpoint);
	state_reader_close(endpoint->reader);
}

static enum tern_err
open_socket(struct endpoint *endpoint, const struct endpoint_config *config, char *why,
	    size_t why_bytes)
{
	const int buffer = SOCKET_BUFFER_BYTES;
	union net_sockaddr address;
	const socklen_t bind_bytes = net_sockaddr_make(&address, &config->ip, config->port);
	socklen_t bytes = sizeof(address);
	struct inet_addr ip;

	const bool is_taken = config->socket_fd > 0;
	endpoint->fd =
	    is_taken ? config->socket_fd
		     : net_sockaddr_socket(&config->ip, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (endpoint->fd < 0 || worker_open(&endpoint->worker) != TERN_OK ||
	    (!is_taken && bind(endpoint->fd, &address.any, bind_bytes) != 0) ||
	    getsockname(endpoint->fd, &address.any, &bytes) != 0 ||
	    !net_sockaddr_read(&address, &ip, &endpoint->port)) {
		snprintf(
		    why, why_bytes,
		    "client address, port %u: %s; stop what has it, or change `client` of this "
		    "node in every node file",
		    config->port, strerror(errno));
		return TERN_ERR_IO;
	}
	/* Bursts of many clients: as much as the system allows. */
	(void)setsockopt(endpoint->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	(void)setsockopt(endpoint->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	return TERN_OK;
}

static bool
take_memory(struct endpoint *endpoint)
{
	const uint32_t in_flight_max = endpoint->channel->in_flight_max;

	endpoint->flights = calloc(in_flight_max, sizeof(*endpoint->flights));
	endpoint->waiters = calloc(ENDPOINT_READS_MAX, sizeof(*endpoint->waiters));
	endpoint->waiting = calloc(ENDPOINT_WAITING_MAX, sizeof(*endpoint->waiting));
	endpoint->outs = calloc(ENDPOINT_OUT_MAX, sizeof(*endpoint->outs));
	endpoint->in = malloc((size_t)ENDPOINT_BURST * NATIVE_FRAME_BYTES_MAX);
	endpoint->value = malloc(NATIVE_VALUE_BYTES_MAX);
	if (endpoint->flights == NULL || endpoint->waiters == NULL || endpoint->waiting == NULL ||
	    endpoint->outs == NULL || endpoint->in == NULL || endpoint->value == NULL)
		return false;
	for (uint32_t i = 0; i < in_flight_max; i++)
		endpoint->flights[i].next = i + 1 < in_flight_max ? i + 1 : ENDPOINT_NONE;
	for (uint32_t i = 0; i < ENDPOINT_BUCKETS; i++)
		endpoint->buckets[i] = ENDPOINT_NONE;
	return true;
}

static enum tern_err
start_thread(struct endpoint *endpoint, char *why, size_t why_bytes)
{
	const struct worker_work work = {
		.name = "tern-client", .begin = begin, .run = run, .context = endpoint
	};
	const enum tern_err err = worker_start(&endpoint->worker, &work);

	if (err == TERN_ERR_IO)
		snprintf(why, why_bytes, "client address: thread: %s", strerror(errno));
	else if (err != TERN_OK)
		snprintf(why, why_bytes,
			 "client address: the state machine has no room for a reader");
	return err;
}

static void
release(struct endpoint *endpoint)
{
	if (endpoint->fd >= 0)
		close(endpoint->fd);
	worker_close(&endpoint->worker);
	free(endpoint->flights);
	free(endpoint->waiters);
	free(endpoint->waiting);
	free(endpoint->outs);
	free(endpoint->in);
	free(endpoint->value);
	free(endpoint);
}

enum tern_err
endpoint_start(const struct endpoint_config *config, struct endpoint **out, char *why,
	       size_t why_bytes)
{
	INVARIANT(config->channel != NULL && config->channel->lcore_wake != NULL);
	INVARIANT(config->channel->front_wake.fd >= 0);
	INVARIANT(config->channel->in_flight_max > ENDPOINT_BATCHES_MAX);
	*out = NULL;
	if (config->node_count > NATIVE_NODES_MAX) {
		snprintf(why, why_bytes, "client address: %u nodes, at most %u", config->node_count,
			 NATIVE_NODES_MAX);
		return TERN_ERR_CONFIG;
	}
	struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
	if (endpoint == NULL) {
		snprintf(why, why_bytes, "client address: no memory");
		return TERN_ERR_NO_MEMORY;
	}
	endpoint->fd = -1;
	endpoint->worker = WORKER_CLOSED;
	endpoint->channel = config->channel;
	endpoint->state = config->state;
	endpoint->cell = config->status;
	endpoint->node_id = config->node_id;
	endpoint->stale_ns_max = config->stale_ns_max;
	endpoint->snapshot_idle_ns =
	    config->snapshot_idle_ns != 0 ? config->snapshot_idle_ns : SNAPSHOT_IDLE_NS;
	endpoint->node_count = config->node_count;
	memcpy(endpoint->nodes, config->nodes, config->node_count * sizeof(config->nodes[0]));
	enum tern_err err = TERN_ERR_NO_MEMORY;
	if (take_memory(endpoint))
		err = open_socket(endpoint, config, why, why_bytes);
	else
		snprintf(why, why_bytes, "client address: no memory");
	if (err == TERN_OK)
		err = start_thread(endpoint, why, why_bytes);
	if (err != TERN_OK) {
		release(endpoint);
		return err;
	}
	*out = endpoint;
	return TERN_OK;
}

void
endpoint_stop(struct endpoint *endpoint)
{
	worker_stop(&endpoint->worker);
	release(endpoint);
}

uint16_t
endpoint_port(const struct endpoint *endpoint)
{
	return endpoint->port;
}

void
endpoint_stats(const struct endpoint *endpoint, struct endpoint_stats *stats)
{
	const struct endpoint_counters *c = &endpoint->counters;

	*stats = (struct endpoint_stats){
		.frames = atomic_load_explicit(&c->frames, memory_order_relaxed),
		.malformed = atomic_load_explicit(&c->malformed, memory_order_relaxed),
		.foreign = atomic_load_explicit(&c->foreign, memory_order_relaxed),
		.opens = atomic_load_explicit(&c->opens, memory_order_relaxed),
		.writes = atomic_load_explicit(&c->writes, memory_order_relaxed),
		.reads = atomic_load_explicit(&c->reads, memory_order_relaxed),
		.local_reads = atomic_load_explicit(&c->local_reads, memory_order_relaxed),
		.duplicates = atomic_load_explicit(&c->duplicates, memory_order_relaxed),
		.busy = atomic_load_explicit(&c->busy, memory_order_relaxed),
		.send_drops = atomic_load_explicit(&c->send_drops, memory_order_relaxed),
	};
}
