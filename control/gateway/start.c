/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/gateway.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/gateway/gateway_internal.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"

#define SNAPSHOT_NS 60000000000ull

static uint32_t
or_default(uint32_t value, uint32_t otherwise)
{
	return value != 0 ? value : otherwise;
}

static bool
copy_text(char *to, size_t room, const char *from)
{
	const size_t bytes = from == NULL ? 0 : strlen(from);

	if (bytes >= room)
		return false;
	memcpy(to, from == NULL ? "" : from, bytes);
	to[bytes] = 0;
	return true;
}

static void
take_sentinel(struct gateway *gateway, const struct gateway_config *config)
{
	struct sentinel *sentinel = &gateway->sentinel;

	if (config->sentinel != NULL) {
		*sentinel = *config->sentinel;
		return;
	}
	*sentinel = (struct sentinel){ .master_name = "tern",
				       .self_id = config->node_id,
				       .nodes_count = gateway->peers_count,
				       .status = config->status };
	for (uint32_t i = 0; i < gateway->peers_count; i++) {
		const struct peer *peer = &gateway->peers[i];
		struct sentinel_node *node = &sentinel->nodes[i];
		node->id = peer->node_id;
		node->port = peer->port;
		memcpy(node->name, peer->name, sizeof(node->name));
		memcpy(node->host, peer->host, sizeof(node->host));
	}
}

static enum tern_err
take_peers(struct gateway *gateway, const struct gateway_config *config, char *why,
	   size_t why_bytes)
{
	if (config->peers_count > GATEWAY_PEERS_MAX) {
		snprintf(why, why_bytes, "gateway: %u peers, at most %u", config->peers_count,
			 GATEWAY_PEERS_MAX);
		return TERN_ERR_CONFIG;
	}
	for (uint32_t i = 0; i < config->peers_count; i++) {
		struct peer *peer = &gateway->peers[i];
		peer->node_id = config->peers[i].node_id;
		peer->port = config->peers[i].resp_port;
		if (!copy_text(peer->name, sizeof(peer->name), config->peers[i].name) ||
		    !copy_text(peer->host, sizeof(peer->host), config->peers[i].resp_host)) {
			snprintf(why, why_bytes,
				 "gateway: the name or address of node %u is too long",
				 peer->node_id);
			return TERN_ERR_CONFIG;
		}
	}
	gateway->peers_count = config->peers_count;
	take_sentinel(gateway, config);
	return TERN_OK;
}

static enum tern_err
take_config(struct gateway *gateway, const struct gateway_config *config, char *why,
	    size_t why_bytes)
{
	const uint32_t command_bytes = or_default(config->command_bytes_max, 1u << 20);
	const uint64_t ring_record = config->channel->requests.size / 2;
	const uint64_t overhead = sizeof(struct submit_request) + 16;

	gateway->commands = &gateway_commands;
	gateway->channel = config->channel;
	gateway->state = config->state;
	gateway->status = config->status;
	gateway->endpoint = config->endpoint;
	gateway->endpoint_stats = config->endpoint_stats;
	gateway->node_id = config->node_id;
	gateway->stale_ns_max = config->stale_ns_max;
	gateway->snapshot_ns = config->snapshot_ns != 0 ? config->snapshot_ns : SNAPSHOT_NS;
	gateway->connections_max = or_default(config->connections_max, 1000);
	gateway->in_flight_max = or_default(config->in_flight_max, config->channel->in_flight_max);
	gateway->buffers_bytes_max =
	    config->buffers_bytes_max != 0 ? config->buffers_bytes_max : 256u << 20;
	gateway->output_bytes_max =
	    max_u32(or_default(config->output_bytes_max, 16u << 20), CONNECTION_OUTPUT_BYTES);
	gateway->limits = (struct resp_limits){
		.bulk_bytes_max = command_bytes,
		.request_bytes_max = command_bytes,
		.args_max = COMMAND_ARGS_MAX + 1,
	};
	gateway->value_bytes_max = or_default(config->value_bytes_max, 512u << 10);
	gateway->input_bytes_max =
	    max_u32(command_bytes, RESP_INLINE_BYTES_MAX) + CONNECTION_INPUT_BYTES;
	gateway->listen_fd = -1;
	gateway->epoll_fd = -1;
	gateway->worker = WORKER_CLOSED;
	if (gateway->in_flight_max < GATEWAY_IN_FLIGHT_MIN ||
	    gateway->in_flight_max > config->channel->in_flight_max ||
	    ring_record < overhead + COMMAND_HDR_BYTES || config->channel->front_wake.fd < 0 ||
	    command_bytes > (1u << 30) || gateway->connections_max > (1u << 20)) {
		snprintf(why, why_bytes,
			 "gateway: limits do not fit: %u in flight, channel %u, "
			 "ring %llu bytes, commands %u bytes, %u connections",
			 gateway->in_flight_max, config->channel->in_flight_max,
			 (unsigned long long)config->channel->requests.size, command_bytes,
			 gateway->connections_max);
		return TERN_ERR_CONFIG;
	}
	gateway->write_bytes_max = (uint32_t)min_u64(command_bytes, ring_record - overhead);
	if (!copy_text(gateway->node_name, sizeof(gateway->node_name), config->node_name) ||
	    !copy_text(gateway->tern_version, sizeof(gateway->tern_version),
		       config->tern_version)) {
		snprintf(why, why_bytes, "gateway: the node's name or version is too long");
		return TERN_ERR_CONFIG;
	}
	return take_peers(gateway, config, why, why_bytes);
}

