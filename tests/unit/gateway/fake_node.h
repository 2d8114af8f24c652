/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node for the tests of the gateway: the real state machine and the real gateway, and in place of
 * the lcore a thread that answers the channel as the test says. Keys choose outcomes: "!unknown",
 * "!full", "!busy", "!large" and "!malformed" at the start of a key of a write.
 */
#ifndef TERN_TESTS_GATEWAY_FAKE_NODE_H
#define TERN_TESTS_GATEWAY_FAKE_NODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/gateway/gateway.h"
#include "dataplane/base/prng.h"

#define FAKE_HELD_MAX 4096u

struct fake_node {
	/* Set before fake_start; zero takes a default. */
	uint32_t in_flight_max, connections_max, value_bytes_max, command_bytes_max;
	uint32_t output_bytes_max, request_ring_bytes;
	uint64_t stale_ns_max, snapshot_ns;
	const char *forward_addresses;
	uint32_t forward_deadline_ms;
	uint64_t buffers_bytes_max, shuffle_seed; /* != 0: completions come in random order */
	int listen_fd;                            /* 0: let the gateway make one */

	/* The test's, at any time. */
	_Atomic bool is_not_master; /* refuse everything with master_id */
	_Atomic uint16_t master_id;
	_Atomic bool is_held; /* keep completions until fake_release */
	_Atomic uint32_t held_count;
	_Atomic bool is_release_asked, is_publish_held;
	_Atomic uint64_t writes_taken, reads_taken;
	_Atomic bool is_leasing; /* read points are given by lease, where that will do */
	_Atomic uint64_t leases_given;
	_Atomic uint64_t time_ahead_ns; /* of the clock: blocks have that time */
	_Atomic uint64_t terms_later;   /* than 5, of blocks */

	struct gateway *gateway;
	uint16_t port;

	/* Inside. */
	struct state *state;
	void *arena, *requests_memory, *completions_memory;
	struct status_cell cell;
	struct submit_channel channel;
	struct wake lcore_wake;
	pthread_t lcore, grace;
	_Atomic bool is_stopping;
	struct submit_completion held[FAKE_HELD_MAX];
	uint64_t log_index, published_index, time_ns; /* published and committed */
	bool is_memory_tail; /* the newest writes are of class memory, and not committed yet */
	struct prng prng;
};

void fake_start(struct fake_node *node);
void fake_stop(struct fake_node *node);
/* As fake_start, for tests of refused configurations: the gateway's own answer. */
enum tern_err fake_try_start(struct fake_node *node, char *why, size_t why_bytes);
/* What INFO and ROLE say: a master of two copies, or a replica of node 2. */
void fake_publish_role(struct fake_node *node, bool is_master, uint16_t master_id);
/* A node that was left out of a later generation. */
void fake_publish_left_out(struct fake_node *node);
/* As fake_publish_role, with what is committed, and of which term that is. */
void fake_publish_commit(struct fake_node *node, bool is_master, uint16_t master_id,
			 uint64_t commit_term, uint64_t commit_index);
/* Waits until the lcore holds @count completions. */
void fake_await_held(struct fake_node *node, uint32_t count);
/* Gives back everything that is held, newest first, and goes on without holding. */
void fake_release(struct fake_node *node);

/* ---- a client: every wait is bounded, and a wait that ends is a failure ---- */

int client_open(const struct fake_node *node);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *data, size_t bytes);
/* The next bytes are exactly these. */
void client_expect(int fd, const char *text);
void client_expect_bytes(int fd, const void *data, size_t bytes);
/* Reads up to and including "\r\n" into @line, ended by 0. */
void client_read_line(int fd, char *line, size_t room);
/* Nothing comes for some rounds of the gateway. */
void client_expect_nothing(int fd);
/* The other side has closed, and sent nothing more. */
void client_expect_end(int fd);

#endif
