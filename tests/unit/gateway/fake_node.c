/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/fake_node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/endpoint/endpoint.h"
#include "tests/support/check.h"

#define ARENA_BYTES  (192u << 20)
#define WAIT_SECONDS 60
/* Two values of the default size: a third command that returns one has to wait. */
#define REPLY_ROOM_BYTES (1u << 20)

static void
pause_us(long us)
{
	const struct timespec time = { .tv_nsec = us * 1000 };

	nanosleep(&time, NULL);
}

static uint64_t
wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- the lcore ---- */

static void
complete(struct fake_node *node, const struct submit_completion *completion)
{
	struct submit_completion *out = ring_reserve(
	    &node->channel.completions, (uint32_t)sizeof(*completion) + completion->reply.bytes);

	/* The gateway keeps to in_flight_max, so there is room: the contract of the channel. */
	if (out == NULL)
		abort();
	*out = *completion;
	if (completion->reply.bytes != 0)
		memcpy(out + 1, completion->reply.data, completion->reply.bytes);
	free((void *)(uintptr_t)completion->reply.data);
	ring_publish(&node->channel.completions);
}

static enum submit_outcome
outcome_of(struct fake_node *node, const struct command *command)
{
	static const struct {
		const char *prefix;
		enum submit_outcome outcome;
	} table[] = {
		{ "!unknown", SUBMIT_UNKNOWN },
		{ "!full", SUBMIT_REFUSED_LOG_FULL },
		{ "!busy", SUBMIT_REFUSED_BUSY },
		{ "!large", SUBMIT_REFUSED_TOO_LARGE },
		{ "!malformed", SUBMIT_REFUSED_MALFORMED },
		{ "!class", SUBMIT_REFUSED_CLASS },
	};
	const uint8_t *cursor = command->args;
	struct command_arg key;

	if (node->is_not_master)
		return SUBMIT_REFUSED_NOT_MASTER;
	if (!command_arg_next(command, &cursor, &key))
		return SUBMIT_DONE; /* of a session */
	if (command->op == COMMAND_MULTI) {
		/* The last part chooses. */
		struct command part;
		do
			command_part(key, &part);
		while (command_arg_next(command, &cursor, &key));
		cursor = part.args;
		if (!command_arg_next(&part, &cursor, &key))
			return SUBMIT_DONE;
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const size_t bytes = strlen(table[i].prefix);
		if (key.bytes >= bytes && memcmp(key.data, table[i].prefix, bytes) == 0)
			return table[i].outcome;
	}
	return SUBMIT_DONE;
}

/* Lent only until the next call of the state machine; complete frees it. */
static void
reply_copy(struct reply *reply)
{
	if (!reply_has_data(reply))
		return;
	uint8_t *copy = malloc(reply->bytes + 1);
	if (copy == NULL)
		abort();
	memcpy(copy, reply->data, reply->bytes);
	reply->data = copy;
}

static void
take_write(struct fake_node *node, const struct submit_request *request,
	   struct submit_completion *completion)
{
	struct command command;

	if (command_decode((const uint8_t *)(request + 1), request->command_bytes, &command) !=
	    TERN_OK)
		abort();
	completion->outcome = outcome_of(node, &command);
	if (completion->outcome == SUBMIT_DONE && command.class_ == COMMAND_ASYNC &&
	    !command_fits_async(&command))
		completion->outcome = SUBMIT_REFUSED_CLASS;
	if (completion->outcome == SUBMIT_DONE) {
		const uint64_t now_ns = wall_ns() + node->time_ahead_ns;
		node->log_index++;
		node->time_ns = now_ns > node->time_ns ? now_ns : node->time_ns + 1;
		state_apply(node->state, (struct state_position){ node->log_index, 0 },
			    node->time_ns, &command, &completion->reply);
		reply_copy(&completion->reply);
		completion->class_ = (uint16_t)command.class_;
		completion->term = 5 + node->terms_later;
		node->is_memory_tail = command.class_ == COMMAND_MEMORY;
		if (node->is_memory_tail) {
			state_publish(node->state, node->log_index);
		} else if (!node->is_publish_held) {
			state_publish(node->state, node->log_index);
			state_commit(node->state, node->log_index);
			node->published_index = node->log_index;
		}
		completion->log_index = node->log_index;
		completion->copies = 2;
	}
	if (completion->outcome == SUBMIT_DONE && command.class_ == COMMAND_ASYNC) {
		free((void *)(uintptr_t)completion->reply.data);
		completion->reply = (struct reply){ 0 };
		completion->outcome = SUBMIT_ACCEPTED;
		completion->copies = 0;
	}
	node->writes_taken++;
}

