/* SPDX-License-Identifier: Apache-2.0 */
/* One state machine in a test: its arena, the next position, and commands in one line. */
#ifndef TERN_TESTS_STATE_MACHINE_H
#define TERN_TESTS_STATE_MACHINE_H

#include "dataplane/state/state.h"
#include "tests/support/check.h"

struct machine {
	void *arena;
	struct state *state;
	struct state_reader *reader;
	uint8_t *buffer;          /* of the encoded command */
	struct state_position at; /* of the last command */
	uint64_t time_ns;
	bool has_readers; /* as state_reclaim_turn takes it */
};

struct machine_options {
	size_t arena_bytes;
	uint64_t capacity_bytes, hash_seed;
	uint32_t sessions_max;
	uint32_t value_bytes_max; /* 0: 1 MiB */
};

void machine_start(struct machine *machine, const struct machine_options *options);
void machine_stop(struct machine *machine);

/* Encodes, decodes and applies one command at the next slot. */
struct reply machine_apply(struct machine *machine, enum command_op op, uint8_t flags,
			   uint64_t client_id, uint64_t seq, uint16_t open_window,
			   const struct command_arg *args, uint32_t args_count);
struct reply machine_set(struct machine *machine, const char *key, const char *value);
struct reply machine_add(struct machine *machine, const char *key, int64_t delta);
struct reply machine_delete(struct machine *machine, const char *key);
/* Closes the block and opens the next one: published only; or committed as well, and the writer
 * gets a turn. */
void machine_publish(struct machine *machine);
void machine_block(struct machine *machine);
/* The next block is again the one after @log_index. */
void machine_rollback(struct machine *machine, uint64_t log_index);
/* The scan at a fresh view agrees with the published hash. */
void machine_check_hash(struct machine *machine);
/* Reads one key at a fresh view; the bytes are copied to @out (at least 64). */
struct state_value machine_get(struct machine *machine, const char *key, char *out);

struct command_arg machine_text(const char *text);

#endif
