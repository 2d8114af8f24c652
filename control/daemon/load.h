/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load that is made inside a master, for `tern bench replicate`: commands under sessions, handed to
 * the runtime through a submit channel as the gateway does, and measured when they are answered. No
 * sockets, no RESP: what is left is replication itself.
 *
 * It runs on the data thread, between two turns of the runtime: on a machine with as many CPUs as
 * data nodes a thread of its own would measure the scheduler. What making the load costs is counted
 * apart (`cycles`).
 *
 * Keys are walked by a fixed step through a power of two, on from run to run, so every key is
 * written before any is written again. One load at a time. Owners: `phase` says whose the rest is:
 * the admin thread's while it is NONE or DONE, the data thread's otherwise.
 */
#ifndef TERN_DAEMON_LOAD_H
#define TERN_DAEMON_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>

#include <jansson.h>

#include "dataplane/base/err.h"
#include "dataplane/base/histogram.h"
#include "dataplane/runtime/submit.h"

#define LOAD_IN_FLIGHT_MAX     16384u
#define LOAD_COMMAND_BYTES_MIN 64u
#define LOAD_COMMAND_BYTES_MAX 65536u
#define LOAD_KEYS_MAX          (1ull << 32)
#define LOAD_DURATION_MS_MAX   600000u
#define LOAD_OUTCOMES          (SUBMIT_UNKNOWN + 1u)

struct load_config {
	uint32_t command_bytes;  /* of the whole encoded command; a multiple of 8 */
	uint32_t block_commands; /* a block closes after so many; 0: when it is full */
	uint32_t in_flight;      /* commands handed over and not answered */
	uint64_t duration_ns;    /* 0: until every key was written once */
	uint64_t keys;           /* a power of two */
	enum command_class class_;
};

struct load_result {
	uint64_t outcomes[LOAD_OUTCOMES]; /* of the measured commands, by enum submit_outcome */
	uint64_t sessions;    /* opened and closed: two more commands each that the log counts */
	uint64_t bad_replies; /* executed, but not with OK: over capacity */
	uint64_t durable;     /* answered in class durable */
	uint64_t elapsed_ns, blocks, first_index, last_index;
	uint64_t first_term, last_term;
	uint64_t cycles; /* that making and counting the load took, from first to last command */
	uint32_t copies_min;
	bool is_sessionless;         /* a session could not be opened: nothing was measured */
	struct histogram latency;    /* from hand-over to answer */
	struct histogram block_size; /* commands in a block */
};

struct load_flight {
	uint64_t submitted_ns;
	uint32_t session, next_free;
};

struct load_session {
	uint64_t client_id, next_seq, answered;
};

#define LOAD_SESSIONS_MAX 128u /* each with at most 128 open commands: half a session's window */

enum load_phase {
	LOAD_NONE = 0,
	LOAD_OPENS,  /* sessions, one after another */
	LOAD_RUNS,   /* hands commands over */
	LOAD_DRAINS, /* waits for what is open */
	LOAD_CLOSES, /* sessions */
	LOAD_DONE,   /* the result was not yet asked for */
};

struct load {
	struct submit_channel channel;
	_Atomic int phase; /* enum load_phase */
	struct load_config config;
	struct load_result result;
	uint64_t key_step; /* keys walked ever */

	uint64_t begin_ns, until_ns, until_key;
	struct load_flight flights[LOAD_IN_FLIGHT_MAX];
	struct load_session sessions[LOAD_SESSIONS_MAX];
	uint32_t free_first, in_flight, session_count, session_next, in_block;
	uint32_t frame_left; /* commands that session_next hands over before it is another's turn */
	uint64_t block_index, block_commands; /* the block whose answers are being counted */
	bool is_asked;                        /* a session is being opened or closed */
	bool is_over;                         /* refused: hands nothing over any more */
	_Alignas(64) uint8_t command[LOAD_COMMAND_BYTES_MAX]; /* what differs is filled in */
};

/* Admin thread. Starts a load. BUSY: one runs, or its result was not asked for. CONFIG: out of
 * range. */
TERN_CHECKED enum tern_err load_start(struct load *load, const struct load_config *config);
/* Admin thread. {"running":true}, or the result, once; NULL: there is none. */
json_t *load_take_result(struct load *load);
/* Data thread, between two turns. True: it did something. */
bool load_turn(struct load *load);

#endif
