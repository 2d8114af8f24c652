/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* recvmmsg, sendmmsg */
#include "hw/net_kernel/net_kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "hw/net_kernel/net_sockaddr.h"

#define NODE_NONE           0xffu
#define SOCKET_BUFFER_BYTES (1024 * 1024) /* asked for; the kernel may give less */

struct buffer {
	/* One byte more than a frame: a longer datagram shows itself. */
	_Alignas(64) uint8_t bytes[NET_KERNEL_FRAME_BYTES_MAX + 1];
};

/* Frame buffers, handed out last in, first out, so that few of them stay in the cache. */
struct buffer_pool {
	uint32_t free_count;
	uint32_t free[NET_KERNEL_BUFFERS];
	struct buffer buffers[NET_KERNEL_BUFFERS];
};

struct peer {
	uint16_t node_id, port;
	struct inet_addr ip;
	socklen_t address_bytes;
	union net_sockaddr address;
};

struct net_kernel {
	int fd;
	uint16_t node_id;
	bool is_v4;
	uint32_t peer_count;
	uint8_t peer_of_node[NET_NODES_MAX];
	struct peer peers[NET_KERNEL_PEERS_MAX];
	struct net_filter filter;
	struct net_stats stats;
	struct buffer_pool rx, tx;
};

__attribute__((format(printf, 4, 5))) static enum tern_err
refuse(char *text, size_t bytes, enum tern_err err, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	if (bytes != 0)
		(void)vsnprintf(text, bytes, format, list);
	va_end(list);
	return err;
}

static void
pool_init(struct buffer_pool *pool)
{
	pool->free_count = NET_KERNEL_BUFFERS;
	for (uint32_t i = 0; i < NET_KERNEL_BUFFERS; i++)
		pool->free[i] = NET_KERNEL_BUFFERS - 1 - i;
}

static struct buffer *
pool_take(struct buffer_pool *pool)
{
	return pool->free_count == 0 ? NULL : &pool->buffers[pool->free[--pool->free_count]];
}

static void
pool_give(struct buffer_pool *pool, const struct buffer *buffer)
{
	INVARIANT(buffer >= pool->buffers && buffer < pool->buffers + NET_KERNEL_BUFFERS);
	INVARIANT(pool->free_count < NET_KERNEL_BUFFERS);
	pool->free[pool->free_count++] = (uint32_t)(buffer - pool->buffers);
}

static struct peer *
peer_by_address(struct net_kernel *net, const struct inet_addr *ip, uint16_t port)
{
	for (uint32_t i = 0; i < net->peer_count; i++)
		if (net->peers[i].port == port && inet_addr_equal(&net->peers[i].ip, ip))
			return &net->peers[i];
	return NULL;
}

static struct peer *
peer_by_node(struct net_kernel *net, uint16_t node)
{
	if (node >= NET_NODES_MAX || net->peer_of_node[node] == NODE_NONE)
		return NULL;
	return &net->peers[net->peer_of_node[node]];
}

enum tern_err
net_kernel_peer_set(struct net_kernel *net, const struct net_kernel_peer *config)
{
	if (config->node_id == 0 || config->node_id >= NET_NODES_MAX ||
	    config->node_id == net->node_id || config->port == 0 ||
	    inet_addr_is_none(&config->ip) || inet_addr_is_v4(&config->ip) != net->is_v4)
		return TERN_ERR_CONFIG;
	struct peer *peer = peer_by_node(net, config->node_id);
	const struct peer *same = peer_by_address(net, &config->ip, config->port);
	if (same != NULL && same != peer)
		return TERN_ERR_CONFIG;
	if (peer == NULL) {
		if (net->peer_count == NET_KERNEL_PEERS_MAX)
			return TERN_ERR_CONFIG;
		net->peer_of_node[config->node_id] = (uint8_t)net->peer_count;
		peer = &net->peers[net->peer_count++];
	}
	*peer = (struct peer){ .node_id = config->node_id, .ip = config->ip, .port = config->port };
	peer->address_bytes = net_sockaddr_make(&peer->address, &peer->ip, peer->port);
	return TERN_OK;
}

