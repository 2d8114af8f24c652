/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands as they lie in a block, and their replies.
 *
 *	command = header 32 | args_count times { le32 bytes, bytes }, padded with zeros to 8
 *
 * What the arguments are depends on the operation, see enum command_op. Integers are 8 bytes.
 */
#ifndef TERN_WIRE_COMMAND_H
#define TERN_WIRE_COMMAND_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/le.h"

#define COMMAND_HDR_BYTES     32u
#define COMMAND_KEY_BYTES_MAX 1024u
#define COMMAND_ARGS_MAX      4096u

enum command_op {
	COMMAND_SET = 1,       /* key, value[, expiry]; reply OK, or see flags */
	COMMAND_MSET,          /* key, value, key, value, ... one position for all */
	COMMAND_DELETE,        /* key, key, ...; reply INTEGER: how many were there */
	COMMAND_ADD,           /* key, delta[, min][, max]: see flags; reply INTEGER or BOUND */
	COMMAND_SESSION_OPEN,  /* -; reply SESSION: the client_id */
	COMMAND_SESSION_CLOSE, /* -; client_id in the header */
	COMMAND_APPEND,        /* key, bytes; reply INTEGER: the new length */
	/* Whole commands, one each argument, applied at one position; reply ARRAY of theirs
	 * (reply.h), or CONFLICT. Parts have no session and are no MULTI and no SESSION_*. */
	COMMAND_MULTI,
	/* key[, log_index, slot]: the first parts of a MULTI. It has an effect only if each of
	 * these keys was last written there; without a position: only if it is absent. */
	COMMAND_CHECK,
	/* Reads, for a MULTI: what is there at its position. */
	COMMAND_GET,    /* key; reply BYTES, DECIMAL or NULL */
	COMMAND_EXISTS, /* key, key, ...; reply INTEGER: how many are there */
	COMMAND_LENGTH, /* key; reply INTEGER: of its bytes, of an integer its decimal text's */
	/* Expiry: an absolute time, compared with the time of blocks. A key whose expiry is at or
	 * before the time of a block is absent for the commands in it. */
	COMMAND_EXPIRE,  /* key, expiry; reply INTEGER 1 or 0, or see flags; one that has passed
			  * already deletes the key */
	COMMAND_PERSIST, /* key; reply INTEGER: 1 if it had an expiry, or see flags */
	COMMAND_EXPIRY,  /* key; reply EXPIRY or NULL */
	COMMAND_TICK,    /* -; moves time, and removes what has expired; reply INTEGER: how many */
};

enum command_class {
	COMMAND_DURABLE = 0, /* flushed on every copy that the quorum rule counts */
	COMMAND_MEMORY = 1,  /* received by them: survives any one crash or cut */
	COMMAND_ASYNC =
	    2, /* stands in the master's log: answered by its position, without a result */
};

enum command_flags {
	COMMAND_HAS_MIN = 1 << 0, /* ADD: a min argument follows delta */
	COMMAND_HAS_MAX = 1 << 1, /* ADD: a max argument follows min, or delta */
	/* SET: only a key that is not there, reply OK or NULL. MSET: only if none of the keys is
	 * there, reply INTEGER 1 or 0. */
	COMMAND_IF_ABSENT = 1 << 2,
	COMMAND_IF_PRESENT = 1 << 3, /* SET: only a key that is there; reply OK or NULL */
	/* SET, EXPIRE, PERSIST, and DELETE of one key: the reply is what was there before: BYTES,
	 * DECIMAL or NULL, whether the command had an effect or not. */
	COMMAND_GET_OLD = 1 << 4,
	/* What the expiry argument of SET and EXPIRE is, 8 bytes: ns after the time of the block,
	 * or ns of that clock. SET: 1 or more. EXPIRE has one of the two. */
	COMMAND_EXPIRE_IN = 1 << 5,
	COMMAND_EXPIRE_AT = 1 << 6,
	COMMAND_KEEP_EXPIRY = 1 << 7, /* SET: what the key had stays; without, it goes */
	/* EXPIRE: only if the key has none (IF_ABSENT) or has one (IF_PRESENT), only if the new one
	 * is later (IF_LATER) or sooner (IF_SOONER); none is later than any. */
	COMMAND_IF_LATER = COMMAND_HAS_MIN,
	COMMAND_IF_SOONER = COMMAND_HAS_MAX,
};

struct command_hdr_le {
	le32 bytes; /* the whole command, header and padding included; a multiple of 8 */
	uint8_t op, class_, flags, reserved0;
	le16 args_count;
	le16 open_window; /* seq minus the client's lowest open sequence number */
	le32 reserved1;
	le64 client_id; /* 0: no session, runs at most once per submission */
	le64 seq;       /* 1.. within the session */
};
static_assert(sizeof(struct command_hdr_le) == COMMAND_HDR_BYTES, "frozen by format 1");

