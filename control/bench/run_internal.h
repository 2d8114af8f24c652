/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TERN_BENCH_RUN_INTERNAL_H
#define TERN_BENCH_RUN_INTERNAL_H

#include <stdio.h>

#include "control/bench/run.h"
#include "dataplane/base/prng.h"

struct op {
	uint64_t intended_ns, call_ns; /* call_ns: before the bytes leave */
	uint64_t key, number;
	enum bench_kind kind;
	char key_kind; /* 's' or 'n' */
};

enum connection_state {
	CONNECTION_CLOSED = 0,
	CONNECTION_OPENING,
	CONNECTION_WAITING,  /* for the position that another one asks for */
	CONNECTION_CHOOSING, /* it was told what its reads are answered from */
	CONNECTION_OPEN,
	CONNECTION_LEAVING, /* was refused: what is outstanding is read, nothing more is sent */
};

struct connection {
	int fd; /* -1: none */
	enum connection_state state;
	uint32_t index, address;
	uint64_t since_ns, next_try_ns;
	uint64_t snapshot; /* the position that it reads at; 0: none, or its node's choice */
	struct op *ops;    /* a ring of config->pipeline */
	uint32_t op_first, op_count;
	char *out; /* room for a whole pipeline */
	size_t out_used, out_sent;
	char *in;
	size_t in_used;
	bool is_dirty, wants_out;
};

struct run {
	const struct bench_run_config *config;
	struct bench_run_result *result;
	struct sockaddr_storage addresses[BENCH_ADDRESSES_MAX];
	uint32_t address_count;
	struct prng prng;
	uint64_t weight_sum;
	uint64_t snapshots[BENCH_ADDRESSES_MAX]; /* positions; 0: none yet */
	/* Who asks for one: a node keeps few, so the others wait. NULL: nobody. */
	const struct connection *askers[BENCH_ADDRESSES_MAX];
	size_t in_bytes, out_bytes;
	int epoll_fd;
	FILE *history;
	uint64_t begin_ns, end_ns;
	uint64_t issued, due_total; /* open loop: requests given out, and of the whole run */
	uint64_t last_ok_ns, last_reply_ns;
	uint32_t outstanding, next_connection;
	struct connection *connections;
	struct connection **dirty;
	uint32_t dirty_count;
	char *value;
};

/* ---- run_op.c ---- */

/* The bytes that a request may take. */
size_t run_request_bytes(const struct bench_run_config *config);
/* Puts the next request into @connection, which has room for it. */
void
run_op_issue(struct run *run, struct connection *connection, uint64_t intended_ns, uint64_t now_ns);
/* The oldest request of @connection is answered. */
void run_op_answered(struct run *run, struct connection *connection,
		     const struct bench_reply *reply, uint64_t now_ns);
/* A refusal that was no request's. */
void run_count_error(struct bench_run_result *result, const struct bench_reply *reply);
/* The oldest request of @connection will never be answered. */
void run_op_lost(struct run *run, struct connection *connection, uint64_t now_ns);
/* @count requests, the last of them meant for @intended_ns, will never be sent. */
void run_op_unsent(struct run *run, uint64_t intended_ns, uint64_t count, uint64_t now_ns);

/* ---- run_reads.c ---- */

/* Where connection @index begins. */
uint32_t run_reads_address(const struct run *run, uint32_t index);
/* What @connection has to do before anything else, and becomes by that: WAITING, CHOOSING with the
 * request in its `out`, or OPEN. */
void run_reads_begin(struct run *run, struct connection *connection);
/* False: not by this node, not now. */
bool run_reads_answered(struct run *run, const struct connection *connection,
			const struct bench_reply *reply);
/* A read of @connection was refused. */
void run_reads_refused(struct run *run, const struct connection *connection,
		       const struct bench_reply *reply);
/* @connection will not be answered. */
void run_reads_lost(struct run *run, const struct connection *connection);

#endif
