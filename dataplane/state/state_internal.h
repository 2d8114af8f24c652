/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the state machine.
 *
 * A key, or a session, is an entry; an entry has versions, newest first. Entries are found through
 * the hash index (chains of entries) and in byte order through a skiplist of their space.
 *
 * Order of versions and views is by stamp: the log_index, below a number (branch) that rises when
 * a rollback fails a view. So a failed view, which may stay open, is older than all that is written
 * after it, and the rules below hold for it as for any other.
 *
 * What keeps lock-free readers safe, in three rules:
 *
 *	versions  A reader pins the stamp of its view. `floor` is the oldest pinned view or held
 *		  position, or what is committed when there is none older. A reader at a view >=
 *		  floor stops at the newest version with stamp <= view and never looks behind it,
 *		  so everything behind the newest version at or below the floor may be reused at
 *		  once.
 *
 *	entries	  An entry whose newest version is a tombstone at or below the floor is unlinked; a
 *		  reader may stand on it, so it is reused only after a grace period.
 *
 *	rollback  A version that is rolled back is unlinked in front of readers who may stand on it:
 *		  it is reused only after a grace period, and with it an entry that has no other.
 *		  Its link to the older one stays; that is at or below the commit, or waits too.
 *
 * Writes of a block that is not yet published may change a version in place: its stamp, the only
 * field that a reader looks at then, stays.
 *
 * What keeps rollback possible: the floor is never above the commit, so no version that became the
 * newest above it has lost what is behind it. The undo record names the entry of each version made
 * since; each publication keeps the writer's numbers as they were.
 */
#ifndef TERN_STATE_STATE_INTERNAL_H
#define TERN_STATE_STATE_INTERNAL_H

#include <stdatomic.h>

#include "dataplane/state/arena.h"
#include "dataplane/state/checkpoint_internal.h"
#include "dataplane/state/hold.h"
#include "dataplane/state/rcu.h"
#include "dataplane/state/state.h"
#include "dataplane/state/version.h"

#define STATE_ORDER_LEVELS 12u /* 4^12 keys */
#define STATE_INDEX_BITS   48u /* of a stamp; the rest is the branch */
#define STATE_UNDO_CHUNK   509u
/* APPEND makes no value longer than this part of the capacity. */
#define STATE_APPEND_SHARE 16384u

/* Logical charges, part of the replicated rules: a change is a new machine version. They are about
 * what an entry with a version takes, so that the capacity also bounds memory. */
#define STATE_KEY_CHARGE     112u
#define STATE_INTEGER_CHARGE 8u
#define STATE_SESSION_CHARGE 1024u
/* What the replies of a MULTI take at most: a sixteenth of the capacity, within this. */
#define STATE_MULTI_BYTES_MAX (1u << 20)

/* An expiry: what its place in the order of expiries takes; the key lies there once more. */
#define STATE_EXPIRY_CHARGE 64u
/* What a command, or a part of a MULTI, removes of what has expired, before it is applied; and what
 * all commands of a block may remove so. */
#define STATE_EXPIRE_BURST     8u
#define STATE_EXPIRE_BLOCK_MAX 4096u
/* A longer value is not copied when only its expiry changes: the new version shares its bytes. */
#define STATE_SHARE_BYTES_MIN 64u

enum state_space { STATE_KEYS = 0, STATE_SESSIONS, STATE_SPACES };

typedef _Atomic(struct entry *) entry_link;

struct entry {
	entry_link chain;
	_Atomic(struct version *) newest; /* never NULL once linked */
	uint32_t hash_high;
	uint16_t key_bytes;
	uint8_t height; /* of its skiplist tower */
	uint8_t space;
	entry_link tower[]; /* then the key; then, for a session, struct session_links */
};

struct order {
	entry_link head[STATE_ORDER_LEVELS];
};

/* What a reader copies when it begins, stamp being 0 while the writer changes it; and the writer's
 * numbers at this position. */
struct publication {
	_Atomic uint64_t stamp, hash, key_count, time_ns, expiry_count;
	uint64_t session_count, logical_bytes, client_id_next;
	uint64_t undo_count, queue_pushed;
	struct version *queue_tail; /* gone when queue_pushed were popped */
};

/* A stretch of the undo record: the entries that got a version, in that order. */
struct undo_chunk {
	struct undo_chunk *older, *newer;
	uint64_t first; /* how many were noted before */
	struct entry *entries[STATE_UNDO_CHUNK];
};

