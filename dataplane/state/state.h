/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine: byte strings and 64-bit integers under byte-string keys, versioned by command
 * position (MVCC), and the session table. One writer applies commands in log order; any number of
 * readers on other threads read without locks through liburcu (QSBR).
 *
 * Deterministic: equal commands at equal positions with equal block times give equal replies, state
 * and hash on every node. Time and randomness come from the block, never from here.
 *
 * The visible position moves by whole commands and is published once a block (state_publish).
 * The state hash is incremental and independent of order: the sum modulo 2^64 of XXH3-64 over each
 * live (key, type, value) and each session; state_hash_scan recomputes it from scratch. Both are
 * defined at published positions.
 *
 * committed <= published <= applied. What is published above the committed position is provisional
 * (docs/reference/protocol.md): nothing that a rollback to the committed position may need is
 * reused, and a rollback leaves no trace, in values, sessions, hash or any later reply. Publishing
 * may run at most STATE_PUBLISHED_KEPT - 1 blocks ahead of committing (state_may_publish). A node
 * that never applies ahead of the commit index commits each block as it publishes it.
 *
 * Values: SET stores bytes. ADD takes an integer, bytes that are a canonical decimal 64-bit integer
 * (an optional '-', no leading zero, no "-0"), or nothing, which counts as 0, and stores an
 * integer. A bound is checked before the 64-bit range.
 *
 * Expiry: a key may have one, a time. It is absent for every command whose block's time is at or
 * past it, and in every view whose last block with commands is. It leaves memory, key count,
 * logical size and hash a little later, by rule: a command on it removes it, and every command
 * first removes up to 8 others that have expired, in order of (expiry, key). COMMAND_TICK does that
 * alone.
 *
 * Memory: one arena of fixed size. A command over the logical capacity (keys + values + sessions,
 * equal on every node) is answered OUT_OF_MEMORY; the arena is larger than the capacity by a slack
 * for versions. apply never waits for a reader: when versions that a view holds crowd the arena,
 * scans in that view are told to end (state_read_is_ended), and state_has_room turns false before
 * the slack is used up. Applying on without room ends the process (INVARIANT). Where
 * state_fits_block, a full capacity leaves room for any block once no old version is kept; and
 * room is never waited for when no memory is to come back.
 *
 * Sessions: a window of 256 sequence numbers, from the client's lowest open one; the 16 newest
 * replies are kept, an older repeat is answered DONE, or REFUSED if it was refused. When the table
 * is full, SESSION_OPEN expires the longest unused session, if that was 10 minutes of logged time
 * ago.
 *
 * Threads: writer calls from one owner. Readers: any thread that has a struct state_reader.
 * Reclaim of retired memory needs a grace period: state_reclaim_take / state_reclaim_give move
 * batches to a control thread that may block (state_grace_period).
 */
#ifndef TERN_STATE_STATE_H
#define TERN_STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/wire/command.h"
#include "dataplane/wire/page.h"

#define STATE_SESSION_WINDOW 256u
#define STATE_PREFETCH_MAX   32u
/* A block of more bytes than COMMAND_ARGS_MAX commands of COMMAND_HDR_BYTES take is one command,
 * and what fits into the rest of its last page. */
#define STATE_BLOCK_COMMANDS_MAX (COMMAND_ARGS_MAX + PAGE_PAYLOAD_BYTES / COMMAND_HDR_BYTES)
/* Publications kept for readers and for rollback: a power of two. At least the blocks that a fast
 * device leaves in flight while it flushes; 72 bytes each. */
#ifdef TERN_TINY_LIMITS
#define STATE_PUBLISHED_KEPT 8u
#else
#define STATE_PUBLISHED_KEPT 1024u
#endif

/* Below it a session's id counts, above is the number of the generation, so that an id, of 56 bits
 * at most, is positive as a signed integer too. Part of the replicated rules. */
#define STATE_SESSION_ID_BITS 40u

struct state; /* fields in state_internal.h */

struct state_config {
	void *arena; /* 64-byte aligned, zeroed, borrowed for ever */
	size_t arena_bytes;
	uint64_t capacity_bytes; /* logical: what OUT_OF_MEMORY is decided by; <= arena_bytes / 2 */
	uint32_t value_bytes_max; /* a longer SET is answered OUT_OF_MEMORY; < 2^28 */
	uint32_t sessions_max;
	uint32_t readers_max;
	uint64_t hash_seed; /* of the hash index, not of the state hash */
};

