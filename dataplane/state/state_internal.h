/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the state machine.
 *
 * A key, or a session, is an entry; an entry has versions, newest first. Entries are found through
 * the hash index (chains of entries) and in byte order through a skiplist of their space.
 *
 * What keeps lock-free readers safe, in two rules:
 *	versions  A reader pins the position of its view. `floor` is the oldest pinned view, or what
 *		  is published when there is none. A reader at a view >= floor stops at the newest
 *		  version with log_index <= view and never looks behind it, so everything behind the
 *		  newest version at or below the floor may be reused at once.
 *	entries	  An entry whose newest version is a tombstone at or below the floor is unlinked; a
 *		  reader may stand on it, so it is reused only after a grace period.
 * Writes of a block that is not yet published may change a version in place: its log_index, the
 * only field that a reader looks at then, stays.
 */
#ifndef TERN_STATE_STATE_INTERNAL_H
#define TERN_STATE_STATE_INTERNAL_H

#include <stdatomic.h>

#include "dataplane/state/arena.h"
#include "dataplane/state/rcu.h"
#include "dataplane/state/state.h"

#define STATE_ORDER_LEVELS     12u /* 4^12 keys */
#define STATE_REPLIES_KEPT     16u
#define STATE_REPLY_BYTES_KEPT 24u
/* APPEND makes no value longer than this part of the capacity. */
#define STATE_APPEND_SHARE 16384u

/* Logical charges, part of the replicated rules: a change is a new machine version. They are about
 * what an entry with a version takes, so that the capacity also bounds memory. */
#define STATE_KEY_CHARGE     112u
#define STATE_INTEGER_CHARGE 8u
#define STATE_SESSION_CHARGE 1024u
/* A session without commands for this long, by logged time, makes room when the table is full. */
#define STATE_SESSION_IDLE_NS (600ULL * 1000000000ULL)

enum state_space { STATE_KEYS = 0, STATE_SESSIONS, STATE_SPACES };

/* Types of versions: enum state_type for keys, and this one. */
#define STATE_TYPE_SESSION 3u

struct entry;

struct version {
	struct version *older;      /* read only by views below log_index */
	struct version *queue_next; /* writer: reclaim queue, then list of retired tombstones */
	uint64_t log_index;
	uint32_t slot;
	uint32_t bytes_type; /* bytes << 2 | type */
	uint64_t hash;       /* contribution to the state hash; 0 for a tombstone */
	union {
		int64_t integer;
		struct entry *entry; /* tombstone: what it ends */
		uint8_t data[8];     /* BYTES, sessions: the first of the bytes */
	};
};
#define VERSION_HDR_BYTES       offsetof(struct version, data)
#define STATE_VALUE_BYTES_LIMIT (1u << 30)

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

/* One answered command of a session. BYTES that fit lie where the numbers would, and is_max is how
 * many they are; longer ones are kept as DONE. */
struct session_reply {
	uint64_t seq; /* 0: unused */
	uint8_t kind, is_max;
	union {
		struct {
			int64_t value, delta, bound;
		};
		uint8_t data[STATE_REPLY_BYTES_KEPT];
	};
};

/* The value of a session's version. */
struct session_image {
	uint64_t client_id;
	uint64_t low; /* the window is [low, low + STATE_SESSION_WINDOW) */
	uint64_t last_used_ns, last_index;
	uint64_t done[STATE_SESSION_WINDOW / 64]; /* bit seq % STATE_SESSION_WINDOW */
	uint64_t
	    refused[STATE_SESSION_WINDOW / 64]; /* of the done: which were refused when applied */
	uint64_t replies_count;                 /* the newest lies at (count - 1) % KEPT */
	struct session_reply replies[STATE_REPLIES_KEPT];
};

/* Writer only: sessions by last use, and those changed since the last publication. */
struct session_links {
	struct entry *lru_prev, *lru_next, *dirty_next;
	bool is_dirty;
};

struct order {
	entry_link head[STATE_ORDER_LEVELS];
};

/* What a reader copies when it begins; index is 0 while the writer changes it. */
struct publication {
	_Atomic uint64_t index, hash, key_count;
};

struct state_reader {
	_Alignas(64) _Atomic uint64_t pin; /* UINT64_MAX: no view */
	_Atomic bool is_open;
	_Atomic bool is_ended; /* set by the writer: the view holds too much memory */
	struct state *state;
	uint64_t view, hash, key_count;
};

