/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libtern: the native client of a Tern cluster.
 *
 * A client finds the master, follows it through failovers, and repeats what was lost under the same
 * sequence number, so that every write is executed at most once and every write that is answered
 * TERN_DONE exactly once. Many requests may be under way at a time (TERN_WINDOW writes and as many
 * reads); they complete in any order, and writes that are under way together may be executed in any
 * order: wait for one before submitting another that must come after it.
 *
 * Thread-compatible: one thread at a time uses a client; different clients are independent. The
 * library makes no threads, handles no signals, and takes all its memory in tern_open.
 *
 * Functions that return int: 0 or a count, or a negative errno:
 *	-EAGAIN    the window is full: tern_poll, then submit again
 *	-EINVAL    a request that can never be right (no key, a key over TERN_KEY_BYTES_MAX, ...)
 *	-EMSGSIZE  a request that does not fit a datagram (TERN_REQUEST_BYTES_MAX)
 *	-EDEADLK   a synchronous call, tern_poll or tern_close inside a callback
 */
#ifndef TERN_H
#define TERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TERN_API __attribute__((visibility("default")))
#else
#define TERN_API
#endif

#define TERN_WINDOW            256
#define TERN_KEY_BYTES_MAX     1024
#define TERN_REQUEST_BYTES_MAX 61400 /* encoded; a single key and value of about this size */

struct tern_client;

/* When a write is answered TERN_DONE. DURABLE: flushed on every copy that a commit counts. MEMORY:
 * received by them, so that it survives any one crash or cut; faster, and a weaker promise. With a
 * single copy left MEMORY waits for its flush. A read of class DURABLE shows what is durable, one
 * of class MEMORY all that was answered in either class: so who writes in class memory and reads
 * what it wrote reads in class memory as well.
 *
 * ASYNC, of writes only: answered TERN_ACCEPTED as soon as the master has given it a position in
 * its log, before anybody else holds it, and without a result: whether it will be executed is not
 * known, only that it will not be twice. Refused for a request that needs its result (bounds). */
enum tern_class { TERN_CLASS_DEFAULT = 0, TERN_CLASS_DURABLE, TERN_CLASS_MEMORY, TERN_CLASS_ASYNC };

struct tern_options {
	/* "host:port[,host:port...]": `client` addresses of data nodes, numeric; IPv6 in
	 * brackets. One is enough to begin with, as long as it answers. */
	const char *addresses;
	uint32_t deadline_ms;  /* of a request that names none; 0: 10 s */
	uint32_t retry_min_ms; /* before a request is sent again; 0: 50 ms, doubling up to */
	uint32_t retry_max_ms; /* 0: 500 ms */
	enum tern_class
	    class_; /* of a request that names none; default: durable. ASYNC: of writes */
};

/* Opens a socket; talks to nobody yet. On an error *client is NULL and @why (may be NULL) says what
 * is wrong: -EINVAL, -ENOMEM, or what the system said of the socket. */
TERN_API int tern_open(const struct tern_options *options, struct tern_client **client, char *why,
		       size_t why_bytes);
/* Requests under way are dropped without their callbacks: their outcome is not known. Closes the
 * session as well as one datagram can. NULL is allowed. */
TERN_API void tern_close(struct tern_client *client);

/* What a TERN_GET is answered from. LINEARIZABLE, the default, is answered by the master. The
 *others ask nobody: any data node answers them from what it has, whoever is master, also while none
 *is.
 *
 * SESSION: what is committed there, at or behind `position` and everything that this client has
 *	written and read. The node waits for that; so a client's reads never go back, on whichever
 *	node, and a position that another client has told (tern_position) is a token.
 * STALE: what is committed there, if it is at most stale_ms_max old; a master makes sure of it.
 * SNAPSHOT: exactly at `position`, which the node keeps for 10 s after the last read at it, 60 s at
 *	most. Position 0: the newest one; the result says which, and at which node it is kept.
 * DIRTY: the newest that the node has executed; it may be rolled back. */