struct state_reader {
	_Alignas(64) _Atomic uint64_t pin; /* a stamp; UINT64_MAX: no view */
	_Atomic bool is_open;
	_Atomic bool is_ended;  /* set by the writer: the view holds too much memory */
	_Atomic bool is_failed; /* set by the writer: the view was rolled back */
	bool is_provisional;
	struct state *state;
	uint64_t view, hash, key_count, time_ns, expiry_count;
};

/* A position that is held; the numbers that belong to it are its owner's. */
struct hold {
	_Alignas(64) _Atomic uint64_t pin; /* a stamp; UINT64_MAX: none, or taken back */
	_Atomic bool is_taken;
};

/* What an APPEND, and a command in a session, take of the arena at most, in bytes; and what a block
 * takes besides. */
struct room {
	uint64_t result_share, image_share, pages_besides;
	uint64_t pages_wanted; /* most that was asked for since the last reclaim turn */
};

struct state {
	struct state_config config;
	struct arena arena;
	entry_link *buckets;
	uint64_t bucket_mask;
	struct order orders[STATE_SPACES];
	struct state_reader *readers;
	uint8_t *multi_replies; /* state_multi_bytes_max of them */

	struct order expiries;      /* of live keys: big-endian expiry, then the key */
	struct state_position last; /* applied */
	uint64_t time_ns;           /* of its block */
	uint32_t expired_in_block;
	uint64_t branch;
	uint64_t published_stamp, committed_stamp; /* writer's copies */
	uint64_t published_hash;
	uint64_t hash_sum; /* without the sessions on the dirty list */
	uint64_t key_count, session_count, expiry_count, logical_bytes;
	uint64_t client_id_next;
	struct entry *lru_oldest, *lru_newest, *dirty;
	struct entry *session_last; /* found last; NULL: none, or it was unlinked */

	struct version *queue_head, *queue_tail; /* versions with something behind them */
	uint64_t queue_pushed, queue_popped, queued_since_turn;
	struct version *retired;   /* unlinked, also tombstones of entries: need a grace period */
	struct version *releasing; /* had theirs, are being freed */
	bool has_readers;
	struct room room;
	uint64_t versions_live, versions_reclaimed, out_of_memory;
	uint64_t views_ended, expired, rollbacks, versions_rolled_back, views_failed;

	uint64_t undo_count; /* entries ever noted, but for those undone */
	struct undo_chunk *undo_oldest, *undo_newest;
	struct undo_chunk undo_home; /* used while it is free: mostly one chunk is enough */
	bool is_undo_home_used;

	struct checkpoint_cursor checkpoint;
	struct restore_cursor restore;

	_Alignas(64) _Atomic uint64_t published, committed; /* stamps */
	_Atomic uint64_t expiry_next_ns;                    /* as published; UINT64_MAX: none */
	_Atomic uint64_t expired_count;
	/* A stamp: nothing that views at it or later need was reclaimed. Said before it is done. */
	_Atomic uint64_t reclaimed;
	struct hold holds[STATE_HOLDS_MAX];
	struct publication publications[STATE_PUBLISHED_KEPT];
	_Alignas(64) _Atomic(struct version *) handed; /* writer -> control thread */
	_Alignas(64) _Atomic(struct version *) done;   /* control thread -> writer */
};

static inline uint64_t
stamp_make(uint64_t branch, uint64_t log_index)
{
	return branch << STATE_INDEX_BITS | log_index;
}

static inline uint64_t
stamp_index(uint64_t stamp)
{
	return stamp & ((UINT64_C(1) << STATE_INDEX_BITS) - 1);
}

static inline struct publication *
publication_slot(struct state *state, uint64_t log_index)
{
	return &state->publications[log_index % STATE_PUBLISHED_KEPT];
}

static inline uint8_t *
entry_key(struct entry *entry)
{
	return (uint8_t *)(entry->tower + entry->height);
}

/* read.c */
/* Opens a view at @stamp, which somebody else keeps pinned in *@keeper. False: not any more. The
 * numbers of the reader are left to the caller. */
bool view_begin_at(struct state_reader *reader, uint64_t stamp, _Atomic uint64_t *keeper);

/* hash.c */
uint64_t state_index_hash(const struct state *state, enum state_space space, const void *key,
			  uint32_t key_bytes);
