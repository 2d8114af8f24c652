/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol of libtern without socket and clock: requests and datagrams in, datagrams and
 * results out.
 *
 * Invariants: low <= next_seq; a write's number is in [low, next_seq); numbers are never used twice
 * within a session. A write is sent again under its number until a node answers DONE or its
 * deadline passes: no refusal but a deterministic one ends it, for an earlier copy may still be on
 * its way. Only a node's own word makes it the master: every claim carries its term, and the
 * highest wins. Reads other than linearizable ones go to a node of their own choice, and the next
 * one when it does not answer.
 *
 * Owner: whoever owns the client. Memory is the caller's; sending is a call back to the owner.
 */
#ifndef TERN_CLIENT_ENGINE_H
#define TERN_CLIENT_ENGINE_H

#include "dataplane/base/prng.h"
#include "dataplane/client/tern.h"
#include "dataplane/wire/native.h"

#define ENGINE_NODES_MAX  16u
#define ENGINE_CALLS      (2u * TERN_WINDOW) /* writes, then reads */
#define ENGINE_CALL_BYTES NATIVE_FRAME_BYTES_MAX
#define ENGINE_NONE       UINT32_MAX
static_assert(TERN_REQUEST_BYTES_MAX <= NATIVE_BODY_BYTES_MAX, "a request fits a frame");
static_assert(TERN_KEY_BYTES_MAX == COMMAND_KEY_BYTES_MAX, "as in the log");

enum call_state { CALL_FREE = 0, CALL_OPEN, CALL_DONE };

struct call {
	enum call_state state;
	bool is_read;
	enum tern_reason late_reason; /* of its end by the deadline: what was last heard of it */
	bool is_memory;               /* is_read: of class memory */
	/* is_read: any but linearizable ones, at the node of that index; ENGINE_NONE: to be chosen.
	 * node_wanted: by id; 0: any. */
	bool is_local;
	enum native_reads reads;
	uint16_t node_wanted;
	uint32_t node, stale_ms_max;
	uint64_t position;
	bool is_async;
	bool is_command;    /* by engine_submit_command */
	struct reply reply; /* is_command; kind 0: none came */
	uint64_t id;        /* seq, or the read's number */
	uint64_t deadline_ns, send_ns;
	uint32_t tries, backoff; /* datagrams; and those since the master was found */
	uint32_t bytes;          /* of the command or the key, later of the value */
	uint8_t *memory;         /* ENGINE_CALL_BYTES */
	tern_callback *done;
	void *context;
	struct tern_result result;
	struct call *next_done;
};

struct engine_node {
	struct inet_addr ip;
	uint16_t port, node_id; /* node_id 0: not known yet */
};

struct engine {
	/* Set by the owner before engine_init. */
	struct engine_node nodes[ENGINE_NODES_MAX];
	uint32_t node_count;
	uint64_t deadline_ns, retry_min_ns, retry_max_ns, seed;
	enum tern_class class_; /* of requests that name none */
	uint8_t *memory;        /* ENGINE_CALLS times ENGINE_CALL_BYTES */
	void (*send)(void *context, const struct engine_node *node, const uint8_t *frame,
		     uint32_t bytes);
	void *context;

	/* Inside. */
	struct prng prng;
	uint64_t cluster_id, token;
	uint32_t master; /* index; ENGINE_NONE: searched for */
	uint64_t master_term, heard_ns, probe_ns, probe_gap_ns;
	uint64_t client_id, open_number; /* 0: no session; 0: none is being opened */
	uint64_t open_send_ns, open_backoff, used_ns;
	uint64_t low, next_seq, next_read;
	uint32_t open_count, pending_count, local_count; /* local_count: of the open ones */
	/* Where local reads go that name no node, and since when; ENGINE_NONE: to be chosen. */
	uint32_t reader;
	uint64_t reader_ns, seen_index; /* seen_index: highest position written or read */
	bool is_node_unknown;           /* a local read waits for a node to be learnt */
	uint64_t due_ns;                /* nothing has to be done before */
	struct call calls[ENGINE_CALLS];
	struct call *done_first, *done_last;
	struct tern_stats stats;
	_Alignas(8) uint8_t frame[NATIVE_FRAME_BYTES_MAX];
};

void engine_init(struct engine *engine);
/* 0, -EAGAIN, -EINVAL, -EMSGSIZE as tern_submit. */
int engine_submit(struct engine *engine, const struct tern_request *request, uint64_t now_ns);
/* The same for an encoded command, see forward.h. */
int engine_submit_command(struct engine *engine, const uint8_t *command, uint32_t bytes,
			  tern_callback *done, void *context, uint64_t now_ns);
/* A datagram from that address. Anything may be in it. */
void engine_receive(struct engine *engine, const struct inet_addr *ip, uint16_t port,
		    const uint8_t *frame, uint32_t bytes, uint64_t now_ns);
/* Sends what is due and ends what is late. */
void engine_turn(struct engine *engine, uint64_t now_ns);
/* When the next engine_turn is needed; UINT64_MAX: not before a request or a datagram. */
uint64_t engine_due_ns(const struct engine *engine);
/* The oldest finished call, or NULL; engine_give when its result has been used. */
struct call *engine_take(struct engine *engine);
void engine_give(struct engine *engine, struct call *call);
/* Tells the master, in one datagram, that the session is over. */
void engine_close_session(struct engine *engine);

/* encode.c: the command or key of @request into @call. */
int engine_encode(struct call *call, const struct tern_request *request);

/* search.c: who is master */
void engine_lose_master(struct engine *engine, uint64_t now_ns);
void engine_heard_master(struct engine *engine, uint32_t node, const uint8_t *frame,
			 const struct native_hdr *hdr, uint64_t now_ns);
void engine_probe(struct engine *engine, uint64_t now_ns);
void engine_emit(struct engine *engine, uint32_t node, struct native_writer *writer,
		 enum native_kind kind);

/* local.c: reads that go to any node */
/* Takes what @request says of its reads. 0, -EINVAL. */
int
engine_local_begin(struct engine *engine, struct call *call, const struct tern_request *request);
/* Chooses nodes for those that are due; a mask of the nodes to send to. */
uint32_t engine_aim(struct engine *engine, uint64_t now_ns);
/* Of what does not end a call wherever it is asked. */
void engine_local_refused(struct engine *engine, struct call *call,
			  const struct native_reply *reply, uint64_t now_ns);

/* call.c: how a call ends, and the pause before it is sent again */
/* @call, which is open, waits for engine_take with this result. */
void engine_finish(struct engine *engine, struct call *call, enum tern_status status,
		   enum tern_reason reason);
/* Pause before a request is sent again, the longer the more often that was. */
uint64_t engine_pause_ns(struct engine *engine, uint32_t tries);

/* result.c: what a reply means */
void engine_answered(struct engine *engine, uint32_t node, const struct native_reply *reply,
		     bool is_from_master, uint64_t now_ns);

#endif
