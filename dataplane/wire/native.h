/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames of the native client protocol: one UDP datagram between libtern and the `client`
 * address of a data node.
 *
 *	frame = header 40 | item_count items, each a multiple of 8 bytes
 *
 * Every frame stands alone, may be lost, doubled or overtaken, and may be sent again: a write is
 * named by (client_id, seq), a read by a number of the client's. What lies in it is checked whole
 * before a field is used: length, CRC, version, kind, then that the items fill the body.
 */
#ifndef TERN_WIRE_NATIVE_H
#define TERN_WIRE_NATIVE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/le.h"
#include "dataplane/wire/command.h"
#include "dataplane/wire/inet_addr.h"

#define NATIVE_VERSION         3u
#define NATIVE_HDR_BYTES       40u
#define NATIVE_REPLY_BYTES     48u
#define NATIVE_READ_BYTES      24u
#define NATIVE_FRAME_BYTES_MAX 61440u /* of a UDP datagram */
#define NATIVE_BODY_BYTES_MAX  (NATIVE_FRAME_BYTES_MAX - NATIVE_HDR_BYTES)
#define NATIVE_VALUE_BYTES_MAX (NATIVE_BODY_BYTES_MAX - NATIVE_REPLY_BYTES)
/* Several items share a frame up to here, so that it needs no IP fragments; one large item may
 * take up to NATIVE_FRAME_BYTES_MAX. */
#define NATIVE_PACK_BYTES 1400u
#define NATIVE_NODES_MAX  64u

enum native_kind {
	NATIVE_WHO_IS_MASTER = 1, /* client: no items */
	NATIVE_MASTER,            /* node: master in the header; items: the data nodes */
	NATIVE_OPEN,              /* client: one item, a random number of this opening */
	NATIVE_SUBMIT,            /* client: items: encoded commands of sessions (command.h) */
	NATIVE_READ,              /* client: items: reads of one key each */
	NATIVE_REPLY,             /* node: items: what became of OPEN, SUBMIT and READ items */
};

struct native_hdr_le {
	le32 crc32c; /* of everything behind it, body included */
	uint8_t version, kind;
	le16 item_count;
	le32 body_bytes;
	le16 node;       /* who sends; 0: a client */
	le16 master;     /* node: the master it knows of, itself only while it serves; 0: none */
	le64 cluster_id; /* client: 0 until it knows */
	le64 token;      /* random, the client's; the node returns it */
	le64 term;       /* node: its current term */
};
static_assert(sizeof(struct native_hdr_le) == NATIVE_HDR_BYTES, "frozen by version 3");

struct native_hdr {
	enum native_kind kind;
	uint16_t item_count, node, master;
	uint32_t body_bytes;
	uint64_t cluster_id, token, term;
};

/* Where a data node takes native frames. */
struct native_node {
	uint16_t node_id, port;
	struct inet_addr ip;
};

/* What a read is answered from. All but LINEARIZABLE ask nobody: any data node answers them. */
enum native_reads {
	NATIVE_READS_LINEARIZABLE = 0,
	NATIVE_READS_SESSION,  /* what is committed here, at position or later */
	NATIVE_READS_STALE,    /* what is committed here, if it is no older than limit_ms */
	NATIVE_READS_SNAPSHOT, /* at exactly position, which is kept for a while; 0: the newest */
	NATIVE_READS_DIRTY,    /* the newest that the node has executed */
};

struct native_read {
	uint64_t id;
	const uint8_t *key; /* borrowed from the frame */
	uint32_t key_bytes; /* 1..COMMAND_KEY_BYTES_MAX */
	/* Shows what was answered in class memory, too. LINEARIZABLE, SESSION, STALE. */
	bool is_memory;
	enum native_reads reads;
	uint64_t position; /* SESSION, SNAPSHOT */
	uint32_t limit_ms; /* STALE: at least 1; SESSION, SNAPSHOT: how long the node may wait */
};

enum native_what { NATIVE_WHAT_OPEN = 1, NATIVE_WHAT_WRITE, NATIVE_WHAT_READ };