struct command_arg {
	const uint8_t *data; /* borrowed from the command's bytes */
	uint32_t bytes;
};

struct command {
	enum command_op op;
	enum command_class class_;
	uint8_t flags;
	uint16_t args_count, open_window;
	uint32_t bytes;
	uint64_t client_id, seq;
	const uint8_t *args; /* encoded arguments; walk them with command_arg_next */
	const uint8_t *end;  /* of the last argument: padding is not part of it */
};

/* Builds one command in @out. Order: begin, arg..., end. Sticky: once out of room, end says so. */
struct command_writer {
	uint8_t *out;
	uint32_t used, capacity;
	uint16_t args_count;
	bool is_full;
};
void command_begin(struct command_writer *writer, uint8_t *out, uint32_t capacity);
void command_add_arg(struct command_writer *writer, const void *data, uint32_t bytes);
void command_add_i64(struct command_writer *writer, int64_t value);
/* @count arguments that lie in @data as they are encoded: each its length, then itself. */
void command_add_encoded(struct command_writer *writer, const uint8_t *data, uint32_t bytes,
			 uint32_t count);
/* TOO_LARGE: @capacity or COMMAND_ARGS_MAX exceeded. On TERN_OK @bytes is the command's length. */
TERN_CHECKED enum tern_err
command_end(struct command_writer *writer, enum command_op op, uint8_t flags, uint64_t client_id,
	    uint64_t seq, uint16_t open_window, uint32_t *bytes);

/* Puts a class into an encoded command; command_end wrote durable. */
void command_set_class(uint8_t *command, enum command_class class_);

/* Whether @command makes sense without its result: it returns no value, rests on no condition and
 * no bound, and is no transaction and no command of a session table. Only such a one can be async.
 */
bool command_fits_async(const struct command *command);

/* Length of the command whose first 4 bytes lie at @data; 0 when it cannot be one. */
uint32_t command_bytes_peek(const uint8_t *data);

/* Checks everything: lengths, that the argument count and sizes fit the operation, key lengths
 * (1..COMMAND_KEY_BYTES_MAX), padding, the parts of a MULTI. Borrows @data as long as @command is
 * used.
 * VERSION: an operation, class or flag that this build does not know. */
TERN_CHECKED enum tern_err
command_decode(const uint8_t *data, uint32_t bytes, struct command *command);

/* The next argument; false at the end. Start with cursor = command->args. */
bool
command_arg_next(const struct command *command, const uint8_t **cursor, struct command_arg *arg);
int64_t command_arg_i64(struct command_arg arg); /* arg.bytes == 8 */
/* An argument of a MULTI that command_decode has accepted. */
void command_part(struct command_arg arg, struct command *part);

enum reply_kind {
	REPLY_OK = 1,
	REPLY_INTEGER,         /* value */
	REPLY_BOUND,           /* ADD refused: value, delta, bound; is_max says which one */
	REPLY_NOT_INTEGER,     /* ADD on a byte string that is no 64-bit integer */
	REPLY_OVERFLOW,        /* ADD would leave the 64-bit range */
	REPLY_OUT_OF_MEMORY,   /* over the capacity of the state machine */
	REPLY_SESSION,         /* value: the client_id */
	REPLY_SESSION_UNKNOWN, /* never opened, or closed: outcome unknown, not run now */
	REPLY_DONE, /* a repeat whose reply is no longer kept: done at or before value (log_index)
		     */
	REPLY_TOO_OLD,  /* a sequence number below the session's window: outcome unknown */
	REPLY_REFUSED,  /* as DONE, but what is no longer kept is a refusal: it changed nothing */
	REPLY_NULL,     /* no such key, or a condition of SET was not met */
	REPLY_BYTES,    /* data, bytes */
	REPLY_DECIMAL,  /* value: of a key that holds an integer, where BYTES would say its bytes */
	REPLY_ARRAY,    /* MULTI: data is a list of replies, see reply.h */
	REPLY_CONFLICT, /* MULTI: a CHECK did not hold, nothing was changed */
	REPLY_TOO_LARGE, /* a part of a MULTI, not done: its reply finds no room beside the others
			  */
	REPLY_EXPIRY,    /* value: the expiry, 0: none; delta: the time of the block that answers */
};

/* The deterministic result of applying one command. */
struct reply {
	enum reply_kind kind;
	bool is_max;    /* BOUND: the upper one */
	bool is_repeat; /* answered from the session table */
	int64_t value, delta, bound;
	uint32_t bytes;      /* BYTES, ARRAY */
	const uint8_t *data; /* the same: lent by the state machine until its writer's next call */
};

static inline bool
reply_has_data(const struct reply *reply)
{
	return reply->kind == REPLY_BYTES || reply->kind == REPLY_ARRAY;
}

#endif
