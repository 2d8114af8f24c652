/* SPDX-License-Identifier: Apache-2.0 */
/* What a session's version holds, and its bytes in a checkpoint. */
#ifndef TERN_STATE_SESSION_IMAGE_H
#define TERN_STATE_SESSION_IMAGE_H

#include <assert.h>

#include "dataplane/state/state_internal.h"

#define STATE_REPLIES_KEPT     16u
#define STATE_REPLY_BYTES_KEPT 24u

/* One answered command of a session. BYTES that fit lie where the numbers would, and is_max is how
 * many they are; longer ones, and an ARRAY, are kept as DONE. */
struct session_reply {
	uint64_t seq; /* 0: unused */
	uint64_t kind, is_max;
	union {
		struct {
			int64_t value, delta, bound;
		};
		uint8_t data[STATE_REPLY_BYTES_KEPT];
	};
};

/* The value of a session's version. Up to SESSION_HASHED_BYTES it lies as the state hash takes it:
 * numbers of 8 bytes, low byte first. */
struct session_image {
	uint64_t client_id;
	uint64_t low; /* the window is [low, low + STATE_SESSION_WINDOW) */
	uint64_t last_used_ns, last_index;
	uint64_t done[STATE_SESSION_WINDOW / 64]; /* bit seq % STATE_SESSION_WINDOW */
	uint64_t
	    refused[STATE_SESSION_WINDOW / 64]; /* of the done: which were refused when applied */
	uint64_t replies_count;                 /* the newest lies at (count - 1) % KEPT */
	struct session_reply replies[STATE_REPLIES_KEPT];
	/* The command that moved the session to the end of the list by last use: what the list is
	 * made again from. Not part of the state hash. */
	uint64_t used_index;
	uint32_t used_slot;
	/* For rollback, not part of the state: whether this version moved the session to the end of
	 * the list by last use, and what it stood behind before (NULL: nothing). */
	bool has_moved;
	struct entry *moved_from;
};
#define SESSION_HASHED_BYTES ((5u + STATE_SESSION_WINDOW / 64 * 2 + STATE_REPLIES_KEPT * 6) * 8u)
static_assert(offsetof(struct session_image, used_index) == SESSION_HASHED_BYTES, "no gaps");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "hashed as it lies in memory");

static inline struct session_image *
session_image(struct version *version)
{
	return (struct session_image *)(void *)version->data;
}

/* The value of a session's record in a checkpoint: each number as 8 bytes. */
#define STATE_SESSION_NUMBERS (7u + STATE_SESSION_WINDOW / 64 * 2 + STATE_REPLIES_KEPT * 6)
#define STATE_SESSION_BYTES   (STATE_SESSION_NUMBERS * 8u)
static_assert(STATE_SESSION_BYTES <= COMMAND_KEY_BYTES_MAX, "gathered where keys are");

/* For checkpoints. @out, @bytes: STATE_SESSION_BYTES. CORRUPT: no session can be like that. */
void session_image_encode(uint8_t *out, const struct session_image *image);
TERN_CHECKED enum tern_err
session_image_decode(const uint8_t *bytes, uint64_t log_index, struct session_image *image);
/* hash.c */
uint64_t state_session_hash(const struct session_image *image);

#endif