/* As submit_outcome. Only DONE is the last word on a write: what is refused here may have been sent
 * before and still be on its way. ACCEPTED is all that is ever said of one of class async. */
enum native_outcome {
	NATIVE_DONE = 1,
	NATIVE_NOT_MASTER,
	NATIVE_LOG_FULL,
	NATIVE_TOO_LARGE,
	NATIVE_BUSY,
	NATIVE_MALFORMED,
	NATIVE_UNKNOWN,
	NATIVE_CLASS,    /* the command's class cannot be met */
	NATIVE_ACCEPTED, /* WRITE: it stands at (term, log_index, slot) of the master's log */
	/* READ, of this node: */
	NATIVE_POSITION, /* its state is at log_index, before the position that is asked for */
	NATIVE_GONE,     /* the position is not kept any more */
	NATIVE_STALE,    /* its state may be age_ns old */
};

enum native_value { NATIVE_VALUE_NONE = 0, NATIVE_VALUE_BYTES, NATIVE_VALUE_INTEGER };

struct native_reply {
	enum native_what what;
	enum native_outcome outcome;
	uint64_t id; /* OPEN: its number; WRITE: seq; READ: its id */
	uint64_t log_index;
	uint64_t term;      /* ACCEPTED */
	uint32_t slot;      /* ACCEPTED */
	struct reply reply; /* OPEN, WRITE: DONE */
	uint16_t copies;    /* the same: nodes that hold it, as its class says; 0: not known */
	bool is_memory;     /* DONE: met in class memory, not flushed yet; READ: may show that */
	enum native_value type; /* READ: DONE */
	const uint8_t *value;   /* READ, BYTES: borrowed */
	uint32_t value_bytes;   /* READ, BYTES */
	int64_t integer;        /* READ, INTEGER */
	uint64_t age_ns;        /* READ, DONE and STALE: how old at most; UINT64_MAX: not known */
};

/* ---- writing: begin, add..., seal ---- */

struct native_writer {
	uint8_t *frame;
	uint32_t used, capacity;
	uint16_t item_count;
};
/* @frame: 8-byte aligned, @capacity bytes, at least NATIVE_HDR_BYTES. */
void native_begin(struct native_writer *writer, uint8_t *frame, uint32_t capacity);
/* False: no room, nothing added. The caller adds only items of the frame's kind. */
bool native_add_node(struct native_writer *writer, const struct native_node *node);
bool native_add_open(struct native_writer *writer, uint64_t number);
bool native_add_command(struct native_writer *writer, const uint8_t *command, uint32_t bytes);
bool native_add_read(struct native_writer *writer, const struct native_read *read);
bool native_add_reply(struct native_writer *writer, const struct native_reply *reply);
uint32_t native_reply_bytes(const struct native_reply *reply);
/* Header and CRC; item_count and body_bytes of @hdr are not used. Returns the frame's bytes. */
uint32_t native_seal(struct native_writer *writer, const struct native_hdr *hdr);

/* Puts session and numbers into an encoded command. */
void native_stamp(uint8_t *command, uint64_t client_id, uint64_t seq, uint16_t open_window);

/* ---- reading ---- */

/* MALFORMED, VERSION. On TERN_OK every item of the frame has its whole length, and each of the
 * calls below yields item_count items. Borrows @frame until return. */
TERN_CHECKED enum tern_err
native_open(const uint8_t *frame, uint32_t bytes, struct native_hdr *hdr);

struct native_cursor {
	const uint8_t *at, *end;
};
struct native_cursor native_items(const uint8_t *frame, const struct native_hdr *hdr);
/* The next item; false at the end. Each only for frames of its kind. */
bool native_next_node(struct native_cursor *cursor, struct native_node *node);
bool native_next_open(struct native_cursor *cursor, uint64_t *number);
/* A run of bytes that says its length right; command_decode checks the rest. */
bool native_next_command(struct native_cursor *cursor, const uint8_t **command, uint32_t *bytes);
bool native_next_read(struct native_cursor *cursor, struct native_read *read);
bool native_next_reply(struct native_cursor *cursor, struct native_reply *reply);

#endif
