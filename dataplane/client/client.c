/* SPDX-License-Identifier: Apache-2.0 */
/* The client: a UDP socket and a clock around the engine, and the synchronous calls. */
#define _GNU_SOURCE
#include "dataplane/client/tern.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/client/engine.h"
#include "dataplane/client/forward.h"

#define DEADLINE_MS         10000u
#define RETRY_MIN_MS        50u
#define RETRY_MAX_MS        500u
#define BURST               32u
#define SOCKET_BUFFER_BYTES (2 << 20)
#define NS_PER_MS           ((uint64_t)1000000)

/* Addresses as the socket wants them: IPv4 within IPv6, unless the client is_v4. */
union peer {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct tern_client {
	struct engine engine;
	int fd;
	bool is_v4;
	bool is_in_callback;
	uint8_t *in; /* BURST datagrams */
};

static uint64_t
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- opening ---- */

static size_t
client_bytes(void)
{
	return align_up_u64(sizeof(struct tern_client), 4096) +
	       (size_t)(ENGINE_CALLS + BURST) * NATIVE_FRAME_BYTES_MAX;
}

__attribute__((format(printf, 4, 5))) static int
say(int error, char *why, size_t why_bytes, const char *format, ...)
{
	va_list args;

	if (why != NULL && why_bytes != 0) {
		va_start(args, format);
		(void)vsnprintf(why, why_bytes, format, args);
		va_end(args);
	}
	return error;
}

/* One "host:port" or "[IPv6]:port" of @bytes characters. */
static bool
parse_address(const char *text, size_t bytes, struct engine_node *node)
{
	char host[INET6_ADDRSTRLEN];
	struct in_addr v4;
	const char *colon = memrchr(text, ':', bytes);
	const bool is_v6 = text[0] == '[';
	const char *first = text + (is_v6 ? 1 : 0);
	unsigned long port = 0;

	if (colon == NULL || colon <= first || (is_v6 && colon[-1] != ']'))
		return false;
	const size_t length = (size_t)(colon - first) - (is_v6 ? 1 : 0);
	if (length >= sizeof(host))
		return false;
	memcpy(host, first, length);
	host[length] = '\0';
	for (const char *digit = colon + 1; digit < text + bytes; digit++) {
		if (*digit < '0' || *digit > '9' || port > UINT16_MAX)
			return false;
		port = port * 10 + (unsigned long)(*digit - '0');
	}
	*node = (struct engine_node){ .port = (uint16_t)port };
	if (port == 0 || port > UINT16_MAX ||
	    (is_v6 ? inet_pton(AF_INET6, host, node->ip.bytes) : inet_pton(AF_INET, host, &v4)) !=
		1)
		return false;
	if (!is_v6)
		node->ip = inet_addr_v4(ntohl(v4.s_addr));
	return true;
}

static int
parse_addresses(struct engine *engine, const char *text, char *why, size_t why_bytes)
{
	while (text != NULL && *text != '\0') {
		const char *comma = strchrnul(text, ',');
		if (engine->node_count == ENGINE_NODES_MAX)
			return say(-EINVAL, why, why_bytes, "more than %u addresses",
				   ENGINE_NODES_MAX);
		if (!parse_address(text, (size_t)(comma - text),
				   &engine->nodes[engine->node_count++]))
			return say(-EINVAL, why, why_bytes,
				   "'%.*s' is no numeric host:port or [IPv6]:port",
				   (int)(comma - text), text);
		text = *comma == ',' ? comma + 1 : comma;
	}
	if (engine->node_count == 0)
		return say(-EINVAL, why, why_bytes, "no address was given");
	return 0;
}

static void
send_frame(void *context, const struct engine_node *node, const uint8_t *frame, uint32_t bytes)
{
	struct tern_client *client = context;
	union peer to = { .v6 = { .sin6_family = AF_INET6, .sin6_port = htons(node->port) } };

	memcpy(&to.v6.sin6_addr, node->ip.bytes, INET_ADDR_BYTES);
	if (client->is_v4) {
		to.v4 =
		    (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(node->port) };
		memcpy(&to.v4.sin_addr, node->ip.bytes + 12, 4);
	}
	/* What the socket does not take now counts as lost: it is sent again. So does what a client
	 * without IPv6 cannot reach. */
	if ((client->is_v4 && !inet_addr_is_v4(&node->ip)) ||
	    sendto(client->fd, frame, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, &to.any,
		   client->is_v4 ? sizeof(to.v4) : sizeof(to.v6)) < 0)
		client->engine.stats.frames_dropped++;
}

static int
open_socket(struct tern_client *client, char *why, size_t why_bytes)
{
	const int buffer = SOCKET_BUFFER_BYTES;
	const int no = 0;
	union peer any = { .v6 = { .sin6_family = AF_INET6 } };

	/* With any IPv6 address one socket serves both families, else the machine need not have
	 * IPv6. */
	client->is_v4 = true;
	for (uint32_t i = 0; i < client->engine.node_count; i++)
		client->is_v4 = client->is_v4 && inet_addr_is_v4(&client->engine.nodes[i].ip);
	if (client->is_v4)
		any.v4 = (struct sockaddr_in){ .sin_family = AF_INET };
	client->fd = socket(client->is_v4 ? AF_INET : AF_INET6,
			    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0 ||
	    (!client->is_v4 &&
	     setsockopt(client->fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)) != 0) ||
	    bind(client->fd, &any.any, client->is_v4 ? sizeof(any.v4) : sizeof(any.v6)) != 0)
		return say(-errno, why, why_bytes, "socket: %s", strerror(errno));
	(void)setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	(void)setsockopt(client->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	return 0;
}

int
tern_open(const struct tern_options *options, struct tern_client **out, char *why, size_t why_bytes)
{
	*out = NULL;
	/* Pages are taken as they are used: most requests are small. */
	struct tern_client *client = mmap(NULL, client_bytes(), PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (client == MAP_FAILED)
		return say(-ENOMEM, why, why_bytes, "no memory");
	struct engine *engine = &client->engine;
	client->fd = -1;
	engine->memory = (uint8_t *)client + align_up_u64(sizeof(*client), 4096);
	client->in = engine->memory + (size_t)ENGINE_CALLS * ENGINE_CALL_BYTES;
	engine->send = send_frame;
	engine->context = client;
	engine->deadline_ns =
	    (options->deadline_ms != 0 ? options->deadline_ms : DEADLINE_MS) * NS_PER_MS;
	engine->retry_min_ns =
	    (options->retry_min_ms != 0 ? options->retry_min_ms : RETRY_MIN_MS) * NS_PER_MS;
	engine->retry_max_ns =
	    max_u64((options->retry_max_ms != 0 ? options->retry_max_ms : RETRY_MAX_MS) * NS_PER_MS,
		    engine->retry_min_ns);
	engine->class_ = options->class_;
	int failed = parse_addresses(engine, options->addresses, why, why_bytes);
	if (failed == 0 &&
	    getrandom(&engine->seed, sizeof(engine->seed), 0) != (ssize_t)sizeof(engine->seed))
		failed = say(-EIO, why, why_bytes, "no random numbers: %s", strerror(errno));
	if (failed == 0)
		failed = open_socket(client, why, why_bytes);
	if (failed != 0) {
		if (client->fd >= 0)
			close(client->fd);
		munmap(client, client_bytes());
		return failed;
	}
	engine_init(engine);
	*out = client;
	return 0;
}

void
tern_close(struct tern_client *client)
{
	if (client == NULL || client->is_in_callback)
		return;
	engine_close_session(&client->engine);
	close(client->fd);
	munmap(client, client_bytes());
}

/* ---- turning ---- */

static void
receive(struct tern_client *client)
{
	struct mmsghdr messages[BURST];
	union peer from[BURST];
	struct iovec parts[BURST];
	int count;

	do {
		for (uint32_t i = 0; i < BURST; i++) {
			parts[i] = (struct iovec){ client->in + (size_t)i * NATIVE_FRAME_BYTES_MAX,
						   NATIVE_FRAME_BYTES_MAX };
			messages[i] = (struct mmsghdr){ .msg_hdr = { .msg_name = &from[i],
								     .msg_namelen = sizeof(from[i]),
								     .msg_iov = &parts[i],
								     .msg_iovlen = 1 } };
		}
		count = recvmmsg(client->fd, messages, BURST, MSG_DONTWAIT, NULL);
		const uint64_t now_ns = now();
		for (int i = 0; i < count; i++) {
			if ((messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0)
				continue;
			struct inet_addr ip = inet_addr_v4(ntohl(from[i].v4.sin_addr.s_addr));
			if (!client->is_v4)
				memcpy(ip.bytes, &from[i].v6.sin6_addr, INET_ADDR_BYTES);
			/* The port lies at the same place in both. */
			engine_receive(&client->engine, &ip, ntohs(from[i].v4.sin_port),
				       parts[i].iov_base, messages[i].msg_len, now_ns);
		}
	} while (count == (int)BURST);
}

static int
deliver(struct tern_client *client)
{
	struct call *call;
	int count = 0;

	/* Those that finish while callbacks run have their turn, too: each slot once. */
	while (count < (int)ENGINE_CALLS && (call = engine_take(&client->engine)) != NULL) {
		client->is_in_callback = true;
		if (call->done != NULL)
			call->done(call->context, &call->result);
		client->is_in_callback = false;
		engine_give(&client->engine, call);
		count++;
	}
	return count;
}

int
tern_fd(const struct tern_client *client)
{
	return client->fd;
}

int
tern_wait_ms(const struct tern_client *client)
{
	const uint64_t due_ns = engine_due_ns(&client->engine), now_ns = now();

	if (client->engine.done_first != NULL || due_ns <= now_ns)
		return 0;
	if (due_ns == UINT64_MAX)
		return -1;
	return (int)min_u64(div_up_u64(due_ns - now_ns, NS_PER_MS), 3600000);
}

uint32_t
tern_pending(const struct tern_client *client)
{
	return client->engine.pending_count;
}

uint64_t
tern_position(const struct tern_client *client)
{
	return client->engine.seen_index;
}

int
tern_poll(struct tern_client *client, int timeout_ms)
{
	const uint64_t end_ns =
	    timeout_ms < 0 ? UINT64_MAX : now() + (uint64_t)timeout_ms * NS_PER_MS;

	if (client->is_in_callback)
		return -EDEADLK;
	for (;;) {
		receive(client);
		engine_turn(&client->engine, now());
		const int count = deliver(client);
		if (count != 0)
			engine_turn(&client->engine, now());
		const uint64_t now_ns = now();
		if (count != 0 || now_ns >= end_ns || client->engine.pending_count == 0)
			return count;
		int wait_ms = tern_wait_ms(client);
		if (end_ns != UINT64_MAX) {
			const int left_ms =
			    (int)min_u64(div_up_u64(end_ns - now_ns, NS_PER_MS), INT32_MAX);
			wait_ms = wait_ms < 0 || left_ms < wait_ms ? left_ms : wait_ms;
		}
		struct pollfd fd = { .fd = client->fd, .events = POLLIN };
		if (poll(&fd, 1, wait_ms) < 0 && errno == EINTR && timeout_ms >= 0)
			return 0;
	}
}

int
tern_submit(struct tern_client *client, const struct tern_request *request)
{
	return engine_submit(&client->engine, request, now());
}

int
client_submit_command(struct tern_client *client, const uint8_t *command, uint32_t bytes,
		      tern_callback *done, void *context)
{
	return engine_submit_command(&client->engine, command, bytes, done, context, now());
}

const struct reply *
client_reply(const struct tern_result *result)
{
	const struct call *call =
	    (const struct call *)(const void *)((const uint8_t *)result -
						offsetof(struct call, result));

	INVARIANT(call->is_command && call->state == CALL_DONE);
	return call->reply.kind != 0 ? &call->reply : NULL;
}

void
tern_stats(const struct tern_client *client, struct tern_stats *stats)
{
	*stats = client->engine.stats;
}

/* ---- one request at a time ---- */

struct waiting {
	bool is_done;
	void *value;
	uint32_t room;
	struct tern_result *result;
};

static void
note_result(void *context, const struct tern_result *result)
{
	struct waiting *waiting = context;

	*waiting->result = *result;
	waiting->result->value = waiting->value;
	if (waiting->value != NULL && result->value != NULL)
		memcpy(waiting->value, result->value, min_u64(result->value_bytes, waiting->room));
	waiting->is_done = true;
}

static int
run(struct tern_client *client, const struct tern_request *request, struct waiting *waiting)
{
	struct tern_request copy = *request;
	int failed;

	if (client->is_in_callback)
		return -EDEADLK;
	copy.done = note_result;
	copy.context = waiting;
	/* A full window empties: every request has a deadline. */
	while ((failed = tern_submit(client, &copy)) == -EAGAIN)
		(void)tern_poll(client, -1);
	while (failed == 0 && !waiting->is_done)
		(void)tern_poll(client, -1);
	return failed;
}

int
tern_run(struct tern_client *client, const struct tern_request *request, struct tern_result *result)
{
	return run(client, request, &(struct waiting){ .result = result });
}

int
tern_set(struct tern_client *client, const void *key, uint32_t key_bytes, const void *value,
	 uint32_t value_bytes, struct tern_result *result)
{
	const struct tern_request request = { .op = TERN_SET,
					      .key = key,
					      .value = value,
					      .key_bytes = key_bytes,
					      .value_bytes = value_bytes };

	return tern_run(client, &request, result);
}

int
tern_read(struct tern_client *client, const struct tern_request *request, void *value,
	  uint32_t room, struct tern_result *result)
{
	return run(client, request,
		   &(struct waiting){ .value = value, .room = room, .result = result });
}

int
tern_get(struct tern_client *client, const void *key, uint32_t key_bytes, void *value,
	 uint32_t room, struct tern_result *result)
{
	const struct tern_request request = { .op = TERN_GET, .key = key, .key_bytes = key_bytes };

	return tern_read(client, &request, value, room, result);
}

int
tern_delete(struct tern_client *client, const void *key, uint32_t key_bytes,
	    struct tern_result *result)
{
	const struct tern_pair pair = { .key = key, .key_bytes = key_bytes };
	const struct tern_request request = { .op = TERN_DELETE, .pairs = &pair, .pair_count = 1 };

	return tern_run(client, &request, result);
}

int
tern_add(struct tern_client *client, const void *key, uint32_t key_bytes, int64_t delta,
	 const int64_t *min, const int64_t *max, struct tern_result *result)
{
	const struct tern_request request = {
		.op = TERN_ADD,
		.key = key,
		.key_bytes = key_bytes,
		.delta = delta,
		.min = min != NULL ? *min : 0,
		.max = max != NULL ? *max : 0,
		.has_min = min != NULL,
		.has_max = max != NULL,
	};

	return tern_run(client, &request, result);
}

const char *
tern_status_text(enum tern_status status)
{
	static const char *const texts[] = { "none", "done", "refused", "unknown", "accepted" };

	return (unsigned)status < sizeof(texts) / sizeof(texts[0]) ? texts[status] : "?";
}

const char *
tern_reason_text(enum tern_reason reason)
{
	static const char *const texts[] = {
		"none",      "bound",     "not an integer", "overflow", "out of memory",
		"too large", "malformed", "refused before", "deadline", "log full",
		"session",   "class",     "position",       "snapshot", "stale",
	};

	return (unsigned)reason < sizeof(texts) / sizeof(texts[0]) ? texts[reason] : "?";
}
