/* SPDX-License-Identifier: Apache-2.0 */
/* The native front end with the real state machine, a thread in place of the lcore, and as clients
 * libtern itself and datagrams made by hand. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/endpoint/endpoint.h"
#include "dataplane/client/tern.h"
#include "dataplane/state/hold.h"
#include "tests/support/check.h"

#define ARENA_BYTES  ((size_t)64 << 20)
#define RING_BYTES   (1u << 20)
#define IN_FLIGHT    64u
#define HELD_MAX     64u
#define CLUSTER_ID   0x1122334455667788ull
#define WAIT_SECONDS 60
#define LARGE_BYTES  20000u

struct node {
	struct endpoint *endpoint;
	struct state *state;
	void *arena, *requests, *completions;
	struct status_cell cell;
	struct submit_channel channel;
	struct wake lcore_wake;
	pthread_t lcore;
	_Atomic bool is_stopping, is_held;
	_Atomic uint32_t outcome; /* of everything; 0: DONE */
	_Atomic uint64_t writes, reads, leases;
	_Atomic bool is_leasing;          /* read points are given by lease, where that will do */
	_Atomic bool is_read_point_early; /* read points are known before what they name is seen */
	struct submit_completion held[HELD_MAX];
	_Atomic uint32_t held_count;
	uint64_t log_index, committed_index;
};

static void
complete(struct node *node, const struct submit_completion *completion)
{
	struct submit_completion *out =
	    ring_reserve(&node->channel.completions, sizeof(*completion));

	if (out == NULL)
		abort(); /* the front end keeps to in_flight_max */
	*out = *completion;
	ring_publish(&node->channel.completions);
	wake_up(&node->channel.front_wake);
}

static void
take_one(struct node *node, const struct submit_request *request)
{
	struct submit_completion completion = { .tag = request->tag, .outcome = SUBMIT_DONE };
	struct command command;

	if (node->outcome != 0) {
		completion.outcome = node->outcome;
	} else if (request->kind == SUBMIT_WRITE) {
		if (command_decode((const uint8_t *)(request + 1), request->command_bytes,
				   &command) != TERN_OK)
			abort();
		completion.log_index = ++node->log_index;
		state_apply(node->state, (struct state_position){ node->log_index, 0 }, 1, &command,
			    &completion.reply);
		state_publish(node->state, node->log_index);
		completion.copies = 2;
		completion.class_ = (uint16_t)command.class_;
		if (command.class_ == COMMAND_ASYNC) {
			completion.outcome =
			    command_fits_async(&command) ? SUBMIT_ACCEPTED : SUBMIT_REFUSED_CLASS;
			completion.term = 5;
			completion.slot = 3;
			completion.copies = 0;
			completion.reply = (struct reply){ 0 };
		}
		if (command.class_ != COMMAND_MEMORY) {
			state_commit(node->state, node->log_index);
			node->committed_index = node->log_index;
		}
		state_reclaim_turn(node->state, true);
		(void)state_grace_period(node->state);
		node->writes++;
	} else {
		completion.log_index = node->committed_index + (node->is_read_point_early ? 2 : 0);
		node->reads++;
		completion.is_leased = node->is_leasing && (request->flags & SUBMIT_MAY_LEASE) != 0;
		node->leases += completion.is_leased;
	}
	if (!node->is_held)
		complete(node, &completion);
	else if (node->held_count < HELD_MAX)
		node->held[node->held_count++] = completion;
}

static void *
lcore_main(void *context)
{
	struct node *node = context;
	const struct timespec pause = { .tv_nsec = 50000 };

	while (!node->is_stopping) {
		uint32_t bytes;
		const struct submit_request *request = ring_peek(&node->channel.requests, &bytes);
		if (request != NULL) {
			take_one(node, request);
			ring_consume(&node->channel.requests);
		} else if (!node->is_held && node->held_count != 0) {
			for (uint32_t i = 0; i < node->held_count; i++)
				complete(node, &node->held[i]);
			node->held_count = 0;
		} else {
			nanosleep(&pause, NULL);
		}
	}
	return NULL;
}

static uint64_t
now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* A replica whose state was the newest @age_ns ago. */
static void
publish_replica(struct node *node, uint64_t age_ns)
{
	const struct node_status status = {
		.cluster_id = CLUSTER_ID,
		.node_id = 1,
		.master_id = 2,
		.role = CORE_FOLLOWER,
		.mode = CORE_MODE_REPLICA,
		.term = 5,
		.fresh_ns = now_ns() - age_ns,
		.echo_ns = now_ns(),
		.effective_elect_min_ns = 3600000000000ull,
	};

	status_publish(&node->cell, &status);
}

