/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to the clients' requests; private to this room.
 *
 * A request is open from when client.c takes it until its completion is in the channel that it came
 * from: writes in the rings of struct runtime, in log order, reads in one of their own. Whoever is
 * answered is woken at the end of the turn (wake_channels).
 */
#ifndef TERN_RUNTIME_ANSWER_H
#define TERN_RUNTIME_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/runtime/submit.h"

struct reply;
struct runtime;

struct pending_write { /* a command sealed here and not applied, in log order */
	uint64_t log_index, tag;
	uint32_t slot;
	uint8_t channel, class_;
	bool has_bytes_reply; /* it may: such bytes are lent only until the next command */
};

/* A command of class async in the open block. An open request is in one of these rings at most. */
struct pending_accept {
	uint64_t tag, log_index;
	uint32_t slot, channel;
};

/* A durable command that was applied ahead of its commit: its answer waits for it, in log order. An
 * open request is in one of the two rings, so each has room for all of them. */
struct held_write {
	struct submit_completion completion;
	uint32_t channel;
};

struct pending_read {
	uint64_t op_id, tag, index;
	uint32_t channel, flags; /* flags: of the request */
	enum { READ_WAITING = 0, READ_READY, READ_LEASED, READ_DONE } state;
};

/* Puts the completion in the channel. Its reply has no bytes. */
void answer_send(struct runtime *rt, uint32_t channel_number,
		 const struct submit_completion *completion);
/* The request with that tag comes to nothing, for the reason of @outcome. */
void answer_refuse(struct runtime *rt, uint32_t channel, uint64_t tag, enum submit_outcome outcome);

/* ---- writes ---- */

/* The command in @slot of block @log_index was applied. Answers it if it is one of this node's
 * clients; or keeps its answer until it is committed. */
void answer_write_done(struct runtime *rt, uint64_t log_index, uint32_t slot,
		       const struct reply *reply, uint64_t term);
/* Answers durable commands that were applied before they were committed. */
void answer_release_held(struct runtime *rt);
/* Block @log_index holds a durable command of this node's clients whose reply may carry bytes. */
bool answer_awaits_bytes(const struct runtime *rt, uint64_t log_index);
/* The open block became block @log_index: commands of class async in it are answered. */
void answer_sealed(struct runtime *rt, uint64_t log_index, uint64_t term);
/* Mastership is over: sealed commands become UNKNOWN, those of class async that were not sealed,
 * and never will be, are refused. */
void answer_fail_writes(struct runtime *rt);

/* ---- reads ---- */

/* Those of question @op_id may be answered once block @index is applied. */
void answer_read_ready(struct runtime *rt, uint64_t op_id, uint64_t index, bool is_leased);
/* Those of question @op_id come to nothing, for the reason of @outcome. */
void answer_read_refuse(struct runtime *rt, uint64_t op_id, enum submit_outcome outcome);
/* The same, for this node is no master. */
void answer_read_failed(struct runtime *rt, uint64_t op_id);
/* Answers, in order, those whose block is applied. True: there were any. */
bool answer_reads(struct runtime *rt);

#endif