/* Contribution of one live key. @data: BYTES; @integer: INTEGER; @expires_ns: 0: never. */
uint64_t state_key_hash(const void *key, uint32_t key_bytes, enum state_type type, const void *data,
			uint32_t bytes, int64_t integer, uint64_t expires_ns);
uint64_t state_version_hash(struct entry *entry, struct version *version);

/* index.c */
struct entry *index_find(const struct state *state, uint64_t hash, enum state_space space,
			 const void *key, uint32_t key_bytes);
void index_insert(struct state *state, uint64_t hash, struct entry *entry);
void index_remove(struct state *state, uint64_t hash, struct entry *entry);

/* order.c */
struct entry *order_seek(struct order *order, const void *from, uint32_t from_bytes, bool is_after);
struct entry *order_first(struct order *order);
struct entry *order_next(struct entry *entry);
void order_insert(struct order *order, struct entry *entry);
void order_remove(struct order *order, struct entry *entry);

/* entry.c */
/* Copies @key. The entry is the caller's until it is linked. */
struct entry *entry_make(struct state *state, enum state_space space, const void *key,
			 uint32_t key_bytes, uint64_t hash);

/* mvcc.c */
struct value {
	uint32_t type;    /* enum state_type or STATE_TYPE_SESSION */
	uint32_t bytes;   /* tail included */
	const void *data; /* bytes - tail_bytes of them; may be those of the newest version */
	int64_t integer;
	const void *tail; /* what follows data */
	uint32_t tail_bytes;
	bool keeps_old;       /* never in place: the old bytes are lent to a reply */
	uint64_t expires_ns;  /* 0: never */
	struct version *base; /* not NULL: shares its bytes, data and tail are not used */
};
/* The newest version with stamp <= @view; NULL: none. Readers and writer. */
struct version *mvcc_at(struct entry *entry, uint64_t view);
/* Makes @value the newest version, in place where no reader can see the difference. @entry NULL:
 * makes the entry of @key first. Returns the entry. */
struct entry *
mvcc_put(struct state *state, struct entry *entry, enum state_space space, const void *key,
	 uint32_t key_bytes, uint64_t hash, struct state_position at, const struct value *value);
/* The first version of a key that is not there, for a restore: linked, without a hash, and if
 * value->data is NULL without its bytes. */
struct entry *mvcc_restore(struct state *state, enum state_space space, const void *key,
			   uint32_t key_bytes, struct state_position at, const struct value *value);
/* Ends a live entry with a tombstone. */
void mvcc_end(struct state *state, struct entry *entry, struct state_position at);

/* publish.c */
/* @log_index is published, and readers may see it. */
void publication_fill(struct state *state, uint64_t log_index);

/* expiry.c */
/* Tells the order of expiries that a version of @entry, a key, is its newest one from now on, or is
 * no longer: whoever puts, ends or drops versions calls both. */
void expiry_enter(struct state *state, struct entry *entry, struct version *version);
void expiry_leave(struct state *state, struct entry *entry, struct version *version);
uint64_t expiry_next_ns(struct state *state); /* UINT64_MAX: none */

/* room.c */
uint32_t state_append_bytes_max(const struct state *state);
/* Once config is there. */
void room_init(struct state *state);
/* Of the arena: no block of @block_bytes, and no command, needs more. */
uint64_t room_pages(const struct state *state, uint64_t block_bytes);
/* As state_has_room says it. */
bool room_is_enough(const struct state *state, uint64_t pages);

/* reclaim.c */
/* Never NULL (INVARIANT). */
void *state_alloc(struct state *state, uint64_t bytes);
/* Memory waits for the floor to rise or for a grace period. */
bool reclaim_is_due(const struct state *state);
/* All that needs no waiting, however much it is. */
void reclaim_urgent(struct state *state);
void reclaim_push(struct state *state, struct version *version);
/* Forgets all that was pushed after @at was published. */
void reclaim_cut(struct state *state, const struct publication *at);
/* Frees @version, which is unlinked, and @entry (or NULL), after a grace period. */
void reclaim_retire(struct state *state, struct version *version, struct entry *entry);
/* Unlinks an entry, and retires it with its newest version. */
void reclaim_retire_entry(struct state *state, struct entry *entry);

/* undo.c */
/* @entry got a new newest version. */
void undo_note(struct state *state, struct entry *entry);
/* The first @count that were noted will not be undone. */
void undo_forget(struct state *state, uint64_t count);
/* The last one that was noted, and that one is none any more. */
struct entry *undo_take(struct state *state);

#endif