static void
take_one(struct fake_node *node, const struct submit_request *request)
{
	struct submit_completion completion = { .tag = request->tag };

	if (request->kind == SUBMIT_WRITE) {
		take_write(node, request, &completion);
	} else {
		completion.outcome = node->is_not_master ? SUBMIT_REFUSED_NOT_MASTER : SUBMIT_DONE;
		completion.log_index = node->published_index;
		node->reads_taken++;
		completion.is_leased = node->is_leasing && completion.outcome == SUBMIT_DONE &&
				       (request->flags & SUBMIT_MAY_LEASE) != 0;
		node->leases_given += completion.is_leased;
	}
	if (completion.outcome == SUBMIT_REFUSED_NOT_MASTER)
		completion.master_id = node->master_id;
	if (!node->is_held && node->shuffle_seed == 0) {
		complete(node, &completion);
		return;
	}
	if (node->held_count == FAKE_HELD_MAX)
		abort();
	node->held[node->held_count] = completion;
	node->held_count++;
}

static bool
give_back(struct fake_node *node)
{
	const uint32_t count = node->held_count;

	if (node->is_release_asked) {
		for (uint32_t i = count; i > 0; i--)
			complete(node, &node->held[i - 1]);
		node->is_held = false;
		node->held_count = 0;
		node->is_release_asked = false;
		return count != 0;
	}
	if (node->shuffle_seed == 0 || node->is_held || count == 0)
		return false;
	/* One at random, so that later requests overtake earlier ones. */
	const uint32_t one = (uint32_t)prng_below(&node->prng, count);
	complete(node, &node->held[one]);
	node->held[one] = node->held[count - 1];
	node->held_count = count - 1;
	return true;
}

static void *
lcore_main(void *context)
{
	struct fake_node *node = context;
	uint32_t idle_turns = 0;

	while (!node->is_stopping) {
		bool has_any = false;
		uint32_t bytes;
		const struct submit_request *request;
		for (uint32_t i = 0; i < 64; i++) {
			request = ring_peek(&node->channel.requests, &bytes);
			if (request == NULL)
				break;
			take_one(node, request);
			ring_consume(&node->channel.requests);
			has_any = true;
		}
		has_any |= give_back(node);
		if (!node->is_publish_held && !node->is_memory_tail &&
		    node->published_index != node->log_index) {
			state_publish(node->state, node->log_index);
			state_commit(node->state, node->log_index);
			node->published_index = node->log_index;
		}
		state_reclaim_turn(node->state, true);
		if (has_any) {
			wake_up(&node->channel.front_wake);
			idle_turns = 0;
		} else if (++idle_turns > 100) {
			pause_us(20);
		}
	}
	return NULL;
}

static void *
grace_main(void *context)
{
	struct fake_node *node = context;

	while (!node->is_stopping) {
		if (!state_grace_period(node->state))
			pause_us(200);
	}
	return NULL;
}

/* ---- start and stop ---- */

static void
open_state(struct fake_node *node)
{
	node->arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(node->arena != MAP_FAILED);
	const struct state_config config = {
		.arena = node->arena,
		.arena_bytes = ARENA_BYTES,
		.capacity_bytes = ARENA_BYTES / 3,
		.value_bytes_max = 1u << 20,
		.sessions_max = 16,
		.readers_max = 1,
		.hash_seed = 7,
	};
	assert_int_equal(state_init(&config, &node->state), TERN_OK);
}

