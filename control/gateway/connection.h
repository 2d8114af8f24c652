/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client connection: its input, the queue of requests that wait for the lcore, its output.
 *
 * Invariants: slot_end - slot_first <= slots_capacity; replies leave in the order of the slots; the
 * queue is writes, then reads: a write that follows an unanswered read waits in the input, so a
 * read never sees a later write of its own connection. Requests that are neither read nor write
 * are answered when the queue is empty. A read is executed when it is the oldest in the queue, so
 * it sees every earlier write; until then its bytes stay in the input buffer.
 *
 * Owner: the gateway thread.
 */
#ifndef TERN_GATEWAY_CONNECTION_H
#define TERN_GATEWAY_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "control/gateway/multi.h"
#include "control/gateway/resp_parse.h"
#include "control/gateway/resp_write.h"
#include "control/gateway/subscribe.h"
#include "dataplane/runtime/submit.h"

#define CONNECTION_INPUT_BYTES    16384u /* first size; and room beyond the longest request */
#define CONNECTION_OUTPUT_BYTES   4096u  /* first size */
#define CONNECTION_SLOTS_MIN      16u
#define CONNECTION_SLOTS_MAX      1024u
#define CONNECTION_NAME_BYTES_MAX 64u
#define CONNECTION_LINGER_NS      1000000000ull

struct gateway;
struct gateway_command;

enum slot_kind { SLOT_WRITE = 1, SLOT_READ };

/* A request that was handed to the lcore, until its reply is written. */
struct slot {
	enum slot_kind kind;
	bool is_ready;   /* the lcore has answered: what follows is set */
	uint8_t outcome; /* enum submit_outcome */
	uint16_t master_id, copies;
	uint64_t term, log_index;
	uint32_t position_slot; /* ACCEPTED: with term and log_index, where it stands */
	uint64_t taken_ns;      /* READ, is_local */
	uint64_t stream_at;     /* READ: where its request begins in the input stream */
	const struct gateway_command *command;
	struct reply reply; /* WRITE; the bytes of its data are the slot's */
	bool is_silent;     /* CLIENT REPLY: its reply is not sent */
	bool is_exec;       /* its answer ends the connection's transaction */
	bool is_local;      /* READ: a replica answers it from what it has applied */
	bool is_forwarded;  /* WRITE: at another node */
	uint8_t class_;     /* enum command_class that was asked for */
};

enum connection_reply {
	CONNECTION_REPLY_ON = 0,
	CONNECTION_REPLY_OFF,
	CONNECTION_REPLY_SKIP, /* the next one only */
};

enum connection_end {
	CONNECTION_OPEN = 0,
	CONNECTION_DRAINING,  /* nothing more is understood or answered: flush, then linger */
	CONNECTION_LINGERING, /* our side is shut: wait until the client has read it all */
	CONNECTION_DEAD,      /* to be freed at the end of the round */
};

/* What TERN.READ chose. Bounded age is LINEARIZABLE with is_readonly. */
enum connection_reads {
	CONNECTION_READS_LINEARIZABLE = 0,
	CONNECTION_READS_SESSION,  /* of what this node has committed, at read_position or later */
	CONNECTION_READS_SNAPSHOT, /* at exactly the position of a hold */
	CONNECTION_READS_DIRTY,    /* the newest that this node has executed */
};

struct connection {
	struct gateway *gateway;
	int fd;
	uint32_t index, generation; /* in the gateway's table: together its name in tags */
	int64_t client_id;
	enum connection_end end;

	uint8_t *in;
	uint32_t in_capacity, in_used;
	uint64_t in_at;    /* stream position of in[0] */
	uint64_t parse_at; /* stream position of the first request not yet taken */
	struct resp_parser parser;
	bool needs_more; /* the request at parse_at is not whole */
	bool is_eof;     /* the client will send no more */

	struct resp_writer out;
	size_t out_sent;