struct state {
	struct state_config config;
	struct arena arena;
	entry_link *buckets;
	uint64_t bucket_mask;
	struct order orders[STATE_SPACES];
	struct state_reader *readers;

	struct state_position last; /* applied */
	uint64_t published_index;   /* writer's copy */
	uint64_t published_hash;
	uint64_t hash_sum; /* without the sessions on the dirty list */
	uint64_t key_count, session_count, logical_bytes;
	uint64_t client_id_next;
	struct entry *lru_oldest, *lru_newest, *dirty;

	struct version *queue_head, *queue_tail; /* versions with something behind them */
	uint64_t queue_count, queued_since_turn;
	struct version *retired;   /* tombstones of unlinked entries: need a grace period */
	struct version *releasing; /* had theirs, are being freed */
	bool has_readers;
	uint64_t versions_live, versions_reclaimed, out_of_memory;
	uint64_t views_ended;

	_Alignas(64) _Atomic uint64_t published;
	struct publication publications[STATE_PUBLISHED_KEPT];
	_Alignas(64) _Atomic(struct version *) handed; /* writer -> control thread */
	_Alignas(64) _Atomic(struct version *) done;   /* control thread -> writer */
};

static inline enum state_type
version_type(const struct version *version)
{
	return (enum state_type)(version->bytes_type & 3u);
}

static inline uint32_t
version_bytes(const struct version *version)
{
	return version->bytes_type >> 2;
}

static inline uint8_t *
entry_key(struct entry *entry)
{
	return (uint8_t *)(entry->tower + entry->height);
}

static inline struct session_image *
session_image(struct version *version)
{
	return (struct session_image *)(void *)version->data;
}

/* hash.c */
uint64_t state_index_hash(const struct state *state, enum state_space space, const void *key,
			  uint32_t key_bytes);
/* Contribution of one live key. @data: BYTES; @integer: INTEGER. */
uint64_t state_key_hash(const void *key, uint32_t key_bytes, enum state_type type, const void *data,
			uint32_t bytes, int64_t integer);
uint64_t state_session_hash(const struct session_image *image);
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

/* mvcc.c */
struct value {
	uint32_t type;    /* enum state_type or STATE_TYPE_SESSION */
	uint32_t bytes;   /* tail included */
	const void *data; /* bytes - tail_bytes of them; may be those of the newest version */
	int64_t integer;
	const void *tail; /* what follows data */
	uint32_t tail_bytes;
	bool keeps_old; /* never in place: the old bytes are lent to a reply */
};
/* The newest version with log_index <= @view; NULL: none. Readers and writer. */
struct version *mvcc_at(struct entry *entry, uint64_t view);
/* Makes @value the newest version, in place where no reader can see the difference. @entry NULL:
 * makes the entry of @key first. Returns the entry. */
struct entry *
mvcc_put(struct state *state, struct entry *entry, enum state_space space, const void *key,
	 uint32_t key_bytes, uint64_t hash, struct state_position at, const struct value *value);
/* Ends a live entry with a tombstone. */
void mvcc_end(struct state *state, struct entry *entry, struct state_position at);

/* session.c */
void
session_open(struct state *state, struct state_position at, uint64_t time_ns, struct reply *reply);
void session_close(struct state *state, struct entry *entry, struct state_position at);
struct entry *session_find(const struct state *state, uint64_t client_id);
/* True: run the command, then session_record its reply. False: @reply is the answer. */
bool session_admit(struct state *state, struct entry *entry, struct state_position at,
		   uint64_t time_ns, const struct command *command, struct reply *reply);
void session_record(struct state *state, struct entry *entry, struct state_position at,
		    uint64_t seq, const struct reply *reply);
/* Gives the sessions changed since the last publication their hash. */
void session_hash_dirty(struct state *state);

/* apply.c */
uint32_t state_append_bytes_max(const struct state *state);

/* reclaim.c */
/* Never NULL (INVARIANT). */
void *state_alloc(struct state *state, uint64_t bytes);
/* All that needs no waiting, however much it is. */
void reclaim_urgent(struct state *state);
void reclaim_push(struct state *state, struct version *version);

#endif