static void
publish_role(struct node *node, bool is_serving)
{
	const struct node_status status = {
		.cluster_id = CLUSTER_ID,
		.node_id = 1,
		.master_id = is_serving ? 1 : 2,
		.is_serving = is_serving,
		.role = is_serving ? CORE_MASTER : CORE_FOLLOWER,
		.term = 5,
	};

	status_publish(&node->cell, &status);
}

/* Left out of a later generation: it holds a branch that was given up. */
static void
publish_superseded(struct node *node)
{
	const struct node_status status = {
		.cluster_id = CLUSTER_ID,
		.node_id = 1,
		.role = CORE_FOLLOWER,
		.mode = CORE_MODE_SUPERSEDED,
		.term = 5,
	};

	status_publish(&node->cell, &status);
}

static void
node_start_idle(struct node *node, uint64_t snapshot_idle_ns)
{
	const struct native_node nodes[] = { { 1, 7301, inet_addr_v4(INADDR_LOOPBACK) } };
	struct endpoint_config config = {
		.ip = inet_addr_v4(INADDR_LOOPBACK),
		.channel = &node->channel,
		.status = &node->cell,
		.nodes = nodes,
		.node_count = 1,
		.node_id = 1,
		.snapshot_idle_ns = snapshot_idle_ns,
	};
	char why[128] = "";

	memset(node, 0, sizeof(*node));
	node->arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(node->arena != MAP_FAILED);
	const struct state_config state = { .arena = node->arena,
					    .arena_bytes = ARENA_BYTES,
					    .capacity_bytes = ARENA_BYTES / 4,
					    .value_bytes_max = 1u << 20,
					    .sessions_max = 16,
					    .readers_max = 1,
					    .hash_seed = 7 };
	assert_int_equal(state_init(&state, &node->state), TERN_OK);
	const uint64_t completions = submit_completions_bytes(IN_FLIGHT);
	node->requests = aligned_alloc(64, RING_BYTES);
	node->completions = aligned_alloc(64, completions);
	ring_init(&node->channel.requests, node->requests, RING_BYTES);
	ring_init(&node->channel.completions, node->completions, completions);
	node->lcore_wake.fd = -1;
	node->channel.lcore_wake = &node->lcore_wake;
	node->channel.in_flight_max = IN_FLIGHT;
	node->channel.front_wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	publish_role(node, true);
	config.state = node->state;
	assert_int_equal(pthread_create(&node->lcore, NULL, lcore_main, node), 0);
	if (endpoint_start(&config, &node->endpoint, why, sizeof(why)) != TERN_OK)
		fail_msg("%s", why);
}

static void
node_start(struct node *node)
{
	node_start_idle(node, 3600000000000ull);
}

static void
node_stop(struct node *node)
{
	endpoint_stop(node->endpoint);
	node->is_stopping = true;
	pthread_join(node->lcore, NULL);
	close(node->channel.front_wake.fd);
	free(node->requests);
	free(node->completions);
	munmap(node->arena, ARENA_BYTES);
}

/* ---- datagrams made by hand ---- */

static int
raw_open(const struct node *node)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(endpoint_port(node->endpoint)),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct timeval limit = { .tv_sec = WAIT_SECONDS };
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void
raw_send(int fd, struct native_writer *writer, enum native_kind kind, uint64_t cluster_id)
{
	const struct native_hdr hdr = { .kind = kind, .cluster_id = cluster_id, .token = 99 };
	const uint32_t bytes = native_seal(writer, &hdr);

	assert_int_equal(send(fd, writer->frame, bytes, 0), bytes);
}

/* The next frame; its first reply, if it has one. */
static struct native_hdr
raw_receive(int fd, struct native_reply *reply)
{
	static _Alignas(8) uint8_t frame[NATIVE_FRAME_BYTES_MAX];
	struct native_hdr hdr;
	const ssize_t bytes = recv(fd, frame, sizeof(frame), 0);

	assert_true(bytes > 0);
	assert_int_equal(native_open(frame, (uint32_t)bytes, &hdr), TERN_OK);
	assert_int_equal(hdr.token, 99);
	assert_int_equal(hdr.cluster_id, CLUSTER_ID);
	struct native_cursor cursor = native_items(frame, &hdr);
	if (hdr.kind == NATIVE_REPLY)
		assert_true(native_next_reply(&cursor, reply));
	return hdr;
}

/* The next reply to @id, in whatever company it comes. */
static void
raw_await_reply(int fd, uint64_t id, struct native_reply *reply)
{
	static _Alignas(8) uint8_t frame[NATIVE_FRAME_BYTES_MAX];
	struct native_hdr hdr;

	for (;;) {
		const ssize_t bytes = recv(fd, frame, sizeof(frame), 0);
		assert_true(bytes > 0);
		assert_int_equal(native_open(frame, (uint32_t)bytes, &hdr), TERN_OK);
		assert_int_equal(hdr.kind, NATIVE_REPLY);
		struct native_cursor cursor = native_items(frame, &hdr);
		while (native_next_reply(&cursor, reply)) {
			if (reply->id == id)
				return;
		}
	}
}

