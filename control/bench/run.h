/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tern bench run`: a RESP load from one thread over many connections.
 *
 * Closed loop: every connection keeps `pipeline` requests outstanding. Open loop (rate != 0):
 * request i is meant to be sent at start + i / rate; its latency counts from then, also when no
 * connection had room, so a server that stalls cannot hide the requests it kept from being sent.
 *
 * A connection that breaks or is refused (-READONLY, -MOVED, -LOADING and their like) goes to the
 * next address, or to the one that -MOVED names. Reads that any node answers, without writes among
 * them, go to all addresses. A request whose connection broke has an unknown
 * outcome, and is never sent again. Owner: the calling thread.
 *
 * Latencies flatter nobody who fails: a request whose outcome is unknown, or that was due and never
 * sent, counts with the time that it had waited when it was given up, which is less than it would
 * have taken. Refused ones are counted apart. Throughput is that of the whole duration.
 */
#ifndef TERN_BENCH_RUN_H
#define TERN_BENCH_RUN_H

#include <netinet/in.h>

#include "control/bench/bench.h"

#define BENCH_ADDRESSES_MAX   8u
#define BENCH_CONNECTIONS_MAX 1024u
#define BENCH_PIPELINE_MAX    1024u
#define BENCH_VALUE_BYTES_MAX 65536u
#define BENCH_KEYS_MAX        (1ull << 40)
#define BENCH_RATE_MAX        10000000ull
#define BENCH_PREFIX_BYTES    40u
#define BENCH_ERRORS_MAX      8u
#define BENCH_UNIQUE_BYTES    16u /* of a value: hexadecimal, unique in one run */

enum bench_kind { BENCH_SET = 0, BENCH_GET, BENCH_INCR, BENCH_KIND_COUNT };
extern const char *const bench_kind_names[BENCH_KIND_COUNT];

/* What a GET is answered from: modes of TERN.READ. Positions of sessions are those of each
 * connection; snapshots are shared by the connections to a node. */
enum bench_reads {
	BENCH_READS_LINEARIZABLE = 0,
	BENCH_READS_SESSION,
	BENCH_READS_STALE,
	BENCH_READS_SNAPSHOT,
	BENCH_READS_DIRTY,
	BENCH_READS_COUNT,
};
extern const char *const bench_reads_names[BENCH_READS_COUNT];

struct bench_run_config {
	struct sockaddr_storage addresses[BENCH_ADDRESSES_MAX];
	uint32_t address_count;
	uint64_t rate; /* requests/s; 0: closed loop */
	uint32_t connections, pipeline;
	uint32_t weights[BENCH_KIND_COUNT]; /* not all 0 */
	enum bench_reads reads;
	uint32_t stale_ms_max; /* STALE */
	uint64_t keys;         /* SET and INCR each have so many of their own */
	uint32_t value_bytes;
	uint64_t duration_ns;
	char prefix[BENCH_PREFIX_BYTES]; /* of every key */
	const char *history;             /* a new file; NULL: none */
	uint64_t seed;
};

struct bench_error_count {
	char code[24]; /* the error's first word */
	uint64_t count;
};

struct bench_run_result {
	/* Of what was answered, and, as lower bounds, of what never was.
	 * service: from the real send, differs in open loop. */
	struct histogram all, service;
	struct histogram kinds[BENCH_KIND_COUNT];
	uint64_t sent, ok, fail, unknown, unsent;
	uint64_t connects;
	uint64_t gap_max_ns; /* the longest time without a good reply */
	uint64_t elapsed_ns; /* from the start to the end, or to the last reply if that is later */
	struct bench_error_count errors[BENCH_ERRORS_MAX];
};

/* "127.0.0.1:7001" or "[::1]:7001". All other bytes of @address are 0. */
bool bench_parse_address(const char *text, struct sockaddr_storage *address);
/* "set=9,get=1": weights of the kinds named, others 0. False: not like that, or all are 0. */
bool bench_parse_mix(const char *text, uint32_t weights[BENCH_KIND_COUNT]);

/* "linearizable", "stale:100" and their like. False: nothing like that. */
bool bench_parse_reads(const char *text, struct bench_run_config *config);

/* Runs the load. False: nothing could be measured; @text says why. */
bool bench_run(const struct bench_run_config *config, struct bench_run_result *result, char *text,
	       size_t text_bytes);
/* The report of a run, without what the cluster says of itself. */
json_t *
bench_run_report(const struct bench_run_config *config, const struct bench_run_result *result);

/* ---- one RESP reply ---- */

struct bench_reply {
	char kind;        /* '+', '-', ':', '$'; '_': nil */
	const char *text; /* + and -: the line; $: the bytes. Borrowed */
	size_t bytes;
	int64_t integer;
};
/* Bytes of the first reply in @data; 0: not whole yet; -1: not RESP of the kinds above. */
int64_t bench_reply_parse(const char *data, size_t bytes, struct bench_reply *reply);

#endif
