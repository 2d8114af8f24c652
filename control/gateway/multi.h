/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection collects for EXEC: the keys that it watches, then the commands after MULTI, as
 * encoded parts of one command of the log, and the forms in which their replies are written.
 *
 * Invariants: is_open: nothing of the connection is at the lcore, for MULTI and what is queued are
 * answered in their turn; is_sent: EXEC is at the lcore, the forms wait for its answer, and so do
 * the parts if it only reads: then they are read when its read point is known.
 *
 * Owner: the gateway thread.
 */
#ifndef TERN_GATEWAY_MULTI_H
#define TERN_GATEWAY_MULTI_H

#include <stdbool.h>
#include <stdint.h>

struct command_call;
struct connection;
struct gateway_command;
struct reply;
struct resp_writer;
struct state_reader;
struct write_plan;

/* How a command is queued, and how its reply looks. */
enum multi_form {
	MULTI_REFUSED = 0, /* it cannot be queued */
	MULTI_CONTROL,     /* it is never queued: EXEC and its kind */
	MULTI_ONCE,        /* TERN.ONCE: with EXEC it is never queued, and else cannot be */
	MULTI_WRITE,       /* one part */
	MULTI_GET,
	MULTI_MGET, /* a part for each key */
	MULTI_EXISTS,
	MULTI_STRLEN,
	MULTI_TYPE,
	MULTI_TTL,
	MULTI_PTTL,
	MULTI_EXPIRETIME,
	MULTI_PEXPIRETIME,
	MULTI_NOTHING, /* no part: OK */
};

struct multi_entry {
	uint8_t form; /* enum multi_form */
	uint16_t parts_count;
};

struct multi {
	bool is_open, is_aborted, is_sent;
	bool has_write; /* something is queued that has to be logged */
	uint8_t *parts; /* arguments of the command as they are encoded */
	uint32_t parts_used, parts_capacity;
	uint32_t parts_count; /* watched keys included */
	struct multi_entry *entries;
	uint32_t entries_count, entries_capacity;
	uint64_t reply_bytes; /* the most that the replies may take */
};

/* Gives everything back: nothing is watched, nothing is open. */
void multi_drop(struct connection *conn);
/* EXEC was submitted: its answer is still to be written. */
void multi_sent(struct connection *conn);
/* The same of an EXEC without a write, which is a read: the parts are still needed. */
void multi_read_sent(struct connection *conn);
/* Whether @command, as it was sent, goes into the open transaction. */
bool multi_takes(const struct command_call *call, const struct gateway_command *command);
/* Queues it and answers, or refuses it and spoils the transaction. */
void multi_queue(struct command_call *call, const struct gateway_command *command);
/* Remembers what a watched key is. False: no room. */
bool multi_watch(struct connection *conn, const struct write_plan *check);
/* The reply to EXEC. */
void multi_reply(const struct connection *conn, struct resp_writer *out, const struct reply *reply);

/* EXEC without a write: a command of kind READ, and what it does in its view. */
extern const struct gateway_command multi_exec_read;
void multi_read(struct command_call *call);

/* multi_read.c: encoded parts as a view shows them. *@at: the part, then behind it. */
struct reply multi_part_read(struct state_reader *reader, const uint8_t **at);
bool multi_checks_hold(struct state_reader *reader, const uint8_t **at, uint32_t count);

#endif