static void
open_channel(struct fake_node *node)
{
	const uint32_t in_flight = node->in_flight_max != 0 ? node->in_flight_max : 1024;
	const uint32_t requests =
	    node->request_ring_bytes != 0 ? node->request_ring_bytes : 4u << 20;
	const uint64_t completions = submit_completions_bytes_for(in_flight, REPLY_ROOM_BYTES);

	node->requests_memory = aligned_alloc(64, requests);
	node->completions_memory = aligned_alloc(64, completions);
	ring_init(&node->channel.requests, node->requests_memory, requests);
	ring_init(&node->channel.completions, node->completions_memory, completions);
	node->lcore_wake.fd = -1;
	node->channel.lcore_wake = &node->lcore_wake;
	node->channel.front_wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(node->channel.front_wake.fd >= 0);
	node->channel.in_flight_max = in_flight;
	node->channel.reply_bytes_max = REPLY_ROOM_BYTES;
}

void
fake_publish_commit(struct fake_node *node, bool is_master, uint16_t master_id,
		    uint64_t commit_term, uint64_t commit_index)
{
	const struct node_status status = {
		.cluster_id = 0x1122334455667788,
		.node_id = 1,
		.boot_no = 3,
		.master_id = master_id,
		.role = is_master ? CORE_MASTER : CORE_FOLLOWER,
		.mode = is_master        ? CORE_MODE_DUPLEX
			: master_id != 0 ? CORE_MODE_REPLICA
					 : CORE_MODE_NONE,
		.is_serving = is_master,
		.copies = is_master ? 2 : 0,
		.term = 5,
		.epoch = 6,
		.commit_index = commit_index,
		.commit_term = commit_term,
		.applied_index = 69,
		.keys = 4,
		.rset = is_master ? 6 : 0,
		.view_until_ns = UINT64_MAX,
	};

	status_publish(&node->cell, &status);
}

void
fake_publish_role(struct fake_node *node, bool is_master, uint16_t master_id)
{
	fake_publish_commit(node, is_master, master_id, 5, 70);
}

void
fake_publish_left_out(struct fake_node *node)
{
	const struct node_status status = { .cluster_id = 0x1122334455667788,
					    .node_id = 1,
					    .role = CORE_FOLLOWER,
					    .mode = CORE_MODE_SUPERSEDED,
					    .term = 5 };

	status_publish(&node->cell, &status);
}

static void
fake_endpoint_stats(const struct endpoint *endpoint, struct endpoint_stats *stats)
{
	assert_non_null(endpoint);
	*stats = (struct endpoint_stats){ .frames = 11, .send_drops = 9 };
}

enum tern_err
fake_try_start(struct fake_node *node, char *why, size_t why_bytes)
{
	static const struct gateway_peer peers[] = {
		{ 1, "a", "127.0.0.1", 7001 },
		{ 2, "b", "10.0.0.2", 7002 },
	};

	open_state(node);
	open_channel(node);
	prng_seed(&node->prng, node->shuffle_seed);
	fake_publish_role(node, true, 1);
	const struct gateway_config config = {
		.listen_fd = node->listen_fd != 0 ? node->listen_fd : -1,
		.connections_max = node->connections_max,
		.in_flight_max = node->in_flight_max,
		.value_bytes_max = node->value_bytes_max,
		.command_bytes_max = node->command_bytes_max,
		.output_bytes_max = node->output_bytes_max,
		.buffers_bytes_max = node->buffers_bytes_max,
		.stale_ns_max = node->stale_ns_max,
		.snapshot_ns = node->snapshot_ns,
		.forward_addresses = node->forward_addresses,
		.forward_deadline_ms = node->forward_deadline_ms,
		.channel = &node->channel,
		.state = node->state,
		.status = &node->cell,
		.peers = peers,
		.peers_count = 2,
		.node_id = 1,
		.node_name = "a",
		.tern_version = "0.1.0",
		.endpoint = (const struct endpoint *)(const void *)node,
		.endpoint_stats = fake_endpoint_stats,
	};
	assert_int_equal(pthread_create(&node->lcore, NULL, lcore_main, node), 0);
	assert_int_equal(pthread_create(&node->grace, NULL, grace_main, node), 0);
	const enum tern_err err = gateway_start(&config, &node->gateway, why, why_bytes);
	if (err == TERN_OK)
		node->port = gateway_port(node->gateway);
	return err;
}