/* CONFIG: limits that contradict each other, or an arena that is too small. Equal capacity_bytes,
 * value_bytes_max and sessions_max on every node, or states differ. */
TERN_CHECKED enum tern_err state_init(const struct state_config *config, struct state **state);

/* ---- writer ---- */

struct state_position {
	uint64_t log_index;
	uint32_t slot;
};

/* Applies one command. @time_ns: of its block. Never fails: what cannot be done is an answer.
 * Positions rise from call to call (INVARIANT). */
void state_apply(struct state *state, struct state_position at, uint64_t time_ns,
		 const struct command *command, struct reply *reply);
/* Warms the cache lines that state_apply of this command will touch. */
void state_prefetch(const struct state *state, const struct command *command);
/* The same for up to STATE_PREFETCH_MAX commands that are applied next, in stages, so that the
 * misses of one command wait together with those of the others. Random ADDs to 1 M keys, 250 MB,
 * one core of a shared EPYC, medians of three: 880 -> 410 ns a command. */
void
state_prefetch_batch(const struct state *state, const struct command *commands, uint32_t count);
/* Everything up to block @log_index is applied: readers of provisional views see it from now on.
 * Rises (INVARIANT), but for what state_rollback takes back; every block is published, also one
 * without commands. Only where state_may_publish (INVARIANT). */
void state_publish(struct state *state, uint64_t log_index);
/* Before block @log_index is applied: false when it would be too far ahead of the commit. Then
 * apply it in a later turn, after state_commit has moved on. */
bool state_may_publish(const struct state *state, uint64_t log_index);
/* Nothing at or below block @log_index, which was published, will ever be rolled back: committed
 * views begin here from now on, and older versions may be reclaimed. Does not fall (INVARIANT).
 * Costs a few instructions; a freed page of the undo record for each 500 versions. */
void state_commit(struct state *state, uint64_t log_index);
/* Part of the block that is published next, which begins generation @number of the cluster: from
 * here on sessions get ids of that number, (number << STATE_SESSION_ID_BITS) and up, which no node
 * gave out in an earlier generation, whatever of that is lost. */
void state_begin_generation(struct state *state, uint32_t number);
/* Drops every block above @log_index, also one that is applied in part; state, hash and every later
 * reply are those of a machine that never applied them. @log_index was published and is not below
 * the committed position (INVARIANT). The next block is @log_index + 1 again. Provisional views
 * above @log_index fail; they may stay open as long as they like, nobody waits for them.
 * Cost: one step for each version that the dropped blocks made, and for each key that they made new
 * a search in the ordered index. Not cut into turns: what bounds it is how far apply ran ahead. */
void state_rollback(struct state *state, uint64_t log_index);

/* Most bytes of the ARRAY that answers a MULTI; any thread. */
uint32_t state_multi_bytes_max(const struct state *state);
uint64_t state_applied_index(const struct state *state);   /* published */
uint64_t state_committed_index(const struct state *state); /* any thread */
/* The first expiry of all keys as it was published, UINT64_MAX: none; any thread. */
uint64_t state_expiry_next_ns(const struct state *state);
uint64_t state_expired_count(const struct state *state); /* ever removed here; any thread */
uint64_t state_hash(const struct state *state);          /* at state_applied_index */
struct state_stats {
	uint64_t keys, sessions, logical_bytes, arena_used_bytes, versions_live, versions_reclaimed,
	    views_ended, out_of_memory, rollbacks, versions_rolled_back, views_failed, expiries,
	    expired;
};
struct state_stats state_stats(const struct state *state);

/* Moves old versions and retired memory towards reuse. The writer calls state_reclaim_turn once in
 * a while: it never blocks. A control thread loops over state_grace_period, which blocks until a
 * grace period has passed for what the writer handed over; without one (simulator, tests without
 * readers) pass
 * @has_readers = false and memory is reused at once. */
void state_reclaim_turn(struct state *state, bool has_readers);
/* One control thread, which need not be registered and holds no view: true when there was work.
 * Blocks for a grace period; sleep a little when it returns false. */