static enum tern_err
socket_open(struct net_kernel *net, const struct net_kernel_config *config, char *err,
	    size_t err_bytes)
{
	const int room = SOCKET_BUFFER_BYTES;
	char text[NET_SOCKADDR_TEXT_MAX];
	union net_sockaddr address;
	const socklen_t bytes = net_sockaddr_make(&address, &config->ip, config->port);

	net_sockaddr_text(&config->ip, text);
	net->fd = net_sockaddr_socket(&config->ip, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (net->fd < 0)
		return refuse(err, err_bytes, TERN_ERR_IO, "no UDP socket: %s", strerror(errno));
	(void)setsockopt(net->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	(void)setsockopt(net->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	if (bind(net->fd, &address.any, bytes) == 0)
		return TERN_OK;
	const int reason = errno;
	(void)close(net->fd);
	net->fd = -1;
	if (reason == EADDRINUSE)
		return refuse(err, err_bytes, TERN_ERR_BUSY,
			      "UDP %s:%u is in use by another process", text, config->port);
	return refuse(err, err_bytes, reason == EADDRNOTAVAIL ? TERN_ERR_CONFIG : TERN_ERR_IO,
		      "UDP %s:%u cannot be bound: %s", text, config->port, strerror(reason));
}

enum tern_err
net_kernel_open(const struct net_kernel_config *config, struct net_kernel **out, char *err,
		size_t err_bytes)
{
	*out = NULL;
	if (config->node_id == 0 || config->node_id >= NET_NODES_MAX ||
	    config->peer_count > NET_KERNEL_PEERS_MAX)
		return refuse(err, err_bytes, TERN_ERR_CONFIG,
			      "node id or peer count out of range");
	struct net_kernel *net = mmap(NULL, sizeof(*net), PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (net == MAP_FAILED)
		return refuse(err, err_bytes, TERN_ERR_NO_MEMORY, "no memory for frames");
	net->node_id = config->node_id;
	net->is_v4 = inet_addr_is_none(&config->ip) || inet_addr_is_v4(&config->ip);
	net->filter = config->filter;
	memset(net->peer_of_node, (int)NODE_NONE, sizeof(net->peer_of_node));
	pool_init(&net->rx);
	pool_init(&net->tx);
	enum tern_err result = TERN_OK;
	for (uint32_t i = 0; i < config->peer_count && result == TERN_OK; i++) {
		const bool is_double = config->peers[i].node_id < NET_NODES_MAX &&
				       peer_by_node(net, config->peers[i].node_id) != NULL;

		result = is_double ? TERN_ERR_CONFIG : net_kernel_peer_set(net, &config->peers[i]);
		if (result != TERN_OK)
			(void)refuse(err, err_bytes, result,
				     "peer %u: id or address out of range or taken",
				     config->peers[i].node_id);
	}
	if (result == TERN_OK)
		result = socket_open(net, config, err, err_bytes);
	if (result != TERN_OK) {
		(void)munmap(net, sizeof(*net));
		return result;
	}
	*out = net;
	return TERN_OK;
}

void
net_kernel_close(struct net_kernel *net)
{
	(void)close(net->fd);
	(void)munmap(net, sizeof(*net));
}

uint16_t
net_kernel_udp_port(const struct net_kernel *net)
{
	union net_sockaddr address = { 0 };
	socklen_t bytes = sizeof(address);
	struct inet_addr ip;
	uint16_t port;

	if (getsockname(net->fd, &address.any, &bytes) != 0 ||
	    !net_sockaddr_read(&address, &ip, &port))
		return 0;
	return port;
}

/* True: a frame for the caller. False: dropped and counted. */
static bool
rx_accept(struct net_kernel *net, const struct mmsghdr *message, const union net_sockaddr *from,
	  struct net_frame *frame)
{
	struct inet_addr ip;
	uint16_t port;

	if (message->msg_len == 0 || message->msg_len > NET_KERNEL_FRAME_BYTES_MAX ||
	    !net_sockaddr_read(from, &ip, &port)) {
		net->stats.drops.rx_malformed++;
		return false;
	}
	const struct peer *peer = peer_by_address(net, &ip, port);
	if (peer == NULL) {
		net->stats.drops.rx_unknown_peer++;
		return false;
	}
	struct net_node_counters *counters = &net->stats.nodes[peer->node_id];
	if (net_filter_drops(&net->filter, peer->node_id, net->node_id)) {
		counters->rx_cut++;
		return false;
	}
	counters->rx_frames++;
	counters->rx_bytes += message->msg_len;
	frame->length = message->msg_len;
	frame->node = peer->node_id;
	return true;
}

static uint32_t
net_kernel_rx_burst(void *arg, struct net_frame *frames, uint32_t max)
{
	struct net_kernel *net = arg;
	struct mmsghdr messages[NET_BURST_MAX];
	union net_sockaddr from[NET_BURST_MAX];
	struct iovec pieces[NET_BURST_MAX];
	struct buffer *buffers[NET_BURST_MAX];
	uint32_t asked = 0, taken = 0;

	max = min_u32(max, NET_BURST_MAX);
	for (; asked < max; asked++) {
		struct buffer *buffer = pool_take(&net->rx);

		if (buffer == NULL)
			break;
		buffers[asked] = buffer;
		pieces[asked] = (struct iovec){ buffer->bytes, sizeof(buffer->bytes) };
		messages[asked] = (struct mmsghdr){ .msg_hdr = { .msg_name = &from[asked],
								 .msg_namelen = sizeof(from[asked]),
								 .msg_iov = &pieces[asked],
								 .msg_iovlen = 1 } };
	}
	if (asked == 0)
		return 0;
	const int result = recvmmsg(net->fd, messages, asked, MSG_DONTWAIT, NULL);
	const uint32_t got = result > 0 ? (uint32_t)result : 0;
	net->stats.hw_ipackets += got;
	for (uint32_t i = 0; i < got; i++) {
		struct net_frame *frame = &frames[taken];

		*frame = (struct net_frame){ .bytes = buffers[i]->bytes, .opaque = buffers[i] };
		if (rx_accept(net, &messages[i], &from[i], frame))
			taken++;
		else
			pool_give(&net->rx, buffers[i]);
	}
	for (uint32_t i = asked; i > got; i--)
		pool_give(&net->rx, buffers[i - 1]);
	return taken;
}

static void
net_kernel_rx_release(void *arg, struct net_frame *frames, uint32_t count)
{
	struct net_kernel *net = arg;

	for (uint32_t i = count; i > 0; i--) {
		pool_give(&net->rx, frames[i - 1].opaque);
		frames[i - 1].opaque = NULL;
	}
}

static uint32_t
net_kernel_tx_alloc(void *arg, uint16_t node, struct net_frame *frames, uint32_t count)
{
	struct net_kernel *net = arg;
	uint32_t had = 0;

	if (peer_by_node(net, node) == NULL)
		return 0;
	for (; had < count; had++) {
		struct buffer *buffer = pool_take(&net->tx);

		if (buffer == NULL)
			break;
		frames[had] = (struct net_frame){ .bytes = buffer->bytes,
						  .capacity = NET_KERNEL_FRAME_BYTES_MAX,
						  .node = node,
						  .opaque = buffer };
	}
	net->stats.tx_no_buffer += count - had;
	return had;
}

/* Hands up to NET_BURST_MAX frames to the kernel. Returns how many it took. */
static uint32_t
tx_some(struct net_kernel *net, const struct net_frame *frames, uint32_t count)
{
	struct mmsghdr messages[NET_BURST_MAX];
	struct iovec pieces[NET_BURST_MAX];
	uint32_t kept[NET_BURST_MAX];
	uint32_t ready = 0, sent = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct peer *peer = peer_by_node(net, frames[i].node);

		INVARIANT(peer != NULL);
		INVARIANT(frames[i].length != 0 && frames[i].length <= NET_KERNEL_FRAME_BYTES_MAX);
		if (net_filter_drops(&net->filter, net->node_id, peer->node_id)) {
			net->stats.nodes[peer->node_id].tx_cut++;
			continue;
		}
		pieces[ready] = (struct iovec){ frames[i].bytes, frames[i].length };
		messages[ready] = (struct mmsghdr){ .msg_hdr = { .msg_name = &peer->address,
								 .msg_namelen = peer->address_bytes,
								 .msg_iov = &pieces[ready],
								 .msg_iovlen = 1 } };
		kept[ready++] = i;
	}
	/* A datagram that the kernel refuses stops the call in front of it: it is dropped, and
	 * those behind it still go. */
	for (uint32_t done = 0; done < ready;) {
		const int result =
		    sendmmsg(net->fd, messages + done, ready - done, MSG_DONTWAIT | MSG_NOSIGNAL);
		const uint32_t went = result > 0 ? (uint32_t)result : 0;

		for (uint32_t i = done; i < done + went; i++) {
			struct net_node_counters *counters =
			    &net->stats.nodes[frames[kept[i]].node];
			counters->tx_frames++;
			counters->tx_bytes += frames[kept[i]].length;
			net->stats.hw_opackets++;
		}
		sent += went;
		done += went;
		if (went == 0) {
			const bool is_full = errno == EAGAIN || errno == ENOBUFS;
			const uint32_t lost = is_full ? ready - done : 1;

			net->stats.drops.tx_ring_full += lost;
			done += lost;
		}
	}
	return sent;
}

static uint32_t
net_kernel_tx_burst(void *arg, struct net_frame *frames, uint32_t count)
{
	struct net_kernel *net = arg;
	uint32_t sent = 0;

	for (uint32_t done = 0; done < count; done += NET_BURST_MAX)
		sent += tx_some(net, frames + done, min_u32(count - done, NET_BURST_MAX));
	for (uint32_t i = count; i > 0; i--) {
		pool_give(&net->tx, frames[i - 1].opaque);
		frames[i - 1].opaque = NULL;
	}
	return sent;
}

static uint32_t
net_kernel_frame_bytes_max(void *arg, uint16_t node)
{
	return peer_by_node(arg, node) == NULL ? 0 : NET_KERNEL_FRAME_BYTES_MAX;
}

static bool
net_kernel_is_up(void *arg, uint16_t node)
{
	return peer_by_node(arg, node) != NULL;
}

static int
net_kernel_wait_fd(void *arg)
{
	const struct net_kernel *net = arg;

	return net->fd;
}

static void
net_kernel_stats(void *arg, struct net_stats *stats)
{
	const struct net_kernel *net = arg;

	*stats = net->stats;
}

static const char *
net_kernel_driver(void *arg)
{
	(void)arg;
	return "kernel_udp";
}

static const struct net_ops net_kernel_ops = {
	.rx_burst = net_kernel_rx_burst,
	.rx_release = net_kernel_rx_release,
	.tx_alloc = net_kernel_tx_alloc,
	.tx_burst = net_kernel_tx_burst,
	.frame_bytes_max = net_kernel_frame_bytes_max,
	.is_up = net_kernel_is_up,
	.wait_fd = net_kernel_wait_fd,
	.stats = net_kernel_stats,
	.driver = net_kernel_driver,
};

struct net_port
net_kernel_port(struct net_kernel *net)
{
	return (struct net_port){ .ops = &net_kernel_ops, .net = net };
}