enum tern_reads {
	TERN_READS_LINEARIZABLE = 0,
	TERN_READS_SESSION,
	TERN_READS_STALE,
	TERN_READS_SNAPSHOT,
	TERN_READS_DIRTY,
};

enum tern_op {
	TERN_GET = 1, /* key; see enum tern_reads; under the promise of its class */
	TERN_SET,     /* key, value */
	TERN_MSET,    /* pairs: all keys at one position */
	TERN_DELETE,  /* pairs: their keys; answers how many were there */
	TERN_ADD,     /* key, delta, bounds; answers the new value */
};

enum tern_status {
	TERN_DONE = 1, /* executed once, committed */
	TERN_REFUSED,  /* was not and will not be executed; reason says why */
	TERN_UNKNOWN,  /* not known: reason says why. Only after the request's own deadline, or when
			* the cluster has closed the session. */
	TERN_ACCEPTED, /* class ASYNC: it stands at (term, log_index, slot) of a master's log, and
			* is executed at or before that position if this part of the log commits */
};

enum tern_reason {
	TERN_REASON_NONE = 0,
	TERN_REASON_BOUND,       /* ADD: would leave min or max; integer is the value that stays */
	TERN_REASON_NOT_INTEGER, /* ADD: the key holds something else */
	TERN_REASON_OVERFLOW,    /* ADD: would leave 64 bits */
	TERN_REASON_OUT_OF_MEMORY, /* over the capacity of the cluster's state */
	TERN_REASON_TOO_LARGE,     /* over a limit of the cluster, or a value over a datagram */
	TERN_REASON_MALFORMED,     /* this cluster does not know such a request */
	TERN_REASON_REPEAT,        /* refused when it was executed; why is no longer kept */
	TERN_REASON_DEADLINE,      /* no answer in time */
	TERN_REASON_LOG_FULL,      /* no answer in time, the last one: the log is full */
	TERN_REASON_SESSION,  /* the cluster has closed the session; the next write opens one */
	TERN_REASON_CLASS,    /* this cluster cannot meet the class: durable, with volatile logs */
	TERN_REASON_POSITION, /* SESSION, SNAPSHOT: no node was as far in time; log_index says how
			       * far the last one was */
	TERN_REASON_SNAPSHOT, /* the node does not keep the position any more */
	TERN_REASON_STALE,    /* age_us_max says how old */
};

struct tern_result {
	enum tern_status status;
	enum tern_reason reason;
	bool is_found;    /* GET: there is such a key */
	bool has_integer; /* integer is set. A write that was answered late, after a failover, may
			   * be DONE without it: only the newest answers are kept. */
	int64_t integer;  /* ADD: the new value; DELETE: how many; GET of an integer; BOUND */
	const void
	    *value; /* GET: bytes, integers as decimal text; lent until the callback returns */
	uint32_t value_bytes;
	uint64_t log_index;     /* DONE: the position at or before which it is visible */
	enum tern_class class_; /* DONE, a write: what is met, at least what was asked for; a read:
				 * MEMORY if it may show what is not durable yet */
	uint32_t copies;        /* DONE, a write: nodes that hold it as class_ says; 0: not known */
	uint64_t term;          /* ACCEPTED */
	uint32_t slot;          /* ACCEPTED */
	uint16_t node;          /* DONE: the id of the node that has answered */
	/* DONE, a read: how old what was read was at most when it was answered; 0: linearizable,
	 * UINT64_MAX: not known. STALE. */
	uint64_t age_us_max;
};

/* Called from tern_poll and from synchronous calls, once for every request that tern_submit took.
 * May submit further requests. */
typedef void tern_callback(void *context, const struct tern_result *result);

struct tern_pair {
	const void *key, *value; /* DELETE: only the key */
	uint32_t key_bytes, value_bytes;
};