static void
raw_add(int fd, uint64_t client_id, uint64_t seq, uint8_t flags)
{
	_Alignas(8) uint8_t frame[256], bytes[128];
	struct native_writer writer;
	struct command_writer command;
	uint32_t length;

	command_begin(&command, bytes, sizeof(bytes));
	command_add_arg(&command, "n", 1);
	command_add_i64(&command, 1);
	assert_int_equal(command_end(&command, COMMAND_ADD, flags, client_id, seq,
				     seq == 0 ? 0 : (uint16_t)(seq - 1), &length),
			 TERN_OK);
	native_begin(&writer, frame, sizeof(frame));
	assert_true(native_add_command(&writer, bytes, length));
	raw_send(fd, &writer, NATIVE_SUBMIT, CLUSTER_ID);
}

/* A read that asks nobody. */
static void
raw_read(int fd, uint64_t id, enum native_reads reads, uint64_t position, uint32_t limit_ms)
{
	const struct native_read read = { .id = id,
					  .key = (const uint8_t *)"n",
					  .key_bytes = 1,
					  .reads = reads,
					  .position = position,
					  .limit_ms = limit_ms };
	_Alignas(8) uint8_t frame[256];
	struct native_writer writer;

	native_begin(&writer, frame, sizeof(frame));
	assert_true(native_add_read(&writer, &read));
	raw_send(fd, &writer, NATIVE_READ, CLUSTER_ID);
}

static struct native_reply
raw_session(int fd, uint64_t number)
{
	_Alignas(8) uint8_t frame[256];
	struct native_reply reply = { 0 };
	struct native_writer writer;

	native_begin(&writer, frame, sizeof(frame));
	assert_true(native_add_open(&writer, number));
	raw_send(fd, &writer, NATIVE_OPEN, 0);
	(void)raw_receive(fd, &reply);
	assert_int_equal(reply.what, NATIVE_WHAT_OPEN);
	assert_int_equal(reply.id, number);
	return reply;
}

static void
await(const _Atomic uint32_t *value, uint32_t want)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (uint32_t i = 0; i < WAIT_SECONDS * 1000 && *value != want; i++)
		nanosleep(&pause, NULL);
	assert_int_equal(*value, want);
}

/* ---- tests ---- */