	struct slot *slots;
	uint32_t slots_capacity; /* a power of two */
	uint64_t slot_first, slot_end;
	uint32_t reads_pending, forwards_pending;
	uint64_t reads_at; /* stream position of the oldest of them */

	uint32_t events;          /* what epoll watches */
	uint64_t asked_ns;        /* when its next request asked for the master; 0: nothing waits */
	bool is_dirty, is_parked; /* in the gateway's lists */
	struct connection *dirty_next, *parked_next, *dead_next;

	/* What its answered writes have come to, 0: none. done: the highest position of those that
	 * are committed; loose: of those that may be lost with their master (classes async and
	 * memory), in the latest of their terms; connection_forget_lost looks whether they are. */
	uint64_t done_index, loose_index, loose_term;
	uint16_t last_write_copies;
	bool has_written;
	uint8_t class_;   /* enum command_class of its writes; reads: memory, or else durable */
	bool is_readonly; /* a replica may answer its reads from what it has applied */
	uint64_t stale_ns_max; /* if that is no older; 0: any, as far as the node allows */
	uint8_t reads;         /* enum connection_reads */
	uint8_t hold;          /* of the gateway's; SNAPSHOT */
	uint64_t read_position, read_wait_ns; /* SESSION; and how long a read may wait for it */
	/* Positions that reads have shown: the highest but for DIRTY, and the last. */
	uint64_t seen_index, read_index;
	uint64_t linger_end_ns;
	char name[CONNECTION_NAME_BYTES_MAX];
	/* Its node was master when it began, or has written for it: such a client is let go once
	 * another node is master, so that it looks for that one. */
	bool was_master, is_leaving;
	uint8_t reply_mode; /* enum connection_reply */
	bool is_no_evict;
	uint64_t opened_ns, request_ns; /* request_ns: the last one was taken */
	const struct gateway_command *last_command;
	struct subscriptions subs;
	struct multi multi;
	char lib_name[CONNECTION_NAME_BYTES_MAX], lib_version[CONNECTION_NAME_BYTES_MAX];
};

/* NULL: no memory or no budget; @fd stays the caller's. Takes @fd otherwise. */
struct connection *
connection_open(struct gateway *gateway, int fd, uint32_t index, uint32_t generation);
/* Closes the socket and frees everything. */
void connection_free(struct connection *conn);

/* connection_io.c: takes what the socket has, up to the room there is. */
void connection_receive(struct connection *conn);
/* connection_advance.c: answers what can be answered, takes what can be taken, sends what can be
 * sent, and says to epoll what to watch from now on. */
void connection_advance(struct connection *conn, uint64_t now_ns);

/* connection_written.c. The answered write @slot is one of its writes from now on. */
void connection_note_write(struct connection *conn, const struct slot *slot);
/* The highest position of its writes, as far as they are not known to be lost; 0: there is none.
 * Reads of the log at or after it see all of them that there are. */
uint64_t connection_written(const struct connection *conn);
/* Forgets what is lost for certain, as this node knows it now. True: something was. */
bool connection_forget_lost(struct connection *conn);

/* Ends all its subscriptions without a word. */
void connection_unsubscribe(struct connection *conn);

/* connection_slots.c. The slot a completion is for; NULL when it is no longer waited for. */
struct slot *connection_slot(struct connection *conn, uint64_t sequence);
/* The next slot, filled by the caller. There must be room. */
struct slot *connection_slot_add(struct connection *conn, enum slot_kind kind);
/* Gives @slot the answer of its write, bytes included. False: no memory for them. */
bool connection_slot_reply(struct connection *conn, struct slot *slot, const struct reply *reply,
			   const uint8_t *data);
/* Makes room for one more slot, or says that there is none: then @conn waits for an answer to one,
 * or, where memory is short, is parked. */
bool connection_has_slot_room(struct connection *conn);
static inline bool
connection_is_idle(const struct connection *conn)
{
	return conn->slot_first == conn->slot_end;
}

#endif