bool state_grace_period(struct state *state);
/* Writer, before it applies a block of @block_bytes (of its pages): false when it might not fit,
 * and memory waits for a view to end, for the commit or for a grace period. Then call
 * state_reclaim_turn and try again in a later turn: views that are in the way are told to end. */
bool state_has_room(struct state *state, uint64_t block_bytes);
/* Whether the arena has room for any block of @block_bytes beside a full capacity. */
bool state_fits_block(const struct state *state, uint64_t block_bytes);
/* An arena of so many bytes has, if no command is longer than @command_bytes_max: twice the
 * capacity and 64 MiB, and more where commands may have more than 2 MiB. */
uint64_t state_arena_bytes(uint64_t capacity_bytes, uint64_t command_bytes_max);

/* ---- readers (any thread) ---- */

struct state_reader;

/* Registers the calling thread with QSBR. NULL: readers_max reached. The reader starts offline: no
 * RCU pointer is held outside begin..end. A thread may have readers of several states; each is
 * opened, used and closed by the same thread. */
struct state_reader *state_reader_open(struct state *state);
void state_reader_close(struct state_reader *reader);

/* A view of everything committed when it begins: class durable, the default. Returns its log_index.
 * Until state_read_end the thread must not block: old versions and retired memory wait for it. */
uint64_t state_read_begin(struct state_reader *reader);
void state_read_end(struct state_reader *reader);
/* A view of everything published when it begins: class memory, which says so to its client. It
 * fails when what it reads is rolled back; then the answers that it gave do not belong together and
 * may not be used. So it has an end of its own, which the compiler makes the caller look at: false:
 * failed, forget what was read (and copied) in this view. Ending a view of one kind as the other
 * is an INVARIANT. state_read_is_failed tells a long scan early; a failed view stays safe to read
 * until its end. */
uint64_t state_read_begin_provisional(struct state_reader *reader);
TERN_CHECKED bool state_read_end_provisional(struct state_reader *reader);
bool state_read_is_failed(const struct state_reader *reader);
/* The view holds too much memory: end it and begin again. From then on state_read_next returns
 * false and state_hash_scan is not meaningful; state_read_get still answers at the view. */
bool state_read_is_ended(const struct state_reader *reader);

enum state_type { STATE_NONE = 0, STATE_BYTES, STATE_INTEGER };
struct state_value {
	enum state_type type;
	const uint8_t *data; /* BYTES: lent until state_read_end */
	uint32_t bytes;
	int64_t integer;
	struct state_position version; /* who wrote it */
	uint64_t expires_ns;           /* 0: never */
};
/* STATE_NONE: no such key at the view's position. */
struct state_value state_read_get(struct state_reader *reader, const void *key, uint32_t key_bytes);
/* First key in byte order that is >= @from (> when @is_after); false at the end. The key is lent
 * until state_read_end. */
bool
state_read_next(struct state_reader *reader, const void *from, uint32_t from_bytes, bool is_after,
		const uint8_t **key, uint32_t *key_bytes, struct state_value *value);
/* Scans without an order and without a place kept between views: keys lie in buckets, and a key
 * stays in its bucket as long as it lives. @position NULL: the first key of @bucket, otherwise the
 * next one after what the last call returned in this view. NULL: no more in this bucket.
 * state_scan_tag: 16 bits that differ between states whose buckets differ. */
uint64_t state_scan_buckets(const struct state *state);
uint16_t state_scan_tag(const struct state *state);
const void *state_read_bucket(struct state_reader *reader, uint64_t bucket, const void *position,
			      const uint8_t **key, uint32_t *key_bytes);
/* Keys, and those of them that have an expiry; what has expired counts until it is removed. */
uint64_t state_read_key_count(struct state_reader *reader);
uint64_t state_read_expiry_count(struct state_reader *reader);
/* The time of the view's last block with commands: what has expired by then is not seen. */
uint64_t state_read_time_ns(struct state_reader *reader);
/* The state hash at the view's position as the writer published it, and recomputed by a scan of all
 * live keys and sessions (0 when the view was ended meanwhile). @index: the view's log_index. */
uint64_t state_read_hash(struct state_reader *reader, uint64_t *index);
uint64_t state_hash_scan(struct state_reader *reader);

#endif