struct tern_request {
	enum tern_op op;
	const void *key, *value;
	uint32_t key_bytes, value_bytes;
	const struct tern_pair *pairs; /* MSET, DELETE */
	uint32_t pair_count;
	int64_t delta, min, max; /* ADD */
	bool has_min, has_max;
	uint32_t deadline_ms; /* from now; 0: the client's */
	tern_callback *done;  /* NULL: nobody wants to know */
	void *context;
	enum tern_class class_; /* of a read: SNAPSHOT is durable, DIRTY of no class */
	/* GET: */
	enum tern_reads reads;
	uint64_t position;     /* SESSION, SNAPSHOT */
	uint32_t stale_ms_max; /* STALE: at least 1 */
	/* Not LINEARIZABLE: the id of the node that is to answer; 0: any, one that is not master if
	 * it will do, another one when it does not. A SNAPSHOT at a position names its node. */
	uint16_t node;
};

/* Takes a copy of the request; it is sent by the next tern_poll. 0, -EAGAIN, -EINVAL, -EMSGSIZE. */
TERN_API int tern_submit(struct tern_client *client, const struct tern_request *request);
/* Sends, receives, and calls callbacks. Waits until a request has completed or @timeout_ms has
 * passed (0: does not wait, -1: no limit as long as requests are under way). Returns how many
 * completed. */
TERN_API int tern_poll(struct tern_client *client, int timeout_ms);
/* For an event loop of one's own: call tern_poll(client, 0) when the descriptor is readable, after
 * tern_submit, and when so many milliseconds have passed (-1: no need). */
TERN_API int tern_fd(const struct tern_client *client);
TERN_API int tern_wait_ms(const struct tern_client *client);
/* Requests taken whose callbacks have not been called. */
TERN_API uint32_t tern_pending(const struct tern_client *client);
/* The highest position that this client has written or, but for DIRTY, read; 0: none. A SESSION
 * read of another client that is given it sees all of that. A position in class memory or async may
 * be lost and be somebody else's then: the token promises order, the class how much survives. */
TERN_API uint64_t tern_position(const struct tern_client *client);

/* ---- one request at a time: submit, then poll until it is done ----
 *
 * 0, or what tern_submit returns; then *result says how it went. Callbacks of other requests may
 * be called meanwhile. */

TERN_API int tern_set(struct tern_client *client, const void *key, uint32_t key_bytes,
		      const void *value, uint32_t value_bytes, struct tern_result *result);
/* Copies up to @room bytes of the value to @value (result->value points to it); value_bytes says
 * how long the value is. */
TERN_API int tern_get(struct tern_client *client, const void *key, uint32_t key_bytes, void *value,
		      uint32_t room, struct tern_result *result);
/* The same for any TERN_GET. */
TERN_API int tern_read(struct tern_client *client, const struct tern_request *request, void *value,
		       uint32_t room, struct tern_result *result);
TERN_API int tern_delete(struct tern_client *client, const void *key, uint32_t key_bytes,
			 struct tern_result *result);
/* @min, @max: NULL for no bound. */
TERN_API int
tern_add(struct tern_client *client, const void *key, uint32_t key_bytes, int64_t delta,
	 const int64_t *min, const int64_t *max, struct tern_result *result);
/* Any request; its callback is not used. */
TERN_API int tern_run(struct tern_client *client, const struct tern_request *request,
		      struct tern_result *result);

/* Short lower-case texts for people, never NULL. */
TERN_API const char *tern_status_text(enum tern_status status);
TERN_API const char *tern_reason_text(enum tern_reason reason);

struct tern_stats {
	uint64_t frames_sent, frames_received, frames_dropped;
	uint64_t sends, resends; /* of requests */
	uint64_t masters;        /* changes of master that were followed */
	uint64_t sessions;
};
TERN_API void tern_stats(const struct tern_client *client, struct tern_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