static struct tern_client *
client_of(const struct node *node, uint32_t deadline_ms)
{
	struct tern_options options = {
		.deadline_ms = deadline_ms != 0 ? deadline_ms : WAIT_SECONDS * 1000u,
		.retry_min_ms = 10,
	};
	struct tern_client *client;
	char address[32], why[128] = "";

	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", endpoint_port(node->endpoint));
	options.addresses = address;
	if (tern_open(&options, &client, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	return client;
}

static void
test_library(void **context)
{
	static char large[LARGE_BYTES], back[LARGE_BYTES];
	struct tern_result result;
	struct node node;
	const int64_t floor = 0;
	(void)context;

	node_start(&node);
	struct tern_client *client = client_of(&node, 0);
	assert_int_equal(tern_add(client, "n", 1, 5, NULL, NULL, &result), 0);
	assert_int_equal(result.status, TERN_DONE);
	assert_int_equal(result.integer, 5);
	assert_int_equal(tern_add(client, "n", 1, -6, &floor, NULL, &result), 0);
	assert_int_equal(result.status, TERN_REFUSED);
	assert_int_equal(result.reason, TERN_REASON_BOUND);
	assert_int_equal(tern_get(client, "n", 1, back, sizeof(back), &result), 0);
	assert_true(result.is_found && result.has_integer && result.integer == 5);
	assert_int_equal(result.value_bytes, 1);
	assert_memory_equal(back, "5", 1);
	memset(large, 'x', sizeof(large));
	assert_int_equal(tern_set(client, "l", 1, large, sizeof(large), &result), 0);
	assert_int_equal(result.status, TERN_DONE);
	assert_int_equal(tern_get(client, "l", 1, back, sizeof(back), &result), 0);
	assert_int_equal(result.value_bytes, sizeof(large));
	assert_memory_equal(back, large, sizeof(large));
	assert_int_equal(tern_delete(client, "l", 1, &result), 0);
	assert_int_equal(result.integer, 1);
	assert_int_equal(tern_get(client, "l", 1, NULL, 0, &result), 0);
	assert_false(result.is_found);
	tern_close(client);
	node_stop(&node);
}

/* Never repeats anything, however late the answer is: nothing is lost between a node and a client
 * of one machine. */
static struct tern_client *
patient_client_of(const struct node *node, enum tern_class class_)
{
	struct tern_options options = { .class_ = class_,
					.deadline_ms = WAIT_SECONDS * 1000u,
					.retry_min_ms = WAIT_SECONDS * 1000u,
					.retry_max_ms = WAIT_SECONDS * 1000u };
	struct tern_client *client;
	char address[32];

	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", endpoint_port(node->endpoint));
	options.addresses = address;
	assert_int_equal(tern_open(&options, &client, NULL, 0), 0);
	return client;
}

/* What was answered in class memory, and is not durable yet, is shown to reads of that class. */
static void
test_class_memory(void **context)
{
	struct tern_request add = { .op = TERN_ADD, .key = "n", .key_bytes = 1, .delta = 1 };
	struct tern_request get = { .op = TERN_GET, .key = "n", .key_bytes = 1 };
	struct tern_result result;
	struct node node;
	(void)context;

	node_start(&node);
	struct tern_client *client = patient_client_of(&node, TERN_CLASS_DEFAULT);
	struct tern_client *other = patient_client_of(&node, TERN_CLASS_MEMORY);
	assert_int_equal(tern_run(client, &add, &result), 0);
	assert_int_equal(result.class_, TERN_CLASS_DURABLE);
	assert_int_equal(result.copies, 2);
	add.class_ = TERN_CLASS_MEMORY;
	assert_int_equal(tern_run(client, &add, &result), 0);
	assert_int_equal(result.class_, TERN_CLASS_MEMORY);
	assert_int_equal(tern_run(client, &get, &result), 0);
	assert_int_equal(result.integer, 1);
	assert_int_equal(result.class_, TERN_CLASS_DURABLE);
	/* By the request, and by the client that asks. */
	get.class_ = TERN_CLASS_MEMORY;
	assert_int_equal(tern_run(client, &get, &result), 0);
	assert_int_equal(result.integer, 2);
	assert_int_equal(result.class_, TERN_CLASS_MEMORY);
	assert_int_equal(tern_get(other, "n", 1, NULL, 0, &result), 0);
	assert_int_equal(result.integer, 2);
	/* A read point that names more than is published: the read waits for that. */
	node.is_read_point_early = true;
	assert_int_equal(tern_submit(other, &get), 0);
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(tern_poll(other, 1), 0);
	node.is_read_point_early = false;
	add.class_ = TERN_CLASS_DURABLE;
	assert_int_equal(tern_run(client, &add, &result), 0);
	while (tern_pending(other) != 0)
		assert_true(tern_poll(other, 1000) >= 0);
	tern_close(other);
	tern_close(client);
	node_stop(&node);
}

/* P11: a read point that was given by lease is used only while the lease still runs. */
static void
test_leases(void **context)
{
	struct tern_request add = { .op = TERN_ADD, .key = "n", .key_bytes = 1, .delta = 1 };
	struct tern_result result;
	struct node node;
	(void)context;

	node_start(&node);
	struct tern_client *client = client_of(&node, 0);
	assert_int_equal(tern_run(client, &add, &result), 0);
	node.is_leasing = true;
	status_lease_set(&node.cell, UINT64_MAX);
	assert_int_equal(tern_get(client, "n", 1, NULL, 0, &result), 0);
	assert_int_equal(result.integer, 1);
	assert_int_equal(node.leases, 1);
	assert_int_equal(node.reads, 1);
	/* Its end is past, or it was ended before its time: asked for again, without one. */
	for (uint64_t until_ns = 0; until_ns < 2; until_ns++) {
		status_lease_set(&node.cell, until_ns);
		assert_int_equal(tern_get(client, "n", 1, NULL, 0, &result), 0);
		assert_int_equal(result.integer, 1);
	}
	assert_int_equal(node.leases, 3);
	assert_int_equal(node.reads, 5);
	tern_close(client);
	node_stop(&node);
}

/* Accepted, where it stands, without a result; what needs one is refused. */
static void
test_class_async(void **context)
{
	const int64_t min = 0;
	struct tern_request add = {
		.op = TERN_ADD, .key = "n", .key_bytes = 1, .delta = 1, .class_ = TERN_CLASS_ASYNC
	};
	struct tern_request get = {
		.op = TERN_GET, .key = "n", .key_bytes = 1, .class_ = TERN_CLASS_ASYNC
	};
	struct tern_result result;
	struct node node;
	(void)context;

	node_start(&node);
	struct tern_client *client = patient_client_of(&node, TERN_CLASS_DEFAULT);
	assert_int_equal(tern_run(client, &add, &result), 0);
	assert_int_equal(result.status, TERN_ACCEPTED);
	assert_int_equal(result.class_, TERN_CLASS_ASYNC);
	assert_int_equal(result.term, 5);
	assert_int_equal(result.log_index, node.log_index);
	assert_int_equal(result.slot, 3);
	assert_int_equal(result.copies, 0);
	assert_false(result.has_integer);
	add.has_min = true;
	add.min = min;
	assert_int_equal(tern_run(client, &add, &result), 0);
	assert_int_equal(result.status, TERN_REFUSED);
	assert_int_equal(result.reason, TERN_REASON_CLASS);
	assert_int_equal(tern_submit(client, &get), -EINVAL);
	/* Numbers go on behind it. */
	add.class_ = TERN_CLASS_DURABLE;
	assert_int_equal(tern_run(client, &add, &result), 0);
	assert_int_equal(result.status, TERN_DONE);
	assert_string_equal(tern_status_text(TERN_ACCEPTED), "accepted");
	tern_close(client);
	node_stop(&node);
}

static void
count_done(void *context, const struct tern_result *result)
{
	uint32_t *done = context;

	*done += result->status == TERN_DONE;
}

/* More than the node takes at a time: it says BUSY, and in the end all are done. */
static void
test_more_than_fits(void **context)
{
	const struct tern_request add = { .op = TERN_ADD, .key = "n", .key_bytes = 1, .delta = 1 };
	const struct tern_request get = { .op = TERN_GET, .key = "n", .key_bytes = 1 };
	struct tern_result result;
	struct node node;
	uint32_t done = 0;
	(void)context;

	node_start(&node);
	struct tern_client *client = client_of(&node, 0);
	for (uint32_t i = 0; i < 2 * TERN_WINDOW; i++) {
		struct tern_request request = i % 2 == 0 ? add : get;
		request.done = count_done;
		request.context = &done;
		assert_int_equal(tern_submit(client, &request), 0);
	}
	const struct tern_request one_more = add;
	assert_int_equal(tern_submit(client, &one_more), -EAGAIN);
	while (tern_pending(client) != 0)
		assert_true(tern_poll(client, 1000) >= 0);
	assert_int_equal(done, 2 * TERN_WINDOW);
	assert_int_equal(tern_get(client, "n", 1, NULL, 0, &result), 0);
	assert_int_equal(result.integer, TERN_WINDOW);
	tern_close(client);
	node_stop(&node);
}

/* Until the front end has seen that the node does not serve. */
static void
await_no_master(const struct node *node)
{
	_Alignas(8) uint8_t frame[256];
	const int fd = raw_open(node);
	struct native_reply reply;
	struct native_hdr hdr;

	do {
		struct native_writer writer;
		native_begin(&writer, frame, sizeof(frame));
		raw_send(fd, &writer, NATIVE_WHO_IS_MASTER, CLUSTER_ID);
		hdr = raw_receive(fd, &reply);
	} while (hdr.master == 1);
	close(fd);
}

/* Adds until its deadline, which on a loaded machine may pass before the node is heard, or even
 * before anything is sent: then once more with twice the time. */
static void
add_unknown(struct tern_client *client, enum tern_reason want)
{
	struct tern_request add = {
		.op = TERN_ADD, .key = "n", .key_bytes = 1, .delta = 1, .deadline_ms = 100
	};
	struct tern_result result;

	do {
		assert_int_equal(tern_run(client, &add, &result), 0);
		add.deadline_ms *= 2;
	} while ((result.status != TERN_UNKNOWN || result.reason != want) &&
		 add.deadline_ms < WAIT_SECONDS * 1000u);
	assert_int_equal(result.status, TERN_UNKNOWN);
	assert_int_equal(result.reason, want);
}

static void
test_outcomes(void **context)
{
	static const uint32_t outcomes[] = { SUBMIT_REFUSED_NOT_MASTER, SUBMIT_REFUSED_LOG_FULL,
					     SUBMIT_REFUSED_BUSY, SUBMIT_UNKNOWN };
	struct tern_result result;
	struct node node;
	(void)context;

	node_start(&node);
	struct tern_client *client = client_of(&node, 0);
	assert_int_equal(tern_add(client, "n", 1, 1, NULL, NULL, &result), 0);
	assert_int_equal(result.integer, 1);
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		node.outcome = outcomes[i];
		add_unknown(client, outcomes[i] == SUBMIT_REFUSED_LOG_FULL ? TERN_REASON_LOG_FULL
									   : TERN_REASON_DEADLINE);
	}
	node.outcome = SUBMIT_REFUSED_TOO_LARGE;
	assert_int_equal(tern_add(client, "n", 1, 1, NULL, NULL, &result), 0);
	assert_int_equal(result.status, TERN_REFUSED);
	assert_int_equal(result.reason, TERN_REASON_TOO_LARGE);
	node.outcome = 0;
	publish_role(&node, false);
	await_no_master(&node);
	tern_close(client);
	/* A new client finds no master: nothing is sent, so nothing will be executed. */
	client = client_of(&node, 200);
	assert_int_equal(tern_add(client, "n", 1, 1, NULL, NULL, &result), 0);
	assert_int_equal(result.status, TERN_REFUSED);
	tern_close(client);
	publish_role(&node, true);
	client = client_of(&node, 0);
	assert_int_equal(tern_add(client, "m", 1, 1, NULL, NULL, &result), 0);
	assert_int_equal(result.integer, 1);
	tern_close(client);
	node_stop(&node);
}

static void
test_datagrams(void **context)
{
	_Alignas(8) uint8_t frame[256];
	struct native_reply reply = { 0 };
	struct native_writer writer;
	struct endpoint_stats stats;
	struct node node;
	(void)context;

	node_start(&node);
	const int fd = raw_open(&node);
	/* Garbage and another cluster's: no answer, counted. */
	assert_int_equal(send(fd, "hello", 5, 0), 5);
	native_begin(&writer, frame, sizeof(frame));
	raw_send(fd, &writer, NATIVE_WHO_IS_MASTER, CLUSTER_ID + 1);
	native_begin(&writer, frame, sizeof(frame));
	raw_send(fd, &writer, NATIVE_WHO_IS_MASTER, 0);
	const struct native_hdr hdr = raw_receive(fd, &reply);
	assert_int_equal(hdr.kind, NATIVE_MASTER);
	assert_int_equal(hdr.master, 1);
	assert_int_equal(hdr.item_count, 1);
	endpoint_stats(node.endpoint, &stats);
	assert_int_equal(stats.malformed, 1);
	assert_int_equal(stats.foreign, 1);
	/* Outside a session, and with a flag that is not offered. */
	raw_add(fd, 0, 0, 0);
	(void)raw_receive(fd, &reply);
	assert_int_equal(reply.outcome, NATIVE_MALFORMED);
	raw_add(fd, 1, 1, 1 << 4);
	(void)raw_receive(fd, &reply);
	assert_int_equal(reply.outcome, NATIVE_MALFORMED);
	assert_int_equal(node.writes, 0);
	/* An opening that is repeated is one session. */
	const uint64_t id = (uint64_t)raw_session(fd, 7).reply.value;
	assert_int_equal(raw_session(fd, 7).reply.value, id);
	assert_int_equal(node.writes, 1);
	assert_int_not_equal(raw_session(fd, 8).reply.value, id);
	/* A write that is repeated while it is in flight is submitted once; afterwards it is
	 * answered from the session. */
	node.is_held = true;
	raw_add(fd, id, 1, 0);
	raw_add(fd, id, 1, 0);
	raw_add(fd, id, 2, 0);
	await(&node.held_count, 2);
	node.is_held = false;
	raw_await_reply(fd, 1, &reply);
	assert_int_equal(reply.reply.value, 1);
	assert_false(reply.reply.is_repeat);
	raw_add(fd, id, 1, 0);
	raw_await_reply(fd, 1, &reply);
	assert_true(reply.reply.is_repeat);
	endpoint_stats(node.endpoint, &stats);
	assert_int_equal(stats.duplicates, 2); /* an opening, a write */
	close(fd);
	node_stop(&node);
}

static struct tern_result
read_for(struct tern_client *client, enum tern_reads reads, uint64_t position, uint32_t deadline_ms)
{
	const struct tern_request get = { .op = TERN_GET,
					  .key = "n",
					  .key_bytes = 1,
					  .deadline_ms = deadline_ms,
					  .reads = reads,
					  .position = position,
					  .stale_ms_max = 5000,
					  .node = reads == TERN_READS_SNAPSHOT && position != 0 };
	struct tern_result result;

	assert_int_equal(tern_read(client, &get, NULL, 0, &result), 0);
	return result;
}

static struct tern_result
read_at(struct tern_client *client, enum tern_reads reads, uint64_t position)
{
	const struct tern_result result = read_for(client, reads, position, WAIT_SECONDS * 1000u);

	assert_int_equal(result.status, TERN_DONE);
	return result;
}

/* Until it is refused as it must be: the front end may not know yet what the node is now, and on a
 * loaded machine a deadline may pass before the node is heard. */
static struct tern_result
read_refused(struct tern_client *client, enum tern_reads reads, uint64_t position,
	     enum tern_reason want)
{
	struct tern_result result;
	uint32_t deadline_ms = 100;

	do {
		result = read_for(client, reads, position, deadline_ms);
		deadline_ms *= 2;
	} while ((result.status != TERN_REFUSED || result.reason != want) &&
		 deadline_ms < WAIT_SECONDS * 1000u);
	assert_int_equal(result.status, TERN_REFUSED);
	assert_int_equal(result.reason, want);
	return result;
}

/* A replica answers from what it has; the lcore hears of none of it. */
static void
test_replica_reads(void **context)
{
	struct tern_request add = { .op = TERN_ADD, .key = "n", .key_bytes = 1, .delta = 1 };
	struct endpoint_stats stats;
	struct tern_result result;
	struct node node;
	(void)context;

	node_start(&node);
	struct tern_client *writer = client_of(&node, 0), *client = client_of(&node, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(tern_run(writer, &add, &result), 0);
	const uint64_t position = tern_position(writer);
	assert_int_equal(position, result.log_index);
	publish_replica(&node, 2000000000);
	do {
		result = read_at(client, TERN_READS_SESSION, position);
	} while (result.age_us_max == UINT64_MAX);
	assert_int_equal(result.integer, 3);
	assert_int_equal(result.log_index, position);
	assert_int_equal(result.node, 1);
	assert_true(result.age_us_max >= 2000000);
	assert_int_equal(tern_position(client), position);
	result = read_refused(client, TERN_READS_SESSION, position + 1, TERN_REASON_POSITION);
	assert_int_equal(result.log_index, position);
	result = read_at(client, TERN_READS_DIRTY, 0);
	assert_int_equal(result.integer, 3);
	assert_int_equal(result.class_, TERN_CLASS_MEMORY);
	/* How old it may be is told by the heartbeats; without them it is not known. */
	publish_replica(&node, 1000000);
	result = read_at(client, TERN_READS_STALE, 0);
	assert_int_equal(result.integer, 3);
	assert_in_range(result.age_us_max, 1000, 5000000);
	publish_replica(&node, 60000000000ull);
	result = read_refused(client, TERN_READS_STALE, 0, TERN_REASON_STALE);
	assert_true(result.age_us_max >= 60000000u && result.age_us_max != UINT64_MAX);
	publish_role(&node, false);
	do {
		result = read_refused(client, TERN_READS_STALE, 0, TERN_REASON_STALE);
	} while (result.age_us_max != UINT64_MAX);
	assert_int_equal(node.reads, 0);
	endpoint_stats(node.endpoint, &stats);
	assert_true(stats.local_reads >= 6);
	/* The master makes sure. */
	publish_role(&node, true);
	while (node.reads == 0)
		result = read_at(client, TERN_READS_STALE, 0);
	assert_int_equal(result.integer, 3);
	assert_int_equal(result.age_us_max, 0);
	tern_close(client);
	tern_close(writer);
	node_stop(&node);
}

/* A session read waits for its position; one of class memory for what is not durable yet. */
static void
test_session_waits(void **context)
{
	struct tern_request add = { .op = TERN_ADD, .key = "n", .key_bytes = 1, .delta = 1 };
	struct tern_request get = {
		.op = TERN_GET, .key = "n", .key_bytes = 1, .reads = TERN_READS_SESSION
	};
	struct tern_result result;
	struct node node;
	uint32_t done = 0;
	(void)context;

	node_start(&node);
	struct tern_client *writer = client_of(&node, 0), *client = client_of(&node, 0);
	assert_int_equal(tern_run(writer, &add, &result), 0);
	get.position = result.log_index + 1;
	get.done = count_done;
	get.context = &done;
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(tern_submit(client, &get), 0);
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(tern_poll(client, 1), 0);
	/* Published, and not committed. */
	add.class_ = TERN_CLASS_MEMORY;
	assert_int_equal(tern_run(writer, &add, &result), 0);
	assert_int_equal(result.log_index, get.position);
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(tern_poll(client, 1), 0);
	get.class_ = TERN_CLASS_MEMORY;
	assert_int_equal(tern_read(client, &get, NULL, 0, &result), 0);
	assert_int_equal(result.integer, 2);
	assert_int_equal(result.class_, TERN_CLASS_MEMORY);
	assert_int_equal(done, 0);
	add.class_ = TERN_CLASS_DURABLE;
	assert_int_equal(tern_run(writer, &add, &result), 0);
	while (tern_pending(client) != 0)
		assert_true(tern_poll(client, 1000) >= 0);
	assert_int_equal(done, 20);
	assert_int_equal(node.reads, 0);
	tern_close(client);
	tern_close(writer);
	node_stop(&node);
}

/* Places to wait in are few: who asks for a long wait is told where the node is, and asks again. */
static void
test_waits_are_short(void **context)
{
	struct native_reply reply = { 0 };
	struct node node;
	(void)context;

	node_start(&node);
	const int fd = raw_open(&node);
	for (uint64_t id = 1; id <= 2; id++) {
		raw_read(fd, id, id == 1 ? NATIVE_READS_SESSION : NATIVE_READS_SNAPSHOT, 1000,
			 UINT32_MAX);
		raw_await_reply(fd, id, &reply);
		assert_int_equal(reply.outcome, NATIVE_POSITION);
	}
	close(fd);
	node_stop(&node);
}

/* What this node has may be of a branch that was given up, however high its positions are: no read
 * is answered from it, those that wait already included, and no opening of then. */
static void
test_left_out(void **context)
{
	struct native_reply reply = { 0 };
	struct node node;
	(void)context;

	node_start(&node);
	const int fd = raw_open(&node);
	const uint64_t session = (uint64_t)raw_session(fd, 7).reply.value;
	raw_add(fd, session, 1, 0);
	raw_await_reply(fd, 1, &reply);
	const uint64_t position = reply.log_index;
	raw_read(fd, 101, NATIVE_READS_SESSION, position + 1, 1000);
	publish_superseded(&node);
	await_no_master(&node);
	raw_await_reply(fd, 101, &reply);
	assert_true(reply.outcome == NATIVE_NOT_MASTER || reply.outcome == NATIVE_POSITION);
	for (uint32_t reads = NATIVE_READS_SESSION; reads <= NATIVE_READS_DIRTY; reads++) {
		const bool has_position =
		    reads == NATIVE_READS_SESSION || reads == NATIVE_READS_SNAPSHOT;
		raw_read(fd, 200 + reads, (enum native_reads)reads, has_position ? position : 0,
			 reads != NATIVE_READS_DIRTY);
		raw_await_reply(fd, 200 + reads, &reply);
		assert_int_equal(reply.outcome, NATIVE_NOT_MASTER);
		assert_int_equal(reply.log_index, 0);
	}
	assert_int_equal(raw_session(fd, 7).outcome, NATIVE_NOT_MASTER);
	/* libtern goes on asking: it knows no other node. */
	struct tern_client *client = client_of(&node, 0);
	(void)read_refused(client, TERN_READS_SESSION, position, TERN_REASON_DEADLINE);
	assert_int_equal(tern_position(client), 0);
	tern_close(client);
	close(fd);
	node_stop(&node);
}

/* A snapshot stays what it was while everything is written over; there are only so many; and one
 * that nobody keeps is gone. */
static void
test_snapshots(void **context)
{
	struct tern_request add = { .op = TERN_ADD, .key = "n", .key_bytes = 1, .delta = 1 };
	uint64_t positions[STATE_HOLDS_MAX];
	struct tern_result result;
	struct node node;
	(void)context;

	node_start(&node);
	struct tern_client *client = client_of(&node, 0);
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		assert_int_equal(tern_run(client, &add, &result), 0);
		const uint64_t newest = result.log_index;
		result = read_at(client, TERN_READS_SNAPSHOT, 0);
		assert_int_equal(result.integer, i + 1);
		assert_int_equal(result.log_index, newest);
		/* Two at one position are one. */
		assert_int_equal(read_at(client, TERN_READS_SNAPSHOT, 0).log_index, newest);
		positions[i] = newest;
	}
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(tern_run(client, &add, &result), 0);
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		result = read_at(client, TERN_READS_SNAPSHOT, positions[i]);
		assert_int_equal(result.integer, i + 1);
		assert_int_equal(result.log_index, positions[i]);
		assert_true(result.age_us_max == UINT64_MAX);
	}
	(void)read_refused(client, TERN_READS_SNAPSHOT, 0, TERN_REASON_DEADLINE);
	(void)read_refused(client, TERN_READS_SNAPSHOT, positions[0] + 1000, TERN_REASON_DEADLINE);
	tern_close(client);
	node_stop(&node);
	/* Idle for long enough, it is given back. */
	node_start_idle(&node, 1);
	client = client_of(&node, 0);
	assert_int_equal(tern_run(client, &add, &result), 0);
	positions[0] = read_at(client, TERN_READS_SNAPSHOT, 0).log_index;
	assert_int_equal(positions[0], result.log_index);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(tern_run(client, &add, &result), 0);
	(void)read_refused(client, TERN_READS_SNAPSHOT, positions[0], TERN_REASON_SNAPSHOT);
	(void)read_refused(client, TERN_READS_SNAPSHOT, result.log_index + 1, TERN_REASON_POSITION);
	tern_close(client);
	node_stop(&node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_library),         cmocka_unit_test(test_class_memory),
		cmocka_unit_test(test_class_async),     cmocka_unit_test(test_more_than_fits),
		cmocka_unit_test(test_outcomes),        cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_replica_reads),   cmocka_unit_test(test_session_waits),
		cmocka_unit_test(test_snapshots),       cmocka_unit_test(test_leases),
		cmocka_unit_test(test_waits_are_short), cmocka_unit_test(test_left_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