static enum tern_err
take_memory(struct gateway *gateway, char *why, size_t why_bytes)
{
	gateway->connections = calloc(gateway->connections_max, sizeof(*gateway->connections));
	gateway->flights = calloc(gateway->in_flight_max, sizeof(*gateway->flights));
	gateway->room.args = calloc(gateway->limits.args_max, sizeof(*gateway->room.args));
	gateway->room.unquoted = malloc(RESP_INLINE_BYTES_MAX);
	if (gateway->connections == NULL || gateway->flights == NULL ||
	    gateway->room.args == NULL || gateway->room.unquoted == NULL) {
		snprintf(why, why_bytes, "gateway: no memory");
		return TERN_ERR_NO_MEMORY;
	}
	for (uint32_t i = 0; i < gateway->connections_max; i++)
		gateway->connections[i].next_free = i + 1;
	gateway->next_client_id = 1;
	gateway_flights_init(gateway);
	return TERN_OK;
}

static int
listen_socket(const struct addrinfo *info, uint32_t backlog)
{
	const int one = 1;
	const int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, (int)backlog) == 0)
		return fd;
	const int err = errno;
	close(fd);
	errno = err;
	return -1;
}

static enum tern_err
open_listener(struct gateway *gateway, const struct gateway_config *config, char *why,
	      size_t why_bytes)
{
	const char *host = config->bind_host != NULL ? config->bind_host : "127.0.0.1";
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	};
	struct addrinfo *info = NULL;
	char port[8];

	snprintf(port, sizeof(port), "%u", config->bind_port);
	const int failed = getaddrinfo(host, port, &hints, &info);
	if (failed != 0) {
		snprintf(why, why_bytes, "gateway: address '%s': %s", host, gai_strerror(failed));
		return TERN_ERR_CONFIG;
	}
	gateway->listen_fd = listen_socket(info, or_default(config->backlog, 511));
	if (gateway->listen_fd < 0)
		snprintf(why, why_bytes,
			 "gateway: cannot listen on %s port %s: %s; stop what has it, or change "
			 "`resp` of this node in every node file",
			 host, port, strerror(errno));
	freeaddrinfo(info);
	return gateway->listen_fd >= 0 ? TERN_OK : TERN_ERR_IO;
}