void
fake_start(struct fake_node *node)
{
	char why[256] = "";

	if (fake_try_start(node, why, sizeof(why)) != TERN_OK)
		fail_msg("%s", why);
}

void
fake_stop(struct fake_node *node)
{
	if (node->gateway != NULL)
		gateway_stop(node->gateway);
	node->is_stopping = true;
	pthread_join(node->lcore, NULL);
	pthread_join(node->grace, NULL);
	close(node->channel.front_wake.fd);
	free(node->requests_memory);
	free(node->completions_memory);
	munmap(node->arena, ARENA_BYTES);
}

void
fake_await_held(struct fake_node *node, uint32_t count)
{
	for (uint32_t i = 0; i < WAIT_SECONDS * 10000 && node->held_count < count; i++)
		pause_us(100);
	assert_int_equal(node->held_count, count);
}

void
fake_release(struct fake_node *node)
{
	node->is_release_asked = true;
	for (uint32_t i = 0; i < WAIT_SECONDS * 10000 && node->is_release_asked; i++)
		pause_us(100);
	assert_false(node->is_release_asked);
}

/* ---- clients ---- */

int
client_open(const struct fake_node *node)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(node->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct timeval limit = { .tv_sec = WAIT_SECONDS };
	const int one = 1;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

void
client_send_bytes(int fd, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	while (bytes > 0) {
		const ssize_t sent = send(fd, at, bytes, MSG_NOSIGNAL);
		assert_true(sent > 0);
		at += sent;
		bytes -= (size_t)sent;
	}
}

void
client_send(int fd, const char *text)
{
	client_send_bytes(fd, text, strlen(text));
}

void
client_expect_bytes(int fd, const void *data, size_t bytes)
{
	uint8_t *got = malloc(bytes + 1);
	size_t used = 0;

	assert_non_null(got);
	while (used < bytes) {
		const ssize_t count = recv(fd, got + used, bytes - used, 0);
		if (count <= 0) {
			got[used] = 0;
			fail_msg("after %zu of %zu bytes: %s; so far '%.200s', wanted '%.200s'",
				 used, bytes, count == 0 ? "closed" : strerror(errno), (char *)got,
				 (const char *)data);
		}
		used += (size_t)count;
	}
	got[used] = 0;
	if (memcmp(got, data, bytes) != 0)
		fail_msg("got '%.300s', wanted '%.300s'", (char *)got, (const char *)data);
	free(got);
}

void
client_expect(int fd, const char *text)
{
	client_expect_bytes(fd, text, strlen(text));
}

void
client_read_line(int fd, char *line, size_t room)
{
	size_t used = 0;

	while (used < 2 || memcmp(line + used - 2, "\r\n", 2) != 0) {
		assert_true(used + 1 < room);
		assert_int_equal(recv(fd, line + used, 1, 0), 1);
		used++;
	}
	line[used] = 0;
}

void
client_expect_nothing(int fd)
{
	char byte;

	pause_us(30000);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

void
client_expect_end(int fd)
{
	char byte;
	const ssize_t got = recv(fd, &byte, 1, 0);

	if (got > 0)
		fail_msg("got '%c' where the end was expected", byte);
	assert_true(got == 0 || errno == ECONNRESET);
	close(fd);
}