static bool
watch_fd(struct gateway *gateway, int fd, uint32_t name)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = name };

	return epoll_ctl(gateway->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static enum tern_err
open_loop(struct gateway *gateway, char *why, size_t why_bytes)
{
	struct sockaddr_storage address;
	socklen_t bytes = sizeof(address);
	const uint32_t name = gateway->connections_max;

	gateway->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	gateway->is_accepting = true;
	if (gateway->epoll_fd < 0 || worker_open(&gateway->worker) != TERN_OK ||
	    getsockname(gateway->listen_fd, (struct sockaddr *)&address, &bytes) != 0 ||
	    !watch_fd(gateway, gateway->listen_fd, name) ||
	    !watch_fd(gateway, gateway->channel->front_wake.fd, name + 1) ||
	    !watch_fd(gateway, gateway->worker.stop_fd, name + 2) ||
	    (gateway->forward != NULL &&
	     !watch_fd(gateway, forward_fd(gateway), name + GATEWAY_FORWARD_NAME))) {
		snprintf(why, why_bytes, "gateway: epoll: %s", strerror(errno));
		return TERN_ERR_IO;
	}
	if (address.ss_family == AF_INET)
		gateway->port = ntohs(((struct sockaddr_in *)&address)->sin_port);
	else if (address.ss_family == AF_INET6)
		gateway->port = ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	return TERN_OK;
}

static void
release(struct gateway *gateway)
{
	for (uint32_t i = 0; i < READ_BATCHES_MAX; i++)
		free(gateway->batches[i].waiters);
	forward_close(gateway);
	if (gateway->epoll_fd >= 0)
		close(gateway->epoll_fd);
	if (gateway->listen_fd >= 0)
		close(gateway->listen_fd);
	worker_close(&gateway->worker);
	free(gateway->connections);
	free(gateway->flights);
	free(gateway->room.args);
	free(gateway->room.unquoted);
	free(gateway);
}

static enum tern_err
start_thread(struct gateway *gateway, char *why, size_t why_bytes)
{
	const struct worker_work work = { .name = "tern-gateway",
					  .begin = gateway_begin,
					  .run = gateway_run,
					  .context = gateway };

	gateway->started_ns = gateway->now_ns = platform_monotonic_ns();
	const enum tern_err err = worker_start(&gateway->worker, &work);
	if (err == TERN_ERR_IO)
		snprintf(why, why_bytes, "gateway: thread: %s", strerror(errno));
	else if (err != TERN_OK)
		snprintf(why, why_bytes,
			 "gateway: the state machine has no room for another reader");
	return err;
}

enum tern_err
gateway_start(const struct gateway_config *config, struct gateway **out, char *why,
	      size_t why_bytes)
{
	struct gateway *gateway = aligned_alloc(64, align_up_u64(sizeof(*gateway), 64));

	INVARIANT(config->channel != NULL && config->status != NULL);
	INVARIANT(config->channel->lcore_wake != NULL);
	*out = NULL;
	if (gateway == NULL) {
		snprintf(why, why_bytes, "gateway: no memory");
		return TERN_ERR_NO_MEMORY;
	}
	*gateway = (struct gateway){ 0 };
	enum tern_err err = take_config(gateway, config, why, why_bytes);
	if (err == TERN_OK)
		err = take_memory(gateway, why, why_bytes);
	if (err == TERN_OK && config->listen_fd < 0)
		err = open_listener(gateway, config, why, why_bytes);
	if (err == TERN_OK && config->listen_fd >= 0)
		gateway->listen_fd = config->listen_fd;
	if (err == TERN_OK && config->forward_addresses != NULL)
		err = forward_open(gateway, config->forward_addresses,
				   or_default(config->forward_deadline_ms, 5000), why, why_bytes);
	if (err == TERN_OK)
		err = open_loop(gateway, why, why_bytes);
	if (err == TERN_OK)
		err = start_thread(gateway, why, why_bytes);
	if (err != TERN_OK) {
		/* A listener that was handed in stays the caller's. */
		if (config->listen_fd >= 0)
			gateway->listen_fd = -1;
		release(gateway);
		return err;
	}
	*out = gateway;
	return TERN_OK;
}

void
gateway_stop(struct gateway *gateway)
{
	worker_stop(&gateway->worker);
	release(gateway);
}

uint16_t
gateway_port(const struct gateway *gateway)
{
	return gateway->port;
}
